//! Where the engine's times and random identities come from.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::error::{Error, Result};
use crate::names::CommitId;

/// Hands out times and unique identities. Whatever waits asks it, too: with one of its own a
/// test decides all that comes from outside.
pub trait Environment: Send + Sync + fmt::Debug {
    /// Microseconds since 1970.
    fn now(&self) -> i64;
    fn random(&self) -> u128;

    /// A stopwatch that was started before anything else and never goes back.
    fn stopwatch(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }

    /// Lets others go on for some time.
    fn pause(&self, time: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(time).boxed()
    }

    /// Does it tell the time of day? What only counts need not agree with a store's clock.
    fn tells_time(&self) -> bool {
        true
    }
}

/// The system's clock and random numbers.
#[derive(Debug, Default)]
pub struct System;

impl Environment for System {
    fn now(&self) -> i64 {
        chrono::Utc::now().timestamp_micros()
    }

    fn random(&self) -> u128 {
        rand::random()
    }
}

/// Counts instead of measuring: for tests that must be repeatable.
#[derive(Debug, Default)]
pub struct Counting(AtomicI64);

impl Environment for Counting {
    fn now(&self) -> i64 {
        1_700_000_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn random(&self) -> u128 {
        let count = self.0.fetch_add(1, Ordering::Relaxed) as u128;
        count.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }

    fn tells_time(&self) -> bool {
        false
    }
}

const SECOND: i64 = 1_000_000;
/// How far a clock may be off the store's before somebody should know,
const SUSPECT: i64 = 5 * SECOND;
/// and before nothing is written by it.
const WRONG: i64 = 60 * SECOND;

/// Compares the clock with a store's, which said `stored` of an object that was written between
/// the two other times. What a branch showed at a time is final after a minute: whoever writes
/// by a clock that is behind by more would change it.
pub(crate) fn check(written: (i64, i64), stored: i64) -> Result<()> {
    // Stores may tell whole seconds.
    let ahead = written.0 - stored - SECOND;
    let behind = stored - written.1;
    let off = ahead.max(behind);
    let side = if ahead > behind { "ahead of" } else { "behind" };
    if off > WRONG {
        return Err(Error::ReadOnly {
            reason: format!(
                "this machine's clock is {} s {side} the store's; set it right",
                off / SECOND
            ),
        });
    }
    if off > SUSPECT {
        tracing::warn!(
            "this machine's clock is {} s {side} the store's",
            off / SECOND
        );
    }
    Ok(())
}

pub(crate) fn ulid(environment: &dyn Environment) -> ulid::Ulid {
    ulid::Ulid::from_parts(
        (environment.now() / 1000).max(0) as u64,
        environment.random(),
    )
}

pub(crate) fn commit_id(environment: &dyn Environment) -> CommitId {
    CommitId::new(ulid(environment))
}

/// A random identity of 26 characters.
pub fn unique(environment: &dyn Environment) -> String {
    ulid(environment).to_string()
}

pub fn system() -> Arc<dyn Environment> {
    Arc::new(System)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_may_be_off_by_a_minute_and_a_store_tell_whole_seconds() {
        let written = (1_000 * SECOND, 1_002 * SECOND);
        for (stored, right) in [(999, true), (1_002, true), (940, true), (1_060, true)]
            .into_iter()
            .chain([(938, false), (1_063, false), (0, false)])
        {
            let outcome = check(written, stored * SECOND);
            assert_eq!(outcome.is_ok(), right, "{stored}: {outcome:?}");
        }
    }
}
