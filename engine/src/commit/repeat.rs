//! Commits that are made once, however often they are asked for, because their writer gave
//! them a key: a client that did not hear of its commit runs the transaction again.
//!
//! With its files a commit with a key writes where to look for the key: its slot. Whoever
//! overwrites that has looked for the key first, up to the entry before its own slot; so what
//! it says never lies behind the first commit with the key, and whoever reads from there on
//! finds that commit.

use futures::stream::{self, StreamExt, TryStreamExt};

use super::CommitInfo;
use super::log::read_object;
use super::proposal::Proposal;
use super::publish::BranchShared;
use super::rebase::Prepared;
use crate::error::Result;
use crate::format::{Commit, CommitPointer, EntryKind};
use crate::snapshot::SnapshotState;
use crate::storage::layout;

/// A key is remembered for so many entries of its branch's log, however old,
const ENTRIES: u64 = 10_000;
/// and for so many microseconds, however many entries came since.
const TIME: i64 = 24 * 3_600 * 1_000_000;
/// Entries that are read at once.
const READ_AHEAD: usize = 16;

/// Was a commit with the proposal's key made before?
pub(super) enum Made {
    No,
    Before(Box<CommitInfo>),
    /// It is about to be published, in the same group.
    Together,
}

pub(super) async fn look(
    branch: &BranchShared,
    proposal: &Proposal,
    start: &SnapshotState,
    group: &[Prepared],
) -> Result<Made> {
    let Some(key) = &proposal.message.idempotency_key else {
        return Ok(Made::No);
    };
    if group
        .iter()
        .any(|one| is_of(&one.commit, &proposal.actor, key))
    {
        return Ok(Made::Together);
    }
    let found = find(branch, &proposal.actor, key, start).await?;
    Ok(found.map_or(Made::No, |info| Made::Before(Box::new(info))))
}

/// The actor's commit with this key, up to `head`.
pub(crate) async fn find(
    branch: &BranchShared,
    actor: &str,
    key: &str,
    head: &SnapshotState,
) -> Result<Option<CommitInfo>> {
    let at = layout::key(&branch.log.branch_id, actor, key);
    let pointer: Option<CommitPointer> = read_object(&branch.graph.store, &at).await?;
    let Some(first) = pointer.map(|pointer| pointer.seq) else {
        return Ok(None);
    };
    let oldest = head.seq.saturating_sub(ENTRIES);
    let rest = oldest.max(first + 1)..=head.seq;
    let seqs = (first <= head.seq).then_some(first).into_iter().chain(rest);
    let mut entries = stream::iter(seqs)
        .map(|seq| branch.graph.logs.existing(&branch.log.branch_id, seq))
        .buffered(READ_AHEAD);
    while let Some(entry) = entries.try_next().await? {
        let EntryKind::Commits { commits } = &entry.kind else {
            continue;
        };
        let remembered = entry.seq >= oldest || head.time - entry.time < TIME;
        let found = commits.iter().find(|commit| is_of(commit, actor, key));
        if let Some(commit) = found.filter(|_| remembered) {
            let name = branch.name.to_string();
            return Ok(Some(CommitInfo::new(commit, entry.seq, name)));
        }
    }
    Ok(None)
}

fn is_of(commit: &Commit, actor: &str, key: &str) -> bool {
    commit.actor == actor && commit.idempotency_key.as_deref() == Some(key)
}
