//! Rows as they come, in the shape that was asked for.

use std::io::Write;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::cli::Failure;
use crate::cli::output::table;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Shown {
    Table,
    /// One JSON array of rows for each statement
    Json,
    /// One JSON object a row
    Jsonl,
    Csv,
}

/// Rows of a table that are laid out together: their widths are known before they are printed.
const PAGE: usize = 1_000;

pub(super) struct Printer {
    shown: Shown,
    columns: Option<Vec<String>>,
    page: Vec<Vec<Option<String>>>,
    rows: u64,
}

impl Printer {
    pub fn new(shown: Shown) -> Self {
        Printer {
            shown,
            columns: None,
            page: Vec::new(),
            rows: 0,
        }
    }

    pub fn begin(&mut self, columns: Vec<String>) -> Result<(), Failure> {
        let head = match self.shown {
            Shown::Json => "[".to_owned(),
            Shown::Csv => csv(columns.iter().map(|name| Some(name.as_str()))),
            Shown::Table | Shown::Jsonl => String::new(),
        };
        (self.columns, self.rows) = (Some(columns), 0);
        put(&head)
    }

    pub fn row(&mut self, cells: Vec<Option<String>>) -> Result<(), Failure> {
        self.rows += 1;
        match self.shown {
            Shown::Table => {
                self.page.push(cells);
                match self.page.len() < PAGE {
                    true => Ok(()),
                    false => self.lay_out(),
                }
            }
            Shown::Json => {
                let comma = if self.rows > 1 { ",\n " } else { "" };
                put(&format!("{comma}{}", self.object(cells)))
            }
            Shown::Jsonl => put(&format!("{}\n", self.object(cells))),
            Shown::Csv => put(&csv(cells.iter().map(Option::as_deref))),
        }
    }

    /// The statement is done; without columns it counts what it did.
    pub fn end(&mut self, count: u64) -> Result<(), Failure> {
        if self.columns.is_none() {
            return match self.shown {
                Shown::Table => put(&format!("done ({count})\n")),
                _ => Ok(()),
            };
        }
        let end = match self.shown {
            Shown::Table => {
                if self.rows == 0 || !self.page.is_empty() {
                    self.lay_out()?;
                }
                let noun = if self.rows == 1 { "row" } else { "rows" };
                format!("({} {noun})\n", self.rows)
            }
            Shown::Json => "]\n".to_owned(),
            Shown::Jsonl | Shown::Csv => String::new(),
        };
        self.columns = None;
        put(&end)
    }

    fn lay_out(&mut self) -> Result<(), Failure> {
        let columns = self.columns.as_deref().unwrap_or_default();
        let headings: Vec<&str> = columns.iter().map(String::as_str).collect();
        let cells: Vec<Vec<String>> = std::mem::take(&mut self.page)
            .into_iter()
            .map(|row| row.into_iter().map(Option::unwrap_or_default).collect())
            .collect();
        put(&table(&headings, &cells))
    }

    fn object(&self, cells: Vec<Option<String>>) -> Value {
        let columns = self.columns.iter().flatten().cloned();
        let members = columns.zip(cells.into_iter().map(|cell| json!(cell)));
        Value::Object(members.collect::<Map<String, Value>>())
    }
}

fn put(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        // `omnigraph sql … | head` is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::new(format!("standard output: {error}"))),
    }
}

/// A line of CSV. NULL is nothing, an empty text is quoted.
fn csv<'a>(cells: impl Iterator<Item = Option<&'a str>>) -> String {
    let quoted = cells.map(|cell| match cell {
        None => String::new(),
        Some(text) if text.is_empty() || text.contains(['"', ',', '\n', '\r']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Some(text) => text.to_owned(),
    });
    let line: Vec<String> = quoted.collect();
    format!("{}\n", line.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_csv_are_quoted_when_they_need_it() {
        let cells = [Some("a b"), Some("a,\"b\""), Some(""), None];
        assert_eq!(csv(cells.into_iter()), "a b,\"a,\"\"b\"\"\",\"\",\n");
    }
}
