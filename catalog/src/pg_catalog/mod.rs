//! The catalogs of one graph, as PostgreSQL has them: `pg_catalog` and `information_schema`
//! from real metadata.
//!
//! A [`PgCatalog`] is one state: these branches with these schemas and row counts. It is
//! immutable, cheap to make and shared by all sessions that see that state; what is large in it
//! is shared with other states ([`segment`]). OIDs follow from persisted numbers ([`oid`]), so
//! they are the same on every connection and every gateway.
//!
//! | file | what is in it |
//! |---|---|
//! | input | what a catalog is made from |
//! | def, data | PostgreSQL's relations, types and functions, compiled in |
//! | objects, expression, definition | a schema in PostgreSQL's terms, and how it is printed |
//! | segment, value | rows, shared between branches |
//! | tables | the rows of each catalog |
//! | provider, live | scans; relations that the session fills |
//! | lookup, type_text | names and OIDs, for the binder |

mod data;
mod def;
mod definition;
mod describe;
mod expression;
mod graph;
mod input;
mod live;
mod lookup;
mod objects;
mod oid;
mod operator_classes;
mod property_graph;
mod provider;
mod segment;
mod system;
mod tables;
pub mod text_search;
mod type_text;
mod value;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use omnigraph_engine::schema::TypeId;
use omnigraph_engine::{Error, Result};
use parking_lot::Mutex;

pub use input::{
    ArgumentInput, ArgumentMode, BranchInput, CastContext, CastInput, CatalogInput, DatabaseRow,
    FunctionInput, FunctionKind, FunctionVolatility, OperatorInput, Registry,
};
pub use live::{LIVE, LiveRelations};
pub use segment::CatalogCache;
pub use value::{Row, Value};

pub(crate) use data::type_row;
pub(crate) use def::{RelationDef, definitions};
pub(crate) use graph::{GraphFacts, OWNER_NAME};
pub(crate) use objects::{ConstraintRule, Objects, TableObject};
pub(crate) use oid::NAMESPACE as NAMESPACE_SLOT;
pub(crate) use segment::mark;
pub(crate) use system::{Proc, System};
pub(crate) use tables::BUILT_IN_NAMESPACES;
pub(crate) use type_text::built_in_text;
pub(crate) use value::{Rows, row};

use crate::types::PgType;
use graph::Namespace;
use oid::{Block, Blocks};
use provider::{CatalogTable, Piece};
use segment::{Names, Part, PartRows, Segment, Source};

/// One state of a graph's catalogs.
#[derive(Debug, Clone)]
pub struct PgCatalog {
    inner: Arc<Inner>,
    live: Option<Arc<dyn LiveRelations>>,
}

#[derive(Debug)]
struct Inner {
    graph: GraphFacts,
    system: Arc<Part>,
    stored: Arc<Part>,
    branches: Vec<Arc<Branch>>,
    branch_names: HashMap<String, usize>,
    /// By the number of a block that is theirs.
    branch_blocks: HashMap<u32, usize>,
    /// Rows about the graph, by relation, made on first use.
    graph_rows: Mutex<HashMap<u32, Arc<PartRows>>>,
}

/// A branch with its row counts.
#[derive(Debug)]
struct Branch {
    name: String,
    part: Arc<Part>,
    block: Block,
    row_counts: HashMap<TypeId, u64>,
    sizes: HashMap<TypeId, u64>,
    counted: Mutex<HashMap<u32, Arc<PartRows>>>,
}

/// A relation of `pg_catalog` or `information_schema`.
#[derive(Debug, Clone)]
pub struct CatalogRelation {
    pub oid: u32,
    /// Name, type and whether it is never NULL, in order.
    pub columns: Vec<(String, PgType, bool)>,
    pub provider: Arc<dyn TableProvider>,
}

impl PgCatalog {
    pub fn build(input: CatalogInput) -> Result<Arc<PgCatalog>> {
        let cache = &input.cache;
        let mut blocks = Blocks::default();
        let mut branches = Vec::with_capacity(input.branches.len());
        for branch in input.branches {
            let segment = cache.schema_segment(&branch.schema);
            let Some(block) = blocks.place(
                branch.ordinal,
                objects_of(&segment).map_or(0, |objects| objects.overflow),
            ) else {
                return Err(Error::LimitExceeded {
                    what: "the number of branches".to_owned(),
                    limit: 65_000,
                    actual: branches.len() as u64 + 1,
                });
            };
            let part = cache.part(
                &segment,
                Names::new(&branch.name, &input.database).with_graph(
                    objects_of(&segment)
                        .is_some_and(|objects| objects.class(&input.database).is_some()),
                ),
                Some(block),
            );
            branches.push(Arc::new(Branch {
                name: branch.name,
                part,
                block,
                row_counts: branch.row_counts,
                sizes: branch.sizes,
                counted: Mutex::default(),
            }));
        }
        let system = cache.system_segment(&input.registry);
        let names = Names::new("pg_catalog", &input.database);
        let stored = Source::Stored(System::of_stored(&input.stored));
        let stored = Part::alone(stored, names.clone());
        let system = cache.part(&system, names, None);
        let namespaces = branches
            .iter()
            .map(|branch| Namespace {
                oid: branch.block.namespace(),
                name: branch.name.clone(),
            })
            .collect();
        let branch_names = branches
            .iter()
            .enumerate()
            .map(|(at, branch)| (branch.name.clone(), at))
            .collect();
        let branch_blocks = branches
            .iter()
            .enumerate()
            .map(|(at, branch)| (oid::block_number(branch.block.namespace()), at))
            .collect();
        Ok(Arc::new(PgCatalog {
            inner: Arc::new(Inner {
                graph: GraphFacts {
                    database: input.database,
                    databases: input.databases,
                    branches: namespaces,
                    roles: graph::roles(&input.actors, &input.current_actor),
                },
                system,
                stored,
                branches,
                branch_names,
                branch_blocks,
                graph_rows: Mutex::default(),
            }),
            live: input.live,
        }))
    }

