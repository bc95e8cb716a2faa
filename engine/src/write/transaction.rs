//! A transaction: a base snapshot, what was changed over it, and one commit at the end.
//!
//! Nothing but long blobs is written to the store before [`Transaction::commit`]; dropping a
//! transaction leaves nothing that anybody could see. Each method is atomic: it is checked
//! whole before it changes anything, so an error leaves the transaction as it was.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Schema as ArrowSchema;

use super::changes::{Changes, TableEffect};
use super::conditions::{Conditions, ReadSet};
use super::constraint::{self, DST, Moment, SRC};
use super::identity::fill_ids;
use super::locks::{LockSet, LockStrength, RowLocks};
use super::value::ValueChecker;
use crate::blob::{Uris, as_cells};
use crate::commit::CommitInfo;
use crate::commit::proposal::Proposal;
use crate::commit::publish::BranchShared;
use crate::commit::repeat;
use crate::error::{Error, ObjectKind, Result};
use crate::format::CommitKind;
use crate::names::{BranchName, CommitId};
use crate::restrict::Guard;
use crate::schema::{Schema, TypeDef, TypeId, TypeKind};
use crate::snapshot::{Snapshot, SnapshotState};
use crate::table::RowPosition;

#[derive(Debug, Clone, Default)]
pub struct TransactionOptions {
    pub actor: String,
    /// Begin from the newest state this process knows of, without asking the store. What is
    /// published is right all the same: publication proves that the state was the newest.
    /// Whoever publishes nothing must ask [`Transaction::is_current`].
    pub optimistic: bool,
    /// Publish only if no table that was read has changed in the meantime.
    pub serializable: bool,
}

/// What a commit says, and asks for, besides its rows.
#[derive(Debug, Clone, Default)]
pub struct CommitMessage {
    pub message: Option<String>,
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Publish only right after this commit; anything else at the head is a conflict.
    pub expected_head: Option<CommitId>,
    /// The writer's name for the commit: if the same actor has made a commit of this name on
    /// the branch, that one is the answer and nothing is published.
    pub idempotency_key: Option<String>,
    pub kind: CommitKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deleted {
    pub nodes: u64,
    pub edges: u64,
}

/// The state of a transaction to come back to.
#[derive(Debug, Clone)]
pub struct Savepoint {
    changes: Changes,
    locks: RowLocks,
}

/// New rows and versions of rows of one table, and the ids of those that go.
#[derive(Debug)]
pub(crate) struct TableRows {
    pub table: TypeId,
    pub put: RecordBatch,
    pub delete: Vec<String>,
}

#[derive(Debug)]
pub struct Transaction {
    branch: Arc<BranchShared>,
    base: Arc<SnapshotState>,
    actor: String,
    changes: Changes,
    locks: Arc<LockSet>,
    reads: Option<Arc<ReadSet>>,
    guard: Guard,
}

impl Transaction {
    pub(crate) fn new(
        branch: Arc<BranchShared>,
        base: Arc<SnapshotState>,
        options: TransactionOptions,
    ) -> Self {
        Transaction {
            branch,
            base,
            actor: options.actor,
            changes: Changes::default(),
            locks: Arc::default(),
            reads: options.serializable.then(Arc::default),
            guard: Guard::default(),
        }
    }

    /// From now on it shows and changes a part of the graph only. The restrictions were made
    /// for the schema of its base.
    pub fn guard(&mut self, guard: Guard) {
        self.guard = guard;
    }

    /// What of [`Transaction::snapshot`] may be shown.
    pub async fn shown(&self) -> Result<Snapshot> {
        Box::pin(self.guard.shown(self.snapshot())).await
    }

    /// What of its schema may be shown.
    pub fn shown_schema(&self) -> &Arc<Schema> {
        self.guard.schema(&self.base.schema)
    }

    pub fn branch_ordinal(&self) -> u64 {
        self.base.branch_ordinal
    }

