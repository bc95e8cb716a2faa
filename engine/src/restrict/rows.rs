//! The rows that a restriction hides.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::{filter, or, prep_null_mask_filter};
use roaring::RoaringBitmap;
use sha2::{Digest, Sha256};

use super::{Part, Restriction, RowPredicate, Shown, ShownTable};
use crate::error::{Error, Result};
use crate::schema::{DST_COLUMN, SRC_COLUMN, TypeDef, TypeId};
use crate::snapshot::Snapshot;
use crate::table::{Chunk, Overlay, Table, ViewColumn};

/// Rows that a predicate is asked about at a time.
const STEP: usize = 8192;

/// Everything that a restriction leaves of a snapshot.
pub(super) async fn shown(snapshot: &Snapshot, restriction: &Arc<Restriction>) -> Result<Shown> {
    let ids: Vec<TypeId> = restriction.schema.types.iter().map(|def| def.id).collect();
    shown_of(snapshot, restriction, &ids).await
}

/// The same for some types. Nodes come before the edges that need them.
pub(super) async fn shown_of(
    snapshot: &Snapshot,
    restriction: &Arc<Restriction>,
    ids: &[TypeId],
) -> Result<Shown> {
    // To look at a table for this is not to read it.
    let snapshot = &Snapshot {
        reads: None,
        ..snapshot.clone()
    };
    let mut tables: HashMap<TypeId, ShownTable> = HashMap::new();
    let mut overlays: HashMap<TypeId, Table> = HashMap::new();
    let schema = &restriction.schema;
    let wanted = |def: &TypeDef| {
        let needed = |id: &TypeId| {
            let ends = schema.by_id(*id).and_then(|def| def.endpoints());
            *id == def.id || ends.is_some_and(|(from, to)| from == def.id || to == def.id)
        };
        ids.iter().any(needed)
    };
    for def in schema.nodes().chain(schema.edges()) {
        let (true, Some(part), Some(table)) = (
            wanted(def),
            restriction.part(def.id),
            snapshot.table(def.id),
        ) else {
            continue;
        };
        let whole = Arc::clone(table.def());
        let name = format!("{}/{:x}", restriction.digest, def.id.0);
        let ends = ends(&whole, &overlays);
        let table = hidden(table, &name, part, &ends).await?;
        let columns = part.properties.is_some().then(|| held(def));
        let overlay = table.overlay().cloned();
        tables.insert(def.id, ShownTable { columns, overlay });
        if !def.is_edge() {
            overlays.insert(def.id, table);
        }
    }
    Ok(Shown {
        restriction: Arc::clone(restriction),
        tables,
    })
}

/// Where the columns of a part are in the files.
fn held(def: &TypeDef) -> Vec<ViewColumn> {
    let columns = def.columns().iter();
    let held = columns.map(|column| ViewColumn::Held(column.physical.clone()));
    held.collect()
}

/// The columns of an edge type whose nodes are not all shown, with those that are.
fn ends(def: &TypeDef, nodes: &HashMap<TypeId, Table>) -> Vec<(usize, Table)> {
    let Some((from, to)) = def.endpoints() else {
        return Vec::new();
    };
    [(SRC_COLUMN, from), (DST_COLUMN, to)]
        .into_iter()
        .filter_map(|(column, node)| Some((column, nodes.get(&node)?.clone())))
        .filter(|(_, table)| table.overlay().is_some_and(|overlay| overlay.hides))
        .collect()
}

/// The table without the rows that its part, or one of its ends, leaves out.
async fn hidden(table: Table, name: &str, part: &Part, ends: &[(usize, Table)]) -> Result<Table> {
    if part.rows.is_empty() && ends.is_empty() {
        return Ok(table);
    }
    let chunks = table.chunks().await?;
    let base = table.base_chunks().await?;
    let mut overlay = table
        .overlay()
        .map_or_else(Overlay::default, |own| (**own).clone());
    let mut name = name.to_owned();
    for (column, nodes) in ends {
        let key = nodes.key();
        name = format!(
            "{name} {column}:{}@{}.{}",
            key.dir, key.version, key.private
        );
    }
    for (number, chunk) in chunks.iter().enumerate() {
        let bits = bits(&table, &name, chunk, part, ends).await?;
        let gone = match &chunk.deleted {
            None => (*bits).clone(),
            Some(deleted) => &*bits - &**deleted,
        };
        if gone.is_empty() {
            continue;
        }
        overlay.hides = true;
        match number.checked_sub(base) {
            None => {
                overlay.removed_rows += gone.len();
                *overlay.removed.entry(number as u32).or_default() |= gone;
            }
            Some(own) => {
                overlay.added_rows -= gone.len();
                let own = &mut overlay.added[own];
                let mut deleted = own.deleted.as_deref().cloned().unwrap_or_default();
                deleted |= gone;
                own.deleted = Some(Arc::new(deleted));
            }
        }
    }
    if !overlay.hides {
        return Ok(table);
    }
    overlay.stamp = stamp(&table, &name);
    Ok(table.over(Arc::new(overlay)))
}

