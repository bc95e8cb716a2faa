//! `.pg` text → syntax with spans. Nothing is resolved here; see check.rs.

use pest::Parser;
use pest::error::InputLocation;
use pest::iterators::Pair;

use super::Literal;
use super::error::{Collector, Span};
use super::syntax_error::{describe, expectation, word_at};

/// The parser that pest makes of the grammar.
mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "schema/pg.pest"]
    pub(crate) struct Grammar;
}
pub(crate) use grammar::{Grammar, Rule};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spanned<T> {
    pub value: T,
    pub span: Span,
}

#[derive(Debug, Clone)]
pub(crate) struct Declaration {
    pub kind: DeclarationKind,
    pub name: Spanned<String>,
    pub annotations: Vec<AnnotationSyntax>,
    pub implements: Vec<Spanned<String>>,
    pub properties: Vec<PropertySyntax>,
    /// `@key(a, b)` and its like, which belong to the type although they stand in its body.
    pub constraints: Vec<AnnotationSyntax>,
    pub span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum DeclarationKind {
    Interface,
    Node,
    Edge {
        from: Spanned<String>,
        to: Spanned<String>,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct PropertySyntax {
    pub name: Spanned<String>,
    pub ty: Spanned<TypeSyntax>,
    pub nullable: bool,
    pub annotations: Vec<AnnotationSyntax>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TypeSyntax {
    Name(String),
    List(String),
    Enum(Vec<Spanned<String>>),
    Vector(String),
}

#[derive(Debug, Clone)]
pub(crate) struct AnnotationSyntax {
    pub name: String,
    pub arguments: Option<Vec<Spanned<Argument>>>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Argument {
    Value(Literal),
    /// `@src`: an edge's own column.
    Endpoint(String),
    Named(String, Literal),
    Range {
        min: Option<String>,
        max: Option<String>,
    },
}

impl AnnotationSyntax {
    pub fn arguments(&self) -> &[Spanned<Argument>] {
        self.arguments.as_deref().unwrap_or_default()
    }

    /// Constraints that name their properties belong to the type; without such a name they
    /// belong to the property before them.
    fn is_body_constraint(&self) -> bool {
        let names_property = matches!(
            self.arguments().first().map(|argument| &argument.value),
            Some(Argument::Value(Literal::Ident(_)) | Argument::Endpoint(_))
        );
        match self.name.as_str() {
            "card" => true,
            "key" | "unique" | "index" | "range" | "check" => names_property,
            _ => false,
        }
    }
}

/// Larger sources are refused before they are read.
pub(crate) const MAX_SOURCE_BYTES: usize = 4 << 20;

/// All declarations of a source. Syntax errors go to `errors`; after one, reading goes on at
/// the next line that begins a declaration.
pub(crate) fn parse(source: &str, errors: &mut Collector<'_>) -> Vec<Declaration> {
    if source.len() > MAX_SOURCE_BYTES {
        errors.push(
            Span { start: 0, end: 0 },
            format!(
                "the schema has {} bytes; the limit is {MAX_SOURCE_BYTES}",
                source.len()
            ),
        );
        return Vec::new();
    }
    let mut declarations = Vec::new();
    let mut at = 0;
    loop {
        at += skip_blank(&source[at..]);
        if at >= source.len() {
            return declarations;
        }
        match Grammar::parse(Rule::declaration, &source[at..]) {
            Ok(mut pairs) => {
                let Some(pair) = pairs.next() else {
                    return declarations;
                };
                let end = pair.as_span().end();
                if let Some(declaration) = pair.into_inner().next() {
                    declarations.push(read_declaration(declaration, at, errors));
                }
                // A declaration has at least its keyword, so this moves on.
                at += end.max(1);
            }
            Err(error) => {
                let place = at
                    + match error.location {
                        InputLocation::Pos(pos) | InputLocation::Span((pos, _)) => pos,
                    };
                errors.push(
                    word_at(source, place),
                    describe(&error, source, place, "the schema", expectation),
                );
                match next_declaration(source, place.max(at + 1)) {
                    Some(next) => at = next,
                    None => return declarations,
                }
            }
        }
    }
}

/// How many bytes of white space, whole comments and stray separators `text` begins with.
pub(crate) fn skip_blank(text: &str) -> usize {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n', '\u{FEFF}', ',', ';']);
        rest = if let Some(comment) = trimmed.strip_prefix("//") {
            comment.find('\n').map_or("", |end| &comment[end..])
        } else if let Some(comment) = trimmed.strip_prefix("/*")
            && let Some(end) = comment.find("*/")
        {
            &comment[end + 2..]
        } else {
            return text.len() - trimmed.len();
        };
    }
}

/// Where the next line after `from` begins that looks like a declaration.
fn next_declaration(source: &str, from: usize) -> Option<usize> {
    let mut at = from;
    while !source.is_char_boundary(at) {
        at += 1;
    }
    loop {
        at += source.get(at..)?.find('\n')? + 1;
        let line = source[at..].trim_start_matches([' ', '\t']);
        let is_declaration = ["node ", "edge ", "interface "].iter().any(|keyword| {
            line.strip_prefix(keyword).is_some_and(|rest| {
                rest.trim_start()
                    .starts_with(|c: char| c.is_ascii_alphabetic())
            })
        });
        if is_declaration {
            return Some(source.len() - line.len());
        }
    }
}

/// Turns pairs into syntax. `base` is where the declaration's text begins in the source.
fn read_declaration(pair: Pair<'_, Rule>, base: usize, errors: &mut Collector<'_>) -> Declaration {
    let reader = Reader { base };
    let rule = pair.as_rule();
    let span = reader.tokens(&pair);
    let mut names = Vec::new();
    let mut annotations = Vec::new();
    let mut implements = Vec::new();
    let mut properties: Vec<PropertySyntax> = Vec::new();
    let mut constraints = Vec::new();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::name => names.push(reader.name(&part)),
            Rule::implements => implements.extend(
                part.into_inner()
                    .filter(|inner| inner.as_rule() == Rule::name)
                    .map(|inner| reader.name(&inner)),
            ),
            Rule::annotation => {
                let annotation = reader.annotation(part, errors);
                if annotation.is_body_constraint() {
                    constraints.push(annotation);
                } else {
                    annotations.push(annotation);
                }
            }
            Rule::body => {
                for item in part.into_inner() {
                    match item.as_rule() {
                        Rule::property => properties.push(reader.property(item)),
                        Rule::annotation => {
                            let annotation = reader.annotation(item, errors);
                            if annotation.is_body_constraint() {
                                constraints.push(annotation);
                            } else if let Some(property) = properties.last_mut() {
                                property.annotations.push(annotation);
                            } else {
                                errors.push_hint(
                                    annotation.span,
                                    format!("@{} has no property before it", annotation.name),
                                    "Annotations follow what they describe; those of the type stand before \"{\".",
                                );
                            }
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let mut names = names.into_iter();
    let nameless = || Spanned {
        value: String::new(),
        span: Span {
            start: base,
            end: base,
        },
    };
    let name = names.next().unwrap_or_else(nameless);
    let kind = match rule {
        Rule::interface => DeclarationKind::Interface,
        Rule::edge => DeclarationKind::Edge {
            from: names.next().unwrap_or_else(nameless),
            to: names.next().unwrap_or_else(nameless),
        },
        _ => DeclarationKind::Node,
    };
    Declaration {
        kind,
        name,
        annotations,
        implements,
        properties,
        constraints,
        span,
    }
}

struct Reader {
    base: usize,
}

impl Reader {
    fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let span = pair.as_span();
        Span {
            start: self.base + span.start(),
            end: self.base + span.end(),
        }
    }

    /// Up to the last token: white space and comments after it are none of it.
    fn tokens(&self, pair: &Pair<'_, Rule>) -> Span {
        let last = pair.clone().into_inner().flatten().last();
        Span {
            start: self.base + pair.as_span().start(),
            end: self.base + last.unwrap_or_else(|| pair.clone()).as_span().end(),
        }
    }

    fn name(&self, pair: &Pair<'_, Rule>) -> Spanned<String> {
        Spanned {
            value: pair.as_str().to_owned(),
            span: self.span(pair),
        }
    }

    fn property(&self, pair: Pair<'_, Rule>) -> PropertySyntax {
        let whole = self.span(&pair);
        let mut name = Spanned {
            value: String::new(),
            span: whole,
        };
        let mut ty = Spanned {
            value: TypeSyntax::Name(String::new()),
            span: whole,
        };
        let mut nullable = false;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => name = self.name(&part),
                Rule::property_type => {
                    ty.span = self.tokens(&part);
                    for inner in part.into_inner() {
                        match inner.as_rule() {
                            Rule::optional => nullable = true,
                            _ => ty.value = self.property_type(inner),
                        }
                    }
                }
                _ => {}
            }
        }
        PropertySyntax {
            name,
            ty,
            nullable,
            annotations: Vec::new(),
        }
    }

    fn property_type(&self, pair: Pair<'_, Rule>) -> TypeSyntax {
        let text_of = |pair: Pair<'_, Rule>, rule: Rule| {
            pair.into_inner()
                .find(|inner| inner.as_rule() == rule)
                .map(|inner| inner.as_str().to_owned())
                .unwrap_or_default()
        };
        match pair.as_rule() {
            Rule::list => TypeSyntax::List(text_of(pair, Rule::name)),
            Rule::vector => TypeSyntax::Vector(text_of(pair, Rule::integer)),
            Rule::enumeration => TypeSyntax::Enum(
                pair.into_inner()
                    .filter(|inner| inner.as_rule() == Rule::enum_word)
                    .map(|inner| self.name(&inner))
                    .collect(),
            ),
            _ => TypeSyntax::Name(pair.as_str().to_owned()),
        }
    }

    fn annotation(&self, pair: Pair<'_, Rule>, errors: &mut Collector<'_>) -> AnnotationSyntax {
        let span = self.tokens(&pair);
        let mut name = String::new();
        let mut arguments = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::annotation_name => name = part.as_str()[1..].to_owned(),
                Rule::arguments => {
                    arguments = Some(
                        part.into_inner()
                            .filter(|inner| inner.as_rule() == Rule::argument)
                            .filter_map(|inner| self.argument(inner, errors))
                            .collect(),
                    );
                }
                _ => {}
            }
        }
        AnnotationSyntax {
            name,
            arguments,
            span,
        }
    }

    fn argument(
        &self,
        pair: Pair<'_, Rule>,
        errors: &mut Collector<'_>,
    ) -> Option<Spanned<Argument>> {
        let span = self.span(&pair);
        let inner = pair.into_inner().next()?;
        let value = match inner.as_rule() {
            Rule::named => {
                let mut parts = inner.into_inner();
                let name = parts.next()?.as_str().to_owned();
                match self.value(parts.next()?)? {
                    Argument::Value(literal) => Argument::Named(name, literal),
                    _ => {
                        errors.push(
                            span,
                            format!("{name} takes a string, a number, true, false or a word"),
                        );
                        return None;
                    }
                }
            }
            Rule::range => {
                let (mut min, mut max) = (None, None);
                for bound in inner.into_inner() {
                    let text = bound.as_str().trim().to_owned();
                    match bound.as_rule() {
                        Rule::lower => min = Some(text),
                        Rule::upper if text != "*" => max = Some(text),
                        _ => {}
                    }
                }
                Argument::Range { min, max }
            }
            _ => self.value(inner)?,
        };
        Some(Spanned { value, span })
    }

    fn value(&self, pair: Pair<'_, Rule>) -> Option<Argument> {
        let inner = pair.into_inner().next()?;
        let text = inner.as_str();
        Some(match inner.as_rule() {
            Rule::string => Argument::Value(Literal::String(unescape(
                inner
                    .into_inner()
                    .next()
                    .map_or("", |characters| characters.as_str()),
            ))),
            Rule::number => Argument::Value(Literal::Number(text.to_owned())),
            Rule::endpoint => Argument::Endpoint(text[1..].to_owned()),
            _ => Argument::Value(match text {
                "true" => Literal::Bool(true),
                "false" => Literal::Bool(false),
                "null" => Literal::Null,
                word => Literal::Ident(word.to_owned()),
            }),
        })
    }
}

/// `\"`, `\\`, `\n`, `\r` and `\t` are escapes; any other backslash stands for itself, so that
/// regular expressions may be written as they are.
pub(crate) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match characters.next() {
            Some(quoted @ ('"' | '\\')) => out.push(quoted),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    out
}
