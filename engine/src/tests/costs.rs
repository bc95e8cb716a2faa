//! Requests per operation: what is asserted here is what an object store will bill.

use super::*;
use crate::storage::{Fault, Faults, Operation};

async fn warm() -> Fixture {
    let fixture = Fixture::in_memory().await;
    // The first commit of a process proves put-if-absent; the first read opens tables.
    add_people(&fixture.graph, "main", &["a", "b", "c"])
        .await
        .unwrap();
    add_people(&fixture.graph, "main", &["d"]).await.unwrap();
    people(&fixture.graph, "main").await;
    fixture
}

/// Makes every request take a while, so that those side by side overlap, and notes them.
#[derive(Debug, Default)]
struct Slow(parking_lot::Mutex<Vec<String>>);

#[async_trait::async_trait]
impl Faults for Slow {
    async fn on(&self, operation: Operation, key: &str) -> Fault {
        self.0.lock().push(format!("{operation:?} {key}"));
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        Fault::None
    }
}

#[tokio::test]
async fn a_one_row_insert_takes_five_requests_in_two_steps() {
    let mut fixture = Fixture::in_memory().await;
    let slow = Arc::new(Slow::default());
    fixture.store = fixture.store.with_faults(slow.clone());
    fixture.graph = fixture.reopened().await;
    for name in ["blue", "green"] {
        let mut transaction = begin(&fixture.graph, "main").await;
        insert(&mut transaction, "team", &[&[None, Some(name)]])
            .await
            .unwrap();
        commit(transaction).await.unwrap();
    }
    slow.0.lock().clear();
    let options = TransactionOptions {
        actor: "tester".to_owned(),
        optimistic: true,
    };
    let before = fixture.store.counts();
    let mut transaction = fixture.graph.begin(&main(), options).await.unwrap();
    insert(&mut transaction, "team", &[&[None, Some("red")]])
        .await
        .unwrap();
    commit(transaction).await.unwrap();
    let cost = fixture.store.counts().since(&before);
    let requests = slow.0.lock().join("\n");
    assert!(cost.total() <= 5, "{cost:?}\n{requests}");
    assert!(cost.steps <= 2, "{cost:?}\n{requests}");
}

#[tokio::test]
async fn a_key_lookup_asks_only_whether_the_head_is_the_head() {
    let fixture = warm().await;
    let before = fixture.store.counts();
    let snapshot = fixture.graph.snapshot("main").await.unwrap();
    let found = snapshot
        .table_named("person")
        .unwrap()
        .lookup(&["b"], &[0, 1])
        .await
        .unwrap();
    assert_eq!(found.batch.num_rows(), 1);
    let cost = fixture.store.counts().since(&before);
    assert_eq!((cost.gets, cost.total()), (1, 1), "{cost:?}");
}

#[tokio::test]
async fn a_cold_reader_reads_no_history() {
    let mut costs = Vec::new();
    for commits in [5, 60] {
        let fixture = Fixture::in_memory().await;
        for number in 0..commits {
            add_people(&fixture.graph, "main", &[format!("p{number}").as_str()])
                .await
                .unwrap();
        }
        let before = fixture.store.counts();
        fixture.reopened().await;
        costs.push(fixture.store.counts().since(&before).total());
    }
    assert_eq!(costs[0], costs[1]);
}

#[tokio::test]
async fn a_transaction_of_many_statements_writes_one_file_and_one_manifest_per_table() {
    let fixture = warm().await;
    let mut transaction = begin(&fixture.graph, "main").await;
    for number in 0..100 {
        let name = format!("n{number}");
        insert(&mut transaction, "team", &[&[None, Some(&name)]])
            .await
            .unwrap();
    }
    let before = fixture.store.counts();
    commit(transaction).await.unwrap();
    let cost = fixture.store.counts().since(&before);
    assert!(cost.puts <= 4, "data, manifest, pointer, log: {cost:?}");
}
