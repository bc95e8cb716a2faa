//! What a query changes: inserts, updates and deletes, one after the other.

use std::rc::Rc;

use datafusion::logical_expr::Expr as PlanExpr;
use omnigraph_catalog::provider::held_type;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::query::{Change, Expr};
use omnigraph_engine::schema::TypeDef;
use sqlparser::ast;

use super::super::expr::Ctx;
use super::super::scope::{Level, Scope};
use super::super::{
    Binder, Bound, BoundInsert, Execution, OnConflict, OnConflictAction, OutputColumn, TableUse,
    constant,
};
use super::Call;
use super::value::{Names, ident};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse;

/// Changes that are made in one commit. Each sees what those before it did.
#[derive(Debug, Clone)]
pub struct BoundChanges {
    pub steps: Vec<Bound>,
    /// Of the row that says what was done.
    pub columns: Vec<OutputColumn>,
    pub params: Vec<PgType>,
    pub reads: Vec<TableUse>,
    guard: Option<PlanExpr>,
}

impl BoundChanges {
    /// One change that is told like those of a `.gq` query.
    pub(in crate::statement::bind) fn of_step(step: Bound) -> Self {
        BoundChanges {
            columns: summary_columns(),
            params: step.params().to_vec(),
            reads: step.reads().to_vec(),
            steps: vec![step],
            guard: None,
        }
    }

    /// Fails if the query's parameters do not suit.
    pub fn check(&self, execution: &Execution<'_>) -> PgResult<()> {
        match &self.guard {
            Some(guard) => constant(guard, execution).map(drop),
            None => Ok(()),
        }
    }
}

impl Binder<'_> {
    pub(in crate::statement::bind) fn changes(
        &mut self,
        call: &Call,
        changes: &[Change],
    ) -> PgResult<BoundChanges> {
        self.given = call.values.clone();
        self.parts = true;
        let mut steps = Vec::with_capacity(changes.len());
        let mut reads = Vec::new();
        for change in changes {
            let (Change::Insert { ty, .. } | Change::Update { ty, .. } | Change::Delete { ty, .. }) =
                change;
            let schema = std::sync::Arc::clone(&call.graph.schema);
            let def = schema.by_id(*ty).ok_or_else(|| {
                PgError::new(
                    sqlstate::INTERNAL_ERROR,
                    "a change of a type that there is not",
                )
            })?;
            let step = match change {
                Change::Insert { values, .. } => self.gq_insert(call, def, values)?,
                Change::Update {
                    values, condition, ..
                } => self.gq_update(call, def, values, condition)?,
                Change::Delete { condition, .. } => self.gq_delete(call, def, condition)?,
            };
            reads.extend(step.reads().iter().cloned());
            steps.push(step);
        }
        self.parts = false;
        Ok(BoundChanges {
            steps,
            columns: summary_columns(),
            params: self.parameter_types()?,
            reads,
            guard: call.guard.clone(),
        })
    }

    fn gq_insert(
        &mut self,
        call: &Call,
        def: &TypeDef,
        values: &[(String, Expr)],
    ) -> PgResult<Bound> {
        let target = self.relation(Some(call.graph.branch.as_str()), &def.table, call.at)?;
        let scope = Scope::new(Vec::new(), Vec::new(), Rc::new(Level::default()), None);
        let mut ctx = Ctx::new(scope, "VALUES");
        let (mut columns, mut types, mut row) = (Vec::new(), Vec::new(), Vec::new());
        for (name, value) in values {
            let column = self.target_column(&target, name, call.at)?;
            let value = self.gq_value(value, Names::Row)?;
            let value = self.expr(&mut ctx, &value)?;
            row.push(self.assign(&target, column, value)?.expr);
            types.push(held_type(target.columns[column].ty));
            columns.push(column);
        }
        let (source, _) = self.values_plan(vec![row], &types)?;
        let replaces = !def.is_edge() && !def.key.is_empty();
        Ok(Bound::Insert(Box::new(BoundInsert {
            columns,
            defaults: Vec::new(),
            source,
            on_conflict: replaces.then_some(OnConflict {
                target: None,
                action: OnConflictAction::Replace,
            }),
            returning: None,
            params: Vec::new(),
            reads: self.reads_without(&target),
            volatile: false,
            target,
        })))
    }

    fn gq_update(
        &mut self,
        call: &Call,
        def: &TypeDef,
        values: &[(String, Expr)],
        condition: &Expr,
    ) -> PgResult<Bound> {
        let parse::Statement::Update(mut update) = template("UPDATE t SET a = 1")? else {
            return Err(no_template());
        };
        name_table(&mut update.table, call, def);
        update.assignments = values
            .iter()
            .map(|(name, value)| {
                Ok(ast::Assignment {
                    target: ast::AssignmentTarget::ColumnName(super::value::object(name)),
                    value: self.gq_value(value, Names::Row)?,
                })
            })
            .collect::<PgResult<_>>()?;
        update.selection = Some(self.gq_value(condition, Names::Row)?);
        Ok(Bound::Update(Box::new(self.update(&update)?)))
    }

    fn gq_delete(&mut self, call: &Call, def: &TypeDef, condition: &Expr) -> PgResult<Bound> {
        let parse::Statement::Delete(mut delete) = template("DELETE FROM t")? else {
            return Err(no_template());
        };
        let (ast::FromTable::WithFromKeyword(tables) | ast::FromTable::WithoutKeyword(tables)) =
            &mut delete.from;
        for table in tables {
            name_table(table, call, def);
        }
        delete.selection = Some(self.gq_value(condition, Names::Row)?);
        Ok(Bound::Delete(Box::new(self.delete(&delete)?)))
    }
}

/// Of the row that says what was done.
fn summary_columns() -> Vec<OutputColumn> {
    let column = |name: &str, ty| OutputColumn {
        name: name.to_owned(),
        ty,
        table_oid: 0,
        attnum: 0,
    };
    vec![
        column("affected_nodes", PgType::INT8),
        column("affected_edges", PgType::INT8),
        column("commit", PgType::TEXT),
    ]
}

/// A statement to be filled in.
fn template(sql: &str) -> PgResult<parse::Statement> {
    let parsed = parse::parse(sql)?.pop();
    parsed
        .map(|parsed| parsed.statement)
        .ok_or_else(no_template)
}

fn no_template() -> PgError {
    PgError::new(sqlstate::INTERNAL_ERROR, "a statement that is none")
}

fn name_table(table: &mut ast::TableWithJoins, call: &Call, def: &TypeDef) {
    if let ast::TableFactor::Table { name, .. } = &mut table.relation {
        let parts = [call.graph.branch.as_str(), &def.table];
        let parts = parts.map(|part| ast::ObjectNamePart::Identifier(ident(part)));
        *name = ast::ObjectName(parts.to_vec());
    }
}
