//! The seam between the connection loop ([`crate::wire`]) and a session.
//!
//! The loop reads messages, keeps portals, encodes rows, watches the clock, the client and
//! cancel requests. Everything else is the [`Backend`]'s: what a text means, transactions,
//! settings, prepared statements. One `Backend` serves one connection and is never called
//! concurrently.
//!
//! # How the loop calls it
//!
//! Simple query: [`parse`](Backend::parse) the whole string (an error anywhere runs nothing);
//! then per statement `prepare`, `execute`, drain the rows; then
//! [`end_implicit`](Backend::end_implicit). The CommandComplete of the *last* statement is sent
//! only after `end_implicit` succeeded, so that a client never sees the success of a statement
//! whose commit failed.
//!
//! Extended query: `parse` and `prepare` at Parse, [`describe`](Backend::describe) at Describe
//! and Bind, `execute` at a portal's first Execute, `end_implicit` at Sync. Here too the last
//! CommandComplete is held back until Sync, unless the client asks for it with Flush.
//!
//! Any error, of the backend or of a row stream: [`fail`](Backend::fail), then the error is
//! sent; the rest of the string is not run, or messages are skipped up to Sync. `end_implicit`
//! is still called at the end and has nothing left to commit then.
//!
//! # Transactions
//!
//! Outside a block the statements up to `end_implicit` are one implicit transaction; the
//! backend opens it at the first statement that needs it. `BEGIN` turns it into a block, and
//! `end_implicit` then does nothing. In a failed block `prepare` and `execute` answer 25P02 by
//! themselves for everything but the end of the block.
//!
//! # Rows
//!
//! The loop encodes batches with [`crate::wire::rows::RowEncoder`] in the types that
//! `Rows::columns` says; a batch's arrays have the representation [`PgType::arrow`]. One value as
//! text, for casts and COPY, is [`crate::text::Formatter`]'s work; text to a value is
//! [`crate::text::parse`]'s.
//!
//! # Interruption
//!
//! When a statement is cancelled, times out, or its client has gone, the loop raises the
//! session's [`Interrupt`] and **drops** the future of `prepare`, `execute`, or the row stream
//! at whatever await it is at, then calls `fail`. What must not be torn (publishing a commit)
//! therefore runs on a task of its own, and `fail` waits for it. Work that does not await often
//! (planning, long kernels) calls [`Interrupt::check`] now and then. `end_implicit`, `fail` and
//! `copy_finish` are never dropped; they are bounded by the backend.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::Bytes;
use datafusion::common::ScalarValue;
use futures::stream::BoxStream;
use omnigraph_catalog::types::PgType;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::error::{PgError, PgResult};
use crate::metrics::Metrics;
use crate::session::prepared::PreparedStatements;
use crate::sqlstate;
use crate::text::{ObjectNames, TextFormat};

/// Makes a session for each connection that has proved who it is.
pub trait Backends: Send + Sync + 'static {
    type Backend: Backend;

    /// Fails with what the client is to read: 3D000 for a graph that is not there or hidden.
    /// The loop makes the error FATAL and closes the connection.
    fn connect(&self, startup: Startup) -> impl Future<Output = PgResult<Self::Backend>> + Send;
}

/// Who is there and what was asked for in the startup packet.
#[derive(Debug, Clone)]
pub struct Startup {
    /// Proved by [`crate::auth`], or taken on trust with `--unauthenticated`.
    pub actor: String,
    /// As sent, `knowledge@review/1` included; the actor's name if the client named none.
    pub database: String,
    /// Settings in the order to be applied: those of `options=-c a=b` first, then the packet's
    /// own (`application_name`, `client_encoding`, `TimeZone`, ...), names as the client wrote them.
    pub settings: Vec<(String, String)>,
    /// `None` for a connection that is not over TCP (tests).
    pub peer: Option<SocketAddr>,
    pub tls: bool,
    /// This connection's process id, as in BackendKeyData and `pg_backend_pid()`.
    pub pid: i32,
    /// What others may do to this session.
    pub handle: SessionHandle,
}

