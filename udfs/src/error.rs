//! What a function can say when it fails. What the engine says passes through unchanged.

use datafusion::error::DataFusionError;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// An argument has a value that the function cannot use (22023).
    #[error("{function}(): {message}")]
    Argument {
        function: &'static str,
        /// Which one, by its declared name, so that a caller can point at it.
        argument: &'static str,
        message: String,
        hint: Option<String>,
    },
    /// A null where the function needs a value (22004).
    #[error("{function}(): argument \"{argument}\" must not be null")]
    NullArgument {
        function: &'static str,
        argument: &'static str,
    },
    /// A value that a function or operator cannot work on, under PostgreSQL's own code.
    #[error("{message}")]
    Value {
        code: &'static str,
        message: String,
        hint: Option<String>,
    },
    #[error(transparent)]
    Engine(#[from] omnigraph_engine::Error),
}

impl Error {
    pub fn value(code: &'static str, message: impl Into<String>) -> Self {
        Error::Value {
            code,
            message: message.into(),
            hint: None,
        }
    }
}

impl Error {
    /// The argument that it is about.
    pub fn argument(&self) -> Option<&'static str> {
        match self {
            Error::Argument { argument, .. } | Error::NullArgument { argument, .. } => {
                Some(argument)
            }
            Error::Value { .. } | Error::Engine(_) => None,
        }
    }
}

impl From<Error> for DataFusionError {
    /// Crosses DataFusion whole; the server finds it again by its type. An engine error
    /// crosses as itself, so that nobody has to look inside of ours.
    fn from(error: Error) -> Self {
        match error {
            Error::Engine(inner) => DataFusionError::External(Box::new(inner)),
            other => DataFusionError::External(Box::new(other)),
        }
    }
}
