//! The immutable view of one commit, and what an open transaction shows of itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::blob::Blobs;
use crate::clock::Environment;
use crate::commit::history::expired;
use crate::commit::names::NameLog;
use crate::error::{Error, Result};
use crate::format::Lineage;
use crate::names::{BranchName, CommitId};
use crate::restrict::{Shown, ShownTable};
use crate::schema::{Schema, TypeId};
use crate::table::{BaseTable, Overlay, Table, TableKey, WrittenSince};
use crate::write::conditions::ReadSet;
use crate::write::locks::{LockSet, LockStrength};

/// What a reader reads. Cheap to clone; nothing it shows ever changes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) state: Arc<SnapshotState>,
    /// What an open transaction changed, by type.
    pub(crate) overlays: Arc<HashMap<TypeId, Arc<Overlay>>>,
    /// Notes which tables are looked at, in a serializable transaction.
    pub(crate) reads: Option<Arc<ReadSet>>,
    /// The locks of the transaction that it is of.
    pub(crate) locks: Option<Arc<LockSet>>,
    /// What is known to be written since older states.
    pub(crate) written: Arc<HashMap<TypeId, Arc<[WrittenSince]>>>,
    /// The part of it that is shown; `None`: all.
    pub(crate) shown: Option<Arc<Shown>>,
}

/// One published state of a branch.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotState {
    pub branch: BranchName,
    pub branch_id: String,
    pub branch_ordinal: u64,
    /// The log entry that published it.
    pub seq: u64,
    pub commit: CommitId,
    /// Longest path to the first commit.
    pub generation: u64,
    pub lineage: Lineage,
    pub time: i64,
    pub schema: Arc<Schema>,
    pub tables: BTreeMap<TypeId, Arc<BaseTable>>,
    /// The newest entry with a commit that locked rows it did not write.
    pub locked_at: Option<u64>,
    pub environment: Arc<dyn Environment>,
    pub names: Arc<NameLog>,
    pub blobs: Arc<Blobs>,
}

impl SnapshotState {
    /// Number and time of its entry: what the next one follows.
    pub fn place(&self) -> (u64, i64) {
        (self.seq, self.time)
    }

    /// Why a file of this state is missing: vacuum may have given the state up.
    pub async fn explain(&self, error: Error) -> Error {
        if !matches!(error, Error::Missing { .. }) {
            return error;
        }
        match self.names.refresh().await {
            Ok(names) if !names.keeps(&self.branch_id, self.seq) => expired(self.commit),
            _ => error,
        }
    }
}

impl Snapshot {
    pub(crate) fn of(state: Arc<SnapshotState>) -> Self {
        Snapshot {
            state,
            overlays: Arc::default(),
            reads: None,
            locks: None,
            written: Arc::default(),
            shown: None,
        }
    }

    pub fn commit(&self) -> CommitId {
        self.state.commit
    }

    pub fn branch(&self) -> &BranchName {
        &self.state.branch
    }

    pub fn branch_ordinal(&self) -> u64 {
        self.state.branch_ordinal
    }

    /// The number of the log entry that it shows.
    pub fn seq(&self) -> u64 {
        self.state.seq
    }

    /// When it was published, in microseconds since 1970.
    pub fn time(&self) -> i64 {
        self.state.time
    }

    pub fn schema(&self) -> &Arc<Schema> {
        match &self.shown {
            Some(shown) => shown.restriction.schema(),
            None => &self.state.schema,
        }
    }

    /// What an error about a missing file or blob means: vacuum may have given the state up.
    pub async fn explain(&self, error: Error) -> Error {
        self.state.explain(error).await
    }

    /// Where the blobs are that its rows refer to.
    pub fn blobs(&self) -> &Arc<Blobs> {
        &self.state.blobs
    }

    pub fn table(&self, id: TypeId) -> Option<Table> {
        let def = self.schema().by_id(id)?;
        let base = self.state.tables.get(&id)?;
        if let Some(reads) = &self.reads {
            reads.add(id);
        }
        if let Some(shown) = &self.shown {
            let ShownTable { columns, overlay } = shown.tables.get(&id)?.clone();
            let table = Table::new(def.clone(), base.clone(), overlay, self.state.clone());
            return Some(match columns {
                Some(columns) => table.viewed(def.clone(), columns),
                None => table,
            });
        }
        let overlay = self.overlays.get(&id).cloned();
        let table = Table::new(def.clone(), base.clone(), overlay, self.state.clone());
        Some(table.noting(self.written.get(&id).cloned()))
    }

    /// Its table differs from that version in rows with these ids at the most.
    pub(crate) fn note(&mut self, id: TypeId, version: TableKey, ids: Vec<String>) {
        let noted = Arc::make_mut(&mut self.written).entry(id).or_default();
        let since = WrittenSince {
            version,
            ids: ids.into(),
        };
        *noted = noted.iter().cloned().chain([since]).collect();
    }

    /// The table with this SQL name.
    pub fn table_named(&self, name: &str) -> Option<Table> {
        self.table(self.schema().table(name)?.id)
    }

    pub fn tables(&self) -> impl Iterator<Item = Table> + '_ {
        self.schema()
            .types
            .iter()
            .filter_map(|def| self.table(def.id))
    }

    /// Locks rows for the transaction that it is of, as [`Transaction::lock`] does. Of a
    /// published state there is nobody to hold them.
    ///
    /// [`Transaction::lock`]: crate::Transaction::lock
    pub fn lock(&self, table: TypeId, ids: Vec<String>, strength: LockStrength) -> Result<()> {
        match &self.locks {
            Some(locks) => locks.add(table, ids, strength),
            None => Ok(()),
        }
    }

    /// Does it show writes that are not published?
    pub fn is_private(&self) -> bool {
        !self.overlays.is_empty()
    }
}
