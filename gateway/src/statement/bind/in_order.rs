//! Rows that have an order without being sorted: those of a recursive query, each round behind
//! the last, and those that are collected into lists. Dealing them out to several streams
//! would shuffle them.

use std::sync::Arc;

use datafusion::common::Result as DfResult;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};

/// Takes out what deals one stream of such rows out to several.
#[derive(Debug)]
pub(super) struct InOrder;

impl PhysicalOptimizerRule for InOrder {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let collects = collects(&node);
            let mut changed = false;
            let children = node.children().into_iter().map(|child| {
                match dealt_out(child).filter(|input| collects || is_recursive(input)) {
                    Some(input) => {
                        changed = true;
                        Arc::clone(input)
                    }
                    None => Arc::clone(child),
                }
            });
            let children: Vec<_> = children.collect();
            Ok(match changed {
                true => Transformed::yes(node.with_new_children(children)?),
                false => Transformed::no(node),
            })
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "InOrder"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The one stream that is dealt out in turns.
fn dealt_out(plan: &Arc<dyn ExecutionPlan>) -> Option<&Arc<dyn ExecutionPlan>> {
    let repartition = plan.downcast_ref::<RepartitionExec>()?;
    let in_turns = matches!(repartition.partitioning(), Partitioning::RoundRobinBatch(_));
    let input = repartition.input();
    (in_turns && input.output_partitioning().partition_count() == 1).then_some(input)
}

/// Does it make lists of rows as they come?
fn collects(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<AggregateExec>()
        .is_some_and(|aggregate| {
            aggregate
                .aggr_expr()
                .iter()
                .any(|call| call.fun().name() == "array_agg" && call.order_bys().is_empty())
        })
}

/// Are these the rows of a recursive query, perhaps with fewer of them or other columns?
fn is_recursive(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match plan.children().as_slice() {
        _ if plan.is::<RecursiveQueryExec>() => true,
        [child] => is_recursive(child),
        _ => false,
    }
}
