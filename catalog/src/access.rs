//! Which graphs a server has, and what one actor may do with one of them.
//!
//! [`GraphAccess`] is the single place that asks whether something is allowed: whatever reads
//! or changes a graph for somebody goes through its methods, and each begins with
//! [`GraphAccess::check`]. A server over a plain store has no policy, so an actor who proved
//! who they are may do everything there; in a cluster each graph has the policy that was
//! applied, and without one can only be read.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::StreamExt;
use futures::stream::BoxStream;
use omnigraph_engine::blob::Blobs;
use omnigraph_engine::commit::ancestry::Ancestors;
use omnigraph_engine::dataset::Resources;
use omnigraph_engine::diff::{self, TypeDiff};
use omnigraph_engine::error::ObjectKind;
use omnigraph_engine::feed::{Cursor, Step};
use omnigraph_engine::load::{self, LoadMode, LoadOptions, LoadSummary};
use omnigraph_engine::merge::{MergeConflict, MergeOptions, MergeSummary, OnConflict};
use omnigraph_engine::migrate::Migrated;
use omnigraph_engine::names::{BranchName, CommitId};
use omnigraph_engine::refs::Base;
use omnigraph_engine::schema::{RandomIds, Schema, SchemaChange, TypeId};
use omnigraph_engine::storage::Store;
use omnigraph_engine::{
    BranchInfo, CommitInfo, CommitMessage, CommitOutcome, Error, Graph, Reference, Result,
    Snapshot, TagInfo, Transaction, TransactionOptions, VacuumOptions, VacuumReport,
};
use parking_lot::{Mutex, RwLock};

use crate::actor::Actor;
use crate::cluster::{Cluster, Revision};
use crate::policy::{Decision, Policy, Request};
use crate::stored::StoredQueries;

pub use crate::policy::Action;

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
}

#[derive(Debug, Clone)]
struct Database {
    state: State,
    guard: Guard,
    published: Published,
}

/// The stored queries of a graph, as the revision has them that is served: shared by all who
/// have the graph open, and replaced with it.
#[derive(Debug, Clone, Default)]
struct Published(Arc<RwLock<Arc<StoredQueries>>>);

