//! What can be asked for, in the words of policy files.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    Read,
    Export,
    Change,
    SchemaApply,
    BranchCreate,
    BranchDelete,
    BranchMerge,
    InvokeQuery,
    Admin,
    GraphList,
    GraphCreate,
    GraphDelete,
}

/// Which key of a rule limits an action to some branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeKey {
    /// `branch_scope`
    Branch,
    /// `target_branch_scope`
    Target,
}

impl Action {
    pub const ALL: [Action; 12] = [
        Action::Read,
        Action::Export,
        Action::Change,
        Action::SchemaApply,
        Action::BranchCreate,
        Action::BranchDelete,
        Action::BranchMerge,
        Action::InvokeQuery,
        Action::Admin,
        Action::GraphList,
        Action::GraphCreate,
        Action::GraphDelete,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Action::Read => "read",
            Action::Export => "export",
            Action::Change => "change",
            Action::SchemaApply => "schema_apply",
            Action::BranchCreate => "branch_create",
            Action::BranchDelete => "branch_delete",
            Action::BranchMerge => "branch_merge",
            Action::InvokeQuery => "invoke_query",
            Action::Admin => "admin",
            Action::GraphList => "graph_list",
            Action::GraphCreate => "graph_create",
            Action::GraphDelete => "graph_delete",
        }
    }

    pub fn parse(name: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Is it about the server and not about one graph?
    pub fn is_server(self) -> bool {
        matches!(
            self,
            Action::GraphList | Action::GraphCreate | Action::GraphDelete
        )
    }

    /// The key that limits it to some branches; `None`: it concerns no branch.
    pub fn scope_key(self) -> Option<ScopeKey> {
        match self {
            Action::Read | Action::Export | Action::Change => Some(ScopeKey::Branch),
            Action::SchemaApply
            | Action::BranchCreate
            | Action::BranchDelete
            | Action::BranchMerge => Some(ScopeKey::Target),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
