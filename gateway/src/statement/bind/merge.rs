//! MERGE: each row of the source beside the row of the target that it matches, and which of the
//! WHEN clauses applies to it.

use std::rc::Rc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Case, Expr, JoinType, LogicalPlanBuilder, Operator};
use sqlparser::ast;

use super::dml::{is_default, null_of, old_row};
use super::expr::{Ctx, binary};
use super::from::Factor;
use super::join::join_on;
use super::scope::{Level, Scope, internal};
use super::subquery::apply_all;
use super::{Binder, BoundMerge, MergeAction, Relation, planned, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::{NOTHING, fold};

/// What a clause writes: the values of its columns, in terms of the joined row; `None`: DEFAULT.
type Values = Vec<(usize, Option<Expr>)>;

impl Binder<'_> {
    pub(super) fn merge(&mut self, merge: &ast::Merge) -> PgResult<BoundMerge> {
        if merge.output.is_some() {
            return Err(unsupported("RETURNING in MERGE", None));
        }
        let table = ast::TableWithJoins {
            relation: merge.table.clone(),
            joins: Vec::new(),
        };
        let (target, _, item) = self.written_table(&table)?;
        let level = Rc::new(Level::default());
        let Factor::Item(source) = self.factor(&merge.source, None, &level, &None)? else {
            return Err(unsupported("this source of MERGE", None));
        };
        self.check_aliases(&item.rels, &source.rels)?;
        let old = item
            .rels
            .first()
            .map(|rel| rel.columns.clone())
            .unwrap_or_default();
        // Before a match is known, only the source's columns mean something.
        let unmatched = Scope::new(
            source.rels.clone(),
            source.visible.clone(),
            Rc::clone(&level),
            None,
        );
        let matched = Scope::new(
            [item.rels.as_slice(), &source.rels].concat(),
            [item.visible.as_slice(), &source.visible].concat(),
            level,
            None,
        );
        let mut ctx = Ctx::new(Rc::clone(&matched), "JOIN/ON");
        let condition = self.condition(&mut ctx, &merge.on, "JOIN/ON")?;
        if !ctx.applies.is_empty() {
            return Err(unsupported("a subquery in the condition of MERGE", None));
        }
        let inserts = merge
            .clauses
            .iter()
            .any(|clause| clause.clause_kind != ast::MergeClauseKind::Matched);
        let kind = if inserts {
            JoinType::Left
        } else {
            JoinType::Inner
        };
        let plan = join_on(source.plan, item.plan, kind, vec![condition])?;
        let Some(id) = old.first().map(|column| column.expr.clone()) else {
            return Err(unsupported("MERGE into a table without columns", None));
        };
        let is_matched = Expr::IsNotNull(Box::new(id));
        let mut when_then = Vec::new();
        let mut actions = Vec::new();
        let mut written: Vec<Values> = Vec::new();
        let mut ctx = Ctx::new(Rc::clone(&matched), "MERGE WHEN");
        for clause in &merge.clauses {
            let of_match = match clause.clause_kind {
                ast::MergeClauseKind::Matched => true,
                ast::MergeClauseKind::NotMatched => false,
                _ => return Err(unsupported("WHEN NOT MATCHED BY", None)),
            };
            ctx.scope = Rc::clone(if of_match { &matched } else { &unmatched });
            let mut test = if of_match {
                is_matched.clone()
            } else {
                Expr::Not(Box::new(is_matched.clone()))
            };
            if let Some(predicate) = &clause.predicate {
                ctx.clause = "MERGE WHEN AND";
                let predicate = self.condition(&mut ctx, predicate, "WHEN AND")?;
                test = binary(test, Operator::And, predicate);
            }
            ctx.clause = "MERGE WHEN";
            let number = Expr::Literal(ScalarValue::Int32(Some(actions.len() as i32)), None);
            when_then.push((Box::new(test), Box::new(number)));
            let (action, values) =
                self.merge_action(&mut ctx, &target, &clause.action, of_match)?;
            actions.push(action);
            written.push(values);
        }
        let plan = apply_all(plan, ctx.applies)?;
        let chosen = self.name("m");
        let action = Expr::Case(Case {
            expr: None,
            when_then_expr: when_then,
            else_expr: Some(Box::new(Expr::Literal(ScalarValue::Int32(None), None))),
        });
        let mut all: Vec<Expr> = plan
            .schema()
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        all.push(action.alias(&chosen));
        let mut exprs = old_row(&old);
        exprs.push(internal(&chosen).alias(ACTION));
        for at in 0..target.columns.len() {
            let null = null_of(&target, at)?;
            let values = written.iter().enumerate().filter_map(|(clause, values)| {
                let (_, value) = values.iter().find(|(assigned, _)| *assigned == at)?;
                let number = Expr::Literal(ScalarValue::Int32(Some(clause as i32)), None);
                let test = binary(internal(&chosen), Operator::Eq, number);
                Some((Box::new(test), Box::new(value.clone()?)))
            });
            let when_then: Vec<_> = values.collect();
            let value = if when_then.is_empty() {
                null
            } else {
                Expr::Case(Case {
                    expr: None,
                    when_then_expr: when_then,
                    else_expr: Some(Box::new(null)),
                })
            };
            exprs.push(value.alias(format!("n{at}")));
        }
        let source = planned(
            LogicalPlanBuilder::from(plan)
                .project(all)
                .and_then(|plan| plan.filter(Expr::IsNotNull(Box::new(internal(&chosen)))))
                .and_then(|plan| plan.project(exprs))
                .and_then(LogicalPlanBuilder::build),
        )?;
        Ok(BoundMerge {
            source,
            actions,
            params: self.parameter_types()?,
            reads: self.reads_without(&target),
            target,
        })
    }

    fn merge_action(
        &mut self,
        ctx: &mut Ctx,
        target: &Relation,
        action: &ast::MergeAction,
        of_match: bool,
    ) -> PgResult<(MergeAction, Values)> {
        let misplaced = |what: &str| {
            let when = if of_match { "MATCHED" } else { "NOT MATCHED" };
            PgError::new(
                sqlstate::SYNTAX_ERROR,
                format!("{what} is not for WHEN {when}"),
            )
        };
        match action {
            ast::MergeAction::Update(update) if does_nothing(update) => {
                Ok((MergeAction::Nothing, Vec::new()))
            }
            ast::MergeAction::Update(update) if of_match => {
                let mut values: Values = Vec::new();
                for assignment in &update.assignments {
                    for (column, value) in self.assignment_pairs(target, assignment)? {
                        if values.iter().any(|(known, _)| *known == column) {
                            return Err(PgError::new(
                                sqlstate::SYNTAX_ERROR,
                                format!(
                                    "multiple assignments to same column \"{}\"",
                                    target.columns[column].name
                                ),
                            ));
                        }
                        let value = match value {
                            None => None,
                            Some(value) => {
                                let value = self.expr(ctx, value)?;
                                Some(self.assign(target, column, value)?.expr)
                            }
                        };
                        values.push((column, value));
                    }
                }
                let (columns, defaults) = parts(&values);
                Ok((MergeAction::Update { columns, defaults }, values))
            }
            ast::MergeAction::Delete { .. } if of_match => Ok((MergeAction::Delete, Vec::new())),
            ast::MergeAction::Insert(insert) if !of_match => {
                let ast::MergeInsertKind::Values(rows) = &insert.kind else {
                    return Err(unsupported("INSERT ROW", None));
                };
                let [row] = rows.rows.as_slice() else {
                    return Err(unsupported("several rows in MERGE", None));
                };
                let mut columns = Vec::new();
                for name in &insert.columns {
                    let at = self.at(name);
                    let name = name
                        .0
                        .last()
                        .and_then(|part| part.as_ident())
                        .map(fold)
                        .unwrap_or_default();
                    columns.push(self.target_column(target, &name, at)?);
                }
                let named = !columns.is_empty();
                if !named {
                    columns = (0..target.columns.len()).collect();
                }
                super::dml::check_width(&mut columns, named, row.content.len(), None)?;
                let mut values: Values = Vec::new();
                for (column, value) in columns.into_iter().zip(&row.content) {
                    let value = if is_default(value) {
                        None
                    } else {
                        let value = self.expr(ctx, value)?;
                        Some(self.assign(target, column, value)?.expr)
                    };
                    values.push((column, value));
                }
                let (columns, _) = parts(&values);
                Ok((MergeAction::Insert { columns }, values))
            }
            ast::MergeAction::Update(_) => Err(misplaced("UPDATE")),
            ast::MergeAction::Delete { .. } => Err(misplaced("DELETE")),
            ast::MergeAction::Insert(_) => Err(misplaced("INSERT")),
        }
    }
}

/// The column of the source that says which clause applies.
const ACTION: &str = "action";

/// The columns with values, and those that take their defaults.
fn parts(values: &Values) -> (Vec<usize>, Vec<usize>) {
    let (given, defaults): (Vec<_>, Vec<_>) = values.iter().partition(|(_, value)| value.is_some());
    let columns = |values: Vec<&(usize, Option<Expr>)>| {
        values.into_iter().map(|(column, _)| *column).collect()
    };
    (columns(given), columns(defaults))
}

/// The parser knows no DO NOTHING here: it sees an update of a column that no table has.
fn does_nothing(update: &ast::MergeUpdateExpr) -> bool {
    matches!(
        update.assignments.as_slice(),
        [ast::Assignment { target: ast::AssignmentTarget::ColumnName(name), .. }]
            if name.0.last().and_then(|part| part.as_ident()).is_some_and(|name| name.value == NOTHING)
    )
}
