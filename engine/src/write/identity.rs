//! Where a row's `id` comes from when its writer gives none.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringBuilder};
use arrow::datatypes::{Field, Schema};

use crate::clock::{Environment, ulid};
use crate::error::Result;
use crate::schema::{TypeDef, key};

/// Fills the `id` column of rows in the table's column order: a keyed node's is its key's
/// canonical text, every other row without one gets a ULID. Ids that are given stay.
pub fn fill_ids(
    def: &TypeDef,
    rows: &RecordBatch,
    environment: &dyn Environment,
) -> Result<RecordBatch> {
    let given = rows.column(0).as_string::<i32>();
    if given.null_count() == 0 {
        return relaxed(rows, rows.columns().to_vec());
    }
    let derived = if def.key.is_empty() {
        None
    } else {
        Some(key::key_ids(def, rows)?)
    };
    let mut ids = StringBuilder::with_capacity(rows.num_rows(), rows.num_rows() * 26);
    for row in 0..rows.num_rows() {
        match &derived {
            _ if given.is_valid(row) => ids.append_value(given.value(row)),
            Some(derived) if derived.is_valid(row) => ids.append_value(derived.value(row)),
            // A key with a NULL in it: the value checks refuse the row by the key's column.
            Some(_) => ids.append_value(""),
            None => ids.append_value(ulid(environment).to_string()),
        }
    }
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    columns[0] = Arc::new(ids.finish());
    relaxed(rows, columns)
}

/// The same columns under a schema in which everything may be NULL: whether it may is a
/// question for the value checks, which know how to say so.
fn relaxed(rows: &RecordBatch, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    let fields: Vec<Field> = rows
        .schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}
