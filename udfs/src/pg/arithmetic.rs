//! Arithmetic that fails as PostgreSQL's does: 22003 out of range, 22012 division by zero.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, DecimalType, Float32Type, Float64Type, Int16Type,
    Int32Type, Int64Type, UInt32Type, i256,
};
use datafusion::logical_expr::Expr;

use super::function::call_with;
use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

pub fn division_by_zero() -> Error {
    Error::value("22012", "division by zero")
}

pub fn out_of_range(ty: &str) -> Error {
    Error::value("22003", format!("{ty} out of range"))
}

/// `left op right` on two values of one integer or floating type.
pub fn binary(op: Op, ty: &DataType, left: Expr, right: Expr) -> Expr {
    let data_type = ty.clone();
    call_with(
        &format!("{op:?}").to_lowercase(),
        ty.to_string(),
        ty.clone(),
        vec![left, right],
        move |arrays| match data_type {
            DataType::Int16 => integer::<Int16Type>(op, arrays, "smallint"),
            DataType::Int32 => integer::<Int32Type>(op, arrays, "integer"),
            DataType::Int64 => integer::<Int64Type>(op, arrays, "bigint"),
            DataType::Float32 => float::<Float32Type>(op, arrays, f64::from),
            DataType::Float64 => float::<Float64Type>(op, arrays, |value| value),
            _ => Err(Error::value(
                "XX000",
                format!("no arithmetic on {data_type}"),
            )),
        },
    )
}

/// `-value`, failing for the least integer.
pub fn negate(ty: &DataType, value: Expr) -> Expr {
    let data_type = ty.clone();
    call_with(
        "negate",
        ty.to_string(),
        ty.clone(),
        vec![value],
        move |arrays| {
            Ok(match data_type {
                DataType::Int16 => Arc::new(try_unary::<Int16Type>(&arrays[0], |v| {
                    v.checked_neg().ok_or_else(|| out_of_range("smallint"))
                })?),
                DataType::Int32 => Arc::new(try_unary::<Int32Type>(&arrays[0], |v| {
                    v.checked_neg().ok_or_else(|| out_of_range("integer"))
                })?),
                DataType::Int64 => Arc::new(try_unary::<Int64Type>(&arrays[0], |v| {
                    v.checked_neg().ok_or_else(|| out_of_range("bigint"))
                })?),
                DataType::Float32 => Arc::new(try_unary::<Float32Type>(&arrays[0], |v| Ok(-v))?),
                DataType::Float64 => Arc::new(try_unary::<Float64Type>(&arrays[0], |v| Ok(-v))?),
                DataType::Decimal128(p, s) => Arc::new(with_scale(
                    try_unary::<Decimal128Type>(&arrays[0], |v| Ok(-v))?,
                    p,
                    s,
                )?),
                DataType::Decimal256(p, s) => Arc::new(with_scale(
                    try_unary::<Decimal256Type>(&arrays[0], |v| Ok(v.wrapping_neg()))?,
                    p,
                    s,
                )?),
                _ => return Err(Error::value("XX000", format!("cannot negate {data_type}"))),
            })
        },
    )
}

/// `~value`.
pub fn invert(ty: &DataType, value: Expr) -> Expr {
    let data_type = ty.clone();
    call_with(
        "invert",
        ty.to_string(),
        ty.clone(),
        vec![value],
        move |arrays| {
            Ok(match data_type {
                DataType::Int16 => Arc::new(try_unary::<Int16Type>(&arrays[0], |v| Ok(!v))?),
                DataType::Int32 => Arc::new(try_unary::<Int32Type>(&arrays[0], |v| Ok(!v))?),
                _ => Arc::new(try_unary::<Int64Type>(&arrays[0], |v| Ok(!v))?),
            })
        },
    )
}

