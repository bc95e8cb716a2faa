//! GROUP BY and the plan above it.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{
    Aggregate, Case, Expr, GroupingSet, LogicalPlan, LogicalPlanBuilder, Operator,
};
use sqlparser::ast;

use super::coerce::positioned;
use super::expr::{Ctx, Grouping, binary};
use super::query::Target;
use super::scope::{Scope, internal};
use super::subquery::{PendingApply, apply_all};
use super::typed::Typed;
use super::{Binder, planned, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

/// What GROUP BY says.
#[derive(Debug, Default)]
pub(super) struct Groups {
    exprs: Vec<Expr>,
    /// The grouping sets, as positions in `exprs`; `None`: all of them are the one set.
    sets: Option<Vec<Vec<usize>>>,
}

/// How many grouping sets one GROUP BY may make, and how many elements CUBE may have, as in
/// PostgreSQL.
const GROUPING_SETS: usize = 4096;
const CUBE_ELEMENTS: usize = 12;

impl Groups {
    fn add(&mut self, expr: Expr) -> usize {
        match self.exprs.iter().position(|known| *known == expr) {
            Some(at) => at,
            None => {
                self.exprs.push(expr);
                self.exprs.len() - 1
            }
        }
    }
}

impl Binder<'_> {
    /// The groups, or `None` without GROUP BY. Subqueries in them are evaluated below the
    /// aggregation.
    pub(super) fn group_by(
        &mut self,
        outer: &mut Ctx,
        scope: &Rc<Scope>,
        group_by: &ast::GroupByExpr,
        targets: &[Target],
    ) -> PgResult<Option<Groups>> {
        let ast::GroupByExpr::Expressions(exprs, modifiers) = group_by else {
            return Err(unsupported("GROUP BY ALL", None));
        };
        if !modifiers.is_empty() {
            return Err(
                unsupported("GROUP BY … WITH ROLLUP", None).hint("Use GROUP BY ROLLUP (…).")
            );
        }
        if exprs.is_empty() {
            return Ok(None);
        }
        let mut ctx = Ctx::new(Rc::clone(scope), "GROUP BY");
        let mut groups = Groups::default();
        let mut several = false;
        let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
        for expr in exprs {
            let at = self.at(expr);
            let mut parts = |binder: &mut Self, parts: &[Vec<ast::Expr>]| {
                parts
                    .iter()
                    .map(|part| binder.grouped(&mut ctx, outer, &mut groups, part, targets))
                    .collect::<PgResult<Vec<Vec<usize>>>>()
            };
            let alternatives = match expr {
                ast::Expr::GroupingSets(sets) => {
                    several = true;
                    parts(self, sets)?
                }
                ast::Expr::Rollup(list) => {
                    several = true;
                    let list = parts(self, list)?;
                    (0..=list.len())
                        .rev()
                        .map(|count| list[..count].concat())
                        .collect()
                }
                ast::Expr::Cube(list) => {
                    several = true;
                    let list = parts(self, list)?;
                    if list.len() > CUBE_ELEMENTS {
                        let error = PgError::new(
                            sqlstate::TOO_MANY_COLUMNS,
                            format!("CUBE is limited to {CUBE_ELEMENTS} elements"),
                        );
                        return Err(positioned(error, at));
                    }
                    cube(&list)
                }
                ast::Expr::Tuple(values) => {
                    vec![self.grouped(&mut ctx, outer, &mut groups, values, targets)?]
                }
                _ => vec![self.grouped(
                    &mut ctx,
                    outer,
                    &mut groups,
                    std::slice::from_ref(expr),
                    targets,
                )?],
            };
            if sets.len() * alternatives.len() > GROUPING_SETS {
                let error = PgError::new(
                    sqlstate::STATEMENT_TOO_COMPLEX,
                    format!("too many grouping sets present (maximum {GROUPING_SETS})"),
                );
                return Err(positioned(error, at));
            }
            sets = sets
                .iter()
                .flat_map(|set| {
                    alternatives
                        .iter()
                        .map(move |more| [set.as_slice(), more.as_slice()].concat())
                })
                .collect();
        }
        outer.inner_applies.extend(ctx.applies);
        if several {
            for set in &mut sets {
                let mut seen = HashSet::new();
                set.retain(|group| seen.insert(*group));
            }
            groups.sets = Some(sets);
        }
        Ok(Some(groups))
    }

    /// The expressions of one set; `outer` has made what the SELECT list computes.
    fn grouped(
        &mut self,
        ctx: &mut Ctx,
        outer: &Ctx,
        groups: &mut Groups,
        exprs: &[ast::Expr],
        targets: &[Target],
    ) -> PgResult<Vec<usize>> {
        let mut set = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let value = match expr {
                ast::Expr::Tuple(values) => {
                    set.extend(self.grouped(ctx, outer, groups, values, targets)?);
                    continue;
                }
                ast::Expr::Value(_) => match self.output_reference(expr, targets)? {
                    Some(value) => value,
                    None => self.expr(ctx, expr)?,
                },
                // A name is a column of the input first, an alias of the output second.
                ast::Expr::Identifier(ident) => {
                    let found = outer.scope.column(&fold(ident), &mut self.fresh);
                    match found {
                        super::scope::Found::Column(value) => value,
                        _ => match self.output_reference(expr, targets)? {
                            Some(value) => value,
                            None => self.expr(ctx, expr)?,
                        },
                    }
                }
                _ => self.expr(ctx, expr)?,
            };
            let value = self.settle(value)?;
            check_groupable(outer, &value)?;
            set.push(groups.add(value.expr));
        }
        Ok(set)
    }

    /// The plan above which only groups, aggregates and what depends on them are visible; the
    /// expressions are rewritten to that.
    pub(super) fn aggregate_plan(
        &mut self,
        plan: LogicalPlan,
        ctx: &mut Ctx,
        groups: Groups,
        exprs: Vec<&mut Expr>,
        scope: &Rc<Scope>,
    ) -> PgResult<LogicalPlan> {
        // A subquery of the SELECT list that is grouped by is evaluated below, too.
        let is_grouped = |apply: &PendingApply| {
            let answer = internal(&apply.output);
            groups.exprs.contains(&answer)
        };
        let (grouped, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut ctx.applies)
            .into_iter()
            .partition(is_grouped);
        ctx.applies = kept;
        ctx.inner_applies.extend(grouped);
        let mut plan = apply_all(plan, std::mem::take(&mut ctx.inner_applies))?;
        let mut keys: Vec<(Expr, String)> = Vec::new();
        for group in groups.exprs {
            keys.push((group, self.name("g")));
        }
        let grouping_keys = keys.clone();
        if groups.sets.is_none() {
            self.dependent_columns(&mut keys, ctx, scope);
        }
        let mut projection: Vec<Expr> = plan
            .schema()
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        projection.extend(keys.iter().map(|(expr, name)| expr.clone().alias(name)));
        plan = planned(
            LogicalPlanBuilder::from(plan)
                .project(projection)
                .and_then(LogicalPlanBuilder::build),
        )?;
        let aggregates: Vec<Expr> = std::mem::take(&mut ctx.aggregates)
            .into_iter()
            .map(|(name, expr)| expr.alias(name))
            .collect();
        let group_exprs: Vec<Expr> = match &groups.sets {
            None => keys.iter().map(|(_, name)| internal(name)).collect(),
            Some(sets) => vec![grouping_sets(sets, &keys)],
        };
        let plan = if aggregates.is_empty() && group_exprs.is_empty() {
            // HAVING alone: one group, whatever the rows.
            planned(LogicalPlanBuilder::empty(true).build())?
        } else {
            planned(
                LogicalPlanBuilder::from(plan)
                    .aggregate(group_exprs, aggregates)
                    .and_then(LogicalPlanBuilder::build),
            )?
        };
        let plan = with_groupings(
            plan,
            std::mem::take(&mut ctx.grouping),
            &grouping_keys,
            groups.sets.is_some(),
        )?;
        let inputs: Vec<&Expr> = scope
            .visible
            .iter()
            .map(|column| &column.expr)
            .chain(
                scope
                    .rels
                    .iter()
                    .flat_map(|rel| rel.columns.iter().map(|column| &column.expr)),
            )
            .collect();
        let rewrite = |expr: &mut Expr| -> PgResult<()> {
            let (rewritten, stray) = rewrite_groups(expr, &keys, &inputs)?;
            if let Some(column) = stray {
                return Err(ungrouped(&column, ctx, scope));
            }
            *expr = rewritten;
            Ok(())
        };
        for expr in exprs {
            rewrite(expr)?;
        }
        for window in &mut ctx
            .windows
            .clone()
            .iter_mut()
            .enumerate()
            .map(|(at, (name, expr))| (at, name.clone(), expr.clone()))
            .collect::<Vec<_>>()
        {
            let (at, _, expr) = window;
            let (rewritten, stray) = rewrite_groups(expr, &keys, &inputs)?;
            if let Some(column) = stray {
                return Err(ungrouped(&column, ctx, scope));
            }
            ctx.windows[*at].1 = rewritten;
        }
        for at in 0..ctx.applies.len() {
            let mut apply = ctx.applies[at].clone();
            for outer in &mut apply.outer {
                let (rewritten, stray) = rewrite_groups(&outer.expr, &keys, &inputs)?;
                if let Some(column) = stray {
                    return Err(subquery_ungrouped(&column, ctx, scope));
                }
                outer.expr = rewritten;
            }
            for needle in &mut apply.needles {
                let (rewritten, stray) = rewrite_groups(needle, &keys, &inputs)?;
                if let Some(column) = stray {
                    return Err(ungrouped(&column, ctx, scope));
                }
                *needle = rewritten;
            }
            ctx.applies[at] = apply;
        }
        for at in 0..ctx.sets.len() {
            for column in 0..ctx.sets[at].columns.len() {
                let (rewritten, stray) =
                    rewrite_groups(&ctx.sets[at].columns[column].1, &keys, &inputs)?;
                if let Some(column) = stray {
                    return Err(ungrouped(&column, ctx, scope));
                }
                ctx.sets[at].columns[column].1 = rewritten;
            }
        }
        Ok(plan)
    }

    /// Columns of a table whose key is grouped by are decided by it.
    fn dependent_columns(&mut self, keys: &mut Vec<(Expr, String)>, ctx: &Ctx, scope: &Rc<Scope>) {
        for rel in &scope.rels {
            let keyed = !rel.key.is_empty()
                && rel
                    .key
                    .iter()
                    .all(|at| keys.iter().any(|(key, _)| *key == rel.columns[*at].expr));
            if !keyed {
                continue;
            }
            for (used, _, _) in &ctx.used {
                let own = rel.columns.iter().any(|column| column.expr == *used);
                if own && !keys.iter().any(|(key, _)| key == used) {
                    let name = self.name("g");
                    keys.push((used.clone(), name));
                }
            }
        }
    }
}

