use std::sync::atomic::{AtomicBool, Ordering};

use futures::TryStreamExt;

use super::*;
use crate::commit::ancestry::Ancestors;
use crate::error::{ConstraintKind, Error};
use crate::storage::{Fault, Faults, Operation};

fn violated(error: Error) -> (ConstraintKind, String) {
    match error {
        Error::Constraint(violation) => (
            violation.kind,
            violation.constraint.clone().unwrap_or_default(),
        ),
        other => panic!("expected a constraint, got {other:?}"),
    }
}

#[tokio::test]
async fn a_commit_is_seen_by_everyone_and_an_open_transaction_by_nobody() {
    let fixture = Fixture::on_disk().await;
    let graph = &fixture.graph;
    let mut transaction = begin(graph, "main").await;
    insert(
        &mut transaction,
        "person",
        &[&[None, Some("ada"), Some("36"), None]],
    )
    .await
    .unwrap();
    assert_eq!(
        column(&transaction.snapshot(), "person", "name").await,
        ["ada"]
    );
    assert!(people(graph, "main").await.is_empty());
    let info = commit(transaction).await.unwrap().unwrap();
    assert_eq!((info.inserted, info.updated, info.deleted), (1, 0, 0));
    assert_eq!(people(graph, "main").await, ["ada"]);
    assert_eq!(people(&fixture.reopened().await, "main").await, ["ada"]);
}

#[tokio::test]
async fn dropping_a_transaction_leaves_no_trace() {
    let fixture = Fixture::in_memory().await;
    let before = fixture.store.list_all("").await.unwrap();
    let mut transaction = begin(&fixture.graph, "main").await;
    insert(
        &mut transaction,
        "person",
        &[&[None, Some("ada"), None, None]],
    )
    .await
    .unwrap();
    drop(transaction);
    assert_eq!(fixture.store.list_all("").await.unwrap(), before);
}

#[tokio::test]
async fn rows_are_updated_and_deleted_with_their_edges() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada", "bob", "eve"])
        .await
        .unwrap();
    let mut transaction = begin(graph, "main").await;
    insert(
        &mut transaction,
        "knows",
        &[
            &[Some("k1"), Some("ada"), Some("bob"), None],
            &[Some("k2"), Some("bob"), Some("eve"), Some("7")],
            &[Some("k3"), Some("ada"), Some("ada"), None],
        ],
    )
    .await
    .unwrap();
    commit(transaction).await.unwrap();

    let mut transaction = begin(graph, "main").await;
    let person = transaction
        .snapshot()
        .schema()
        .table("person")
        .unwrap()
        .clone();
    transaction
        .update(
            person.id,
            rows(&person, &[&[Some("eve"), Some("eve"), Some("77"), None]]),
        )
        .await
        .unwrap();
    let deleted = transaction
        .delete(person.id, &["bob".to_owned(), "nobody".to_owned()])
        .await
        .unwrap();
    assert_eq!((deleted.nodes, deleted.edges), (1, 2));
    let info = commit(transaction).await.unwrap().unwrap();
    assert_eq!((info.inserted, info.updated, info.deleted), (0, 1, 3));
    let snapshot = graph.snapshot("main").await.unwrap();
    assert_eq!(column(&snapshot, "person", "age").await, ["30", "77"]);
    assert_eq!(column(&snapshot, "knows", "id").await, ["k3"]);
    assert_eq!(people(graph, "main~1").await, ["ada", "bob", "eve"]);
}

