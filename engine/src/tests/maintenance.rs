//! Looking after tables while they are written: what it leaves, and whom it must not disturb.

use std::time::Duration;

use super::merge_histories::many;
use super::merges::{conflicts, kinds, run_all};
use super::*;
use crate::commit::ancestry::Ancestors;
use crate::dataset::Fragment;
use crate::load::{LoadMode, LoadOptions, load};
use crate::maintain::compact;
use crate::{HistoryKind, Reference};

/// The graph in a process that looks after its tables.
async fn looked_after(fixture: &Fixture) -> Graph {
    let limits = ResourceLimits {
        maintenance: true,
        ..ResourceLimits::default()
    };
    Graph::open(fixture.store.clone(), Resources::new(&limits))
        .await
        .unwrap()
}

async fn files(graph: &Graph, table: &str) -> usize {
    let snapshot = graph.snapshot("main").await.unwrap();
    let table = snapshot.table_named(table).unwrap();
    table.version().await.unwrap().fragments().len()
}

/// Puts all files of each table together.
async fn compact(graph: &Graph) {
    assert!(compact_on(graph, "main").await > 0);
}

/// How many tables got other files.
pub(super) async fn compact_on(graph: &Graph, on: &str) -> u64 {
    let (branch, state) = graph.shared.resolve(&branch(on), false).await.unwrap();
    let all = |files: &[Fragment]| vec![(0..files.len()).collect()];
    compact::rewrite(&branch, &state, all, "t").await.unwrap()
}

