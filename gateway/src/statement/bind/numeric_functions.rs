//! The digits after the point of numeric values: `scale`, `trim_scale`.

use std::sync::Arc;

use arrow::array::{Array, Int32Array};
use arrow::datatypes::{DataType, i256};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::arithmetic::{decimal_parts, wide};
use omnigraph_udfs::pg::{call_with, rows};

use super::typed::Typed;
use super::types::numeric_of;
use crate::text::numeric::shown_scale;

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
