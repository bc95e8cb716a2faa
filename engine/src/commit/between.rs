//! What others have committed between a proposal's base and the place where it is to come, as
//! far as it does not show in the states: rows that they locked, and rows that they wrote and
//! left as they were.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::log::read_object;
use super::proposal::Proposal;
use super::publish::BranchShared;
use super::rebase::{Prepared, conflict};
use crate::error::{Error, Result};
use crate::format::{ChangedIds, Commit, EntryKind, LogEntry, Written};
use crate::maintain::vacuum::open_for_too_long;
use crate::schema::TypeId;
use crate::snapshot::{Snapshot, SnapshotState};
use crate::storage::layout;

pub(super) struct Between<'a> {
    pub branch: &'a BranchShared,
    pub proposal: &'a Proposal,
    /// The newest state in the log.
    pub start: &'a SnapshotState,
    /// The members of its group that come before it.
    pub group: &'a [Prepared],
}

impl Between<'_> {
    /// A conflict if a commit has locked a row that the proposal writes or locks.
    pub async fn check_locks(&self) -> Result<()> {
        let newest = self.start.locked_at.unwrap_or(0).min(self.start.seq);
        let since = self.proposal.base.seq + 1..=newest;
        let in_group = self.group.iter().any(|one| !one.commit.locked.is_empty());
        if since.is_empty() && !in_group {
            return Ok(());
        }
        let touched = Touched::of(self.proposal);
        for seq in since {
            let entry = self.entry(seq).await?;
            for commit in self.commits(&entry)? {
                if commit.locked.is_empty() {
                    continue;
                }
                let listed = self.listed(commit, commit.locked.values(), seq).await?;
                touched.check(self.proposal, commit, listed.as_ref())?;
            }
        }
        for one in self.group {
            touched.check(self.proposal, &one.commit, Some(&one.listed))?;
        }
        Ok(())
    }

    /// A conflict if a commit lists one of these rows as written. They are those whose values
    /// are as they were, in another place: somebody may have touched one to be alone with it.
    pub async fn check_written(&self, table: TypeId, ids: &BTreeSet<&str>) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        for seq in self.proposal.base.seq + 1..=self.start.seq {
            let entry = self.entry(seq).await?;
            for commit in self.commits(&entry)? {
                let written = commit.tables.get(&table).map(|table| &table.written);
                let listed = self.listed(commit, written.into_iter(), seq).await?;
                self.refuse_written(table, ids, commit, listed.as_ref())?;
            }
        }
        for one in self.group {
            self.refuse_written(table, ids, &one.commit, Some(&one.listed))?;
        }
        Ok(())
    }

    /// The state that the proposal is applied to, with what is known to be written since its
    /// base.
    pub async fn over(&self, state: &Arc<SnapshotState>) -> Result<Snapshot> {
        let now = Snapshot::of(state.clone());
        if !self.group.is_empty() {
            // No log lists yet what those before it write.
            return Ok(now);
        }
        let base = Snapshot::of(self.proposal.base.clone());
        self.branch.graph.since(&base, now).await
    }

    fn refuse_written(
        &self,
        table: TypeId,
        ids: &BTreeSet<&str>,
        commit: &Commit,
        listed: Option<&ChangedIds>,
    ) -> Result<()> {
        let Some(change) = commit.tables.get(&table) else {
            return Ok(());
        };
        let written = match &change.written {
            Written::Ids(written) => written,
            Written::Elsewhere => listed
                .and_then(|listed| listed.tables.get(&table))
                .ok_or_else(|| unlisted(commit, "the rows that the commit wrote"))?,
            // Without a list the values decide.
            Written::Unlisted | Written::All => return Ok(()),
        };
        match written.iter().find(|id| ids.contains(id.as_str())) {
            None => Ok(()),
            Some(id) => {
                let actual = format!("commit {} has written it", commit.id);
                Err(conflict(
                    self.proposal,
                    table,
                    id,
                    "a row that nobody else writes",
                    &actual,
                ))
            }
        }
    }

    async fn entry(&self, seq: u64) -> Result<Arc<LogEntry>> {
        let logs = &self.branch.graph.logs;
        logs.existing(&self.branch.log.branch_id, seq).await
    }

    fn commits<'e>(&self, entry: &'e LogEntry) -> Result<&'e [Commit]> {
        match &entry.kind {
            EntryKind::Commits { .. } if entry.expired => Err(open_for_too_long(&self.branch.name)),
            EntryKind::Commits { commits } => Ok(commits),
            _ => Ok(&[]),
        }
    }

    /// The ids of a commit that lie beside its entry, if any of `lists` does.
    async fn listed<'e>(
        &self,
        commit: &Commit,
        mut lists: impl Iterator<Item = &'e Written>,
        seq: u64,
    ) -> Result<Option<ChangedIds>> {
        if !lists.any(|list| *list == Written::Elsewhere) {
            return Ok(None);
        }
        let graph = &self.branch.graph;
        let listed = read_object(&graph.store, &layout::changes(commit.id)).await?;
        if listed.is_none() {
            let names = graph.names.refresh().await?;
            if !names.keeps(&self.branch.log.branch_id, seq) {
                return Err(open_for_too_long(&self.branch.name));
            }
        }
        Ok(listed)
    }
}

fn unlisted(commit: &Commit, what: &str) -> Error {
    Error::Corrupt {
        object: layout::changes(commit.id),
        message: format!("{what} are not in it"),
    }
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
                    .ok_or_else(|| unlisted(other, "the rows that the commit locked"))?,
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
