//! (what is declared, what was applied) → what is to be done. Pure: the facts it needs from
//! graphs and approvals are given to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use omnigraph_engine::schema::SchemaChange;

use super::address::Address;
use super::approval::{Approval, state_digest};
use super::ledger::{Ledger, Resource};
use super::runtime::is_runtime;
use super::spec::Spec;

/// One difference between what is declared and what was applied.
#[derive(Debug, Clone)]
pub struct Change {
    pub address: Address,
    pub action: Action,
    pub disposition: Disposition,
    /// Why it is blocked or deferred, as a code.
    pub reason: Option<&'static str>,
    pub message: Option<String>,
    pub before: Option<String>,
    pub after: Option<String>,
    pub migration: Option<Preview>,
    /// Of a policy: what it was and will be bound to.
    pub bindings: Option<(Vec<String>, Vec<String>)>,
    /// Nothing but the ledger's own notes changes.
    pub metadata: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    Create,
    Update,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Will be executed, or was.
    Applied,
    /// Follows from other changes.
    Derived,
    /// Not executed by design.
    Deferred,
    Blocked,
}

/// What a new schema would do to a live graph.
#[derive(Debug, Clone)]
pub enum Preview {
    Steps(Vec<SchemaChange>),
    /// No steps lead to it, or rows are in the way.
    Refused(String),
    /// The graph cannot be looked at.
    Unavailable(String),
}

/// What is known beside the two.
#[derive(Debug, Default)]
pub struct Facts {
    /// Of each graph whose schema differs.
    pub previews: BTreeMap<String, Preview>,
    /// Approvals that were not used.
    pub approvals: Vec<Approval>,
    /// Graphs whose root holds the data of another system.
    pub foreign: BTreeSet<String>,
    /// Graphs of whom an earlier run's end could not be learnt.
    pub unsettled: BTreeSet<String>,
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
        }
    }
}

impl Disposition {
    pub fn name(self) -> &'static str {
        match self {
            Disposition::Applied => "applied",
            Disposition::Derived => "derived",
            Disposition::Deferred => "deferred",
            Disposition::Blocked => "blocked",
        }
    }
}

impl Change {
    fn new(address: Address, action: Action) -> Change {
        Change {
            address,
            action,
            disposition: Disposition::Applied,
            reason: None,
            message: None,
            before: None,
            after: None,
            migration: None,
            bindings: None,
            metadata: false,
        }
    }

    pub fn block(&mut self, reason: &'static str, message: Option<String>) {
        self.disposition = Disposition::Blocked;
        self.reason = Some(reason);
        self.message = message;
    }

    pub fn is_applied(&self) -> bool {
        self.disposition == Disposition::Applied
    }

    /// Will the state be as declared once everything that can be executed was?
    pub fn converges(&self) -> bool {
        matches!(
            self.disposition,
            Disposition::Applied | Disposition::Derived
        )
    }
}

/// `Delete graph.scratch [Blocked: approval_required]`
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.action {
            Action::Create => "Create",
            Action::Update => "Update",
            Action::Delete => "Delete",
        };
        write!(f, "{verb} {}", self.address)?;
        if self.bindings.is_some() {
            f.write_str(" [bindings]")?;
        } else if self.metadata {
            f.write_str(" [metadata]")?;
        }
        match (self.disposition, self.reason) {
            (Disposition::Blocked, Some(reason)) => write!(f, " [Blocked: {reason}]"),
            (Disposition::Deferred, Some(reason)) => write!(f, " [Deferred: {reason}]"),
            _ => Ok(()),
        }
    }
}

/// What the ledger will say of a resource.
pub fn desired(spec: &Spec, address: &Address, digest: &str) -> Resource {
    let mut resource = Resource {
        digest: digest.to_owned(),
        ..Resource::default()
    };
    match address {
        Address::Graph(id) => {
            if let Some(graph) = spec.graphs.get(id) {
                resource.embedding_provider = graph.embedding_provider.clone();
                resource.external_blobs = graph.external_blobs.clone();
            }
        }
        Address::Query { graph, name } => {
            let file = spec
                .graphs
                .get(graph)
                .and_then(|graph| graph.queries.get(name));
            resource.extension = file.map(|file| file.extension().to_owned());
        }
        Address::Policy(name) => {
            let policy = spec.policies.get(name);
            resource.applies_to = policy.map(|policy| policy.applies_to.clone());
        }
        Address::Provider(name) => {
            let provider = spec.providers.get(name);
            resource.embedding_profile = provider.map(|provider| provider.profile.clone());
        }
        Address::Schema(_) => {}
    }
    resource
}

