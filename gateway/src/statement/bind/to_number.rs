//! `to_number(text, format)`: digits, signs and points where the format has them.

use std::iter::Peekable;
use std::str::Chars;

use arrow::array::AsArray;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{call_with, rows};
use omnigraph_udfs::{Error, Result};

use super::coerce::Context;
use super::datetime::texts;
use super::typed::Typed;
use super::types::numeric_of;
use super::{Binder, unsupported};
use crate::error::PgResult;
use crate::sqlstate::from_function;
use crate::text::read::null;

/// One element of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Element {
    Digit,
    Point,
    Group,
    /// S, MI, PL, SG: a sign may stand here.
    Sign,
    /// PR: angle brackets around negative numbers.
    Brackets,
    /// Something that is skipped, whatever it is.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Format {
    elements: Vec<Element>,
    before: u8,
    after: u8,
}

impl Format {
    fn parse(written: &str) -> Result<Self> {
        let mut format = Format {
            elements: Vec::new(),
            before: 0,
            after: 0,
        };
        let mut rest = written;
        let mut behind_point = false;
        while let Some(first) = rest.chars().next() {
            let upper = rest.get(..2).map(str::to_ascii_uppercase);
            let two = upper.as_deref().unwrap_or_default();
            let (element, length) = match (two, first.to_ascii_uppercase()) {
                ("FM", _) => (None, 2),
                ("MI" | "PL" | "SG", _) => (Some(Element::Sign), 2),
                ("PR", _) => (Some(Element::Brackets), 2),
                ("TH", _) => (Some(Element::Other), 2),
                ("RN", _) => return Err(not_read("RN")),
                ("EE", _) => return Err(not_read("EEEE")),
                (_, 'V') => return Err(not_read("V")),
                (_, '9' | '0') => {
                    let count = if behind_point {
                        &mut format.after
                    } else {
                        &mut format.before
                    };
                    *count = count.saturating_add(1);
                    (Some(Element::Digit), 1)
                }
                (_, '.' | 'D') if behind_point => {
                    return Err(Error::value("42601", "multiple decimal points"));
                }
                (_, '.' | 'D') => {
                    behind_point = true;
                    (Some(Element::Point), 1)
                }
                (_, ',' | 'G') => (Some(Element::Group), 1),
                (_, 'S') => (Some(Element::Sign), 1),
                (_, '"') => {
                    let quoted = rest[1..].split('"').next().unwrap_or_default();
                    let skipped = quoted.chars().map(|_| Element::Other);
                    format.elements.extend(skipped);
                    (None, (quoted.len() + 2).min(rest.len()))
                }
                _ => (Some(Element::Other), first.len_utf8()),
            };
            format.elements.extend(element);
            rest = &rest[length..];
        }
        Ok(format)
    }

    /// The number as text that `numeric` reads.
    fn read(&self, text: &str) -> Result<String> {
        let mut input = text.chars().peekable();
        let mut number = Digits::default();
        for element in &self.elements {
            match element {
                Element::Digit => number.digit(&mut input),
                Element::Point => number.point(&mut input),
                Element::Group => {
                    input.next_if_eq(&',');
                }
                Element::Sign | Element::Brackets => number.sign(&mut input),
                Element::Other => {
                    input.next();
                }
            }
        }
        if !number.text.contains(|c: char| c.is_ascii_digit()) {
            return Err(Error::value(
                "22P02",
                "invalid input syntax for type numeric: \" \"",
            ));
        }
        let sign = if number.negative { "-" } else { "" };
        Ok(format!("{sign}{}", number.text))
    }
}

#[derive(Debug, Default)]
struct Digits {
    negative: bool,
    text: String,
    has_point: bool,
}

impl Digits {
    /// Before the first digit blanks and a sign are passed over.
    fn digit(&mut self, input: &mut Peekable<Chars<'_>>) {
        if self.text.is_empty() {
            while input.next_if(|c| c.is_whitespace()).is_some() {}
            self.sign(input);
        }
        match input.peek() {
            Some('.') => self.point(input),
            Some(digit) if digit.is_ascii_digit() => {
                self.text.push(*digit);
                input.next();
            }
            _ => {}
        }
    }

    fn point(&mut self, input: &mut Peekable<Chars<'_>>) {
        if !self.has_point && input.next_if_eq(&'.').is_some() {
            self.has_point = true;
            self.text.push('.');
        }
    }

    fn sign(&mut self, input: &mut Peekable<Chars<'_>>) {
        match input.peek() {
            Some('-' | '<') => {
                self.negative = true;
                input.next();
            }
            Some('+' | '>') => {
                input.next();
            }
            _ => {}
        }
    }
}

fn not_read(pattern: &str) -> Error {
    Error::value("0A000", format!("\"{pattern}\" not supported for input"))
}

impl Binder<'_> {
    /// The format says how many digits the result has, so it has to be known.
    pub(super) fn to_number(&mut self, args: Vec<Typed>, at: Option<u32>) -> PgResult<Typed> {
        let format = match args.get(1).and_then(Typed::constant) {
            Some(ScalarValue::Utf8(Some(format))) => format.clone(),
            Some(_) => {
                let ty = numeric_of(38, 0);
                return Ok(Typed::value(null(ty)?, ty));
            }
            None => {
                let what = "to_number() with a format that is not constant";
                return Err(unsupported(what, at));
            }
        };
        let parsed = Format::parse(&format).map_err(|error| from_function(&error))?;
        if let Some(ScalarValue::Utf8(Some(text))) = args.first().and_then(Typed::constant) {
            let number = parsed.read(text).map_err(|error| from_function(&error))?;
            let number = Typed::literal(Some(number), at);
            return self.coerce(number, PgType::NUMERIC, Context::Implicit);
        }
        let ty = numeric_of(
            parsed.before.saturating_add(parsed.after).clamp(1, 76),
            i8::try_from(parsed.after).unwrap_or(75),
        );
        let values: Vec<Expr> = args.into_iter().take(1).map(|arg| arg.expr).collect();
        let read = call_with("to_number", format, DataType::Utf8, values, move |arrays| {
            let numbers: Vec<Option<String>> = rows(arrays, |row| {
                let text = arrays[0].as_string::<i32>().value(row);
                parsed.read(text).map(Some)
            })?;
            Ok(texts(numbers))
        });
        Ok(Typed::new(self.cast_from_text(read, ty), ty))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_postgresql_reads_them() {
        for (text, format, expected) in [
            ("12,454.8-", "99G999D9S", "-12454.8"),
            ("-34,338,492", "99G999G999", "-34338492"),
            ("<564646.654564>", "999999.999999PR", "-564646.654564"),
            ("0.00001-", "9.999999S", "-0.00001"),
            ("  4 . 4 4 4 5+", "9 . 9 9 9 9 9S", "4.4445"),
            ("123456", "999G999", "123456"),
            ("$1234.56", "L9,999.99", "1234.56"),
            (".01", "99.99", ".01"),
        ] {
            let format = Format::parse(format).unwrap();
            assert_eq!(format.read(text).unwrap(), expected, "{text}");
        }
        assert!(Format::parse("9.9.9").is_err());
        assert!(Format::parse("99").unwrap().read("x").is_err());
    }
}
