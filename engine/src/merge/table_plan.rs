//! What a merge does to one table.

use std::collections::{BTreeMap, HashSet};

use super::Counts;
use super::claims::Hashes;
use super::schemas::NewRules;
use super::unique::Uniques;
use crate::changed::Places;
use crate::commit::rebase::LISTED_ROWS;
use crate::table::RowPosition;
use crate::write::files::FileWriter;

/// What a merge does to one table.
#[derive(Default)]
pub(super) struct TablePlan {
    /// The source's version is taken as it is: the target has not changed the table.
    pub adopts: bool,
    pub counts: Counts,
    /// Rows of ours that are replaced or deleted.
    pub replaced: Places,
    /// Those of them that are deleted.
    pub deleted: Places,
    /// The ids put and deleted, while they are few enough to be listed.
    pub written: Option<Vec<String>>,
    /// Ids that ours deleted and the merge puts back.
    pub returned: HashSet<String>,
    pub writer: Option<FileWriter>,
    pub uniques: Uniques,
    /// What theirs has not asked of its rows.
    pub new_to_theirs: NewRules,
    /// Of an edge type with `@card`: nodes whose edges ours changed.
    pub ours_sources: Hashes,
    /// Nodes whose edges are counted, with how many are put there: those that both sides
    /// changed, and those that one side changed which has not asked for `@card`.
    pub counted: BTreeMap<String, i64>,
}

impl TablePlan {
    pub fn delete(&mut self, id: &str, at: RowPosition) {
        if insert(&mut self.replaced, at) {
            insert(&mut self.deleted, at);
            self.counts.deleted += 1;
            self.list(id);
        }
    }

    pub fn replace(&mut self, at: RowPosition) {
        if insert(&mut self.replaced, at) {
            self.counts.updated += 1;
        }
    }

    /// Takes a deletion back; false if there was none.
    pub fn keep(&mut self, at: RowPosition) -> bool {
        let remove = |places: &mut Places| {
            places
                .get_mut(&at.chunk)
                .is_some_and(|offsets| offsets.remove(at.offset))
        };
        if !remove(&mut self.deleted) {
            return false;
        }
        remove(&mut self.replaced);
        self.counts.deleted -= 1;
        true
    }

    pub fn list(&mut self, id: &str) {
        if let Some(written) = &mut self.written {
            if written.len() < LISTED_ROWS {
                written.push(id.to_owned());
            } else {
                self.written = None;
            }
        }
    }
}

pub(super) fn holds(places: &Places, at: RowPosition) -> bool {
    places
        .get(&at.chunk)
        .is_some_and(|offsets| offsets.contains(at.offset))
}

/// False if it was there.
pub(super) fn insert(places: &mut Places, at: RowPosition) -> bool {
    places.entry(at.chunk).or_default().insert(at.offset)
}
