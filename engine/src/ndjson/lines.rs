//! A stream of bytes, cut into chunks of whole lines.

use std::io::Read;

use crate::error::{Error, Result};

/// Whole lines (the last of a file may lack its end).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineChunk {
    pub bytes: Vec<u8>,
    /// From 1.
    pub first_line: u64,
}

/// Chunks reach this size before they are handed out.
const CHUNK_BYTES: usize = 4 << 20;
/// A longer line is refused.
pub(crate) const MAX_LINE_BYTES: usize = 64 << 20;

/// Takes bytes as they come and gives chunks of whole lines.
#[derive(Debug)]
pub struct LineSplitter {
    pending: Vec<u8>,
    /// Up to here there is no end of a line in `pending`.
    searched: usize,
    /// Just behind the last end of a line in `pending`.
    whole: usize,
    next_line: u64,
    chunk_bytes: usize,
    max_line_bytes: usize,
}

impl Default for LineSplitter {
    fn default() -> Self {
        LineSplitter {
            pending: Vec::new(),
            searched: 0,
            whole: 0,
            next_line: 1,
            chunk_bytes: CHUNK_BYTES,
            max_line_bytes: MAX_LINE_BYTES,
        }
    }
}

impl LineSplitter {
    /// Adds bytes; gives a chunk when there is enough for one.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<LineChunk>> {
        self.pending.extend_from_slice(bytes);
        self.added()
    }

    fn added(&mut self) -> Result<Option<LineChunk>> {
        if let Some(at) = self.pending[self.searched..]
            .iter()
            .rposition(|&byte| byte == b'\n')
        {
            self.whole = self.searched + at + 1;
        }
        self.searched = self.pending.len();
        if self.pending.len() - self.whole > self.max_line_bytes {
            return Err(Error::LimitExceeded {
                what: format!(
                    "the length in bytes of line {}",
                    self.next_line + count_lines(&self.pending[..self.whole])
                ),
                limit: self.max_line_bytes as u64,
                actual: (self.pending.len() - self.whole) as u64,
            });
        }
        if self.whole < self.chunk_bytes {
            return Ok(None);
        }
        Ok(Some(self.take(self.whole)))
    }

    /// What is left when the input has ended.
    pub fn finish(&mut self) -> Option<LineChunk> {
        let all = self.pending.len();
        (all > 0).then(|| self.take(all))
    }

    fn take(&mut self, end: usize) -> LineChunk {
        let rest = self.pending[end..].to_vec();
        let mut bytes = std::mem::replace(&mut self.pending, rest);
        bytes.truncate(end);
        self.whole = 0;
        self.searched = self.pending.len();
        let first_line = self.next_line;
        self.next_line += count_lines(&bytes);
        LineChunk { bytes, first_line }
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// The chunks of a reader.
pub fn split_lines(reader: impl Read) -> impl Iterator<Item = Result<LineChunk>> {
    Chunks {
        reader: Some(reader),
        splitter: LineSplitter::default(),
    }
}

struct Chunks<R> {
    /// `None` after the end, or after an error.
    reader: Option<R>,
    splitter: LineSplitter,
}

impl<R: Read> Iterator for Chunks<R> {
    type Item = Result<LineChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        const READ_BYTES: u64 = 1 << 20;
        loop {
            let reader = self.reader.as_mut()?;
            let outcome = match reader
                .take(READ_BYTES)
                .read_to_end(&mut self.splitter.pending)
            {
                Ok(0) => {
                    self.reader = None;
                    return self.splitter.finish().map(Ok);
                }
                Ok(_) => self.splitter.added(),
                Err(error) => Err(Error::Invalid {
                    message: format!("the input cannot be read: {error}"),
                    detail: None,
                    hint: Some("Nothing was written. Is the file whole?".to_owned()),
                }),
            };
            match outcome {
                Ok(None) => {}
                Ok(Some(chunk)) => return Some(Ok(chunk)),
                Err(error) => {
                    self.reader = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(parts: &[&str]) -> Vec<(u64, String)> {
        let mut splitter = LineSplitter {
            chunk_bytes: 4,
            max_line_bytes: 10,
            ..LineSplitter::default()
        };
        let mut all = Vec::new();
        for part in parts {
            all.extend(splitter.push(part.as_bytes()).unwrap());
        }
        all.extend(splitter.finish());
        all.into_iter()
            .map(|chunk| (chunk.first_line, String::from_utf8(chunk.bytes).unwrap()))
            .collect()
    }

    #[test]
    fn lines_stay_whole_and_are_counted() {
        assert_eq!(
            chunks(&["a\nb\nc", "c\n", "\nd"]),
            [(1, "a\nb\n".into()), (3, "cc\n\n".into()), (5, "d".into())]
        );
        assert_eq!(
            chunks(&["ab", "cd", "ef\n", "g\nhijk\n"]),
            [(1, "abcdef\n".into()), (2, "g\nhijk\n".into())]
        );
        assert_eq!(chunks(&[]), []);
        assert_eq!(
            chunks(&["\n\n\n\n", "x"]),
            [(1, "\n\n\n\n".into()), (5, "x".into())]
        );
    }

    #[test]
    fn a_line_has_a_limit() {
        let mut splitter = LineSplitter {
            chunk_bytes: 100,
            max_line_bytes: 3,
            ..LineSplitter::default()
        };
        assert!(splitter.push(b"a\nb\nccc").unwrap().is_none());
        let error = splitter.push(b"c").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the length in bytes of line 3 exceeds the limit of 3 (is 4)"
        );
    }

    #[test]
    fn a_reader_gives_all_its_bytes_in_order() {
        let line = format!("{}\n", "x".repeat(999));
        let input = line.repeat(12_000);
        let mut first_line = 1;
        let mut all = Vec::new();
        for chunk in split_lines(input.as_bytes()) {
            let chunk = chunk.unwrap();
            assert_eq!(chunk.first_line, first_line);
            first_line += count_lines(&chunk.bytes);
            all.extend(chunk.bytes);
        }
        assert_eq!(first_line, 12_001);
        assert_eq!(all, input.as_bytes());
    }
}
