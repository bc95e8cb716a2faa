//! A session: what one connection is doing, between the wire and the statements.
//!
//! [`protocol`] is the seam: the connection loop in [`crate::wire`] drives whatever implements
//! [`protocol::Backend`], and knows nothing of SQL. [`Session`] implements it. The families of
//! statements in [`crate::statement`] are further `impl Session` blocks, one file each; what
//! they share is here: which branch is meant, what it shows, and how a transaction begins
//! and ends.

pub mod audit;
pub mod backend;
pub mod catalogs;
pub mod common;
pub mod connect;
mod derived;
pub mod functions;
pub mod live;
pub mod locks;
pub mod notify;
pub mod path;
pub mod prepared;
pub mod protocol;
mod random;
pub mod registry;
pub mod settings;
pub mod shared;
mod sizes;
pub mod transaction;
pub mod watch;

use std::sync::Arc;

use omnigraph_catalog::access::GraphAccess;
use omnigraph_catalog::lookup::SearchPath;
use omnigraph_catalog::provider::Snapshots;
use omnigraph_engine::error::ObjectKind;
use omnigraph_engine::names::{BranchName, CommitId};
use omnigraph_engine::{CommitInfo, CommitMessage, Error, Snapshot};
use parking_lot::Mutex;

use self::catalogs::Catalogs;
use self::common::Common;
use self::derived::Derived;
use self::notify::{COMMITS, Listener, Pending};
use self::protocol::{Interrupt, Place};
use self::shared::GraphShared;
use self::transaction::{Open, Outside, Publication, State};
use crate::error::{PgError, PgResult, Severity};
use crate::plan::Statement;
use crate::sqlstate;
use crate::statement::copy::CopyIn;
use crate::statement::cursor::Cursors;
use crate::text::{ObjectNames, TextFormat};

/// One connection's state. See [`protocol::Backend`] for how it is driven.
pub struct Session {
    pub(crate) common: Arc<Common>,
    /// `None` in the database `postgres`, which has no graph.
    pub(crate) graph: Option<Attached>,
    pub(crate) interrupt: Arc<Interrupt>,
    pub(crate) state: State,
    pub(crate) statements: prepared::PreparedStatements<Statement>,
    pub(crate) cursors: Cursors,
    pub(crate) copy: Option<CopyIn>,
    notices: Vec<PgError>,
    pub(crate) listener: Listener,
    /// A commit on its way. It is here, and not in the future that waits for it, because that
    /// future may be dropped.
    publishing: Option<Publication>,
    /// What follows from the settings.
    derived: Mutex<Arc<Derived>>,
    /// What `SET snapshot` names, once it was looked up.
    past: Option<(Arc<str>, Snapshot)>,
    /// The catalogs that statements are bound in, and names for what they show.
    catalogs: Option<(Option<Arc<str>>, Arc<Catalogs>)>,
    names: Arc<dyn ObjectNames>,
    /// Of the statement that runs, for the audit log.
    verb: &'static str,
}

/// The graph of a session.
#[derive(Debug, Clone)]
pub(crate) struct Attached {
    pub access: GraphAccess,
    pub shared: Arc<GraphShared>,
}

/// How many notices wait for the loop to take them.
const NOTICES: usize = 100;

