//! The matches of a graph pattern as a plan: a leaf that names a branch and holds no snapshot.
//! When it becomes physical, row counts and key lookups say at which vertex matches begin.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Float64Type, Schema as ArrowSchema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{
    Column, DFSchema, DFSchemaRef, DataFusionError, Result as DfResult, ScalarValue,
};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{
    BinaryExpr, Expr, LogicalPlan, Operator, TableProviderFilterPushDown,
    UserDefinedLogicalNodeCore,
};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, create_physical_expr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::StreamExt;
use omnigraph_catalog::provider::{GraphTable, Snapshots, to_sql};
use omnigraph_engine::blob::VALUE_TYPE;
use omnigraph_engine::pattern::{
    self, Candidate, Failure, Matching, Memory, Output, Pattern, Program, Property, PropertyKind,
    Rows,
};
use omnigraph_engine::schema::TypeId;
use omnigraph_engine::{Error, Snapshot};
use omnigraph_udfs::pg::blob;

use super::super::{placeholder_of, planned};
use super::GraphRef;
use crate::error::PgResult;

/// A condition or a cost over properties, each of which is a [`hole`] in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Condition {
    pub expr: Expr,
    /// Of the holes, as SQL has them.
    pub types: Vec<DataType>,
}

/// Stands for a property in a condition: nothing but the node knows what to put there, and no
/// rule folds it.
pub(super) fn hole(at: usize, ty: DataType) -> Expr {
    placeholder_of(&format!("{HOLE}{at}"), ty)
}

const HOLE: &str = "$p";

