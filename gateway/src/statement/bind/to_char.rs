//! Templates (`to_char`, `to_date`, `to_timestamp`), ISO texts for JSON, and the functions of an
//! ordered array behind ordered-set aggregates.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{
    DataType, Float64Type, Int32Type, Int64Type, IntervalMonthDayNanoType, TimestampMicrosecondType,
};
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{call_with, json, rows};
use omnigraph_udfs::{Error, Result};

use super::datetime::out_of_range;
use super::text_io::carried;
use super::typed::Typed;
use crate::text::Zone;
use crate::text::calendar::{Civil, date_to_timestamp, join_day, split_day, weekday};

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

/// `to_char` and its inverses, or `None` for types that have none.
pub(super) fn build(name: &str, args: &[Typed], result: PgType, zone: &Zone) -> Option<Expr> {
    let exprs: Vec<Expr> = args.iter().map(|arg| arg.expr.clone()).collect();
    let ty = args.first()?.ty;
    let zone = zone.clone();
    let identity = format!("{ty:?}{}", zone.name());
    Some(match name {
        "to_char" => call_with(name, identity, DataType::Utf8, exprs, move |arrays| {
            let templates = arrays[1].as_string::<i32>();
            let values: StringArray = rows(arrays, |row| {
                let template = templates.value(row);
                Ok(Some(match arrays[0].data_type() {
                    DataType::Timestamp(_, _) => {
                        let value = arrays[0]
                            .as_primitive::<TimestampMicrosecondType>()
                            .value(row);
                        let (local, offset) = if ty.oid == PgType::TIMESTAMPTZ.oid {
                            (
                                zone.to_local(value)
                                    .ok_or_else(|| out_of_range("timestamp"))?,
                                Some(zone.at(value)),
                            )
                        } else {
                            (value, None)
                        };
                        let seconds = offset.as_ref().map_or(0, |_| zone.seconds_at(value));
                        moment_text(template, local, seconds, zone.name())
                    }
                    DataType::Date32 => moment_text(
                        template,
                        date_to_timestamp(super::datetime::days(&arrays[0], row))
                            .map_err(carried)?,
                        0,
                        "",
                    ),
                    DataType::Time64(_) => moment_text(
                        template,
                        super::datetime::time_of_day(&arrays[0], row),
                        0,
                        "",
                    ),
                    DataType::Interval(_) => {
                        let value = arrays[0]
                            .as_primitive::<IntervalMonthDayNanoType>()
                            .value(row);
                        interval_text(template, value)
                    }
                    other => number_text(template, &number_of(&arrays[0], other, row)?),
                }))
            })?;
            Ok(Arc::new(values))
        }),
        "to_date" | "to_timestamp" => {
            let date = result.oid == PgType::DATE.oid;
            call_with(name, identity, result.arrow(), exprs, move |arrays| {
                let (texts, templates) =
                    (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
                if date {
                    let values: arrow::array::Date32Array = rows(arrays, |row| {
                        let micros = read_moment(texts.value(row), templates.value(row))?;
                        Ok(Some(crate::text::calendar::timestamp_to_date(micros)))
                    })?;
                    return Ok(Arc::new(values));
                }
                let values: arrow::array::TimestampMicrosecondArray = rows(arrays, |row| {
                    let local = read_moment(texts.value(row), templates.value(row))?;
                    zone.to_utc(local)
                        .map(Some)
                        .ok_or_else(|| out_of_range("timestamp"))
                })?;
                Ok(Arc::new(values.with_timezone("UTC")))
            })
        }
        _ => return None,
    })
}

/// The patterns of a date template, longest first where one begins another.
const PATTERNS: &[&str] = &[
    "HH24", "HH12", "HH", "MI", "SSSSS", "SSSS", "SS", "MS", "US", "FF1", "FF2", "FF3", "FF4",
    "FF5", "FF6", "AM", "PM", "A.M.", "P.M.", "am", "pm", "a.m.", "p.m.", "Y,YYY", "YYYY", "YYY",
    "YY", "Y", "IYYY", "IYY", "IY", "I", "MONTH", "Month", "month", "MON", "Mon", "mon", "MM",
    "DAY", "Day", "day", "DY", "Dy", "dy", "DDD", "DD", "D", "IDDD", "ID", "IW", "WW", "W", "CC",
    "J", "Q", "RM", "rm", "TZH", "TZM", "TZ", "tz", "OF", "BC", "AD", "B.C.", "A.D.",
];

fn pattern_at(rest: &str) -> Option<&'static str> {
    PATTERNS
        .iter()
        .filter(|pattern| {
            let plain = pattern.chars().any(|c| c.is_ascii_lowercase())
                || matches!(
                    **pattern,
                    "MONTH" | "MON" | "DAY" | "DY" | "AM" | "PM" | "TZ" | "RM"
                );
            if plain {
                rest.starts_with(**pattern)
            } else {
                rest.get(..pattern.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(pattern))
            }
        })
        .max_by_key(|pattern| pattern.len())
        .copied()
}

