//! What became of a commit whose writer was not told.
//!
//! Before each try a commit writes which slot it is after, so the last such word and that
//! slot tell, once no try can be under way any more. Who asks sees to that: it says that the
//! commit is given up, which its writer looks for before every further try, and it fills the
//! open slot, at which a try may have been made before that. From then on the answer is the
//! same for ever.

use super::history::{published, unknown};
use super::log::{BranchLog, read_object};
use super::turn;
use crate::error::{Error, Result};
use crate::format::{self, Abandoned, CommitPointer};
use crate::graph::{Graph, GraphShared};
use crate::names::CommitId;
use crate::storage::layout;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    Committed,
    /// It was not published, and never will be.
    Aborted,
}

impl CommitOutcome {
    pub fn name(self) -> &'static str {
        match self {
            CommitOutcome::Committed => "committed",
            CommitOutcome::Aborted => "aborted",
        }
    }
}

impl Graph {
    /// Finds out, and settles, what becomes of a commit: a try that is under way is ended.
    pub async fn commit_outcome(&self, id: CommitId) -> Result<CommitOutcome> {
        let graph = &self.shared;
        let pointer = pointer(graph, id).await?;
        if published(&graph.logs, &pointer, id).await?.is_some() {
            return Ok(CommitOutcome::Committed);
        }
        graph.prove_writable().await?;
        let given_up = format::encode(&Abandoned { commit: id })?;
        let store = &graph.store;
        // Whether it is there already does not matter.
        store.create(&layout::abandoned(id), given_up).await?;
        let log = BranchLog::new(graph.logs.clone(), pointer.branch);
        let head = log.head().await?;
        // Nothing is ever written behind a tombstone.
        if head.state.is_some() {
            let entry = turn::noop(&head, &*graph.environment, 0);
            log.publish(entry).await?;
        }
        let pointer = self::pointer(graph, id).await?;
        Ok(match published(&graph.logs, &pointer, id).await? {
            Some(_) => CommitOutcome::Committed,
            None => CommitOutcome::Aborted,
        })
    }
}

impl GraphShared {
    /// An error if somebody was told that the commit will not be.
    pub(super) async fn check_wanted(&self, id: CommitId) -> Result<()> {
        if !self.store.exists(&layout::abandoned(id)).await? {
            return Ok(());
        }
        Err(Error::Conflict {
            table: String::new(),
            id: String::new(),
            branch: String::new(),
            expected: "a commit that nobody gave up".to_owned(),
            actual: format!("somebody asked what became of {id} and was told: aborted"),
        })
    }
}

async fn pointer(graph: &GraphShared, id: CommitId) -> Result<CommitPointer> {
    read_object(&graph.store, &layout::commit(id))
        .await?
        .ok_or_else(|| unknown(id))
}
