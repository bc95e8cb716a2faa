//! What a traversal needs from a snapshot before it can begin.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::{Error, ObjectKind, Result};
use crate::schema::TypeId;
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::traverse::adjacency::{Adjacency, Ends};
use crate::traverse::dictionary::Dictionary;
use crate::traverse::topologies::Topologies;
use crate::traverse::walk::{Direction, Node, Step};

/// The node types that some edge types join, the edges' adjacencies, and the ways to go.
#[derive(Debug)]
pub(crate) struct Plan {
    pub types: Vec<NodeType>,
    pub edges: Vec<EdgeType>,
    /// For each node type, the steps that lead on from it, in the order of the edge types.
    pub steps: Vec<Vec<Step>>,
    /// For each of those steps, which of `edges` it takes.
    pub step_edges: Vec<Vec<usize>>,
}

#[derive(Debug)]
pub(crate) struct NodeType {
    pub table: Table,
    pub dictionary: Arc<Dictionary>,
}

#[derive(Debug)]
pub(crate) struct EdgeType {
    pub table: Table,
    pub adjacency: Arc<Adjacency>,
}

impl Plan {
    pub async fn new(snapshot: &Snapshot, edges: &[TypeId], direction: Direction) -> Result<Self> {
        let mut plan = Plan {
            types: Vec::new(),
            edges: Vec::new(),
            steps: Vec::new(),
            step_edges: Vec::new(),
        };
        let mut seen = HashSet::new();
        for &id in edges.iter().filter(|id| seen.insert(**id)) {
            let table = table(snapshot, id)?;
            let topologies = Arc::clone(table.topologies());
            let (from, to) = table.def().endpoints().ok_or_else(|| Error::Invalid {
                message: format!("\"{}\" is not an edge type", table.def().table),
                detail: None,
                hint: Some("Traversals follow edges; name the table of an edge type.".to_owned()),
            })?;
            let numbered = async {
                let from = plan.node_type(snapshot, &topologies, from).await?;
                let to = plan.node_type(snapshot, &topologies, to).await?;
                Ok::<_, Error>((from, to))
            };
            let (numbered, ()) = tokio::join!(numbered, topologies.read_ahead(&table));
            let (from, to) = numbered?;
            let ends = Ends {
                from: Arc::clone(&plan.types[from].dictionary),
                to: Arc::clone(&plan.types[to].dictionary),
            };
            let adjacency = topologies.adjacency(&table, &ends).await?;
            if direction != Direction::Out {
                topologies.prepare_reverse(&adjacency).await?;
            }
            let edge = plan.edges.len();
            if direction != Direction::In {
                plan.step(edge, &adjacency, from, to, false);
            }
            if direction != Direction::Out {
                plan.step(edge, &adjacency, to, from, true);
            }
            plan.edges.push(EdgeType { table, adjacency });
        }
        Ok(plan)
    }

    /// The nodes with these ids that the steps can begin at, each id in its place once. An
    /// id that no such node has is left out.
    ///
    /// A node with an edge exists. For one without, the table is asked, but only when
    /// `lonely` nodes matter.
    pub async fn starts(&self, ids: &[String], lonely: bool) -> Result<Vec<(u32, Node)>> {
        let mut starts = Vec::new();
        let mut unsure: Vec<Vec<(u32, &str)>> = vec![Vec::new(); self.types.len()];
        let mut seen = HashSet::new();
        for (at, id) in ids
            .iter()
            .enumerate()
            .filter(|(_, id)| seen.insert(id.as_str()))
        {
            for (ty, node_type) in self.types.iter().enumerate() {
                if self.steps[ty].is_empty() {
                    continue;
                }
                let Some(number) = node_type.dictionary.find(id) else {
                    continue;
                };
                let node = Node {
                    ty: ty as u32,
                    number,
                };
                if self.has_edge(node) {
                    starts.push((at as u32, node));
                } else if lonely {
                    unsure[ty].push((at as u32, id));
                }
            }
        }
        for (ty, unsure) in unsure
            .iter()
            .enumerate()
            .filter(|(_, unsure)| !unsure.is_empty())
        {
            let node_type = &self.types[ty];
            let ids: Vec<&str> = unsure.iter().map(|(_, id)| *id).collect();
            let found = node_type.table.find_ids(&ids).await?;
            for ((at, id), _) in unsure
                .iter()
                .zip(found)
                .filter(|(_, found)| found.is_some())
            {
                if let Some(number) = node_type.dictionary.find(id) {
                    starts.push((
                        *at,
                        Node {
                            ty: ty as u32,
                            number,
                        },
                    ));
                }
            }
        }
        starts.sort_unstable();
        Ok(starts)
    }

    fn has_edge(&self, node: Node) -> bool {
        let mut steps = self.steps[node.ty as usize].iter();
        steps.any(|step| step.adjacency.has_edge(node.number, step.reverse))
    }

    async fn node_type(
        &mut self,
        snapshot: &Snapshot,
        topologies: &Topologies,
        id: TypeId,
    ) -> Result<usize> {
        if let Some(at) = self
            .types
            .iter()
            .position(|known| known.table.def().id == id)
        {
            return Ok(at);
        }
        let table = table(snapshot, id)?;
        let dictionary = topologies.dictionary(&table).await?;
        self.types.push(NodeType { table, dictionary });
        self.steps.push(Vec::new());
        self.step_edges.push(Vec::new());
        Ok(self.types.len() - 1)
    }

    fn step(
        &mut self,
        edge: usize,
        adjacency: &Arc<Adjacency>,
        from: usize,
        to: usize,
        reverse: bool,
    ) {
        self.steps[from].push(Step {
            adjacency: Arc::clone(adjacency),
            reverse,
            leads_to: to as u32,
        });
        self.step_edges[from].push(edge);
    }
}

fn table(snapshot: &Snapshot, id: TypeId) -> Result<Table> {
    snapshot
        .table(id)
        .ok_or_else(|| Error::not_found(ObjectKind::Type, format!("{:016x}", id.0)))
}
