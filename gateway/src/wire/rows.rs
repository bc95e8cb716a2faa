//! Batches of Arrow to DataRow messages.

use std::sync::Arc;

use arrow::array::RecordBatch;
use omnigraph_catalog::types::PgType;

use crate::error::{PgError, PgResult};
use crate::session::protocol::Column;
use crate::sqlstate;
use crate::text::{Formatter, ObjectNames, TextFormat, View};
use crate::wire::reply::patch_length;
use crate::wire::{encode_binary, encode_text};

/// A row beyond this is refused: clients stop at 1 GB, and so must what we hold at once.
const MAX_ROW: usize = 1 << 30;

/// The format of each result column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Formats {
    #[default]
    Text,
    Binary,
    /// One for each column.
    Each(Vec<bool>),
}

impl Formats {
    /// From Bind: none is text, one is for all, else one for each column.
    pub fn parse(codes: &[i16], columns: usize) -> PgResult<Formats> {
        let binary = |code: i16| match code {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(PgError::new(
                sqlstate::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {other}"),
            )),
        };
        match codes {
            [] => Ok(Formats::Text),
            [one] => Ok(if binary(*one)? {
                Formats::Binary
            } else {
                Formats::Text
            }),
            each if each.len() == columns => Ok(Formats::Each(
                each.iter()
                    .map(|&code| binary(code))
                    .collect::<PgResult<_>>()?,
            )),
            each => Err(PgError::new(
                sqlstate::PROTOCOL_VIOLATION,
                format!(
                    "bind message has {} result formats but query has {columns} columns",
                    each.len()
                ),
            )),
        }
    }

    pub fn is_binary(&self, column: usize) -> bool {
        match self {
            Formats::Text => false,
            Formats::Binary => true,
            Formats::Each(each) => each.get(column).copied().unwrap_or(false),
        }
    }
}

/// Encodes the rows of one result.
pub struct RowEncoder {
    types: Vec<PgType>,
    formats: Formats,
    formatter: Formatter,
}

impl RowEncoder {
    /// Fails if a column is wanted in a format its type does not have.
    pub fn new(
        columns: &[Column],
        formats: &Formats,
        text_format: Arc<TextFormat>,
        names: Arc<dyn ObjectNames>,
    ) -> PgResult<Self> {
        for (i, column) in columns.iter().enumerate() {
            if formats.is_binary(i) {
                encode_binary::check(column.ty)?;
            }
        }
        Ok(RowEncoder {
            types: columns.iter().map(|column| column.ty).collect(),
            formats: formats.clone(),
            formatter: Formatter::new(text_format, names),
        })
    }

    /// Sees a batch's columns as the result's types: once for a batch, before its rows.
    pub fn views(&self, batch: &RecordBatch) -> PgResult<Vec<View>> {
        if batch.num_columns() != self.types.len() {
            return Err(PgError::new(
                sqlstate::INTERNAL_ERROR,
                format!(
                    "a result of {} columns came with {}",
                    self.types.len(),
                    batch.num_columns()
                ),
            ));
        }
        self.types
            .iter()
            .zip(batch.columns())
            .map(|(ty, array)| View::new(*ty, array))
            .collect()
    }

    /// Appends the DataRow of one row; on an error nothing of it is left in `out`.
    pub fn put_row(&self, views: &[View], row: usize, out: &mut Vec<u8>) -> PgResult<()> {
        let start = out.len();
        let result = self.put(views, row, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn put(&self, views: &[View], row: usize, out: &mut Vec<u8>) -> PgResult<()> {
        out.push(b'D');
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&(views.len() as u16).to_be_bytes());
        for (column, view) in views.iter().enumerate() {
            if view.is_null(row) {
                out.extend_from_slice(&(-1_i32).to_be_bytes());
            } else if self.formats.is_binary(column) {
                encode_binary::put(view, row, out)?;
            } else {
                encode_text::put(&self.formatter, view, row, out);
            }
            if out.len() - start > MAX_ROW {
                return Err(PgError::new(
                    sqlstate::PROGRAM_LIMIT_EXCEEDED,
                    format!("a row is longer than {MAX_ROW} bytes"),
                ));
            }
        }
        patch_length(out, start);
        Ok(())
    }
}

/// Fills in a value's length, which does not count itself.
pub(crate) fn patch_value(out: &mut [u8], start: usize) {
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}
