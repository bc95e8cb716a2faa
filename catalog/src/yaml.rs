//! Declared files in YAML, read with the place of everything in them.
//!
//! A mapping is taken apart by name; what is left over when it was read is unknown and named.
//! Keys are strings and none may come twice.

use std::collections::{HashMap, VecDeque};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::diagnostic::{Diagnostic, Place};

/// Values in one file, aliases followed: a small file cannot stand for a huge one.
const MAX_VALUES: usize = 100_000;
const MAX_DEPTH: usize = 64;

#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub value: Value,
    pub line: usize,
    pub column: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    /// Plain text may stand for a number or boolean; quoted text is text.
    Scalar {
        text: String,
        plain: bool,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

/// Reads a file that holds one document.
pub fn parse(file: &str, text: &str) -> Result<Node, Diagnostic> {
    let mut reader = Reader {
        file,
        events: VecDeque::new(),
        anchors: HashMap::new(),
        values: 0,
    };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((Event::StreamStart | Event::StreamEnd | Event::Nothing, _)) => {}
            Ok(event) => reader.events.push_back(event),
            Err(error) => {
                let mark = error.marker();
                return Err(invalid(file, mark.line(), mark.col() + 1, error.info()));
            }
        }
    }
    reader.document()
}

fn invalid(file: &str, line: usize, column: usize, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("invalid_yaml", message).at(place(file, line, column))
}

fn place(file: &str, line: usize, column: usize) -> Place {
    Place {
        file: file.to_owned(),
        line: Some(line),
        column: Some(column),
    }
}

struct Reader<'a> {
    file: &'a str,
    events: VecDeque<(Event<'a>, Span)>,
    anchors: HashMap<usize, Node>,
    values: usize,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<Node, Diagnostic> {
        if !matches!(self.events.pop_front(), Some((Event::DocumentStart(_), _))) {
            return Err(invalid(self.file, 1, 1, "the file is empty"));
        }
        let node = self.node(0)?;
        self.events.pop_front();
        match self.events.pop_front() {
            None => Ok(node),
            Some((_, span)) => Err(invalid(
                self.file,
                span.start.line(),
                span.start.col() + 1,
                "a second document begins here",
            )),
        }
    }

    fn node(&mut self, depth: usize) -> Result<Node, Diagnostic> {
        let Some((event, span)) = self.events.pop_front() else {
            return Err(invalid(self.file, 1, 1, "the file ends too early"));
        };
        let (line, column) = (span.start.line(), span.start.col() + 1);
        self.values += 1;
        if self.values > MAX_VALUES || depth > MAX_DEPTH {
            return Err(invalid(self.file, line, column, "the file holds too much"));
        }
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let value = match &*text {
                    "" | "~" | "null" if plain => Value::Null,
                    _ => Value::Scalar {
                        text: text.into_owned(),
                        plain,
                    },
                };
                (anchor, value)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                while !self.ends(|event| matches!(event, Event::SequenceEnd)) {
                    items.push(self.node(depth + 1)?);
                }
                (anchor, Value::Sequence(items))
            }
            Event::MappingStart(anchor, _) => {
                let mut entries: Vec<(Node, Node)> = Vec::new();
                while !self.ends(|event| matches!(event, Event::MappingEnd)) {
                    let key = self.node(depth + 1)?;
                    let Some(name) = key.text().map(str::to_owned) else {
                        return Err(invalid(
                            self.file,
                            key.line,
                            key.column,
                            "a key must be text",
                        ));
                    };
                    if let Some((first, _)) =
                        entries.iter().find(|(held, _)| held.text() == Some(&name))
                    {
                        let message =
                            format!("\"{name}\" was given in line {} already", first.line);
                        return Err(Diagnostic::error("duplicate_key", message)
                            .at(place(self.file, key.line, key.column)));
                    }
                    let value = self.node(depth + 1)?;
                    entries.push((key, value));
                }
                (anchor, Value::Mapping(entries))
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(invalid(
                        self.file,
                        line,
                        column,
                        "this alias stands for nothing",
                    ));
                };
                self.values += node.size();
                return Ok(node);
            }
            _ => return Err(invalid(self.file, line, column, "a value is missing")),
        };
        let node = Node {
            value,
            line,
            column,
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// Is the next event the end of a collection? Then it is taken.
    fn ends(&mut self, end: impl Fn(&Event<'_>) -> bool) -> bool {
        let found = self.events.front().is_none_or(|(event, _)| end(event));
        if found {
            self.events.pop_front();
        }
        found
    }
}

impl Node {
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    fn size(&self) -> usize {
        match &self.value {
            Value::Null | Value::Scalar { .. } => 1,
            Value::Sequence(items) => 1 + items.iter().map(Node::size).sum::<usize>(),
            Value::Mapping(entries) => {
                let entries = entries.iter();
                1 + entries
                    .map(|(key, value)| key.size() + value.size())
                    .sum::<usize>()
            }
        }
    }

    /// In JSON's terms, for what is only kept and compared.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Scalar { text, plain: true } if matches!(text.as_str(), "true" | "false") => {
                (text == "true").into()
            }
            Value::Scalar { text, plain: true } => match text.parse::<serde_json::Number>() {
                Ok(number) => number.into(),
                Err(_) => text.as_str().into(),
            },
            Value::Scalar { text, .. } => text.as_str().into(),
            Value::Sequence(items) => items.iter().map(Node::to_json).collect(),
            Value::Mapping(entries) => entries
                .iter()
                .map(|(key, value)| (key.text().unwrap_or_default().to_owned(), value.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

/// One file while it is taken apart: every finding is kept, reading goes on.
#[derive(Debug)]
pub struct Findings<'a> {
    file: &'a str,
    pub found: Vec<Diagnostic>,
}

impl<'a> Findings<'a> {
    pub fn new(file: &'a str) -> Self {
        Findings {
            file,
            found: Vec::new(),
        }
    }

    pub fn place(&self, node: &Node) -> Place {
        place(self.file, node.line, node.column)
    }

    pub fn report(&mut self, node: &Node, code: &'static str, message: impl Into<String>) {
        let place = self.place(node);
        self.found.push(Diagnostic::error(code, message).at(place));
    }

    pub fn report_hint(
        &mut self,
        node: &Node,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let place = self.place(node);
        self.found
            .push(Diagnostic::error(code, message).at(place).hint(hint));
    }

    /// The node as a mapping; something else is reported and read as an empty one.
    pub fn mapping<'n>(&mut self, node: &'n Node, what: &str) -> Mapping<'n> {
        let entries = match &node.value {
            Value::Mapping(entries) => entries.iter().map(|(key, value)| (key, value)).collect(),
            Value::Null => Vec::new(),
            _ => {
                self.report(node, "invalid_value", format!("{what} must be a mapping"));
                Vec::new()
            }
        };
        Mapping {
            node,
            what: what.to_owned(),
            entries,
        }
    }

    pub fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = node.text().map(str::to_owned);
        if text.is_none() {
            self.report(node, "invalid_value", format!("{what} must be text"));
        }
        text
    }

    pub fn bool(&mut self, node: &Node, what: &str) -> Option<bool> {
        match node.text() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => {
                self.report(
                    node,
                    "invalid_value",
                    format!("{what} must be true or false"),
                );
                None
            }
        }
    }

    pub fn sequence<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.value {
            Value::Sequence(items) => items,
            _ => {
                self.report(node, "invalid_value", format!("{what} must be a list"));
                &[]
            }
        }
    }

    pub fn texts(&mut self, node: &Node, what: &str) -> Vec<(String, Node)> {
        let mut texts = Vec::new();
        for item in self.sequence(node, what) {
            let text = self.text(item, &format!("each of {what}"));
            texts.extend(text.map(|text| (text, item.clone())));
        }
        texts
    }
}

