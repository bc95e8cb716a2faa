//! Aggregates over the elements of a repeated part: one row's lists are the rows that they
//! are over.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{filter, prep_null_mask_filter, take};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue, exec_err};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use super::super::scope::internal;
use super::super::{planned, unsupported};
use crate::error::PgResult;

/// A column that an aggregate looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Column {
    pub name: String,
    /// Of one element.
    pub ty: DataType,
    pub is_list: bool,
}

pub(super) fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

/// The aggregate as a function of the lists.
pub(super) fn call(aggregate: &Expr, columns: Vec<Column>) -> PgResult<Expr> {
    let Expr::AggregateFunction(aggregate) = aggregate else {
        return Err(unsupported("this aggregate over a quantified part", None));
    };
    if !aggregate.params.order_by.is_empty() {
        return Err(
            unsupported("ORDER BY in an aggregate over a quantified part", None)
                .hint("The elements come in the order of the path."),
        );
    }
    let args = columns
        .iter()
        .map(|column| internal(&column.name))
        .collect();
    let function = planned(ListAggregate::new(aggregate.clone(), columns))?;
    Ok(ScalarUDF::from(function).call(args))
}

#[derive(Debug)]
struct ListAggregate {
    aggregate: AggregateFunction,
    columns: Vec<Column>,
    signature: Signature,
    physical: AggregateFunctionExpr,
    condition: Option<Arc<dyn PhysicalExpr>>,
    schema: Arc<Schema>,
}

impl ListAggregate {
    fn new(aggregate: AggregateFunction, columns: Vec<Column>) -> DfResult<Self> {
        let fields: Vec<Field> = columns
            .iter()
            .map(|column| Field::new(&column.name, column.ty.clone(), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let resolved = DFSchema::try_from(Arc::clone(&schema))?;
        let props = ExecutionProps::new();
        let physical_of = |expr: &Expr| create_physical_expr(expr, &resolved, &props);
        let params = &aggregate.params;
        let args = params
            .args
            .iter()
            .map(physical_of)
            .collect::<DfResult<Vec<_>>>()?;
        let condition = params
            .filter
            .as_ref()
            .map(|filter| physical_of(filter))
            .transpose()?;
        let physical = AggregateExprBuilder::new(Arc::clone(&aggregate.func), args)
            .schema(Arc::clone(&schema))
            .alias("aggregate")
            .with_distinct(params.distinct)
            .build()?;
        Ok(ListAggregate {
            aggregate,
            signature: Signature::any(columns.len(), Volatility::Immutable),
            columns,
            physical,
            condition,
            schema,
        })
    }

    /// The elements of the rows from each list's beginning to its end.
    fn elements(&self, arrays: &[ArrayRef], rows: usize) -> DfResult<(RecordBatch, Vec<usize>)> {
        let mut ends = vec![0];
        for (column, array) in self.columns.iter().zip(arrays) {
            if !column.is_list {
                continue;
            }
            let offsets = array.as_list::<i32>().offsets();
            let lengths: Vec<usize> = offsets
                .lengths()
                .scan(0, |end, length| {
                    *end += length;
                    Some(*end)
                })
                .collect();
            if ends.len() > 1 && ends[1..] != lengths[..] {
                return exec_err!("lists of one quantified part differ in length");
            }
            ends.truncate(1);
            ends.extend(lengths);
        }
        ends.resize(rows + 1, 0);
        let owners: UInt32Array = (0..rows)
            .flat_map(|row| std::iter::repeat_n(row as u32, ends[row + 1] - ends[row]))
            .collect();
        let columns = self
            .columns
            .iter()
            .zip(arrays)
            .map(|(column, array)| {
                if !column.is_list {
                    return Ok(take(array, &owners, None)?);
                }
                let list = array.as_list::<i32>();
                let from = list.offsets().first().copied().unwrap_or_default() as usize;
                Ok(list.values().slice(from, owners.len()))
            })
            .collect::<DfResult<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(owners.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        Ok((batch, ends))
    }
}

impl PartialEq for ListAggregate {
    fn eq(&self, other: &Self) -> bool {
        self.aggregate == other.aggregate && self.columns == other.columns
    }
}

impl Eq for ListAggregate {}

impl Hash for ListAggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.aggregate.hash(state);
        self.columns.hash(state);
    }
}

impl ScalarUDFImpl for ListAggregate {
    fn name(&self) -> &str {
        self.aggregate.func.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(self.physical.field().data_type().clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = args
            .args
            .iter()
            .map(|arg| arg.to_array(rows))
            .collect::<DfResult<Vec<_>>>()?;
        let (batch, ends) = self.elements(&arrays, rows)?;
        let values = self
            .physical
            .expressions()
            .iter()
            .map(|expr| expr.evaluate(&batch)?.into_array(batch.num_rows()))
            .collect::<DfResult<Vec<_>>>()?;
        let condition = match &self.condition {
            None => None,
            Some(condition) => {
                let holds = condition.evaluate(&batch)?.into_array(batch.num_rows())?;
                let holds = holds.as_boolean();
                Some(match holds.null_count() {
                    0 => holds.clone(),
                    _ => prep_null_mask_filter(holds),
                })
            }
        };
        let mut results = Vec::with_capacity(rows);
        for row in 0..rows {
            let (from, length) = (ends[row], ends[row + 1] - ends[row]);
            let own = values.iter().map(|array| {
                let own = array.slice(from, length);
                match &condition {
                    None => Ok(own),
                    Some(condition) => Ok(filter(&own, &condition.slice(from, length))?),
                }
            });
            let own = own.collect::<DfResult<Vec<_>>>()?;
            let mut accumulator = self.physical.create_accumulator()?;
            accumulator.update_batch(&own)?;
            results.push(accumulator.evaluate()?);
        }
        if results.is_empty() {
            let none = arrow::array::new_empty_array(self.physical.field().data_type());
            return Ok(ColumnarValue::Array(none));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(results)?))
    }
}
