//! The connections of this process, by process id: for CancelRequest, `pg_cancel_backend`,
//! `pg_terminate_backend`, notifications and shutdown.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;
use rand::RngCore;
use subtle::ConstantTimeEq;

use crate::error::PgError;
use crate::metrics::Metrics;
use crate::session::protocol::SessionHandle;

/// Sessions are in it from login to the end of the connection.
#[derive(Debug, Default)]
pub struct Registry {
    sessions: Mutex<HashMap<i32, Entry>>,
    phase: AtomicU8,
    metrics: Arc<Metrics>,
}

/// Where a server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Starting,
    Accepting,
    Stopping,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Accepting => "accepting",
            Phase::Stopping => "stopping",
        }
    }
}

#[derive(Debug)]
struct Entry {
    secret: Vec<u8>,
    handle: SessionHandle,
}

/// A session's place in the registry; dropping it takes the session out.
#[derive(Debug)]
pub struct Registered {
    registry: Arc<Registry>,
    pub handle: SessionHandle,
    /// What a CancelRequest has to know.
    pub secret: Vec<u8>,
}

impl Registry {
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Accepting,
            _ => Phase::Stopping,
        }
    }

    /// Phases only follow each other.
    pub fn enter(&self, phase: Phase) {
        let number = match phase {
            Phase::Starting => 0,
            Phase::Accepting => 1,
            Phase::Stopping => 2,
        };
        self.phase.fetch_max(number, Ordering::Relaxed);
    }

    /// Enters a new session under a free process id, with a secret of `secret_length` bytes.
    pub fn register(self: &Arc<Self>, secret_length: usize) -> Registered {
        let mut secret = vec![0; secret_length];
        let mut rng = rand::rng();
        rng.fill_bytes(&mut secret);
        let mut sessions = self.sessions.lock();
        let handle = loop {
            // Positive, and not to be guessed from one's own.
            let pid = (rng.next_u32() >> 1) as i32;
            if pid > 0 && !sessions.contains_key(&pid) {
                break SessionHandle::counted(pid, Arc::clone(&self.metrics));
            }
        };
        let entry = Entry {
            secret: secret.clone(),
            handle: handle.clone(),
        };
        sessions.insert(handle.pid(), entry);
        Registered {
            registry: Arc::clone(self),
            handle,
            secret,
        }
    }

    pub fn find(&self, pid: i32) -> Option<SessionHandle> {
        self.sessions
            .lock()
            .get(&pid)
            .map(|entry| entry.handle.clone())
    }

    /// Cancels the running statement of a session, if the secret is its own. Says nothing about
    /// whether it was.
    pub fn cancel(&self, pid: i32, secret: &[u8]) {
        let handle = {
            let sessions = self.sessions.lock();
            sessions
                .get(&pid)
                .filter(|entry| bool::from(entry.secret.ct_eq(secret)))
                .map(|entry| entry.handle.clone())
        };
        if let Some(handle) = handle {
            handle.cancel();
        }
    }

    pub fn handles(&self) -> Vec<SessionHandle> {
        self.sessions
            .lock()
            .values()
            .map(|entry| entry.handle.clone())
            .collect()
    }

    pub fn len(&self) -> usize {
        self.sessions.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends sessions as they become idle.
    pub fn drain(&self, error: &PgError) {
        for handle in self.handles() {
            handle.terminate_when_idle(error.clone());
        }
    }

    /// Ends sessions now, their running statements too.
    pub fn terminate(&self, error: &PgError) {
        for handle in self.handles() {
            handle.terminate(error.clone());
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.sessions.lock().remove(&self.handle.pid());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_secret_cancels_and_a_dropped_session_is_gone() {
        let registry = Arc::new(Registry::default());
        let session = registry.register(32);
        let pid = session.handle.pid();
        session.handle.begin_statement();
        registry.cancel(pid, &[0; 32]);
        registry.cancel(pid, &session.secret[..4]);
        registry.cancel(pid.wrapping_add(1), &session.secret);
        assert_eq!(session.handle.interrupt().reason(), None);
        registry.cancel(pid, &session.secret);
        assert!(session.handle.interrupt().reason().is_some());
        drop(session);
        assert!(registry.find(pid).is_none());
        assert!(registry.is_empty());
    }
}
