//! One value of a line, read by the type of its property.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::json::{Kind, Result, Scanner, shown};
use crate::schema::key::KeyValue;
use crate::schema::text::{parse_date, parse_datetime};
use crate::schema::{LiteralValue, PropertyType, Scalar, non_finite};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'a> {
    /// The property was not given.
    Absent,
    Null,
    Text(Cow<'a, str>),
    Blob(Vec<u8>),
    /// Where the bytes of a blob are.
    BlobUri(Cow<'a, str>),
    Bool(bool),
    I32(i32),
    I64(i64),
    U32(u32),
    U64(u64),
    F32(f32),
    F64(f64),
    Date(i32),
    DateTime(i64),
    List(Vec<Cell<'a>>),
    Vector(Vec<f32>),
}

/// Why a value was not read. After `Unsuitable` the scanner stands behind the value.
#[derive(Debug)]
pub(crate) enum Refusal {
    Malformed(String),
    Unsuitable(String),
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Refusal::Malformed(reason)
    }
}

impl<'a> Cell<'a> {
    pub fn read(
        scanner: &mut Scanner<'a>,
        ty: &PropertyType,
    ) -> std::result::Result<Self, Refusal> {
        if scanner.kind()? == Kind::Null {
            scanner.null()?;
            return Ok(Cell::Null);
        }
        match ty {
            PropertyType::Scalar(scalar) => read_scalar(scanner, *scalar),
            PropertyType::Enum(words) => match read_scalar(scanner, Scalar::String)? {
                Cell::Text(word) if !words.iter().any(|known| *known == word) => {
                    Err(Refusal::Unsuitable(format!(
                        "\"{}\" is not one of {}",
                        shown(&word),
                        shown_words(words)
                    )))
                }
                cell => Ok(cell),
            },
            PropertyType::List(scalar) => read_list(scanner, *scalar),
            PropertyType::Vector(dimension) => read_vector(scanner, *dimension),
        }
    }

    pub fn of_default(value: &LiteralValue) -> Self {
        match value {
            LiteralValue::String(text) => Cell::Text(Cow::Owned(text.clone())),
            LiteralValue::Blob(bytes) => Cell::Blob(bytes.clone()),
            LiteralValue::Bool(value) => Cell::Bool(*value),
            LiteralValue::I32(value) => Cell::I32(*value),
            LiteralValue::I64(value) => Cell::I64(*value),
            LiteralValue::U32(value) => Cell::U32(*value),
            LiteralValue::U64(value) => Cell::U64(*value),
            LiteralValue::F32(value) => Cell::F32(*value),
            LiteralValue::F64(value) => Cell::F64(*value),
            LiteralValue::Date(days) => Cell::Date(*days),
            LiteralValue::DateTime(micros) => Cell::DateTime(*micros),
        }
    }

    /// The value, if it is here and not elsewhere.
    pub fn held(self) -> std::result::Result<Self, Refusal> {
        match self {
            Cell::BlobUri(uri) => Err(Refusal::Unsuitable(format!(
                "\"{}\" lies outside the graph; write its bytes as \"base64:…\"",
                shown(&uri)
            ))),
            held => Ok(held),
        }
    }

    /// The value as part of a key; `None` for what cannot be one.
    pub fn key_value(&self) -> Option<KeyValue<'_>> {
        Some(match self {
            Cell::Text(text) => KeyValue::Text(text),
            Cell::Bool(value) => KeyValue::Bool(*value),
            Cell::I32(value) => KeyValue::Signed((*value).into()),
            Cell::I64(value) => KeyValue::Signed(*value),
            Cell::U32(value) => KeyValue::Unsigned((*value).into()),
            Cell::U64(value) => KeyValue::Unsigned(*value),
            Cell::F32(value) => KeyValue::F32(*value),
            Cell::F64(value) => KeyValue::F64(*value),
            Cell::Date(days) => KeyValue::Date(*days),
            Cell::DateTime(micros) => KeyValue::DateTime(*micros),
            Cell::Absent
            | Cell::Null
            | Cell::Blob(_)
            | Cell::BlobUri(_)
            | Cell::List(_)
            | Cell::Vector(_) => {
                return None;
            }
        })
    }
}

