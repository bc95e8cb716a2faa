//! A column of Arrow values seen as values of a PostgreSQL type: the type is looked at once
//! for a batch, not once for a value.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    FixedSizeListArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array,
    IntervalMonthDayNanoArray, ListArray, StringArray, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use omnigraph_catalog::types::PgType;

use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// A column and how it lies in memory.
pub struct View {
    pub(crate) ty: PgType,
    array: ArrayRef,
    pub(crate) cells: Cells,
}

pub(crate) enum Cells {
    Null,
    Bool(BooleanArray),
    Int2(Int16Array),
    Int4(Int32Array),
    Int8(Int64Array),
    /// oid, xid, cid: a number.
    Oid(UInt32Array),
    /// A reg* type: printed as a name.
    Reg(UInt32Array),
    Float4(Float32Array),
    Float8(Float64Array),
    Decimal128(Decimal128Array),
    Decimal256(Decimal256Array),
    Text(StringArray),
    /// `"char"`: one byte.
    Char(StringArray),
    Jsonb(StringArray),
    Uuid(StringArray),
    Snapshot(StringArray),
    Bits(StringArray),
    Bytea(BinaryArray),
    Date(Date32Array),
    Time(Time64MicrosecondArray),
    Timestamp(TimestampMicrosecondArray),
    TimestampTz(TimestampMicrosecondArray),
    Interval(IntervalMonthDayNanoArray),
    Array {
        list: ListArray,
        elements: Box<View>,
    },
    /// int2vector and oidvector: an array that prints with blanks and counts from 0.
    Words {
        list: ListArray,
        elements: Box<View>,
    },
    Vector {
        list: VectorList,
        values: Float32Array,
    },
    Record(Vec<View>),
    Void,
}

pub(crate) enum VectorList {
    Fixed(FixedSizeListArray),
    Variable(ListArray),
}

impl View {
    /// Fails with XX000 if the array cannot be seen as the type: the plan made a mistake.
    pub fn new(ty: PgType, array: &ArrayRef) -> PgResult<View> {
        let array = represent(ty, array)?;
        let cells = cells(ty, &array)?;
        Ok(View { ty, array, cells })
    }

    pub fn len(&self) -> usize {
        self.array.len()
    }

    pub fn is_empty(&self) -> bool {
        self.array.is_empty()
    }

    pub fn is_null(&self, row: usize) -> bool {
        matches!(self.cells, Cells::Null) || self.array.is_null(row)
    }
}

impl VectorList {
    /// Where a row's numbers are among the values.
    pub(crate) fn range(&self, row: usize) -> std::ops::Range<usize> {
        match self {
            VectorList::Fixed(list) => {
                let start = list.value_offset(row) as usize;
                start..start + list.value_length() as usize
            }
            VectorList::Variable(list) => range(list, row),
        }
    }
}

/// Where a row's elements are among the values.
pub(crate) fn range(list: &ListArray, row: usize) -> std::ops::Range<usize> {
    let offsets = list.value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}

/// Brings an array into the type's one representation, which it nearly always has.
fn represent(ty: PgType, array: &ArrayRef) -> PgResult<ArrayRef> {
    let have = array.data_type();
    let accepted = match have {
        DataType::Null => true,
        // Scale and zone come from the array; records have no representation of their own.
        DataType::Decimal128(..) | DataType::Decimal256(..) => ty.oid == PgType::NUMERIC.oid,
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            matches!(
                ty,
                PgType {
                    oid: 1114 | 1184,
                    ..
                }
            )
        }
        DataType::Struct(_) => true,
        DataType::FixedSizeList(item, _) | DataType::List(item)
            if ty.oid == PgType::VECTOR.oid && item.data_type() == &DataType::Float32 =>
        {
            true
        }
        DataType::List(item) if ty.is_array() => {
            // The elements are looked at on their own.
            !matches!(item.data_type(), DataType::LargeUtf8 | DataType::Utf8View)
        }
        have => have == &ty.arrow(),
    };
    if accepted {
        return Ok(Arc::clone(array));
    }
    cast(array, &ty.arrow()).map_err(|_| mismatch(ty, have))
}

fn mismatch(ty: PgType, have: &DataType) -> PgError {
    let name = ty
        .info()
        .map_or_else(|| ty.oid.to_string(), |info| info.sql_name.to_owned());
    PgError::new(
        sqlstate::INTERNAL_ERROR,
        format!("a column of type {name} came as {have}"),
    )
}

