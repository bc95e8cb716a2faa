//! Dates, times and intervals by a template, both ways.

use arrow::datatypes::IntervalMonthDayNano;
use omnigraph_udfs::{Error, Result};

use super::template::{pattern_at, templated};
use crate::text::calendar::{Civil, join_day, split_day, weekday};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

pub(super) fn moment_text(template: &str, local: i64, offset: i32, zone: &str) -> String {
    let (days, time) = split_day(local);
    let civil = Civil::from_days(days);
    let seconds = time / 1_000_000;
    let (hour, minute, second, micro) = (
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        time % 1_000_000,
    );
    let year = if civil.year > 0 {
        civil.year
    } else {
        1 - civil.year
    };
    let year_day = days
        - Civil {
            year: civil.year,
            month: 1,
            day: 1,
        }
        .days()
        + 1;
    let iso_day = (weekday(days) as i64 + 6) % 7 + 1;
    let thursday = days - iso_day + 4;
    let iso_year = Civil::from_days(thursday).year;
    let iso_week = (thursday
        - Civil {
            year: iso_year,
            month: 1,
            day: 1,
        }
        .days())
        / 7
        + 1;
    let month = MONTHS[civil.month as usize - 1];
    let day = DAYS[weekday(days)];
    templated(template, |pattern, fill| {
        let number = |value: i64, width: usize| {
            if fill {
                value.to_string()
            } else {
                format!("{value:0width$}")
            }
        };
        let word = |text: String, width: usize| {
            if fill {
                text
            } else {
                format!("{text:<width$}")
            }
        };
        match pattern {
            "HH24" => number(hour, 2),
            "HH12" | "HH" => number((hour + 11) % 12 + 1, 2),
            "MI" => number(minute, 2),
            "SS" => number(second, 2),
            "SSSS" | "SSSSS" => seconds.to_string(),
            "MS" | "FF3" => format!("{:03}", micro / 1000),
            "US" | "FF6" => format!("{micro:06}"),
            "FF1" => format!("{}", micro / 100_000),
            "FF2" => format!("{:02}", micro / 10_000),
            "FF4" => format!("{:04}", micro / 100),
            "FF5" => format!("{:05}", micro / 10),
            "AM" | "PM" => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            "am" | "pm" => if hour < 12 { "am" } else { "pm" }.to_owned(),
            "A.M." | "P.M." => if hour < 12 { "A.M." } else { "P.M." }.to_owned(),
            "a.m." | "p.m." => if hour < 12 { "a.m." } else { "p.m." }.to_owned(),
            "Y,YYY" => format!("{},{:03}", year / 1000, year % 1000),
            "YYYY" => number(year, 4),
            "YYY" => number(year % 1000, 3),
            "YY" => number(year % 100, 2),
            "Y" => (year % 10).to_string(),
            "IYYY" => number(iso_year, 4),
            "IYY" => number(iso_year % 1000, 3),
            "IY" => number(iso_year % 100, 2),
            "I" => (iso_year % 10).to_string(),
            "MONTH" => word(month.to_uppercase(), 9),
            "Month" => word(month.to_owned(), 9),
            "month" => word(month.to_lowercase(), 9),
            "MON" => month[..3].to_uppercase(),
            "Mon" => month[..3].to_owned(),
            "mon" => month[..3].to_lowercase(),
            "MM" => number(i64::from(civil.month), 2),
            "DAY" => word(day.to_uppercase(), 9),
            "Day" => word(day.to_owned(), 9),
            "day" => word(day.to_lowercase(), 9),
            "DY" => day[..3].to_uppercase(),
            "Dy" => day[..3].to_owned(),
            "dy" => day[..3].to_lowercase(),
            "DDD" => number(year_day, 3),
            "IDDD" => number((iso_week - 1) * 7 + iso_day, 3),
            "DD" => number(i64::from(civil.day), 2),
            "D" => (weekday(days) + 1).to_string(),
            "ID" => iso_day.to_string(),
            "IW" => number(iso_week, 2),
            "WW" => number((year_day - 1) / 7 + 1, 2),
            "W" => ((i64::from(civil.day) - 1) / 7 + 1).to_string(),
            "CC" => number((year + 99) / 100, 2),
            "J" => (days + 2_440_588).to_string(),
            "Q" => ((civil.month - 1) / 3 + 1).to_string(),
            "RM" | "rm" => {
                const ROMAN: [&str; 12] = [
                    "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII",
                ];
                let roman = word(ROMAN[civil.month as usize - 1].to_owned(), 4);
                if pattern == "rm" {
                    roman.to_lowercase()
                } else {
                    roman
                }
            }
            "TZ" => zone.to_uppercase(),
            "tz" => zone.to_lowercase(),
            "TZH" => format!(
                "{}{:02}",
                if offset < 0 { '-' } else { '+' },
                offset.abs() / 3600
            ),
            "TZM" => format!("{:02}", offset.abs() / 60 % 60),
            "OF" => {
                let minutes = offset.abs() / 60 % 60;
                let hours = format!(
                    "{}{:02}",
                    if offset < 0 { '-' } else { '+' },
                    offset.abs() / 3600
                );
                if minutes == 0 {
                    hours
                } else {
                    format!("{hours}:{minutes:02}")
                }
            }
            "BC" | "AD" => if civil.year > 0 { "AD" } else { "BC" }.to_owned(),
            "B.C." | "A.D." => if civil.year > 0 { "A.D." } else { "B.C." }.to_owned(),
            other => other.to_owned(),
        }
    })
}

