//! A query string into statements. The text is tokenised once; every token keeps its place, so
//! that errors can point at it. Queries and DML go through `sqlparser`; everything else
//! (settings, transactions, cursors, COPY, …) is read here from the tokens, because PostgreSQL
//! accepts more spellings than the parser knows.

mod copy;
mod cursor;
mod depth;
mod destroys;
mod dialect;
pub mod graph_table;
mod misplaced;
mod rewrite;
mod settings;
mod tokenize;
mod utility;
mod vacuum;
mod words;

use std::sync::Arc;

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::bind;
use crate::error::{PgError, PgResult};
use crate::sqlstate;

pub use copy::{Copy, CopyDirection, CopyOption, CopySource};
pub use cursor::{Declare, Fetch, FetchDirection};
use misplaced::{Misplaced, Missing};
pub use rewrite::NOTHING;
pub use settings::{Set, SetValue, Show, TransactionModes};
use tokenize::tokenize;
pub use vacuum::Vacuum;
use words::Words;

/// One statement of a query string.
#[derive(Debug, Clone)]
pub struct ParsedStatement {
    pub statement: Statement,
    /// The statement's own text, without the semicolon.
    pub text: String,
    /// Turns places in the syntax tree into positions in the whole query string.
    pub positions: Arc<Positions>,
}

#[derive(Debug, Clone)]
pub enum Statement {
    /// SELECT, VALUES, TABLE, WITH … SELECT.
    Query(Box<ast::Query>),
    Insert(Box<ast::Insert>),
    Update(Box<ast::Update>),
    Delete(Box<ast::Delete>),
    Merge(Box<ast::Merge>),
    /// WITH in which something writes.
    With(Box<ast::Query>),
    Explain(Box<Explain>),
    Set(Set),
    /// `SET TRANSACTION`; with `session`: `SET SESSION CHARACTERISTICS AS TRANSACTION`.
    SetTransaction {
        session: bool,
        modes: TransactionModes,
    },
    /// `SET CONSTRAINTS`: nothing here is deferrable.
    SetConstraints,
    Show(Show),
    /// `None`: RESET ALL.
    Reset(Option<String>),
    Begin(TransactionModes),
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    Prepare(Box<Prepare>),
    Execute {
        name: String,
        arguments: Vec<ast::Expr>,
    },
    /// `None`: DEALLOCATE ALL.
    Deallocate(Option<String>),
    Declare(Box<Declare>),
    /// FETCH, and MOVE with `Fetch::moves`.
    Fetch(Fetch),
    /// `None`: CLOSE ALL.
    Close(Option<String>),
    Copy(Box<Copy>),
    CreateSchema {
        name: String,
        if_not_exists: bool,
        position: u32,
    },
    DropSchema {
        names: Vec<String>,
        if_exists: bool,
        cascade: bool,
        position: u32,
    },
    /// With the graph's schema, which may say nothing yet.
    CreateDatabase {
        name: String,
        schema: String,
        policy: Option<String>,
    },
    DropDatabase {
        name: String,
        if_exists: bool,
    },
    /// CREATE, ALTER and DROP of tables and indexes.
    Define(Box<ast::Statement>),
    Truncate {
        tables: Vec<QualifiedName>,
        cascade: bool,
    },
    /// ALL, PLANS, SEQUENCES, TEMP.
    Discard(String),
    Listen(String),
    /// `None`: UNLISTEN *.
    Unlisten(Option<String>),
    Notify {
        channel: String,
        payload: String,
    },
    /// `CALL f(…)`, as `SELECT * FROM f(…)`.
    Call(Box<ast::Query>),
    Vacuum(Vacuum),
    /// ANALYZE, REINDEX, CHECKPOINT and LOCK: the first word, and the rest as text.
    Maintenance {
        verb: String,
        rest: String,
    },
    /// `CREATE EXTENSION IF NOT EXISTS name`.
    CreateExtension {
        name: String,
        if_not_exists: bool,
    },
    /// Everything PostgreSQL has and this server does not, by its command tag: `CREATE TABLE`.
    Other {
        tag: String,
    },
}

