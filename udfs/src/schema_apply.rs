//! `schema_apply(source text)` → `schema_apply text`
//!
//! Gives the session's branch the schema that `source` declares, in one commit, and answers
//! that commit; NULL if the branch had this very schema. Rows that break a new constraint
//! refuse it: 23502, 23505, 23514. What no step leads to is 22023, with the place in the text.
//!
//! ```sql
//! SELECT * FROM schema_apply($$ node Person { name: String @key  age: I32? } $$);
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::Schema;

use crate::args::Args;
use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, Effect, TableFunction, arrow_schema};
use crate::rows;

#[derive(Debug)]
pub struct SchemaApply {
    arguments: Vec<Argument>,
}

impl SchemaApply {
    pub fn new() -> Self {
        SchemaApply {
            arguments: vec![Argument::required("source", &[PgType::TEXT])],
        }
    }
}

impl Default for SchemaApply {
    fn default() -> Self {
        SchemaApply::new()
    }
}

impl TableFunction for SchemaApply {
    fn name(&self) -> &'static str {
        "schema_apply"
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
        "changes the schema of the session's branch, and answers the commit"
    }

    fn effect(&self) -> Effect {
        Effect::Changes
    }

    fn rows(&self) -> usize {
        1
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let source = args.text("source")?.to_owned();
        let context = call.context;
        let done = async move {
            let branch = context.snapshot().await?.branch().clone();
            let migrated = context.access()?.migrate(&branch, &source).await?;
            let commit = migrated.commit.map(|commit| commit.id.to_string());
            let column: ArrayRef = Arc::new(StringArray::from(vec![commit]));
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
    vec![Column::new("schema_apply", PgType::TEXT)]
}
