//! What PostgreSQL has and this server has not: each is told what to use instead.

use super::done;
use crate::error::{PgError, PgResult, Severity};
use crate::session::Session;
use crate::session::protocol::{Execution, Place};
use crate::sqlstate;

/// Extensions whose objects are simply there.
const EXTENSIONS: &[&str] = &["vector", "pgcrypto", "uuid-ossp", "pg_trgm", "plpgsql"];

/// Command tags by their beginning, with the alternative.
const ALTERNATIVES: &[(&str, &str)] = &[
    (
        "CREATE MATERIALIZED VIEW",
        "Use a stored query instead of a view.",
    ),
    ("CREATE VIEW", "Use a stored query instead of a view."),
    (
        "CREATE TEMP",
        "Use a branch (CREATE SCHEMA) or a common table expression instead of a temporary table.",
    ),
    (
        "CREATE FUNCTION",
        "Use a stored query instead of a function.",
    ),
    (
        "CREATE PROCEDURE",
        "Use a stored query instead of a procedure.",
    ),
    (
        "CREATE TRIGGER",
        "LISTEN commits and diff() tell what has changed.",
    ),
    (
        "CREATE EVENT TRIGGER",
        "LISTEN commits and diff() tell what has changed.",
    ),
    (
        "CREATE RULE",
        "Constraints are declared in the graph's .pg schema.",
    ),
    (
        "CREATE POLICY",
        "Access is declared in policy files, not by SQL.",
    ),
    (
        "CREATE ROLE",
        "Actors are configured in the server's credentials.",
    ),
    (
        "CREATE USER",
        "Actors are configured in the server's credentials.",
    ),
    (
        "ALTER ROLE",
        "Actors are configured in the server's credentials.",
    ),
    (
        "DROP ROLE",
        "Actors are configured in the server's credentials.",
    ),
    ("GRANT", "Access is declared in policy files, not by SQL."),
    ("REVOKE", "Access is declared in policy files, not by SQL."),
    (
        "CREATE TYPE",
        "Declare an enum as a property's type in the graph's .pg schema.",
    ),
    (
        "CREATE SEQUENCE",
        "Ids are made by the server; leave them out of INSERT.",
    ),
    ("MERGE", "Use INSERT … ON CONFLICT DO UPDATE."),
    ("DO", "Run the statements one by one."),
    (
        "PREPARE TRANSACTION",
        "Use COMMIT: a commit is atomic and durable.",
    ),
];

/// 0A000 with the alternative, where there is one.
pub(crate) fn unsupported(tag: &str) -> PgError {
    let error = PgError::new(
        sqlstate::FEATURE_NOT_SUPPORTED,
        format!("{tag} is not supported"),
    );
    match ALTERNATIVES
        .iter()
        .find(|(begin, _)| tag.starts_with(begin))
    {
        Some((_, hint)) => error.hint(*hint),
        None => error,
    }
}

impl Session {
    pub(crate) fn create_extension(
        &mut self,
        name: &str,
        if_not_exists: bool,
    ) -> PgResult<Execution> {
        if !EXTENSIONS.contains(&name) {
            return Err(PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!("extension \"{name}\" is not available"),
            )
            .hint(format!("Available: {}.", EXTENSIONS.join(", "))));
        }
        if !if_not_exists {
            return Err(PgError::new(
                sqlstate::DUPLICATE_OBJECT,
                format!("extension \"{name}\" already exists"),
            ));
        }
        self.notice(PgError {
            severity: Severity::Notice,
            ..PgError::new(
                sqlstate::DUPLICATE_OBJECT,
                format!("extension \"{name}\" already exists, skipping"),
            )
        });
        Ok(done("CREATE EXTENSION"))
    }

    /// Statements that look after storage. Statistics are exact and tables have no bloat that a
    /// reader would notice, so ANALYZE has nothing to do; LOCK has no readers to keep out.
    pub(crate) fn maintain(&mut self, verb: &str, place: Place) -> PgResult<Execution> {
        match verb {
            "ANALYZE" | "ANALYSE" => Ok(done("ANALYZE")),
            "CHECKPOINT" => Ok(done("CHECKPOINT")),
            "LOCK" => {
                if !self.state.in_block() {
                    return Err(PgError::new(
                        sqlstate::NO_ACTIVE_SQL_TRANSACTION,
                        "LOCK TABLE can only be used in transaction blocks",
                    ));
                }
                Err(unsupported("LOCK TABLE")
                    .hint("Writers never block: what conflicts fails at COMMIT with 40001."))
            }
            verb => {
                self.refuse_block(verb, place)?;
                Err(unsupported(verb))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alternative_is_in_the_hint() {
        let error = unsupported("CREATE MATERIALIZED VIEW");
        assert_eq!(error.code, "0A000");
        assert_eq!(
            error.hint.as_deref(),
            Some("Use a stored query instead of a view.")
        );
        assert!(unsupported("SECURITY LABEL").hint.is_none());
    }
}
