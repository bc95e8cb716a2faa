//! A transaction that is open while its branch comes to show something else: it is looked at
//! row by row over the new state, or ends with its branch.

use std::collections::BTreeSet;

use super::merge_histories::{Random, changes, statements};
use super::merges::{Rows, broken, contents, contents_of, merge};
use super::*;
use crate::error::Error;
use crate::load::{LoadMode, LoadOptions, load};

const TRIES: u64 = 16;

/// What happens to the branch `work` meanwhile.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// It goes back to what it was made from.
    Reset,
    /// It is merged into, and had no commit of its own.
    Forward,
    /// It is merged into, and had one.
    Merge,
    /// It is deleted, and made anew under the same name.
    Replace,
}

/// Some commits of random rows.
async fn grow(graph: &Graph, on: &str, commits: usize, random: &mut Random) {
    for _ in 0..commits {
        let mut transaction = begin(graph, on).await;
        statements(&mut transaction, random).await;
        commit(transaction).await.unwrap();
    }
}

async fn happen(event: Event, graph: &Graph, random: &mut Random) {
    let work = branch("work");
    match event {
        Event::Reset => {
            let first = graph.snapshot("first").await.unwrap();
            graph.reset_branch(&work, &first, "a").await.unwrap();
        }
        Event::Forward | Event::Merge => {
            grow(graph, "theirs", 3, random).await;
            // Sides that cannot be reconciled leave the branch as it is.
            match merge(graph, "theirs", "work").await {
                Ok(_) | Err(Error::MergeConflicts { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        Event::Replace => {
            graph.delete_branch(&work, true, "a").await.unwrap();
            graph.create_branch(&work, "main", "a").await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_transaction_is_looked_at_anew_whatever_its_branch_comes_to_show() {
    for event in [Event::Reset, Event::Forward, Event::Merge, Event::Replace] {
        let (mut kept, mut refused) = (0, 0);
        for seed in seeds(TRIES) {
            println!("{event:?}, seed {seed}");
            let mut random = Random(seed);
            let fixture = Fixture::in_memory().await;
            let graph = &fixture.graph;
            grow(graph, "main", 6, &mut random).await;
            for name in ["first", "work", "theirs"] {
                let name = branch(name);
                graph.create_branch(&name, "main", "a").await.unwrap();
            }
            if !matches!(event, Event::Forward) {
                grow(graph, "work", 4, &mut random).await;
            }
            let base = contents(graph, "work").await;
            let mut transaction = begin(graph, "work").await;
            let put = statements(&mut transaction, &mut random).await;
            let mine = contents_of(&transaction.snapshot()).await;
            // By this process and by another one.
            let other = fixture.reopened().await;
            let by = if seed % 2 == 0 { graph } else { &other };
            happen(event, by, &mut random).await;
            let theirs = contents(&other, "work").await;
            let outcome = commit(transaction).await;
            let after = contents(&fixture.reopened().await, "work").await;
            match expected(event, &base, &put, &mine, &theirs) {
                Some(rows) => {
                    outcome.unwrap();
                    assert_eq!(after, rows);
                    kept += 1;
                }
                None => {
                    let error = outcome.unwrap_err();
                    let right = match event {
                        Event::Replace => matches!(error, Error::BranchDeleted { .. }),
                        _ => matches!(error, Error::Conflict { .. } | Error::Constraint(_)),
                    };
                    assert!(right, "{error:?}");
                    assert_eq!(after, theirs, "nothing was published");
                    refused += 1;
                }
            }
        }
        let all = matches!(event, Event::Replace);
        assert!(
            refused > 0 && (kept > 0 || all),
            "{event:?}: {kept}, {refused}"
        );
    }
}

/// The rows after a transaction that put or deleted rows of `base`, which made it `mine`, over
/// what others left; `None` if it has to fail.
fn expected(
    event: Event,
    base: &Rows,
    put: &[(String, String)],
    mine: &Rows,
    theirs: &Rows,
) -> Option<Rows> {
    let keys = |rows: &Rows| -> BTreeSet<(String, String)> {
        let of_rows = changes(base, rows).into_iter();
        of_rows.map(|(_, table, id)| (table, id)).collect()
    };
    let there = |key: &&(String, String)| base.contains_key(*key) || mine.contains_key(*key);
    let mut written = keys(mine);
    written.extend(put.iter().filter(there).cloned());
    if matches!(event, Event::Replace) && !written.is_empty() {
        return None;
    }
    if !written.is_disjoint(&keys(theirs)) {
        return None;
    }
    let mut rows = theirs.clone();
    for key in keys(mine) {
        match mine.get(&key) {
            Some(row) => rows.insert(key, row.clone()),
            None => rows.remove(&key),
        };
    }
    broken(&rows).is_empty().then_some(rows)
}

/// Lines that are read to the end once the branch they are loaded into is another one.
struct Lines {
    lines: std::io::Cursor<&'static str>,
    graph: Graph,
    runtime: tokio::runtime::Handle,
}

impl std::io::Read for Lines {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.lines.read(into)?;
        if count == 0 {
            let mut random = Random(0);
            let replace = happen(Event::Replace, &self.graph, &mut random);
            self.runtime.block_on(replace);
        }
        Ok(count)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_is_not_led_into_another_branch_of_the_same_name() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada"]).await.unwrap();
    graph
        .create_branch(&branch("work"), "main", "a")
        .await
        .unwrap();
    let lines = Lines {
        lines: std::io::Cursor::new("{\"type\":\"Person\",\"data\":{\"name\":\"bob\"}}\n"),
        graph: graph.clone(),
        runtime: tokio::runtime::Handle::current(),
    };
    let options = LoadOptions::default();
    let outcome = load(graph, &branch("work"), LoadMode::Overwrite, lines, options).await;
    assert!(
        matches!(outcome, Err(Error::BranchDeleted { .. })),
        "{outcome:?}"
    );
    assert_eq!(people(graph, "work").await, ["ada"]);
}
