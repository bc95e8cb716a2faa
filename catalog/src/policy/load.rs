//! A policy file → a [`Bundle`], with every mistake and its place.

use std::collections::{BTreeMap, BTreeSet};

use super::action::{Action, ScopeKey};
use super::part::{self, Types};
use crate::diagnostic::Diagnostic;
use crate::yaml::{self, Findings, Mapping, Node};

/// A policy file, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    pub kind: Kind,
    pub groups: BTreeMap<String, BTreeSet<String>>,
    pub protected_branches: BTreeSet<String>,
    pub rules: Vec<Rule>,
}

/// What a bundle is about: it never mixes the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Graph,
    Server,
}

/// Somebody may do something.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub id: String,
    pub group: String,
    pub actions: BTreeSet<Action>,
    pub scope: Scope,
    /// The types, columns and rows that it is about; `None`: everything.
    pub types: Option<Types>,
}

/// The branches that a rule covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Any,
    Protected,
    Unprotected,
}

impl Scope {
    fn parse(name: &str) -> Option<Scope> {
        match name {
            "any" => Some(Scope::Any),
            "protected" => Some(Scope::Protected),
            "unprotected" => Some(Scope::Unprotected),
            _ => None,
        }
    }
}

/// Reads a policy file. Warnings come with the bundle; with an error there is none.
pub fn load(file: &str, text: &str) -> Result<(Bundle, Vec<Diagnostic>), Vec<Diagnostic>> {
    let node = yaml::parse(file, text).map_err(|error| vec![error])?;
    let mut findings = Findings::new(file);
    let bundle = bundle(&node, &mut findings);
    let found = findings.found;
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    Ok((bundle, found))
}

fn bundle(node: &Node, findings: &mut Findings<'_>) -> Bundle {
    let mut all = findings.mapping(node, "a policy");
    if let Some(version) = all.require("version", findings)
        && version.text() != Some("1")
    {
        findings.report(
            version,
            "unsupported_version",
            "the policy's version must be 1",
        );
    }
    let kind = all.take("kind").and_then(|kind| match kind.text() {
        Some("graph") => Some(Kind::Graph),
        Some("server") => Some(Kind::Server),
        _ => {
            findings.report(kind, "invalid_value", "kind must be graph or server");
            None
        }
    });
    let groups = groups(all.take("groups"), findings);
    let protected_branches = match all.take("protected_branches") {
        Some(list) => {
            let names = findings.texts(list, "protected_branches");
            names.into_iter().map(|(name, _)| name).collect()
        }
        None => BTreeSet::new(),
    };
    let mut rules: Vec<Rule> = Vec::new();
    if let Some(list) = all.require("rules", findings) {
        for node in findings.sequence(list, "rules") {
            let Some(rule) = rule(node, &groups, findings) else {
                continue;
            };
            if rules.iter().any(|held| held.id == rule.id) {
                let message = format!("rule \"{}\" was given already", rule.id);
                findings.report(node, "duplicate_rule", message);
            }
            rules.push(rule);
        }
    }
    all.end(findings);
    let used = rules.iter().flat_map(|rule| &rule.actions);
    let (server, graph): (Vec<Action>, Vec<Action>) =
        used.copied().partition(|action| action.is_server());
    let kind = kind.unwrap_or(if graph.is_empty() && !server.is_empty() {
        Kind::Server
    } else {
        Kind::Graph
    });
    let strange = match kind {
        Kind::Graph => server.first(),
        Kind::Server => graph.first(),
    };
    if let Some(action) = strange {
        let (here, there) = match kind {
            Kind::Graph => ("graph", "server"),
            Kind::Server => ("server", "graph"),
        };
        findings.report_hint(
            node,
            "mixed_actions",
            format!("\"{action}\" is no action of a {here} policy"),
            format!("Put it into a {there} policy of its own."),
        );
    }
    Bundle {
        kind,
        groups,
        protected_branches,
        rules,
    }
}

fn groups(node: Option<&Node>, findings: &mut Findings<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let Some(node) = node else {
        return BTreeMap::new();
    };
    let all = findings.mapping(node, "groups");
    all.rest()
        .map(|(name, _, members)| {
            let members = findings.texts(members, &format!("group \"{name}\""));
            let members = members.into_iter().map(|(actor, _)| actor).collect();
            (name.to_owned(), members)
        })
        .collect()
}

