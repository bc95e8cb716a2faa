//! Reading one table of one snapshot.
//!
//! Work is divided by ranges of rows. Within a range the columns that filters need are read
//! first; the others are read only for a piece in which a row has passed. Columns of a file
//! are decoded once and shared, so two partitions in one file cost one reading.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{BatchCoalescer, and, concat, filter, prep_null_mask_filter};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DFSchema, Statistics};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::context::ExecutionProps;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::expr_to_columns;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, create_physical_expr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use omnigraph_engine::search::{Nearest, NearestRequest};
use omnigraph_engine::table::{Chunk, RowPosition};
use omnigraph_engine::{Error, Table};

use super::columns::to_sql;
use super::pushdown::{Access, describe};

/// Filters of a scan, joined by AND, and the columns they look at.
#[derive(Debug, Clone)]
pub(super) struct Filters {
    /// Positions in the table's schema, ascending.
    columns: Vec<usize>,
    /// A schema of just these columns; the expressions' indexes are into it.
    schema: SchemaRef,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
}

impl Filters {
    pub(super) fn new(
        schema: &SchemaRef,
        filters: &[Expr],
        props: &ExecutionProps,
    ) -> DfResult<Self> {
        let mut names = std::collections::HashSet::new();
        for filter in filters {
            expr_to_columns(filter, &mut names)?;
        }
        let mut columns = names
            .iter()
            .map(|column| schema.index_of(&column.name))
            .collect::<Result<Vec<_>, _>>()?;
        columns.sort_unstable();
        columns.dedup();
        let narrow = Arc::new(schema.project(&columns)?);
        let resolved = DFSchema::try_from(Schema::clone(&narrow))?;
        let exprs = filters
            .iter()
            .map(|filter| create_physical_expr(&unqualified(filter.clone())?, &resolved, props))
            .collect::<DfResult<Vec<_>>>()?;
        Ok(Filters {
            columns,
            schema: narrow,
            exprs,
        })
    }

    /// Positions in the table's schema, ascending.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Which rows pass; a NULL does not. `None`: all.
    pub(super) fn mask(&self, arrays: &[ArrayRef], rows: usize) -> DfResult<Option<BooleanArray>> {
        if self.exprs.is_empty() {
            return Ok(None);
        }
        let batch = batch_of(&self.schema, arrays.to_vec(), rows)?;
        let mut mask: Option<BooleanArray> = None;
        for expr in &self.exprs {
            let array = expr.evaluate(&batch)?.into_array(rows)?;
            let array = arrow::array::cast::as_boolean_array(&array);
            let array = if array.null_count() > 0 {
                prep_null_mask_filter(array)
            } else {
                array.clone()
            };
            mask = Some(match mask {
                Some(mask) => and(&mask, &array)?,
                None => array,
            });
        }
        Ok(mask)
    }
}

/// The filter with bare column names: a scan has one relation only.
fn unqualified(filter: Expr) -> DfResult<Expr> {
    use datafusion::common::Column;
    use datafusion::common::tree_node::{Transformed, TreeNode};
    filter
        .transform(|expr| {
            Ok(match expr {
                Expr::Column(column) if column.relation.is_some() => {
                    Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))
                }
                other => Transformed::no(other),
            })
        })
        .map(|transformed| transformed.data)
}

