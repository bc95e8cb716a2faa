//! Taking turns with other processes that publish on the same branch.
//!
//! Whoever loses a slot has to rebase, which takes longer than the winner needs for its next
//! commit: over a slow store one process could win every slot for ever. A writer that has lost
//! some times therefore publishes a `noop`, which needs no rebase, and by it asks all others
//! to wait for its next entry. This is politeness; nothing rests on it but fairness.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::log::Published;
use super::publish::BranchShared;
use crate::clock::{self, Environment};
use crate::error::{Error, Result};
use crate::format::{EntryKind, LogEntry};
use crate::snapshot::SnapshotState;

/// Slots lost before asking to go first.
const LOSSES: u32 = 3;
/// Slots tried for that.
const ASKING: u32 = 20;
/// The longest that anybody waits for another process.
const LONGEST_HOLD: Duration = Duration::from_secs(5);
const SHORTEST_HOLD: Duration = Duration::from_millis(100);
const FIRST_LOOK: Duration = Duration::from_millis(2);
const LAST_LOOK: Duration = Duration::from_millis(50);

/// One group's way to its slot.
pub(super) struct Turn {
    lost: u32,
    /// When it began, by the stopwatch.
    attempt: Duration,
}

impl Turn {
    pub fn new() -> Self {
        Turn {
            lost: 0,
            attempt: Duration::ZERO,
        }
    }

    /// The state to build on, once nobody else has asked to go first.
    pub async fn begin(&mut self, branch: &Arc<BranchShared>) -> Result<Arc<SnapshotState>> {
        wait_for_holder(branch).await?;
        self.attempt = branch.graph.environment.stopwatch();
        if self.lost == 0 {
            branch.known_state().await
        } else {
            branch.head_state().await
        }
    }

    /// Is this not the first attempt?
    pub fn is_retry(&self) -> bool {
        self.lost > 0
    }

    /// The slot went to `winner`.
    pub async fn lost(&mut self, branch: &Arc<BranchShared>, winner: &LogEntry) -> Result<()> {
        self.lost += 1;
        let held = matches!(winner.kind, EntryKind::Noop { .. });
        if self.lost >= LOSSES && !held {
            return self.ask(branch).await;
        }
        // Whoever lost waits a little, so that two processes do not meet again in step.
        let jitter = branch.graph.environment.random() as u64 % 4000;
        let environment = &branch.graph.environment;
        environment.pause(Duration::from_micros(jitter)).await;
        Ok(())
    }

    /// Asks to go first, for as long as an attempt has been seen to take and some more. The
    /// others may be quick enough to take this slot too: then the next one.
    async fn ask(&self, branch: &Arc<BranchShared>) -> Result<()> {
        let environment = &branch.graph.environment;
        let taken = environment.stopwatch().saturating_sub(self.attempt);
        let hold = (taken * 4).clamp(SHORTEST_HOLD, LONGEST_HOLD);
        for _ in 0..ASKING {
            let head = branch.log.head().await?;
            if head.state.is_none() || matches!(head.kind, EntryKind::Noop { .. }) {
                return Ok(());
            }
            let entry = noop(&head, &**environment, hold.as_millis() as u64);
            match branch.log.publish(entry).await {
                Ok(Published::Ours(entry)) => {
                    branch.asked.store(entry.seq, Ordering::Relaxed);
                    return Ok(());
                }
                Ok(Published::Theirs(_)) => {}
                // Nothing depends on it: the next attempt finds out what fills the slot.
                Err(Error::OutcomeUnknown { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The entry behind `head` that changes nothing.
pub(super) fn noop(head: &LogEntry, environment: &dyn Environment, hold_ms: u64) -> LogEntry {
    LogEntry {
        seq: head.seq + 1,
        nonce: clock::unique(environment),
        time: environment.now().max(head.time + 1),
        actor: String::new(),
        kind: EntryKind::Noop { hold_ms },
        state: head.state.clone(),
        expired: false,
    }
}

/// If another process has asked to go first, waits for its entry or until its time is up.
async fn wait_for_holder(branch: &Arc<BranchShared>) -> Result<()> {
    let Some(head) = branch.log.known_head() else {
        return Ok(());
    };
    let EntryKind::Noop { hold_ms } = head.kind else {
        return Ok(());
    };
    if branch.asked.load(Ordering::Relaxed) == head.seq {
        return Ok(());
    }
    let environment = &branch.graph.environment;
    let until = environment.stopwatch() + Duration::from_millis(hold_ms).min(LONGEST_HOLD);
    let mut pause = FIRST_LOOK;
    while environment.stopwatch() < until && branch.log.head().await?.seq == head.seq {
        environment.pause(pause).await;
        pause = (pause * 2).min(LAST_LOOK);
    }
    Ok(())
}
