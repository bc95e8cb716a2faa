//! The text of a setting's value: checked and brought into one form on the way in, given
//! its unit on the way out.

use omnigraph_engine::names::CommitId;

use super::table::{Kind, Setting, Unit};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// The canonical form of a value as it was written, or 22023.
pub fn parse(row: &Setting, text: &str) -> PgResult<String> {
    match row.kind {
        Kind::Bool => match boolean(text) {
            Some(true) => Ok("on".to_owned()),
            Some(false) => Ok("off".to_owned()),
            None => Err(PgError::new(
                sqlstate::INVALID_PARAMETER_VALUE,
                format!("parameter \"{}\" requires a Boolean value", row.name),
            )),
        },
        Kind::Int { min, max, unit } => integer(row, text, min, max, unit).map(|n| n.to_string()),
        Kind::Real { min, max } => real(row, text, min, max),
        Kind::Enum(choices) => one_of(row, text, choices),
        Kind::Text => special(row, text),
    }
}

/// `on`, `true`, `yes`, `1` and their opposites, and their unambiguous beginnings.
pub fn boolean(text: &str) -> Option<bool> {
    let folded = text.trim().to_ascii_lowercase();
    let begins = |word: &str, least: usize| folded.len() >= least && word.starts_with(&folded);
    if folded == "1" || folded == "on" || begins("true", 1) || begins("yes", 1) {
        return Some(true);
    }
    if folded == "0" || begins("off", 2) || begins("false", 1) || begins("no", 1) {
        return Some(false);
    }
    None
}

/// What SHOW prints: a number with the largest unit that divides it.
pub fn display(row: &Setting, value: &str) -> String {
    let Kind::Int { unit, .. } = row.kind else {
        return value.to_owned();
    };
    let Ok(number) = value.parse::<i64>() else {
        return value.to_owned();
    };
    let (scaled, steps): (i64, &[(&str, i64)]) = match unit {
        Unit::None => return value.to_owned(),
        Unit::Ms => (number, TIME),
        Unit::S => (number.saturating_mul(1000), TIME),
        Unit::Min => (number.saturating_mul(60_000), TIME),
        Unit::Kb => (number, MEMORY),
        Unit::Blocks => (number.saturating_mul(8), MEMORY),
    };
    if number <= 0 {
        return value.to_owned();
    }
    steps
        .iter()
        .find(|(_, size)| scaled % size == 0)
        .map_or_else(
            || value.to_owned(),
            |(name, size)| format!("{}{name}", scaled / size),
        )
}

/// `pg_settings.unit`.
pub fn unit_name(row: &Setting) -> Option<&'static str> {
    match row.kind {
        Kind::Int { unit, .. } => match unit {
            Unit::None => None,
            Unit::Ms => Some("ms"),
            Unit::S => Some("s"),
            Unit::Min => Some("min"),
            Unit::Kb => Some("kB"),
            Unit::Blocks => Some("8kB"),
        },
        _ => None,
    }
}

/// In milliseconds, and in kilobytes; the largest first.
const TIME: &[(&str, i64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("min", 60_000),
    ("s", 1000),
    ("ms", 1),
];
const MEMORY: &[(&str, i64)] = &[("TB", 1 << 30), ("GB", 1 << 20), ("MB", 1 << 10), ("kB", 1)];

fn invalid(row: &Setting, text: &str) -> PgError {
    PgError::new(
        sqlstate::INVALID_PARAMETER_VALUE,
        format!("invalid value for parameter \"{}\": \"{text}\"", row.name),
    )
}

fn integer(row: &Setting, text: &str, min: i64, max: i64, unit: Unit) -> PgResult<i64> {
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| !(c.is_ascii_digit() || c == '-' || c == '+' || c == '.'))
        .unwrap_or(trimmed.len());
    let (digits, suffix) = (&trimmed[..split], trimmed[split..].trim());
    let number: f64 = digits.parse().map_err(|_| invalid(row, text))?;
    let scale = match (suffix, unit) {
        ("", _) => 1.0,
        (_, Unit::None) => return Err(invalid(row, text)),
        (_, Unit::Ms | Unit::S | Unit::Min) => {
            let base = match unit {
                Unit::S => 1000.0,
                Unit::Min => 60_000.0,
                _ => 1.0,
            };
            match suffix {
                "us" => 0.001 / base,
                _ => size_of(TIME, suffix).ok_or_else(|| unit_hint(row, text, TIME))? / base,
            }
        }
        (_, Unit::Kb | Unit::Blocks) => {
            let base = if unit == Unit::Blocks { 8.0 } else { 1.0 };
            match suffix {
                "B" => 1.0 / 1024.0 / base,
                _ => size_of(MEMORY, suffix).ok_or_else(|| unit_hint(row, text, MEMORY))? / base,
            }
        }
    };
    let scaled = (number * scale).round();
    if !(scaled >= min as f64 && scaled <= max as f64) {
        return Err(PgError::new(
            sqlstate::INVALID_PARAMETER_VALUE,
            format!(
                "{scaled}{} is outside the valid range for parameter \"{}\" ({min} .. {max})",
                unit_name(row)
                    .map(|unit| format!(" {unit}"))
                    .unwrap_or_default(),
                row.name
            ),
        ));
    }
    Ok(scaled as i64)
}

