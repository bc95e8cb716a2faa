//! A table as a reader sees it: chunks of rows, some of them gone.
//!
//! The chunks of a published table are its files. A transaction's table has the same chunks
//! with more rows gone, and chunks in memory after them; nothing that reads can tell the
//! difference.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, interleave_record_batch};
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use futures::FutureExt;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use roaring::RoaringBitmap;
use tokio::sync::OnceCell;

use crate::dataset::{Fragment, Resources, TableLocation, TableVersion};
use crate::error::{Error, Result};
use crate::names::CommitId;
use crate::schema::TypeDef;
use crate::snapshot::SnapshotState;
use crate::storage::Store;
use crate::traverse::Topologies;

/// Tells a table's content: equal keys mean equal rows. Caches over tables go by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableKey {
    pub dir: Arc<str>,
    pub version: u64,
    /// Which state of an open transaction; 0: what is published.
    pub private: u64,
}

/// An immutable piece of a table.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// What it was read from: the same file has the same key in every version and branch.
    pub key: Arc<str>,
    /// Rows it has, deleted ones included.
    pub rows: u32,
    pub deleted: Option<Arc<RoaringBitmap>>,
    pub(crate) source: ChunkSource,
}

#[derive(Debug, Clone)]
pub(crate) enum ChunkSource {
    File(Fragment),
    Memory(RecordBatch),
}

impl Chunk {
    pub fn live_rows(&self) -> u64 {
        u64::from(self.rows) - self.deleted.as_ref().map_or(0, |deleted| deleted.len())
    }

    pub fn is_live(&self, offset: u32) -> bool {
        !self
            .deleted
            .as_ref()
            .is_some_and(|deleted| deleted.contains(offset))
    }
}

/// Where a row is: a chunk of the table, and an offset in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowPosition {
    pub chunk: u32,
    pub offset: u32,
}

#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// Positions in [`TypeDef::columns`].
    pub columns: Vec<usize>,
    /// Streams to divide the rows among.
    pub partitions: usize,
    pub batch_rows: usize,
}

/// The rows that were asked for by id.
#[derive(Debug, Clone)]
pub struct Lookup {
    pub batch: RecordBatch,
    /// For each id asked: its row in `batch`.
    pub index: Vec<Option<u32>>,
}

/// A node type's or edge type's rows in one snapshot. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Table {
    def: Arc<TypeDef>,
    base: Arc<BaseTable>,
    overlay: Option<Arc<Overlay>>,
    /// The state that it is read in, which knows why a file may be missing.
    state: Arc<SnapshotState>,
    view: Option<Arc<[ViewColumn]>>,
    /// What its commits list as written since other versions.
    written: Option<Arc<[WrittenSince]>>,
}

/// The ids of all rows in which a table may differ from an older version of it.
#[derive(Debug, Clone)]
pub(crate) struct WrittenSince {
    pub version: TableKey,
    pub ids: Arc<[String]>,
}

/// A column of a table that is read under another definition than its own.
#[derive(Debug, Clone)]
pub(crate) enum ViewColumn {
    /// By its physical name.
    Held(String),
    /// The table lacks it: every row has this one value.
    Constant(ArrayRef),
}

/// A published table, opened at first use and then shared.
#[derive(Debug)]
pub(crate) struct BaseTable {
    location: TableLocation,
    /// The commit that last changed its rows.
    changed_by: CommitId,
    store: Store,
    resources: Arc<Resources>,
    version: OnceCell<TableVersion>,
    chunks: OnceCell<Arc<Vec<Chunk>>>,
}

/// What a transaction changed of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overlay {
    /// Distinguishes the states of a transaction.
    pub stamp: u64,
    /// Offsets that are gone, by the base's chunk number.
    pub removed: HashMap<u32, RoaringBitmap>,
    pub added: Vec<Chunk>,
    pub added_rows: u64,
    pub removed_rows: u64,
    /// Some rows are not gone but hidden from whoever reads.
    pub hides: bool,
}

impl BaseTable {
    pub fn new(
        resources: Arc<Resources>,
        store: Store,
        location: TableLocation,
        changed_by: CommitId,
    ) -> Self {
        BaseTable {
            location,
            changed_by,
            store,
            resources,
            version: OnceCell::new(),
            chunks: OnceCell::new(),
        }
    }

