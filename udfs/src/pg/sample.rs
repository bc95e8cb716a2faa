//! TABLESAMPLE: whether a row is in the sample.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::logical_expr::{Expr, Volatility};

use super::function::PgFunction;
use super::math::next_random;
use crate::error::{Error, Result};

/// In the sample with this probability in percent, anew for each row and execution.
pub fn random(percent: Expr) -> Expr {
    PgFunction::new(
        "tablesample",
        DataType::Boolean,
        Volatility::Volatile,
        Arc::new(|arrays, count| {
            let percent = arrays[0].as_primitive::<Float32Type>();
            let rows: BooleanArray = (0..count)
                .map(|row| {
                    let limit = share(percent.is_valid(row).then(|| percent.value(row)))?;
                    Ok(Some(next_random() < limit))
                })
                .collect::<Result<_>>()?;
            Ok(Arc::new(rows))
        }),
    )
    .lenient()
    .over(vec![percent])
}

/// As [`random`], but equal keys and seeds are in or out together: REPEATABLE.
pub fn repeatable(percent: Expr, seed: Expr, key: Expr) -> Expr {
    PgFunction::new(
        "tablesample_repeatable",
        DataType::Boolean,
        Volatility::Immutable,
        Arc::new(|arrays, count| {
            let percent = arrays[0].as_primitive::<Float32Type>();
            let seed = arrays[1].as_primitive::<Float64Type>();
            let key = arrays[2].as_string::<i32>();
            let rows: BooleanArray = (0..count)
                .map(|row| {
                    let limit = share(percent.is_valid(row).then(|| percent.value(row)))?;
                    if seed.is_null(row) {
                        let message = "TABLESAMPLE REPEATABLE parameter cannot be null";
                        return Err(Error::value("2202G", message));
                    }
                    let mut hasher = DefaultHasher::new();
                    seed.value(row).to_bits().hash(&mut hasher);
                    (key.is_valid(row).then(|| key.value(row))).hash(&mut hasher);
                    let place = hasher.finish() as f64 / u64::MAX as f64;
                    Ok(Some(place < limit))
                })
                .collect::<Result<_>>()?;
            Ok(Arc::new(rows))
        }),
    )
    .lenient()
    .over(vec![percent, seed, key])
}

/// The percentage as a share of 1.
fn share(percent: Option<f32>) -> Result<f64> {
    match percent {
        None => Err(Error::value(
            "2202H",
            "TABLESAMPLE parameter cannot be null",
        )),
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(f64::from(percent) / 100.0),
        Some(_) => Err(Error::value(
            "2202H",
            "sample percentage must be between 0 and 100",
        )),
    }
}
