//! The functions, called as the executor calls them, over a graph in memory.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use datafusion::datasource::provider_as_source;
use datafusion::execution::memory_pool::UnboundedMemoryPool;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, lit};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;
use omnigraph_catalog::access::GraphAccess;
use omnigraph_catalog::actor::Actor;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::{
    CommitMessage, Graph, ResourceLimits, Resources, Snapshot, Store, StoreOptions,
    TransactionOptions,
};

use crate::{
    Call, FunctionContext, FunctionScope, FunctionSource, Result, TableFunction, register,
};

const SCHEMA: &str = "
node Person { name: String @key age: I32? }
edge Knows: Person -> Person { since: Date? }
";

#[derive(Debug)]
struct Context {
    access: GraphAccess,
    snapshot: Snapshot,
}

#[async_trait]
impl FunctionContext for Context {
    fn access(&self) -> Result<&GraphAccess> {
        Ok(&self.access)
    }

    async fn snapshot(&self) -> Result<Snapshot> {
        Ok(self.snapshot.clone())
    }

    fn branch(&self) -> &BranchName {
        self.snapshot.branch()
    }
}

/// `ada → bob → cyd → ada`; on branch `review`, `bob` is 30 and `cyd` is gone.
struct World {
    graph: Graph,
    main: Arc<Context>,
}

impl World {
    async fn new() -> World {
        let store = Store::connect("memory:", &StoreOptions::default())
            .await
            .expect("memory");
        let resources = Resources::new(&ResourceLimits::default());
        let graph = Graph::create(store, SCHEMA, "ada", resources)
            .await
            .expect("an empty store");
        let world = World {
            main: context(&graph, "main").await,
            graph,
        };
        world
            .upsert(
                "main",
                "person",
                &[("ada", None), ("bob", None), ("cyd", None)],
                &[],
            )
            .await;
        world
            .upsert(
                "main",
                "knows",
                &[],
                &[
                    ("1", "ada", "bob"),
                    ("2", "bob", "cyd"),
                    ("3", "cyd", "ada"),
                ],
            )
            .await;
        let review = BranchName::parse("review").expect("a good name");
        world
            .graph
            .create_branch(&review, "main", "bob")
            .await
            .expect("it is new");
        world
            .upsert("review", "person", &[("bob", Some(30))], &[])
            .await;
        let mut transaction = world.begin("review").await;
        let person = transaction
            .snapshot()
            .table_named("person")
            .expect("declared")
            .def()
            .id;
        transaction
            .delete(person, &["cyd".to_owned()])
            .await
            .expect("it is there");
        transaction
            .commit(CommitMessage::default())
            .await
            .expect("nobody else writes");
        World {
            main: context(&world.graph, "main").await,
            graph: world.graph,
        }
    }

    async fn begin(&self, branch: &str) -> omnigraph_engine::Transaction {
        let options = TransactionOptions {
            actor: "ada".to_owned(),
            ..TransactionOptions::default()
        };
        let branch = BranchName::parse(branch).expect("a good name");
        self.graph.begin(&branch, options).await.expect("it exists")
    }

    async fn upsert(
        &self,
        branch: &str,
        table: &str,
        people: &[(&str, Option<i32>)],
        knows: &[(&str, &str, &str)],
    ) {
        let mut transaction = self.begin(branch).await;
        let def = transaction
            .snapshot()
            .table_named(table)
            .expect("declared")
            .def()
            .clone();
        let text = |values: Vec<&str>| -> ArrayRef { Arc::new(StringArray::from(values)) };
        let columns: Vec<ArrayRef> = if def.is_edge() {
            let none =
                arrow::array::new_null_array(&arrow::datatypes::DataType::Date32, knows.len());
            vec![
                text(knows.iter().map(|edge| edge.0).collect()),
                text(knows.iter().map(|edge| edge.1).collect()),
                text(knows.iter().map(|edge| edge.2).collect()),
                none,
            ]
        } else {
            let names: Vec<&str> = people.iter().map(|person| person.0).collect();
            let ages: arrow::array::Int32Array = people.iter().map(|person| person.1).collect();
            vec![text(names.clone()), text(names), Arc::new(ages)]
        };
        let rows = RecordBatch::try_new(def.arrow_schema(), columns).expect("its columns");
        transaction.upsert(def.id, rows).await.expect("good rows");
        let message = CommitMessage {
            message: Some(format!("write {table}")),
            ..CommitMessage::default()
        };
        transaction
            .commit(message)
            .await
            .expect("nobody else writes");
    }
}

async fn context(graph: &Graph, branch: &str) -> Arc<Context> {
    Arc::new(Context {
        access: GraphAccess::new(graph.clone(), "g", Actor::new("ada")),
        snapshot: graph.snapshot(branch).await.expect("it exists"),
    })
}