/// Decimal arithmetic: both sides have the scales that the binder says, and the result is of
/// the type that it has computed.
pub fn decimal(op: Op, result: &DataType, left: Expr, right: Expr) -> Expr {
    let data_type = result.clone();
    let identity = result.to_string();
    call_with(
        &format!("numeric_{op:?}").to_lowercase(),
        identity,
        result.clone(),
        vec![left, right],
        move |arrays| {
            let (precision, scale) = decimal_parts(&data_type)?;
            let left = wide(&arrays[0])?;
            let right = wide(&arrays[1])?;
            let (left_scale, right_scale) = (scale_of(&arrays[0]), scale_of(&arrays[1]));
            let limit = power_of_ten(u32::from(precision))?;
            let values = (0..left.len()).map(|row| {
                if left.is_null(row) || right.is_null(row) {
                    return Ok(None);
                }
                let value = decimal_value(
                    op,
                    left.value(row),
                    left_scale,
                    right.value(row),
                    right_scale,
                    scale,
                )?;
                if value.wrapping_abs() >= limit {
                    return Err(Error::value("22003", "value overflows numeric format"));
                }
                Ok(Some(value))
            });
            let wide: PrimitiveArray<Decimal256Type> = values.collect::<Result<_>>()?;
            narrow(&wide, &data_type)
        },
    )
}

fn decimal_value(
    op: Op,
    left: i256,
    left_scale: i8,
    right: i256,
    right_scale: i8,
    scale: i8,
) -> Result<i256> {
    let overflow = || Error::value("22003", "value overflows numeric format");
    let common = left_scale.max(right_scale);
    let aligned = |value: i256, from: i8| -> Result<i256> {
        value
            .checked_mul(power_of_ten((common - from) as u32)?)
            .ok_or_else(overflow)
    };
    Ok(match op {
        Op::Add => rescale(
            aligned(left, left_scale)?
                .checked_add(aligned(right, right_scale)?)
                .ok_or_else(overflow)?,
            common,
            scale,
        )?,
        Op::Subtract => rescale(
            aligned(left, left_scale)?
                .checked_sub(aligned(right, right_scale)?)
                .ok_or_else(overflow)?,
            common,
            scale,
        )?,
        Op::Multiply => rescale(
            left.checked_mul(right).ok_or_else(overflow)?,
            left_scale + right_scale,
            scale,
        )?,
        Op::Divide => {
            if right == i256::ZERO {
                return Err(division_by_zero());
            }
            // One digit more than wanted, then rounded half away from zero.
            let shift = i32::from(scale) + 1 + i32::from(right_scale) - i32::from(left_scale);
            let (dividend, divisor) = if shift >= 0 {
                (
                    left.checked_mul(power_of_ten(shift as u32)?)
                        .ok_or_else(overflow)?,
                    right,
                )
            } else {
                (
                    left,
                    right
                        .checked_mul(power_of_ten((-shift) as u32)?)
                        .ok_or_else(overflow)?,
                )
            };
            rescale(
                dividend.checked_div(divisor).ok_or_else(overflow)?,
                scale + 1,
                scale,
            )?
        }
        Op::Modulo => {
            let right = aligned(right, right_scale)?;
            if right == i256::ZERO {
                return Err(division_by_zero());
            }
            rescale(
                aligned(left, left_scale)?
                    .checked_rem(right)
                    .ok_or_else(overflow)?,
                common,
                scale,
            )?
        }
        _ => return Err(Error::value("42883", "numeric has no bitwise operators")),
    })
}

/// A decimal value under another scale, rounded half away from zero.
pub fn rescale(value: i256, from: i8, to: i8) -> Result<i256> {
    let overflow = || Error::value("22003", "value overflows numeric format");
    if to >= from {
        return value
            .checked_mul(power_of_ten((to - from) as u32)?)
            .ok_or_else(overflow);
    }
    let divisor = power_of_ten((from - to) as u32)?;
    let half = divisor
        .checked_div(i256::from_i128(2))
        .ok_or_else(overflow)?;
    let adjusted = if value.is_negative() {
        value.checked_sub(half)
    } else {
        value.checked_add(half)
    };
    adjusted
        .and_then(|value| value.checked_div(divisor))
        .ok_or_else(overflow)
}

