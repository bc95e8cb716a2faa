//! UNION, INTERSECT, EXCEPT.

use std::rc::Rc;
use std::sync::Arc;

use datafusion::common::{Column, NullEquality};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, Union};
use sqlparser::ast;

use super::coerce::{Context, positioned};
use super::locking::Origin;
use super::query::{Body, Target};
use super::scope::{Level, Scope, internal};
use super::select::windowed;
use super::typed::Typed;
use super::types::common_type;
use super::{Binder, planned, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

impl Binder<'_> {
    pub(super) fn set_operation(
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
        Ok(Body {
            plan,
            targets,
            origin: Origin::Mixed("UNION/INTERSECT/EXCEPT"),
        })
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
}
