//! The loop of a connection after login: wait for a message, do what it says, again.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use crate::error::{PgError, PgResult, Severity};
use crate::session::protocol::{Backend, Mail, Reason, SessionHandle, TransactionStatus};
use crate::sqlstate::{self, from_panic};
use crate::wire::MAX_MESSAGE;
use crate::wire::channel::{Channel, is_lost};
use crate::wire::message::{Frame, Message};
use crate::wire::portal::Portals;
use crate::wire::reply;

/// A connection that has logged in.
pub struct Connection<S, B: Backend> {
    pub(super) channel: Channel<S>,
    pub(super) backend: B,
    pub(super) handle: SessionHandle,
    pub(super) portals: Portals<B::Statement>,
    /// The CommandComplete that waits for its transaction's commit.
    pub(super) held: Option<String>,
    /// After an error in an extended query: messages are skipped up to Sync.
    pub(super) skipping: bool,
    /// Nothing was executed since the last end of an implicit transaction.
    pub(super) fresh: bool,
}

/// Goes on until the connection ends.
enum Flow {
    Continue,
    End,
}

impl<S, B> Connection<S, B>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    B: Backend,
{
    pub fn new(channel: Channel<S>, backend: B, handle: SessionHandle) -> Self {
        Connection {
            channel,
            backend,
            handle,
            portals: Portals::default(),
            held: None,
            skipping: false,
            fresh: true,
        }
    }

    /// Runs the connection to its end, which is always orderly: the session is dropped by then.
    pub async fn run(mut self) {
        self.ready();
        loop {
            // What panics outside a statement leaves nothing to go on with but a proper end.
            let turn = AssertUnwindSafe(self.turn()).catch_unwind().await;
            let turn = turn.unwrap_or_else(|panic| {
                let mut error = from_panic(panic.as_ref());
                error.severity = Severity::Fatal;
                Err(error)
            });
            match turn {
                Ok(Flow::Continue) => {}
                Ok(Flow::End) => break,
                Err(error) => {
                    if !is_lost(&error) {
                        self.held = None;
                        reply::error(&mut self.channel.out, &error);
                    }
                    debug!(code = error.code, message = %error.message, "connection ended");
                    break;
                }
            }
        }
        self.backend.fail().await;
        self.channel.close().await;
    }

    /// One message. Errors that reach the caller end the connection.
    async fn turn(&mut self) -> PgResult<Flow> {
        let Some(frame) = self.next_frame().await? else {
            return Ok(Flow::End);
        };
        if frame.tag == b'p' {
            return Err(crate::wire::message::unknown_type(frame.tag));
        }
        if self.skipping && !matches!(frame.tag, b'S' | b'X') {
            return Ok(Flow::Continue);
        }
        let extended = !matches!(frame.tag, b'Q' | b'F' | b'd' | b'c' | b'f');
        let message = match Message::parse(frame) {
            Ok(message) => message,
            Err(error) => {
                self.failed(error).await?;
                if extended {
                    self.skipping = true;
                } else {
                    self.end_implicit_quietly().await;
                    self.ready();
                }
                return Ok(Flow::Continue);
            }
        };
        let result = match message {
            Message::Query(sql) => {
                self.simple_query(&sql).await?;
                Ok(())
            }
            Message::FunctionCall => {
                let error = PgError::new(
                    sqlstate::FEATURE_NOT_SUPPORTED,
                    "the function call protocol is not supported",
                );
                self.failed(error.hint("Call the function in a SELECT."))
                    .await?;
                self.end_implicit_quietly().await;
                self.ready();
                Ok(())
            }
            Message::Parse(parse) => self.parse(parse).await,
            Message::Bind(bind) => self.bind(bind),
            Message::Describe(target) => self.describe(target),
            Message::Execute { portal, max_rows } => self.execute(portal, max_rows).await,
            Message::Close(target) => self.close(target),
            Message::Flush => {
                self.release();
                self.channel.flush().await
            }
            Message::Sync => {
                self.sync().await?;
                Ok(())
            }
            Message::Terminate => return Ok(Flow::End),
            // What is left over of a COPY that failed.
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => Ok(()),
        };
        if let Err(error) = result {
            self.skipping = true;
            self.failed(error).await?;
        }
        if self.channel.wants_flush() {
            self.channel.flush().await?;
        }
        Ok(Flow::Continue)
    }

    /// Waits for a message, with everything else that can happen to a session that is not
    /// running a statement.
    async fn next_frame(&mut self) -> PgResult<Option<Frame>> {
        // A client that sends without pause must not outlive a shutdown.
        if let Some(error) = self.handle.terminating() {
            return Err(error);
        }
        if let Some(frame) = self.channel.buffered_frame(MAX_MESSAGE)? {
            return Ok(Some(frame));
        }
        self.channel.flush().await?;
        self.channel.shrink();
        let status = self.backend.status();
        let idle = self.fresh && !self.skipping;
        let (deadline, timeout) = match status {
            _ if !idle => (None, None),
            TransactionStatus::Idle => (self.backend.timeouts().idle_session, Some(idle_session())),
            _ => (
                self.backend.timeouts().idle_in_transaction,
                Some(idle_in_transaction()),
            ),
        };
        let deadline = deadline.map(|after| Instant::now() + after);
        let handle = self.handle.clone();
        let deliver = idle && status == TransactionStatus::Idle;
        loop {
            tokio::select! {
                frame = self.channel.frame(MAX_MESSAGE) => return frame,
                mail = handle.mail(deliver) => match mail {
                    Mail::Terminate(error) => return Err(error),
                    Mail::Notification(notification) => {
                        reply::notification(&mut self.channel.out, &notification);
                        self.channel.flush().await?;
                    }
                },
                () = at(deadline) => {
                    return Err(timeout.unwrap_or_else(idle_session));
                }
            }
        }
    }

