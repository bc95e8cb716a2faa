//! information_schema.columns.

use omnigraph_engine::Result;

use super::types::{collation_name, facts};
use super::yes_or_no;
use crate::pg_catalog::{Objects, Row, Rows, definitions, mark, row, type_row};
use crate::types::PgType;

pub fn of_schema(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        for (number, column) in (1i32..).zip(&table.columns) {
            let (default, generated) = match &column.default {
                Some(default) if default.generated => (None, Some(default.expression.as_str())),
                Some(default) => (Some(default.expression.as_str()), None),
                None => (None, None),
            };
            let mut entry = common(mark::SCHEMA, &table.name, &column.name, number, column.ty);
            entry.extend(row![
                "column_default" => default,
                "is_nullable" => yes_or_no(!column.not_null),
                "is_generated" => if generated.is_some() { "ALWAYS" } else { "NEVER" },
                "generation_expression" => generated,
                "is_updatable" => "YES",
            ]);
            rows.push(entry)?;
        }
    }
    Ok(())
}

pub fn of_system(rows: &mut Rows) -> Result<()> {
    for def in &definitions().relations {
        for (number, column) in (1i32..).zip(&def.columns) {
            let domain = (column.declared.oid != column.ty.oid)
                .then(|| type_row(column.declared.oid))
                .flatten();
            let collation = collation_name(column.collation);
            let mut entry = common(def.schema, def.name, column.name, number, column.ty);
            entry.extend(row![
                "is_nullable" => yes_or_no(!column.not_null),
                "collation_catalog" => collation.map(|_| mark::DATABASE),
                "collation_schema" => collation.map(|_| "pg_catalog"),
                "collation_name" => collation,
                "domain_catalog" => domain.map(|_| mark::DATABASE),
                "domain_schema" => domain.map(|row| row.schema),
                "domain_name" => domain.map(|row| row.name),
                "is_generated" => "NEVER",
                "is_updatable" => yes_or_no(def.kind == 'r'),
            ]);
            rows.push(entry)?;
        }
    }
    Ok(())
}

fn common(schema: &str, table: &str, column: &str, number: i32, ty: PgType) -> Row {
    let of = facts(ty);
    row![
        "table_catalog" => mark::DATABASE,
        "table_schema" => schema,
        "table_name" => table,
        "column_name" => column,
        "ordinal_position" => number,
        "data_type" => of.data_type,
        "character_maximum_length" => of.length,
        "character_octet_length" => of.octets,
        "numeric_precision" => of.precision,
        "numeric_precision_radix" => of.radix,
        "numeric_scale" => of.scale,
        "datetime_precision" => of.datetime,
        "udt_catalog" => mark::DATABASE,
        "udt_schema" => of.schema,
        "udt_name" => of.name,
        "dtd_identifier" => number.to_string(),
        "is_self_referencing" => "NO",
        "is_identity" => "NO",
        "identity_cycle" => "NO",
    ]
}
