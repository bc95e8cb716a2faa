//! Slots of a log under requests that are late, lost or unanswered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use object_store::memory::InMemory;

use super::hooks::{Distant, Hold};
use super::merge_histories::Random;
use super::*;
use crate::clock::System;
use crate::commit::slot::{self, Filled};
use crate::error::Error;
use crate::format::{self, EntryKind, LogEntry};
use crate::storage::{Fault, Faults, Operation, layout};

const SLOTS: u64 = 1_000;
const STORMS: u64 = 12;

/// Three processes want one slot, two of every five requests go wrong, and one of the three
/// may go away half way. In the end the slot holds one body, and all that were answered were
/// told the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_is_filled_once_whatever_becomes_of_requests() {
    let mut ours = 0;
    for seeds in (0..SLOTS * soak()).collect::<Vec<_>>().chunks(250) {
        ours += join_all(seeds.iter().map(|&seed| one_slot(seed)))
            .await
            .into_iter()
            .sum::<usize>();
    }
    assert!(ours as u64 > SLOTS / 2, "{ours} were told that they won");
}

/// How many were told that they won.
async fn one_slot(seed: u64) -> usize {
    let inner = Arc::new(InMemory::new());
    let mut random = Random(seed);
    let processes: Vec<Arc<Distant>> = (0..3)
        .map(|process| Distant::new(&inner, seed * 3 + process, 4))
        .collect();
    let bodies: Vec<Bytes> = (0..3).map(|p| format!("{seed} {p}").into()).collect();
    let tries = processes.iter().zip(&bodies).enumerate().map(|(at, one)| {
        let (store, body) = (Store::over(one.0.clone()), one.1.clone());
        let goes_away = at == 0 && random.below(2) == 0;
        let leaves = Duration::from_millis(random.below(40) as u64);
        async move {
            let filling = slot::fill(&store, &System, "slot", body.clone(), |held| held == body);
            match goes_away {
                true => tokio::time::timeout(leaves, filling).await.ok(),
                false => Some(filling.await),
            }
        }
    });
    let answers = join_all(tries).await;
    for process in &processes {
        process.settled().await;
    }
    let held = Store::over(inner).read("slot").await.unwrap().unwrap();
    let mut ours = 0;
    for (at, answer) in answers.into_iter().enumerate() {
        match answer {
            None => {}
            Some(Ok(Filled::Ours)) => {
                assert_eq!(held, bodies[at], "seed {seed}");
                ours += 1;
            }
            Some(Ok(Filled::Theirs(theirs))) => {
                assert_eq!(held, theirs, "seed {seed}");
                assert_ne!(held, bodies[at], "seed {seed}");
            }
            Some(Err(error)) => panic!("seed {seed}: the store did answer: {error:?}"),
        }
    }
    ours
}

/// Two processes commit through a store that loses requests and answers; some writers are
/// dropped while they wait. Everybody was told the truth, and no process sent two entries to
/// a slot that was still open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_over_a_store_that_loses_answers_are_answered_truly() {
    let (mut made, mut lost) = (0, 0);
    for seed in 0..STORMS * soak() {
        println!("seed {seed}");
        let (done, failed) = storm(seed).await;
        made += done;
        lost += failed;
    }
    assert!(made > 30 && lost > 5, "{made} made, {lost} failed");
}

async fn storm(seed: u64) -> (usize, usize) {
    let inner = Arc::new(InMemory::new());
    let plain = Store::over(inner.clone());
    Graph::create(plain.clone(), SCHEMA, "tester", resources())
        .await
        .unwrap();
    let mut random = Random(seed);
    let mut writers = Vec::new();
    let mut processes = Vec::new();
    for process in 0..2 {
        let way = Distant::new(&inner, seed * 7 + process, 3);
        let graph = loop {
            // To open it, too, takes some tries.
            if let Ok(graph) = Graph::open(Store::over(way.clone()), resources()).await {
                break graph;
            }
        };
        for writer in 0..4 {
            let (graph, name) = (graph.clone(), format!("{process}-{writer}"));
            let task = tokio::spawn(async move {
                let options = TransactionOptions::default();
                let mut transaction = graph.begin(&main(), options).await?;
                insert(&mut transaction, "team", &[&[None, Some(&name)]]).await?;
                commit(transaction).await
            });
            let leaves = (random.below(4) == 0).then(|| random.below(60) as u64);
            if let Some(leaves) = leaves {
                let handle = task.abort_handle();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(leaves)).await;
                    handle.abort();
                });
            }
            writers.push((format!("{process}-{writer}"), task));
        }
        processes.push(way);
    }
    let mut answers = Vec::new();
    for (name, task) in writers {
        answers.push((name, task.await));
    }
    // Those that were dropped are carried through all the same.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for process in &processes {
        process.settled().await;
    }
    let graph = Graph::open(plain, resources()).await.unwrap();
    let teams = column(&graph.snapshot("main").await.unwrap(), "team", "name").await;
    let (mut made, mut failed) = (0, 0);
    for (name, answer) in answers {
        match answer {
            Ok(Ok(_)) => {
                assert!(teams.contains(&name), "seed {seed}: {name} was made");
                made += 1;
            }
            Ok(Err(error)) => {
                assert!(
                    !matches!(error, Error::OutcomeUnknown { .. }),
                    "seed {seed}"
                );
                assert!(!teams.contains(&name), "seed {seed}: {name}: {error}");
                failed += 1;
            }
            Err(_dropped) => {}
        }
    }
    for process in processes {
        check_sent(seed, &process);
    }
    (made, failed)
}

