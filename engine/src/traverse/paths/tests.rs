//! Paths in random graphs, against walking everything.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use futures::TryStreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::dataset::{ResourceLimits, Resources};
use crate::graph::Graph;
use crate::names::BranchName;
use crate::storage::{Store, StoreOptions};
use crate::write::transaction::{CommitMessage, TransactionOptions};

const SCHEMA: &str = "
node Place { name: String @key }
edge Road: Place -> Place { length: F64? }
";

#[derive(Debug)]
struct Budget(usize);

impl Memory for Budget {
    fn resize(&mut self, bytes: usize) -> Result<(), Failure> {
        match bytes <= self.0 {
            true => Ok(()),
            false => Err(Failure::Outside("too much".into())),
        }
    }
}

/// Name, from, to, length.
type Road = (String, usize, usize, f64);

async fn world(places: usize, roads: &[Road]) -> (Snapshot, TypeId) {
    let store = Store::connect("memory:", &StoreOptions::default())
        .await
        .expect("memory");
    let resources = Resources::new(&ResourceLimits::default());
    let graph = Graph::create(store, SCHEMA, "test", resources)
        .await
        .expect("an empty store");
    let branch = BranchName::parse("main").expect("a name");
    let options = TransactionOptions {
        actor: "test".to_owned(),
        ..TransactionOptions::default()
    };
    let mut transaction = graph.begin(&branch, options).await.expect("begun");
    let schema = Arc::clone(transaction.snapshot().schema());
    let place = schema.table("place").expect("declared").clone();
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..places).map(|place| place.to_string()),
    ));
    let rows = RecordBatch::try_new(place.arrow_schema(), vec![Arc::clone(&ids), ids]);
    let inserted = transaction.insert(place.id, rows.expect("rows")).await;
    inserted.expect("inserted");
    let road = schema.table("road").expect("declared").clone();
    let text = |of: &dyn Fn(&Road) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(roads.iter().map(of)))
    };
    let lengths = Float64Array::from_iter_values(roads.iter().map(|road| road.3));
    let columns = vec![
        text(&|road| road.0.clone()),
        text(&|road| road.1.to_string()),
        text(&|road| road.2.to_string()),
        Arc::new(lengths),
    ];
    let rows = RecordBatch::try_new(road.arrow_schema(), columns).expect("rows");
    transaction.insert(road.id, rows).await.expect("inserted");
    let committed = transaction.commit(CommitMessage::default()).await;
    committed.expect("committed");
    let snapshot = graph.snapshot("main").await.expect("a snapshot");
    (snapshot, road.id)
}

fn request(edges: TypeId, wanted: Wanted, weighted: bool, direction: Direction) -> PathsRequest {
    PathsRequest {
        edges: vec![edges],
        sources: vec!["0".to_owned()],
        targets: vec!["1".to_owned()],
        direction,
        weight: weighted.then(|| "length".to_owned()),
        wanted,
        memory: Box::new(Budget(usize::MAX)),
    }
}

async fn found(snapshot: &Snapshot, request: PathsRequest) -> Vec<Path> {
    paths(snapshot.clone(), request)
        .try_collect()
        .await
        .unwrap_or_else(|failure| panic!("{failure}"))
}

/// All paths from 0 to 1 that come to no place twice: what they cost, and their roads.
fn simple(roads: &[Road], direction: Direction, weighted: bool) -> Vec<(f64, Vec<String>)> {
    let mut complete = Vec::new();
    let mut open: Vec<(Vec<usize>, f64, Vec<String>)> = vec![(vec![0], 0.0, Vec::new())];
    while let Some((places, cost, names)) = open.pop() {
        let here = places[places.len() - 1];
        if here == 1 {
            complete.push((cost, names));
            continue;
        }
        for (name, from, to, length) in roads {
            let mut ends = Vec::new();
            if direction != Direction::In && *from == here {
                ends.push(*to);
            }
            if direction != Direction::Out && *to == here {
                ends.push(*from);
            }
            ends.dedup();
            for end in ends {
                if !places.contains(&end) {
                    let length = if weighted { *length } else { 1.0 };
                    let mut next = (places.clone(), cost + length, names.clone());
                    next.0.push(end);
                    next.2.push(name.clone());
                    open.push(next);
                }
            }
        }
    }
    complete.sort_by(|left, right| left.partial_cmp(right).expect("no NaN"));
    complete
}

