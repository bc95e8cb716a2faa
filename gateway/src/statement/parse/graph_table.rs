//! `GRAPH_TABLE (graph MATCH … COLUMNS (…))`. Its body has a language of its own, so it is
//! folded into one string token for `sqlparser`, and read here when it is needed. Expressions
//! in it are `sqlparser`'s again, and every token keeps its place in the query.

use omnigraph_engine::pattern::{Direction, LabelExpression, Mode, Selector};
use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Word};

use super::{Positions, near, run_parser, text_of, tokenize, truncate_name};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// The function that a folded GRAPH_TABLE calls. No query can write this name.
pub const GRAPH_TABLE: &str = "\0graph_table";
/// The one that a folded `EXISTS (MATCH …)` reads from.
pub const MATCH: &str = "\0match";
/// What stands before the name of a function of paths and elements, which becomes a column.
pub const HIDDEN: char = '\0';

const ELEMENT_FUNCTIONS: [&str; 6] = [
    "path_length",
    "path_vertices",
    "path_edges",
    "path_cost",
    "element_id",
    "element_number",
];

#[derive(Debug, Clone)]
pub struct GraphTable {
    pub schema: Option<String>,
    pub graph: Name,
    pub time: Option<ast::Expr>,
    pub patterns: Patterns,
    pub rows: RowsPer,
    /// `None`: all properties of all variables.
    pub columns: Option<Vec<ast::SelectItem>>,
}

#[derive(Debug, Clone)]
pub struct Patterns {
    pub different_edges: bool,
    pub paths: Vec<PathPattern>,
    pub filter: Option<ast::Expr>,
}

/// A name as it is folded, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub text: String,
    pub at: Option<u32>,
}

#[derive(Debug, Clone)]
pub struct PathPattern {
    pub variable: Option<Name>,
    pub selector: Selector,
    pub mode: Mode,
    pub parts: Vec<Part>,
    pub at: Option<u32>,
}

#[derive(Debug, Clone)]
pub enum Part {
    Vertex(Element),
    Edge {
        element: Element,
        direction: Direction,
        quantifier: Option<Quantifier>,
    },
    Group {
        parts: Vec<Part>,
        filter: Option<ast::Expr>,
        quantifier: Option<Quantifier>,
        at: Option<u32>,
    },
}

