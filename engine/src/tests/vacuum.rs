//! Vacuum: what goes, what stays, and what others see while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::error::Error;
use crate::load::{LoadMode, LoadOptions, load};

/// Reads every row of every column: no file of the state may be missing.
async fn read_all(snapshot: &Snapshot) -> Result<u64> {
    let mut rows = 0;
    for table in snapshot.tables() {
        let request = ScanRequest {
            columns: (0..table.def().columns().len()).collect(),
            partitions: 1,
            batch_rows: 1000,
        };
        for stream in table.scan(request).await? {
            let batches: Vec<RecordBatch> = stream.try_collect().await?;
            rows += batches
                .iter()
                .map(|batch| batch.num_rows() as u64)
                .sum::<u64>();
        }
    }
    Ok(rows)
}

#[tokio::test]
async fn superseded_states_go_and_named_ones_stay() {
    let fixture = Fixture::on_disk().await;
    let graph = &fixture.graph;
    let first = add_people(graph, "main", &["a"]).await.unwrap();
    let at = graph.snapshot("main").await.unwrap();
    graph
        .create_tag(&branch("v1"), &at, None, "t")
        .await
        .unwrap();
    let second = add_people(graph, "main", &["b"]).await.unwrap();
    graph
        .create_branch(&branch("x"), "main", "t")
        .await
        .unwrap();
    for name in ["c", "d", "e"] {
        add_people(graph, "main", &[name]).await.unwrap();
    }
    let gone = graph.snapshot("main~1").await.unwrap().commit().to_string();
    let report = vacuum(graph).await;
    assert!(report.removed.files > 0 && report.expired > 0, "{report:?}");
    for graph in [graph, &fixture.reopened().await] {
        assert_eq!(people(graph, "main").await, ["a", "b", "c", "d", "e"]);
        assert_eq!(people(graph, "v1").await, ["a"]);
        assert_eq!(people(graph, "x").await, ["a", "b"]);
        assert_eq!(people(graph, &first.id.to_string()).await, ["a"]);
        assert_eq!(people(graph, &second.id.to_string()).await, ["a", "b"]);
        for reference in [gone.as_str(), "main~1"] {
            assert!(
                matches!(graph.snapshot(reference).await, Err(Error::Expired { .. })),
                "{reference}"
            );
        }
        // What was committed is still told.
        let commits: Vec<CommitInfo> = graph
            .commits("main", crate::commit::ancestry::Ancestors::All)
            .try_collect()
            .await
            .unwrap();
        let made = commits
            .iter()
            .filter(|commit| matches!(commit.kind, crate::HistoryKind::Commit(_)));
        assert_eq!(made.count(), 6);
    }
    // Nothing can be made of what is not kept.
    let lost = at.commit();
    graph.delete_tag(&branch("v1"), "t").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    vacuum(graph).await;
    assert!(matches!(
        graph.snapshot(&lost.to_string()).await,
        Err(Error::Expired { .. })
    ));
    assert!(matches!(
        graph.create_tag(&branch("v2"), &at, None, "t").await,
        Err(Error::Expired { .. })
    ));
    assert!(matches!(
        graph.create_branch_at(&branch("y"), &at, "t").await,
        Err(Error::Expired { .. })
    ));
    assert!(matches!(
        graph.reset_branch(&main(), &at, "t").await,
        Err(Error::Expired { .. })
    ));
    let again = vacuum(graph).await;
    assert_eq!((again.removed.files, again.compacted), (0, 0), "{again:?}");
}

