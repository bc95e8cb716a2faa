//! Functions over numbers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int32Array, PrimitiveArray};
use arrow::datatypes::{
    DataType, Decimal256Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, i256,
};
use datafusion::logical_expr::Expr;

use super::arithmetic::{self, narrow, out_of_range, power_of_ten, rescale, wide};
use super::degrees;
use super::function::{call, call_with};
use crate::error::{Error, Result};

/// Is there a function of this name over float8?
pub fn is_float_function(name: &str, arity: usize) -> bool {
    match arity {
        1 => unary(name).is_some(),
        2 => matches!(name, "power" | "pow" | "atan2" | "atan2d"),
        _ => false,
    }
}

/// A function over float8 values.
pub fn float(name: &str, args: Vec<Expr>) -> Expr {
    if args.len() == 2 {
        let power = !name.starts_with("atan2");
        let degrees = name == "atan2d";
        return call_with(name, "", DataType::Float64, args, move |arrays| {
            let (left, right) = (
                arrays[0].as_primitive::<Float64Type>(),
                arrays[1].as_primitive::<Float64Type>(),
            );
            let values: Float64Array = left
                .iter()
                .zip(right.iter())
                .map(|pair| match pair {
                    (Some(left), Some(right)) if power => self::power(left, right).map(Some),
                    (Some(left), Some(right)) if degrees => {
                        Ok(Some(degrees::arc_tangent2(left, right)))
                    }
                    (Some(left), Some(right)) => Ok(Some(left.atan2(right))),
                    _ => Ok(None),
                })
                .collect::<Result<_>>()?;
            Ok(Arc::new(values))
        });
    }
    let each = unary(name);
    let function = name.to_owned();
    call_with(name, "", DataType::Float64, args, move |arrays| {
        let each = each
            .ok_or_else(|| Error::value("42883", format!("function {function} does not exist")))?;
        let values: Float64Array = arrays[0]
            .as_primitive::<Float64Type>()
            .iter()
            .map(|value| value.map(each).transpose())
            .collect::<Result<_>>()?;
        Ok(Arc::new(values))
    })
}

fn power(base: f64, exponent: f64) -> Result<f64> {
    if base == 0.0 && exponent < 0.0 {
        return Err(Error::value(
            "2201F",
            "zero raised to a negative power is undefined",
        ));
    }
    if base < 0.0 && base.is_finite() && exponent.is_finite() && exponent.fract() != 0.0 {
        return Err(Error::value(
            "2201F",
            "a negative number raised to a non-integer power yields a complex result",
        ));
    }
    finite(
        base.powf(exponent),
        base.is_infinite() || exponent.is_infinite(),
    )
}

fn finite(value: f64, was_infinite: bool) -> Result<f64> {
    if value.is_infinite() && !was_infinite {
        return Err(Error::value("22003", "value out of range: overflow"));
    }
    Ok(value)
}

type Unary = fn(f64) -> Result<f64>;

fn unary(name: &str) -> Option<Unary> {
    Some(match name {
        "sqrt" => |v| {
            if v < 0.0 {
                return Err(Error::value(
                    "2201F",
                    "cannot take square root of a negative number",
                ));
            }
            Ok(v.sqrt())
        },
        "cbrt" => |v| Ok(v.cbrt()),
        "exp" => |v| finite(v.exp(), v.is_infinite()),
        "ln" => |v| logarithm(v).map(|v| v.ln()),
        "log" | "log10" => |v| logarithm(v).map(|v| v.log10()),
        "ceil" | "ceiling" => |v| Ok(v.ceil()),
        "floor" => |v| Ok(v.floor()),
        "round" => |v| Ok(v.round_ties_even()),
        "trunc" => |v| Ok(v.trunc()),
        "sign" => |v| {
            Ok(if v > 0.0 {
                1.0
            } else if v < 0.0 {
                -1.0
            } else {
                0.0
            })
        },
        "sin" => |v| Ok(v.sin()),
        "cos" => |v| Ok(v.cos()),
        "tan" => |v| Ok(v.tan()),
        "cot" => |v| Ok(1.0 / v.tan()),
        "asin" => |v| unit(v).map(f64::asin),
        "acos" => |v| unit(v).map(f64::acos),
        "atan" => |v| Ok(v.atan()),
        "sinh" => |v| Ok(v.sinh()),
        "cosh" => |v| Ok(v.cosh()),
        "tanh" => |v| Ok(v.tanh()),
        "asinh" => |v| Ok(v.asinh()),
        "acosh" => |v| {
            if v < 1.0 {
                return Err(Error::value("22003", "input is out of range"));
            }
            Ok(v.acosh())
        },
        "atanh" => |v| unit(v).map(f64::atanh),
        "sind" => |v| degrees::angle(v).map(degrees::sine),
        "cosd" => |v| degrees::angle(v).map(degrees::cosine),
        "tand" => |v| degrees::angle(v).map(degrees::tangent),
        "cotd" => |v| degrees::angle(v).map(degrees::cotangent),
        "asind" => |v| unit(v).map(degrees::arc_sine),
        "acosd" => |v| unit(v).map(degrees::arc_cosine),
        "atand" => |v| Ok(degrees::arc_tangent(v)),
        "degrees" => |v| Ok(v.to_degrees()),
        "radians" => |v| Ok(v.to_radians()),
        _ => return None,
    })
}

