use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use omnigraph_catalog::cluster::address::Address;
use omnigraph_catalog::cluster::change::{Change, Disposition, Preview};
use omnigraph_catalog::cluster::ledger::Ledger;
use omnigraph_catalog::cluster::lock::{self, Holder};
use omnigraph_catalog::cluster::spec::Spec;
use omnigraph_catalog::cluster::{Cluster as Root, Error, Observed};
use omnigraph_catalog::diagnostic::Diagnostic;
use omnigraph_engine::{Store, StoreOptions};
use serde_json::{Value, json};

use crate::cli::address::resources;
use crate::cli::output::Output;
use crate::cli::schema::documents;
use crate::cli::{Actor, Exit, Failure, Format};
use crate::stored::QueryCompiler;

/// Manage a cluster of graphs from declared files.
///
/// A directory with cluster.yaml and the schemas, stored queries and policies that it names is
/// what the cluster shall be; a ledger under its storage root is what was applied. `plan` shows
/// what lies between, `apply` makes it so and may be run again at any time.
#[derive(Debug, Args)]
pub(super) struct Cluster {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Validate(Validate),
    Plan(Plan),
    Apply(Apply),
    Approve(Approve),
    Status(Status),
    Refresh(Refresh),
    Import(Import),
    ForceUnlock(ForceUnlock),
}

/// Which cluster.
#[derive(Debug, Args)]
pub(super) struct Config {
    /// The directory of cluster.yaml
    #[arg(long, value_name = "DIR", default_value = ".")]
    config: PathBuf,
    #[command(flatten)]
    pub format: Format,
}

/// Check the declared files: all mistakes at once, each with its code and place
#[derive(Debug, Args)]
struct Validate {
    #[command(flatten)]
    config: Config,
}

/// Show what apply would do, with the steps of migrations. Changes nothing
#[derive(Debug, Args)]
struct Plan {
    /// Do not take the lock: what is shown is one point in time
    #[arg(long)]
    no_lock: bool,
    /// Exit with 2 if there are changes
    #[arg(long)]
    detailed_exitcode: bool,
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    actor: Actor,
}

/// Make the cluster what the files say.
///
/// Graphs are created, schemas migrated, queries and policies published, approved graphs
/// deleted, in one run. A run that was interrupted is finished by the next.
#[derive(Debug, Args)]
struct Apply {
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    actor: Actor,
}

/// Approve a deletion exactly as it stands now; any movement makes the approval stale
#[derive(Debug, Args)]
struct Approve {
    /// What is to be deleted, as plan names it: graph.NAME
    #[arg(value_name = "ADDRESS")]
    address: String,
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    actor: Actor,
}

/// Show the ledger, who holds the lock, and whether payloads are whole. Touches no graph
#[derive(Debug, Args)]
struct Status {
    #[command(flatten)]
    config: Config,
}

/// Look at the graphs and payloads that are there, and record drift in the ledger
#[derive(Debug, Args)]
struct Refresh {
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    actor: Actor,
}

/// Make the first ledger from the files and the graphs that are there
#[derive(Debug, Args)]
struct Import {
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    actor: Actor,
}

/// Take the lock away from a command that is gone for good
#[derive(Debug, Args)]
struct ForceUnlock {
    /// The lock's id, as status shows it
    #[arg(value_name = "LOCK_ID")]
    id: String,
    #[command(flatten)]
    config: Config,
}

impl Cluster {
    pub fn format(&self) -> Format {
        match &self.verb {
            Verb::Validate(verb) => verb.config.format,
            Verb::Plan(verb) => verb.config.format,
            Verb::Apply(verb) => verb.config.format,
            Verb::Approve(verb) => verb.config.format,
            Verb::Status(verb) => verb.config.format,
            Verb::Refresh(verb) => verb.config.format,
            Verb::Import(verb) => verb.config.format,
            Verb::ForceUnlock(verb) => verb.config.format,
        }
    }

