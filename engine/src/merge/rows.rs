//! The rows of one page of a table: where each is in every version, what it holds there, and
//! the rows that a merge makes of them.

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::interleave;

use super::plan::Versions;
use super::three_way::{Page, Sheet};
use crate::changed::{Pair, Pairs};
use crate::error::Result;
use crate::table::{RowPosition, Table};

/// One row on its way into ours.
pub(super) struct Put {
    pub row: usize,
    /// By column: is it theirs?
    pub choice: Vec<bool>,
    pub replaces: Option<RowPosition>,
}

impl Put {
    /// Does it have values of both sides?
    pub fn is_mixed(&self) -> bool {
        self.choice.contains(&false)
    }
}

/// Where the rows of a page are in each version.
pub(super) struct Rows {
    pub ids: Vec<String>,
    pub theirs: Vec<Option<RowPosition>>,
    pub bases: Vec<Vec<Option<RowPosition>>>,
    pub ours: Vec<Option<RowPosition>>,
    /// Ours is the very row of the only base.
    pub as_base: Vec<bool>,
}

pub(super) async fn rows_of_one_base(versions: &Versions, pairs: &[Pair]) -> Result<Rows> {
    let base_chunks = versions.bases[0].chunks().await?;
    let mut ours: Vec<Option<RowPosition>> = pairs
        .iter()
        .map(|pair| {
            let old = pair.old?;
            versions
                .ours_places
                .row(&base_chunks[old.chunk as usize], old.offset)
        })
        .collect();
    let as_base: Vec<bool> = ours.iter().map(Option::is_some).collect();
    // What is not where the base has it can only be in a file that the base lacks.
    let elsewhere: Vec<usize> = (0..pairs.len()).filter(|row| !as_base[*row]).collect();
    let wanted: Vec<&str> = elsewhere
        .iter()
        .map(|row| pairs[*row].id.as_str())
        .collect();
    let found = versions
        .ours
        .find_ids_among(&wanted, |chunk| versions.base_places.chunk(chunk).is_none())
        .await?;
    for (row, at) in elsewhere.into_iter().zip(found) {
        ours[row] = at;
    }
    Ok(Rows {
        ids: pairs.iter().map(|pair| pair.id.clone()).collect(),
        theirs: pairs.iter().map(|pair| pair.new).collect(),
        bases: vec![pairs.iter().map(|pair| pair.old).collect()],
        ours,
        as_base,
    })
}

/// With several bases rows are looked up by id in all of them; those that the comparison with
/// an earlier base has shown already are left out.
pub(super) async fn rows_of_bases(
    versions: &Versions,
    earlier: &[Pairs],
    pairs: &[Pair],
) -> Result<Rows> {
    let ids: Vec<&str> = pairs.iter().map(|pair| pair.id.as_str()).collect();
    let mut shown = vec![false; pairs.len()];
    let mut bases = Vec::with_capacity(versions.bases.len());
    for (at, base) in versions.bases.iter().enumerate() {
        let found = base.find_ids(&ids).await?;
        if let Some(earlier) = earlier.get(at) {
            for (row, pair) in pairs.iter().enumerate() {
                shown[row] |= earlier.hold(found[row], pair.new);
            }
        }
        bases.push(found);
    }
    let ours = versions.ours.find_ids(&ids).await?;
    let rows: Vec<usize> = (0..pairs.len()).filter(|row| !shown[*row]).collect();
    let chosen = |from: &[Option<RowPosition>]| rows.iter().map(|row| from[*row]).collect();
    let theirs: Vec<Option<RowPosition>> = pairs.iter().map(|pair| pair.new).collect();
    Ok(Rows {
        ids: rows.iter().map(|row| pairs[*row].id.clone()).collect(),
        theirs: chosen(&theirs),
        bases: bases.iter().map(|base| chosen(base)).collect(),
        ours: chosen(&ours),
        as_base: vec![false; rows.len()],
    })
}

/// The rows at some places of a table.
pub(super) async fn sheet(
    table: &Table,
    places: Vec<Option<RowPosition>>,
    columns: &[usize],
) -> Result<Sheet> {
    let found: Vec<RowPosition> = places.iter().copied().flatten().collect();
    let mut next = 0;
    let at = places
        .iter()
        .map(|place| {
            place.map(|_| {
                next += 1;
                next - 1
            })
        })
        .collect();
    Ok(Sheet {
        rows: table.take(&found, columns).await?,
        at,
    })
}

/// The rows to put, each column from the side that was chosen. Nobody has checked them yet.
pub(super) fn composed(versions: &Versions, page: &Page, puts: &[Put]) -> Result<RecordBatch> {
    let columns = (0..versions.def.columns().len())
        .map(|column| {
            let sides: [&dyn Array; 2] = [
                page.ours.rows.column(column),
                page.theirs.rows.column(column),
            ];
            let indices: Vec<(usize, usize)> = puts
                .iter()
                .map(|put| {
                    let sheet = if put.choice[column] {
                        &page.theirs
                    } else {
                        &page.ours
                    };
                    (
                        usize::from(put.choice[column]),
                        sheet.row(put.row).unwrap_or(0),
                    )
                })
                .collect();
            Ok(interleave(&sides, &indices)?)
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    Ok(RecordBatch::try_new(versions.def.row_schema(), columns)?)
}

/// One value, copied out of its page.
pub(super) fn cell(sheet: &Sheet, row: usize, column: usize) -> Result<Option<ArrayRef>> {
    let Some(at) = sheet.at[row] else {
        return Ok(None);
    };
    let one = UInt32Array::from(vec![at]);
    Ok(Some(arrow::compute::take(
        sheet.rows.column(column),
        &one,
        None,
    )?))
}