    pub fn of_version(store: Store, version: TableVersion, changed_by: CommitId) -> Self {
        BaseTable {
            location: version.location().clone(),
            changed_by,
            store,
            resources: version.resources().clone(),
            version: OnceCell::new_with(Some(version)),
            chunks: OnceCell::new(),
        }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn resources(&self) -> &Arc<Resources> {
        &self.resources
    }

    pub fn location(&self) -> &TableLocation {
        &self.location
    }

    pub fn changed_by(&self) -> CommitId {
        self.changed_by
    }

    /// Has the other one the same rows, in whichever files?
    pub fn same_rows(&self, other: &BaseTable) -> bool {
        self.location.dir == other.location.dir && self.changed_by == other.changed_by
    }

    /// Is the other one the same files?
    pub fn same_version(&self, other: &BaseTable) -> bool {
        self.location.dir == other.location.dir && self.location.version == other.location.version
    }

    pub async fn version(&self) -> Result<&TableVersion> {
        self.version
            .get_or_try_init(|| TableVersion::open(&self.resources, &self.store, &self.location))
            .await
    }

    pub async fn chunks(&self) -> Result<&Arc<Vec<Chunk>>> {
        self.chunks
            .get_or_try_init(|| async {
                let version = self.version().await?;
                let mut chunks = Vec::with_capacity(version.fragments().len());
                for fragment in version.fragments() {
                    chunks.push(Chunk {
                        key: fragment.key.clone(),
                        rows: fragment.rows,
                        deleted: version.deletions(fragment).await?,
                        source: ChunkSource::File(fragment.clone()),
                    });
                }
                Ok(Arc::new(chunks))
            })
            .await
    }
}

impl Table {
    pub(crate) fn new(
        def: Arc<TypeDef>,
        base: Arc<BaseTable>,
        overlay: Option<Arc<Overlay>>,
        state: Arc<SnapshotState>,
    ) -> Self {
        Table {
            def,
            base,
            overlay,
            state,
            view: None,
            written: None,
        }
    }

    pub(crate) fn noting(self, written: Option<Arc<[WrittenSince]>>) -> Self {
        Table { written, ..self }
    }

    /// The ids of all rows in which it may differ from that version, if they are known.
    pub(crate) fn written_since(&self, version: &TableKey) -> Option<Arc<[String]>> {
        let mut noted = self.written.iter().flat_map(|noted| noted.iter());
        let found = noted.find(|noted| noted.version == *version);
        found.map(|noted| noted.ids.clone())
    }

    /// Has the other one the same rows, in whichever files?
    pub(crate) fn same_rows(&self, other: &Table) -> bool {
        let untouched = self.overlay.is_none() && other.overlay.is_none();
        untouched && self.base.same_rows(&other.base)
    }

