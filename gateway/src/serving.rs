//! Serving a cluster: its applied revision at the start, and each later one while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use omnigraph_catalog::access::Databases;
use omnigraph_catalog::cluster::{Cluster, Error};
use omnigraph_catalog::diagnostic::Diagnostic;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

use crate::config::ClusterConfig;
use crate::stored::QueryCompiler;

/// Opens the applied revision and keeps up with new ones.
pub async fn cluster(
    cluster: Cluster,
    config: ClusterConfig,
    unauthenticated: bool,
) -> Result<Databases, Error> {
    let compiler = Arc::new(QueryCompiler::new());
    let revision = cluster.serve(&BTreeMap::new(), &*compiler).await?;
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
        Databases::of_open_cluster(&cluster, revision, compiler)
    } else {
        Databases::of_cluster(&cluster, revision, compiler)
    };
    tokio::spawn(follow(databases.clone(), config));
    Ok(databases)
}

/// Looks for a new revision every so often, and at once on SIGHUP.
async fn follow(databases: Databases, config: ClusterConfig) {
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
        if let Err(error) = databases.catch_up().await {
            error!(%error, "the newest revision cannot be served; the old one is kept");
        }
    }
}