/// Until a slot is filled, one process sends one body to it, or gives up by an empty one.
fn check_sent(seed: u64, process: &Distant) {
    let mut open: BTreeMap<String, Bytes> = BTreeMap::new();
    for (key, body, taken) in process.sent.lock().iter() {
        if taken | !key.contains("_graph/branches/") {
            continue;
        }
        let entry: LogEntry = format::decode(key, body).unwrap();
        if matches!(entry.kind, EntryKind::Noop { .. }) {
            continue;
        }
        let first = open.entry(key.clone()).or_insert_with(|| body.clone());
        assert_eq!(first, body, "seed {seed}: two entries for {key}");
    }
}

/// A writer that sleeps before it fills the next slot of a branch.
async fn sleeper(fixture: &Fixture, on: &str) -> (Arc<Hold>, Commit) {
    let hold = Hold::before(&[Operation::Put], "branches");
    let slow = Graph::open(fixture.store.with_faults(hold.clone()), resources())
        .await
        .unwrap();
    let mut transaction = begin(&slow, on).await;
    insert(&mut transaction, "team", &[&[None, Some("slow")]])
        .await
        .unwrap();
    hold.arm();
    let slept = tokio::spawn(commit(transaction));
    hold.reached().await;
    (hold, slept)
}

type Commit = tokio::task::JoinHandle<Result<Option<CommitInfo>>>;

/// A writer sleeps before it fills its slot; others go on for long, and all of it is swept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_was_passed_long_ago_is_not_won_any_more() {
    let fixture = Fixture::in_memory().await;
    let (hold, slept) = sleeper(&fixture, "main").await;
    let slot = fixture.graph.branch(&main()).await.unwrap().head_seq + 1;
    for number in 0..150 * soak() {
        add_people(&fixture.graph, "main", &[&format!("p{number}")])
            .await
            .unwrap();
    }
    vacuum(&fixture.graph).await;
    hold.let_go();
    // Its files are gone, so it does not go on to another slot either.
    let error = slept.await.unwrap().unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let graph = fixture.reopened().await;
    let teams = column(&graph.snapshot("main").await.unwrap(), "team", "name").await;
    assert!(teams.is_empty(), "{teams:?}");
    let key = layout::log_entry(&graph.branch(&main()).await.unwrap().id, slot);
    let held: LogEntry =
        format::decode(&key, &fixture.store.read(&key).await.unwrap().unwrap()).unwrap();
    assert_eq!(held.actor, "tester");
    add_people(&graph, "main", &["later"]).await.unwrap();
}

/// The same, on a branch that is deleted meanwhile and made again under its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slot_behind_a_tombstone_is_never_won() {
    let fixture = Fixture::in_memory().await;
    let b = branch("b");
    fixture.graph.create_branch(&b, "main", "a").await.unwrap();
    let (hold, slept) = sleeper(&fixture, "b").await;
    fixture.graph.delete_branch(&b, true, "a").await.unwrap();
    vacuum(&fixture.graph).await;
    fixture.graph.create_branch(&b, "main", "a").await.unwrap();
    hold.let_go();
    let error = slept.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::BranchDeleted { .. }), "{error}");
    let graph = fixture.reopened().await;
    let teams = column(&graph.snapshot("b").await.unwrap(), "team", "name").await;
    assert!(teams.is_empty(), "{teams:?}");
}

