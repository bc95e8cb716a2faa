//! Filling one slot of a log: the compare-and-swap that everything rests on.
//!
//! Creating the object *is* the commit. What the store answers is not taken at its word: a
//! retried or lost reply makes `AlreadyExists` about our own write, and an error may hide a
//! success. So every body carries a nonce, and whoever does not clearly win reads the slot
//! before believing anything. A body that was sent is frozen: until the slot is known to be
//! filled, only the same bytes are sent there again.

use std::time::Duration;

use bytes::Bytes;

use crate::clock::Environment;
use crate::error::{Error, Result};
use crate::storage::{Created, Durability, Store};

/// Whose body fills the slot.
#[derive(Debug)]
pub(crate) enum Filled {
    Ours,
    Theirs(Bytes),
}

/// What is known when the slot could not be settled.
#[derive(Debug)]
pub(crate) enum SlotError {
    /// Nothing was written and nothing will be.
    NotWritten(Error),
    /// The store stayed unreachable, or it wrote but cannot promise to keep it.
    Unknown,
}

/// Puts `body` at `key` unless something is there. `is_ours` recognises our nonce.
pub(crate) async fn fill(
    store: &Store,
    environment: &dyn Environment,
    key: &str,
    body: Bytes,
    is_ours: impl Fn(&[u8]) -> bool,
) -> Result<Filled, SlotError> {
    let give_up = environment.stopwatch() + store.patience();
    let mut pause = Duration::from_millis(20);
    loop {
        let failure = match store.create(key, body.clone()).await {
            Ok(Created::Yes) => return Ok(Filled::Ours),
            Ok(Created::Exists) => None,
            Err(error) => Some(error),
        };
        match store.read(key).await {
            Ok(Some(held)) if is_ours(&held) => {
                if failure.is_some() && store.durability() == Durability::Fsync {
                    // The entry is there but its folder could not be synced.
                    store.distrust();
                    return Err(SlotError::Unknown);
                }
                return Ok(Filled::Ours);
            }
            Ok(Some(held)) => return Ok(Filled::Theirs(held)),
            Ok(None) => {
                if let Some(error) = failure
                    && !store.is_remote()
                {
                    // A local call that returned has nothing left in flight.
                    return Err(SlotError::NotWritten(error));
                }
            }
            Err(_) => {}
        }
        if environment.stopwatch() >= give_up {
            return Err(SlotError::Unknown);
        }
        environment.pause(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}
