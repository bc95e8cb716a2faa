//! From a checked configuration to a server: the store, its graphs, and who listens.

use std::error::Error;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use omnigraph_catalog::access::{Databases, State};
use omnigraph_catalog::cluster::Cluster;
use omnigraph_engine::{ResourceLimits, Resources, Store, StoreOptions};

use crate::config::{Config, CredentialSource, Durability};
use crate::execute::Limits;
use crate::server::{self, Banner};
use crate::serving;
use crate::session::connect::Gateway;
use crate::session::registry::Registry;
use crate::session::shared::{Facts, Shared};

/// Serves until the process is told to stop. Boxed, so that the server is compiled here and
/// not once more in each program that runs it.
pub fn serve(config: Config) -> LocalBoxFuture<'static, Result<(), Box<dyn Error>>> {
    run(config).boxed_local()
}

async fn run(config: Config) -> Result<(), Box<dyn Error>> {
    let durability = match config.durability {
        Durability::Fsync => omnigraph_engine::Durability::Fsync,
        Durability::None => omnigraph_engine::Durability::None,
    };
    let options = StoreOptions {
        durability,
        ..StoreOptions::default()
    };
    let store = Store::connect(&config.store.to_string(), &options).await?;
    let resources = Resources::new(&ResourceLimits {
        maintenance: true,
        ..ResourceLimits::default()
    });
    let databases = match config.cluster {
        None => Databases::open(store, resources).await?,
        Some(cluster) => {
            let unauthenticated = config.credentials == CredentialSource::Nobody;
            serving::cluster(Cluster::new(store, resources), cluster, unauthenticated).await?
        }
    };
    let graphs = databases
        .list()
        .into_iter()
        .filter(|(_, state)| matches!(state, State::Serving(_)))
        .map(|(name, _)| name)
        .collect();
    let facts = Facts {
        durability: match config.durability {
            Durability::Fsync => "fsync",
            Durability::None => "none",
        }
        .to_owned(),
        port: config.binds.first().map_or(0, std::net::SocketAddr::port),
        tls: config.tls.is_some(),
        max_connections: config.max_connections,
        actors: config.authenticator.actors(),
    };
    let shared = Shared::new(databases, &Limits::default(), facts)?;
    let registry = Arc::<Registry>::default();
    server::run(config, Gateway::new(shared), registry, Banner { graphs }).await?;
    Ok(())
}