/// Requests of a lookup by key and the bytes that it reads, first cold and then again.
async fn lookups(graph: &Graph, id: &str) -> [(u64, u64); 2] {
    let mut costs = Vec::new();
    for _ in 0..2 {
        let before = graph.store().counts();
        let snapshot = graph.snapshot("main").await.unwrap();
        let table = snapshot.table_named("person").unwrap();
        let found = table.lookup(&[id], &[0, 1, 2]).await.unwrap();
        assert_eq!(found.batch.num_rows(), 1);
        let cost = graph.store().counts().since(&before);
        costs.push((cost.total(), cost.bytes_read));
    }
    [costs[0], costs[1]]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_commits_of_one_row_leave_few_files_and_their_history() {
    let commits = 1_000 * soak().min(10) as usize;
    let fixture = Fixture::in_memory().await;
    let graph = looked_after(&fixture).await;
    for number in 0..commits {
        let name = format!("p{number}");
        add_people(&graph, "main", &[&name]).await.unwrap();
    }
    // The last job may be under way.
    for _ in 0..200 {
        if files(&graph, "person").await <= 24 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let left = files(&graph, "person").await;
    assert!(left <= 24, "{left} files");
    assert_eq!(people(&graph, "main").await.len(), commits);
    let rows: Vec<CommitInfo> = graph
        .commits("main", Ancestors::All)
        .try_collect()
        .await
        .unwrap();
    let (made, kept): (Vec<_>, Vec<_>) = rows
        .iter()
        .partition(|row| matches!(row.kind, HistoryKind::Commit(_)));
    assert_eq!(made.len(), commits + 1);
    assert!(
        !kept.is_empty() && kept.len() < commits / 8,
        "{}",
        kept.len()
    );
    for back in [1, 500] {
        let then = people(&graph, &format!("main~{back}")).await;
        assert_eq!(then.len(), commits - back);
    }
    // A lookup asks as much of the store as in a table of one file, once its keys are known,
    // and before that a request or two for each file, and not twice the bytes.
    let [cold, warm] = lookups(&fixture.reopened().await, "p7").await;
    compact(&graph).await;
    assert_eq!(files(&graph, "person").await, 1);
    let [cold_compacted, warm_compacted] = lookups(&fixture.reopened().await, "p7").await;
    assert_eq!(warm.0, warm_compacted.0);
    assert!(
        warm.1 <= 2 * warm_compacted.1,
        "{warm:?} {warm_compacted:?}"
    );
    let told = format!("{left} files: {cold:?}, one: {cold_compacted:?}");
    assert!(cold.0 <= cold_compacted.0 + 3 * left as u64, "{told}");
    assert!(
        cold.1 <= 2 * cold_compacted.1 + 3_000 * left as u64,
        "{told}"
    );
}

#[tokio::test]
async fn transactions_and_loads_that_were_open_meanwhile_are_not_disturbed() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    for name in ["a", "b", "c", "d"] {
        add_people(graph, "main", &[name]).await.unwrap();
    }
    let person = table(&graph.snapshot("main").await.unwrap(), "person");
    let options = TransactionOptions {
        serializable: true,
        ..TransactionOptions::default()
    };
    // It reads all rows and writes one.
    let mut reader = graph.begin(&main(), options).await.unwrap();
    assert_eq!(column(&reader.snapshot(), "person", "name").await.len(), 4);
    reader.delete(person, &["d".to_owned()]).await.unwrap();
    // It locks one.
    let mut locker = begin(graph, "main").await;
    locker
        .lock(person, vec!["a".to_owned()], LockStrength::Update)
        .unwrap();
    insert(&mut locker, "team", &[&[None, Some("red")]])
        .await
        .unwrap();
    compact(graph).await;
    commit(reader).await.unwrap();
    commit(locker).await.unwrap();
    assert_eq!(people(graph, "main").await, ["a", "b", "c"]);
    // It empties the table.
    let mut emptier = begin(graph, "main").await;
    emptier.truncate(person, true).await.unwrap();
    add_people(graph, "main", &["e"]).await.unwrap();
    let conflict = commit(emptier).await.unwrap_err();
    assert!(conflict.is_retryable(), "{conflict:?}");
    let mut emptier = begin(graph, "main").await;
    emptier.truncate(person, true).await.unwrap();
    compact(graph).await;
    commit(emptier).await.unwrap();
    assert!(people(graph, "main").await.is_empty());
}

/// Whoever wrote beside others commits or conflicts by rows, whenever the files were rewritten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_conflict_and_files_do_not() {
    // What somebody else commits before, and at which moments all files are put together.
    for (theirs, conflicts) in [("b", false), ("a", true)] {
        for moments in 1..8 {
            for processes in [1, 2] {
                let fixture = Fixture::in_memory().await;
                let graph = &fixture.graph;
                for name in ["a", "b", "c"] {
                    add_people(graph, "main", &[name]).await.unwrap();
                }
                let other = match processes {
                    1 => graph.clone(),
                    _ => fixture.reopened().await,
                };
                let compact = async |moment: usize| {
                    if moments & moment > 0 {
                        compact_on(&other, "main").await;
                    }
                };
                let update = async |graph: &Graph, name: &str, age: &str| {
                    let mut transaction = begin(graph, "main").await;
                    let def = transaction
                        .snapshot()
                        .schema()
                        .table("person")
                        .unwrap()
                        .clone();
                    let row = rows(&def, &[&[Some(name), Some(name), Some(age), None]]);
                    transaction.update(def.id, row).await.unwrap();
                    transaction
                };
                compact(1).await;
                let mine = update(graph, "a", "31").await;
                compact(2).await;
                commit(update(&other, theirs, "32").await).await.unwrap();
                compact(4).await;
                let told = commit(mine).await;
                let what = format!("{theirs} {moments} {processes}: {told:?}");
                match told {
                    Err(crate::error::Error::Conflict { id, .. }) => {
                        assert_eq!((conflicts, id.as_str()), (true, "a"), "{what}")
                    }
                    told => assert!(told.is_ok() && !conflicts, "{what}"),
                }
                let snapshot = fixture.reopened().await.snapshot("main").await.unwrap();
                let expected = if conflicts {
                    ["30", "30", "32"]
                } else {
                    ["30", "31", "32"]
                };
                assert_eq!(column(&snapshot, "person", "age").await, expected, "{what}");
            }
        }
    }
}

/// Rows in which the bases of a crosswise merge differ, and one of which a side has left as it
/// was: nothing but its file is another.
#[tokio::test]
async fn rows_that_bases_disagree_about_are_told_whatever_file_they_are_in() {
    for (source, target) in [("b", "main"), ("main", "b")] {
        let fixture = Fixture::in_memory().await;
        let graph = &fixture.graph;
        many(graph).await;
        graph
            .create_branch(&branch("b"), "main", "a")
            .await
            .unwrap();
        run_all(graph, "main", "put person - z0 1 -").await;
        run_all(graph, "b", "put person - z1 1 -").await;
        let before = graph.snapshot("main").await.unwrap().commit();
        for (from, into) in [("b", "main"), (before.to_string().as_str(), "b")] {
            super::merges::merge(graph, from, into).await.unwrap();
        }
        for on in ["main", "b"] {
            assert!(compact_on(graph, on).await > 0);
        }
        run_all(
            graph,
            target,
            "put person - z0 2 -; put person - z1 2 -; put person - z2 2 -",
        )
        .await;
        let told = conflicts(super::merges::merge(graph, source, target).await);
        let mut ids: Vec<&str> = told.iter().map(|conflict| conflict.id.as_str()).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["z0", "z1"], "{source} into {target}");
        assert_eq!(kinds(&told), "DivergentUpdate age");
    }
}

