//! A graph: its branches, its history, and the one door to everything in it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::blob::Blobs;
use crate::clock::{self, Environment};
use crate::commit::CommitInfo;
use crate::commit::ancestry::{self, Ancestors};
use crate::commit::log::{BranchLog, LogStore, Published, read_object};
use crate::commit::names::{NameLog, Names};
use crate::commit::publish::{BranchShared, describe};
use crate::commit::{common, history};
use crate::dataset::{Resources, TableVersion};
use crate::error::{Error, ObjectKind, Result};
use crate::format::{
    self, BranchState, Commit, CommitKind, EntryKind, GraphFile, Lineage, LogEntry, NameLine,
    RefOperation, TableLine,
};
use crate::names::{BranchName, CommitId};
use crate::refs::Reference;
use crate::schema::{IdSource, Schema, TypeDef, TypeId};
use crate::snapshot::{Snapshot, SnapshotState};
use crate::storage::{Created, Store, layout};
use crate::table::BaseTable;
use crate::write::transaction::{Transaction, TransactionOptions};

/// Opened tables that are kept for the next reader.
const KEPT_TABLES: u64 = 4096;
/// Schemas kept in memory; a graph rarely has more than a few alive.
const KEPT_SCHEMAS: u64 = 256;
/// Tries to write a name while others write names.
pub(crate) const NAME_ATTEMPTS: usize = 100;

/// A versioned, branchable property graph. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) shared: Arc<GraphShared>,
}

#[derive(Debug)]
pub(crate) struct GraphShared {
    pub id: String,
    pub store: Store,
    pub logs: Arc<LogStore>,
    pub names: Arc<NameLog>,
    pub resources: Arc<Resources>,
    pub environment: Arc<dyn Environment>,
    pub blobs: Arc<Blobs>,
    branches: Mutex<HashMap<String, Arc<BranchShared>>>,
    schemas: moka::sync::Cache<String, Arc<Schema>>,
    tables: moka::sync::Cache<(String, u64), Arc<BaseTable>>,
    writable: OnceCell<()>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct BranchInfo {
    pub name: BranchName,
    pub id: String,
    /// Never used again in this graph.
    pub ordinal: u64,
    pub head: CommitId,
    pub head_seq: u64,
    /// Microseconds since 1970.
    pub created_at: i64,
    pub created_by: String,
    /// The branch it was made from.
    pub created_from: Option<String>,
}

impl Graph {
    /// Makes a graph with an empty `main`. What tells that a graph exists is written last.
    pub async fn create(
        store: Store,
        schema_source: &str,
        actor: &str,
        resources: Arc<Resources>,
    ) -> Result<Graph> {
        Self::create_in(store, schema_source, actor, resources, clock::system()).await
    }

