//! pg_class: tables, views and indexes.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Int32Array, Int64Array, RecordBatch};
use omnigraph_engine::schema::TypeId;
use omnigraph_engine::{Error, Result};

use crate::pg_catalog::data::HEAP;
use crate::pg_catalog::def::{RelationDef, definitions};
use crate::pg_catalog::objects::Objects;
use crate::pg_catalog::oid::{NAMESPACE, OWNER};
use crate::pg_catalog::system::function_namespace;
use crate::pg_catalog::value::{Row, Rows, row};

pub fn of_schema(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        let mut entry = relation(table.class, &table.name, NAMESPACE, 'r');
        entry.extend(row![
            "reltype" => table.row_type,
            "relam" => HEAP,
            "relfilenode" => table.class,
            "relhasindex" => !table.indexes.is_empty(),
            "relnatts" => small(table.columns.len()),
            "relchecks" => small(table.checks()),
            "relhastriggers" => table.has_triggers(),
            "relreplident" => 'd',
        ]);
        rows.push(entry)?;
        for index in &table.indexes {
            let mut entry = relation(index.slot, &index.name, NAMESPACE, 'i');
            entry.extend(row![
                "relam" => index.method,
                "relfilenode" => index.slot,
                "relnatts" => small(index.columns.len()),
                "relreplident" => 'n',
            ]);
            rows.push(entry)?;
        }
    }
    Ok(())
}

pub fn of_system(rows: &mut Rows) -> Result<()> {
    for def in &definitions().relations {
        let is_table = def.kind == 'r';
        let mut entry = relation(def.oid, def.name, function_namespace(def.schema), def.kind);
        entry.extend(row![
            "reltype" => def.row_type,
            "relam" => if is_table { HEAP } else { 0 },
            "relfilenode" => if is_table { def.oid } else { 0 },
            "reltuples" => -1.0,
            "relisshared" => def.shared,
            "relnatts" => small(def.columns.len()),
            "relhasrules" => !is_table,
            "relreplident" => 'n',
        ]);
        rows.push(entry)?;
    }
    Ok(())
}

/// What all relations have in common.
fn relation(oid: u32, name: &str, namespace: u32, kind: char) -> Row {
    row![
        "oid" => oid,
        "relname" => name,
        "relnamespace" => namespace,
        "relowner" => OWNER,
        "relpersistence" => 'p',
        "relkind" => kind,
        "relispopulated" => true,
    ]
}

fn small(count: usize) -> i16 {
    i16::try_from(count).unwrap_or(i16::MAX)
}

/// Relations with columns that follow from how many rows a branch has, and so are put in when
/// a catalog shows them.
pub const COUNTED: &[&str] = &["pg_class", "pg_stat_all_tables", "pg_stat_user_tables"];

/// The rows of one of [`COUNTED`] with a branch's row counts and sizes in them.
pub fn counted_rows(
    def: &'static RelationDef,
    objects: &Objects,
    batch: &RecordBatch,
    row_counts: &HashMap<TypeId, u64>,
    sizes: &HashMap<TypeId, u64>,
) -> Result<RecordBatch> {
    let of_tables = objects.tables.iter().flat_map(|table| {
        let rows = if def.name == "pg_class" {
            1 + table.indexes.len()
        } else {
            1
        };
        std::iter::repeat_n(Some(table.type_id), rows)
    });
    // Behind the tables stands the property graph, which has no rows of its own.
    let of_tables = of_tables.chain((def.name == "pg_class").then_some(None));
    let of = |known: &HashMap<TypeId, u64>, id: Option<TypeId>| {
        id.and_then(|id| known.get(&id).copied()).unwrap_or(0)
    };
    let counts: Vec<u64> = of_tables.clone().map(|id| of(row_counts, id)).collect();
    let mut columns = batch.columns().to_vec();
    let mut put = |name: &str, array: ArrayRef| -> Result<()> {
        let at = def
            .position(name)
            .ok_or_else(|| Error::internal(format!("{} has no column {name}", def.name)))?;
        columns[at] = array;
        Ok(())
    };
    if def.name == "pg_class" {
        let pages = of_tables.map(|id| {
            let pages = of(sizes, id).div_ceil(8_192);
            i32::try_from(pages).unwrap_or(i32::MAX)
        });
        put(
            "reltuples",
            Arc::new(
                counts
                    .iter()
                    .map(|count| Some(*count as f32))
                    .collect::<Float32Array>(),
            ),
        )?;
        put(
            "relpages",
            Arc::new(pages.map(Some).collect::<Int32Array>()),
        )?;
    } else {
        let counts = counts
            .iter()
            .map(|count| i64::try_from(*count).unwrap_or(i64::MAX));
        put(
            "n_live_tup",
            Arc::new(counts.map(Some).collect::<Int64Array>()),
        )?;
    }
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}
