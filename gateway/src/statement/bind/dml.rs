//! INSERT, UPDATE, DELETE: what is to be written, as plans and expressions.

use std::rc::Rc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use omnigraph_catalog::provider::held_type;
use omnigraph_engine::blob::VALUE_TYPE;
use omnigraph_udfs::pg::blob;
use sqlparser::ast;

use super::coerce::{Context, can_coerce, positioned};
use super::expr::Ctx;
use super::from::FromItem;
use super::scope::{Level, Rel, Scope, ScopeColumn, held_expr, internal};
use super::subquery::apply_all;
use super::typed::Typed;
use super::types::type_name;
use super::{
    Binder, BoundDelete, BoundInsert, BoundUpdate, ConflictTarget, InsertDefault, OnConflict,
    OnConflictAction, OutputColumn, Relation, RelationKind, Returning, Subqueries, planned,
    unsupported,
};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

impl Binder<'_> {
    pub(super) fn insert(&mut self, insert: &ast::Insert) -> PgResult<BoundInsert> {
        let ast::TableObject::TableName(name) = &insert.table else {
            return Err(unsupported(
                "INSERT into something that is not a table",
                None,
            ));
        };
        let at = self.at(name);
        let target = self.target(name)?;
        let alias = insert
            .table_alias
            .as_ref()
            .map_or_else(|| target.name.clone(), |alias| fold(&alias.alias));
        let mut columns: Vec<usize> = Vec::new();
        for column in &insert.columns {
            let at = self.at(column);
            let name = column
                .0
                .last()
                .and_then(|part| part.as_ident())
                .map(fold)
                .unwrap_or_default();
            let found = self.target_column(&target, &name, at)?;
            if columns.contains(&found) {
                return Err(positioned(
                    PgError::new(
                        sqlstate::DUPLICATE_COLUMN,
                        format!("column \"{name}\" specified more than once"),
                    ),
                    at,
                ));
            }
            columns.push(found);
        }
        let named = !columns.is_empty();
        if !named {
            columns = (0..target.columns.len()).collect();
        }
        let level = Rc::new(Level::default());
        let mut defaults = Vec::new();
        let (source, columns) = match &insert.source {
            None => {
                // DEFAULT VALUES.
                (
                    planned(LogicalPlanBuilder::empty(true).build())?,
                    Vec::new(),
                )
            }
            Some(query) => {
                let rows = match query.body.as_ref() {
                    ast::SetExpr::Values(values)
                        if query.with.is_none()
                            && query.order_by.is_none()
                            && query.limit_clause.is_none() =>
                    {
                        Some(values)
                    }
                    _ => None,
                };
                match rows {
                    Some(values) => self.insert_values(
                        &target,
                        columns,
                        named,
                        values,
                        &level,
                        &mut defaults,
                        at,
                    )?,
                    None => self.insert_query(&target, columns, named, query, &level, at)?,
                }
            }
        };
        let on_conflict = match &insert.on {
            None => None,
            Some(ast::OnInsert::OnConflict(conflict)) => {
                Some(self.on_conflict(&target, &alias, conflict)?)
            }
            Some(_) => return Err(unsupported("ON DUPLICATE KEY UPDATE", at)),
        };
        let returning = match &insert.returning {
            None => None,
            Some(items) => Some(self.returning(&target, &alias, items, Vec::new(), Vec::new())?),
        };
        Ok(BoundInsert {
            columns,
            defaults,
            source,
            on_conflict,
            returning,
            params: self.parameter_types()?,
            reads: self.reads_without(&target),
            volatile: self.volatile,
            target,
        })
    }

    /// A table that may be written: 42809 for catalogs.
    fn target(&mut self, name: &ast::ObjectName) -> PgResult<Relation> {
        let at = self.at(name);
        let mut parts: Vec<String> = name
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(fold)
            .collect();
        let table = parts.pop().unwrap_or_default();
        let schema = parts.pop();
        let relation = self.relation(schema.as_deref(), &table, at)?;
        if relation.kind == RelationKind::Catalog {
            let error = PgError::new(
                sqlstate::INSUFFICIENT_PRIVILEGE,
                format!("permission denied: \"{table}\" is a system catalog"),
            );
            return Err(positioned(error, at));
        }
        Ok(relation)
    }

    pub(super) fn reads_without(&mut self, target: &Relation) -> Vec<super::TableUse> {
        let mut reads = std::mem::take(&mut self.reads);
        if let Some(at) = reads.iter().position(|used| used.oid == target.oid) {
            reads.remove(at);
        }
        reads
    }

    pub(super) fn target_column(
        &self,
        target: &Relation,
        name: &str,
        at: Option<u32>,
    ) -> PgResult<usize> {
        target
            .columns
            .iter()
            .position(|column| column.name == name)
            .ok_or_else(|| {
                positioned(
                    PgError::new(
                        sqlstate::UNDEFINED_COLUMN,
                        format!(
                            "column \"{name}\" of relation \"{}\" does not exist",
                            target.name
                        ),
                    ),
                    at,
                )
            })
    }

    /// What stands left of an assignment's `=`: a column's name, never its table's before it.
    fn assigned_column(&self, target: &Relation, name: &ast::ObjectName) -> PgResult<usize> {
        let at = self.at(name);
        let parts: Vec<String> = name
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(fold)
            .collect();
        let first = parts.first().map_or("", String::as_str);
        let found = self.target_column(target, first, at);
        let Some(field) = parts.get(1) else {
            return found;
        };
        let column = found.map_err(|error| {
            error.hint("SET target columns cannot be qualified with the relation name.")
        })?;
        let ty = super::types::type_name(target.columns[column].ty);
        let error = PgError::new(
            sqlstate::DATATYPE_MISMATCH,
            format!(
                "cannot assign to field \"{field}\" of column \"{first}\" because its type {ty} is not a composite type"
            ),
        );
        Err(positioned(error, at))
    }

    /// A value as a column's type, by an assignment cast: 42804 if there is none.
    pub(super) fn assign(
        &mut self,
        target: &Relation,
        column: usize,
        value: Typed,
    ) -> PgResult<Typed> {
        let to = target.columns[column].ty;
        if !value.is_unknown() && !can_coerce(value.ty.oid, to.oid, Context::Assignment) {
            let error = PgError::new(
                sqlstate::DATATYPE_MISMATCH,
                format!(
                    "column \"{}\" is of type {} but expression is of type {}",
                    target.columns[column].name,
                    type_name(to),
                    type_name(value.ty)
                ),
            )
            .hint("You will need to rewrite or cast the expression.");
            return Err(positioned(error, value.at));
        }
        let value = self.coerce(value, to, Context::Assignment)?;
        Ok(match held_type(to) == VALUE_TYPE {
            true => Typed {
                expr: blob::stored(value.expr),
                ..value
            },
            false => value,
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one INSERT … VALUES"
    )]
    fn insert_values(
        &mut self,
        target: &Relation,
        mut columns: Vec<usize>,
        named: bool,
        values: &ast::Values,
        level: &Rc<Level>,
        defaults: &mut Vec<InsertDefault>,
        at: Option<u32>,
    ) -> PgResult<(datafusion::logical_expr::LogicalPlan, Vec<usize>)> {
        let width = values.rows.first().map_or(0, |row| row.content.len());
        check_width(&mut columns, named, width, at)?;
        let scope = Scope::new(Vec::new(), Vec::new(), Rc::clone(level), None);
        let mut ctx = Ctx::new(scope, "VALUES");
        let mut rows = Vec::with_capacity(values.rows.len());
        let mut default_rows: Vec<Vec<usize>> = vec![Vec::new(); width];
        for (number, row) in values.rows.iter().enumerate() {
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
            let mut exprs = Vec::with_capacity(width);
            for (place, value) in row.content.iter().enumerate() {
                let column = columns[place];
                if is_default(value) {
                    default_rows[place].push(number);
                    exprs.push(null_of(target, column)?);
                    continue;
                }
                let value = self.expr(&mut ctx, value)?;
                exprs.push(self.assign(target, column, value)?.expr);
            }
            rows.push(exprs);
        }
        defaults.extend(
            default_rows
                .into_iter()
                .enumerate()
                .filter(|(_, rows)| !rows.is_empty())
                .map(|(column, rows)| InsertDefault { column, rows }),
        );
        let types: Vec<DataType> = columns
            .iter()
            .map(|column| held_type(target.columns[*column].ty))
            .collect();
        if ctx.applies.is_empty() {
            let (plan, _) = self.values_plan(rows, &types)?;
            return Ok((plan, columns));
        }
        // Subqueries among the values: they are computed once, beside one row each.
        let base = apply_all(
            planned(LogicalPlanBuilder::empty(true).build())?,
            ctx.applies,
        )?;
        let names: Vec<String> = types.iter().map(|_| self.name("v")).collect();
        let mut inputs = Vec::new();
        for row in rows {
            let exprs: Vec<Expr> = row
                .into_iter()
                .zip(&names)
                .map(|(expr, name)| expr.alias(name))
                .collect();
            inputs.push(std::sync::Arc::new(planned(
                LogicalPlanBuilder::from(base.clone())
                    .project(exprs)
                    .and_then(LogicalPlanBuilder::build),
            )?));
        }
        let plan = match <[_; 1]>::try_from(inputs) {
            Ok([one]) => std::sync::Arc::unwrap_or_clone(one),
            Err(inputs) => datafusion::logical_expr::LogicalPlan::Union(planned(
                datafusion::logical_expr::Union::try_new_with_loose_types(inputs),
            )?),
        };
        Ok((plan, columns))
    }

    fn insert_query(
        &mut self,
        target: &Relation,
        mut columns: Vec<usize>,
        named: bool,
        query: &ast::Query,
        level: &Rc<Level>,
        at: Option<u32>,
    ) -> PgResult<(datafusion::logical_expr::LogicalPlan, Vec<usize>)> {
        let body = self.open_query(query, level, None)?;
        check_width(&mut columns, named, body.targets.len(), at)?;
        let mut exprs = Vec::with_capacity(columns.len());
        for (column, item) in columns.iter().zip(body.targets) {
            let value = self.assign(target, *column, item.value)?;
            exprs.push(value.expr.alias(self.name("v")));
        }
        let plan = planned(
            LogicalPlanBuilder::from(body.plan)
                .project(exprs)
                .and_then(LogicalPlanBuilder::build),
        )?;
        Ok((plan, columns))
    }

    fn on_conflict(
        &mut self,
        target: &Relation,
        alias: &str,
        conflict: &ast::OnConflict,
    ) -> PgResult<OnConflict> {
        let conflict_target = match &conflict.conflict_target {
            None => None,
            Some(ast::ConflictTarget::Columns(names)) => {
                let mut columns = Vec::new();
                for name in names {
                    columns.push(self.target_column(
                        target,
                        &fold(name),
                        self.positions.of_span(name.span),
                    )?);
                }
                columns.sort_unstable();
                columns.dedup();
                Some(ConflictTarget::Columns(columns))
            }
            Some(ast::ConflictTarget::OnConstraint(name)) => Some(ConflictTarget::Constraint(
                name.0
                    .last()
                    .and_then(|part| part.as_ident())
                    .map(fold)
                    .unwrap_or_default(),
            )),
        };
        let action = match &conflict.action {
            ast::OnConflictAction::DoNothing => OnConflictAction::DoNothing,
            ast::OnConflictAction::DoUpdate(update) => {
                if conflict_target.is_none() {
                    return Err(PgError::new(
                        sqlstate::SYNTAX_ERROR,
                        "ON CONFLICT DO UPDATE requires inference specification or constraint name",
                    )
                    .hint("For example, ON CONFLICT (column_name)."));
                }
                let existing = written_row(target, alias, "t");
                let excluded = written_row(target, "excluded", "x");
                // An unqualified name is the row that is there.
                let visible = existing.columns.clone();
                let scope = Scope::new(
                    vec![existing, excluded],
                    visible,
                    Rc::new(Level::default()),
                    None,
                );
                let mut assignments = Vec::new();
                let mut ctx = Ctx::new(scope, "UPDATE");
                for assignment in &update.assignments {
                    for (column, value) in self.assignment_pairs(target, assignment)? {
                        let Some(value) = value else {
                            return Err(unsupported("DEFAULT in ON CONFLICT DO UPDATE", None));
                        };
                        let value = self.expr(&mut ctx, value)?;
                        assignments.push((column, self.assign(target, column, value)?.expr));
                    }
                }
                let condition = match &update.selection {
                    None => None,
                    Some(condition) => {
                        ctx.clause = "WHERE";
                        Some(self.condition(&mut ctx, condition, "WHERE")?)
                    }
                };
                OnConflictAction::DoUpdate {
                    assignments,
                    condition,
                    subqueries: Subqueries::new(ctx.applies),
                }
            }
        };
        Ok(OnConflict {
            target: conflict_target,
            action,
        })
    }

    /// The columns an assignment sets and to what; `None` is DEFAULT.
    pub(super) fn assignment_pairs<'a>(
        &self,
        target: &Relation,
        assignment: &'a ast::Assignment,
    ) -> PgResult<Vec<(usize, Option<&'a ast::Expr>)>> {
        let column = |name: &ast::ObjectName| self.assigned_column(target, name);
        let value = |expr: &'a ast::Expr| if is_default(expr) { None } else { Some(expr) };
        match &assignment.target {
            ast::AssignmentTarget::ColumnName(name) => {
                Ok(vec![(column(name)?, value(&assignment.value))])
            }
            ast::AssignmentTarget::Tuple(names) => {
                let values: Vec<&ast::Expr> = match &assignment.value {
                    ast::Expr::Tuple(values) => values.iter().collect(),
                    ast::Expr::Nested(inner) => vec![inner.as_ref()],
                    ast::Expr::Function(function)
                        if function.name.to_string().eq_ignore_ascii_case("row") =>
                    {
                        match &function.args {
                            ast::FunctionArguments::List(list) => list
                                .args
                                .iter()
                                .filter_map(|arg| match arg {
                                    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => {
                                        Some(expr)
                                    }
                                    _ => None,
                                })
                                .collect(),
                            _ => Vec::new(),
                        }
                    }
                    other => {
                        return Err(unsupported(
                            "an assignment of a subquery to several columns",
                            self.at(other),
                        ));
                    }
                };
                if values.len() != names.len() {
                    return Err(PgError::new(
                        sqlstate::SYNTAX_ERROR,
                        "number of columns does not match number of values",
                    ));
                }
                names
                    .iter()
                    .zip(values)
                    .map(|(name, expr)| Ok((column(name)?, value(expr))))
                    .collect()
            }
        }
    }

    pub(super) fn update(&mut self, update: &ast::Update) -> PgResult<BoundUpdate> {
        let (target, alias, item) = self.written_table(&update.table)?;
        let level = Rc::new(Level::default());
        let from = match &update.from {
            None => &[][..],
            Some(
                ast::UpdateTableFromKind::BeforeSet(from)
                | ast::UpdateTableFromKind::AfterSet(from),
            ) => from.as_slice(),
        };
        let columns = item
            .rels
            .first()
            .map(|rel| rel.columns.clone())
            .unwrap_or_default();
        let joined = self.beside(item, from, &level)?;
        let scope = Scope::new(
            joined.rels.clone(),
            joined.visible.clone(),
            Rc::clone(&level),
            None,
        );
        let mut ctx = Ctx::new(Rc::clone(&scope), "UPDATE");
        let mut assigned: Vec<usize> = Vec::new();
        let mut values = Vec::new();
        let mut defaults = Vec::new();
        for assignment in &update.assignments {
            for (column, value) in self.assignment_pairs(&target, assignment)? {
                if assigned.contains(&column) {
                    return Err(PgError::new(
                        sqlstate::SYNTAX_ERROR,
                        format!(
                            "multiple assignments to same column \"{}\"",
                            target.columns[column].name
                        ),
                    ));
                }
                values.push(match value {
                    None => {
                        defaults.push(assigned.len());
                        null_of(&target, column)?
                    }
                    Some(value) => {
                        let value = self.expr(&mut ctx, value)?;
                        self.assign(&target, column, value)?.expr
                    }
                });
                assigned.push(column);
            }
        }
        let mut plan = self.restricted(joined.plan.clone(), &scope, update.selection.as_ref())?;
        plan = apply_all(plan, ctx.applies)?;
        let others = other_columns(&joined, &alias);
        let mut exprs = old_row(&columns);
        exprs.extend(
            values
                .into_iter()
                .enumerate()
                .map(|(at, value)| value.alias(format!("n{at}"))),
        );
        let returning = match &update.returning {
            None => None,
            Some(items) => {
                exprs.extend(others.1.iter().cloned());
                let own_first = self.returning(&target, &alias, items, others.0, others.2)?;
                Some(own_first)
            }
        };
        let source = planned(
            LogicalPlanBuilder::from(plan)
                .project(exprs)
                .and_then(LogicalPlanBuilder::build),
        )?;
        Ok(BoundUpdate {
            assigned,
            source,
            defaults,
            returning,
            params: self.parameter_types()?,
            reads: self.reads_without(&target),
            volatile: self.volatile,
            target,
        })
    }

    pub(super) fn delete(&mut self, delete: &ast::Delete) -> PgResult<BoundDelete> {
        let (ast::FromTable::WithFromKeyword(tables) | ast::FromTable::WithoutKeyword(tables)) =
            &delete.from;
        let [table] = tables.as_slice() else {
            return Err(unsupported("DELETE from several tables", None));
        };
        let (target, alias, item) = self.written_table(table)?;
        let level = Rc::new(Level::default());
        let columns = item
            .rels
            .first()
            .map(|rel| rel.columns.clone())
            .unwrap_or_default();
        let joined = self.beside(item, delete.using.as_deref().unwrap_or_default(), &level)?;
        let scope = Scope::new(joined.rels.clone(), joined.visible.clone(), level, None);
        let plan = self.restricted(joined.plan.clone(), &scope, delete.selection.as_ref())?;
        let mut exprs = old_row(&columns);
        let returning = match &delete.returning {
            None => None,
            Some(items) => {
                let others = other_columns(&joined, &alias);
                exprs.extend(others.1);
                Some(self.returning(&target, &alias, items, others.0, others.2)?)
            }
        };
        let source = planned(
            LogicalPlanBuilder::from(plan)
                .project(exprs)
                .and_then(LogicalPlanBuilder::build),
        )?;
        Ok(BoundDelete {
            source,
            returning,
            params: self.parameter_types()?,
            reads: self.reads_without(&target),
            volatile: self.volatile,
            target,
        })
    }

    pub(super) fn written_table(
        &mut self,
        table: &ast::TableWithJoins,
    ) -> PgResult<(Relation, String, FromItem)> {
        let ast::TableFactor::Table { name, alias, .. } = &table.relation else {
            return Err(unsupported(
                "writing to something that is not a table",
                None,
            ));
        };
        if !table.joins.is_empty() {
            return Err(unsupported(
                "a join as the target of a write",
                self.at(name),
            ));
        }
        let target = self.target(name)?;
        let mut item = self.scan(&target)?;
        let alias = alias
            .as_ref()
            .map_or_else(|| target.name.clone(), |alias| fold(&alias.name));
        if let Some(rel) = item.rels.first_mut()
            && rel.alias != alias
        {
            rel.alias.clone_from(&alias);
            rel.schema = None;
        }
        Ok((target, alias, item))
    }

    /// The target beside what FROM or USING names.
    fn beside(
        &mut self,
        target: FromItem,
        from: &[ast::TableWithJoins],
        level: &Rc<Level>,
    ) -> PgResult<FromItem> {
        if from.is_empty() {
            return Ok(target);
        }
        let others = self.from(from, level, None)?;
        let plan = planned(
            LogicalPlanBuilder::from(target.plan)
                .cross_join(others.plan)
                .and_then(LogicalPlanBuilder::build),
        )?;
        let mut joined = FromItem {
            plan,
            rels: target.rels,
            visible: target.visible,
        };
        joined.rels.extend(others.rels);
        joined.visible.extend(others.visible);
        Ok(joined)
    }

    fn restricted(
        &mut self,
        plan: datafusion::logical_expr::LogicalPlan,
        scope: &Rc<Scope>,
        condition: Option<&ast::Expr>,
    ) -> PgResult<datafusion::logical_expr::LogicalPlan> {
        let Some(condition) = condition else {
            return Ok(plan);
        };
        let mut ctx = Ctx::new(Rc::clone(scope), "WHERE");
        let condition = self.condition(&mut ctx, condition, "WHERE")?;
        let plan = apply_all(plan, ctx.applies)?;
        planned(
            LogicalPlanBuilder::from(plan)
                .filter(condition)
                .and_then(LogicalPlanBuilder::build),
        )
    }

    fn returning(
        &mut self,
        target: &Relation,
        alias: &str,
        items: &[ast::SelectItem],
        other_rels: Vec<Rel>,
        other_visible: Vec<ScopeColumn>,
    ) -> PgResult<Returning> {
        let row = written_row(target, alias, "t");
        let mut visible = row.columns.clone();
        visible.extend(other_visible);
        let mut rels = vec![row];
        rels.extend(other_rels);
        let scope = Scope::new(rels, visible, Rc::new(Level::default()), None);
        let mut ctx = Ctx::new(Rc::clone(&scope), "RETURNING");
        let targets = self.target_list(&mut ctx, items, &scope)?;
        let mut returning = Returning {
            exprs: Vec::new(),
            columns: Vec::new(),
            subqueries: Subqueries::new(ctx.applies),
        };
        for item in targets {
            let value = self.settle(item.value)?;
            let (table_oid, attnum) = value.origin.unwrap_or((0, 0));
            returning.exprs.push(value.expr);
            returning.columns.push(OutputColumn {
                name: item.name,
                ty: value.ty,
                table_oid,
                attnum,
            });
        }
        Ok(returning)
    }
}