fn size_of(steps: &[(&str, i64)], suffix: &str) -> Option<f64> {
    steps
        .iter()
        .find(|(name, _)| *name == suffix)
        .map(|(_, size)| *size as f64)
}

fn unit_hint(row: &Setting, text: &str, steps: &[(&str, i64)]) -> PgError {
    let names: Vec<String> = steps
        .iter()
        .rev()
        .map(|(name, _)| format!("\"{name}\""))
        .collect();
    invalid(row, text).hint(format!(
        "Valid units for this parameter are {}.",
        names.join(", ")
    ))
}

fn real(row: &Setting, text: &str, min: f64, max: f64) -> PgResult<String> {
    let number: f64 = text.trim().parse().map_err(|_| invalid(row, text))?;
    if !(number >= min && number <= max) {
        return Err(PgError::new(
            sqlstate::INVALID_PARAMETER_VALUE,
            format!(
                "{number} is outside the valid range for parameter \"{}\" ({min} .. {max})",
                row.name
            ),
        ));
    }
    Ok(number.to_string())
}

fn one_of(row: &Setting, text: &str, choices: &[&str]) -> PgResult<String> {
    let folded = text.trim().to_ascii_lowercase();
    if let Some(choice) = choices.iter().find(|choice| **choice == folded) {
        return Ok((*choice).to_owned());
    }
    // Settings that began as Booleans still take every spelling of one.
    if let Some(on) = boolean(&folded) {
        let word = if on { "on" } else { "off" };
        if choices.contains(&word) {
            return Ok(word.to_owned());
        }
    }
    Err(invalid(row, text).hint(format!("Available values: {}.", choices.join(", "))))
}

/// Text settings with a form of their own.
fn special(row: &Setting, text: &str) -> PgResult<String> {
    match row.name {
        "DateStyle" => date_style(row, text),
        "TimeZone" => time_zone(row, text),
        "client_encoding" => {
            let folded: String = text
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .map(|c| c.to_ascii_uppercase())
                .collect();
            match folded.as_str() {
                "UTF8" | "UNICODE" => Ok("UTF8".to_owned()),
                _ => Err(invalid(row, text).hint("Available values: UTF8.")),
            }
        }
        "commit_metadata" if !text.is_empty() => {
            match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
                Ok(_) => Ok(text.to_owned()),
                Err(error) => {
                    Err(invalid(row, text).detail(format!("It must be a JSON object: {error}.")))
                }
            }
        }
        "expected_head" if !text.is_empty() => match CommitId::parse(text) {
            Ok(id) => Ok(id.to_string()),
            Err(_) => {
                Err(invalid(row, text).hint("It must be a commit's id, as commits() shows them."))
            }
        },
        "idempotency_key" if text.len() > KEY_BYTES => Err(PgError::new(
            sqlstate::INVALID_PARAMETER_VALUE,
            format!("an idempotency key is at most {KEY_BYTES} bytes long"),
        )),
        "commit_message" if text.len() > MESSAGE_BYTES => Err(PgError::new(
            sqlstate::INVALID_PARAMETER_VALUE,
            format!("a commit message is at most {MESSAGE_BYTES} bytes long"),
        )),
        "application_name" | "cluster_name" => Ok(text
            .chars()
            .map(|c| if (' '..='~').contains(&c) { c } else { '?' })
            .take(63)
            .collect()),
        _ => Ok(text.to_owned()),
    }
}

const MESSAGE_BYTES: usize = 64 << 10;
const KEY_BYTES: usize = 255;

fn date_style(row: &Setting, text: &str) -> PgResult<String> {
    let (mut style, mut order) = (None, None);
    for word in text.split(',').map(|word| word.trim().to_ascii_lowercase()) {
        match word.as_str() {
            "iso" => style = Some("ISO"),
            "sql" => style = Some("SQL"),
            "postgres" => style = Some("Postgres"),
            "german" => {
                style = Some("German");
                order = order.or(Some("DMY"));
            }
            "ymd" => order = Some("YMD"),
            "dmy" | "euro" | "european" => order = Some("DMY"),
            "mdy" | "us" | "noneuro" | "noneuropean" => order = Some("MDY"),
            "default" => {}
            _ => return Err(invalid(row, text)),
        }
    }
    Ok(format!(
        "{}, {}",
        style.unwrap_or("ISO"),
        order.unwrap_or("MDY")
    ))
}