fn function(name: &str) -> Arc<dyn TableFunction> {
    register()
        .into_iter()
        .find(|function| function.name() == name)
        .expect("it is registered")
}

/// Every argument of a function, the given ones by name.
fn arguments(function: &dyn TableFunction, given: &[(&str, ScalarValue)]) -> Vec<ScalarValue> {
    let given: HashMap<&str, &ScalarValue> =
        given.iter().map(|(name, value)| (*name, value)).collect();
    function
        .arguments()
        .iter()
        .map(|argument| {
            let value = given
                .get(argument.name)
                .copied()
                .or(argument.default.as_ref());
            value.expect("required arguments are given").clone()
        })
        .collect()
}

fn text(value: &str) -> ScalarValue {
    ScalarValue::from(value)
}

async fn call(
    context: &Arc<Context>,
    name: &str,
    given: &[(&str, ScalarValue)],
) -> Result<Vec<String>, String> {
    let function = function(name);
    let arguments = arguments(&*function, given);
    let schema = context
        .snapshot()
        .await
        .expect("it exists")
        .schema()
        .clone();
    let constants: Vec<Option<ScalarValue>> = arguments.iter().cloned().map(Some).collect();
    let declared = function
        .columns(&constants, Some(&schema))
        .map_err(|error| error.to_string())?;
    let stream = function
        .call(Call {
            context: context.clone(),
            schema: crate::arrow_schema(&declared),
            arguments,
            bounds: Vec::new(),
            limit: None,
            wanted: None,
            memory: Arc::new(UnboundedMemoryPool::default()),
        })
        .map_err(|error| error.to_string())?;
    assert_eq!(stream.schema(), crate::arrow_schema(&declared));
    let batches: Vec<RecordBatch> = stream
        .try_collect()
        .await
        .map_err(|error| error.to_string())?;
    Ok(lines(&batches))
}

fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).expect("it can be shown"))
            .collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns
                .iter()
                .map(|column| column.value(row).to_string())
                .collect();
            lines.push(cells.join("|"));
        }
    }
    lines
}

