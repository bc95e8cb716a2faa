//! Subqueries that are joins. An [`Apply`] runs its right plan once for each set of outer values;
//! where the outer values stand only in conditions, the same rows come out of one join.
//!
//! | subquery | where it stands | becomes |
//! |---|---|---|
//! | `EXISTS`, `IN` | a condition of WHERE | semi join |
//! | `NOT EXISTS` | a condition of WHERE | anti join |
//! | `EXISTS` by equality | anywhere | left join with the groups that are there |
//! | an aggregate by equality | anywhere | left join with the groups' aggregates |
//! | a row by its `id` | anywhere | left join |
//!
//! What is left stays an `Apply`. So does a subquery of few rows: looking up their keys costs less
//! than reading the other table. Conditions over the left side alone go below the `Apply` first.

mod few_rows;
mod lift;
mod outer;

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result as DfResult, ScalarValue};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Case, Expr, Extension, Filter, JoinType, LogicalPlan,
    LogicalPlanBuilder, Operator, Projection,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use self::few_rows::{is_id, reads_few_rows};
use self::lift::{Purpose, lift};
use self::outer::{mentions_expr, outer_ids, outward};
use super::apply::{Apply, ApplyKind};
use super::expr::binary;
use super::scope::internal;

/// The rule; it has to see plans before conditions are pushed into their scans.
#[derive(Debug)]
pub(super) struct Decorrelate;

