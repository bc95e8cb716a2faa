//! Queries.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use omnigraph_catalog::access::{Action, Resource};
use omnigraph_catalog::provider::{Recall, Snapshots};
use omnigraph_engine::names::BranchName;

use super::bind::{self, Bound, BoundQuery, Execution as Values};
use crate::error::{PgError, PgResult};
use crate::execute::Reading;
use crate::plan::{Generic, STACK_LEFT, STACK_MORE, Statement, Work, same_schema};
use crate::session::Session;
use crate::session::protocol::{Execution, Place, Rows, RowsTag};
use crate::session::shared::now;
use crate::session::transaction::State;
use crate::sqlstate;

/// How often a statement is bound again because a schema changed between binding and reading.
const REBINDS: usize = 5;

/// The setting that [`Recall`] is.
const RECALL: &str = "omnigraph.vector_recall";

impl Session {
    pub(crate) async fn query(
        &mut self,
        statement: &Statement,
        params: &[ScalarValue],
        place: Place,
    ) -> PgResult<Execution> {
        let (work, snapshots) = self.current_with_snapshots(statement, place).await?;
        if !matches!(work.bound, Bound::Query(_)) {
            return self.write(statement, params, place).await;
        }
        let rows = self.rows(&work, snapshots, params, place).await?;
        Ok(Execution::Rows(rows))
    }

    /// The bound statement and what it reads, which fit each other: the snapshots have the
    /// schemas it was bound to.
    pub(crate) async fn current_with_snapshots(
        &mut self,
        statement: &Statement,
        place: Place,
    ) -> PgResult<(Arc<Work>, Arc<Snapshots>)> {
        for _ in 0..REBINDS {
            let work = self.current(statement).await?;
            if work.calls_stored_queries() {
                let access = &self.attached()?.access;
                access.check(Action::InvokeQuery, Resource::Graph)?;
            }
            let branches: Vec<BranchName> = work
                .branches
                .iter()
                .map(|(branch, _)| branch.clone())
                .collect();
            let snapshots = self.snapshots(&branches, place).await?;
            let fits = work.branches.iter().all(|(branch, schema)| {
                snapshots
                    .get(branch)
                    .is_some_and(|snapshot| same_schema(snapshot.schema(), schema))
            });
            if fits && work.past.is_empty() {
                return Ok((work, snapshots));
            }
            if fits {
                let heads = branches.iter().filter_map(|branch| {
                    let snapshot = snapshots.get(branch)?;
                    Some((branch.clone(), snapshot.clone()))
                });
                let snapshots = Snapshots::new(heads).with_past(work.past.clone());
                return Ok((work, Arc::new(snapshots)));
            }
        }
        Err(PgError::new(
            sqlstate::SERIALIZATION_FAILURE,
            "the schema changed again and again while the statement was being planned",
        ))
    }

    pub(crate) async fn rows(
        &mut self,
        work: &Arc<Work>,
        snapshots: Arc<Snapshots>,
        params: &[ScalarValue],
        place: Place,
    ) -> PgResult<Rows> {
        let Bound::Query(query) = &work.bound else {
            return Err(PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "the rows of a statement that changes the graph cannot be read like this",
            )
            .hint("Run it by itself."));
        };
        let columns = work.columns.clone().unwrap_or_else(|| Arc::from([]));
        if let Some(lookup) = &work.lookup {
            let batch = lookup.run(&snapshots, params, &columns).await?;
            return Ok(Rows {
                columns,
                stream: futures::stream::once(futures::future::ready(Ok(batch))).boxed(),
                tag: RowsTag::Counted("SELECT"),
            });
        }
        if query.changes {
            self.refuse_read_only()?;
            self.refuse_block("a function that changes the graph", place)?;
        }
        self.hold_locks(&query.locks).await?;
        let values = self.values(params);
        let generic = self.generic(work, query)?;
        let reading = self.reading(snapshots, place).await?;
        let executor = self.common.shared.executor.clone();
        let state = executor.state(&reading);
        let kept = match &generic {
            Some(generic) => {
                let make = executor.physical(&state, &generic.plan);
                generic.executable(make).await?
            }
            None => None,
        };
        let physical = match kept {
            Some(kept) => bind::fill(kept, &values.execution())?,
            None => {
                let plan = self.optimized(generic.as_deref(), query, &values)?;
                executor.physical(&state, &plan).await?
            }
        };
        let stream = executor.start(&state, physical, &columns)?;
        Ok(Rows {
            columns,
            stream,
            tag: RowsTag::Counted("SELECT"),
        })
    }

    /// Locks are part of what a transaction writes: of one branch, by who may change it.
    pub(crate) async fn hold_locks(&mut self, branches: &[BranchName]) -> PgResult<()> {
        if branches.is_empty() {
            return Ok(());
        }
        self.refuse_read_only()?;
        let access = self.attached()?.access.clone();
        for branch in branches {
            access.check_part(Action::Change, Resource::Reference(branch.as_str()))?;
            if let State::Open(open) = &mut self.state {
                open.writer(&access, branch).await?;
            }
        }
        Ok(())
    }

    /// The plan for all values, if there is one.
    fn generic(&self, work: &Work, query: &BoundQuery) -> PgResult<Option<Arc<Generic>>> {
        self.interrupt.check()?;
        if query.volatile {
            return Ok(None);
        }
        let executor = &self.common.shared.executor;
        stacker::maybe_grow(STACK_LEFT, STACK_MORE, || {
            work.generic(|| executor.optimize(&query.plan))
        })
    }

    fn optimized(
        &self,
        generic: Option<&Generic>,
        query: &BoundQuery,
        values: &Times<'_>,
    ) -> PgResult<LogicalPlan> {
        let executor = &self.common.shared.executor;
        stacker::maybe_grow(STACK_LEFT, STACK_MORE, || match generic {
            Some(generic) => bind::complete(&generic.plan, &values.execution()),
            None => executor.optimize(&query.with_params(&values.execution())?),
        })
    }

    /// What a running statement reads and may ask for.
    pub(crate) async fn reading(
        &mut self,
        snapshots: Arc<Snapshots>,
        place: Place,
    ) -> PgResult<Reading> {
        let context = self.function_context(&snapshots, place).await?;
        let recall = self.common.settings.lock().get(RECALL).parse();
        Ok(Reading {
            recall: recall.map(Recall).unwrap_or_default(),
            snapshots,
            functions: context,
            written: Arc::default(),
        })
    }

    pub(crate) fn values<'a>(&self, params: &'a [ScalarValue]) -> Times<'a> {
        let statement = now();
        let transaction = match &self.state {
            State::Open(open) => open.started_at,
            State::Idle | State::Failed(_) => statement,
        };
        Times {
            params,
            transaction,
            statement,
        }
    }

    /// `CALL f(…)` is `SELECT * FROM f(…)`, run for what it does.
    pub(crate) async fn call(
        &mut self,
        statement: &Statement,
        params: &[ScalarValue],
        place: Place,
    ) -> PgResult<Execution> {
        Ok(match self.query(statement, params, place).await? {
            Execution::Rows(rows) => Execution::Rows(Rows {
                tag: RowsTag::Fixed("CALL"),
                ..rows
            }),
            Execution::Done { .. } => super::done("CALL"),
            other => other,
        })
    }
}

/// What stays open in a plan until it is executed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times<'a> {
    params: &'a [ScalarValue],
    transaction: i64,
    statement: i64,
}

impl<'a> Times<'a> {
    pub(crate) fn execution(&self) -> Values<'a> {
        Values {
            params: self.params,
            transaction_time: self.transaction,
            statement_time: self.statement,
        }
    }
}
