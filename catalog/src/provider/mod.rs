//! How DataFusion sees a graph's tables.
//!
//! A [`GraphTable`] names a branch and a type and holds no snapshot: a plan that was made once
//! can be run against any commit whose schema is the same. When a plan becomes physical, the
//! snapshot comes from [`Snapshots`], which the statement put into its session
//! configuration. From then on the scan reads that one snapshot and nothing else.

mod columns;
mod pushdown;
mod row_filter;
mod scan;
mod words;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::{TypeDef, TypeId};
use omnigraph_engine::{Error, Snapshot, Table};

pub use columns::{
    BLOB_BYTES, SqlColumn, arrow_schema, held_type, property_type, sql_columns, to_engine, to_sql,
};
pub use row_filter::RowFilter;
pub use scan::{Recall, ScanExec};
pub use words::{Wanted, WordCondition, WordLookup};

#[cfg(test)]
mod tests;

/// A node type or an edge type of one branch, with SQL's names and types.
#[derive(Debug, Clone)]
pub struct GraphTable {
    branch: BranchName,
    /// The reference that says when, for a table that is read as it was.
    at: Option<Arc<str>>,
    def: Arc<TypeDef>,
    schema: SchemaRef,
}

impl GraphTable {
    pub fn new(branch: BranchName, def: Arc<TypeDef>) -> Self {
        let schema = arrow_schema(&def);
        GraphTable {
            branch,
            at: None,
            def,
            schema,
        }
    }

    /// The table as it was in the state that a reference names.
    pub fn at(self, reference: Arc<str>) -> Self {
        GraphTable {
            at: Some(reference),
            ..self
        }
    }

    /// Is it read at the branch's head?
    pub fn is_current(&self) -> bool {
        self.at.is_none()
    }

    pub fn branch(&self) -> &BranchName {
        &self.branch
    }

    pub fn def(&self) -> &Arc<TypeDef> {
        &self.def
    }
}

/// The snapshots that one execution of a statement reads: each branch it names, and each
/// earlier state of one, resolved exactly once.
#[derive(Debug, Default)]
pub struct Snapshots {
    by_branch: HashMap<BranchName, Snapshot>,
    past: Vec<PastState>,
}

/// What a reference meant for a branch when it was looked up.
#[derive(Debug, Clone)]
pub struct PastState {
    pub branch: BranchName,
    pub reference: Arc<str>,
    pub snapshot: Snapshot,
}

impl Snapshots {
    pub fn new(snapshots: impl IntoIterator<Item = (BranchName, Snapshot)>) -> Self {
        Snapshots {
            by_branch: snapshots.into_iter().collect(),
            past: Vec::new(),
        }
    }

    pub fn with_past(self, past: Vec<PastState>) -> Self {
        Snapshots { past, ..self }
    }

    fn of(&self, table: &GraphTable) -> Result<Table, Error> {
        let Some(reference) = &table.at else {
            return self.table(&table.branch, table.def.id);
        };
        self.past(&table.branch, reference)
            .and_then(|snapshot| snapshot.table(table.def.id))
            .ok_or_else(|| {
                Error::internal(format!(
                    "\"{reference}\" was not looked up for this statement"
                ))
            })
    }

    /// What a reference meant for a branch.
    pub fn past(&self, branch: &BranchName, reference: &str) -> Option<&Snapshot> {
        let mut states = self.past.iter();
        let found = states.find(|past| past.branch == *branch && *past.reference == *reference)?;
        Some(&found.snapshot)
    }

    /// What an error about a missing file or blob means.
    pub async fn explain(&self, error: Error) -> Error {
        let past = self.past.iter().map(|past| &past.snapshot);
        let mut explained = error;
        for snapshot in self.by_branch.values().chain(past) {
            explained = snapshot.explain(explained).await;
        }
        explained
    }

    pub fn get(&self, branch: &BranchName) -> Option<&Snapshot> {
        self.by_branch.get(branch)
    }

    pub fn table(&self, branch: &BranchName, id: TypeId) -> Result<Table, Error> {
        self.by_branch
            .get(branch)
            .and_then(|snapshot| snapshot.table(id))
            .ok_or_else(|| {
                Error::internal(format!(
                    "no snapshot of branch \"{branch}\" was taken for this statement"
                ))
            })
    }
}

#[async_trait]
impl TableProvider for GraphTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// The scan evaluates every filter that can be evaluated row by row, so none of them has
    /// to be looked at again above it.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DfResult<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| {
                if pushdown::is_row_filter(filter) {
                    TableProviderFilterPushDown::Exact
                } else {
                    TableProviderFilterPushDown::Unsupported
                }
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let snapshots = state.config().get_extension::<Snapshots>().ok_or_else(|| {
            DataFusionError::External(Box::new(Error::internal(
                "a statement was planned without its snapshots",
            )))
        })?;
        let table = snapshots
            .of(self)
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        let projection = match projection {
            Some(projection) => projection.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let access = pushdown::access(&self.def, &self.schema, filters);
        let filters = scan::Filters::new(&self.schema, filters, state.execution_props())?;
        Ok(Arc::new(ScanExec::new(
            table,
            Arc::clone(&self.schema),
            projection,
            filters,
            access,
            limit,
            state.config().target_partitions(),
            state.config().batch_size(),
        )))
    }
}
