//! Which server is meant: by its address, or by a profile of the operator's own configuration.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use omnigraph_catalog::yaml::{self, Findings};
use serde_json::{Map, Value, json};
use tokio_postgres::config::Host;

use crate::cli::output::{Output, table};
use crate::cli::{Failure, Format};

/// Show the profiles of ~/.omnigraph/config.yaml.
///
/// A profile names a server: profiles: { work: { server: "postgresql://ada@host/graph" } };
/// defaults: { profile: work } says which one is meant without a name. OMNIGRAPH_HOME is another
/// folder. `omnigraph login` keeps a profile's password.
#[derive(Debug, Args)]
pub(super) struct Profile {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(List),
    Show(Show),
}

/// Show all profiles
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    format: Format,
}

/// Show one profile
#[derive(Debug, Args)]
struct Show {
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    format: Format,
}

impl Profile {
    pub fn format(&self) -> Format {
        match &self.verb {
            Verb::List(verb) => verb.format,
            Verb::Show(verb) => verb.format,
        }
    }

    pub fn run(self) -> Result<Output, Failure> {
        let profiles = Profiles::read()?;
        let passwords = Passwords::read()?;
        let document = |name: &str, server: &str| {
            json!({
                "name": name,
                "server": without_password(server),
                "default": profiles.default.as_deref() == Some(name),
                "login": passwords.of(name).is_some(),
            })
        };
        match self.verb {
            Verb::List(_) => {
                let rows: Vec<Vec<String>> = profiles
                    .servers
                    .iter()
                    .map(|(name, server)| {
                        let is_default = profiles.default.as_ref() == Some(name);
                        let mark = if is_default { "default" } else { "" };
                        vec![name.clone(), without_password(server), mark.to_owned()]
                    })
                    .collect();
                let all = profiles.servers.iter();
                let all: Vec<Value> = all.map(|(name, server)| document(name, server)).collect();
                let text = table(&["name", "server", ""], &rows);
                Ok(Output::new(text, json!({ "profiles": all })))
            }
            Verb::Show(verb) => {
                let server = profiles.server(&verb.name)?;
                let document = document(&verb.name, server);
                Ok(Output::new(without_password(server), document))
            }
        }
    }
}

/// The server that a command is about.
#[derive(Debug, Clone, Args)]
pub(super) struct ServerName {
    /// The server: postgresql://actor@host:port/graph, or host=… user=… dbname=…
    #[arg(long, value_name = "DSN", env = "OMNIGRAPH_SERVER")]
    server: Option<String>,
    /// The profile of ~/.omnigraph/config.yaml that names the server
    #[arg(long, value_name = "NAME", env = "OMNIGRAPH_PROFILE")]
    profile: Option<String>,
}

/// Where a server is and as whom to connect.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub config: tokio_postgres::Config,
    /// For people: without a password.
    pub shown: String,
}

impl ServerName {
    /// A flag comes before the profile; without either the default profile is meant. The
    /// password is the address's own, the profile's, or PGPASSWORD.
    pub fn find(&self) -> Result<Server, Failure> {
        let (dsn, profile) = match (&self.server, &self.profile) {
            (Some(server), _) => (server.clone(), None),
            (None, profile) => {
                let profiles = Profiles::read()?;
                let name = profile.clone().or_else(|| profiles.default.clone());
                let name = name.ok_or_else(no_server)?;
                (profiles.server(&name)?.to_owned(), Some(name))
            }
        };
        let mut config = parsed(&dsn)?;
        if config.get_password().is_none() {
            let kept = match &profile {
                Some(name) => Passwords::read()?.of(name).map(str::to_owned),
                None => None,
            };
            if let Some(password) = kept.or_else(|| std::env::var("PGPASSWORD").ok()) {
                config.password(password);
            }
        }
        Ok(Server {
            config,
            shown: without_password(&dsn),
        })
    }
}

