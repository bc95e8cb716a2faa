//! Reading intervals: months, days and time kept apart, as PostgreSQL keeps them.

use arrow::datatypes::IntervalMonthDayNano;

use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::text::calendar::{
    MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND,
};
use crate::text::datetime_in::fraction;
use crate::text::{Input, IntervalStyle};

/// Reads an interval. A number without a unit is seconds.
pub fn parse_interval(text: &str, input: &Input<'_>) -> PgResult<IntervalMonthDayNano> {
    parse_interval_in(text, Unit::Second, input.format.interval_style)
}

/// As [`parse_interval`], for `INTERVAL '3' YEAR`: a number without a unit has `default`.
pub fn parse_interval_in(
    text: &str,
    default: Unit,
    style: IntervalStyle,
) -> PgResult<IntervalMonthDayNano> {
    if text.len() > 256 {
        return Err(PgError::new(
            sqlstate::INVALID_DATETIME_FORMAT,
            "invalid input syntax for type interval: text is too long",
        ));
    }
    let lower = text.to_ascii_lowercase();
    let mut reader = Reader {
        text,
        rest: lower.trim(),
        total: Parts::default(),
        seen: 0,
        signs: 0,
    };
    let iso = matches!(reader.rest.as_bytes(), [b'p', next, ..] if matches!(next, b'0'..=b'9' | b't' | b'-' | b'+' | b'.'));
    if iso {
        reader.iso()?;
    } else {
        reader.words(default)?;
        // The SQL standard's leading sign is the sign of all fields.
        let leading = lower.trim().starts_with('-');
        if style == IntervalStyle::SqlStandard && leading && reader.signs == 1 {
            let total = &mut reader.total;
            total.months = -total.months.abs();
            total.days = -total.days.abs();
            total.micros = -total.micros.abs();
        }
    }
    reader.total.to_arrow().ok_or_else(|| overflow(text))
}

/// Units that may follow a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Decade,
    Century,
    Millennium,
}

