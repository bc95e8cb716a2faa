//! Finding a commit by its id, and the state after it.

use std::sync::Arc;

use super::log::read_object;
use crate::error::{Error, ObjectKind, Result};
use crate::format::{BranchState, CommitPointer, EntryKind, LogEntry};
use crate::graph::GraphShared;
use crate::names::CommitId;
use crate::storage::layout;

/// A commit by its id: the log entry that lists it, and the state after it. What points to a
/// commit is written with its data, so it may name one that was never published; the log
/// decides.
pub(crate) async fn find(
    graph: &Arc<GraphShared>,
    id: CommitId,
) -> Result<(String, Arc<LogEntry>, BranchState)> {
    let unknown = || unknown(id);
    let pointer: CommitPointer = read_object(&graph.store, &layout::commit(id))
        .await?
        .ok_or_else(unknown)?;
    let entry = graph
        .logs
        .entry(&pointer.branch, pointer.seq)
        .await?
        .ok_or_else(unknown)?;
    let state = state_after(graph, &pointer.branch, &entry, id)
        .await?
        .ok_or_else(unknown)?;
    Ok((pointer.branch, entry, state))
}

/// The state after commit `id` of `entry`; `None` if the entry does not list it.
async fn state_after(
    graph: &Arc<GraphShared>,
    branch_id: &str,
    entry: &Arc<LogEntry>,
    id: CommitId,
) -> Result<Option<BranchState>> {
    let EntryKind::Commits { commits } = &entry.kind else {
        return Ok(None);
    };
    let Some(at) = commits.iter().position(|commit| commit.id == id) else {
        return Ok(None);
    };
    if at + 1 == commits.len() {
        return Ok(entry.state.clone());
    }
    let before = self::entry(graph, branch_id, entry.seq.saturating_sub(1)).await?;
    let Some(mut state) = before.state.clone() else {
        return Ok(None);
    };
    for commit in &commits[..=at] {
        state.head = commit.id;
        state.generation = commit.generation;
        if let Some(schema) = &commit.schema {
            state.schema = schema.clone();
        }
        for (table, after) in &commit.tables {
            state.tables.insert(*table, after.after.clone());
        }
        for table in &commit.dropped {
            state.tables.remove(table);
        }
    }
    Ok(Some(state))
}

pub(crate) async fn entry(
    graph: &Arc<GraphShared>,
    branch_id: &str,
    seq: u64,
) -> Result<Arc<LogEntry>> {
    graph
        .logs
        .entry(branch_id, seq)
        .await?
        .ok_or_else(|| Error::Corrupt {
            object: layout::log_entry(branch_id, seq),
            message: "it is missing from the log".to_owned(),
        })
}

pub(crate) fn unknown(id: CommitId) -> Error {
    Error::not_found(ObjectKind::Commit, id.to_string())
}
