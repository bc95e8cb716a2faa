//! Stopping and failing the store at every request of every writer.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;

use super::*;
use crate::dataset::Fragment;
use crate::error::Error;
use crate::load::{LoadMode, LoadOptions, load};
use crate::maintain::compact;
use crate::maintain::vacuum::VacuumOptions;
use crate::storage::{Fault, Faults, Operation};

/// Fails one request, by its number, or all from it on.
#[derive(Debug)]
struct At {
    armed: AtomicBool,
    seen: AtomicU64,
    number: u64,
    for_ever: bool,
    after: bool,
}

#[async_trait]
impl Faults for At {
    async fn on(&self, operation: Operation, key: &str) -> Fault {
        // Every write counts; reads only where all stops.
        let counts = self.for_ever || operation == Operation::Put;
        if !self.armed.load(Ordering::SeqCst) || !counts {
            return Fault::None;
        }
        let number = self.seen.fetch_add(1, Ordering::SeqCst);
        let hit = if self.for_ever {
            number >= self.number
        } else {
            number == self.number
        };
        match (hit, self.after) {
            (false, _) => Fault::None,
            (true, true) => Fault::FailAfter(format!("injected after {key}")),
            (true, false) => Fault::FailBefore(format!("injected before {key}")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Writer {
    Insert,
    UpdateAndDelete,
    CreateBranch,
    DeleteBranch,
    Merge,
    FastForward,
    Migrate,
    Load,
    Revert,
    Reset,
    CreateTag,
    DeleteTag,
    Compact,
    Vacuum,
}

async fn write(graph: &Graph, writer: Writer) -> Result<()> {
    match writer {
        Writer::Insert => {
            let mut transaction = graph.begin(&main(), TransactionOptions::default()).await?;
            insert(
                &mut transaction,
                "person",
                &[&[None, Some("new"), None, None]],
            )
            .await?;
            insert(
                &mut transaction,
                "knows",
                &[&[Some("k"), Some("new"), Some("ada"), None]],
            )
            .await?;
            commit(transaction).await?;
        }
        Writer::UpdateAndDelete => {
            let mut transaction = graph.begin(&main(), TransactionOptions::default()).await?;
            let person = transaction
                .snapshot()
                .schema()
                .table("person")
                .unwrap()
                .clone();
            transaction
                .update(
                    person.id,
                    rows(&person, &[&[Some("ada"), Some("ada"), Some("99"), None]]),
                )
                .await?;
            transaction.delete(person.id, &["bob".to_owned()]).await?;
            commit(transaction).await?;
        }
        Writer::CreateBranch => {
            graph.create_branch(&branch("new"), "main", "a").await?;
        }
        Writer::Merge => {
            super::merges::merge(graph, "old", "main").await?;
        }
        Writer::FastForward => {
            super::merges::merge(graph, "ahead", "main").await?;
        }
        Writer::Migrate => {
            let source = SCHEMA
                .replacen("age: I64?", "age: I64?\n n: I64? @default(1)", 1)
                .replacen("node Team", "node Club { name: String @key }\nnode Team", 1);
            graph.migrate(&main(), &source, "a", None).await?;
        }
        Writer::DeleteBranch => graph.delete_branch(&branch("old"), true, "a").await?,
        Writer::Load => {
            let lines = b"{\"type\":\"Person\",\"data\":{\"name\":\"eve\"}}\n{\"edge\":\"Knows\",\"from\":\"eve\",\"to\":\"ada\",\"data\":{}}\n";
            let input = std::io::Cursor::new(lines.to_vec());
            let options = LoadOptions::default();
            load(graph, &main(), LoadMode::Append, input, options).await?;
        }
        Writer::Revert => {
            let last = graph.snapshot("main").await?.commit();
            graph.revert(&main(), last, "a").await?;
        }
        Writer::Reset => {
            let to = graph.snapshot("old").await?;
            graph.reset_branch(&main(), &to, "a").await?;
        }
        Writer::CreateTag => {
            let at = graph.snapshot("main").await?;
            graph.create_tag(&branch("v2"), &at, None, "a").await?;
        }
        Writer::DeleteTag => {
            graph.delete_tag(&branch("v1"), "a").await?;
        }
        Writer::Compact => {
            let (branch, state) = graph.shared.resolve(&main(), false).await?;
            let all = |files: &[Fragment]| vec![(0..files.len()).collect()];
            compact::rewrite(&branch, &state, all, "a").await?;
        }
        Writer::Vacuum => {
            let options = VacuumOptions {
                retain: 0,
                grace: 0,
                ..VacuumOptions::default()
            };
            graph.vacuum(options).await?;
        }
    }
    Ok(())
}

/// What a reader sees, whole: rows of two tables, and every name with what it shows.
async fn state(graph: &Graph) -> (Vec<String>, Vec<String>, Vec<String>, BTreeSet<String>) {
    let snapshot = graph.snapshot("main").await.unwrap();
    let branches = graph.branches().await.unwrap();
    let branches = branches.iter().map(|branch| branch.name.to_string());
    let tags = graph.tags().await.unwrap();
    let mut shown = BTreeSet::from([snapshot.schema().source.clone()]);
    for name in branches.chain(tags.into_iter().map(|tag| tag.name)) {
        shown.insert(format!("{name}: {:?}", people(graph, &name).await));
    }
    (
        column(&snapshot, "person", "name").await,
        column(&snapshot, "person", "age").await,
        column(&snapshot, "knows", "id").await,
        shown,
    )
}

async fn prepared() -> Fixture {
    let fixture = Fixture::in_memory().await;
    add_people(&fixture.graph, "main", &["ada", "bob"])
        .await
        .unwrap();
    fixture
        .graph
        .create_branch(&branch("old"), "main", "a")
        .await
        .unwrap();
    add_people(&fixture.graph, "old", &["zoe"]).await.unwrap();
    add_people(&fixture.graph, "main", &["yan"]).await.unwrap();
    fixture
        .graph
        .create_branch(&branch("ahead"), "main", "a")
        .await
        .unwrap();
    add_people(&fixture.graph, "ahead", &["xia"]).await.unwrap();
    let at = fixture.graph.snapshot("main").await.unwrap();
    fixture
        .graph
        .create_tag(&branch("v1"), &at, None, "a")
        .await
        .unwrap();
    fixture
}

/// Writers that change files and no rows: before and after are the same to a reader.
fn shows_nothing(writer: Writer) -> bool {
    matches!(writer, Writer::Compact | Writer::Vacuum)
}

/// For every request of every writer: the store stops there. What another process then sees
/// is the state before or the state after, and a writer that was told "done" is not undone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_at_any_request_leaves_the_state_before_or_after() {
    for writer in [
        Writer::Insert,
        Writer::UpdateAndDelete,
        Writer::CreateBranch,
        Writer::DeleteBranch,
        Writer::Merge,
        Writer::FastForward,
        Writer::Migrate,
        Writer::Load,
        Writer::Revert,
        Writer::Reset,
        Writer::CreateTag,
        Writer::DeleteTag,
        Writer::Compact,
        Writer::Vacuum,
    ] {
        let mut visited = 0;
        for number in 0.. {
            let fixture = prepared().await;
            let before = state(&fixture.reopened().await).await;
            let faults = Arc::new(At {
                armed: AtomicBool::new(false),
                seen: AtomicU64::new(0),
                number,
                for_ever: true,
                after: false,
            });
            let graph = Graph::open(
                fixture
                    .store
                    .with_faults(faults.clone())
                    .with_patience(std::time::Duration::from_millis(200)),
                resources(),
            )
            .await
            .unwrap();
            faults.armed.store(true, Ordering::SeqCst);
            let outcome =
                tokio::time::timeout(std::time::Duration::from_secs(60), write(&graph, writer))
                    .await
                    .expect("a stopped store is noticed");
            let after = state(&fixture.reopened().await).await;
            if outcome.is_ok() {
                assert_eq!(
                    before == after,
                    shows_nothing(writer),
                    "{writer:?} was done"
                );
                visited = number;
                break;
            }
            if after != before {
                // Only an outcome that is not known, or a branch whose tombstone is its end,
                // may have happened all the same.
                let complete = prepared().await;
                write(&complete.graph, writer).await.unwrap();
                assert_eq!(
                    after,
                    state(&complete.reopened().await).await,
                    "{writer:?} at {number}"
                );
            }
            // The graph is as usable as before.
            add_people(&fixture.reopened().await, "main", &["later"])
                .await
                .unwrap();
        }
        assert!(visited > 3, "{writer:?} makes more than {visited} requests");
    }
}

/// For every write: it fails once, before or after it was carried out, and the process goes
/// on. The answer is true, and the next statement works without a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_failed_write_is_answered_truly_and_forgotten() {
    for writer in [
        Writer::Insert,
        Writer::UpdateAndDelete,
        Writer::CreateBranch,
        Writer::Merge,
        Writer::FastForward,
        Writer::Migrate,
        Writer::Load,
        Writer::Revert,
        Writer::Reset,
        Writer::CreateTag,
        Writer::DeleteTag,
        Writer::Compact,
        Writer::Vacuum,
    ] {
        for after in [false, true] {
            for number in 0.. {
                let fixture = prepared().await;
                let before = state(&fixture.reopened().await).await;
                let faults = Arc::new(At {
                    armed: AtomicBool::new(false),
                    seen: AtomicU64::new(0),
                    number,
                    for_ever: false,
                    after,
                });
                let broken = fixture.store.with_faults(faults.clone());
                let graph = Graph::open(broken, resources()).await.unwrap();
                faults.armed.store(true, Ordering::SeqCst);
                let outcome = write(&graph, writer).await;
                faults.armed.store(false, Ordering::SeqCst);
                let seen = state(&fixture.reopened().await).await;
                match &outcome {
                    Ok(()) => {
                        assert_eq!(
                            seen == before,
                            shows_nothing(writer),
                            "{writer:?} at {number}"
                        );
                    }
                    Err(Error::OutcomeUnknown { .. }) => panic!("the store answered: {number}"),
                    Err(_) => assert_eq!(seen, before, "{writer:?} at {number}"),
                }
                assert_eq!(
                    state(&graph).await,
                    seen,
                    "the process sees what others see"
                );
                add_people(&graph, "main", &["later"]).await.unwrap();
                if faults.seen.load(Ordering::SeqCst) <= number {
                    assert!(number > 1, "{writer:?} writes more than {number} objects");
                    break;
                }
            }
        }
    }
}
