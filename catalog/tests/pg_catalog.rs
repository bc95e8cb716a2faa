//! The catalogs of the fixture's graph beside what PostgreSQL 15 holds for the same tables, and
//! what must be true of OIDs. `scripts/dump_pg_catalog.sh` asks PostgreSQL the same queries.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, UInt32Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::MemorySchemaProvider;
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use datafusion::physical_plan::displayable;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::lookup::{
    CatalogKind, CatalogLookup, PrivilegeOn, RelationSize, SearchPath, parse_qualified_name,
};
use omnigraph_catalog::pg_catalog::{
    ArgumentInput, ArgumentMode, BranchInput, CatalogInput, DatabaseRow, FunctionInput,
    FunctionKind, FunctionVolatility, LiveRelations, PgCatalog, Registry, Row,
};
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::{Schema, SeededIds};

const FIXTURE: &str = include_str!("data/fixture.pg");

fn schema(source: &str) -> Arc<Schema> {
    match Schema::parse(source, &mut SeededIds(7)) {
        Ok(schema) => Arc::new(schema),
        Err(errors) => panic!("{errors}"),
    }
}

fn branch(name: &str, ordinal: u64, schema: &Arc<Schema>) -> BranchInput {
    let first = schema.types[0].id;
    BranchInput {
        name: name.into(),
        ordinal,
        schema: Arc::clone(schema),
        row_counts: [(first, 36)].into(),
        sizes: [(first, 10_000)].into(),
    }
}

fn input(branches: Vec<BranchInput>) -> CatalogInput {
    CatalogInput {
        database: "knowledge".into(),
        databases: vec![
            DatabaseRow {
                oid: 5,
                name: "postgres".into(),
                size: Some(0),
                description: None,
            },
            DatabaseRow {
                oid: 16_400,
                name: "knowledge".into(),
                size: Some(7),
                description: Some("What we know".into()),
            },
        ],
        branches,
        actors: vec!["ada".into(), "grace".into()],
        current_actor: "ada".into(),
        registry: Arc::default(),
        stored: Vec::new(),
        cache: Arc::default(),
        live: None,
    }
}

fn fixture() -> Arc<PgCatalog> {
    let schema = schema(FIXTURE);
    let branches = vec![branch("main", 0, &schema), branch("review/1", 1, &schema)];
    PgCatalog::build(input(branches)).expect("the fixture fits")
}

fn path() -> SearchPath {
    SearchPath::of_branch("main")
}

/// A function of the tests' sessions, evaluated row by row.
fn function(
    context: &SessionContext,
    name: &str,
    arguments: Vec<DataType>,
    answer: impl Fn(&[ScalarValue]) -> Option<String> + Send + Sync + 'static,
) {
    let body = move |values: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(values)?;
        let texts = (0..arrays.first().map_or(0, |array| array.len()))
            .map(|row| {
                let row: Vec<ScalarValue> = arrays
                    .iter()
                    .map(|array| ScalarValue::try_from_array(array, row))
                    .collect::<datafusion::error::Result<_>>()?;
                Ok(answer(&row))
            })
            .collect::<datafusion::error::Result<arrow::array::StringArray>>()?;
        Ok(ColumnarValue::Array(Arc::new(texts)))
    };
    context.register_udf(create_udf(
        name,
        arguments,
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(body),
    ));
}

fn oid(value: &ScalarValue) -> Option<u32> {
    match value {
        ScalarValue::UInt32(oid) => *oid,
        _ => None,
    }
}

