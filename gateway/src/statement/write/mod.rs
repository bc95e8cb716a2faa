//! INSERT, UPDATE, DELETE, MERGE, TRUNCATE.
//!
//! A statement that is a transaction of its own is run again from the new head when somebody
//! else was quicker; its answer, RETURNING included, is given only after its commit. Inside a
//! transaction it changes what the transaction keeps, and fails for good at its COMMIT.

mod change;
mod changes;
mod conflict;
mod merge;
mod project;

pub(crate) use change::engine_rows;
use changes::are_changes;

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use omnigraph_catalog::access::{Action, Resource};
use omnigraph_catalog::provider::GraphTable;
use omnigraph_engine::Savepoint;
use omnigraph_engine::names::{BranchName, CommitId};
use omnigraph_engine::schema::TypeDef;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};

use super::bind::{Bound, Relation, RelationKind};
use super::done;
use super::parse::QualifiedName;
use crate::error::{PgError, PgResult};
use crate::plan::{Statement, Work};
use crate::session::Session;
use crate::session::protocol::{Execution, Next, Place, Rows, RowsTag};
use crate::session::transaction::State;
use crate::sqlstate;

/// How often an autocommit statement is tried.
const ATTEMPTS: usize = 60;

/// Pauses between tries grow to this, in milliseconds, with a random part: two processes that
/// beat each other fall out of step.
const LONGEST_PAUSE_MS: u64 = 40;

/// The try from which on no other autocommit statement of this process runs beside it.
const ALONE_FROM: usize = 3;

/// A statement's place among the autocommit writers of a branch, while it runs.
#[expect(dead_code, reason = "the guards are held, not read")]
enum Turn {
    SideBySide(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
}

/// What a statement did.
#[derive(Debug, Default)]
pub(crate) struct Effect {
    pub rows: u64,
    pub returned: Vec<RecordBatch>,
    /// Edges that were deleted with their nodes.
    pub cascaded: u64,
    /// Of the changes of a `.gq` query, all together.
    pub nodes: u64,
    pub edges: u64,
    /// The commit that it is the whole of.
    pub commit: Option<CommitId>,
}

impl Session {
    pub(crate) async fn write(
        &mut self,
        statement: &Statement,
        params: &[ScalarValue],
        place: Place,
    ) -> PgResult<Execution> {
        self.refuse_read_only()?;
        // Who asks for the commit is told it where that can be, as functions that change do.
        let tells_commit = are_changes(&self.current(statement).await?.bound);
        let may_stand_alone = match tells_commit {
            true => place.may_stand_alone(),
            false => place.first && place.next == Next::End,
        };
        let alone = matches!(self.state, State::Idle) && may_stand_alone;
        let (work, effect) = if alone {
            self.write_alone(statement, params, place).await?
        } else {
            self.open();
            self.write_once(statement, params, place).await?
        };
        answer(&work, effect)
    }

