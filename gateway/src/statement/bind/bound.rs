//! What binding comes to: relations, the statements over them, their columns and parameters.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan};
use omnigraph_catalog::types::PgType;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::TypeId;

use super::gq::BoundChanges;
use super::subquery::Subqueries;
use super::writing_with::BoundWith;

/// A relation that a statement names.
#[derive(Debug, Clone)]
pub struct Relation {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    /// In the order and of the Arrow types (`ty.arrow()`) of the provider's schema.
    pub columns: Vec<RelationColumn>,
    pub provider: Arc<dyn TableProvider>,
    pub kind: RelationKind,
}

#[derive(Debug, Clone)]
pub struct RelationColumn {
    pub name: String,
    pub ty: PgType,
    pub not_null: bool,
    pub attnum: i16,
    pub has_default: bool,
    /// GENERATED ALWAYS: `id` of a keyed node.
    pub generated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// A node type or an edge type of a branch: it may be written.
    Node(TypeId),
    Edge(TypeId),
    /// Of pg_catalog, information_schema or omnigraph.
    Catalog,
}

/// A column of a result, for RowDescription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    pub name: String,
    pub ty: PgType,
    /// The table it is a column of, unchanged; 0: none.
    pub table_oid: u32,
    pub attnum: i16,
}

/// A table that a statement reads or writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableUse {
    /// The reference that says when, for a table that is read as it was.
    pub at: Option<Arc<str>>,
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub kind: RelationKind,
}

#[derive(Debug, Clone)]
pub struct BoundQuery {
    /// Its output columns are `columns`, in order; field names are internal.
    pub plan: LogicalPlan,
    pub columns: Vec<OutputColumn>,
    /// By number; a cast of the client's value to its Arrow type is what the plan expects.
    pub params: Vec<PgType>,
    pub reads: Vec<TableUse>,
    /// Something in it must run exactly once for each execution.
    pub volatile: bool,
    /// The branches whose rows it locks: `SELECT … FOR UPDATE` and its kind.
    pub locks: Vec<BranchName>,
    /// The whole of the statement is one call of a function that changes the graph.
    pub changes: bool,
}

#[derive(Debug, Clone)]
pub struct BoundInsert {
    pub target: Relation,
    /// The target's columns (indexes into `target.columns`) that `source` yields, in order. The
    /// others take their defaults.
    pub columns: Vec<usize>,
    /// For each column of `source`: rows (by number) that said DEFAULT, when there are any.
    /// The plan yields NULL there.
    pub defaults: Vec<InsertDefault>,
    pub source: LogicalPlan,
    pub on_conflict: Option<OnConflict>,
    pub returning: Option<Returning>,
    pub params: Vec<PgType>,
    pub reads: Vec<TableUse>,
    pub volatile: bool,
}

/// `INSERT … VALUES (DEFAULT, …)`: this column of these rows takes its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsertDefault {
    /// Index into the source's columns.
    pub column: usize,
    /// Numbers of the rows in the order of VALUES, from 0.
    pub rows: Vec<usize>,
}

