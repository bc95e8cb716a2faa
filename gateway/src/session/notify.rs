//! LISTEN and NOTIFY within one server: who listens to which channel of which database.
//!
//! The channel `commits` is the server's own: each commit is told there, also those of other
//! servers (see [`super::watch`]).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use super::protocol::{Notification, SessionHandle};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// The channel on which every commit of a graph is told.
pub const COMMITS: &str = "commits";
/// PostgreSQL's limits.
const PAYLOAD_BYTES: usize = 7999;
const CHANNEL_BYTES: usize = 63;
/// How many channels one session listens to.
const CHANNELS: usize = 1000;

/// What a transaction does at its commit, and forgets when it is rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    Listen(String),
    Unlisten(String),
    UnlistenAll,
    Notify { channel: String, payload: String },
}

#[derive(Debug, Default)]
pub struct Channels {
    listeners: Mutex<HashMap<(Arc<str>, String), HashMap<i32, SessionHandle>>>,
}

/// One session's place among the listeners; dropping it ends all its listening.
#[derive(Debug)]
pub struct Listener {
    channels: Arc<Channels>,
    database: Arc<str>,
    handle: SessionHandle,
    names: BTreeSet<String>,
}

impl Pending {
    pub fn notify(channel: &str, payload: &str) -> PgResult<Self> {
        check_channel(channel)?;
        if payload.len() > PAYLOAD_BYTES {
            return Err(PgError::new(
                sqlstate::INVALID_PARAMETER_VALUE,
                "payload string too long",
            ));
        }
        Ok(Pending::Notify {
            channel: channel.to_owned(),
            payload: payload.to_owned(),
        })
    }

    pub fn listen(channel: &str) -> PgResult<Self> {
        check_channel(channel)?;
        Ok(Pending::Listen(channel.to_owned()))
    }
}

fn check_channel(channel: &str) -> PgResult<()> {
    if channel.is_empty() {
        return Err(PgError::new(
            sqlstate::INVALID_PARAMETER_VALUE,
            "channel name cannot be empty",
        ));
    }
    if channel.len() > CHANNEL_BYTES {
        return Err(PgError::new(
            sqlstate::INVALID_PARAMETER_VALUE,
            "channel name too long",
        ));
    }
    Ok(())
}

impl Channels {
    /// Does anybody listen to this channel?
    pub fn is_heard(&self, database: &Arc<str>, channel: &str) -> bool {
        let key = (Arc::clone(database), channel.to_owned());
        self.listeners.lock().contains_key(&key)
    }

    pub fn send(&self, database: &Arc<str>, notification: &Notification) {
        let listeners = self.listeners.lock();
        if let Some(sessions) = listeners.get(&(Arc::clone(database), notification.channel.clone()))
        {
            for handle in sessions.values() {
                handle.notify(notification.clone());
            }
        }
    }
}

impl Channels {
    /// `pg_listening_channels()`: what a session listens to, in order.
    pub fn of_session(&self, pid: i32) -> Vec<String> {
        let listeners = self.listeners.lock();
        let mut names: Vec<String> = listeners
            .iter()
            .filter(|(_, sessions)| sessions.contains_key(&pid))
            .map(|((_, channel), _)| channel.clone())
            .collect();
        names.sort_unstable();
        names
    }
}

impl Listener {
    pub fn new(channels: Arc<Channels>, database: Arc<str>, handle: SessionHandle) -> Self {
        Listener {
            channels,
            database,
            handle,
            names: BTreeSet::new(),
        }
    }

    /// A transaction was committed: does what it had asked for, in order; equal notifications
    /// of one transaction are sent once.
    pub fn commit(&mut self, pending: Vec<Pending>) {
        let mut sent = Vec::new();
        for action in pending {
            match action {
                Pending::Listen(channel) => self.listen(channel),
                Pending::Unlisten(channel) => self.unlisten(&channel),
                Pending::UnlistenAll => self.unlisten_all(),
                Pending::Notify { channel, payload } => {
                    let notification = Notification {
                        pid: self.handle.pid(),
                        channel,
                        payload,
                    };
                    if !sent.contains(&notification) {
                        self.channels.send(&self.database, &notification);
                        sent.push(notification);
                    }
                }
            }
        }
    }

    fn listen(&mut self, channel: String) {
        if self.names.len() >= CHANNELS || !self.names.insert(channel.clone()) {
            return;
        }
        self.channels
            .listeners
            .lock()
            .entry((Arc::clone(&self.database), channel))
            .or_default()
            .insert(self.handle.pid(), self.handle.clone());
    }

    fn unlisten(&mut self, channel: &str) {
        if !self.names.remove(channel) {
            return;
        }
        let key = (Arc::clone(&self.database), channel.to_owned());
        let mut listeners = self.channels.listeners.lock();
        if let Some(sessions) = listeners.get_mut(&key) {
            sessions.remove(&self.handle.pid());
            if sessions.is_empty() {
                listeners.remove(&key);
            }
        }
    }

    pub fn unlisten_all(&mut self) {
        for channel in self.names.clone() {
            self.unlisten(&channel);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.unlisten_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_reach_listeners_of_the_same_database_once() {
        let channels = Arc::new(Channels::default());
        let (here, there): (Arc<str>, Arc<str>) = ("here".into(), "there".into());
        let mut one = Listener::new(
            Arc::clone(&channels),
            Arc::clone(&here),
            SessionHandle::new(1),
        );
        let mut other = Listener::new(Arc::clone(&channels), there, SessionHandle::new(2));
        let hello = || Pending::notify("news", "hello").expect("a notification");
        one.commit(vec![
            Pending::listen("news").expect("a channel"),
            hello(),
            hello(),
        ]);
        other.commit(vec![Pending::listen("news").expect("a channel")]);
        assert_eq!(one.handle.take_notifications().len(), 1);
        assert_eq!(other.handle.take_notifications().len(), 0);
        assert_eq!(channels.of_session(1), ["news"]);
        one.commit(vec![Pending::UnlistenAll, hello()]);
        assert_eq!(one.handle.take_notifications().len(), 0);
        drop(other);
        assert!(channels.listeners.lock().is_empty());
    }

    #[test]
    fn payloads_and_channels_have_limits() {
        assert_eq!(Pending::notify("", "x").expect_err("empty").code, "22023");
        assert_eq!(
            Pending::notify("c", &"x".repeat(8000))
                .expect_err("long")
                .code,
            "22023"
        );
    }
}
