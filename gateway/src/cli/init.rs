use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;
use omnigraph_engine::error::{Error, ObjectKind};
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::{RandomIds, Schema, SchemaErrors};
use omnigraph_engine::{Graph, Snapshot, Store, make_folder};
use serde_json::json;

use crate::cli::address::{Address, Durable, resources};
use crate::cli::output::Output;
use crate::cli::{Actor, Failure, Format};

/// Make a graph from a schema.
///
/// The graph has one branch, main, and no rows. A graph that is there already is left as it
/// is, and a failure leaves nothing behind.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The schema, a .pg file
    #[arg(long, value_name = "FILE")]
    schema: PathBuf,
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    durable: Durable,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    pub format: Format,
}

impl Init {
    pub async fn run(self) -> Result<Output, Failure> {
        let source = read_schema(&self.schema)?;
        // All mistakes at once and under the file's name, before anything is touched.
        Schema::parse(&source, &mut RandomIds)
            .map_err(|errors| schema_failure(&self.schema, errors))?;
        let snapshot = match self.address.folder() {
            Some(folder) => self.make_folder(folder, &source).await?,
            None => {
                self.make(self.address.store(self.durable).await?, &source)
                    .await?
            }
        };
        let schema = snapshot.schema();
        let (nodes, edges) = (schema.nodes().count(), schema.edges().count());
        Ok(Output::new(
            format!(
                "made {} with {} and {}",
                self.address.graph,
                counted(nodes, "node type"),
                counted(edges, "edge type"),
            ),
            json!({
                "graph": self.address.graph,
                "branch": BranchName::MAIN,
                "commit": snapshot.commit().to_string(),
                "node_types": nodes,
                "edge_types": edges,
            }),
        ))
    }

    /// Makes the graph beside its place and moves it there whole: whoever comes second finds
    /// the place taken, and a failure has only its own files to remove.
    async fn make_folder(&self, folder: &Path, source: &str) -> Result<Snapshot, Failure> {
        let taken = || {
            Failure::from(Error::AlreadyExists {
                kind: ObjectKind::Graph,
                name: self.address.graph.clone(),
            })
        };
        let name = folder.file_name().ok_or_else(|| {
            Failure::usage(format!(
                "\"{}\" does not name a directory",
                self.address.graph
            ))
        })?;
        if is_graph(folder) {
            return Err(taken());
        }
        let parent = folder
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let durability = self.durable.durability.into();
        make_folder(parent, durability).map_err(|error| Failure::file(parent, &error))?;
        let scratch = parent.join(format!(
            ".{}.{:016x}",
            name.to_string_lossy(),
            rand::random::<u64>()
        ));
        let address = Address {
            graph: scratch.display().to_string(),
            ..self.address.clone()
        };
        let made = match address.store(self.durable).await {
            Ok(store) => self.make(store, source).await,
            Err(failure) => Err(failure),
        };
        let moved = made.and_then(|snapshot| match std::fs::rename(&scratch, folder) {
            Ok(()) => {
                // Without it the move might not survive a power loss.
                let synced = File::open(parent).and_then(|parent| parent.sync_all());
                synced.map_err(|error| Failure::file(parent, &error))?;
                Ok(snapshot)
            }
            Err(_) if is_graph(folder) => Err(taken()),
            Err(error) => Err(Failure::file(folder, &error)
                .hint("The graph's place must not exist, or be an empty directory.")),
        });
        if moved.is_err() {
            let _ = std::fs::remove_dir_all(&scratch);
        }
        moved
    }

    async fn make(&self, store: Store, source: &str) -> Result<Snapshot, Failure> {
        let graph = Graph::create(store, source, &self.actor.name(), resources()).await?;
        Ok(graph.snapshot(BranchName::MAIN).await?)
    }
}

pub(super) fn read_schema(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))
}

pub(super) fn schema_failure(path: &Path, errors: SchemaErrors) -> Failure {
    let count = errors.errors().len();
    let plural = if count == 1 { "" } else { "s" };
    Failure {
        detail: Some(errors.in_file(path.display().to_string()).to_string()),
        ..Failure::new(format!("{} has {count} mistake{plural}", path.display()))
    }
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

fn is_graph(folder: &Path) -> bool {
    folder.join("_graph/graph.json").exists()
}
