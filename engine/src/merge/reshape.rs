//! The target's tables under a merged schema that is not its own: which of them need other
//! columns, and what a commit that brings the schema along says of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::commit::rebase::Prepared;
use crate::dataset::TableVersion;
use crate::error::{Error, Result};
use crate::format::{TableCommit, TableLine, Written};
use crate::migrate;
use crate::names::CommitId;
use crate::schema::{Schema, TypeDef, TypeId};
use crate::snapshot::{Snapshot, SnapshotState};
use crate::table::BaseTable;

/// The target's tables that need other columns, with them. Nobody sees these versions yet.
pub(super) async fn reshaped(
    ours: &Snapshot,
    schema: &Schema,
) -> Result<BTreeMap<TypeId, TableVersion>> {
    let mut reshaped = BTreeMap::new();
    for def in &schema.types {
        let Some(table) = ours.table(def.id) else {
            continue;
        };
        if needs(table.def(), def) {
            let version = table.version().await?;
            let after = migrate::reshaped(table.def(), def, &version).await?;
            reshaped.insert(def.id, after);
        }
    }
    Ok(reshaped)
}

fn needs(own: &TypeDef, merged: &TypeDef) -> bool {
    own.columns().len() != merged.columns().len()
        || merged.columns().iter().any(|column| {
            let held = own
                .columns()
                .iter()
                .find(|held| held.physical == column.physical);
            held.is_none_or(|held| column.nullable && !held.nullable)
        })
}

/// A schema that comes with a merge, and the tables that the merge's rows are applied to.
#[derive(Debug)]
pub(super) struct Shape {
    pub schema: Arc<Schema>,
    pub tables: BTreeMap<TypeId, Arc<BaseTable>>,
    /// Of these, the ones that the merge itself gives another form.
    reshaped: BTreeMap<TypeId, TableVersion>,
}

impl Shape {
    pub fn of(
        schema: &Arc<Schema>,
        reshaped: &BTreeMap<TypeId, TableVersion>,
        ours: &SnapshotState,
        theirs: &SnapshotState,
    ) -> Result<Shape> {
        let mut tables = BTreeMap::new();
        for def in &schema.types {
            let held = ours.tables.get(&def.id);
            let table = match held {
                Some(held) => held.clone(),
                // A type that the source brings along.
                None => theirs
                    .tables
                    .get(&def.id)
                    .cloned()
                    .ok_or_else(|| Error::internal("a merged type has no table"))?,
            };
            tables.insert(def.id, table);
        }
        let reshaped = reshaped
            .iter()
            .filter(|(id, _)| ours.tables.contains_key(id) && tables.contains_key(id))
            .map(|(id, version)| (*id, version.clone()))
            .collect();
        Ok(Shape {
            schema: schema.clone(),
            tables,
            reshaped,
        })
    }

    /// The state under the merged schema, which `commit` makes.
    pub fn over(&self, state: &SnapshotState, commit: CommitId) -> Arc<SnapshotState> {
        let mut tables = self.tables.clone();
        for (id, version) in &self.reshaped {
            if let Some(table) = tables.get_mut(id) {
                let store = table.store().clone();
                *table = Arc::new(BaseTable::of_version(store, version.clone(), commit));
            }
        }
        Arc::new(SnapshotState {
            schema: self.schema.clone(),
            tables,
            ..state.clone()
        })
    }

    /// What the commit says besides its rows.
    pub async fn stated(
        &self,
        mut prepared: Prepared,
        before: &SnapshotState,
        merged: &SnapshotState,
    ) -> Result<Prepared> {
        prepared.commit.schema = Some(self.schema.digest().to_owned());
        let gone = before.tables.keys();
        prepared.commit.dropped = gone
            .filter(|id| !self.tables.contains_key(id))
            .copied()
            .collect();
        // Versions that nobody has seen are waited for as a whole.
        for (_, since) in &mut prepared.written {
            *since = None;
        }
        for (id, table) in &merged.tables {
            let same = before
                .tables
                .get(id)
                .is_some_and(|held| held.same_version(table));
            if same || prepared.commit.tables.contains_key(id) {
                continue;
            }
            let shape = self.schema.by_id(*id).map(|def| def.shape_digest());
            let line = TableCommit {
                after: TableLine {
                    location: table.location().clone(),
                    shape: shape.unwrap_or_default().to_string(),
                    changed_by: table.changed_by(),
                },
                written: Written::Ids(Vec::new()),
            };
            prepared.commit.tables.insert(*id, line);
            prepared
                .written
                .push((table.version().await?.clone(), None));
        }
        Ok(prepared)
    }
}
