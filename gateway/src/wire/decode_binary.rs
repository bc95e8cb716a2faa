//! A parameter in binary format, as PostgreSQL's `*recv` functions read it. `None` inside means
//! that the bytes are not of the form; the caller says which parameter it was (22P03).

use arrow::datatypes::{DataType, IntervalMonthDayNano};
use datafusion::common::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::vector::check_element;

use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::text::bytes::uuid_text;
use crate::text::calendar::{
    DATE_INFINITY, DATE_MINUS_INFINITY, MICROS_PER_DAY, POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS,
    TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY, date_from_days, is_timestamp,
    timestamp_out_of_range,
};
use crate::text::read::{list, null, vector};
use crate::text::{Input, bits, numeric};
use crate::wire::decode_text;

/// `number` counts from 1, for the error.
pub fn decode(ty: PgType, bytes: &[u8], input: &Input<'_>, number: usize) -> PgResult<ScalarValue> {
    value(ty, bytes, input)?.ok_or_else(|| {
        PgError::new(
            sqlstate::INVALID_BINARY_REPRESENTATION,
            format!("incorrect binary data format in bind parameter {number}"),
        )
    })
}

fn value(ty: PgType, bytes: &[u8], input: &Input<'_>) -> PgResult<Option<ScalarValue>> {
    Ok(match ty.oid {
        16 => match bytes {
            [byte] => Some(ScalarValue::Boolean(Some(*byte != 0))),
            _ => None,
        },
        17 => Some(ScalarValue::Binary(Some(bytes.to_vec()))),
        20 => exact(bytes).map(|b| ScalarValue::Int64(Some(i64::from_be_bytes(b)))),
        21 => exact(bytes).map(|b| ScalarValue::Int16(Some(i16::from_be_bytes(b)))),
        23 => exact(bytes).map(|b| ScalarValue::Int32(Some(i32::from_be_bytes(b)))),
        700 => exact(bytes).map(|b| ScalarValue::Float32(Some(f32::from_be_bytes(b)))),
        701 => exact(bytes).map(|b| ScalarValue::Float64(Some(f64::from_be_bytes(b)))),
        1082 => match exact(bytes).map(i32::from_be_bytes) {
            Some(days) => Some(ScalarValue::Date32(Some(date(days)?))),
            None => None,
        },
        1083 => match exact(bytes).map(i64::from_be_bytes) {
            Some(micros) if (0..=MICROS_PER_DAY).contains(&micros) => {
                Some(ScalarValue::Time64Microsecond(Some(micros)))
            }
            Some(_) => {
                return Err(PgError::new(
                    sqlstate::DATETIME_FIELD_OVERFLOW,
                    "time out of range",
                ));
            }
            None => None,
        },
        1114 => match exact(bytes).map(i64::from_be_bytes) {
            Some(micros) => Some(ScalarValue::TimestampMicrosecond(
                Some(timestamp(micros)?),
                None,
            )),
            None => None,
        },
        1184 => match exact(bytes).map(i64::from_be_bytes) {
            Some(micros) => {
                let micros = timestamp(micros)?;
                Some(ScalarValue::TimestampMicrosecond(
                    Some(micros),
                    Some("UTC".into()),
                ))
            }
            None => None,
        },
        1186 => interval(bytes)?,
        1560 => bits::from_binary(bytes).map(|bits| ScalarValue::Utf8(Some(bits))),
        1700 => match numeric::from_binary(bytes) {
            Some(number) => Some(number?.to_scalar(ty)?),
            None => None,
        },
        2950 => exact(bytes).map(|b| ScalarValue::Utf8(Some(uuid_text(&b)))),
        3802 => match bytes {
            [1, text @ ..] => Some(decode_text::decode(ty, text, input)?),
            _ => None,
        },
        16001 => vector_value(ty, bytes)?,
        _ if ty.arrow() == DataType::UInt32 => {
            exact(bytes).map(|b| ScalarValue::UInt32(Some(u32::from_be_bytes(b))))
        }
        _ if ty.is_array() => array(ty, bytes, input)?,
        // The text types, whose binary form is their text.
        _ => Some(decode_text::decode(ty, bytes, input)?),
    })
}

fn exact<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