fn session(catalog: &Arc<PgCatalog>) -> SessionContext {
    let context = SessionContext::new();
    let root = context.catalog("datafusion").expect("the default");
    let standard = Arc::new(MemorySchemaProvider::new());
    for name in PgCatalog::names("information_schema") {
        let relation = catalog
            .relation("information_schema", name)
            .expect("builds")
            .expect("is there");
        datafusion::catalog::SchemaProvider::register_table(
            &*standard,
            name.to_owned(),
            relation.provider,
        )
        .expect("is new");
    }
    root.register_schema("information_schema", standard)
        .expect("is new");
    for name in PgCatalog::names("pg_catalog") {
        let relation = catalog
            .relation("pg_catalog", name)
            .expect("builds")
            .expect("is there");
        context
            .register_table(name, relation.provider)
            .expect("is new");
    }
    let pretty = |value: &ScalarValue| *value == ScalarValue::Boolean(Some(true));
    let of = Arc::clone(catalog);
    function(
        &context,
        "pg_get_constraintdef",
        vec![DataType::UInt32, DataType::Boolean],
        move |row| of.constraint_def(oid(&row[0])?, pretty(&row[1]), &path()),
    );
    let of = Arc::clone(catalog);
    let arguments = vec![DataType::UInt32, DataType::Int64, DataType::Boolean];
    function(&context, "pg_get_indexdef", arguments, move |row| {
        let ScalarValue::Int64(Some(column)) = row[1] else {
            return None;
        };
        of.index_def(
            oid(&row[0])?,
            i32::try_from(column).ok()?,
            pretty(&row[2]),
            &path(),
        )
    });
    let of = Arc::clone(catalog);
    function(
        &context,
        "format_type",
        vec![DataType::UInt32, DataType::Int32],
        move |row| {
            let ScalarValue::Int32(typmod) = row[1] else {
                return None;
            };
            Some(of.format_type(oid(&row[0])?, typmod, &path()))
        },
    );
    function(
        &context,
        "pg_get_expr",
        vec![DataType::Utf8, DataType::UInt32],
        |row| match &row[0] {
            ScalarValue::Utf8(text) => text.clone(),
            _ => None,
        },
    );
    context
}

/// As `psql -At` prints it, with `\N` for NULL.
fn printed(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "\\N".to_owned();
    }
    match array.data_type() {
        DataType::Boolean => if array.as_boolean().value(row) {
            "t"
        } else {
            "f"
        }
        .to_owned(),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let items: Vec<String> = (0..items.len()).map(|item| printed(&items, item)).collect();
            format!("{{{}}}", items.join(","))
        }
        _ => {
            let options = FormatOptions::default();
            let formatter = ArrayFormatter::try_new(array, &options).expect("is printable");
            formatter.value(row).to_string()
        }
    }
}

async fn query(context: &SessionContext, sql: &str) -> Vec<String> {
    let frame = match context.sql(sql).await {
        Ok(frame) => frame,
        Err(error) => panic!("{error}: {sql}"),
    };
    let batches = match frame.collect().await {
        Ok(batches) => batches,
        Err(error) => panic!("{error}: {sql}"),
    };
    let mut lines: Vec<String> = batches
        .iter()
        .flat_map(|batch| {
            (0..batch.num_rows()).map(|row| {
                let fields: Vec<String> = batch
                    .columns()
                    .iter()
                    .map(|column| printed(column, row))
                    .collect();
                fields.join("\t")
            })
        })
        .collect();
    lines.sort();
    lines
}

macro_rules! as_in_postgresql {
    ($($name:ident;)*) => { $(
        #[tokio::test]
        async fn $name() {
            let name = stringify!($name);
            let sql = include_str!(concat!("data/expected/", stringify!($name), ".sql"));
            let expected = include_str!(concat!("data/expected/", stringify!($name), ".tsv"));
            let found = query(&session(&fixture()), sql).await;
            let mut expected: Vec<&str> = expected.lines().collect();
            expected.sort_unstable();
            let missing: Vec<&&str> = expected.iter().filter(|line| !found.iter().any(|other| other == *line)).collect();
            let extra: Vec<&String> = found.iter().filter(|line| !expected.contains(&line.as_str())).collect();
            assert!(missing.is_empty() && extra.is_empty(), "{name}\nmissing: {missing:#?}\nextra: {extra:#?}");
            assert_eq!(found.len(), expected.len(), "{name}");
        }
    )* };
}

/// Each compares with the rows that PostgreSQL 15 has for the same tables.
mod rows {
    use super::{fixture, query, session};

