//! What names mean to one statement while it is bound: a frozen view of branches, catalogs and
//! settings, which also notes what was asked of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use omnigraph_catalog::lookup::{CatalogLookup, SearchPath};
use omnigraph_catalog::provider::{GraphTable, sql_columns};
use omnigraph_catalog::stored::{StoredQueries, StoredQuery};
use omnigraph_engine::Snapshot;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::{Schema, TypeDef};
use omnigraph_udfs::TableFunction;
use parking_lot::Mutex;

use crate::error::PgResult;
use crate::session::catalogs::Catalogs;
use crate::session::common::Common;
use crate::session::shared::{Seen, now};
use crate::session::transaction::State;
use crate::session::{Attached, Session};
use crate::sqlstate;
use crate::statement::bind::{
    Environment, Relation, RelationColumn, RelationKind, SessionCalls, is_function_schema,
};
use crate::text::TextFormat;

/// The table functions, by name; all are in schema `omnigraph`.
#[derive(Debug)]
pub struct Functions {
    by_name: HashMap<&'static str, Arc<dyn TableFunction>>,
}

impl Functions {
    pub fn new(functions: Vec<Arc<dyn TableFunction>>) -> Self {
        Functions {
            by_name: functions
                .into_iter()
                .map(|function| (function.name(), function))
                .collect(),
        }
    }

    /// A function by its name, in the schema where they are or in none.
    pub fn find(&self, schema: Option<&str>, name: &str) -> Option<Arc<dyn TableFunction>> {
        if !is_function_schema(schema) {
            return None;
        }
        self.by_name.get(name).cloned()
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn TableFunction>> {
        self.by_name.values()
    }
}

pub struct Frozen {
    common: Arc<Common>,
    graph: Option<Attached>,
    /// Branches that the transaction has begun on, or that are read as they were: their
    /// schemas are these.
    begun: HashMap<BranchName, Seen>,
    /// The schema that the session's branch shows.
    session_schema: Option<Arc<Schema>>,
    catalogs: Arc<Catalogs>,
    path: SearchPath,
    format: Arc<TextFormat>,
    /// What references to earlier states have been found to mean.
    past: Pasts,
    transaction_time: i64,
    /// What the actor may call, and what of it was asked for.
    stored: Arc<StoredQueries>,
    called: Mutex<Vec<Arc<StoredQuery>>>,
    asked_catalog: AtomicBool,
    asked_sizes: AtomicBool,
    missing: Mutex<Option<BranchName>>,
    missing_past: Mutex<Option<(BranchName, Arc<str>)>>,
}

/// Earlier states, or why there is none, by branch and reference.
pub type Pasts = HashMap<(BranchName, Arc<str>), PgResult<Snapshot>>;

/// What a binder asked for that may need a fresher view.
#[derive(Debug, Clone)]
pub struct Asked {
    /// A relation of the catalogs.
    pub catalog: bool,
    /// How large tables are.
    pub sizes: bool,
    /// A branch that nobody has looked at yet.
    pub missing: Option<BranchName>,
    /// An earlier state that has not been looked up yet.
    pub past: Option<(BranchName, Arc<str>)>,
}

/// Which catalogs a statement is bound in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// As they were looked at last.
    Known,
    /// As the store has them now.
    Fresh,
    /// So, with the sizes of tables.
    Sized,
}

impl Session {
    /// A view to bind in; with `fresh`, the catalogs show the newest state of every branch.
    pub(crate) async fn frozen(&mut self, fresh: bool) -> PgResult<Frozen> {
        let view = if fresh { View::Fresh } else { View::Known };
        self.frozen_with(view, Pasts::new(), self.transaction_time())
            .await
    }

    /// As [`Self::frozen`], knowing what references to earlier states mean.
    pub(crate) async fn frozen_with(
        &mut self,
        view: View,
        past: Pasts,
        transaction_time: i64,
    ) -> PgResult<Frozen> {
        let catalogs = match view {
            View::Known => self.catalogs(false).await?,
            View::Fresh => self.catalogs(true).await?,
            View::Sized => self.sized_catalogs().await?,
        };
        let path = self.search_path().await?;
        let pinned = self.past().await?;
        let session_schema = match (&pinned, &self.graph) {
            (Some((_, snapshot)), _) => Some(Arc::clone(snapshot.schema())),
            (None, Some(attached)) => {
                let branch = self.branch().await?;
                Some(
                    attached
                        .shared
                        .branch(&attached.access, &branch)
                        .await?
                        .schema,
                )
            }
            (None, None) => None,
        };
        let mut begun: HashMap<BranchName, Seen> = match &self.state {
            State::Open(open) => open
                .schemas()
                .into_iter()
                .map(|(branch, ordinal, schema)| (branch, Seen { ordinal, schema }))
                .collect(),
            State::Idle | State::Failed(_) => HashMap::new(),
        };
        begun.extend(pinned.map(|(branch, snapshot)| (branch, seen_in(&snapshot))));
        Ok(Frozen {
            common: Arc::clone(&self.common),
            graph: self.graph.clone(),
            begun,
            session_schema,
            catalogs,
            path,
            format: self.current_format(),
            past,
            transaction_time,
            stored: match &self.graph {
                Some(attached) => attached.access.stored_queries(),
                None => StoredQueries::none(),
            },
            called: Mutex::default(),
            asked_catalog: AtomicBool::new(false),
            asked_sizes: AtomicBool::new(false),
            missing: Mutex::new(None),
            missing_past: Mutex::new(None),
        })
    }

