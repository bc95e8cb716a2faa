//! The relations of `pg_catalog` that show sessions and settings as they are now.

use omnigraph_catalog::pg_catalog::{LiveRelations, Row, Value};

use super::common::Common;
use super::settings::{Context, Kind, Shown, unit_name};

impl LiveRelations for Common {
    fn rows(&self, relation: &str) -> Vec<Row> {
        match relation {
            "pg_settings" => self
                .settings
                .lock()
                .all()
                .into_iter()
                .map(setting_row)
                .collect(),
            "pg_stat_activity" => self.activity_rows(),
            "pg_stat_ssl" => self.ssl_rows(),
            "pg_locks" => self.lock_rows(),
            "pg_timezone_names" => zone_rows(),
            "pg_prepared_statements" => self
                .listed
                .lock()
                .statements
                .iter()
                .map(statement_row)
                .collect(),
            "pg_cursors" => self.listed.lock().cursors.iter().map(cursor_row).collect(),
            // PostgreSQL's other ones have no rows here: there are no such files and processes.
            _ => Vec::new(),
        }
    }
}

/// What a session shows of itself, as of its last look at the catalogs.
#[derive(Debug, Default)]
pub struct Listed {
    pub statements: Vec<ListedStatement>,
    pub cursors: Vec<ListedCursor>,
}

#[derive(Debug, Clone)]
pub struct ListedStatement {
    pub name: String,
    pub text: String,
    pub prepared_at: i64,
    pub params: Vec<u32>,
}

#[derive(Debug, Clone)]
pub struct ListedCursor {
    pub name: String,
    pub text: String,
    pub hold: bool,
    pub scroll: bool,
    pub declared_at: i64,
}

fn text(value: impl Into<String>) -> Value {
    Value::Text(value.into())
}

fn text_of(value: Option<&str>) -> Value {
    value.map_or(Value::Null, text)
}

fn time(micros: Option<i64>) -> Value {
    micros.map_or(Value::Null, Value::Time)
}

fn setting_row(shown: Shown) -> Row {
    let Some(setting) = shown.row else {
        return vec![
            ("name", text(shown.name)),
            ("setting", text(shown.setting)),
            ("category", text("Customized Options")),
            ("context", text("user")),
            ("vartype", text("string")),
            ("source", text(shown.source)),
            ("reset_val", text(shown.reset)),
            ("pending_restart", Value::Bool(false)),
        ];
    };
    let (vartype, min, max, choices) = match setting.kind {
        Kind::Bool => ("bool", Value::Null, Value::Null, Value::Null),
        Kind::Int { min, max, .. } => (
            "integer",
            text(min.to_string()),
            text(max.to_string()),
            Value::Null,
        ),
        Kind::Real { min, max } => (
            "real",
            text(min.to_string()),
            text(max.to_string()),
            Value::Null,
        ),
        Kind::Enum(choices) => (
            "enum",
            Value::Null,
            Value::Null,
            Value::Texts(choices.iter().map(|choice| (*choice).to_owned()).collect()),
        ),
        Kind::Text => ("string", Value::Null, Value::Null, Value::Null),
    };
    let context = match setting.context {
        Context::User => "user",
        Context::Backend => "backend",
        Context::Postmaster => "postmaster",
        Context::Internal => "internal",
    };
    vec![
        ("name", text(shown.name)),
        ("setting", text(shown.setting)),
        ("unit", unit_name(setting).map_or(Value::Null, text)),
        ("category", text(setting.category)),
        ("short_desc", text(setting.doc)),
        ("context", text(context)),
        ("vartype", text(vartype)),
        ("source", text(shown.source)),
        ("min_val", min),
        ("max_val", max),
        ("enumvals", choices),
        ("boot_val", text(setting.default)),
        ("reset_val", text(shown.reset)),
        ("pending_restart", Value::Bool(false)),
    ]
}

fn statement_row(statement: &ListedStatement) -> Row {
    vec![
        ("name", text(&statement.name)),
        ("statement", text(&statement.text)),
        ("prepare_time", Value::Time(statement.prepared_at)),
        ("parameter_types", Value::Oids(statement.params.clone())),
    ]
}

fn cursor_row(cursor: &ListedCursor) -> Row {
    vec![
        ("name", text(&cursor.name)),
        ("statement", text(&cursor.text)),
        ("is_holdable", Value::Bool(cursor.hold)),
        ("is_binary", Value::Bool(false)),
        ("is_scrollable", Value::Bool(cursor.scroll)),
        ("creation_time", Value::Time(cursor.declared_at)),
    ]
}

fn zone_rows() -> Vec<Row> {
    let now = super::shared::now();
    chrono_tz::TZ_VARIANTS
        .iter()
        .filter_map(|zone| {
            let at = crate::text::Zone::parse(zone.name())?.at(now);
            Some(vec![
                ("name", text(zone.name())),
                ("abbrev", text(&*at.abbreviation)),
                ("is_dst", Value::Bool(false)),
            ])
        })
        .collect()
}

impl Common {
    fn activity_rows(&self) -> Vec<Row> {
        self.shared
            .sessions()
            .into_iter()
            .map(|(pid, activity)| {
                let doing = activity.doing.lock().clone();
                let waits = !self.shared.locks.blockers(pid).is_empty();
                vec![
                    ("datname", text(&*activity.database)),
                    ("pid", Value::Int(i64::from(pid))),
                    ("usename", text(activity.actor.as_str())),
                    ("backend_start", Value::Time(activity.started_at)),
                    ("application_name", text(doing.application)),
                    ("xact_start", time(doing.transaction_start)),
                    ("query_start", time(doing.query_start)),
                    ("state_change", time(doing.changed_at)),
                    ("wait_event_type", text_of(waits.then_some("Lock"))),
                    ("wait_event", text_of(waits.then_some("advisory"))),
                    (
                        "state",
                        text_of((!doing.state.is_empty()).then_some(doing.state)),
                    ),
                    ("query", text(doing.query)),
                    ("backend_type", text("client backend")),
                ]
            })
            .collect()
    }

    fn ssl_rows(&self) -> Vec<Row> {
        self.shared
            .sessions()
            .into_iter()
            .map(|(pid, activity)| {
                vec![
                    ("pid", Value::Int(i64::from(pid))),
                    ("ssl", Value::Bool(activity.tls)),
                ]
            })
            .collect()
    }

    fn lock_rows(&self) -> Vec<Row> {
        self.shared
            .locks
            .list(&self.database)
            .into_iter()
            .map(|(key, hold, granted)| {
                // The halves of the number, as PostgreSQL shows them.
                let (high, low) = ((key as u64 >> 32) as u32, key as u32);
                vec![
                    ("locktype", text("advisory")),
                    ("classid", Value::Oid(high)),
                    ("objid", Value::Oid(low)),
                    ("objsubid", Value::Int(1)),
                    ("pid", Value::Int(i64::from(hold.pid))),
                    (
                        "mode",
                        text(if hold.shared {
                            "ShareLock"
                        } else {
                            "ExclusiveLock"
                        }),
                    ),
                    ("granted", Value::Bool(granted)),
                    ("fastpath", Value::Bool(false)),
                ]
            })
            .collect()
    }
}
