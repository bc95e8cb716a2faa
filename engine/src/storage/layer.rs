//! What every request passes on its way to the store: a counter, a fault hook, and on a
//! local file system the syncing of folders.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result as StoreResult,
    UploadPart,
};
use parking_lot::Mutex;

use super::connect::Durability;
use crate::error::{Error, Result};

/// Requests sent, by kind. `steps` counts the moments at which all requests in flight had
/// ended: the number of sequential round trips, where nothing else is going on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestCounts {
    pub gets: u64,
    pub heads: u64,
    pub puts: u64,
    pub lists: u64,
    pub deletes: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub steps: u64,
}

impl RequestCounts {
    pub fn total(&self) -> u64 {
        self.gets + self.heads + self.puts + self.lists + self.deletes
    }

    /// What was sent since `earlier` was taken.
    pub fn since(&self, earlier: &RequestCounts) -> RequestCounts {
        RequestCounts {
            gets: self.gets - earlier.gets,
            heads: self.heads - earlier.heads,
            puts: self.puts - earlier.puts,
            lists: self.lists - earlier.lists,
            deletes: self.deletes - earlier.deletes,
            bytes_read: self.bytes_read - earlier.bytes_read,
            bytes_written: self.bytes_written - earlier.bytes_written,
            steps: self.steps - earlier.steps,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Get,
    Head,
    Put,
    List,
    Delete,
}

/// What a fault hook does to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The request is not carried out and fails.
    FailBefore(String),
    /// The request is carried out, and fails all the same.
    FailAfter(String),
}

/// Decides about each request; for tests that stop or fail the store at every point.
#[async_trait]
pub trait Faults: Send + Sync + fmt::Debug {
    async fn on(&self, operation: Operation, key: &str) -> Fault;
}

#[derive(Debug)]
pub struct StoreLayer {
    inner: Arc<dyn ObjectStore>,
    /// The root folder of a local store.
    folder: Option<PathBuf>,
    durability: Durability,
    /// Folders whose own entry in their parent this process has synced.
    synced: Arc<Mutex<HashSet<PathBuf>>>,
    /// Whether a sync has failed.
    distrusted: Arc<AtomicBool>,
    counters: Arc<Counters>,
    faults: Option<Arc<dyn Faults>>,
}

#[derive(Debug, Default)]
struct Counters {
    gets: AtomicU64,
    heads: AtomicU64,
    puts: AtomicU64,
    lists: AtomicU64,
    deletes: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    in_flight: AtomicI64,
    steps: AtomicU64,
}

impl StoreLayer {
    pub fn new(
        inner: Arc<dyn ObjectStore>,
        folder: Option<PathBuf>,
        durability: Durability,
    ) -> Self {
        StoreLayer {
            inner,
            folder,
            durability,
            synced: Arc::default(),
            distrusted: Arc::default(),
            counters: Arc::default(),
            faults: None,
        }
    }

    pub fn with_faults(&self, faults: Arc<dyn Faults>) -> Self {
        StoreLayer {
            inner: self.inner.clone(),
            folder: self.folder.clone(),
            durability: self.durability,
            synced: self.synced.clone(),
            distrusted: self.distrusted.clone(),
            counters: self.counters.clone(),
            faults: Some(faults),
        }
    }

    pub fn durability(&self) -> Durability {
        self.durability
    }

    pub fn counts(&self) -> RequestCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RequestCounts {
            gets: read(&self.counters.gets),
            heads: read(&self.counters.heads),
            puts: read(&self.counters.puts),
            lists: read(&self.counters.lists),
            deletes: read(&self.counters.deletes),
            bytes_read: read(&self.counters.bytes_read),
            bytes_written: read(&self.counters.bytes_written),
            steps: read(&self.counters.steps),
        }
    }

    pub fn distrust(&self) {
        self.distrusted.store(true, Ordering::SeqCst);
    }

    pub fn is_distrusted(&self) -> bool {
        self.distrusted.load(Ordering::SeqCst)
    }

