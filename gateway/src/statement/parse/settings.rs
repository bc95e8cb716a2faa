//! SET, SHOW, RESET, and the modes of transactions.

use sqlparser::tokenizer::Token;

use super::Statement;
use super::words::Words;
use crate::error::{PgError, PgResult};
use crate::sqlstate;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// SET LOCAL: until the end of the transaction.
    pub local: bool,
    /// Folded; `a.b` for names with a prefix. SET TIME ZONE is `timezone`, SET NAMES
    /// `client_encoding`, SET SCHEMA `search_path`, SET ROLE `role`, SET SESSION AUTHORIZATION
    /// `session_authorization`.
    pub name: String,
    pub value: SetValue,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetValue {
    Default,
    /// The values between the commas: strings without quotes, names folded, numbers with sign.
    List(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Show {
    All,
    Name(String),
}

/// What BEGIN and SET TRANSACTION say; `None` where they say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransactionModes {
    /// Lower case: `read committed`.
    pub isolation: Option<String>,
    pub read_only: Option<bool>,
    pub deferrable: Option<bool>,
    /// It was spelled START TRANSACTION.
    pub start: bool,
}

pub(super) fn set(words: &mut Words<'_>) -> PgResult<Statement> {
    words.expect("SET")?;
    if words.take("TRANSACTION") {
        let modes = modes(words)?;
        return Ok(Statement::SetTransaction {
            session: false,
            modes,
        });
    }
    if words.take("SESSION CHARACTERISTICS AS TRANSACTION") {
        let modes = modes(words)?;
        return Ok(Statement::SetTransaction {
            session: true,
            modes,
        });
    }
    if words.take("CONSTRAINTS") {
        words.rest_tokens();
        return Ok(Statement::SetConstraints);
    }
    if words.take("SESSION AUTHORIZATION") {
        return role(words, false, "session_authorization");
    }
    let local = words.take("LOCAL");
    if !local {
        words.take("SESSION");
    }
    if words.take("SESSION AUTHORIZATION") {
        return role(words, local, "session_authorization");
    }
    if words.take("ROLE") && words.peek() != Some(&Token::Eq) {
        return role(words, local, "role");
    }
    let set = |name: &str, value| {
        Statement::Set(Set {
            local,
            name: name.to_owned(),
            value,
        })
    };
    if words.take("TIME ZONE") {
        let value = time_zone(words)?;
        words.expect_end()?;
        return Ok(set("timezone", value));
    }
    if words.take("NAMES") {
        let value = match words.string_if_next() {
            Some(text) => SetValue::List(vec![text]),
            None if words.take("DEFAULT") || words.is_done() => SetValue::Default,
            None => SetValue::List(vec![words.name()?]),
        };
        words.expect_end()?;
        return Ok(set("client_encoding", value));
    }
    if words.take("SCHEMA") {
        let value = SetValue::List(vec![words.string()?]);
        words.expect_end()?;
        return Ok(set("search_path", value));
    }
    if words.take("XML OPTION") {
        let value = SetValue::List(vec![words.name()?]);
        words.expect_end()?;
        return Ok(set("xmloption", value));
    }
    let name = setting_name(words)?;
    if !words.take_token(&Token::Eq) {
        words.expect("TO")?;
    }
    let value = values(words)?;
    words.expect_end()?;
    Ok(set(&name, value))
}

pub(super) fn show(words: &mut Words<'_>) -> PgResult<Statement> {
    words.expect("SHOW")?;
    let show = if words.take("ALL") {
        Show::All
    } else {
        Show::Name(special_or_name(words)?)
    };
    words.expect_end()?;
    Ok(Statement::Show(show))
}

pub(super) fn reset(words: &mut Words<'_>) -> PgResult<Statement> {
    words.expect("RESET")?;
    let name = if words.take("ALL") {
        None
    } else {
        Some(special_or_name(words)?)
    };
    words.expect_end()?;
    Ok(Statement::Reset(name))
}

pub(super) fn begin(words: &mut Words<'_>) -> PgResult<Statement> {
    let start = words.take("START");
    if start {
        words.expect("TRANSACTION")?;
    } else {
        words.expect("BEGIN")?;
        let _ = words.take("WORK") || words.take("TRANSACTION");
    }
    let modes = if words.is_done() {
        TransactionModes::default()
    } else {
        modes(words)?
    };
    Ok(Statement::Begin(TransactionModes { start, ..modes }))
}

fn special_or_name(words: &mut Words<'_>) -> PgResult<String> {
    for (spelling, name) in [
        ("TIME ZONE", "timezone"),
        ("TRANSACTION ISOLATION LEVEL", "transaction_isolation"),
        ("SESSION AUTHORIZATION", "session_authorization"),
        ("NAMES", "client_encoding"),
    ] {
        if words.take(spelling) {
            return Ok(name.to_owned());
        }
    }
    setting_name(words)
}

fn setting_name(words: &mut Words<'_>) -> PgResult<String> {
    let mut name = words.name()?;
    while words.take_token(&Token::Period) {
        name.push('.');
        name.push_str(&words.name()?);
    }
    Ok(name)
}

fn role(words: &mut Words<'_>, local: bool, name: &str) -> PgResult<Statement> {
    let value = if words.take("DEFAULT") {
        SetValue::Default
    } else if let Some(text) = words.string_if_next() {
        SetValue::List(vec![text])
    } else {
        SetValue::List(vec![words.name()?])
    };
    words.expect_end()?;
    Ok(Statement::Set(Set {
        local,
        name: name.to_owned(),
        value,
    }))
}

fn values(words: &mut Words<'_>) -> PgResult<SetValue> {
    if words.take("DEFAULT") {
        return Ok(SetValue::Default);
    }
    let mut list = Vec::new();
    loop {
        list.push(
            match words.string_if_next().or_else(|| words.number_if_next()) {
                Some(text) => text,
                None => words.name()?,
            },
        );
        if !words.take_token(&Token::Comma) {
            return Ok(SetValue::List(list));
        }
    }
}

fn time_zone(words: &mut Words<'_>) -> PgResult<SetValue> {
    if words.take("LOCAL") || words.take("DEFAULT") {
        return Ok(SetValue::Default);
    }
    if words.take("INTERVAL") {
        let text = words.string()?;
        // The fields (HOUR TO MINUTE) are said by the text already.
        words.rest_tokens();
        return Ok(SetValue::List(vec![text]));
    }
    let zone = match words.string_if_next().or_else(|| words.number_if_next()) {
        Some(text) => text,
        None => words.name()?,
    };
    Ok(SetValue::List(vec![zone]))
}

fn modes(words: &mut Words<'_>) -> PgResult<TransactionModes> {
    let mut modes = TransactionModes::default();
    loop {
        if words.take("ISOLATION LEVEL") {
            let level = [
                "READ UNCOMMITTED",
                "READ COMMITTED",
                "REPEATABLE READ",
                "SERIALIZABLE",
            ]
            .into_iter()
            .find(|level| words.take(level));
            match level {
                Some(level) => modes.isolation = Some(level.to_ascii_lowercase()),
                None => return Err(words.unexpected()),
            }
        } else if words.take("READ ONLY") {
            modes.read_only = Some(true);
        } else if words.take("READ WRITE") {
            modes.read_only = Some(false);
        } else if words.take("NOT DEFERRABLE") {
            modes.deferrable = Some(false);
        } else if words.take("DEFERRABLE") {
            modes.deferrable = Some(true);
        } else if words.take("SNAPSHOT") {
            return Err(PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "SET TRANSACTION SNAPSHOT is not supported",
            )
            .hint("SET snapshot = '<commit>' reads a commit."));
        } else {
            return Err(words.unexpected());
        }
        words.take_token(&Token::Comma);
        if words.is_done() {
            return Ok(modes);
        }
    }
}
