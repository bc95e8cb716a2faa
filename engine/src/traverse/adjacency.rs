//! Who is joined to whom by the edges of one type, at one commit.
//!
//! A [`Base`] is a compressed sparse row form of one version of an edge table: for each
//! node the list of its neighbours, and beside each neighbour the edge's position, which is
//! the row's place in the table's chunks laid end to end. An [`Adjacency`] is a base seen
//! from another version of the table: the edges that this version has and the base has not
//! (`added`), and the positions of those that it lacks (`gone`). A commit of few edges
//! costs what those edges cost; branches and earlier commits share a base.
//!
//! Neighbours are always visited in the order of edge positions, so what a traversal
//! answers, and in which order, does not depend on which base it happened to find.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::array::StringArray;
use roaring::RoaringBitmap;

use crate::error::{Error, Result};
use crate::traverse::bits::Bits;
use crate::traverse::cancel::Cancel;
use crate::traverse::dictionary::Dictionary;
use crate::traverse::lists::{Lists, SparseLists};
use crate::traverse::numbering::{number, numbers};

/// A piece of a table as a version sees it: immutable rows and which of them are deleted.
#[derive(Debug, Clone)]
pub struct Piece {
    pub key: Arc<str>,
    pub rows: u32,
    pub deleted: Option<Arc<RoaringBitmap>>,
}

/// The endpoint columns of a whole chunk, deleted rows included.
#[derive(Debug, Clone)]
pub struct Endpoints {
    pub src: StringArray,
    pub dst: StringArray,
}

/// The numbers of both endpoint types, for as long as an adjacency is built.
#[derive(Debug, Clone)]
pub struct Ends {
    pub from: Arc<Dictionary>,
    pub to: Arc<Dictionary>,
}

#[derive(Debug)]
pub struct Base {
    /// The lineages of the dictionaries whose numbers are used.
    lineages: (u64, u64),
    pieces: Vec<BasePiece>,
    rows: usize,
    forward: Lists,
    nodes_to: usize,
    /// Built when somebody first walks against the arrows.
    reverse: OnceLock<Lists>,
    /// The lists of either direction by neighbour, where they are not so by themselves: built
    /// when somebody first asks whether two nodes are joined.
    by_neighbour: [OnceLock<Option<Lists>>; 2],
}

#[derive(Debug)]
struct BasePiece {
    piece: Piece,
    /// The position of its first row.
    start: u32,
}

/// How a version of a table differs from a base.
#[derive(Debug, Default)]
pub struct Difference {
    /// Positions of rows that the base has and the version has not.
    gone: RoaringBitmap,
    /// Rows that the version has and the base has not.
    added: Vec<Added>,
}

#[derive(Debug)]
struct Added {
    /// Which of the version's pieces.
    piece: usize,
    /// The position of that piece's first row.
    start: u32,
    rows: RoaringBitmap,
}

#[derive(Debug)]
pub struct Adjacency {
    base: Arc<Base>,
    gone: Option<Bits>,
    added_out: SparseLists,
    added_in: SparseLists,
    /// Where each piece of the version lies among the positions.
    places: Vec<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    start: u32,
    piece: usize,
}

impl Base {
    /// `columns` has one entry per piece.
    pub fn build(
        pieces: &[Piece],
        columns: &[Endpoints],
        ends: &Ends,
        cancel: &Cancel,
    ) -> Result<Self> {
        let mut placed = Vec::with_capacity(pieces.len());
        let mut rows = 0;
        for piece in pieces {
            placed.push(BasePiece {
                piece: piece.clone(),
                start: position(rows)?,
            });
            rows += piece.rows as usize;
        }
        position(rows)?;
        let (src, dst) = numbers(pieces, columns, ends, cancel)?;
        let forward = Lists::build(ends.from.len(), &src, &dst, cancel)?;
        Ok(Base {
            lineages: ends.lineages(),
            pieces: placed,
            rows,
            forward,
            nodes_to: ends.to.len(),
            reverse: OnceLock::new(),
            by_neighbour: Default::default(),
        })
    }

    /// Can its numbers be used together with those of `ends`?
    pub fn fits(&self, ends: &Ends) -> bool {
        self.lineages == ends.lineages()
    }

