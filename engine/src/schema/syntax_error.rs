//! What the grammar refuses, in words.

use pest::RuleType;
use pest::error::ErrorVariant;

use super::error::Span;
use super::parse::Rule;

/// The word (or the one character) that begins at a place, for the caret.
pub(crate) fn word_at(source: &str, at: usize) -> Span {
    let rest = &source[at..];
    let length = rest
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(rest.len());
    Span {
        start: at,
        end: at + length.max(1),
    }
}

/// What stands at a place and what could; `whole` is what ends at the source's end.
pub(crate) fn describe<R: RuleType>(
    error: &pest::error::Error<R>,
    source: &str,
    at: usize,
    whole: &str,
    expectation: fn(R) -> &'static [&'static str],
) -> String {
    match source.as_bytes().get(at..).unwrap_or_default() {
        [b'"', ..] => return "the string that begins here has no end".to_owned(),
        [b'/', b'*', ..] => return "the comment that begins here has no end".to_owned(),
        _ => {}
    }
    let found = match source[at..].chars().next() {
        None => format!("the end of {whole}"),
        Some(c) if c.is_alphanumeric() || c == '_' => {
            let span = word_at(source, at);
            format!("\"{}\"", &source[span.start..span.end])
        }
        Some(c) => format!("{c:?}").replace('\'', "\""),
    };
    let ErrorVariant::ParsingError { positives, .. } = &error.variant else {
        return format!("{found} cannot stand here");
    };
    let mut expected: Vec<&str> = Vec::new();
    for rule in positives {
        for text in expectation(*rule) {
            if !expected.contains(text) {
                expected.push(text);
            }
        }
    }
    match expected.as_slice() {
        [] => format!("{found} cannot stand here"),
        [one] => format!("expected {one}, found {found}"),
        [first @ .., last] => format!("expected {} or {last}, found {found}", first.join(", ")),
    }
}

pub(super) fn expectation(rule: Rule) -> &'static [&'static str] {
    match rule {
        Rule::declaration | Rule::interface | Rule::node | Rule::edge => {
            &["node", "edge", "interface"]
        }
        Rule::kw_interface => &["interface"],
        Rule::kw_node => &["node"],
        Rule::kw_edge => &["edge"],
        Rule::implements | Rule::kw_implements => &["implements"],
        Rule::body | Rule::open_brace => &["\"{\""],
        Rule::close_brace => &["\"}\""],
        Rule::open_bracket => &["\"[\""],
        Rule::close_bracket => &["\"]\""],
        Rule::close_paren => &["\")\""],
        Rule::colon => &["\":\""],
        Rule::arrow => &["\"->\""],
        Rule::property => &["a property"],
        Rule::property_type
        | Rule::list
        | Rule::enumeration
        | Rule::vector
        | Rule::kw_enum
        | Rule::kw_vector => &["a type"],
        Rule::optional => &["\"?\""],
        Rule::enum_word => &["a word of the enum"],
        Rule::annotation | Rule::annotation_name => &["an annotation"],
        Rule::arguments | Rule::open_paren => &["\"(\""],
        Rule::argument | Rule::named | Rule::value | Rule::endpoint => &["an argument"],
        Rule::range | Rule::lower | Rule::upper => &["a range"],
        Rule::name => &["a name"],
        Rule::integer => &["a whole number"],
        Rule::number => &["a number"],
        Rule::string | Rule::characters => &["a string"],
        Rule::separator | Rule::word_char | Rule::WHITESPACE | Rule::COMMENT => &[],
    }
}