fn unit(value: f64) -> Result<f64> {
    if value.abs() > 1.0 {
        Err(Error::value("22003", "input is out of range"))
    } else {
        Ok(value)
    }
}

fn logarithm(value: f64) -> Result<f64> {
    if value == 0.0 {
        return Err(Error::value("2201E", "cannot take logarithm of zero"));
    }
    if value < 0.0 {
        return Err(Error::value(
            "2201E",
            "cannot take logarithm of a negative number",
        ));
    }
    Ok(value)
}

/// `abs` of any number type.
pub fn abs(ty: &DataType, value: Expr) -> Expr {
    let data_type = ty.clone();
    call_with(
        "abs",
        ty.to_string(),
        ty.clone(),
        vec![value],
        move |arrays| {
            let array = &arrays[0];
            Ok(match &data_type {
                DataType::Int16 => Arc::new(try_map::<Int16Type>(array, |v| {
                    v.checked_abs().ok_or_else(|| out_of_range("smallint"))
                })?),
                DataType::Int32 => Arc::new(try_map::<Int32Type>(array, |v| {
                    v.checked_abs().ok_or_else(|| out_of_range("integer"))
                })?),
                DataType::Int64 => Arc::new(try_map::<Int64Type>(array, |v| {
                    v.checked_abs().ok_or_else(|| out_of_range("bigint"))
                })?),
                DataType::Float32 => Arc::new(try_map::<Float32Type>(array, |v| Ok(v.abs()))?),
                DataType::Float64 => Arc::new(try_map::<Float64Type>(array, |v| Ok(v.abs()))?),
                _ => return narrow(&wide(array)?.unary(|v| v.wrapping_abs()), &data_type),
            })
        },
    )
}

fn try_map<T: arrow::array::ArrowPrimitiveType>(
    array: &ArrayRef,
    each: impl Fn(T::Native) -> Result<T::Native>,
) -> Result<PrimitiveArray<T>> {
    array
        .as_primitive::<T>()
        .iter()
        .map(|value| value.map(&each).transpose())
        .collect()
}

/// `round`, `trunc`, `ceil`, `floor`, `sign` of numeric, to `digits` after the point, which is
/// also the scale of the result's type when it is not negative.
pub fn decimal(name: &str, result: &DataType, digits: i32, value: Expr) -> Expr {
    let (function, data_type) = (name.to_owned(), result.clone());
    call_with(
        name,
        format!("{result}{digits}"),
        result.clone(),
        vec![value],
        move |arrays| {
            let (_, from) = arithmetic::decimal_parts(arrays[0].data_type())?;
            let (_, to) = arithmetic::decimal_parts(&data_type)?;
            let values: PrimitiveArray<Decimal256Type> = wide(&arrays[0])?
                .iter()
                .map(|value| match value {
                    None => Ok(None),
                    Some(value) => decimal_value(
                        &function,
                        value,
                        from,
                        digits.clamp(-70, i32::from(from)) as i8,
                        to,
                    )
                    .map(Some),
                })
                .collect::<Result<_>>()?;
            narrow(&values, &data_type)
        },
    )
}

fn decimal_value(
    function: &str,
    value: arrow::datatypes::i256,
    from: i8,
    digits: i8,
    to: i8,
) -> Result<arrow::datatypes::i256> {
    use arrow::datatypes::i256;
    let at = match function {
        "sign" => {
            let sign = if value == i256::ZERO {
                0
            } else if value.is_negative() {
                -1
            } else {
                1
            };
            return rescale(i256::from_i128(sign), 0, to);
        }
        "round" => rescale(value, from, digits)?,
        _ => {
            let step = power_of_ten((from - digits) as u32)?;
            let whole = value.wrapping_div(step);
            let rest = value.wrapping_rem(step);
            match function {
                "ceil" | "ceiling" if rest > i256::ZERO => whole.wrapping_add(i256::ONE),
                "floor" if rest < i256::ZERO => whole.wrapping_sub(i256::ONE),
                _ => whole,
            }
        }
    };
    rescale(at, digits, to)
}

