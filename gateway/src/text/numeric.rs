//! `numeric`: up to 76 digits, with the scale in the type (Arrow's decimals) rather than in
//! each value.

use arrow::datatypes::i256;
use datafusion::common::ScalarValue;
use omnigraph_catalog::types::{PgType, UNCONSTRAINED, numeric_modifier};

use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::text::number::{invalid_syntax, is_blank, put_u64};

/// The most digits a numeric may have.
pub const MAX_DIGITS: usize = 76;

/// A number as it was written: `unscaled` / 10^`scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numeric {
    pub unscaled: i256,
    /// Digits after the point, as written: `1.50` has two.
    pub scale: u8,
}

impl Numeric {
    /// Reads digits with a point and an exponent; `NaN` and infinities are 0A000.
    pub fn parse(text: &str) -> PgResult<Numeric> {
        let syntax = || invalid_syntax("numeric", text);
        let trimmed = text.trim_matches(is_blank);
        let (negative, rest) = match trimmed.as_bytes().first() {
            Some(b'-') => (true, &trimmed[1..]),
            Some(b'+') => (false, &trimmed[1..]),
            _ => (false, trimmed),
        };
        if matches!(
            rest.to_ascii_lowercase().as_str(),
            "nan" | "inf" | "infinity"
        ) {
            return Err(PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!("numeric does not support \"{trimmed}\""),
            )
            .hint("Use double precision for NaN and infinities."));
        }
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                let digits = exponent.trim_start_matches(['+', '-']);
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(syntax());
                }
                (mantissa, exponent.parse::<i32>().map_err(|_| syntax())?)
            }
            None => (rest, 0),
        };
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if (whole.is_empty() && part.is_empty())
            || !whole
                .bytes()
                .chain(part.bytes())
                .all(|b| b.is_ascii_digit())
        {
            return Err(syntax());
        }
        let mut digits: Vec<u8> = whole
            .bytes()
            .chain(part.bytes())
            .map(|b| b - b'0')
            .collect();
        let scale = i64::try_from(part.len()).map_err(|_| too_large())? - i64::from(exponent);
        if scale < 0 {
            let zeros = usize::try_from(-scale).map_err(|_| too_large())?;
            if zeros > MAX_DIGITS && digits.iter().any(|&digit| digit != 0) {
                return Err(too_large());
            }
            digits.resize(digits.len() + zeros.min(MAX_DIGITS), 0);
        }
        let scale = scale.max(0) as u64;
        Numeric::from_digits(negative, &digits, scale)
    }

    /// The digits before and after the point, most significant first; what goes beyond 76 digits
    /// after the point is rounded away.
    pub(crate) fn from_digits(negative: bool, digits: &[u8], scale: u64) -> PgResult<Numeric> {
        let first = digits
            .iter()
            .position(|&digit| digit != 0)
            .unwrap_or(digits.len());
        let digits = &digits[first..];
        let mut scale = usize::try_from(scale).unwrap_or(usize::MAX);
        let mut kept = digits;
        let mut round_up = false;
        let excess = scale.saturating_sub(MAX_DIGITS).max(
            // More digits than fit, some of them after the point.
            digits.len().saturating_sub(MAX_DIGITS).min(scale),
        );
        if excess > 0 {
            let cut = digits.len().saturating_sub(excess);
            round_up = digits.len() >= excess && digits.get(cut).is_some_and(|&digit| digit >= 5);
            kept = &digits[..cut];
            scale -= excess;
        }
        if kept.len() > MAX_DIGITS {
            return Err(too_large());
        }
        let mut unscaled = i256::ZERO;
        let ten = i256::from_i128(10);
        // 76 digits fit: 10^76 < 2^255.
        for &digit in kept {
            unscaled = unscaled
                .wrapping_mul(ten)
                .wrapping_add(i256::from_i128(i128::from(digit)));
        }
        if round_up {
            unscaled = unscaled.wrapping_add(i256::ONE);
        }
        if negative {
            unscaled = unscaled.wrapping_neg();
        }
        let scale = u8::try_from(scale).map_err(|_| too_large())?;
        Ok(Numeric { unscaled, scale })
    }

    /// With another number of digits after the point, rounded half away from zero.
    pub fn rescale(self, scale: u8) -> PgResult<Numeric> {
        if scale >= self.scale {
            let mut unscaled = self.unscaled;
            for _ in self.scale..scale {
                unscaled = unscaled
                    .checked_mul(i256::from_i128(10))
                    .ok_or_else(too_large)?;
            }
            return Ok(Numeric { unscaled, scale });
        }
        let mut divisor = i256::ONE;
        for _ in scale..self.scale {
            divisor = divisor
                .checked_mul(i256::from_i128(10))
                .ok_or_else(too_large)?;
        }
        let quotient = self.unscaled.wrapping_div(divisor);
        let rest = self.unscaled.wrapping_rem(divisor).wrapping_abs();
        let doubled = rest.checked_mul(i256::from_i128(2)).ok_or_else(too_large)?;
        let up = if doubled >= divisor {
            i256::ONE
        } else {
            i256::ZERO
        };
        let unscaled = if self.unscaled.is_negative() {
            quotient.wrapping_sub(up)
        } else {
            quotient.wrapping_add(up)
        };
        Ok(Numeric { unscaled, scale })
    }

    /// Digits without leading zeros; 1 for zero.
    pub fn precision(self) -> usize {
        let mut digits = Vec::new();
        put_i256(&mut digits, self.unscaled.wrapping_abs());
        digits.len()
    }

    /// The value in the representation of a numeric type: 22003 if it does not fit.
    pub fn to_scalar(self, ty: PgType) -> PgResult<ScalarValue> {
        let (precision, scale) = numeric_modifier(ty.typmod).unwrap_or(UNCONSTRAINED);
        let scaled = self.rescale(u8::try_from(scale).unwrap_or(0))?;
        if ty.typmod == -1 && scaled.scale < self.scale && scaled.rescale(self.scale)? != self {
            return Err(too_fine());
        }
        if scaled.precision() > usize::from(precision) && scaled.unscaled != i256::ZERO {
            let error = PgError::new(
                sqlstate::NUMERIC_VALUE_OUT_OF_RANGE,
                "numeric field overflow",
            );
            let whole = i16::from(precision) - i16::from(scale);
            return Err(error.detail(format!(
                "A field with precision {precision}, scale {scale} must round to an absolute value less than 10^{whole}."
            )));
        }
        Ok(if precision <= 38 {
            let value = scaled.unscaled.to_i128().ok_or_else(too_large)?;
            ScalarValue::Decimal128(Some(value), precision, scale)
        } else {
            ScalarValue::Decimal256(Some(scaled.unscaled), precision, scale)
        })
    }
}