#[derive(Debug)]
pub struct ScanExec {
    read: Arc<Read>,
    partitions: usize,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// What each partition does, apart from its share of the rows.
#[derive(Debug)]
struct Read {
    table: Table,
    /// All columns, with SQL's names and types.
    table_schema: SchemaRef,
    /// What comes out, as positions in `table_schema`.
    projection: Vec<usize>,
    schema: SchemaRef,
    filters: Filters,
    access: Access,
    limit: Option<usize>,
    batch_rows: usize,
}

/// How much of what is nearest to a vector has to be found where an index is; 1: all of it.
#[derive(Debug, Clone, Copy)]
pub struct Recall(pub f64);

impl Default for Recall {
    fn default() -> Self {
        Recall(0.99)
    }
}

/// Below this many rows a second partition costs more than it brings.
const PARTITION_ROWS: u64 = 16_384;

impl ScanExec {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one fact of the scan, given once"
    )]
    pub(super) fn new(
        table: Table,
        table_schema: SchemaRef,
        projection: Vec<usize>,
        filters: Filters,
        access: Access,
        limit: Option<usize>,
        partitions: usize,
        batch_rows: usize,
    ) -> Self {
        let schema: SchemaRef = Arc::new(Schema::new(
            projection
                .iter()
                .map(|column| table_schema.field(*column).clone())
                .collect::<Vec<_>>(),
        ));
        let wanted = match &access {
            Access::Equal { .. } | Access::Words(_) => 1,
            Access::Full if limit.is_some() && filters.exprs.is_empty() => 1,
            // An index is for all rows of a file.
            Access::Nearest(request) if request.indexed => 1,
            Access::Full | Access::Nearest(_) => table.row_count().div_ceil(PARTITION_ROWS),
        };
        let partitions = usize::try_from(wanted)
            .unwrap_or(usize::MAX)
            .clamp(1, partitions.max(1));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        ScanExec {
            read: Arc::new(Read {
                table,
                table_schema,
                projection,
                schema,
                filters,
                access,
                limit,
                batch_rows: batch_rows.max(1),
            }),
            partitions,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    pub fn table(&self) -> &Table {
        &self.read.table
    }

    /// The conditions that it evaluates, joined by AND.
    pub fn filters(&self) -> &[Arc<dyn PhysicalExpr>] {
        &self.read.filters.exprs
    }

    /// The columns whose values it looks up; `None`: it reads all rows.
    pub fn looked_up(&self) -> Option<&[usize]> {
        match &self.read.access {
            Access::Full => None,
            Access::Equal { columns, .. } => Some(columns),
            Access::Words(lookup) => Some(std::slice::from_ref(&lookup.column)),
            Access::Nearest(request) if !request.indexed => None,
            Access::Nearest(request) => Some(std::slice::from_ref(&request.column)),
        }
    }

    /// Is it asked for the rows nearest to a vector?
    pub fn is_nearest(&self) -> bool {
        matches!(self.read.access, Access::Nearest(_))
    }

    /// A scan that has at least the rows nearest to a vector of those that this one has, and
    /// rows without one where all others are too few; `None`: it has rows by something else.
    pub fn nearest(&self, request: NearestRequest) -> Option<ScanExec> {
        let read = &self.read;
        if !matches!(read.access, Access::Full) || read.limit.is_some() {
            return None;
        }
        Some(ScanExec::new(
            read.table.clone(),
            Arc::clone(&read.table_schema),
            read.projection.clone(),
            read.filters.clone(),
            Access::Nearest(Arc::new(request)),
            None,
            self.partitions,
            read.batch_rows,
        ))
    }

    /// The column of the table that a column of its rows is.
    pub fn table_column(&self, output: usize) -> Option<usize> {
        self.read.projection.get(output).copied()
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = &self.read;
        let verb = match &read.access {
            Access::Full => "Seq Scan",
            Access::Nearest(request) if !request.indexed => "Seq Scan",
            Access::Equal { .. } | Access::Words(_) | Access::Nearest(_) => "Index Scan",
        };
        write!(f, "{verb} on {}", read.table.def().table)?;
        if let Some(by) = describe(&read.access, &read.table_schema) {
            write!(f, " by {by}")?;
        }
        if !read.filters.exprs.is_empty() {
            let filters: Vec<String> = read.filters.exprs.iter().map(ToString::to_string).collect();
            write!(f, " filter: {}", filters.join(" AND "))?;
        }
        Ok(())
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let stream = match &self.read.access {
            Access::Full => Arc::clone(&self.read).range(partition, self.partitions),
            Access::Nearest(request) => {
                let recall = context.session_config().get_extension::<Recall>();
                let recall = recall.map_or(Recall::default(), |recall| *recall);
                let nearest = Nearest::new(Arc::clone(request), recall.0);
                Arc::clone(&self.read).nearest(nearest, partition, self.partitions)
            }
            Access::Equal { .. } | Access::Words(_) => Arc::clone(&self.read).lookup(),
        };
        let stream = stream.map(move |batch| {
            if let Ok(batch) = &batch {
                metrics.record_output(batch.num_rows());
            }
            batch
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.read.schema),
            stream,
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn partition_statistics(&self, partition: Option<usize>) -> DfResult<Arc<Statistics>> {
        let read = &self.read;
        let total = usize::try_from(read.table.row_count()).unwrap_or(usize::MAX);
        let rows = match (&read.access, partition, read.limit) {
            (Access::Equal { values, .. }, _, _) => {
                Precision::Inexact(values.first().map_or(0, |array| array.len()))
            }
            // As many as PostgreSQL guesses of a text search.
            (Access::Words(_), _, _) => Precision::Inexact((total / 200).max(1)),
            (Access::Nearest(request), _, _) => Precision::Inexact(total.min(request.most)),
            (Access::Full, None, None) if read.filters.exprs.is_empty() => Precision::Exact(total),
            (Access::Full, None, _) => Precision::Inexact(if read.filters.exprs.is_empty() {
                total.min(read.limit.unwrap_or(total))
            } else {
                // PostgreSQL's guess for a condition it knows nothing about.
                (total / 3).max(1)
            }),
            (Access::Full, Some(_), _) => Precision::Inexact(total / self.partitions),
        };
        Ok(Arc::new(Statistics {
            num_rows: rows,
            total_byte_size: Precision::Absent,
            column_statistics: vec![ColumnStatistics::new_unknown(); read.projection.len()],
        }))
    }

    fn supports_limit_pushdown(&self) -> bool {
        false
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        let read = &self.read;
        Some(Arc::new(ScanExec::new(
            read.table.clone(),
            Arc::clone(&read.table_schema),
            read.projection.clone(),
            read.filters.clone(),
            read.access.clone(),
            limit,
            self.partitions,
            read.batch_rows,
        )))
    }

    fn fetch(&self) -> Option<usize> {
        self.read.limit
    }
}

type Batches = BoxStream<'static, DfResult<RecordBatch>>;

impl Read {
    /// One of `partitions` equal shares of the table's rows, in the table's order.
    fn range(self: Arc<Self>, partition: usize, partitions: usize) -> Batches {
        let limit = self.limit;
        let pieces = stream::once(async move {
            let chunks = self.table.chunks().await.map_err(external)?;
            let share = share_of(&chunks, partition, partitions);
            Ok::<_, DataFusionError>(stream::iter(share.into_iter().map(Ok)).then(
                move |piece: DfResult<Piece>| {
                    let read = Arc::clone(&self);
                    async move {
                        let piece = piece?;
                        read.chunk(piece.chunk, piece.rows).await
                    }
                },
            ))
        });
        let batches =
            futures::TryStreamExt::try_flatten(futures::TryStreamExt::try_flatten(pieces));
        limited(batches.boxed(), limit)
    }

    /// The passing rows of a part of a chunk.
    async fn chunk(self: Arc<Self>, chunk: Chunk, rows: Range<u32>) -> DfResult<Batches> {
        if self.filters.exprs.is_empty() {
            let arrays = self.columns(&chunk, &self.projection).await?;
            return Ok(self.pieces(chunk, rows, Vec::new(), arrays));
        }
        let looked_at = self.columns(&chunk, &self.filters.columns).await?;
        // Is there any row to fetch the other columns for? Deciding that takes no memory but
        // a bit per row, and saves reading them where nothing passes.
        let mut survives = false;
        for piece in steps(&rows, self.batch_rows) {
            let mask = self.passing(&chunk, &looked_at, &piece)?;
            if mask.is_none_or(|mask| mask.true_count() > 0) {
                survives = true;
                break;
            }
            tokio::task::consume_budget().await;
        }
        if !survives {
            return Ok(stream::empty().boxed());
        }
        let arrays = self.columns(&chunk, &self.projection).await?;
        Ok(self.pieces(chunk, rows, looked_at, arrays))
    }

    fn pieces(
        self: Arc<Self>,
        chunk: Chunk,
        rows: Range<u32>,
        looked_at: Vec<ArrayRef>,
        arrays: Vec<ArrayRef>,
    ) -> Batches {
        let mut coalescer = BatchCoalescer::new(Arc::clone(&self.schema), self.batch_rows);
        let mut pieces = steps(&rows, self.batch_rows).into_iter();
        // Rows without columns (count of a filtered scan) cannot be coalesced.
        let bare = self.projection.is_empty();
        let unfiltered = self.filters.exprs.is_empty() && chunk.deleted.is_none();
        let mut ended = false;
        stream::poll_fn(move |_| {
            let mut next = || -> DfResult<Option<RecordBatch>> {
                loop {
                    if let Some(batch) = coalescer.next_completed_batch() {
                        return Ok(Some(batch));
                    }
                    let Some(piece) = pieces.next() else {
                        if ended || bare || unfiltered {
                            return Ok(None);
                        }
                        ended = true;
                        coalescer.finish_buffered_batch()?;
                        continue;
                    };
                    let (start, length) = (piece.start as usize, piece.len());
                    if unfiltered {
                        return Ok(Some(self.slice(&arrays, start, length)?));
                    }
                    let mask = self.passing(&chunk, &looked_at, &piece)?;
                    let passing = mask.as_ref().map_or(length, BooleanArray::true_count);
                    if passing == 0 {
                        continue;
                    }
                    let batch = if bare {
                        return Ok(Some(batch_of(&self.schema, Vec::new(), passing)?));
                    } else {
                        self.slice(&arrays, start, length)?
                    };
                    match mask {
                        Some(mask) if passing < length => {
                            coalescer.push_batch_with_filter(batch, &mask)?
                        }
                        _ => coalescer.push_batch(batch)?,
                    }
                }
            };
            std::task::Poll::Ready(next().transpose())
        })
        .boxed()
    }

    /// Which rows of a piece are live and pass; `None`: all.
    fn passing(
        &self,
        chunk: &Chunk,
        looked_at: &[ArrayRef],
        piece: &Range<u32>,
    ) -> DfResult<Option<BooleanArray>> {
        let (start, length) = (piece.start as usize, piece.len());
        let live = match &chunk.deleted {
            Some(deleted) if deleted.range_cardinality(piece.clone()) > 0 => Some(
                piece
                    .clone()
                    .map(|offset| Some(!deleted.contains(offset)))
                    .collect::<BooleanArray>(),
            ),
            _ => None,
        };
        if self.filters.exprs.is_empty() {
            return Ok(live);
        }
        // Filters never see rows that are gone: a cast of such a value could fail.
        match live {
            None => {
                let arrays = self.sliced(looked_at, &self.filters.columns, start, length)?;
                self.filters.mask(&arrays, length)
            }
            Some(live) => {
                let arrays = self
                    .sliced(looked_at, &self.filters.columns, start, length)?
                    .iter()
                    .map(|array| filter(array, &live))
                    .collect::<Result<Vec<_>, _>>()?;
                let Some(mask) = self.filters.mask(&arrays, live.true_count())? else {
                    return Ok(Some(live));
                };
                let mut passed = mask.values().iter();
                Ok(Some(
                    live.values()
                        .iter()
                        .map(|live| Some(live && passed.next().unwrap_or(false)))
                        .collect(),
                ))
            }
        }
    }

    fn slice(&self, arrays: &[ArrayRef], start: usize, length: usize) -> DfResult<RecordBatch> {
        batch_of(
            &self.schema,
            self.sliced(arrays, &self.projection, start, length)?,
            length,
        )
    }

    /// A part of each column, in SQL's types.
    fn sliced(
        &self,
        arrays: &[ArrayRef],
        columns: &[usize],
        start: usize,
        length: usize,
    ) -> DfResult<Vec<ArrayRef>> {
        arrays
            .iter()
            .zip(columns)
            .map(|(array, column)| {
                let wanted = self.table_schema.field(*column).data_type();
                to_sql(&array.slice(start, length), wanted).map_err(external)
            })
            .collect()
    }

    async fn columns(&self, chunk: &Chunk, columns: &[usize]) -> DfResult<Vec<ArrayRef>> {
        if columns.is_empty() {
            return Ok(Vec::new());
        }
        self.table
            .chunk_columns(chunk, columns)
            .await
            .map_err(external)
    }

    /// The rows that hold the constants, filtered by everything else.
    fn lookup(self: Arc<Self>) -> Batches {
        let limit = self.limit;
        let found = stream::once(async move {
            let mut positions = self.positions().await?;
            positions.sort_unstable();
            positions.dedup();
            let pieces: Vec<Vec<RowPosition>> = positions
                .chunks(self.batch_rows)
                .map(<[_]>::to_vec)
                .collect();
            Ok::<_, DataFusionError>(stream::iter(pieces).then(move |piece| {
                let read = Arc::clone(&self);
                async move { read.rows(&piece).await }
            }))
        });
        let batches = futures::TryStreamExt::try_flatten(found).filter(|batch| {
            futures::future::ready(batch.as_ref().map_or(true, |batch| batch.num_rows() > 0))
        });
        limited(batches.boxed(), limit)
    }

    /// The rows of a share of the table that are nearest to a vector. A filter is asked about
    /// every row before any vector is looked at.
    fn nearest(
        self: Arc<Self>,
        mut nearest: Nearest,
        partition: usize,
        partitions: usize,
    ) -> Batches {
        let found = stream::once(async move {
            let chunks = self.table.chunks().await.map_err(external)?;
            for piece in share_of(&chunks, partition, partitions) {
                let looked_at = self.columns(&piece.chunk, &self.filters.columns).await?;
                let mut masks = Vec::new();
                for step in steps(&piece.rows, self.batch_rows) {
                    if self.filters.exprs.is_empty() {
                        break;
                    }
                    masks.push(match self.passing(&piece.chunk, &looked_at, &step)? {
                        Some(mask) => mask,
                        None => BooleanArray::from(vec![true; step.len()]),
                    });
                    tokio::task::consume_budget().await;
                }
                let masks: Vec<&dyn Array> = masks.iter().map(|mask| mask as &dyn Array).collect();
                let passing = match masks.is_empty() {
                    true => None,
                    false => Some(concat(&masks)?.as_boolean().clone()),
                };
                nearest
                    .look_at(
                        &self.table,
                        (piece.number, &piece.chunk),
                        piece.rows,
                        passing.as_ref(),
                    )
                    .await
                    .map_err(external)?;
            }
            let positions = nearest.into_positions();
            let pieces: Vec<Vec<RowPosition>> = positions
                .chunks(self.batch_rows)
                .map(<[_]>::to_vec)
                .collect();
            Ok::<_, DataFusionError>(stream::iter(pieces).then(move |piece| {
                let read = Arc::clone(&self);
                async move { read.rows(&piece).await }
            }))
        });
        futures::TryStreamExt::try_flatten(found).boxed()
    }

    async fn positions(&self) -> DfResult<Vec<RowPosition>> {
        let (columns, values) = match &self.access {
            Access::Full | Access::Nearest(_) => return Ok(Vec::new()),
            Access::Words(lookup) => {
                let found =
                    self.table
                        .rows_with_words(lookup.column, lookup.analyzer, &lookup.wanted);
                return found.await.map_err(external);
            }
            Access::Equal { columns, values } => (columns, values),
        };
        if let ([0], [ids]) = (columns.as_slice(), values.as_slice()) {
            let ids: Vec<&str> = arrow::array::cast::as_string_array(ids)
                .iter()
                .flatten()
                .collect();
            let found = self.table.find_ids(&ids).await.map_err(external)?;
            return Ok(found.into_iter().flatten().collect());
        }
        let found = self.table.find(columns, values).await.map_err(external)?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn rows(&self, positions: &[RowPosition]) -> DfResult<RecordBatch> {
        let rows = positions.len();
        let looked_at = self
            .table
            .rows(positions, &self.filters.columns)
            .await
            .map_err(external)?;
        let mask = self.filters.mask(
            &self.sliced(looked_at.columns(), &self.filters.columns, 0, rows)?,
            rows,
        )?;
        let passing: Vec<RowPosition> = match mask {
            None => positions.to_vec(),
            Some(mask) => positions
                .iter()
                .zip(mask.values().iter())
                .filter_map(|(position, passes)| passes.then_some(*position))
                .collect(),
        };
        if self.projection.is_empty() {
            return batch_of(&self.schema, Vec::new(), passing.len());
        }
        let batch = self
            .table
            .rows(&passing, &self.projection)
            .await
            .map_err(external)?;
        self.slice(batch.columns(), 0, passing.len())
    }
}

/// A part of a chunk.
struct Piece {
    /// The chunk's place in the table.
    number: u32,
    chunk: Chunk,
    rows: Range<u32>,
}

/// The pieces of the table that fall to one of `partitions` equal, contiguous shares.
fn share_of(chunks: &[Chunk], partition: usize, partitions: usize) -> Vec<Piece> {
    let total: u64 = chunks.iter().map(|chunk| u64::from(chunk.rows)).sum();
    let (partition, partitions) = (partition as u64, partitions.max(1) as u64);
    // At most 2^32 rows a chunk and a few partitions: the products stay far below 2^64.
    let (from, to) = (
        total * partition / partitions,
        total * (partition + 1) / partitions,
    );
    let mut seen = 0u64;
    let mut share = Vec::new();
    for (number, chunk) in (0..).zip(chunks) {
        let (start, end) = (seen, seen + u64::from(chunk.rows));
        seen = end;
        let (low, high) = (from.max(start), to.min(end));
        if low < high {
            // Both are within the chunk, whose rows are counted in 32 bits.
            share.push(Piece {
                number,
                chunk: chunk.clone(),
                rows: (low - start) as u32..(high - start) as u32,
            });
        }
    }
    share
}

fn steps(rows: &Range<u32>, size: usize) -> Vec<Range<u32>> {
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    let mut steps = Vec::new();
    let mut start = rows.start;
    while start < rows.end {
        let end = rows.end.min(start.saturating_add(size));
        steps.push(start..end);
        start = end;
    }
    steps
}

fn batch_of(schema: &SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> DfResult<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        arrays,
        &options,
    )?)
}

fn limited(batches: Batches, limit: Option<usize>) -> Batches {
    let Some(limit) = limit else {
        return batches;
    };
    batches
        .scan(limit, |left, batch| {
            if *left == 0 {
                return futures::future::ready(None);
            }
            futures::future::ready(Some(batch.map(|batch| {
                let batch = if batch.num_rows() > *left {
                    batch.slice(0, *left)
                } else {
                    batch
                };
                *left -= batch.num_rows();
                batch
            })))
        })
        .boxed()
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
