//! Rewriting files that waste space or time: those of which much is deleted, and small ones.
//!
//! The outcome is published as a `maintain` entry, which states the same commit over other
//! files. Files that another branch has too are left alone: rewriting them here would not
//! free them there.

use std::collections::HashSet;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::tail;
use crate::commit::publish::{BranchShared, describe};
use crate::dataset::{Fragment, TableChange, TableVersion};
use crate::error::{Error, Result};
use crate::format::EntryKind;
use crate::graph::Graph;
use crate::snapshot::SnapshotState;
use crate::table::BaseTable;

/// A file is rewritten once a fifth of its rows are gone.
const WASTED: u32 = 5;
/// Files below this many rows are put together.
const SMALL: u32 = 32_768;
/// Rows in a rewritten file.
const ROWS: u32 = 131_072;
/// Tries to publish while others publish; after that the next vacuum does it.
const ATTEMPTS: usize = 3;

/// Rewrites what is worth it in the tables of every branch; how many tables that were.
pub(super) async fn compact(graph: &Graph, actor: &str) -> Result<u64> {
    let mut tables = 0;
    for info in graph.branches().await? {
        let (branch, _) = match graph.shared.resolve(&info.name, false).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => continue,
            Err(error) => return Err(error),
        };
        for _ in 0..ATTEMPTS {
            let elsewhere = files_elsewhere(graph, &branch).await?;
            match compact_branch(&branch, &elsewhere, actor).await {
                Ok(Some(count)) => {
                    tables += count;
                    break;
                }
                // Somebody else published: what was written is left to the sweep.
                Ok(None) => {}
                Err(Error::BranchDeleted { .. }) => break,
                Err(error) => return Err(error),
            }
        }
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
        let state = match graph.shared.resolve(&info.name, false).await {
            Ok((_, state)) => state,
            Err(Error::NotFound { .. }) => continue,
            Err(error) => return Err(error),
        };
        for table in state.tables.values() {
            let location = table.location();
            if seen.insert((location.dir.clone(), location.version)) {
                let version = table.version().await?;
                files.extend(
                    version
                        .fragments()
                        .iter()
                        .map(|fragment| fragment.key.clone()),
                );
            }
        }
    }
    Ok(files)
}

/// `None`: another writer was first.
async fn compact_branch(
    branch: &Arc<BranchShared>,
    elsewhere: &HashSet<Arc<str>>,
    actor: &str,
) -> Result<Option<u64>> {
    let head: Arc<SnapshotState> = branch.head_state().await?;
    let mut state = describe(&head);
    let mut count = 0;
    for (id, table) in &head.tables {
        let before = table.version().await?;
        let groups = groups(before.fragments(), elsewhere);
        if groups.is_empty() {
            continue;
        }
        let after = rewrite(table, before, &groups).await?;
        after.settle(Some(before)).await?;
        if let Some(line) = state.tables.get_mut(id) {
            line.location = after.location().clone();
            count += 1;
        }
    }
    if count == 0 {
        return Ok(Some(0));
    }
    let published = branch
        .restate(&head, EntryKind::Maintain, state, actor)
        .await?;
    Ok(published.map(|_| count))
}

/// Which files become one, by their numbers.
fn groups(fragments: &[Fragment], elsewhere: &HashSet<Arc<str>>) -> Vec<Vec<usize>> {
    let live = |fragment: &Fragment| fragment.rows - fragment.deleted;
    let mine = |fragment: &Fragment| !elsewhere.contains(&fragment.key);
    let small: Vec<usize> = (0..fragments.len())
        .filter(|&at| mine(&fragments[at]) && live(&fragments[at]) < SMALL)
        .collect();
    let wasted = |at: &usize| fragments[*at].deleted >= fragments[*at].rows.div_ceil(WASTED);
    let worn = (0..fragments.len())
        .filter(|at| mine(&fragments[*at]) && live(&fragments[*at]) >= SMALL && wasted(at));
    let mut groups: Vec<Vec<usize>> = worn.map(|at| vec![at]).collect();
    let mut rows = 0;
    let mut group = Vec::new();
    for at in small {
        if rows + live(&fragments[at]) > ROWS {
            groups.push(std::mem::take(&mut group));
            rows = 0;
        }
        rows += live(&fragments[at]);
        group.push(at);
    }
    groups.push(group);
    // One small file without waste is as good as it gets.
    groups.retain(|group| group.len() > 1 || group.iter().any(wasted));
    groups
}

async fn rewrite(
    table: &BaseTable,
    before: &TableVersion,
    groups: &[Vec<usize>],
) -> Result<TableVersion> {
    let chunks = table.chunks().await?;
    let mut change = TableChange::default();
    for group in groups {
        let mut batches = Vec::with_capacity(group.len());
        for &at in group {
            let fragment = &before.fragments()[at];
            let all: RoaringBitmap = (0..fragment.rows).collect();
            let live = tail::live_offsets(&chunks[at], &RoaringBitmap::new());
            if !live.is_empty() {
                batches.push(tail::read(before, fragment, &live).await?);
            }
            change.deletions.insert(fragment.id, all);
        }
        if let Some(first) = batches.first() {
            let rows = arrow::compute::concat_batches(&first.schema(), &batches)?;
            change.added.extend(before.stage(vec![rows]).await?);
        }
    }
    before.commit(change).await
}