#[derive(Debug, Clone)]
pub struct Element {
    pub variable: Option<Name>,
    pub label: Option<LabelExpression>,
    pub filter: Option<ast::Expr>,
    /// `{name: value, …}`.
    pub properties: Vec<(Name, ast::Expr)>,
    pub cost: Option<ast::Expr>,
    pub at: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantifier {
    pub min: u32,
    pub max: Option<u32>,
}

#[derive(Debug, Clone)]
pub enum RowsPer {
    Match,
    Vertex(Name),
    Step(Name, Name, Name),
}

/// Folds every GRAPH_TABLE into a call with its body as text. An error in one is reported
/// here, so that it is an error of the whole query string.
pub(super) fn fold(
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
fn fold_inside(
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
    error.at(super::end_of(tokens, positions))
}

fn is_word(token: &Token, word: &str) -> bool {
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

/// Reads the body of a GRAPH_TABLE that begins at this place of the query.
pub fn parse_graph_table(
    body: &str,
    start: Location,
    positions: &Positions,
) -> PgResult<GraphTable> {
    let mut reader = Reader::new(body, start, positions)?;
    let table = reader.graph_table()?;
    reader.expect_end()?;
    Ok(table)
}

/// Reads what stands in `EXISTS (MATCH …)`.
pub fn parse_match(body: &str, start: Location, positions: &Positions) -> PgResult<Patterns> {
    let mut reader = Reader::new(body, start, positions)?;
    reader.expect_word("MATCH")?;
    let patterns = reader.patterns()?;
    reader.expect_end()?;
    Ok(patterns)
}

/// A piece of the pattern language: a whole token, or one character of an operator, which
/// SQL's tokenizer joins (`]->` and `-*` are no operators here).
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Token(Token),
    Sign(char),
}

struct Reader<'a> {
    pieces: Vec<(Piece, usize)>,
    at: usize,
    tokens: Vec<TokenWithSpan>,
    positions: &'a Positions,
    end: Option<u32>,
}

impl<'a> Reader<'a> {
    fn new(body: &str, start: Location, positions: &'a Positions) -> PgResult<Self> {
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

    fn graph_table(&mut self) -> PgResult<GraphTable> {
        let mut graph = self.name()?;
        let mut schema = None;
        while self.take(&Piece::Token(Token::Period)) {
            schema = Some(graph.text);
            graph = self.name()?;
        }
        let mut time = None;
        if self.take_words(&["FOR", "SYSTEM_TIME", "AS", "OF"]) {
            time = Some(self.expression(&["MATCH"], &[])?);
        }
        self.expect_word("MATCH")?;
        let patterns = self.patterns()?;
        let mut rows = RowsPer::Match;
        if self.take_words(&["ONE", "ROW", "PER"]) {
            rows = self.rows()?;
        }
        let columns = match self.take_words(&["COLUMNS"]) {
            true => Some(self.columns()?),
            false => None,
        };
        Ok(GraphTable {
            schema,
            graph,
            time,
            patterns,
            rows,
            columns,
        })
    }

    fn patterns(&mut self) -> PgResult<Patterns> {
        let mut different_edges = false;
        if self.take_words(&["REPEATABLE"]) {
            if !self.take_words(&["ELEMENTS"]) {
                self.expect_word("ELEMENT")?;
            }
        } else if self.take_words(&["DIFFERENT"]) {
            if !self.take_words(&["EDGES"]) {
                self.expect_word("EDGE")?;
            }
            different_edges = true;
        }
        let mut paths = vec![self.path_pattern()?];
        while self.take(&Piece::Token(Token::Comma)) {
            paths.push(self.path_pattern()?);
        }
        let filter = match self.take_words(&["WHERE"]) {
            true => Some(self.expression(&["COLUMNS", "ONE"], &[])?),
            false => None,
        };
        Ok(Patterns {
            different_edges,
            paths,
            filter,
        })
    }

    fn rows(&mut self) -> PgResult<RowsPer> {
        if self.take_words(&["MATCH"]) {
            return Ok(RowsPer::Match);
        }
        let is_step = self.take_words(&["STEP"]);
        if !is_step {
            self.expect_word("VERTEX")?;
        }
        self.expect(&Piece::Token(Token::LParen))?;
        let first = self.name()?;
        let mut rows = RowsPer::Vertex(first.clone());
        if is_step {
            self.expect(&Piece::Token(Token::Comma))?;
            let edge = self.name()?;
            self.expect(&Piece::Token(Token::Comma))?;
            rows = RowsPer::Step(first, edge, self.name()?);
        }
        self.expect(&Piece::Token(Token::RParen))?;
        Ok(rows)
    }

    fn columns(&mut self) -> PgResult<Vec<ast::SelectItem>> {
        self.expect(&Piece::Token(Token::LParen))?;
        let mut columns = Vec::new();
        loop {
            let tokens = self.expression_tokens(&[], &[Token::Comma])?;
            columns.push(run_parser(tokens, self.positions, |parser| {
                parser.parse_select_item()
            })?);
            if !self.take(&Piece::Token(Token::Comma)) {
                break;
            }
        }
        self.expect(&Piece::Token(Token::RParen))?;
        Ok(columns)
    }

    fn path_pattern(&mut self) -> PgResult<PathPattern> {
        let at = self.position();
        let mut variable = None;
        if matches!(self.peek(), Some(Piece::Token(Token::Word(_))))
            && self.peek_at(1) == Some(&Piece::Sign('='))
        {
            variable = Some(self.name()?);
            self.at += 1;
        }
        let (selector, mode) = self.prefix()?;
        let parts = self.parts()?;
        Ok(PathPattern {
            variable,
            selector,
            mode,
            parts,
            at,
        })
    }

    /// The selector and the mode.
    fn prefix(&mut self) -> PgResult<(Selector, Mode)> {
        let mut counted = None;
        let mut selector = if self.take_words(&["ALL", "SHORTEST"]) {
            Selector::ShortestGroups(1)
        } else if self.take_words(&["ANY", "SHORTEST"]) {
            Selector::Shortest(1)
        } else if self.take_words(&["ANY", "CHEAPEST"]) {
            Selector::Cheapest
        } else if self.take_words(&["ANY"]) {
            Selector::Shortest(self.count()?.unwrap_or(1))
        } else if self.take_words(&["SHORTEST"]) {
            counted = Some(self.count()?);
            Selector::Shortest(counted.flatten().unwrap_or(1))
        } else {
            self.take_words(&["ALL"]);
            Selector::All
        };
        let mut mode = self.mode();
        if !self.take_words(&["PATHS"]) {
            self.take_words(&["PATH"]);
        }
        let grouped =
            counted.is_some() && (self.take_words(&["GROUPS"]) || self.take_words(&["GROUP"]));
        if let (true, Selector::Shortest(count)) = (grouped, selector) {
            selector = Selector::ShortestGroups(count);
        } else if counted == Some(None) {
            return Err(self.unexpected());
        }
        mode = mode.or_else(|| self.mode());
        Ok((selector, mode.unwrap_or(Mode::Walk)))
    }

    fn mode(&mut self) -> Option<Mode> {
        let modes = [
            ("WALK", Mode::Walk),
            ("TRAIL", Mode::Trail),
            ("SIMPLE", Mode::Simple),
            ("ACYCLIC", Mode::Acyclic),
        ];
        let (_, mode) = modes
            .into_iter()
            .find(|(word, _)| self.take_words(&[word]))?;
        Some(mode)
    }

    /// A number of paths, which is at least one.
    fn count(&mut self) -> PgResult<Option<u64>> {
        let Some(Piece::Token(Token::Number(digits, _))) = self.peek() else {
            return Ok(None);
        };
        match digits.parse() {
            Ok(count) if count > 0 => {
                self.at += 1;
                Ok(Some(count))
            }
            _ => Err(self.unexpected()),
        }
    }

    fn parts(&mut self) -> PgResult<Vec<Part>> {
        let mut parts = vec![self.part()?.ok_or_else(|| self.unexpected())?];
        while let Some(part) = self.part()? {
            parts.push(part);
        }
        Ok(parts)
    }

    fn part(&mut self) -> PgResult<Option<Part>> {
        match self.peek() {
            Some(Piece::Sign('<' | '-')) => self.edge().map(Some),
            Some(Piece::Token(Token::LParen)) => match self.begins_group() {
                true => self.group().map(Some),
                false => self.vertex().map(Some),
            },
            _ => Ok(None),
        }
    }

    /// What stands after a parenthesis: a path, or what describes a vertex?
    fn begins_group(&self) -> bool {
        match (self.peek_at(1), self.peek_at(2)) {
            (Some(Piece::Token(Token::LParen) | Piece::Sign('<' | '-')), _) => true,
            (Some(Piece::Token(Token::Word(_))), Some(Piece::Sign('='))) => true,
            _ => false,
        }
    }

    fn group(&mut self) -> PgResult<Part> {
        let at = self.position();
        self.expect(&Piece::Token(Token::LParen))?;
        if self.peek_at(1) == Some(&Piece::Sign('=')) {
            let error = PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "variables of parenthesized paths are not supported",
            )
            .hint("Name the whole path, or the elements in the parentheses.");
            return Err(match self.position() {
                Some(at) => error.at(at),
                None => error,
            });
        }
        let parts = self.parts()?;
        let filter = match self.take_words(&["WHERE"]) {
            true => Some(self.expression(&[], &[])?),
            false => None,
        };
        self.expect(&Piece::Token(Token::RParen))?;
        Ok(Part::Group {
            parts,
            filter,
            quantifier: self.quantifier()?,
            at,
        })
    }

