//! Graphs made and dropped while servers run: CREATE DATABASE and DROP DATABASE.
//!
//! Each is what `apply` would do for this one graph: under the lock, with an intent before the
//! graph's root is touched, payloads before the ledger names them, and one new revision of the
//! ledger at the end. A graph that was made so is noted as such: `apply` shows it and never
//! takes it away, until the config declares the same id.

use std::time::Duration;

use omnigraph_engine::error::{Error as EngineError, ObjectKind};
use omnigraph_engine::{Graph, Store};

use super::address::{Address, digest};
use super::approval::{self, state_digest};
use super::error::{Error, Result};
use super::intent::{self, Intent, Operation};
use super::ledger::{Ledger, Resource, Status};
use super::lock::{self, Lock};
use super::settle::note_graph;
use super::{Cluster, files};
use crate::diagnostic::Diagnostic;

/// How the ledger calls what was made at run time.
pub(super) const RUNTIME: &str = "runtime";
/// How long a statement waits for the lock, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

/// A graph to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewGraph<'a> {
    pub id: &'a str,
    pub schema: &'a str,
    /// A policy of its own, which was checked.
    pub policy: Option<&'a str>,
}

impl Cluster {
    /// Makes a graph and serves it from the next revision on. One that fails leaves nothing.
    pub async fn create_graph(&self, new: NewGraph<'_>, actor: &str) -> Result<()> {
        let lock = self.patient_lock("create database", actor).await?;
        let made = self.create_locked(new, actor).await;
        let released = lock.release().await;
        made?;
        released
    }

    async fn create_locked(&self, new: NewGraph<'_>, actor: &str) -> Result<()> {
        let NewGraph { id, schema, policy } = new;
        let before = Ledger::require(&self.store).await?;
        let mut ledger = before.clone();
        self.refuse_known(&ledger, id).await?;
        let intent = Intent {
            origin: Some(RUNTIME.to_owned()),
            policy_digest: policy.map(digest),
            ..self.intent(Operation::Create, id, &digest(schema), None, actor)
        };
        intent.write(&self.store).await?;
        let root = files::graph(&self.store, id);
        if let Err(error) = self.make(&root, new, &intent, actor).await {
            // A root that was there before is not this statement's to remove.
            if !matches!(error, Error::Engine(EngineError::AlreadyExists { .. })) {
                self.destroy(&root, Some(actor)).await?;
            }
            Intent::remove(&self.store, &intent.intent_id).await?;
            return Err(error);
        }
        note_graph(&mut ledger, id, &intent.schema_digest);
        note_runtime(&mut ledger, &intent);
        let written = ledger.write(&self.store, Some(&before)).await;
        match written {
            Ok(_) => {}
            Err(Error::Lost { .. }) => self.destroy(&root, Some(actor)).await?,
            // Whether the ledger names it is seen by the next `apply`.
            Err(error) => return Err(error),
        }
        Intent::remove(&self.store, &intent.intent_id).await?;
        written.map(drop)
    }

    /// Payloads, then the graph.
    async fn make(
        &self,
        root: &Store,
        new: NewGraph<'_>,
        intent: &Intent,
        actor: &str,
    ) -> Result<()> {
        let NewGraph { id, schema, policy } = new;
        let address = Address::Schema(id.to_owned());
        self.put_payload(&address, &intent.schema_digest, "pg", schema)
            .await?;
        if let (Some(text), Some(digest)) = (policy, &intent.policy_digest) {
            self.put_payload(&policy_of(id), digest, "yaml", text)
                .await?;
        }
        let (resources, environment) = (self.resources.clone(), self.clock.0.clone());
        let made = Graph::create_in(root.clone(), schema, actor, resources, environment).await;
        match made {
            Ok(_) => Ok(()),
            Err(EngineError::AlreadyExists { .. }) => Err(exists(id)),
            Err(error) => Err(error.into()),
        }
    }

    async fn put_payload(
        &self,
        address: &Address,
        digest: &str,
        extension: &str,
        text: &str,
    ) -> Result<()> {
        if let Some(key) = files::payload(address, digest, extension) {
            let body = text.as_bytes().to_vec();
            self.store.write(&key, body.into()).await?;
        }
        Ok(())
    }

    /// A graph of that id, or of one that differs in case only, or another's work on it.
    async fn refuse_known(&self, ledger: &Ledger, id: &str) -> Result<()> {
        let clash = ledger.resources().find_map(|(address, _)| match address {
            Address::Graph(held) if held.eq_ignore_ascii_case(id) => Some(held),
            _ => None,
        });
        if let Some(held) = clash {
            return Err(exists(&held));
        }
        self.refuse_interrupted(id).await?;
        if ledger.resource(&policy_of(id)).is_some() {
            let message = format!("there is a {} already", policy_of(id));
            return Err(Diagnostic::error("policy_scope_conflict", message).into());
        }
        match self.is_foreign(id).await? {
            true => Err(exists(id)),
            false => Ok(()),
        }
    }

