//! The catalogs of a session's graph, made from what its branches show.
//!
//! A state of the catalogs is shared by all sessions of an actor for as long as no branch has
//! moved. Statements are bound in the last known state; one that reads the catalogs, or does
//! not find a name in them, asks for a fresh one first.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use futures::{StreamExt, TryStreamExt};
use omnigraph_catalog::access::{Action, GraphAccess, Resource, SERVER_DATABASE};
use omnigraph_catalog::lookup::CatalogLookup;
use omnigraph_catalog::pg_catalog::{
    ArgumentInput, ArgumentMode, BranchInput, CastContext, CastInput, CatalogCache, CatalogInput,
    DatabaseRow, FunctionInput, FunctionKind, FunctionVolatility, OperatorInput, PgCatalog,
    Registry,
};
use omnigraph_catalog::stored::StoredQueries;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::names::{BranchName, CommitId};
use omnigraph_engine::{BranchInfo, Snapshot};
use parking_lot::Mutex;

use super::common::Common;
use super::live::{Listed, ListedStatement};
use super::{Attached, Session};
use crate::error::PgResult;
use crate::plan::Functions;
use crate::statement::bind::catalog::{listed_casts, listed_functions, listed_operators};
use crate::statement::bind::{CatalogNames, FUNCTIONS, Relation, RelationColumn, RelationKind};

/// One state of the catalogs, as one session sees it.
#[derive(Debug)]
pub struct Catalogs {
    catalog: Arc<PgCatalog>,
}

/// The catalogs that sessions of a graph share.
#[derive(Debug, Default)]
pub struct CatalogStates {
    cache: Arc<CatalogCache>,
    by_actor: Mutex<HashMap<String, State>>,
}

#[derive(Debug, Clone)]
struct State {
    branches: Arc<Vec<Known>>,
    databases: Vec<String>,
    stored: Arc<StoredQueries>,
    catalog: Arc<PgCatalog>,
}

/// A branch at one of its commits.
#[derive(Debug, Clone)]
pub(super) struct Known {
    id: String,
    head: CommitId,
    /// The part of it that the actor sees.
    part: String,
    pub(super) input: BranchInput,
}

impl Known {
    /// Is it what an actor sees of a branch now?
    fn is(&self, branch: &BranchInfo, access: &GraphAccess) -> bool {
        self.id == branch.id && self.head == branch.head && self.part == access.shown(&branch.name)
    }
}

/// How many actors' catalogs are kept, and how many branches are looked at side by side.
const ACTORS: usize = 1_000;
pub(super) const LOOKING: usize = 8;
/// PostgreSQL's OID of its own database, and where those of graphs begin.
const SERVER_OID: u32 = 5;
pub(crate) const FIRST_GRAPH_OID: u32 = 16_400;

impl Catalogs {
    pub fn is_catalog(schema: &str) -> bool {
        matches!(schema, "pg_catalog" | "information_schema" | "omnigraph")
    }

    pub fn lookup(&self) -> Arc<dyn CatalogLookup> {
        let catalog: Arc<PgCatalog> = Arc::clone(&self.catalog);
        catalog
    }

    pub fn relation(&self, schema: &str, name: &str) -> PgResult<Option<Relation>> {
        relation(&self.catalog, schema, name)
    }
}

/// A relation of the catalogs, as the binder takes it.
pub(crate) fn relation(
    catalog: &PgCatalog,
    schema: &str,
    name: &str,
) -> PgResult<Option<Relation>> {
    let Some(found) = catalog.relation(schema, name)? else {
        return Ok(None);
    };
    let columns = found
        .columns
        .into_iter()
        .enumerate()
        .map(|(at, (name, ty, not_null))| RelationColumn {
            name,
            ty,
            not_null,
            attnum: i16::try_from(at + 1).unwrap_or(i16::MAX),
            has_default: false,
            generated: false,
        })
        .collect();
    Ok(Some(Relation {
        oid: found.oid,
        schema: schema.to_owned(),
        name: name.to_owned(),
        columns,
        provider: found.provider,
        kind: RelationKind::Catalog,
    }))
}

