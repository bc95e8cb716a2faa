//! What the tests share: a server on a temporary store, and clients for it.
//!
//! The server is the real one, in this process: the same configuration, listener, connection
//! loop and sessions that `omnigraph-server` runs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use omnigraph_catalog::access::Databases;
use omnigraph_catalog::cluster::Cluster;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::{
    CommitMessage, Graph, ResourceLimits, Resources, Store, StoreOptions, TransactionOptions,
};
use omnigraph_gateway::config::{Args, Config};
use omnigraph_gateway::execute::Limits;
use omnigraph_gateway::serve::STACK_BYTES;
use omnigraph_gateway::server::{self, Banner};
use omnigraph_gateway::serving;
use omnigraph_gateway::session::connect::Gateway;
use omnigraph_gateway::session::registry::Registry;
use omnigraph_gateway::session::shared::{Facts, Shared};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

/// Where the servers of all tests run, with stacks like those of the program.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build()
        .expect("threads")
});

/// A few people who know each other: a keyed node type, an edge type, every kind of constraint.
pub const PEOPLE: &str = r#"
node Person {
    slug: String
    name: String
    age: I32?
    email: String?
    tags: [String]?
    level: enum(low, high) @default("low")

    @key(slug)
    @unique(email)
    @range(age, 0..150)
}

node Note {
    text: String
    size: U32?
    big: U64?
    ratio: F64?
    at: DateTime?
    day: Date?
    raw: Blob?
    done: Bool @default(false)
}

edge Knows: Person -> Person {
    since: Date?
}

edge Wrote: Person -> Note
"#;

/// A running server; it ends when this is dropped.
pub struct Server {
    address: SocketAddr,
    store: TempDir,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves one new graph of this schema, as database `people`.
    pub async fn start() -> Server {
        Server::with(&[("people", PEOPLE)]).await
    }

    pub async fn with(graphs: &[(&str, &str)]) -> Server {
        let store = TempDir::new().expect("a temporary directory");
        for (name, schema) in graphs {
            create(store.path(), name, schema).await;
        }
        Server::on(store).await
    }

    /// As [`Server::with`], where all statements together have so many bytes.
    pub async fn with_memory(graphs: &[(&str, &str)], memory_bytes: usize) -> Server {
        let store = TempDir::new().expect("a temporary directory");
        for (name, schema) in graphs {
            create(store.path(), name, schema).await;
        }
        let limits = Limits {
            memory_bytes,
            ..Limits::default()
        };
        Server::limited(store, &limits).await
    }

    async fn on(directory: TempDir) -> Server {
        Server::limited(directory, &Limits::default()).await
    }

    async fn limited(directory: TempDir, limits: &Limits) -> Server {
        let path = directory.path().to_string_lossy().into_owned();
        let store = Store::connect(&path, &StoreOptions::default())
            .await
            .expect("a store");
        let databases = Databases::open(store, Resources::new(&ResourceLimits::default()))
            .await
            .expect("graphs");
        let config = arguments(&["--store", &path, "--unauthenticated"]);
        Server::serve(directory, config, databases, limits).await
    }

    /// Serves what was applied to the cluster of a config directory, to these actors, whose
    /// passwords are their names.
    pub async fn of_cluster(directory: TempDir, actors: &[&str]) -> Server {
        let path = directory.path().to_string_lossy().into_owned();
        let credentials = directory.path().join("credentials.json");
        let tokens: Vec<String> = actors
            .iter()
            .map(|actor| format!("{actor:?}: {actor:?}"))
            .collect();
        std::fs::write(&credentials, format!("{{{}}}", tokens.join(", "))).expect("a file");
        let credentials = credentials.to_string_lossy();
        let config = arguments(&[
            "--cluster",
            &path,
            "--credentials",
            &credentials,
            "--poll",
            "100ms",
        ]);
        let store = Store::connect(&config.store.to_string(), &StoreOptions::default())
            .await
            .expect("a store");
        let cluster = Cluster::new(store, Resources::new(&ResourceLimits::default()));
        let how = config.cluster.expect("it is a cluster");
        let databases = serving::cluster(cluster, how, false)
            .await
            .expect("it can be served");
        Server::serve(directory, config, databases, &Limits::default()).await
    }