    async fn refuse_interrupted(&self, id: &str) -> Result<()> {
        let open = intent::open(&self.store).await?;
        match open.iter().any(|intent| intent.graph == id) {
            true => {
                let message = format!("a run was interrupted while it changed graph \"{id}\"");
                let found = Diagnostic::error("cluster_recovery_pending", message);
                Err(found.hint("`omnigraph cluster apply` settles it.").into())
            }
            false => Ok(()),
        }
    }

    /// Deletes a graph. One that the config declares needs an approval that stands.
    pub async fn drop_graph(&self, id: &str, actor: &str) -> Result<()> {
        let lock = self.patient_lock("drop database", actor).await?;
        let dropped = self.drop_locked(id, actor).await;
        let released = lock.release().await;
        dropped?;
        released
    }

    async fn drop_locked(&self, id: &str, actor: &str) -> Result<()> {
        let before = Ledger::require(&self.store).await?;
        let mut ledger = before.clone();
        let address = Address::Graph(id.to_owned());
        let Some(held) = ledger.resource(&address) else {
            return Err(EngineError::not_found(ObjectKind::Graph, id).into());
        };
        self.refuse_interrupted(id).await?;
        let approval = match held.origin.as_deref() {
            Some(RUNTIME) => None,
            _ => {
                let state = state_digest(&ledger, id);
                let given = approval::open(&self.store, &ledger).await?;
                let standing = given.into_iter().find(|approval| {
                    approval.address == address.to_string() && approval.state_digest == state
                });
                Some(standing.ok_or_else(|| unapproved(id))?)
            }
        };
        let schema = ledger.resource(&Address::Schema(id.to_owned()));
        let schema = schema.map_or_else(String::new, |schema| schema.digest.clone());
        let approval_id = approval.as_ref().map(|given| given.approval_id.clone());
        let intent = self.intent(Operation::Delete, id, &schema, approval_id, actor);
        intent.write(&self.store).await?;
        // From here on the next `apply` finishes it.
        let root = files::graph(&self.store, id);
        self.destroy(&root, Some(actor)).await?;
        self.bury(&mut ledger, &intent);
        if is_runtime(&ledger, &policy_of(id)) {
            ledger.remove(&policy_of(id));
        }
        ledger.write(&self.store, Some(&before)).await?;
        if let Some(mut approval) = approval {
            approval.consumed_at = Some(self.clock.now());
            approval.write(&self.store).await?;
        }
        Intent::remove(&self.store, &intent.intent_id).await
    }

    fn intent(
        &self,
        operation: Operation,
        id: &str,
        schema_digest: &str,
        approval_id: Option<String>,
        actor: &str,
    ) -> Intent {
        Intent {
            version: 1,
            intent_id: self.clock.id(),
            operation,
            graph: id.to_owned(),
            schema_digest: schema_digest.to_owned(),
            approval_id,
            origin: None,
            policy_digest: None,
            actor: Some(actor.to_owned()),
            created_at: self.clock.now(),
        }
    }

    /// The lock, waited for a while.
    async fn patient_lock(&self, operation: &str, actor: &str) -> Result<Lock> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            match Lock::take(&self.store, operation, Some(actor), &self.clock).await {
                Err(Error::Refused(found))
                    if found.code == lock::HELD && tokio::time::Instant::now() < until =>
                {
                    tokio::time::sleep(LOOK).await;
                }
                taken => return taken,
            }
        }
    }
}

/// Notes that a graph of the ledger was made at run time, with its policy.
pub(super) fn note_runtime(ledger: &mut Ledger, intent: &Intent) {
    if intent.origin.is_none() {
        return;
    }
    let graph = Address::Graph(intent.graph.clone());
    let held = ledger.resource(&graph).cloned().unwrap_or_default();
    let origin = intent.origin.clone();
    ledger.set(&graph, Resource { origin, ..held });
    if let Some(digest) = &intent.policy_digest {
        let address = policy_of(&intent.graph);
        let resource = Resource {
            digest: digest.clone(),
            applies_to: Some(vec![graph.to_string()]),
            origin: intent.origin.clone(),
            ..Resource::default()
        };
        ledger.set(&address, resource);
        ledger.set_status(&address, Status::Applied, None);
    }
}

/// The policy that a graph was made with.
pub(super) fn policy_of(id: &str) -> Address {
    Address::Policy(format!("{id}.{RUNTIME}"))
}

pub(super) fn is_runtime(ledger: &Ledger, address: &Address) -> bool {
    ledger
        .resource(address)
        .is_some_and(|held| held.origin.is_some())
}

fn exists(id: &str) -> Error {
    EngineError::AlreadyExists {
        kind: ObjectKind::Graph,
        name: id.to_owned(),
    }
    .into()
}

/// What a declared graph lacks to be dropped.
pub const APPROVAL_REQUIRED: &str = "approval_required";

fn unapproved(id: &str) -> Error {
    let message = format!("graph \"{id}\" is declared: dropping it needs an approval");
    Diagnostic::error(APPROVAL_REQUIRED, message)
        .hint(format!(
            "Take it out of cluster.yaml, then `omnigraph cluster approve graph.{id} --as ACTOR`."
        ))
        .into()
}