fn no_server() -> Failure {
    Failure::usage("no server is named").hint(
        "Give --server DSN or --profile NAME, or a default profile in ~/.omnigraph/config.yaml.",
    )
}

pub(super) fn parsed(dsn: &str) -> Result<tokio_postgres::Config, Failure> {
    dsn.parse().map_err(|error: tokio_postgres::Error| {
        let why = std::error::Error::source(&error).map(ToString::to_string);
        let why = why.unwrap_or_else(|| error.to_string());
        Failure::usage(format!(
            "\"{}\" is no address of a server: {why}",
            without_password(dsn)
        ))
    })
}

impl Server {
    /// Is it on this machine?
    pub fn is_local(&self) -> bool {
        let hosts = self.config.get_hosts();
        hosts.iter().all(|host| match host {
            Host::Tcp(name) => {
                name == "localhost"
                    || name
                        .parse::<std::net::IpAddr>()
                        .is_ok_and(|address| address.is_loopback())
            }
            Host::Unix(_) => true,
        })
    }
}

/// What the operator's own configuration says of servers.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    servers: Vec<(String, String)>,
    default: Option<String>,
}

const CONFIG: &str = "config.yaml";
const PASSWORDS: &str = "credentials.json";

/// The operator's folder.
fn home() -> Option<PathBuf> {
    let named = std::env::var_os("OMNIGRAPH_HOME").map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".omnigraph")))
}

fn home_file(name: &str) -> Result<PathBuf, Failure> {
    let home = home().ok_or_else(|| {
        Failure::new("there is no home folder").hint("Set HOME, or OMNIGRAPH_HOME to a folder.")
    })?;
    Ok(home.join(name))
}

/// A file of the operator's folder that nobody else can read; made if it is not there.
pub(super) fn private_file(name: &str) -> Result<PathBuf, Failure> {
    let path = home_file(name)?;
    if let Some(folder) = path.parent() {
        let mut builder = std::fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(folder);
        made.map_err(|error| Failure::file(folder, &error))?;
    }
    let mut options = std::fs::OpenOptions::new();
    let opened = options.create(true).append(true).mode(0o600).open(&path);
    opened.map_err(|error| Failure::file(&path, &error))?;
    Ok(path)
}

/// A file that need not be there.
fn text_of(path: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::file(path, &error)),
    }
}

impl Profiles {
    /// A file that is not there says nothing.
    pub fn read() -> Result<Profiles, Failure> {
        let Ok(path) = home_file(CONFIG) else {
            return Ok(Profiles::default());
        };
        match text_of(&path)? {
            Some(text) => Profiles::parse(&path.display().to_string(), &text),
            None => Ok(Profiles::default()),
        }
    }

    fn parse(file: &str, text: &str) -> Result<Profiles, Failure> {
        let node = yaml::parse(file, text).map_err(|found| Failure::new(found.to_string()))?;
        let mut findings = Findings::new(file);
        let mut all = findings.mapping(&node, "the configuration");
        let mut profiles = Profiles::default();
        if let Some(node) = all.take("profiles") {
            for (name, _, node) in findings.mapping(node, "profiles").rest() {
                let mut profile = findings.mapping(node, &format!("profile \"{name}\""));
                let server = profile.require("server", &mut findings);
                let server = server.and_then(|server| findings.text(server, "server"));
                profile.end(&mut findings);
                let named = server.map(|server| (name.to_owned(), server));
                profiles.servers.extend(named);
            }
        }
        if let Some(node) = all.take("defaults") {
            let mut defaults = findings.mapping(node, "defaults");
            let profile = defaults.take("profile");
            defaults.end(&mut findings);
            profiles.default =
                profile.and_then(|profile| findings.text(profile, "defaults.profile"));
        }
        // Other keys of the file may be other programs'.
        match findings.found.first() {
            Some(found) => Err(Failure::new(found.to_string())),
            None => Ok(profiles),
        }
    }

