//! Rows that everybody writes at once.

use std::collections::BTreeSet;

use super::*;
use crate::error::Error;

const PROCESSES: usize = 3;
const CLIENTS: usize = 4;
const INCREMENTS: usize = 6;

/// One more, whatever it is by then; the value that it came to have.
async fn increment(graph: &Graph) -> Result<i64> {
    let mut transaction = begin(graph, "main").await;
    let snapshot = transaction.snapshot();
    let counter = snapshot.table_named("person").unwrap();
    let found = counter.lookup(&["counter"], &[2]).await?;
    let ages = found.batch.column(0);
    let next = ages.as_primitive::<arrow::datatypes::Int64Type>().value(0) + 1;
    let text = next.to_string();
    let row = [Some("counter"), Some("counter"), Some(text.as_str()), None];
    let row = rows(counter.def(), &[&row]);
    transaction.update(counter.def().id, row).await?;
    commit(transaction).await?;
    Ok(next)
}

/// No increment is lost and none is made twice: each value is told to one writer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_of_several_processes_are_all_counted_once() {
    let fixture = Fixture::in_memory().await;
    add_people(&fixture.graph, "main", &["counter"])
        .await
        .unwrap();
    let mut writers = Vec::new();
    for _ in 0..PROCESSES {
        let graph = fixture.reopened().await;
        for _ in 0..CLIENTS {
            let graph = graph.clone();
            writers.push(tokio::spawn(async move {
                let mut told = Vec::new();
                while told.len() < INCREMENTS {
                    match increment(&graph).await {
                        Ok(value) => told.push(value),
                        Err(Error::Conflict { .. }) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
                told
            }));
        }
    }
    let mut told = BTreeSet::new();
    for writer in writers {
        for value in writer.await.unwrap() {
            assert!(told.insert(value), "{value} was told twice");
        }
    }
    let all = (PROCESSES * CLIENTS * INCREMENTS) as i64;
    assert_eq!(told, (31..=30 + all).collect());
    let snapshot = fixture.reopened().await.snapshot("main").await.unwrap();
    assert_eq!(
        column(&snapshot, "person", "age").await,
        [(30 + all).to_string()]
    );
}

/// Two who write a row as it was have written it: whoever does so to be alone with it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_was_written_as_it_was_conflicts_all_the_same() {
    for (processes, many) in [(1, false), (2, false), (1, true), (2, true)] {
        let fixture = Fixture::in_memory().await;
        let graph = &fixture.graph;
        let other = match processes {
            1 => graph.clone(),
            _ => fixture.reopened().await,
        };
        let names: Vec<String> = (0..3_000).map(|number| format!("p{number}")).collect();
        let person = graph.snapshot("main").await.unwrap();
        let person = person.schema().table("person").unwrap().clone();
        let put = async |graph: &Graph, names: &[String]| {
            let cells: Vec<[Option<&str>; 4]> = names
                .iter()
                .map(|name| [Some(name.as_str()), Some(name), Some("30"), None])
                .collect();
            let cells: Vec<&[Option<&str>]> = cells.iter().map(|row| row.as_slice()).collect();
            let mut transaction = begin(graph, "main").await;
            let put = rows(&person, &cells);
            transaction.upsert(person.id, put).await.unwrap();
            transaction
        };
        commit(put(graph, &names).await).await.unwrap();
        let touch = async |graph: &Graph, names: &[String], team: &str| {
            let mut transaction = put(graph, names).await;
            insert(&mut transaction, "team", &[&[None, Some(team)]])
                .await
                .unwrap();
            transaction
        };
        // So many that they are listed beside the entry, or one.
        let first = if many { &names[..] } else { &names[7..8] };
        let first = touch(graph, first, "red").await;
        let second = touch(&other, &names[7..8], "blue").await;
        let third = touch(&other, &names[8..9], "green").await;
        commit(first).await.unwrap();
        let error = commit(second).await.unwrap_err();
        assert!(
            matches!(&error, Error::Conflict { id, .. } if id == "p7"),
            "{error:?}"
        );
        assert_eq!(commit(third).await.is_err(), many);
    }
}
