//! Queries: WITH around them, ORDER BY and LIMIT behind them, what they are made of inside.

use std::rc::Rc;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue};
use datafusion::functions_window::rank::rank_udwf;
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::{Sort, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, Extension, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, WindowFrame,
    WindowFunctionDefinition, WindowUDF, cast,
};
use omnigraph_catalog::types::PgType;
use sqlparser::ast;

use super::apply::Apply;
use super::coerce::{Context, positioned};
use super::expr::{Ctx, binary};
use super::locking::{Origin, pushed_down};
use super::project_series::Series;
use super::row_limit::RowLimit;
use super::scope::{Level, Rel, Scope, ScopeColumn, internal};
use super::select::windowed;
use super::subquery::apply_all;
use super::typed::{Kind, Typed};
use super::{Binder, planned, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// A bound query whose columns are settled.
#[derive(Debug, Clone)]
pub(super) struct QueryRel {
    pub(super) plan: LogicalPlan,
    pub(super) columns: Vec<QueryColumn>,
}

#[derive(Debug, Clone)]
pub(super) struct QueryColumn {
    pub(super) name: String,
    /// The plan's own name for it.
    pub(super) column: String,
    pub(super) ty: PgType,
    pub(super) origin: Option<(u32, i16)>,
    /// The fields of a row, by name, and the plan's own names for them.
    pub(super) fields: Vec<(String, String, PgType)>,
}

/// A query before its last projection: types that the context decides are still open.
pub(super) struct Body {
    pub(super) plan: LogicalPlan,
    pub(super) targets: Vec<Target>,
    pub(super) origin: Origin,
}

#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) value: Typed,
}

