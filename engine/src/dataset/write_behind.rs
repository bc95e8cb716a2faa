//! The object store as Lance sees it: small writes return at once and run in the background,
//! so that the files of one commit are written side by side; whoever publishes waits for
//! them with [`WriteBehind::settle`] first. That is safe because nothing is visible before a
//! log entry names it.
//!
//! Transaction files are not written at all: the same bytes lie in the manifest.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use futures::stream::BoxStream;
use lance_io::object_store::{ObjectStore as LanceStore, ObjectStoreParams, ObjectStoreProvider};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result as StoreResult,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;
use url::Url;

use crate::error::{Error, Result};
use crate::storage::{Store, describe};

pub(super) const SCHEME: &str = "omnigraph";

/// Bytes that may be on their way to the store at once; writers wait beyond that.
const BYTES_IN_FLIGHT: usize = 64 << 20;

/// Writes that are tried again when the store says that the name is taken and it is not.
const REPEATS: usize = 4;

type Pending = Shared<BoxFuture<'static, std::result::Result<(), String>>>;

pub(crate) struct WriteBehind {
    inner: Arc<dyn ObjectStore>,
    pending: Arc<Mutex<HashMap<Path, Pending>>>,
    in_flight: Arc<Semaphore>,
}

impl WriteBehind {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        WriteBehind {
            inner,
            pending: Arc::default(),
            in_flight: Arc::new(Semaphore::new(BYTES_IN_FLIGHT)),
        }
    }

    /// Waits until the objects at `paths` are durable. A failed write is told to the one
    /// commit that owns its path, which then ends; nobody tries it again under that name.
    pub async fn settle(&self, paths: impl IntoIterator<Item = Path>) -> Result<()> {
        let waiting: Vec<(Path, Pending)> = {
            let pending = self.pending.lock();
            paths
                .into_iter()
                .filter_map(|path| pending.get(&path).cloned().map(|write| (path, write)))
                .collect()
        };
        let mut failure = None;
        for (path, write) in waiting {
            if let Err(message) = write.await {
                // A full disk may fail writes for days; they must not pile up here.
                self.pending.lock().remove(&path);
                failure.get_or_insert(message);
            }
        }
        match failure {
            Some(message) => Err(Error::Unavailable { message }),
            None => Ok(()),
        }
    }

    async fn wait_for(&self, path: &Path) {
        let write = self.pending.lock().get(path).cloned();
        if let Some(write) = write {
            // A failure shows when the object is read, and again when it is settled.
            let _ = write.await;
        }
    }
}

/// The key under which Lance's registry finds a store again: the authority of its URLs.
pub(super) fn key(store: &Store) -> String {
    let layer = Arc::as_ptr(&store.layer()) as *const () as usize;
    format!("s{layer:x}")
}

/// The URL by which Lance opens the directory `path` of the store `key`.
pub(super) fn url(key: &str, path: &Path) -> String {
    let mut url = Url::parse(&format!("{SCHEME}://{key}/")).expect("a scheme and a host are a URL");
    url.path_segments_mut()
        .expect("the URL has a host, so it has a path")
        .pop_if_empty()
        .extend(path.parts().map(|part| part.as_ref().to_owned()));
    url.to_string()
}

/// Gives Lance the stores that we opened.
pub(super) struct Provider {
    stores: Arc<RwLock<HashMap<String, Arc<WriteBehind>>>>,
}

impl Provider {
    pub fn new(stores: Arc<RwLock<HashMap<String, Arc<WriteBehind>>>>) -> Self {
        Provider { stores }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}

#[async_trait]
impl ObjectStoreProvider for Provider {
    async fn new_store(
        &self,
        base_path: Url,
        params: &ObjectStoreParams,
    ) -> lance_core::Result<LanceStore> {
        let key = base_path.authority();
        let front = self.stores.read().get(key).cloned().ok_or_else(|| {
            lance_core::Error::invalid_input(format!("no open store is called {key}"))
        })?;
        Ok(LanceStore::new(
            front,
            base_path,
            params.block_size,
            None,
            false,
            false,
            // Requests that one scan keeps in flight.
            16,
            3,
            None,
        ))
    }
}

impl fmt::Debug for WriteBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBehind").finish_non_exhaustive()
    }
}

impl fmt::Display for WriteBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

fn is_transaction_file(path: &Path) -> bool {
    path.parts().any(|part| part.as_ref() == "_transactions")
}

/// The names of files and versions are nobody else's. So if one is taken, the store was asked
/// twice, its first answer being lost; or it says so of a write that it gave up.
async fn put(
    inner: &dyn ObjectStore,
    path: &Path,
    payload: PutPayload,
    options: PutOptions,
) -> StoreResult<()> {
    for _ in 0..REPEATS {
        let taken = match inner.put_opts(path, payload.clone(), options.clone()).await {
            Ok(_) => return Ok(()),
            Err(
                error @ (object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. }),
            ) => error,
            Err(error) => return Err(error),
        };
        match inner.get_opts(path, GetOptions::default()).await {
            Ok(held) => {
                let ours = held.bytes().await? == Bytes::from(payload.clone());
                return if ours { Ok(()) } else { Err(taken) };
            }
            Err(object_store::Error::NotFound { .. }) => {}
            Err(_) => return Err(taken),
        }
    }
    inner.put_opts(path, payload, options).await.map(|_| ())
}

fn nothing_written() -> PutResult {
    PutResult {
        e_tag: None,
        version: None,
        extensions: Default::default(),
    }
}

#[async_trait]
impl ObjectStore for WriteBehind {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> StoreResult<PutResult> {
        if is_transaction_file(location) {
            return Ok(nothing_written());
        }
        let weight = payload.content_length().clamp(1, BYTES_IN_FLIGHT) as u32;
        let permit = self
            .in_flight
            .clone()
            .acquire_many_owned(weight)
            .await
            .expect("the semaphore is never closed");
        let (inner, pending) = (self.inner.clone(), self.pending.clone());
        let path = location.clone();
        let (start, started) = tokio::sync::oneshot::channel::<()>();
        let write = tokio::spawn(async move {
            // The write is registered before it can end.
            let _ = started.await;
            let result = put(&*inner, &path, payload, options)
                .await
                .map_err(|error| describe(&error));
            drop(permit);
            if result.is_ok() {
                pending.lock().remove(&path);
            }
            result
        });
        let write: Pending = async move { write.await.map_err(|error| error.to_string())? }
            .boxed()
            .shared();
        self.pending.lock().insert(location.clone(), write);
        let _ = start.send(());
        Ok(nothing_written())
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.wait_for(location).await;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        self.wait_for(location).await;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.wait_for(from).await;
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> StoreResult<()> {
        self.wait_for(from).await;
        self.inner.rename_opts(from, to, options).await
    }
}