    /// The same state, for a session that fills the live relations itself.
    pub fn with_live(&self, live: Arc<dyn LiveRelations>) -> Arc<PgCatalog> {
        Arc::new(PgCatalog {
            inner: Arc::clone(&self.inner),
            live: Some(live),
        })
    }

    /// `None`: there is no such relation in these two schemas.
    pub fn relation(&self, schema: &str, name: &str) -> Result<Option<CatalogRelation>> {
        let Some(def) = definitions().relation(schema, name) else {
            return Ok(None);
        };
        let columns = def
            .columns
            .iter()
            .map(|column| (column.name.to_owned(), column.ty, column.not_null))
            .collect();
        Ok(Some(CatalogRelation {
            oid: def.oid,
            columns,
            provider: Arc::new(CatalogTable::new(def, self.pieces(def)?)),
        }))
    }

    /// The relations of one of the two schemas.
    pub fn names(schema: &str) -> impl Iterator<Item = &'static str> {
        let schema = schema.to_owned();
        definitions()
            .relations
            .iter()
            .filter(move |def| def.schema == schema)
            .map(|def| def.name)
    }

    /// The OID of a branch's table, index or namespace object, for RowDescription.
    pub fn table_oid(&self, branch: &str, table: &str) -> Option<u32> {
        let branch = self.branch(branch)?;
        let objects = branch.objects()?;
        let graph = || (branch.part.names.graph == table).then_some(objects.graph.class);
        Some(branch.block.relocate(objects.class(table).or_else(graph)?))
    }

    fn pieces(&self, def: &'static RelationDef) -> Result<Vec<Piece>> {
        if def.schema == "pg_catalog" && LIVE.contains(&def.name) {
            return Ok(self.live.iter().cloned().map(Piece::Live).collect());
        }
        let mut pieces = vec![
            Piece::Fixed(self.graph_rows(def)?),
            Piece::Shared(Arc::clone(&self.inner.system)),
            Piece::Shared(Arc::clone(&self.inner.stored)),
        ];
        pieces.extend(self.inner.branches.iter().cloned().map(Piece::Branch));
        Ok(pieces)
    }

    fn graph_rows(&self, def: &'static RelationDef) -> Result<Arc<PartRows>> {
        if let Some(rows) = self.inner.graph_rows.lock().get(&def.oid) {
            return Ok(Arc::clone(rows));
        }
        let mut rows = Rows::new(def);
        tables::of_graph(def, &self.inner.graph, &mut rows)?;
        let rows = Arc::new(PartRows::new(rows.finish()?));
        self.inner
            .graph_rows
            .lock()
            .insert(def.oid, Arc::clone(&rows));
        Ok(rows)
    }

    fn branch(&self, name: &str) -> Option<&Arc<Branch>> {
        self.inner
            .branch_names
            .get(name)
            .map(|at| &self.inner.branches[*at])
    }

    fn system(&self) -> Option<&System> {
        system_of(&self.inner.system)
    }

    fn stored(&self) -> Option<&System> {
        system_of(&self.inner.stored)
    }
}

impl Branch {
    fn objects(&self) -> Option<&Objects> {
        objects_of(&self.part.segment)
    }

    fn counted(&self, def: &'static RelationDef) -> Result<Arc<PartRows>> {
        if let Some(rows) = self.counted.lock().get(&def.oid) {
            return Ok(Arc::clone(rows));
        }
        let shown = self.part.rows(def)?;
        let batch = match self.objects() {
            Some(objects) => {
                tables::counted_rows(def, objects, &shown.batch, &self.row_counts, &self.sizes)?
            }
            None => shown.batch.clone(),
        };
        let rows = Arc::new(PartRows::new(batch));
        self.counted.lock().insert(def.oid, Arc::clone(&rows));
        Ok(rows)
    }
}

fn objects_of(segment: &Segment) -> Option<&Objects> {
    match &segment.source {
        Source::Schema(objects) => Some(objects),
        Source::System(_) | Source::Stored(_) => None,
    }
}

fn system_of(part: &Part) -> Option<&System> {
    match &part.segment.source {
        Source::System(system) | Source::Stored(system) => Some(system),
        Source::Schema(_) => None,
    }
}
