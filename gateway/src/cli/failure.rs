//! Why a command did not do what was asked: a message, what to do about it, an exit code.

use std::io::Write;

use omnigraph_engine::error::{Error, ObjectKind};
use omnigraph_engine::merge::MergeConflict;
use omnigraph_engine::ndjson::Mistakes;
use serde_json::{Map, Value, json};

/// Exit codes. Those that later commands use keep their numbers free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    /// The arguments make no sense; also what the argument parser exits with. And changes, where
    /// they were asked for by `--detailed-exitcode`.
    Usage = 2,
    /// The two sides of a merge disagree.
    Conflicts = 3,
    /// Somebody else committed first, again and again.
    Lost = 4,
    /// Policy does not allow it.
    Denied = 5,
    Interrupted = 130,
}

#[derive(Debug, Clone)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// Members beside these in the JSON document.
    pub facts: Map<String, Value>,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Failure {
            exit: Exit::Failed,
            message: message.into(),
            detail: None,
            hint: None,
            facts: Map::new(),
        }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Failure {
            exit: Exit::Usage,
            ..Failure::new(message)
        }
    }

    pub fn interrupted() -> Self {
        Failure {
            exit: Exit::Interrupted,
            ..Failure::new("interrupted; nothing was committed")
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The file that could not be read or written.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Failure::new(format!("{}: {error}", path.display()))
    }

    pub fn print(&self, json: bool) {
        let mut text = format!("error: {}\n", self.message);
        if let Some(detail) = &self.detail {
            for line in detail.lines() {
                text.push_str(&format!("  {line}\n"));
            }
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("hint: {hint}\n"));
        }
        // Nobody is left to tell when these fail.
        let _ = std::io::stderr().write_all(text.as_bytes());
        if json {
            let mut error = self.facts.clone();
            for (name, text) in [("detail", &self.detail), ("hint", &self.hint)] {
                error.entry(name).or_insert_with(|| json!(text));
            }
            error.insert("message".to_owned(), json!(self.message));
            let document = json!({ "error": error, "exit": self.exit as u8 });
            let _ = writeln!(std::io::stdout(), "{document:#}");
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match &error {
            Error::MergeConflicts { .. } => Exit::Conflicts,
            Error::Denied { .. } => Exit::Denied,
            error if error.is_retryable() => Exit::Lost,
            _ => Exit::Failed,
        };
        let message = error.to_string();
        let facts = facts(&error);
        let (detail, hint) = match error {
            Error::Invalid { detail, hint, .. } => (detail, hint),
            Error::Lines(mistakes) => (Some(lines(&mistakes)), None),
            Error::Unsupported { hint, .. } => (None, hint),
            Error::Expired { hint, .. } | Error::NotAllowed { hint, .. } => (None, Some(hint)),
            Error::Constraint(violation) => (violation.detail, None),
            Error::NotFound { kind, .. } => (None, not_found_hint(kind).map(str::to_owned)),
            Error::AlreadyExists { kind, .. } => (None, exists_hint(kind).map(str::to_owned)),
            Error::MergeConflicts { conflicts, .. } => {
                let remedy = conflicts.first().map_or("", |first| first.kind.remedy());
                let hint =
                    format!("{remedy}, or choose a side with --on-conflict ours or theirs.");
                (Some(listed(&conflicts)), Some(hint))
            }
            Error::Conflict { .. } => (
                None,
                Some("Another writer committed first; run the command again.".to_owned()),
            ),
            Error::Unmerged { .. } => (
                None,
                Some("Its commits would be lost; --cascade deletes it all the same.".to_owned()),
            ),
            Error::OutcomeUnknown { .. } => (
                None,
                Some("`omnigraph commits` shows whether the commit is there; look before running the command again.".to_owned()),
            ),
            _ => (None, None),
        };
        Failure {
            exit,
            message,
            detail,
            hint,
            facts,
        }
    }
}

/// What a program finds beside the message: mistakes as a list instead of a text.
fn facts(error: &Error) -> Map<String, Value> {
    let Error::Lines(mistakes) = error else {
        return Map::new();
    };
    let told = mistakes.told.iter().map(|error| {
        json!({
            "line": error.line,
            "type": error.type_name,
            "property": error.property,
            "reason": error.reason,
        })
    });
    Map::from_iter([
        ("mistakes".to_owned(), told.collect()),
        ("total".to_owned(), json!(mistakes.total)),
        ("detail".to_owned(), Value::Null),
    ])
}

fn lines(mistakes: &Mistakes) -> String {
    let mut lines: Vec<String> = mistakes.told.iter().map(ToString::to_string).collect();
    let untold = mistakes.total - mistakes.told.len() as u64;
    if untold > 0 {
        lines.push(format!("and {untold} more"));
    }
    lines.join("\n")
}

/// Conflicts that a terminal is told.
const TOLD_CONFLICTS: usize = 100;

fn listed(conflicts: &[MergeConflict]) -> String {
    let mut lines: Vec<String> = conflicts
        .iter()
        .take(TOLD_CONFLICTS)
        .map(|conflict| omnigraph_udfs::merge_conflicts::json(conflict).to_string())
        .collect();
    if conflicts.len() > TOLD_CONFLICTS {
        lines.push(format!("and {} more", conflicts.len() - TOLD_CONFLICTS));
    }
    lines.join("\n")
}

fn not_found_hint(kind: ObjectKind) -> Option<&'static str> {
    match kind {
        ObjectKind::Graph => Some("`omnigraph init --schema FILE GRAPH` makes a graph."),
        ObjectKind::Branch | ObjectKind::Ref => {
            Some("`omnigraph branch list GRAPH` shows the branches.")
        }
        ObjectKind::Commit => Some("`omnigraph commits GRAPH` shows the commits."),
        ObjectKind::Tag => Some("`omnigraph tag list GRAPH` shows the tags."),
        _ => None,
    }
}

fn exists_hint(kind: ObjectKind) -> Option<&'static str> {
    match kind {
        ObjectKind::Graph => {
            Some("Nothing was changed. To start over, remove it or choose another place.")
        }
        ObjectKind::Branch => Some("`omnigraph branch list GRAPH` shows the branches."),
        ObjectKind::Tag => Some("`omnigraph tag list GRAPH` shows the tags."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_race_has_its_own_exit_code() {
        let lost = Error::Conflict {
            table: "person".to_owned(),
            id: "ada".to_owned(),
            branch: "main".to_owned(),
            expected: String::new(),
            actual: String::new(),
        };
        assert_eq!(Failure::from(lost).exit, Exit::Lost);
        let missing = Failure::from(Error::not_found(ObjectKind::Branch, "x"));
        assert_eq!(missing.exit, Exit::Failed);
        assert!(
            missing
                .hint
                .is_some_and(|hint| hint.contains("branch list"))
        );
    }
}
