//! `cluster.yaml` and the files it names: what a cluster shall be.
//!
//! Reading finds every mistake at once. What was read is complete: no file is opened again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use omnigraph_engine::schema::{RandomIds, Schema};
use serde_json::{Value as Json, json};

use super::address::{Address, composite, digest, is_name};
use crate::diagnostic::{Diagnostic, Place};
use crate::policy::{self, Bundle, Kind};
use crate::stored::{self, Compiled, Compiler, StoredQueries};
use crate::yaml::{self, Findings, Node, Value};

pub const FILE: &str = "cluster.yaml";
const RESERVED: [&str; 5] = ["pipelines", "embeddings", "ui", "aliases", "bindings"];
const PROVIDER_KINDS: [&str; 4] = ["openai-compatible", "openai", "gemini", "mock"];
/// Keys of a provider whose value may only be `${NAME}`.
const SECRETS: [&str; 2] = ["api_key", "token"];
/// Database names that PostgreSQL clients take for granted.
const RESERVED_GRAPHS: [&str; 3] = ["postgres", "template0", "template1"];

/// The desired state of a cluster.
#[derive(Debug, Clone)]
pub struct Spec {
    pub name: Option<String>,
    /// Where everything is kept, if not beside `cluster.yaml`.
    pub storage: Option<String>,
    /// Do commands take the lock?
    pub lock: bool,
    pub providers: BTreeMap<String, Provider>,
    pub graphs: BTreeMap<String, GraphSpec>,
    pub policies: BTreeMap<String, PolicySpec>,
    /// Over `cluster.yaml` as it means and every file it names.
    pub config_digest: String,
}

#[derive(Debug, Clone)]
pub struct GraphSpec {
    pub schema: File,
    /// What the schema's file declares, if it can be read.
    pub declared: Option<Arc<Schema>>,
    pub queries: BTreeMap<String, File>,
    /// What the queries mean under the schema.
    pub compiled: Arc<StoredQueries>,
    pub embedding_provider: Option<String>,
    pub external_blobs: Option<Json>,
}

#[derive(Debug, Clone)]
pub struct PolicySpec {
    pub file: File,
    pub bundle: Bundle,
    /// `cluster` or `graph.<id>`, in order.
    pub applies_to: Vec<String>,
}

/// How an embedding service is reached; secrets are names of environment variables.
#[derive(Debug, Clone, PartialEq)]
pub struct Provider {
    pub profile: Json,
    pub digest: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Relative to the config directory.
    pub path: String,
    pub text: String,
    pub digest: String,
}

impl File {
    pub fn extension(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }
}

impl Spec {
    /// Every resource with its digest; that of a graph follows from its parts.
    pub fn resources(&self) -> BTreeMap<Address, String> {
        let mut all = BTreeMap::new();
        for (id, graph) in &self.graphs {
            all.insert(Address::Schema(id.clone()), graph.schema.digest.clone());
            for (name, file) in &graph.queries {
                let address = Address::Query {
                    graph: id.clone(),
                    name: name.clone(),
                };
                all.insert(address, file.digest.clone());
            }
            all.insert(Address::Graph(id.clone()), self.graph_digest(graph));
        }
        for (name, policy) in &self.policies {
            all.insert(Address::Policy(name.clone()), policy.file.digest.clone());
        }
        for (name, provider) in &self.providers {
            all.insert(Address::Provider(name.clone()), provider.digest.clone());
        }
        all
    }

    fn graph_digest(&self, graph: &GraphSpec) -> String {
        let blobs = graph
            .external_blobs
            .as_ref()
            .map(|blobs| digest(blobs.to_string()));
        let provider = graph
            .embedding_provider
            .as_ref()
            .and_then(|name| self.providers.get(name));
        let mut parts = vec![("schema".to_owned(), graph.schema.digest.as_str())];
        parts.extend(
            graph
                .queries
                .iter()
                .map(|(name, file)| (format!("query.{name}"), file.digest.as_str())),
        );
        parts.extend(provider.map(|provider| ("provider".to_owned(), provider.digest.as_str())));
        parts.extend(
            blobs
                .as_deref()
                .map(|blobs| ("external_blobs".to_owned(), blobs)),
        );
        composite(parts)
    }

