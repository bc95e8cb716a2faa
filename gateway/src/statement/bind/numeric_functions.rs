//! Functions over numeric that DataFusion has no exact ones for: roots, logarithms and powers,
//! and the digits after the point.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Decimal256Array, Int32Array};
use arrow::datatypes::{DataType, i256};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use num_bigint::BigInt;
use omnigraph_catalog::types::{PgType, UNCONSTRAINED};
use omnigraph_udfs::pg::arithmetic::{decimal_parts, wide};
use omnigraph_udfs::pg::decimal_math::{self, Decimal};
use omnigraph_udfs::pg::{call_with, rows};
use omnigraph_udfs::{Error, Result};

use super::known;
use super::typed::Typed;
use super::types::numeric_of;
use crate::error::PgResult;
use crate::sqlstate::from_function;
use crate::text::numeric::shown_scale;

pub(super) fn is_known(name: &str) -> bool {
    matches!(name, "exp" | "ln" | "log" | "log10" | "sqrt")
}

/// `sqrt`, `ln`, `log`, `exp`, `power`. Of constants the result has the digits that PostgreSQL
/// shows; of columns those of numeric without a modifier.
pub(super) fn irrational(name: &str, args: Vec<Typed>) -> PgResult<Typed> {
    let constants: Option<Vec<Decimal>> = args.iter().map(|arg| decimal(&known(arg)?)).collect();
    if let Some(constants) = constants {
        let value = compute(name, &constants).map_err(|error| from_function(&error))?;
        let literal = literal(&value).map_err(|error| from_function(&error))?;
        return Ok(literal);
    }
    let (function, ty) = (name.to_owned(), PgType::NUMERIC);
    let exprs = args.into_iter().map(|arg| arg.expr).collect();
    let expr = call_with(name, "", ty.arrow(), exprs, move |arrays| {
        let columns: Vec<(Decimal256Array, u32)> = arrays
            .iter()
            .map(|array| {
                let (_, scale) = decimal_parts(array.data_type())?;
                Ok((wide(array)?, u32::try_from(scale).unwrap_or(0)))
            })
            .collect::<Result<_>>()?;
        let values: Decimal256Array = rows(arrays, |row| {
            let values: Vec<Decimal> = columns
                .iter()
                .map(|(column, scale)| Decimal::new(big(column.value(row)), *scale))
                .collect();
            let value = compute(&function, &values)?.rescaled(UNCONSTRAINED.1 as u32);
            small(&value.unscaled).map(Some)
        })?;
        let values = values
            .with_precision_and_scale(UNCONSTRAINED.0, UNCONSTRAINED.1)
            .map_err(|error| Error::value("22003", error.to_string()))?;
        Ok(Arc::new(values) as ArrayRef)
    });
    Ok(Typed::new(expr, ty))
}

fn compute(name: &str, args: &[Decimal]) -> Result<Decimal> {
    match (name, args) {
        ("sqrt", [value]) => decimal_math::sqrt(value),
        ("exp", [value]) => decimal_math::exp(value),
        ("ln", [value]) => decimal_math::ln(value),
        ("log" | "log10", [value]) => decimal_math::log(&Decimal::new(10.into(), 0), value),
        ("log", [base, value]) => decimal_math::log(base, value),
        ("power", [base, exponent]) => decimal_math::power(base, exponent),
        _ => Err(Error::value(
            "42883",
            format!("function {name} does not exist"),
        )),
    }
}

/// `None`: NULL.
fn decimal(value: &ScalarValue) -> Option<Decimal> {
    let (unscaled, scale) = match value {
        ScalarValue::Decimal128(number, _, scale) => ((*number)?.into(), *scale),
        ScalarValue::Decimal256(number, _, scale) => (big((*number)?), *scale),
        _ => return None,
    };
    Some(Decimal::new(unscaled, u32::try_from(scale).ok()?))
}

fn big(value: i256) -> BigInt {
    BigInt::from_signed_bytes_le(&value.to_le_bytes())
}

fn small(value: &BigInt) -> Result<i256> {
    i256::from_string(&value.to_string())
        .ok_or_else(|| Error::value("22003", "value overflows numeric format"))
}

fn literal(value: &Decimal) -> Result<Typed> {
    let digits = value.unscaled.magnitude().to_string().len();
    let precision = u8::try_from(digits.max(value.scale as usize + 1)).unwrap_or(u8::MAX);
    let scale = i8::try_from(value.scale).unwrap_or(i8::MAX);
    if precision > 76 || scale > 75 {
        return Err(Error::value("22003", "value overflows numeric format"));
    }
    let (ty, unscaled) = (numeric_of(precision, scale), small(&value.unscaled)?);
    let value = match (ty.arrow(), unscaled.to_i128()) {
        (DataType::Decimal128(precision, scale), Some(number)) => {
            ScalarValue::Decimal128(Some(number), precision, scale)
        }
        _ => ScalarValue::Decimal256(Some(unscaled), precision, scale),
    };
    Ok(Typed::value(value, ty))
}

/// `scale(value)`: how many digits after the point the value shows.
pub(super) fn scale(value: Typed) -> Typed {
    let modifier = value.ty.typmod;
    let expr = call_with(
        "scale",
        modifier.to_string(),
        DataType::Int32,
        vec![value.expr],
        move |arrays| {
            let (_, scale) = decimal_parts(arrays[0].data_type())?;
            let values = wide(&arrays[0])?;
            let shown: Int32Array = rows(arrays, |row| {
                Ok(Some(i32::from(shown_scale(
                    values.value(row),
                    scale,
                    modifier,
                ))))
            })?;
            Ok(Arc::new(shown))
        },
    );
    Typed::new(expr, PgType::INT4)
}

/// `trim_scale(value)` of a constant: as many digits as it needs. A column's values have one
/// scale in common, so there they stay as they are.
pub(super) fn trim_scale(value: Typed) -> Typed {
    let (mut unscaled, precision, mut scale) = match value.constant() {
        Some(ScalarValue::Decimal128(Some(number), precision, scale)) => {
            (i256::from_i128(*number), *precision, *scale)
        }
        Some(ScalarValue::Decimal256(Some(number), precision, scale)) => {
            (*number, *precision, *scale)
        }
        _ => return value,
    };
    let (ten, zero) = (i256::from_i128(10), i256::ZERO);
    while scale > 0 && unscaled.wrapping_rem(ten) == zero {
        unscaled = unscaled.wrapping_div(ten);
        scale -= 1;
    }
    let ty = numeric_of(precision, scale);
    let number = match (ty.arrow(), unscaled.to_i128()) {
        (DataType::Decimal128(precision, scale), Some(number)) => {
            ScalarValue::Decimal128(Some(number), precision, scale)
        }
        (DataType::Decimal256(precision, scale), _) => {
            ScalarValue::Decimal256(Some(unscaled), precision, scale)
        }
        _ => return value,
    };
    Typed::new(Expr::Literal(number, None), ty)
}
