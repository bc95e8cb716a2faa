//! Blobs of whole rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};

use super::cell::{cells, stored_values};
use super::write::Uris;
use super::{Blobs, VALUE_TYPE};
use crate::error::{Error, Result};
use crate::schema::TypeDef;

/// Why the blob of a row was refused.
#[derive(Debug)]
pub(crate) struct RefusedBlob {
    pub row: usize,
    pub column: usize,
    pub error: Error,
}

impl RefusedBlob {
    /// The error, with the column that it is about.
    pub fn located(self, def: &TypeDef) -> Error {
        match self.error {
            Error::Invalid {
                message,
                detail: None,
                hint,
            } => Error::Invalid {
                message,
                detail: Some(format!(
                    "It is for column \"{}\" of \"{}\".",
                    def.columns()[self.column].name,
                    def.table
                )),
                hint,
            },
            other => other,
        }
    }
}

impl Blobs {
    /// Rows whose blobs can be stored: see [`Blobs::admit`].
    pub(crate) async fn admit_rows(
        &self,
        def: &TypeDef,
        rows: RecordBatch,
        uris: Uris,
    ) -> std::result::Result<RecordBatch, RefusedBlob> {
        let mut columns = rows.columns().to_vec();
        for column in def.blob_columns() {
            columns[column] = self
                .admit(&columns[column], uris)
                .await
                .map_err(|(row, error)| RefusedBlob { row, column, error })?;
        }
        with_columns(&rows, columns).map_err(|error| RefusedBlob {
            row: 0,
            column: 0,
            error,
        })
    }
}

/// Rows of values as rows of a table's files.
pub(crate) fn as_cells(def: &TypeDef, rows: RecordBatch) -> Result<RecordBatch> {
    converted(def, rows, cells)
}

/// Rows of a table's files as rows of values.
pub(crate) fn as_values(def: &TypeDef, rows: RecordBatch) -> Result<RecordBatch> {
    converted(def, rows, stored_values)
}

fn converted(
    def: &TypeDef,
    rows: RecordBatch,
    convert: impl Fn(&ArrayRef) -> Result<ArrayRef>,
) -> Result<RecordBatch> {
    let mut columns = rows.columns().to_vec();
    let mut any = false;
    for column in def.blob_columns() {
        columns[column] = convert(&columns[column])?;
        any = true;
    }
    match any {
        true => with_columns(&rows, columns),
        false => Ok(rows),
    }
}

fn with_columns(rows: &RecordBatch, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    let schema = rows.schema();
    let fields = schema.fields().iter().zip(&columns);
    let fields: Vec<Field> = fields
        .map(|(field, column)| {
            field
                .as_ref()
                .clone()
                .with_data_type(column.data_type().clone())
        })
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(Schema::new(fields)),
        columns,
        &options,
    )?)
}

impl TypeDef {
    /// The positions of its Blob properties in [`TypeDef::columns`]. Blobs of lists are none:
    /// they are bytes in the row.
    pub fn blob_columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.columns()
            .iter()
            .enumerate()
            .filter(|(_, column)| column.is_blob())
            .map(|(at, _)| at)
    }

    /// As [`TypeDef::arrow_schema`], for rows whose blobs are values.
    pub fn value_schema(&self) -> Arc<Schema> {
        let schema = self.arrow_schema();
        let mut fields: Vec<Field> = schema
            .fields()
            .iter()
            .map(|field| field.as_ref().clone())
            .collect();
        for column in self.blob_columns() {
            fields[column].set_data_type(VALUE_TYPE);
        }
        Arc::new(Schema::new(fields))
    }
}
