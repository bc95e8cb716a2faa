//! The lock: one command at a time, and who holds it.
//!
//! It keeps commands from working against each other; what keeps the ledger right is the
//! compare-and-swap of its revisions.

use bytes::Bytes;
use omnigraph_engine::Store;
use omnigraph_engine::storage::Created;
use serde::{Deserialize, Serialize};

use super::Clock;
use super::error::Result;
use super::files;
use crate::diagnostic::Diagnostic;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub version: u32,
    pub lock_id: String,
    pub operation: String,
    pub created_at: String,
    pub pid: u32,
    pub host: String,
    #[serde(default)]
    pub actor: Option<String>,
}

/// The code of what is said to whoever finds it held.
pub const HELD: &str = "state_lock_held";

/// A lock that is held; [`Lock::release`] gives it back.
#[derive(Debug)]
#[must_use]
pub struct Lock {
    store: Store,
    pub holder: Holder,
}

impl Lock {
    pub async fn take(
        store: &Store,
        operation: &str,
        actor: Option<&str>,
        clock: &Clock,
    ) -> Result<Lock> {
        let holder = Holder {
            version: 1,
            lock_id: clock.id(),
            operation: operation.to_owned(),
            created_at: clock.now(),
            pid: std::process::id(),
            host: host(),
            actor: actor.map(str::to_owned),
        };
        let body = serde_json::to_vec_pretty(&holder).map_err(omnigraph_engine::Error::internal)?;
        let body = Bytes::from(body);
        let created = store.create(files::LOCK, body.clone()).await;
        if !matches!(created, Ok(Created::Yes)) {
            let held = store.read(files::LOCK).await?;
            if held.as_ref() != Some(&body) {
                created?;
                return Err(busy(
                    held.and_then(|held| serde_json::from_slice(&held).ok()),
                    clock,
                )
                .into());
            }
        }
        Ok(Lock {
            store: store.clone(),
            holder,
        })
    }

    /// A lock that was taken away meanwhile is somebody else's: it stays.
    pub async fn release(self) -> Result<()> {
        if holder(&self.store)
            .await?
            .is_some_and(|held| held.lock_id == self.holder.lock_id)
        {
            self.store.delete(files::LOCK).await?;
        }
        Ok(())
    }
}

/// Who holds the lock now.
pub async fn holder(store: &Store) -> Result<Option<Holder>> {
    let Some(bytes) = store.read(files::LOCK).await? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let message = format!("{} cannot be read: {error}", files::LOCK);
        let found = Diagnostic::error("state_lock_invalid", message);
        found.hint("If no command runs, delete the file.").into()
    })
}

/// Takes the lock away from whoever holds it, if it is the one that was meant.
pub async fn force_unlock(store: &Store, id: &str) -> Result<Holder> {
    let Some(held) = holder(store).await? else {
        return Err(Diagnostic::error("state_lock_not_held", "the lock is not held").into());
    };
    if held.lock_id != id {
        let message = format!("the lock's id is {}, not {id}", held.lock_id);
        let found = Diagnostic::error("state_lock_mismatch", message);
        return Err(found
            .hint("`omnigraph cluster status` shows who holds it.")
            .into());
    }
    store.delete(files::LOCK).await?;
    Ok(held)
}

fn busy(held: Option<Holder>, clock: &Clock) -> Diagnostic {
    let (who, id) = match &held {
        Some(held) => (
            format!(
                "{} (process {} on {}{}), {}",
                held.operation,
                held.pid,
                held.host,
                held.actor
                    .as_ref()
                    .map_or_else(String::new, |actor| format!(", by {actor}")),
                clock.age(&held.created_at),
            ),
            held.lock_id.clone(),
        ),
        None => (
            "a command that is just ending".to_owned(),
            "LOCK_ID".to_owned(),
        ),
    };
    Diagnostic::error(HELD, format!("the lock is held by {who}")).hint(format!(
        "Wait for it. If it is gone for good: `omnigraph cluster force-unlock {id}`."
    ))
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}
