//! Scans against a real graph in memory.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int32Array, RecordBatch, StringArray, UInt32Array, new_null_array,
};
use arrow::datatypes::{Int64Type, Schema as ArrowSchema};
use arrow::util::display::array_value_to_string;
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::stats::Precision;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::functions_aggregate::count::count_all;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, lit};
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::prelude::SessionConfig;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::TypeDef;
use omnigraph_engine::{
    CommitMessage, Graph, ResourceLimits, Resources, Snapshot, Store, StoreOptions,
    TransactionOptions,
};

use super::{GraphTable, Snapshots};

const SCHEMA: &str = "
node Person {
    slug: String
    age: I32?
    size: U32?
    @key(slug)
}
edge Knows: Person -> Person
";

async fn graph() -> Graph {
    let store = Store::connect("memory:", &StoreOptions::default())
        .await
        .expect("a store");
    let graph = Graph::create(
        store,
        SCHEMA,
        "ada",
        Resources::new(&ResourceLimits::default()),
    )
    .await
    .expect("a graph");
    // Two commits, and a deletion in each of their files.
    for from in [0, 1000] {
        let mut transaction = graph
            .begin(&BranchName::main(), TransactionOptions::default())
            .await
            .expect("begun");
        let def = type_named(&transaction.snapshot(), "person");
        transaction
            .insert(def.id, people(&def, from..from + 1000))
            .await
            .expect("inserted");
        transaction
            .commit(CommitMessage::default())
            .await
            .expect("committed");
    }
    let mut transaction = graph
        .begin(&BranchName::main(), TransactionOptions::default())
        .await
        .expect("begun");
    let def = type_named(&transaction.snapshot(), "person");
    transaction
        .delete(def.id, &["p0007".to_owned(), "p1007".to_owned()])
        .await
        .expect("deleted");
    transaction
        .commit(CommitMessage::default())
        .await
        .expect("committed");
    graph
}

fn type_named(snapshot: &Snapshot, table: &str) -> Arc<TypeDef> {
    Arc::clone(snapshot.schema().table(table).expect("a type"))
}

fn people(def: &TypeDef, numbers: std::ops::Range<i32>) -> RecordBatch {
    let rows = numbers.len();
    let columns: Vec<ArrayRef> = vec![
        new_null_array(&arrow::datatypes::DataType::Utf8, rows),
        Arc::new(StringArray::from_iter_values(
            numbers.clone().map(|n| format!("p{n:04}")),
        )),
        Arc::new(Int32Array::from_iter(
            numbers.clone().map(|n| (n % 10 != 3).then_some(n % 100)),
        )),
        Arc::new(UInt32Array::from_iter_values(
            numbers.map(|n| u32::MAX - n as u32),
        )),
    ];
    let fields: Vec<arrow::datatypes::Field> = def
        .arrow_schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns).expect("a batch")
}

async fn state(graph: &Graph) -> (SessionState, LogicalPlanBuilder) {
    let snapshot = graph.snapshot("main").await.expect("a snapshot");
    let table = GraphTable::new(BranchName::main(), type_named(&snapshot, "person"));
    let snapshots = Snapshots::new([(BranchName::main(), snapshot)]);
    let config = SessionConfig::new()
        .with_target_partitions(4)
        .with_batch_size(64)
        .with_extension(Arc::new(snapshots));
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .build();
    let scan = LogicalPlanBuilder::scan("person", provider_as_source(Arc::new(table)), None)
        .expect("a scan");
    (state, scan)
}

/// The rows of a filtered scan, sorted, and its plan as text.
async fn run(graph: &Graph, filter: Option<Expr>, columns: &[&str]) -> (Vec<String>, String) {
    let (state, scan) = state(graph).await;
    let scan = match filter {
        Some(filter) => scan.filter(filter).expect("a filter"),
        None => scan,
    };
    let plan = scan
        .project(columns.iter().map(|name| col(*name)))
        .and_then(LogicalPlanBuilder::build)
        .expect("a plan");
    let physical: Arc<dyn ExecutionPlan> = state
        .create_physical_plan(&plan)
        .await
        .expect("a physical plan");
    let text = displayable(physical.as_ref()).indent(false).to_string();
    let batches = collect(physical, state.task_ctx()).await.expect("rows");
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let values: Vec<String> = batch
                .columns()
                .iter()
                .map(|array| array_value_to_string(array, row).expect("text"))
                .collect();
            rows.push(values.join(","));
        }
    }
    rows.sort();
    (rows, text)
}

#[tokio::test]
async fn a_scan_gives_every_live_row_once() {
    let graph = graph().await;
    let (rows, text) = run(&graph, None, &["id"]).await;
    let expected: Vec<String> = (0..2000)
        .filter(|n| n % 1000 != 7)
        .map(|n| format!("p{n:04}"))
        .collect();
    assert_eq!(rows, expected);
    assert!(text.contains("Seq Scan on person"), "{text}");
}