/// An output that is computed above the groups cannot be what they are made by.
fn check_groupable(ctx: &Ctx, value: &Typed) -> PgResult<()> {
    let mut columns: Vec<&Column> = value.expr.column_refs().into_iter().collect();
    for apply in &ctx.applies {
        if columns.iter().any(|column| column.name == apply.output) {
            let taken = apply.outer.iter().map(|outer| &outer.expr);
            columns.extend(taken.chain(&apply.needles).flat_map(Expr::column_refs));
        }
    }
    let uses = |computed: &[(String, Expr)]| {
        computed
            .iter()
            .any(|(name, _)| columns.iter().any(|column| column.name == *name))
    };
    let error = if uses(&ctx.windows) {
        PgError::new(
            sqlstate::WINDOWING_ERROR,
            "window functions are not allowed in GROUP BY",
        )
    } else if uses(&ctx.aggregates) {
        PgError::new(
            sqlstate::GROUPING_ERROR,
            "aggregate functions are not allowed in GROUP BY",
        )
    } else {
        return Ok(());
    };
    Err(positioned(error, value.at))
}

/// Every subset of the elements, the largest first, in PostgreSQL's order.
fn cube(elements: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut subsets: Vec<Vec<usize>> = vec![Vec::new()];
    for element in elements.iter().rev() {
        let with = subsets
            .iter()
            .map(|subset| [element.as_slice(), subset.as_slice()].concat());
        subsets = with.chain(subsets.iter().cloned()).collect();
    }
    subsets
}

