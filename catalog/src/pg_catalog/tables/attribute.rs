//! pg_attribute: columns of tables, views and indexes.

use omnigraph_engine::Result;

use crate::pg_catalog::data::type_row;
use crate::pg_catalog::def::definitions;
use crate::pg_catalog::objects::Objects;
use crate::pg_catalog::value::{Row, Rows, row};
use crate::types::PgType;

pub fn of_schema(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        for (attnum, column) in (1i16..).zip(&table.columns) {
            let mut entry = attribute(table.class, &column.name, column.ty, attnum);
            let default = column.default.as_ref();
            entry.extend(row![
                "attnotnull" => column.not_null,
                "atthasdef" => default.is_some(),
                "attgenerated" => if default.is_some_and(|default| default.generated) { 's' } else { '\0' },
                "attndims" => i32::from(column.ty.is_array()),
            ]);
            rows.push(entry)?;
        }
        for index in &table.indexes {
            for (attnum, column) in (1i16..).zip(&index.columns) {
                let Some(column) = usize::try_from(*column - 1)
                    .ok()
                    .and_then(|at| table.columns.get(at))
                else {
                    continue;
                };
                let mut entry = attribute(index.slot, &column.name, column.ty, attnum);
                entry.extend(row!["attndims" => i32::from(column.ty.is_array())]);
                rows.push(entry)?;
            }
        }
    }
    Ok(())
}

pub fn of_system(rows: &mut Rows) -> Result<()> {
    for def in &definitions().relations {
        for (attnum, column) in (1i16..).zip(&def.columns) {
            let mut entry = attribute(def.oid, column.name, column.declared, attnum);
            entry.extend(row![
                "attnotnull" => column.not_null,
                "attndims" => i32::from(column.dimensions),
                "attcollation" => column.collation,
            ]);
            rows.push(entry)?;
        }
    }
    Ok(())
}

/// What all columns have in common. A column that is named again later in the row is
/// overwritten.
fn attribute(relation: u32, name: &str, ty: PgType, attnum: i16) -> Row {
    let layout = type_row(ty.oid);
    row![
        "attrelid" => relation,
        "attname" => name,
        "atttypid" => ty.oid,
        "attstattarget" => -1,
        "attlen" => layout.map_or(-1, |row| row.len),
        "attnum" => attnum,
        "attcacheoff" => -1,
        "atttypmod" => ty.typmod,
        "attbyval" => layout.is_some_and(|row| row.by_value),
        "attalign" => layout.map_or('d', |row| row.align),
        "attstorage" => layout.map_or('x', |row| row.storage),
        "attislocal" => true,
        "attcollation" => layout.map_or(0, |row| row.collation),
    ]
}
