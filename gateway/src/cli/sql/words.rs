//! Completing words: those of SQL, and the names of the graph's tables, columns and functions.

use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};
use tokio_postgres::{Client, SimpleQueryMessage};

pub(super) struct Words(Vec<String>);

const SQL: &[&str] = &[
    "BEGIN",
    "CALL",
    "COMMIT",
    "CREATE SCHEMA",
    "DELETE FROM",
    "DROP SCHEMA",
    "EXPLAIN",
    "FROM",
    "GRAPH_TABLE",
    "GROUP BY",
    "INSERT INTO",
    "JOIN",
    "LIMIT",
    "MATCH",
    "ORDER BY",
    "RETURNING",
    "ROLLBACK",
    "SELECT",
    "SET",
    "SHOW",
    "UPDATE",
    "VALUES",
    "WHERE",
    "WITH",
];

/// The names of what can be called and read, at most so many.
const NAMES: &str = "
    SELECT DISTINCT name FROM (
        SELECT table_name AS name FROM information_schema.tables
        WHERE table_schema = current_schema
        UNION ALL SELECT column_name FROM information_schema.columns
        WHERE table_schema = current_schema
        UNION ALL SELECT routine_name FROM information_schema.routines
        WHERE routine_schema = 'pg_omnigraph'
    ) names ORDER BY 1 LIMIT 10000";

impl Words {
    /// A server that does not tell its names leaves those of SQL.
    pub async fn of(client: &Client) -> Words {
        let mut words: Vec<String> = SQL.iter().map(|word| (*word).to_owned()).collect();
        if let Ok(messages) = client.simple_query(NAMES).await {
            words.extend(messages.iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            }));
        }
        Words(words)
    }

    /// Where the word at the cursor begins, and what it may be.
    fn found(&self, line: &str, at: usize) -> (usize, Vec<String>) {
        let before = &line[..at];
        let in_word = |c: char| c.is_alphanumeric() || c == '_';
        let start = before.trim_end_matches(in_word).len();
        let begun = before[start..].to_lowercase();
        if begun.is_empty() {
            return (start, Vec::new());
        }
        let fits = |word: &&String| word.to_lowercase().starts_with(&begun);
        (start, self.0.iter().filter(fits).cloned().collect())
    }
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, words) = self.found(line, at);
        let pairs = words.into_iter().map(|word| Pair {
            display: word.clone(),
            replacement: word,
        });
        Ok((start, pairs.collect()))
    }
}

impl Validator for Words {
    /// A statement goes on until its semicolon.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_whole(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

fn is_whole(input: &str) -> bool {
    let text = input.trim();
    text.is_empty() || text.ends_with(';') || is_farewell(text)
}

pub(super) fn is_farewell(text: &str) -> bool {
    matches!(text.trim(), "\\q" | "exit" | "quit")
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}

impl Helper for Words {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_completed_where_the_cursor_is() {
        let words = ["SELECT", "person", "person_age"].map(str::to_owned);
        let words = Words(words.into());
        assert_eq!(words.found("sel", 3), (0, vec!["SELECT".to_owned()]));
        let line = "SELECT * FROM é,per";
        assert_eq!(words.found(line, line.len()).1, ["person", "person_age"]);
        assert_eq!(words.found("SELECT ", 7).1, [""; 0]);
    }

    #[test]
    fn a_statement_ends_with_its_semicolon() {
        for (text, whole) in [
            ("SELECT 1", false),
            ("SELECT 1;\n", true),
            ("SELECT\n1;", true),
            ("", true),
            ("\\q", true),
        ] {
            assert_eq!(is_whole(text), whole, "{text:?}");
        }
    }
}
