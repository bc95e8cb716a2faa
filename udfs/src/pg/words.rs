//! Conditions on the words of a text: what `search`, `match_text` and `fuzzy` find rows by, for
//! one text.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, ScalarUDF, Volatility};
use omnigraph_catalog::provider::WordCondition;
use omnigraph_engine::search::{Analyzer, Candidates, TextQuery};

use super::function::PgFunction;
use crate::error::{Error, Result};

/// Beyond that most words are like most others.
pub const MOST_EDITS: usize = 2;

/// How far words may be apart, as an argument says it.
pub fn edits(edits: i64) -> Option<usize> {
    let edits = usize::try_from(edits).ok();
    edits.filter(|edits| *edits <= MOST_EDITS)
}

pub fn is_implemented(name: &str) -> bool {
    Kind::named(name).is_some()
}

/// `has_any_word(text, words)`, `matches_text(text, words)`, `has_words(text, words)`, `has_near_words(text, words, edits)`.
pub fn function(name: &str, analyzer: Analyzer, args: Vec<Expr>) -> Option<Expr> {
    let kind = Kind::named(name)?;
    let body = move |arrays: &[ArrayRef]| kind.fits(analyzer, arrays);
    let function = PgFunction::new(
        name,
        DataType::Boolean,
        Volatility::Immutable,
        Arc::new(move |arrays, _| body(arrays)),
    )
    .identity(analyzer.name());
    Some(WordCondition::over(
        ScalarUDF::from(function),
        analyzer,
        kind.wanted(),
        args,
    ))
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Any,
    Match,
    All,
    Near,
}

impl Kind {
    fn named(name: &str) -> Option<Kind> {
        Some(match name {
            "has_any_word" => Kind::Any,
            "matches_text" => Kind::Match,
            "has_words" => Kind::All,
            "has_near_words" => Kind::Near,
            _ => return None,
        })
    }

    fn read(self, analyzer: Analyzer, words: &str, near: i32) -> Result<TextQuery> {
        Ok(match self {
            Kind::Any => TextQuery::any(analyzer, words),
            Kind::All => TextQuery::parse(analyzer, words),
            Kind::Match => TextQuery {
                all: false,
                ..TextQuery::parse(analyzer, words)
            },
            Kind::Near => {
                let edits = edits(i64::from(near)).ok_or_else(|| {
                    Error::value("22023", "has_near_words(): edits must be 0, 1 or 2")
                })?;
                TextQuery::near(analyzer, words, edits)
            }
        })
    }

    fn wanted(self) -> fn(Analyzer, &[ScalarValue]) -> Option<Candidates> {
        match self {
            Kind::Any => |analyzer, constants| Kind::Any.candidates(analyzer, constants),
            Kind::Match => |analyzer, constants| Kind::Match.candidates(analyzer, constants),
            Kind::All => |analyzer, constants| Kind::All.candidates(analyzer, constants),
            Kind::Near => |analyzer, constants| Kind::Near.candidates(analyzer, constants),
        }
    }

    fn candidates(self, analyzer: Analyzer, constants: &[ScalarValue]) -> Option<Candidates> {
        let (words, edits) = match constants {
            [ScalarValue::Utf8(Some(words))] => (words, 0),
            [
                ScalarValue::Utf8(Some(words)),
                ScalarValue::Int32(Some(edits)),
            ] => (words, *edits),
            _ => return None,
        };
        // A mistake in it is told when it is evaluated.
        let query = self.read(analyzer, words, edits).ok()?;
        Some(Candidates::of(&query))
    }

    fn fits(self, analyzer: Analyzer, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let (texts, words) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
        let edits = arrays.get(2).map(|edits| edits.as_primitive::<Int32Type>());
        let given = |row: usize| (words.value(row), edits.map_or(0, |edits| edits.value(row)));
        // They are mostly the same for all rows.
        let mut last: Option<(usize, TextQuery)> = None;
        let mut results = Vec::with_capacity(texts.len());
        for row in 0..texts.len() {
            if arrays.iter().any(|array| array.is_null(row)) {
                results.push(None);
                continue;
            }
            let query = match last {
                Some((at, query)) if given(at) == given(row) => query,
                _ => self.read(analyzer, given(row).0, given(row).1)?,
            };
            results.push(Some(query.fits(texts.value(row))));
            last = Some((row, query));
        }
        Ok(Arc::new(BooleanArray::from(results)))
    }
}
