//! Running an [`Apply`](super::apply::Apply): for each batch of the left side the distinct sets
//! of outer values, for each of those the right plan with the values in place.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{DataFusionError, Result as DfResult, ScalarValue};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::collect;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::Mutex;

use super::apply::ApplyKind;
use super::over_rows::RowOperator;
use super::substitute;
use crate::error::PgError;
use crate::sqlstate;

/// How many sets of outer values have their results kept, and how many rows in all.
const KEPT_RESULTS: usize = 10_000;
const KEPT_ROWS: usize = 1_000_000;
/// Rows that a lateral step puts together before it passes them on.
const BATCH_ROWS: usize = 8192;

/// What an execution needs besides its left input.
pub(super) struct Inner {
    /// Optimised, with placeholders for the outer values.
    pub(super) plan: LogicalPlan,
    pub(super) ids: Vec<String>,
    pub(super) outer: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) needles: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) kind: ApplyKind,
    /// Plans the right side.
    pub(super) state: SessionState,
}

/// The left side's rows, with what the right plan gives for each.
pub(super) struct ApplyRows(pub(super) Arc<Inner>);

impl fmt::Debug for ApplyRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApplyRows")
            .field("kind", &self.0.kind)
            .finish_non_exhaustive()
    }
}

impl RowOperator for ApplyRows {
    fn name(&self) -> &'static str {
        "ApplyExec"
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, ids, .. } = &*self.0;
        write!(f, "ApplyExec: kind={kind:?}, outer=[{}]", ids.join(", "))
    }

    fn benefits_from_partitions(&self) -> bool {
        true
    }

    fn run(
        &self,
        mut rows: SendableRecordBatchStream,
        schema: SchemaRef,
        context: Arc<TaskContext>,
    ) -> DfResult<BoxStream<'static, DfResult<RecordBatch>>> {
        let run = Run {
            inner: Arc::clone(&self.0),
            schema,
            context,
            known: Mutex::new(Known::default()),
        };
        let stream = async_stream(move |mut sink| async move {
            while let Some(batch) = rows.next().await {
                run.batch(&batch?, &mut sink).await?;
            }
            Ok(())
        });
        Ok(stream.boxed())
    }
}

/// Batches handed over one by one; the sender waits until the last was taken.
fn async_stream<F, Fut>(produce: F) -> impl futures::Stream<Item = DfResult<RecordBatch>>
where
    F: FnOnce(Sink) -> Fut,
    Fut: Future<Output = DfResult<()>> + Send + 'static,
{
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let work = produce(Sink(sender.clone()));
    // The work is driven by whoever polls the stream, so dropping the stream ends it.
    let mut work = Box::pin(async move {
        if let Err(error) = work.await {
            // A receiver that is gone does not want the error either.
            let _ = sender.send(Err(error)).await;
        }
    });
    let mut receiver = receiver;
    let mut working = true;
    futures::stream::poll_fn(move |cx| {
        if working && work.as_mut().poll(cx).is_ready() {
            working = false;
            // Nobody sends any more; what was sent is still there.
            receiver.close();
        }
        receiver.poll_recv(cx)
    })
}

struct Sink(tokio::sync::mpsc::Sender<DfResult<RecordBatch>>);

impl Sink {
    async fn send(&mut self, batch: RecordBatch) -> DfResult<()> {
        self.0
            .send(Ok(batch))
            .await
            .map_err(|_| DataFusionError::Execution("the rows are not wanted any more".to_owned()))
    }
}

struct Run {
    inner: Arc<Inner>,
    schema: SchemaRef,
    context: Arc<TaskContext>,
    known: Mutex<Known>,
}

/// Results by outer values, and how many rows they hold.
#[derive(Default)]
struct Known {
    by_values: HashMap<Vec<ScalarValue>, Arc<Answer>>,
    rows: usize,
}

enum Answer {
    Value(ScalarValue),
    Rows(RecordBatch),
    /// The rows as values, and whether one of them has a NULL.
    Set {
        rows: std::collections::HashSet<Vec<ScalarValue>>,
        list: Vec<Vec<ScalarValue>>,
        nulls: bool,
    },
}