#[tokio::test]
async fn filters_are_evaluated_in_the_scan() {
    let graph = graph().await;
    let (rows, text) = run(
        &graph,
        Some(
            col("age")
                .gt(lit(97))
                .and(col("size").gt(lit(4294967000i64))),
        ),
        &["slug", "size"],
    )
    .await;
    assert_eq!(
        rows,
        [
            "p0098,4294967197",
            "p0099,4294967196",
            "p0198,4294967097",
            "p0199,4294967096"
        ]
    );
    assert!(!text.contains("FilterExec"), "{text}");
}

#[tokio::test]
async fn keys_and_ids_are_looked_up() {
    let graph = graph().await;
    for filter in [
        col("id").eq(lit("p1234")),
        lit("p1234").eq(col("slug")),
        col("slug").in_list(
            vec![lit("p1234"), lit("p1234"), lit("nobody"), lit("p0007")],
            false,
        ),
        col("slug").eq(lit("p1234")).and(col("age").eq(lit(34))),
    ] {
        let (rows, text) = run(&graph, Some(filter.clone()), &["id", "age"]).await;
        assert_eq!(rows, ["p1234,34"], "{filter}");
        assert!(text.contains("Index Scan on person"), "{text}");
    }
    let (rows, _) = run(
        &graph,
        Some(col("slug").eq(lit("p1234")).and(col("age").eq(lit(35)))),
        &["id"],
    )
    .await;
    assert!(rows.is_empty());
}

#[tokio::test]
async fn a_null_passes_no_filter_and_is_found_by_is_null() {
    let graph = graph().await;
    let (rows, _) = run(&graph, Some(col("age").is_null()), &["id"]).await;
    assert_eq!(rows.len(), 200);
    let (rows, _) = run(
        &graph,
        Some(col("age").lt(lit(0)).or(col("age").gt_eq(lit(0)))),
        &["id"],
    )
    .await;
    assert_eq!(rows.len(), 1798);
}

#[tokio::test]
async fn counting_needs_no_column() {
    let graph = graph().await;
    let (state, scan) = state(&graph).await;
    let plan = scan
        .filter(col("age").eq(lit(5)))
        .and_then(|scan| scan.aggregate(Vec::<Expr>::new(), vec![count_all()]))
        .and_then(LogicalPlanBuilder::build)
        .expect("a plan");
    let physical = state
        .create_physical_plan(&plan)
        .await
        .expect("a physical plan");
    let batches = collect(physical, state.task_ctx()).await.expect("rows");
    assert_eq!(
        batches[0].column(0).as_primitive::<Int64Type>().value(0),
        20
    );
}

#[tokio::test]
async fn row_counts_are_exact() {
    let graph = graph().await;
    let (state, scan) = state(&graph).await;
    let plan = scan.build().expect("a plan");
    let physical = state
        .create_physical_plan(&plan)
        .await
        .expect("a physical plan");
    let statistics = physical.partition_statistics(None).expect("statistics");
    assert_eq!(statistics.num_rows, Precision::Exact(1998));
}

#[tokio::test]
async fn a_limit_is_kept() {
    let graph = graph().await;
    let (state, scan) = state(&graph).await;
    let plan = scan
        .filter(col("age").gt(lit(50)))
        .and_then(|scan| scan.limit(0, Some(5)))
        .and_then(LogicalPlanBuilder::build)
        .expect("a plan");
    let physical = state
        .create_physical_plan(&plan)
        .await
        .expect("a physical plan");
    let batches = collect(physical, state.task_ctx()).await.expect("rows");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 5);
}

#[tokio::test]
async fn a_transaction_sees_its_own_rows() {
    let graph = graph().await;
    let mut transaction = graph
        .begin(&BranchName::main(), TransactionOptions::default())
        .await
        .expect("begun");
    let def = type_named(&transaction.snapshot(), "person");
    transaction
        .insert(def.id, people(&def, 5000..5001))
        .await
        .expect("inserted");
    transaction
        .delete(def.id, &["p0001".to_owned()])
        .await
        .expect("deleted");
    let table = GraphTable::new(BranchName::main(), Arc::clone(&def));
    let snapshots = Snapshots::new([(BranchName::main(), transaction.snapshot())]);
    let config = SessionConfig::new().with_extension(Arc::new(snapshots));
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .build();
    let plan = LogicalPlanBuilder::scan("person", provider_as_source(Arc::new(table)), None)
        .and_then(|scan| {
            scan.filter(col("id").in_list(vec![lit("p5000"), lit("p0001"), lit("p0002")], false))
        })
        .and_then(LogicalPlanBuilder::build)
        .expect("a plan");
    let physical = state
        .create_physical_plan(&plan)
        .await
        .expect("a physical plan");
    let batches = collect(physical, state.task_ctx()).await.expect("rows");
    let mut ids: Vec<&str> = batches
        .iter()
        .flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["p0002", "p5000"]);
}