impl Statement {
    /// Is it bound before it runs? Then its parameters and columns are known.
    pub fn is_bound(&self) -> bool {
        matches!(self, Statement::Query(_)) || self.is_write()
    }

    /// INSERT, UPDATE, DELETE, MERGE, alone or in WITH.
    pub fn is_write(&self) -> bool {
        matches!(
            self,
            Statement::Insert(_)
                | Statement::Update(_)
                | Statement::Delete(_)
                | Statement::Merge(_)
                | Statement::With(_)
        )
    }
}

/// A possibly qualified name, folded, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QualifiedName {
    pub schema: Option<String>,
    pub name: String,
    pub position: u32,
}

#[derive(Debug, Clone)]
pub struct Explain {
    pub analyze: bool,
    pub verbose: bool,
    pub costs: bool,
    pub format: ExplainFormat,
    pub statement: Statement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExplainFormat {
    Text,
    Json,
    Xml,
    Yaml,
}

#[derive(Debug, Clone)]
pub struct Prepare {
    pub name: String,
    pub types: Vec<ast::DataType>,
    pub statement: ParsedStatement,
}

/// The lines of a query string: places in the syntax tree are lines and columns, PostgreSQL's
/// positions are 1-based characters of the whole.
#[derive(Debug, Clone, Default)]
pub struct Positions {
    line_starts: Vec<u32>,
    /// The byte at which each [`STRIDE`]th character begins, so that a piece is cut out of a
    /// long text without counting from its start.
    marks: Vec<usize>,
    length: u32,
    /// Where the statements end that end in a semicolon.
    semicolons: Vec<u32>,
}

const STRIDE: u32 = 256;

impl Positions {
    pub fn new(sql: &str) -> Self {
        let mut line_starts = vec![0];
        let mut marks = Vec::with_capacity(sql.len() / STRIDE as usize + 1);
        let mut length = 0;
        for (byte, c) in sql.char_indices() {
            if length % STRIDE == 0 {
                marks.push(byte);
            }
            length += 1;
            if c == '\n' {
                line_starts.push(length);
            }
        }
        Positions {
            line_starts,
            marks,
            length,
            semicolons: Vec::new(),
        }
    }

    fn with_semicolons(mut self, tokens: &[TokenWithSpan]) -> Self {
        let semicolons = tokens
            .iter()
            .filter(|token| token.token == Token::SemiColon)
            .filter_map(|token| self.of_span(token.span));
        self.semicolons = semicolons.collect();
        self
    }

    /// The byte at which a character (counted from 0) begins in the text this was made of.
    fn byte(&self, sql: &str, character: u32) -> usize {
        let Some(&mark) = self.marks.get((character / STRIDE) as usize) else {
            return sql.len();
        };
        let rest = sql.get(mark..).unwrap_or_default();
        let within = rest.char_indices().nth((character % STRIDE) as usize);
        within.map_or(sql.len(), |(byte, _)| mark + byte)
    }

    /// `None` for a place that nobody knows.
    pub fn of(&self, location: Location) -> Option<u32> {
        let line = usize::try_from(location.line).ok()?.checked_sub(1)?;
        let start = *self.line_starts.get(line)?;
        let column = u32::try_from(location.column).ok()?;
        (column > 0).then_some((start + column).min(self.length + 1))
    }

    pub fn of_span(&self, span: Span) -> Option<u32> {
        self.of(span.start)
    }

    pub fn end(&self) -> u32 {
        self.length + 1
    }
}

/// Splits and parses a query string. An error anywhere is an error of the whole, with
/// PostgreSQL's words and position. Empty statements are left out.
pub fn parse(sql: &str) -> PgResult<Vec<ParsedStatement>> {
    let positions = Positions::new(sql);
    let tokens = tokenize(sql, &positions)?;
    let positions = Arc::new(positions.with_semicolons(&tokens));
    let tokens = graph_table::fold(sql, tokens, &positions)?;
    let mut statements = Vec::new();
    for tokens in tokens.split(|token| token.token == Token::SemiColon) {
        let tokens: Vec<TokenWithSpan> = tokens
            .iter()
            .filter(|token| !matches!(token.token, Token::Whitespace(_)))
            .cloned()
            .collect();
        if tokens.is_empty() {
            continue;
        }
        statements.push(parse_tokens(sql, tokens, &positions)?);
    }
    Ok(statements)
}

/// Parses an expression that stands alone: a default, a check, the text of a predicate.
pub fn parse_expression(sql: &str) -> PgResult<(ast::Expr, Arc<Positions>)> {
    let positions = Arc::new(Positions::new(sql));
    let tokens = tokenize(sql, &positions)?;
    let tokens = tokens
        .into_iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)))
        .collect();
    let tokens = rewrite::to_parser_dialect(tokens);
    let expr = run_parser(tokens, &positions, |parser| parser.parse_expr())?;
    Ok((expr, positions))
}

