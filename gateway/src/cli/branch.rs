use clap::{Args, Subcommand};
use omnigraph_engine::merge::{MergeOptions, MergeOutcome, OnConflict};
use omnigraph_engine::names::BranchName;
use omnigraph_engine::{BranchInfo, CommitMessage};
use serde_json::{Value, json};

use crate::cli::address::{Address, Durable};
use crate::cli::output::{Output, table, time, time_json};
use crate::cli::{Actor, Failure, Format};

/// Make, list, merge and delete branches.
#[derive(Debug, Args)]
pub(super) struct Branch {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(Create),
    List(List),
    Merge(Merge),
    Delete(Delete),
}

/// Make a branch, in the same time whatever the graph's size.
#[derive(Debug, Args)]
struct Create {
    /// The new branch
    name: String,
    /// Where it begins: a branch, tag, commit or timestamp, or one of them followed by ~n
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

/// Merge a branch into another one, in one commit.
///
/// Of a row that both sides changed, each property is taken from the side that changed it.
/// Where they disagree nothing is merged, the conflicts are told one JSON object a line, and
/// the exit code is 3.
#[derive(Debug, Args)]
struct Merge {
    /// What to merge: a branch, a commit, or either followed by ~n
    source: String,
    /// The branch to merge into
    #[arg(long, value_name = "BRANCH", default_value = BranchName::MAIN)]
    into: String,
    /// Says why, in the merge commit; a fast-forward makes no commit
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// What becomes of conflicts: ours keeps the target's side, theirs takes the source's
    #[arg(long, value_enum, value_name = "SIDE", default_value_t = Side::Fail)]
    on_conflict: Side,
    /// Delete the source branch afterwards, unless somebody committed to it meanwhile
    #[arg(long)]
    delete_branch: bool,
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    durable: Durable,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Side {
    Fail,
    Ours,
    Theirs,
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
            Verb::Merge(verb) => verb.format,
            Verb::Delete(verb) => verb.format,
        }
    }

    pub async fn run(self) -> Result<Output, Failure> {
        match self.verb {
            Verb::Create(verb) => verb.run().await,
            Verb::List(verb) => verb.run().await,
            Verb::Merge(verb) => verb.run().await,
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

impl Merge {
    async fn run(self) -> Result<Output, Failure> {
        let into = BranchName::parse(&self.into)?;
        let options = MergeOptions {
            actor: self.actor.name(),
            message: CommitMessage {
                message: self.message,
                ..CommitMessage::default()
            },
            on_conflict: match self.on_conflict {
                Side::Fail => OnConflict::Fail,
                Side::Ours => OnConflict::Ours,
                Side::Theirs => OnConflict::Theirs,
            },
            delete_source: self.delete_branch,
        };
        let graph = self.address.open_to_write(self.durable).await?;
        let summary = graph.merge(&self.source, &into, options).await?;
        let mut text = match summary.outcome {
            MergeOutcome::UpToDate => format!("{into} is already up to date"),
            MergeOutcome::FastForward => format!("{into} was forwarded to {}", summary.commit),
            MergeOutcome::Merged => {
                format!("merged {} into {into}: {}", self.source, summary.commit)
            }
        };
        for (table, counts) in &summary.tables {
            text.push_str(&format!(
                "\n  {table}: {} inserted, {} updated, {} deleted",
                counts.inserted, counts.updated, counts.deleted
            ));
        }
        match summary.source_deleted {
            None => {}
            Some(true) => text.push_str(&format!("\ndeleted branch {}", self.source)),
            Some(false) => text.push_str(&format!(
                "\nkept branch {}: somebody committed to it meanwhile",
                self.source
            )),
        }
        let tables: serde_json::Map<String, Value> = summary
            .tables
            .iter()
            .map(|(table, counts)| {
                let counts = json!({
                    "inserted": counts.inserted,
                    "updated": counts.updated,
                    "deleted": counts.deleted,
                });
                (table.clone(), counts)
            })
            .collect();
        Ok(Output::new(
            text,
            json!({
                "source": self.source,
                "into": into.as_str(),
                "outcome": summary.outcome.name(),
                "commit": summary.commit.to_string(),
                "tables": tables,
                "source_deleted": summary.source_deleted,
            }),
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
