//! Every graph that a server has, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use omnigraph_engine::clock;
use omnigraph_engine::dataset::Resources;
use omnigraph_engine::error::ObjectKind;
use omnigraph_engine::storage::Store;
use omnigraph_engine::{Error, Graph, Result};
use parking_lot::{Mutex, RwLock};

use super::graph::GraphAccess;
use super::{Action, Guard, Rules};
use crate::actor::Actor;
use crate::cluster::{self, Cluster, NewGraph, Revision};
use crate::diagnostic::Diagnostic;
use crate::policy::{self, Kind, Policy, Request};
use crate::stored::{Compiler, StoredQueries};

/// The database that is the server itself: it has no graph.
pub const SERVER_DATABASE: &str = "postgres";
/// Where the graphs of a store are, and how their folders end.
const GRAPHS: &str = "graphs";
const SUFFIX: &str = ".omni";
/// How many graphs are opened at the same time.
const OPENING: usize = 8;
/// How many graphs one server takes on.
const GRAPH_LIMIT: usize = 10_000;

/// Every graph of a store or cluster. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Databases {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    resources: Arc<Resources>,
    graphs: RwLock<BTreeMap<String, Database>>,
    /// What the server itself asks; a plain store has no such rules.
    server: Guard,
    /// Of a cluster. Only what was applied is served then.
    cluster: Option<Followed>,
}

#[derive(Debug)]
struct Followed {
    /// The revision that is served.
    revision: Mutex<u64>,
    /// Nobody has to prove who they are, so nobody is kept from anything.
    open: bool,
    cluster: Cluster,
    compiler: Arc<dyn Compiler>,
    /// Held by whoever takes over a revision.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
pub(super) struct Database {
    state: State,
    /// Does a cluster declare its schema?
    pub(super) declared: bool,
    pub(super) guard: Guard,
    pub(super) published: Published,
}

/// The stored queries of a graph, as the revision has them that is served: shared by all who
/// have the graph open, and replaced with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Published(Arc<RwLock<Arc<StoredQueries>>>);

impl Published {
    fn new(queries: Arc<StoredQueries>) -> Self {
        Published(Arc::new(RwLock::new(queries)))
    }

    pub(super) fn now(&self) -> Arc<StoredQueries> {
        Arc::clone(&self.0.read())
    }

    fn replace(&self, queries: Arc<StoredQueries>) {
        *self.0.write() = queries;
    }
}

/// Is a graph served?
#[derive(Debug, Clone)]
pub enum State {
    Serving(Graph),
    /// It is not served, though the others are; why, as a code and in words.
    Quarantined {
        code: &'static str,
        error: Error,
    },
}

impl Databases {
    /// Opens every graph of a store. One that cannot be opened is set aside with its reason.
    pub async fn open(store: Store, resources: Arc<Resources>) -> Result<Self> {
        let folder = store.child(GRAPHS);
        let names: Vec<String> = folder
            .list_folders("")
            .await?
            .into_iter()
            .filter_map(|child| {
                child
                    .trim_end_matches('/')
                    .strip_suffix(SUFFIX)
                    .map(str::to_owned)
            })
            .collect();
        if names.len() > GRAPH_LIMIT {
            return Err(Error::LimitExceeded {
                what: "the number of graphs of a server".to_owned(),
                limit: GRAPH_LIMIT as u64,
                actual: names.len() as u64,
            });
        }
        let opened: BTreeMap<String, Database> = futures::stream::iter(names)
            .map(|name| {
                let (root, resources) = (
                    folder.child(&format!("{name}{SUFFIX}")),
                    Arc::clone(&resources),
                );
                async move {
                    let state = match Graph::open(root, resources).await {
                        Ok(graph) => State::Serving(graph),
                        // The place of a graph that was deleted, or never came to be.
                        Err(Error::NotFound { .. }) => return None,
                        Err(error) => unopenable(error),
                    };
                    Some((name, Database::open_to_all(state)))
                }
            })
            .buffer_unordered(OPENING)
            .filter_map(futures::future::ready)
            .collect()
            .await;
        Ok(Self::of(store, resources, opened, Rules::Everything, None))
    }

    /// Serves what was applied to a cluster: each graph under its policy, one without a policy
    /// to be read only.
    pub fn of_cluster(cluster: &Cluster, revision: Revision, compiler: Arc<dyn Compiler>) -> Self {
        Self::serving(cluster, revision, false, compiler)
    }

