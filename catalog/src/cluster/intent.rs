//! Intents: what a run is about to do to a graph, written before it does it.
//!
//! The store needs no recovery; an intent only tells the next run whose work it finds. It is
//! settled by looking at what is there.

use omnigraph_engine::Store;
use serde::{Deserialize, Serialize};

use super::error::Result;
use super::files;
use crate::diagnostic::Diagnostic;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    pub version: u32,
    pub intent_id: String,
    pub operation: Operation,
    pub graph: String,
    /// The digest of the schema that the graph shall have; of a graph to be deleted, had.
    pub schema_digest: String,
    /// What a deletion rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
    /// Of a graph that is made at run time: what the ledger will say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Of a policy that it is made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    pub created_at: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Create,
    Migrate,
    Delete,
}

impl Operation {
    pub fn name(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::Migrate => "migrate",
            Operation::Delete => "delete",
        }
    }
}

impl Intent {
    pub async fn write(&self, store: &Store) -> Result<()> {
        let body = serde_json::to_vec_pretty(self).map_err(omnigraph_engine::Error::internal)?;
        store
            .write(&files::intent(&self.intent_id), body.into())
            .await?;
        Ok(())
    }

    pub async fn remove(store: &Store, id: &str) -> Result<()> {
        store.delete(&files::intent(id)).await?;
        Ok(())
    }
}

/// The intents of runs that did not end, oldest first.
pub async fn open(store: &Store) -> Result<Vec<Intent>> {
    let mut names = store.list_objects(files::INTENTS).await?;
    names.sort();
    let mut open = Vec::new();
    for name in names {
        let key = format!("{}/{name}", files::INTENTS);
        let Some(bytes) = store.read(&key).await? else {
            continue;
        };
        let intent = serde_json::from_slice(&bytes).map_err(|error| {
            Diagnostic::error("intent_invalid", format!("{key} cannot be read: {error}")).hint(
                "Look at the graph it names, move it away, and run `omnigraph cluster refresh`.",
            )
        })?;
        open.push(intent);
    }
    Ok(open)
}
