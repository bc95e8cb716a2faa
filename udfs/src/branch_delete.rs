//! `branch_delete(name text, cascade bool DEFAULT false)` → `branch_delete text`
//!
//! Deletes a branch and answers its name. Without `cascade`, one that has commits which are
//! nowhere else stays. `DROP SCHEMA` is another spelling of it.
//!
//! Errors: 3F000 for a branch that is not there; 2BP01 for one with commits that were not
//! merged; 0A000 for `main`; 22004 for a NULL.
//!
//! ```sql
//! SELECT branch_delete('review/1');
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
pub struct BranchDelete {
    arguments: Vec<Argument>,
}

impl BranchDelete {
    pub fn new() -> Self {
        BranchDelete {
            arguments: vec![
                Argument::required("name", &[PgType::TEXT]),
                Argument::optional("cascade", PgType::BOOL, ScalarValue::Boolean(Some(false))),
            ],
        }
    }
}

impl Default for BranchDelete {
    fn default() -> Self {
        BranchDelete::new()
    }
}

impl TableFunction for BranchDelete {
    fn name(&self) -> &'static str {
        "branch_delete"
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
        "deletes a branch"
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
        let cascade = args.bool("cascade")?;
        let context = call.context;
        let deleted = async move {
            context.access()?.delete_branch(&name, cascade).await?;
            let column: ArrayRef = Arc::new(StringArray::from(vec![name.to_string()]));
            let schema = arrow_schema(&columns());
            RecordBatch::try_new(schema, vec![column])
                .map_err(|error| Error::from(omnigraph_engine::Error::from(error)))
        };
        Ok(rows::batches(
            arrow_schema(&columns()),
            futures::stream::once(deleted),
        ))
    }
}

fn columns() -> Vec<Column> {
    vec![Column::new("branch_delete", PgType::TEXT)]
}