/// The syntax of a query that the server makes: a quoted name that is among `names` becomes
/// the one beside it, and `$1` the first value of those that are bound already from `first` on.
pub fn template(sql: &str, names: &[(&str, &str)], first: usize) -> PgResult<ast::Query> {
    let positions = Arc::new(Positions::default());
    let mut tokens = tokenize(sql, &positions)?;
    for token in &mut tokens {
        match &mut token.token {
            Token::Word(word) if word.quote_style.is_some() => {
                if let Some((_, name)) = names.iter().find(|(known, _)| *known == word.value) {
                    word.value = (*name).to_owned();
                }
            }
            Token::Placeholder(name) => {
                let number = name.trim_start_matches('$').parse::<usize>().unwrap_or(1);
                *name = format!("{}{}", bind::GIVEN, first + number.saturating_sub(1));
            }
            _ => {}
        }
        token.span = Span::empty();
    }
    match parse_sql(tokens, &positions)? {
        Statement::Query(query) => Ok(*query),
        _ => Err(PgError::new(
            sqlstate::INTERNAL_ERROR,
            "a template that is not a query",
        )),
    }
}

fn parse_tokens(
    sql: &str,
    tokens: Vec<TokenWithSpan>,
    positions: &Arc<Positions>,
) -> PgResult<ParsedStatement> {
    let text = text_of(sql, &tokens, positions);
    let statement = classify(sql, tokens, positions)?;
    Ok(ParsedStatement {
        statement,
        text,
        positions: Arc::clone(positions),
    })
}

/// What a run of tokens says, comments between them included.
fn text_of(sql: &str, tokens: &[TokenWithSpan], positions: &Positions) -> String {
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
        return String::new();
    };
    let start = positions.of(first.span.start).unwrap_or(1) - 1;
    let end = positions.of(last.span.end).unwrap_or(positions.end()) - 1;
    let bytes = positions.byte(sql, start)..positions.byte(sql, end);
    sql.get(bytes).unwrap_or_default().to_owned()
}

fn classify(
    sql: &str,
    tokens: Vec<TokenWithSpan>,
    positions: &Arc<Positions>,
) -> PgResult<Statement> {
    let mut words = Words::new(sql, &tokens, positions);
    let first = words
        .peek_word()
        .map(str::to_ascii_uppercase)
        .unwrap_or_default();
    let defines = [
        "CREATE TABLE",
        "ALTER TABLE",
        "DROP TABLE",
        "CREATE INDEX",
        "CREATE UNIQUE INDEX",
        "DROP INDEX",
    ];
    if defines.iter().any(|begin| words.begins_with(begin)) {
        let statement = run_parser(tokens, positions, |parser| parser.parse_statement())?;
        return Ok(Statement::Define(Box::new(statement)));
    }
    match first.as_str() {
        "SELECT" | "WITH" | "VALUES" | "TABLE" | "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "" => {
            parse_sql(tokens, positions)
        }
        "EXPLAIN" => utility::explain(&mut words),
        "SET" => settings::set(&mut words),
        "SHOW" => settings::show(&mut words),
        "RESET" => settings::reset(&mut words),
        "BEGIN" | "START" => settings::begin(&mut words),
        "COMMIT" | "END" => utility::commit(&mut words),
        "ROLLBACK" | "ABORT" => utility::rollback(&mut words),
        "SAVEPOINT" => utility::savepoint(&mut words),
        "RELEASE" => utility::release(&mut words),
        "PREPARE" => utility::prepare(&mut words),
        "EXECUTE" => utility::execute(&mut words),
        "DEALLOCATE" => utility::deallocate(&mut words),
        "DECLARE" => cursor::declare(&mut words),
        "FETCH" | "MOVE" => cursor::fetch(&mut words),
        "CLOSE" => cursor::close(&mut words),
        "COPY" => copy::copy(&mut words),
        "TRUNCATE" => utility::truncate(&mut words),
        "DISCARD" => utility::discard(&mut words),
        "LISTEN" | "UNLISTEN" | "NOTIFY" => utility::notify(&mut words),
        "CALL" => utility::call(&mut words),
        "CREATE" | "DROP" => utility::create_or_drop(&mut words),
        "VACUUM" => vacuum::vacuum(&mut words),
        "ANALYZE" | "ANALYSE" | "REINDEX" | "CHECKPOINT" | "LOCK" | "CLUSTER" => {
            Ok(utility::maintenance(&mut words, &first))
        }
        "ALTER" | "COMMENT" | "GRANT" | "REVOKE" | "DO" | "REFRESH" | "REASSIGN" | "SECURITY"
        | "IMPORT" | "LOAD" => utility::other(&mut words, &first),
        _ => {
            // A parenthesis opens a query; anything else is no statement at all.
            if matches!(
                tokens.first().map(|token| &token.token),
                Some(Token::LParen)
            ) {
                parse_sql(tokens, positions)
            } else {
                Err(words.unexpected())
            }
        }
    }
}