    as_in_postgresql! {
        attrdef;
        attribute;
        class;
        constraint;
        depend_attrdef;
        depend_class;
        depend_constraint;
        depend_type;
        description;
        index;
        is_check_constraints;
        is_columns;
        is_constraint_column_usage;
        is_constraint_table_usage;
        is_domains;
        is_element_types;
        is_key_column_usage;
        is_not_nulls;
        is_referential_constraints;
        is_schemata;
        is_system_columns;
        is_table_constraints;
        is_tables;
        is_triggers;
        is_views;
        pg_indexes;
        pg_tables;
        system_class;
        types;
    }
}

async fn oids(catalog: &Arc<PgCatalog>, sql: &str) -> Vec<u32> {
    let batches = session(catalog)
        .sql(sql)
        .await
        .expect("binds")
        .collect()
        .await
        .expect("runs");
    batches
        .iter()
        .flat_map(|batch| {
            batch
                .column(0)
                .as_primitive::<UInt32Type>()
                .values()
                .to_vec()
        })
        .collect()
}

/// Catalogs whose objects have OIDs of their own.
const WITH_OIDS: &[&str] = &[
    "pg_class",
    "pg_type",
    "pg_constraint",
    "pg_attrdef",
    "pg_namespace",
    "pg_proc",
    "pg_operator",
    "pg_cast",
    "pg_am",
    "pg_opclass",
    "pg_opfamily",
    "pg_collation",
    "pg_language",
    "pg_extension",
    "pg_authid",
    "pg_database",
    "pg_tablespace",
];

#[tokio::test]
async fn no_oid_is_used_twice() {
    let catalog = fixture();
    let mut of_users = HashSet::new();
    for name in WITH_OIDS {
        let found = oids(&catalog, &format!("SELECT oid FROM {name}")).await;
        assert_eq!(
            found.iter().collect::<HashSet<_>>().len(),
            found.len(),
            "{name}"
        );
        assert!(!found.contains(&0), "{name}");
        // PostgreSQL itself gives one low OID to objects in different catalogs.
        for oid in found.into_iter().filter(|oid| *oid >= 16_384) {
            assert!(
                of_users.insert(oid),
                "{oid} of {name} is another object's too"
            );
        }
    }
    assert!(of_users.len() > 100);
}

#[tokio::test]
async fn oids_stay_when_a_branch_is_added_and_differ_between_branches() {
    let one = schema(FIXTURE);
    let alone = PgCatalog::build(input(vec![branch("main", 0, &one)])).expect("fits");
    let both = fixture();
    assert_eq!(alone.class("main", "knows"), both.class("main", "knows"));
    assert_ne!(both.class("main", "knows"), both.class("review/1", "knows"));
    let number = one.table("knows").expect("declared").number;
    assert_eq!(
        both.class("review/1", "knows"),
        Some(65_536 * 2 + 64 + number * 64)
    );
    let of = |catalog: Arc<PgCatalog>| async move {
        oids(&catalog, "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'main'").await
    };
    assert_eq!(
        of(alone).await.into_iter().collect::<BTreeSet<_>>(),
        of(both).await.into_iter().collect()
    );
}

