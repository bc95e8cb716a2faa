//! Regular expressions: PostgreSQL's spelling, run in linear time.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListBuilder, StringArray, StringBuilder,
};
use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::Expr;
use regex::{Regex, RegexBuilder};

use super::function::{call, call_with};
use crate::error::{Error, Result};

/// A compiled expression may take this much memory.
const SIZE_LIMIT: usize = 4 << 20;

/// Compiles the patterns of a column, which are mostly the same one.
#[derive(Default)]
pub struct Patterns {
    last: Option<(String, String, Regex)>,
}

impl Patterns {
    pub fn compile(&mut self, pattern: &str, flags: &str) -> Result<&Regex> {
        let known = matches!(&self.last, Some((p, f, _)) if p == pattern && f == flags);
        if !known {
            let regex = build(pattern, flags)?;
            self.last = Some((pattern.to_owned(), flags.to_owned(), regex));
        }
        match &self.last {
            Some((_, _, regex)) => Ok(regex),
            None => Err(Error::value("XX000", "no regular expression was compiled")),
        }
    }
}

fn build(pattern: &str, flags: &str) -> Result<Regex> {
    let mut pattern = pattern.to_owned();
    let mut folded = false;
    let mut extended = false;
    // PostgreSQL's dot matches a newline unless 'n' or 'p' says otherwise.
    let mut dot_newline = true;
    let mut multi_line = false;
    if let Some(rest) = pattern.strip_prefix("***=") {
        pattern = regex::escape(rest);
    } else if let Some(rest) = pattern.strip_prefix("***:") {
        pattern = rest.to_owned();
    }
    // Embedded options stand at the front: `(?i)`.
    let mut all_flags = flags.to_owned();
    if let Some(rest) = pattern.strip_prefix("(?")
        && let Some((options, rest)) = rest.split_once(')')
        && !options.is_empty()
        && options.chars().all(|option| option.is_ascii_lowercase())
    {
        all_flags.push_str(options);
        pattern = rest.to_owned();
    }
    for flag in all_flags.chars() {
        match flag {
            'i' => folded = true,
            'c' => folded = false,
            'x' => extended = true,
            'n' | 'm' => {
                dot_newline = false;
                multi_line = true;
            }
            's' => {
                dot_newline = true;
                multi_line = false;
            }
            'p' => dot_newline = false,
            'w' => multi_line = true,
            'g' | 'e' | 't' => {}
            'q' => pattern = regex::escape(&pattern),
            other => {
                return Err(Error::value(
                    "22023",
                    format!("invalid regular expression option: \"{other}\""),
                ));
            }
        }
    }
    RegexBuilder::new(&translate(&pattern))
        .case_insensitive(folded)
        .ignore_whitespace(extended)
        .dot_matches_new_line(dot_newline)
        .multi_line(multi_line)
        .size_limit(SIZE_LIMIT)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            if text.contains("look-around") || text.contains("backreference") {
                return Error::value(
                    "2201B",
                    "regular expressions with look-around or back references are not supported",
                );
            }
            let reason = text
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned();
            Error::value("2201B", format!("invalid regular expression: {reason}"))
        })
}

/// PostgreSQL's escapes that the engine spells otherwise.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            // A brace that opens no bound stands for itself.
            if c == '{' && !chars.peek().is_some_and(char::is_ascii_digit) {
                out.push('\\');
            }
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('m' | '<') => out.push_str(r"\b{start}"),
            Some('M' | '>') => out.push_str(r"\b{end}"),
            Some('y') => out.push_str(r"\b"),
            Some('Y') => out.push_str(r"\B"),
            Some('Z') => out.push_str(r"\z"),
            Some(c) if c.is_ascii_alphanumeric() || !c.is_alphanumeric() => {
                out.push('\\');
                // An escaped character that is not special stands for itself.
                if c.is_ascii_punctuation() || c.is_ascii_alphanumeric() {
                    out.push(c);
                } else {
                    out.pop();
                    out.push(c);
                }
            }
            Some(c) => out.push(c),
            None => out.push('\\'),
        }
    }
    out
}

/// `text ~ pattern` and its kind.
pub fn matches(text: Expr, pattern: Expr, negated: bool, folded: bool) -> Expr {
    let flags = if folded { "i" } else { "" };
    call_with(
        "regex_matches",
        format!("{negated}{folded}"),
        DataType::Boolean,
        vec![text, pattern],
        move |arrays| {
            let (texts, sources) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
            let mut patterns = Patterns::default();
            let values: BooleanArray = texts
                .iter()
                .zip(sources.iter())
                .map(|pair| match pair {
                    (Some(text), Some(pattern)) => Ok(Some(
                        patterns.compile(pattern, flags)?.is_match(text) != negated,
                    )),
                    _ => Ok(None),
                })
                .collect::<Result<_>>()?;
            Ok(Arc::new(values))
        },
    )
}

