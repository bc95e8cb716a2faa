//! What the row holds of a blob: short bytes themselves, or where the bytes are.
//!
//! Bytes stand as they are unless they begin like a reference does; then they are marked as
//! bytes. So every value that was ever stored without references reads as before.
//!
//! In a table's files the cells are Arrow's Binary. On their way between SQL and the engine
//! they are LargeBinary, which no type of SQL's is: a reference is never taken for bytes that
//! somebody wrote, nor the other way round.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, LargeBinaryArray};
use arrow::datatypes::DataType;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// How a cell begins that is not just bytes.
const MARK: &[u8; 16] = b"\0omnigraph.blob\0";

/// Bytes up to which a blob is held in its row.
pub(super) const INLINE: usize = 2048;

const BYTES: u8 = 0;
const OBJECT: u8 = 1;
const EXTERNAL: u8 = 2;
const IMPORT: u8 = 3;

/// The Arrow type of blobs between SQL and the engine.
pub const VALUE_TYPE: DataType = DataType::LargeBinary;

/// Bytes in an object of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObjectPart {
    /// The object's name, a ULID.
    pub object: u128,
    pub offset: u64,
    pub length: u64,
    pub digest: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    Bytes(&'a [u8]),
    Object(ObjectPart),
    /// Bytes outside of the graph, as many as there were when the row was written.
    External {
        length: u64,
        uri: &'a str,
    },
    /// To be copied into the graph when the row is written; never stored.
    Import(&'a str),
}

impl<'a> Cell<'a> {
    pub fn read(cell: &'a [u8]) -> Result<Cell<'a>> {
        let Some((kind, rest)) = cell
            .strip_prefix(MARK)
            .and_then(|marked| marked.split_first())
        else {
            return Ok(Cell::Bytes(cell));
        };
        let damaged = || Error::Corrupt {
            object: "the reference to a blob".to_owned(),
            message: format!("it has kind {kind} and {} bytes", rest.len()),
        };
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| damaged());
        match *kind {
            BYTES => Ok(Cell::Bytes(rest)),
            OBJECT => ObjectPart::read(rest).map(Cell::Object).ok_or_else(damaged),
            EXTERNAL => {
                let (length, uri) = rest.split_first_chunk().ok_or_else(damaged)?;
                Ok(Cell::External {
                    length: u64::from_be_bytes(*length),
                    uri: text(uri)?,
                })
            }
            IMPORT => text(rest).map(Cell::Import),
            _ => Err(damaged()),
        }
    }

    pub fn write(&self) -> Vec<u8> {
        match self {
            Cell::Bytes(bytes) => quoted(bytes).into_owned(),
            Cell::Object(part) => {
                let mut cell = marked(OBJECT);
                cell.extend_from_slice(&part.object.to_be_bytes());
                cell.extend_from_slice(&part.offset.to_be_bytes());
                cell.extend_from_slice(&part.length.to_be_bytes());
                cell.extend_from_slice(&part.digest);
                cell
            }
            Cell::External { length, uri } => {
                let mut cell = marked(EXTERNAL);
                cell.extend_from_slice(&length.to_be_bytes());
                cell.extend_from_slice(uri.as_bytes());
                cell
            }
            Cell::Import(uri) => {
                let mut cell = marked(IMPORT);
                cell.extend_from_slice(uri.as_bytes());
                cell
            }
        }
    }

    /// How many bytes it stands for; `None` before a URI has been looked at.
    pub fn length(&self) -> Option<u64> {
        match self {
            Cell::Bytes(bytes) => Some(bytes.len() as u64),
            Cell::Object(ObjectPart { length, .. }) | Cell::External { length, .. } => {
                Some(*length)
            }
            Cell::Import(_) => None,
        }
    }
}

impl ObjectPart {
    fn read(bytes: &[u8]) -> Option<ObjectPart> {
        let (object, rest) = bytes.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        Some(ObjectPart {
            object: u128::from_be_bytes(*object),
            offset: u64::from_be_bytes(*offset),
            length: u64::from_be_bytes(*length),
            digest: rest.try_into().ok()?,
        })
    }
}

fn marked(kind: u8) -> Vec<u8> {
    let mut cell = MARK.to_vec();
    cell.push(kind);
    cell
}

/// The cell that means these bytes.
pub(crate) fn quoted(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.starts_with(MARK) {
        return Cow::Borrowed(bytes);
    }
    let mut cell = marked(BYTES);
    cell.extend_from_slice(bytes);
    Cow::Owned(cell)
}

/// The value that means what is at a URI; it is copied into the graph when it is stored.
pub fn import(uri: &str) -> Vec<u8> {
    Cell::Import(uri).write()
}

/// How many bytes a value stands for; `None` for what a URI names that is not stored yet.
pub fn length(value: &[u8]) -> Result<Option<u64>> {
    Ok(Cell::read(value)?.length())
}

/// Where the bytes of a value are, if they are outside of the graph.
pub fn uri(value: &[u8]) -> Result<Option<&str>> {
    Ok(match Cell::read(value)? {
        Cell::External { uri, .. } | Cell::Import(uri) => Some(uri),
        Cell::Bytes(_) | Cell::Object(_) => None,
    })
}

/// The SHA-256 that is known of a value without reading it, as hexadecimal digits.
pub fn known_digest(value: &[u8]) -> Result<Option<String>> {
    Ok(match Cell::read(value)? {
        Cell::Object(part) => Some(hex(&part.digest)),
        _ => None,
    })
}

/// What a value is, for those who cannot be given its bytes: `None` if it is the bytes.
pub fn described(value: &[u8]) -> Result<Option<String>> {
    Ok(match Cell::read(value)? {
        Cell::Bytes(_) => None,
        Cell::Object(part) => Some(format!("sha256:{}:{}", hex(&part.digest), part.length)),
        Cell::External { uri, .. } | Cell::Import(uri) => Some(uri.to_owned()),
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Bytes as they come from outside, or values already, as values.
pub fn values(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Binary => {
            let bytes = array.as_binary::<i32>();
            if !bytes.iter().flatten().any(|bytes| bytes.starts_with(MARK)) {
                return stored_values(array);
            }
            let values: LargeBinaryArray = bytes.iter().map(|bytes| bytes.map(quoted)).collect();
            Ok(Arc::new(values))
        }
        _ => Ok(array.clone()),
    }
}

/// Cells of a table's files as values.
pub fn stored_values(cells: &ArrayRef) -> Result<ArrayRef> {
    Ok(arrow::compute::cast(cells, &VALUE_TYPE)?)
}

/// Values, none of which is to be imported, as cells of a table's files.
pub(crate) fn cells(values: &ArrayRef) -> Result<ArrayRef> {
    Ok(arrow::compute::cast(values, &DataType::Binary)?)
}

/// Cells such that equal ones mean equal bytes, wherever those are.
pub(crate) fn comparable(cells: &ArrayRef) -> Result<ArrayRef> {
    let Some(array) = cells.as_binary_opt::<i32>() else {
        return Ok(cells.clone());
    };
    let is_plain = |cell: &[u8]| cell.len() <= INLINE && !cell.starts_with(MARK);
    if array.iter().flatten().all(is_plain) {
        return Ok(cells.clone());
    }
    let compared = array
        .iter()
        .map(|cell| {
            cell.map(|cell| {
                if is_plain(cell) {
                    return Ok(cell.to_vec());
                }
                Ok(match Cell::read(cell)? {
                    Cell::Bytes(bytes) if bytes.len() <= INLINE => cell.to_vec(),
                    Cell::Bytes(bytes) => content(bytes.len() as u64, digest(bytes)),
                    Cell::Object(part) => content(part.length, part.digest),
                    Cell::External { .. } | Cell::Import(_) => cell.to_vec(),
                })
            })
            .transpose()
        })
        .collect::<Result<Vec<Option<Vec<u8>>>>>()?;
    Ok(Arc::new(BinaryArray::from_iter(compared)))
}

fn content(length: u64, digest: [u8; 32]) -> Vec<u8> {
    let part = ObjectPart {
        object: 0,
        offset: 0,
        length,
        digest,
    };
    Cell::Object(part).write()
}

pub(super) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(object: u128, digest: [u8; 32]) -> ObjectPart {
        ObjectPart {
            object,
            offset: 7,
            length: 1 << 40,
            digest,
        }
    }

    #[test]
    fn cells_go_there_and_back() {
        for cell in [
            Cell::Bytes(b""),
            Cell::Bytes(b"short"),
            Cell::Bytes(MARK),
            Cell::Object(part(u128::MAX, [3; 32])),
            Cell::External {
                length: 12,
                uri: "s3://assets/a/b",
            },
            Cell::Import("file:///a"),
        ] {
            assert_eq!(Cell::read(&cell.write()).unwrap(), cell);
        }
    }

    #[test]
    fn damaged_references_are_told() {
        let cell = Cell::Object(part(1, [0; 32])).write();
        for length in MARK.len() + 1..cell.len() {
            let error = Cell::read(&cell[..length]).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        }
        let mut unknown = MARK.to_vec();
        unknown.push(9);
        assert!(Cell::read(&unknown).is_err());
    }

    #[test]
    fn where_bytes_are_makes_no_difference_to_what_they_are() {
        let long = vec![5u8; INLINE + 1];
        let held = ObjectPart {
            length: long.len() as u64,
            ..part(1, digest(&long))
        };
        let moved = ObjectPart { object: 2, ..held };
        let of = |cell: &[u8]| {
            let array: ArrayRef = Arc::new(BinaryArray::from_vec(vec![cell]));
            comparable(&array).unwrap()
        };
        let first = of(&Cell::Object(held).write());
        assert_eq!(&first, &of(&Cell::Object(moved).write()));
        assert_eq!(&first, &of(&long));
        let other = ObjectPart {
            digest: [1; 32],
            ..held
        };
        assert_ne!(&first, &of(&Cell::Object(other).write()));
        assert_ne!(&of(b""), &of(b"x"));
    }

    proptest! {
        #[test]
        fn bytes_from_outside_are_never_a_reference(bytes in proptest::collection::vec(any::<u8>(), 0..40), marked in any::<bool>()) {
            let bytes = if marked { [MARK.as_slice(), &bytes].concat() } else { bytes };
            let array: ArrayRef = Arc::new(BinaryArray::from_vec(vec![&bytes]));
            let values = values(&array).unwrap();
            let value = values.as_binary::<i64>().value(0);
            prop_assert_eq!(Cell::read(value).unwrap(), Cell::Bytes(&bytes));
        }
    }
}