pub(super) fn interval_text(template: &str, value: IntervalMonthDayNano) -> String {
    let micros = value.nanoseconds / 1000;
    let seconds = micros / 1_000_000;
    templated(template, |pattern, fill| {
        let number = |value: i64, width: usize| {
            if fill {
                value.to_string()
            } else {
                format!("{value:0width$}")
            }
        };
        match pattern {
            "HH24" => number(seconds / 3600, 2),
            "HH12" | "HH" => number((seconds / 3600 + 11) % 12 + 1, 2),
            "MI" => number(seconds / 60 % 60, 2),
            "SS" => number(seconds % 60, 2),
            "MS" => format!("{:03}", micros % 1_000_000 / 1000),
            "US" => format!("{:06}", micros % 1_000_000),
            "YYYY" => number(i64::from(value.months / 12), 4),
            "MM" => number(i64::from(value.months % 12), 2),
            "DD" => number(i64::from(value.days), 2),
            other => other.to_owned(),
        }
    })
}

/// A text by its template, as microseconds of a local time.
pub(super) fn read_moment(text: &str, template: &str) -> Result<i64> {
    let (mut year, mut month, mut day) = (1i64, 1u32, 1u32);
    let (mut hour, mut minute, mut second, mut micro) = (0i64, 0i64, 0i64, 0i64);
    let mut afternoon = None;
    let mut year_day = None;
    let mut input = text;
    let mut rest = template;
    let invalid = |what: &str, found: &str| {
        Error::value("22007", format!("invalid value \"{found}\" for \"{what}\""))
    };
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
            rest = after;
            continue;
        }
        let Some(pattern) = pattern_at(rest) else {
            rest = &rest[c.len_utf8()..];
            // A separator matches any separator.
            if let Some(found) = input.chars().next()
                && (found == c || !found.is_alphanumeric())
            {
                input = &input[found.len_utf8()..];
            }
            continue;
        };
        rest = &rest[pattern.len()..];
        input = input.trim_start();
        let mut number = |most: usize| -> Result<i64> {
            let end = input
                .bytes()
                .take(most)
                .take_while(u8::is_ascii_digit)
                .count();
            let value = input[..end]
                .parse()
                .map_err(|_| invalid(pattern, &input[..input.len().min(most)]))?;
            input = &input[end..];
            Ok(value)
        };
        match pattern {
            "YYYY" => {
                let separated = !rest.chars().next().is_some_and(|c| c.is_alphanumeric());
                year = number(if separated { 6 } else { 4 })?;
            }
            "YY" => {
                let short = number(2)?;
                year = if short < 70 {
                    2000 + short
                } else {
                    1900 + short
                };
            }
            "MM" => month = number(2)? as u32,
            "DD" => day = number(2)? as u32,
            "DDD" => year_day = Some(number(3)?),
            "HH24" | "HH12" | "HH" => hour = number(2)?,
            "MI" => minute = number(2)?,
            "SS" => second = number(2)?,
            "MS" => micro = number(3)? * 1000,
            "US" => micro = number(6)?,
            "AM" | "PM" | "am" | "pm" => {
                afternoon = Some(
                    input
                        .get(..2)
                        .is_some_and(|word| word.eq_ignore_ascii_case("pm")),
                );
                input = input.get(2..).unwrap_or_default();
            }
            "MONTH" | "Month" | "month" | "MON" | "Mon" | "mon" => {
                let full = pattern.len() > 3;
                let found = MONTHS.iter().position(|name| {
                    let name = if full { name } else { &name[..3] };
                    input
                        .get(..name.len())
                        .is_some_and(|start| start.eq_ignore_ascii_case(name))
                });
                let at = found.ok_or_else(|| invalid(pattern, input))?;
                month = at as u32 + 1;
                input = &input[if full { MONTHS[at].len() } else { 3 }..];
            }
            "DAY" | "Day" | "day" | "DY" | "Dy" | "dy" => {
                let end = input
                    .find(|c: char| !c.is_alphabetic())
                    .unwrap_or(input.len());
                input = &input[end..];
            }
            other => {
                return Err(Error::value(
                    "0A000",
                    format!("the template pattern \"{other}\" is not supported for input"),
                ));
            }
        }
    }
    if let Some(afternoon) = afternoon {
        hour = hour % 12 + if afternoon { 12 } else { 0 };
    }
    let range = || {
        Error::value(
            "22008",
            format!("date/time field value out of range: \"{text}\""),
        )
    };
    if !(1..=12).contains(&month)
        || day == 0
        || day > Civil::days_in_month(year, month)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return Err(range());
    }
    let days = match year_day {
        Some(at) => {
            Civil {
                year,
                month: 1,
                day: 1,
            }
            .days()
                + at
                - 1
        }
        None => Civil { year, month, day }.days(),
    };
    join_day(
        days,
        ((hour * 60 + minute) * 60 + second) * 1_000_000 + micro,
    )
    .ok_or_else(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_follow_their_templates() {
        let at = Civil {
            year: 2024,
            month: 2,
            day: 29,
        }
        .days()
            * 86_400_000_000
            + 45_296_789_000;
        let check = |template: &str, expected: &str| {
            assert_eq!(moment_text(template, at, 0, "UTC"), expected, "{template}")
        };
        check("YYYY-MM-DD HH24:MI:SS", "2024-02-29 12:34:56");
        check("DD Mon YYYY, Day", "29 Feb 2024, Thursday ");
        check("FMMonth FMDDth", "February 29th");
        check("HH12:MI AM \"Q\"Q", "12:34 PM Q1");
        assert_eq!(
            read_moment("2024-02-29 12:34:56", "YYYY-MM-DD HH24:MI:SS").unwrap(),
            at / 1_000_000 * 1_000_000
        );
    }
}
