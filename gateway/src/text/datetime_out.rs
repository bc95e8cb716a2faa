//! Dates and times as text, in PostgreSQL's four styles.

use crate::text::calendar::{
    Civil, DATE_INFINITY, DATE_MINUS_INFINITY, MICROS_PER_SECOND, TIMESTAMP_INFINITY,
    TIMESTAMP_MINUS_INFINITY, split_day, weekday,
};
use crate::text::number::put_padded;
use crate::text::zone::put_offset;
use crate::text::{DateOrder, DateStyle, TextFormat};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

pub fn put_date(out: &mut Vec<u8>, days: i32, format: &TextFormat) {
    match days {
        DATE_INFINITY => return out.extend_from_slice(b"infinity"),
        DATE_MINUS_INFINITY => return out.extend_from_slice(b"-infinity"),
        _ => {}
    }
    let civil = Civil::from_days(i64::from(days));
    match format.date_style {
        DateStyle::Postgres => put_numeric_date(out, civil, b'-', format.date_order),
        style => put_date_part(out, civil, style, format.date_order),
    }
    put_era(out, civil);
}

/// Microseconds of the day.
pub fn put_time(out: &mut Vec<u8>, micros: i64) {
    let seconds = micros / MICROS_PER_SECOND;
    put_two(out, seconds / 3600);
    out.push(b':');
    put_two(out, seconds / 60 % 60);
    out.push(b':');
    put_two(out, seconds % 60);
    put_fraction(out, micros % MICROS_PER_SECOND);
}

pub fn put_timestamp(out: &mut Vec<u8>, micros: i64, format: &TextFormat) {
    if !put_infinity(out, micros) {
        put_local(out, micros, None, format);
    }
}

/// `micros` is UTC, the text is in the session's zone.
pub fn put_timestamptz(out: &mut Vec<u8>, micros: i64, format: &TextFormat) {
    if put_infinity(out, micros) {
        return;
    }
    // The ISO style needs no abbreviation, which is what costs something.
    let (seconds, abbreviation) = if format.date_style == DateStyle::Iso {
        (format.zone.seconds_at(micros), None)
    } else {
        let offset = format.zone.at(micros);
        (offset.seconds, Some(offset.abbreviation))
    };
    let local = micros.saturating_add(i64::from(seconds) * MICROS_PER_SECOND);
    let mut zone = String::with_capacity(10);
    match abbreviation {
        None => put_offset(&mut zone, seconds),
        Some(letters) => {
            zone.push(' ');
            zone.push_str(&letters);
        }
    }
    put_local(out, local, Some(&zone), format);
}

fn put_infinity(out: &mut Vec<u8>, micros: i64) -> bool {
    match micros {
        TIMESTAMP_INFINITY => out.extend_from_slice(b"infinity"),
        TIMESTAMP_MINUS_INFINITY => out.extend_from_slice(b"-infinity"),
        _ => return false,
    }
    true
}

fn put_local(out: &mut Vec<u8>, micros: i64, zone: Option<&str>, format: &TextFormat) {
    let (days, time) = split_day(micros);
    let civil = Civil::from_days(days);
    if format.date_style == DateStyle::Postgres {
        out.extend_from_slice(WEEKDAYS[weekday(days)].as_bytes());
        out.push(b' ');
        let month = MONTHS[civil.month as usize - 1].as_bytes();
        if format.date_order == DateOrder::Dmy {
            put_two(out, i64::from(civil.day));
            out.push(b' ');
            out.extend_from_slice(month);
        } else {
            out.extend_from_slice(month);
            out.push(b' ');
            put_two(out, i64::from(civil.day));
        }
        out.push(b' ');
        put_time(out, time);
        out.push(b' ');
        put_year(out, civil);
    } else {
        put_date_part(out, civil, format.date_style, format.date_order);
        out.push(b' ');
        put_time(out, time);
    }
    if let Some(zone) = zone {
        out.extend_from_slice(zone.as_bytes());
    }
    put_era(out, civil);
}

/// The date inside a date or timestamp, for the styles in which both are alike.
fn put_date_part(out: &mut Vec<u8>, civil: Civil, style: DateStyle, order: DateOrder) {
    match style {
        DateStyle::Iso | DateStyle::Postgres => {
            put_year(out, civil);
            out.push(b'-');
            put_two(out, i64::from(civil.month));
            out.push(b'-');
            put_two(out, i64::from(civil.day));
        }
        DateStyle::Sql => {
            put_numeric_date(out, civil, b'/', order);
        }
        DateStyle::German => put_numeric_date(out, civil, b'.', DateOrder::Dmy),
    }
}

