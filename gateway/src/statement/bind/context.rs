//! The DataFusion session that bound plans run in: no type coercion, no functions by name, our
//! nodes planned.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Extension, LogicalPlan, UserDefinedLogicalNode};
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_expr::create_physical_expr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;

use super::apply::Apply;
use super::apply_exec::{ApplyRows, Inner};
use super::decorrelate::Decorrelate;
use super::function_scan::{FunctionScan, FunctionScanExec};
use super::graph_table::GraphMatch;
use super::in_order::InOrder;
use super::lock_rows::LockRows;
use super::nearest_scan::NearestScan;
use super::over_rows::OverRows;
use super::place_blobs::place_blobs;
use super::project_series::Series;
use super::read_blobs::ReadBlobs;
use super::row_limit::{RowLimit, RowLimitExec};
use super::wanted_columns::WantedColumns;

/// DataFusion's rules that are about its own subquery expressions, which the binder never makes.
const LEFT_OUT: &[&str] = &[
    "decorrelate_predicate_subquery",
    "scalar_subquery_to_join",
    "decorrelate_lateral_join",
    "rewrite_set_comparison",
];

/// DataFusion's rules that move filters into sources while a plan is physical: ours take
/// theirs before, and going through every plan twice for nothing is a tenth of the planning.
const LEFT_OUT_PHYSICAL: &[&str] = &["FilterPushdown", "FilterPushdown(Post)"];

/// A session for bound plans, over the settings given.
pub fn session_state_with(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut config = config.set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
    // Filters that change while a plan runs do not go with plans that are run again.
    let optimizer = &mut config.options_mut().optimizer;
    optimizer.enable_dynamic_filter_pushdown = false;
    // This rule expects an order where there may be none.
    optimizer.enable_distinct_aggregation_soft_limit = false;
    let decorrelate: Arc<dyn OptimizerRule + Send + Sync> = Arc::new(Decorrelate);
    let wanted_columns: Arc<dyn OptimizerRule + Send + Sync> = Arc::new(WantedColumns);
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = std::iter::once(decorrelate)
        .chain(Optimizer::new().rules)
        .filter(|rule| !LEFT_OUT.contains(&rule.name()))
        .chain(std::iter::once(wanted_columns))
        .collect();
    let in_order: Arc<dyn PhysicalOptimizerRule + Send + Sync> = Arc::new(InOrder);
    let nearest: Arc<dyn PhysicalOptimizerRule + Send + Sync> = Arc::new(NearestScan);
    let physical_rules = PhysicalOptimizer::new()
        .rules
        .into_iter()
        .filter(|rule| !LEFT_OUT_PHYSICAL.contains(&rule.name()))
        .chain([in_order, nearest])
        .collect();
    SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_analyzer_rules(Vec::new())
        .with_optimizer_rules(rules)
        .with_physical_optimizer_rules(physical_rules)
        .with_query_planner(Arc::new(Planner))
        .build()
}

pub fn session_state(runtime: Arc<RuntimeEnv>) -> SessionState {
    session_state_with(SessionConfig::new(), runtime)
}

#[derive(Debug)]
struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        state: &SessionState,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let plan = place_blobs(seal(plan.clone())?)?;
        DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(Nodes)])
            .create_physical_plan(&plan, state)
            .await
            .and_then(yielding)
    }
}

/// Joins can make rows without end from inputs that ended long ago; each gives way now and
/// then, so that a cancelled statement stops and other connections are served.
fn yielding(plan: Arc<dyn ExecutionPlan>) -> DfResult<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let joins = node.is::<NestedLoopJoinExec>()
            || node.is::<CrossJoinExec>()
            || node.is::<HashJoinExec>();
        Ok(match joins {
            true => {
                Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>)
            }
            false => Transformed::no(node),
        })
    })
    .map(|transformed| transformed.data)
}

/// Hides the right plans of what is left of `Apply` from the planner.
fn seal(plan: LogicalPlan) -> DfResult<LogicalPlan> {
    plan.transform_down(|plan| {
        let LogicalPlan::Extension(extension) = &plan else {
            return Ok(Transformed::no(plan));
        };
        let Some(apply) = extension
            .node
            .as_any()
            .downcast_ref::<Apply>()
            .filter(|apply| !apply.sealed)
        else {
            return Ok(Transformed::no(plan));
        };
        let sealed = Apply {
            sealed: true,
            ..apply.clone()
        };
        Ok(Transformed::new(
            LogicalPlan::Extension(Extension {
                node: Arc::new(sealed),
            }),
            true,
            TreeNodeRecursion::Continue,
        ))
    })
    .map(|transformed| transformed.data)
}

struct Nodes;

#[async_trait]
impl ExtensionPlanner for Nodes {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        state: &SessionState,
    ) -> DfResult<Option<Arc<dyn ExecutionPlan>>> {
        if let Some(matched) = node.as_any().downcast_ref::<GraphMatch>() {
            return matched.physical(state).await.map(Some);
        }
        if let Some(scan) = node.as_any().downcast_ref::<FunctionScan>() {
            return Ok(Some(Arc::new(FunctionScanExec::new(scan))));
        }
        if let (Some(locks), [input]) = (node.as_any().downcast_ref::<LockRows>(), physical_inputs)
        {
            return locks.physical(input, state).map(Some);
        }
        if let (Some(reads), [input]) = (node.as_any().downcast_ref::<ReadBlobs>(), physical_inputs)
        {
            return reads.physical(input, state).map(Some);
        }
        if let (Some(series), [input]) = (node.as_any().downcast_ref::<Series>(), physical_inputs) {
            return series.physical(input, state).map(Some);
        }
        if node.as_any().is::<RowLimit>()
            && let [input, counts] = physical_inputs
        {
            let limited = RowLimitExec::new(Arc::clone(input), Arc::clone(counts));
            return Ok(Some(Arc::new(limited)));
        }
        let Some(apply) = node.as_any().downcast_ref::<Apply>() else {
            return Ok(None);
        };
        let ([left], [physical]) = (logical_inputs, physical_inputs) else {
            return Err(datafusion::error::DataFusionError::Internal(
                "an Apply that was not sealed".to_owned(),
            ));
        };
        let physical_exprs = |exprs: Vec<datafusion::logical_expr::Expr>| {
            exprs
                .iter()
                .map(|expr| create_physical_expr(expr, left.schema(), state.execution_props()))
                .collect::<DfResult<Vec<_>>>()
        };
        // The right plan answers for one row at a time: one partition is enough.
        let config = state.config().clone().with_target_partitions(1);
        let inner_state = SessionStateBuilder::new_from_existing(state.clone())
            .with_config(config)
            .build();
        let inner = Inner {
            plan: apply.right.clone(),
            ids: apply.outer.iter().map(|(id, _)| id.clone()).collect(),
            outer: physical_exprs(apply.outer.iter().map(|(_, expr)| expr.clone()).collect())?,
            needles: physical_exprs(apply.needles.clone())?,
            kind: apply.kind,
            state: inner_state,
        };
        let schema = Arc::clone(apply.schema.inner());
        Ok(Some(Arc::new(OverRows::new(
            Arc::clone(physical),
            Arc::new(ApplyRows(Arc::new(inner))),
            schema,
        ))))
    }
}
