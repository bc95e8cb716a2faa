//! From a proposal and a state to the next state.
//!
//! A proposal made over the very state it is applied to was checked when its statements ran.
//! Over any other state its rows are found again by id, must stand as the proposal saw them,
//! and every rule between rows is checked anew: hashes and lists may only save a check, what
//! decides is the state.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::AsArray;
use futures::FutureExt;
use roaring::RoaringBitmap;

use super::publish::{Payload, Proposal};
use crate::dataset::{Staged, TableChange, TableVersion};
use crate::error::{ConstraintKind, Error, Result};
use crate::format::{ChangedIds, Commit, CommitKind, TableCommit, TableLine, Written};
use crate::index::same_row;
use crate::maintain::tail;
use crate::schema::TypeId;
use crate::snapshot::{Snapshot, SnapshotState};
use crate::table::{BaseTable, RowPosition, Table};
use crate::write::changes::{Changes, TableChanges, TableEffect};
use crate::write::constraint::{self, Moment};

/// Ids of one commit listed in its log entry, in bytes.
const LISTED_BYTES: usize = 16 << 10;
/// Ids listed in an object of their own.
pub(crate) const LISTED_ROWS: usize = 65_536;

/// One commit, prepared: what to say of it, and the state after it.
pub(crate) struct Prepared {
    /// A vacuum has begun since the base: files of the commit may have been removed.
    pub crossed_fence: bool,
    pub commit: Commit,
    pub state: Arc<SnapshotState>,
    /// The new table versions, with those they were made from: their files must be durable
    /// before the log names them.
    pub written: Vec<(TableVersion, Option<TableVersion>)>,
    /// Ids that found no room in the entry.
    pub listed: ChangedIds,
}

/// Where in the branch's log a commit is to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub generation: u64,
    pub seq: u64,
    pub time: i64,
}

/// Applies `proposal` to `state`. `room` is what the entry has left for lists of ids, in bytes.
pub(crate) async fn prepare(
    proposal: &Proposal,
    state: &Arc<SnapshotState>,
    place: Place,
    room: &mut usize,
) -> Result<Prepared> {
    proposal.conditions.check(&proposal.base, state)?;
    let moved = !same_state(&proposal.base, state);
    if moved {
        check_shapes(proposal, state)?;
    }
    if moved {
        check_locked(proposal, state).await?;
    }
    let deletions = match &proposal.payload {
        Payload::Rows(changes) => {
            let effects = rebased_effects(proposal, changes, state, moved).await?;
            let needs_check = moved || has_minimum(state);
            if needs_check {
                constraint::check(&Snapshot::of(state.clone()), &effects, Moment::Commit)
                    .await
                    .map_err(|error| {
                        if moved {
                            as_conflict(error, proposal)
                        } else {
                            error
                        }
                    })?;
            }
            let mut deletions = BTreeMap::new();
            for effect in effects {
                deletions.insert(effect.table, positions_of(&effect));
            }
            deletions
        }
        Payload::Schema(migration) => {
            // Boxed: types nest deeper than the compiler looks.
            return migration.prepare(proposal, state, place).boxed().await;
        }
        Payload::Bulk(bulk) => bulk.places(&proposal.base, state).boxed().await?,
        Payload::Merge(merge) => merge.places(&proposal.base, state).boxed().await?,
    };
    build(proposal, state, deletions, place, room).await
}

