//! What the functions over whole graphs have in common: argument `edges`, and rows of a node,
//! its table and what the algorithm found.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder, new_null_array};
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures::stream::TryStreamExt;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::algorithms::{Cancel, Links, WholeGraph, run};

use crate::args::Args;
use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, TableFunction, arrow_schema};
use crate::paths::{failed, reserved};
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
    let memory = reserved(function.as_ref(), &call);
    let found = async move {
        let snapshot = call.context.snapshot().await?;
        let edges = edge_types(
            &Args::new(function.as_ref(), &call.arguments),
            snapshot.schema(),
        )?;
        let graph = WholeGraph::load(&snapshot, &edges, memory).await;
        let graph = Arc::new(graph.map_err(failed)?);
        let found = run(Arc::clone(&graph), work).await?;
        let wanted = call.limit.unwrap_or(usize::MAX).min(graph.len());
        let pages = (0..wanted).step_by(BATCH_ROWS).map(move |from| {
            let rows = BATCH_ROWS.min(wanted - from);
            page(
                &of,
                &graph,
                &found,
                call.wanted.as_deref(),
                from..from + rows,
            )
        });
        Ok::<_, Error>(futures::stream::iter(pages))
    };
    rows::batches(schema, futures::stream::once(found).try_flatten())
}

fn page<'g>(
    schema: &SchemaRef,
    graph: &'g WholeGraph,
    found: &[ArrayRef],
    wanted: Option<&[usize]>,
    nodes: Range<usize>,
) -> Result<RecordBatch> {
    let rows = nodes.len();
    let texts = |at: usize, text: &dyn Fn(usize) -> &'g str| -> ArrayRef {
        if wanted.is_some_and(|wanted| !wanted.contains(&at)) {
            return new_null_array(schema.field(at).data_type(), rows);
        }
        let mut builder = StringBuilder::with_capacity(rows, rows * 16);
        nodes
            .clone()
            .for_each(|node| builder.append_value(text(node)));
        Arc::new(builder.finish())
    };
    let mut arrays = vec![
        texts(0, &|node| graph.id(node)),
        texts(1, &|node| graph.table(node)),
    ];
    arrays.extend(found.iter().map(|array| array.slice(nodes.start, rows)));
    RecordBatch::try_new(Arc::clone(schema), arrays).map_err(|error| Error::Engine(error.into()))
}
