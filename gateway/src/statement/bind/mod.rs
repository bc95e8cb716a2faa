//! The PostgreSQL binder: a syntax tree becomes a DataFusion plan with PostgreSQL's meaning.
//!
//! Names, operators, functions, casts, literals and parameters are resolved here by PostgreSQL's
//! rules, from the tables in [`catalog`], and nowhere else. The plan that comes out is fully
//! typed: every cast is written out, so it runs in a session without DataFusion's type
//! coercion, which [`context::session_state`] makes. Columns have internal names (`c17`); what
//! users call them and what PostgreSQL types they have is in [`BoundQuery::columns`].
//!
//! A bound statement holds for the catalog, search path and text settings it was bound in: bind
//! again when one of them has changed. Times (`now()`) are hidden parameters, filled in by
//! [`BoundQuery::with_params`] at each execution.

mod access;
mod acl_functions;
mod aggregates;
mod apply;
mod apply_exec;
mod call;
mod call_in_words;
mod called_alone;
pub mod catalog;
mod catalog_functions;
mod catalog_sets;
mod coerce;
mod column;
pub mod context;
mod datetime;
mod datetime_fields;
mod datetime_make;
mod datetime_overlaps;
mod decorrelate;
mod dml;
mod expr;
mod from;
mod from_function;
mod function_body;
mod function_scan;
mod functions;
mod gq;
mod graph_table;
mod group_by;
mod join;
mod json_record;
mod json_value;
mod lateral;
mod list_aggregates;
mod literal;
mod lock_rows;
mod locking;
mod membership;
mod merge;
mod naming;
mod numeric_functions;
mod object_functions;
mod object_names;
mod operation;
mod operators;
mod order_by;
mod privileges;
mod query;
mod resolve;
mod row_limit;
mod sample;
mod scope;
mod select;
mod session_functions;
mod set_function;
mod set_operation;
mod snapshot_functions;
mod special_form;
mod subquery;
mod support_functions;
mod system_time;
mod table;
mod target_list;
mod text_io;
mod to_char;
mod to_number;
mod typed;
mod types;
mod values;
mod windows;
mod with;
mod writing_with;

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::{InList, Placeholder};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_expr::create_physical_expr;
use omnigraph_catalog::access::Action;
use omnigraph_catalog::lookup::{CatalogLookup, SearchPath};
use omnigraph_catalog::types::PgType;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::{Schema, TypeId};
use omnigraph_udfs::TableFunction;
use sqlparser::ast;

use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::{ParsedStatement, Positions, Statement};
use crate::text::TextFormat;
use coerce::{Context, positioned};
use expr::Ctx;
use scope::{Level, Scope};
use text_io::TextIo;
use typed::Typed;

pub use gq::BoundChanges;
pub use object_names::CatalogNames;
pub use subquery::Subqueries;
pub(crate) use writing_with::writes;
pub use writing_with::{BoundWith, WritingPart, Written};

/// What names mean to one statement: its session, frozen while the statement is bound.
pub trait Environment: Send + Sync {
    /// A table or catalog relation. Without a schema the search path decides; `public` stands
    /// for the session's branch. `None`: no such relation; an error for one that may not be
    /// used or a schema that is another graph's.
    fn relation(&self, schema: Option<&str>, name: &str) -> PgResult<Option<Relation>>;

    /// As [`Self::relation`], for a table of a branch in the state that `reference` names.
    fn relation_as_of(
        &self,
        schema: Option<&str>,
        name: &str,
        reference: &str,
    ) -> PgResult<Option<Relation>>;

    /// What `now()` says, in microseconds since 1970.
    fn transaction_time(&self) -> i64;

    fn table_function(&self, schema: Option<&str>, name: &str) -> Option<Arc<dyn TableFunction>>;

    /// The schema of the graph as the session's branch has it, for functions whose columns
    /// depend on it.
    fn graph_schema(&self) -> Option<Arc<Schema>>;

    /// The branch that a schema is, with its graph's schema; without a name the session's own.
    fn graph(&self, _schema: Option<&str>) -> PgResult<Option<(BranchName, Arc<Schema>)>> {
        Ok(None)
    }

    fn catalog(&self) -> Arc<dyn CatalogLookup>;

