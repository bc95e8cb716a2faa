//! One table at one version: its fragments, what was deleted of them, and the next version.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use datafusion::physical_plan::SendableRecordBatchStream;
use lance::dataset::transaction::{Operation, UpdateMode};
use lance_table::format::Fragment as LanceFragment;
use lance_table::io::deletion::{deletion_file_path, relative_deletion_file_path};
use object_store::path::Path;
use roaring::RoaringBitmap;

use super::files::{Directory, Files};
use super::{FilledColumn, Resources, WriteBehind};
use crate::error::{Error, Result};
use crate::storage::Store;

/// Rows in one data file at the most: what is decoded, cached and indexed as one piece.
pub(super) const ROWS_PER_FILE: usize = 1 << 17;

/// A single row costs about as much to read as this many that lie side by side.
const ROWS_PER_PAGE_READ: usize = 64;

/// Where a log entry says that a table lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct TableLocation {
    /// Relative to the graph's root.
    pub dir: String,
    /// A number, as text: its top bit is set, which no int8 and few JSON readers hold.
    #[serde(with = "version_text")]
    pub version: u64,
    /// Bytes of the manifest, so that opening needs no request to ask.
    pub manifest_size: u64,
    pub rows: u64,
    /// Pieces the table has; maintenance goes by it.
    pub fragments: u32,
}

mod version_text {
    pub fn serialize<S: serde::Serializer>(
        version: &u64,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(version)
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An immutable piece of a table: one data file, with the rows that are gone.
#[derive(Debug, Clone)]
pub struct Fragment {
    pub id: u64,
    /// The path of its data file, unique for ever: what caches go by.
    pub key: Arc<str>,
    /// Rows in the file, deleted ones included.
    pub rows: u32,
    pub deleted: u32,
    pub bytes: u64,
    deletion_file: Option<String>,
}

impl Fragment {
    /// Rows that are not gone.
    pub fn live(&self) -> u32 {
        self.rows - self.deleted
    }
}

/// Written rows that no version holds yet.
#[derive(Debug, Clone, Default)]
pub struct Staged {
    fragments: Vec<LanceFragment>,
}

impl Staged {
    pub fn rows(&self) -> u64 {
        self.fragments
            .iter()
            .map(|fragment| fragment.physical_rows.unwrap_or(0) as u64)
            .sum()
    }

    pub fn is_empty(&self) -> bool {
        self.fragments.is_empty()
    }

    pub fn extend(&mut self, other: Staged) {
        self.fragments.extend(other.fragments);
    }
}

/// What a commit does to one table, against one version of it.
#[derive(Debug, Clone, Default)]
pub struct TableChange {
    /// Rows to delete: offsets by fragment.
    pub deletions: BTreeMap<u64, RoaringBitmap>,
    pub added: Staged,
}

impl TableChange {
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.deletions.values().all(RoaringBitmap::is_empty)
    }
}

/// A table at one version. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TableVersion {
    files: Arc<dyn Files>,
    location: TableLocation,
    fragments: Arc<Vec<Fragment>>,
    front: Arc<WriteBehind>,
    resources: Arc<Resources>,
}

impl TableVersion {
    /// Makes an empty table in a directory of its own.
    pub async fn create(
        resources: &Arc<Resources>,
        store: &Store,
        dir: &str,
        schema: SchemaRef,
    ) -> Result<TableVersion> {
        let directory = Directory::new(resources.front(store), store, dir);
        let files = resources.wall.create(&directory, schema).await?;
        let front = directory.front;
        Ok(Self::wrap(resources.clone(), front, files, dir.to_owned()))
    }

    pub async fn open(
        resources: &Arc<Resources>,
        store: &Store,
        location: &TableLocation,
    ) -> Result<TableVersion> {
        let directory = Directory::new(resources.front(store), store, &location.dir);
        let key = (
            format!("{}/{}", directory.store, location.dir),
            location.version,
        );
        let open = async {
            let (version, size) = (location.version, location.manifest_size);
            let files = resources.wall.open(&directory, version, size).await?;
            Ok(Self::wrap(
                resources.clone(),
                directory.front.clone(),
                files,
                location.dir.clone(),
            ))
        };
        resources
            .tables
            .try_get_with(key, open)
            .await
            .map_err(|error: Arc<Error>| (*error).clone())
    }