    /// Reads a config directory. Warnings come with the spec; with an error there is none.
    pub fn load(
        directory: &Path,
        compiler: &dyn Compiler,
    ) -> Result<(Spec, Vec<Diagnostic>), Vec<Diagnostic>> {
        let path = directory.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let message = format!("{}: {error}", path.display());
            vec![
                Diagnostic::error("config_missing", message)
                    .hint("Name the directory of cluster.yaml with --config DIR."),
            ]
        })?;
        let node = yaml::parse(FILE, &text).map_err(|error| vec![error])?;
        let mut reader = Reader {
            directory,
            compiler,
            findings: Findings::new(FILE),
            files: Vec::new(),
        };
        let spec = reader.spec(&node);
        let found = reader.findings.found;
        match spec {
            Some(spec) if !found.iter().any(Diagnostic::is_error) => Ok((spec, found)),
            _ => Err(found),
        }
    }
}

/// Where a config directory says that its cluster is kept, if not in itself. Nothing else of
/// the file is looked at: a server does not depend on what is merely declared.
pub fn storage_of(directory: &Path) -> Option<String> {
    let text = std::fs::read_to_string(directory.join(FILE)).ok()?;
    let node = yaml::parse(FILE, &text).ok()?;
    let storage = Findings::new(FILE).mapping(&node, FILE).take("storage")?;
    storage.text().map(str::to_owned)
}

struct Reader<'a> {
    directory: &'a Path,
    compiler: &'a dyn Compiler,
    findings: Findings<'a>,
    /// Every file that was read, for the config digest.
    files: Vec<(String, String)>,
}

