//! The numbers of the nodes at the ends of edges.

use std::sync::Arc;

use arrow::array::{Array, StringArray};
use roaring::RoaringBitmap;

use crate::error::{Error, Result};
use crate::traverse::adjacency::{Endpoints, Ends, Piece};
use crate::traverse::cancel::Cancel;
use crate::traverse::dictionary::Dictionary;
use crate::traverse::lists::NONE;

/// The numbers of both endpoint columns, [`NONE`] for deleted rows. Looking them up is most of
/// the work of a build, so each core takes a share of the rows.
pub(super) fn numbers(
    pieces: &[Piece],
    columns: &[Endpoints],
    ends: &Ends,
    cancel: &Cancel,
) -> Result<(Vec<u32>, Vec<u32>)> {
    for (piece, columns) in pieces.iter().zip(columns) {
        let rows = columns.src.len().min(columns.dst.len());
        if rows != piece.rows as usize {
            return Err(Error::internal(format!(
                "chunk {} has {} rows, its columns {rows}",
                piece.key, piece.rows
            )));
        }
    }
    let rows = pieces.iter().map(|piece| piece.rows as usize).sum();
    let (mut src, mut dst) = (vec![NONE; rows], vec![NONE; rows]);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = rows.div_ceil(cores).max(SHARE_ROWS);
    std::thread::scope(|scope| {
        let shares = src.chunks_mut(share).zip(dst.chunks_mut(share));
        let threads: Vec<_> = shares
            .enumerate()
            .map(|(nth, (src, dst))| {
                let work =
                    move || number_share(pieces, columns, ends, nth * share, src, dst, cancel);
                scope.spawn(work)
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(Error::internal("a thread that numbers edges stopped")))
        })
    })?;
    Ok((src, dst))
}

/// Fewer rows are not worth another thread.
const SHARE_ROWS: usize = 1 << 15;

/// The numbers of the rows from position `start` on.
fn number_share(
    pieces: &[Piece],
    columns: &[Endpoints],
    ends: &Ends,
    start: usize,
    src: &mut [u32],
    dst: &mut [u32],
    cancel: &Cancel,
) -> Result<()> {
    let mut at = 0;
    let mut first = 0;
    for (piece, columns) in pieces.iter().zip(columns) {
        let rows = piece.rows as usize;
        let from = (start + at).saturating_sub(first).min(rows);
        let upto = (start + src.len()).saturating_sub(first).min(rows);
        first += rows;
        let (mut last_src, mut last_dst) = (Last::default(), Last::default());
        for row in from..upto {
            cancel.check_at(at)?;
            let is_gone = |deleted: &Arc<RoaringBitmap>| deleted.contains(row as u32);
            if !piece.deleted.as_ref().is_some_and(is_gone) {
                src[at] = last_src.number(&columns.src, row as u32, &ends.from)?;
                dst[at] = last_dst.number(&columns.dst, row as u32, &ends.to)?;
            }
            at += 1;
        }
    }
    Ok(())
}

/// What was looked up last: tables are often ordered by one of their ends.
#[derive(Default)]
struct Last<'a>(Option<(&'a str, u32)>);

impl<'a> Last<'a> {
    fn number(
        &mut self,
        column: &'a StringArray,
        row: u32,
        dictionary: &Dictionary,
    ) -> Result<u32> {
        if let Some((id, number)) = self.0
            && column.is_valid(row as usize)
            && column.value(row as usize) == id
        {
            return Ok(number);
        }
        let number = number(column, row, dictionary)?;
        self.0 = Some((column.value(row as usize), number));
        Ok(number)
    }
}

pub(super) fn number(column: &StringArray, row: u32, dictionary: &Dictionary) -> Result<u32> {
    let row = row as usize;
    let id = if row < column.len() && column.is_valid(row) {
        column.value(row)
    } else {
        return Err(Error::internal("an edge without an endpoint"));
    };
    dictionary.find_present(id).ok_or_else(|| Error::Corrupt {
        object: "an edge table".to_owned(),
        message: format!("an edge names the node \"{id}\", which does not exist"),
    })
}
