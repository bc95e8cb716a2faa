//! What a table function is. One type per function implements [`TableFunction`]; the binder
//! resolves names, argument notation and defaults against what it declares, `pg_proc` and
//! `\df` show the same declarations, and nothing but [`TableFunction::call`] does any work.
//!
//! A function is called when a statement is executed, never when it is planned: Parse,
//! Describe and EXPLAIN do not run it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::access::GraphAccess;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::Snapshot;
use omnigraph_engine::names::{BranchName, CommitId};
use omnigraph_engine::schema::Schema;

use crate::error::Result;

pub trait TableFunction: Send + Sync + fmt::Debug {
    /// As SQL spells it, in lower case.
    fn name(&self) -> &'static str;

    /// In positional order. Those with a default come last; a variadic one is the very last.
    fn arguments(&self) -> &[Argument];

    /// The columns of the result. Most functions answer the same whatever they are given;
    /// one whose columns depend on an argument (a table's name) finds it in `constants`,
    /// one entry per argument, `None` where the value is not known before execution.
    fn columns(
        &self,
        constants: &[Option<ScalarValue>],
        schema: Option<&Schema>,
    ) -> Result<Vec<Column>>;

    /// One sentence, for `\df+`.
    fn description(&self) -> &'static str;

    fn effect(&self) -> Effect {
        Effect::Reads
    }

    /// How many rows to expect, for the planner; PostgreSQL's `prorows`.
    fn rows(&self) -> usize {
        1000
    }

    /// Can [`Call::bounds`] hold this comparison? Only if the result then has exactly the
    /// rows for which it is true, because the caller drops its own filter.
    fn takes_bound(&self, _column: &str, _comparison: Comparison) -> bool {
        false
    }

    /// Starts it. Rows come with the columns of [`Self::columns`], lazily; dropping the
    /// stream ends the work. It must not do I/O or long work before the first poll.
    fn call(&self, call: Call) -> Result<SendableRecordBatchStream>;
}

/// One execution of a function.
#[derive(Debug)]
pub struct Call {
    pub context: Arc<dyn FunctionContext>,
    /// The rows' schema: what [`TableFunction::columns`] answered when the call was bound.
    pub schema: arrow::datatypes::SchemaRef,
    /// One per declared argument, in its first type or another one that it lists, defaults
    /// filled in. A variadic argument arrives as one array.
    pub arguments: Vec<ScalarValue>,
    /// Conditions that hold for every row wanted, of those that the function takes.
    pub bounds: Vec<Bound>,
    /// No more rows than this are wanted; giving more is allowed.
    pub limit: Option<usize>,
    /// The only columns that are looked at; the others may be NULL. `None`: all are.
    pub wanted: Option<Vec<usize>>,
    /// The memory of statements, which a function that keeps much asks for it.
    pub memory: Arc<dyn MemoryPool>,
}

/// What a function sees of the session that calls it.
#[async_trait]
pub trait FunctionContext: Send + Sync + fmt::Debug {
    /// The graph, as the actor may use it.
    /// An error where there is none: the session is connected to the server itself.
    fn access(&self) -> Result<&GraphAccess>;

    /// What the statement reads of the session's branch, the transaction's own writes
    /// included: the same one however often it is asked for.
    async fn snapshot(&self) -> Result<Snapshot>;

    /// A function published a commit on a branch: whoever listens to commits is told.
    fn committed(&self, _branch: &BranchName, _commit: CommitId) {}

    /// The session's branch.
    fn branch(&self) -> &BranchName;

    /// What a reference names: `current` is what the statement reads, and a time is what the
    /// session's branch showed then.
    async fn resolve(&self, reference: &str) -> Result<Snapshot> {
        if reference == CURRENT {
            return self.snapshot().await;
        }
        Ok(self.access()?.snapshot_on(reference, self.branch()).await?)
    }
}

/// The reference that stands for what the statement reads.
pub const CURRENT: &str = "current";

/// Where an operator finds the context of the statement that it belongs to: the server puts
/// it into the configuration of the DataFusion session that runs the statement, as an extension.
#[derive(Debug, Clone)]
pub struct FunctionScope(pub Arc<dyn FunctionContext>);

#[derive(Debug, Clone)]
pub struct Argument {
    pub name: &'static str,
    /// The types it accepts. An untyped literal becomes the first one.
    pub types: Vec<PgType>,
    /// What an absent argument is; `None`: it must be given.
    pub default: Option<ScalarValue>,
    pub variadic: bool,
}

impl Argument {
    pub fn required(name: &'static str, types: &[PgType]) -> Self {
        Argument {
            name,
            types: types.to_vec(),
            default: None,
            variadic: false,
        }
    }

    pub fn optional(name: &'static str, ty: PgType, default: ScalarValue) -> Self {
        Argument {
            name,
            types: vec![ty],
            default: Some(default),
            variadic: false,
        }
    }

    /// The default as SQL text, as `pg_get_function_arguments` prints it: `'out'::text`.
    pub fn default_sql(&self) -> Option<String> {
        let default = self.default.as_ref()?;
        let ty = self.types.first().and_then(|ty| ty.info());
        Some(match default {
            null if null.is_null() => match ty {
                Some(ty) => format!("NULL::{}", ty.sql_name),
                None => "NULL".to_owned(),
            },
            ScalarValue::Utf8(Some(text)) => format!("'{}'::text", text.replace('\'', "''")),
            other => other.to_string(),
        })
    }
}

/// The signatures under which a function is listed in `pg_proc`: one for each type of the
/// argument that has most, the others repeating their last.
pub fn signatures(function: &dyn TableFunction) -> Vec<Vec<PgType>> {
    let arguments = function.arguments();
    let count = arguments
        .iter()
        .map(|argument| argument.types.len())
        .max()
        .unwrap_or(1);
    (0..count.max(1))
        .map(|i| {
            arguments
                .iter()
                .filter_map(|argument| argument.types.get(i).or(argument.types.last()).copied())
                .collect()
        })
        .collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub ty: PgType,
}

impl Column {
    pub fn new(name: impl Into<String>, ty: PgType) -> Self {
        Column {
            name: name.into(),
            ty,
        }
    }
}

/// The Arrow schema that rows of these columns have.
pub fn arrow_schema(columns: &[Column]) -> arrow::datatypes::SchemaRef {
    Arc::new(arrow::datatypes::Schema::new(
        columns
            .iter()
            .map(|column| arrow::datatypes::Field::new(&column.name, column.ty.arrow(), true))
            .collect::<Vec<_>>(),
    ))
}

/// `column comparison value`, the value never null.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    pub column: String,
    pub comparison: Comparison,
    pub value: ScalarValue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Equal => "=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Reads one snapshot; within a statement the same arguments give the same rows.
    Reads,
    /// Changes the graph: only as the whole of a statement, run once, at execution.
    Changes,
}
