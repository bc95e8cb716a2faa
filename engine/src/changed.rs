//! Which rows may differ between two versions of a table, found without reading the rest.
//!
//! A row that is live in the same place of the same file on both sides is the same row. What
//! remains is paired by id, in ranges of ids, so that memory is bounded whatever the change.
//! A pair may still be equal by value: its row was only moved to another file. Where the commits
//! between the two versions list what they wrote, rows that were only moved are passed over
//! unread.

use std::collections::{BTreeMap, HashMap};

use arrow::array::AsArray;
use roaring::RoaringBitmap;

use crate::error::{Error, Result};
use crate::schema::ID_COLUMN;
use crate::table::{Chunk, RowPosition, Table};

/// Pairs that are in memory at the same time.
const AT_ONCE: u64 = 1 << 18;
/// Ids looked at for each boundary between ranges.
const SAMPLES: u64 = 64;
/// Rows that are found again together.
const RELOCATED: usize = 1 << 16;

/// Offsets by the number of their chunk.
pub(crate) type Places = BTreeMap<u32, RoaringBitmap>;

/// A row by id, where the two sides have it. At least one side does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub id: String,
    pub old: Option<RowPosition>,
    pub new: Option<RowPosition>,
}

/// The pairs of two versions of a table, by ascending id.
pub(crate) struct Pairs {
    sides: [Side; 2],
    /// The first id of each range but the first.
    bounds: Vec<String>,
    range: usize,
}

#[derive(Clone)]
struct Side {
    table: Option<Table>,
    places: Places,
}

impl Pairs {
    pub async fn between(old: Option<Table>, new: Option<Table>) -> Result<Pairs> {
        Self::in_ranges(old, new, AT_ONCE).await
    }

    /// With about so many rows in a range.
    async fn in_ranges(old: Option<Table>, new: Option<Table>, at_once: u64) -> Result<Pairs> {
        let same = matches!((&old, &new), (Some(old), Some(new)) if old.key() == new.key());
        let places = if same {
            [Places::new(), Places::new()]
        } else {
            [
                moved(old.as_ref(), new.as_ref()).await?,
                moved(new.as_ref(), old.as_ref()).await?,
            ]
        };
        let [old_places, new_places] = places;
        let sides = [
            Side {
                table: old,
                places: old_places,
            },
            Side {
                table: new,
                places: new_places,
            },
        ];
        let bounds = bounds(&sides, at_once).await?;
        Ok(Pairs {
            sides,
            bounds,
            range: 0,
        })
    }

    /// The old side's rows, and the new side's.
    pub fn places(&self) -> [&Places; 2] {
        [&self.sides[0].places, &self.sides[1].places]
    }

    /// Is a row of one of these places among the pairs?
    pub fn hold(&self, old: Option<RowPosition>, new: Option<RowPosition>) -> bool {
        self.sides.iter().zip([old, new]).any(|(side, at)| {
            at.and_then(|at| Some(side.places.get(&at.chunk)?.contains(at.offset)))
                .unwrap_or(false)
        })
    }

    /// The next range of ids; some may hold none.
    pub async fn next(&mut self) -> Result<Option<Vec<Pair>>> {
        let range = self.range;
        if range > self.bounds.len() || self.sides.iter().all(|side| side.places.is_empty()) {
            return Ok(None);
        }
        self.range += 1;
        let from = range.checked_sub(1).map(|at| self.bounds[at].as_str());
        let to = self.bounds.get(range).map(String::as_str);
        let within = |id: &str| from.is_none_or(|from| id >= from) && to.is_none_or(|to| id < to);
        let [mut olds, mut news] = [Vec::new(), Vec::new()];
        for (side, found) in self.sides.iter().zip([&mut olds, &mut news]) {
            side.each_id(|id, position| {
                if within(id) {
                    found.push((id.to_owned(), position));
                }
            })
            .await?;
            found.sort_unstable();
        }
        Ok(Some(paired(olds, news)))
    }
}

