//! Rewriting files that waste space or time: those of which much is deleted, and small ones.
//!
//! The new files are written beside the branch's writers. Then, in their queue, what they did
//! meanwhile is looked at: a group of files that are no longer all there is dropped, and rows
//! that were deleted are deleted in the new file too. The outcome is published as a `maintain`
//! entry, which states the same commit over other files.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::{self, StreamExt};
use roaring::RoaringBitmap;

use super::tail;
use crate::commit::publish::{BranchShared, describe};
use crate::dataset::{Fragment, Staged, TableChange, TableVersion};
use crate::error::{Error, Result};
use crate::format::{BranchState, EntryKind};
use crate::graph::Graph;
use crate::schema::TypeId;
use crate::snapshot::{Snapshot, SnapshotState};
use crate::table::BaseTable;

/// Files below this many rows are put together.
pub(super) const SMALL: u32 = 32_768;
/// Rows in a rewritten file.
const ROWS: u32 = 131_072;
/// A file is rewritten by vacuum once a fifth of its rows are gone.
const WASTED: u32 = 5;
/// Tries to publish while other processes publish; after that it is left to the next time.
const ATTEMPTS: usize = 3;

/// Rewrites what is worth it in the tables of every branch; how many tables that were. Files
/// that another branch has too are left alone: rewriting them here would not free them there.
pub(super) async fn compact(graph: &Graph, actor: &str) -> Result<u64> {
    let mut tables = 0;
    for info in graph.branches().await? {
        let found = graph.shared.resolve(&info.name, false).await;
        let Some((branch, head)) = unless_gone(found)? else {
            continue;
        };
        let elsewhere = files_elsewhere(graph, &branch).await?;
        let choose = |files: &[Fragment]| wasteful(files, &elsewhere);
        tables += unless_gone(rewrite(&branch, &head, choose, actor).await)?.unwrap_or(0);
    }
    Ok(tables)
}

/// The data files that the heads of other branches hold.
async fn files_elsewhere(graph: &Graph, branch: &Arc<BranchShared>) -> Result<HashSet<Arc<str>>> {
    let mut files = HashSet::new();
    let mut seen = HashSet::new();
    for info in graph.branches().await? {
        if info.id == branch.log.branch_id {
            continue;
        }
        let found = graph.shared.resolve(&info.name, false).await;
        let Some((_, state)) = unless_gone(found)? else {
            continue;
        };
        for table in state.tables.values() {
            let location = table.location();
            if seen.insert((location.dir.clone(), location.version)) {
                let version = table.version().await?;
                let keys = version.fragments().iter().map(|file| file.key.clone());
                files.extend(keys);
            }
        }
    }
    Ok(files)
}