/// Queries and DML.
fn parse_sql(tokens: Vec<TokenWithSpan>, positions: &Arc<Positions>) -> PgResult<Statement> {
    let Some(misplaced) = misplaced::find(&tokens) else {
        return parse_well_placed(tokens, positions);
    };
    let error = misplaced_error(&misplaced, &tokens, positions);
    let comes_first = |other: &PgError| other.position < error.position;
    let other = match parse_well_placed(tokens.clone(), positions) {
        Err(other) if other.code != sqlstate::SYNTAX_ERROR || comes_first(&other) => other,
        _ => return Err(error),
    };
    // An error before the place is one of its own if it stays when what is missing is there.
    let mended = misplaced.mended(&tokens);
    Err(
        match mended.map(|tokens| parse_well_placed(tokens, positions)) {
            Some(Ok(_)) => error,
            Some(Err(later)) if !comes_first(&later) => error,
            _ => other,
        },
    )
}

fn parse_well_placed(
    tokens: Vec<TokenWithSpan>,
    positions: &Arc<Positions>,
) -> PgResult<Statement> {
    let value = tokens.iter().find(|token| is_value_keyword(&token.token));
    let value = value.map(|token| near(token, positions));
    let tokens = rewrite::to_parser_dialect(tokens);
    let statement = run_parser(tokens, positions, |parser| parser.parse_statement())?;
    Ok(match statement {
        // WITH … INSERT and its kind arrive inside a query.
        ast::Statement::Query(query) if bind::writes(&query) => Statement::With(query),
        ast::Statement::Query(query) => Statement::Query(query),
        ast::Statement::Insert(insert) => match value {
            Some(error) if is_value_list(&insert) => return Err(error),
            _ => Statement::Insert(Box::new(insert)),
        },
        ast::Statement::Update(update) => Statement::Update(Box::new(update)),
        ast::Statement::Delete(delete) => Statement::Delete(Box::new(delete)),
        ast::Statement::Merge(merge) => Statement::Merge(Box::new(merge)),
        other => Statement::Other {
            tag: other
                .to_string()
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase(),
        },
    })
}

/// `VALUE`, which other systems take for `VALUES`.
fn is_value_keyword(token: &Token) -> bool {
    matches!(token, Token::Word(word) if word.keyword == Keyword::VALUE)
}

fn is_value_list(insert: &ast::Insert) -> bool {
    let body = insert.source.as_ref().map(|source| source.body.as_ref());
    matches!(body, Some(ast::SetExpr::Values(values)) if values.value_keyword)
}

