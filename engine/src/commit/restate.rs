//! Log entries that make no commit: a branch shows another commit, or ends.

use super::log::Published;
use super::publish::{BranchShared, describe};
use crate::clock;
use crate::error::Result;
use crate::format::{BranchState, EntryKind, LogEntry};
use crate::snapshot::SnapshotState;

impl BranchShared {
    /// Shows the state of another branch's commit. False: `head` is not the newest any more.
    pub async fn forward(
        &self,
        head: &SnapshotState,
        to: &SnapshotState,
        actor: &str,
    ) -> Result<bool> {
        let state = BranchState {
            // The locks are those of this log.
            locked_at: head.locked_at,
            ..describe(to)
        };
        self.follow(head, EntryKind::Forward, Some(state), actor)
            .await
    }

    /// Ends the branch. False: `head` is not the newest any more.
    pub async fn end(&self, head: &SnapshotState, actor: &str) -> Result<bool> {
        self.follow(head, EntryKind::Tombstone, None, actor).await
    }

    /// Publishes an entry exactly behind `head`.
    async fn follow(
        &self,
        head: &SnapshotState,
        kind: EntryKind,
        state: Option<BranchState>,
        actor: &str,
    ) -> Result<bool> {
        let environment = &self.graph.environment;
        let entry = LogEntry {
            seq: head.seq + 1,
            nonce: clock::unique(&**environment),
            time: environment.now().max(head.time + 1),
            actor: actor.to_owned(),
            kind,
            state,
        };
        Ok(matches!(self.log.publish(entry).await?, Published::Ours(_)))
    }
}
