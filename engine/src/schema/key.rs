//! Identity: a keyed node's `id` is the canonical text of its key; of a key of several
//! properties, the JSON array of their canonical texts.
//!
//! Canonical are decimal integers, `true` and `false`, ISO dates, RFC 3339 times in UTC and the
//! shortest floats (`-0` is `0`; what is not finite is no key).

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float32Array, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};

use super::text::{parse_date, parse_datetime, push_date, push_datetime, push_f32, push_f64};
use super::{Scalar, TypeDef};
use crate::error::{ConstraintKind, ConstraintViolation, Error, Result};

/// One value of a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KeyValue<'a> {
    Text(&'a str),
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    F32(f32),
    F64(f64),
    Date(i32),
    DateTime(i64),
}

impl KeyValue<'_> {
    pub fn is_finite(&self) -> bool {
        match self {
            KeyValue::F32(value) => value.is_finite(),
            KeyValue::F64(value) => value.is_finite(),
            _ => true,
        }
    }

    /// Appends the canonical text.
    pub fn push(&self, out: &mut String) {
        // Writing to a string cannot fail.
        let _ = match *self {
            KeyValue::Text(text) => out.write_str(text),
            KeyValue::Bool(value) => write!(out, "{value}"),
            KeyValue::Signed(value) => write!(out, "{value}"),
            KeyValue::Unsigned(value) => write!(out, "{value}"),
            KeyValue::F32(value) => {
                push_f32(out, value);
                Ok(())
            }
            KeyValue::F64(value) => {
                push_f64(out, value);
                Ok(())
            }
            KeyValue::Date(days) => {
                push_date(out, days);
                Ok(())
            }
            KeyValue::DateTime(micros) => {
                push_datetime(out, micros);
                Ok(())
            }
        };
    }

    /// Reads a text of any accepted spelling as a value of a type.
    pub fn parse(scalar: Scalar, text: &str) -> Option<KeyValue<'_>> {
        let value = match scalar {
            Scalar::String => KeyValue::Text(text),
            Scalar::Bool => KeyValue::Bool(text.parse().ok()?),
            Scalar::I32 => KeyValue::Signed(text.parse::<i32>().ok()?.into()),
            Scalar::I64 => KeyValue::Signed(text.parse().ok()?),
            Scalar::U32 => KeyValue::Unsigned(text.parse::<u32>().ok()?.into()),
            Scalar::U64 => KeyValue::Unsigned(text.parse().ok()?),
            Scalar::F32 => KeyValue::F32(text.parse().ok()?),
            Scalar::F64 => KeyValue::F64(text.parse().ok()?),
            Scalar::Date => KeyValue::Date(parse_date(text)?),
            Scalar::DateTime => KeyValue::DateTime(parse_datetime(text)?),
            Scalar::Blob => return None,
        };
        value.is_finite().then_some(value)
    }
}

/// Appends the id that key values make. With several values it is a JSON array of texts.
pub fn push_key<'a>(out: &mut String, values: impl ExactSizeIterator<Item = KeyValue<'a>>) {
    let single = values.len() == 1;
    let mut part = String::new();
    if !single {
        out.push('[');
    }
    for (at, value) in values.enumerate() {
        if single {
            value.push(out);
            continue;
        }
        if at > 0 {
            out.push(',');
        }
        part.clear();
        value.push(&mut part);
        push_json_string(out, &part);
    }
    if !single {
        out.push(']');
    }
}

