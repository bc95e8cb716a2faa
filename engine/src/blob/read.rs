//! Blobs on their way out.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryBuilder, LargeBinaryBuilder};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use sha2::{Digest, Sha256};

use super::Blobs;
use super::cell::{Cell, ObjectPart, known_digest, values};
use crate::error::{Error, Result};
use crate::storage::{Source, layout};

/// Bytes of the longest blob that is given as one value.
pub const MAX_VALUE: u64 = 256 << 20;

/// What is known of a blob without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobStat {
    pub length: u64,
    pub sha256: Option<String>,
    /// Where it is, if outside of the graph.
    pub uri: Option<String>,
}

impl Blobs {
    /// The bytes of a value, whole.
    pub async fn read(&self, value: &[u8]) -> Result<Bytes> {
        let cell = Cell::read(value)?;
        if let Cell::Bytes(bytes) = cell {
            return Ok(Bytes::copy_from_slice(bytes));
        }
        let (source, range) = self.source(cell).await?;
        let length = range.end - range.start;
        check_value(length)?;
        let bytes = source.read(range).await?;
        if let Cell::Object(part) = cell {
            check_digest(&part, Sha256::digest(&bytes).into())?;
        }
        Ok(bytes)
    }

    /// Some bytes of a value: those of `range` that there are.
    pub async fn read_range(&self, value: &[u8], range: Range<u64>) -> Result<Bytes> {
        let within = |length: u64| {
            range.start.min(length)..range.end.min(length).max(range.start.min(length))
        };
        let cell = Cell::read(value)?;
        if let Cell::Bytes(bytes) = cell {
            let range = within(bytes.len() as u64);
            return Ok(Bytes::copy_from_slice(
                &bytes[range.start as usize..range.end as usize],
            ));
        }
        let (source, all) = self.source(cell).await?;
        let wanted = within(all.end - all.start);
        if wanted.is_empty() {
            return Ok(Bytes::new());
        }
        check_value(wanted.end - wanted.start)?;
        source
            .read(all.start + wanted.start..all.start + wanted.end)
            .await
    }

    /// The bytes of a value, a piece at a time. A digest that does not fit is the last item.
    pub fn stream<'a>(&'a self, value: &'a [u8]) -> BoxStream<'a, Result<Bytes>> {
        let begun = async move {
            let cell = Cell::read(value)?;
            if let Cell::Bytes(bytes) = cell {
                let bytes = Bytes::copy_from_slice(bytes);
                return Ok::<_, Error>(futures::stream::iter([Ok(bytes)]).boxed());
            }
            let (source, range) = self.source(cell).await?;
            let pieces = source.pieces(range);
            Ok(match cell {
                Cell::Object(part) => checked(pieces, part),
                _ => pieces,
            })
        };
        futures::TryStreamExt::try_flatten(futures::stream::once(begun)).boxed()
    }

    /// What is known of a value. A URI that is not stored yet is asked for its length.
    pub async fn stat(&self, value: &[u8]) -> Result<BlobStat> {
        let cell = Cell::read(value)?;
        let length = match cell.length() {
            Some(length) => length,
            None => {
                let (_, range) = self.source(cell).await?;
                range.end - range.start
            }
        };
        Ok(BlobStat {
            length,
            sha256: known_digest(value)?,
            uri: super::uri(value)?.map(str::to_owned),
        })
    }

    async fn source(&self, cell: Cell<'_>) -> Result<(Source, Range<u64>)> {
        match cell {
            Cell::Bytes(_) => Err(Error::internal("bytes of a row were looked for elsewhere")),
            Cell::Object(part) => {
                let source = self
                    .store
                    .source_of(&layout::blob(part.object), part.offset + part.length);
                Ok((source, part.offset..part.offset + part.length))
            }
            Cell::External { uri, .. } | Cell::Import(uri) => {
                let (store, key) = self.external().locate(uri).await?;
                let gone = || Error::Invalid {
                    message: format!("there is nothing at {uri}"),
                    detail: None,
                    hint: Some("It was not copied into the graph, and is gone.".to_owned()),
                };
                let source = store.source(&key).await?.ok_or_else(gone)?;
                let held = source.length();
                if cell.length().is_some_and(|length| length != held) {
                    return Err(Error::Invalid {
                        message: format!("what is at {uri} has changed since it was loaded"),
                        detail: Some(format!("It has {held} bytes now.")),
                        hint: Some("Load it again.".to_owned()),
                    });
                }
                Ok((source, 0..held))
            }
        }
    }

    /// Values as the bytes that they stand for. Together they must fit into one value's limit.
    pub async fn bytes(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let column = values(column)?;
        let given = column.as_binary::<i64>();
        let mut bytes = BinaryBuilder::new();
        let mut total = 0;
        for value in given {
            match value {
                None => bytes.append_null(),
                Some(value) => {
                    let read = self.read(value).await?;
                    total += read.len() as u64;
                    check_value(total)?;
                    bytes.append_value(&read);
                }
            }
        }
        Ok(Arc::new(bytes.finish()))
    }

    /// Cells of a table's files as the bytes that they stand for.
    pub async fn stored_bytes(&self, cells: &ArrayRef) -> Result<ArrayRef> {
        self.bytes(&super::stored_values(cells)?).await
    }

    /// Values of which none lies in an object of the graph any more: what leaves it.
    pub(crate) async fn detached(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let given = column.as_binary::<i64>();
        let mut values = LargeBinaryBuilder::new();
        for value in given {
            let cell = value.map(Cell::read).transpose()?;
            match (value, cell) {
                (Some(value), Some(Cell::Object(_))) => {
                    let bytes = self.read(value).await?;
                    values.append_value(Cell::Bytes(&bytes).write());
                }
                (value, _) => values.append_option(value),
            }
        }
        Ok(Arc::new(values.finish()))
    }
}

fn check_value(length: u64) -> Result<()> {
    if length <= MAX_VALUE {
        return Ok(());
    }
    Err(Error::LimitExceeded {
        what: "the length of blobs read as one value (read parts with blob_read(), or the whole with omnigraph blob get)".to_owned(),
        limit: MAX_VALUE,
        actual: length,
    })
}

fn check_digest(part: &ObjectPart, read: [u8; 32]) -> Result<()> {
    if part.digest == read {
        return Ok(());
    }
    Err(Error::Corrupt {
        object: layout::blob(part.object),
        message: "its bytes are not those that were written".to_owned(),
    })
}

/// The pieces, and at their end an error if they are not what was written.
fn checked(
    pieces: BoxStream<'static, Result<Bytes>>,
    part: ObjectPart,
) -> BoxStream<'static, Result<Bytes>> {
    let state = Some((pieces, Sha256::new()));
    futures::stream::try_unfold(state, move |state| async move {
        let Some((mut pieces, mut hasher)) = state else {
            return Ok(None);
        };
        match pieces.next().await.transpose()? {
            Some(piece) => {
                hasher.update(&piece);
                Ok(Some((piece, Some((pieces, hasher)))))
            }
            None => {
                check_digest(&part, hasher.finalize().into())?;
                Ok(None)
            }
        }
    })
    .boxed()
}
