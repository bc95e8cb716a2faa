use clap::{Args, Subcommand};
use omnigraph_engine::TagInfo;
use omnigraph_engine::names::BranchName;
use serde_json::{Value, json};

use crate::cli::address::{Address, Durable};
use crate::cli::output::{Output, table, time, time_json};
use crate::cli::{Actor, Failure, Format};

/// Make, list and delete tags.
///
/// A tag stays on its commit and keeps its state readable, whatever is cleaned up.
#[derive(Debug, Args)]
pub(super) struct Tag {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(Create),
    List(List),
    Delete(Delete),
}

/// Put a tag on a commit.
#[derive(Debug, Args)]
struct Create {
    /// The new tag
    name: String,
    /// Where it goes: a branch, tag, commit or timestamp, or one of them followed by ~n
    #[arg(long, value_name = "REF", default_value = BranchName::MAIN)]
    at: String,
    /// Why
    #[arg(long, short = 'm', value_name = "TEXT")]
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

/// List the tags.
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    format: Format,
}

/// Take a tag away.
#[derive(Debug, Args)]
struct Delete {
    /// The tag
    name: String,
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    durable: Durable,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    format: Format,
}

impl Tag {
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
        let at = graph.snapshot(&self.at).await?;
        let tag = graph
            .create_tag(&name, &at, self.message, &self.actor.name())
            .await?;
        Ok(Output::new(
            format!("tagged {} as {}", tag.commit, tag.name),
            document(&tag),
        ))
    }
}

impl List {
    async fn run(self) -> Result<Output, Failure> {
        let tags = self.address.open().await?.tags().await?;
        let rows: Vec<Vec<String>> = tags
            .iter()
            .map(|tag| {
                vec![
                    tag.name.clone(),
                    tag.commit.to_string(),
                    time(tag.created_at),
                    tag.created_by.clone(),
                    tag.message.clone().unwrap_or_default(),
                ]
            })
            .collect();
        Ok(Output::new(
            table(&["tag", "commit", "created", "by", "message"], &rows),
            json!({ "tags": tags.iter().map(document).collect::<Vec<_>>() }),
        ))
    }
}

impl Delete {
    async fn run(self) -> Result<Output, Failure> {
        let name = BranchName::parse(&self.name)?;
        let graph = self.address.open_to_write(self.durable).await?;
        let tag = graph.delete_tag(&name, &self.actor.name()).await?;
        Ok(Output::new(
            format!("took tag {name} away from {}", tag.commit),
            json!({ "tag": name.as_str(), "commit": tag.commit.to_string(), "deleted": true }),
        ))
    }
}

fn document(tag: &TagInfo) -> Value {
    json!({
        "tag": tag.name,
        "commit": tag.commit.to_string(),
        "created_at": time_json(tag.created_at),
        "created_by": tag.created_by,
        "message": tag.message,
    })
}