/// A mapping that is being taken apart.
#[derive(Debug)]
pub struct Mapping<'n> {
    pub node: &'n Node,
    what: String,
    entries: Vec<(&'n Node, &'n Node)>,
}

impl<'n> Mapping<'n> {
    pub fn take(&mut self, key: &str) -> Option<&'n Node> {
        self.take_entry(key).map(|(_, value)| value)
    }

    /// Where a key is written.
    pub fn key(&self, key: &str) -> Option<&'n Node> {
        let mut keys = self.entries.iter().map(|(held, _)| *held);
        keys.find(|held| held.text() == Some(key))
    }

    pub fn take_entry(&mut self, key: &str) -> Option<(&'n Node, &'n Node)> {
        let at = self
            .entries
            .iter()
            .position(|(held, _)| held.text() == Some(key))?;
        Some(self.entries.remove(at))
    }

    pub fn require(&mut self, key: &str, findings: &mut Findings<'_>) -> Option<&'n Node> {
        let found = self.take(key);
        if found.is_none() {
            let message = format!("{} must have \"{key}\"", self.what);
            findings.report(self.node, "missing_field", message);
        }
        found
    }

    /// All entries that are left, by name.
    pub fn rest(self) -> impl Iterator<Item = (&'n str, &'n Node, &'n Node)> {
        self.entries
            .into_iter()
            .map(|(key, value)| (key.text().unwrap_or_default(), key, value))
    }

    /// What was not taken is unknown.
    pub fn end(self, findings: &mut Findings<'_>) {
        let what = self.what.clone();
        for (name, key, _) in self.rest() {
            findings.report(key, "unknown_field", format!("{what} has no \"{name}\""));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_a_place() {
        let node = parse("f", "a: 1\nb:\n  - x\n  - {c: 'true', d: true}\n").unwrap();
        let mut findings = Findings::new("f");
        let mut all = findings.mapping(&node, "the file");
        let list = all.take("b").unwrap();
        let items = findings.sequence(list, "b");
        assert_eq!((items[1].line, items[1].column), (4, 5));
        assert_eq!(
            items[1].to_json(),
            serde_json::json!({ "c": "true", "d": true })
        );
        all.end(&mut findings);
        assert_eq!(
            findings.found[0].to_string(),
            "error[unknown_field] f:1:1: the file has no \"a\""
        );
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (text, code, line) in [
            ("a: 1\nb: 2\na: 3\n", "duplicate_key", 3),
            ("a: [1\n", "invalid_yaml", 2),
            ("", "invalid_yaml", 1),
            ("a: 1\n---\nb: 2\n", "invalid_yaml", 2),
            ("[x]: 1\n", "invalid_yaml", 1),
        ] {
            let error = parse("f", text).unwrap_err();
            assert_eq!(error.code, code, "{text:?}: {error}");
            assert_eq!(error.place.unwrap().line, Some(line), "{text:?}");
        }
    }

    #[test]
    fn aliases_are_followed_and_cannot_grow_without_bound() {
        let node = parse("f", "a: &x [1, 2]\nb: *x\n").unwrap();
        assert_eq!(
            node.to_json(),
            serde_json::json!({ "a": [1, 2], "b": [1, 2] })
        );
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
        }
        assert_eq!(parse("f", &text).unwrap_err().code, "invalid_yaml");
    }
}