    /// Does it use the numbers of this lineage?
    pub fn uses(&self, lineage: u64) -> bool {
        self.lineages.0 == lineage || self.lineages.1 == lineage
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// With the reverse lists, which may be built later.
    pub fn bytes(&self) -> usize {
        let pieces: usize = self
            .pieces
            .iter()
            .map(|p| {
                p.piece.key.len() + p.piece.deleted.as_ref().map_or(0, |d| d.serialized_size()) + 80
            })
            .sum();
        let by_neighbour = self
            .by_neighbour
            .iter()
            .filter_map(|lists| lists.get()?.as_ref());
        let by_neighbour: usize = by_neighbour.map(Lists::bytes).sum();
        pieces + 2 * self.forward.bytes() + 4 * self.nodes_to + by_neighbour
    }

    /// What must be known about a version to see it through this base; `None` if its pieces
    /// are not in the order of the base's with the new ones after them (compaction did it).
    pub fn difference(&self, version: &[Piece]) -> Option<Difference> {
        let by_key: HashMap<&str, usize> = version
            .iter()
            .enumerate()
            .map(|(at, piece)| (&*piece.key, at))
            .collect();
        let mut difference = Difference::default();
        let mut shared = 0;
        for BasePiece { piece: old, start } in &self.pieces {
            let Some(&at) = by_key.get(&*old.key) else {
                difference.gone.insert_range(*start..*start + old.rows);
                continue;
            };
            // Shared pieces come first and in our order, or positions would not follow the table's.
            if at != shared || version[at].rows != old.rows {
                return None;
            }
            shared += 1;
            difference.compare(old, *start, &version[at], at);
        }
        let mut start = self.rows;
        for (at, piece) in version.iter().enumerate().skip(shared) {
            let mut rows = RoaringBitmap::new();
            rows.insert_range(0..piece.rows);
            if let Some(deleted) = &piece.deleted {
                rows -= &**deleted;
            }
            difference.added.push(Added {
                piece: at,
                start: position(start).ok()?,
                rows,
            });
            start += piece.rows as usize;
        }
        position(start).ok()?;
        Some(difference)
    }

    fn reverse(&self) -> &Lists {
        self.reverse
            .get_or_init(|| self.forward.transposed(self.nodes_to, self.rows))
    }

    /// The lists in the order of neighbours.
    fn by_neighbour(&self, reverse: bool) -> &Lists {
        let (lists, turned) = match reverse {
            false => (&self.forward, self.reverse()),
            true => (self.reverse(), &self.forward),
        };
        let ordered = self.by_neighbour[usize::from(reverse)]
            .get_or_init(|| (!lists.are_by_neighbour()).then(|| lists.by_neighbour(turned)));
        ordered.as_ref().unwrap_or(lists)
    }
}

impl Difference {
    /// How many rows differ.
    pub fn rows(&self) -> usize {
        let added: u64 = self.added.iter().map(|added| added.rows.len()).sum();
        (self.gone.len() + added) as usize
    }

    /// The pieces of the version whose columns are needed.
    pub fn pieces(&self) -> impl Iterator<Item = usize> + '_ {
        self.added
            .iter()
            .filter(|added| !added.rows.is_empty())
            .map(|added| added.piece)
    }

    fn compare(&mut self, old: &Piece, start: u32, new: &Piece, at: usize) {
        let same = match (&old.deleted, &new.deleted) {
            (None, None) => true,
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            _ => false,
        };
        if same {
            return;
        }
        let none = RoaringBitmap::new();
        let before = old.deleted.as_deref().unwrap_or(&none);
        let after = new.deleted.as_deref().unwrap_or(&none);
        for row in after - before {
            self.gone.insert(start + row);
        }
        let revived = before - after;
        if !revived.is_empty() {
            self.added.push(Added {
                piece: at,
                start,
                rows: revived,
            });
        }
    }
}

impl Adjacency {
    /// `version` is what `difference` was made for; `columns` has the pieces that it asked for.
    pub fn new(
        base: Arc<Base>,
        version: &[Piece],
        difference: &Difference,
        columns: &HashMap<usize, Endpoints>,
        ends: &Ends,
    ) -> Result<Self> {
        let (mut src, mut dst, mut at) = (Vec::new(), Vec::new(), Vec::new());
        for added in &difference.added {
            let Some(columns) = columns.get(&added.piece) else {
                if added.rows.is_empty() {
                    continue;
                }
                return Err(Error::internal(
                    "an adjacency was built without the rows that it lacks",
                ));
            };
            for row in &added.rows {
                src.push(number(&columns.src, row, &ends.from)?);
                dst.push(number(&columns.dst, row, &ends.to)?);
                at.push(added.start + row);
            }
        }
        let gone = (!difference.gone.is_empty()).then(|| {
            let mut bits = Bits::new(base.rows);
            for position in &difference.gone {
                bits.insert(position);
            }
            bits
        });
        let places = base.places(version);
        Ok(Adjacency {
            gone,
            added_out: SparseLists::build(ends.from.len(), &src, &dst, &at),
            added_in: SparseLists::build(ends.to.len(), &dst, &src, &at),
            places,
            base,
        })
    }

