//! Where a plan reads the bytes of blobs: as late as it can.
//!
//! The binder writes `blob_bytes(value)` wherever a column of blobs is named. Here, when the
//! plan is done, each of these becomes a column of a [`ReadBlobs`] below the node that needs
//! the bytes; and what only passes through a sort or a limit is read above it, for the rows
//! that are left.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DataFusionError, Result as DfResult};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder, Projection};
use omnigraph_engine::Error;
use omnigraph_udfs::pg::blob::{bytes, read_by, value_within};

use super::read_blobs::{ReadBlob, ReadBlobs};
use super::row_limit::RowLimit;

pub(super) fn place_blobs(plan: LogicalPlan) -> DfResult<LogicalPlan> {
    if !reads_blobs(&plan)? {
        return Ok(plan);
    }
    let plan = plan.transform_up(|plan| without_bytes(plan)?.transform_data(deferred))?;
    let mut reads = 0;
    let placed = plan.data.transform_up(|plan| placed(plan, &mut reads))?;
    Ok(placed.data)
}

fn reads_blobs(plan: &LogicalPlan) -> DfResult<bool> {
    plan.exists(|plan| {
        let exprs = plan.expressions();
        let mut found = false;
        for expr in exprs {
            found |= expr.exists(|expr| Ok(read_by(expr).is_some()))?;
        }
        Ok(found)
    })
}

/// Whether bytes are NULL, and how many are not, is said by their values.
fn without_bytes(plan: LogicalPlan) -> DfResult<Transformed<LogicalPlan>> {
    let value = |expr: &Expr| value_within(expr).cloned().map(Box::new);
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let simpler = expr.transform_up(|expr| {
            let by_value = match &expr {
                Expr::IsNull(inner) => value(inner).map(Expr::IsNull),
                Expr::IsNotNull(inner) => value(inner).map(Expr::IsNotNull),
                Expr::AggregateFunction(call)
                    if call.func.name() == "count" && !call.params.distinct =>
                {
                    counted(call)
                }
                _ => None,
            };
            Ok(match by_value {
                Some(by_value) => Transformed::yes(by_value),
                None => Transformed::no(expr),
            })
        })?;
        Ok(simpler.update_data(|expr| name.restore(expr)))
    })
}

fn counted(call: &AggregateFunction) -> Option<Expr> {
    let [of] = call.params.args.as_slice() else {
        return None;
    };
    let mut call = call.clone();
    call.params.args = vec![value_within(of)?.clone()];
    Some(Expr::AggregateFunction(call))
}

/// A sort or limit over a projection that reads bytes which the sort does not look at: values
/// go through it, and are read above.
fn deferred(plan: LogicalPlan) -> DfResult<Transformed<LogicalPlan>> {
    let is_limit =
        matches!(&plan, LogicalPlan::Extension(node) if node.node.as_any().is::<RowLimit>());
    if !is_limit && !matches!(plan, LogicalPlan::Sort(_) | LogicalPlan::Limit(_)) {
        return Ok(Transformed::no(plan));
    }
    let mut inputs: Vec<LogicalPlan> = plan.inputs().into_iter().cloned().collect();
    let Some(LogicalPlan::Projection(below)) = inputs.first() else {
        return Ok(Transformed::no(plan));
    };
    let exprs = plan.expressions();
    let looked_at = |column: &Column| exprs.iter().any(|expr| expr.column_refs().contains(column));
    let columns = below.schema.columns();
    let mut values = below.expr.clone();
    let mut above = Vec::with_capacity(columns.len());
    let mut any = false;
    for (expr, column) in values.iter_mut().zip(&columns) {
        let passing = Expr::Column(column.clone());
        let value = match &*expr {
            Expr::Alias(alias) if !looked_at(column) => value_within(&alias.expr).cloned(),
            _ => None,
        };
        above.push(match value {
            Some(value) => {
                any = true;
                *expr = value.alias_qualified(column.relation.clone(), &column.name);
                bytes(passing).alias_qualified(column.relation.clone(), &column.name)
            }
            None => passing,
        });
    }
    if !any {
        return Ok(Transformed::no(plan));
    }
    let below = Projection::try_new(values, Arc::clone(&below.input))?;
    inputs[0] = LogicalPlan::Projection(below);
    let lower = plan.with_new_exprs(exprs, inputs)?;
    Ok(Transformed::yes(LogicalPlan::Projection(
        Projection::try_new(above, Arc::new(lower))?,
    )))
}

/// The node over columns of the bytes that it reads.
fn placed(plan: LogicalPlan, number: &mut usize) -> DfResult<Transformed<LogicalPlan>> {
    let exprs = plan.expressions();
    let mut wanted: Vec<ReadBlob> = Vec::new();
    let names = NamePreserver::new(&plan);
    let mut replaced = Vec::with_capacity(exprs.len());
    for expr in exprs {
        let name = names.save(&expr);
        let expr = expr.transform_up(|expr| {
            let Some(args) = read_by(&expr) else {
                return Ok(Transformed::no(expr));
            };
            let known = wanted.iter().find(|read| read.args == args);
            let column = match known {
                Some(read) => read.column.clone(),
                None => {
                    *number += 1;
                    let column = format!("$blob{number}");
                    wanted.push(ReadBlob {
                        args: args.to_vec(),
                        column: column.clone(),
                    });
                    column
                }
            };
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(
                column,
            ))))
        })?;
        replaced.push(name.restore(expr.data));
    }
    if wanted.is_empty() {
        return Ok(Transformed::no(plan));
    }
    let mut inputs: Vec<LogicalPlan> = plan.inputs().into_iter().cloned().collect();
    for input in &mut inputs {
        let of_input = |read: &ReadBlob| {
            let mut columns = read.args.iter().flat_map(Expr::column_refs);
            columns.all(|column| input.schema().has_column(column))
        };
        let (here, elsewhere): (Vec<_>, Vec<_>) = wanted.into_iter().partition(of_input);
        wanted = elsewhere;
        if !here.is_empty() {
            let node = ReadBlobs::new(input.clone(), here)?;
            *input = LogicalPlan::Extension(Extension {
                node: Arc::new(node),
            });
        }
    }
    if !wanted.is_empty() {
        return Err(DataFusionError::External(Box::new(Error::Unsupported {
            message: "the bytes of a blob cannot be read here".to_owned(),
            hint: Some("Read them in the list of SELECT.".to_owned()),
        })));
    }
    let before = plan.schema().columns();
    let after = plan.with_new_exprs(replaced, inputs)?;
    if after.schema().columns() == before {
        return Ok(Transformed::yes(after));
    }
    // The columns that were read pass through; nobody asked for them.
    LogicalPlanBuilder::from(after)
        .project(before.into_iter().map(Expr::Column))
        .and_then(LogicalPlanBuilder::build)
        .map(Transformed::yes)
}