    fn search_path(&self) -> SearchPath;

    /// The graph's id.
    fn database(&self) -> String;

    fn user(&self) -> String;

    fn text_format(&self) -> TextFormat;

    /// What functions do to the session when the statement runs.
    fn session(&self) -> Arc<dyn SessionCalls>;
}

/// What `set_config`, `pg_cancel_backend` and their kind do, when the statement runs.
pub trait SessionCalls: Send + Sync + fmt::Debug {
    /// `None`: there is no such setting.
    fn setting(&self, name: &str) -> Option<String>;

    /// Answers the value as `SHOW` would print it. `None` sets the default.
    fn set_config(&self, name: &str, value: Option<&str>, local: bool) -> PgResult<String>;

    /// An error once the running statement has to stop, for functions that take their time.
    fn check_interrupt(&self) -> PgResult<()>;

    /// This connection's process id.
    fn backend_pid(&self) -> i32;

    /// Who it is.
    fn user(&self) -> String;

    /// Would policy let an actor do this, to the graph or one of its branches?
    fn may(&self, actor: &str, action: Action, branch: Option<&str>) -> bool;

    /// So many numbers in [0, 1).
    fn random(&self, count: usize) -> Vec<f64>;

    /// `setseed`.
    fn seed_random(&self, seed: f64);

    fn cancel_backend(&self, pid: i32) -> PgResult<bool>;

    fn terminate_backend(&self, pid: i32) -> PgResult<bool>;

    /// The channels that it listens to.
    fn listening(&self) -> Vec<String>;

    /// `pg_notify`.
    fn notify(&self, channel: &str, payload: &str) -> PgResult<()>;

    /// Takes an advisory lock if it is free now.
    fn try_advisory_lock(&self, key: i64, shared: bool, of_transaction: bool) -> PgResult<bool>;

    /// Waits for an advisory lock; it blocks the thread.
    fn advisory_lock(&self, key: i64, shared: bool, of_transaction: bool) -> PgResult<()>;

    /// The sessions that keep another one waiting for an advisory lock.
    fn blocking_pids(&self, pid: i32) -> Vec<i32>;

    /// The number of the transaction that began at this time; it gets one now if it has none.
    fn transaction_id(&self, started_at: i64) -> i64;

    fn assigned_transaction_id(&self, started_at: i64) -> Option<i64>;

    /// The number that the next transaction to ask for one will get.
    fn next_transaction_id(&self) -> i64;

    fn advisory_unlock(&self, key: i64, shared: bool) -> PgResult<bool>;

    fn advisory_unlock_all(&self) -> PgResult<()>;
}

/// A relation that a statement names.
#[derive(Debug, Clone)]
pub struct Relation {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    /// In the order and of the Arrow types (`ty.arrow()`) of the provider's schema.
    pub columns: Vec<RelationColumn>,
    pub provider: Arc<dyn TableProvider>,
    pub kind: RelationKind,
}

#[derive(Debug, Clone)]
pub struct RelationColumn {
    pub name: String,
    pub ty: PgType,
    pub not_null: bool,
    pub attnum: i16,
    pub has_default: bool,
    /// GENERATED ALWAYS: `id` of a keyed node.
    pub generated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// A node type or an edge type of a branch: it may be written.
    Node(TypeId),
    Edge(TypeId),
    /// Of pg_catalog, information_schema or omnigraph.
    Catalog,
}

/// A column of a result, for RowDescription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    pub name: String,
    pub ty: PgType,
    /// The table it is a column of, unchanged; 0: none.
    pub table_oid: u32,
    pub attnum: i16,
}

/// A table that a statement reads or writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableUse {
    /// The reference that says when, for a table that is read as it was.
    pub at: Option<Arc<str>>,
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub kind: RelationKind,
}

#[derive(Debug, Clone)]
pub struct BoundQuery {
    /// Its output columns are `columns`, in order; field names are internal.
    pub plan: LogicalPlan,
    pub columns: Vec<OutputColumn>,
    /// By number; a cast of the client's value to its Arrow type is what the plan expects.
    pub params: Vec<PgType>,
    pub reads: Vec<TableUse>,
    /// Something in it must run exactly once for each execution.
    pub volatile: bool,
    /// The branches whose rows it locks: `SELECT … FOR UPDATE` and its kind.
    pub locks: Vec<BranchName>,
    /// The whole of the statement is one call of a function that changes the graph.
    pub changes: bool,
}