#[tokio::test]
async fn references_between_catalogs_lead_somewhere() {
    let context = session(&fixture());
    for (table, column, target) in [
        ("pg_class", "relnamespace", "pg_namespace"),
        ("pg_class", "reltype", "pg_type"),
        ("pg_class", "relam", "pg_am"),
        ("pg_class", "relowner", "pg_authid"),
        ("pg_attribute", "attrelid", "pg_class"),
        ("pg_attribute", "atttypid", "pg_type"),
        ("pg_attribute", "attcollation", "pg_collation"),
        ("pg_type", "typnamespace", "pg_namespace"),
        ("pg_type", "typrelid", "pg_class"),
        ("pg_type", "typelem", "pg_type"),
        ("pg_type", "typarray", "pg_type"),
        ("pg_type", "typbasetype", "pg_type"),
        ("pg_type", "typinput", "pg_proc"),
        ("pg_type", "typoutput", "pg_proc"),
        ("pg_type", "typreceive", "pg_proc"),
        ("pg_type", "typsend", "pg_proc"),
        ("pg_type", "typcollation", "pg_collation"),
        ("pg_constraint", "conrelid", "pg_class"),
        ("pg_constraint", "confrelid", "pg_class"),
        ("pg_constraint", "conindid", "pg_class"),
        ("pg_index", "indrelid", "pg_class"),
        ("pg_index", "indexrelid", "pg_class"),
        ("pg_attrdef", "adrelid", "pg_class"),
        ("pg_proc", "pronamespace", "pg_namespace"),
        ("pg_proc", "prolang", "pg_language"),
        ("pg_proc", "prorettype", "pg_type"),
        ("pg_am", "amhandler", "pg_proc"),
        ("pg_opclass", "opcfamily", "pg_opfamily"),
        ("pg_opclass", "opcintype", "pg_type"),
        ("pg_database", "datdba", "pg_authid"),
        ("pg_database", "dattablespace", "pg_tablespace"),
        ("pg_extension", "extnamespace", "pg_namespace"),
    ] {
        let sql = format!(
            "SELECT DISTINCT {column} FROM {table} WHERE {column} <> 0 AND {column} NOT IN (SELECT oid FROM {target})"
        );
        assert_eq!(
            query(&context, &sql).await,
            Vec::<String>::new(),
            "{table}.{column}"
        );
    }
}

#[tokio::test]
async fn the_vector_extension_owns_its_type_and_functions() {
    let context = session(&fixture());
    let sql = "SELECT e.extname, t.typname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid \
               JOIN pg_type t ON t.oid = d.objid WHERE d.deptype = 'e' AND d.classid = 1247";
    assert_eq!(query(&context, sql).await, ["vector\tvector"]);
    let sql = "SELECT p.proname FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid WHERE d.deptype = 'e' AND d.classid = 1255";
    assert_eq!(query(&context, sql).await.len(), 6);
}

#[tokio::test]
async fn every_relation_can_be_read() {
    let catalog = fixture();
    let context = session(&catalog);
    for schema in ["pg_catalog", "information_schema"] {
        for name in PgCatalog::names(schema) {
            let qualified = if schema == "pg_catalog" {
                name.to_owned()
            } else {
                format!("{schema}.{name}")
            };
            query(&context, &format!("SELECT * FROM {qualified}")).await;
        }
    }
    assert!(
        catalog
            .relation("pg_catalog", "person")
            .expect("builds")
            .is_none()
    );
    assert!(
        catalog
            .relation("main", "pg_class")
            .expect("builds")
            .is_none()
    );
}

#[tokio::test]
async fn a_lookup_by_oid_reads_only_what_it_finds() {
    let catalog = fixture();
    let context = session(&catalog);
    let knows = catalog.class("review/1", "knows").expect("is there");
    let sql = format!(
        "SELECT attname FROM pg_attribute WHERE attrelid = arrow_cast({knows}, 'UInt32') AND attnum > 0"
    );
    assert_eq!(query(&context, &sql).await, ["dst", "id", "since", "src"]);
    let plan = context
        .sql(&sql)
        .await
        .expect("binds")
        .create_physical_plan()
        .await
        .expect("plans");
    let shown = displayable(plan.as_ref()).indent(true).to_string();
    assert!(
        shown.contains("CatalogScan: pg_catalog.pg_attribute, attrelid = 1 value(s)"),
        "{shown}"
    );
    assert!(!shown.contains("attrelid@0 ="), "{shown}");
    let list = format!(
        "SELECT relname FROM pg_class WHERE oid IN (arrow_cast({knows}, 'UInt32'), arrow_cast(1259, 'UInt32'))"
    );
    assert_eq!(query(&context, &list).await, ["knows", "pg_class"]);
    let name = "SELECT oid FROM pg_class WHERE relname = 'pg_type' LIMIT 1";
    assert_eq!(query(&context, name).await, ["1247"]);
    let nothing = "SELECT oid FROM pg_class WHERE oid = arrow_cast(NULL, 'UInt32')";
    assert!(query(&context, nothing).await.is_empty());
}

