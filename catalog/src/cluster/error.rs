//! Why a command on a cluster stopped.

use omnigraph_engine::error::Error as EngineError;

use crate::diagnostic::Diagnostic;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is wrong, with its code and what to do about it.
    #[error("{0}")]
    Refused(Box<Diagnostic>),
    /// The declared files have mistakes: all of them.
    #[error("the declared files have mistakes")]
    Invalid(Vec<Diagnostic>),
    /// Somebody else wrote the ledger first.
    #[error("the ledger's revision {revision} was written by somebody else meanwhile")]
    Lost { revision: u64 },
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<Diagnostic> for Error {
    fn from(diagnostic: Diagnostic) -> Self {
        Error::Refused(Box::new(diagnostic))
    }
}
