//! Unique values across both sides of a merge.
//!
//! Each side's rows differ among themselves, so a value can only be there twice if ours changed
//! the one row and the merge puts the other. What ours changed is held as hashes; rows that are
//! put are compared with it as they pass. A row made of both sides may hold a value that neither
//! side has; those few are looked up in both. So is every row that a side changed which has not
//! asked for the constraint: the other side has added it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::concat;

use super::claims::{Hashes, TableClaims};
use super::conflict::{ConflictKind, MOST, MergeConflict};
use super::plan::PAGE;
use super::schemas::NewRules;
use super::table_plan::{holds, insert};
use super::three_way::Page;
use crate::changed::Places;
use crate::error::Result;
use crate::index::{tuple_equality, tuple_hashes};
use crate::schema::{TypeDef, Unique};
use crate::table::{RowPosition, Table};

/// One table's unique constraints during a merge.
#[derive(Debug, Default)]
pub(super) struct Uniques {
    checks: Vec<Check>,
    /// The rows that ours changed.
    changed: Places,
}

#[derive(Debug)]
struct Check {
    unique: Unique,
    /// A side has not asked for it: its rows may not even differ among themselves.
    new_to_ours: bool,
    new_to_theirs: bool,
    /// The rows that ours changed: hash of the value, and where.
    held: Vec<(u64, RowPosition)>,
    /// Rows of ours that are replaced by rows with the same value.
    kept: Places,
    /// Rows of theirs that are put with their value.
    put: Places,
    /// A row that is put, and a row of ours with its value.
    suspects: Vec<(String, RowPosition)>,
    /// Rows that are put with a value that neither side has for them.
    odd: Vec<(String, Vec<ArrayRef>)>,
    /// Rows of ours that theirs deleted and the merge keeps.
    undeleted: Vec<RowPosition>,
}

/// A row that is put, for these checks.
pub(super) struct PutRow {
    /// In the page.
    pub row: usize,
    pub theirs: Option<RowPosition>,
    pub replaces: Option<RowPosition>,
    /// Does it have values of both sides?
    pub mixed: bool,
}

/// The unique constraints that ids do not enforce already: equal keys have equal ids.
pub(super) fn constraints(def: &TypeDef) -> impl Iterator<Item = &Unique> {
    def.uniques
        .iter()
        .filter(|unique| def.key.is_empty() || unique.properties != def.key)
}

impl Uniques {
    /// `changed`: the rows of ours that are not in the base.
    pub async fn of(ours: &Table, changed: &Places) -> Result<Uniques> {
        let chunks = ours.chunks().await?;
        let mut checks = Vec::new();
        for unique in constraints(ours.def()) {
            let mut held = Vec::new();
            for (&chunk, offsets) in changed {
                let offsets: Vec<u32> = offsets.iter().collect();
                let values = ours
                    .take_of(&chunks[chunk as usize], &unique.columns, &offsets)
                    .await?;
                for (hash, &offset) in tuple_hashes(&values)?.into_iter().zip(&offsets) {
                    held.extend(hash.map(|hash| (hash, RowPosition { chunk, offset })));
                }
            }
            held.sort_unstable();
            checks.push(Check {
                unique: unique.clone(),
                new_to_ours: false,
                new_to_theirs: false,
                held,
                kept: Places::new(),
                put: Places::new(),
                suspects: Vec::new(),
                odd: Vec::new(),
                undeleted: Vec::new(),
            });
        }
        Ok(Uniques {
            checks,
            changed: changed.clone(),
        })
    }

    /// What the sides have not asked of their rows is asked of each that they changed.
    pub fn require(&mut self, def: &TypeDef, new_to_ours: &NewRules, new_to_theirs: &NewRules) {
        for check in &mut self.checks {
            let columns = check.unique.columns.iter();
            let all = def.columns();
            let columns: Vec<String> = columns.map(|at| all[*at].physical.clone()).collect();
            check.new_to_ours = new_to_ours.uniques.contains(&columns);
            check.new_to_theirs = new_to_theirs.uniques.contains(&columns);
        }
    }

    /// Rows are put: `batch` has them in the order of `rows`.
    pub async fn put(
        &mut self,
        ours: &Table,
        page: &Page,
        batch: &RecordBatch,
        rows: &[PutRow],
        claims: &mut TableClaims,
    ) -> Result<()> {
        claims
            .tuples
            .resize_with(self.checks.len(), Hashes::default);
        for (check, tuples) in self.checks.iter_mut().zip(&mut claims.tuples) {
            check.put(ours, page, batch, rows, tuples).await?;
        }
        Ok(())
    }

