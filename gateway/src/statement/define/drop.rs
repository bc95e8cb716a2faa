//! DROP TABLE.

use omnigraph_engine::schema::Schema;
use omnigraph_engine::schema::edit::Editor;
use sqlparser::ast;

use super::{Edited, parts, skipping, undefined, unsupported};
use crate::error::{PgError, PgResult, Severity};
use crate::sqlstate;

pub(super) fn drop(
    names: &[ast::ObjectName],
    if_exists: bool,
    cascade: bool,
    schema: &Schema,
) -> PgResult<Edited> {
    let mut edited = Edited::default();
    let mut dropped = Vec::new();
    let mut schemas = Vec::new();
    for name in names {
        let (schema_name, table) = parts(name)?;
        schemas.push(schema_name);
        if schemas.first() != schemas.last() {
            return Err(unsupported(
                "DROP TABLE of tables in several schemas",
                "A schema is a branch; give one statement for each.",
            ));
        }
        match schema.table(&table) {
            Some(def) => dropped.push(def),
            None if if_exists => edited.notices.push(skipping(
                sqlstate::SUCCESSFUL_COMPLETION,
                format!("table \"{table}\" does not exist"),
            )),
            None => {
                let error = undefined(&table);
                let message = format!("table \"{table}\" does not exist");
                return Err(PgError { message, ..error });
            }
        }
    }
    if dropped.is_empty() {
        return Ok(edited);
    }
    let mut editor = Editor::new(schema);
    for edge in schema.edges() {
        let ends = edge.endpoints().map(|(from, to)| [from, to]);
        let goes = dropped
            .iter()
            .find(|def| ends.is_some_and(|ends| ends.contains(&def.id)));
        let Some(node) = goes.filter(|_| !dropped.iter().any(|def| def.id == edge.id)) else {
            continue;
        };
        if !cascade {
            return Err(PgError::new(
                sqlstate::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot drop table {} because other objects depend on it",
                    node.table
                ),
            )
            .detail(format!(
                "the edges of table {} end at table {}",
                edge.table, node.table
            ))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        edited.notices.push(PgError {
            severity: Severity::Notice,
            ..PgError::new(
                sqlstate::SUCCESSFUL_COMPLETION,
                format!("drop cascades to table {}", edge.table),
            )
        });
        editor.remove_type(&edge.name);
    }
    for def in dropped {
        editor.remove_type(&def.name);
    }
    edited.source = Some(editor.source().to_owned());
    Ok(edited)
}
