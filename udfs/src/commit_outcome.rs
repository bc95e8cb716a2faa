//! `commit_outcome(commit text)` → `commit_outcome text`
//!
//! What became of a commit whose outcome its writer was not told (08007): `committed` or
//! `aborted`. The answer never changes: a commit that is still under way when it is asked for
//! is ended, one way or the other.
//!
//! Errors: 22023 for what is no commit's id; 42704 for a commit that was never begun; 22004 for
//! a NULL; 58030 if the store does not answer.
//!
//! ```sql
//! SELECT * FROM commit_outcome('01K7Z3JX5Q8YV2M4N6P8R0T2W4');
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::names::CommitId;
use omnigraph_engine::schema::Schema;

use crate::args::Args;
use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, Effect, TableFunction, arrow_schema};
use crate::rows;

#[derive(Debug)]
pub struct CommitOutcome {
    arguments: Vec<Argument>,
}

impl CommitOutcome {
    pub fn new() -> Self {
        CommitOutcome {
            arguments: vec![Argument::required("commit", &[PgType::TEXT])],
        }
    }
}

impl Default for CommitOutcome {
    fn default() -> Self {
        CommitOutcome::new()
    }
}

impl TableFunction for CommitOutcome {
    fn name(&self) -> &'static str {
        "commit_outcome"
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
        "what became of a commit whose writer was not told"
    }

    /// It ends what is under way.
    fn effect(&self) -> Effect {
        Effect::Changes
    }

    fn rows(&self) -> usize {
        1
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let text = args.text("commit")?;
        let commit = CommitId::parse(text)
            .map_err(|_| args.bad("commit", format!("is no commit's id: \"{text}\"")))?;
        let context = call.context;
        let schema = arrow_schema(&columns());
        let told = async move {
            let outcome = context.access()?.commit_outcome(commit).await?;
            let column: ArrayRef = Arc::new(StringArray::from(vec![outcome.name()]));
            RecordBatch::try_new(arrow_schema(&columns()), vec![column])
                .map_err(|error| Error::from(omnigraph_engine::Error::from(error)))
        };
        Ok(rows::batches(schema, futures::stream::once(told)))
    }
}

fn columns() -> Vec<Column> {
    vec![Column::new("commit_outcome", PgType::TEXT)]
}
