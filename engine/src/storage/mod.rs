//! The wall around the object store: a folder on disk, memory, or a bucket, all alike.
//!
//! What this room promises to the others:
//! - [`Store::create`] is put-if-absent: among any number of callers one wins, and the object
//!   is complete the instant it can be seen. A losing or failing answer is *not* proof that
//!   nothing was written (a retried request may meet its own first try): read before you
//!   believe it, as `commit/log.rs` does.
//! - With [`Durability::Fsync`] a write that returned survives power loss: the file, its
//!   folder and every folder above it up to the store's root were synced.
//! - Keys are given relative to the root; [`layout`] knows them all.

mod connect;
mod large;
mod layer;
pub(crate) mod layout;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

pub use connect::{Durability, StoreOptions, make_folder};
pub(crate) use large::Source;
pub use layer::{Fault, Faults, Operation, RequestCounts};

use crate::error::{Error, Result};
use layer::StoreLayer;

/// A place that holds objects. Cheap to clone; clones share their counters.
#[derive(Clone, Debug)]
pub struct Store {
    layer: Arc<StoreLayer>,
    root: Path,
    url: String,
    patience: Duration,
}

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub key: String,
    pub size: u64,
    /// Microseconds since 1970, by the store's clock.
    pub modified: i64,
}

/// How a put-if-absent ended, as far as the store says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    Yes,
    /// Something is there; it may be what a lost earlier try of ours wrote.
    Exists,
}

impl Store {
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn durability(&self) -> Durability {
        self.layer.durability()
    }

    /// May a request that failed still be carried out later?
    pub(crate) fn is_remote(&self) -> bool {
        self.url.starts_with("s3")
    }

    /// A store for the objects below `name`, with the same counters.
    pub fn child(&self, name: &str) -> Store {
        Store {
            layer: self.layer.clone(),
            root: join(&self.root, name),
            url: format!("{}/{}", self.url.trim_end_matches('/'), name),
            patience: self.patience,
        }
    }

    /// The same store with a fault hook in front of every request; for tests of crashes.
    pub fn with_faults(&self, faults: Arc<dyn Faults>) -> Store {
        Store {
            layer: Arc::new(self.layer.with_faults(faults)),
            ..self.clone()
        }
    }

    /// The same store, given up on after `patience` without an answer.
    pub fn with_patience(&self, patience: Duration) -> Store {
        Store {
            patience,
            ..self.clone()
        }
    }

    /// How long a store that does not answer is asked again before an outcome is called
    /// unknown.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Requests sent so far through this store and its clones.
    pub fn counts(&self) -> RequestCounts {
        self.layer.counts()
    }

