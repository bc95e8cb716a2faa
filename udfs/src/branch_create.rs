//! `branch_create(name text, from_ref text DEFAULT 'main')` → `branch_create text`
//!
//! Makes a branch at the commit that `from_ref` names, whatever the graph's size, and answers
//! that commit. `CREATE SCHEMA` is another spelling of it.
//!
//! Errors: 42P06 for a branch that exists; 22023 for a name that no branch may have and for a
//! reference that names nothing; 22004 for a NULL.
//!
//! ```sql
//! SELECT branch_create('review/1');
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::Schema;

use crate::args::Args;
use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, Effect, TableFunction, arrow_schema};
use crate::rows;

#[derive(Debug)]
pub struct BranchCreate {
    arguments: Vec<Argument>,
}

impl BranchCreate {
    pub fn new() -> Self {
        BranchCreate {
            arguments: vec![
                Argument::required("name", &[PgType::TEXT]),
                Argument::optional(
                    "from_ref",
                    PgType::TEXT,
                    ScalarValue::from(BranchName::MAIN),
                ),
            ],
        }
    }
}

impl Default for BranchCreate {
    fn default() -> Self {
        BranchCreate::new()
    }
}

impl TableFunction for BranchCreate {
    fn name(&self) -> &'static str {
        "branch_create"
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
        "makes a branch at a commit, and answers the commit"
    }

    fn effect(&self) -> Effect {
        Effect::Changes
    }

    fn rows(&self) -> usize {
        1
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let name = BranchName::parse(args.text("name")?)?;
        let from = args.text("from_ref")?.to_owned();
        let context = call.context;
        let schema = arrow_schema(&columns());
        let made = async move {
            let from = context.resolve(&from).await?;
            let branch = context.access()?.create_branch(&name, &from).await?;
            let column: ArrayRef = Arc::new(StringArray::from(vec![branch.head.to_string()]));
            let schema = arrow_schema(&columns());
            RecordBatch::try_new(schema, vec![column])
                .map_err(|error| Error::from(omnigraph_engine::Error::from(error)))
        };
        Ok(rows::batches(schema, futures::stream::once(made)))
    }
}

fn columns() -> Vec<Column> {
    vec![Column::new("branch_create", PgType::TEXT)]
}