fn hole_of(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Placeholder(placeholder) => placeholder.id.strip_prefix(HOLE)?.parse().ok(),
        _ => None,
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OutputColumn {
    pub name: String,
    pub output: Output,
    pub ty: DataType,
}

#[derive(Debug, Clone)]
pub(in super::super) struct GraphMatch {
    graph: GraphRef,
    pattern: Arc<Pattern>,
    conditions: Vec<Condition>,
    outputs: Vec<OutputColumn>,
    rows: Rows,
    tables: HashMap<TypeId, Arc<GraphTable>>,
    schema: DFSchemaRef,
    /// Evaluated once before anything is matched, for the error it may be.
    guard: Option<Expr>,
}

impl GraphMatch {
    pub(super) fn new(
        graph: GraphRef,
        pattern: Pattern,
        conditions: Vec<Condition>,
        outputs: Vec<OutputColumn>,
        rows: Rows,
        tables: HashMap<TypeId, Arc<GraphTable>>,
    ) -> PgResult<Self> {
        let pattern = Arc::new(pattern);
        // What cannot be matched is an error of the statement, not of its execution.
        let candidates = pattern::candidates(&pattern);
        candidates.map_err(|error| crate::sqlstate::from_engine(&error))?;
        let fields = outputs
            .iter()
            .map(|column| Field::new(&column.name, column.ty.clone(), true));
        let schema = ArrowSchema::new(fields.collect::<Vec<_>>());
        Ok(GraphMatch {
            graph,
            pattern,
            conditions,
            outputs,
            rows,
            tables,
            schema: Arc::new(planned(DFSchema::try_from(schema))?),
            guard: None,
        })
    }

    pub(super) fn guarded(self, guard: Option<Expr>) -> Self {
        GraphMatch { guard, ..self }
    }

    /// Finds where matches begin best, and plans the scans of the nodes there.
    pub(in super::super) async fn physical(
        &self,
        state: &SessionState,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        if let Some(guard) = &self.guard {
            let schema = Arc::new(ArrowSchema::empty());
            let guard = create_physical_expr(guard, &DFSchema::empty(), state.execution_props())?;
            let options = RecordBatchOptions::new().with_row_count(Some(1));
            guard.evaluate(&RecordBatch::try_new_with_options(
                schema,
                Vec::new(),
                &options,
            )?)?;
        }
        let snapshots = state.config().get_extension::<Snapshots>().ok_or_else(|| {
            engine_error(Error::internal(
                "a pattern was planned without its snapshots",
            ))
        })?;
        let branch = &self.graph.branch;
        let snapshot = match &self.graph.at {
            None => snapshots.get(branch),
            Some(reference) => snapshots.past(branch, reference),
        };
        let snapshot = snapshot.cloned().ok_or_else(|| {
            let message = format!("no snapshot of branch \"{branch}\" was taken");
            engine_error(Error::internal(message))
        })?;
        let mut best: Option<(usize, Candidate, Vec<Start>)> = None;
        for mut candidate in pattern::candidates(&self.pattern).map_err(engine_error)? {
            let starts = self.starts(state, &mut candidate).await?;
            let rows = starts
                .iter()
                .map(|start| estimate(&start.plan))
                .fold(0usize, usize::saturating_add);
            if best.as_ref().is_none_or(|(least, _, _)| rows < *least) {
                best = Some((rows, candidate, starts));
            }
        }
        let (_, candidate, starts) =
            best.ok_or_else(|| engine_error(Error::internal("a pattern that begins nowhere")))?;
        let conditions = self
            .conditions
            .iter()
            .map(|condition| SqlCondition::new(condition, state))
            .collect::<DfResult<Vec<_>>>()?;
        let name = self.pattern.variables[candidate.variable].name.clone();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(self.schema.inner())),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Arc::new(GraphMatchExec {
            snapshot,
            node: Arc::new(self.clone()),
            candidate,
            begins_at: name.unwrap_or_else(|| "()".to_owned()),
            conditions,
            starts,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }

    /// Scans for the nodes that a match can begin with there. Conditions that a scan cannot
    /// take are taken off the candidate.
    async fn starts(
        &self,
        state: &SessionState,
        candidate: &mut Candidate,
    ) -> DfResult<Vec<Start>> {
        let mut filters: HashMap<TypeId, Vec<Expr>> = HashMap::new();
        let mut taken = Vec::new();
        for &condition in &candidate.conditions {
            let mut of_types = Vec::new();
            for id in &candidate.types {
                let Some(table) = self.tables.get(id) else {
                    continue;
                };
                let filter = self.filter_of(condition, table)?;
                let answer = table.supports_filters_pushdown(&[&filter])?;
                let closed = !filter.exists(|expr| Ok(matches!(expr, Expr::Placeholder(_))))?;
                of_types.push((
                    *id,
                    filter,
                    closed && answer == [TableProviderFilterPushDown::Exact],
                ));
            }
            if of_types.iter().all(|(_, _, exact)| *exact) {
                taken.push(condition);
                for (id, filter, _) in of_types {
                    filters.entry(id).or_default().push(filter);
                }
            }
        }
        candidate.conditions = taken;
        let mut starts = Vec::new();
        for id in &candidate.types {
            let Some(table) = self.tables.get(id) else {
                continue;
            };
            let filters = filters.remove(id).unwrap_or_default();
            let never = Expr::Literal(ScalarValue::Boolean(Some(false)), None);
            if filters.contains(&never) {
                continue;
            }
            let plan = table.scan(state, Some(&vec![0]), &filters, None).await?;
            starts.push(Start { id: *id, plan });
        }
        Ok(starts)
    }

    /// A condition on one node as a filter of its table.
    fn filter_of(&self, condition: usize, table: &GraphTable) -> DfResult<Expr> {
        let uses = &self.pattern.conditions[condition];
        let types = &self.conditions[condition].types;
        let schema = table.schema();
        let is_id = |expr: &Expr| {
            hole_of(expr).is_some_and(|at| {
                matches!(
                    uses.get(at),
                    Some(Property {
                        kind: PropertyKind::ElementId,
                        ..
                    })
                )
            })
        };
        let id = || Expr::Column(Column::new_unqualified("id"));
        let prefix = format!("{}:", table.def().table);
        self.conditions[condition]
            .expr
            .clone()
            .transform_down(|expr| {
                if let Expr::BinaryExpr(BinaryExpr {
                    left,
                    op: Operator::Eq,
                    right,
                }) = &expr
                    && is_id(left)
                    && let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = &**right
                {
                    // An element's name says which table it is in.
                    return Ok(Transformed::yes(match text.strip_prefix(&prefix) {
                        Some(own) => id().eq(Expr::Literal(ScalarValue::from(own), None)),
                        None => Expr::Literal(ScalarValue::Boolean(Some(false)), None),
                    }));
                }
                let Some(at) = hole_of(&expr) else {
                    return Ok(Transformed::no(expr));
                };
                let null =
                    || ScalarValue::try_from(&types[at]).map(|null| Expr::Literal(null, None));
                Ok(Transformed::yes(
                    match uses.get(at).map(|property| &property.kind) {
                        Some(PropertyKind::Column(name)) => match schema.field_with_name(name) {
                            Ok(field) if *field.data_type() == types[at] => {
                                Expr::Column(Column::new_unqualified(name))
                            }
                            // No scan reads blobs: the match asks it.
                            Ok(field) if *field.data_type() == VALUE_TYPE => {
                                blob::bytes(Expr::Column(Column::new_unqualified(name)))
                            }
                            _ => null()?,
                        },
                        // Not to be had of a column: the match asks it.
                        _ => expr,
                    },
                ))
            })
            .map(|transformed| transformed.data)
    }
}

fn estimate(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let statistics = plan.partition_statistics(None).ok();
    statistics
        .and_then(|statistics| statistics.num_rows.get_value().copied())
        .unwrap_or(usize::MAX)
}

fn engine_error(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl PartialEq for GraphMatch {
    fn eq(&self, other: &Self) -> bool {
        self.graph.branch == other.graph.branch
            && self.graph.at == other.graph.at
            && self.graph.schema.digest() == other.graph.schema.digest()
            && self.pattern == other.pattern
            && self.conditions == other.conditions
            && self.outputs == other.outputs
            && self.rows == other.rows
            && self.guard == other.guard
    }
}

impl Eq for GraphMatch {}

impl Hash for GraphMatch {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.graph.branch.as_str().hash(state);
        self.pattern.hash(state);
        self.conditions.hash(state);
        self.outputs.hash(state);
    }
}

impl PartialOrd for GraphMatch {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let branch = |node: &Self| node.graph.branch.as_str().to_owned();
        branch(self).partial_cmp(&branch(other))
    }
}

impl UserDefinedLogicalNodeCore for GraphMatch {
    fn name(&self) -> &str {
        "GraphMatch"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let conditions = self.conditions.iter();
        conditions
            .map(|condition| condition.expr.clone())
            .chain(self.guard.clone())
            .collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GraphMatch: branch {}", self.graph.branch)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, _inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        let mut node = self.clone();
        let mut exprs = exprs.into_iter();
        for (condition, expr) in node.conditions.iter_mut().zip(exprs.by_ref()) {
            condition.expr = expr;
        }
        node.guard = exprs.next();
        Ok(node)
    }
}

#[derive(Debug, Clone)]
struct Start {
    id: TypeId,
    plan: Arc<dyn ExecutionPlan>,
}

#[derive(Debug)]
struct GraphMatchExec {
    snapshot: Snapshot,
    node: Arc<GraphMatch>,
    candidate: Candidate,
    /// The variable there.
    begins_at: String,
    conditions: Vec<SqlCondition>,
    starts: Vec<Start>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl DisplayAs for GraphMatchExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Graph Match from {}", self.begins_at)
    }
}