impl Unit {
    pub fn parse(word: &str) -> Option<Unit> {
        Some(match word {
            "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecon" | "microsecond"
            | "microseconds" => Unit::Microsecond,
            "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecon" | "millisecond"
            | "milliseconds" => Unit::Millisecond,
            "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
            "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
            "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
            "d" | "day" | "days" => Unit::Day,
            "w" | "week" | "weeks" => Unit::Week,
            "mon" | "mons" | "month" | "months" => Unit::Month,
            "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
            "dec" | "decs" | "decade" | "decades" => Unit::Decade,
            "c" | "cent" | "century" | "centuries" => Unit::Century,
            "mil" | "mils" | "millennia" | "millennium" => Unit::Millennium,
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Parts {
    months: i64,
    days: i64,
    micros: i64,
}

impl Parts {
    fn to_arrow(self) -> Option<IntervalMonthDayNano> {
        Some(IntervalMonthDayNano::new(
            i32::try_from(self.months).ok()?,
            i32::try_from(self.days).ok()?,
            self.micros.checked_mul(1000)?,
        ))
    }

    fn negate(&mut self) {
        self.months = -self.months;
        self.days = -self.days;
        self.micros = -self.micros;
    }

    /// Adds `whole` + `part` units; the part has the sign of the whole number.
    fn add(&mut self, unit: Unit, whole: i64, part: f64) -> Option<()> {
        match unit {
            Unit::Microsecond => self.add_micros(whole, part, 1),
            Unit::Millisecond => self.add_micros(whole, part, 1000),
            Unit::Second => self.add_micros(whole, part, MICROS_PER_SECOND),
            Unit::Minute => self.add_micros(whole, part, MICROS_PER_MINUTE),
            Unit::Hour => self.add_micros(whole, part, MICROS_PER_HOUR),
            Unit::Day => self.add_days(whole, part),
            Unit::Week => self.add_days(whole.checked_mul(7)?, part * 7.0),
            Unit::Month => {
                self.months = self.months.checked_add(whole)?;
                self.add_days(0, part * 30.0)
            }
            Unit::Year => self.add_years(whole, part, 1),
            Unit::Decade => self.add_years(whole, part, 10),
            Unit::Century => self.add_years(whole, part, 100),
            Unit::Millennium => self.add_years(whole, part, 1000),
        }
    }

    fn add_years(&mut self, whole: i64, part: f64, scale: i64) -> Option<()> {
        let months = whole.checked_mul(12 * scale)?;
        let rest = (part * 12.0 * scale as f64).round_ties_even() as i64;
        self.months = self.months.checked_add(months)?.checked_add(rest)?;
        Some(())
    }

    fn add_days(&mut self, whole: i64, part: f64) -> Option<()> {
        let more = part.trunc();
        self.days = self.days.checked_add(whole)?.checked_add(more as i64)?;
        self.add_micros(0, part - more, MICROS_PER_DAY)
    }

    fn add_micros(&mut self, whole: i64, part: f64, scale: i64) -> Option<()> {
        let rest = (part * scale as f64).round() as i64;
        self.micros = self
            .micros
            .checked_add(whole.checked_mul(scale)?)?
            .checked_add(rest)?;
        Some(())
    }
}

fn overflow(text: &str) -> PgError {
    PgError::new(
        sqlstate::INTERVAL_FIELD_OVERFLOW,
        format!("interval field value out of range: \"{text}\""),
    )
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    total: Parts,
    /// One bit for each unit given: none may come twice.
    seen: u32,
    /// Explicit signs.
    signs: u32,
}

/// A number as written: its sign, the digits before and after the point.
struct Number<'a> {
    negative: bool,
    whole: &'a str,
    part: &'a str,
}

impl<'a> Reader<'a> {
    fn syntax(&self) -> PgError {
        PgError::new(
            sqlstate::INVALID_DATETIME_FORMAT,
            format!("invalid input syntax for type interval: \"{}\"", self.text),
        )
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', ',']);
    }

    fn number(&mut self) -> PgResult<Number<'a>> {
        let negative = self.rest.starts_with('-');
        if let Some(rest) = self.rest.strip_prefix(['-', '+']) {
            self.signs += 1;
            self.rest = rest;
        }
        let whole = self.take(|c| c.is_ascii_digit());
        let mut part = "";
        if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            part = self.take(|c| c.is_ascii_digit());
        }
        if whole.is_empty() && part.is_empty() {
            return Err(self.syntax());
        }
        Ok(Number {
            negative,
            whole,
            part,
        })
    }

    fn add(&mut self, unit: Unit, number: &Number<'_>) -> PgResult<()> {
        let bit = 1 << unit as u32;
        if self.seen & bit != 0 {
            return Err(self.syntax());
        }
        self.seen |= bit;
        let whole = self.integer(number.whole)?;
        let part: f64 = if number.part.is_empty() {
            0.0
        } else {
            format!("0.{}", number.part)
                .parse()
                .map_err(|_| self.syntax())?
        };
        let (whole, part) = if number.negative {
            (-whole, -part)
        } else {
            (whole, part)
        };
        self.total
            .add(unit, whole, part)
            .ok_or_else(|| overflow(self.text))
    }

    fn integer(&self, digits: &str) -> PgResult<i64> {
        if digits.is_empty() {
            return Ok(0);
        }
        digits.parse().map_err(|_| overflow(self.text))
    }

    /// `1 year 2 mons`, `1-2 3 4:05:06`, `@ 3 hours ago`.
    fn words(&mut self, default: Unit) -> PgResult<()> {
        if self.rest.is_empty() {
            return Err(self.syntax());
        }
        loop {
            self.skip_blanks();
            if self.rest.is_empty() {
                break;
            }
            if let Some(rest) = self.rest.strip_prefix('@') {
                self.rest = rest;
                continue;
            }
            if let Some(rest) = self.rest.strip_prefix("ago") {
                if !rest.trim().is_empty() || self.seen == 0 {
                    return Err(self.syntax());
                }
                self.total.negate();
                return Ok(());
            }
            let number = self.number()?;
            match self.rest.as_bytes() {
                [b':', ..] if number.part.is_empty() => self.clock(&number)?,
                [b'-', next, ..] if next.is_ascii_digit() && number.part.is_empty() => {
                    self.rest = &self.rest[1..];
                    let months = self.take(|c| c.is_ascii_digit());
                    if self.integer(months)? > 11 {
                        return Err(overflow(self.text));
                    }
                    self.add(Unit::Year, &number)?;
                    let months = Number {
                        whole: months,
                        part: "",
                        ..number
                    };
                    self.add(Unit::Month, &months)?;
                }
                _ => {
                    self.skip_blanks();
                    let unit = self.unit(default)?;
                    self.add(unit, &number)?;
                }
            }
        }
        if self.seen == 0 {
            Err(self.syntax())
        } else {
            Ok(())
        }
    }

    /// The unit after a number: written, days before a time of day, or the default at the end.
    fn unit(&mut self, default: Unit) -> PgResult<Unit> {
        if self.rest.is_empty() || self.rest.starts_with("ago") {
            return Ok(default);
        }
        let word = self.take(|c| c.is_ascii_alphabetic());
        if !word.is_empty() {
            return Unit::parse(word).ok_or_else(|| self.syntax());
        }
        let next = self.rest.trim_start_matches(['-', '+']);
        let digits = next
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(next.len());
        if digits > 0 && next[digits..].starts_with(':') {
            return Ok(Unit::Day);
        }
        Err(self.syntax())
    }

    /// `4:05`, `4:05:06.7`, `05:06.7` (minutes and seconds): the first number is taken already.
    fn clock(&mut self, first: &Number<'_>) -> PgResult<()> {
        const TIME: u32 =
            1 << Unit::Hour as u32 | 1 << Unit::Minute as u32 | 1 << Unit::Second as u32;
        if self.seen & TIME != 0 {
            return Err(self.syntax());
        }
        self.seen |= TIME;
        self.rest = &self.rest[1..];
        let second = self.take(|c| c.is_ascii_digit());
        let third = match self.rest.strip_prefix(':') {
            Some(rest) => {
                self.rest = rest;
                Some(self.take(|c| c.is_ascii_digit()))
            }
            None => None,
        };
        let part = match self.rest.strip_prefix('.') {
            Some(rest) => {
                self.rest = rest;
                Some(self.take(|c| c.is_ascii_digit()))
            }
            None => None,
        };
        if second.is_empty() || third == Some("") {
            return Err(self.syntax());
        }
        let (hours, minutes, seconds) = match (third, part) {
            (Some(seconds), _) => (first.whole, second, seconds),
            (None, Some(_)) => ("", first.whole, second),
            (None, None) => (first.whole, second, ""),
        };
        let (hours, minutes, seconds) = (
            self.integer(hours)?,
            self.integer(minutes)?,
            self.integer(seconds)?,
        );
        if minutes > 59 || seconds > 60 {
            return Err(overflow(self.text));
        }
        let micros = hours
            .checked_mul(MICROS_PER_HOUR)
            .and_then(|micros| {
                micros.checked_add(
                    minutes * MICROS_PER_MINUTE
                        + seconds * MICROS_PER_SECOND
                        + part.map_or(0, fraction),
                )
            })
            .ok_or_else(|| overflow(self.text))?;
        let signed = if first.negative { -micros } else { micros };
        self.total.micros = self
            .total
            .micros
            .checked_add(signed)
            .ok_or_else(|| overflow(self.text))?;
        Ok(())
    }

    /// `P1Y2M3DT4H5M6.7S` and `P0001-02-03T04:05:06`.
    fn iso(&mut self) -> PgResult<()> {
        self.rest = &self.rest[1..];
        let mut in_time = false;
        while !self.rest.is_empty() {
            if let Some(rest) = self.rest.strip_prefix('t') {
                if in_time || rest.is_empty() {
                    return Err(self.syntax());
                }
                in_time = true;
                self.rest = rest;
                continue;
            }
            let number = self.number()?;
            let designator = self.rest.chars().next();
            let unit = match (in_time, designator) {
                (false, Some('y')) => Unit::Year,
                (false, Some('m')) => Unit::Month,
                (false, Some('w')) => Unit::Week,
                (false, Some('d')) => Unit::Day,
                (true, Some('h')) => Unit::Hour,
                (true, Some('m')) => Unit::Minute,
                (true, Some('s')) => Unit::Second,
                (false, Some('-')) => {
                    self.iso_date(&number)?;
                    continue;
                }
                (true, Some(':')) => {
                    self.clock(&number)?;
                    continue;
                }
                _ => return Err(self.syntax()),
            };
            self.rest = &self.rest[1..];
            self.add(unit, &number)?;
        }
        if self.seen == 0 {
            Err(self.syntax())
        } else {
            Ok(())
        }
    }

    /// `-02-03` after the year.
    fn iso_date(&mut self, year: &Number<'a>) -> PgResult<()> {
        self.add(Unit::Year, year)?;
        for unit in [Unit::Month, Unit::Day] {
            let Some(rest) = self.rest.strip_prefix('-') else {
                break;
            };
            self.rest = rest;
            let number = self.number()?;
            self.add(unit, &number)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::interval_out::put_interval;

    fn shown(
        text: &str,
        input: IntervalStyle,
        output: IntervalStyle,
    ) -> Result<String, &'static str> {
        let value = parse_interval_in(text, Unit::Second, input).map_err(|error| error.code)?;
        let mut out = Vec::new();
        put_interval(&mut out, value, output);
        Ok(String::from_utf8(out).expect("ASCII"))
    }

    #[test]
    fn intervals_are_read_as_postgresql_reads_them() {
        for (text, expected) in [
            ("1", "00:00:01"),
            ("1.5", "00:00:01.5"),
            ("1 2:03:04", "1 day 02:03:04"),
            ("-1 2:03:04", "-1 days +02:03:04"),
            ("04:05", "04:05:00"),
            ("04:05.5", "00:04:05.5"),
            ("1.5 years", "1 year 6 mons"),
            ("1.55 months", "1 mon 16 days 12:00:00"),
            ("1.5 weeks", "10 days 12:00:00"),
            ("1.234567 days", "1 day 05:37:46.5888"),
            ("1-2 3 4:05:06", "1 year 2 mons 3 days 04:05:06"),
            ("P1Y2M3W4DT5H6M7.5S", "1 year 2 mons 25 days 05:06:07.5"),
            ("P0001-02-03T04:05:06", "1 year 2 mons 3 days 04:05:06"),
            ("P1.5D", "1 day 12:00:00"),
            ("PT-1.5S", "-00:00:01.5"),
            ("1 day ago", "-1 days"),
            (
                "@ 1 year 2 mons -3 days 4 hours 5 mins 6.7 secs ago",
                "-1 years -2 mons +3 days -04:05:06.7",
            ),
            ("1 decade 1 century 1 millennium", "1110 years"),
            ("1h30m", "01:30:00"),
            ("10ms", "00:00:00.01"),
            ("-1-2", "-1 years -2 mons"),
            ("1 month -1 day", "1 mon -1 days"),
            ("100:59:59.999999", "100:59:59.999999"),
            (".5 hours", "00:30:00"),
            ("0.1 mons", "3 days"),
            ("1.3333 years", "1 year 4 mons"),
        ] {
            let style = IntervalStyle::Postgres;
            assert_eq!(shown(text, style, style), Ok(expected.to_owned()), "{text}");
        }
        for (text, code) in [
            ("", "22007"),
            ("1 2", "22007"),
            ("1 day 1 day", "22007"),
            ("1 foo", "22007"),
            ("ago", "22007"),
            ("P", "22007"),
            ("-", "22007"),
            ("99999999999 years", "22015"),
            ("1:60", "22015"),
            ("é", "22007"),
        ] {
            let style = IntervalStyle::Postgres;
            assert_eq!(shown(text, style, style), Err(code), "{text}");
        }
    }

    #[test]
    fn every_style_is_written_as_postgresql_writes_it() {
        use IntervalStyle::{Iso8601, Postgres, PostgresVerbose, SqlStandard};
        for (text, sql, iso, verbose) in [
            (
                "-1 year 2 months 3 days 04:05:06.7",
                "-0-10 +3 +4:05:06.7",
                "P-10M3DT4H5M6.7S",
                "@ 10 mons -3 days -4 hours -5 mins -6.7 secs ago",
            ),
            ("0", "0", "PT0S", "@ 0"),
            ("-0.5 sec", "-0:00:00.5", "PT-0.5S", "@ 0.5 secs ago"),
            ("1 day", "1 0:00:00", "P1D", "@ 1 day"),
            ("1 day 1 sec", "1 0:00:01", "P1DT1S", "@ 1 day 1 sec"),
            ("1 year", "1-0", "P1Y", "@ 1 year"),
        ] {
            assert_eq!(
                shown(text, Postgres, SqlStandard),
                Ok(sql.to_owned()),
                "{text}"
            );
            assert_eq!(shown(text, Postgres, Iso8601), Ok(iso.to_owned()), "{text}");
            assert_eq!(
                shown(text, Postgres, PostgresVerbose),
                Ok(verbose.to_owned()),
                "{text}"
            );
        }
        assert_eq!(
            shown("-1 2:03:04", SqlStandard, SqlStandard),
            Ok("-1 2:03:04".to_owned())
        );
    }
}
