//! Breadth first search from many starts, in slices.
//!
//! A [`Walk`] is advanced a bounded amount of work at a time, so that whoever drives it can
//! give way to others and stop at any moment. For each start it reports every node once, at
//! its least depth; nodes of one depth come in the order in which edges lead to them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::traverse::adjacency::Adjacency;
use crate::traverse::bits::Bits;

/// Which way edges are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From source to target.
    Out,
    /// From target to source.
    In,
    Both,
}

/// How far from a start: both inclusive, `max` none for as far as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hops {
    pub min: u32,
    pub max: Option<u32>,
}

/// A node: its type, as a position in the walk's list of types, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    pub ty: u32,
    pub number: u32,
}

/// A way to go on from the nodes of some type.
#[derive(Debug, Clone)]
pub struct Step {
    pub adjacency: Arc<Adjacency>,
    pub reverse: bool,
    /// The type of the nodes it leads to.
    pub leads_to: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Which of the starts, as the caller numbered them.
    pub start: u32,
    pub node: Node,
    pub depth: u32,
}

#[derive(Debug)]
pub struct Walk {
    /// For each type, the steps that lead on from it.
    steps: Vec<Vec<Step>>,
    hops: Hops,
    starts: VecDeque<(u32, Node)>,
    seen: Vec<Bits>,
    current: Option<Search>,
}

/// The search from one start, between two slices.
#[derive(Debug)]
struct Search {
    start: u32,
    /// Every node seen, in the order of discovery; a level is a range of it.
    found: Vec<Node>,
    /// The next node to go on from, and the end of its level.
    next: usize,
    level_end: usize,
    depth: u32,
    /// How much of `found` was reported, and the depth of what is reported next.
    reported: usize,
    reported_depth: u32,
    /// Where the levels end that were finished and not yet reported.
    levels: VecDeque<usize>,
}

/// About how many edges are looked at before a slice ends.
const SLICE_EDGES: usize = 1 << 17;

impl Walk {
    /// `nodes` has, for each type, one more than the greatest number of its nodes.
    pub fn new(
        nodes: &[usize],
        steps: Vec<Vec<Step>>,
        hops: Hops,
        starts: Vec<(u32, Node)>,
    ) -> Self {
        Walk {
            steps,
            hops,
            starts: starts.into(),
            seen: nodes.iter().map(|&count| Bits::new(count)).collect(),
            current: None,
        }
    }

    /// Works for a while and appends what it reached; false when there is nothing left.
    /// Ends early once `rows` are there.
    pub fn advance(&mut self, reached: &mut Vec<Reached>, rows: usize) -> bool {
        let mut budget = SLICE_EDGES;
        loop {
            let Some(mut search) = self.current.take().or_else(|| self.begin()) else {
                return false;
            };
            let finished = search.expand(
                &self.steps,
                &mut self.seen,
                self.hops.max,
                &mut budget,
                rows,
            );
            search.report(self.hops.min, reached, rows);
            if finished && search.reported == search.found.len() {
                self.forget(&search.found);
                // Many starts that lead nowhere are work, too.
                budget = budget.saturating_sub(16);
            } else {
                self.current = Some(search);
            }
            if budget == 0 || reached.len() >= rows {
                return true;
            }
        }
    }

    /// What it holds.
    pub fn bytes(&self) -> usize {
        let seen: usize = self.seen.iter().map(Bits::bytes).sum();
        let found = self
            .current
            .as_ref()
            .map_or(0, |search| search.found.capacity());
        seen + size_of::<Node>() * found
    }

    fn begin(&mut self) -> Option<Search> {
        let (start, node) = self.starts.pop_front()?;
        self.seen[node.ty as usize].insert(node.number);
        Some(Search {
            start,
            found: vec![node],
            next: 0,
            level_end: 1,
            depth: 0,
            reported: 0,
            reported_depth: 0,
            levels: VecDeque::from([1]),
        })
    }

    fn forget(&mut self, found: &[Node]) {
        if self.seen.len() == 1 {
            self.seen[0].clear(found.iter().map(|node| node.number));
            return;
        }
        for (ty, seen) in self.seen.iter_mut().enumerate() {
            let of_type: Vec<u32> = found
                .iter()
                .filter(|node| node.ty as usize == ty)
                .map(|node| node.number)
                .collect();
            seen.clear(of_type.into_iter());
        }
    }
}

