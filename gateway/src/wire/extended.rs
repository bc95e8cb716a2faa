//! Extended query: Parse, Bind, Describe, Execute, Close, Sync. An error in any of them makes
//! the loop skip messages up to Sync.

use chrono::Utc;
use datafusion::common::ScalarValue;
use omnigraph_catalog::types::PgType;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::error::{PgError, PgResult};
use crate::session::protocol::{Backend, Execution, Next, Place};
use crate::sqlstate;
use crate::text::{Input, read};
use crate::wire::connection::{Connection, caught, guard};
use crate::wire::heavy::{self, LARGE_SQL};
use crate::wire::message::{Bind, Parse, Target, violation};
use crate::wire::portal::{Portal, State};
use crate::wire::rows::Formats;
use crate::wire::simple::Sent;
use crate::wire::{decode_binary, decode_text, reply};

impl<S, B> Connection<S, B>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    B: Backend,
{
    pub(super) async fn parse(&mut self, message: Parse) -> PgResult<()> {
        self.release();
        if message.name.is_empty() {
            self.backend.statements().remove("");
        } else {
            self.backend.statements().check_free(&message.name)?;
        }
        let large = message.sql.len() >= LARGE_SQL;
        let backend = &mut self.backend;
        let mut statements = heavy::run(large, || caught(|| backend.parse(&message.sql)))?;
        if statements.len() > 1 {
            return Err(PgError::new(
                sqlstate::SYNTAX_ERROR,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        let deadline = self.statement_deadline();
        self.handle.begin_statement();
        let prepare = self.backend.prepare(statements.pop(), &message.params);
        let prepare = heavy::drive(large, prepare);
        let result = guard(&self.handle, &mut self.channel, deadline, prepare).await;
        self.handle.end_statement();
        let statement = result?;
        self.backend.statements().insert(&message.name, statement)?;
        reply::parse_complete(&mut self.channel.out);
        Ok(())
    }

    pub(super) fn bind(&mut self, message: Bind) -> PgResult<()> {
        self.release();
        let statement = self.backend.statements().find(&message.statement)?;
        let described = self.backend.describe(&statement);
        if message.params.len() != described.params.len() {
            return Err(violation(format!(
                "bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
                message.params.len(),
                message.statement,
                described.params.len()
            )));
        }
        let params = caught(|| self.parameters(&message, &described.params))?;
        let columns = described
            .columns
            .as_ref()
            .map_or(0, |columns| columns.len());
        let formats = Formats::parse(&message.result_formats, columns)?;
        let portal = Portal {
            statement,
            formats,
            state: State::Ready(params),
        };
        self.portals.insert(message.portal, portal)?;
        reply::bind_complete(&mut self.channel.out);
        Ok(())
    }

    fn parameters(&self, message: &Bind, types: &[PgType]) -> PgResult<Vec<ScalarValue>> {
        let formats = &message.param_formats;
        if formats.len() > 1 && formats.len() != types.len() {
            return Err(violation(format!(
                "bind message has {} parameter formats but {} parameters",
                formats.len(),
                types.len()
            )));
        }
        let text_format = self.backend.text_format();
        let names = self.backend.object_names();
        let input = Input {
            format: &text_format,
            names: &*names,
            now: Utc::now().timestamp_micros(),
        };
        let decode = |(i, (ty, bytes)): (usize, (&PgType, &Option<bytes::Bytes>))| {
            let format = formats.get(i).or(formats.first()).copied().unwrap_or(0);
            match (bytes, format) {
                (_, format) if !(0..=1).contains(&format) => Err(PgError::new(
                    sqlstate::INVALID_PARAMETER_VALUE,
                    format!("unsupported format code: {format}"),
                )),
                (None, _) => read::null(*ty),
                (Some(bytes), 0) => decode_text::decode(*ty, bytes, &input),
                (Some(bytes), _) => decode_binary::decode(*ty, bytes, &input, i + 1),
            }
        };
        types
            .iter()
            .zip(&message.params)
            .enumerate()
            .map(decode)
            .collect()
    }

    pub(super) fn describe(&mut self, target: Target) -> PgResult<()> {
        self.release();
        let (statement, formats) = match &target {
            Target::Statement(name) => (self.backend.statements().find(name)?, None),
            Target::Portal(name) => {
                if let Some(columns) = self.backend.cursor_columns(name)
                    && self.portals.find(name).is_err()
                {
                    reply::row_description(&mut self.channel.out, &columns, |_| false);
                    return Ok(());
                }
                let portal = self.portals.find(name)?;
                (portal.statement.clone(), Some(portal.formats.clone()))
            }
        };
        let described = self.backend.describe(&statement);
        let out = &mut self.channel.out;
        let formats = match formats {
            Some(formats) => formats,
            None => {
                reply::parameter_description(out, described.params.iter().map(|ty| ty.oid));
                Formats::Text
            }
        };
        match &described.columns {
            Some(columns) => reply::row_description(out, columns, |i| formats.is_binary(i)),
            None => reply::no_data(out),
        }
        Ok(())
    }

    pub(super) async fn execute(&mut self, name: String, max_rows: usize) -> PgResult<()> {
        self.release();
        // Taken out while it runs: whatever happens, a portal does not run twice.
        let portal = self.portals.find(&name)?;
        let state = std::mem::replace(&mut portal.state, State::Done);
        let statement = portal.statement.clone();
        let formats = portal.formats.clone();
        self.handle.begin_statement();
        let begun = Instant::now();
        let result = self.run_portal(&statement, &formats, state, max_rows).await;
        self.handle.end_statement();
        self.ended(begun, result.as_ref().err());
        let state = result?;
        // The portal is gone if the statement ended its transaction.
        if let Ok(portal) = self.portals.find(&name) {
            portal.state = state;
        }
        Ok(())
    }

    async fn run_portal(
        &mut self,
        statement: &B::Statement,
        formats: &Formats,
        state: State,
        max_rows: usize,
    ) -> PgResult<State> {
        let deadline = self.statement_deadline();
        let mut running = match state {
            State::Running(running) => running,
            State::Done => {
                return Err(PgError::new(
                    sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "portal cannot be run again",
                ));
            }
            State::Ready(params) => {
                let place = Place {
                    first: self.fresh,
                    next: match self.channel.next_tag() {
                        Some(b'S') if max_rows == 0 => Next::End,
                        _ => Next::Unknown,
                    },
                };
                self.fresh = false;
                let execute = self.backend.execute(statement, params, place);
                match guard(&self.handle, &mut self.channel, deadline, execute).await? {
                    Execution::Rows(rows) => Box::new(self.running(rows, formats)?),
                    Execution::Done { tag } => {
                        self.held = Some(tag);
                        return Ok(State::Done);
                    }
                    Execution::CopyIn(format) => {
                        self.copy_in(format, deadline).await?;
                        return Ok(State::Done);
                    }
                    Execution::CopyOut(copy) => {
                        self.copy_out(copy, deadline).await?;
                        return Ok(State::Done);
                    }
                    Execution::Empty => {
                        reply::empty_query(&mut self.channel.out);
                        return Ok(State::Done);
                    }
                }
            }
        };
        self.news();
        match self.send_rows(&mut running, max_rows, deadline).await? {
            Sent::All(count) => {
                self.held = Some(running.tag(count));
                Ok(State::Done)
            }
            Sent::Limit => {
                reply::portal_suspended(&mut self.channel.out);
                Ok(State::Running(running))
            }
        }
    }

    /// Closing what is not there is no error.
    pub(super) fn close(&mut self, target: Target) -> PgResult<()> {
        self.release();
        match target {
            Target::Statement(name) => {
                self.backend.statements().remove(&name);
            }
            Target::Portal(name) => self.portals.remove(&name),
        }
        reply::close_complete(&mut self.channel.out);
        Ok(())
    }

    pub(super) async fn sync(&mut self) -> PgResult<()> {
        if std::mem::take(&mut self.skipping) {
            self.end_implicit_quietly().await;
        } else {
            self.end_implicit().await?;
        }
        self.ready();
        Ok(())
    }
}
