//! The same rows under other columns.
//!
//! A dropped column leaves the schema and stays in the files, where older versions find it. A
//! new column of NULLs is a word in the manifest; one with values is a small file beside each
//! of the others. No file is written again.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use lance::dataset::transaction::Operation;
use lance::dataset::{BatchUDF, NewColumnTransform};
use lance_core::datatypes::Schema as LanceSchema;
use std::sync::Arc;

use super::lance::LanceFiles;
use super::lance_error;
use crate::error::{Error, Result};

/// A column that rows which exist get, with the value that each of them has in it.
pub struct FilledColumn {
    pub field: Field,
    /// As many times the value as is asked for.
    pub values: Arc<dyn Fn(usize) -> Result<ArrayRef> + Send + Sync>,
}

/// The next version, whose columns are those of `target`, by their physical names. New ones
/// are NULL in every row unless they are in `filled`.
pub(super) async fn reshape(
    files: &LanceFiles,
    target: &ArrowSchema,
    filled: Vec<FilledColumn>,
) -> Result<LanceFiles> {
    let (fragments, mut schema) = fill(files, filled).await?;
    let missing: Vec<Field> = target
        .fields()
        .iter()
        .filter(|field| schema.field(field.name()).is_none())
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    if !missing.is_empty() {
        schema = schema
            .merge(&ArrowSchema::new(missing))
            .map_err(lance_error)?;
    }
    // Ids of columns that were dropped are in files still: none is given twice.
    schema
        .try_set_field_id(Some(files.dataset().manifest().max_field_id()))
        .map_err(lance_error)?;
    schema
        .fields
        .retain(|field| target.field_with_name(&field.name).is_ok());
    let merged = files
        .next(Operation::Merge {
            fragments,
            schema: schema.clone(),
            preserves_nullability: true,
        })
        .await?;
    // That a column has no NULL is for us to check; that it may have one must be known to
    // Lance, and is a step of its own there.
    let mut relaxed = false;
    for field in &mut schema.fields {
        let wanted = target.field_with_name(&field.name);
        if !field.nullable && wanted.is_ok_and(Field::is_nullable) {
            field.nullable = true;
            relaxed = true;
        }
    }
    if !relaxed {
        return Ok(merged);
    }
    merged
        .next(Operation::Project {
            schema,
            preserves_nullability: true,
        })
        .await
}

/// Writes the values of the columns that are not NULL.
async fn fill(
    files: &LanceFiles,
    filled: Vec<FilledColumn>,
) -> Result<(Vec<lance_table::format::Fragment>, LanceSchema)> {
    let dataset = files.dataset();
    let fragments = dataset.manifest().fragments.as_ref().clone();
    let mut schema = dataset.schema().clone();
    if filled.is_empty() {
        return Ok((fragments, schema));
    }
    let fields: Vec<Field> = filled.iter().map(|column| column.field.clone()).collect();
    let output_schema = Arc::new(ArrowSchema::new(fields));
    if fragments.is_empty() {
        let schema = schema.merge(output_schema.as_ref()).map_err(lance_error)?;
        return Ok((fragments, schema));
    }
    let values: Arc<[_]> = filled.into_iter().map(|column| column.values).collect();
    let mut written = Vec::with_capacity(fragments.len());
    for fragment in &fragments {
        let (values, batch_schema) = (Arc::clone(&values), Arc::clone(&output_schema));
        let mapper = move |rows: &RecordBatch| {
            let columns: Result<Vec<ArrayRef>> =
                values.iter().map(|value| value(rows.num_rows())).collect();
            columns
                .and_then(|columns| Ok(RecordBatch::try_new(batch_schema.clone(), columns)?))
                .map_err(|error: Error| lance_core::Error::invalid_input(error.to_string()))
        };
        let transform = NewColumnTransform::BatchUDF(BatchUDF {
            mapper: Box::new(mapper),
            output_schema: Arc::clone(&output_schema),
            result_checkpoint: None,
        });
        let (next, wider) = files
            .fragment(fragment.id)?
            .add_columns(transform, Some(vec!["id".to_owned()]), None)
            .await
            .map_err(lance_error)?;
        written.push(next);
        schema = wider;
    }
    Ok((written, schema))
}
