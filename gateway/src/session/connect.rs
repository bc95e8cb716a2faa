//! From a startup message to a session.

use std::sync::Arc;

use futures::FutureExt;
use omnigraph_catalog::access::SERVER_DATABASE;
use omnigraph_catalog::actor::Actor;
use omnigraph_engine::Error;
use omnigraph_engine::names::BranchName;
use parking_lot::Mutex;

use super::common::Common;
use super::derived::Derived;
use super::notify::Listener;
use super::prepared::PreparedStatements;
use super::protocol::{Backends, Startup};
use super::settings::Settings;
use super::shared::{Activity, Shared, now};
use super::transaction::State;
use super::{Attached, Session, path};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::cursor::Cursors;
use crate::text::NoNames;

/// Makes the sessions of a server.
#[derive(Debug, Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

impl Gateway {
    pub fn new(shared: Arc<Shared>) -> Self {
        Gateway { shared }
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Backends for Gateway {
    type Backend = Session;

    async fn connect(&self, startup: Startup) -> PgResult<Session> {
        let actor = Actor::new(startup.actor.as_str());
        let (database, branch) = match startup.database.split_once('@') {
            Some((database, branch)) => (database, Some(branch)),
            None => (startup.database.as_str(), None),
        };
        let graph = self
            .graph(&startup.database, database, branch, &actor)
            .boxed()
            .await?;
        let start_branch = match branch {
            Some(branch) => BranchName::parse(branch).map_err(|_| unknown(&startup.database))?,
            None => BranchName::main(),
        };
        let common = Arc::new(Common {
            shared: Arc::clone(&self.shared),
            graph: graph.as_ref().map(|attached| Arc::clone(&attached.shared)),
            actor: actor.clone(),
            database: database.into(),
            handle: startup.handle.clone(),
            start_branch,
            settings: Mutex::new(self.settings(&startup)),
            pending: Mutex::default(),
            listed: Mutex::default(),
            transaction: Mutex::default(),
            doing: Arc::default(),
            random: Mutex::default(),
        });
        let derived = Derived::of(&common.settings.lock());
        let session = Session {
            interrupt: startup.handle.interrupt(),
            state: State::Idle,
            statements: PreparedStatements::default(),
            cursors: Cursors::default(),
            copy: None,
            notices: Vec::new(),
            listener: Listener::new(
                Arc::clone(&self.shared.channels),
                Arc::clone(&common.database),
                startup.handle.clone(),
            ),
            publishing: None,
            derived: Mutex::new(Arc::new(derived)),
            past: None,
            catalogs: None,
            names: NoNames::shared(),
            verb: "CONNECT",
            graph,
            common,
        };
        session.start_settings(&startup).boxed().await?;
        self.shared.enter(
            startup.pid,
            Activity {
                database: Arc::clone(&session.common.database),
                actor,
                handle: startup.handle.clone(),
                started_at: now(),
                tls: startup.tls,
                doing: Arc::clone(&session.common.doing),
            },
        );
        Ok(session)
    }
}

impl Gateway {
    /// The graph of a database and what its branch shows; `None` for the server's own.
    async fn graph(
        &self,
        asked: &str,
        name: &str,
        branch: Option<&str>,
        actor: &Actor,
    ) -> PgResult<Option<Attached>> {
        if name == SERVER_DATABASE && branch.is_none() {
            return Ok(None);
        }
        let access = match self.shared.databases.access(name, actor).await {
            Ok(access) => access,
            Err(Error::NotFound { .. }) => return Err(unknown(asked)),
            Err(error) if self.shared.databases.revision().is_some() => {
                return Err(unknown(asked).detail(error.to_string()));
            }
            Err(error) => {
                return Err(PgError::new(
                    sqlstate::CANNOT_CONNECT_NOW,
                    format!("database \"{name}\" is not being served"),
                )
                .detail(error.to_string()));
            }
        };
        let shared = self.shared.graph(name, access.graph());
        let attached = Attached { access, shared };
        let branch = match branch {
            Some(branch) => BranchName::parse(branch).map_err(|_| unknown(asked))?,
            None => BranchName::main(),
        };
        match attached.shared.branch(&attached.access, &branch).await {
            Ok(_) => Ok(Some(attached)),
            Err(error) if error.code == sqlstate::INVALID_SCHEMA_NAME => Err(unknown(asked)),
            Err(error) => Err(error),
        }
    }

    fn settings(&self, startup: &Startup) -> Settings {
        let facts = &self.shared.facts;
        let mut settings = Settings::new();
        settings.learn("durability", facts.durability.clone());
        settings.learn("port", facts.port.to_string());
        settings.learn("ssl", if facts.tls { "on" } else { "off" });
        settings.learn("max_connections", facts.max_connections.to_string());
        settings.learn("session_authorization", startup.actor.clone());
        settings
    }
}

impl Session {
    /// Applies what the startup message sets; an error there ends the connection.
    async fn start_settings(&self, startup: &Startup) -> PgResult<()> {
        for (name, value) in &startup.settings {
            let mut settings = self.common.settings.lock();
            match name.to_ascii_lowercase().as_str() {
                "branch" => {
                    let name = BranchName::parse(value)?;
                    settings.start("search_path", &path::joined(&[name.to_string()]))?;
                }
                "search_path" => {
                    path::entries(value)?;
                    settings.start(name, value)?;
                }
                _ => settings.start(name, value)?,
            }
        }
        let path = self.common.get("search_path");
        for (name, value) in &startup.settings {
            if name.eq_ignore_ascii_case("branch") && self.branch().await?.as_str() != value {
                return Err(PgError::new(
                    sqlstate::INVALID_SCHEMA_NAME,
                    format!("branch \"{value}\" does not exist (search_path {path})"),
                ));
            }
        }
        Ok(())
    }
}

fn unknown(database: &str) -> PgError {
    PgError::fatal(
        sqlstate::INVALID_CATALOG_NAME,
        format!("database \"{database}\" does not exist"),
    )
}
