//! JSON as PostgreSQL's `jsonb` prints it: keys ordered by length, then by bytes; a blank
//! after each colon and comma. Values are what `to_jsonb` makes of a column, except that a
//! vector is an array of numbers.

use std::fmt::Write;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, UInt32Type, UInt64Type,
};
use omnigraph_engine::Error;
use omnigraph_engine::blob;
use omnigraph_engine::schema::text::{push_date, push_datetime};
use serde_json::{Map, Value};

use crate::error::Result;

/// An object as text.
pub(crate) fn object(members: &Map<String, Value>) -> String {
    let mut out = String::new();
    push_object(&mut out, members);
    out
}

/// One value.
pub fn value(column: &dyn Array, row: usize) -> Result<String> {
    let mut out = String::new();
    push_cell(&mut out, column, row)?;
    Ok(out)
}

/// One row as an object of its columns.
pub(crate) fn row(names: &[&str], batch: &RecordBatch, row: usize) -> Result<String> {
    let mut order: Vec<usize> = (0..names.len().min(batch.num_columns())).collect();
    order.sort_by_key(|&at| (names[at].len(), names[at]));
    let mut out = String::from("{");
    for (i, at) in order.into_iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        push_string(&mut out, names[at]);
        out.push_str(": ");
        push_cell(&mut out, batch.column(at), row)?;
    }
    out.push('}');
    Ok(out)
}

fn push_object(out: &mut String, members: &Map<String, Value>) {
    let mut order: Vec<(&String, &Value)> = members.iter().collect();
    order.sort_by_key(|(key, _)| (key.len(), *key));
    out.push('{');
    for (i, (key, value)) in order.into_iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        push_string(out, key);
        out.push_str(": ");
        push_json(out, value);
    }
    out.push('}');
}

fn push_json(out: &mut String, value: &Value) {
    match value {
        Value::Object(members) => push_object(out, members),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                push_json(out, item);
            }
            out.push(']');
        }
        Value::String(text) => push_string(out, text),
        other => out.push_str(&other.to_string()),
    }
}

fn push_string(out: &mut String, text: &str) {
    out.push_str(&Value::from(text).to_string());
}

/// A value of a table's row. A blob that is not in the row is told by its digest and length:
/// that tells whether it changed, and SQL reads it.
fn push_cell(out: &mut String, column: &dyn Array, row: usize) -> Result<()> {
    if let Some(cells) = column.as_binary_opt::<i32>()
        && column.is_valid(row)
        && let Some(described) = blob::described(cells.value(row))?
    {
        push_string(out, &described);
        return Ok(());
    }
    push_value(out, column, row)
}

fn push_value(out: &mut String, column: &dyn Array, row: usize) -> Result<()> {
    if column.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    match column.data_type() {
        DataType::Utf8 => push_string(out, column.as_string::<i32>().value(row)),
        DataType::Boolean => push(out, column.as_boolean().value(row)),
        DataType::Int32 => push(out, column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => push(out, column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt32 => push(out, column.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => push(out, column.as_primitive::<UInt64Type>().value(row)),
        // Displayed, a float has the digits that tell it from its neighbours and no exponent.
        DataType::Float32 => push_float(out, column.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => push_float(out, column.as_primitive::<Float64Type>().value(row)),
        DataType::Binary => {
            out.push_str("\"\\\\x");
            for byte in column.as_binary::<i32>().value(row) {
                push(out, format_args!("{byte:02x}"));
            }
            out.push('"');
        }
        DataType::Date32 => {
            out.push('"');
            push_date(out, column.as_primitive::<Date32Type>().value(row));
            out.push('"');
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            out.push('"');
            push_datetime(
                out,
                column.as_primitive::<TimestampMicrosecondType>().value(row),
            );
            // PostgreSQL writes the offset out.
            if out.ends_with('Z') {
                out.pop();
                out.push_str("+00:00");
            }
            out.push('"');
        }
        DataType::List(_) => push_list(out, &*column.as_list::<i32>().value(row))?,
        DataType::FixedSizeList(..) => push_list(out, &*column.as_fixed_size_list().value(row))?,
        other => {
            return Err(Error::internal(format!("no JSON for a column of type {other}")).into());
        }
    }
    Ok(())
}

fn push_list(out: &mut String, items: &dyn Array) -> Result<()> {
    out.push('[');
    for i in 0..items.len() {
        if i > 0 {
            out.push_str(", ");
        }
        push_value(out, items, i)?;
    }
    out.push(']');
    Ok(())
}

fn push(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = write!(out, "{value}");
}

fn push_float(out: &mut String, value: impl Into<f64> + std::fmt::Display + Copy) {
    let wide: f64 = value.into();
    if wide.is_finite() {
        // `-0` is no JSON number of PostgreSQL's.
        if wide == 0.0 {
            out.push('0')
        } else {
            push(out, value)
        }
    } else if wide.is_nan() {
        out.push_str("\"NaN\"");
    } else {
        out.push_str(if wide > 0.0 {
            "\"Infinity\""
        } else {
            "\"-Infinity\""
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BinaryArray, Date32Array, Float64Array, Int64Array, ListArray, StringArray,
        TimestampMicrosecondArray,
    };

    use super::*;

    #[test]
    fn keys_are_ordered_by_length_then_bytes() {
        let value = serde_json::json!({"bb": [1, {"y": null, "x": true}], "a": "q\"", "aa": 1.5});
        let Value::Object(members) = value else {
            unreachable!()
        };
        assert_eq!(
            object(&members),
            r#"{"a": "q\"", "aa": 1.5, "bb": [1, {"x": true, "y": null}]}"#
        );
    }

    #[test]
    fn rows_are_as_to_jsonb_makes_them() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("name", Arc::new(StringArray::from(vec!["ada\n"]))),
            ("f", Arc::new(Float64Array::from(vec![1.0e20]))),
            ("g", Arc::new(Float64Array::from(vec![f64::NAN]))),
            ("n", Arc::new(Int64Array::from(vec![None]))),
            ("raw", Arc::new(BinaryArray::from(vec![&[0u8, 255][..]]))),
            ("day", Arc::new(Date32Array::from(vec![0]))),
            (
                "at",
                Arc::new(TimestampMicrosecondArray::from(vec![1_500_000]).with_timezone("UTC")),
            ),
            (
                "tags",
                Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some([
                    Some(1),
                    None,
                ])])),
            ),
        ];
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns
                .iter()
                .map(|(name, array)| (*name, array.clone(), true)),
        )
        .expect("columns of one row");
        assert_eq!(
            row(&names, &batch, 0).expect("all types are known"),
            r#"{"f": 100000000000000000000, "g": "NaN", "n": null, "at": "1970-01-01T00:00:01.5+00:00", "day": "1970-01-01", "raw": "\\x00ff", "name": "ada\n", "tags": [1, null]}"#
        );
    }
}
