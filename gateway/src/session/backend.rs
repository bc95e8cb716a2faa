//! [`Session`] as the connection loop drives it. No decisions here: each call goes to the
//! statements. Their futures are boxed, so that the loop's own stays small.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datafusion::scalar::ScalarValue;
use futures::FutureExt;

use super::prepared::PreparedStatements;
use super::protocol::{Backend, Column, Described, Execution, Place, Timeouts, TransactionStatus};
use super::settings::Settings;
use super::shared::now;
use super::transaction::State;
use super::{Session, audit};
use crate::error::{PgError, PgResult};
use crate::plan::{Prepared, Statement};
use crate::statement::parse::{self, ParsedStatement};
use crate::text::{ObjectNames, TextFormat};

impl Backend for Session {
    type Parsed = ParsedStatement;
    type Statement = Statement;

    fn parse(&mut self, sql: &str) -> PgResult<Vec<ParsedStatement>> {
        parse::parse(sql)
    }

    async fn prepare(
        &mut self,
        parsed: Option<ParsedStatement>,
        params: &[u32],
    ) -> PgResult<Statement> {
        match parsed {
            None => Ok(Prepared::utility(None, None)),
            Some(parsed) => {
                self.prepare_statement(Arc::new(parsed), params)
                    .boxed()
                    .await
            }
        }
    }

    fn describe(&self, statement: &Statement) -> Described {
        statement.described.clone()
    }

    fn cursor_columns(&self, name: &str) -> Option<Arc<[Column]>> {
        self.cursors.columns(name)
    }

    async fn execute(
        &mut self,
        statement: &Statement,
        params: Vec<ScalarValue>,
        place: Place,
    ) -> PgResult<Execution> {
        self.show_running(statement);
        self.verb = statement.statement().map_or("OTHER", audit::verb);
        self.execute_statement(statement, params, place)
            .boxed()
            .await
    }

    fn ended(&mut self, took: Duration, error: Option<&PgError>) {
        self.audit(took, error);
    }

    async fn copy_write(&mut self, data: Bytes) -> PgResult<()> {
        self.copy_in_write(data).boxed().await
    }

    async fn copy_finish(&mut self) -> PgResult<String> {
        self.copy_in_finish().boxed().await
    }

    async fn copy_abort(&mut self) {
        self.copy = None;
    }

    async fn end_implicit(&mut self) -> PgResult<()> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Open(open) if !open.block => {
                let committed = self.commit(open).boxed().await;
                self.verb = "COMMIT";
                committed.map(drop)
            }
            other => {
                self.state = other;
                Ok(())
            }
        }
    }

    async fn fail(&mut self) {
        self.copy = None;
        // A commit that had begun goes on, and its outcome is part of the session.
        if let Ok(Some(info)) = self.published().await {
            self.committed(Some(&info));
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => {}
            State::Open(open) if open.block => self.state = State::Failed(Box::new(open.fail())),
            State::Open(open) => {
                self.undo(open.start());
                self.cursors.end_transaction();
                self.common
                    .shared
                    .locks
                    .release(self.common.handle.pid(), true);
            }
            State::Failed(failed) => self.state = State::Failed(failed),
        }
    }

    fn status(&self) -> TransactionStatus {
        let status = self.state.status();
        self.show_waiting(status);
        status
    }

    fn statements(&mut self) -> &mut PreparedStatements<Statement> {
        &mut self.statements
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        self.common.settings.lock().changes()
    }

    fn take_parameter_changes(&mut self) -> Vec<(&'static str, String)> {
        Settings::changes(&mut self.common.settings.lock())
    }

    fn take_notices(&mut self) -> Vec<PgError> {
        std::mem::take(&mut self.notices)
    }

    fn text_format(&self) -> Arc<TextFormat> {
        self.current_format()
    }

    fn object_names(&self) -> Arc<dyn ObjectNames> {
        Arc::clone(&self.names)
    }

    fn timeouts(&self) -> Timeouts {
        self.derived().timeouts
    }
}

/// The longest text of a statement that other sessions see.
const SHOWN_BYTES: usize = 1024;

impl Session {
    /// Shows the others what runs here.
    fn show_running(&self, statement: &Statement) {
        let Some(parsed) = &statement.parsed else {
            return;
        };
        let now = now();
        let mut query = parsed.text.as_str();
        if query.len() > SHOWN_BYTES {
            query = &query[..query.floor_char_boundary(SHOWN_BYTES)];
        }
        let derived = self.derived();
        let mut doing = self.common.doing.lock();
        doing.state = "active";
        query.clone_into(&mut doing.query);
        derived
            .application
            .as_ref()
            .clone_into(&mut doing.application);
        doing.query_start = Some(now);
        doing.changed_at = Some(now);
        doing.transaction_start = Some(match &self.state {
            State::Open(open) => open.started_at,
            State::Idle | State::Failed(_) => now,
        });
    }

    /// Shows the others that the client is to say what comes next.
    fn show_waiting(&self, status: TransactionStatus) {
        let mut doing = self.common.doing.lock();
        doing.state = match status {
            TransactionStatus::Idle => "idle",
            TransactionStatus::Open => "idle in transaction",
            TransactionStatus::Failed => "idle in transaction (aborted)",
        };
        if status == TransactionStatus::Idle {
            doing.transaction_start = None;
        }
        doing.changed_at = Some(now());
    }
}