    /// Serves what was applied to a cluster that has no policy to everybody alike.
    pub fn of_open_cluster(
        cluster: &Cluster,
        revision: Revision,
        compiler: Arc<dyn Compiler>,
    ) -> Self {
        Self::serving(cluster, revision, true, compiler)
    }

    fn serving(
        cluster: &Cluster,
        revision: Revision,
        open: bool,
        compiler: Arc<dyn Compiler>,
    ) -> Self {
        let graphs = revision.graphs.into_iter().map(|(name, served)| {
            let rules = graph_rules(served.policy, open);
            let database = Database {
                state: served.state,
                declared: served.declared,
                guard: Guard::new(rules, Some(Arc::clone(&compiler))),
                published: Published::new(served.queries),
            };
            (name, database)
        });
        Self::of(
            cluster.store().clone(),
            Arc::clone(cluster.resources()),
            graphs.collect(),
            server_rules(revision.server, open),
            Some(Followed {
                revision: Mutex::new(revision.number),
                open,
                cluster: cluster.clone(),
                compiler: Arc::clone(&compiler),
                turn: tokio::sync::Mutex::default(),
            }),
        )
    }

    fn of(
        store: Store,
        resources: Arc<Resources>,
        graphs: BTreeMap<String, Database>,
        server: Rules,
        cluster: Option<Followed>,
    ) -> Self {
        for (name, database) in &graphs {
            match &database.state {
                State::Serving(_) => tracing::info!(graph = name, "serving"),
                State::Quarantined { code, error } => {
                    tracing::error!(graph = name, code, %error, "is not served");
                }
            }
        }
        Databases {
            shared: Arc::new(Shared {
                store,
                resources,
                graphs: RwLock::new(graphs),
                server: Guard::new(server, None),
                cluster,
            }),
        }
    }

    /// Takes over a newer revision. A graph that was served and would not be any more keeps
    /// what it had; sessions see the rest with their next statement.
    fn renew(&self, revision: Revision) {
        let Some(cluster) = &self.shared.cluster else {
            return;
        };
        if cluster.open && revision.has_policy() {
            tracing::error!(
                revision = revision.number,
                "the new revision has policies, which need credentials; the old one is kept"
            );
            return;
        }
        let mut graphs = self.shared.graphs.write();
        graphs.retain(|name, _| revision.graphs.contains_key(name));
        for (name, served) in revision.graphs {
            let rules = graph_rules(served.policy, cluster.open);
            let Some(held) = graphs.get_mut(&name) else {
                let database = Database {
                    state: served.state,
                    declared: served.declared,
                    guard: Guard::new(rules, Some(Arc::clone(&cluster.compiler))),
                    published: Published::new(served.queries),
                };
                graphs.insert(name, database);
                continue;
            };
            if let (State::Serving(_), State::Quarantined { code, error }) =
                (&held.state, &served.state)
            {
                tracing::error!(graph = name, code, %error, revision = revision.number, "the new revision cannot be served; the graph keeps its old one");
                continue;
            }
            held.state = served.state;
            held.declared = served.declared;
            held.published.replace(served.queries);
            held.guard.replace(rules);
        }
        self.shared
            .server
            .replace(server_rules(revision.server, cluster.open));
        *cluster.revision.lock() = revision.number;
        tracing::info!(revision = revision.number, "serving a new revision");
    }

