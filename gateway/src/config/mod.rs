//! What `omnigraph-server` is told on its command line, checked as a whole before anything
//! starts: every mistake is reported, not only the first.

mod file;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Parser, ValueEnum};
use url::Url;
use zeroize::Zeroizing;

use omnigraph_catalog::cluster::spec::storage_of;

pub use self::file::read;
use crate::auth::Authenticator;
use crate::auth::credentials::Credentials;
use crate::tls::Tls;

/// Serves the graphs of a store to PostgreSQL clients.
#[derive(Debug, Parser)]
#[command(name = "omnigraph-server", version)]
pub struct Args {
    /// A file of settings (YAML: the names of these flags). Flags and variables come first.
    #[arg(long, value_name = "FILE", env = "OMNIGRAPH_CONFIG")]
    pub config: Option<PathBuf>,

    /// Where the graphs are: a directory or s3://bucket/prefix. Every graphs/<name>.omni in it
    /// is served as database <name>.
    #[arg(long, value_name = "DIR|URL", env = "OMNIGRAPH_STORE")]
    pub store: Option<String>,

    /// Serve what was applied to a cluster: its config directory or its storage root.
    #[arg(
        long,
        value_name = "DIR|URL",
        conflicts_with = "store",
        env = "OMNIGRAPH_CLUSTER"
    )]
    pub cluster: Option<String>,

    /// Do not start unless every graph of the cluster can be served.
    #[arg(long, env = "OMNIGRAPH_REQUIRE_ALL_GRAPHS", value_parser = BoolishValueParser::new())]
    pub require_all_graphs: bool,

    /// How often a cluster is looked at for a new revision.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration, env = "OMNIGRAPH_POLL")]
    pub poll: Duration,

    /// Address and port to listen on; port 0 takes a free one. May be given several times.
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:5432",
        env = "OMNIGRAPH_BIND",
        value_delimiter = ','
    )]
    pub bind: Vec<String>,

    /// Where /healthz, /readyz and /metrics are told over HTTP, or off [default: port 8080 of
    /// the first --bind]
    #[arg(
        long,
        alias = "http",
        value_name = "HOST:PORT|off",
        env = "OMNIGRAPH_HTTP_BIND"
    )]
    pub http_bind: Option<String>,

    /// Who may connect: a JSON file {"actor": "token", …}. Without it, the same as text in
    /// OMNIGRAPH_SERVER_BEARER_TOKENS_JSON, or the token of the actor "default" in
    /// OMNIGRAPH_SERVER_BEARER_TOKEN.
    #[arg(long, value_name = "FILE", env = "OMNIGRAPH_SERVER_BEARER_TOKENS_FILE")]
    pub credentials: Option<PathBuf>,

    /// Let everybody in under any name. Loopback addresses only.
    #[arg(long, env = "OMNIGRAPH_UNAUTHENTICATED", value_parser = BoolishValueParser::new())]
    pub unauthenticated: bool,

    /// The server's certificate with its chain (PEM). Re-read when it changes.
    #[arg(long, value_name = "FILE", env = "OMNIGRAPH_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", env = "OMNIGRAPH_TLS_KEY")]
    pub tls_key: Option<PathBuf>,

    /// How long running statements may go on after SIGINT or SIGTERM.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration, env = "OMNIGRAPH_DRAIN")]
    pub drain: Duration,

    /// Sessions at a time.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 200,
        env = "OMNIGRAPH_MAX_CONNECTIONS"
    )]
    pub max_connections: u32,

    /// What an acknowledged commit on a local file system has survived.
    #[arg(long, value_enum, default_value_t = Durability::Fsync, env = "OMNIGRAPH_DURABILITY")]
    pub durability: Durability,

    /// How the log on standard error looks.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "OMNIGRAPH_LOG_FORMAT")]
    pub log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Durability {
    /// Power loss: data and log entry are synced.
    Fsync,
    /// The death of the process only.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Checked settings of a server.
pub struct Config {
    pub store: Store,
    /// Of a cluster: how it is served.
    pub cluster: Option<ClusterConfig>,
    pub binds: Vec<SocketAddr>,
    /// `None`: nowhere.
    pub http: Option<HttpPlace>,
    pub authenticator: Authenticator,
    /// Where the credentials came from, for the log.
    pub credentials: CredentialSource,
    pub tls: Option<Tls>,
    pub drain: Duration,
    pub max_connections: usize,
    pub durability: Durability,
}

/// Where health and metrics are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpPlace {
    pub address: SocketAddr,
    /// Nobody asked for it.
    pub by_default: bool,
}

