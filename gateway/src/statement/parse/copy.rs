//! COPY, in its new spelling (`WITH (FORMAT csv, …)`) and the old one (`CSV HEADER`).

use sqlparser::tokenizer::Token;

use super::words::Words;
use super::{ParsedStatement, QualifiedName, Statement};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

#[derive(Debug, Clone)]
pub struct Copy {
    pub source: CopySource,
    pub direction: CopyDirection,
    pub options: Vec<CopyOption>,
    /// `COPY … FROM … WHERE` as text is refused by the driver; its place, if there is one.
    pub where_position: Option<u32>,
}

#[derive(Debug, Clone)]
pub enum CopySource {
    Table {
        table: QualifiedName,
        columns: Option<Vec<String>>,
    },
    Query(ParsedStatement),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyDirection {
    FromStdin,
    ToStdout,
    /// A file or program of the server, which nobody may use.
    Server,
}

/// Names in lower case (`format`, `header`, `delimiter`, `null`, `quote`, `escape`,
/// `force_quote`, `force_null`, `force_not_null`, `encoding`, `freeze`, `mode`); no value means `true`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOption {
    pub name: String,
    pub values: Vec<String>,
}

pub(super) fn copy(words: &mut Words<'_>) -> PgResult<Statement> {
    words.expect("COPY")?;
    let mut options = Vec::new();
    if words.take("BINARY") {
        options.push(option("format", ["binary"]));
    }
    let source = if words.take_token(&Token::LParen) {
        let tokens = words.parenthesised()?;
        CopySource::Query(words.statement_of(tokens)?)
    } else {
        let table = words.qualified_name()?;
        let columns = if words.take_token(&Token::LParen) {
            Some(names(words)?)
        } else {
            None
        };
        CopySource::Table { table, columns }
    };
    let from = words.take("FROM");
    if !from {
        words.expect("TO")?;
    }
    let direction = match (from, words.take("STDIN") || words.take("STDOUT")) {
        (true, true) => CopyDirection::FromStdin,
        (false, true) => CopyDirection::ToStdout,
        (_, false) => {
            words.take("PROGRAM");
            words.string()?;
            CopyDirection::Server
        }
    };
    if from && matches!(source, CopySource::Query(_)) {
        return Err(PgError::new(
            sqlstate::SYNTAX_ERROR,
            "syntax error at or near \"FROM\"",
        ));
    }
    words.take("WITH");
    if words.take_token(&Token::LParen) {
        new_options(words, &mut options)?;
    } else {
        old_options(words, &mut options)?;
    }
    let position = words.position();
    let where_position = words.take("WHERE").then(|| {
        words.rest_tokens();
        position
    });
    words.expect_end()?;
    Ok(Statement::Copy(Box::new(Copy {
        source,
        direction,
        options,
        where_position,
    })))
}

fn option<const N: usize>(name: &str, values: [&str; N]) -> CopyOption {
    CopyOption {
        name: name.to_owned(),
        values: values.map(str::to_owned).to_vec(),
    }
}

/// The names up to the closing parenthesis.
fn names(words: &mut Words<'_>) -> PgResult<Vec<String>> {
    let mut names = vec![words.name()?];
    while words.take_token(&Token::Comma) {
        names.push(words.name()?);
    }
    words.expect_token(&Token::RParen)?;
    Ok(names)
}

fn new_options(words: &mut Words<'_>, options: &mut Vec<CopyOption>) -> PgResult<()> {
    loop {
        let name = words.name()?;
        let mut values = Vec::new();
        if words.take_token(&Token::LParen) {
            values = names(words)?;
        } else if words.take_token(&Token::Mul) {
            values.push("*".to_owned());
        } else if let Some(text) = words.string_if_next().or_else(|| words.number_if_next()) {
            values.push(text);
        } else if !matches!(words.peek(), Some(Token::Comma | Token::RParen)) {
            values.push(words.name()?);
        }
        options.push(CopyOption { name, values });
        if !words.take_token(&Token::Comma) {
            return words.expect_token(&Token::RParen);
        }
    }
}

fn old_options(words: &mut Words<'_>, options: &mut Vec<CopyOption>) -> PgResult<()> {
    loop {
        if words.take("BINARY") {
            options.push(option("format", ["binary"]));
        } else if words.take("CSV") {
            options.push(option("format", ["csv"]));
        } else if words.take("HEADER") {
            options.push(option("header", []));
        } else if words.take("FREEZE") {
            options.push(option("freeze", []));
        } else if let Some(name) = ["DELIMITER", "NULL", "QUOTE", "ESCAPE", "ENCODING"]
            .into_iter()
            .find(|name| words.take(name))
        {
            words.take("AS");
            let value = words.string()?;
            options.push(CopyOption {
                name: name.to_ascii_lowercase(),
                values: vec![value],
            });
        } else if let Some(name) = ["FORCE QUOTE", "FORCE NOT NULL", "FORCE NULL"]
            .into_iter()
            .find(|name| words.take(name))
        {
            let mut values = Vec::new();
            if words.take_token(&Token::Mul) {
                values.push("*".to_owned());
            } else {
                values.push(words.name()?);
                while words.take_token(&Token::Comma) {
                    values.push(words.name()?);
                }
            }
            let name = name.to_ascii_lowercase().replace(' ', "_");
            options.push(CopyOption { name, values });
        } else {
            return Ok(());
        }
    }
}
