//! Integers and floating-point numbers.

use std::fmt::{self, Write as _};

use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// `invalid input syntax for type integer: "x"`.
pub fn invalid_syntax(type_name: &str, text: &str) -> PgError {
    PgError::new(
        sqlstate::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {type_name}: \"{text}\""),
    )
}

fn out_of_range(type_name: &str, text: &str) -> PgError {
    PgError::new(
        sqlstate::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value \"{text}\" is out of range for type {type_name}"),
    )
}

pub fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    // 20 digits hold the largest.
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    put_u64(out, value.unsigned_abs());
}

/// With leading zeros up to `width`.
pub fn put_padded(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut bound = 10_u64;
    let mut digits = 1;
    while digits < width && bound <= value {
        bound = bound.saturating_mul(10);
        digits += 1;
    }
    if value < bound {
        out.resize(out.len() + width.saturating_sub(digits), b'0');
    }
    put_u64(out, value);
}

/// An integer as PostgreSQL 16 reads it: blanks around it, a sign, digits with underscores
/// between them, and the prefixes `0x`, `0o`, `0b`.
pub fn parse_integer(text: &str, type_name: &str, min: i64, max: i64) -> PgResult<i64> {
    let trimmed = text.trim_matches(is_blank);
    let (negative, rest) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let (radix, digits) = match rest.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &rest[2..]),
        [b'0', b'o' | b'O', ..] => (8, &rest[2..]),
        [b'0', b'b' | b'B', ..] => (2, &rest[2..]),
        _ => (10, rest),
    };
    let mut magnitude: u64 = 0;
    let mut overflow = false;
    // A digit must stand before an underscore, except after a radix prefix, and one at the end.
    let mut after_digit = radix != 10;
    let mut any = false;
    for c in digits.chars() {
        if c == '_' {
            if !after_digit {
                return Err(invalid_syntax(type_name, text));
            }
            after_digit = false;
            continue;
        }
        let Some(digit) = c.to_digit(radix) else {
            return Err(invalid_syntax(type_name, text));
        };
        after_digit = true;
        any = true;
        match magnitude
            .checked_mul(u64::from(radix))
            .and_then(|m| m.checked_add(u64::from(digit)))
        {
            Some(larger) => magnitude = larger,
            None => overflow = true,
        }
    }
    if !any || !after_digit {
        return Err(invalid_syntax(type_name, text));
    }
    let signed = if negative {
        -i128::from(magnitude)
    } else {
        i128::from(magnitude)
    };
    match i64::try_from(signed) {
        Ok(value) if !overflow && (min..=max).contains(&value) => Ok(value),
        _ => Err(out_of_range(type_name, text)),
    }
}

/// What C's `isspace` takes for blank, which is what PostgreSQL's input functions skip.
pub fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

pub fn parse_f64(text: &str) -> PgResult<f64> {
    let name = "double precision";
    let number = float_text(text, name)?;
    let value: f64 = number.parse().map_err(|_| invalid_syntax(name, text))?;
    check_range(number, value.is_infinite(), value == 0.0, text, name)?;
    Ok(value)
}

pub fn parse_f32(text: &str) -> PgResult<f32> {
    let name = "real";
    let number = float_text(text, name)?;
    let value: f32 = number.parse().map_err(|_| invalid_syntax(name, text))?;
    check_range(number, value.is_infinite(), value == 0.0, text, name)?;
    Ok(value)
}

/// The part that is the number; Rust then reads what PostgreSQL reads (`inf`, `.5`, `5.`, `1e3`).
fn float_text<'a>(text: &'a str, name: &str) -> PgResult<&'a str> {
    let trimmed = text.trim_matches(is_blank);
    if trimmed.is_empty() {
        return Err(invalid_syntax(name, text));
    }
    Ok(trimmed)
}

/// Too large reads as infinity and too small as zero: both are errors unless they were written.
fn check_range(number: &str, infinite: bool, zero: bool, text: &str, name: &str) -> PgResult<()> {
    let mantissa = number.split(['e', 'E']).next().unwrap_or(number);
    let overflowed = infinite && mantissa.contains(|c: char| c.is_ascii_digit());
    let underflowed = zero && mantissa.contains(|c: char| matches!(c, '1'..='9'));
    if overflowed || underflowed {
        return Err(PgError::new(
            sqlstate::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("\"{text}\" is out of range for type {name}"),
        ));
    }
    Ok(())
}

