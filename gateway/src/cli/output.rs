//! What a command answers: the same facts as text for people and as one JSON document.

use std::io::Write;

use chrono::{DateTime, SecondsFormat};
use serde_json::Value;

use crate::cli::{Exit, Failure};

#[derive(Debug)]
pub(super) struct Output {
    pub text: String,
    pub json: Value,
    /// An answer may be a failure: findings, or changes that were asked for.
    pub exit: Exit,
}

impl Output {
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Output {
            text: text.into(),
            json,
            exit: Exit::Done,
        }
    }

    /// The command wrote its output itself.
    pub fn none() -> Self {
        Output::new("", Value::Null)
    }

    pub fn print(&self, json: bool) -> Result<(), Failure> {
        let mut text = if json {
            format!("{:#}", self.json)
        } else {
            self.text.clone()
        };
        if text.is_empty() {
            return Ok(());
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let mut stdout = std::io::stdout().lock();
        match stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
        {
            // `omnigraph commits … | head` is no failure.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|error| Failure::new(format!("standard output: {error}"))),
        }
    }
}

/// Columns of text under headings; numbers to the right.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings
        .iter()
        .map(|heading| heading.chars().count())
        .collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let numeric: Vec<bool> = (0..headings.len())
        .map(|column| {
            let mut cells = rows.iter().filter_map(|row| row.get(column)).peekable();
            cells.peek().is_some()
                && cells.all(|cell| !cell.is_empty() && cell.bytes().all(|b| b.is_ascii_digit()))
        })
        .collect();
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut laid = String::new();
        for ((cell, width), numeric) in cells.zip(&widths).zip(&numeric) {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            if *numeric {
                laid.push_str(&padding);
                laid.push_str(cell);
            } else {
                laid.push_str(cell);
                laid.push_str(&padding);
            }
            laid.push_str("  ");
        }
        text.push_str(laid.trim_end());
        text.push('\n');
    };
    line(&mut headings.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

/// Microseconds since 1970, to the second, for people.
pub(super) fn time(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros)
        .map(|time| time.format("%Y-%m-%d %H:%M:%SZ").to_string())
        .unwrap_or_default()
}

/// RFC 3339 with all digits, for programs.
pub(super) fn time_json(micros: i64) -> Value {
    DateTime::from_timestamp_micros(micros).map_or(Value::Null, |time| {
        time.to_rfc3339_opts(SecondsFormat::Micros, true).into()
    })
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align() {
        let rows = [
            vec!["main".to_owned(), "7".to_owned()],
            vec!["é".to_owned(), "1200".to_owned()],
        ];
        assert_eq!(
            table(&["name", "rows"], &rows),
            "name  rows\nmain     7\né     1200\n"
        );
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time(1_700_000_000_123_456), "2023-11-14 22:13:20Z");
        assert_eq!(
            time_json(1_700_000_000_123_456),
            "2023-11-14T22:13:20.123456Z"
        );
    }
}
