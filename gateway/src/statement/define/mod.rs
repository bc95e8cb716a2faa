//! CREATE, ALTER and DROP of tables and indexes: a change to the text of the branch's schema, which
//! becomes a migration of its own commit. What SQL can say of a table and a schema cannot is
//! refused with what to do instead.

mod alter;
mod columns;
mod create;
mod drop;
mod index;
mod names;

use omnigraph_engine::Error;
use omnigraph_engine::schema::{Schema, SchemaErrors};
use sqlparser::ast;

use super::done;
use super::parse::fold;
use crate::error::{PgError, PgResult, Severity};
use crate::session::Session;
use crate::session::protocol::{Execution, Place};
use crate::sqlstate;

/// How often a statement is made again of a schema that changed meanwhile.
const ATTEMPTS: usize = 10;

/// What a statement makes of a schema.
#[derive(Debug, Default)]
struct Edited {
    /// `None`: there is nothing to do.
    source: Option<String>,
    notices: Vec<PgError>,
}

impl Session {
    pub(crate) async fn define(
        &mut self,
        statement: &ast::Statement,
        place: Place,
    ) -> PgResult<Execution> {
        let tag = tag(statement);
        let attached = self.attached()?.clone();
        self.refuse_read_only()?;
        self.refuse_block(tag, place)?;
        if attached.access.is_managed() {
            return Err(PgError::new(
                sqlstate::INSUFFICIENT_PRIVILEGE,
                format!("{tag} is not allowed: the schema of this graph is declared in a cluster"),
            )
            .hint("Edit the graph's .pg file and run \"omnigraph cluster apply\"."));
        }
        let branch = match schema_of(statement)? {
            Some(schema) => Session::branch_name(&schema)?,
            None => self.branch().await?,
        };
        let message = self.commit_message().message;
        for _ in 0..ATTEMPTS {
            let snapshot = attached.access.snapshot(branch.as_str()).await?;
            let schema = snapshot.schema();
            let edited = edit(statement, schema)?;
            if let Some(source) = &edited.source {
                let migrated = attached
                    .access
                    .migrate_over(&branch, schema, source, message.clone())
                    .await;
                match migrated {
                    Ok(migrated) => self.committed(migrated.commit.as_ref()),
                    Err(Error::Conflict { .. }) => continue,
                    Err(error) => return Err(told(error)),
                }
            }
            for notice in edited.notices {
                self.notice(notice);
            }
            return Ok(done(tag));
        }
        Err(PgError::new(
            sqlstate::SERIALIZATION_FAILURE,
            "the schema changed again and again while the statement ran",
        )
        .hint("Run it again."))
    }
}

/// What a schema cannot become, without the place in a text that the client never saw.
fn told(error: Error) -> PgError {
    match error {
        Error::Invalid { message, hint, .. } => PgError {
            hint,
            ..PgError::new(
                sqlstate::INVALID_TABLE_DEFINITION,
                SchemaErrors::without_place(&message),
            )
        },
        other => other.into(),
    }
}

fn tag(statement: &ast::Statement) -> &'static str {
    match statement {
        ast::Statement::CreateTable(_) => "CREATE TABLE",
        ast::Statement::AlterTable(_) => "ALTER TABLE",
        ast::Statement::CreateIndex(_) => "CREATE INDEX",
        ast::Statement::Drop {
            object_type: ast::ObjectType::Index,
            ..
        } => "DROP INDEX",
        _ => "DROP TABLE",
    }
}

fn edit(statement: &ast::Statement, schema: &Schema) -> PgResult<Edited> {
    match statement {
        ast::Statement::CreateTable(table) => create::create(table, schema),
        ast::Statement::AlterTable(alter) => alter::alter(alter, schema),
        ast::Statement::CreateIndex(index) => index::create(index, schema),
        ast::Statement::Drop {
            object_type: ast::ObjectType::Index,
            if_exists,
            names,
            ..
        } => index::drop(names, *if_exists, schema),
        ast::Statement::Drop {
            if_exists,
            names,
            cascade,
            ..
        } => drop::drop(names, *if_exists, *cascade, schema),
        _ => Err(PgError::new(
            sqlstate::INTERNAL_ERROR,
            "a definition of another kind",
        )),
    }
}

/// The schema that the statement's first table is in, if it says.
fn schema_of(statement: &ast::Statement) -> PgResult<Option<String>> {
    let name = match statement {
        ast::Statement::CreateTable(table) => Some(&table.name),
        ast::Statement::AlterTable(alter) => Some(&alter.name),
        ast::Statement::CreateIndex(index) => Some(&index.table_name),
        ast::Statement::Drop { names, .. } => names.first(),
        _ => None,
    };
    Ok(match name {
        Some(name) => parts(name)?.0,
        None => None,
    })
}

/// The schema and the name of a table.
fn parts(name: &ast::ObjectName) -> PgResult<(Option<String>, String)> {
    let mut parts: Vec<String> = name
        .0
        .iter()
        .filter_map(|part| part.as_ident())
        .map(fold)
        .collect();
    let table = parts.pop().unwrap_or_default();
    match parts.len() {
        0 => Ok((None, table)),
        1 => Ok((parts.pop(), table)),
        _ => Err(PgError::new(
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!("cross-database references are not implemented: \"{name}\""),
        )),
    }
}

fn undefined(table: &str) -> PgError {
    PgError::new(
        sqlstate::UNDEFINED_TABLE,
        format!("relation \"{table}\" does not exist"),
    )
}

fn unsupported(what: &str, hint: &str) -> PgError {
    PgError::new(
        sqlstate::FEATURE_NOT_SUPPORTED,
        format!("{what} is not supported"),
    )
    .hint(hint)
}

fn skipping(code: &'static str, message: String) -> PgError {
    PgError {
        severity: Severity::Notice,
        ..PgError::new(code, format!("{message}, skipping"))
    }
}
