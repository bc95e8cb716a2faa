//! What the changes of a proposal do to a state, and whether they still may: the rows that it
//! wrote or locked have to be as they were, and the rules between rows to hold.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};

use super::between::Between;
use super::proposal::{Payload, Proposal};
use super::rebase::{conflict, missing, table_of};
use crate::error::{ConstraintKind, Error, Result};
use crate::index::same_row;
use crate::schema::{TypeId, TypeKind};
use crate::snapshot::{Snapshot, SnapshotState};
use crate::table::{BaseTable, RowPosition, Table};
use crate::write::changes::{Changes, TableChanges, TableEffect};
use crate::write::constraint::{self, Moment};

/// What the changes do to the state they were made over, whose rules were asked as statements
/// ran, but for those that hold for whole transactions.
pub(super) async fn unmoved(proposal: &Proposal, changes: &Changes) -> Result<Vec<TableEffect>> {
    let effects = base_effects(proposal, changes);
    if has_minimum(&proposal.base) {
        let before = Snapshot::of(proposal.base.clone());
        constraint::check(&before, &effects, Moment::Commit).await?;
    }
    Ok(effects)
}

/// What the changes do to `state`, which is not the one they were made over.
pub(super) async fn moved(
    proposal: &Proposal,
    changes: &Changes,
    state: &Arc<SnapshotState>,
    between: &Between<'_>,
) -> Result<Vec<TableEffect>> {
    let effects = moved_effects(proposal, changes, state, between).await?;
    let before = Snapshot::of(state.clone());
    match constraint::check(&before, &effects, Moment::Commit).await {
        Ok(()) => Ok(effects),
        Err(error) => Err(broken_by(error, proposal, changes).await),
    }
}

