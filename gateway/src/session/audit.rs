//! The audit log: who did what, by which rule, and how it ended.
//!
//! One structured line for each decision of policy that a statement needed, written when the
//! statement has ended, under the target `omnigraph_audit`: refusals, and changes that a rule
//! allowed, as INFO; reads, and everything on a server without policies, as DEBUG
//! (`OMNIGRAPH_LOG=info,omnigraph_audit=debug`). Texts, parameters and rows are not in it.

use std::time::Duration;

use omnigraph_catalog::access::{Action, Decided};
use tracing::{debug, info};

use super::Session;
use crate::error::PgError;
use crate::sqlstate;
use crate::statement::parse::Statement;

/// The target of its lines.
pub const TARGET: &str = "omnigraph_audit";

impl Session {
    /// Tells of a statement that has ended.
    pub(crate) fn audit(&self, took: Duration, error: Option<&PgError>) {
        let Some(attached) = &self.graph else {
            return;
        };
        let outcome = error.map_or(sqlstate::SUCCESSFUL_COMPLETION, |error| error.code);
        let mut decided = attached.access.take_decided();
        if decided.is_empty() && error.is_some() && self.verb == "COMMIT" {
            // What was allowed was told with its statement; this is that it came to nothing.
            decided.push(Decided {
                action: Action::Change,
                branch: None,
                allowed: true,
                rules: Vec::new(),
            });
        }
        for decided in decided {
            self.line(&decided, outcome, took);
        }
    }

    fn line(&self, decided: &Decided, outcome: &str, took: Duration) {
        let actor = self.common.actor.as_str();
        let graph = &*self.common.database;
        let session = self.common.handle.pid();
        let statement = self.verb;
        let action = decided.action.name();
        let branch = decided.branch.as_deref().unwrap_or_default();
        let rules = decided.rules.join(",");
        let decision = if decided.allowed { "allow" } else { "deny" };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // What no rule was asked about is of interest to who wants all.
        let plain = decided.action == Action::Read || decided.rules.is_empty();
        if decided.allowed && plain {
            debug!(target: TARGET, actor, graph, session, statement, action, branch, decision, rules, outcome, micros, "audit");
        } else {
            info!(target: TARGET, actor, graph, session, statement, action, branch, decision, rules, outcome, micros, "audit");
        }
    }
}

/// The first word of a statement, as its command tag has it.
pub(crate) fn verb(statement: &Statement) -> &'static str {
    match statement {
        Statement::Query(_) => "SELECT",
        Statement::Insert(_) => "INSERT",
        Statement::Update(_) => "UPDATE",
        Statement::Delete(_) => "DELETE",
        Statement::Merge(_) => "MERGE",
        Statement::With(_) => "WITH",
        Statement::Call(_) => "CALL",
        Statement::Copy(_) => "COPY",
        Statement::Truncate { .. } => "TRUNCATE",
        Statement::CreateSchema { .. } => "CREATE SCHEMA",
        Statement::DropSchema { .. } => "DROP SCHEMA",
        Statement::CreateDatabase { .. } => "CREATE DATABASE",
        Statement::DropDatabase { .. } => "DROP DATABASE",
        Statement::Define(_) => "DEFINE",
        Statement::Vacuum(_) => "VACUUM",
        Statement::Execute { .. } => "EXECUTE",
        Statement::Explain(_) => "EXPLAIN",
        Statement::Commit { .. } => "COMMIT",
        _ => "OTHER",
    }
}
