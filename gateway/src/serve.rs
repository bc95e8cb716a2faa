//! From a checked configuration to a server: the store, its graphs, and who listens.

use std::error::Error;
use std::io;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use omnigraph_catalog::access::{Databases, State};
use omnigraph_catalog::cluster::Cluster;
use omnigraph_engine::{ResourceLimits, Resources, Store, StoreOptions};
use tokio::net::TcpListener;
use tracing::warn;

use crate::config::{Config, CredentialSource, Durability};
use crate::execute::Limits;
use crate::http::{self, Status};
use crate::server::{self, Banner};
use crate::serving;
use crate::session::connect::Gateway;
use crate::session::registry::Registry;
use crate::session::shared::{Facts, Shared};

/// The stack of each thread that runs statements. Expressions may be as deep as the parser lets
/// them be, and what evaluates or drops one goes down level by level. Memory is taken for what
/// is used of it only.
pub const STACK_BYTES: usize = 256 << 20;

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
    let mut banner = Banner {
        graphs,
        ..Banner::default()
    };
    if let Some(listener) = listen(&config).await? {
        let status = Status {
            registry: Arc::clone(&registry),
            shared: Arc::clone(&shared),
        };
        banner.http = Some(listener.local_addr()?);
        tokio::spawn(http::serve(listener, Arc::new(status)));
    }
    server::run(config, Gateway::new(shared), registry, banner).await?;
    Ok(())
}

/// Where health and metrics are told. A port that nobody asked for may be taken.
async fn listen(config: &Config) -> io::Result<Option<TcpListener>> {
    let Some(place) = &config.http else {
        return Ok(None);
    };
    match http::bind(place.address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if place.by_default && error.kind() == io::ErrorKind::AddrInUse => {
            warn!(%error, "no health and metrics; --http HOST:PORT says where they shall be");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
