//! The `.gq` query language: what a source says, checked against a schema.
//!
//! [`check`](fn@check) reads a source with any number of queries and answers them with every name
//! resolved and every value of a type that fits, or all mistakes with their places. Whoever
//! runs a [`Query`] lowers it: its clauses are a [graph pattern](crate::pattern).
//!
//! | file | what is in it |
//! |---|---|
//! | parse | text → syntax with spans |
//! | check | queries, clauses and changes: names are resolved |
//! | expression | values: their types are checked |
//! | argument | the values of parameters, out of JSON |

mod argument;
mod check;
mod error;
mod expression;
mod parse;
mod syntax;
#[cfg(test)]
mod tests;

pub use argument::{BadArgument, BlobUris, arguments};
pub use check::{check, check_one};
pub use error::{Kind, QueryErrors};
pub use syntax::Operator;

use crate::schema::{PropertyType, TypeId};
pub use crate::traverse::Direction;

/// A variable's number in its query.
pub type VariableId = usize;

#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub name: String,
    pub description: Option<String>,
    pub instruction: Option<String>,
    pub parameters: Vec<Parameter>,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    pub name: String,
    pub ty: PropertyType,
    /// It may be left out, and is NULL then.
    pub nullable: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Read(Read),
    /// Run in order, in one commit. They are all deletes, or none of them is.
    Changes(Vec<Change>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    pub variables: Vec<Variable>,
    pub clauses: Vec<Clause>,
    pub distinct: bool,
    pub outputs: Vec<Output>,
    /// Names of outputs were replaced by what they are.
    pub order: Vec<Sort>,
    pub limit: Option<u64>,
    pub offset: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Without the `$`; `None`: `$_`, which is another one each time.
    pub name: Option<String>,
    pub is_edge: bool,
    pub types: Vec<TypeId>,
    /// It is bound inside of a `not`, and is nothing outside of it.
    pub is_inner: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Clause {
    /// The variable is a node of its types.
    Node(VariableId),
    Traverse(Traverse),
    Condition(Expr),
    /// There is no match of these.
    Not(Vec<Clause>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traverse {
    pub from: VariableId,
    pub to: VariableId,
    /// With one, each edge is a match of its own; without, each pair of nodes is one.
    pub edge: Option<VariableId>,
    pub ty: TypeId,
    /// `Out` or `Both`.
    pub direction: Direction,
    pub min: u32,
    pub max: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    pub name: String,
    pub value: Expr,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sort {
    pub value: Expr,
    pub descending: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A node with a key replaces the one that has the key.
    Insert {
        ty: TypeId,
        values: Vec<(String, Expr)>,
    },
    Update {
        ty: TypeId,
        values: Vec<(String, Expr)>,
        condition: Expr,
    },
    Delete {
        ty: TypeId,
        condition: Expr,
    },
}

/// In a change's condition, [`Expr::Property`] is of the row, whatever the variable.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A node's id, and inside of `count` an edge's.
    Element(VariableId),
    /// A column by its SQL name.
    Property(VariableId, String),
    /// By its place among the query's parameters.
    Parameter(usize),
    Null,
    Bool(bool),
    Text(String),
    /// As written, without a sign.
    Number(String),
    Date(String),
    DateTime(String),
    /// In brackets, as text.
    Vector(String),
    List(Vec<Expr>),
    Now,
    Negative(Box<Expr>),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    /// Comparisons, arithmetic, and [`Operator::Contains`] of texts.
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// The list has the value.
    Member {
        list: Box<Expr>,
        value: Box<Expr>,
        negated: bool,
    },
    IsNull {
        value: Box<Expr>,
        negated: bool,
    },
    Aggregate {
        function: Aggregate,
        distinct: bool,
        argument: Box<Expr>,
    },
    Search {
        function: Search,
        arguments: Vec<Expr>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    Count,
    Sum,
    Avg,
    Min,
    Max,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// Any of the words.
    Search,
    Fuzzy,
    /// All of the words.
    MatchText,
    Bm25,
    Nearest,
    /// Two ranks as one.
    Rrf,
}

impl Aggregate {
    pub fn name(self) -> &'static str {
        match self {
            Aggregate::Count => "count",
            Aggregate::Sum => "sum",
            Aggregate::Avg => "avg",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
        }
    }
}

impl Search {
    pub fn name(self) -> &'static str {
        match self {
            Search::Search => "search",
            Search::Fuzzy => "fuzzy",
            Search::MatchText => "match_text",
            Search::Bm25 => "bm25",
            Search::Nearest => "nearest",
            Search::Rrf => "rrf",
        }
    }
}

impl Expr {
    /// Calls `visit` for this expression and all that are in it.
    pub fn walk<'e>(&'e self, visit: &mut dyn FnMut(&'e Expr)) {
        visit(self);
        match self {
            Expr::Negative(inner) | Expr::Not(inner) => inner.walk(visit),
            Expr::And(parts) | Expr::Or(parts) | Expr::List(parts) => {
                parts.iter().for_each(|part| part.walk(visit));
            }
            Expr::Binary(_, left, right) => {
                left.walk(visit);
                right.walk(visit);
            }
            Expr::Member { list, value, .. } => {
                list.walk(visit);
                value.walk(visit);
            }
            Expr::IsNull { value, .. } => value.walk(visit),
            Expr::Aggregate { argument, .. } => argument.walk(visit),
            Expr::Search { arguments, .. } => {
                arguments.iter().for_each(|argument| argument.walk(visit));
            }
            Expr::Element(_)
            | Expr::Property(..)
            | Expr::Parameter(_)
            | Expr::Null
            | Expr::Bool(_)
            | Expr::Text(_)
            | Expr::Number(_)
            | Expr::Date(_)
            | Expr::DateTime(_)
            | Expr::Vector(_)
            | Expr::Now => {}
        }
    }

    pub fn has_aggregate(&self) -> bool {
        let mut found = false;
        self.walk(&mut |expr| found |= matches!(expr, Expr::Aggregate { .. }));
        found
    }

    /// Does it say something about the match, and is not the same for all?
    pub fn has_variable(&self) -> bool {
        let mut found = false;
        self.walk(&mut |expr| found |= matches!(expr, Expr::Element(_) | Expr::Property(..)));
        found
    }
}

impl Read {
    pub fn has_aggregates(&self) -> bool {
        self.outputs
            .iter()
            .any(|output| output.value.has_aggregate())
            || self.order.iter().any(|sort| sort.value.has_aggregate())
    }
}
