//! How a text becomes words.

use std::borrow::Cow;
use std::ops::Range;

use frostem::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::schema::TypeDef;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Analyzer {
    /// Runs of letters and digits, in lower case.
    #[default]
    Simple,
    /// Of those the stems, by Porter's algorithm for English, without accents; the most
    /// frequent words are left out.
    English,
    /// The whole text is one word, in lower case.
    Keyword,
}

impl Analyzer {
    pub const ALL: [Analyzer; 3] = [Analyzer::English, Analyzer::Simple, Analyzer::Keyword];

    /// By the name that schemas and functions have for it.
    pub fn named(name: &str) -> Option<Analyzer> {
        Analyzer::ALL
            .into_iter()
            .find(|analyzer| analyzer.name() == name)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Analyzer::Simple => "simple",
            Analyzer::English => "english",
            Analyzer::Keyword => "keyword",
        }
    }

    /// What a property's `@index` declares.
    pub fn declared(def: &TypeDef, property: usize) -> Option<Analyzer> {
        let mut indexes = def.indexes.iter();
        let index = indexes.find(|index| index.properties == [property])?;
        let mut named = index.annotation.named.iter();
        let (_, analyzer) = named.find(|(name, _)| name == "analyzer")?;
        Analyzer::named(analyzer.as_text()?)
    }

    /// Calls `each` with everything in the text that may be a word, in order: where it is,
    /// and its letters in lower case.
    pub fn for_each_run(self, text: &str, mut each: impl FnMut(Range<usize>, &str)) {
        if let Analyzer::Keyword = self {
            let word = text.trim();
            let start = text.len() - text.trim_start().len();
            if !word.is_empty() {
                each(start..start + word.len(), &word.to_lowercase());
            }
            return;
        }
        let mut lower = String::new();
        let mut start = 0;
        for piece in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
            let run = piece.trim_end_matches(|c: char| !c.is_alphanumeric());
            let range = start..start + run.len();
            start += piece.len();
            if run.is_empty() {
                continue;
            }
            if run
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            {
                each(range, run);
                continue;
            }
            lower.clear();
            lower.extend(run.chars().flat_map(char::to_lowercase));
            each(range, &lower);
        }
    }

    /// What a run counts as; `None`: it is in so many texts that it is left out.
    pub fn word(self, run: &str) -> Option<Cow<'_, str>> {
        if self != Analyzer::English {
            return Some(Cow::Borrowed(run));
        }
        if STOP_WORDS.binary_search(&run).is_ok() {
            return None;
        }
        let stemmer = Stemmer::new(Algorithm::English);
        if run.is_ascii() {
            return Some(stemmer.stem(run));
        }
        let folded = without_accents(run);
        if STOP_WORDS.binary_search(&folded.as_str()).is_ok() {
            return None;
        }
        Some(Cow::Owned(stemmer.stem(&folded).into_owned()))
    }

    /// The words of a text in order; what is left out has a place.
    pub fn words(self, text: &str) -> Vec<Option<String>> {
        let mut words = Vec::new();
        self.for_each_run(text, |_, run| {
            words.push(self.word(run).map(Cow::into_owned));
        });
        words
    }
}

/// Letters without what is above and below them, and two letters for those that are two.
fn without_accents(word: &str) -> String {
    let mut plain = String::with_capacity(word.len());
    for c in word.nfd().filter(|c| !is_combining_mark(*c)) {
        match c {
            'ß' => plain.push_str("ss"),
            'æ' => plain.push_str("ae"),
            'œ' => plain.push_str("oe"),
            'þ' => plain.push_str("th"),
            'ø' => plain.push('o'),
            'đ' | 'ð' => plain.push('d'),
            'ħ' => plain.push('h'),
            'ı' => plain.push('i'),
            'ł' => plain.push('l'),
            c => plain.push(c),
        }
    }
    plain
}

/// The words that PostgreSQL's configuration for English leaves out, sorted.
#[rustfmt::skip]
const STOP_WORDS: [&str; 127] = [
    "a", "about", "above", "after", "again", "against", "all", "am", "an", "and", "any", "are",
    "as", "at", "be", "because", "been", "before", "being", "below", "between", "both", "but",
    "by", "can", "did", "do", "does", "doing", "don", "down", "during", "each", "few", "for",
    "from", "further", "had", "has", "have", "having", "he", "her", "here", "hers", "herself",
    "him", "himself", "his", "how", "i", "if", "in", "into", "is", "it", "its", "itself", "just",
    "me", "more", "most", "my", "myself", "no", "nor", "not", "now", "of", "off", "on", "once",
    "only", "or", "other", "our", "ours", "ourselves", "out", "over", "own", "s", "same", "she",
    "should", "so", "some", "such", "t", "than", "that", "the", "their", "theirs", "them",
    "themselves", "then", "there", "these", "they", "this", "those", "through", "to", "too",
    "under", "until", "up", "very", "was", "we", "were", "what", "when", "where", "which",
    "while", "who", "whom", "why", "will", "with", "you", "your", "yours", "yourself",
    "yourselves",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(analyzer: Analyzer, text: &str, expected: &[&str]) {
        let words: Vec<String> = analyzer
            .words(text)
            .into_iter()
            .map(Option::unwrap_or_default)
            .collect();
        assert_eq!(words, expected, "{text}");
    }

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        let simple = |text, expected: &[&str]| check(Analyzer::Simple, text, expected);
        simple("", &[]);
        simple(" ,;", &[]);
        simple(
            "The GNU C-compiler, v2.0",
            &["the", "gnu", "c", "compiler", "v2", "0"],
        );
        simple("Ünï fäy ÉTÉ", &["ünï", "fäy", "été"]);
        simple("日本 x_y", &["日本", "x", "y"]);
    }

    #[test]
    fn english_words_are_stems_without_accents() {
        let english = |text, expected: &[&str]| check(Analyzer::English, text, expected);
        english(
            "Bob builds the engines and bridges",
            &["bob", "build", "", "engin", "", "bridg"],
        );
        english("Naïve cafés, Straße", &["naiv", "cafe", "strass"]);
        english("It's 42", &["", "", "42"]);
    }

    #[test]
    fn a_keyword_is_the_whole_text() {
        check(Analyzer::Keyword, "  New York ", &["new york"]);
        check(Analyzer::Keyword, "  ", &[]);
    }

    #[test]
    fn runs_tell_where_they_are() {
        for analyzer in Analyzer::ALL {
            let text = " Äb-c\u{2014}D. ";
            analyzer.for_each_run(text, |range, run| {
                assert_eq!(text[range].to_lowercase(), run);
            });
        }
    }

    #[test]
    fn stop_words_are_sorted() {
        assert!(STOP_WORDS.is_sorted());
        assert_eq!(Analyzer::named("klingon"), None);
    }
}
