//! Long histories: what opening one, going back in it and walking over it costs.

use super::*;
use crate::commit::ancestry::Ancestors;
use crate::format::{self, EntryKind};
use crate::names::CommitId;
use crate::storage::layout;

/// A graph whose `main` has so many commits. They are written as the log holds them: making
/// each one by a transaction would say no more and take minutes.
async fn long(commits: u64) -> Fixture {
    let fixture = Fixture::in_memory().await;
    let first = add_people(&fixture.graph, "main", &["a"]).await.unwrap();
    let branch = fixture.graph.branch(&main()).await.unwrap();
    let mut entry = (*fixture
        .graph
        .shared
        .logs
        .existing(&branch.id, first.seq)
        .await
        .unwrap())
    .clone();
    for number in 0..commits {
        let EntryKind::Commits { commits } = &mut entry.kind else {
            panic!("the last entry is a commit");
        };
        let commit = &mut commits[0];
        commit.tables.clear();
        commit.parents = vec![commit.id];
        commit.id = CommitId::new(ulid::Ulid::from_parts(1, u128::from(number)));
        commit.generation += 1;
        commit.time += 1;
        let state = entry.state.as_mut().unwrap();
        state.head = commit.id;
        state.generation += 1;
        state.lineage.depth += 1;
        entry.seq += 1;
        entry.time += 1;
        entry.nonce = number.to_string();
        let key = layout::log_entry(&branch.id, entry.seq);
        fixture
            .store
            .write(&key, format::encode(&entry).unwrap())
            .await
            .unwrap();
    }
    fixture
}

async fn walk(graph: &Graph, commits: usize) -> Vec<CommitId> {
    let snapshot = graph.snapshot("main").await.unwrap();
    let walk = graph.history(&snapshot, Ancestors::All).await.unwrap();
    let found: Vec<CommitInfo> = futures::StreamExt::take(walk, commits)
        .try_collect()
        .await
        .unwrap();
    found.iter().map(|commit| commit.id).collect()
}

#[tokio::test]
async fn a_hundred_thousand_commits_are_opened_and_searched_in_few_requests() {
    let fixture = long(100_000).await;
    let sent =
        |before: &crate::storage::RequestCounts| fixture.store.counts().since(before).total();
    let before = fixture.store.counts();
    let graph = fixture.reopened().await;
    assert!(sent(&before) <= 12, "opening: {} requests", sent(&before));
    for back in [1, 50_000, 99_999] {
        let graph = fixture.reopened().await;
        let before = fixture.store.counts();
        graph.snapshot(&format!("main~{back}")).await.unwrap();
        assert!(
            sent(&before) < 10,
            "main~{back}: {} requests",
            sent(&before)
        );
    }
    let before = fixture.store.counts();
    let page = walk(&graph, 20).await;
    assert_eq!(page.len(), 20);
    assert!(sent(&before) <= 25, "a page: {} requests", sent(&before));
}

#[tokio::test]
async fn walking_reads_a_thousand_entries_at_once_and_damage_costs_only_time() {
    let fixture = long(3_500).await;
    let expected = walk(&fixture.reopened().await, 10_000).await;
    assert_eq!(expected.len(), 3_502);
    let branch = fixture.graph.branch(&main()).await.unwrap();
    for _ in 0..200 {
        if fixture
            .store
            .list_all("_graph/checkpoints")
            .await
            .unwrap()
            .len()
            == 3
        {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let graph = fixture.reopened().await;
    let before = fixture.store.counts();
    assert_eq!(walk(&graph, 10_000).await, expected);
    let sent = fixture.store.counts().since(&before).total();
    assert!(sent <= 520, "{sent} requests");
    let key = layout::checkpoint(&branch.id, 1);
    let body = fixture.store.read(&key).await.unwrap().unwrap();
    let mut flipped = body.to_vec();
    flipped[5_000] ^= 1;
    for damaged in [flipped, body[..5_000].to_vec(), Vec::new()] {
        fixture.store.write(&key, damaged.into()).await.unwrap();
        assert_eq!(walk(&fixture.reopened().await, 10_000).await, expected);
    }
    fixture.store.delete(&key).await.unwrap();
    assert_eq!(walk(&fixture.reopened().await, 10_000).await, expected);
}

#[tokio::test]
async fn branches_meet_across_a_long_history_in_few_requests() {
    let fixture = long(20_000).await;
    let graph = &fixture.graph;
    graph
        .create_branch(&branch("x"), "main~10000", "t")
        .await
        .unwrap();
    let base = graph.snapshot("main~10000").await.unwrap();
    let pointer = format::CommitPointer {
        branch: graph.branch(&main()).await.unwrap().id,
        seq: base.seq(),
        restated: None,
    };
    let key = layout::commit(base.commit());
    let pointer = format::encode(&pointer).unwrap();
    fixture.store.write(&key, pointer).await.unwrap();
    add_people(graph, "x", &["b"]).await.unwrap();
    let graph = fixture.reopened().await;
    let before = fixture.store.counts();
    let (x, main) = (
        graph.snapshot("x").await.unwrap(),
        graph.snapshot("main").await.unwrap(),
    );
    assert_eq!(graph.compare(&x, &main).await.unwrap(), (1, 10_000));
    let sent = fixture.store.counts().since(&before).total();
    assert!(sent <= 20, "{sent} requests");
    let graph = fixture.reopened().await;
    let before = fixture.store.counts();
    super::merges::merge(&graph, "x", "main").await.unwrap();
    let sent = fixture.store.counts().since(&before).total();
    assert!(sent <= 60, "{sent} requests");
    assert_eq!(people(&graph, "main").await, ["a", "b"]);
    // What is merged once more goes no further back than to the merge.
    add_people(&graph, "x", &["c"]).await.unwrap();
    let graph = fixture.reopened().await;
    let before = fixture.store.counts();
    super::merges::merge(&graph, "x", "main").await.unwrap();
    let sent = fixture.store.counts().since(&before).total();
    assert!(sent <= 60, "{sent} requests");
    assert_eq!(people(&graph, "main").await, ["a", "b", "c"]);
}
