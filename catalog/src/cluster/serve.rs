//! From the applied revision to what a server serves.
//!
//! Nothing that is merely declared is served. What concerns one graph sets that graph aside,
//! with a code; what concerns all stops the server. A held lock is no obstacle: revisions are
//! written whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use omnigraph_engine::error::Error as EngineError;
use omnigraph_engine::{Graph, Resources};
use serde_json::Value as Json;

use super::address::Address;
use super::blobs::{self, Reader};
use super::change::FOREIGN;
use super::error::Result;
use super::intent;
use super::ledger::{Ledger, Resource};
use super::spec::File;
use super::{Cluster, files};
use crate::access::State;
use crate::diagnostic::Diagnostic;
use crate::policy::{self, Policy};
use crate::stored::{Compiler, StoredQueries};

/// How many graphs are opened at the same time.
const OPENING: usize = 8;

/// One applied revision, ready to be served.
#[derive(Debug)]
pub struct Revision {
    pub number: u64,
    pub graphs: BTreeMap<String, Served>,
    pub server: Option<Arc<Policy>>,
}

#[derive(Debug)]
pub struct Served {
    pub state: State,
    /// Is its schema in the cluster's files? Not of a graph that was made at run time.
    pub declared: bool,
    pub queries: Arc<StoredQueries>,
    pub policy: Option<Arc<Policy>>,
}

impl Revision {
    /// Is anybody's right said anywhere? Then callers must prove who they are.
    pub fn has_policy(&self) -> bool {
        self.server.is_some() || self.graphs.values().any(|graph| graph.policy.is_some())
    }

    /// The graphs that are not served, with the reason.
    pub fn quarantined(&self) -> Vec<Diagnostic> {
        self.graphs
            .iter()
            .filter_map(|(id, graph)| match &graph.state {
                State::Serving(_) => None,
                State::Quarantined { code, error } => {
                    let address = Address::Graph(id.clone()).to_string();
                    Some(Diagnostic::error(code, error.to_string()).about(address))
                }
            })
            .collect()
    }
}

impl Cluster {
    pub fn resources(&self) -> &Arc<Resources> {
        &self.resources
    }

    /// The newest revision that was applied, opened. Graphs of `known` that are still the same
    /// are not opened again.
    pub async fn serve(
        &self,
        known: &BTreeMap<String, Graph>,
        compiler: &dyn Compiler,
    ) -> Result<Revision> {
        let Some(ledger) = Ledger::read(&self.store).await? else {
            let message = format!("{} has no ledger", self.store.url());
            return Err(Diagnostic::error("cluster_state_missing", message)
                .hint("`omnigraph cluster import`, then `omnigraph cluster apply`.")
                .into());
        };
        let policies = self.policies(&ledger).await?;
        let interrupted: BTreeSet<String> = intent::open(&self.store)
            .await?
            .into_iter()
            .map(|intent| intent.graph)
            .collect();
        let ids: Vec<String> = ledger
            .resources()
            .filter_map(|(address, _)| match address {
                Address::Graph(id) => Some(id),
                _ => None,
            })
            .collect();
        let graphs: BTreeMap<String, Served> = futures::stream::iter(ids)
            .map(|id| {
                let (ledger, policies, interrupted) = (&ledger, &policies, &interrupted);
                async move {
                    let known = known.get(&id);
                    let opened = self.open(&id, ledger, interrupted, known, compiler).await;
                    let (state, queries) = match opened {
                        Ok((graph, queries)) => (State::Serving(graph), queries),
                        Err(found) => (quarantined(found.code, &found.message), Arc::default()),
                    };
                    let (state, policy) =
                        match policies.get(&Address::Graph(id.clone()).to_string()) {
                            None => (state, None),
                            Some(Ok(policy)) => (state, Some(Arc::clone(policy))),
                            Some(Err(found)) => (quarantined(found.code, &found.message), None),
                        };
                    let held = ledger.resource(&Address::Graph(id.clone()));
                    let served = Served {
                        state,
                        declared: held.is_some_and(|held| held.origin.is_none()),
                        queries,
                        policy,
                    };
                    (id, served)
                }
            })
            .buffer_unordered(OPENING)
            .collect()
            .await;
        if !graphs
            .values()
            .any(|graph| matches!(graph.state, State::Serving(_)))
        {
            let why: Vec<String> = graphs
                .iter()
                .filter_map(|(id, graph)| match &graph.state {
                    State::Quarantined { code, error } => Some(format!("{id}: {code}: {error}")),
                    State::Serving(_) => None,
                })
                .collect();
            let message = if why.is_empty() {
                "no graph was applied".to_owned()
            } else {
                format!("no graph can be served ({})", why.join("; "))
            };
            return Err(Diagnostic::error("cluster_empty", message)
                .hint("Apply a cluster with at least one graph.")
                .into());
        }
        let server = match policies.get("cluster") {
            Some(Ok(policy)) => Some(Arc::clone(policy)),
            Some(Err(found)) => return Err(found.clone().into()),
            None => None,
        };
        Ok(Revision {
            number: ledger.state_revision,
            graphs,
            server,
        })
    }

    /// Was a revision written after `number`? One request.
    pub async fn is_newer_than(&self, number: u64) -> Result<bool> {
        Ok(self.store.exists(&files::revision(number + 1)).await?)
    }

