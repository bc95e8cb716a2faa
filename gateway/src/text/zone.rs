//! Time zones: the names of the IANA database and fixed offsets.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use chrono::offset::LocalResult;
use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::{OffsetName, Tz};

/// What the setting `TimeZone` can be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Zone {
    /// As `SHOW TimeZone` prints it.
    name: Arc<str>,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Rule {
    Named(Tz),
    /// Seconds east of Greenwich, and the abbreviation.
    Fixed(i32, Arc<str>),
}

/// Where a zone is at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneOffset {
    /// East of Greenwich.
    pub seconds: i32,
    /// `CET`; `+05` where the zone has no letters.
    pub abbreviation: Arc<str>,
}

const MICROS: i64 = 1_000_000;
/// PostgreSQL refuses offsets beyond 15:59:59.
const MAX_OFFSET: i32 = 16 * 3600 - 1;

impl Zone {
    pub fn utc() -> Zone {
        Zone {
            name: "UTC".into(),
            rule: Rule::Named(Tz::UTC),
        }
    }

    /// `SET TIME ZONE <number>`: hours east of Greenwich.
    pub fn from_hours(hours: f64) -> Option<Zone> {
        let seconds = (hours * 3600.0).round();
        (seconds.abs() <= f64::from(MAX_OFFSET)).then(|| Zone::from_seconds(seconds as i32))
    }

    /// A fixed offset in seconds east, named as PostgreSQL names it: `<+05:30>-05:30`.
    pub fn from_seconds(seconds: i32) -> Zone {
        let mut abbreviation = String::new();
        put_offset(&mut abbreviation, seconds);
        let mut name = format!("<{abbreviation}>");
        put_offset(&mut name, -seconds);
        Zone {
            name: name.into(),
            rule: Rule::Fixed(seconds, abbreviation.into()),
        }
    }