#[tokio::test]
async fn row_counts_are_the_branchs_and_the_rest_is_shared() {
    let schema = schema(FIXTURE);
    let first = input(vec![branch("main", 0, &schema)]);
    let cache = Arc::clone(&first.cache);
    let one = PgCatalog::build(first).expect("fits");
    let mut later = branch("main", 0, &schema);
    later.row_counts.values_mut().for_each(|count| *count = 37);
    let mut next = input(vec![later]);
    next.cache = cache;
    next.registry = Arc::default();
    let two = PgCatalog::build(next).expect("fits");
    let sql = "SELECT reltuples, relpages FROM pg_class WHERE relname = 'person'";
    assert_eq!(query(&session(&one), sql).await, ["36.0\t2"]);
    assert_eq!(query(&session(&two), sql).await, ["37.0\t2"]);
    assert_eq!(
        query(
            &session(&two),
            "SELECT n_live_tup FROM pg_stat_user_tables WHERE relname = 'person'"
        )
        .await,
        ["37"]
    );
}

#[tokio::test]
async fn branches_with_one_schema_share_what_is_large() {
    let catalog = fixture();
    let context = SessionContext::new();
    let relation = catalog
        .relation("pg_catalog", "pg_attribute")
        .expect("builds")
        .expect("is there");
    context
        .register_table("pg_attribute", relation.provider)
        .expect("is new");
    let batches = context
        .sql("SELECT attname, attrelid FROM pg_attribute")
        .await
        .expect("binds")
        .collect()
        .await
        .expect("runs");
    let [_, main, review] = batches.as_slice() else {
        panic!("{} batches", batches.len())
    };
    let values = |batch: &RecordBatch, column: usize| {
        batch
            .column(column)
            .to_data()
            .buffers()
            .last()
            .map(|buffer| buffer.as_ptr())
    };
    assert_eq!(values(main, 0), values(review, 0));
    assert_ne!(values(main, 1), values(review, 1));
}

#[tokio::test]
async fn live_relations_are_filled_by_the_session() {
    #[derive(Debug)]
    struct Settings;
    impl LiveRelations for Settings {
        fn rows(&self, relation: &str) -> Vec<Row> {
            match relation {
                "pg_settings" => vec![vec![
                    ("name", "search_path".into()),
                    ("setting", "main".into()),
                ]],
                _ => Vec::new(),
            }
        }
    }
    let catalog = fixture();
    let sql = "SELECT name, setting, unit FROM pg_settings WHERE name = 'search_path'";
    assert!(query(&session(&catalog), sql).await.is_empty());
    let catalog = catalog.with_live(Arc::new(Settings));
    assert_eq!(
        query(&session(&catalog), sql).await,
        ["search_path\tmain\t\\N"]
    );
}

#[tokio::test]
async fn branches_are_the_only_schemas_that_clients_do_not_hide() {
    let context = session(&fixture());
    let listed = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'";
    assert_eq!(query(&context, listed).await, ["main", "review/1"]);
    let all = query(&context, "SELECT nspname FROM pg_namespace").await;
    assert_eq!(
        all,
        [
            "information_schema",
            "main",
            "pg_catalog",
            "pg_omnigraph",
            "review/1"
        ]
    );
}