    /// The policy of each scope. One that is lost concerns the scope it is bound to; bound to
    /// more than one graph, or to the cluster, it concerns everybody.
    async fn policies(
        &self,
        ledger: &Ledger,
    ) -> Result<BTreeMap<String, std::result::Result<Arc<Policy>, Diagnostic>>> {
        let mut scopes = BTreeMap::new();
        for (address, resource) in ledger.resources() {
            let Address::Policy(name) = &address else {
                continue;
            };
            let Some(bindings) = &resource.applies_to else {
                let message = format!("the ledger does not say what policy \"{name}\" is bound to");
                return Err(Diagnostic::error("policy_bindings_missing", message)
                    .about(address.to_string())
                    .hint("`omnigraph cluster apply` writes it down.")
                    .into());
            };
            let loaded = self.policy(&address, resource).await;
            if let Err(found) = &loaded
                && (bindings.len() > 1 || bindings.iter().any(|scope| scope == "cluster"))
            {
                let mut found = found.clone();
                found.severity = crate::diagnostic::Severity::Error;
                return Err(found.into());
            }
            for scope in bindings {
                if scopes.insert(scope.clone(), loaded.clone()).is_some() {
                    let message = format!("two policies are bound to {scope}");
                    return Err(Diagnostic::error("policy_scope_conflict", message)
                        .about(address.to_string())
                        .hint("Split or merge them, then `omnigraph cluster apply`.")
                        .into());
                }
            }
        }
        Ok(scopes)
    }

    async fn policy(
        &self,
        address: &Address,
        resource: &Resource,
    ) -> std::result::Result<Arc<Policy>, Diagnostic> {
        let text = self.payload(address, resource).await?.unwrap_or_default();
        match policy::load(&address.to_string(), &text) {
            Ok((bundle, _)) => Policy::new(bundle).map(Arc::new),
            Err(found) => Err(found.into_iter().next().unwrap_or_else(|| {
                Diagnostic::error("policy_invalid", "the policy cannot be read")
            })),
        }
    }

    /// A graph with its stored queries, or why it is set aside.
    async fn open(
        &self,
        id: &str,
        ledger: &Ledger,
        interrupted: &BTreeSet<String>,
        known: Option<&Graph>,
        compiler: &dyn Compiler,
    ) -> std::result::Result<(Graph, Arc<StoredQueries>), Diagnostic> {
        if interrupted.contains(id) {
            let why = "a run was interrupted while it changed this graph; `omnigraph cluster apply` settles it";
            return Err(Diagnostic::error("cluster_recovery_pending", why));
        }
        if let Some(name) = missing_secret(id, ledger) {
            let why = format!("its embedding provider needs the environment variable {name}");
            return Err(Diagnostic::error("embedding_provider_unresolved", why));
        }
        let mut files = BTreeMap::new();
        for (address, resource) in ledger.resources() {
            let Address::Query { graph, name } = &address else {
                continue;
            };
            if graph != id {
                continue;
            }
            let payload = self.payload(&address, resource).await;
            let text = payload
                .map_err(|found| {
                    let message = format!("{address}: {}", found.message);
                    Diagnostic::error(found.code, message)
                })?
                .unwrap_or_default();
            let extension = resource.extension.as_deref().unwrap_or("gq");
            let file = File {
                path: format!("{name}.{extension}"),
                text,
                digest: resource.digest.clone(),
            };
            files.insert(name.clone(), file);
        }
        let unopenable = |error: &dyn std::fmt::Display| {
            let why = format!("{error}; `omnigraph cluster refresh` records what is there");
            Diagnostic::error("graph_unopenable", why)
        };
        match self.is_foreign(id).await {
            Ok(false) => {}
            Ok(true) => return Err(Diagnostic::error("graph_foreign_format", FOREIGN)),
            Err(error) => return Err(unopenable(&error)),
        }
        let graph = self.graph(id).await.map_err(|error| unopenable(&error))?;
        // What is known of it is kept: caches, and who waits in its queue.
        let graph = match known {
            Some(known) if known.id() == graph.id() => known.clone(),
            _ => graph,
        };
        let main = graph.snapshot("main").await;
        let main = main.map_err(|error| unopenable(&error))?;
        let compiled = compiler.compile(id, &files, main.schema());
        if let Some(found) = compiled.found.into_iter().find(Diagnostic::is_error) {
            let address = found.address.unwrap_or_default();
            let why = format!("{address}: {}", found.message);
            return Err(Diagnostic::error(found.code, why));
        }
        let resource = ledger.resource(&Address::Graph(id.to_owned()));
        graph
            .blobs()
            .allow(blobs::allowed(resource, Reader::Server));
        Ok((graph, Arc::new(compiled.queries)))
    }
}

fn quarantined(code: &'static str, why: &str) -> State {
    State::Quarantined {
        code,
        error: EngineError::Unavailable {
            message: format!("{code}: {why}"),
        },
    }
}

/// The first environment variable that a graph's embedding provider names and that is not set.
fn missing_secret(id: &str, ledger: &Ledger) -> Option<String> {
    let graph = ledger.resource(&Address::Graph(id.to_owned()))?;
    let provider = graph.embedding_provider.as_ref()?;
    let Some(profile) = ledger
        .resource(&Address::Provider(provider.clone()))
        .and_then(|provider| provider.embedding_profile.as_ref())
    else {
        return Some(format!("(none: provider \"{provider}\" is gone)"));
    };
    let values = profile.as_object()?.values().filter_map(Json::as_str);
    values
        .filter_map(|value| value.strip_prefix("${")?.strip_suffix('}'))
        .find(|name| std::env::var_os(name).is_none())
        .map(str::to_owned)
}