impl Run {
    async fn batch(&self, batch: &RecordBatch, sink: &mut Sink) -> DfResult<()> {
        let outer = evaluate(&self.inner.outer, batch)?;
        if let ApplyKind::Lateral { outer: keep } = self.inner.kind {
            return self.lateral(batch, &outer, keep, sink).await;
        }
        let needles = evaluate(&self.inner.needles, batch)?;
        let mut values = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let answer = self.answer(&outer, row).await?;
            values.push(match &*answer {
                Answer::Value(value) => value.clone(),
                Answer::Set { rows, list, nulls } => {
                    ScalarValue::Boolean(is_in(&needles, row, rows, list, *nulls)?)
                }
                Answer::Rows(_) => {
                    return Err(DataFusionError::Internal(
                        "rows where a value was wanted".to_owned(),
                    ));
                }
            });
        }
        let ty = self
            .schema
            .fields()
            .last()
            .map_or(DataType::Null, |field| field.data_type().clone());
        let column = if values.is_empty() {
            new_null_array(&ty, 0)
        } else {
            ScalarValue::iter_to_array(values)?
        };
        let mut columns = batch.columns().to_vec();
        columns.push(column);
        sink.send(record(&self.schema, columns, batch.num_rows())?)
            .await
    }

    async fn lateral(
        &self,
        batch: &RecordBatch,
        outer: &[ArrayRef],
        keep: bool,
        sink: &mut Sink,
    ) -> DfResult<()> {
        let mut indices: Vec<u32> = Vec::new();
        let mut parts: Vec<RecordBatch> = Vec::new();
        for row in 0..batch.num_rows() {
            let answer = self.answer(outer, row).await?;
            let Answer::Rows(rows) = &*answer else {
                return Err(DataFusionError::Internal(
                    "a value where rows were wanted".to_owned(),
                ));
            };
            if rows.num_rows() > 0 {
                indices.extend(std::iter::repeat_n(row as u32, rows.num_rows()));
                parts.push(rows.clone());
            } else if keep {
                indices.push(row as u32);
                let columns = rows
                    .schema()
                    .fields()
                    .iter()
                    .map(|field| new_null_array(field.data_type(), 1))
                    .collect();
                parts.push(record(&nullable(&rows.schema()), columns, 1)?);
            }
            if indices.len() >= BATCH_ROWS {
                self.emit(batch, &mut indices, &mut parts, sink).await?;
            }
        }
        self.emit(batch, &mut indices, &mut parts, sink).await
    }

    async fn emit(
        &self,
        batch: &RecordBatch,
        indices: &mut Vec<u32>,
        parts: &mut Vec<RecordBatch>,
        sink: &mut Sink,
    ) -> DfResult<()> {
        if indices.is_empty() {
            return Ok(());
        }
        let indices = UInt32Array::from(std::mem::take(indices));
        let left = take_record_batch(batch, &indices)?;
        let parts = std::mem::take(parts);
        let mut columns = left.columns().to_vec();
        let width = self.schema.fields().len() - columns.len();
        for at in 0..width {
            let pieces: Vec<&dyn Array> =
                parts.iter().map(|part| part.column(at).as_ref()).collect();
            columns.push(arrow::compute::concat(&pieces)?);
        }
        sink.send(record(&self.schema, columns, indices.len())?)
            .await
    }

    /// The right plan's answer for the outer values of a row.
    async fn answer(&self, outer: &[ArrayRef], row: usize) -> DfResult<Arc<Answer>> {
        let values = outer
            .iter()
            .map(|column| ScalarValue::try_from_array(column, row))
            .collect::<DfResult<Vec<_>>>()?;
        if let Some(answer) = self.known.lock().await.by_values.get(&values) {
            return Ok(Arc::clone(answer));
        }
        let batch = self.run(&values).await?;
        let rows = batch.num_rows();
        let answer = Arc::new(self.summarise(batch)?);
        let mut known = self.known.lock().await;
        if known.by_values.len() >= KEPT_RESULTS || known.rows + rows > KEPT_ROWS {
            *known = Known::default();
        }
        known.rows += rows;
        known.by_values.insert(values, Arc::clone(&answer));
        Ok(answer)
    }

    async fn run(&self, values: &[ScalarValue]) -> DfResult<RecordBatch> {
        let plan = substitute(&self.inner.plan, &|id| {
            self.inner
                .ids
                .iter()
                .position(|known| known == id)
                .and_then(|at| values.get(at).cloned())
        })?;
        let state = &self.inner.state;
        // Planning nests as deep as queries do.
        let physical = Box::pin(state.query_planner().create_physical_plan(&plan, state)).await?;
        let schema = physical.schema();
        let batches = Box::pin(collect(physical, Arc::clone(&self.context))).await?;
        Ok(concat_batches(&schema, &batches)?)
    }

    fn summarise(&self, batch: RecordBatch) -> DfResult<Answer> {
        Ok(match self.inner.kind {
            ApplyKind::Scalar => match batch.num_rows() {
                0 => Answer::Value(ScalarValue::try_from(batch.column(0).data_type())?),
                1 => Answer::Value(ScalarValue::try_from_array(batch.column(0), 0)?),
                _ => {
                    return Err(DataFusionError::External(Box::new(PgError::new(
                        sqlstate::CARDINALITY_VIOLATION,
                        "more than one row returned by a subquery used as an expression",
                    ))));
                }
            },
            ApplyKind::Exists => Answer::Value(ScalarValue::Boolean(Some(batch.num_rows() > 0))),
            ApplyKind::Array => {
                let values = Arc::clone(batch.column(0));
                let field = Arc::new(arrow::datatypes::Field::new(
                    "item",
                    values.data_type().clone(),
                    true,
                ));
                let offsets = arrow::buffer::OffsetBuffer::from_lengths([values.len()]);
                let list = arrow::array::ListArray::try_new(field, offsets, values, None)?;
                Answer::Value(ScalarValue::List(Arc::new(list)))
            }
            ApplyKind::In => {
                let mut list = Vec::with_capacity(batch.num_rows());
                for row in 0..batch.num_rows() {
                    list.push(
                        batch
                            .columns()
                            .iter()
                            .map(|column| ScalarValue::try_from_array(column, row))
                            .collect::<DfResult<Vec<_>>>()?,
                    );
                }
                let nulls = list.iter().flatten().any(ScalarValue::is_null);
                let rows = list.iter().cloned().collect();
                // The list is asked only where NULLs make a set too coarse.
                let list = if nulls || batch.num_columns() > 1 {
                    list
                } else {
                    Vec::new()
                };
                Answer::Set { rows, list, nulls }
            }
            ApplyKind::Lateral { .. } => Answer::Rows(batch),
        })
    }
}

