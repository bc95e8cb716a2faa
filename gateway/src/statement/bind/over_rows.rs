//! A physical operator over the rows of one input, which keeps their order and their columns
//! and may put columns behind them: the common shape of `Apply`, `Series`, `ReadBlobs` and
//! `LockRows`.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result as DfResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::stream::BoxStream;

/// What is done with the rows.
pub(super) trait RowOperator: fmt::Debug + Send + Sync {
    fn name(&self) -> &'static str;

    /// What EXPLAIN shows.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }

    /// Is it work enough to be done in several partitions?
    fn benefits_from_partitions(&self) -> bool {
        false
    }

    /// The rows of one partition of the input, become those of the operator, of this schema.
    fn run(
        &self,
        rows: SendableRecordBatchStream,
        schema: SchemaRef,
        context: Arc<TaskContext>,
    ) -> DfResult<BoxStream<'static, DfResult<RecordBatch>>>;
}

#[derive(Debug)]
pub(super) struct OverRows {
    input: Arc<dyn ExecutionPlan>,
    operator: Arc<dyn RowOperator>,
    properties: Arc<PlanProperties>,
}

impl OverRows {
    /// The schema begins with the columns of the input.
    pub(super) fn new(
        input: Arc<dyn ExecutionPlan>,
        operator: Arc<dyn RowOperator>,
        schema: SchemaRef,
    ) -> Self {
        let mut known = EquivalenceProperties::new(schema);
        known.add_orderings(input.equivalence_properties().oeq_class().iter().cloned());
        let properties = PlanProperties::new(
            known,
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        OverRows {
            input,
            operator,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for OverRows {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.operator.show(f)
    }
}

impl ExecutionPlan for OverRows {
    fn name(&self) -> &str {
        self.operator.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) => {
                let operator = Arc::clone(&self.operator);
                Ok(Arc::new(OverRows::new(input, operator, self.schema())))
            }
            None => Ok(self),
        }
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![self.operator.benefits_from_partitions()]
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, Arc::clone(&context))?;
        let made = self.operator.run(rows, self.schema(), context)?;
        let adapter = RecordBatchStreamAdapter::new(self.schema(), made);
        Ok(Box::pin(cooperative(adapter)))
    }
}
