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
mod bound;
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
mod hybrid;
mod hypothetical;
mod in_order;
mod join;
mod json_record;
mod json_text;
mod json_value;
mod lateral;
mod list_aggregates;
mod literal;
mod lock_rows;
mod locking;
mod membership;
mod merge;
mod naming;
mod nearest;
mod nearest_scan;
pub mod no_session;
mod numeric_functions;
mod object_functions;
mod object_names;
mod operation;
mod operators;
mod order_by;
mod ordered_set;
mod outer_aggregate;
mod over_rows;
mod place_blobs;
mod placeholders;
mod policy_condition;
mod privileges;
mod project_series;
mod query;
mod read_blobs;
mod resolve;
mod row_limit;
mod sample;
mod scope;
mod select;
mod series;
mod session_functions;
mod set_function;
mod set_operation;
mod snapshot_functions;
mod special_form;
mod stored;
mod subquery;
mod support_functions;
mod system_time;
mod table;
mod table_arguments;
mod target_list;
mod text_io;
pub(crate) mod text_search;
mod to_char;
mod to_number;
mod typed;
mod types;
mod values;
mod wanted_columns;
mod windows;
mod with;
mod writing_with;

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::Expr;
use omnigraph_catalog::access::Action;
use omnigraph_catalog::lookup::{CatalogLookup, SearchPath};
use omnigraph_catalog::stored::StoredQuery;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::Schema;
use omnigraph_udfs::TableFunction;
use sqlparser::ast;

use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::{ParsedStatement, Positions, Statement};
use crate::text::TextFormat;
use coerce::{Context, positioned};
use expr::Ctx;
use placeholders::{
    constant, hidden, known, placeholder, placeholder_of, replace_placeholders, substitute,
};
use query::QueryRel;
use scope::{Level, Scope};
use text_io::TextIo;
use typed::Typed;

pub use bound::{
    Bound, BoundDelete, BoundInsert, BoundMerge, BoundQuery, BoundUpdate, ConflictTarget,
    Execution, InsertDefault, MergeAction, OnConflict, OnConflictAction, OutputColumn, Relation,
    RelationColumn, RelationKind, Returning, TableUse,
};
pub use function_scan::{fill, reads_no_table};
pub use functions::{FUNCTIONS, is_function_schema};
pub use gq::BoundChanges;
pub(crate) use gq::GIVEN;
pub(crate) use graph_table::GraphMatchExec;
pub use object_names::CatalogNames;
pub use placeholders::{complete, complete_expr, has_placeholder};
pub use policy_condition::bind_condition;
pub use stored::bind_stored;
pub use subquery::Subqueries;
pub use types::type_name;
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

    /// The statement is about the sizes of tables, which catalogs do not have without need.
    fn ask_for_sizes(&self) {}

    /// A stored query that the actor may call.
    fn stored_query(&self, _schema: Option<&str>, _name: &str) -> Option<Arc<StoredQuery>> {
        None
    }

    /// The schema of the graph as the session's branch has it, for functions whose columns
    /// depend on it.
    fn graph_schema(&self) -> Option<Arc<Schema>>;

    /// The branch that a schema is, with its graph's schema; without a name the session's own.
    fn graph(&self, _schema: Option<&str>) -> PgResult<Option<(BranchName, Arc<Schema>)>> {
        Ok(None)
    }

    /// The same as a reference shows it.
    fn graph_as_of(
        &self,
        _schema: Option<&str>,
        _reference: &str,
    ) -> PgResult<Option<(BranchName, Arc<Schema>)>> {
        Ok(None)
    }

    fn catalog(&self) -> Arc<dyn CatalogLookup>;

    fn search_path(&self) -> SearchPath;

    /// The graph's id.
    fn database(&self) -> String;

    fn user(&self) -> String;

    /// Who asks and the groups they are in, where a policy's condition is bound.
    fn asker(&self) -> Option<(String, BTreeSet<String>)> {
        None
    }

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
    if !matches!(
        statement.statement,
        Statement::Query(_) | Statement::Call(_)
    ) {
        // A query in it is not the whole of the statement.
        binder.depth = 1;
    }
    let bound = match &statement.statement {
        Statement::Query(query) | Statement::Call(query) => match binder.called_changes(query)? {
            Some(changes) => Ok(changes),
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

/// Microseconds since 1970 by the machine's clock.
pub(crate) fn now_micros() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        })
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
    /// In a stored query in SQL: what its parameters are called, by their place in `given`.
    named: Option<Vec<String>>,
    /// The stored queries that are being bound, innermost last.
    inlined: Vec<String>,
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
            named: None,
            inlined: Vec::new(),
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
        self.bound_query(rel)
    }

    fn bound_query(&mut self, rel: QueryRel) -> PgResult<BoundQuery> {
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

#[cfg(test)]
mod tests;