    /// The value of `SET TimeZone`: a zone's name in any case, a number of hours east, or a
    /// POSIX zone without summer time (`UTC+3`, `<+03>-3`: west is positive there).
    pub fn parse(text: &str) -> Option<Zone> {
        let text = text.trim();
        if let Some(tz) = named(text) {
            return Some(Zone {
                name: tz.name().into(),
                rule: Rule::Named(tz),
            });
        }
        if let Ok(hours) = f64::from_str(text) {
            return Zone::from_hours(hours);
        }
        let (abbreviation, rest) = if let Some(quoted) = text.strip_prefix('<') {
            quoted.split_once('>')?
        } else {
            let letters = text.find(|c: char| !c.is_ascii_alphabetic())?;
            text.split_at(letters)
        };
        if abbreviation.len() < 3 || abbreviation.len() > 31 {
            return None;
        }
        let west = parse_offset(rest)?;
        Some(Zone {
            name: text.into(),
            rule: Rule::Fixed(-west, abbreviation.into()),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The zone's offset at a moment, in microseconds since 1970 UTC.
    pub fn at(&self, utc: i64) -> ZoneOffset {
        match &self.rule {
            Rule::Fixed(seconds, abbreviation) => ZoneOffset {
                seconds: *seconds,
                abbreviation: Arc::clone(abbreviation),
            },
            Rule::Named(tz) => {
                let offset = tz.offset_from_utc_datetime(&naive(utc));
                let seconds = offset.fix().local_minus_utc();
                let abbreviation = match offset.abbreviation() {
                    Some(letters) => letters.into(),
                    None => {
                        let mut text = String::new();
                        put_offset(&mut text, seconds);
                        text.into()
                    }
                };
                ZoneOffset {
                    seconds,
                    abbreviation,
                }
            }
        }
    }

    /// Only the seconds: what the hot paths want.
    pub fn seconds_at(&self, utc: i64) -> i32 {
        match &self.rule {
            Rule::Fixed(seconds, _) => *seconds,
            Rule::Named(Tz::UTC) => 0,
            Rule::Named(tz) => tz
                .offset_from_utc_datetime(&naive(utc))
                .fix()
                .local_minus_utc(),
        }
    }

    /// The offset that a local time has. A time that occurs twice is the later one (standard
    /// time); one that is skipped is read with the offset from before the gap.
    pub fn seconds_at_local(&self, local: i64) -> i32 {
        let Rule::Named(tz) = &self.rule else {
            return self.seconds_at(local);
        };
        let wall = naive(local);
        let offset = match tz.offset_from_local_datetime(&wall) {
            LocalResult::Single(offset) | LocalResult::Ambiguous(_, offset) => offset,
            LocalResult::None => {
                let before = wall.checked_sub_signed(TimeDelta::days(1)).unwrap_or(wall);
                tz.offset_from_utc_datetime(&before)
            }
        };
        offset.fix().local_minus_utc()
    }

    /// Local time to UTC, both in microseconds; `None` if it leaves the range of 64 bits.
    pub fn to_utc(&self, local: i64) -> Option<i64> {
        local.checked_sub(i64::from(self.seconds_at_local(local)) * MICROS)
    }

    pub fn to_local(&self, utc: i64) -> Option<i64> {
        utc.checked_add(i64::from(self.seconds_at(utc)) * MICROS)
    }
}

/// `+05`, `-03:30`, `+00:19:32`.
pub fn put_offset(out: &mut String, seconds: i32) {
    let magnitude = seconds.unsigned_abs();
    let (hours, minutes, rest) = (magnitude / 3600, magnitude / 60 % 60, magnitude % 60);
    let sign = if seconds < 0 { '-' } else { '+' };
    // Writing to a String cannot fail.
    let _ = write!(out, "{sign}{hours:02}");
    if minutes != 0 || rest != 0 {
        let _ = write!(out, ":{minutes:02}");
    }
    if rest != 0 {
        let _ = write!(out, ":{rest:02}");
    }
}

/// `+5`, `-03:30`, `0530`, with or without sign, in seconds.
pub fn parse_offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let number = |part: &str| -> Option<i32> {
        (!part.is_empty() && part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit()))
            .then(|| part.parse().ok())
            .flatten()
    };
    let (hours, minutes, seconds) = if digits.contains(':') {
        let mut parts = digits.split(':');
        let hours = number(parts.next()?)?;
        let minutes = number(parts.next()?)?;
        let seconds = parts.next().map_or(Some(0), number)?;
        if parts.next().is_some() {
            return None;
        }
        (hours, minutes, seconds)
    } else {
        if !digits.is_ascii() {
            return None;
        }
        match digits.len() {
            1 | 2 => (number(digits)?, 0, 0),
            3 => (number(&digits[..1])?, number(&digits[1..])?, 0),
            4 => (number(&digits[..2])?, number(&digits[2..])?, 0),
            6 => (
                number(&digits[..2])?,
                number(&digits[2..4])?,
                number(&digits[4..])?,
            ),
            _ => return None,
        }
    };
    let total = hours * 3600 + minutes * 60 + seconds;
    (minutes < 60 && seconds < 60 && total <= MAX_OFFSET).then_some(sign * total)
}

/// The zone abbreviations that PostgreSQL's default set knows and people write, as seconds east.
pub fn abbreviation(text: &str) -> Option<i32> {
    let hours = |hours: i32| Some(hours * 3600);
    match text.to_ascii_lowercase().as_str() {
        "z" | "utc" | "gmt" | "ut" | "zulu" | "wet" => Some(0),
        "bst" | "cet" | "met" | "west" | "wat" => hours(1),
        "cest" | "eet" | "mest" | "cat" => hours(2),
        "eest" | "msk" | "eat" => hours(3),
        "msd" => hours(4),
        "ist" => hours(2),
        "pkt" => hours(5),
        "hkt" | "sgt" | "awst" => hours(8),
        "jst" | "kst" => hours(9),
        "acst" => Some(9 * 3600 + 1800),
        "aest" => hours(10),
        "aedt" => hours(11),
        "nzst" => hours(12),
        "nzdt" => hours(13),
        "nst" => Some(-(3 * 3600 + 1800)),
        "ndt" => Some(-(2 * 3600 + 1800)),
        "adt" | "brt" => hours(-3),
        "ast" | "edt" => hours(-4),
        "est" | "cdt" => hours(-5),
        "cst" | "mdt" => hours(-6),
        "mst" | "pdt" => hours(-7),
        "pst" | "akdt" => hours(-8),
        "akst" => hours(-9),
        "hst" => hours(-10),
        _ => None,
    }
}

/// Names are matched without regard to case, as PostgreSQL does.
fn named(text: &str) -> Option<Tz> {
    static BY_LOWER_CASE: LazyLock<HashMap<String, Tz>> = LazyLock::new(|| {
        chrono_tz::TZ_VARIANTS
            .iter()
            .map(|tz| (tz.name().to_ascii_lowercase(), *tz))
            .collect()
    });
    if text.len() > 64 {
        return None;
    }
    BY_LOWER_CASE.get(&text.to_ascii_lowercase()).copied()
}

/// Times outside chrono's years are taken at its nearest end: zones have constant rules there.
fn naive(micros: i64) -> NaiveDateTime {
    DateTime::from_timestamp_micros(micros).map_or_else(
        || {
            if micros < 0 {
                NaiveDateTime::MIN + TimeDelta::days(2)
            } else {
                NaiveDateTime::MAX - TimeDelta::days(2)
            }
        },
        |time| time.naive_utc(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_by_name_number_and_posix_text() {
        let check = |text: &str, name: &str, seconds: i32| {
            let zone = Zone::parse(text).unwrap_or_else(|| panic!("{text} is a zone"));
            assert_eq!((zone.name(), zone.seconds_at(0)), (name, seconds), "{text}");
        };
        check("europe/berlin", "Europe/Berlin", 3600);
        check("UTC", "UTC", 0);
        check("-5", "<-05>+05", -5 * 3600);
        check("5.5", "<+05:30>-05:30", 5 * 3600 + 1800);
        check("<+03>-3", "<+03>-3", 3 * 3600);
        check("UTC+3", "UTC+3", -3 * 3600);
        for bad in ["", "Nowhere/Else", "99", "ab+1", "<", "<+03>", "é"] {
            assert!(Zone::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn skipped_and_doubled_hours_are_read_as_postgresql_reads_them() {
        let berlin = Zone::parse("Europe/Berlin").expect("a zone");
        let local = |text: &str| {
            NaiveDateTime::parse_from_str(text, "%F %T")
                .expect("a time")
                .and_utc()
                .timestamp_micros()
        };
        assert_eq!(berlin.seconds_at_local(local("2024-03-31 02:30:00")), 3600);
        assert_eq!(berlin.seconds_at_local(local("2024-10-27 02:30:00")), 3600);
        assert_eq!(berlin.seconds_at_local(local("2024-07-01 00:00:00")), 7200);
        assert_eq!(
            &*berlin.at(local("2024-07-01 00:00:00")).abbreviation,
            "CEST"
        );
        assert_eq!(berlin.seconds_at(i64::MAX - 1), 3600);
        assert_eq!(
            berlin.seconds_at_local(i64::MIN + 1),
            berlin.seconds_at(i64::MIN + 1)
        );
    }
}
