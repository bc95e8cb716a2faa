//! Text to values: literals, casts from text, parameters in text format.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, ListArray, new_empty_array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::text_search::query::TsQuery;
use omnigraph_udfs::pg::text_search::vector::TsVector;
use omnigraph_udfs::pg::vector::{check_dimensions, check_element};

use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::text::Input;
use crate::text::bits::parse_bits;
use crate::text::bytes::{parse_bytea, parse_uuid, uuid_text};
use crate::text::calendar::round_to_modifier;
use crate::text::datetime_in::{parse_date, parse_time, parse_timestamp, parse_timestamptz};
use crate::text::interval_in::parse_interval;
use crate::text::json::{check_json, normal_json};
use crate::text::number::{invalid_syntax, is_blank, parse_f32, parse_f64, parse_integer};
use crate::text::numeric::Numeric;
use crate::text::snapshot::TransactionSnapshot;

/// Reads a value of a type from its text, in the type's representation ([`PgType::arrow`]).
pub fn parse(ty: PgType, text: &str, input: &Input<'_>) -> PgResult<ScalarValue> {
    let small = |name, min: i64, max: i64| parse_integer(text, name, min, max);
    Ok(match ty.oid {
        16 => ScalarValue::Boolean(Some(parse_bool(text)?)),
        17 => ScalarValue::Binary(Some(parse_bytea(text)?)),
        18 => ScalarValue::Utf8(Some(
            text.chars().next().map(String::from).unwrap_or_default(),
        )),
        19 => ScalarValue::Utf8(Some(cut(text, 63).to_owned())),
        20 | 5069 => ScalarValue::Int64(Some(small("bigint", i64::MIN, i64::MAX)?)),
        // In range by the check.
        21 => ScalarValue::Int16(Some(
            small("smallint", i64::from(i16::MIN), i64::from(i16::MAX))? as i16,
        )),
        23 => ScalarValue::Int32(Some(
            small("integer", i64::from(i32::MIN), i64::from(i32::MAX))? as i32,
        )),
        // An oid may be written as the negative number of the same bits.
        26 | 28 | 29 => {
            ScalarValue::UInt32(Some(
                small("oid", i64::from(i32::MIN), i64::from(u32::MAX))? as u32,
            ))
        }
        114 => {
            check_json(text)?;
            ScalarValue::Utf8(Some(text.to_owned()))
        }
        700 => ScalarValue::Float32(Some(parse_f32(text)?)),
        701 => ScalarValue::Float64(Some(parse_f64(text)?)),
        1042 => ScalarValue::Utf8(Some(padded(text, ty.typmod)?)),
        1043 => ScalarValue::Utf8(Some(limited(text, ty.typmod)?.to_owned())),
        1082 => ScalarValue::Date32(Some(parse_date(text, input)?)),
        1083 => {
            ScalarValue::Time64Microsecond(Some(round_to_modifier(parse_time(text, input)?, ty)))
        }
        1114 => {
            let micros = round_to_modifier(parse_timestamp(text, input)?, ty);
            ScalarValue::TimestampMicrosecond(Some(micros), None)
        }
        1184 => {
            let micros = round_to_modifier(parse_timestamptz(text, input)?, ty);
            ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()))
        }
        1186 => ScalarValue::IntervalMonthDayNano(Some(parse_interval(text, input)?)),
        1560 => {
            let length = usize::try_from(ty.typmod).ok();
            ScalarValue::Utf8(Some(parse_bits(text, length)?))
        }
        1700 => Numeric::parse(text)?.to_scalar(ty)?,
        2950 => ScalarValue::Utf8(Some(uuid_text(&parse_uuid(text)?))),
        3802 => ScalarValue::Utf8(Some(normal_json(text)?)),
        3614 => {
            let vector = TsVector::parse(text).map_err(|error| sqlstate::from_function(&error))?;
            ScalarValue::Utf8(Some(vector.to_string()))
        }
        3615 => {
            let query = TsQuery::parse(text).map_err(|error| sqlstate::from_function(&error))?;
            ScalarValue::Utf8(Some(
                query.map_or_else(String::new, |query| query.to_string()),
            ))
        }
        2970 => ScalarValue::Utf8(Some(
            TransactionSnapshot::parse("txid_snapshot", text)?.shown(),
        )),
        5038 => ScalarValue::Utf8(Some(
            TransactionSnapshot::parse("pg_snapshot", text)?.shown(),
        )),
        22 | 30 => parse_words(ty, text, input)?,
        16001 => vector(ty, parse_vector(text)?)?,
        2249 | 2287 => {
            return Err(PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "input of anonymous composite types is not implemented",
            ));
        }
        _ if ty.arrow() == DataType::UInt32 => {
            ScalarValue::UInt32(Some(parse_reg(ty, text, input)?))
        }
        _ if ty.is_array() => parse_array(ty, text, input)?,
        _ => ScalarValue::Utf8(Some(text.to_owned())),
    })
}