    pub async fn read(&self, key: &str) -> Result<Option<Bytes>> {
        let path = join(&self.root, key);
        match self.layer.get_opts(&path, GetOptions::default()).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(unavailable)?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Parts of an object that is known to be there.
    pub async fn read_ranges(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let path = join(&self.root, key);
        let parts = self.layer.get_ranges(&path, ranges).await;
        parts.map_err(unavailable)
    }

    pub async fn exists(&self, key: &str) -> Result<bool> {
        match self.layer.head(&join(&self.root, key)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(unavailable(error)),
        }
    }

    pub async fn write(&self, key: &str, body: Bytes) -> Result<()> {
        let path = join(&self.root, key);
        let mut tries = 1;
        loop {
            let body = body.clone().into();
            match self
                .layer
                .put_opts(&path, body, PutOptions::default())
                .await
            {
                Ok(_) => return Ok(()),
                // S3's 409: somebody else is writing the object, and nothing was written.
                Err(object_store::Error::AlreadyExists { .. }) if tries < TRIES => tries += 1,
                Err(error) => return Err(unavailable(error)),
            }
        }
    }

    /// Put-if-absent. An error says nothing about whether the object was written.
    pub async fn create(&self, key: &str, body: Bytes) -> Result<Created> {
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        match self
            .layer
            .put_opts(&join(&self.root, key), body.into(), options)
            .await
        {
            Ok(_) => Ok(Created::Yes),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Ok(Created::Exists),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Deletes an object; one that is not there is no error.
    pub async fn delete(&self, key: &str) -> Result<()> {
        match self.layer.delete(&join(&self.root, key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// The names of the objects directly in `folder`, in no order. A hint only: a name that
    /// is missing here may exist all the same.
    pub async fn list_objects(&self, folder: &str) -> Result<Vec<String>> {
        let listing = self
            .layer
            .list_with_delimiter(Some(&join(&self.root, folder)))
            .await
            .map_err(unavailable)?;
        Ok(listing
            .objects
            .iter()
            .filter_map(|object| object.location.filename().map(str::to_owned))
            .collect())
    }

    /// The names of the folders directly in `folder`, in no order.
    pub async fn list_folders(&self, folder: &str) -> Result<Vec<String>> {
        let listing = self
            .layer
            .list_with_delimiter(Some(&join(&self.root, folder)))
            .await
            .map_err(unavailable)?;
        Ok(listing
            .common_prefixes
            .iter()
            .filter_map(|path| path.filename().map(str::to_owned))
            .collect())
    }

    /// Every object below `folder`, with its size.
    pub async fn list_all(&self, folder: &str) -> Result<Vec<(String, u64)>> {
        let prefix = join(&self.root, folder);
        let root_parts = self.root.parts().count();
        self.layer
            .list(Some(&prefix))
            .map_ok(|object| {
                let key: Vec<String> = object
                    .location
                    .parts()
                    .skip(root_parts)
                    .map(|part| part.as_ref().to_owned())
                    .collect();
                (key.join("/"), object.size)
            })
            .try_collect()
            .await
            .map_err(unavailable)
    }

    /// Every object below `folder`, with its size and when it was last written.
    pub fn list_below(&self, folder: &str) -> BoxStream<'static, Result<Stored>> {
        let root_parts = self.root.parts().count();
        self.layer
            .list(Some(&join(&self.root, folder)))
            .map_ok(move |object| {
                let parts = object.location.parts().skip(root_parts);
                let key: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
                Stored {
                    key: key.join("/"),
                    size: object.size,
                    modified: object.last_modified.timestamp_micros(),
                }
            })
            .map_err(unavailable)
            .boxed()
    }

    /// When an object was last written, by the store's clock, in microseconds since 1970;
    /// `None` if it is not there.
    pub async fn modified(&self, key: &str) -> Result<Option<i64>> {
        match self.layer.head(&join(&self.root, key)).await {
            Ok(object) => Ok(Some(object.last_modified.timestamp_micros())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Removes what writes that never ended have left beside the objects of a local store,
    /// if it was last written before `limit`: how many files, and their bytes.
    pub async fn remove_staging(&self, limit: i64) -> Result<(u64, u64)> {
        self.layer.remove_staging(&self.root, limit).await
    }

    /// Makes what other processes wrote into `folder` durable before this process builds on
    /// it. A local file may be visible before its folder is on disk.
    pub async fn sync_folder(&self, folder: &str) -> Result<()> {
        if self.is_distrusted() {
            return Err(Error::Unavailable {
                message: format!("{folder} cannot be synced any more; {RESTART}"),
            });
        }
        let synced = self.layer.sync_folder(&join(&self.root, folder)).await;
        if synced.is_err() {
            self.distrust();
        }
        synced
    }

    /// A sync failed, and is never tried again: the kernel may have dropped what it could not
    /// write, and say that all is well. From now on this process writes nothing here.
    pub(crate) fn distrust(&self) {
        self.layer.distrust();
    }

    pub(crate) fn is_distrusted(&self) -> bool {
        self.layer.is_distrusted()
    }

    /// Proves that put-if-absent works here: creates one object twice, and the second try
    /// must fail. Answers when it was written, by the store's clock.
    pub async fn prove_create(&self, nonce: &str) -> Result<Option<i64>> {
        let key = layout::probe(nonce);
        let body = Bytes::from(nonce.to_owned());
        // An answer may be about a try that the library repeated: what is there counts.
        let mut tries = 1;
        while self.create(&key, body.clone()).await? == Created::Exists
            && self.read(&key).await?.is_none()
            && tries < TRIES
        {
            tries += 1;
        }
        let second = self.create(&key, Bytes::from_static(b"second")).await?;
        let held = self.read(&key).await?;
        let written = self.modified(&key).await?;
        self.delete(&key).await?;
        if second == Created::Exists && held == Some(body) {
            return Ok(written);
        }
        Err(Error::Unsupported {
            message: format!(
                "the store at {} does not honour put-if-absent: an object was created twice",
                self.url
            ),
            hint: Some(
                "Use a local file system or an S3 store that implements conditional writes (If-None-Match)."
                    .to_owned(),
            ),
        })
    }

    pub(crate) fn layer(&self) -> Arc<StoreLayer> {
        self.layer.clone()
    }

    pub(crate) fn path(&self, key: &str) -> Path {
        join(&self.root, key)
    }
}

fn join(root: &Path, key: &str) -> Path {
    key.split('/')
        .filter(|part| !part.is_empty())
        .fold(root.clone(), |path, part| path.join(part.to_owned()))
}

pub(crate) fn unavailable(error: object_store::Error) -> Error {
    Error::Unavailable {
        message: describe(&error),
    }
}

/// The whole chain of causes in one line: object_store hides the system's reason
/// ("No space left on device") behind its own.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// What to do once a sync has failed.
pub(crate) const RESTART: &str = "restart the server when the disk is sound";

/// Tries at a write of which the store says that it was not made.
const TRIES: usize = 5;

/// How long an unreachable store is asked again before an outcome is called unknown.
pub(crate) const UNREACHABLE_FOR: Duration = Duration::from_secs(30);
