//! The wall over Lance.

use std::fmt;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use async_trait::async_trait;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::FutureExt;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::fragment::{FileFragment, FragReadConfig, FragmentReader};
use lance::dataset::transaction::{Operation, TransactionBuilder};
use lance::dataset::{CommitBuilder, Dataset, InsertBuilder, WriteMode, WriteParams};
use lance::session::Session;
use lance_core::utils::deletion::DeletionVector;
use lance_table::format::{DeletionFile, Fragment as LanceFragment};
use lance_table::io::deletion::write_deletion_file;
use object_store::path::Path;
use roaring::RoaringBitmap;

use super::files::{Directory, Files, Wall};
use super::handler::PinnedHandler;
use super::table::{ROWS_PER_FILE, dataset_root};
use super::{FilledColumn, lance_error, reshape, write_behind};
use crate::error::{Error, Result};

pub(super) struct Lance {
    session: Arc<Session>,
}

impl Lance {
    pub fn new(session: Session) -> Self {
        Lance {
            session: Arc::new(session),
        }
    }

    fn files(&self, dataset: Dataset) -> LanceFiles {
        LanceFiles {
            dataset: Arc::new(dataset),
            session: self.session.clone(),
        }
    }
}

impl fmt::Debug for Lance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lance").finish_non_exhaustive()
    }
}

#[async_trait]
impl Wall for Lance {
    async fn create(&self, directory: &Directory, schema: SchemaRef) -> Result<Arc<dyn Files>> {
        let url = write_behind::url(&directory.store, &directory.path);
        let params = WriteParams {
            mode: WriteMode::Create,
            ..write_params(&self.session)
        };
        let dataset = InsertBuilder::new(url.as_str())
            .with_params(&params)
            .execute(vec![RecordBatch::new_empty(schema)])
            .await
            .map_err(lance_error)?;
        let manifest = dataset.manifest_location().path.clone();
        directory.front.settle([manifest]).await?;
        // The main line stays at this first version for ever; what the log names is
        // detached, beginning with a restatement of it.
        let append = Operation::Append {
            fragments: Vec::new(),
        };
        self.files(dataset).publish(append).await
    }

    async fn open(
        &self,
        directory: &Directory,
        version: u64,
        manifest_size: u64,
    ) -> Result<Arc<dyn Files>> {
        let handler = PinnedHandler {
            version,
            size: Some(manifest_size),
        };
        let url = write_behind::url(&directory.store, &directory.path);
        let dataset = DatasetBuilder::from_uri(url)
            .with_version(version)
            .with_session(self.session.clone())
            .with_commit_handler(Arc::new(handler))
            .load();
        // Lance takes the lengths in a manifest on trust.
        let loaded = AssertUnwindSafe(dataset).catch_unwind().await;
        let dataset = loaded.map_err(|_| Error::Corrupt {
            object: format!("{}/_versions/d{version}.manifest", directory.path),
            message: "its parts do not fit its length".to_owned(),
        })?;
        Ok(Arc::new(self.files(dataset.map_err(lance_error)?)))
    }
}

#[derive(Clone)]
pub(super) struct LanceFiles {
    dataset: Arc<Dataset>,
    session: Arc<Session>,
}

impl fmt::Debug for LanceFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.dataset.fmt(f)
    }
}

#[async_trait]
impl Files for LanceFiles {
    fn version(&self) -> u64 {
        self.dataset.version_id()
    }

    fn manifest(&self) -> (Path, u64) {
        let manifest = self.dataset.manifest_location();
        (manifest.path.clone(), manifest.size.unwrap_or(0))
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(self.dataset.schema().into())
    }

    fn fragments(&self) -> &[LanceFragment] {
        &self.dataset.manifest().fragments
    }

    async fn deleted(&self, fragment: u64) -> Result<RoaringBitmap> {
        let vector = self
            .fragment(fragment)?
            .get_deletion_vector()
            .await
            .map_err(lance_error)?;
        Ok(match vector.as_deref() {
            None | Some(DeletionVector::NoDeletions) => RoaringBitmap::new(),
            Some(DeletionVector::Set(set)) => set.iter().copied().collect(),
            Some(DeletionVector::Bitmap(bitmap)) => bitmap.clone(),
        })
    }