    pub fn base(&self) -> &Arc<Base> {
        &self.base
    }

    /// What it holds beside its base.
    pub fn bytes(&self) -> usize {
        let gone = self.gone.as_ref().map_or(0, Bits::bytes);
        gone + self.added_out.bytes()
            + self.added_in.bytes()
            + self.places.len() * size_of::<Place>()
            + 200
    }

    /// Visits the neighbours of a node along (or, `reverse`, against) its edges, with the
    /// position of each edge, in the order of positions.
    #[inline]
    pub fn visit(&self, node: u32, reverse: bool, mut each: impl FnMut(u32, u32)) {
        let (lists, added) = self.lists(reverse);
        let (neighbours, positions) = lists.of(node as usize);
        let present = |position: u32| self.is_present(position);
        if !added.has.contains(node) {
            for (&neighbour, &position) in neighbours.iter().zip(positions) {
                if present(position) {
                    each(neighbour, position);
                }
            }
            return;
        }
        let (added_neighbours, added_positions) = added.of(node);
        let mut extra = added_neighbours.iter().zip(added_positions).peekable();
        for (&neighbour, &position) in neighbours.iter().zip(positions) {
            while let Some((&neighbour, &position)) = extra.next_if(|(_, added)| **added < position)
            {
                each(neighbour, position);
            }
            if present(position) {
                each(neighbour, position);
            }
        }
        for (&neighbour, &position) in extra {
            each(neighbour, position);
        }
    }

    /// Would [`Self::visit`] visit anything?
    pub fn has_edge(&self, node: u32, reverse: bool) -> bool {
        let (lists, added) = self.lists(reverse);
        let (_, positions) = lists.of(node as usize);
        added.has.contains(node) || positions.iter().any(|position| self.is_present(*position))
    }

    /// How many edges [`Self::visit`] looks at.
    #[inline]
    pub fn degree(&self, node: u32, reverse: bool) -> usize {
        let (lists, added) = self.lists(reverse);
        lists.of(node as usize).0.len() + added.of(node).0.len()
    }

    /// Visits the positions of the edges that lead from one node to another along (or,
    /// `reverse`, against) their direction, in order.
    pub fn visit_between(&self, from: u32, to: u32, reverse: bool, mut each: impl FnMut(u32)) {
        let mut added = self.added_between(from, to, reverse).peekable();
        for position in self.base_between(from, to, reverse) {
            while let Some(position) = added.next_if(|added| *added < position) {
                each(position);
            }
            each(position);
        }
        added.for_each(each);
    }

    /// Does an edge lead from one node to the other?
    pub fn joins(&self, from: u32, to: u32, reverse: bool) -> bool {
        let base = self.base_between(from, to, reverse).next();
        base.is_some() || self.added_between(from, to, reverse).next().is_some()
    }

    fn base_between(&self, from: u32, to: u32, reverse: bool) -> impl Iterator<Item = u32> + '_ {
        let (neighbours, positions) = self.base.by_neighbour(reverse).of(from as usize);
        let first = neighbours.partition_point(|neighbour| *neighbour < to);
        let same = neighbours[first..]
            .iter()
            .take_while(move |neighbour| **neighbour == to);
        let positions = same.zip(&positions[first..]).map(|(_, position)| *position);
        positions.filter(|position| self.is_present(*position))
    }

    fn added_between(&self, from: u32, to: u32, reverse: bool) -> impl Iterator<Item = u32> + '_ {
        let (_, added) = self.lists(reverse);
        let (neighbours, positions) = added.of(from);
        let edges = neighbours.iter().zip(positions);
        edges.filter_map(move |(neighbour, position)| (*neighbour == to).then_some(*position))
    }

    fn lists(&self, reverse: bool) -> (&Lists, &SparseLists) {
        match reverse {
            true => (self.base.reverse(), &self.added_in),
            false => (&self.base.forward, &self.added_out),
        }
    }

    fn is_present(&self, position: u32) -> bool {
        let gone = self.gone.as_ref();
        gone.is_none_or(|gone| !gone.contains(position))
    }

    /// Makes the lists that a walk against the arrows needs, so that no visit has to.
    pub fn prepare_reverse(&self) {
        self.base.reverse();
    }

    /// Makes the lists by which [`Self::joins`] and [`Self::visit_between`] search.
    pub fn prepare_joins(&self) {
        self.base.by_neighbour(false);
        self.base.by_neighbour(true);
    }

    pub fn has_joins(&self) -> bool {
        let mut lists = self.base.by_neighbour.iter();
        lists.all(|lists| lists.get().is_some())
    }

    pub fn has_reverse(&self) -> bool {
        self.base.reverse.get().is_some()
    }

    /// Which piece of the version an edge is in, and which row of it.
    pub fn row(&self, position: u32) -> Option<(usize, u32)> {
        let at = self.places.partition_point(|place| place.start <= position);
        let place = self.places.get(at.checked_sub(1)?)?;
        Some((place.piece, position - place.start))
    }
}

