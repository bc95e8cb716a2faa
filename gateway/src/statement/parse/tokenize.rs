//! A query string into tokens, with PostgreSQL's words for what is none.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace};

use super::Positions;
use crate::error::{PgError, PgResult};
use crate::sqlstate;

pub(super) fn tokenize(sql: &str, positions: &Positions) -> PgResult<Vec<TokenWithSpan>> {
    if let Some(at) = sql.chars().position(|c| c == '\0') {
        return Err(PgError::new(
            sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        )
        .at(at as u32 + 1));
    }
    let dialect = PostgreSqlDialect {};
    let mut tokens = Tokenizer::new(&dialect, sql)
        .tokenize_with_location()
        .map_err(|error| {
            let error_text = error.message.to_ascii_lowercase();
            let place = positions.of(error.location).unwrap_or(1);
            let place = opening(sql, positions, &error_text, place);
            let rest = sql
                .get(positions.byte(sql, place.saturating_sub(1))..)
                .unwrap_or_default();
            let near: String = rest.chars().take(40).collect();
            let message = if error_text.contains("unterminated dollar") {
                format!("unterminated dollar-quoted string at or near \"{near}\"")
            } else if (error_text.contains("unterminated") || error_text.contains("unexpected eof"))
                && error_text.contains("comment")
            {
                format!("unterminated /* comment at or near \"{near}\"")
            } else if error_text.contains("close delimiter") {
                format!("unterminated quoted identifier at or near \"{near}\"")
            } else if error_text.contains("unterminated") {
                format!("unterminated quoted string at or near \"{near}\"")
            } else {
                format!("syntax error at or near \"{near}\"")
            };
            PgError::new(sqlstate::SYNTAX_ERROR, message).at(place)
        })?;
    tokens.retain(|token| {
        !matches!(
            &token.token,
            Token::Whitespace(Whitespace::Space | Whitespace::Newline | Whitespace::Tab)
        )
    });
    Ok(tokens)
}

/// How many places are tried as the beginning of what never ends.
const OPENINGS: usize = 100;

/// Where a comment or a dollar-quoted string begins that never ends: `sqlparser` gives its end.
/// What stands before the beginning is complete.
fn opening(sql: &str, positions: &Positions, error: &str, place: u32) -> u32 {
    let end = positions.byte(sql, place.saturating_sub(1));
    let text = sql.get(..end).unwrap_or_default();
    let opens = |at: usize| {
        if error.contains("comment") {
            return text[at..].starts_with("/*");
        }
        let tag = text[at + 1..].split('$').next().unwrap_or_default();
        let is_tag = tag.chars().all(|c| c.is_alphanumeric() || c == '_');
        is_tag && text[at + 1 + tag.len()..].starts_with('$') && !text[..at].ends_with('$')
    };
    let sign = match error {
        error if error.contains("comment") => '/',
        error if error.contains("dollar") => '$',
        _ => return place,
    };
    let complete = |at: &usize| {
        Tokenizer::new(&PostgreSqlDialect {}, &text[..*at])
            .tokenize()
            .is_ok()
    };
    let candidates = text.rmatch_indices(sign).map(|(at, _)| at);
    let found = candidates
        .filter(|at| opens(*at))
        .take(OPENINGS)
        .find(complete);
    let count = found.map(|at| text[..at].chars().count());
    count
        .and_then(|count| u32::try_from(count + 1).ok())
        .unwrap_or(place)
}
