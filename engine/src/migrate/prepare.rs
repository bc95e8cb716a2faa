//! From a migration and a state to the next state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::validate::{self, Rules};
use crate::commit::proposal::Proposal;
use crate::commit::rebase::{Place, Prepared, conflict, table_of};
use crate::dataset::{FilledColumn, TableLocation, TableVersion};
use crate::error::{Error, Result};
use crate::format::{ChangedIds, Commit, CommitKind, TableCommit, TableLine, Written};
use crate::graph::GraphShared;
use crate::names::CommitId;
use crate::schema::{ChangeKind, Schema, SchemaChange, TypeDef, TypeId};
use crate::snapshot::{Snapshot, SnapshotState};
use crate::storage::Store;
use crate::table::BaseTable;

/// A planned migration on its way into a branch.
#[derive(Debug)]
pub(crate) struct Migration {
    store: Store,
    /// The schema it was planned from.
    before: Arc<Schema>,
    schema: Arc<Schema>,
    /// The empty tables of new types.
    created: BTreeMap<TypeId, TableVersion>,
    dropped: Vec<TypeId>,
    /// Types whose tables get other columns.
    reshaped: BTreeSet<TypeId>,
    rules: Rules,
    work: tokio::sync::Mutex<Option<Work>>,
}

/// What was done for one state; it holds as long as the tables it looked at are the same.
#[derive(Debug)]
struct Work {
    looked_at: BTreeMap<TypeId, Option<TableLocation>>,
    /// Each with the version it was made from.
    reshaped: BTreeMap<TypeId, (TableVersion, TableVersion)>,
}

impl Migration {
    /// Makes the tables of new types; nobody sees them before the commit.
    pub async fn new(
        graph: &GraphShared,
        state: &SnapshotState,
        schema: Arc<Schema>,
        steps: Vec<SchemaChange>,
    ) -> Result<Migration> {
        let mut added = Vec::new();
        let mut dropped = Vec::new();
        let mut reshaped = BTreeSet::new();
        for step in &steps {
            match &step.kind {
                ChangeKind::AddType { .. } => added.extend(schema.by_id(step.type_id).cloned()),
                ChangeKind::DropType { .. } => dropped.push(step.type_id),
                ChangeKind::AddProperty { .. }
                | ChangeKind::DropProperty { .. }
                | ChangeKind::ChangeNullability { nullable: true, .. } => {
                    reshaped.insert(step.type_id);
                }
                _ => {}
            }
        }
        Ok(Migration {
            store: graph.store.clone(),
            before: Arc::clone(&state.schema),
            created: graph.create_tables(added).await?,
            rules: Rules::of(&schema, &steps),
            schema,
            dropped,
            reshaped,
            work: tokio::sync::Mutex::default(),
        })
    }

    /// Writes the columns that are new and checks every row that has to keep a new rule, unless
    /// that was done for these very tables.
    pub async fn work(&self, state: &SnapshotState) -> Result<()> {
        self.done_for(state, &mut *self.work.lock().await).await?;
        Ok(())
    }

