//! Commits that are published together, in one log entry.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::meeting::{held_back, together};
use super::merge_histories::differences;
use super::merges::contents;
use super::*;
use crate::commit::ancestry::Ancestors;
use crate::error::{ConstraintKind, Error};
use crate::load::{LoadMode, LoadOptions, load};
use crate::names::CommitId;
use crate::storage::{Fault, Faults, Operation};
use crate::{CommitOutcome, HistoryKind};

/// One row that somebody puts, with the columns of the table.
type Put = (&'static str, &'static str, &'static [Option<&'static str>]);

/// A transaction of one row, ready to be committed.
async fn ready(graph: &Graph, (actor, name, row): Put) -> Transaction {
    let options = TransactionOptions {
        actor: actor.to_owned(),
        ..TransactionOptions::default()
    };
    let mut transaction = graph.begin(&main(), options).await.unwrap();
    let def = transaction.snapshot().schema().table(name).unwrap().clone();
    let row = rows(&def, &[row]);
    let outcome = match (actor, name) {
        ("ann", "person") => transaction.update(def.id, row).await,
        _ => transaction.insert(def.id, row).await,
    };
    outcome.unwrap();
    transaction
}

/// The commits of several transactions that begin over one state and end in one entry.
async fn all_at_once(
    graph: &Graph,
    puts: &[Put],
) -> Vec<BoxFuture<'static, Result<Option<CommitInfo>>>> {
    let mut commits = Vec::new();
    for put in puts {
        let transaction = ready(graph, *put).await;
        let message = CommitMessage {
            message: Some(format!("of {}", put.0)),
            ..CommitMessage::default()
        };
        commits.push(transaction.commit(message).boxed());
    }
    commits
}

/// The commits since `base`, oldest first.
async fn since(graph: &Graph, base: CommitId) -> Vec<CommitInfo> {
    let all = graph.commits("main", Ancestors::All);
    let all: Vec<CommitInfo> = all.try_collect().await.unwrap();
    let new = all.into_iter().take_while(|commit| commit.id != base);
    let mut new: Vec<CommitInfo> = new
        .filter(|commit| matches!(commit.kind, HistoryKind::Commit(_)))
        .collect();
    new.reverse();
    new
}

/// Each commit follows the one before it, and its diff is the one row that its actor wrote.
async fn each_is_its_own(graph: &Graph, base: CommitId, expected: &[(&str, &str, &str, &str)]) {
    let commits = since(graph, base).await;
    let mut parent = base;
    for (commit, (actor, operation, table, id)) in commits.iter().zip(expected) {
        assert_eq!(commit.actor, *actor);
        assert_eq!(commit.message, Some(format!("of {actor}")));
        assert_eq!(commit.parents, [parent]);
        assert_eq!(commit.inserted + commit.updated + commit.deleted, 1);
        let before = graph.snapshot(&parent.to_string()).await.unwrap();
        let after = graph.snapshot(&commit.id.to_string()).await.unwrap();
        let row = (*operation, (*table).to_owned(), (*id).to_owned());
        assert_eq!(differences(&before, &after).await, BTreeSet::from([row]));
        parent = commit.id;
    }
    assert_eq!(commits.len(), expected.len());
    assert_eq!(graph.snapshot("main").await.unwrap().commit(), parent);
}

