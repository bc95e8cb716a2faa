//! Statements bound and run over small tables in memory. What is expected in `postgres.txt` is
//! what PostgreSQL 15 answers to the same statements over the same tables: names, types, rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema as ArrowSchema};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::MemTable;
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::collect;
use omnigraph_catalog::lookup::{CatalogLookup, SearchPath};
use omnigraph_catalog::pg_catalog::{CatalogCache, CatalogInput, DatabaseRow, PgCatalog, Registry};
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::{Schema, TypeId};
use omnigraph_udfs::TableFunction;

use super::no_session::NoSession;
use super::types::type_name;
use super::{
    Bound, BoundQuery, Environment, Execution, OnConflictAction, Relation, RelationColumn,
    RelationKind, SessionCalls, bind, context, now_micros,
};
use crate::error::{PgError, PgResult};
use crate::statement::parse::parse;
use crate::text::write::Formatter;
use crate::text::{Input, NoNames, TextFormat, read};

mod errors;

#[derive(Debug)]
struct World {
    catalog: Arc<PgCatalog>,
    tables: Vec<Relation>,
}

impl Environment for World {
    fn relation(&self, schema: Option<&str>, name: &str) -> PgResult<Option<Relation>> {
        if schema.is_none_or(|schema| schema == "main")
            && let Some(table) = self.tables.iter().find(|table| table.name == name)
        {
            return Ok(Some(table.clone()));
        }
        let schema = schema.unwrap_or("pg_catalog");
        let found = self
            .catalog
            .relation(schema, name)
            .expect("the catalogs are in memory");
        Ok(found.map(|relation| Relation {
            oid: relation.oid,
            schema: schema.to_owned(),
            name: name.to_owned(),
            columns: columns(relation.columns.into_iter().map(|(name, ty, _)| (name, ty))),
            provider: relation.provider,
            kind: RelationKind::Catalog,
        }))
    }

    fn relation_as_of(&self, _: Option<&str>, _: &str, _: &str) -> PgResult<Option<Relation>> {
        Ok(None)
    }

    fn transaction_time(&self) -> i64 {
        0
    }

    fn table_function(&self, _schema: Option<&str>, _name: &str) -> Option<Arc<dyn TableFunction>> {
        None
    }

    fn graph_schema(&self) -> Option<Arc<Schema>> {
        None
    }

    fn catalog(&self) -> Arc<dyn CatalogLookup> {
        Arc::clone(&self.catalog) as Arc<dyn CatalogLookup>
    }

    fn search_path(&self) -> SearchPath {
        SearchPath::of_branch("main")
    }

    fn database(&self) -> String {
        "knowledge".to_owned()
    }

    fn user(&self) -> String {
        "ada".to_owned()
    }

    fn text_format(&self) -> TextFormat {
        TextFormat::default()
    }

    fn session(&self) -> Arc<dyn SessionCalls> {
        Arc::new(NoSession)
    }
}

fn columns(columns: impl Iterator<Item = (String, PgType)>) -> Vec<RelationColumn> {
    columns
        .enumerate()
        .map(|(at, (name, ty))| RelationColumn {
            name,
            ty,
            not_null: false,
            attnum: at as i16 + 1,
            has_default: false,
            generated: false,
        })
        .collect()
}

/// A table of texts, each read as its column's type; `\N` is NULL.
fn table(oid: u32, name: &str, declared: &[(&str, PgType)], rows: &[&[&str]]) -> Relation {
    let format = TextFormat::default();
    let input = Input {
        format: &format,
        names: &NoNames,
        now: 0,
    };
    let arrays = declared
        .iter()
        .enumerate()
        .map(|(at, (_, ty))| {
            let values: Vec<ScalarValue> = rows
                .iter()
                .map(|row| {
                    if row[at] == "\\N" {
                        read::null(*ty)
                    } else {
                        read::parse(*ty, row[at], &input)
                    }
                    .expect("a literal")
                })
                .collect();
            ScalarValue::iter_to_array(values).expect("values of one type")
        })
        .collect();
    let fields: Vec<Field> = declared
        .iter()
        .map(|(name, ty)| Field::new(*name, ty.arrow(), true))
        .collect();
    let schema = Arc::new(ArrowSchema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).expect("columns of one length");
    let provider: Arc<dyn TableProvider> =
        Arc::new(MemTable::try_new(schema, vec![vec![batch]]).expect("a table"));
    Relation {
        oid,
        schema: "main".to_owned(),
        name: name.to_owned(),
        columns: columns(declared.iter().map(|(name, ty)| ((*name).to_owned(), *ty))),
        provider,
        kind: RelationKind::Node(TypeId(u64::from(oid))),
    }
}

