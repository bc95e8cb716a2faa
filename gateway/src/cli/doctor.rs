use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Args;
use omnigraph_catalog::cluster::Cluster;
use omnigraph_catalog::cluster::address::Address as Named;
use omnigraph_catalog::cluster::spec::{Provider, Spec};
use omnigraph_catalog::diagnostic::Diagnostic;
use omnigraph_engine::{Error, Graph};
use serde_json::{Value, json};

use crate::cli::address::{Address, Durable, resources};
use crate::cli::cluster::{Stop, ended, lines, root_of};
use crate::cli::output::Output;
use crate::cli::{Exit, Failure, Format};
use crate::stored::QueryCompiler;

/// How long a provider of embeddings has to take a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Look for damage in a graph or a cluster. Changes nothing.
///
/// Every entry of the logs, manifest, file, checkpoint and stored index of a graph is read or
/// looked for; of a cluster also its ledger, payloads, approvals, roots and providers. What is
/// derived (checkpoints, indexes) is a warning: answers are right without it.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// The directory of cluster.yaml: the cluster and all its graphs
    #[arg(long, value_name = "DIR", conflicts_with = "graph")]
    config: Option<std::path::PathBuf>,
    /// The graph: a directory or s3://bucket/prefix
    #[arg(value_name = "GRAPH", required_unless_present = "config")]
    graph: Option<String>,
    #[command(flatten)]
    pub format: Format,
}

/// What was found.
#[derive(Debug, Default)]
struct Findings {
    found: Vec<Diagnostic>,
    looked: BTreeMap<String, Value>,
}

impl Doctor {
    pub async fn run(self) -> Result<Output, Failure> {
        ended(self.examine().await)
    }

    async fn examine(self) -> Result<Output, Stop> {
        let mut findings = Findings::default();
        match (&self.config, &self.graph) {
            (Some(config), _) => findings.cluster(config).await?,
            (None, Some(graph)) => {
                let address = Address {
                    graph: graph.clone(),
                    allow_network_fs: false,
                };
                if address.folder().is_some_and(|folder| !folder.exists()) {
                    let message = format!("graph \"{graph}\" does not exist");
                    return Err(Failure::new(message).into());
                }
                let store = address.store(Durable::default()).await?;
                findings
                    .opened(graph, Graph::open(store, resources()).await)
                    .await?;
            }
            (None, None) => {}
        }
        let (errors, warnings): (Vec<&Diagnostic>, Vec<&Diagnostic>) =
            findings.found.iter().partition(|one| one.is_error());
        let mut text = lines(&findings.found);
        for (graph, looked) in &findings.looked {
            text.push_str(&format!(
                "{graph}: looked at {} log entries, {} table versions, {} files\n",
                looked["entries"], looked["versions"], looked["files"]
            ));
        }
        text.push_str(&format!(
            "{} errors, {} warnings\n",
            errors.len(),
            warnings.len()
        ));
        let document =
            json!({ "errors": errors, "warnings": warnings, "looked_at": findings.looked });
        let mut output = Output::new(text, document);
        if !errors.is_empty() {
            output.exit = Exit::Failed;
        }
        Ok(output)
    }
}

impl Findings {
    /// A graph, or why it cannot even be opened.
    async fn opened(&mut self, name: &str, opened: Result<Graph, Error>) -> Result<(), Failure> {
        let error = match opened {
            Ok(graph) => return self.graph(name, &graph).await,
            Err(error @ Error::Unavailable { .. }) => return Err(error.into()),
            Err(error) => error,
        };
        let (code, hint) = match &error {
            Error::Corrupt { object, .. } if object.starts_with("_graph/branches/") => {
                (code("log_entry"), hint("log_entry"))
            }
            Error::Corrupt { object, .. } if object.starts_with("_graph/refs/") => {
                (code("names"), hint("names"))
            }
            _ => (
                "graph_unopenable",
                "`omnigraph cluster refresh` records what is there.",
            ),
        };
        let found = Diagnostic::error(code, error.to_string());
        self.found.push(found.about(name).hint(hint));
        Ok(())
    }

