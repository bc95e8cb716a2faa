//! pg_index.

use omnigraph_engine::Result;

use crate::pg_catalog::data::type_row;
use crate::pg_catalog::objects::Objects;
use crate::pg_catalog::value::{Rows, row};

pub fn of_schema(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        for index in &table.indexes {
            let count = i16::try_from(index.columns.len()).unwrap_or(i16::MAX);
            let collations: Vec<u32> = index
                .columns
                .iter()
                .map(|attnum| {
                    let column = usize::try_from(*attnum - 1)
                        .ok()
                        .and_then(|at| table.columns.get(at));
                    column
                        .and_then(|column| type_row(column.ty.oid))
                        .map_or(0, |row| row.collation)
                })
                .collect();
            rows.push(row![
                "indexrelid" => index.slot,
                "indrelid" => table.class,
                "indnatts" => count,
                "indnkeyatts" => count,
                "indisunique" => index.unique,
                "indisprimary" => index.primary,
                "indimmediate" => true,
                "indisvalid" => true,
                "indisready" => true,
                "indislive" => true,
                "indkey" => index.columns.clone(),
                "indcollation" => collations,
                "indclass" => index.opclasses.clone(),
                "indoption" => vec![0i16; index.columns.len()],
            ])?;
        }
    }
    Ok(())
}