/// NULL in the representation of a type.
pub fn null(ty: PgType) -> PgResult<ScalarValue> {
    ScalarValue::try_from(&ty.arrow()).map_err(|error| {
        PgError::new(
            sqlstate::INTERNAL_ERROR,
            format!("no NULL of type {}: {error}", ty.oid),
        )
    })
}

/// Any prefix of true, yes, false, no; on, off; 1, 0.
pub fn parse_bool(text: &str) -> PgResult<bool> {
    let word = text.trim_matches(is_blank).to_ascii_lowercase();
    let starts = |full: &str| !word.is_empty() && full.starts_with(&word);
    match word.as_str() {
        "1" | "on" => Ok(true),
        "0" | "of" | "off" => Ok(false),
        _ if starts("true") || starts("yes") => Ok(true),
        _ if starts("false") || starts("no") => Ok(false),
        _ => Err(invalid_syntax("boolean", text)),
    }
}

/// A number is taken as it is, anything else is looked up.
fn parse_reg(ty: PgType, text: &str, input: &Input<'_>) -> PgResult<u32> {
    let trimmed = text.trim_matches(is_blank);
    if trimmed == "-" {
        return Ok(0);
    }
    if !trimmed.is_empty() && trimmed.bytes().all(|b| b.is_ascii_digit()) {
        // In range by the check.
        return Ok(parse_integer(trimmed, "oid", 0, i64::from(u32::MAX))? as u32);
    }
    input.names.oid(ty, trimmed)
}

/// At most `bytes` bytes, whole characters.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// varchar(n): blanks beyond the limit are dropped, anything else is too long.
fn limited(text: &str, typmod: i32) -> PgResult<&str> {
    let Ok(limit) = usize::try_from(typmod - 4) else {
        return Ok(text);
    };
    match text.char_indices().nth(limit) {
        None => Ok(text),
        Some((end, _)) if text[end..].bytes().all(|b| b == b' ') => Ok(&text[..end]),
        Some(_) => Err(PgError::new(
            sqlstate::STRING_DATA_RIGHT_TRUNCATION,
            format!("value too long for type character varying({limit})"),
        )),
    }
}

/// char(n): as varchar(n), and filled with blanks.
fn padded(text: &str, typmod: i32) -> PgResult<String> {
    let Ok(limit) = usize::try_from(typmod - 4) else {
        return Ok(text.to_owned());
    };
    let kept = limited(text, typmod).map_err(|mut error| {
        error.message = format!("value too long for type character({limit})");
        error
    })?;
    let missing = limit.saturating_sub(kept.chars().count());
    Ok(format!("{kept}{}", " ".repeat(missing)))
}

/// `{1,2,NULL,"a b"}`: one dimension; `[1:2]={…}` is read if it says nothing new.
fn parse_array(ty: PgType, text: &str, input: &Input<'_>) -> PgResult<ScalarValue> {
    let element = ty.element().unwrap_or(PgType::TEXT);
    let items = split_array(text)?;
    let values = items
        .into_iter()
        .map(|item| match item {
            Some(item) => parse(element, &item, input),
            None => null(element),
        })
        .collect::<PgResult<Vec<_>>>()?;
    list(element, values)
}

