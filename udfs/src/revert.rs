//! `revert(commit text)` → `revert text`
//!
//! Takes back what one commit did, against its first parent, in a new commit on the session's
//! branch, and answers the new commit; NULL if there was nothing to take back.
//!
//! Errors: 22023 if a row that the commit changed was changed again since; 23503 if an edge
//! has been added to a node that would go; 0A000 for the first commit and for one that changed
//! the schema; 42704 for an unknown commit; 72000 for one whose state is no longer kept.
//!
//! ```sql
//! SELECT revert('01JD3Q6Y3V7R8ZQX1M5T0C9E2H');
//! ```

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::Schema;

use crate::args::Args;
use crate::error::Result;
use crate::function::{Argument, Call, Column, Effect, TableFunction};
use crate::rows;

#[derive(Debug)]
pub struct Revert {
    arguments: Vec<Argument>,
}

impl Revert {
    pub fn new() -> Self {
        Revert {
            arguments: vec![Argument::required("commit", &[PgType::TEXT])],
        }
    }
}

impl Default for Revert {
    fn default() -> Self {
        Revert::new()
    }
}

impl TableFunction for Revert {
    fn name(&self) -> &'static str {
        "revert"
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn columns(
        &self,
        _constants: &[Option<ScalarValue>],
        _schema: Option<&Schema>,
    ) -> Result<Vec<Column>> {
        Ok(vec![Column::new(self.name(), PgType::TEXT)])
    }

    fn description(&self) -> &'static str {
        "takes back what a commit did, and answers the new commit"
    }

    fn effect(&self) -> Effect {
        Effect::Changes
    }

    fn rows(&self) -> usize {
        1
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let reference = args.text("commit")?.to_owned();
        let context = call.context;
        Ok(rows::answer(self.name(), async move {
            let commit = context.resolve(&reference).await?.commit();
            let made = context.access()?.revert(context.branch(), commit).await?;
            Ok(made.map(|commit| commit.id.to_string()))
        }))
    }
}
