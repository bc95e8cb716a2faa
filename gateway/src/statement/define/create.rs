//! CREATE TABLE: a node type, or an edge type if `src` and `dst` reference tables.

use std::collections::BTreeMap;

use omnigraph_engine::schema::Schema;
use omnigraph_engine::schema::edit::Editor;
use sqlparser::ast::{self, ReferentialAction, TableConstraint};

use super::columns::{Column, check_unsupported, named};
use super::names::{property_name, type_name};
use super::{Edited, parts, skipping, undefined, unsupported};
use crate::error::{PgError, PgResult, Severity};
use crate::sqlstate;
use crate::statement::parse::fold;

const ENDS: [&str; 2] = ["src", "dst"];

pub(super) fn create(table: &ast::CreateTable, schema: &Schema) -> PgResult<Edited> {
    refuse_foreign(table)?;
    let (_, name) = parts(&table.name)?;
    let mut edited = Edited::default();
    if schema.table(&name).is_some() {
        let message = format!("relation \"{name}\" already exists");
        if !table.if_not_exists {
            return Err(PgError::new(sqlstate::DUPLICATE_TABLE, message));
        }
        edited
            .notices
            .push(skipping(sqlstate::DUPLICATE_TABLE, message));
        return Ok(edited);
    }
    let columns = table.columns.iter().map(Column::of);
    let mut columns = columns.collect::<PgResult<Vec<_>>>()?;
    let mut rules = Rules::of(table, &columns)?;
    let ends = rules.ends(schema)?;
    let is_edge = ends.is_some();
    let id = columns.iter().find(|column| column.name == "id");
    if let Some(id) = id {
        rules.refuse_foreign_id(id, is_edge)?;
    }
    if let Some((column, _)) = rules.references.first_key_value() {
        return Err(unsupported(
            &format!("a foreign key on column \"{column}\""),
            "Rows are connected by edges: CREATE TABLE a_b (src text REFERENCES a, dst text REFERENCES b).",
        ));
    }
    if is_edge && !rules.key.is_empty() {
        return Err(unsupported(
            "a primary key of an edge other than its id",
            "Use UNIQUE.",
        ));
    }

    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    let mut body = Vec::new();
    for column in &mut columns {
        let in_key = rules.key.contains(&column.name);
        column.required |= in_key;
        // A key of several columns is said of all of them together, below.
        column.primary = in_key && rules.key.len() == 1;
    }
    for column in &columns {
        let system = column.name == "id" || (is_edge && ENDS.contains(&column.name.as_str()));
        if system {
            continue;
        }
        let declared = property_name(&column.name, |taken| {
            names.values().any(|name| name == taken)
        });
        body.push(column.property(&declared));
        names.insert(&column.name, declared.name);
    }
    let property = |column: &String| {
        if is_edge && ENDS.contains(&column.as_str()) {
            return Ok(format!("@{column}"));
        }
        names.get(column.as_str()).cloned().ok_or_else(|| {
            let message = format!("column \"{column}\" named in key does not exist");
            PgError::new(sqlstate::UNDEFINED_COLUMN, message)
        })
    };
    let tuple = |columns: &[String]| -> PgResult<String> {
        let names: Vec<String> = columns.iter().map(property).collect::<PgResult<_>>()?;
        Ok(names.join(", "))
    };
    if rules.key.len() > 1 {
        body.push(format!("@key({})", tuple(&rules.key)?));
    } else if let Some(key) = rules.key.first() {
        property(key)?;
    }
    for unique in &rules.uniques {
        body.push(format!("@unique({})", tuple(unique)?));
    }
    let declared = type_name(&name, schema);
    let (head, notice) = match &ends {
        None => (format!("node {}", declared.name), None),
        Some([from, to]) => (
            format!("edge {}: {from} -> {to}", declared.name),
            Some(format!(
                "rows of table \"{name}\" are deleted with the rows that they connect"
            )),
        ),
    };
    let body = match body.is_empty() {
        true => " {}".to_owned(),
        false => format!(" {{\n    {}\n}}", body.join("\n    ")),
    };
    let mut editor = Editor::new(schema);
    editor.add_type(&format!("{head}{}{body}", declared.annotation()));
    edited.source = Some(editor.source().to_owned());
    edited.notices.extend(notice.map(|message| PgError {
        severity: Severity::Notice,
        ..PgError::new(sqlstate::SUCCESSFUL_COMPLETION, message)
    }));
    Ok(edited)
}