pub(super) fn check_width(
    columns: &mut Vec<usize>,
    named: bool,
    width: usize,
    at: Option<u32>,
) -> PgResult<()> {
    if width > columns.len() {
        return Err(positioned(
            PgError::new(
                sqlstate::SYNTAX_ERROR,
                "INSERT has more expressions than target columns",
            ),
            at,
        ));
    }
    if width < columns.len() {
        if named {
            return Err(positioned(
                PgError::new(
                    sqlstate::SYNTAX_ERROR,
                    "INSERT has more target columns than expressions",
                ),
                at,
            ));
        }
        columns.truncate(width);
    }
    Ok(())
}

/// NULL, as a table holds it in a column.
pub(super) fn null_of(target: &Relation, column: usize) -> PgResult<Expr> {
    let null = ScalarValue::try_from(&held_type(target.columns[column].ty));
    Ok(Expr::Literal(planned(null)?, None))
}

/// The target's row under the names that the driver gives it: `t0`, `t1`, ….
fn written_row(target: &Relation, alias: &str, prefix: &str) -> Rel {
    Rel {
        alias: alias.to_owned(),
        schema: Some(target.schema.clone()),
        oid: target.oid,
        columns: target
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| ScopeColumn {
                name: column.name.clone(),
                expr: held_expr(internal(&format!("{prefix}{at}")), &held_type(column.ty)),
                ty: column.ty,
                origin: Some((target.oid, column.attnum)),
                fields: Vec::new(),
            })
            .collect(),
        key: Vec::new(),
    }
}