/// A list in the representation of arrays of `element`.
pub fn list(element: PgType, values: Vec<ScalarValue>) -> PgResult<ScalarValue> {
    let data_type = element.arrow();
    let length = values.len();
    let array: ArrayRef = if values.is_empty() {
        new_empty_array(&data_type)
    } else {
        ScalarValue::iter_to_array(values).map_err(|error| {
            PgError::new(
                sqlstate::INTERNAL_ERROR,
                format!("array elements differ in type: {error}"),
            )
        })?
    };
    let field = Arc::new(Field::new("item", data_type, true));
    let offsets = OffsetBuffer::from_lengths([length]);
    let list = ListArray::try_new(field, offsets, array, None)
        .map_err(|error| PgError::new(sqlstate::INTERNAL_ERROR, error.to_string()))?;
    Ok(ScalarValue::List(Arc::new(list)))
}

/// The elements of an array's text, `None` for NULL.
pub fn split_array(text: &str) -> PgResult<Vec<Option<String>>> {
    let malformed = |detail: &str| {
        PgError::new(
            sqlstate::INVALID_TEXT_REPRESENTATION,
            format!("malformed array literal: \"{text}\""),
        )
        .detail(detail)
    };
    let mut rest = text.trim_matches(is_blank);
    if rest.starts_with('[') {
        let (bounds, after) = rest
            .split_once('=')
            .ok_or_else(|| malformed("Missing \"=\" after array dimensions."))?;
        if bounds.matches('[').count() > 1
            || !bounds
                .trim_start_matches('[')
                .trim_start()
                .starts_with("1:")
        {
            return Err(one_dimension());
        }
        rest = after.trim_matches(is_blank);
    }
    let Some(inner) = rest.strip_prefix('{') else {
        return Err(malformed(
            "Array value must start with \"{\" or dimension information.",
        ));
    };
    let mut items = Vec::new();
    let mut chars = inner.char_indices().peekable();
    let skip = |chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>| {
        while chars.next_if(|(_, c)| is_blank(*c)).is_some() {}
    };
    skip(&mut chars);
    if chars.next_if(|(_, c)| *c == '}').is_none() {
        loop {
            skip(&mut chars);
            let mut item = String::new();
            let mut quoted = false;
            match chars.peek() {
                Some((_, '{')) => return Err(one_dimension()),
                Some((_, '"')) => {
                    quoted = true;
                    chars.next();
                    loop {
                        match chars.next() {
                            Some((_, '"')) => break,
                            Some((_, '\\')) => match chars.next() {
                                Some((_, c)) => item.push(c),
                                None => return Err(malformed("Unexpected end of input.")),
                            },
                            Some((_, c)) => item.push(c),
                            None => return Err(malformed("Unexpected end of input.")),
                        }
                    }
                    skip(&mut chars);
                }
                _ => {
                    // Blanks at the end are not part of it, unless they were escaped.
                    let mut keep = 0;
                    let mut escaped = false;
                    while let Some((_, c)) =
                        chars.next_if(|(_, c)| !matches!(c, ',' | '}' | '{' | '"'))
                    {
                        if c == '\\' {
                            let Some((_, c)) = chars.next() else {
                                return Err(malformed("Unexpected end of input."));
                            };
                            item.push(c);
                            keep = item.len();
                            escaped = true;
                        } else {
                            item.push(c);
                            if !is_blank(c) {
                                keep = item.len();
                            }
                        }
                    }
                    item.truncate(keep);
                    if item.is_empty() {
                        return Err(malformed("Unexpected \",\" or \"}\" character."));
                    }
                    quoted |= escaped;
                }
            }
            items.push((quoted || !item.eq_ignore_ascii_case("null")).then_some(item));
            match chars.next() {
                Some((_, ',')) => {}
                Some((_, '}')) => break,
                Some(_) => return Err(malformed("Unexpected array element.")),
                None => return Err(malformed("Unexpected end of input.")),
            }
        }
    }
    skip(&mut chars);
    if chars.next().is_some() {
        return Err(malformed("Junk after closing right brace."));
    }
    Ok(items)
}

