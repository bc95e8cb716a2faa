//! A bundle as Cedar policies, and the only place that calls Cedar.
//!
//! Every rule becomes one `permit`. Groups and the protected branches are entities that actors and
//! branches belong to, so a request brings nothing but three names:
//!
//! ```text
//! @id("draft")
//! permit (
//!     principal in Group::"writers",
//!     action in [Action::"change"],
//!     resource is Branch
//! )
//! unless { resource in Branches::"protected" };
//! ```

use std::collections::{HashMap, HashSet};
use std::fmt;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicyId,
    PolicySet,
};

use super::decide::Request;
use super::load::{Bundle, Rule, Scope};
use crate::diagnostic::Diagnostic;

/// A compiled bundle.
pub(super) struct Compiled {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    types: Types,
}

/// The types of entities that requests and policies name.
#[derive(Debug, Clone)]
struct Types {
    actor: EntityTypeName,
    action: EntityTypeName,
    group: EntityTypeName,
    branch: EntityTypeName,
    branches: EntityTypeName,
    graph: EntityTypeName,
}

impl Types {
    fn new() -> Self {
        let named = |name: &str| {
            name.parse()
                .expect("a capitalised word is a type name in Cedar")
        };
        Types {
            actor: named("Actor"),
            action: named("Action"),
            group: named("Group"),
            branch: named("Branch"),
            branches: named("Branches"),
            graph: named("Graph"),
        }
    }
}

fn entity(ty: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(ty.clone(), EntityId::new(id))
}

impl Compiled {
    pub(super) fn new(bundle: &Bundle) -> Result<Self, Diagnostic> {
        let types = Types::new();
        let mut policies = PolicySet::new();
        for rule in &bundle.rules {
            let text = written(rule, &types);
            let id = PolicyId::new(&rule.id);
            let policy = cedar_policy::Policy::parse(Some(id), &text)
                .map_err(|error| uncompiled(&rule.id, &error))?;
            policies
                .add(policy)
                .map_err(|error| uncompiled(&rule.id, &error))?;
        }
        let mut groups: HashMap<&str, HashSet<EntityUid>> = HashMap::new();
        for (group, actors) in &bundle.groups {
            for actor in actors {
                let group = entity(&types.group, group);
                groups.entry(actor).or_default().insert(group);
            }
        }
        let actors = groups
            .into_iter()
            .map(|(actor, groups)| Entity::new_no_attrs(entity(&types.actor, actor), groups));
        let protected = bundle.protected_branches.iter().map(|branch| {
            let all = HashSet::from([protected_branches(&types)]);
            Entity::new_no_attrs(entity(&types.branch, branch), all)
        });
        let entities = Entities::from_entities(actors.chain(protected), None)
            .map_err(|error| uncompiled("groups", &error))?;
        Ok(Compiled {
            authorizer: Authorizer::new(),
            policies,
            entities,
            types,
        })
    }

    /// The rules that allow a request; `None`: it is denied.
    pub(super) fn decide(&self, request: Request<'_>) -> Option<Vec<String>> {
        let resource = match request.branch {
            Some(branch) => entity(&self.types.branch, branch),
            None => entity(&self.types.graph, "itself"),
        };
        let asked = cedar_policy::Request::new(
            entity(&self.types.actor, request.actor),
            entity(&self.types.action, request.action.name()),
            resource,
            Context::empty(),
            None,
        );
        let asked = match asked {
            Ok(asked) => asked,
            Err(error) => {
                tracing::error!(%error, "a request that policy cannot be asked: it is denied");
                return None;
            }
        };
        let response = self
            .authorizer
            .is_authorized(&asked, &self.policies, &self.entities);
        for error in response.diagnostics().errors() {
            tracing::error!(%error, "a policy that cannot be evaluated: it allows nothing");
        }
        if response.decision() == Decision::Deny {
            return None;
        }
        let by = response.diagnostics().reason();
        let mut by: Vec<String> = by.map(|id| AsRef::<str>::as_ref(id).to_owned()).collect();
        by.sort();
        Some(by)
    }
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled")
            .field("policies", &self.policies.policies().count())
            .finish_non_exhaustive()
    }
}

/// A rule as Cedar. What types, columns and rows it is about stands beside it as an annotation:
/// Cedar decides whether the rule applies, and the graph is shown as the rules that apply say.
pub fn text(rule: &Rule) -> String {
    written(rule, &Types::new())
}

fn written(rule: &Rule, types: &Types) -> String {
    let part = rule.types.iter().flatten().map(|(name, share)| {
        let mut text = name.clone();
        if let Some(columns) = &share.columns {
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            text.push_str(&format!(" ({})", columns.join(", ")));
        }
        if let Some(rows) = &share.rows {
            text.push_str(&format!(" where {rows}"));
        }
        text
    });
    let part: Vec<String> = part.collect();
    let part = match &rule.types {
        Some(_) => format!("@part(\"{}\")\n", EntityId::new(part.join("; ")).escaped()),
        None => String::new(),
    };
    let id = EntityId::new(&rule.id).escaped();
    let group = entity(&types.group, &rule.group);
    let actions: Vec<String> = rule
        .actions
        .iter()
        .map(|action| entity(&types.action, action.name()).to_string())
        .collect();
    let actions = actions.join(", ");
    let protected = protected_branches(types);
    let (resource, unless) = match rule.scope {
        Scope::Any => ("resource".to_owned(), String::new()),
        Scope::Protected => (format!("resource in {protected}"), String::new()),
        Scope::Unprotected => (
            "resource is Branch".to_owned(),
            format!("\nunless {{ resource in {protected} }}"),
        ),
    };
    format!(
        "@id(\"{id}\")\n{part}permit (\n    principal in {group},\n    action in [{actions}],\n    {resource}\n){unless};"
    )
}

fn protected_branches(types: &Types) -> EntityUid {
    entity(&types.branches, "protected")
}

fn uncompiled(what: &str, error: &dyn fmt::Display) -> Diagnostic {
    Diagnostic::error(
        "policy_invalid",
        format!("\"{what}\" cannot be compiled to Cedar: {error}"),
    )
}