impl Session {
    /// The graph, or what a client reads who asks for a table in the database `postgres`.
    pub(crate) fn attached(&self) -> PgResult<&Attached> {
        self.graph.as_ref().ok_or_else(|| {
            PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!("database \"{}\" has no graph", self.common.database),
            )
            .hint("Connect to a graph by its name; \\l lists them.")
        })
    }

    pub(crate) fn notice(&mut self, notice: PgError) {
        let wanted = match self.common.get("client_min_messages").as_str() {
            "error" => false,
            "warning" => notice.severity == Severity::Warning,
            _ => true,
        };
        if wanted && self.notices.len() < NOTICES {
            self.notices.push(notice);
        }
    }

    pub(crate) fn warn(&mut self, code: &'static str, message: &str) {
        self.notice(PgError::warning(code, message));
    }

    /// What follows from the settings as they are now.
    pub(crate) fn derived(&self) -> Arc<Derived> {
        let settings = self.common.settings.lock();
        let mut derived = self.derived.lock();
        if !derived.is_of(&settings) {
            *derived = Arc::new(Derived::of(&settings));
        }
        Arc::clone(&derived)
    }

    /// How values are read and written as text right now.
    pub(crate) fn current_format(&self) -> Arc<TextFormat> {
        Arc::clone(&self.derived().format)
    }

    /// Names for the reg* types, in the catalogs that the last statement was bound in.
    pub(crate) fn current_names(&self) -> Arc<dyn ObjectNames> {
        Arc::clone(&self.names)
    }

    /// The branch that unqualified names mean.
    pub(crate) async fn branch(&self) -> PgResult<BranchName> {
        let Some(attached) = &self.graph else {
            return Ok(self.common.start_branch.clone());
        };
        let derived = self.derived();
        for candidate in derived.candidates()? {
            if self.exists(attached, candidate).await? {
                return Ok(candidate.clone());
            }
        }
        Ok(self.common.start_branch.clone())
    }

    async fn exists(&self, attached: &Attached, branch: &BranchName) -> PgResult<bool> {
        if *branch == self.common.start_branch {
            return Ok(true);
        }
        if let State::Open(open) = &self.state
            && open.base(branch).is_some()
        {
            return Ok(true);
        }
        match attached.shared.branch(&attached.access, branch).await {
            Ok(_) => Ok(true),
            Err(error) if error.code == sqlstate::INVALID_SCHEMA_NAME => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Where unqualified names are sought.
    pub(crate) async fn search_path(&self) -> PgResult<SearchPath> {
        let branch = self.branch().await?;
        self.derived().search_path(&branch)
    }

    /// The reference that `SET snapshot` made the session read, if any.
    pub(crate) fn pinned(&self) -> Option<Arc<str>> {
        self.derived().pinned.clone()
    }

    /// The branch and state that the session reads instead of the branch's head, if it was
    /// told to.
    pub(crate) async fn past(&mut self) -> PgResult<Option<(BranchName, Snapshot)>> {
        let Some(reference) = self.pinned() else {
            return Ok(None);
        };
        let branch = self.branch().await?;
        if let Some((known, snapshot)) = &self.past
            && *known == reference
        {
            return Ok(Some((branch, snapshot.clone())));
        }
        let access = self.attached()?.access.clone();
        let snapshot = access.snapshot_on(&reference, &branch).await?;
        self.past = Some((reference, snapshot.clone()));
        Ok(Some((branch, snapshot)))
    }

    /// What a statement reads of these branches. Each is resolved once: now, or at its first
    /// use by the transaction.
    pub(crate) async fn snapshots(
        &mut self,
        branches: &[BranchName],
        place: Place,
    ) -> PgResult<Arc<Snapshots>> {
        if branches.is_empty() {
            return Ok(Arc::default());
        }
        let attached = self.attached()?.clone();
        let past = self.past().await?;
        if let (Some(_), State::Open(open)) = (&past, &mut self.state) {
            open.used = true;
        }
        let mut snapshots = Vec::with_capacity(branches.len());
        for branch in branches {
            let snapshot = match &past {
                Some((pinned, snapshot)) if pinned == branch => snapshot.clone(),
                _ => self.snapshot(&attached, branch, place).await?,
            };
            snapshots.push((branch.clone(), snapshot));
        }
        Ok(Arc::new(Snapshots::new(snapshots)))
    }

    async fn snapshot(
        &mut self,
        attached: &Attached,
        branch: &BranchName,
        place: Place,
    ) -> PgResult<Snapshot> {
        let result = match &mut self.state {
            State::Open(open) => open.snapshot(&attached.access, branch).await,
            _ if place.first && place.next == protocol::Next::End => {
                Ok(attached.access.snapshot(branch.as_str()).await?)
            }
            _ => self.open().snapshot(&attached.access, branch).await,
        };
        match result {
            Ok(snapshot) => {
                attached.shared.saw(&snapshot);
                Ok(snapshot)
            }
            Err(error) => {
                if error.code == sqlstate::INVALID_SCHEMA_NAME {
                    attached.shared.forget(branch);
                }
                Err(error)
            }
        }
    }

    /// The open transaction; begins an implicit one if there is none.
    pub(crate) fn open(&mut self) -> &mut Open {
        if matches!(self.state, State::Idle) {
            let open = self.new_transaction(false);
            self.state = State::Open(Box::new(open));
        }
        match &mut self.state {
            State::Open(open) => open,
            // Callers have refused a failed block before; a failed one only ever ends.
            State::Idle | State::Failed(_) => {
                unreachable!("a statement runs in a transaction that can go on")
            }
        }
    }

    pub(crate) fn new_transaction(&self, block: bool) -> Open {
        let on = |name| self.common.get(name) == "on";
        let mut open = Open::new(block, on("default_transaction_read_only"), self.outside());
        open.serializable = self.common.get("default_transaction_isolation") == "serializable";
        open
    }

    pub(crate) fn outside(&self) -> Outside {
        Outside {
            settings: self.common.settings.lock().mark(),
            pending: self.common.pending.lock().len(),
            cursors: self.cursors.declared(),
        }
    }

    /// Refuses what cannot run inside a transaction block (25001).
    pub(crate) fn refuse_block(&self, what: &str, place: Place) -> PgResult<()> {
        if !self.state.in_block() && place.may_stand_alone() {
            return Ok(());
        }
        Err(PgError::new(
            sqlstate::ACTIVE_SQL_TRANSACTION,
            format!("{what} cannot run inside a transaction block"),
        ))
    }

    /// What the settings say of the commit to come.
    pub(crate) fn commit_message(&self) -> CommitMessage {
        let message = self.common.get("commit_message");
        let key = self.common.get("idempotency_key");
        CommitMessage {
            idempotency_key: (!key.is_empty()).then_some(key),
            message: (!message.is_empty()).then_some(message),
            // Both were checked when they were set.
            metadata: serde_json::from_str(&self.common.get("commit_metadata")).unwrap_or_default(),
            expected_head: CommitId::parse(&self.common.get("expected_head")).ok(),
            ..CommitMessage::default()
        }
    }

    /// Ends the open transaction by publishing what it wrote. Whatever comes of it, the
    /// session is idle afterwards.
    pub(crate) async fn commit(&mut self, open: Box<Open>) -> PgResult<Option<CommitInfo>> {
        let message = self.commit_message();
        let start = open.start().clone();
        let branch = open.written().cloned();
        self.state = State::Idle;
        self.publishing = open.publish(message);
        let outcome = self.published().await;
        match outcome {
            Ok(info) => {
                self.committed(info.as_ref());
                Ok(info)
            }
            Err(error) => {
                self.undo(&start);
                Err(self.located(PgError::from(error), branch.as_ref()))
            }
        }
    }

    /// Waits for the commit on its way, if there is one. Cancel-safe.
    pub(crate) async fn published(&mut self) -> Result<Option<CommitInfo>, Error> {
        let Some(publication) = &mut self.publishing else {
            return Ok(None);
        };
        let outcome = publication.outcome().await;
        self.publishing = None;
        outcome
    }

    /// What follows from a transaction that has ended well.
    pub(crate) fn committed(&mut self, info: Option<&CommitInfo>) {
        self.common.settings.lock().end_transaction();
        self.common
            .shared
            .locks
            .release(self.common.handle.pid(), true);
        self.cursors.end_transaction();
        let pending = std::mem::take(&mut *self.common.pending.lock());
        let listens = pending.contains(&Pending::Listen(COMMITS.to_owned()));
        self.listener.commit(pending);
        let channels = &self.common.shared.channels;
        if let Some(attached) = self.graph.as_ref().filter(|_| listens) {
            let shared = &attached.shared;
            shared
                .watch
                .start(&shared.graph, channels, &self.common.database);
        }
        let Some(info) = info else {
            return;
        };
        self.common.tell_commit(&info.branch, info.id);
    }

    /// Takes back what the transaction did besides writing: its settings, cursors, LISTENs.
    pub(crate) fn undo(&mut self, outside: &Outside) {
        self.common.settings.lock().restore(&outside.settings);
        self.common.pending.lock().truncate(outside.pending);
        self.cursors.close_after(outside.cursors);
    }

    /// Ends the transaction without a trace.
    pub(crate) fn roll_back(&mut self) {
        let start = match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => return,
            State::Open(open) => open.start().clone(),
            State::Failed(failed) => failed.start().clone(),
        };
        self.undo(&start);
        self.cursors.end_transaction();
        self.common
            .shared
            .locks
            .release(self.common.handle.pid(), true);
    }

    /// Fills in the schema of an error about a row: the engine knows tables, not schemas.
    pub(crate) fn located(&self, mut error: PgError, branch: Option<&BranchName>) -> PgError {
        if error.table.is_some() && error.schema.is_none() {
            error.schema = branch.map(ToString::to_string);
        }
        error
    }

    /// Refuses a name that is no branch's, as DROP SCHEMA and SET branch do.
    pub(crate) fn branch_name(name: &str) -> PgResult<BranchName> {
        BranchName::parse(name)
            .map_err(|_| PgError::from(Error::not_found(ObjectKind::Branch, name)))
    }
}
