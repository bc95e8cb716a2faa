//! A result value in binary format, as PostgreSQL's `*send` functions write it.

use arrow::array::Array;
use arrow::datatypes::i256;
use omnigraph_catalog::types::PgType;

use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::text::bits;
use crate::text::bytes::parse_uuid;
use crate::text::calendar::{
    DATE_INFINITY, DATE_MINUS_INFINITY, POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS,
    TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY, timestamp_out_of_range,
};
use crate::text::numeric::{self, shown_scale};
use crate::text::snapshot::TransactionSnapshot;
use crate::text::view::{Cells, View, range};
use crate::wire::rows::patch_value;

/// 42883 for the few types that have no binary form, as PostgreSQL says it.
pub fn check(ty: PgType) -> PgResult<()> {
    let element = ty.element().unwrap_or(ty);
    match element.oid {
        // tid, aclitem and pg_lsn are kept as text here.
        27 | 1033 | 3220 => Err(PgError::new(
            sqlstate::UNDEFINED_FUNCTION,
            format!(
                "no binary output function available for type {}",
                element.info().map_or("unknown", |info| info.sql_name)
            ),
        )),
        _ => Ok(()),
    }
}

/// Appends length and bytes of a value that is not NULL.
pub fn put(view: &View, row: usize, out: &mut Vec<u8>) -> PgResult<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    put_value(view, row, out)?;
    patch_value(out, start);
    Ok(())
}

fn put_value(view: &View, row: usize, out: &mut Vec<u8>) -> PgResult<()> {
    match &view.cells {
        Cells::Null | Cells::Void => {}
        Cells::Bool(array) => out.push(u8::from(array.value(row))),
        Cells::Int2(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
        Cells::Int4(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
        Cells::Int8(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
        Cells::Oid(array) | Cells::Reg(array) => {
            out.extend_from_slice(&array.value(row).to_be_bytes());
        }
        Cells::Float4(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
        Cells::Float8(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
        Cells::Decimal128(array) => {
            let value = i256::from_i128(array.value(row));
            let shown = shown_scale(value, array.scale(), view.ty.typmod);
            numeric::put_binary(out, value, array.scale(), shown);
        }
        Cells::Decimal256(array) => {
            let value = array.value(row);
            let shown = shown_scale(value, array.scale(), view.ty.typmod);
            numeric::put_binary(out, value, array.scale(), shown);
        }
        Cells::Text(array) => out.extend_from_slice(array.value(row).as_bytes()),
        Cells::Char(array) => out.push(array.value(row).bytes().next().unwrap_or(0)),
        Cells::Jsonb(array) => {
            // The version of the format.
            out.push(1);
            out.extend_from_slice(array.value(row).as_bytes());
        }
        Cells::Uuid(array) => out.extend_from_slice(&parse_uuid(array.value(row))?),
        Cells::Snapshot(array) => {
            TransactionSnapshot::parse("pg_snapshot", array.value(row))?.put_binary(out);
        }
        Cells::Bits(array) => bits::put_binary(out, array.value(row)),
        Cells::Bytea(array) => out.extend_from_slice(array.value(row)),
        Cells::Date(array) => out.extend_from_slice(&date(array.value(row))?.to_be_bytes()),
        Cells::Time(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
        Cells::Timestamp(array) | Cells::TimestampTz(array) => {
            out.extend_from_slice(&timestamp(array.value(row))?.to_be_bytes());
        }
        Cells::Interval(array) => {
            let value = array.value(row);
            out.extend_from_slice(&(value.nanoseconds / 1000).to_be_bytes());
            out.extend_from_slice(&value.days.to_be_bytes());
            out.extend_from_slice(&value.months.to_be_bytes());
        }
        Cells::Array { list, elements } => put_array(elements, range(list, row), 1, out)?,
        Cells::Words { list, elements } => put_array(elements, range(list, row), 0, out)?,
        Cells::Vector { list, values } => {
            let numbers = list.range(row);
            let length = u16::try_from(numbers.len()).map_err(|_| too_long("vector"))?;
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&[0, 0]);
            for i in numbers {
                let value = if values.is_null(i) {
                    0.0
                } else {
                    values.value(i)
                };
                out.extend_from_slice(&value.to_be_bytes());
            }
        }
        Cells::Record(fields) => {
            out.extend_from_slice(&(fields.len() as u32).to_be_bytes());
            for field in fields {
                out.extend_from_slice(&field.ty.oid.to_be_bytes());
                put_or_null(field, row, out)?;
            }
        }
    }
    Ok(())
}

fn put_or_null(view: &View, row: usize, out: &mut Vec<u8>) -> PgResult<()> {
    if view.is_null(row) {
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        return Ok(());
    }
    put(view, row, out)
}

/// Dimensions, a flag for NULLs, the element type, length and lower bound, then the elements.
fn put_array(
    elements: &View,
    range: std::ops::Range<usize>,
    lower_bound: i32,
    out: &mut Vec<u8>,
) -> PgResult<()> {
    let length = i32::try_from(range.len()).map_err(|_| too_long("array"))?;
    // An empty array has no dimension; a vector type always has its one.
    let dimensions = i32::from(length > 0 || lower_bound == 0);
    let has_null = range.clone().any(|i| elements.is_null(i));
    out.extend_from_slice(&dimensions.to_be_bytes());
    out.extend_from_slice(&i32::from(has_null).to_be_bytes());
    out.extend_from_slice(&elements.ty.oid.to_be_bytes());
    if dimensions > 0 {
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&lower_bound.to_be_bytes());
    }
    for i in range {
        put_or_null(elements, i, out)?;
    }
    Ok(())
}

fn too_long(what: &str) -> PgError {
    PgError::new(
        sqlstate::PROGRAM_LIMIT_EXCEEDED,
        format!("the {what} is too long for the binary format"),
    )
}

fn date(days: i32) -> PgResult<i32> {
    match days {
        DATE_INFINITY | DATE_MINUS_INFINITY => Ok(days),
        _ => days
            .checked_sub(POSTGRES_EPOCH_DAYS)
            .ok_or_else(timestamp_out_of_range),
    }
}

fn timestamp(micros: i64) -> PgResult<i64> {
    match micros {
        TIMESTAMP_INFINITY | TIMESTAMP_MINUS_INFINITY => Ok(micros),
        _ => micros
            .checked_sub(POSTGRES_EPOCH_MICROS)
            .ok_or_else(timestamp_out_of_range),
    }
}