#[derive(Debug, Clone)]
pub struct BoundInsert {
    pub target: Relation,
    /// The target's columns (indexes into `target.columns`) that `source` yields, in order. The
    /// others take their defaults.
    pub columns: Vec<usize>,
    /// For each column of `source`: rows (by number) that said DEFAULT, when there are any.
    /// The plan yields NULL there.
    pub defaults: Vec<InsertDefault>,
    pub source: LogicalPlan,
    pub on_conflict: Option<OnConflict>,
    pub returning: Option<Returning>,
    pub params: Vec<PgType>,
    pub reads: Vec<TableUse>,
    pub volatile: bool,
}

/// `INSERT … VALUES (DEFAULT, …)`: this column of these rows takes its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsertDefault {
    /// Index into the source's columns.
    pub column: usize,
    /// Numbers of the rows in the order of VALUES, from 0.
    pub rows: Vec<usize>,
}

#[derive(Debug, Clone)]
pub struct OnConflict {
    /// Indexes into the target's columns; `None`: any unique constraint.
    pub target: Option<ConflictTarget>,
    pub action: OnConflictAction,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConflictTarget {
    /// Indexes into the target's columns, sorted.
    Columns(Vec<usize>),
    Constraint(String),
}

#[derive(Debug, Clone)]
pub enum OnConflictAction {
    DoNothing,
    /// The whole row, whatever it was.
    Replace,
    /// Expressions over the row that is there (columns `t0`, `t1`, … in the target's order)
    /// and the row that was to be inserted (`x0`, `x1`, …).
    DoUpdate {
        assignments: Vec<(usize, Expr)>,
        condition: Option<Expr>,
        /// Whose answers are columns of the expressions.
        subqueries: Subqueries,
    },
}

/// Expressions over the target's columns after the change (`t0`, `t1`, …; for DELETE the row
/// that was) and, behind them, the columns of FROM/USING as `source` yields them.
#[derive(Debug, Clone)]
pub struct Returning {
    pub exprs: Vec<Expr>,
    /// Whose answers are columns of the expressions.
    pub subqueries: Subqueries,
    pub columns: Vec<OutputColumn>,
}

#[derive(Debug, Clone)]
pub struct BoundUpdate {
    pub target: Relation,
    /// The target's columns that are assigned, in order.
    pub assigned: Vec<usize>,
    /// The old row in full (`t0`, `t1`, …), one column for each assigned column (`n0`, `n1`, …),
    /// then what RETURNING needs of FROM. One target row may occur several times; the first
    /// occurrence counts, as in PostgreSQL.
    pub source: LogicalPlan,
    /// `SET column = DEFAULT`: indexes into `assigned`; the plan yields NULL there.
    pub defaults: Vec<usize>,
    pub returning: Option<Returning>,
    pub params: Vec<PgType>,
    pub reads: Vec<TableUse>,
    pub volatile: bool,
}

#[derive(Debug, Clone)]
pub struct BoundDelete {
    pub target: Relation,
    /// The old row in full (`t0`, `t1`, …), then what RETURNING needs of USING. One target row
    /// may occur several times.
    pub source: LogicalPlan,
    pub returning: Option<Returning>,
    pub params: Vec<PgType>,
    pub reads: Vec<TableUse>,
    pub volatile: bool,
}

#[derive(Debug, Clone)]
pub struct BoundMerge {
    pub target: Relation,
    /// The target's old row (`t0`, `t1`, …; NULL where the source's row matches none), the
    /// number of the action, and the values for the target's columns (`n0`, `n1`, …).
    pub source: LogicalPlan,
    pub actions: Vec<MergeAction>,
    pub params: Vec<PgType>,
    pub reads: Vec<TableUse>,
}

/// What a WHEN clause does. Columns are indexes into the target's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeAction {
    Update {
        columns: Vec<usize>,
        defaults: Vec<usize>,
    },
    Delete,
    /// The other columns take their defaults.
    Insert {
        columns: Vec<usize>,
    },
    Nothing,
}