fn moment_text(template: &str, local: i64, offset: i32, zone: &str) -> String {
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

/// Replaces a template's patterns; FM, TH and quoted text are handled here.
fn templated(template: &str, replace: impl Fn(&str, bool) -> String) -> String {
    let mut out = String::new();
    let mut rest = template;
    let mut fill = false;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
            fill = true;
            rest = after;
            continue;
        }
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            out.push_str(&quoted[..end]);
            rest = quoted.get(end + 1..).unwrap_or_default();
            continue;
        }
        if let Some(pattern) = pattern_at(rest) {
            let text = replace(pattern, fill);
            rest = &rest[pattern.len()..];
            let suffix = rest
                .get(..2)
                .filter(|suffix| suffix.eq_ignore_ascii_case("th"));
            out.push_str(&text);
            if let Some(suffix) = suffix {
                let ordinal = ordinal(&text);
                out.push_str(&if suffix == "TH" {
                    ordinal.to_uppercase()
                } else {
                    ordinal.to_owned()
                });
                rest = &rest[2..];
            }
            fill = false;
            continue;
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

fn ordinal(number: &str) -> &'static str {
    let digits = number.trim().as_bytes();
    let teen = digits.len() >= 2 && digits[digits.len() - 2] == b'1';
    match digits.last() {
        Some(b'1') if !teen => "st",
        Some(b'2') if !teen => "nd",
        Some(b'3') if !teen => "rd",
        _ => "th",
    }
}

