//! From a statement to a plan: binding in a frozen view of the catalogs, and keeping what was
//! bound for as long as it holds.
//!
//! A [`Prepared`] is what a client prepares once and executes often. Its [`Work`] names no
//! snapshot; each execution checks that the schemas it reads are still the ones it was bound
//! to, and binds again if not. A result type that would change is 0A000, as in PostgreSQL.

mod cache;
mod environment;
mod fast;
mod kept;

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use omnigraph_catalog::lookup::SearchPath;
use omnigraph_catalog::provider::PastState;
use omnigraph_catalog::stored::StoredQuery;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::Snapshot;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::Schema;
use parking_lot::Mutex;

pub use cache::PlanCache;
pub use environment::{Frozen, Functions};
use environment::{Pasts, View};
pub(crate) use environment::{is_function_schema, table_relation};
pub use fast::Lookup;
pub use kept::Generic;

use self::kept::KeptPlan;
use crate::error::{PgError, PgResult};
use crate::session::Session;
use crate::session::protocol::{Column, Described};
use crate::session::shared::now;
use crate::session::transaction::State;
use crate::sqlstate;
use crate::statement::bind::{self, Bound, OutputColumn, RelationKind, TableUse};
use crate::statement::parse::{ParsedStatement, Statement as Parsed};

/// A prepared statement; clones are the same one.
pub type Statement = Arc<Prepared>;

#[derive(Debug)]
pub struct Prepared {
    /// `None`: an empty query.
    pub parsed: Option<Arc<ParsedStatement>>,
    /// The parameter types the client declared.
    pub declared: Vec<u32>,
    pub described: Described,
    pub prepared_at: i64,
    /// Bound queries and writes; `None` for every other kind of statement.
    work: Mutex<Option<Arc<Work>>>,
}

/// A bound statement and what it was bound to.
#[derive(Debug)]
pub struct Work {
    pub bound: Bound,
    pub columns: Option<Arc<[Column]>>,
    pub params: Arc<[PgType]>,
    /// The branches it reads or writes, as they were seen.
    pub branches: Vec<(BranchName, Arc<Schema>)>,
    /// The earlier states it reads: what their references meant when it was bound, which is
    /// anew for each execution.
    pub past: Vec<PastState>,
    pub lookup: Option<Lookup>,
    /// The stored queries in it, as they were.
    stored: Vec<Arc<StoredQuery>>,
    path: SearchPath,
    /// Settings that give texts in it their meaning.
    formats: String,
    /// It holds rows of the catalogs, or the answers of functions that read them.
    reads_catalog: bool,
    kept: KeptPlan,
}

/// How many earlier states one statement may name.
const PASTS: usize = 100;

/// How often a statement is bound again because its schema keeps changing.
const REBINDS: usize = 5;

impl Prepared {
    pub fn utility(
        parsed: Option<Arc<ParsedStatement>>,
        columns: Option<Arc<[Column]>>,
    ) -> Statement {
        Arc::new(Prepared {
            parsed,
            declared: Vec::new(),
            described: Described {
                params: Arc::from([]),
                columns,
            },
            prepared_at: now(),
            work: Mutex::new(None),
        })
    }

    /// As [`Self::utility`], for a statement that takes parameters and gives no rows.
    pub fn taking(parsed: Arc<ParsedStatement>, params: Arc<[PgType]>) -> Statement {
        Arc::new(Prepared {
            parsed: Some(parsed),
            declared: Vec::new(),
            described: Described {
                params,
                columns: None,
            },
            prepared_at: now(),
            work: Mutex::new(None),
        })
    }

    fn bound(parsed: Arc<ParsedStatement>, declared: &[u32], work: Arc<Work>) -> Statement {
        Arc::new(Prepared {
            parsed: Some(parsed),
            declared: declared.to_vec(),
            described: Described {
                params: Arc::clone(&work.params),
                columns: work.columns.clone(),
            },
            prepared_at: now(),
            work: Mutex::new(Some(work)),
        })
    }

    pub fn statement(&self) -> Option<&Parsed> {
        self.parsed.as_deref().map(|parsed| &parsed.statement)
    }
}

impl Session {
    /// Binds a query or DML statement.
    pub(crate) async fn bind(
        &mut self,
        parsed: Arc<ParsedStatement>,
        declared: &[u32],
    ) -> PgResult<Statement> {
        let work = self.work(&parsed, declared).await?;
        Ok(Prepared::bound(parsed, declared, work))
    }

