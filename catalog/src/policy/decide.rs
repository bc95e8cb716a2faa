//! Putting requests to a bundle.
//!
//! Rules only permit: a request is allowed if the actor is in a rule's group, the action is
//! among its actions and its scope covers the branch. Doubt denies: a rule with a scope covers
//! no request that names no branch.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::action::Action;
use super::cedar::Compiled;
use super::load::Bundle;
use super::part::Part;
use crate::diagnostic::Diagnostic;

/// A bundle, ready to be asked.
#[derive(Debug)]
pub struct Policy {
    bundle: Bundle,
    compiled: Compiled,
    /// What was decided already: a bundle never changes its mind.
    decided: Mutex<HashMap<String, Decision>>,
}

/// How many decisions are remembered; then they are made anew.
const DECISIONS: usize = 10_000;

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
    /// For a part of the graph, by these rules.
    Narrowed(Vec<String>, Arc<Part>),
    Denied,
}

impl Decision {
    pub fn is_allowed(&self) -> bool {
        !matches!(self, Decision::Denied)
    }

    /// The rules that allow it.
    pub fn rules(&self) -> &[String] {
        match self {
            Decision::Allowed(rules) | Decision::Narrowed(rules, _) => rules,
            Decision::Denied => &[],
        }
    }
}

impl Policy {
    pub fn new(bundle: Bundle) -> Result<Policy, Diagnostic> {
        Ok(Policy {
            compiled: Compiled::new(&bundle)?,
            bundle,
            decided: Mutex::default(),
        })
    }

    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// What rules that allow something allow it for.
    fn by(&self, rules: Vec<String>, actor: &str) -> Decision {
        let named = self.bundle.rules.iter();
        let types: Option<Vec<_>> = named
            .filter(|rule| rules.contains(&rule.id))
            .map(|rule| rule.types.as_ref())
            .collect();
        let Some(types) = types else {
            return Decision::Allowed(rules);
        };
        let groups = self.bundle.groups.iter();
        let groups = groups
            .filter(|(_, actors)| actors.contains(actor))
            .map(|(group, _)| group.clone());
        let part = Part::of(actor, groups.collect(), types.into_iter());
        Decision::Narrowed(rules, Arc::new(part))
    }

    pub fn is_protected(&self, branch: &str) -> bool {
        self.bundle.protected_branches.contains(branch)
    }

