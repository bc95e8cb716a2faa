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

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result as DfResult, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Case, Distinct, Expr, Extension, FetchType, Filter, JoinType,
    LogicalPlan, LogicalPlanBuilder, Operator, Projection, SkipType,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use omnigraph_catalog::provider::GraphTable;

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

/// What the right side is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Whether there is a row: neither their number nor a limit matters.
    Existence,
    /// Which rows there are: their number does not matter.
    Set,
    Rows,
}

impl Purpose {
    fn of(kind: ApplyKind) -> Self {
        match kind {
            ApplyKind::Exists => Purpose::Existence,
            ApplyKind::In => Purpose::Set,
            _ => Purpose::Rows,
        }
    }
}

/// The plan without the conditions that take values from outside, and these conditions over its
/// columns. `None`: values from outside stand somewhere else.
fn lift(
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

/// The condition with the left side's expressions in the place of the values from outside.
fn outward(condition: Expr, apply: &Apply) -> DfResult<Expr> {
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

fn outer_ids(apply: &Apply) -> HashSet<String> {
    apply.outer.iter().map(|(id, _)| id.clone()).collect()
}

fn mentions(plan: &LogicalPlan, ids: &HashSet<String>) -> DfResult<bool> {
    plan.exists(|node| {
        for expr in node.expressions() {
            if mentions_expr(&expr, ids)? {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

fn mentions_expr(expr: &Expr, ids: &HashSet<String>) -> DfResult<bool> {
    expr.exists(|node| {
        Ok(matches!(node, Expr::Placeholder(placeholder) if ids.contains(&placeholder.id)))
    })
}

/// Is it the `id` of a table that the plan reads and only filters and renames?
fn is_id(plan: &LogicalPlan, column: &Column) -> bool {
    match plan {
        LogicalPlan::Filter(filter) => is_id(&filter.input, column),
        LogicalPlan::Projection(projection) => projection
            .schema
            .index_of_column(column)
            .ok()
            .and_then(|at| match projection.expr[at].clone().unalias() {
                Expr::Column(inner) => Some(is_id(&projection.input, &inner)),
                _ => None,
            })
            .unwrap_or(false),
        LogicalPlan::TableScan(scan) => {
            column.name == ID && scan.fetch.is_none() && graph_table(plan).is_some()
        }
        _ => false,
    }
}

const ID: &str = "id";

fn graph_table(plan: &LogicalPlan) -> Option<GraphTable> {
    let LogicalPlan::TableScan(scan) = plan else {
        return None;
    };
    let provider = source_as_provider(&scan.source).ok()?;
    provider.downcast_ref::<GraphTable>().cloned()
}

/// Few rows, as far as the plan shows: keys are given, or it reads no table of a graph at all
/// (those of the catalogs are small).
fn reads_few_rows(plan: &LogicalPlan) -> bool {
    let mut reads_graph = false;
    // The closure never fails.
    let _ = plan.apply(|node| {
        if graph_table(node).is_some() {
            reads_graph = true;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    !reads_graph || is_looked_up(plan, HashSet::new())
}

/// Does a table in it have its key given? `given`: columns that equal constants.
fn is_looked_up(plan: &LogicalPlan, mut given: HashSet<String>) -> bool {
    match plan {
        LogicalPlan::Filter(filter) => {
            for conjunct in split_conjunction(&filter.predicate) {
                given.extend(given_column(conjunct));
            }
        }
        LogicalPlan::Projection(projection) => {
            for (expr, name) in projection.expr.iter().zip(projection.schema.columns()) {
                if let Expr::Column(inner) = expr.clone().unalias()
                    && given.contains(&name.flat_name())
                {
                    given.insert(inner.flat_name());
                }
            }
        }
        LogicalPlan::TableScan(scan) => {
            let Some(table) = graph_table(plan) else {
                return false;
            };
            let def = table.def();
            let key = def.key.iter().map(|at| def.property_column(*at));
            let is_given = |column: usize| {
                let name = datafusion::catalog::TableProvider::schema(&table)
                    .field(column)
                    .name()
                    .clone();
                given.contains(&Column::new(Some(scan.table_name.clone()), name).flat_name())
            };
            let ends = if def.is_edge() { 1..3 } else { 0..0 };
            return is_given(0)
                || ends.into_iter().any(is_given)
                || (!def.key.is_empty() && key.into_iter().all(is_given));
        }
        _ => {}
    }
    plan.inputs()
        .into_iter()
        .any(|input| is_looked_up(input, given.clone()))
}

/// `column = constant`, `column IN (constants)`.
fn given_column(condition: &Expr) -> Option<String> {
    let constant = |expr: &Expr| matches!(expr, Expr::Literal(..) | Expr::Placeholder(_));
    match condition {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), other) | (other, Expr::Column(column)) if constant(other) => {
                Some(column.flat_name())
            }
            _ => None,
        },
        Expr::InList(list) if !list.negated && list.list.iter().all(constant) => {
            match list.expr.as_ref() {
                Expr::Column(column) => Some(column.flat_name()),
                _ => None,
            }
        }
        _ => None,
    }
}
