//! Queries: WITH, set operations, VALUES, SELECT with everything it has.

use std::rc::Rc;
use std::sync::Arc;

use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::{Column, NullEquality, ScalarValue, UnnestOptions};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, Union};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::array;
use sqlparser::ast;

use super::coerce::{Context, positioned};
use super::expr::{Ctx, SetCall, binary};
use super::scope::{Level, Rel, Scope, ScopeColumn, internal};
use super::subquery::apply_all;
use super::typed::{Kind, Typed};
use super::types::common_type;
use super::{Binder, planned, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

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
}

#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) value: Typed,
}

/// A WITH query.
#[derive(Debug, Clone)]
pub(super) struct Cte {
    pub(super) name: String,
    pub(super) rel: QueryRel,
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
        if !query.locks.is_empty() {
            self.locks = true;
        }
        let known = self.ctes.len();
        if let Some(with) = &query.with {
            self.with(with, level, parent.clone())?;
        }
        let result = self.ordered_body(query, level, parent);
        self.ctes.truncate(known);
        result
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
            if fetch.with_ties || fetch.percent {
                return Err(unsupported("FETCH … WITH TIES", None));
            }
            limit = Some(fetch.quantity.clone().unwrap_or_else(|| {
                ast::Expr::Value(ast::Value::Number("1".to_owned(), false).with_empty_span())
            }));
        }
        if limit.is_some() || offset.is_some() {
            let scope = Scope::new(Vec::new(), Vec::new(), Rc::clone(level), parent);
            let fetch = self.row_count(&scope, limit.as_ref(), "LIMIT")?;
            let skip = self.row_count(&scope, offset, "OFFSET")?;
            body.plan = planned(
                LogicalPlanBuilder::from(body.plan)
                    .limit_by_expr(skip, fetch)
                    .and_then(LogicalPlanBuilder::build),
            )?;
        }
        Ok(body)
    }

    fn row_count(
        &mut self,
        scope: &Rc<Scope>,
        count: Option<&ast::Expr>,
        clause: &'static str,
    ) -> PgResult<Option<Expr>> {
        let Some(count) = count else { return Ok(None) };
        let mut ctx = Ctx::new(Rc::clone(scope), clause);
        let value = self.expr(&mut ctx, count)?;
        if value.is_null_literal() {
            return Ok(None);
        }
        if !ctx.applies.is_empty() {
            return Err(unsupported(&format!("a subquery in {clause}"), value.at));
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

    /// The query without what only a query around it could name: the fields of rows.
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
        let plan = planned(
            LogicalPlanBuilder::from(body.plan)
                .project(exprs)
                .and_then(LogicalPlanBuilder::build),
        )?;
        Ok(QueryRel { plan, columns })
    }

    fn with(
        &mut self,
        with: &ast::With,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
    ) -> PgResult<()> {
        for cte in &with.cte_tables {
            let name = fold(&cte.alias.name);
            let aliases: Vec<String> = cte
                .alias
                .columns
                .iter()
                .map(|column| fold(&column.name))
                .collect();
            let rel = match recursive_parts(&cte.query, &name).filter(|_| with.recursive) {
                Some((first, all, second)) => self.recursive(
                    &cte.query,
                    &name,
                    &aliases,
                    first,
                    all,
                    second,
                    level,
                    parent.clone(),
                )?,
                None => {
                    let mut rel = self.query(&cte.query, level, parent.clone())?;
                    rename(
                        &mut rel,
                        &aliases,
                        &name,
                        self.positions.of_span(cte.alias.name.span),
                    )?;
                    rel
                }
            };
            self.ctes.push(Cte { name, rel });
        }
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one recursive query"
    )]
    fn recursive(
        &mut self,
        query: &ast::Query,
        name: &str,
        aliases: &[String],
        first: &ast::SetExpr,
        all: bool,
        second: &ast::SetExpr,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
    ) -> PgResult<QueryRel> {
        if query.order_by.is_some() || query.limit_clause.is_some() {
            return Err(unsupported("ORDER BY or LIMIT in a recursive query", None)
                .hint("Put it into the query that reads the recursive one."));
        }
        let known = self.ctes.len();
        if let Some(with) = &query.with {
            self.with(with, level, parent.clone())?;
        }
        let body = self.set_expr(first, level, parent.clone(), &[])?;
        let mut base = self.close(body)?;
        rename(&mut base, aliases, name, None)?;
        // The recursive term reads what the last round gave, under a name of its own.
        let table = self.name("recursive");
        let schema = Arc::new(base.plan.schema().as_arrow().clone());
        let schema = Arc::new(arrow::datatypes::Schema::new(
            schema
                .fields()
                .iter()
                .map(|field| field.as_ref().clone().with_nullable(true))
                .collect::<Vec<_>>(),
        ));
        let work = CteWorkTable::new(&table, schema);
        let scan = planned(
            LogicalPlanBuilder::scan(table.as_str(), provider_as_source(Arc::new(work)), None)
                .and_then(LogicalPlanBuilder::build),
        )?;
        let qualified: Vec<Expr> = base
            .columns
            .iter()
            .map(|column| {
                Expr::Column(Column::new(Some(table.as_str()), &column.column))
                    .alias(&column.column)
            })
            .collect();
        let scan = planned(
            LogicalPlanBuilder::from(scan)
                .project(qualified)
                .and_then(LogicalPlanBuilder::build),
        )?;
        self.ctes.push(Cte {
            name: name.to_owned(),
            rel: QueryRel {
                plan: scan,
                columns: base.columns.clone(),
            },
        });
        let step = self.set_expr(second, level, parent, &[]);
        self.ctes.truncate(known);
        let step = step?;
        if step.targets.len() != base.columns.len() {
            return Err(PgError::new(
                sqlstate::SYNTAX_ERROR,
                format!(
                    "each {} query must have the same number of columns",
                    if all { "UNION ALL" } else { "UNION" }
                ),
            ));
        }
        let mut exprs = Vec::new();
        for (target, column) in step.targets.into_iter().zip(&base.columns) {
            let ty = target.value.ty;
            let mismatch = PgError::new(
                sqlstate::DATATYPE_MISMATCH,
                format!(
                    "recursive query \"{name}\" column {} has type {} in non-recursive term but type {} overall",
                    exprs.len() + 1,
                    super::types::type_name(column.ty),
                    super::types::type_name(ty)
                ),
            )
            .hint("Cast the output of the non-recursive term to the correct type.");
            if !super::coerce::implicit(ty.oid, column.ty.oid) {
                return Err(mismatch);
            }
            let value = self.coerce(target.value, column.ty, Context::Implicit)?;
            exprs.push(value.expr.alias(&column.column));
        }
        let step = planned(
            LogicalPlanBuilder::from(step.plan)
                .project(exprs)
                .and_then(LogicalPlanBuilder::build),
        )?;
        // DataFusion takes unused columns out of both terms alike, although the recursive one
        // may need them to go on; a name of its own below the first term keeps it from that.
        let kept: Vec<Expr> = base
            .columns
            .iter()
            .map(|column| internal(&column.column).alias(&column.column))
            .collect();
        let first = planned(
            LogicalPlanBuilder::from(base.plan)
                .alias(format!("{table}_first"))
                .and_then(|first| first.project(kept))
                .and_then(LogicalPlanBuilder::build),
        )?;
        let plan = planned(
            LogicalPlanBuilder::from(first)
                .to_recursive_query(table, step, !all)
                .and_then(LogicalPlanBuilder::build),
        )?;
        Ok(QueryRel {
            plan,
            columns: base.columns,
        })
    }

    /// `order` is what stands behind a lone SELECT: it may name what the SELECT reads.
    fn set_expr(
        &mut self,
        expr: &ast::SetExpr,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
        order: &[ast::OrderByExpr],
    ) -> PgResult<Body> {
        match expr {
            ast::SetExpr::Select(select) => self.select(select, level, parent, order),
            ast::SetExpr::Query(query) => {
                let body = self.open_query(query, level, parent)?;
                if order.is_empty() {
                    Ok(body)
                } else {
                    self.sort_output(body, order)
                }
            }
            ast::SetExpr::Values(values) => {
                let body = self.values(values, level, parent)?;
                if order.is_empty() {
                    Ok(body)
                } else {
                    self.sort_output(body, order)
                }
            }
            ast::SetExpr::SetOperation {
                left,
                op,
                set_quantifier,
                right,
            } => {
                let body = stacker::maybe_grow(256 << 10, 8 << 20, || {
                    self.set_operation(left, *op, *set_quantifier, right, level, parent)
                })?;
                if order.is_empty() {
                    Ok(body)
                } else {
                    self.sort_output(body, order)
                }
            }
            other => Err(unsupported(
                &format!("{} inside a query", first_word(&other.to_string())),
                None,
            )),
        }
    }

    fn set_operation(
        &mut self,
        left: &ast::SetExpr,
        op: ast::SetOperator,
        quantifier: ast::SetQuantifier,
        right: &ast::SetExpr,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
    ) -> PgResult<Body> {
        let all = match quantifier {
            ast::SetQuantifier::All => true,
            ast::SetQuantifier::None | ast::SetQuantifier::Distinct => false,
            other => return Err(unsupported(&format!("{op} {other}"), None)),
        };
        let left = self.set_expr(left, level, parent.clone(), &[])?;
        let right = self.set_expr(right, level, parent, &[])?;
        let word = op.to_string();
        if left.targets.len() != right.targets.len() {
            let at = right.targets.first().and_then(|target| target.value.at);
            return Err(positioned(
                PgError::new(
                    sqlstate::SYNTAX_ERROR,
                    format!("each {word} query must have the same number of columns"),
                ),
                at,
            ));
        }
        let (mut lefts, mut rights, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for (a, b) in left.targets.into_iter().zip(right.targets) {
            let ty = common_type(&[a.value.clone(), b.value.clone()], &word)?;
            let column = self.name("u");
            let a_value = self.coerce(a.value, ty, Context::Implicit)?;
            let b_value = self.coerce(b.value, ty, Context::Implicit)?;
            lefts.push(a_value.expr.alias(&column));
            rights.push(b_value.expr.alias(&column));
            targets.push(Target {
                name: a.name,
                value: Typed::new(internal(&column), ty),
            });
        }
        let left = planned(
            LogicalPlanBuilder::from(left.plan)
                .project(lefts)
                .and_then(LogicalPlanBuilder::build),
        )?;
        let right = planned(
            LogicalPlanBuilder::from(right.plan)
                .project(rights)
                .and_then(LogicalPlanBuilder::build),
        )?;
        let plan = match op {
            ast::SetOperator::Union => {
                let union = planned(Union::try_new_with_loose_types(vec![
                    Arc::new(left),
                    Arc::new(right),
                ]))?;
                let union = LogicalPlanBuilder::from(LogicalPlan::Union(union));
                planned(if all {
                    union.build()
                } else {
                    union.distinct().and_then(LogicalPlanBuilder::build)
                })?
            }
            _ => self.intersection(left, right, op == ast::SetOperator::Intersect, all)?,
        };
        Ok(Body { plan, targets })
    }

    /// INTERSECT and EXCEPT; with ALL the n-th duplicate on the left needs an n-th on the right.
    fn intersection(
        &mut self,
        left: LogicalPlan,
        right: LogicalPlan,
        keep: bool,
        all: bool,
    ) -> PgResult<LogicalPlan> {
        let names: Vec<String> = left
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let mut keys: Vec<String> = names.clone();
        let prepare = |plan: LogicalPlan, number: &str| -> PgResult<LogicalPlan> {
            if !all {
                return planned(
                    LogicalPlanBuilder::from(plan)
                        .distinct()
                        .and_then(LogicalPlanBuilder::build),
                );
            }
            let count =
                Expr::WindowFunction(Box::new(datafusion::logical_expr::expr::WindowFunction {
                    fun: datafusion::logical_expr::WindowFunctionDefinition::WindowUDF(
                        datafusion::functions_window::row_number::row_number_udwf(),
                    ),
                    params: datafusion::logical_expr::expr::WindowFunctionParams {
                        args: Vec::new(),
                        partition_by: names.iter().map(|name| internal(name)).collect(),
                        order_by: Vec::new(),
                        window_frame: datafusion::logical_expr::WindowFrame::new(None),
                        filter: None,
                        null_treatment: None,
                        distinct: false,
                    },
                }));
            windowed(plan, vec![(number.to_owned(), count)])
        };
        let number = self.name("n");
        if all {
            keys.push(number.clone());
        }
        let left = prepare(left, &number)?;
        let right = prepare(right, &number)?;
        // The right side's columns need names of their own beside the left's.
        let renamed: Vec<(String, String)> = keys
            .iter()
            .map(|key| (key.clone(), self.name("u")))
            .collect();
        let right = planned(
            LogicalPlanBuilder::from(right)
                .project(
                    renamed
                        .iter()
                        .map(|(from, to)| internal(from).alias(to))
                        .collect::<Vec<_>>(),
                )
                .and_then(LogicalPlanBuilder::build),
        )?;
        let left_keys: Vec<Column> = keys.iter().map(Column::new_unqualified).collect();
        let right_keys: Vec<Column> = renamed
            .iter()
            .map(|(_, to)| Column::new_unqualified(to))
            .collect();
        let join = if keep {
            JoinType::LeftSemi
        } else {
            JoinType::LeftAnti
        };
        planned(
            LogicalPlanBuilder::from(left)
                .join_detailed(
                    right,
                    join,
                    (left_keys, right_keys),
                    None,
                    NullEquality::NullEqualsNull,
                )
                .and_then(LogicalPlanBuilder::build),
        )
    }

    /// VALUES, with the types that its rows have in common.
    fn values(
        &mut self,
        values: &ast::Values,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
    ) -> PgResult<Body> {
        let scope = Scope::new(Vec::new(), Vec::new(), Rc::clone(level), parent);
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let mut rows: Vec<Vec<Typed>> = Vec::with_capacity(values.rows.len());
        let mut ctx = Ctx::new(scope, "VALUES");
        for row in &values.rows {
            if row.content.len() != width {
                let at = row.content.first().and_then(|value| self.at(value));
                return Err(positioned(
                    PgError::new(
                        sqlstate::SYNTAX_ERROR,
                        "VALUES lists must all be the same length",
                    ),
                    at,
                ));
            }
            rows.push(
                row.content
                    .iter()
                    .map(|value| self.expr(&mut ctx, value))
                    .collect::<PgResult<_>>()?,
            );
        }
        if !ctx.applies.is_empty() {
            return self.values_with_subqueries(rows, ctx);
        }
        let mut types = Vec::with_capacity(width);
        for column in 0..width {
            let all: Vec<Typed> = rows.iter().map(|row| row[column].clone()).collect();
            // A lone row leaves its literals open, as SELECT does.
            types.push(if rows.len() == 1 && all[0].is_unknown() {
                None
            } else {
                Some(common_type(&all, "VALUES")?)
            });
        }
        if rows.len() == 1 {
            let plan = planned(LogicalPlanBuilder::empty(true).build())?;
            let targets = rows
                .swap_remove(0)
                .into_iter()
                .enumerate()
                .map(|(i, value)| Target {
                    name: format!("column{}", i + 1),
                    value,
                })
                .collect();
            return Ok(Body { plan, targets });
        }
        let mut literal = Vec::with_capacity(rows.len());
        for row in rows {
            let mut exprs = Vec::with_capacity(width);
            for (value, ty) in row.into_iter().zip(&types) {
                exprs.push(
                    self.coerce(value, ty.unwrap_or(PgType::TEXT), Context::Implicit)?
                        .expr,
                );
            }
            literal.push(exprs);
        }
        let (plan, columns) = self.values_plan(
            literal,
            &types
                .iter()
                .map(|ty| ty.unwrap_or(PgType::TEXT))
                .collect::<Vec<_>>(),
        )?;
        let targets = columns
            .into_iter()
            .zip(types)
            .enumerate()
            .map(|(i, (column, ty))| Target {
                name: format!("column{}", i + 1),
                value: Typed::new(internal(&column), ty.unwrap_or(PgType::TEXT)),
            })
            .collect();
        Ok(Body { plan, targets })
    }

    /// Rows of expressions as a plan, and its columns' names.
    pub(super) fn values_plan(
        &mut self,
        rows: Vec<Vec<Expr>>,
        types: &[PgType],
    ) -> PgResult<(LogicalPlan, Vec<String>)> {
        let fields: Vec<_> = types
            .iter()
            .enumerate()
            .map(|(i, ty)| {
                arrow::datatypes::Field::new(format!("column{}", i + 1), ty.arrow(), true)
            })
            .collect();
        let schema = planned(datafusion::common::DFSchema::try_from(
            arrow::datatypes::Schema::new(fields),
        ))?;
        let names: Vec<String> = types.iter().map(|_| self.name("v")).collect();
        let plan = planned(
            LogicalPlanBuilder::values_with_schema(rows, &Arc::new(schema))
                .and_then(|plan| {
                    plan.project(
                        names
                            .iter()
                            .enumerate()
                            .map(|(i, name)| internal(&format!("column{}", i + 1)).alias(name))
                            .collect::<Vec<_>>(),
                    )
                })
                .and_then(LogicalPlanBuilder::build),
        )?;
        Ok((plan, names))
    }

    /// Rows that hold subqueries are projections of one row each, put together.
    fn values_with_subqueries(&mut self, mut rows: Vec<Vec<Typed>>, ctx: Ctx) -> PgResult<Body> {
        if rows.len() > 1 {
            return Err(unsupported("a subquery in VALUES of several rows", None)
                .hint("Use SELECT … UNION ALL SELECT …."));
        }
        let plan = planned(LogicalPlanBuilder::empty(true).build())?;
        let plan = apply_all(plan, ctx.applies)?;
        let targets = rows
            .pop()
            .unwrap_or_default()
            .into_iter()
            .enumerate()
            .map(|(i, value)| Target {
                name: format!("column{}", i + 1),
                value,
            })
            .collect();
        Ok(Body { plan, targets })
    }

    fn select(
        &mut self,
        select: &ast::Select,
        level: &Rc<Level>,
        parent: Option<Rc<Scope>>,
        order: &[ast::OrderByExpr],
    ) -> PgResult<Body> {
        refuse_foreign(select)?;
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
        let groups = self.group_by(&scope, &select.group_by, &targets)?;
        let on = match &select.distinct {
            Some(ast::Distinct::On(exprs)) => exprs.as_slice(),
            _ => &[],
        };
        ctx.clause = "ORDER BY";
        let mut sorts = self.order_by(&mut ctx, order, &mut targets)?;
        let mut distinct_on = self.distinct_on(&mut ctx, on, &targets)?;
        ctx.clause = "SELECT";
        let mut having = having;
        let grouped = groups.is_some() || !ctx.aggregates.is_empty() || having.is_some();
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
        )
    }

    fn windows(&mut self, plan: LogicalPlan, ctx: &mut Ctx) -> PgResult<LogicalPlan> {
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
        if sets.is_empty() {
            return Ok(plan);
        }
        let mut exprs: Vec<Expr> = plan
            .schema()
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        let mut columns = Vec::new();
        for (name, list) in sets.into_iter().flat_map(|set| set.columns) {
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

    fn distinct_and_order(
        &mut self,
        plan: LogicalPlan,
        targets: Vec<Target>,
        sorts: Vec<Sort>,
        distinct_on: Vec<Expr>,
        distinct: bool,
    ) -> PgResult<Body> {
        if !distinct && distinct_on.is_empty() {
            let plan = if sorts.is_empty() {
                plan
            } else {
                planned(
                    LogicalPlanBuilder::from(plan)
                        .sort(sorts)
                        .and_then(LogicalPlanBuilder::build),
                )?
            };
            return Ok(Body { plan, targets });
        }
        // From here on the rows are those of the SELECT list.
        let mut exprs = Vec::new();
        let mut settled = Vec::new();
        for target in targets {
            let value = self.settle(target.value)?;
            let column = self.name("d");
            exprs.push((value.expr.clone(), column.clone()));
            settled.push(Target {
                name: target.name,
                value: Typed {
                    expr: internal(&column),
                    kind: Kind::Plain,
                    ..value
                },
            });
        }
        let place = |expr: &Expr| {
            exprs
                .iter()
                .find(|(known, _)| known == expr)
                .map(|(_, column)| internal(column))
        };
        if distinct {
            let mut over = Vec::new();
            for sort in sorts {
                let expr = place(&sort.expr).ok_or_else(|| {
                    PgError::new(
                        sqlstate::INVALID_COLUMN_REFERENCE,
                        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                    )
                })?;
                over.push(Sort { expr, ..sort });
            }
            let projection: Vec<Expr> = exprs
                .iter()
                .map(|(expr, column)| expr.clone().alias(column))
                .collect();
            let mut plan = LogicalPlanBuilder::from(plan)
                .project(projection)
                .and_then(LogicalPlanBuilder::distinct);
            if !over.is_empty() {
                plan = plan.and_then(|plan| plan.sort(over));
            }
            let plan = planned(plan.and_then(LogicalPlanBuilder::build))?;
            return Ok(Body {
                plan,
                targets: settled,
            });
        }
        // DISTINCT ON keeps the first row of each group in the query's order.
        for (at, key) in distinct_on.iter().enumerate() {
            if at < sorts.len()
                && !sorts[..distinct_on.len().min(sorts.len())]
                    .iter()
                    .any(|sort| sort.expr == *key)
            {
                return Err(PgError::new(
                    sqlstate::INVALID_COLUMN_REFERENCE,
                    "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
                ));
            }
        }
        let number = self.name("n");
        let count =
            Expr::WindowFunction(Box::new(datafusion::logical_expr::expr::WindowFunction {
                fun: datafusion::logical_expr::WindowFunctionDefinition::WindowUDF(
                    datafusion::functions_window::row_number::row_number_udwf(),
                ),
                params: datafusion::logical_expr::expr::WindowFunctionParams {
                    args: Vec::new(),
                    partition_by: distinct_on,
                    order_by: sorts.clone(),
                    window_frame: datafusion::logical_expr::WindowFrame::new(
                        (!sorts.is_empty()).then_some(false),
                    ),
                    filter: None,
                    null_treatment: None,
                    distinct: false,
                },
            }));
        let mut projection: Vec<Expr> = exprs
            .iter()
            .map(|(expr, column)| expr.clone().alias(column))
            .collect();
        let mut over = Vec::new();
        for sort in sorts {
            let key = self.name("k");
            projection.push(sort.expr.clone().alias(&key));
            over.push(Sort {
                expr: internal(&key),
                ..sort
            });
        }
        let plan = windowed(plan, vec![(number.clone(), count)])?;
        let first = binary(
            internal(&number),
            Operator::Eq,
            Expr::Literal(ScalarValue::UInt64(Some(1)), None),
        );
        let mut plan = LogicalPlanBuilder::from(plan)
            .filter(first)
            .and_then(|plan| plan.project(projection));
        if !over.is_empty() {
            plan = plan.and_then(|plan| plan.sort(over));
        }
        let plan = planned(plan.and_then(LogicalPlanBuilder::build))?;
        Ok(Body {
            plan,
            targets: settled,
        })
    }

    /// ORDER BY over a set operation or VALUES: output names and numbers only.
    fn sort_output(&mut self, body: Body, order: &[ast::OrderByExpr]) -> PgResult<Body> {
        let rel = self.close(body)?;
        let mut sorts = Vec::new();
        let targets: Vec<Target> = rel
            .columns
            .iter()
            .map(|column| Target {
                name: column.name.clone(),
                value: Typed {
                    origin: column.origin,
                    ..Typed::new(internal(&column.column), column.ty)
                },
            })
            .collect();
        let visible = rel
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
            .collect();
        let mut ctx = Ctx::new(
            Scope::new(Vec::new(), visible, Rc::default(), None),
            "ORDER BY",
        );
        for by in order {
            let value = match self.output_reference(&by.expr, &targets)? {
                Some(value) => value,
                None => self.expr(&mut ctx, &by.expr)?,
            };
            sorts.push(self.sort_of(value, by)?);
        }
        let plan = planned(
            LogicalPlanBuilder::from(rel.plan)
                .sort(sorts)
                .and_then(LogicalPlanBuilder::build),
        )?;
        Ok(Body { plan, targets })
    }

    fn sort_of(&mut self, value: Typed, by: &ast::OrderByExpr) -> PgResult<Sort> {
        let value = self.settle(value)?;
        if matches!(value.ty.oid, 114) {
            return Err(positioned(
                PgError::new(
                    sqlstate::UNDEFINED_FUNCTION,
                    "could not identify an ordering operator for type json",
                )
                .hint("Use an explicit ordering operator or modify the query."),
                value.at,
            ));
        }
        let ascending = by.options.asc.unwrap_or(true);
        let nulls_first = by.options.nulls_first.unwrap_or(!ascending);
        Ok(Sort::new(self.sort_key(value), ascending, nulls_first))
    }

    /// `ORDER BY 2` and `ORDER BY alias`.
    fn output_reference(
        &mut self,
        expr: &ast::Expr,
        targets: &[Target],
    ) -> PgResult<Option<Typed>> {
        match expr {
            ast::Expr::Value(value) => match &value.value {
                ast::Value::Number(text, _) => {
                    let at = self.positions.of_span(value.span);
                    let number: usize = text.parse().map_err(|_| {
                        positioned(
                            PgError::new(
                                sqlstate::SYNTAX_ERROR,
                                "non-integer constant in ORDER BY",
                            ),
                            at,
                        )
                    })?;
                    match number.checked_sub(1).and_then(|number| targets.get(number)) {
                        Some(target) => Ok(Some(target.value.clone())),
                        None => Err(positioned(
                            PgError::new(
                                sqlstate::INVALID_COLUMN_REFERENCE,
                                format!("ORDER BY position {number} is not in select list"),
                            ),
                            at,
                        )),
                    }
                }
                _ => Ok(None),
            },
            ast::Expr::Identifier(ident) => {
                let name = fold(ident);
                let mut found = targets.iter().filter(|target| target.name == name);
                let first = found.next();
                if let Some(first) = first
                    && found.any(|other| other.value.expr != first.value.expr)
                {
                    return Err(positioned(
                        PgError::new(
                            sqlstate::AMBIGUOUS_COLUMN,
                            format!("ORDER BY \"{name}\" is ambiguous"),
                        ),
                        self.positions.of_span(ident.span),
                    ));
                }
                Ok(first.map(|target| target.value.clone()))
            }
            ast::Expr::Nested(inner) if matches!(**inner, ast::Expr::Identifier(_)) => {
                self.output_reference(inner, targets)
            }
            _ => Ok(None),
        }
    }

    fn order_by(
        &mut self,
        ctx: &mut Ctx,
        order: &[ast::OrderByExpr],
        targets: &mut [Target],
    ) -> PgResult<Vec<Sort>> {
        let mut sorts = Vec::new();
        for by in order {
            let value = match self.output_reference(&by.expr, targets)? {
                Some(value) => value,
                None => self.expr(ctx, &by.expr)?,
            };
            sorts.push(self.sort_of(value, by)?);
        }
        Ok(sorts)
    }

    fn distinct_on(
        &mut self,
        ctx: &mut Ctx,
        on: &[ast::Expr],
        targets: &[Target],
    ) -> PgResult<Vec<Expr>> {
        let mut keys = Vec::new();
        for expr in on {
            let value = match self.output_reference(expr, targets)? {
                Some(value) => value,
                None => self.expr(ctx, expr)?,
            };
            let value = self.settle(value)?;
            keys.push(self.sort_key(value));
        }
        Ok(keys)
    }

    /// The SELECT list; also RETURNING's.
    pub(super) fn target_list(
        &mut self,
        ctx: &mut Ctx,
        items: &[ast::SelectItem],
        scope: &Rc<Scope>,
    ) -> PgResult<Vec<Target>> {
        let mut targets = Vec::new();
        for item in items {
            match item {
                ast::SelectItem::UnnamedExpr(expr) => {
                    // `(row).*` has no place in the tree but this.
                    let value = self.expr(ctx, expr)?;
                    targets.push(Target {
                        name: super::naming::column_name(expr),
                        value,
                    });
                }
                ast::SelectItem::ExprWithAlias { expr, alias } => {
                    let value = self.expr(ctx, expr)?;
                    targets.push(Target {
                        name: fold(alias),
                        value,
                    });
                }
                ast::SelectItem::Wildcard(_) => {
                    if scope.visible.is_empty() && scope.rels.is_empty() {
                        return Err(PgError::new(
                            sqlstate::SYNTAX_ERROR,
                            "SELECT * with no tables specified is not valid",
                        ));
                    }
                    for column in &scope.visible {
                        ctx.used
                            .push((column.expr.clone(), None, column.name.clone()));
                        targets.push(Target {
                            name: column.name.clone(),
                            value: column.typed(),
                        });
                    }
                }
                ast::SelectItem::QualifiedWildcard(kind, _) => {
                    let ast::SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
                        let ast::SelectItemQualifiedWildcardKind::Expr(expr) = kind else {
                            continue;
                        };
                        let value = self.expr(ctx, expr)?;
                        let at = value.at;
                        let Kind::Row(fields) = value.kind else {
                            return Err(unsupported("the fields of this expression", at));
                        };
                        targets.extend(
                            fields
                                .into_iter()
                                .map(|(name, value)| Target { name, value }),
                        );
                        continue;
                    };
                    let parts: Vec<String> = name
                        .0
                        .iter()
                        .filter_map(|part| part.as_ident())
                        .map(fold)
                        .collect();
                    let table = parts.last().cloned().unwrap_or_default();
                    let schema = if parts.len() > 1 {
                        Some(self.path.schema(&parts[parts.len() - 2]).to_owned())
                    } else {
                        None
                    };
                    let fields = match scope.rel(schema.as_deref(), &table) {
                        Some(rel) => rel
                            .columns
                            .iter()
                            .map(|column| (column.name.clone(), column.typed()))
                            .collect(),
                        None => scope.row(&table, &mut self.fresh).ok_or_else(|| {
                            positioned(
                                PgError::new(
                                    sqlstate::UNDEFINED_TABLE,
                                    format!("missing FROM-clause entry for table \"{table}\""),
                                ),
                                self.at(item),
                            )
                        })?,
                    };
                    for (field, value) in fields {
                        ctx.used
                            .push((value.expr.clone(), None, format!("{table}.{field}")));
                        targets.push(Target { name: field, value });
                    }
                }
                ast::SelectItem::ExprWithAliases { .. } => {
                    return Err(unsupported(
                        "several aliases for one expression",
                        self.at(item),
                    ));
                }
            }
        }
        Ok(targets)
    }

    /// The grouping expressions, or `None` without GROUP BY.
    fn group_by(
        &mut self,
        scope: &Rc<Scope>,
        group_by: &ast::GroupByExpr,
        targets: &[Target],
    ) -> PgResult<Option<Vec<Expr>>> {
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
        let mut groups = Vec::new();
        for expr in exprs {
            let at = self.at(expr);
            let value = match expr {
                ast::Expr::GroupingSets(_) | ast::Expr::Rollup(_) | ast::Expr::Cube(_) => {
                    return Err(unsupported("GROUPING SETS", at));
                }
                ast::Expr::Tuple(values) if values.is_empty() => continue,
                ast::Expr::Tuple(values) => {
                    for value in values {
                        let value = self.expr(&mut ctx, value)?;
                        groups.push(self.settle(value)?.expr);
                    }
                    continue;
                }
                ast::Expr::Value(_) => match self.output_reference(expr, targets)? {
                    Some(value) => value,
                    None => self.expr(&mut ctx, expr)?,
                },
                // A name is a column of the input first, an alias of the output second.
                ast::Expr::Identifier(ident) => match scope.column(&fold(ident), &mut self.fresh) {
                    super::scope::Found::Column(value) => value,
                    _ => match self.output_reference(expr, targets)? {
                        Some(value) => value,
                        None => self.expr(&mut ctx, expr)?,
                    },
                },
                _ => self.expr(&mut ctx, expr)?,
            };
            let value = self.settle(value)?;
            groups.push(value.expr);
        }
        if !ctx.applies.is_empty() {
            return Err(unsupported("a subquery in GROUP BY", None));
        }
        Ok(Some(groups))
    }

    /// The plan above which only groups, aggregates and what depends on them are visible; the
    /// expressions are rewritten to that.
    fn aggregate_plan(
        &mut self,
        plan: LogicalPlan,
        ctx: &mut Ctx,
        groups: Vec<Expr>,
        exprs: Vec<&mut Expr>,
        scope: &Rc<Scope>,
    ) -> PgResult<LogicalPlan> {
        let mut plan = apply_all(plan, std::mem::take(&mut ctx.inner_applies))?;
        // Constants group nothing.
        let mut keys: Vec<(Expr, String)> = Vec::new();
        for group in groups {
            if !keys.iter().any(|(known, _)| *known == group) {
                let name = self.name("g");
                keys.push((group, name));
            }
        }
        self.dependent_columns(&mut keys, ctx, scope);
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
        let group_exprs: Vec<Expr> = keys.iter().map(|(_, name)| internal(name)).collect();
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
            let (rewritten, stray) = super::rewrite_groups(expr, &keys, &inputs)?;
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
            let (rewritten, stray) = super::rewrite_groups(expr, &keys, &inputs)?;
            if let Some(column) = stray {
                return Err(ungrouped(&column, ctx, scope));
            }
            ctx.windows[*at].1 = rewritten;
        }
        for at in 0..ctx.applies.len() {
            let mut apply = ctx.applies[at].clone();
            for outer in &mut apply.outer {
                let (rewritten, stray) = super::rewrite_groups(&outer.expr, &keys, &inputs)?;
                if let Some(column) = stray {
                    return Err(subquery_ungrouped(&column, ctx, scope));
                }
                outer.expr = rewritten;
            }
            for needle in &mut apply.needles {
                let (rewritten, stray) = super::rewrite_groups(needle, &keys, &inputs)?;
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
                    super::rewrite_groups(&ctx.sets[at].columns[column].1, &keys, &inputs)?;
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

/// The plan with window functions beside its columns, under the names given. DataFusion names
/// them after their text while it groups them by their order.
fn windowed(plan: LogicalPlan, windows: Vec<(String, Expr)>) -> PgResult<LogicalPlan> {
    let mut projection: Vec<Expr> = plan
        .schema()
        .columns()
        .into_iter()
        .map(Expr::Column)
        .collect();
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

/// The terms of a query that reads itself: the first, whether duplicates stay, the second.
fn recursive_parts<'q>(
    query: &'q ast::Query,
    name: &str,
) -> Option<(&'q ast::SetExpr, bool, &'q ast::SetExpr)> {
    let ast::SetExpr::SetOperation {
        left,
        op: ast::SetOperator::Union,
        set_quantifier,
        right,
    } = query.body.as_ref()
    else {
        return None;
    };
    reads(right, name).then(|| {
        (
            left.as_ref(),
            *set_quantifier == ast::SetQuantifier::All,
            right.as_ref(),
        )
    })
}

/// Does the term name the table? Its text tells; a false alarm only makes a plan less direct.
fn reads(expr: &ast::SetExpr, name: &str) -> bool {
    let text = expr.to_string().to_lowercase();
    let name = name.to_lowercase();
    text.match_indices(&name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        let boundary = |c: Option<char>| c.is_none_or(|c| !(c.is_alphanumeric() || c == '_'));
        boundary(before) && boundary(after)
    })
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

fn first_word(text: &str) -> String {
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

/// For lists that are numbered beside being unrolled.
pub(super) fn numbered(lists: Vec<Expr>) -> Expr {
    array::ordinality(lists)
}