/// A library or a proxy may send a request again whose answer was lost: what is there then is
/// our own.
#[tokio::test]
async fn requests_that_are_sent_twice_are_carried_out_once() {
    let inner = Arc::new(InMemory::new());
    let twice = Store::over(Distant::repeating(&inner));
    let graph = Graph::create(twice.clone(), SCHEMA, "tester", resources())
        .await
        .unwrap();
    add_people(&graph, "main", &["ada"]).await.unwrap();
    let b = branch("b");
    graph.create_branch(&b, "main", "a").await.unwrap();
    add_people(&graph, "b", &["bob"]).await.unwrap();
    super::merges::merge(&graph, "b", "main").await.unwrap();
    graph.delete_branch(&b, true, "a").await.unwrap();
    let other = Graph::open(Store::over(inner), resources()).await.unwrap();
    assert_eq!(people(&other, "main").await, ["ada", "bob"]);
    let again = Graph::create(twice, SCHEMA, "tester", resources()).await;
    assert!(matches!(again, Err(Error::AlreadyExists { .. })));
}

/// Lists say what was there once, in any order: the head is found by asking for it.
#[tokio::test]
async fn a_list_that_lacks_the_newest_names_misleads_nobody() {
    let inner = Arc::new(InMemory::new());
    let plain = Store::over(inner.clone());
    let graph = Graph::create(plain, SCHEMA, "tester", resources())
        .await
        .unwrap();
    let mut names = Vec::new();
    for number in 0..7 {
        let name = format!("p{number}");
        add_people(&graph, "main", &[&name]).await.unwrap();
        names.push(name);
        for seed in 0..3 {
            let way = Distant::forgetful(&inner, seed);
            let other = Graph::open(Store::over(way), resources()).await.unwrap();
            assert_eq!(people(&other, "main").await, names);
        }
    }
    // It writes behind the head, not behind what is listed.
    let way = Distant::forgetful(&inner, 9);
    let other = Graph::open(Store::over(way), resources()).await.unwrap();
    add_people(&other, "main", &["q"]).await.unwrap();
    names.push("q".to_owned());
    assert_eq!(people(&graph, "main").await, names);
}

/// A statement that comes while another one's question to the store is on its way asks anew:
/// that question may have been answered before the last commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_sees_what_was_committed_before_it_came() {
    let fixture = Fixture::in_memory().await;
    let hold = Hold::before(&[Operation::Get, Operation::Head], "branches");
    let graph = Graph::open(fixture.store.with_faults(hold.clone()), resources())
        .await
        .unwrap();
    people(&graph, "main").await;
    hold.arm();
    let first = tokio::spawn({
        let graph = graph.clone();
        async move { people(&graph, "main").await }
    });
    hold.reached().await;
    add_people(&fixture.graph, "main", &["ada"]).await.unwrap();
    assert_eq!(people(&graph, "main").await, ["ada"]);
    hold.let_go();
    first.await.unwrap();
    assert_eq!(people(&graph, "main").await, ["ada"]);
}

/// Fails the answer to the first log entry once armed, as a folder does that cannot be synced.
#[derive(Debug, Default)]
struct Unsynced(AtomicBool);

#[async_trait::async_trait]
impl Faults for Unsynced {
    async fn on(&self, operation: Operation, key: &str) -> Fault {
        let entry = operation == Operation::Put && key.contains("_graph/branches/");
        match entry && self.0.swap(false, Ordering::SeqCst) {
            true => Fault::FailAfter("fsync: Input/output error".to_owned()),
            false => Fault::None,
        }
    }
}

/// The entry is there, and may be gone after a power loss: nothing is built upon it.
#[tokio::test]
async fn a_process_whose_disk_failed_writes_nothing_more() {
    let fixture = Fixture::on_disk().await;
    let faults = Arc::new(Unsynced::default());
    let graph = Graph::open(fixture.store.with_faults(faults.clone()), resources())
        .await
        .unwrap();
    add_people(&graph, "main", &["ada"]).await.unwrap();
    let before = graph.snapshot("main").await.unwrap();
    faults.0.store(true, Ordering::SeqCst);
    let error = add_people(&graph, "main", &["bob"]).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    for _ in 0..2 {
        let error = graph.begin(&main(), TransactionOptions::default()).await;
        let refused = matches!(error, Err(Error::Unavailable { .. }));
        assert!(refused, "it does not read what may be lost either");
        let at = graph.create_tag(&branch("t"), &before, None, "a").await;
        assert!(matches!(at, Err(Error::ReadOnly { .. })));
    }
    // Whoever opens it anew goes on.
    let url = fixture.store.url().to_owned();
    let options = crate::storage::StoreOptions::default();
    let store = Store::connect(&url, &options).await.unwrap();
    let graph = Graph::open(store, resources()).await.unwrap();
    add_people(&graph, "main", &["cyd"]).await.unwrap();
    let people = people(&graph, "main").await;
    assert!(people.contains(&"ada".to_owned()) && people.contains(&"cyd".to_owned()));
}
