//! ORDER BY, DISTINCT and DISTINCT ON.

use std::rc::Rc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Operator};
use sqlparser::ast;

use super::coerce::positioned;
use super::expr::{Ctx, binary};
use super::locking::Origin;
use super::query::{Body, Target};
use super::scope::{Scope, ScopeColumn, internal};
use super::select::windowed;
use super::typed::{Kind, Typed};
use super::{Binder, planned};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

impl Binder<'_> {
    pub(super) fn distinct_and_order(
        &mut self,
        plan: LogicalPlan,
        targets: Vec<Target>,
        sorts: Vec<Sort>,
        distinct_on: Vec<Expr>,
        distinct: bool,
        origin: Origin,
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
            return Ok(Body {
                plan,
                targets,
                origin,
            });
        }
        let origin = Origin::Mixed("DISTINCT clause");
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
                origin,
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
            origin,
        })
    }

    /// ORDER BY over a set operation or VALUES: output names and numbers only.
    pub(super) fn sort_output(&mut self, body: Body, order: &[ast::OrderByExpr]) -> PgResult<Body> {
        let origin = body.origin.clone().projected();
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
        Ok(Body {
            plan,
            targets,
            origin,
        })
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
    pub(super) fn output_reference(
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

    pub(super) fn order_by(
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

    pub(super) fn distinct_on(
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
}
