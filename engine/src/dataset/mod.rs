//! The wall around Lance: tables as directories of immutable files, at immutable versions.
//!
//! Every version made here is *detached*: no write moves a dataset's main line, and nobody
//! sees a version until a log entry names it. Lance checks no conflicts for such commits and
//! would delete their files in its own cleanup, so:
//! - a [`Table`](table::TableVersion) is only ever changed through [`TableVersion::commit`],
//!   from the very version it was prepared against;
//! - Lance's cleanup, `optimize` and every `&mut Dataset` method stay unused;
//! - versions are random and carry no order. They are kept as text.
//!
//! [`TableVersion::commit`]: table::TableVersion::commit

mod files;
mod handler;
mod lance;
mod reshape;
mod table;
mod write_behind;

use std::collections::HashMap;
use std::sync::Arc;

use ::lance::session::Session;
use arrow::array::{Array, ArrayRef};
use lance_io::object_store::ObjectStoreRegistry;
use parking_lot::RwLock;
use roaring::RoaringBitmap;

use self::lance::Lance;
use crate::index::{ChunkIndex, StoredIndex};
use crate::restrict::Shown;
use crate::search::{TextIndex, VectorIndexes};
use crate::storage::Store;
use crate::traverse::Topologies;

pub(crate) use files::Wall;
#[cfg(test)]
pub(crate) use files::{Directory, Files};
pub use reshape::FilledColumn;
pub use table::{Fragment, Staged, TableChange, TableLocation, TableVersion};
pub(crate) use write_behind::WriteBehind;

/// The part of a log filter that keeps Lance from telling of each store that it does not know
/// its kind.
pub const QUIET: &str = "lance_io::object_store=error";

/// What the graphs of a process may do and take.
#[derive(Debug, Clone)]
pub struct ResourceLimits {
    /// Decoded columns of immutable files, in bytes.
    pub column_bytes: u64,
    /// Hash indexes over immutable files, in bytes.
    pub index_bytes: u64,
    /// Inverted indexes over texts of immutable files, in bytes.
    pub text_index_bytes: u64,
    pub vector_index_bytes: u64,
    /// The numbers in the vectors of a file from which on an index is worth its making.
    pub indexed_numbers: usize,
    /// Lance's metadata (manifests, file footers), in bytes.
    pub metadata_bytes: usize,
    /// Opened table versions.
    pub open_tables: u64,
    /// Adjacency of edge tables, in bytes.
    pub topology_bytes: usize,
    /// Whether the tables of branches that this process writes are looked after meanwhile.
    pub maintenance: bool,
}

impl Default for ResourceLimits {
    fn default() -> Self {
        ResourceLimits {
            column_bytes: 512 << 20,
            index_bytes: 256 << 20,
            text_index_bytes: 256 << 20,
            vector_index_bytes: 128 << 20,
            // As many as are read in a millisecond.
            indexed_numbers: 4 << 20,
            metadata_bytes: 64 << 20,
            open_tables: 4096,
            topology_bytes: 512 << 20,
            maintenance: false,
        }
    }
}

/// How many restricted states of branches are kept.
const SHOWN: u64 = 256;

/// What all graphs of a process share: caches and the session of Lance. Everything cached is
/// immutable and keyed by the path of the file it came from, never by fragment or row
/// numbers: sibling branches give one number to different things.
#[derive(Debug)]
pub struct Resources {
    wall: Arc<dyn Wall>,
    stores: Arc<RwLock<HashMap<String, Arc<WriteBehind>>>>,
    columns: moka::future::Cache<(Arc<str>, String), ArrayRef>,
    deletions: moka::future::Cache<String, Arc<RoaringBitmap>>,
    indexes: moka::future::Cache<(Arc<str>, String), Arc<ChunkIndex>>,
    stored_indexes: moka::future::Cache<(Arc<str>, String), Option<Arc<StoredIndex>>>,
    text_indexes: moka::future::Cache<(Arc<str>, String), Arc<TextIndex>>,
    vector_indexes: VectorIndexes,
    tables: moka::future::Cache<(String, u64), TableVersion>,
    hidden_rows: moka::future::Cache<(Arc<str>, String), Arc<RoaringBitmap>>,
    shown: moka::future::Cache<String, Arc<Shown>>,
    topologies: Arc<Topologies>,
    maintenance: bool,
}

impl Resources {
    pub fn new(limits: &ResourceLimits) -> Arc<Self> {
        let stores: Arc<RwLock<HashMap<String, Arc<WriteBehind>>>> = Arc::default();
        let registry = ObjectStoreRegistry::empty();
        registry.insert(
            write_behind::SCHEME,
            Arc::new(write_behind::Provider::new(stores.clone())),
        );
        let (bytes, registry) = (limits.metadata_bytes, Arc::new(registry));
        let wall = Arc::new(Lance::new(Session::new(bytes, bytes, registry)));
        Self::over(wall, stores, limits)
    }

