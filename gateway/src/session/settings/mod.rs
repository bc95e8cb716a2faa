//! What SET, SHOW and RESET work on: one session's settings.
//!
//! A value set inside a transaction is gone when the transaction or the savepoint is rolled
//! back; one set by SET LOCAL is gone at the transaction's end in any case. The state is two
//! shared maps, so that a savepoint is two pointers.

mod table;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use table::{Context, Effect, Kind, SETTINGS, Setting, find};
pub use value::{boolean, posix_offset, unit_name};

use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// For how long a SET holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Session,
    /// Until the end of the transaction.
    Local,
}

#[derive(Debug, Clone)]
pub struct Settings {
    state: Mark,
    /// What RESET goes back to: set by the startup message and by the server.
    startup: BTreeMap<String, String>,
    /// Facts that the server shows and nobody sets.
    facts: BTreeMap<&'static str, String>,
    /// What the client was last told with ParameterStatus, and as of which version.
    reported: BTreeMap<&'static str, String>,
    reported_at: Option<u64>,
    /// Counts the changes, for what is derived from settings and kept.
    version: u64,
}

/// The settings at one moment, for a transaction or savepoint to go back to.
#[derive(Debug, Clone, Default)]
pub struct Mark {
    session: Arc<BTreeMap<String, String>>,
    local: Arc<BTreeMap<String, String>>,
}

/// One row of SHOW ALL and `pg_settings`.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub name: String,
    /// With its unit, as SHOW prints it.
    pub value: String,
    /// Without it, as `pg_settings.setting` has it.
    pub setting: String,
    pub row: Option<&'static Setting>,
    pub reset: String,
    pub source: &'static str,
}

/// How many settings of its own (`my.name`) a session may make.
const CUSTOM_SETTINGS: usize = 1000;
const VALUE_BYTES: usize = 1 << 20;

impl Default for Settings {
    fn default() -> Self {
        Settings::new()
    }
}

impl Settings {
    pub fn new() -> Self {
        Settings {
            state: Mark::default(),
            startup: BTreeMap::new(),
            facts: BTreeMap::new(),
            reported: BTreeMap::new(),
            reported_at: None,
            version: 0,
        }
    }

    /// Differs whenever a setting may have changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// A setting of the startup message, its `options` included: checked like SET, and what
    /// RESET will go back to.
    pub fn start(&mut self, name: &str, text: &str) -> PgResult<()> {
        let (name, row) = known(name)?;
        if let Some(row) = row
            && !matches!(row.context, Context::User | Context::Backend)
        {
            return Err(refused(row));
        }
        refuse_lasting(&name)?;
        let value = checked(row, text)?;
        self.version += 1;
        self.startup.insert(name, value);
        Ok(())
    }

    /// Something the server knows and clients only read, as `last_commit`.
    pub fn learn(&mut self, name: &'static str, value: impl Into<String>) {
        self.version += 1;
        self.facts.insert(name, value.into());
    }

    pub fn set(&mut self, name: &str, text: &str, scope: Scope) -> PgResult<()> {
        let (name, row) = known(name)?;
        if let Some(row) = row
            && row.context != Context::User
        {
            return Err(refused(row));
        }
        if scope == Scope::Session {
            refuse_lasting(&name)?;
        }
        let value = checked(row, text)?;
        self.put(name, Some(value), scope)
    }

    /// `SET name TO DEFAULT` and `RESET name`.
    pub fn reset(&mut self, name: &str, scope: Scope) -> PgResult<()> {
        let (name, row) = known(name)?;
        if let Some(row) = row
            && row.context != Context::User
        {
            return Err(refused(row));
        }
        match scope {
            Scope::Session => self.put(name, None, scope),
            Scope::Local => {
                let value = self.reset_value(&name, row);
                self.put(name, Some(value), scope)
            }
        }
    }

    /// `RESET ALL`. Like PostgreSQL it leaves who one is and the running transaction alone.
    pub fn reset_all(&mut self) {
        self.version += 1;
        let kept = |name: &String| {
            find(name).is_some_and(|row| {
                row.effect == Effect::Identity || row.name.starts_with("transaction_")
            })
        };
        Arc::make_mut(&mut self.state.session).retain(|name, _| kept(name));
        Arc::make_mut(&mut self.state.local).retain(|name, _| kept(name));
    }

    fn put(&mut self, name: String, value: Option<String>, scope: Scope) -> PgResult<()> {
        self.version += 1;
        let session = Arc::make_mut(&mut self.state.session);
        if session.len() >= CUSTOM_SETTINGS && !session.contains_key(&name) {
            return Err(PgError::new(
                sqlstate::CONFIGURATION_LIMIT_EXCEEDED,
                format!("a session may have at most {CUSTOM_SETTINGS} settings"),
            ));
        }
        match (scope, value) {
            (Scope::Session, Some(value)) => {
                Arc::make_mut(&mut self.state.local).remove(&name);
                session.insert(name, value);
            }
            (Scope::Session, None) => {
                Arc::make_mut(&mut self.state.local).remove(&name);
                session.remove(&name);
            }
            (Scope::Local, Some(value)) => {
                Arc::make_mut(&mut self.state.local).insert(name, value);
            }
            (Scope::Local, None) => {
                Arc::make_mut(&mut self.state.local).remove(&name);
            }
        }
        Ok(())
    }

