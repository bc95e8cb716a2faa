use clap::{Args, Subcommand};
use omnigraph_engine::BranchInfo;
use omnigraph_engine::names::BranchName;
use serde_json::{Value, json};

use crate::cli::address::{Address, Durable};
use crate::cli::output::{Output, table, time, time_json};
use crate::cli::{Actor, Failure, Format};

/// Make, list and delete branches.
#[derive(Debug, Args)]
pub(super) struct Branch {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(Create),
    List(List),
    Delete(Delete),
}

/// Make a branch, in the same time whatever the graph's size.
#[derive(Debug, Args)]
struct Create {
    /// The new branch
    name: String,
    /// Where it begins: a branch, a commit, or either followed by ~n
    #[arg(long, value_name = "REF", default_value = BranchName::MAIN)]
    from: String,
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    durable: Durable,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    format: Format,
}

/// List the branches.
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    format: Format,
}

/// Delete a branch.
///
/// A branch with commits that are not in main is kept unless --cascade is given.
#[derive(Debug, Args)]
struct Delete {
    /// The branch
    name: String,
    /// Delete it with the commits that are nowhere else
    #[arg(long)]
    cascade: bool,
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    durable: Durable,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    format: Format,
}

impl Branch {
    pub fn format(&self) -> Format {
        match &self.verb {
            Verb::Create(verb) => verb.format,
            Verb::List(verb) => verb.format,
            Verb::Delete(verb) => verb.format,
        }
    }

    pub async fn run(self) -> Result<Output, Failure> {
        match self.verb {
            Verb::Create(verb) => verb.run().await,
            Verb::List(verb) => verb.run().await,
            Verb::Delete(verb) => verb.run().await,
        }
    }
}

impl Create {
    async fn run(self) -> Result<Output, Failure> {
        let name = BranchName::parse(&self.name)?;
        let graph = self.address.open_to_write(self.durable).await?;
        let branch = graph
            .create_branch(&name, &self.from, &self.actor.name())
            .await?;
        Ok(Output::new(
            format!("made branch {} at {}", branch.name, branch.head),
            document(&branch),
        ))
    }
}

impl List {
    async fn run(self) -> Result<Output, Failure> {
        let branches = self.address.open().await?.branches().await?;
        let rows: Vec<Vec<String>> = branches
            .iter()
            .map(|branch| {
                vec![
                    branch.name.to_string(),
                    branch.head.to_string(),
                    branch.head_seq.to_string(),
                    branch.created_from.clone().unwrap_or_default(),
                    time(branch.created_at),
                    branch.created_by.clone(),
                ]
            })
            .collect();
        Ok(Output::new(
            table(&["branch", "head", "seq", "from", "created", "by"], &rows),
            json!({ "branches": branches.iter().map(document).collect::<Vec<_>>() }),
        ))
    }
}

impl Delete {
    async fn run(self) -> Result<Output, Failure> {
        let name = BranchName::parse(&self.name)?;
        let graph = self.address.open_to_write(self.durable).await?;
        graph
            .delete_branch(&name, self.cascade, &self.actor.name())
            .await?;
        Ok(Output::new(
            format!("deleted branch {name}"),
            json!({ "branch": name.as_str(), "deleted": true }),
        ))
    }
}

fn document(branch: &BranchInfo) -> Value {
    json!({
        "branch": branch.name.as_str(),
        "head": branch.head.to_string(),
        "head_seq": branch.head_seq,
        "created_at": time_json(branch.created_at),
        "created_by": branch.created_by,
        "created_from": branch.created_from,
    })
}