fn shown_words(words: &[String]) -> String {
    shown(&words.join(", "))
}

fn mismatch<T>(scanner: &mut Scanner<'_>, wanted: &str) -> std::result::Result<T, Refusal> {
    let found = shown(scanner.skip()?);
    Err(Refusal::Unsuitable(format!(
        "expected {wanted}, found {found}"
    )))
}

/// How a value of a type is written, for messages.
fn wanted(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::String => "a String",
        Scalar::Blob => "a Blob (\"base64:…\" or a URI)",
        Scalar::Bool => "a Bool (true or false)",
        Scalar::I32 => "an I32 (a whole number)",
        Scalar::I64 => "an I64 (a whole number)",
        Scalar::U32 => "a U32 (a whole number, not negative)",
        Scalar::U64 => "a U64 (a whole number, not negative)",
        Scalar::F32 => "an F32 (a number)",
        Scalar::F64 => "an F64 (a number)",
        Scalar::Date => "a Date (\"2026-01-31\")",
        Scalar::DateTime => "a DateTime (\"2026-01-31T12:00:00Z\")",
    }
}

fn read_scalar<'a>(
    scanner: &mut Scanner<'a>,
    scalar: Scalar,
) -> std::result::Result<Cell<'a>, Refusal> {
    let kind = scanner.kind()?;
    let suits = match scalar {
        Scalar::String | Scalar::Blob | Scalar::Date | Scalar::DateTime => kind == Kind::String,
        Scalar::Bool => kind == Kind::Bool,
        Scalar::I32 | Scalar::U32 => kind == Kind::Number,
        Scalar::I64 | Scalar::U64 | Scalar::F32 | Scalar::F64 => {
            matches!(kind, Kind::Number | Kind::String)
        }
    };
    if !suits {
        return mismatch(scanner, wanted(scalar));
    }
    if kind == Kind::Bool {
        return Ok(Cell::Bool(scanner.bool()?));
    }
    let is_number = kind == Kind::Number;
    let text = if is_number {
        Cow::Borrowed(scanner.number()?)
    } else {
        scanner.string()?
    };
    let cell = match scalar {
        Scalar::String => return Ok(Cell::Text(text)),
        Scalar::Blob => return read_blob(text),
        Scalar::Bool => None,
        Scalar::I32 => text.parse().ok().map(Cell::I32),
        Scalar::I64 => text.parse().ok().map(Cell::I64),
        Scalar::U32 => text.parse().ok().map(Cell::U32),
        Scalar::U64 => text.parse().ok().map(Cell::U64),
        // What overflows would read as infinite.
        Scalar::F32 if is_number => text
            .parse()
            .ok()
            .filter(|value: &f32| value.is_finite())
            .map(Cell::F32),
        Scalar::F64 if is_number => text
            .parse()
            .ok()
            .filter(|value: &f64| value.is_finite())
            .map(Cell::F64),
        Scalar::F32 => non_finite(&text).map(|value| Cell::F32(value as f32)),
        Scalar::F64 => non_finite(&text).map(Cell::F64),
        Scalar::Date => parse_date(&text).map(Cell::Date),
        Scalar::DateTime => parse_datetime(&text).map(Cell::DateTime),
    };
    cell.ok_or_else(|| {
        let value = if is_number {
            shown(&text)
        } else {
            format!("\"{}\"", shown(&text))
        };
        let out_of_range = is_number && !(scalar.is_integer() && text.contains(['.', 'e', 'E']));
        Refusal::Unsuitable(if out_of_range {
            format!("{value} is out of range for {}", scalar.name())
        } else {
            format!("expected {}, found {value}", wanted(scalar))
        })
    })
}

