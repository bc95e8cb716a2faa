use clap::Args;
use futures::TryStreamExt;
use omnigraph_engine::CommitInfo;
use omnigraph_engine::commit::ancestry::Ancestors;
use omnigraph_engine::names::BranchName;
use serde_json::{Value, json};

use crate::cli::address::Address;
use crate::cli::output::{Output, table, time, time_json};
use crate::cli::{Failure, Format};

/// List commits, newest first.
#[derive(Debug, Args)]
pub(super) struct Commits {
    /// Where to begin: a branch, tag, commit or timestamp, or one of them followed by ~n
    #[arg(long, value_name = "REF", default_value = BranchName::MAIN)]
    branch: String,
    /// No more than this many; 0 for all
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    pub format: Format,
}

impl Commits {
    pub async fn run(self) -> Result<Output, Failure> {
        let graph = self.address.open().await?;
        let limit = if self.limit == 0 {
            usize::MAX
        } else {
            self.limit
        };
        let mut commits = Vec::new();
        let mut stream = graph.commits(&self.branch, Ancestors::All);
        while commits.len() < limit
            && let Some(commit) = stream.try_next().await?
        {
            commits.push(commit);
        }
        let rows: Vec<Vec<String>> = commits.iter().map(row).collect();
        let headings = [
            "commit", "seq", "branch", "kind", "created", "actor", "inserted", "updated",
            "deleted", "message",
        ];
        Ok(Output::new(
            table(&headings, &rows),
            json!({ "commits": commits.iter().map(document).collect::<Vec<_>>() }),
        ))
    }
}

fn row(commit: &CommitInfo) -> Vec<String> {
    vec![
        commit.id.to_string(),
        commit.seq.to_string(),
        commit.branch.clone(),
        commit.kind.name().to_owned(),
        time(commit.created_at),
        commit.actor.clone(),
        commit.inserted.to_string(),
        commit.updated.to_string(),
        commit.deleted.to_string(),
        commit.message.clone().unwrap_or_default(),
    ]
}

fn document(commit: &CommitInfo) -> Value {
    json!({
        "commit": commit.id.to_string(),
        "seq": commit.seq,
        "branch": commit.branch,
        "parents": commit.parents.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "kind": commit.kind.name(),
        "created_at": time_json(commit.created_at),
        "actor": commit.actor,
        "message": commit.message,
        "metadata": commit.metadata,
        "inserted": commit.inserted,
        "updated": commit.updated,
        "deleted": commit.deleted,
    })
}
