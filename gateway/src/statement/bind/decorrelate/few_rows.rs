//! Plans of which it shows that they read few rows, by a key.

use std::collections::HashSet;

use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};
use omnigraph_catalog::provider::GraphTable;

/// Is it the `id` of a table that the plan reads and only filters and renames?
pub(super) fn is_id(plan: &LogicalPlan, column: &Column) -> bool {
    match plan {
        LogicalPlan::Filter(filter) => is_id(&filter.input, column),
        LogicalPlan::Projection(projection) => projection
            .schema
            .index_of_column(column)
            .ok()
            .and_then(|at| match projection.expr[at].clone().unalias() {
                Expr::Column(inner) => Some(is_id(&projection.input, &inner)),
                _ => None,
            })
            .unwrap_or(false),
        LogicalPlan::TableScan(scan) => {
            column.name == ID && scan.fetch.is_none() && graph_table(plan).is_some()
        }
        _ => false,
    }
}

const ID: &str = "id";

fn graph_table(plan: &LogicalPlan) -> Option<GraphTable> {
    let LogicalPlan::TableScan(scan) = plan else {
        return None;
    };
    let provider = source_as_provider(&scan.source).ok()?;
    provider.downcast_ref::<GraphTable>().cloned()
}

/// Few rows, as far as the plan shows: keys are given, or it reads no table of a graph at all
/// (those of the catalogs are small).
pub(super) fn reads_few_rows(plan: &LogicalPlan) -> bool {
    let mut reads_graph = false;
    // The closure never fails.
    let _ = plan.apply(|node| {
        if graph_table(node).is_some() {
            reads_graph = true;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    !reads_graph || is_looked_up(plan, HashSet::new())
}

/// Does a table in it have its key given? `given`: columns that equal constants.
fn is_looked_up(plan: &LogicalPlan, mut given: HashSet<String>) -> bool {
    match plan {
        LogicalPlan::Filter(filter) => {
            for conjunct in split_conjunction(&filter.predicate) {
                given.extend(given_column(conjunct));
            }
        }
        LogicalPlan::Projection(projection) => {
            for (expr, name) in projection.expr.iter().zip(projection.schema.columns()) {
                if let Expr::Column(inner) = expr.clone().unalias()
                    && given.contains(&name.flat_name())
                {
                    given.insert(inner.flat_name());
                }
            }
        }
        LogicalPlan::TableScan(scan) => {
            let Some(table) = graph_table(plan) else {
                return false;
            };
            let def = table.def();
            let key = def.key.iter().map(|at| def.property_column(*at));
            let is_given = |column: usize| {
                let name = datafusion::catalog::TableProvider::schema(&table)
                    .field(column)
                    .name()
                    .clone();
                given.contains(&Column::new(Some(scan.table_name.clone()), name).flat_name())
            };
            let ends = if def.is_edge() { 1..3 } else { 0..0 };
            return is_given(0)
                || ends.into_iter().any(is_given)
                || (!def.key.is_empty() && key.into_iter().all(is_given));
        }
        _ => {}
    }
    plan.inputs()
        .into_iter()
        .any(|input| is_looked_up(input, given.clone()))
}

/// `column = constant`, `column IN (constants)`.
fn given_column(condition: &Expr) -> Option<String> {
    let constant = |expr: &Expr| matches!(expr, Expr::Literal(..) | Expr::Placeholder(_));
    match condition {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), other) | (other, Expr::Column(column)) if constant(other) => {
                Some(column.flat_name())
            }
            _ => None,
        },
        Expr::InList(list) if !list.negated && list.list.iter().all(constant) => {
            match list.expr.as_ref() {
                Expr::Column(column) => Some(column.flat_name()),
                _ => None,
            }
        }
        _ => None,
    }
}