#[derive(Debug, Clone)]
pub enum Bound {
    Query(BoundQuery),
    Insert(Box<BoundInsert>),
    Update(Box<BoundUpdate>),
    Delete(Box<BoundDelete>),
    Merge(Box<BoundMerge>),
    With(Box<BoundWith>),
    Changes(Box<BoundChanges>),
}

impl Bound {
    /// The columns of its rows, if it gives rows.
    pub fn returning(&self) -> Option<&[OutputColumn]> {
        let returning = match self {
            Bound::Query(query) => return Some(&query.columns),
            Bound::Changes(changes) => return Some(&changes.columns),
            Bound::Insert(insert) => &insert.returning,
            Bound::Update(update) => &update.returning,
            Bound::Delete(delete) => &delete.returning,
            Bound::Merge(_) => return None,
            Bound::With(with) => return with.last.returning(),
        };
        returning
            .as_ref()
            .map(|returning| returning.columns.as_slice())
    }

    pub fn params(&self) -> &[PgType] {
        match self {
            Bound::Query(query) => &query.params,
            Bound::Insert(insert) => &insert.params,
            Bound::Update(update) => &update.params,
            Bound::Delete(delete) => &delete.params,
            Bound::Merge(merge) => &merge.params,
            Bound::With(with) => &with.params,
            Bound::Changes(changes) => &changes.params,
        }
    }

    /// What it reads beside the table it writes.
    pub fn reads(&self) -> &[TableUse] {
        match self {
            Bound::Query(query) => &query.reads,
            Bound::Insert(insert) => &insert.reads,
            Bound::Update(update) => &update.reads,
            Bound::Delete(delete) => &delete.reads,
            Bound::Merge(merge) => &merge.reads,
            Bound::With(with) => &with.reads,
            Bound::Changes(changes) => &changes.reads,
        }
    }

    /// The tables that it writes, in the order in which it does.
    pub fn targets(&self) -> Vec<&Relation> {
        match self {
            Bound::Query(_) => Vec::new(),
            Bound::Insert(insert) => vec![&insert.target],
            Bound::Update(update) => vec![&update.target],
            Bound::Delete(delete) => vec![&delete.target],
            Bound::Merge(merge) => vec![&merge.target],
            Bound::Changes(changes) => {
                let steps = changes.steps.iter();
                steps.flat_map(Bound::targets).collect()
            }
            Bound::With(with) => {
                let parts = with.parts.iter().map(|part| &part.write);
                parts
                    .chain([&with.last])
                    .flat_map(|bound| bound.targets())
                    .collect()
            }
        }
    }
}

/// The values that stay open in a plan until it is executed.
#[derive(Debug, Clone, Copy)]
pub struct Execution<'a> {
    pub params: &'a [ScalarValue],
    /// Microseconds since 1970, UTC: the transaction's start, which is what `now()` says.
    pub transaction_time: i64,
    /// When the statement arrived.
    pub statement_time: i64,
}

/// Binds a query or a DML statement. `declared` are the parameter types the client sent, 0
/// where it said nothing; they win over what the context says.
pub fn bind(
    statement: &ParsedStatement,
    environment: &dyn Environment,
    declared: &[u32],
) -> PgResult<Bound> {
    let mut binder = Binder::new(
        environment,
        Arc::clone(&statement.positions),
        &statement.text,
    );
    binder.params = declared
        .iter()
        .map(|oid| (*oid != 0 && *oid != PgType::UNKNOWN.oid).then(|| PgType::new(*oid)))
        .collect();
    if !matches!(statement.statement, Statement::Query(_)) {
        // A query in it is not the whole of the statement.
        binder.depth = 1;
    }
    let bound = match &statement.statement {
        Statement::Query(query) => match binder.gq_changes(query)? {
            Some(changes) => Ok(Bound::Changes(Box::new(changes))),
            None => binder.bind_query(query).map(Bound::Query),
        },
        Statement::Insert(insert) => binder
            .insert(insert)
            .map(|insert| Bound::Insert(Box::new(insert))),
        Statement::Update(update) => binder
            .update(update)
            .map(|update| Bound::Update(Box::new(update))),
        Statement::Delete(delete) => binder
            .delete(delete)
            .map(|delete| Bound::Delete(Box::new(delete))),
        Statement::Merge(merge) => binder
            .merge(merge)
            .map(|merge| Bound::Merge(Box::new(merge))),
        Statement::With(query) => binder
            .writing_with(query)
            .map(|with| Bound::With(Box::new(with))),
        _ => Err(unsupported("this statement as a query", None)),
    }?;
    let targets = bound.targets();
    let elsewhere = |branch: &&BranchName| {
        !targets.is_empty()
            && targets
                .iter()
                .all(|target| target.schema != branch.as_str())
    };
    if let Some(branch) = binder.locks.iter().find(elsewhere) {
        let what = format!("locking rows of branch \"{branch}\" while writing another one");
        return Err(unsupported(&what, None));
    }
    Ok(bound)
}

