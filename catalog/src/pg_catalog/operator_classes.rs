//! How access methods and operator classes are written in an index's definition.

use super::data;
use super::tables::ACCESS_METHODS;

pub fn index_method(oid: u32) -> &'static str {
    ACCESS_METHODS
        .iter()
        .find(|(method, ..)| *method == oid)
        .map_or("btree", |(_, name, ..)| name)
}

/// ` vector_cosine_ops`, or nothing where the operator class is its type's default.
pub fn opclass_suffix(oid: u32) -> String {
    match data::opclass_row(oid) {
        Some(row) if !row.default => format!(" {}", row.name),
        _ => String::new(),
    }
}
