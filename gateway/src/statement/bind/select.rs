//! SELECT: its clauses in the order in which they mean something.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, UnnestOptions};
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, LogicalPlanBuilder, WindowFunctionDefinition,
};
use omnigraph_udfs::pg::array;
use sqlparser::ast;

use super::expr::{Ctx, SetCall};
use super::graph_table::is_pattern;
use super::locking::Origin;
use super::project_series::{Series, SeriesCall};
use super::query::{Body, order_of};
use super::scope::{Level, Scope, internal};
use super::subquery::apply_all;
use super::typed::Kind;
use super::{Binder, planned, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

impl Binder<'_> {
    pub(super) fn select(
        &mut self,
        select: &ast::Select,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
        order: &[ast::OrderByExpr],
    ) -> PgResult<Body> {
        refuse_foreign(select)?;
        self.repetition_ignored = ignores_repetition(select);
        let from = self.from(&select.from, level, parent.clone())?;
        let scope = Scope::new(from.rels, from.visible, Rc::clone(level), parent);
        let mut plan = from.plan;
        if let Some(condition) = &select.selection {
            let mut ctx = Ctx::new(Rc::clone(&scope), "WHERE");
            let condition = self.condition(&mut ctx, condition, "WHERE")?;
            plan = apply_all(plan, ctx.applies)?;
            plan = planned(
                LogicalPlanBuilder::from(plan)
                    .filter(condition)
                    .and_then(LogicalPlanBuilder::build),
            )?;
        }
        let mut ctx = Ctx::new(Rc::clone(&scope), "SELECT");
        ctx.input_order = order_of(&plan);
        for ast::NamedWindowDefinition(name, window) in &select.named_window {
            let spec = match window {
                ast::NamedWindowExpr::WindowSpec(spec) => spec.clone(),
                ast::NamedWindowExpr::NamedWindow(other) => {
                    let other = fold(other);
                    ctx.named_windows
                        .iter()
                        .find(|(known, _)| *known == other)
                        .map(|(_, spec)| spec.clone())
                        .ok_or_else(|| {
                            PgError::new(
                                sqlstate::UNDEFINED_OBJECT,
                                format!("window \"{other}\" does not exist"),
                            )
                        })?
                }
            };
            ctx.named_windows.push((fold(name), spec));
        }
        (ctx.allow_aggregates, ctx.allow_windows, ctx.allow_sets) = (true, true, true);
        let mut targets = self.target_list(&mut ctx, &select.projection, &scope)?;
        // HAVING may stand without aggregates and windows are none of its business.
        let having = match &select.having {
            Some(having) => {
                (ctx.clause, ctx.allow_windows, ctx.allow_sets) = ("HAVING", false, false);
                let having = self.condition(&mut ctx, having, "HAVING")?;
                (ctx.clause, ctx.allow_windows, ctx.allow_sets) = ("SELECT", true, true);
                Some(having)
            }
            None => None,
        };
        let groups = self.group_by(&mut ctx, &scope, &select.group_by, &targets)?;
        let on = match &select.distinct {
            Some(ast::Distinct::On(exprs)) => exprs.as_slice(),
            _ => &[],
        };
        ctx.clause = "ORDER BY";
        let mut sorts = self.order_by(&mut ctx, order, &mut targets)?;
        let mut distinct_on = self.distinct_on(&mut ctx, on, &targets)?;
        ctx.clause = "SELECT";
        let origin = if groups.is_some() {
            Origin::Mixed("GROUP BY clause")
        } else if having.is_some() {
            Origin::Mixed("HAVING clause")
        } else if !ctx.aggregates.is_empty() {
            Origin::Mixed("aggregate functions")
        } else if !ctx.windows.is_empty() {
            Origin::Mixed("window functions")
        } else if !ctx.sets.is_empty() {
            Origin::Mixed("set-returning functions in the target list")
        } else {
            Origin::Rows(Rc::clone(&scope))
        };
        let mut having = having;
        let grouped = groups.is_some()
            || !ctx.aggregates.is_empty()
            || !ctx.grouping.is_empty()
            || having.is_some();
        if grouped {
            let groups = groups.unwrap_or_default();
            let mut exprs: Vec<&mut Expr> = Vec::new();
            exprs.extend(targets.iter_mut().map(|target| &mut target.value.expr));
            exprs.extend(having.iter_mut());
            exprs.extend(sorts.iter_mut().map(|sort| &mut sort.expr));
            exprs.extend(distinct_on.iter_mut());
            plan = self.aggregate_plan(plan, &mut ctx, groups, exprs, &scope)?;
            for target in &mut targets {
                if let Kind::Row(_) = target.value.kind {
                    target.value.kind = Kind::Plain;
                }
            }
        } else {
            plan = apply_all(plan, std::mem::take(&mut ctx.inner_applies))?;
        }
        plan = apply_all(plan, std::mem::take(&mut ctx.applies))?;
        if let Some(having) = having {
            plan = planned(
                LogicalPlanBuilder::from(plan)
                    .filter(having)
                    .and_then(LogicalPlanBuilder::build),
            )?;
        }
        plan = self.windows(plan, &mut ctx)?;
        plan = self.unroll(plan, std::mem::take(&mut ctx.sets))?;
        self.distinct_and_order(
            plan,
            targets,
            sorts,
            distinct_on,
            matches!(select.distinct, Some(ast::Distinct::Distinct)),
            origin,
        )
    }

    pub(super) fn windows(&mut self, plan: LogicalPlan, ctx: &mut Ctx) -> PgResult<LogicalPlan> {
        let windows = std::mem::take(&mut ctx.windows);
        if windows.is_empty() {
            return Ok(plan);
        }
        windowed(plan, windows)
    }

    /// Set-returning functions of one level advance together; the shorter are padded with NULL.
    pub(super) fn unroll(
        &mut self,
        plan: LogicalPlan,
        sets: Vec<SetCall>,
    ) -> PgResult<LogicalPlan> {
        let lists: Vec<(String, Expr)> = sets.into_iter().flat_map(|set| set.columns).collect();
        if lists.is_empty() {
            return Ok(plan);
        }
        if let Some(call) = self.lone_series(&plan, &lists) {
            let node = planned(Series::new(plan, call))?;
            return Ok(LogicalPlan::Extension(Extension {
                node: Arc::new(node),
            }));
        }
        let mut exprs: Vec<Expr> = plan
            .schema()
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        let mut columns = Vec::new();
        for (name, list) in lists {
            exprs.push(list.alias(&name));
            columns.push(Column::new_unqualified(name));
        }
        planned(
            LogicalPlanBuilder::from(plan)
                .project(exprs)
                .and_then(|plan| {
                    plan.unnest_columns_with_options(
                        columns,
                        UnnestOptions::new().with_preserve_nulls(false),
                    )
                })
                .and_then(LogicalPlanBuilder::build),
        )
    }

    /// A series that no other set is zipped with, but for its numbers.
    fn lone_series(&self, plan: &LogicalPlan, lists: &[(String, Expr)]) -> Option<SeriesCall> {
        let zone = &self.text.format.zone;
        let (values, list) = lists.first()?;
        let call = SeriesCall::of(list, values, plan.schema(), zone)?;
        match &lists[1..] {
            [] => Some(call),
            [(places, numbers)] if *numbers == numbered(vec![list.clone()]) => {
                Some(call.with_places(places))
            }
            _ => None,
        }
    }
}