    pub fn keep(&mut self, at: RowPosition) {
        for check in &mut self.checks {
            check.undeleted.push(at);
        }
    }

    /// `replaced`: the rows of ours that are replaced or deleted.
    pub async fn violations(
        &self,
        ours: &Table,
        theirs: &Table,
        replaced: &Places,
    ) -> Result<Vec<MergeConflict>> {
        let mut found = Vec::new();
        for check in &self.checks {
            let mut pairs = Vec::new();
            for (id, at) in &check.suspects {
                if check.remains(replaced, *at) {
                    pairs.push((id_at(ours, *at).await?, id.clone()));
                }
            }
            for (id, held) in check.odd_pairs(ours, theirs, replaced).await? {
                pairs.push((held, id));
            }
            for &at in &check.undeleted {
                let id = id_at(ours, at).await?;
                let row = ours.take(&[at], &check.unique.columns).await?;
                if let Some(other) = check.put_with(theirs, row.columns(), &id).await? {
                    pairs.push((id, other));
                }
            }
            if check.new_to_ours {
                let mut places = self.changed.clone();
                for (chunk, offsets) in &mut places {
                    let remains = |offset: u32| {
                        let chunk = *chunk;
                        check.remains(replaced, RowPosition { chunk, offset })
                    };
                    *offsets = offsets.iter().filter(|offset| remains(*offset)).collect();
                }
                let twice = check.twice(ours, &places, ours, theirs, replaced).await?;
                pairs.extend(twice);
            }
            if check.new_to_theirs {
                let twice = check.twice(theirs, &check.put, ours, theirs, replaced);
                pairs.extend(twice.await?.into_iter().map(|(put, held)| (held, put)));
            }
            let mut told = BTreeSet::new();
            for (held, put) in pairs {
                let pair = if held < put {
                    (held.clone(), put.clone())
                } else {
                    (put.clone(), held.clone())
                };
                if told.insert(pair) {
                    found.push(check.conflict(ours, &held, &put));
                }
            }
        }
        Ok(found)
    }
}

impl Check {
    async fn put(
        &mut self,
        ours: &Table,
        page: &Page,
        batch: &RecordBatch,
        rows: &[PutRow],
        tuples: &mut Hashes,
    ) -> Result<()> {
        let of = |batch: &RecordBatch| -> Vec<ArrayRef> {
            let columns = self.unique.columns.iter();
            columns.map(|at| batch.column(*at).clone()).collect()
        };
        let values = of(batch);
        let is_ours = tuple_equality(&values, &of(&page.ours.rows))?;
        let is_theirs = tuple_equality(&values, &of(&page.theirs.rows))?;
        let ids = batch.column(0).as_string::<i32>();
        let mut candidates = Vec::new();
        for (number, hash) in tuple_hashes(&values)?.into_iter().enumerate() {
            let Some(hash) = hash else { continue };
            tuples.push(hash);
            let from = self.held.partition_point(|(held, _)| *held < hash);
            let equal = self.held[from..]
                .iter()
                .take_while(|(held, _)| *held == hash);
            candidates.extend(equal.map(|(_, at)| (number, *at)));
            let row = &rows[number];
            let as_ours = page.ours.row(row.row).is_some_and(|at| is_ours(number, at));
            if let (true, Some(at)) = (as_ours, row.replaces) {
                insert(&mut self.kept, at);
            }
            let theirs = page.theirs.row(row.row);
            if !row.mixed || theirs.is_some_and(|at| is_theirs(number, at)) {
                if let Some(at) = row.theirs {
                    insert(&mut self.put, at);
                }
            } else if !as_ours {
                let one = values
                    .iter()
                    .map(|column| column.slice(number, 1))
                    .collect();
                self.odd.push((ids.value(number).to_owned(), one));
            }
        }
        let places: Vec<RowPosition> = candidates.iter().map(|(_, at)| *at).collect();
        let mut columns = vec![0];
        columns.extend(&self.unique.columns);
        let held = ours.take(&places, &columns).await?;
        let equal = tuple_equality(&values, &held.columns()[1..])?;
        let held_ids = held.column(0).as_string::<i32>();
        for (row, (number, at)) in candidates.into_iter().enumerate() {
            if equal(number, row) && held_ids.value(row) != ids.value(number) {
                self.suspects.push((ids.value(number).to_owned(), at));
            }
        }
        Ok(())
    }

