//! What lies between two snapshots: rows by id, at a cost that follows the change.
//!
//! Chunks that both sides have, with the same rows gone, are never read. What remains is
//! compared by id and then by value, so rows that were only moved to another file do not show.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};

use crate::error::Result;
use crate::index::same_row;
use crate::schema::{TypeDef, TypeId};
use crate::snapshot::Snapshot;
use crate::table::{Chunk, RowPosition, Table};

/// Rows of one type that differ; a side that lacks the row has no entry in its batch.
#[derive(Debug, Clone)]
pub struct TypeDiff {
    pub def: Arc<TypeDef>,
    pub rows: Vec<RowDiff>,
    /// The rows as `from` and as `to` have them, in the columns of the type.
    pub before: RecordBatch,
    pub after: RecordBatch,
}

/// One row that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowDiff {
    pub id: String,
    /// Its row in `before`.
    pub before: Option<u32>,
    /// Its row in `after`.
    pub after: Option<u32>,
}

impl RowDiff {
    pub fn operation(&self) -> &'static str {
        match (self.before, self.after) {
            (None, _) => "insert",
            (_, None) => "delete",
            _ => "update",
        }
    }
}

/// The types of the two snapshots, nodes first.
pub fn types(from: &Snapshot, to: &Snapshot) -> Vec<TypeId> {
    let mut all: Vec<TypeId> = Vec::new();
    for schema in [to.schema(), from.schema()] {
        for def in schema.nodes().chain(schema.edges()) {
            if !all.contains(&def.id) {
                all.push(def.id);
            }
        }
    }
    all
}

/// The rows of one type that differ, by id.
pub async fn diff(from: &Snapshot, to: &Snapshot, id: TypeId) -> Result<Option<TypeDiff>> {
    let (before, after) = (from.table(id), to.table(id));
    let Some(any) = after.as_ref().or(before.as_ref()) else {
        return Ok(None);
    };
    let def = any.def().clone();
    let (old, new) = match (&before, &after) {
        (Some(before), Some(after)) if before.key() == after.key() => return Ok(None),
        _ => (
            candidates(before.as_ref(), after.as_ref()).await?,
            candidates(after.as_ref(), before.as_ref()).await?,
        ),
    };
    let columns: Vec<usize> = (0..def.columns().len()).collect();
    let before_rows = fetch(before.as_ref(), &def, &old, &columns).await?;
    let after_rows = fetch(after.as_ref(), &def, &new, &columns).await?;
    let mut ids: BTreeMap<String, (Option<u32>, Option<u32>)> = BTreeMap::new();
    for (row, id) in before_rows.column(0).as_string::<i32>().iter().enumerate() {
        ids.entry(id.unwrap_or_default().to_owned()).or_default().0 = Some(row as u32);
    }
    for (row, id) in after_rows.column(0).as_string::<i32>().iter().enumerate() {
        ids.entry(id.unwrap_or_default().to_owned()).or_default().1 = Some(row as u32);
    }
    let comparable = before_rows.schema() == after_rows.schema();
    let mut rows = Vec::new();
    for (id, (old, new)) in ids {
        if let (Some(old), Some(new)) = (old, new)
            && comparable
            && same_row(&before_rows, old as usize, &after_rows, new as usize)?
        {
            continue;
        }
        rows.push(RowDiff {
            id,
            before: old,
            after: new,
        });
    }
    Ok((!rows.is_empty()).then_some(TypeDiff {
        def,
        rows,
        before: before_rows,
        after: after_rows,
    }))
}

/// The live rows of `table` that are not, in the same place, live rows of `other`.
async fn candidates(table: Option<&Table>, other: Option<&Table>) -> Result<Vec<RowPosition>> {
    let Some(table) = table else {
        return Ok(Vec::new());
    };
    let others = match other {
        Some(other) => other.chunks().await?,
        None => Arc::default(),
    };
    let by_key: HashMap<&str, &Chunk> = others.iter().map(|chunk| (&*chunk.key, chunk)).collect();
    let mut found = Vec::new();
    for (number, chunk) in table.chunks().await?.iter().enumerate() {
        let same = by_key.get(&*chunk.key);
        let position = |offset| RowPosition {
            chunk: number as u32,
            offset,
        };
        match same {
            // Live here and gone there: exactly what the other side deleted.
            Some(same) => {
                if let Some(gone) = &same.deleted {
                    found.extend(
                        gone.iter()
                            .filter(|offset| chunk.is_live(*offset))
                            .map(position),
                    );
                }
            }
            None => found.extend(
                (0..chunk.rows)
                    .filter(|offset| chunk.is_live(*offset))
                    .map(position),
            ),
        }
    }
    Ok(found)
}

async fn fetch(
    table: Option<&Table>,
    def: &TypeDef,
    positions: &[RowPosition],
    columns: &[usize],
) -> Result<RecordBatch> {
    match table {
        Some(table) => table.rows(positions, columns).await,
        None => Ok(RecordBatch::new_empty(def.arrow_schema())),
    }
}
