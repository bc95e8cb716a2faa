//! Advisory locks: numbers that sessions of one server hold against each other.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// All advisory locks of a server, by database and number.
#[derive(Debug, Default)]
pub struct Locks {
    held: Mutex<HashMap<(Arc<str>, i64), Vec<Hold>>>,
}

/// How often a session holds a lock, in one way and for one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub pid: i32,
    pub shared: bool,
    /// Until the end of the transaction; otherwise until it is unlocked or the session ends.
    pub of_transaction: bool,
    times: u32,
}

/// How many locks all sessions together may hold.
const LOCKS: usize = 100_000;

impl Locks {
    /// Takes a lock if nobody else holds it in a way that excludes this one.
    pub fn try_lock(
        &self,
        database: &Arc<str>,
        key: i64,
        pid: i32,
        shared: bool,
        of_transaction: bool,
    ) -> PgResult<bool> {
        let mut held = self.held.lock();
        let full = held.len() >= LOCKS;
        let place = (Arc::clone(database), key);
        if full && !held.contains_key(&place) {
            return Err(PgError::new(
                sqlstate::CONFIGURATION_LIMIT_EXCEEDED,
                format!("all sessions together may hold {LOCKS} advisory locks"),
            ));
        }
        let holds = held.entry(place).or_default();
        if holds
            .iter()
            .any(|hold| hold.pid != pid && !(hold.shared && shared))
        {
            return Ok(false);
        }
        let same = |hold: &&mut Hold| {
            hold.pid == pid && hold.shared == shared && hold.of_transaction == of_transaction
        };
        match holds.iter_mut().find(same) {
            Some(hold) => hold.times = hold.times.saturating_add(1),
            None => holds.push(Hold {
                pid,
                shared,
                of_transaction,
                times: 1,
            }),
        }
        Ok(true)
    }

    /// Gives a session's lock back once; false if it does not hold it.
    pub fn unlock(&self, database: &Arc<str>, key: i64, pid: i32, shared: bool) -> bool {
        let mut held = self.held.lock();
        let place = (Arc::clone(database), key);
        let Some(holds) = held.get_mut(&place) else {
            return false;
        };
        let Some(at) = holds
            .iter()
            .position(|hold| hold.pid == pid && hold.shared == shared && !hold.of_transaction)
        else {
            return false;
        };
        holds[at].times -= 1;
        if holds[at].times == 0 {
            holds.remove(at);
        }
        if holds.is_empty() {
            held.remove(&place);
        }
        true
    }

    /// Gives back what a session holds: all of it, or what was until the end of the transaction.
    pub fn release(&self, pid: i32, of_transaction_only: bool) {
        self.held.lock().retain(|_, holds| {
            holds.retain(|hold| hold.pid != pid || (of_transaction_only && !hold.of_transaction));
            !holds.is_empty()
        });
    }

    /// Gives back what a session holds for its whole time.
    pub fn unlock_all(&self, pid: i32) {
        self.held.lock().retain(|_, holds| {
            holds.retain(|hold| hold.pid != pid || hold.of_transaction);
            !holds.is_empty()
        });
    }

    /// Every hold of a database, for `pg_locks`.
    pub fn list(&self, database: &str) -> Vec<(i64, Hold)> {
        let held = self.held.lock();
        let mut list: Vec<(i64, Hold)> = held
            .iter()
            .filter(|((of, _), _)| **of == *database)
            .flat_map(|((_, key), holds)| holds.iter().map(|hold| (*key, hold.clone())))
            .collect();
        list.sort_by_key(|(key, hold)| (*key, hold.pid));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_or_many_share_it() {
        let (locks, here): (Locks, Arc<str>) = (Locks::default(), "here".into());
        let lock = |key, pid, shared| {
            locks
                .try_lock(&here, key, pid, shared, false)
                .expect("room")
        };
        assert!(lock(1, 10, false) && lock(1, 10, false));
        assert!(!lock(1, 20, false) && !lock(1, 20, true));
        assert!(locks.unlock(&here, 1, 10, false) && !lock(1, 20, false));
        assert!(locks.unlock(&here, 1, 10, false) && lock(1, 20, false));
        assert!(!locks.unlock(&here, 1, 10, false));
        assert!(lock(2, 10, true) && lock(2, 20, true) && !lock(2, 30, false));
        let there: Arc<str> = "there".into();
        assert!(locks.try_lock(&there, 1, 10, false, false).expect("room"));
    }

    #[test]
    fn locks_of_the_transaction_end_with_it() {
        let (locks, here): (Locks, Arc<str>) = (Locks::default(), "here".into());
        assert!(locks.try_lock(&here, 1, 10, false, true).expect("room"));
        assert!(locks.try_lock(&here, 2, 10, false, false).expect("room"));
        assert!(!locks.unlock(&here, 1, 10, false));
        locks.release(10, true);
        assert_eq!(locks.list("here").len(), 1);
        locks.release(10, false);
        assert!(locks.held.lock().is_empty());
    }
}
