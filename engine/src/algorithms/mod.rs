//! Algorithms over whole graphs: all nodes that some edge types join, and all their edges.
//!
//! A [`WholeGraph`] numbers the nodes that exist, in the order of their tables, and lists the
//! nodes that each one's edges lead to. Parallel edges count as often as they are. What an
//! algorithm answers is one value for each node, the same for equal snapshots.

mod betweenness;
mod communities;
mod components;
mod louvain;
mod pagerank;
mod triangles;

pub use pagerank::PageRank;

use std::sync::Arc;

use arrow::array::AsArray;
use futures::TryStreamExt;
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::pattern::{Failure, Memory};
use crate::schema::{ID_COLUMN, TypeId};
use crate::snapshot::Snapshot;
use crate::table::ScanRequest;
use crate::traverse::{Direction, Plan};

pub use crate::traverse::Cancel;

#[derive(Debug)]
pub struct WholeGraph {
    plan: Plan,
    /// Type and number of each node.
    nodes: Vec<(u32, u32)>,
    out: Links,
    /// Holds what the graph and an algorithm over it take.
    _memory: Mutex<Box<dyn Memory>>,
}

/// For each node, where its edges lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// Where a node's list begins; one more at the end.
    offsets: Vec<usize>,
    targets: Vec<u32>,
}

/// No node.
const NONE: u32 = u32::MAX;
/// Rows read at a time.
const BATCH_ROWS: usize = 8192;
/// What the graph takes, and the algorithm that takes most.
const NODE_BYTES: usize = 64;
const EDGE_BYTES: usize = 20;

impl WholeGraph {
    /// The nodes of the types at both ends of these edge types.
    pub async fn load(
        snapshot: &Snapshot,
        edges: &[TypeId],
        mut memory: Box<dyn Memory>,
    ) -> Result<Self, Failure> {
        let plan = Plan::new(snapshot, edges, Direction::Out).await?;
        let all_nodes: usize = plan.types.iter().map(|ty| ty.dictionary.len()).sum();
        let all_edges: u64 = plan.edges.iter().map(|ty| ty.table.row_count()).sum();
        memory.resize(NODE_BYTES * all_nodes + EDGE_BYTES * all_edges as usize)?;
        let mut nodes = Vec::new();
        let mut indexes: Vec<Vec<u32>> = Vec::with_capacity(plan.types.len());
        for (ty, node_type) in plan.types.iter().enumerate() {
            let mut index = vec![NONE; node_type.dictionary.len()];
            let mut next = 0;
            let request = ScanRequest {
                columns: vec![ID_COLUMN],
                partitions: 1,
                batch_rows: BATCH_ROWS,
            };
            for mut rows in node_type.table.scan(request).await? {
                while let Some(batch) = rows.try_next().await? {
                    let ids = batch
                        .column(0)
                        .as_string_opt::<i32>()
                        .ok_or_else(|| Error::internal("an id column that is not text"))?;
                    for id in ids.iter().flatten() {
                        // Numbers mostly follow the rows.
                        let number = match node_type.dictionary.is(next, id) {
                            true => next,
                            false => node_type.dictionary.find(id).ok_or_else(|| {
                                Error::internal("a node that its dictionary does not know")
                            })?,
                        };
                        next = number + 1;
                        index[number as usize] = count(nodes.len())?;
                        nodes.push((ty as u32, number));
                    }
                }
            }
            indexes.push(index);
        }
        let (plan, nodes, out) = on_a_thread(move |cancel| {
            let mut offsets = Vec::with_capacity(nodes.len() + 1);
            let mut targets = Vec::new();
            offsets.push(0);
            for (at, &(ty, number)) in nodes.iter().enumerate() {
                cancel.check_at(at)?;
                for step in &plan.steps[ty as usize] {
                    let index = &indexes[step.leads_to as usize];
                    step.adjacency.visit(number, step.reverse, |neighbour, _| {
                        if let Some(&there) = index
                            .get(neighbour as usize)
                            .filter(|there| **there != NONE)
                        {
                            targets.push(there);
                        }
                    });
                }
                offsets.push(targets.len());
            }
            Ok((plan, nodes, Links { offsets, targets }))
        })
        .await?;
        Ok(WholeGraph {
            plan,
            nodes,
            out,
            _memory: Mutex::new(memory),
        })
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub fn id(&self, node: usize) -> &str {
        let (ty, number) = self.nodes[node];
        self.plan.types[ty as usize].dictionary.id(number)
    }

    /// The table of the node's type.
    pub fn table(&self, node: usize) -> &str {
        let (ty, _) = self.nodes[node];
        &self.plan.types[ty as usize].table.def().table
    }

    pub fn links(&self) -> &Links {
        &self.out
    }
}

fn count(nodes: usize) -> Result<u32> {
    u32::try_from(nodes)
        .ok()
        .filter(|count| *count < NONE)
        .ok_or_else(|| Error::LimitExceeded {
            what: "the number of nodes of an algorithm".to_owned(),
            limit: u64::from(NONE) - 1,
            actual: nodes as u64,
        })
}

/// Runs long work where it blocks nobody; giving the future up ends it.
pub async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce(Cancel) -> Result<T> + Send + 'static,
) -> Result<T> {
    crate::traverse::on_a_thread(work).await
}

