//! Vacuum: rewriting what wastes space, and removing what no state that is kept holds.
//!
//! It runs beside writers and readers of any process and takes no part in their clocks:
//!
//! 1. The **horizon** of each log is the entry that was shown when the retention began.
//! 2. A **fence** in the log of names says so; from then on nobody gives a name to a state
//!    below a horizon. A fence entry in each branch's log follows.
//! 3. What is at or above the horizons, and what names pin, is **marked**.
//! 4. Entries below the horizons forget their tables; then files that are not marked and are
//!    older than the fence by more than the grace, by the store's own times, are **removed**.
//!
//! A writer whose files could have been removed has begun before the fence, so it loses its
//! slot to the fence entry; it then looks whether its files are still there ([`check_files`])
//! and gives up if one is not, or is that old. A reader of a state below the horizon is told
//! that it is no longer kept.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures::{Stream, StreamExt, TryStreamExt};

use super::blobs::{self, Objects};
use super::compact;
use super::mark::{self, Horizons, Marks};
use crate::commit::history::commits_of;
use crate::commit::log::read_object;
use crate::commit::publish::describe;
use crate::dataset::{TableLocation, TableVersion};
use crate::error::{Error, Result};
use crate::format::{self, CommitPointer, EntryKind, Fence, LogEntry, RefOperation};
use crate::graph::{Graph, GraphShared, NAME_ATTEMPTS, busy};
use crate::names::{BranchName, CommitId};
use crate::storage::{Stored, layout};

/// Entries that are kept although they lie below their log's horizon.
type Pinned = BTreeSet<(String, u64)>;

/// Requests sent side by side.
const PARALLEL: usize = 16;
/// Tries to win a slot for a fence while others publish.
const FENCE_ATTEMPTS: usize = 1000;

#[derive(Debug, Clone)]
pub struct VacuumOptions {
    pub actor: String,
    /// How long a state stays readable after it was superseded, in microseconds.
    pub retain: i64,
    /// How much older than the fence a file must be, in microseconds. Less costs long
    /// transactions their work, never data. States are kept at least as long.
    pub grace: i64,
    /// Say what would be done, and do nothing.
    pub dry_run: bool,
}

impl Default for VacuumOptions {
    fn default() -> Self {
        const DAY: i64 = 24 * 3_600_000_000;
        VacuumOptions {
            actor: String::new(),
            retain: 7 * DAY,
            grace: DAY,
            dry_run: false,
        }
    }
}

/// What a vacuum did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VacuumReport {
    /// Tables of branches whose files were rewritten.
    pub compacted: u64,
    pub kept: Sum,
    pub removed: Sum,
    /// Entries of logs whose states are no longer kept.
    pub expired: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    pub files: u64,
    pub bytes: u64,
}

impl Sum {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

impl Graph {
    pub async fn vacuum(&self, options: VacuumOptions) -> Result<VacuumReport> {
        let mut vacuum = Vacuum {
            graph: self,
            options,
            report: VacuumReport::default(),
        };
        vacuum.run().await?;
        Ok(vacuum.report)
    }
}

struct Vacuum<'a> {
    graph: &'a Graph,
    options: VacuumOptions,
    report: VacuumReport,
}