async fn build(
    proposal: &Proposal,
    state: &Arc<SnapshotState>,
    deletions: BTreeMap<TypeId, Vec<RowPosition>>,
    place: Place,
    room: &mut usize,
) -> Result<Prepared> {
    let Place {
        generation,
        seq,
        time,
    } = place;
    let mut tables = state.tables.clone();
    let mut commit_tables = BTreeMap::new();
    let mut written = Vec::new();
    let mut lists = Lists::new(room);
    let touched: Vec<TypeId> = proposal.tables();
    for id in touched {
        let base = table_of(state, id)?;
        let version = base.version().await?.clone();
        let empty = Vec::new();
        let positions = deletions.get(&id).unwrap_or(&empty);
        let added = proposal.staged.get(&id).cloned().unwrap_or_default();
        let next = match proposal.adopted(id) {
            Some(table) => table.version().await?.clone(),
            None => {
                let replaces = proposal.replaces(id);
                next_version(&version, base, positions, added, replaces).await?
            }
        };
        let def = state
            .schema
            .by_id(id)
            .ok_or_else(|| Error::internal("a change names a type that the schema lacks"))?;
        let changed_by = match proposal.adopted(id) {
            Some(table) => table.changed_by(),
            None => proposal.id,
        };
        let line = TableLine {
            location: next.location().clone(),
            shape: def.shape_digest().to_string(),
            changed_by,
        };
        let ids = proposal.written_ids(id);
        let written_ids = match ids {
            None => proposal.unlisted(id),
            Some(ids) => lists.list(ids, |elsewhere| elsewhere.tables.entry(id).or_default()),
        };
        commit_tables.insert(
            id,
            TableCommit {
                after: line,
                written: written_ids,
            },
        );
        let store = base.store().clone();
        let table = BaseTable::of_version(store, next.clone(), changed_by);
        tables.insert(id, Arc::new(table));
        written.push((next, Some(version)));
    }
    let mut locked = BTreeMap::new();
    for (id, rows) in proposal.conditions.locks.exclusive() {
        let ids = rows.into_iter().map(str::to_owned).collect();
        let list = lists.list(ids, |elsewhere| elsewhere.locked.entry(id).or_default());
        locked.insert(id, list);
    }
    let listed = lists.elsewhere;
    let locked_at = if locked.is_empty() {
        state.locked_at
    } else {
        Some(seq)
    };
    let (inserted, updated, deleted) = proposal.counts();
    let merged = proposal.merges();
    let generation = merged.map_or(generation, |(_, other)| generation.max(other + 1));
    let commit = Commit {
        id: proposal.id,
        parents: [state.commit]
            .into_iter()
            .chain(merged.map(|(parent, _)| parent))
            .collect(),
        generation,
        actor: proposal.actor.clone(),
        time,
        message: proposal.message.message.clone(),
        metadata: proposal.message.metadata.clone(),
        idempotency_key: proposal.message.idempotency_key.clone(),
        kind: match merged {
            Some(_) => CommitKind::Merge,
            None => proposal.message.kind,
        },
        schema: None,
        inserted,
        updated,
        deleted,
        tables: commit_tables,
        locked,
        dropped: Vec::new(),
    };
    let state = Arc::new(SnapshotState {
        branch: state.branch.clone(),
        branch_id: state.branch_id.clone(),
        branch_ordinal: state.branch_ordinal,
        seq,
        commit: proposal.id,
        generation,
        lineage: state.lineage.next(seq, commit.parents.len()),
        time,
        schema: state.schema.clone(),
        tables,
        locked_at,
        environment: state.environment.clone(),
        names: state.names.clone(),
    });
    Ok(Prepared {
        crossed_fence: state.lineage.fence != proposal.base.lineage.fence,
        commit,
        state,
        written,
        listed,
    })
}

/// The lists of ids of one commit, in its entry as long as there is room.
struct Lists<'a> {
    own: usize,
    entry: &'a mut usize,
    elsewhere: ChangedIds,
}

impl<'a> Lists<'a> {
    fn new(entry: &'a mut usize) -> Self {
        Lists {
            own: LISTED_BYTES,
            entry,
            elsewhere: ChangedIds::default(),
        }
    }

    fn list(
        &mut self,
        ids: Vec<String>,
        elsewhere: impl FnOnce(&mut ChangedIds) -> &mut Vec<String>,
    ) -> Written {
        let bytes: usize = ids.iter().map(|id| id.len() + 3).sum();
        if bytes <= self.own.min(*self.entry) {
            self.own -= bytes;
            *self.entry -= bytes;
            Written::Ids(ids)
        } else if ids.len() <= LISTED_ROWS {
            *elsewhere(&mut self.elsewhere) = ids;
            Written::Elsewhere
        } else {
            Written::Unlisted
        }
    }
}

/// The table's next version. A commit that leaves many small files merges them itself, so
/// that reading never depends on a background job keeping up.
async fn next_version(
    version: &TableVersion,
    base: &Arc<BaseTable>,
    positions: &[RowPosition],
    added: Staged,
    replaces: bool,
) -> Result<TableVersion> {
    let mut change = TableChange {
        added,
        ..TableChange::default()
    };
    let fragments = version.fragments();
    if replaces {
        for fragment in fragments {
            change
                .deletions
                .insert(fragment.id, (0..fragment.rows).collect());
        }
        return version.commit(change).await;
    }
    for position in positions {
        let fragment = fragments
            .get(position.chunk as usize)
            .ok_or_else(|| Error::internal("a row lies outside its table"))?;
        change
            .deletions
            .entry(fragment.id)
            .or_default()
            .insert(position.offset);
    }
    if let Some(small) = tail::to_merge(fragments) {
        merge_tail(version, base, &small, &mut change).await?;
    }
    version.commit(change).await
}

