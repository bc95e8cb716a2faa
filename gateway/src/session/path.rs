//! `search_path` and the branch it names. They are one thing: SET branch writes the path, and
//! the first entry of the path that is a branch is the branch.

use omnigraph_catalog::lookup::quote_identifier;
use omnigraph_engine::names::BranchName;

use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// How many schemas a path may name.
const ENTRIES: usize = 100;

/// The entries of a path as it was set: `"$user", public` → `$user`, `public`.
pub fn entries(text: &str) -> PgResult<Vec<String>> {
    let mut entries = Vec::new();
    let mut rest = text.trim();
    if rest.is_empty() {
        return Ok(entries);
    }
    loop {
        let (entry, after) = entry(rest).ok_or_else(|| invalid(text))?;
        entries.push(entry);
        if entries.len() > ENTRIES {
            return Err(invalid(text));
        }
        rest = after.trim_start();
        if rest.is_empty() {
            return Ok(entries);
        }
        rest = rest
            .strip_prefix(',')
            .ok_or_else(|| invalid(text))?
            .trim_start();
    }
}

fn entry(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut entry = String::new();
        let mut chars = quoted.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c != '"' {
                entry.push(c);
            } else if chars.next_if(|(_, next)| *next == '"').is_some() {
                entry.push('"');
            } else {
                return Some((entry, &quoted[at + 1..]));
            }
        }
        return None;
    }
    let end = text.find([',', ' ', '\t', '\n']).unwrap_or(text.len());
    (end > 0 && !text[..end].contains('"')).then(|| (text[..end].to_lowercase(), &text[end..]))
}

fn invalid(text: &str) -> PgError {
    PgError::new(
        sqlstate::INVALID_PARAMETER_VALUE,
        format!("invalid value for parameter \"search_path\": \"{text}\""),
    )
    .detail("List syntax is invalid.")
}

/// The text of a path that SET was given as a list of names.
pub fn joined(entries: &[String]) -> String {
    let quoted: Vec<String> = entries
        .iter()
        .map(|entry| {
            if entry.is_empty() {
                "\"\"".to_owned()
            } else {
                quote_identifier(entry)
            }
        })
        .collect();
    quoted.join(", ")
}

/// The entries that could be branches, in order; `public` and `"$user"` never are.
pub fn candidates(entries: &[String]) -> impl Iterator<Item = BranchName> {
    entries
        .iter()
        .filter_map(|entry| BranchName::parse(entry).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        entries(text).expect(text)
    }

    #[test]
    fn entries_are_unquoted_and_folded() {
        assert_eq!(names("\"$user\", public"), ["$user", "public"]);
        assert_eq!(
            names("Main,\"review/1\" , \"A\"\"b\""),
            ["main", "review/1", "A\"b"]
        );
        assert_eq!(names("review/1"), ["review/1"]);
        assert!(names("  ").is_empty());
        assert_eq!(names("\"\""), [""]);
        for bad in ["a,,b", "\"a", "a b", ",", "a,"] {
            assert_eq!(entries(bad).expect_err(bad).code, "22023");
        }
    }

    #[test]
    fn only_names_of_branches_are_candidates() {
        let found: Vec<String> =
            candidates(&names("\"$user\", public, pg_catalog, main, \"review/1\""))
                .map(|name| name.to_string())
                .collect();
        assert_eq!(found, ["main", "review/1"]);
    }

    #[test]
    fn a_path_reads_back_as_it_was_joined() {
        let path = vec![
            "review/1".to_owned(),
            "main".to_owned(),
            "Odd\"One".to_owned(),
        ];
        assert_eq!(names(&joined(&path)), path);
    }
}