    fn wrap(
        resources: Arc<Resources>,
        front: Arc<WriteBehind>,
        files: Arc<dyn Files>,
        dir: String,
    ) -> TableVersion {
        let fragments: Vec<Fragment> = files
            .fragments()
            .iter()
            .map(|fragment| describe(&dir, fragment))
            .collect();
        let rows = fragments
            .iter()
            .map(|fragment| u64::from(fragment.live()))
            .sum();
        let location = TableLocation {
            dir,
            version: files.version(),
            manifest_size: files.manifest().1,
            rows,
            fragments: fragments.len() as u32,
        };
        TableVersion {
            files,
            location,
            fragments: Arc::new(fragments),
            front,
            resources,
        }
    }

    pub fn location(&self) -> &TableLocation {
        &self.location
    }

    /// The Arrow schema of its columns, under their physical names.
    pub fn schema(&self) -> SchemaRef {
        self.files.schema()
    }

    pub fn fragments(&self) -> &[Fragment] {
        &self.fragments
    }

    pub fn resources(&self) -> &Arc<Resources> {
        &self.resources
    }

    /// The rows of a fragment that are gone.
    pub async fn deletions(&self, fragment: &Fragment) -> Result<Option<Arc<RoaringBitmap>>> {
        let Some(file) = &fragment.deletion_file else {
            return Ok(None);
        };
        let read = async { self.files.deleted(fragment.id).await.map(Arc::new) };
        let bitmap = self
            .resources
            .deletions
            .try_get_with(file.clone(), read)
            .await
            .map_err(|error: Arc<Error>| (*error).clone())?;
        Ok(Some(bitmap))
    }

    /// Whole columns of a fragment, by physical name, deleted rows included. Decoded once
    /// and kept while the cache has room.
    pub async fn columns(&self, fragment: &Fragment, names: &[&str]) -> Result<Vec<ArrayRef>> {
        let cache = &self.resources.columns;
        let mut columns: Vec<Option<ArrayRef>> = Vec::with_capacity(names.len());
        for name in names {
            columns.push(cache.get(&(fragment.key.clone(), (*name).to_owned())).await);
        }
        let missing: Vec<&str> = names
            .iter()
            .zip(&columns)
            .filter(|(_, column)| column.is_none())
            .map(|(name, _)| *name)
            .collect();
        if !missing.is_empty() {
            let arrays = self.read(fragment, &missing, 0..fragment.rows).await?;
            for (name, array) in missing.iter().zip(&arrays) {
                cache
                    .insert((fragment.key.clone(), (*name).to_owned()), array.clone())
                    .await;
            }
            let mut read = arrays.iter();
            for column in columns.iter_mut().filter(|column| column.is_none()) {
                *column = read.next().cloned();
            }
        }
        columns
            .into_iter()
            .map(|column| column.ok_or_else(|| Error::internal("a column was not read")))
            .collect()
    }

    /// Some rows of a fragment, by ascending offset. Few are read from the pages that they lie
    /// in, and nothing is kept; many come as [`TableVersion::columns`] does.
    pub async fn take(
        &self,
        fragment: &Fragment,
        names: &[&str],
        offsets: &[u32],
    ) -> Result<Vec<ArrayRef>> {
        let sparse = offsets.len() * ROWS_PER_PAGE_READ < fragment.rows as usize;
        let cached = names.iter().all(|name| {
            let key = (fragment.key.clone(), (*name).to_owned());
            self.resources.columns.contains_key(&key)
        });
        if sparse && !cached {
            let batch = self.files.take(fragment.id, names, offsets).await?;
            return in_order(&batch, names);
        }
        let wanted = UInt32Array::from(offsets.to_vec());
        let columns = self.columns(fragment, names).await?;
        Ok(columns
            .iter()
            .map(|column| arrow::compute::take(column, &wanted, None))
            .collect::<std::result::Result<_, _>>()?)
    }

    /// Some rows of columns of a fragment, deleted ones included, of which nothing is kept.
    pub async fn page(
        &self,
        fragment: &Fragment,
        names: &[&str],
        rows: std::ops::Range<u32>,
    ) -> Result<Vec<ArrayRef>> {
        self.read(fragment, names, rows).await
    }

