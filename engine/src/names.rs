//! Names, parsed once: a value of one of these types is known to be well formed.

use std::fmt;

use crate::error::{Error, Result};

/// A branch (or tag) name: 1 to 63 bytes of `[A-Za-z0-9._/-]`, first a letter or digit,
/// without `//`, `..` or a trailing `/`, and not one of the reserved names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BranchName(String);

impl BranchName {
    pub const MAIN: &'static str = "main";

    pub fn main() -> Self {
        BranchName(Self::MAIN.to_owned())
    }

    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Err(Error::Invalid {
                message: format!("\"{text}\" is not a branch name: {why}"),
                detail: None,
                hint: Some(
                    "A branch name has 1 to 63 letters, digits, '.', '_', '/' or '-' and begins with a letter or digit."
                        .to_owned(),
                ),
            })
        };
        if text.is_empty() || text.len() > 63 {
            return refuse("it must have 1 to 63 bytes");
        }
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return refuse("it must begin with a letter or digit");
        }
        if let Some(bad) = text
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || "._/-".contains(*c)))
        {
            return refuse(&format!("it may not contain {bad:?}"));
        }
        if text.contains("//") || text.contains("..") || text.ends_with('/') {
            return refuse("'//', '..' and a trailing '/' are not allowed");
        }
        let folded = text.to_ascii_lowercase();
        if matches!(
            folded.as_str(),
            "public" | "omnigraph" | "information_schema" | "current" | "head"
        ) || folded.starts_with("pg_")
        {
            return refuse("the name is reserved");
        }
        if CommitId::parse(text).is_ok() {
            return refuse("it reads as a commit id");
        }
        if text.len() >= 10
            && text.as_bytes()[..4].iter().all(u8::is_ascii_digit)
            && text.as_bytes()[4] == b'-'
            && text.as_bytes()[5..7].iter().all(u8::is_ascii_digit)
        {
            return refuse("it reads as a timestamp");
        }
        Ok(BranchName(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a commit: a ULID, 26 characters of Crockford's base 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(ulid::Ulid);

impl CommitId {
    pub fn new(ulid: ulid::Ulid) -> Self {
        CommitId(ulid)
    }

    pub fn parse(text: &str) -> Result<Self> {
        if text.len() == 26
            && let Ok(ulid) = ulid::Ulid::from_string(&text.to_ascii_uppercase())
        {
            return Ok(CommitId(ulid));
        }
        Err(Error::invalid(format!("\"{text}\" is not a commit id")))
    }

    /// When its commit was begun, in microseconds since 1970.
    pub(crate) fn created_at(&self) -> i64 {
        self.0.timestamp_ms() as i64 * 1000
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl serde::Serialize for CommitId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for CommitId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        CommitId::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The SQL name of a type or property: snake case, at most 63 bytes.
/// `Person` → `person`, `WorksAt` → `works_at`, `HTTPServer` → `http_server`.
pub fn sql_name(declared: &str) -> String {
    let chars: Vec<char> = declared.chars().collect();
    let mut name = String::with_capacity(declared.len() + 4);
    for (i, &c) in chars.iter().enumerate() {
        if c.is_ascii_uppercase() {
            let after_lower =
                i > 0 && (chars[i - 1].is_ascii_lowercase() || chars[i - 1].is_ascii_digit());
            let ends_acronym = i > 0
                && chars[i - 1].is_ascii_uppercase()
                && chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
            if after_lower || ends_acronym {
                name.push('_');
            }
        }
        name.push(c.to_ascii_lowercase());
    }
    name.truncate(63);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_names_are_snake_case() {
        for (declared, expected) in [
            ("Person", "person"),
            ("WorksAt", "works_at"),
            ("HTTPServer", "http_server"),
            ("installed_size", "installed_size"),
            ("createdAt", "created_at"),
            ("Area51Base", "area51_base"),
        ] {
            assert_eq!(sql_name(declared), expected);
        }
    }

    #[test]
    fn branch_names_are_checked() {
        for good in ["main", "review/1", "a", "0.1-rc", "X_y"] {
            assert_eq!(BranchName::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-x",
            "a//b",
            "a..b",
            "a/",
            "public",
            "pg_x",
            "PG_X",
            "omnigraph",
            "a b",
            "a~1",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "2026-01-31",
            "ä",
        ] {
            assert!(BranchName::parse(bad).is_err(), "{bad:?} must be refused");
        }
        assert!(BranchName::parse(&"x".repeat(64)).is_err());
    }
}
