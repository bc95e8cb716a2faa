//! A cursor over the tokens of one statement, for the statements that are read by hand.

use std::sync::Arc;

use sqlparser::ast;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{
    ParsedStatement, Positions, QualifiedName, near, parse_tokens, run_parser, truncate_name,
};
use crate::error::{PgError, PgResult};

pub(super) struct Words<'a> {
    sql: &'a str,
    tokens: &'a [TokenWithSpan],
    positions: &'a Arc<Positions>,
    at: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(
        sql: &'a str,
        tokens: &'a [TokenWithSpan],
        positions: &'a Arc<Positions>,
    ) -> Self {
        Words {
            sql,
            tokens,
            positions,
            at: 0,
        }
    }

    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at).map(|token| &token.token)
    }

    /// The next token if it is an unquoted word.
    pub(super) fn peek_word(&self) -> Option<&'a str> {
        match self.peek() {
            Some(Token::Word(word)) if word.quote_style.is_none() => Some(&word.value),
            _ => None,
        }
    }

    /// Are the next tokens these words?
    pub(super) fn begins_with(&mut self, words: &str) -> bool {
        let at = self.at;
        let taken = self.take(words);
        self.at = at;
        taken
    }

    pub(super) fn next(&mut self) -> Option<&'a Token> {
        let token = self.peek();
        self.at += usize::from(token.is_some());
        token
    }

    pub(super) fn position(&self) -> u32 {
        self.tokens
            .get(self.at)
            .and_then(|token| self.positions.of(token.span.start))
            .unwrap_or_else(|| super::end_of(self.tokens, self.positions))
    }

    /// Takes the words if all of them come next.
    pub(super) fn take(&mut self, words: &str) -> bool {
        let mut at = self.at;
        for word in words.split(' ') {
            match self.tokens.get(at).map(|token| &token.token) {
                Some(Token::Word(found))
                    if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word) =>
                {
                    at += 1
                }
                _ => return false,
            }
        }
        self.at = at;
        true
    }

    pub(super) fn expect(&mut self, words: &str) -> PgResult<()> {
        if self.take(words) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    pub(super) fn take_token(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect_token(&mut self, token: &Token) -> PgResult<()> {
        if self.take_token(token) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    pub(super) fn expect_end(&self) -> PgResult<()> {
        if self.is_done() {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    /// "syntax error at or near" the next token.
    pub(super) fn unexpected(&self) -> PgError {
        match self.tokens.get(self.at) {
            Some(token) => near(token, self.positions),
            None => super::at_end(self.tokens, self.positions),
        }
    }

    /// A name: a word, folded, or a quoted identifier.
    pub(super) fn name(&mut self) -> PgResult<String> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(truncate_name(match word.quote_style {
                    Some(_) => word.value.clone(),
                    None => word.value.to_lowercase(),
                }))
            }
            _ => Err(self.unexpected()),
        }
    }

    /// `a`, `a.b` or `a.b.c`, whose first part is dropped: it can only be the graph itself.
    pub(super) fn qualified_name(&mut self) -> PgResult<QualifiedName> {
        let position = self.position();
        let mut parts = vec![self.name()?];
        while self.take_token(&Token::Period) {
            parts.push(self.name()?);
        }
        let name = parts.pop().unwrap_or_default();
        Ok(QualifiedName {
            schema: parts.pop(),
            name,
            position,
        })
    }

    pub(super) fn string(&mut self) -> PgResult<String> {
        match self.string_if_next() {
            Some(text) => Ok(text),
            None => Err(self.unexpected()),
        }
    }

    pub(super) fn string_if_next(&mut self) -> Option<String> {
        let text = match self.peek()? {
            Token::SingleQuotedString(text)
            | Token::EscapedStringLiteral(text)
            | Token::UnicodeStringLiteral(text) => text.clone(),
            Token::DollarQuotedString(text) => text.value.clone(),
            _ => return None,
        };
        self.at += 1;
        Some(text)
    }

    /// A number with its sign, as text.
    pub(super) fn number_if_next(&mut self) -> Option<String> {
        let start = self.at;
        let negative = self.take_token(&Token::Minus);
        if !negative {
            self.take_token(&Token::Plus);
        }
        if let Some(Token::Number(text, _)) = self.peek() {
            self.at += 1;
            return Some(if negative {
                format!("-{text}")
            } else {
                text.clone()
            });
        }
        self.at = start;
        None
    }

    pub(super) fn integer(&mut self) -> PgResult<i64> {
        let unexpected = self.unexpected();
        self.number_if_next()
            .and_then(|text| text.parse().ok())
            .ok_or(unexpected)
    }

    /// The tokens up to the parenthesis that closes the one already taken.
    pub(super) fn parenthesised(&mut self) -> PgResult<Vec<TokenWithSpan>> {
        let start = self.at;
        let mut depth = 1;
        while depth > 0 {
            match self.next() {
                Some(Token::LParen) => depth += 1,
                Some(Token::RParen) => depth -= 1,
                Some(_) => {}
                None => return Err(self.unexpected()),
            }
        }
        Ok(self.tokens[start..self.at - 1].to_vec())
    }

    pub(super) fn rest_tokens(&mut self) -> Vec<TokenWithSpan> {
        let rest = self.tokens[self.at.min(self.tokens.len())..].to_vec();
        self.at = self.tokens.len();
        rest
    }

    pub(super) fn rest_text(&mut self) -> String {
        let rest = self.rest_tokens();
        super::text_of(self.sql, &rest, self.positions)
    }

    /// What is left is a statement of its own.
    pub(super) fn rest_statement(&mut self) -> PgResult<ParsedStatement> {
        if self.is_done() {
            return Err(self.unexpected());
        }
        let rest = self.rest_tokens();
        parse_tokens(self.sql, rest, self.positions)
    }

    pub(super) fn statement_of(&self, tokens: Vec<TokenWithSpan>) -> PgResult<ParsedStatement> {
        if tokens.is_empty() {
            return Err(self.unexpected());
        }
        parse_tokens(self.sql, tokens, self.positions)
    }

    pub(super) fn parse<T>(
        &self,
        tokens: Vec<TokenWithSpan>,
        parse: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
    ) -> PgResult<T> {
        run_parser(
            super::rewrite::to_parser_dialect(tokens),
            self.positions,
            parse,
        )
    }

    pub(super) fn expressions(&self, tokens: Vec<TokenWithSpan>) -> PgResult<Vec<ast::Expr>> {
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        self.parse(tokens, |parser| {
            parser.parse_comma_separated(Parser::parse_expr)
        })
    }
}