impl OptimizerRule for Decorrelate {
    fn name(&self) -> &str {
        "decorrelate_apply"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> DfResult<Transformed<LogicalPlan>> {
        let found = match &plan {
            LogicalPlan::Filter(filter) => match apply_of(&filter.input) {
                Some(apply) => filtered(filter, apply)?,
                None => None,
            },
            other => match apply_of(other) {
                Some(apply) => joined(apply)?,
                None => None,
            },
        };
        Ok(match found {
            Some(better) => Transformed::yes(better),
            None => Transformed::no(plan),
        })
    }
}

fn apply_of(plan: &LogicalPlan) -> Option<&Apply> {
    let LogicalPlan::Extension(extension) = plan else {
        return None;
    };
    extension
        .node
        .as_any()
        .downcast_ref::<Apply>()
        .filter(|apply| !apply.sealed)
}

/// A filter above an `Apply`: conditions over the left side go below, and a condition that is
/// the subquery's own answer makes it a semi join or an anti join.
fn filtered(filter: &Filter, apply: &Apply) -> DfResult<Option<LogicalPlan>> {
    let left = apply.left.schema();
    let (mut below, mut above) = (Vec::new(), Vec::new());
    for conjunct in split_conjunction(&filter.predicate) {
        let of_left = conjunct
            .column_refs()
            .iter()
            .all(|column| left.has_column(column));
        if of_left && !conjunct.is_volatile() {
            below.push(conjunct.clone());
        } else {
            above.push(conjunct.clone());
        }
    }
    let pushed = !below.is_empty();
    let mut apply = apply.clone();
    if let Some(condition) = conjunction(below) {
        apply.left = LogicalPlanBuilder::from(apply.left)
            .filter(condition)?
            .build()?;
    }
    let test = above
        .iter()
        .position(|conjunct| is_answer(conjunct, &apply).is_some());
    if let Some(at) = test
        && let Some(negated) = is_answer(&above[at], &apply)
        && let Some(joined) = semi_join(&apply, negated)?
    {
        above.remove(at);
        return with_filter(joined, above).map(Some);
    }
    if !pushed {
        return Ok(None);
    }
    let plan = LogicalPlan::Extension(Extension {
        node: Arc::new(apply),
    });
    with_filter(plan, above).map(Some)
}

fn with_filter(plan: LogicalPlan, conditions: Vec<Expr>) -> DfResult<LogicalPlan> {
    match conjunction(conditions) {
        Some(condition) => LogicalPlanBuilder::from(plan).filter(condition)?.build(),
        None => Ok(plan),
    }
}

/// Is the condition the subquery's answer, or (`true`) its negation?
fn is_answer(condition: &Expr, apply: &Apply) -> Option<bool> {
    let output = apply.output()?;
    let is_output = |expr: &Expr| matches!(expr, Expr::Column(column) if column.name == output);
    match condition {
        _ if is_output(condition) => Some(false),
        Expr::Not(inner) if is_output(inner) => Some(true),
        _ => None,
    }
}

fn semi_join(apply: &Apply, negated: bool) -> DfResult<Option<LogicalPlan>> {
    // What NOT IN makes of NULLs is no anti join.
    let fits = matches!(
        (apply.kind, negated),
        (ApplyKind::Exists, _) | (ApplyKind::In, false)
    );
    if !fits || reads_few_rows(&apply.left) {
        return Ok(None);
    }
    let ids = outer_ids(apply);
    let Some((right, mut conditions)) = lift(&apply.right, &ids, Purpose::of(apply.kind))? else {
        return Ok(None);
    };
    for (needle, column) in apply.needles.iter().zip(right.schema().columns()) {
        conditions.push(binary(needle.clone(), Operator::Eq, Expr::Column(column)));
    }
    if conditions.is_empty() {
        return Ok(None);
    }
    let output = apply.output().unwrap_or_default();
    let mut names = Renamed::new(output);
    let conditions = conditions
        .into_iter()
        .map(|condition| names.inward(condition, right.schema().columns()))
        .map(|condition| condition.and_then(|condition| outward(condition, apply)))
        .collect::<DfResult<Vec<_>>>()?;
    if names.exprs.is_empty() {
        return Ok(None);
    }
    let right = LogicalPlanBuilder::from(right)
        .project(names.exprs)?
        .build()?;
    let kind = if negated {
        JoinType::LeftAnti
    } else {
        JoinType::LeftSemi
    };
    let joined = LogicalPlanBuilder::from(apply.left.clone())
        .join_on(right, kind, conditions)?
        .build()?;
    // What stands above may still carry the answer along.
    let answer = Expr::Literal(ScalarValue::Boolean(Some(!negated)), None);
    beside(joined, &apply.left, answer, output).map(Some)
}

/// The left side's columns and the answer.
fn beside(
    plan: LogicalPlan,
    left: &LogicalPlan,
    answer: Expr,
    output: &str,
) -> DfResult<LogicalPlan> {
    let mut exprs: Vec<Expr> = left
        .schema()
        .columns()
        .into_iter()
        .map(Expr::Column)
        .collect();
    exprs.push(answer.alias(output));
    LogicalPlanBuilder::from(plan).project(exprs)?.build()
}

/// An `Apply` whose answer is used in any way.
fn joined(apply: &Apply) -> DfResult<Option<LogicalPlan>> {
    if apply.outer.is_empty()
        || !matches!(apply.kind, ApplyKind::Scalar | ApplyKind::Exists)
        || reads_few_rows(&apply.left)
    {
        return Ok(None);
    }
    let ids = outer_ids(apply);
    match apply.kind {
        ApplyKind::Exists => exists(apply, &ids),
        _ => match aggregate(apply, &ids)? {
            Some(plan) => Ok(Some(plan)),
            None => row_by_id(apply, &ids),
        },
    }
}

/// The groups that are there, once each.
fn exists(apply: &Apply, ids: &HashSet<String>) -> DfResult<Option<LogicalPlan>> {
    let Some((right, conditions)) = lift(&apply.right, ids, Purpose::Existence)? else {
        return Ok(None);
    };
    let Some(keys) = equalities(&conditions, ids) else {
        return Ok(None);
    };
    let output = apply.output().unwrap_or_default();
    let (groups, mut exprs) = keys_as_groups(&keys, output);
    let marker = format!("{output}_there");
    exprs.push(truth().alias(&marker));
    let right = LogicalPlanBuilder::from(right)
        .aggregate(groups, Vec::<Expr>::new())?
        .project(exprs)?
        .build()?;
    let answer = Expr::IsNotNull(Box::new(internal(&marker)));
    left_join(apply, right, &keys, answer).map(Some)
}

/// `(SELECT f(aggregates) FROM … WHERE x = outer)`: one group for each value of `x`. A left row
/// without a group has what the aggregates are of nothing.
fn aggregate(apply: &Apply, ids: &HashSet<String>) -> DfResult<Option<LogicalPlan>> {
    let Some((value, node)) = over_aggregate(&apply.right)? else {
        return Ok(None);
    };
    if !node.group_expr.is_empty() || mentions_expr(&value, ids)? {
        return Ok(None);
    }
    for expr in &node.aggr_expr {
        if mentions_expr(expr, ids)? {
            return Ok(None);
        }
    }
    let Some((input, conditions)) = lift(&node.input, ids, Purpose::Rows)? else {
        return Ok(None);
    };
    let Some(keys) = equalities(&conditions, ids) else {
        return Ok(None);
    };
    let Some(of_nothing) = of_nothing(&value, node)? else {
        return Ok(None);
    };
    let output = apply.output().unwrap_or_default();
    let (groups, mut exprs) = keys_as_groups(&keys, output);
    let (marker, column) = (format!("{output}_there"), format!("{output}_value"));
    exprs.push(truth().alias(&marker));
    exprs.push(value.alias(&column));
    let right = LogicalPlanBuilder::from(input)
        .aggregate(groups, node.aggr_expr.clone())?
        .project(exprs)?
        .build()?;
    let answer = Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(
            Box::new(Expr::IsNull(Box::new(internal(&marker)))),
            Box::new(of_nothing),
        )],
        else_expr: Some(Box::new(internal(&column))),
    });
    left_join(apply, right, &keys, answer).map(Some)
}