    /// The base with the transaction's own writes in it.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            reads: self.reads.clone(),
            locks: Some(self.locks.clone()),
            ..self.view()
        }
    }

    /// The same for checks of its own, which are not reads.
    fn view(&self) -> Snapshot {
        let overlays: HashMap<_, _> = self
            .changes
            .tables
            .iter()
            .map(|(id, changes)| (*id, Arc::new(changes.overlay.clone())))
            .collect();
        Snapshot {
            state: self.base.clone(),
            overlays: Arc::new(overlays),
            reads: None,
            locks: None,
            written: Arc::default(),
            shown: None,
        }
    }

    pub fn base_commit(&self) -> CommitId {
        self.base.commit
    }

    pub fn branch(&self) -> &BranchName {
        &self.base.branch
    }

    /// Has nothing been written?
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Is the base still the head of its branch? Asks the store.
    pub async fn is_current(&self) -> Result<bool> {
        Ok(self.branch.log.head().await?.seq == self.base.seq)
    }

    /// The rows with their blobs in the graph: what was bytes or a URI is a reference where it
    /// is long. Rows may be admitted again at no cost, and go unchanged into
    /// [`Transaction::insert`] and its kind, which admit what was not. Blobs of a transaction
    /// that is not committed are vacuum's to remove.
    pub async fn admit(&self, table: TypeId, rows: RecordBatch) -> Result<RecordBatch> {
        let def = self.def(table)?;
        self.guard.admits(&def, &self.actor)?;
        let blobs = &self.base.blobs;
        let admitted = blobs.admit_rows(&def, rows, Uris::Copy).await;
        admitted.map_err(|refused| refused.located(&def))
    }

    async fn stored(&self, def: &Arc<TypeDef>, rows: RecordBatch) -> Result<RecordBatch> {
        let rows = self.admit(def.id, rows).await?;
        self.checked(def, as_cells(def, rows)?)
    }

    /// Adds rows that must not be there yet. `rows` has the table's columns in order; where
    /// `id` is NULL it is derived from the key, or made up. Blobs are bytes, or values of
    /// [`crate::blob`].
    pub async fn insert(&mut self, table: TypeId, rows: RecordBatch) -> Result<u64> {
        let def = self.def(table)?;
        let put = self.stored(&def, rows).await?;
        let count = put.num_rows();
        self.apply(vec![TableEffect {
            table,
            put: Some(put),
            replaced: vec![None; count],
            deleted: Vec::new(),
        }])
        .await?;
        Ok(count as u64)
    }

    /// As [`Transaction::insert`], for rows that a statement adds because it found none there:
    /// that somebody else adds one meanwhile is a conflict then, and no duplicate.
    pub async fn insert_missing(&mut self, table: TypeId, rows: RecordBatch) -> Result<u64> {
        let count = self.insert(table, rows).await?;
        self.changes.decided.insert(table);
        Ok(count)
    }

    /// Replaces whole rows, by id.
    pub async fn update(&mut self, table: TypeId, rows: RecordBatch) -> Result<u64> {
        let def = self.def(table)?;
        let put = self.stored(&def, rows).await?;
        let replaced = self.positions(table, &put).await?;
        if let Some(row) = replaced.iter().position(Option::is_none) {
            return Err(Error::not_found(
                ObjectKind::Type,
                format!(
                    "{}({})",
                    def.table,
                    put.column(0).as_string::<i32>().value(row)
                ),
            ));
        }
        let count = put.num_rows();
        self.apply(vec![TableEffect {
            table,
            put: Some(put),
            replaced,
            deleted: Vec::new(),
        }])
        .await?;
        Ok(count as u64)
    }

    /// Adds rows, or replaces those that are there; returns how many of each.
    pub async fn upsert(&mut self, table: TypeId, rows: RecordBatch) -> Result<(u64, u64)> {
        let def = self.def(table)?;
        let put = self.stored(&def, rows).await?;
        let replaced = self.positions(table, &put).await?;
        let updated = replaced.iter().flatten().count() as u64;
        let inserted = replaced.len() as u64 - updated;
        self.apply(vec![TableEffect {
            table,
            put: Some(put),
            replaced,
            deleted: Vec::new(),
        }])
        .await?;
        self.changes.decided.insert(table);
        Ok((inserted, updated))
    }

    /// Deletes rows by id, nodes with their edges. Ids that are not there are passed over.
    pub async fn delete(&mut self, table: TypeId, ids: &[String]) -> Result<Deleted> {
        let def = self.def(table)?;
        let wanted: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
        let wanted: Vec<&str> = wanted.into_iter().collect();
        let view = self.view();
        let found = self.table(&view, table)?.find_ids(&wanted).await?;
        let deleted: Vec<(String, RowPosition)> = wanted
            .iter()
            .zip(found)
            .filter_map(|(id, position)| position.map(|position| ((*id).to_owned(), position)))
            .collect();
        let effects = self.with_cascade(&view, &def, deleted).await?;
        let counts = counts(&def, &effects);
        self.apply(effects).await?;
        Ok(counts)
    }

    /// Empties a table. A node type with edges needs `cascade`, which empties those too.
    pub async fn truncate(&mut self, table: TypeId, cascade: bool) -> Result<Deleted> {
        let def = self.def(table)?;
        let view = self.view();
        let mut tables = vec![def.clone()];
        if def.kind == TypeKind::Node {
            for edge in self.base.schema.edges() {
                let TypeKind::Edge { from, to, .. } = &edge.kind else {
                    continue;
                };
                if *from != table && *to != table {
                    continue;
                }
                if !cascade && self.table(&view, edge.id)?.row_count() > 0 {
                    return Err(Error::Unsupported {
                        message: format!(
                            "cannot truncate \"{}\": edges of \"{}\" refer to it",
                            def.table, edge.table
                        ),
                        hint: Some("Use TRUNCATE … CASCADE to empty both.".to_owned()),
                    });
                }
                tables.push(edge.clone());
            }
        }
        let mut effects = Vec::new();
        for def in &tables {
            effects.push(self.all_rows(&view, def).await?);
        }
        let counts = counts(&def, &effects);
        self.apply(effects).await?;
        self.changes
            .truncated
            .extend(tables.iter().map(|def| def.id));
        Ok(counts)
    }

    /// Locks rows against others, by id: if this transaction commits, whoever wrote one of
    /// them meanwhile conflicts with it, and for [`LockStrength::Update`] whoever locked one.
    pub fn lock(&self, table: TypeId, ids: Vec<String>, strength: LockStrength) -> Result<()> {
        self.locks.add(table, ids, strength)
    }

    /// Puts and deletes rows of several tables at once: the rules between rows are asked of
    /// the outcome. An edge that a deleted node would leave behind is an error.
    pub(crate) async fn apply_rows(&mut self, rows: Vec<TableRows>) -> Result<()> {
        let view = self.view();
        let mut effects = Vec::with_capacity(rows.len());
        for TableRows { table, put, delete } in rows {
            let def = self.def(table)?;
            let put = self.checked(&def, put)?;
            let replaced = self.positions(table, &put).await?;
            let ids: Vec<&str> = delete.iter().map(String::as_str).collect();
            let found = self.table(&view, table)?.find_ids(&ids).await?;
            let deleted = delete.into_iter().zip(found);
            effects.push(TableEffect {
                table,
                put: Some(put),
                replaced,
                deleted: deleted.filter_map(|(id, at)| Some((id, at?))).collect(),
            });
        }
        self.apply(effects).await
    }

    pub fn savepoint(&self) -> Savepoint {
        Savepoint {
            changes: self.changes.clone(),
            locks: self.locks.held(),
        }
    }

    pub fn rollback_to(&mut self, savepoint: &Savepoint) {
        self.changes = savepoint.changes.clone();
        self.locks.restore(&savepoint.locks);
    }

    /// Publishes everything as one commit; `None` if nothing was changed. A commit with the
    /// message's idempotency key that was made before is the answer, and nothing is published.
    ///
    /// Errors: [`Error::Conflict`] when somebody else changed what this transaction wrote or
    /// relied on; [`Error::Constraint`] for a key taken in the meantime or a cardinality not
    /// reached; [`Error::BranchDeleted`]; [`Error::OutcomeUnknown`] when the store fell
    /// silent after the log entry was sent.
    pub async fn commit(self, message: CommitMessage) -> Result<Option<CommitInfo>> {
        if self.changes.is_empty() {
            let Some(key) = &message.idempotency_key else {
                return Ok(None);
            };
            let head = self.branch.head_state().await?;
            return repeat::find(&self.branch, &self.actor, key, &head).await;
        }
        let conditions = Conditions {
            expected_head: message.expected_head,
            reads: self.reads,
            locks: self.locks.held(),
        };
        let base = self.base.clone();
        let publish = async {
            let proposal =
                Proposal::of_rows(self.base, self.changes, conditions, self.actor, message).await?;
            self.branch.submit(proposal).await
        };
        match publish.await {
            Ok(commit) => Ok(Some(commit)),
            Err(error) => Err(base.explain(error).await),
        }
    }

    async fn apply(&mut self, effects: Vec<TableEffect>) -> Result<()> {
        self.changes.check_room(&effects)?;
        if !self.guard.is_open() {
            let view = self.view();
            let checked = self.guard.check_before(&view, &effects, &self.actor);
            Box::pin(checked).await?;
        }
        constraint::check(&self.view(), &effects, Moment::Statement).await?;
        // That an id is its key's text is asked last: a key that is taken is told as such.
        for effect in &effects {
            let Some(put) = &effect.put else { continue };
            let def = self.def(effect.table)?;
            if let Err((_, violation)) = ValueChecker::new(&def).check_ids(put) {
                return Err(violation.into());
            }
        }
        let mut base_chunks = BTreeMap::new();
        for effect in &effects {
            base_chunks.insert(effect.table, self.base_chunks(effect.table).await?);
        }
        let before = (!self.guard.is_open()).then(|| self.changes.clone());
        let guarded = before.as_ref().map(|_| effects.clone());
        for effect in effects {
            let chunks = base_chunks[&effect.table];
            self.changes.apply(effect, chunks)?;
        }
        let (Some(before), Some(effects)) = (before, guarded) else {
            return Ok(());
        };
        let view = self.view();
        let checked = self.guard.check_after(&view, &effects, &self.actor);
        let checked = Box::pin(checked).await;
        if checked.is_err() {
            self.changes = before;
        }
        checked
    }

    async fn base_chunks(&self, table: TypeId) -> Result<u32> {
        let base = self
            .base
            .tables
            .get(&table)
            .ok_or_else(|| Error::internal("a type of the schema has no table"))?;
        Ok(base.chunks().await?.len() as u32)
    }

    fn def(&self, table: TypeId) -> Result<Arc<TypeDef>> {
        self.base
            .schema
            .by_id(table)
            .cloned()
            .ok_or_else(|| Error::not_found(ObjectKind::Type, format!("{:x}", table.0)))
    }

    fn table(&self, view: &Snapshot, table: TypeId) -> Result<crate::table::Table> {
        view.table(table)
            .ok_or_else(|| Error::internal("a type of the schema has no table"))
    }

    async fn positions(
        &self,
        table: TypeId,
        rows: &RecordBatch,
    ) -> Result<Vec<Option<RowPosition>>> {
        let ids: Vec<&str> = rows.column(0).as_string::<i32>().iter().flatten().collect();
        self.table(&self.view(), table)?.find_ids(&ids).await
    }

    /// The rows with their ids, once every value is known to be allowed.
    fn checked(&self, def: &Arc<TypeDef>, rows: RecordBatch) -> Result<RecordBatch> {
        checked_rows(def, rows, &*self.branch.graph.environment)
    }

    /// Deleting a node deletes its edges.
    async fn with_cascade(
        &self,
        view: &Snapshot,
        def: &Arc<TypeDef>,
        deleted: Vec<(String, RowPosition)>,
    ) -> Result<Vec<TableEffect>> {
        let mut effects = Vec::new();
        if def.kind == TypeKind::Node && !deleted.is_empty() {
            let ids: ArrayRef = Arc::new(StringArray::from_iter_values(
                deleted.iter().map(|(id, _)| id),
            ));
            for edge in self.base.schema.edges() {
                let TypeKind::Edge { from, to, .. } = &edge.kind else {
                    continue;
                };
                let table = self.table(view, edge.id)?;
                let mut positions = BTreeSet::new();
                for (column, node) in [(SRC, from), (DST, to)] {
                    if *node == def.id {
                        let found = table.find(&[column], std::slice::from_ref(&ids)).await?;
                        positions.extend(found.into_iter().flatten());
                    }
                }
                if positions.is_empty() {
                    continue;
                }
                let positions: Vec<RowPosition> = positions.into_iter().collect();
                let rows = table.rows(&positions, &[0]).await?;
                let edge_ids = rows.column(0).as_string::<i32>();
                effects.push(TableEffect {
                    table: edge.id,
                    put: None,
                    replaced: Vec::new(),
                    deleted: edge_ids
                        .iter()
                        .flatten()
                        .map(str::to_owned)
                        .zip(positions)
                        .collect(),
                });
            }
        }
        effects.push(TableEffect {
            table: def.id,
            put: None,
            replaced: Vec::new(),
            deleted,
        });
        Ok(effects)
    }

    async fn all_rows(&self, view: &Snapshot, def: &TypeDef) -> Result<TableEffect> {
        let table = self.table(view, def.id)?;
        let mut deleted = Vec::new();
        for (number, chunk) in table.chunks().await?.iter().enumerate() {
            let columns = table.chunk_columns(chunk, &[0]).await?;
            let ids = columns[0].as_string::<i32>();
            for offset in (0..chunk.rows).filter(|offset| chunk.is_live(*offset)) {
                deleted.push((
                    ids.value(offset as usize).to_owned(),
                    RowPosition {
                        chunk: number as u32,
                        offset,
                    },
                ));
            }
        }
        Ok(TableEffect {
            table: def.id,
            put: None,
            replaced: Vec::new(),
            deleted,
        })
    }
}

/// Gives rows their ids, checks every value, and puts them under the table's own schema.
pub(crate) fn checked_rows(
    def: &Arc<TypeDef>,
    rows: RecordBatch,
    environment: &dyn crate::clock::Environment,
) -> Result<RecordBatch> {
    let relaxed = fill_ids(def, &rows, environment)?;
    if let Err((_, violation)) = ValueChecker::new(def).check_values(&relaxed) {
        return Err(violation.into());
    }
    let strict: Arc<ArrowSchema> = def.arrow_schema();
    Ok(RecordBatch::try_new(strict, relaxed.columns().to_vec())?)
}

fn counts(def: &TypeDef, effects: &[TableEffect]) -> Deleted {
    let mut counts = Deleted::default();
    for effect in effects {
        let deleted = effect.deleted.len() as u64;
        if effect.table == def.id && def.kind == TypeKind::Node {
            counts.nodes += deleted;
        } else {
            counts.edges += deleted;
        }
    }
    counts
}
