//! Keys and checks. `NOT NULL` is a check in the standard, and PostgreSQL names it after the
//! OIDs of the schema, the table and the column's number.

use omnigraph_engine::Result;

use crate::pg_catalog::{ConstraintRule, Objects, Row, Rows, TableObject, mark, row};

/// The slot of a branch's namespace.
const NAMESPACE: u32 = crate::pg_catalog::NAMESPACE_SLOT;

fn not_null_name(table: &TableObject, attnum: i32) -> String {
    format!(
        "{}_{}_{attnum}_not_null",
        mark::oid(NAMESPACE),
        mark::oid(table.class)
    )
}

pub fn of_tables(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        for constraint in &table.constraints {
            let kind = match constraint.kind {
                ConstraintRule::Primary { .. } => "PRIMARY KEY",
                ConstraintRule::Unique { .. } => "UNIQUE",
                ConstraintRule::Foreign { .. } => "FOREIGN KEY",
                ConstraintRule::Check(_) => "CHECK",
            };
            let mut entry = of_table(table, &constraint.name, kind);
            entry.extend(row!["nulls_distinct" => (kind == "UNIQUE").then_some("YES")]);
            rows.push(entry)?;
        }
        for (attnum, column) in (1i32..).zip(&table.columns) {
            if column.not_null {
                rows.push(of_table(table, &not_null_name(table, attnum), "CHECK"))?;
            }
        }
    }
    Ok(())
}

fn of_table(table: &TableObject, constraint: &str, kind: &str) -> Row {
    row![
        "constraint_catalog" => mark::DATABASE,
        "constraint_schema" => mark::SCHEMA,
        "constraint_name" => constraint,
        "table_catalog" => mark::DATABASE,
        "table_schema" => mark::SCHEMA,
        "table_name" => &table.name,
        "constraint_type" => kind,
        "is_deferrable" => "NO",
        "initially_deferred" => "NO",
        "enforced" => "YES",
    ]
}

pub fn checks(objects: &Objects, rows: &mut Rows) -> Result<()> {
    let mut push = |name: &str, clause: String| {
        rows.push(row![
            "constraint_catalog" => mark::DATABASE,
            "constraint_schema" => mark::SCHEMA,
            "constraint_name" => name,
            "check_clause" => clause,
        ])
    };
    for table in &objects.tables {
        for constraint in &table.constraints {
            if let ConstraintRule::Check(text) = &constraint.kind {
                push(&constraint.name, format!("({})", text.full))?;
            }
        }
        for (attnum, column) in (1i32..).zip(&table.columns) {
            if column.not_null {
                push(
                    &not_null_name(table, attnum),
                    format!("{} IS NOT NULL", column.name),
                )?;
            }
        }
    }
    Ok(())
}

pub fn key_columns(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        for constraint in &table.constraints {
            let position_in_unique = match constraint.kind {
                ConstraintRule::Check(_) => continue,
                ConstraintRule::Foreign { .. } => Some(1i32),
                _ => None,
            };
            for (position, attnum) in (1i32..).zip(&constraint.columns) {
                rows.push(row![
                    "constraint_catalog" => mark::DATABASE,
                    "constraint_schema" => mark::SCHEMA,
                    "constraint_name" => &constraint.name,
                    "table_catalog" => mark::DATABASE,
                    "table_schema" => mark::SCHEMA,
                    "table_name" => &table.name,
                    "column_name" => name(table, *attnum),
                    "ordinal_position" => position,
                    "position_in_unique_constraint" => position_in_unique,
                ])?;
            }
        }
    }
    Ok(())
}

fn name(table: &TableObject, attnum: i16) -> Option<&str> {
    let at = usize::try_from(attnum).ok()?.checked_sub(1)?;
    table.columns.get(at).map(|column| column.name.as_str())
}

pub fn referential(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        for constraint in &table.constraints {
            let ConstraintRule::Foreign { table: referenced } = constraint.kind else {
                continue;
            };
            let unique = objects.tables[referenced].primary();
            rows.push(row![
                "constraint_catalog" => mark::DATABASE,
                "constraint_schema" => mark::SCHEMA,
                "constraint_name" => &constraint.name,
                "unique_constraint_catalog" => mark::DATABASE,
                "unique_constraint_schema" => mark::SCHEMA,
                "unique_constraint_name" => unique.map(|index| &*index.name),
                "match_option" => "NONE",
                "update_rule" => "NO ACTION",
                "delete_rule" => "CASCADE",
            ])?;
        }
    }
    Ok(())
}

/// The columns that a constraint is about: of a foreign key, the referenced ones.
pub fn column_usage(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        for constraint in &table.constraints {
            let (used, columns) = match constraint.kind {
                ConstraintRule::Foreign { table } => (&objects.tables[table], vec![1]),
                _ => (table, constraint.columns.clone()),
            };
            for attnum in columns {
                let mut entry = usage(used, &constraint.name);
                entry.extend(row!["column_name" => name(used, attnum)]);
                rows.push(entry)?;
            }
        }
    }
    Ok(())
}

pub fn table_usage(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        for constraint in &table.constraints {
            let used = match constraint.kind {
                ConstraintRule::Foreign { table } => &objects.tables[table],
                ConstraintRule::Check(_) => continue,
                _ => table,
            };
            rows.push(usage(used, &constraint.name))?;
        }
    }
    Ok(())
}

fn usage(table: &TableObject, constraint: &str) -> Row {
    row![
        "table_catalog" => mark::DATABASE,
        "table_schema" => mark::SCHEMA,
        "table_name" => &table.name,
        "constraint_catalog" => mark::DATABASE,
        "constraint_schema" => mark::SCHEMA,
        "constraint_name" => constraint,
    ]
}
