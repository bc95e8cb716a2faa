//! Dates and times from text: PostgreSQL's forms, ISO 8601 first, then those with slashes,
//! points, month names, zone names and words such as `tomorrow`.

use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::text::calendar::{
    Civil, DATE_INFINITY, DATE_MINUS_INFINITY, MICROS_PER_DAY, MICROS_PER_SECOND,
    TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY, date_from_days, join_day, split_day,
};
use crate::text::zone::{self, Zone};
use crate::text::{DateOrder, Input};

/// Days since 1970.
pub fn parse_date(text: &str, input: &Input<'_>) -> PgResult<i32> {
    let scope = Scope { text, ty: "date" };
    match scope.read(input)? {
        Moment::Infinity => Ok(DATE_INFINITY),
        Moment::MinusInfinity => Ok(DATE_MINUS_INFINITY),
        Moment::Utc(utc) => {
            let local = input
                .format
                .zone
                .to_local(utc)
                .ok_or_else(|| scope.out_of_range("date"))?;
            Ok(split_day(local).0 as i32)
        }
        Moment::Fields(fields) => {
            let civil = fields.date.ok_or_else(|| scope.syntax())?;
            date_from_days(civil.days()).ok_or_else(|| scope.out_of_range("date"))
        }
    }
}

/// Microseconds of the day; `24:00:00` is one too many and allowed.
pub fn parse_time(text: &str, input: &Input<'_>) -> PgResult<i64> {
    let scope = Scope { text, ty: "time" };
    match scope.read(input)? {
        Moment::Infinity | Moment::MinusInfinity => Err(scope.syntax()),
        Moment::Utc(utc) => {
            let local = input
                .format
                .zone
                .to_local(utc)
                .ok_or_else(|| scope.out_of_range("time"))?;
            Ok(split_day(local).1)
        }
        Moment::Fields(fields) => fields.time.ok_or_else(|| scope.syntax()),
    }
}

/// Microseconds since 1970, without a zone: one that is written is not looked at.
pub fn parse_timestamp(text: &str, input: &Input<'_>) -> PgResult<i64> {
    let scope = Scope {
        text,
        ty: "timestamp",
    };
    match scope.read(input)? {
        Moment::Infinity => Ok(TIMESTAMP_INFINITY),
        Moment::MinusInfinity => Ok(TIMESTAMP_MINUS_INFINITY),
        Moment::Utc(utc) => input
            .format
            .zone
            .to_local(utc)
            .ok_or_else(|| scope.out_of_range("timestamp")),
        Moment::Fields(fields) => {
            let civil = fields.date.ok_or_else(|| scope.syntax())?;
            join_day(civil.days(), fields.time.unwrap_or(0))
                .ok_or_else(|| scope.out_of_range("timestamp"))
        }
    }
}

/// Microseconds since 1970 UTC; without a zone the text is in the session's.
pub fn parse_timestamptz(text: &str, input: &Input<'_>) -> PgResult<i64> {
    let scope = Scope {
        text,
        ty: "timestamp with time zone",
    };
    match scope.read(input)? {
        Moment::Infinity => Ok(TIMESTAMP_INFINITY),
        Moment::MinusInfinity => Ok(TIMESTAMP_MINUS_INFINITY),
        Moment::Utc(utc) => Ok(utc),
        Moment::Fields(fields) => {
            let civil = fields.date.ok_or_else(|| scope.syntax())?;
            let local = join_day(civil.days(), fields.time.unwrap_or(0))
                .ok_or_else(|| scope.out_of_range("timestamp"))?;
            let offset = match &fields.zone {
                Some(ZoneSpec::Offset(seconds)) => *seconds,
                Some(ZoneSpec::Named(zone)) => zone.seconds_at_local(local),
                None => input.format.zone.seconds_at_local(local),
            };
            local
                .checked_sub(i64::from(offset) * MICROS_PER_SECOND)
                .ok_or_else(|| scope.out_of_range("timestamp"))
        }
    }
}

