//! What every kind of store must do alike.

use bytes::Bytes;

use super::*;
use crate::storage::Created;

/// Stores of every kind, empty. S3 is among them where `OMNIGRAPH_TEST_S3` names a bucket and
/// prefix (`s3://bucket/prefix`); the `AWS_*` variables then say where it is.
async fn every_store() -> Vec<(Store, Option<tempfile::TempDir>)> {
    let mut stores = vec![(connect("memory:").await, None)];
    let folder = tempfile::tempdir().unwrap();
    stores.push((
        connect(&folder.path().display().to_string()).await,
        Some(folder),
    ));
    if let Some(prefix) = s3_prefix() {
        stores.push((connect(&prefix).await, None));
    }
    stores
}

async fn connect(url: &str) -> Store {
    Store::connect(url, &StoreOptions::default()).await.unwrap()
}

/// A place in the test's bucket that nobody else uses.
fn s3_prefix() -> Option<String> {
    let base = std::env::var("OMNIGRAPH_TEST_S3").ok()?;
    let unique = crate::clock::unique(&*crate::clock::system());
    Some(format!("{base}/{unique}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_sixteen_creators_wins_and_its_object_is_whole() {
    for (store, _folder) in every_store().await {
        for round in 0..10 {
            let key = format!("_graph/race/{round}");
            let tries = (0..16u8).map(|number| {
                let (store, key) = (store.clone(), key.clone());
                tokio::spawn(async move {
                    let body = Bytes::from(vec![number; 100_000]);
                    let created = store.create(&key, body).await.unwrap();
                    let held = store.read(&key).await.unwrap().unwrap();
                    assert_eq!(held.len(), 100_000, "it is complete once it is visible");
                    assert!(held.iter().all(|byte| *byte == held[0]));
                    (created == Created::Yes).then_some(number)
                })
            });
            let mut winners = Vec::new();
            for one in tries.collect::<Vec<_>>() {
                winners.extend(one.await.unwrap());
            }
            assert_eq!(winners.len(), 1);
            let held = store.read(&key).await.unwrap().unwrap();
            assert_eq!(held[0], winners[0]);
        }
    }
}

#[tokio::test]
async fn lists_stop_at_the_folder_and_odd_names_are_kept() {
    for (store, _folder) in every_store().await {
        for key in ["a/x", "a/y z", "a/ü%2f", "ab/x", "a/sub/x"] {
            store.write(key, Bytes::from_static(b"1")).await.unwrap();
            assert_eq!(store.read(key).await.unwrap().unwrap(), "1");
        }
        let mut names = store.list_objects("a").await.unwrap();
        names.sort();
        assert_eq!(names.len(), 3, "{names:?}");
        assert_eq!(store.list_folders("a").await.unwrap(), ["sub"]);
        assert!(store.list_objects("nothing").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn deleting_twice_is_no_error_and_absent_is_none() {
    for (store, _folder) in every_store().await {
        store.write("k", Bytes::from_static(b"1")).await.unwrap();
        assert!(store.exists("k").await.unwrap());
        store.delete("k").await.unwrap();
        store.delete("k").await.unwrap();
        assert!(!store.exists("k").await.unwrap());
        assert_eq!(store.read("k").await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_is_acknowledged_is_read_by_a_second_connection() {
    for (store, _folder) in every_store().await {
        if store.url() == "memory:" {
            continue;
        }
        store
            .create("deep/er/k", Bytes::from_static(b"1"))
            .await
            .unwrap();
        let other = connect(store.url()).await;
        assert_eq!(other.read("deep/er/k").await.unwrap().unwrap(), "1");
        let created = other.create("deep/er/k", Bytes::from_static(b"2")).await;
        assert_eq!(created.unwrap(), Created::Exists);
        assert_eq!(store.read("deep/er/k").await.unwrap().unwrap(), "1");
    }
}

#[tokio::test]
async fn every_store_proves_put_if_absent() {
    for (store, _folder) in every_store().await {
        store.prove_create("nonce").await.unwrap();
        assert!(store.list_all("_graph/probe").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_prefix_of_another_stores_name_shows_nothing_of_it() {
    for (store, _folder) in every_store().await {
        let (short, long) = (store.child("graph"), store.child("graph.omni"));
        long.write("_graph/k", Bytes::from_static(b"1"))
            .await
            .unwrap();
        assert!(short.list_all("").await.unwrap().is_empty());
        assert!(short.list_folders("").await.unwrap().is_empty());
        assert_eq!(short.read("_graph/k").await.unwrap(), None);
        assert_eq!(
            long.list_all("").await.unwrap(),
            [("_graph/k".to_owned(), 1)]
        );
    }
}

#[tokio::test]
async fn a_listing_longer_than_a_page_is_whole() {
    for (store, _folder) in every_store().await {
        if store.durability() == Durability::Fsync {
            // A folder has no pages, and syncing so many files takes long.
            continue;
        }
        // S3 answers at most 1,000 names at a time.
        let names: Vec<String> = (0..1100)
            .map(|number| format!("many/{number:04}"))
            .collect();
        for chunk in names.chunks(50) {
            let writes = chunk
                .iter()
                .map(|name| store.write(name, Bytes::from_static(b"1")));
            futures::future::try_join_all(writes).await.unwrap();
        }
        let mut listed = store.list_objects("many").await.unwrap();
        listed.sort();
        assert_eq!(listed.len(), names.len());
        assert!(
            listed
                .iter()
                .zip(&names)
                .all(|(listed, name)| name.ends_with(listed))
        );
    }
}

#[tokio::test]
async fn a_graph_is_written_and_read_by_two_connections() {
    for (store, _folder) in every_store().await {
        if store.url() == "memory:" {
            continue;
        }
        let graph = Graph::create(store.clone(), SCHEMA, "tester", resources())
            .await
            .unwrap();
        let other = Graph::open(connect(store.url()).await, resources())
            .await
            .unwrap();
        for (name, graph) in [
            ("ada", &graph),
            ("bob", &other),
            ("eve", &graph),
            ("zoe", &other),
        ] {
            add_people(graph, "main", &[name]).await.unwrap();
        }
        for graph in [&graph, &other] {
            assert_eq!(people(graph, "main").await, ["ada", "bob", "eve", "zoe"]);
        }
    }
}
