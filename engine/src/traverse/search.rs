//! All nodes within some hops of some others, as rows.

use std::sync::{Arc, LazyLock};

use arrow::array::{Int32Builder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use futures::stream::{BoxStream, StreamExt};

use crate::error::Result;
use crate::schema::TypeId;
use crate::snapshot::Snapshot;
use crate::traverse::plan::Plan;
use crate::traverse::walk::{Direction, Hops, Reached, Walk};

#[derive(Debug, Clone)]
pub struct TraverseRequest {
    /// The edge types to follow, any of them at every hop.
    pub edges: Vec<TypeId>,
    pub starts: Vec<String>,
    pub direction: Direction,
    pub hops: Hops,
    /// No more rows than this.
    pub limit: Option<usize>,
    pub batch_rows: usize,
}

/// The columns of [`traverse`]: `start`, `id`, `type` (the table of the node's type), `depth`.
pub fn traverse_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(ArrowSchema::new(vec![
            Field::new("start", DataType::Utf8, true),
            Field::new("id", DataType::Utf8, true),
            Field::new("type", DataType::Utf8, true),
            Field::new("depth", DataType::Int32, true),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// For each start every node that the edges lead to, once, at its least depth; the start
/// itself, at depth 0, if `hops.min` is 0. A start that does not exist has no rows.
///
/// A start is sought among the node types that the edges leave (or, against their
/// direction, enter). Rows come by start, in the order given, then by depth, then in the
/// order in which edges lead to them; equal snapshots give equal rows in equal order.
/// Nothing is done before the first poll, and dropping the stream ends the work.
pub fn traverse(
    snapshot: Snapshot,
    request: TraverseRequest,
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
    walk: Walk,
    starts: Vec<String>,
    /// Rows still wanted.
    wanted: usize,
    batch_rows: usize,
    reached: Vec<Reached>,
}

async fn begin(snapshot: Snapshot, request: TraverseRequest) -> Result<Running> {
    let plan = Plan::new(&snapshot, &request.edges, request.direction).await?;
    let starts = plan.starts(&request.starts, request.hops.min == 0).await?;
    let nodes: Vec<usize> = plan.types.iter().map(|ty| ty.dictionary.len()).collect();
    Ok(Running {
        walk: Walk::new(&nodes, plan.steps.clone(), request.hops, starts),
        plan,
        starts: request.starts,
        wanted: request.limit.unwrap_or(usize::MAX),
        batch_rows: request.batch_rows.max(1),
        reached: Vec::new(),
    })
}

impl Running {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        let rows = self.batch_rows.min(self.wanted);
        while rows > 0 && self.reached.len() < rows {
            let more = self.walk.advance(&mut self.reached, rows);
            if !more {
                break;
            }
            // A slice of work is done: others may want the thread, or nobody our rows.
            tokio::task::yield_now().await;
        }
        if self.reached.is_empty() {
            return Ok(None);
        }
        let batch = self.batch()?;
        self.wanted -= self.reached.len();
        self.reached.clear();
        Ok(Some((batch, self)))
    }

    fn batch(&self) -> Result<RecordBatch> {
        let rows = self.reached.len();
        let mut start = StringBuilder::with_capacity(rows, rows * 16);
        let mut id = StringBuilder::with_capacity(rows, rows * 16);
        let mut ty = StringBuilder::with_capacity(rows, rows * 8);
        let mut depth = Int32Builder::with_capacity(rows);
        for reached in &self.reached {
            let node_type = &self.plan.types[reached.node.ty as usize];
            start.append_value(&self.starts[reached.start as usize]);
            id.append_value(node_type.dictionary.id(reached.node.number));
            ty.append_value(&node_type.table.def().table);
            depth.append_value(i32::try_from(reached.depth).unwrap_or(i32::MAX));
        }
        Ok(RecordBatch::try_new(
            traverse_schema(),
            vec![
                Arc::new(start.finish()),
                Arc::new(id.finish()),
                Arc::new(ty.finish()),
                Arc::new(depth.finish()),
            ],
        )?)
    }
}
