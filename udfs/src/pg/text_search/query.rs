//! `tsquery`: words joined by and, or, not, and "followed by". A value is held as its text,
//! `'fat' & ( 'rat' | !'cat' )`; no words are the empty text.

use std::fmt;

use omnigraph_engine::search::{Analyzer, Candidates, Word};

use super::operand::Quoted;
use super::reader::Reader;
use super::vector::Weight;
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TsQuery {
    Operand(Operand),
    Not(Box<TsQuery>),
    And(Box<TsQuery>, Box<TsQuery>),
    Or(Box<TsQuery>, Box<TsQuery>),
    /// The second so many words after the first.
    Phrase(Box<TsQuery>, Box<TsQuery>, u16),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operand {
    pub word: String,
    /// Every word that begins so.
    pub prefix: bool,
    /// Only at places of these weights; none: at any.
    pub weights: Vec<Weight>,
}

/// The farthest that "followed by" reaches.
pub(super) const FARTHEST: u16 = 16_384;
/// The most words of a phrase: what looks at one goes down into it.
pub(super) const LONGEST: usize = 100;
/// The most words of a query.
pub(super) const MOST_WORDS: usize = 2_000;

impl TsQuery {
    /// From its text, whose words are taken as they are.
    pub fn parse(text: &str) -> Result<Option<TsQuery>> {
        let take = |word: &str, operand: &Operand| {
            Ok(Tree::Query(TsQuery::Operand(Operand {
                word: word.to_owned(),
                ..operand.clone()
            })))
        };
        Reader::read(text, &take)
    }

    /// `to_tsquery`: as [`TsQuery::parse`], with words brought into the analyzer's form.
    pub fn of_operators(analyzer: Analyzer, text: &str) -> Result<Option<TsQuery>> {
        check_size(analyzer, text, MOST_WORDS)?;
        let take = |word: &str, operand: &Operand| {
            check_size(analyzer, word, LONGEST)?;
            Ok(sequence(analyzer, word, operand, true))
        };
        Reader::read(text, &take)
    }

    /// `plainto_tsquery`: all of the words.
    pub fn of_words(analyzer: Analyzer, text: &str) -> Result<Option<TsQuery>> {
        check_size(analyzer, text, MOST_WORDS)?;
        Ok(sequence(analyzer, text, &Operand::any(), false).without_gaps())
    }

    /// `phraseto_tsquery`: the words one after the other.
    pub fn of_phrase(analyzer: Analyzer, text: &str) -> Result<Option<TsQuery>> {
        check_size(analyzer, text, LONGEST)?;
        Ok(sequence(analyzer, text, &Operand::any(), true).without_gaps())
    }

    /// `websearch_to_tsquery`: all of the words and `"phrases"`, those with a `-` not; `or`
    /// between them means either side. Every text is one.
    pub fn of_web(analyzer: Analyzer, text: &str) -> Result<Option<TsQuery>> {
        check_size(analyzer, text, MOST_WORDS)?;
        let mut either: Vec<Tree> = Vec::new();
        let mut all: Vec<Tree> = Vec::new();
        let mut rest = text;
        loop {
            rest =
                rest.trim_start_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '"' | '-'));
            if rest.is_empty() {
                break;
            }
            let negations = rest.len() - rest.trim_start_matches('-').len();
            rest = &rest[negations..];
            let (term, after) = match rest.strip_prefix('"') {
                Some(quote) => {
                    let (phrase, after) = quote.split_once('"').unwrap_or((quote, ""));
                    check_size(analyzer, phrase, LONGEST)?;
                    (sequence(analyzer, phrase, &Operand::any(), true), after)
                }
                None => {
                    let end = rest.find(|c: char| c.is_whitespace() || c == '"');
                    let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
                    let is_or = word.eq_ignore_ascii_case("or") && negations == 0;
                    if is_or && !all.is_empty() && !after.trim().is_empty() {
                        either.push(Tree::of(std::mem::take(&mut all), Tree::And));
                        rest = after;
                        continue;
                    }
                    check_size(analyzer, word, LONGEST)?;
                    (sequence(analyzer, word, &Operand::any(), true), after)
                }
            };
            rest = after;
            let term = match negations {
                0 => term,
                _ => Tree::Not(Box::new(term)),
            };
            all.push(term);
        }
        either.push(Tree::of(all, Tree::And));
        Ok(Tree::of(either, Tree::Or).without_gaps())
    }

    /// Two queries as one.
    pub fn joined(
        left: TsQuery,
        right: TsQuery,
        join: impl FnOnce(Box<TsQuery>, Box<TsQuery>) -> TsQuery,
    ) -> Result<TsQuery> {
        if left.operands().len() + right.operands().len() > MOST_WORDS {
            return Err(too_large());
        }
        Ok(join(Box::new(left), Box::new(right)))
    }

    /// Its words, from left to right.
    pub fn operands(&self) -> Vec<&Operand> {
        match self {
            TsQuery::Operand(operand) => vec![operand],
            TsQuery::Not(inner) => inner.operands(),
            TsQuery::And(left, right)
            | TsQuery::Or(left, right)
            | TsQuery::Phrase(left, right, _) => {
                let mut operands = left.operands();
                operands.extend(right.operands());
                operands
            }
        }
    }

    /// How many words and operators it has.
    pub fn nodes(&self) -> i32 {
        match self {
            TsQuery::Operand(_) => 1,
            TsQuery::Not(inner) => 1 + inner.nodes(),
            TsQuery::And(left, right)
            | TsQuery::Or(left, right)
            | TsQuery::Phrase(left, right, _) => 1 + left.nodes() + right.nodes(),
        }
    }

    /// What a text must have for it; `None`: what it must not have is all that is said.
    pub fn candidates(&self) -> Option<Candidates> {
        Some(match self {
            TsQuery::Operand(operand) => Candidates::Word(match operand.prefix {
                true => Word::Prefix(operand.word.clone()),
                false => Word::Exact(operand.word.clone()),
            }),
            TsQuery::Not(_) => return None,
            TsQuery::And(left, right) | TsQuery::Phrase(left, right, _) => {
                let parts = [left.candidates(), right.candidates()];
                let parts: Vec<Candidates> = parts.into_iter().flatten().collect();
                match parts.is_empty() {
                    true => return None,
                    false => Candidates::All(parts),
                }
            }
            TsQuery::Or(left, right) => {
                Candidates::Any(vec![left.candidates()?, right.candidates()?])
            }
        })
    }

    fn priority(&self) -> u8 {
        match self {
            TsQuery::Or(..) => 1,
            TsQuery::And(..) => 2,
            TsQuery::Phrase(..) => 3,
            TsQuery::Not(_) => 4,
            TsQuery::Operand(_) => 5,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, around: u8, after_phrase: bool) -> fmt::Result {
        let own = self.priority();
        let nested = own < around || after_phrase && matches!(self, TsQuery::Phrase(..));
        if nested {
            f.write_str("( ")?;
        }
        match self {
            TsQuery::Operand(operand) => write!(f, "{operand}")?,
            TsQuery::Not(inner) => {
                f.write_str("!")?;
                inner.write(f, own, false)?;
            }
            TsQuery::And(left, right) | TsQuery::Or(left, right) => {
                left.write(f, own, false)?;
                let sign = if own == 2 { " & " } else { " | " };
                f.write_str(sign)?;
                right.write(f, own, false)?;
            }
            TsQuery::Phrase(left, right, distance) => {
                left.write(f, own, false)?;
                match distance {
                    1 => f.write_str(" <-> ")?,
                    distance => write!(f, " <{distance}> ")?,
                }
                right.write(f, own, true)?;
            }
        }
        if nested {
            f.write_str(" )")?;
        }
        Ok(())
    }
}

