//! COPY's text and csv formats, cut into rows of fields. What arrives is cut anywhere; what
//! leaves are whole rows.

use bytes::{Buf, Bytes, BytesMut};

use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// How the lines are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    pub csv: bool,
    pub delimiter: u8,
    /// What stands for NULL, unquoted.
    pub null: String,
    /// Csv only.
    pub quote: u8,
    pub escape: u8,
    pub header: Header,
    /// FORCE_QUOTE: the columns that are quoted whatever they hold.
    pub quoted: Quoted,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Quoted {
    #[default]
    Never,
    All,
    Columns(Vec<String>),
}

impl Quoted {
    pub fn is(&self, column: &str) -> bool {
        match self {
            Quoted::Never => false,
            Quoted::All => true,
            Quoted::Columns(names) => names.iter().any(|name| name == column),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    No,
    Yes,
    /// The names have to be the columns'.
    Match,
}

impl Dialect {
    pub fn text() -> Self {
        Dialect {
            csv: false,
            delimiter: b'\t',
            null: "\\N".to_owned(),
            quote: b'"',
            escape: b'"',
            header: Header::No,
            quoted: Quoted::Never,
        }
    }

    pub fn csv() -> Self {
        Dialect {
            csv: true,
            delimiter: b',',
            null: String::new(),
            ..Dialect::text()
        }
    }
}

/// One field: its text, or NULL.
pub type Field = Option<String>;

#[derive(Debug)]
pub struct Reader {
    dialect: Dialect,
    buffer: BytesMut,
    /// How far the buffer has been searched for the end of the row, and whether that is
    /// inside quotes.
    searched: usize,
    quoted: bool,
    /// Of the line that comes next, from 1.
    line: u64,
    ended: bool,
}

/// The longest row taken in.
const ROW_BYTES: usize = 256 << 20;

impl Reader {
    pub fn new(dialect: Dialect) -> Self {
        Reader {
            dialect,
            buffer: BytesMut::new(),
            searched: 0,
            quoted: false,
            line: 1,
            ended: false,
        }
    }

    pub fn push(&mut self, data: &Bytes) {
        if !self.ended {
            self.buffer.extend_from_slice(data);
        }
    }

    /// The line that the next row begins at.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The next whole row, or `None` until more arrives. At the `end`, what is left is a row.
    pub fn next(&mut self, end: bool) -> PgResult<Option<Vec<Field>>> {
        if self.ended {
            return Ok(None);
        }
        let Some((length, terminator)) = self.find_end(end)? else {
            return Ok(None);
        };
        let row = self.buffer.split_to(length);
        self.buffer.advance(terminator);
        self.searched = 0;
        self.quoted = false;
        if &row[..] == b"\\." {
            self.ended = true;
            self.buffer.clear();
            return Ok(None);
        }
        let fields = if self.dialect.csv {
            self.csv_fields(&row)
        } else {
            self.text_fields(&row)
        }?;
        self.line += 1 + row.iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok(Some(fields))
    }

    /// Where the row in front ends, and how long its line end is.
    fn find_end(&mut self, end: bool) -> PgResult<Option<(usize, usize)>> {
        let mut at = self.searched;
        while at < self.buffer.len() {
            let byte = self.buffer[at];
            if self.dialect.csv {
                if self.quoted
                    && self.dialect.escape != self.dialect.quote
                    && byte == self.dialect.escape
                {
                    at += 2;
                    continue;
                }
                if byte == self.dialect.quote {
                    self.quoted = !self.quoted;
                }
            } else if byte == b'\\' {
                // An escaped line end belongs to the field.
                at += 2;
                continue;
            }
            if !self.quoted && (byte == b'\n' || byte == b'\r') {
                if byte == b'\n' {
                    return Ok(Some((at, 1)));
                }
                match self.buffer.get(at + 1) {
                    Some(b'\n') => return Ok(Some((at, 2))),
                    Some(_) => return Ok(Some((at, 1))),
                    None if end => return Ok(Some((at, 1))),
                    None => break,
                }
            }
            at += 1;
        }
        self.searched = at.min(self.buffer.len());
        // The byte after a trailing backslash has not arrived.
        if at > self.buffer.len() {
            self.searched = self.buffer.len().saturating_sub(1);
        }
        if self.buffer.len() > ROW_BYTES {
            return Err(PgError::new(
                sqlstate::PROGRAM_LIMIT_EXCEEDED,
                format!("COPY line {} is longer than {ROW_BYTES} bytes", self.line),
            ));
        }
        if !end || self.buffer.is_empty() {
            return Ok(None);
        }
        if self.quoted {
            return Err(bad("unterminated CSV quoted field"));
        }
        Ok(Some((self.buffer.len(), 0)))
    }

    fn text_fields(&self, row: &[u8]) -> PgResult<Vec<Field>> {
        let mut fields = Vec::new();
        let mut start = 0;
        let mut at = 0;
        loop {
            if at >= row.len() || row[at] == self.dialect.delimiter {
                let raw = &row[start..at.min(row.len())];
                fields.push(if raw == self.dialect.null.as_bytes() {
                    None
                } else {
                    Some(text(unescaped(raw))?)
                });
                if at >= row.len() {
                    return Ok(fields);
                }
                start = at + 1;
            } else if row[at] == b'\\' {
                at += 1;
            }
            at += 1;
        }
    }

    fn csv_fields(&self, row: &[u8]) -> PgResult<Vec<Field>> {
        let Dialect {
            delimiter,
            quote,
            escape,
            ..
        } = self.dialect;
        let mut fields = Vec::new();
        let mut field = Vec::new();
        let (mut quoted, mut was_quoted) = (false, false);
        let mut at = 0;
        loop {
            match row.get(at) {
                Some(&byte) if quoted => {
                    let escaped = byte == escape
                        && row
                            .get(at + 1)
                            .is_some_and(|next| *next == quote || *next == escape);
                    if escaped {
                        field.push(row[at + 1]);
                        at += 1;
                    } else if byte == quote {
                        quoted = false;
                    } else {
                        field.push(byte);
                    }
                }
                Some(&byte) if byte == quote => {
                    quoted = true;
                    was_quoted = true;
                }
                Some(&byte) if byte != delimiter => field.push(byte),
                end => {
                    let bytes = std::mem::take(&mut field);
                    fields.push(if !was_quoted && bytes == self.dialect.null.as_bytes() {
                        None
                    } else {
                        Some(text(bytes)?)
                    });
                    was_quoted = false;
                    if end.is_none() {
                        return Ok(fields);
                    }
                }
            }
            at += 1;
        }
    }
}

fn text(bytes: Vec<u8>) -> PgResult<String> {
    let text = String::from_utf8(bytes).map_err(|_| {
        PgError::new(
            sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\"",
        )
    })?;
    if text.contains('\0') {
        return Err(PgError::new(
            sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    Ok(text)
}

/// Backslash sequences of the text format.
fn unescaped(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        if raw[at] != b'\\' || at + 1 == raw.len() {
            out.push(raw[at]);
            at += 1;
            continue;
        }
        let next = raw[at + 1];
        at += 2;
        match next {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(11),
            b'0'..=b'7' => {
                let mut value = u32::from(next - b'0');
                let mut digits = 1;
                while digits < 3 && at < raw.len() && (b'0'..=b'7').contains(&raw[at]) {
                    value = value * 8 + u32::from(raw[at] - b'0');
                    at += 1;
                    digits += 1;
                }
                out.push((value & 0xff) as u8);
            }
            b'x' if raw.get(at).is_some_and(u8::is_ascii_hexdigit) => {
                let mut value = 0u32;
                let mut digits = 0;
                while digits < 2 && raw.get(at).is_some_and(u8::is_ascii_hexdigit) {
                    value = value * 16 + (raw[at] as char).to_digit(16).unwrap_or(0);
                    at += 1;
                    digits += 1;
                }
                out.push((value & 0xff) as u8);
            }
            other => out.push(other),
        }
    }
    out
}

fn bad(message: &str) -> PgError {
    PgError::new(sqlstate::BAD_COPY_FILE_FORMAT, message)
}

/// Writes one field of a row that is copied out.
pub fn put_field(
    out: &mut Vec<u8>,
    dialect: &Dialect,
    field: Option<&str>,
    first: bool,
    alone: bool,
    forced: bool,
) {
    if !first {
        out.push(dialect.delimiter);
    }
    match field {
        None => out.extend_from_slice(dialect.null.as_bytes()),
        Some(value) if dialect.csv => put_csv(out, dialect, value, alone, forced),
        Some(value) => put_text(out, dialect, value),
    }
}

fn put_text(out: &mut Vec<u8>, dialect: &Dialect, value: &str) {
    for byte in value.bytes() {
        let letter = match byte {
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            b'\\' => b'\\',
            other if other == dialect.delimiter => other,
            other => {
                out.push(other);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', letter]);
    }
}

fn put_csv(out: &mut Vec<u8>, dialect: &Dialect, value: &str, alone: bool, forced: bool) {
    let special = |byte: u8| {
        byte == dialect.delimiter || byte == dialect.quote || byte == b'\n' || byte == b'\r'
    };
    // A lone `\.` would end the data.
    let quoted =
        forced || value == dialect.null || value.bytes().any(special) || (alone && value == "\\.");
    if !quoted {
        out.extend_from_slice(value.as_bytes());
        return;
    }
    out.push(dialect.quote);
    for byte in value.bytes() {
        if byte == dialect.quote || byte == dialect.escape {
            out.push(dialect.escape);
        }
        out.push(byte);
    }
    out.push(dialect.quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dialect: Dialect, pieces: &[&str]) -> Vec<Vec<Field>> {
        let mut reader = Reader::new(dialect);
        let mut rows = Vec::new();
        for piece in pieces {
            reader.push(&Bytes::copy_from_slice(piece.as_bytes()));
            while let Some(row) = reader.next(false).expect("rows") {
                rows.push(row);
            }
        }
        while let Some(row) = reader.next(true).expect("rows") {
            rows.push(row);
        }
        rows
    }

    fn row(fields: &[Option<&str>]) -> Vec<Field> {
        fields
            .iter()
            .map(|field| field.map(str::to_owned))
            .collect()
    }

    #[test]
    fn text_rows_have_escapes_and_nulls() {
        assert_eq!(
            read(Dialect::text(), &["a\\tb\t\\N\t\n", "\\\\\t\\101\tx\n"]),
            [
                row(&[Some("a\tb"), None, Some("")]),
                row(&[Some("\\"), Some("A"), Some("x")])
            ]
        );
    }

    #[test]
    fn rows_are_the_same_however_they_are_cut() {
        for (dialect, data) in [
            (Dialect::text(), "a\\\nb\tc\r\nd\t\\N\n"),
            (Dialect::csv(), "\"a\nb\",\"c\"\"d\"\r\n,\"\"\nlast,1"),
        ] {
            let whole = read(dialect.clone(), &[data]);
            for cut in 1..data.len() {
                assert_eq!(
                    read(dialect.clone(), &[&data[..cut], &data[cut..]]),
                    whole,
                    "cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn csv_tells_an_empty_field_from_null() {
        assert_eq!(
            read(Dialect::csv(), &["a,,\"\"\n\"x,y\",\"q\"\"\",z"]),
            [
                row(&[Some("a"), None, Some("")]),
                row(&[Some("x,y"), Some("q\""), Some("z")])
            ]
        );
    }

    #[test]
    fn a_backslash_and_a_dot_end_the_data() {
        assert_eq!(read(Dialect::text(), &["a\n\\.\nb\n"]), [row(&[Some("a")])]);
    }

    #[test]
    fn an_open_quote_is_an_error() {
        let mut reader = Reader::new(Dialect::csv());
        reader.push(&Bytes::from_static(b"\"abc\n"));
        assert!(reader.next(false).expect("waits").is_none());
        assert_eq!(reader.next(true).expect_err("open").code, "22P04");
    }

    #[test]
    fn what_is_written_reads_back() {
        let fields = row(&[
            Some("a\tb\nc\\"),
            None,
            Some(""),
            Some("q\"x,"),
            Some("\\."),
        ]);
        for dialect in [Dialect::text(), Dialect::csv()] {
            let mut out = Vec::new();
            for (at, field) in fields.iter().enumerate() {
                put_field(&mut out, &dialect, field.as_deref(), at == 0, false, false);
            }
            out.push(b'\n');
            let text = String::from_utf8(out).expect("UTF-8");
            assert_eq!(
                read(dialect, &[&text]),
                std::slice::from_ref(&fields),
                "{text}"
            );
        }
    }
}