/// One session. See the module's page for who calls what and when.
pub trait Backend: Send + 'static {
    /// A statement that was parsed and not yet bound.
    type Parsed: Send;
    /// A bound statement; cheap to clone (an `Arc` inside).
    type Statement: Clone + Send + Sync + 'static;

    /// Splits and parses a query string; no statement at all gives an empty list. Does not look
    /// at the catalog.
    fn parse(&mut self, sql: &str) -> PgResult<Vec<Self::Parsed>>;

    /// Binds a statement: afterwards its parameter and column types are known. `params` are the
    /// types the client declared, 0 for "not said"; there may be fewer than parameters.
    /// Nothing is changed by it. A parsed statement may be empty (`;`, a comment, or nothing:
    /// the loop passes `None`): its description has no columns and it executes to `Empty`.
    fn prepare(
        &mut self,
        parsed: Option<Self::Parsed>,
        params: &[u32],
    ) -> impl Future<Output = PgResult<Self::Statement>> + Send;

    fn describe(&self, statement: &Self::Statement) -> Described;

    /// The columns of a cursor that was declared in SQL: clients describe it as a portal.
    fn cursor_columns(&self, _name: &str) -> Option<Arc<[Column]>> {
        None
    }

    /// Runs a statement up to its first rows. `params` are in order and of the Arrow types of
    /// [`Described::params`]. Columns whose types have changed since the statement was prepared
    /// are 0A000 "cached plan must not change result type".
    fn execute(
        &mut self,
        statement: &Self::Statement,
        params: Vec<ScalarValue>,
        place: Place,
    ) -> impl Future<Output = PgResult<Execution>> + Send;

    /// The next piece of what the client copies in, cut anywhere.
    fn copy_write(&mut self, data: Bytes) -> impl Future<Output = PgResult<()>> + Send;

    /// The client has sent everything: the command tag (`COPY 12`).
    fn copy_finish(&mut self) -> impl Future<Output = PgResult<String>> + Send;

    /// The client gave up (57014 was made of its words already) or broke the protocol: forget
    /// what was copied. `fail` follows.
    fn copy_abort(&mut self) -> impl Future<Output = ()> + Send;

    /// A statement has ended: for the audit log.
    fn ended(&mut self, _took: Duration, _error: Option<&PgError>) {}

    /// The end of a query string, or Sync: commits the implicit transaction, if there is one.
    fn end_implicit(&mut self) -> impl Future<Output = PgResult<()>> + Send;

    /// A statement failed: rolls back the implicit transaction, or marks the block as failed.
    fn fail(&mut self) -> impl Future<Output = ()> + Send;

    fn status(&self) -> TransactionStatus;

    fn statements(&mut self) -> &mut PreparedStatements<Self::Statement>;

    /// The parameters to report at the start: server_version, client_encoding, TimeZone, ...
    fn parameters(&self) -> Vec<(&'static str, String)>;

    /// Reportable parameters that have changed since the last call; asked before ReadyForQuery
    /// and after each statement.
    fn take_parameter_changes(&mut self) -> Vec<(&'static str, String)>;

    /// Notices raised since the last call, already filtered by `client_min_messages`.
    fn take_notices(&mut self) -> Vec<PgError>;

    /// How values are read and written as text right now.
    fn text_format(&self) -> Arc<TextFormat>;

    /// Names for the reg* types, in the catalog this statement sees.
    fn object_names(&self) -> Arc<dyn ObjectNames>;

    fn timeouts(&self) -> Timeouts;
}

/// A result column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub ty: PgType,
    /// The table and column it comes from unchanged, else 0.
    pub table_oid: u32,
    pub attnum: i16,
}

impl Column {
    /// A computed column.
    pub fn new(name: impl Into<String>, ty: PgType) -> Self {
        Column {
            name: name.into(),
            ty,
            table_oid: 0,
            attnum: 0,
        }
    }
}

/// What Describe answers.
#[derive(Debug, Clone)]
pub struct Described {
    pub params: Arc<[PgType]>,
    /// `None`: the statement returns no rows (NoData).
    pub columns: Option<Arc<[Column]>>,
}

/// Where a statement stands in its implicit transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Nothing ran before it since the last `end_implicit`.
    pub first: bool,
    pub next: Next,
}

/// What comes after a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// `end_implicit`: with `first`, the statement is its own transaction and may be retried.
    End,
    Statement,
    /// The extended protocol, and the client's next message has not arrived. Statements that
    /// refuse a block run; if something follows after all, it is a transaction of its own.
    Unknown,
}

impl Place {
    /// May a statement run that cannot run inside a transaction block?
    pub fn may_stand_alone(self) -> bool {
        self.first && self.next != Next::Statement
    }
}

/// What a statement turned into.
pub enum Execution {
    Rows(Rows),
    /// Nothing to send but the command tag: `INSERT 0 1`, `SET`.
    Done {
        tag: String,
    },
    /// The client is asked for data: `copy_write`, then `copy_finish` or `copy_abort`.
    CopyIn(CopyFormat),
    CopyOut(CopyOut),
    /// There was no statement.
    Empty,
}

