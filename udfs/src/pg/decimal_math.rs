//! Roots, logarithms, exponentials and powers of numeric values, to the digits that PostgreSQL
//! gives: at least sixteen significant ones, and as many after the point as the arguments have.
//! Computed with integers in fixed point, a good deal finer than what is given back.

use num_bigint::{BigInt, Sign};

use crate::error::{Error, Result};

/// Digits after the point while computing.
const FINE: u32 = 120;
/// The significant digits that a result has at least.
const SIGNIFICANT: i64 = 16;
/// PostgreSQL's limit for digits after the point that are chosen for a result.
const MOST_SHOWN: i64 = 1000;

/// A decimal number: `unscaled / 10^scale`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    pub unscaled: BigInt,
    pub scale: u32,
}

pub(crate) fn power_of_ten(digits: u32) -> BigInt {
    BigInt::from(10).pow(digits)
}

impl Decimal {
    pub fn new(unscaled: BigInt, scale: u32) -> Self {
        Decimal { unscaled, scale }
    }

    fn is_zero(&self) -> bool {
        self.unscaled.sign() == Sign::NoSign
    }

    fn is_negative(&self) -> bool {
        self.unscaled.sign() == Sign::Minus
    }

    fn is_whole(&self) -> bool {
        (&self.unscaled % power_of_ten(self.scale)).sign() == Sign::NoSign
    }

    fn digits(&self) -> i64 {
        self.unscaled.magnitude().to_string().len() as i64
    }

    /// The group of four digits that the first digit is in, 0 being the one before the point.
    fn weight(&self) -> i64 {
        if self.is_zero() {
            return 0;
        }
        (self.digits() - i64::from(self.scale) - 1).div_euclid(4)
    }

    /// The first group of four digits, as a number; the groups are aligned at the point.
    fn first_group(&self) -> BigInt {
        let below = i64::from(self.scale) + 4 * self.weight();
        let magnitude = BigInt::from(self.unscaled.magnitude().clone());
        match u32::try_from(below) {
            Ok(below) => magnitude / power_of_ten(below),
            Err(_) => magnitude * power_of_ten(below.unsigned_abs() as u32),
        }
    }

    /// With another number of digits after the point, rounded.
    pub fn rescaled(&self, scale: u32) -> Decimal {
        Decimal::rounded(&self.fine(), scale)
    }

    /// In fixed point.
    fn fine(&self) -> BigInt {
        &self.unscaled * power_of_ten(FINE - self.scale)
    }

    /// Rounded, halves away from zero.
    fn rounded(fine: &BigInt, scale: u32) -> Decimal {
        let step = power_of_ten(FINE - scale);
        let half = &step / 2;
        let moved = match fine.sign() {
            Sign::Minus => fine - half,
            _ => fine + half,
        };
        Decimal::new(moved / step, scale)
    }

    /// Roughly; for the choice of digits only.
    fn estimate(&self) -> f64 {
        let text = self.unscaled.to_string();
        format!("{text}e-{}", self.scale)
            .parse()
            .unwrap_or(f64::MAX)
    }
}

fn shown(digits: i64, at_least: &[&Decimal]) -> Result<u32> {
    let wanted = at_least.iter().map(|value| i64::from(value.scale));
    let digits = wanted.fold(digits, i64::max).clamp(0, MOST_SHOWN);
    u32::try_from(digits)
        .ok()
        .filter(|digits| *digits < FINE)
        .ok_or_else(overflow)
}

fn overflow() -> Error {
    Error::value("22003", "value overflows numeric format")
}

pub fn sqrt(value: &Decimal) -> Result<Decimal> {
    if value.is_negative() {
        let message = "cannot take square root of a negative number";
        return Err(Error::value("2201F", message));
    }
    let whole_digits = (value.weight() + 1) * 4 / 2 - 1;
    let scale = shown(SIGNIFICANT - whole_digits, &[value])?;
    sqrt_to(value, scale)
}

/// The root of a value that is not negative, with so many digits after the point.
pub(crate) fn sqrt_to(value: &Decimal, scale: u32) -> Result<Decimal> {
    if value.is_negative() {
        return Err(Error::value("XX000", "the root of a negative number"));
    }
    let root = (value.fine() * power_of_ten(FINE)).sqrt();
    Ok(Decimal::rounded(&root, scale))
}

