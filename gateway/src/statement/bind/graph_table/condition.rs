//! A condition of a pattern, over properties as the engine fetches them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Float64Type, Schema as ArrowSchema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DataFusionError, Result as DfResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use omnigraph_catalog::provider::to_sql;
use omnigraph_engine::pattern::{self, Failure};

use super::exec::outside;
use super::node::{Condition, HOLE, hole_of};

#[derive(Debug, Clone)]
pub(super) struct SqlCondition {
    expr: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
}

impl SqlCondition {
    pub(super) fn new(condition: &Condition, state: &SessionState) -> DfResult<Self> {
        let fields = condition.types.iter().enumerate();
        let fields = fields.map(|(at, ty)| Field::new(format!("{HOLE}{at}"), ty.clone(), true));
        let schema = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
        let filled = condition.expr.clone().transform(|expr| {
            Ok(match hole_of(&expr) {
                Some(at) => {
                    Transformed::yes(Expr::Column(Column::new_unqualified(format!("{HOLE}{at}"))))
                }
                None => Transformed::no(expr),
            })
        })?;
        let resolved = DFSchema::try_from(Arc::clone(&schema))?;
        let expr = create_physical_expr(&filled.data, &resolved, state.execution_props())?;
        Ok(SqlCondition { expr, schema })
    }

    fn evaluate(&self, properties: &[ArrayRef], rows: usize) -> Result<ArrayRef, Failure> {
        let arrays = properties.iter().zip(self.schema.fields());
        let arrays = arrays
            .map(|(array, field)| to_sql(array, field.data_type()))
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?;
        let value = self.expr.evaluate(&batch).map_err(outside)?;
        value.into_array(rows).map_err(outside)
    }
}

impl pattern::Condition for SqlCondition {
    fn holds(&self, properties: &[ArrayRef], rows: usize) -> Result<BooleanArray, Failure> {
        let holds = self.evaluate(properties, rows)?;
        Ok(holds.as_boolean().clone())
    }

    fn cost(&self, properties: &[ArrayRef], rows: usize) -> Result<Vec<f64>, Failure> {
        let refuse = |message: &str| {
            let error =
                omnigraph_udfs::Error::value(crate::sqlstate::INVALID_PARAMETER_VALUE, message);
            Err(outside(DataFusionError::from(error)))
        };
        let costs = self.evaluate(properties, rows)?;
        let costs = costs.as_primitive::<Float64Type>();
        if costs.null_count() > 0 {
            return refuse("the COST of an edge must not be null");
        }
        if costs
            .values()
            .iter()
            .any(|cost| cost.is_nan() || *cost < 0.0)
        {
            return refuse("the COST of an edge must not be negative");
        }
        Ok(costs.values().to_vec())
    }
}