#[tokio::test]
async fn paths_are_the_best_there_are() {
    let mut random = StdRng::seed_from_u64(7);
    let mut connected = 0;
    for round in 0..24 {
        let places = random.random_range(3..7);
        let roads: Vec<Road> = (0..random.random_range(2..14))
            .map(|number| {
                let (from, to) = (
                    random.random_range(0..places),
                    random.random_range(0..places),
                );
                let length = [0.0, 0.5, 1.0, 2.0][random.random_range(0..4)];
                (format!("r{number:02}"), from, to, length)
            })
            .collect();
        let (snapshot, edges) = world(places, &roads).await;
        for direction in [Direction::Out, Direction::In, Direction::Both] {
            for weighted in [false, true] {
                let what = format!("round {round}, {direction:?}, weighted {weighted}: {roads:?}");
                let all = simple(&roads, direction, weighted);
                connected += usize::from(!all.is_empty());
                let least = all.first().map(|(cost, _)| *cost);
                let cost = |path: &Path| path.costs[path.costs.len() - 1];

                let one = request(edges, Wanted::Shortest, weighted, direction);
                let one = found(&snapshot, one).await;
                assert_eq!(one.first().map(cost), least, "{what}");
                assert!(one.len() <= 1);

                let shortest = request(edges, Wanted::AllShortest, weighted, direction);
                let shortest = found(&snapshot, shortest).await;
                let mut names: Vec<Vec<String>> =
                    shortest.iter().map(|path| path.edges.clone()).collect();
                names.sort();
                let mut expected: Vec<Vec<String>> = all
                    .iter()
                    .filter(|(cost, _)| Some(*cost) == least)
                    .map(|(_, names)| names.clone())
                    .collect();
                expected.sort();
                assert_eq!(names, expected, "{what}");

                let best = request(edges, Wanted::Best(5), weighted, direction);
                let best = found(&snapshot, best).await;
                let costs: Vec<f64> = best.iter().map(cost).collect();
                let expected: Vec<f64> = all.iter().take(5).map(|(cost, _)| *cost).collect();
                assert_eq!(costs, expected, "{what}");
                for (at, path) in best.iter().enumerate() {
                    assert_eq!(path.rank, at as u64 + 1);
                    let known = |(cost, names): &(f64, Vec<String>)| {
                        *names == path.edges && *cost == costs[at]
                    };
                    assert!(all.iter().any(known), "{path:?} of {what}");
                    assert_eq!(path.nodes.len(), path.edges.len() + 1);
                }
            }
        }
    }
    assert!(connected > 40, "{connected}");
}

#[tokio::test]
async fn pairs_come_in_order_and_what_is_not_there_has_no_path() {
    let roads = [
        ("a".to_owned(), 0, 1, 1.0),
        ("b".to_owned(), 1, 2, 1.0),
        ("c".to_owned(), 2, 0, 1.0),
    ];
    let (snapshot, edges) = world(4, &roads).await;
    let texts = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    let request = PathsRequest {
        sources: texts(&["1", "nowhere", "0"]),
        targets: texts(&["2", "1", "3"]),
        ..request(edges, Wanted::Shortest, false, Direction::Out)
    };
    let found: Vec<String> = found(&snapshot, request)
        .await
        .iter()
        .map(|path| path.nodes.join("-"))
        .collect();
    assert_eq!(found, ["1-2", "1", "0-1-2", "0-1"]);
}

#[tokio::test]
async fn a_search_is_refused_the_memory_it_may_not_have() {
    let chain: Vec<Road> = (0..3000)
        .map(|place| (format!("r{place}"), place, place + 1, 1.0))
        .collect();
    let (snapshot, edges) = world(3001, &chain).await;
    let request = PathsRequest {
        targets: vec!["3000".to_owned()],
        memory: Box::new(Budget(10_000)),
        ..request(edges, Wanted::Shortest, true, Direction::Out)
    };
    let refused: Result<Vec<Path>, Failure> = paths(snapshot, request).try_collect().await;
    assert!(matches!(refused, Err(Failure::Outside(_))), "{refused:?}");
}

#[tokio::test]
async fn bad_weights_are_refused() {
    let roads = [("a".to_owned(), 0, 1, -1.0)];
    let (snapshot, edges) = world(2, &roads).await;
    let refused: Result<Vec<Path>, Failure> = paths(
        snapshot.clone(),
        request(edges, Wanted::Shortest, true, Direction::Out),
    )
    .try_collect()
    .await;
    let told = refused.expect_err("it is negative").to_string();
    assert_eq!(told, "the weight of an edge must not be negative (is -1)");
    for name in ["nope", "src"] {
        let request = PathsRequest {
            weight: Some(name.to_owned()),
            ..request(edges, Wanted::Shortest, true, Direction::Out)
        };
        let refused: Result<Vec<Path>, Failure> =
            paths(snapshot.clone(), request).try_collect().await;
        assert!(refused.is_err(), "{name}");
    }
}
