//! INSERT … ON CONFLICT: rows that are there already are left alone or updated.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::row::{RowConverter, SortField};
use datafusion::logical_expr::Expr;
use omnigraph_engine::schema::TypeDef;
use omnigraph_engine::table::RowPosition;
use omnigraph_engine::{Table, Transaction};

use super::Target;
use super::change::{Run, beside, engine_rows, named, refuse_key_change, sql_rows};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::bind::{ConflictTarget, OnConflict, OnConflictAction, Subqueries};

/// What rows may clash in: columns of the table.
type Columns = Vec<usize>;

impl Run<'_> {
    /// Inserts what does not clash and does to the rest what the statement says. Gives the rows
    /// that are in the table now because of it, in the order they were given.
    pub(super) async fn insert_or(
        &self,
        transaction: &mut Transaction,
        target: &Target,
        conflict: &OnConflict,
        rows: RecordBatch,
        touched: &mut HashSet<String>,
    ) -> PgResult<RecordBatch> {
        let sets = arbiters(&target.def, conflict.target.as_ref())?;
        let table = transaction
            .snapshot()
            .table(target.def.id)
            .ok_or_else(|| PgError::new(sqlstate::INTERNAL_ERROR, "the table is gone"))?;
        let there = existing(&table, &sets, &rows).await?;
        match &conflict.action {
            OnConflictAction::DoNothing => {
                let repeated = repeated(&sets, &rows)?;
                let mask: BooleanArray = there
                    .iter()
                    .zip(&repeated)
                    .map(|(there, repeated)| Some(there.is_none() && !repeated))
                    .collect();
                let new = filter_record_batch(&rows, &mask)?;
                if new.num_rows() > 0 {
                    transaction
                        .insert_missing(target.def.id, new.clone())
                        .await?;
                }
                Ok(new)
            }
            OnConflictAction::Replace => {
                transaction.upsert(target.def.id, rows.clone()).await?;
                Ok(rows)
            }
            OnConflictAction::DoUpdate {
                assignments,
                condition,
                subqueries,
            } => {
                let split = Split::of(&rows, &there)?;
                refuse_second(&sets, &rows, &there, &table, touched).await?;
                let updated = self
                    .merged(
                        target,
                        &table,
                        &split,
                        assignments,
                        condition.as_ref(),
                        subqueries,
                    )
                    .await?;
                if split.new.num_rows() > 0 {
                    transaction
                        .insert_missing(target.def.id, split.new.clone())
                        .await?;
                }
                if updated.rows.num_rows() > 0 {
                    transaction
                        .update(target.def.id, updated.rows.clone())
                        .await?;
                }
                split.in_order(&updated)
            }
        }
    }

    /// The rows that are there, with the assignments made.
    async fn merged(
        &self,
        target: &Target,
        table: &Table,
        split: &Split,
        assignments: &[(usize, Expr)],
        condition: Option<&Expr>,
        subqueries: &Subqueries,
    ) -> PgResult<Updated> {
        let def = &target.def;
        let all: Vec<usize> = (0..def.columns().len()).collect();
        let old = sql_rows(def, &table.rows(&split.positions, &all).await?)?;
        if old.num_rows() == 0 {
            return Ok(Updated {
                rows: engine_rows(def, old.columns(), 0)?,
                kept: Vec::new(),
            });
        }
        let mut exprs: Vec<Expr> = assignments.iter().map(|(_, expr)| expr.clone()).collect();
        exprs.extend(condition.cloned());
        let proposed = named("x", &sql_rows(def, &split.clashing)?)?;
        let pair = beside(&named("t", &old)?, &proposed, 0)?;
        let values = self.project(&exprs, subqueries, pair).await?;
        let mask: Option<BooleanArray> = condition.map(|_| {
            let passes = values.column(assignments.len()).as_boolean();
            passes
                .iter()
                .map(|passes| Some(passes == Some(true)))
                .collect()
        });
        let (old, values) = match &mask {
            Some(mask) => (
                filter_record_batch(&old, mask)?,
                filter_record_batch(&values, mask)?,
            ),
            None => (old, values),
        };
        let mut columns: Vec<ArrayRef> = old.columns().to_vec();
        for (at, (column, _)) in assignments.iter().enumerate() {
            columns[*column] = Arc::clone(values.column(at));
        }
        let assigned: Vec<usize> = assignments.iter().map(|(column, _)| *column).collect();
        refuse_key_change(def, &assigned, old.columns(), &columns)?;
        Ok(Updated {
            rows: engine_rows(def, &columns, old.num_rows())?,
            kept: match mask {
                Some(mask) => mask.values().iter().collect(),
                None => vec![true; old.num_rows()],
            },
        })
    }
}

/// Rows after DO UPDATE, and for each clashing row whether its condition held.
struct Updated {
    rows: RecordBatch,
    kept: Vec<bool>,
}

/// Proposed rows, divided by whether they clash.
struct Split {
    new: RecordBatch,
    clashing: RecordBatch,
    /// Of the rows that the clashing ones clash with.
    positions: Vec<RowPosition>,
    /// For each proposed row: does it clash?
    clashes: Vec<bool>,
}

impl Split {
    fn of(rows: &RecordBatch, there: &[Option<RowPosition>]) -> PgResult<Self> {
        let clashes: Vec<bool> = there.iter().map(Option::is_some).collect();
        let mask: BooleanArray = clashes.iter().map(|clashes| Some(*clashes)).collect();
        let rest: BooleanArray = clashes.iter().map(|clashes| Some(!clashes)).collect();
        Ok(Split {
            new: filter_record_batch(rows, &rest)?,
            clashing: filter_record_batch(rows, &mask)?,
            positions: there.iter().flatten().copied().collect(),
            clashes,
        })
    }

