//! Which commits led to which: parents, all ancestors, and where two histories last met.
//!
//! Commits belong to the graph; a log only publishes them. So ancestry goes by the parents that
//! commits name, never by the order of a log, which a forward or a reset may have turned. Where a
//! commit is published is looked up in the log beside its child first, where it nearly always
//! is, and by its id otherwise.

use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt};

use super::CommitInfo;
use super::history;
use crate::error::Result;
use crate::format::{EntryKind, LogEntry};
use crate::graph::GraphShared;
use crate::names::CommitId;
use crate::snapshot::SnapshotState;

/// A commit and the log entry that publishes it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub info: CommitInfo,
    /// Longer than that of each of its parents.
    pub generation: u64,
    branch_id: String,
}

/// Which ancestors a walk shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ancestors {
    All,
    FirstParent,
}

/// The commit that a state shows.
pub(crate) async fn head(graph: &Arc<GraphShared>, state: &SnapshotState) -> Result<Found> {
    search(graph, &state.branch_id, state.seq, state.commit).await
}

/// The commits that led to `start`, itself first, each before its parents.
pub(crate) fn walk(
    graph: Arc<GraphShared>,
    start: Found,
    which: Ancestors,
) -> BoxStream<'static, Result<CommitInfo>> {
    let front = Front::new(graph, [(start, 0)]);
    futures::stream::unfold(Some(front), move |front| async move {
        let mut front = front?;
        let (found, _) = front.pop()?;
        let parents = match which {
            Ancestors::All => usize::MAX,
            Ancestors::FirstParent => 1,
        };
        match front.push_parents(&found, parents, 0).await {
            Ok(()) => Some((Ok(found.info), Some(front))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

/// Is the commit `ancestor`, of this generation, `descendant` or one of its ancestors?
pub(crate) async fn contains(
    graph: &Arc<GraphShared>,
    descendant: Found,
    ancestor: CommitId,
    generation: u64,
) -> Result<bool> {
    let mut front = Front::new(graph.clone(), [(descendant, 0)]);
    while let Some((found, _)) = front.pop() {
        if found.info.id == ancestor {
            return Ok(true);
        }
        if found.generation > generation {
            front.push_parents(&found, usize::MAX, 0).await?;
        }
    }
    Ok(false)
}

const OURS: u8 = 1;
const THEIRS: u8 = 2;
/// Reached from a base that was found already.
const BELOW: u8 = 4;

/// The newest commits that both histories contain. More than one: the histories were merged
/// crosswise.
pub(crate) async fn merge_bases(
    graph: &Arc<GraphShared>,
    ours: Found,
    theirs: Found,
) -> Result<Vec<CommitId>> {
    let mut front = Front::new(graph.clone(), [(ours, OURS), (theirs, THEIRS)]);
    let mut bases = Vec::new();
    while front.holds_other_than(BELOW)
        && let Some((found, mut reached)) = front.pop()
    {
        if reached == OURS | THEIRS {
            bases.push(found.info.id);
            reached |= BELOW;
        }
        front.push_parents(&found, usize::MAX, reached).await?;
    }
    Ok(bases)
}

/// How many commits only the one history contains, and how many only the other.
pub(crate) async fn apart(
    graph: &Arc<GraphShared>,
    ours: Found,
    theirs: Found,
) -> Result<(u64, u64)> {
    let mut front = Front::new(graph.clone(), [(ours, OURS), (theirs, THEIRS)]);
    let (mut ahead, mut behind) = (0, 0);
    while front.holds_other_than(OURS | THEIRS)
        && let Some((found, reached)) = front.pop()
    {
        ahead += u64::from(reached == OURS);
        behind += u64::from(reached == THEIRS);
        front.push_parents(&found, usize::MAX, reached).await?;
    }
    Ok((ahead, behind))
}

/// Commits still to be visited, highest generation first: each comes out once, after all its
/// descendants, with the marks of all of them.
struct Front {
    graph: Arc<GraphShared>,
    order: BinaryHeap<(u64, CommitId)>,
    found: HashMap<CommitId, (Found, u8)>,
    marks: BTreeMap<u8, usize>,
}

impl Front {
    fn new(graph: Arc<GraphShared>, start: impl IntoIterator<Item = (Found, u8)>) -> Self {
        let mut front = Front {
            graph,
            order: BinaryHeap::new(),
            found: HashMap::new(),
            marks: BTreeMap::new(),
        };
        for (found, mark) in start {
            front.push(found, mark);
        }
        front
    }

    fn push(&mut self, found: Found, mark: u8) {
        let id = found.info.id;
        if !self.mark(id, mark) {
            self.order.push((found.generation, id));
            *self.marks.entry(mark).or_default() += 1;
            self.found.insert(id, (found, mark));
        }
    }

    /// Adds a mark to a commit that waits; false if it does not.
    fn mark(&mut self, id: CommitId, mark: u8) -> bool {
        let Some((_, held)) = self.found.get_mut(&id) else {
            return false;
        };
        *self.marks.entry(*held).or_default() -= 1;
        *held |= mark;
        *self.marks.entry(*held).or_default() += 1;
        true
    }

    fn pop(&mut self) -> Option<(Found, u8)> {
        let (_, id) = self.order.pop()?;
        let (found, mark) = self.found.remove(&id)?;
        *self.marks.entry(mark).or_default() -= 1;
        Some((found, mark))
    }

    async fn push_parents(&mut self, child: &Found, limit: usize, mark: u8) -> Result<()> {
        for &parent in child.info.parents.iter().take(limit) {
            if self.mark(parent, mark) {
                continue;
            }
            let found = search(&self.graph, &child.branch_id, child.info.seq, parent).await?;
            self.push(found, mark);
        }
        Ok(())
    }

    fn holds_other_than(&self, mark: u8) -> bool {
        self.marks
            .iter()
            .any(|(held, count)| held & mark != mark && *count > 0)
    }
}

/// A commit that is probably published at or shortly before entry `seq` of a log.
async fn search(
    graph: &Arc<GraphShared>,
    branch_id: &str,
    seq: u64,
    id: CommitId,
) -> Result<Found> {
    let (mut branch_id, mut seq) = (branch_id.to_owned(), seq);
    loop {
        let entry = history::entry(graph, &branch_id, seq).await?;
        if let Some(found) = listed(graph, &branch_id, &entry, id) {
            return Ok(found);
        }
        match &entry.kind {
            EntryKind::Fork { from } if from.commit == id => {
                branch_id = from.branch.clone();
                seq = from.seq;
            }
            // The commit before the first of the entry, or the one that the entry restates.
            EntryKind::Commits { commits }
                if seq > 0
                    && commits
                        .first()
                        .is_some_and(|first| first.parents.first() == Some(&id)) =>
            {
                seq -= 1;
            }
            EntryKind::Maintain | EntryKind::Fence | EntryKind::Noop { .. } if seq > 0 => seq -= 1,
            _ => {
                let (branch_id, entry, _) = history::find(graph, id).await?;
                return listed(graph, &branch_id, &entry, id).ok_or_else(|| history::unknown(id));
            }
        }
    }
}

fn listed(
    graph: &Arc<GraphShared>,
    branch_id: &str,
    entry: &LogEntry,
    id: CommitId,
) -> Option<Found> {
    let EntryKind::Commits { commits } = &entry.kind else {
        return None;
    };
    let commit = commits.iter().find(|commit| commit.id == id)?;
    Some(Found {
        info: CommitInfo::new(commit, entry.seq, graph.branch_label(branch_id)),
        generation: commit.generation,
        branch_id: branch_id.to_owned(),
    })
}
