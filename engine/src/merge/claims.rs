//! What a merge relied on, as hashes: enough to tell whether rows that others write meanwhile
//! could change what it decided. A hash that is met only means that the merge is done again.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, AsArray};
use xxhash_rust::xxh3::xxh3_64;

use crate::schema::TypeId;

/// Hashes that are kept for one merge; beyond, any change to a table that it looked at makes it
/// start over.
const MOST: usize = 16 << 20;

/// A set of hashes: added in any order, then asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hashes {
    hashes: Vec<u64>,
    sorted: bool,
}

impl Hashes {
    pub fn push(&mut self, hash: u64) {
        self.sorted = false;
        self.hashes.push(hash);
    }

    pub fn push_id(&mut self, id: &str) {
        self.push(hash_of(id));
    }

    pub fn settle(&mut self) {
        if !self.sorted {
            self.hashes.sort_unstable();
            self.hashes.dedup();
            self.sorted = true;
        }
    }

    /// After [`Hashes::settle`].
    pub fn contains(&self, hash: u64) -> bool {
        debug_assert!(self.sorted || self.hashes.is_empty());
        self.hashes.binary_search(&hash).is_ok()
    }

    pub fn contains_id(&self, id: &str) -> bool {
        self.contains(hash_of(id))
    }

    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The texts of a column of ids.
    pub fn extend_ids(&mut self, ids: &ArrayRef) {
        for id in ids.as_string::<i32>().iter().flatten() {
            self.push_id(id);
        }
    }
}

pub(crate) fn hash_of(id: &str) -> u64 {
    xxh3_64(id.as_bytes())
}

/// What was relied on in one table.
#[derive(Debug, Clone, Default)]
pub(crate) struct TableClaims {
    /// Ids that the source changed: what was decided about them rests on ours as it was.
    pub decided: Hashes,
    /// Of a node type: ids that are deleted.
    pub deleted: Hashes,
    /// Of each unique constraint: the values that are put.
    pub tuples: Vec<Hashes>,
    /// Of an edge type with `@card`: nodes whose edges are counted anew.
    pub sources: Hashes,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Claims {
    pub tables: BTreeMap<TypeId, TableClaims>,
    /// By node type: nodes at which edges that are put end.
    pub ends: BTreeMap<TypeId, Hashes>,
}

impl Claims {
    pub fn settle(&mut self) {
        for claims in self.tables.values_mut() {
            claims.decided.settle();
            claims.deleted.settle();
            claims.sources.settle();
            claims.tuples.iter_mut().for_each(Hashes::settle);
        }
        self.ends.values_mut().for_each(Hashes::settle);
    }

    /// Is there too much of it to be kept?
    pub fn are_too_many(&self) -> bool {
        let tables: usize = self
            .tables
            .values()
            .map(|claims| {
                let tuples: usize = claims.tuples.iter().map(|set| set.hashes.len()).sum();
                claims.decided.hashes.len()
                    + claims.deleted.hashes.len()
                    + claims.sources.hashes.len()
                    + tuples
            })
            .sum();
        let ends: usize = self.ends.values().map(|set| set.hashes.len()).sum();
        tables + ends > MOST
    }
}
