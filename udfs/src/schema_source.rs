//! `schema_source(ref text DEFAULT 'current')` → `schema_source text`
//!
//! The schema of a state as it was written.
//!
//! ```sql
//! SELECT * FROM schema_source('main~1');
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::Schema;

use crate::args::Args;
use crate::error::{Error, Result};
use crate::function::{Argument, CURRENT, Call, Column, TableFunction, arrow_schema};
use crate::rows;

#[derive(Debug)]
pub struct SchemaSource {
    arguments: Vec<Argument>,
}

impl SchemaSource {
    pub fn new() -> Self {
        SchemaSource {
            arguments: vec![Argument::optional(
                "ref",
                PgType::TEXT,
                ScalarValue::from(CURRENT),
            )],
        }
    }
}

impl Default for SchemaSource {
    fn default() -> Self {
        SchemaSource::new()
    }
}

impl TableFunction for SchemaSource {
    fn name(&self) -> &'static str {
        "schema_source"
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn columns(
        &self,
        _constants: &[Option<ScalarValue>],
        _schema: Option<&Schema>,
    ) -> Result<Vec<Column>> {
        Ok(columns())
    }

    fn description(&self) -> &'static str {
        "the schema as it was written"
    }

    fn rows(&self) -> usize {
        1
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let reference = args.text("ref")?.to_owned();
        let context = call.context;
        let done = async move {
            let snapshot = context.resolve(&reference).await?;
            context.access()?.refuse_restricted(&snapshot)?;
            let source = snapshot.schema().source.clone();
            let column: ArrayRef = Arc::new(StringArray::from(vec![source]));
            RecordBatch::try_new(arrow_schema(&columns()), vec![column])
                .map_err(|error| Error::from(omnigraph_engine::Error::from(error)))
        };
        Ok(rows::batches(
            arrow_schema(&columns()),
            futures::stream::once(done),
        ))
    }
}

fn columns() -> Vec<Column> {
    vec![Column::new("schema_source", PgType::TEXT)]
}
