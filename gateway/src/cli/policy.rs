use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use omnigraph_catalog::diagnostic::Diagnostic;
use omnigraph_catalog::policy::{
    self, Action, Bundle, Decision, Kind, Request, Rule, Scope, ScopeKey, Share,
};
use serde_json::{Value, json};

use crate::cli::cluster::{Stop, ended, lines};
use crate::cli::output::Output;
use crate::cli::{Exit, Failure, Format};

/// Check, test and explain policy files.
#[derive(Debug, Args)]
pub(super) struct Policy {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Validate(Validate),
    Test(Test),
    Explain(Explain),
}

/// Check policy files: all mistakes at once, each with its code and place
#[derive(Debug, Args)]
struct Validate {
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    format: Format,
}

/// Put requests to a policy; fails if one is decided otherwise than expected
#[derive(Debug, Args)]
struct Test {
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The requests, each with what is expected: a YAML file of cases
    #[arg(long, value_name = "CASES")]
    cases: PathBuf,
    #[command(flatten)]
    format: Format,
}

/// Show each rule in words and as Cedar has it, or which rules allow a request.
#[derive(Debug, Args)]
struct Explain {
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Who asks
    #[arg(long, value_name = "ACTOR", requires = "action")]
    actor: Option<String>,
    /// What for
    #[arg(long, value_name = "ACTION", requires = "actor", value_parser = action)]
    action: Option<Action>,
    /// On which branch; without one, on the graph itself
    #[arg(long, value_name = "BRANCH", requires = "actor")]
    branch: Option<String>,
    #[command(flatten)]
    format: Format,
}

fn action(name: &str) -> Result<Action, String> {
    Action::parse(name).ok_or_else(|| {
        let known: Vec<&str> = Action::ALL.iter().map(|action| action.name()).collect();
        format!("actions are {}", known.join(", "))
    })
}

impl Policy {
    pub fn format(&self) -> Format {
        match &self.verb {
            Verb::Validate(verb) => verb.format,
            Verb::Test(verb) => verb.format,
            Verb::Explain(verb) => verb.format,
        }
    }

    pub fn run(self) -> Result<Output, Failure> {
        ended(match self.verb {
            Verb::Validate(verb) => verb.run(),
            Verb::Test(verb) => verb.run(),
            Verb::Explain(verb) => verb.run(),
        })
    }
}

impl Validate {
    fn run(self) -> Result<Output, Stop> {
        let (mut text, mut found, mut documents) = (String::new(), Vec::new(), Vec::new());
        for path in &self.files {
            match compiled(path) {
                Err(Stop::Findings(mistakes)) => found.extend(mistakes),
                Err(stop) => return Err(stop),
                Ok((policy, warnings)) => {
                    let bundle = policy.bundle();
                    let kind = kind(bundle);
                    let count = bundle.rules.len();
                    text.push_str(&format!(
                        "{}: a {kind} policy, {count} rules\n",
                        path.display()
                    ));
                    documents.push(
                        json!({ "file": path.display().to_string(), "kind": kind, "rules": count }),
                    );
                    found.extend(warnings);
                }
            }
        }
        text.push_str(&lines(&found));
        let (errors, warnings): (Vec<&Diagnostic>, Vec<&Diagnostic>) =
            found.iter().partition(|one| one.is_error());
        let mut output = Output::new(
            text,
            json!({ "valid": errors.is_empty(), "policies": documents, "errors": errors, "warnings": warnings }),
        );
        if !errors.is_empty() {
            output.exit = Exit::Failed;
        }
        Ok(output)
    }
}

impl Test {
    fn run(self) -> Result<Output, Stop> {
        let (policy, _) = compiled(&self.file)?;
        let cases = policy::cases(&self.cases.display().to_string(), &read(&self.cases)?)
            .map_err(Stop::Findings)?;
        let (mut text, mut documents, mut wrong) = (String::new(), Vec::new(), 0);
        for case in &cases {
            let outcome = case.put_to(&policy);
            let word = |allowed| if allowed { "allow" } else { "deny" };
            let (expected, decided) = (word(case.allow), word(outcome.decision.is_allowed()));
            if !outcome.as_expected {
                wrong += 1;
                let line = case.place.line.unwrap_or_default();
                let on = on(case.branch.as_deref());
                text.push_str(&format!(
                    "{}:{line}: {} {}{on}: expected {expected}, decided {decided}\n",
                    case.place.file, case.actor, case.action
                ));
            }
            documents.push(json!({
                "actor": case.actor,
                "action": case.action.name(),
                "branch": case.branch,
                "expected": expected,
                "decided": decided,
                "rules": rules(&outcome.decision),
            }));
        }
        let right = cases.len() - wrong;
        text.push_str(&format!("{right} as expected, {wrong} not\n"));
        let mut output = Output::new(text, json!({ "passed": wrong == 0, "cases": documents }));
        if wrong > 0 {
            output.exit = Exit::Failed;
        }
        Ok(output)
    }
}

