//! `LockRows`: passes its rows on and locks those of the tables that they come from, for the
//! transaction whose snapshots are read. Outside of a transaction nobody holds the locks.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchemaRef, DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use futures::stream::BoxStream;
use omnigraph_catalog::provider::Snapshots;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::TypeId;
use omnigraph_engine::{Error, LockStrength};

use super::over_rows::{OverRows, RowOperator};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct LockRows {
    pub(super) input: LogicalPlan,
    pub(super) tables: Vec<LockedTable>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct LockedTable {
    pub(super) branch: BranchName,
    pub(super) table: TypeId,
    pub(super) strength: LockStrength,
    /// The column of the rows' ids.
    pub(super) id: Expr,
}

impl LockRows {
    pub(super) fn physical(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        state: &SessionState,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let schema = self.input.schema();
        let locks = self.tables.iter().map(|table| {
            Ok(Lock {
                branch: table.branch.clone(),
                table: table.table,
                strength: table.strength,
                id: create_physical_expr(&table.id, schema, state.execution_props())?,
            })
        });
        let locks = LockingRows(locks.collect::<DfResult<_>>()?);
        let schema = input.schema();
        Ok(Arc::new(OverRows::new(
            Arc::clone(input),
            Arc::new(locks),
            schema,
        )))
    }
}

impl PartialOrd for LockRows {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input)
    }
}

impl UserDefinedLogicalNodeCore for LockRows {
    fn name(&self) -> &str {
        "LockRows"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        self.tables.iter().map(|table| table.id.clone()).collect()
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let mut needed: BTreeSet<usize> = output_columns.iter().copied().collect();
        for table in &self.tables {
            let columns = table.id.column_refs();
            let schema = self.input.schema();
            needed.extend(
                columns
                    .iter()
                    .filter_map(|column| schema.maybe_index_of_column(column)),
            );
        }
        Some(vec![needed.into_iter().collect()])
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockRows")
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        let mut exprs = exprs.into_iter();
        let mut locked = self.clone();
        for table in &mut locked.tables {
            table.id = exprs.next().unwrap_or_else(|| table.id.clone());
        }
        if let Some(input) = inputs.into_iter().next() {
            locked.input = input;
        }
        Ok(locked)
    }
}

#[derive(Debug, Clone)]
struct Lock {
    branch: BranchName,
    table: TypeId,
    strength: LockStrength,
    id: Arc<dyn PhysicalExpr>,
}

impl Lock {
    fn take(&self, snapshots: &Snapshots, rows: &RecordBatch) -> DfResult<()> {
        let ids = self.id.evaluate(rows)?.into_array(rows.num_rows())?;
        let ids = ids
            .as_string_opt::<i32>()
            .ok_or_else(|| DataFusionError::Internal("ids of rows are no texts".to_owned()))?;
        let ids: BTreeSet<&str> = ids.iter().flatten().collect();
        let snapshot = snapshots.get(&self.branch).ok_or_else(|| {
            let message = format!("rows of branch \"{}\" are locked unread", self.branch);
            DataFusionError::External(Box::new(Error::internal(message)))
        })?;
        snapshot
            .lock(
                self.table,
                ids.into_iter().map(str::to_owned).collect(),
                self.strength,
            )
            .map_err(|error| DataFusionError::External(Box::new(error)))
    }
}

#[derive(Debug)]
struct LockingRows(Arc<[Lock]>);

impl RowOperator for LockingRows {
    fn name(&self) -> &'static str {
        "LockRowsExec"
    }

    fn run(
        &self,
        rows: SendableRecordBatchStream,
        _: SchemaRef,
        context: Arc<TaskContext>,
    ) -> DfResult<BoxStream<'static, DfResult<RecordBatch>>> {
        let snapshots = context
            .session_config()
            .get_extension::<Snapshots>()
            .ok_or_else(|| DataFusionError::Internal("a plan runs without snapshots".to_owned()))?;
        let locks = Arc::clone(&self.0);
        let locked = rows.map(move |batch| {
            let batch = batch?;
            for lock in locks.iter() {
                lock.take(&snapshots, &batch)?;
            }
            Ok(batch)
        });
        Ok(locked.boxed())
    }
}
