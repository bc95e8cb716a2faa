//! `ORDER BY column <=> vector LIMIT k` over one table: the scan is told what is wanted, and
//! gives at least the rows that are nearest, which are then sorted like any others.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Float32Type, Schema};
use datafusion::common::Result as DfResult;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Volatility;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use omnigraph_catalog::provider::ScanExec;
use omnigraph_engine::schema::PropertyType;
use omnigraph_engine::search::{Metric, NearestRequest};
use omnigraph_udfs::pg::vector;

#[derive(Debug)]
pub(super) struct NearestScan;

impl PhysicalOptimizerRule for NearestScan {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        plan.transform_down(|node| {
            let Some((most, wanted)) = node.downcast_ref::<SortExec>().and_then(wanted) else {
                return Ok(Transformed::no(node));
            };
            let input = Arc::clone(node.children()[0]);
            Ok(match told(&input, &wanted, most)? {
                Some(input) => Transformed::yes(node.with_new_children(vec![input])?),
                None => Transformed::no(node),
            })
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "NearestScan"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What a sort has first, the least of it first, and how many rows are taken of it.
fn wanted(sort: &SortExec) -> Option<(usize, Arc<dyn PhysicalExpr>)> {
    let first = sort.expr().first();
    let is_nearest = !first.options.descending && !first.options.nulls_first;
    is_nearest.then_some((sort.fetch()?, Arc::clone(&first.expr)))
}

/// The same plan over a scan that knows what is wanted of it; `None`: it has rows that are not
/// those of one scan, or something else is wanted than what is near.
fn told(
    plan: &Arc<dyn ExecutionPlan>,
    wanted: &Arc<dyn PhysicalExpr>,
    most: usize,
) -> DfResult<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(scan) = plan.downcast_ref::<ScanExec>() {
        let request = request(scan, wanted, most);
        let nearest = request.and_then(|request| scan.nearest(request));
        return Ok(nearest.map(|scan| Arc::new(scan) as Arc<dyn ExecutionPlan>));
    }
    let wanted = match plan.downcast_ref::<ProjectionExec>() {
        Some(projection) => match wanted.downcast_ref::<Column>() {
            Some(column) => Arc::clone(&projection.expr()[column.index()].expr),
            None => return Ok(None),
        },
        None if plan.is::<CoalescePartitionsExec>() || plan.is::<RepartitionExec>() => {
            Arc::clone(wanted)
        }
        None => return Ok(None),
    };
    let children = plan.children();
    let [input] = children.as_slice() else {
        return Ok(None);
    };
    Ok(match told(input, &wanted, most)? {
        Some(input) => Some(Arc::clone(plan).with_new_children(vec![input])?),
        None => None,
    })
}

fn request(scan: &ScanExec, wanted: &Arc<dyn PhysicalExpr>, most: usize) -> Option<NearestRequest> {
    let call = wanted.downcast_ref::<ScalarFunctionExpr>()?;
    let metric = vector::metric(call.fun())?;
    let [left, right] = call.args() else {
        return None;
    };
    let (column, query) = match (
        left.downcast_ref::<Column>(),
        right.downcast_ref::<Column>(),
    ) {
        (Some(column), None) => (column, right),
        (None, Some(column)) => (column, left),
        _ => return None,
    };
    let column = scan.table_column(column.index())?;
    let def = scan.table().def();
    let property = (0..def.properties.len()).find(|at| def.property_column(*at) == column)?;
    let query = numbers(&constant(query)?)?;
    // What is of other dimensions is an error, which the comparison of each row tells.
    let PropertyType::Vector(dimensions) = def.properties[property].ty else {
        return None;
    };
    (dimensions as usize == query.len()).then_some(NearestRequest {
        column,
        metric,
        query,
        most,
        indexed: Metric::declared(def, property) == Some(metric),
    })
}

/// Is it the same for all rows and at all times?
fn is_fixed(expr: &Arc<dyn PhysicalExpr>) -> bool {
    if expr.is::<Literal>() {
        return true;
    }
    expr.downcast_ref::<ScalarFunctionExpr>()
        .is_some_and(|call| {
            call.fun().signature().volatility == Volatility::Immutable
                && call.args().iter().all(is_fixed)
        })
}

/// The value of an expression that is fixed and not NULL.
fn constant(expr: &Arc<dyn PhysicalExpr>) -> Option<ArrayRef> {
    if !is_fixed(expr) {
        return None;
    }
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one);
    let value = expr.evaluate(&row.ok()?).ok()?.into_array(1).ok()?;
    value.is_valid(0).then_some(value)
}

fn numbers(vector: &ArrayRef) -> Option<Vec<f32>> {
    let numbers = match vector.as_fixed_size_list_opt() {
        Some(list) => list.value(0),
        None => vector.as_list_opt::<i32>()?.value(0),
    };
    Some(numbers.as_primitive_opt::<Float32Type>()?.values().to_vec())
}