impl Session {
    /// The catalogs to bind in; `fresh`: as the store has them now.
    pub(crate) async fn catalogs(&mut self, fresh: bool) -> PgResult<Arc<Catalogs>> {
        let pinned = self.pinned();
        if !fresh
            && let Some((of, catalogs)) = &self.catalogs
            && *of == pinned
        {
            return Ok(Arc::clone(catalogs));
        }
        let past = self.past().await?;
        let catalog = match (self.graph.clone(), past) {
            (Some(attached), None) => self.graph_catalog(&attached, fresh).await?,
            (Some(attached), Some((branch, snapshot))) => {
                self.graph_catalog(&attached, fresh).await?;
                self.catalog_as_of(&attached, &branch, &snapshot)?
            }
            (None, _) => self.built(&CatalogStates::default(), Vec::new(), None)?,
        };
        *self.common.listed.lock() = self.listed();
        let catalogs = self.with_live(&catalog);
        self.catalogs = Some((pinned, Arc::clone(&catalogs)));
        Ok(catalogs)
    }

    pub(super) fn with_live(&self, catalog: &PgCatalog) -> Arc<Catalogs> {
        let live: Arc<Common> = Arc::clone(&self.common);
        Arc::new(Catalogs {
            catalog: catalog.with_live(live),
        })
    }

    /// The branches that the catalogs were last made of.
    pub(super) fn known_branches(&self, attached: &Attached) -> Arc<Vec<Known>> {
        let actor = self.common.actor.to_string();
        let by_actor = attached.shared.catalogs.by_actor.lock();
        by_actor
            .get(&actor)
            .map(|state| Arc::clone(&state.branches))
            .unwrap_or_default()
    }

