//! The part of a session that its running statements reach: functions read and set settings,
//! notify, cancel others. Everything in here is behind a short lock; nothing waits.

use std::fmt;
use std::sync::Arc;

use omnigraph_catalog::access::Action;
use omnigraph_catalog::actor::Actor;
use omnigraph_catalog::lookup::quote_identifier;
use omnigraph_engine::names::{BranchName, CommitId};
use parking_lot::Mutex;

use super::live::Listed;
use super::locks::Request;
use super::notify::Pending;
use super::path;
use super::protocol::{SessionHandle, terminated};
use super::random::Random;
use super::settings::{Scope, Settings};
use super::shared::{Doing, GraphShared, Shared};
use super::watch::News;
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::bind::SessionCalls;

pub struct Common {
    pub shared: Arc<Shared>,
    pub graph: Option<Arc<GraphShared>>,
    pub actor: Actor,
    /// `current_database()`: the graph's name, without the branch it was entered with.
    pub database: Arc<str>,
    pub handle: SessionHandle,
    /// The branch that is meant when the search path names none.
    pub start_branch: BranchName,
    pub settings: Mutex<Settings>,
    /// What LISTEN and NOTIFY do at the commit.
    pub pending: Mutex<Vec<Pending>>,
    /// What `pg_prepared_statements` and `pg_cursors` show.
    pub listed: Mutex<Listed>,
    /// When the transaction that has asked for its number began, and the number.
    pub transaction: Mutex<Option<(i64, i64)>>,
    /// Its row of `pg_stat_activity`.
    pub doing: Arc<Mutex<Doing>>,
    pub random: Mutex<Random>,
}

/// How many LISTENs and NOTIFYs one transaction may collect.
const PENDING: usize = 10_000;

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common")
            .field("database", &self.database)
            .field("actor", &self.actor)
            .field("pid", &self.handle.pid())
            .finish_non_exhaustive()
    }
}

impl Drop for Common {
    fn drop(&mut self) {
        let pid = self.handle.pid();
        self.shared.locks.release(pid, false);
        self.shared.leave(pid);
    }
}

impl Common {
    pub fn get(&self, name: &str) -> String {
        self.settings.lock().get(name).to_owned()
    }

    /// A commit of this session's was published: whoever listens is told.
    pub fn tell_commit(&self, branch: &str, commit: CommitId) {
        self.handle.metrics().commit();
        self.settings
            .lock()
            .learn("last_commit", commit.to_string());
        if let Some(graph) = &self.graph {
            let news = News {
                branch,
                commit,
                actor: self.actor.as_str(),
                again: false,
            };
            let channels = &self.shared.channels;
            graph
                .watch
                .tell(channels, &self.database, self.handle.pid(), &news);
        }
    }

    /// What SHOW prints.
    pub fn show(&self, name: &str) -> PgResult<String> {
        if name.eq_ignore_ascii_case("branch") {
            return Ok(self.branch_in_memory()?.to_string());
        }
        self.settings.lock().show(name)
    }

    /// Sets what is one value for its row alone. `branch` and `search_path` are one thing.
    pub fn set(&self, name: &str, value: Option<&str>, scope: Scope) -> PgResult<()> {
        let folded = name.to_ascii_lowercase();
        match (folded.as_str(), value) {
            ("branch", Some(branch)) => self.set_path(&[branch.to_owned()], scope),
            ("branch", None) => self.settings.lock().reset("search_path", scope),
            ("search_path", Some(text)) => {
                path::entries(text)?;
                self.settings.lock().set("search_path", text, scope)
            }
            ("role" | "session_authorization", value) => self.set_identity(&folded, value, scope),
            (_, Some(text)) => self.settings.lock().set(name, text, scope),
            (_, None) => self.settings.lock().reset(name, scope),
        }
    }

    pub fn set_path(&self, entries: &[String], scope: Scope) -> PgResult<()> {
        let text = path::joined(entries);
        self.settings.lock().set("search_path", &text, scope)
    }

    /// One acts for oneself only.
    fn set_identity(&self, name: &str, value: Option<&str>, scope: Scope) -> PgResult<()> {
        let mut settings = self.settings.lock();
        match value {
            None => settings.reset(name, scope),
            Some(value) if name == "role" && value.eq_ignore_ascii_case("none") => {
                settings.set(name, "none", scope)
            }
            Some(value) if value == self.actor.as_str() => settings.set(name, value, scope),
            Some(value) => Err(PgError::new(
                sqlstate::INSUFFICIENT_PRIVILEGE,
                format!(
                    "permission denied to set {} \"{value}\"",
                    name.replace('_', " ")
                ),
            )
            .hint("Connect as the other actor instead.")),
        }
    }

    /// The session's branch as far as branches that were seen before go.
    pub fn branch_in_memory(&self) -> PgResult<BranchName> {
        let entries = path::entries(&self.get("search_path"))?;
        let found = path::candidates(&entries).find(|candidate| {
            *candidate == self.start_branch
                || self
                    .graph
                    .as_ref()
                    .is_some_and(|graph| graph.knows(candidate))
        });
        Ok(found.unwrap_or_else(|| self.start_branch.clone()))
    }

