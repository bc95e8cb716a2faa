//! `commit_changes(commit text)` → `op text, kind text, type text, id text, before jsonb,
//! after jsonb`
//!
//! What one commit changed, row by row: what differs between it and its first parent, with
//! the columns of `diff()`. Of a merge that is what it brought to its branch. `commit` is
//! anything that names a state: a commit's id, a branch for its newest commit, either
//! followed by `~n`.
//!
//! Errors: 22023 for a reference that names nothing; 42704 for an unknown commit; 22004 for a
//! NULL.
//!
//! ```sql
//! SELECT op, type, id FROM commit_changes('main~1');
//! ```

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::stream::{StreamExt, TryStreamExt};
use omnigraph_catalog::types::PgType;
use omnigraph_engine::HistoryKind;
use omnigraph_engine::commit::ancestry::Ancestors;
use omnigraph_engine::schema::Schema;

use crate::args::Args;
use crate::diff;
use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, TableFunction, arrow_schema};
use crate::rows;

#[derive(Debug)]
pub struct CommitChanges {
    arguments: Vec<Argument>,
}

impl CommitChanges {
    pub fn new() -> Self {
        CommitChanges {
            arguments: vec![Argument::required("commit", &[PgType::TEXT])],
        }
    }
}

impl Default for CommitChanges {
    fn default() -> Self {
        CommitChanges::new()
    }
}

impl TableFunction for CommitChanges {
    fn name(&self) -> &'static str {
        "commit_changes"
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn columns(
        &self,
        _constants: &[Option<ScalarValue>],
        _schema: Option<&Schema>,
    ) -> Result<Vec<Column>> {
        Ok(diff::columns())
    }

    fn description(&self) -> &'static str {
        "the rows that a commit changed"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let reference = args.text("commit")?.to_owned();
        let context = call.context;
        let found = futures::stream::once(async move {
            let access = context.access()?;
            let commit = context.resolve(&reference).await?.commit();
            let after = access.snapshot(&commit.to_string()).await?;
            let mut commits = access.commits(&after, Ancestors::FirstParent).await?;
            let parent = loop {
                match commits.try_next().await? {
                    Some(commit) if commit.id == after.commit() => match commit.kind {
                        HistoryKind::Commit(_) => break commit.parents.first().copied(),
                        // An entry that shows it again.
                        _ => continue,
                    },
                    _ => break None,
                }
            };
            // The first commit of a graph has no rows.
            let Some(parent) = parent else {
                return Ok::<_, Error>(futures::stream::empty().boxed());
            };
            let before = access.snapshot(&parent.to_string()).await?;
            Ok(diff::between(context, before, after).boxed())
        })
        .try_flatten();
        Ok(rows::batches(arrow_schema(&diff::columns()), found))
    }
}