/// What is said of columns, by the columns and after them.
struct Rules<'a> {
    key: Vec<String>,
    uniques: Vec<Vec<String>>,
    references: BTreeMap<String, &'a ast::ForeignKeyConstraint>,
}

impl<'a> Rules<'a> {
    fn of(table: &'a ast::CreateTable, columns: &[Column<'a>]) -> PgResult<Self> {
        let mut keys: Vec<Vec<String>> = columns
            .iter()
            .filter(|column| column.primary)
            .map(|column| vec![column.name.clone()])
            .collect();
        let mut rules = Rules {
            key: Vec::new(),
            uniques: Vec::new(),
            references: columns
                .iter()
                .filter_map(|column| Some((column.name.clone(), column.references?)))
                .collect(),
        };
        for constraint in &table.constraints {
            match constraint {
                TableConstraint::PrimaryKey(key) => keys.push(named(&key.columns)?),
                TableConstraint::Unique(unique) => rules.uniques.push(named(&unique.columns)?),
                TableConstraint::ForeignKey(key) => {
                    let [column] = key.columns.as_slice() else {
                        return Err(unsupported(
                            "a foreign key of several columns",
                            "Edges are found by the id of the rows they connect.",
                        ));
                    };
                    rules.references.insert(fold(column), key);
                }
                TableConstraint::Check(_) => return Err(check_unsupported()),
                other => {
                    return Err(unsupported(
                        &format!("\"{other}\""),
                        "Use UNIQUE or PRIMARY KEY.",
                    ));
                }
            }
        }
        if keys.len() > 1 {
            return Err(PgError::new(
                sqlstate::INVALID_TABLE_DEFINITION,
                format!(
                    "multiple primary keys for table \"{}\" are not allowed",
                    table.name
                ),
            ));
        }
        rules.key = keys.pop().unwrap_or_default();
        let mut seen: Vec<&str> = Vec::new();
        for column in columns {
            if seen.contains(&column.name.as_str()) {
                return Err(PgError::new(
                    sqlstate::DUPLICATE_COLUMN,
                    format!("column \"{}\" specified more than once", column.name),
                ));
            }
            seen.push(&column.name);
        }
        Ok(rules)
    }

    /// The node types that an edge connects; its references are taken out.
    fn ends(&mut self, schema: &Schema) -> PgResult<Option<[String; 2]>> {
        if !ENDS.iter().all(|end| self.references.contains_key(*end)) {
            return Ok(None);
        }
        let mut end = |column: &str| -> PgResult<String> {
            let key = self
                .references
                .remove(column)
                .ok_or_else(|| undefined(column))?;
            let (_, table) = parts(&key.foreign_table)?;
            let def = schema.table(&table).ok_or_else(|| undefined(&table))?;
            if def.is_edge() {
                return Err(unsupported(
                    &format!("an edge to table \"{table}\", which has edges itself"),
                    "Edges connect nodes.",
                ));
            }
            let cascades = matches!(
                key.on_delete,
                None | Some(ReferentialAction::Cascade | ReferentialAction::NoAction)
            );
            if !cascades || key.on_update.is_some() {
                return Err(unsupported(
                    "another action than ON DELETE CASCADE",
                    "Edges are deleted with the rows that they connect.",
                ));
            }
            Ok(def.name.clone())
        };
        Ok(Some([end(ENDS[0])?, end(ENDS[1])?]))
    }

    /// `id` is the system's own, a text. It may be written down as what it is.
    fn refuse_foreign_id(&mut self, id: &Column<'_>, is_edge: bool) -> PgResult<()> {
        let own = self.key.is_empty() && is_edge || self.key == ["id"];
        if !id.is_text() || !own {
            return Err(unsupported(
                "a column \"id\" other than id text PRIMARY KEY",
                "Every table has an id of type text, made for rows that are inserted without one. Call the column something else, and make it the PRIMARY KEY if it tells rows apart.",
            ));
        }
        self.key.clear();
        Ok(())
    }
}

/// What other databases' parsers let through, and what PostgreSQL has beyond tables.
fn refuse_foreign(table: &ast::CreateTable) -> PgResult<()> {
    let what = if table.temporary {
        "CREATE TEMPORARY TABLE"
    } else if table.query.is_some() {
        "CREATE TABLE AS"
    } else if table.like.is_some() {
        "CREATE TABLE LIKE"
    } else if table.partition_of.is_some() || table.partition_by.is_some() {
        "a partitioned table"
    } else if table.inherits.is_some() {
        "INHERITS"
    } else {
        return Ok(());
    };
    Err(unsupported(
        what,
        "Declare the columns of the table, and fill it by INSERT.",
    ))
}
