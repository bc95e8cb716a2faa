//! Looking at what is there: refresh writes it into the ledger, import makes a ledger of it.

use omnigraph_engine::error::Error as EngineError;
use serde_json::json;

use super::Cluster;
use super::address::Address;
use super::change::FOREIGN;
use super::error::Result;
use super::intent::Intent;
use super::ledger::{Ledger, Status};
use super::settle::{live_digest, note_graph};
use super::spec::Spec;
use super::status::Condition;
use crate::diagnostic::Diagnostic;

/// What refresh or import found.
#[derive(Debug)]
pub struct Observed {
    pub ledger: Ledger,
    pub state_written: bool,
    pub errors: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
}

enum Live {
    There {
        commit: String,
        schema_digest: String,
    },
    Missing,
    Broken(Diagnostic),
}

impl Cluster {
    /// Records of each declared graph whether it is there and with which schema, and of each
    /// payload whether it is whole. What is missing leaves the ledger, so that the next plan
    /// makes it again.
    pub async fn refresh(&self, spec: &Spec, actor: Option<&str>) -> Result<Observed> {
        self.locked(spec, "refresh", actor, async {
            let before = Ledger::require(&self.store).await?;
            let mut ledger = before.clone();
            let settled = self.settle(&mut ledger).await?;
            let mut errors = Vec::new();
            let mut warnings = settled.warnings;
            for id in spec.graphs.keys() {
                let address = Address::Graph(id.clone());
                if ledger.resource(&address).is_none() && !settled.unsettled.contains(id) {
                    continue;
                }
                self.refresh_graph(id, &mut ledger, &mut errors, &mut warnings)
                    .await?;
            }
            self.refresh_payloads(&mut ledger, &mut errors, &mut warnings)
                .await;
            let state_written = ledger != before;
            if state_written {
                ledger = ledger.write(&self.store, Some(&before)).await?;
            }
            for id in settled.done {
                Intent::remove(&self.store, &id).await?;
            }
            Ok(Observed {
                ledger,
                state_written,
                errors,
                warnings,
            })
        })
        .await
    }

