//! The change feed: what a consumer that applies it comes to have.

use std::collections::BTreeMap;

use super::*;
use crate::diff;
use crate::error::Error;
use crate::maintain::vacuum::VacuumOptions;

/// A consumer: the names of people and their ages, and how far it has come.
#[derive(Default)]
struct Consumer {
    rows: BTreeMap<String, String>,
    cursor: Option<String>,
    steps: usize,
}

impl Consumer {
    async fn follow(&mut self, graph: &Graph, branch: &str) -> Result<()> {
        let snapshot = graph.snapshot(branch).await?;
        let mut steps = graph.changes(&snapshot, self.cursor.as_deref()).await?;
        while let Some(step) = steps.try_next().await? {
            let person = step.after.schema().table("person").unwrap().id;
            let mut pages = diff::diff(&step.before, &step.after, person);
            while let Some(found) = pages.try_next().await? {
                for row in &found.rows {
                    match row.after {
                        None => self.rows.remove(&row.id),
                        Some(at) => {
                            let ages = found
                                .after
                                .column(2)
                                .as_primitive::<arrow::datatypes::Int64Type>();
                            self.rows
                                .insert(row.id.clone(), ages.value(at as usize).to_string())
                        }
                    };
                }
            }
            self.cursor = Some(step.cursor.to_string());
            self.steps += 1;
        }
        Ok(())
    }
}

async fn shown(graph: &Graph, branch: &str) -> BTreeMap<String, String> {
    let snapshot = graph.snapshot(branch).await.unwrap();
    let table = snapshot.table_named("person").unwrap();
    let names = people(graph, branch).await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = table.lookup(&names, &[0, 2]).await.unwrap();
    let ids = found.batch.column(0).as_string::<i32>();
    let ages = found
        .batch
        .column(1)
        .as_primitive::<arrow::datatypes::Int64Type>();
    (0..found.batch.num_rows())
        .map(|row| (ids.value(row).to_owned(), ages.value(row).to_string()))
        .collect()
}

#[tokio::test]
async fn a_consumer_from_the_beginning_has_what_the_branch_shows() {
    for seed in 1..=3u64 {
        let fixture = Fixture::in_memory().await;
        let graph = &fixture.graph;
        let mut dice = seed;
        let mut roll = |sides: usize| {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) as usize % sides
        };
        add_people(graph, "main", &["a", "b", "c"]).await.unwrap();
        graph
            .create_branch(&branch("x"), "main", "t")
            .await
            .unwrap();
        let (mut eager, mut lazy) = (Consumer::default(), Consumer::default());
        for step in 0..40 {
            match roll(6) {
                0 => {
                    let to = graph
                        .snapshot(["main", "x", "main~1"][roll(3)])
                        .await
                        .unwrap();
                    graph.reset_branch(&branch("x"), &to, "t").await.unwrap();
                }
                1 => {
                    add_people(graph, "main", &[&format!("m{step}")])
                        .await
                        .unwrap();
                }
                2 => {
                    graph.vacuum(VacuumOptions::default()).await.unwrap();
                }
                3 => {
                    let mut transaction = begin(graph, "x").await;
                    let person = table(&transaction.snapshot(), "person");
                    let names = people(graph, "x").await;
                    transaction
                        .delete(person, &names[..names.len().min(1)])
                        .await
                        .unwrap();
                    commit(transaction).await.unwrap();
                }
                _ => {
                    add_people(graph, "x", &[&format!("p{step}")])
                        .await
                        .unwrap();
                }
            }
            // A consumer that was restarted knows nothing but its cursor.
            eager.follow(&fixture.reopened().await, "x").await.unwrap();
            assert_eq!(
                eager.rows,
                shown(graph, "x").await,
                "seed {seed}, step {step}"
            );
        }
        lazy.follow(graph, "x").await.unwrap();
        assert_eq!(lazy.rows, eager.rows);
        assert_eq!(lazy.cursor, eager.cursor);
        let at_end = lazy.steps;
        lazy.follow(graph, "x").await.unwrap();
        assert_eq!(lazy.steps, at_end);
    }
}

#[tokio::test]
async fn a_cursor_holds_for_its_graph_and_its_branch_alone() {
    let (fixture, other) = (Fixture::in_memory().await, Fixture::in_memory().await);
    let graph = &fixture.graph;
    let first = add_people(graph, "main", &["a"]).await.unwrap();
    graph
        .create_branch(&branch("x"), "main", "t")
        .await
        .unwrap();
    let snapshot = graph.snapshot("x").await.unwrap();
    let cursor = graph.cursor(&snapshot).await.unwrap().to_string();
    let refused = async |graph: &Graph, branch: &str, since: &str| {
        let snapshot = graph.snapshot(branch).await.unwrap();
        matches!(
            graph.changes(&snapshot, Some(since)).await.err(),
            Some(Error::Invalid { .. })
        )
    };
    assert!(refused(graph, "main", &cursor).await);
    assert!(refused(&other.graph, "main", &cursor).await);
    graph.delete_branch(&branch("x"), true, "t").await.unwrap();
    graph
        .create_branch(&branch("x"), "main", "t")
        .await
        .unwrap();
    assert!(
        refused(graph, "x", &cursor).await,
        "another branch of the same name"
    );
    // A commit will do as well, if the branch has published it or began with it.
    let mut consumer = Consumer {
        cursor: Some(first.id.to_string()),
        ..Consumer::default()
    };
    add_people(graph, "x", &["b"]).await.unwrap();
    consumer.follow(graph, "x").await.unwrap();
    assert_eq!(consumer.rows.into_keys().collect::<Vec<_>>(), ["b"]);
    let later = add_people(graph, "main", &["c"]).await.unwrap();
    assert!(refused(graph, "x", &later.id.to_string()).await);
}

#[tokio::test]
async fn what_vacuum_has_removed_is_an_error_and_never_a_gap() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let early = graph
        .cursor(&graph.snapshot("main").await.unwrap())
        .await
        .unwrap();
    add_people(graph, "main", &["a"]).await.unwrap();
    let late = graph
        .cursor(&graph.snapshot("main").await.unwrap())
        .await
        .unwrap();
    vacuum(graph).await;
    add_people(graph, "main", &["b"]).await.unwrap();
    let graph = fixture.reopened().await;
    let mut consumer = Consumer {
        cursor: Some(early.to_string()),
        ..Consumer::default()
    };
    let error = consumer.follow(&graph, "main").await.unwrap_err();
    assert!(
        matches!(&error, Error::Expired { hint, .. } if hint.contains("changes_cursor()")),
        "{error}"
    );
    consumer.cursor = Some(late.to_string());
    consumer.follow(&graph, "main").await.unwrap();
    assert_eq!(consumer.rows.into_keys().collect::<Vec<_>>(), ["b"]);
}
