//! Rows that a transaction locks without writing them: `SELECT … FOR UPDATE` and its kind.
//!
//! Nobody waits for such a lock. A commit lists the rows that it locked, and whoever wrote or
//! locked one of them over an older state conflicts with it.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::schema::TypeId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockStrength {
    /// The row must stand unchanged when this transaction commits.
    Share,
    /// And nobody else may have locked it.
    Update,
}

/// How many rows one transaction may lock.
const LIMIT: usize = 65_536;

/// The locks of an open transaction. Its snapshots share it: what reads them may lock what it
/// finds.
#[derive(Debug, Default)]
pub(crate) struct LockSet(Mutex<RowLocks>);

impl LockSet {
    pub fn add(&self, table: TypeId, ids: Vec<String>, strength: LockStrength) -> Result<()> {
        self.0.lock().add(table, ids, strength)
    }

    /// The locks held by now.
    pub fn held(&self) -> RowLocks {
        self.0.lock().clone()
    }

    /// Goes back to earlier ones.
    pub fn restore(&self, locks: &RowLocks) {
        *self.0.lock() = locks.clone();
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct RowLocks {
    tables: BTreeMap<TypeId, BTreeMap<String, LockStrength>>,
    count: usize,
}

impl RowLocks {
    pub fn add(&mut self, table: TypeId, ids: Vec<String>, strength: LockStrength) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let held = self.tables.entry(table).or_default();
        let before = held.len();
        for id in ids {
            let lock = held.entry(id).or_insert(strength);
            *lock = strength.max(*lock);
        }
        self.count += held.len() - before;
        if self.count > LIMIT {
            return Err(Error::LimitExceeded {
                what: "the number of rows that one transaction locks".to_owned(),
                limit: LIMIT as u64,
                actual: self.count as u64,
            });
        }
        Ok(())
    }

    /// All locked rows, by table.
    pub fn rows(&self) -> impl Iterator<Item = (TypeId, Vec<&str>)> {
        self.tables
            .iter()
            .map(|(table, rows)| (*table, rows.keys().map(String::as_str).collect()))
    }

    /// The rows that others may not have locked.
    pub fn exclusive(&self) -> impl Iterator<Item = (TypeId, BTreeSet<&str>)> {
        self.tables.iter().filter_map(|(table, rows)| {
            let rows: BTreeSet<&str> = rows
                .iter()
                .filter(|(_, strength)| **strength == LockStrength::Update)
                .map(|(id, _)| id.as_str())
                .collect();
            (!rows.is_empty()).then_some((*table, rows))
        })
    }
}
