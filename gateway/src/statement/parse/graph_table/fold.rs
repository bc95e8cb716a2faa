//! Folds what is written in the pattern language into calls, so that `sqlparser` can read what
//! stands around it.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use super::super::{Positions, end_of, text_of};
use super::{GRAPH_TABLE, HIDDEN, MATCH, parse_graph_table, parse_match};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

const ELEMENT_FUNCTIONS: [&str; 6] = [
    "path_length",
    "path_vertices",
    "path_edges",
    "path_cost",
    "element_id",
    "element_number",
];

/// Folds every GRAPH_TABLE into a call with its body as text. An error in one is reported
/// here, so that it is an error of the whole query string.
pub(in crate::statement::parse) fn fold(
    sql: &str,
    tokens: Vec<TokenWithSpan>,
    positions: &Positions,
) -> PgResult<Vec<TokenWithSpan>> {
    if !tokens
        .iter()
        .any(|token| is_word(&token.token, "GRAPH_TABLE"))
    {
        return Ok(tokens);
    }
    let mut out = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        let opens = tokens
            .get(at + 1)
            .is_some_and(|next| next.token == Token::LParen);
        if is_word(&token.token, "GRAPH_TABLE") && opens {
            let end = closing(&tokens, at + 1).ok_or_else(|| at_end(&tokens, positions))?;
            let (body, span) = body_of(sql, &tokens, at + 1, end, positions);
            parse_graph_table(&body, span.start, positions)?;
            fold_call(
                &mut out,
                GRAPH_TABLE,
                token.span,
                &tokens[at + 1],
                body,
                span,
                &tokens[end],
            );
            at = end + 1;
            continue;
        }
        out.push(token.clone());
        at += 1;
    }
    Ok(out)
}

/// As [`fold`], for `EXISTS (MATCH …)`, which means something in graph patterns only, and for
/// functions of paths and elements.
pub(super) fn fold_inside(
    sql: &str,
    tokens: Vec<TokenWithSpan>,
    positions: &Positions,
) -> PgResult<Vec<TokenWithSpan>> {
    let tokens = fold(sql, tokens, positions)?;
    let mut out = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        let next = |ahead: usize| tokens.get(at + ahead).map(|token| &token.token);
        if is_word(&token.token, "EXISTS")
            && next(1) == Some(&Token::LParen)
            && next(2).is_some_and(|token| is_word(token, "MATCH"))
        {
            let end = closing(&tokens, at + 1).ok_or_else(|| at_end(&tokens, positions))?;
            let (body, span) = body_of(sql, &tokens, at + 1, end, positions);
            parse_match(&body, span.start, positions)?;
            let span_of = token.span;
            out.push(token.clone());
            out.push(tokens[at + 1].clone());
            for piece in [
                keyword("SELECT", Keyword::SELECT),
                Token::Number("1".to_owned(), false),
                keyword("FROM", Keyword::FROM),
            ] {
                out.push(TokenWithSpan::new(piece, span_of));
            }
            let open = TokenWithSpan::new(Token::LParen, span_of);
            let close = TokenWithSpan::new(Token::RParen, span_of);
            fold_call(&mut out, MATCH, span_of, &open, body, span, &close);
            out.push(tokens[end].clone());
            at = end + 1;
            continue;
        }
        if let Token::Word(word) = &token.token
            && word.quote_style.is_none()
            && let Some(function) = ELEMENT_FUNCTIONS
                .iter()
                .find(|name| word.value.eq_ignore_ascii_case(name))
            && next(1) == Some(&Token::LParen)
            && matches!(next(2), Some(Token::Word(_)))
            && next(3) == Some(&Token::RParen)
        {
            out.push(tokens[at + 2].clone());
            out.push(TokenWithSpan::new(Token::Period, token.span));
            out.push(TokenWithSpan::new(
                quoted(format!("{HIDDEN}{function}")),
                token.span,
            ));
            at += 4;
            continue;
        }
        out.push(token.clone());
        at += 1;
    }
    Ok(out)
}

fn fold_call(
    out: &mut Vec<TokenWithSpan>,
    name: &str,
    name_span: Span,
    open: &TokenWithSpan,
    body: String,
    span: Span,
    close: &TokenWithSpan,
) {
    out.push(TokenWithSpan::new(quoted(name.to_owned()), name_span));
    out.push(open.clone());
    out.push(TokenWithSpan::new(Token::SingleQuotedString(body), span));
    out.push(close.clone());
}

/// The text between two tokens, and its place.
fn body_of(
    sql: &str,
    tokens: &[TokenWithSpan],
    open: usize,
    close: usize,
    positions: &Positions,
) -> (String, Span) {
    let inside = &tokens[open + 1..close];
    let start = inside
        .first()
        .map_or(tokens[close].span.start, |token| token.span.start);
    (
        text_of(sql, inside, positions),
        Span::new(start, tokens[close].span.start),
    )
}

fn closing(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn at_end(tokens: &[TokenWithSpan], positions: &Positions) -> PgError {
    let error = PgError::new(sqlstate::SYNTAX_ERROR, "syntax error at end of input");
    error.at(end_of(tokens, positions))
}

pub(super) fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

fn keyword(value: &str, keyword: Keyword) -> Token {
    Token::Word(Word {
        value: value.to_owned(),
        quote_style: None,
        keyword,
    })
}

fn quoted(value: String) -> Token {
    Token::Word(Word {
        value,
        quote_style: Some('"'),
        keyword: Keyword::NoKeyword,
    })
}
