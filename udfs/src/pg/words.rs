//! Conditions on the words of a text: what `search`, `match_text` and `fuzzy` find rows by, for
//! one text.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::logical_expr::Expr;
use omnigraph_engine::search::TextQuery;

use super::function::{call, rows};
use crate::error::{Error, Result};

/// Beyond that most words are like most others.
pub const MOST_EDITS: usize = 2;

/// How far words may be apart, as an argument says it.
pub fn edits(edits: i64) -> Option<usize> {
    let edits = usize::try_from(edits).ok();
    edits.filter(|edits| *edits <= MOST_EDITS)
}

pub fn is_implemented(name: &str) -> bool {
    matches!(name, "has_any_word" | "has_words" | "has_near_words")
}

/// `has_any_word(text, words)`, `has_words(text, words)`, `has_near_words(text, words, edits)`.
pub fn function(name: &str, args: Vec<Expr>) -> Option<Expr> {
    let body: fn(&[ArrayRef]) -> Result<ArrayRef> = match name {
        "has_any_word" => |arrays| fits(arrays, |text, _| Ok(TextQuery::any(text))),
        "has_words" => |arrays| fits(arrays, |text, _| Ok(TextQuery::parse(text))),
        "has_near_words" => |arrays| {
            fits(arrays, |text, given| {
                let edits = edits(i64::from(given)).ok_or_else(|| {
                    Error::value("22023", "has_near_words(): edits must be 0, 1 or 2")
                })?;
                Ok(TextQuery::near(text, edits))
            })
        },
        _ => return None,
    };
    Some(call(name, DataType::Boolean, args, body))
}

fn fits(arrays: &[ArrayRef], read: fn(&str, i32) -> Result<TextQuery>) -> Result<ArrayRef> {
    let (texts, words) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
    let edits = arrays.get(2).map(|edits| edits.as_primitive::<Int32Type>());
    let given = |row: usize| (words.value(row), edits.map_or(0, |edits| edits.value(row)));
    // They are mostly the same for all rows.
    let mut last: Option<(usize, TextQuery)> = None;
    let mut results = Vec::with_capacity(texts.len());
    let valid: BooleanArray = rows(arrays, |_| Ok(Some(true)))?;
    for row in 0..texts.len() {
        if valid.is_null(row) {
            results.push(None);
            continue;
        }
        let query = match last {
            Some((at, query)) if given(at) == given(row) => query,
            _ => read(given(row).0, given(row).1)?,
        };
        results.push(Some(query.fits(texts.value(row))));
        last = Some((row, query));
    }
    Ok(Arc::new(BooleanArray::from(results)))
}
