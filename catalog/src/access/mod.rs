//! Which graphs a server has, and what one actor may do with one of them.
//!
//! [`GraphAccess`] is the single place that asks whether something is allowed: whatever reads
//! or changes a graph for somebody goes through its methods, and each begins with
//! [`GraphAccess::check`]. A server over a plain store has no policy, so an actor who proved
//! who they are may do everything there; in a cluster each graph has the policy that was
//! applied, and without one can only be read.

//!
//! | file | what is in it |
//! |---|---|
//! | databases | every graph of a store or cluster, and how a newer revision takes over |
//! | graph | one graph, as one actor may see and change it |

mod databases;
mod graph;

use std::collections::HashMap;
use std::sync::Arc;

use omnigraph_engine::names::BranchName;
use omnigraph_engine::restrict::Restriction;
use omnigraph_engine::schema::Schema;
use parking_lot::{Mutex, RwLock};

use crate::policy::{self, Decision, Part, Policy, Request};
use crate::stored::Compiler;

pub use self::databases::{Databases, INVALID_NAME, SERVER_DATABASE, State};
pub use self::graph::GraphAccess;
pub use crate::policy::Action;

/// What decides over requests, now: shared by all who have a graph open, and replaced when
/// another policy is applied.
#[derive(Debug, Clone)]
pub struct Guard {
    rules: Arc<RwLock<Rules>>,
    /// Gives conditions of rules their meaning. Without it they show nothing.
    compiler: Option<Arc<dyn Compiler>>,
    /// By part and schema.
    restrictions: Arc<Mutex<HashMap<(String, String), Arc<Restriction>>>>,
}

/// How many parts of schemas are kept compiled.
const RESTRICTIONS: usize = 1_000;

#[derive(Debug, Clone)]
pub enum Rules {
    /// A plain store: whoever was let in may do everything.
    Everything,
    /// A cluster's graph without a policy.
    ReadOnly,
    /// A cluster without a server policy.
    Nothing,
    Policy(Arc<Policy>),
}

impl Guard {
    pub fn new(rules: Rules, compiler: Option<Arc<dyn Compiler>>) -> Self {
        Guard {
            rules: Arc::new(RwLock::new(rules)),
            compiler,
            restrictions: Arc::default(),
        }
    }

    fn replace(&self, rules: Rules) {
        *self.rules.write() = rules;
    }

    /// A part of the graph, under one of its schemas.
    fn restriction(&self, part: &Part, schema: &Arc<Schema>) -> Arc<Restriction> {
        let key = (part.digest(), schema.digest().to_owned());
        if let Some(known) = self.restrictions.lock().get(&key) {
            return Arc::clone(known);
        }
        let made = match &self.compiler {
            Some(compiler) => policy::restriction(part, schema, &**compiler),
            None => Restriction::new(&key.0, schema, HashMap::new()),
        };
        let mut restrictions = self.restrictions.lock();
        if restrictions.len() >= RESTRICTIONS {
            restrictions.clear();
        }
        Arc::clone(restrictions.entry(key).or_insert(made))
    }

    fn decide(&self, request: Request<'_>) -> Decision {
        let rules = self.rules.read().clone();
        match rules {
            Rules::Everything => Decision::Allowed(Vec::new()),
            Rules::ReadOnly if request.action == Action::Read => Decision::Allowed(Vec::new()),
            Rules::ReadOnly | Rules::Nothing => Decision::Denied,
            Rules::Policy(policy) => policy.check(request),
        }
    }

    /// Is the branch one that the policy protects?
    pub fn is_protected(&self, branch: &str) -> bool {
        match &*self.rules.read() {
            Rules::Policy(policy) => policy.is_protected(branch),
            _ => false,
        }
    }
}

/// What they want to do it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource<'a> {
    Graph,
    /// A branch, commit or other name of a state.
    Reference(&'a str),
}

impl Resource<'_> {
    /// The branch that it is on, where its name says so.
    fn branch(&self) -> Option<&str> {
        let Resource::Reference(reference) = self else {
            return None;
        };
        let name = reference.split('~').next().unwrap_or_default();
        BranchName::parse(name).is_ok().then_some(name)
    }
}

/// What policy said to a request, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    pub action: Action,
    pub branch: Option<String>,
    pub allowed: bool,
    /// The rules that allowed it.
    pub rules: Vec<String>,
}
