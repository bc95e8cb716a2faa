//! Simple query: a string of statements, run one after the other in one implicit transaction.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::error::{PgError, PgResult};
use crate::session::protocol::{Backend, Execution, Next, Place, Reason, Rows};
use crate::sqlstate;
use crate::wire::connection::{Connection, caught, flush, guard};
use crate::wire::heavy::{self, LARGE_SQL};
use crate::wire::portal::Running;
use crate::wire::reply;
use crate::wire::rows::{Formats, RowEncoder};

/// How sending rows ended.
pub(super) enum Sent {
    /// All of them, this many.
    All(u64),
    /// The limit was reached first.
    Limit,
}

impl<S, B> Connection<S, B>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    B: Backend,
{
    /// Errors of statements are told to the client; only those that end the connection return.
    pub(super) async fn simple_query(&mut self, sql: &str) -> PgResult<()> {
        // A simple query ends what the extended protocol left unnamed.
        self.release();
        self.backend.statements().remove("");
        self.portals.remove("");
        match self.run_string(sql).await {
            Ok(()) => self.end_implicit().await?,
            Err(error) => {
                self.held = None;
                self.failed(error).await?;
                self.end_implicit_quietly().await;
            }
        }
        self.ready();
        Ok(())
    }

    async fn run_string(&mut self, sql: &str) -> PgResult<()> {
        let backend = &mut self.backend;
        let statements = heavy::run(sql.len() >= LARGE_SQL, || caught(|| backend.parse(sql)))?;
        if statements.is_empty() {
            reply::empty_query(&mut self.channel.out);
            return Ok(());
        }
        let count = statements.len();
        let large = sql.len() / count >= LARGE_SQL;
        for (i, parsed) in statements.into_iter().enumerate() {
            // The statement before this one was not the last: its success is not held back.
            self.release();
            let place = Place {
                first: self.fresh,
                next: if i + 1 == count {
                    Next::End
                } else {
                    Next::Statement
                },
            };
            self.fresh = false;
            self.handle.begin_statement();
            let begun = Instant::now();
            let result = self.run_one(parsed, place, large).await;
            self.handle.end_statement();
            self.ended(begun, result.as_ref().err());
            result?;
        }
        Ok(())
    }

    async fn run_one(&mut self, parsed: B::Parsed, place: Place, large: bool) -> PgResult<()> {
        let deadline = self.statement_deadline();
        let work = async {
            let prepare = self.backend.prepare(Some(parsed), &[]);
            let statement = heavy::drive(large, prepare).await?;
            let described = self.backend.describe(&statement);
            if !described.params.is_empty() {
                return Err(PgError::new(
                    sqlstate::UNDEFINED_PARAMETER,
                    "there is no parameter $1",
                ));
            }
            let execute = self.backend.execute(&statement, Vec::new(), place);
            heavy::drive(large, execute).await
        };
        match guard(&self.handle, &mut self.channel, deadline, work).await? {
            Execution::Rows(rows) => {
                self.news();
                let columns = Arc::clone(&rows.columns);
                let mut running = self.running(rows, &Formats::Text)?;
                // What fails before its first row is an error and nothing else.
                let first = self.next_item(&mut running.stream, deadline).await?;
                reply::row_description(&mut self.channel.out, &columns, |_| false);
                if let Some(batch) = first {
                    running.begin(&batch)?;
                }
                if let Sent::All(count) = self.send_rows(&mut running, 0, deadline).await? {
                    self.held = Some(running.tag(count));
                }
            }
            Execution::Done { tag } => self.held = Some(tag),
            Execution::CopyIn(format) => self.copy_in(format, deadline).await?,
            Execution::CopyOut(copy) => self.copy_out(copy, deadline).await?,
            Execution::Empty => reply::empty_query(&mut self.channel.out),
        }
        Ok(())
    }

    pub(super) fn running(&self, rows: Rows, formats: &Formats) -> PgResult<Running> {
        let encoder = RowEncoder::new(
            &rows.columns,
            formats,
            self.backend.text_format(),
            self.backend.object_names(),
        )?;
        Ok(Running::new(rows, encoder))
    }

    /// Sends rows as they come, at most `limit` of them (0: all). The output is sent when it is
    /// large, and when the source makes us wait, so that first rows arrive soon.
    pub(super) async fn send_rows(
        &mut self,
        running: &mut Running,
        limit: usize,
        deadline: Option<Instant>,
    ) -> PgResult<Sent> {
        let limit = if limit == 0 { u64::MAX } else { limit as u64 };
        let mut count = 0;
        loop {
            while let Some(batch) = &mut running.batch {
                if batch.next == batch.rows {
                    running.batch = None;
                    break;
                }
                if count == limit {
                    return Ok(Sent::Limit);
                }
                running
                    .encoder
                    .put_row(&batch.views, batch.next, &mut self.channel.out)?;
                batch.next += 1;
                count += 1;
                if self.channel.wants_flush() {
                    flush(&self.handle, &mut self.channel, deadline).await?;
                }
            }
            if count == limit {
                return Ok(Sent::Limit);
            }
            let Some(batch) = self.next_item(&mut running.stream, deadline).await? else {
                return Ok(Sent::All(count));
            };
            running.begin(&batch)?;
        }
    }

    /// The next item of a stream; what is in the output is sent before waiting for it.
    pub(super) async fn next_item<T>(
        &mut self,
        stream: &mut BoxStream<'static, PgResult<T>>,
        deadline: Option<Instant>,
    ) -> PgResult<Option<T>> {
        self.handle.interrupt().check()?;
        let item = match futures::poll!(stream.next()) {
            std::task::Poll::Ready(item) => item,
            std::task::Poll::Pending => {
                if self.channel.has_output() {
                    flush(&self.handle, &mut self.channel, deadline).await?;
                }
                let next = async { Ok(stream.next().await) };
                guard(&self.handle, &mut self.channel, deadline, next).await?
            }
        };
        // Work that never waited did not see that its time was up.
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            self.handle.interrupt().raise(Reason::StatementTimeout);
        }
        self.handle.interrupt().check()?;
        item.transpose()
    }
}
