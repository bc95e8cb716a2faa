//! What is wrong with queries: every mistake with its place, the source line and a caret.

use std::fmt;

use crate::schema::{Collector, SchemaError, SchemaErrors, Span};

/// What sort of mistake it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Syntax,
    /// Something is too long or too deep.
    Limit,
    UnknownType,
    UnknownProperty,
    UnknownVariable,
    UnknownParameter,
    /// Two values that do not go together, or one where it cannot be.
    Type,
    /// A required property is not given.
    Missing,
    /// It can be written, and means nothing.
    Meaning,
}

/// All mistakes of one source, in the order of their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryErrors {
    /// Of the first.
    pub kind: Kind,
    /// Of all, in the order of their places.
    kinds: Vec<Kind>,
    errors: SchemaErrors,
}

impl QueryErrors {
    /// The same mistakes, told of a named file (`query.gq` unless somebody says otherwise).
    pub fn in_file(self, file: impl Into<String>) -> Self {
        QueryErrors {
            errors: self.errors.in_file(file),
            ..self
        }
    }

    /// Each with its place.
    pub fn errors(&self) -> &SchemaErrors {
        &self.errors
    }

    /// Each with what sort of mistake it is.
    pub fn each(&self) -> impl Iterator<Item = (Kind, &SchemaError)> {
        self.kinds.iter().copied().zip(self.errors.errors())
    }
}

impl fmt::Display for QueryErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.errors.fmt(f)
    }
}

impl std::error::Error for QueryErrors {}

/// Gathers mistakes while queries are read.
pub(super) struct Mistakes<'a> {
    collector: Collector<'a>,
    kinds: Vec<(usize, Kind, String)>,
    /// The query that is being read, which messages name.
    query: Option<String>,
}

impl<'a> Mistakes<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Mistakes {
            collector: Collector::new(source),
            kinds: Vec::new(),
            query: None,
        }
    }

    pub(super) fn of_query(&mut self, name: &str) {
        self.query = Some(name.to_owned());
    }

    pub(super) fn push(&mut self, kind: Kind, span: Span, message: impl Into<String>) {
        let message = self.named(message.into());
        self.kinds.push((span.start, kind, message.clone()));
        self.collector.push(span, message);
    }

    pub(super) fn push_hint(
        &mut self,
        kind: Kind,
        span: Span,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let message = self.named(message.into());
        self.kinds.push((span.start, kind, message.clone()));
        self.collector.push_hint(span, message, hint);
    }

    fn named(&self, message: String) -> String {
        match &self.query {
            Some(query) => format!("query {query}: {message}"),
            None => message,
        }
    }

    /// `Err` with everything found, if anything was.
    pub(super) fn finish(&mut self) -> Result<(), QueryErrors> {
        let pushed = std::mem::take(&mut self.kinds);
        let first = pushed.iter().min_by_key(|(start, ..)| *start);
        let kind = first.map_or(Kind::Syntax, |(_, kind, _)| *kind);
        let kind_of = |error: &SchemaError| {
            let same = pushed
                .iter()
                .find(|(.., message)| *message == error.message);
            same.map_or(kind, |(_, kind, _)| *kind)
        };
        self.collector.finish().map_err(|errors| QueryErrors {
            kind,
            kinds: errors.errors().iter().map(kind_of).collect(),
            errors: errors.in_file("query.gq"),
        })
    }
}
