//! What the functions over whole graphs have in common: argument `edges`, and rows of a node,
//! its table and what the algorithm found.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures::stream::TryStreamExt;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::algorithms::{Cancel, Links, WholeGraph, run};

use crate::args::Args;
use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, TableFunction, arrow_schema};
use crate::rows::{self, BATCH_ROWS};
use crate::traverse::edge_types;

pub(crate) fn edges() -> Argument {
    Argument::required("edges", &[PgType::TEXT, PgType::TEXT_ARRAY])
}

pub(crate) fn columns(found: &[(&str, PgType)]) -> Vec<Column> {
    let mut columns = vec![
        Column::new("id", PgType::TEXT),
        Column::new("type", PgType::TEXT),
    ];
    columns.extend(found.iter().map(|(name, ty)| Column::new(*name, *ty)));
    columns
}

/// Loads the graph, runs the algorithm and gives a row for each node, in the order of tables.
/// `work` answers an array for each column that it found.
pub(crate) fn start<F>(
    function: Arc<dyn TableFunction>,
    columns: &[Column],
    call: Call,
    work: F,
) -> SendableRecordBatchStream
where
    F: FnOnce(&Links, &Cancel) -> omnigraph_engine::Result<Vec<ArrayRef>> + Send + 'static,
{
    let schema = arrow_schema(columns);
    let of = Arc::clone(&schema);
    let found = async move {
        let snapshot = call.context.snapshot().await?;
        let edges = edge_types(
            &Args::new(function.as_ref(), &call.arguments),
            snapshot.schema(),
        )?;
        let graph = Arc::new(WholeGraph::load(&snapshot, &edges).await?);
        let found = run(Arc::clone(&graph), work).await?;
        let wanted = call.limit.unwrap_or(usize::MAX).min(graph.len());
        let pages = (0..wanted).step_by(BATCH_ROWS).map(move |from| {
            let rows = BATCH_ROWS.min(wanted - from);
            page(&of, &graph, &found, from, rows)
        });
        Ok::<_, Error>(futures::stream::iter(pages))
    };
    rows::batches(schema, futures::stream::once(found).try_flatten())
}

fn page(
    schema: &SchemaRef,
    graph: &WholeGraph,
    found: &[ArrayRef],
    from: usize,
    rows: usize,
) -> Result<RecordBatch> {
    let mut ids = StringBuilder::with_capacity(rows, rows * 16);
    let mut types = StringBuilder::with_capacity(rows, rows * 8);
    for node in from..from + rows {
        ids.append_value(graph.id(node));
        types.append_value(graph.table(node));
    }
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(ids.finish()), Arc::new(types.finish())];
    arrays.extend(found.iter().map(|array| array.slice(from, rows)));
    RecordBatch::try_new(Arc::clone(schema), arrays).map_err(|error| Error::Engine(error.into()))
}
