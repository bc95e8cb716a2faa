//! Rows that one side changed and the other side has no place for any more: it dropped their
//! type, or the property of which they changed the value.

use arrow::array::{ArrayRef, make_comparator};
use arrow::compute::SortOptions;

use super::conflict::{ConflictKind, Conflicts, MergeConflict, OnConflict};
use super::plan::PAGE;
use crate::changed::{Pair, Pairs};
use crate::error::Result;
use crate::index::tuple_equality;
use crate::schema::{Schema, TypeDef, TypeId};
use crate::snapshot::Snapshot;
use crate::table::{RowPosition, Table};

/// Whoever dropped may be chosen: then there is nothing to look for.
pub(super) async fn find(
    base: &Snapshot,
    ours: &Snapshot,
    theirs: &Snapshot,
    schema: &Schema,
    policy: OnConflict,
    conflicts: &mut Conflicts,
) -> Result<()> {
    for (side, is_ours, settled) in [
        (theirs, false, OnConflict::Ours),
        (ours, true, OnConflict::Theirs),
    ] {
        if policy == settled {
            continue;
        }
        for def in &side.schema().types {
            let lost = Lost::of(def, is_ours, base.schema(), side.schema(), schema);
            let Some(lost) = lost else { continue };
            let (old, new) = (base.table(lost.base), side.table(def.id));
            if let (Some(old), Some(new)) = (old, new) {
                lost.compare(&old, &new, conflicts).await?;
            }
        }
    }
    Ok(())
}

/// Columns that the other side dropped, as the base and as a side have them.
struct Lost {
    is_ours: bool,
    /// Is it all of the type?
    whole: bool,
    base: TypeId,
    base_columns: Vec<usize>,
    columns: Vec<usize>,
}

impl Lost {
    fn of(
        def: &TypeDef,
        is_ours: bool,
        base: &Schema,
        own: &Schema,
        merged: &Schema,
    ) -> Option<Lost> {
        let mut types = base.types.iter();
        let old = types.find(|old| own.identity(old.id.0) == def.id.0)?;
        let kept = merged.by_id(TypeId(merged.identity(def.id.0)));
        let mut lost = Lost {
            is_ours,
            whole: kept.is_none(),
            base: old.id,
            base_columns: Vec::new(),
            columns: Vec::new(),
        };
        if def.is_edge() && lost.whole {
            lost.base_columns.extend([1, 2]);
            lost.columns.extend([1, 2]);
        }
        for (at, property) in def.properties.iter().enumerate() {
            let is_kept = kept.is_some_and(|kept| {
                let identity = merged.identity(property.id.0);
                kept.properties.iter().any(|held| held.id.0 == identity)
            });
            let mut before = old.properties.iter();
            let before = before.position(|before| own.identity(before.id.0) == property.id.0);
            if let (false, Some(before)) = (is_kept, before) {
                lost.base_columns.push(old.property_column(before));
                lost.columns.push(def.property_column(at));
            }
        }
        (lost.whole || !lost.columns.is_empty()).then_some(lost)
    }

    async fn compare(&self, old: &Table, new: &Table, conflicts: &mut Conflicts) -> Result<()> {
        let mut pairs = Pairs::between(Some(old.clone()), Some(new.clone())).await?;
        while let Some(mut range) = pairs.next().await? {
            range.retain(|pair| pair.new.is_some());
            for page in range.chunks(PAGE) {
                self.compare_page(old, new, page, conflicts).await?;
                if conflicts.is_full() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn compare_page(
        &self,
        old: &Table,
        new: &Table,
        page: &[Pair],
        conflicts: &mut Conflicts,
    ) -> Result<()> {
        let places = |of: fn(&Pair) -> Option<RowPosition>| -> Vec<RowPosition> {
            page.iter().filter_map(of).collect()
        };
        let before = old
            .take(&places(|pair| pair.old), &self.base_columns)
            .await?;
        let after = new.take(&places(|pair| pair.new), &self.columns).await?;
        let mut same = Vec::with_capacity(self.columns.len());
        for (left, right) in before.columns().iter().zip(after.columns()) {
            same.push(tuple_equality(
                std::slice::from_ref(left),
                std::slice::from_ref(right),
            )?);
        }
        let defaults = self.defaults(new.def())?;
        let mut as_new = Vec::with_capacity(self.columns.len());
        for (default, column) in defaults.iter().zip(after.columns()) {
            as_new.push(make_comparator(default, column, SortOptions::default())?);
        }
        let mut from = 0;
        for (row, pair) in page.iter().enumerate() {
            let held = pair.old.map(|_| {
                from += 1;
                from - 1
            });
            let changed: Vec<usize> = (0..self.columns.len())
                .filter(|at| match held {
                    Some(held) => !same[*at](held, row),
                    None => as_new[*at](0, row).is_ne(),
                })
                .collect();
            if self.whole {
                if held.is_none() || !changed.is_empty() {
                    conflicts.push(self.conflict(new.def(), pair, None, [None, None]));
                }
                continue;
            }
            for at in changed {
                let base = held.map(|held| before.column(at).slice(held, 1));
                let values = [base, Some(after.column(at).slice(row, 1))];
                let column = Some(self.columns[at]);
                conflicts.push(self.conflict(new.def(), pair, column, values));
            }
        }
        Ok(())
    }

    /// Of each column, what a row has that says nothing about it.
    fn defaults(&self, def: &TypeDef) -> Result<Vec<ArrayRef>> {
        let defaults = self.columns.iter().map(|&column| {
            match def.columns()[column].property.map(|at| &def.properties[at]) {
                Some(property) => property.stored_default(1),
                None => Ok(arrow::array::new_null_array(
                    &def.columns()[column].data_type,
                    1,
                )),
            }
        });
        defaults.collect()
    }

    fn conflict(
        &self,
        def: &TypeDef,
        pair: &Pair,
        column: Option<usize>,
        [base, side]: [Option<ArrayRef>; 2],
    ) -> MergeConflict {
        let (ours, theirs) = match self.is_ours {
            true => (side, None),
            false => (None, side),
        };
        MergeConflict {
            kind: ConflictKind::DeleteVsUpdate,
            table: def.table.clone(),
            id: pair.id.clone(),
            property: column.map(|at| def.columns()[at].name.clone()),
            base,
            ours,
            theirs,
        }
    }
}
