//! Tables and WITH queries in FROM.

use std::sync::Arc;

use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use sqlparser::ast;

use super::coerce::positioned;
use super::from::{FromItem, alias_columns};
use super::query::{QueryRel, order_of};
use super::scope::{Rel, ScopeColumn, held_expr, internal};
use super::{Binder, Relation, RelationKind, TableUse, planned};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

impl Binder<'_> {
    pub(super) fn table(
        &mut self,
        name: &ast::ObjectName,
        alias: Option<&ast::TableAlias>,
    ) -> PgResult<FromItem> {
        let at = self.at(name);
        let mut parts: Vec<String> = name
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(fold)
            .collect();
        let table = parts.pop().unwrap_or_default();
        let schema = parts.pop();
        if let Some(database) = parts.pop()
            && database != self.env.database()
        {
            return Err(positioned(
                PgError::new(
                    sqlstate::FEATURE_NOT_SUPPORTED,
                    format!("cross-database references are not implemented: \"{name}\""),
                ),
                at,
            ));
        }
        if schema.is_none()
            && let Some(cte) = self.ctes.iter().rev().find(|cte| cte.name == table)
        {
            let rel = cte.rel.clone().ok_or_else(|| {
                let error = PgError::new(
                    sqlstate::FEATURE_NOT_SUPPORTED,
                    format!("WITH query \"{table}\" does not have a RETURNING clause"),
                );
                positioned(error, at)
            })?;
            let rel = self.fresh_columns(rel)?;
            let name = alias.map_or(table, |alias| fold(&alias.name));
            return self.aliased(rel, &name, alias);
        }
        let relation = self.relation(schema.as_deref(), &table, at)?;
        self.scan_as(&relation, alias)
    }

    pub(super) fn scan_as(
        &mut self,
        relation: &Relation,
        alias: Option<&ast::TableAlias>,
    ) -> PgResult<FromItem> {
        let mut item = self.scan(relation)?;
        if let (Some(alias), Some(rel)) = (alias, item.rels.first_mut()) {
            rel.alias = fold(&alias.name);
            rel.schema = None;
            alias_columns(rel, alias)?;
            item.visible = rel.columns.clone();
        }
        Ok(item)
    }

    /// A relation by name: 42P01 if there is none, 3F000 for an unknown schema.
    pub(super) fn relation(
        &mut self,
        schema: Option<&str>,
        table: &str,
        at: Option<u32>,
    ) -> PgResult<Relation> {
        let found = self
            .env
            .relation(schema, table)
            .map_err(|error| positioned(error, at))?;
        match found {
            Some(relation) => {
                let used = TableUse {
                    at: None,
                    oid: relation.oid,
                    schema: relation.schema.clone(),
                    name: relation.name.clone(),
                    kind: relation.kind,
                };
                if !self.reads.contains(&used) {
                    self.reads.push(used);
                }
                Ok(relation)
            }
            None if table == self.env.database() && self.env.graph(schema)?.is_some() => {
                let error = PgError::new(
                    sqlstate::WRONG_OBJECT_TYPE,
                    format!("cannot open property graph \"{table}\" as a table"),
                );
                let hint = format!("Match a pattern in it: GRAPH_TABLE ({table} MATCH …).");
                Err(positioned(error.hint(hint), at))
            }
            None => {
                let written = match schema {
                    Some(schema) => format!("{schema}.{table}"),
                    None => table.to_owned(),
                };
                Err(positioned(
                    PgError::new(
                        sqlstate::UNDEFINED_TABLE,
                        format!("relation \"{written}\" does not exist"),
                    ),
                    at,
                ))
            }
        }
    }

    /// A scan of a relation, its columns under internal names.
    pub(super) fn scan(&mut self, relation: &Relation) -> PgResult<FromItem> {
        let reference = TableReference::bare(self.name("t"));
        let source = provider_as_source(Arc::clone(&relation.provider));
        let schema = source.schema();
        let scan = planned(LogicalPlanBuilder::scan(reference.clone(), source, None))?;
        let mut exprs = Vec::new();
        let mut columns = Vec::new();
        for (at, column) in relation.columns.iter().enumerate() {
            let field = schema.fields().get(at).ok_or_else(|| {
                PgError::new(
                    sqlstate::INTERNAL_ERROR,
                    format!(
                        "relation \"{}\" has fewer columns than it says",
                        relation.name
                    ),
                )
            })?;
            let name = self.name("c");
            exprs.push(
                Expr::Column(Column::new(Some(reference.clone()), field.name())).alias(&name),
            );
            columns.push(ScopeColumn {
                name: column.name.clone(),
                expr: held_expr(internal(&name), field.data_type()),
                ty: column.ty,
                origin: Some((relation.oid, column.attnum)),
                fields: Vec::new(),
            });
        }
        let key_name = match relation.kind {
            RelationKind::Catalog => "oid",
            RelationKind::Node(_) | RelationKind::Edge(_) => "id",
        };
        let key = columns
            .iter()
            .position(|column| column.name == key_name)
            .into_iter()
            .collect();
        let plan = planned(scan.project(exprs).and_then(LogicalPlanBuilder::build))?;
        let visible = columns.clone();
        let rel = Rel {
            alias: relation.name.clone(),
            schema: Some(relation.schema.clone()),
            oid: relation.oid,
            columns,
            key,
        };
        Ok(FromItem {
            plan,
            rels: vec![rel],
            visible,
        })
    }

    /// A query that is read several times has columns of its own each time.
    fn fresh_columns(&mut self, rel: QueryRel) -> PgResult<QueryRel> {
        let mut exprs = Vec::new();
        let mut columns = Vec::new();
        let mut hidden = Vec::new();
        for column in rel.columns {
            let name = self.name("c");
            exprs.push(internal(&column.column).alias(&name));
            let mut fields = Vec::new();
            for (field, inner, ty) in &column.fields {
                let fresh = self.name("f");
                hidden.push(internal(inner).alias(&fresh));
                fields.push((field.clone(), fresh, *ty));
            }
            columns.push(super::query::QueryColumn {
                column: name,
                fields,
                ..column
            });
        }
        exprs.extend(hidden);
        for sort in order_of(&rel.plan) {
            exprs.push(sort.expr.alias(self.name("k")));
        }
        let plan = planned(
            LogicalPlanBuilder::from(rel.plan)
                .project(exprs)
                .and_then(LogicalPlanBuilder::build),
        )?;
        Ok(QueryRel { plan, columns })
    }
}