/// What a text says.
enum Moment {
    Infinity,
    MinusInfinity,
    /// `now`: a moment, not fields.
    Utc(i64),
    Fields(Fields),
}

#[derive(Default)]
struct Fields {
    date: Option<Civil>,
    time: Option<i64>,
    zone: Option<ZoneSpec>,
}

enum ZoneSpec {
    Offset(i32),
    Named(Zone),
}

/// The text being read and the type it is read as, for errors.
struct Scope<'a> {
    text: &'a str,
    ty: &'static str,
}

impl Scope<'_> {
    fn syntax(&self) -> PgError {
        PgError::new(
            sqlstate::INVALID_DATETIME_FORMAT,
            format!(
                "invalid input syntax for type {}: \"{}\"",
                self.ty, self.text
            ),
        )
    }

    fn field_overflow(&self) -> PgError {
        PgError::new(
            sqlstate::DATETIME_FIELD_OVERFLOW,
            format!("date/time field value out of range: \"{}\"", self.text),
        )
    }

    fn out_of_range(&self, what: &str) -> PgError {
        PgError::new(
            sqlstate::DATETIME_FIELD_OVERFLOW,
            format!("{what} out of range: \"{}\"", self.text),
        )
    }

    fn read(&self, input: &Input<'_>) -> PgResult<Moment> {
        // The longest sensible text is far shorter; this bounds what an error repeats.
        if self.text.len() > 256 {
            return Err(PgError::new(
                sqlstate::INVALID_DATETIME_FORMAT,
                format!(
                    "invalid input syntax for type {}: text is too long",
                    self.ty
                ),
            ));
        }
        let mut reader = Reader {
            scope: self,
            input,
            rest: self.text,
            fields: Fields::default(),
            numbers: Vec::new(),
            month: None,
            before_christ: false,
            afternoon: None,
            word: None,
            after_t: false,
        };
        reader.read_all()?;
        reader.finish()
    }
}

/// A number of a date that was not yet given its meaning, and how many digits it had.
#[derive(Clone, Copy)]
struct Loose {
    value: i64,
    digits: usize,
}

struct Reader<'a> {
    scope: &'a Scope<'a>,
    input: &'a Input<'a>,
    rest: &'a str,
    fields: Fields,
    numbers: Vec<Loose>,
    month: Option<u32>,
    before_christ: bool,
    /// PM or AM was written.
    afternoon: Option<bool>,
    word: Option<Word>,
    /// The `T` of ISO 8601 was written.
    after_t: bool,
}

/// Words that are a moment by themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Infinity,
    MinusInfinity,
    Epoch,
    Now,
    /// Midnight, this many days from today.
    Day(i64),
}

