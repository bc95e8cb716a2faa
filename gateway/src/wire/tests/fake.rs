//! A session that understands a handful of words. What was done with it is written down.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use bytes::Bytes;
use datafusion::common::ScalarValue;
use futures::{StreamExt, stream};
use omnigraph_catalog::types::PgType;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::auth::Authenticator;
use crate::error::{PgError, PgResult};
use crate::session::prepared::PreparedStatements;
use crate::session::protocol::{
    Backend, Backends, Column, CopyBatch, CopyFormat, CopyOut, Described, Execution, Interrupt,
    Next, Place, Rows, RowsTag, Startup, Timeouts, TransactionStatus,
};
use crate::session::registry::Registry;
use crate::text::{NoNames, ObjectNames, TextFormat};
use crate::tls::Tls;
use crate::wire::startup::{LOGIN_TIMEOUT, Shared};

pub(super) fn shared(authenticator: Authenticator, tls: Option<Tls>) -> Arc<Shared<Fakes>> {
    Arc::new(unshared(authenticator, tls))
}

pub(super) fn unshared(authenticator: Authenticator, tls: Option<Tls>) -> Shared<Fakes> {
    Shared {
        backends: Fakes::default(),
        registry: Arc::default(),
        authenticator,
        tls,
        sessions: Arc::new(Semaphore::new(3)),
        login_timeout: LOGIN_TIMEOUT,
        closing: tokio::sync::watch::channel(false).1,
    }
}

#[derive(Default)]
pub(super) struct Fakes {
    pub(super) journal: Arc<Mutex<Vec<String>>>,
    pub(super) timeouts: Mutex<Timeouts>,
}

pub(super) struct Fake {
    journal: Arc<Mutex<Vec<String>>>,
    timeouts: Timeouts,
    status: TransactionStatus,
    statements: PreparedStatements<Arc<Prepared>>,
    interrupt: Arc<Interrupt>,
    startup: Startup,
    commit_fails: bool,
    commit_panics: bool,
    copied: Vec<u8>,
    parameter_changes: Vec<(&'static str, String)>,
    notices: Vec<PgError>,
}

pub(super) struct Prepared {
    words: Vec<String>,
    params: Arc<[PgType]>,
    columns: Option<Arc<[Column]>>,
}

impl Backends for Fakes {
    type Backend = Fake;

    async fn connect(&self, startup: Startup) -> PgResult<Fake> {
        if startup.database == "nowhere" {
            return Err(PgError::new("3D000", "database \"nowhere\" does not exist"));
        }
        Ok(Fake {
            journal: Arc::clone(&self.journal),
            timeouts: *self.timeouts.lock(),
            status: TransactionStatus::Idle,
            statements: PreparedStatements::new(5),
            interrupt: startup.handle.interrupt(),
            startup,
            commit_fails: false,
            commit_panics: false,
            copied: Vec::new(),
            parameter_changes: Vec::new(),
            notices: Vec::new(),
        })
    }
}

impl Fake {
    fn note(&self, what: impl Into<String>) {
        self.journal.lock().push(what.into());
    }

    fn settings(&self) -> String {
        let pairs = self
            .startup
            .settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join(",")
    }
}

fn ints(name: &str) -> Arc<[Column]> {
    Arc::new([Column::new(name, PgType::INT4)])
}

impl Backend for Fake {
    type Parsed = Vec<String>;
    type Statement = Arc<Prepared>;

    fn parse(&mut self, sql: &str) -> PgResult<Vec<Vec<String>>> {
        let mut statements = Vec::new();
        for text in sql.split(';') {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            match words.first().map(String::as_str) {
                None => {}
                Some("explode") => panic!("a fault of the parser"),
                Some("oops") => return Err(PgError::new("42601", "syntax error").at(1)),
                Some(_) => statements.push(words),
            }
        }
        Ok(statements)
    }

