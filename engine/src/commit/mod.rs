//! Commits: how they come about and how they are found again.
//!
//! A commit becomes visible when one object is created at its branch's next sequence number
//! (`slot.rs`). There is no second step, so there is nothing to recover: a crash at any moment
//! leaves the old state visible and some files that nobody names.

pub mod ancestry;
pub(crate) mod history;
mod locked;
pub(crate) mod log;
pub(crate) mod names;
mod outcome;
pub(crate) mod publish;
pub(crate) mod rebase;
pub(crate) mod repeat;
mod restate;
mod slot;
mod turn;

pub use outcome::CommitOutcome;

use crate::format::{Commit, CommitKind};
use crate::names::CommitId;

/// A commit as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitInfo {
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
    pub kind: CommitKind,
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
            kind: commit.kind,
            inserted: commit.inserted,
            updated: commit.updated,
            deleted: commit.deleted,
        }
    }
}