    fn over(
        wall: Arc<dyn Wall>,
        stores: Arc<RwLock<HashMap<String, Arc<WriteBehind>>>>,
        limits: &ResourceLimits,
    ) -> Arc<Self> {
        let weight = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let of_bitmap = move |bitmap: &RoaringBitmap| weight(bitmap.serialized_size() + 64);
        Arc::new(Resources {
            wall,
            stores,
            columns: moka::future::Cache::builder()
                .max_capacity(limits.column_bytes)
                .weigher(move |_, array: &ArrayRef| weight(array.get_array_memory_size()))
                .build(),
            deletions: moka::future::Cache::builder()
                .max_capacity(32 << 20)
                .weigher(move |_, bitmap: &Arc<RoaringBitmap>| of_bitmap(bitmap))
                .build(),
            hidden_rows: moka::future::Cache::builder()
                .max_capacity(32 << 20)
                .weigher(move |_, bitmap: &Arc<RoaringBitmap>| of_bitmap(bitmap))
                .build(),
            shown: moka::future::Cache::new(SHOWN),
            indexes: moka::future::Cache::builder()
                .max_capacity(limits.index_bytes)
                .weigher(move |_, index: &Arc<ChunkIndex>| weight(index.size()))
                .build(),
            stored_indexes: moka::future::Cache::builder()
                .max_capacity(limits.metadata_bytes as u64)
                .weigher(move |_, index: &Option<Arc<StoredIndex>>| {
                    weight(index.as_ref().map_or(0, |index| index.size()) + 64)
                })
                .build(),
            text_indexes: moka::future::Cache::builder()
                .max_capacity(limits.text_index_bytes)
                .weigher(move |_, index: &Arc<TextIndex>| weight(index.size()))
                .build(),
            vector_indexes: VectorIndexes::new(limits.vector_index_bytes, limits.indexed_numbers),
            tables: moka::future::Cache::builder()
                .max_capacity(limits.open_tables)
                .build(),
            topologies: Arc::new(Topologies::new(limits.topology_bytes)),
            maintenance: limits.maintenance,
        })
    }

    /// With tables behind another wall.
    #[cfg(test)]
    pub(crate) fn behind(wall: Arc<dyn Wall>, limits: &ResourceLimits) -> Arc<Self> {
        Self::over(wall, Arc::default(), limits)
    }

    pub(crate) fn maintenance(&self) -> bool {
        self.maintenance
    }

    /// How many bytes each cache holds, as far as it is known now.
    pub fn cached_bytes(&self) -> [(&'static str, u64); 4] {
        [
            ("columns", self.columns.weighted_size()),
            ("deletions", self.deletions.weighted_size()),
            ("indexes", self.indexes.weighted_size()),
            ("stored_indexes", self.stored_indexes.weighted_size()),
        ]
    }

    /// What traversals walk over.
    pub fn topologies(&self) -> &Arc<Topologies> {
        &self.topologies
    }

    /// The write-behind front of a store, made at first use.
    fn front(&self, store: &Store) -> (String, Arc<WriteBehind>) {
        let key = write_behind::key(store);
        if let Some(front) = self.stores.read().get(&key) {
            return (key, front.clone());
        }
        let mut stores = self.stores.write();
        let front = stores
            .entry(key.clone())
            .or_insert_with(|| Arc::new(WriteBehind::new(store.layer())))
            .clone();
        (key, front)
    }

    pub(crate) fn indexes(&self) -> &moka::future::Cache<(Arc<str>, String), Arc<ChunkIndex>> {
        &self.indexes
    }

    pub(crate) fn text_indexes(&self) -> &moka::future::Cache<(Arc<str>, String), Arc<TextIndex>> {
        &self.text_indexes
    }

    /// The rows of immutable files that a restriction hides.
    pub(crate) fn hidden_rows(
        &self,
    ) -> &moka::future::Cache<(Arc<str>, String), Arc<RoaringBitmap>> {
        &self.hidden_rows
    }

    /// What restrictions leave of published states, by restriction and place in a branch.
    pub(crate) fn shown(&self) -> &moka::future::Cache<String, Arc<Shown>> {
        &self.shown
    }

    pub(crate) fn vector_indexes(&self) -> &VectorIndexes {
        &self.vector_indexes
    }

    /// Where to look in indexes that are not held.
    pub(crate) fn stored_indexes(
        &self,
    ) -> &moka::future::Cache<(Arc<str>, String), Option<Arc<StoredIndex>>> {
        &self.stored_indexes
    }
}

/// Lance's error, seen from outside.
fn lance_error(error: ::lance::Error) -> crate::error::Error {
    use crate::error::Error;
    if error.is_not_found() || matches!(error, ::lance::Error::DatasetNotFound { .. }) {
        return Error::Missing {
            message: error.to_string(),
        };
    }
    match &error {
        ::lance::Error::IO { .. } => Error::Unavailable {
            message: error.to_string(),
        },
        _ => Error::internal(error),
    }
}
