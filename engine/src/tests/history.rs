//! Naming states: steps back, times, tags; going back to them; the shape of histories.

use super::*;
use crate::HistoryKind;
use crate::commit::ancestry::Ancestors;
use crate::error::{Error, ObjectKind};

async fn ids(graph: &Graph, reference: &str, parents: Ancestors) -> Vec<String> {
    let snapshot = graph.snapshot(reference).await.unwrap();
    let commits = graph.history(&snapshot, parents).await.unwrap();
    let commits: Vec<CommitInfo> = commits.try_collect().await.unwrap();
    commits
        .iter()
        .map(|commit| match commit.kind {
            HistoryKind::Commit(_) => commit.id.to_string(),
            other => other.name().to_owned(),
        })
        .collect()
}

/// The commit that a reference names.
async fn named(graph: &Graph, reference: &str) -> Result<String> {
    Ok(graph.snapshot(reference).await?.commit().to_string())
}

#[tokio::test]
async fn steps_back_cross_forks_groups_and_resets() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    for name in ["a", "b", "c"] {
        add_people(graph, "main", &[name]).await.unwrap();
    }
    graph
        .create_branch(&branch("x"), "main~1", "t")
        .await
        .unwrap();
    add_people(graph, "x", &["d"]).await.unwrap();
    graph.create_branch(&branch("y"), "x", "t").await.unwrap();
    add_people(graph, "y", &["e"]).await.unwrap();
    assert_eq!(people(graph, "y").await, ["a", "b", "d", "e"]);
    assert_eq!(people(graph, "y~1").await, ["a", "b", "d"]);
    assert_eq!(people(graph, "y~2").await, ["a", "b"]);
    assert_eq!(people(graph, "y~1~2").await, ["a"]);
    assert!(people(graph, "y~4").await.is_empty());
    assert!(matches!(
        graph.snapshot("y~5").await,
        Err(Error::Invalid { .. })
    ));
    let back = graph.snapshot("y~3").await.unwrap();
    graph.reset_branch(&main(), &back, "t").await.unwrap();
    add_people(graph, "main", &["f"]).await.unwrap();
    assert_eq!(people(graph, "main").await, ["a", "f"]);
    assert_eq!(people(graph, "main~1").await, ["a"]);
    assert_eq!(
        people(&fixture.reopened().await, "main~2").await,
        Vec::<String>::new()
    );
}

/// Random histories of commits, forks and resets: every step back names what walking does.
#[tokio::test]
async fn every_step_back_is_where_walking_leads() {
    for seed in 1..=4u64 {
        let fixture = Fixture::in_memory().await;
        let graph = &fixture.graph;
        let mut names = vec!["main".to_owned()];
        let mut dice = seed;
        let mut roll = |sides: usize| {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) as usize % sides
        };
        for step in 0..60 {
            let at = names[roll(names.len())].clone();
            let depth = ids(graph, &at, Ancestors::FirstParent)
                .await
                .iter()
                .filter(|id| id.len() == 26)
                .count();
            let reference = format!("{at}~{}", roll(depth));
            match roll(8) {
                0 => {
                    let name = format!("b{step}");
                    graph
                        .create_branch(&branch(&name), &reference, "t")
                        .await
                        .unwrap();
                    names.push(name);
                }
                1 => {
                    let to = graph.snapshot(&reference).await.unwrap();
                    let name = names[roll(names.len())].clone();
                    graph.reset_branch(&branch(&name), &to, "t").await.unwrap();
                }
                _ => {
                    add_people(graph, &at, &[&format!("p{step}")])
                        .await
                        .unwrap();
                }
            }
        }
        let cold = fixture.reopened().await;
        for name in &names {
            let walked: Vec<String> = ids(graph, name, Ancestors::FirstParent)
                .await
                .into_iter()
                .filter(|id| id.len() == 26)
                .collect();
            for (back, id) in walked.iter().enumerate() {
                let reference = format!("{name}~{back}");
                assert_eq!(
                    &named(&cold, &reference).await.unwrap(),
                    id,
                    "seed {seed}: {reference}"
                );
            }
            assert!(
                named(&cold, &format!("{name}~{}", walked.len()))
                    .await
                    .is_err()
            );
            assert_eq!(
                walked,
                ids(graph, name, Ancestors::All)
                    .await
                    .into_iter()
                    .filter(|id| id.len() == 26)
                    .collect::<Vec<_>>()
            );
        }
    }
}

