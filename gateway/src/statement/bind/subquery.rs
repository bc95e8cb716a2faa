//! Subqueries in expressions. Each becomes an [`Apply`] below the place where it stands, and a
//! column there.

use std::rc::Rc;

use datafusion::common::ScalarValue;
use datafusion::functions_aggregate::min_max::max_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{Case, Expr, LogicalPlan, LogicalPlanBuilder, Operator};
use omnigraph_catalog::types::PgType;
use sqlparser::ast;

use super::apply::{Apply, ApplyKind};
use super::coerce::{Context, positioned};
use super::expr::{Ctx, binary};
use super::query::QueryRel;
use super::scope::{Level, Outer, internal};
use super::typed::{Kind, Typed};
use super::{Binder, planned};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// `ANY`, `ALL`, or a plain comparison of a row with a subquery's only row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantifier {
    Any,
    All,
    Single,
}

/// A subquery to be evaluated for each row of the plan below the expression.
#[derive(Debug, Clone)]
pub(super) struct PendingApply {
    pub(super) plan: LogicalPlan,
    pub(super) outer: Vec<Outer>,
    pub(super) kind: ApplyKind,
    pub(super) output: String,
    /// What [`ApplyKind::In`] looks for.
    pub(super) needles: Vec<Expr>,
}

impl PendingApply {
    pub(super) fn over(self, left: LogicalPlan) -> PgResult<LogicalPlan> {
        Apply::plan(
            left,
            self.plan,
            self.outer
                .into_iter()
                .map(|outer| (outer.id, outer.expr))
                .collect(),
            self.needles,
            self.kind,
            &self.output,
        )
    }
}

