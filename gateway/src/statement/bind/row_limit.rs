//! LIMIT and OFFSET that are computed: by a subquery, by a function. The counts are a plan of
//! one row that runs first; the rows of the input are then counted off.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::common::{DFSchemaRef, DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::Distribution;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties,
};
use futures::{StreamExt, stream};

use super::text_io::carried;
use crate::error::PgError;
use crate::sqlstate;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct RowLimit {
    pub(super) input: LogicalPlan,
    /// One row: how many rows, and how many before them. NULL: all, and none.
    pub(super) counts: LogicalPlan,
}

impl PartialOrd for RowLimit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input)
    }
}

impl UserDefinedLogicalNodeCore for RowLimit {
    fn name(&self) -> &str {
        "RowLimit"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input, &self.counts]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    /// All columns of both, in their places.
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec(), vec![0, 1]])
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowLimit")
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        match <[LogicalPlan; 2]>::try_from(inputs) {
            Ok([input, counts]) => Ok(RowLimit { input, counts }),
            Err(_) => Ok(self.clone()),
        }
    }
}

pub(super) struct RowLimitExec {
    input: Arc<dyn ExecutionPlan>,
    counts: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl RowLimitExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, counts: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            input.equivalence_properties().clone(),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        RowLimitExec {
            input,
            counts,
            properties: Arc::new(properties),
        }
    }
}

impl fmt::Debug for RowLimitExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowLimitExec")
    }
}

impl DisplayAs for RowLimitExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowLimitExec")
    }
}

impl ExecutionPlan for RowLimitExec {
    fn name(&self) -> &str {
        "RowLimitExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input, &self.counts]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition; 2]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true, false]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; 2]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        match <[Arc<dyn ExecutionPlan>; 2]>::try_from(children) {
            Ok([input, counts]) => Ok(Arc::new(RowLimitExec::new(input, counts))),
            Err(_) => Ok(self),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let counts = self.counts.execute(0, Arc::clone(&context))?;
        let input = Arc::clone(&self.input);
        let rows = stream::once(async move {
            let left = Left::of(counts).await?;
            let input = match left.rows {
                0 => None,
                _ => Some(input.execute(partition, context)?),
            };
            Ok::<_, DataFusionError>(stream::unfold((input, left), next))
        });
        let rows = rows.flat_map(|rows| match rows {
            Ok(rows) => rows.boxed(),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

/// What is left to be skipped and to be given.
struct Left {
    skip: usize,
    rows: usize,
}

impl Left {
    async fn of(mut counts: SendableRecordBatchStream) -> DfResult<Self> {
        let mut left = Left {
            skip: 0,
            rows: usize::MAX,
        };
        while let Some(batch) = counts.next().await {
            let batch = batch?;
            if batch.num_rows() == 0 {
                continue;
            }
            let count = |at: usize| {
                let column = batch.column(at).as_primitive::<Int64Type>();
                column.is_valid(0).then(|| column.value(0))
            };
            let limit = sqlstate::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE;
            let offset = sqlstate::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE;
            if let Some(rows) = count(0) {
                left.rows = usize::try_from(rows).map_err(|_| negative(limit, "LIMIT"))?;
            }
            if let Some(skip) = count(1) {
                left.skip = usize::try_from(skip).map_err(|_| negative(offset, "OFFSET"))?;
            }
        }
        Ok(left)
    }

    /// The part of a batch that is given.
    fn take(&mut self, batch: &RecordBatch) -> RecordBatch {
        let skipped = self.skip.min(batch.num_rows());
        self.skip -= skipped;
        let given = self.rows.min(batch.num_rows() - skipped);
        self.rows -= given;
        batch.slice(skipped, given)
    }
}

fn negative(code: &'static str, clause: &str) -> DataFusionError {
    let error = PgError::new(code, format!("{clause} must not be negative"));
    DataFusionError::External(Box::new(carried(error)))
}

type State = (Option<SendableRecordBatchStream>, Left);

async fn next((input, mut left): State) -> Option<(DfResult<RecordBatch>, State)> {
    let mut input = input?;
    if left.rows == 0 {
        return None;
    }
    match input.next().await? {
        Ok(batch) => {
            let given = left.take(&batch);
            Some((Ok(given), (Some(input), left)))
        }
        Err(error) => Some((Err(error), (None, left))),
    }
}