    async fn prepare(
        &mut self,
        parsed: Option<Vec<String>>,
        params: &[u32],
    ) -> PgResult<Arc<Prepared>> {
        let words = parsed.unwrap_or_default();
        let params: Arc<[PgType]> = params.iter().map(|oid| PgType::new(*oid)).collect();
        let columns = match words.first().map(String::as_str) {
            Some("rows" | "hang" | "endless" | "late") => Some(ints("n")),
            Some("echo") => {
                let column = |(i, ty): (usize, &PgType)| Column::new(format!("p{}", i + 1), *ty);
                Some(params.iter().enumerate().map(column).collect())
            }
            Some("unknown") => return Err(PgError::new("42P01", "relation does not exist")),
            _ => None,
        };
        if self.status == TransactionStatus::Failed
            && words.first().is_none_or(|word| word != "rollback")
        {
            return Err(PgError::new("25P02", "current transaction is aborted"));
        }
        Ok(Arc::new(Prepared {
            words,
            params,
            columns,
        }))
    }

    fn describe(&self, statement: &Arc<Prepared>) -> Described {
        Described {
            params: Arc::clone(&statement.params),
            columns: statement.columns.clone(),
        }
    }

    async fn execute(
        &mut self,
        statement: &Arc<Prepared>,
        params: Vec<ScalarValue>,
        place: Place,
    ) -> PgResult<Execution> {
        let words: Vec<&str> = statement.words.iter().map(String::as_str).collect();
        let mark = match (place.first, place.next) {
            (true, Next::End) => "alone",
            (true, _) => "first",
            (false, Next::End) => "last",
            (false, _) => "within",
        };
        self.note(format!("{} {mark}", words.join(" ")));
        let number = |at: usize| {
            words
                .get(at)
                .and_then(|word| word.parse::<i32>().ok())
                .unwrap_or(0)
        };
        let done = |tag: &str| {
            Ok(Execution::Done {
                tag: tag.to_owned(),
            })
        };
        match words.first().copied() {
            None => Ok(Execution::Empty),
            Some("rows") => Ok(rows(0..number(1), number(2).max(1))),
            Some("endless") => Ok(rows(0..i32::MAX, 1000)),
            Some("late") => {
                let first = stream::iter([Ok(batch(&[1]))]);
                let then = stream::once(async {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Err(PgError::new("22012", "division by zero"))
                });
                Ok(Execution::Rows(Rows {
                    columns: ints("n"),
                    stream: first.chain(then).boxed(),
                    tag: RowsTag::Counted("SELECT"),
                }))
            }
            Some("hang") => std::future::pending().await,
            Some("busy") => {
                // Work without an await looks at the interrupt by itself.
                let deadline = std::time::Instant::now() + Duration::from_secs(10);
                while std::time::Instant::now() < deadline {
                    self.interrupt.check()?;
                    std::thread::sleep(Duration::from_millis(1));
                }
                done("BUSY")
            }
            Some("echo") => {
                let fields: Vec<Field> = statement
                    .params
                    .iter()
                    .enumerate()
                    .map(|(i, ty)| Field::new(format!("p{}", i + 1), ty.arrow(), true))
                    .collect();
                let arrays: Vec<ArrayRef> = params
                    .iter()
                    .map(|value| value.to_array().expect("an array"))
                    .collect();
                let options = RecordBatchOptions::new().with_row_count(Some(1));
                let batch = RecordBatch::try_new_with_options(
                    Arc::new(Schema::new(fields)),
                    arrays,
                    &options,
                )
                .expect("parameters have the types that were described");
                Ok(Execution::Rows(Rows {
                    columns: statement.columns.clone().expect("echo has columns"),
                    stream: stream::iter([Ok(batch)]).boxed(),
                    tag: RowsTag::Counted("SELECT"),
                }))
            }
            Some("fail") => Err(PgError::new("22012", "division by zero")),
            Some("panic") => panic!("a fault of ours"),
            Some("begin") => {
                self.status = TransactionStatus::Open;
                done("BEGIN")
            }
            Some("commit" | "rollback") => {
                self.status = TransactionStatus::Idle;
                done("COMMIT")
            }
            Some("commitfails") => {
                self.commit_fails = true;
                done("INSERT 0 1")
            }
            Some("commitpanics") => {
                self.commit_panics = true;
                done("INSERT 0 1")
            }
            Some("set") => {
                self.parameter_changes
                    .push(("application_name", words[1].to_owned()));
                done("SET")
            }
            Some("warn") => {
                self.notices.push(PgError::warning(
                    "25P01",
                    "there is no transaction in progress",
                ));
                done("WARN")
            }
            Some("settings") => {
                let settings = self.settings();
                done(&settings)
            }
            Some("copyin") => Ok(Execution::CopyIn(CopyFormat {
                binary: false,
                columns: 2,
            })),
            Some("copyout") => Ok(Execution::CopyOut(CopyOut {
                format: CopyFormat {
                    binary: false,
                    columns: 1,
                },
                stream: stream::iter([Ok(CopyBatch {
                    data: Bytes::from_static(b"a\nbb\n"),
                    ends: vec![2, 5],
                    rows: 2,
                })])
                .boxed(),
            })),
            Some(_) => done("OK"),
        }
    }