/// Appends a text as a JSON string.
pub fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            0x00..=0x1f => "",
            _ => continue,
        };
        // Escaped bytes are ASCII, so both cuts are at character boundaries.
        out.push_str(&text[plain..at]);
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        plain = at + 1;
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// The id of the node that `text` refers to: any spelling of the key's value is that key.
/// A text that cannot be a key of this type is left as it is; no node has it.
pub fn canonical_id(def: &TypeDef, text: &str) -> String {
    let scalars: Vec<Scalar> = def
        .key
        .iter()
        .filter_map(|&at| def.properties[at].ty.scalar())
        .collect();
    let mut out = String::with_capacity(text.len());
    match scalars.as_slice() {
        [] | [Scalar::String] => out.push_str(text),
        [scalar] => match KeyValue::parse(*scalar, text) {
            Some(value) => value.push(&mut out),
            None => out.push_str(text),
        },
        scalars => {
            let values: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
            let texts: Vec<String> = values
                .iter()
                .filter_map(|value| match value {
                    serde_json::Value::String(text) => Some(text.clone()),
                    serde_json::Value::Number(_) | serde_json::Value::Bool(_) => {
                        Some(value.to_string())
                    }
                    _ => None,
                })
                .collect();
            let parsed: Vec<KeyValue<'_>> = texts
                .iter()
                .zip(scalars)
                .filter_map(|(text, scalar)| KeyValue::parse(*scalar, text))
                .collect();
            if values.len() == scalars.len() && parsed.len() == scalars.len() {
                push_key(&mut out, parsed.into_iter());
            } else {
                out.push_str(text);
            }
        }
    }
    out
}

/// The ids that the rows' keys make. The batch has the columns of [`TypeDef::columns`], in
/// their order; what its `id` column holds does not matter. A row with NULL in its key has a
/// NULL id: the value checks say what is wrong with it.
pub fn key_ids(def: &TypeDef, batch: &RecordBatch) -> Result<StringArray> {
    ids_or_row(def, batch)?.map_err(|(_, violation)| violation.into())
}

/// As [`key_ids`]; the inner error names the row whose key is not finite.
pub(crate) fn ids_or_row(
    def: &TypeDef,
    batch: &RecordBatch,
) -> Result<Result<StringArray, (usize, ConstraintViolation)>> {
    if def.key.is_empty() {
        return Err(Error::internal(format!(
            "\"{}\" has no key to make ids from",
            def.name
        )));
    }
    let columns = def
        .key
        .iter()
        .map(|&at| KeyColumn::of(def, at, batch))
        .collect::<Result<Vec<_>>>()?;
    if let [
        KeyColumn {
            values: Values::Text(ids),
            ..
        },
    ] = columns.as_slice()
    {
        return Ok(Ok((*ids).clone()));
    }
    if let Some(row) = columns.iter().filter_map(KeyColumn::first_not_finite).min() {
        return Ok(Err((row, not_finite(def, &columns, row))));
    }
    let mut ids = StringBuilder::with_capacity(batch.num_rows(), batch.num_rows() * 12);
    let mut id = String::new();
    for row in 0..batch.num_rows() {
        if columns.iter().any(|column| column.array.is_null(row)) {
            ids.append_null();
            continue;
        }
        id.clear();
        push_key(
            &mut id,
            columns.iter().map(|column| column.values.value(row)),
        );
        ids.append_value(&id);
    }
    Ok(Ok(ids.finish()))
}

fn not_finite(def: &TypeDef, columns: &[KeyColumn<'_>], row: usize) -> ConstraintViolation {
    let constraint = def.constraints.id_is_key.clone().unwrap_or_default();
    let names: Vec<&str> = columns
        .iter()
        .filter(|column| !column.values.value(row).is_finite())
        .map(|column| def.properties[column.property].column.as_str())
        .collect();
    ConstraintViolation {
        kind: ConstraintKind::Check,
        table: def.table.clone(),
        column: None,
        message: format!(
            "new row for relation \"{}\" violates check constraint \"{constraint}\"",
            def.table
        ),
        constraint: Some(constraint),
        detail: Some(format!(
            "A key must be a finite number; column \"{}\" is not.",
            names.join("\", \"")
        )),
    }
}

struct KeyColumn<'a> {
    property: usize,
    array: &'a ArrayRef,
    values: Values<'a>,
}