impl fmt::Display for TsQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0, false)
    }
}

impl Operand {
    pub(super) fn any() -> Operand {
        Operand {
            word: String::new(),
            prefix: false,
            weights: Vec::new(),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Quoted(&self.word))?;
        if self.prefix || !self.weights.is_empty() {
            f.write_str(":")?;
        }
        if self.prefix {
            f.write_str("*")?;
        }
        for weight in [Weight::A, Weight::B, Weight::C, Weight::D] {
            if self.weights.contains(&weight) {
                write!(f, "{weight:?}")?;
            }
        }
        Ok(())
    }
}

/// A query in which words that are left out still have a place.
#[derive(Debug)]
pub(super) enum Tree {
    Gap,
    Query(TsQuery),
    Not(Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
    Phrase(Box<Tree>, Box<Tree>, u16),
}

/// What is left of a tree, and how many words were left out before and after it.
struct Left {
    query: Option<TsQuery>,
    before: u16,
    after: u16,
}

impl Tree {
    /// The parts joined, in order, by a tree that is as shallow as it can be.
    pub(super) fn of(mut parts: Vec<Tree>, join: fn(Box<Tree>, Box<Tree>) -> Tree) -> Tree {
        if parts.len() > 1 {
            let right = parts.split_off(parts.len().div_ceil(2));
            return join(
                Box::new(Tree::of(parts, join)),
                Box::new(Tree::of(right, join)),
            );
        }
        parts.pop().unwrap_or(Tree::Gap)
    }