/// A name of the tz database in its own spelling, or an offset as `<+02>-02`.
fn time_zone(row: &Setting, text: &str) -> PgResult<String> {
    let trimmed = text.trim();
    let folded = trimmed.to_ascii_lowercase();
    if matches!(folded.as_str(), "" | "default" | "local") {
        return Ok("UTC".to_owned());
    }
    if let Some(zone) = chrono_tz::TZ_VARIANTS
        .iter()
        .find(|zone| zone.name().eq_ignore_ascii_case(trimmed))
    {
        return Ok(zone.name().to_owned());
    }
    if let Ok(hours) = trimmed.parse::<f64>()
        && hours.abs() <= 14.0
    {
        // East is positive for SQL, west is positive in the POSIX spelling PostgreSQL shows.
        let minutes = (hours * 60.0).round() as i64;
        return Ok(posix_zone(minutes));
    }
    match posix_offset(trimmed) {
        Some(_) => Ok(trimmed.to_owned()),
        None => Err(invalid(row, text)),
    }
}

fn posix_zone(minutes_east: i64) -> String {
    let text = |minutes: i64| {
        let sign = if minutes < 0 { '-' } else { '+' };
        let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
        if rest == 0 {
            format!("{sign}{hours:02}")
        } else {
            format!("{sign}{hours:02}:{rest:02}")
        }
    };
    format!("<{}>{}", text(minutes_east), text(-minutes_east))
}

/// Minutes east of Greenwich of a zone written as `<+02>-02`, `UTC+3`, `+02:00`.
pub fn posix_offset(text: &str) -> Option<i64> {
    let (named, rest) = match text.strip_prefix('<') {
        Some(rest) => (true, rest.split_once('>')?.1),
        None => {
            let at = text.find(['+', '-'])?;
            (at > 0, &text[at..])
        }
    };
    let (sign, digits) = match rest.as_bytes().first()? {
        b'-' => (-1, &rest[1..]),
        b'+' => (1, &rest[1..]),
        _ => (1, rest),
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    let offset = sign * (hours * 60 + minutes);
    // A named POSIX zone counts westwards.
    Some(if named { -offset } else { offset })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::settings::table::find;

    fn check(name: &str, text: &str, stored: &str, shown: &str) {
        let row = find(name).expect(name);
        let value = parse(row, text).expect(text);
        assert_eq!(value, stored, "{name} = {text}");
        assert_eq!(display(row, &value), shown, "{name} = {text}");
    }

    #[test]
    fn times_and_sizes_take_units_and_show_the_largest() {
        check("statement_timeout", "5000", "5000", "5s");
        check("statement_timeout", "1.5s", "1500", "1500ms");
        check("statement_timeout", "2 min", "120000", "2min");
        check("statement_timeout", "0", "0", "0");
        check("work_mem", "64MB", "65536", "64MB");
        check("work_mem", "1000", "1000", "1000kB");
        check("effective_cache_size", "4GB", "524288", "4GB");
        check("log_min_duration_statement", "-1", "-1", "-1");
    }

    #[test]
    fn words_are_brought_into_one_spelling() {
        check("DateStyle", "iso", "ISO, MDY", "ISO, MDY");
        check("DateStyle", "German", "German, DMY", "German, DMY");
        check(
            "TimeZone",
            "europe/berlin",
            "Europe/Berlin",
            "Europe/Berlin",
        );
        check("TimeZone", "2", "<+02>-02", "<+02>-02");
        check("client_encoding", "utf-8", "UTF8", "UTF8");
        check("standard_conforming_strings", "TRUE", "on", "on");
        check("synchronous_commit", "false", "off", "off");
        check("client_min_messages", "WARNING", "warning", "warning");
    }

    #[test]
    fn offsets_of_zones_without_a_name() {
        assert_eq!(posix_offset("<+02>-02"), Some(120));
        assert_eq!(posix_offset("<-05:30>+05:30"), Some(-330));
        assert_eq!(posix_offset("UTC+3"), Some(-180));
        assert_eq!(posix_offset("+02:00"), Some(120));
        assert_eq!(posix_offset("Nowhere/City"), None);
    }

    #[test]
    fn bad_values_are_22023() {
        for (name, text) in [
            ("statement_timeout", "soon"),
            ("statement_timeout", "-1"),
            ("statement_timeout", "5MB"),
            ("extra_float_digits", "4"),
            ("jit", "maybe"),
            ("TimeZone", "Mars/Olympus"),
            ("client_encoding", "LATIN1"),
            ("DateStyle", "iso, nonsense"),
            ("bytea_output", "octal"),
            ("commit_metadata", "[1]"),
        ] {
            let error = parse(find(name).expect(name), text).expect_err(text);
            assert_eq!(error.code, "22023", "{name} = {text}");
        }
    }
}