/// The plan with window functions beside its columns, under the names given. DataFusion names
/// them after their text while it groups them by their order.
pub(super) fn windowed(
    plan: LogicalPlan,
    mut windows: Vec<(String, Expr)>,
) -> PgResult<LogicalPlan> {
    let mut projection: Vec<Expr> = plan
        .schema()
        .columns()
        .into_iter()
        .map(Expr::Column)
        .collect();
    let plan = steady(plan, &mut windows)?;
    projection.extend(
        windows
            .iter()
            .map(|(name, expr)| internal(&expr.schema_name().to_string()).alias(name)),
    );
    let plan = planned(LogicalPlanBuilder::window_plan(
        plan,
        windows.into_iter().map(|(_, expr)| expr),
    ))?;
    planned(
        LogicalPlanBuilder::from(plan)
            .project(projection)
            .and_then(LogicalPlanBuilder::build),
    )
}

/// A value that is filled in when the statement runs would change a window function's name: it
/// becomes a column below. Keys that are said twice count once.
fn steady(plan: LogicalPlan, windows: &mut [(String, Expr)]) -> PgResult<LogicalPlan> {
    let columns = plan.schema().columns();
    let known = columns.len();
    let mut below: Vec<Expr> = columns.into_iter().map(Expr::Column).collect();
    for (name, expr) in windows {
        let Expr::WindowFunction(call) = expr else {
            continue;
        };
        let aggregate = matches!(call.fun, WindowFunctionDefinition::AggregateUDF(_));
        let params = &mut call.params;
        let mut seen = HashSet::new();
        params.partition_by.retain(|key| seen.insert(key.clone()));
        let mut seen = HashSet::new();
        params.order_by.retain(|key| seen.insert(key.expr.clone()));
        // Other window functions take their arguments as they are written.
        let args: &mut [Expr] = match aggregate {
            true => &mut params.args,
            false => &mut [],
        };
        let order = params.order_by.iter_mut().map(|key| &mut key.expr);
        let parts = args.iter_mut().chain(&mut params.partition_by).chain(order);
        for part in parts.chain(params.filter.as_deref_mut()) {
            if is_open(part) {
                let column = format!("{name}_{}", below.len());
                let value = std::mem::replace(part, internal(&column));
                below.push(value.alias(column));
            }
        }
    }
    if below.len() == known {
        return Ok(plan);
    }
    planned(
        LogicalPlanBuilder::from(plan)
            .project(below)
            .and_then(LogicalPlanBuilder::build),
    )
}