fn grouping_sets(sets: &[Vec<usize>], keys: &[(Expr, String)]) -> Expr {
    let sets = sets
        .iter()
        .map(|set| set.iter().map(|at| internal(&keys[*at].1)).collect())
        .collect();
    Expr::GroupingSet(GroupingSet::GroupingSets(sets))
}

/// The columns that calls of GROUPING are: a bit for each of their arguments, set where the row
/// is not grouped by it.
fn with_groupings(
    plan: LogicalPlan,
    calls: Vec<Grouping>,
    keys: &[(Expr, String)],
    several: bool,
) -> PgResult<LogicalPlan> {
    if calls.is_empty() {
        return Ok(plan);
    }
    let schema = plan.schema();
    let mut exprs: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    for call in calls {
        let mut total: Option<Expr> = None;
        let last = call.args.len() - 1;
        for (at, arg) in call.args.iter().enumerate() {
            let Some((_, key)) = keys.iter().find(|(expr, _)| expr == arg) else {
                let error = PgError::new(
                    sqlstate::GROUPING_ERROR,
                    "arguments to GROUPING must be grouping expressions of the associated query level",
                );
                return Err(positioned(error, call.at));
            };
            let number = |value: i32| Expr::Literal(ScalarValue::Int32(Some(value)), None);
            let weight = 1_i32.checked_shl((last - at) as u32).unwrap_or(0);
            let bit = if several {
                let id = planned(
                    schema
                        .index_of_column(&Column::new_unqualified(Aggregate::INTERNAL_GROUPING_ID))
                        .map(|at| (at, schema.field(at))),
                )?;
                let of_key = planned(schema.index_of_column(&Column::new_unqualified(key)))?;
                // The first group has the highest bit.
                let mask = ScalarValue::UInt64(Some(1 << (id.0 - 1 - of_key)));
                let mask = planned(mask.cast_to(id.1.data_type()))?;
                let zero = planned(ScalarValue::UInt64(Some(0)).cast_to(id.1.data_type()))?;
                let masked = binary(
                    internal(Aggregate::INTERNAL_GROUPING_ID),
                    Operator::BitwiseAnd,
                    Expr::Literal(mask, None),
                );
                Expr::Case(Case {
                    expr: None,
                    when_then_expr: vec![(
                        Box::new(binary(masked, Operator::Eq, Expr::Literal(zero, None))),
                        Box::new(number(0)),
                    )],
                    else_expr: Some(Box::new(number(weight))),
                })
            } else {
                number(0)
            };
            total = Some(match total {
                None => bit,
                Some(so_far) => binary(so_far, Operator::Plus, bit),
            });
        }
        exprs.extend(total.map(|total| total.alias(&call.name)));
    }
    planned(
        LogicalPlanBuilder::from(plan)
            .project(exprs)
            .and_then(LogicalPlanBuilder::build),
    )
}

