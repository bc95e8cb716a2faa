//! Where the engine's times and random identities come from.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::names::CommitId;

/// Hands out times and unique identities.
pub trait Environment: Send + Sync + fmt::Debug {
    /// Microseconds since 1970.
    fn now(&self) -> i64;
    fn random(&self) -> u128;
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
