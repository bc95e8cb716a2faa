//! Merges: every pair of changes to one row, checks across rows, races, and random histories
//! against a model.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::Array;

use super::*;
use crate::error::Error;
use crate::merge::{Counts, MergeConflict, MergeOptions, MergeOutcome, MergeSummary, OnConflict};

pub(super) async fn merge(graph: &Graph, source: &str, target: &str) -> Result<MergeSummary> {
    merge_by(graph, source, target, OnConflict::Fail).await
}

async fn merge_by(
    graph: &Graph,
    source: &str,
    target: &str,
    on_conflict: OnConflict,
) -> Result<MergeSummary> {
    let options = MergeOptions {
        actor: "tester".to_owned(),
        on_conflict,
        ..MergeOptions::default()
    };
    graph.merge(source, &branch(target), options).await
}

/// One statement on a branch, in a commit of its own.
async fn run(graph: &Graph, on: &str, operation: &str) {
    if operation == "compact" {
        super::maintenance::compact_on(graph, on).await;
        return;
    }
    let mut transaction = begin(graph, on).await;
    let words: Vec<&str> = operation.split(' ').collect();
    let cells: Vec<Option<&str>> = words[2..]
        .iter()
        .map(|word| (*word != "-").then_some(*word))
        .collect();
    let def = transaction
        .snapshot()
        .schema()
        .table(words[1])
        .unwrap()
        .clone();
    match words[0] {
        "put" => {
            let batch = rows(&def, &[&cells]);
            transaction.upsert(def.id, batch).await.unwrap();
        }
        "delete" => {
            transaction
                .delete(def.id, &[words[2].to_owned()])
                .await
                .unwrap();
        }
        other => panic!("{other}"),
    }
    commit(transaction).await.unwrap();
}

pub(super) async fn run_all(graph: &Graph, on: &str, operations: &str) {
    for operation in operations.split("; ").filter(|text| !text.is_empty()) {
        run(graph, on, operation).await;
    }
}

/// All rows of a state: `table id: other columns`.
pub(super) async fn contents(graph: &Graph, reference: &str) -> Rows {
    contents_of(&graph.snapshot(reference).await.unwrap()).await
}

pub(super) async fn contents_of(snapshot: &Snapshot) -> Rows {
    let mut all = BTreeMap::new();
    for table in snapshot.tables() {
        let columns: Vec<usize> = (0..table.def().columns().len()).collect();
        let request = ScanRequest {
            columns,
            partitions: 1,
            batch_rows: 64,
        };
        for stream in table.scan(request).await.unwrap() {
            let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
            for batch in batches {
                let text: Vec<ArrayRef> = batch
                    .columns()
                    .iter()
                    .map(|column| {
                        arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8).unwrap()
                    })
                    .collect();
                for row in 0..batch.num_rows() {
                    let mut cells = text.iter().map(|column| {
                        let column = column.as_string::<i32>();
                        column.is_valid(row).then(|| column.value(row).to_owned())
                    });
                    let id = cells.next().flatten().unwrap();
                    let before = all.insert((table.def().table.clone(), id), cells.collect());
                    assert_eq!(before, None, "ids are unique");
                }
            }
        }
    }
    all
}

