//! The statements that are neither queries nor about settings, cursors or COPY.

use sqlparser::ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::rewrite::everything_from;
use super::words::Words;
use super::{Explain, ExplainFormat, Prepare, Statement};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

pub(super) fn explain(words: &mut Words<'_>) -> PgResult<Statement> {
    words.expect("EXPLAIN")?;
    let mut explain = Explain {
        analyze: false,
        verbose: false,
        costs: true,
        format: ExplainFormat::Text,
        statement: Statement::Discard(String::new()),
    };
    let options = words.peek() == Some(&Token::LParen) && {
        // `EXPLAIN (SELECT 1)` is a query in parentheses, not options.
        words.take_token(&Token::LParen);
        let query = words.peek_word().is_some_and(|word| {
            ["select", "with", "values", "table"]
                .iter()
                .any(|start| word.eq_ignore_ascii_case(start))
        });
        if query {
            let tokens = words.parenthesised()?;
            words.expect_end()?;
            explain.statement = words.statement_of(tokens)?.statement;
            return Ok(Statement::Explain(Box::new(explain)));
        }
        true
    };
    if options {
        explain_options(words, &mut explain)?;
    } else {
        explain.analyze = words.take("ANALYZE") || words.take("ANALYSE");
        explain.verbose = words.take("VERBOSE");
    }
    explain.statement = words.rest_statement()?.statement;
    Ok(Statement::Explain(Box::new(explain)))
}

fn explain_options(words: &mut Words<'_>, explain: &mut Explain) -> PgResult<()> {
    loop {
        let position = words.position();
        let name = words.name()?;
        let value = match words.peek() {
            Some(Token::Comma | Token::RParen) => None,
            _ => Some(
                match words.string_if_next().or_else(|| words.number_if_next()) {
                    Some(value) => value.to_ascii_lowercase(),
                    None => words.name()?,
                },
            ),
        };
        let on = !matches!(value.as_deref(), Some("off" | "false" | "0" | "no"));
        match name.as_str() {
            "analyze" => explain.analyze = on,
            "verbose" => explain.verbose = on,
            "costs" => explain.costs = on,
            "buffers" | "timing" | "summary" | "settings" | "wal" | "generic_plan" => {}
            "format" => match value.as_deref() {
                Some("json") => explain.format = ExplainFormat::Json,
                Some("text") => explain.format = ExplainFormat::Text,
                Some("xml") => explain.format = ExplainFormat::Xml,
                Some("yaml") => explain.format = ExplainFormat::Yaml,
                other => {
                    return Err(PgError::new(
                        sqlstate::INVALID_PARAMETER_VALUE,
                        format!(
                            "unrecognized value for EXPLAIN option \"format\": \"{}\"",
                            other.unwrap_or_default()
                        ),
                    )
                    .at(position));
                }
            },
            _ => {
                return Err(PgError::new(
                    sqlstate::SYNTAX_ERROR,
                    format!("unrecognized EXPLAIN option \"{name}\""),
                )
                .at(position));
            }
        }
        if !words.take_token(&Token::Comma) {
            return words.expect_token(&Token::RParen);
        }
    }
}

fn chain(words: &mut Words<'_>) -> PgResult<bool> {
    let _ = words.take("WORK") || words.take("TRANSACTION");
    let chain = words.take("AND CHAIN");
    if !chain {
        words.take("AND NO CHAIN");
    }
    words.expect_end()?;
    Ok(chain)
}

fn no_two_phase(words: &Words<'_>) -> PgError {
    PgError::new(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "two-phase commit is not supported",
    )
    .at(words.position())
}

pub(super) fn commit(words: &mut Words<'_>) -> PgResult<Statement> {
    words.next();
    if words
        .peek_word()
        .is_some_and(|word| word.eq_ignore_ascii_case("PREPARED"))
    {
        return Err(no_two_phase(words));
    }
    Ok(Statement::Commit {
        chain: chain(words)?,
    })
}

pub(super) fn rollback(words: &mut Words<'_>) -> PgResult<Statement> {
    words.next();
    if words
        .peek_word()
        .is_some_and(|word| word.eq_ignore_ascii_case("PREPARED"))
    {
        return Err(no_two_phase(words));
    }
    let _ = words.take("WORK") || words.take("TRANSACTION");
    if words.take("TO") {
        words.take("SAVEPOINT");
        let name = words.name()?;
        words.expect_end()?;
        return Ok(Statement::RollbackTo(name));
    }
    Ok(Statement::Rollback {
        chain: chain(words)?,
    })
}

pub(super) fn savepoint(words: &mut Words<'_>) -> PgResult<Statement> {
    words.expect("SAVEPOINT")?;
    let name = words.name()?;
    words.expect_end()?;
    Ok(Statement::Savepoint(name))
}

pub(super) fn release(words: &mut Words<'_>) -> PgResult<Statement> {
    words.expect("RELEASE")?;
    words.take("SAVEPOINT");
    let name = words.name()?;
    words.expect_end()?;
    Ok(Statement::Release(name))
}