/// Rows that are computed while they are sent.
pub struct Rows {
    pub columns: Arc<[Column]>,
    /// Batches whose columns have the types `columns[i].ty.arrow()`. Errors are the client's
    /// already. The loop pulls one batch at a time and the next only when the client has taken
    /// the last, so a stream must not count on being driven.
    pub stream: BoxStream<'static, PgResult<RecordBatch>>,
    pub tag: RowsTag,
}

/// The command tag of a statement that returns rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowsTag {
    /// The word(s) before the number of rows: `SELECT`, `INSERT 0`, `FETCH`.
    Counted(&'static str),
    /// All of it: `EXPLAIN`, `SHOW`, `CALL`.
    Fixed(&'static str),
}

/// What CopyInResponse and CopyOutResponse say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyFormat {
    pub binary: bool,
    pub columns: u16,
}

pub struct CopyOut {
    pub format: CopyFormat,
    pub stream: BoxStream<'static, PgResult<CopyBatch>>,
}

/// Data to be copied out. PostgreSQL sends one row in each CopyData and clients count on it.
#[derive(Debug, Clone, Default)]
pub struct CopyBatch {
    pub data: Bytes,
    /// Where each CopyData message ends in `data`; the last is its length.
    pub ends: Vec<usize>,
    /// Rows among them (a header or trailer is none), for the tag `COPY n`.
    pub rows: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    /// Inside a block.
    Open,
    /// Inside a block that can only be rolled back.
    Failed,
}

/// What the loop's clocks are set to; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    pub statement: Option<Duration>,
    pub idle_in_transaction: Option<Duration>,
    pub idle_session: Option<Duration>,
}

/// Why the running statement has to stop. Shared by the loop, the session and whatever runs for
/// it; lowered by the loop before each statement.
#[derive(Debug, Default)]
pub struct Interrupt {
    reason: AtomicU8,
    raised: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    UserRequest = 1,
    StatementTimeout = 2,
    ClientGone = 3,
    Terminated = 4,
}

impl Interrupt {
    /// The first reason stands until the next statement begins.
    pub fn raise(&self, reason: Reason) {
        let _ = self
            .reason
            .compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire);
        self.raised.notify_waiters();
    }

    /// Forgets the reason, unless it is the end of the session.
    pub fn lower(&self) {
        let _ = self
            .reason
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |reason| {
                (reason != Reason::Terminated as u8).then_some(0)
            });
    }

    pub fn reason(&self) -> Option<Reason> {
        match self.reason.load(Ordering::Acquire) {
            1 => Some(Reason::UserRequest),
            2 => Some(Reason::StatementTimeout),
            3 => Some(Reason::ClientGone),
            4 => Some(Reason::Terminated),
            _ => None,
        }
    }

    /// For loops that do not await: an error once the statement has to stop.
    pub fn check(&self) -> PgResult<()> {
        self.reason().map_or(Ok(()), |reason| Err(reason.error()))
    }

    /// Waits until the statement has to stop. Cancel-safe.
    pub async fn wait(&self) -> Reason {
        loop {
            let raised = self.raised.notified();
            tokio::pin!(raised);
            // Registered before the look, so that a raise in between is not missed.
            raised.as_mut().enable();
            if let Some(reason) = self.reason() {
                return reason;
            }
            raised.await;
        }
    }
}

impl Reason {
    pub fn error(self) -> PgError {
        match self {
            Reason::UserRequest => PgError::new(
                sqlstate::QUERY_CANCELED,
                "canceling statement due to user request",
            ),
            Reason::StatementTimeout => PgError::new(
                sqlstate::QUERY_CANCELED,
                "canceling statement due to statement timeout",
            ),
            Reason::ClientGone => {
                PgError::fatal(sqlstate::CONNECTION_FAILURE, "connection to client lost")
            }
            Reason::Terminated => terminated(),
        }
    }
}

/// What a session that is ended from outside is told.
pub fn terminated() -> PgError {
    PgError::fatal(
        sqlstate::ADMIN_SHUTDOWN,
        "terminating connection due to administrator command",
    )
}

/// How others reach a session: CancelRequest, `pg_cancel_backend`, `pg_terminate_backend`,
/// shutdown, notifications. Clones are the same session.
#[derive(Debug, Clone)]
pub struct SessionHandle(Arc<Mailbox>);