#[tokio::test]
async fn every_rule_between_rows_is_checked() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada", "bob"]).await.unwrap();
    let mut transaction = begin(graph, "main").await;
    let again = insert(
        &mut transaction,
        "person",
        &[&[None, Some("ada"), None, None]],
    )
    .await;
    assert_eq!(
        violated(again.unwrap_err()),
        (ConstraintKind::Unique, "person_name_key".to_owned())
    );
    let twice = insert(
        &mut transaction,
        "person",
        &[
            &[None, Some("cy"), None, None],
            &[None, Some("cy"), None, None],
        ],
    )
    .await;
    assert_eq!(violated(twice.unwrap_err()).0, ConstraintKind::Unique);
    insert(
        &mut transaction,
        "person",
        &[&[None, Some("dan"), None, Some("d@x")]],
    )
    .await
    .unwrap();
    let email = insert(
        &mut transaction,
        "person",
        &[&[None, Some("eli"), None, Some("d@x")]],
    )
    .await;
    assert_eq!(
        violated(email.unwrap_err()),
        (ConstraintKind::Unique, "person_email_key".to_owned())
    );
    let nowhere = insert(
        &mut transaction,
        "knows",
        &[&[None, Some("ada"), Some("zoe"), None]],
    )
    .await;
    assert_eq!(
        violated(nowhere.unwrap_err()),
        (ConstraintKind::ForeignKey, "knows_dst_fkey".to_owned())
    );
    insert(
        &mut transaction,
        "team",
        &[&[None, Some("a")], &[None, Some("b")], &[None, Some("c")]],
    )
    .await
    .unwrap();
    insert(
        &mut transaction,
        "leads",
        &[
            &[None, Some("ada"), Some("a")],
            &[None, Some("ada"), Some("b")],
        ],
    )
    .await
    .unwrap();
    let third = insert(
        &mut transaction,
        "leads",
        &[&[None, Some("ada"), Some("c")]],
    )
    .await;
    assert_eq!(
        violated(third.unwrap_err()),
        (ConstraintKind::Check, "leads_card".to_owned())
    );
    // None of the failed statements left anything behind.
    commit(transaction).await.unwrap();
    assert_eq!(people(graph, "main").await, ["ada", "bob", "dan"]);
    let snapshot = graph.snapshot("main").await.unwrap();
    assert_eq!(column(&snapshot, "leads", "dst").await, ["a", "b"]);
}

#[tokio::test]
async fn a_key_can_move_within_one_transaction() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada"]).await.unwrap();
    let mut transaction = begin(graph, "main").await;
    let person = table(&transaction.snapshot(), "person");
    transaction
        .delete(person, &["ada".to_owned()])
        .await
        .unwrap();
    insert(
        &mut transaction,
        "person",
        &[&[None, Some("ada"), Some("1"), None]],
    )
    .await
    .unwrap();
    let info = commit(transaction).await.unwrap().unwrap();
    assert_eq!((info.inserted, info.updated, info.deleted), (0, 1, 0));
    let snapshot = graph.snapshot("main").await.unwrap();
    assert_eq!(column(&snapshot, "person", "age").await, ["1"]);
}

#[tokio::test]
async fn a_savepoint_brings_everything_back() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada", "bob"]).await.unwrap();
    let mut transaction = begin(graph, "main").await;
    let person = table(&transaction.snapshot(), "person");
    insert(
        &mut transaction,
        "person",
        &[&[None, Some("cy"), None, None]],
    )
    .await
    .unwrap();
    let savepoint = transaction.savepoint();
    transaction
        .delete(person, &["ada".to_owned(), "cy".to_owned()])
        .await
        .unwrap();
    insert(
        &mut transaction,
        "person",
        &[&[None, Some("dan"), None, None]],
    )
    .await
    .unwrap();
    assert_eq!(
        column(&transaction.snapshot(), "person", "name").await,
        ["bob", "dan"]
    );
    transaction.rollback_to(&savepoint);
    assert_eq!(
        column(&transaction.snapshot(), "person", "name").await,
        ["ada", "bob", "cy"]
    );
    commit(transaction).await.unwrap();
    assert_eq!(people(graph, "main").await, ["ada", "bob", "cy"]);
}

#[tokio::test]
async fn disjoint_rows_rebase_and_the_same_row_conflicts() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada", "bob"]).await.unwrap();
    let person = graph
        .snapshot("main")
        .await
        .unwrap()
        .schema()
        .table("person")
        .unwrap()
        .clone();
    let set_age = |name: &'static str, age: &'static str| {
        let person = person.clone();
        async move {
            let mut transaction = begin(graph, "main").await;
            transaction
                .update(
                    person.id,
                    rows(&person, &[&[Some(name), Some(name), Some(age), None]]),
                )
                .await
                .unwrap();
            transaction
        }
    };
    let first = set_age("ada", "1").await;
    let second = set_age("bob", "2").await;
    let third = set_age("ada", "3").await;
    commit(first).await.unwrap();
    commit(second).await.unwrap();
    let lost = commit(third).await.unwrap_err();
    assert!(matches!(&lost, Error::Conflict { table, id, .. } if table == "person" && id == "ada"));
    let snapshot = graph.snapshot("main").await.unwrap();
    assert_eq!(column(&snapshot, "person", "age").await, ["1", "2"]);
}