    pub async fn run(self) -> Result<Output, Failure> {
        let outcome = match self.verb {
            Verb::Validate(verb) => verb.run(),
            Verb::Plan(verb) => verb.run().await,
            Verb::Apply(verb) => verb.run().await,
            Verb::Approve(verb) => verb.run().await,
            Verb::Status(verb) => verb.run().await,
            Verb::Refresh(verb) => verb.run().await,
            Verb::Import(verb) => verb.run().await,
            Verb::ForceUnlock(verb) => verb.run().await,
        };
        ended(outcome)
    }
}

/// Findings are an answer, too.
pub(super) fn ended(outcome: Result<Output, Stop>) -> Result<Output, Failure> {
    match outcome {
        Err(Stop::Findings(found)) => Ok(mistakes(&found)),
        Err(Stop::Failure(failure)) => Err(failure),
        Ok(output) => Ok(output),
    }
}

/// Why a command did not come to its own answer.
pub(super) enum Stop {
    /// Findings are an answer of their own.
    Findings(Vec<Diagnostic>),
    Failure(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failure(failure)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(found) => Stop::Findings(vec![*found]),
            Error::Invalid(found) => Stop::Findings(found),
            Error::Engine(error) => Stop::Failure(error.into()),
            lost @ Error::Lost { .. } => Stop::Failure(
                Failure {
                    exit: Exit::Lost,
                    ..Failure::new(lost.to_string())
                }
                .hint("Run the command again."),
            ),
        }
    }
}

impl Config {
    pub fn spec(&self) -> Result<(Spec, Vec<Diagnostic>), Stop> {
        Spec::load(&self.config, &QueryCompiler::new()).map_err(Stop::Findings)
    }

    /// The cluster's storage root: beside cluster.yaml, or where it says.
    async fn root(&self, spec: &Spec) -> Result<Root, Stop> {
        root_of(&self.config, spec).await
    }
}

pub(super) async fn root_of(config: &Path, spec: &Spec) -> Result<Root, Stop> {
    let directory = config.display().to_string();
    let url = spec.storage.as_deref().unwrap_or(&directory);
    let store = Store::connect(url, &StoreOptions::default()).await;
    Ok(Root::new(store.map_err(Failure::from)?, resources()))
}

impl Validate {
    fn run(self) -> Result<Output, Stop> {
        let (spec, warnings) = self.config.spec()?;
        let mut text = lines(&warnings);
        text.push_str(&format!(
            "valid: {} graphs, {} queries, {} policies\n",
            spec.graphs.len(),
            spec.graphs
                .values()
                .map(|graph| graph.queries.len())
                .sum::<usize>(),
            spec.policies.len(),
        ));
        let resources: serde_json::Map<String, Value> = spec
            .resources()
            .into_iter()
            .map(|(address, digest)| (address.to_string(), digest.into()))
            .collect();
        Ok(Output::new(
            text,
            json!({
                "valid": true,
                "config_digest": spec.config_digest,
                "resources": resources,
                "errors": [],
                "warnings": warnings,
            }),
        ))
    }
}

impl Plan {
    async fn run(self) -> Result<Output, Stop> {
        let (spec, mut warnings) = self.config.spec()?;
        let root = self.config.root(&spec).await?;
        let take_lock = spec.lock && !self.no_lock;
        let plan = root.plan(&spec, self.actor.given(), take_lock).await?;
        warnings.extend(plan.warnings.iter().cloned());
        let mut text = String::new();
        for change in &plan.changes {
            text.push_str(&format!("{change}\n"));
            text.push_str(&steps(change));
        }
        if plan.changes.is_empty() {
            text.push_str("no changes\n");
        }
        for id in &plan.unmanaged {
            text.push_str(&format!(
                "graph.{id} is unmanaged: made at run time, not declared\n"
            ));
        }
        text.push_str(&lines(&warnings));
        let required: Vec<String> = plan
            .approvals_required()
            .iter()
            .map(ToString::to_string)
            .collect();
        let mut output = Output::new(
            text,
            json!({
                "changes": plan.changes.iter().map(document).collect::<Vec<_>>(),
                "approvals_required": required,
                "unmanaged": plan.unmanaged,
                "config_digest": spec.config_digest,
                "state": { "exists": plan.state_exists, "revision": plan.state_revision },
                "lock": { "taken": take_lock, "held_by": plan.lock.as_ref().map(holder) },
                "errors": [],
                "warnings": warnings,
            }),
        );
        if self.detailed_exitcode && !plan.changes.is_empty() {
            output.exit = Exit::Usage;
        }
        Ok(output)
    }
}

