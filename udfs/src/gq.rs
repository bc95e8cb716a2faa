//! `gq(query text, params json DEFAULT '{}')` → the columns of the query, or
//! `affected_nodes int8, affected_edges int8, commit text`
//!
//! Runs one query of the `.gq` language on the session's branch. `query` is a constant; its
//! columns have the names that its `return` gives them and SQL's types. `params` is a JSON
//! object with a member for each parameter `$name`; one whose type ends in `?` may be left out. A
//! Blob is `base64:…`, or for a query that changes the graph a URI whose bytes may be read.
//!
//! A query that changes the graph is one commit, and runs only as the whole of
//! `SELECT * FROM gq(…)` or `CALL gq(…)`. Inside of a transaction block it is part of the
//! block's commit, and `commit` is NULL.
//!
//! Errors: 42601, 42P01, 42703, 42804 and 42P02 for a query that is wrong, with the place and a
//! caret in the detail; 22023 for parameters that are missing, unknown or unsuitable.
//!
//! ```sql
//! SELECT * FROM gq($$ query friends($of: String) {
//!   match { $p: Person { slug: $of }  $p knows $f }
//!   return { $f.name as name }
//! } $$, '{"of": "ada"}');
//! ```

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, Volatility};
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::provider::to_sql;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::blob::VALUE_TYPE;
use omnigraph_engine::query::{self, BlobUris, Parameter};
use omnigraph_engine::schema::{PropertyType, Scalar, Schema};

use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, TableFunction};
use crate::pg::function::PgFunction;

const INVALID_PARAMETER_VALUE: &str = "22023";

/// What `gq` declares. Binding makes a plan of the query, so it is never called.
#[derive(Debug)]
pub struct Gq {
    arguments: Vec<Argument>,
}

impl Gq {
    pub const NAME: &'static str = "gq";

    pub fn new() -> Self {
        Gq {
            arguments: vec![
                Argument::required("query", &[PgType::TEXT]),
                Argument::optional("params", PgType::JSON, ScalarValue::from("{}")),
            ],
        }
    }
}

impl Default for Gq {
    fn default() -> Self {
        Gq::new()
    }
}

impl TableFunction for Gq {
    fn name(&self) -> &'static str {
        Gq::NAME
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn columns(
        &self,
        _constants: &[Option<ScalarValue>],
        _schema: Option<&Schema>,
    ) -> Result<Vec<Column>> {
        Ok(Vec::new())
    }

    fn description(&self) -> &'static str {
        "the rows of one query of the .gq language"
    }

    fn call(&self, _call: Call) -> Result<SendableRecordBatchStream> {
        Err(Error::Engine(omnigraph_engine::Error::internal(
            "gq() was called instead of being bound",
        )))
    }
}

/// What a query asks for.
#[derive(Debug, Clone)]
pub struct Parameters {
    pub all: Arc<Vec<Parameter>>,
    /// Of each, the type that SQL knows it by.
    pub types: Arc<Vec<PgType>>,
    pub uris: BlobUris,
}

impl Parameters {
    /// Their values in SQL's types, out of a JSON object; blobs that may be URIs as values.
    pub fn values(&self, json: &str) -> Result<Vec<ArrayRef>> {
        let values = query::arguments(json, &self.all, self.uris)
            .map_err(|error| Error::value(INVALID_PARAMETER_VALUE, error.to_string()))?;
        let values = values.iter().zip(self.types.iter());
        values
            .map(|(value, ty)| match *value.data_type() {
                VALUE_TYPE => Ok(value.clone()),
                _ => Ok(to_sql(value, &ty.arrow())?),
            })
            .collect()
    }

    /// Whether the one at a place is a value of a blob, and not its bytes.
    pub fn is_blob_value(&self, at: usize) -> bool {
        let blob = PropertyType::Scalar(Scalar::Blob);
        self.uris == BlobUris::Taken && self.all.get(at).is_some_and(|one| one.ty == blob)
    }

    /// The value of the one at a place, where they come with the execution.
    pub fn value(&self, at: usize, json: Expr) -> Expr {
        let returns = match self.is_blob_value(at) {
            true => VALUE_TYPE,
            false => self.types.get(at).copied().unwrap_or(PgType::TEXT).arrow(),
        };
        self.over_values("gq_parameter", at, returns, json, move |values| {
            values.get(at).cloned().ok_or_else(|| {
                Error::Engine(omnigraph_engine::Error::internal(
                    "a parameter without a value",
                ))
            })
        })
    }

    /// True, or an error if they do not suit: also where none of them is looked at.
    pub fn check(&self, json: Expr) -> Expr {
        self.over_values("gq_check", 0, DataType::Boolean, json, |_| {
            Ok(Arc::new(BooleanArray::from(vec![true])))
        })
    }

    fn over_values(
        &self,
        name: &str,
        at: usize,
        returns: DataType,
        json: Expr,
        read: impl Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Expr {
        let identity = format!("{at} of {:?}, {:?}", self.all, self.uris);
        let parameters = self.clone();
        // It is over constants: there is one row.
        let body = move |arrays: &[ArrayRef], _: usize| {
            let json = arrays.first().and_then(|json| json.as_string_opt::<i32>());
            let text = match json {
                Some(json) if json.is_valid(0) => json.value(0),
                _ => "{}",
            };
            read(&parameters.values(text)?)
        };
        PgFunction::new(name, returns, Volatility::Immutable, Arc::new(body))
            .identity(identity)
            .lenient()
            .over(vec![json])
    }
}

/// A required parameter that was left out or is NULL.
pub fn missing(parameter: &str) -> Error {
    Error::value(
        INVALID_PARAMETER_VALUE,
        format!("the parameter ${parameter} is required"),
    )
}

/// True, or an error if one of these parameters is NULL.
pub fn check_given(parameters: Vec<(String, Expr)>) -> Expr {
    let (names, values): (Vec<String>, Vec<Expr>) = parameters.into_iter().unzip();
    let identity = names.join(" ");
    let body = move |arrays: &[ArrayRef], rows: usize| -> Result<ArrayRef> {
        match names
            .iter()
            .zip(arrays)
            .find(|(_, array)| array.null_count() > 0)
        {
            Some((name, _)) => Err(missing(name)),
            None => Ok(Arc::new(BooleanArray::from(vec![true; rows]))),
        }
    };
    PgFunction::new(
        "gq_given",
        PgType::BOOL.arrow(),
        Volatility::Immutable,
        Arc::new(body),
    )
    .identity(identity)
    .lenient()
    .over(values)
}