/// `(SELECT f(row) FROM table WHERE id = outer)`: no left row meets two.
fn row_by_id(apply: &Apply, ids: &HashSet<String>) -> DfResult<Option<LogicalPlan>> {
    let Some((right, conditions)) = lift(&apply.right, ids, Purpose::Rows)? else {
        return Ok(None);
    };
    let Some(keys) = equalities(&conditions, ids) else {
        return Ok(None);
    };
    let unique = keys
        .iter()
        .any(|key| matches!(&key.inner, Expr::Column(column) if is_id(&right, column)));
    let Some(first) = right.schema().columns().into_iter().next() else {
        return Ok(None);
    };
    if !unique {
        return Ok(None);
    }
    let output = apply.output().unwrap_or_default();
    let column = format!("{output}_value");
    let mut exprs: Vec<Expr> = keys
        .iter()
        .enumerate()
        .map(|(at, key)| key.inner.clone().alias(key_name(output, at)))
        .collect();
    exprs.push(Expr::Column(first).alias(&column));
    let right = LogicalPlanBuilder::from(right).project(exprs)?.build()?;
    left_join(apply, right, &keys, internal(&column)).map(Some)
}

fn truth() -> Expr {
    Expr::Literal(ScalarValue::Boolean(Some(true)), None)
}

fn key_name(output: &str, at: usize) -> String {
    format!("{output}_key{at}")
}

/// The keys as groups, and the projection above the aggregation that names them.
fn keys_as_groups(keys: &[Key], output: &str) -> (Vec<Expr>, Vec<Expr>) {
    let names = (0..keys.len()).map(|at| key_name(output, at));
    let groups = keys
        .iter()
        .zip(names.clone())
        .map(|(key, name)| key.inner.clone().alias(name))
        .collect();
    (groups, names.map(|name| internal(&name)).collect())
}

/// The left side with the right rows of equal keys, if there are any.
fn left_join(
    apply: &Apply,
    right: LogicalPlan,
    keys: &[Key],
    answer: Expr,
) -> DfResult<LogicalPlan> {
    let output = apply.output().unwrap_or_default();
    let conditions = keys
        .iter()
        .enumerate()
        .map(|(at, key)| {
            let outer = outward(key.outer.clone(), apply)?;
            Ok(binary(outer, Operator::Eq, internal(&key_name(output, at))))
        })
        .collect::<DfResult<Vec<_>>>()?;
    let joined = LogicalPlanBuilder::from(apply.left.clone())
        .join_on(right, JoinType::Left, conditions)?
        .build()?;
    beside(joined, &apply.left, answer, output)
}

/// An equality between a value from outside and one of the right side.
struct Key {
    outer: Expr,
    inner: Expr,
}