pub(super) fn conflicts(outcome: Result<MergeSummary>) -> Vec<MergeConflict> {
    match outcome {
        Err(Error::MergeConflicts { conflicts, .. }) => conflicts.to_vec(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn kinds(conflicts: &[MergeConflict]) -> String {
    let told: BTreeSet<String> = conflicts
        .iter()
        .map(|conflict| {
            let property = conflict.property.as_deref().unwrap_or("-");
            format!("{} {property}", conflict.kind.name())
        })
        .collect();
    told.into_iter().collect::<Vec<_>>().join(", ")
}

/// Merges what was done to `base` on two sides: the row after, or the conflicts.
async fn cell(base: &str, ours: &str, theirs: &str, table: &str, id: &str) -> String {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    run_all(graph, "main", base).await;
    graph
        .create_branch(&branch("b"), "main", "a")
        .await
        .unwrap();
    // A commit of its own on each side, so that nothing is a fast-forward.
    run_all(graph, "main", "put team - ours").await;
    run_all(graph, "b", "put team - theirs").await;
    run_all(graph, "main", ours).await;
    run_all(graph, "b", theirs).await;
    let before = contents(graph, "main").await;
    let preview = graph.merge_conflicts("b", "main").await.unwrap();
    let outcome = merge(graph, "b", "main").await;
    let after = contents(graph, "main").await;
    if outcome.is_err() {
        assert_eq!(before, after, "nothing was published");
        let found = conflicts(outcome);
        assert_eq!(kinds(&found), kinds(&preview));
        for (side, target) in [(OnConflict::Ours, "o"), (OnConflict::Theirs, "t")] {
            graph
                .create_branch(&branch(target), "main", "a")
                .await
                .unwrap();
            match merge_by(graph, "b", target, side).await {
                Ok(_) => whole(&contents(graph, target).await),
                Err(error) => assert!(matches!(error, Error::MergeConflicts { .. }), "{error:?}"),
            }
        }
        return kinds(&found);
    }
    assert!(preview.is_empty(), "{preview:?}");
    let summary = outcome.unwrap();
    assert_eq!(summary.outcome, MergeOutcome::Merged);
    whole(&after);
    let row = after.get(&(table.to_owned(), id.to_owned()));
    row.map_or("gone".to_owned(), |cells| {
        let cells: Vec<&str> = cells
            .iter()
            .map(|cell| cell.as_deref().unwrap_or("-"))
            .collect();
        cells.join(" ")
    })
}

/// No edge without its nodes, no unique value twice, no more edges than allowed.
pub(super) fn whole(rows: &BTreeMap<(String, String), Vec<Option<String>>>) {
    assert_eq!(broken(rows), BTreeSet::new());
}

pub(super) type Rows = BTreeMap<(String, String), Vec<Option<String>>>;

pub(super) fn broken(rows: &Rows) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let has = |table: &str, id: &Option<String>| {
        rows.contains_key(&(table.to_owned(), id.clone().unwrap_or_default()))
    };
    let mut emails: BTreeMap<&String, &String> = BTreeMap::new();
    let mut led: BTreeMap<&Option<String>, usize> = BTreeMap::new();
    for ((table, id), cells) in rows {
        let ends = match table.as_str() {
            "knows" => ("person", "person"),
            "leads" => ("person", "team"),
            "person" => {
                if let Some(email) = &cells[2]
                    && emails.insert(email, id).is_some()
                {
                    found.insert("UniqueViolation".to_owned());
                }
                continue;
            }
            _ => continue,
        };
        if !has(ends.0, &cells[0]) || !has(ends.1, &cells[1]) {
            found.insert("OrphanEdge".to_owned());
        }
        if table == "leads" {
            *led.entry(&cells[0]).or_default() += 1;
        }
    }
    if led.values().any(|count| *count > 2) {
        found.insert("CardinalityViolation".to_owned());
    }
    found
}

async fn table_of_truth(
    base: &str,
    operations: &[&str],
    table: &str,
    id: &str,
    expected: &[&[&str]],
) {
    for (row, ours) in operations.iter().enumerate() {
        for (column, theirs) in operations.iter().enumerate() {
            let found = cell(base, ours, theirs, table, id).await;
            assert_eq!(
                found, expected[row][column],
                "ours: {ours}; theirs: {theirs}"
            );
        }
    }
}

/// Rows: what the target did. Columns: what the source did.
#[tokio::test]
async fn every_pair_of_changes_to_a_node() {
    let (update, delete) = ("DivergentUpdate age", "DeleteVsUpdate age");
    table_of_truth(
        "put person - ada 30 -",
        &[
            "",
            "put person - ada 1 -",
            "put person - ada 2 -",
            "put person - ada 30 e",
            "delete person ada",
            "delete person ada; put person - ada 2 -",
            "put person - ada 9 -; put person - ada 30 -",
        ],
        "person",
        "ada",
        &[
            &[
                "ada 30 -", "ada 1 -", "ada 2 -", "ada 30 e", "gone", "ada 2 -", "ada 30 -",
            ],
            &[
                "ada 1 -", "ada 1 -", update, "ada 1 e", delete, update, "ada 1 -",
            ],
            &[
                "ada 2 -", update, "ada 2 -", "ada 2 e", delete, "ada 2 -", "ada 2 -",
            ],
            &[
                "ada 30 e",
                "ada 1 e",
                "ada 2 e",
                "ada 30 e",
                "DeleteVsUpdate email",
                "ada 2 e",
                "ada 30 e",
            ],
            &[
                "gone",
                delete,
                delete,
                "DeleteVsUpdate email",
                "gone",
                delete,
                "gone",
            ],
            &[
                "ada 2 -", update, "ada 2 -", "ada 2 e", delete, "ada 2 -", "ada 2 -",
            ],
            &[
                "ada 30 -", "ada 1 -", "ada 2 -", "ada 30 e", "gone", "ada 2 -", "ada 30 -",
            ],
        ],
    )
    .await;
}

#[tokio::test]
async fn every_pair_of_inserts_of_a_node() {
    table_of_truth(
        "",
        &[
            "",
            "put person - ada 1 -",
            "put person - ada 2 -",
            "put person - ada 1 e",
            "put person - ada 1 -; delete person ada",
        ],
        "person",
        "ada",
        &[
            &["gone", "ada 1 -", "ada 2 -", "ada 1 e", "gone"],
            &[
                "ada 1 -",
                "ada 1 -",
                "DivergentInsert age",
                "DivergentInsert email",
                "ada 1 -",
            ],
            &[
                "ada 2 -",
                "DivergentInsert age",
                "ada 2 -",
                "DivergentInsert age, DivergentInsert email",
                "ada 2 -",
            ],
            &[
                "ada 1 e",
                "DivergentInsert email",
                "DivergentInsert age, DivergentInsert email",
                "ada 1 e",
                "ada 1 e",
            ],
            &["gone", "ada 1 -", "ada 2 -", "ada 1 e", "gone"],
        ],
    )
    .await;
}

#[tokio::test]
async fn every_pair_of_changes_to_an_edge_and_its_nodes() {
    let (update, delete) = ("DivergentUpdate since", "DeleteVsUpdate since");
    let (re_pointed, orphan) = ("DeleteVsUpdate dst", "OrphanEdge dst");
    table_of_truth(
        "put person - a 1 -; put person - b 1 -; put person - c 1 -; put knows k a b 30",
        &[
            "",
            "put knows k a b 1",
            "put knows k a b 2",
            "put knows k a c 30",
            "put knows k c b 30",
            "delete knows k",
            "delete person b",
            "delete person c",
        ],
        "knows",
        "k",
        &[
            &[
                "a b 30", "a b 1", "a b 2", "a c 30", "c b 30", "gone", "gone", "a b 30",
            ],
            &[
                "a b 1", "a b 1", update, "a c 1", "c b 1", delete, delete, "a b 1",
            ],
            &[
                "a b 2", update, "a b 2", "a c 2", "c b 2", delete, delete, "a b 2",
            ],
            &[
                "a c 30", "a c 1", "a c 2", "a c 30", "c c 30", re_pointed, re_pointed, orphan,
            ],
            &[
                "c b 30",
                "c b 1",
                "c b 2",
                "c c 30",
                "c b 30",
                "DeleteVsUpdate src",
                "DeleteVsUpdate src",
                "OrphanEdge src",
            ],
            &[
                "gone",
                delete,
                delete,
                re_pointed,
                "DeleteVsUpdate src",
                "gone",
                "gone",
                "gone",
            ],
            &[
                "gone",
                delete,
                delete,
                re_pointed,
                "DeleteVsUpdate src",
                "gone",
                "gone",
                "gone",
            ],
            &[
                "a b 30",
                "a b 1",
                "a b 2",
                orphan,
                "OrphanEdge src",
                "gone",
                "gone",
                "a b 30",
            ],
        ],
    )
    .await;
}

/// A node deleted with its edges against whatever the other side does around it.
#[tokio::test]
async fn every_pair_of_changes_around_a_deleted_node() {
    let orphan = "OrphanEdge dst";
    table_of_truth(
        "put person - a 1 -; put person - b 1 -",
        &[
            "",
            "delete person b",
            "put knows n a b 1",
            "put knows n a b 1; delete knows n",
            "delete person b; put person - b 1 -",
            "put person - b 2 -",
        ],
        "person",
        "b",
        &[
            &["b 1 -", "gone", "b 1 -", "b 1 -", "b 1 -", "b 2 -"],
            &["gone", "gone", orphan, "gone", "gone", "DeleteVsUpdate age"],
            &["b 1 -", orphan, "b 1 -", "b 1 -", "b 1 -", "b 2 -"],
            &["b 1 -", "gone", "b 1 -", "b 1 -", "b 1 -", "b 2 -"],
            &["b 1 -", "gone", "b 1 -", "b 1 -", "b 1 -", "b 2 -"],
            &[
                "b 2 -",
                "DeleteVsUpdate age",
                "b 2 -",
                "b 2 -",
                "b 2 -",
                "b 2 -",
            ],
        ],
    )
    .await;
}

#[tokio::test]
async fn rules_between_rows_of_both_sides() {
    let unique = "put person - x 1 q";
    for (base, ours, theirs, expected) in [
        // The same value, on different rows.
        ("", unique, "put person - y 1 q", "UniqueViolation email"),
        // A value that was given up is free.
        ("put person - x 1 q", "put person - x 1 -", "", "none"),
        (
            "put person - x 1 q",
            "put person - x 1 r",
            "delete person x; put person - y 1 q",
            "DeleteVsUpdate email",
        ),
        // Edges beyond what is allowed, together only.
        (
            "put person - a 1 -; put team - s; put team - t; put team - u; put leads l a s",
            "put leads m a t",
            "put leads n a u",
            "CardinalityViolation src",
        ),
        (
            "put person - a 1 -; put team - s; put team - t; put team - u; put leads l a s",
            "put leads m a t",
            "delete leads l; put leads n a u",
            "none",
        ),
        // An edge that each side re-points so that both hold.
        (
            "put person - a 1 -; put person - b 1 -; put team - s; put team - t; put leads l a s; put leads m a t; put leads n b s",
            "delete leads l; put leads n a s",
            "put leads m b t",
            "none",
        ),
    ] {
        let found = cell(base, ours, theirs, "none", "").await;
        assert_eq!(
            found.replace("gone", "none"),
            expected,
            "ours: {ours}; theirs: {theirs}"
        );
    }
}

#[tokio::test]
async fn a_side_is_chosen_for_what_conflicts_and_nothing_else() {
    for (side, row, knows) in [
        (OnConflict::Ours, "ada 1 e", 2),
        (OnConflict::Theirs, "ada 2 e", 1),
    ] {
        let fixture = Fixture::in_memory().await;
        let graph = &fixture.graph;
        let base = "put person - ada 30 -; put person - bob 1 -; put person - cyd 1 -; put knows k ada bob 1";
        run_all(graph, "main", base).await;
        graph
            .create_branch(&branch("b"), "main", "a")
            .await
            .unwrap();
        run_all(graph, "main", "put person - ada 1 -; put knows n ada cyd 1").await;
        run_all(graph, "b", "put person - ada 2 e; delete person cyd").await;
        merge_by(graph, "b", "main", side).await.unwrap();
        let after = contents(graph, "main").await;
        whole(&after);
        let ada: Vec<&str> = after[&("person".to_owned(), "ada".to_owned())]
            .iter()
            .map(|cell| cell.as_deref().unwrap_or("-"))
            .collect();
        assert_eq!(
            ada.join(" "),
            row,
            "a column that does not conflict is merged"
        );
        assert_eq!(after.keys().filter(|key| key.0 == "knows").count(), knows);
        let cyd = after.contains_key(&("person".to_owned(), "cyd".to_owned()));
        assert_eq!(cyd, side == OnConflict::Ours);
        assert_eq!(
            merge(graph, "b", "main").await.unwrap().outcome,
            MergeOutcome::UpToDate
        );
    }
    // A node that ours deleted comes back for an edge of theirs.
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    run_all(graph, "main", "put person - ada 30 -; put person - bob 1 q").await;
    graph
        .create_branch(&branch("b"), "main", "a")
        .await
        .unwrap();
    run_all(graph, "main", "delete person bob").await;
    run_all(graph, "b", "put knows n ada bob 1").await;
    assert_eq!(
        kinds(&conflicts(merge(graph, "b", "main").await)),
        "OrphanEdge dst"
    );
    merge_by(graph, "b", "main", OnConflict::Theirs)
        .await
        .unwrap();
    let after = contents(graph, "main").await;
    whole(&after);
    assert!(after.contains_key(&("person".to_owned(), "bob".to_owned())));
    assert_eq!(after.keys().filter(|key| key.0 == "knows").count(), 1);
}

#[tokio::test]
async fn outcomes_parents_and_counts() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    run_all(graph, "main", "put person - ada 30 -; put person - bob 1 -").await;
    graph
        .create_branch(&branch("b"), "main", "a")
        .await
        .unwrap();
    let same = merge(graph, "b", "main").await.unwrap();
    assert_eq!(same.outcome, MergeOutcome::UpToDate);
    run_all(
        graph,
        "b",
        "put person - ada 31 -; put person - cyd 1 -; delete person bob",
    )
    .await;
    let source = graph.branch(&branch("b")).await.unwrap();
    let forward = merge(&fixture.reopened().await, "b", "main").await.unwrap();
    assert_eq!(
        (forward.outcome, forward.commit),
        (MergeOutcome::FastForward, source.head)
    );
    let one = Counts {
        inserted: 1,
        updated: 1,
        deleted: 1,
    };
    assert_eq!(forward.tables, BTreeMap::from([("person".to_owned(), one)]));
    assert_eq!(contents(graph, "main").await, contents(graph, "b").await);
    // Both go on from there.
    run_all(graph, "main", "put team - red").await;
    run_all(graph, "b", "put person - dan 1 -; put person - ada 32 -").await;
    let head = graph.branch(&main()).await.unwrap().head;
    let source = graph.branch(&branch("b")).await.unwrap().head;
    let merged = merge(graph, "b", "main").await.unwrap();
    assert_eq!(merged.outcome, MergeOutcome::Merged);
    let counts = Counts {
        inserted: 1,
        updated: 1,
        deleted: 0,
    };
    assert_eq!(
        merged.tables,
        BTreeMap::from([("person".to_owned(), counts)])
    );
    let commits: Vec<CommitInfo> = graph
        .commits("main", crate::commit::ancestry::Ancestors::All)
        .try_collect()
        .await
        .unwrap();
    // The fast-forward made no commit and is shown by its head.
    let commits: Vec<CommitInfo> = commits
        .into_iter()
        .filter(|commit| matches!(commit.kind, crate::HistoryKind::Commit(_)))
        .collect();
    assert_eq!(commits[0].id, merged.commit);
    assert_eq!(commits[0].parents, [head, source]);
    assert_eq!(commits[0].kind.name(), "merge");
    assert_eq!((commits[0].inserted, commits[0].updated), (1, 1));
    let ids: BTreeSet<_> = commits.iter().map(|commit| commit.id).collect();
    assert_eq!(ids.len(), commits.len(), "each commit is shown once");
    assert!(ids.contains(&source));
    assert_eq!(
        graph
            .compare(
                &graph.snapshot("b").await.unwrap(),
                &graph.snapshot("main").await.unwrap()
            )
            .await
            .unwrap(),
        (0, 2)
    );
    assert_eq!(graph.snapshot("main~1").await.unwrap().commit(), head);
    // A merged branch can be deleted without more ado.
    graph.delete_branch(&branch("b"), false, "a").await.unwrap();
    assert_eq!(
        people(&fixture.reopened().await, "main").await,
        ["ada", "cyd", "dan"]
    );
}

#[tokio::test]
async fn a_merge_without_effect_still_joins_the_histories() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    run_all(graph, "main", "put person - ada 30 -").await;
    graph
        .create_branch(&branch("b"), "main", "a")
        .await
        .unwrap();
    run_all(graph, "main", "put person - ada 31 -").await;
    run_all(graph, "b", "put person - ada 31 -").await;
    let merged = merge(graph, "b", "main").await.unwrap();
    assert_eq!(
        (merged.outcome, merged.tables.len()),
        (MergeOutcome::Merged, 0)
    );
    // The base moved with it: what one side changes now is no conflict.
    run_all(graph, "b", "put person - ada 32 -").await;
    merge(graph, "b", "main").await.unwrap();
    let back = merge(graph, "main", "b").await.unwrap();
    assert_eq!(back.outcome, MergeOutcome::FastForward);
    assert_eq!(contents(graph, "b").await, contents(graph, "main").await);
}

