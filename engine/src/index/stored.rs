//! A [`ChunkIndex`] as an object beside the file it was derived from, of which a lookup of few
//! values reads a few kilobytes.
//!
//! All numbers are little endian.
//!
//! ```text
//! header   "omniidx1", entries u64, entries of a block u64, xxh3-64 of the above and the fences u64
//! fences   of each block: its first hash u64, xxh3-64 of the block u64
//! blocks   of each: its hashes u64…, then its offsets u32…
//! ```
//!
//! It is derived, so it may be missing or damaged at any time: then it counts as not there,
//! and is made again.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::ChunkIndex;
use crate::storage::Store;

const MAGIC: &[u8; 8] = b"omniidx1";
const HEADER: u64 = 32;
const FENCE: u64 = 16;
const ENTRY: u64 = 12;
/// Entries of a block: six kilobytes.
const BLOCK: usize = 512;

/// Where to look in a stored index.
#[derive(Debug)]
pub struct StoredIndex {
    key: String,
    entries: u64,
    block: u64,
    fences: Box<[(u64, u64)]>,
    /// Blocks that were read so far.
    asked: AtomicU64,
}

impl StoredIndex {
    /// The bytes of the object that holds `index`.
    pub fn encode(index: &ChunkIndex) -> Bytes {
        Self::encode_in(index, BLOCK)
    }

    fn encode_in(index: &ChunkIndex, block: usize) -> Bytes {
        let mut fences = Vec::new();
        let mut blocks = Vec::with_capacity(index.hashes.len() * ENTRY as usize);
        for (hashes, offsets) in index.hashes.chunks(block).zip(index.offsets.chunks(block)) {
            let start = blocks.len();
            blocks.extend(hashes.iter().flat_map(|hash| hash.to_le_bytes()));
            blocks.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
            fences.extend(hashes[0].to_le_bytes());
            fences.extend(xxh3_64(&blocks[start..]).to_le_bytes());
        }
        let mut bytes = Vec::with_capacity(HEADER as usize + fences.len() + blocks.len());
        bytes.extend(MAGIC);
        bytes.extend((index.hashes.len() as u64).to_le_bytes());
        bytes.extend((block as u64).to_le_bytes());
        let checksum = xxh3_64(&[&bytes[..], &fences].concat());
        bytes.extend(checksum.to_le_bytes());
        bytes.extend(fences);
        bytes.extend(blocks);
        bytes.into()
    }

    /// The whole index; `None`: the bytes are damaged.
    pub fn decode(bytes: &[u8]) -> Option<ChunkIndex> {
        let (head, rest) = bytes.split_at_checked(HEADER as usize)?;
        let (entries, block) = header(head)?;
        let fences_end = entries.div_ceil(block) * FENCE;
        let fences = fences(head, rest.get(..fences_end as usize)?)?;
        let mut hashes = Vec::with_capacity(entries as usize);
        let mut offsets = Vec::with_capacity(entries as usize);
        for (at, (_, checksum)) in fences.iter().enumerate() {
            let range = block_range(entries, block, at as u64);
            let held = bytes.get(range.start as usize..range.end as usize)?;
            let (own_hashes, own_offsets) = entries_of(held, *checksum)?;
            hashes.extend(own_hashes);
            offsets.extend(own_offsets);
        }
        Some(ChunkIndex {
            hashes: hashes.into(),
            offsets: offsets.into(),
        })
    }

    /// `None`: it is not there, or damaged.
    pub async fn open(store: &Store, key: String) -> Option<StoredIndex> {
        let first = std::slice::from_ref(&(0..HEADER));
        let head = store.read_ranges(&key, first).await.ok()?.pop()?;
        let (entries, block) = header(&head)?;
        let range = HEADER..HEADER + entries.div_ceil(block) * FENCE;
        let held = match range.is_empty() {
            true => Vec::new(),
            false => store.read_ranges(&key, &[range]).await.ok()?,
        };
        Some(StoredIndex {
            key,
            entries,
            block,
            fences: fences(&head, held.first().map_or(&[], |held| held))?,
            asked: AtomicU64::new(0),
        })
    }

    /// Is asking for the blocks of so many values better than reading all of it?
    pub fn is_worth_asking(&self, values: usize) -> bool {
        let asked = self.asked.load(Ordering::Relaxed) + values as u64;
        asked * 4 < self.fences.len() as u64
    }

    /// The offsets that may hold a tuple with one of these hashes, ascending for each; `None`:
    /// it is damaged, or gone.
    pub async fn candidates(
        &self,
        store: &Store,
        hashes: impl Iterator<Item = u64> + Clone,
    ) -> Option<HashMap<u64, Vec<u32>>> {
        let blocks: BTreeSet<usize> = hashes.clone().flat_map(|hash| self.blocks(hash)).collect();
        self.asked.fetch_add(blocks.len() as u64, Ordering::Relaxed);
        let ranges: Vec<Range<u64>> = blocks
            .iter()
            .map(|at| block_range(self.entries, self.block, *at as u64))
            .collect();
        let read = match ranges.is_empty() {
            true => Vec::new(),
            false => store.read_ranges(&self.key, &ranges).await.ok()?,
        };
        let mut held = HashMap::new();
        for (at, bytes) in blocks.into_iter().zip(&read) {
            held.insert(at, entries_of(bytes, self.fences[at].1)?);
        }
        let mut found = HashMap::new();
        for hash in hashes {
            let mut offsets = Vec::new();
            for at in self.blocks(hash) {
                let (own_hashes, own_offsets) = &held[&at];
                let from = own_hashes.partition_point(|own| *own < hash);
                let same = own_hashes[from..].iter().take_while(|own| **own == hash);
                offsets.extend(&own_offsets[from..from + same.count()]);
            }
            found.insert(hash, offsets);
        }
        Some(found)
    }

