//! The regexp_* functions that start at a character, take the n-th match, or ask for one of
//! its groups: all after the example of `regexp_instr(text, pattern, start, n, end, flags, group)`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array, StringArray};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::logical_expr::Expr;
use regex::Regex;

use super::function::{call, rows};
use super::regex::Patterns;
use crate::error::{Error, Result};

pub fn function(name: &str, returns: &DataType, args: Vec<Expr>) -> Option<Expr> {
    let body: fn(&[ArrayRef]) -> Result<ArrayRef> = match (name, args.len()) {
        ("regexp_instr", 2..=7) => instr,
        ("regexp_count", 2..=4) => count,
        ("regexp_substr", 2..=6) => substr,
        _ => return None,
    };
    Some(call(name, returns.clone(), args, body))
}

/// What a row says beside text and pattern.
struct Asked<'a> {
    /// The text from the start character on, and how many characters stand before.
    rest: &'a str,
    before: usize,
    nth: usize,
    group: usize,
}

fn int(arrays: &[ArrayRef], at: usize, row: usize, default: i32) -> i32 {
    arrays.get(at).map_or(default, |array| {
        array.as_primitive::<Int32Type>().value(row)
    })
}

fn flags(arrays: &[ArrayRef], at: usize, row: usize) -> Result<String> {
    let flags = arrays
        .get(at)
        .map(|array| array.as_string::<i32>().value(row).to_owned())
        .unwrap_or_default();
    if flags.contains('g') {
        return Err(Error::value(
            "22023",
            "this regexp function does not support the \"global\" option",
        ));
    }
    Ok(flags)
}

fn positive(name: &str, value: i32) -> Result<usize> {
    usize::try_from(value)
        .ok()
        .filter(|value| *value > 0)
        .ok_or_else(|| {
            Error::value(
                "22023",
                format!("invalid value for parameter \"{name}\": {value}"),
            )
        })
}

fn asked<'a>(text: &'a str, start: i32, nth: i32, group: i32) -> Result<Asked<'a>> {
    let before = positive("start", start)? - 1;
    let byte = text
        .char_indices()
        .nth(before)
        .map_or(text.len(), |(at, _)| at);
    Ok(Asked {
        rest: &text[byte..],
        before,
        nth: positive("n", nth)?,
        group: usize::try_from(group).map_err(|_| {
            Error::value(
                "22023",
                format!("invalid value for parameter \"subexpr\": {group}"),
            )
        })?,
    })
}

/// The bytes of the match in the rest of the text.
fn found(asked: &Asked<'_>, regex: &Regex) -> Option<std::ops::Range<usize>> {
    let captures = regex.captures_iter(asked.rest).nth(asked.nth - 1)?;
    captures.get(asked.group).map(|group| group.range())
}

fn texts(arrays: &[ArrayRef]) -> (&StringArray, &StringArray) {
    (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>())
}

fn instr(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (text, pattern) = texts(arrays);
    let mut patterns = Patterns::default();
    let values: Vec<Option<i32>> = each(arrays, |row| {
        let end = int(arrays, 4, row, 0);
        if !(0..=1).contains(&end) {
            return Err(Error::value(
                "22023",
                format!("invalid value for parameter \"endoption\": {end}"),
            ));
        }
        let asked = asked(
            text.value(row),
            int(arrays, 2, row, 1),
            int(arrays, 3, row, 1),
            int(arrays, 6, row, 0),
        )?;
        let regex = patterns.compile(pattern.value(row), &flags(arrays, 5, row)?)?;
        Ok(Some(found(&asked, regex).map_or(0, |range| {
            let byte = if end == 1 { range.end } else { range.start };
            let characters = asked.before + asked.rest[..byte].chars().count();
            i32::try_from(characters + 1).unwrap_or(i32::MAX)
        })))
    })?;
    Ok(Arc::new(Int32Array::from(values)))
}

fn count(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (text, pattern) = texts(arrays);
    let mut patterns = Patterns::default();
    let values: Vec<Option<i32>> = each(arrays, |row| {
        let asked = asked(text.value(row), int(arrays, 2, row, 1), 1, 0)?;
        let regex = patterns.compile(pattern.value(row), &flags(arrays, 3, row)?)?;
        let count = regex.find_iter(asked.rest).count();
        Ok(Some(i32::try_from(count).unwrap_or(i32::MAX)))
    })?;
    Ok(Arc::new(Int32Array::from(values)))
}

fn substr(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (text, pattern) = texts(arrays);
    let mut patterns = Patterns::default();
    let values: Vec<Option<String>> = each(arrays, |row| {
        let asked = asked(
            text.value(row),
            int(arrays, 2, row, 1),
            int(arrays, 3, row, 1),
            int(arrays, 5, row, 0),
        )?;
        let regex = patterns.compile(pattern.value(row), &flags(arrays, 4, row)?)?;
        Ok(found(&asked, regex).map(|range| asked.rest[range].to_owned()))
    })?;
    Ok(Arc::new(StringArray::from(values)))
}

/// As [`rows`], for a closure that keeps its last pattern.
fn each<T>(
    arrays: &[ArrayRef],
    each: impl FnMut(usize) -> Result<Option<T>>,
) -> Result<Vec<Option<T>>> {
    let each = std::cell::RefCell::new(each);
    rows(arrays, |row| (each.borrow_mut())(row))
}