    pub fn check(&self, request: Request<'_>) -> Decision {
        // No name has a zero in it.
        let branch = request.branch.map_or("\0", |branch| branch);
        let key = format!("{}\0{branch}\0{}", request.action, request.actor);
        if let Some(decision) = self.decided.lock().get(&key) {
            return decision.clone();
        }
        let decision = match self.compiled.decide(request) {
            Some(rules) => self.by(rules, request.actor),
            None => Decision::Denied,
        };
        let mut decided = self.decided.lock();
        if decided.len() >= DECISIONS {
            decided.clear();
        }
        decided.insert(key, decision.clone());
        decision
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::super::load;
    use super::super::load::{Kind, Rule, Scope};
    use super::super::part::{Share, Types};
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
        Policy::new(load("p.yaml", BUNDLE).unwrap().0).unwrap()
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
            ("cyd", Action::Read, None, "narrow"),
            ("cyd", Action::Read, Some("main"), "narrow"),
            ("cyd", Action::Read, Some("review"), "narrow"),
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
                        .map(|row| row.3.to_owned());
                    let decision = policy.check(Request {
                        actor,
                        action,
                        branch,
                    });
                    let by: Option<&String> = decision.rules().first();
                    assert_eq!(by, expected.as_ref(), "{actor} {action} {branch:?}");
                    let narrowed = matches!(decision, Decision::Narrowed(..));
                    assert_eq!(narrowed, expected.as_deref() == Some("narrow"));
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

    /// The rules read as they are written, by nobody who knows of Cedar.
    fn as_written(bundle: &Bundle, request: Request<'_>) -> Decision {
        let protected = |branch: &str| bundle.protected_branches.contains(branch);
        let permits = |rule: &&Rule| {
            let covered = match (rule.scope, request.branch) {
                (Scope::Any, _) => true,
                (Scope::Protected, Some(branch)) => protected(branch),
                (Scope::Unprotected, Some(branch)) => !protected(branch),
                (Scope::Protected | Scope::Unprotected, None) => false,
            };
            covered
                && rule.actions.contains(&request.action)
                && bundle.groups[&rule.group].contains(request.actor)
        };
        let rules: Vec<&Rule> = bundle.rules.iter().filter(permits).collect();
        let mut by: Vec<String> = rules.iter().map(|rule| rule.id.clone()).collect();
        by.sort();
        if by.is_empty() {
            return Decision::Denied;
        }
        let parts: Option<Vec<&Types>> = rules.iter().map(|rule| rule.types.as_ref()).collect();
        let Some(parts) = parts else {
            return Decision::Allowed(by);
        };
        let groups = bundle.groups.iter();
        let groups = groups.filter(|(_, actors)| actors.contains(request.actor));
        let groups = groups.map(|(name, _)| name.clone()).collect();
        let part = Part::of(request.actor, groups, parts.into_iter());
        Decision::Narrowed(by, Arc::new(part))
    }

    const NAMES: [&str; 6] = [
        "ada",
        "bob",
        "main",
        "",
        "a\"; permit(principal, action, resource);//",
        "é\\\n\u{1f}",
    ];

    fn bundles() -> impl Strategy<Value = Bundle> {
        let name = || proptest::sample::select(&NAMES[..]).prop_map(str::to_owned);
        let scope = prop_oneof![
            Just(Scope::Any),
            Just(Scope::Protected),
            Just(Scope::Unprotected)
        ];
        let rule = (
            0..NAMES.len(),
            btree_set(proptest::sample::select(&Action::ALL[..]), 1..4),
            scope,
            any::<bool>(),
            any::<bool>(),
        );
        let groups = vec(btree_set(name(), 0..4), NAMES.len());
        (groups, btree_set(name(), 0..3), vec(rule, 0..8)).prop_map(
            |(groups, protected_branches, rules)| Bundle {
                kind: Kind::Graph,
                groups: NAMES
                    .iter()
                    .map(|name| (*name).to_owned())
                    .zip(groups)
                    .collect(),
                protected_branches,
                rules: rules
                    .into_iter()
                    .enumerate()
                    .map(|(at, (group, actions, scope, narrowed, also))| Rule {
                        types: (narrowed && also)
                            .then(|| Types::from([(NAMES[group].to_owned(), Share::default())])),
                        id: format!("{}{at}", NAMES[group]),
                        group: NAMES[group].to_owned(),
                        actions,
                        scope,
                    })
                    .collect(),
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Whatever a bundle says, Cedar decides as the rules read, by the same rules.
        #[test]
        fn cedar_decides_as_the_rules_are_written(bundle in bundles()) {
            let policy = Policy::new(bundle.clone()).unwrap();
            for actor in NAMES {
                for action in Action::ALL {
                    for branch in [None].into_iter().chain(NAMES.map(Some)) {
                        let request = Request { actor, action, branch };
                        // Twice: the second time it is remembered.
                        for _ in 0..2 {
                            prop_assert_eq!(policy.check(request), as_written(&bundle, request), "{:?}", request);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn rules_are_readable_in_cedar() {
        let policy = policy();
        let text = |id: &str| {
            let rules = &policy.bundle().rules;
            super::super::text(rules.iter().find(|rule| rule.id == id).unwrap())
        };
        assert_eq!(
            text("draft"),
            "@id(\"draft\")\npermit (\n    principal in Group::\"writers\",\n    action in [Action::\"change\"],\n    resource is Branch\n)\nunless { resource in Branches::\"protected\" };"
        );
        assert!(text("merge").contains("resource in Branches::\"protected\"\n);"));
        assert!(text("narrow").starts_with("@id(\"narrow\")\n@part(\"Person\")\npermit ("));
    }
}
