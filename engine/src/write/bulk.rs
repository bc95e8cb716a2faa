//! A change too large to be held as rows: whole files, checked while they were written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::changed;
use crate::error::{Error, Result};
use crate::schema::{TypeId, TypeKind};
use crate::snapshot::{Snapshot, SnapshotState};
use crate::table::RowPosition;

#[derive(Debug, Default)]
pub(crate) struct BulkChange {
    pub tables: Vec<TypeId>,
    /// Tables all of whose rows are replaced.
    pub replaced: BTreeSet<TypeId>,
    /// Rows of the base that new versions replace.
    pub deletions: BTreeMap<TypeId, Vec<RowPosition>>,
    /// The ids written, where they are few.
    pub written: BTreeMap<TypeId, Vec<String>>,
    /// Rows inserted, updated and deleted.
    pub counts: (u64, u64, u64),
}

impl BulkChange {
    /// Where the rows that it replaces are in `state`.
    pub async fn places(
        &self,
        base: &Arc<SnapshotState>,
        state: &Arc<SnapshotState>,
    ) -> Result<BTreeMap<TypeId, Vec<RowPosition>>> {
        self.check_moved(base, state)?;
        let (before, after) = (Snapshot::of(base.clone()), Snapshot::of(state.clone()));
        let mut places = BTreeMap::new();
        for (&id, rows) in &self.deletions {
            let (old, new) = (before.table(id), after.table(id));
            let (Some(old), Some(new)) = (old, new) else {
                return Err(Error::internal(
                    "a bulk load writes a type that has no table",
                ));
            };
            let found = match old.key() == new.key() {
                true => rows.clone(),
                false => changed::relocated(&old, &new, rows.iter().copied()).await?,
            };
            places.insert(id, found);
        }
        Ok(places)
    }

    /// The checks were made against `base` and are too large to be made again: whoever
    /// changed a table that they looked at has won.
    fn check_moved(&self, base: &SnapshotState, state: &SnapshotState) -> Result<()> {
        let mut looked_at: BTreeSet<TypeId> = self.tables.iter().copied().collect();
        if !self.replaced.is_empty() {
            // All rows of the graph are replaced, also those of tables that had none.
            looked_at.extend(base.tables.keys().chain(state.tables.keys()));
        }
        for edge in base.schema.edges() {
            if let TypeKind::Edge { from, to, .. } = &edge.kind
                && looked_at.contains(&edge.id)
            {
                looked_at.extend([*from, *to]);
            }
        }
        for id in looked_at {
            let same = match (base.tables.get(&id), state.tables.get(&id)) {
                (Some(before), Some(now)) => before.same_rows(now),
                (before, now) => before.is_none() && now.is_none(),
            };
            if !same {
                return Err(Error::Conflict {
                    table: base
                        .schema
                        .by_id(id)
                        .map(|def| def.table.clone())
                        .unwrap_or_default(),
                    id: String::new(),
                    branch: base.branch.to_string(),
                    expected: "tables that nobody else changes during a bulk load".to_owned(),
                    actual: "another commit changed one".to_owned(),
                });
            }
        }
        Ok(())
    }
}