#[test]
fn names_lead_to_oids_and_back() {
    let catalog = fixture();
    let path = path();
    let name = |text: &str| parse_qualified_name(text).expect("is a name");
    let person = catalog
        .resolve_class(&name("person"), &path)
        .expect("is there");
    assert_eq!(
        catalog.resolve_class(&name("main.Person"), &path),
        Some(person)
    );
    assert_eq!(
        catalog.resolve_class(&name("public.person"), &path),
        Some(person)
    );
    assert_eq!(
        catalog.resolve_class(&name("knowledge.main.person"), &path),
        Some(person)
    );
    assert_eq!(
        catalog.resolve_class(&name("elsewhere.main.person"), &path),
        None
    );
    assert_eq!(catalog.resolve_class(&name("pg_class"), &path), Some(1259));
    assert_eq!(catalog.resolve_class(&name("nosuch"), &path), None);
    let other = catalog
        .resolve_class(&name("\"review/1\".person"), &path)
        .expect("is there");
    assert_eq!(catalog.class_text(person, &path), "person");
    assert_eq!(catalog.class_text(other, &path), "\"review/1\".person");
    assert_eq!(catalog.class_text(0, &path), "-");
    assert_eq!(catalog.class_text(99, &path), "99");
    assert_eq!(
        catalog.class_by_oid(person).map(|class| class.kind),
        Some('r')
    );
    assert_eq!(
        catalog
            .class("main", "person_pkey")
            .and_then(|oid| catalog.class_by_oid(oid))
            .map(|class| class.kind),
        Some('i')
    );
    assert_eq!(catalog.namespace("main"), Some(65_536));
    assert_eq!(
        catalog.namespace_name(65_536 * 2).as_deref(),
        Some("review/1")
    );
    assert_eq!(
        catalog.namespace("omnigraph"),
        catalog.namespace("pg_omnigraph")
    );
    assert_eq!(catalog.namespace("public"), None);
    assert_eq!(
        catalog
            .role("grace")
            .and_then(|oid| catalog.role_name(oid))
            .as_deref(),
        Some("grace")
    );
    assert_eq!(catalog.role_text(1), "unknown (OID=1)");
    assert_eq!(catalog.database("knowledge"), Some(16_400));
}

#[test]
fn types_of_tables_are_named_like_their_tables() {
    let catalog = fixture();
    let path = path();
    let person = catalog.parse_type("person", &path).expect("is there");
    assert_eq!(catalog.format_type(person.oid, None, &path), "person");
    let many = catalog.parse_type("person[]", &path).expect("is there");
    assert_eq!(catalog.format_type(many.oid, Some(-1), &path), "person[]");
    assert_eq!(
        catalog.type_by_oid(many.oid),
        Some(("main".into(), "_person".into()))
    );
    let other = catalog
        .parse_type("\"review/1\".person", &path)
        .expect("is there");
    assert_eq!(
        catalog.format_type(other.oid, None, &path),
        "\"review/1\".person"
    );
    assert_eq!(
        catalog
            .parse_type("pg_catalog.int4", &path)
            .map(|ty| ty.oid),
        Some(23)
    );
    assert_eq!(
        catalog.parse_type("int4[]", &path).map(|ty| ty.oid),
        Some(1007)
    );
    assert_eq!(
        catalog.parse_type("vector(3)[]", &path),
        Some(PgType::VECTOR_ARRAY.with_typmod(3))
    );
    assert_eq!(
        catalog.parse_type("pg_class", &path).map(|ty| ty.oid),
        Some(83)
    );
    assert_eq!(
        catalog
            .parse_type("information_schema.yes_or_no", &path)
            .map(|ty| ty.oid),
        Some(13_234)
    );
    assert_eq!(catalog.parse_type("nosuch", &path), None);
    assert_eq!(catalog.format_type(4_000_000_000, None, &path), "???");
}

#[test]
fn visibility_follows_the_path() {
    let catalog = fixture();
    let visible = |schema: &str, path: &SearchPath| {
        catalog.is_visible(
            CatalogKind::Class,
            catalog.class(schema, "person").expect("is there"),
            path,
        )
    };
    assert_eq!(visible("main", &path()), Some(true));
    assert_eq!(visible("review/1", &path()), Some(false));
    assert_eq!(
        visible("review/1", &SearchPath::of_branch("review/1")),
        Some(true)
    );
    let both = SearchPath {
        schemas: ["main", "review/1"].map(String::from).into(),
        branch: "main".into(),
    };
    assert_eq!(visible("review/1", &both), Some(false));
    assert_eq!(
        catalog.is_visible(CatalogKind::Class, 1259, &both),
        Some(true)
    );
    assert_eq!(catalog.is_visible(CatalogKind::Type, 25, &both), Some(true));
    assert_eq!(catalog.is_visible(CatalogKind::Class, 1, &both), None);
    assert_eq!(
        catalog.is_visible(CatalogKind::Collation, 950, &path()),
        Some(true)
    );
}