impl Binder<'_> {
    /// A whole query, with WITH, ORDER BY and LIMIT; unknown columns become text.
    pub(super) fn query(
        &mut self,
        query: &ast::Query,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
    ) -> PgResult<QueryRel> {
        let body = self.open_query(query, level, parent)?;
        self.close(body)
    }

    /// As [`Self::query`], for one whose rows a query around it may take in their order: what it
    /// is sorted by stays beside its columns.
    pub(super) fn ordered_query(
        &mut self,
        query: &ast::Query,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
    ) -> PgResult<QueryRel> {
        let body = self.open_query(query, level, parent)?;
        let order = order_of(&body.plan);
        self.close_with(body, order.into_iter().map(|sort| sort.expr).collect())
    }

    /// As [`Self::query`], leaving open what only the context can say (INSERT, UNION).
    pub(super) fn open_query(
        &mut self,
        query: &ast::Query,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
    ) -> PgResult<Body> {
        stacker::maybe_grow(256 << 10, 8 << 20, || {
            self.open_query_inner(query, level, parent)
        })
    }

    fn open_query_inner(
        &mut self,
        query: &ast::Query,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
    ) -> PgResult<Body> {
        self.depth += 1;
        let known = self.ctes.len();
        if let Some(with) = &query.with {
            self.with(with, level, parent.clone())?;
        }
        let result = if query.locks.is_empty() {
            self.ordered_body(query, level, parent)
        } else {
            self.locking_body(query, level, parent)
        };
        self.ctes.truncate(known);
        self.depth -= 1;
        result
    }

    fn locking_body(
        &mut self,
        query: &ast::Query,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
    ) -> PgResult<Body> {
        self.check_locks(query)?;
        let body = self.ordered_body(&pushed_down(query), level, parent)?;
        self.lock_rows(body, &query.locks)
    }

    fn ordered_body(
        &mut self,
        query: &ast::Query,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
    ) -> PgResult<Body> {
        let order: &[ast::OrderByExpr] = match &query.order_by {
            None => &[],
            Some(order) => match &order.kind {
                ast::OrderByKind::Expressions(exprs) => exprs,
                ast::OrderByKind::All(_) => return Err(unsupported("ORDER BY ALL", None)),
            },
        };
        let mut body = self.set_expr(&query.body, level, parent.clone(), order)?;
        let (limit, offset) = match &query.limit_clause {
            None => (None, None),
            Some(ast::LimitClause::LimitOffset { limit, offset, .. }) => {
                (limit.as_ref(), offset.as_ref().map(|offset| &offset.value))
            }
            Some(ast::LimitClause::OffsetCommaLimit { .. }) => {
                return Err(unsupported("LIMIT offset, count", None));
            }
        };
        let mut limit = limit.cloned();
        if let Some(fetch) = &query.fetch {
            if fetch.percent {
                return Err(unsupported("FETCH … PERCENT", None));
            }
            limit = Some(fetch.quantity.clone().unwrap_or_else(|| {
                ast::Expr::Value(ast::Value::Number("1".to_owned(), false).with_empty_span())
            }));
        }
        if limit.is_some() || offset.is_some() {
            let scope = Scope::new(Vec::new(), Vec::new(), Rc::clone(level), parent);
            let ties = query.fetch.as_ref().is_some_and(|fetch| fetch.with_ties);
            body.plan = match ties {
                true => self.limited_with_ties(body.plan, &scope, limit.as_ref(), offset)?,
                false => self.limited(body.plan, &scope, limit.as_ref(), offset)?,
            };
        }
        Ok(body)
    }

    fn limited(
        &mut self,
        plan: LogicalPlan,
        scope: &Rc<Scope>,
        limit: Option<&ast::Expr>,
        offset: Option<&ast::Expr>,
    ) -> PgResult<LogicalPlan> {
        let mut ctx = Ctx::new(Rc::clone(scope), "LIMIT");
        let fetch = self.row_count(&mut ctx, limit, "LIMIT")?;
        let skip = self.row_count(&mut ctx, offset, "OFFSET")?;
        let known = |count: &Option<Expr>| {
            matches!(count, None | Some(Expr::Literal(..) | Expr::Placeholder(_)))
        };
        if ctx.applies.is_empty() && known(&fetch) && known(&skip) {
            return planned(
                LogicalPlanBuilder::from(plan)
                    .limit_by_expr(skip, fetch)
                    .and_then(LogicalPlanBuilder::build),
            );
        }
        let counts = planned(LogicalPlanBuilder::empty(true).build())?;
        let counts = apply_all(counts, ctx.applies)?;
        let all = || Expr::Literal(ScalarValue::Int64(None), None);
        let exprs = [fetch, skip].map(|count| count.unwrap_or_else(all).alias(self.name("n")));
        let counts = planned(
            LogicalPlanBuilder::from(counts)
                .project(exprs)
                .and_then(LogicalPlanBuilder::build),
        )?;
        let limited = RowLimit {
            input: plan,
            counts,
        };
        Ok(LogicalPlan::Extension(Extension {
            node: Arc::new(limited),
        }))
    }

    /// `FETCH FIRST n ROWS WITH TIES`: also the rows that are peers of the last one.
    fn limited_with_ties(
        &mut self,
        plan: LogicalPlan,
        scope: &Rc<Scope>,
        limit: Option<&ast::Expr>,
        offset: Option<&ast::Expr>,
    ) -> PgResult<LogicalPlan> {
        let LogicalPlan::Sort(sort) = &plan else {
            return Err(PgError::new(
                sqlstate::SYNTAX_ERROR,
                "WITH TIES cannot be specified without ORDER BY clause",
            ));
        };
        let order = sort.expr.clone();
        let columns: Vec<Expr> = plan
            .schema()
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        let mut ctx = Ctx::new(Rc::clone(scope), "LIMIT");
        let fetch = self.row_count(&mut ctx, limit, "LIMIT")?;
        let skip = self.row_count(&mut ctx, offset, "OFFSET")?;
        if !ctx.applies.is_empty() {
            return Err(unsupported(
                "WITH TIES after a count that is computed",
                None,
            ));
        }
        let Some(fetch) = fetch else {
            return self.limited(plan, scope, None, offset);
        };
        let skip = skip.unwrap_or(Expr::Literal(ScalarValue::Int64(Some(0)), None));
        let (number, rank) = (self.name("w"), self.name("w"));
        let ranked = windowed(
            plan,
            vec![
                (number.clone(), ranking(row_number_udwf(), &order)),
                (rank.clone(), ranking(rank_udwf(), &order)),
            ],
        )?;
        let place = |name: &str| cast(internal(name), DataType::Int64);
        let last = binary(skip.clone(), Operator::Plus, fetch);
        let kept = binary(
            binary(place(&number), Operator::Gt, skip),
            Operator::And,
            binary(place(&rank), Operator::LtEq, last),
        );
        planned(
            LogicalPlanBuilder::from(ranked)
                .filter(kept)
                .and_then(|plan| plan.project(columns))
                .and_then(|plan| plan.sort(order))
                .and_then(LogicalPlanBuilder::build),
        )
    }

    fn row_count(
        &mut self,
        ctx: &mut Ctx,
        count: Option<&ast::Expr>,
        clause: &'static str,
    ) -> PgResult<Option<Expr>> {
        let Some(count) = count else { return Ok(None) };
        ctx.clause = clause;
        let value = self.expr(ctx, count)?;
        if value.is_null_literal() {
            return Ok(None);
        }
        let at = value.at;
        let value = self.coerce(value, PgType::INT8, Context::Assignment)?;
        if let Some(ScalarValue::Int64(Some(rows))) = value.constant()
            && *rows < 0
        {
            let code = if clause == "LIMIT" {
                sqlstate::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE
            } else {
                sqlstate::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE
            };
            return Err(positioned(
                PgError::new(code, format!("{clause} must not be negative")),
                at,
            ));
        }
        Ok(Some(value.expr))
    }

    /// The query without what only a query around it could use: the fields of rows.
    pub(super) fn visible(&mut self, rel: QueryRel) -> PgResult<QueryRel> {
        if rel.columns.iter().all(|column| column.fields.is_empty()) {
            return Ok(rel);
        }
        let exprs: Vec<Expr> = rel
            .columns
            .iter()
            .map(|column| internal(&column.column))
            .collect();
        let plan = planned(
            LogicalPlanBuilder::from(rel.plan)
                .project(exprs)
                .and_then(LogicalPlanBuilder::build),
        )?;
        let columns = rel
            .columns
            .into_iter()
            .map(|column| QueryColumn {
                fields: Vec::new(),
                ..column
            })
            .collect();
        Ok(QueryRel { plan, columns })
    }

    /// Settles the targets and names them for the plan.
    pub(super) fn close(&mut self, body: Body) -> PgResult<QueryRel> {
        self.close_with(body, Vec::new())
    }

    /// With these expressions over the rows beside the targets.
    fn close_with(&mut self, body: Body, beside: Vec<Expr>) -> PgResult<QueryRel> {
        let mut exprs = Vec::with_capacity(body.targets.len());
        let mut columns = Vec::with_capacity(body.targets.len());
        let mut hidden = Vec::new();
        for target in body.targets {
            let row = match &target.value.kind {
                Kind::Row(row) => row.clone(),
                _ => Vec::new(),
            };
            let value = self.settle(target.value)?;
            let column = self.name("c");
            exprs.push(value.expr.alias(&column));
            let mut fields = Vec::new();
            for (name, field) in row {
                let field = self.settle(field)?;
                let known = field
                    .expr
                    .column_refs()
                    .iter()
                    .all(|column| body.plan.schema().has_column(column));
                if known && !name.is_empty() {
                    let column = self.name("f");
                    hidden.push(field.expr.alias(&column));
                    fields.push((name, column, field.ty));
                }
            }
            columns.push(QueryColumn {
                name: target.name,
                column,
                ty: value.ty,
                origin: value.origin,
                fields,
            });
        }
        exprs.extend(hidden);
        for expr in beside {
            if !exprs.iter().any(|known| *unaliased(known) == expr) {
                exprs.push(expr.alias(self.name("k")));
            }
        }
        let plan = planned(
            LogicalPlanBuilder::from(body.plan)
                .project(exprs)
                .and_then(LogicalPlanBuilder::build),
        )?;
        Ok(QueryRel { plan, columns })
    }

    /// `order` is what stands behind a lone SELECT: it may name what the SELECT reads.
    pub(super) fn set_expr(
        &mut self,
        expr: &ast::SetExpr,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
        order: &[ast::OrderByExpr],
    ) -> PgResult<Body> {
        let body = match expr {
            ast::SetExpr::Select(select) => return self.select(select, level, parent, order),
            ast::SetExpr::Query(query) => self.open_query(query, level, parent)?,
            ast::SetExpr::Values(values) => self.values(values, level, parent)?,
            ast::SetExpr::SetOperation {
                left,
                op,
                set_quantifier,
                right,
            } => stacker::maybe_grow(256 << 10, 8 << 20, || {
                self.set_operation(left, *op, *set_quantifier, right, level, parent)
            })?,
            ast::SetExpr::Insert(_)
            | ast::SetExpr::Update(_)
            | ast::SetExpr::Delete(_)
            | ast::SetExpr::Merge(_) => {
                return Err(PgError::new(
                    sqlstate::FEATURE_NOT_SUPPORTED,
                    "WITH clause containing a data-modifying statement must be at the top level",
                ));
            }
            other => {
                let what = format!("{} inside a query", first_word(&other.to_string()));
                return Err(unsupported(&what, None));
            }
        };
        if order.is_empty() {
            return Ok(body);
        }
        self.sort_output(body, order)
    }
}

