//! Stored queries in SQL: a file of statements, each under a head in comments.
//!
//! ```sql
//! -- query: older_than(least int, most int default 150) returns table(name text)
//! -- description: People of an age
//! SELECT name FROM person WHERE age BETWEEN :least AND :most;
//! ```

use std::sync::OnceLock;

use regex::Regex;

use super::declared::sql_heads;

/// One statement of a file with its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlQuery {
    pub parameters: Vec<SqlParameter>,
    /// What follows `returns`: the columns as the file promises them.
    pub returns: Option<Vec<(String, String)>>,
    pub description: Option<String>,
    pub body: String,
    /// Where the body begins in the file, from 1.
    pub line: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlParameter {
    pub name: String,
    /// In any of PostgreSQL's spellings.
    pub ty: String,
    pub default: Option<String>,
}

/// One query of a file by its name; a mistake comes with its line.
pub fn sql_query(text: &str, name: &str) -> Result<SqlQuery, (usize, String)> {
    let heads = sql_heads(text);
    let Some(at) = heads.iter().position(|(_, known)| known == name) else {
        return Err((1, format!("the file declares no query \"{name}\"")));
    };
    let head = heads[at].0;
    let end = heads.get(at + 1).map_or(usize::MAX, |(next, _)| next - 1);
    let lines: Vec<&str> = text.lines().take(end).skip(head - 1).collect();
    let (first, rest) = lines.split_first().unwrap_or((&"", &[]));
    let (parameters, returns) = signature(first).map_err(|message| (head, message))?;
    let comments = rest
        .iter()
        .take_while(|line| line.trim_start().starts_with("--"))
        .count();
    let described = rest[..comments].iter().find_map(|line| {
        let comment = line.trim_start().trim_start_matches('-').trim_start();
        comment.strip_prefix("description:")
    });
    let body = rest[comments..].join("\n");
    if body.trim().is_empty() {
        return Err((head, format!("query \"{name}\" has no statement")));
    }
    Ok(SqlQuery {
        parameters,
        returns,
        description: described.map(|text| text.trim().to_owned()),
        body,
        line: head + 1 + comments,
    })
}

type Signature = (Vec<SqlParameter>, Option<Vec<(String, String)>>);

/// `-- query: name(param type, …) [returns table(column type, …)]`
fn signature(head: &str) -> Result<Signature, String> {
    let Some((_, list)) = head.split_once('(') else {
        return Err("a head reads \"-- query: name(param type, …)\"".to_owned());
    };
    let Some((list, after)) = balanced(list) else {
        return Err("the list of parameters is not closed".to_owned());
    };
    let parameters = items(list)
        .into_iter()
        .map(parameter)
        .collect::<Result<Vec<_>, String>>()?;
    let returns = match after.trim().split_once(char::is_whitespace) {
        None if after.trim().is_empty() => None,
        Some((word, columns)) if word.eq_ignore_ascii_case("returns") => {
            Some(columns_of(columns.trim())?)
        }
        _ => {
            return Err(format!(
                "\"returns table(…)\" is expected, not \"{}\"",
                after.trim()
            ));
        }
    };
    Ok((parameters, returns))
}

/// What stands before the parenthesis that closes, and what after it.
fn balanced(text: &str) -> Option<(&str, &str)> {
    let (mut depth, mut quoted) = (1usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&text[..at], &text[at + 1..]));
        }
    }
    None
}

/// A list split at its outer commas.
fn items(list: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut start) = (0usize, false, 0);
    let mut found = Vec::new();
    for (at, c) in list.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' | '[' if !quoted => depth += 1,
            ')' | ']' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                found.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = list[start..].trim();
    if !(found.is_empty() && last.is_empty()) {
        found.push(last);
    }
    found
}

fn parameter(text: &str) -> Result<SqlParameter, String> {
    static PARAMETER: OnceLock<Regex> = OnceLock::new();
    let pattern = PARAMETER.get_or_init(|| {
        Regex::new(r"(?i)^:?([a-z_][a-z0-9_]*)\s+(.+?)(?:\s+default\s+(.+))?$")
            .expect("the pattern is fixed")
    });
    let Some(found) = pattern.captures(text) else {
        return Err(format!("a parameter reads \"name type\", not \"{text}\""));
    };
    Ok(SqlParameter {
        name: found[1].to_owned(),
        ty: found[2].to_owned(),
        default: found.get(3).map(|default| default.as_str().to_owned()),
    })
}

/// `table(name type, …)`
fn columns_of(text: &str) -> Result<Vec<(String, String)>, String> {
    let wrong = || format!("what it returns reads \"table(column type, …)\", not \"{text}\"");
    let list = text
        .get(.."table".len())
        .filter(|word| word.eq_ignore_ascii_case("table"))
        .and_then(|_| text["table".len()..].trim().strip_prefix('('))
        .and_then(|rest| rest.strip_suffix(')'))
        .ok_or_else(wrong)?;
    items(list)
        .into_iter()
        .map(|item| {
            let (name, ty) = item.split_once(char::is_whitespace).ok_or_else(wrong)?;
            Ok((name.to_owned(), ty.trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "-- People.\n-- query: one()\nSELECT 1;\n\n-- query: older(least int, name varchar(10) default 'a, b', n numeric(4, 2)) returns table(name text, of numeric(4, 2))\n-- description: People of an age\n-- by name\nSELECT name, 1\nFROM person;\n";

    #[test]
    fn a_head_says_what_a_query_takes() {
        let older = sql_query(FILE, "older").unwrap();
        let parameter = |name: &str, ty: &str, default: Option<&str>| SqlParameter {
            name: name.to_owned(),
            ty: ty.to_owned(),
            default: default.map(str::to_owned),
        };
        assert_eq!(
            older.parameters,
            [
                parameter("least", "int", None),
                parameter("name", "varchar(10)", Some("'a, b'")),
                parameter("n", "numeric(4, 2)", None),
            ]
        );
        assert_eq!(older.description.as_deref(), Some("People of an age"));
        assert_eq!(
            older.returns.unwrap(),
            [
                ("name".to_owned(), "text".to_owned()),
                ("of".to_owned(), "numeric(4, 2)".to_owned())
            ]
        );
        assert_eq!(
            (older.body.as_str(), older.line),
            ("SELECT name, 1\nFROM person;", 8)
        );
        let one = sql_query(FILE, "one").unwrap();
        assert_eq!((one.parameters.len(), one.line, one.returns), (0, 3, None));
    }

    #[test]
    fn mistakes_in_a_head_have_its_line() {
        for text in [
            "-- query: a(x)\nSELECT 1",
            "-- query: a\nSELECT 1",
            "-- query: a(x int\nSELECT 1",
            "-- query: a() returns int\nSELECT 1",
            "-- query: a()\n",
        ] {
            assert_eq!(
                sql_query(&format!("\n{text}"), "a").unwrap_err().0,
                2,
                "{text}"
            );
        }
        assert!(sql_query(FILE, "two").is_err());
    }
}