impl Reader<'_> {
    fn spec(&mut self, node: &Node) -> Option<Spec> {
        let mut all = self.findings.mapping(node, "cluster.yaml");
        for key in RESERVED {
            if let Some((key, _)) = all.take_entry(key) {
                let name = key.text().unwrap_or_default();
                let message = format!("\"{name}\" is reserved and not available");
                self.findings.report(key, "reserved_key", message);
            }
        }
        if let Some(version) = all.require("version", &mut self.findings)
            && version.text() != Some("1")
        {
            self.findings
                .report(version, "unsupported_version", "the version must be 1");
        }
        let name = all.take("metadata").and_then(|node| {
            let mut metadata = self.findings.mapping(node, "metadata");
            let name = metadata.take("name");
            let name = name.and_then(|name| self.findings.text(name, "metadata.name"));
            metadata.end(&mut self.findings);
            name
        });
        let storage = all
            .take("storage")
            .and_then(|node| self.findings.text(node, "storage"));
        let lock = all.take("state").is_none_or(|node| self.state(node));
        let providers = all.take("providers").map(|node| self.providers(node));
        let providers = providers.unwrap_or_default();
        let graphs = all.take("graphs").map(|node| self.graphs(node, &providers));
        let graphs = graphs.unwrap_or_default();
        let policies = all
            .take("policies")
            .map(|node| self.policies(node, &graphs));
        let policies = policies.unwrap_or_default();
        all.end(&mut self.findings);
        let mut parts = std::mem::take(&mut self.files);
        parts.push((FILE.to_owned(), digest(node.to_json().to_string())));
        let config_digest = composite(
            parts
                .iter()
                .map(|(name, digest)| (name.clone(), digest.as_str())),
        );
        Some(Spec {
            name,
            storage,
            lock,
            providers,
            graphs,
            policies,
            config_digest,
        })
    }

    fn state(&mut self, node: &Node) -> bool {
        let mut state = self.findings.mapping(node, "state");
        if let Some(backend) = state.take("backend")
            && backend.text() != Some("cluster")
        {
            let message =
                "state.backend must be \"cluster\": the ledger lies under the storage root";
            self.findings.report(backend, "invalid_value", message);
        }
        let lock = state.take("lock");
        let lock = lock.and_then(|lock| self.findings.bool(lock, "state.lock"));
        state.end(&mut self.findings);
        lock.unwrap_or(true)
    }

    fn providers(&mut self, node: &Node) -> BTreeMap<String, Provider> {
        let mut kinds = self.findings.mapping(node, "providers");
        let embedding = kinds.take("embedding");
        kinds.end(&mut self.findings);
        let Some(embedding) = embedding else {
            return BTreeMap::new();
        };
        let all = self.findings.mapping(embedding, "providers.embedding");
        let mut providers = BTreeMap::new();
        for (name, key, node) in self.named(all, "provider") {
            self.provider(&name, key, node);
            let profile = node.to_json();
            let digest = digest(profile.to_string());
            providers.insert(name, Provider { profile, digest });
        }
        providers
    }

    fn provider(&mut self, name: &str, key: &Node, node: &Node) {
        let what = format!("provider \"{name}\"");
        let mut profile = self.findings.mapping(node, &what);
        match profile.take("kind") {
            None => {
                self.findings
                    .report(key, "missing_field", format!("{what} must have \"kind\""))
            }
            Some(kind) if !PROVIDER_KINDS.contains(&kind.text().unwrap_or_default()) => {
                let message = format!("kind must be one of {}", PROVIDER_KINDS.join(", "));
                self.findings.report(kind, "invalid_value", message);
            }
            Some(_) => {}
        }
        for plain in [
            "base_url",
            "model",
            "dimensions",
            "deadline_ms",
            "timeout_ms",
            "retry_attempts",
            "retry_backoff_ms",
        ] {
            if let Some(value) = profile.take(plain) {
                self.findings.text(value, plain);
            }
        }
        for secret in SECRETS {
            let Some(value) = profile.take(secret) else {
                continue;
            };
            if !value.text().is_some_and(is_reference) {
                self.findings.report_hint(
                    value,
                    "inline_secret",
                    format!("{secret} must not be written here"),
                    "Name an environment variable of the server: ${NAME}.",
                );
            }
        }
        profile.end(&mut self.findings);
    }

    fn graphs(
        &mut self,
        node: &Node,
        providers: &BTreeMap<String, Provider>,
    ) -> BTreeMap<String, GraphSpec> {
        let all = self.findings.mapping(node, "graphs");
        let mut graphs = BTreeMap::new();
        for (id, key, node) in self.named(all, "graph") {
            if RESERVED_GRAPHS.contains(&id.as_str()) {
                self.findings
                    .report(key, "invalid_name", format!("\"{id}\" is reserved"));
            }
            if let Some(graph) = self.graph(&id, node, providers) {
                graphs.insert(id, graph);
            }
        }
        graphs
    }

    fn graph(
        &mut self,
        id: &str,
        node: &Node,
        providers: &BTreeMap<String, Provider>,
    ) -> Option<GraphSpec> {
        let mut all = self.findings.mapping(node, &format!("graph \"{id}\""));
        let schema = all.require("schema", &mut self.findings);
        let schema = schema.and_then(|node| self.file_named(node, "schema"));
        let queries = all.take("queries").map(|node| self.queries(id, node));
        let embedding_provider = all.take("embedding_provider").and_then(|node| {
            let name = self.findings.text(node, "embedding_provider")?;
            if !providers.contains_key(&name) {
                let message = format!("there is no embedding provider \"{name}\"");
                self.findings.report(node, "unknown_reference", message);
            }
            Some(name)
        });
        let external_blobs = all
            .take("external_blobs")
            .map(|node| self.external_blobs(node));
        all.end(&mut self.findings);
        let schema = schema?;
        let queries = queries.unwrap_or_default();
        let mut compiled = Compiled::default();
        let mut declared = None;
        match Schema::parse(&schema.text, &mut RandomIds) {
            Ok(parsed) => {
                let parsed = Arc::new(parsed);
                compiled = self.compiler.compile(id, &queries, &parsed);
                declared = Some(parsed);
                self.findings.found.append(&mut compiled.found);
            }
            Err(errors) => {
                let errors = errors.in_file(schema.path.clone());
                for error in errors.errors() {
                    let mut found = Diagnostic::error("schema_invalid", error.message.clone())
                        .about(Address::Schema(id.to_owned()).to_string())
                        .at(Place {
                            file: schema.path.clone(),
                            line: Some(error.line),
                            column: Some(error.column),
                        });
                    found.hint = error.hint.clone();
                    self.findings.found.push(found);
                }
            }
        }
        Some(GraphSpec {
            schema,
            declared,
            queries,
            compiled: Arc::new(compiled.queries),
            embedding_provider,
            external_blobs,
        })
    }

    /// A folder, a list of files, or a mapping of names to `{ file: … }`.
    fn queries(&mut self, graph: &str, node: &Node) -> BTreeMap<String, File> {
        let mut queries: BTreeMap<String, File> = BTreeMap::new();
        let files: Vec<(Option<String>, Node, File)> = match &node.value {
            Value::Scalar { text, .. } => self
                .query_folder(node, text)
                .into_iter()
                .map(|file| (None, node.clone(), file))
                .collect(),
            Value::Sequence(items) => items
                .iter()
                .filter_map(|item| {
                    Some((None, item.clone(), self.file_named(item, "a query file")?))
                })
                .collect(),
            Value::Mapping(_) => {
                let all = self.findings.mapping(node, "queries");
                let mut files = Vec::new();
                for (name, _, entry) in self.named(all, "query") {
                    let file = match entry.text() {
                        Some(_) => self.file_named(entry, "a query file"),
                        None => {
                            let mut entry =
                                self.findings.mapping(entry, &format!("query \"{name}\""));
                            let file = entry.require("file", &mut self.findings);
                            let file = file.and_then(|node| self.file_named(node, "file"));
                            entry.end(&mut self.findings);
                            file
                        }
                    };
                    files.extend(file.map(|file| (Some(name), entry.clone(), file)));
                }
                files
            }
            Value::Null => Vec::new(),
        };
        for (wanted, node, file) in files {
            let declared = match stored::declared(&file) {
                Ok(declared) => declared,
                Err(found) => {
                    self.findings.found.push(found);
                    continue;
                }
            };
            let names: Vec<String> = match wanted {
                None => declared,
                Some(name) if declared.contains(&name) => vec![name],
                Some(name) => {
                    let message = format!("{} declares no query \"{name}\"", file.path);
                    self.findings.report(&node, "query_missing", message);
                    continue;
                }
            };
            for name in names {
                let clash = queries.keys().find(|held| held.eq_ignore_ascii_case(&name));
                if let Some(held) = clash {
                    let message = format!(
                        "query \"{name}\" of {} is declared in {} already",
                        file.path, queries[held].path
                    );
                    self.findings.found.push(
                        Diagnostic::error("duplicate_query", message)
                            .about(format!("query.{graph}.{name}"))
                            .at(self.findings.place(&node)),
                    );
                    continue;
                }
                queries.insert(name, file.clone());
            }
        }
        queries
    }

    fn query_folder(&mut self, node: &Node, folder: &str) -> Vec<File> {
        let path = self.directory.join(folder);
        if !path.is_dir() {
            return self.file(node, folder).into_iter().collect();
        }
        let entries = std::fs::read_dir(&path).and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<std::io::Result<Vec<String>>>()
        });
        let mut names = match entries {
            Ok(names) => names,
            Err(error) => {
                self.findings
                    .report(node, "file_missing", format!("{folder}: {error}"));
                return Vec::new();
            }
        };
        names.retain(|name| name.ends_with(".gq") || name.ends_with(".sql"));
        names.sort();
        let folder = folder.trim_end_matches('/');
        names
            .iter()
            .filter_map(|name| self.file(node, &format!("{folder}/{name}")))
            .collect()
    }

    fn policies(
        &mut self,
        node: &Node,
        graphs: &BTreeMap<String, GraphSpec>,
    ) -> BTreeMap<String, PolicySpec> {
        let all = self.findings.mapping(node, "policies");
        let mut policies = BTreeMap::new();
        let mut bound: BTreeMap<String, String> = BTreeMap::new();
        for (name, key, node) in self.named(all, "policy") {
            let mut entry = self.findings.mapping(node, &format!("policy \"{name}\""));
            let file = entry.require("file", &mut self.findings);
            let file = file.and_then(|node| self.file_named(node, "file"));
            let scopes = entry.take("applies_to");
            let scopes = scopes.map(|node| self.findings.texts(node, "applies_to"));
            entry.end(&mut self.findings);
            let mut applies_to = Vec::new();
            for (scope, place) in scopes.unwrap_or_default() {
                let scope = match scope.as_str() {
                    "cluster" => scope,
                    id if graphs.contains_key(id) => Address::Graph(scope).to_string(),
                    _ => {
                        let message = format!("applies_to names \"{scope}\", which is no graph");
                        self.findings.report(&place, "unknown_reference", message);
                        continue;
                    }
                };
                if let Some(other) = bound.insert(scope.clone(), name.clone()) {
                    let message = format!("{scope} is bound to policy \"{other}\" already");
                    self.findings.report_hint(
                        &place,
                        "policy_scope_conflict",
                        message,
                        "Each scope has one policy: split or merge the files.",
                    );
                }
                applies_to.push(scope);
            }
            applies_to.sort();
            let Some(file) = file else { continue };
            match policy::load(&file.path, &file.text) {
                Err(found) => self.findings.found.extend(found),
                Ok((bundle, warnings)) => {
                    self.findings.found.extend(warnings);
                    let strange = applies_to
                        .iter()
                        .find(|scope| (*scope == "cluster") != (bundle.kind == Kind::Server));
                    if let Some(scope) = strange {
                        let message = format!(
                            "policy \"{name}\" cannot be bound to {scope}: its actions are others"
                        );
                        self.findings.report(key, "policy_kind_mismatch", message);
                    }
                    let bound = graphs.iter().filter(|(id, _)| {
                        applies_to.contains(&Address::Graph((*id).clone()).to_string())
                    });
                    for schema in bound.filter_map(|(_, graph)| graph.declared.as_ref()) {
                        let place = Place {
                            file: file.path.clone(),
                            line: None,
                            column: None,
                        };
                        let found = policy::check(&bundle, schema, self.compiler);
                        let found = found.into_iter().map(|one| one.at(place.clone()));
                        self.findings.found.extend(found);
                    }
                    policies.insert(
                        name,
                        PolicySpec {
                            file,
                            bundle,
                            applies_to,
                        },
                    );
                }
            }
        }
        policies
    }

    fn external_blobs(&mut self, node: &Node) -> Json {
        let mut all = self.findings.mapping(node, "external_blobs");
        let allow = all.take("allow");
        all.end(&mut self.findings);
        let mut bases: Vec<(String, Json)> = Vec::new();
        for node in allow.map_or(&[][..], |node| self.findings.sequence(node, "allow")) {
            let mut entry = self.findings.mapping(node, "an allowed base");
            let base = entry.require("base", &mut self.findings);
            let base_text = base.and_then(|node| self.findings.text(node, "base"));
            let scope = entry.take("scope");
            let scope = scope.and_then(|node| self.findings.text(node, "scope"));
            entry.end(&mut self.findings);
            let (Some(base), Some(text)) = (base, base_text) else {
                continue;
            };
            let scope = scope.unwrap_or_else(|| "server_safe".to_owned());
            if let Err(why) = check_base(&text, &scope) {
                self.findings.report(base, "invalid_blob_base", why);
            }
            if let Some((other, _)) = bases
                .iter()
                .find(|(other, _)| other.starts_with(&text) || text.starts_with(other.as_str()))
            {
                let message = format!("{text} overlaps {other}");
                self.findings.report(base, "invalid_blob_base", message);
            }
            bases.push((text.clone(), json!({ "base": text, "scope": scope })));
        }
        bases.sort_by(|a, b| a.0.cmp(&b.0));
        json!({ "allow": bases.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>() })
    }

    /// The entries of a mapping of names to things; names are well formed and differ in more
    /// than case.
    fn named<'n>(
        &mut self,
        all: yaml::Mapping<'n>,
        what: &str,
    ) -> Vec<(String, &'n Node, &'n Node)> {
        let mut named: Vec<(String, &Node, &Node)> = Vec::new();
        for (name, key, node) in all.rest() {
            if !is_name(name) {
                self.findings.report_hint(
                    key,
                    "invalid_name",
                    format!("\"{name}\" is no name for a {what}"),
                    "A name has 1 to 63 letters, digits, '_' or '-' and begins with a letter or '_'.",
                );
                continue;
            }
            if let Some((held, ..)) = named
                .iter()
                .find(|(held, ..)| held.eq_ignore_ascii_case(name))
            {
                let message = format!("\"{name}\" and \"{held}\" differ only in case");
                self.findings.report(key, "name_case_clash", message);
            }
            named.push((name.to_owned(), key, node));
        }
        named
    }

    fn file_named(&mut self, node: &Node, what: &str) -> Option<File> {
        let path = self.findings.text(node, what)?;
        self.file(node, &path)
    }

    fn file(&mut self, node: &Node, path: &str) -> Option<File> {
        let path = path.strip_prefix("./").unwrap_or(path);
        match std::fs::read_to_string(self.directory.join(PathBuf::from(path))) {
            Ok(text) => {
                let digest = digest(&text);
                self.files.push((path.to_owned(), digest.clone()));
                Some(File {
                    path: path.to_owned(),
                    text,
                    digest,
                })
            }
            Err(error) => {
                self.findings
                    .report(node, "file_missing", format!("{path}: {error}"));
                None
            }
        }
    }
}

/// `${NAME}`
fn is_reference(text: &str) -> bool {
    text.strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|name| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
}

fn check_base(base: &str, scope: &str) -> Result<(), String> {
    if !matches!(scope, "server_safe" | "embedded_only") {
        return Err(format!(
            "scope must be server_safe or embedded_only, not \"{scope}\""
        ));
    }
    let Some((scheme, rest)) = base.split_once("://") else {
        return Err(format!("\"{base}\" is not an absolute URL"));
    };
    match (scheme, scope) {
        ("s3", _) | ("file", "embedded_only") => {}
        ("file", _) => return Err("a file:// base must have scope embedded_only".to_owned()),
        _ => {
            return Err(format!(
                "\"{scheme}://\" is not allowed; use s3:// or file://"
            ));
        }
    }
    if !base.ends_with('/') {
        return Err(format!("\"{base}\" must end with \"/\""));
    }
    if rest.contains(['?', '#', '@', '%', '\\']) || rest.split('/').any(|part| part == "..") {
        return Err(format!(
            "\"{base}\" may have no credentials, query, fragment, escapes or \"..\""
        ));
    }
    Ok(())
}