pub fn put_f64(out: &mut Vec<u8>, value: f64, extra_float_digits: i32) {
    if put_special(
        out,
        value.is_nan(),
        value.is_infinite(),
        value.is_sign_negative(),
    ) {
        return;
    }
    if extra_float_digits > 0 {
        put_shortest(out, format_args!("{value:e}"), 15);
    } else {
        let digits = (15 + extra_float_digits).max(1) as usize;
        put_rounded(out, format_args!("{value:.*e}", digits - 1), digits);
    }
}

pub fn put_f32(out: &mut Vec<u8>, value: f32, extra_float_digits: i32) {
    if put_special(
        out,
        value.is_nan(),
        value.is_infinite(),
        value.is_sign_negative(),
    ) {
        return;
    }
    if extra_float_digits > 0 {
        put_shortest(out, format_args!("{value:e}"), 6);
    } else {
        let digits = (6 + extra_float_digits).max(1) as usize;
        put_rounded(out, format_args!("{value:.*e}", digits - 1), digits);
    }
}

fn put_special(out: &mut Vec<u8>, nan: bool, infinite: bool, negative: bool) -> bool {
    let text: &[u8] = match (nan, infinite, negative) {
        (true, ..) => b"NaN",
        (_, true, false) => b"Infinity",
        (_, true, true) => b"-Infinity",
        _ => return false,
    };
    out.extend_from_slice(text);
    true
}

/// The fewest digits that read back the same, which is what Rust prints. PostgreSQL writes an
/// exponent below 1e-4 and from the type's guaranteed number of digits on.
fn put_shortest(out: &mut Vec<u8>, scientific: fmt::Arguments<'_>, largest_exponent: i32) {
    let number = Scientific::read(scientific);
    number.put(
        out,
        number.exponent < -4 || number.exponent >= largest_exponent,
    );
}

/// As C's `%.*g`: rounded to a number of digits, zeros at the end dropped.
fn put_rounded(out: &mut Vec<u8>, scientific: fmt::Arguments<'_>, precision: usize) {
    let mut number = Scientific::read(scientific);
    while number.len > 1 && number.digits[number.len - 1] == b'0' {
        number.len -= 1;
    }
    number.put(
        out,
        number.exponent < -4 || number.exponent >= precision as i32,
    );
}

/// `-1.25e-7` taken apart.
struct Scientific {
    negative: bool,
    digits: [u8; 32],
    len: usize,
    exponent: i32,
}

impl Scientific {
    fn read(text: fmt::Arguments<'_>) -> Scientific {
        let mut buffer = Stack {
            bytes: [0; 48],
            len: 0,
        };
        // At most sign, 17 digits, point and exponent: it fits.
        let _ = buffer.write_fmt(text);
        let mut number = Scientific {
            negative: false,
            digits: [0; 32],
            len: 0,
            exponent: 0,
        };
        let mut in_exponent = false;
        let mut exponent_negative = false;
        for &byte in &buffer.bytes[..buffer.len] {
            match byte {
                b'-' if in_exponent => exponent_negative = true,
                b'-' => number.negative = true,
                b'e' => in_exponent = true,
                b'0'..=b'9' if in_exponent => {
                    number.exponent = number.exponent * 10 + i32::from(byte - b'0');
                }
                b'0'..=b'9' if number.len < number.digits.len() => {
                    number.digits[number.len] = byte;
                    number.len += 1;
                }
                _ => {}
            }
        }
        if exponent_negative {
            number.exponent = -number.exponent;
        }
        number
    }

    fn put(&self, out: &mut Vec<u8>, with_exponent: bool) {
        if self.negative {
            out.push(b'-');
        }
        let digits = &self.digits[..self.len];
        if with_exponent {
            out.push(digits[0]);
            if digits.len() > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            out.extend_from_slice(if self.exponent < 0 { b"e-" } else { b"e+" });
            put_padded(out, u64::from(self.exponent.unsigned_abs()), 2);
        } else if self.exponent < 0 {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + (-self.exponent - 1) as usize, b'0');
            out.extend_from_slice(digits);
        } else {
            let whole = self.exponent as usize + 1;
            if digits.len() <= whole {
                out.extend_from_slice(digits);
                out.resize(out.len() + whole - digits.len(), b'0');
            } else {
                out.extend_from_slice(&digits[..whole]);
                out.push(b'.');
                out.extend_from_slice(&digits[whole..]);
            }
        }
    }
}