#[derive(Debug, Clone)]
pub struct OnConflict {
    /// Indexes into the target's columns; `None`: any unique constraint.
    pub target: Option<ConflictTarget>,
    pub action: OnConflictAction,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConflictTarget {
    /// Indexes into the target's columns, sorted.
    Columns(Vec<usize>),
    Constraint(String),
}

#[derive(Debug, Clone)]
pub enum OnConflictAction {
    DoNothing,
    /// The whole row, whatever it was.
    Replace,
    /// Expressions over the row that is there (columns `t0`, `t1`, … in the target's order)
    /// and the row that was to be inserted (`x0`, `x1`, …).
    DoUpdate {
        assignments: Vec<(usize, Expr)>,
        condition: Option<Expr>,
        /// Whose answers are columns of the expressions.
        subqueries: Subqueries,
    },
}

/// Expressions over the target's columns after the change (`t0`, `t1`, …; for DELETE the row
/// that was) and, behind them, the columns of FROM/USING as `source` yields them.
#[derive(Debug, Clone)]
pub struct Returning {
    pub exprs: Vec<Expr>,
    /// Whose answers are columns of the expressions.
    pub subqueries: Subqueries,
    pub columns: Vec<OutputColumn>,
}

#[derive(Debug, Clone)]
pub struct BoundUpdate {
    pub target: Relation,
    /// The target's columns that are assigned, in order.
    pub assigned: Vec<usize>,
    /// The old row in full (`t0`, `t1`, …), one column for each assigned column (`n0`, `n1`, …),
    /// then what RETURNING needs of FROM. One target row may occur several times; the first
    /// occurrence counts, as in PostgreSQL.
    pub source: LogicalPlan,
    /// `SET column = DEFAULT`: indexes into `assigned`; the plan yields NULL there.
    pub defaults: Vec<usize>,
    pub returning: Option<Returning>,
    pub params: Vec<PgType>,
    pub reads: Vec<TableUse>,
    pub volatile: bool,
}

#[derive(Debug, Clone)]
pub struct BoundDelete {
    pub target: Relation,
    /// The old row in full (`t0`, `t1`, …), then what RETURNING needs of USING. One target row
    /// may occur several times.
    pub source: LogicalPlan,
    pub returning: Option<Returning>,
    pub params: Vec<PgType>,
    pub reads: Vec<TableUse>,
    pub volatile: bool,
}

#[derive(Debug, Clone)]
pub struct BoundMerge {
    pub target: Relation,
    /// The target's old row (`t0`, `t1`, …; NULL where the source's row matches none), the
    /// number of the action, and the values for the target's columns (`n0`, `n1`, …).
    pub source: LogicalPlan,
    pub actions: Vec<MergeAction>,
    pub params: Vec<PgType>,
    pub reads: Vec<TableUse>,
}

/// What a WHEN clause does. Columns are indexes into the target's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeAction {
    Update {
        columns: Vec<usize>,
        defaults: Vec<usize>,
    },
    Delete,
    /// The other columns take their defaults.
    Insert {
        columns: Vec<usize>,
    },
    Nothing,
}

#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "one for a statement, and most are queries"
)]
pub enum Bound {
    Query(BoundQuery),
    Insert(Box<BoundInsert>),
    Update(Box<BoundUpdate>),
    Delete(Box<BoundDelete>),
    Merge(Box<BoundMerge>),
    With(Box<BoundWith>),
    Changes(Box<BoundChanges>),
}

impl Bound {
    /// The columns of its rows, if it gives rows.
    pub fn returning(&self) -> Option<&[OutputColumn]> {
        let returning = match self {
            Bound::Query(query) => return Some(&query.columns),
            Bound::Changes(changes) => return Some(&changes.columns),
            Bound::Insert(insert) => &insert.returning,
            Bound::Update(update) => &update.returning,
            Bound::Delete(delete) => &delete.returning,
            Bound::Merge(_) => return None,
            Bound::With(with) => return with.last.returning(),
        };
        returning
            .as_ref()
            .map(|returning| returning.columns.as_slice())
    }

    pub fn params(&self) -> &[PgType] {
        match self {
            Bound::Query(query) => &query.params,
            Bound::Insert(insert) => &insert.params,
            Bound::Update(update) => &update.params,
            Bound::Delete(delete) => &delete.params,
            Bound::Merge(merge) => &merge.params,
            Bound::With(with) => &with.params,
            Bound::Changes(changes) => &changes.params,
        }
    }

    /// What it reads beside the table it writes.
    pub fn reads(&self) -> &[TableUse] {
        match self {
            Bound::Query(query) => &query.reads,
            Bound::Insert(insert) => &insert.reads,
            Bound::Update(update) => &update.reads,
            Bound::Delete(delete) => &delete.reads,
            Bound::Merge(merge) => &merge.reads,
            Bound::With(with) => &with.reads,
            Bound::Changes(changes) => &changes.reads,
        }
    }

    /// The tables that it writes, in the order in which it does.
    pub fn targets(&self) -> Vec<&Relation> {
        match self {
            Bound::Query(_) => Vec::new(),
            Bound::Insert(insert) => vec![&insert.target],
            Bound::Update(update) => vec![&update.target],
            Bound::Delete(delete) => vec![&delete.target],
            Bound::Merge(merge) => vec![&merge.target],
            Bound::Changes(changes) => {
                let steps = changes.steps.iter();
                steps.flat_map(Bound::targets).collect()
            }
            Bound::With(with) => {
                let parts = with.parts.iter().map(|part| &part.write);
                parts
                    .chain([&with.last])
                    .flat_map(|bound| bound.targets())
                    .collect()
            }
        }
    }
}

/// The values that stay open in a plan until it is executed.
#[derive(Debug, Clone, Copy)]
pub struct Execution<'a> {
    pub params: &'a [ScalarValue],
    /// Microseconds since 1970, UTC: the transaction's start, which is what `now()` says.
    pub transaction_time: i64,
    /// When the statement arrived.
    pub statement_time: i64,
}