/// These styles never have the year first.
fn put_numeric_date(out: &mut Vec<u8>, civil: Civil, separator: u8, order: DateOrder) {
    let (first, second) = if order == DateOrder::Dmy {
        (civil.day, civil.month)
    } else {
        (civil.month, civil.day)
    };
    put_two(out, i64::from(first));
    out.push(separator);
    put_two(out, i64::from(second));
    out.push(separator);
    put_year(out, civil);
}

fn put_year(out: &mut Vec<u8>, civil: Civil) {
    let year = if civil.year > 0 {
        civil.year
    } else {
        1 - civil.year
    };
    put_padded(out, year.unsigned_abs(), 4);
}

fn put_era(out: &mut Vec<u8>, civil: Civil) {
    if civil.year <= 0 {
        out.extend_from_slice(b" BC");
    }
}

fn put_two(out: &mut Vec<u8>, value: i64) {
    put_padded(out, value.unsigned_abs(), 2);
}

/// `.5` for half a second: six digits without the zeros at the end.
pub(super) fn put_fraction(out: &mut Vec<u8>, micros: i64) {
    if micros == 0 {
        return;
    }
    out.push(b'.');
    put_padded(out, micros.unsigned_abs(), 6);
    while out.last() == Some(&b'0') {
        out.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Zone;

    fn format(style: &str, zone: &str) -> TextFormat {
        TextFormat {
            zone: Zone::parse(zone).expect("a zone"),
            ..TextFormat::default()
                .with_date_style(style)
                .expect("a style")
        }
    }

    fn text(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        put(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    /// 2024-02-29 13:14:15.5 UTC.
    const MOMENT: i64 = 1_709_212_455_500_000;

    #[test]
    fn timestamps_in_all_styles() {
        for (style, plain, zoned, date) in [
            (
                "ISO, MDY",
                "2024-02-29 13:14:15.5",
                "2024-02-29 14:14:15.5+01",
                "2024-02-29",
            ),
            (
                "SQL, MDY",
                "02/29/2024 13:14:15.5",
                "02/29/2024 14:14:15.5 CET",
                "02/29/2024",
            ),
            (
                "SQL, DMY",
                "29/02/2024 13:14:15.5",
                "29/02/2024 14:14:15.5 CET",
                "29/02/2024",
            ),
            (
                "SQL, YMD",
                "02/29/2024 13:14:15.5",
                "02/29/2024 14:14:15.5 CET",
                "02/29/2024",
            ),
            (
                "Postgres, MDY",
                "Thu Feb 29 13:14:15.5 2024",
                "Thu Feb 29 14:14:15.5 2024 CET",
                "02-29-2024",
            ),
            (
                "Postgres, DMY",
                "Thu 29 Feb 13:14:15.5 2024",
                "Thu 29 Feb 14:14:15.5 2024 CET",
                "29-02-2024",
            ),
            (
                "Postgres, YMD",
                "Thu Feb 29 13:14:15.5 2024",
                "Thu Feb 29 14:14:15.5 2024 CET",
                "02-29-2024",
            ),
            (
                "German",
                "29.02.2024 13:14:15.5",
                "29.02.2024 14:14:15.5 CET",
                "29.02.2024",
            ),
        ] {
            let format = format(style, "Europe/Berlin");
            assert_eq!(
                text(|out| put_timestamp(out, MOMENT, &format)),
                plain,
                "{style}"
            );
            assert_eq!(
                text(|out| put_timestamptz(out, MOMENT, &format)),
                zoned,
                "{style}"
            );
            assert_eq!(text(|out| put_date(out, 19_782, &format)), date, "{style}");
        }
    }

    #[test]
    fn years_before_christ_and_far_away() {
        let iso = format("ISO", "UTC");
        let bc = Civil {
            year: -43,
            month: 3,
            day: 15,
        }
        .days() as i32;
        assert_eq!(text(|out| put_date(out, bc, &iso)), "0044-03-15 BC");
        let far = Civil {
            year: 12_345,
            month: 1,
            day: 2,
        }
        .days() as i32;
        assert_eq!(text(|out| put_date(out, far, &iso)), "12345-01-02");
        assert_eq!(text(|out| put_timestamp(out, i64::MIN, &iso)), "-infinity");
        assert_eq!(text(|out| put_date(out, i32::MAX, &iso)), "infinity");
    }

    #[test]
    fn zones_without_letters_show_their_number() {
        let sql = format("SQL", "+5.5");
        assert_eq!(
            text(|out| put_timestamptz(out, 0, &sql)),
            "01/01/1970 05:30:00 +05:30"
        );
        let iso = format("ISO", "Asia/Kolkata");
        assert_eq!(
            text(|out| put_timestamptz(out, 0, &iso)),
            "1970-01-01 05:30:00+05:30"
        );
    }
}
