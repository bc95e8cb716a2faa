//! Claims about whole graphs: histories, branches, races, crashes.

mod background;
mod blobs;
mod branches;
mod checkpoints;
mod clocks;
mod contract;
mod costs;
mod counters;
mod faults;
mod feed;
mod groups;
mod histories;
mod history;
mod hooks;
mod loads;
mod lookups;
mod maintenance;
mod meeting;
mod merge_histories;
mod merge_races;
mod merge_schemas;
mod merges;
mod migrations;
mod model_wall;
mod names;
mod pairs;
mod rebases;
mod repeats;
mod restrictions;
mod savepoints;
mod schema_races;
mod simulation;
mod slots;
mod texts;
mod transactions;
mod vacuum;
mod vectors;
mod walls;
mod write_behind;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use futures::TryStreamExt;

use crate::maintain::vacuum::{VacuumOptions, VacuumReport};
use crate::schema::{TypeDef, TypeId};
use crate::storage::{Durability, Store, StoreOptions};
use crate::{
    CommitInfo, CommitMessage, Graph, LockStrength, ResourceLimits, Resources, Result, ScanRequest,
    Snapshot, Transaction, TransactionOptions,
};

const SCHEMA: &str = "
node Person {
    name: String @key
    age: I64?
    email: String? @unique
    @range(age, 0..150)
}
node Team {
    name: String @key
}
edge Knows: Person -> Person {
    since: I64?
}
edge Leads: Person -> Team @card(0..2)
";

pub(super) struct Fixture {
    pub graph: Graph,
    pub store: Store,
    _folder: Option<tempfile::TempDir>,
}

impl Fixture {
    pub async fn in_memory() -> Fixture {
        Self::of(SCHEMA).await
    }

    /// In memory, with another schema.
    pub async fn of(schema: &str) -> Fixture {
        let store = Store::connect("memory:", &StoreOptions::default())
            .await
            .unwrap();
        Self::over(store, None, schema).await
    }

    pub async fn on_disk() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            durability: Durability::Fsync,
            ..StoreOptions::default()
        };
        let url = folder.path().join("g.omni").display().to_string();
        let store = Store::connect(&url, &options).await.unwrap();
        Self::over(store, Some(folder), SCHEMA).await
    }

    async fn over(store: Store, folder: Option<tempfile::TempDir>, schema: &str) -> Fixture {
        let graph = Graph::create(store.clone(), schema, "tester", resources())
            .await
            .unwrap();
        Fixture {
            graph,
            store,
            _folder: folder,
        }
    }

    /// The same graph as another process would see it: nothing cached is shared.
    pub async fn reopened(&self) -> Graph {
        Graph::open(self.store.clone(), resources()).await.unwrap()
    }
}

/// How much larger than usual a test is to be that tries many things: `make soak` says it.
pub(super) fn soak() -> u64 {
    number("SOAK").unwrap_or(1)
}

/// Seeds of random histories: usually `few`, the same ones every time.
pub(super) fn seeds(few: u64) -> std::ops::Range<u64> {
    let first = number("SEED").unwrap_or(0);
    first..first + few * soak()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

pub(super) fn resources() -> Arc<Resources> {
    Resources::new(&ResourceLimits::default())
}

/// Removes all that nothing needs now.
pub(super) async fn vacuum(graph: &Graph) -> VacuumReport {
    let options = VacuumOptions {
        retain: 0,
        grace: 0,
        ..VacuumOptions::default()
    };
    graph.vacuum(options).await.unwrap()
}

pub(super) fn main() -> crate::names::BranchName {
    crate::names::BranchName::main()
}

pub(super) fn branch(name: &str) -> crate::names::BranchName {
    crate::names::BranchName::parse(name).unwrap()
}

pub(super) async fn begin(graph: &Graph, branch: &str) -> Transaction {
    let options = TransactionOptions {
        actor: "tester".to_owned(),
        ..TransactionOptions::default()
    };
    graph.begin(&self::branch(branch), options).await.unwrap()
}

pub(super) fn table(graph: &Snapshot, name: &str) -> TypeId {
    graph.schema().table(name).unwrap().id
}

/// Rows of a table from text and numbers, in column order; `None` is NULL.
pub(super) fn rows(def: &TypeDef, rows: &[&[Option<&str>]]) -> RecordBatch {
    let columns: Vec<ArrayRef> = def
        .columns()
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let values = rows.iter().map(|row| row.get(at).copied().flatten());
            match column.data_type {
                arrow::datatypes::DataType::Int64 => Arc::new(Int64Array::from_iter(
                    values.map(|text| text.map(|text| text.parse::<i64>().unwrap())),
                )) as ArrayRef,
                _ => Arc::new(StringArray::from_iter(values)),
            }
        })
        .collect();
    let fields: Vec<Field> = def
        .arrow_schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns).unwrap()
}

pub(super) async fn insert(
    transaction: &mut Transaction,
    name: &str,
    values: &[&[Option<&str>]],
) -> Result<u64> {
    let def = transaction.snapshot().schema().table(name).unwrap().clone();
    transaction.insert(def.id, rows(&def, values)).await
}

/// Inserts people by name, each with an age, and commits.
pub(super) async fn add_people(graph: &Graph, branch: &str, names: &[&str]) -> Result<CommitInfo> {
    let mut transaction = begin(graph, branch).await;
    for name in names {
        insert(
            &mut transaction,
            "person",
            &[&[None, Some(name), Some("30"), None]],
        )
        .await?;
    }
    Ok(commit(transaction).await?.unwrap())
}

pub(super) async fn commit(transaction: Transaction) -> Result<Option<CommitInfo>> {
    transaction.commit(CommitMessage::default()).await
}

/// All values of one column, sorted.
pub(super) async fn column(snapshot: &Snapshot, name: &str, column: &str) -> Vec<String> {
    let table = snapshot.table_named(name).unwrap();
    let (at, _) = table.def().column(column).unwrap();
    let streams = table
        .scan(ScanRequest {
            columns: vec![at],
            partitions: 2,
            batch_rows: 3,
        })
        .await
        .unwrap();
    let mut values = Vec::new();
    for stream in streams {
        let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
        for batch in batches {
            let text =
                arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
            values.extend(
                text.as_string::<i32>()
                    .iter()
                    .map(|value| value.unwrap_or("NULL").to_owned()),
            );
        }
    }
    assert_eq!(
        values.len() as u64,
        table.row_count(),
        "the row count is exact"
    );
    values.sort();
    values
}

pub(super) async fn people(graph: &Graph, reference: &str) -> Vec<String> {
    column(&graph.snapshot(reference).await.unwrap(), "person", "name").await
}

/// The mistakes in lines that a load was refused for, one a line.
fn told_lines(error: crate::error::Error) -> String {
    let crate::error::Error::Lines(mistakes) = error else {
        panic!("expected mistakes in lines, got {error:?}");
    };
    let told: Vec<String> = mistakes.told.iter().map(ToString::to_string).collect();
    assert!(mistakes.total >= told.len() as u64);
    told.join("\n")
}