#[tokio::test]
async fn the_source_is_deleted_unless_somebody_committed_to_it() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    run_all(graph, "main", "put person - ada 30 -").await;
    graph
        .create_branch(&branch("b"), "main", "a")
        .await
        .unwrap();
    run_all(graph, "b", "put person - bob 1 -").await;
    let options = MergeOptions {
        actor: "tester".to_owned(),
        delete_source: true,
        ..MergeOptions::default()
    };
    // What is merged is a commit, which is not the newest any more.
    let merged = graph.merge("b", &main(), options.clone()).await.unwrap();
    assert_eq!(merged.source_deleted, Some(true));
    assert!(matches!(
        graph.snapshot("b").await,
        Err(Error::NotFound { .. })
    ));
    assert_eq!(people(graph, "main").await, ["ada", "bob"]);
    for refused in ["main", "main~1"] {
        let outcome = graph.merge(refused, &main(), options.clone()).await;
        assert!(
            matches!(outcome, Err(Error::Unsupported { .. })),
            "{refused}"
        );
    }
    // The commits of a branch that is gone are still there to be merged.
    graph
        .create_branch(&branch("c"), "main~1", "a")
        .await
        .unwrap();
    run_all(graph, "c", "put team - red").await;
    merge(graph, "main", "c").await.unwrap();
    assert_eq!(people(&fixture.reopened().await, "c").await, ["ada", "bob"]);
}