#[tokio::test]
async fn traverse_takes_names_and_arrays() {
    let world = World::new().await;
    let both = ScalarValue::List(ScalarValue::new_list(
        &[text("bob"), text("ada")],
        &arrow::datatypes::DataType::Utf8,
        true,
    ));
    let given = [
        ("edges", text("knows")),
        ("start", both),
        ("max_hops", ScalarValue::Int32(Some(2))),
    ];
    assert_eq!(
        call(&world.main, "traverse", &given)
            .await
            .expect("good arguments"),
        [
            "bob|cyd|person|1",
            "bob|ada|person|2",
            "ada|bob|person|1",
            "ada|cyd|person|2"
        ]
    );
    let declared = [("edges", text("Knows")), ("start", text("ada"))];
    assert_eq!(
        call(&world.main, "traverse", &declared)
            .await
            .expect("a declared name"),
        ["ada|bob|person|1"]
    );
    let nobody = [("edges", text("knows")), ("start", ScalarValue::Utf8(None))];
    assert_eq!(
        call(&world.main, "traverse", &nobody).await.expect("NULL"),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn reachable_is_traverse_without_bounds() {
    let world = World::new().await;
    let given = [("edges", text("knows")), ("start", text("ada"))];
    let expected = ["ada|bob|person|1", "ada|cyd|person|2"];
    let found = call(&world.main, "reachable", &given).await;
    assert_eq!(found.expect("good arguments"), expected);
    let near = [
        given.to_vec(),
        vec![("max_hops", ScalarValue::Int32(Some(1)))],
    ]
    .concat();
    let found = call(&world.main, "reachable", &near).await;
    assert_eq!(found.expect("good arguments"), expected[..1]);
}

#[tokio::test]
async fn paths_come_node_by_node() {
    let world = World::new().await;
    let given = [
        ("edges", text("knows")),
        ("source", text("ada")),
        ("target", text("cyd")),
    ];
    let way = [
        "0|ada|NULL|0.0|ada|cyd",
        "1|bob|1|1.0|ada|cyd",
        "2|cyd|2|2.0|ada|cyd",
    ];
    let found = call(&world.main, "shortest_path", &given).await;
    assert_eq!(found.expect("good arguments"), way);
    let found = call(&world.main, "all_shortest_paths", &given).await;
    assert_eq!(
        found.expect("good arguments"),
        way.map(|row| format!("1|{row}"))
    );
    let both = [
        given.to_vec(),
        vec![
            ("k", ScalarValue::Int64(Some(5))),
            ("direction", text("both")),
        ],
    ]
    .concat();
    let found = call(&world.main, "k_shortest_paths", &both).await;
    let mut expected = vec![
        "1|0|ada|NULL|0.0|ada|cyd".to_owned(),
        "1|1|cyd|3|1.0|ada|cyd".to_owned(),
    ];
    expected.extend(way.map(|row| format!("2|{row}")));
    assert_eq!(found.expect("good arguments"), expected);
    let none = [
        given[0].clone(),
        given[1].clone(),
        ("target", text("nobody")),
    ];
    let found = call(&world.main, "shortest_path", &none).await;
    assert_eq!(found.expect("nobody is there"), Vec::<String>::new());
}

#[tokio::test]
async fn bad_arguments_say_what_would_be_good() {
    let world = World::new().await;
    for (name, given, expected) in [
        (
            "traverse",
            vec![("edges", text("likes")), ("start", text("ada"))],
            "traverse(): argument \"edges\" names \"likes\", which is no edge type",
        ),
        (
            "traverse",
            vec![("edges", text("person")), ("start", text("ada"))],
            "traverse(): argument \"edges\" names \"person\", which is a node type",
        ),
        (
            "neighbors",
            vec![
                ("edges", text("knows")),
                ("node", text("ada")),
                ("direction", text("up")),
            ],
            "neighbors(): argument \"direction\" must be one of 'out', 'in', 'both', not 'up'",
        ),
        (
            "k_shortest_paths",
            vec![
                ("edges", text("knows")),
                ("source", text("ada")),
                ("target", text("bob")),
                ("k", ScalarValue::Int64(Some(0))),
            ],
            "k_shortest_paths(): argument \"k\" must be at least 1",
        ),
        (
            "shortest_path",
            vec![
                ("edges", text("knows")),
                ("source", text("ada")),
                ("target", text("bob")),
                ("weight", text("since")),
            ],
            "\"knows.since\" is not a number, which a weight has to be",
        ),
        (
            "louvain",
            vec![
                ("edges", text("knows")),
                ("resolution", ScalarValue::Float64(Some(0.0))),
            ],
            "louvain(): argument \"resolution\" must be above 0",
        ),
        (
            "commits",
            vec![("ref", ScalarValue::Utf8(None))],
            "commits(): argument \"ref\" must not be null",
        ),
        (
            "diff",
            vec![("from_ref", text("main")), ("to_ref", text("nope"))],
            "\"nope\"",
        ),
    ] {
        let error = call(&world.main, name, &given).await.expect_err(expected);
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn commits_come_newest_first() {
    let world = World::new().await;
    let rows = call(&world.main, "commits", &[]).await.expect("a graph");
    let shown: Vec<Vec<&str>> = rows.iter().map(|row| row.split('|').collect()).collect();
    let summary: Vec<String> = shown
        .iter()
        .map(|cells| {
            [
                cells[1], cells[2], cells[4], cells[6], cells[7], cells[8], cells[9], cells[10],
                cells[11],
            ]
            .join(" ")
        })
        .collect();
    assert_eq!(
        summary,
        [
            "2 main ada write knows {} data 3 0 0",
            "1 main ada write person {} data 3 0 0",
            "0 main ada create the graph {} schema 0 0 0"
        ]
    );
    assert_eq!(shown[0][3], format!("[{}]", shown[1][0]), "its parent");
    let review = call(&world.main, "commits", &[("ref", text("review"))])
        .await
        .expect("a branch");
    assert_eq!(review.len(), 5);
    assert_eq!(
        review[2..],
        rows[..],
        "a branch begins with the history it was made from"
    );
    let before = call(&world.main, "commits", &[("ref", text("review~4"))])
        .await
        .expect("a commit");
    assert_eq!(before, rows[2..]);
}

#[tokio::test]
async fn branches_say_how_far_they_went_apart() {
    let world = World::new().await;
    world.upsert("main", "person", &[("dan", None)], &[]).await;
    let rows = call(&world.main, "branches", &[]).await.expect("a graph");
    let shown: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells: Vec<&str> = row.split('|').collect();
            [cells[0], cells[2], cells[4], cells[5], cells[6], cells[7]].join(" ")
        })
        .collect();
    assert_eq!(shown, ["main 3 NULL 0 0 false", "review 2 main 2 1 false"]);
}

#[tokio::test]
async fn diff_tells_rows_by_id() {
    let world = World::new().await;
    let rows = call(
        &world.main,
        "diff",
        &[("from_ref", text("current")), ("to_ref", text("review"))],
    )
    .await;
    assert_eq!(
        rows.expect("two states"),
        [
            r#"update|node|person|bob|{"id": "bob", "age": null, "name": "bob"}|{"id": "bob", "age": 30, "name": "bob"}"#,
            r#"delete|node|person|cyd|{"id": "cyd", "age": null, "name": "cyd"}|NULL"#,
            r#"delete|edge|knows|2|{"id": "2", "dst": "cyd", "src": "bob", "since": null}|NULL"#,
            r#"delete|edge|knows|3|{"id": "3", "dst": "ada", "src": "cyd", "since": null}|NULL"#,
        ]
    );
    let same = call(
        &world.main,
        "diff",
        &[("from_ref", text("main")), ("to_ref", text("main"))],
    )
    .await;
    assert_eq!(same.expect("two states"), Vec::<String>::new());
}

/// Plans a call in FROM with a filter and a limit: the rows, and the plan.
async fn select(world: &World, filter: Expr, limit: Option<usize>) -> (Vec<String>, String) {
    let traverse = function("traverse");
    let given = [
        ("edges", text("knows")),
        ("start", text("ada")),
        ("max_hops", ScalarValue::Int32(None)),
    ];
    let columns = traverse.columns(&[], None).expect("they are fixed");
    let arguments = arguments(&*traverse, &given);
    let source = FunctionSource::new(traverse, arguments, &columns);
    let scope: Arc<dyn FunctionContext> = world.main.clone();
    let config = SessionConfig::new().with_extension(Arc::new(FunctionScope(scope)));
    let session = SessionContext::new_with_config(config);
    let plan = LogicalPlanBuilder::scan("t", provider_as_source(Arc::new(source)), None)
        .and_then(|plan| plan.filter(filter))
        .and_then(|plan| plan.project([col("id"), col("depth")]))
        .and_then(|plan| plan.limit(0, limit))
        .and_then(LogicalPlanBuilder::build)
        .expect("a good plan");
    let state = session.state();
    let physical = state
        .create_physical_plan(&plan)
        .await
        .expect("it can be planned");
    let shown = datafusion::physical_plan::displayable(&*physical)
        .indent(false)
        .to_string();
    let rows = datafusion::physical_plan::collect(physical, session.task_ctx())
        .await
        .expect("it runs");
    (lines(&rows), shown)
}

#[tokio::test]
async fn conditions_on_depth_and_limits_reach_the_walk() {
    let world = World::new().await;
    let (rows, plan) = select(&world, col("depth").lt_eq(lit(1)), None).await;
    assert_eq!(rows, ["bob|1"]);
    assert!(
        plan.contains("depth <= 1") && !plan.contains("Filter"),
        "{plan}"
    );
    let (rows, plan) = select(&world, col("depth").gt_eq(lit(1)), Some(1)).await;
    assert_eq!(rows, ["bob|1"]);
    assert!(plan.contains("limit 1"), "{plan}");
    let (rows, plan) = select(&world, col("id").eq(lit("cyd")), Some(1)).await;
    assert_eq!(rows, ["cyd|2"]);
    assert!(plan.contains("Filter"), "{plan}");
}

#[tokio::test]
async fn one_table_is_compared_with_typed_columns() {
    let world = World::new().await;
    let refs = |table: &str| {
        vec![
            ("table", text(table)),
            ("from_ref", text("main")),
            ("to_ref", text("review")),
        ]
    };
    assert_eq!(
        call(&world.main, "table_diff", &refs("person"))
            .await
            .expect("two states"),
        [
            "update|bob|bob|bob|NULL|30",
            "delete|cyd|cyd|NULL|NULL|NULL"
        ]
    );
    assert_eq!(
        call(&world.main, "table_diff", &refs("nope"))
            .await
            .unwrap_err(),
        "type \"nope\" does not exist"
    );
    assert_eq!(
        call(
            &world.main,
            "commit_changes",
            &[("commit", text("review~1"))]
        )
        .await
        .expect("a commit"),
        [
            r#"update|node|person|bob|{"id": "bob", "age": null, "name": "bob"}|{"id": "bob", "age": 30, "name": "bob"}"#
        ]
    );
}

#[tokio::test]
async fn a_branch_is_merged_once_its_conflicts_are_resolved() {
    let world = World::new().await;
    world
        .upsert("main", "person", &[("bob", Some(40))], &[])
        .await;
    let source = [("source", text("review"))];
    assert_eq!(
        call(&world.main, "merge_conflicts", &source)
            .await
            .expect("two branches"),
        ["DivergentUpdate|person|bob|age|null|40|30"]
    );
    let refused = call(&world.main, "branch_merge", &source)
        .await
        .unwrap_err();
    assert!(
        refused.ends_with("merging \"review\" into \"main\" meets a conflict"),
        "{refused}"
    );
    let theirs = [source[0].clone(), ("on_conflict", text("theirs"))];
    let merged = call(&world.main, "branch_merge", &theirs)
        .await
        .expect("a side is chosen");
    let cells: Vec<&str> = merged[0].split('|').collect();
    assert_eq!(
        [cells[0], cells[2], cells[3], cells[4], cells[6]],
        ["merged", "0", "1", "3", "false"]
    );
    assert_eq!(
        call(&world.main, "merge_conflicts", &source)
            .await
            .expect("merged"),
        Vec::<String>::new()
    );
}
