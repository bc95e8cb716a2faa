//! The algebra of a merge, one row at a time: what the bases, ours and theirs have, and what
//! follows. Pure: it sees rows and decides, and touches nothing.
//!
//! With several bases a cell has a base where all of them agree; where they do not, it has
//! none, and conflicts if the two sides differ.

use std::cmp::Ordering;

use arrow::array::{DynComparator, RecordBatch};

use super::conflict::{ConflictKind, OnConflict};
use crate::error::Result;
use crate::index::comparator;

/// The rows of one version, and where each row of the page is among them.
#[derive(Debug, Clone)]
pub(super) struct Sheet {
    pub rows: RecordBatch,
    pub at: Vec<Option<u32>>,
}

impl Sheet {
    pub fn row(&self, row: usize) -> Option<usize> {
        self.at[row].map(|at| at as usize)
    }
}

/// Versions of the same rows, side by side.
pub(super) struct Page {
    pub theirs: Sheet,
    pub ours: Sheet,
    pub bases: Vec<Sheet>,
    ours_theirs: Vec<DynComparator>,
    /// Of each base.
    base_theirs: Vec<Vec<DynComparator>>,
    base_ours: Vec<Vec<DynComparator>>,
    base_first: Vec<Vec<DynComparator>>,
}

/// What becomes of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Ours stays as it is.
    Keep,
    /// Ours is deleted.
    Delete,
    /// Ours, or nothing, is replaced. By column: is it theirs? Where both are equal, it is.
    Put(Vec<bool>),
}

/// A decision and what it was in spite of. Each conflict names a column; `None`: the whole row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub decision: Decision,
    pub conflict: Option<(ConflictKind, Vec<Option<usize>>)>,
}

impl Page {
    /// `untouched`: columns that theirs has none of, and so has not changed.
    pub fn new(theirs: Sheet, ours: Sheet, bases: Vec<Sheet>, untouched: &[bool]) -> Result<Page> {
        let of_bases = |other: &Sheet| -> Result<Vec<Vec<DynComparator>>> {
            bases.iter().map(|base| comparators(base, other)).collect()
        };
        let first = bases.first().unwrap_or(&theirs);
        let mut base_theirs = of_bases(&theirs)?;
        for compare in &mut base_theirs {
            for (column, _) in untouched.iter().enumerate().filter(|(_, lacks)| **lacks) {
                compare[column] = Box::new(|_, _| Ordering::Equal);
            }
        }
        Ok(Page {
            ours_theirs: comparators(&ours, &theirs)?,
            base_theirs,
            base_ours: of_bases(&ours)?,
            base_first: of_bases(first)?,
            theirs,
            ours,
            bases,
        })
    }

    /// Does their row equal the one of every base?
    pub fn theirs_unchanged(&self, row: usize) -> bool {
        let theirs = self.theirs.row(row);
        self.bases
            .iter()
            .zip(&self.base_theirs)
            .all(|(base, compare)| same(compare, base.row(row), theirs))
    }

    pub fn decide(&self, row: usize, policy: OnConflict) -> Verdict {
        let verdict = |decision, conflict| Verdict { decision, conflict };
        match (self.theirs.row(row), self.ours.row(row)) {
            (None, None) => verdict(Decision::Keep, None),
            (Some(_), Some(_)) => self.cells(row, policy),
            (Some(theirs), None) => {
                let all = || Decision::Put(vec![true; self.columns()]);
                match self.presence(row) {
                    Some(false) => verdict(all(), None),
                    Some(true) if self.theirs_unchanged(row) => verdict(Decision::Keep, None),
                    _ => {
                        let columns = self.changed(row, theirs, &self.base_theirs);
                        let decision = match policy {
                            OnConflict::Theirs => all(),
                            OnConflict::Ours | OnConflict::Fail => Decision::Keep,
                        };
                        verdict(decision, Some((ConflictKind::DeleteVsUpdate, columns)))
                    }
                }
            }
            (None, Some(ours)) => match self.presence(row) {
                Some(false) => verdict(Decision::Keep, None),
                Some(true) if self.ours_unchanged(row) => verdict(Decision::Delete, None),
                _ => {
                    let columns = self.changed(row, ours, &self.base_ours);
                    let decision = match policy {
                        OnConflict::Theirs => Decision::Delete,
                        OnConflict::Ours | OnConflict::Fail => Decision::Keep,
                    };
                    verdict(decision, Some((ConflictKind::DeleteVsUpdate, columns)))
                }
            },
        }
    }

