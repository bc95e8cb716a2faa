//! Entries that make no commit: they state again what some commit's state is.

use std::sync::Arc;

use super::log::Published;
use super::publish::{BranchShared, describe};
use super::resolve::junction_of;
use crate::clock;
use crate::error::{Error, Result};
use crate::format::{BranchState, EntryKind, ForkPoint, Junction, LinePoint, LogEntry};
use crate::graph::GraphShared;
use crate::snapshot::{Snapshot, SnapshotState};

/// Tries to win the next slot before somebody is told that others always did.
const ATTEMPTS: usize = 1000;

impl GraphShared {
    /// The junction of a line that goes on from `state`. Skips are laid so that any earlier
    /// line is reached in steps that grow with the logarithm of the lines between.
    pub async fn junction(&self, state: &SnapshotState) -> Result<Junction> {
        let line = state.lineage.line;
        let start = self.logs.existing(&state.branch_id, line).await?;
        let before = junction_of(&start);
        let last = LinePoint {
            branch: state.branch_id.clone(),
            seq: line,
            lines: before.map_or(0, |junction| junction.lines),
        };
        let skip = match before.and_then(|junction| junction.skip.clone()) {
            None => last.clone(),
            Some(near) => {
                let entry = self.logs.existing(&near.branch, near.seq).await?;
                match junction_of(&entry).and_then(|junction| junction.skip.clone()) {
                    Some(far) if last.lines - near.lines == near.lines - far.lines => far,
                    None if last.lines - near.lines == near.lines => near,
                    _ => last.clone(),
                }
            }
        };
        Ok(Junction {
            from: ForkPoint {
                branch: state.branch_id.clone(),
                seq: state.seq,
                commit: state.commit,
            },
            lines: last.lines + 1,
            skip: Some(skip),
        })
    }

    /// An entry to publish.
    pub fn entry(
        &self,
        seq: u64,
        time: i64,
        actor: &str,
        kind: EntryKind,
        state: Option<BranchState>,
    ) -> LogEntry {
        LogEntry {
            seq,
            nonce: clock::unique(&*self.environment),
            time,
            actor: actor.to_owned(),
            kind,
            state,
            expired: false,
        }
    }
}

impl BranchShared {
    /// Moves the branch to another state, whatever its head is by then. What others have
    /// published since is left behind; who is about to publish checks against the new state.
    pub async fn reset(self: &Arc<Self>, to: &Snapshot, actor: &str) -> Result<Arc<SnapshotState>> {
        let junction = self.graph.junction(&to.state).await?;
        for _ in 0..ATTEMPTS {
            self.graph.check_kept(&to.state).await?;
            let head = self.head_state().await?;
            let mut state = describe(&to.state);
            let fence = head.lineage.fence;
            state.lineage = to.state.lineage.line_at(head.seq + 1, fence);
            // The locks are those of this log.
            state.locked_at = head.locked_at;
            if let Some(state) = self
                .restate(&head, EntryKind::Reset(junction.clone()), state, actor)
                .await?
            {
                return Ok(state);
            }
        }
        Err(Error::Conflict {
            table: String::new(),
            id: String::new(),
            branch: self.name.to_string(),
            expected: "a turn to publish".to_owned(),
            actual: "other writers published all the time".to_owned(),
        })
    }

    /// Shows the state of another branch's commit. False: `head` is not the newest any more.
    pub async fn forward(
        &self,
        head: &SnapshotState,
        to: &SnapshotState,
        actor: &str,
    ) -> Result<bool> {
        self.graph.check_kept(to).await?;
        let junction = self.graph.junction(to).await?;
        let mut state = describe(to);
        state.lineage = to.lineage.line_at(head.seq + 1, head.lineage.fence);
        // The locks are those of this log.
        state.locked_at = head.locked_at;
        self.follow(
            head.place(),
            EntryKind::Forward(junction),
            Some(state),
            actor,
        )
        .await
    }

    /// Ends the branch. False: `head` is not the newest any more.
    pub async fn end(&self, head: (u64, i64), actor: &str) -> Result<bool> {
        self.follow(head, EntryKind::Tombstone, None, actor).await
    }

    /// Publishes an entry exactly behind `head`, of which number and time are given.
    async fn follow(
        &self,
        (seq, time): (u64, i64),
        kind: EntryKind,
        state: Option<BranchState>,
        actor: &str,
    ) -> Result<bool> {
        self.graph.prove_writable().await?;
        let time = self.graph.environment.now().max(time + 1);
        let entry = self.graph.entry(seq + 1, time, actor, kind, state);
        Ok(matches!(self.log.publish(entry).await?, Published::Ours(_)))
    }

    /// Publishes `state` right behind `head`. `None`: somebody else was first.
    pub async fn restate(
        self: &Arc<Self>,
        head: &SnapshotState,
        kind: EntryKind,
        state: BranchState,
        actor: &str,
    ) -> Result<Option<Arc<SnapshotState>>> {
        match self.follow(head.place(), kind, Some(state), actor).await? {
            true => self.known_state().await.map(Some),
            false => Ok(None),
        }
    }
}
