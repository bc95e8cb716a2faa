//! A merge on its way into the target's log, past whoever else writes there.
//!
//! It was decided over one state of the target. Over a newer one only what was written since is
//! looked at: rows that nothing in the merge rests on leave it as it is, with the places of its
//! rows found again; anything else makes it start over.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};

use super::claims::{Claims, TableClaims};
use super::plan::Plan;
use super::reshape::Shape;
use super::{Counts, unique};
use crate::changed::{self, Pair, Pairs, Places};
use crate::commit::proposal::Proposal;
use crate::commit::rebase::{Place, Prepared, build, table_of};
use crate::error::{Error, Result};
use crate::index::{tuple_equality, tuple_hashes};
use crate::names::CommitId;
use crate::schema::{TypeDef, TypeId, TypeKind};
use crate::snapshot::{Snapshot, SnapshotState};
use crate::table::{BaseTable, RowPosition, Table};
use crate::write::constraint::{DST, SRC};

/// Pairs that are compared by value together.
const PAGE: usize = 2048;

/// What a merge changes, apart from the rows that it puts.
pub(crate) struct MergeChange {
    /// The commit that is merged: the second parent.
    pub parent: CommitId,
    pub generation: u64,
    pub tables: BTreeMap<TypeId, MergedTable>,
    /// The schema that it brings along, if the target has another one.
    shape: Option<Shape>,
    /// What it rests on; `None`: too much to be kept.
    claims: Option<Claims>,
}

pub(crate) struct MergedTable {
    /// The source's version, where the target's is replaced by it.
    pub adopted: Option<Arc<BaseTable>>,
    pub counts: Counts,
    pub written: Option<Vec<String>>,
    replaced: Places,
}

impl MergeChange {
    pub(super) fn of(plan: Plan) -> Result<MergeChange> {
        let (ours, theirs) = (&plan.ours.own.state, &plan.theirs.own.state);
        let shape = (plan.schema.digest() != ours.schema.digest())
            .then(|| Shape::of(&plan.schema, &plan.made, ours, theirs))
            .transpose()?;
        let mut tables = BTreeMap::new();
        for (id, table) in plan.tables {
            if table.counts == Counts::default() {
                continue;
            }
            let adopted = table
                .adopts
                .then(|| table_of(theirs, id).cloned())
                .transpose()?;
            let merged = MergedTable {
                adopted,
                counts: table.counts,
                written: table.written,
                replaced: table.replaced,
            };
            tables.insert(id, merged);
        }
        Ok(MergeChange {
            parent: theirs.commit,
            generation: theirs.generation,
            tables,
            shape,
            claims: (!plan.claims.are_too_many()).then_some(plan.claims),
        })
    }

    /// The commit, if the merge brings a schema along: over nothing but the state that it was
    /// decided over.
    pub async fn prepare(
        &self,
        proposal: &Proposal,
        state: &Arc<SnapshotState>,
        place: Place,
        room: &mut usize,
    ) -> Result<Option<Prepared>> {
        let Some(shape) = &self.shape else {
            return Ok(None);
        };
        let base = &proposal.base;
        if base.branch_id != state.branch_id || base.seq != state.seq {
            return Err(again(state, "", "something was committed"));
        }
        let places = self.places(base, &Snapshot::of(state.clone())).await?;
        let merged = shape.over(state, proposal.id);
        let prepared = build(proposal, &merged, places, place, room).await?;
        shape.stated(prepared, state, &merged).await.map(Some)
    }

    /// Rows inserted, updated and deleted.
    pub fn counts(&self) -> (u64, u64, u64) {
        self.tables.values().fold((0, 0, 0), |sum, table| {
            (
                sum.0 + table.counts.inserted,
                sum.1 + table.counts.updated,
                sum.2 + table.counts.deleted,
            )
        })
    }

    /// Where the rows that are replaced or deleted are in the state that comes `after` the base;
    /// a conflict if the merge must be done again.
    pub async fn places(
        &self,
        base: &Arc<SnapshotState>,
        after: &Snapshot,
    ) -> Result<BTreeMap<TypeId, Vec<RowPosition>>> {
        let state = &after.state;
        if base.schema.digest() != state.schema.digest() {
            return Err(again(state, "", "its schema was changed"));
        }
        let before = Snapshot::of(base.clone());
        let mut places = BTreeMap::new();
        for def in base.schema.nodes().chain(base.schema.edges()) {
            let merged = self.tables.get(&def.id);
            let (old, new) = (before.table(def.id), after.table(def.id));
            let (Some(old), Some(new)) = (old, new) else {
                return Err(Error::internal("a type of the schema has no table"));
            };
            let relocated = if old.same_rows(&new) {
                HashMap::new()
            } else {
                self.pass(def, merged, &old, &new, state).await?
            };
            // What is adopted replaces all rows.
            let Some(merged) = merged.filter(|merged| merged.adopted.is_none()) else {
                continue;
            };
            let found = if old.key() == new.key() {
                positions(&merged.replaced).collect()
            } else {
                let replaced = || positions(&merged.replaced);
                let stayed = replaced().filter(|at| !relocated.contains_key(at));
                let mut found = changed::relocated(&old, &new, stayed).await?;
                found.extend(replaced().filter_map(|at| relocated.get(&at)));
                found
            };
            places.insert(def.id, found);
        }
        Ok(places)
    }

