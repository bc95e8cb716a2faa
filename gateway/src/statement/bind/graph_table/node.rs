//! The matches of a graph pattern as a plan: a leaf that names a branch and holds no snapshot.
//! When it becomes physical, row counts and key lookups say at which vertex matches begin.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{
    Column, DFSchema, DFSchemaRef, DataFusionError, Result as DfResult, ScalarValue,
};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{
    BinaryExpr, Expr, LogicalPlan, Operator, TableProviderFilterPushDown,
    UserDefinedLogicalNodeCore,
};
use datafusion::physical_expr::create_physical_expr;
use datafusion::physical_plan::ExecutionPlan;
use omnigraph_catalog::provider::{GraphTable, Snapshots};
use omnigraph_engine::blob::VALUE_TYPE;
use omnigraph_engine::pattern::{
    self, Candidate, Hints, Known, Output, Pattern, Program, Property, PropertyKind, Rows,
    Statistics,
};
use omnigraph_engine::schema::TypeId;
use omnigraph_engine::{Error, Snapshot};
use omnigraph_udfs::pg::blob;

use super::super::{placeholder_of, planned};
use super::GraphRef;
use super::condition::SqlCondition;
use super::exec::{Chosen, GraphMatchExec, Nodes};
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

pub(super) const HOLE: &str = "$p";
/// So few nodes at the end of a path that a search is made for each of them.
const FEW: usize = 16;

pub(super) fn hole_of(expr: &Expr) -> Option<usize> {
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
    pub(super) graph: GraphRef,
    pub(super) pattern: Arc<Pattern>,
    conditions: Vec<Condition>,
    pub(super) outputs: Vec<OutputColumn>,
    pub(super) rows: Rows,
    tables: HashMap<TypeId, Arc<GraphTable>>,
    pub(super) schema: DFSchemaRef,
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
        let conditions = self
            .conditions
            .iter()
            .map(|condition| SqlCondition::new(condition, state))
            .collect::<DfResult<Vec<_>>>()?;
        let chosen = self.choose(state, &snapshot).await?;
        Ok(Arc::new(GraphMatchExec::new(
            snapshot,
            Arc::new(self.clone()),
            conditions,
            chosen,
            state.config().target_partitions(),
        )))
    }

    /// Finds out where matches begin best, and which nodes are better known before.
    async fn choose(&self, state: &SessionState, snapshot: &Snapshot) -> DfResult<Chosen> {
        let mut hints = Hints {
            known: Vec::new(),
            statistics: Statistics::of(snapshot, &self.pattern),
        };
        let mut vertices: Vec<(Candidate, Nodes)> = Vec::new();
        for mut candidate in pattern::candidates(&self.pattern).map_err(engine_error)? {
            let nodes = self.nodes(state, &mut candidate).await?;
            let (variable, types) = (candidate.variable, &candidate.types);
            hints
                .statistics
                .expect(variable, types, nodes.rows() as f64);
            vertices.push((candidate, nodes));
        }
        let mut best: Option<(f64, usize)> = None;
        for (at, (candidate, nodes)) in vertices.iter().enumerate() {
            let program = Program::new(&self.pattern, candidate, &hints).map_err(engine_error)?;
            let estimate = program.estimate(nodes.rows() as f64, &hints.statistics);
            if best.is_none_or(|(least, _)| estimate.cost < least) {
                best = Some((estimate.cost, at));
            }
        }
        let (_, at) =
            best.ok_or_else(|| engine_error(Error::internal("a pattern that begins nowhere")))?;
        let (start, starts) = vertices.swap_remove(at);
        let first = Program::new(&self.pattern, &start, &hints).map_err(engine_error)?;
        let estimate = first.estimate(starts.rows() as f64, &hints.statistics);
        let mut known = Vec::new();
        for (candidate, nodes) in vertices {
            let variable = candidate.variable;
            let is_new = variable != start.variable
                && hints.known.iter().all(|known| known.variable != variable);
            // Asking all nodes costs less than asking each one that a match comes to.
            let arrivals = first.arrivals(variable, &estimate, &hints.statistics);
            let is_cheap = nodes.are_looked_up() || arrivals > nodes.read() as f64;
            if is_new && is_cheap && !candidate.conditions.is_empty() {
                hints.known.push(Known {
                    variable,
                    conditions: candidate.conditions,
                    are_few: nodes.rows() <= FEW,
                });
                known.push((variable, nodes));
            }
        }
        let program = Program::new(&self.pattern, &start, &hints).map_err(engine_error)?;
        let estimate = program.estimate(starts.rows() as f64, &hints.statistics);
        let name = self.pattern.variables[start.variable].name.clone();
        Ok(Chosen {
            program: Arc::new(program),
            estimate,
            begins_at: name.unwrap_or_else(|| "()".to_owned()),
            starts,
            known,
        })
    }

    /// Scans for the nodes that a match can begin with there. Conditions that a scan cannot
    /// take are taken off the candidate.
    async fn nodes(&self, state: &SessionState, candidate: &mut Candidate) -> DfResult<Nodes> {
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
        let mut scans = Vec::new();
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
            scans.push((*id, plan));
        }
        Ok(Nodes(scans))
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

pub(super) fn engine_error(error: Error) -> DataFusionError {
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