    /// Counts a statement, and has it audited.
    pub(super) fn ended(&mut self, begun: Instant, error: Option<&PgError>) {
        let took = begun.elapsed();
        self.handle.metrics().statement(took, error);
        self.backend.ended(took, error);
    }

    /// When a statement that begins now has to be done.
    pub(super) fn statement_deadline(&self) -> Option<Instant> {
        self.backend
            .timeouts()
            .statement
            .map(|after| Instant::now() + after)
    }

    /// After a statement failed: rolls back, tells the client. FATAL errors are handed on.
    pub(super) async fn failed(&mut self, error: PgError) -> PgResult<()> {
        self.backend.fail().await;
        self.release();
        self.news();
        if error.severity == Severity::Fatal {
            return Err(error);
        }
        reply::error(&mut self.channel.out, &error);
        Ok(())
    }

    /// Sync, or the end of a query string: commits, and only then shows the last success.
    pub(super) async fn end_implicit(&mut self) -> PgResult<()> {
        self.fresh = true;
        let result = self.backend.end_implicit().await;
        if self.backend.status() == TransactionStatus::Idle {
            self.portals.clear();
        }
        match result {
            Ok(()) => {
                self.release();
                Ok(())
            }
            Err(error) => {
                self.held = None;
                // The statements were told before: what failed is their commit.
                self.ended(Instant::now(), Some(&error));
                self.failed(error).await
            }
        }
    }

    /// After an error, when there is nothing left to commit and nobody to tell.
    pub(super) async fn end_implicit_quietly(&mut self) {
        self.fresh = true;
        if let Err(error) = self.backend.end_implicit().await {
            debug!(code = error.code, message = %error.message, "nothing was to be committed");
        }
        if self.backend.status() == TransactionStatus::Idle {
            self.portals.clear();
        }
    }

    /// Puts the CommandComplete that was held back into the output, in its place.
    pub(super) fn release(&mut self) {
        if let Some(tag) = self.held.take() {
            self.news();
            reply::command_complete(&mut self.channel.out, &tag);
        }
    }

    /// Notices and changed parameters.
    pub(super) fn news(&mut self) {
        for notice in self.backend.take_notices() {
            reply::error(&mut self.channel.out, &notice);
        }
        for (name, value) in self.backend.take_parameter_changes() {
            reply::parameter_status(&mut self.channel.out, name, &value);
        }
    }

    pub(super) fn ready(&mut self) {
        self.news();
        let status = self.backend.status();
        if status == TransactionStatus::Idle {
            for notification in self.handle.take_notifications() {
                reply::notification(&mut self.channel.out, &notification);
            }
        }
        reply::ready_for_query(&mut self.channel.out, status);
    }
}

/// Runs what may wait, unless the statement is cancelled, its time is up, or the client has
/// gone. The future is dropped then.
pub(super) async fn guard<S, T>(
    handle: &SessionHandle,
    channel: &mut Channel<S>,
    deadline: Option<Instant>,
    work: impl Future<Output = PgResult<T>>,
) -> PgResult<T>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let interrupt = handle.interrupt();
    // Work that is always ready would never let the clock be looked at.
    if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        interrupt.raise(Reason::StatementTimeout);
    }
    // A panic is a fault of ours in this statement: the session rolls back and goes on.
    let mut work = pin!(AssertUnwindSafe(work).catch_unwind());
    tokio::select! {
        biased;
        reason = interrupt.wait() => Err(stop(handle, reason)),
        result = &mut work => result.unwrap_or_else(|panic| Err(from_panic(panic.as_ref()))),
        () = at(deadline) => {
            interrupt.raise(Reason::StatementTimeout);
            Err(stop(handle, Reason::StatementTimeout))
        }
        () = channel.gone() => {
            interrupt.raise(Reason::ClientGone);
            Err(Reason::ClientGone.error())
        }
    }
}

/// Runs what does not wait; a panic in it is a fault of ours in this statement.
pub(super) fn caught<T>(work: impl FnOnce() -> PgResult<T>) -> PgResult<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(from_panic(panic.as_ref())))
}

/// Sends what is in the output, for as long as the statement may run: a client that does not
/// read must not make it immortal.
pub(super) async fn flush<S>(
    handle: &SessionHandle,
    channel: &mut Channel<S>,
    deadline: Option<Instant>,
) -> PgResult<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let interrupt = handle.interrupt();
    tokio::select! {
        biased;
        reason = interrupt.wait() => Err(stop(handle, reason)),
        result = channel.flush() => result,
        () = at(deadline) => {
            interrupt.raise(Reason::StatementTimeout);
            Err(stop(handle, Reason::StatementTimeout))
        }
    }
}

/// The error of an interrupt; whoever ended the session said why.
pub(super) fn stop(handle: &SessionHandle, reason: Reason) -> PgError {
    match reason {
        Reason::Terminated => handle.terminating().unwrap_or_else(|| reason.error()),
        _ => reason.error(),
    }
}

pub(super) async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn idle_session() -> PgError {
    PgError::fatal(
        sqlstate::IDLE_SESSION_TIMEOUT,
        "terminating connection due to idle-session timeout",
    )
}

fn idle_in_transaction() -> PgError {
    PgError::fatal(
        sqlstate::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        "terminating connection due to idle-in-transaction timeout",
    )
}
