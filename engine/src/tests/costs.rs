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
        ..TransactionOptions::default()
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

/// A process that has nothing in memory: where the log ends, its last entry, and the table.
#[tokio::test]
async fn a_cold_snapshot_takes_three_steps() {
    let fixture = warm().await;
    let slow = Arc::new(Slow::default());
    let store = fixture.store.with_faults(slow.clone());
    let graph = Graph::open(store.clone(), resources()).await.unwrap();
    slow.0.lock().clear();
    let before = store.counts();
    let snapshot = graph.snapshot("main").await.unwrap();
    let table = snapshot.table_named("person").unwrap();
    assert_eq!(table.chunks().await.unwrap().len(), 2);
    let cost = store.counts().since(&before);
    let requests = slow.0.lock().join("\n");
    assert!(cost.steps <= 3, "{cost:?}\n{requests}");
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

/// Teams that one transaction holds.
const IN_ONE: usize = 200_000;

fn team_name(number: usize) -> String {
    format!("{number:07}-{:0>60}", number.wrapping_mul(2_654_435_761))
}

/// `count` teams with long names, in as few commits as hold them.
async fn add_teams(graph: &Graph, count: usize) {
    for first in (0..count).step_by(IN_ONE) {
        add_some_teams(graph, first..count.min(first + IN_ONE)).await;
    }
}

async fn add_some_teams(graph: &Graph, numbers: std::ops::Range<usize>) {
    let mut transaction = begin(graph, "main").await;
    let team = transaction
        .snapshot()
        .schema()
        .table("team")
        .unwrap()
        .clone();
    let names: Vec<String> = numbers.map(team_name).collect();
    let values: Vec<[Option<&str>; 2]> = names
        .iter()
        .map(|name| [None, Some(name.as_str())])
        .collect();
    let values: Vec<&[Option<&str>]> = values.iter().map(|row| row.as_slice()).collect();
    transaction
        .insert(team.id, rows(&team, &values))
        .await
        .unwrap();
    commit(transaction).await.unwrap();
}

/// Deletes ten teams far apart on `b` and adds ten, and does so elsewhere on `main`.
async fn change_ten_on_each_side(graph: &Graph, count: usize) {
    graph
        .create_branch(&branch("b"), "main", "a")
        .await
        .unwrap();
    for (on, shift) in [("main", 1), ("b", 2)] {
        let mut transaction = begin(graph, on).await;
        let team = table(&transaction.snapshot(), "team");
        let ids: Vec<String> = (0..10usize)
            .map(|part| part * (count / 10) + shift)
            .map(team_name)
            .collect();
        transaction.delete(team, &ids).await.unwrap();
        for number in 0..10 {
            let name = format!("{on}{number}");
            insert(&mut transaction, "team", &[&[None, Some(&name)]])
                .await
                .unwrap();
        }
        commit(transaction).await.unwrap();
    }
}

#[tokio::test]
async fn merging_ten_rows_reads_kilobytes_whatever_the_table_holds() {
    let mut costs = Vec::new();
    // Of a million where there is time for it.
    let many = if soak() > 1 { 5 * IN_ONE } else { IN_ONE };
    for count in [10_000, many] {
        let fixture = Fixture::in_memory().await;
        add_teams(&fixture.graph, count).await;
        change_ten_on_each_side(&fixture.graph, count).await;
        // A process that has nothing in memory.
        let graph = fixture.reopened().await;
        let before = fixture.store.counts();
        let merged = super::merges::merge(&graph, "b", "main").await.unwrap();
        let cost = fixture.store.counts().since(&before);
        assert_eq!(merged.tables["team"].deleted, 10);
        assert_eq!(merged.tables["team"].inserted, 10);
        assert!(cost.bytes_read < 272 << 10, "{count}: {cost:?}");
        assert!(cost.bytes_written < 64 << 10, "{count}: {cost:?}");
        costs.push(cost.total());
    }
    // A table of more files costs some requests for each file that was changed.
    assert!(costs[1] < costs[0] + 40, "{costs:?}");
}

#[tokio::test]
async fn a_table_that_the_target_left_alone_is_adopted_without_being_read() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada"]).await.unwrap();
    graph
        .create_branch(&branch("b"), "main", "a")
        .await
        .unwrap();
    graph
        .create_branch(&branch("c"), "main", "a")
        .await
        .unwrap();
    add_people(graph, "c", &["bob"]).await.unwrap();
    add_teams(graph, 20_000).await;
    let graph = fixture.reopened().await;
    let before = fixture.store.counts();
    let merged = super::merges::merge(&graph, "main", "c").await.unwrap();
    let cost = fixture.store.counts().since(&before);
    assert_eq!(merged.tables["team"].inserted, 20_000);
    assert!(cost.bytes_read < 128 << 10, "{cost:?}");
    assert!(cost.bytes_written < 16 << 10, "{cost:?}");
}