/// What the plan's rows are sorted by, as far as its columns still say so.
pub(super) fn order_of(plan: &LogicalPlan) -> Vec<Sort> {
    match plan {
        LogicalPlan::Sort(sort) => sort.expr.clone(),
        LogicalPlan::Limit(limit) => order_of(&limit.input),
        LogicalPlan::Filter(filter) => order_of(&filter.input),
        LogicalPlan::Unnest(unnest) => order_of(&unnest.input),
        // The left side's rows, each with what belongs to it.
        LogicalPlan::Join(join) if matches!(join.join_type, JoinType::Inner | JoinType::Left) => {
            order_of(&join.left)
        }
        LogicalPlan::Extension(extension) => {
            let node = extension.node.as_any();
            if let Some(limit) = node.downcast_ref::<RowLimit>() {
                order_of(&limit.input)
            } else if let Some(apply) = node.downcast_ref::<Apply>() {
                order_of(&apply.left)
            } else if let Some(series) = node.downcast_ref::<Series>() {
                order_of(&series.input)
            } else {
                Vec::new()
            }
        }
        LogicalPlan::Projection(projection) => {
            let column = |expr: &Expr| {
                let at = projection
                    .expr
                    .iter()
                    .position(|known| unaliased(known) == expr)?;
                let (qualifier, field) = projection.schema.qualified_field(at);
                Some(Expr::Column(Column::from((qualifier, field))))
            };
            order_of(&projection.input)
                .into_iter()
                .map_while(|sort| {
                    let expr = column(&sort.expr)?;
                    Some(Sort { expr, ..sort })
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => &alias.expr,
        other => other,
    }
}

fn ranking(function: Arc<WindowUDF>, order: &[Sort]) -> Expr {
    Expr::WindowFunction(Box::new(WindowFunction {
        fun: WindowFunctionDefinition::WindowUDF(function),
        params: WindowFunctionParams {
            args: Vec::new(),
            partition_by: Vec::new(),
            order_by: order.to_vec(),
            window_frame: WindowFrame::new(Some(false)),
            filter: None,
            null_treatment: None,
            distinct: false,
        },
    }))
}

/// Renames the first columns; more names than columns is an error.
pub(super) fn rename(
    rel: &mut QueryRel,
    aliases: &[String],
    name: &str,
    at: Option<u32>,
) -> PgResult<()> {
    if aliases.len() > rel.columns.len() {
        return Err(positioned(
            PgError::new(
                sqlstate::INVALID_COLUMN_REFERENCE,
                format!(
                    "table \"{name}\" has {} columns available but {} columns specified",
                    rel.columns.len(),
                    aliases.len()
                ),
            ),
            at,
        ));
    }
    for (column, alias) in rel.columns.iter_mut().zip(aliases) {
        column.name.clone_from(alias);
    }
    Ok(())
}

pub(super) fn first_word(text: &str) -> String {
    text.split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// A relation's columns as a scope sees them.
pub(super) fn rel_of(alias: &str, rel: &QueryRel) -> Rel {
    Rel {
        alias: alias.to_owned(),
        schema: None,
        oid: 0,
        columns: rel
            .columns
            .iter()
            .map(|column| ScopeColumn {
                name: column.name.clone(),
                expr: internal(&column.column),
                ty: column.ty,
                origin: column.origin,
                fields: column
                    .fields
                    .iter()
                    .map(|(name, column, ty)| (name.clone(), internal(column), *ty))
                    .collect(),
            })
            .collect(),
        key: Vec::new(),
    }
}