#[tokio::test]
async fn age_counts_from_supersession() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let idle = add_people(graph, "main", &["a"]).await.unwrap();
    add_people(graph, "main", &["b"]).await.unwrap();
    // However old the first commit is, it was replaced less than an hour ago.
    let options = VacuumOptions {
        retain: 3_600_000_000,
        grace: 0,
        ..VacuumOptions::default()
    };
    graph.vacuum(options.clone()).await.unwrap();
    assert_eq!(people(graph, &idle.id.to_string()).await, ["a"]);
    // A grace above the retention is kept as well.
    let options = VacuumOptions {
        retain: 0,
        grace: 3_600_000_000,
        ..options
    };
    graph.vacuum(options).await.unwrap();
    assert_eq!(people(graph, &idle.id.to_string()).await, ["a"]);
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let fixture = Fixture::on_disk().await;
    let graph = &fixture.graph;
    for name in ["a", "b", "c"] {
        add_people(graph, "main", &[name]).await.unwrap();
    }
    let before = fixture.store.list_all("").await.unwrap();
    let options = VacuumOptions {
        retain: 0,
        grace: 0,
        dry_run: true,
        ..VacuumOptions::default()
    };
    let told = graph.vacuum(options).await.unwrap();
    assert!(told.removed.files > 0);
    assert_eq!(fixture.store.list_all("").await.unwrap(), before);
}

#[tokio::test]
async fn storage_is_within_half_of_a_fresh_copy() {
    let fixture = Fixture::on_disk().await;
    let graph = &fixture.graph;
    let line = |number: usize, age: usize| {
        format!(
            "{{\"type\":\"Person\",\"data\":{{\"name\":\"person number {number}\",\"age\":{age},\"email\":\"p{number}@example.org\"}}}}\n"
        )
    };
    let all = |age| {
        (0..20_000)
            .map(|number| line(number, age))
            .collect::<String>()
    };
    let loaded = async |graph: &Graph, data: String, mode| {
        let input = std::io::Cursor::new(data.into_bytes());
        load(graph, &main(), mode, input, LoadOptions::default())
            .await
            .unwrap();
    };
    loaded(graph, all(1), LoadMode::Append).await;
    for round in 2..5 {
        let some: String = (0..20_000)
            .step_by(3)
            .map(|number| line(number, round))
            .collect();
        loaded(graph, some, LoadMode::Merge).await;
    }
    for number in 0..60 {
        add_people(graph, "main", &[&format!("late {number}")])
            .await
            .unwrap();
    }
    let bytes = async |store: &Store| {
        let files = store.list_all("").await.unwrap();
        files.iter().map(|(_, size)| size).sum::<u64>()
    };
    let before = bytes(&fixture.store).await;
    vacuum(graph).await;
    let after = bytes(&fixture.store).await;
    let fresh = Fixture::on_disk().await;
    let mut copy = all(1);
    copy.extend((0..60).map(|number| line(number + 20_000, 1)));
    loaded(&fresh.graph, copy, LoadMode::Append).await;
    let least = bytes(&fresh.store).await;
    assert!(after < before, "{before} → {after}");
    assert!(
        after * 2 <= least * 3,
        "{after} bytes, a fresh copy has {least}"
    );
    assert_eq!(
        read_all(&graph.snapshot("main").await.unwrap())
            .await
            .unwrap(),
        20_060
    );
}

#[tokio::test]
async fn a_writer_whose_files_were_removed_publishes_nothing() {
    let fixture = Fixture::on_disk().await;
    let (graph, other) = (&fixture.graph, fixture.reopened().await);
    add_people(graph, "main", &["a"]).await.unwrap();
    // A load writes its files long before it publishes them.
    let snapshot = graph.snapshot("main").await.unwrap();
    let person = snapshot.table_named("person").unwrap().def().clone();
    let version = snapshot.state.tables[&person.id]
        .version()
        .await
        .unwrap()
        .clone();
    let strict = RecordBatch::try_new(
        person.arrow_schema(),
        rows(&person, &[&[Some("late"), Some("late"), Some("1"), None]])
            .columns()
            .to_vec(),
    )
    .unwrap();
    let staged = version.stage(vec![strict]).await.unwrap();
    let change = crate::dataset::TableChange {
        added: staged,
        ..Default::default()
    };
    let private = version.commit(change).await.unwrap();
    private.settle(Some(&version)).await.unwrap();
    let written = [(private, Some(version))];
    let check =
        async || crate::maintain::vacuum::check_files(&graph.shared, &main(), &written).await;
    check().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let options = VacuumOptions::default();
    other.vacuum(options).await.unwrap();
    check().await.unwrap();
    vacuum(&other).await;
    assert!(matches!(check().await, Err(Error::Conflict { .. })));
}

