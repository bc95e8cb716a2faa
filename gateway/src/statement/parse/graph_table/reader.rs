//! The pattern language's own pieces, one after the other, and the expressions among them.

use sqlparser::ast;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::super::{Positions, near, run_parser, text_of, tokenize, truncate_name};
use super::Name;
use super::fold::{fold_inside, is_word};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// A piece of the pattern language: a whole token, or one character of an operator, which
/// SQL's tokenizer joins (`]->` and `-*` are no operators here).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Token(Token),
    Sign(char),
}

pub(super) struct Reader<'a> {
    pieces: Vec<(Piece, usize)>,
    pub(super) at: usize,
    tokens: Vec<TokenWithSpan>,
    pub(super) positions: &'a Positions,
    end: Option<u32>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &str, start: Location, positions: &'a Positions) -> PgResult<Self> {
        let own = Positions::new(body);
        let moved = |location: Location| Location {
            line: location.line + start.line - 1,
            column: if location.line == 1 {
                location.column + start.column - 1
            } else {
                location.column
            },
        };
        let unmoved = |error: PgError| {
            let place = positions.of(start).unwrap_or(1);
            PgError {
                position: error.position.map(|at| at + place - 1),
                ..error
            }
        };
        let relative = tokenize(body, &own).map_err(unmoved)?;
        let whole = relative
            .iter()
            .filter(|token| !matches!(token.token, Token::Whitespace(_)));
        let mut tokens: Vec<TokenWithSpan> = whole.cloned().collect();
        tokens = fold_inside(body, tokens, &own).map_err(unmoved)?;
        let mut pieces = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            match is_whole(&token.token) {
                true => pieces.push((Piece::Token(token.token.clone()), at)),
                false => {
                    let text = text_of(body, std::slice::from_ref(token), &own);
                    pieces.extend(text.chars().map(|sign| (Piece::Sign(sign), at)));
                }
            }
        }
        for token in &mut tokens {
            token.span = Span::new(moved(token.span.start), moved(token.span.end));
        }
        let end = positions
            .of(start)
            .map(|at| at + body.chars().count() as u32);
        Ok(Reader {
            pieces,
            at: 0,
            tokens,
            positions,
            end,
        })
    }

    /// An expression, up to a bracket that it does not open, one of `words`, or a token of `stops`.
    pub(super) fn expression(&mut self, words: &[&str], stops: &[Token]) -> PgResult<ast::Expr> {
        let tokens = self.expression_tokens(words, stops)?;
        run_parser(tokens, self.positions, |parser| parser.parse_expr())
    }

    pub(super) fn expression_tokens(
        &mut self,
        words: &[&str],
        stops: &[Token],
    ) -> PgResult<Vec<TokenWithSpan>> {
        let Some(&(_, first)) = self.pieces.get(self.at) else {
            return Err(self.unexpected());
        };
        let mut depth = 0;
        let mut end = first;
        while let Some(token) = self.tokens.get(end) {
            match &token.token {
                Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
                Token::RParen | Token::RBracket | Token::RBrace if depth == 0 => break,
                Token::RParen | Token::RBracket | Token::RBrace => depth -= 1,
                other if depth == 0 && stops.contains(other) => break,
                other => {
                    let qualified = end > first && self.tokens[end - 1].token == Token::Period;
                    if depth == 0 && !qualified && words.iter().any(|word| is_word(other, word)) {
                        break;
                    }
                }
            }
            end += 1;
        }
        if end == first {
            return Err(self.unexpected());
        }
        let tokens = self.tokens[first..end].to_vec();
        while self
            .pieces
            .get(self.at)
            .is_some_and(|(_, token)| *token < end)
        {
            self.at += 1;
        }
        Ok(super::super::rewrite::to_parser_dialect(tokens))
    }

    pub(super) fn peek(&self) -> Option<&Piece> {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<&Piece> {
        self.pieces.get(self.at + ahead).map(|(piece, _)| piece)
    }

    pub(super) fn is_next_word(&self, ahead: usize, word: &str) -> bool {
        matches!(self.peek_at(ahead), Some(Piece::Token(token)) if is_word(token, word))
    }

    pub(super) fn take(&mut self, piece: &Piece) -> bool {
        let found = self.peek() == Some(piece);
        self.at += usize::from(found);
        found
    }

    pub(super) fn take_words(&mut self, words: &[&str]) -> bool {
        let all = words
            .iter()
            .enumerate()
            .all(|(ahead, word)| self.is_next_word(ahead, word));
        if all {
            self.at += words.len();
        }
        all
    }

    pub(super) fn expect(&mut self, piece: &Piece) -> PgResult<()> {
        if self.take(piece) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    pub(super) fn expect_word(&mut self, word: &str) -> PgResult<()> {
        if self.take_words(&[word]) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    pub(super) fn expect_end(&self) -> PgResult<()> {
        if self.at >= self.pieces.len() {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    pub(super) fn name(&mut self) -> PgResult<Name> {
        let at = self.position();
        match self.peek() {
            Some(Piece::Token(Token::Word(word))) => {
                let text = match word.quote_style {
                    Some(_) => word.value.clone(),
                    None => word.value.to_lowercase(),
                };
                self.at += 1;
                Ok(Name {
                    text: truncate_name(text),
                    at,
                })
            }
            _ => Err(self.unexpected()),
        }
    }

    pub(super) fn position(&self) -> Option<u32> {
        match self.pieces.get(self.at) {
            Some((_, token)) => {
                let start = self.positions.of(self.tokens[*token].span.start)?;
                // Which character of an operator.
                let before = self.pieces[..self.at]
                    .iter()
                    .rev()
                    .take_while(|(_, other)| other == token);
                Some(start + before.count() as u32)
            }
            None => self.end,
        }
    }

    pub(super) fn unexpected(&self) -> PgError {
        let error = match self.pieces.get(self.at) {
            Some((Piece::Sign(sign), _)) => PgError::new(
                sqlstate::SYNTAX_ERROR,
                format!("syntax error at or near \"{sign}\""),
            ),
            Some((Piece::Token(_), token)) => near(&self.tokens[*token], self.positions),
            None => PgError::new(sqlstate::SYNTAX_ERROR, "syntax error at or near \")\""),
        };
        match self.position() {
            Some(at) => error.at(at),
            None => error,
        }
    }
}

/// Is the token one piece of the pattern language, too?
fn is_whole(token: &Token) -> bool {
    matches!(
        token,
        Token::Word(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::LParen
            | Token::RParen
            | Token::LBracket
            | Token::RBracket
            | Token::LBrace
            | Token::RBrace
            | Token::Comma
            | Token::Period
            | Token::Colon
            | Token::Placeholder(_)
    )
}
