//! `table_diff(table text, from_ref text, to_ref text)` → `op text, id text, before_<column>,
//! after_<column>, …`
//!
//! What differs between two states of one table, with typed columns: for each column of the
//! table but `id`, its value in each state, NULL where there is no row. `op` is `insert`,
//! `update` or `delete`; rows come by id. The references are those of `diff()`. The columns
//! are those that the table has where the session reads; the table's name must be a constant.
//!
//! Errors: 42P01 for an unknown table; 22023 for a reference that names nothing; 22004 for a
//! NULL.
//!
//! ```sql
//! SELECT id, before_age, after_age FROM table_diff('person', 'main', 'review/1');
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array, new_null_array};
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::stream::{StreamExt, TryStreamExt};
use omnigraph_catalog::provider::{sql_columns, to_sql};
use omnigraph_catalog::types::PgType;
use omnigraph_engine::blob::Blobs;
use omnigraph_engine::diff::TypeDiff;
use omnigraph_engine::error::ObjectKind;
use omnigraph_engine::schema::{Schema, TypeDef};
use omnigraph_engine::{Error as EngineError, Snapshot};

use crate::args::Args;
use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, TableFunction};
use crate::rows;

#[derive(Debug)]
pub struct TableDiff {
    arguments: Vec<Argument>,
}

impl TableDiff {
    pub fn new() -> Self {
        TableDiff {
            arguments: vec![
                Argument::required("table", &[PgType::TEXT]),
                Argument::required("from_ref", &[PgType::TEXT]),
                Argument::required("to_ref", &[PgType::TEXT]),
            ],
        }
    }
}

impl Default for TableDiff {
    fn default() -> Self {
        TableDiff::new()
    }
}

impl TableFunction for TableDiff {
    fn name(&self) -> &'static str {
        "table_diff"
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn columns(
        &self,
        constants: &[Option<ScalarValue>],
        schema: Option<&Schema>,
    ) -> Result<Vec<Column>> {
        let Some(table) = constants.first().and_then(Option::as_ref) else {
            return Err(Error::Argument {
                function: "table_diff",
                argument: "table",
                message: "argument \"table\" must be a constant".to_owned(),
                hint: Some("Its columns must be known before it is called.".to_owned()),
            });
        };
        let arguments = [table.clone()];
        let name = Args::new(self, &arguments).text("table")?;
        let def = schema
            .and_then(|schema| schema.table(name))
            .ok_or_else(|| unknown(name))?;
        Ok(columns(def))
    }

    fn description(&self) -> &'static str {
        "the rows of a table that differ between two branches or commits"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let table = args.text("table")?.to_owned();
        let (from, to) = (
            args.text("from_ref")?.to_owned(),
            args.text("to_ref")?.to_owned(),
        );
        let (context, schema) = (call.context, call.schema);
        let of_schema = schema.clone();
        let found = futures::stream::once(async move {
            let shown = context.snapshot().await?;
            let (from, to) = (context.resolve(&from).await?, context.resolve(&to).await?);
            let named = |state: &Snapshot| state.schema().table(&table).cloned();
            let def = named(&shown)
                .or_else(|| named(&to))
                .or_else(|| named(&from))
                .ok_or_else(|| unknown(&table))?;
            let access = context.access()?;
            let (from, to) = access.comparable(from, to).await?;
            let pages = access.diff(&from, &to, def.id)?;
            let blobs = access.blobs().clone();
            Ok::<_, Error>(pages.then(move |page| {
                let (blobs, def, schema) = (blobs.clone(), def.clone(), of_schema.clone());
                async move { batch(&blobs, schema, &def, &page?).await }
            }))
        })
        .try_flatten();
        Ok(rows::batches(schema, found))
    }
}

fn columns(def: &TypeDef) -> Vec<Column> {
    let mut columns = vec![
        Column::new("op", PgType::TEXT),
        Column::new("id", PgType::TEXT),
    ];
    for column in sql_columns(def).into_iter().skip(1) {
        for side in ["before", "after"] {
            columns.push(Column::new(format!("{side}_{}", column.name), column.ty));
        }
    }
    columns
}

async fn batch(
    blobs: &Blobs,
    schema: SchemaRef,
    def: &TypeDef,
    page: &TypeDiff,
) -> Result<RecordBatch> {
    let rows = &page.rows;
    let ops: StringArray = rows.iter().map(|row| Some(row.operation())).collect();
    let ids: StringArray = rows.iter().map(|row| Some(row.id.as_str())).collect();
    let mut columns: Vec<ArrayRef> = vec![Arc::new(ops), Arc::new(ids)];
    let before: UInt32Array = rows.iter().map(|row| row.before).collect();
    let after: UInt32Array = rows.iter().map(|row| row.after).collect();
    for column in def.columns().iter().skip(1) {
        let sides = [
            (&page.old_def, &page.before, &before),
            (&page.def, &page.after, &after),
        ];
        for (of, batch, at) in sides {
            let wanted = schema.field(columns.len()).data_type();
            let held = of
                .columns()
                .iter()
                .position(|held| held.physical == column.physical);
            columns.push(match held {
                Some(held) => {
                    let values = arrow::compute::take(batch.column(held), at, None);
                    let mut values = values.map_err(EngineError::from)?;
                    if of.columns()[held].is_blob() {
                        values = blobs.stored_bytes(&values).await?;
                    }
                    to_sql(&values, wanted)?
                }
                None => new_null_array(wanted, rows.len()),
            });
        }
    }
    Ok(RecordBatch::try_new(schema, columns).map_err(EngineError::from)?)
}

fn unknown(table: &str) -> EngineError {
    EngineError::not_found(ObjectKind::Type, table)
}
