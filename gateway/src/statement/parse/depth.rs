//! How deep the tree of a statement will be, told from its tokens: long before a tree that is
//! too deep is made, because whatever walks, copies or drops a tree needs stack for each level.
//!
//! `1 + 1 + 1` is a tree as deep as it has operators, whether or not there are parentheses.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// Parentheses may nest this deep.
pub(super) const MAX_DEPTH: usize = 4000;
/// Operators that one expression may have in a row, along its deepest path.
const MAX_OPERATORS: usize = 1500;
/// Tables joined, and queries put together by UNION and its kind.
const MAX_JOINED: usize = 1000;

/// What has been read between two parentheses.
#[derive(Default)]
struct Level {
    /// In the present expression: its operators, and the depth of the deepest operand.
    operators: usize,
    operand: usize,
    /// The deepest expression before it.
    deepest: usize,
    joined: usize,
    in_from: bool,
}

impl Level {
    fn end_expression(&mut self) {
        self.deepest = self.deepest.max(self.operators + self.operand);
        (self.operators, self.operand) = (0, 0);
    }
}

/// 54001 for tokens that would make too deep a tree.
pub(super) fn check(tokens: &[TokenWithSpan]) -> PgResult<()> {
    let mut levels = vec![Level::default()];
    for token in tokens {
        let Some(level) = levels.last_mut() else {
            break;
        };
        match &token.token {
            Token::LParen | Token::LBracket => levels.push(Level::default()),
            Token::RParen | Token::RBracket => {
                level.end_expression();
                let depth = level.deepest + level.joined;
                if levels.len() > 1 {
                    levels.pop();
                }
                if let Some(around) = levels.last_mut() {
                    around.operand = around.operand.max(depth);
                }
            }
            Token::Comma => {
                level.end_expression();
                level.joined += usize::from(level.in_from);
            }
            Token::SemiColon => *level = Level::default(),
            Token::Word(word) if word.quote_style.is_none() => {
                let word = word.value.to_ascii_uppercase();
                match word.as_str() {
                    "FROM" | "USING" => {
                        level.end_expression();
                        level.in_from = true;
                    }
                    "SELECT" | "WHERE" | "GROUP" | "HAVING" | "WINDOW" | "ORDER" | "LIMIT"
                    | "VALUES" | "SET" | "RETURNING" | "WHEN" | "THEN" | "ELSE" => {
                        level.end_expression();
                        level.in_from = false;
                    }
                    "ON" => level.end_expression(),
                    "JOIN" | "UNION" | "INTERSECT" | "EXCEPT" => {
                        level.end_expression();
                        level.joined += 1;
                    }
                    "CASE" | "NOT" | "AND" | "OR" | "LIKE" | "ILIKE" | "IS" | "IN" | "BETWEEN"
                    | "COLLATE" | "AT" => level.operators += 1,
                    _ => {}
                }
            }
            token if is_operand(token) => {}
            _ => level.operators += 1,
        }
        let Some(level) = levels.last() else { break };
        let depth = level.deepest.max(level.operators + level.operand);
        if depth > MAX_OPERATORS || level.joined > MAX_JOINED || levels.len() > MAX_DEPTH {
            return Err(too_deep());
        }
    }
    Ok(())
}

fn is_operand(token: &Token) -> bool {
    matches!(
        token,
        Token::EOF
            | Token::Word(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::Whitespace(_)
            | Token::Period
            | Token::Placeholder(_)
    )
}

pub(super) fn too_deep() -> PgError {
    PgError::new(
        sqlstate::STATEMENT_TOO_COMPLEX,
        "stack depth limit exceeded",
    )
    .hint(format!(
        "Parentheses may nest at most {MAX_DEPTH} deep; an expression may have {MAX_OPERATORS} operators in a row, which a list after IN or an array avoids; a query may put together {MAX_JOINED} tables and queries."
    ))
}