enum Values<'a> {
    Text(&'a StringArray),
    Bool(&'a BooleanArray),
    I32(&'a Int32Array),
    I64(&'a Int64Array),
    U32(&'a UInt32Array),
    U64(&'a UInt64Array),
    F32(&'a Float32Array),
    F64(&'a Float64Array),
    Date(&'a Date32Array),
    DateTime(&'a TimestampMicrosecondArray),
}

impl<'a> KeyColumn<'a> {
    fn of(def: &TypeDef, property: usize, batch: &'a RecordBatch) -> Result<Self> {
        let column = def.property_column(property);
        let Some(array) = batch.columns().get(column) else {
            return Err(Error::internal(format!(
                "a batch of \"{}\" has no column {column}",
                def.name
            )));
        };
        let any = array.as_any();
        let values = match def.properties[property].ty.scalar() {
            Some(Scalar::String) => any.downcast_ref().map(Values::Text),
            Some(Scalar::Bool) => any.downcast_ref().map(Values::Bool),
            Some(Scalar::I32) => any.downcast_ref().map(Values::I32),
            Some(Scalar::I64) => any.downcast_ref().map(Values::I64),
            Some(Scalar::U32) => any.downcast_ref().map(Values::U32),
            Some(Scalar::U64) => any.downcast_ref().map(Values::U64),
            Some(Scalar::F32) => any.downcast_ref().map(Values::F32),
            Some(Scalar::F64) => any.downcast_ref().map(Values::F64),
            Some(Scalar::Date) => any.downcast_ref().map(Values::Date),
            Some(Scalar::DateTime) => any.downcast_ref().map(Values::DateTime),
            Some(Scalar::Blob) | None => None,
        };
        let values = values.ok_or_else(|| {
            Error::internal(format!(
                "column \"{}\" of \"{}\" is {} where a key was expected",
                def.properties[property].column,
                def.table,
                array.data_type()
            ))
        })?;
        Ok(KeyColumn {
            property,
            array,
            values,
        })
    }

    fn first_not_finite(&self) -> Option<usize> {
        if !matches!(self.values, Values::F32(_) | Values::F64(_)) {
            return None;
        }
        (0..self.array.len())
            .find(|&row| self.array.is_valid(row) && !self.values.value(row).is_finite())
    }
}

impl<'a> Values<'a> {
    fn value(&self, row: usize) -> KeyValue<'a> {
        match self {
            Values::Text(array) => KeyValue::Text(array.value(row)),
            Values::Bool(array) => KeyValue::Bool(array.value(row)),
            Values::I32(array) => KeyValue::Signed(array.value(row).into()),
            Values::I64(array) => KeyValue::Signed(array.value(row)),
            Values::U32(array) => KeyValue::Unsigned(array.value(row).into()),
            Values::U64(array) => KeyValue::Unsigned(array.value(row)),
            Values::F32(array) => KeyValue::F32(array.value(row)),
            Values::F64(array) => KeyValue::F64(array.value(row)),
            Values::Date(array) => KeyValue::Date(array.value(row)),
            Values::DateTime(array) => KeyValue::DateTime(array.value(row)),
        }
    }
}

/// A batch with the ids its keys make in place of its `id` column.
pub fn with_key_ids(def: &TypeDef, batch: &RecordBatch) -> Result<RecordBatch> {
    let ids = key_ids(def, batch)?;
    let mut columns = batch.columns().to_vec();
    columns[super::ID_COLUMN] = Arc::new(ids);
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Schema, SeededIds};
    use arrow::array::new_null_array;

    fn def(source: &str) -> Arc<TypeDef> {
        let schema = Schema::parse(source, &mut SeededIds(1)).unwrap();
        Arc::clone(&schema.types[0])
    }

    fn ids(source: &str, keys: Vec<ArrayRef>) -> Result<Vec<String>> {
        let def = def(source);
        let rows = keys[0].len();
        let mut columns = vec![new_null_array(&arrow::datatypes::DataType::Utf8, rows)];
        columns.extend(keys);
        let batch = RecordBatch::try_new(def.row_schema(), columns).unwrap();
        Ok(key_ids(&def, &batch)?
            .iter()
            .map(|id| id.unwrap().to_owned())
            .collect())
    }

    #[test]
    fn keys_of_every_type_are_canonical() {
        let one = |ty: &str, array: ArrayRef| {
            ids(&format!("node A {{ k: {ty} @key }}"), vec![array]).unwrap()
        };
        assert_eq!(
            one("String", Arc::new(StringArray::from(vec!["a \"b\"", ""]))),
            ["a \"b\"", ""]
        );
        assert_eq!(
            one("enum(x, y)", Arc::new(StringArray::from(vec!["y"]))),
            ["y"]
        );
        assert_eq!(
            one("Bool", Arc::new(BooleanArray::from(vec![true, false]))),
            ["true", "false"]
        );
        assert_eq!(
            one("I32", Arc::new(Int32Array::from(vec![-1, 0]))),
            ["-1", "0"]
        );
        assert_eq!(
            one("U64", Arc::new(UInt64Array::from(vec![u64::MAX]))),
            ["18446744073709551615"]
        );
        assert_eq!(
            one("F64", Arc::new(Float64Array::from(vec![-0.0, 1.5, 1e300]))),
            ["0", "1.5", "1e+300"]
        );
        assert_eq!(one("F32", Arc::new(Float32Array::from(vec![0.1]))), ["0.1"]);
        assert_eq!(
            one("Date", Arc::new(Date32Array::from(vec![0]))),
            ["1970-01-01"]
        );
        let moments = TimestampMicrosecondArray::from(vec![1_500_000]).with_timezone("UTC");
        assert_eq!(
            one("DateTime", Arc::new(moments)),
            ["1970-01-01T00:00:01.5Z"]
        );
    }

    #[test]
    fn several_properties_make_a_json_array_of_texts_in_key_order() {
        let made = ids(
            "node A { a: String  b: I32  @key(b, a) }",
            vec![
                Arc::new(StringArray::from(vec!["x", "a\"\n\u{1}é"])),
                Arc::new(Int32Array::from(vec![1, 2])),
            ],
        )
        .unwrap();
        assert_eq!(made, [r#"["1","x"]"#, "[\"2\",\"a\\\"\\n\\u0001é\"]"]);
    }

    #[test]
    fn what_is_not_finite_is_no_key() {
        let refused = ids(
            "node A { k: F64 @key }",
            vec![Arc::new(Float64Array::from(vec![1.0, f64::NAN]))],
        )
        .unwrap_err();
        let Error::Constraint(violation) = refused else {
            panic!("{refused}")
        };
        assert_eq!(violation.constraint.as_deref(), Some("a_id_is_key"));
    }

    #[test]
    fn no_id_comes_of_a_key_with_null() {
        let def = def("node A { a: String  b: I32  @key(a, b) }");
        let batch = RecordBatch::try_new(
            def.row_schema(),
            vec![
                Arc::new(StringArray::from(vec!["", ""])),
                Arc::new(StringArray::from(vec!["x", "y"])),
                Arc::new(Int32Array::from(vec![None, Some(1)])),
            ],
        )
        .unwrap();
        let ids = key_ids(&def, &batch).unwrap();
        assert!(ids.is_null(0));
        assert_eq!(ids.value(1), r#"["y","1"]"#);
    }

    #[test]
    fn references_find_the_key_in_any_spelling() {
        let number = def("node A { k: I64 @key }");
        assert_eq!(canonical_id(&number, "007"), "7");
        assert_eq!(canonical_id(&number, "x"), "x");
        let moment = def("node A { k: DateTime @key }");
        assert_eq!(
            canonical_id(&moment, "2026-01-02T01:00:00+01:00"),
            "2026-01-02T00:00:00Z"
        );
        let pair = def("node A { a: String  b: I32  @key(a, b) }");
        assert_eq!(canonical_id(&pair, r#"[ "x", 1 ]"#), r#"["x","1"]"#);
        assert_eq!(canonical_id(&pair, r#"["x","01"]"#), r#"["x","1"]"#);
        assert_eq!(canonical_id(&pair, r#"["x"]"#), r#"["x"]"#);
        assert_eq!(canonical_id(&pair, "x"), "x");
        let loose = def("node A { a: String }");
        assert_eq!(canonical_id(&loose, "anything"), "anything");
    }
}