/// `needle IN (rows)` in three-valued logic.
fn is_in(
    needles: &[ArrayRef],
    row: usize,
    rows: &std::collections::HashSet<Vec<ScalarValue>>,
    list: &[Vec<ScalarValue>],
    nulls: bool,
) -> DfResult<Option<bool>> {
    let needle = needles
        .iter()
        .map(|column| ScalarValue::try_from_array(column, row))
        .collect::<DfResult<Vec<_>>>()?;
    if rows.is_empty() {
        return Ok(Some(false));
    }
    let unknown = needle.iter().any(ScalarValue::is_null);
    if !unknown && rows.contains(&needle) {
        return Ok(Some(true));
    }
    if needle.len() == 1 {
        return Ok(if unknown || nulls { None } else { Some(false) });
    }
    if !unknown && !nulls {
        return Ok(Some(false));
    }
    // Unknown if some row differs in no column that is known on both sides.
    let possible = list.iter().any(|candidate| {
        candidate
            .iter()
            .zip(&needle)
            .all(|(a, b)| a.is_null() || b.is_null() || a == b)
    });
    Ok(if possible { None } else { Some(false) })
}

fn evaluate(exprs: &[Arc<dyn PhysicalExpr>], batch: &RecordBatch) -> DfResult<Vec<ArrayRef>> {
    exprs
        .iter()
        .map(|expr| expr.evaluate(batch)?.into_array(batch.num_rows()))
        .collect()
}

fn nullable(schema: &SchemaRef) -> SchemaRef {
    Arc::new(arrow::datatypes::Schema::new(
        schema
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(true))
            .collect::<Vec<_>>(),
    ))
}

/// A batch that may have no columns.
fn record(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> DfResult<RecordBatch> {
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &RecordBatchOptions::new().with_row_count(Some(rows)),
    )?)
}
