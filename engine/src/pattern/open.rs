//! What all parts of a match read, opened once however many of them run beside each other.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::TryStreamExt;
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::pattern::context::Failure;
use crate::pattern::frame::Element;
use crate::pattern::graph::{Elements, Uses};
use crate::pattern::matcher::Starts;
use crate::pattern::program::Program;
use crate::pattern::{Memory, VariableId};
use crate::snapshot::Snapshot;
use crate::traverse::Bits;

/// A program, and the snapshot's elements that it looks at.
#[derive(Debug)]
pub struct Opened {
    pub(super) program: Arc<Program>,
    pub(super) snapshot: Snapshot,
    pub(super) elements: Elements,
    known: HashMap<VariableId, KnownNodes>,
    pub(super) progress: Progress,
    /// Holds what the known nodes take.
    _memory: Mutex<Box<dyn Memory>>,
}

#[derive(Debug, Default)]
pub(super) struct KnownNodes {
    pub nodes: Vec<Element>,
    by_table: HashMap<u32, Bits>,
}

/// What was done so far.
#[derive(Debug)]
pub(super) struct Progress {
    pub edges: AtomicU64,
    /// Behind each instruction of the program.
    pub frontiers: Vec<AtomicU64>,
}

/// What a match did, for who explains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Edges looked at.
    pub edges: u64,
    /// Partial matches behind each of the program's [steps](Program::steps).
    pub frontiers: Vec<u64>,
    /// Adjacencies of edge types that were there already, and those that were made.
    pub cached: usize,
    pub built: usize,
}

/// Opens a program over a snapshot. `known` are the nodes of the variables that the program
/// was told are known.
pub async fn open(
    snapshot: Snapshot,
    program: Arc<Program>,
    known: Vec<(VariableId, Starts)>,
    mut memory: Box<dyn Memory>,
) -> Result<Opened, Failure> {
    let mut uses = Uses::default();
    program.walked_backwards(&mut uses.backwards);
    program.joins(&mut uses.joins);
    let elements = Elements::open(&snapshot, &program.pattern.types(), &uses).await?;
    let mut nodes = HashMap::new();
    let mut bytes = 0;
    for (variable, mut ids) in known {
        let mut known = KnownNodes::default();
        while let Some((id, ids)) = ids.try_next().await? {
            known.add(elements.nodes(id, &ids)?, &elements)?;
            memory.resize(bytes + known.bytes())?;
        }
        bytes += known.bytes();
        nodes.insert(variable, known);
    }
    Ok(Opened {
        progress: Progress {
            edges: AtomicU64::new(0),
            frontiers: program.ops.iter().map(|_| AtomicU64::new(0)).collect(),
        },
        program,
        snapshot,
        elements,
        known: nodes,
        _memory: Mutex::new(memory),
    })
}

impl Opened {
    pub(super) fn known(&self, variable: VariableId) -> Result<&KnownNodes> {
        let known = self.known.get(&variable);
        known.ok_or_else(|| Error::internal("a variable whose nodes are not known"))
    }

    pub fn counts(&self) -> Counts {
        let frontiers = self.program.step_places().into_iter().map(|at| {
            let frontier = self.progress.frontiers.get(at);
            frontier.map_or(0, |count| count.load(Ordering::Relaxed))
        });
        Counts {
            edges: self.progress.edges.load(Ordering::Relaxed),
            frontiers: frontiers.collect(),
            cached: self.elements.cached,
            built: self.elements.built,
        }
    }
}

impl KnownNodes {
    fn add(&mut self, nodes: Vec<Element>, elements: &Elements) -> Result<()> {
        for node in nodes {
            let bits = match self.by_table.entry(node.table()) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => {
                    let count = elements
                        .node_count(node.table())
                        .ok_or_else(|| Error::internal("a known node that is an edge"))?;
                    entry.insert(Bits::new(count))
                }
            };
            if bits.insert(node.number()) {
                self.nodes.push(node);
            }
        }
        Ok(())
    }

    pub fn contains(&self, node: Element) -> bool {
        let bits = self.by_table.get(&node.table());
        bits.is_some_and(|bits| bits.contains(node.number()))
    }

    fn bytes(&self) -> usize {
        let bits: usize = self.by_table.values().map(Bits::bytes).sum();
        bits + size_of::<Element>() * self.nodes.capacity()
    }
}

impl Progress {
    pub fn looked_at(&self, edges: usize) {
        self.edges.fetch_add(edges as u64, Ordering::Relaxed);
    }
}
