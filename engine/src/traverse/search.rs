//! All nodes within some hops of some others, as rows.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringBuilder, new_null_array};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use futures::stream::{BoxStream, StreamExt};

use crate::error::Result;
use crate::pattern::{Failure, Memory};
use crate::schema::TypeId;
use crate::snapshot::Snapshot;
use crate::traverse::plan::Plan;
use crate::traverse::walk::{Direction, Hops, Reached, Walk};

#[derive(Debug)]
pub struct TraverseRequest {
    /// The edge types to follow, any of them at every hop.
    pub edges: Vec<TypeId>,
    pub starts: Vec<String>,
    pub direction: Direction,
    pub hops: Hops,
    /// No more rows than this.
    pub limit: Option<usize>,
    /// The only columns that are looked at, of which the others are NULL; `None`: all are.
    pub wanted: Option<Vec<usize>>,
    pub batch_rows: usize,
    pub memory: Box<dyn Memory>,
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
) -> BoxStream<'static, Result<RecordBatch, Failure>> {
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
    /// Rows still wanted, and the columns of them.
    wanted: usize,
    columns: Option<Vec<usize>>,
    memory: Box<dyn Memory>,
    batch_rows: usize,
    reached: Vec<Reached>,
}

async fn begin(snapshot: Snapshot, request: TraverseRequest) -> Result<Running, Failure> {
    let plan = Plan::new(&snapshot, &request.edges, request.direction).await?;
    let starts = plan.starts(&request.starts, request.hops.min == 0).await?;
    let nodes: Vec<usize> = plan.types.iter().map(|ty| ty.dictionary.len()).collect();
    Ok(Running {
        walk: Walk::new(&nodes, plan.steps.clone(), request.hops, starts),
        plan,
        starts: request.starts,
        wanted: request.limit.unwrap_or(usize::MAX),
        columns: request.wanted,
        memory: request.memory,
        batch_rows: request.batch_rows.max(1),
        reached: Vec::new(),
    })
}

impl Running {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>, Failure> {
        let rows = self.batch_rows.min(self.wanted);
        while rows > 0 && self.reached.len() < rows {
            let more = self.walk.advance(&mut self.reached, rows);
            self.memory.resize(self.walk.bytes())?;
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

    fn batch<'s>(&'s self) -> Result<RecordBatch> {
        let reached = &self.reached;
        let schema = traverse_schema();
        let texts = |text: &dyn Fn(&Reached) -> &'s str| -> ArrayRef {
            let mut builder = StringBuilder::with_capacity(reached.len(), reached.len() * 16);
            reached
                .iter()
                .for_each(|reached| builder.append_value(text(reached)));
            Arc::new(builder.finish())
        };
        let node_type = |reached: &Reached| &self.plan.types[reached.node.ty as usize];
        let columns = schema.fields().iter().enumerate().map(|(at, field)| {
            if self
                .columns
                .as_ref()
                .is_some_and(|wanted| !wanted.contains(&at))
            {
                return new_null_array(field.data_type(), reached.len());
            }
            match at {
                0 => texts(&|reached| &self.starts[reached.start as usize]),
                1 => texts(&|reached| node_type(reached).dictionary.id(reached.node.number)),
                2 => texts(&|reached| &node_type(reached).table.def().table),
                _ => {
                    let depths = reached.iter().map(|reached| reached.depth);
                    let depths = depths.map(|depth| i32::try_from(depth).unwrap_or(i32::MAX));
                    Arc::new(Int32Array::from_iter_values(depths))
                }
            }
        });
        Ok(RecordBatch::try_new(
            Arc::clone(&schema),
            columns.collect(),
        )?)
    }
}
