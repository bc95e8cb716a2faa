//! The canonical text of values: what keys, files and messages show, and how it is read back.

use std::fmt::Write;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// Days since 1970-01-01 of `2026-01-31`; years beyond four digits carry a sign, and the ends
/// of the type are `infinity` and `-infinity`, as in PostgreSQL.
pub fn parse_date(text: &str) -> Option<i32> {
    match text {
        "infinity" => return Some(i32::MAX),
        "-infinity" => return Some(i32::MIN),
        _ => {}
    }
    let (days, rest) = date_prefix(text.as_bytes())?;
    rest.is_empty().then_some(())?;
    i32::try_from(days)
        .ok()
        .filter(|days| *days != i32::MAX && *days != i32::MIN)
}

/// Microseconds since 1970-01-01T00:00:00Z of an RFC 3339 time; the offset is required.
/// Digits beyond microseconds are rounded.
pub fn parse_datetime(text: &str) -> Option<i64> {
    match text {
        "infinity" => return Some(i64::MAX),
        "-infinity" => return Some(i64::MIN),
        _ => {}
    }
    let (days, rest) = date_prefix(text.as_bytes())?;
    let (separator, rest) = rest.split_first()?;
    matches!(separator, b'T' | b't' | b' ').then_some(())?;
    let (hour, rest) = two_digits(rest)?;
    let (minute, rest) = two_digits(rest.strip_prefix(b":")?)?;
    let (second, mut rest) = two_digits(rest.strip_prefix(b":")?)?;
    // A leap second is told as the first moment of the next minute.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut micros = ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        let mut scale = MICROS_PER_SECOND / 10;
        for (at, digit) in fraction[..digits].iter().enumerate() {
            let digit = i64::from(digit - b'0');
            if at < 6 {
                micros += digit * scale;
                scale /= 10;
            } else if at == 6 && digit >= 5 {
                micros += 1;
            }
        }
        rest = &fraction[digits..];
    }
    let offset = match rest {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let (hours, rest) = two_digits(rest)?;
            let (minutes, rest) = two_digits(rest.strip_prefix(b":")?)?;
            if !rest.is_empty() || hours > 23 || minutes > 59 {
                return None;
            }
            let offset = (hours * 60 + minutes) * 60 * MICROS_PER_SECOND;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    days.checked_mul(MICROS_PER_DAY)?
        .checked_add(micros - offset)
        .filter(|micros| *micros != i64::MAX && *micros != i64::MIN)
}

fn two_digits(bytes: &[u8]) -> Option<(i64, &[u8])> {
    match bytes {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', rest @ ..] => {
            Some((i64::from(a - b'0') * 10 + i64::from(b - b'0'), rest))
        }
        _ => None,
    }
}

