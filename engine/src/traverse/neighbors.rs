//! The edges at some nodes, one row each, with the node at the other end.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use futures::stream::{BoxStream, StreamExt};

use crate::error::{Error, Result};
use crate::schema::{ID_COLUMN, TypeId};
use crate::snapshot::Snapshot;
use crate::traverse::plan::Plan;
use crate::traverse::walk::{Direction, Node};

#[derive(Debug, Clone)]
pub struct NeighborsRequest {
    pub edges: Vec<TypeId>,
    pub nodes: Vec<String>,
    pub direction: Direction,
    /// No more rows than this.
    pub limit: Option<usize>,
    pub batch_rows: usize,
}

/// The columns of [`neighbors`]: `node`, `edge` (the table of the edge's type), `edge_id`,
/// `direction` (`out` or `in`, seen from the node), `id`, `type` (the other node's table).
pub fn neighbors_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let text = |name| Field::new(name, DataType::Utf8, true);
        Arc::new(ArrowSchema::new(vec![
            text("node"),
            text("edge"),
            text("edge_id"),
            text("direction"),
            text("id"),
            text("type"),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// One row for each edge at each node, parallel edges too. An edge from a node to itself
/// comes once, as `out`, unless only `in` was asked for. Rows come by node, in the order given, then by
/// edge type, direction (`out` first) and the edge's place in its table.
pub fn neighbors(
    snapshot: Snapshot,
    request: NeighborsRequest,
) -> BoxStream<'static, Result<RecordBatch>> {
    futures::stream::once(begin(snapshot, request))
        .flat_map(|begun| match begun {
            Ok(running) => futures::stream::try_unfold(running, Running::next).boxed(),
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        })
        .boxed()
}

#[derive(Debug)]
struct Running {
    plan: Plan,
    nodes: Vec<String>,
    direction: Direction,
    starts: std::vec::IntoIter<(u32, Node)>,
    /// The node that is being listed: its edges, and how many of them are done.
    open: Option<(u32, Vec<Found>, usize)>,
    /// The id columns of the pieces met, by edge type and piece.
    ids: HashMap<(usize, usize), StringArray>,
    wanted: usize,
    batch_rows: usize,
}

/// An edge at a node.
#[derive(Debug, Clone, Copy)]
struct Found {
    edge: usize,
    position: u32,
    reverse: bool,
    other: Node,
}

async fn begin(snapshot: Snapshot, request: NeighborsRequest) -> Result<Running> {
    let plan = Plan::new(&snapshot, &request.edges, request.direction).await?;
    let starts = plan.starts(&request.nodes, false).await?;
    Ok(Running {
        plan,
        nodes: request.nodes,
        direction: request.direction,
        starts: starts.into_iter(),
        open: None,
        ids: HashMap::new(),
        wanted: request.limit.unwrap_or(usize::MAX),
        batch_rows: request.batch_rows.max(1),
    })
}

impl Running {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        let rows = self.batch_rows.min(self.wanted);
        let mut page: Vec<(u32, Found)> = Vec::new();
        while page.len() < rows {
            let (start, found, done) = match self.open.take() {
                Some(open) => open,
                None => match self.starts.next() {
                    Some((start, node)) => (start, self.at(node), 0),
                    None => break,
                },
            };
            let upto = found.len().min(done + rows - page.len());
            page.extend(found[done..upto].iter().map(|found| (start, *found)));
            if upto < found.len() {
                self.open = Some((start, found, upto));
            }
        }
        if page.is_empty() {
            return Ok(None);
        }
        let batch = self.batch(&page).await?;
        self.wanted -= page.len();
        Ok(Some((batch, self)))
    }

    fn at(&self, node: Node) -> Vec<Found> {
        let ty = node.ty as usize;
        let mut found = Vec::new();
        for (step, &edge) in self.plan.steps[ty].iter().zip(&self.plan.step_edges[ty]) {
            step.adjacency
                .visit(node.number, step.reverse, |number, position| {
                    let other = Node {
                        ty: step.leads_to,
                        number,
                    };
                    let seen_as_out =
                        step.reverse && other == node && self.direction == Direction::Both;
                    if !seen_as_out {
                        found.push(Found {
                            edge,
                            position,
                            reverse: step.reverse,
                            other,
                        });
                    }
                });
        }
        found
    }

    async fn batch(&mut self, page: &[(u32, Found)]) -> Result<RecordBatch> {
        let rows = page.len();
        let builder = || StringBuilder::with_capacity(rows, rows * 16);
        let (mut node, mut edge, mut edge_id) = (builder(), builder(), builder());
        let (mut direction, mut id, mut ty) = (builder(), builder(), builder());
        for (start, found) in page {
            let edge_type = &self.plan.edges[found.edge];
            let other = &self.plan.types[found.other.ty as usize];
            let (piece, row) = edge_type
                .adjacency
                .row(found.position)
                .ok_or_else(|| Error::internal("an edge without a place in its table"))?;
            let ids = match self.ids.entry((found.edge, piece)) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => {
                    let chunks = edge_type.table.chunks().await?;
                    let chunk = chunks.get(piece).ok_or_else(|| {
                        Error::internal("an edge in a chunk that its table has not")
                    })?;
                    let columns = edge_type.table.chunk_columns(chunk, &[ID_COLUMN]).await?;
                    let ids = columns
                        .first()
                        .and_then(|column| column.as_string_opt::<i32>())
                        .ok_or_else(|| Error::internal("an id column that is not text"))?;
                    entry.insert(ids.clone())
                }
            };
            node.append_value(&self.nodes[*start as usize]);
            edge.append_value(&edge_type.table.def().table);
            edge_id.append_option(((row as usize) < ids.len()).then(|| ids.value(row as usize)));
            direction.append_value(if found.reverse { "in" } else { "out" });
            id.append_value(other.dictionary.id(found.other.number));
            ty.append_value(&other.table.def().table);
        }
        Ok(RecordBatch::try_new(
            neighbors_schema(),
            [node, edge, edge_id, direction, id, ty]
                .into_iter()
                .map(|mut builder| Arc::new(builder.finish()) as arrow::array::ArrayRef)
                .collect(),
        )?)
    }
}