#[test]
fn facts_about_objects() {
    let catalog = fixture();
    let task = catalog.class("main", "task").expect("is there");
    assert_eq!(
        catalog.description(task, Some("pg_class")).as_deref(),
        Some("A thing to do")
    );
    assert_eq!(catalog.description(task, Some("pg_type")), None);
    assert_eq!(
        catalog.column_description(task, 3).as_deref(),
        Some("What has to be done")
    );
    assert_eq!(catalog.column_description(task, 0), None);
    assert_eq!(
        catalog.shared_description(16_400, "pg_database").as_deref(),
        Some("What we know")
    );
    assert_eq!(
        catalog
            .description(25, Some("pg_type"))
            .map(|text| text.contains("variable-length")),
        Some(true)
    );
    let person = catalog.class("main", "person").expect("is there");
    assert_eq!(
        catalog.relation_size(person, RelationSize::Total),
        Some(10_000)
    );
    assert_eq!(catalog.relation_size(1, RelationSize::Data), None);
    assert_eq!(catalog.database_size(16_400), Some(7));
    assert!(catalog.exists(PrivilegeOn::Class, person));
    assert!(catalog.exists(PrivilegeOn::Schema, 65_536));
    assert!(!catalog.exists(PrivilegeOn::Class, person + 60));
    assert!(!catalog.exists(PrivilegeOn::Parameter, 1));
}

#[test]
fn functions_are_printed_as_they_are_called() {
    let argument = |name: &str, ty, default: Option<&str>, mode| ArgumentInput {
        name: Some(name.into()),
        ty,
        mode,
        default: default.map(str::to_owned),
    };
    let traverse = FunctionInput {
        schema: "omnigraph".into(),
        name: "traverse".into(),
        arguments: vec![
            argument("edges", PgType::TEXT, None, ArgumentMode::In),
            argument("start", PgType::TEXT_ARRAY, None, ArgumentMode::In),
            argument("max_hops", PgType::INT4, Some("1"), ArgumentMode::In),
            argument("id", PgType::TEXT, None, ArgumentMode::Table),
            argument("depth", PgType::INT4, None, ArgumentMode::Table),
        ],
        returns: PgType::RECORD,
        returns_set: true,
        kind: FunctionKind::Function,
        volatility: FunctionVolatility::Stable,
        strict: false,
        description: Some("What can be reached".into()),
    };
    let mut input = input(Vec::new());
    input.registry = Arc::new(Registry {
        functions: vec![traverse],
        ..Registry::default()
    });
    let catalog = PgCatalog::build(input).expect("fits");
    let found = catalog.procs("omnigraph", "traverse");
    let [proc] = found.as_slice() else {
        panic!("{found:?}")
    };
    let path = path();
    assert_eq!(
        catalog.function_arguments(proc.oid, &path).as_deref(),
        Some("edges text, start text[], max_hops integer DEFAULT 1")
    );
    assert_eq!(
        catalog
            .function_identity_arguments(proc.oid, &path)
            .as_deref(),
        Some("edges text, start text[], max_hops integer")
    );
    assert_eq!(
        catalog.function_result(proc.oid, &path).as_deref(),
        Some("TABLE(id text, depth integer)")
    );
    assert_eq!(
        catalog.function_def(proc.oid).as_deref(),
        Some(
            "CREATE OR REPLACE FUNCTION omnigraph.traverse(edges text, start text[], max_hops integer DEFAULT 1)\n \
             RETURNS TABLE(id text, depth integer)\n LANGUAGE internal\n STABLE PARALLEL SAFE\n\
             AS $function$traverse$function$\n"
        )
    );
    assert_eq!(
        catalog.procedure_text(proc.oid, &path),
        "traverse(text,text[],integer)"
    );
    assert_eq!(catalog.proc_text(750, &path), "array_in");
    assert_eq!(
        catalog.description(proc.oid, Some("pg_proc")).as_deref(),
        Some("What can be reached")
    );
}

