//! From the graph that a command names to an open one.

use clap::{Args, ValueEnum};
use omnigraph_catalog::cluster::external_blobs;
use omnigraph_engine::blob::{self, BlobUri};
use omnigraph_engine::{Durability, Graph, ResourceLimits, Resources, Store, StoreOptions};

use crate::cli::Failure;

/// The graph a command is about.
#[derive(Debug, Clone, Args)]
pub(super) struct Address {
    /// The graph: a directory or a URL (s3://bucket/prefix)
    #[arg(value_name = "GRAPH")]
    pub graph: String,
    /// Permit network file systems (NFS, SMB, FUSE) mounted without lookup caching
    #[arg(long)]
    pub allow_network_fs: bool,
}

/// When a commit counts as made.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Durable {
    /// What a commit on a local disk survives: power loss, or only the end of the process
    #[arg(long, value_enum, default_value_t = DurabilityName::Fsync)]
    pub durability: DurabilityName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DurabilityName {
    Fsync,
    None,
}

/// What outside of the graph may be read.
#[derive(Debug, Clone, Args)]
pub(super) struct ExternalBlobs {
    /// A place outside of the graph that blobs may be read from: s3://bucket/prefix/ or file:///folder/
    #[arg(long = "allow-blobs", value_name = "BASE")]
    bases: Vec<String>,
}

impl ExternalBlobs {
    /// Allows what the flag says, and what the cluster does that the graph is of.
    pub async fn allow(&self, graph: &Graph, address: &Address) -> Result<(), Failure> {
        let mut bases = self
            .bases
            .iter()
            .map(|base| BlobUri::parse_base(base))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some((cluster, id)) = address.in_cluster() {
            let options = StoreOptions {
                allow_network_fs: address.allow_network_fs,
                ..StoreOptions::default()
            };
            let store = Store::connect(&cluster, &options).await?;
            let applied = external_blobs(&store, &id).await;
            let applied = applied.map_err(|error| Failure::new(error.to_string()))?;
            bases.extend(applied.unwrap_or_default());
        }
        graph.blobs().allow(blob::ExternalBlobs::new(bases));
        Ok(())
    }
}

impl Address {
    /// The root of the cluster and the graph's name there, if the graph lies as in one.
    fn in_cluster(&self) -> Option<(String, String)> {
        let path = self.graph.trim_end_matches('/');
        let (folder, name) = path.rsplit_once('/')?;
        let root = folder.strip_suffix("graphs")?;
        let id = name.strip_suffix(".omni")?;
        let root = match root {
            "" => ".",
            root => root.strip_suffix('/')?,
        };
        Some((root.to_owned(), id.to_owned()))
    }

    pub async fn store(&self, durable: Durable) -> Result<Store, Failure> {
        let options = StoreOptions {
            durability: durable.durability.into(),
            allow_network_fs: self.allow_network_fs,
        };
        Ok(Store::connect(&self.graph, &options).await?)
    }

    pub async fn open(&self) -> Result<Graph, Failure> {
        self.open_to_write(Durable::default()).await
    }

    pub async fn open_to_write(&self, durable: Durable) -> Result<Graph, Failure> {
        // Connecting to a directory makes it; a mistyped path must not leave one behind.
        if let Some(folder) = self.folder()
            && !folder.exists()
        {
            return Err(
                Failure::new(format!("graph \"{}\" does not exist", self.graph))
                    .hint("`omnigraph init --schema FILE GRAPH` makes a graph."),
            );
        }
        let store = self.store(durable).await?;
        Ok(Graph::open(store, resources()).await?)
    }

    /// The directory, unless the graph is on an object store.
    pub fn folder(&self) -> Option<&std::path::Path> {
        match self.graph.split_once("://") {
            Some(("file", path)) => Some(path.as_ref()),
            Some(_) => None,
            None => Some(self.graph.as_ref()),
        }
    }
}

impl From<DurabilityName> for Durability {
    fn from(name: DurabilityName) -> Self {
        match name {
            DurabilityName::Fsync => Durability::Fsync,
            DurabilityName::None => Durability::None,
        }
    }
}

impl Default for Durable {
    fn default() -> Self {
        Durable {
            durability: DurabilityName::Fsync,
        }
    }
}

pub(super) fn resources() -> std::sync::Arc<Resources> {
    Resources::new(&ResourceLimits::default())
}