pub(super) fn prepare(words: &mut Words<'_>) -> PgResult<Statement> {
    words.expect("PREPARE")?;
    if words
        .peek_word()
        .is_some_and(|word| word.eq_ignore_ascii_case("TRANSACTION"))
    {
        return Err(no_two_phase(words));
    }
    let name = words.name()?;
    let types = if words.take_token(&Token::LParen) {
        let tokens = words.parenthesised()?;
        words.parse(tokens, |parser| {
            parser.parse_comma_separated(Parser::parse_data_type)
        })?
    } else {
        Vec::new()
    };
    words.expect("AS")?;
    let statement = words.rest_statement()?;
    Ok(Statement::Prepare(Box::new(Prepare {
        name,
        types,
        statement,
    })))
}

pub(super) fn execute(words: &mut Words<'_>) -> PgResult<Statement> {
    words.expect("EXECUTE")?;
    let name = words.name()?;
    let arguments = if words.take_token(&Token::LParen) {
        let tokens = words.parenthesised()?;
        words.expressions(tokens)?
    } else {
        Vec::new()
    };
    words.expect_end()?;
    Ok(Statement::Execute { name, arguments })
}

pub(super) fn deallocate(words: &mut Words<'_>) -> PgResult<Statement> {
    words.expect("DEALLOCATE")?;
    words.take("PREPARE");
    let name = if words.take("ALL") {
        None
    } else {
        Some(words.name()?)
    };
    words.expect_end()?;
    Ok(Statement::Deallocate(name))
}

pub(super) fn truncate(words: &mut Words<'_>) -> PgResult<Statement> {
    words.expect("TRUNCATE")?;
    words.take("TABLE");
    let mut tables = Vec::new();
    loop {
        words.take("ONLY");
        tables.push(words.qualified_name()?);
        words.take_token(&Token::Mul);
        if !words.take_token(&Token::Comma) {
            break;
        }
    }
    let _ = words.take("RESTART IDENTITY") || words.take("CONTINUE IDENTITY");
    let cascade = words.take("CASCADE");
    if !cascade {
        words.take("RESTRICT");
    }
    words.expect_end()?;
    Ok(Statement::Truncate { tables, cascade })
}

pub(super) fn discard(words: &mut Words<'_>) -> PgResult<Statement> {
    words.expect("DISCARD")?;
    let what = ["ALL", "PLANS", "SEQUENCES", "TEMPORARY", "TEMP"]
        .into_iter()
        .find(|what| words.take(what))
        .ok_or_else(|| words.unexpected())?;
    words.expect_end()?;
    Ok(Statement::Discard(
        if what == "TEMPORARY" { "TEMP" } else { what }.to_owned(),
    ))
}

pub(super) fn notify(words: &mut Words<'_>) -> PgResult<Statement> {
    let statement = if words.take("LISTEN") {
        Statement::Listen(words.name()?)
    } else if words.take("UNLISTEN") {
        if words.take_token(&Token::Mul) {
            Statement::Unlisten(None)
        } else {
            Statement::Unlisten(Some(words.name()?))
        }
    } else {
        words.expect("NOTIFY")?;
        let channel = words.name()?;
        let payload = if words.take_token(&Token::Comma) {
            words.string()?
        } else {
            String::new()
        };
        Statement::Notify { channel, payload }
    };
    words.expect_end()?;
    Ok(statement)
}

pub(super) fn call(words: &mut Words<'_>) -> PgResult<Statement> {
    words.expect("CALL")?;
    let unexpected = words.unexpected();
    let tokens = words.rest_tokens();
    let called = words.parse(tokens.clone(), |parser| parser.parse_expr())?;
    if !matches!(&called, ast::Expr::Function(function) if function.args != ast::FunctionArguments::None)
    {
        return Err(unexpected);
    }
    let query = words.parse(everything_from(tokens), |parser| parser.parse_query())?;
    Ok(Statement::Call(query))
}

pub(super) fn create_or_drop(words: &mut Words<'_>) -> PgResult<Statement> {
    if words.take("CREATE SCHEMA") {
        let if_not_exists = words.take("IF NOT EXISTS");
        let position = words.position();
        if words.take("AUTHORIZATION") {
            let name = words.name()?;
            words.expect_end()?;
            return Ok(Statement::CreateSchema {
                name,
                if_not_exists,
                position,
            });
        }
        let name = words.name()?;
        if words.take("AUTHORIZATION") {
            words.name()?;
        }
        words.expect_end()?;
        return Ok(Statement::CreateSchema {
            name,
            if_not_exists,
            position,
        });
    }
    if words.take("CREATE DATABASE") {
        return create_database(words);
    }
    if words.take("DROP DATABASE") {
        let if_exists = words.take("IF EXISTS");
        let name = words.name()?;
        words.expect_end()?;
        return Ok(Statement::DropDatabase { name, if_exists });
    }
    if words.take("DROP SCHEMA") {
        let if_exists = words.take("IF EXISTS");
        let position = words.position();
        let mut names = vec![words.name()?];
        while words.take_token(&Token::Comma) {
            names.push(words.name()?);
        }
        let cascade = words.take("CASCADE");
        if !cascade {
            words.take("RESTRICT");
        }
        words.expect_end()?;
        return Ok(Statement::DropSchema {
            names,
            if_exists,
            cascade,
            position,
        });
    }
    if words.take("CREATE EXTENSION") {
        let if_not_exists = words.take("IF NOT EXISTS");
        let name = words.name()?;
        words.rest_tokens();
        return Ok(Statement::CreateExtension {
            name,
            if_not_exists,
        });
    }
    let verb = words.name()?.to_ascii_uppercase();
    other_with(words, verb)
}

