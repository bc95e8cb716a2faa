//! What the catalogs of a graph are made from, as the gateway knows it.

use std::collections::HashMap;
use std::sync::Arc;

use omnigraph_engine::schema::{Schema, TypeId};

use super::live::LiveRelations;
use super::segment::CatalogCache;
use crate::types::PgType;

/// Everything that one state of a graph's catalogs follows from. Cheap to make: what is large
/// is shared.
#[derive(Debug, Clone)]
pub struct CatalogInput {
    /// The graph that is connected to.
    pub database: String,
    /// All that the server shows, this one among them.
    pub databases: Vec<DatabaseRow>,
    pub branches: Vec<BranchInput>,
    /// In an order that lasts: a role's OID is its place here.
    pub actors: Vec<String>,
    pub current_actor: String,
    pub registry: Arc<Registry>,
    /// What can be called in this graph only, in the order of names.
    pub stored: Vec<FunctionInput>,
    /// Parts of catalogs that do not change from one state to the next.
    pub cache: Arc<CatalogCache>,
    /// Rows that differ by session and moment.
    pub live: Option<Arc<dyn LiveRelations>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseRow {
    pub oid: u32,
    pub name: String,
    /// Bytes, where they are known.
    pub size: Option<i64>,
    pub description: Option<String>,
}

#[derive(Debug, Clone)]
pub struct BranchInput {
    pub name: String,
    pub ordinal: u64,
    pub schema: Arc<Schema>,
    pub row_counts: HashMap<TypeId, u64>,
    /// Bytes of each table, where they are known.
    pub sizes: HashMap<TypeId, u64>,
}

/// What can be called, and so is listed in pg_proc, pg_operator, pg_cast and pg_aggregate.
/// One for the process: catalogs made from it are shared by its address.
#[derive(Debug, Default)]
pub struct Registry {
    pub functions: Vec<FunctionInput>,
    pub operators: Vec<OperatorInput>,
    pub casts: Vec<CastInput>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FunctionInput {
    /// `pg_catalog`, `information_schema` or `omnigraph`.
    pub schema: String,
    pub name: String,
    pub arguments: Vec<ArgumentInput>,
    pub returns: PgType,
    pub returns_set: bool,
    pub kind: FunctionKind,
    pub volatility: FunctionVolatility,
    pub strict: bool,
    pub description: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ArgumentInput {
    pub name: Option<String>,
    pub ty: PgType,
    pub mode: ArgumentMode,
    /// As SQL text.
    pub default: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentMode {
    In,
    Out,
    InOut,
    Variadic,
    /// A column of what a set-returning function gives.
    Table,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionKind {
    Function,
    Procedure,
    Aggregate,
    Window,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionVolatility {
    Immutable,
    Stable,
    Volatile,
}

/// An operator. What PostgreSQL also has needs no more than its name and sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorInput {
    pub name: String,
    /// `None`: a prefix operator.
    pub left: Option<PgType>,
    pub right: PgType,
    pub result: PgType,
    pub description: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CastInput {
    pub source: PgType,
    pub target: PgType,
    pub context: CastContext,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CastContext {
    Explicit,
    Assignment,
    Implicit,
}

impl ArgumentMode {
    /// As in `pg_proc.proargmodes`.
    pub fn letter(self) -> char {
        match self {
            ArgumentMode::In => 'i',
            ArgumentMode::Out => 'o',
            ArgumentMode::InOut => 'b',
            ArgumentMode::Variadic => 'v',
            ArgumentMode::Table => 't',
        }
    }

    /// Is it given by the caller?
    pub fn is_input(self) -> bool {
        matches!(
            self,
            ArgumentMode::In | ArgumentMode::InOut | ArgumentMode::Variadic
        )
    }
}

impl FunctionKind {
    pub fn letter(self) -> char {
        match self {
            FunctionKind::Function => 'f',
            FunctionKind::Procedure => 'p',
            FunctionKind::Aggregate => 'a',
            FunctionKind::Window => 'w',
        }
    }
}

impl FunctionVolatility {
    pub fn letter(self) -> char {
        match self {
            FunctionVolatility::Immutable => 'i',
            FunctionVolatility::Stable => 's',
            FunctionVolatility::Volatile => 'v',
        }
    }
}

impl CastContext {
    pub fn letter(self) -> char {
        match self {
            CastContext::Explicit => 'e',
            CastContext::Assignment => 'a',
            CastContext::Implicit => 'i',
        }
    }
}