impl ExecutionPlan for GraphMatchExec {
    fn name(&self) -> &str {
        "GraphMatchExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.starts.iter().map(|start| &start.plan).collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.starts.len()]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let starts = self
            .starts
            .iter()
            .zip(children)
            .map(|(start, plan)| Start { id: start.id, plan })
            .collect();
        Ok(Arc::new(GraphMatchExec {
            snapshot: self.snapshot.clone(),
            node: Arc::clone(&self.node),
            candidate: self.candidate.clone(),
            begins_at: self.begins_at.clone(),
            conditions: self.conditions.clone(),
            starts,
            properties: Arc::clone(&self.properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let node = &self.node;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let reservation = MemoryConsumer::new("graph match").register(context.memory_pool());
        let outputs: Vec<Output> = node
            .outputs
            .iter()
            .map(|column| column.output.clone())
            .collect();
        let engine =
            |output: &Output| pattern::output_type(&node.pattern, &node.graph.schema, output);
        let fields = outputs
            .iter()
            .enumerate()
            .map(|(at, output)| Field::new(at.to_string(), engine(output), true));
        let matching = Matching {
            program: Program::new(&node.pattern, &self.candidate).map_err(engine_error)?,
            conditions: self
                .conditions
                .iter()
                .map(|condition| Arc::new(condition.clone()) as Arc<dyn pattern::Condition>)
                .collect(),
            memory: Box::new(Reserved(reservation)),
            schema: Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>())),
            outputs,
            rows: node.rows,
        };
        let mut scans = Vec::new();
        for start in &self.starts {
            for partition in 0..start
                .plan
                .properties()
                .output_partitioning()
                .partition_count()
            {
                let id = start.id;
                let rows = start.plan.execute(partition, Arc::clone(&context))?;
                scans.push(rows.map(move |batch| {
                    let batch = batch.map_err(outside)?;
                    let ids = batch.column(0).as_string_opt::<i32>().cloned();
                    let ids =
                        ids.ok_or_else(|| Error::internal("an id column that is not text"))?;
                    Ok::<_, Failure>((id, ids))
                }));
            }
        }
        let starts = futures::stream::iter(scans).flatten().boxed();
        let schema = Arc::clone(node.schema.inner());
        let of = Arc::clone(&schema);
        let rows = pattern::matches(self.snapshot.clone(), matching, starts).map(move |batch| {
            let batch = batch.map_err(inside).and_then(|batch| as_sql(&batch, &of));
            if let Ok(batch) = &batch {
                metrics.record_output(batch.num_rows());
            }
            batch
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

fn as_sql(batch: &RecordBatch, schema: &SchemaRef) -> DfResult<RecordBatch> {
    let arrays = batch.columns().iter().zip(schema.fields());
    let arrays =
        arrays.map(|(array, field)| to_sql(array, field.data_type()).map_err(engine_error));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        arrays.collect::<DfResult<Vec<ArrayRef>>>()?,
        &options,
    )?)
}

fn outside(error: DataFusionError) -> Failure {
    Failure::Outside(Box::new(error))
}

fn inside(failure: Failure) -> DataFusionError {
    match failure {
        Failure::Engine(error) => engine_error(error),
        Failure::Outside(error) => match error.downcast::<DataFusionError>() {
            Ok(error) => *error,
            Err(error) => DataFusionError::External(error),
        },
    }
}

#[derive(Debug)]
struct Reserved(MemoryReservation);

impl Memory for Reserved {
    fn resize(&mut self, bytes: usize) -> Result<(), Failure> {
        self.0.try_resize(bytes).map_err(outside)
    }
}

/// A condition over properties as the engine fetches them.
#[derive(Debug, Clone)]
struct SqlCondition {
    expr: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
}

impl SqlCondition {
    fn new(condition: &Condition, state: &SessionState) -> DfResult<Self> {
        let fields = condition.types.iter().enumerate();
        let fields = fields.map(|(at, ty)| Field::new(format!("{HOLE}{at}"), ty.clone(), true));
        let schema = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
        let filled = condition.expr.clone().transform(|expr| {
            Ok(match hole_of(&expr) {
                Some(at) => {
                    Transformed::yes(Expr::Column(Column::new_unqualified(format!("{HOLE}{at}"))))
                }
                None => Transformed::no(expr),
            })
        })?;
        let resolved = DFSchema::try_from(Arc::clone(&schema))?;
        let expr = create_physical_expr(&filled.data, &resolved, state.execution_props())?;
        Ok(SqlCondition { expr, schema })
    }

    fn evaluate(&self, properties: &[ArrayRef], rows: usize) -> Result<ArrayRef, Failure> {
        let arrays = properties.iter().zip(self.schema.fields());
        let arrays = arrays
            .map(|(array, field)| to_sql(array, field.data_type()))
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?;
        let value = self.expr.evaluate(&batch).map_err(outside)?;
        value.into_array(rows).map_err(outside)
    }
}

impl pattern::Condition for SqlCondition {
    fn holds(&self, properties: &[ArrayRef], rows: usize) -> Result<BooleanArray, Failure> {
        let holds = self.evaluate(properties, rows)?;
        Ok(holds.as_boolean().clone())
    }

    fn cost(&self, properties: &[ArrayRef], rows: usize) -> Result<Vec<f64>, Failure> {
        let refuse = |message: &str| {
            let error =
                omnigraph_udfs::Error::value(crate::sqlstate::INVALID_PARAMETER_VALUE, message);
            Err(outside(DataFusionError::from(error)))
        };
        let costs = self.evaluate(properties, rows)?;
        let costs = costs.as_primitive::<Float64Type>();
        if costs.null_count() > 0 {
            return refuse("the COST of an edge must not be null");
        }
        if costs
            .values()
            .iter()
            .any(|cost| cost.is_nan() || *cost < 0.0)
        {
            return refuse("the COST of an edge must not be negative");
        }
        Ok(costs.values().to_vec())
    }
}
