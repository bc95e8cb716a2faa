//! Blobs of the lines of a file: bytes and URIs on their way into the graph.

use arrow::array::AsArray;

use super::LoadMode;
use crate::blob::{self, Blobs, Uris};
use crate::error::{Error, Result};
use crate::ndjson::{LineError, TypeBatch};

/// The URIs that may not be read from.
pub(super) fn misplaced(blobs: &Blobs, rows: &TypeBatch) -> Result<Vec<LineError>> {
    let external = blobs.external();
    let mut found = Vec::new();
    for column in rows.def.blob_columns() {
        let values = rows.batch.column(column).as_binary::<i64>();
        for (row, value) in values.iter().enumerate() {
            let Some(uri) = value.map(blob::uri).transpose()?.flatten() else {
                continue;
            };
            if let Err(error) = external.check(uri) {
                found.push(line_error(rows, row, column, &error));
            }
        }
    }
    Ok(found)
}

/// The rows with their blobs in the graph, or the line that is wrong. Only where all rows are
/// replaced do URIs stay what they are.
pub(super) async fn admitted(
    blobs: &Blobs,
    rows: TypeBatch,
    mode: LoadMode,
) -> Result<std::result::Result<TypeBatch, LineError>> {
    let uris = match mode {
        LoadMode::Overwrite => Uris::Keep,
        LoadMode::Append | LoadMode::Merge => Uris::Copy,
    };
    match blobs.admit_rows(&rows.def, rows.batch.clone(), uris).await {
        Ok(batch) => Ok(Ok(TypeBatch { batch, ..rows })),
        Err(refused) => match refused.error {
            error @ (Error::Invalid { .. } | Error::NotAllowed { .. }) => {
                Ok(Err(line_error(&rows, refused.row, refused.column, &error)))
            }
            error => Err(error),
        },
    }
}

fn line_error(rows: &TypeBatch, row: usize, column: usize, error: &Error) -> LineError {
    let def = &rows.def;
    let property = def.columns()[column].property;
    LineError {
        line: rows.lines.get(row).copied().unwrap_or_default(),
        type_name: Some(def.name.clone()),
        property: property.map(|at| def.properties[at].name.clone()),
        reason: error.to_string(),
    }
}