    async fn read(
        &self,
        fragment: &Fragment,
        names: &[&str],
        rows: std::ops::Range<u32>,
    ) -> Result<Vec<ArrayRef>> {
        let batch = self.files.read(fragment.id, names, rows).await?;
        in_order(&batch, names)
    }

    /// Writes rows to files that no version holds yet.
    pub async fn stage(&self, batches: Vec<RecordBatch>) -> Result<Staged> {
        if batches.iter().all(|batch| batch.num_rows() == 0) {
            return Ok(Staged::default());
        }
        let fragments = self.files.stage(batches.clone()).await?;
        let staged = Staged { fragments };
        self.keep(&staged, &batches).await;
        Ok(staged)
    }

    /// Keeps the columns that were just written: the next reader wants them.
    async fn keep(&self, staged: &Staged, batches: &[RecordBatch]) {
        let ([fragment], [batch]) = (staged.fragments.as_slice(), batches) else {
            return;
        };
        let key = describe(&self.location.dir, fragment).key;
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            self.resources
                .columns
                .insert((key.clone(), field.name().clone()), column.clone())
                .await;
        }
    }

    /// As [`TableVersion::stage`], for rows without end.
    pub async fn stage_stream(&self, rows: SendableRecordBatchStream) -> Result<Staged> {
        let fragments = self.files.stage_stream(rows).await?;
        Ok(Staged { fragments })
    }

    /// The key that the first file of written rows will have.
    pub fn staged_key(&self, staged: &Staged) -> Option<Arc<str>> {
        let first = staged.fragments.first()?;
        Some(describe(&self.location.dir, first).key)
    }

    /// The next version: this one with `change` applied. Its files may still be on their
    /// way; [`TableVersion::settle`] waits for them.
    pub async fn commit(&self, change: TableChange) -> Result<TableVersion> {
        let mut updated_fragments = Vec::new();
        let mut removed_fragment_ids = Vec::new();
        let mut known_deletions = Vec::new();
        for (id, offsets) in &change.deletions {
            if offsets.is_empty() {
                continue;
            }
            match self.without(*id, offsets).await? {
                Some((rest, deleted)) => {
                    known_deletions.push((rest.id, deleted));
                    updated_fragments.push(rest);
                }
                None => removed_fragment_ids.push(*id),
            }
        }
        let operation = if updated_fragments.is_empty() && removed_fragment_ids.is_empty() {
            Operation::Append {
                fragments: change.added.fragments,
            }
        } else {
            Operation::Update {
                removed_fragment_ids,
                updated_fragments,
                new_fragments: change.added.fragments,
                fields_modified: Vec::new(),
                compacted_sstables: Vec::new(),
                fields_for_preserving_frag_bitmap: Vec::new(),
                update_mode: Some(UpdateMode::RewriteRows),
                inserted_rows_filter: None,
                updated_fragment_offsets: None,
            }
        };
        let next = self.publish(operation).await?;
        // What was just written need not be read back.
        for (id, deleted) in known_deletions {
            let file = next
                .fragments
                .iter()
                .find(|fragment| fragment.id == id)
                .and_then(|fragment| fragment.deletion_file.clone());
            if let Some(file) = file {
                self.resources
                    .deletions
                    .insert(file, Arc::new(deleted))
                    .await;
            }
        }
        Ok(next)
    }

    /// The next version, whose columns are those of `target`, by their physical names. New ones
    /// are NULL in every row unless they are in `filled`.
    pub async fn reshape(
        &self,
        target: &ArrowSchema,
        filled: Vec<FilledColumn>,
    ) -> Result<TableVersion> {
        Ok(self.over(self.files.reshape(target, filled).await?))
    }

    async fn publish(&self, operation: Operation) -> Result<TableVersion> {
        Ok(self.over(self.files.publish(operation).await?))
    }

    fn over(&self, files: Arc<dyn Files>) -> TableVersion {
        Self::wrap(
            self.resources.clone(),
            self.front.clone(),
            files,
            self.location.dir.clone(),
        )
    }

    /// A fragment with more of its rows gone, and which are gone then; `None` if all are.
    async fn without(
        &self,
        id: u64,
        offsets: &RoaringBitmap,
    ) -> Result<Option<(LanceFragment, RoaringBitmap)>> {
        let fragment = self
            .fragments
            .iter()
            .find(|fragment| fragment.id == id)
            .ok_or_else(|| Error::internal(format!("fragment {id} is not in this version")))?;
        let mut deleted = match self.deletions(fragment).await? {
            Some(before) => (*before).clone(),
            None => RoaringBitmap::new(),
        };
        deleted |= offsets;
        if deleted.len() >= u64::from(fragment.rows) {
            return Ok(None);
        }
        let file = self.files.write_deleted(id, deleted.clone()).await?;
        let held = self.files.fragments().iter().find(|held| held.id == id);
        let mut rest = held
            .cloned()
            .ok_or_else(|| Error::internal(format!("fragment {id} is not in this version")))?;
        rest.deletion_file = file;
        Ok(Some((rest, deleted)))
    }

    /// The path of the table's directory.
    fn root(&self) -> Path {
        dataset_root(&self.files.manifest().0)
    }

    /// The objects that this version is made of, by their keys in the store.
    pub fn files(&self) -> Vec<String> {
        self.files_since(None)
    }

    /// Those that `before` is not made of.
    pub fn files_since(&self, before: Option<&TableVersion>) -> Vec<String> {
        let root = self.root();
        let cut = root.as_ref().len();
        self.paths_since(before)
            .iter()
            .map(|path| format!("{}{}", self.location.dir, &path.as_ref()[cut..]))
            .collect()
    }

    /// Waits until everything that this version holds and `before` did not is durable.
    pub async fn settle(&self, before: Option<&TableVersion>) -> Result<()> {
        self.front.settle(self.paths_since(before)).await
    }

    fn paths_since(&self, before: Option<&TableVersion>) -> Vec<Path> {
        let (manifest, _) = self.files.manifest();
        let base = self.root();
        let known: std::collections::HashSet<(&str, Option<&str>)> = before
            .map(|before| {
                before
                    .fragments
                    .iter()
                    .map(|fragment| (&*fragment.key, fragment.deletion_file.as_deref()))
                    .collect()
            })
            .unwrap_or_default();
        let mut paths = vec![manifest];
        let fragments = self.files.fragments().iter();
        for (fragment, described) in fragments.zip(self.fragments.iter()) {
            if known.contains(&(&*described.key, described.deletion_file.as_deref())) {
                continue;
            }
            paths.extend(
                fragment
                    .files
                    .iter()
                    .map(|file| base.clone().join("data").join(file.path.as_str())),
            );
            if let Some(file) = &fragment.deletion_file {
                paths.push(deletion_file_path(&base, fragment.id, file));
            }
        }
        paths
    }
}

