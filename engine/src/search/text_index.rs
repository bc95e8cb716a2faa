//! The words of one column of an immutable chunk of rows: which rows have each, and how often.
//!
//! It is derived from the chunk's file alone, so versions and branches that share the file
//! share the index, and no commit ever has to maintain one. Deleted rows are in it: who asks
//! leaves them out.

use std::borrow::Cow;
use std::collections::HashMap;

use arrow::array::{Array, AsArray, StringArray};
use roaring::RoaringBitmap;

use super::analyzer::Analyzer;
use super::text_query::{Word, within};
use crate::error::{Error, Result};
use crate::traverse::Cancel;

#[derive(Debug)]
pub struct TextIndex {
    /// All words, sorted, one behind the other.
    words: Box<str>,
    /// Where each word ends.
    ends: Box<[u32]>,
    /// Where each word's rows end.
    row_ends: Box<[u32]>,
    rows: Box<[u32]>,
    /// How often the row has the word.
    counts: Box<[u32]>,
    /// How many words each row has.
    lengths: Box<[u32]>,
    sizes: Sizes,
}

/// How many texts there are, and how many words in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    pub texts: u64,
    pub words: u64,
}

/// The length of a row without a text.
const NO_TEXT: u32 = u32::MAX;

/// The rows that have a word, ascending, and how often each has it.
#[derive(Debug)]
pub struct Postings<'a> {
    pub rows: Cow<'a, [u32]>,
    pub counts: Cow<'a, [u32]>,
}

impl TextIndex {
    pub fn build(analyzer: Analyzer, texts: &StringArray, cancel: &Cancel) -> Result<TextIndex> {
        let mut numbers: HashMap<String, usize> = HashMap::new();
        // Of what was met already, so that each word is only once brought to its stem.
        let mut known: HashMap<String, Option<usize>> = HashMap::new();
        let mut postings: Vec<Vec<(u32, u32)>> = Vec::new();
        let mut lengths = Vec::with_capacity(texts.len());
        let mut sizes = Sizes::default();
        for (row, text) in (0u32..).zip(texts.iter()) {
            let Some(text) = text else {
                lengths.push(NO_TEXT);
                continue;
            };
            cancel.check()?;
            let mut length = 0;
            analyzer.for_each_run(text, |_, run| {
                let number = match known.get(run) {
                    Some(number) => *number,
                    None => {
                        let number = analyzer.word(run).map(|word| {
                            *numbers.entry(word.into_owned()).or_insert_with(|| {
                                postings.push(Vec::new());
                                postings.len() - 1
                            })
                        });
                        known.insert(run.to_owned(), number);
                        number
                    }
                };
                let Some(number) = number else {
                    return;
                };
                length += 1;
                match postings[number].last_mut() {
                    Some((last, count)) if *last == row => *count += 1,
                    _ => postings[number].push((row, 1)),
                }
            });
            lengths.push(length);
            sizes.texts += 1;
            sizes.words += u64::from(length);
        }
        let mut sorted: Vec<(String, usize)> = numbers.into_iter().collect();
        sorted.sort_unstable();
        let total: usize = postings.iter().map(Vec::len).sum();
        let (mut rows, mut counts) = (Vec::with_capacity(total), Vec::with_capacity(total));
        let (mut words, mut ends, mut row_ends) = (String::new(), Vec::new(), Vec::new());
        for (word, number) in sorted {
            words.push_str(&word);
            for (row, count) in std::mem::take(&mut postings[number]) {
                rows.push(row);
                counts.push(count);
            }
            ends.push(place(words.len())?);
            row_ends.push(place(rows.len())?);
        }
        Ok(TextIndex {
            words: words.into(),
            ends: ends.into(),
            row_ends: row_ends.into(),
            rows: rows.into(),
            counts: counts.into(),
            lengths: lengths.into(),
            sizes,
        })
    }

    /// Bytes in memory.
    pub fn size(&self) -> usize {
        self.words.len()
            + 4 * (self.ends.len() + self.row_ends.len() + self.lengths.len())
            + 8 * self.rows.len()
            + 128
    }

    /// Of the rows that are not deleted.
    pub fn sizes(&self, deleted: Option<&RoaringBitmap>) -> Sizes {
        let mut sizes = self.sizes;
        for row in deleted.into_iter().flatten() {
            if let Some(length) = self.length(row) {
                sizes.texts -= 1;
                sizes.words -= u64::from(length);
            }
        }
        sizes
    }

    /// How many words a row's text has; `None`: it has no text.
    pub fn length(&self, row: u32) -> Option<u32> {
        let length = self.lengths.get(row as usize).copied();
        length.filter(|length| *length != NO_TEXT)
    }

