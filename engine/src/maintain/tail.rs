//! Merging small files, in tiers.
//!
//! A table that grows by small commits would otherwise grow a file with each. Files fall into
//! tiers by their rows; when one tier is full its files become one file of the next. So a row
//! is rewritten once a tier, and a table has at most some tens of small files.

use arrow::array::{RecordBatch, UInt32Array};
use roaring::RoaringBitmap;

use crate::dataset::{Fragment, TableVersion};
use crate::error::Result;
use crate::table::Chunk;

/// Rows below which a file belongs to a tier.
const TIERS: [u32; 3] = [32, 1024, 32_768];
/// Files in a tier before they are merged.
const FULL: usize = 32;

/// Positions of the files to merge, if a tier is full.
pub(crate) fn to_merge(fragments: &[Fragment]) -> Option<Vec<usize>> {
    let mut below = 0;
    for limit in TIERS {
        let tier: Vec<usize> = fragments
            .iter()
            .enumerate()
            .filter(|(_, fragment)| (below..limit).contains(&fragment.rows))
            .map(|(number, _)| number)
            .collect();
        if tier.len() >= FULL {
            return Some(tier);
        }
        below = limit;
    }
    None
}

/// The rows of a chunk that remain once `gone` is gone.
pub(crate) fn live_offsets(chunk: &Chunk, gone: &RoaringBitmap) -> Vec<u32> {
    (0..chunk.rows)
        .filter(|offset| chunk.is_live(*offset) && !gone.contains(*offset))
        .collect()
}

pub(crate) async fn read(
    version: &TableVersion,
    fragment: &Fragment,
    offsets: &[u32],
) -> Result<RecordBatch> {
    let schema = version.schema();
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let columns = version.columns(fragment, &names).await?;
    let whole = RecordBatch::try_new(schema.clone(), columns)?;
    let rows = UInt32Array::from(offsets.to_vec());
    Ok(arrow::compute::take_record_batch(&whole, &rows)?)
}