/// The values of EXECUTE's arguments, cast to the parameters' types.
pub async fn constants(
    arguments: &[ast::Expr],
    types: &[PgType],
    environment: &dyn Environment,
) -> PgResult<Vec<ScalarValue>> {
    let mut binder = Binder::new(environment, Arc::default(), "");
    let scope = Scope::new(Vec::new(), Vec::new(), Rc::new(Level::default()), None);
    let mut values = Vec::with_capacity(arguments.len());
    for (argument, ty) in arguments.iter().zip(types) {
        let mut ctx = Ctx::new(Rc::clone(&scope), "EXECUTE");
        let value = binder.expr(&mut ctx, argument)?;
        if !ctx.applies.is_empty() {
            return Err(unsupported(
                "a subquery as an argument of EXECUTE",
                value.at,
            ));
        }
        let value = binder.coerce(value, *ty, Context::Assignment)?;
        let now = crate::statement::bind::now_micros();
        let execution = Execution {
            params: &[],
            transaction_time: now,
            statement_time: now,
        };
        values.push(constant(&value.expr, &execution)?);
    }
    Ok(values)
}

/// Evaluates an expression over nothing.
fn constant(expr: &Expr, execution: &Execution<'_>) -> PgResult<ScalarValue> {
    let expr = planned(complete_expr(expr.clone(), execution))?;
    let schema = DFSchema::empty();
    let physical = planned(create_physical_expr(&expr, &schema, &ExecutionProps::new()))?;
    let batch = arrow::array::RecordBatch::try_new_with_options(
        Arc::new(arrow::datatypes::Schema::empty()),
        Vec::new(),
        &arrow::array::RecordBatchOptions::new().with_row_count(Some(1)),
    )
    .map_err(|error| PgError::new(sqlstate::INTERNAL_ERROR, error.to_string()))?;
    let value = planned(
        physical
            .evaluate(&batch)
            .and_then(|value| value.into_array(1)),
    )?;
    planned(ScalarValue::try_from_array(&value, 0))
}

/// What an expression comes to that neither reads rows nor waits for parameters or the time;
/// `None` also where it fails, which it will do again when it runs.
fn known(value: &Typed) -> Option<ScalarValue> {
    if let Some(constant) = value.constant() {
        return Some(constant.clone());
    }
    let open = value.expr.exists(|expr| {
        Ok(match expr {
            Expr::Column(_) | Expr::Placeholder(_) => true,
            Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Immutable,
            _ => false,
        })
    });
    let execution = Execution {
        params: &[],
        transaction_time: 0,
        statement_time: 0,
    };
    match open {
        Ok(false) => constant(&value.expr, &execution).ok(),
        _ => None,
    }
}

/// Microseconds since 1970 by the machine's clock.
pub(crate) fn now_micros() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        })
}

impl BoundQuery {
    /// The plan with its parameters in place, ready to be optimised and run.
    pub fn with_params(&self, execution: &Execution<'_>) -> PgResult<LogicalPlan> {
        complete(&self.plan, execution)
    }
}

/// Puts parameters and times into a plan.
pub fn complete(plan: &LogicalPlan, execution: &Execution<'_>) -> PgResult<LogicalPlan> {
    planned(
        plan.clone()
            .transform_down(|plan| {
                plan.map_expressions(|expr| complete_expr(expr, execution).map(Transformed::yes))
            })
            .map(|transformed| transformed.data),
    )
}