fn rule(
    node: &Node,
    groups: &BTreeMap<String, BTreeSet<String>>,
    findings: &mut Findings<'_>,
) -> Option<Rule> {
    let mut all = findings.mapping(node, "a rule");
    let id = all.require("id", findings);
    let id = id.and_then(|id| findings.text(id, "a rule's id"));
    let allow = all.require("allow", findings);
    let about = ["types", "columns", "where"];
    let finer = about.iter().find_map(|key| all.key(key));
    let types = part::types(&mut all, findings);
    all.end(findings);
    let mut allow = findings.mapping(allow?, "allow");
    let group = allow.require("actors", findings);
    let group = group.and_then(|actors| {
        let mut actors = findings.mapping(actors, "actors");
        let group = actors.require("group", findings);
        actors.end(findings);
        let group = group?;
        let name = findings.text(group, "group")?;
        if !groups.contains_key(&name) {
            findings.report(
                group,
                "unknown_group",
                format!("there is no group \"{name}\""),
            );
        }
        Some(name)
    });
    let mut actions = BTreeSet::new();
    if let Some(list) = allow.require("actions", findings) {
        for (name, place) in findings.texts(list, "actions") {
            match Action::parse(&name) {
                Some(action) => {
                    actions.insert(action);
                }
                None => {
                    let known: Vec<&str> = Action::ALL.iter().map(|action| action.name()).collect();
                    findings.report_hint(
                        &place,
                        "unknown_action",
                        format!("there is no action \"{name}\""),
                        format!("Actions are {}.", known.join(", ")),
                    );
                }
            }
        }
        if actions.is_empty() {
            findings.report(list, "missing_field", "a rule must allow an action");
        }
    }
    let scope = scope(&mut allow, &actions, findings);
    allow.end(findings);
    if let (Some(key), Some(action)) = (
        finer,
        actions.iter().find(|action| !part::is_about_rows(**action)),
    ) {
        findings.report_hint(
            key,
            "part_not_for_action",
            format!("types, columns and where do not go with \"{action}\""),
            "They go with read, export and change; put the others into a rule of their own.",
        );
    }
    Some(Rule {
        id: id?,
        group: group?,
        actions,
        scope,
        types,
    })
}

fn scope(
    allow: &mut Mapping<'_>,
    actions: &BTreeSet<Action>,
    findings: &mut Findings<'_>,
) -> Scope {
    let given: Vec<_> = [
        ("branch_scope", ScopeKey::Branch),
        ("target_branch_scope", ScopeKey::Target),
    ]
    .into_iter()
    .filter_map(|(name, key)| allow.take(name).map(|node| (name, key, node)))
    .collect();
    if let [_, (_, _, second)] = given.as_slice() {
        findings.report(second, "two_scopes", "a rule has at most one scope");
    }
    let Some((name, key, node)) = given.first() else {
        return Scope::Any;
    };
    if let Some(action) = actions
        .iter()
        .find(|action| action.scope_key() != Some(*key))
    {
        findings.report_hint(
            node,
            "scope_not_for_action",
            format!("{name} does not go with \"{action}\""),
            match action.scope_key() {
                Some(ScopeKey::Branch) => "It goes with branch_scope, in a rule of its own.",
                Some(ScopeKey::Target) => "It goes with target_branch_scope, in a rule of its own.",
                None => "It takes no scope: put it into a rule of its own.",
            },
        );
    }
    let scope = node.text().and_then(Scope::parse);
    if scope.is_none() {
        let message = format!("{name} must be any, protected or unprotected");
        findings.report(node, "unknown_scope", message);
    }
    scope.unwrap_or(Scope::Any)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
version: 1
groups: { readers: [ada, bob], admins: [cyd] }
protected_branches: [main]
rules:
  - id: read
    allow: { actors: { group: readers }, actions: [read, export], branch_scope: any }
  - id: merge
    allow: { actors: { group: admins }, actions: [branch_merge], target_branch_scope: protected }
";

    #[test]
    fn a_policy_is_read() {
        let (bundle, warnings) = load("p.yaml", GOOD).unwrap();
        assert_eq!(
            (bundle.kind, bundle.rules.len(), warnings.len()),
            (Kind::Graph, 2, 0)
        );
        assert_eq!(bundle.rules[1].scope, Scope::Protected);
    }

    #[test]
    fn every_mistake_has_its_code_and_line() {
        for (from, to, code, line) in [
            ("version: 1", "version: 2", "unsupported_version", 2),
            ("version: 1", "version: 1\nextra: 1", "unknown_field", 3),
            ("group: readers", "group: nobody", "unknown_group", 7),
            ("[read, export]", "[read, fly]", "unknown_action", 7),
            (
                "[read, export]",
                "[read, graph_list]",
                "scope_not_for_action",
                7,
            ),
            (
                "[branch_merge], target_branch_scope: protected",
                "[graph_create]",
                "mixed_actions",
                2,
            ),
            (
                "branch_scope: any",
                "branch_scope: some",
                "unknown_scope",
                7,
            ),
            (
                "branch_scope: any",
                "branch_scope: any, target_branch_scope: any",
                "two_scopes",
                7,
            ),
            ("id: merge", "id: read", "duplicate_rule", 8),
            (
                "branch_scope: any }",
                "branch_scope: any, deny: x }",
                "unknown_field",
                7,
            ),
            ("[read, export]", "[admin]", "scope_not_for_action", 7),
            (
                "  - id: merge",
                "  - id: merge\n    types: [Person]",
                "part_not_for_action",
                9,
            ),
            (
                "  - id: read",
                "  - id: read\n    where: { Person: [a] }",
                "invalid_value",
                7,
            ),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let found = load("p.yaml", &GOOD.replacen(from, to, 1)).unwrap_err();
            let codes: Vec<_> = found
                .iter()
                .map(|one| (one.code, one.place.as_ref().and_then(|place| place.line)))
                .collect();
            assert!(codes.contains(&(code, Some(line))), "{to}: {codes:?}");
        }
    }
}
