//! Walking back over commits, and finding one by its id.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt};

use super::CommitInfo;
use super::log::read_object;
use crate::error::{Error, ObjectKind, Result};
use crate::format::{BranchState, CommitPointer, EntryKind, LogEntry};
use crate::graph::GraphShared;
use crate::names::CommitId;
use crate::storage::layout;

/// The commits from `start` on, newest first: those of its own branch, then those of the
/// branch it was made from, and so on.
pub(crate) fn walk(
    graph: Arc<GraphShared>,
    branch_id: String,
    start: Arc<LogEntry>,
    from: CommitId,
) -> BoxStream<'static, Result<CommitInfo>> {
    let walk = Walk {
        graph,
        branch_id,
        next: Some(start),
        skip_until: Some(from),
        ready: VecDeque::new(),
    };
    futures::stream::unfold(walk, |mut walk| async move {
        let item = walk.next().await.transpose()?;
        Some((item, walk))
    })
    .boxed()
}

struct Walk {
    graph: Arc<GraphShared>,
    branch_id: String,
    next: Option<Arc<LogEntry>>,
    /// Newer commits of the same entry are passed over until this one is met.
    skip_until: Option<CommitId>,
    ready: VecDeque<CommitInfo>,
}

impl Walk {
    async fn next(&mut self) -> Result<Option<CommitInfo>> {
        loop {
            if let Some(commit) = self.ready.pop_front() {
                return Ok(Some(commit));
            }
            let Some(entry) = self.next.take() else {
                return Ok(None);
            };
            match &entry.kind {
                EntryKind::Commits { commits } => {
                    let branch = self.graph.branch_label(&self.branch_id);
                    for commit in commits.iter().rev() {
                        if self.skip_until.is_some_and(|wanted| wanted != commit.id) {
                            continue;
                        }
                        self.skip_until = None;
                        self.ready
                            .push_back(CommitInfo::new(commit, entry.seq, branch.clone()));
                    }
                    if entry.seq > 0 {
                        self.step(self.branch_id.clone(), entry.seq - 1).await?;
                    }
                }
                EntryKind::Fork { from } => {
                    self.skip_until = Some(from.commit);
                    self.step(from.branch.clone(), from.seq).await?;
                }
                _ if entry.seq > 0 => self.step(self.branch_id.clone(), entry.seq - 1).await?,
                _ => {}
            }
        }
    }

    async fn step(&mut self, branch_id: String, seq: u64) -> Result<()> {
        self.next = Some(entry(&self.graph, &branch_id, seq).await?);
        self.branch_id = branch_id;
        Ok(())
    }
}

/// A commit by its id: the log entry that lists it, and the state after it. What points to a
/// commit is written with its data, so it may name one that was never published; the log
/// decides.
pub(crate) async fn find(
    graph: &Arc<GraphShared>,
    id: CommitId,
) -> Result<(String, Arc<LogEntry>, BranchState)> {
    let unknown = || Error::not_found(ObjectKind::Commit, id.to_string());
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
    }
    Ok(Some(state))
}

async fn entry(graph: &Arc<GraphShared>, branch_id: &str, seq: u64) -> Result<Arc<LogEntry>> {
    graph
        .logs
        .entry(branch_id, seq)
        .await?
        .ok_or_else(|| Error::Corrupt {
            object: layout::log_entry(branch_id, seq),
            message: "it is missing from the log".to_owned(),
        })
}
