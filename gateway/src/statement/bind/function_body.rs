//! Bodies of functions, row by row: reading arguments, building results.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Builder, Int64Array, ListBuilder, StringArray,
};
use arrow::datatypes::{DataType, Field, Int16Type, Int32Type, Int64Type, UInt32Type};
use datafusion::logical_expr::Volatility;
use omnigraph_udfs::Result;
use omnigraph_udfs::pg::function::Body;

/// A body, and how often it has to run.
pub(super) type Found = Option<(Body, Volatility)>;

/// It answers the same to the same arguments, as long as the catalogs stay what they are.
pub(super) fn reads(body: Body) -> Found {
    Some((body, Volatility::Immutable))
}

/// It does something, or answers what changes by itself.
pub(super) fn acts(body: Body) -> Found {
    Some((body, Volatility::Volatile))
}

pub(super) fn oid(arrays: &[ArrayRef], at: usize, row: usize) -> u32 {
    arrays[at].as_primitive::<UInt32Type>().value(row)
}

/// An integer of any width.
pub(super) fn int(arrays: &[ArrayRef], at: usize, row: usize) -> i64 {
    match arrays[at].data_type() {
        DataType::Int16 => i64::from(arrays[at].as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => i64::from(arrays[at].as_primitive::<Int32Type>().value(row)),
        DataType::UInt32 => i64::from(arrays[at].as_primitive::<UInt32Type>().value(row)),
        _ => arrays[at].as_primitive::<Int64Type>().value(row),
    }
}

pub(super) fn text(arrays: &[ArrayRef], at: usize, row: usize) -> &str {
    arrays[at].as_string::<i32>().value(row)
}

/// A function that answers row by row, and with NULL where an argument is.
fn strict<T, A>(
    each: impl Fn(&[ArrayRef], usize) -> Result<Option<T>> + Send + Sync + 'static,
) -> Body
where
    A: Array + FromIterator<Option<T>> + 'static,
{
    Arc::new(move |arrays, count| {
        let values = (0..count).map(|row| {
            if arrays.iter().any(|array| array.is_null(row)) {
                Ok(None)
            } else {
                each(arrays, row)
            }
        });
        Ok(Arc::new(values.collect::<Result<A>>()?))
    })
}

pub(super) fn texts(
    each: impl Fn(&[ArrayRef], usize) -> Result<Option<String>> + Send + Sync + 'static,
) -> Body {
    strict::<_, StringArray>(each)
}

pub(super) fn booleans(
    each: impl Fn(&[ArrayRef], usize) -> Result<Option<bool>> + Send + Sync + 'static,
) -> Body {
    strict::<_, BooleanArray>(each)
}

pub(super) fn bigints(
    each: impl Fn(&[ArrayRef], usize) -> Result<Option<i64>> + Send + Sync + 'static,
) -> Body {
    strict::<_, Int64Array>(each)
}

pub(super) fn integer_lists(
    each: impl Fn(&[ArrayRef], usize) -> Vec<i32> + Send + Sync + 'static,
) -> Body {
    Arc::new(move |arrays, count| {
        let mut out = ListBuilder::new(Int32Builder::new()).with_field(Field::new(
            "item",
            DataType::Int32,
            true,
        ));
        for row in 0..count {
            let known = arrays.iter().all(|array| array.is_valid(row));
            if known {
                for value in each(arrays, row) {
                    out.values().append_value(value);
                }
            }
            out.append(known);
        }
        Ok(Arc::new(out.finish()))
    })
}