fn too_large() -> PgError {
    PgError::new(
        sqlstate::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value overflows numeric format: more than {MAX_DIGITS} digits"),
    )
}

/// Without a modifier nothing says that digits may go.
fn too_fine() -> PgError {
    let most = UNCONSTRAINED.1;
    PgError::new(
        sqlstate::FEATURE_NOT_SUPPORTED,
        format!("a numeric value of more than {most} digits after the point is supported as a constant only"),
    )
    .hint("Write the number into the statement, or round it.")
}

/// How many digits after the point are shown of a value whose column holds `scale` of them.
/// A numeric without a modifier and with 16 or more is the result of a division or an average:
/// PostgreSQL shows 16 significant digits then, counted in groups of four.
pub fn shown_scale(unscaled: i256, scale: i8, modifier: i32) -> u8 {
    let scale = u8::try_from(scale).unwrap_or(0);
    if modifier != -1 || scale < 16 {
        return scale;
    }
    let mut digits = Vec::with_capacity(80);
    put_i256(&mut digits, unscaled.wrapping_abs());
    let whole = digits.len() as i32 - i32::from(scale);
    if unscaled == i256::ZERO {
        return scale.min(20);
    }
    // The group of four digits that the first digit is in; 0 is that before the point.
    let weight = (whole - 1).div_euclid(4);
    (16 - 4 * weight).clamp(0, i32::from(scale)) as u8
}

/// Writes a decimal, `shown` digits of its `scale` after the point.
pub fn put_decimal(out: &mut Vec<u8>, unscaled: i256, scale: i8, shown: u8) {
    let exact = Numeric {
        unscaled,
        scale: u8::try_from(scale).unwrap_or(0),
    };
    // Fewer digits than there are cannot overflow.
    let value = if shown < exact.scale {
        exact.rescale(shown).unwrap_or(exact)
    } else {
        exact
    };
    let start = out.len();
    if value.unscaled.is_negative() {
        out.push(b'-');
    }
    let digits_at = out.len();
    put_i256(out, value.unscaled.wrapping_abs());
    place_point(out, digits_at, usize::from(value.scale));
    // Arrow's negative scales stand for zeros before the point.
    if scale < 0 && exact.unscaled != i256::ZERO {
        out.resize(out.len() + usize::from(scale.unsigned_abs()), b'0');
    }
    debug_assert!(out.len() > start);
}

/// The common case: 38 digits and all of them shown.
pub fn put_decimal128(out: &mut Vec<u8>, unscaled: i128, scale: i8) {
    if scale < 0 {
        return put_decimal(out, i256::from_i128(unscaled), scale, 0);
    }
    if unscaled < 0 {
        out.push(b'-');
    }
    let digits_at = out.len();
    put_u128(out, unscaled.unsigned_abs());
    place_point(out, digits_at, scale as usize);
}

