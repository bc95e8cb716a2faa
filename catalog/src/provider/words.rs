//! Conditions on the words of a text, of which a scan knows that an inverted index finds the
//! rows that they may be true of.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion::physical_expr::create_physical_expr;
use datafusion::scalar::ScalarValue;
use omnigraph_engine::schema::{PropertyType, Scalar, TypeDef};
use omnigraph_engine::search::{Analyzer, Candidates};

/// What a text must have for the condition to be true of it, given the arguments that follow
/// the text; `None`: nothing that an index could tell.
pub type Wanted = fn(Analyzer, &[ScalarValue]) -> Option<Candidates>;

/// A function of a text and constants that is true of no text without the words it wants.
pub struct WordCondition {
    function: Arc<ScalarUDF>,
    analyzer: Analyzer,
    wanted: Wanted,
}

impl WordCondition {
    /// The call of `function`, whose first argument is the text.
    pub fn over(function: ScalarUDF, analyzer: Analyzer, wanted: Wanted, args: Vec<Expr>) -> Expr {
        let condition = WordCondition {
            function: Arc::new(function),
            analyzer,
            wanted,
        };
        Expr::ScalarFunction(ScalarFunction::new_udf(
            Arc::new(ScalarUDF::from(condition)),
            args,
        ))
    }
}

/// The rows that a scan looks up by their words.
#[derive(Debug, Clone)]
pub struct WordLookup {
    pub column: usize,
    pub analyzer: Analyzer,
    pub wanted: Candidates,
}

/// What to look up for a filter over one table.
pub(super) fn lookup(def: &TypeDef, schema: &SchemaRef, filter: &Expr) -> Option<WordLookup> {
    let Expr::ScalarFunction(call) = filter else {
        return None;
    };
    let condition = call.func.inner().downcast_ref::<WordCondition>()?;
    let (text, constants) = call.args.split_first()?;
    let Expr::Column(column) = text else {
        return None;
    };
    let column = schema.index_of(&column.name).ok()?;
    if !is_text(def, column) {
        return None;
    }
    let constants: Vec<ScalarValue> = constants.iter().map(constant).collect::<Option<_>>()?;
    if constants.iter().any(ScalarValue::is_null) {
        return None;
    }
    Some(WordLookup {
        column,
        analyzer: condition.analyzer,
        wanted: (condition.wanted)(condition.analyzer, &constants)?,
    })
}

/// Is the column one of texts, whose indexes are kept?
fn is_text(def: &TypeDef, column: usize) -> bool {
    let mut properties = def.properties.iter().enumerate();
    properties.any(|(at, property)| {
        def.property_column(at) == column
            && matches!(
                property.ty,
                PropertyType::Scalar(Scalar::String) | PropertyType::Enum(_)
            )
    })
}

/// The value of an expression that looks at no column.
fn constant(expr: &Expr) -> Option<ScalarValue> {
    if let Expr::Literal(value, _) = expr {
        return Some(value.clone());
    }
    let physical = create_physical_expr(expr, &DFSchema::empty(), &ExecutionProps::new()).ok()?;
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one);
    match physical.evaluate(&row.ok()?).ok()? {
        ColumnarValue::Scalar(value) => Some(value),
        ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0).ok(),
    }
}

impl fmt::Debug for WordCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WordCondition")
            .field("function", &self.function)
            .field("analyzer", &self.analyzer)
            .finish_non_exhaustive()
    }
}

impl PartialEq for WordCondition {
    fn eq(&self, other: &Self) -> bool {
        self.function == other.function && self.analyzer == other.analyzer
    }
}

impl Eq for WordCondition {}

impl Hash for WordCondition {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.hash(state);
        self.analyzer.hash(state);
    }
}

impl ScalarUDFImpl for WordCondition {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> DfResult<DataType> {
        self.function.inner().return_type(arg_types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        self.function.inner().invoke_with_args(args)
    }
}
