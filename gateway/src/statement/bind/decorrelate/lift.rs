//! Taking the conditions over values from outside up and out of a right plan.

use std::collections::HashSet;

use datafusion::common::{Column, Result as DfResult};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Distinct, Expr, FetchType, JoinType, LogicalPlan, LogicalPlanBuilder, Projection, SkipType,
};

use super::outer::{mentions, mentions_expr};
use super::with_filter;
use crate::statement::bind::apply::ApplyKind;

/// What the right side is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Whether there is a row: neither their number nor a limit matters.
    Existence,
    /// Which rows there are: their number does not matter.
    Set,
    Rows,
}

impl Purpose {
    pub(super) fn of(kind: ApplyKind) -> Self {
        match kind {
            ApplyKind::Exists => Purpose::Existence,
            ApplyKind::In => Purpose::Set,
            _ => Purpose::Rows,
        }
    }
}

/// The plan without the conditions that take values from outside, and these conditions over its
/// columns. `None`: values from outside stand somewhere else.
pub(super) fn lift(
    plan: &LogicalPlan,
    ids: &HashSet<String>,
    purpose: Purpose,
) -> DfResult<Option<(LogicalPlan, Vec<Expr>)>> {
    if !mentions(plan, ids)? {
        return Ok(Some((plan.clone(), Vec::new())));
    }
    match plan {
        LogicalPlan::Filter(filter) => {
            let Some((input, mut lifted)) = lift(&filter.input, ids, purpose)? else {
                return Ok(None);
            };
            let mut kept = Vec::new();
            for conjunct in split_conjunction(&filter.predicate) {
                if !mentions_expr(conjunct, ids)? {
                    kept.push(conjunct.clone());
                } else if conjunct.is_volatile() {
                    return Ok(None);
                } else {
                    lifted.push(conjunct.clone());
                }
            }
            Ok(Some((with_filter(input, kept)?, lifted)))
        }
        LogicalPlan::Projection(projection) => lift_projection(projection, ids, purpose),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
            let Some((input, lifted)) = lift(&sort.input, ids, purpose)? else {
                return Ok(None);
            };
            let plan = LogicalPlanBuilder::from(input)
                .sort(sort.expr.clone())?
                .build()?;
            Ok(Some((plan, lifted)))
        }
        LogicalPlan::Distinct(Distinct::All(input)) if purpose != Purpose::Rows => {
            lift(input, ids, purpose)
        }
        LogicalPlan::Limit(limit) if purpose == Purpose::Existence => {
            let some_row = matches!(limit.get_skip_type()?, SkipType::Literal(0))
                && matches!(limit.get_fetch_type()?, FetchType::Literal(Some(rows)) if rows > 0);
            if some_row {
                lift(&limit.input, ids, purpose)
            } else {
                Ok(None)
            }
        }
        LogicalPlan::Join(join) => {
            let mut own = Vec::new();
            for expr in plan.expressions() {
                if mentions_expr(&expr, ids)? {
                    return Ok(None);
                }
            }
            let (lefts, rights) = match join.join_type {
                JoinType::Inner => (
                    lift(&join.left, ids, purpose)?,
                    lift(&join.right, ids, purpose)?,
                ),
                // An outer row is there whatever the other side holds.
                JoinType::Left if !mentions(&join.right, ids)? => (
                    lift(&join.left, ids, purpose)?,
                    Some((join.right.as_ref().clone(), Vec::new())),
                ),
                _ => (None, None),
            };
            let (Some((left, of_left)), Some((right, of_right))) = (lefts, rights) else {
                return Ok(None);
            };
            own.extend(of_left);
            own.extend(of_right);
            let joined = plan.with_new_exprs(plan.expressions(), vec![left, right])?;
            Ok(Some((joined, own)))
        }
        _ => Ok(None),
    }
}

/// The projection also carries what the lifted conditions are over.
fn lift_projection(
    projection: &Projection,
    ids: &HashSet<String>,
    purpose: Purpose,
) -> DfResult<Option<(LogicalPlan, Vec<Expr>)>> {
    for expr in &projection.expr {
        if mentions_expr(expr, ids)? {
            return Ok(None);
        }
    }
    let Some((input, lifted)) = lift(&projection.input, ids, purpose)? else {
        return Ok(None);
    };
    let mut exprs = projection.expr.clone();
    let mut carried: Vec<Column> = Vec::new();
    for column in lifted.iter().flat_map(|condition| condition.column_refs()) {
        if carried.contains(column) {
            continue;
        }
        carried.push(column.clone());
        let same = Expr::Column(column.clone());
        if exprs.contains(&same) {
            continue;
        }
        if projection
            .schema
            .fields()
            .iter()
            .any(|field| *field.name() == column.name)
        {
            return Ok(None);
        }
        exprs.push(same);
    }
    let plan = LogicalPlanBuilder::from(input).project(exprs)?.build()?;
    Ok(Some((plan, lifted)))
}
