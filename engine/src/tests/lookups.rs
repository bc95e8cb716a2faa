//! Rows found by key in large tables: what it reads, and that damage to an index costs nothing
//! but reading.

use super::*;
use crate::load::{LoadMode, LoadOptions, load};

/// As many as fill a file whose indexes are stored.
const ROWS: usize = 60_000;

fn name(number: usize) -> String {
    format!("somebody with a rather long name, number {number:08}")
}

async fn load_many(graph: &Graph, mode: LoadMode) {
    let mut lines = String::new();
    for number in 0..ROWS {
        let name = name(number);
        lines += &format!(
            "{{\"type\":\"Person\",\"data\":{{\"name\":\"{name}\",\"email\":\"{number}@x\"}}}}\n"
        );
    }
    for number in 0..ROWS {
        let (from, to) = (name(number), name(number / 100));
        lines +=
            &format!("{{\"edge\":\"Knows\",\"from\":\"{from}\",\"to\":\"{to}\",\"data\":{{}}}}\n");
    }
    let input = std::io::Cursor::new(lines.into_bytes());
    load(graph, &main(), mode, input, LoadOptions::default())
        .await
        .unwrap();
}

async fn stored(fixture: &Fixture) -> Vec<String> {
    let mut keys = Vec::new();
    for kind in ["nodes", "edges"] {
        let files = fixture.store.list_all(kind).await.unwrap();
        keys.extend(files.into_iter().map(|(key, _)| key));
    }
    keys.retain(|key| key.contains("/lookup/"));
    keys
}

/// The number of edges to a person, that two keys are there and one is not, and what an edge
/// to nobody and a second address are told.
async fn answers(graph: &Graph) {
    let snapshot = graph.snapshot("main").await.unwrap();
    let people = snapshot.table_named("person").unwrap();
    let (first, last) = (name(0), name(ROWS - 1));
    let found = people.find_ids(&[&first, "nobody", &last]).await.unwrap();
    let found: Vec<bool> = found.iter().map(Option::is_some).collect();
    assert_eq!(found, [true, false, true]);
    let knows = snapshot.table_named("knows").unwrap();
    let (dst, _) = knows.def().column("dst").unwrap();
    let ends: ArrayRef = Arc::new(StringArray::from(vec![name(7), name(ROWS - 1)]));
    let edges = knows.find(&[dst], &[ends]).await.unwrap();
    assert_eq!((edges[0].len(), edges[1].len()), (100, 0));
    let mut transaction = begin(graph, "main").await;
    let knows = |to| {
        [
            Some("e"),
            Some("somebody with a rather long name, number 00000007"),
            to,
            None,
        ]
    };
    let to_nobody = insert(&mut transaction, "knows", &[&knows(Some("nobody"))]).await;
    assert!(to_nobody.is_err());
    let mut transaction = begin(graph, "main").await;
    let twice = [None, Some("new"), None, Some("5@x")];
    assert!(insert(&mut transaction, "person", &[&twice]).await.is_err());
    let mut transaction = begin(graph, "main").await;
    insert(&mut transaction, "knows", &[&knows(Some(&last))])
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_begins_finds_rows_of_large_tables_by_reading_little() {
    let fixture = Fixture::in_memory().await;
    load_many(&fixture.graph, LoadMode::Append).await;
    // By id, by address; by id, by source, by target.
    let keys = stored(&fixture).await;
    assert_eq!(keys.len(), 5, "{keys:?}");

    let cold = fixture.reopened().await;
    let before = fixture.store.counts();
    answers(&cold).await;
    let cost = fixture.store.counts().since(&before);
    assert!(cost.bytes_read < 600_000, "{cost:?}");

    // Whatever becomes of the indexes, the answers stay.
    for (at, key) in keys.iter().enumerate() {
        let mut bytes = fixture.store.read(key).await.unwrap().unwrap().to_vec();
        match at % 3 {
            0 => bytes.fill(7),
            1 => bytes.truncate(40),
            _ => bytes[2000..].fill(0),
        }
        fixture.store.write(key, bytes.into()).await.unwrap();
    }
    let before = fixture.store.counts();
    answers(&fixture.reopened().await).await;
    let cost = fixture.store.counts().since(&before);
    assert!(
        cost.bytes_read > 3_000_000,
        "without them it reads columns: {cost:?}"
    );
    for key in &keys {
        fixture.store.delete(key).await.unwrap();
    }
    answers(&fixture.reopened().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_indexes_go_with_their_files() {
    let fixture = Fixture::in_memory().await;
    load_many(&fixture.graph, LoadMode::Append).await;
    let first = stored(&fixture).await;
    vacuum(&fixture.graph).await;
    assert_eq!(stored(&fixture).await, first);
    load_many(&fixture.graph, LoadMode::Overwrite).await;
    vacuum(&fixture.graph).await;
    let second = stored(&fixture).await;
    assert_eq!(second.len(), first.len());
    assert!(second.iter().all(|key| !first.contains(key)));
    answers(&fixture.reopened().await).await;
}
