//! What a publication requires of the state it lands on, beyond what it wrote.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::names::CommitId;
use crate::schema::TypeId;
use crate::snapshot::SnapshotState;
use crate::write::locks::RowLocks;

/// The tables that a serializable transaction has looked at, whatever it looked for.
#[derive(Debug, Default)]
pub struct ReadSet(Mutex<BTreeSet<TypeId>>);

impl ReadSet {
    pub(crate) fn add(&self, table: TypeId) {
        self.0.lock().insert(table);
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    /// The commit that must be the head.
    pub expected_head: Option<CommitId>,
    pub reads: Option<Arc<ReadSet>>,
    pub locks: RowLocks,
}

impl Conditions {
    /// Checks them against the state that the proposal is to follow.
    pub fn check(&self, base: &SnapshotState, state: &SnapshotState) -> Result<()> {
        if let Some(expected) = self.expected_head
            && expected != state.commit
        {
            return Err(Error::Conflict {
                table: String::new(),
                id: String::new(),
                branch: base.branch.to_string(),
                expected: format!("the head {expected}"),
                actual: format!("{} is the head", state.commit),
            });
        }
        let Some(reads) = &self.reads else {
            return Ok(());
        };
        if base.schema.digest() != state.schema.digest() {
            return Err(changed(base, String::new(), "the schema was changed"));
        }
        for id in reads.0.lock().iter() {
            let same = match (base.tables.get(id), state.tables.get(id)) {
                (Some(base), Some(now)) => base.same_rows(now),
                (None, None) => true,
                _ => false,
            };
            if !same {
                let table = base.schema.by_id(*id).map(|def| def.table.clone());
                return Err(changed(
                    base,
                    table.unwrap_or_default(),
                    "rows were changed",
                ));
            }
        }
        Ok(())
    }
}

fn changed(base: &SnapshotState, table: String, actual: &str) -> Error {
    Error::Conflict {
        table,
        id: String::new(),
        branch: base.branch.to_string(),
        expected: "what this serializable transaction read, unchanged".to_owned(),
        actual: actual.to_owned(),
    }
}
