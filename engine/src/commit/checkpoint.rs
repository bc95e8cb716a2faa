//! Checkpoints: a thousand entries of a log in one object, without their tables.
//!
//! Walking over a long history would read an object for every commit; with checkpoints it
//! reads one for every thousand. A checkpoint follows from its entries and from nothing else,
//! also once they have forgotten their tables, so anybody may write one, whenever, twice. One
//! that is missing or damaged costs time: the entries are read instead.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use super::log::{LogStore, read_object};
use crate::error::Result;
use crate::format::{self, Checkpoint, LogEntry};
use crate::storage::layout::{self, ENTRIES_PER_FOLDER};

/// Entries that are read side by side.
const PARALLEL: usize = 16;

/// The entries of one checkpoint.
pub(super) type Outlines = Option<Arc<Vec<Arc<LogEntry>>>>;

/// Reads a checkpoint; `None` if there is none that can be used.
pub(super) async fn read(logs: &LogStore, branch_id: &str, number: u64) -> Result<Outlines> {
    let key = layout::checkpoint(branch_id, number);
    let Ok(Some(found)) = read_object::<Checkpoint>(&logs.store, &key).await else {
        return Ok(None);
    };
    let first = number * ENTRIES_PER_FOLDER;
    let whole = found.entries.len() as u64 == ENTRIES_PER_FOLDER
        && (first..)
            .zip(&found.entries)
            .all(|(seq, entry)| entry.seq == seq);
    Ok(whole.then(|| Arc::new(found.entries.into_iter().map(Arc::new).collect())))
}

/// Writes the checkpoint of a thousand entries, all of which must be there. What goes wrong is
/// nobody's loss.
pub(super) async fn write(logs: Arc<LogStore>, branch_id: String, number: u64) {
    // An entry may be missing, or the store may not answer: whoever walks by next tries again.
    let _ = try_write(&logs, &branch_id, number).await;
}

async fn try_write(logs: &LogStore, branch_id: &str, number: u64) -> Result<()> {
    let first = number * ENTRIES_PER_FOLDER;
    let entries: Vec<LogEntry> = futures::stream::iter(first..first + ENTRIES_PER_FOLDER)
        .map(|seq| logs.existing(branch_id, seq))
        .buffered(PARALLEL)
        .map_ok(|entry| entry.without_tables())
        .try_collect()
        .await?;
    let key = layout::checkpoint(branch_id, number);
    logs.store
        .write(&key, format::encode(&Checkpoint { entries })?)
        .await?;
    logs.forget_outlines(branch_id, number).await;
    Ok(())
}