    /// Checks what others wrote to one table. Answers where rows that the merge decided about
    /// have moved to, unchanged.
    async fn pass(
        &self,
        def: &TypeDef,
        merged: Option<&MergedTable>,
        old: &Table,
        new: &Table,
        state: &SnapshotState,
    ) -> Result<HashMap<RowPosition, RowPosition>> {
        let adopts = merged.is_some_and(|merged| merged.adopted.is_some());
        let Some(claims) = self.claims.as_ref().filter(|_| !adopts) else {
            return Err(again(state, &def.table, "rows were changed"));
        };
        let none = TableClaims::default();
        let own = claims.tables.get(&def.id).unwrap_or(&none);
        let mut relocated = HashMap::new();
        let mut pairs = Pairs::between(Some(old.clone()), Some(new.clone())).await?;
        while let Some(range) = pairs.next().await? {
            for page in range.chunks(PAGE) {
                let gone = |pair: &&Pair| pair.new.is_none();
                let clashes = claims.ends.get(&def.id).is_some_and(|ends| {
                    page.iter()
                        .filter(gone)
                        .any(|pair| ends.contains_id(&pair.id))
                });
                if clashes {
                    return Err(again(state, &def.table, "a node was deleted"));
                }
                for (from, to) in unchanged(own, page, old, new, state).await? {
                    relocated.insert(from, to);
                }
                let added: Vec<RowPosition> = page.iter().filter_map(|pair| pair.new).collect();
                let columns: Vec<usize> = (0..def.columns().len()).collect();
                let rows = new.take(&added, &columns).await?;
                if clash(def, claims, own, &rows)? {
                    return Err(again(state, &def.table, "a row was written"));
                }
                let removed: Vec<RowPosition> = page.iter().filter_map(|pair| pair.old).collect();
                if def.is_edge() && !own.sources.is_empty() {
                    let sources = old.take(&removed, &[SRC]).await?;
                    let mut sources = sources.column(0).as_string::<i32>().iter().flatten();
                    if sources.any(|source| own.sources.contains_id(source)) {
                        return Err(again(state, &def.table, "an edge was deleted"));
                    }
                }
            }
        }
        Ok(relocated)
    }
}

/// Rows that the merge decided about may only have moved.
async fn unchanged(
    own: &TableClaims,
    page: &[Pair],
    old: &Table,
    new: &Table,
    state: &SnapshotState,
) -> Result<Vec<(RowPosition, RowPosition)>> {
    let table = &old.def().table;
    let mut moves = Vec::new();
    for pair in page.iter().filter(|pair| own.decided.contains_id(&pair.id)) {
        match (pair.old, pair.new) {
            (Some(from), Some(to)) => moves.push((from, to)),
            _ => return Err(again(state, table, "a row was inserted or deleted")),
        }
    }
    let columns: Vec<usize> = (0..old.def().columns().len()).collect();
    let (froms, tos): (Vec<RowPosition>, Vec<RowPosition>) = moves.iter().copied().unzip();
    let (olds, news) = (
        old.take(&froms, &columns).await?,
        new.take(&tos, &columns).await?,
    );
    let equal = tuple_equality(olds.columns(), news.columns())?;
    if !(0..moves.len()).all(|row| equal(row, row)) {
        return Err(again(state, table, "a row was changed"));
    }
    Ok(moves)
}

/// Could rows that others wrote break a rule together with rows of the merge?
fn clash(def: &TypeDef, claims: &Claims, own: &TableClaims, rows: &RecordBatch) -> Result<bool> {
    for (unique, tuples) in unique::constraints(def).zip(&own.tuples) {
        let columns = unique.columns.iter();
        let values: Vec<_> = columns.map(|at| rows.column(*at).clone()).collect();
        let mut hashes = tuple_hashes(&values)?.into_iter().flatten();
        if hashes.any(|hash| tuples.contains(hash)) {
            return Ok(true);
        }
    }
    let TypeKind::Edge { from, to, .. } = &def.kind else {
        return Ok(false);
    };
    let texts = |column: usize| rows.column(column).as_string::<i32>().iter().flatten();
    if texts(SRC).any(|source| own.sources.contains_id(source)) {
        return Ok(true);
    }
    Ok([(SRC, from), (DST, to)].into_iter().any(|(column, node)| {
        claims
            .tables
            .get(node)
            .is_some_and(|node| texts(column).any(|end| node.deleted.contains_id(end)))
    }))
}

fn positions(places: &Places) -> impl Iterator<Item = RowPosition> + '_ {
    places.iter().flat_map(|(&chunk, offsets)| {
        offsets
            .iter()
            .map(move |offset| RowPosition { chunk, offset })
    })
}

fn again(state: &SnapshotState, table: &str, actual: &str) -> Error {
    Error::Conflict {
        table: table.to_owned(),
        id: String::new(),
        branch: state.branch.to_string(),
        expected: "the target as the merge saw it".to_owned(),
        actual: actual.to_owned(),
    }
}
