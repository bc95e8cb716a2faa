//! Commits: how they come about and how they are found again.
//!
//! A commit becomes visible when one object is created at its branch's next sequence number
//! (`slot.rs`). There is no second step, so there is nothing to recover: a crash at any moment
//! leaves the old state visible and some files that nobody names.

pub mod ancestry;
mod between;
mod checkpoint;
pub(crate) mod common;
mod effects;
pub(crate) mod history;
mod listed;
pub(crate) mod log;
pub(crate) mod names;
mod outcome;
pub(crate) mod proposal;
pub(crate) mod publish;
pub(crate) mod rebase;
pub(crate) mod repeat;
pub(crate) mod resolve;
pub(crate) mod restate;
pub(crate) mod slot;
mod turn;

pub use outcome::CommitOutcome;

use crate::format::{Commit, CommitKind};
use crate::names::CommitId;

/// What a row of a history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryKind {
    Commit(CommitKind),
    /// An entry of a log that made no commit: its branch's head stayed, or moved to a commit
    /// that was there.
    Maintain,
    Forward,
    Reset,
}

impl HistoryKind {
    pub fn name(self) -> &'static str {
        match self {
            HistoryKind::Commit(kind) => kind.name(),
            HistoryKind::Maintain => "maintain",
            HistoryKind::Forward => "forward",
            HistoryKind::Reset => "reset",
        }
    }
}

/// A commit as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitInfo {
    /// Of an entry that made no commit: the head it states.
    pub id: CommitId,
    /// The log entry that published it.
    pub seq: u64,
    /// The branch it was published on; its id, if the branch is gone.
    pub branch: String,
    pub parents: Vec<CommitId>,
    pub actor: String,
    /// Microseconds since 1970.
    pub created_at: i64,
    pub message: Option<String>,
    pub metadata: serde_json::Map<String, serde_json::Value>,
    pub kind: HistoryKind,
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
}

impl CommitInfo {
    pub(crate) fn new(commit: &Commit, seq: u64, branch: String) -> Self {
        CommitInfo {
            id: commit.id,
            seq,
            branch,
            parents: commit.parents.clone(),
            actor: commit.actor.clone(),
            created_at: commit.time,
            message: commit.message.clone(),
            metadata: commit.metadata.clone(),
            kind: HistoryKind::Commit(commit.kind),
            inserted: commit.inserted,
            updated: commit.updated,
            deleted: commit.deleted,
        }
    }
}