    fn listed(&self) -> Listed {
        let statements = self
            .statements
            .iter()
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, statement)| ListedStatement {
                name: name.to_owned(),
                text: statement
                    .parsed
                    .as_ref()
                    .map_or_else(String::new, |parsed| parsed.text.clone()),
                prepared_at: statement.prepared_at,
                params: statement.described.params.iter().map(|ty| ty.oid).collect(),
            })
            .collect();
        Listed {
            statements,
            cursors: self.cursors.listed(),
        }
    }

    async fn graph_catalog(&self, attached: &Attached, fresh: bool) -> PgResult<Arc<PgCatalog>> {
        let states = &attached.shared.catalogs;
        let actor = self.common.actor.to_string();
        let known = states.by_actor.lock().get(&actor).cloned();
        if !fresh && let Some(state) = &known {
            return Ok(Arc::clone(&state.catalog));
        }
        let branches = attached.access.branches().await?;
        let databases = self.database_names();
        let stored = attached.access.stored_queries();
        let before: Arc<Vec<Known>> = known
            .as_ref()
            .map(|state| Arc::clone(&state.branches))
            .unwrap_or_default();
        let same = |state: &State| {
            state.databases == databases
                && Arc::ptr_eq(&state.stored, &stored)
                && state.branches.len() == branches.len()
                && state
                    .branches
                    .iter()
                    .zip(&branches)
                    .all(|(known, branch)| known.is(branch, &attached.access))
        };
        if let Some(state) = known.filter(same) {
            return Ok(state.catalog);
        }
        let branches: Vec<Known> = futures::stream::iter(branches)
            .map(|branch| known_branch(attached, &before, branch))
            .buffered(LOOKING)
            .try_filter_map(|known| futures::future::ready(Ok(known)))
            .try_collect()
            .await?;
        let inputs = branches.iter().map(|known| known.input.clone()).collect();
        let catalog = self.built(states, inputs, None)?;
        let mut by_actor = states.by_actor.lock();
        if by_actor.len() >= ACTORS {
            by_actor.clear();
        }
        by_actor.insert(
            actor,
            State {
                branches: Arc::new(branches),
                databases,
                stored,
                catalog: Arc::clone(&catalog),
            },
        );
        Ok(catalog)
    }

    /// The catalogs that were looked at last, with one branch as it was.
    fn catalog_as_of(
        &self,
        attached: &Attached,
        branch: &BranchName,
        snapshot: &Snapshot,
    ) -> PgResult<Arc<PgCatalog>> {
        let states = &attached.shared.catalogs;
        let known = self.known_branches(attached);
        let inputs = known
            .iter()
            .map(|known| match known.input.name == branch.as_str() {
                true => input(branch, known.input.ordinal, snapshot),
                false => known.input.clone(),
            });
        self.built(states, inputs.collect(), None)
    }

    /// `size`: the bytes of the graph's tables, if somebody has added them up.
    pub(super) fn built(
        &self,
        states: &CatalogStates,
        branches: Vec<BranchInput>,
        size: Option<i64>,
    ) -> PgResult<Arc<PgCatalog>> {
        let server = DatabaseRow {
            oid: SERVER_OID,
            name: SERVER_DATABASE.to_owned(),
            size: Some(0),
            description: Some("the server itself: it has no graph".to_owned()),
        };
        let stored = match &self.graph {
            Some(attached) => attached.access.stored_queries(),
            None => StoredQueries::none(),
        };
        let graphs = self
            .database_names()
            .into_iter()
            .zip(FIRST_GRAPH_OID..)
            .map(|(name, oid)| DatabaseRow {
                oid,
                size: size.filter(|_| name == self.common.database.to_string()),
                name,
                description: None,
            });
        Ok(PgCatalog::build(CatalogInput {
            database: self.common.database.to_string(),
            databases: std::iter::once(server).chain(graphs).collect(),
            branches,
            actors: self.common.shared.facts.actors.clone(),
            current_actor: self.common.actor.to_string(),
            registry: registry(&self.common.shared.functions),
            stored: stored.iter().map(|query| query.listed()).collect(),
            cache: Arc::clone(&states.cache),
            live: None,
        })?)
    }

    fn database_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .common
            .shared
            .databases
            .listed(&self.common.actor, &self.common.database)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        names.sort();
        names
    }

    /// Remembers how what was just bound is named and printed.
    pub(crate) async fn remember_names(&mut self) -> PgResult<()> {
        let catalog = self.catalogs(false).await?.lookup();
        let path = self.search_path().await?;
        self.names = Arc::new(CatalogNames { catalog, path });
        Ok(())
    }
}

