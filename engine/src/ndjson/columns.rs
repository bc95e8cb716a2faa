//! Cells → Arrow columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, FixedSizeListArray, Float32Builder,
    Float64Builder, Int32Builder, Int64Builder, LargeBinaryBuilder, ListArray, NullBufferBuilder,
    StringBuilder, TimestampMicrosecondBuilder, UInt32Builder, UInt64Builder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};

use super::cell::Cell;
use crate::blob;
use crate::error::{Error, Result};
use crate::schema::{PropertyType, Scalar};

#[derive(Debug)]
pub(crate) enum ColumnBuilder {
    Text(StringBuilder),
    Blob(BinaryBuilder),
    /// Blobs of a row, as values of [`crate::blob`].
    Values(LargeBinaryBuilder),
    Bool(BooleanBuilder),
    I32(Int32Builder),
    I64(Int64Builder),
    U32(UInt32Builder),
    U64(UInt64Builder),
    F32(Float32Builder),
    F64(Float64Builder),
    Date(Date32Builder),
    DateTime(TimestampMicrosecondBuilder),
    List {
        elements: Box<ColumnBuilder>,
        scalar: Scalar,
        lengths: Vec<usize>,
        valid: NullBufferBuilder,
    },
    Vector {
        elements: Float32Builder,
        dimension: usize,
        valid: NullBufferBuilder,
    },
}

impl ColumnBuilder {
    pub fn new(ty: &PropertyType) -> Self {
        match ty {
            PropertyType::Scalar(scalar) => ColumnBuilder::scalar(*scalar),
            PropertyType::Enum(_) => ColumnBuilder::Text(StringBuilder::new()),
            PropertyType::List(scalar) => ColumnBuilder::List {
                elements: Box::new(ColumnBuilder::scalar(*scalar)),
                scalar: *scalar,
                lengths: Vec::new(),
                valid: NullBufferBuilder::new(0),
            },
            PropertyType::Vector(dimension) => ColumnBuilder::Vector {
                elements: Float32Builder::new(),
                dimension: *dimension as usize,
                valid: NullBufferBuilder::new(0),
            },
        }
    }

    /// For the rows of a table.
    pub fn of_rows(ty: &PropertyType) -> Self {
        match ty {
            PropertyType::Scalar(Scalar::Blob) => ColumnBuilder::Values(LargeBinaryBuilder::new()),
            other => ColumnBuilder::new(other),
        }
    }

    fn scalar(scalar: Scalar) -> Self {
        match scalar {
            Scalar::String => ColumnBuilder::Text(StringBuilder::new()),
            Scalar::Blob => ColumnBuilder::Blob(BinaryBuilder::new()),
            Scalar::Bool => ColumnBuilder::Bool(BooleanBuilder::new()),
            Scalar::I32 => ColumnBuilder::I32(Int32Builder::new()),
            Scalar::I64 => ColumnBuilder::I64(Int64Builder::new()),
            Scalar::U32 => ColumnBuilder::U32(UInt32Builder::new()),
            Scalar::U64 => ColumnBuilder::U64(UInt64Builder::new()),
            Scalar::F32 => ColumnBuilder::F32(Float32Builder::new()),
            Scalar::F64 => ColumnBuilder::F64(Float64Builder::new()),
            Scalar::Date => ColumnBuilder::Date(Date32Builder::new()),
            Scalar::DateTime => {
                ColumnBuilder::DateTime(TimestampMicrosecondBuilder::new().with_timezone("UTC"))
            }
        }
    }

