//! What the engine asks of whatever keeps its tables: the wall itself.
//!
//! A version is a list of immutable files with the rows that are gone from each. Making the next
//! one checks nothing: it applies a change to the version that it is asked of, and nobody sees
//! it before a log entry names it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use async_trait::async_trait;
use datafusion::physical_plan::SendableRecordBatchStream;
use lance::dataset::transaction::Operation;
use lance_table::format::{DeletionFile, Fragment as LanceFragment};
use object_store::path::Path;
use roaring::RoaringBitmap;

use super::{FilledColumn, WriteBehind};
use crate::error::Result;
use crate::storage::Store;

/// Where a table is.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    /// What tells its store from others.
    pub store: String,
    pub path: Path,
    /// The way to the store, on which small writes return at once.
    pub front: Arc<WriteBehind>,
}

impl Directory {
    pub fn new((key, front): (String, Arc<WriteBehind>), store: &Store, dir: &str) -> Self {
        Directory {
            store: key,
            path: store.path(dir),
            front,
        }
    }
}

/// Makes tables and opens them.
#[async_trait]
pub(crate) trait Wall: fmt::Debug + Send + Sync {
    /// The first version of a table without rows, in a directory of its own. Durable.
    async fn create(&self, directory: &Directory, schema: SchemaRef) -> Result<Arc<dyn Files>>;

    async fn open(
        &self,
        directory: &Directory,
        version: u64,
        manifest_size: u64,
    ) -> Result<Arc<dyn Files>>;
}

/// The files of a table at one version.
#[async_trait]
pub(crate) trait Files: fmt::Debug + Send + Sync {
    /// Random: it says nothing of order.
    fn version(&self) -> u64;

    /// The path of the object that says what the version is made of, and its bytes.
    fn manifest(&self) -> (Path, u64);

    fn schema(&self) -> SchemaRef;

    /// Their numbers mean nothing beside those of other versions, but for those that were made
    /// of this one.
    fn fragments(&self) -> &[LanceFragment];

    async fn deleted(&self, fragment: u64) -> Result<RoaringBitmap>;

    /// Rows that lie side by side, deleted ones included.
    async fn read(&self, fragment: u64, names: &[&str], rows: Range<u32>) -> Result<RecordBatch>;

    /// Rows by ascending offset.
    async fn take(&self, fragment: u64, names: &[&str], rows: &[u32]) -> Result<RecordBatch>;

    /// Writes rows to files that no version holds yet.
    async fn stage(&self, rows: Vec<RecordBatch>) -> Result<Vec<LanceFragment>>;

    /// As `stage`, for rows without end.
    async fn stage_stream(&self, rows: SendableRecordBatchStream) -> Result<Vec<LanceFragment>>;

    /// Writes which rows of a fragment are gone.
    async fn write_deleted(
        &self,
        fragment: u64,
        rows: RoaringBitmap,
    ) -> Result<Option<DeletionFile>>;

    /// The version after a change. Its files may still be on their way.
    async fn publish(&self, operation: Operation) -> Result<Arc<dyn Files>>;

    /// The version with the columns of `target`, by their physical names.
    async fn reshape(
        &self,
        target: &ArrowSchema,
        filled: Vec<FilledColumn>,
    ) -> Result<Arc<dyn Files>>;
}