/// What a branch shows, looked at again only if it has moved. `None`: it has just been
/// deleted, or the actor may not see it.
async fn known_branch(
    attached: &Attached,
    before: &[Known],
    branch: BranchInfo,
) -> PgResult<Option<Known>> {
    let reference = Resource::Reference(branch.name.as_str());
    if attached.access.check_part(Action::Read, reference).is_err() {
        return Ok(None);
    }
    if let Some(known) = before
        .iter()
        .find(|known| known.is(&branch, &attached.access))
    {
        return Ok(Some(known.clone()));
    }
    let snapshot = match attached.access.snapshot(branch.name.as_str()).await {
        Ok(snapshot) => snapshot,
        Err(omnigraph_engine::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    attached.shared.saw(&snapshot);
    Ok(Some(Known {
        id: branch.id,
        head: snapshot.commit(),
        part: snapshot.restriction().unwrap_or_default().to_owned(),
        input: input(&branch.name, branch.ordinal, &snapshot),
    }))
}

/// What a branch shows in a state.
pub(super) fn input(branch: &BranchName, ordinal: u64, snapshot: &Snapshot) -> BranchInput {
    let rows = snapshot
        .tables()
        .map(|table| (table.def().id, table.row_count()));
    BranchInput {
        name: branch.to_string(),
        ordinal,
        schema: Arc::clone(snapshot.schema()),
        row_counts: rows.collect(),
        sizes: HashMap::new(),
    }
}

/// What can be called: the binder's tables and the table functions. Made once.
pub(crate) fn registry(functions: &Functions) -> Arc<Registry> {
    static REGISTRY: OnceLock<Arc<Registry>> = OnceLock::new();
    Arc::clone(REGISTRY.get_or_init(|| {
        let listed = listed_functions()
            .map(|row| FunctionInput {
                schema: if row.is_own() {
                    FUNCTIONS
                } else {
                    "pg_catalog"
                }
                .to_owned(),
                name: row.name.to_owned(),
                arguments: row
                    .args
                    .iter()
                    .map(|oid| argument(None, PgType::new(*oid), ArgumentMode::In))
                    .collect(),
                returns: PgType::new(row.result),
                returns_set: row.set,
                kind: match row.kind {
                    'a' => FunctionKind::Aggregate,
                    'w' => FunctionKind::Window,
                    'p' => FunctionKind::Procedure,
                    _ => FunctionKind::Function,
                },
                volatility: match row.volatility {
                    'i' => FunctionVolatility::Immutable,
                    's' => FunctionVolatility::Stable,
                    _ => FunctionVolatility::Volatile,
                },
                strict: row.strict,
                description: None,
            })
            .chain(
                functions
                    .all()
                    .flat_map(|function| table_function(&**function)),
            )
            .collect();
        let operators = listed_operators()
            .map(|row| OperatorInput {
                name: row.name.to_owned(),
                left: (row.left != 0).then(|| PgType::new(row.left)),
                right: PgType::new(row.right),
                result: PgType::new(row.result),
                description: None,
            })
            .collect();
        let casts = listed_casts()
            .map(|row| CastInput {
                source: PgType::new(row.source),
                target: PgType::new(row.target),
                context: match row.context {
                    'i' => CastContext::Implicit,
                    'a' => CastContext::Assignment,
                    _ => CastContext::Explicit,
                },
            })
            .collect();
        Arc::new(Registry {
            functions: listed,
            operators,
            casts,
        })
    }))
}

fn argument(name: Option<&str>, ty: PgType, mode: ArgumentMode) -> ArgumentInput {
    ArgumentInput {
        name: name.map(str::to_owned),
        ty,
        mode,
        default: None,
    }
}

/// A table function once for each of its signatures.
fn table_function(function: &dyn omnigraph_udfs::TableFunction) -> Vec<FunctionInput> {
    let nothing = vec![None; function.arguments().len()];
    // A function whose columns follow from its arguments is listed as returning records.
    let columns = function.columns(&nothing, None).unwrap_or_default();
    omnigraph_udfs::signatures(function)
        .into_iter()
        .map(|types| {
            let given = function
                .arguments()
                .iter()
                .zip(types)
                .map(|(declared, ty)| ArgumentInput {
                    name: Some(declared.name.to_owned()),
                    ty,
                    mode: if declared.variadic {
                        ArgumentMode::Variadic
                    } else {
                        ArgumentMode::In
                    },
                    default: declared.default_sql(),
                });
            let given: Vec<ArgumentInput> = given.collect();
            let told = columns
                .iter()
                .map(|column| argument(Some(&column.name), column.ty, ArgumentMode::Table));
            FunctionInput {
                schema: FUNCTIONS.to_owned(),
                name: function.name().to_owned(),
                arguments: given.into_iter().chain(told).collect(),
                returns: PgType::RECORD,
                returns_set: true,
                kind: FunctionKind::Function,
                volatility: match function.effect() {
                    omnigraph_udfs::Effect::Reads => FunctionVolatility::Stable,
                    omnigraph_udfs::Effect::Changes => FunctionVolatility::Volatile,
                },
                strict: false,
                description: Some(function.description().to_owned()),
            }
        })
        .collect()
}
