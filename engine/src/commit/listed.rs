//! The rows that commits between two states wrote, as the commits list them. Files that were put
//! together since say little about rows: without the lists a whole table would be compared.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};

use super::ancestry::{Place, back, before};
use super::history::{commits_of, lineage};
use super::log::read_object;
use super::rebase::LISTED_ROWS;
use crate::changed::{count, moved};
use crate::error::Result;
use crate::format::{ChangedIds, Commit, Written};
use crate::graph::GraphShared;
use crate::schema::TypeId;
use crate::snapshot::{Snapshot, SnapshotState};
use crate::storage::layout;

/// Lists are asked for where so many rows lie in unequal places for each commit between, and
/// used where so many do for each id that they name: commits of a row or two need no lists.
const WORTH: u64 = 4;
/// Commits gone back over at the most: each may cost a request.
const MOST_COMMITS: u64 = 256;
/// Entries read side by side.
const AHEAD: u64 = 16;

/// What is known of a table's written rows on the way back.
struct Known {
    /// Rows in unequal places.
    places: u64,
    ids: BTreeSet<String>,
}

impl GraphShared {
    /// `new`, with what it is known to have changed since `old`: table by table where that
    /// saves reading, and where all commits between list what they wrote. Nothing is known if
    /// it does not descend of it along first parents.
    pub async fn since(&self, old: &Snapshot, mut new: Snapshot) -> Result<Snapshot> {
        let parts = [old.restriction(), new.restriction()];
        if old.is_private() || new.is_private() || parts.iter().any(Option::is_some) {
            return Ok(new);
        }
        let mut wanted = BTreeMap::new();
        let commits = new.state.generation.saturating_sub(old.state.generation);
        let schema = new.schema().clone();
        for def in &schema.types {
            let (Some(before), Some(after)) = (old.table(def.id), new.table(def.id)) else {
                continue;
            };
            if before.key() == after.key() || before.def() != after.def() {
                continue;
            }
            if before.same_rows(&after) {
                new.note(def.id, before.key(), Vec::new());
                continue;
            }
            let gone = moved(Some(&before), Some(&after)).await?;
            let added = moved(Some(&after), Some(&before)).await?;
            let places = count(&gone) + count(&added);
            if (1..=MOST_COMMITS).contains(&commits) && places > WORTH * commits {
                let ids = BTreeSet::new();
                wanted.insert(def.id, Known { places, ids });
            }
        }
        for (id, known) in self.listed(&old.state, &new.state, wanted).await? {
            if let Some(before) = old.table(id) {
                new.note(id, before.key(), known.ids.into_iter().collect());
            }
        }
        Ok(new)
    }

    /// Of these tables, the ids of all rows written between two states. A table of which some
    /// commit does not list them is left out; all are, if the states are not of one line.
    async fn listed(
        &self,
        old: &SnapshotState,
        new: &SnapshotState,
        mut tables: BTreeMap<TypeId, Known>,
    ) -> Result<BTreeMap<TypeId, Known>> {
        if tables.is_empty() {
            return Ok(tables);
        }
        let from = new.branch_id.clone();
        let mut place = back(self, from, new.seq, Some(new.commit), None).await?;
        while let Some(at) = place {
            if at.commit().id == old.commit {
                return Ok(tables);
            }
            if tables.is_empty() || at.commit().generation <= old.generation {
                break;
            }
            let entry = self.logs.existing(&at.branch_id, at.entry.seq).await?;
            let Some(commit) = commits_of(&entry).get(at.index).filter(|_| !entry.expired) else {
                break;
            };
            self.add(commit, &mut tables).await?;
            if at.index == 0 {
                self.read_ahead(&at).await?;
            }
            place = before(self, at, None).await?;
        }
        Ok(BTreeMap::new())
    }

    /// The entries below one in its line are read side by side.
    async fn read_ahead(&self, place: &Place) -> Result<()> {
        let (branch_id, end) = (&place.branch_id, place.entry.seq);
        let from = lineage(&place.entry)?.line.max(end.saturating_sub(AHEAD));
        if end == 0 || self.logs.holds(branch_id, end - 1) {
            return Ok(());
        }
        futures::stream::iter(from..end)
            .map(|seq| self.logs.existing(branch_id, seq))
            .buffered(AHEAD as usize)
            .try_for_each(|_| async { Ok(()) })
            .await
    }

    async fn add(&self, commit: &Commit, tables: &mut BTreeMap<TypeId, Known>) -> Result<()> {
        let rows = commit.inserted + commit.updated + commit.deleted;
        let mut elsewhere: Option<ChangedIds> = None;
        let mut unknown = commit.dropped.clone();
        for (id, table) in &commit.tables {
            let Some(known) = tables.get_mut(id) else {
                continue;
            };
            if table.written == Written::Elsewhere && rows * WORTH <= known.places {
                let key = layout::changes(commit.id);
                elsewhere = match elsewhere {
                    None => read_object(&self.store, &key).await?,
                    held => held,
                };
            }
            let written = match &table.written {
                Written::Ids(written) => Some(written),
                Written::Elsewhere => elsewhere.as_ref().and_then(|lists| lists.tables.get(id)),
                Written::Unlisted | Written::All => None,
            };
            // Another schema may give rows other values without writing them one by one.
            match written.filter(|_| commit.schema.is_none()) {
                Some(written) => known.ids.extend(written.iter().cloned()),
                None => unknown.push(*id),
            }
            if known.ids.len() > LISTED_ROWS || known.ids.len() as u64 * WORTH > known.places {
                unknown.push(*id);
            }
        }
        for id in unknown {
            tables.remove(&id);
        }
        Ok(())
    }
}
