//! `tsvector`: the words of a text, sorted, and where each of them is. A value is held as its
//! text, `'bridg':4 'engin':2,7A`.

use std::collections::BTreeMap;
use std::fmt;

use omnigraph_engine::search::Analyzer;

use super::operand::{Quoted, quoted};
use crate::error::{Error, Result};

/// Places beyond it count as this one.
const LAST_PLACE: u16 = 16_383;
/// The most places of one word.
const MOST_PLACES: usize = 255;
/// The most bytes of one word.
const LONGEST_WORD: usize = 2_046;

/// How much a place counts: D, C, B or A.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    #[default]
    D,
    C,
    B,
    A,
}

impl Weight {
    pub fn named(letter: char) -> Option<Weight> {
        Some(match letter.to_ascii_uppercase() {
            'A' => Weight::A,
            'B' => Weight::B,
            'C' => Weight::C,
            'D' => Weight::D,
            _ => return None,
        })
    }
}

/// Where a word is; the first word of a text is at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub at: u16,
    pub weight: Weight,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TsVector {
    /// By word; no places: they were stripped.
    words: BTreeMap<String, Vec<Place>>,
}

impl TsVector {
    pub fn of_text(analyzer: Analyzer, text: &str) -> TsVector {
        let mut vector = TsVector::default();
        let mut at: u16 = 0;
        analyzer.for_each_run(text, |_, run| {
            at = at.saturating_add(1).min(LAST_PLACE);
            let Some(word) = analyzer.word(run).filter(|word| word.len() <= LONGEST_WORD) else {
                return;
            };
            let weight = Weight::default();
            let places = vector.words.entry(word.into_owned()).or_default();
            add(places, Place { at, weight });
        });
        vector
    }

    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> TsVector {
        let words = words.into_iter().map(|word| (word.to_owned(), Vec::new()));
        TsVector {
            words: words.collect(),
        }
    }

    /// From its text.
    pub fn parse(text: &str) -> Result<TsVector> {
        let wrong = || Error::value("42601", format!("syntax error in tsvector: \"{text}\""));
        let mut vector = TsVector::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (word, after) =
                quoted(rest, |c| c.is_whitespace() || c == ':').ok_or_else(wrong)?;
            if word.is_empty() {
                return Err(wrong());
            }
            if word.len() > LONGEST_WORD {
                return Err(Error::value(
                    "54000",
                    format!(
                        "word is too long ({} bytes, max {LONGEST_WORD} bytes)",
                        word.len()
                    ),
                ));
            }
            let places = vector.words.entry(word).or_default();
            rest = after;
            while let Some(after) = rest.strip_prefix([':', ',']) {
                let digits =
                    after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                let number: u32 = after[..digits].parse().map_err(|_| wrong())?;
                if number == 0 {
                    return Err(Error::value(
                        "42601",
                        format!("wrong position info in tsvector: \"{text}\""),
                    ));
                }
                rest = &after[digits..];
                let weight = rest.chars().next().and_then(Weight::named);
                if weight.is_some() {
                    rest = &rest[1..];
                }
                let at = u16::try_from(number).unwrap_or(LAST_PLACE).min(LAST_PLACE);
                places.push(Place {
                    at,
                    weight: weight.unwrap_or_default(),
                });
            }
            if rest.starts_with(|c: char| !c.is_whitespace()) {
                return Err(wrong());
            }
            rest = rest.trim_start();
        }
        for places in vector.words.values_mut() {
            // Of one place the heaviest.
            places.sort_by(|a, b| a.at.cmp(&b.at).then(b.weight.cmp(&a.weight)));
            places.dedup_by_key(|place| place.at);
            places.truncate(MOST_PLACES);
        }
        Ok(vector)
    }

    pub fn len(&self) -> usize {
        self.words.len()
    }

    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The places of a word; `None`: it is not there.
    pub fn places(&self, word: &str) -> Option<&[Place]> {
        self.words.get(word).map(Vec::as_slice)
    }

    pub fn words(&self) -> impl Iterator<Item = (&str, &[Place])> {
        self.words
            .iter()
            .map(|(word, places)| (word.as_str(), places.as_slice()))
    }

    /// The words that begin so.
    pub fn beginning(&self, prefix: &str) -> impl Iterator<Item = (&str, &[Place])> {
        self.words
            .range::<str, _>((
                std::ops::Bound::Included(prefix),
                std::ops::Bound::Unbounded,
            ))
            .take_while(move |(word, _)| word.starts_with(prefix))
            .map(|(word, places)| (word.as_str(), places.as_slice()))
    }

    /// As if the other text followed this one.
    pub fn followed_by(mut self, other: TsVector) -> TsVector {
        let places = self.words.values().flatten();
        let shift = places.map(|place| place.at).max().unwrap_or(0);
        for (word, places) in other.words {
            let own = self.words.entry(word).or_default();
            for place in places {
                let at = place.at.saturating_add(shift).min(LAST_PLACE);
                add(own, Place { at, ..place });
            }
        }
        self
    }

    pub fn weighing(mut self, weight: Weight) -> TsVector {
        for place in self.words.values_mut().flatten() {
            place.weight = weight;
        }
        self
    }

    pub fn stripped(mut self) -> TsVector {
        for places in self.words.values_mut() {
            places.clear();
        }
        self
    }
}

