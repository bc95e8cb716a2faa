//! What keeps two branches from being merged, in terms that a person can decide on.

use std::collections::HashSet;

use arrow::array::ArrayRef;

/// How the two sides disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConflictKind {
    /// Both inserted a row with this id, with different values.
    DivergentInsert,
    /// Both gave one property different values.
    DivergentUpdate,
    /// One side deleted the row that the other changed.
    DeleteVsUpdate,
    /// An edge of one side ends at a node that the other deleted.
    OrphanEdge,
    /// Two rows, one of each side, hold the same unique value.
    UniqueViolation,
    /// A node would have more or fewer edges than `@card` allows.
    CardinalityViolation,
    /// The values of both sides together break a rule that each side's keep, or one side's a
    /// rule that the other has added.
    ValueConstraintViolation,
    /// Both sides changed a definition of the schema, differently.
    DivergentSchema,
}

impl ConflictKind {
    pub fn name(self) -> &'static str {
        match self {
            ConflictKind::DivergentInsert => "DivergentInsert",
            ConflictKind::DivergentUpdate => "DivergentUpdate",
            ConflictKind::DeleteVsUpdate => "DeleteVsUpdate",
            ConflictKind::OrphanEdge => "OrphanEdge",
            ConflictKind::UniqueViolation => "UniqueViolation",
            ConflictKind::CardinalityViolation => "CardinalityViolation",
            ConflictKind::ValueConstraintViolation => "ValueConstraintViolation",
            ConflictKind::DivergentSchema => "DivergentSchema",
        }
    }

    /// What settles it, besides choosing a side.
    pub fn remedy(self) -> &'static str {
        match self {
            ConflictKind::DivergentSchema => {
                "Apply the definition that should hold, in the target's words, to the source branch and merge again"
            }
            _ => "Write to the source branch and merge again",
        }
    }
}

/// One disagreement. Each value is an array of one element; `None`: that side lacks the row.
#[derive(Debug, Clone)]
pub struct MergeConflict {
    pub kind: ConflictKind,
    /// The SQL name of the table.
    pub table: String,
    /// Empty: the disagreement is about what the schema declares.
    pub id: String,
    /// The SQL name of the column, or of the columns of a unique constraint.
    pub property: Option<String>,
    pub base: Option<ArrayRef>,
    pub ours: Option<ArrayRef>,
    pub theirs: Option<ArrayRef>,
}

/// What becomes of a conflict that has two sides to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// Nothing is merged.
    #[default]
    Fail,
    /// The target's side is kept.
    Ours,
    /// The source's side is taken.
    Theirs,
}

/// The conflicts of one merge.
#[derive(Debug, Default)]
pub(super) struct Conflicts {
    pub found: Vec<MergeConflict>,
    /// Rows that one side deleted: that their ends are gone is no second conflict.
    deleted: HashSet<(String, String)>,
}

/// Conflicts that one merge reports.
pub(super) const MOST: usize = 10_000;

impl Conflicts {
    pub fn push(&mut self, conflict: MergeConflict) {
        if self.is_full() {
            return;
        }
        let row = (conflict.table.clone(), conflict.id.clone());
        match conflict.kind {
            ConflictKind::DeleteVsUpdate => {
                self.deleted.insert(row);
            }
            ConflictKind::OrphanEdge if self.deleted.contains(&row) => return,
            _ => {}
        }
        self.found.push(conflict);
    }

    pub fn is_full(&self) -> bool {
        self.found.len() >= MOST
    }
}
