//! The control plane: which graphs a cluster shall have, and making it so.
//!
//! Files are the desired state ([`spec`]), a ledger is the recorded one ([`ledger`]);
//! [`change`] says what lies between, purely, and [`apply`] does one change at a time, each
//! safe to repeat. An interrupted run is finished by the next: the store holds only whole
//! graphs and whole migrations, and an [`intent`] says whose they are.

pub mod address;
mod apply;
pub mod approval;
mod blobs;
pub mod change;
mod error;
pub mod files;
pub mod intent;
pub mod ledger;
pub mod lock;
mod observe;
mod plan;
mod runtime;
mod serve;
mod settle;
pub mod spec;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use omnigraph_engine::clock::{self, Environment};
use omnigraph_engine::{Graph, Resources, Store};

use crate::diagnostic::Diagnostic;

pub use apply::Outcome;
pub use blobs::external_blobs;
pub use error::{Error, Result};
pub use observe::Observed;
pub use plan::Plan;
pub use runtime::{APPROVAL_REQUIRED, NewGraph};
pub use serve::{Revision, Served};
pub use status::Standing;

use change::FOREIGN;
use lock::Lock;
use spec::Spec;

/// A cluster's storage root.
#[derive(Debug, Clone)]
pub struct Cluster {
    store: Store,
    resources: Arc<Resources>,
    clock: Clock,
}

impl Cluster {
    pub fn new(store: Store, resources: Arc<Resources>) -> Self {
        Cluster {
            store,
            resources,
            clock: Clock(clock::system()),
        }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How long ago a time of the ledger was, in words.
    pub fn age(&self, time: &str) -> String {
        self.clock.age(time)
    }

    async fn graph(&self, id: &str) -> omnigraph_engine::Result<Graph> {
        let root = files::graph(&self.store, id);
        Graph::open_in(root, Arc::clone(&self.resources), Arc::clone(&self.clock.0)).await
    }

    /// What is said of a graph's root that holds another system's data.
    pub async fn foreign(&self, id: &str) -> Result<Option<Diagnostic>> {
        let foreign = self.is_foreign(id).await?;
        Ok(foreign.then(|| Diagnostic::error("graph_foreign_format", FOREIGN)))
    }

    /// Does the graph's root hold data of a system that is not this one?
    async fn is_foreign(&self, id: &str) -> Result<bool> {
        let root = files::graph(&self.store, id);
        if root.exists("_graph/graph.json").await? {
            return Ok(false);
        }
        let folders = root.list_folders("").await?;
        Ok(folders.iter().any(|name| name.starts_with("__manifest")))
    }

    /// Runs a command under the lock, if the config wants one.
    async fn locked<T>(
        &self,
        spec: &Spec,
        operation: &str,
        actor: Option<&str>,
        command: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        if !spec.lock {
            return command.await;
        }
        let lock = Lock::take(&self.store, operation, actor, &self.clock).await?;
        let outcome = command.await;
        let released = lock.release().await;
        let outcome = outcome?;
        released?;
        Ok(outcome)
    }
}

/// Times and identities of what the control plane writes.
#[derive(Debug, Clone)]
pub struct Clock(Arc<dyn Environment>);

impl Clock {
    fn id(&self) -> String {
        clock::unique(&*self.0)
    }

    fn now(&self) -> String {
        DateTime::<Utc>::from_timestamp_micros(self.0.now())
            .unwrap_or_default()
            .to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    fn age(&self, time: &str) -> String {
        let Ok(then) = DateTime::parse_from_rfc3339(time) else {
            return format!("since {time}");
        };
        let seconds = self.0.now() / 1_000_000 - then.timestamp();
        let (number, unit) = match seconds {
            ..120 => (seconds.max(0), "s"),
            120..7_200 => (seconds / 60, "min"),
            7_200..172_800 => (seconds / 3_600, "h"),
            _ => (seconds / 86_400, "days"),
        };
        format!("for {number} {unit}")
    }
}
