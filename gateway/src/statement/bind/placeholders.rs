//! Values that stay open in a plan until it runs: parameters, times, values of outer rows.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::{InList, Placeholder};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_expr::create_physical_expr;
use omnigraph_catalog::types::PgType;

use super::bound::{BoundQuery, Execution};
use super::planned;
use super::typed::Typed;
use crate::error::{PgError, PgResult};
use crate::sqlstate;

impl BoundQuery {
    /// The plan with its parameters in place, ready to be optimised and run.
    pub fn with_params(&self, execution: &Execution<'_>) -> PgResult<LogicalPlan> {
        complete(&self.plan, execution)
    }
}

pub fn has_placeholder(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(matches!(expr, Expr::Placeholder(_))))
        .unwrap_or(true)
}

/// Puts parameters and times into a plan.
pub fn complete(plan: &LogicalPlan, execution: &Execution<'_>) -> PgResult<LogicalPlan> {
    planned(
        plan.clone()
            .transform_down(|plan| {
                plan.map_expressions(|expr| complete_expr(expr, execution).map(Transformed::yes))
            })
            .map(|transformed| transformed.data),
    )
}

/// As [`complete`], for one expression (RETURNING, ON CONFLICT DO UPDATE).
pub fn complete_expr(expr: Expr, execution: &Execution<'_>) -> DfResult<Expr> {
    expr.transform_up(|expr| {
        if let Expr::Placeholder(placeholder) = &expr {
            return Ok(match value_of(&placeholder.id, execution) {
                Some(value) => Transformed::yes(Expr::Literal(value, None)),
                None => Transformed::no(expr),
            });
        }
        Ok(any_of_constants(expr))
    })
    .map(|transformed| transformed.data)
}

/// `column = ANY ($1)` is a list once the array is known: scans understand that.
pub(super) fn any_of_constants(expr: Expr) -> Transformed<Expr> {
    use omnigraph_udfs::pg::array;
    if let Expr::ScalarFunction(call) = &expr
        && let negated @ (true | false) = call.func.name() == array::ALL_DIFFER
        && (negated || call.func.name() == array::ANY_EQUAL)
        && let [left, Expr::Literal(list, _)] = call.args.as_slice()
        && let Some(elements) = array::elements(list)
    {
        let list = elements
            .into_iter()
            .map(|element| Expr::Literal(element, None))
            .collect();
        return Transformed::yes(Expr::InList(InList::new(
            Box::new(left.clone()),
            list,
            negated,
        )));
    }
    Transformed::no(expr)
}

pub(super) fn value_of(id: &str, execution: &Execution<'_>) -> Option<ScalarValue> {
    let time = |micros: i64| ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()));
    match id {
        "$now" => Some(time(execution.transaction_time)),
        "$statement_time" => Some(time(execution.statement_time)),
        _ => {
            let number: usize = id.strip_prefix('$')?.parse().ok()?;
            execution.params.get(number.checked_sub(1)?).cloned()
        }
    }
}

/// Puts values for placeholders into a plan that is optimised already.
pub(super) fn substitute(
    plan: &LogicalPlan,
    value: &dyn Fn(&str) -> Option<ScalarValue>,
) -> DfResult<LogicalPlan> {
    replace_in_plan(plan, &|id| {
        value(id).map(|value| Expr::Literal(value, None))
    })
}

/// Puts expressions for placeholders into a plan.
pub(super) fn replace_placeholders(
    plan: &LogicalPlan,
    replacement: &dyn Fn(&str) -> Option<Expr>,
) -> PgResult<LogicalPlan> {
    planned(replace_in_plan(plan, replacement))
}

pub(super) fn replace_in_plan(
    plan: &LogicalPlan,
    replacement: &dyn Fn(&str) -> Option<Expr>,
) -> DfResult<LogicalPlan> {
    plan.clone()
        .transform_down(|plan| {
            plan.map_expressions(|expr| {
                expr.transform_up(|expr| match &expr {
                    Expr::Placeholder(placeholder) => Ok(match replacement(&placeholder.id) {
                        Some(found) => Transformed::yes(found),
                        None => Transformed::no(expr),
                    }),
                    _ => Ok(Transformed::no(expr)),
                })
            })
        })
        .map(|transformed| transformed.data)
}

/// Evaluates an expression over nothing.
pub(super) fn constant(expr: &Expr, execution: &Execution<'_>) -> PgResult<ScalarValue> {
    let expr = planned(complete_expr(expr.clone(), execution))?;
    let schema = DFSchema::empty();
    let physical = planned(create_physical_expr(&expr, &schema, &ExecutionProps::new()))?;
    let batch = RecordBatch::try_new_with_options(
        Arc::new(Schema::empty()),
        Vec::new(),
        &RecordBatchOptions::new().with_row_count(Some(1)),
    )
    .map_err(|error| PgError::new(sqlstate::INTERNAL_ERROR, error.to_string()))?;
    let value = planned(
        physical
            .evaluate(&batch)
            .and_then(|value| value.into_array(1)),
    )?;
    planned(ScalarValue::try_from_array(&value, 0))
}

/// What an expression comes to that neither reads rows nor waits for parameters or the time;
/// `None` also where it fails, which it will do again when it runs.
pub(super) fn known(value: &Typed) -> Option<ScalarValue> {
    if let Some(constant) = value.constant() {
        return Some(constant.clone());
    }
    let open = value.expr.exists(|expr| {
        Ok(match expr {
            Expr::Column(_) | Expr::Placeholder(_) => true,
            Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Immutable,
            _ => false,
        })
    });
    let execution = Execution {
        params: &[],
        transaction_time: 0,
        statement_time: 0,
    };
    match open {
        Ok(false) => constant(&value.expr, &execution).ok(),
        _ => None,
    }
}

pub(super) fn placeholder(id: &str, ty: PgType) -> Expr {
    placeholder_of(id, ty.arrow())
}

pub(super) fn placeholder_of(id: &str, ty: DataType) -> Expr {
    Expr::Placeholder(Placeholder::new_with_field(
        id.to_owned(),
        Some(Arc::new(Field::new("", ty, true))),
    ))
}

/// A parameter that the client does not see.
pub(super) fn hidden(id: &str) -> Expr {
    placeholder(id, PgType::TIMESTAMPTZ)
}
