//! Blobs in plans. A table's column of blobs holds values, which refer to their bytes where those
//! are long; what asks for bytes is replaced, before a plan runs, by a node that reads them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, LargeBinaryBuilder, StringArray};
use arrow::datatypes::DataType;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, Volatility};
use omnigraph_catalog::provider::BLOB_BYTES;
use omnigraph_engine::blob::{self, VALUE_TYPE};

use super::{PgFunction, call, rows};
use crate::error::Error;

/// The bytes of a value.
pub fn bytes(value: Expr) -> Expr {
    reading(vec![value])
}

/// Some bytes of a value: from an offset on, so many as there are up to a length.
pub fn part(value: Expr, offset: Expr, length: Expr) -> Expr {
    reading(vec![value, offset, length])
}

fn reading(args: Vec<Expr>) -> Expr {
    let body = |_: &[ArrayRef], _: usize| {
        Err(Error::Engine(omnigraph_engine::Error::Unsupported {
            message: "the bytes of a blob cannot be read here".to_owned(),
            hint: Some("Read them in the list of SELECT.".to_owned()),
        }))
    };
    PgFunction::new(
        BLOB_BYTES,
        DataType::Binary,
        Volatility::Stable,
        Arc::new(body),
    )
    .over(args)
}

/// What is read: the arguments of [`bytes`] or [`part`], if `expr` is one of them.
pub fn read_by(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == BLOB_BYTES => {
            Some(args)
        }
        _ => None,
    }
}

/// The value whose bytes an expression is, if it is one's as a whole.
pub fn value_within(expr: &Expr) -> Option<&Expr> {
    match read_by(expr) {
        Some([value]) => Some(value),
        _ => None,
    }
}

/// What is stored for an expression of bytes: the value that it reads, or one of its bytes.
pub fn stored(expr: Expr) -> Expr {
    match value_within(&expr) {
        Some(value) => value.clone(),
        None => call("blob_value", VALUE_TYPE, vec![expr], |arrays| {
            Ok(blob::values(&arrays[0])?)
        }),
    }
}

/// The value that means what is at a URI.
pub fn of_uri(uri: Expr) -> Expr {
    call("blob_from_uri", VALUE_TYPE, vec![uri], |arrays| {
        let uris = arrays[0].as_string::<i32>();
        let mut values = LargeBinaryBuilder::new();
        for uri in uris {
            values.append_option(uri.map(blob::import));
        }
        Ok(Arc::new(values.finish()))
    })
}

/// How many bytes a value stands for.
pub fn length(value: Expr) -> Expr {
    call("blob_length", DataType::Int64, vec![value], |arrays| {
        let lengths: Int64Array = rows(arrays, |row| {
            let value = arrays[0].as_binary::<i64>().value(row);
            let length = blob::length(value)?.ok_or_else(|| {
                Error::Engine(omnigraph_engine::Error::Unsupported {
                    message: "the length of what a URI names is known once it is stored".to_owned(),
                    hint: Some("Store it in a column, or use length().".to_owned()),
                })
            })?;
            Ok(i64::try_from(length).ok())
        })?;
        Ok(Arc::new(lengths))
    })
}

/// Where the bytes of a value are, if outside of the graph.
pub fn uri(value: Expr) -> Expr {
    call("blob_uri", DataType::Utf8, vec![value], |arrays| {
        let uris: StringArray = rows(arrays, |row| {
            let value = arrays[0].as_binary::<i64>().value(row);
            Ok(blob::uri(value)?.map(str::to_owned))
        })?;
        Ok(Arc::new(uris))
    })
}
