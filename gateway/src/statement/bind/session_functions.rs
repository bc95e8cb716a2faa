//! Functions about the session and what they do to it: settings, backends, locks, waiting,
//! transaction numbers.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int32Array, ListBuilder, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Field, Float64Type, IntervalMonthDayNanoType, TimestampMicrosecondType,
};
use datafusion::logical_expr::{Expr, Volatility};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::PgFunction;
use omnigraph_udfs::pg::function::Body;
use omnigraph_udfs::{Error, Result};

use super::SessionCalls;
use super::function_body::{Found, acts, booleans, int, integer_lists, reads, text, texts};
use super::text_io::carried;

/// The longest that pg_sleep sleeps, and how long before it looks whether it should stop.
const MAX_SLEEP_SECONDS: f64 = 86_400.0;
const SLEEP_SLICE: std::time::Duration = std::time::Duration::from_millis(20);

pub(super) fn body(name: &'static str, session: Arc<dyn SessionCalls>) -> Found {
    match name {
        "pg_backend_pid" => reads(Arc::new(move |_, count| {
            Ok(Arc::new(Int32Array::from(vec![
                session.backend_pid();
                count
            ])))
        })),
        "current_setting" => acts(Arc::new(move |a, count| {
            let mut out = StringBuilder::new();
            for row in 0..count {
                if a[0].is_null(row) {
                    out.append_null();
                    continue;
                }
                let name = text(a, 0, row);
                let missing_ok = a.get(1).is_some_and(|missing| {
                    !missing.is_null(row) && missing.as_boolean().value(row)
                });
                match session.setting(name) {
                    Some(value) => out.append_value(value),
                    None if missing_ok => out.append_null(),
                    None => {
                        return Err(Error::value(
                            "42704",
                            format!("unrecognized configuration parameter \"{name}\""),
                        ));
                    }
                }
            }
            Ok(Arc::new(out.finish()))
        })),
        "set_config" => acts(Arc::new(move |a, count| {
            let mut out = StringBuilder::new();
            for row in 0..count {
                if a[0].is_null(row) {
                    return Err(Error::value("22004", "SET requires parameter name"));
                }
                let value = (!a[1].is_null(row)).then(|| text(a, 1, row));
                let local = !a[2].is_null(row) && a[2].as_boolean().value(row);
                out.append_value(
                    session
                        .set_config(text(a, 0, row), value, local)
                        .map_err(carried)?,
                );
            }
            Ok(Arc::new(out.finish()))
        })),
        "pg_cancel_backend" => acts(booleans(move |a, row| {
            session
                .cancel_backend(int(a, 0, row) as i32)
                .map(Some)
                .map_err(carried)
        })),
        "pg_terminate_backend" => acts(booleans(move |a, row| {
            session
                .terminate_backend(int(a, 0, row) as i32)
                .map(Some)
                .map_err(carried)
        })),
        "setseed" => acts(texts(move |a, row| {
            let seed = a[0].as_primitive::<Float64Type>().value(row);
            if !(-1.0..=1.0).contains(&seed) {
                return Err(Error::value(
                    "22023",
                    format!("setseed parameter {seed} is out of allowed range [-1,1]"),
                ));
            }
            session.seed_random(seed);
            Ok(Some(String::new()))
        })),
        "pg_notify" => acts(texts(move |a, row| {
            session
                .notify(text(a, 0, row), text(a, 1, row))
                .map_err(carried)?;
            Ok(Some(String::new()))
        })),
        "pg_sleep" => acts(texts(move |a, row| {
            let seconds = a[0].as_primitive::<Float64Type>().value(row);
            sleep(session.as_ref(), seconds)
        })),
        "pg_sleep_for" => acts(texts(move |a, row| {
            let interval = a[0].as_primitive::<IntervalMonthDayNanoType>().value(row);
            let days = f64::from(interval.months) * 30.0 + f64::from(interval.days);
            sleep(
                session.as_ref(),
                days * 86_400.0 + interval.nanoseconds as f64 / 1e9,
            )
        })),
        "pg_sleep_until" => acts(texts(move |a, row| {
            let until = a[0].as_primitive::<TimestampMicrosecondType>().value(row);
            let left = until.saturating_sub(super::now_micros());
            sleep(session.as_ref(), left as f64 / 1e6)
        })),
        "timeofday" => acts(texts(|_, _| {
            let now = chrono::Utc::now();
            Ok(Some(now.format("%a %b %d %H:%M:%S%.6f %Y UTC").to_string()))
        })),
        "pg_blocking_pids" => acts(integer_lists(move |a, row| {
            session.blocking_pids(int(a, 0, row) as i32)
        })),
        "pg_safe_snapshot_blocking_pids" => reads(integer_lists(|_, _| Vec::new())),
        "pg_settings_get_flags" => reads(Arc::new(move |a, count| {
            let mut out = ListBuilder::new(StringBuilder::new()).with_field(Field::new(
                "item",
                DataType::Utf8,
                true,
            ));
            for row in 0..count {
                let known = a[0].is_valid(row) && session.setting(text(a, 0, row)).is_some();
                out.append(known);
            }
            Ok(Arc::new(out.finish()))
        })),
        _ if name.contains("advisory") => advisory(name, session).and_then(acts),
        _ => None,
    }
}