/// `CREATE DATABASE name [WITH (schema => $$…$$, policy => $$…$$)]`. PostgreSQL's own options are about what one
/// server has once: an encoding is accepted if it is the one there is.
fn create_database(words: &mut Words<'_>) -> PgResult<Statement> {
    let name = words.name()?;
    words.take("WITH");
    let mut schema = String::new();
    let mut policy = None;
    if words.take_token(&Token::LParen) {
        loop {
            let is_policy = words.take("POLICY");
            if !is_policy {
                words.expect("SCHEMA")?;
            }
            words.expect_token(&Token::RArrow)?;
            let text = words.string()?;
            match is_policy {
                true => policy = Some(text),
                false => schema = text,
            }
            if !words.take_token(&Token::Comma) {
                break;
            }
        }
        words.expect_token(&Token::RParen)?;
    } else if words.take("ENCODING") {
        words.take_token(&Token::Eq);
        let position = words.position();
        let encoding = words.string()?;
        if !["utf8", "utf-8", "unicode"].contains(&encoding.to_ascii_lowercase().as_str()) {
            return Err(PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!("encoding \"{encoding}\" is not supported"),
            )
            .hint("Texts are UTF8.")
            .at(position));
        }
    }
    words.expect_end()?;
    Ok(Statement::CreateDatabase {
        name,
        schema,
        policy,
    })
}

pub(super) fn other(words: &mut Words<'_>, verb: &str) -> PgResult<Statement> {
    words.next();
    Ok(match verb {
        "ALTER" => return other_with(words, verb.to_owned()),
        "REFRESH" => Statement::Other {
            tag: "REFRESH MATERIALIZED VIEW".to_owned(),
        },
        _ => Statement::Other {
            tag: verb.to_owned(),
        },
    })
}

/// `CREATE [OR REPLACE] [TEMP] … TABLE` and its kind: the verb and the object's words.
fn other_with(words: &mut Words<'_>, mut tag: String) -> PgResult<Statement> {
    let _ = words.take("OR REPLACE");
    let _ = words.take("GLOBAL") || words.take("LOCAL");
    for skipped in ["UNIQUE", "UNLOGGED", "RECURSIVE"] {
        words.take(skipped);
    }
    if words.take("TEMPORARY") || words.take("TEMP") {
        tag.push_str(" TEMP");
    }
    const OBJECTS: &[&str] = &[
        "MATERIALIZED VIEW",
        "FOREIGN TABLE",
        "FOREIGN DATA WRAPPER",
        "EVENT TRIGGER",
        "ACCESS METHOD",
        "TEXT SEARCH",
        "PROPERTY GRAPH",
        "LARGE OBJECT",
        "CONSTRAINT TRIGGER",
        "TRUSTED LANGUAGE",
        "PROCEDURAL LANGUAGE",
        "ROUTINE",
        "TRANSFORM",
        "OPERATOR CLASS",
        "OPERATOR FAMILY",
        "USER MAPPING",
        "DEFAULT PRIVILEGES",
        "TABLE",
        "VIEW",
        "INDEX",
        "SEQUENCE",
        "FUNCTION",
        "PROCEDURE",
        "AGGREGATE",
        "TRIGGER",
        "RULE",
        "POLICY",
        "ROLE",
        "USER",
        "GROUP",
        "DATABASE",
        "TYPE",
        "DOMAIN",
        "EXTENSION",
        "SERVER",
        "PUBLICATION",
        "SUBSCRIPTION",
        "TABLESPACE",
        "COLLATION",
        "CONVERSION",
        "CAST",
        "STATISTICS",
        "OPERATOR",
        "LANGUAGE",
        "SCHEMA",
        "SYSTEM",
        "OWNED",
    ];
    let Some(object) = OBJECTS.iter().find(|object| words.take(object)) else {
        return Err(words.unexpected());
    };
    tag.push(' ');
    tag.push_str(object);
    words.rest_tokens();
    Ok(Statement::Other { tag })
}

pub(super) fn maintenance(words: &mut Words<'_>, verb: &str) -> Statement {
    words.next();
    Statement::Maintenance {
        verb: if verb == "ANALYSE" {
            "ANALYZE".to_owned()
        } else {
            verb.to_owned()
        },
        rest: words.rest_text(),
    }
}