/// `gcd`, `lcm`, `factorial`, `width_bucket` and other functions over int8.
pub fn integers(name: &str, returns: &DataType, args: Vec<Expr>) -> Option<Expr> {
    let each: fn(i64, i64) -> Result<i64> = match name {
        "gcd" => |a, b| Ok(gcd(a, b)),
        "lcm" => |a, b| {
            if a == 0 || b == 0 {
                return Ok(0);
            }
            (a / gcd(a, b))
                .checked_mul(b)
                .and_then(i64::checked_abs)
                .ok_or_else(|| out_of_range("bigint"))
        },
        _ => return None,
    };
    let data_type = returns.clone();
    Some(call_with(
        name,
        returns.to_string(),
        returns.clone(),
        args,
        move |arrays| match data_type {
            DataType::Int32 => {
                let (a, b) = (
                    arrays[0].as_primitive::<Int32Type>(),
                    arrays[1].as_primitive::<Int32Type>(),
                );
                let values: Int32Array = a
                    .iter()
                    .zip(b.iter())
                    .map(|pair| match pair {
                        (Some(a), Some(b)) => i32::try_from(each(i64::from(a), i64::from(b))?)
                            .map(Some)
                            .map_err(|_| out_of_range("integer")),
                        _ => Ok(None),
                    })
                    .collect::<Result<_>>()?;
                Ok(Arc::new(values))
            }
            _ => {
                let (a, b) = (
                    arrays[0].as_primitive::<Int64Type>(),
                    arrays[1].as_primitive::<Int64Type>(),
                );
                let values: PrimitiveArray<Int64Type> = a
                    .iter()
                    .zip(b.iter())
                    .map(|pair| match pair {
                        (Some(a), Some(b)) => each(a, b).map(Some),
                        _ => Ok(None),
                    })
                    .collect::<Result<_>>()?;
                Ok(Arc::new(values))
            }
        },
    ))
}

fn gcd(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a.wrapping_rem(b));
    }
    a.wrapping_abs()
}

/// `width_bucket(value, low, high, count)` over float8.
pub fn width_bucket(args: Vec<Expr>) -> Expr {
    call("width_bucket", DataType::Int32, args, |arrays| {
        let (value, low, high) = (
            arrays[0].as_primitive::<Float64Type>(),
            arrays[1].as_primitive::<Float64Type>(),
            arrays[2].as_primitive::<Float64Type>(),
        );
        let count = arrays[3].as_primitive::<Int32Type>();
        let values: Int32Array = super::function::rows(arrays, |row| {
            let (value, low, high, count) = (
                value.value(row),
                low.value(row),
                high.value(row),
                count.value(row),
            );
            if count <= 0 {
                return Err(Error::value("2201G", "count must be greater than zero"));
            }
            if low == high {
                return Err(Error::value(
                    "2201G",
                    "lower bound cannot equal upper bound",
                ));
            }
            let (position, descending) = if low < high {
                ((value - low) / (high - low), false)
            } else {
                ((low - value) / (low - high), true)
            };
            let _ = descending;
            Ok(Some(if position < 0.0 {
                0
            } else if position >= 1.0 {
                count.saturating_add(1)
            } else {
                (position * f64::from(count)) as i32 + 1
            }))
        })?;
        Ok(Arc::new(values))
    })
}

/// `factorial(n)`: exact, as far as numeric reaches.
pub fn factorial(returns: &DataType, args: Vec<Expr>) -> Expr {
    let ty = returns.clone();
    call_with("factorial", "", returns.clone(), args, move |arrays| {
        let values: PrimitiveArray<Decimal256Type> = super::function::rows(arrays, |row| {
            let last = arrays[0].as_primitive::<Int64Type>().value(row);
            if last < 0 {
                return Err(Error::value(
                    "22003",
                    "factorial of a negative number is undefined",
                ));
            }
            (2..=last)
                .try_fold(i256::ONE, |product, factor| {
                    product.checked_mul(i256::from(factor))
                })
                .map(Some)
                .ok_or_else(|| Error::value("22003", "value overflows numeric format"))
        })?;
        narrow(&values, &ty)
    })
}

/// `min_scale(value)`: the fewest digits behind the point that say the value exactly.
pub fn min_scale(args: Vec<Expr>) -> Expr {
    call("min_scale", DataType::Int32, args, |arrays| {
        let (_, scale) = arithmetic::decimal_parts(arrays[0].data_type())?;
        let values = wide(&arrays[0])?;
        let ten = i256::from_i128(10);
        let scales: Int32Array = super::function::rows(arrays, |row| {
            let (mut value, mut digits) = (values.value(row), i32::from(scale));
            while digits > 0 && value.wrapping_rem(ten) == i256::ZERO {
                value = value.wrapping_div(ten);
                digits -= 1;
            }
            Ok(Some(digits.max(0)))
        })?;
        Ok(Arc::new(scales))
    })
}

/// A number in [0, 1), from the hasher's per-process random keys and a counter.
pub(super) fn next_random() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let bits = KEYS.hash_one(COUNTER.fetch_add(1, Ordering::Relaxed));
    (bits >> 11) as f64 / (1u64 << 53) as f64
}
