//! Joins.

use std::rc::Rc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, Operator};
use sqlparser::ast;

use super::coerce::{Context, positioned};
use super::expr::{Ctx, binary};
use super::from::{Factor, FromItem};
use super::lateral::dependent_scope;
use super::scope::{Level, Scope, ScopeColumn, internal};
use super::subquery::{PendingApply, apply_all};
use super::typed::Typed;
use super::{Binder, planned, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

impl Binder<'_> {
    /// `start`: where in the left side this tree's own tables and columns begin.
    pub(super) fn join(
        &mut self,
        left: FromItem,
        start: (usize, usize),
        join: &ast::Join,
        level: &Rc<Level>,
        parent: &Option<Rc<Scope>>,
    ) -> PgResult<FromItem> {
        use ast::JoinOperator as J;
        let (kind, constraint) = match &join.join_operator {
            J::Join(constraint) | J::Inner(constraint) => (JoinType::Inner, constraint),
            J::Left(constraint) | J::LeftOuter(constraint) => (JoinType::Left, constraint),
            J::Right(constraint) | J::RightOuter(constraint) => (JoinType::Right, constraint),
            J::FullOuter(constraint) => (JoinType::Full, constraint),
            J::CrossJoin(_) => (JoinType::Inner, &ast::JoinConstraint::None),
            other => {
                return Err(unsupported(
                    format!("{other:?}")
                        .split('(')
                        .next()
                        .unwrap_or("this join"),
                    None,
                ));
            }
        };
        let is_cross = matches!(join.join_operator, J::CrossJoin(_));
        if matches!(constraint, ast::JoinConstraint::None) && !is_cross {
            let error = PgError::new(
                sqlstate::SYNTAX_ERROR,
                "syntax error: this JOIN has neither ON nor USING",
            )
            .hint("CROSS JOIN joins every row with every row.");
            return Err(positioned(error, self.at(&join.relation)));
        }
        let factor = self.factor(&join.relation, Some(&left), level, parent)?;
        let right = match factor {
            Factor::Item(item) => item,
            dependent => {
                let condition = match constraint {
                    ast::JoinConstraint::On(condition) => Some(condition),
                    ast::JoinConstraint::None => None,
                    _ => return Err(unsupported("USING with LATERAL", None)),
                };
                if matches!(kind, JoinType::Right | JoinType::Full) {
                    let error = PgError::new(
                        sqlstate::INVALID_COLUMN_REFERENCE,
                        "invalid reference to FROM-clause entry for table",
                    )
                    .detail(
                        "The combining JOIN type must be INNER or LEFT for a LATERAL reference.",
                    );
                    return Err(error);
                }
                let (rels, visible) = dependent_scope(&left, &dependent);
                let condition = match condition {
                    Some(condition) => {
                        let scope = Scope::new(rels, visible, Rc::clone(level), parent.clone());
                        let mut ctx = Ctx::new(scope, "JOIN/ON");
                        let condition = self.condition(&mut ctx, condition, "JOIN/ON")?;
                        if !ctx.applies.is_empty() {
                            return Err(unsupported(
                                "a subquery in the condition of a LATERAL join",
                                None,
                            ));
                        }
                        Some(condition)
                    }
                    None => None,
                };
                return self.join_lateral(left, dependent, kind, condition);
            }
        };
        self.check_aliases(&left.rels[start.0..], &right.rels)?;
        let own_visible = left.visible[start.1..].to_vec();
        match constraint {
            ast::JoinConstraint::On(condition) => {
                let mut rels = left.rels[start.0..].to_vec();
                rels.extend(right.rels.iter().cloned());
                let mut visible = own_visible;
                visible.extend(right.visible.iter().cloned());
                let scope = Scope::new(rels, visible, Rc::clone(level), parent.clone());
                let mut ctx = Ctx::new(scope, "JOIN/ON");
                let condition = self.condition(&mut ctx, condition, "JOIN/ON")?;
                let mut all = left.visible.clone();
                all.extend(right.visible.iter().cloned());
                let mut rels = left.rels;
                rels.extend(right.rels);
                let (left_plan, right_plan, both) = sides(left.plan, right.plan, ctx.applies)?;
                let plan = if both.is_empty() {
                    join_on(left_plan, right_plan, kind, vec![condition])?
                } else if kind == JoinType::Inner {
                    let plan = join_on(left_plan, right_plan, JoinType::Inner, Vec::new())?;
                    let plan = apply_all(plan, both)?;
                    planned(
                        LogicalPlanBuilder::from(plan)
                            .filter(condition)
                            .and_then(LogicalPlanBuilder::build),
                    )?
                } else {
                    return Err(unsupported(
                        "a subquery over both sides in the condition of an outer join",
                        None,
                    ));
                };
                Ok(FromItem {
                    plan,
                    rels,
                    visible: all,
                })
            }
            ast::JoinConstraint::Using(names) => {
                let names: Vec<String> = names
                    .iter()
                    .map(|name| {
                        name.0
                            .last()
                            .and_then(|part| part.as_ident())
                            .map(fold)
                            .unwrap_or_default()
                    })
                    .collect();
                self.join_using(left, start, right, kind, &names)
            }
            ast::JoinConstraint::Natural => {
                let names: Vec<String> = own_visible
                    .iter()
                    .filter(|column| right.visible.iter().any(|other| other.name == column.name))
                    .map(|column| column.name.clone())
                    .collect();
                self.join_using(left, start, right, kind, &names)
            }
            ast::JoinConstraint::None => {
                let plan = join_on(left.plan, right.plan, kind, Vec::new())?;
                let mut item = FromItem {
                    plan,
                    rels: left.rels,
                    visible: left.visible,
                };
                item.rels.extend(right.rels);
                item.visible.extend(right.visible);
                Ok(item)
            }
        }
    }

    /// The named columns are equal and appear once, first.
    fn join_using(
        &mut self,
        left: FromItem,
        start: (usize, usize),
        right: FromItem,
        kind: JoinType,
        names: &[String],
    ) -> PgResult<FromItem> {
        let mut conditions = Vec::new();
        let mut merged: Vec<(String, Typed, Typed)> = Vec::new();
        for name in names {
            let find = |columns: &[ScopeColumn], side: &str| -> PgResult<Typed> {
                let mut found = columns.iter().filter(|column| column.name == *name);
                match (found.next(), found.next()) {
                    (Some(column), None) => Ok(column.typed()),
                    (Some(_), Some(_)) => Err(PgError::new(
                        sqlstate::AMBIGUOUS_COLUMN,
                        format!(
                            "common column name \"{name}\" appears more than once in {side} table"
                        ),
                    )),
                    _ => Err(PgError::new(
                        sqlstate::UNDEFINED_COLUMN,
                        format!(
                            "column \"{name}\" specified in USING clause does not exist in {side} table"
                        ),
                    )),
                }
            };
            let (a, b) = (
                find(&left.visible[start.1..], "left")?,
                find(&right.visible, "right")?,
            );
            conditions.push(self.operator("=", a.clone(), b.clone(), None)?.expr);
            merged.push((name.clone(), a, b));
        }
        let mut plan = join_on(left.plan, right.plan, kind, conditions)?;
        let mut first = Vec::new();
        for (name, a, b) in merged {
            let value = match kind {
                JoinType::Right => b,
                JoinType::Full => {
                    let column = self.name("c");
                    let ty = super::types::common_type(&[a.clone(), b.clone()], "JOIN/USING")?;
                    let a = self.coerce(a, ty, Context::Implicit)?;
                    let b = self.coerce(b, ty, Context::Implicit)?;
                    let either = Expr::Case(datafusion::logical_expr::Case {
                        expr: None,
                        when_then_expr: vec![(
                            Box::new(Expr::IsNotNull(Box::new(a.expr.clone()))),
                            Box::new(a.expr),
                        )],
                        else_expr: Some(Box::new(b.expr)),
                    });
                    let mut exprs: Vec<Expr> = plan
                        .schema()
                        .columns()
                        .into_iter()
                        .map(Expr::Column)
                        .collect();
                    exprs.push(either.alias(&column));
                    plan = planned(
                        LogicalPlanBuilder::from(plan)
                            .project(exprs)
                            .and_then(LogicalPlanBuilder::build),
                    )?;
                    Typed::new(internal(&column), ty)
                }
                _ => a,
            };
            first.push(ScopeColumn {
                name,
                expr: value.expr,
                ty: value.ty,
                origin: value.origin,
                fields: Vec::new(),
            });
        }
        let mut visible = left.visible[..start.1].to_vec();
        visible.extend(first);
        let rest = |column: &&ScopeColumn| !names.contains(&column.name);
        visible.extend(left.visible[start.1..].iter().filter(rest).cloned());
        visible.extend(right.visible.iter().filter(rest).cloned());
        let mut rels = left.rels;
        rels.extend(right.rels);
        Ok(FromItem {
            plan,
            rels,
            visible,
        })
    }
}