    async fn copy_write(&mut self, data: Bytes) -> PgResult<()> {
        if data.starts_with(b"bad") {
            return Err(PgError::new("22P04", "missing data for column \"b\""));
        }
        self.copied.extend_from_slice(&data);
        Ok(())
    }

    async fn copy_finish(&mut self) -> PgResult<String> {
        let copied = std::mem::take(&mut self.copied);
        Ok(format!(
            "COPY {}",
            copied.iter().filter(|&&byte| byte == b'\n').count()
        ))
    }

    async fn copy_abort(&mut self) {
        self.copied.clear();
        self.note("copy aborted");
    }

    async fn end_implicit(&mut self) -> PgResult<()> {
        if self.status != TransactionStatus::Idle {
            return Ok(());
        }
        assert!(
            !std::mem::take(&mut self.commit_panics),
            "a fault of the commit"
        );
        if std::mem::take(&mut self.commit_fails) {
            return Err(PgError::new("40001", "could not serialize access"));
        }
        self.note("commit");
        Ok(())
    }

    async fn fail(&mut self) {
        self.commit_fails = false;
        if self.status == TransactionStatus::Open {
            self.status = TransactionStatus::Failed;
        }
        self.note("fail");
    }

    fn status(&self) -> TransactionStatus {
        self.status
    }

    fn statements(&mut self) -> &mut PreparedStatements<Arc<Prepared>> {
        &mut self.statements
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![
            ("server_version", "16.6".to_owned()),
            ("client_encoding", "UTF8".to_owned()),
        ]
    }

    fn take_parameter_changes(&mut self) -> Vec<(&'static str, String)> {
        std::mem::take(&mut self.parameter_changes)
    }

    fn take_notices(&mut self) -> Vec<PgError> {
        std::mem::take(&mut self.notices)
    }

    fn text_format(&self) -> Arc<TextFormat> {
        Arc::default()
    }

    fn object_names(&self) -> Arc<dyn ObjectNames> {
        NoNames::shared()
    }

    fn timeouts(&self) -> Timeouts {
        self.timeouts
    }
}

fn batch(values: &[i32]) -> RecordBatch {
    let array: ArrayRef = Arc::new(Int32Array::from(values.to_vec()));
    RecordBatch::try_from_iter([("n", array)]).expect("one column")
}

fn rows(range: std::ops::Range<i32>, size: i32) -> Execution {
    let end = range.end;
    let starts = range.step_by(size as usize);
    let batches = starts.map(move |start| {
        let values: Vec<i32> = (start..start.saturating_add(size).min(end)).collect();
        Ok(batch(&values))
    });
    Execution::Rows(Rows {
        columns: ints("n"),
        stream: stream::iter(batches).boxed(),
        tag: RowsTag::Counted("SELECT"),
    })
}

/// A registry that tests reach into.
pub(super) fn registry(shared: &Shared<Fakes>) -> &Arc<Registry> {
    &shared.registry
}
