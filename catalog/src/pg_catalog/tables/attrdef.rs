//! pg_attrdef and the descriptions of tables and columns.

use omnigraph_engine::Result;

use crate::pg_catalog::objects::Objects;
use crate::pg_catalog::value::{Rows, row};

/// `pg_class`'s own OID.
pub const CLASS: u32 = 1259;

pub fn of_schema(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        for (attnum, column) in (1i16..).zip(&table.columns) {
            if let Some(default) = &column.default {
                rows.push(row![
                    "oid" => default.slot,
                    "adrelid" => table.class,
                    "adnum" => attnum,
                    "adbin" => &default.expression,
                ])?;
            }
        }
    }
    Ok(())
}

pub fn descriptions(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        let columns = (1i32..)
            .zip(&table.columns)
            .map(|(attnum, column)| (attnum, &column.description));
        for (attnum, description) in [(0, &table.description)].into_iter().chain(columns) {
            if let Some(description) = description {
                rows.push(row![
                    "objoid" => table.class,
                    "classoid" => CLASS,
                    "objsubid" => attnum,
                    "description" => description,
                ])?;
            }
        }
    }
    Ok(())
}