    async fn explained<T>(&self, result: Result<T>) -> Result<T> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => Err(self.state.explain(error).await),
        }
    }

    /// The same rows under another definition; `columns` says where its columns are.
    pub(crate) fn viewed(self, def: Arc<TypeDef>, columns: Vec<ViewColumn>) -> Self {
        Table {
            def,
            view: Some(columns.into()),
            ..self
        }
    }

    /// The table without its rows.
    pub(crate) async fn emptied(self) -> Result<Self> {
        let chunks = self.base.chunks().await?;
        let removed = chunks
            .iter()
            .enumerate()
            .map(|(number, chunk)| (number as u32, (0..chunk.rows).collect()));
        let overlay = Overlay {
            stamp: u64::MAX,
            removed: removed.collect(),
            removed_rows: self.base.location.rows,
            ..Overlay::default()
        };
        Ok(Table {
            overlay: Some(Arc::new(overlay)),
            written: None,
            ..self
        })
    }

    /// The same table with other changes over it.
    pub(crate) fn over(self, overlay: Arc<Overlay>) -> Self {
        Table {
            overlay: Some(overlay),
            written: None,
            ..self
        }
    }

    pub(crate) fn overlay(&self) -> Option<&Arc<Overlay>> {
        self.overlay.as_ref()
    }

    /// How many of its chunks are of the published table.
    pub(crate) async fn base_chunks(&self) -> Result<usize> {
        Ok(self.explained(self.base.chunks().await).await?.len())
    }

    pub fn def(&self) -> &Arc<TypeDef> {
        &self.def
    }

    pub fn key(&self) -> TableKey {
        TableKey {
            dir: self.base.location.dir.as_str().into(),
            version: self.base.location.version,
            private: self.overlay.as_ref().map_or(0, |overlay| overlay.stamp),
        }
    }

    /// The published version that it shows, apart from what a transaction changed.
    pub(crate) async fn version(&self) -> Result<TableVersion> {
        Ok(self.base.version().await?.clone())
    }

    pub(crate) fn resources(&self) -> &Arc<Resources> {
        &self.base.resources
    }

    pub(crate) fn store(&self) -> &Store {
        &self.base.store
    }

    /// Where adjacencies of this process are kept.
    pub(crate) fn topologies(&self) -> &Arc<Topologies> {
        self.base.resources.topologies()
    }

    /// Exact.
    pub fn row_count(&self) -> u64 {
        match &self.overlay {
            None => self.base.location.rows,
            Some(overlay) => self.base.location.rows + overlay.added_rows - overlay.removed_rows,
        }
    }

    /// The files of the published table, by path, and their bytes. Branches share files.
    pub async fn files(&self) -> Result<Vec<(Arc<str>, u64)>> {
        let version = self.explained(self.base.version().await).await?;
        Ok(version
            .fragments()
            .iter()
            .map(|fragment| (Arc::clone(&fragment.key), fragment.bytes))
            .collect())
    }

    /// The table's pieces, in an order that appends keep.
    pub async fn chunks(&self) -> Result<Arc<Vec<Chunk>>> {
        let base = self.explained(self.base.chunks().await).await?;
        let Some(overlay) = &self.overlay else {
            return Ok(base.clone());
        };
        let mut chunks = Vec::with_capacity(base.len() + overlay.added.len());
        for (number, chunk) in base.iter().enumerate() {
            let mut chunk = chunk.clone();
            if let Some(removed) = overlay.removed.get(&(number as u32)) {
                let mut deleted = chunk.deleted.as_deref().cloned().unwrap_or_default();
                deleted |= removed;
                chunk.deleted = Some(Arc::new(deleted));
            }
            chunks.push(chunk);
        }
        chunks.extend(overlay.added.iter().cloned());
        Ok(Arc::new(chunks))
    }

    /// Whole columns of a chunk, deleted rows included; decoded once and shared.
    pub async fn chunk_columns(&self, chunk: &Chunk, columns: &[usize]) -> Result<Vec<ArrayRef>> {
        match &chunk.source {
            ChunkSource::Memory(batch) => self.of_memory(batch, columns),
            ChunkSource::File(fragment) => {
                let names = self.held_names(columns);
                let held = match names.is_empty() {
                    true => Vec::new(),
                    false => {
                        let version = self.explained(self.base.version().await).await?;
                        self.explained(version.columns(fragment, &names).await)
                            .await?
                    }
                };
                self.with_constants(columns, held, chunk.rows as usize)
            }
        }
    }

    /// The Arrow schema of the given columns, under their physical names.
    pub fn projected(&self, columns: &[usize]) -> SchemaRef {
        let all = self.def.arrow_schema();
        Arc::new(ArrowSchema::new(
            columns
                .iter()
                .map(|column| all.field(*column).clone())
                .collect::<Vec<_>>(),
        ))
    }

    /// All live rows, divided among streams that can run side by side.
    pub async fn scan(
        &self,
        request: ScanRequest,
    ) -> Result<Vec<BoxStream<'static, Result<RecordBatch>>>> {
        let chunks = self.chunks().await?;
        let partitions = request.partitions.max(1);
        // Contiguous shares of about equal size keep the order within a stream.
        let total: u64 = chunks.iter().map(|chunk| u64::from(chunk.rows)).sum();
        let share = total.div_ceil(partitions as u64).max(1);
        let mut shares: Vec<Vec<(Chunk, std::ops::Range<u32>)>> = vec![Vec::new(); partitions];
        let mut seen = 0u64;
        for chunk in chunks.iter() {
            let mut from = 0u32;
            while from < chunk.rows {
                let partition = (seen / share) as usize;
                let room = share * (partition as u64 + 1) - seen;
                let take = room.min(u64::from(chunk.rows - from)) as u32;
                shares[partition.min(partitions - 1)].push((chunk.clone(), from..from + take));
                from += take;
                seen += u64::from(take);
            }
        }
        let schema = self.projected(&request.columns);
        Ok(shares
            .into_iter()
            .map(|share| {
                let (table, schema) = (self.clone(), schema.clone());
                let (columns, batch_rows) = (request.columns.clone(), request.batch_rows.max(1));
                futures::stream::iter(share.into_iter().map(Ok::<_, Error>))
                    .and_then(move |(chunk, rows)| {
                        let (table, schema, columns) =
                            (table.clone(), schema.clone(), columns.clone());
                        async move {
                            let arrays = table.chunk_columns(&chunk, &columns).await?;
                            Ok(slices(schema, chunk, arrays, rows, batch_rows))
                        }
                    })
                    .try_flatten()
                    .boxed()
            })
            .collect())
    }

    /// The rows at these positions, in this order.
    pub async fn rows(&self, positions: &[RowPosition], columns: &[usize]) -> Result<RecordBatch> {
        let schema = self.projected(columns);
        if positions.is_empty() {
            return Ok(RecordBatch::new_empty(schema));
        }
        let chunks = self.chunks().await?;
        let mut sources: Vec<RecordBatch> = Vec::new();
        let mut number_of: HashMap<u32, usize> = HashMap::new();
        for position in positions {
            if number_of.contains_key(&position.chunk) {
                continue;
            }
            let chunk = &chunks[position.chunk as usize];
            let arrays = self.chunk_columns(chunk, columns).await?;
            number_of.insert(position.chunk, sources.len());
            sources.push(batch_of(schema.clone(), arrays, chunk.rows as usize)?);
        }
        if let [source] = sources.as_slice() {
            let offsets: UInt32Array = positions.iter().map(|position| position.offset).collect();
            return Ok(arrow::compute::take_record_batch(source, &offsets)?);
        }
        let indices: Vec<(usize, usize)> = positions
            .iter()
            .map(|position| (number_of[&position.chunk], position.offset as usize))
            .collect();
        let references: Vec<&RecordBatch> = sources.iter().collect();
        Ok(interleave_record_batch(&references, &indices)?)
    }

    /// As [`Table::rows`], with the bytes of blobs in the place of references.
    pub async fn with_bytes(
        &self,
        positions: &[RowPosition],
        columns: &[usize],
    ) -> Result<RecordBatch> {
        let rows = self.rows(positions, columns).await?;
        let all = self.def.columns();
        if !columns.iter().any(|column| all[*column].is_blob()) {
            return Ok(rows);
        }
        let mut arrays = rows.columns().to_vec();
        for (array, column) in arrays.iter_mut().zip(columns) {
            if all[*column].is_blob() {
                *array = self.state.blobs.stored_bytes(array).await?;
            }
        }
        batch_of(rows.schema(), arrays, rows.num_rows())
    }

    /// As [`Table::rows`], for rows that are read once: few rows of a large file are read
    /// from the pages that they lie in, and nothing is kept.
    pub async fn take(&self, positions: &[RowPosition], columns: &[usize]) -> Result<RecordBatch> {
        let schema = self.projected(columns);
        let mut wanted: BTreeMap<u32, RoaringBitmap> = BTreeMap::new();
        for position in positions {
            wanted
                .entry(position.chunk)
                .or_default()
                .insert(position.offset);
        }
        let chunks = self.chunks().await?;
        let mut sources: Vec<RecordBatch> = Vec::with_capacity(wanted.len());
        for (&chunk, offsets) in &wanted {
            let offsets: Vec<u32> = offsets.iter().collect();
            let arrays = self
                .take_of(&chunks[chunk as usize], columns, &offsets)
                .await?;
            sources.push(batch_of(schema.clone(), arrays, offsets.len())?);
        }
        if sources.is_empty() {
            return Ok(RecordBatch::new_empty(schema));
        }
        let number_of: HashMap<u32, (usize, &RoaringBitmap)> = wanted
            .iter()
            .enumerate()
            .map(|(number, (chunk, offsets))| (*chunk, (number, offsets)))
            .collect();
        let indices: Vec<(usize, usize)> = positions
            .iter()
            .map(|position| {
                let (number, offsets) = number_of[&position.chunk];
                (number, offsets.rank(position.offset) as usize - 1)
            })
            .collect();
        let references: Vec<&RecordBatch> = sources.iter().collect();
        Ok(interleave_record_batch(&references, &indices)?)
    }

    /// Columns of some rows of a chunk, by ascending offset.
    pub(crate) async fn take_of(
        &self,
        chunk: &Chunk,
        columns: &[usize],
        offsets: &[u32],
    ) -> Result<Vec<ArrayRef>> {
        match &chunk.source {
            ChunkSource::Memory(batch) => {
                let wanted = UInt32Array::from(offsets.to_vec());
                Ok(self
                    .of_memory(batch, columns)?
                    .iter()
                    .map(|column| arrow::compute::take(column, &wanted, None))
                    .collect::<std::result::Result<_, _>>()?)
            }
            ChunkSource::File(fragment) => {
                let names = self.held_names(columns);
                let version = self.explained(self.base.version().await).await?;
                let held = match names.is_empty() {
                    true => Vec::new(),
                    false => {
                        let taken = version.take(fragment, &names, offsets).boxed().await;
                        self.explained(taken).await?
                    }
                };
                self.with_constants(columns, held, offsets.len())
            }
        }
    }

    /// Columns of rows that a transaction holds.
    fn of_memory(&self, batch: &RecordBatch, columns: &[usize]) -> Result<Vec<ArrayRef>> {
        let Some(view) = &self.view else {
            return Ok(columns
                .iter()
                .map(|column| batch.column(*column).clone())
                .collect());
        };
        let missing = || Error::internal("a transaction's rows lack a column");
        columns
            .iter()
            .map(|column| match &view[*column] {
                ViewColumn::Held(name) => {
                    let held = batch.column_by_name(name);
                    held.cloned().ok_or_else(missing)
                }
                ViewColumn::Constant(value) => {
                    let first = UInt32Array::from_value(0, batch.num_rows());
                    Ok(arrow::compute::take(value, &first, None)?)
                }
            })
            .collect()
    }

    /// The physical names of those columns that the files have.
    pub(crate) fn held_names(&self, columns: &[usize]) -> Vec<&str> {
        let Some(view) = &self.view else {
            return self.physical_names(columns);
        };
        columns
            .iter()
            .filter_map(|column| match &view[*column] {
                ViewColumn::Held(name) => Some(name.as_str()),
                ViewColumn::Constant(_) => None,
            })
            .collect()
    }

    /// Puts the columns that the files lack between those that they have.
    fn with_constants(
        &self,
        columns: &[usize],
        held: Vec<ArrayRef>,
        rows: usize,
    ) -> Result<Vec<ArrayRef>> {
        let Some(view) = &self.view else {
            return Ok(held);
        };
        let mut held = held.into_iter();
        let first = UInt32Array::from_value(0, rows);
        columns
            .iter()
            .map(|column| match &view[*column] {
                ViewColumn::Held(_) => held
                    .next()
                    .ok_or_else(|| Error::internal("a column was not read")),
                ViewColumn::Constant(value) => Ok(arrow::compute::take(value, &first, None)?),
            })
            .collect()
    }

    /// What these columns of a file are called among indexes: what they hold there.
    pub(crate) fn cached_as(&self, columns: &[usize]) -> String {
        let Some(view) = &self.view else {
            return self.physical_names(columns).join(",");
        };
        let names = columns.iter().map(|column| match &view[*column] {
            ViewColumn::Held(name) => name.clone(),
            ViewColumn::Constant(value) => format!("{value:?}"),
        });
        names.collect::<Vec<_>>().join(",")
    }

    fn physical_names(&self, columns: &[usize]) -> Vec<&str> {
        let all = self.def.columns();
        columns
            .iter()
            .map(|column| all[*column].physical.as_str())
            .collect()
    }
}