pub fn power_of_ten(exponent: u32) -> Result<i256> {
    i256::from_i128(10)
        .checked_pow(exponent)
        .ok_or_else(|| Error::value("22003", "value overflows numeric format"))
}

pub fn decimal_parts(ty: &DataType) -> Result<(u8, i8)> {
    match ty {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            Ok((*precision, *scale))
        }
        other => Err(Error::value("XX000", format!("{other} is not numeric"))),
    }
}

fn scale_of(array: &ArrayRef) -> i8 {
    decimal_parts(array.data_type()).map_or(0, |(_, scale)| scale)
}

/// Any decimal as 256 bits, under its own scale.
pub fn wide(array: &ArrayRef) -> Result<PrimitiveArray<Decimal256Type>> {
    match array.data_type() {
        DataType::Decimal128(..) => Ok(array
            .as_primitive::<Decimal128Type>()
            .unary(i256::from_i128)),
        DataType::Decimal256(..) => Ok(array.as_primitive::<Decimal256Type>().clone()),
        other => Err(Error::value("XX000", format!("{other} is not numeric"))),
    }
}

/// The values, already under the type's scale, as the type.
pub fn narrow(values: &PrimitiveArray<Decimal256Type>, ty: &DataType) -> Result<ArrayRef> {
    let (precision, scale) = decimal_parts(ty)?;
    if matches!(ty, DataType::Decimal256(..)) {
        return Ok(Arc::new(with_scale(values.clone(), precision, scale)?));
    }
    let narrow: PrimitiveArray<Decimal128Type> = values
        .iter()
        .map(|value| match value {
            None => Ok(None),
            Some(value) => value
                .to_i128()
                .map(Some)
                .ok_or_else(|| Error::value("22003", "numeric field overflow")),
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(with_scale(narrow, precision, scale)?))
}

pub fn with_scale<T: DecimalType + ArrowPrimitiveType>(
    array: PrimitiveArray<T>,
    precision: u8,
    scale: i8,
) -> Result<PrimitiveArray<T>> {
    array
        .with_precision_and_scale(precision, scale)
        .map_err(|_| Error::value("22003", "numeric field overflow"))
}

/// A decimal as another decimal: rounded to the scale, 22003 if it does not fit.
pub fn decimal_cast(target: &DataType, value: Expr) -> Expr {
    let data_type = target.clone();
    call_with(
        "numeric_cast",
        target.to_string(),
        target.clone(),
        vec![value],
        move |arrays| {
            let (precision, scale) = decimal_parts(&data_type)?;
            let limit = power_of_ten(u32::from(precision))?;
            let from = scale_of(&arrays[0]);
            let wide = wide(&arrays[0])?;
            let values: PrimitiveArray<Decimal256Type> = wide
                .iter()
                .map(|value| match value {
                    None => Ok(None),
                    Some(value) => {
                        let value = rescale(value, from, scale)?;
                        if value.wrapping_abs() >= limit {
                            Err(Error::value("22003", "numeric field overflow"))
                        } else {
                            Ok(Some(value))
                        }
                    }
                })
                .collect::<Result<_>>()?;
            narrow(&values, &data_type)
        },
    )
}

/// Integers, floats and decimals to an integer type (or oid): rounded, then checked.
pub fn to_integer(source: &DataType, target: &DataType, value: Expr) -> Expr {
    let (from, to) = (source.clone(), target.clone());
    call_with(
        "to_integer",
        format!("{source}:{target}"),
        target.clone(),
        vec![value],
        move |arrays| {
            let name = match to {
                DataType::Int16 => "smallint",
                DataType::Int32 => "integer",
                DataType::UInt32 => "OID",
                _ => "bigint",
            };
            let array = &arrays[0];
            let wide: Vec<Option<i128>> = match &from {
                DataType::Int16 => array
                    .as_primitive::<Int16Type>()
                    .iter()
                    .map(|v| v.map(i128::from))
                    .collect(),
                DataType::Int32 => array
                    .as_primitive::<Int32Type>()
                    .iter()
                    .map(|v| v.map(i128::from))
                    .collect(),
                DataType::Int64 => array
                    .as_primitive::<Int64Type>()
                    .iter()
                    .map(|v| v.map(i128::from))
                    .collect(),
                DataType::UInt32 => array
                    .as_primitive::<UInt32Type>()
                    .iter()
                    .map(|v| v.map(i128::from))
                    .collect(),
                DataType::Float32 => rounded(
                    array
                        .as_primitive::<Float32Type>()
                        .iter()
                        .map(|v| v.map(f64::from)),
                    name,
                )?,
                DataType::Float64 => rounded(array.as_primitive::<Float64Type>().iter(), name)?,
                DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => {
                    let values = self::wide(array)?;
                    values
                        .iter()
                        .map(|value| match value {
                            None => Ok(None),
                            Some(value) => rescale(value, *scale, 0)?
                                .to_i128()
                                .map(Some)
                                .ok_or_else(|| out_of_range(name)),
                        })
                        .collect::<Result<_>>()?
                }
                other => return Err(Error::value("XX000", format!("no cast from {other}"))),
            };
            // An int4 and an oid are the same bits to PostgreSQL.
            let same_bits = matches!(
                (&from, &to),
                (DataType::Int32, DataType::UInt32) | (DataType::UInt32, DataType::Int32)
            );
            Ok(match &to {
                DataType::Int16 => Arc::new(narrowed::<Int16Type>(
                    &wide,
                    |v| i16::try_from(v).ok(),
                    name,
                )?),
                DataType::Int32 if same_bits => Arc::new(narrowed::<Int32Type>(
                    &wide,
                    |v| Some(v as u32 as i32),
                    name,
                )?),
                DataType::Int32 => Arc::new(narrowed::<Int32Type>(
                    &wide,
                    |v| i32::try_from(v).ok(),
                    name,
                )?),
                DataType::UInt32 if same_bits => Arc::new(narrowed::<UInt32Type>(
                    &wide,
                    |v| Some(v as i32 as u32),
                    name,
                )?),
                DataType::UInt32 => Arc::new(narrowed::<UInt32Type>(
                    &wide,
                    |v| u32::try_from(v).ok(),
                    name,
                )?),
                _ => Arc::new(narrowed::<Int64Type>(
                    &wide,
                    |v| i64::try_from(v).ok(),
                    name,
                )?),
            })
        },
    )
}

fn rounded(values: impl Iterator<Item = Option<f64>>, name: &str) -> Result<Vec<Option<i128>>> {
    values
        .map(|value| match value {
            None => Ok(None),
            Some(value) => {
                let value = value.round_ties_even();
                if value.is_finite() && value.abs() < 1e30 {
                    Ok(Some(value as i128))
                } else {
                    Err(out_of_range(name))
                }
            }
        })
        .collect()
}

fn narrowed<T: ArrowPrimitiveType>(
    values: &[Option<i128>],
    narrow: impl Fn(i128) -> Option<T::Native>,
    name: &str,
) -> Result<PrimitiveArray<T>> {
    values
        .iter()
        .map(|value| match value {
            None => Ok(None),
            Some(value) => narrow(*value).map(Some).ok_or_else(|| out_of_range(name)),
        })
        .collect()
}

/// float8 to float4: 22003 when it overflows or loses all of its digits.
pub fn to_float4(value: Expr) -> Expr {
    call_with("to_float4", "", DataType::Float32, vec![value], |arrays| {
        let array = arrays[0].as_primitive::<Float64Type>();
        let narrow: PrimitiveArray<Float32Type> = array
            .iter()
            .map(|value| match value {
                None => Ok(None),
                Some(value) => {
                    let narrow = value as f32;
                    if narrow.is_infinite() && !value.is_infinite() {
                        Err(Error::value("22003", "value out of range: overflow"))
                    } else if narrow == 0.0 && value != 0.0 {
                        Err(Error::value("22003", "value out of range: underflow"))
                    } else {
                        Ok(Some(narrow))
                    }
                }
            })
            .collect::<Result<_>>()?;
        Ok(Arc::new(narrow))
    })
}

fn try_unary<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    each: impl Fn(T::Native) -> Result<T::Native>,
) -> Result<PrimitiveArray<T>> {
    array
        .as_primitive::<T>()
        .iter()
        .map(|value| value.map(&each).transpose())
        .collect()
}

