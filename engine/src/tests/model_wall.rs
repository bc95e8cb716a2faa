//! A model of the wall around tables. Its versions, files and lists of deleted rows are objects
//! of the store, like those of the real one: each can be late, lost or missing. Their names come
//! from the environment, all happens on the caller's thread, and as behind the real wall nobody
//! checks a change against anything.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::TryStreamExt;
use lance::dataset::transaction::Operation;
use lance_table::format::{DeletionFile, DeletionFileType, Fragment};
use lance_table::io::deletion::deletion_file_path;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use crate::clock::Environment;
use crate::dataset::{Directory, Files, FilledColumn, Wall};
use crate::error::{Error, Result};

/// One for all processes: what is in the files that the store holds.
#[derive(Debug)]
pub(super) struct ModelWall {
    environment: Arc<dyn Environment>,
    contents: Arc<Mutex<Contents>>,
}

#[derive(Debug, Default)]
struct Contents {
    rows: HashMap<Path, RecordBatch>,
    schemas: HashMap<Path, SchemaRef>,
}

#[derive(Debug, Clone)]
struct ModelFiles {
    environment: Arc<dyn Environment>,
    contents: Arc<Mutex<Contents>>,
    directory: Directory,
    schema: SchemaRef,
    manifest: Manifest,
    bytes: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Manifest {
    version: u64,
    /// The number of the next fragment: siblings give the same ones.
    next: u64,
    fragments: Vec<Fragment>,
}

impl ModelWall {
    pub fn new(environment: Arc<dyn Environment>) -> Arc<ModelWall> {
        Arc::new(ModelWall {
            environment,
            contents: Arc::default(),
        })
    }
}

#[async_trait]
impl Wall for ModelWall {
    async fn create(&self, directory: &Directory, schema: SchemaRef) -> Result<Arc<dyn Files>> {
        let empty = ModelFiles {
            environment: self.environment.clone(),
            contents: self.contents.clone(),
            directory: directory.clone(),
            schema,
            manifest: Manifest {
                version: 0,
                next: 0,
                fragments: Vec::new(),
            },
            bytes: 0,
        };
        let first = empty.with(Vec::new(), 0).await?;
        directory.front.settle([first.manifest().0]).await?;
        Ok(Arc::new(first))
    }

    async fn open(
        &self,
        directory: &Directory,
        version: u64,
        manifest_size: u64,
    ) -> Result<Arc<dyn Files>> {
        let path = manifest_path(&directory.path, version);
        let bytes = read(directory, &path).await?;
        assert_eq!(bytes.len() as u64, manifest_size);
        let schema = self.contents.lock().schemas[&path].clone();
        Ok(Arc::new(ModelFiles {
            environment: self.environment.clone(),
            contents: self.contents.clone(),
            directory: directory.clone(),
            schema,
            manifest: serde_json::from_slice(&bytes).unwrap(),
            bytes: manifest_size,
        }))
    }
}

fn manifest_path(root: &Path, version: u64) -> Path {
    let root = root.clone().join("_versions");
    root.join(format!("d{version}.manifest"))
}

async fn read(directory: &Directory, path: &Path) -> Result<Bytes> {
    let found = async { directory.front.get(path).await?.bytes().await };
    found.await.map_err(|error| match error {
        object_store::Error::NotFound { .. } => Error::Missing {
            message: error.to_string(),
        },
        error => Error::Unavailable {
            message: error.to_string(),
        },
    })
}

#[async_trait]
impl Files for ModelFiles {
    fn version(&self) -> u64 {
        self.manifest.version
    }