    pub async fn create_in(
        store: Store,
        schema_source: &str,
        actor: &str,
        resources: Arc<Resources>,
        environment: Arc<dyn Environment>,
    ) -> Result<Graph> {
        if store.exists(&layout::graph()).await? {
            return Err(already_there(&store));
        }
        let mut ids = FromEnvironment(&*environment);
        let schema = Arc::new(Schema::parse(schema_source, &mut ids)?);
        prove(&store, &*environment).await?;
        let graph_id = clock::unique(&*environment);
        let shared = Arc::new(GraphShared::new(
            graph_id.clone(),
            store.clone(),
            resources,
            environment.clone(),
        ));
        // The store was just proven.
        let _ = shared.writable.set(());
        shared.write_schema(&schema).await?;
        let first = clock::commit_id(&*environment);
        let mut tables = BTreeMap::new();
        for (id, version) in shared.create_tables(schema.types.clone()).await? {
            version.settle(None).await?;
            let shape = schema.by_id(id).map(|def| def.shape_digest().to_string());
            let line = TableLine {
                location: version.location().clone(),
                shape: shape.unwrap_or_default(),
                changed_by: first,
            };
            tables.insert(id, line);
        }
        let branch_id = clock::unique(&*environment);
        let now = environment.now();
        let commit = Commit {
            id: first,
            parents: Vec::new(),
            generation: 0,
            actor: actor.to_owned(),
            time: now,
            message: Some("create the graph".to_owned()),
            metadata: serde_json::Map::new(),
            idempotency_key: None,
            kind: CommitKind::Schema,
            schema: Some(schema.digest().to_owned()),
            inserted: 0,
            updated: 0,
            deleted: 0,
            tables: BTreeMap::new(),
            locked: BTreeMap::new(),
            dropped: Vec::new(),
        };
        let state = BranchState {
            head: commit.id,
            generation: 0,
            lineage: Lineage::default(),
            schema: schema.digest().to_owned(),
            tables,
            locked_at: None,
        };
        let pointer = format::encode(&format::CommitPointer {
            branch: branch_id.clone(),
            seq: 0,
            restated: None,
        })?;
        store.write(&layout::commit(commit.id), pointer).await?;
        let kind = EntryKind::Commits {
            commits: vec![commit],
        };
        let entry = shared.entry(0, now, actor, kind, Some(state));
        shared.first_entry(&branch_id, entry).await?;
        let names = shared.names.refresh().await?;
        let line = NameLine {
            branch: branch_id,
            ordinal: 0,
            created_at: now,
            created_by: actor.to_owned(),
            from: None,
            from_name: None,
        };
        shared
            .write_name(&names, BranchName::MAIN, line, actor)
            .await?;
        let file = format::encode(&GraphFile {
            id: graph_id,
            created_at: now,
            created_by: actor.to_owned(),
        })?;
        if store.create(&layout::graph(), file.clone()).await? == Created::Exists
            && store.read(&layout::graph()).await? != Some(file)
        {
            return Err(already_there(&store));
        }
        Ok(Graph { shared })
    }

    pub async fn open(store: Store, resources: Arc<Resources>) -> Result<Graph> {
        Self::open_in(store, resources, clock::system()).await
    }

    pub async fn open_in(
        store: Store,
        resources: Arc<Resources>,
        environment: Arc<dyn Environment>,
    ) -> Result<Graph> {
        let file: GraphFile = read_object(&store, &layout::graph())
            .await?
            .ok_or_else(|| Error::not_found(ObjectKind::Graph, store.url()))?;
        let shared = Arc::new(GraphShared::new(file.id, store, resources, environment));
        let graph = Graph { shared };
        // A graph that cannot be read is found out now, not by the first query.
        graph.snapshot(BranchName::MAIN).await?;
        Ok(graph)
    }

    pub fn id(&self) -> &str {
        &self.shared.id
    }

    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    pub fn resources(&self) -> &Arc<Resources> {
        &self.shared.resources
    }

    pub fn environment(&self) -> &Arc<dyn Environment> {
        &self.shared.environment
    }

    pub fn blobs(&self) -> &Arc<Blobs> {
        &self.shared.blobs
    }