    pub fn server(&self, name: &str) -> Result<&str, Failure> {
        let found = self.servers.iter().find(|(known, _)| known == name);
        found.map(|(_, server)| server.as_str()).ok_or_else(|| {
            Failure::usage(format!("there is no profile \"{name}\""))
                .hint("`omnigraph profile list` shows them.")
        })
    }
}

/// The passwords of profiles, in a file of their own that only its owner can read.
#[derive(Debug, Default)]
pub(super) struct Passwords(Map<String, Value>);

impl Passwords {
    pub fn read() -> Result<Passwords, Failure> {
        let Ok(path) = home_file(PASSWORDS) else {
            return Ok(Passwords::default());
        };
        let Some(text) = text_of(&path)? else {
            return Ok(Passwords::default());
        };
        let metadata = std::fs::metadata(&path).map_err(|error| Failure::file(&path, &error))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            let shown = path.display();
            return Err(Failure::new(format!("{shown} can be read by others"))
                .hint(format!("chmod 600 {shown}")));
        }
        let parsed = serde_json::from_str(&text).map_err(|error| {
            let shown = path.display();
            Failure::new(format!("{shown} cannot be read: {error}"))
                .hint("Remove it and run `omnigraph login` again.")
        });
        parsed.map(Passwords)
    }

    pub fn of(&self, profile: &str) -> Option<&str> {
        self.0.get(profile).and_then(Value::as_str)
    }

    /// Keeps a password, or forgets it; `false`: there was none.
    pub fn set(mut self, profile: &str, password: Option<String>) -> Result<bool, Failure> {
        let before = match password {
            Some(password) => self.0.insert(profile.to_owned(), json!(password)),
            None => self.0.remove(profile),
        };
        let path = home_file(PASSWORDS)?;
        // Written beside and moved, so that no reader finds half of it.
        let draft = private_file(&format!("{PASSWORDS}.{}", std::process::id()))?;
        let written = std::fs::OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(&draft)
            .and_then(|mut file| {
                file.write_all(Value::Object(self.0).to_string().as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| std::fs::rename(&draft, &path));
        written.map_err(|error| Failure::file(&path, &error))?;
        Ok(before.is_some())
    }
}

/// An address as it may be shown.
pub(super) fn without_password(dsn: &str) -> String {
    if let Ok(mut url) = url::Url::parse(dsn) {
        if url.password().is_some() && url.set_password(Some("***")).is_err() {
            return "(not shown)".to_owned();
        }
        return url.to_string();
    }
    let words = dsn.split_whitespace();
    let shown = words.map(|word| match word.starts_with("password=") {
        true => "password=***",
        false => word,
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_name_servers_and_passwords_are_not_shown() {
        let text = "profiles:\n  work: { server: \"postgresql://ada:secret@host/g\" }\n  other: { server: \"host=h password=secret\" }\ndefaults: { profile: work }\noperator: { actor: ada }\n";
        let profiles = Profiles::parse("config.yaml", text).expect("it is a configuration");
        let shown = |name| without_password(profiles.server(name).expect("a profile"));
        assert_eq!(profiles.default.as_deref(), Some("work"));
        assert_eq!(shown("work"), "postgresql://ada:***@host/g");
        assert_eq!(shown("other"), "host=h password=***");
        assert!(profiles.server("nobody").is_err());
        for wrong in [
            "profiles: { a: {} }",
            "profiles: { a: { server: x, port: 1 } }",
            "defaults: { profile: [a] }",
        ] {
            assert!(Profiles::parse("config.yaml", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn servers_on_this_machine_are_known() {
        for (dsn, local) in [
            ("postgresql://ada@127.0.0.1:5432/g", true),
            ("postgresql://ada@localhost/g", true),
            ("host=::1 user=ada", true),
            ("host=db.example.org user=ada", false),
            ("postgresql://ada@127.0.0.1,10.0.0.1/g", false),
        ] {
            let server = Server {
                config: parsed(dsn).expect("an address"),
                shown: String::new(),
            };
            assert_eq!(server.is_local(), local, "{dsn}");
        }
    }
}
