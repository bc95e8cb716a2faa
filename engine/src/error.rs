//! The one error of the engine. Variants say what the caller can do next; fields carry the
//! facts, so that nobody has to read a message to decide.

use std::sync::Arc;

use crate::merge::MergeConflict;
use crate::ndjson::Mistakes;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The named thing does not exist.
    #[error("{kind} \"{name}\" does not exist")]
    NotFound { kind: ObjectKind, name: String },
    #[error("{kind} \"{name}\" already exists")]
    AlreadyExists { kind: ObjectKind, name: String },
    /// Somebody else wrote what this transaction wrote or relied on: run it again.
    #[error("could not serialize access to \"{table}\" due to a concurrent change")]
    Conflict {
        table: String,
        id: String,
        branch: String,
        expected: String,
        actual: String,
    },
    /// The data breaks a rule of the schema.
    #[error("{0}")]
    Constraint(Box<ConstraintViolation>),
    /// The input is malformed. `detail` may hold several lines.
    #[error("{message}")]
    Invalid {
        message: String,
        detail: Option<String>,
        hint: Option<String>,
    },
    /// Lines of an input that do not fit; nothing of it was written.
    #[error("the load was refused for {0}; nothing was written")]
    Lines(Box<Mistakes>),
    #[error("{message}")]
    Unsupported {
        message: String,
        hint: Option<String>,
    },
    #[error("{what} exceeds the limit of {limit} (is {actual})")]
    LimitExceeded {
        what: String,
        limit: u64,
        actual: u64,
    },
    /// The branch was deleted while this transaction wrote to it.
    #[error("branch \"{name}\" was deleted")]
    BranchDeleted { name: String },
    /// Vacuum has given it up.
    #[error("{what} is no longer kept")]
    Expired { what: String, hint: String },
    /// A branch holds commits that are nowhere else.
    #[error("branch \"{name}\" has commits that were not merged")]
    Unmerged { name: String },
    /// The two sides of a merge disagree, and a person decides; nothing was published.
    #[error("merging \"{source_branch}\" into \"{target}\" meets {}", counted(conflicts.len()))]
    MergeConflicts {
        source_branch: String,
        target: String,
        conflicts: Arc<[MergeConflict]>,
    },
    /// The store did not answer; nothing is known to have been published.
    #[error("the object store is unavailable: {message}")]
    Unavailable { message: String },
    /// The log entry was sent and its fate could not be learnt.
    #[error("the outcome of commit {commit} is not known")]
    OutcomeUnknown { commit: String },
    /// A file of a table is not there: vacuum removed it, or it was lost.
    #[error("a file of a table is missing: {message}")]
    Missing { message: String },
    /// A persisted object is damaged.
    #[error("{object} is damaged: {message}")]
    Corrupt { object: String, message: String },
    #[error("this graph is read-only: {reason}")]
    ReadOnly { reason: String },
    /// Whoever asks may not do it. Never raised by the engine, which knows nobody: it is the
    /// answer of those who let callers in.
    #[error("permission denied: {actor} may not {action}{on}")]
    Denied {
        actor: String,
        action: String,
        /// What it was about: ` on branch "main" of graph "knowledge"`, or nothing.
        on: String,
    },
    /// A place outside of the graph that may not be read from.
    #[error("{message}")]
    NotAllowed { message: String, hint: String },
    #[error("canceled")]
    Cancelled,
    #[error("internal error: {0}")]
    Internal(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    Graph,
    Branch,
    Tag,
    Commit,
    Ref,
    Type,
    Property,
    Savepoint,
}

impl std::fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ObjectKind::Graph => "graph",
            ObjectKind::Branch => "branch",
            ObjectKind::Tag => "tag",
            ObjectKind::Commit => "commit",
            ObjectKind::Ref => "ref",
            ObjectKind::Type => "type",
            ObjectKind::Property => "property",
            ObjectKind::Savepoint => "savepoint",
        })
    }
}

/// Which rule a row broke, with the names that PostgreSQL puts into the error's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConstraintViolation {
    pub kind: ConstraintKind,
    /// The SQL name of the table whose row is wrong.
    pub table: String,
    pub column: Option<String>,
    pub constraint: Option<String>,
    pub message: String,
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstraintKind {
    NotNull,
    Unique,
    ForeignKey,
    Check,
}

impl std::fmt::Display for ConstraintViolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConstraintViolation> for Error {
    fn from(violation: ConstraintViolation) -> Self {
        Error::Constraint(Box::new(violation))
    }
}

impl Error {
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::Invalid {
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    pub fn internal(message: impl std::fmt::Display) -> Self {
        Error::Internal(message.to_string())
    }

    pub fn not_found(kind: ObjectKind, name: impl Into<String>) -> Self {
        Error::NotFound {
            kind,
            name: name.into(),
        }
    }

    /// Would the same statement have a chance if it were run again on a new snapshot?
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::Conflict { .. })
    }
}

fn counted(conflicts: usize) -> String {
    match conflicts {
        1 => "a conflict".to_owned(),
        number => format!("{number} conflicts"),
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Error::internal(error)
    }
}