fn one_dimension() -> PgError {
    PgError::new(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "arrays that are stored or passed have one dimension, counted from 1",
    )
}

/// int2vector and oidvector: numbers between blanks.
fn parse_words(ty: PgType, text: &str, input: &Input<'_>) -> PgResult<ScalarValue> {
    let element = ty.element().unwrap_or(PgType::INT2);
    let values = text
        .split_ascii_whitespace()
        .map(|word| parse(element, word, input))
        .collect::<PgResult<Vec<_>>>()?;
    list(element, values)
}

/// `[1,2.5,3]`.
pub fn parse_vector(text: &str) -> PgResult<Vec<f32>> {
    let malformed = || invalid_syntax("vector", text);
    let inner = text
        .trim_matches(is_blank)
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or_else(malformed)?;
    if inner.trim_matches(is_blank).is_empty() {
        check_dimensions(0, None).map_err(|error| sqlstate::from_function(&error))?;
    }
    let number = |item: &str| {
        let item = item.trim_matches(is_blank);
        let value: f32 = item.parse().map_err(|_| malformed())?;
        if value.is_infinite() && item.contains(|c: char| c.is_ascii_digit()) {
            return Err(PgError::new(
                sqlstate::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("\"{item}\" is out of range for type vector"),
            ));
        }
        check_element(value).map_err(|error| sqlstate::from_function(&error))
    };
    inner.split(',').map(number).collect()
}