    async fn serve(
        directory: TempDir,
        config: Config,
        databases: Databases,
        limits: &Limits,
    ) -> Server {
        let address = config.binds[0];
        let facts = Facts {
            durability: "fsync".to_owned(),
            port: address.port(),
            ..Facts::default()
        };
        let shared = Shared::new(databases, limits, facts).expect("an executor");
        let task = RUNTIME.spawn(async move {
            let registry = Arc::<Registry>::default();
            let served =
                server::run(config, Gateway::new(shared), registry, Banner::default()).await;
            if let Err(error) = served {
                eprintln!("the server ended: {error}");
            }
        });
        let server = Server {
            address,
            store: directory,
            task,
        };
        server.wait().await;
        server
    }

    async fn wait(&self) {
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(self.address).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the server does not listen on {}", self.address);
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn store(&self) -> &Path {
        self.store.path()
    }

    /// A client of the graph `people`, as `ada`.
    pub async fn client(&self) -> Client {
        self.client_of("people", "ada").await
    }

    pub async fn client_of(&self, database: &str, actor: &str) -> Client {
        self.try_client(database, actor)
            .await
            .expect("a connection")
    }

    pub async fn try_client(
        &self,
        database: &str,
        actor: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::Config::new()
            .host(self.address.ip().to_string())
            .port(self.address.port())
            .user(actor)
            .password(actor)
            .dbname(database)
            .connect(NoTls)
            .await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Makes a graph below a store's directory.
pub async fn create(store: &Path, name: &str, schema: &str) {
    let path = store.join("graphs").join(format!("{name}.omni"));
    let root = Store::connect(&path.to_string_lossy(), &StoreOptions::default())
        .await
        .expect("a store");
    Graph::create(
        root,
        schema,
        "ada",
        Resources::new(&ResourceLimits::default()),
    )
    .await
    .expect("a graph");
}

/// Checked settings of a server on a free port.
fn arguments(more: &[&str]) -> Config {
    let address = free_address().to_string();
    let fixed = ["omnigraph-server", "--bind", &address, "--drain", "1s"];
    let args = <Args as clap::Parser>::parse_from(fixed.iter().chain(more));
    args.check()
        .unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// A graph as another process would open it.
pub async fn open(root: &Path) -> Graph {
    let store = Store::connect(&root.to_string_lossy(), &StoreOptions::default())
        .await
        .expect("a store");
    Graph::open(store, Resources::new(&ResourceLimits::default()))
        .await
        .expect("a graph")
}

pub fn branch(name: &str) -> BranchName {
    BranchName::parse(name).expect("a good name")
}

/// Empties `person` on a branch, without a server; the commit's id.
pub async fn delete_everybody(graph: &Graph, branch: &BranchName) -> String {
    let mut transaction = graph
        .begin(branch, TransactionOptions::default())
        .await
        .expect("a branch");
    let person = transaction
        .snapshot()
        .table_named("person")
        .expect("declared");
    transaction
        .truncate(person.def().id, true)
        .await
        .expect("it can be emptied");
    let commit = transaction.commit(CommitMessage::default()).await;
    commit
        .expect("nobody else writes")
        .map(|commit| commit.id.to_string())
        .expect("there was somebody")
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
}

/// The SQLSTATE of a failed statement.
pub fn code<T>(result: Result<T, tokio_postgres::Error>) -> String {
    match result {
        Ok(_) => "no error".to_owned(),
        Err(error) => error
            .code()
            .map_or_else(|| error.to_string(), |code| code.code().to_owned()),
    }
}

/// The rows of a simple query as text, NULL as `∅`.
pub async fn rows(client: &Client, sql: &str) -> Vec<Vec<String>> {
    let messages = client
        .simple_query(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {}", describe(&error)));
    messages
        .iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|at| row.get(at).unwrap_or("∅").to_owned())
                    .collect(),
            ),
            _ => None,
        })
        .collect()
}

/// The only value of a simple query.
pub async fn one(client: &Client, sql: &str) -> String {
    let rows = rows(client, sql).await;
    match rows.as_slice() {
        [row] if row.len() == 1 => row[0].clone(),
        other => panic!("{sql}: one value was expected, not {other:?}"),
    }
}

/// Runs statements that have to succeed.
pub async fn run(client: &Client, sql: &str) {
    if let Err(error) = client.simple_query(sql).await {
        panic!("{sql}: {}", describe(&error));
    }
}

pub fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!(
            "{} {} {} {}",
            error.code().code(),
            error.message(),
            error.detail().unwrap_or_default(),
            error.hint().unwrap_or_default()
        ),
        None => error.to_string(),
    }
}