impl Published {
    fn new(queries: Arc<StoredQueries>) -> Self {
        Published(Arc::new(RwLock::new(queries)))
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

/// What decides over requests, now: shared by all who have a graph open, and replaced when
/// another policy is applied.
#[derive(Debug, Clone)]
pub struct Guard(Arc<RwLock<Rules>>);

#[derive(Debug, Clone)]
pub enum Rules {
    /// A plain store: whoever was let in may do everything.
    Everything,
    /// A cluster's graph without a policy.
    ReadOnly,
    /// A cluster without a server policy.
    Nothing,
    Policy(Arc<Policy>),
}

impl Guard {
    pub fn new(rules: Rules) -> Self {
        Guard(Arc::new(RwLock::new(rules)))
    }

    fn replace(&self, rules: Rules) {
        *self.0.write() = rules;
    }

    fn decide(&self, request: Request<'_>) -> Decision {
        let rules = self.0.read().clone();
        match rules {
            Rules::Everything => Decision::Allowed(Vec::new()),
            Rules::ReadOnly if request.action == Action::Read => Decision::Allowed(Vec::new()),
            Rules::ReadOnly | Rules::Nothing => Decision::Denied,
            Rules::Policy(policy) => policy.check(request),
        }
    }

    /// Is the branch one that the policy protects?
    pub fn is_protected(&self, branch: &str) -> bool {
        match &*self.0.read() {
            Rules::Policy(policy) => policy.is_protected(branch),
            _ => false,
        }
    }
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
    pub fn of_cluster(cluster: &Cluster, revision: Revision) -> Self {
        Self::serving(cluster, revision, false)
    }

    /// Serves what was applied to a cluster that has no policy to everybody alike.
    pub fn of_open_cluster(cluster: &Cluster, revision: Revision) -> Self {
        Self::serving(cluster, revision, true)
    }

    fn serving(cluster: &Cluster, revision: Revision, open: bool) -> Self {
        let graphs = revision.graphs.into_iter().map(|(name, served)| {
            let database = Database {
                state: served.state,
                guard: Guard::new(graph_rules(served.policy, open)),
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
                server: Guard::new(server),
                cluster,
            }),
        }
    }

    /// Takes over a newer revision. A graph that was served and would not be any more keeps
    /// what it had; sessions see the rest with their next statement.
    pub fn renew(&self, revision: Revision) {
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
                    guard: Guard::new(rules),
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
            *held.published.0.write() = served.queries;
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

    /// Makes a graph of a plain store. The graphs of a cluster are declared.
    pub async fn create(&self, name: &str, schema: &str, actor: &Actor) -> Result<()> {
        if self.shared.cluster.is_some() {
            return Err(Error::Unsupported {
                message: "CREATE DATABASE is not supported in a cluster".to_owned(),
                hint: Some(
                    "Declare the graph in cluster.yaml and run \"omnigraph cluster apply\"."
                        .to_owned(),
                ),
            });
        }
        if !is_graph_name(name) {
            return Err(Error::Invalid {
                message: format!("\"{name}\" cannot be the name of a graph"),
                detail: None,
                hint: Some(
                    "Names are letters, digits, \"-\" and \"_\", up to 63, and begin with a letter."
                        .to_owned(),
                ),
            });
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

    /// Where a graph of a plain store is.
    fn place(&self, name: &str) -> Store {
        let graphs = self.shared.store.child(GRAPHS);
        graphs.child(&format!("{name}{SUFFIX}"))
    }

    /// A graph by name, as an actor may use it. In a plain store one that was quarantined, or
    /// is not known, is tried again: it may have been made or repaired since.
    pub async fn access(&self, name: &str, actor: &Actor) -> Result<GraphAccess> {
        let access = |graph: &Graph, database: &Database| GraphAccess {
            graph: graph.clone(),
            name: name.into(),
            actor: actor.clone(),
            managed: self.shared.cluster.is_some(),
            guard: database.guard.clone(),
            published: database.published.clone(),
            decided: Arc::default(),
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

/// May a graph that is made here be called so? Those that exist may be called otherwise.
fn is_graph_name(name: &str) -> bool {
    name.len() <= 63
        && name != SERVER_DATABASE
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
            guard: Guard::new(Rules::Everything),
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

/// What they want to do it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource<'a> {
    Graph,
    /// A branch, commit or other name of a state.
    Reference(&'a str),
}

impl Resource<'_> {
    /// The branch that it is on, where its name says so.
    fn branch(&self) -> Option<&str> {
        let Resource::Reference(reference) = self else {
            return None;
        };
        let name = reference.split('~').next().unwrap_or_default();
        BranchName::parse(name).is_ok().then_some(name)
    }
}

/// What policy said to a request, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    pub action: Action,
    pub branch: Option<String>,
    pub allowed: bool,
    /// The rules that allowed it.
    pub rules: Vec<String>,
}

/// How many decisions one statement can have in the audit log.
const DECIDED: usize = 100;

/// One graph as one actor may see and change it. Cheap to clone; clones are of one session.
#[derive(Debug, Clone)]
pub struct GraphAccess {
    graph: Graph,
    name: Arc<str>,
    actor: Actor,
    guard: Guard,
    /// A cluster declares its schema.
    managed: bool,
    published: Published,
    /// Since somebody last asked.
    decided: Arc<Mutex<Vec<Decided>>>,
}

impl GraphAccess {
    /// A graph that no policy is about.
    pub fn new(graph: Graph, name: &str, actor: Actor) -> Self {
        GraphAccess {
            graph,
            name: name.into(),
            actor,
            guard: Guard::new(Rules::Everything),
            managed: false,
            published: Published::default(),
            decided: Arc::default(),
        }
    }

    /// Is its schema declared in a cluster's files? Then it is changed there.
    pub fn is_managed(&self) -> bool {
        self.managed
    }

    /// What was decided since this was last asked; the same request once.
    pub fn take_decided(&self) -> Vec<Decided> {
        std::mem::take(&mut *self.decided.lock())
    }

    fn note(&self, action: Action, branch: Option<&str>, decision: &Decision) {
        let mut decided = self.decided.lock();
        let known = |one: &Decided| one.action == action && one.branch.as_deref() == branch;
        if decided.len() >= DECIDED || decided.iter().any(known) {
            return;
        }
        decided.push(Decided {
            action,
            branch: branch.map(str::to_owned),
            allowed: decision.is_allowed(),
            rules: match decision {
                Decision::Allowed(rules) => rules.clone(),
                Decision::Denied => Vec::new(),
            },
        });
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The graph's name: `current_database()`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Is the branch one that the policy protects?
    pub fn is_protected(&self, branch: &BranchName) -> bool {
        self.guard.is_protected(branch.as_str())
    }

    /// May the actor do this? The one place where policy is asked.
    pub fn check(&self, action: Action, resource: Resource<'_>) -> Result<()> {
        let branch = resource.branch();
        let decision = self.guard.decide(Request {
            actor: self.actor.as_str(),
            action,
            branch,
        });
        self.note(action, branch, &decision);
        match decision {
            Decision::Allowed(rules) => {
                tracing::trace!(actor = %self.actor, %action, ?resource, ?rules, "allowed");
                Ok(())
            }
            Decision::Denied => {
                let on = match resource {
                    Resource::Graph => String::new(),
                    Resource::Reference(reference) => format!(" on \"{reference}\""),
                };
                Err(Error::Denied {
                    actor: format!("\"{}\"", self.actor),
                    action: action.to_string(),
                    on: format!("{on} of graph \"{}\"", self.name),
                })
            }
        }
    }

    /// The stored queries that the actor may call. To who may call none there are none.
    pub fn stored_queries(&self) -> Arc<StoredQueries> {
        let request = Request {
            actor: self.actor.as_str(),
            action: Action::InvokeQuery,
            branch: None,
        };
        match self.guard.decide(request).is_allowed() {
            true => Arc::clone(&self.published.0.read()),
            false => StoredQueries::none(),
        }
    }

    /// The state that a branch, commit or other reference names now.
    pub async fn snapshot(&self, reference: &str) -> Result<Snapshot> {
        self.snapshot_on(reference, &BranchName::main()).await
    }

    /// As [`Self::snapshot`]; a time is what `branch` showed then.
    pub async fn snapshot_on(&self, reference: &str, branch: &BranchName) -> Result<Snapshot> {
        let parsed = Reference::parse(reference)?;
        let read = match &parsed.base {
            Base::Name(name) | Base::Branch(name) => name.as_str(),
            Base::At(_) => branch.as_str(),
            Base::Tag(_) | Base::Commit(_) => reference,
        };
        self.check(Action::Read, Resource::Reference(read))?;
        let snapshot = self.graph.snapshot_on(reference, branch).await?;
        if let Base::Name(name) = &parsed.base
            && snapshot.branch() != name
        {
            // A tag, which is on no branch.
            let commit = snapshot.commit().to_string();
            self.check(Action::Read, Resource::Reference(&commit))?;
        }
        Ok(snapshot)
    }

    /// A transaction on a branch, by this actor whatever the options say.
    pub async fn begin(
        &self,
        branch: &BranchName,
        options: TransactionOptions,
    ) -> Result<Transaction> {
        self.check(Action::Read, Resource::Reference(branch.as_str()))?;
        let options = TransactionOptions {
            actor: self.actor.to_string(),
            ..options
        };
        self.graph.begin(branch, options).await
    }

    pub async fn branches(&self) -> Result<Vec<BranchInfo>> {
        self.check(Action::Read, Resource::Graph)?;
        self.graph.branches().await
    }

    pub async fn create_branch(&self, name: &BranchName, from: &Snapshot) -> Result<BranchInfo> {
        self.check(Action::Read, Resource::Reference(from.branch().as_str()))?;
        self.check(Action::BranchCreate, Resource::Reference(name.as_str()))?;
        self.graph
            .create_branch_at(name, from, self.actor.as_str())
            .await
    }

    pub async fn delete_branch(&self, name: &BranchName, cascade: bool) -> Result<()> {
        self.check(Action::BranchDelete, Resource::Reference(name.as_str()))?;
        self.graph
            .delete_branch(name, cascade, self.actor.as_str())
            .await
    }

    /// Merges what `source` names into a branch.
    pub async fn merge(
        &self,
        source: &str,
        target: &BranchName,
        message: Option<String>,
        on_conflict: OnConflict,
        delete_source: bool,
    ) -> Result<MergeSummary> {
        self.check(Action::Read, Resource::Reference(source))?;
        self.check(Action::BranchMerge, Resource::Reference(target.as_str()))?;
        if delete_source {
            self.check(Action::BranchDelete, Resource::Reference(source))?;
        }
        let options = MergeOptions {
            actor: self.actor.to_string(),
            message: CommitMessage {
                message,
                ..CommitMessage::default()
            },
            on_conflict,
            delete_source,
        };
        self.graph.merge(source, target, options).boxed().await
    }

    /// What would keep `source` from being merged into `target` now.
    pub async fn merge_conflicts(&self, source: &str, target: &str) -> Result<Vec<MergeConflict>> {
        for reference in [source, target] {
            self.check(Action::Read, Resource::Reference(reference))?;
        }
        self.graph.merge_conflicts(source, target).boxed().await
    }

    /// The steps from a state's schema to another one.
    pub fn plan_migration(&self, before: &Snapshot, source: &str) -> Result<Vec<SchemaChange>> {
        let branch = Resource::Reference(before.branch().as_str());
        self.check(Action::SchemaApply, branch)?;
        let (_, steps) = before.schema().evolve(source, &mut RandomIds)?;
        Ok(steps)
    }

    /// Gives a branch another schema, in one commit.
    pub async fn migrate(&self, branch: &BranchName, source: &str) -> Result<Migrated> {
        self.check(Action::SchemaApply, Resource::Reference(branch.as_str()))?;
        self.graph
            .migrate(branch, source, self.actor.as_str(), None)
            .await
    }

    /// The same for a text that was made of another schema, which the branch must still have.
    pub async fn migrate_over(
        &self,
        branch: &BranchName,
        made_of: &Schema,
        source: &str,
        message: Option<String>,
    ) -> Result<Migrated> {
        self.check(Action::SchemaApply, Resource::Reference(branch.as_str()))?;
        self.graph
            .migrate_over(branch, Some(made_of), source, self.actor.as_str(), message)
            .await
    }

    /// Two states as they are best compared.
    pub async fn comparable(&self, from: Snapshot, to: Snapshot) -> Result<(Snapshot, Snapshot)> {
        for state in [&from, &to] {
            self.check(Action::Read, Resource::Reference(state.branch().as_str()))?;
        }
        self.graph.comparable(from, to).boxed().await
    }

    /// What differs between two states in one type, a page at a time.
    pub fn diff(
        &self,
        from: &Snapshot,
        to: &Snapshot,
        of: TypeId,
    ) -> Result<BoxStream<'static, Result<TypeDiff>>> {
        for state in [from, to] {
            self.check(Action::Read, Resource::Reference(state.branch().as_str()))?;
        }
        Ok(diff::diff(from, to, of))
    }

    /// Loads a graph's rows from lines of JSON, in one commit.
    pub async fn load(
        &self,
        branch: &BranchName,
        mode: LoadMode,
        input: impl std::io::Read + Send + 'static,
        message: CommitMessage,
    ) -> Result<LoadSummary> {
        self.check(Action::Change, Resource::Reference(branch.as_str()))?;
        let options = LoadOptions {
            actor: self.actor.to_string(),
            message,
            progress: None,
        };
        load::load(&self.graph, branch, mode, input, options).await
    }

    /// The blobs that rows of the graph refer to. Whoever was given a reference could read the
    /// row.
    pub fn blobs(&self) -> &Arc<Blobs> {
        self.graph.blobs()
    }

    /// What became of a commit whose writer was not told.
    pub async fn commit_outcome(&self, id: CommitId) -> Result<CommitOutcome> {
        self.check(Action::Read, Resource::Reference(&id.to_string()))?;
        self.graph.commit_outcome(id).await
    }

    /// The commits that led to a state, newest first.
    pub async fn commits(
        &self,
        snapshot: &Snapshot,
        which: Ancestors,
    ) -> Result<BoxStream<'static, Result<CommitInfo>>> {
        self.check(
            Action::Read,
            Resource::Reference(snapshot.branch().as_str()),
        )?;
        self.graph.history(snapshot, which).await
    }

    /// How many commits a state has that another one lacks, and the other way round.
    pub async fn compare(&self, left: &Snapshot, right: &Snapshot) -> Result<(u64, u64)> {
        for state in [left, right] {
            self.check(Action::Read, Resource::Reference(state.branch().as_str()))?;
        }
        self.graph.compare(left, right).await
    }

    /// The steps of a state's branch since a cursor or commit.
    pub async fn changes(
        &self,
        snapshot: &Snapshot,
        since: Option<&str>,
    ) -> Result<BoxStream<'static, Result<Step>>> {
        self.check(
            Action::Read,
            Resource::Reference(snapshot.branch().as_str()),
        )?;
        self.graph.changes(snapshot, since).await
    }

    /// Where the changes of a state's branch go on from it.
    pub async fn cursor(&self, snapshot: &Snapshot) -> Result<Cursor> {
        self.check(
            Action::Read,
            Resource::Reference(snapshot.branch().as_str()),
        )?;
        self.graph.cursor(snapshot).await
    }

    pub async fn tags(&self) -> Result<Vec<TagInfo>> {
        self.check(Action::Read, Resource::Graph)?;
        self.graph.tags().await
    }

    pub async fn create_tag(
        &self,
        name: &BranchName,
        at: &Snapshot,
        message: Option<String>,
    ) -> Result<TagInfo> {
        self.check(Action::Read, Resource::Reference(at.branch().as_str()))?;
        self.check(Action::BranchCreate, Resource::Reference(name.as_str()))?;
        self.graph
            .create_tag(name, at, message, self.actor.as_str())
            .await
    }

    pub async fn delete_tag(&self, name: &BranchName) -> Result<TagInfo> {
        self.check(Action::BranchDelete, Resource::Reference(name.as_str()))?;
        self.graph.delete_tag(name, self.actor.as_str()).await
    }

    /// Rewrites what wastes space and removes what nothing needs.
    pub async fn vacuum(&self, options: VacuumOptions) -> Result<VacuumReport> {
        self.check(Action::Admin, Resource::Graph)?;
        let actor = self.actor.to_string();
        self.graph.vacuum(VacuumOptions { actor, ..options }).await
    }

    /// Takes back what one commit did, in a commit on `branch`.
    pub async fn revert(
        &self,
        branch: &BranchName,
        commit: CommitId,
    ) -> Result<Option<CommitInfo>> {
        self.check(Action::Change, Resource::Reference(branch.as_str()))?;
        self.graph.revert(branch, commit, self.actor.as_str()).await
    }

    /// Makes a branch show another state.
    pub async fn reset_branch(&self, branch: &BranchName, to: &Snapshot) -> Result<Snapshot> {
        self.check(Action::Read, Resource::Reference(to.branch().as_str()))?;
        self.check(Action::BranchMerge, Resource::Reference(branch.as_str()))?;
        self.graph
            .reset_branch(branch, to, self.actor.as_str())
            .await
    }
}
