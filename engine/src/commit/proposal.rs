//! What a writer wants published.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::rebase;
use crate::clock;
use crate::dataset::Staged;
use crate::error::{Error, Result};
use crate::format::Written;
use crate::merge::publish::MergeChange;
use crate::migrate::Migration;
use crate::names::CommitId;
use crate::schema::TypeId;
use crate::snapshot::SnapshotState;
use crate::table::BaseTable;
use crate::write::bulk::BulkChange;
use crate::write::changes::Changes;
use crate::write::conditions::Conditions;
use crate::write::transaction::CommitMessage;

pub(crate) struct Proposal {
    pub id: CommitId,
    pub base: Arc<SnapshotState>,
    pub actor: String,
    pub message: CommitMessage,
    pub payload: Payload,
    pub conditions: Conditions,
    /// The rows to add, in files already.
    pub staged: BTreeMap<TypeId, Staged>,
    /// The same rows, where they are few enough to be held.
    pub put: BTreeMap<TypeId, RecordBatch>,
}

pub(crate) enum Payload {
    Rows(Changes),
    Bulk(BulkChange),
    Merge(MergeChange),
    Schema(Migration),
}

impl Proposal {
    /// Writes the rows of a transaction to files, side by side.
    pub async fn of_rows(
        base: Arc<SnapshotState>,
        changes: Changes,
        conditions: Conditions,
        actor: String,
        message: CommitMessage,
    ) -> Result<Proposal> {
        let environment = base.environment.clone();
        let mut put = BTreeMap::new();
        for (&id, table) in &changes.tables {
            let def = base
                .schema
                .by_id(id)
                .ok_or_else(|| Error::internal("a change names a type that the schema lacks"))?;
            let rows = table.put_rows(&def.arrow_schema())?;
            if rows.num_rows() > 0 {
                put.insert(id, rows);
            }
        }
        let staging = put.iter().map(|(&id, rows)| {
            let base = base.clone();
            async move {
                let version = rebase::table_of(&base, id)?.version().await?;
                Ok::<_, Error>((id, version.stage(vec![rows.clone()]).await?))
            }
        });
        let staged = futures::future::try_join_all(staging).await?;
        Ok(Proposal {
            id: clock::commit_id(&*environment),
            base,
            actor,
            conditions,
            message,
            payload: Payload::Rows(changes),
            staged: staged.into_iter().collect(),
            put,
        })
    }

    pub fn tables(&self) -> Vec<TypeId> {
        match &self.payload {
            Payload::Rows(changes) => changes
                .tables
                .iter()
                .filter(|(_, table)| !table.is_empty())
                .map(|(id, _)| *id)
                .collect(),
            Payload::Bulk(bulk) => bulk.tables.clone(),
            Payload::Merge(merge) => merge.tables.keys().copied().collect(),
            Payload::Schema(_) => Vec::new(),
        }
    }

    /// Does it replace all rows of the table?
    pub fn replaces(&self, table: TypeId) -> bool {
        match &self.payload {
            Payload::Rows(_) | Payload::Merge(_) | Payload::Schema(_) => false,
            Payload::Bulk(bulk) => bulk.replaced.contains(&table),
        }
    }

    /// The ids written, if they are few enough to be held.
    pub fn written_ids(&self, table: TypeId) -> Option<Vec<String>> {
        match &self.payload {
            Payload::Rows(changes) => {
                let mut ids: Vec<String> = changes
                    .tables
                    .get(&table)?
                    .rows
                    .iter()
                    .filter(|(_, change)| change.base.is_some() || change.present)
                    .map(|(id, _)| id.to_string())
                    .collect();
                ids.sort_unstable();
                Some(ids)
            }
            Payload::Bulk(bulk) => bulk.written.get(&table).cloned(),
            Payload::Schema(_) => None,
            Payload::Merge(merge) => {
                let mut ids = merge.tables.get(&table)?.written.clone()?;
                ids.sort_unstable();
                ids.dedup();
                Some(ids)
            }
        }
    }

    /// The commit that is merged into the branch, with its generation.
    pub fn merges(&self) -> Option<(CommitId, u64)> {
        match &self.payload {
            Payload::Merge(merge) => Some((merge.parent, merge.generation)),
            Payload::Rows(_) | Payload::Bulk(_) | Payload::Schema(_) => None,
        }
    }

    /// The version that takes the place of the table's own, if there is one already.
    pub fn adopted(&self, table: TypeId) -> Option<&Arc<BaseTable>> {
        match &self.payload {
            Payload::Merge(merge) => merge.tables.get(&table)?.adopted.as_ref(),
            Payload::Rows(_) | Payload::Bulk(_) | Payload::Schema(_) => None,
        }
    }

    pub fn unlisted(&self, table: TypeId) -> Written {
        if self.replaces(table) {
            Written::All
        } else {
            Written::Unlisted
        }
    }

    /// Rows inserted, updated and deleted.
    pub fn counts(&self) -> (u64, u64, u64) {
        match &self.payload {
            Payload::Rows(changes) => changes
                .tables
                .values()
                .map(|table| table.counts())
                .fold((0, 0, 0), |sum, one| {
                    (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2)
                }),
            Payload::Bulk(bulk) => bulk.counts,
            Payload::Merge(merge) => merge.counts(),
            Payload::Schema(_) => (0, 0, 0),
        }
    }
}