impl Apply {
    async fn run(self) -> Result<Output, Stop> {
        let (spec, mut warnings) = self.config.spec()?;
        let root = self.config.root(&spec).await?;
        let outcome = root.apply(&spec, self.actor.given()).await?;
        warnings.extend(outcome.warnings.iter().cloned());
        let mut text = String::new();
        for change in &outcome.changes {
            let ended = match change.disposition {
                Disposition::Applied => " [Applied]",
                Disposition::Derived => " [Derived]",
                Disposition::Blocked | Disposition::Deferred => "",
            };
            text.push_str(&format!("{change}{ended}\n"));
            text.push_str(&steps(change));
        }
        text.push_str(&lines(&outcome.errors));
        text.push_str(&lines(&warnings));
        text.push_str(&format!("converged: {}\n", outcome.converged));
        let mut output = Output::new(
            text,
            json!({
                "changes": outcome.changes.iter().map(document).collect::<Vec<_>>(),
                "converged": outcome.converged,
                "state_written": outcome.state_written,
                "state_revision": outcome.state_revision,
                "config_digest": spec.config_digest,
                "errors": outcome.errors,
                "warnings": warnings,
            }),
        );
        if !outcome.errors.is_empty() {
            output.exit = Exit::Failed;
        }
        Ok(output)
    }
}

impl Approve {
    async fn run(self) -> Result<Output, Stop> {
        let address = Address::parse(&self.address).ok_or_else(|| {
            Failure::usage(format!("\"{}\" is no address", self.address))
                .hint("`omnigraph cluster plan` shows them.")
        })?;
        let Some(actor) = self.actor.given() else {
            return Err(Failure::usage("an approval needs somebody who gives it")
                .hint("Say who with --as ACTOR or OMNIGRAPH_ACTOR.")
                .into());
        };
        let (spec, _) = self.config.spec()?;
        let root = self.config.root(&spec).await?;
        let approval = root.approve(&spec, &address, actor).await?;
        Ok(Output::new(
            format!(
                "cluster approve: {} {} approved by {} (approval {})",
                approval.action, approval.address, approval.actor, approval.approval_id
            ),
            json!({ "approval": approval }),
        ))
    }
}

impl Status {
    async fn run(self) -> Result<Output, Stop> {
        let (spec, _) = self.config.spec()?;
        let root = self.config.root(&spec).await?;
        let standing = root.status().await?;
        let mut text = format!("revision {}\n", standing.ledger.state_revision);
        text.push_str(&resources_of(&standing.ledger));
        if let Some(held) = &standing.lock {
            text.push_str(&format!(
                "lock {} held by {} {}\n",
                held.lock_id,
                held.operation,
                root.age(&held.created_at)
            ));
        }
        for intent in &standing.unsettled {
            text.push_str(&format!(
                "interrupted: {} graph.{}; the next apply settles it\n",
                intent.operation.name(),
                intent.graph
            ));
        }
        for approval in &standing.approvals {
            text.push_str(&format!(
                "approval {}: {} {} by {}\n",
                approval.approval_id, approval.action, approval.address, approval.actor
            ));
        }
        text.push_str(&lines(&standing.errors));
        text.push_str(&lines(&standing.warnings));
        let mut output = Output::new(
            text,
            json!({
                "ledger": standing.ledger,
                "lock": standing.lock.as_ref().map(holder),
                "intents": standing.unsettled,
                "approvals": standing.approvals,
                "errors": standing.errors,
                "warnings": standing.warnings,
            }),
        );
        if !standing.errors.is_empty() {
            output.exit = Exit::Failed;
        }
        Ok(output)
    }
}