/// Every change, in the order in which they are executed.
pub fn between(spec: &Spec, ledger: &Ledger, facts: &Facts) -> Vec<Change> {
    let mut changes = Vec::new();
    let declared = spec.resources();
    for (address, digest) in &declared {
        let wanted = desired(spec, address, digest);
        let change = match ledger.resource(address) {
            None => {
                let mut change = Change::new(address.clone(), Action::Create);
                change.after = Some(digest.clone());
                Some(change)
            }
            Some(held) => update(address, held, &wanted),
        };
        changes.extend(change);
    }
    for (address, held) in ledger.resources() {
        let kept = declared.contains_key(&address) || is_unmanaged(spec, ledger, &address);
        if !kept {
            let mut change = Change::new(address, Action::Delete);
            change.before = Some(held.digest.clone());
            changes.push(change);
        }
    }
    dispose(spec, ledger, facts, &mut changes);
    changes.sort_by_key(|change| (change.action == Action::Delete, change.address.clone()));
    changes
}

/// Made at run time and not declared since: shown, and never taken away. The policy that a graph
/// was made with goes once the graph is declared.
fn is_unmanaged(spec: &Spec, ledger: &Ledger, address: &Address) -> bool {
    let made_with = || {
        let held = ledger.resource(address)?;
        held.origin.as_ref()?;
        Address::parse(held.applies_to.as_ref()?.first()?)
    };
    let owner = match address {
        Address::Policy(_) => made_with(),
        _ => Some(address.clone()),
    };
    owner
        .as_ref()
        .and_then(Address::graph)
        .is_some_and(|graph| {
            let of = Address::Graph(graph.to_owned());
            !spec.graphs.contains_key(graph) && is_runtime(ledger, &of)
        })
}

fn update(address: &Address, held: &Resource, wanted: &Resource) -> Option<Change> {
    let same_digest = held.digest == wanted.digest;
    let rebound = held.applies_to != wanted.applies_to;
    let as_noted = Resource {
        digest: wanted.digest.clone(),
        // Ledgers that do not say it are older than queries in SQL.
        extension: held.extension.clone().or_else(|| wanted.extension.clone()),
        other: Default::default(),
        ..held.clone()
    };
    if same_digest && as_noted == *wanted {
        return None;
    }
    let mut change = Change::new(address.clone(), Action::Update);
    change.before = Some(held.digest.clone());
    change.after = Some(wanted.digest.clone());
    // A ledger that is older than bindings has none to compare with.
    if let (true, Some(before)) = (rebound, &held.applies_to) {
        let after = wanted.applies_to.clone().unwrap_or_default();
        change.bindings = Some((before.clone(), after));
    } else {
        change.metadata = same_digest;
    }
    Some(change)
}

/// Decides for each change whether it can be executed.
fn dispose(spec: &Spec, ledger: &Ledger, facts: &Facts, changes: &mut [Change]) {
    let mut blocked: BTreeSet<String> = facts.unsettled.clone();
    for change in changes.iter_mut() {
        match (&change.address, change.action) {
            (Address::Graph(id), Action::Create | Action::Update) if facts.foreign.contains(id) => {
                blocked.insert(id.clone());
                change.block("graph_foreign_format", Some(FOREIGN.to_owned()));
            }
            (Address::Schema(id), Action::Update) => {
                change.migration = facts.previews.get(id).cloned();
                if let Some(Preview::Refused(why)) = &change.migration {
                    let why = why.clone();
                    blocked.insert(id.clone());
                    change.block("migration_unsupported", Some(why));
                }
            }
            (Address::Schema(id), Action::Delete)
                if ledger.resource(&Address::Graph(id.clone())).is_none()
                    || spec.graphs.contains_key(id) =>
            {
                change.disposition = Disposition::Deferred;
                change.reason = Some("schema_without_graph");
            }
            (Address::Graph(id), Action::Delete) => {
                let state = state_digest(ledger, id);
                let address = change.address.to_string();
                let mut given = facts
                    .approvals
                    .iter()
                    .filter(|approval| approval.address == address)
                    .peekable();
                let any = given.peek().is_some();
                if !given.any(|approval| approval.covers(&spec.config_digest, &state)) {
                    blocked.insert(id.clone());
                    change.block(
                        if any {
                            "approval_stale"
                        } else {
                            "approval_required"
                        },
                        None,
                    );
                }
            }
            _ => {}
        }
    }
    for change in changes.iter_mut() {
        let Some(graph) = change.address.graph() else {
            continue;
        };
        let is_graph = matches!(change.address, Address::Graph(_));
        if blocked.contains(graph) {
            if change.disposition == Disposition::Applied {
                let unsettled = facts.unsettled.contains(graph);
                change.block(
                    if unsettled {
                        "recovery_pending"
                    } else {
                        "dependency_blocked"
                    },
                    None,
                );
            }
        } else if is_graph && change.action == Action::Update && !change.metadata
            || !is_graph
                && change.action == Action::Delete
                && !spec.graphs.contains_key(graph)
                && change.disposition == Disposition::Applied
        {
            change.disposition = Disposition::Derived;
        }
    }
}

/// What to do with the data of another system.
pub const FOREIGN: &str = "its root holds data of another system: export it with the tool that wrote it, move the root away, run `omnigraph cluster apply`, then `omnigraph load --mode overwrite` for each branch (docs/operate/from-omnigraph.md)";
