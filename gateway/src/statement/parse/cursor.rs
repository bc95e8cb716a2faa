//! DECLARE, FETCH, MOVE, CLOSE.

use sqlparser::tokenizer::Token;

use super::words::Words;
use super::{ParsedStatement, Statement};
use crate::error::PgResult;

#[derive(Debug, Clone)]
pub struct Declare {
    pub name: String,
    pub binary: bool,
    /// `None`: neither SCROLL nor NO SCROLL was said.
    pub scroll: Option<bool>,
    /// WITH HOLD.
    pub hold: bool,
    pub query: ParsedStatement,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// MOVE: the rows are not sent.
    pub moves: bool,
    pub cursor: String,
    pub direction: FetchDirection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchDirection {
    /// So many rows on; negative is backward, 0 the current row again.
    Forward(i64),
    Backward(i64),
    ForwardAll,
    BackwardAll,
    /// The n-th row; negative counts from the end.
    Absolute(i64),
    Relative(i64),
}

pub(super) fn declare(words: &mut Words<'_>) -> PgResult<Statement> {
    words.expect("DECLARE")?;
    let name = words.name()?;
    let mut binary = false;
    let mut scroll = None;
    loop {
        if words.take("BINARY") {
            binary = true;
        } else if words.take("NO SCROLL") {
            scroll = Some(false);
        } else if words.take("SCROLL") {
            scroll = Some(true);
        } else if !(words.take("INSENSITIVE") || words.take("ASENSITIVE")) {
            break;
        }
    }
    words.expect("CURSOR")?;
    let hold = words.take("WITH HOLD");
    if !hold {
        words.take("WITHOUT HOLD");
    }
    words.expect("FOR")?;
    let query = words.rest_statement()?;
    Ok(Statement::Declare(Box::new(Declare {
        name,
        binary,
        scroll,
        hold,
        query,
    })))
}

pub(super) fn fetch(words: &mut Words<'_>) -> PgResult<Statement> {
    let moves = words.take("MOVE");
    if !moves {
        words.expect("FETCH")?;
    }
    let direction = direction(words)?;
    let _ = words.take("FROM") || words.take("IN");
    let cursor = words.name()?;
    words.expect_end()?;
    Ok(Statement::Fetch(Fetch {
        moves,
        cursor,
        direction,
    }))
}

pub(super) fn close(words: &mut Words<'_>) -> PgResult<Statement> {
    words.expect("CLOSE")?;
    let name = if words.take("ALL") {
        None
    } else {
        Some(words.name()?)
    };
    words.expect_end()?;
    Ok(Statement::Close(name))
}

fn direction(words: &mut Words<'_>) -> PgResult<FetchDirection> {
    if words.take("NEXT") {
        return Ok(FetchDirection::Forward(1));
    }
    if words.take("PRIOR") {
        return Ok(FetchDirection::Backward(1));
    }
    if words.take("FIRST") {
        return Ok(FetchDirection::Absolute(1));
    }
    if words.take("LAST") {
        return Ok(FetchDirection::Absolute(-1));
    }
    if words.take("ABSOLUTE") {
        return Ok(FetchDirection::Absolute(words.integer()?));
    }
    if words.take("RELATIVE") {
        return Ok(FetchDirection::Relative(words.integer()?));
    }
    if words.take("ALL") {
        return Ok(FetchDirection::ForwardAll);
    }
    let forward = words.take("FORWARD");
    if forward || words.take("BACKWARD") {
        if words.take("ALL") {
            return Ok(if forward {
                FetchDirection::ForwardAll
            } else {
                FetchDirection::BackwardAll
            });
        }
        let count = count(words)?.unwrap_or(1);
        return Ok(if forward {
            FetchDirection::Forward(count)
        } else {
            FetchDirection::Backward(count)
        });
    }
    Ok(FetchDirection::Forward(count(words)?.unwrap_or(1)))
}

fn count(words: &mut Words<'_>) -> PgResult<Option<i64>> {
    match words.peek() {
        Some(Token::Number(..) | Token::Minus | Token::Plus) => words.integer().map(Some),
        _ => Ok(None),
    }
}
