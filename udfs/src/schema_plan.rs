//! `schema_plan(source text, ref text DEFAULT 'current')` → `step, kind, type text, validates, fills bool`
//!
//! The steps from the schema that `ref` has to the one that `source` declares, in the order in
//! which they are taken. `validates`: rows that exist are looked at first; `fills`: values are
//! written into them. Nothing is changed. What no step leads to is 22023, with the place in
//! the text.
//!
//! ```sql
//! SELECT step FROM schema_plan($$ node Person { name: String @key  age: I32? } $$);
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::{Schema, SchemaChange};

use crate::args::Args;
use crate::error::{Error, Result};
use crate::function::{Argument, CURRENT, Call, Column, TableFunction, arrow_schema};
use crate::rows;

#[derive(Debug)]
pub struct SchemaPlan {
    arguments: Vec<Argument>,
}

impl SchemaPlan {
    pub fn new() -> Self {
        SchemaPlan {
            arguments: vec![
                Argument::required("source", &[PgType::TEXT]),
                Argument::optional("ref", PgType::TEXT, ScalarValue::from(CURRENT)),
            ],
        }
    }
}

impl Default for SchemaPlan {
    fn default() -> Self {
        SchemaPlan::new()
    }
}

impl TableFunction for SchemaPlan {
    fn name(&self) -> &'static str {
        "schema_plan"
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
        "the steps from a schema to another one"
    }

    fn rows(&self) -> usize {
        10
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let source = args.text("source")?.to_owned();
        let reference = args.text("ref")?.to_owned();
        let context = call.context;
        let done = async move {
            let before = context.resolve(&reference).await?;
            let steps = context.access()?.plan_migration(&before, &source)?;
            let text = |part: &dyn Fn(&SchemaChange) -> String| -> ArrayRef {
                Arc::new(StringArray::from_iter_values(steps.iter().map(part)))
            };
            let flag = |part: &dyn Fn(&SchemaChange) -> bool| -> ArrayRef {
                Arc::new(BooleanArray::from_iter(
                    steps.iter().map(|step| Some(part(step))),
                ))
            };
            let columns = vec![
                text(&|step| step.to_string()),
                text(&|step| step.kind.name().to_owned()),
                text(&|step| step.type_name.clone()),
                flag(&SchemaChange::validates),
                flag(&SchemaChange::fills),
            ];
            RecordBatch::try_new(arrow_schema(&self::columns()), columns)
                .map_err(|error| Error::from(omnigraph_engine::Error::from(error)))
        };
        Ok(rows::batches(
            arrow_schema(&columns()),
            futures::stream::once(done),
        ))
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("step", PgType::TEXT),
        Column::new("kind", PgType::TEXT),
        Column::new("type", PgType::TEXT),
        Column::new("validates", PgType::BOOL),
        Column::new("fills", PgType::BOOL),
    ]
}
