//! Finding a commit by its id, and the state after it.

use std::sync::Arc;

use super::log::{LogStore, read_object};
use crate::error::{Error, ObjectKind, Result};
use crate::format::{BranchState, Commit, CommitPointer, EntryKind, ForkPoint, Lineage, LogEntry};
use crate::graph::GraphShared;
use crate::names::CommitId;
use crate::storage::layout;

/// How long after a commit was begun its last try may be, in microseconds; clocks may differ.
const LATEST_TRY: i64 = 600 * 1_000_000;

/// A commit where a log holds it: published by the entry, or re-stated by it.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub branch_id: String,
    pub entry: Arc<LogEntry>,
    pub commit: CommitId,
}

impl Point {
    /// The head that an entry states.
    pub fn head_of(branch_id: String, entry: Arc<LogEntry>) -> Result<Point> {
        let commit = stated(&entry)?.head;
        Ok(Point {
            branch_id,
            entry,
            commit,
        })
    }

    pub fn as_fork_point(&self) -> ForkPoint {
        ForkPoint {
            branch: self.branch_id.clone(),
            seq: self.entry.seq,
            commit: self.commit,
        }
    }
}

fn stated(entry: &LogEntry) -> Result<&BranchState> {
    entry
        .state
        .as_ref()
        .ok_or_else(|| Error::internal("a tombstone states nothing"))
}

pub(crate) fn lineage(entry: &LogEntry) -> Result<&Lineage> {
    Ok(&stated(entry)?.lineage)
}

/// Commits before a point, along first parents.
pub(crate) fn depth_of(point: &Point) -> Result<u64> {
    let depth = lineage(&point.entry)?.depth;
    let after = match &point.entry.kind {
        EntryKind::Commits { commits } => commits
            .iter()
            .rev()
            .position(|commit| commit.id == point.commit)
            .unwrap_or(0),
        _ => 0,
    };
    Ok(depth - after as u64)
}

pub(crate) async fn point(graph: &GraphShared, at: &ForkPoint) -> Result<Point> {
    Ok(Point {
        branch_id: at.branch.clone(),
        entry: graph.logs.existing(&at.branch, at.seq).await?,
        commit: at.commit,
    })
}

/// A commit by its id. What points to a commit is written with its data, so it may name one
/// that was never published; the log decides.
pub(crate) async fn find(graph: &GraphShared, id: CommitId) -> Result<Point> {
    let pointer: CommitPointer = read_object(&graph.store, &layout::commit(id))
        .await?
        .ok_or_else(|| unknown(id))?;
    let entry = published(&graph.logs, &pointer, id).await?;
    Ok(Point {
        branch_id: pointer.branch,
        entry: entry.ok_or_else(|| unknown(id))?,
        commit: id,
    })
}

/// The entry that lists a commit. It is the one pointed at, or one behind it: a pointer that
/// was written on an earlier try may have been carried out late, over the newer one.
pub(super) async fn published(
    logs: &LogStore,
    pointer: &CommitPointer,
    id: CommitId,
) -> Result<Option<Arc<LogEntry>>> {
    let last = id.created_at() + LATEST_TRY;
    for seq in pointer.seq.. {
        let Some(entry) = logs.entry(&pointer.branch, seq).await? else {
            break;
        };
        if commits_of(&entry).iter().any(|commit| commit.id == id) {
            return Ok(Some(entry));
        }
        if entry.time > last {
            break;
        }
    }
    Ok(None)
}

/// The point itself, or if its entry has forgotten its tables one that states the same commit.
/// An error once vacuum may have removed the files of all.
pub(crate) async fn kept(graph: &GraphShared, point: &Point) -> Result<Point> {
    if !point.entry.expired {
        return Ok(point.clone());
    }
    let pointer: Option<CommitPointer> =
        read_object(&graph.store, &layout::commit(point.commit)).await?;
    let place = pointer.and_then(|pointer| pointer.restated);
    let place = place.ok_or_else(|| expired(point.commit))?;
    let entry = graph.logs.existing(&place.branch, place.seq).await?;
    if entry.expired || stated(&entry)?.head != point.commit {
        return Err(expired(point.commit));
    }
    Point::head_of(place.branch, entry)
}

/// The state at a point that is kept.
pub(crate) async fn state_at(graph: &GraphShared, point: &Point) -> Result<BranchState> {
    let entry = &point.entry;
    let mut state = stated(entry)?.clone();
    let commits = commits_of(entry);
    let Some(at) = commits.iter().position(|commit| commit.id == point.commit) else {
        return Ok(state);
    };
    if at + 1 == commits.len() {
        return Ok(state);
    }
    // Inside a group: what was before it, and each of its commits up to this one.
    let before = graph
        .logs
        .existing(&point.branch_id, entry.seq.saturating_sub(1))
        .await?;
    if before.expired {
        return Err(expired(point.commit));
    }
    let fence = state.lineage.fence;
    state = stated(&before)?.clone();
    state.lineage.fence = fence;
    for commit in &commits[..=at] {
        state.head = commit.id;
        state.generation = commit.generation;
        state.lineage = state.lineage.next(entry.seq, commit.parents.len());
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
    Ok(state)
}

pub(super) fn unknown(id: CommitId) -> Error {
    Error::not_found(ObjectKind::Commit, id.to_string())
}

pub(crate) fn expired(commit: CommitId) -> Error {
    Error::Expired {
        what: format!("the state at commit {commit}"),
        hint:
            "It is older than what VACUUM was told to keep. Tags and branches keep what they name."
                .to_owned(),
    }
}

pub(crate) fn commits_of(entry: &LogEntry) -> &[Commit] {
    match &entry.kind {
        EntryKind::Commits { commits } => commits,
        _ => &[],
    }
}