    /// The value in force, without its unit. Unknown names are empty: for names in the table.
    pub fn get(&self, name: &str) -> &str {
        self.lookup(name, find(name)).unwrap_or("")
    }

    /// What SHOW prints; 42704 for a name nobody has set.
    pub fn show(&self, name: &str) -> PgResult<String> {
        let row = find(name);
        let canonical = row.map_or_else(|| name.to_ascii_lowercase(), |row| row.name.to_owned());
        match (self.lookup(&canonical, row), row) {
            (Some(value), Some(row)) => Ok(value::display(row, value)),
            (Some(value), None) => Ok(value.to_owned()),
            (None, _) => Err(unrecognized(name)),
        }
    }

    fn lookup<'a>(&'a self, name: &str, row: Option<&'static Setting>) -> Option<&'a str> {
        let name = row.map_or(name, |row| row.name);
        self.state
            .local
            .get(name)
            .or_else(|| self.state.session.get(name))
            .or_else(|| self.startup.get(name))
            .or_else(|| self.facts.get(name))
            .map(String::as_str)
            .or_else(|| row.map(|row| row.default))
    }

    fn reset_value(&self, name: &str, row: Option<&'static Setting>) -> String {
        self.startup
            .get(name)
            .or_else(|| self.facts.get(name))
            .cloned()
            .unwrap_or_else(|| row.map_or_else(String::new, |row| row.default.to_owned()))
    }

    /// Was it set, in this session or by its startup message?
    pub fn is_set(&self, name: &str) -> bool {
        [&*self.state.local, &*self.state.session, &self.startup]
            .iter()
            .any(|map| map.contains_key(name))
    }

    /// All of them, by name: the table's rows and then what was set besides.
    pub fn all(&self) -> Vec<Shown> {
        let mut shown: Vec<Shown> = SETTINGS
            .iter()
            .map(|row| self.shown(row.name, Some(row)))
            .collect();
        let custom = |map: &BTreeMap<String, String>| -> Vec<String> {
            map.keys()
                .filter(|name| find(name).is_none())
                .cloned()
                .collect()
        };
        let mut names = custom(&self.state.session);
        names.extend(custom(&self.state.local));
        names.extend(custom(&self.startup));
        names.sort();
        names.dedup();
        shown.extend(names.iter().map(|name| self.shown(name, None)));
        shown
    }

    fn shown(&self, name: &str, row: Option<&'static Setting>) -> Shown {
        let setting = self.lookup(name, row).unwrap_or("").to_owned();
        let source = if self.state.local.contains_key(name) || self.state.session.contains_key(name)
        {
            "session"
        } else if self.startup.contains_key(name) {
            "client"
        } else {
            "default"
        };
        Shown {
            name: name.to_owned(),
            value: row.map_or_else(|| setting.clone(), |row| value::display(row, &setting)),
            setting,
            row,
            reset: self.reset_value(name, row),
            source,
        }
    }

    pub fn mark(&self) -> Mark {
        self.state.clone()
    }

    /// Goes back: a transaction or savepoint was rolled back.
    pub fn restore(&mut self, mark: &Mark) {
        self.version += 1;
        self.state = mark.clone();
    }

    /// The transaction is over: what SET LOCAL said no longer holds.
    pub fn end_transaction(&mut self) {
        if !self.state.local.is_empty() {
            self.version += 1;
            self.state.local = Arc::default();
        }
    }

    /// What the client has to be told with ParameterStatus, and was not yet.
    pub fn changes(&mut self) -> Vec<(&'static str, String)> {
        let mut changes = Vec::new();
        if self.reported_at == Some(self.version) {
            return changes;
        }
        self.reported_at = Some(self.version);
        for row in SETTINGS.iter().filter(|row| row.report) {
            let now = self.lookup(row.name, Some(row)).unwrap_or("");
            if self.reported.get(row.name).map(String::as_str) != Some(now) {
                let now = now.to_owned();
                self.reported.insert(row.name, now.clone());
                changes.push((row.name, now));
            }
        }
        changes
    }

    pub fn is_on(&self, name: &str) -> bool {
        self.get(name) == "on"
    }

    /// A setting in milliseconds; `None` when it is 0, which means "no limit".
    pub fn limit(&self, name: &str) -> Option<Duration> {
        match self.get(name).parse::<u64>() {
            Ok(0) | Err(_) => None,
            Ok(ms) => Some(Duration::from_millis(ms)),
        }
    }
}

