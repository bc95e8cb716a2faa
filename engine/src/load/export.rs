//! A snapshot as lines that load again as the same rows.

use std::sync::Arc;

use arrow::array::{Array, AsArray, LargeBinaryArray, RecordBatch};
use futures::TryStreamExt;

use crate::blob::{self, Blobs, as_values};
use crate::error::{Error, Result};
use crate::ndjson::{Encoder, MAX_LINE_BYTES};
use crate::schema::TypeDef;
use crate::snapshot::Snapshot;
use crate::storage::Store;
use crate::table::RowPosition;

/// Rows that are fetched together.
const ROWS: usize = 4096;
/// Bytes of blobs that are held at the same time, unless one row alone has more.
const BLOB_BYTES: u64 = 16 << 20;
/// Bytes of blobs that fit into a line as base64, with room for the rest of it.
const LINE_BLOB_BYTES: u64 = (MAX_LINE_BYTES as u64 / 4 - (1 << 20)) * 3;

#[derive(Debug, Default)]
pub struct ExportOptions {
    /// Where long blobs go, as files named by their SHA-256; a line then has the URI. Without,
    /// their bytes are in the lines, as far as lines can be loaded again.
    pub blobs: Option<Store>,
}

/// Writes all rows of a snapshot as lines, nodes before edges, each type sorted by id.
/// Returns the number of lines.
pub async fn export(
    snapshot: &Snapshot,
    options: &ExportOptions,
    mut out: impl FnMut(&str) -> std::io::Result<()>,
) -> Result<u64> {
    let schema = snapshot.schema();
    let blobs = snapshot.blobs();
    let mut lines = 0;
    for def in schema.nodes().chain(schema.edges()) {
        let Some(table) = snapshot.table(def.id) else {
            continue;
        };
        // Only ids are held while they are sorted; rows are fetched a piece at a time.
        let mut order = Vec::with_capacity(table.row_count() as usize);
        let chunks = table.chunks().await?;
        for (number, chunk) in chunks.iter().enumerate() {
            let columns = table.chunk_columns(chunk, &[0]).await?;
            let ids = columns[0].as_string::<i32>();
            for offset in (0..chunk.rows).filter(|offset| chunk.is_live(*offset)) {
                let position = RowPosition {
                    chunk: number as u32,
                    offset,
                };
                order.push((ids.value(offset as usize).to_owned(), position));
            }
        }
        order.sort_unstable();
        let encoder = Encoder::new(def);
        let all: Vec<usize> = (0..def.columns().len()).collect();
        for piece in order.chunks(ROWS) {
            let positions: Vec<_> = piece.iter().map(|(_, position)| *position).collect();
            let mut rows = as_values(def, table.rows(&positions, &all).await?)?;
            if let Some(store) = &options.blobs {
                rows = put_aside(def, rows, blobs, store).await?;
            }
            for rows in parts(def, &rows)? {
                let mut columns = rows.columns().to_vec();
                for column in def.blob_columns() {
                    columns[column] = blobs.detached(&columns[column]).await?;
                }
                let rows = RecordBatch::try_new(rows.schema(), columns)?;
                let mut text = String::new();
                encoder.encode(&rows, &mut text)?;
                out(&text).map_err(|error| Error::Unavailable {
                    message: format!("the output: {error}"),
                })?;
                lines += rows.num_rows() as u64;
            }
        }
    }
    Ok(lines)
}

/// The rows, divided so that the blobs of each part may be in memory together.
fn parts(def: &TypeDef, rows: &RecordBatch) -> Result<Vec<RecordBatch>> {
    let columns: Vec<&LargeBinaryArray> = def
        .blob_columns()
        .map(|column| rows.column(column).as_binary::<i64>())
        .collect();
    if columns.is_empty() {
        return Ok(vec![rows.clone()]);
    }
    let mut parts = Vec::new();
    let (mut start, mut held) = (0, 0);
    for row in 0..rows.num_rows() {
        let mut bytes = 0;
        for values in columns.iter().filter(|values| values.is_valid(row)) {
            bytes += in_line(values.value(row))?;
        }
        if bytes > LINE_BLOB_BYTES {
            return Err(Error::LimitExceeded {
                what: format!(
                    "the length of the blobs of {} \"{}\" as a line (export with --blobs, which writes them to files)",
                    def.name,
                    rows.column(0).as_string::<i32>().value(row)
                ),
                limit: LINE_BLOB_BYTES,
                actual: bytes,
            });
        }
        if held > 0 && held + bytes > BLOB_BYTES {
            parts.push(rows.slice(start, row - start));
            (start, held) = (row, 0);
        }
        held += bytes;
    }
    parts.push(rows.slice(start, rows.num_rows() - start));
    Ok(parts)
}

/// How many bytes of a value stand in its line.
fn in_line(value: &[u8]) -> Result<u64> {
    match blob::uri(value)? {
        Some(_) => Ok(0),
        None => Ok(blob::length(value)?.unwrap_or(0)),
    }
}

/// The rows with their long blobs in files: what was in the graph's objects is a URI.
async fn put_aside(
    def: &TypeDef,
    rows: RecordBatch,
    blobs: &Blobs,
    store: &Store,
) -> Result<RecordBatch> {
    let mut columns = rows.columns().to_vec();
    for column in def.blob_columns() {
        let values = columns[column].as_binary::<i64>();
        let mut moved = Vec::with_capacity(values.len());
        for value in values {
            moved.push(match value {
                Some(value) => Some(write_file(blobs, store, value).await?),
                None => None,
            });
        }
        let moved: LargeBinaryArray = moved.into_iter().collect();
        columns[column] = Arc::new(moved);
    }
    Ok(RecordBatch::try_new(rows.schema(), columns)?)
}

async fn write_file(blobs: &Blobs, store: &Store, value: &[u8]) -> Result<Vec<u8>> {
    let Some(name) = blob::known_digest(value)? else {
        return Ok(value.to_vec());
    };
    if !store.exists(&name).await? {
        let mut pieces = blobs.stream(value);
        let mut upload = store.upload(&name).await?;
        while let Some(piece) = pieces.try_next().await? {
            upload.write(piece).await?;
        }
        upload.finish().await?;
    }
    Ok(blob::import(&store.uri_of(&name)))
}
