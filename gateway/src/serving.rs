//! Serving a cluster: its applied revision at the start, and each later one while it runs.

use std::collections::BTreeMap;

use omnigraph_catalog::access::{Databases, State};
use omnigraph_catalog::cluster::{Cluster, Error};
use omnigraph_catalog::diagnostic::Diagnostic;
use omnigraph_engine::Graph;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::config::ClusterConfig;
use crate::stored::QueryCompiler;

/// Opens the applied revision and keeps up with new ones.
pub async fn cluster(
    cluster: Cluster,
    config: ClusterConfig,
    unauthenticated: bool,
) -> Result<Databases, Error> {
    let compiler = QueryCompiler::new();
    let revision = cluster.serve(&BTreeMap::new(), &compiler).await?;
    if revision.has_policy() && unauthenticated {
        let message = "policies were applied, but without credentials anybody may use any name";
        return Err(Diagnostic::error("policy_without_credentials", message)
            .hint("Give --credentials FILE instead of --unauthenticated.")
            .into());
    }
    let quarantined = revision.quarantined();
    if config.require_all_graphs && !quarantined.is_empty() {
        return Err(Error::Invalid(quarantined));
    }
    let databases = if unauthenticated {
        Databases::of_open_cluster(&cluster, revision)
    } else {
        Databases::of_cluster(&cluster, revision)
    };
    tokio::spawn(follow(cluster, databases.clone(), config, compiler));
    Ok(databases)
}

/// Looks for a new revision every so often, and at once on SIGHUP.
async fn follow(
    cluster: Cluster,
    databases: Databases,
    config: ClusterConfig,
    compiler: QueryCompiler,
) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            error!(%error, "SIGHUP cannot be heard; new revisions are not taken over");
            return;
        }
    };
    loop {
        tokio::select! {
            () = tokio::time::sleep(config.poll) => {}
            _ = hangup.recv() => info!("told to look for a new revision"),
        }
        let Some(served) = databases.revision() else {
            return;
        };
        match cluster.is_newer_than(served).await {
            Ok(false) => continue,
            Ok(true) => {}
            Err(error) => {
                warn!(%error, "cannot look for a new revision");
                continue;
            }
        }
        let known: BTreeMap<String, Graph> = databases
            .list()
            .into_iter()
            .filter_map(|(name, state)| match state {
                State::Serving(graph) => Some((name, graph)),
                State::Quarantined { .. } => None,
            })
            .collect();
        match cluster.serve(&known, &compiler).await {
            Ok(revision) => databases.renew(revision),
            Err(error) => error!(%error, "the new revision cannot be served; the old one is kept"),
        }
    }
}
