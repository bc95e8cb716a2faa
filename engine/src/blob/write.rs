//! Blobs on their way into the graph.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, LargeBinaryBuilder};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

use super::Blobs;
use super::cell::{Cell, INLINE, ObjectPart, digest, values};
use crate::clock::ulid;
use crate::error::{Error, Result};
use crate::storage::{Source, layout};

/// Bytes up to which a blob shares its object with others.
const PACKED: u64 = 1 << 20;

/// Bytes from which on no further blob joins an object.
const PACK: usize = 8 << 20;

/// What becomes of a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uris {
    /// Its bytes are copied into the graph.
    Copy,
    /// It stays where it is.
    Keep,
}

impl Blobs {
    /// The value that stands for the bytes of `pieces`, however many they are. They are durable
    /// then, and vacuum's to remove unless a row that is committed refers to them.
    pub async fn write<E: From<Error>>(
        &self,
        pieces: impl Stream<Item = std::result::Result<Bytes, E>>,
    ) -> std::result::Result<Vec<u8>, E> {
        let mut pieces = std::pin::pin!(pieces);
        let mut first = Vec::new();
        while first.len() <= PACK {
            match pieces.try_next().await? {
                Some(piece) => first.extend_from_slice(&piece),
                None if first.len() <= INLINE => return Ok(Cell::Bytes(&first).write()),
                None => return Ok(self.put_whole(&first).await?),
            }
        }
        let first = futures::stream::iter([Ok(Bytes::from(first))]);
        self.put(first.chain(pieces)).await
    }

    /// Values of a column as those that can be stored: long bytes and imports are written to
    /// objects, which are durable then. `Err` says which row was refused.
    pub(crate) async fn admit(
        &self,
        column: &ArrayRef,
        uris: Uris,
    ) -> std::result::Result<ArrayRef, (usize, Error)> {
        let column = values(column).map_err(|error| (0, error))?;
        let given = column.as_binary::<i64>();
        let read = |row: usize| match given.is_null(row) {
            true => Ok(None),
            false => Cell::read(given.value(row))
                .map(Some)
                .map_err(|error| (row, error)),
        };
        let mut as_it_is = true;
        for row in 0..given.len() {
            as_it_is &= match read(row)? {
                None | Some(Cell::Object(_) | Cell::External { .. }) => true,
                Some(Cell::Bytes(bytes)) => bytes.len() <= INLINE,
                Some(Cell::Import(_)) => false,
            };
        }
        if as_it_is {
            return Ok(column);
        }
        let mut pack = Pack::new(self);
        let mut admitted = LargeBinaryBuilder::new();
        for row in 0..given.len() {
            let cell = match read(row)? {
                None => None,
                Some(cell) => Some(
                    self.admit_cell(cell, uris, &mut pack)
                        .await
                        .map_err(|error| (row, error))?,
                ),
            };
            admitted.append_option(cell);
        }
        pack.write()
            .await
            .map_err(|error| (given.len().saturating_sub(1), error))?;
        Ok(Arc::new(admitted.finish()))
    }

    async fn admit_cell(&self, cell: Cell<'_>, uris: Uris, pack: &mut Pack<'_>) -> Result<Vec<u8>> {
        match cell {
            Cell::Bytes(bytes) if bytes.len() <= INLINE => Ok(cell.write()),
            Cell::Bytes(bytes) if bytes.len() as u64 <= PACKED => pack.add(bytes).await,
            Cell::Bytes(bytes) if bytes.len() <= PACK => self.put_whole(bytes).await,
            Cell::Bytes(bytes) => {
                let pieces = bytes
                    .chunks(PACK)
                    .map(|piece| Ok::<_, Error>(Bytes::copy_from_slice(piece)));
                self.put(futures::stream::iter(pieces)).await
            }
            Cell::Object(_) | Cell::External { .. } => Ok(cell.write()),
            Cell::Import(uri) => {
                let (store, key) = self.external().locate(uri).await?;
                let source = store.source(&key).await?.ok_or_else(|| Error::Invalid {
                    message: format!("there is nothing at {uri}"),
                    detail: None,
                    hint: None,
                })?;
                match uris {
                    Uris::Keep => Ok(Cell::External {
                        length: source.length(),
                        uri,
                    }
                    .write()),
                    Uris::Copy => self.copy(source, pack).await,
                }
            }
        }
    }

    async fn copy(&self, source: Source, pack: &mut Pack<'_>) -> Result<Vec<u8>> {
        let all = 0..source.length();
        if source.length() > PACK as u64 {
            return self.put(source.pieces(all)).await;
        }
        let bytes = source.read(all).await?;
        match bytes.len() {
            0..=INLINE => Ok(Cell::Bytes(&bytes).write()),
            length if length as u64 <= PACKED => pack.add(&bytes).await,
            _ => self.put_whole(&bytes).await,
        }
    }

    async fn put_whole(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut alone = Pack::new(self);
        let cell = alone.add(bytes).await?;
        alone.write().await?;
        Ok(cell)
    }

    /// Writes what comes to an object of its own, a piece at a time.
    async fn put<E: From<Error>>(
        &self,
        pieces: impl Stream<Item = std::result::Result<Bytes, E>>,
    ) -> std::result::Result<Vec<u8>, E> {
        let mut pieces = std::pin::pin!(pieces);
        let object = ulid(&*self.environment);
        let mut upload = self.store.upload(&layout::blob(object.0)).await?;
        let mut hasher = Sha256::new();
        let mut length = 0;
        while let Some(piece) = pieces.try_next().await? {
            hasher.update(&piece);
            length += piece.len() as u64;
            upload.write(piece).await?;
        }
        upload.finish().await?;
        Ok(Cell::Object(ObjectPart {
            object: object.0,
            offset: 0,
            length,
            digest: hasher.finalize().into(),
        })
        .write())
    }
}

/// Blobs that will lie in one object.
struct Pack<'a> {
    blobs: &'a Blobs,
    object: u128,
    bytes: Vec<u8>,
}

impl<'a> Pack<'a> {
    fn new(blobs: &'a Blobs) -> Self {
        Pack {
            object: ulid(&*blobs.environment).0,
            blobs,
            bytes: Vec::new(),
        }
    }

    async fn add(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        if self.bytes.len() >= PACK {
            self.write().await?;
        }
        let part = ObjectPart {
            object: self.object,
            offset: self.bytes.len() as u64,
            length: bytes.len() as u64,
            digest: digest(bytes),
        };
        self.bytes.extend_from_slice(bytes);
        Ok(Cell::Object(part).write())
    }

    /// Writes what has been added, and begins with the next object.
    async fn write(&mut self) -> Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.bytes);
        let store = &self.blobs.store;
        store
            .write(&layout::blob(self.object), bytes.into())
            .await?;
        self.object = ulid(&*self.blobs.environment).0;
        Ok(())
    }
}