    /// The blocks that a hash may be in.
    fn blocks(&self, hash: u64) -> Range<usize> {
        let from = self.fences.partition_point(|(first, _)| *first < hash);
        let to = self.fences.partition_point(|(first, _)| *first <= hash);
        from.saturating_sub(1)..to
    }

    /// Bytes in memory.
    pub fn size(&self) -> usize {
        self.key.len() + self.fences.len() * FENCE as usize + 64
    }
}

fn block_range(entries: u64, block: u64, at: u64) -> Range<u64> {
    let blocks = HEADER + entries.div_ceil(block) * FENCE;
    let to = ((at + 1) * block).min(entries);
    blocks + at * block * ENTRY..blocks + to * ENTRY
}

/// Entries, and entries of a block.
fn header(bytes: &[u8]) -> Option<(u64, u64)> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let mut numbers = numbers(rest);
    let (entries, block) = (numbers.next()?, numbers.next()?);
    // Rows of a file are counted in 32 bits.
    let is_sound = magic == MAGIC && block > 0 && entries.max(block) <= u64::from(u32::MAX);
    is_sound.then_some((entries, block))
}

fn fences(head: &[u8], bytes: &[u8]) -> Option<Box<[(u64, u64)]>> {
    let (summed, checksum) = head.split_last_chunk::<8>()?;
    let mut numbers = numbers(bytes);
    let fences = std::iter::from_fn(|| Some((numbers.next()?, numbers.next()?)));
    let sum = xxh3_64(&[summed, bytes].concat());
    (sum == u64::from_le_bytes(*checksum)).then(|| fences.collect())
}

fn entries_of(bytes: &[u8], checksum: u64) -> Option<(Vec<u64>, Vec<u32>)> {
    if xxh3_64(bytes) != checksum {
        return None;
    }
    let (hashes, offsets) = bytes.split_at(bytes.len() / ENTRY as usize * 8);
    let (offsets, _) = offsets.as_chunks::<4>();
    let offsets = offsets.iter().map(|bytes| u32::from_le_bytes(*bytes));
    Some((numbers(hashes).collect(), offsets.collect()))
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let (numbers, _) = bytes.as_chunks::<8>();
    numbers.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::StoreOptions;

    fn index(mut hashes: Vec<u64>) -> ChunkIndex {
        hashes.sort_unstable();
        ChunkIndex {
            offsets: (0..hashes.len() as u32).collect(),
            hashes: hashes.into(),
        }
    }

    async fn memory() -> Store {
        let options = StoreOptions::default();
        Store::connect("memory:", &options).await.unwrap()
    }

    proptest! {
        #[test]
        fn what_is_stored_answers_as_what_is_held(
            hashes in prop::collection::vec(0u64..40, 0..60),
            asked in prop::collection::vec(0u64..45, 0..8),
            block in 1usize..9,
        ) {
            let index = index(hashes);
            let bytes = StoredIndex::encode_in(&index, block);
            let whole = StoredIndex::decode(&bytes).unwrap();
            prop_assert_eq!((&whole.hashes, &whole.offsets), (&index.hashes, &index.offsets));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let store = memory().await;
                store.write("x", bytes).await.unwrap();
                let stored = StoredIndex::open(&store, "x".to_owned()).await.unwrap();
                let found = stored.candidates(&store, asked.iter().copied()).await.unwrap();
                for hash in &asked {
                    assert_eq!(found[hash], index.candidates(*hash), "{hash}");
                }
            });
        }
    }

    #[tokio::test]
    async fn damage_counts_as_absence() {
        let store = memory().await;
        let bytes = StoredIndex::encode_in(&index((0..50).map(|n| n * 7).collect()), 8);
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 4;
            assert!(StoredIndex::decode(&damaged).is_none(), "byte {at}");
            store.write("x", damaged.into()).await.unwrap();
            if let Some(stored) = StoredIndex::open(&store, "x".to_owned()).await {
                let all = (0..50).map(|n| n * 7);
                assert!(stored.candidates(&store, all).await.is_none());
            }
        }
        for end in [0, 7, 31, 40, 300] {
            store.write("x", bytes.slice(..end)).await.unwrap();
            assert!(StoredIndex::decode(&bytes[..end]).is_none());
            if let Some(stored) = StoredIndex::open(&store, "x".to_owned()).await {
                let found = stored.candidates(&store, std::iter::once(343)).await;
                assert!(found.is_none(), "cut at {end}");
            }
        }
        assert!(StoredIndex::open(&store, "y".to_owned()).await.is_none());
    }
}
