//! The target's tables under a merged schema that is not its own: which of them are made, and
//! what a commit that brings the schema along says of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::conflict::OnConflict;
use super::schemas::fits;
use super::side::own_def;
use crate::commit::rebase::Prepared;
use crate::dataset::TableVersion;
use crate::error::{Error, Result};
use crate::format::{TableCommit, TableLine, Written};
use crate::graph::GraphShared;
use crate::migrate;
use crate::names::CommitId;
use crate::schema::{Schema, TypeDef, TypeId};
use crate::snapshot::{Snapshot, SnapshotState};
use crate::table::BaseTable;

/// The target's tables that need other columns, with them, and empty ones for types that the
/// source brings along and whose table there cannot be taken as it is. Nobody sees these
/// versions yet.
pub(super) async fn made(
    graph: &GraphShared,
    ours: &Snapshot,
    theirs: &Snapshot,
    schema: &Schema,
    policy: OnConflict,
) -> Result<BTreeMap<TypeId, TableVersion>> {
    let (mut made, mut created) = (BTreeMap::new(), Vec::new());
    for def in &schema.types {
        let Some(table) = ours.table(def.id) else {
            let own = own_def(theirs, schema, def.id);
            let counts = def.cardinality().is_some_and(|card| card.min > 0);
            if policy != OnConflict::Fail || counts || !fits(schema, def, own) {
                created.push(def.clone());
            }
            continue;
        };
        if needs(table.def(), def) {
            let version = table.version().await?;
            let after = migrate::reshaped(table.def(), def, &version).await?;
            made.insert(def.id, after);
        }
    }
    made.extend(graph.create_tables(created).await?);
    Ok(made)
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
    /// What stands in their place, where the merge itself makes it.
    made: BTreeMap<TypeId, TableVersion>,
}

impl Shape {
    pub fn of(
        schema: &Arc<Schema>,
        made: &BTreeMap<TypeId, TableVersion>,
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
        Ok(Shape {
            schema: schema.clone(),
            tables,
            made: made.clone(),
        })
    }

    /// The state under the merged schema, which `commit` makes.
    pub fn over(&self, state: &SnapshotState, commit: CommitId) -> Arc<SnapshotState> {
        let mut tables = self.tables.clone();
        for (id, version) in &self.made {
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
