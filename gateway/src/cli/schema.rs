use std::path::PathBuf;

use clap::{Args, Subcommand};
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::{RandomIds, SchemaChange};
use serde_json::{Value, json};

use crate::cli::address::{Address, Durable};
use crate::cli::init::{read_schema, schema_failure};
use crate::cli::output::Output;
use crate::cli::{Actor, Failure, Format};

/// Show a graph's schema, plan its change, or change it.
#[derive(Debug, Args)]
pub(super) struct Schema {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Show(Show),
    Plan(Plan),
    Apply(Apply),
}

/// Print the schema as it was written.
#[derive(Debug, Args)]
struct Show {
    /// A branch, a commit, or either followed by ~n
    #[arg(long, value_name = "REF", default_value = BranchName::MAIN)]
    branch: String,
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    format: Format,
}

/// Print the steps from a graph's schema to another one. Changes nothing.
#[derive(Debug, Args)]
struct Plan {
    /// The desired schema, a .pg file
    #[arg(long, value_name = "FILE")]
    schema: PathBuf,
    /// A branch, a commit, or either followed by ~n
    #[arg(long, value_name = "REF", default_value = BranchName::MAIN)]
    branch: String,
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    format: Format,
}

/// Change a branch's schema, in one commit.
///
/// Rows that exist are checked against new constraints first; one that breaks them refuses the
/// change. What is dropped stays in older commits. A branch that has the very schema is left as
/// it is.
#[derive(Debug, Args)]
struct Apply {
    /// The desired schema, a .pg file
    #[arg(long, value_name = "FILE")]
    schema: PathBuf,
    /// The branch to change
    #[arg(long, value_name = "BRANCH", default_value = BranchName::MAIN)]
    branch: String,
    /// Why, for the commit
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    durable: Durable,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    format: Format,
}

impl Schema {
    pub fn format(&self) -> Format {
        match &self.verb {
            Verb::Show(verb) => verb.format,
            Verb::Plan(verb) => verb.format,
            Verb::Apply(verb) => verb.format,
        }
    }

    pub async fn run(self) -> Result<Output, Failure> {
        match self.verb {
            Verb::Show(verb) => verb.run().await,
            Verb::Plan(verb) => verb.run().await,
            Verb::Apply(verb) => verb.run().await,
        }
    }
}

impl Show {
    async fn run(self) -> Result<Output, Failure> {
        let snapshot = self.address.open().await?.snapshot(&self.branch).await?;
        let schema = snapshot.schema();
        Ok(Output::new(
            schema.source.clone(),
            json!({
                "commit": snapshot.commit().to_string(),
                "digest": schema.digest(),
                "schema": schema.source,
            }),
        ))
    }
}

impl Plan {
    async fn run(self) -> Result<Output, Failure> {
        let source = read_schema(&self.schema)?;
        let snapshot = self.address.open().await?.snapshot(&self.branch).await?;
        let (_, steps) = snapshot
            .schema()
            .evolve(&source, &mut RandomIds)
            .map_err(|errors| schema_failure(&self.schema, errors))?;
        let mut text = listed(&steps);
        if steps.is_empty() {
            text.push_str("no changes\n");
        }
        Ok(Output::new(
            text,
            json!({ "commit": snapshot.commit().to_string(), "steps": documents(&steps) }),
        ))
    }
}

impl Apply {
    async fn run(self) -> Result<Output, Failure> {
        let source = read_schema(&self.schema)?;
        let branch = BranchName::parse(&self.branch)?;
        let graph = self.address.open_to_write(self.durable).await?;
        // All mistakes at once and under the file's name, before anything is touched.
        graph
            .snapshot(&self.branch)
            .await?
            .schema()
            .evolve(&source, &mut RandomIds)
            .map_err(|errors| schema_failure(&self.schema, errors))?;
        let migrated = graph
            .migrate(&branch, &source, &self.actor.name(), self.message)
            .await?;
        let commit = migrated.commit.map(|commit| commit.id.to_string());
        let mut text = listed(&migrated.steps);
        match &commit {
            Some(commit) => text.push_str(&format!("commit {commit}\n")),
            None => text.push_str("no changes\n"),
        }
        Ok(Output::new(
            text,
            json!({ "commit": commit, "branch": self.branch, "steps": documents(&migrated.steps) }),
        ))
    }
}

fn listed(steps: &[SchemaChange]) -> String {
    steps
        .iter()
        .map(|step| {
            let note = match (step.validates(), step.fills()) {
                (true, _) => " (rows are checked first)",
                (_, true) => " (values are written)",
                _ => "",
            };
            format!("{step}{note}\n")
        })
        .collect()
}

pub(super) fn documents(steps: &[SchemaChange]) -> Vec<Value> {
    steps
        .iter()
        .map(|step| {
            json!({
                "step": step.to_string(),
                "kind": step.kind.name(),
                "type": step.type_name,
                "soft": step.kind.is_soft_drop(),
                "validates": step.validates(),
                "fills": step.fills(),
            })
        })
        .collect()
}