#[tokio::test]
async fn an_edge_to_a_node_that_others_deleted_conflicts_whoever_is_first() {
    for edge_first in [true, false] {
        let fixture = Fixture::in_memory().await;
        let graph = &fixture.graph;
        add_people(graph, "main", &["ada", "bob"]).await.unwrap();
        let mut edge = begin(graph, "main").await;
        insert(
            &mut edge,
            "knows",
            &[&[None, Some("ada"), Some("bob"), None]],
        )
        .await
        .unwrap();
        let mut delete = begin(graph, "main").await;
        let person = table(&delete.snapshot(), "person");
        delete.delete(person, &["bob".to_owned()]).await.unwrap();
        let (first, second) = if edge_first {
            (edge, delete)
        } else {
            (delete, edge)
        };
        commit(first).await.unwrap();
        assert!(matches!(commit(second).await, Err(Error::Conflict { .. })));
        let snapshot = graph.snapshot("main").await.unwrap();
        let nodes = column(&snapshot, "person", "name").await;
        let edges = column(&snapshot, "knows", "dst").await;
        assert_eq!(edges.len(), if edge_first { 1 } else { 0 });
        assert!(
            edges.iter().all(|end| nodes.contains(end)),
            "no edge to nowhere"
        );
    }
}

#[tokio::test]
async fn one_key_inserted_by_two_is_a_unique_violation() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let mut first = begin(graph, "main").await;
    insert(&mut first, "person", &[&[None, Some("ada"), None, None]])
        .await
        .unwrap();
    let mut second = begin(graph, "main").await;
    insert(&mut second, "person", &[&[None, Some("ada"), None, None]])
        .await
        .unwrap();
    commit(first).await.unwrap();
    assert_eq!(
        violated(commit(second).await.unwrap_err()).0,
        ConstraintKind::Unique
    );
}

#[tokio::test]
async fn card_is_kept_against_concurrent_edges() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada"]).await.unwrap();
    let mut teams = begin(graph, "main").await;
    insert(
        &mut teams,
        "team",
        &[&[None, Some("a")], &[None, Some("b")], &[None, Some("c")]],
    )
    .await
    .unwrap();
    insert(&mut teams, "leads", &[&[None, Some("ada"), Some("a")]])
        .await
        .unwrap();
    commit(teams).await.unwrap();
    let mut first = begin(graph, "main").await;
    insert(&mut first, "leads", &[&[None, Some("ada"), Some("b")]])
        .await
        .unwrap();
    let mut second = begin(graph, "main").await;
    insert(&mut second, "leads", &[&[None, Some("ada"), Some("c")]])
        .await
        .unwrap();
    commit(first).await.unwrap();
    assert!(matches!(commit(second).await, Err(Error::Conflict { .. })));
}

#[tokio::test]
async fn truncate_empties_and_conflicts_with_any_change() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada", "bob"]).await.unwrap();
    let mut transaction = begin(graph, "main").await;
    let person = table(&transaction.snapshot(), "person");
    insert(
        &mut transaction,
        "knows",
        &[&[None, Some("ada"), Some("bob"), None]],
    )
    .await
    .unwrap();
    assert!(matches!(
        transaction.truncate(person, false).await,
        Err(Error::Unsupported { .. })
    ));
    let deleted = transaction.truncate(person, true).await.unwrap();
    assert_eq!((deleted.nodes, deleted.edges), (2, 1));
    add_people(graph, "main", &["cy"]).await.unwrap();
    assert!(matches!(
        commit(transaction).await,
        Err(Error::Conflict { .. })
    ));
    assert_eq!(people(graph, "main").await, ["ada", "bob", "cy"]);
}

