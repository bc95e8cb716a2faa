//! Processes whose clocks do not agree.

use std::sync::atomic::{AtomicI64, Ordering};

use super::merge_histories::Random;
use super::merges::merge;
use super::*;
use crate::Reference;
use crate::clock::{self, Environment};
use crate::error::Error;
use crate::merge::MergeOutcome;

const HOUR: i64 = 3_600_000_000;
/// Noon of some day.
const NOON: i64 = 20_000 * 24 * HOUR + 12 * HOUR;

/// A clock that is set by hand, to a time of its own.
#[derive(Debug)]
struct Clock(AtomicI64);

impl Clock {
    fn at(time: i64) -> Arc<Clock> {
        Arc::new(Clock(AtomicI64::new(time)))
    }

    fn set(&self, time: i64) {
        self.0.store(time, Ordering::SeqCst);
    }
}

impl Environment for Clock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn random(&self) -> u128 {
        rand::random()
    }

    fn tells_time(&self) -> bool {
        false
    }
}

/// A clock that goes right but for so many seconds.
#[derive(Debug)]
struct Off(i64);

impl Environment for Off {
    fn now(&self) -> i64 {
        clock::System.now() + self.0 * 1_000_000
    }

    fn random(&self) -> u128 {
        rand::random()
    }
}

/// It reads, and writes nothing that would change what others were told of the past.
#[tokio::test]
async fn whose_clock_is_wrong_by_minutes_writes_nothing() {
    let fixture = Fixture::in_memory().await;
    add_people(&fixture.graph, "main", &["ada"]).await.unwrap();
    for (seconds, right) in [(-300, false), (300, false), (-30, true), (30, true)] {
        let store = fixture.store.clone();
        let graph = Graph::open_in(store, resources(), Arc::new(Off(seconds)));
        let graph = graph.await.unwrap();
        assert!(people(&graph, "main").await.contains(&"ada".to_owned()));
        let name = format!("p{seconds}");
        let outcome = add_people(&graph, "main", &[&name]).await;
        match outcome {
            Ok(_) => assert!(right, "{seconds}"),
            Err(Error::ReadOnly { reason }) => assert!(!right, "{reason}"),
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// A graph that was made at ten o'clock.
async fn made() -> (Store, Arc<Clock>, Graph) {
    let store = Store::connect("memory:", &StoreOptions::default())
        .await
        .unwrap();
    let clock = Clock::at(NOON - 2 * HOUR);
    let made = Graph::create_in(store.clone(), SCHEMA, "t", resources(), clock.clone());
    let graph = made.await.unwrap();
    (store, clock, graph)
}

#[tokio::test]
async fn times_rise_along_a_log_whoevers_clock_they_are_of() {
    let (store, clock, graph) = made().await;
    clock.set(NOON);
    let mut processes = vec![(clock, graph)];
    for time in [NOON - HOUR, NOON + HOUR] {
        let clock = Clock::at(time);
        let graph = Graph::open_in(store.clone(), resources(), clock.clone());
        processes.push((clock, graph.await.unwrap()));
    }
    let mut random = Random(1);
    let mut shown = Vec::new();
    for number in 0..60 {
        let (clock, graph) = &processes[random.below(3)];
        // The first one's clock is put right again and again.
        let (stepping, _) = &processes[0];
        stepping.set(NOON + (random.below(5) as i64 - 2) * HOUR / 2);
        clock.0.fetch_add(1_000, Ordering::SeqCst);
        let name = format!("p{number}");
        match number % 10 {
            3 => {
                let name = branch(&format!("b{number}"));
                graph.create_branch(&name, "main", "t").await.unwrap();
            }
            7 => {
                let from = format!("b{}", number - 4);
                add_people(graph, &from, &[&name]).await.unwrap();
                merge(graph, &from, "main").await.unwrap();
            }
            9 => {
                let back = graph.snapshot("main~1").await.unwrap();
                graph.reset_branch(&main(), &back, "t").await.unwrap();
            }
            _ => drop(add_people(graph, "main", &[&name]).await.unwrap()),
        }
        let now = graph.snapshot("main").await.unwrap();
        shown.push((now.time(), now.commit()));
    }
    let latest = Graph::open_in(store, resources(), Clock::at(NOON + 2 * HOUR));
    let latest = latest.await.unwrap();
    for info in latest.branches().await.unwrap() {
        let mut before = i64::MIN;
        for seq in 0..=info.head_seq {
            let entry = latest.shared.logs.existing(&info.id, seq).await.unwrap();
            assert!(entry.time > before, "entry {seq} of {}", info.name);
            before = entry.time;
        }
    }
    // So a time names one state, whoever is asked.
    for (time, commit) in shown {
        let reference = Reference::at(time).to_string();
        assert_eq!(latest.snapshot(&reference).await.unwrap().commit(), commit);
        for (clock, graph) in &processes {
            clock.set(NOON + 2 * HOUR);
            assert_eq!(graph.snapshot(&reference).await.unwrap().commit(), commit);
        }
    }
}

/// Commits of ten o'clock that a branch came to show at noon were not there at eleven.
#[tokio::test]
async fn a_time_is_when_a_branch_showed_it_and_not_when_it_was_committed() {
    let (store, clock, graph) = made().await;
    graph
        .create_branch(&branch("b"), "main", "t")
        .await
        .unwrap();
    add_people(&graph, "b", &["ada"]).await.unwrap();
    clock.set(NOON);
    let merged = merge(&graph, "b", "main").await.unwrap();
    assert_eq!(merged.outcome, MergeOutcome::FastForward);
    clock.set(NOON + HOUR);
    let other = Graph::open_in(store, resources(), clock.clone());
    for graph in [&graph, &other.await.unwrap()] {
        for (on, time, expected) in [
            ("main", NOON - HOUR, &[] as &[&str]),
            ("main", NOON - 1, &[]),
            ("main", NOON, &["ada"]),
            ("b", NOON - HOUR, &["ada"]),
        ] {
            let reference = Reference::at(time).to_string();
            let then = graph.snapshot_on(&reference, &branch(on)).await.unwrap();
            assert_eq!(column(&then, "person", "name").await, expected, "{on}");
        }
    }
}