    async fn done_for<'a>(
        &self,
        state: &SnapshotState,
        work: &'a mut Option<Work>,
    ) -> Result<&'a Work> {
        let looked_at: BTreeMap<TypeId, Option<TableLocation>> = self
            .reshaped
            .iter()
            .copied()
            .chain(self.rules.tables(&self.schema))
            .map(|id| {
                (
                    id,
                    state.tables.get(&id).map(|table| table.location().clone()),
                )
            })
            .collect();
        let done = work.take().filter(|done| done.looked_at == looked_at);
        let done = match done {
            Some(done) => done,
            None => {
                let mut reshaped = BTreeMap::new();
                for &id in &self.reshaped {
                    let before = table_of(state, id)?.version().await?.clone();
                    let after = self.reshape(id, &before).await?;
                    reshaped.insert(id, (before, after));
                }
                let done = Work {
                    looked_at,
                    reshaped,
                };
                let after = self.state_after(state, &done, state.commit);
                let after = Snapshot::of(Arc::new(after));
                validate::check(&after, &self.rules).await?;
                done
            }
        };
        Ok(work.insert(done))
    }

    async fn reshape(&self, id: TypeId, before: &TableVersion) -> Result<TableVersion> {
        let missing = || Error::internal("a migration changes a type that the schema lacks");
        let old = self.before.by_id(id).ok_or_else(missing)?;
        let new = self.schema.by_id(id).ok_or_else(missing)?;
        reshaped(old, new, before).await
    }

    /// The state under the new schema, which `commit` makes. Who it is to the log is filled in
    /// later.
    fn state_after(&self, state: &SnapshotState, work: &Work, commit: CommitId) -> SnapshotState {
        let mut tables = state.tables.clone();
        for id in &self.dropped {
            tables.remove(id);
        }
        let versions = work
            .reshaped
            .iter()
            .map(|(id, (_, after))| (*id, after))
            .chain(self.created.iter().map(|(id, table)| (*id, table)));
        for (id, version) in versions {
            tables.insert(
                id,
                Arc::new(BaseTable::of_version(
                    self.store.clone(),
                    version.clone(),
                    commit,
                )),
            );
        }
        SnapshotState {
            branch: state.branch.clone(),
            branch_id: state.branch_id.clone(),
            branch_ordinal: state.branch_ordinal,
            seq: state.seq,
            commit: state.commit,
            generation: state.generation,
            lineage: state.lineage.clone(),
            time: state.time,
            schema: Arc::clone(&self.schema),
            tables,
            locked_at: state.locked_at,
            environment: state.environment.clone(),
            names: state.names.clone(),
            blobs: state.blobs.clone(),
        }
    }

    /// The commit, over `state`.
    pub async fn prepare(
        &self,
        proposal: &Proposal,
        state: &Arc<SnapshotState>,
        place: Place,
    ) -> Result<Prepared> {
        let Place {
            generation,
            seq,
            time,
        } = place;
        if state.schema.digest() != self.before.digest() {
            let table = self.reshaped.first().copied().unwrap_or(TypeId(0));
            return Err(conflict(
                proposal,
                table,
                "",
                "its schema",
                "another schema",
            ));
        }
        let mut work = self.work.lock().await;
        let work = self.done_for(state, &mut work).await?;
        let mut commit_tables = BTreeMap::new();
        let mut written = Vec::new();
        let changed = work
            .reshaped
            .iter()
            .map(|(id, (before, after))| (*id, after, Some(before.clone())))
            .chain(self.created.iter().map(|(id, table)| (*id, table, None)));
        for (id, after, before) in changed {
            let shape = self
                .schema
                .by_id(id)
                .map(|def| def.shape_digest().to_string());
            let line = TableLine {
                location: after.location().clone(),
                shape: shape.unwrap_or_default(),
                changed_by: proposal.id,
            };
            commit_tables.insert(
                id,
                TableCommit {
                    after: line,
                    written: Written::Ids(Vec::new()),
                },
            );
            written.push((after.clone(), before));
        }
        let commit = Commit {
            id: proposal.id,
            parents: vec![state.commit],
            generation,
            actor: proposal.actor.clone(),
            time,
            message: proposal.message.message.clone(),
            metadata: proposal.message.metadata.clone(),
            idempotency_key: proposal.message.idempotency_key.clone(),
            kind: CommitKind::Schema,
            schema: Some(self.schema.digest().to_owned()),
            inserted: 0,
            updated: 0,
            deleted: 0,
            tables: commit_tables,
            dropped: self.dropped.clone(),
            locked: BTreeMap::new(),
        };
        let after = SnapshotState {
            seq,
            commit: proposal.id,
            generation,
            lineage: state.lineage.next(seq, 1),
            time,
            ..self.state_after(state, work, proposal.id)
        };
        Ok(Prepared {
            crossed_fence: state.lineage.fence != proposal.base.lineage.fence,
            commit,
            state: Arc::new(after),
            written,
            listed: ChangedIds::default(),
        })
    }
}

/// The table's next version, with the columns of another definition: new ones have their
/// defaults.
pub(crate) async fn reshaped(
    old: &TypeDef,
    new: &TypeDef,
    before: &TableVersion,
) -> Result<TableVersion> {
    let mut filled = Vec::new();
    for property in &new.properties {
        let known = old.properties.iter().any(|held| held.id == property.id);
        if known || property.default_array(1)?.null_count() > 0 {
            continue;
        }
        let column = property.clone();
        filled.push(FilledColumn {
            field: arrow::datatypes::Field::new(
                property.id.physical(),
                property.ty.data_type(),
                property.nullable,
            ),
            values: Arc::new(move |rows| column.stored_default(rows)),
        });
    }
    before.reshape(&new.arrow_schema(), filled).await
}