#[test]
fn postgresqls_functions_print_with_postgresqls_names_and_defaults() {
    let mut input = input(Vec::new());
    let make_interval = FunctionInput {
        schema: "pg_catalog".into(),
        name: "make_interval".into(),
        arguments: [PgType::INT4; 6]
            .into_iter()
            .chain([PgType::FLOAT8])
            .map(|ty| ArgumentInput {
                name: None,
                ty,
                mode: ArgumentMode::In,
                default: None,
            })
            .collect(),
        returns: PgType::INTERVAL,
        returns_set: false,
        kind: FunctionKind::Function,
        volatility: FunctionVolatility::Immutable,
        strict: true,
        description: None,
    };
    input.registry = Arc::new(Registry {
        functions: vec![make_interval],
        ..Registry::default()
    });
    let catalog = PgCatalog::build(input).expect("fits");
    let oid = catalog.procs("pg_catalog", "make_interval")[0].oid;
    assert_eq!(oid, 3464);
    assert_eq!(
        catalog.function_arguments(oid, &path()).as_deref(),
        Some(
            "years integer DEFAULT 0, months integer DEFAULT 0, weeks integer DEFAULT 0, days integer DEFAULT 0, \
             hours integer DEFAULT 0, mins integer DEFAULT 0, secs double precision DEFAULT 0.0"
        )
    );
    assert_eq!(
        catalog.procedure_text(oid, &path()),
        "make_interval(integer,integer,integer,integer,integer,integer,double precision)"
    );
}

#[tokio::test]
async fn keys_of_several_properties_and_vectors_are_shown() {
    let source = "node Place {\n  country: String\n  code: I32\n  spot: Vector(3)?\n  @key(country, code)\n  @index(spot)\n}\n";
    let catalog = PgCatalog::build(input(vec![branch("main", 3, &schema(source))])).expect("fits");
    let context = session(&catalog);
    let id = "SELECT adbin FROM pg_attrdef";
    assert_eq!(
        query(&context, id).await,
        ["(json_build_array(country, (code)::text))::text"]
    );
    let indexes = "SELECT indexdef FROM pg_indexes";
    assert_eq!(
        query(&context, indexes).await,
        [
            "CREATE INDEX place_spot_idx ON main.place USING hnsw (spot vector_cosine_ops)",
            "CREATE UNIQUE INDEX place_country_code_key ON main.place USING btree (country, code)",
            "CREATE UNIQUE INDEX place_pkey ON main.place USING btree (id)",
        ]
    );
    let columns = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
                   WHERE c.relname = 'place'";
    assert_eq!(
        query(&context, columns).await,
        [
            "code\tinteger",
            "country\ttext",
            "id\ttext",
            "spot\tvector(3)"
        ]
    );
    let standard = "SELECT data_type, udt_schema, udt_name FROM information_schema.columns WHERE column_name = 'spot'";
    assert_eq!(
        query(&context, standard).await,
        ["vector\tpg_catalog\tvector"]
    );
}

#[tokio::test]
async fn a_type_with_very_many_constraints_keeps_its_oids_apart() {
    let mut source = "node Wide {\n".to_owned();
    for number in 0..90 {
        source.push_str(&format!("  p{number}: I32 @unique @default({number})\n"));
    }
    source.push_str("}\nnode Next { a: I32 @unique }\n");
    let schema = schema(&source);
    let catalog = PgCatalog::build(input(vec![
        branch("main", 0, &schema),
        branch("other", 1, &schema),
    ]))
    .expect("fits");
    let mut all = HashSet::new();
    for name in ["pg_class", "pg_constraint", "pg_attrdef"] {
        for oid in oids(
            &catalog,
            &format!("SELECT oid FROM {name} WHERE oid > 65535"),
        )
        .await
        {
            assert!(all.insert(oid), "{oid}");
        }
    }
    // In each branch: the graph, tables, primary keys, unique indexes and constraints, defaults.
    assert_eq!(all.len(), 2 * (1 + 2 + 2 * 2 + 91 * 2 + 90 + 2));
    let last = catalog.class("other", "wide_p89_key").expect("is there");
    assert_eq!(
        catalog.class_text(last, &SearchPath::of_branch("other")),
        "wide_p89_key"
    );
}