    async fn graph(&mut self, name: &str, graph: &Graph) -> Result<(), Failure> {
        let examined = graph.examine().await?;
        for damage in &examined.damage {
            let object = damage.object;
            let message = format!("{}: {}", damage.key, damage.message);
            let (code, hint) = (code(object.name()), hint(object.name()));
            let found = match object.is_derived() {
                true => Diagnostic::warning(code, message),
                false => Diagnostic::error(code, message),
            };
            self.found.push(found.about(name).hint(hint));
        }
        let looked = json!({
            "entries": examined.entries, "versions": examined.versions, "files": examined.files,
        });
        self.looked.insert(name.to_owned(), looked);
        Ok(())
    }

    async fn cluster(&mut self, config: &std::path::Path) -> Result<(), Stop> {
        let (spec, warnings) = Spec::load(config, &QueryCompiler::new()).map_err(Stop::Findings)?;
        self.found.extend(warnings);
        let root = root_of(config, &spec).await?;
        let standing = root.status().await?;
        self.found.extend(standing.errors);
        self.found.extend(standing.warnings);
        for intent in &standing.unsettled {
            let address = Named::Graph(intent.graph.clone()).to_string();
            let message = "a run was interrupted while it changed this graph";
            self.found.push(
                Diagnostic::warning("cluster_recovery_pending", message)
                    .about(address)
                    .hint("The next `omnigraph cluster apply` settles it."),
            );
        }
        // Stale approvals, foreign roots and graphs that cannot be opened.
        self.found
            .extend(root.plan(&spec, None, false).await?.warnings);
        for (name, provider) in &spec.providers {
            self.found.extend(unreachable(name, provider).await);
        }
        let applied = standing.ledger.resources();
        let mut ids: BTreeSet<String> = spec.graphs.keys().cloned().collect();
        // Those too that were made at run time.
        ids.extend(applied.filter_map(|(address, _)| match address {
            Named::Graph(id) => Some(id),
            _ => None,
        }));
        self.graphs(&root, &ids).await
    }

    async fn graphs(&mut self, root: &Cluster, ids: &BTreeSet<String>) -> Result<(), Stop> {
        for id in ids {
            let address = Named::Graph(id.clone()).to_string();
            if let Some(found) = root.foreign(id).await? {
                self.found.push(found.about(address));
                continue;
            }
            let place = omnigraph_catalog::cluster::files::graph(root.store(), id);
            let opened = Graph::open(place, resources()).await;
            self.opened(&address, opened).await?;
        }
        Ok(())
    }
}

/// A stable code for each kind of object.
fn code(object: &str) -> &'static str {
    match object {
        "names" => "names_damaged",
        "log_entry" => "log_entry_damaged",
        "manifest" => "manifest_damaged",
        "file" => "file_missing",
        "checkpoint" => "checkpoint_damaged",
        _ => "index_damaged",
    }
}

fn hint(object: &str) -> &'static str {
    match object {
        "checkpoint" => "Remove it: it is made again from the log.",
        "index" => "Remove it: lookups read the file instead, and maintenance makes it again.",
        _ => "Restore the object from a copy of the store; it is never written again.",
    }
}

/// Does an embedding service's address take connections?
async fn unreachable(name: &str, provider: &Provider) -> Option<Diagnostic> {
    let address = Named::Provider(name.to_owned()).to_string();
    let values = provider.profile.as_object()?;
    let missing = values.values().filter_map(Value::as_str).find_map(|value| {
        let variable = value.strip_prefix("${")?.strip_suffix('}')?;
        std::env::var_os(variable)
            .is_none()
            .then(|| variable.to_owned())
    });
    if let Some(variable) = missing {
        let message = format!("the environment variable {variable} is not set");
        return Some(
            Diagnostic::warning("embedding_provider_unresolved", message)
                .about(address)
                .hint("Servers need it where they run."),
        );
    }
    let url = url::Url::parse(values.get("base_url")?.as_str()?).ok()?;
    let (host, port) = (url.host_str()?.to_owned(), url.port_or_known_default()?);
    let connect = tokio::net::TcpStream::connect((host.as_str(), port));
    let why = match tokio::time::timeout(PATIENCE, connect).await {
        Ok(Ok(_)) => return None,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {PATIENCE:?}"),
    };
    let message = format!("{host}:{port} takes no connection: {why}");
    let found = Diagnostic::warning("embedding_provider_unreachable", message);
    Some(found.about(address))
}
