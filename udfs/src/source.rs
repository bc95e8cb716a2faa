//! A call in FROM, as a table that DataFusion can plan with. It is called when the plan is
//! executed, once per execution, and gets the conditions and the limit that it can use.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{Statistics, project_schema};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use datafusion::scalar::ScalarValue;
use futures::stream::{StreamExt, TryStreamExt};

use crate::function::{
    Bound, Call, Column, Comparison, FunctionScope, TableFunction, arrow_schema,
};

/// The estimate that plans of a function's rows are made with.
pub fn estimate(
    function: &dyn TableFunction,
    schema: &SchemaRef,
    limit: Option<usize>,
) -> Statistics {
    let rows = function.rows();
    let mut statistics = Statistics::new_unknown(schema);
    statistics.num_rows = Precision::Inexact(limit.map_or(rows, |limit| limit.min(rows)));
    statistics
}

/// A function with the values of all its arguments.
#[derive(Debug, Clone)]
pub struct FunctionSource {
    function: Arc<dyn TableFunction>,
    arguments: Vec<ScalarValue>,
    schema: SchemaRef,
}

impl FunctionSource {
    /// `columns` are what the function answered for these arguments.
    pub fn new(
        function: Arc<dyn TableFunction>,
        arguments: Vec<ScalarValue>,
        columns: &[Column],
    ) -> Self {
        FunctionSource {
            function,
            arguments,
            schema: arrow_schema(columns),
        }
    }

    fn bound(&self, filter: &Expr) -> Option<Bound> {
        bound(filter).filter(|bound| self.function.takes_bound(&bound.column, bound.comparison))
    }
}

#[async_trait]
impl TableProvider for FunctionSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DfResult<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| match self.bound(filter) {
                Some(_) => TableProviderFilterPushDown::Exact,
                None => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let schema = project_schema(&self.schema, projection)?;
        Ok(Arc::new(FunctionExec {
            source: self.clone(),
            bounds: filters
                .iter()
                .filter_map(|filter| self.bound(filter))
                .collect(),
            limit,
            projection: projection.cloned(),
            properties: Arc::new(PlanProperties::new(
                EquivalenceProperties::new(schema),
                Partitioning::UnknownPartitioning(1),
                EmissionType::Incremental,
                Boundedness::Bounded,
            )),
        }))
    }
}

/// Calls a function and gives its rows.
#[derive(Debug)]
pub struct FunctionExec {
    source: FunctionSource,
    bounds: Vec<Bound>,
    limit: Option<usize>,
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for FunctionExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Function Scan on {}", self.source.function.name())?;
        for bound in &self.bounds {
            write!(f, ", {} {} {}", bound.column, bound.comparison, bound.value)?;
        }
        if let Some(limit) = self.limit {
            write!(f, ", limit {limit}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for FunctionExec {
    fn name(&self) -> &str {
        "FunctionExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn partition_statistics(&self, _: Option<usize>) -> DfResult<Arc<Statistics>> {
        Ok(Arc::new(estimate(
            self.source.function.as_ref(),
            self.properties.eq_properties.schema(),
            self.limit,
        )))
    }

    /// It has no inputs: what it takes of a limit is `with_fetch`.
    fn supports_limit_pushdown(&self) -> bool {
        false
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(FunctionExec {
            source: self.source.clone(),
            bounds: self.bounds.clone(),
            limit,
            projection: self.projection.clone(),
            properties: Arc::clone(&self.properties),
        }))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }

    fn execute(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let scope = context
            .session_config()
            .get_extension::<FunctionScope>()
            .ok_or_else(|| {
                DataFusionError::External(Box::new(omnigraph_engine::Error::internal(format!(
                    "{}() was executed outside of a session",
                    self.source.function.name()
                ))))
            })?;
        let rows = self.source.function.call(Call {
            context: Arc::clone(&scope.0),
            schema: self.source.schema(),
            arguments: self.source.arguments.clone(),
            bounds: self.bounds.clone(),
            limit: self.limit,
            wanted: self.projection.clone(),
            memory: Arc::clone(context.memory_pool()),
        })?;
        let projection = self.projection.clone();
        let projected = rows.and_then(move |batch| {
            futures::future::ready(match &projection {
                Some(columns) => batch.project(columns).map_err(DataFusionError::from),
                None => Ok(batch),
            })
        });
        let mut wanted = self.limit.unwrap_or(usize::MAX);
        let limited = projected.scan((), move |(), batch| {
            let batch = batch.map(|batch| {
                let rows = batch.num_rows().min(wanted);
                wanted -= rows;
                batch.slice(0, rows)
            });
            futures::future::ready(Some(batch))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            limited,
        )))
    }
}

/// `column comparison constant`, written either way round.
fn bound(filter: &Expr) -> Option<Bound> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else {
        return None;
    };
    let comparison = |op: &Operator| {
        Some(match op {
            Operator::Eq => Comparison::Equal,
            Operator::Lt => Comparison::Less,
            Operator::LtEq => Comparison::LessOrEqual,
            Operator::Gt => Comparison::Greater,
            Operator::GtEq => Comparison::GreaterOrEqual,
            _ => return None,
        })
    };
    let (column, comparison, value) = match (&**left, &**right) {
        (Expr::Column(column), Expr::Literal(value, _)) => (column, comparison(op)?, value),
        (Expr::Literal(value, _), Expr::Column(column)) => {
            (column, comparison(&op.swap()?)?, value)
        }
        _ => return None,
    };
    (!value.is_null()).then(|| Bound {
        column: column.name.clone(),
        comparison,
        value: value.clone(),
    })
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    #[test]
    fn comparisons_with_constants_are_bounds_either_way_round() {
        let expected = Bound {
            column: "depth".to_owned(),
            comparison: Comparison::LessOrEqual,
            value: ScalarValue::Int32(Some(3)),
        };
        assert_eq!(bound(&col("depth").lt_eq(lit(3))), Some(expected.clone()));
        assert_eq!(bound(&lit(3).gt_eq(col("depth"))), Some(expected));
        assert_eq!(bound(&col("depth").lt_eq(col("other"))), None);
        assert_eq!(bound(&col("depth").eq(lit(ScalarValue::Int32(None)))), None);
        assert_eq!(bound(&col("depth").not_eq(lit(3))), None);
    }

    #[test]
    fn only_what_a_function_takes_is_pushed_into_it() {
        let function = crate::traverse::Traverse::new();
        let columns = function.columns(&[], None).expect("they are fixed");
        let source = FunctionSource::new(Arc::new(function), Vec::new(), &columns);
        let filters = [col("depth").lt_eq(lit(3)), col("id").eq(lit("x"))];
        let answers = source
            .supports_filters_pushdown(&filters.iter().collect::<Vec<_>>())
            .expect("no error");
        assert_eq!(
            answers,
            [
                TableProviderFilterPushDown::Exact,
                TableProviderFilterPushDown::Unsupported
            ]
        );
    }
}
