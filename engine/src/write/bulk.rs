//! A change too large to be held as rows: whole files, checked while they were written.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::schema::{TypeId, TypeKind};
use crate::snapshot::SnapshotState;
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
    /// The checks were made against `base` and are too large to be made again: whoever
    /// changed a table that they looked at has won.
    pub async fn check_moved(&self, base: &SnapshotState, state: &SnapshotState) -> Result<()> {
        let mut looked_at: BTreeSet<TypeId> = self.tables.iter().copied().collect();
        for edge in base.schema.edges() {
            if let TypeKind::Edge { from, to, .. } = &edge.kind
                && (looked_at.contains(&edge.id)
                    || self.replaced.contains(from)
                    || self.replaced.contains(to))
            {
                looked_at.extend([edge.id, *from, *to]);
            }
        }
        for id in looked_at {
            let location = |state: &SnapshotState| {
                state
                    .tables
                    .get(&id)
                    .map(|table| (table.location().dir.clone(), table.location().version))
            };
            if location(base) != location(state) {
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
