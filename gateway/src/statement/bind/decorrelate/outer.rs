//! The values from outside: placeholders in the right plan, expressions over the left side.

use std::collections::HashSet;

use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::statement::bind::apply::Apply;

/// The condition with the left side's expressions in the place of the values from outside.
pub(super) fn outward(condition: Expr, apply: &Apply) -> DfResult<Expr> {
    condition
        .transform(|node| {
            let Expr::Placeholder(placeholder) = &node else {
                return Ok(Transformed::no(node));
            };
            Ok(
                match apply.outer.iter().find(|(id, _)| *id == placeholder.id) {
                    Some((_, expr)) => Transformed::yes(expr.clone()),
                    None => Transformed::no(node),
                },
            )
        })
        .map(|transformed| transformed.data)
}

pub(super) fn outer_ids(apply: &Apply) -> HashSet<String> {
    apply.outer.iter().map(|(id, _)| id.clone()).collect()
}

pub(super) fn mentions(plan: &LogicalPlan, ids: &HashSet<String>) -> DfResult<bool> {
    plan.exists(|node| {
        for expr in node.expressions() {
            if mentions_expr(&expr, ids)? {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

pub(super) fn mentions_expr(expr: &Expr, ids: &HashSet<String>) -> DfResult<bool> {
    expr.exists(|node| {
        Ok(matches!(node, Expr::Placeholder(placeholder) if ids.contains(&placeholder.id)))
    })
}