#[tokio::test]
async fn a_time_names_what_its_branch_showed_then() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let now = || graph.environment().now();
    let at = |micros: i64| crate::Reference::at(micros).to_string();
    let before = now() - 3_600_000_000;
    let made = now();
    let first = add_people(graph, "main", &["a"]).await.unwrap();
    let between = now();
    add_people(graph, "main", &["b"]).await.unwrap();
    graph
        .create_branch(&branch("x"), "main~1", "t")
        .await
        .unwrap();
    add_people(graph, "x", &["c"]).await.unwrap();
    let on = async |name: &str, time: i64| {
        let snapshot = graph.snapshot_on(&at(time), &branch(name)).await?;
        Ok::<_, Error>(column(&snapshot, "person", "name").await)
    };
    assert!(on("main", made).await.unwrap().is_empty());
    assert_eq!(on("main", first.created_at).await.unwrap(), ["a"]);
    assert_eq!(on("main", between).await.unwrap(), ["a"]);
    assert_eq!(on("main", now()).await.unwrap(), ["a", "b"]);
    // Before it was made, a branch shows what the one it was made from did.
    assert_eq!(on("x", between).await.unwrap(), ["a"]);
    assert_eq!(on("x", now()).await.unwrap(), ["a", "c"]);
    assert_eq!(
        named(graph, &format!("{}~1", at(now()))).await.unwrap(),
        first.id.to_string()
    );
    for wrong in [before, now() + 3_600_000_000] {
        assert!(matches!(on("x", wrong).await, Err(Error::Invalid { .. })));
    }
    // A reset changes what is shown from then on, not what was shown before.
    let then = now();
    let back = graph.snapshot("main~2").await.unwrap();
    graph.reset_branch(&main(), &back, "t").await.unwrap();
    assert_eq!(on("main", then).await.unwrap(), ["a", "b"]);
    assert!(on("main", now()).await.unwrap().is_empty());
}

#[tokio::test]
async fn tags_share_the_name_space_of_branches_and_stay() {
    let fixture = Fixture::in_memory().await;
    let (graph, other) = (&fixture.graph, fixture.reopened().await);
    let first = add_people(graph, "main", &["a"]).await.unwrap();
    let at = graph.snapshot("main").await.unwrap();
    let made = graph
        .create_tag(&branch("v1"), &at, Some("first".to_owned()), "ann")
        .await
        .unwrap();
    assert_eq!((made.commit, made.created_by.as_str()), (first.id, "ann"));
    add_people(graph, "main", &["b"]).await.unwrap();
    for reference in ["v1", "tag:v1"] {
        assert_eq!(people(&other, reference).await, ["a"]);
    }
    assert!(people(&other, "v1~1").await.is_empty());
    assert!(matches!(
        other.snapshot("branch:v1").await,
        Err(Error::NotFound {
            kind: ObjectKind::Branch,
            ..
        })
    ));
    assert!(matches!(
        other.snapshot("tag:main").await,
        Err(Error::NotFound {
            kind: ObjectKind::Tag,
            ..
        })
    ));
    let again = other.create_tag(&branch("v1"), &at, None, "t").await;
    assert!(matches!(
        again,
        Err(Error::AlreadyExists {
            kind: ObjectKind::Tag,
            ..
        })
    ));
    let taken = other.create_branch(&branch("v1"), "main", "t").await;
    assert!(matches!(
        taken,
        Err(Error::AlreadyExists {
            kind: ObjectKind::Tag,
            ..
        })
    ));
    let taken = other.create_tag(&branch("main"), &at, None, "t").await;
    assert!(matches!(
        taken,
        Err(Error::AlreadyExists {
            kind: ObjectKind::Branch,
            ..
        })
    ));
    other.delete_tag(&branch("v1"), "t").await.unwrap();
    assert!(graph.snapshot("tag:v1").await.is_err());
    assert!(matches!(
        graph.delete_tag(&branch("v1"), "t").await,
        Err(Error::NotFound { .. })
    ));
    graph
        .create_branch(&branch("v1"), "main", "t")
        .await
        .unwrap();
    assert_eq!(people(&other, "v1").await, ["a", "b"]);
}

#[tokio::test]
async fn tags_survive_the_folding_of_names() {
    let fixture = Fixture::in_memory().await;
    let at = fixture.graph.snapshot("main").await.unwrap();
    for number in 0..230 {
        fixture
            .graph
            .create_tag(&branch(&format!("t{number}")), &at, None, "t")
            .await
            .unwrap();
    }
    assert_eq!(fixture.reopened().await.tags().await.unwrap().len(), 230);
}