/// The sides of a join with the subqueries of its condition, each on the side that it is over,
/// and those that are over both.
fn sides(
    left: LogicalPlan,
    right: LogicalPlan,
    applies: Vec<PendingApply>,
) -> PgResult<(LogicalPlan, LogicalPlan, Vec<PendingApply>)> {
    let (mut lefts, mut rights, mut both) = (Vec::new(), Vec::new(), Vec::new());
    for apply in applies {
        let over = |side: &LogicalPlan, others: &[PendingApply]| {
            let outer = apply.outer.iter().map(|outer| &outer.expr);
            outer.chain(&apply.needles).all(|expr| {
                expr.column_refs().iter().all(|column| {
                    side.schema().has_column(column)
                        || others.iter().any(|known| known.output == column.name)
                })
            })
        };
        if over(&left, &lefts) {
            lefts.push(apply);
        } else if over(&right, &rights) {
            rights.push(apply);
        } else {
            both.push(apply);
        }
    }
    Ok((apply_all(left, lefts)?, apply_all(right, rights)?, both))
}

pub(super) fn cross(left: FromItem, right: FromItem) -> PgResult<FromItem> {
    let plan = join_on(left.plan, right.plan, JoinType::Inner, Vec::new())?;
    let mut item = FromItem {
        plan,
        rels: left.rels,
        visible: left.visible,
    };
    item.rels.extend(right.rels);
    item.visible.extend(right.visible);
    Ok(item)
}

pub(super) fn join_on(
    left: LogicalPlan,
    right: LogicalPlan,
    kind: JoinType,
    conditions: Vec<Expr>,
) -> PgResult<LogicalPlan> {
    let builder = LogicalPlanBuilder::from(left);
    if conditions.is_empty() && kind == JoinType::Inner {
        return planned(
            builder
                .cross_join(right)
                .and_then(LogicalPlanBuilder::build),
        );
    }
    let condition = conditions
        .into_iter()
        .reduce(|a, b| binary(a, Operator::And, b))
        .unwrap_or(Expr::Literal(ScalarValue::Boolean(Some(true)), None));
    planned(
        builder
            .join_on(right, kind, vec![condition])
            .and_then(LogicalPlanBuilder::build),
    )
}
