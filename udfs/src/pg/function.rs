//! One DataFusion function for all of PostgreSQL's: a body over arrays, its result type, and
//! what identifies it. The binder makes one for each call, with the types it has resolved.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::datatypes::DataType;
use datafusion::common::{Result as DfResult, ScalarValue, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::Result;

/// Arrays of equal length in, an array of that length out.
pub type Body = Arc<dyn Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync>;

/// What a function makes of NULL arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strictness {
    /// NULL if any argument is; the body may still be shown rows with NULLs.
    Strict,
    /// The body decides.
    Lenient,
}

pub struct PgFunction {
    name: String,
    /// Two calls with equal name, identity, type and arguments are the same value.
    identity: String,
    returns: DataType,
    strictness: Strictness,
    signature: Signature,
    body: Body,
}

impl PgFunction {
    pub fn new(
        name: impl Into<String>,
        returns: DataType,
        volatility: Volatility,
        body: Body,
    ) -> Self {
        PgFunction {
            name: name.into(),
            identity: String::new(),
            returns,
            strictness: Strictness::Strict,
            signature: Signature::variadic_any(volatility),
            body,
        }
    }

    /// What else the body closes over: a time zone, a type.
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = identity.into();
        self
    }

    /// What [`PgFunction::identity`] was given.
    pub fn closes_over(&self) -> &str {
        &self.identity
    }

    pub fn lenient(mut self) -> Self {
        self.strictness = Strictness::Lenient;
        self
    }

    pub fn over(mut self, args: Vec<Expr>) -> Expr {
        if args.is_empty() {
            self.signature = Signature::nullary(self.signature.volatility);
        }
        Expr::ScalarFunction(ScalarFunction::new_udf(
            Arc::new(ScalarUDF::from(self)),
            args,
        ))
    }
}

/// A strict, immutable function over the arguments.
pub fn call(
    name: &str,
    returns: DataType,
    args: Vec<Expr>,
    body: fn(&[ArrayRef]) -> Result<ArrayRef>,
) -> Expr {
    PgFunction::new(
        name,
        returns,
        Volatility::Immutable,
        Arc::new(move |arrays, _| body(arrays)),
    )
    .over(args)
}

/// As [`call`], for a body that closes over `identity`.
pub fn call_with(
    name: &str,
    identity: impl Into<String>,
    returns: DataType,
    args: Vec<Expr>,
    body: impl Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync + 'static,
) -> Expr {
    PgFunction::new(
        name,
        returns,
        Volatility::Immutable,
        Arc::new(move |arrays, _| body(arrays)),
    )
    .identity(identity)
    .over(args)
}

/// The rows in which no argument is NULL, in order: `each` is called for these and the others
/// are NULL in what `collect`s.
pub fn rows<T, C>(arrays: &[ArrayRef], each: impl Fn(usize) -> Result<Option<T>>) -> Result<C>
where
    C: FromIterator<Option<T>>,
{
    let count = arrays.first().map_or(0, |array| array.len());
    (0..count)
        .map(|row| {
            if arrays.iter().any(|array| array.is_null(row)) {
                Ok(None)
            } else {
                each(row)
            }
        })
        .collect()
}

impl fmt::Debug for PgFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgFunction")
            .field("name", &self.name)
            .field("identity", &self.identity)
            .field("returns", &self.returns)
            .finish()
    }
}

impl PartialEq for PgFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.identity == other.identity && self.returns == other.returns
    }
}

impl Eq for PgFunction {}

impl Hash for PgFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.identity.hash(state);
        self.returns.hash(state);
    }
}

impl ScalarUDFImpl for PgFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> DfResult<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let constant = self.signature.volatility != Volatility::Volatile
            && args
                .args
                .iter()
                .all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let count = if constant { 1 } else { args.number_rows };
        if self.strictness == Strictness::Strict
            && args
                .args
                .iter()
                .any(|arg| matches!(arg, ColumnarValue::Scalar(value) if value.is_null()))
        {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from(&self.returns)?));
        }
        let arrays: Vec<ArrayRef> = args
            .args
            .iter()
            .map(|arg| arg.to_array(count))
            .collect::<DfResult<_>>()?;
        // DataFusion asks what a predicate makes of columns that are nothing but NULL.
        if arrays
            .iter()
            .any(|array| array.data_type() == &DataType::Null)
        {
            return match self.strictness {
                Strictness::Strict => {
                    Ok(ColumnarValue::Scalar(ScalarValue::try_from(&self.returns)?))
                }
                Strictness::Lenient => {
                    exec_err!("{} is not for arguments without a type", self.name)
                }
            };
        }
        let result = if count == 0 {
            new_null_array(&self.returns, 0)
        } else {
            (self.body)(&arrays, count)?
        };
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                &result, 0,
            )?));
        }
        Ok(ColumnarValue::Array(result))
    }
}
