//! Advisory locks: numbers that sessions of one server hold against each other. Who waits for
//! one is woken when a lock is given back, and told when everybody waits for everybody.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// All advisory locks of a server, by database and number.
#[derive(Debug, Default)]
pub struct Locks {
    held: Mutex<Held>,
    /// Some lock was given back.
    freed: Condvar,
}

type Place = (Arc<str>, i64);

#[derive(Debug, Default)]
struct Held {
    by_place: HashMap<Place, Vec<Hold>>,
    /// What sessions wait for.
    waiting: HashMap<i32, (Place, bool)>,
}

/// What a session asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    pub key: i64,
    pub pid: i32,
    pub shared: bool,
    pub of_transaction: bool,
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

/// How long a waiting session sleeps before it looks whether it should give up.
const LOOK: Duration = Duration::from_millis(20);

impl Held {
    fn take(&mut self, place: &Place, request: Request) -> PgResult<bool> {
        if self.by_place.len() >= LOCKS && !self.by_place.contains_key(place) {
            return Err(PgError::new(
                sqlstate::CONFIGURATION_LIMIT_EXCEEDED,
                format!("all sessions together may hold {LOCKS} advisory locks"),
            ));
        }
        let holds = self.by_place.entry(place.clone()).or_default();
        if holds
            .iter()
            .any(|hold| hold.excludes(request.pid, request.shared))
        {
            return Ok(false);
        }
        let same = |hold: &&mut Hold| {
            hold.pid == request.pid
                && hold.shared == request.shared
                && hold.of_transaction == request.of_transaction
        };
        match holds.iter_mut().find(same) {
            Some(hold) => hold.times = hold.times.saturating_add(1),
            None => holds.push(Hold {
                pid: request.pid,
                shared: request.shared,
                of_transaction: request.of_transaction,
                times: 1,
            }),
        }
        Ok(true)
    }

    /// The sessions that keep another one waiting.
    fn blockers(&self, pid: i32) -> Vec<i32> {
        let Some((place, shared)) = self.waiting.get(&pid) else {
            return Vec::new();
        };
        let holds = self
            .by_place
            .get(place)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut pids: Vec<i32> = holds
            .iter()
            .filter(|hold| hold.excludes(pid, *shared))
            .map(|hold| hold.pid)
            .collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Does the session wait for itself, through others?
    fn is_deadlock(&self, pid: i32) -> bool {
        let mut seen = HashSet::new();
        let mut next = self.blockers(pid);
        while let Some(other) = next.pop() {
            if other == pid {
                return true;
            }
            if seen.insert(other) {
                next.extend(self.blockers(other));
            }
        }
        false
    }
}

impl Hold {
    fn excludes(&self, pid: i32, shared: bool) -> bool {
        self.pid != pid && !(self.shared && shared)
    }
}

impl Locks {
    /// Takes a lock if nobody else holds it in a way that excludes this one.
    pub fn try_lock(&self, database: &Arc<str>, request: Request) -> PgResult<bool> {
        let place = (Arc::clone(database), request.key);
        self.held.lock().take(&place, request)
    }

    /// Waits for a lock, at most for as long as `limit` says, and for as long as `check` lets
    /// it. It blocks the thread.
    pub fn lock(
        &self,
        database: &Arc<str>,
        request: Request,
        limit: Option<Duration>,
        check: &dyn Fn() -> PgResult<()>,
    ) -> PgResult<()> {
        let place = (Arc::clone(database), request.key);
        let until = limit.map(|limit| Instant::now() + limit);
        let mut held = self.held.lock();
        let outcome = loop {
            match held.take(&place, request) {
                Ok(false) => {}
                Ok(true) => break Ok(()),
                Err(error) => break Err(error),
            }
            held.waiting
                .insert(request.pid, (place.clone(), request.shared));
            if held.is_deadlock(request.pid) {
                break Err(
                    PgError::new(sqlstate::DEADLOCK_DETECTED, "deadlock detected")
                        .hint("The sessions wait for each other's advisory locks."),
                );
            }
            self.freed.wait_for(&mut held, LOOK);
            if let Err(error) = check() {
                break Err(error);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                break Err(PgError::new(
                    sqlstate::LOCK_NOT_AVAILABLE,
                    "canceling statement due to lock timeout",
                ));
            }
        };
        held.waiting.remove(&request.pid);
        outcome
    }

    /// The sessions that keep another one waiting: `pg_blocking_pids`.
    pub fn blockers(&self, pid: i32) -> Vec<i32> {
        self.held.lock().blockers(pid)
    }

    /// Gives a session's lock back once; false if it does not hold it.
    pub fn unlock(&self, database: &Arc<str>, key: i64, pid: i32, shared: bool) -> bool {
        let mut held = self.held.lock();
        let held = &mut held.by_place;
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
        self.freed.notify_all();
        true
    }

    /// Gives back what a session holds: all of it, or what was until the end of the transaction.
    pub fn release(&self, pid: i32, of_transaction_only: bool) {
        self.held.lock().by_place.retain(|_, holds| {
            holds.retain(|hold| hold.pid != pid || (of_transaction_only && !hold.of_transaction));
            !holds.is_empty()
        });
        self.freed.notify_all();
    }