const FIVE: [Put; 5] = [
    (
        "ann",
        "person",
        &[Some("ada"), Some("ada"), Some("31"), None],
    ),
    ("bob", "person", &[None, Some("p"), None, Some("e")]),
    ("cyd", "person", &[None, Some("q"), None, Some("e")]),
    ("dan", "team", &[None, Some("red")]),
    ("eve", "knows", &[Some("k"), Some("ada"), Some("ada"), None]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_fails_takes_nobody_along() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let base = add_people(graph, "main", &["ada"]).await.unwrap();
    let commits = all_at_once(graph, &FIVE).await;
    let mut told = together(graph, "main", commits).await;
    let failed = told.remove(2).unwrap_err();
    assert!(
        matches!(&failed, Error::Constraint(broken) if broken.kind == ConstraintKind::Unique),
        "{failed:?}"
    );
    let told: Vec<CommitInfo> = told.into_iter().map(|one| one.unwrap().unwrap()).collect();
    assert!(told.iter().all(|commit| commit.seq == base.seq + 1));
    for graph in [graph, &fixture.reopened().await] {
        let found: Vec<CommitId> = since(graph, base.id)
            .await
            .iter()
            .map(|one| one.id)
            .collect();
        let ids: Vec<CommitId> = told.iter().map(|commit| commit.id).collect();
        assert_eq!(found, ids);
        each_is_its_own(
            graph,
            base.id,
            &[
                ("ann", "update", "person", "ada"),
                ("bob", "insert", "person", "p"),
                ("dan", "insert", "team", "red"),
                ("eve", "insert", "knows", "k"),
            ],
        )
        .await;
    }
}

/// The slot goes to another process, which wrote what two of the members rely on: those two
/// are told, and the others come after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_loses_its_slot_is_looked_at_one_by_one() {
    let fixture = Fixture::in_memory().await;
    let base = add_people(&fixture.graph, "main", &["ada"]).await.unwrap();
    let (graph, hold) = held_back(&fixture).await;
    let commits = all_at_once(&graph, &FIVE).await;
    hold.arm();
    let group = tokio::spawn({
        let graph = graph.clone();
        async move { together(&graph, "main", commits).await }
    });
    hold.reached().await;
    // The winner gives `ada` another age and takes the name `red`.
    let mut winner = begin(&fixture.graph, "main").await;
    let person = winner.snapshot().schema().table("person").unwrap().clone();
    let ada = rows(&person, &[&[Some("ada"), Some("ada"), Some("99"), None]]);
    winner.update(person.id, ada).await.unwrap();
    insert(&mut winner, "team", &[&[None, Some("red")]])
        .await
        .unwrap();
    let winner = commit(winner).await.unwrap().unwrap();
    hold.let_go();
    let told = group.await.unwrap();
    assert!(matches!(&told[0], Err(Error::Conflict { id, .. }) if id == "ada"));
    for taken in [&told[2], &told[3]] {
        assert!(matches!(taken, Err(Error::Constraint(_))), "{taken:?}");
    }
    let kept = [&told[1], &told[4]].map(|one| one.as_ref().unwrap().as_ref().unwrap());
    assert_eq!(winner.seq, base.seq + 1);
    assert!(kept.iter().all(|commit| commit.seq == base.seq + 2));
    each_is_its_own(
        &fixture.reopened().await,
        winner.id,
        &[
            ("bob", "insert", "person", "p"),
            ("eve", "insert", "knows", "k"),
        ],
    )
    .await;
}

/// From the first log entry on the store is silent, which may have been written all the same.
#[derive(Debug)]
struct Silent {
    armed: AtomicBool,
    written: bool,
}