fn read_blob(text: Cow<'_, str>) -> std::result::Result<Cell<'_>, Refusal> {
    let Some(encoded) = text.strip_prefix("base64:") else {
        if text.contains("://") {
            return Ok(Cell::BlobUri(text));
        }
        return Err(Refusal::Unsuitable(format!(
            "expected {}, found \"{}\"",
            wanted(Scalar::Blob),
            shown(&text)
        )));
    };
    match STANDARD.decode(encoded) {
        Ok(bytes) => Ok(Cell::Blob(bytes)),
        Err(error) => Err(Refusal::Unsuitable(format!("not valid base64: {error}"))),
    }
}

/// Calls `element` for each element; after the first that does not suit, the rest is passed over.
fn read_array<'a>(
    scanner: &mut Scanner<'a>,
    mut element: impl FnMut(&mut Scanner<'a>) -> std::result::Result<(), Refusal>,
) -> std::result::Result<(), Refusal> {
    scanner.expect(b'[')?;
    let mut refused = None;
    if !scanner.eat(b']') {
        loop {
            if refused.is_some() {
                scanner.skip()?;
            } else {
                match element(scanner) {
                    Ok(()) => {}
                    Err(Refusal::Unsuitable(reason)) => refused = Some(reason),
                    Err(malformed) => return Err(malformed),
                }
            }
            if !scanner.eat(b',') {
                break;
            }
        }
        scanner.expect(b']')?;
    }
    refused.map_or(Ok(()), |reason| Err(Refusal::Unsuitable(reason)))
}

fn read_list<'a>(
    scanner: &mut Scanner<'a>,
    scalar: Scalar,
) -> std::result::Result<Cell<'a>, Refusal> {
    if scanner.kind()? != Kind::Array {
        return mismatch(scanner, &format!("a list of {}", scalar.name()));
    }
    let mut elements = Vec::new();
    read_array(scanner, |scanner| {
        let element = Cell::read(scanner, &PropertyType::Scalar(scalar)).and_then(Cell::held);
        elements.push(element.map_err(|refusal| match refusal {
            Refusal::Unsuitable(reason) => {
                Refusal::Unsuitable(format!("element {}: {reason}", elements.len() + 1))
            }
            malformed => malformed,
        })?);
        Ok(())
    })?;
    Ok(Cell::List(elements))
}

fn read_vector<'a>(
    scanner: &mut Scanner<'a>,
    dimension: u32,
) -> std::result::Result<Cell<'a>, Refusal> {
    if scanner.kind()? != Kind::Array {
        return mismatch(scanner, &format!("a vector of {dimension} numbers"));
    }
    let mut elements: Vec<f32> = Vec::with_capacity(dimension as usize);
    read_array(scanner, |scanner| {
        if scanner.kind()? != Kind::Number {
            return mismatch(scanner, "a number as the element of a vector");
        }
        let text = scanner.number()?;
        match text.parse::<f32>() {
            Ok(value) if value.is_finite() => elements.push(value),
            _ => {
                return Err(Refusal::Unsuitable(format!(
                    "{} is out of range for F32",
                    shown(text)
                )));
            }
        }
        Ok(())
    })?;
    if elements.len() != dimension as usize {
        return Err(Refusal::Unsuitable(format!(
            "the vector has {} numbers, not {dimension}",
            elements.len()
        )));
    }
    Ok(Cell::Vector(elements))
}

/// A node's id or key as it stands in `from`, `to` or `id`: a text, a number, `true`, or the
/// JSON array of a composite key.
pub(crate) fn read_reference<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Cow<'a, str>>> {
    Ok(match scanner.kind()? {
        Kind::String => Some(scanner.string()?),
        Kind::Number => Some(Cow::Borrowed(scanner.number()?)),
        Kind::Bool => Some(Cow::Borrowed(if scanner.bool()? {
            "true"
        } else {
            "false"
        })),
        Kind::Array => Some(Cow::Borrowed(scanner.skip()?)),
        Kind::Null | Kind::Object => {
            scanner.skip()?;
            None
        }
    })
}