/// Puts a point before the last `scale` digits, with zeros in front as needed.
fn place_point(out: &mut Vec<u8>, digits_at: usize, scale: usize) {
    if scale == 0 {
        return;
    }
    let digits = out.len() - digits_at;
    if digits <= scale {
        let zeros = scale + 1 - digits;
        out.splice(digits_at..digits_at, std::iter::repeat_n(b'0', zeros));
    }
    let point = out.len() - scale;
    out.insert(point, b'.');
}

fn put_u128(out: &mut Vec<u8>, value: u128) {
    const BLOCK: u128 = 10_u128.pow(19);
    match u64::try_from(value) {
        Ok(small) => put_u64(out, small),
        Err(_) => {
            put_u128(out, value / BLOCK);
            // Below 10^19, which fits.
            let low = (value % BLOCK) as u64;
            crate::text::number::put_padded(out, low, 19);
        }
    }
}

/// Digits of a number that is not negative.
fn put_i256(out: &mut Vec<u8>, value: i256) {
    if let Some(small) = value.to_i128() {
        return put_u128(out, small.unsigned_abs());
    }
    let block = i256::from_i128(10_i128.pow(18));
    put_i256(out, value.wrapping_div(block));
    let low = value.wrapping_rem(block).to_i128().unwrap_or(0);
    crate::text::number::put_padded(out, low as u64, 18);
}