async fn merge_tail(
    version: &TableVersion,
    base: &Arc<BaseTable>,
    small: &[usize],
    change: &mut TableChange,
) -> Result<()> {
    let chunks = base.chunks().await?;
    let mut batches = Vec::new();
    for &number in small {
        let fragment = &version.fragments()[number];
        let gone = change.deletions.entry(fragment.id).or_default();
        let live = tail::live_offsets(&chunks[number], gone);
        if !live.is_empty() {
            batches.push(tail::read(version, fragment, &live).await?);
        }
        *gone = (0..fragment.rows).collect::<RoaringBitmap>();
    }
    let Some(first) = batches.first() else {
        return Ok(());
    };
    let merged = arrow::compute::concat_batches(&first.schema(), &batches)?;
    change.added.extend(version.stage(vec![merged]).await?);
    Ok(())
}

fn same_state(base: &SnapshotState, state: &SnapshotState) -> bool {
    base.branch_id == state.branch_id && base.seq == state.seq
        || (base.commit == state.commit
            && base.tables.len() == state.tables.len()
            && base
                .tables
                .iter()
                .all(|(id, table)| same_table(Some(table), state.tables.get(id))))
}

fn same_rows(left: Option<&Arc<BaseTable>>, right: Option<&Arc<BaseTable>>) -> bool {
    matches!((left, right), (Some(left), Some(right)) if left.same_rows(right))
}

fn same_table(left: Option<&Arc<BaseTable>>, right: Option<&Arc<BaseTable>>) -> bool {
    matches!((left, right), (Some(left), Some(right)) if left.same_version(right))
}

/// What was written was checked against a definition: it must still be that one.
fn check_shapes(proposal: &Proposal, state: &SnapshotState) -> Result<()> {
    if proposal.base.schema.digest() == state.schema.digest() {
        return Ok(());
    }
    for id in proposal.tables() {
        let before = proposal.base.schema.by_id(id);
        let after = state.schema.by_id(id);
        let same = match (before, after) {
            (Some(before), Some(after)) => before.shape_digest() == after.shape_digest(),
            _ => false,
        };
        if !same {
            return Err(conflict(
                proposal,
                id,
                "",
                "its definition",
                "another definition",
            ));
        }
    }
    Ok(())
}

/// What the changes do to `state`.
async fn rebased_effects(
    proposal: &Proposal,
    changes: &Changes,
    state: &Arc<SnapshotState>,
    moved: bool,
) -> Result<Vec<TableEffect>> {
    let mut effects = Vec::new();
    for (&id, table_changes) in &changes.tables {
        let base = table_of(&proposal.base, id)?;
        let now = table_of(state, id)?;
        let shifted = moved && !same_table(Some(base), Some(now));
        let changed = moved && !same_rows(Some(base), Some(now));
        if changed && changes.truncated.contains(&id) {
            return Err(conflict(
                proposal,
                id,
                "",
                "an unchanged table",
                "rows were changed",
            ));
        }
        let positions = if shifted {
            moved_positions(proposal, id, table_changes, state).await?
        } else {
            table_changes
                .rows
                .iter()
                .filter_map(|(row, change)| change.base.map(|base| (row.clone(), base)))
                .collect()
        };
        let put = proposal.put.get(&id).cloned();
        let replaced = match &put {
            None => Vec::new(),
            Some(put) => put
                .column(0)
                .as_string::<i32>()
                .iter()
                .map(|row| row.and_then(|row| positions.get(row).copied()))
                .collect(),
        };
        let mut deleted: Vec<(String, RowPosition)> = table_changes
            .rows
            .iter()
            .filter(|(_, change)| !change.present)
            .filter_map(|(row, _)| positions.get(row).map(|at| (row.to_string(), *at)))
            .collect();
        deleted.sort();
        effects.push(TableEffect {
            table: id,
            put,
            replaced,
            deleted,
        });
    }
    Ok(effects)
}

/// Where the rows that were changed are in `state`; a conflict if one is not as it was.
async fn moved_positions(
    proposal: &Proposal,
    id: TypeId,
    changes: &TableChanges,
    state: &Arc<SnapshotState>,
) -> Result<HashMap<Arc<str>, RowPosition>> {
    let (rows, before): (Vec<&Arc<str>>, Vec<RowPosition>) = changes
        .rows
        .iter()
        .filter_map(|(row, change)| change.base.map(|base| (row, base)))
        .unzip();
    let ids: Vec<&str> = rows.iter().map(|row| &***row).collect();
    let found = unchanged(proposal, id, &ids, &before, state).await?;
    Ok(rows.into_iter().cloned().zip(found).collect())
}