/// What a row has of a column: the reference to a blob, not its bytes.
fn held(expr: &Expr) -> Expr {
    blob::value_within(expr).unwrap_or(expr).clone()
}

pub(super) fn old_row(columns: &[ScopeColumn]) -> Vec<Expr> {
    columns
        .iter()
        .enumerate()
        .map(|(at, column)| held(&column.expr).alias(format!("t{at}")))
        .collect()
}

/// What FROM or USING brought, for RETURNING: tables, columns to carry, visible columns.
fn other_columns(joined: &FromItem, alias: &str) -> (Vec<Rel>, Vec<Expr>, Vec<ScopeColumn>) {
    let own: Vec<&Expr> = joined
        .rels
        .iter()
        .take(1)
        .filter(|rel| rel.alias == alias)
        .flat_map(|rel| rel.columns.iter().map(|column| &column.expr))
        .collect();
    let rels: Vec<Rel> = joined.rels.iter().skip(1).cloned().collect();
    let visible: Vec<ScopeColumn> = joined
        .visible
        .iter()
        .filter(|column| !own.contains(&&column.expr))
        .cloned()
        .collect();
    let mut carried: Vec<Expr> = Vec::new();
    for column in rels.iter().flat_map(|rel| &rel.columns).chain(&visible) {
        let held = held(&column.expr);
        if !carried.contains(&held) {
            carried.push(held);
        }
    }
    (rels, carried, visible)
}

/// The word DEFAULT in the place of a value.
pub(super) fn is_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}
