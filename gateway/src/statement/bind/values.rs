//! VALUES.

use std::rc::Rc;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use omnigraph_catalog::types::PgType;
use sqlparser::ast;

use super::coerce::{Context, positioned};
use super::expr::Ctx;
use super::locking::Origin;
use super::query::{Body, Target};
use super::scope::{Level, Scope, internal};
use super::subquery::apply_all;
use super::typed::Typed;
use super::types::common_type;
use super::{Binder, planned, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

impl Binder<'_> {
    /// VALUES, with the types that its rows have in common.
    pub(super) fn values(
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
            return Ok(Body {
                plan,
                targets,
                origin: Origin::Values,
            });
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
                .map(|ty| ty.unwrap_or(PgType::TEXT).arrow())
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
        Ok(Body {
            plan,
            targets,
            origin: Origin::Values,
        })
    }

    /// Rows of expressions as a plan, and its columns' names.
    pub(super) fn values_plan(
        &mut self,
        rows: Vec<Vec<Expr>>,
        types: &[DataType],
    ) -> PgResult<(LogicalPlan, Vec<String>)> {
        let fields: Vec<_> = types
            .iter()
            .enumerate()
            .map(|(i, ty)| {
                arrow::datatypes::Field::new(format!("column{}", i + 1), ty.clone(), true)
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
        Ok(Body {
            plan,
            targets,
            origin: Origin::Values,
        })
    }
}
