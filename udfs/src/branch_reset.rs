//! `branch_reset(branch text, to text)` → `branch_reset text`
//!
//! Makes a branch show another state, and answers its commit. Nothing is copied, and what the
//! branch showed before stays in its history: its commit's id leads back.
//!
//! Errors: 3F000 for an unknown branch; 22023 for a reference that names nothing; 72000 for a
//! state that is no longer kept.
//!
//! ```sql
//! SELECT branch_reset('review/1', 'main');
//! ```

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::Schema;

use crate::args::Args;
use crate::error::Result;
use crate::function::{Argument, Call, Column, Effect, TableFunction};
use crate::rows;

#[derive(Debug)]
pub struct BranchReset {
    arguments: Vec<Argument>,
}

impl BranchReset {
    pub fn new() -> Self {
        BranchReset {
            arguments: vec![
                Argument::required("branch", &[PgType::TEXT]),
                Argument::required("to", &[PgType::TEXT]),
            ],
        }
    }
}

impl Default for BranchReset {
    fn default() -> Self {
        BranchReset::new()
    }
}

impl TableFunction for BranchReset {
    fn name(&self) -> &'static str {
        "branch_reset"
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
        "makes a branch show another state, and answers its commit"
    }

    fn effect(&self) -> Effect {
        Effect::Changes
    }

    fn rows(&self) -> usize {
        1
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let branch = BranchName::parse(args.text("branch")?)?;
        let reference = args.text("to")?.to_owned();
        let context = call.context;
        Ok(rows::answer(self.name(), async move {
            let to = context.resolve(&reference).await?;
            let shown = context.access()?.reset_branch(&branch, &to).await?;
            Ok(Some(shown.commit().to_string()))
        }))
    }
}
