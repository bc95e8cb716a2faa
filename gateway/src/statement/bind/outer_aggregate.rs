//! Aggregates over columns of a query around only: they belong to that query, are computed there
//! once for each of its groups, and are values from outside where they are written.

use std::rc::Rc;

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::aggregates::{Call, check_allowed};
use super::coerce::positioned;
use super::expr::Ctx;
use super::scope::{Hoisted, Outer, Scope, internal};
use super::typed::Typed;
use super::{Binder, planned};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// How many values each query around had given when an aggregate's arguments began.
pub(super) struct Mark(Vec<(Rc<Scope>, usize)>);

impl Mark {
    pub(super) fn of(scope: &Rc<Scope>) -> Self {
        let around = std::iter::successors(Some(scope), |scope| scope.parent.as_ref());
        let chain = around.map(|scope| (Rc::clone(scope), scope.level.outer.borrow().len()));
        Mark(chain.collect())
    }

    /// Takes back what only the arguments asked for, of the queries that the aggregate leaves.
    pub(super) fn take_back(self, arguments_end: &Mark, levels: usize) {
        let pairs = self.0.into_iter().zip(&arguments_end.0).take(levels);
        for ((scope, start), (_, end)) in pairs {
            scope.level.outer.borrow_mut().drain(start..*end);
        }
    }
}

impl Binder<'_> {
    /// How many queries out of the one it is written in an aggregate belongs: to the innermost
    /// whose columns it is over.
    pub(super) fn levels_out(
        &self,
        ctx: &Ctx,
        args: &[Typed],
        call: &Call,
        at: Option<u32>,
    ) -> PgResult<usize> {
        let mut exprs: Vec<Expr> = args.iter().map(|arg| arg.expr.clone()).collect();
        exprs.extend(call.filter.clone());
        exprs.extend(call.order.iter().map(|sort| sort.expr.clone()));
        let (mut scope, mut levels) = (Rc::clone(&ctx.scope), 0);
        while exprs.iter().all(|expr| expr.column_refs().is_empty()) {
            let outer = scope.level.outer.borrow().clone();
            let mut crossed = false;
            for expr in &mut exprs {
                let outward = outward(std::mem::take(expr), &outer)?;
                crossed |= outward.transformed;
                *expr = outward.data;
            }
            let Some(parent) = scope.parent.clone().filter(|_| crossed) else {
                break;
            };
            (scope, levels) = (parent, levels + 1);
        }
        if levels > 0 && scope.hoisted.borrow().is_none() {
            let error = PgError::new(
                sqlstate::GROUPING_ERROR,
                "aggregate functions are not allowed in FROM clause of their own query level",
            );
            return Err(positioned(error, at));
        }
        Ok(levels)
    }

    /// Has an aggregate computed so many queries out, and gives what stands for it here.
    pub(super) fn hoist(&mut self, ctx: &Ctx, aggregate: Expr) -> PgResult<Expr> {
        let ty = planned(aggregate.get_type(&DFSchema::empty()))?;
        let mut scopes = vec![Rc::clone(&ctx.scope)];
        let mut expr = aggregate;
        for _ in 0..ctx.levels_out {
            let Some(scope) = scopes.last() else { break };
            expr = outward(expr, &scope.level.outer.borrow())?.data;
            scopes.extend(scope.parent.clone());
        }
        let name = self.name("a");
        if let Some(host) = scopes.pop()
            && let Some(hoisted) = host.hoisted.borrow_mut().as_mut()
        {
            hoisted.push(Hoisted {
                name: name.clone(),
                expr,
                at: ctx.aggregate_at,
            });
        }
        let inward = scopes.iter().rev().fold(internal(&name), |value, scope| {
            scope.cross_as(value, ty.clone(), &mut self.fresh)
        });
        Ok(inward)
    }

    /// Takes over what subqueries of an expression left to this query.
    pub(super) fn take_hoisted(&self, ctx: &mut Ctx, hoisted: Vec<Hoisted>) -> PgResult<()> {
        if let Some(first) = hoisted.first() {
            check_allowed(ctx, first.at)?;
        }
        let hoisted = hoisted.into_iter().map(|found| (found.name, found.expr));
        ctx.aggregates.extend(hoisted);
        Ok(())
    }
}

/// The expression in the terms of the query around.
fn outward(expr: Expr, outer: &[Outer]) -> PgResult<Transformed<Expr>> {
    planned(expr.transform_up(|expr| {
        let Expr::Placeholder(placeholder) = &expr else {
            return Ok(Transformed::no(expr));
        };
        Ok(
            match outer.iter().find(|outer| outer.id == placeholder.id) {
                Some(outer) => Transformed::yes(outer.expr.clone()),
                None => Transformed::no(expr),
            },
        )
    }))
}
