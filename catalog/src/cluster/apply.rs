//! Making it so: one ordered run, each step safe to repeat, the ledger last.
//!
//! Settle what was interrupted → create graphs → migrate schemas → write payloads → delete
//! graphs → write the ledger once. Killed anywhere, the next run finds finished steps done and
//! the others not begun. A graph that fails does not stop the others.

use omnigraph_engine::Graph;
use omnigraph_engine::error::Error as EngineError;
use omnigraph_engine::names::BranchName;

use super::address::Address;
use super::approval::{self, Approval, state_digest};
use super::change::{self, Action, Change, Disposition, desired};
use super::error::Result;
use super::intent::{Intent, Operation};
use super::ledger::{Ledger, Status};
use super::plan::{payload, warnings_of};
use super::settle::{SYSTEM, live_digest, note_graph};
use super::spec::Spec;
use super::{Cluster, files};
use crate::diagnostic::Diagnostic;

/// What a run did.
#[derive(Debug)]
pub struct Outcome {
    /// As they ended.
    pub changes: Vec<Change>,
    /// Is everything as declared?
    pub converged: bool,
    pub state_written: bool,
    pub state_revision: u64,
    pub errors: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
}

impl Cluster {
    pub async fn apply(&self, spec: &Spec, actor: Option<&str>) -> Result<Outcome> {
        let run = Run {
            cluster: self,
            spec,
            actor,
        };
        self.locked(spec, "apply", actor, run.all()).await
    }
}

struct Run<'a> {
    cluster: &'a Cluster,
    spec: &'a Spec,
    actor: Option<&'a str>,
}

/// What a run leaves to be tidied once the ledger is written.
#[derive(Default)]
struct Tidy {
    intents: Vec<String>,
    approvals: Vec<Approval>,
}