    /// Of a cluster: the revision that is served.
    pub fn revision(&self) -> Option<u64> {
        self.shared
            .cluster
            .as_ref()
            .map(|cluster| *cluster.revision.lock())
    }

    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// How many bytes each cache of the engine holds.
    pub fn cached_bytes(&self) -> [(&'static str, u64); 4] {
        self.shared.resources.cached_bytes()
    }

    /// All graphs by name, quarantined ones included.
    pub fn list(&self) -> Vec<(String, State)> {
        self.shared
            .graphs
            .read()
            .iter()
            .map(|(name, database)| (name.clone(), database.state.clone()))
            .collect()
    }

    /// The graphs that an actor may know of: all, or the one they are connected to.
    pub fn listed(&self, actor: &Actor, connected: &str) -> Vec<(String, State)> {
        let mut all = self.list();
        if !self.may(actor, Action::GraphList) {
            all.retain(|(name, _)| name == connected);
        }
        all
    }

    /// May the actor do this to the server?
    pub fn may(&self, actor: &Actor, action: Action) -> bool {
        let request = Request {
            actor: actor.as_str(),
            action,
            branch: None,
        };
        self.shared.server.decide(request).is_allowed()
    }

    /// Would policy let an actor do this to a graph or one of its branches? For those who ask
    /// before they try.
    pub fn would_allow(
        &self,
        graph: &str,
        actor: &str,
        action: Action,
        branch: Option<&str>,
    ) -> bool {
        let request = Request {
            actor,
            action,
            branch,
        };
        match self.shared.graphs.read().get(graph) {
            Some(database) => database.guard.decide(request).is_allowed(),
            None => false,
        }
    }

    /// Makes a graph: a folder of a plain store, or a graph of the cluster beside those that are
    /// declared. `policy` is one of its own, which only a cluster has.
    pub async fn create(
        &self,
        name: &str,
        schema: &str,
        policy: Option<&str>,
        actor: &Actor,
    ) -> cluster::Result<()> {
        self.check(actor, Action::GraphCreate)?;
        if !is_graph_name(name) {
            let message = format!("\"{name}\" cannot be the name of a graph");
            return Err(Diagnostic::error(INVALID_NAME, message)
                .hint("Names are letters, digits, \"-\" and \"_\", up to 63, and begin with a letter.")
                .into());
        }
        if let Some(followed) = &self.shared.cluster {
            if let Some(text) = policy {
                check_policy(text)?;
            }
            let new = NewGraph {
                id: name,
                schema,
                policy,
            };
            if policy.is_some() && followed.open {
                let message = "policies need credentials, and this server asks for none";
                return Err(Diagnostic::error("policy_without_credentials", message).into());
            }
            followed.cluster.create_graph(new, actor.as_str()).await?;
            self.caught_up().await;
            return Ok(());
        }
        if policy.is_some() {
            return Err(Error::Unsupported {
                message: "a server over a plain store has no policies".to_owned(),
                hint: Some("Serve a cluster: docs/operate/cluster.md.".to_owned()),
            }
            .into());
        }
        let resources = Arc::clone(&self.shared.resources);
        let made = Graph::create(self.place(name), schema, actor.as_str(), resources).await;
        let graph = made.map_err(|error| match error {
            Error::AlreadyExists { kind, .. } => Error::AlreadyExists {
                kind,
                name: name.to_owned(),
            },
            other => other,
        })?;
        let mut graphs = self.shared.graphs.write();
        graphs
            .entry(name.to_owned())
            .or_insert_with(|| Database::open_to_all(State::Serving(graph)));
        Ok(())
    }

    /// Deletes a graph with all that it ever was. In a cluster one that is declared needs an
    /// approval.
    pub async fn drop(&self, name: &str, actor: &Actor) -> cluster::Result<()> {
        self.check(actor, Action::GraphDelete)?;
        if let Some(followed) = &self.shared.cluster {
            followed.cluster.drop_graph(name, actor.as_str()).await?;
            self.shared.graphs.write().remove(name);
            self.caught_up().await;
            return Ok(());
        }
        // What is no graph of the store is not there.
        self.access(name, actor).await?;
        let (resources, environment) = (Arc::clone(&self.shared.resources), clock::system());
        Graph::destroy(&self.place(name), resources, environment, actor.as_str()).await?;
        self.shared.graphs.write().remove(name);
        Ok(())
    }

    fn check(&self, actor: &Actor, action: Action) -> Result<()> {
        match self.may(actor, action) {
            true => Ok(()),
            false => Err(Error::Denied {
                actor: format!("\"{actor}\""),
                action: action.to_string(),
                on: " on this server".to_owned(),
            }),
        }
    }

    /// After a change that is made whatever becomes of this: the next look tries again.
    async fn caught_up(&self) {
        if let Err(error) = self.catch_up().await {
            tracing::warn!(%error, "the newest revision cannot be served yet");
        }
    }

    /// Of a cluster: takes over the newest revision, if it is not the one that is served.
    pub async fn catch_up(&self) -> cluster::Result<()> {
        let Some(followed) = &self.shared.cluster else {
            return Ok(());
        };
        // One at a time: an older revision must not come after a newer one.
        let _turn = followed.turn.lock().await;
        let served = *followed.revision.lock();
        if !followed.cluster.is_newer_than(served).await? {
            return Ok(());
        }
        let known: BTreeMap<String, Graph> = self
            .list()
            .into_iter()
            .filter_map(|(name, state)| match state {
                State::Serving(graph) => Some((name, graph)),
                State::Quarantined { .. } => None,
            })
            .collect();
        let revision = followed.cluster.serve(&known, &*followed.compiler).await?;
        self.renew(revision);
        Ok(())
    }

    /// Where a graph of a plain store is.
    fn place(&self, name: &str) -> Store {
        let graphs = self.shared.store.child(GRAPHS);
        graphs.child(&format!("{name}{SUFFIX}"))
    }

    /// A graph by name, as an actor may use it. In a plain store one that was quarantined, or
    /// is not known, is tried again: it may have been made or repaired since.
    pub async fn access(&self, name: &str, actor: &Actor) -> Result<GraphAccess> {
        let access = |graph: &Graph, database: &Database| {
            GraphAccess::of(graph.clone(), name, actor.clone(), database)
        };
        let held = self.shared.graphs.read().get(name).cloned();
        if let Some(database) = &held
            && let State::Serving(graph) = &database.state
        {
            return Ok(access(graph, database));
        }
        let missing = || Error::not_found(ObjectKind::Graph, name);
        if self.shared.cluster.is_some() {
            return match held.map(|held| held.state) {
                Some(State::Quarantined { error, .. }) if self.may(actor, Action::GraphList) => {
                    Err(error)
                }
                _ => Err(missing()),
            };
        }
        if name.is_empty()
            || name.contains(['/', '\\'])
            || name.starts_with('.')
            || name == SERVER_DATABASE
        {
            return Err(missing());
        }
        let state = match Graph::open(self.place(name), Arc::clone(&self.shared.resources)).await {
            Ok(graph) => State::Serving(graph),
            Err(Error::NotFound { .. }) => return Err(missing()),
            Err(error) => unopenable(error),
        };
        let mut graphs = self.shared.graphs.write();
        // Somebody may have been quicker; there is one `Graph` for each graph.
        if let Some(database) = graphs.get(name)
            && let State::Serving(first) = &database.state
        {
            return Ok(access(first, database));
        }
        let database = Database::open_to_all(state);
        let opened = match &database.state {
            State::Serving(graph) => Ok(access(graph, &database)),
            State::Quarantined { error, .. } => Err(error.clone()),
        };
        graphs.insert(name.to_owned(), database);
        opened
    }
}

/// The code of a name that no graph can have.
pub const INVALID_NAME: &str = "invalid_name";

/// Names of databases that PostgreSQL has.
const RESERVED: [&str; 3] = [SERVER_DATABASE, "template0", "template1"];

/// A policy of a graph's own, before anything is made.
fn check_policy(text: &str) -> cluster::Result<()> {
    let mistaken = |found: Vec<Diagnostic>| cluster::Error::Invalid(found);
    let (bundle, _) = policy::load("policy", text).map_err(mistaken)?;
    if bundle.kind != Kind::Graph {
        let found = Diagnostic::error("policy_kind_mismatch", "its actions are a server's");
        return Err(mistaken(vec![found]));
    }
    Policy::new(bundle)?;
    Ok(())
}

/// May a graph that is made here be called so? Those that exist may be called otherwise.
fn is_graph_name(name: &str) -> bool {
    name.len() <= 63
        && !RESERVED.contains(&name)
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

impl Database {
    /// A graph of a plain store.
    fn open_to_all(state: State) -> Self {
        Database {
            state,
            declared: false,
            guard: Guard::new(Rules::Everything, None),
            published: Published::default(),
        }
    }
}

fn unopenable(error: Error) -> State {
    State::Quarantined {
        code: "graph_unopenable",
        error,
    }
}

fn graph_rules(policy: Option<Arc<Policy>>, open: bool) -> Rules {
    match policy {
        Some(policy) => Rules::Policy(policy),
        None if open => Rules::Everything,
        None => Rules::ReadOnly,
    }
}

fn server_rules(policy: Option<Arc<Policy>>, open: bool) -> Rules {
    match policy {
        Some(policy) => Rules::Policy(policy),
        None if open => Rules::Everything,
        None => Rules::Nothing,
    }
}
