//! VACUUM, with PostgreSQL's options and our own.

use sqlparser::tokenizer::Token;

use super::words::Words;
use super::{QualifiedName, Statement};
use crate::error::PgResult;

/// What VACUUM was told. Times are intervals as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vacuum {
    pub retain: Option<String>,
    pub grace: Option<String>,
    pub dry_run: bool,
    pub verbose: bool,
    /// Tables that were named. They must be there; the whole graph is looked after.
    pub tables: Vec<QualifiedName>,
}

/// PostgreSQL's options that mean nothing here.
const IGNORED: &[&str] = &[
    "full",
    "freeze",
    "analyze",
    "analyse",
    "disable_page_skipping",
    "skip_locked",
    "index_cleanup",
    "process_main",
    "process_toast",
    "truncate",
    "parallel",
    "skip_database_stats",
    "only_database_stats",
    "buffer_usage_limit",
];

pub(super) fn vacuum(words: &mut Words<'_>) -> PgResult<Statement> {
    words.expect("VACUUM")?;
    let mut vacuum = Vacuum::default();
    if words.take_token(&Token::LParen) {
        loop {
            option(words, &mut vacuum)?;
            if !words.take_token(&Token::Comma) {
                break;
            }
        }
        words.expect_token(&Token::RParen)?;
    } else {
        words.take("FULL");
        words.take("FREEZE");
        vacuum.verbose = words.take("VERBOSE");
        let _ = words.take("ANALYZE") || words.take("ANALYSE");
    }
    while !words.is_done() {
        vacuum.tables.push(words.qualified_name()?);
        if words.take_token(&Token::LParen) {
            // The columns to analyse.
            words.parenthesised()?;
        }
        if !words.take_token(&Token::Comma) {
            break;
        }
    }
    words.expect_end()?;
    Ok(Statement::Vacuum(vacuum))
}

fn option(words: &mut Words<'_>, vacuum: &mut Vacuum) -> PgResult<()> {
    if words.take("DRY RUN") {
        vacuum.dry_run = is_on(words)?;
        return Ok(());
    }
    let unexpected = words.unexpected();
    match words.name()?.as_str() {
        "retain" => vacuum.retain = Some(words.string()?),
        "grace" => vacuum.grace = Some(words.string()?),
        "dry_run" => vacuum.dry_run = is_on(words)?,
        "verbose" => vacuum.verbose = is_on(words)?,
        name if IGNORED.contains(&name) => {
            is_on(words)?;
        }
        _ => return Err(unexpected),
    }
    Ok(())
}

/// The value of an option, if there is one.
fn is_on(words: &mut Words<'_>) -> PgResult<bool> {
    let value = match words.peek() {
        Some(Token::Comma | Token::RParen) | None => return Ok(true),
        Some(_) => match words.string_if_next().or_else(|| words.number_if_next()) {
            Some(value) => value.to_ascii_lowercase(),
            None => words.name()?,
        },
    };
    Ok(!matches!(value.as_str(), "off" | "false" | "0" | "no"))
}