    /// Syncs one folder's entries, whoever made them.
    pub async fn sync_folder(&self, path: &Path) -> Result<()> {
        if self.folder.is_none() || self.durability == Durability::None {
            return Ok(());
        }
        let folder = PathBuf::from(format!("/{path}"));
        run_blocking(move || sync(&folder))
            .await
            .map_err(|error| Error::Unavailable {
                message: format!("{path}: {error}"),
            })
    }

    /// On a local file system, tells at once that there is no such file. Every statement asks
    /// whether its branch has a next entry; the kernel knows, and a thread that asks it for us
    /// would cost ten times as much. `None`: it may be there.
    fn absent(&self, path: &Path) -> Option<object_store::Error> {
        self.folder.as_ref()?;
        // Other characters are written in another way in file names.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.=".contains(&byte);
        if !path.as_ref().bytes().all(plain) {
            return None;
        }
        let error = std::fs::symlink_metadata(format!("/{path}")).err()?;
        (error.kind() == std::io::ErrorKind::NotFound).then(|| object_store::Error::NotFound {
            path: path.to_string(),
            source: Box::new(error),
        })
    }

    /// Before a file in a folder counts as durable, the folder and all above it must be:
    /// object_store syncs only the folders that its own call made.
    async fn sync_ancestors(&self, path: &Path) -> StoreResult<()> {
        let (Some(root), Durability::Fsync) = (&self.folder, self.durability) else {
            return Ok(());
        };
        let file = PathBuf::from(format!("/{path}"));
        let unsynced: Vec<PathBuf> = {
            let synced = self.synced.lock();
            file.ancestors()
                .skip(1)
                .take_while(|folder| folder.starts_with(root))
                .filter(|folder| !synced.contains(*folder))
                .map(PathBuf::from)
                .collect()
        };
        if unsynced.is_empty() {
            return Ok(());
        }
        let folders = unsynced.clone();
        run_blocking(move || folders.iter().try_for_each(|folder| sync(folder)))
            .await
            .map_err(|error| object_store::Error::Generic {
                store: "local",
                source: Box::new(error),
            })?;
        self.synced.lock().extend(unsynced);
        Ok(())
    }

    /// object_store writes a local object as `name#<number>` first, which its listings hide.
    pub async fn remove_staging(&self, root: &Path, limit: i64) -> Result<(u64, u64)> {
        if self.folder.is_none() {
            return Ok((0, 0));
        }
        let root = PathBuf::from(format!("/{root}"));
        run_blocking(move || remove_staging(&root, limit))
            .await
            .map_err(|error| Error::Unavailable {
                message: format!("leftovers of unfinished writes: {error}"),
            })
    }

    async fn run<T>(
        &self,
        operation: Operation,
        path: &Path,
        request: impl Future<Output = StoreResult<T>>,
    ) -> StoreResult<T> {
        let counter = match operation {
            Operation::Get => &self.counters.gets,
            Operation::Head => &self.counters.heads,
            Operation::Put => &self.counters.puts,
            Operation::List => &self.counters.lists,
            Operation::Delete => &self.counters.deletes,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let _in_flight = InFlight::start(&self.counters);
        let fault = match &self.faults {
            Some(faults) => faults.on(operation, path.as_ref()).await,
            None => Fault::None,
        };
        match fault {
            Fault::None => request.await,
            Fault::FailBefore(message) => Err(injected(message)),
            Fault::FailAfter(message) => {
                let _ = request.await;
                Err(injected(message))
            }
        }
    }
}

/// Counts a step when the last request in flight ends, also when it is dropped half way.
struct InFlight<'a>(&'a Counters);