/// An algorithm over a graph, run where it blocks nobody.
pub async fn run<T: Send + 'static>(
    graph: Arc<WholeGraph>,
    work: impl FnOnce(&Links, &Cancel) -> Result<T> + Send + 'static,
) -> Result<T> {
    on_a_thread(move |cancel| work(&graph.out, &cancel)).await
}

impl Links {
    /// Of `nodes` nodes, with these edges in the order of what they leave.
    #[cfg(test)]
    fn of(nodes: usize, edges: &[(u32, u32)]) -> Links {
        let mut offsets = vec![0];
        let mut targets = Vec::new();
        for node in 0..nodes as u32 {
            targets.extend(
                edges
                    .iter()
                    .filter(|(from, _)| *from == node)
                    .map(|(_, to)| *to),
            );
            offsets.push(targets.len());
        }
        Links { offsets, targets }
    }

    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn of_node(&self, node: usize) -> &[u32] {
        &self.targets[self.offsets[node]..self.offsets[node + 1]]
    }

    /// How many edges leave each node, and how many enter it.
    pub fn degrees(&self) -> (Vec<i64>, Vec<i64>) {
        let out = self
            .offsets
            .windows(2)
            .map(|ends| (ends[1] - ends[0]) as i64)
            .collect();
        let mut entering = vec![0; self.len()];
        for target in &self.targets {
            entering[*target as usize] += 1;
        }
        (out, entering)
    }

    /// The same edges, from their other ends.
    fn reversed(&self) -> Links {
        let mut offsets = vec![0; self.len() + 1];
        for target in &self.targets {
            offsets[*target as usize + 1] += 1;
        }
        for at in 1..offsets.len() {
            offsets[at] += offsets[at - 1];
        }
        let mut next = offsets.clone();
        let mut targets = vec![0; self.targets.len()];
        for node in 0..self.len() {
            for target in self.of_node(node) {
                let slot = &mut next[*target as usize];
                targets[*slot] = node as u32;
                *slot += 1;
            }
        }
        Links { offsets, targets }
    }

    /// Each node's neighbours whichever way, ascending, once, without the node itself.
    fn neighbours(&self) -> Links {
        let back = self.reversed();
        let mut offsets = vec![0];
        let mut targets = Vec::with_capacity(2 * self.targets.len());
        let mut all = Vec::new();
        for node in 0..self.len() {
            all.clear();
            all.extend(self.of_node(node).iter().chain(back.of_node(node)));
            all.sort_unstable();
            all.dedup();
            targets.extend(all.iter().filter(|other| **other as usize != node));
            offsets.push(targets.len());
        }
        Links { offsets, targets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_turned_and_merged() {
        let links = Links::of(3, &[(0, 1), (0, 1), (1, 2), (2, 2)]);
        assert_eq!(links.degrees(), (vec![2, 1, 1], vec![0, 2, 2]));
        assert_eq!(
            links.reversed(),
            Links::of(3, &[(1, 0), (1, 0), (2, 1), (2, 2)])
        );
        assert_eq!(
            links.neighbours(),
            Links::of(3, &[(0, 1), (1, 0), (1, 2), (2, 1)])
        );
    }
}