#[derive(Debug)]
struct Mailbox {
    pid: i32,
    /// Held while a statement runs: a cancel that comes between statements is for none.
    running: Mutex<bool>,
    interrupt: Arc<Interrupt>,
    state: Mutex<MailboxState>,
    arrived: Notify,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct MailboxState {
    terminate: Option<PgError>,
    notifications: VecDeque<Notification>,
}

/// For NotificationResponse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    pub pid: i32,
    pub channel: String,
    pub payload: String,
}

/// What the loop finds when it looks into its mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mail {
    Terminate(PgError),
    Notification(Notification),
}

impl SessionHandle {
    /// A session that does not listen fast enough loses the oldest beyond this.
    const MAX_NOTIFICATIONS: usize = 10_000;

    pub fn new(pid: i32) -> Self {
        SessionHandle::counted(pid, Arc::default())
    }

    /// A session whose statements are counted among a server's.
    pub fn counted(pid: i32, metrics: Arc<Metrics>) -> Self {
        SessionHandle(Arc::new(Mailbox {
            metrics,
            pid,
            running: Mutex::new(false),
            interrupt: Arc::default(),
            state: Mutex::default(),
            arrived: Notify::new(),
        }))
    }

    pub fn pid(&self) -> i32 {
        self.0.pid
    }

    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The interrupt of the statement this session runs.
    pub fn interrupt(&self) -> Arc<Interrupt> {
        Arc::clone(&self.0.interrupt)
    }

    /// Cancels the running statement; an idle session does not notice.
    pub fn cancel(&self) {
        let running = self.0.running.lock();
        if *running {
            self.0.interrupt.raise(Reason::UserRequest);
        }
    }

    /// Ends the session: at once if it is idle, and its running statement too.
    pub fn terminate(&self, error: PgError) {
        self.0.state.lock().terminate.get_or_insert(error);
        self.0.arrived.notify_one();
        self.0.interrupt.raise(Reason::Terminated);
    }

    /// Ends the session when its running statement, if there is one, is done.
    pub fn terminate_when_idle(&self, error: PgError) {
        self.0.state.lock().terminate.get_or_insert(error);
        self.0.arrived.notify_one();
    }

    /// Delivered when the session is between transactions.
    pub fn notify(&self, notification: Notification) {
        let mut state = self.0.state.lock();
        if state.notifications.len() >= Self::MAX_NOTIFICATIONS {
            state.notifications.pop_front();
        }
        state.notifications.push_back(notification);
        drop(state);
        self.0.arrived.notify_one();
    }

    /// Between the two a cancel request is for this session's statement.
    pub(crate) fn begin_statement(&self) {
        let mut running = self.0.running.lock();
        self.0.interrupt.lower();
        *running = true;
    }

    pub(crate) fn end_statement(&self) {
        *self.0.running.lock() = false;
    }

    pub(crate) fn terminating(&self) -> Option<PgError> {
        self.0.state.lock().terminate.clone()
    }

    pub(crate) fn take_notifications(&self) -> VecDeque<Notification> {
        std::mem::take(&mut self.0.state.lock().notifications)
    }

    /// Waits for mail. Cancel-safe; with `notifications` off only for the end of the session.
    pub(crate) async fn mail(&self, notifications: bool) -> Mail {
        loop {
            {
                let mut state = self.0.state.lock();
                if let Some(error) = &state.terminate {
                    return Mail::Terminate(error.clone());
                }
                if notifications && let Some(first) = state.notifications.pop_front() {
                    return Mail::Notification(first);
                }
            }
            self.0.arrived.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cancel_reaches_only_a_running_statement() {
        let handle = SessionHandle::new(1);
        let interrupt = handle.interrupt();
        handle.cancel();
        assert_eq!(interrupt.reason(), None);
        handle.begin_statement();
        handle.cancel();
        assert_eq!(interrupt.wait().await, Reason::UserRequest);
        assert_eq!(interrupt.check().unwrap_err().code, "57014");
        handle.end_statement();
        handle.begin_statement();
        assert_eq!(interrupt.reason(), None, "the next statement starts afresh");
    }

    #[tokio::test]
    async fn mail_waits_for_termination_and_keeps_notifications_for_later() {
        let handle = SessionHandle::new(1);
        let notification = Notification {
            pid: 2,
            channel: "commits".to_owned(),
            payload: String::new(),
        };
        handle.notify(notification.clone());
        tokio::select! {
            biased;
            mail = handle.mail(false) => panic!("nothing to deliver inside a block, got {mail:?}"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(handle.mail(true).await, Mail::Notification(notification));
        handle.terminate_when_idle(terminated());
        assert_eq!(handle.mail(false).await, Mail::Terminate(terminated()));
        assert_eq!(
            handle.interrupt().reason(),
            None,
            "running statements finish"
        );
    }
}
