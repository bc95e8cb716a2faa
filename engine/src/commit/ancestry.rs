//! Which commits led to which: walking back over them.
//!
//! Commits belong to the graph; a log only publishes them. Within a line of a log each commit's
//! first parent is the one before it; at a junction the log says where to go on, and other
//! parents are found by their ids.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt};

use super::history::{Point, commits_of, find};
use super::resolve::junction_of;
use super::{CommitInfo, HistoryKind};
use crate::error::{Error, Result};
use crate::format::{Commit, EntryKind, LogEntry};
use crate::graph::GraphShared;
use crate::names::CommitId;
use crate::storage::layout;

/// Which ancestors a walk shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ancestors {
    /// Each commit once, and before its parents.
    All,
    FirstParent,
}

/// The commits that led to a point, newest first, and between them the entries that made
/// none. Nothing is read before it is asked for.
pub(crate) fn walk(
    graph: Arc<GraphShared>,
    from: Point,
    parents: Ancestors,
) -> BoxStream<'static, Result<CommitInfo>> {
    let walk = Walk {
        graph,
        parents,
        start: Some(from),
        waiting: BTreeMap::new(),
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
    parents: Ancestors,
    start: Option<Point>,
    /// What comes next, by generation: a commit's parents are always below it.
    waiting: BTreeMap<(u64, CommitId), Place>,
    ready: VecDeque<CommitInfo>,
}

/// A commit in the entry that published it.
pub(super) struct Place {
    pub branch_id: String,
    pub entry: Arc<LogEntry>,
    pub index: usize,
}

impl Place {
    /// A commit's parents come before it in this order.
    pub fn order(&self) -> (u64, CommitId) {
        let commit = self.commit();
        (commit.generation, commit.id)
    }

    pub fn commit(&self) -> &Commit {
        &commits_of(&self.entry)[self.index]
    }

    pub fn point(&self) -> Point {
        Point {
            branch_id: self.branch_id.clone(),
            entry: self.entry.clone(),
            commit: self.commit().id,
        }
    }
}

impl Walk {
    async fn next(&mut self) -> Result<Option<CommitInfo>> {
        if let Some(start) = self.start.take() {
            let (branch, seq) = (start.branch_id, start.entry.seq);
            let rows = Some(&mut self.ready);
            let place = back(&self.graph, branch, seq, Some(start.commit), rows).await?;
            self.wait_for(place);
        }
        if let Some(row) = self.ready.pop_front() {
            return Ok(Some(row));
        }
        let Some((_, place)) = self.waiting.pop_last() else {
            return Ok(None);
        };
        let branch = self.graph.branch_label(&place.branch_id);
        let row = CommitInfo::new(place.commit(), place.entry.seq, branch);
        for parent in parents(&self.graph, place, self.parents, Some(&mut self.ready)).await? {
            self.wait_for(Some(parent));
        }
        Ok(Some(row))
    }

    fn wait_for(&mut self, place: Option<Place>) {
        if let Some(place) = place {
            self.waiting.insert(place.order(), place);
        }
    }
}

/// A commit's parents, where the logs hold them.
pub(super) async fn parents(
    graph: &GraphShared,
    place: Place,
    which: Ancestors,
    rows: Option<&mut VecDeque<CommitInfo>>,
) -> Result<Vec<Place>> {
    let ids = place.commit().parents.clone();
    let mut found = Vec::with_capacity(ids.len());
    if !ids.is_empty() {
        found.extend(before(graph, place, rows).await?);
    }
    if which == Ancestors::All {
        for id in ids.into_iter().skip(1) {
            let point = find(graph, id).await?;
            found.extend(back(graph, point.branch_id, point.entry.seq, Some(id), None).await?);
        }
    }
    Ok(found)
}

/// The commit before this one in its line.
pub(super) async fn before(
    graph: &GraphShared,
    place: Place,
    rows: Option<&mut VecDeque<CommitInfo>>,
) -> Result<Option<Place>> {
    if place.index > 0 {
        return Ok(Some(Place {
            index: place.index - 1,
            ..place
        }));
    }
    match place.entry.seq.checked_sub(1) {
        Some(seq) => back(graph, place.branch_id, seq, None, rows).await,
        None => Ok(None),
    }
}

/// The nearest commit at or before an entry. The entries on the way that made none are put
/// into `rows`, up to a junction: what lies behind it is shown by who walks there.
pub(super) async fn back(
    graph: &GraphShared,
    mut branch_id: String,
    mut seq: u64,
    mut wanted: Option<CommitId>,
    mut rows: Option<&mut VecDeque<CommitInfo>>,
) -> Result<Option<Place>> {
    loop {
        let entry = graph.logs.outline(&branch_id, seq).await?;
        let commits = commits_of(&entry);
        if !commits.is_empty() {
            let index = match wanted {
                Some(id) => commits.iter().position(|commit| commit.id == id),
                None => Some(commits.len() - 1),
            };
            let index = index.ok_or_else(|| Error::Corrupt {
                object: layout::log_entry(&branch_id, seq),
                message: format!(
                    "it lacks commit {}",
                    wanted.map(|id| id.to_string()).unwrap_or_default()
                ),
            })?;
            return Ok(Some(Place {
                branch_id,
                entry,
                index,
            }));
        }
        if let Some(rows) = &mut rows {
            rows.extend(row(&graph.branch_label(&branch_id), &entry));
        }
        if let Some(junction) = junction_of(&entry) {
            branch_id = junction.from.branch.clone();
            seq = junction.from.seq;
            wanted = Some(junction.from.commit);
            rows = None;
        } else if seq > 0 {
            seq -= 1;
        } else {
            return Ok(None);
        }
    }
}

/// What entries of a log published: commits, and states that the branch came to show.
pub(crate) async fn published(
    graph: &GraphShared,
    branch_id: &str,
    label: &str,
    entries: std::ops::RangeInclusive<u64>,
) -> Result<Vec<CommitInfo>> {
    let mut found = Vec::new();
    for seq in entries {
        let entry = graph.logs.outline(branch_id, seq).await?;
        let commits = commits_of(&entry).iter();
        found.extend(commits.map(|commit| CommitInfo::new(commit, seq, label.to_owned())));
        let moved = row(label, &entry).filter(|row| row.kind != HistoryKind::Maintain);
        found.extend(moved);
    }
    Ok(found)
}

/// How an entry that made no commit is shown.
fn row(label: &str, entry: &LogEntry) -> Option<CommitInfo> {
    let kind = match &entry.kind {
        EntryKind::Maintain => HistoryKind::Maintain,
        EntryKind::Forward(_) => HistoryKind::Forward,
        EntryKind::Reset(_) => HistoryKind::Reset,
        _ => return None,
    };
    Some(CommitInfo {
        id: entry.state.as_ref()?.head,
        seq: entry.seq,
        branch: label.to_owned(),
        parents: Vec::new(),
        actor: entry.actor.clone(),
        created_at: entry.time,
        message: None,
        metadata: serde_json::Map::new(),
        kind,
        inserted: 0,
        updated: 0,
        deleted: 0,
    })
}