/// The conditions as keys; `None` if one is something else, or there are none.
fn equalities(conditions: &[Expr], ids: &HashSet<String>) -> Option<Vec<Key>> {
    if conditions.is_empty() {
        return None;
    }
    conditions
        .iter()
        .map(|condition| {
            let Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::Eq,
                right,
            }) = condition
            else {
                return None;
            };
            let outside = |expr: &Expr| {
                expr.column_refs().is_empty() && mentions_expr(expr, ids).unwrap_or(false)
            };
            let inside = |expr: &Expr| {
                !expr.column_refs().is_empty() && !mentions_expr(expr, ids).unwrap_or(true)
            };
            match (left.as_ref(), right.as_ref()) {
                (outer, inner) | (inner, outer) if outside(outer) && inside(inner) => Some(Key {
                    outer: outer.clone(),
                    inner: inner.clone(),
                }),
                _ => None,
            }
        })
        .collect()
}

/// Projections over an aggregation: the only column in terms of the aggregates, and the
/// aggregation.
fn over_aggregate(plan: &LogicalPlan) -> DfResult<Option<(Expr, &Aggregate)>> {
    let LogicalPlan::Projection(top) = plan else {
        return Ok(None);
    };
    let [value] = top.expr.as_slice() else {
        return Ok(None);
    };
    let mut value = value.clone().unalias();
    let mut input = &top.input;
    loop {
        match input.as_ref() {
            LogicalPlan::Projection(projection) => {
                value = through(value, projection)?;
                input = &projection.input;
            }
            LogicalPlan::Aggregate(aggregate) => return Ok(Some((value, aggregate))),
            _ => return Ok(None),
        }
    }
}

/// The expression in terms of what a projection is over.
fn through(expr: Expr, projection: &Projection) -> DfResult<Expr> {
    let schema = Arc::clone(&projection.schema);
    expr.transform(|node| {
        let Expr::Column(column) = &node else {
            return Ok(Transformed::no(node));
        };
        let at = schema.index_of_column(column)?;
        Ok(Transformed::yes(projection.expr[at].clone().unalias()))
    })
    .map(|transformed| transformed.data)
}

/// The value when there is no row: each aggregate is what it is of nothing.
fn of_nothing(value: &Expr, node: &Aggregate) -> DfResult<Option<Expr>> {
    let mut known = true;
    let schema = Arc::clone(&node.schema);
    let replaced = value.clone().transform(|expr| {
        let Expr::Column(column) = &expr else {
            return Ok(Transformed::no(expr));
        };
        let at = schema.index_of_column(column)?;
        let Some(Expr::AggregateFunction(call)) =
            node.aggr_expr.get(at).map(|expr| expr.clone().unalias())
        else {
            known = false;
            return Ok(Transformed::no(expr));
        };
        let value = call.func.default_value(schema.field(at).data_type())?;
        Ok(Transformed::yes(Expr::Literal(value, None)))
    })?;
    Ok(known.then_some(replaced.data))
}

/// Columns of the right side under names that the left side cannot have.
struct Renamed {
    prefix: String,
    known: Vec<Column>,
    exprs: Vec<Expr>,
}

impl Renamed {
    fn new(output: &str) -> Self {
        Renamed {
            prefix: format!("{output}_r"),
            known: Vec::new(),
            exprs: Vec::new(),
        }
    }

    fn inward(&mut self, condition: Expr, right: Vec<Column>) -> DfResult<Expr> {
        condition
            .transform(|node| {
                let Expr::Column(column) = &node else {
                    return Ok(Transformed::no(node));
                };
                if !right.contains(column) {
                    return Ok(Transformed::no(node));
                }
                let at = match self.known.iter().position(|known| known == column) {
                    Some(at) => at,
                    None => {
                        let at = self.known.len();
                        self.exprs
                            .push(node.clone().alias(format!("{}{at}", self.prefix)));
                        self.known.push(column.clone());
                        at
                    }
                };
                Ok(Transformed::yes(internal(&format!("{}{at}", self.prefix))))
            })
            .map(|transformed| transformed.data)
    }
}