impl<'a> Reader<'a> {
    fn read_all(&mut self) -> PgResult<()> {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', ',']);
            let Some(first) = self.rest.chars().next() else {
                return Ok(());
            };
            match first {
                '0'..='9' => self.number()?,
                '+' | '-' if self.fields.time.is_some() => self.offset()?,
                '-' if self.rest[1..].to_ascii_lowercase().starts_with("infinity") => {
                    self.rest = &self.rest["-infinity".len()..];
                    self.set_word(Word::MinusInfinity)?;
                }
                c if c.is_ascii_alphabetic() => self.letters()?,
                // Between a month's name and a number: `31-Jan-2024`, `Jan/31`.
                '-' | '/' | '.' if self.month.is_some() && self.fields.time.is_none() => {
                    self.rest = &self.rest[1..];
                }
                _ => return Err(self.scope.syntax()),
            }
        }
    }

    /// Takes what satisfies `wanted` off the front.
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn number(&mut self) -> PgResult<()> {
        let digits = self.take(|c| c.is_ascii_digit());
        match self.rest.as_bytes() {
            [b':', ..] => return self.time(digits),
            [b'-' | b'/' | b'.', next, ..]
                if self.fields.date.is_none()
                    && self.month.is_none()
                    && self.numbers.is_empty() =>
            {
                if next.is_ascii_digit() {
                    return self.numeric_date(digits);
                }
                if next.is_ascii_alphabetic() {
                    self.rest = &self.rest[1..];
                    return self.loose(digits);
                }
            }
            _ => {}
        }
        if self.fields.date.is_none() && self.month.is_none() && self.numbers.is_empty() {
            match digits.len() {
                8 => return self.set_date(&digits[..4], &digits[4..6], &digits[6..]),
                6 => {
                    let (year, month, day) = (&digits[..2], &digits[2..4], &digits[4..]);
                    return self.set_date(year, month, day);
                }
                _ => {}
            }
        } else if self.fields.date.is_some() && self.fields.time.is_none() {
            // `20240131T101112`, with or without a fraction.
            match digits.len() {
                6 => return self.clock(&digits[..2], &digits[2..4], &digits[4..]),
                4 if self.after_t => return self.clock(&digits[..2], &digits[2..4], "00"),
                _ => {}
            }
        }
        self.loose(digits)
    }

    fn loose(&mut self, digits: &str) -> PgResult<()> {
        if self.numbers.len() == 3 || digits.len() > 7 {
            return Err(self.scope.syntax());
        }
        let value = digits.parse().map_err(|_| self.scope.syntax())?;
        self.numbers.push(Loose {
            value,
            digits: digits.len(),
        });
        Ok(())
    }

    /// `2024-01-31`, `1/31/2024`, `31.01.24`, `08-Jan-1999`: the first number is taken already.
    fn numeric_date(&mut self, first: &'a str) -> PgResult<()> {
        let separator = self.rest.as_bytes()[0];
        self.rest = &self.rest[1..];
        let second = self.take(|c| c.is_ascii_digit());
        if self.rest.as_bytes().first() != Some(&separator) {
            // `1999.123` (year and day of year) and dates of two numbers are not read.
            return Err(self.scope.syntax());
        }
        self.rest = &self.rest[1..];
        let third = self.take(|c| c.is_ascii_digit());
        if third.is_empty() {
            return Err(self.scope.syntax());
        }
        if first.len() > 2 {
            return self.set_date(first, second, third);
        }
        match self.input.format.date_order {
            DateOrder::Mdy => self.set_date(third, first, second),
            DateOrder::Dmy => self.set_date(third, second, first),
            DateOrder::Ymd => self.set_date(first, second, third),
        }
    }

    fn set_date(&mut self, year: &str, month: &str, day: &str) -> PgResult<()> {
        if self.fields.date.is_some() || year.len() > 7 || month.len() > 2 || day.len() > 3 {
            return Err(self.scope.syntax());
        }
        let number = |text: &str| text.parse::<i64>().map_err(|_| self.scope.syntax());
        let year = Loose {
            value: number(year)?,
            digits: year.len(),
        };
        let (month, day) = (number(month)?, number(day)?);
        self.fields.date = Some(self.checked_date(year, month, day)?);
        Ok(())
    }

    /// The era is applied at the end, when it is known.
    fn checked_date(&self, year: Loose, month: i64, day: i64) -> PgResult<Civil> {
        let hint =
            |error: PgError| error.hint("Perhaps you need a different \"datestyle\" setting.");
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return Err(hint(self.scope.field_overflow()));
        }
        let value = match year {
            Loose {
                value,
                digits: 0..=2,
            } if value < 70 => value + 2000,
            Loose {
                value,
                digits: 0..=2,
            } => value + 1900,
            Loose { value, .. } => value,
        };
        Ok(Civil {
            year: value,
            month: month as u32,
            day: day as u32,
        })
    }

    /// `10:11`, `10:11:12.5`: the hour is taken already.
    fn time(&mut self, hour: &'a str) -> PgResult<()> {
        self.rest = &self.rest[1..];
        let minute = self.take(|c| c.is_ascii_digit());
        let mut second = "00";
        if let Some(after) = self.rest.strip_prefix(':') {
            self.rest = after;
            second = self.take(|c| c.is_ascii_digit());
        }
        self.clock(hour, minute, second)
    }

    /// Sets the time, with the fraction that may follow the seconds.
    fn clock(&mut self, hour: &str, minute: &str, second: &str) -> PgResult<()> {
        if self.fields.time.is_some() {
            return Err(self.scope.syntax());
        }
        let number = |text: &str| {
            if text.len() > 2 {
                return Err(self.scope.syntax());
            }
            text.parse::<i64>().map_err(|_| self.scope.syntax())
        };
        let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
        let mut micros = 0;
        if let Some(after) = self.rest.strip_prefix('.') {
            self.rest = after;
            micros = fraction(self.take(|c| c.is_ascii_digit()));
        }
        let total = ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + micros;
        if hour > 24 || minute > 59 || second > 60 || total > MICROS_PER_DAY {
            return Err(self.scope.field_overflow());
        }
        self.fields.time = Some(total);
        Ok(())
    }

    /// `+02`, `-03:30` after a time; also the two signs of `GMT+2`.
    fn offset(&mut self) -> PgResult<()> {
        let sign = self.rest.chars().next();
        self.rest = &self.rest[1..];
        let digits = self.take(|c| c.is_ascii_digit() || c == ':');
        let seconds = zone::parse_offset(digits).ok_or_else(|| {
            PgError::new(
                sqlstate::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
                format!(
                    "time zone displacement out of range: \"{}\"",
                    self.scope.text
                ),
            )
        })?;
        let seconds = if sign == Some('-') { -seconds } else { seconds };
        if self.fields.zone.is_some() {
            return Err(self.scope.syntax());
        }
        self.fields.zone = Some(ZoneSpec::Offset(seconds));
        Ok(())
    }

    fn letters(&mut self) -> PgResult<()> {
        let before = self.rest;
        let word = self.take(|c| c.is_ascii_alphabetic()).to_ascii_lowercase();
        // `T` between date and time.
        if word == "t" && self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            self.after_t = true;
            return Ok(());
        }
        if word == "j"
            && self.fields.date.is_none()
            && self.rest.starts_with(|c: char| c.is_ascii_digit())
        {
            let digits = self.take(|c| c.is_ascii_digit());
            let julian: i64 = digits.parse().map_err(|_| self.scope.syntax())?;
            // The Julian day of 1970-01-01.
            self.fields.date = Some(Civil::from_days(
                julian.min(i64::from(u32::MAX)) - 2_440_588,
            ));
            return Ok(());
        }
        if let Some(month) = month(&word) {
            if self.month.is_some() || self.fields.date.is_some() {
                return Err(self.scope.syntax());
            }
            self.month = Some(month);
            return Ok(());
        }
        match word.as_str() {
            "am" => return self.meridiem(false),
            "pm" => return self.meridiem(true),
            "ad" | "ce" => return Ok(()),
            "bc" | "bce" => {
                self.before_christ = true;
                return Ok(());
            }
            "at" | "on" => return Ok(()),
            "infinity" => return self.set_word(Word::Infinity),
            "epoch" => return self.set_word(Word::Epoch),
            "now" => return self.set_word(Word::Now),
            "today" => return self.set_word(Word::Day(0)),
            "tomorrow" => return self.set_word(Word::Day(1)),
            "yesterday" => return self.set_word(Word::Day(-1)),
            "allballs" if self.fields.time.is_none() => {
                self.fields.time = Some(0);
                self.fields.zone = Some(ZoneSpec::Offset(0));
                return Ok(());
            }
            _ if is_weekday(&word) => return Ok(()),
            _ => {}
        }
        // A zone: `CET`, `Europe/Berlin`, `Etc/GMT+5`, `America/Port-au-Prince`.
        self.rest = before;
        let name =
            self.take(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '+' | '-' | ':'));
        if self.fields.zone.is_some() {
            return Err(self.scope.syntax());
        }
        let zone = match zone::abbreviation(name) {
            Some(seconds) => ZoneSpec::Offset(seconds),
            None => match Zone::parse(name) {
                Some(zone) => ZoneSpec::Named(zone),
                None if name.contains('/') => {
                    return Err(PgError::new(
                        sqlstate::INVALID_PARAMETER_VALUE,
                        format!("time zone \"{}\" not recognized", name.to_ascii_lowercase()),
                    ));
                }
                None => return Err(self.scope.syntax()),
            },
        };
        self.fields.zone = Some(zone);
        Ok(())
    }

    fn meridiem(&mut self, afternoon: bool) -> PgResult<()> {
        if self.afternoon.replace(afternoon).is_some() {
            return Err(self.scope.syntax());
        }
        Ok(())
    }

    fn set_word(&mut self, word: Word) -> PgResult<()> {
        if self.word.replace(word).is_some() {
            return Err(self.scope.syntax());
        }
        Ok(())
    }

    fn finish(mut self) -> PgResult<Moment> {
        if let (Some(afternoon), Some(time)) = (self.afternoon, self.fields.time) {
            let hour = time / (3600 * MICROS_PER_SECOND);
            if !(1..=12).contains(&hour) && (hour != 0 || afternoon) {
                return Err(self.scope.field_overflow());
            }
            let shift = match (afternoon, hour) {
                (true, 12) | (false, 0..=11) => 0,
                (true, _) => 12,
                (false, _) => -12,
            };
            self.fields.time = Some(time + shift * 3600 * MICROS_PER_SECOND);
        } else if self.afternoon.is_some() {
            return Err(self.scope.syntax());
        }
        if let Some(word) = self.word {
            return self.finish_word(word);
        }
        self.place_loose_numbers()?;
        if let Some(civil) = &mut self.fields.date {
            if self.before_christ {
                if civil.year < 1 {
                    return Err(self.scope.field_overflow());
                }
                civil.year = 1 - civil.year;
            } else if civil.year == 0 && !self.scope.text.contains(['j', 'J']) {
                return Err(self.scope.field_overflow());
            }
            if civil.day > Civil::days_in_month(civil.year, civil.month) {
                return Err(self.scope.field_overflow());
            }
        } else if self.fields.time.is_none() || self.before_christ {
            return Err(self.scope.syntax());
        }
        Ok(Moment::Fields(self.fields))
    }

    fn finish_word(self, word: Word) -> PgResult<Moment> {
        let has_date =
            self.fields.date.is_some() || self.month.is_some() || !self.numbers.is_empty();
        let has_time = self.fields.time.is_some();
        if has_date || (has_time && !matches!(word, Word::Day(_))) {
            return Err(self.scope.syntax());
        }
        Ok(match word {
            Word::Infinity => Moment::Infinity,
            Word::MinusInfinity => Moment::MinusInfinity,
            Word::Epoch => Moment::Fields(Fields {
                date: Some(Civil::from_days(0)),
                time: Some(0),
                zone: Some(ZoneSpec::Offset(0)),
            }),
            Word::Now => Moment::Utc(self.input.now),
            Word::Day(offset) => {
                let local = self
                    .input
                    .format
                    .zone
                    .to_local(self.input.now)
                    .unwrap_or(self.input.now);
                Moment::Fields(Fields {
                    date: Some(Civil::from_days(split_day(local).0 + offset)),
                    ..self.fields
                })
            }
        })
    }

    /// Numbers around a month's name: the one that cannot be a day is the year.
    fn place_loose_numbers(&mut self) -> PgResult<()> {
        let Some(month) = self.month else {
            return if self.numbers.is_empty() {
                Ok(())
            } else {
                Err(self.scope.syntax())
            };
        };
        let [first, second] = self.numbers[..] else {
            return Err(self.scope.syntax());
        };
        let year_first = first.digits > 2
            || first.value > 31
            || (self.input.format.date_order == DateOrder::Ymd && second.digits <= 2);
        let (year, day) = if year_first {
            (first, second)
        } else {
            (second, first)
        };
        self.fields.date = Some(self.checked_date(year, i64::from(month), day.value)?);
        Ok(())
    }
}