impl Search {
    /// Goes on until the search is over (true), the budget is spent or enough is unreported.
    fn expand(
        &mut self,
        steps: &[Vec<Step>],
        seen: &mut [Bits],
        max: Option<u32>,
        budget: &mut usize,
        rows: usize,
    ) -> bool {
        loop {
            if self.next == self.level_end {
                if self.level_end == self.found.len() {
                    return true;
                }
                self.level_end = self.found.len();
                self.levels.push_back(self.level_end);
                self.depth += 1;
            }
            if max.is_some_and(|max| self.depth >= max) {
                return true;
            }
            if *budget == 0
                || self
                    .levels
                    .back()
                    .is_some_and(|end| end - self.reported.min(*end) >= rows)
            {
                return false;
            }
            let node = self.found[self.next];
            self.next += 1;
            let mut looked_at = 1;
            for step in &steps[node.ty as usize] {
                let seen = &mut seen[step.leads_to as usize];
                step.adjacency
                    .visit(node.number, step.reverse, |number, _| {
                        looked_at += 1;
                        if seen.insert(number) {
                            self.found.push(Node {
                                ty: step.leads_to,
                                number,
                            });
                        }
                    });
            }
            *budget = budget.saturating_sub(looked_at);
        }
    }

    /// Only whole levels: what is in an unfinished one is in its final order already, but
    /// keeping to levels keeps the depth in one place.
    fn report(&mut self, min: u32, reached: &mut Vec<Reached>, rows: usize) {
        while let Some(&end) = self.levels.front() {
            if self.reported_depth < min {
                self.reported = end;
            }
            let room = rows.saturating_sub(reached.len());
            let upto = end.min(self.reported + room);
            reached.extend(self.found[self.reported..upto].iter().map(|&node| Reached {
                start: self.start,
                node,
                depth: self.reported_depth,
            }));
            self.reported = upto;
            if upto < end {
                return;
            }
            self.levels.pop_front();
            self.reported_depth += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use arrow::array::StringArray;
    use proptest::prelude::*;
    use roaring::RoaringBitmap;

    use super::*;
    use crate::traverse::adjacency::{Base, Endpoints, Ends, Piece};
    use crate::traverse::cancel::Cancel;
    use crate::traverse::dictionary::Dictionary;

    /// One edge, in one of some chunks, with the versions in which it is deleted.
    #[derive(Debug, Clone)]
    struct Edge {
        src: u32,
        dst: u32,
        chunk: usize,
        gone_in_base: bool,
        gone_in_version: bool,
    }

    #[derive(Debug, Clone)]
    struct Graph {
        nodes: u32,
        edges: Vec<Edge>,
        /// Chunks below the first are in the base only, from the second on in the version only.
        base_only: usize,
        version_only: usize,
    }

    const CHUNKS: usize = 5;

    impl Graph {
        fn piece(&self, chunk: usize, base: bool) -> (Piece, Endpoints) {
            let edges: Vec<&Edge> = self
                .edges
                .iter()
                .filter(|edge| edge.chunk == chunk)
                .collect();
            let deleted: RoaringBitmap = edges
                .iter()
                .enumerate()
                .filter(|(_, edge)| {
                    if base {
                        edge.gone_in_base
                    } else {
                        edge.gone_in_version
                    }
                })
                .map(|(row, _)| row as u32)
                .collect();
            let column = |end: fn(&Edge) -> u32| -> StringArray {
                edges
                    .iter()
                    .map(|edge| Some(format!("n{}", end(edge))))
                    .collect()
            };
            let piece = Piece {
                key: format!("chunk-{chunk}").into(),
                rows: edges.len() as u32,
                deleted: (!deleted.is_empty()).then(|| Arc::new(deleted)),
            };
            let endpoints = Endpoints {
                src: column(|edge| edge.src),
                dst: column(|edge| edge.dst),
            };
            (piece, endpoints)
        }

        fn pieces(&self, base: bool) -> (Vec<Piece>, Vec<Endpoints>) {
            let chunks = if base {
                0..self.version_only
            } else {
                self.base_only..CHUNKS
            };
            chunks.map(|chunk| self.piece(chunk, base)).unzip()
        }

        fn ends(&self) -> Ends {
            // Base and version number their nodes in different dictionaries of one lineage.
            let ids = |range: std::ops::Range<u32>| -> StringArray {
                range.map(|n| Some(format!("n{n}"))).collect()
            };
            let first = Dictionary::new()
                .extend(&[("a".into(), ids(0..self.nodes))], &Cancel::never())
                .unwrap();
            let all = Arc::new(first);
            Ends {
                from: Arc::clone(&all),
                to: all,
            }
        }

        fn adjacency(&self, ends: &Ends) -> Adjacency {
            let (pieces, columns) = self.pieces(true);
            let base = Base::build(&pieces, &columns, ends, &Cancel::never()).unwrap();
            let (pieces, columns) = self.pieces(false);
            let difference = base.difference(&pieces).expect("the chunks are in order");
            let columns: HashMap<usize, Endpoints> = difference
                .pieces()
                .map(|piece| (piece, columns[piece].clone()))
                .collect();
            Adjacency::new(Arc::new(base), &pieces, &difference, &columns, ends).unwrap()
        }

        /// The edges of the version in table order, along or against the arrows.
        fn neighbours(&self, node: u32, reverse: bool) -> Vec<u32> {
            let mut edges: Vec<&Edge> = self
                .edges
                .iter()
                .filter(|edge| edge.chunk >= self.base_only && !edge.gone_in_version)
                .collect();
            edges.sort_by_key(|edge| edge.chunk);
            edges
                .iter()
                .filter_map(|edge| {
                    let (from, to) = if reverse {
                        (edge.dst, edge.src)
                    } else {
                        (edge.src, edge.dst)
                    };
                    (from == node).then_some(to)
                })
                .collect()
        }

        fn model(&self, starts: &[u32], direction: Direction, hops: Hops) -> Vec<(u32, u32, u32)> {
            let mut rows = Vec::new();
            for (index, &start) in starts.iter().enumerate() {
                let mut depths = BTreeMap::from([(start, 0)]);
                let mut order = vec![start];
                let mut next = 0;
                while let Some(&node) = order.get(next) {
                    next += 1;
                    let depth = depths[&node] + 1;
                    let mut to = Vec::new();
                    if direction != Direction::In {
                        to.extend(self.neighbours(node, false));
                    }
                    if direction != Direction::Out {
                        to.extend(self.neighbours(node, true));
                    }
                    for neighbour in to {
                        if let std::collections::btree_map::Entry::Vacant(entry) =
                            depths.entry(neighbour)
                        {
                            entry.insert(depth);
                            order.push(neighbour);
                        }
                    }
                }
                for node in order {
                    let depth = depths[&node];
                    if depth >= hops.min && hops.max.is_none_or(|max| depth <= max) {
                        rows.push((index as u32, node, depth));
                    }
                }
            }
            rows
        }
    }

    fn graphs() -> impl Strategy<Value = Graph> {
        (1u32..14, 0usize..3, 3usize..=CHUNKS).prop_flat_map(|(nodes, base_only, version_only)| {
            let edge = (
                0..nodes,
                0..nodes,
                0..CHUNKS,
                prop::bool::weighted(0.2),
                prop::bool::weighted(0.3),
            )
                .prop_map(|(src, dst, chunk, gone_in_base, gone_in_version)| Edge {
                    src,
                    dst,
                    chunk,
                    gone_in_base,
                    gone_in_version,
                });
            prop::collection::vec(edge, 0..40).prop_map(move |edges| Graph {
                nodes,
                edges,
                base_only,
                version_only,
            })
        })
    }

    fn steps(adjacency: Adjacency, direction: Direction) -> Vec<Vec<Step>> {
        let adjacency = Arc::new(adjacency);
        let step = |reverse| Step {
            adjacency: Arc::clone(&adjacency),
            reverse,
            leads_to: 0,
        };
        vec![match direction {
            Direction::Out => vec![step(false)],
            Direction::In => vec![step(true)],
            Direction::Both => vec![step(false), step(true)],
        }]
    }

    fn run(mut walk: Walk, rows: usize) -> Vec<(u32, u32, u32)> {
        let mut all = Vec::new();
        loop {
            let mut reached = Vec::new();
            let more = walk.advance(&mut reached, rows);
            assert!(reached.len() <= rows);
            all.extend(reached.iter().map(|r| (r.start, r.node.number, r.depth)));
            if !more {
                return all;
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn a_walk_finds_what_the_model_finds(
            graph in graphs(),
            min in 0u32..3,
            max in prop::option::of(0u32..6),
            rows in 1usize..20,
            direction in prop::sample::select(vec![Direction::Out, Direction::In, Direction::Both]),
        ) {
            let ends = graph.ends();
            let hops = Hops { min, max };
            let starts: Vec<u32> = (0..graph.nodes).collect();
            let walk = Walk::new(
                &[ends.from.len()],
                steps(graph.adjacency(&ends), direction),
                hops,
                starts.iter().map(|&number| (number, Node { ty: 0, number })).collect(),
            );
            prop_assert_eq!(run(walk, rows), graph.model(&starts, direction, hops));
        }

        #[test]
        fn positions_lead_back_to_rows(graph in graphs()) {
            let ends = graph.ends();
            let adjacency = graph.adjacency(&ends);
            let (_, columns) = graph.pieces(false);
            for node in 0..graph.nodes {
                let mut last = None;
                adjacency.visit(node, false, |neighbour, position| {
                    let (piece, row) = adjacency.row(position).unwrap();
                    let row = row as usize;
                    assert_eq!(columns[piece].src.value(row), format!("n{node}"));
                    assert_eq!(columns[piece].dst.value(row), format!("n{neighbour}"));
                    assert!(last < Some(position), "positions ascend");
                    last = Some(position);
                });
                assert_eq!(adjacency.has_edge(node, false), last.is_some());
            }
        }

        #[test]
        fn the_edges_between_two_nodes_are_those_that_a_visit_meets(graph in graphs()) {
            let ends = graph.ends();
            let adjacency = graph.adjacency(&ends);
            for (from, reverse) in (0..graph.nodes).flat_map(|node| [(node, false), (node, true)]) {
                for to in 0..graph.nodes {
                    let (mut met, mut between) = (Vec::new(), Vec::new());
                    adjacency.visit(from, reverse, |neighbour, position| {
                        met.extend((neighbour == to).then_some(position));
                    });
                    adjacency.visit_between(from, to, reverse, |position| between.push(position));
                    prop_assert_eq!(adjacency.joins(from, to, reverse), !met.is_empty());
                    prop_assert_eq!(between, met);
                }
                let mut met = 0;
                adjacency.visit(from, reverse, |_, _| met += 1);
                prop_assert!(adjacency.degree(from, reverse) >= met);
            }
        }
    }

    #[test]
    fn types_keep_their_numbers_apart() {
        // people 0.. → teams 0.., and back: number 0 of one type is not number 0 of the other.
        let ids = |prefix: &str, count: u32| -> StringArray {
            (0..count).map(|n| Some(format!("{prefix}{n}"))).collect()
        };
        let dictionary = |ids: StringArray| {
            Arc::new(
                Dictionary::new()
                    .extend(&[("a".into(), ids)], &Cancel::never())
                    .unwrap(),
            )
        };
        let ends = Ends {
            from: dictionary(ids("p", 3)),
            to: dictionary(ids("t", 2)),
        };
        let piece = Piece {
            key: "e".into(),
            rows: 3,
            deleted: None,
        };
        let endpoints = Endpoints {
            src: StringArray::from(vec!["p0", "p1", "p2"]),
            dst: StringArray::from(vec!["t0", "t0", "t1"]),
        };
        let base = Base::build(
            std::slice::from_ref(&piece),
            &[endpoints],
            &ends,
            &Cancel::never(),
        )
        .unwrap();
        let difference = base.difference(std::slice::from_ref(&piece)).unwrap();
        let adjacency = Arc::new(
            Adjacency::new(
                Arc::new(base),
                &[piece],
                &difference,
                &HashMap::new(),
                &ends,
            )
            .unwrap(),
        );
        let step = |reverse, leads_to| Step {
            adjacency: Arc::clone(&adjacency),
            reverse,
            leads_to,
        };
        let mut walk = Walk::new(
            &[3, 2],
            vec![vec![step(false, 1)], vec![step(true, 0)]],
            Hops { min: 0, max: None },
            vec![(7, Node { ty: 0, number: 0 })],
        );
        let mut reached = Vec::new();
        while walk.advance(&mut reached, 100) {}
        let node = |ty, number| Node { ty, number };
        let expected = [(node(0, 0), 0), (node(1, 0), 1), (node(0, 1), 2)];
        assert_eq!(
            reached,
            expected.map(|(node, depth)| Reached {
                start: 7,
                node,
                depth
            })
        );
    }
}
