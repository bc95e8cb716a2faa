//! Locks that other commits took on rows that they did not write.

use std::collections::{BTreeMap, BTreeSet};

use super::log::read_object;
use super::publish::{BranchShared, Proposal};
use super::rebase::{Prepared, conflict};
use crate::error::{Error, Result};
use crate::format::{ChangedIds, Commit, EntryKind, Written};
use crate::maintain::vacuum::open_for_too_long;
use crate::schema::TypeId;
use crate::snapshot::SnapshotState;
use crate::storage::layout;

/// A conflict if a commit since the proposal's base, or one before it in its group, has locked
/// a row that it writes or locks.
pub(super) async fn check(
    branch: &BranchShared,
    proposal: &Proposal,
    start: &SnapshotState,
    group: &[Prepared],
) -> Result<()> {
    let base = &proposal.base;
    let since = match start.locked_at {
        Some(newest) if base.branch_id == start.branch_id => {
            base.seq + 1..newest.min(start.seq) + 1
        }
        _ => 0..0,
    };
    let in_group = group.iter().any(|one| !one.commit.locked.is_empty());
    if since.is_empty() && !in_group {
        return Ok(());
    }
    let touched = Touched::of(proposal);
    for seq in since {
        let entry = branch
            .graph
            .logs
            .existing(&branch.log.branch_id, seq)
            .await?;
        let EntryKind::Commits { commits } = &entry.kind else {
            continue;
        };
        if entry.expired {
            return Err(open_for_too_long(&branch.name));
        }
        for commit in commits.iter().filter(|commit| !commit.locked.is_empty()) {
            let elsewhere = commit
                .locked
                .values()
                .any(|rows| *rows == Written::Elsewhere);
            let listed = if elsewhere {
                let listed = read_object(&branch.graph.store, &layout::changes(commit.id)).await?;
                let names = branch.graph.names.refresh().await?;
                if listed.is_none() && !names.keeps(&branch.log.branch_id, seq) {
                    return Err(open_for_too_long(&branch.name));
                }
                listed
            } else {
                None
            };
            touched.check(proposal, commit, listed.as_ref())?;
        }
    }
    for one in group {
        touched.check(proposal, &one.commit, Some(&one.listed))?;
    }
    Ok(())
}

/// The rows that a proposal writes or locks, by table; `None`: too many to list.
struct Touched(BTreeMap<TypeId, Option<BTreeSet<String>>>);

impl Touched {
    fn of(proposal: &Proposal) -> Self {
        let mut tables = BTreeMap::new();
        for table in proposal.tables() {
            let ids = proposal.written_ids(table);
            tables.insert(table, ids.map(BTreeSet::from_iter));
        }
        for (table, rows) in proposal.conditions.locks.exclusive() {
            let ids = tables.entry(table).or_insert_with(|| Some(BTreeSet::new()));
            if let Some(ids) = ids {
                ids.extend(rows.into_iter().map(str::to_owned));
            }
        }
        Touched(tables)
    }

    fn check(
        &self,
        proposal: &Proposal,
        other: &Commit,
        listed: Option<&ChangedIds>,
    ) -> Result<()> {
        for (table, locked) in &other.locked {
            let Some(touched) = self.0.get(table) else {
                continue;
            };
            let locked = match locked {
                Written::Ids(ids) => ids,
                _ => listed
                    .and_then(|listed| listed.locked.get(table))
                    .ok_or_else(|| Error::Corrupt {
                        object: layout::changes(other.id),
                        message: "the rows that the commit locked are not in it".to_owned(),
                    })?,
            };
            let hit = match touched {
                None => locked.first(),
                Some(touched) => locked.iter().find(|id| touched.contains(*id)),
            };
            if let Some(id) = hit {
                let actual = format!("commit {} has locked it", other.id);
                return Err(conflict(
                    proposal,
                    *table,
                    id,
                    "a row that nobody else locks",
                    &actual,
                ));
            }
        }
        Ok(())
    }
}