/// Lance may order a projection by its schema; the caller asked for names.
fn in_order(batch: &RecordBatch, names: &[&str]) -> Result<Vec<ArrayRef>> {
    let schema = batch.schema();
    names
        .iter()
        .map(|name| Ok(batch.column(schema.index_of(name)?).clone()))
        .collect()
}

pub(super) fn dataset_root(manifest: &Path) -> Path {
    let parts: Vec<_> = manifest.parts().collect();
    parts[..parts.len().saturating_sub(2)]
        .iter()
        .fold(Path::default(), |path, part| path.join(part.clone()))
}

fn describe(dir: &str, fragment: &LanceFragment) -> Fragment {
    let files: Vec<&str> = fragment
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    Fragment {
        id: fragment.id,
        key: format!("{dir}/data/{}", files.join("+")).into(),
        rows: fragment.physical_rows.unwrap_or(0) as u32,
        deleted: fragment
            .deletion_file
            .as_ref()
            .and_then(|file| file.num_deleted_rows)
            .unwrap_or(0) as u32,
        bytes: fragment
            .files
            .iter()
            .filter_map(|file| file.file_size_bytes.get().map(u64::from))
            .sum(),
        deletion_file: fragment
            .deletion_file
            .as_ref()
            .map(|file| format!("{dir}/{}", relative_deletion_file_path(fragment.id, file))),
    }
}