/// With as many digits as PostgreSQL's division chooses.
pub(crate) fn divide(value: &Decimal, by: &Decimal) -> Result<Decimal> {
    if by.is_zero() {
        return Err(Error::value("22012", "division by zero"));
    }
    let mut weight = value.weight() - by.weight();
    if value.first_group() <= by.first_group() {
        weight -= 1;
    }
    let scale = shown(SIGNIFICANT - weight * 4, &[value, by])?;
    let quotient = value.fine() * power_of_ten(by.scale) / &by.unscaled;
    Ok(Decimal::rounded(&quotient, scale))
}

pub fn ln(value: &Decimal) -> Result<Decimal> {
    let logarithm = fine_ln(value)?;
    let scale = shown(SIGNIFICANT - log_weight(value), &[value])?;
    Ok(Decimal::rounded(&logarithm, scale))
}

pub fn log(base: &Decimal, value: &Decimal) -> Result<Decimal> {
    let (of_base, of_value) = (fine_ln(base)?, fine_ln(value)?);
    if of_base.sign() == Sign::NoSign {
        return Err(Error::value("22012", "division by zero"));
    }
    let weight = log_weight(value) - log_weight(base);
    let scale = shown(SIGNIFICANT - weight, &[base, value])?;
    let quotient = of_value * power_of_ten(FINE) / of_base;
    Ok(Decimal::rounded(&quotient, scale))
}

pub fn exp(value: &Decimal) -> Result<Decimal> {
    let weight = (value.estimate() * std::f64::consts::LOG10_E) as i64;
    let scale = shown(SIGNIFICANT - weight, &[value])?;
    Ok(Decimal::rounded(&fine_exp(&value.fine())?, scale))
}

pub fn power(base: &Decimal, exponent: &Decimal) -> Result<Decimal> {
    if base.is_zero() && exponent.is_negative() {
        let message = "zero raised to a negative power is undefined";
        return Err(Error::value("2201F", message));
    }
    if base.is_negative() && !exponent.is_whole() {
        let message = "a negative number raised to a non-integer power yields a complex result";
        return Err(Error::value("2201F", message));
    }
    if exponent.is_whole() {
        let times = &exponent.unscaled / power_of_ten(exponent.scale);
        return whole_power(base, &times, shown(SIGNIFICANT, &[base])?);
    }
    if base.is_zero() {
        return Ok(Decimal::new(BigInt::from(0), SIGNIFICANT as u32));
    }
    let weight = (exponent.estimate() * base.estimate().log10()) as i64;
    let scale = shown(SIGNIFICANT - weight, &[base, exponent])?;
    let logarithm = fine_ln(base)? * exponent.fine() / power_of_ten(FINE);
    Ok(Decimal::rounded(&fine_exp(&logarithm)?, scale))
}

/// By squaring, cut to the fine digits at each step when the base is no whole number.
fn whole_power(base: &Decimal, times: &BigInt, scale: u32) -> Result<Decimal> {
    let mut left = times.magnitude().clone();
    if left.bits() > 32 {
        return Err(overflow());
    }
    let one = power_of_ten(FINE);
    let (mut result, mut square) = (one.clone(), base.fine());
    while left.bits() > 0 {
        if left.bit(0) {
            result = result * &square / &one;
        }
        left >>= 1;
        if left.bits() > 0 {
            square = &square * &square / &one;
        }
        if result.bits() > MOST_BITS || square.bits() > 2 * MOST_BITS {
            return Err(overflow());
        }
    }
    if times.sign() == Sign::Minus {
        if result.sign() == Sign::NoSign {
            return Err(overflow());
        }
        result = &one * &one / result;
    }
    Ok(Decimal::rounded(&result, scale))
}

/// Larger results do not fit into 76 digits.
const MOST_BITS: u64 = 700;

/// PostgreSQL's estimate of how many digits `ln` of a value has before the point, less one.
fn log_weight(value: &Decimal) -> i64 {
    let estimate = value.estimate();
    if (0.9..=1.1).contains(&estimate) {
        // ln(1 + x) is nearly x.
        let distance = &value.unscaled - power_of_ten(value.scale);
        let distance = Decimal::new(distance, value.scale);
        if distance.is_zero() {
            return 0;
        }
        return distance.digits() - i64::from(value.scale) - 1;
    }
    let logarithm = estimate.ln().abs();
    logarithm.log10() as i64
}

