//! A table function in FROM whose arguments are known only when it runs: a leaf with
//! expressions. With constants it is a [`FunctionSource`](omnigraph_udfs::FunctionSource).

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{
    DFSchema, DFSchemaRef, DataFusionError, Result as DfResult, ScalarValue, Statistics,
};
use datafusion::execution::context::ExecutionProps;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{EquivalenceProperties, create_physical_expr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use omnigraph_udfs::{Call, FunctionScope, TableFunction, estimate};

use super::bound::Execution;
use super::placeholders::{complete_expr, has_placeholder};
use super::planned;
use crate::error::PgResult;

#[derive(Debug, Clone)]
pub(super) struct FunctionScan {
    pub(super) function: Arc<dyn TableFunction>,
    pub(super) args: Vec<Expr>,
    pub(super) schema: DFSchemaRef,
    /// The only columns that are looked at; `None`: all may be.
    pub(super) wanted: Option<Vec<usize>>,
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
            wanted: None,
        })
    }

    /// The same, of which only columns with these names are looked at.
    pub(super) fn with_wanted(&self, names: &HashSet<String>) -> Self {
        let fields = self.schema.fields().iter().enumerate();
        let wanted = fields.filter_map(|(at, field)| names.contains(field.name()).then_some(at));
        FunctionScan {
            wanted: Some(wanted.collect()),
            ..self.clone()
        }
    }
}

impl PartialEq for FunctionScan {
    fn eq(&self, other: &Self) -> bool {
        self.function.name() == other.function.name()
            && self.args == other.args
            && self.schema == other.schema
            && self.wanted == other.wanted
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
    /// May still have placeholders, until [`fill`] puts values in.
    args: Vec<Expr>,
    schema: SchemaRef,
    wanted: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
}

impl FunctionScanExec {
    pub(super) fn new(scan: &FunctionScan) -> Self {
        let schema = Arc::clone(scan.schema.inner());
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        FunctionScanExec {
            function: Arc::clone(&scan.function),
            args: scan.args.clone(),
            schema,
            wanted: scan.wanted.clone(),
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
        let arguments = self.args.iter().map(constant);
        let arguments = arguments.collect::<DfResult<Vec<_>>>()?;
        let call = Call {
            context: Arc::clone(&session.0),
            schema: Arc::clone(&self.schema),
            arguments,
            bounds: Vec::new(),
            limit: None,
            wanted: self.wanted.clone(),
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

/// The value of an expression over no row.
fn constant(arg: &Expr) -> DfResult<ScalarValue> {
    if let Expr::Literal(value, _) = arg {
        return Ok(value.clone());
    }
    let nothing = Arc::new(Schema::empty());
    let named = DFSchema::try_from(Arc::clone(&nothing))?;
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(nothing, Vec::new(), &one)?;
    let value = create_physical_expr(arg, &named, &ExecutionProps::new())?;
    ScalarValue::try_from_array(&value.evaluate(&row)?.into_array(1)?, 0)
}

/// Does an executable plan of this hold nothing but its shape? It reads nothing, or through
/// functions whose arguments, and only these, are known when it runs.
pub fn reads_no_table(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        LogicalPlan::Extension(extension) => extension.node.as_any().is::<FunctionScan>(),
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::SubqueryAlias(_) => {
            let open = plan.expressions().iter().any(has_placeholder);
            !open && plan.inputs().into_iter().all(reads_no_table)
        }
        _ => false,
    }
}

/// A fresh copy of an executable plan that [reads no table](reads_no_table), with values for the
/// arguments of its functions.
pub fn fill(
    plan: &Arc<dyn ExecutionPlan>,
    execution: &Execution<'_>,
) -> PgResult<Arc<dyn ExecutionPlan>> {
    let filled = Arc::clone(plan).transform_up(|node| {
        // What is above a new leaf is made anew, too, and with it what is counted while it runs.
        if let Some(row) = node.downcast_ref::<PlaceholderRowExec>() {
            let row = PlaceholderRowExec::new(row.schema());
            return Ok(Transformed::yes(Arc::new(row) as Arc<dyn ExecutionPlan>));
        }
        let Some(scan) = node.downcast_ref::<FunctionScanExec>() else {
            return Ok(Transformed::no(node));
        };
        let args = scan.args.iter().cloned();
        let args = args.map(|arg| complete_expr(arg, execution));
        let scan = FunctionScanExec {
            function: Arc::clone(&scan.function),
            args: args.collect::<DfResult<_>>()?,
            schema: Arc::clone(&scan.schema),
            wanted: scan.wanted.clone(),
            properties: Arc::clone(&scan.properties),
        };
        Ok(Transformed::yes(Arc::new(scan) as Arc<dyn ExecutionPlan>))
    });
    planned(filled.map(|filled| filled.data))
}
