//! Blobs: bytes of any length, of which a row holds no more than a reference.
//!
//! Up to 2 KiB stand in the row itself. Longer ones lie in objects under `_graph/blobs/`: those
//! of up to 1 MiB together with others that were written at the same time, larger ones alone.
//! An object is written once, under a name of its own, before the commit whose rows refer to
//! it, and no row's bytes are ever copied again: updates of other columns, compaction, merging
//! and branches carry the reference. What no kept row refers to is vacuum's to remove.
//!
//! A reference says length and SHA-256, so that blobs are compared without being read.
//! Nothing here holds a blob in memory that is not asked for as one value.

pub(crate) mod cell;
mod external;
mod read;
mod rows;
mod write;

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::clock::Environment;
use crate::storage::Store;

pub use cell::{VALUE_TYPE, described, import, known_digest, length, stored_values, uri, values};
pub use external::{BlobUri, ExternalBlobs};
pub use read::{BlobStat, MAX_VALUE};
pub(crate) use rows::{as_cells, as_values};
pub(crate) use write::Uris;

/// The blobs of a graph.
pub struct Blobs {
    store: Store,
    environment: Arc<dyn Environment>,
    /// What may be read outside of the graph, by whoever uses it in this process.
    external: RwLock<Arc<ExternalBlobs>>,
}

impl Blobs {
    pub(crate) fn new(store: Store, environment: Arc<dyn Environment>) -> Self {
        Blobs {
            store,
            environment,
            external: RwLock::default(),
        }
    }

    /// Says which places outside of the graph blobs may be read from; none before.
    pub fn allow(&self, external: ExternalBlobs) {
        *self.external.write() = Arc::new(external);
    }

    pub fn external(&self) -> Arc<ExternalBlobs> {
        self.external.read().clone()
    }
}

impl fmt::Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blobs").finish_non_exhaustive()
    }
}
