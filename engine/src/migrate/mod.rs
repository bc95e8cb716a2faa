//! From one schema to another: one commit, checked against the rows that exist.
//!
//! What a migration promises:
//! - it is a commit like any other: all of it or nothing, on the branch it was asked for, with
//!   nobody else's branches in its way;
//! - rows that exist are looked at before a constraint holds for them, in the very state that
//!   the migration is published over;
//! - nothing is taken away: a dropped type or property disappears from the branch, and older
//!   commits still have its values;
//! - what is only said of rows (names, descriptions, constraints, new columns of NULLs) costs
//!   no write of rows. A new column with values is written beside the files that exist.
//!
//! Who wrote rows of another shape meanwhile is told 40001 and runs again; a migration that
//! lost to other rows looks at those, one that lost to another migration is planned anew.

mod prepare;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use crate::clock;
use crate::commit::CommitInfo;
use crate::commit::proposal::{Payload, Proposal};
use crate::error::{Error, Result};
use crate::graph::{FromEnvironment, Graph};
use crate::names::{BranchName, CommitId};
use crate::schema::{Schema, SchemaChange};
use crate::write::conditions::Conditions;
use crate::write::transaction::CommitMessage;

pub(crate) use prepare::{Migration, reshaped};

/// How long a migration that loses to other migrations is planned again.
const PATIENCE: Duration = Duration::from_secs(30);

/// The steps from a state's schema to another one.
#[derive(Debug, Clone)]
pub struct SchemaPlan {
    /// The state that was looked at.
    pub commit: CommitId,
    pub schema: Arc<Schema>,
    pub steps: Vec<SchemaChange>,
}

/// What a migration did.
#[derive(Debug, Clone)]
pub struct Migrated {
    /// `None`: the branch had this very schema already.
    pub commit: Option<CommitInfo>,
    pub steps: Vec<SchemaChange>,
}

impl Graph {
    /// What [`Graph::migrate`] would do now, without looking at rows.
    pub async fn plan_migration(&self, reference: &str, source: &str) -> Result<SchemaPlan> {
        let snapshot = self.snapshot(reference).await?;
        let mut ids = FromEnvironment(&**self.environment());
        let (schema, steps) = snapshot.schema().evolve(source, &mut ids)?;
        Ok(SchemaPlan {
            commit: snapshot.commit(),
            schema: Arc::new(schema),
            steps,
        })
    }

    /// Gives a branch the schema that `source` declares. Rows that break a new constraint
    /// refuse it, and then nothing was changed.
    pub async fn migrate(
        &self,
        branch: &BranchName,
        source: &str,
        actor: &str,
        message: Option<String>,
    ) -> Result<Migrated> {
        self.migrate_over(branch, None, source, actor, message)
            .await
    }

    /// The same, for a text that was made of another one: if the branch does not have the
    /// schema `made_of` any more, it is a conflict and nothing was changed.
    pub async fn migrate_over(
        &self,
        branch: &BranchName,
        made_of: Option<&Schema>,
        source: &str,
        actor: &str,
        message: Option<String>,
    ) -> Result<Migrated> {
        let shared = &self.shared;
        shared.prove_writable().await?;
        let environment = &shared.environment;
        let give_up = environment.stopwatch() + PATIENCE;
        loop {
            let name = branch;
            let (branch, state) = shared.resolve(name, false).await?;
            if let Some(made_of) = made_of
                && state.schema.digest() != made_of.digest()
            {
                return Err(Error::Conflict {
                    table: "schema".to_owned(),
                    id: String::new(),
                    branch: name.to_string(),
                    expected: made_of.digest().to_string(),
                    actual: state.schema.digest().to_string(),
                });
            }
            if state.schema.source == source {
                return Ok(Migrated {
                    commit: None,
                    steps: Vec::new(),
                });
            }
            let mut ids = FromEnvironment(&**self.environment());
            let (schema, steps) = state.schema.evolve(source, &mut ids)?;
            let schema = Arc::new(schema);
            shared.write_schema(&schema).await?;
            let migration = Migration::new(shared, &state, schema, steps.clone()).await?;
            // What takes long is done before the branch's turn is taken.
            migration.work(&state).boxed().await?;
            let proposal = Proposal {
                id: clock::commit_id(&**self.environment()),
                base: state,
                actor: actor.to_owned(),
                message: CommitMessage {
                    message: message.clone(),
                    ..CommitMessage::default()
                },
                payload: Payload::Schema(migration),
                conditions: Conditions::default(),
                staged: Default::default(),
                put: Default::default(),
            };
            match branch.submit(proposal).await {
                Err(Error::Conflict { .. }) if environment.stopwatch() < give_up => {}
                Err(error) => return Err(error),
                Ok(commit) => {
                    return Ok(Migrated {
                        commit: Some(commit),
                        steps,
                    });
                }
            }
        }
    }
}
