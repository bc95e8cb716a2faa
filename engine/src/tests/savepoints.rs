//! Random nests of savepoints: a transaction is what it did and did not take back.

use std::collections::BTreeSet;

use super::merge_histories::{Random, changes, differences};
use super::merges::{Rows, broken, contents, contents_of};
use super::*;
use crate::Savepoint;
use crate::error::Error;

const TRANSACTIONS: u64 = 40;
const STEPS: usize = 25;

#[tokio::test]
async fn random_nests_of_savepoints_agree_with_the_model() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let (mut rolled_back, mut refused) = (0, 0);
    for seed in seeds(TRANSACTIONS) {
        println!("seed {seed}");
        let mut random = Random(seed);
        let before = graph.snapshot("main").await.unwrap();
        let base = contents(graph, "main").await;
        let mut transaction = begin(graph, "main").await;
        let mut rows = base.clone();
        let mut nest: Vec<(Savepoint, Rows)> = Vec::new();
        for _ in 0..STEPS {
            match random.below(8) {
                0 => nest.push((transaction.savepoint(), rows.clone())),
                // Back to one of them, which stays; those within it are gone.
                1 if !nest.is_empty() => {
                    nest.truncate(1 + random.below(nest.len()));
                    let (savepoint, then) = nest.last().unwrap();
                    transaction.rollback_to(savepoint);
                    rows = then.clone();
                    rolled_back += 1;
                }
                // What was done since stays.
                2 => drop(nest.pop()),
                _ => {
                    refused += u32::from(!statement(&mut transaction, &mut rows, &mut random).await)
                }
            }
        }
        assert_eq!(contents_of(&transaction.snapshot()).await, rows);
        let info = commit(transaction).await.unwrap();
        let done = changes(&base, &rows);
        let after = graph.snapshot("main").await.unwrap();
        assert_eq!(contents_of(&after).await, rows);
        assert_eq!(differences(&before, &after).await, done);
        let Some(info) = info else {
            assert!(done.is_empty());
            continue;
        };
        let of = |operation| done.iter().filter(|change| change.0 == operation).count() as u64;
        assert_eq!((info.inserted, info.deleted), (of("insert"), of("delete")));
        // A row that was put as it was counts as updated.
        assert!(info.updated >= of("update"));
    }
    assert_eq!(
        contents(&fixture.reopened().await, "main").await,
        contents(graph, "main").await
    );
    assert!(rolled_back > 0 && refused > 0, "{rolled_back} {refused}");
}

/// One statement, in the transaction and in the model; false if a rule refused it in both.
async fn statement(transaction: &mut Transaction, rows: &mut Rows, random: &mut Random) -> bool {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let (name, other) = (random.of(&NAMES), random.of(&NAMES));
    let id = random.of(&["x", "y", "z"]);
    let number = random.below(3).to_string();
    let (table, cells) = match random.below(4) {
        0 => (
            "person",
            vec![name, name, &number, random.of(&["-", "p", "q"])],
        ),
        1 => ("team", vec![name, name]),
        2 => ("knows", vec![id, name, other, &number]),
        _ => ("leads", vec![id, name, other]),
    };
    let def = transaction
        .snapshot()
        .schema()
        .table(table)
        .unwrap()
        .clone();
    let cells: Vec<Option<&str>> = cells
        .into_iter()
        .map(|cell| (cell != "-").then_some(cell))
        .collect();
    let key = (table.to_owned(), cells[0].unwrap().to_owned());
    let mut then = rows.clone();
    let outcome = if random.below(3) == 0 {
        then.remove(&key);
        if !def.is_edge() {
            then.retain(|(held, _), ends| match held.as_str() {
                "knows" => table != "person" || !ends[..2].contains(&Some(key.1.clone())),
                "leads" => ends[usize::from(table == "team")].as_ref() != Some(&key.1),
                _ => true,
            });
        }
        transaction.delete(def.id, &[key.1]).await.map(drop)
    } else {
        let rest = cells[1..].iter().map(|cell| cell.map(str::to_owned));
        then.insert(key, rest.collect());
        let row = super::rows(&def, &[&cells]);
        transaction.upsert(def.id, row).await.map(drop)
    };
    let allowed = broken(&then) == BTreeSet::new();
    match outcome {
        Ok(()) => assert!(allowed, "{cells:?}"),
        Err(Error::Constraint(violation)) => assert!(!allowed, "{cells:?}: {violation}"),
        Err(error) => panic!("{error:?}"),
    }
    if allowed {
        *rows = then;
    }
    allowed
}