fn add(places: &mut Vec<Place>, place: Place) {
    let room = places.len() < MOST_PLACES;
    match places.last_mut() {
        Some(last) if last.at == place.at => last.weight = last.weight.max(place.weight),
        _ if room => places.push(place),
        _ => {}
    }
}

impl fmt::Display for TsVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (word, places)) in self.words.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{}", Quoted(word))?;
            for (at, place) in places.iter().enumerate() {
                let separator = if at == 0 { ':' } else { ',' };
                write!(f, "{separator}{}", place.at)?;
                if place.weight != Weight::D {
                    write!(f, "{:?}", place.weight)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_its_words_and_their_places() {
        for (analyzer, text, expected) in [
            (
                Analyzer::English,
                "The quick foxes and a quick dog",
                "'dog':7 'fox':3 'quick':2,6",
            ),
            (Analyzer::Simple, "It's", "'it':1 's':2"),
            (Analyzer::English, "the of", ""),
        ] {
            assert_eq!(TsVector::of_text(analyzer, text).to_string(), expected);
        }
        let long = "a ".repeat(20_000);
        let places = TsVector::of_text(Analyzer::Simple, &long);
        assert_eq!(places.places("a").map(<[Place]>::len), Some(MOST_PLACES));
    }

    #[test]
    fn its_text_is_read_and_written() {
        for (text, expected) in [
            ("a fat:2,4 cat:3 'b c':1A", "'a' 'b c':1A 'cat':3 'fat':2,4"),
            ("it''s", "'it''s'"),
            ("'it''s' '\\\\x'", "'\\\\x' 'it''s'"),
            ("a:3,1,3B a:2", "'a':1,2,3B"),
            ("a:99999", "'a':16383"),
            ("", ""),
        ] {
            let parsed = TsVector::parse(text).map(|vector| vector.to_string());
            assert_eq!(parsed.ok().as_deref(), Some(expected), "{text}");
        }
        for text in ["'a", "a:", "a:x", "a:0", "''", "a:1AB"] {
            assert!(TsVector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn vectors_are_put_together() {
        let read = |text: &str| TsVector::parse(text).unwrap_or_default();
        let whole = read("a:1 b:2").followed_by(read("b:1 c:2").weighing(Weight::A));
        assert_eq!(whole.to_string(), "'a':1 'b':2,3A 'c':4A");
        assert_eq!(whole.stripped().to_string(), "'a' 'b' 'c'");
    }
}