impl Side {
    /// Calls `with` for every row, chunk by chunk.
    async fn each_id(&self, mut with: impl FnMut(&str, RowPosition)) -> Result<()> {
        let Some(table) = &self.table else {
            return Ok(());
        };
        let chunks = table.chunks().await?;
        for (&chunk, offsets) in &self.places {
            let offsets: Vec<u32> = offsets.iter().collect();
            let columns = table
                .take_of(&chunks[chunk as usize], &[0], &offsets)
                .await?;
            let ids = columns[0].as_string::<i32>();
            for (row, &offset) in offsets.iter().enumerate() {
                with(ids.value(row), RowPosition { chunk, offset });
            }
        }
        Ok(())
    }
}

/// The live rows of `table` that are not, in the same place, live rows of `other`. Of files that
/// `other` lacks, where it is known what was written since: the rows with those ids.
pub(crate) async fn moved(table: Option<&Table>, other: Option<&Table>) -> Result<Places> {
    let Some(table) = table else {
        return Ok(Places::new());
    };
    let others = Located::of(other).await?;
    let listed = other.and_then(|other| {
        let written = table.written_since(&other.key());
        written.or_else(|| other.written_since(&table.key()))
    });
    let chunks = table.chunks().await?;
    let mut found = Places::new();
    for (number, chunk) in chunks.iter().enumerate() {
        let offsets: RoaringBitmap = match others.chunk(chunk) {
            // Live here and gone there: exactly what the other side deleted.
            Some((_, same)) => match &same.deleted {
                Some(gone) => gone
                    .iter()
                    .filter(|offset| chunk.is_live(*offset))
                    .collect(),
                None => RoaringBitmap::new(),
            },
            None if listed.is_some() => continue,
            None => {
                let mut all: RoaringBitmap = (0..chunk.rows).collect();
                if let Some(deleted) = &chunk.deleted {
                    all -= &**deleted;
                }
                all
            }
        };
        if !offsets.is_empty() {
            found.insert(number as u32, offsets);
        }
    }
    if let Some(listed) = listed {
        let ids: Vec<&str> = listed.iter().map(String::as_str).collect();
        let own = |chunk: &Chunk| others.chunk(chunk).is_none();
        for at in table.find_ids_among(&ids, own).await?.into_iter().flatten() {
            found.entry(at.chunk).or_default().insert(at.offset);
        }
    }
    Ok(found)
}

/// Where rows that nobody has written are in another version, whose files may be others.
pub(crate) async fn relocated(
    old: &Table,
    new: &Table,
    rows: impl Iterator<Item = RowPosition>,
) -> Result<Vec<RowPosition>> {
    let located = Located::of(Some(new)).await?;
    let chunks = old.chunks().await?;
    let mut found = Vec::new();
    let mut elsewhere = Vec::new();
    for row in rows {
        match located.row(&chunks[row.chunk as usize], row.offset) {
            Some(place) => found.push(place),
            None => elsewhere.push(row),
        }
    }
    for rows in elsewhere.chunks(RELOCATED) {
        let held = old.take(rows, &[ID_COLUMN]).await?;
        let ids: Vec<&str> = held.column(0).as_string::<i32>().iter().flatten().collect();
        for place in new.find_ids(&ids).await? {
            let place = place.ok_or_else(|| Error::internal("a row was lost in maintenance"))?;
            found.push(place);
        }
    }
    Ok(found)
}

pub(crate) fn count(places: &Places) -> u64 {
    places.values().map(RoaringBitmap::len).sum()
}

/// A table's chunks by what they were read from, to find a row of another version in it.
#[derive(Debug)]
pub(crate) struct Located {
    chunks: HashMap<std::sync::Arc<str>, (u32, Chunk)>,
}

impl Located {
    pub async fn of(table: Option<&Table>) -> Result<Located> {
        let mut chunks = HashMap::new();
        if let Some(table) = table {
            for (number, chunk) in table.chunks().await?.iter().enumerate() {
                chunks.insert(chunk.key.clone(), (number as u32, chunk.clone()));
            }
        }
        Ok(Located { chunks })
    }

    /// The same file in this table.
    pub fn chunk(&self, chunk: &Chunk) -> Option<(u32, &Chunk)> {
        self.chunks
            .get(&chunk.key)
            .map(|(number, chunk)| (*number, chunk))
    }

