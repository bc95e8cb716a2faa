//! A function in FROM is told which of its columns anybody looks at, so that it need not make
//! the others.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Extension, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::function_scan::FunctionScan;

#[derive(Debug)]
pub(super) struct WantedColumns;

impl OptimizerRule for WantedColumns {
    fn name(&self) -> &str {
        "wanted_columns"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> DfResult<Transformed<LogicalPlan>> {
        let makes_columns = matches!(plan, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_));
        let mut names = HashSet::new();
        if !makes_columns || function_below(&plan, &mut names).is_none() {
            return Ok(Transformed::no(plan));
        }
        plan.transform_down(|node| {
            let LogicalPlan::Extension(extension) = &node else {
                return Ok(Transformed::no(node));
            };
            let Some(scan) = extension.node.as_any().downcast_ref::<FunctionScan>() else {
                return Ok(Transformed::no(node));
            };
            let node = Arc::new(scan.with_wanted(&names));
            Ok(Transformed::yes(LogicalPlan::Extension(Extension { node })))
        })
    }
}

/// The function whose rows these are, if nothing on the way makes other columns of them; the
/// names of the columns that are looked at on the way.
fn function_below<'a>(
    plan: &'a LogicalPlan,
    names: &mut HashSet<String>,
) -> Option<&'a FunctionScan> {
    for expr in plan.expressions() {
        names.extend(
            expr.column_refs()
                .into_iter()
                .map(|column| column.name.clone()),
        );
    }
    let [input] = plan.inputs()[..] else {
        return None;
    };
    match input {
        LogicalPlan::Extension(extension) => {
            let scan = extension.node.as_any().downcast_ref::<FunctionScan>();
            scan.filter(|scan| scan.wanted.is_none())
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_) => function_below(input, names),
        _ => None,
    }
}