/// A conflict if a row that was locked is not as it was.
async fn check_locked(proposal: &Proposal, state: &Arc<SnapshotState>) -> Result<()> {
    let base = Snapshot::of(proposal.base.clone());
    for (id, rows) in proposal.conditions.locks.rows() {
        if same_rows(proposal.base.tables.get(&id), state.tables.get(&id)) {
            continue;
        }
        let before = base.table(id).ok_or_else(missing)?.find_ids(&rows).await?;
        // A row that the transaction itself has inserted is not there to be locked.
        let (rows, before): (Vec<&str>, Vec<RowPosition>) = rows
            .into_iter()
            .zip(before)
            .filter_map(|(row, position)| Some((row, position?)))
            .unzip();
        unchanged(proposal, id, &rows, &before, state).await?;
    }
    Ok(())
}

/// Where rows of the base are in `state`; a conflict if one is not as it was.
async fn unchanged(
    proposal: &Proposal,
    id: TypeId,
    ids: &[&str],
    positions: &[RowPosition],
    state: &Arc<SnapshotState>,
) -> Result<Vec<RowPosition>> {
    let before = Snapshot::of(proposal.base.clone());
    let after = Snapshot::of(state.clone());
    let before: Table = before.table(id).ok_or_else(missing)?;
    let after: Table = after.table(id).ok_or_else(missing)?;
    let found = after.find_ids(ids).await?;
    let (old_chunks, new_chunks) = (before.chunks().await?, after.chunks().await?);
    let mut moved = Vec::with_capacity(ids.len());
    let mut relocated: Vec<(RowPosition, RowPosition, &str)> = Vec::new();
    for ((row, old), new) in ids.iter().zip(positions).zip(found) {
        let Some(new) = new else {
            let gone = "the row is gone";
            return Err(conflict(proposal, id, row, "the row as it was", gone));
        };
        let same_place = old.offset == new.offset
            && old_chunks[old.chunk as usize].key == new_chunks[new.chunk as usize].key;
        if !same_place {
            relocated.push((*old, new, row));
        }
        moved.push(new);
    }
    if !relocated.is_empty() {
        let columns: Vec<usize> = (0..before.def().columns().len()).collect();
        let olds: Vec<RowPosition> = relocated.iter().map(|(old, _, _)| *old).collect();
        let news: Vec<RowPosition> = relocated.iter().map(|(_, new, _)| *new).collect();
        let olds = before.rows(&olds, &columns).await?;
        let news = after.rows(&news, &columns).await?;
        for (at, (_, _, row)) in relocated.iter().enumerate() {
            if !same_row(&olds, at, &news, at)? {
                let changed = "the row was changed";
                return Err(conflict(proposal, id, row, "the row as it was", changed));
            }
        }
    }
    Ok(moved)
}

fn missing() -> Error {
    Error::internal("a type of the schema has no table")
}

fn positions_of(effect: &TableEffect) -> Vec<RowPosition> {
    effect
        .deleted
        .iter()
        .map(|(_, position)| *position)
        .chain(effect.replaced.iter().flatten().copied())
        .collect()
}

fn has_minimum(state: &SnapshotState) -> bool {
    state.schema.edges().any(
        |edge| matches!(&edge.kind, crate::schema::TypeKind::Edge { card, .. } if card.min > 0),
    )
}

/// A rule that held when the statement ran and fails now was broken by somebody else. A key
/// taken in the meantime says so itself.
fn as_conflict(error: Error, proposal: &Proposal) -> Error {
    match error {
        Error::Constraint(violation) if violation.kind != ConstraintKind::Unique => {
            Error::Conflict {
                table: violation.table.clone(),
                id: String::new(),
                branch: proposal.base.branch.to_string(),
                expected: "the rows that the change relied on".to_owned(),
                actual: violation.detail.clone().unwrap_or_default(),
            }
        }
        other => other,
    }
}

pub(crate) fn conflict(
    proposal: &Proposal,
    table: TypeId,
    id: &str,
    expected: &str,
    actual: &str,
) -> Error {
    let table = proposal
        .base
        .schema
        .by_id(table)
        .map(|def| def.table.clone())
        .unwrap_or_default();
    Error::Conflict {
        table,
        id: id.to_owned(),
        branch: proposal.base.branch.to_string(),
        expected: expected.to_owned(),
        actual: actual.to_owned(),
    }
}

pub(crate) fn table_of(state: &SnapshotState, id: TypeId) -> Result<&Arc<BaseTable>> {
    state.tables.get(&id).ok_or_else(missing)
}
