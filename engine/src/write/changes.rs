//! What a transaction has done so far: rows by id, over an immutable base.
//!
//! Changes are logical (id → row or gone), so that the loser of a race can apply them to
//! another state. Beside them stand the physical overlay that the transaction's own reads go
//! by, valid for the base only.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;

use crate::error::{Error, Result};
use crate::schema::TypeId;
use crate::table::{Chunk, ChunkSource, Overlay, RowPosition, live_rows};

/// Bytes of rows that a transaction may hold before it is told to use a bulk load.
const BYTES_LIMIT: usize = 256 << 20;

/// Rows below which a new chunk is merged with the one before it.
const MERGE_BELOW: u32 = 4096;

#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    pub tables: BTreeMap<TypeId, TableChanges>,
    /// Tables that were emptied: any change to them by others is a conflict.
    pub truncated: BTreeSet<TypeId>,
    /// Tables to which rows were added because a statement found none there: it would have
    /// decided otherwise had somebody else added one before.
    pub decided: BTreeSet<TypeId>,
    bytes: usize,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct TableChanges {
    /// Every id that was written, with how it stood before and stands now.
    pub rows: HashMap<Arc<str>, RowChange>,
    pub overlay: Overlay,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowChange {
    /// Where the row is in the base; `None`: it was not there.
    pub base: Option<RowPosition>,
    /// Is there a row now?
    pub present: bool,
}

/// The effect of one statement on one table, found and checked before anything is changed.
#[derive(Debug, Clone)]
pub(crate) struct TableEffect {
    pub table: TypeId,
    /// New rows and new versions of rows, in the table's column order.
    pub put: Option<RecordBatch>,
    /// For each row of `put`: where its old version is, if it has one.
    pub replaced: Vec<Option<RowPosition>>,
    pub deleted: Vec<(String, RowPosition)>,
}

impl TableEffect {
    /// Where the rows are that go or are replaced.
    pub fn positions(&self) -> Vec<RowPosition> {
        let deleted = self.deleted.iter().map(|(_, position)| *position);
        deleted
            .chain(self.replaced.iter().flatten().copied())
            .collect()
    }
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.tables.values().all(TableChanges::is_empty)
    }

    /// Refuses what would not fit any more; called before an effect is applied.
    pub fn check_room(&self, effects: &[TableEffect]) -> Result<()> {
        let new: usize = effects
            .iter()
            .filter_map(|effect| effect.put.as_ref())
            .map(RecordBatch::get_array_memory_size)
            .sum();
        if self.bytes + new > BYTES_LIMIT {
            return Err(Error::LimitExceeded {
                what: "the memory of one transaction's changes in bytes (load larger data with COPY omnigraph.ndjson or omnigraph load)".to_owned(),
                limit: BYTES_LIMIT as u64,
                actual: (self.bytes + new) as u64,
            });
        }
        Ok(())
    }

    /// Applies what was checked. `base_chunks` says how many chunks of the table are the
    /// base's; positions beyond are the transaction's own.
    pub fn apply(&mut self, effect: TableEffect, base_chunks: u32) -> Result<()> {
        // Counted over the whole process: transactions over one base, and what a savepoint
        // brings back, must never share a stamp with other content, because caches go by it.
        static STAMPS: AtomicU64 = AtomicU64::new(1);
        let stamp = STAMPS.fetch_add(1, Ordering::Relaxed);
        let changes = self.tables.entry(effect.table).or_default();
        changes.overlay.stamp = stamp;
        for (id, position) in effect.deleted {
            changes.remove(&id, position, base_chunks, false);
        }
        let Some(put) = effect.put else {
            return Ok(());
        };
        if put.num_rows() == 0 {
            return Ok(());
        }
        self.bytes += put.get_array_memory_size();
        let ids = put.column(0).as_string::<i32>();
        for (row, replaced) in effect.replaced.iter().enumerate() {
            let id = ids.value(row);
            match replaced {
                Some(position) => changes.remove(id, *position, base_chunks, true),
                None => {
                    changes
                        .rows
                        .entry(id.into())
                        .and_modify(|change| change.present = true)
                        .or_insert(RowChange {
                            base: None,
                            present: true,
                        });
                }
            }
        }
        changes.add(put, stamp)
    }
}

impl TableChanges {
    pub fn is_empty(&self) -> bool {
        self.rows
            .values()
            .all(|change| change.base.is_none() && !change.present)
    }

    fn remove(&mut self, id: &str, position: RowPosition, base_chunks: u32, present: bool) {
        let base = (position.chunk < base_chunks).then_some(position);
        self.rows
            .entry(id.into())
            .and_modify(|change| change.present = present)
            .or_insert(RowChange { base, present });
        if position.chunk < base_chunks {
            if self
                .overlay
                .removed
                .entry(position.chunk)
                .or_default()
                .insert(position.offset)
            {
                self.overlay.removed_rows += 1;
            }
            return;
        }
        let own = &mut self.overlay.added[(position.chunk - base_chunks) as usize];
        let mut deleted = own.deleted.as_deref().cloned().unwrap_or_default();
        if deleted.insert(position.offset) {
            self.overlay.added_rows -= 1;
        }
        own.deleted = Some(Arc::new(deleted));
    }

    /// Adds rows as a chunk. Small chunks are merged as they come, so that many small
    /// statements leave few chunks.
    fn add(&mut self, put: RecordBatch, stamp: u64) -> Result<()> {
        let schema = put.schema();
        self.overlay.added_rows += put.num_rows() as u64;
        let mut rows = put;
        while let Some(last) = self.overlay.added.last() {
            if last.rows > MERGE_BELOW || last.rows > 2 * rows.num_rows() as u32 {
                break;
            }
            let last = self.overlay.added.pop().into_iter().collect::<Vec<_>>();
            let before = live_rows(&schema, &last)?;
            rows = concat_batches(&schema, [&before, &rows])?;
        }
        self.overlay.added.push(Chunk {
            key: format!("transaction/{stamp}").into(),
            rows: rows.num_rows() as u32,
            deleted: None,
            source: ChunkSource::Memory(rows),
        });
        Ok(())
    }

    /// The rows that are there now and were not, or not so, in the base.
    pub fn put_rows(&self, schema: &SchemaRef) -> Result<RecordBatch> {
        live_rows(schema, &self.overlay.added)
    }

    /// Rows inserted, updated and deleted against the base.
    pub fn counts(&self) -> (u64, u64, u64) {
        let mut counts = (0, 0, 0);
        for change in self.rows.values() {
            match (change.base.is_some(), change.present) {
                (false, true) => counts.0 += 1,
                (true, true) => counts.1 += 1,
                (true, false) => counts.2 += 1,
                (false, false) => {}
            }
        }
        counts
    }
}