/// Digits after the point of seconds, in microseconds, rounded.
pub(super) fn fraction(digits: &str) -> i64 {
    let mut micros = 0;
    for position in 0..6 {
        let digit = digits
            .as_bytes()
            .get(position)
            .map_or(0, |byte| i64::from(byte - b'0'));
        micros = micros * 10 + digit;
    }
    micros + i64::from(digits.as_bytes().get(6).is_some_and(|byte| *byte >= b'5'))
}

fn month(word: &str) -> Option<u32> {
    const NAMES: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let at = NAMES.iter().position(|name| {
        word == *name || word == &name[..3] || (word == "sept" && *name == "september")
    })?;
    Some(at as u32 + 1)
}

fn is_weekday(word: &str) -> bool {
    const NAMES: [&str; 7] = [
        "sunday",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
    ];
    NAMES.iter().any(|name| word == *name || word == &name[..3])
        || matches!(word, "tues" | "wednes" | "weds" | "thur" | "thurs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::datetime_out::{put_date, put_time, put_timestamp, put_timestamptz};
    use crate::text::{NoNames, TextFormat};

    fn format(style: &str) -> TextFormat {
        TextFormat {
            zone: Zone::parse("Europe/Berlin").expect("a zone"),
            ..TextFormat::default()
                .with_date_style(style)
                .expect("a style")
        }
    }

    /// 2024-02-29 13:14:15.5 UTC.
    const NOW: i64 = 1_709_212_455_500_000;

    fn round_trip(
        text: &str,
        style: &str,
        run: impl Fn(&str, &Input<'_>, &mut Vec<u8>) -> PgResult<()>,
    ) -> Result<String, &'static str> {
        let format = format(style);
        let input = Input {
            format: &format,
            names: &NoNames,
            now: NOW,
        };
        let mut out = Vec::new();
        run(text, &input, &mut out).map_err(|error| error.code)?;
        Ok(String::from_utf8(out).expect("ASCII"))
    }

    fn timestamp(text: &str, style: &str) -> Result<String, &'static str> {
        round_trip(text, style, |text, input, out| {
            put_timestamp(out, parse_timestamp(text, input)?, &TextFormat::default());
            Ok(())
        })
    }

    fn timestamptz(text: &str) -> Result<String, &'static str> {
        round_trip(text, "ISO", |text, input, out| {
            put_timestamptz(out, parse_timestamptz(text, input)?, &TextFormat::default());
            Ok(())
        })
    }

    fn date(text: &str, style: &str) -> Result<String, &'static str> {
        round_trip(text, style, |text, input, out| {
            put_date(out, parse_date(text, input)?, &TextFormat::default());
            Ok(())
        })
    }

    fn time(text: &str) -> Result<String, &'static str> {
        round_trip(text, "ISO", |text, input, out| {
            put_time(out, parse_time(text, input)?);
            Ok(())
        })
    }

    #[test]
    fn timestamps_are_read_in_postgresqls_forms() {
        for (text, expected) in [
            ("2024-01-31", "2024-01-31 00:00:00"),
            ("2024-01-31 10:11", "2024-01-31 10:11:00"),
            ("2024-01-31T10:11:12.1234567Z", "2024-01-31 10:11:12.123457"),
            ("  2024-01-31   10:11:12+02  ", "2024-01-31 10:11:12"),
            ("20240131T101112", "2024-01-31 10:11:12"),
            ("20240131 101112.25", "2024-01-31 10:11:12.25"),
            ("Jan 31 2024 3:04 PM", "2024-01-31 15:04:00"),
            ("January 8, 1999", "1999-01-08 00:00:00"),
            ("Wed 31 Jan 10:11:12 2024", "2024-01-31 10:11:12"),
            ("1/31/99 12:00 AM", "1999-01-31 00:00:00"),
            ("2024-01-31 24:00:00", "2024-02-01 00:00:00"),
            ("2024-01-31 23:59:60", "2024-02-01 00:00:00"),
            ("0044-03-15 BC", "0044-03-15 00:00:00 BC"),
            ("31-Jan-2024", "2024-01-31 00:00:00"),
            ("infinity", "infinity"),
            ("-infinity", "-infinity"),
            ("epoch", "1970-01-01 00:00:00"),
            ("tomorrow 04:05", "2024-03-01 04:05:00"),
            ("J2451187", "1999-01-08 00:00:00"),
        ] {
            assert_eq!(timestamp(text, "ISO"), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn broken_timestamps_name_what_is_wrong() {
        for (text, code) in [
            ("", "22007"),
            ("abc", "22007"),
            ("2024", "22007"),
            ("2024-01", "22007"),
            ("2024-13-01", "22008"),
            ("2024-02-30", "22008"),
            ("2023-02-29", "22008"),
            ("0000-01-01", "22008"),
            ("2024-01-31 25:00", "22008"),
            ("2024-01-31 10:60", "22008"),
            ("2024-01-31 10:00 10:00", "22007"),
            ("2024-01-31 2024-01-31", "22007"),
            ("300000-01-01", "22008"),
            ("2024-01-31 10:00 Nowhere/Else", "22023"),
            ("2024-01-31 10:00+99", "22009"),
            ("31/01/2024", "22008"),
            ("2024-01-31 13:00 PM", "22008"),
            ("now 10:00", "22007"),
            ("é", "22007"),
            ("-", "22007"),
        ] {
            assert_eq!(timestamp(text, "ISO"), Err(code), "{text}");
        }
    }

    #[test]
    fn the_date_style_orders_ambiguous_numbers() {
        assert_eq!(date("1/2/2003", "MDY"), Ok("2003-01-02".to_owned()));
        assert_eq!(date("1/2/2003", "DMY"), Ok("2003-02-01".to_owned()));
        assert_eq!(date("3/1/2", "YMD"), Ok("2003-01-02".to_owned()));
        assert_eq!(date("31.12.2003", "German"), Ok("2003-12-31".to_owned()));
        assert_eq!(date("2024-01-31 10:11", "MDY"), Ok("2024-01-31".to_owned()));
        assert_eq!(date("10:11", "MDY"), Err("22007"));
    }

    #[test]
    fn zones_move_timestamps() {
        for (text, expected) in [
            ("2024-07-01 12:00", "2024-07-01 10:00:00+00"),
            ("2024-07-01 12:00-03:30", "2024-07-01 15:30:00+00"),
            ("2024-07-01 12:00 PST", "2024-07-01 20:00:00+00"),
            (
                "2024-07-01 12:00 America/New_York",
                "2024-07-01 16:00:00+00",
            ),
            ("2024-07-01 12:00 utc", "2024-07-01 12:00:00+00"),
            ("2024-07-01T12:00:00.000Z", "2024-07-01 12:00:00+00"),
            ("now", "2024-02-29 13:14:15.5+00"),
            ("today", "2024-02-28 23:00:00+00"),
            ("2024-03-31 02:30", "2024-03-31 01:30:00+00"),
        ] {
            assert_eq!(timestamptz(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn times_stand_alone() {
        for (text, expected) in [
            ("04:05", "04:05:00"),
            ("04:05:06.789", "04:05:06.789"),
            ("4:00 PM", "16:00:00"),
            ("12:00 am", "00:00:00"),
            ("24:00", "24:00:00"),
            ("allballs", "00:00:00"),
            ("2024-01-01 10:00", "10:00:00"),
        ] {
            assert_eq!(time(text), Ok(expected.to_owned()), "{text}");
        }
        assert_eq!(time("25:00"), Err("22008"));
        assert_eq!(time("4 PM"), Err("22007"));
        assert_eq!(time("2024-01-01"), Err("22007"));
    }
}