/// The live rows of `rows`, in batches that share the chunk's memory where none is gone.
fn slices(
    schema: SchemaRef,
    chunk: Chunk,
    arrays: Vec<ArrayRef>,
    rows: std::ops::Range<u32>,
    batch_rows: usize,
) -> BoxStream<'static, Result<RecordBatch>> {
    let starts = (rows.start as usize..rows.end as usize).step_by(batch_rows);
    let end = rows.end as usize;
    futures::stream::iter(starts)
        .map(move |start| {
            let length = batch_rows.min(end - start);
            let arrays = arrays
                .iter()
                .map(|array| array.slice(start, length))
                .collect();
            let batch = batch_of(schema.clone(), arrays, length)?;
            let Some(deleted) = &chunk.deleted else {
                return Ok(batch);
            };
            let range = start as u32..(start + length) as u32;
            if deleted.range_cardinality(range.clone()) == 0 {
                return Ok(batch);
            }
            let live: BooleanArray = range
                .map(|offset| Some(!deleted.contains(offset)))
                .collect();
            Ok(filter_record_batch(&batch, &live)?)
        })
        .boxed()
}

fn batch_of(schema: SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
}

/// The live rows of chunks in memory, as one batch.
pub(crate) fn live_rows(schema: &SchemaRef, chunks: &[Chunk]) -> Result<RecordBatch> {
    let mut batches = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let ChunkSource::Memory(batch) = &chunk.source else {
            continue;
        };
        batches.push(match &chunk.deleted {
            None => batch.clone(),
            Some(deleted) => {
                let live: BooleanArray = (0..chunk.rows)
                    .map(|offset| Some(!deleted.contains(offset)))
                    .collect();
                filter_record_batch(batch, &live)?
            }
        });
    }
    Ok(concat_batches(schema, &batches)?)
}
