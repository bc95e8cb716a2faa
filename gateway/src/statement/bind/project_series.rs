//! `Series`: each row of its input once for every value of a `generate_series`. The values are
//! made as they are read, however many there would be.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::{DFSchema, DFSchemaRef, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::over_rows::{OverRows, RowOperator};
use super::series::{self, Steps};
use crate::text::Zone;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Series {
    pub(super) input: LogicalPlan,
    call: SeriesCall,
    schema: DFSchemaRef,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SeriesCall {
    /// Start, stop and, unless it is 1, the step.
    bounds: Vec<Expr>,
    element: DataType,
    /// In which days and months are counted.
    zone: Zone,
    /// The column of the values.
    values: String,
    /// The column of their places, which count from 1.
    places: Option<String>,
}

impl SeriesCall {
    /// The call behind a list over the rows of `input`, if it is such a series.
    pub(super) fn of(list: &Expr, values: &str, input: &DFSchema, zone: &Zone) -> Option<Self> {
        let Expr::ScalarFunction(call) = list else {
            return None;
        };
        if call.func.name() != series::NAME {
            return None;
        }
        let DataType::List(element) = list.get_type(input).ok()? else {
            return None;
        };
        Some(SeriesCall {
            bounds: call.args.clone(),
            element: element.data_type().clone(),
            zone: zone.clone(),
            values: values.to_owned(),
            places: None,
        })
    }

    pub(super) fn with_places(self, places: &str) -> Self {
        SeriesCall {
            places: Some(places.to_owned()),
            ..self
        }
    }
}

impl Series {
    pub(super) fn new(input: LogicalPlan, call: SeriesCall) -> DfResult<Self> {
        let mut fields: Vec<_> = input
            .schema()
            .iter()
            .map(|(table, field)| (table.cloned(), Arc::clone(field)))
            .collect();
        let value = Field::new(&call.values, call.element.clone(), true);
        fields.push((None, Arc::new(value)));
        if let Some(places) = &call.places {
            fields.push((None, Arc::new(Field::new(places, DataType::Int64, true))));
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        Ok(Series {
            input,
            call,
            schema,
        })
    }

    pub(super) fn physical(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        state: &SessionState,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let of_input = self.input.schema();
        let bounds = self.call.bounds.iter();
        let bounds = bounds
            .map(|bound| create_physical_expr(bound, of_input, state.execution_props()))
            .collect::<DfResult<_>>()?;
        let call = PhysicalCall {
            bounds,
            element: self.call.element.clone(),
            zone: self.call.zone.clone(),
            places: self.call.places.is_some(),
        };
        Ok(Arc::new(OverRows::new(
            Arc::clone(input),
            Arc::new(SeriesRows(Arc::new(call))),
            Arc::clone(self.schema.inner()),
        )))
    }
}

impl PartialOrd for Series {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input)
    }
}

impl UserDefinedLogicalNodeCore for Series {
    fn name(&self) -> &str {
        "Series"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.call.bounds.clone()
    }

    fn prevent_predicate_push_down_columns(&self) -> std::collections::HashSet<String> {
        let made = std::iter::once(&self.call.values).chain(&self.call.places);
        made.cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Series")
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        let call = SeriesCall {
            bounds: exprs,
            ..self.call.clone()
        };
        match inputs.into_iter().next() {
            Some(input) => Series::new(input, call),
            None => Ok(self.clone()),
        }
    }
}

#[derive(Debug)]
struct PhysicalCall {
    bounds: Vec<Arc<dyn PhysicalExpr>>,
    element: DataType,
    zone: Zone,
    places: bool,
}

#[derive(Debug)]
struct SeriesRows(Arc<PhysicalCall>);

impl RowOperator for SeriesRows {
    fn name(&self) -> &'static str {
        "SeriesExec"
    }

    fn benefits_from_partitions(&self) -> bool {
        true
    }

    fn run(
        &self,
        rows: SendableRecordBatchStream,
        schema: SchemaRef,
        context: Arc<TaskContext>,
    ) -> DfResult<BoxStream<'static, DfResult<RecordBatch>>> {
        let size = context.session_config().batch_size();
        let call = Arc::clone(&self.0);
        let repeated = rows.flat_map(move |rows| {
            let made = rows.and_then(|rows| Repeated::of(rows, &call, &schema, size));
            let (repeated, error) = match made {
                Ok(repeated) => (Some(repeated), None),
                Err(error) => (None, Some(Err(error))),
            };
            stream::iter(repeated.into_iter().flatten().chain(error))
        });
        Ok(repeated.boxed())
    }
}

/// A batch of the input, each of its rows as often as its series has values.
struct Repeated {
    rows: RecordBatch,
    bounds: Vec<ArrayRef>,
    call: Arc<PhysicalCall>,
    schema: SchemaRef,
    /// Rows of a batch.
    size: usize,
    /// The row whose series is under way, how far it got, and what is left of it.
    row: usize,
    place: i64,
    steps: Option<Steps>,
}

impl Repeated {
    fn of(
        rows: RecordBatch,
        call: &Arc<PhysicalCall>,
        schema: &SchemaRef,
        size: usize,
    ) -> DfResult<Self> {
        let count = rows.num_rows();
        let bounds = call.bounds.iter();
        let bounds = bounds
            .map(|bound| bound.evaluate(&rows)?.into_array(count))
            .collect::<DfResult<_>>()?;
        let mut repeated = Repeated {
            rows,
            bounds,
            call: Arc::clone(call),
            schema: Arc::clone(schema),
            size,
            row: 0,
            place: 0,
            steps: None,
        };
        repeated.begin()?;
        Ok(repeated)
    }

    /// Begins the series of the row that is next, if there is one.
    fn begin(&mut self) -> DfResult<()> {
        self.place = 0;
        self.steps = if self.row < self.rows.num_rows() {
            Steps::of(&self.bounds, self.row)?
        } else {
            None
        };
        Ok(())
    }

    /// The next rows; none at the end.
    fn batch(&mut self) -> DfResult<Option<RecordBatch>> {
        let (mut rows, mut values, mut places) = (Vec::new(), Vec::new(), Vec::new());
        while self.row < self.rows.num_rows() && values.len() < self.size {
            let next = match &mut self.steps {
                Some(steps) => steps.next(&self.call.zone)?,
                None => None,
            };
            match next {
                Some(value) => {
                    self.place += 1;
                    rows.push(self.row as u32);
                    values.push(value);
                    if self.call.places {
                        places.push(self.place);
                    }
                }
                None => {
                    self.row += 1;
                    self.begin()?;
                }
            }
        }
        if values.is_empty() {
            return Ok(None);
        }
        let rows = UInt32Array::from(rows);
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for column in self.rows.columns() {
            columns.push(take(column, &rows, None)?);
        }
        columns.push(series::array(values, &self.call.element));
        if self.call.places {
            columns.push(Arc::new(Int64Array::from(places)));
        }
        Ok(Some(RecordBatch::try_new(
            Arc::clone(&self.schema),
            columns,
        )?))
    }
}

impl Iterator for Repeated {
    type Item = DfResult<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batch();
        if batch.is_err() {
            self.row = self.rows.num_rows();
        }
        batch.transpose()
    }
}