/// Is something in it filled in when the statement runs?
fn is_open(expr: &Expr) -> bool {
    expr.exists(|part| Ok(matches!(part, Expr::Placeholder(_))))
        .unwrap_or(true)
}

/// Is what it gives the same however often the only pattern in its FROM gives each row?
fn ignores_repetition(select: &ast::Select) -> bool {
    let [from] = select.from.as_slice() else {
        return false;
    };
    let (ast::TableFactor::Table { name, .. } | ast::TableFactor::Function { name, .. }) =
        &from.relation
    else {
        return false;
    };
    let ungrouped = matches!(&select.group_by, ast::GroupByExpr::Expressions(keys, _) if keys.is_empty())
        && select.having.is_none();
    if !is_pattern(name) || !from.joins.is_empty() || !ungrouped {
        return false;
    }
    let column = |expr: &ast::Expr| {
        matches!(
            expr,
            ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_)
        )
    };
    let is_distinct = matches!(select.distinct, Some(ast::Distinct::Distinct));
    select.projection.iter().all(|item| match item {
        ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } => {
            is_distinct && column(expr) || counts_once(expr)
        }
        ast::SelectItem::Wildcard(_) => is_distinct,
        _ => false,
    })
}

/// `count(DISTINCT column)`.
fn counts_once(expr: &ast::Expr) -> bool {
    let ast::Expr::Function(function) = expr else {
        return false;
    };
    let ast::FunctionArguments::List(list) = &function.args else {
        return false;
    };
    list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct)
        && function.filter.is_none()
        && function.over.is_none()
        && matches!(function.name.0.as_slice(), [name] if name.as_ident().is_some_and(|name| fold(name) == "count"))
}

fn refuse_foreign(select: &ast::Select) -> PgResult<()> {
    let refused = [
        (select.top.is_some(), "TOP"),
        (select.into.is_some(), "SELECT INTO"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
        (select.prewhere.is_some(), "PREWHERE"),
        (!select.connect_by.is_empty(), "CONNECT BY"),
        (select.qualify.is_some(), "QUALIFY"),
        (
            !select.cluster_by.is_empty()
                || !select.distribute_by.is_empty()
                || !select.sort_by.is_empty(),
            "SORT BY",
        ),
    ];
    match refused.into_iter().find(|(present, _)| *present) {
        Some((_, what)) => Err(unsupported(what, None)),
        None => Ok(()),
    }
}

/// For lists that are numbered beside being unrolled.
pub(super) fn numbered(lists: Vec<Expr>) -> Expr {
    array::ordinality(lists)
}