    async fn read(&self, fragment: u64, names: &[&str], rows: Range<u32>) -> Result<RecordBatch> {
        let reader = self.reader(fragment, names).await?;
        reader
            .read_range_as_batch(rows.start as usize..rows.end as usize)
            .await
            .map_err(lance_error)
    }

    async fn take(&self, fragment: u64, names: &[&str], rows: &[u32]) -> Result<RecordBatch> {
        let reader = self.reader(fragment, names).await?;
        reader.take_as_batch(rows, None).await.map_err(lance_error)
    }

    async fn stage(&self, rows: Vec<RecordBatch>) -> Result<Vec<LanceFragment>> {
        let params = self.append_params();
        let transaction = InsertBuilder::new(self.dataset.clone())
            .with_params(&params)
            .execute_uncommitted(rows)
            .await
            .map_err(lance_error)?;
        appended(transaction.operation)
    }

    async fn stage_stream(&self, rows: SendableRecordBatchStream) -> Result<Vec<LanceFragment>> {
        let params = self.append_params();
        let transaction = InsertBuilder::new(self.dataset.clone())
            .with_params(&params)
            .execute_uncommitted_stream(rows)
            .await
            .map_err(lance_error)?;
        appended(transaction.operation)
    }

    async fn write_deleted(
        &self,
        fragment: u64,
        rows: RoaringBitmap,
    ) -> Result<Option<DeletionFile>> {
        let store = self.dataset.object_store(None).await.map_err(lance_error)?;
        write_deletion_file(
            &dataset_root(&self.dataset.manifest_location().path),
            fragment,
            self.dataset.version_id(),
            &DeletionVector::Bitmap(rows),
            &store,
        )
        .await
        .map_err(lance_error)
    }

    async fn publish(&self, operation: Operation) -> Result<Arc<dyn Files>> {
        Ok(Arc::new(self.next(operation).await?))
    }

    async fn reshape(
        &self,
        target: &ArrowSchema,
        filled: Vec<FilledColumn>,
    ) -> Result<Arc<dyn Files>> {
        Ok(Arc::new(reshape::reshape(self, target, filled).await?))
    }
}

impl LanceFiles {
    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
    }

    /// The next version, detached.
    pub async fn next(&self, operation: Operation) -> Result<LanceFiles> {
        let transaction = TransactionBuilder::new(self.dataset.version_id(), operation).build();
        let dataset = CommitBuilder::new(self.dataset.clone())
            .with_detached(true)
            .with_skip_auto_cleanup(true)
            .with_commit_handler(PinnedHandler::writer())
            .execute(transaction)
            .await
            .map_err(lance_error)?;
        Ok(LanceFiles {
            dataset: Arc::new(dataset),
            session: self.session.clone(),
        })
    }

    pub fn fragment(&self, id: u64) -> Result<FileFragment> {
        let fragments = &self.dataset.manifest().fragments;
        let fragment = fragments
            .iter()
            .find(|fragment| fragment.id == id)
            .ok_or_else(|| Error::internal(format!("fragment {id} is not in this version")))?;
        Ok(FileFragment::new(self.dataset.clone(), fragment.clone()))
    }

    async fn reader(&self, fragment: u64, names: &[&str]) -> Result<FragmentReader> {
        let projection = self.dataset.schema().project(names).map_err(lance_error)?;
        let config = FragReadConfig::default().with_ignore_deletions(true);
        self.fragment(fragment)?
            .open(&projection, config)
            .await
            .map_err(lance_error)
    }

    fn append_params(&self) -> WriteParams {
        WriteParams {
            mode: WriteMode::Append,
            ..write_params(&self.session)
        }
    }
}

fn appended(operation: Operation) -> Result<Vec<LanceFragment>> {
    match operation {
        Operation::Append { fragments } => Ok(fragments),
        _ => Err(Error::internal("writing rows did not give an append")),
    }
}

fn write_params(session: &Arc<Session>) -> WriteParams {
    WriteParams {
        max_rows_per_file: ROWS_PER_FILE,
        enable_stable_row_ids: false,
        enable_v2_manifest_paths: true,
        auto_cleanup: None,
        skip_auto_cleanup: true,
        session: Some(session.clone()),
        commit_handler: Some(PinnedHandler::writer()),
        ..WriteParams::default()
    }
}