impl Explain {
    fn run(self) -> Result<Output, Stop> {
        let (policy, warnings) = compiled(&self.file)?;
        let bundle = policy.bundle();
        let (Some(actor), Some(action)) = (&self.actor, self.action) else {
            let explained: Vec<Value> = bundle.rules.iter().map(document).collect();
            let mut text: String = bundle
                .rules
                .iter()
                .map(|rule| format!("{}\n{}\n\n", in_words(rule), policy::text(rule)))
                .collect();
            text.push_str(&lines(&warnings));
            let kind = kind(bundle);
            return Ok(Output::new(
                text,
                json!({ "kind": kind, "rules": explained }),
            ));
        };
        let decision = policy.check(Request {
            actor,
            action,
            branch: self.branch.as_deref(),
        });
        let by = rules(&decision);
        let (word, may) = match decision.is_allowed() {
            true => ("allow", "may"),
            false => ("deny", "may not"),
        };
        let on = on(self.branch.as_deref());
        let mut text = format!("{word}: {actor} {may} {action}{on}\n");
        for id in &by {
            text.push_str(&format!("  by {id}\n"));
        }
        if by.is_empty() {
            text.push_str("  no rule allows it\n");
        }
        let applied = bundle.rules.iter().filter(|rule| by.contains(&rule.id));
        for rule in applied.clone() {
            text.push_str(&format!("\n{}\n{}\n", in_words(rule), policy::text(rule)));
        }
        let explained: Vec<Value> = applied.map(document).collect();
        Ok(Output::new(
            text,
            json!({ "decision": word, "rules": explained }),
        ))
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))
}

fn compiled(path: &Path) -> Result<(policy::Policy, Vec<Diagnostic>), Stop> {
    let text = read(path)?;
    let (bundle, warnings) =
        policy::load(&path.display().to_string(), &text).map_err(Stop::Findings)?;
    let policy = policy::Policy::new(bundle).map_err(|found| Stop::Findings(vec![found]))?;
    Ok((policy, warnings))
}

fn kind(bundle: &Bundle) -> &'static str {
    match bundle.kind {
        Kind::Graph => "graph",
        Kind::Server => "server",
    }
}

fn on(branch: Option<&str>) -> String {
    branch.map_or(String::new(), |branch| format!(" on {branch}"))
}

fn rules(decision: &Decision) -> Vec<String> {
    decision.rules().to_vec()
}

/// `draft: writers may change on unprotected branches`
fn in_words(rule: &Rule) -> String {
    let actions: Vec<&str> = rule.actions.iter().map(|action| action.name()).collect();
    let concerns_branches = rule.actions.iter().any(|action| {
        matches!(
            action.scope_key(),
            Some(ScopeKey::Branch | ScopeKey::Target)
        )
    });
    let on = match rule.scope {
        Scope::Any if concerns_branches => " on any branch",
        Scope::Any => "",
        Scope::Protected => " on protected branches",
        Scope::Unprotected => " on unprotected branches",
    };
    let what: Vec<String> = rule.types.iter().flatten().map(share).collect();
    let what = match what.is_empty() {
        true => String::new(),
        false => format!(": {}", what.join("; ")),
    };
    format!(
        "{}: {} may {}{on}{what}",
        rule.id,
        rule.group,
        actions.join(", ")
    )
}

/// `Person (slug, name) where name <> actor()`
fn share((name, share): (&String, &Share)) -> String {
    let mut text = name.clone();
    if let Some(columns) = &share.columns {
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        text.push_str(&format!(" ({})", columns.join(", ")));
    }
    if let Some(rows) = &share.rows {
        text.push_str(&format!(" where {rows}"));
    }
    text
}

fn document(rule: &Rule) -> Value {
    json!({ "id": rule.id, "says": in_words(rule), "cedar": policy::text(rule) })
}
