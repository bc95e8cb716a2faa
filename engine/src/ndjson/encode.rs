//! Batches of rows → lines, such that loading them gives the same rows.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, FixedSizeListArray, Float32Array,
    Float64Array, Int32Array, Int64Array, LargeBinaryArray, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::blob::cell::Cell;
use crate::error::{Error, Result};
use crate::schema::key::push_json_string;
use crate::schema::text::{push_date, push_datetime, push_f32, push_f64};
use crate::schema::{DST_COLUMN, ID_COLUMN, Literal, PropertyType, SRC_COLUMN, Scalar, TypeDef};

/// Writes the rows of one type.
#[derive(Debug)]
pub struct Encoder {
    def: Arc<TypeDef>,
    /// `"name":` of each property.
    names: Vec<String>,
    /// A NULL is written down where leaving it out would mean the default.
    writes_null: Vec<bool>,
}

impl Encoder {
    pub fn new(def: &Arc<TypeDef>) -> Self {
        Encoder {
            names: def
                .properties
                .iter()
                .map(|property| format!("\"{}\":", property.name))
                .collect(),
            writes_null: def
                .properties
                .iter()
                .map(|property| !matches!(property.default, None | Some(Literal::Null)))
                .collect(),
            def: Arc::clone(def),
        }
    }

    /// Appends one line per row. The batch has the columns of [`TypeDef::columns`] in order,
    /// blobs as values that refer to nothing in the graph.
    pub fn encode(&self, batch: &RecordBatch, out: &mut String) -> Result<()> {
        let def = &self.def;
        if batch.num_columns() != def.columns().len() {
            return Err(Error::internal(format!(
                "a batch of \"{}\" lacks columns",
                def.name
            )));
        }
        let ids = self.texts(batch, ID_COLUMN)?;
        let endpoints = if def.is_edge() {
            Some((
                self.texts(batch, SRC_COLUMN)?,
                self.texts(batch, DST_COLUMN)?,
            ))
        } else {
            None
        };
        let values = def
            .properties
            .iter()
            .enumerate()
            .map(|(at, property)| {
                let column = def.property_column(at);
                check_blobs(batch.column(column))?;
                Values::of(&property.ty, batch.column(column))
                    .ok_or_else(|| self.misfit(column, batch.column(column)))
            })
            .collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            match &endpoints {
                Some((src, dst)) => {
                    out.push_str("{\"edge\":\"");
                    out.push_str(&def.name);
                    out.push_str("\",\"from\":");
                    push_json_string(out, src.value(row));
                    out.push_str(",\"to\":");
                    push_json_string(out, dst.value(row));
                }
                None => {
                    out.push_str("{\"type\":\"");
                    out.push_str(&def.name);
                    out.push('"');
                }
            }
            out.push_str(",\"data\":{");
            let mut first = true;
            let mut separate = |out: &mut String| {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
            };
            // A key says which node it is; everything else is known by its id alone.
            if def.key.is_empty() {
                separate(out);
                out.push_str("\"id\":");
                push_json_string(out, ids.value(row));
            }
            for (at, values) in values.iter().enumerate() {
                let null = values.is_null(row);
                if null && !self.writes_null[at] {
                    continue;
                }
                separate(out);
                out.push_str(&self.names[at]);
                if null {
                    out.push_str("null");
                } else {
                    values.push(row, out);
                }
            }
            out.push_str("}}\n");
        }
        Ok(())
    }

    fn texts<'a>(&self, batch: &'a RecordBatch, column: usize) -> Result<&'a StringArray> {
        let array = batch.column(column);
        array
            .as_any()
            .downcast_ref()
            .ok_or_else(|| self.misfit(column, array))
    }

    fn misfit(&self, column: usize, array: &ArrayRef) -> Error {
        Error::internal(format!(
            "column {column} of a batch of \"{}\" is {}",
            self.def.name,
            array.data_type()
        ))
    }
}