struct Stack {
    bytes: [u8; 48],
    len: usize,
}

impl fmt::Write for Stack {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let Some(target) = self.bytes.get_mut(self.len..end) else {
            return Err(fmt::Error);
        };
        target.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f64_text(value: f64, extra: i32) -> String {
        let mut out = Vec::new();
        put_f64(&mut out, value, extra);
        String::from_utf8(out).expect("ASCII")
    }

    fn f32_text(value: f32, extra: i32) -> String {
        let mut out = Vec::new();
        put_f32(&mut out, value, extra);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn doubles_print_as_postgresql_prints_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1.5e-4, "0.00015"),
            (1e-5, "1e-05"),
            (123456789012345.0, "123456789012345"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (1.2345678901234568e17, "1.2345678901234568e+17"),
            (1e300, "1e+300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(f64_text(value, 1), expected);
        }
        assert_eq!(f64_text(0.1 + 0.2, 0), "0.3");
        assert_eq!(f64_text(1.0 / 3.0, -3), "0.333333333333");
        assert_eq!(f64_text(1e15, 0), "1e+15");
        assert_eq!(f64_text(123456.0, -12), "1.23e+05");
    }

    #[test]
    fn reals_print_as_postgresql_prints_them() {
        for (value, expected) in [
            (0.1_f32, "0.1"),
            (123456.0, "123456"),
            (1234567.0, "1.234567e+06"),
            (1e6, "1e+06"),
            (3.4028235e38, "3.4028235e+38"),
            (1.175_494_4e-38, "1.1754944e-38"),
        ] {
            assert_eq!(f32_text(value, 1), expected);
        }
        assert_eq!(f32_text(1.0 / 3.0, 0), "0.333333");
    }

    #[test]
    fn integers_are_read_with_their_limits() {
        let int4 =
            |text: &str| parse_integer(text, "integer", i64::from(i32::MIN), i64::from(i32::MAX));
        assert_eq!(int4(" -2147483648 ").expect("in range"), -2147483648);
        assert_eq!(int4("0x1_F").expect("hexadecimal"), 31);
        assert_eq!(int4("1_000").expect("underscore"), 1000);
        for bad in [
            "", " ", "1.5", "1e3", "abc", "_1", "1_", "1__0", "0x", "--1", "1 2",
        ] {
            assert_eq!(int4(bad).unwrap_err().code, "22P02", "{bad:?}");
        }
        for bad in ["2147483648", "99999999999999999999999999"] {
            assert_eq!(int4(bad).unwrap_err().code, "22003", "{bad:?}");
        }
        assert_eq!(
            parse_integer("-9223372036854775808", "bigint", i64::MIN, i64::MAX).expect("the least"),
            i64::MIN
        );
    }

    #[test]
    fn floats_are_read_with_their_limits() {
        assert_eq!(parse_f64(" 1.5e3 ").expect("a number"), 1500.0);
        assert_eq!(parse_f64("-infinity").expect("a number"), f64::NEG_INFINITY);
        assert!(parse_f64("NaN").expect("a number").is_nan());
        for bad in ["1e400", "-1e400", "1e-400"] {
            assert_eq!(parse_f64(bad).unwrap_err().code, "22003", "{bad}");
        }
        assert_eq!(parse_f32("1e39").unwrap_err().code, "22003");
        for bad in ["", "1,5", "1.5.2", "e5", "0x"] {
            assert_eq!(parse_f64(bad).unwrap_err().code, "22P02", "{bad}");
        }
    }

    #[test]
    fn padding_fills_up_to_the_width() {
        let padded = |value, width| {
            let mut out = Vec::new();
            put_padded(&mut out, value, width);
            String::from_utf8(out).expect("ASCII")
        };
        assert_eq!(padded(5, 2), "05");
        assert_eq!(padded(0, 4), "0000");
        assert_eq!(padded(1234, 4), "1234");
        assert_eq!(padded(12345, 4), "12345");
        assert_eq!(padded(99, 6), "000099");
    }
}