    fn vertex(&mut self) -> PgResult<Part> {
        let at = self.position();
        self.expect(&Piece::Token(Token::LParen))?;
        let element = self.element(at, false)?;
        self.expect(&Piece::Token(Token::RParen))?;
        Ok(Part::Vertex(element))
    }

    fn edge(&mut self) -> PgResult<Part> {
        let at = self.position();
        let left = self.take(&Piece::Sign('<'));
        self.expect(&Piece::Sign('-'))?;
        let element = if self.take(&Piece::Token(Token::LBracket)) {
            let element = self.element(at, true)?;
            self.expect(&Piece::Token(Token::RBracket))?;
            self.expect(&Piece::Sign('-'))?;
            element
        } else {
            Element {
                variable: None,
                label: None,
                filter: None,
                properties: Vec::new(),
                cost: None,
                at,
            }
        };
        let right = self.take(&Piece::Sign('>'));
        let direction = match (left, right) {
            (false, true) => Direction::Out,
            (true, false) => Direction::In,
            _ => Direction::Both,
        };
        Ok(Part::Edge {
            element,
            direction,
            quantifier: self.quantifier()?,
        })
    }

    fn element(&mut self, at: Option<u32>, is_edge: bool) -> PgResult<Element> {
        let mut element = Element {
            variable: None,
            label: None,
            filter: None,
            properties: Vec::new(),
            cost: None,
            at,
        };
        let reserved = ["IS", "WHERE", "COST"]
            .iter()
            .any(|word| self.is_next_word(0, word));
        if matches!(self.peek(), Some(Piece::Token(Token::Word(_)))) && !reserved {
            element.variable = Some(self.name()?);
        }
        if self.take_words(&["IS"]) || self.take(&Piece::Token(Token::Colon)) {
            element.label = Some(self.label()?);
        }
        if self.take(&Piece::Token(Token::LBrace)) {
            loop {
                let name = self.name()?;
                self.expect(&Piece::Token(Token::Colon))?;
                element
                    .properties
                    .push((name, self.expression(&[], &[Token::Comma])?));
                if !self.take(&Piece::Token(Token::Comma)) {
                    break;
                }
            }
            self.expect(&Piece::Token(Token::RBrace))?;
        }
        if self.take_words(&["WHERE"]) {
            let stops: &[&str] = if is_edge { &["COST"] } else { &[] };
            element.filter = Some(self.expression(stops, &[])?);
        }
        if is_edge && self.take_words(&["COST"]) {
            element.cost = Some(self.expression(&[], &[])?);
        }
        Ok(element)
    }

