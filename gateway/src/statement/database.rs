//! CREATE DATABASE and DROP DATABASE: a database is a graph.

use omnigraph_catalog::access::{INVALID_NAME, SERVER_DATABASE};
use omnigraph_catalog::cluster::{APPROVAL_REQUIRED, Error};
use omnigraph_catalog::diagnostic::Diagnostic;
use omnigraph_engine::error::Error as EngineError;

use super::done;
use crate::error::{PgError, PgResult};
use crate::session::Session;
use crate::session::protocol::{Execution, Place};
use crate::sqlstate;

impl Session {
    pub(crate) async fn create_database(
        &mut self,
        name: &str,
        schema: &str,
        policy: Option<&str>,
        place: Place,
    ) -> PgResult<Execution> {
        self.refuse_read_only()?;
        self.refuse_block("CREATE DATABASE", place)?;
        let databases = &self.common.shared.databases;
        let made = databases.create(name, schema, policy, &self.common.actor);
        Box::pin(made).await.map_err(told)?;
        Ok(done("CREATE DATABASE"))
    }

    pub(crate) async fn drop_database(
        &mut self,
        name: &str,
        if_exists: bool,
        place: Place,
    ) -> PgResult<Execution> {
        self.refuse_read_only()?;
        self.refuse_block("DROP DATABASE", place)?;
        let in_use = |message: String| PgError::new(sqlstate::OBJECT_IN_USE, message);
        if *self.common.database == *name || name == SERVER_DATABASE {
            return Err(in_use("cannot drop the currently open database".to_owned())
                .hint("Connect to another one; \"postgres\" is always there."));
        }
        let shared = &self.common.shared;
        let sessions = shared.sessions();
        let others = sessions.iter().filter(|(_, one)| *one.database == *name);
        let others = others.count();
        if others > 0 {
            return Err(in_use(format!(
                "database \"{name}\" is being accessed by other users"
            ))
            .detail(format!(
                "There are {others} other sessions using the database."
            )));
        }
        let dropped = shared.databases.drop(name, &self.common.actor);
        let dropped = Box::pin(dropped).await;
        match dropped {
            Err(Error::Engine(EngineError::NotFound { .. })) if if_exists => {
                let message = format!("database \"{name}\" does not exist, skipping");
                self.notice(PgError::notice(message));
            }
            dropped => dropped.map_err(told)?,
        }
        Ok(done("DROP DATABASE"))
    }
}

/// What the control plane answers, as a client is told it.
fn told(error: Error) -> PgError {
    let code = |found: &Diagnostic| match found.code {
        "state_lock_held" => sqlstate::LOCK_NOT_AVAILABLE,
        APPROVAL_REQUIRED => sqlstate::INSUFFICIENT_PRIVILEGE,
        INVALID_NAME => sqlstate::INVALID_NAME,
        _ => sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
    };
    let one = |found: &Diagnostic| PgError {
        hint: found.hint.clone(),
        ..PgError::new(code(found), found.message.clone())
    };
    match error {
        Error::Engine(error) => error.into(),
        Error::Refused(found) => one(&found),
        Error::Invalid(found) => match found.first() {
            Some(first) => PgError::new(sqlstate::INVALID_PARAMETER_VALUE, first.to_string()),
            None => PgError::new(sqlstate::INTERNAL_ERROR, "a mistake that nobody told"),
        },
        lost @ Error::Lost { .. } => {
            PgError::new(sqlstate::SERIALIZATION_FAILURE, lost.to_string()).hint("Run it again.")
        }
    }
}
