use std::path::PathBuf;

use clap::{Args, Subcommand};
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::RandomIds;
use serde_json::json;

use crate::cli::address::Address;
use crate::cli::init::{read_schema, schema_failure};
use crate::cli::output::Output;
use crate::cli::{Failure, Format};

/// Show a graph's schema, or what would change it.
#[derive(Debug, Args)]
pub(super) struct Schema {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Show(Show),
    Plan(Plan),
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

impl Schema {
    pub fn format(&self) -> Format {
        match &self.verb {
            Verb::Show(verb) => verb.format,
            Verb::Plan(verb) => verb.format,
        }
    }

    pub async fn run(self) -> Result<Output, Failure> {
        match self.verb {
            Verb::Show(verb) => verb.run().await,
            Verb::Plan(verb) => verb.run().await,
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
        let mut text = String::new();
        for step in &steps {
            let note = if step.validates() {
                " (rows are checked first)"
            } else {
                ""
            };
            text.push_str(&format!("{step}{note}\n"));
        }
        if steps.is_empty() {
            text.push_str("no changes\n");
        }
        let documents: Vec<_> = steps
            .iter()
            .map(|step| json!({ "step": step.to_string(), "type": step.type_name, "validates": step.validates() }))
            .collect();
        Ok(Output::new(
            text,
            json!({ "commit": snapshot.commit().to_string(), "steps": documents }),
        ))
    }
}