fn interval_text(template: &str, value: arrow::datatypes::IntervalMonthDayNano) -> String {
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

/// A number as its plain decimal text.
fn number_of(array: &ArrayRef, ty: &DataType, row: usize) -> Result<String> {
    Ok(match ty {
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => format!("{}", array.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => format!(
            "{}",
            array
                .as_primitive::<arrow::datatypes::Float32Type>()
                .value(row)
        ),
        DataType::Decimal128(..) | DataType::Decimal256(..) => {
            let formatter = crate::text::write::Formatter::default();
            formatter
                .text(PgType::NUMERIC, array, row)
                .map_err(carried)?
                .unwrap_or_default()
        }
        other => {
            return Err(Error::value(
                "42883",
                format!("to_char over {other} is not supported"),
            ));
        }
    })
}

/// `9`, `0`, `.`, `,`, `D`, `G`, `S`, `MI`, `PL`, `SG`, `FM`, `%` and plain text.
fn number_text(template: &str, number: &str) -> String {
    let negative = number.starts_with('-');
    let digits = number.trim_start_matches('-');
    let fill = template.to_uppercase().contains("FM");
    let cleaned: String = template.replace("FM", "").replace("fm", "");
    let upper = cleaned.to_uppercase();
    let point = upper.find(['.', 'D']);
    let (whole_part, fraction_part) = match point {
        Some(at) => (&upper[..at], &upper[at + 1..]),
        None => (upper.as_str(), ""),
    };
    let decimals = fraction_part
        .chars()
        .filter(|c| matches!(c, '9' | '0'))
        .count();
    let rounded = crate::text::numeric::Numeric::parse(digits)
        .and_then(|value| value.rescale(decimals as u8))
        .map(|value| {
            let mut out = Vec::new();
            crate::text::numeric::put_decimal(
                &mut out,
                value.unscaled,
                value.scale as i8,
                value.scale,
            );
            String::from_utf8_lossy(&out).into_owned()
        })
        .unwrap_or_else(|_| digits.to_owned());
    let (whole, fraction) = rounded.split_once('.').unwrap_or((&rounded, ""));
    let whole = whole.trim_start_matches('0');
    let places = whole_part
        .chars()
        .filter(|c| matches!(c, '9' | '0'))
        .count();
    let explicit_sign = ["S", "MI", "PL", "SG"]
        .iter()
        .any(|sign| upper.contains(sign));
    let overflow = whole.len() > places;
    let mut out = String::new();
    let mut place = 0;
    let mut started = false;
    let first_zero = whole_part
        .chars()
        .filter(|c| matches!(c, '9' | '0'))
        .position(|c| c == '0')
        .unwrap_or(places);
    for c in whole_part.chars() {
        match c {
            '9' | '0' => {
                let from_right = places - place;
                let digit = if overflow {
                    Some('#')
                } else {
                    whole
                        .len()
                        .checked_sub(from_right)
                        .and_then(|at| whole.chars().nth(at))
                };
                match digit {
                    Some(digit) => {
                        started = true;
                        out.push(digit);
                    }
                    None if place >= first_zero => {
                        started = true;
                        out.push('0');
                    }
                    // A lone zero shows where nothing follows the point.
                    None if from_right == 1
                        && (decimals == 0 || point.is_none())
                        && whole.is_empty() =>
                    {
                        started = true;
                        out.push('0');
                    }
                    None if !fill => out.push(' '),
                    None => {}
                }
                place += 1;
            }
            ',' | 'G' if started => out.push(','),
            ',' | 'G' if !fill => out.push(' '),
            _ => {}
        }
    }
    if point.is_some() {
        out.push('.');
        let mut fraction = if overflow {
            "#".repeat(decimals)
        } else {
            fraction.to_owned()
        };
        if fill {
            let kept = fraction_part
                .chars()
                .filter(|c| matches!(c, '9' | '0'))
                .collect::<Vec<_>>()
                .iter()
                .rposition(|c| *c == '0')
                .map_or(0, |at| at + 1);
            while fraction.len() > kept && fraction.ends_with('0') {
                fraction.pop();
            }
        }
        out.push_str(&fraction);
    }
    let sign = if negative { "-" } else { "" };
    if upper.ends_with("MI") {
        out.push_str(if negative {
            "-"
        } else if fill {
            ""
        } else {
            " "
        });
    } else if upper.ends_with('S') {
        out.push_str(if negative { "-" } else { "+" });
    } else if upper.starts_with("SG") || upper.starts_with('S') {
        let blank = out.len() - out.trim_start().len();
        out.insert_str(blank, if negative { "-" } else { "+" });
    } else if explicit_sign {
        out.insert_str(0, sign);
    } else {
        // The sign stands before the first digit, in a place of its own.
        let blank = out.len() - out.trim_start().len();
        out.insert_str(
            blank,
            if negative {
                "-"
            } else if fill {
                ""
            } else {
                " "
            },
        );
    }
    if upper.ends_with('%') {
        out.push('%');
    }
    out
}

/// A text by its template, as microseconds of a local time.
fn read_moment(text: &str, template: &str) -> Result<i64> {
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

/// Dates and times as JSON has them: `2024-02-29T12:34:56.789+00:00`.
pub(super) fn iso_text(value: Expr, ty: PgType, zone: &Zone) -> Expr {
    let zone = zone.clone();
    let identity = format!("{ty:?}{}", zone.name());
    call_with(
        "iso_text",
        identity,
        DataType::Utf8,
        vec![value],
        move |arrays| {
            let format = crate::text::TextFormat {
                zone: zone.clone(),
                ..crate::text::TextFormat::default()
            };
            let formatter = crate::text::write::Formatter::new(
                Arc::new(format),
                crate::text::NoNames::shared(),
            );
            let mut out = Vec::with_capacity(arrays[0].len());
            for row in 0..arrays[0].len() {
                let text = formatter.text(ty, &arrays[0], row).map_err(carried)?;
                out.push(text.map(|text| {
                    let text = text.replacen(' ', "T", 1);
                    // The zone has minutes in JSON.
                    match ty.oid == PgType::TIMESTAMPTZ.oid
                        && text.len() > 3
                        && matches!(text.as_bytes()[text.len() - 3], b'+' | b'-')
                    {
                        true => format!("{text}:00"),
                        false => text,
                    }
                }));
            }
            Ok(super::datetime::texts(out))
        },
    )
}

/// What pieces of JSON are put together to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joined {
    /// Rows and arrays stand on lines of their own.
    Array { lines: bool },
    /// Each piece is an object of one member.
    Object,
}

/// Pieces of JSON collected into an array or an object; no rows at all is NULL.
pub(super) fn join_json(list: Expr, joined: Joined, binary: bool) -> Expr {
    call_with(
        "join_json",
        format!("{joined:?}{binary}"),
        DataType::Utf8,
        vec![list],
        move |arrays| {
            let lists = arrays[0].as_list::<i32>();
            let mut out = Vec::with_capacity(lists.len());
            for row in 0..lists.len() {
                if lists.is_null(row) {
                    out.push(None);
                    continue;
                }
                let items = lists.value(row);
                let pieces = items.as_string::<i32>().iter().flatten();
                let text = match joined {
                    Joined::Array { lines } => {
                        let between = if lines { ", \n " } else { ", " };
                        format!("[{}]", pieces.collect::<Vec<&str>>().join(between))
                    }
                    Joined::Object => {
                        let member = |piece: &'_ str| -> String {
                            let inner = piece.strip_prefix('{').unwrap_or(piece);
                            inner.strip_suffix('}').unwrap_or(inner).to_owned()
                        };
                        let members: Vec<String> = pieces.map(member).collect();
                        match members.is_empty() {
                            true => "{}".to_owned(),
                            false => format!("{{ {} }}", members.join(", ")),
                        }
                    }
                };
                out.push(Some(if binary {
                    json::normal(&json::parse(&text)?)
                } else {
                    text
                }));
            }
            Ok(super::datetime::texts(out))
        },
    )
}

/// percentile_cont, percentile_disc and mode of an ordered array.
pub(super) fn ordered_set(name: &str, list: Expr, fraction: Expr, element: PgType) -> Expr {
    let name = name.to_owned();
    let returns = element.arrow();
    call_with(
        "ordered_set",
        format!("{name}{element:?}"),
        returns,
        vec![list, fraction],
        move |arrays| {
            let lists = arrays[0].as_list::<i32>();
            let fractions = arrays[1].as_primitive::<Float64Type>();
            if name == "percentile_cont" {
                let values: arrow::array::Float64Array = rows(arrays, |row| {
                    let items = lists.value(row);
                    let items = items.as_primitive::<Float64Type>();
                    let fraction = checked(fractions.value(row))?;
                    if items.is_empty() {
                        return Ok(None);
                    }
                    let place = fraction * (items.len() - 1) as f64;
                    let (low, high) = (place.floor() as usize, place.ceil() as usize);
                    let (a, b) = (items.value(low), items.value(high));
                    Ok(Some(a + (b - a) * (place - low as f64)))
                })?;
                return Ok(Arc::new(values));
            }
            let mut places: Vec<Option<u32>> = Vec::with_capacity(lists.len());
            for row in 0..lists.len() {
                if lists.is_null(row) || lists.value_length(row) == 0 || fractions.is_null(row) {
                    places.push(None);
                    continue;
                }
                let (start, length) = (
                    lists.value_offsets()[row] as usize,
                    lists.value_length(row) as usize,
                );
                let at = if name == "mode" {
                    longest_run(lists.values(), start, length)?
                } else {
                    let rank = (checked(fractions.value(row))? * length as f64).ceil() as usize;
                    start + rank.max(1) - 1
                };
                places.push(Some(at as u32));
            }
            Ok(take(lists.values(), &UInt32Array::from(places), None)?)
        },
    )
}

fn checked(fraction: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&fraction) {
        Ok(fraction)
    } else {
        Err(Error::value(
            "22003",
            format!("percentile value {fraction} is not between 0 and 1"),
        ))
    }
}

/// Where the most frequent value of an ordered run begins.
fn longest_run(values: &ArrayRef, start: usize, length: usize) -> Result<usize> {
    let compare = arrow::array::make_comparator(
        values.as_ref(),
        values.as_ref(),
        arrow::compute::SortOptions::default(),
    )?;
    let (mut best, mut best_length) = (start, 0);
    let mut run = start;
    for at in start..start + length {
        if !compare(run, at).is_eq() {
            run = at;
        }
        if at - run + 1 > best_length {
            (best, best_length) = (run, at - run + 1);
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_their_templates() {
        let check = |template: &str, number: &str, expected: &str| {
            assert_eq!(
                number_text(template, number),
                expected,
                "{template} {number}"
            )
        };
        check("999", "12", "  12");
        check("FM999.00", "12.5", "12.50");
        check("9,999.99", "1234.567", " 1,234.57");
        check("000", "-5", "-005");
        check("99", "123", " ##");
    }

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