impl Run<'_> {
    async fn all(&self) -> Result<Outcome> {
        let store = &self.cluster.store;
        let before = Ledger::require(store).await?;
        let mut ledger = before.clone();
        let settled = self.cluster.settle(&mut ledger).await?;
        let mut tidy = Tidy {
            intents: settled.done,
            ..Tidy::default()
        };
        let mut facts = self.cluster.facts(self.spec, &ledger).await?;
        facts.unsettled = settled.unsettled;
        let mut changes = change::between(self.spec, &ledger, &facts);
        let mut errors = Vec::new();
        self.create_graphs(&mut changes, &mut ledger, &mut tidy, &mut errors)
            .await?;
        self.migrate_schemas(&mut changes, &mut ledger, &mut tidy, &mut errors)
            .await?;
        self.write_payloads(&changes, &mut ledger).await?;
        self.delete_graphs(
            &mut changes,
            &mut ledger,
            &mut tidy,
            &facts.approvals,
            &mut errors,
        )
        .await?;
        self.derive(&changes, &mut ledger);
        note_statuses(&changes, &mut ledger);
        let converged = errors.is_empty() && changes.iter().all(Change::converges);
        if converged {
            ledger.applied_revision.config_digest = Some(self.spec.config_digest.clone());
        }
        let state_written = ledger != before;
        let ledger = if state_written {
            ledger.write(store, Some(&before)).await?
        } else {
            ledger
        };
        for id in tidy.intents {
            Intent::remove(store, &id).await?;
        }
        for mut approval in tidy.approvals {
            approval.consumed_at = Some(self.cluster.clock.now());
            approval.write(store).await?;
        }
        let mut warnings = settled.warnings;
        warnings.extend(warnings_of(&changes));
        Ok(Outcome {
            changes,
            converged,
            state_written,
            state_revision: ledger.state_revision,
            errors,
            warnings,
        })
    }

    fn actor(&self) -> &str {
        self.actor.unwrap_or(SYSTEM)
    }

    async fn begin(
        &self,
        operation: Operation,
        graph: &str,
        schema_digest: &str,
        approval_id: Option<String>,
    ) -> Result<Intent> {
        let intent = Intent {
            version: 1,
            intent_id: self.cluster.clock.id(),
            operation,
            graph: graph.to_owned(),
            schema_digest: schema_digest.to_owned(),
            approval_id,
            origin: None,
            policy_digest: None,
            actor: self.actor.map(str::to_owned),
            created_at: self.cluster.clock.now(),
        };
        intent.write(&self.cluster.store).await?;
        Ok(intent)
    }

    async fn create_graphs(
        &self,
        changes: &mut [Change],
        ledger: &mut Ledger,
        tidy: &mut Tidy,
        errors: &mut Vec<Diagnostic>,
    ) -> Result<()> {
        for (id, graph) in &self.spec.graphs {
            let address = Address::Graph(id.clone());
            if !is_due(changes, &address, Action::Create) {
                continue;
            }
            let wanted = &graph.schema.digest;
            let intent = self.begin(Operation::Create, id, wanted, None).await?;
            let root = files::graph(&self.cluster.store, id);
            let made = Graph::create_in(
                root,
                &graph.schema.text,
                self.actor(),
                self.cluster.resources.clone(),
                self.cluster.clock.0.clone(),
            )
            .await;
            let made = match made {
                // It is there already: it is taken over as it is, under the declared schema.
                Err(EngineError::AlreadyExists { .. }) => {
                    self.migrate(id, &graph.schema.text).await
                }
                made => made.map(|_| ()),
            };
            self.ended(id, wanted, made, intent, changes, ledger, tidy, errors)
                .await?;
        }
        Ok(())
    }

    async fn migrate_schemas(
        &self,
        changes: &mut [Change],
        ledger: &mut Ledger,
        tidy: &mut Tidy,
        errors: &mut Vec<Diagnostic>,
    ) -> Result<()> {
        for (id, graph) in &self.spec.graphs {
            let address = Address::Schema(id.clone());
            // One whose payload was lost is applied again: that changes nothing that is right.
            let again = is_due(changes, &address, Action::Create)
                && !is_due(changes, &Address::Graph(id.clone()), Action::Create);
            if !again && !is_due(changes, &address, Action::Update) {
                continue;
            }
            let wanted = &graph.schema.digest;
            let intent = self.begin(Operation::Migrate, id, wanted, None).await?;
            let migrated = self.migrate(id, &graph.schema.text).await;
            self.ended(id, wanted, migrated, intent, changes, ledger, tidy, errors)
                .await?;
        }
        Ok(())
    }

    async fn migrate(&self, id: &str, source: &str) -> omnigraph_engine::Result<()> {
        let graph = self.cluster.graph(id).await?;
        let message = Some("cluster apply".to_owned());
        graph
            .migrate(&BranchName::main(), source, self.actor(), message)
            .await?;
        Ok(())
    }

    /// Notes what a step on a graph came to. After an error what counts is what is there: if
    /// nothing moved the intent goes, if that cannot be seen it stays for the next run.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one run, which differ in what they change"
    )]
    async fn ended(
        &self,
        id: &str,
        wanted: &str,
        outcome: omnigraph_engine::Result<()>,
        intent: Intent,
        changes: &mut [Change],
        ledger: &mut Ledger,
        tidy: &mut Tidy,
        errors: &mut Vec<Diagnostic>,
    ) -> Result<()> {
        let error = match outcome {
            Ok(()) => None,
            Err(error) => match self.cluster.graph(id).await {
                Ok(graph) if live_digest(&graph).await? == wanted => None,
                Ok(_) | Err(EngineError::NotFound { .. }) => {
                    Intent::remove(&self.cluster.store, &intent.intent_id).await?;
                    Some(error)
                }
                Err(_) => Some(error),
            },
        };
        let Some(error) = error else {
            note_graph(ledger, id, wanted);
            tidy.intents.push(intent.intent_id);
            return Ok(());
        };
        let address = match intent.operation {
            Operation::Migrate => Address::Schema(id.to_owned()),
            _ => Address::Graph(id.to_owned()),
        };
        let code = match (&error, intent.operation) {
            (EngineError::Constraint(_), _) => "schema_data_conflict",
            (_, Operation::Migrate) => "schema_apply_failed",
            (_, Operation::Create) => "graph_create_failed",
            (_, Operation::Delete) => "graph_delete_failed",
        };
        let mut found = Diagnostic::error(code, error.to_string()).about(address.to_string());
        if let EngineError::Constraint(violation) = &error
            && let Some(detail) = &violation.detail
        {
            found.message = format!("{}: {detail}", found.message);
        }
        errors.push(found);
        fail(changes, &address, error.to_string());
        Ok(())
    }

    /// Writes what the ledger is about to name, then names it.
    async fn write_payloads(&self, changes: &[Change], ledger: &mut Ledger) -> Result<()> {
        let due = changes.iter().filter(|change| change.is_applied());
        for change in due.filter(|change| change.action != Action::Delete) {
            let address = &change.address;
            if let Some((key, text)) = payload(self.spec, address) {
                let body = text.as_bytes().to_vec();
                self.cluster.store.write(&key, body.into()).await?;
            }
            let digest = change.after.clone().unwrap_or_default();
            if !matches!(address, Address::Graph(_)) {
                ledger.set(address, desired(self.spec, address, &digest));
                ledger.set_status(address, Status::Applied, None);
            }
        }
        let gone = changes
            .iter()
            .filter(|change| change.action == Action::Delete && change.is_applied());
        for change in gone.filter(|change| !matches!(change.address, Address::Graph(_))) {
            ledger.remove(&change.address);
        }
        Ok(())
    }

    async fn delete_graphs(
        &self,
        changes: &mut [Change],
        ledger: &mut Ledger,
        tidy: &mut Tidy,
        approvals: &[Approval],
        errors: &mut Vec<Diagnostic>,
    ) -> Result<()> {
        let due: Vec<(String, String)> = changes
            .iter()
            .filter(|change| change.action == Action::Delete && change.is_applied())
            .filter_map(|change| match &change.address {
                Address::Graph(id) => Some((id.clone(), change.address.to_string())),
                _ => None,
            })
            .collect();
        for (id, address) in due {
            let state = state_digest(ledger, &id);
            let approval = approvals.iter().find(|approval| {
                approval.address == address && approval.covers(&self.spec.config_digest, &state)
            });
            let Some(approval) = approval else {
                continue;
            };
            let schema = ledger.resource(&Address::Schema(id.clone()));
            let schema = schema
                .map(|schema| schema.digest.clone())
                .unwrap_or_default();
            let approval_id = Some(approval.approval_id.clone());
            let intent = self
                .begin(Operation::Delete, &id, &schema, approval_id)
                .await?;
            let root = files::graph(&self.cluster.store, &id);
            match self.cluster.destroy(&root, self.actor).await {
                Ok(()) => {
                    self.cluster.bury(ledger, &intent);
                    tidy.approvals.push(approval.clone());
                    tidy.intents.push(intent.intent_id);
                }
                Err(error) => {
                    // Whether it is deleted is seen by the next run.
                    let found = Diagnostic::error("graph_delete_failed", error.to_string());
                    errors.push(found.about(address));
                    fail(changes, &Address::Graph(id), error.to_string());
                }
            }
        }
        Ok(())
    }

    /// Brings the digests of graphs up to those of their parts.
    fn derive(&self, changes: &[Change], ledger: &mut Ledger) {
        for change in changes {
            if !matches!(change.address, Address::Graph(_))
                || change.action == Action::Delete
                || !change.converges()
            {
                continue;
            }
            let digest = change.after.clone().unwrap_or_default();
            ledger.set(
                &change.address,
                desired(self.spec, &change.address, &digest),
            );
            ledger.set_status(&change.address, Status::Applied, None);
        }
    }
}

