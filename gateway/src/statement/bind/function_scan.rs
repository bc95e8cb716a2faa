//! A table function in FROM whose arguments are known only when it runs: a leaf with
//! expressions. With constants it is a [`FunctionSource`](omnigraph_udfs::FunctionSource).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{
    DFSchema, DFSchemaRef, DataFusionError, Result as DfResult, ScalarValue, Statistics,
};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use omnigraph_udfs::{Call, FunctionScope, TableFunction, estimate};

#[derive(Debug, Clone)]
pub(super) struct FunctionScan {
    pub(super) function: Arc<dyn TableFunction>,
    pub(super) args: Vec<Expr>,
    pub(super) schema: DFSchemaRef,
}

impl FunctionScan {
    pub(super) fn new(
        function: Arc<dyn TableFunction>,
        args: Vec<Expr>,
        schema: SchemaRef,
    ) -> DfResult<Self> {
        let schema = Arc::new(DFSchema::try_from(schema)?);
        Ok(FunctionScan {
            function,
            args,
            schema,
        })
    }
}

impl PartialEq for FunctionScan {
    fn eq(&self, other: &Self) -> bool {
        self.function.name() == other.function.name()
            && self.args == other.args
            && self.schema == other.schema
    }
}

impl Eq for FunctionScan {}

impl Hash for FunctionScan {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name().hash(state);
        self.args.hash(state);
    }
}

impl PartialOrd for FunctionScan {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.function.name().partial_cmp(other.function.name())
    }
}

impl UserDefinedLogicalNodeCore for FunctionScan {
    fn name(&self) -> &str {
        "FunctionScan"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.args.clone()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FunctionScan: {}", self.function.name())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, _inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        Ok(FunctionScan {
            args: exprs,
            ..self.clone()
        })
    }
}

pub(super) struct FunctionScanExec {
    function: Arc<dyn TableFunction>,
    args: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl FunctionScanExec {
    pub(super) fn new(
        function: Arc<dyn TableFunction>,
        args: Vec<Arc<dyn PhysicalExpr>>,
        schema: SchemaRef,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        FunctionScanExec {
            function,
            args,
            schema,
            properties: Arc::new(properties),
        }
    }
}

impl fmt::Debug for FunctionScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionScanExec")
            .field("function", &self.function.name())
            .finish_non_exhaustive()
    }
}

impl DisplayAs for FunctionScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FunctionScanExec: {}", self.function.name())
    }
}

impl ExecutionPlan for FunctionScanExec {
    fn name(&self) -> &str {
        "FunctionScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn partition_statistics(&self, _: Option<usize>) -> DfResult<Arc<Statistics>> {
        Ok(Arc::new(estimate(
            self.function.as_ref(),
            &self.schema,
            None,
        )))
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let session = context
            .session_config()
            .get_extension::<FunctionScope>()
            .ok_or_else(|| {
                DataFusionError::Internal(format!(
                    "{}() runs without a session",
                    self.function.name()
                ))
            })?;
        // Arguments are over no row: one is enough.
        let nothing = RecordBatch::try_new_with_options(
            Arc::new(Schema::empty()),
            Vec::new(),
            &RecordBatchOptions::new().with_row_count(Some(1)),
        )?;
        let arguments = self
            .args
            .iter()
            .map(|arg| {
                arg.evaluate(&nothing)?
                    .into_array(1)
                    .and_then(|array| ScalarValue::try_from_array(&array, 0))
            })
            .collect::<DfResult<Vec<_>>>()?;
        let call = Call {
            context: Arc::clone(&session.0),
            schema: Arc::clone(&self.schema),
            arguments,
            bounds: Vec::new(),
            limit: None,
            memory: Arc::clone(context.memory_pool()),
        };
        let stream = self.function.call(call)?;
        // The function names its columns, the plan has names of its own.
        let schema = Arc::clone(&self.schema);
        let renamed = futures::StreamExt::map(stream, {
            let schema = Arc::clone(&schema);
            move |batch| {
                let batch = batch?;
                let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                Ok(RecordBatch::try_new_with_options(
                    Arc::clone(&schema),
                    batch.columns().to_vec(),
                    &options,
                )?)
            }
        });
        Ok(Box::pin(
            datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(schema, renamed),
        ))
    }
}
