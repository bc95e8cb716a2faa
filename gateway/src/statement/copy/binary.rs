//! COPY's binary format: a header, rows of counted fields, a trailer.

use bytes::{Buf, Bytes, BytesMut};

use crate::error::{PgError, PgResult};
use crate::sqlstate;

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// The only flag that a reader has to know: rows have OIDs, which no server writes any more.
const CRITICAL: u32 = 0xffff_0000;
/// The longest row taken in.
const ROW_BYTES: usize = 256 << 20;

/// Cuts what arrives into rows.
#[derive(Debug, Default)]
pub(super) struct Reader {
    buffer: BytesMut,
    begun: bool,
    ended: bool,
}

impl Reader {
    pub(super) fn push(&mut self, data: &Bytes) {
        if !self.ended {
            self.buffer.extend_from_slice(data);
        }
    }

    /// The next whole row, or `None` until more arrives.
    pub(super) fn next(&mut self, end: bool) -> PgResult<Option<Vec<Option<Bytes>>>> {
        if !self.ended
            && (self.begun || self.header()?)
            && let Some(row) = self.row()?
        {
            return Ok(Some(row));
        }
        if end && !self.ended {
            return Err(bad("unexpected EOF in COPY data"));
        }
        if self.buffer.len() > ROW_BYTES {
            return Err(PgError::new(
                sqlstate::PROGRAM_LIMIT_EXCEEDED,
                format!("a COPY row is longer than {ROW_BYTES} bytes"),
            ));
        }
        Ok(None)
    }

    /// Has all of the header arrived? Then it is taken off.
    fn header(&mut self) -> PgResult<bool> {
        let known = self.buffer.len().min(SIGNATURE.len());
        if self.buffer[..known] != SIGNATURE[..known] {
            return Err(bad("COPY file signature not recognized"));
        }
        let mut rest = &self.buffer[known..];
        if rest.len() < 8 {
            return Ok(false);
        }
        let (flags, extension) = (rest.get_u32(), rest.get_i32());
        if flags & CRITICAL != 0 {
            return Err(bad("unrecognized critical flags in COPY file header"));
        }
        let extension = usize::try_from(extension)
            .map_err(|_| bad("invalid COPY file header (wrong length)"))?;
        if rest.len() < extension {
            return Ok(false);
        }
        self.buffer.advance(SIGNATURE.len() + 8 + extension);
        self.begun = true;
        Ok(true)
    }

    fn row(&mut self) -> PgResult<Option<Vec<Option<Bytes>>>> {
        let mut rest = &self.buffer[..];
        if rest.len() < 2 {
            return Ok(None);
        }
        let count = rest.get_i16();
        if count == -1 {
            self.ended = true;
            self.buffer.clear();
            return Ok(None);
        }
        let count = usize::try_from(count).map_err(|_| bad("row field count is negative"))?;
        let mut length = 2;
        for _ in 0..count {
            if rest.len() < 4 {
                return Ok(None);
            }
            let bytes = match rest.get_i32() {
                -1 => 0,
                bytes => usize::try_from(bytes).map_err(|_| bad("invalid field size"))?,
            };
            if rest.len() < bytes {
                return Ok(None);
            }
            rest.advance(bytes);
            length += 4 + bytes;
        }
        let mut row = self.buffer.split_to(length).freeze();
        row.advance(2);
        let fields = (0..count)
            .map(|_| match usize::try_from(row.get_i32()) {
                Ok(bytes) => Some(row.split_to(bytes)),
                // Only -1 was let through above: NULL.
                Err(_) => None,
            })
            .collect();
        Ok(Some(fields))
    }
}

/// What comes before the rows.
pub(super) fn header() -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.extend_from_slice(&[0; 8]);
    header
}

/// What comes after them.
pub(super) const TRAILER: &[u8] = &(-1i16).to_be_bytes();

fn bad(message: &str) -> PgError {
    PgError::new(sqlstate::BAD_COPY_FILE_FORMAT, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Vec<u8> {
        let mut data = header();
        for fields in [
            [Some(&b"ab"[..]), None],
            [Some(&b""[..]), Some(&b"xyz"[..])],
        ] {
            data.extend_from_slice(&2i16.to_be_bytes());
            for field in fields {
                match field {
                    None => data.extend_from_slice(&(-1i32).to_be_bytes()),
                    Some(bytes) => {
                        data.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
                        data.extend_from_slice(bytes);
                    }
                }
            }
        }
        data.extend_from_slice(TRAILER);
        data
    }

    fn read(pieces: &[&[u8]]) -> PgResult<Vec<Vec<Option<Bytes>>>> {
        let mut reader = Reader::default();
        let mut rows = Vec::new();
        for piece in pieces {
            reader.push(&Bytes::copy_from_slice(piece));
            while let Some(row) = reader.next(false)? {
                rows.push(row);
            }
        }
        assert!(reader.next(true)?.is_none());
        Ok(rows)
    }

    #[test]
    fn rows_are_the_same_however_they_are_cut() {
        let data = data();
        let expected = vec![
            vec![Some(Bytes::from_static(b"ab")), None],
            vec![Some(Bytes::new()), Some(Bytes::from_static(b"xyz"))],
        ];
        for cut in 0..data.len() {
            assert_eq!(
                read(&[&data[..cut], &data[cut..]]).expect("rows"),
                expected,
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn damaged_data_is_an_error() {
        let data = data();
        assert_eq!(
            read(&[&data[..data.len() - 2]])
                .expect_err("no trailer")
                .code,
            "22P04"
        );
        assert_eq!(read(&[b"PGCOPX"]).expect_err("no signature").code, "22P04");
        let mut negative = header();
        negative.extend_from_slice(&1i16.to_be_bytes());
        negative.extend_from_slice(&(-2i32).to_be_bytes());
        assert_eq!(
            read(&[&negative]).expect_err("a negative size").code,
            "22P04"
        );
    }
}