trait Checked: Copy {
    fn apply(self, op: Op, other: Self) -> Option<Self>;
    fn is_zero(self) -> bool;
}

macro_rules! checked {
    ($($ty:ty)*) => {$(
        impl Checked for $ty {
            fn apply(self, op: Op, other: Self) -> Option<Self> {
                match op {
                    Op::Add => self.checked_add(other),
                    Op::Subtract => self.checked_sub(other),
                    Op::Multiply => self.checked_mul(other),
                    Op::Divide => self.checked_div(other),
                    // The remainder by -1 is 0 even where the quotient overflows.
                    Op::Modulo => Some(self.wrapping_rem(other)),
                    Op::And => Some(self & other),
                    Op::Or => Some(self | other),
                    Op::Xor => Some(self ^ other),
                    Op::ShiftLeft => Some(self.wrapping_shl(other as u32)),
                    Op::ShiftRight => Some(self.wrapping_shr(other as u32)),
                }
            }

            fn is_zero(self) -> bool {
                self == 0
            }
        }
    )*};
}
checked!(i16 i32 i64);

fn integer<T: ArrowPrimitiveType>(op: Op, arrays: &[ArrayRef], name: &str) -> Result<ArrayRef>
where
    T::Native: Checked,
{
    let (left, right) = (arrays[0].as_primitive::<T>(), arrays[1].as_primitive::<T>());
    let values: PrimitiveArray<T> = left
        .iter()
        .zip(right.iter())
        .map(|pair| match pair {
            (Some(left), Some(right)) => {
                if matches!(op, Op::Divide | Op::Modulo) && right.is_zero() {
                    return Err(division_by_zero());
                }
                left.apply(op, right)
                    .map(Some)
                    .ok_or_else(|| out_of_range(name))
            }
            _ => Ok(None),
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(values))
}

fn float<T: ArrowPrimitiveType>(
    op: Op,
    arrays: &[ArrayRef],
    wide: impl Fn(T::Native) -> f64,
) -> Result<ArrayRef>
where
    T::Native: std::ops::Add<Output = T::Native>
        + std::ops::Sub<Output = T::Native>
        + std::ops::Mul<Output = T::Native>
        + std::ops::Div<Output = T::Native>,
{
    let (left, right) = (arrays[0].as_primitive::<T>(), arrays[1].as_primitive::<T>());
    let values: PrimitiveArray<T> = left
        .iter()
        .zip(right.iter())
        .map(|pair| {
            let (Some(left), Some(right)) = pair else {
                return Ok(None);
            };
            let (l, r) = (wide(left), wide(right));
            if op == Op::Divide && r == 0.0 && !l.is_nan() {
                return Err(division_by_zero());
            }
            let value = match op {
                Op::Add => left + right,
                Op::Subtract => left - right,
                Op::Multiply => left * right,
                _ => left / right,
            };
            let v = wide(value);
            if v.is_infinite() && !l.is_infinite() && !r.is_infinite() {
                return Err(Error::value("22003", "value out of range: overflow"));
            }
            if v == 0.0
                && l != 0.0
                && r != 0.0
                && matches!(op, Op::Multiply | Op::Divide)
                && !r.is_infinite()
            {
                return Err(Error::value("22003", "value out of range: underflow"));
            }
            Ok(Some(value))
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(values))
}
