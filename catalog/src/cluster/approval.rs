//! Approvals: somebody looked at one destructive change and said yes to exactly that one.

use omnigraph_engine::Store;
use serde::{Deserialize, Serialize};

use super::address::composite;
use super::error::Result;
use super::files;
use super::ledger::Ledger;
use crate::diagnostic::Diagnostic;

/// An approval as it is kept. It is never deleted; a used one says when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub version: u32,
    pub approval_id: String,
    pub address: String,
    pub action: String,
    /// The declared files when it was given.
    pub config_digest: String,
    /// What the ledger said of the subtree when it was given.
    pub state_digest: String,
    pub actor: String,
    pub created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumed_at: Option<String>,
}

impl Approval {
    /// Does it speak of the change as it stands now?
    pub fn covers(&self, config_digest: &str, state_digest: &str) -> bool {
        self.config_digest == config_digest && self.state_digest == state_digest
    }

    pub async fn write(&self, store: &Store) -> Result<()> {
        let body = serde_json::to_vec_pretty(self).map_err(omnigraph_engine::Error::internal)?;
        store
            .write(&files::approval(&self.approval_id), body.into())
            .await?;
        Ok(())
    }
}

/// Every approval that was not used, oldest first.
pub async fn open(store: &Store, ledger: &Ledger) -> Result<Vec<Approval>> {
    let mut names = store.list_objects(files::APPROVALS).await?;
    names.sort();
    let mut open = Vec::new();
    for name in names {
        let Some(id) = name.strip_suffix(".json") else {
            continue;
        };
        let key = files::approval(id);
        let Some(bytes) = store.read(&key).await? else {
            continue;
        };
        let approval: Approval = serde_json::from_slice(&bytes).map_err(|error| {
            Diagnostic::error("approval_invalid", format!("{key} cannot be read: {error}"))
                .hint("Move it away and approve the change again.")
        })?;
        if approval.consumed_at.is_none() && !ledger.approval_was_consumed(&approval.approval_id) {
            open.push(approval);
        }
    }
    Ok(open)
}

/// What the ledger says of a graph with its schema and queries.
pub fn state_digest(ledger: &Ledger, graph: &str) -> String {
    composite(
        ledger
            .resources()
            .filter(|(address, _)| address.graph() == Some(graph))
            .map(|(address, resource)| (address.to_string(), resource.digest.as_str())),
    )
}