    /// Rows of one side with a value that another row has once all is merged, each with that
    /// row; as many as a merge tells.
    async fn twice(
        &self,
        side: &Table,
        places: &Places,
        ours: &Table,
        theirs: &Table,
        replaced: &Places,
    ) -> Result<Vec<(String, String)>> {
        let mut pairs = Vec::new();
        let chunks = side.chunks().await?;
        let mut columns = vec![0];
        columns.extend(&self.unique.columns);
        for (&chunk, offsets) in places {
            let offsets: Vec<u32> = offsets.iter().collect();
            for offsets in offsets.chunks(PAGE) {
                let held = side
                    .take_of(&chunks[chunk as usize], &columns, offsets)
                    .await?;
                let ids = held[0].as_string::<i32>();
                let in_ours = ours.find(&self.unique.columns, &held[1..]).await?;
                let in_theirs = theirs.find(&self.unique.columns, &held[1..]).await?;
                for row in 0..offsets.len() {
                    let id = ids.value(row);
                    let mut others = Vec::new();
                    for &at in in_ours[row]
                        .iter()
                        .filter(|at| self.remains(replaced, **at))
                    {
                        others.push(id_at(ours, at).await?);
                    }
                    for &at in in_theirs[row].iter().filter(|at| holds(&self.put, **at)) {
                        others.push(id_at(theirs, at).await?);
                    }
                    let others = others.into_iter().filter(|other| other != id);
                    pairs.extend(others.map(|other| (id.to_owned(), other)));
                    if pairs.len() >= MOST {
                        return Ok(pairs);
                    }
                }
            }
        }
        Ok(pairs)
    }

    /// Is the value of this row of ours still there once all is merged?
    fn remains(&self, replaced: &Places, at: RowPosition) -> bool {
        !holds(replaced, at) || holds(&self.kept, at)
    }

    /// The rows with odd values, each with a row that has the same.
    async fn odd_pairs(
        &self,
        ours: &Table,
        theirs: &Table,
        replaced: &Places,
    ) -> Result<Vec<(String, String)>> {
        let mut pairs = Vec::new();
        if self.odd.is_empty() {
            return Ok(pairs);
        }
        let values = (0..self.unique.columns.len())
            .map(|column| {
                let rows: Vec<&dyn arrow::array::Array> = self
                    .odd
                    .iter()
                    .map(|(_, values)| values[column].as_ref())
                    .collect();
                Ok(concat(&rows)?)
            })
            .collect::<Result<Vec<ArrayRef>>>()?;
        let equal = tuple_equality(&values, &values)?;
        let mut by_hash: HashMap<u64, Vec<usize>> = HashMap::new();
        for (row, hash) in tuple_hashes(&values)?.into_iter().enumerate() {
            let Some(hash) = hash else { continue };
            let others = by_hash.entry(hash).or_default();
            if let Some(other) = others.iter().find(|other| equal(**other, row)) {
                pairs.push((self.odd[row].0.clone(), self.odd[*other].0.clone()));
            }
            others.push(row);
        }
        for (row, places) in ours
            .find(&self.unique.columns, &values)
            .await?
            .into_iter()
            .enumerate()
        {
            let id = &self.odd[row].0;
            for at in places {
                let held = id_at(ours, at).await?;
                if self.remains(replaced, at) && held != *id {
                    pairs.push((id.clone(), held));
                }
            }
            let one: Vec<ArrayRef> = values.iter().map(|column| column.slice(row, 1)).collect();
            if let Some(other) = self.put_with(theirs, &one, id).await? {
                pairs.push((id.clone(), other));
            }
        }
        Ok(pairs)
    }

    /// Another row that is put with this value of theirs.
    async fn put_with(
        &self,
        theirs: &Table,
        value: &[ArrayRef],
        id: &str,
    ) -> Result<Option<String>> {
        let found = theirs.find(&self.unique.columns, value).await?;
        for &at in found.iter().flatten() {
            let other = id_at(theirs, at).await?;
            if holds(&self.put, at) && other != id {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }

    fn conflict(&self, table: &Table, ours: &str, theirs: &str) -> MergeConflict {
        let all = table.def().columns();
        let columns = self.unique.columns.iter();
        let names: Vec<&str> = columns.map(|at| all[*at].name.as_str()).collect();
        let text = |id: &str| -> Option<ArrayRef> { Some(Arc::new(StringArray::from(vec![id]))) };
        MergeConflict {
            kind: ConflictKind::UniqueViolation,
            table: table.def().table.clone(),
            id: theirs.to_owned(),
            property: Some(names.join(", ")),
            base: None,
            ours: text(ours),
            theirs: text(theirs),
        }
    }
}

async fn id_at(table: &Table, at: RowPosition) -> Result<String> {
    let row = table.take(&[at], &[0]).await?;
    Ok(row.column(0).as_string::<i32>().value(0).to_owned())
}
