//! The end of a graph.
//!
//! First every branch gets a tombstone, so that no writer, however long it slept, can publish
//! any more; then `graph.json` goes, and with it the graph; then the rest, except for the
//! tombstones: an empty slot could be filled. Each step may be repeated, and a graph made at
//! the same place later has logs of its own.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use crate::clock::Environment;
use crate::commit::log::read_object;
use crate::dataset::Resources;
use crate::error::{Error, Result};
use crate::format::{GraphFile, LogEntry};
use crate::graph::{Graph, GraphShared};
use crate::storage::{Store, layout};

/// Files deleted at the same time.
const DELETING: usize = 16;
/// Lost races for the slot of one tombstone.
const ATTEMPTS: usize = 100;

impl Graph {
    /// Ends the graph at `store`. One that is not there, or only in part, is no error.
    pub async fn destroy(
        store: &Store,
        resources: Arc<Resources>,
        environment: Arc<dyn Environment>,
        actor: &str,
    ) -> Result<()> {
        let file: Option<GraphFile> = read_object(store, &layout::graph()).await?;
        if let Some(file) = file {
            let shared = GraphShared::new(file.id, store.clone(), resources, environment);
            end_branches(&Arc::new(shared), actor).await?;
            store.delete(&layout::graph()).await?;
        }
        sweep(store).await
    }
}

async fn end_branches(shared: &Arc<GraphShared>, actor: &str) -> Result<()> {
    let names = shared.names.refresh().await?;
    for (name, line) in &names.all.branches {
        let branch = shared.branch_of(name, line)?;
        let mut ended = false;
        for _ in 0..ATTEMPTS {
            let head = branch.log.head().await?;
            if head.state.is_none() || branch.end((head.seq, head.time), actor).await? {
                ended = true;
                break;
            }
        }
        if !ended {
            return Err(Error::Unavailable {
                message: format!("branch \"{name}\" is written all the time and cannot be ended"),
            });
        }
    }
    Ok(())
}

/// Deletes everything but tombstones. The first entries of logs go before all others: a log
/// without one is told to be of a graph that is gone.
async fn sweep(store: &Store) -> Result<()> {
    let all = store.list_all("").await?;
    let (first, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(key, _)| is_first(key));
    for some in [first, rest] {
        stream::iter(some)
            .map(|(key, _)| async move {
                if key.starts_with(layout::BRANCHES) {
                    let entry: Option<LogEntry> = read_object(store, &key).await?;
                    if entry.is_some_and(|entry| entry.state.is_none()) {
                        return Ok(());
                    }
                }
                store.delete(&key).await
            })
            .buffer_unordered(DELETING)
            .try_collect::<()>()
            .await?;
    }
    Ok(())
}

fn is_first(key: &str) -> bool {
    let name = key
        .strip_prefix(layout::BRANCHES)
        .and_then(|key| key.rsplit('/').next());
    name.and_then(layout::number_of) == Some(0)
}