impl<'a> InFlight<'a> {
    fn start(counters: &'a Counters) -> Self {
        counters.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(counters)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.steps.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn injected(message: String) -> object_store::Error {
    object_store::Error::Generic {
        store: "fault",
        source: message.into(),
    }
}

fn remove_staging(root: &std::path::Path, limit: i64) -> std::io::Result<(u64, u64)> {
    let mut removed = (0, 0);
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(&folder)? {
            let item = item?;
            // Others may remove it at the same time.
            let Ok(metadata) = item.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                folders.push(item.path());
                continue;
            }
            let name = item.file_name();
            let number = name.to_str().and_then(|name| name.rsplit_once('#'));
            let staged = number.is_some_and(|(_, number)| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            });
            let modified = chrono::DateTime::<chrono::Utc>::from(metadata.modified()?);
            if staged
                && modified.timestamp_micros() < limit
                && std::fs::remove_file(item.path()).is_ok()
            {
                removed.0 += 1;
                removed.1 += metadata.len();
            }
        }
    }
    Ok(removed)
}

fn sync(folder: &std::path::Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other)?
}

impl fmt::Display for StoreLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for StoreLayer {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> StoreResult<PutResult> {
        let bytes = payload.content_length() as u64;
        self.counters
            .bytes_written
            .fetch_add(bytes, Ordering::Relaxed);
        self.run(Operation::Put, location, async {
            let result = self.inner.put_opts(location, payload, options).await?;
            self.sync_ancestors(location).await?;
            Ok(result)
        })
        .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        let upload = self
            .run(
                Operation::Put,
                location,
                self.inner.put_multipart_opts(location, options),
            )
            .await?;
        Ok(Box::new(CountedUpload {
            inner: upload,
            location: location.clone(),
            layer: StoreLayer {
                inner: self.inner.clone(),
                folder: self.folder.clone(),
                durability: self.durability,
                synced: self.synced.clone(),
                distrusted: self.distrusted.clone(),
                counters: self.counters.clone(),
                faults: self.faults.clone(),
            },
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        let operation = if options.head {
            Operation::Head
        } else {
            Operation::Get
        };
        let result = self
            .run(operation, location, async {
                match self.absent(location) {
                    Some(absent) => Err(absent),
                    None => self.inner.get_opts(location, options).await,
                }
            })
            .await?;
        if operation == Operation::Get {
            let bytes = result.range.end.saturating_sub(result.range.start);
            self.counters.bytes_read.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        let parts = self
            .run(
                Operation::Get,
                location,
                self.inner.get_ranges(location, ranges),
            )
            .await?;
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        self.counters.bytes_read.fetch_add(bytes, Ordering::Relaxed);
        Ok(parts)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        let counters = self.counters.clone();
        self.inner
            .delete_stream(locations)
            .inspect(move |_| {
                counters.deletes.fetch_add(1, Ordering::Relaxed);
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.counters.lists.fetch_add(1, Ordering::Relaxed);
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.counters.lists.fetch_add(1, Ordering::Relaxed);
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        let root = Path::default();
        self.run(
            Operation::List,
            prefix.unwrap_or(&root),
            self.inner.list_with_delimiter(prefix),
        )
        .await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.run(Operation::Put, to, self.inner.copy_opts(from, to, options))
            .await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> StoreResult<()> {
        self.run(
            Operation::Put,
            to,
            self.inner.rename_opts(from, to, options),
        )
        .await
    }
}

#[derive(Debug)]
struct CountedUpload {
    inner: Box<dyn MultipartUpload>,
    location: Path,
    layer: StoreLayer,
}

#[async_trait]
impl MultipartUpload for CountedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let counters = self.layer.counters.clone();
        counters.puts.fetch_add(1, Ordering::Relaxed);
        counters
            .bytes_written
            .fetch_add(data.content_length() as u64, Ordering::Relaxed);
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> StoreResult<PutResult> {
        let layer = &self.layer;
        let inner = &mut self.inner;
        layer
            .run(Operation::Put, &self.location, async {
                let result = inner.complete().await?;
                layer.sync_ancestors(&self.location).await?;
                Ok(result)
            })
            .await
    }

    async fn abort(&mut self) -> StoreResult<()> {
        self.inner.abort().await
    }
}
