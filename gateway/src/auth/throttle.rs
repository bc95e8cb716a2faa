//! How often a password may be guessed: after five failures in a row, one try a second for an
//! actor from an address. What is remembered is bounded; the oldest is forgotten first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

const FREE_FAILURES: u32 = 5;
const INTERVAL: Duration = Duration::from_secs(1);
/// Who would have to wait longer is turned away at once.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// After this time without a failure everything is forgiven.
const MEMORY: Duration = Duration::from_secs(300);
const MAX_ENTRIES: usize = 50_000;
const MAX_WAITING: usize = 16;

/// Failures by actor and address.
#[derive(Debug, Default)]
pub struct Throttle {
    failures: Mutex<HashMap<Key, Failures>>,
    /// Somebody succeeded, so that the next may be looked at at once.
    succeeded: Notify,
}

type Key = (String, Option<IpAddr>);

#[derive(Debug)]
struct Failures {
    count: u32,
    /// When the next try may be looked at.
    next: Instant,
    /// Tries that wait, in the order of their arrival.
    waiting: Vec<u64>,
    tickets: u64,
}

/// When a try is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Now,
    /// Not before; ask again then.
    Later(Instant),
}

impl Throttle {
    /// Waits for this try's turn. `false`: there are too many.
    ///
    /// The newest goes first: whoever guesses in a row then keeps a person who knows the token
    /// waiting for a second, not for all the guesses that came before.
    pub async fn admit(&self, actor: &str, address: Option<IpAddr>) -> bool {
        let key = key(actor, address);
        let arrived = Instant::now();
        let ticket = match self.arrive(&key) {
            Arrival::Free => return true,
            Arrival::Crowd => return false,
            Arrival::Ticket(ticket) => ticket,
        };
        // A connection that ends while it waits leaves the queue.
        let _leave = Leave {
            throttle: self,
            key: &key,
            ticket,
        };
        loop {
            let succeeded = self.succeeded.notified();
            match self.turn(&key, ticket, Instant::now()) {
                Turn::Now => return true,
                Turn::Later(at) if at > arrived + LONGEST_WAIT => return false,
                Turn::Later(at) => {
                    tokio::select! {
                        () = sleep_until(at) => {}
                        () = succeeded => {}
                    }
                }
            }
        }
    }

    fn arrive(&self, key: &Key) -> Arrival {
        match self.failures.lock().get_mut(key) {
            Some(entry) if entry.count >= FREE_FAILURES => {
                if entry.waiting.len() >= MAX_WAITING {
                    return Arrival::Crowd;
                }
                entry.tickets += 1;
                entry.waiting.push(entry.tickets);
                Arrival::Ticket(entry.tickets)
            }
            _ => Arrival::Free,
        }
    }

    fn turn(&self, key: &Key, ticket: u64, now: Instant) -> Turn {
        let mut failures = self.failures.lock();
        // Forgotten: nothing to wait for.
        let Some(entry) = failures.get_mut(key) else {
            return Turn::Now;
        };
        if now < entry.next {
            return Turn::Later(entry.next);
        }
        if entry.waiting.iter().any(|other| *other > ticket) {
            return Turn::Later(now + INTERVAL / 20);
        }
        entry.next = now + INTERVAL;
        Turn::Now
    }

    pub fn failed(&self, actor: &str, address: Option<IpAddr>) {
        self.failed_at(key(actor, address), Instant::now());
    }

    fn failed_at(&self, key: Key, now: Instant) {
        let mut failures = self.failures.lock();
        if failures.len() >= MAX_ENTRIES {
            failures.retain(|_, entry| now < entry.next + MEMORY);
            if failures.len() >= MAX_ENTRIES {
                let oldest = failures
                    .iter()
                    .min_by_key(|(_, entry)| entry.next)
                    .map(|(key, _)| key.clone());
                if let Some(oldest) = oldest {
                    failures.remove(&oldest);
                }
            }
        }
        let entry = failures.entry(key).or_insert_with(|| Failures {
            count: 0,
            next: now,
            waiting: Vec::new(),
            tickets: 0,
        });
        if now > entry.next + MEMORY {
            entry.count = 0;
        }
        entry.count = entry.count.saturating_add(1);
        entry.next = entry.next.max(now + INTERVAL);
    }

