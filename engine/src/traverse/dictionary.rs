//! Dense numbers for the nodes of one type.
//!
//! A [`Dictionary`] maps each node id to a `u32` and back. It only grows: a number, once
//! given, means the same id in every later dictionary of its lineage, so that adjacency
//! built for one commit serves the commits and branches around it. It says nothing about
//! whether a node exists at some commit: ids of rows that were deleted or replaced stay.
//!
//! Numbers follow the position of rows in the chunks of the node table, as long as no id
//! comes twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, StringArray};
use hashbrown::{HashSet, HashTable};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::traverse::cancel::Cancel;

/// Immutable; [`Dictionary::extend`] gives the next one.
#[derive(Debug, Clone)]
pub struct Dictionary {
    /// Dictionaries agree about numbers exactly if they are of one lineage.
    lineage: u64,
    /// Largest first, in the order of their numbers.
    segments: Vec<Arc<Segment>>,
    /// The chunks whose rows are in it.
    chunks: Arc<HashSet<Arc<str>>>,
    /// No two of its ids have the same hash.
    distinct: bool,
}

/// A run of consecutive numbers with its own hash table.
#[derive(Debug, Clone)]
struct Segment {
    base: u32,
    text: String,
    /// Where the id of number `base + i` begins in `text`; one more at the end.
    starts: Vec<usize>,
    table: HashTable<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u64,
    /// Which number of the segment.
    at: u32,
}

/// A segment that is not at least this many times smaller than the one before it is merged
/// with it, so that a lookup asks few of them and appending stays cheap.
const SEGMENT_RATIO: usize = 4;