/// Rows that are deleted or updated while their files are rewritten are so in the new file.
#[tokio::test]
async fn what_is_deleted_meanwhile_stays_deleted() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    for names in [["a", "b"], ["c", "d"], ["e", "f"]] {
        add_people(graph, "main", &names).await.unwrap();
    }
    let (branch, old) = graph.shared.resolve(&main(), false).await.unwrap();
    let mut transaction = begin(graph, "main").await;
    let def = transaction
        .snapshot()
        .schema()
        .table("person")
        .unwrap()
        .clone();
    transaction
        .delete(def.id, &["a".to_owned(), "d".to_owned()])
        .await
        .unwrap();
    let older = rows(&def, &[&[Some("e"), Some("e"), Some("99"), None]]);
    transaction.update(def.id, older).await.unwrap();
    commit(transaction).await.unwrap();
    // What is rewritten is what `old` has.
    let first = |files: &[Fragment]| vec![(0..files.len().min(3)).collect()];
    let tables = compact::rewrite(&branch, &old, first, "t").await.unwrap();
    assert_eq!(tables, 1);
    for graph in [graph, &fixture.reopened().await] {
        assert_eq!(people(graph, "main").await, ["b", "c", "e", "f"]);
        let snapshot = graph.snapshot("main").await.unwrap();
        assert_eq!(
            column(&snapshot, "person", "age").await,
            ["30", "30", "30", "99"]
        );
    }
    // The files are not the branch's any more: nothing is done.
    let again = compact::rewrite(&branch, &old, first, "t").await.unwrap();
    assert_eq!(again, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_replaces_rows_finds_them_in_their_new_files() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let line = |number: usize, age: usize| {
        format!("{{\"type\":\"Person\",\"data\":{{\"name\":\"p{number}\",\"age\":{age}}}}}\n")
    };
    let all: String = (0..60_000).map(|number| line(number, 30)).collect();
    let input = std::io::Cursor::new(all.into_bytes());
    load(
        graph,
        &main(),
        LoadMode::Append,
        input,
        LoadOptions::default(),
    )
    .await
    .unwrap();
    add_people(graph, "main", &["x"]).await.unwrap();
    // A reader that rewrites the files while it is read.
    struct Slow {
        inner: std::io::Cursor<Vec<u8>>,
        graph: Graph,
        runtime: tokio::runtime::Handle,
        done: bool,
    }
    impl std::io::Read for Slow {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let count = self.inner.read(into)?;
            if count == 0 && !self.done {
                self.done = true;
                self.runtime.block_on(compact(&self.graph));
            }
            Ok(count)
        }
    }
    let again: String = (0..60_000).map(|number| line(number, 31)).collect();
    let input = Slow {
        inner: std::io::Cursor::new(again.into_bytes()),
        graph: graph.clone(),
        runtime: tokio::runtime::Handle::current(),
        done: false,
    };
    load(
        graph,
        &main(),
        LoadMode::Merge,
        input,
        LoadOptions::default(),
    )
    .await
    .unwrap();
    let ages = column(&graph.snapshot("main").await.unwrap(), "person", "age").await;
    assert_eq!(ages.len(), 60_001);
    assert_eq!(ages.iter().filter(|age| *age == "31").count(), 60_000);
}

/// A head is found by its id, and by the time it was shown, once its first entry has forgotten
/// its tables; also if the branch that made it is gone.
#[tokio::test]
async fn a_head_is_kept_by_whatever_names_it() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["a"]).await.unwrap();
    graph
        .create_branch(&branch("b"), "main", "t")
        .await
        .unwrap();
    let head = add_people(graph, "b", &["b"]).await.unwrap().id;
    super::merges::merge(graph, "b", "main").await.unwrap();
    graph.delete_branch(&branch("b"), false, "t").await.unwrap();
    let then = Reference::at(graph.environment().now()).to_string();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        vacuum(graph).await;
        for graph in [graph, &fixture.reopened().await] {
            assert_eq!(people(graph, &head.to_string()).await, ["a", "b"]);
            assert_eq!(people(graph, &then).await, ["a", "b"]);
        }
    }
    // It is what later branches are merged over.
    graph
        .create_branch(&branch("c"), "main", "t")
        .await
        .unwrap();
    add_people(graph, "c", &["c"]).await.unwrap();
    add_people(graph, "main", &["d"]).await.unwrap();
    super::merges::merge(graph, "c", "main").await.unwrap();
    assert_eq!(people(graph, "main").await, ["a", "b", "c", "d"]);
}