fn date(days: i32) -> PgResult<i32> {
    match days {
        DATE_INFINITY | DATE_MINUS_INFINITY => Ok(days),
        _ => date_from_days(i64::from(days) + i64::from(POSTGRES_EPOCH_DAYS))
            .ok_or_else(|| PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, "date out of range")),
    }
}

fn timestamp(micros: i64) -> PgResult<i64> {
    match micros {
        TIMESTAMP_INFINITY | TIMESTAMP_MINUS_INFINITY => Ok(micros),
        _ => micros
            .checked_add(POSTGRES_EPOCH_MICROS)
            .filter(|micros| is_timestamp(*micros))
            .ok_or_else(timestamp_out_of_range),
    }
}

fn interval(bytes: &[u8]) -> PgResult<Option<ScalarValue>> {
    let Some(bytes) = exact::<16>(bytes) else {
        return Ok(None);
    };
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let micros = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
    let [a, b, c, d, e, f, g, h] = rest;
    let (days, months) = (
        i32::from_be_bytes([a, b, c, d]),
        i32::from_be_bytes([e, f, g, h]),
    );
    let nanos = micros
        .checked_mul(1000)
        .ok_or_else(|| PgError::new(sqlstate::INTERVAL_FIELD_OVERFLOW, "interval out of range"))?;
    let value = IntervalMonthDayNano::new(months, days, nanos);
    Ok(Some(ScalarValue::IntervalMonthDayNano(Some(value))))
}

fn vector_value(ty: PgType, bytes: &[u8]) -> PgResult<Option<ScalarValue>> {
    let [a, b, _, _, numbers @ ..] = bytes else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([*a, *b]));
    if numbers.len() != length * 4 {
        return Ok(None);
    }
    let values = numbers
        .chunks_exact(4)
        .filter_map(|chunk| exact(chunk).map(f32::from_be_bytes))
        .map(|value| check_element(value).map_err(|error| sqlstate::from_function(&error)))
        .collect::<PgResult<Vec<f32>>>()?;
    vector(ty, values).map(Some)
}

fn array(ty: PgType, bytes: &[u8], input: &Input<'_>) -> PgResult<Option<ScalarValue>> {
    let element = ty.element().unwrap_or(PgType::TEXT);
    let mut rest = bytes;
    let mut word = || -> Option<i32> {
        let (head, tail) = rest.split_first_chunk::<4>()?;
        rest = tail;
        Some(i32::from_be_bytes(*head))
    };
    let (Some(dimensions), Some(_has_null), Some(oid)) = (word(), word(), word()) else {
        return Ok(None);
    };
    if oid as u32 != element.oid {
        return Err(PgError::new(
            sqlstate::DATATYPE_MISMATCH,
            format!(
                "binary data has array element type {} instead of expected {}",
                oid as u32, element.oid
            ),
        ));
    }
    let length = match dimensions {
        0 => 0,
        1 => {
            let (Some(length), Some(lower_bound)) = (word(), word()) else {
                return Ok(None);
            };
            let expected = i32::from(!matches!(ty, PgType::INT2VECTOR | PgType::OIDVECTOR));
            if lower_bound != expected {
                return Err(one_dimension());
            }
            length
        }
        2..=6 => return Err(one_dimension()),
        _ => return Ok(None),
    };
    // Each element has at least its length: a lie about their number cannot make us allocate.
    let Some(length) = usize::try_from(length)
        .ok()
        .filter(|length| length * 4 <= rest.len())
    else {
        return Ok(None);
    };
    let mut values = Vec::with_capacity(length);
    for _ in 0..length {
        let Some((head, tail)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        rest = tail;
        let size = i32::from_be_bytes(*head);
        if size == -1 {
            values.push(null(element)?);
            continue;
        }
        let Some((bytes, tail)) = usize::try_from(size)
            .ok()
            .and_then(|size| rest.split_at_checked(size))
        else {
            return Ok(None);
        };
        rest = tail;
        let Some(item) = value(element, bytes, input)? else {
            return Ok(None);
        };
        values.push(item);
    }
    if !rest.is_empty() {
        return Ok(None);
    }
    list(element, values).map(Some)
}

fn one_dimension() -> PgError {
    PgError::new(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "arrays that are stored or passed have one dimension, counted from 1",
    )
}
