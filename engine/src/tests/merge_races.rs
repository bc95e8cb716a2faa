//! Merges that somebody writes beside, at a moment that is chosen: between the files of the
//! merge and its log entry.

use async_trait::async_trait;
use parking_lot::Mutex;

use super::merges::{conflicts, contents, kinds, merge, run_all, whole};
use super::*;
use crate::merge::{MergeOptions, MergeOutcome};
use crate::storage::{Fault, Faults, Operation};

/// Writes once, before the first object whose key has a part of these is put.
#[derive(Debug)]
struct Meanwhile {
    before: &'static [&'static str],
    write: Mutex<Option<(Graph, &'static str, String)>>,
}

#[async_trait]
impl Faults for Meanwhile {
    async fn on(&self, operation: Operation, key: &str) -> Fault {
        if operation == Operation::Put && self.before.iter().any(|part| key.contains(part)) {
            let write = self.write.lock().take();
            if let Some((graph, on, operations)) = write {
                run_all(&graph, on, &operations).await;
            }
        }
        Fault::None
    }
}

/// The graph, as a process sees it that is overtaken once.
async fn overtaken(
    fixture: &Fixture,
    before: &'static [&'static str],
    on: &'static str,
    operations: &str,
) -> (Graph, Arc<Meanwhile>) {
    let faults = Arc::new(Meanwhile {
        before,
        write: Mutex::new(None),
    });
    let store = fixture.store.with_faults(faults.clone());
    let graph = Graph::open(store, resources()).await.unwrap();
    let other = fixture.reopened().await;
    *faults.write.lock() = Some((other, on, operations.to_owned()));
    (graph, faults)
}

const BASE: &str = "put person - a 30 -; put person - b 30 -; put person - c 30 -; put person - d 30 -; \
    put team - s; put team - t; put team - u; put leads l a s";
const THEIRS: &str = "put person - a 2 -; put person - n 1 q; delete person d; put knows k a b 1; \
    put leads m a t";

async fn branched(ours: &str) -> Fixture {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    run_all(graph, "main", BASE).await;
    graph
        .create_branch(&branch("b"), "main", "a")
        .await
        .unwrap();
    run_all(graph, "b", THEIRS).await;
    run_all(graph, "main", ours).await;
    fixture
}

/// Whatever is written while a merge is on its way, the outcome is as if it had been written
/// before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_meanwhile_counts_as_written_before() {
    let many: Vec<String> = (0..40)
        .map(|number| format!("put person - p{number} 1 -"))
        .collect();
    let many = many.join("; ");
    // Tables that the target changed are merged by row; others are adopted.
    for ours in [
        "put person - o 1 -; put knows w b c 1; put leads x b s",
        "put team - ours",
    ] {
        for (meanwhile, expected) in [
            ("put person - z 1 -", ""),
            ("put person - a 30 e", ""),
            ("put person - a 3 -", "DivergentUpdate age"),
            ("put person - n 1 q", ""),
            ("delete person b", "OrphanEdge dst"),
            ("delete person d", ""),
            ("put knows y c d 1", "OrphanEdge dst"),
            ("put person - z 1 q", "UniqueViolation email"),
            ("put leads z a u", "CardinalityViolation src"),
            ("delete leads l; put leads z a u", ""),
            (many.as_str(), ""),
            ("compact", ""),
            ("put person - z 1 -; compact", ""),
            ("put person - a 3 -; compact", "DivergentUpdate age"),
            ("compact; delete person b", "OrphanEdge dst"),
            (
                "compact; put leads z a u; compact",
                "CardinalityViolation src",
            ),
        ] {
            let fixture = branched(ours).await;
            let (graph, faults) =
                overtaken(&fixture, &["nodes/", "edges/"], "main", meanwhile).await;
            let outcome = merge(&graph, "b", "main").await;
            let overtaken = faults.write.lock().is_none();
            let before = branched(&format!("{ours}; {meanwhile}")).await;
            let in_turn = merge(&before.graph, "b", "main").await;
            if expected.is_empty() {
                assert_eq!(
                    in_turn.unwrap().outcome,
                    MergeOutcome::Merged,
                    "{meanwhile}"
                );
                assert_eq!(
                    outcome.unwrap().outcome,
                    MergeOutcome::Merged,
                    "{meanwhile}"
                );
            } else {
                assert_eq!(kinds(&conflicts(in_turn)), expected, "{meanwhile}");
                if overtaken {
                    assert_eq!(kinds(&conflicts(outcome)), expected, "{meanwhile}");
                }
            }
            // A merge that adopts every table writes none, and nothing came between.
            assert_eq!(overtaken, ours != "put team - ours", "{meanwhile}");
            if overtaken {
                let after = contents(&fixture.reopened().await, "main").await;
                assert_eq!(after, contents(&before.graph, "main").await, "{meanwhile}");
                whole(&after);
            }
        }
    }
}

/// The same before the log entry of a merge that adopts tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adopted_table_that_is_written_meanwhile_is_merged_by_row() {
    for meanwhile in [
        "put person - z 1 -",
        "put person - a 30 e",
        "put knows y b c 1",
    ] {
        let fixture = branched("put team - ours").await;
        let (graph, faults) = overtaken(&fixture, &["_graph/branches/"], "main", meanwhile).await;
        let merged = merge(&graph, "b", "main").await.unwrap();
        assert!(faults.write.lock().is_none());
        assert_eq!(merged.tables["person"].updated, 1, "{meanwhile}");
        let before = branched(&format!("put team - ours; {meanwhile}")).await;
        merge(&before.graph, "b", "main").await.unwrap();
        let after = contents(&fixture.reopened().await, "main").await;
        assert_eq!(after, contents(&before.graph, "main").await, "{meanwhile}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fast_forward_that_is_overtaken_becomes_a_merge() {
    let fixture = branched("").await;
    let (graph, _) = overtaken(&fixture, &["_graph/branches/"], "main", "put team - ours").await;
    let merged = merge(&graph, "b", "main").await.unwrap();
    assert_eq!(merged.outcome, MergeOutcome::Merged);
    let after = contents(&fixture.reopened().await, "main").await;
    assert!(after.contains_key(&("team".to_owned(), "ours".to_owned())));
    assert!(after.contains_key(&("person".to_owned(), "n".to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_written_meanwhile_is_not_deleted() {
    let fixture = branched("put team - ours").await;
    let (graph, _) = overtaken(&fixture, &["_graph/branches/"], "b", "put team - late").await;
    let options = MergeOptions {
        actor: "tester".to_owned(),
        delete_source: true,
        ..MergeOptions::default()
    };
    let merged = graph.merge("b", &main(), options).await.unwrap();
    assert_eq!(merged.source_deleted, Some(false));
    assert!(
        !contents(&graph, "main")
            .await
            .contains_key(&("team".to_owned(), "late".to_owned()))
    );
    // What came late is still there to be merged.
    merge(&graph, "b", "main").await.unwrap();
    assert!(
        contents(&graph, "main")
            .await
            .contains_key(&("team".to_owned(), "late".to_owned()))
    );
}