    /// All branches, by name.
    pub async fn branches(&self) -> Result<Vec<BranchInfo>> {
        let names = self.shared.names.refresh().await?;
        let mut branches = Vec::with_capacity(names.all.branches.len());
        for (name, line) in names.all.branches.iter() {
            let branch = self.shared.branch_of(name, line)?;
            match branch.head_state().await {
                Ok(state) => branches.push(info(&branch, line, &state)),
                // Its tombstone is there and its name is about to go.
                Err(Error::BranchDeleted { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(branches)
    }

    pub async fn branch(&self, name: &BranchName) -> Result<BranchInfo> {
        let (branch, state) = self.shared.resolve(name, false).await?;
        let names = self.shared.names.known();
        let line = names
            .and_then(|names| names.all.branches.get(name.as_str()).cloned())
            .ok_or_else(|| Error::not_found(ObjectKind::Branch, name.as_str()))?;
        Ok(info(&branch, &line, &state))
    }

    /// What entries of a branch's log published: commits, and states that it came to show.
    pub async fn published(
        &self,
        branch: &BranchInfo,
        entries: std::ops::RangeInclusive<u64>,
    ) -> Result<Vec<CommitInfo>> {
        ancestry::published(&self.shared, &branch.id, branch.name.as_str(), entries).await
    }

    /// A branch at the state `from` names, at a cost that does not depend on the graph's size.
    pub async fn create_branch(
        &self,
        name: &BranchName,
        from: &str,
        actor: &str,
    ) -> Result<BranchInfo> {
        let source = self.snapshot(from).await?;
        self.create_branch_at(name, &source, actor).await
    }

    pub async fn create_branch_at(
        &self,
        name: &BranchName,
        source: &Snapshot,
        actor: &str,
    ) -> Result<BranchInfo> {
        let shared = &self.shared;
        shared.prove_writable().await?;
        let mut names = shared.names_for(name, actor).await?;
        if names.is_taken(name.as_str()) {
            return Err(exists(&names, name));
        }
        let junction = shared.junction(&source.state).await?;
        let fork = junction.from.clone();
        let now = shared.environment.now().max(source.state.time + 1);
        let branch_id = clock::unique(&*shared.environment);
        let mut state = describe(&source.state);
        state.lineage = source.state.lineage.line_at(0, source.state.lineage.fence);
        state.locked_at = None;
        let entry = shared.entry(0, now, actor, EntryKind::Fork(junction), Some(state));
        shared.first_entry(&branch_id, entry).await?;
        for _ in 0..NAME_ATTEMPTS {
            if names.is_taken(name.as_str()) {
                return Err(exists(&names, name));
            }
            shared.check_kept_by(&names, &source.state)?;
            let line = NameLine {
                branch: branch_id.clone(),
                ordinal: names.next(),
                created_at: now,
                created_by: actor.to_owned(),
                from: Some(fork.clone()),
                from_name: Some(source.state.branch.to_string()),
            };
            if shared
                .write_name(&names, name.as_str(), line.clone(), actor)
                .await?
            {
                let branch = shared.branch_of(name.as_str(), &line)?;
                let state = branch.head_state().await?;
                return Ok(info(&branch, &line, &state));
            }
            names = shared.names_for(name, actor).await?;
        }
        Err(busy(name))
    }

    /// Ends a branch. Without `cascade` a branch with commits that are nowhere else stays.
    pub async fn delete_branch(&self, name: &BranchName, cascade: bool, actor: &str) -> Result<()> {
        let shared = &self.shared;
        if name.as_str() == BranchName::MAIN {
            return Err(Error::Unsupported {
                message: "branch \"main\" cannot be deleted".to_owned(),
                hint: None,
            });
        }
        shared.prove_writable().await?;
        let names = shared.names.refresh().await?;
        let Some(line) = names.all.branches.get(name.as_str()).cloned() else {
            return Err(Error::not_found(ObjectKind::Branch, name.as_str()));
        };
        let branch = shared.branch_of(name.as_str(), &line)?;
        // The tombstone goes exactly behind the head that was looked at. Whose it is has deleted
        // the branch; anybody may take the name away after that.
        for _ in 0..NAME_ATTEMPTS {
            let state = match branch.head_state().await {
                Ok(state) => state,
                Err(Error::BranchDeleted { .. }) => {
                    shared.names_for(name, actor).await?;
                    return Err(Error::not_found(ObjectKind::Branch, name.as_str()));
                }
                Err(error) => return Err(error),
            };
            if !cascade && self.is_unmerged(&line, &state).await? {
                return Err(Error::Unmerged {
                    name: name.to_string(),
                });
            }
            if branch.end(state.place(), actor).await? {
                shared.names_for(name, actor).await?;
                return Ok(());
            }
        }
        Err(busy(name))
    }

    /// Does the branch hold commits that `main` does not?
    async fn is_unmerged(&self, line: &NameLine, state: &SnapshotState) -> Result<bool> {
        if line
            .from
            .as_ref()
            .is_some_and(|from| from.commit == state.commit)
        {
            return Ok(false);
        }
        let main = self.snapshot(BranchName::MAIN).await?;
        let branch = self.shared.point_of(state).await?;
        let main = self.shared.point_of(&main.state).await?;
        let (ahead, _) = common::apart(&self.shared, branch, main).await?;
        Ok(ahead > 0)
    }

    /// What `reference` names; a time is what `main` showed. See [`Reference`].
    pub async fn snapshot(&self, reference: &str) -> Result<Snapshot> {
        self.snapshot_on(reference, &BranchName::main()).await
    }

    /// What `reference` names; a time is what the branch showed then. A branch is read as it
    /// is now.
    pub async fn snapshot_on(&self, reference: &str, branch: &BranchName) -> Result<Snapshot> {
        let reference = Reference::parse(reference)?;
        self.shared.snapshot_of(&reference, branch).await
    }

    pub async fn begin(
        &self,
        branch: &BranchName,
        options: TransactionOptions,
    ) -> Result<Transaction> {
        let (branch, state) = self.shared.resolve(branch, options.optimistic).await?;
        self.shared.logs.check_writable()?;
        Ok(Transaction::new(branch, state, options))
    }

    /// The commits that led to `reference`, newest first: each before its parents.
    pub fn commits(
        &self,
        reference: &str,
        which: Ancestors,
    ) -> BoxStream<'static, Result<CommitInfo>> {
        let (graph, reference) = (self.clone(), reference.to_owned());
        futures::stream::once(async move {
            let snapshot = graph.snapshot(&reference).await?;
            graph.history(&snapshot, which).await
        })
        .try_flatten()
        .boxed()
    }

    /// How many commits a state has that another one lacks, and the other way round.
    pub async fn compare(&self, left: &Snapshot, right: &Snapshot) -> Result<(u64, u64)> {
        let left = self.shared.point_of(&left.state).await?;
        let right = self.shared.point_of(&right.state).await?;
        common::apart(&self.shared, left, right).await
    }

    /// The commits that lead to a state, newest first, and between them the entries of its
    /// branch that made none.
    pub async fn history(
        &self,
        snapshot: &Snapshot,
        which: Ancestors,
    ) -> Result<BoxStream<'static, Result<CommitInfo>>> {
        let from = self.shared.point_of(&snapshot.state).await?;
        Ok(ancestry::walk(self.shared.clone(), from, which))
    }
}

impl GraphShared {
    pub fn new(
        id: String,
        store: Store,
        resources: Arc<Resources>,
        environment: Arc<dyn Environment>,
    ) -> Self {
        GraphShared {
            names: Arc::new(NameLog::new(store.clone(), environment.clone(), id.clone())),
            logs: Arc::new(LogStore::new(store.clone(), environment.clone())),
            blobs: Arc::new(Blobs::new(store.clone(), environment.clone())),
            id,
            store,
            resources,
            environment,
            branches: Mutex::default(),
            schemas: moka::sync::Cache::new(KEPT_SCHEMAS),
            tables: moka::sync::Cache::new(KEPT_TABLES),
            writable: OnceCell::new(),
        }
    }

    /// Refuses to name a state that vacuum may have given up.
    pub async fn check_kept(&self, state: &SnapshotState) -> Result<()> {
        self.check_kept_by(&self.names.refresh().await?, state)
    }

    /// As [`Self::check_kept`], for a name that is to follow `names`: a fence that comes
    /// between makes the writer look again.
    pub fn check_kept_by(&self, names: &Names, state: &SnapshotState) -> Result<()> {
        match names.keeps(&state.branch_id, state.seq) {
            true => Ok(()),
            false => Err(history::expired(state.commit)),
        }
    }

    /// Before its first write a process proves that it may.
    pub async fn prove_writable(&self) -> Result<()> {
        self.logs.check_writable()?;
        self.writable
            .get_or_try_init(|| prove(&self.store, &*self.environment))
            .await?;
        Ok(())
    }

    /// A branch by name, with its state. `known`: as this process last saw it.
    pub async fn resolve(
        self: &Arc<Self>,
        name: &BranchName,
        known: bool,
    ) -> Result<(Arc<BranchShared>, Arc<SnapshotState>)> {
        let mut names = self.names.known();
        let mut fresh = false;
        loop {
            let line = names
                .as_ref()
                .and_then(|names| names.all.branches.get(name.as_str()).cloned());
            if let Some(line) = line {
                let branch = self.branch_of(name.as_str(), &line)?;
                let state = if known {
                    branch.known_state().await
                } else {
                    branch.head_state().await
                };
                match state {
                    Ok(state) => return Ok((branch, state)),
                    // The name may stand for another branch by now.
                    Err(Error::BranchDeleted { .. }) => {
                        self.branches.lock().remove(&line.branch);
                    }
                    Err(error) => return Err(error),
                }
            }
            if fresh {
                return Err(Error::not_found(ObjectKind::Branch, name.as_str()));
            }
            names = Some(self.names.refresh().await?);
            fresh = true;
        }
    }

    /// The names, in which `name` is free or stands for something that lives. Whoever was cut
    /// off while deleting a branch has left its name behind.
    pub async fn names_for(self: &Arc<Self>, name: &BranchName, actor: &str) -> Result<Names> {
        for _ in 0..NAME_ATTEMPTS {
            let names = self.names.refresh().await?;
            let Some(line) = names.all.branches.get(name.as_str()) else {
                return Ok(names);
            };
            match self.branch_of(name.as_str(), line)?.head_state().await {
                Ok(_) => return Ok(names),
                Err(Error::BranchDeleted { .. }) => {}
                Err(error) => return Err(error),
            }
            self.remove_name(&names, name.as_str(), actor).await?;
            self.branches.lock().remove(&line.branch);
        }
        Err(busy(name))
    }

    pub fn branch_of(self: &Arc<Self>, name: &str, line: &NameLine) -> Result<Arc<BranchShared>> {
        let name = BranchName::parse(name)?;
        let mut branches = self.branches.lock();
        Ok(branches
            .entry(line.branch.clone())
            .or_insert_with(|| {
                let log = BranchLog::new(self.logs.clone(), line.branch.clone());
                BranchShared::new(name, line.ordinal, log, self.clone())
            })
            .clone())
    }

    /// A branch's name, or its id once the branch is gone.
    pub fn branch_label(&self, branch_id: &str) -> String {
        self.line_of(branch_id)
            .map_or_else(|| branch_id.to_owned(), |(name, _)| name)
    }

    /// A branch's name, if it has one.
    pub fn name_of(&self, branch_id: &str) -> Option<BranchName> {
        let (name, _) = self.line_of(branch_id)?;
        BranchName::parse(&name).ok()
    }

    pub fn ordinal_of(&self, branch_id: &str) -> u64 {
        self.line_of(branch_id).map_or(0, |(_, line)| line.ordinal)
    }

    fn line_of(&self, branch_id: &str) -> Option<(String, NameLine)> {
        let names = self.names.known()?;
        names
            .all
            .branches
            .iter()
            .find(|(_, line)| line.branch == branch_id)
            .map(|(name, line)| (name.clone(), line.clone()))
    }

    pub async fn state(
        self: &Arc<Self>,
        branch: &BranchShared,
        state: &BranchState,
        seq: u64,
        time: i64,
    ) -> Result<Arc<SnapshotState>> {
        self.assemble(
            &branch.name,
            &branch.log.branch_id,
            branch.ordinal,
            state,
            seq,
            time,
        )
        .await
        .map(Arc::new)
    }

    pub async fn assemble(
        &self,
        name: &BranchName,
        branch_id: &str,
        ordinal: u64,
        state: &BranchState,
        seq: u64,
        time: i64,
    ) -> Result<SnapshotState> {
        let schema = self.schema(&state.schema).await?;
        let tables = state
            .tables
            .iter()
            .map(|(id, line)| {
                let location = &line.location;
                let key = (location.dir.clone(), location.version);
                let table = self.tables.get_with(key, || {
                    Arc::new(BaseTable::new(
                        self.resources.clone(),
                        self.store.clone(),
                        location.clone(),
                        line.changed_by,
                    ))
                });
                (*id, table)
            })
            .collect();
        Ok(SnapshotState {
            branch: name.clone(),
            branch_id: branch_id.to_owned(),
            branch_ordinal: ordinal,
            seq,
            commit: state.head,
            generation: state.generation,
            lineage: state.lineage.clone(),
            time,
            schema,
            tables,
            locked_at: state.locked_at,
            environment: self.environment.clone(),
            names: self.names.clone(),
            blobs: self.blobs.clone(),
        })
    }

    async fn schema(&self, digest: &str) -> Result<Arc<Schema>> {
        if let Some(schema) = self.schemas.get(digest) {
            return Ok(schema);
        }
        let key = layout::schema(digest);
        let bytes = self.store.read(&key).await?.ok_or_else(|| Error::Corrupt {
            object: key.clone(),
            message: "it is missing".to_owned(),
        })?;
        let schema = Arc::new(Schema::decode(&bytes)?);
        if schema.digest() != digest {
            return Err(Error::Corrupt {
                object: key,
                message: "its content does not fit its name".to_owned(),
            });
        }
        self.schemas.insert(digest.to_owned(), schema.clone());
        Ok(schema)
    }

    pub async fn write_schema(&self, schema: &Arc<Schema>) -> Result<()> {
        self.store
            .write(&layout::schema(schema.digest()), schema.encode().into())
            .await?;
        self.schemas
            .insert(schema.digest().to_owned(), schema.clone());
        Ok(())
    }

    /// Empty tables, each in a directory of its own.
    pub async fn create_tables(
        &self,
        types: Vec<Arc<TypeDef>>,
    ) -> Result<BTreeMap<TypeId, TableVersion>> {
        futures::stream::iter(types)
            .map(|def| async move {
                let unique = clock::unique(&*self.environment);
                let dir = layout::table(def.is_edge(), &def.name, &unique);
                let version =
                    TableVersion::create(&self.resources, &self.store, &dir, def.arrow_schema())
                        .await?;
                Ok::<_, Error>((def.id, version))
            })
            .buffer_unordered(16)
            .try_collect()
            .await
    }

    async fn first_entry(&self, branch_id: &str, entry: LogEntry) -> Result<()> {
        match self.logs.fill(branch_id, entry).await? {
            Published::Ours(_) => Ok(()),
            Published::Theirs(_) => Err(Error::internal("a new branch's log was not empty")),
        }
    }

    /// False: somebody else wrote a name first.
    async fn write_name(
        &self,
        names: &Names,
        name: &str,
        line: NameLine,
        actor: &str,
    ) -> Result<bool> {
        let operation = RefOperation::Create {
            name: name.to_owned(),
            line,
        };
        self.change_names(names, operation, actor).await
    }

    async fn remove_name(&self, names: &Names, name: &str, actor: &str) -> Result<bool> {
        let operation = RefOperation::Delete {
            name: name.to_owned(),
        };
        self.change_names(names, operation, actor).await
    }

    pub async fn change_names(
        &self,
        names: &Names,
        operation: RefOperation,
        actor: &str,
    ) -> Result<bool> {
        let nonce = clock::unique(&*self.environment);
        let now = self.environment.now();
        let after = self
            .names
            .publish(names, operation, nonce, now, actor)
            .await?;
        Ok(after.is_some())
    }
}

/// Proves that the store keeps put-if-absent and that its clock agrees with ours.
async fn prove(store: &Store, environment: &dyn Environment) -> Result<()> {
    let before = environment.now();
    let stored = store.prove_create(&clock::unique(environment)).await?;
    match stored {
        Some(stored) if environment.tells_time() => {
            clock::check((before, environment.now()), stored)
        }
        _ => Ok(()),
    }
}

/// Random identities for types and properties.
pub(crate) struct FromEnvironment<'a>(pub &'a dyn Environment);

impl IdSource for FromEnvironment<'_> {
    fn next_id(&mut self) -> u64 {
        self.0.random() as u64
    }
}

fn info(branch: &BranchShared, line: &NameLine, state: &SnapshotState) -> BranchInfo {
    BranchInfo {
        name: branch.name.clone(),
        id: line.branch.clone(),
        ordinal: line.ordinal,
        head: state.commit,
        head_seq: state.seq,
        created_at: line.created_at,
        created_by: line.created_by.clone(),
        created_from: line.from_name.clone(),
    }
}

/// Branches and tags share one name space.
pub(crate) fn exists(names: &Names, name: &BranchName) -> Error {
    let kind = match names.all.tags.contains_key(name.as_str()) {
        true => ObjectKind::Tag,
        false => ObjectKind::Branch,
    };
    Error::AlreadyExists {
        kind,
        name: name.to_string(),
    }
}

fn already_there(store: &Store) -> Error {
    Error::AlreadyExists {
        kind: ObjectKind::Graph,
        name: store.url().to_owned(),
    }
}

pub(crate) fn busy(name: &BranchName) -> Error {
    Error::Conflict {
        table: String::new(),
        id: name.to_string(),
        branch: name.to_string(),
        expected: "a turn to write a name".to_owned(),
        actual: "other processes wrote names all the time".to_owned(),
    }
}