    /// A few mistakes are forgotten. Many are not, or a guesser would start afresh whenever the
    /// person behind the same address logs in; but who succeeded costs nobody a turn.
    pub fn succeeded(&self, actor: &str, address: Option<IpAddr>) {
        let key = key(actor, address);
        let mut failures = self.failures.lock();
        match failures.get_mut(&key) {
            Some(entry) if entry.count >= FREE_FAILURES => entry.next = Instant::now(),
            Some(_) => {
                failures.remove(&key);
            }
            None => return,
        }
        drop(failures);
        self.succeeded.notify_waiters();
    }
}

enum Arrival {
    Free,
    Ticket(u64),
    Crowd,
}

/// Takes a try out of the queue, however its wait ends.
struct Leave<'a> {
    throttle: &'a Throttle,
    key: &'a Key,
    ticket: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.throttle.failures.lock().get_mut(self.key) {
            entry.waiting.retain(|ticket| *ticket != self.ticket);
        }
    }
}

/// Longer names than any actor has are one.
fn key(actor: &str, address: Option<IpAddr>) -> Key {
    (actor.chars().take(64).collect(), address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> Key {
        key("ada", None)
    }

    fn ticket(throttle: &Throttle) -> u64 {
        match throttle.arrive(&ada()) {
            Arrival::Ticket(ticket) => ticket,
            Arrival::Free => panic!("the try did not have to wait"),
            Arrival::Crowd => panic!("there was no crowd"),
        }
    }

    /// A throttle after five failures of ada.
    fn guessed(start: Instant) -> Throttle {
        let throttle = Throttle::default();
        for _ in 0..5 {
            assert!(matches!(throttle.arrive(&ada()), Arrival::Free));
            throttle.failed_at(ada(), start);
        }
        throttle
    }

    #[test]
    fn the_sixth_try_waits_and_others_do_not() {
        let start = Instant::now();
        let throttle = guessed(start);
        let sixth = ticket(&throttle);
        assert_eq!(
            throttle.turn(&ada(), sixth, start),
            Turn::Later(start + INTERVAL)
        );
        assert_eq!(throttle.turn(&ada(), sixth, start + INTERVAL), Turn::Now);
        assert_eq!(
            throttle.turn(&ada(), sixth, start + INTERVAL),
            Turn::Later(start + 2 * INTERVAL)
        );
        assert!(matches!(throttle.arrive(&key("bob", None)), Arrival::Free));
        let elsewhere = key("ada", Some(IpAddr::from([127, 0, 0, 1])));
        assert!(matches!(throttle.arrive(&elsewhere), Arrival::Free));
    }

    #[test]
    fn the_newest_try_goes_first_and_a_crowd_is_turned_away() {
        let start = Instant::now();
        let throttle = guessed(start);
        let (older, newer) = (ticket(&throttle), ticket(&throttle));
        let later = start + INTERVAL;
        assert_ne!(throttle.turn(&ada(), older, later), Turn::Now);
        assert_eq!(throttle.turn(&ada(), newer, later), Turn::Now);
        let mut waiting = 2;
        while let Arrival::Ticket(_) = throttle.arrive(&ada()) {
            waiting += 1;
        }
        assert_eq!(waiting, MAX_WAITING);
    }

    #[test]
    fn time_forgives_and_a_success_forgives_a_little() {
        let start = Instant::now();
        let throttle = guessed(start);
        throttle.succeeded("ada", None);
        let next = ticket(&throttle);
        assert_eq!(
            throttle.turn(&ada(), next, Instant::now()),
            Turn::Now,
            "the success gave its turn back"
        );
        let later = start + MEMORY + 10 * INTERVAL;
        throttle.failed_at(ada(), later);
        assert!(matches!(throttle.arrive(&ada()), Arrival::Free));
        throttle.succeeded("ada", None);
        assert!(throttle.failures.lock().is_empty());
    }

    #[tokio::test]
    async fn a_try_that_ends_leaves_the_queue() {
        let throttle = guessed(Instant::now());
        let waited =
            tokio::time::timeout(Duration::from_millis(20), throttle.admit("ada", None)).await;
        assert!(waited.is_err());
        assert!(throttle.failures.lock()[&ada()].waiting.is_empty());
        assert!(throttle.admit("ada", None).await);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        let start = Instant::now();
        for i in 0..MAX_ENTRIES + 3 {
            throttle.failed_at(key(&i.to_string(), None), start);
        }
        assert!(throttle.failures.lock().len() <= MAX_ENTRIES);
    }
}
