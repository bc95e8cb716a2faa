//! Expressions over rows in memory: RETURNING, and what ON CONFLICT DO UPDATE assigns.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema as ArrowSchema};
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use futures::TryStreamExt;

use super::change::Run;
use crate::error::PgResult;
use crate::execute::typed;
use crate::session::protocol::Column;
use crate::sqlstate::from_datafusion;
use crate::statement::bind::{Returning, Subqueries};

impl Run<'_> {
    /// What RETURNING gives of these rows, in their order.
    pub(super) async fn returned(
        &self,
        returning: &Returning,
        rows: RecordBatch,
    ) -> PgResult<RecordBatch> {
        let columns: Vec<Column> = returning
            .columns
            .iter()
            .map(|column| Column::new(&column.name, column.ty))
            .collect();
        let batch = self
            .project(&returning.exprs, &returning.subqueries, rows)
            .await?;
        typed(batch, &columns)
    }

    /// The expressions' values for each row; output columns are `c0`, `c1`, …
    pub(super) async fn project(
        &self,
        exprs: &[Expr],
        subqueries: &Subqueries,
        rows: RecordBatch,
    ) -> PgResult<RecordBatch> {
        if let Some(batch) = plain(exprs, &rows)? {
            return Ok(batch);
        }
        let schema = rows.schema();
        let provider =
            MemTable::try_new(schema, vec![vec![rows]]).map_err(|error| from_datafusion(&error))?;
        let exprs: Vec<Expr> = exprs
            .iter()
            .enumerate()
            .map(|(at, expr)| expr.clone().alias(format!("c{at}")))
            .collect();
        let rows =
            LogicalPlanBuilder::scan("changed_rows", provider_as_source(Arc::new(provider)), None)
                .and_then(LogicalPlanBuilder::build)
                .map_err(|error| from_datafusion(&error))?;
        let plan = LogicalPlanBuilder::from(subqueries.over(rows)?)
            .project(exprs)
            .and_then(LogicalPlanBuilder::build)
            .map_err(|error| from_datafusion(&error))?;
        let schema: ArrowSchema = plan.schema().as_arrow().clone();
        let batches: Vec<RecordBatch> = self.chunks(&plan).await?.try_collect().await?;
        match batches.first() {
            Some(first) => Ok(concat_batches(&first.schema(), &batches)?),
            None => Ok(RecordBatch::new_empty(Arc::new(schema))),
        }
    }
}

/// The answer when every expression is a column: nothing to plan.
fn plain(exprs: &[Expr], rows: &RecordBatch) -> PgResult<Option<RecordBatch>> {
    let mut arrays = Vec::with_capacity(exprs.len());
    let mut fields = Vec::with_capacity(exprs.len());
    let schema = rows.schema();
    for (at, expr) in exprs.iter().enumerate() {
        let column = match expr {
            Expr::Column(column) => column,
            Expr::Alias(alias) => match alias.expr.as_ref() {
                Expr::Column(column) => column,
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let Ok(index) = schema.index_of(&column.name) else {
            return Ok(None);
        };
        arrays.push(Arc::clone(rows.column(index)));
        fields.push(Field::new(
            format!("c{at}"),
            rows.column(index).data_type().clone(),
            true,
        ));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(Some(RecordBatch::try_new_with_options(
        Arc::new(ArrowSchema::new(fields)),
        arrays,
        &options,
    )?))
}