fn fine_ln(value: &Decimal) -> Result<BigInt> {
    if value.is_zero() {
        return Err(Error::value("2201E", "cannot take logarithm of zero"));
    }
    if value.is_negative() {
        let message = "cannot take logarithm of a negative number";
        return Err(Error::value("2201E", message));
    }
    // value = mantissa · 2^twos, with a mantissa from 2/3 to 4/3.
    let one = power_of_ten(FINE);
    let (low, high) = (&one * 2 / 3, &one * 4 / 3);
    let mut mantissa = value.fine();
    let mut twos = 0_i64;
    while mantissa > high {
        mantissa /= 2;
        twos += 1;
    }
    while mantissa < low {
        mantissa *= 2;
        twos -= 1;
    }
    let two = near_one(&(&one * 4 / 3)) + near_one(&(&one * 3 / 2));
    Ok(near_one(&mantissa) + two * twos)
}

/// ln of a number near one: 2·artanh((m − 1) / (m + 1)).
fn near_one(mantissa: &BigInt) -> BigInt {
    let one = power_of_ten(FINE);
    let ratio = (mantissa - &one) * &one / (mantissa + &one);
    let square = &ratio * &ratio / &one;
    let (mut term, mut sum, mut divisor) = (ratio.clone(), ratio, 1_u32);
    while term.sign() != Sign::NoSign {
        term = term * &square / &one;
        divisor += 2;
        sum += &term / divisor;
    }
    sum * 2
}

fn fine_exp(exponent: &BigInt) -> Result<BigInt> {
    let one = power_of_ten(FINE);
    // Beyond ±200 the result has too many digits, or none.
    let bound = &one * 200;
    if *exponent > bound {
        return Err(overflow());
    }
    if *exponent < -bound {
        return Ok(BigInt::from(0));
    }
    // e^x = (e^(x / 2^8))^(2^8)
    let small = exponent >> 8;
    let (mut term, mut sum, mut count) = (one.clone(), one.clone(), 0_u32);
    while term.sign() != Sign::NoSign {
        count += 1;
        term = term * &small / &one / count;
        sum += &term;
    }
    for _ in 0..8 {
        sum = &sum * &sum / &one;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{fraction}").parse().unwrap();
        Decimal::new(digits, fraction.len() as u32)
    }

    fn text(value: Result<Decimal>) -> String {
        let value = value.unwrap();
        let digits = value.unscaled.magnitude().to_string();
        let scale = value.scale as usize;
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let sign = if value.is_negative() { "-" } else { "" };
        let point = if scale > 0 { "." } else { "" };
        format!("{sign}{whole}{point}{fraction}")
    }

    #[test]
    fn values_are_those_of_postgresql() {
        // As PostgreSQL 15 answers.
        assert_eq!(text(sqrt(&decimal("1.4"))), "1.183215956619923");
        assert_eq!(text(sqrt(&decimal("2"))), "1.414213562373095");
        assert_eq!(text(ln(&decimal("2.0"))), "0.6931471805599453");
        assert_eq!(text(exp(&decimal("1.0"))), "2.7182818284590452");
        assert_eq!(text(exp(&decimal("2.0"))), "7.3890560989306502");
        assert_eq!(
            text(log(&decimal("2.0"), &decimal("64.0"))),
            "6.0000000000000000"
        );
        assert_eq!(
            text(log(&decimal("2.0"), &decimal("80"))),
            "6.3219280948873623"
        );
        assert_eq!(
            text(log(&decimal("2.5"), &decimal("100"))),
            "5.0258831894641201"
        );
        assert_eq!(
            text(power(&decimal("2"), &decimal("-0.5"))),
            "0.7071067811865475"
        );
        assert_eq!(
            text(power(&decimal("9"), &decimal("3"))),
            "729.0000000000000000"
        );
        assert_eq!(
            text(power(&decimal("2"), &decimal("-2"))),
            "0.2500000000000000"
        );
    }

    #[test]
    fn what_has_no_value_says_so() {
        assert!(sqrt(&decimal("-1")).is_err());
        assert!(ln(&decimal("0")).is_err());
        assert!(log(&decimal("1"), &decimal("2")).is_err());
        assert!(power(&decimal("0"), &decimal("-1")).is_err());
        assert!(power(&decimal("-2"), &decimal("0.5")).is_err());
        assert!(exp(&decimal("100000")).is_err());
    }
}