    async fn refresh_graph(
        &self,
        id: &str,
        ledger: &mut Ledger,
        errors: &mut Vec<Diagnostic>,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<()> {
        let (graph, schema) = (
            Address::Graph(id.to_owned()),
            Address::Schema(id.to_owned()),
        );
        match self.look(id).await? {
            Live::There {
                commit,
                schema_digest,
            } => {
                let applied = ledger.resource(&schema).map(|held| held.digest.clone());
                let matches = applied.as_deref() == Some(schema_digest.as_str());
                let observation = json!({
                    "exists": true,
                    "commit": commit,
                    "schema_digest": schema_digest,
                    "schema_match": matches,
                });
                ledger.observations.insert(graph.to_string(), observation);
                if matches {
                    return Ok(());
                }
                let message = "the live schema is not the applied one";
                if let Some(held) = ledger
                    .applied_revision
                    .resources
                    .get_mut(&schema.to_string())
                {
                    held.digest = schema_digest;
                }
                ledger.set_condition(
                    &schema,
                    Status::Drifted,
                    Some("schema_drift"),
                    Some(message.to_owned()),
                );
                warnings.push(
                    Diagnostic::warning("schema_drift", message)
                        .about(schema.to_string())
                        .hint("`omnigraph cluster apply` converges it back; to keep it, change the config."),
                );
            }
            Live::Missing => {
                let message = "its root is missing";
                ledger.remove_graph(id);
                ledger
                    .observations
                    .insert(graph.to_string(), json!({ "exists": false }));
                ledger.set_condition(
                    &graph,
                    Status::Drifted,
                    Some("graph_missing"),
                    Some(message.to_owned()),
                );
                warnings.push(
                    Diagnostic::warning("graph_missing", message)
                        .about(graph.to_string())
                        .hint("`omnigraph cluster apply` makes an empty graph in its place."),
                );
            }
            Live::Broken(found) => {
                ledger.set_condition(
                    &graph,
                    Status::Error,
                    Some(found.code),
                    Some(found.message.clone()),
                );
                errors.push(found);
            }
        }
        Ok(())
    }

    async fn refresh_payloads(
        &self,
        ledger: &mut Ledger,
        errors: &mut Vec<Diagnostic>,
        warnings: &mut Vec<Diagnostic>,
    ) {
        let all: Vec<_> = ledger
            .resources()
            .map(|(address, resource)| (address, resource.clone()))
            .collect();
        for (address, resource) in all {
            match self.check_payload(&address, &resource).await {
                Condition::Whole => {}
                Condition::Bad(found) => {
                    let message = Some(found.message.clone());
                    // A schema's text is in the graph too, and comes back with the next apply.
                    ledger.remove(&address);
                    ledger.set_condition(&address, Status::Drifted, Some(found.code), message);
                    warnings.push(found);
                }
                Condition::Unreadable(found) => {
                    let message = Some(found.message.clone());
                    ledger.set_condition(&address, Status::Error, Some(found.code), message);
                    errors.push(found);
                }
            }
        }
    }

    /// Makes the first ledger from the config and the graphs that are there.
    pub async fn import(&self, spec: &Spec, actor: Option<&str>) -> Result<Observed> {
        self.locked(spec, "import", actor, async {
            if let Some(ledger) = Ledger::read(&self.store).await? {
                let message = format!("there is a ledger, at revision {}", ledger.state_revision);
                let found = Diagnostic::error("state_exists", message);
                return Err(found
                    .hint("`omnigraph cluster refresh` brings it up to date.")
                    .into());
            }
            let mut ledger = Ledger::default();
            let mut warnings = Vec::new();
            let mut broken = Vec::new();
            for id in spec.graphs.keys() {
                let address = Address::Graph(id.clone()).to_string();
                match self.look(id).await? {
                    Live::There {
                        commit,
                        schema_digest,
                    } => {
                        note_graph(&mut ledger, id, &schema_digest);
                        let matches = spec.graphs[id].schema.digest == schema_digest;
                        let observation = json!({
                            "exists": true,
                            "commit": commit,
                            "schema_digest": schema_digest,
                            "schema_match": matches,
                        });
                        ledger.observations.insert(address, observation);
                    }
                    Live::Missing => {
                        ledger
                            .observations
                            .insert(address, json!({ "exists": false }));
                    }
                    Live::Broken(found) => broken.push(found),
                }
            }
            if !broken.is_empty() {
                return Err(super::Error::Invalid(broken));
            }
            let settled = self.settle(&mut ledger).await?;
            warnings.extend(settled.warnings);
            let ledger = ledger.write(&self.store, None).await?;
            for id in settled.done {
                Intent::remove(&self.store, &id).await?;
            }
            Ok(Observed {
                ledger,
                state_written: true,
                errors: Vec::new(),
                warnings,
            })
        })
        .await
    }

    async fn look(&self, id: &str) -> Result<Live> {
        let address = Address::Graph(id.to_owned()).to_string();
        if self.is_foreign(id).await? {
            let found = Diagnostic::error("graph_foreign_format", FOREIGN);
            return Ok(Live::Broken(found.about(address)));
        }
        let graph = match self.graph(id).await {
            Ok(graph) => graph,
            Err(EngineError::NotFound { .. }) => return Ok(Live::Missing),
            Err(error @ EngineError::Unavailable { .. }) => return Err(error.into()),
            Err(error) => {
                let found = Diagnostic::error("graph_unopenable", error.to_string());
                return Ok(Live::Broken(found.about(address)));
            }
        };
        Ok(Live::There {
            commit: graph.snapshot("main").await?.commit().to_string(),
            schema_digest: live_digest(&graph).await?,
        })
    }
}
