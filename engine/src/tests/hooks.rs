//! Faults and stores that several files of tests use.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result as StoreResult,
};
use parking_lot::Mutex;

use super::Arc;
use super::merge_histories::Random;
use crate::storage::{Fault, Faults, Operation};

/// Holds one request back until it is let go: the first one of its kind once armed.
#[derive(Debug)]
pub(super) struct Hold {
    operations: &'static [Operation],
    part: &'static str,
    armed: AtomicBool,
    reached: tokio::sync::Notify,
    go_on: tokio::sync::Notify,
    /// The last commit whose pointer was written.
    pub commit: Mutex<Option<String>>,
}

impl Hold {
    pub fn before(operations: &'static [Operation], part: &'static str) -> Arc<Hold> {
        Arc::new(Hold {
            operations,
            part,
            armed: AtomicBool::new(false),
            reached: tokio::sync::Notify::new(),
            go_on: tokio::sync::Notify::new(),
            commit: Mutex::default(),
        })
    }

    pub fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Waits until a request is held.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    pub fn let_go(&self) {
        self.go_on.notify_one();
    }
}

#[async_trait]
impl Faults for Hold {
    async fn on(&self, operation: Operation, key: &str) -> Fault {
        if let (Operation::Put, Some((_, name))) = (operation, key.split_once("_graph/commits/")) {
            *self.commit.lock() = Some(name.trim_end_matches(".json").to_owned());
        }
        if self.operations.contains(&operation)
            && key.contains(self.part)
            && self.armed.swap(false, Ordering::SeqCst)
        {
            self.reached.notify_one();
            self.go_on.notified().await;
        }
        Fault::None
    }
}

/// One process's way to a distant store: requests about slots and their answers are lost, and
/// what was given up arrives later; listings are in no order and do not know the newest names.
#[derive(Debug)]
pub(super) struct Distant {
    inner: Arc<InMemory>,
    random: Mutex<Random>,
    /// Of ten requests, how many go wrong.
    faults: usize,
    forgets_names: bool,
    repeats: bool,
    late: Arc<AtomicU64>,
    /// Creations that were sent: the name, what was in it, and whether it was taken by then.
    pub sent: Mutex<Vec<(String, Bytes, bool)>>,
}

impl Distant {
    pub fn new(inner: &Arc<InMemory>, seed: u64, faults: usize) -> Arc<Distant> {
        Self::of(inner, seed, faults, false, false)
    }

    pub fn forgetful(inner: &Arc<InMemory>, seed: u64) -> Arc<Distant> {
        Self::of(inner, seed, 0, true, false)
    }

    /// Sends each write a second time, and tells the answer to that.
    pub fn repeating(inner: &Arc<InMemory>) -> Arc<Distant> {
        Self::of(inner, 0, 0, false, true)
    }

    fn of(
        inner: &Arc<InMemory>,
        seed: u64,
        faults: usize,
        forgets_names: bool,
        repeats: bool,
    ) -> Arc<Distant> {
        Arc::new(Distant {
            inner: inner.clone(),
            random: Mutex::new(Random(seed)),
            faults,
            forgets_names,
            repeats,
            late: Arc::default(),
            sent: Mutex::default(),
        })
    }

    /// Until everything that was sent has arrived.
    pub async fn settled(&self) {
        while self.late.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn draw(&self, bound: usize) -> usize {
        self.random.lock().below(bound)
    }

    fn goes_wrong(&self, location: &Path) -> bool {
        let slot = ["slot", "_graph/branches/"];
        slot.iter().any(|part| location.as_ref().contains(part)) && self.draw(10) < self.faults
    }
}

fn lost() -> object_store::Error {
    object_store::Error::Generic {
        store: "distant",
        source: "no answer".into(),
    }
}

impl fmt::Display for Distant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("distant")
    }
}

#[async_trait]
impl ObjectStore for Distant {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> StoreResult<PutResult> {
        if options.mode == PutMode::Create {
            let taken = self.inner.head(location).await.is_ok();
            let body: Vec<u8> = payload.iter().flat_map(|part| part.to_vec()).collect();
            let sent = (location.to_string(), body.into(), taken);
            self.sent.lock().push(sent);
        }
        if self.repeats {
            let (payload, options) = (payload.clone(), options.clone());
            self.inner.put_opts(location, payload, options).await?;
        }
        if !self.goes_wrong(location) {
            return self.inner.put_opts(location, payload, options).await;
        }
        match self.draw(3) {
            // The request is lost.
            0 => {}
            // Its answer is.
            1 => {
                let _ = self.inner.put_opts(location, payload, options).await;
            }
            // It arrives after its sender has given up waiting.
            _ => {
                let pause = Duration::from_millis(self.draw(60) as u64);
                let (inner, location, late) =
                    (self.inner.clone(), location.clone(), self.late.clone());
                late.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    let _ = inner.put_opts(&location, payload, options).await;
                    late.fetch_sub(1, Ordering::SeqCst);
                });
            }
        }
        Err(lost())
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        match self.goes_wrong(location) {
            true => Err(lost()),
            false => self.inner.get_opts(location, options).await,
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list(prefix).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        let mut listing = self.inner.list_with_delimiter(prefix).await?;
        if self.forgets_names {
            // Numbers are inverted: the newest names are the smallest.
            let objects = &mut listing.objects;
            objects.sort_by(|one, other| one.location.cmp(&other.location));
            objects.drain(..objects.len().min(3));
            for at in (1..objects.len()).rev() {
                objects.swap(at, self.draw(at + 1));
            }
        }
        Ok(listing)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