/// A vector in its type's representation; 22000 if the dimensions differ.
pub fn vector(ty: PgType, values: Vec<f32>) -> PgResult<ScalarValue> {
    let length = values.len();
    let declared = usize::try_from(ty.typmod).ok().filter(|count| *count > 0);
    check_dimensions(length, declared).map_err(|error| sqlstate::from_function(&error))?;
    let field = Arc::new(Field::new("item", DataType::Float32, true));
    let values: ArrayRef = Arc::new(Float32Array::from(values));
    let internal =
        |error: arrow::error::ArrowError| PgError::new(sqlstate::INTERNAL_ERROR, error.to_string());
    Ok(if ty.typmod > 0 {
        let list = FixedSizeListArray::try_new(field, ty.typmod, values, None).map_err(internal)?;
        ScalarValue::FixedSizeList(Arc::new(list))
    } else {
        let offsets = OffsetBuffer::from_lengths([length]);
        let list = ListArray::try_new(field, offsets, values, None).map_err(internal)?;
        ScalarValue::List(Arc::new(list))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::write::Formatter;
    use crate::text::{NoNames, TextFormat};

    /// Text to value to text.
    fn round(ty: PgType, text: &str) -> Result<String, &'static str> {
        let format = TextFormat::default();
        let input = Input {
            format: &format,
            names: &NoNames,
            now: 0,
        };
        let value = parse(ty, text, &input).map_err(|error| error.code)?;
        assert_eq!(
            value.data_type(),
            ty.arrow(),
            "{text} has the type's representation"
        );
        let array = value.to_array().expect("an array");
        Ok(Formatter::default()
            .text(ty, &array, 0)
            .expect("a view")
            .expect("not null"))
    }

    #[test]
    fn values_of_every_type_are_read() {
        for (ty, text, expected) in [
            (PgType::BOOL, " TR ", "t"),
            (PgType::BOOL, "off", "f"),
            (PgType::BYTEA, "\\x00ff", "\\x00ff"),
            (PgType::CHAR, "xyz", "x"),
            (PgType::INT2, "-32768", "-32768"),
            (PgType::OID, "4294967295", "4294967295"),
            (PgType::OID, "-1", "4294967295"),
            (PgType::REGCLASS, "1259", "1259"),
            (PgType::FLOAT4, "1e10", "1e+10"),
            (PgType::FLOAT8, "-0", "-0"),
            (PgType::VARCHAR.with_typmod(7), "abc  ", "abc"),
            (PgType::BPCHAR.with_typmod(7), "ab", "ab "),
            (PgType::DATE, "2024-02-29", "2024-02-29"),
            (PgType::TIME, "10:11:12.5", "10:11:12.5"),
            (PgType::TIMESTAMP, "2024-02-29 10:11", "2024-02-29 10:11:00"),
            (
                PgType::TIMESTAMP.with_typmod(0),
                "2024-02-29 10:11:12.6",
                "2024-02-29 10:11:13",
            ),
            (
                PgType::TIMESTAMPTZ,
                "2024-02-29 10:11+02",
                "2024-02-29 08:11:00+00",
            ),
            (PgType::INTERVAL, "1 mon 2 days", "1 mon 2 days"),
            (omnigraph_catalog::types::numeric(10, 2), "1.005", "1.01"),
            (
                PgType::UUID,
                "A0EEBC999C0B4EF8BB6D6BB9BD380A11",
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            ),
            (PgType::JSON, "{ \"a\":1}", "{ \"a\":1}"),
            (PgType::JSONB, "{ \"a\":1}", "{\"a\": 1}"),
            (PgType::INT2VECTOR, " 1 2  3", "1 2 3"),
            (PgType::VECTOR, "[1, 2.5]", "[1,2.5]"),
            (PgType::VECTOR.with_typmod(2), "[1,2]", "[1,2]"),
            (PgType::INT4_ARRAY, "{1, NULL ,3}", "{1,NULL,3}"),
            (PgType::INT4_ARRAY, "[1:2]={1,2}", "{1,2}"),
            (PgType::INT4_ARRAY, " { } ", "{}"),
            (
                PgType::TEXT_ARRAY,
                r#"{a b ,"c, \"d\"",\N,"null"}"#,
                r#"{"a b","c, \"d\"",N,"null"}"#,
            ),
            (PgType::DATE_ARRAY, "{2024-01-01}", "{2024-01-01}"),
            (PgType::TEXT, "anything", "anything"),
        ] {
            assert_eq!(round(ty, text), Ok(expected.to_owned()), "{ty:?} {text}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        for (ty, text, code) in [
            (PgType::BOOL, "maybe", "22P02"),
            (PgType::BOOL, "", "22P02"),
            (PgType::INT2, "32768", "22003"),
            (PgType::OID, "4294967296", "22003"),
            (PgType::VARCHAR.with_typmod(7), "abcd", "22001"),
            (PgType::REGCLASS, "nope", "42704"),
            (PgType::INT4_ARRAY, "1,2", "22P02"),
            (PgType::INT4_ARRAY, "{1,2", "22P02"),
            (PgType::INT4_ARRAY, "{1,,2}", "22P02"),
            (PgType::INT4_ARRAY, "{1}x", "22P02"),
            (PgType::INT4_ARRAY, "{a}", "22P02"),
            (PgType::INT4_ARRAY, "{{1},{2}}", "0A000"),
            (PgType::INT4_ARRAY, "[0:1]={1,2}", "0A000"),
            (PgType::TEXT_ARRAY, "{\"a", "22P02"),
            (PgType::TEXT_ARRAY, "{a\\", "22P02"),
            (PgType::VECTOR, "1,2", "22P02"),
            (PgType::VECTOR, "[]", "22000"),
            (PgType::VECTOR, "[1,]", "22P02"),
            (PgType::VECTOR, "[1e400]", "22003"),
            (PgType::VECTOR, "[inf]", "22000"),
            (PgType::VECTOR, "[1,nan]", "22000"),
            (PgType::VECTOR.with_typmod(3), "[1,2]", "22000"),
            (PgType::RECORD, "(1)", "0A000"),
        ] {
            assert_eq!(round(ty, text), Err(code), "{ty:?} {text}");
        }
    }
}
