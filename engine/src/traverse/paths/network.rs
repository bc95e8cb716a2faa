//! The nodes and edges that paths are searched in: all nodes under one numbering, and what
//! each edge weighs.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, Float64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::lost;
use crate::error::{Error, ObjectKind, Result};
use crate::schema::{ID_COLUMN, TypeId};
use crate::snapshot::Snapshot;
use crate::traverse::plan::{EdgeType, Plan};
use crate::traverse::walk::{Direction, Step};

/// An edge: its type's place among the network's, and its position there.
pub(super) type Edge = (u32, u32);

#[derive(Debug)]
pub(super) struct Network {
    plan: Plan,
    /// The number of each type's first node, and of the one after the last.
    starts: Vec<u32>,
    /// For each node type, the ways on from it, and the ways by which it is come to.
    ways: Vec<Vec<Way>>,
    back: Vec<Vec<Way>>,
    /// Of each edge type, piece by piece; `None`: each edge weighs 1.
    weights: Option<Vec<Vec<Float64Array>>>,
}

#[derive(Debug, Clone)]
struct Way {
    step: Step,
    edge: u32,
}

impl Network {
    pub(super) async fn open(
        snapshot: &Snapshot,
        edges: &[TypeId],
        direction: Direction,
        weight: Option<&str>,
    ) -> Result<Self> {
        let plan = Plan::new(snapshot, edges, direction).await?;
        // A search from both ends goes against the edges, too.
        for edge in &plan.edges {
            let topologies = edge.table.topologies();
            topologies.prepare_reverse(&edge.adjacency).await?;
        }
        let mut starts = vec![0u32];
        for ty in &plan.types {
            let last = starts.last().copied().unwrap_or_default();
            let next = u32::try_from(ty.dictionary.len()).ok();
            let next = next.and_then(|count| last.checked_add(count));
            starts.push(next.ok_or_else(|| Error::LimitExceeded {
                what: "the number of nodes of a search for paths".to_owned(),
                limit: u64::from(u32::MAX),
                actual: u64::MAX,
            })?);
        }
        let mut ways: Vec<Vec<Way>> = vec![Vec::new(); plan.types.len()];
        let mut back = ways.clone();
        for (ty, steps) in plan.steps.iter().enumerate() {
            for (step, edge) in steps.iter().zip(&plan.step_edges[ty]) {
                let edge = *edge as u32;
                let turned = Step {
                    adjacency: step.adjacency.clone(),
                    reverse: !step.reverse,
                    leads_to: ty as u32,
                };
                back[step.leads_to as usize].push(Way { step: turned, edge });
                let step = step.clone();
                ways[ty].push(Way { step, edge });
            }
        }
        let mut network = Network {
            plan,
            starts,
            ways,
            back,
            weights: None,
        };
        if let Some(name) = weight {
            let mut weights = Vec::new();
            for edge in &network.plan.edges {
                weights.push(weights_of(edge, name).await?);
            }
            network.weights = Some(weights);
        }
        Ok(network)
    }