fn is_due(changes: &[Change], address: &Address, action: Action) -> bool {
    changes
        .iter()
        .any(|change| change.address == *address && change.action == action && change.is_applied())
}

/// A change that could not be executed, with everything that needs it.
fn fail(changes: &mut [Change], address: &Address, why: String) {
    for change in changes.iter_mut() {
        if change.address == *address {
            change.block("apply_failed", Some(why.clone()));
        } else if change.address.graph() == address.graph()
            && change.disposition != Disposition::Deferred
        {
            change.block("dependency_blocked", None);
        }
    }
}

fn note_statuses(changes: &[Change], ledger: &mut Ledger) {
    // What nothing is to be done about any more is as declared, or gone.
    let settled: Vec<String> = ledger
        .resource_statuses
        .iter()
        .filter(|(_, status)| status.status != Status::Applied)
        .map(|(address, _)| address.clone())
        .filter(|address| {
            !changes
                .iter()
                .any(|change| change.address.to_string() == *address)
        })
        .collect();
    for address in settled {
        ledger.resource_statuses.remove(&address);
        if let Some(address) = Address::parse(&address)
            && ledger.resource(&address).is_some()
        {
            ledger.set_status(&address, Status::Applied, None);
        }
    }
    for change in changes {
        if change.disposition != Disposition::Blocked {
            continue;
        }
        let status = if change.reason == Some("apply_failed") {
            Status::Error
        } else {
            Status::Blocked
        };
        ledger.set_condition(
            &change.address,
            status,
            change.reason,
            change.message.clone(),
        );
    }
}

impl Cluster {
    /// Says yes to a change that needs it, as it stands now.
    pub async fn approve(&self, spec: &Spec, address: &Address, actor: &str) -> Result<Approval> {
        self.locked(spec, "approve", Some(actor), async {
            let ledger = Ledger::require(&self.store).await?;
            let facts = self.facts(spec, &ledger).await?;
            let changes = change::between(spec, &ledger, &facts);
            let found = changes.iter().find(|change| change.address == *address);
            let graph = match (found, address) {
                (Some(change), Address::Graph(id)) if change.action == Action::Delete => id,
                (Some(_), _) => {
                    let message = format!("the change of {address} needs no approval");
                    return Err(Diagnostic::error("approval_not_required", message).into());
                }
                (None, _) => {
                    let message = format!("nothing is to be done about {address}");
                    let found = Diagnostic::error("approval_no_change", message);
                    return Err(found
                        .hint("`omnigraph cluster plan` lists the changes.")
                        .into());
                }
            };
            let approval = Approval {
                version: 1,
                approval_id: self.clock.id(),
                address: address.to_string(),
                action: Action::Delete.name().to_owned(),
                config_digest: spec.config_digest.clone(),
                state_digest: state_digest(&ledger, graph),
                actor: actor.to_owned(),
                created_at: self.clock.now(),
                consumed_at: None,
            };
            approval.write(&self.store).await?;
            Ok(approval)
        })
        .await
    }

    /// Approvals that were not used, stale ones included.
    pub async fn approvals(&self) -> Result<Vec<Approval>> {
        let ledger = Ledger::read(&self.store).await?.unwrap_or_default();
        approval::open(&self.store, &ledger).await
    }
}
