//! Equality lookups over an immutable chunk of rows.
//!
//! A [`ChunkIndex`] is a sorted list of (hash, offset): 12 bytes a row. It is derived from the
//! chunk's file alone, so versions and branches that share the file share the index, and no
//! commit ever has to maintain one. Candidates are compared with the values themselves, so a
//! hash that collides costs a comparison and never a wrong answer.

mod stored;

use arrow::array::{Array, ArrayRef, AsArray, DynComparator, RecordBatch, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use xxhash_rust::xxh3::xxh3_64;

use crate::blob;
use crate::error::Result;

pub use stored::StoredIndex;

#[derive(Debug)]
pub struct ChunkIndex {
    hashes: Box<[u64]>,
    offsets: Box<[u32]>,
}

impl ChunkIndex {
    /// Indexes the tuples of `columns`. Tuples with a NULL in them are left out: they are
    /// equal to nothing.
    pub fn build(columns: &[ArrayRef]) -> Result<ChunkIndex> {
        let mut entries: Vec<(u64, u32)> = tuple_hashes(columns)?
            .into_iter()
            .enumerate()
            .filter_map(|(offset, hash)| hash.map(|hash| (hash, offset as u32)))
            .collect();
        entries.sort_unstable();
        Ok(ChunkIndex {
            hashes: entries.iter().map(|(hash, _)| *hash).collect(),
            offsets: entries.iter().map(|(_, offset)| *offset).collect(),
        })
    }

    /// The offsets that may hold a tuple with this hash, ascending.
    pub fn candidates(&self, hash: u64) -> &[u32] {
        let from = self.position(hash);
        let length = self.hashes[from..]
            .iter()
            .take_while(|found| **found == hash)
            .count();
        &self.offsets[from..from + length]
    }

    /// The first entry whose hash is not below `hash`. Hashes are evenly spread, so the
    /// place can be guessed and then corrected in a few steps.
    fn position(&self, hash: u64) -> usize {
        let count = self.hashes.len();
        let guess = ((u128::from(hash) * count as u128) >> 64) as usize;
        let mut width = 16;
        let (mut low, mut high) = (guess, guess);
        while low > 0 && self.hashes[low - 1] >= hash {
            low = low.saturating_sub(width);
            width *= 4;
        }
        width = 16;
        while high < count && self.hashes[high] < hash {
            high = (high + width).min(count);
            width *= 4;
        }
        low + self.hashes[low..high].partition_point(|found| *found < hash)
    }

    /// Bytes in memory.
    pub fn size(&self) -> usize {
        self.hashes.len() * 12 + 64
    }
}

/// What values are looked for by.
pub(crate) fn hash_of(bytes: &[u8]) -> u64 {
    let hash = xxh3_64(bytes);
    #[cfg(test)]
    let hash = hash & tests::mask();
    hash
}

/// A hash for each tuple of `columns`; `None` where a value is NULL.
pub fn tuple_hashes(columns: &[ArrayRef]) -> Result<Vec<Option<u64>>> {
    if let [column] = columns
        && column.data_type() == &DataType::Utf8
    {
        return Ok(column
            .as_string::<i32>()
            .iter()
            .map(|value| value.map(|text| hash_of(text.as_bytes())))
            .collect());
    }
    let rows = columns.first().map_or(0, |column| column.len());
    let converter = RowConverter::new(
        columns
            .iter()
            .map(|column| SortField::new(column.data_type().clone()))
            .collect(),
    )?;
    let encoded = converter.convert_columns(columns)?;
    Ok((0..rows)
        .map(|row| {
            columns
                .iter()
                .all(|column| column.is_valid(row))
                .then(|| hash_of(encoded.row(row).as_ref()))
        })
        .collect())
}

/// Says whether row `left` of one set of columns equals row `right` of another. Blobs are
/// equal if their bytes are.
pub fn tuple_equality(
    left: &[ArrayRef],
    right: &[ArrayRef],
) -> Result<impl Fn(usize, usize) -> bool + Send + Sync + 'static> {
    let comparators = left
        .iter()
        .zip(right)
        .map(|(left, right)| comparator(left, right))
        .collect::<Result<Vec<_>>>()?;
    Ok(move |left, right| {
        comparators
            .iter()
            .all(|compare| compare(left, right).is_eq())
    })
}

/// Compares the values of two columns.
pub(crate) fn comparator(left: &ArrayRef, right: &ArrayRef) -> Result<DynComparator> {
    let (left, right) = (
        blob::cell::comparable(left)?,
        blob::cell::comparable(right)?,
    );
    Ok(make_comparator(&left, &right, SortOptions::default())?)
}

/// Are two rows equal in every column, NULL being equal to NULL?
pub fn same_row(left: &RecordBatch, l: usize, right: &RecordBatch, r: usize) -> Result<bool> {
    Ok(tuple_equality(left.columns(), right.columns())?(l, r))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringArray};
    use proptest::prelude::*;

    use super::*;

    /// The bits of a hash that count: one of them, in a process that is to show that nothing
    /// rests on hashes being different.
    pub(super) fn mask() -> u64 {
        static MASK: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
        *MASK.get_or_init(|| match std::env::var_os("ONE_BIT_HASHES") {
            Some(_) => 1 << 63,
            None => u64::MAX,
        })
    }

    #[test]
    fn nulls_are_not_indexed() {
        let column: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("a")]));
        let index = ChunkIndex::build(&[column]).unwrap();
        assert_eq!(index.candidates(xxh3_64(b"a")), [0, 2]);
        assert_eq!(index.candidates(xxh3_64(b"b")), [] as [u32; 0]);
    }

    proptest! {
        #[test]
        fn every_tuple_is_found_where_it_is(rows in prop::collection::vec((0i32..50, "[a-c]{0,2}"), 0..300)) {
            let columns: Vec<ArrayRef> = vec![
                Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.0))),
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.1))),
            ];
            let index = ChunkIndex::build(&columns).unwrap();
            let hashes = tuple_hashes(&columns).unwrap();
            let equal = tuple_equality(&columns, &columns).unwrap();
            for (row, hash) in hashes.iter().enumerate() {
                let found: Vec<u32> = index
                    .candidates(hash.unwrap())
                    .iter()
                    .copied()
                    .filter(|offset| equal(row, *offset as usize))
                    .collect();
                let expected: Vec<u32> = (0..rows.len())
                    .filter(|other| rows[*other] == rows[row])
                    .map(|other| other as u32)
                    .collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