/// A branch may be deleted while it is looked at.
fn unless_gone<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(Error::BranchDeleted { .. } | Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Which files become one, by their numbers.
fn wasteful(files: &[Fragment], elsewhere: &HashSet<Arc<str>>) -> Vec<Vec<usize>> {
    let mine = |at: &usize| !elsewhere.contains(&files[*at].key);
    let wasted = |at: &usize| files[*at].deleted >= files[*at].rows.div_ceil(WASTED);
    let (small, large): (Vec<usize>, Vec<usize>) = (0..files.len())
        .filter(mine)
        .partition(|at| files[*at].live() < SMALL);
    let worn = large.into_iter().filter(wasted);
    let mut groups: Vec<Vec<usize>> = worn.map(|at| vec![at]).collect();
    let mut rows = 0;
    let mut group = Vec::new();
    for at in small {
        if rows + files[at].live() > ROWS {
            groups.push(std::mem::take(&mut group));
            rows = 0;
        }
        rows += files[at].live();
        group.push(at);
    }
    groups.push(group);
    // One small file without waste is as good as it gets.
    groups.retain(|group| group.len() > 1 || group.iter().any(wasted));
    groups
}

/// Rewrites the groups of files that `choose` finds in the tables of a branch's state; how
/// many tables got other files.
pub(crate) async fn rewrite(
    branch: &Arc<BranchShared>,
    state: &SnapshotState,
    choose: impl Fn(&[Fragment]) -> Vec<Vec<usize>>,
    actor: &str,
) -> Result<u64> {
    let mut written: BTreeMap<TypeId, Vec<Rewritten>> = BTreeMap::new();
    for (id, table) in &state.tables {
        let version = table.version().await?;
        for group in choose(version.fragments()) {
            let rewritten = Rewritten::write(table, version, &group).await?;
            written.entry(*id).or_default().push(rewritten);
        }
    }
    for _ in 0..ATTEMPTS {
        if written.is_empty() {
            return Ok(0);
        }
        let turn = branch.turn().await;
        let head = branch.head_state().await?;
        let (state, tables) = applied(&head, &written).await?;
        if tables == 0 {
            return Ok(0);
        }
        let published = branch.restate(&head, EntryKind::Maintain, state, actor);
        if published.await?.is_some() {
            drop(turn);
            store_indexes(branch, written.into_keys()).await;
            return Ok(tables);
        }
    }
    Ok(0)
}

/// The files are published, whatever becomes of their indexes.
async fn store_indexes(branch: &Arc<BranchShared>, tables: impl Iterator<Item = TypeId>) {
    let stored = async {
        let snapshot = Snapshot::of(branch.known_state().await?);
        for table in tables.filter_map(|id| snapshot.table(id)) {
            table.store_indexes().await?;
        }
        Ok::<_, Error>(())
    };
    if let Err(error) = stored.await {
        tracing::warn!(branch = %branch.name, %error, "indexes of rewritten files were not stored");
    }
}

/// Rows of some files, in one.
struct Rewritten {
    schema: SchemaRef,
    from: Vec<Source>,
    to: Staged,
}

/// A file and those of its rows that were there.
struct Source {
    file: Arc<str>,
    live: RoaringBitmap,
}

impl Rewritten {
    async fn write(
        table: &BaseTable,
        version: &TableVersion,
        group: &[usize],
    ) -> Result<Rewritten> {
        let chunks = table.chunks().await?;
        let mut from = Vec::with_capacity(group.len());
        let mut reads = Vec::with_capacity(group.len());
        for &at in group {
            let live = tail::live_offsets(&chunks[at], &RoaringBitmap::new());
            from.push(Source {
                file: chunks[at].key.clone(),
                live: live.iter().copied().collect(),
            });
            if !live.is_empty() {
                reads.push((version.clone(), version.fragments()[at].clone(), live));
            }
        }
        let schema = version.schema();
        let to = if reads.is_empty() {
            Staged::default()
        } else {
            // One file after the other: their rows are never all in memory.
            let rows = stream::iter(reads).then(|(version, file, live)| async move {
                tail::read(&version, &file, &live)
                    .await
                    .map_err(|error| DataFusionError::External(Box::new(error)))
            });
            let rows = RecordBatchStreamAdapter::new(schema.clone(), rows);
            version.stage_stream(Box::pin(rows)).await?
        };
        Ok(Rewritten { schema, from, to })
    }

    /// What it does to a version of its table: the files that go, and the rows of the new file
    /// that were deleted meanwhile. `None`: it is about other files.
    async fn over(&self, version: &TableVersion) -> Result<Option<(TableChange, RoaringBitmap)>> {
        if version.schema() != self.schema {
            return Ok(None);
        }
        let mut change = TableChange {
            added: self.to.clone(),
            ..TableChange::default()
        };
        let mut gone = RoaringBitmap::new();
        let mut before = 0;
        for source in &self.from {
            let files = version.fragments();
            let Some(file) = files.iter().find(|file| file.key == source.file) else {
                return Ok(None);
            };
            if let Some(deleted) = version.deletions(file).await? {
                let lost = &*deleted & &source.live;
                gone.extend(
                    lost.iter()
                        .map(|row| before + source.live.rank(row) as u32 - 1),
                );
            }
            before += source.live.len() as u32;
            change.deletions.insert(file.id, (0..file.rows).collect());
        }
        Ok(Some((change, gone)))
    }
}

/// A state with other files, and how many of its tables have them. The files are durable.
async fn applied(
    head: &SnapshotState,
    written: &BTreeMap<TypeId, Vec<Rewritten>>,
) -> Result<(BranchState, u64)> {
    let mut state = describe(head);
    let mut tables = 0;
    for (id, groups) in written {
        let Some(table) = head.tables.get(id) else {
            continue;
        };
        let before = table.version().await?;
        let mut change = TableChange::default();
        let mut gone = Vec::new();
        for group in groups {
            if let Some((of_group, lost)) = group.over(before).await? {
                change.deletions.extend(of_group.deletions);
                gone.extend(before.staged_key(&of_group.added).map(|file| (file, lost)));
                change.added.extend(of_group.added);
            }
        }
        if change.is_empty() {
            continue;
        }
        let mut after = before.commit(change).await?;
        let files = after.fragments().iter();
        let deletions: BTreeMap<u64, RoaringBitmap> = files
            .filter_map(|file| {
                let (_, lost) = gone.iter().find(|(key, _)| *key == file.key)?;
                (!lost.is_empty()).then(|| (file.id, lost.clone()))
            })
            .collect();
        if !deletions.is_empty() {
            let change = TableChange {
                deletions,
                ..TableChange::default()
            };
            after = after.commit(change).await?;
        }
        after.settle(Some(before)).await?;
        if let Some(line) = state.tables.get_mut(id) {
            line.location = after.location().clone();
            tables += 1;
        }
    }
    Ok((state, tables))
}