    /// Both sides have the row: column by column.
    fn cells(&self, row: usize, policy: OnConflict) -> Verdict {
        let (theirs, ours) = (self.theirs.row(row), self.ours.row(row));
        let mut choice = vec![true; self.columns()];
        let mut takes_theirs = false;
        let mut conflicts = Vec::new();
        for (column, chosen) in choice.iter_mut().enumerate() {
            if same_cell(&self.ours_theirs, column, ours, theirs) {
                continue;
            }
            let is_base = |compare: &[Vec<DynComparator>], side| {
                self.agree(row, column)
                    && same_cell(&compare[0], column, self.bases[0].row(row), side)
            };
            *chosen = if is_base(&self.base_theirs, theirs) {
                false
            } else if is_base(&self.base_ours, ours) {
                true
            } else {
                conflicts.push(Some(column));
                policy == OnConflict::Theirs
            };
            takes_theirs |= *chosen;
        }
        let decision = if takes_theirs {
            Decision::Put(choice)
        } else {
            Decision::Keep
        };
        let kind = if self.bases.iter().any(|base| base.at[row].is_some()) {
            ConflictKind::DivergentUpdate
        } else {
            ConflictKind::DivergentInsert
        };
        Verdict {
            decision,
            conflict: (!conflicts.is_empty()).then_some((kind, conflicts)),
        }
    }

    fn columns(&self) -> usize {
        self.theirs.rows.num_columns()
    }

    /// Is the row in the bases? `None`: in some of them.
    fn presence(&self, row: usize) -> Option<bool> {
        let present = self
            .bases
            .iter()
            .filter(|base| base.at[row].is_some())
            .count();
        match present {
            0 => Some(false),
            count if count == self.bases.len() => Some(true),
            _ => None,
        }
    }

    /// Do all bases have the row, with the same value in this column?
    fn agree(&self, row: usize, column: usize) -> bool {
        let Some(first) = self.bases.first().and_then(|base| base.row(row)) else {
            return false;
        };
        self.bases
            .iter()
            .zip(&self.base_first)
            .all(|(base, compare)| same_cell(compare, column, base.row(row), Some(first)))
    }

    fn ours_unchanged(&self, row: usize) -> bool {
        let ours = self.ours.row(row);
        self.bases
            .iter()
            .zip(&self.base_ours)
            .all(|(base, compare)| same(compare, base.row(row), ours))
    }

    /// The columns in which a side differs from a base; the whole row if there are none.
    fn changed(
        &self,
        row: usize,
        side: usize,
        compare: &[Vec<DynComparator>],
    ) -> Vec<Option<usize>> {
        let columns: Vec<Option<usize>> = (0..self.columns())
            .filter(|&column| {
                self.bases.iter().zip(compare).any(|(base, compare)| {
                    base.row(row)
                        .is_some_and(|base| compare[column](base, side) != Ordering::Equal)
                })
            })
            .map(Some)
            .collect();
        if columns.is_empty() {
            vec![None]
        } else {
            columns
        }
    }
}

fn comparators(left: &Sheet, right: &Sheet) -> Result<Vec<DynComparator>> {
    left.rows
        .columns()
        .iter()
        .zip(right.rows.columns())
        .map(|(left, right)| comparator(left, right))
        .collect()
}

fn same_cell(
    compare: &[DynComparator],
    column: usize,
    left: Option<usize>,
    right: Option<usize>,
) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => compare[column](left, right) == Ordering::Equal,
        (None, None) => true,
        _ => false,
    }
}

fn same(compare: &[DynComparator], left: Option<usize>, right: Option<usize>) -> bool {
    (0..compare.len()).all(|column| same_cell(compare, column, left, right))
}