    /// The nodes with these ids that paths can begin at, or end at: the place of each id and
    /// its node. What does not exist is left out.
    pub(super) async fn nodes(&self, ids: &[String], ends: bool) -> Result<Vec<(usize, u32)>> {
        let ways = if ends { &self.back } else { &self.ways };
        let mut found = Vec::new();
        for (ty, node_type) in self.plan.types.iter().enumerate() {
            if ways[ty].is_empty() {
                continue;
            }
            let known: Vec<(usize, u32)> = ids
                .iter()
                .enumerate()
                .filter_map(|(at, id)| Some((at, node_type.dictionary.find(id)?)))
                .collect();
            let names: Vec<&str> = known.iter().map(|(at, _)| ids[*at].as_str()).collect();
            let rows = node_type.table.find_ids(&names).await?;
            for ((at, number), row) in known.into_iter().zip(rows) {
                if row.is_some() {
                    found.push((at, self.starts[ty] + number));
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Visits the nodes that the edges of a node lead to, or (`back`) by whose edges it is
    /// come to.
    pub(super) fn visit(&self, node: u32, back: bool, mut each: impl FnMut(u32, Edge)) {
        let ty = self.type_of(node);
        let number = node - self.starts[ty];
        let ways = if back { &self.back } else { &self.ways };
        for way in &ways[ty] {
            let first = self.starts[way.step.leads_to as usize];
            way.step
                .adjacency
                .visit(number, way.step.reverse, |neighbour, position| {
                    each(first + neighbour, (way.edge, position));
                });
        }
    }

    pub(super) fn is_weighted(&self) -> bool {
        self.weights.is_some()
    }

    pub(super) fn weight(&self, (edge, position): Edge) -> Result<f64> {
        let Some(weights) = &self.weights else {
            return Ok(1.0);
        };
        let adjacency = &self.plan.edges[edge as usize].adjacency;
        let (piece, row) = adjacency.row(position).ok_or_else(lost)?;
        let pieces = &weights[edge as usize];
        let values = pieces.get(piece).ok_or_else(lost)?;
        if values.is_null(row as usize) {
            return Err(Error::Invalid {
                message: "the weight of an edge is null".to_owned(),
                detail: None,
                hint: Some("Every edge that a path could take needs a weight.".to_owned()),
            });
        }
        let weight = values.value(row as usize);
        if weight < 0.0 || weight.is_nan() {
            return Err(Error::invalid(format!(
                "the weight of an edge must not be negative (is {weight})"
            )));
        }
        Ok(weight)
    }

    pub(super) fn id(&self, node: u32) -> Result<&str> {
        let ty = self.type_of(node);
        let node_type = self.plan.types.get(ty).ok_or_else(lost)?;
        Ok(node_type.dictionary.id(node - self.starts[ty]))
    }

    pub(super) async fn edge_ids(&self, edges: &[Edge]) -> Result<Vec<String>> {
        let mut pieces: HashMap<(u32, usize), StringArray> = HashMap::new();
        let mut ids = Vec::with_capacity(edges.len());
        for &(edge, position) in edges {
            let edge_type = &self.plan.edges[edge as usize];
            let (piece, row) = edge_type.adjacency.row(position).ok_or_else(lost)?;
            if !pieces.contains_key(&(edge, piece)) {
                let chunks = edge_type.table.chunks().await?;
                let chunk = chunks.get(piece).ok_or_else(lost)?;
                let columns = edge_type.table.chunk_columns(chunk, &[ID_COLUMN]).await?;
                let column = columns.first().and_then(|column| column.as_string_opt());
                pieces.insert((edge, piece), column.cloned().ok_or_else(lost)?);
            }
            ids.push(pieces[&(edge, piece)].value(row as usize).to_owned());
        }
        Ok(ids)
    }

    fn type_of(&self, node: u32) -> usize {
        let after = self.starts.partition_point(|start| *start <= node);
        // Types without nodes begin where the next one does: the last of them has the node.
        after.saturating_sub(1)
    }
}

async fn weights_of(edge: &EdgeType, name: &str) -> Result<Vec<Float64Array>> {
    let def = edge.table.def();
    let (column, known) = def
        .column(name)
        .ok_or_else(|| Error::not_found(ObjectKind::Property, format!("{}.{name}", def.table)))?;
    if !known.data_type.is_numeric() {
        return Err(Error::invalid(format!(
            "\"{}.{name}\" is not a number, which a weight has to be",
            def.table
        )));
    }
    let mut pieces = Vec::new();
    for chunk in edge.table.chunks().await?.iter() {
        let columns = edge.table.chunk_columns(chunk, &[column]).await?;
        let values = columns.first().ok_or_else(lost)?;
        let values = cast(values, &DataType::Float64)?;
        pieces.push(values.as_primitive().clone());
    }
    Ok(pieces)
}