fn misplaced_error(
    misplaced: &Misplaced,
    tokens: &[TokenWithSpan],
    positions: &Positions,
) -> PgError {
    let Some(token) = tokens.get(misplaced.at) else {
        return at_end(tokens, positions);
    };
    let number = misplaced.at.checked_sub(1).and_then(|at| tokens.get(at));
    match (&misplaced.missing, number) {
        (Missing::Space, Some(number)) => PgError {
            message: format!(
                "trailing junk after numeric literal at or near \"{}{}\"",
                number.token, token.token
            ),
            ..near(number, positions)
        },
        _ => near(token, positions),
    }
}

/// Runs `sqlparser` over all of the tokens.
fn run_parser<T>(
    tokens: Vec<TokenWithSpan>,
    positions: &Positions,
    parse: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
) -> PgResult<T> {
    depth::check(&tokens)?;
    let dialect = dialect::of(&tokens);
    let kept = tokens.clone();
    let mut parser = Parser::new(dialect)
        .with_recursion_limit(depth::MAX_DEPTH)
        .with_tokens_with_locations(tokens);
    let parsed = parse(&mut parser).map_err(|error| syntax_error(&error, &kept, positions))?;
    match parser.peek_token_ref() {
        rest if rest.token == Token::EOF => Ok(parsed),
        rest => Err(stumbled(rest, &kept, positions)),
    }
}

/// The parser's message ends in ` at Line: l, Column: c`, the place of the token it stumbled on.
fn syntax_error(error: &ParserError, tokens: &[TokenWithSpan], positions: &Positions) -> PgError {
    let text = match error {
        ParserError::RecursionLimitExceeded => return depth::too_deep(),
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
    };
    let place = text.rsplit_once(" at Line: ").and_then(|(_, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some(Location {
            line: line.trim().parse().ok()?,
            column: column.trim().parse().ok()?,
        })
    });
    let found = place.and_then(|place| tokens.iter().find(|token| token.span.start == place));
    match found {
        Some(token) => stumbled(token, tokens, positions),
        None => at_end(tokens, positions),
    }
}

/// The error for a token that cannot stand where it does.
fn stumbled(token: &TokenWithSpan, tokens: &[TokenWithSpan], positions: &Positions) -> PgError {
    let before = tokens
        .iter()
        .take_while(|other| other.span.start != token.span.start)
        .collect::<Vec<_>>();
    if let [.., limit, _] = before.as_slice()
        && token.token == Token::Comma
        && matches!(&limit.token, Token::Word(word) if word.keyword == Keyword::LIMIT)
    {
        return PgError {
            message: "LIMIT #,# syntax is not supported".to_owned(),
            ..near(limit, positions)
        }
        .hint("Use separate LIMIT and OFFSET clauses.");
    }
    near(token, positions)
}

/// A statement that is not complete.
fn at_end(tokens: &[TokenWithSpan], positions: &Positions) -> PgError {
    let error =
        |text: &str| PgError::new(sqlstate::SYNTAX_ERROR, format!("syntax error at {text}"));
    let end = end_of(tokens, positions);
    match positions.semicolons.iter().find(|place| **place >= end) {
        Some(place) => error("or near \";\"").at(*place),
        None => error("end of input").at(positions.end()),
    }
}

fn end_of(tokens: &[TokenWithSpan], positions: &Positions) -> u32 {
    tokens
        .last()
        .and_then(|token| positions.of(token.span.end))
        .unwrap_or_else(|| positions.end())
}

fn near(token: &TokenWithSpan, positions: &Positions) -> PgError {
    let error = PgError::new(
        sqlstate::SYNTAX_ERROR,
        format!("syntax error at or near \"{}\"", token.token),
    );
    match positions.of(token.span.start) {
        Some(place) => error.at(place),
        None => error,
    }
}

/// An identifier as PostgreSQL folds it: lower case unless quoted, at most 63 bytes.
pub fn fold(ident: &ast::Ident) -> String {
    let folded = match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    };
    truncate_name(folded)
}

/// Names are cut at 63 bytes, never inside a character.
pub fn truncate_name(mut name: String) -> String {
    if name.len() > 63 {
        let end = (0..=63)
            .rev()
            .find(|at| name.is_char_boundary(*at))
            .unwrap_or(0);
        name.truncate(end);
    }
    name
}

#[cfg(test)]
mod tests;
