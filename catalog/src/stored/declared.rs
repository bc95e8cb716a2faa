//! Which queries a file of stored queries declares.

use std::sync::OnceLock;

use regex::Regex;

use crate::cluster::spec::File;
use crate::diagnostic::{Diagnostic, Place};

/// The names, in their order.
pub fn declared(file: &File) -> Result<Vec<String>, Diagnostic> {
    let lines = match file.extension() {
        "gq" => gq_heads(&file.text),
        "sql" => sql_heads(&file.text),
        other => {
            let message = format!("a file of queries ends in .gq or .sql, not .{other}");
            return Err(Diagnostic::error("query_invalid", message).at(place(file, None)));
        }
    };
    let mut names: Vec<String> = Vec::new();
    for (line, name) in lines {
        if names.contains(&name) {
            let message = format!("query \"{name}\" is declared twice");
            return Err(Diagnostic::error("duplicate_query", message).at(place(file, Some(line))));
        }
        names.push(name);
    }
    if names.is_empty() {
        let message = "the file declares no query";
        return Err(Diagnostic::error("query_invalid", message).at(place(file, None)));
    }
    Ok(names)
}

fn place(file: &File, line: Option<usize>) -> Place {
    Place {
        file: file.path.clone(),
        line,
        column: None,
    }
}

/// `query name(` at the outermost level of a `.gq` file, with its line.
fn gq_heads(text: &str) -> Vec<(usize, String)> {
    let plain = without_text(text);
    let mut heads = Vec::new();
    let mut depth = 0usize;
    let mut words: Vec<(usize, &str)> = Vec::new();
    for (at, line) in plain.lines().enumerate() {
        for piece in line.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_')) {
            let word = piece.trim_end_matches(|c: char| !(c.is_alphanumeric() || c == '_'));
            if !word.is_empty() && depth == 0 {
                if let Some((_, "query")) = words.last() {
                    heads.push((at + 1, word.to_owned()));
                }
                words.push((at + 1, word));
            }
            match piece.chars().next_back() {
                Some('{' | '(') => depth += 1,
                Some('}' | ')') => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    heads
}

/// The text with comments and strings blanked out; lines stay where they are.
fn without_text(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('/', Some('/')) => {
                while chars.peek().is_some_and(|c| *c != '\n') {
                    chars.next();
                }
            }
            ('/', Some('*')) => {
                let mut last = ' ';
                for c in chars.by_ref() {
                    if c == '\n' {
                        plain.push('\n');
                    }
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
            }
            ('"', _) => {
                while let Some(c) = chars.next() {
                    match c {
                        '\\' => {
                            chars.next();
                        }
                        '"' => break,
                        '\n' => plain.push('\n'),
                        _ => {}
                    }
                }
            }
            _ => plain.push(c),
        }
    }
    plain
}

/// `-- query: name(…)`
pub(super) fn sql_heads(text: &str) -> Vec<(usize, String)> {
    static HEAD: OnceLock<Regex> = OnceLock::new();
    let head = HEAD.get_or_init(|| {
        Regex::new(r"^\s*--\s*query:\s*([A-Za-z_][A-Za-z0-9_]*)").expect("the pattern is fixed")
    });
    text.lines()
        .enumerate()
        .filter_map(|(at, line)| Some((at + 1, head.captures(line)?[1].to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::address::digest;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
            digest: digest(text),
        }
    }

    #[test]
    fn heads_are_found_and_nothing_else() {
        let text = "// query nothing()\nquery find($x: String) { match { $p: Person { name: \"query no()\" } } return { $p.query } }\nquery  add (\n) @description(\"query x\") { insert P { a: 1 } }";
        assert_eq!(declared(&file("a.gq", text)).unwrap(), ["find", "add"]);
        let text = "-- query: one(a int)\nSELECT 1;\n--query:two()\nSELECT '-- query: x';";
        assert_eq!(declared(&file("a.sql", text)).unwrap(), ["one", "two"]);
    }

    #[test]
    fn files_without_queries_are_refused() {
        assert_eq!(
            declared(&file("a.gq", "")).unwrap_err().code,
            "query_invalid"
        );
        assert_eq!(
            declared(&file("a.txt", "query a() {}")).unwrap_err().code,
            "query_invalid"
        );
        let twice = "query a() {}\nquery a() {}";
        assert_eq!(
            declared(&file("a.gq", twice)).unwrap_err().code,
            "duplicate_query"
        );
    }
}