/// The canonical name and the row, or 42704. Names with a dot are the session's own.
fn known(name: &str) -> PgResult<(String, Option<&'static Setting>)> {
    if let Some(row) = find(name) {
        return Ok((row.name.to_owned(), Some(row)));
    }
    let folded = name.to_ascii_lowercase();
    let is_word = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part
                .chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == '$')
    };
    if !folded.contains('.') || folded.starts_with("omnigraph.") {
        return Err(unrecognized(name));
    }
    if folded.len() > 127 || !folded.split('.').all(is_word) {
        return Err(PgError::new(
            sqlstate::INVALID_NAME,
            format!("invalid configuration parameter name \"{name}\""),
        )
        .detail(
            "Custom parameter names must be two or more simple identifiers separated by dots.",
        ));
    }
    Ok((folded, None))
}

fn checked(row: Option<&'static Setting>, text: &str) -> PgResult<String> {
    if text.len() > VALUE_BYTES {
        return Err(PgError::new(
            sqlstate::CONFIGURATION_LIMIT_EXCEEDED,
            format!("the value of a setting is at most {VALUE_BYTES} bytes long"),
        ));
    }
    row.map_or_else(|| Ok(text.to_owned()), |row| value::parse(row, text))
}

fn unrecognized(name: &str) -> PgError {
    PgError::new(
        sqlstate::UNDEFINED_OBJECT,
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

/// A second transaction with the same key would be taken for the first one run again.
fn refuse_lasting(name: &str) -> PgResult<()> {
    if name != "idempotency_key" {
        return Ok(());
    }
    Err(PgError::new(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "idempotency_key is of one transaction",
    )
    .hint("Use SET LOCAL in its block."))
}

fn refused(row: &Setting) -> PgError {
    let why = match row.context {
        Context::User | Context::Backend => "cannot be set after connection start",
        Context::Postmaster => "cannot be changed without restarting the server",
        Context::Internal => "cannot be changed",
    };
    PgError::new(
        sqlstate::CANT_CHANGE_RUNTIME_PARAM,
        format!("parameter \"{}\" {why}", row.name),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: PgResult<()>) -> &'static str {
        result.expect_err("an error").code
    }

    #[test]
    fn set_holds_until_reset_and_reset_goes_back_to_the_start() {
        let mut settings = Settings::new();
        settings.start("Application_Name", "first").expect("start");
        settings
            .set("application_name", "second", Scope::Session)
            .expect("set");
        assert_eq!(settings.show("APPLICATION_NAME").expect("show"), "second");
        settings
            .reset("application_name", Scope::Session)
            .expect("reset");
        assert_eq!(settings.get("application_name"), "first");
    }

    #[test]
    fn rollback_takes_back_set_and_the_end_takes_back_set_local() {
        let mut settings = Settings::new();
        settings
            .set("work_mem", "1MB", Scope::Session)
            .expect("set");
        let begin = settings.mark();
        settings
            .set("work_mem", "2MB", Scope::Session)
            .expect("set");
        let savepoint = settings.mark();
        settings.set("work_mem", "3MB", Scope::Local).expect("set");
        assert_eq!(settings.show("work_mem").expect("show"), "3MB");
        settings.restore(&savepoint);
        assert_eq!(settings.show("work_mem").expect("show"), "2MB");
        settings.set("work_mem", "3MB", Scope::Local).expect("set");
        let mut committed = settings.clone();
        committed.end_transaction();
        assert_eq!(committed.show("work_mem").expect("show"), "2MB");
        settings.restore(&begin);
        assert_eq!(settings.show("work_mem").expect("show"), "1MB");
    }

    #[test]
    fn custom_names_need_a_dot() {
        let mut settings = Settings::new();
        settings
            .set("My.Custom", "1", Scope::Session)
            .expect("custom");
        assert_eq!(settings.show("my.custom").expect("show"), "1");
        assert_eq!(
            code(settings.set("no_such_guc", "1", Scope::Session)),
            "42704"
        );
        assert_eq!(code(settings.set("a.b c", "1", Scope::Session)), "42602");
        assert_eq!(
            code(settings.set("omnigraph.nope", "1", Scope::Session)),
            "42704"
        );
        assert_eq!(
            settings.show("never.set").expect_err("unknown").code,
            "42704"
        );
    }

    #[test]
    fn facts_cannot_be_set() {
        let mut settings = Settings::new();
        settings.learn("last_commit", "01ABC");
        assert_eq!(settings.show("last_commit").expect("show"), "01ABC");
        assert_eq!(
            code(settings.set("last_commit", "x", Scope::Session)),
            "55P02"
        );
        assert_eq!(
            code(settings.set("server_version", "17", Scope::Local)),
            "55P02"
        );
    }

    #[test]
    fn the_client_is_told_once_of_each_change() {
        let mut settings = Settings::new();
        assert!(
            settings
                .changes()
                .iter()
                .any(|(name, _)| *name == "server_version")
        );
        assert!(settings.changes().is_empty());
        settings
            .set("timezone", "Europe/Berlin", Scope::Session)
            .expect("set");
        settings
            .set("work_mem", "1MB", Scope::Session)
            .expect("set");
        assert_eq!(
            settings.changes(),
            [("TimeZone", "Europe/Berlin".to_owned())]
        );
    }
}