    /// Gives back what a session holds for its whole time.
    pub fn unlock_all(&self, pid: i32) {
        self.held.lock().by_place.retain(|_, holds| {
            holds.retain(|hold| hold.pid != pid || hold.of_transaction);
            !holds.is_empty()
        });
        self.freed.notify_all();
    }

    /// Every hold of a database, and what sessions wait for (`false`), for `pg_locks`.
    pub fn list(&self, database: &str) -> Vec<(i64, Hold, bool)> {
        let held = self.held.lock();
        let holds = held
            .by_place
            .iter()
            .flat_map(|(place, holds)| holds.iter().map(move |hold| (place, hold.clone(), true)));
        let waiting = held.waiting.iter().map(|(pid, (place, shared))| {
            let hold = Hold {
                pid: *pid,
                shared: *shared,
                of_transaction: false,
                times: 0,
            };
            (place, hold, false)
        });
        let mut list: Vec<(i64, Hold, bool)> = holds
            .chain(waiting)
            .filter(|((of, _), _, _)| **of == *database)
            .map(|((_, key), hold, granted)| (*key, hold, granted))
            .collect();
        list.sort_by_key(|(key, hold, granted)| (*key, !granted, hold.pid));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(key: i64, pid: i32, shared: bool) -> Request {
        Request {
            key,
            pid,
            shared,
            of_transaction: false,
        }
    }

    fn of_transaction(key: i64, pid: i32) -> Request {
        Request {
            of_transaction: true,
            ..request(key, pid, false)
        }
    }

    #[test]
    fn one_holds_it_or_many_share_it() {
        let (locks, here): (Locks, Arc<str>) = (Locks::default(), "here".into());
        let lock = |key, pid, shared| {
            locks
                .try_lock(&here, request(key, pid, shared))
                .expect("room")
        };
        assert!(lock(1, 10, false) && lock(1, 10, false));
        assert!(!lock(1, 20, false) && !lock(1, 20, true));
        assert!(locks.unlock(&here, 1, 10, false) && !lock(1, 20, false));
        assert!(locks.unlock(&here, 1, 10, false) && lock(1, 20, false));
        assert!(!locks.unlock(&here, 1, 10, false));
        assert!(lock(2, 10, true) && lock(2, 20, true) && !lock(2, 30, false));
        let there: Arc<str> = "there".into();
        assert!(locks.try_lock(&there, request(1, 10, false)).expect("room"));
    }

    #[test]
    fn locks_of_the_transaction_end_with_it() {
        let (locks, here): (Locks, Arc<str>) = (Locks::default(), "here".into());
        assert!(locks.try_lock(&here, of_transaction(1, 10)).expect("room"));
        assert!(locks.try_lock(&here, request(2, 10, false)).expect("room"));
        assert!(!locks.unlock(&here, 1, 10, false));
        locks.release(10, true);
        assert_eq!(locks.list("here").len(), 1);
        locks.release(10, false);
        assert!(locks.held.lock().by_place.is_empty());
    }

    #[test]
    fn who_waits_gets_it_when_it_is_given_back() {
        let (locks, here): (Arc<Locks>, Arc<str>) = (Arc::default(), "here".into());
        assert!(locks.try_lock(&here, request(1, 10, false)).expect("room"));
        let waiter = {
            let (locks, here) = (Arc::clone(&locks), Arc::clone(&here));
            std::thread::spawn(move || locks.lock(&here, request(1, 20, false), None, &|| Ok(())))
        };
        while locks.blockers(20) != [10] {
            std::thread::yield_now();
        }
        assert!(locks.unlock(&here, 1, 10, false));
        waiter.join().expect("no panic").expect("the lock");
        assert!(locks.unlock(&here, 1, 20, false));
    }

    #[test]
    fn a_circle_of_waiting_is_an_error() {
        let (locks, here): (Arc<Locks>, Arc<str>) = (Arc::default(), "here".into());
        for (key, pid) in [(1, 10), (2, 20)] {
            assert!(
                locks
                    .try_lock(&here, request(key, pid, false))
                    .expect("room")
            );
        }
        let waiter = {
            let (locks, here) = (Arc::clone(&locks), Arc::clone(&here));
            std::thread::spawn(move || locks.lock(&here, request(2, 10, false), None, &|| Ok(())))
        };
        while locks.blockers(10) != [20] {
            std::thread::yield_now();
        }
        let error = locks
            .lock(&here, request(1, 20, false), None, &|| Ok(()))
            .expect_err("a deadlock");
        assert_eq!(error.code, "40P01");
        locks.release(20, false);
        waiter.join().expect("no panic").expect("the lock");
    }

    #[test]
    fn waiting_has_a_limit() {
        let (locks, here): (Locks, Arc<str>) = (Locks::default(), "here".into());
        assert!(locks.try_lock(&here, request(1, 10, false)).expect("room"));
        let limit = Some(Duration::from_millis(1));
        let error = locks
            .lock(&here, request(1, 20, false), limit, &|| Ok(()))
            .expect_err("a limit");
        assert_eq!(error.code, "55P03");
        assert!(locks.blockers(20).is_empty());
    }
}