    /// Where the row of `chunk` at `offset` is in this table, if it is still live there.
    pub fn row(&self, chunk: &Chunk, offset: u32) -> Option<RowPosition> {
        let (number, same) = self.chunk(chunk)?;
        same.is_live(offset).then_some(RowPosition {
            chunk: number,
            offset,
        })
    }
}

/// Where to divide the ids so that about `at_once` rows lie in each range.
async fn bounds(sides: &[Side; 2], at_once: u64) -> Result<Vec<String>> {
    let total: u64 = sides.iter().map(|side| count(&side.places)).sum();
    if total <= at_once {
        return Ok(Vec::new());
    }
    let every = at_once / SAMPLES;
    let mut samples = Vec::new();
    let mut seen = 0;
    for side in sides {
        side.each_id(|id, _| {
            if seen % every == 0 {
                samples.push(id.to_owned());
            }
            seen += 1;
        })
        .await?;
    }
    samples.sort_unstable();
    let mut bounds: Vec<String> = samples
        .into_iter()
        .skip(SAMPLES as usize)
        .step_by(SAMPLES as usize)
        .collect();
    bounds.dedup();
    Ok(bounds)
}

/// Joins two lists that are sorted by id.
fn paired(olds: Vec<(String, RowPosition)>, news: Vec<(String, RowPosition)>) -> Vec<Pair> {
    let mut pairs = Vec::with_capacity(olds.len().max(news.len()));
    let (mut olds, mut news) = (olds.into_iter().peekable(), news.into_iter().peekable());
    loop {
        let order = match (olds.peek(), news.peek()) {
            (Some((old, _)), Some((new, _))) => old.cmp(new),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return pairs,
        };
        let old = if order.is_le() { olds.next() } else { None };
        let new = if order.is_ge() { news.next() } else { None };
        let (old_at, new_at) = (
            old.as_ref().map(|(_, at)| *at),
            new.as_ref().map(|(_, at)| *at),
        );
        if let Some((id, _)) = new.or(old) {
            pairs.push(Pair {
                id,
                old: old_at,
                new: new_at,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Fixture, add_people, begin, commit};

    async fn all(mut pairs: Pairs) -> (usize, Vec<Pair>) {
        let (mut ranges, mut all) = (0, Vec::new());
        while let Some(range) = pairs.next().await.unwrap() {
            ranges += 1;
            all.extend(range);
        }
        (ranges, all)
    }

    #[tokio::test]
    async fn ranges_divide_the_pairs_and_keep_their_order() {
        let fixture = Fixture::in_memory().await;
        let graph = &fixture.graph;
        let names: Vec<String> = (0..600)
            .map(|number| format!("p{}", number * 7 % 600))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (first, rest) = names.split_at(300);
        add_people(graph, "main", first).await.unwrap();
        let old = graph.snapshot("main").await.unwrap().table_named("person");
        add_people(graph, "main", rest).await.unwrap();
        let mut transaction = begin(graph, "main").await;
        let gone: Vec<String> = first
            .iter()
            .step_by(3)
            .map(|name| (*name).to_owned())
            .collect();
        let person = old.as_ref().unwrap().def().id;
        transaction.delete(person, &gone).await.unwrap();
        commit(transaction).await.unwrap();
        let new = graph.snapshot("main").await.unwrap().table_named("person");
        let whole = Pairs::in_ranges(old.clone(), new.clone(), AT_ONCE)
            .await
            .unwrap();
        let (one, expected) = all(whole).await;
        assert_eq!((one, expected.len()), (1, 400));
        assert!(expected.is_sorted_by(|left, right| left.id < right.id));
        for at_once in [SAMPLES, 2 * SAMPLES, 300] {
            let parts = Pairs::in_ranges(old.clone(), new.clone(), at_once)
                .await
                .unwrap();
            let (ranges, found) = all(parts).await;
            assert!(ranges > 1 && ranges <= 8, "{ranges}");
            assert_eq!(found, expected);
        }
    }
}