impl Base {
    fn places(&self, version: &[Piece]) -> Vec<Place> {
        let mut places = Vec::with_capacity(version.len());
        for BasePiece { piece, start } in &self.pieces {
            // Shared pieces come first in both, in one order.
            let at = places.len();
            if version.get(at).is_some_and(|new| new.key == piece.key) {
                places.push(Place {
                    start: *start,
                    piece: at,
                });
            }
        }
        let mut start = self.rows as u32;
        for (at, piece) in version.iter().enumerate().skip(places.len()) {
            places.push(Place { start, piece: at });
            start += piece.rows;
        }
        places
    }
}

impl Ends {
    fn lineages(&self) -> (u64, u64) {
        (self.from.lineage(), self.to.lineage())
    }
}

fn position(row: usize) -> Result<u32> {
    u32::try_from(row).map_err(|_| Error::LimitExceeded {
        what: "the number of edges of one type in a traversal".to_owned(),
        limit: u64::from(u32::MAX),
        actual: row as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(key: &str, rows: u32) -> Piece {
        Piece {
            key: key.into(),
            rows,
            deleted: None,
        }
    }

    fn ends(ids: &[&str]) -> Ends {
        let dictionary = Dictionary::new()
            .extend(
                &[("n".into(), StringArray::from(ids.to_vec()))],
                &Cancel::never(),
            )
            .unwrap();
        let dictionary = Arc::new(dictionary);
        Ends {
            from: Arc::clone(&dictionary),
            to: dictionary,
        }
    }

    fn endpoints(pairs: &[(&str, &str)]) -> Endpoints {
        let (src, dst): (Vec<&str>, Vec<&str>) = pairs.iter().copied().unzip();
        Endpoints {
            src: src.into(),
            dst: dst.into(),
        }
    }

    #[test]
    fn a_rewritten_table_needs_a_new_base() {
        let ends = ends(&["a", "b"]);
        let old = [piece("1", 1), piece("2", 1)];
        let columns = [endpoints(&[("a", "b")]), endpoints(&[("b", "a")])];
        let base = Base::build(&old, &columns, &ends, &Cancel::never()).unwrap();
        assert_eq!(base.difference(&old).unwrap().rows(), 0);
        assert!(
            base.difference(&[piece("2", 1), piece("1", 1)]).is_none(),
            "order"
        );
        assert!(
            base.difference(&[piece("3", 1), piece("1", 1)]).is_none(),
            "new first"
        );
        let appended = base.difference(&[piece("1", 1), piece("3", 5)]).unwrap();
        assert_eq!(appended.rows(), 6, "one gone, five added");
    }

    #[test]
    fn another_lineage_does_not_fit() {
        let ours = ends(&["a"]);
        let base = Base::build(&[], &[], &ours, &Cancel::never()).unwrap();
        assert!(base.fits(&ours));
        assert!(!base.fits(&ends(&["a"])));
    }

    #[test]
    fn an_edge_to_nowhere_is_reported_as_damage() {
        let ends = ends(&["a"]);
        let error = Base::build(
            &[piece("1", 1)],
            &[endpoints(&[("a", "zz")])],
            &ends,
            &Cancel::never(),
        )
        .unwrap_err();
        assert!(
            matches!(error, Error::Corrupt { ref message, .. } if message.contains("\"zz\"")),
            "{error}"
        );
    }

    #[test]
    fn building_stops_when_nobody_waits() {
        let ends = ends(&["a"]);
        let (cancel, guard) = Cancel::on_drop();
        drop(guard);
        let error = Base::build(
            &[piece("1", 1)],
            &[endpoints(&[("a", "a")])],
            &ends,
            &cancel,
        )
        .unwrap_err();
        assert!(matches!(error, Error::Cancelled));
    }
}
