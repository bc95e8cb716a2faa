//! `ReadBlobs`: its input with columns of bytes beside it, read for the rows that get there.
//!
//! Rows pass in batches of which the bytes fit into memory, however many rows the input gives
//! at once; those of one batch are read side by side.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, SchemaRef};
use datafusion::common::{DFSchema, DFSchemaRef, DataFusionError, Result as DfResult};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion::physical_plan::ExecutionPlan;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use omnigraph_catalog::provider::Snapshots;
use omnigraph_engine::Error;
use omnigraph_engine::blob::{self, Blobs};
use omnigraph_udfs::FunctionScope;

use super::over_rows::{OverRows, RowOperator};
use super::text_io::carried;
use crate::error::PgError;
use crate::sqlstate;

/// Bytes that one batch holds at the most, unless one row alone has more.
const BATCH_BYTES: u64 = 8 << 20;
/// Blobs that are read at the same time.
const SIDE_BY_SIDE: usize = 8;

/// What is read for each row: a value, or a part of one with its offset and length.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ReadBlob {
    pub(super) args: Vec<Expr>,
    /// The column that it becomes.
    pub(super) column: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ReadBlobs {
    input: LogicalPlan,
    reads: Vec<ReadBlob>,
    schema: DFSchemaRef,
}

impl ReadBlobs {
    pub(super) fn new(input: LogicalPlan, reads: Vec<ReadBlob>) -> DfResult<Self> {
        let mut fields: Vec<_> = input
            .schema()
            .iter()
            .map(|(table, field)| (table.cloned(), Arc::clone(field)))
            .collect();
        fields.extend(reads.iter().map(|read| {
            let field = Field::new(&read.column, DataType::Binary, true);
            (None, Arc::new(field))
        }));
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        Ok(ReadBlobs {
            input,
            reads,
            schema,
        })
    }

    pub(super) fn physical(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        state: &SessionState,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let of_input = self.input.schema();
        let reads = self.reads.iter().map(|read| {
            let args = read.args.iter();
            args.map(|arg| create_physical_expr(arg, of_input, state.execution_props()))
                .collect::<DfResult<Vec<_>>>()
        });
        let reads: Vec<_> = reads.collect::<DfResult<_>>()?;
        Ok(Arc::new(OverRows::new(
            Arc::clone(input),
            Arc::new(BlobRows(reads.into())),
            Arc::clone(self.schema.inner()),
        )))
    }
}

impl PartialOrd for ReadBlobs {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input)
    }
}

impl UserDefinedLogicalNodeCore for ReadBlobs {
    fn name(&self) -> &str {
        "ReadBlobs"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let reads = self.reads.iter();
        reads.flat_map(|read| read.args.iter().cloned()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadBlobs")
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        let mut exprs = exprs.into_iter();
        let reads = self.reads.iter().map(|read| ReadBlob {
            args: exprs.by_ref().take(read.args.len()).collect(),
            column: read.column.clone(),
        });
        let reads = reads.collect();
        match inputs.into_iter().next() {
            Some(input) => ReadBlobs::new(input, reads),
            None => Ok(self.clone()),
        }
    }
}

type Args = Vec<Arc<dyn PhysicalExpr>>;

#[derive(Debug)]
struct BlobRows(Arc<[Args]>);

impl RowOperator for BlobRows {
    fn name(&self) -> &'static str {
        "ReadBlobsExec"
    }

    fn run(
        &self,
        rows: SendableRecordBatchStream,
        schema: SchemaRef,
        context: Arc<TaskContext>,
    ) -> DfResult<BoxStream<'static, DfResult<RecordBatch>>> {
        let scope = context
            .session_config()
            .get_extension::<FunctionScope>()
            .ok_or_else(|| DataFusionError::Internal("blobs without a session".to_owned()))?;
        let blobs = Arc::clone(scope.0.access()?.blobs());
        let snapshots = context.session_config().get_extension::<Snapshots>();
        let reserved = MemoryConsumer::new("ReadBlobs").register(context.memory_pool());
        let reads = Arc::clone(&self.0);
        let wanted = rows.map(move |batch| Wanted::of(batch?, &reads));
        let reader = Reader {
            blobs,
            snapshots,
            schema,
            reserved,
        };
        let read = futures::stream::try_unfold(
            (wanted.boxed(), None::<(Wanted, usize)>, reader),
            |(mut wanted, mut held, mut reader)| async move {
                loop {
                    if let Some((batch, start)) = held.take() {
                        let range = batch.fitting(start)?;
                        let end = range.end;
                        let rows = reader.read(&batch, range).await?;
                        let held = (end < batch.rows.num_rows()).then_some((batch, end));
                        return Ok(Some((rows, (wanted, held, reader))));
                    }
                    match wanted.try_next().await? {
                        Some(batch) if batch.rows.num_rows() > 0 => held = Some((batch, 0)),
                        Some(_) => {}
                        None => return Ok(None),
                    }
                }
            },
        );
        Ok(read.boxed())
    }
}

