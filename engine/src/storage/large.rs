//! Objects of any size, a piece at a time.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use object_store::{GetOptions, GetRange, ObjectStore, PutMultipartOptions, WriteMultipart};

use super::{Store, join, unavailable};
use crate::error::{Error, Result};

/// Bytes that are read or sent at once. S3 takes at most 10,000 parts: 80 GiB.
const PIECE: usize = 8 << 20;

/// Pieces on their way to the store at the same time.
const IN_FLIGHT: usize = 3;

/// An object to be read in parts, which are all of one version of it.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    store: Store,
    key: String,
    length: u64,
    e_tag: Option<String>,
}

impl Store {
    /// An object as it is now, if it is there.
    pub(crate) async fn source(&self, key: &str) -> Result<Option<Source>> {
        let options = GetOptions::new().with_head(true);
        match self.layer.get_opts(&join(&self.root, key), options).await {
            Ok(found) => Ok(Some(Source {
                store: self.clone(),
                key: key.to_owned(),
                length: found.meta.size,
                e_tag: found.meta.e_tag,
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// An object that never changes and has at least `length` bytes.
    pub(crate) fn source_of(&self, key: &str, length: u64) -> Source {
        Source {
            store: self.clone(),
            key: key.to_owned(),
            length,
            e_tag: None,
        }
    }

    /// The URI of an object, as others would read it.
    pub(crate) fn uri_of(&self, key: &str) -> String {
        let path = join(&self.root, key);
        match self.url.split_once("://") {
            Some(("s3" | "s3a", rest)) => {
                let bucket = rest.split('/').next().unwrap_or(rest);
                format!("s3://{bucket}/{path}")
            }
            _ => format!("file:///{path}"),
        }
    }

    /// Begins to write an object. It is there once [`Upload::finish`] returns, whole.
    pub(crate) async fn upload(&self, key: &str) -> Result<Upload> {
        let path = join(&self.root, key);
        let upload = self
            .layer
            .put_multipart_opts(&path, PutMultipartOptions::default())
            .await
            .map_err(unavailable)?;
        Ok(Upload(WriteMultipart::new_with_chunk_size(upload, PIECE)))
    }
}

impl Source {
    pub fn length(&self) -> u64 {
        self.length
    }

    pub async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let wanted = range.end - range.start;
        let options = GetOptions::new()
            .with_range(Some(GetRange::Bounded(range)))
            .with_if_match(self.e_tag.clone());
        let path = join(&self.store.root, &self.key);
        let read = match self.store.layer.get_opts(&path, options).await {
            Ok(found) => found.bytes().await,
            Err(error) => Err(error),
        };
        match read {
            Ok(bytes) if bytes.len() as u64 == wanted => Ok(bytes),
            Ok(_) | Err(object_store::Error::Precondition { .. }) => Err(Error::Invalid {
                message: format!("{path} changed while it was read"),
                detail: None,
                hint: Some("Try again.".to_owned()),
            }),
            Err(object_store::Error::NotFound { .. }) => Err(Error::Missing {
                message: path.to_string(),
            }),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// The bytes of a range, in their order.
    pub fn pieces(self, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
        let starts = range.clone().step_by(PIECE);
        futures::stream::iter(starts)
            .then(move |start| {
                let source = self.clone();
                let end = range.end.min(start + PIECE as u64);
                async move { source.read(start..end).await }
            })
            .boxed()
    }
}

/// An object that is being written.
pub(crate) struct Upload(WriteMultipart);

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").finish_non_exhaustive()
    }
}

impl Upload {
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.0
            .wait_for_capacity(IN_FLIGHT)
            .await
            .map_err(unavailable)?;
        self.0.put(bytes);
        Ok(())
    }

    pub async fn finish(self) -> Result<()> {
        self.0.finish().await.map_err(unavailable)?;
        Ok(())
    }
}
