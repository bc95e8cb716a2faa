//! Searching vectors, against a brute force: over files, deletions, filters, and what an index
//! does not have yet.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::BooleanArray;

use super::merge_histories::Random;
use super::*;
use crate::Table;
use crate::load::{LoadMode, LoadOptions, load};
use crate::search::{Metric, Nearest, NearestRequest};

const SCHEMA: &str = r#"
node Item {
    name: String @key
    at: Vector(4)? @index(metric="l2")
}
"#;

async fn graph() -> Graph {
    let store = Store::connect("memory:", &StoreOptions::default())
        .await
        .unwrap();
    let resources = Resources::new(&ResourceLimits {
        indexed_numbers: 1_000,
        ..ResourceLimits::default()
    });
    Graph::create(store, SCHEMA, "tester", resources)
        .await
        .unwrap()
}

/// Points around a few centers; every ninth item has none.
fn items(random: &mut Random, names: std::ops::Range<usize>) -> Vec<(String, Option<[f32; 4]>)> {
    names
        .map(|number| {
            let center = (random.below(7) * 3) as f32;
            let point = [0; 4].map(|_| center + random.below(1_000) as f32 / 1_000.0);
            (format!("i{number:05}"), (number % 9 > 0).then_some(point))
        })
        .collect()
}

async fn put(graph: &Graph, items: &[(String, Option<[f32; 4]>)]) {
    let lines: Vec<String> = items
        .iter()
        .map(|(name, at)| {
            let at = at.map_or("null".to_owned(), |at| format!("{at:?}"));
            format!(r#"{{"type":"Item","data":{{"name":"{name}","at":{at}}}}}"#)
        })
        .collect();
    let text = Cursor::new(lines.join("\n"));
    let (mode, options) = (LoadMode::Append, LoadOptions::default());
    load(graph, &main(), mode, text, options).await.unwrap();
}

/// The names of the nearest rows whose number is in `passing`, and of those as far as the last.
async fn nearest(
    table: &Table,
    query: [f32; 4],
    most: usize,
    recall: f64,
    passes: impl Fn(&str) -> bool,
) -> Vec<String> {
    let (column, _) = table.def().column("at").unwrap();
    let request = NearestRequest {
        column,
        metric: Metric::L2,
        query: query.to_vec(),
        most,
        indexed: true,
    };
    let mut nearest = Nearest::new(Arc::new(request), recall);
    let chunks = table.chunks().await.unwrap();
    for (number, chunk) in (0..).zip(chunks.iter()) {
        let ids = table.chunk_columns(chunk, &[0]).await.unwrap();
        let ids = ids[0].as_string::<i32>();
        let mask: BooleanArray = ids.iter().map(|id| Some(passes(id.unwrap()))).collect();
        nearest
            .look_at(table, (number, chunk), 0..chunk.rows, Some(&mask))
            .await
            .unwrap();
    }
    let positions = nearest.into_positions();
    let rows = table.rows(&positions, &[0]).await.unwrap();
    let ids = rows.column(0).as_string::<i32>();
    ids.iter().flatten().map(str::to_owned).collect()
}

/// Until no index is being made.
async fn indexed(graph: &Graph) {
    let snapshot = graph.snapshot("main").await.unwrap();
    let table = snapshot.table_named("item").unwrap();
    nearest(&table, [0.0; 4], 1, 0.99, |_| true).await;
    while table.resources().vector_indexes().is_making() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

fn best(
    items: &[(String, Option<[f32; 4]>)],
    query: [f32; 4],
    passes: impl Fn(&str) -> bool,
) -> Vec<(f64, String)> {
    let mut best: Vec<(f64, String)> = items
        .iter()
        .filter(|(name, _)| passes(name))
        .filter_map(|(name, at)| Some((Metric::L2.distance(&query, &(*at)?), name.clone())))
        .collect();
    best.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    best
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_much_of_the_nearest_is_found_as_is_promised() {
    let mut random = Random(11);
    let graph = graph().await;
    let mut all = items(&mut random, 0..3_000);
    put(&graph, &all).await;
    indexed(&graph).await;
    // Some are gone, and some are new and in no index.
    let mut transaction = begin(&graph, "main").await;
    let gone: Vec<String> = all
        .iter()
        .step_by(5)
        .map(|(name, _)| name.clone())
        .collect();
    let item = table(&transaction.snapshot(), "item");
    transaction.delete(item, &gone).await.unwrap();
    commit(transaction).await.unwrap();
    all.retain(|(name, _)| !gone.contains(name));
    let fresh = items(&mut random, 3_000..3_100);
    put(&graph, &fresh).await;
    all.extend(fresh);
    let snapshot = graph.snapshot("main").await.unwrap();
    let table = snapshot.table_named("item").unwrap();
    let share = |name: &str, of: usize| name[1..].parse::<usize>().unwrap().is_multiple_of(of);
    for of in [1, 2, 10, 300] {
        let (mut hits, mut wanted) = (0, 0);
        for _ in 0..40 {
            let query = items(&mut random, 1..2)[0].1.unwrap();
            let expected = best(&all, query, |name| share(name, of));
            let most = expected.len().min(10);
            let exact = nearest(&table, query, 10, 1.0, |name| share(name, of)).await;
            let found = nearest(&table, query, 10, 0.99, |name| share(name, of)).await;
            // Never fewer than there are, and none that does not pass.
            assert!(found.len() >= most, "{} of {most}", found.len());
            assert!(found.iter().all(|name| share(name, of)));
            wanted += most;
            for (_, name) in &expected[..most] {
                assert!(
                    exact.contains(name),
                    "{name} is not found by looking at all"
                );
                hits += usize::from(found.contains(name));
            }
        }
        assert!(hits * 100 >= wanted * 98, "1 of {of}: {hits} of {wanted}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_without_a_vector_come_when_others_are_too_few() {
    let mut random = Random(3);
    let graph = graph().await;
    put(&graph, &items(&mut random, 0..2_000)).await;
    indexed(&graph).await;
    let snapshot = graph.snapshot("main").await.unwrap();
    let table = snapshot.table_named("item").unwrap();
    for recall in [0.99, 1.0] {
        let few = |name: &str| name < "i00020";
        let found = nearest(&table, [0.0; 4], 19, recall, few).await;
        assert_eq!(found.len(), 20);
        let found = nearest(&table, [0.0; 4], 17, recall, few).await;
        assert_eq!(found.len(), 17);
        assert!(nearest(&table, [0.0; 4], 0, recall, few).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_as_far_as_the_last_are_all_there() {
    let graph = graph().await;
    let same: Vec<_> = (0..3_000)
        .map(|number| (format!("i{number:05}"), Some([1.0; 4])))
        .collect();
    put(&graph, &same).await;
    let snapshot = graph.snapshot("main").await.unwrap();
    let table = snapshot.table_named("item").unwrap();
    let found = nearest(&table, [0.0; 4], 5, 1.0, |_| true).await;
    assert_eq!(found.len(), 3_000);
}