    /// Adds a cell that was read by this column's type; what is absent is NULL.
    pub fn append(&mut self, cell: &Cell<'_>) {
        match (&mut *self, cell) {
            (ColumnBuilder::Text(builder), Cell::Text(text)) => builder.append_value(text),
            (ColumnBuilder::Blob(builder), Cell::Blob(bytes)) => builder.append_value(bytes),
            (ColumnBuilder::Values(builder), Cell::Blob(bytes)) => {
                builder.append_value(blob::cell::quoted(bytes));
            }
            (ColumnBuilder::Values(builder), Cell::BlobUri(uri)) => {
                builder.append_value(blob::import(uri));
            }
            (ColumnBuilder::Bool(builder), Cell::Bool(value)) => builder.append_value(*value),
            (ColumnBuilder::I32(builder), Cell::I32(value)) => builder.append_value(*value),
            (ColumnBuilder::I64(builder), Cell::I64(value)) => builder.append_value(*value),
            (ColumnBuilder::U32(builder), Cell::U32(value)) => builder.append_value(*value),
            (ColumnBuilder::U64(builder), Cell::U64(value)) => builder.append_value(*value),
            (ColumnBuilder::F32(builder), Cell::F32(value)) => builder.append_value(*value),
            (ColumnBuilder::F64(builder), Cell::F64(value)) => builder.append_value(*value),
            (ColumnBuilder::Date(builder), Cell::Date(days)) => builder.append_value(*days),
            (ColumnBuilder::DateTime(builder), Cell::DateTime(micros)) => {
                builder.append_value(*micros)
            }
            (
                ColumnBuilder::List {
                    elements,
                    lengths,
                    valid,
                    ..
                },
                Cell::List(cells),
            ) => {
                for cell in cells {
                    elements.append(cell);
                }
                lengths.push(cells.len());
                valid.append_non_null();
            }
            (
                ColumnBuilder::Vector {
                    elements, valid, ..
                },
                Cell::Vector(values),
            ) => {
                elements.append_slice(values);
                valid.append_non_null();
            }
            (builder, _) => builder.append_null(),
        }
    }

    fn append_null(&mut self) {
        match self {
            ColumnBuilder::Text(builder) => builder.append_null(),
            ColumnBuilder::Blob(builder) => builder.append_null(),
            ColumnBuilder::Values(builder) => builder.append_null(),
            ColumnBuilder::Bool(builder) => builder.append_null(),
            ColumnBuilder::I32(builder) => builder.append_null(),
            ColumnBuilder::I64(builder) => builder.append_null(),
            ColumnBuilder::U32(builder) => builder.append_null(),
            ColumnBuilder::U64(builder) => builder.append_null(),
            ColumnBuilder::F32(builder) => builder.append_null(),
            ColumnBuilder::F64(builder) => builder.append_null(),
            ColumnBuilder::Date(builder) => builder.append_null(),
            ColumnBuilder::DateTime(builder) => builder.append_null(),
            ColumnBuilder::List { lengths, valid, .. } => {
                lengths.push(0);
                valid.append_null();
            }
            ColumnBuilder::Vector {
                elements,
                dimension,
                valid,
            } => {
                elements.append_nulls(*dimension);
                valid.append_null();
            }
        }
    }

    pub fn finish(&mut self) -> Result<ArrayRef> {
        let item = |data_type: DataType| Arc::new(Field::new("item", data_type, true));
        Ok(match self {
            ColumnBuilder::Text(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Blob(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Values(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Bool(builder) => Arc::new(builder.finish()),
            ColumnBuilder::I32(builder) => Arc::new(builder.finish()),
            ColumnBuilder::I64(builder) => Arc::new(builder.finish()),
            ColumnBuilder::U32(builder) => Arc::new(builder.finish()),
            ColumnBuilder::U64(builder) => Arc::new(builder.finish()),
            ColumnBuilder::F32(builder) => Arc::new(builder.finish()),
            ColumnBuilder::F64(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Date(builder) => Arc::new(builder.finish()),
            ColumnBuilder::DateTime(builder) => Arc::new(builder.finish()),
            ColumnBuilder::List {
                elements,
                scalar,
                lengths,
                valid,
            } => Arc::new(ListArray::try_new(
                item(scalar.data_type()),
                OffsetBuffer::from_lengths(lengths.drain(..)),
                elements.finish()?,
                valid.finish(),
            )?),
            ColumnBuilder::Vector {
                elements,
                dimension,
                valid,
            } => Arc::new(FixedSizeListArray::try_new(
                item(DataType::Float32),
                i32::try_from(*dimension).map_err(Error::internal)?,
                Arc::new(elements.finish()),
                valid.finish(),
            )?),
        })
    }
}