#[async_trait]
impl Faults for Silent {
    async fn on(&self, operation: Operation, key: &str) -> Fault {
        if !self.armed.load(Ordering::SeqCst) || !key.contains("_graph/branches/") {
            return Fault::None;
        }
        let silence = format!("silent at {key}");
        match operation {
            Operation::Put if self.written => Fault::FailAfter(silence),
            _ => Fault::FailBefore(silence),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_outcome_is_unknown_to_every_member_and_the_same_for_all() {
    for written in [true, false] {
        let fixture = Fixture::in_memory().await;
        let base = add_people(&fixture.graph, "main", &["ada"]).await.unwrap();
        let faults = Arc::new(Silent {
            armed: AtomicBool::new(false),
            written,
        });
        let store = fixture.store.with_faults(faults.clone());
        let store = store.with_patience(Duration::from_millis(100));
        let graph = Graph::open(store, resources()).await.unwrap();
        // The third is refused before anything is sent, so its outcome is known.
        let commits = all_at_once(&graph, &FIVE).await;
        let armed = faults.clone();
        let first = commits.into_iter().enumerate().map(|(number, commit)| {
            let armed = armed.clone();
            async move {
                // Whoever reads the branch before has to get an answer.
                armed.armed.store(number == 4, Ordering::SeqCst);
                commit.await
            }
            .boxed()
        });
        let told = together(&graph, "main", first.collect()).await;
        let mut ids = Vec::new();
        for (number, one) in told.into_iter().enumerate() {
            match one.unwrap_err() {
                Error::OutcomeUnknown { commit } => ids.push(CommitId::parse(&commit).unwrap()),
                Error::Constraint(_) if number == 2 => {}
                error => panic!("{number}: {error:?}"),
            }
        }
        let other = fixture.reopened().await;
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 4);
        for id in &ids {
            let outcome = other.commit_outcome(*id).await.unwrap();
            assert_eq!(outcome == CommitOutcome::Committed, written);
        }
        let found: Vec<CommitId> = since(&other, base.id)
            .await
            .iter()
            .map(|one| one.id)
            .collect();
        assert_eq!(found, if written { ids } else { Vec::new() });
    }
}

/// Bytes of the largest log entry.
async fn largest_entry(fixture: &Fixture) -> u64 {
    let entries = fixture.store.list_all("_graph/branches").await.unwrap();
    entries.into_iter().map(|(_, size)| size).max().unwrap()
}

const ENTRY_BYTES: u64 = 256 << 10;

/// What finds no room in an entry comes in the next one, in its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_too_large_makes_several_entries() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let base = add_people(graph, "main", &["ada"]).await.unwrap();
    let long = "x".repeat(30 << 10);
    let mut commits = Vec::new();
    for number in 0..20 {
        let mut transaction = begin(graph, "main").await;
        let name = format!("t{number:02}");
        insert(&mut transaction, "team", &[&[None, Some(&name)]])
            .await
            .unwrap();
        let message = CommitMessage {
            message: Some(long.clone()),
            ..CommitMessage::default()
        };
        commits.push(transaction.commit(message).boxed());
    }
    let told = together(graph, "main", commits).await;
    let told: Vec<CommitInfo> = told.into_iter().map(|one| one.unwrap().unwrap()).collect();
    let seqs: BTreeSet<u64> = told.iter().map(|commit| commit.seq).collect();
    assert_eq!(seqs, (base.seq + 1..=base.seq + 3).collect());
    let found: Vec<CommitId> = since(graph, base.id)
        .await
        .iter()
        .map(|one| one.id)
        .collect();
    assert_eq!(found, told.iter().map(|one| one.id).collect::<Vec<_>>());
    assert!(largest_entry(&fixture).await <= ENTRY_BYTES);
    assert_eq!(contents(&fixture.reopened().await, "main").await.len(), 21);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_is_small_however_many_rows_and_tables_it_is_about() {
    // Rows: listed in the entry, beside it, or not at all.
    let fixture = Fixture::in_memory().await;
    for (count, from) in [(1_000, 0), (20_000, 1_000), (70_000, 21_000)] {
        let line =
            |number| format!("{{\"type\":\"Team\",\"data\":{{\"name\":\"team {number}\"}}}}\n");
        let lines: String = (from..from + count).map(line).collect();
        let lines = std::io::Cursor::new(lines);
        let options = LoadOptions::default();
        load(&fixture.graph, &main(), LoadMode::Append, lines, options)
            .await
            .unwrap();
    }
    assert!(largest_entry(&fixture).await <= ENTRY_BYTES / 8);
    // Tables: all that it is about, with a row each.
    let tables = 500;
    let node = |number| format!("node Something{number} {{ name: String @key }}\n");
    let fixture = Fixture::of(&(0..tables).map(node).collect::<String>()).await;
    let mut transaction = begin(&fixture.graph, "main").await;
    for number in 0..tables {
        let name = format!("something{number}");
        insert(
            &mut transaction,
            &name,
            &[&[None, Some("a name as long as a ulid")]],
        )
        .await
        .unwrap();
    }
    commit(transaction).await.unwrap();
    let largest = largest_entry(&fixture).await;
    assert!(largest <= ENTRY_BYTES, "{largest}");
}
