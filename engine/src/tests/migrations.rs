//! Migrations: one commit each, checked against the rows, in nobody's way.

use super::*;
use crate::commit::HistoryKind;
use crate::commit::ancestry::Ancestors;
use crate::error::{ConstraintKind, Error};
use crate::format::CommitKind;

/// The schema of the fixture with pieces of it replaced.
pub(super) fn changed(pairs: &[(&str, &str)]) -> String {
    let mut source = SCHEMA.to_owned();
    for (from, to) in pairs {
        assert!(source.contains(from), "{from}");
        source = source.replacen(from, to, 1);
    }
    source
}

pub(super) async fn migrate(graph: &Graph, source: &str) -> Result<Option<CommitInfo>> {
    let migrated = graph.migrate(&main(), source, "tester", None).await?;
    Ok(migrated.commit)
}

async fn values(graph: &Graph, reference: &str, table: &str, name: &str) -> Vec<String> {
    column(&graph.snapshot(reference).await.unwrap(), table, name).await
}

/// The kind of the rule that refuses a migration.
async fn refused(graph: &Graph, source: &str) -> (ConstraintKind, String) {
    let before = graph.snapshot("main").await.unwrap().commit();
    let error = migrate(graph, source).await.unwrap_err();
    assert_eq!(graph.snapshot("main").await.unwrap().commit(), before);
    match error {
        Error::Constraint(violation) => (
            violation.kind,
            format!(
                "{violation}: {}",
                violation.detail.clone().unwrap_or_default()
            ),
        ),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_step_is_one_commit_that_other_processes_read() {
    let fixture = Fixture::on_disk().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada", "bob"]).await.unwrap();
    add_people(graph, "main", &["cyd"]).await.unwrap();
    let mut transaction = begin(graph, "main").await;
    let person = table(&transaction.snapshot(), "person");
    transaction
        .delete(person, &["bob".to_owned()])
        .await
        .unwrap();
    commit(transaction).await.unwrap();

    let source = changed(&[
        ("age: I64?", "years: I64? @rename_from(\"age\")"),
        (
            "@range(age, 0..150)",
            "nick: String?\n level: I64 @default(7)\n @range(years, 0..99)",
        ),
        ("email: String? @unique", ""),
        ("node Team", "node Club { name: String @key }\nnode Team"),
        (
            "edge Leads: Person -> Team @card(0..2)",
            "edge Runs: Person -> Team @card(0..1) @rename_from(\"Leads\")",
        ),
    ]);
    let info = migrate(graph, &source).await.unwrap().unwrap();
    assert_eq!(info.kind, HistoryKind::Commit(CommitKind::Schema));
    // The same again changes nothing.
    assert!(migrate(graph, &source).await.unwrap().is_none());
    for graph in [graph.clone(), fixture.reopened().await] {
        assert_eq!(
            values(&graph, "main", "person", "years").await,
            ["30", "30"]
        );
        assert_eq!(
            values(&graph, "main", "person", "nick").await,
            ["NULL", "NULL"]
        );
        assert_eq!(values(&graph, "main", "person", "level").await, ["7", "7"]);
        assert_eq!(
            values(&graph, "main~1", "person", "age").await,
            ["30", "30"]
        );
        assert_eq!(
            values(&graph, "main~1", "person", "email").await,
            ["NULL", "NULL"]
        );
        let now = graph.snapshot("main").await.unwrap();
        assert!(now.schema().table("leads").is_none() && now.schema().table("runs").is_some());
        assert_eq!(now.table_named("club").unwrap().row_count(), 0);
    }
    // Rows of the new shape stand beside those of the old one, and are changed like them.
    let mut transaction = begin(graph, "main").await;
    insert(
        &mut transaction,
        "person",
        &[&[None, Some("eve"), Some("40"), Some("e"), Some("9")]],
    )
    .await
    .unwrap();
    insert(&mut transaction, "club", &[&[None, Some("chess")]])
        .await
        .unwrap();
    let person = transaction
        .snapshot()
        .schema()
        .table("person")
        .unwrap()
        .clone();
    transaction
        .update(
            person.id,
            rows(
                &person,
                &[&[Some("ada"), Some("ada"), Some("41"), Some("a"), Some("8")]],
            ),
        )
        .await
        .unwrap();
    commit(transaction).await.unwrap();
    let graph = fixture.reopened().await;
    assert_eq!(
        values(&graph, "main", "person", "years").await,
        ["30", "40", "41"]
    );
    assert_eq!(
        values(&graph, "main", "person", "nick").await,
        ["NULL", "a", "e"]
    );
    assert_eq!(
        values(&graph, "main", "person", "level").await,
        ["7", "8", "9"]
    );
}

#[tokio::test]
async fn rows_that_break_a_new_rule_refuse_it() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada", "bob"]).await.unwrap();
    let mut transaction = begin(graph, "main").await;
    insert(
        &mut transaction,
        "team",
        &[&[None, Some("red")], &[None, Some("blue")]],
    )
    .await
    .unwrap();
    insert(
        &mut transaction,
        "leads",
        &[
            &[None, Some("ada"), Some("red")],
            &[None, Some("ada"), Some("blue")],
        ],
    )
    .await
    .unwrap();
    commit(transaction).await.unwrap();
    let cases: [(&[(&str, &str)], ConstraintKind, &str); 7] = [
        (
            &[("age: I64?", "age: I64? @unique")],
            ConstraintKind::Unique,
            "could not create unique index \"person_age_key\": Key (age)=(30) is duplicated.",
        ),
        (
            &[("0..150", "31..150")],
            ConstraintKind::Check,
            "check constraint \"person_age_check\" of relation \"person\" is violated by some row",
        ),
        (
            &[("String? @unique", "String @unique")],
            ConstraintKind::NotNull,
            "column \"email\" of relation \"person\" contains null values",
        ),
        (
            &[("@card(0..2)", "@card(0..1)")],
            ConstraintKind::Check,
            "Node \"ada\" would have 2 edges",
        ),
        (
            &[("@card(0..2)", "@card(1..2)")],
            ConstraintKind::Check,
            "Node \"bob\" would have 0 edges",
        ),
        (
            &[(
                "edge Leads",
                "edge Likes: Person -> Person @card(1..)\nedge Leads",
            )],
            ConstraintKind::Check,
            "would have 0 edges of \"likes\"",
        ),
        (
            &[(
                "email: String?",
                "code: I64 @default(1) @unique\n email: String?",
            )],
            ConstraintKind::Unique,
            "Key (code)=(1) is duplicated.",
        ),
    ];
    for (pairs, kind, message) in cases {
        let (found, text) = refused(graph, &changed(pairs)).await;
        assert_eq!(found, kind, "{pairs:?}: {text}");
        assert!(text.contains(message), "{pairs:?}: {text}");
    }
    // Rows that are gone break nothing.
    let mut transaction = begin(graph, "main").await;
    let person = table(&transaction.snapshot(), "person");
    transaction
        .delete(person, &["ada".to_owned()])
        .await
        .unwrap();
    commit(transaction).await.unwrap();
    let source = changed(&[
        ("age: I64?", "age: I64 @unique"),
        ("@card(0..2)", "@card(0..1)"),
    ]);
    assert!(migrate(graph, &source).await.unwrap().is_some());
    let mut transaction = begin(graph, "main").await;
    let error = insert(
        &mut transaction,
        "person",
        &[&[None, Some("eve"), None, None]],
    )
    .await
    .unwrap_err();
    assert!(
        matches!(&error, Error::Constraint(violation) if violation.kind == ConstraintKind::NotNull),
        "{error}"
    );
}

#[tokio::test]
async fn what_no_step_leads_to_names_type_and_property() {
    let fixture = Fixture::in_memory().await;
    for (pairs, expected) in [
        (
            [("age: I64?", "age: String?"), ("@range(age, 0..150)", "")],
            "\"Person.age\" cannot be changed from I64 to String",
        ),
        (
            [
                ("name: String @key\n    age", "name: String\n    age"),
                ("@range", "@range"),
            ],
            "the key of \"Person\" cannot be changed",
        ),
    ] {
        let error = migrate(&fixture.graph, &changed(&pairs)).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn other_branches_are_neither_asked_nor_changed() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada"]).await.unwrap();
    graph
        .create_branch(&branch("review"), "main", "a")
        .await
        .unwrap();
    let source = changed(&[("    email: String? @unique\n", "")]);
    graph
        .migrate(&branch("review"), &source, "a", None)
        .await
        .unwrap();
    add_people(graph, "main", &["bob"]).await.unwrap();
    assert_eq!(values(graph, "main", "person", "email").await.len(), 2);
    let review = graph.snapshot("review").await.unwrap();
    assert!(
        review
            .schema()
            .table("person")
            .unwrap()
            .column("email")
            .is_none()
    );
    // A dropped name is free for another property.
    let source = source.replacen("age: I64?", "age: I64?\n email: I64?", 1);
    graph
        .migrate(&branch("review"), &source, "a", None)
        .await
        .unwrap();
    assert_eq!(values(graph, "review", "person", "email").await, ["NULL"]);
    // What was dropped is a branch away.
    graph
        .create_branch(&branch("restored"), "review~2", "a")
        .await
        .unwrap();
    assert_eq!(values(graph, "restored", "person", "email").await, ["NULL"]);
    assert!(
        graph
            .snapshot("restored")
            .await
            .unwrap()
            .schema()
            .table("person")
            .unwrap()
            .column("email")
            .is_some()
    );
}

/// Each migration against an open transaction, which commits after it.
#[tokio::test]
async fn who_wrote_rows_of_another_shape_is_told_to_run_again() {
    let shapes: [(&[(&str, &str)], bool); 8] = [
        (&[("age: I64?", "age: I64? @unique")], true),
        (
            &[("email: String?", "nick: String?\n email: String?")],
            true,
        ),
        (&[("    email: String? @unique\n", "")], true),
        (&[("0..150", "0..140")], true),
        // Reordered: rows are handed around by position.
        (
            &[(
                "    age: I64?\n    email: String? @unique\n",
                "    email: String? @unique\n    age: I64?\n",
            )],
            true,
        ),
        (&[("age: I64?", "age: I64? @index")], false),
        (
            &[("node Person {", "node Person @description(\"who\") {")],
            false,
        ),
        (&[("node Team", "node Club { x: I64? }\nnode Team")], false),
    ];
    for (pairs, lost) in shapes {
        for reopened in [false, true] {
            let fixture = Fixture::in_memory().await;
            let graph = &fixture.graph;
            add_people(graph, "main", &["ada"]).await.unwrap();
            let mut transaction = begin(graph, "main").await;
            insert(
                &mut transaction,
                "person",
                &[&[None, Some("new"), Some("5"), None]],
            )
            .await
            .unwrap();
            let other = if reopened {
                fixture.reopened().await
            } else {
                graph.clone()
            };
            migrate(&other, &changed(pairs)).await.unwrap();
            let outcome = commit(transaction).await;
            let there = values(graph, "main", "person", "name").await;
            if lost {
                assert!(outcome.unwrap_err().is_retryable(), "{pairs:?}");
                assert_eq!(there, ["ada"]);
            } else {
                outcome.unwrap();
                assert_eq!(there, ["ada", "new"]);
            }
        }
    }
}

/// A rename on one side and rows on the other do not meet: columns go by identity.
#[tokio::test]
async fn a_rename_takes_rows_that_were_written_meanwhile() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada"]).await.unwrap();
    let mut transaction = begin(graph, "main").await;
    insert(
        &mut transaction,
        "person",
        &[&[None, Some("bob"), Some("5"), None]],
    )
    .await
    .unwrap();
    let source = changed(&[
        ("node Person", "node Human @rename_from(\"Person\")"),
        ("age: I64?", "years: I64? @rename_from(\"age\")"),
        ("@range(age,", "@range(years,"),
        ("edge Knows: Person -> Person", "edge Knows: Human -> Human"),
        ("edge Leads: Person", "edge Leads: Human"),
    ]);
    migrate(graph, &source).await.unwrap();
    commit(transaction).await.unwrap();
    assert_eq!(values(graph, "main", "human", "years").await, ["30", "5"]);
}

/// The other order: rows are committed while a migration is on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_and_writers_of_two_processes_end_in_rows_that_keep_every_rule() {
    let fixture = Fixture::in_memory().await;
    add_people(&fixture.graph, "main", &["ada"]).await.unwrap();
    let other = fixture.reopened().await;
    let writer = tokio::spawn(async move {
        let mut written = 0;
        for number in 0..40 {
            let name = format!("p{number}");
            let mut transaction = begin(&other, "main").await;
            let width = transaction
                .snapshot()
                .schema()
                .table("person")
                .unwrap()
                .columns()
                .len();
            let age = (number % 160).to_string();
            let mut row = vec![None; width];
            row[1] = Some(name.as_str());
            row[2] = Some(age.as_str());
            if insert(&mut transaction, "person", &[&row]).await.is_err() {
                continue;
            }
            match commit(transaction).await {
                Ok(_) => written += 1,
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
        written
    });
    let mut source = SCHEMA.to_owned();
    let mut steps = 0;
    for number in 0..6 {
        source = source.replacen(
            "email:",
            &format!("n{number}: I64? @default({number})\n email:"),
            1,
        );
        migrate(&fixture.graph, &source).await.unwrap();
        steps += 1;
    }
    let written = writer.await.unwrap();
    let graph = fixture.reopened().await;
    assert_eq!(people(&graph, "main").await.len(), written + 1);
    let commits: Vec<CommitInfo> = graph
        .commits("main", Ancestors::All)
        .try_collect()
        .await
        .unwrap();
    let schemas = commits
        .iter()
        .filter(|commit| commit.kind == HistoryKind::Commit(CommitKind::Schema))
        .count();
    assert_eq!(schemas, steps + 1);
    for number in 0..6 {
        // Each row has the default or, written later without a value, NULL.
        let held = values(&graph, "main", "person", &format!("n{number}")).await;
        assert!(held.contains(&number.to_string()), "{held:?}");
    }
}

/// Two processes ask for different schemas at once: one after the other, each planned over
/// what the other left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_that_race_are_planned_again() {
    let fixture = Fixture::in_memory().await;
    let other = fixture.reopened().await;
    let (first, second) = (
        changed(&[("age: I64?", "age: I64?\n a: I64?")]),
        changed(&[("age: I64?", "age: I64?\n b: I64?")]),
    );
    let (one, two) = tokio::join!(migrate(&fixture.graph, &first), migrate(&other, &second));
    assert!(one.unwrap().is_some() && two.unwrap().is_some());
    let graph = fixture.reopened().await;
    let source = graph
        .snapshot("main")
        .await
        .unwrap()
        .schema()
        .source
        .clone();
    assert!(source == first || source == second);
    assert_eq!(
        graph
            .commits("main", Ancestors::All)
            .try_collect::<Vec<_>>()
            .await
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn a_required_property_may_become_nullable() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada"]).await.unwrap();
    let required = changed(&[("email:", "code: I64 @default(1)\n email:")]);
    migrate(graph, &required).await.unwrap();
    migrate(graph, &required.replacen("code: I64 ", "code: I64? ", 1))
        .await
        .unwrap();
    let mut transaction = begin(graph, "main").await;
    let row = [None, Some("bob"), Some("5"), None, None];
    insert(&mut transaction, "person", &[&row]).await.unwrap();
    commit(transaction).await.unwrap();
    let graph = fixture.reopened().await;
    assert_eq!(
        values(&graph, "main", "person", "code").await,
        ["1", "NULL"]
    );
}

/// What is only said of rows writes no file of rows.
#[tokio::test]
async fn rows_are_not_written_again() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada", "bob"]).await.unwrap();
    let data = || async {
        let all = fixture.store.list_all("nodes").await.unwrap();
        all.into_iter()
            .filter(|(key, _)| key.contains("/data/"))
            .count()
    };
    let before = data().await;
    let source = changed(&[
        (
            "age: I64?",
            "years: I64? @rename_from(\"age\")\n nick: String?",
        ),
        ("@range(age,", "@range(years,"),
    ]);
    migrate(graph, &source).await.unwrap();
    assert_eq!(data().await, before);
    migrate(
        graph,
        &source.replacen("nick: String?", "nick: String?\n n: I64 @default(1)", 1),
    )
    .await
    .unwrap();
    assert_eq!(data().await, before + 1);
}