fn world() -> World {
    let people = table(
        70_000,
        "people",
        &[
            ("id", PgType::TEXT),
            ("name", PgType::TEXT),
            ("age", PgType::INT4),
            ("score", PgType::FLOAT8),
            ("big", PgType::INT8),
            ("born", PgType::DATE),
            ("seen", PgType::TIMESTAMPTZ),
            ("tags", PgType::TEXT_ARRAY),
            ("active", PgType::BOOL),
        ],
        &[
            &[
                "a",
                "Ada",
                "36",
                "2.5",
                "9000000000",
                "1815-12-10",
                "2024-02-29 12:34:56.789+00",
                "{math,poetry}",
                "t",
            ],
            &[
                "b",
                "Bob",
                "\\N",
                "-1",
                "1",
                "1990-01-31",
                "2024-03-01 00:00:00+00",
                "\\N",
                "f",
            ],
            &["c", "Cyd", "27", "2.5", "2", "\\N", "\\N", "{}", "\\N"],
            &[
                "d",
                "Dan",
                "41",
                "\\N",
                "\\N",
                "2000-02-29",
                "2023-12-31 23:59:59+00",
                "{a,NULL,\"c d\"}",
                "t",
            ],
        ],
    );
    let visits = table(
        70_064,
        "visits",
        &[
            ("id", PgType::TEXT),
            ("person", PgType::TEXT),
            ("place", PgType::TEXT),
            ("n", PgType::INT4),
        ],
        &[
            &["1", "a", "x", "1"],
            &["2", "a", "y", "2"],
            &["3", "b", "x", "3"],
            &["4", "\\N", "z", "4"],
        ],
    );
    let catalog = PgCatalog::build(CatalogInput {
        database: "knowledge".to_owned(),
        databases: vec![DatabaseRow {
            oid: 5,
            name: "knowledge".to_owned(),
            size: Some(0),
            description: None,
        }],
        branches: Vec::new(),
        actors: vec!["ada".to_owned()],
        current_actor: "ada".to_owned(),
        registry: Arc::new(Registry::default()),
        stored: Vec::new(),
        cache: Arc::new(CatalogCache::default()),
        live: None,
    })
    .expect("an empty catalog");
    World {
        catalog,
        tables: vec![people, visits],
    }
}

fn bound(sql: &str, declared: &[u32]) -> PgResult<Bound> {
    let statement = parse(sql)?.pop().expect("a statement");
    bind(&statement, &world(), declared)
}

fn query(sql: &str, declared: &[u32]) -> PgResult<BoundQuery> {
    match bound(sql, declared)? {
        Bound::Query(query) => Ok(query),
        _ => panic!("{sql} is no query"),
    }
}

/// The rows, which are the same whether values are put into the plan before it is optimized or
/// into a plan that was kept.
async fn run(query: &BoundQuery, params: &[ScalarValue]) -> PgResult<Vec<String>> {
    let now = now_micros();
    let execution = Execution {
        params,
        transaction_time: now,
        statement_time: now,
    };
    let state = context::session_state(Arc::new(RuntimeEnv::default()));
    let optimize = |plan: &LogicalPlan| {
        state
            .optimize(plan)
            .map_err(|error| crate::sqlstate::from_datafusion(&error))
    };
    let custom = optimize(&query.with_params(&execution)?);
    let generic = optimize(&query.plan).and_then(|plan| super::complete(&plan, &execution));
    let custom = match custom {
        Ok(plan) => rows_of(query, &state, &plan).await,
        Err(error) => Err(error),
    };
    if !query.volatile && !is_random(&query.plan) {
        let generic = match generic {
            Ok(plan) => rows_of(query, &state, &plan).await,
            Err(error) => Err(error),
        };
        assert_eq!(
            generic.as_ref().map_err(|error| error.code),
            custom.as_ref().map_err(|error| error.code),
            "the kept plan of {:?}",
            query.plan
        );
    }
    custom
}

fn is_random(plan: &LogicalPlan) -> bool {
    plan.exists(|node| Ok(node.expressions().iter().any(Expr::is_volatile)))
        .expect("the closure never fails")
}

async fn rows_of(
    query: &BoundQuery,
    state: &SessionState,
    optimized: &LogicalPlan,
) -> PgResult<Vec<String>> {
    let foreign =
        |error: datafusion::error::DataFusionError| crate::sqlstate::from_datafusion(&error);
    let physical = state
        .query_planner()
        .create_physical_plan(optimized, state)
        .await
        .map_err(foreign)?;
    let batches = collect(physical, state.task_ctx()).await.map_err(foreign)?;
    let world = world();
    let names = super::CatalogNames {
        catalog: world.catalog(),
        path: world.search_path(),
    };
    let formatter = Formatter::new(Arc::new(TextFormat::default()), Arc::new(names));
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let mut cells = Vec::new();
            for (column, array) in query.columns.iter().zip(batch.columns()) {
                assert_eq!(
                    array.data_type(),
                    &column.ty.arrow(),
                    "column {} of {:?}",
                    column.name,
                    query.plan
                );
                cells.push(
                    formatter
                        .text(column.ty, array, row)?
                        .unwrap_or_else(|| "NULL".to_owned()),
                );
            }
            rows.push(cells.join("|"));
        }
    }
    Ok(rows)
}