    fn manifest(&self) -> (Path, u64) {
        let path = manifest_path(&self.directory.path, self.manifest.version);
        (path, self.bytes)
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn fragments(&self) -> &[Fragment] {
        &self.manifest.fragments
    }

    async fn deleted(&self, fragment: u64) -> Result<RoaringBitmap> {
        let Some(file) = &self.fragment(fragment).deletion_file else {
            return Ok(RoaringBitmap::new());
        };
        let path = deletion_file_path(&self.directory.path, fragment, file);
        let bytes = read(&self.directory, &path).await?;
        Ok(RoaringBitmap::deserialize_from(&*bytes).unwrap())
    }

    async fn read(&self, fragment: u64, names: &[&str], rows: Range<u32>) -> Result<RecordBatch> {
        let all = self.rows(fragment, names).await?;
        Ok(all.slice(rows.start as usize, rows.len()))
    }

    async fn take(&self, fragment: u64, names: &[&str], rows: &[u32]) -> Result<RecordBatch> {
        let all = self.rows(fragment, names).await?;
        Ok(take_record_batch(&all, &UInt32Array::from(rows.to_vec()))?)
    }

    async fn stage(&self, rows: Vec<RecordBatch>) -> Result<Vec<Fragment>> {
        let rows = concat_batches(&self.schema, &rows)?;
        let name = format!("{:032x}.lance", self.environment.random());
        let path = self.directory.path.clone().join("data").join(name.as_str());
        let count = rows.num_rows();
        self.contents.lock().rows.insert(path.clone(), rows);
        self.write(&path, format!("{count} rows").into()).await?;
        let file = serde_json::json!({
            "path": name, "fields": [], "file_size_bytes": count, "base_id": null,
        });
        let mut fragment = Fragment::new(0);
        fragment.files = vec![serde_json::from_value(file).unwrap()];
        fragment.physical_rows = Some(count);
        Ok(vec![fragment])
    }

    async fn stage_stream(&self, rows: SendableRecordBatchStream) -> Result<Vec<Fragment>> {
        let rows: Vec<RecordBatch> = rows.try_collect().await.map_err(Error::internal)?;
        self.stage(rows).await
    }

    async fn write_deleted(
        &self,
        fragment: u64,
        rows: RoaringBitmap,
    ) -> Result<Option<DeletionFile>> {
        let file = DeletionFile {
            read_version: self.manifest.version,
            id: self.environment.random() as u64,
            file_type: DeletionFileType::Bitmap,
            num_deleted_rows: Some(rows.len() as usize),
            base_id: None,
        };
        let path = deletion_file_path(&self.directory.path, fragment, &file);
        let mut bytes = Vec::new();
        rows.serialize_into(&mut bytes).unwrap();
        self.write(&path, bytes.into()).await?;
        Ok(Some(file))
    }

    async fn publish(&self, operation: Operation) -> Result<Arc<dyn Files>> {
        let mut fragments = self.manifest.fragments.clone();
        let mut next = self.manifest.next;
        let added = match operation {
            Operation::Append { fragments } => fragments,
            Operation::Update {
                removed_fragment_ids,
                updated_fragments,
                new_fragments,
                ..
            } => {
                fragments.retain(|fragment| !removed_fragment_ids.contains(&fragment.id));
                for updated in updated_fragments {
                    let mut held = fragments.iter_mut();
                    let held = held.find(|held| held.id == updated.id);
                    *held.unwrap() = updated;
                }
                new_fragments
            }
            other => panic!("the model knows nothing of {other:?}"),
        };
        for mut fragment in added {
            fragment.id = next;
            next += 1;
            fragments.push(fragment);
        }
        Ok(Arc::new(self.with(fragments, next).await?))
    }

    async fn reshape(
        &self,
        _target: &ArrowSchema,
        _filled: Vec<FilledColumn>,
    ) -> Result<Arc<dyn Files>> {
        panic!("tables of the model keep their columns")
    }
}

impl ModelFiles {
    fn fragment(&self, id: u64) -> &Fragment {
        let mut all = self.manifest.fragments.iter();
        all.find(|fragment| fragment.id == id).unwrap()
    }

    async fn rows(&self, fragment: u64, names: &[&str]) -> Result<RecordBatch> {
        let file = &self.fragment(fragment).files[0].path;
        let path = self.directory.path.clone().join("data").join(file.as_str());
        read(&self.directory, &path).await?;
        let rows = self.contents.lock().rows[&path].clone();
        let schema = rows.schema();
        let columns = names.iter().map(|name| schema.index_of(name));
        let columns: Vec<usize> = columns.collect::<std::result::Result<_, _>>()?;
        Ok(rows.project(&columns)?)
    }

    async fn write(&self, path: &Path, bytes: Bytes) -> Result<()> {
        let sent = self.directory.front.put(path, bytes.into()).await;
        sent.map(drop).map_err(|error| Error::Unavailable {
            message: error.to_string(),
        })
    }

    async fn with(&self, fragments: Vec<Fragment>, next: u64) -> Result<ModelFiles> {
        let version = self.environment.random() as u64 | 1 << 63;
        let manifest = Manifest {
            version,
            next,
            fragments,
        };
        let bytes = serde_json::to_vec(&manifest).unwrap();
        let path = manifest_path(&self.directory.path, version);
        let schema = self.schema.clone();
        self.contents.lock().schemas.insert(path.clone(), schema);
        let files = ModelFiles {
            manifest,
            bytes: bytes.len() as u64,
            ..self.clone()
        };
        self.write(&path, bytes.into()).await?;
        Ok(files)
    }
}