    /// The bound statement, bound again if something it depends on has changed.
    pub(crate) async fn current(&mut self, statement: &Statement) -> PgResult<Arc<Work>> {
        let kept = statement.work.lock().clone();
        if let Some(work) = kept
            && self.still_holds(&work).await?
        {
            return Ok(work);
        }
        let parsed = statement.parsed.clone().ok_or_else(|| {
            PgError::new(sqlstate::INTERNAL_ERROR, "an empty statement has no plan")
        })?;
        let work = self.work(&parsed, &statement.declared).await?;
        if !same_types(
            statement.described.columns.as_deref(),
            work.columns.as_deref(),
        ) || statement.described.params != work.params
        {
            return Err(PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "cached plan must not change result type",
            ));
        }
        *statement.work.lock() = Some(Arc::clone(&work));
        Ok(work)
    }

    async fn still_holds(&mut self, work: &Work) -> PgResult<bool> {
        if work.reads_catalog
            || !work.past.is_empty()
            || work.path != self.search_path().await?
            || work.formats != self.formats()
        {
            return Ok(false);
        }
        let past = self.past().await?;
        let Some(attached) = &self.graph else {
            return Ok(true);
        };
        if !work.stored.is_empty() {
            // Another revision may be served now, or another policy.
            let callable = attached.access.stored_queries();
            let same = |query: &Arc<StoredQuery>| {
                callable
                    .get(&query.name)
                    .is_some_and(|now| Arc::ptr_eq(now, query))
            };
            if !work.stored.iter().all(same) {
                return Ok(false);
            }
        }
        Ok(work.branches.iter().all(|(branch, schema)| {
            if let Some((_, snapshot)) = past.as_ref().filter(|(pinned, _)| pinned == branch) {
                return same_schema(snapshot.schema(), schema);
            }
            attached
                .shared
                .seen(branch)
                .is_some_and(|seen| same_schema(&seen.schema, schema))
        }))
    }

    async fn work(
        &mut self,
        parsed: &Arc<ParsedStatement>,
        declared: &[u32],
    ) -> PgResult<Arc<Work>> {
        let key = cache::Key::new(self, &parsed.text, declared).await?;
        if let Some(work) = self.common.shared.plans.find(&key)
            && self.still_holds(&work).await?
        {
            return Ok(work);
        }
        let work = Arc::new(self.bind_fresh(parsed, declared).await?);
        self.remember_names().await?;
        if !work.reads_catalog && work.can_be_shared() {
            self.common.shared.plans.keep(key, Arc::clone(&work));
        }
        Ok(work)
    }

    /// Binds, and binds again with fresher catalogs when the first ones did not do: a name was
    /// missing in them, or the statement reads them.
    async fn bind_fresh(
        &mut self,
        parsed: &Arc<ParsedStatement>,
        declared: &[u32],
    ) -> PgResult<Work> {
        let mut view = View::Known;
        let mut past = Pasts::new();
        let time = self.transaction_time();
        let mut attempts = 0;
        while attempts < REBINDS {
            let frozen = self.frozen_with(view, past.clone(), time).await?;
            let interrupt = Arc::clone(&self.interrupt);
            interrupt.check()?;
            let outcome = stacker::maybe_grow(STACK_LEFT, STACK_MORE, || {
                bind::bind(parsed, &frozen, declared)
            });
            let asked = frozen.asked();
            if let Some((branch, reference)) = asked.past.clone() {
                if past.len() >= PASTS {
                    return Err(PgError::new(
                        sqlstate::PROGRAM_LIMIT_EXCEEDED,
                        format!("a statement may look at {PASTS} earlier states"),
                    ));
                }
                let found = self.state_as_of(&branch, &reference).await;
                past.insert((branch, reference), found);
                continue;
            }
            attempts += 1;
            if let Some(branch) = asked.missing.clone()
                && self.learn_branch(&branch).await?
            {
                continue;
            }
            match outcome {
                Ok(_) if asked.sizes && view < View::Sized => view = View::Sized,
                Ok(_) if asked.catalog && view < View::Fresh => view = View::Fresh,
                Ok(bound) => return Ok(self.work_of(bound, &frozen, asked.catalog)),
                Err(error) if view > View::Known || !may_be_stale(&error) => return Err(error),
                Err(_) => view = View::Fresh,
            }
        }
        Err(PgError::new(
            sqlstate::SERIALIZATION_FAILURE,
            "the schema changed again and again while the statement was being bound",
        ))
    }

    /// What a reference means for a branch; in a transaction the same each time.
    async fn state_as_of(&mut self, branch: &BranchName, reference: &str) -> PgResult<Snapshot> {
        let access = self.attached()?.access.clone();
        match &mut self.state {
            State::Open(open) => open.past(&access, branch, reference).await,
            State::Idle | State::Failed(_) => Ok(access.snapshot_on(reference, branch).await?),
        }
    }

    fn work_of(&self, bound: Bound, frozen: &Frozen, reads_catalog: bool) -> Work {
        let columns = bound.returning();
        let mut branches: Vec<(BranchName, Arc<Schema>)> = Vec::new();
        let past = bound.reads().iter().filter_map(|table| {
            let (branch, reference) = (BranchName::parse(&table.schema).ok()?, table.at.clone()?);
            let snapshot = frozen.past(&branch, &reference)?;
            Some(PastState {
                branch,
                reference,
                snapshot,
            })
        });
        let past: Vec<PastState> = past.collect();
        let current = bound.reads().iter().filter(|table| table.at.is_none());
        let written = bound.targets().into_iter().map(|target| &target.schema);
        for schema in current.filter_map(branch_of).chain(written) {
            if let Some((name, seen)) = frozen.branch(schema)
                && !branches.iter().any(|(known, _)| *known == name)
            {
                branches.push((name, seen));
            }
        }
        let lookup = match &bound {
            Bound::Query(query) => Lookup::of(query, &self.common.shared.executor),
            _ => None,
        };
        Work {
            columns: columns.map(|columns| columns.iter().map(column).collect()),
            params: bound.params().iter().copied().collect(),
            branches,
            lookup,
            stored: frozen.called(),
            path: frozen.path().clone(),
            formats: self.formats(),
            past,
            reads_catalog,
            kept: KeptPlan::default(),
            bound,
        }
    }

    /// The settings that texts in a statement are read by.
    pub(crate) fn formats(&self) -> String {
        let settings = self.common.settings.lock();
        let mut all = String::new();
        for name in [
            "DateStyle",
            "IntervalStyle",
            "TimeZone",
            "bytea_output",
            "extra_float_digits",
            bind::text_search::DEFAULT,
        ] {
            all.push_str(settings.get(name));
            all.push('\n');
        }
        all
    }
}