#[tokio::test]
async fn a_reader_of_an_old_state_is_told_that_it_is_too_old() {
    let fixture = Fixture::on_disk().await;
    let graph = &fixture.graph;
    for name in ["a", "b"] {
        add_people(graph, "main", &[name]).await.unwrap();
    }
    // Another process began to read before, and has opened nothing yet.
    let reader = fixture.reopened().await;
    let old = reader.snapshot("main").await.unwrap();
    add_people(graph, "main", &["c"]).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    vacuum(graph).await;
    let outcome = read_all(&old).await;
    assert!(matches!(outcome, Err(Error::Expired { .. })), "{outcome:?}");
    // A file that is missing although its state is kept is damage.
    let now = reader.snapshot("main").await.unwrap();
    let table = &now.state.tables[&table(&now, "person")];
    let file = table
        .version()
        .await
        .unwrap()
        .files()
        .into_iter()
        .find(|file| file.contains("/data/"));
    fixture.store.delete(&file.unwrap()).await.unwrap();
    let outcome = read_all(&now).await;
    assert!(matches!(outcome, Err(Error::Missing { .. })), "{outcome:?}");
}

/// Vacuum without any grace in a loop, beside writers and readers who share nothing with it
/// but the store: whatever a name leads to is whole, always.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vacuum_beside_everybody_leaves_every_name_readable() {
    let fixture = Fixture::on_disk().await;
    for number in 0..5 {
        add_people(&fixture.graph, "main", &[&format!("seed{number}")])
            .await
            .unwrap();
    }
    fixture
        .graph
        .create_branch(&branch("x"), "main", "t")
        .await
        .unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for (number, at) in ["main", "x"].into_iter().enumerate() {
        let graph = fixture.reopened().await;
        tasks.push(tokio::spawn(async move {
            for round in 0..25 {
                match add_people(&graph, at, &[&format!("w{number}-{round}")]).await {
                    Ok(_) | Err(Error::Conflict { .. } | Error::Expired { .. }) => {}
                    Err(error) => panic!("a writer met {error:?}"),
                }
            }
        }));
    }
    let graph = fixture.reopened().await;
    tasks.push(tokio::spawn(async move {
        for round in 0..15 {
            let name = branch(&format!("t{}", round % 4));
            let Ok(at) = graph
                .snapshot(if round % 2 == 0 { "main" } else { "x~1" })
                .await
            else {
                continue;
            };
            let outcome = match round % 3 {
                0 => graph.create_tag(&name, &at, None, "t").await.map(drop),
                1 => graph
                    .create_branch_at(&branch(&format!("b{round}")), &at, "t")
                    .await
                    .map(drop),
                _ => graph.delete_tag(&name, "t").await.map(drop),
            };
            match outcome {
                Ok(())
                | Err(
                    Error::AlreadyExists { .. } | Error::NotFound { .. } | Error::Expired { .. },
                ) => {}
                Err(error) => panic!("a name was refused: {error:?}"),
            }
        }
    }));
    let (graph, stop) = (fixture.reopened().await, done.clone());
    let reader = tokio::spawn(async move {
        while !stop.load(Ordering::SeqCst) {
            for at in ["main", "x", "main~1"] {
                let read = async { read_all(&graph.snapshot(at).await?).await };
                match read.await {
                    Ok(_) | Err(Error::Expired { .. }) => {}
                    Err(error) => panic!("a reader met {error:?}"),
                }
            }
        }
    });
    let (graph, stop) = (fixture.reopened().await, done.clone());
    let sweeper = tokio::spawn(async move {
        while !stop.load(Ordering::SeqCst) {
            vacuum(&graph).await;
        }
    });
    for task in tasks {
        task.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    reader.await.unwrap();
    sweeper.await.unwrap();
    let graph = fixture.reopened().await;
    let mut names: Vec<String> = graph
        .branches()
        .await
        .unwrap()
        .iter()
        .map(|b| b.name.to_string())
        .collect();
    names.extend(graph.tags().await.unwrap().into_iter().map(|tag| tag.name));
    assert!(names.len() > 4, "{names:?}");
    for name in names {
        read_all(&graph.snapshot(&name).await.unwrap())
            .await
            .unwrap();
    }
}