    pub fn push(&self, pending: Pending) -> PgResult<()> {
        let mut all = self.pending.lock();
        if all.len() >= PENDING {
            return Err(PgError::new(
                sqlstate::CONFIGURATION_LIMIT_EXCEEDED,
                format!("a transaction may listen and notify {PENDING} times"),
            ));
        }
        all.push(pending);
        Ok(())
    }

    /// The handle of another session of the same actor.
    fn other(&self, pid: i32) -> PgResult<Option<SessionHandle>> {
        let Some(activity) = self.shared.session(pid) else {
            return Ok(None);
        };
        if activity.actor != self.actor {
            return Err(PgError::new(
                sqlstate::INSUFFICIENT_PRIVILEGE,
                "permission denied to signal the session of another actor",
            )
            .detail(format!(
                "Process {pid} belongs to {}.",
                quote_identifier(activity.actor.as_str())
            )));
        }
        Ok(Some(activity.handle))
    }
}

impl SessionCalls for Common {
    fn setting(&self, name: &str) -> Option<String> {
        self.show(name).ok()
    }

    fn set_config(&self, name: &str, value: Option<&str>, local: bool) -> PgResult<String> {
        let scope = if local { Scope::Local } else { Scope::Session };
        if name.eq_ignore_ascii_case("branch")
            && let Some(branch) = value
        {
            let known = BranchName::parse(branch).is_ok_and(|branch| {
                branch == self.start_branch
                    || self
                        .graph
                        .as_ref()
                        .is_some_and(|graph| graph.knows(&branch))
            });
            if !known {
                return Err(PgError::new(
                    sqlstate::INVALID_SCHEMA_NAME,
                    format!("branch \"{branch}\" does not exist"),
                ));
            }
        }
        self.set(name, value, scope)?;
        self.show(name)
    }

    fn check_interrupt(&self) -> PgResult<()> {
        self.handle.interrupt().check()
    }

    fn user(&self) -> String {
        self.actor.to_string()
    }

    fn may(&self, actor: &str, action: Action, branch: Option<&str>) -> bool {
        let databases = &self.shared.databases;
        databases.would_allow(&self.database, actor, action, branch)
    }

    fn random(&self, count: usize) -> Vec<f64> {
        let mut random = self.random.lock();
        (0..count).map(|_| random.draw()).collect()
    }

    fn seed_random(&self, seed: f64) {
        *self.random.lock() = Random::seeded(seed);
    }

    fn backend_pid(&self) -> i32 {
        self.handle.pid()
    }

    fn cancel_backend(&self, pid: i32) -> PgResult<bool> {
        let other = self.other(pid)?;
        if let Some(handle) = &other {
            handle.cancel();
        }
        Ok(other.is_some())
    }

    fn terminate_backend(&self, pid: i32) -> PgResult<bool> {
        let other = self.other(pid)?;
        if let Some(handle) = &other {
            handle.terminate(terminated());
        }
        Ok(other.is_some())
    }

    fn listening(&self) -> Vec<String> {
        let channels = &self.shared.channels;
        channels.of_session(self.handle.pid())
    }

    fn notify(&self, channel: &str, payload: &str) -> PgResult<()> {
        self.push(Pending::notify(channel, payload)?)
    }

    fn try_advisory_lock(&self, key: i64, shared: bool, of_transaction: bool) -> PgResult<bool> {
        let request = Request {
            key,
            pid: self.handle.pid(),
            shared,
            of_transaction,
        };
        self.shared.locks.try_lock(&self.database, request)
    }

    fn advisory_lock(&self, key: i64, shared: bool, of_transaction: bool) -> PgResult<()> {
        let request = Request {
            key,
            pid: self.handle.pid(),
            shared,
            of_transaction,
        };
        let limit = self.settings.lock().limit("lock_timeout");
        self.shared
            .locks
            .lock(&self.database, request, limit, &|| self.check_interrupt())
    }

    fn blocking_pids(&self, pid: i32) -> Vec<i32> {
        self.shared.locks.blockers(pid)
    }

    fn transaction_id(&self, started_at: i64) -> i64 {
        let mut current = self.transaction.lock();
        match *current {
            Some((known, id)) if known == started_at => id,
            _ => {
                let id = self.shared.next_transaction();
                *current = Some((started_at, id));
                id
            }
        }
    }

    fn assigned_transaction_id(&self, started_at: i64) -> Option<i64> {
        self.transaction
            .lock()
            .filter(|(known, _)| *known == started_at)
            .map(|(_, id)| id)
    }

    fn next_transaction_id(&self) -> i64 {
        self.shared.peek_transaction()
    }

    fn advisory_unlock(&self, key: i64, shared: bool) -> PgResult<bool> {
        Ok(self
            .shared
            .locks
            .unlock(&self.database, key, self.handle.pid(), shared))
    }

    fn advisory_unlock_all(&self) -> PgResult<()> {
        self.shared.locks.unlock_all(self.handle.pid());
        Ok(())
    }
}