/// Rows, and what is to be read for them: by read its arguments.
struct Wanted {
    rows: RecordBatch,
    args: Vec<Vec<ArrayRef>>,
}

impl Wanted {
    fn of(rows: RecordBatch, reads: &[Args]) -> DfResult<Self> {
        let count = rows.num_rows();
        let value = |arg: &Arc<dyn PhysicalExpr>| arg.evaluate(&rows)?.into_array(count);
        let args = reads
            .iter()
            .map(|args| args.iter().map(value).collect::<DfResult<Vec<_>>>())
            .collect::<DfResult<_>>()?;
        Ok(Wanted { rows, args })
    }

    /// The rows from `start` on whose bytes are held together.
    fn fitting(&self, start: usize) -> DfResult<Range<usize>> {
        let mut bytes = 0;
        for row in start..self.rows.num_rows() {
            bytes += self.bytes(row)?;
            if bytes > BATCH_BYTES && row > start {
                return Ok(start..row);
            }
        }
        Ok(start..self.rows.num_rows())
    }

    fn bytes(&self, row: usize) -> DfResult<u64> {
        let mut bytes = 0;
        for args in &self.args {
            bytes += match Read::of(args, row)? {
                Some(read) => read.length()?,
                None => 0,
            };
        }
        Ok(bytes)
    }
}

/// One thing to be read.
struct Read<'a> {
    value: &'a [u8],
    part: Option<Range<u64>>,
}

impl<'a> Read<'a> {
    /// `None`: NULL.
    fn of(args: &'a [ArrayRef], row: usize) -> DfResult<Option<Read<'a>>> {
        if args.iter().any(|arg| arg.is_null(row)) {
            return Ok(None);
        }
        let Some(values) = args[0].as_binary_opt::<i64>() else {
            return Err(DataFusionError::Internal(
                "a blob without a value".to_owned(),
            ));
        };
        let number = |at: usize| {
            args.get(at)
                .and_then(|arg| arg.as_primitive_opt::<Int64Type>())
                .map(|numbers| numbers.value(row))
        };
        let part = match (number(1), number(2)) {
            (Some(offset), Some(length)) => {
                let refused = |what| {
                    let error = PgError::new(
                        sqlstate::INVALID_PARAMETER_VALUE,
                        format!("blob_read(): {what} must not be negative"),
                    );
                    DataFusionError::External(Box::new(carried(error)))
                };
                let offset = u64::try_from(offset).map_err(|_| refused("the offset"))?;
                let length = u64::try_from(length).map_err(|_| refused("the length"))?;
                Some(offset..offset.saturating_add(length))
            }
            _ => None,
        };
        Ok(Some(Read {
            value: values.value(row),
            part,
        }))
    }

    fn length(&self) -> DfResult<u64> {
        let whole = blob::length(self.value).map_err(external)?.unwrap_or(0);
        Ok(match &self.part {
            Some(part) => whole.saturating_sub(part.start).min(part.end - part.start),
            None => whole,
        })
    }
}

struct Reader {
    blobs: Arc<Blobs>,
    /// Know why an object is missing.
    snapshots: Option<Arc<Snapshots>>,
    schema: SchemaRef,
    reserved: MemoryReservation,
}

impl Reader {
    async fn read(&mut self, wanted: &Wanted, rows: Range<usize>) -> DfResult<RecordBatch> {
        let mut bytes = 0;
        for row in rows.clone() {
            bytes += wanted.bytes(row)?;
        }
        self.reserved
            .try_resize(usize::try_from(bytes).unwrap_or(usize::MAX))?;
        let some = wanted.rows.slice(rows.start, rows.len());
        let mut columns = some.columns().to_vec();
        for args in &wanted.args {
            let (blobs, snapshots) = (&self.blobs, self.snapshots.as_ref());
            let parts = rows.clone().map(|row| async move {
                let Some(Read { value, part }) = Read::of(args, row)? else {
                    return Ok(None);
                };
                let read = match part {
                    Some(part) => blobs.read_range(value, part).await,
                    None => blobs.read(value).await,
                };
                match (read, snapshots) {
                    (Ok(bytes), _) => Ok(Some(bytes)),
                    (Err(error), Some(snapshots)) => Err(external(snapshots.explain(error).await)),
                    (Err(error), None) => Err(external(error)),
                }
            });
            let mut parts = futures::stream::iter(parts).buffered(SIDE_BY_SIDE);
            let mut column = BinaryBuilder::new();
            while let Some(part) = parts.try_next().await? {
                column.append_option(part);
            }
            columns.push(Arc::new(column.finish()));
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
