//! Sets of keys larger than memory: 128-bit hashes with the line they came from, sorted in
//! runs that go to a temporary file beyond a bound.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};

use crate::error::{Error, Result};

/// Keys held before they are written out as a run: 24 bytes each.
const HELD: usize = 1 << 20;
const BYTES: usize = 24;

/// Equal texts have equal hashes; that two texts share one is not to be expected in a
/// lifetime of loads (128 bits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    high: u64,
    low: u64,
    pub line: u64,
}

impl Key {
    pub fn of(bytes: &[u8], line: u64) -> Key {
        let hash = xxhash_rust::xxh3::xxh3_128(bytes);
        Key {
            high: (hash >> 64) as u64,
            low: hash as u64,
            line,
        }
    }

    pub fn hash(&self) -> (u64, u64) {
        (self.high, self.low)
    }
}

#[derive(Debug, Default)]
pub(crate) struct KeySet {
    held: Vec<Key>,
    runs: Vec<File>,
}

impl KeySet {
    pub fn push(&mut self, key: Key) -> Result<()> {
        self.held.push(key);
        if self.held.len() >= HELD {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        self.held.sort_unstable();
        let mut file = tempfile::tempfile().map_err(io)?;
        let mut out = BufWriter::with_capacity(1 << 20, &mut file);
        for key in self.held.drain(..) {
            for part in [key.high, key.low, key.line] {
                out.write_all(&part.to_le_bytes()).map_err(io)?;
            }
        }
        out.flush().map_err(io)?;
        drop(out);
        file.rewind().map_err(io)?;
        self.runs.push(file);
        Ok(())
    }

    /// All keys, in order.
    pub fn sorted(mut self) -> Result<Sorted> {
        self.held.sort_unstable();
        let mut sources = vec![Source::Held(self.held.into_iter())];
        for run in self.runs {
            sources.push(Source::Run(BufReader::with_capacity(256 << 10, run)));
        }
        let mut sorted = Sorted {
            sources,
            heap: BinaryHeap::new(),
        };
        for source in 0..sorted.sources.len() {
            sorted.refill(source)?;
        }
        Ok(sorted)
    }
}

enum Source {
    Held(std::vec::IntoIter<Key>),
    Run(BufReader<File>),
}

pub(crate) struct Sorted {
    sources: Vec<Source>,
    heap: BinaryHeap<Reverse<(Key, usize)>>,
}

impl Sorted {
    fn refill(&mut self, source: usize) -> Result<()> {
        let key = match &mut self.sources[source] {
            Source::Held(keys) => keys.next(),
            Source::Run(file) => {
                let mut bytes = [0u8; BYTES];
                match file.read_exact(&mut bytes) {
                    Ok(()) => {
                        let part = |at: usize| {
                            let mut eight = [0u8; 8];
                            eight.copy_from_slice(&bytes[at..at + 8]);
                            u64::from_le_bytes(eight)
                        };
                        Some(Key {
                            high: part(0),
                            low: part(8),
                            line: part(16),
                        })
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => None,
                    Err(error) => return Err(io(error)),
                }
            }
        };
        if let Some(key) = key {
            self.heap.push(Reverse((key, source)));
        }
        Ok(())
    }

    pub fn peek(&self) -> Option<&Key> {
        self.heap.peek().map(|Reverse((key, _))| key)
    }

    pub fn next(&mut self) -> Result<Option<Key>> {
        let Some(Reverse((key, source))) = self.heap.pop() else {
            return Ok(None);
        };
        self.refill(source)?;
        Ok(Some(key))
    }
}

fn io(error: std::io::Error) -> Error {
    Error::Unavailable {
        message: format!("a temporary file: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_sorted_from_memory_and_from_runs() {
        let mut set = KeySet::default();
        for number in 0..10_000u64 {
            set.push(Key::of(&(number * 7919 % 10_000).to_le_bytes(), number))
                .unwrap();
            if number % 3_000 == 2_999 {
                set.spill().unwrap();
            }
        }
        assert_eq!(set.runs.len(), 3);
        let mut sorted = set.sorted().unwrap();
        let mut keys = Vec::new();
        while let Some(key) = sorted.next().unwrap() {
            keys.push(key);
        }
        assert_eq!(keys.len(), 10_000);
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