/// How a cluster is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterConfig {
    pub require_all_graphs: bool,
    pub poll: Duration,
}

/// Where the graphs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    Directory(PathBuf),
    Url(Url),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    Nobody,
    File {
        path: PathBuf,
        actors: usize,
    },
    /// A variable of the environment.
    Environment {
        name: &'static str,
        actors: usize,
    },
}

impl std::fmt::Display for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Store::Directory(path) => path.display().fmt(f),
            Store::Url(url) => url.fmt(f),
        }
    }
}

impl Args {
    /// Everything that is wrong, one text for each mistake.
    pub fn check(&self) -> Result<Config, Vec<String>> {
        let mut mistakes = Vec::new();
        let store = note(&mut mistakes, self.check_store());
        let binds = note(&mut mistakes, self.check_binds());
        let authenticator = note(&mut mistakes, self.check_authenticator(binds.as_deref()));
        let http = note(&mut mistakes, self.check_http(binds.as_deref()));
        let tls = note(&mut mistakes, self.check_tls());
        if self.max_connections == 0 || self.max_connections > 100_000 {
            mistakes.push("--max-connections must be between 1 and 100000".to_owned());
        }
        match (store, binds, http, authenticator, tls) {
            (
                Some(store),
                Some(binds),
                Some(http),
                Some((authenticator, credentials)),
                Some(tls),
            ) if mistakes.is_empty() => Ok(Config {
                store,
                cluster: self.cluster.is_some().then_some(ClusterConfig {
                    require_all_graphs: self.require_all_graphs,
                    poll: self.poll,
                }),
                binds,
                http,
                authenticator,
                credentials,
                tls,
                drain: self.drain,
                max_connections: self.max_connections as usize,
                durability: self.durability,
            }),
            _ => Err(mistakes),
        }
    }

    fn check_store(&self) -> Result<Store, String> {
        let (flag, place) = match (&self.store, &self.cluster) {
            (_, Some(cluster)) => ("--cluster", cluster),
            (Some(store), None) => ("--store", store),
            (None, None) => {
                return Err(
                    "--store or --cluster is missing: name the directory or s3:// URL that holds the graphs"
                        .to_owned(),
                );
            }
        };
        match place_of(flag, place)? {
            // A config directory may say that its cluster is kept elsewhere.
            Store::Directory(path) if flag == "--cluster" => match storage_of(&path) {
                Some(storage) => place_of("storage of cluster.yaml", &storage),
                None => Ok(Store::Directory(path)),
            },
            store => Ok(store),
        }
    }

    fn check_binds(&self) -> Result<Vec<SocketAddr>, String> {
        let mut addresses = Vec::new();
        for bind in &self.bind {
            let found = bind
                .to_socket_addrs()
                .map_err(|error| format!("--bind {bind}: {error} (expected HOST:PORT)"))?;
            // A name with an IPv4 and an IPv6 address means the first: one port, one line.
            addresses.extend(found.take(1));
        }
        addresses.dedup();
        if addresses.is_empty() {
            return Err("--bind names no address".to_owned());
        }
        Ok(addresses)
    }