fn date_prefix(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (negative, signed, unsigned) = match bytes {
        [b'-', rest @ ..] => (true, true, rest),
        [b'+', rest @ ..] => (false, true, rest),
        _ => (false, false, bytes),
    };
    let digits = unsigned.iter().take_while(|b| b.is_ascii_digit()).count();
    if !(4..=7).contains(&digits) || (digits > 4 && !signed) {
        return None;
    }
    let year = unsigned[..digits]
        .iter()
        .fold(0i64, |year, b| year * 10 + i64::from(b - b'0'));
    let year = if negative { -year } else { year };
    let (month, rest) = two_digits(unsigned[digits..].strip_prefix(b"-")?)?;
    let (day, rest) = two_digits(rest.strip_prefix(b"-")?)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    Some((days_from_civil(year, month, day), rest))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The proleptic Gregorian calendar, counted in eras of 400 years that begin on 1 March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

fn push_two(out: &mut String, value: i64) {
    // Both digits are below ten by the caller's arithmetic.
    out.push(char::from(b'0' + (value / 10 % 10) as u8));
    out.push(char::from(b'0' + (value % 10) as u8));
}

fn push_civil(out: &mut String, days: i64) {
    let (year, month, day) = civil_from_days(days);
    if (0..=9999).contains(&year) {
        push_two(out, year / 100);
        push_two(out, year % 100);
    } else {
        out.push(if year < 0 { '-' } else { '+' });
        // Writing to a string cannot fail.
        let _ = write!(out, "{:04}", year.abs());
    }
    out.push('-');
    push_two(out, month);
    out.push('-');
    push_two(out, day);
}

pub fn push_date(out: &mut String, days: i32) {
    match days {
        i32::MAX => out.push_str("infinity"),
        i32::MIN => out.push_str("-infinity"),
        _ => push_civil(out, i64::from(days)),
    }
}

/// RFC 3339 in UTC, with as many digits of the second as are needed.
pub fn push_datetime(out: &mut String, micros: i64) {
    match micros {
        i64::MAX => return out.push_str("infinity"),
        i64::MIN => return out.push_str("-infinity"),
        _ => {}
    }
    push_civil(out, micros.div_euclid(MICROS_PER_DAY));
    let time = micros.rem_euclid(MICROS_PER_DAY);
    let seconds = time / MICROS_PER_SECOND;
    out.push('T');
    push_two(out, seconds / 3600);
    out.push(':');
    push_two(out, seconds / 60 % 60);
    out.push(':');
    push_two(out, seconds % 60);
    let mut fraction = time % MICROS_PER_SECOND;
    if fraction != 0 {
        let mut width = 6;
        while fraction % 10 == 0 {
            fraction /= 10;
            width -= 1;
        }
        let _ = write!(out, ".{fraction:0width$}");
    }
    out.push('Z');
}

/// The shortest text that reads back as the same number, laid out as PostgreSQL does;
/// `-0` is `0`.
pub fn push_f64(out: &mut String, value: f64) {
    push_float(
        out,
        value == 0.0,
        value.is_finite(),
        format_args!("{value:e}"),
        format_args!("{value}"),
        15,
    );
}

/// As [`push_f64`]; the shortest text of a 32-bit number is shorter.
pub fn push_f32(out: &mut String, value: f32) {
    push_float(
        out,
        value == 0.0,
        value.is_finite(),
        format_args!("{value:e}"),
        format_args!("{value}"),
        6,
    );
}

fn push_float(
    out: &mut String,
    zero: bool,
    finite: bool,
    scientific: std::fmt::Arguments<'_>,
    plain: std::fmt::Arguments<'_>,
    widest: i32,
) {
    if zero {
        return out.push('0');
    }
    let plain_text = |out: &mut String| {
        let _ = out.write_fmt(plain);
    };
    if !finite {
        // `inf` and `NaN` by Rust's name; PostgreSQL's is Infinity.
        let start = out.len();
        plain_text(out);
        if out.ends_with("inf") {
            out.truncate(out.len() - 3);
            out.push_str("Infinity");
        }
        debug_assert!(out.len() > start);
        return;
    }
    let start = out.len();
    let _ = out.write_fmt(scientific);
    let exponent: i32 = out[start..]
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .unwrap_or(0);
    if (-4..widest).contains(&exponent) {
        out.truncate(start);
        plain_text(out);
    } else if let Some(at) = out[start..].find('e') {
        out.truncate(start + at);
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", exponent.abs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(days: i32) -> String {
        let mut out = String::new();
        push_date(&mut out, days);
        out
    }

    fn datetime(micros: i64) -> String {
        let mut out = String::new();
        push_datetime(&mut out, micros);
        out
    }

    #[test]
    fn dates_read_back() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("2000-02-29", 11_016),
            ("1969-12-31", -1),
            ("0000-03-01", -719_468),
            ("-0044-03-15", -735_525),
            ("+10000-01-01", 2_932_897),
            ("infinity", i32::MAX),
        ] {
            assert_eq!(parse_date(text), Some(days), "{text}");
            assert_eq!(date(days), text);
        }
        for bad in [
            "",
            "2026-1-1",
            "2026-02-29",
            "2026-13-01",
            "20260101",
            "2026-01-01x",
            "12026-01-01",
            "2026-00-10",
            "é",
        ] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_day_of_eight_centuries_reads_back() {
        for days in -150_000..150_000 {
            assert_eq!(parse_date(&date(days)), Some(days));
        }
    }

    #[test]
    fn datetimes_are_utc_in_microseconds() {
        for (text, canonical) in [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05.678+02:00", "2026-01-02T01:04:05.678Z"),
            ("1969-12-31T23:59:59.250Z", "1969-12-31T23:59:59.25Z"),
            (
                "2026-01-02 03:04:05.1234567-00:30",
                "2026-01-02T03:34:05.123457Z",
            ),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            ("2026-01-02t03:04:05.000001z", "2026-01-02T03:04:05.000001Z"),
        ] {
            let micros = parse_datetime(text).unwrap();
            assert_eq!(datetime(micros), canonical);
            assert_eq!(parse_datetime(canonical), Some(micros));
        }
        for bad in [
            "2026-01-02",
            "2026-01-02T03:04:05",
            "2026-01-02T24:00:00Z",
            "2026-01-02T03:04Z",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05+0200",
        ] {
            assert_eq!(parse_datetime(bad), None, "{bad}");
        }
    }

    #[test]
    fn floats_are_laid_out_as_postgresql_does() {
        for (value, text) in [
            (0.1, "0.1"),
            (-0.0, "0"),
            (1.0, "1"),
            (1e15, "1e+15"),
            (1e14, "100000000000000"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e300, "1.5e+300"),
            (-3.25, "-3.25"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ] {
            let mut out = String::new();
            push_f64(&mut out, value);
            assert_eq!(out, text);
        }
        for (value, text) in [(0.1f32, "0.1"), (1e6, "1e+06"), (123_456.0, "123456")] {
            let mut out = String::new();
            push_f32(&mut out, value);
            assert_eq!(out, text);
        }
    }
}
