//! What vacuum keeps: the states at and above each log's horizon, and those that names pin.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::commit::common::merge_bases;
use crate::commit::history::{self, commits_of};
use crate::commit::log::BranchLog;
use crate::commit::names::Names;
use crate::dataset::TableLocation;
use crate::error::{Error, Result};
use crate::format::{EntryKind, EntryPlace, LogEntry, RefOperation, TableLine, Written};
use crate::graph::Graph;
use crate::names::{BranchName, CommitId};

/// Every log of the graph, and from which entry on its states are kept.
pub(super) type Horizons = BTreeMap<String, u64>;

/// What is reachable.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Table versions, by directory.
    pub tables: HashMap<String, HashMap<u64, TableLocation>>,
    /// Commits whose lists of ids lie beside the log.
    pub listed: BTreeSet<CommitId>,
    /// Entries below their log's horizon that are kept all the same.
    pub pinned: BTreeSet<(String, u64)>,
    /// An entry that states each head.
    pub heads: HashMap<CommitId, EntryPlace>,
}

impl Marks {
    pub fn keeps(&self, branch_id: &str, seq: u64) -> bool {
        self.pinned.contains(&(branch_id.to_owned(), seq))
    }

    fn add(&mut self, branch_id: &str, entry: &LogEntry) {
        if let Some(state) = entry.state.as_ref().filter(|_| !entry.expired) {
            let place = EntryPlace {
                branch: branch_id.to_owned(),
                seq: entry.seq,
            };
            self.heads.insert(state.head, place);
        }
        for line in entry.state.iter().flat_map(|state| state.tables.values()) {
            self.table(line);
        }
        for commit in commits_of(entry) {
            for table in commit.tables.values() {
                self.table(&table.after);
            }
            let written = commit.tables.values().map(|table| &table.written);
            if written
                .chain(commit.locked.values())
                .any(|list| *list == Written::Elsewhere)
            {
                self.listed.insert(commit.id);
            }
        }
    }

    fn table(&mut self, line: &TableLine) {
        let location = &line.location;
        self.tables
            .entry(location.dir.clone())
            .or_default()
            .entry(location.version)
            .or_insert_with(|| location.clone());
    }
}

/// The horizon of each log: the entry that was shown at `cutoff`. Whatever was superseded
/// later is kept.
pub(super) async fn horizons(graph: &Graph, names: &Names, cutoff: i64) -> Result<Horizons> {
    let shared = &graph.shared;
    let mut horizons = Horizons::new();
    for branch_id in logs(graph, names).await? {
        let live = names
            .all
            .branches
            .values()
            .any(|line| line.branch == branch_id);
        // Its first entry is on its way, or it is of a graph that was here before this one, of
        // which only the tombstones are left.
        if !live && shared.logs.entry(&branch_id, 0).await?.is_none() {
            continue;
        }
        let head = BranchLog::new(shared.logs.clone(), branch_id.clone())
            .head()
            .await?;
        let ended = matches!(head.kind, EntryKind::Tombstone);
        // A log without a name that has not ended is about to get one, or never will: it
        // states what another log does.
        if !live && !ended {
            continue;
        }
        let horizon = shared.shown_before(&branch_id, cutoff).await?;
        horizons.insert(branch_id, horizon);
    }
    Ok(horizons)
}

/// The logs of all branches, also of those that were deleted.
async fn logs(graph: &Graph, names: &Names) -> Result<BTreeSet<String>> {
    let folders = graph.shared.store.list_folders("_graph/branches").await?;
    let live = names.all.branches.values().map(|line| line.branch.clone());
    Ok(folders.into_iter().chain(live).collect())
}

/// Marks what is kept: `names` are those at the fence or later.
pub(super) async fn mark(
    graph: &Graph,
    names: &Names,
    horizons: &Horizons,
    cutoff: i64,
) -> Result<Marks> {
    let shared = &graph.shared;
    let mut marks = Marks::default();
    let live = names.all.branches.values().map(|line| line.branch.clone());
    let logs: BTreeSet<String> = horizons.keys().cloned().chain(live).collect();
    for branch_id in logs {
        let head = BranchLog::new(shared.logs.clone(), branch_id.clone())
            .head()
            .await?;
        let horizon = horizons.get(&branch_id).copied().unwrap_or(0);
        for seq in horizon..=head.seq {
            let entry = shared.logs.existing(&branch_id, seq).await?;
            if seq == horizon
                && let Some(before) = stands_on(&entry)
            {
                marks.add(
                    &branch_id,
                    &*shared.logs.existing(&branch_id, before).await?,
                );
                marks.pinned.insert((branch_id.clone(), before));
            }
            marks.add(&branch_id, &entry);
        }
    }
    for (branch_id, seq) in pins(graph, names, cutoff).await? {
        let entry = shared.logs.existing(&branch_id, seq).await?;
        marks.add(&branch_id, &entry);
        marks.pinned.insert((branch_id, seq));
    }
    Ok(marks)
}

/// The first commits of a group stand on the state before the entry.
fn stands_on(entry: &LogEntry) -> Option<u64> {
    match commits_of(entry).len() {
        0 | 1 => None,
        _ => entry.seq.checked_sub(1),
    }
}

/// The entries that names hold on to: tags, also those deleted since `cutoff`, where branches
/// were made, and where each could be merged from.
pub(super) async fn pins(
    graph: &Graph,
    names: &Names,
    cutoff: i64,
) -> Result<BTreeSet<(String, u64)>> {
    let mut pins: BTreeSet<(String, u64)> =
        names.pins().map(|at| (at.branch.clone(), at.seq)).collect();
    let mut number = names.number;
    while let Some(at) = number {
        let Some(entry) = graph.shared.names.entry(at).await? else {
            break;
        };
        if entry.time <= cutoff {
            break;
        }
        if let RefOperation::DeleteTag { tag, .. } = &entry.operation {
            pins.insert((tag.at.branch.clone(), tag.at.seq));
        }
        number = at.checked_sub(1);
    }
    for (name, line) in &names.all.branches {
        let parent = line
            .from_name
            .as_deref()
            .filter(|parent| names.all.branches.contains_key(*parent));
        for other in [Some(BranchName::MAIN), parent].into_iter().flatten() {
            if other == name {
                continue;
            }
            for base in bases(graph, name, other).await? {
                pins.insert(base);
            }
        }
    }
    for (branch_id, seq) in pins.clone() {
        let entry = graph.shared.logs.existing(&branch_id, seq).await?;
        pins.extend(stands_on(&entry).map(|before| (branch_id, before)));
    }
    Ok(pins)
}

/// Where the merge bases of two branches were published.
async fn bases(graph: &Graph, left: &str, right: &str) -> Result<Vec<(String, u64)>> {
    let shared = &graph.shared;
    let (left, right) = match (graph.snapshot(left).await, graph.snapshot(right).await) {
        (Ok(left), Ok(right)) => (left, right),
        // It has just been deleted.
        (Err(Error::NotFound { .. }), _) | (_, Err(Error::NotFound { .. })) => {
            return Ok(Vec::new());
        }
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    let left = shared.point_of(&left.state).await?;
    let right = shared.point_of(&right.state).await?;
    let bases = merge_bases(shared, left, right).await?;
    let mut places = Vec::with_capacity(bases.len());
    for base in bases {
        let at = match history::kept(shared, &base).await {
            Err(Error::Expired { .. }) => base,
            kept => kept?,
        };
        places.push((at.branch_id, at.entry.seq));
    }
    Ok(places)
}
