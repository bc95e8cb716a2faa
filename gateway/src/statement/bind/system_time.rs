//! `FOR SYSTEM_TIME AS OF`: a table, or a graph, as it was.
//!
//! The point in time is a reference as text, or a time. It is looked up while the statement
//! is bound, because a table may have had other columns then.

use std::rc::Rc;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::Reference;
use sqlparser::ast;

use super::coerce::{Context, positioned};
use super::expr::Ctx;
use super::from::FromItem;
use super::scope::{Level, Scope};
use super::{Binder, Execution, Relation, TableUse, constant, now_micros, planned, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

impl Binder<'_> {
    pub(super) fn table_as_of(
        &mut self,
        name: &ast::ObjectName,
        version: &ast::TableVersion,
        alias: Option<&ast::TableAlias>,
    ) -> PgResult<FromItem> {
        let at = self.at(name);
        let ast::TableVersion::ForSystemTimeAsOf(expr) = version else {
            return Err(unsupported("this way to name a point in time", at)
                .hint("Use FOR SYSTEM_TIME AS OF."));
        };
        let (reference, when) = self.point_in_time(expr)?;
        let parts: Vec<String> = name
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(fold)
            .collect();
        let (schema, table) = match parts.as_slice() {
            [table] => (None, table),
            [schema, table] => (Some(schema.as_str()), table),
            [database, schema, table] if *database == self.env.database() => {
                (Some(schema.as_str()), table)
            }
            _ => {
                let message = format!("cross-database references are not implemented: \"{name}\"");
                return Err(positioned(
                    PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message),
                    at,
                ));
            }
        };
        let found = self.relation_as_of(schema, table, &reference);
        let Some(relation) = found.map_err(|error| positioned(error, when))? else {
            let message = format!("relation \"{name}\" does not exist as of {reference}");
            return Err(positioned(
                PgError::new(sqlstate::UNDEFINED_TABLE, message),
                at,
            ));
        };
        self.scan_as(&relation, alias)
    }

    /// A table that the statement reads as it was.
    pub(super) fn relation_as_of(
        &mut self,
        schema: Option<&str>,
        table: &str,
        reference: &str,
    ) -> PgResult<Option<Relation>> {
        let Some(relation) = self.env.relation_as_of(schema, table, reference)? else {
            return Ok(None);
        };
        let used = TableUse {
            at: Some(reference.into()),
            oid: relation.oid,
            schema: relation.schema.clone(),
            name: relation.name.clone(),
            kind: relation.kind,
        };
        if !self.reads.contains(&used) {
            self.reads.push(used);
        }
        Ok(Some(relation))
    }

    /// The reference that a constant expression gives, and its place.
    pub(super) fn point_in_time(&mut self, expr: &ast::Expr) -> PgResult<(String, Option<u32>)> {
        let scope = Scope::new(Vec::new(), Vec::new(), Rc::new(Level::default()), None);
        let mut ctx = Ctx::new(scope, "FOR SYSTEM_TIME");
        let value = self.expr(&mut ctx, expr)?;
        let at = value.at;
        let times = [PgType::TIMESTAMPTZ, PgType::TIMESTAMP, PgType::DATE];
        let ty = match times.iter().any(|time| time.oid == value.ty.oid) {
            true => PgType::TIMESTAMPTZ,
            false => PgType::TEXT,
        };
        let value = self.coerce(value, ty, Context::Implicit)?;
        if !ctx.applies.is_empty() || is_open(&value.expr)? {
            return Err(unsupported("a parameter or subquery after AS OF", at)
                .hint("Give a constant, or use SET snapshot."));
        }
        let execution = Execution {
            params: &[],
            transaction_time: self.env.transaction_time(),
            statement_time: now_micros(),
        };
        let reference = match constant(&value.expr, &execution)? {
            ScalarValue::TimestampMicrosecond(Some(micros), _) => Ok(Reference::at(micros)),
            ScalarValue::Utf8(Some(text)) => Reference::parse(&text).map_err(PgError::from),
            _ => Err(PgError::new(
                sqlstate::NULL_VALUE_NOT_ALLOWED,
                "the point in time after AS OF must not be null",
            )),
        };
        let reference = reference.map_err(|error| positioned(error, at))?;
        Ok((reference.to_string(), at))
    }
}

/// Does it hold a parameter of the client's?
fn is_open(expr: &Expr) -> PgResult<bool> {
    let mut open = false;
    planned(expr.apply(|node| {
        if let Expr::Placeholder(placeholder) = node {
            open |= placeholder
                .id
                .trim_start_matches('$')
                .bytes()
                .all(|byte| byte.is_ascii_digit());
        }
        Ok(TreeNodeRecursion::Continue)
    }))?;
    Ok(open)
}
