//! Files that are written in the background and fail: who is told, and what is left.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::FutureExt;
use parking_lot::Mutex;

use super::meeting::together;
use super::merges::contents;
use super::pairs::write;
use super::*;
use crate::error::Error;
use crate::storage::{Fault, Faults, Operation};

/// Fails one of the files of tables that are written from when it is armed, by its number.
#[derive(Debug, Default)]
struct Failing {
    armed: AtomicBool,
    number: AtomicUsize,
    /// The files, in the order in which they were written.
    seen: Mutex<Vec<String>>,
}

impl Failing {
    fn arm(&self, number: usize) {
        self.seen.lock().clear();
        self.number.store(number, Ordering::SeqCst);
        self.armed.store(true, Ordering::SeqCst);
    }

    /// The file that failed, and how many of its kind were written to its table before it.
    fn failed(&self) -> Option<(String, usize)> {
        self.armed.store(false, Ordering::SeqCst);
        let seen = self.seen.lock();
        let failed = seen.get(self.number.load(Ordering::SeqCst))?;
        let folder = |file: &str| file.rsplit_once('/').map(|(folder, _)| folder.to_owned());
        let same = seen.iter().take_while(|file| *file != failed);
        let same = same.filter(|file| folder(file) == folder(failed));
        Some((failed.clone(), same.count()))
    }
}

#[async_trait]
impl Faults for Failing {
    async fn on(&self, operation: Operation, key: &str) -> Fault {
        let of_table = key.contains("nodes/") || key.contains("edges/");
        if operation != Operation::Put || !of_table || !self.armed.load(Ordering::SeqCst) {
            return Fault::None;
        }
        let mut seen = self.seen.lock();
        seen.push(key.to_owned());
        match seen.len() - 1 == self.number.load(Ordering::SeqCst) {
            true => Fault::FailBefore(format!("injected at {key}")),
            false => Fault::None,
        }
    }
}

/// Two transactions that are published together, for each file that they write between them:
/// it fails, and the one that needs it is told. `owner` says which one that is, 0 or 1.
async fn each_file_fails_once(writers: [&'static str; 2], owner: fn(&str, usize) -> usize) {
    let fixture = Fixture::in_memory().await;
    let faults = Arc::new(Failing::default());
    let store = fixture.store.with_faults(faults.clone());
    let graph = Graph::open(store, resources()).await.unwrap();
    write(
        &fixture.graph,
        "main",
        "add person - ada 1 -; add person - bob 2 -; add person - cyd 3 -; add team - red; \
        add team - blue; add knows k ada bob 1; add knows l bob ada 1; add leads m ada red; \
        add leads n bob blue",
    )
    .await
    .unwrap();
    let mut failures = [0, 0];
    for number in 0.. {
        let (on, alone) = (format!("fails/{number}"), format!("model/{number}"));
        for name in [&on, &alone] {
            let name = branch(name);
            graph.create_branch(&name, "main", "a").await.unwrap();
        }
        faults.arm(number);
        let both = writers.map(|writer| {
            let (graph, on) = (graph.clone(), on.clone());
            async move { write(&graph, &on, writer).await }.boxed()
        });
        let told = together(&graph, &on, both.into()).await;
        let failed = faults.failed();
        let victim = failed.as_ref().map(|(file, before)| owner(file, *before));
        for (which, outcome) in told.iter().enumerate() {
            match outcome {
                Ok(()) => {
                    assert_ne!(Some(which), victim, "{failed:?}");
                    write(&fixture.graph, &alone, writers[which]).await.unwrap();
                }
                Err(Error::Unavailable { .. } | Error::Missing { .. }) => {
                    assert_eq!(Some(which), victim, "{failed:?}: {outcome:?}");
                    failures[which] += 1;
                }
                Err(error) => panic!("{failed:?}: {error:?}"),
            }
        }
        everything_is_there(&fixture, &on, &alone).await;
        if let Some(victim) = victim {
            // Nothing of it is left that would be in its way.
            write(&graph, &on, writers[victim]).await.unwrap();
            write(&fixture.graph, &alone, writers[victim])
                .await
                .unwrap();
            everything_is_there(&fixture, &on, &alone).await;
        } else {
            break;
        }
    }
    assert!(failures[0] > 2 && failures[1] > 2, "{failures:?}");
}

/// The branch has the rows of another one, and every file that it refers to.
async fn everything_is_there(fixture: &Fixture, on: &str, as_on: &str) {
    let graph = fixture.reopened().await;
    assert_eq!(
        contents(&graph, on).await,
        contents(&graph, as_on).await,
        "{on}"
    );
    for table in graph.snapshot(on).await.unwrap().tables() {
        for file in table.version().await.unwrap().files() {
            assert!(fixture.store.exists(&file).await.unwrap(), "{on}: {file}");
        }
    }
}

#[tokio::test]
async fn a_file_that_fails_fails_the_transaction_that_wrote_it() {
    let writers = [
        "add person - new 1 -; set person ada ada 9 -; delete knows k",
        "add team - new; set team red red; delete leads n",
    ];
    each_file_fails_once(writers, |file, _| {
        usize::from(file.contains("Team-") || file.contains("Leads-"))
    })
    .await;
}

/// Both change one table, and the second's version of it follows the first's.
#[tokio::test]
async fn a_file_that_fails_fails_nobody_whose_version_was_to_follow() {
    let writers = [
        "add person - new 1 -; set person ada ada 9 -",
        "add person - newer 1 -; set person bob bob 9 -",
    ];
    each_file_fails_once(writers, |_, before| before).await;
}
