//! Which graphs a server has, and what one actor may do with one of them.
//!
//! [`GraphAccess`] is the single place that asks whether something is allowed: whatever reads
//! or changes a graph for somebody goes through its methods, and each begins with
//! [`GraphAccess::check`]. A server over a plain store has no policy, so an actor who proved
//! who they are may do everything there.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::StreamExt;
use futures::stream::BoxStream;
use omnigraph_engine::commit::ancestry::Ancestors;
use omnigraph_engine::dataset::Resources;
use omnigraph_engine::diff::{self, TypeDiff};
use omnigraph_engine::error::ObjectKind;
use omnigraph_engine::feed::{Cursor, Step};
use omnigraph_engine::load::{self, LoadMode, LoadOptions, LoadSummary};
use omnigraph_engine::merge::{MergeConflict, MergeOptions, MergeSummary, OnConflict};
use omnigraph_engine::names::{BranchName, CommitId};
use omnigraph_engine::schema::TypeId;
use omnigraph_engine::storage::Store;
use omnigraph_engine::{
    BranchInfo, CommitInfo, CommitMessage, Error, Graph, Result, Snapshot, TagInfo, Transaction,
    TransactionOptions, VacuumOptions, VacuumReport,
};
use parking_lot::RwLock;

use crate::actor::Actor;

/// The database that is the server itself: it has no graph.
pub const SERVER_DATABASE: &str = "postgres";
/// Where the graphs of a store are, and how their folders end.
const GRAPHS: &str = "graphs";
const SUFFIX: &str = ".omni";
/// How many graphs are opened at the same time.
const OPENING: usize = 8;
/// How many graphs one server takes on.
const GRAPH_LIMIT: usize = 10_000;

/// Every graph of a store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Databases {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    resources: Arc<Resources>,
    graphs: RwLock<BTreeMap<String, State>>,
}

/// Is a graph served?
#[derive(Debug, Clone)]
pub enum State {
    Serving(Graph),
    /// It could not be opened; the others are served.
    Quarantined(Error),
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
        let opened: BTreeMap<String, State> = futures::stream::iter(names)
            .map(|name| {
                let (root, resources) = (
                    folder.child(&format!("{name}{SUFFIX}")),
                    Arc::clone(&resources),
                );
                async move {
                    let state = match Graph::open(root, resources).await {
                        Ok(graph) => State::Serving(graph),
                        Err(error) => State::Quarantined(error),
                    };
                    (name, state)
                }
            })
            .buffer_unordered(OPENING)
            .collect()
            .await;
        for (name, state) in &opened {
            match state {
                State::Serving(_) => tracing::info!(graph = name, "serving"),
                State::Quarantined(error) => {
                    tracing::error!(graph = name, %error, "cannot be opened and is not served");
                }
            }
        }
        Ok(Databases {
            shared: Arc::new(Shared {
                store,
                resources,
                graphs: RwLock::new(opened),
            }),
        })
    }

    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// All graphs by name, quarantined ones included.
    pub fn list(&self) -> Vec<(String, State)> {
        self.shared
            .graphs
            .read()
            .iter()
            .map(|(name, state)| (name.clone(), state.clone()))
            .collect()
    }

    /// A graph by name. One that was quarantined, or is not known, is tried again: it may have
    /// been made or repaired since.
    pub async fn graph(&self, name: &str) -> Result<Graph> {
        if let Some(State::Serving(graph)) = self.shared.graphs.read().get(name) {
            return Ok(graph.clone());
        }
        let missing = || Error::not_found(ObjectKind::Graph, name);
        if name.is_empty()
            || name.contains(['/', '\\'])
            || name.starts_with('.')
            || name == SERVER_DATABASE
        {
            return Err(missing());
        }
        let root = self
            .shared
            .store
            .child(GRAPHS)
            .child(&format!("{name}{SUFFIX}"));
        match Graph::open(root, Arc::clone(&self.shared.resources)).await {
            Ok(graph) => {
                let mut graphs = self.shared.graphs.write();
                // Somebody may have been quicker; there is one `Graph` for each graph.
                if let Some(State::Serving(first)) = graphs.get(name) {
                    return Ok(first.clone());
                }
                graphs.insert(name.to_owned(), State::Serving(graph.clone()));
                Ok(graph)
            }
            Err(Error::NotFound { .. }) => Err(missing()),
            Err(error) => {
                self.shared
                    .graphs
                    .write()
                    .insert(name.to_owned(), State::Quarantined(error.clone()));
                Err(error)
            }
        }
    }
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Read,
    Write,
    BranchCreate,
    BranchDelete,
    BranchMerge,
    BranchReset,
    TagCreate,
    TagDelete,
    Maintain,
    History,
}

