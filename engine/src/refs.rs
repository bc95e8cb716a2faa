//! References: how a state of a graph is named.
//!
//! ```text
//! main   v1.0   01JD3…   2026-01-31 12:00Z       a branch, a tag, a commit, a time
//! main~3   2026-01-31~1                          the n-th commit before it
//! branch:x   tag:x   commit:x   at:x             one of them and no other
//! ```
//!
//! Branches and tags share one name space, and no name reads as a commit id or a time, so a
//! reference has one meaning.

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use crate::error::{Error, Result};
use crate::names::{BranchName, CommitId};

/// A reference, parsed but not looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub base: Base,
    /// How many commits before it, along first parents.
    pub back: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// A branch or a tag.
    Name(BranchName),
    Branch(BranchName),
    Tag(BranchName),
    Commit(CommitId),
    /// What a branch showed at this time, in microseconds since 1970.
    At(i64),
}

impl Reference {
    pub fn parse(text: &str) -> Result<Self> {
        let (base, back) = match text.split_once('~') {
            None => (text, Some(0)),
            Some((base, steps)) => (base, steps.split('~').try_fold(0u64, add_steps)),
        };
        let back = back.ok_or_else(|| not_a_reference(text))?;
        Ok(Reference {
            base: parse_base(base).ok_or_else(|| not_a_reference(text))?,
            back,
        })
    }

    /// What a branch showed at a time, in microseconds since 1970.
    pub fn at(micros: i64) -> Self {
        Reference {
            base: Base::At(micros),
            back: 0,
        }
    }
}

fn add_steps(sum: u64, step: &str) -> Option<u64> {
    let digits = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
    sum.checked_add(step.parse().ok().filter(|_| digits)?)
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.base {
            Base::Name(name) => write!(f, "{name}")?,
            Base::Branch(name) => write!(f, "branch:{name}")?,
            Base::Tag(name) => write!(f, "tag:{name}")?,
            Base::Commit(id) => write!(f, "{id}")?,
            Base::At(micros) => match DateTime::from_timestamp_micros(*micros) {
                Some(time) => write!(f, "{}", time.format("%Y-%m-%dT%H:%M:%S%.6fZ"))?,
                None => write!(f, "at:{micros}")?,
            },
        }
        match self.back {
            0 => Ok(()),
            back => write!(f, "~{back}"),
        }
    }
}

fn parse_base(text: &str) -> Option<Base> {
    if let Some((kind, rest)) = text.split_once(':') {
        match kind {
            "branch" => return BranchName::parse(rest).ok().map(Base::Branch),
            "tag" => return BranchName::parse(rest).ok().map(Base::Tag),
            "commit" => return CommitId::parse(rest).ok().map(Base::Commit),
            "at" => return parse_time(rest).map(Base::At),
            _ => {}
        }
    }
    if let Ok(id) = CommitId::parse(text) {
        return Some(Base::Commit(id));
    }
    if let Some(time) = parse_time(text) {
        return Some(Base::At(time));
    }
    BranchName::parse(text).ok().map(Base::Name)
}

/// A date, or a date and time as ISO 8601 and PostgreSQL write them; UTC where it names no
/// zone. In microseconds since 1970.
fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim();
    // Before anything is parsed: most references are names.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-')) {
        return None;
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros());
    }
    let (date, time) = text.split_once(['T', ' '])?;
    let (time, zone) = match time.find(['Z', 'z', '+', '-']) {
        Some(at) => (&time[..at], time[at..].trim()),
        None => (time, "Z"),
    };
    let format = match time.trim().matches(':').count() {
        1 => "%Y-%m-%d %H:%M",
        _ => "%Y-%m-%d %H:%M:%S%.f",
    };
    let local = NaiveDateTime::parse_from_str(&format!("{date} {}", time.trim()), format).ok()?;
    let utc = local.and_utc().timestamp_micros();
    utc.checked_sub(offset(zone)?.checked_mul(1_000_000)?)
}

/// `Z`, `+02`, `+0200` or `-02:30` in seconds.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits: String = zone[1..].chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = match digits.len() {
        2 => (digits.as_str(), "0"),
        4 => digits.split_at(2),
        _ => return None,
    };
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Now, for messages.
pub(crate) fn show_time(micros: i64) -> String {
    DateTime::<Utc>::from_timestamp_micros(micros)
        .map(|time| time.format("%Y-%m-%d %H:%M:%S%.6fZ").to_string())
        .unwrap_or_default()
}

pub(crate) fn not_a_reference(text: &str) -> Error {
    Error::Invalid {
        message: format!("\"{text}\" names no state of the graph"),
        detail: None,
        hint: Some(
            "A ref is a branch, a tag, a commit's id or a timestamp, or one of them followed by ~n."
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str) -> Base {
        let reference = Reference::parse(text).expect(text);
        assert_eq!(reference.back, 0);
        reference.base
    }

    #[test]
    fn each_kind_is_told_by_its_form() {
        let name = |text| BranchName::parse(text).unwrap();
        let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        assert_eq!(base("review/1"), Base::Name(name("review/1")));
        assert_eq!(base("branch:main"), Base::Branch(name("main")));
        assert_eq!(base("tag:v1.0"), Base::Tag(name("v1.0")));
        assert_eq!(base(id), Base::Commit(CommitId::parse(id).unwrap()));
        assert_eq!(base(&format!("commit:{id}")), base(id));
        assert_eq!(base("1970-01-02"), Base::At(86_400_000_000));
        assert_eq!(base("at:1970-01-02"), Base::At(86_400_000_000));
        for bad in [
            "",
            "~1",
            "main~",
            "main~x",
            "main~-1",
            "main~+1",
            "a b",
            "tag:",
            "commit:main",
            "at:main",
            "x:main",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn steps_back_add_up() {
        let reference = Reference::parse("main~2~3").unwrap();
        assert_eq!(
            (reference.back, reference.to_string().as_str()),
            (5, "main~5")
        );
        assert!(Reference::parse(&format!("main~{}~1", u64::MAX)).is_err());
    }

    #[test]
    fn times_are_read_with_and_without_a_zone() {
        let noon = 12 * 3_600_000_000i64;
        for text in [
            "1970-01-01 12:00",
            "1970-01-01T12:00:00Z",
            "1970-01-01 12:00:00.000000+00",
            "1970-01-01T14:00:00+02:00",
            "1970-01-01 09:30:00-0230",
        ] {
            assert_eq!(base(text), Base::At(noon), "{text}");
        }
        assert_eq!(base("1970-01-01 00:00:00.5"), Base::At(500_000));
        for bad in [
            "1970-13-01",
            "1970-01-01 25:00",
            "1970-01-01 12:00+99",
            "1970-01-01 12:00+2",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for text in [
            "main~3",
            "tag:v1",
            "branch:b",
            "2026-01-31T12:00:00.000001Z",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV~1",
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference);
        }
    }
}