    pub(super) fn without_gaps(self) -> Option<TsQuery> {
        self.left().query
    }

    fn left(self) -> Left {
        let (left, right, distance, make): (
            _,
            _,
            _,
            fn(Box<TsQuery>, Box<TsQuery>, u16) -> TsQuery,
        ) = match self {
            Tree::Gap => return Left::of(None),
            Tree::Query(query) => return Left::of(Some(query)),
            Tree::Not(inner) => {
                let inner = inner.left().query;
                return Left::of(inner.map(|inner| TsQuery::Not(Box::new(inner))));
            }
            Tree::And(left, right) => (left, right, None, |l, r, _| TsQuery::And(l, r)),
            Tree::Or(left, right) => (left, right, None, |l, r, _| TsQuery::Or(l, r)),
            Tree::Phrase(left, right, distance) => (left, right, Some(distance), TsQuery::Phrase),
        };
        let (left, right) = (left.left(), right.left());
        let sum = |parts: [u16; 3]| parts.into_iter().fold(0, u16::saturating_add);
        match (left.query, right.query, distance) {
            (None, None, Some(distance)) => {
                let all = sum([left.before, distance, right.before]);
                Left {
                    query: None,
                    before: all,
                    after: all,
                }
            }
            (None, None, None) => {
                let most = left.before.max(right.before);
                Left {
                    query: None,
                    before: most,
                    after: most,
                }
            }
            (None, query, Some(distance)) => Left {
                query,
                before: sum([left.before, distance, right.before]),
                after: right.after,
            },
            (None, query, None) => Left {
                query,
                before: right.before,
                after: right.after,
            },
            (query, None, Some(distance)) => Left {
                query,
                before: left.before,
                after: sum([left.after, distance, right.after]),
            },
            (query, None, None) => Left {
                query,
                before: left.before,
                after: left.after,
            },
            (Some(one), Some(other), Some(distance)) => Left {
                query: Some(make(
                    Box::new(one),
                    Box::new(other),
                    sum([distance, left.after, right.before]).min(FARTHEST),
                )),
                before: left.before,
                after: right.after,
            },
            (Some(one), Some(other), None) => {
                Left::of(Some(make(Box::new(one), Box::new(other), 0)))
            }
        }
    }
}

impl Left {
    fn of(query: Option<TsQuery>) -> Left {
        Left {
            query,
            before: 0,
            after: 0,
        }
    }
}

/// The words of a text as operands, one after the other or each for itself.
fn sequence(analyzer: Analyzer, text: &str, like: &Operand, ordered: bool) -> Tree {
    let mut parts: Vec<Tree> = Vec::new();
    for word in analyzer.words(text) {
        let next = match word {
            None if parts.is_empty() => continue,
            None => Tree::Gap,
            Some(word) => Tree::Query(TsQuery::Operand(Operand {
                word,
                ..like.clone()
            })),
        };
        parts.push(next);
    }
    if !ordered {
        return Tree::of(parts, Tree::And);
    }
    let phrases = parts.into_iter();
    let phrase = phrases.reduce(|left, right| Tree::Phrase(Box::new(left), Box::new(right), 1));
    phrase.unwrap_or(Tree::Gap)
}

fn check_size(analyzer: Analyzer, text: &str, most: usize) -> Result<()> {
    let mut runs = 0;
    analyzer.for_each_run(text, |_, _| runs += 1);
    match runs > most {
        true => Err(too_large()),
        false => Ok(()),
    }
}

pub(super) fn too_large() -> Error {
    let message =
        format!("tsquery is too large: it may have {MOST_WORDS} words, and a phrase {LONGEST}");
    Error::value("54000", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(query: Result<Option<TsQuery>>) -> String {
        let query = query.ok().flatten();
        query.map(|query| query.to_string()).unwrap_or_default()
    }

    #[test]
    fn its_text_is_read_and_written() {
        for (text, expected) in [
            ("fat & rat | cat", "'fat' & 'rat' | 'cat'"),
            ("fat & (rat | !cat)", "'fat' & ( 'rat' | !'cat' )"),
            ("!(a & b)", "!( 'a' & 'b' )"),
            ("a <-> (b <2> c)", "'a' <-> ( 'b' <2> 'c' )"),
            ("a <-> b <-> c", "'a' <-> 'b' <-> 'c'"),
            ("fat:ab & 'it''s x':*", "'fat':AB & 'it''s x':*"),
            ("!!a", "!!'a'"),
            ("", ""),
        ] {
            assert!(TsQuery::parse(text).is_ok(), "{text}");
            assert_eq!(shown(TsQuery::parse(text)), expected);
        }
        for text in [
            "a b", "a &", "(a", "a)", "& a", "'a", "a <-5> b", "a <x> b", "!",
        ] {
            assert!(TsQuery::parse(text).is_err(), "{text}");
        }
        for large in [
            "(".repeat(5_000),
            "!".repeat(5_000),
            "a & ".repeat(5_000) + "a",
        ] {
            assert!(TsQuery::parse(&large).is_err());
        }
        let words = "word ".repeat(2_001);
        assert!(TsQuery::of_words(Analyzer::Simple, &words).is_err());
        assert!(TsQuery::of_web(Analyzer::Simple, &words[5..]).is_ok());
    }

    #[test]
    fn words_become_operands_as_in_postgres() {
        let english = Analyzer::English;
        let cases = [
            (
                shown(TsQuery::of_words(english, "The Fat Rats, the fat")),
                "'fat' & 'rat' & 'fat'",
            ),
            (
                shown(TsQuery::of_phrase(english, "cats of the rats")),
                "'cat' <3> 'rat'",
            ),
            (shown(TsQuery::of_phrase(english, "the of")), ""),
            (
                shown(TsQuery::of_web(english, "\"sad cats\" or rats -dogs")),
                "'sad' <-> 'cat' | 'rat' & !'dog'",
            ),
            (shown(TsQuery::of_web(english, "or the -\"")), ""),
            (shown(TsQuery::of_web(english, "signal -")), "'signal'"),
            (
                shown(TsQuery::of_operators(english, "fat & the & rats:*")),
                "'fat' & 'rat':*",
            ),
            (
                shown(TsQuery::of_operators(english, "bridge <-> the <-> rats")),
                "'bridg' <2> 'rat'",
            ),
            (
                shown(TsQuery::of_operators(english, "'big rats' | !the")),
                "'big' <-> 'rat'",
            ),
        ];
        for (found, expected) in cases {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn candidates_are_what_must_be_there() {
        let of = |text: &str| {
            let query = TsQuery::parse(text).ok().flatten();
            query.and_then(|query| query.candidates())
        };
        let word = |word: &str| Candidates::Word(Word::Exact(word.to_owned()));
        assert_eq!(
            of("a & !b <-> c"),
            Some(Candidates::All(vec![
                word("a"),
                Candidates::All(vec![word("c")])
            ]))
        );
        assert_eq!(of("a | !b"), None);
        assert_eq!(of("!a"), None);
    }
}
