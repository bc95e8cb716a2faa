//! `Apply`: a plan evaluated for each row of another one. Correlated subqueries, LATERAL and
//! everything else that DataFusion's joins do not say.
//!
//! Inside the right plan, values of the left row are placeholders (`$o3`). Before planning,
//! [`decorrelate`](super::decorrelate) turns the shapes that are joins into joins. The rest is
//! sealed: that hides the right plan from the planner, and [`exec`](super::apply_exec) plans it
//! anew for each distinct set of outer values, with the values in place, so that key lookups
//! stay key lookups. Results are kept by outer values, within a bound.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, DFSchemaRef, Result as DfResult};
use datafusion::logical_expr::{
    Expr, Extension, InvariantLevel, LogicalPlan, UserDefinedLogicalNodeCore,
};

use super::planned;
use crate::error::PgResult;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
pub(super) enum ApplyKind {
    /// The only row's only column; NULL if there is no row, 21000 if there are several.
    Scalar,
    /// Is there a row?
    Exists,
    /// Is the needle among the rows? NULL when it is not and a NULL is.
    In,
    /// The only column of all rows.
    Array,
    /// The left row with each right row; with `outer` at least once.
    Lateral { outer: bool },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Apply {
    pub(super) left: LogicalPlan,
    pub(super) right: LogicalPlan,
    /// The placeholders of the right plan and what they are on the left.
    pub(super) outer: Vec<(String, Expr)>,
    pub(super) needles: Vec<Expr>,
    pub(super) kind: ApplyKind,
    pub(super) schema: DFSchemaRef,
    /// The right plan is no input: it is planned at execution.
    pub(super) sealed: bool,
}

impl Apply {
    pub(super) fn plan(
        left: LogicalPlan,
        right: LogicalPlan,
        outer: Vec<(String, Expr)>,
        needles: Vec<Expr>,
        kind: ApplyKind,
        output: &str,
    ) -> PgResult<LogicalPlan> {
        let schema = planned(schema_of(&left, &right, kind, output))?;
        let node = Apply {
            left,
            right,
            outer,
            needles,
            kind,
            schema: Arc::new(schema),
            sealed: false,
        };
        Ok(LogicalPlan::Extension(Extension {
            node: Arc::new(node),
        }))
    }

    /// The name of the column that a kind other than LATERAL adds.
    pub(super) fn output(&self) -> Option<&str> {
        match self.kind {
            ApplyKind::Lateral { .. } => None,
            _ => self
                .schema
                .fields()
                .last()
                .map(|field| field.name().as_str()),
        }
    }
}

fn schema_of(
    left: &LogicalPlan,
    right: &LogicalPlan,
    kind: ApplyKind,
    output: &str,
) -> DfResult<DFSchema> {
    let mut fields: Vec<_> = left
        .schema()
        .iter()
        .map(|(table, field)| (table.cloned(), Arc::clone(field)))
        .collect();
    let first = || {
        right
            .schema()
            .fields()
            .first()
            .map_or(DataType::Null, |field| field.data_type().clone())
    };
    let ty = match kind {
        ApplyKind::Lateral { .. } => {
            fields.extend(right.schema().iter().map(|(table, field)| {
                (
                    table.cloned(),
                    Arc::new(Field::new(field.name(), field.data_type().clone(), true)),
                )
            }));
            return DFSchema::new_with_metadata(fields, Default::default());
        }
        ApplyKind::Scalar => first(),
        ApplyKind::Exists | ApplyKind::In => DataType::Boolean,
        ApplyKind::Array => DataType::List(Arc::new(Field::new("item", first(), true))),
    };
    fields.push((None, Arc::new(Field::new(output, ty, true))));
    DFSchema::new_with_metadata(fields, Default::default())
}

impl PartialOrd for Apply {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.kind.partial_cmp(&other.kind)
    }
}

impl UserDefinedLogicalNodeCore for Apply {
    fn name(&self) -> &str {
        "Apply"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        if self.sealed {
            vec![&self.left]
        } else {
            vec![&self.left, &self.right]
        }
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn check_invariants(&self, _check: InvariantLevel) -> DfResult<()> {
        Ok(())
    }

    fn expressions(&self) -> Vec<Expr> {
        self.outer
            .iter()
            .map(|(_, expr)| expr.clone())
            .chain(self.needles.iter().cloned())
            .collect()
    }

    /// Conditions over the left side's columns alone may go below; those over ours not.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect()
    }

    /// The right side is needed as it is; the left side's columns only where somebody above, or
    /// the right side, takes them.
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.left.schema().fields().len();
        let lefts = output_columns
            .iter()
            .copied()
            .filter(|at| *at < width)
            .collect();
        if self.sealed {
            return Some(vec![lefts]);
        }
        let rights = match self.kind {
            ApplyKind::Lateral { .. } => output_columns
                .iter()
                .filter_map(|at| at.checked_sub(width))
                .collect(),
            ApplyKind::Exists => Vec::new(),
            ApplyKind::Scalar | ApplyKind::Array | ApplyKind::In => {
                (0..self.right.schema().fields().len()).collect()
            }
        };
        Some(vec![lefts, rights])
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Apply: {:?}", self.kind)?;
        for (id, expr) in &self.outer {
            write!(f, " {id}={expr}")?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        let mut inputs = inputs.into_iter();
        let left = inputs.next().unwrap_or_else(|| self.left.clone());
        let right = inputs.next().unwrap_or_else(|| self.right.clone());
        let needles = exprs.get(self.outer.len()..).unwrap_or_default().to_vec();
        let outer = self
            .outer
            .iter()
            .map(|(id, _)| id.clone())
            .zip(exprs)
            .collect();
        // Inputs keep their columns' names and types; an optimiser may have dropped or reordered
        // nothing, because every column is required of them.
        let schema = schema_of(&left, &right, self.kind, self.output().unwrap_or_default())?;
        Ok(Apply {
            left,
            right,
            outer,
            needles,
            kind: self.kind,
            schema: Arc::new(schema),
            sealed: self.sealed,
        })
    }
}