/// Puts rows of a table with a long text each.
async fn put_notes(graph: &Graph, on: &str, numbers: impl Iterator<Item = usize>, word: &str) {
    let texts: Vec<[String; 2]> = numbers
        .map(|number| {
            let hashes = (0..4u64).map(|part| {
                let bytes = (number as u64 * 4 + part).to_le_bytes();
                format!("{:x}", xxhash_rust::xxh3::xxh3_64(&bytes))
            });
            let note = format!("{word}{}", hashes.collect::<String>());
            [format!("t{number:07}"), note]
        })
        .collect();
    let values: Vec<[Option<&str>; 3]> = texts
        .iter()
        .map(|[name, note]| {
            [
                Some(name.as_str()),
                Some(name.as_str()),
                Some(note.as_str()),
            ]
        })
        .collect();
    let values: Vec<&[Option<&str>]> = values.iter().map(|row| row.as_slice()).collect();
    let mut transaction = begin(graph, on).await;
    let notes = transaction
        .snapshot()
        .schema()
        .table("note")
        .unwrap()
        .clone();
    let put = rows(&notes, &values);
    transaction.upsert(notes.id, put).await.unwrap();
    commit(transaction).await.unwrap();
}

/// Ten rows are changed on each side, one by one, and then all files are put together: only the
/// rows that the commits list are looked at.
#[tokio::test]
async fn a_compacted_table_is_compared_by_the_rows_that_its_commits_list() {
    const COUNT: usize = 60_000;
    let fixture = Fixture::of("node Note {\n    name: String @key\n    text: String?\n}").await;
    let graph = &fixture.graph;
    put_notes(graph, "main", 0..COUNT, "old").await;
    // As a load leaves it.
    let snapshot = graph.snapshot("main").await.unwrap();
    let table = snapshot.table_named("note").unwrap();
    table.store_indexes().await.unwrap();
    let name = branch("b");
    graph.create_branch(&name, "main", "a").await.unwrap();
    for (on, shift) in [("main", 1), ("b", 2)] {
        for part in 0..10 {
            let number = part * (COUNT / 10) + shift;
            put_notes(graph, on, std::iter::once(number), on).await;
        }
        assert_eq!(super::maintenance::compact_on(graph, on).await, 1);
    }
    let snapshot = graph.snapshot("main").await.unwrap();
    let table = snapshot.table_named("note").unwrap();
    let files = table.files().await.unwrap();
    let (id, bytes) = (
        table.def().id,
        files.iter().map(|(_, bytes)| bytes).sum::<u64>(),
    );
    assert!(bytes > 2 << 20, "{bytes}");

    // Processes that have nothing in memory.
    let graph = fixture.reopened().await;
    let before = fixture.store.counts();
    let (old, new) = (
        graph.snapshot("main~10").await.unwrap(),
        graph.snapshot("main").await.unwrap(),
    );
    let (old, new) = graph.comparable(old, new).await.unwrap();
    let pages: Vec<_> = crate::diff::diff(&old, &new, id)
        .try_collect()
        .await
        .unwrap();
    let found: usize = pages.iter().map(|page| page.rows.len()).sum();
    let cost = fixture.store.counts().since(&before);
    assert_eq!(found, 10);
    // Both files whole are twice the bytes. What it reads are pages that the ten rows lie in.
    assert!(cost.bytes_read < 2_500_000, "{bytes}: {cost:?}");

    let graph = fixture.reopened().await;
    let merged = super::merges::merge(&graph, "b", "main").await.unwrap();
    assert_eq!(merged.tables["note"].updated, 10);
}