/// As [`complete`], for one expression (RETURNING, ON CONFLICT DO UPDATE).
pub fn complete_expr(expr: Expr, execution: &Execution<'_>) -> DfResult<Expr> {
    expr.transform_up(|expr| {
        if let Expr::Placeholder(placeholder) = &expr {
            return Ok(match value_of(&placeholder.id, execution) {
                Some(value) => Transformed::yes(Expr::Literal(value, None)),
                None => Transformed::no(expr),
            });
        }
        Ok(any_of_constants(expr))
    })
    .map(|transformed| transformed.data)
}

/// `column = ANY ($1)` is a list once the array is known: scans understand that.
fn any_of_constants(expr: Expr) -> Transformed<Expr> {
    use omnigraph_udfs::pg::array;
    if let Expr::ScalarFunction(call) = &expr
        && let negated @ (true | false) = call.func.name() == array::ALL_DIFFER
        && (negated || call.func.name() == array::ANY_EQUAL)
        && let [left, Expr::Literal(list, _)] = call.args.as_slice()
        && let Some(elements) = array::elements(list)
    {
        let list = elements
            .into_iter()
            .map(|element| Expr::Literal(element, None))
            .collect();
        return Transformed::yes(Expr::InList(InList::new(
            Box::new(left.clone()),
            list,
            negated,
        )));
    }
    Transformed::no(expr)
}

fn value_of(id: &str, execution: &Execution<'_>) -> Option<ScalarValue> {
    let time = |micros: i64| ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()));
    match id {
        "$now" => Some(time(execution.transaction_time)),
        "$statement_time" => Some(time(execution.statement_time)),
        _ => {
            let number: usize = id.strip_prefix('$')?.parse().ok()?;
            execution.params.get(number.checked_sub(1)?).cloned()
        }
    }
}

/// Puts values for placeholders into a plan that is optimised already.
fn substitute(
    plan: &LogicalPlan,
    value: &dyn Fn(&str) -> Option<ScalarValue>,
) -> DfResult<LogicalPlan> {
    replace_in_plan(plan, &|id| {
        value(id).map(|value| Expr::Literal(value, None))
    })
}

/// Puts expressions for placeholders into a plan.
fn replace_placeholders(
    plan: &LogicalPlan,
    replacement: &dyn Fn(&str) -> Option<Expr>,
) -> PgResult<LogicalPlan> {
    planned(replace_in_plan(plan, replacement))
}

fn replace_in_plan(
    plan: &LogicalPlan,
    replacement: &dyn Fn(&str) -> Option<Expr>,
) -> DfResult<LogicalPlan> {
    plan.clone()
        .transform_down(|plan| {
            plan.map_expressions(|expr| {
                expr.transform_up(|expr| match &expr {
                    Expr::Placeholder(placeholder) => Ok(match replacement(&placeholder.id) {
                        Some(found) => Transformed::yes(found),
                        None => Transformed::no(expr),
                    }),
                    _ => Ok(Transformed::no(expr)),
                })
            })
        })
        .map(|transformed| transformed.data)
}

/// The expression above an aggregation: groups become their columns. The second value is an
/// input column that is left over, which is an error.
fn rewrite_groups(
    expr: &Expr,
    keys: &[(Expr, String)],
    inputs: &[&Expr],
) -> PgResult<(Expr, Option<Expr>)> {
    let by_expr: HashMap<&Expr, &str> = keys
        .iter()
        .map(|(expr, name)| (expr, name.as_str()))
        .collect();
    let mut stray = None;
    let rewritten = planned(expr.clone().transform_down(|node| {
        if let Some(name) = by_expr.get(&node) {
            return Ok(Transformed::new(
                scope::internal(name),
                true,
                TreeNodeRecursion::Jump,
            ));
        }
        if matches!(node, Expr::Column(_)) && inputs.contains(&&node) {
            stray.get_or_insert(node.clone());
        }
        Ok(Transformed::no(node))
    }))?;
    Ok((rewritten.data, stray))
}

