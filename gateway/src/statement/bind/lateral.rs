//! LATERAL: items that depend on those before them.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder};

use super::apply::{Apply, ApplyKind};
use super::expr::SetCall;
use super::from::{Factor, FromItem};
use super::join::cross;
use super::scope::{Level, Outer, Rel, Scope, ScopeColumn};
use super::{Binder, planned};
use crate::error::PgResult;

impl Binder<'_> {
    /// Joins what depends on the left side.
    pub(super) fn join_lateral(
        &mut self,
        left: FromItem,
        factor: Factor,
        kind: JoinType,
        condition: Option<Expr>,
    ) -> PgResult<FromItem> {
        let outer_join = kind == JoinType::Left;
        match factor {
            Factor::Item(item) => cross(left, item),
            Factor::Lists { sets, rel } if !outer_join => {
                let mut plan = self.unroll(left.plan, vec![sets])?;
                if let Some(condition) = condition {
                    plan = planned(
                        LogicalPlanBuilder::from(plan)
                            .filter(condition)
                            .and_then(LogicalPlanBuilder::build),
                    )?;
                }
                let mut item = FromItem {
                    plan,
                    rels: left.rels,
                    visible: left.visible,
                };
                item.visible.extend(rel.columns.iter().cloned());
                item.rels.push(rel);
                Ok(item)
            }
            Factor::Lists { sets, rel } => {
                // As a plan of its own, with the left side's columns as values from outside.
                let mut outer = Vec::new();
                let columns = column_names(&left.plan);
                let mut inward = SetCall {
                    columns: Vec::new(),
                };
                for (name, list) in sets.columns {
                    inward
                        .columns
                        .push((name, self.outward(list, &columns, &left.plan, &mut outer)?));
                }
                let item = self.lists_alone(inward, rel)?;
                self.join_lateral(left, Factor::Dependent { item, outer }, kind, condition)
            }
            Factor::Dependent {
                mut item,
                mut outer,
            } => {
                if let Some(condition) = condition {
                    let columns = column_names(&left.plan);
                    let condition = self.outward(condition, &columns, &left.plan, &mut outer)?;
                    item.plan = planned(
                        LogicalPlanBuilder::from(item.plan)
                            .filter(condition)
                            .and_then(LogicalPlanBuilder::build),
                    )?;
                }
                let outer = outer
                    .into_iter()
                    .map(|outer| (outer.id, outer.expr))
                    .collect();
                let plan = Apply::plan(
                    left.plan,
                    item.plan,
                    outer,
                    Vec::new(),
                    ApplyKind::Lateral { outer: outer_join },
                    "",
                )?;
                let mut joined = FromItem {
                    plan,
                    rels: left.rels,
                    visible: left.visible,
                };
                joined.rels.extend(item.rels);
                joined.visible.extend(item.visible);
                Ok(joined)
            }
        }
    }

    /// The expression with the left side's columns as values from outside.
    pub(super) fn outward(
        &mut self,
        expr: Expr,
        columns: &HashSet<String>,
        left: &LogicalPlan,
        outer: &mut Vec<Outer>,
    ) -> PgResult<Expr> {
        let fresh = &mut self.fresh;
        let schema = Arc::clone(left.schema());
        planned(expr.transform(|node| {
            let Expr::Column(column) = &node else {
                return Ok(Transformed::no(node));
            };
            if !columns.contains(&column.name) {
                return Ok(Transformed::no(node));
            }
            let field = schema.field_with_unqualified_name(&column.name)?;
            let id = match outer.iter().find(|known| known.expr == node) {
                Some(known) => known.id.clone(),
                None => {
                    *fresh += 1;
                    let id = format!("$o{fresh}");
                    outer.push(Outer {
                        id: id.clone(),
                        expr: node.clone(),
                    });
                    id
                }
            };
            Ok(Transformed::yes(super::placeholder_of(
                &id,
                field.data_type().clone(),
            )))
        }))
        .map(|transformed| transformed.data)
    }

    pub(super) fn lists_alone(&mut self, sets: SetCall, rel: Rel) -> PgResult<FromItem> {
        let plan = planned(LogicalPlanBuilder::empty(true).build())?;
        let plan = self.unroll(plan, vec![sets])?;
        let visible = rel.columns.clone();
        Ok(FromItem {
            plan,
            rels: vec![rel],
            visible,
        })
    }
}

/// A scope over what stands left, for LATERAL.
pub(super) fn lateral_scope(
    left: Option<&FromItem>,
    level: &Rc<Level>,
    parent: &Option<Rc<Scope>>,
) -> Rc<Scope> {
    let (rels, visible) = left
        .map(|left| (left.rels.clone(), left.visible.clone()))
        .unwrap_or_default();
    Scope::new(rels, visible, Rc::clone(level), parent.clone())
}

pub(super) fn dependent_scope(left: &FromItem, factor: &Factor) -> (Vec<Rel>, Vec<ScopeColumn>) {
    let (mut rels, mut visible) = (left.rels.clone(), left.visible.clone());
    match factor {
        Factor::Item(item) | Factor::Dependent { item, .. } => {
            rels.extend(item.rels.iter().cloned());
            visible.extend(item.visible.iter().cloned());
        }
        Factor::Lists { rel, .. } => {
            visible.extend(rel.columns.iter().cloned());
            rels.push(rel.clone());
        }
    }
    (rels, visible)
}

pub(super) fn has_columns(expr: &Expr) -> bool {
    !expr.column_refs().is_empty()
}

pub(super) fn column_names(plan: &LogicalPlan) -> HashSet<String> {
    plan.schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect()
}
