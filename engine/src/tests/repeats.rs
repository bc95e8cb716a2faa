//! Commits that are made once, and what became of those whose writer was not told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::hooks::Hold;
use super::*;
use crate::CommitOutcome;
use crate::error::Error;
use crate::names::CommitId;
use crate::storage::{Fault, Faults, Operation};

fn keyed(key: &str) -> CommitMessage {
    CommitMessage {
        idempotency_key: Some(key.to_owned()),
        ..CommitMessage::default()
    }
}

async fn team(graph: &Graph, actor: &str, name: &str) -> Transaction {
    let options = TransactionOptions {
        actor: actor.to_owned(),
        ..TransactionOptions::default()
    };
    let mut transaction = graph.begin(&main(), options).await.unwrap();
    insert(&mut transaction, "team", &[&[None, Some(name)]])
        .await
        .unwrap();
    transaction
}

async fn teams(graph: &Graph) -> Vec<String> {
    column(&graph.snapshot("main").await.unwrap(), "team", "name").await
}

#[tokio::test]
async fn a_key_is_committed_once() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let make = async |graph: &Graph, actor: &str, name: &str, key: &str| {
        let transaction = team(graph, actor, name).await;
        transaction.commit(keyed(key)).await.unwrap().unwrap().id
    };
    let first = make(graph, "ada", "red", "k").await;
    add_people(graph, "main", &["ada"]).await.unwrap();
    // In this process and in another one; with nothing to write any more, too.
    assert_eq!(make(graph, "ada", "blue", "k").await, first);
    let other = fixture.reopened().await;
    assert_eq!(make(&other, "ada", "green", "k").await, first);
    let empty = begin(&other, "main").await;
    assert_eq!(empty.commit(keyed("k")).await.unwrap(), None);
    let options = TransactionOptions {
        actor: "ada".to_owned(),
        ..TransactionOptions::default()
    };
    let empty = other.begin(&main(), options).await.unwrap();
    assert_eq!(empty.commit(keyed("k")).await.unwrap().unwrap().id, first);
    assert_eq!(teams(&other).await, ["red"]);
    // Another key, and the same one of somebody else, are other commits.
    assert_ne!(make(graph, "ada", "blue", "l").await, first);
    assert_ne!(make(graph, "bob", "green", "k").await, first);
    assert_eq!(teams(graph).await, ["blue", "green", "red"]);
}

/// The same transaction from eight writers of two processes at once, over a base that all
/// begin from: one is published and all are answered with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_is_committed_once_by_many_at_the_same_time() {
    let fixture = Fixture::in_memory().await;
    let graphs = [fixture.reopened().await, fixture.reopened().await];
    for round in 0..10 {
        let mut open = Vec::new();
        for writer in 0..8 {
            let name = format!("team-{round}-{writer}");
            open.push(team(&graphs[writer % 2], "ada", &name).await);
        }
        let key = format!("round-{round}");
        let commits: Vec<_> = open
            .into_iter()
            .map(|transaction| tokio::spawn(transaction.commit(keyed(&key))))
            .collect();
        let mut made: Vec<CommitId> = Vec::new();
        for commit in commits {
            made.push(commit.await.unwrap().unwrap().unwrap().id);
        }
        made.dedup();
        assert_eq!(made.len(), 1, "{made:?}");
        let graph = fixture.reopened().await;
        assert_eq!(teams(&graph).await.len(), round + 1);
    }
}

/// A key is found whatever the place that its last try was after.
#[tokio::test]
async fn a_key_is_found_past_tries_that_came_to_nothing() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    // Its key is written down, and its slot goes to somebody else.
    unknown(&fixture, false).await;
    add_people(graph, "main", &["bob", "cyd"]).await.unwrap();
    add_people(graph, "main", &["ada"]).await.unwrap();
    let made = team(graph, "ada", "red").await;
    let made = made.commit(keyed("k")).await.unwrap().unwrap().id;
    add_people(graph, "main", &["dan"]).await.unwrap();
    let again = team(graph, "ada", "blue").await;
    assert_eq!(again.commit(keyed("k")).await.unwrap().unwrap().id, made);
    assert_eq!(teams(graph).await, ["red"]);
}

/// From one request on the store is silent; that one may still be carried out.
#[derive(Debug)]
struct Stop {
    armed: AtomicBool,
    silent: AtomicBool,
    operation: Operation,
    key: &'static str,
    after: bool,
}

impl Stop {
    fn before(operation: Operation, key: &'static str) -> Self {
        Stop {
            armed: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            operation,
            key,
            after: false,
        }
    }

    fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Faults for Stop {
    async fn on(&self, operation: Operation, key: &str) -> Fault {
        if !self.armed.load(Ordering::SeqCst) {
            return Fault::None;
        }
        let message = format!("silent at {key}");
        if self.silent.load(Ordering::SeqCst) {
            return Fault::FailBefore(message);
        }
        if operation != self.operation || !key.contains(self.key) {
            return Fault::None;
        }
        self.silent.store(true, Ordering::SeqCst);
        match self.after {
            true => Fault::FailAfter(message),
            false => Fault::FailBefore(message),
        }
    }
}

/// A commit whose outcome its writer was not told.
async fn unknown(fixture: &Fixture, after: bool) -> CommitId {
    let faults = Arc::new(Stop {
        after,
        ..Stop::before(Operation::Put, "branches")
    });
    let store = fixture
        .store
        .with_faults(faults.clone())
        .with_patience(Duration::from_millis(100));
    let graph = Graph::open(store, resources()).await.unwrap();
    let transaction = team(&graph, "ada", if after { "done" } else { "lost" }).await;
    faults.arm();
    match transaction.commit(keyed("k")).await {
        Err(Error::OutcomeUnknown { commit }) => CommitId::parse(&commit).unwrap(),
        other => panic!("the store fell silent: {other:?}"),
    }
}

#[tokio::test]
async fn an_unknown_outcome_can_be_asked_for() {
    for (after, outcome) in [
        (true, CommitOutcome::Committed),
        (false, CommitOutcome::Aborted),
    ] {
        let fixture = Fixture::in_memory().await;
        let id = unknown(&fixture, after).await;
        let graph = fixture.reopened().await;
        let head = graph.branch(&main()).await.unwrap().head_seq;
        for _ in 0..2 {
            assert_eq!(graph.commit_outcome(id).await.unwrap(), outcome);
        }
        let expected: &[&str] = if after { &["done"] } else { &[] };
        assert_eq!(teams(&graph).await, expected);
        // What was aborted can land no more: its slot is filled.
        let filled = fixture.reopened().await.branch(&main()).await.unwrap();
        assert_eq!(filled.head_seq > head, !after);
        // With its key the transaction is run again, and counts once.
        let again = team(&graph, "ada", "again").await;
        let made = again.commit(keyed("k")).await.unwrap().unwrap();
        assert_eq!(made.id == id, after);
        assert_eq!(
            graph.commit_outcome(made.id).await.unwrap(),
            CommitOutcome::Committed
        );
        assert_eq!(teams(&graph).await.len(), 1);
    }
    let fixture = Fixture::in_memory().await;
    let never = CommitId::parse("01K7Z3JX5Q8YV2M4N6P8R0T2W4").unwrap();
    let error = fixture.graph.commit_outcome(never).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

/// Asked about while its writer sleeps: whatever the answer, the writer learns the same when
/// it wakes, and does not try again behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_aborted_is_told_so_for_ever() {
    let fixture = Fixture::in_memory().await;
    let hold = Hold::before(&[Operation::Put], "branches");
    let slow = Graph::open(fixture.store.with_faults(hold.clone()), resources())
        .await
        .unwrap();
    let transaction = team(&slow, "ada", "slow").await;
    hold.arm();
    let commit = tokio::spawn(transaction.commit(CommitMessage::default()));
    hold.reached().await;
    let id = CommitId::parse(hold.commit.lock().as_ref().unwrap()).unwrap();
    let outcome = fixture.graph.commit_outcome(id).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Aborted);
    hold.let_go();
    let error = commit.await.unwrap().unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let graph = fixture.reopened().await;
    assert_eq!(
        graph.commit_outcome(id).await.unwrap(),
        CommitOutcome::Aborted
    );
    assert!(teams(&graph).await.is_empty());
}

/// What points to a commit is written before every try. A request that the store carried out
/// late may put an earlier word over the last one.
#[tokio::test]
async fn a_pointer_that_lies_behind_leads_to_the_commit() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    for name in ["a", "b", "c"] {
        add_people(graph, "main", &[name]).await.unwrap();
    }
    let commit = add_people(graph, "main", &["d"]).await.unwrap();
    let key = crate::storage::layout::commit(commit.id);
    for back in 0..=commit.seq {
        let pointer = crate::format::CommitPointer {
            branch: graph.branch(&main()).await.unwrap().id,
            seq: commit.seq - back,
            restated: None,
        };
        let late = crate::format::encode(&pointer).unwrap();
        fixture.store.write(&key, late).await.unwrap();
        let graph = fixture.reopened().await;
        assert_eq!(people(&graph, &commit.id.to_string()).await.len(), 4);
        let outcome = graph.commit_outcome(commit.id).await.unwrap();
        assert_eq!(outcome, crate::CommitOutcome::Committed);
    }
}