    /// A prefix, and what is near a word, is one word that each of its words is a spelling of.
    pub fn postings(&self, word: &Word) -> Postings<'_> {
        match word {
            Word::Exact(word) => {
                let at = self.first_from(word);
                match at < self.ends.len() && self.word(at) == word {
                    true => self.postings_at(at),
                    false => self.merged(&[]),
                }
            }
            Word::Prefix(prefix) => {
                let matching: Vec<usize> = (self.first_from(prefix)..self.ends.len())
                    .take_while(|at| self.word(*at).starts_with(prefix.as_str()))
                    .collect();
                self.merged(&matching)
            }
            Word::Near(word, edits) => {
                let wanted: Vec<char> = word.chars().collect();
                let mut letters = Vec::new();
                let matching: Vec<usize> = (0..self.ends.len())
                    .filter(|at| {
                        letters.clear();
                        letters.extend(self.word(*at).chars());
                        within(&wanted, &letters, *edits)
                    })
                    .collect();
                self.merged(&matching)
            }
        }
    }

    /// The first word that is not before this one.
    fn first_from(&self, word: &str) -> usize {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.word(middle) < word {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }

    fn word(&self, at: usize) -> &str {
        &self.words[span(&self.ends, at)]
    }

    fn postings_at(&self, at: usize) -> Postings<'_> {
        let range = span(&self.row_ends, at);
        Postings {
            rows: Cow::Borrowed(&self.rows[range.clone()]),
            counts: Cow::Borrowed(&self.counts[range]),
        }
    }

    fn merged(&self, words: &[usize]) -> Postings<'_> {
        if let [one] = words {
            return self.postings_at(*one);
        }
        let mut all: Vec<(u32, u32)> = Vec::new();
        for word in words {
            let range = span(&self.row_ends, *word);
            let rows = self.rows[range.clone()].iter().copied();
            all.extend(rows.zip(self.counts[range].iter().copied()));
        }
        all.sort_unstable();
        all.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        let (rows, counts): (Vec<u32>, Vec<u32>) = all.into_iter().unzip();
        Postings {
            rows: Cow::Owned(rows),
            counts: Cow::Owned(counts),
        }
    }
}

/// The piece at a place of what is cut at `ends`.
fn span(ends: &[u32], at: usize) -> std::ops::Range<usize> {
    let start = at.checked_sub(1).map_or(0, |before| ends[before]);
    start as usize..ends[at] as usize
}

fn place(at: usize) -> Result<u32> {
    u32::try_from(at).map_err(|_| Error::LimitExceeded {
        what: "the text of one file".to_owned(),
        limit: u64::from(u32::MAX),
        actual: at as u64,
    })
}

/// The texts of a column.
pub fn texts(column: &dyn Array) -> Result<&StringArray> {
    column
        .as_string_opt::<i32>()
        .ok_or_else(|| Error::internal("a text column that is not text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(texts: &[Option<&str>]) -> TextIndex {
        let texts = StringArray::from(texts.to_vec());
        TextIndex::build(Analyzer::Simple, &texts, &Cancel::never()).unwrap()
    }

    fn found(index: &TextIndex, word: Word) -> Vec<(u32, u32)> {
        let postings = index.postings(&word);
        let rows = postings.rows.iter().copied();
        rows.zip(postings.counts.iter().copied()).collect()
    }

    #[test]
    fn words_are_found_in_their_rows() {
        let index = index(&[
            Some("a web server, a small one"),
            None,
            Some(""),
            Some("Web webs"),
        ]);
        let exact = |word: &str| found(&index, Word::Exact(word.to_owned()));
        assert_eq!(exact("a"), [(0, 2)]);
        assert_eq!(exact("web"), [(0, 1), (3, 1)]);
        assert!(exact("we").is_empty());
        assert!(exact("zebra").is_empty());
        assert_eq!(
            found(&index, Word::Prefix("we".to_owned())),
            [(0, 1), (3, 2)]
        );
        assert_eq!(found(&index, Word::Near("sever".to_owned(), 1)), [(0, 1)]);
        let lengths: Vec<Option<u32>> = (0..4).map(|row| index.length(row)).collect();
        assert_eq!(lengths, [Some(6), None, Some(0), Some(2)]);
        assert_eq!(index.sizes(None), Sizes { texts: 3, words: 8 });
        let deleted: RoaringBitmap = [0, 1].into_iter().collect();
        assert_eq!(index.sizes(Some(&deleted)), Sizes { texts: 2, words: 2 });
    }
}