fn cells(ty: PgType, array: &ArrayRef) -> PgResult<Cells> {
    fn typed<T: Array + Clone + 'static>(ty: PgType, array: &ArrayRef) -> PgResult<T> {
        array
            .as_any()
            .downcast_ref::<T>()
            .cloned()
            .ok_or_else(|| mismatch(ty, array.data_type()))
    }
    let list = |ty: PgType| -> PgResult<(ListArray, Box<View>)> {
        let list: ListArray = typed(ty, array)?;
        let element = ty.element().unwrap_or(PgType::TEXT);
        let elements = View::new(element, list.values())?;
        Ok((list, Box::new(elements)))
    };
    Ok(match array.data_type() {
        DataType::Null => Cells::Null,
        DataType::Boolean => Cells::Bool(typed(ty, array)?),
        DataType::Int16 => Cells::Int2(typed(ty, array)?),
        DataType::Int32 => Cells::Int4(typed(ty, array)?),
        DataType::Int64 => Cells::Int8(typed(ty, array)?),
        DataType::UInt32 if matches!(ty, PgType::OID | PgType::XID | PgType::CID) => {
            Cells::Oid(typed(ty, array)?)
        }
        DataType::UInt32 => Cells::Reg(typed(ty, array)?),
        DataType::Float32 => Cells::Float4(typed(ty, array)?),
        DataType::Float64 => Cells::Float8(typed(ty, array)?),
        DataType::Decimal128(..) => Cells::Decimal128(typed(ty, array)?),
        DataType::Decimal256(..) => Cells::Decimal256(typed(ty, array)?),
        DataType::Utf8 => match ty.oid {
            18 => Cells::Char(typed(ty, array)?),
            2950 => Cells::Uuid(typed(ty, array)?),
            1560 => Cells::Bits(typed(ty, array)?),
            2970 | 5038 => Cells::Snapshot(typed(ty, array)?),
            3802 => Cells::Jsonb(typed(ty, array)?),
            2278 => Cells::Void,
            _ => Cells::Text(typed(ty, array)?),
        },
        DataType::Binary => Cells::Bytea(typed(ty, array)?),
        DataType::Date32 => Cells::Date(typed(ty, array)?),
        DataType::Time64(TimeUnit::Microsecond) => Cells::Time(typed(ty, array)?),
        DataType::Timestamp(TimeUnit::Microsecond, _) if ty.oid == PgType::TIMESTAMP.oid => {
            Cells::Timestamp(typed(ty, array)?)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => Cells::TimestampTz(typed(ty, array)?),
        DataType::Interval(IntervalUnit::MonthDayNano) => Cells::Interval(typed(ty, array)?),
        DataType::FixedSizeList(..) => {
            let list: FixedSizeListArray = typed(ty, array)?;
            let values = typed(ty, list.values())?;
            Cells::Vector {
                list: VectorList::Fixed(list),
                values,
            }
        }
        DataType::List(_) if ty.oid == PgType::VECTOR.oid => {
            let list: ListArray = typed(ty, array)?;
            let values = typed(ty, list.values())?;
            Cells::Vector {
                list: VectorList::Variable(list),
                values,
            }
        }
        DataType::List(_) if matches!(ty, PgType::INT2VECTOR | PgType::OIDVECTOR) => {
            let (list, elements) = list(ty)?;
            Cells::Words { list, elements }
        }
        DataType::List(_) if ty.is_array() => {
            let (list, elements) = list(ty)?;
            Cells::Array { list, elements }
        }
        DataType::Struct(fields) => {
            let record: StructArray = typed(ty, array)?;
            let views = fields
                .iter()
                .zip(record.columns())
                .map(|(field, column)| View::new(natural(field.data_type()), column));
            Cells::Record(views.collect::<PgResult<_>>()?)
        }
        other => return Err(mismatch(ty, other)),
    })
}

/// The type that a field of a record has, when nothing but its representation is known.
pub fn natural(data_type: &DataType) -> PgType {
    match data_type {
        DataType::Boolean => PgType::BOOL,
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => PgType::INT2,
        DataType::UInt16 | DataType::Int32 => PgType::INT4,
        DataType::Int64 => PgType::INT8,
        DataType::UInt32 => PgType::OID,
        DataType::UInt64 | DataType::Decimal128(..) | DataType::Decimal256(..) => PgType::NUMERIC,
        DataType::Float16 | DataType::Float32 => PgType::FLOAT4,
        DataType::Float64 => PgType::FLOAT8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => PgType::BYTEA,
        DataType::Date32 | DataType::Date64 => PgType::DATE,
        DataType::Time32(_) | DataType::Time64(_) => PgType::TIME,
        DataType::Timestamp(_, None) => PgType::TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => PgType::TIMESTAMPTZ,
        DataType::Interval(_) => PgType::INTERVAL,
        DataType::FixedSizeList(..) => PgType::VECTOR,
        DataType::List(item) => natural(item.data_type())
            .array()
            .unwrap_or(PgType::TEXT_ARRAY),
        DataType::Struct(_) => PgType::RECORD,
        _ => PgType::TEXT,
    }
}