    fn label(&mut self) -> PgResult<LabelExpression> {
        let mut label = self.label_term()?;
        while self.take(&Piece::Sign('|')) {
            label = LabelExpression::Or(Box::new(label), Box::new(self.label_term()?));
        }
        Ok(label)
    }

    fn label_term(&mut self) -> PgResult<LabelExpression> {
        let mut label = self.label_factor()?;
        while self.take(&Piece::Sign('&')) {
            label = LabelExpression::And(Box::new(label), Box::new(self.label_factor()?));
        }
        Ok(label)
    }

    fn label_factor(&mut self) -> PgResult<LabelExpression> {
        if self.take(&Piece::Sign('!')) {
            return Ok(LabelExpression::Not(Box::new(self.label_factor()?)));
        }
        if self.take(&Piece::Sign('%')) {
            return Ok(LabelExpression::Any);
        }
        if self.take(&Piece::Token(Token::LParen)) {
            let label = self.label()?;
            self.expect(&Piece::Token(Token::RParen))?;
            return Ok(label);
        }
        Ok(LabelExpression::Name(self.name()?.text))
    }

    fn quantifier(&mut self) -> PgResult<Option<Quantifier>> {
        let of = |min, max| Ok(Some(Quantifier { min, max }));
        if self.take(&Piece::Sign('*')) {
            return of(0, None);
        }
        if self.take(&Piece::Sign('+')) {
            return of(1, None);
        }
        if self.take(&Piece::Sign('?')) {
            return of(0, Some(1));
        }
        if !self.take(&Piece::Token(Token::LBrace)) {
            return Ok(None);
        }
        let min = self.bound()?;
        let quantifier = match self.take(&Piece::Token(Token::Comma)) {
            true => Quantifier {
                min: min.unwrap_or(0),
                max: self.bound()?,
            },
            false => {
                let exactly = min.ok_or_else(|| self.unexpected())?;
                Quantifier {
                    min: exactly,
                    max: Some(exactly),
                }
            }
        };
        self.expect(&Piece::Token(Token::RBrace))?;
        Ok(Some(quantifier))
    }

    fn bound(&mut self) -> PgResult<Option<u32>> {
        let Some(Piece::Token(Token::Number(digits, _))) = self.peek() else {
            return Ok(None);
        };
        let bound = digits.parse().map_err(|_| self.unexpected())?;
        self.at += 1;
        Ok(Some(bound))
    }

    /// An expression, up to a bracket that it does not open, one of `words`, or a token of `stops`.
    fn expression(&mut self, words: &[&str], stops: &[Token]) -> PgResult<ast::Expr> {
        let tokens = self.expression_tokens(words, stops)?;
        run_parser(tokens, self.positions, |parser| parser.parse_expr())
    }

    fn expression_tokens(
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
        Ok(super::rewrite::to_parser_dialect(tokens))
    }

    fn peek(&self) -> Option<&Piece> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<&Piece> {
        self.pieces.get(self.at + ahead).map(|(piece, _)| piece)
    }

    fn is_next_word(&self, ahead: usize, word: &str) -> bool {
        matches!(self.peek_at(ahead), Some(Piece::Token(token)) if is_word(token, word))
    }

    fn take(&mut self, piece: &Piece) -> bool {
        let found = self.peek() == Some(piece);
        self.at += usize::from(found);
        found
    }

    fn take_words(&mut self, words: &[&str]) -> bool {
        let all = words
            .iter()
            .enumerate()
            .all(|(ahead, word)| self.is_next_word(ahead, word));
        if all {
            self.at += words.len();
        }
        all
    }

    fn expect(&mut self, piece: &Piece) -> PgResult<()> {
        if self.take(piece) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn expect_word(&mut self, word: &str) -> PgResult<()> {
        if self.take_words(&[word]) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn expect_end(&self) -> PgResult<()> {
        if self.at >= self.pieces.len() {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn name(&mut self) -> PgResult<Name> {
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

    fn position(&self) -> Option<u32> {
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

    fn unexpected(&self) -> PgError {
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