    /// New and updated rows in the order in which they were proposed.
    fn in_order(&self, updated: &Updated) -> PgResult<RecordBatch> {
        let both = concat_batches(&self.new.schema(), [&self.new, &updated.rows])?;
        let (mut new, mut changed) = (0u32, self.new.num_rows() as u32);
        let mut kept = updated.kept.iter();
        let mut order = Vec::with_capacity(both.num_rows());
        for clashes in &self.clashes {
            if !clashes {
                order.push(new);
                new += 1;
            } else if kept.next() == Some(&true) {
                order.push(changed);
                changed += 1;
            }
        }
        Ok(take_record_batch(&both, &UInt32Array::from(order))?)
    }
}

/// The sets of columns in which a clash counts; 42P10 for columns that are not unique.
fn arbiters(def: &TypeDef, target: Option<&ConflictTarget>) -> PgResult<Vec<Columns>> {
    let sorted = |mut columns: Columns| -> Columns {
        columns.sort_unstable();
        columns
    };
    let mut known: Vec<(Option<&str>, Columns)> =
        vec![(Some(def.constraints.primary.as_str()), vec![0])];
    if !def.key.is_empty() {
        known.push((
            def.constraints.key.as_deref(),
            sorted(def.key.iter().map(|at| def.property_column(*at)).collect()),
        ));
    }
    known.extend(
        def.uniques
            .iter()
            .map(|unique| (Some(unique.name.as_str()), sorted(unique.columns.clone()))),
    );
    match target {
        None => Ok(known.into_iter().map(|(_, columns)| columns).collect()),
        Some(ConflictTarget::Columns(wanted)) => {
            let mut wanted = wanted.clone();
            wanted.sort_unstable();
            wanted.dedup();
            if known.iter().any(|(_, columns)| *columns == wanted) {
                return Ok(vec![wanted]);
            }
            Err(PgError::new(
                sqlstate::INVALID_COLUMN_REFERENCE,
                "there is no unique or exclusion constraint matching the ON CONFLICT specification",
            ))
        }
        Some(ConflictTarget::Constraint(name)) => known
            .into_iter()
            .find(|(known, _)| *known == Some(name.as_str()))
            .map(|(_, columns)| vec![columns])
            .ok_or_else(|| {
                PgError::new(
                    sqlstate::UNDEFINED_OBJECT,
                    format!(
                        "constraint \"{name}\" for table \"{}\" does not exist",
                        def.table
                    ),
                )
            }),
    }
}

/// For each row: the row in the table that it clashes with, if any.
async fn existing(
    table: &Table,
    sets: &[Columns],
    rows: &RecordBatch,
) -> PgResult<Vec<Option<RowPosition>>> {
    let mut there = vec![None; rows.num_rows()];
    for set in sets {
        let values: Vec<ArrayRef> = set
            .iter()
            .map(|column| Arc::clone(rows.column(*column)))
            .collect();
        for (there, found) in there.iter_mut().zip(table.find(set, &values).await?) {
            if there.is_none() {
                *there = found.first().copied();
            }
        }
    }
    Ok(there)
}

/// Which rows repeat an earlier one of the same statement, in any of the sets.
fn repeated(sets: &[Columns], rows: &RecordBatch) -> PgResult<Vec<bool>> {
    let mut repeated = vec![false; rows.num_rows()];
    for set in sets {
        let columns: Vec<ArrayRef> = set
            .iter()
            .map(|column| Arc::clone(rows.column(*column)))
            .collect();
        let converter = RowConverter::new(
            columns
                .iter()
                .map(|column| SortField::new(column.data_type().clone()))
                .collect(),
        )?;
        let encoded = converter.convert_columns(&columns)?;
        let mut seen = HashSet::new();
        for (row, repeated) in repeated.iter_mut().enumerate() {
            // A NULL equals nothing.
            if columns.iter().all(|column| column.is_valid(row))
                && !seen.insert(encoded.row(row).owned())
            {
                *repeated = true;
            }
        }
    }
    Ok(repeated)
}

/// 21000 when a statement would touch one row twice. `touched` are the ids of rows that
/// earlier chunks inserted or updated.
async fn refuse_second(
    sets: &[Columns],
    rows: &RecordBatch,
    there: &[Option<RowPosition>],
    table: &Table,
    touched: &mut HashSet<String>,
) -> PgResult<()> {
    let second = || {
        PgError::new(
            sqlstate::CARDINALITY_VIOLATION,
            "ON CONFLICT DO UPDATE command cannot affect row a second time",
        )
        .hint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values.")
    };
    if repeated(sets, rows)?.contains(&true) {
        return Err(second());
    }
    let positions: Vec<RowPosition> = there.iter().flatten().copied().collect();
    let ids = table.rows(&positions, &[0]).await?;
    let proposed = rows.column(0).as_string::<i32>();
    let mut updated = ids.column(0).as_string::<i32>().iter();
    for (row, there) in there.iter().enumerate() {
        let id = match there {
            Some(_) => updated.next().flatten(),
            None => Some(proposed.value(row)),
        };
        if id.is_some_and(|id| !touched.insert(id.to_owned())) {
            return Err(second());
        }
    }
    Ok(())
}
