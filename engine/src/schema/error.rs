//! What is wrong with a schema: every mistake with its place, the source line and a caret.

use std::fmt;

use crate::error::Error;

/// A part of the source, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn range(self) -> std::ops::Range<usize> {
        self.start..self.end
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError {
    pub message: String,
    pub hint: Option<String>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// How many characters the caret underlines.
    pub width: usize,
    pub source_line: String,
}

/// All mistakes found in one schema, in the order of their places; at most [`SchemaErrors::LIMIT`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaErrors {
    file: String,
    errors: Vec<SchemaError>,
    omitted: usize,
}

impl SchemaErrors {
    pub const LIMIT: usize = 20;
    /// What a text is called that has no name of its own.
    const UNNAMED: &str = "schema.pg";

    /// The same mistakes, told of a named file (`schema.pg` unless somebody says otherwise).
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.file = file.into();
        self
    }

    pub fn errors(&self) -> &[SchemaError] {
        &self.errors
    }

    /// The message of an error for somebody who never saw the text that it points into.
    pub fn without_place(message: &str) -> &str {
        let placed = message.strip_prefix(Self::UNNAMED);
        let reason = placed.and_then(|rest| rest.split_once(": "));
        reason.map_or(message, |(_, reason)| reason)
    }

    fn place(&self, error: &SchemaError) -> String {
        format!("{}:{}:{}", self.file, error.line, error.column)
    }

    fn render(&self, error: &SchemaError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Longer lines are cut around the caret.
        const SHOWN: usize = 120;
        let number = error.line.to_string();
        let gutter = " ".repeat(number.len());
        let characters: Vec<char> = error
            .source_line
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let caret = (error.column - 1).min(characters.len());
        let from = if caret > SHOWN * 3 / 4 {
            caret - SHOWN / 2
        } else {
            0
        };
        let to = characters.len().min(from + SHOWN);
        let shown: String = characters[from..to].iter().collect();
        let width = error.width.clamp(1, (to - caret).max(1));
        writeln!(f, "{}: {}", self.place(error), error.message)?;
        writeln!(f, " {number} | {}", shown.trim_end())?;
        write!(
            f,
            " {gutter} | {}{}",
            " ".repeat(caret - from),
            "^".repeat(width)
        )?;
        if let Some(hint) = &error.hint {
            write!(f, "\n {gutter} = hint: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SchemaErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.errors.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            self.render(error, f)?;
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for SchemaErrors {}

impl From<SchemaErrors> for Error {
    fn from(errors: SchemaErrors) -> Self {
        let Some(first) = errors.errors.first() else {
            return Error::internal("a schema was refused without a reason");
        };
        Error::Invalid {
            message: format!("{}: {}", errors.place(first), first.message),
            detail: Some(errors.to_string()),
            hint: first.hint.clone(),
        }
    }
}

/// Gathers mistakes while a schema is read.
pub(crate) struct Collector<'a> {
    source: &'a str,
    found: Vec<(usize, SchemaError)>,
    omitted: usize,
}

impl<'a> Collector<'a> {
    pub fn new(source: &'a str) -> Self {
        Collector {
            source,
            found: Vec::new(),
            omitted: 0,
        }
    }

    pub fn push(&mut self, span: Span, message: impl Into<String>) {
        self.add(span, message.into(), None);
    }

    pub fn push_hint(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.add(span, message.into(), Some(hint.into()));
    }

    fn add(&mut self, span: Span, message: String, hint: Option<String>) {
        let start = floor_boundary(self.source, span.start);
        // An interface's mistake shows again in each type that implements it.
        if self
            .found
            .iter()
            .any(|(at, error)| *at == start && error.message == message)
        {
            return;
        }
        if self.found.len() >= SchemaErrors::LIMIT {
            self.omitted += 1;
            return;
        }
        let before = &self.source[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.source[start..]
            .find('\n')
            .map_or(self.source.len(), |at| start + at);
        let end = floor_boundary(self.source, span.end.min(line_end)).max(start);
        let error = SchemaError {
            message,
            hint,
            line: before.bytes().filter(|&b| b == b'\n').count() + 1,
            column: self.source[line_start..start].chars().count() + 1,
            width: self.source[start..end].chars().count().max(1),
            source_line: self.source[line_start..line_end]
                .trim_end_matches('\r')
                .to_owned(),
        };
        self.found.push((start, error));
    }

    /// `Err` with everything found, if anything was.
    pub fn finish(&mut self) -> Result<(), SchemaErrors> {
        if self.found.is_empty() {
            return Ok(());
        }
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|(start, _)| *start);
        Err(SchemaErrors {
            file: SchemaErrors::UNNAMED.to_owned(),
            errors: found.into_iter().map(|(_, error)| error).collect(),
            omitted: self.omitted,
        })
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