/// Advisory locks: one int8 key, or two int4 that make one.
fn advisory(name: &'static str, session: Arc<dyn SessionCalls>) -> Option<Body> {
    let (shared, of_transaction) = (name.ends_with("_shared"), name.contains("_xact_"));
    let key = |a: &[ArrayRef], row: usize| {
        if a.len() > 1 {
            int(a, 0, row) << 32 | (int(a, 1, row) & 0xffff_ffff)
        } else {
            int(a, 0, row)
        }
    };
    if name == "pg_advisory_unlock_all" {
        return Some(texts(move |_, _| {
            session.advisory_unlock_all().map_err(carried)?;
            Ok(Some(String::new()))
        }));
    }
    if name.starts_with("pg_advisory_unlock") {
        return Some(booleans(move |a, row| {
            session
                .advisory_unlock(key(a, row), shared)
                .map(Some)
                .map_err(carried)
        }));
    }
    if name.starts_with("pg_try_advisory") {
        return Some(booleans(move |a, row| {
            session
                .try_advisory_lock(key(a, row), shared, of_transaction)
                .map(Some)
                .map_err(carried)
        }));
    }
    Some(texts(move |a, row| {
        let key = key(a, row);
        aside(|| session.advisory_lock(key, shared, of_transaction)).map_err(carried)?;
        Ok(Some(String::new()))
    }))
}

/// Runs what blocks the thread while the others of the runtime go on.
fn aside<T>(block: impl FnOnce() -> T) -> T {
    let several = tokio::runtime::Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread);
    if several {
        tokio::task::block_in_place(block)
    } else {
        block()
    }
}

fn sleep(session: &dyn SessionCalls, seconds: f64) -> Result<Option<String>> {
    let seconds = seconds.clamp(0.0, MAX_SLEEP_SECONDS);
    let until = std::time::Instant::now() + std::time::Duration::from_secs_f64(seconds);
    aside(|| {
        loop {
            session.check_interrupt().map_err(carried)?;
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return Ok(Some(String::new()));
            }
            std::thread::sleep(left.min(SLEEP_SLICE));
        }
    })
}

/// When the transaction began: the last argument of what is asked about it.
pub(super) fn began(arrays: &[ArrayRef], row: usize) -> i64 {
    arrays.last().map_or(0, |array| {
        array.as_primitive::<TimestampMicrosecondType>().value(row)
    })
}

/// `clock_timestamp()`.
pub(super) fn clock() -> Expr {
    PgFunction::new(
        "clock_timestamp",
        PgType::TIMESTAMPTZ.arrow(),
        Volatility::Volatile,
        Arc::new(|_, count| {
            Ok(Arc::new(
                TimestampMicrosecondArray::from(vec![super::now_micros(); count])
                    .with_timezone("UTC"),
            ))
        }),
    )
    .over(Vec::new())
}

/// `random()`.
pub(super) fn random(session: Arc<dyn SessionCalls>) -> Expr {
    PgFunction::new(
        "random",
        DataType::Float64,
        Volatility::Volatile,
        Arc::new(move |_, count| Ok(Arc::new(Float64Array::from(session.random(count))))),
    )
    .over(Vec::new())
}

/// `gen_random_uuid()`.
pub(super) fn random_uuid() -> Expr {
    PgFunction::new(
        "gen_random_uuid",
        DataType::Utf8,
        Volatility::Volatile,
        Arc::new(|_, count| {
            let values: StringArray = (0..count)
                .map(|_| {
                    let bits =
                        (rand::random::<u128>() & !(0xf << 76 | 0x3 << 62)) | 0x4 << 76 | 0x2 << 62;
                    let hex = format!("{bits:032x}");
                    Some(format!(
                        "{}-{}-{}-{}-{}",
                        &hex[..8],
                        &hex[8..12],
                        &hex[12..16],
                        &hex[16..20],
                        &hex[20..]
                    ))
                })
                .collect();
            Ok(Arc::new(values))
        }),
    )
    .over(Vec::new())
}

/// When this process first asked: the server's start, near enough.
pub(super) fn started_at() -> i64 {
    static STARTED: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
    *STARTED.get_or_init(super::now_micros)
}