    /// What `now()` says, in microseconds since 1970.
    pub(crate) fn transaction_time(&self) -> i64 {
        match &self.state {
            State::Open(open) => open.started_at,
            State::Idle | State::Failed(_) => now(),
        }
    }

    /// Looks at a branch for the first time; false if there is none.
    pub(crate) async fn learn_branch(&mut self, branch: &BranchName) -> PgResult<bool> {
        let Some(attached) = &self.graph else {
            return Ok(false);
        };
        match attached.shared.branch(&attached.access, branch).await {
            Ok(_) => Ok(true),
            Err(error) if error.code == sqlstate::INVALID_SCHEMA_NAME => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Frozen {
    pub fn path(&self) -> &SearchPath {
        &self.path
    }

    pub fn asked(&self) -> Asked {
        Asked {
            catalog: self.asked_catalog.load(Ordering::Relaxed),
            sizes: self.asked_sizes.load(Ordering::Relaxed),
            missing: self.missing.lock().clone(),
            past: self.missing_past.lock().clone(),
        }
    }

    /// The stored queries that the statement calls.
    pub fn called(&self) -> Vec<Arc<StoredQuery>> {
        self.called.lock().clone()
    }

    pub fn past(&self, branch: &BranchName, reference: &str) -> Option<Snapshot> {
        let key: (BranchName, Arc<str>) = (branch.clone(), reference.into());
        let found = self.past.get(&key)?;
        found.as_ref().ok().cloned()
    }

    /// A branch, and the state that a reference shows of it; asked for if it is not known yet.
    fn state_as_of(
        &self,
        schema: &str,
        reference: &str,
    ) -> PgResult<Option<(BranchName, Arc<str>, Snapshot)>> {
        let Some((branch, _)) = self.seen(schema) else {
            return Ok(None);
        };
        let key: (BranchName, Arc<str>) = (branch, reference.into());
        let Some(found) = self.past.get(&key) else {
            self.missing_past.lock().get_or_insert(key);
            return Ok(None);
        };
        let snapshot = found.clone()?;
        let (branch, reference) = key;
        Ok(Some((branch, reference, snapshot)))
    }

    /// A table of one schema as it was.
    fn in_schema_as_of(
        &self,
        schema: &str,
        name: &str,
        reference: &str,
    ) -> PgResult<Option<Relation>> {
        let Some((branch, reference, snapshot)) = self.state_as_of(schema, reference)? else {
            return Ok(None);
        };
        Ok(snapshot.schema().table(name).map(|def| {
            let oid = self.catalogs.lookup().class(branch.as_str(), name);
            Relation {
                provider: Arc::new(GraphTable::new(branch.clone(), Arc::clone(def)).at(reference)),
                ..table_relation(&branch, oid.unwrap_or(0), def)
            }
        }))
    }

    /// A schema that is a branch, with what it declares.
    pub fn branch(&self, schema: &str) -> Option<(BranchName, Arc<Schema>)> {
        let (name, seen) = self.seen(schema)?;
        Some((name, seen.schema))
    }

    fn seen(&self, schema: &str) -> Option<(BranchName, Seen)> {
        let Attached { access, shared } = self.graph.as_ref()?;
        let name = BranchName::parse(schema).ok()?;
        let begun = self.begun.get(&name).cloned();
        match begun.or_else(|| shared.seen(access, &name)) {
            Some(seen) => Some((name, seen)),
            None => {
                self.missing.lock().get_or_insert(name);
                None
            }
        }
    }

    fn in_schema(&self, schema: &str, name: &str) -> PgResult<Option<Relation>> {
        if Catalogs::is_catalog(schema) {
            let relation = self.catalogs.relation(schema, name)?;
            if relation.is_some() {
                self.asked_catalog.store(true, Ordering::Relaxed);
            }
            return Ok(relation);
        }
        let Some((branch, seen)) = self.seen(schema) else {
            return Ok(None);
        };
        let Some(def) = seen.schema.table(name) else {
            return Ok(None);
        };
        let oid = self.catalogs.lookup().class(branch.as_str(), name);
        if oid.is_none() {
            // The catalogs are older than this table.
            self.asked_catalog.store(true, Ordering::Relaxed);
        }
        Ok(Some(table_relation(&branch, oid.unwrap_or(0), def)))
    }
}

impl Environment for Frozen {
    fn relation(&self, schema: Option<&str>, name: &str) -> PgResult<Option<Relation>> {
        if let Some(schema) = schema {
            return self.in_schema(self.path.schema(schema), name);
        }
        for schema in self.path.schemas.iter() {
            if let Some(relation) = self.in_schema(schema, name)? {
                return Ok(Some(relation));
            }
        }
        Ok(None)
    }

    fn relation_as_of(
        &self,
        schema: Option<&str>,
        name: &str,
        reference: &str,
    ) -> PgResult<Option<Relation>> {
        let schemas: Vec<&str> = match schema {
            Some(schema) => vec![self.path.schema(schema)],
            None => self.path.schemas.iter().map(String::as_str).collect(),
        };
        for schema in schemas {
            if let Some(relation) = self.in_schema_as_of(schema, name, reference)? {
                return Ok(Some(relation));
            }
        }
        Ok(None)
    }

    fn transaction_time(&self) -> i64 {
        self.transaction_time
    }

    fn table_function(&self, schema: Option<&str>, name: &str) -> Option<Arc<dyn TableFunction>> {
        self.common.shared.functions.find(schema, name)
    }

    fn stored_query(&self, schema: Option<&str>, name: &str) -> Option<Arc<StoredQuery>> {
        if !is_function_schema(schema) {
            return None;
        }
        let query = self.stored.get(name)?;
        self.called.lock().push(Arc::clone(query));
        Some(Arc::clone(query))
    }

    fn ask_for_sizes(&self) {
        self.asked_catalog.store(true, Ordering::Relaxed);
        self.asked_sizes.store(true, Ordering::Relaxed);
    }

    fn graph_schema(&self) -> Option<Arc<Schema>> {
        self.session_schema.clone()
    }

    fn graph(&self, schema: Option<&str>) -> PgResult<Option<(BranchName, Arc<Schema>)>> {
        Ok(self.branch(self.path.schema(schema.unwrap_or("public"))))
    }

    fn graph_as_of(
        &self,
        schema: Option<&str>,
        reference: &str,
    ) -> PgResult<Option<(BranchName, Arc<Schema>)>> {
        let schema = self.path.schema(schema.unwrap_or("public"));
        let found = self.state_as_of(schema, reference)?;
        Ok(found.map(|(branch, _, snapshot)| (branch, snapshot.schema().clone())))
    }

    fn catalog(&self) -> Arc<dyn CatalogLookup> {
        self.catalogs.lookup()
    }

    fn search_path(&self) -> SearchPath {
        self.path.clone()
    }

    fn database(&self) -> String {
        self.common.database.to_string()
    }

    fn user(&self) -> String {
        self.common.actor.to_string()
    }

    fn text_format(&self) -> TextFormat {
        TextFormat::clone(&self.format)
    }

    fn session(&self) -> Arc<dyn SessionCalls> {
        let session: Arc<Common> = Arc::clone(&self.common);
        session
    }
}

fn seen_in(snapshot: &Snapshot) -> Seen {
    Seen {
        ordinal: snapshot.branch_ordinal(),
        schema: Arc::clone(snapshot.schema()),
    }
}

/// A node type or edge type as a relation.
pub(crate) fn table_relation(branch: &BranchName, oid: u32, def: &Arc<TypeDef>) -> Relation {
    let first_property = if def.is_edge() { 3 } else { 1 };
    let columns = sql_columns(def)
        .into_iter()
        .enumerate()
        .map(|(at, column)| {
            let property = at
                .checked_sub(first_property)
                .and_then(|at| def.properties.get(at));
            RelationColumn {
                name: column.name,
                ty: column.ty,
                not_null: !column.nullable,
                attnum: i16::try_from(at + 1).unwrap_or(i16::MAX),
                has_default: at == 0 || property.is_some_and(|property| property.default.is_some()),
                generated: at == 0 && !def.key.is_empty(),
            }
        })
        .collect();
    Relation {
        oid,
        schema: branch.to_string(),
        name: def.table.clone(),
        columns,
        provider: Arc::new(GraphTable::new(branch.clone(), Arc::clone(def))),
        kind: if def.is_edge() {
            RelationKind::Edge(def.id)
        } else {
            RelationKind::Node(def.id)
        },
    }
}