fn ungrouped(column: &Expr, ctx: &Ctx, scope: &Scope) -> PgError {
    let at = ctx
        .used
        .iter()
        .find(|(expr, at, _)| expr == column && at.is_some())
        .and_then(|(_, at, _)| *at);
    positioned(
        PgError::new(
            sqlstate::GROUPING_ERROR,
            format!(
                "column \"{}\" must appear in the GROUP BY clause or be used in an aggregate function",
                display_name(column, scope)
            ),
        ),
        at,
    )
}

fn subquery_ungrouped(column: &Expr, _ctx: &Ctx, scope: &Scope) -> PgError {
    PgError::new(
        sqlstate::GROUPING_ERROR,
        format!(
            "subquery uses ungrouped column \"{}\" from outer query",
            display_name(column, scope)
        ),
    )
}

fn display_name(column: &Expr, scope: &Scope) -> String {
    scope
        .rels
        .iter()
        .flat_map(|rel| rel.columns.iter().map(move |known| (rel, known)))
        .find(|(_, known)| known.expr == *column)
        .map(|(rel, known)| format!("{}.{}", rel.alias, known.name))
        .unwrap_or_else(|| column.to_string())
}

/// The expression above an aggregation: groups become their columns. The second value is an
/// input column that is left over, which is an error.
fn rewrite_groups(
    expr: &Expr,
    keys: &[(Expr, String)],
    inputs: &[&Expr],
) -> PgResult<(Expr, Option<Expr>)> {
    let by_expr: HashMap<&Expr, &str> = keys
        .iter()
        .map(|(expr, name)| (expr, name.as_str()))
        .collect();
    let mut stray = None;
    let rewritten = planned(expr.clone().transform_down(|node| {
        if let Some(name) = by_expr.get(&node) {
            return Ok(Transformed::new(
                internal(name),
                true,
                TreeNodeRecursion::Jump,
            ));
        }
        if matches!(node, Expr::Column(_)) && inputs.contains(&&node) {
            stray.get_or_insert(node.clone());
        }
        Ok(Transformed::no(node))
    }))?;
    Ok((rewritten.data, stray))
}