impl Work {
    /// The optimized plan if it is the same for all parameters; values are still to be put in.
    pub fn generic(
        &self,
        make: impl FnOnce() -> PgResult<LogicalPlan>,
    ) -> PgResult<Option<Arc<Generic>>> {
        self.kept.generic(make)
    }

    pub fn calls_stored_queries(&self) -> bool {
        !self.stored.is_empty()
    }

    /// May other sessions run it? Not if functions in it act on the session they were bound in.
    fn can_be_shared(&self) -> bool {
        self.lookup.is_some()
    }
}

/// The stack that binding and planning may count on, and how much they get when it is short.
pub(crate) const STACK_LEFT: usize = 256 << 10;
pub(crate) const STACK_MORE: usize = 8 << 20;

fn branch_of(table: &TableUse) -> Option<&String> {
    match table.kind {
        RelationKind::Node(_) | RelationKind::Edge(_) => Some(&table.schema),
        RelationKind::Catalog => None,
    }
}

fn column(output: &OutputColumn) -> Column {
    Column {
        name: output.name.clone(),
        ty: output.ty,
        table_oid: output.table_oid,
        attnum: output.attnum,
    }
}

/// Errors that catalogs of a moment ago could have caused.
fn may_be_stale(error: &PgError) -> bool {
    [
        sqlstate::UNDEFINED_TABLE,
        sqlstate::UNDEFINED_COLUMN,
        sqlstate::UNDEFINED_OBJECT,
        sqlstate::UNDEFINED_FUNCTION,
        sqlstate::INVALID_SCHEMA_NAME,
    ]
    .contains(&error.code)
}

pub(crate) fn same_schema(left: &Arc<Schema>, right: &Arc<Schema>) -> bool {
    Arc::ptr_eq(left, right) || left.digest() == right.digest()
}

fn same_types(left: Option<&[Column]>, right: Option<&[Column]>) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| left.name == right.name && left.ty == right.ty)
        }
        _ => false,
    }
}
