//! Putting requests to a bundle.
//!
//! Rules only permit: a request is allowed if the actor is in a rule's group, the action is
//! among its actions and its scope covers the branch. Doubt denies: a rule with a scope covers
//! no request that names no branch.

use super::action::Action;
use super::load::{Bundle, Rule, Scope};

/// A bundle, ready to be asked.
#[derive(Debug)]
pub struct Policy {
    bundle: Bundle,
}

/// Somebody wants something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    pub actor: &'a str,
    pub action: Action,
    /// The branch that it concerns; for a merge, the one merged into.
    pub branch: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// By these rules.
    Allowed(Vec<String>),
    Denied,
}

impl Decision {
    pub fn is_allowed(&self) -> bool {
        matches!(self, Decision::Allowed(_))
    }
}

impl Policy {
    pub fn new(bundle: Bundle) -> Policy {
        Policy { bundle }
    }

    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    pub fn is_protected(&self, branch: &str) -> bool {
        self.bundle.protected_branches.contains(branch)
    }

    pub fn check(&self, request: Request<'_>) -> Decision {
        let rules = self.bundle.rules.iter();
        let mut by: Vec<String> = rules
            .filter(|rule| self.permits(rule, request))
            .map(|rule| rule.id.clone())
            .collect();
        if by.is_empty() {
            return Decision::Denied;
        }
        by.sort();
        Decision::Allowed(by)
    }

    fn permits(&self, rule: &Rule, request: Request<'_>) -> bool {
        let group = self.bundle.groups.get(&rule.group);
        let covered = match (rule.scope, request.branch) {
            (Scope::Any, _) => true,
            (Scope::Protected, Some(branch)) => self.is_protected(branch),
            (Scope::Unprotected, Some(branch)) => !self.is_protected(branch),
            (Scope::Protected | Scope::Unprotected, None) => false,
        };
        // What covers only some rows is not enforced, so it permits nothing.
        !rule.narrowed
            && covered
            && rule.actions.contains(&request.action)
            && group.is_some_and(|group| group.contains(request.actor))
    }
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;

    const BUNDLE: &str = r#"
version: 1
groups:
  readers: [ada, bob]
  writers: [bob]
  admins: [cyd]
  "odd\" || true": ["eve\"; permit(principal, action, resource);"]
protected_branches: [main]
rules:
  - id: read
    allow: { actors: { group: readers }, actions: [read, export], branch_scope: any }
  - id: draft
    allow: { actors: { group: writers }, actions: [change], branch_scope: unprotected }
  - id: branch
    allow: { actors: { group: writers }, actions: [branch_create, branch_delete], target_branch_scope: unprotected }
  - id: merge
    allow: { actors: { group: admins }, actions: [branch_merge, schema_apply], target_branch_scope: protected }
  - id: keep
    allow: { actors: { group: admins }, actions: [admin, invoke_query] }
  - id: odd
    allow: { actors: { group: "odd\" || true" }, actions: [admin] }
  - id: narrow
    allow: { actors: { group: admins }, actions: [read] }
    types: [Person]
"#;

    fn policy() -> Policy {
        Policy::new(load("p.yaml", BUNDLE).unwrap().0)
    }

    /// Every actor, action and kind of branch: what is allowed, and all else is not.
    #[test]
    fn who_may_do_what() {
        let allowed: &[(&str, Action, Option<&str>, &str)] = &[
            ("ada", Action::Read, Some("main"), "read"),
            ("ada", Action::Read, Some("review"), "read"),
            ("ada", Action::Export, Some("main"), "read"),
            ("ada", Action::Export, Some("review"), "read"),
            ("ada", Action::Read, None, "read"),
            ("ada", Action::Export, None, "read"),
            ("bob", Action::Read, Some("main"), "read"),
            ("bob", Action::Read, Some("review"), "read"),
            ("bob", Action::Export, Some("main"), "read"),
            ("bob", Action::Export, Some("review"), "read"),
            ("bob", Action::Read, None, "read"),
            ("bob", Action::Export, None, "read"),
            ("bob", Action::Change, Some("review"), "draft"),
            ("bob", Action::BranchCreate, Some("review"), "branch"),
            ("bob", Action::BranchDelete, Some("review"), "branch"),
            ("cyd", Action::BranchMerge, Some("main"), "merge"),
            ("cyd", Action::SchemaApply, Some("main"), "merge"),
            ("cyd", Action::Admin, None, "keep"),
            ("cyd", Action::Admin, Some("main"), "keep"),
            ("cyd", Action::Admin, Some("review"), "keep"),
            ("cyd", Action::InvokeQuery, None, "keep"),
            ("cyd", Action::InvokeQuery, Some("main"), "keep"),
            ("cyd", Action::InvokeQuery, Some("review"), "keep"),
        ];
        let policy = policy();
        for actor in ["ada", "bob", "cyd", "nobody", "", "readers"] {
            for action in Action::ALL {
                for branch in [None, Some("main"), Some("review")] {
                    let expected = allowed
                        .iter()
                        .find(|row| (row.0, row.1, row.2) == (actor, action, branch))
                        .map(|row| vec![row.3.to_owned()]);
                    let decision = policy.check(Request {
                        actor,
                        action,
                        branch,
                    });
                    let expected = expected.map_or(Decision::Denied, Decision::Allowed);
                    assert_eq!(decision, expected, "{actor} {action} {branch:?}");
                }
            }
        }
    }

    #[test]
    fn names_are_names_whatever_they_look_like() {
        let policy = policy();
        let ask = |actor| {
            policy.check(Request {
                actor,
                action: Action::Admin,
                branch: None,
            })
        };
        assert!(ask("eve\"; permit(principal, action, resource);").is_allowed());
        assert!(!ask("eve").is_allowed());
    }
}
