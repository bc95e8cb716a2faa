//! What a policy is expected to decide, as a file of cases.

use super::action::Action;
use super::decide::{Decision, Policy, Request};
use crate::diagnostic::{Diagnostic, Place};
use crate::yaml::{self, Findings, Node};

/// One request, and whether it is to be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub actor: String,
    pub action: Action,
    pub branch: Option<String>,
    pub allow: bool,
    pub place: Place,
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub decision: Decision,
    pub as_expected: bool,
}

/// Reads `cases: [{ actor, action, branch, expect: allow | deny }]`.
pub fn cases(file: &str, text: &str) -> Result<Vec<Case>, Vec<Diagnostic>> {
    let node = yaml::parse(file, text).map_err(|error| vec![error])?;
    let mut findings = Findings::new(file);
    let mut all = findings.mapping(&node, "a file of cases");
    let list = all.require("cases", &mut findings);
    let list = list.map_or(&[][..], |list| findings.sequence(list, "cases"));
    let read: Vec<Option<Case>> = list.iter().map(|node| case(node, &mut findings)).collect();
    all.end(&mut findings);
    match findings.found.is_empty() {
        true => Ok(read.into_iter().flatten().collect()),
        false => Err(findings.found),
    }
}

fn case(node: &Node, findings: &mut Findings<'_>) -> Option<Case> {
    let mut all = findings.mapping(node, "a case");
    let actor = all.require("actor", findings);
    let actor = actor.and_then(|actor| findings.text(actor, "actor"));
    let action = all.require("action", findings).and_then(|node| {
        let action = Action::parse(node.text().unwrap_or_default());
        if action.is_none() {
            findings.report(node, "unknown_action", "there is no such action");
        }
        action
    });
    let branch = all.take("branch");
    let branch = branch.and_then(|branch| findings.text(branch, "branch"));
    let allow = all.require("expect", findings).and_then(|node| {
        let allow = match node.text() {
            Some("allow") => Some(true),
            Some("deny") => Some(false),
            _ => None,
        };
        if allow.is_none() {
            findings.report(node, "invalid_value", "expect must be allow or deny");
        }
        allow
    });
    all.end(findings);
    Some(Case {
        actor: actor?,
        action: action?,
        branch,
        allow: allow?,
        place: findings.place(node),
    })
}

impl Case {
    pub fn put_to(&self, policy: &Policy) -> Outcome {
        let decision = policy.check(Request {
            actor: &self.actor,
            action: self.action,
            branch: self.branch.as_deref(),
        });
        Outcome {
            as_expected: decision.is_allowed() == self.allow,
            decision,
        }
    }
}
