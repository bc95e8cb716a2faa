use clap::Args;
use omnigraph_engine::names::BranchName;
use serde_json::json;

use crate::cli::address::{Address, Durable};
use crate::cli::output::Output;
use crate::cli::{Actor, Failure, Format};

/// Take back what one commit did, in a new commit.
///
/// Refused if a row that the commit changed was changed again since.
#[derive(Debug, Args)]
pub(super) struct Revert {
    /// The commit: its id, or any ref
    commit: String,
    /// The branch that gets the new commit
    #[arg(long, value_name = "BRANCH", default_value = BranchName::MAIN)]
    branch: String,
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    durable: Durable,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    pub format: Format,
}

impl Revert {
    pub async fn run(self) -> Result<Output, Failure> {
        let branch = BranchName::parse(&self.branch)?;
        let graph = self.address.open_to_write(self.durable).await?;
        let commit = graph.snapshot_on(&self.commit, &branch).await?.commit();
        let made = graph.revert(&branch, commit, &self.actor.name()).await?;
        let text = match &made {
            Some(made) => format!("reverted {commit} in {}", made.id),
            None => format!("there was nothing to revert of {commit}"),
        };
        Ok(Output::new(
            text,
            json!({ "reverted": commit.to_string(), "commit": made.map(|made| made.id.to_string()) }),
        ))
    }
}