    /// One statement, one commit: tried again while others are quicker.
    async fn write_alone(
        &mut self,
        statement: &Statement,
        params: &[ScalarValue],
        place: Place,
    ) -> PgResult<(Arc<Work>, Effect)> {
        let mut attempt = 1;
        let work = self.current(statement).await?;
        // A statement that only brings rows may begin from what this process knows of the
        // branch, which saves asking the store: what it misses is found when it is published.
        let mut optimistic = brings_rows(&work);
        let turns = self.attached()?.shared.turns(written_schema(&work));
        drop(work);
        loop {
            // Writers go side by side; one that has lost before goes alone, so that it loses to
            // other processes only.
            let _turn = if attempt < ALONE_FROM {
                Turn::SideBySide(Arc::clone(&turns).read_owned().await)
            } else {
                Turn::Alone(Arc::clone(&turns).write_owned().await)
            };
            let open = self.new_transaction(false);
            self.state = State::Open(Box::new(if optimistic { open.optimistic() } else { open }));
            let outcome = self.write_once(statement, params, place).await;
            if optimistic && !self.stands(&outcome).await? {
                self.roll_back();
                optimistic = false;
                continue;
            }
            optimistic = false;
            let outcome = match outcome {
                Ok(mut done) => match std::mem::replace(&mut self.state, State::Idle) {
                    State::Open(open) => self.commit(open).await.map(|commit| {
                        done.1.commit = commit.map(|commit| commit.id);
                        done
                    }),
                    other => {
                        self.state = other;
                        Ok(done)
                    }
                },
                Err(error) => {
                    self.roll_back();
                    Err(error)
                }
            };
            match outcome {
                Err(error)
                    if attempt < ATTEMPTS && error.code == sqlstate::SERIALIZATION_FAILURE =>
                {
                    self.common.handle.metrics().conflict();
                    if attempt >= ALONE_FROM {
                        let longest = LONGEST_PAUSE_MS.min(1 << attempt.min(10));
                        let pause = rand::random_range(0..=longest);
                        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
                    }
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Does what an optimistic try has come to hold? What it will publish is proved by that;
    /// an error, or nothing to publish, only by the state it began from.
    async fn stands<T>(&self, outcome: &PgResult<T>) -> PgResult<bool> {
        let State::Open(open) = &self.state else {
            return Ok(true);
        };
        if outcome.is_ok() && open.has_changes() && open.looked_at() == 1 {
            return Ok(true);
        }
        open.is_current().await
    }

    async fn write_once(
        &mut self,
        statement: &Statement,
        params: &[ScalarValue],
        place: Place,
    ) -> PgResult<(Arc<Work>, Effect)> {
        let (work, snapshots) = self.current_with_snapshots(statement, place).await?;
        if let Bound::Changes(changes) = &work.bound {
            let effect = Box::pin(self.changes_once(&work, changes, params, place)).await?;
            return Ok((work, effect));
        }
        let mut targets = Vec::new();
        for target in work.bound.targets() {
            targets.push(Target::of(target)?);
        }
        let reading = self.reading(snapshots, place).await?;
        let run = change::Run {
            executor: self.common.shared.executor.clone(),
            reading,
            times: self.values(params),
        };
        let access = self.attached()?.access.clone();
        let environment = self.attached()?.shared.graph.environment().clone();
        let mut before: Vec<(BranchName, Savepoint)> = Vec::new();
        for target in &targets {
            let branch = &target.branch;
            access.check_part(Action::Change, Resource::Reference(branch.as_str()))?;
            if !before.iter().any(|(known, _)| known == branch) {
                let transaction = self.open().writer(&access, branch).await?;
                before.push((branch.clone(), transaction.savepoint()));
            }
        }
        let mut effect = Effect::default();
        let (parts, last) = match &work.bound {
            Bound::With(with) => (with.parts.as_slice(), &with.last),
            bound => (&[][..], bound),
        };
        let steps = parts.iter().map(|part| (&part.write, Some(part.number)));
        let mut targets = targets.iter();
        for (bound, number) in steps.chain([(last, None)]) {
            let done = match (bound, targets.next()) {
                (Bound::Query(query), _) => run.query(query).await,
                (bound, Some(target)) => {
                    let transaction = self.open().writer(&access, &target.branch).await?;
                    run.write(transaction, target, bound, &*environment)
                        .await
                        .map_err(|error| self.located(error, Some(&target.branch)))
                }
                (_, None) => Err(PgError::new(
                    sqlstate::INTERNAL_ERROR,
                    "a write without a table",
                )),
            };
            match (done, number) {
                (Ok(done), Some(number)) => run.reading.written.put(number, done.returned),
                (Ok(done), None) => effect = done,
                (Err(error), _) => {
                    // A statement is all or nothing, also when it had written some chunks.
                    for (branch, savepoint) in &before {
                        self.open()
                            .writer(&access, branch)
                            .await?
                            .rollback_to(savepoint);
                    }
                    return Err(error);
                }
            }
        }
        Ok((work, effect))
    }

    pub(crate) async fn truncate(
        &mut self,
        tables: &[QualifiedName],
        cascade: bool,
        place: Place,
    ) -> PgResult<Execution> {
        self.refuse_read_only()?;
        let alone = matches!(self.state, State::Idle) && place.first && place.next == Next::End;
        let mut attempt = 1;
        loop {
            self.open();
            let outcome = match self.truncate_once(tables, cascade).await {
                Ok(()) if alone => match std::mem::replace(&mut self.state, State::Idle) {
                    State::Open(open) => self.commit(open).await.map(drop),
                    other => {
                        self.state = other;
                        Ok(())
                    }
                },
                other => other,
            };
            match outcome {
                Ok(()) => return Ok(done("TRUNCATE TABLE")),
                Err(error) => {
                    if alone {
                        self.roll_back();
                        if attempt < ATTEMPTS && error.code == sqlstate::SERIALIZATION_FAILURE {
                            attempt += 1;
                            continue;
                        }
                    }
                    return Err(error);
                }
            }
        }
    }

    async fn truncate_once(&mut self, tables: &[QualifiedName], cascade: bool) -> PgResult<()> {
        let mut targets = Vec::with_capacity(tables.len());
        for table in tables {
            targets.push(self.target(table).await?);
        }
        // Edges first, so that a node type named beside its edge types is free of them.
        targets.sort_by_key(|target| !target.def.is_edge());
        let access = self.attached()?.access.clone();
        for target in targets {
            access.check_part(Action::Change, Resource::Reference(target.branch.as_str()))?;
            let transaction = self.open().writer(&access, &target.branch).await?;
            transaction.truncate(target.def.id, cascade).await?;
        }
        Ok(())
    }

    /// A table to be written, by name.
    pub(crate) async fn target(&mut self, table: &QualifiedName) -> PgResult<Target> {
        let relation = self.relation(table).await?;
        Target::of(&relation)
    }
}

/// The table that a statement writes.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub branch: BranchName,
    pub def: Arc<TypeDef>,
}

impl Target {
    pub(crate) fn of(relation: &Relation) -> PgResult<Self> {
        let table = match relation.kind {
            RelationKind::Node(_) | RelationKind::Edge(_) => {
                relation.provider.downcast_ref::<GraphTable>()
            }
            RelationKind::Catalog => None,
        };
        let Some(table) = table else {
            return Err(PgError::new(
                sqlstate::INSUFFICIENT_PRIVILEGE,
                format!(
                    "permission denied: \"{}\" is a system catalog",
                    relation.name
                ),
            ));
        };
        Ok(Target {
            branch: table.branch().clone(),
            def: Arc::clone(table.def()),
        })
    }
}

fn answer(work: &Work, mut effect: Effect) -> PgResult<Execution> {
    let last = match &work.bound {
        Bound::With(with) => &with.last,
        bound => bound,
    };
    let verb = match last {
        Bound::Query(_) | Bound::With(_) | Bound::Changes(_) => "SELECT",
        Bound::Insert(_) => "INSERT 0",
        Bound::Update(_) => "UPDATE",
        Bound::Delete(_) => "DELETE",
        Bound::Merge(_) => "MERGE",
    };
    let Some(columns) = &work.columns else {
        return Ok(done(format!("{verb} {}", effect.rows)));
    };
    if are_changes(&work.bound) {
        effect.returned = vec![changes::summary(&effect, columns)?];
    }
    Ok(Execution::Rows(Rows {
        columns: Arc::clone(columns),
        stream: futures::stream::iter(effect.returned.into_iter().map(Ok)).boxed(),
        tag: RowsTag::Counted(verb),
    }))
}

/// The schema of the table that a statement writes first.
fn written_schema(work: &Work) -> &str {
    work.bound
        .targets()
        .first()
        .map_or("", |target| target.schema.as_str())
}

/// An INSERT of rows that come from nowhere but the statement.
fn brings_rows(work: &Work) -> bool {
    let Bound::Insert(insert) = &work.bound else {
        return false;
    };
    let mut reads = false;
    // The closure never fails.
    let _ = insert.source.apply(|node| {
        if matches!(node, LogicalPlan::TableScan(_) | LogicalPlan::Extension(_)) {
            reads = true;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    !reads
}
