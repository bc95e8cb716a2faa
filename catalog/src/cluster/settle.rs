//! Intents of runs that did not end: what became of them is seen by looking.

use std::collections::BTreeSet;
use std::sync::Arc;

use omnigraph_engine::error::Error as EngineError;
use omnigraph_engine::{Graph, Store};
use serde_json::json;

use super::address::{Address, composite, digest};
use super::error::Result;
use super::intent::{self, Intent, Operation};
use super::ledger::{Ledger, Resource, Status};
use super::runtime::note_runtime;
use super::{Cluster, files};
use crate::diagnostic::Diagnostic;

/// What looking found.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Intents that may go once the ledger is written.
    pub done: Vec<String>,
    /// Graphs that could not be looked at.
    pub unsettled: BTreeSet<String>,
    pub warnings: Vec<Diagnostic>,
}

/// How an intent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    RolledForward,
    /// Nothing had happened.
    Dropped,
}

impl Cluster {
    /// Puts what interrupted runs did to graphs into `ledger`.
    pub(super) async fn settle(&self, ledger: &mut Ledger) -> Result<Settled> {
        let mut settled = Settled::default();
        for intent in intent::open(&self.store).await? {
            let address = Address::Graph(intent.graph.clone()).to_string();
            match self.settle_one(&intent, ledger).await {
                Ok(End::Dropped) => settled.done.push(intent.intent_id),
                Ok(End::RolledForward) => {
                    let record = json!({
                        "intent_id": intent.intent_id,
                        "operation": intent.operation.name(),
                        "graph": intent.graph,
                        "outcome": "rolled_forward",
                        "actor": intent.actor,
                        "started_at": intent.created_at,
                        "settled_at": self.clock.now(),
                    });
                    ledger.record_recovery(&intent.intent_id, record);
                    settled.done.push(intent.intent_id);
                }
                Err(error) => {
                    let message =
                        format!("what became of an interrupted run cannot be seen: {error}");
                    settled.warnings.push(
                        Diagnostic::warning("cluster_recovery_pending", message).about(address),
                    );
                    settled.unsettled.insert(intent.graph);
                }
            }
        }
        Ok(settled)
    }

    async fn settle_one(&self, intent: &Intent, ledger: &mut Ledger) -> Result<End> {
        let id = &intent.graph;
        if intent.operation == Operation::Delete {
            return self.settle_delete(intent, ledger).await;
        }
        match self.graph(id).await {
            Ok(graph) => {
                let live = live_digest(&graph).await?;
                if live != intent.schema_digest {
                    return Ok(End::Dropped);
                }
                let known = ledger.resource(&Address::Schema(id.clone()));
                if known.is_some_and(|known| known.digest == live) {
                    return Ok(End::Dropped);
                }
                note_graph(ledger, id, &live);
                note_runtime(ledger, intent);
                Ok(End::RolledForward)
            }
            Err(EngineError::NotFound { .. }) => {
                // Files of a graph that never came to be.
                let root = files::graph(&self.store, id);
                if intent.operation == Operation::Create && !self.is_foreign(id).await? {
                    self.destroy(&root, intent.actor.as_deref()).await?;
                }
                Ok(End::Dropped)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn settle_delete(&self, intent: &Intent, ledger: &mut Ledger) -> Result<End> {
        let root = files::graph(&self.store, &intent.graph);
        // A graph whose first tombstone is written is deleted, whoever finishes it.
        match self.graph(&intent.graph).await {
            Ok(_) => return Ok(End::Dropped),
            Err(EngineError::NotFound { .. } | EngineError::BranchDeleted { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.destroy(&root, intent.actor.as_deref()).await?;
        self.bury(ledger, intent);
        Ok(End::RolledForward)
    }

    pub(super) async fn destroy(&self, root: &Store, actor: Option<&str>) -> Result<()> {
        let actor = actor.unwrap_or(SYSTEM);
        let environment = Arc::clone(&self.clock.0);
        Graph::destroy(root, Arc::clone(&self.resources), environment, actor).await?;
        Ok(())
    }

    /// Writes a deleted graph into the ledger, its approval with it.
    pub(super) fn bury(&self, ledger: &mut Ledger, intent: &Intent) {
        let address = Address::Graph(intent.graph.clone()).to_string();
        ledger.remove_graph(&intent.graph);
        let tombstone = json!({
            "deleted_at": self.clock.now(),
            "actor": intent.actor,
            "approval_id": intent.approval_id,
            "schema_digest": intent.schema_digest,
        });
        ledger.tombstones.insert(address.clone(), tombstone);
        if let Some(approval) = &intent.approval_id {
            let record = json!({
                "approval_id": approval,
                "address": address,
                "action": "delete",
                "consumed_at": self.clock.now(),
                "consumed_by": intent.actor,
            });
            ledger.record_approval(approval, record);
        }
    }
}

/// Who acts where nobody said.
pub(super) const SYSTEM: &str = "cluster";

/// The digest of the schema that a graph has on `main`.
pub(super) async fn live_digest(graph: &Graph) -> omnigraph_engine::Result<String> {
    Ok(digest(&graph.snapshot("main").await?.schema().source))
}

/// Records that a graph is there with this schema.
pub(super) fn note_graph(ledger: &mut Ledger, id: &str, schema_digest: &str) {
    let (graph, schema) = (
        Address::Graph(id.to_owned()),
        Address::Schema(id.to_owned()),
    );
    if ledger.resource(&graph).is_none() {
        let digest = composite([("schema".to_owned(), schema_digest)]);
        let resource = Resource {
            digest,
            ..Resource::default()
        };
        ledger.set(&graph, resource);
        ledger.set_status(&graph, Status::Applied, None);
    }
    let resource = Resource {
        digest: schema_digest.to_owned(),
        ..ledger.resource(&schema).cloned().unwrap_or_default()
    };
    ledger.set(&schema, resource);
    ledger.set_status(&schema, Status::Applied, None);
    ledger.tombstones.remove(&graph.to_string());
}
