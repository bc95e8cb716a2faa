//! What all sessions of a server have in common.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use omnigraph_catalog::access::{Action, Databases, GraphAccess, Resource};
use omnigraph_catalog::actor::Actor;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::Schema;
use omnigraph_engine::{Graph, Snapshot};
use parking_lot::{Mutex, RwLock};

use super::catalogs::CatalogStates;
use super::locks::Locks;
use super::notify::Channels;
use super::protocol::SessionHandle;
use super::watch::Watch;
use crate::error::PgResult;
use crate::execute::{Executor, Limits};
use crate::plan::{Functions, PlanCache};

#[derive(Debug)]
pub struct Shared {
    pub databases: Databases,
    pub executor: Executor,
    pub channels: Arc<Channels>,
    pub plans: PlanCache,
    pub locks: Locks,
    pub functions: Functions,
    pub facts: Facts,
    graphs: Mutex<HashMap<String, Arc<GraphShared>>>,
    sessions: Mutex<BTreeMap<i32, Activity>>,
    transactions: AtomicI64,
}

/// What the server was started with, as SHOW tells it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// `fsync` or `none`.
    pub durability: String,
    pub port: u16,
    pub tls: bool,
    pub max_connections: usize,
    /// Who may connect, by name: `pg_roles`.
    pub actors: Vec<String>,
}

/// One row of `pg_stat_activity`.
#[derive(Debug, Clone)]
pub struct Activity {
    pub database: Arc<str>,
    pub actor: Actor,
    pub handle: SessionHandle,
    /// Microseconds since 1970.
    pub started_at: i64,
    pub tls: bool,
    pub doing: Arc<Mutex<Doing>>,
}

/// What a session is doing, or did last.
#[derive(Debug, Clone, Default)]
pub struct Doing {
    pub state: &'static str,
    pub query: String,
    pub application: String,
    /// Microseconds since 1970.
    pub query_start: Option<i64>,
    pub transaction_start: Option<i64>,
    pub changed_at: Option<i64>,
}

impl Shared {
    pub fn new(databases: Databases, limits: &Limits, facts: Facts) -> PgResult<Arc<Self>> {
        Ok(Arc::new(Shared {
            databases,
            executor: Executor::new(limits)?,
            channels: Arc::default(),
            plans: PlanCache::default(),
            locks: Locks::default(),
            functions: Functions::new(omnigraph_udfs::register()),
            facts,
            graphs: Mutex::default(),
            sessions: Mutex::default(),
            // Numbers go on where those of an earlier start of the server cannot have come.
            transactions: AtomicI64::new(now() / 1_000),
        }))
    }

    /// What is known of a graph; one for all its sessions.
    pub fn graph(&self, name: &str, graph: &Graph) -> Arc<GraphShared> {
        let mut graphs = self.graphs.lock();
        let shared = graphs
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(GraphShared::new(name, graph.clone())));
        // The name may stand for another graph by now.
        if shared.graph.id() != graph.id() {
            *shared = Arc::new(GraphShared::new(name, graph.clone()));
        }
        Arc::clone(shared)
    }

    /// The number of a transaction that asks for one.
    pub fn next_transaction(&self) -> i64 {
        self.transactions.fetch_add(1, Ordering::Relaxed)
    }

    /// The number that [`Self::next_transaction`] will give next.
    pub fn peek_transaction(&self) -> i64 {
        self.transactions.load(Ordering::Relaxed)
    }

    pub fn enter(&self, pid: i32, activity: Activity) {
        self.sessions.lock().insert(pid, activity);
    }

    pub fn leave(&self, pid: i32) {
        self.sessions.lock().remove(&pid);
    }

    pub fn session(&self, pid: i32) -> Option<Activity> {
        self.sessions.lock().get(&pid).cloned()
    }

    pub fn sessions(&self) -> Vec<(i32, Activity)> {
        self.sessions
            .lock()
            .iter()
            .map(|(pid, activity)| (*pid, activity.clone()))
            .collect()
    }
}

/// What sessions remember of a graph between statements. None of it is trusted for an answer:
/// it saves asking the store while names are resolved, and every execution looks at the head
/// itself.
#[derive(Debug)]
pub struct GraphShared {
    pub name: Arc<str>,
    pub graph: Graph,
    /// The newest schema seen of each branch, and of each part of one that actors see.
    schemas: RwLock<HashMap<(BranchName, String), Seen>>,
    /// By branch: autocommit writers hold theirs shared, one that has lost too often alone.
    turns: Mutex<HashMap<String, Arc<tokio::sync::RwLock<()>>>>,
    pub catalogs: CatalogStates,
    pub watch: Arc<Watch>,
}

#[derive(Debug, Clone)]
pub struct Seen {
    pub ordinal: u64,
    pub schema: Arc<Schema>,
}

/// Microseconds since 1970, UTC.
pub fn now() -> i64 {
    chrono::Utc::now().timestamp_micros()
}

/// How many branches are remembered.
const BRANCHES: usize = 10_000;

impl GraphShared {
    fn new(name: &str, graph: Graph) -> Self {
        GraphShared {
            name: name.into(),
            graph,
            schemas: RwLock::default(),
            turns: Mutex::default(),
            catalogs: CatalogStates::default(),
            watch: Arc::default(),
        }
    }

    /// Where autocommit writers of a branch take turns.
    pub fn turns(&self, branch: &str) -> Arc<tokio::sync::RwLock<()>> {
        let mut turns = self.turns.lock();
        if turns.len() >= BRANCHES {
            turns.clear();
        }
        Arc::clone(turns.entry(branch.to_owned()).or_default())
    }

    /// Remembers what a fresh snapshot shows.
    pub fn saw(&self, snapshot: &Snapshot) {
        if snapshot.is_private() {
            return;
        }
        let part = snapshot.restriction().unwrap_or_default().to_owned();
        let key = (snapshot.branch().clone(), part);
        let known = self.schemas.read().get(&key).is_some_and(|seen| {
            Arc::ptr_eq(&seen.schema, snapshot.schema())
                && seen.ordinal == snapshot.branch_ordinal()
        });
        if known {
            return;
        }
        let mut schemas = self.schemas.write();
        if schemas.len() >= BRANCHES {
            schemas.clear();
        }
        schemas.insert(
            key,
            Seen {
                ordinal: snapshot.branch_ordinal(),
                schema: Arc::clone(snapshot.schema()),
            },
        );
    }

    /// The branch as whoever has this access last saw it.
    pub fn seen(&self, access: &GraphAccess, branch: &BranchName) -> Option<Seen> {
        let key = (branch.clone(), access.shown(branch));
        self.schemas.read().get(&key).cloned()
    }

    /// Has anybody seen the branch?
    pub fn knows(&self, branch: &BranchName) -> bool {
        self.schemas.read().keys().any(|(known, _)| known == branch)
    }

    pub fn forget(&self, branch: &BranchName) {
        self.schemas.write().retain(|(known, _), _| known != branch);
    }

    /// The branch as it was last seen; asks the store if it never was.
    pub async fn branch(&self, access: &GraphAccess, branch: &BranchName) -> PgResult<Seen> {
        access.check_part(Action::Read, Resource::Reference(branch.as_str()))?;
        if let Some(seen) = self.seen(access, branch) {
            return Ok(seen);
        }
        let snapshot = access.snapshot(branch.as_str()).await?;
        self.saw(&snapshot);
        Ok(Seen {
            ordinal: snapshot.branch_ordinal(),
            schema: Arc::clone(snapshot.schema()),
        })
    }
}