#[tokio::test]
async fn histories_that_crossed_have_a_base_where_their_bases_agree() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    run_all(graph, "main", "put person - ada 1 -; put person - bob 1 -").await;
    graph
        .create_branch(&branch("b"), "main", "a")
        .await
        .unwrap();
    run_all(graph, "main", "put person - ada 2 -").await;
    run_all(graph, "b", "put person - bob 2 -").await;
    // Each merges the other's commit, crosswise.
    let (left, right) = (
        graph.branch(&main()).await.unwrap().head.to_string(),
        graph.branch(&branch("b")).await.unwrap().head.to_string(),
    );
    merge(graph, &right, "main").await.unwrap();
    merge(graph, &left, "b").await.unwrap();
    assert_eq!(contents(graph, "main").await, contents(graph, "b").await);
    // The bases differ in both rows, so a change of one side is in doubt; another is not.
    run_all(graph, "b", "put person - ada 2 e").await;
    run_all(graph, "main", "put person - cyd 1 -").await;
    merge(graph, "b", "main").await.unwrap();
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    run_all(graph, "main", "put person - ada 1 -; put person - bob 1 -").await;
    graph
        .create_branch(&branch("b"), "main", "a")
        .await
        .unwrap();
    run_all(graph, "main", "put person - ada 2 -").await;
    run_all(graph, "b", "put person - bob 2 -").await;
    let left = graph.branch(&main()).await.unwrap().head.to_string();
    let right = graph.branch(&branch("b")).await.unwrap().head.to_string();
    merge(graph, &right, "main").await.unwrap();
    merge(graph, &left, "b").await.unwrap();
    run_all(graph, "b", "put person - ada 3 -").await;
    run_all(graph, "main", "put team - red").await;
    let found = conflicts(merge(graph, "b", "main").await);
    assert_eq!(kinds(&found), "DivergentUpdate age");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_gets_past_writers_of_its_target() {
    let fixture = Fixture::in_memory().await;
    let graph = fixture.graph.clone();
    let names: Vec<String> = (0..300).map(|number| format!("p{number:03}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    add_people(&graph, "main", &all).await.unwrap();
    graph
        .create_branch(&branch("b"), "main", "a")
        .await
        .unwrap();
    for name in all.iter().step_by(3) {
        run(&graph, "b", &format!("put person - {name} 77 -")).await;
    }
    run(&graph, "b", "put knows n p001 p002 1").await;
    add_people(&graph, "main", &["first"]).await.unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 0..3 {
        let (graph, stop) = (fixture.reopened().await, stop.clone());
        writers.push(tokio::spawn(async move {
            let mut done = 0;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                add_people(&graph, "main", &[format!("w{writer}x{done}").as_str()])
                    .await
                    .unwrap();
                done += 1;
            }
            done
        }));
    }
    let merged = merge(&graph, "b", "main").await.unwrap();
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    let mut added = 0;
    for writer in writers {
        added += writer.await.unwrap();
    }
    assert_eq!(merged.outcome, MergeOutcome::Merged);
    let counts = Counts {
        inserted: 0,
        updated: 100,
        deleted: 0,
    };
    assert_eq!(merged.tables["person"], counts);
    let after = contents(&fixture.reopened().await, "main").await;
    whole(&after);
    let people = after.keys().filter(|key| key.0 == "person").count();
    assert_eq!(people, 301 + added);
    let merged = after
        .values()
        .filter(|cells| cells.get(1) == Some(&Some("77".to_owned())));
    assert_eq!(merged.count(), 100);
}