impl Vacuum<'_> {
    async fn run(&mut self) -> Result<()> {
        let shared = &self.graph.shared;
        if !self.options.dry_run {
            shared.prove_writable().await?;
            self.report.compacted = compact::compact(self.graph, &self.options.actor).await?;
        }
        let now = shared.environment.now();
        let cutoff = now - self.options.retain.max(self.options.grace);
        let mut names = shared.names.refresh().await?;
        let mut horizons = mark::horizons(self.graph, &names, cutoff).await?;
        // What was given up before stays given up.
        for (branch_id, horizon) in &mut horizons {
            *horizon = (*horizon).max(names.horizon(branch_id));
        }
        let before = names.all.fence.clone();
        let pinned_before = before.map(|fence| fence.pinned).unwrap_or_default();
        let fenced_at = if self.options.dry_run {
            now
        } else {
            let fence = self.fence(&horizons, &pinned_before, cutoff).await?;
            self.fence_branches(fence).await?;
            names = shared.names.refresh().await?;
            modified(shared, &layout::ref_entry(&shared.id, fence)).await?
        };
        let marks = mark::mark(self.graph, &names, &horizons, cutoff).await?;
        self.expire(&horizons, &marks, &pinned_before).await?;
        let limit = fenced_at - self.options.grace;
        self.sweep(&marks, limit).await
    }

    /// Publishes the horizons in the log of names; the number of the entry.
    async fn fence(&self, horizons: &Horizons, before: &Pinned, cutoff: i64) -> Result<u64> {
        let shared = &self.graph.shared;
        for _ in 0..NAME_ATTEMPTS {
            let names = shared.names.refresh().await?;
            let mut pinned = mark::pins(self.graph, &names, cutoff).await?;
            pinned.extend(before.iter().cloned());
            pinned.retain(|(branch_id, seq)| *seq < horizons.get(branch_id).copied().unwrap_or(0));
            let fence = Fence {
                number: names.next(),
                grace: self.options.grace,
                horizons: horizons.clone(),
                pinned,
            };
            let operation = RefOperation::Fence { fence };
            if shared
                .change_names(&names, operation, &self.options.actor)
                .await?
            {
                return Ok(names.next());
            }
        }
        Err(busy(&BranchName::main()))
    }

    /// Tells every branch's writers.
    async fn fence_branches(&self, fence: u64) -> Result<()> {
        for info in self.graph.branches().await? {
            match self.fence_branch(&info.name, fence).await {
                // Its tombstone keeps writers out as well.
                Ok(()) | Err(Error::BranchDeleted { .. } | Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn fence_branch(&self, name: &BranchName, fence: u64) -> Result<()> {
        let (branch, _) = self.graph.shared.resolve(name, false).await?;
        for _ in 0..FENCE_ATTEMPTS {
            let head = branch.head_state().await?;
            if head.lineage.fence >= Some(fence) {
                return Ok(());
            }
            let mut state = describe(&head);
            state.lineage.fence = Some(fence);
            let published = branch.restate(&head, EntryKind::Fence, state, &self.options.actor);
            if published.await?.is_some() {
                return Ok(());
            }
        }
        Err(busy(name))
    }

    /// Entries below the horizons forget their tables. The lowest go first, so that those that
    /// have forgotten are always the beginning of a log.
    async fn expire(&mut self, horizons: &Horizons, marks: &Marks, before: &Pinned) -> Result<()> {
        let logs = &self.graph.shared.logs;
        for (branch_id, horizon) in horizons {
            let mut due = BTreeSet::new();
            let pinned = before.iter().filter(|(branch, _)| branch == branch_id);
            let below = pinned.map(|(_, seq)| *seq).filter(|seq| seq < horizon);
            for seq in below {
                if !marks.keeps(branch_id, seq) && !logs.existing(branch_id, seq).await?.expired {
                    due.insert(seq);
                }
            }
            for seq in (0..*horizon).rev() {
                let entry = logs.existing(branch_id, seq).await?;
                if entry.expired {
                    break;
                }
                if !marks.keeps(branch_id, seq) && entry.state.is_some() {
                    due.insert(seq);
                }
            }
            self.report.expired += due.len() as u64;
            if self.options.dry_run {
                continue;
            }
            for seq in due {
                let entry = logs.existing(branch_id, seq).await?;
                self.point_elsewhere(branch_id, &entry, marks).await?;
                logs.expire(branch_id, seq).await?;
            }
        }
        Ok(())
    }

    /// Commits that an entry will forget may be stated by one that is kept: a head that was
    /// compacted, or one that a branch which is gone has published.
    async fn point_elsewhere(
        &self,
        branch_id: &str,
        entry: &LogEntry,
        marks: &Marks,
    ) -> Result<()> {
        let shared = &self.graph.shared;
        let made = commits_of(entry).iter().map(|commit| commit.id);
        let ids: BTreeSet<CommitId> = entry
            .state
            .iter()
            .map(|state| state.head)
            .chain(made)
            .collect();
        for id in ids {
            let Some(place) = marks.heads.get(&id) else {
                continue;
            };
            let key = layout::commit(id);
            let Some(mut pointer) = read_object::<CommitPointer>(&shared.store, &key).await? else {
                continue;
            };
            if let Some(held) = &pointer.restated
                && (held.branch.as_str(), held.seq) != (branch_id, entry.seq)
                && !shared.logs.existing(&held.branch, held.seq).await?.expired
            {
                continue;
            }
            pointer.restated = Some(place.clone());
            shared.store.write(&key, format::encode(&pointer)?).await?;
        }
        Ok(())
    }

    /// Removes what is not marked and was last written before `limit`.
    async fn sweep(&mut self, marks: &Marks, limit: i64) -> Result<()> {
        let store = &self.graph.shared.store;
        for kind in ["nodes", "edges"] {
            for table in store.list_folders(kind).await? {
                let dir = format!("{kind}/{table}");
                let kept = self.files_of(&dir, marks).await?;
                self.sweep_folder(&dir, limit, |file| match &kept {
                    None => true,
                    Some(kept) => {
                        let of = layout::looked_up(&file.key);
                        is_ours(file, &dir)
                            && !kept.contains(&file.key)
                            && !of.is_some_and(|of| kept.contains(&of))
                    }
                })
                .await?;
            }
        }
        let objects = self.objects(marks).await?;
        self.sweep_folder(layout::BLOBS, limit, |file| {
            let name = file.key.rsplit('/').next().unwrap_or_default();
            ulid::Ulid::from_string(name).is_ok_and(|object| !objects.contains(&object.0))
        })
        .await?;
        self.sweep_folder("_graph/changes", limit, |file| {
            let name = file.key.rsplit('/').next().unwrap_or_default();
            let id = CommitId::parse(name.trim_end_matches(".json"));
            id.is_ok_and(|id| !marks.listed.contains(&id))
        })
        .await?;
        self.sweep_folder("_graph/probe", limit, |_| true).await?;
        if !self.options.dry_run {
            let staged = store.remove_staging(limit).await?;
            self.report.removed.files += staged.0;
            self.report.removed.bytes += staged.1;
        }
        Ok(())
    }

    /// The files that the marked versions of one table hold; `None`: none is marked.
    async fn files_of(&self, dir: &str, marks: &Marks) -> Result<Option<HashSet<String>>> {
        let Some(versions) = marks.tables.get(dir) else {
            return Ok(None);
        };
        let files: Vec<Vec<String>> = self
            .opened(versions)
            .map_ok(|version| version.files())
            .try_collect()
            .await?;
        Ok(Some(files.into_iter().flatten().collect()))
    }

    /// The objects of blobs that rows of marked versions refer to.
    async fn objects(&self, marks: &Marks) -> Result<Objects> {
        let mut objects = Objects::new();
        for versions in marks.tables.values() {
            let versions: Vec<TableVersion> = self.opened(versions).try_collect().await?;
            blobs::collect(&versions, &mut objects).await?;
        }
        Ok(objects)
    }

    fn opened<'b>(
        &'b self,
        versions: &'b HashMap<u64, TableLocation>,
    ) -> impl Stream<Item = Result<TableVersion>> + 'b {
        let shared = &self.graph.shared;
        let opened = versions
            .values()
            .map(move |location| TableVersion::open(&shared.resources, &shared.store, location));
        futures::stream::iter(opened).buffer_unordered(PARALLEL)
    }

    async fn sweep_folder(
        &mut self,
        folder: &str,
        limit: i64,
        is_garbage: impl Fn(&Stored) -> bool,
    ) -> Result<()> {
        let store = &self.graph.shared.store;
        let mut listed = store.list_below(folder);
        let mut garbage = Vec::new();
        while let Some(file) = listed.try_next().await? {
            if file.modified < limit && is_garbage(&file) {
                self.report.removed.add(file.size);
                garbage.push(file.key);
            } else {
                self.report.kept.add(file.size);
            }
            if garbage.len() >= PARALLEL {
                self.remove(&mut garbage).await?;
            }
        }
        self.remove(&mut garbage).await
    }

    async fn remove(&self, garbage: &mut Vec<String>) -> Result<()> {
        let store = &self.graph.shared.store;
        let keys = std::mem::take(garbage);
        if self.options.dry_run {
            return Ok(());
        }
        futures::future::try_join_all(keys.iter().map(|key| store.delete(key))).await?;
        Ok(())
    }
}

/// Is it one of the files that versions are made of? The first manifest of a table, which
/// Lance opens it by, is not.
fn is_ours(file: &Stored, dir: &str) -> bool {
    let Some(path) = file.key.strip_prefix(dir) else {
        return false;
    };
    match path.trim_start_matches('/').split_once('/') {
        Some(("_versions", name)) => name.starts_with('d') && name.ends_with(".manifest"),
        Some((folder, _)) => matches!(
            folder,
            "data" | "lookup" | "_deletions" | "_indices" | "_transactions"
        ),
        None => false,
    }
}

async fn modified(shared: &GraphShared, key: &str) -> Result<i64> {
    shared
        .store
        .modified(key)
        .await?
        .ok_or_else(|| Error::Corrupt {
            object: key.to_owned(),
            message: "it is missing".to_owned(),
        })
}

/// For a writer that began before a fence: are the files still there that it is about to
/// publish? `written` are new versions, each with the one it was made from.
pub(crate) async fn check_files(
    shared: &GraphShared,
    branch: &BranchName,
    written: &[(TableVersion, Option<TableVersion>)],
) -> Result<()> {
    let names = shared.names.refresh().await?;
    let Some(fence) = &names.all.fence else {
        return Ok(());
    };
    let limit = modified(shared, &layout::ref_entry(&shared.id, fence.number)).await? - fence.grace;
    let mut files: Vec<String> = written
        .iter()
        .flat_map(|(next, before)| next.files_since(before.as_ref()))
        .collect();
    for (next, before) in written {
        let objects = blobs::added(next, before.as_ref()).await?;
        files.extend(objects.into_iter().map(layout::blob));
    }
    let times: Vec<Option<i64>> = futures::stream::iter(files)
        .map(|file| async move { shared.store.modified(&file).await })
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    if times
        .into_iter()
        .all(|time| time.is_some_and(|time| time >= limit))
    {
        return Ok(());
    }
    Err(open_for_too_long(branch))
}

/// What a transaction needs to be checked or published may be gone.
pub(crate) fn open_for_too_long(branch: &BranchName) -> Error {
    Error::Conflict {
        table: String::new(),
        id: String::new(),
        branch: branch.to_string(),
        expected: "files younger than the grace of VACUUM".to_owned(),
        actual: "the transaction was open for too long".to_owned(),
    }
}