/// Are they one state, as far as anything written over one goes?
pub(super) fn same_state(base: &SnapshotState, state: &SnapshotState) -> bool {
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

/// What was written or locked was seen under a definition: it must still be that one. Tables
/// that rows only refer to are asked again, under the rules that hold by then.
pub(super) fn check_shapes(proposal: &Proposal, state: &SnapshotState) -> Result<()> {
    let base = &proposal.base;
    if base.schema.digest() == state.schema.digest() {
        return Ok(());
    }
    let types: BTreeSet<TypeId> = match &proposal.payload {
        // Its rows were checked while they came, and are not checked again.
        Payload::Bulk(_) => base
            .tables
            .keys()
            .chain(state.tables.keys())
            .copied()
            .collect(),
        _ => {
            let locked = proposal.conditions.locks.rows().map(|(id, _)| id);
            proposal.tables().into_iter().chain(locked).collect()
        }
    };
    for id in types {
        let same = match (base.schema.by_id(id), state.schema.by_id(id)) {
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

/// What the changes do to the state they were made over.
fn base_effects(proposal: &Proposal, changes: &Changes) -> Vec<TableEffect> {
    let effect = |(&id, table): (&TypeId, &TableChanges)| {
        let positions = table
            .rows
            .iter()
            .filter_map(|(row, change)| change.base.map(|base| (row.clone(), base)))
            .collect();
        effect_at(id, table, proposal.put.get(&id), &positions)
    };
    changes.tables.iter().map(effect).collect()
}

/// What the changes do to `state`, which is not the one they were made over.
async fn moved_effects(
    proposal: &Proposal,
    changes: &Changes,
    state: &Arc<SnapshotState>,
    between: &Between<'_>,
) -> Result<Vec<TableEffect>> {
    let mut effects = Vec::new();
    for (&id, table) in &changes.tables {
        let base = table_of(&proposal.base, id)?;
        let now = table_of(state, id)?;
        if changes.truncated.contains(&id) && !same_rows(Some(base), Some(now)) {
            return Err(conflict(
                proposal,
                id,
                "",
                "an unchanged table",
                "rows were changed",
            ));
        }
        let positions = moved_positions(proposal, id, table, state, between).await?;
        effects.push(effect_at(id, table, proposal.put.get(&id), &positions));
    }
    Ok(effects)
}

/// What changes do to a table in which the rows that they change are at `positions`.
fn effect_at(
    table: TypeId,
    changes: &TableChanges,
    put: Option<&RecordBatch>,
    positions: &HashMap<Arc<str>, RowPosition>,
) -> TableEffect {
    let replaced = match put {
        None => Vec::new(),
        Some(put) => put
            .column(0)
            .as_string::<i32>()
            .iter()
            .map(|row| row.and_then(|row| positions.get(row).copied()))
            .collect(),
    };
    let mut deleted: Vec<(String, RowPosition)> = changes
        .rows
        .iter()
        .filter(|(_, change)| !change.present)
        .filter_map(|(row, _)| positions.get(row).map(|at| (row.to_string(), *at)))
        .collect();
    deleted.sort();
    TableEffect {
        table,
        put: put.cloned(),
        replaced,
        deleted,
    }
}

/// Where the rows that were changed are in `state`; a conflict if one is not as it was.
async fn moved_positions(
    proposal: &Proposal,
    id: TypeId,
    changes: &TableChanges,
    state: &Arc<SnapshotState>,
    between: &Between<'_>,
) -> Result<HashMap<Arc<str>, RowPosition>> {
    let held = changes.rows.iter();
    let held = held.filter_map(|(row, change)| change.base.map(|base| (row, base)));
    let mut held: Vec<(&Arc<str>, RowPosition)> = held.collect();
    // So that what is read comes in one order.
    held.sort_unstable();
    let (rows, before): (Vec<&Arc<str>>, Vec<RowPosition>) = held.into_iter().unzip();
    let ids: Vec<&str> = rows.iter().map(|row| &***row).collect();
    let found = unchanged(proposal, id, &ids, &before, state, between).await?;
    Ok(rows.into_iter().cloned().zip(found).collect())
}

/// A conflict if a row that was locked is not as it was.
pub(super) async fn check_locked(
    proposal: &Proposal,
    state: &Arc<SnapshotState>,
    between: &Between<'_>,
) -> Result<()> {
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
        unchanged(proposal, id, &rows, &before, state, between).await?;
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
    between: &Between<'_>,
) -> Result<Vec<RowPosition>> {
    if same_table(proposal.base.tables.get(&id), state.tables.get(&id)) {
        return Ok(positions.to_vec());
    }
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
    let relocated = relocated.iter().map(|(_, _, row)| *row).collect();
    between.check_written(id, &relocated).await?;
    Ok(moved)
}

fn has_minimum(state: &SnapshotState) -> bool {
    state
        .schema
        .edges()
        .any(|edge| matches!(&edge.kind, TypeKind::Edge { card, .. } if card.min > 0))
}

/// Who broke a rule that fails over another state than the writer's own: the writer, if it
/// fails over that too; else somebody else, and to run again may help. A key taken meanwhile
/// says so itself, unless its statement would decide otherwise by now.
async fn broken_by(error: Error, proposal: &Proposal, changes: &Changes) -> Error {
    let Error::Constraint(violation) = &error else {
        return error;
    };
    if violation.kind == ConstraintKind::Unique {
        let table = proposal.base.schema.table(&violation.table);
        if !table.is_some_and(|table| changes.decided.contains(&table.id)) {
            return error;
        }
    } else {
        let before = Snapshot::of(proposal.base.clone());
        let effects = base_effects(proposal, changes);
        if let Err(own) = constraint::check(&before, &effects, Moment::Commit).await {
            return own;
        }
    }
    Error::Conflict {
        table: violation.table.clone(),
        id: String::new(),
        branch: proposal.base.branch.to_string(),
        expected: "the rows that the change relied on".to_owned(),
        actual: violation.detail.clone().unwrap_or_default(),
    }
}
