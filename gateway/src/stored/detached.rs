//! What names mean where there is a schema and no session.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use omnigraph_catalog::lookup::{CatalogLookup, SearchPath};
use omnigraph_catalog::pg_catalog::{
    BranchInput, CatalogCache, CatalogInput, DatabaseRow, PgCatalog,
};
use omnigraph_catalog::stored::{Asker, StoredQueries, StoredQuery};
use omnigraph_catalog::types::PgType;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::Schema;
use omnigraph_udfs::TableFunction;

use crate::error::PgResult;
use crate::plan::{Functions, table_relation};
use crate::session::catalogs;
use crate::statement::bind::no_session::NoSession;
use crate::statement::bind::{Environment, Relation, SessionCalls, is_function_schema};
use crate::text::TextFormat;

/// One branch of one graph, as its schema alone tells it.
#[derive(Debug)]
pub struct Detached {
    graph: String,
    branch: BranchName,
    schema: Arc<Schema>,
    catalog: Arc<PgCatalog>,
    functions: Arc<Functions>,
    pub stored: StoredQueries,
    /// Who asks, and the groups they are in, for conditions of policies.
    asker: Option<(String, BTreeSet<String>)>,
}

impl Detached {
    pub fn new(graph: &str, schema: &Arc<Schema>, functions: &Arc<Functions>) -> PgResult<Self> {
        let branch = BranchName::main();
        let catalog = PgCatalog::build(CatalogInput {
            database: graph.to_owned(),
            databases: vec![DatabaseRow {
                oid: catalogs::FIRST_GRAPH_OID,
                name: graph.to_owned(),
                size: None,
                description: None,
            }],
            branches: vec![BranchInput {
                name: branch.to_string(),
                ordinal: 0,
                schema: Arc::clone(schema),
                row_counts: HashMap::new(),
                sizes: HashMap::new(),
            }],
            actors: Vec::new(),
            current_actor: String::new(),
            registry: catalogs::registry(functions),
            stored: Vec::new(),
            cache: Arc::new(CatalogCache::default()),
            live: None,
        })?;
        Ok(Detached {
            graph: graph.to_owned(),
            branch,
            schema: Arc::clone(schema),
            catalog,
            functions: Arc::clone(functions),
            stored: StoredQueries::default(),
            asker: None,
        })
    }

    pub fn asked_by(self, asker: Asker<'_>) -> Self {
        Detached {
            asker: Some((asker.actor.to_owned(), asker.groups.clone())),
            ..self
        }
    }

    /// A type in any of PostgreSQL's spellings.
    pub fn type_named(&self, text: &str) -> Option<PgType> {
        self.catalog.parse_type(text, &self.search_path())
    }

    fn in_schema(&self, schema: &str, name: &str) -> PgResult<Option<Relation>> {
        if schema != self.branch.as_str() {
            return catalogs::relation(&self.catalog, schema, name);
        }
        let oid = self.catalog.table_oid(schema, name).unwrap_or(0);
        let def = self.schema.table(name);
        Ok(def.map(|def| table_relation(&self.branch, oid, def)))
    }
}

impl Environment for Detached {
    fn relation(&self, schema: Option<&str>, name: &str) -> PgResult<Option<Relation>> {
        let path = self.search_path();
        if let Some(schema) = schema {
            return self.in_schema(path.schema(schema), name);
        }
        for schema in path.schemas.iter() {
            if let Some(relation) = self.in_schema(schema, name)? {
                return Ok(Some(relation));
            }
        }
        Ok(None)
    }

    /// As if the schema had always been this one.
    fn relation_as_of(
        &self,
        schema: Option<&str>,
        name: &str,
        _reference: &str,
    ) -> PgResult<Option<Relation>> {
        self.relation(schema, name)
    }

    fn transaction_time(&self) -> i64 {
        0
    }

    fn table_function(&self, schema: Option<&str>, name: &str) -> Option<Arc<dyn TableFunction>> {
        self.functions.find(schema, name)
    }

    fn stored_query(&self, schema: Option<&str>, name: &str) -> Option<Arc<StoredQuery>> {
        let query = self.stored.get(name)?;
        is_function_schema(schema).then(|| Arc::clone(query))
    }

    fn graph_schema(&self) -> Option<Arc<Schema>> {
        Some(Arc::clone(&self.schema))
    }

    fn graph(&self, schema: Option<&str>) -> PgResult<Option<(BranchName, Arc<Schema>)>> {
        let path = self.search_path();
        let same = path.schema(schema.unwrap_or("public")) == self.branch.as_str();
        Ok(same.then(|| (self.branch.clone(), Arc::clone(&self.schema))))
    }

    fn graph_as_of(
        &self,
        schema: Option<&str>,
        _reference: &str,
    ) -> PgResult<Option<(BranchName, Arc<Schema>)>> {
        self.graph(schema)
    }

    fn catalog(&self) -> Arc<dyn CatalogLookup> {
        let catalog: Arc<PgCatalog> = Arc::clone(&self.catalog);
        catalog
    }

    fn search_path(&self) -> SearchPath {
        SearchPath::of_branch(self.branch.as_str())
    }

    fn database(&self) -> String {
        self.graph.clone()
    }

    fn user(&self) -> String {
        let asker = self.asker.as_ref();
        asker.map_or_else(String::new, |(actor, _)| actor.clone())
    }

    fn asker(&self) -> Option<(String, BTreeSet<String>)> {
        self.asker.clone()
    }

    fn text_format(&self) -> TextFormat {
        TextFormat::default()
    }

    fn session(&self) -> Arc<dyn SessionCalls> {
        Arc::new(NoSession)
    }
}