#[tokio::test]
async fn a_reset_is_an_entry_and_makes_no_commit() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let first = add_people(graph, "main", &["a"]).await.unwrap();
    let second = add_people(graph, "main", &["b"]).await.unwrap();
    let mut late = begin(graph, "main").await;
    insert(&mut late, "person", &[&[None, Some("late"), None, None]])
        .await
        .unwrap();
    let mut touching = begin(graph, "main").await;
    let person = table(&touching.snapshot(), "person");
    touching.delete(person, &["b".to_owned()]).await.unwrap();
    let back = graph.snapshot("main~1").await.unwrap();
    let shown = graph.reset_branch(&main(), &back, "t").await.unwrap();
    assert_eq!(shown.commit(), first.id);
    assert_eq!(people(graph, "main").await, ["a"]);
    let root = named(graph, "main~1").await.unwrap();
    assert_eq!(
        ids(graph, "main", Ancestors::All).await,
        ["reset".to_owned(), first.id.to_string(), root]
    );
    // What was left behind can still be read, and led back to.
    assert_eq!(people(graph, &second.id.to_string()).await, ["a", "b"]);
    // Whoever had begun before is checked against what the branch shows now.
    commit(late).await.unwrap();
    assert!(matches!(
        commit(touching).await,
        Err(Error::Conflict { .. })
    ));
    assert_eq!(people(graph, "main").await, ["a", "late"]);
    let forward = graph.snapshot(&second.id.to_string()).await.unwrap();
    graph.reset_branch(&main(), &forward, "t").await.unwrap();
    assert_eq!(people(&fixture.reopened().await, "main").await, ["a", "b"]);
}

#[tokio::test]
async fn a_revert_takes_back_one_commit_and_leaves_the_others() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada", "bob"]).await.unwrap();
    let mut transaction = begin(graph, "main").await;
    let person = table(&transaction.snapshot(), "person");
    insert(
        &mut transaction,
        "person",
        &[&[None, Some("cy"), None, Some("x@y")]],
    )
    .await
    .unwrap();
    insert(
        &mut transaction,
        "knows",
        &[&[Some("k1"), Some("ada"), Some("cy"), None]],
    )
    .await
    .unwrap();
    transaction
        .delete(person, &["bob".to_owned()])
        .await
        .unwrap();
    let wrong = commit(transaction).await.unwrap().unwrap();
    add_people(graph, "main", &["dan"]).await.unwrap();
    let made = graph.revert(&main(), wrong.id, "t").await.unwrap().unwrap();
    assert_eq!(made.kind.name(), "revert");
    assert_eq!(people(graph, "main").await, ["ada", "bob", "dan"]);
    assert!(
        column(&graph.snapshot("main").await.unwrap(), "knows", "id")
            .await
            .is_empty()
    );
    // A revert is a commit: it can be reverted too.
    graph.revert(&main(), made.id, "t").await.unwrap().unwrap();
    assert_eq!(people(graph, "main").await, ["ada", "cy", "dan"]);
    let first = graph.snapshot("main~5").await.unwrap().commit();
    assert!(matches!(
        graph.revert(&main(), first, "t").await,
        Err(Error::Unsupported { .. })
    ));
}

#[tokio::test]
async fn a_revert_refuses_what_was_changed_since() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let made = add_people(graph, "main", &["ada", "bob"]).await.unwrap();
    let mut transaction = begin(graph, "main").await;
    insert(
        &mut transaction,
        "knows",
        &[&[None, Some("ada"), Some("bob"), None]],
    )
    .await
    .unwrap();
    commit(transaction).await.unwrap();
    // An edge hangs on what would go.
    assert!(matches!(
        graph.revert(&main(), made.id, "t").await,
        Err(Error::Constraint(_))
    ));
    let mut transaction = begin(graph, "main").await;
    let person = table(&transaction.snapshot(), "person");
    let def = transaction
        .snapshot()
        .schema()
        .table("person")
        .unwrap()
        .clone();
    let changed = rows(&def, &[&[Some("bob"), Some("bob"), Some("99"), None]]);
    transaction.update(person, changed).await.unwrap();
    commit(transaction).await.unwrap();
    let head = named(graph, "main").await.unwrap();
    assert!(matches!(
        graph.revert(&main(), made.id, "t").await,
        Err(Error::Invalid { .. })
    ));
    assert_eq!(named(graph, "main").await.unwrap(), head);
}

#[tokio::test]
async fn going_far_back_in_a_long_history_takes_few_requests() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    for number in 0..300 {
        add_people(graph, "main", &[&format!("p{number}")])
            .await
            .unwrap();
    }
    let cold = fixture.reopened().await;
    let before = fixture.store.counts();
    cold.snapshot("main~150").await.unwrap();
    let sent = fixture.store.counts().since(&before).total();
    assert!(sent < 10, "{sent} requests");
    let before = fixture.store.counts();
    let snapshot = cold.snapshot("main").await.unwrap();
    let page = cold.history(&snapshot, Ancestors::All).await.unwrap();
    let page: Vec<CommitInfo> = futures::StreamExt::take(page, 10)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(page.len(), 10);
    let sent = fixture.store.counts().since(&before).total();
    assert!(sent <= 12, "{sent} requests");
}