    fn check_http(&self, binds: Option<&[SocketAddr]>) -> Result<Option<HttpPlace>, String> {
        let Some(text) = &self.http_bind else {
            return Ok(binds.and_then(<[_]>::first).map(|first| {
                let port = if first.port() == 0 { 0 } else { HTTP_PORT };
                HttpPlace {
                    address: SocketAddr::new(first.ip(), port),
                    by_default: true,
                }
            }));
        };
        if text == "off" {
            return Ok(None);
        }
        let address = text
            .to_socket_addrs()
            .map_err(|error| error.to_string())
            .and_then(|mut found| found.next().ok_or_else(|| "no address".to_owned()))
            .map_err(|error| format!("--http-bind {text}: {error} (expected HOST:PORT or off)"))?;
        Ok(Some(HttpPlace {
            address,
            by_default: false,
        }))
    }

    fn check_authenticator(
        &self,
        binds: Option<&[SocketAddr]>,
    ) -> Result<(Authenticator, CredentialSource), String> {
        if let (None, false) = (&self.credentials, self.unauthenticated)
            && let Some((name, credentials)) = tokens_of_environment()?
        {
            let actors = credentials.actors();
            let source = CredentialSource::Environment { name, actors };
            return Ok((Authenticator::scram(credentials), source));
        }
        match (&self.credentials, self.unauthenticated) {
            (Some(_), true) => {
                Err("--credentials and --unauthenticated exclude each other".to_owned())
            }
            (None, false) => Err(
                "who may connect is not said: give --credentials FILE, or --unauthenticated to let everybody in on loopback addresses"
                    .to_owned(),
            ),
            (Some(path), false) => {
                let credentials = Credentials::read(path).map_err(|error| format!("--credentials: {error}"))?;
                let source = CredentialSource::File {
                    path: path.clone(),
                    actors: credentials.actors(),
                };
                Ok((Authenticator::scram(credentials), source))
            }
            (None, true) => {
                let open = binds.unwrap_or_default().iter().find(|address| !address.ip().to_canonical().is_loopback());
                match open {
                    Some(address) => Err(format!(
                        "--unauthenticated with --bind {address}: without credentials only loopback addresses (127.0.0.1, ::1) may be bound"
                    )),
                    None => Ok((Authenticator::Trust, CredentialSource::Nobody)),
                }
            }
        }
    }

    fn check_tls(&self) -> Result<Option<Tls>, String> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Tls::load(certificate, key).map(Some),
            (None, None) => Ok(None),
            (Some(_), None) => Err("--tls-cert without --tls-key".to_owned()),
            (None, Some(_)) => Err("--tls-key without --tls-cert".to_owned()),
        }
    }
}

/// Where HTTP is spoken if nobody says otherwise.
const HTTP_PORT: u16 = 8080;
/// Variables that hold tokens themselves.
const TOKENS: &str = "OMNIGRAPH_SERVER_BEARER_TOKENS_JSON";
const TOKEN: &str = "OMNIGRAPH_SERVER_BEARER_TOKEN";
const AWS_SECRET: &str = "OMNIGRAPH_SERVER_BEARER_TOKENS_AWS_SECRET";

/// The tokens that the environment holds. One that is set and empty is a mistake, and not the
/// next one's turn.
fn tokens_of_environment() -> Result<Option<(&'static str, Credentials)>, String> {
    if std::env::var_os(AWS_SECRET).is_some() {
        return Err(format!(
            "{AWS_SECRET}: this build does not read AWS Secrets Manager; give --credentials FILE"
        ));
    }
    let read = |name: &str| std::env::var(name).ok().map(Zeroizing::new);
    if let Some(json) = read(TOKENS) {
        let credentials = Credentials::parse(json.as_bytes());
        return credentials
            .map(|credentials| Some((TOKENS, credentials)))
            .map_err(|error| format!("{TOKENS}: {error}"));
    }
    let Some(token) = read(TOKEN) else {
        return Ok(None);
    };
    let json = Zeroizing::new(serde_json::json!({ "default": *token }).to_string());
    let credentials = Credentials::parse(json.as_bytes());
    credentials
        .map(|credentials| Some((TOKEN, credentials)))
        .map_err(|error| format!("{TOKEN}: {error}"))
}