/// `text SIMILAR TO pattern ESCAPE escape`.
pub fn similar(text: Expr, pattern: Expr, escape: Option<char>, negated: bool) -> Expr {
    call_with(
        "similar",
        format!("{escape:?}{negated}"),
        DataType::Boolean,
        vec![text, pattern],
        move |arrays| {
            let (texts, sources) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
            let mut patterns = Patterns::default();
            let values: BooleanArray = texts
                .iter()
                .zip(sources.iter())
                .map(|pair| match pair {
                    (Some(text), Some(pattern)) => {
                        let regex = similar_to_regex(pattern, escape);
                        Ok(Some(
                            patterns.compile(&regex, "")?.is_match(text) != negated,
                        ))
                    }
                    _ => Ok(None),
                })
                .collect::<Result<_>>()?;
            Ok(Arc::new(values))
        },
    )
}

fn similar_to_regex(pattern: &str, escape: Option<char>) -> String {
    let mut out = String::from("^(?:");
    let mut in_class = false;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            if let Some(next) = chars.next() {
                out.push_str(&regex::escape(&next.to_string()));
            }
            continue;
        }
        match c {
            '[' => {
                in_class = true;
                out.push(c);
            }
            ']' => {
                in_class = false;
                out.push(c);
            }
            _ if in_class => out.push(c),
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '.' | '^' | '$' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out.push_str(")$");
    out
}

/// `text LIKE pattern ESCAPE escape` as a pattern whose escape is the backslash.
pub fn like_escape(pattern: Expr, escape: Option<char>) -> Expr {
    call_with(
        "like_escape",
        format!("{escape:?}"),
        DataType::Utf8,
        vec![pattern],
        move |arrays| {
            let texts: StringArray = arrays[0]
                .as_string::<i32>()
                .iter()
                .map(|text| text.map(|text| like_to_backslash(text, escape)))
                .collect();
            Ok(Arc::new(texts))
        },
    )
}

fn like_to_backslash(pattern: &str, escape: Option<char>) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            match chars.next() {
                Some(next) => {
                    out.push('\\');
                    out.push(next);
                }
                None => out.push('\\'),
            }
        } else if c == '\\' {
            out.push_str("\\\\");
        } else {
            out.push(c);
        }
    }
    out
}

/// The regexp_* functions. Flags are the last argument where there are any.
pub fn function(name: &str, returns: &DataType, args: Vec<Expr>) -> Option<Expr> {
    let body: fn(&[ArrayRef]) -> Result<ArrayRef> = match (name, args.len()) {
        ("regexp_replace", 3 | 4) => replace,
        ("regexp_match", 2 | 3) => first_match,
        ("regexp_matches", 2 | 3) => all_matches,
        ("regexp_split_to_array" | "regexp_split_to_table", 2 | 3) => split,
        ("regexp_like", 2 | 3) => like,
        _ => return super::regex_position::function(name, returns, args),
    };
    Some(call(name, returns.clone(), args, body))
}

fn texts(arrays: &[ArrayRef], at: usize) -> Option<&StringArray> {
    arrays
        .get(at)
        .and_then(|array| array.as_string_opt::<i32>())
}

fn flags_at(arrays: &[ArrayRef], at: usize, row: usize) -> String {
    match texts(arrays, at) {
        Some(flags) if !flags.is_null(row) => flags.value(row).to_owned(),
        _ => String::new(),
    }
}

/// One row: the text, its pattern compiled, and the flags; `None` if something is NULL.
fn each<T>(
    arrays: &[ArrayRef],
    flags: usize,
    mut act: impl FnMut(Option<(&str, &Regex, &str, usize)>) -> Result<T>,
) -> Result<()> {
    let mut patterns = Patterns::default();
    for row in 0..arrays[0].len() {
        if arrays.iter().any(|array| array.is_null(row)) {
            act(None)?;
            continue;
        }
        let (Some(text), Some(pattern)) = (texts(arrays, 0), texts(arrays, 1)) else {
            return Err(Error::value("XX000", "regular expressions are over text"));
        };
        let flags = flags_at(arrays, flags, row);
        let regex = patterns.compile(pattern.value(row), &flags)?;
        act(Some((text.value(row), regex, &flags, row)))?;
    }
    Ok(())
}

fn replace(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let mut out = StringBuilder::new();
    let replacements = texts(arrays, 2)
        .cloned()
        .unwrap_or_else(|| StringArray::from(Vec::<&str>::new()));
    each(arrays, 3, |row| {
        match row {
            None => out.append_null(),
            Some((text, regex, flags, row)) => {
                let replacement = expand_template(replacements.value(row));
                let replaced = if flags.contains('g') {
                    regex.replace_all(text, replacement.as_str())
                } else {
                    regex.replace(text, replacement.as_str())
                };
                out.append_value(replaced);
            }
        }
        Ok(())
    })?;
    Ok(Arc::new(out.finish()))
}

