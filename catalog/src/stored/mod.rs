//! The stored queries of a graph: what each is called with and what it gives.
//!
//! A file declares them ([`declared`](fn@declared) and [`sql_query`]); what they mean, only the
//! binder knows, so a [`Compiler`] is handed to whoever reads them. A revision's queries are
//! compiled once, when it begins to be served.

mod declared;
mod sql;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use omnigraph_engine::restrict::RowPredicate;
use omnigraph_engine::schema::{Schema, TypeDef};

use crate::cluster::spec::File;
use crate::diagnostic::Diagnostic;
use crate::pg_catalog::{
    ArgumentInput, ArgumentMode, FunctionInput, FunctionKind, FunctionVolatility,
};
use crate::types::PgType;

pub use declared::declared;
pub use sql::{SqlParameter, SqlQuery, sql_query};

/// How many one graph may have: their object identifiers are laid out for as many.
pub const QUERY_LIMIT: usize = 4_000;

/// A query that was declared and compiled.
pub struct StoredQuery {
    /// As SQL calls it.
    pub name: String,
    pub description: Option<String>,
    pub parameters: Vec<Parameter>,
    /// `None`: they are not known before it runs.
    pub columns: Option<Vec<(String, PgType)>>,
    /// Does it change the graph? Then it stands alone.
    pub changes: bool,
    /// What the compiler made of it; nobody else looks inside.
    pub program: Arc<dyn Any + Send + Sync>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// As SQL calls it.
    pub name: String,
    pub ty: PgType,
    /// What it is when it is left out, as SQL text; `None`: it must be given.
    pub default: Option<String>,
    pub nullable: bool,
}

/// By their SQL names.
#[derive(Debug, Default)]
pub struct StoredQueries(BTreeMap<String, Arc<StoredQuery>>);

/// What came of compiling a graph's queries.
#[derive(Debug, Default)]
pub struct Compiled {
    pub queries: StoredQueries,
    pub found: Vec<Diagnostic>,
}

pub trait Compiler: fmt::Debug + Send + Sync {
    /// Gives queries, by their declared names, their meaning in a graph of this schema. Every
    /// mistake is found, with its place.
    fn compile(
        &self,
        graph: &str,
        queries: &BTreeMap<String, File>,
        schema: &Arc<Schema>,
    ) -> Compiled;

    /// Gives a condition of a policy its meaning: an expression of SQL over the columns of one
    /// row, in which `actor()` is who asks and `actor_in('group')` whether they are in a group.
    fn condition(
        &self,
        schema: &Arc<Schema>,
        of: &Arc<TypeDef>,
        text: &str,
        asker: Asker<'_>,
    ) -> Result<Arc<dyn RowPredicate>, String>;
}

/// Who asks, for conditions of policies.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    pub actor: &'a str,
    pub groups: &'a BTreeSet<String>,
}

impl StoredQueries {
    /// None at all; always the same.
    pub fn none() -> Arc<Self> {
        static NONE: OnceLock<Arc<StoredQueries>> = OnceLock::new();
        Arc::clone(NONE.get_or_init(Arc::default))
    }

    pub fn new(queries: impl IntoIterator<Item = Arc<StoredQuery>>) -> Self {
        let named = queries.into_iter().map(|query| (query.name.clone(), query));
        StoredQueries(named.collect())
    }

    pub fn get(&self, name: &str) -> Option<&Arc<StoredQuery>> {
        self.0.get(name)
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<StoredQuery>> {
        self.0.values()
    }
}

impl StoredQuery {
    /// `find_person(name text, least integer DEFAULT NULL)`
    pub fn signature(&self, type_name: impl Fn(PgType) -> String) -> String {
        let parameters: Vec<String> = self
            .parameters
            .iter()
            .map(|parameter| {
                let plain = format!("{} {}", parameter.name, type_name(parameter.ty));
                match &parameter.default {
                    Some(default) => format!("{plain} DEFAULT {default}"),
                    None => plain,
                }
            })
            .collect();
        format!("{}({})", self.name, parameters.join(", "))
    }

    /// As `pg_proc` lists it: a query as a function, changes as a procedure.
    pub fn listed(&self) -> FunctionInput {
        let given = self.parameters.iter().map(|parameter| ArgumentInput {
            name: Some(parameter.name.clone()),
            ty: parameter.ty,
            mode: ArgumentMode::In,
            default: parameter.default.clone(),
        });
        let columns = self.columns.iter().flatten().filter(|_| !self.changes);
        let told = columns.map(|(name, ty)| ArgumentInput {
            name: Some(name.clone()),
            ty: *ty,
            mode: ArgumentMode::Table,
            default: None,
        });
        FunctionInput {
            schema: "omnigraph".to_owned(),
            name: self.name.clone(),
            arguments: given.chain(told).collect(),
            returns: match self.changes {
                true => PgType::VOID,
                false => PgType::RECORD,
            },
            returns_set: !self.changes,
            kind: match self.changes {
                true => FunctionKind::Procedure,
                false => FunctionKind::Function,
            },
            volatility: match self.changes {
                true => FunctionVolatility::Volatile,
                false => FunctionVolatility::Stable,
            },
            strict: false,
            description: self.description.clone(),
        }
    }
}

impl fmt::Debug for StoredQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredQuery")
            .field("name", &self.name)
            .field("parameters", &self.parameters)
            .field("columns", &self.columns)
            .field("changes", &self.changes)
            .finish_non_exhaustive()
    }
}
