//! SQL: from text to what is to be done.
//!
//! [`parse`] makes statements of a text, [`bind`] gives queries and DML their meaning, and each
//! other file is one family of statements: what they do to a [`Session`]. This page says which
//! family a statement belongs to.

pub mod bind;
pub mod branch;
pub mod commit;
pub mod copy;
pub mod cursor;
pub mod database;
pub mod define;
pub mod explain;
pub mod parse;
pub mod prepare;
pub mod query;
pub mod refuse;
pub mod set;
pub mod show;
pub mod vacuum;
pub mod write;

use std::sync::Arc;

use datafusion::scalar::ScalarValue;

use crate::error::PgResult;
use crate::plan::{Prepared, Statement};
use crate::session::Session;
use crate::session::notify::Pending;
use crate::session::protocol::{Execution, Place};
use parse::{ParsedStatement, Statement as Parsed};

impl Session {
    /// Parse: what a statement takes and gives is known afterwards. Nothing is run.
    pub(crate) async fn prepare_statement(
        &mut self,
        parsed: Arc<ParsedStatement>,
        declared: &[u32],
    ) -> PgResult<Statement> {
        if !leaves_failed_block(&parsed.statement) {
            self.state.refuse_failed()?;
        }
        let columns = match &parsed.statement {
            statement if statement.is_bound() || matches!(statement, Parsed::Call(_)) => {
                return self.bind(parsed, declared).await;
            }
            Parsed::Declare(declare) => {
                let query = Arc::new(declare.query.clone());
                let inner = self.bind(query, declared).await?;
                let params = Arc::clone(&inner.described.params);
                return Ok(Prepared::taking(parsed, params));
            }
            Parsed::Show(show) => Some(self.show_columns(show)?),
            Parsed::Explain(explain) => Some(explain::columns(explain)),
            Parsed::Fetch(fetch) if !fetch.moves => self.cursors.columns(&fetch.cursor),
            Parsed::Execute { name, .. } => self
                .statements
                .find(name)
                .ok()
                .and_then(|statement| statement.described.columns.clone()),
            _ => None,
        };
        Ok(Prepared::utility(Some(parsed), columns))
    }

    /// Execute: runs a statement up to its first rows.
    pub(crate) async fn execute_statement(
        &mut self,
        statement: &Statement,
        params: Vec<ScalarValue>,
        place: Place,
    ) -> PgResult<Execution> {
        let Some(parsed) = statement.parsed.clone() else {
            return Ok(Execution::Empty);
        };
        if !leaves_failed_block(&parsed.statement) {
            self.state.refuse_failed()?;
        }
        match &parsed.statement {
            Parsed::Query(_) => self.query(statement, &params, place).await,
            Parsed::Insert(_)
            | Parsed::Update(_)
            | Parsed::Delete(_)
            | Parsed::Merge(_)
            | Parsed::With(_) => self.write(statement, &params, place).await,
            Parsed::Truncate { tables, cascade } => self.truncate(tables, *cascade, place).await,
            Parsed::Explain(explain) => self.explain(&parsed, explain, place).await,
            Parsed::Call(_) => self.call(statement, &params, place).await,
            Parsed::Copy(copy) => self.copy(copy, place).await,
            Parsed::Set(set) => self.set(set, place).await,
            Parsed::SetTransaction { session, modes } => self.set_transaction(*session, modes),
            Parsed::SetConstraints => Ok(done("SET CONSTRAINTS")),
            Parsed::Show(show) => self.show(show, place).await,
            Parsed::Reset(name) => self.reset(name.as_deref()),
            Parsed::Discard(what) => self.discard(what, place),
            Parsed::Begin(modes) => self.begin_block(modes),
            Parsed::Commit { chain } => self.commit_block(*chain).await,
            Parsed::Rollback { chain } => self.roll_back_block(*chain),
            Parsed::Savepoint(name) => self.savepoint(name),
            Parsed::Release(name) => self.release(name),
            Parsed::RollbackTo(name) => self.roll_back_to(name),
            Parsed::Prepare(prepare) => self.prepare_named(prepare).await,
            Parsed::Execute { name, arguments } => self.execute_named(name, arguments, place).await,
            Parsed::Deallocate(name) => self.deallocate(name.as_deref()),
            Parsed::Declare(declare) => {
                let types = &statement.described.params;
                self.declare(declare, types, &params, place).await
            }
            Parsed::Fetch(fetch) => self.fetch(fetch).await,
            Parsed::Close(name) => self.close(name.as_deref()),
            Parsed::CreateSchema {
                name,
                if_not_exists,
                ..
            } => self.create_schema(name, *if_not_exists).await,
            Parsed::DropSchema {
                names,
                if_exists,
                cascade,
                ..
            } => self.drop_schema(names, *if_exists, *cascade, place).await,
            Parsed::CreateDatabase {
                name,
                schema,
                policy,
            } => {
                let policy = policy.as_deref();
                self.create_database(name, schema, policy, place).await
            }
            Parsed::DropDatabase { name, if_exists } => {
                self.drop_database(name, *if_exists, place).await
            }
            Parsed::Define(definition) => self.define(definition, place).await,
            Parsed::Listen(channel) => self.later(Pending::listen(channel)?, "LISTEN"),
            Parsed::Unlisten(Some(channel)) => {
                self.later(Pending::Unlisten(channel.clone()), "UNLISTEN")
            }
            Parsed::Unlisten(None) => self.later(Pending::UnlistenAll, "UNLISTEN"),
            Parsed::Notify { channel, payload } => {
                self.later(Pending::notify(channel, payload)?, "NOTIFY")
            }
            Parsed::Vacuum(vacuum) => self.vacuum(vacuum, place).await,
            Parsed::Maintenance { verb, .. } => self.maintain(verb, place),
            Parsed::CreateExtension {
                name,
                if_not_exists,
            } => self.create_extension(name, *if_not_exists),
            Parsed::Other { tag } => Err(refuse::unsupported(tag)),
        }
    }

    /// What happens when the transaction commits; without one it is at the end of the
    /// implicit one.
    fn later(&mut self, pending: Pending, tag: &'static str) -> PgResult<Execution> {
        self.open();
        self.common.push(pending)?;
        Ok(done(tag))
    }
}

/// The statements that run in a failed block, because they end it.
fn leaves_failed_block(statement: &Parsed) -> bool {
    matches!(
        statement,
        Parsed::Commit { .. } | Parsed::Rollback { .. } | Parsed::RollbackTo(_)
    )
}

pub(crate) fn done(tag: impl Into<String>) -> Execution {
    Execution::Done { tag: tag.into() }
}