/// `\1` and `\&` as the engine writes them.
fn expand_template(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        match c {
            '$' => out.push_str("$$"),
            '\\' => match chars.next() {
                Some('&') => out.push_str("${0}"),
                Some(digit) if digit.is_ascii_digit() => {
                    out.push_str("${");
                    out.push(digit);
                    out.push('}');
                }
                Some('\\') => out.push('\\'),
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            _ => out.push(c),
        }
    }
    out
}

fn captures(regex: &Regex, found: &regex::Captures<'_>, out: &mut StringBuilder) {
    if regex.captures_len() == 1 {
        out.append_option(found.get(0).map(|group| group.as_str()));
    } else {
        for group in 1..regex.captures_len() {
            out.append_option(found.get(group).map(|group| group.as_str()));
        }
    }
}

fn list_builder() -> ListBuilder<StringBuilder> {
    ListBuilder::new(StringBuilder::new()).with_field(Arc::new(Field::new(
        "item",
        DataType::Utf8,
        true,
    )))
}

fn first_match(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let mut out = list_builder();
    each(arrays, 2, |row| {
        match row.and_then(|(text, regex, _, _)| regex.captures(text).map(|found| (regex, found))) {
            Some((regex, found)) => {
                captures(regex, &found, out.values());
                out.append(true);
            }
            None => out.append(false),
        }
        Ok(())
    })?;
    Ok(Arc::new(out.finish()))
}

/// A list of lists: one row for each match.
fn all_matches(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let inner = Arc::new(Field::new("item", DataType::Utf8, true));
    let mut out = ListBuilder::new(list_builder()).with_field(Arc::new(Field::new(
        "item",
        DataType::List(inner),
        true,
    )));
    each(arrays, 2, |row| {
        if let Some((text, regex, flags, _)) = row {
            let limit = if flags.contains('g') { usize::MAX } else { 1 };
            for found in regex.captures_iter(text).take(limit) {
                captures(regex, &found, out.values().values());
                out.values().append(true);
            }
            out.append(true);
        } else {
            out.append(false);
        }
        Ok(())
    })?;
    Ok(Arc::new(out.finish()))
}

fn split(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let mut out = list_builder();
    each(arrays, 2, |row| {
        if let Some((text, regex, _, _)) = row {
            let mut start = 0;
            for found in regex.find_iter(text) {
                // An empty match at either end splits nothing off.
                if found.is_empty() && (found.start() == 0 || found.start() == text.len()) {
                    continue;
                }
                out.values().append_value(&text[start..found.start()]);
                start = found.end();
            }
            out.values().append_value(&text[start..]);
            out.append(true);
        } else {
            out.append(false);
        }
        Ok(())
    })?;
    Ok(Arc::new(out.finish()))
}

fn like(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let mut out = Vec::with_capacity(arrays[0].len());
    each(arrays, 2, |row| {
        out.push(row.map(|(text, regex, _, _)| regex.is_match(text)));
        Ok(())
    })?;
    Ok(Arc::new(BooleanArray::from(out)))
}

/// `substring(text from pattern)`.
pub fn substring_pattern(args: Vec<Expr>) -> Expr {
    call("substring_pattern", DataType::Utf8, args, substring)
}

fn substring(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let mut out = StringBuilder::new();
    each(arrays, usize::MAX, |row| {
        out.append_option(row.and_then(|(text, regex, _, _)| {
            let found = regex.captures(text)?;
            let group = if regex.captures_len() > 1 { 1 } else { 0 };
            found.get(group).map(|group| group.as_str())
        }));
        Ok(())
    })?;
    Ok(Arc::new(out.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_patterns_match_as_there() {
        let check = |pattern: &str, flags: &str, text: &str| {
            build(pattern, flags).map(|regex| regex.is_match(text))
        };
        assert!(check(r"^(pg_class)$", "", "pg_class").unwrap());
        assert!(check("a.b", "", "a\nb").unwrap());
        assert!(!check("a.b", "n", "a\nb").unwrap());
        assert!(check("(?i)ABC", "", "abc").unwrap());
        assert!(check(r"\mword\M", "", "a word here").unwrap());
        assert!(check("***=a.b", "", "xa.b").unwrap());
        assert!(check("(", "", "x").is_err());
        assert!(check(r"a{2}", "", "aa").unwrap());
    }

    #[test]
    fn similar_and_like_patterns_are_translated() {
        assert_eq!(similar_to_regex("(a|b)%_", Some('\\')), "^(?:(a|b).*.)$");
        assert_eq!(like_to_backslash("10!%_", Some('!')), "10\\%_");
        assert_eq!(expand_template(r"\2-\1$"), "${2}-${1}$$");
    }
}