impl Refresh {
    async fn run(self) -> Result<Output, Stop> {
        let (spec, _) = self.config.spec()?;
        let root = self.config.root(&spec).await?;
        Ok(observed(root.refresh(&spec, self.actor.given()).await?))
    }
}

impl Import {
    async fn run(self) -> Result<Output, Stop> {
        let (spec, _) = self.config.spec()?;
        let root = self.config.root(&spec).await?;
        Ok(observed(root.import(&spec, self.actor.given()).await?))
    }
}

impl ForceUnlock {
    async fn run(self) -> Result<Output, Stop> {
        let (spec, _) = self.config.spec()?;
        let root = self.config.root(&spec).await?;
        let held = lock::force_unlock(root.store(), &self.id).await?;
        Ok(Output::new(
            format!("took lock {} away from {}", held.lock_id, held.operation),
            json!({ "unlocked": holder(&held) }),
        ))
    }
}

fn observed(observed: Observed) -> Output {
    let mut text = resources_of(&observed.ledger);
    text.push_str(&lines(&observed.errors));
    text.push_str(&lines(&observed.warnings));
    text.push_str(&format!("revision {}\n", observed.ledger.state_revision));
    let mut output = Output::new(
        text,
        json!({
            "state_written": observed.state_written,
            "state_revision": observed.ledger.state_revision,
            "observations": observed.ledger.observations,
            "resource_statuses": observed.ledger.resource_statuses,
            "errors": observed.errors,
            "warnings": observed.warnings,
        }),
    );
    if !observed.errors.is_empty() {
        output.exit = Exit::Failed;
    }
    output
}

pub(super) fn mistakes(found: &[Diagnostic]) -> Output {
    let (errors, warnings): (Vec<&Diagnostic>, Vec<&Diagnostic>) =
        found.iter().partition(|one| one.is_error());
    let mut output = Output::new(
        lines(found),
        json!({ "valid": false, "errors": errors, "warnings": warnings }),
    );
    output.exit = Exit::Failed;
    output
}

pub(super) fn lines(found: &[Diagnostic]) -> String {
    found.iter().map(|one| format!("{one}\n")).collect()
}

/// The steps of a migration, below the change they belong to.
fn steps(change: &Change) -> String {
    match &change.migration {
        Some(Preview::Steps(steps)) => steps.iter().map(|step| format!("  {step}\n")).collect(),
        Some(Preview::Refused(why)) => format!("  unsupported: {why}\n"),
        Some(Preview::Unavailable(_)) | None => String::new(),
    }
}

fn resources_of(ledger: &Ledger) -> String {
    let statuses = ledger.resource_statuses.iter().map(|(address, status)| {
        let mut line = format!("{address}  {}", status.status.name());
        if let Some(message) = &status.message {
            line.push_str(&format!("  {message}"));
        }
        line.push('\n');
        line
    });
    statuses.collect()
}

fn document(change: &Change) -> Value {
    let migration = change.migration.as_ref().map(|preview| match preview {
        Preview::Steps(steps) => json!({ "supported": true, "steps": documents(steps) }),
        Preview::Refused(why) => json!({ "supported": false, "steps": [], "reason": why }),
        Preview::Unavailable(why) => json!({ "supported": null, "steps": [], "reason": why }),
    });
    let bindings = change
        .bindings
        .as_ref()
        .map(|(before, after)| json!({ "before": before, "after": after }));
    json!({
        "address": change.address.to_string(),
        "action": change.action.name(),
        "disposition": change.disposition.name(),
        "reason": change.reason,
        "message": change.message,
        "before": change.before,
        "after": change.after,
        "migration": migration,
        "binding_change": bindings,
        "metadata_change": change.metadata,
    })
}

fn holder(held: &Holder) -> Value {
    json!(held)
}
