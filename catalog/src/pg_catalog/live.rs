//! Relations whose rows differ by session and moment: settings, activity, prepared statements,
//! cursors, locks. The session makes their rows when a scan of them runs.

use std::fmt::Debug;

use super::value::Row;

/// What a session gives. Called while a statement runs, from any thread, and must not wait.
pub trait LiveRelations: Debug + Send + Sync {
    /// The rows of one of [`LIVE`]; columns that a row does not name are NULL.
    fn rows(&self, relation: &str) -> Vec<Row>;
}

/// All in `pg_catalog`.
pub const LIVE: &[&str] = &[
    "pg_cursors",
    "pg_file_settings",
    "pg_locks",
    "pg_prepared_statements",
    "pg_settings",
    "pg_stat_activity",
    "pg_stat_gssapi",
    "pg_stat_ssl",
    "pg_timezone_abbrevs",
    "pg_timezone_names",
];
