//! The prepared statements of a session. Parse and SQL's `PREPARE` fill one name space, Close
//! and `DEALLOCATE` empty it: drivers mix the two (psycopg closes with `DEALLOCATE` what it
//! has prepared with Parse), so the session owns it and the connection loop borrows it.

use std::collections::HashMap;

use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// By name; `""` is the unnamed statement, which Parse replaces freely.
#[derive(Debug)]
pub struct PreparedStatements<S> {
    by_name: HashMap<String, S>,
    limit: usize,
}

impl<S: Clone> PreparedStatements<S> {
    /// What one session may hold: a driver's cache has hundreds, a leak has no end.
    pub const DEFAULT_LIMIT: usize = 10_000;

    pub fn new(limit: usize) -> Self {
        PreparedStatements {
            by_name: HashMap::new(),
            limit,
        }
    }

    /// Fails with 42P05 if the name is taken and with 53400 beyond the limit.
    pub fn insert(&mut self, name: &str, statement: S) -> PgResult<()> {
        if !name.is_empty() {
            self.check_free(name)?;
            if self.by_name.len() >= self.limit {
                return Err(PgError::new(
                    sqlstate::CONFIGURATION_LIMIT_EXCEEDED,
                    format!(
                        "this session already has {} prepared statements",
                        self.limit
                    ),
                )
                .hint(
                    "Close prepared statements that are no longer needed, or use DEALLOCATE ALL.",
                ));
            }
        }
        self.by_name.insert(name.to_owned(), statement);
        Ok(())
    }

    /// 42P05 if a named statement of this name exists. Parse asks before it binds, as
    /// PostgreSQL does, so that a duplicate name is reported before an error in the text.
    pub fn check_free(&self, name: &str) -> PgResult<()> {
        if !name.is_empty() && self.by_name.contains_key(name) {
            return Err(PgError::new(
                sqlstate::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        Ok(())
    }

    /// Fails with 26000.
    pub fn find(&self, name: &str) -> PgResult<S> {
        self.by_name.get(name).cloned().ok_or_else(|| {
            let message = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            PgError::new(sqlstate::INVALID_SQL_STATEMENT_NAME, message)
        })
    }

    /// Was there one?
    pub fn remove(&mut self, name: &str) -> bool {
        self.by_name.remove(name).is_some()
    }

    pub fn clear(&mut self) {
        self.by_name.clear();
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &S)> {
        self.by_name
            .iter()
            .map(|(name, statement)| (name.as_str(), statement))
    }
}

impl<S: Clone> Default for PreparedStatements<S> {
    fn default() -> Self {
        PreparedStatements::new(Self::DEFAULT_LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_once_and_the_unnamed_one_is_replaced() {
        let mut statements = PreparedStatements::new(2);
        statements.insert("a", 1).expect("free");
        assert_eq!(statements.insert("a", 2).unwrap_err().code, "42P05");
        statements.insert("", 3).expect("unnamed");
        statements.insert("", 4).expect("replaced");
        assert_eq!(statements.find("").expect("there"), 4);
        assert_eq!(statements.insert("b", 5).unwrap_err().code, "53400");
        assert!(statements.remove("a"));
        assert!(!statements.remove("a"));
        assert_eq!(statements.find("a").unwrap_err().code, "26000");
    }
}