enum Values<'a> {
    Text(&'a StringArray),
    /// Of a list.
    Bytes(&'a BinaryArray),
    Blob(&'a LargeBinaryArray),
    Bool(&'a BooleanArray),
    I32(&'a Int32Array),
    I64(&'a Int64Array),
    U32(&'a UInt32Array),
    U64(&'a UInt64Array),
    F32(&'a Float32Array),
    F64(&'a Float64Array),
    Date(&'a Date32Array),
    DateTime(&'a TimestampMicrosecondArray),
    List {
        list: &'a ListArray,
        elements: Box<Values<'a>>,
    },
    Vector {
        vector: &'a FixedSizeListArray,
        elements: &'a Float32Array,
    },
}

impl<'a> Values<'a> {
    fn of(ty: &PropertyType, array: &'a ArrayRef) -> Option<Self> {
        match ty {
            PropertyType::Scalar(Scalar::Blob) => array.as_any().downcast_ref().map(Values::Blob),
            PropertyType::Scalar(scalar) => Values::scalar(*scalar, array),
            PropertyType::Enum(_) => Values::scalar(Scalar::String, array),
            PropertyType::List(scalar) => {
                let list: &ListArray = array.as_any().downcast_ref()?;
                let elements = Box::new(Values::scalar(*scalar, list.values())?);
                Some(Values::List { list, elements })
            }
            PropertyType::Vector(_) => {
                let vector: &FixedSizeListArray = array.as_any().downcast_ref()?;
                let elements = vector.values().as_any().downcast_ref()?;
                Some(Values::Vector { vector, elements })
            }
        }
    }

    fn scalar(scalar: Scalar, array: &'a ArrayRef) -> Option<Self> {
        let any = array.as_any();
        match scalar {
            Scalar::String => any.downcast_ref().map(Values::Text),
            Scalar::Blob => any.downcast_ref().map(Values::Bytes),
            Scalar::Bool => any.downcast_ref().map(Values::Bool),
            Scalar::I32 => any.downcast_ref().map(Values::I32),
            Scalar::I64 => any.downcast_ref().map(Values::I64),
            Scalar::U32 => any.downcast_ref().map(Values::U32),
            Scalar::U64 => any.downcast_ref().map(Values::U64),
            Scalar::F32 => any.downcast_ref().map(Values::F32),
            Scalar::F64 => any.downcast_ref().map(Values::F64),
            Scalar::Date => any.downcast_ref().map(Values::Date),
            Scalar::DateTime => any.downcast_ref().map(Values::DateTime),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Values::Text(array) => array.is_null(row),
            Values::Bytes(array) => array.is_null(row),
            Values::Blob(array) => array.is_null(row),
            Values::Bool(array) => array.is_null(row),
            Values::I32(array) => array.is_null(row),
            Values::I64(array) => array.is_null(row),
            Values::U32(array) => array.is_null(row),
            Values::U64(array) => array.is_null(row),
            Values::F32(array) => array.is_null(row),
            Values::F64(array) => array.is_null(row),
            Values::Date(array) => array.is_null(row),
            Values::DateTime(array) => array.is_null(row),
            Values::List { list, .. } => list.is_null(row),
            Values::Vector { vector, .. } => vector.is_null(row),
        }
    }

    /// Appends a value that is not NULL.
    fn push(&self, row: usize, out: &mut String) {
        // Writing to a string cannot fail.
        match self {
            Values::Text(array) => push_json_string(out, array.value(row)),
            Values::Bytes(array) => push_bytes(out, array.value(row)),
            Values::Blob(array) => match Cell::read(array.value(row)) {
                Ok(Cell::Bytes(bytes)) => push_bytes(out, bytes),
                Ok(Cell::External { uri, .. } | Cell::Import(uri)) => push_json_string(out, uri),
                // `check_blobs` has refused these.
                Ok(Cell::Object(_)) | Err(_) => {}
            },
            Values::Bool(array) => out.push_str(if array.value(row) { "true" } else { "false" }),
            Values::I32(array) => {
                let _ = write!(out, "{}", array.value(row));
            }
            Values::I64(array) => {
                let _ = write!(out, "{}", array.value(row));
            }
            Values::U32(array) => {
                let _ = write!(out, "{}", array.value(row));
            }
            Values::U64(array) => {
                let _ = write!(out, "{}", array.value(row));
            }
            Values::F32(array) => {
                let value = array.value(row);
                push_number(
                    out,
                    value.is_finite(),
                    value == 0.0 && value.is_sign_negative(),
                    |out| push_f32(out, value),
                );
            }
            Values::F64(array) => {
                let value = array.value(row);
                push_number(
                    out,
                    value.is_finite(),
                    value == 0.0 && value.is_sign_negative(),
                    |out| push_f64(out, value),
                );
            }
            Values::Date(array) => {
                out.push('"');
                push_date(out, array.value(row));
                out.push('"');
            }
            Values::DateTime(array) => {
                out.push('"');
                push_datetime(out, array.value(row));
                out.push('"');
            }
            Values::List { list, elements } => {
                let offsets = list.value_offsets();
                // Offsets of a list are never negative.
                let span = offsets[row] as usize..offsets[row + 1] as usize;
                push_all(out, span, |out, at| {
                    if elements.is_null(at) {
                        out.push_str("null");
                    } else {
                        elements.push(at, out);
                    }
                });
            }
            Values::Vector { vector, elements } => {
                let length = vector.value_length() as usize;
                // The offset of a slice is in its values already.
                let start = row * length;
                push_all(out, start..start + length, |out, at| {
                    let value = elements.value(at);
                    push_number(out, true, value == 0.0 && value.is_sign_negative(), |out| {
                        push_f32(out, value)
                    });
                });
            }
        }
    }
}

/// What stands in an object of the graph must have been read before.
fn check_blobs(column: &ArrayRef) -> Result<()> {
    let values: Option<&LargeBinaryArray> = column.as_any().downcast_ref();
    for value in values.into_iter().flatten().flatten() {
        if matches!(Cell::read(value)?, Cell::Object(_)) {
            return Err(Error::internal("a blob is exported that was not read"));
        }
    }
    Ok(())
}

fn push_bytes(out: &mut String, bytes: &[u8]) {
    out.push_str("\"base64:");
    STANDARD.encode_string(bytes, out);
    out.push('"');
}

fn push_all(
    out: &mut String,
    span: std::ops::Range<usize>,
    mut push: impl FnMut(&mut String, usize),
) {
    out.push('[');
    let start = span.start;
    for at in span {
        if at > start {
            out.push(',');
        }
        push(out, at);
    }
    out.push(']');
}

/// A number, or the string that stands for what JSON has no number for. Keys have no `-0`, but
/// values do.
fn push_number(out: &mut String, finite: bool, negative_zero: bool, push: impl Fn(&mut String)) {
    if negative_zero {
        out.push('-');
    }
    if finite {
        push(out);
    } else {
        out.push('"');
        push(out);
        out.push('"');
    }
}