impl Binder<'_> {
    /// Binds a query whose names may come from the scope around it.
    fn inner(&mut self, ctx: &mut Ctx, query: &ast::Query) -> PgResult<(QueryRel, Vec<Outer>)> {
        let level = Rc::new(Level::default());
        let before = ctx.scope.hoisted.replace(Some(Vec::new()));
        let rel = self.query(query, &level, Some(Rc::clone(&ctx.scope)));
        let hoisted = ctx.scope.hoisted.replace(before).unwrap_or_default();
        let rel = rel?;
        self.take_hoisted(ctx, hoisted)?;
        let rel = self.visible(rel)?;
        let outer = level.outer.take();
        Ok((rel, outer))
    }

    fn pend(
        &mut self,
        ctx: &mut Ctx,
        plan: LogicalPlan,
        outer: Vec<Outer>,
        needles: Vec<Expr>,
        kind: ApplyKind,
    ) -> Expr {
        // What the subquery takes from here is used here, for GROUP BY's sake.
        for outer in &outer {
            if !ctx.inside_aggregate {
                ctx.used.push((outer.expr.clone(), None, String::new()));
            }
        }
        let output = self.name("q");
        ctx.applies.push(PendingApply {
            plan,
            outer,
            kind,
            output: output.clone(),
            needles,
        });
        internal(&output)
    }

    fn one_column(&self, rel: &QueryRel, at: Option<u32>) -> PgResult<()> {
        if rel.columns.len() == 1 {
            return Ok(());
        }
        Err(positioned(
            PgError::new(
                sqlstate::SYNTAX_ERROR,
                "subquery must return only one column",
            ),
            at,
        ))
    }

    pub(super) fn scalar_subquery(
        &mut self,
        ctx: &mut Ctx,
        query: &ast::Query,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let (rel, outer) = self.inner(ctx, query)?;
        self.one_column(&rel, at)?;
        let ty = rel.columns[0].ty;
        let expr = self.pend(ctx, rel.plan, outer, Vec::new(), ApplyKind::Scalar);
        Ok(Typed::new(expr, ty).at(at))
    }

    pub(super) fn array_subquery(
        &mut self,
        ctx: &mut Ctx,
        query: &ast::Query,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let (rel, outer) = self.inner(ctx, query)?;
        self.one_column(&rel, at)?;
        let ty = rel.columns[0].ty.array().ok_or_else(|| {
            positioned(
                PgError::new(
                    sqlstate::UNDEFINED_OBJECT,
                    "could not find array type for the subquery's column",
                ),
                at,
            )
        })?;
        let expr = self.pend(ctx, rel.plan, outer, Vec::new(), ApplyKind::Array);
        Ok(Typed::new(expr, ty).at(at))
    }

    pub(super) fn exists(&mut self, ctx: &mut Ctx, query: &ast::Query) -> PgResult<Expr> {
        let (rel, outer) = self.inner(ctx, query)?;
        Ok(self.pend(ctx, rel.plan, outer, Vec::new(), ApplyKind::Exists))
    }

    /// `value op ANY (SELECT …)`; `IN` is `= ANY`.
    pub(super) fn quantified_subquery(
        &mut self,
        ctx: &mut Ctx,
        value: Typed,
        name: &str,
        query: &ast::Query,
        quantifier: Quantifier,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let (rel, mut outer) = self.inner(ctx, query)?;
        let values: Vec<Typed> = match value.kind {
            Kind::Row(fields) => fields.into_iter().map(|(_, field)| field).collect(),
            _ => vec![value],
        };
        if values.len() != rel.columns.len() {
            let few = if rel.columns.len() < values.len() {
                "few"
            } else {
                "many"
            };
            return Err(positioned(
                PgError::new(
                    sqlstate::SYNTAX_ERROR,
                    format!("subquery has too {few} columns"),
                ),
                at,
            ));
        }
        if name == "=" && quantifier == Quantifier::Any {
            return self.in_subquery(ctx, values, rel, outer, at);
        }
        // The comparison is made inside: what stands on the left is a value from outside there.
        let mut lefts = Vec::new();
        let mut rights = Vec::new();
        for (value, column) in values.into_iter().zip(&rel.columns) {
            let value = if value.is_unknown() {
                self.coerce(value, column.ty, Context::Implicit)?
            } else {
                value
            };
            let id = format!("$o{}", self.next());
            lefts.push(Typed::new(super::placeholder(&id, value.ty), value.ty));
            outer.push(Outer {
                id,
                expr: value.expr,
            });
            rights.push(Typed::new(internal(&column.column), column.ty));
        }
        let test = if lefts.len() == 1 {
            let (Some(left), Some(right)) = (lefts.pop(), rights.pop()) else {
                return Err(PgError::new(
                    sqlstate::INTERNAL_ERROR,
                    "a comparison lost its operands",
                ));
            };
            self.operator(name, left, right, at)?
        } else {
            let row = |values: Vec<Typed>| Typed {
                kind: Kind::Row(
                    values
                        .into_iter()
                        .map(|value| (String::new(), value))
                        .collect(),
                ),
                ..Typed::new(Expr::Literal(ScalarValue::Null, None), PgType::RECORD)
            };
            self.compare_rows(name, row(lefts), row(rights), at)?
        };
        if quantifier == Quantifier::Single {
            let output = self.name("v");
            let plan = planned(
                LogicalPlanBuilder::from(rel.plan)
                    .project(vec![test.expr.alias(output)])
                    .and_then(LogicalPlanBuilder::build),
            )?;
            return Ok(Typed::bool(self.pend(
                ctx,
                plan,
                outer,
                Vec::new(),
                ApplyKind::Scalar,
            )));
        }
        // ANY: 2 if some comparison is true, else 1 if some is unknown, else 0. ALL is the
        // negation of ANY of the negated comparison.
        let all = quantifier == Quantifier::All;
        let hit = if all {
            Expr::IsFalse(Box::new(test.expr.clone()))
        } else {
            Expr::IsTrue(Box::new(test.expr.clone()))
        };
        let number = |value: i32| Expr::Literal(ScalarValue::Int32(Some(value)), None);
        let weight = Expr::Case(Case {
            expr: None,
            when_then_expr: vec![
                (Box::new(hit), Box::new(number(2))),
                (
                    Box::new(Expr::IsNull(Box::new(test.expr))),
                    Box::new(number(1)),
                ),
            ],
            else_expr: Some(Box::new(number(0))),
        });
        let (weighed, output) = (self.name("v"), self.name("v"));
        let greatest = Expr::AggregateFunction(AggregateFunction {
            func: max_udaf(),
            params: AggregateFunctionParams {
                args: vec![internal(&weighed)],
                distinct: false,
                filter: None,
                order_by: Vec::new(),
                null_treatment: None,
            },
        });
        let plan = planned(
            LogicalPlanBuilder::from(rel.plan)
                .project(vec![weight.alias(&weighed)])
                .and_then(|plan| plan.aggregate(Vec::<Expr>::new(), vec![greatest.alias(&output)]))
                .and_then(LogicalPlanBuilder::build),
        )?;
        let weight = self.pend(ctx, plan, outer, Vec::new(), ApplyKind::Scalar);
        let truth =
            |value: Option<bool>| Box::new(Expr::Literal(ScalarValue::Boolean(value), None));
        let result = Expr::Case(Case {
            expr: None,
            when_then_expr: vec![
                (
                    Box::new(binary(weight.clone(), Operator::Eq, number(2))),
                    truth(Some(!all)),
                ),
                (
                    Box::new(binary(weight, Operator::Eq, number(1))),
                    truth(None),
                ),
            ],
            else_expr: Some(truth(Some(all))),
        });
        Ok(Typed::bool(result))
    }

    fn in_subquery(
        &mut self,
        ctx: &mut Ctx,
        values: Vec<Typed>,
        rel: QueryRel,
        outer: Vec<Outer>,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let mut needles = Vec::new();
        let mut columns = Vec::new();
        for (value, column) in values.into_iter().zip(&rel.columns) {
            let (left, right) =
                self.equal_operands(value, Typed::new(internal(&column.column), column.ty), at)?;
            needles.push(left);
            columns.push(right.alias(self.name("v")));
        }
        let plan = planned(
            LogicalPlanBuilder::from(rel.plan)
                .project(columns)
                .and_then(LogicalPlanBuilder::build),
        )?;
        for needle in &needles {
            ctx.used.push((needle.clone(), None, String::new()));
        }
        Ok(Typed::bool(self.pend(
            ctx,
            plan,
            outer,
            needles,
            ApplyKind::In,
        )))
    }
}

/// The subqueries of expressions over rows that are not a plan yet.
#[derive(Debug, Clone, Default)]
pub struct Subqueries(Vec<PendingApply>);

impl Subqueries {
    pub(super) fn new(applies: Vec<PendingApply>) -> Self {
        Subqueries(applies)
    }

    /// The rows with the subqueries' answers beside them.
    pub fn over(&self, rows: LogicalPlan) -> PgResult<LogicalPlan> {
        apply_all(rows, self.0.clone())
    }
}

/// Evaluates subqueries above a plan.
pub(super) fn apply_all(
    mut plan: LogicalPlan,
    applies: Vec<PendingApply>,
) -> PgResult<LogicalPlan> {
    for apply in applies {
        plan = apply.over(plan)?;
    }
    Ok(plan)
}