/// Tells the content from every other: the counted ones of transactions are far below.
fn stamp(table: &Table, name: &str) -> u64 {
    let key = table.key();
    let text = format!("{name}\n{}@{}.{}", key.dir, key.version, key.private);
    let digest = Sha256::digest(text);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(bytes) | 1 << 63
}

/// The rows of a chunk that are hidden, whether they are deleted or not.
async fn bits(
    table: &Table,
    name: &str,
    chunk: &Chunk,
    part: &Part,
    ends: &[(usize, Table)],
) -> Result<Arc<RoaringBitmap>> {
    let make = async {
        let mut hidden = RoaringBitmap::new();
        if !part.rows.is_empty() {
            hidden |= failing(table, chunk, &part.rows).await?;
        }
        for (column, nodes) in ends {
            hidden |= dangling(table, chunk, *column, nodes).await?;
        }
        Ok(Arc::new(hidden))
    };
    let key = (Arc::clone(&chunk.key), name.to_owned());
    table
        .resources()
        .hidden_rows()
        .try_get_with(key, make)
        .await
        .map_err(|error: Arc<Error>| (*error).clone())
}

/// The rows for which no predicate holds.
async fn failing(
    table: &Table,
    chunk: &Chunk,
    predicates: &[Arc<dyn RowPredicate>],
) -> Result<RoaringBitmap> {
    let mut failing = RoaringBitmap::new();
    let mut read = Vec::with_capacity(predicates.len());
    for predicate in predicates {
        read.push(table.chunk_columns(chunk, predicate.columns()).await?);
    }
    let rows = chunk.rows as usize;
    for start in (0..rows).step_by(STEP) {
        let length = STEP.min(rows - start);
        let mut any: Option<BooleanArray> = None;
        for (predicate, columns) in predicates.iter().zip(&read) {
            let columns: Vec<ArrayRef> = columns
                .iter()
                .map(|column| column.slice(start, length))
                .collect();
            let asked = passing(&**predicate, &columns, length);
            let passes = match (asked, &chunk.deleted) {
                (Ok(passes), _) => passes,
                // What failed may be a value that is gone.
                (Err(_), Some(deleted)) => {
                    let live: BooleanArray = (start..start + length)
                        .map(|at| Some(!deleted.contains(at as u32)))
                        .collect();
                    among_live(&**predicate, &columns, &live)?
                }
                (Err(error), None) => return Err(error),
            };
            any = Some(match any {
                None => passes,
                Some(known) => or(&known, &passes)?,
            });
        }
        let values = any.iter().flat_map(|any| any.values().iter());
        let lost = values.enumerate().filter(|(_, passes)| !passes);
        failing.extend(lost.map(|(at, _)| (start + at) as u32));
        tokio::task::consume_budget().await;
    }
    Ok(failing)
}

fn passing(
    predicate: &dyn RowPredicate,
    columns: &[ArrayRef],
    rows: usize,
) -> Result<BooleanArray> {
    let passes = predicate.passes(columns, rows)?;
    Ok(match passes.null_count() {
        0 => passes,
        _ => prep_null_mask_filter(&passes),
    })
}

/// As [`passing`], asking about live rows only; the others do not pass.
fn among_live(
    predicate: &dyn RowPredicate,
    columns: &[ArrayRef],
    live: &BooleanArray,
) -> Result<BooleanArray> {
    let columns = columns
        .iter()
        .map(|column| filter(column, live))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let passes = passing(predicate, &columns, live.true_count())?;
    let mut passed = passes.values().iter();
    let spread = live.values().iter();
    Ok(spread
        .map(|live| Some(live && passed.next().unwrap_or(false)))
        .collect())
}

/// The edges of which an end is not among the nodes.
async fn dangling(
    table: &Table,
    chunk: &Chunk,
    column: usize,
    nodes: &Table,
) -> Result<RoaringBitmap> {
    let columns = table.chunk_columns(chunk, &[column]).await?;
    let ids = columns[0].as_string::<i32>();
    let mut dangling = RoaringBitmap::new();
    for start in (0..ids.len()).step_by(STEP) {
        let end = ids.len().min(start + STEP);
        let asked: Vec<&str> = (start..end).map(|at| ids.value(at)).collect();
        let found = nodes.find_ids(&asked).await?;
        let lost = found.iter().enumerate().filter(|(_, at)| at.is_none());
        dangling.extend(lost.map(|(at, _)| (start + at) as u32));
    }
    Ok(dangling)
}
