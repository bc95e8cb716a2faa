//! Literals of a schema, checked against a property's type and made into values.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int32Array,
    Int64Array, StringArray, TimestampMicrosecondArray, UInt32Array, UInt64Array, new_null_array,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::text::{parse_date, parse_datetime};
use super::{Literal, Property, PropertyType, Scalar};
use crate::blob;
use crate::error::{Error, Result};

impl Literal {
    /// The text of a string or a bare word.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Literal::String(text) | Literal::Ident(text) => Some(text),
            _ => None,
        }
    }
}

/// As it is written in a `.pg` file.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::String(text) => {
                f.write_str("\"")?;
                for c in text.chars() {
                    match c {
                        '"' => f.write_str("\\\"")?,
                        '\\' => f.write_str("\\\\")?,
                        '\n' => f.write_str("\\n")?,
                        '\r' => f.write_str("\\r")?,
                        '\t' => f.write_str("\\t")?,
                        c => write!(f, "{c}")?,
                    }
                }
                f.write_str("\"")
            }
            Literal::Number(text) | Literal::Ident(text) => f.write_str(text),
            Literal::Bool(value) => write!(f, "{value}"),
            Literal::Null => f.write_str("null"),
        }
    }
}

impl Property {
    /// As [`Property::default_array`], as a table's files hold it.
    pub(crate) fn stored_default(&self, rows: usize) -> Result<ArrayRef> {
        let bytes = self.default_array(rows)?;
        match self.ty {
            PropertyType::Scalar(Scalar::Blob) => blob::cell::cells(&blob::values(&bytes)?),
            _ => Ok(bytes),
        }
    }

    /// `rows` times the property's default, or NULLs if it has none.
    pub fn default_array(&self, rows: usize) -> Result<ArrayRef> {
        let data_type = self.ty.data_type();
        let Some(literal) = self
            .default
            .as_ref()
            .filter(|literal| **literal != Literal::Null)
        else {
            return Ok(new_null_array(&data_type, rows));
        };
        let value = literal_value(&self.ty, literal).map_err(|reason| {
            Error::internal(format!(
                "the default of property \"{}\" {reason}",
                self.name
            ))
        })?;
        Ok(match value {
            LiteralValue::String(text) => Arc::new(StringArray::from_iter_values(
                std::iter::repeat_n(text, rows),
            )),
            LiteralValue::Blob(bytes) => Arc::new(BinaryArray::from_iter_values(
                std::iter::repeat_n(bytes, rows),
            )),
            LiteralValue::Bool(value) => Arc::new(BooleanArray::from(vec![value; rows])),
            LiteralValue::I32(value) => Arc::new(Int32Array::from_value(value, rows)),
            LiteralValue::I64(value) => Arc::new(Int64Array::from_value(value, rows)),
            LiteralValue::U32(value) => Arc::new(UInt32Array::from_value(value, rows)),
            LiteralValue::U64(value) => Arc::new(UInt64Array::from_value(value, rows)),
            LiteralValue::F32(value) => Arc::new(Float32Array::from_value(value, rows)),
            LiteralValue::F64(value) => Arc::new(Float64Array::from_value(value, rows)),
            LiteralValue::Date(days) => Arc::new(Date32Array::from_value(days, rows)),
            LiteralValue::DateTime(micros) => {
                Arc::new(TimestampMicrosecondArray::from_value(micros, rows).with_timezone("UTC"))
            }
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LiteralValue {
    String(String),
    Blob(Vec<u8>),
    Bool(bool),
    I32(i32),
    I64(i64),
    U32(u32),
    U64(u64),
    F32(f32),
    F64(f64),
    Date(i32),
    DateTime(i64),
}

/// A literal as a value of a type; `Err` continues the sentence "the default …".
pub(crate) fn literal_value(ty: &PropertyType, literal: &Literal) -> Result<LiteralValue, String> {
    let scalar = match ty {
        PropertyType::Scalar(scalar) => *scalar,
        PropertyType::Enum(words) => {
            return match literal.as_text() {
                Some(word) if words.iter().any(|w| w == word) => {
                    Ok(LiteralValue::String(word.to_owned()))
                }
                _ => Err(format!("is {literal}, which is not a word of {ty}")),
            };
        }
        PropertyType::List(_) | PropertyType::Vector(_) => {
            return Err(format!("cannot be given for type {ty}; only null can"));
        }
    };
    let mismatch = || format!("is {literal}, which is not a value of type {ty}");
    let text = match literal {
        Literal::String(text) => Some(text.as_str()),
        _ => None,
    };
    let number = match literal {
        Literal::Number(text) => Some(text.as_str()),
        _ => None,
    };
    let value = match scalar {
        Scalar::String => text.map(|text| LiteralValue::String(text.to_owned())),
        Scalar::Blob => text
            .and_then(|text| STANDARD.decode(text.strip_prefix("base64:")?).ok())
            .map(LiteralValue::Blob),
        Scalar::Bool => match literal {
            Literal::Bool(value) => Some(LiteralValue::Bool(*value)),
            _ => None,
        },
        Scalar::I32 => number.and_then(|n| n.parse().ok()).map(LiteralValue::I32),
        Scalar::I64 => number.and_then(|n| n.parse().ok()).map(LiteralValue::I64),
        Scalar::U32 => number.and_then(|n| n.parse().ok()).map(LiteralValue::U32),
        Scalar::U64 => number.and_then(|n| n.parse().ok()).map(LiteralValue::U64),
        Scalar::F32 => match text {
            Some(text) => non_finite(text).map(|value| LiteralValue::F32(value as f32)),
            None => number
                .and_then(|n| n.parse().ok())
                .filter(|value: &f32| value.is_finite())
                .map(LiteralValue::F32),
        },
        Scalar::F64 => match text {
            Some(text) => non_finite(text).map(LiteralValue::F64),
            None => number
                .and_then(|n| n.parse().ok())
                .filter(|value: &f64| value.is_finite())
                .map(LiteralValue::F64),
        },
        Scalar::Date => text.and_then(parse_date).map(LiteralValue::Date),
        Scalar::DateTime => text.and_then(parse_datetime).map(LiteralValue::DateTime),
    };
    value.ok_or_else(mismatch)
}

/// The numbers JSON has no text for.
pub(crate) fn non_finite(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}