impl Dictionary {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Dictionary {
            lineage: NEXT.fetch_add(1, Ordering::Relaxed),
            segments: Vec::new(),
            chunks: Arc::default(),
            distinct: true,
        }
    }

    pub fn lineage(&self) -> u64 {
        self.lineage
    }

    pub fn len(&self) -> usize {
        self.segments
            .last()
            .map_or(0, |last| last.base as usize + last.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many chunks were read into it.
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    pub fn has_chunk(&self, key: &str) -> bool {
        self.chunks.contains(key)
    }

    pub fn bytes(&self) -> usize {
        let segments: usize = self.segments.iter().map(|segment| segment.bytes()).sum();
        segments + self.chunks.len() * 80
    }

    /// A dictionary that also knows the rows of these chunks, deleted ones too: another
    /// commit may share the chunk and not the deletion.
    pub fn extend(&self, added: &[(Arc<str>, StringArray)], cancel: &Cancel) -> Result<Self> {
        let mut chunks = HashSet::clone(&self.chunks);
        let mut fresh = Segment::empty(self.number(self.len())?);
        let rows = added.iter().map(|(_, ids)| ids.len()).sum();
        let text = added.iter().map(|(_, ids)| ids.value_data().len()).sum();
        fresh.reserve(rows, text);
        let mut distinct = self.distinct;
        for (key, ids) in added {
            if !chunks.insert(key.clone()) {
                continue;
            }
            for (row, id) in ids.iter().enumerate() {
                cancel.check_at(row)?;
                let Some(id) = id else { continue };
                let hash = xxh3_64(id.as_bytes());
                if self.find_hashed(id, hash).is_none() && fresh.find(id, hash).is_none() {
                    self.number(fresh.base as usize + fresh.len())?;
                    distinct &= self
                        .find_hash(hash)
                        .or_else(|| fresh.find_hash(hash))
                        .is_none();
                    fresh.insert(id, hash);
                }
            }
        }
        let mut segments = self.segments.clone();
        if fresh.len() > 0 {
            while let Some(last) = segments.pop_if(|last| last.len() < fresh.len() * SEGMENT_RATIO)
            {
                fresh = last.merged(&fresh);
            }
            fresh.text.shrink_to_fit();
            segments.push(Arc::new(fresh));
        }
        Ok(Dictionary {
            lineage: self.lineage,
            segments,
            chunks: Arc::new(chunks),
            distinct,
        })
    }

    pub fn find(&self, id: &str) -> Option<u32> {
        self.find_hashed(id, xxh3_64(id.as_bytes()))
    }

    /// The number of an id that is known to be here, as the endpoint of an edge is. Its text
    /// is not looked at as long as its hash is nobody else's, which saves two of three misses
    /// of the processor's cache.
    pub fn find_present(&self, id: &str) -> Option<u32> {
        let hash = xxh3_64(id.as_bytes());
        match self.distinct {
            true => self.find_hash(hash),
            false => self.find_hashed(id, hash),
        }
    }

    /// Is this the number of that id?
    pub fn is(&self, number: u32, id: &str) -> bool {
        (number as usize) < self.len() && self.id(number) == id
    }

    /// The id behind a number that this dictionary gave.
    pub fn id(&self, number: u32) -> &str {
        let at = self
            .segments
            .partition_point(|segment| segment.base <= number)
            .saturating_sub(1);
        self.segments
            .get(at)
            .map_or("", |segment| segment.get((number - segment.base) as usize))
    }

    fn find_hashed(&self, id: &str, hash: u64) -> Option<u32> {
        self.segments
            .iter()
            .find_map(|segment| segment.find(id, hash))
    }

    fn find_hash(&self, hash: u64) -> Option<u32> {
        let mut segments = self.segments.iter();
        segments.find_map(|segment| segment.find_hash(hash))
    }

    fn number(&self, position: usize) -> Result<u32> {
        // The last value is kept free: it marks "none" in places.
        u32::try_from(position)
            .ok()
            .filter(|number| *number < u32::MAX)
            .ok_or_else(|| Error::LimitExceeded {
                what: "the number of nodes of one type in a traversal".to_owned(),
                limit: u64::from(u32::MAX) - 1,
                actual: position as u64,
            })
    }
}

impl Default for Dictionary {
    fn default() -> Self {
        Dictionary::new()
    }
}

impl Segment {
    fn empty(base: u32) -> Self {
        Segment {
            base,
            text: String::new(),
            starts: vec![0],
            table: HashTable::new(),
        }
    }

    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    fn reserve(&mut self, rows: usize, bytes: usize) {
        self.text.reserve(bytes);
        self.starts.reserve(rows);
        self.table.reserve(rows, |entry| entry.hash);
    }

    fn get(&self, i: usize) -> &str {
        &self.text[self.starts[i]..self.starts[i + 1]]
    }

    fn find(&self, id: &str, hash: u64) -> Option<u32> {
        self.table
            .find(hash, |entry| {
                entry.hash == hash && self.get(entry.at as usize) == id
            })
            .map(|entry| self.base + entry.at)
    }

    fn find_hash(&self, hash: u64) -> Option<u32> {
        self.table
            .find(hash, |entry| entry.hash == hash)
            .map(|entry| self.base + entry.at)
    }

    /// An id that is not there yet.
    fn insert(&mut self, id: &str, hash: u64) {
        let at = self.len() as u32;
        self.text.push_str(id);
        self.starts.push(self.text.len());
        self.table
            .insert_unique(hash, Entry { hash, at }, |entry| entry.hash);
    }

    /// This segment and the one that follows it, as one.
    fn merged(&self, next: &Segment) -> Segment {
        let mut merged = Segment {
            base: self.base,
            text: self.text.clone(),
            starts: self.starts.clone(),
            table: self.table.clone(),
        };
        merged.reserve(next.len(), next.text.len());
        for i in 0..next.len() {
            let id = next.get(i);
            merged.insert(id, xxh3_64(id.as_bytes()));
        }
        merged
    }

    fn bytes(&self) -> usize {
        self.text.capacity()
            + self.starts.capacity() * size_of::<usize>()
            + self.table.capacity() * (size_of::<Entry>() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(key: &str, ids: &[&str]) -> (Arc<str>, StringArray) {
        (key.into(), StringArray::from(ids.to_vec()))
    }

    fn extend(dictionary: &Dictionary, chunks: &[(Arc<str>, StringArray)]) -> Dictionary {
        dictionary.extend(chunks, &Cancel::never()).unwrap()
    }

    #[test]
    fn numbers_follow_positions() {
        let d = extend(
            &Dictionary::new(),
            &[chunk("1", &["b", "a"]), chunk("2", &["", "ü"])],
        );
        assert_eq!(d.len(), 4);
        for (number, id) in ["b", "a", "", "ü"].into_iter().enumerate() {
            assert_eq!(d.find(id), Some(number as u32));
            assert_eq!(d.id(number as u32), id);
        }
        assert_eq!(d.find("c"), None);
    }

    #[test]
    fn numbers_survive_growth_and_merging() {
        let mut d = Dictionary::new();
        let mut expected = Vec::new();
        for round in 0..300 {
            let id = format!("n{round}");
            // The same row again, as after an update, keeps its number.
            let again = format!("n{}", round / 2);
            d = extend(&d, &[chunk(&format!("c{round}"), &[&id, &again])]);
            expected.push(id);
        }
        assert_eq!(d.len(), 300);
        assert!(d.segments.len() < 8, "{} segments", d.segments.len());
        for (number, id) in expected.iter().enumerate() {
            assert_eq!(d.find(id), Some(number as u32));
            assert_eq!(d.id(number as u32), id);
        }
    }

    #[test]
    fn ids_of_one_hash_are_told_apart_by_their_text() {
        let mut d = extend(&Dictionary::new(), &[chunk("1", &["a", "b"])]);
        assert_eq!((d.find_present("b"), d.find_present("c")), (Some(1), None));
        // As if the two had collided: the first one found stands for both.
        let hash = xxh3_64(b"b");
        let mut collided = Segment::clone(&d.segments[0]);
        collided.table.clear();
        for at in [0, 1] {
            let entry = Entry { hash, at };
            collided
                .table
                .insert_unique(hash, entry, |entry| entry.hash);
        }
        d.segments = vec![Arc::new(collided)];
        d.distinct = false;
        assert_eq!(d.find_present("b"), Some(1));
    }

    #[test]
    fn a_chunk_is_read_once() {
        let d = extend(&Dictionary::new(), &[chunk("1", &["a"])]);
        let same = extend(&d, &[chunk("1", &["x"])]);
        assert!(same.has_chunk("1"));
        assert_eq!(same.len(), 1);
        assert_eq!(same.lineage(), d.lineage());
        assert_ne!(Dictionary::new().lineage(), d.lineage());
    }
}
