//! `omnigraph-server`: serves every graph of a store, or what was applied to a cluster, to
//! PostgreSQL clients.
//!
//! Exit codes: 0 stopped as asked, 1 could not start or failed while running, 2 wrong arguments.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use omnigraph_catalog::access::{Databases, State};
use omnigraph_catalog::cluster::Cluster;
use omnigraph_engine::{ResourceLimits, Resources, Store, StoreOptions};
use omnigraph_gateway::config::{Args, Config, CredentialSource, Durability};
use omnigraph_gateway::execute::Limits;
use omnigraph_gateway::server::{self, Banner};
use omnigraph_gateway::serving;
use omnigraph_gateway::session::connect::Gateway;
use omnigraph_gateway::session::registry::Registry;
use omnigraph_gateway::session::shared::{Facts, Shared};
use omnigraph_gateway::telemetry;

fn main() -> ExitCode {
    let args = Args::parse();
    let config = match args.check() {
        Ok(config) => config,
        Err(mistakes) => {
            for mistake in mistakes {
                eprintln!("omnigraph-server: {mistake}");
            }
            return ExitCode::from(2);
        }
    };
    telemetry::start(args.log_format);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("omnigraph-server: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("omnigraph-server: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let durability = match config.durability {
        Durability::Fsync => omnigraph_engine::Durability::Fsync,
        Durability::None => omnigraph_engine::Durability::None,
    };
    let options = StoreOptions {
        durability,
        ..StoreOptions::default()
    };
    let store = Store::connect(&config.store.to_string(), &options).await?;
    let resources = Resources::new(&ResourceLimits::default());
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
