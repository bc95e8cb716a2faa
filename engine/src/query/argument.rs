//! The values of a query's parameters, out of one JSON object.

use std::fmt;

use arrow::array::ArrayRef;

use super::Parameter;
use crate::ndjson::{Cell, ColumnBuilder, JsonKind, Refusal, Scanner};

/// Why a query cannot run with what it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadArgument {
    /// The text is no JSON object.
    Malformed(String),
    /// A required parameter was left out or is null.
    Missing {
        parameter: String,
        ty: String,
    },
    Unsuitable {
        parameter: String,
        reason: String,
    },
    /// The query has no such parameter.
    Unknown(String),
}

impl fmt::Display for BadArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadArgument::Malformed(reason) => {
                write!(f, "the parameters are not a JSON object: {reason}")
            }
            BadArgument::Missing { parameter, ty } => {
                write!(f, "the parameter ${parameter} of type {ty} is required")
            }
            BadArgument::Unsuitable { parameter, reason } => {
                write!(f, "the parameter ${parameter}: {reason}")
            }
            BadArgument::Unknown(parameter) => {
                write!(f, "the query has no parameter ${parameter}")
            }
        }
    }
}

impl std::error::Error for BadArgument {}

impl From<String> for BadArgument {
    fn from(reason: String) -> Self {
        BadArgument::Malformed(reason)
    }
}

/// What a URI may be in the place of the bytes of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobUris {
    /// What the row that it is stored in is to have: blobs are values of [`crate::blob`].
    Taken,
    /// An error: blobs are bytes.
    Refused,
}

/// One array of one value for each parameter, in their order and of the types that the engine
/// has them in.
pub fn arguments(
    json: &str,
    parameters: &[Parameter],
    uris: BlobUris,
) -> Result<Vec<ArrayRef>, BadArgument> {
    let mut cells: Vec<Option<Cell<'_>>> = vec![None; parameters.len()];
    let mut scanner = Scanner::new(json);
    scanner.expect(b'{')?;
    if !scanner.eat(b'}') {
        loop {
            if scanner.kind()? != JsonKind::String {
                return Err(BadArgument::Malformed("a name is expected".to_owned()));
            }
            let name = scanner.string()?;
            scanner.expect(b':')?;
            let Some(at) = parameters
                .iter()
                .position(|parameter| parameter.name == name)
            else {
                return Err(BadArgument::Unknown(name.into_owned()));
            };
            let cell = Cell::read(&mut scanner, &parameters[at].ty);
            let cell = match uris {
                BlobUris::Taken => cell,
                BlobUris::Refused => cell.and_then(Cell::held),
            };
            let cell = cell.map_err(|refusal| match refusal {
                Refusal::Malformed(reason) => BadArgument::Malformed(reason),
                Refusal::Unsuitable(reason) => BadArgument::Unsuitable {
                    parameter: parameters[at].name.clone(),
                    reason,
                },
            })?;
            if cells[at].replace(cell).is_some() {
                let reason = format!("\"{name}\" is given twice");
                return Err(BadArgument::Malformed(reason));
            }
            if !scanner.eat(b',') {
                break;
            }
        }
        scanner.expect(b'}')?;
    }
    scanner.end()?;
    let mut values = Vec::with_capacity(parameters.len());
    for (parameter, cell) in parameters.iter().zip(cells) {
        let cell = cell.unwrap_or(Cell::Absent);
        if !parameter.nullable && matches!(cell, Cell::Absent | Cell::Null) {
            return Err(BadArgument::Missing {
                parameter: parameter.name.clone(),
                ty: parameter.ty.to_string(),
            });
        }
        let mut column = match uris {
            BlobUris::Taken => ColumnBuilder::of_rows(&parameter.ty),
            BlobUris::Refused => ColumnBuilder::new(&parameter.ty),
        };
        column.append(&cell);
        let value = column.finish();
        values.push(value.map_err(|error| BadArgument::Malformed(error.to_string()))?);
    }
    Ok(values)
}
