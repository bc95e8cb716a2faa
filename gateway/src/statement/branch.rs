//! CREATE SCHEMA and DROP SCHEMA: a schema is a branch.

use omnigraph_engine::Error;
use omnigraph_engine::names::BranchName;

use super::done;
use crate::error::{PgError, PgResult};
use crate::session::Session;
use crate::session::protocol::{Execution, Place};
use crate::session::transaction::State;
use crate::sqlstate;

impl Session {
    pub(crate) async fn create_schema(
        &mut self,
        name: &str,
        if_not_exists: bool,
    ) -> PgResult<Execution> {
        let attached = self.attached()?.clone();
        self.refuse_read_only()?;
        if let State::Open(open) = &self.state
            && open.has_changes()
        {
            return Err(PgError::new(
                sqlstate::ACTIVE_SQL_TRANSACTION,
                "CREATE SCHEMA cannot run in a transaction block after a write",
            )
            .hint("Commit first: a branch begins at a commit."));
        }
        let branch = BranchName::parse(name).map_err(|error| bad_name(&error))?;
        let from = attached.access.snapshot(&self.fork_point()).await?;
        match attached.access.create_branch(&branch, &from).await {
            Ok(_) => {}
            Err(Error::AlreadyExists { .. }) if if_not_exists => {
                self.notice(PgError {
                    severity: crate::error::Severity::Notice,
                    ..PgError::new(
                        sqlstate::DUPLICATE_SCHEMA,
                        format!("schema \"{branch}\" already exists, skipping"),
                    )
                });
            }
            Err(error) => return Err(error.into()),
        }
        Ok(done("CREATE SCHEMA"))
    }

    /// The state a new branch begins at: `main`, as this transaction sees it if it has looked.
    fn fork_point(&self) -> String {
        let main = BranchName::main();
        match &self.state {
            State::Open(open) => open.base(&main).map(|commit| commit.to_string()),
            State::Idle | State::Failed(_) => None,
        }
        .unwrap_or_else(|| main.to_string())
    }

    pub(crate) async fn drop_schema(
        &mut self,
        names: &[String],
        if_exists: bool,
        cascade: bool,
        place: Place,
    ) -> PgResult<Execution> {
        let attached = self.attached()?.clone();
        self.refuse_read_only()?;
        self.refuse_block("DROP SCHEMA", place)?;
        let [name] = names else {
            return Err(PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "DROP SCHEMA takes one branch at a time",
            )
            .hint("A branch is deleted on its own; give one statement for each."));
        };
        let missing = || {
            PgError::new(
                sqlstate::INVALID_SCHEMA_NAME,
                format!("schema \"{name}\" does not exist"),
            )
        };
        let outcome = match BranchName::parse(name) {
            Ok(branch) if branch.as_str() == BranchName::MAIN => {
                return Err(PgError::new(
                    sqlstate::DEPENDENT_OBJECTS_STILL_EXIST,
                    "branch \"main\" cannot be dropped",
                )
                .hint("Every graph has a main branch."));
            }
            Ok(branch) => {
                let outcome = attached.access.delete_branch(&branch, cascade).await;
                attached.shared.forget(&branch);
                outcome.map_err(|error| match error {
                    Error::NotFound { .. } => missing(),
                    other => other.into(),
                })
            }
            Err(_) => Err(missing()),
        };
        match outcome {
            Ok(()) => Ok(done("DROP SCHEMA")),
            Err(error) if if_exists && error.code == sqlstate::INVALID_SCHEMA_NAME => {
                let message = format!("schema \"{name}\" does not exist, skipping");
                self.notice(PgError::notice(message));
                Ok(done("DROP SCHEMA"))
            }
            Err(error) => Err(error),
        }
    }
}

/// A name that no branch may have.
fn bad_name(error: &Error) -> PgError {
    let told = PgError::from(error.clone());
    let code = if told.message.contains("reserved") {
        sqlstate::RESERVED_NAME
    } else {
        sqlstate::INVALID_NAME
    };
    PgError { code, ..told }
}