#[tokio::test]
async fn many_small_commits_leave_few_files_and_every_row() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let mut expected = Vec::new();
    for number in 0..150 {
        let name = format!("p{number:03}");
        add_people(graph, "main", &[name.as_str()]).await.unwrap();
        expected.push(name);
    }
    let mut transaction = begin(graph, "main").await;
    let person = table(&transaction.snapshot(), "person");
    transaction
        .delete(person, &["p007".to_owned(), "p149".to_owned()])
        .await
        .unwrap();
    commit(transaction).await.unwrap();
    expected.retain(|name| name != "p007" && name != "p149");
    assert_eq!(people(graph, "main").await, expected);
    let snapshot = fixture.reopened().await.snapshot("main").await.unwrap();
    assert_eq!(column(&snapshot, "person", "name").await, expected);
    let chunks = snapshot
        .table(person)
        .unwrap()
        .chunks()
        .await
        .unwrap()
        .len();
    assert!(chunks < 70, "{chunks} files for 150 rows");
    let commits: Vec<_> = graph
        .commits("main", Ancestors::All)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(commits.len(), 152);
    assert!(
        commits
            .windows(2)
            .all(|pair| pair[0].created_at > pair[1].created_at)
    );
    assert_eq!(people(graph, "main~100").await.len(), 51);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_commits_are_grouped_and_none_is_lost() {
    let fixture = Fixture::on_disk().await;
    let other = fixture.reopened().await;
    let writers = (0..8).map(|writer| {
        // Two of the eight write through another process's view of the graph.
        let graph = if writer < 6 {
            fixture.graph.clone()
        } else {
            other.clone()
        };
        tokio::spawn(async move {
            for number in 0..10 {
                let name = format!("w{writer}-{number}");
                add_people(&graph, "main", &[name.as_str()]).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let found = people(&fixture.reopened().await, "main").await;
    assert_eq!(found.len(), 80);
    let commits: Vec<_> = fixture
        .graph
        .commits("main", Ancestors::All)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(commits.len(), 81);
    for pair in commits.windows(2) {
        assert_eq!(pair[0].parents, [pair[1].id], "history is one line");
    }
}

#[tokio::test]
async fn a_serializable_transaction_depends_on_what_it_read() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let options = TransactionOptions {
        actor: "tester".to_owned(),
        serializable: true,
        ..TransactionOptions::default()
    };
    let on = main();
    let begin = || graph.begin(&on, options.clone());
    add_people(graph, "main", &["ada"]).await.unwrap();

    // Each reads what the other writes: one of them has to give way.
    let (mut left, mut right) = (begin().await.unwrap(), begin().await.unwrap());
    assert_eq!(
        column(&left.snapshot(), "team", "name").await,
        [] as [&str; 0]
    );
    assert_eq!(column(&right.snapshot(), "person", "name").await, ["ada"]);
    insert(&mut left, "person", &[&[None, Some("bob"), None, None]])
        .await
        .unwrap();
    insert(&mut right, "team", &[&[None, Some("red")]])
        .await
        .unwrap();
    commit(left).await.unwrap();
    let error = commit(right).await.unwrap_err();
    assert!(
        matches!(&error, Error::Conflict { table, .. } if table == "person"),
        "{error}"
    );

    // What it wrote and the rules that were checked for it are no reads.
    let mut left = begin().await.unwrap();
    insert(&mut left, "person", &[&[None, Some("cy"), None, None]])
        .await
        .unwrap();
    add_people(graph, "main", &["dan"]).await.unwrap();
    commit(left).await.unwrap();
    assert_eq!(people(graph, "main").await, ["ada", "bob", "cy", "dan"]);

    // Who writes nothing never fails.
    let reader = begin().await.unwrap();
    assert_eq!(column(&reader.snapshot(), "person", "name").await.len(), 4);
    add_people(graph, "main", &["eve"]).await.unwrap();
    assert_eq!(reader.commit(CommitMessage::default()).await.unwrap(), None);
}

#[tokio::test]
async fn locked_rows_conflict_with_other_locks_and_writes() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let (update, share) = (LockStrength::Update, LockStrength::Share);
    add_people(graph, "main", &["ada", "bob"]).await.unwrap();
    // (left locks ada, right locks this person so, conflict?)
    let cases = [
        (update, "ada", update, true),
        (update, "bob", update, false),
        (update, "ada", share, false),
        (share, "ada", share, false),
        (share, "ada", update, false),
    ];
    let transaction = async |person: &str, strength, team: &str| {
        let mut transaction = begin(graph, "main").await;
        let people = table(&transaction.snapshot(), "person");
        transaction
            .lock(people, vec![person.to_owned()], strength)
            .unwrap();
        insert(&mut transaction, "team", &[&[None, Some(team)]])
            .await
            .unwrap();
        transaction
    };
    for (number, (strength, person, other, conflict)) in cases.into_iter().enumerate() {
        let left = transaction("ada", strength, &format!("left{number}")).await;
        let right = transaction(person, other, &format!("right{number}")).await;
        // From another process, from this one's queue: the log decides in both.
        commit(left).await.unwrap();
        let outcome = commit(right).await;
        assert_eq!(outcome.is_err(), conflict, "case {number}: {outcome:?}");
    }
    // A row written in the meantime is as it was no more, however weak the lock.
    for strength in [update, share] {
        let locked = transaction("ada", strength, "late").await;
        let mut writer = begin(graph, "main").await;
        let people = table(&writer.snapshot(), "person");
        writer.delete(people, &["ada".to_owned()]).await.unwrap();
        commit(writer).await.unwrap();
        let error = commit(locked).await.unwrap_err();
        assert!(
            matches!(&error, Error::Conflict { id, .. } if id == "ada"),
            "{error}"
        );
        add_people(graph, "main", &["ada"]).await.unwrap();
    }
    // A lock that a savepoint took back holds nothing; one that writes nothing commits nothing.
    let mut left = transaction("bob", share, "calm").await;
    let savepoint = left.savepoint();
    let people = table(&left.snapshot(), "person");
    left.lock(people, vec!["ada".to_owned()], update).unwrap();
    left.rollback_to(&savepoint);
    let idle = begin(graph, "main").await;
    idle.lock(people, vec!["bob".to_owned()], update).unwrap();
    assert_eq!(idle.commit(CommitMessage::default()).await.unwrap(), None);
    let right = transaction("ada", update, "calmer").await;
    commit(right).await.unwrap();
    commit(left).await.unwrap();
}

#[tokio::test]
async fn many_locked_rows_are_listed_beside_the_entry() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let names: Vec<String> = (0..5_000)
        .map(|number| format!("person-{number}"))
        .collect();
    let refs: Vec<&str> = names.iter().map(String::as_str).collect();
    add_people(graph, "main", &refs).await.unwrap();
    let (mut left, mut right) = (begin(graph, "main").await, begin(graph, "main").await);
    let people = table(&left.snapshot(), "person");
    left.lock(people, names.clone(), LockStrength::Update)
        .unwrap();
    insert(&mut left, "team", &[&[None, Some("red")]])
        .await
        .unwrap();
    right
        .lock(people, vec![names[4_321].clone()], LockStrength::Update)
        .unwrap();
    insert(&mut right, "team", &[&[None, Some("blue")]])
        .await
        .unwrap();
    commit(left).await.unwrap();
    let error = commit(right).await.unwrap_err();
    assert!(
        matches!(&error, Error::Conflict { id, .. } if *id == names[4_321]),
        "{error}"
    );
    let many = (0..70_000).map(|number| number.to_string()).collect();
    let refused = begin(graph, "main")
        .await
        .lock(people, many, LockStrength::Share);
    assert!(
        matches!(refused, Err(Error::LimitExceeded { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_expected_head_turns_rebasing_off() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let first = add_people(graph, "main", &["ada"]).await.unwrap().id;
    let expecting = |head| CommitMessage {
        expected_head: Some(head),
        ..CommitMessage::default()
    };
    let (mut left, mut right) = (begin(graph, "main").await, begin(graph, "main").await);
    insert(&mut left, "team", &[&[None, Some("red")]])
        .await
        .unwrap();
    insert(&mut right, "team", &[&[None, Some("blue")]])
        .await
        .unwrap();
    // Both at once, so that they may share one log entry: still only one of them comes right
    // after the head that both expect.
    let (left, right) = tokio::join!(
        left.commit(expecting(first)),
        right.commit(expecting(first))
    );
    let (won, lost) = match (left, right) {
        (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won.unwrap(), lost),
        both => panic!("one of them must win: {both:?}"),
    };
    let named = format!("the head {first}");
    assert!(
        matches!(&lost, Error::Conflict { expected, .. } if *expected == named),
        "{lost:?}"
    );
    let mut next = begin(graph, "main").await;
    insert(&mut next, "team", &[&[None, Some("green")]])
        .await
        .unwrap();
    next.commit(expecting(won.id)).await.unwrap();
}

/// A process for which every request takes a while, and reading tables much longer.
#[derive(Debug)]
struct Slow {
    tables: u64,
}

#[async_trait::async_trait]
impl Faults for Slow {
    async fn on(&self, operation: Operation, key: &str) -> Fault {
        let reads_table = operation == Operation::Get && !key.contains("_graph");
        let pause = if reads_table { self.tables } else { 3 };
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        Fault::None
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_process_gets_its_turn_among_fast_ones() {
    let fixture = Fixture::in_memory().await;
    // What one of them loses by a lost slot, rebasing, takes it longer than the other needs
    // for its next commit.
    let process = async |tables| {
        let store = fixture.store.with_faults(Arc::new(Slow { tables }));
        Graph::open(store, resources()).await.unwrap()
    };
    let (slow, quick) = (process(30).await, process(3).await);
    let done = Arc::new(AtomicBool::new(false));
    let storm = {
        let done = done.clone();
        tokio::spawn(async move {
            let mut count = 0;
            while !done.load(Ordering::SeqCst) {
                let name = format!("quick{count}");
                add_people(&quick, "main", &[name.as_str()]).await.unwrap();
                count += 1;
            }
            count
        })
    };
    for number in 0..5 {
        let name = format!("slow{number}");
        add_people(&slow, "main", &[name.as_str()]).await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    let others = storm.await.unwrap();
    let graph = fixture.reopened().await;
    let commits: Vec<_> = graph
        .commits("main", Ancestors::All)
        .try_collect()
        .await
        .unwrap();
    let asking = "who asks to go first makes no commit by it";
    assert_eq!(commits.len(), others + 6, "{asking}");
    assert_eq!(people(&graph, "main").await.len(), others + 5);
}

#[tokio::test]
async fn an_optimistic_transaction_is_checked_when_it_is_published() {
    let fixture = Fixture::in_memory().await;
    let other = fixture.reopened().await;
    add_people(&fixture.graph, "main", &["ada"]).await.unwrap();
    add_people(&other, "main", &["bob"]).await.unwrap();
    let options = TransactionOptions {
        actor: "tester".to_owned(),
        optimistic: true,
        ..TransactionOptions::default()
    };
    let mut stale = fixture.graph.begin(&main(), options.clone()).await.unwrap();
    assert!(!stale.is_current().await.unwrap());
    insert(&mut stale, "person", &[&[None, Some("cy"), None, None]])
        .await
        .unwrap();
    commit(stale).await.unwrap();
    add_people(&other, "main", &["dan"]).await.unwrap();
    let mut stale = fixture.graph.begin(&main(), options).await.unwrap();
    insert(&mut stale, "person", &[&[None, Some("dan"), None, None]])
        .await
        .unwrap();
    assert_eq!(
        violated(commit(stale).await.unwrap_err()).0,
        ConstraintKind::Unique
    );
}

#[tokio::test]
async fn a_taken_key_is_told_before_an_id_that_is_not_its_key() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada"]).await.unwrap();
    let mut transaction = begin(graph, "main").await;
    let taken = insert(
        &mut transaction,
        "person",
        &[&[Some("ada"), Some("eve"), None, None]],
    )
    .await;
    assert_eq!(violated(taken.unwrap_err()).0, ConstraintKind::Unique);
    let wrong = insert(
        &mut transaction,
        "person",
        &[&[Some("zoe"), Some("eve"), None, None]],
    )
    .await;
    assert_eq!(
        violated(wrong.unwrap_err()),
        (ConstraintKind::Check, "person_id_is_key".to_owned())
    );
    let nothing = insert(
        &mut transaction,
        "knows",
        &[&[None, None, Some("ada"), None]],
    )
    .await;
    assert_eq!(violated(nothing.unwrap_err()).0, ConstraintKind::NotNull);
    assert!(transaction.is_empty());
}
