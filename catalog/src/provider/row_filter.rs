//! A condition over rows of one table, for those who decide over rows outside of a plan.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use omnigraph_engine::restrict::RowPredicate;
use omnigraph_engine::schema::TypeDef;
use omnigraph_engine::{Error, Result};

use super::columns::{arrow_schema, to_sql};
use super::pushdown::is_row_filter;
use super::scan::Filters;

#[derive(Debug)]
pub struct RowFilter {
    filters: Filters,
    /// The table's columns, with SQL's types.
    schema: SchemaRef,
}

impl RowFilter {
    /// `names` are what the condition calls the table's columns, in their order.
    pub fn new(def: &TypeDef, names: &[String], condition: Expr) -> DfResult<Self> {
        if !is_row_filter(&condition) {
            return Err(DataFusionError::External(Box::new(Error::Unsupported {
                message: "a condition that one row alone does not decide is not supported"
                    .to_owned(),
                hint: Some(
                    "Leave out subqueries, random values and the bytes of blobs.".to_owned(),
                ),
            })));
        }
        let fields = arrow_schema(def);
        let fields = fields.fields().iter().zip(names);
        let fields = fields
            .map(|(field, name)| Field::new(name, field.data_type().clone(), field.is_nullable()));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let filters = Filters::new(&schema, &[condition], &ExecutionProps::new())?;
        Ok(RowFilter { filters, schema })
    }
}

impl RowPredicate for RowFilter {
    fn columns(&self) -> &[usize] {
        self.filters.columns()
    }

    fn passes(&self, columns: &[ArrayRef], rows: usize) -> Result<BooleanArray> {
        let arrays = self
            .columns()
            .iter()
            .zip(columns)
            .map(|(column, array)| to_sql(array, self.schema.field(*column).data_type()))
            .collect::<Result<Vec<_>>>()?;
        let mask = self.filters.mask(&arrays, rows).map_err(failed)?;
        Ok(mask.unwrap_or_else(|| BooleanArray::from(vec![true; rows])))
    }
}

/// The error of a function as it was meant; anything else is a fault.
fn failed(error: DataFusionError) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(at) = cause {
        if let Some(own) = at.downcast_ref::<Error>() {
            return own.clone();
        }
        cause = at.source();
    }
    Error::Invalid {
        message: format!("a policy's condition cannot be evaluated: {error}"),
        detail: None,
        hint: Some("Change the policy, or the value that it looks at.".to_owned()),
    }
}