#[tokio::test]
async fn answers_are_those_of_postgres() {
    let mut wrong = Vec::new();
    for case in include_str!("postgres.txt").split("\n\n") {
        let mut lines = case.lines();
        let Some(sql) = lines.next().and_then(|line| line.strip_prefix("> ")) else {
            continue;
        };
        let described = lines
            .next()
            .and_then(|line| line.strip_prefix("= "))
            .unwrap_or_default();
        let rows: Vec<String> = lines
            .map(|line| line.strip_prefix("  ").unwrap_or(line).to_owned())
            .collect();
        let found = match query(sql, &[]) {
            Ok(query) => {
                let columns: Vec<String> = query
                    .columns
                    .iter()
                    .map(|column| format!("{} {}", column.name, type_name(column.ty)))
                    .collect();
                match run(&query, &[]).await {
                    Ok(found) => (columns.join(", "), found),
                    Err(error) => (columns.join(", "), vec![format!("{error:?}")]),
                }
            }
            Err(error) => (format!("{error:?}"), Vec::new()),
        };
        if found != (described.to_owned(), rows.clone()) {
            wrong.push(format!("{sql}\n  expected {described}\n           {rows:?}\n  found    {}\n           {:?}", found.0, found.1));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn parameters_have_types_before_they_have_values() {
    let check = |sql: &str, expected: &[PgType]| {
        let query = query(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert_eq!(query.params, expected, "{sql}");
    };
    check(
        "select name from people where age = $1 and name like $2",
        &[PgType::INT4, PgType::TEXT],
    );
    check(
        "select $1::int8, lower($2), coalesce($3, age) from people",
        &[PgType::INT8, PgType::TEXT, PgType::INT4],
    );
    check(
        "select name from people limit $1 offset $2",
        &[PgType::INT8, PgType::INT8],
    );
    check(
        "select name from people where id = any($1)",
        &[PgType::TEXT_ARRAY],
    );
    check("select $1", &[PgType::TEXT]);
    check(
        "select age + $1 from people where born > $2",
        &[PgType::INT4, PgType::DATE],
    );
    let Bound::Insert(insert) = bound(
        "insert into people (id, age, tags) values ($1, $2, $3)",
        &[],
    )
    .expect("binds") else {
        panic!("an INSERT")
    };
    assert_eq!(
        insert.params,
        [PgType::TEXT, PgType::INT4, PgType::TEXT_ARRAY]
    );
    let declared = query("select $1", &[PgType::INT8.oid]).expect("binds");
    assert_eq!(declared.columns[0].ty, PgType::INT8);

    let by_age = query("select name from people where age > $1 order by 1", &[]).expect("binds");
    assert_eq!(
        run(&by_age, &[ScalarValue::Int32(Some(30))])
            .await
            .expect("runs"),
        ["Ada", "Dan"]
    );
    assert_eq!(
        run(&by_age, &[ScalarValue::Int32(Some(40))])
            .await
            .expect("runs again"),
        ["Dan"]
    );
}

#[test]
fn columns_remember_their_tables() {
    let query = query("select p.name, p.age + 1, p.id as key from people p", &[]).expect("binds");
    let origins: Vec<(u32, i16)> = query
        .columns
        .iter()
        .map(|column| (column.table_oid, column.attnum))
        .collect();
    assert_eq!(origins, [(70_000, 2), (0, 0), (70_000, 1)]);
}

#[test]
fn writes_say_what_they_write() {
    let Bound::Insert(insert) = bound(
        "insert into people (id, name) values ('x', 'X'), ('y', default) on conflict (id) do update set name = excluded.name where people.age > 1 returning *, age + 1 as older",
        &[],
    )
    .expect("binds") else {
        panic!("an INSERT")
    };
    assert_eq!(insert.columns, [0, 1]);
    assert_eq!(insert.defaults.len(), 1);
    assert_eq!(
        (
            insert.defaults[0].column,
            insert.defaults[0].rows.as_slice()
        ),
        (1, [1].as_slice())
    );
    assert_eq!(
        insert.returning.map(|returning| returning.columns.len()),
        Some(10)
    );
    let action = insert.on_conflict.expect("a conflict clause").action;
    assert!(
        matches!(action, OnConflictAction::DoUpdate { assignments, condition: Some(_), .. } if assignments.len() == 1 && assignments[0].0 == 1)
    );

    let Bound::Update(update) = bound("update people p set age = v.n, name = default from visits v where v.person = p.id returning p.id, v.place", &[]).expect("binds") else {
        panic!("an UPDATE")
    };
    assert_eq!((update.assigned, update.defaults), (vec![2, 1], vec![1]));
    assert_eq!(update.source.schema().field(0).name(), "t0");

    let Bound::Delete(delete) = bound(
        "delete from people using visits v where v.person = people.id returning v.n",
        &[],
    )
    .expect("binds") else {
        panic!("a DELETE")
    };
    assert_eq!(
        delete.returning.map(|returning| returning.columns[0].ty),
        Some(PgType::INT4)
    );
}

/// The message, code and position of what fails, in binding or in running.
async fn failure(sql: &str) -> PgError {
    let query = match bound(sql, &[]) {
        Err(error) => return error,
        Ok(Bound::Query(query)) => query,
        Ok(_) => panic!("{sql} binds"),
    };
    match run(&query, &[]).await {
        Err(error) => error,
        Ok(rows) => panic!("{sql} gives {rows:?}"),
    }
}
