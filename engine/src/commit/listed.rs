//! The rows that commits between two states wrote, as the commits list them. Files that were put
//! together since say little about rows: without the lists a whole table would be compared.

use std::collections::{BTreeMap, BTreeSet};

use super::ancestry::{back, before};
use super::history::commits_of;
use super::log::read_object;
use super::rebase::LISTED_ROWS;
use crate::changed::{count, moved};
use crate::error::Result;
use crate::format::{ChangedIds, Commit, Written};
use crate::graph::GraphShared;
use crate::schema::TypeId;
use crate::snapshot::{Snapshot, SnapshotState};
use crate::storage::layout;

/// Rows in unequal places that are looked at without asking for lists: these cost a request
/// for each commit.
const FEW: u64 = 1024;
/// Commits gone back over at the most.
const MOST_COMMITS: usize = 256;

impl GraphShared {
    /// `new`, with what it is known to have changed since `old`, of which it descends: table by
    /// table where that saves reading, and where all commits between list what they wrote.
    pub async fn since(&self, old: &Snapshot, mut new: Snapshot) -> Result<Snapshot> {
        if old.is_private() || new.is_private() || old.commit() == new.commit() {
            return Ok(new);
        }
        let mut places = BTreeMap::new();
        for def in &new.schema().types {
            let (before, after) = (old.table(def.id), new.table(def.id));
            let (Some(before), Some(after)) = (before, after) else {
                continue;
            };
            if before.key() == after.key() || before.def() != after.def() {
                continue;
            }
            let (gone, added) = (
                moved(Some(&before), Some(&after)).await?,
                moved(Some(&after), Some(&before)).await?,
            );
            let rows = count(&gone) + count(&added);
            if rows > FEW {
                places.insert(def.id, rows);
            }
        }
        let tables = places.keys().copied().collect();
        for (id, ids) in self.listed(&old.state, &new.state, tables).await? {
            let rows = places.get(&id).copied().unwrap_or_default();
            if let Some(before) = old.table(id).filter(|_| (ids.len() as u64) < rows) {
                new.note(id, before.key(), ids.into_iter().collect());
            }
        }
        Ok(new)
    }

    /// Of these tables, the ids of all rows written between two states. What some commit does
    /// not list is left out; all are, if the states are not of one line.
    async fn listed(
        &self,
        old: &SnapshotState,
        new: &SnapshotState,
        tables: BTreeSet<TypeId>,
    ) -> Result<BTreeMap<TypeId, BTreeSet<String>>> {
        let mut ids: BTreeMap<TypeId, BTreeSet<String>> = tables
            .into_iter()
            .map(|table| (table, BTreeSet::new()))
            .collect();
        let (branch, seq) = (new.branch_id.clone(), new.seq);
        let mut place = match ids.is_empty() {
            true => None,
            false => back(self, branch, seq, Some(new.commit), None).await?,
        };
        for _ in 0..MOST_COMMITS {
            let Some(at) = place else { break };
            if at.commit().id == old.commit {
                return Ok(ids);
            }
            if ids.is_empty() || at.commit().generation <= old.generation {
                break;
            }
            let entry = self.logs.existing(&at.branch_id, at.entry.seq).await?;
            let Some(commit) = commits_of(&entry).get(at.index).filter(|_| !entry.expired) else {
                break;
            };
            self.add_listed(commit, &mut ids).await?;
            place = before(self, at, None).await?;
        }
        Ok(BTreeMap::new())
    }

    async fn add_listed(
        &self,
        commit: &Commit,
        ids: &mut BTreeMap<TypeId, BTreeSet<String>>,
    ) -> Result<()> {
        let mut wanted = commit.tables.iter().filter(|(id, _)| ids.contains_key(id));
        let elsewhere: Option<ChangedIds> =
            match wanted.any(|(_, table)| table.written == Written::Elsewhere) {
                true => read_object(&self.store, &layout::changes(commit.id)).await?,
                false => None,
            };
        for (id, table) in &commit.tables {
            let Some(known) = ids.get_mut(id) else {
                continue;
            };
            let written = match &table.written {
                Written::Ids(written) => Some(written),
                Written::Elsewhere => elsewhere
                    .as_ref()
                    .and_then(|elsewhere| elsewhere.tables.get(id)),
                Written::Unlisted | Written::All => None,
            };
            match written {
                Some(written) if known.len() + written.len() <= LISTED_ROWS => {
                    known.extend(written.iter().cloned());
                }
                _ => {
                    ids.remove(id);
                }
            }
        }
        for id in &commit.dropped {
            ids.remove(id);
        }
        Ok(())
    }
}
