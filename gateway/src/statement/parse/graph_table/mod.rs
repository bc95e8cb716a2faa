//! `GRAPH_TABLE (graph MATCH … COLUMNS (…))`. Its body has a language of its own, so it is
//! folded into one string token for `sqlparser`, and read here when it is needed. Expressions
//! in it are `sqlparser`'s again, and every token keeps its place in the query.

mod fold;
mod pattern;
mod reader;

use omnigraph_engine::pattern::{Direction, LabelExpression, Mode, ReachBy, Selector};
use sqlparser::ast;
use sqlparser::tokenizer::Location;

use super::Positions;
use crate::error::PgResult;
pub(super) use fold::fold;
use reader::Reader;

/// The function that a folded GRAPH_TABLE calls. No query can write this name.
pub const GRAPH_TABLE: &str = "\0graph_table";
/// The one that a folded `EXISTS (MATCH …)` reads from.
pub const MATCH: &str = "\0match";
/// What stands before the name of a function of paths and elements, which becomes a column.
pub const HIDDEN: char = '\0';

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
    /// SQL has no way to write this.
    Reach {
        label: LabelExpression,
        direction: Direction,
        quantifier: Quantifier,
        by: ReachBy,
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
