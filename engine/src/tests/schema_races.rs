//! Migrations that rows are written beside, whoever is first: every row of the outcome has the
//! shape and keeps the rules of the schema that came of it, and what is only said of a schema
//! is in nobody's way.

use super::meeting::held_back;
use super::migrations::{changed, migrate};
use super::pairs::{code, write};
use super::*;

#[derive(Clone, Copy)]
struct Race {
    /// What is replaced in the schema.
    change: &'static [(&'static str, &'static str)],
    /// What is written meanwhile.
    writer: &'static str,
    /// What the migration is told if the rows were first, and the writer if it was not.
    told: (&'static str, &'static str),
    /// A column, if the rows were first and the migration came through.
    left: (&'static str, &'static [&'static str]),
}

const INSERT: &str = "add person - new 5 -";
const UPDATE: &str = "set person ada ada 77 -";
const DEFAULT: (&str, &str) = ("email: String?", "level: I64 @default(7)\n email: String?");
const RENAME: &[(&str, &str)] = &[
    ("age: I64?", "years: I64? @rename_from(\"age\")"),
    ("@range(age,", "@range(years,"),
];

const RACES: [Race; 15] = [
    race(
        &[("age: I64?", "age: I64? @unique")],
        INSERT,
        ("ok", "40001"),
        ("age", &["30", "31", "5"]),
    ),
    race(
        &[("age: I64?", "age: I64? @unique")],
        "set person ada ada 31 -",
        ("23505", "40001"),
        NOTHING,
    ),
    race(
        &[("0..150", "0..60")],
        INSERT,
        ("ok", "40001"),
        ("age", &["30", "31", "5"]),
    ),
    race(&[("0..150", "0..60")], UPDATE, ("23514", "40001"), NOTHING),
    race(
        &[("age: I64?", "age: I64")],
        "add person - new - -",
        ("23502", "40001"),
        NOTHING,
    ),
    race(
        &[DEFAULT],
        INSERT,
        ("ok", "40001"),
        ("level", &["7", "7", "7"]),
    ),
    race(&[DEFAULT], UPDATE, ("ok", "40001"), ("level", &["7", "7"])),
    race(
        &[("    email: String? @unique\n", "")],
        INSERT,
        ("ok", "40001"),
        ("age", &["30", "31", "5"]),
    ),
    race(
        &[("    email: String? @unique\n", "")],
        UPDATE,
        ("ok", "40001"),
        ("age", &["31", "77"]),
    ),
    race(RENAME, INSERT, ("ok", "ok"), ("years", &["30", "31", "5"])),
    race(RENAME, UPDATE, ("ok", "ok"), ("years", &["31", "77"])),
    race(
        &[("age: I64?", "age: I64? @index")],
        INSERT,
        ("ok", "ok"),
        ("age", &["30", "31", "5"]),
    ),
    race(
        &[("age: I64?", "age: I64? @index")],
        UPDATE,
        ("ok", "ok"),
        ("age", &["31", "77"]),
    ),
    race(
        &[("node Person {", "node Person @description(\"who\") {")],
        INSERT,
        ("ok", "ok"),
        ("age", &["30", "31", "5"]),
    ),
    race(
        &[("node Person {", "node Person @description(\"who\") {")],
        UPDATE,
        ("ok", "ok"),
        ("age", &["31", "77"]),
    ),
];

const NOTHING: (&str, &[&str]) = ("age", &[]);

const fn race(
    change: &'static [(&'static str, &'static str)],
    writer: &'static str,
    told: (&'static str, &'static str),
    left: (&'static str, &'static [&'static str]),
) -> Race {
    Race {
        change,
        writer,
        told,
        left,
    }
}

/// Two processes; the second has everything ready when the first takes the slot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_and_migrations_that_meet_end_in_rows_that_keep_the_schema() {
    for race in RACES {
        let schema = changed(race.change);
        for rows_first in [true, false] {
            let fixture = Fixture::in_memory().await;
            let graph = &fixture.graph;
            write(
                graph,
                "main",
                "add person - ada 30 -; add person - bob 31 -",
            )
            .await
            .unwrap();
            let (late, hold) = held_back(&fixture).await;
            hold.arm();
            let second = tokio::spawn({
                let schema = schema.clone();
                async move {
                    match rows_first {
                        true => migrate(&late, &schema).await.map(drop),
                        false => write(&late, "main", race.writer).await,
                    }
                }
            });
            hold.reached().await;
            match rows_first {
                true => write(graph, "main", race.writer).await.unwrap(),
                false => drop(migrate(graph, &schema).await.unwrap()),
            }
            hold.let_go();
            let told = code(&second.await.unwrap());
            let name = format!("{:?}, {}", race.change, race.writer);
            let snapshot = fixture.reopened().await.snapshot("main").await.unwrap();
            if !rows_first {
                assert_eq!(told, race.told.1, "{name}");
                assert_eq!(snapshot.schema().source, schema);
                continue;
            }
            assert_eq!(told, race.told.0, "{name}");
            let migrated = told == "ok";
            assert_eq!(snapshot.schema().source == schema, migrated);
            if migrated {
                let (name, values) = race.left;
                assert_eq!(column(&snapshot, "person", name).await, values);
            }
        }
    }
}

/// Rows that are locked are seen under a definition, as written ones are.
#[tokio::test]
async fn locked_rows_conflict_with_another_definition_of_them() {
    for (change, conflict) in [
        (("    email: String? @unique\n", ""), true),
        (("age: I64?", "age: I64? @index"), false),
    ] {
        let fixture = Fixture::in_memory().await;
        let graph = &fixture.graph;
        add_people(graph, "main", &["ada"]).await.unwrap();
        let mut locker = begin(graph, "main").await;
        let person = table(&locker.snapshot(), "person");
        locker
            .lock(person, vec!["ada".to_owned()], LockStrength::Share)
            .unwrap();
        insert(&mut locker, "team", &[&[None, Some("red")]])
            .await
            .unwrap();
        migrate(graph, &changed(&[change])).await.unwrap();
        let told = code(&commit(locker).await.map(drop));
        assert_eq!(told, if conflict { "40001" } else { "ok" });
    }
}