fn note<T>(mistakes: &mut Vec<String>, result: Result<T, String>) -> Option<T> {
    result.map_err(|mistake| mistakes.push(mistake)).ok()
}

fn place_of(flag: &str, place: &str) -> Result<Store, String> {
    let Some((scheme, _)) = place.split_once("://") else {
        return directory(flag, Path::new(place));
    };
    let url = Url::parse(place).map_err(|error| format!("{flag} {place}: {error}"))?;
    match scheme {
        "s3" if url.host_str().is_none_or(str::is_empty) => {
            Err(format!("{flag} {place}: the bucket is missing"))
        }
        "s3" => Ok(Store::Url(url)),
        "file" => url
            .to_file_path()
            .map_err(|()| format!("{flag} {place}: this is not a local path"))
            .and_then(|path| directory(flag, &path)),
        _ => Err(format!(
            "{flag} {place}: only directories and s3:// URLs are supported"
        )),
    }
}

fn directory(flag: &str, path: &Path) -> Result<Store, String> {
    match path.metadata() {
        Ok(data) if data.is_dir() => Ok(Store::Directory(path.to_owned())),
        Ok(_) => Err(format!(
            "{flag} {}: this is not a directory",
            path.display()
        )),
        Err(error) => Err(format!("{flag} {}: {error}", path.display())),
    }
}

/// `30s`, `500ms`, `2m`, `1h`; a number alone is seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis_per_unit: u64 = match unit.trim() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("unknown unit \"{unit}\": use ms, s, m or h")),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(millis_per_unit))
        .map(Duration::from_millis)
        .ok_or_else(|| "expected a time such as 30s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(args: &[&str]) -> Vec<String> {
        let args =
            Args::try_parse_from([&["omnigraph-server"], args].concat()).expect("known flags");
        args.check().err().unwrap_or_default()
    }

    #[test]
    fn a_loopback_server_for_everybody_is_fine() {
        let here = std::env::temp_dir();
        let here = here.to_str().expect("a path");
        assert_eq!(
            mistakes(&[
                "--store",
                here,
                "--unauthenticated",
                "--bind",
                "127.0.0.1:0"
            ]),
            [""; 0]
        );
        assert_eq!(
            mistakes(&[
                "--store",
                "s3://bucket/prefix",
                "--unauthenticated",
                "--bind",
                "[::1]:0"
            ]),
            [""; 0]
        );
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let found = mistakes(&[
            "--store",
            "/nowhere/at/all",
            "--bind",
            "nonsense",
            "--tls-cert",
            "cert.pem",
            "--max-connections",
            "0",
        ]);
        for (mistake, expected) in found.iter().zip([
            "--store /nowhere",
            "--bind nonsense",
            "--credentials FILE",
            "--tls-key",
            "--max-connections",
        ]) {
            assert!(mistake.contains(expected), "{mistake}");
        }
        assert_eq!(found.len(), 5, "{found:?}");
    }

    #[test]
    fn strangers_are_let_in_on_loopback_only() {
        let store = std::env::temp_dir();
        let store = store.to_str().expect("a path");
        let found = mistakes(&["--store", store, "--unauthenticated", "--bind", "0.0.0.0:0"]);
        assert!(found[0].contains("loopback"), "{found:?}");
        let found = mistakes(&["--store", store, "--bind", "127.0.0.1:0"]);
        assert!(found[0].contains("--unauthenticated"), "{found:?}");
        let found = mistakes(&[
            "--cluster",
            store,
            "--unauthenticated",
            "--bind",
            "127.0.0.1:0",
        ]);
        assert_eq!(found, [""; 0]);
        let found = mistakes(&["--store", "gs://bucket", "--unauthenticated"]);
        assert!(found[0].contains("s3://"), "{found:?}");
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "s", "3 weeks", "-1s", "99999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
