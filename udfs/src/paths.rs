//! What the functions over paths have in common: their arguments, and a row for each node of a
//! path.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
};
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::scalar::ScalarValue;
use futures::stream::{StreamExt, TryStreamExt};
use omnigraph_catalog::types::PgType;
use omnigraph_engine::pattern::{Failure, Memory};
use omnigraph_engine::traverse::{Path, PathsRequest, Wanted, paths};

use crate::args::Args;
use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, TableFunction, arrow_schema};
use crate::rows;
use crate::traverse::{direction, edge_types};

/// `edges`, `source`, `target`, and behind them what the function adds.
pub(crate) fn arguments(more: Vec<Argument>) -> Vec<Argument> {
    let texts = [PgType::TEXT, PgType::TEXT_ARRAY];
    let mut arguments = vec![
        Argument::required("edges", &texts),
        Argument::required("source", &texts),
        Argument::required("target", &texts),
    ];
    arguments.extend(more);
    arguments.extend([
        Argument::optional("weight", PgType::TEXT, ScalarValue::Utf8(None)),
        Argument::optional("direction", PgType::TEXT, ScalarValue::from("out")),
    ]);
    arguments
}

/// With `path` first where there can be several between two nodes.
pub(crate) fn columns(several: bool) -> Vec<Column> {
    let path = several.then(|| Column::new("path", PgType::INT8));
    let others = [
        Column::new("step", PgType::INT4),
        Column::new("node", PgType::TEXT),
        Column::new("edge", PgType::TEXT),
        Column::new("cost", PgType::FLOAT8),
        Column::new("source", PgType::TEXT),
        Column::new("target", PgType::TEXT),
    ];
    path.into_iter().chain(others).collect()
}

/// A node of a path, by its place there.
type Step = (Arc<Path>, usize);

pub(crate) fn start(
    function: Arc<dyn TableFunction>,
    call: Call,
    wanted: Wanted,
) -> Result<SendableRecordBatchStream> {
    let several = wanted != Wanted::Shortest;
    let args = Args::new(function.as_ref(), &call.arguments);
    let mut request = PathsRequest {
        edges: Vec::new(),
        sources: args.texts("source")?,
        targets: args.texts("target")?,
        direction: direction(&args)?,
        weight: args.optional_text("weight")?.map(str::to_owned),
        wanted,
        memory: reserved(function.as_ref(), &call),
    };
    let limit = call.limit;
    let steps = async move {
        let snapshot = call.context.snapshot().await?;
        let args = Args::new(function.as_ref(), &call.arguments);
        request.edges = edge_types(&args, snapshot.schema())?;
        let found = paths(snapshot, request).map_err(failed);
        let steps = found.map_ok(|path| {
            let path = Arc::new(path);
            let steps =
                (0..path.nodes.len()).map(move |at| Ok::<Step, Error>((Arc::clone(&path), at)));
            futures::stream::iter(steps)
        });
        Ok::<_, Error>(steps.try_flatten())
    };
    let steps = futures::stream::once(steps).try_flatten().boxed();
    let schema = arrow_schema(&columns(several));
    Ok(rows::pages(
        schema,
        steps,
        limit,
        move |schema, steps: &[Step]| page(schema, steps, several),
    ))
}

fn page(schema: SchemaRef, steps: &[Step], several: bool) -> Result<RecordBatch> {
    let rows = steps.len();
    let text = || StringBuilder::with_capacity(rows, rows * 16);
    let (mut node, mut edge, mut source, mut target) = (text(), text(), text(), text());
    let mut rank = Int64Builder::with_capacity(rows);
    let mut step = Int32Builder::with_capacity(rows);
    let mut cost = Float64Builder::with_capacity(rows);
    for (path, at) in steps {
        rank.append_value(i64::try_from(path.rank).unwrap_or(i64::MAX));
        step.append_value(i32::try_from(*at).unwrap_or(i32::MAX));
        node.append_value(&path.nodes[*at]);
        edge.append_option(at.checked_sub(1).and_then(|before| path.edges.get(before)));
        cost.append_value(path.costs[*at]);
        source.append_value(&path.source);
        target.append_value(&path.target);
    }
    let mut arrays: Vec<ArrayRef> = Vec::new();
    if several {
        arrays.push(Arc::new(rank.finish()));
    }
    arrays.push(Arc::new(step.finish()));
    arrays.push(Arc::new(node.finish()));
    arrays.push(Arc::new(edge.finish()));
    arrays.push(Arc::new(cost.finish()));
    arrays.push(Arc::new(source.finish()));
    arrays.push(Arc::new(target.finish()));
    RecordBatch::try_new(schema, arrays).map_err(|error| Error::Engine(error.into()))
}

/// The engine's errors, and those of the memory of statements.
pub(crate) fn failed(failure: Failure) -> Error {
    match failure {
        Failure::Engine(error) => Error::Engine(error),
        Failure::Outside(error) => Error::value(OUT_OF_MEMORY, format!("out of memory: {error}")),
    }
}

const OUT_OF_MEMORY: &str = "53200";

/// The memory of statements, as the engine asks for it.
pub(crate) fn reserved(function: &dyn TableFunction, call: &Call) -> Box<dyn Memory> {
    Box::new(Reserved(
        MemoryConsumer::new(function.name()).register(&call.memory),
    ))
}

#[derive(Debug)]
struct Reserved(MemoryReservation);

impl Memory for Reserved {
    fn resize(&mut self, bytes: usize) -> Result<(), Failure> {
        let resized = self.0.try_resize(bytes);
        resized.map_err(|error: DataFusionError| Failure::Outside(Box::new(error)))
    }
}
