//! From a proposal and a state to the next state.
//!
//! A proposal made over the very state it is applied to was checked when its statements ran.
//! Over any other state its rows are found again by id, must stand as the proposal saw them,
//! and every rule between rows is checked anew: hashes and lists may only save a check, what
//! decides is the state.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use roaring::RoaringBitmap;

use super::between::Between;
use super::effects;
use super::proposal::{Payload, Proposal};
use crate::dataset::{Staged, TableChange, TableVersion};
use crate::error::{Error, Result};
use crate::format::{ChangedIds, Commit, CommitKind, TableCommit, TableLine, Written};
use crate::maintain::tail;
use crate::schema::TypeId;
use crate::snapshot::SnapshotState;
use crate::table::{BaseTable, RowPosition};

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

/// Applies `proposal` to `state`. `between` knows what was committed since its base; `room` is
/// what the entry has left for lists of ids, in bytes.
pub(super) async fn prepare(
    proposal: &Proposal,
    state: &Arc<SnapshotState>,
    between: &Between<'_>,
    place: Place,
    room: &mut usize,
) -> Result<Prepared> {
    proposal.conditions.check(&proposal.base, state)?;
    between.check_locks().await?;
    let moved = !effects::same_state(&proposal.base, state);
    if moved {
        effects::check_shapes(proposal, state)?;
        effects::check_locked(proposal, state, between).await?;
    }
    let deletions = match &proposal.payload {
        Payload::Rows(changes) => {
            let effects = match moved {
                true => effects::moved(proposal, changes, state, between).await?,
                false => effects::unmoved(proposal, changes).await?,
            };
            effects
                .iter()
                .map(|effect| (effect.table, effect.positions()))
                .collect()
        }
        Payload::Schema(migration) => {
            // Boxed: types nest deeper than the compiler looks.
            return migration.prepare(proposal, state, place).boxed().await;
        }
        Payload::Bulk(bulk) => bulk.places(&proposal.base, state).boxed().await?,
        Payload::Merge(merge) => {
            let whole = merge.prepare(proposal, state, place, room).boxed().await?;
            if let Some(prepared) = whole {
                return Ok(prepared);
            }
            let after = between.over(state).boxed().await?;
            merge.places(&proposal.base, &after).boxed().await?
        }
    };
    build(proposal, state, deletions, place, room).await
}

/// The commit of a proposal whose rows are known to fit `state`.
pub(crate) async fn build(
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
        blobs: state.blobs.clone(),
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

pub(super) fn missing() -> Error {
    Error::internal("a type of the schema has no table")
}

pub(crate) fn table_of(state: &SnapshotState, id: TypeId) -> Result<&Arc<BaseTable>> {
    state.tables.get(&id).ok_or_else(missing)
}