/// What the binder carries through one statement.
struct Binder<'e> {
    env: &'e dyn Environment,
    catalog: Arc<dyn CatalogLookup>,
    path: SearchPath,
    text: TextIo,
    positions: Arc<Positions>,
    /// The query string, for places that the syntax tree has lost.
    sql: String,
    params: Vec<Option<PgType>>,
    /// Internal names are numbered.
    fresh: usize,
    ctes: Vec<with::Cte>,
    /// The graphs whose patterns are being bound, innermost last.
    graphs: Vec<graph_table::GraphRef>,
    /// Patterns that were made of another language, which the syntax names by number.
    made: Vec<Rc<graph_table::Made>>,
    /// Values that the syntax names by number.
    given: Vec<Typed>,
    /// What the next pattern evaluates before it is matched.
    guard: Option<Expr>,
    /// It makes no difference how often the next pattern gives a row.
    repetition_ignored: bool,
    reads: Vec<TableUse>,
    /// How many queries deep; 1 is the statement itself.
    depth: usize,
    volatile: bool,
    /// The branches whose rows are locked.
    locks: Vec<BranchName>,
    changes: bool,
    /// Parts of a statement are bound, whose parameters are settled at its end.
    parts: bool,
}

impl<'e> Binder<'e> {
    fn new(env: &'e dyn Environment, positions: Arc<Positions>, sql: &str) -> Self {
        let (catalog, path) = (env.catalog(), env.search_path());
        Binder {
            env,
            text: TextIo::new(env.text_format(), Arc::clone(&catalog), path.clone()),
            catalog,
            path,
            positions,
            sql: sql.to_owned(),
            params: Vec::new(),
            fresh: 0,
            ctes: Vec::new(),
            graphs: Vec::new(),
            made: Vec::new(),
            given: Vec::new(),
            guard: None,
            repetition_ignored: false,
            reads: Vec::new(),
            depth: 0,
            volatile: false,
            locks: Vec::new(),
            changes: false,
            parts: false,
        }
    }

    fn next(&mut self) -> usize {
        self.fresh += 1;
        self.fresh
    }

    /// A column name that nothing else has.
    fn name(&mut self, prefix: &str) -> String {
        format!("{prefix}{}", self.next())
    }

    fn bind_query(&mut self, query: &ast::Query) -> PgResult<BoundQuery> {
        let query = self.called_alone(query);
        let rel = self.query(&query, &Rc::new(Level::default()), None)?;
        let rel = self.visible(rel)?;
        let columns = rel
            .columns
            .into_iter()
            .map(|column| {
                let (table_oid, attnum) = column.origin.unwrap_or((0, 0));
                OutputColumn {
                    name: column.name,
                    ty: column.ty,
                    table_oid,
                    attnum,
                }
            })
            .collect();
        Ok(BoundQuery {
            plan: rel.plan,
            columns,
            params: self.parameter_types()?,
            reads: std::mem::take(&mut self.reads),
            volatile: self.volatile,
            locks: std::mem::take(&mut self.locks),
            changes: self.changes,
        })
    }

    /// Every parameter has a type by now, or never will.
    fn parameter_types(&self) -> PgResult<Vec<PgType>> {
        if self.parts {
            return Ok(Vec::new());
        }
        self.params
            .iter()
            .enumerate()
            .map(|(at, ty)| {
                ty.ok_or_else(|| {
                    PgError::new(
                        sqlstate::INDETERMINATE_DATATYPE,
                        format!("could not determine data type of parameter ${}", at + 1),
                    )
                })
            })
            .collect()
    }
}

/// What DataFusion says of a plan that cannot be built.
fn planned<T>(result: DfResult<T>) -> PgResult<T> {
    result.map_err(|error| sqlstate::from_datafusion(&error))
}

fn unsupported(what: &str, at: Option<u32>) -> PgError {
    positioned(
        PgError::new(
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!("{what} is not supported"),
        ),
        at,
    )
}

fn placeholder(id: &str, ty: PgType) -> Expr {
    placeholder_of(id, ty.arrow())
}

fn placeholder_of(id: &str, ty: DataType) -> Expr {
    Expr::Placeholder(Placeholder::new_with_field(
        id.to_owned(),
        Some(Arc::new(Field::new("", ty, true))),
    ))
}

/// A parameter that the client does not see.
fn hidden(id: &str) -> Expr {
    placeholder(id, PgType::TIMESTAMPTZ)
}

#[cfg(test)]
mod tests;