/// PostgreSQL's binary form: base-10000 digits, the weight of the first, sign and scale.
pub fn put_binary(out: &mut Vec<u8>, unscaled: i256, scale: i8, shown: u8) {
    let mut text = Vec::with_capacity(80);
    put_decimal(&mut text, unscaled, scale, shown);
    let negative = text.first() == Some(&b'-');
    let digits = &text[usize::from(negative)..];
    let point = digits
        .iter()
        .position(|&b| b == b'.')
        .unwrap_or(digits.len());
    let (whole, part) = (&digits[..point], digits.get(point + 1..).unwrap_or(&[]));

    // Groups of four, aligned at the point.
    let mut groups: Vec<i16> = Vec::with_capacity(24);
    let value = |chunk: &[u8]| {
        chunk
            .iter()
            .fold(0_i16, |sum, b| sum * 10 + i16::from(b - b'0'))
    };
    let head = whole.len() % 4;
    if head > 0 {
        groups.push(value(&whole[..head]));
    }
    groups.extend(whole[head..].chunks(4).map(value));
    let mut weight = groups.len() as i16 - 1;
    for chunk in part.chunks(4) {
        groups.push(value(chunk) * 10_i16.pow(4 - chunk.len() as u32));
    }
    let zeros = groups.iter().take_while(|&&group| group == 0).count();
    groups.drain(..zeros);
    weight -= zeros as i16;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    let sign: u16 = if negative && !groups.is_empty() {
        0x4000
    } else {
        0
    };
    out.extend_from_slice(&(groups.len() as i16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&(part.len() as u16).to_be_bytes());
    for group in groups {
        out.extend_from_slice(&group.to_be_bytes());
    }
}

/// Reads the binary form; `None` if it is none, an error for NaN, infinities and overflow.
pub fn from_binary(bytes: &[u8]) -> Option<PgResult<Numeric>> {
    let word = |at: usize| -> Option<u16> {
        Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
    };
    let count = usize::from(word(0)?);
    let weight = i64::from(word(2)? as i16);
    let sign = word(4)?;
    let scale = i64::from(word(6)? & 0x3fff);
    if bytes.len() != 8 + 2 * count {
        return None;
    }
    if matches!(sign, 0xC000 | 0xD000 | 0xF000) {
        return Some(Numeric::parse("NaN"));
    }
    if sign != 0 && sign != 0x4000 {
        return None;
    }
    let mut digits = Vec::with_capacity(count * 4);
    for i in 0..count {
        let group = word(8 + 2 * i)?;
        if group > 9999 {
            return None;
        }
        let text = [group / 1000, group / 100 % 10, group / 10 % 10, group % 10];
        digits.extend(text.map(|digit| digit as u8));
    }
    // `digits` end (count - 1 - weight) groups after the point.
    let written = 4 * (count as i64 - 1 - weight);
    if count == 0 {
        return Some(Numeric::from_digits(false, &[], scale as u64));
    }
    // Cut or fill up to the declared scale.
    let missing = scale - written;
    if missing > 0 {
        if missing > 20_000 + 4 * 32_768 {
            return None;
        }
        digits.resize(digits.len() + missing as usize, 0);
    } else {
        let cut = usize::try_from(-missing).ok()?;
        digits.truncate(digits.len().saturating_sub(cut));
    }
    Some(Numeric::from_digits(sign == 0x4000, &digits, scale as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(numeric: Numeric) -> String {
        let mut out = Vec::new();
        put_decimal(
            &mut out,
            numeric.unscaled,
            numeric.scale as i8,
            numeric.scale,
        );
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn numbers_keep_their_scale() {
        for (input, expected) in [
            ("0", "0"),
            ("1.50", "1.50"),
            ("-0.001", "-0.001"),
            (" +12e3 ", "12000"),
            ("1.5e-3", "0.0015"),
            (".5", "0.5"),
            ("5.", "5"),
            ("0e100", "0"),
            (
                "123456789012345678901234567890123456789.5",
                "123456789012345678901234567890123456789.5",
            ),
        ] {
            assert_eq!(
                text(Numeric::parse(input).expect(input)),
                expected,
                "{input}"
            );
        }
        for (bad, code) in [
            ("", "22P02"),
            (".", "22P02"),
            ("1e", "22P02"),
            ("1e+", "22P02"),
            ("1.2.3", "22P02"),
            ("é", "22P02"),
            ("NaN", "0A000"),
            ("1e77", "22003"),
            ("1e2000000000", "22003"),
        ] {
            assert_eq!(Numeric::parse(bad).unwrap_err().code, code, "{bad}");
        }
        let nines = "9".repeat(76);
        assert_eq!(text(Numeric::parse(&nines).expect("76 digits")), nines);
        assert_eq!(Numeric::parse(&"9".repeat(77)).unwrap_err().code, "22003");
    }

    #[test]
    fn rounding_is_half_away_from_zero() {
        let rounded = |input: &str, scale| {
            text(
                Numeric::parse(input)
                    .expect(input)
                    .rescale(scale)
                    .expect(input),
            )
        };
        assert_eq!(rounded("2.5", 0), "3");
        assert_eq!(rounded("-2.5", 0), "-3");
        assert_eq!(rounded("2.449", 1), "2.4");
        assert_eq!(rounded("1.5", 3), "1.500");
        let overflow = Numeric::parse("1000").expect("a number");
        let ty = omnigraph_catalog::types::numeric(5, 2);
        assert_eq!(overflow.to_scalar(ty).unwrap_err().code, "22003");
        // Nothing is lost that nobody asked to lose.
        let fine = |text: &str| Numeric::parse(text).unwrap().to_scalar(PgType::NUMERIC);
        assert!(fine("0.12345678901234567890").is_ok());
        assert!(fine("1.1000000000000000000000000").is_ok());
        assert_eq!(fine("0.123456789012345678901").unwrap_err().code, "0A000");
    }

    #[test]
    fn quotients_show_sixteen_significant_digits() {
        let shown = |unscaled: i128| {
            let unscaled = i256::from_i128(unscaled);
            let mut out = Vec::new();
            put_decimal(&mut out, unscaled, 20, shown_scale(unscaled, 20, -1));
            String::from_utf8(out).expect("ASCII")
        };
        assert_eq!(shown(150_000_000_000_000_000_000), "1.5000000000000000");
        assert_eq!(shown(33_333_333_333_333_333_333), "0.33333333333333333333");
        assert_eq!(
            shown(33_333_333_333_333_333_333_333_333),
            "333333.333333333333"
        );
        assert_eq!(shown(0), "0.00000000000000000000");
        assert_eq!(shown_scale(i256::ONE, 2, -1), 2);
        assert_eq!(
            shown_scale(
                i256::ONE,
                18,
                omnigraph_catalog::types::numeric(20, 18).typmod
            ),
            18
        );
    }

    #[test]
    fn the_binary_form_is_postgresqls() {
        let binary = |input: &str| {
            let numeric = Numeric::parse(input).expect(input);
            let mut out = Vec::new();
            put_binary(
                &mut out,
                numeric.unscaled,
                numeric.scale as i8,
                numeric.scale,
            );
            out.iter().map(|b| format!("{b:02x}")).collect::<String>()
        };
        // As numeric_send of PostgreSQL 15 gives them.
        assert_eq!(binary("0"), "0000000000000000");
        assert_eq!(binary("12345.678"), "0003000100000003000109291a7c");
        assert_eq!(binary("-0.0001"), "0001ffff400000040001");
        assert_eq!(binary("10000"), "00010001000000000001");
        assert_eq!(binary("1.50"), "000200000000000200011388");
        for input in [
            "0",
            "12345.678",
            "-0.0001",
            "10000",
            "1.50",
            "99999999999999999999.5",
            "0.00",
        ] {
            let numeric = Numeric::parse(input).expect(input);
            let mut out = Vec::new();
            put_binary(
                &mut out,
                numeric.unscaled,
                numeric.scale as i8,
                numeric.scale,
            );
            let back = from_binary(&out).expect("well formed").expect("a number");
            assert_eq!(text(back), input);
        }
        assert!(from_binary(&[0, 1, 0, 0]).is_none());
        assert!(from_binary(&[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10]).is_none());
    }
}