/// What they want to do it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource<'a> {
    Graph,
    /// A branch, commit or other name of a state.
    Reference(&'a str),
}

/// One graph as one actor may see and change it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GraphAccess {
    graph: Graph,
    name: Arc<str>,
    actor: Actor,
}

impl GraphAccess {
    pub fn new(graph: Graph, name: &str, actor: Actor) -> Self {
        GraphAccess {
            graph,
            name: name.into(),
            actor,
        }
    }

    /// The graph's name: `current_database()`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// May the actor do this? The seam of policy; without one, yes.
    pub fn check(&self, action: Action, resource: Resource<'_>) -> Result<()> {
        tracing::trace!(actor = %self.actor, ?action, ?resource, "allowed: no policy");
        Ok(())
    }

    /// The state that a branch, commit or other reference names now.
    pub async fn snapshot(&self, reference: &str) -> Result<Snapshot> {
        self.snapshot_on(reference, &BranchName::main()).await
    }

    /// As [`Self::snapshot`]; a time is what `branch` showed then.
    pub async fn snapshot_on(&self, reference: &str, branch: &BranchName) -> Result<Snapshot> {
        self.check(Action::Read, Resource::Reference(reference))?;
        self.graph.snapshot_on(reference, branch).await
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

    /// What differs between two states in one type, a page at a time.
    pub fn diff(
        &self,
        from: &Snapshot,
        to: &Snapshot,
        of: TypeId,
    ) -> Result<BoxStream<'static, Result<TypeDiff>>> {
        for state in [from, to] {
            self.check(
                Action::History,
                Resource::Reference(state.branch().as_str()),
            )?;
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
        self.check(Action::Write, Resource::Reference(branch.as_str()))?;
        let options = LoadOptions {
            actor: self.actor.to_string(),
            message,
            progress: None,
        };
        load::load(&self.graph, branch, mode, input, options).await
    }

    /// The commits that led to a state, newest first.
    pub async fn commits(
        &self,
        snapshot: &Snapshot,
        which: Ancestors,
    ) -> Result<BoxStream<'static, Result<CommitInfo>>> {
        self.check(
            Action::History,
            Resource::Reference(snapshot.branch().as_str()),
        )?;
        self.graph.history(snapshot, which).await
    }

    /// How many commits a state has that another one lacks, and the other way round.
    pub async fn compare(&self, left: &Snapshot, right: &Snapshot) -> Result<(u64, u64)> {
        for state in [left, right] {
            self.check(
                Action::History,
                Resource::Reference(state.branch().as_str()),
            )?;
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
            Action::History,
            Resource::Reference(snapshot.branch().as_str()),
        )?;
        self.graph.changes(snapshot, since).await
    }

    /// Where the changes of a state's branch go on from it.
    pub async fn cursor(&self, snapshot: &Snapshot) -> Result<Cursor> {
        self.check(
            Action::History,
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
        self.check(Action::TagCreate, Resource::Reference(name.as_str()))?;
        self.graph
            .create_tag(name, at, message, self.actor.as_str())
            .await
    }

    pub async fn delete_tag(&self, name: &BranchName) -> Result<TagInfo> {
        self.check(Action::TagDelete, Resource::Reference(name.as_str()))?;
        self.graph.delete_tag(name, self.actor.as_str()).await
    }

    /// Rewrites what wastes space and removes what nothing needs.
    pub async fn vacuum(&self, options: VacuumOptions) -> Result<VacuumReport> {
        self.check(Action::Maintain, Resource::Graph)?;
        let actor = self.actor.to_string();
        self.graph.vacuum(VacuumOptions { actor, ..options }).await
    }

    /// Takes back what one commit did, in a commit on `branch`.
    pub async fn revert(
        &self,
        branch: &BranchName,
        commit: CommitId,
    ) -> Result<Option<CommitInfo>> {
        self.check(Action::Write, Resource::Reference(branch.as_str()))?;
        self.graph.revert(branch, commit, self.actor.as_str()).await
    }

    /// Makes a branch show another state.
    pub async fn reset_branch(&self, branch: &BranchName, to: &Snapshot) -> Result<Snapshot> {
        self.check(Action::Read, Resource::Reference(to.branch().as_str()))?;
        self.check(Action::BranchReset, Resource::Reference(branch.as_str()))?;
        self.graph
            .reset_branch(branch, to, self.actor.as_str())
            .await
    }
}
