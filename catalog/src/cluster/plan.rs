//! What apply would do now.

use std::collections::BTreeMap;

use super::address::Address;
use super::approval;
use super::change::{self, Change, Disposition, Facts, Preview};
use super::error::Result;
use super::intent;
use super::ledger::Ledger;
use super::lock::{self, Holder};
use super::spec::Spec;
use super::{Cluster, files};
use crate::diagnostic::Diagnostic;

#[derive(Debug)]
pub struct Plan {
    /// What the plan was made over; 0: there is no ledger.
    pub state_revision: u64,
    pub state_exists: bool,
    pub changes: Vec<Change>,
    /// Graphs that were made at run time.
    pub unmanaged: Vec<String>,
    pub warnings: Vec<Diagnostic>,
    /// Who holds the lock beside this command.
    pub lock: Option<Holder>,
}

impl Plan {
    /// Addresses whose deletion nobody has approved as it stands.
    pub fn approvals_required(&self) -> Vec<&Address> {
        let mut required = Vec::new();
        for change in &self.changes {
            if matches!(change.reason, Some("approval_required" | "approval_stale")) {
                required.push(&change.address);
            }
        }
        required
    }
}

impl Cluster {
    /// Compares the declared files with the ledger and the live graphs. `take_lock`: hold the
    /// lock meanwhile, so that nothing moves.
    pub async fn plan(&self, spec: &Spec, actor: Option<&str>, take_lock: bool) -> Result<Plan> {
        if take_lock {
            return self
                .locked(spec, "plan", actor, self.plan_unlocked(spec, None))
                .await;
        }
        let held = lock::holder(&self.store).await?;
        self.plan_unlocked(spec, held).await
    }

    async fn plan_unlocked(&self, spec: &Spec, lock: Option<Holder>) -> Result<Plan> {
        let ledger = Ledger::read(&self.store).await?;
        let state_exists = ledger.is_some();
        let ledger = ledger.unwrap_or_default();
        let mut facts = self.facts(spec, &ledger).await?;
        let unsettled = intent::open(&self.store).await?;
        let mut warnings: Vec<Diagnostic> = unsettled
            .iter()
            .map(|intent| {
                let message = format!(
                    "a run was interrupted while it {} this graph",
                    match intent.operation {
                        intent::Operation::Create => "created",
                        intent::Operation::Migrate => "migrated",
                        intent::Operation::Delete => "deleted",
                    }
                );
                Diagnostic::warning("cluster_recovery_pending", message)
                    .about(Address::Graph(intent.graph.clone()).to_string())
                    .hint("The next `omnigraph cluster apply` settles it.")
            })
            .collect();
        facts.unsettled.clear();
        let changes = change::between(spec, &ledger, &facts);
        warnings.extend(warnings_of(&changes));
        Ok(Plan {
            state_revision: ledger.state_revision,
            state_exists,
            unmanaged: unmanaged(spec, &ledger),
            changes,
            warnings,
            lock,
        })
    }

    /// What deciding over changes needs to know of graphs and approvals.
    pub(super) async fn facts(&self, spec: &Spec, ledger: &Ledger) -> Result<Facts> {
        let mut facts = Facts {
            approvals: approval::open(&self.store, ledger).await?,
            ..Facts::default()
        };
        for (id, graph) in &spec.graphs {
            if self.is_foreign(id).await? {
                facts.foreign.insert(id.clone());
                continue;
            }
            let applied = ledger.resource(&Address::Schema(id.clone()));
            if applied.is_none_or(|applied| applied.digest == graph.schema.digest) {
                continue;
            }
            let preview = match self.graph(id).await {
                Err(error) => Preview::Unavailable(error.to_string()),
                Ok(live) => match live.plan_migration("main", &graph.schema.text).await {
                    Ok(plan) => Preview::Steps(plan.steps),
                    Err(omnigraph_engine::Error::Invalid { message, .. }) => {
                        Preview::Refused(message)
                    }
                    Err(error) => Preview::Unavailable(error.to_string()),
                },
            };
            facts.previews.insert(id.clone(), preview);
        }
        Ok(facts)
    }
}

/// Graphs of the ledger that were made at run time and are not declared.
pub(super) fn unmanaged(spec: &Spec, ledger: &Ledger) -> Vec<String> {
    let graphs: BTreeMap<Address, _> = ledger.resources().collect();
    graphs
        .into_iter()
        .filter_map(|(address, resource)| match address {
            Address::Graph(id) if resource.origin.is_some() && !spec.graphs.contains_key(&id) => {
                Some(id)
            }
            _ => None,
        })
        .collect()
}

/// Each change that will not happen, as a warning.
pub(super) fn warnings_of(changes: &[Change]) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for change in changes {
        let address = change.address.to_string();
        let why = change.message.clone().unwrap_or_default();
        if let Some(Preview::Unavailable(why)) = &change.migration {
            warnings.push(
                Diagnostic::warning(
                    "schema_preview_unavailable",
                    format!("the graph cannot be opened: {why}"),
                )
                .about(address.clone())
                .hint("`omnigraph cluster refresh` records what is there."),
            );
        }
        let found = match (change.disposition, change.reason) {
            (Disposition::Deferred, _) => Diagnostic::warning(
                "apply_unsupported_change",
                "a schema is deleted with its graph, never alone",
            ),
            (Disposition::Blocked, Some(reason @ ("approval_required" | "approval_stale"))) => {
                let message = match reason {
                    "approval_stale" => {
                        "it was approved for another state of the config or the ledger"
                    }
                    _ => "deleting a graph needs an approval",
                };
                Diagnostic::warning(reason, message)
                    .hint(format!("`omnigraph cluster approve {address} --as ACTOR`"))
            }
            (Disposition::Blocked, Some("dependency_blocked")) => {
                Diagnostic::warning("apply_dependency_blocked", "what it depends on is blocked")
            }
            (Disposition::Blocked, Some(reason)) => Diagnostic::warning(reason, why),
            _ => continue,
        };
        warnings.push(found.about(address));
    }
    warnings
}

/// Where a change's payload goes, and what is in it.
pub(super) fn payload<'a>(spec: &'a Spec, address: &Address) -> Option<(String, &'a str)> {
    let file = match address {
        Address::Schema(id) => &spec.graphs.get(id)?.schema,
        Address::Query { graph, name } => spec.graphs.get(graph)?.queries.get(name)?,
        Address::Policy(name) => &spec.policies.get(name)?.file,
        Address::Graph(_) | Address::Provider(_) => return None,
    };
    let extension = match address {
        Address::Policy(_) => "yaml",
        Address::Schema(_) => "pg",
        _ => file.extension(),
    };
    let key = files::payload(address, &file.digest, extension)?;
    Some((key, &file.text))
}
