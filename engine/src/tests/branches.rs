use super::*;
use crate::error::{Error, ObjectKind};

#[tokio::test]
async fn a_branch_is_its_own_world() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    add_people(graph, "main", &["ada"]).await.unwrap();
    let made = graph
        .create_branch(&branch("review/1"), "main", "ann")
        .await
        .unwrap();
    assert_eq!(
        (made.name.as_str(), made.created_by.as_str()),
        ("review/1", "ann")
    );
    add_people(graph, "review/1", &["bob"]).await.unwrap();
    add_people(graph, "main", &["cy"]).await.unwrap();
    assert_eq!(people(graph, "main").await, ["ada", "cy"]);
    assert_eq!(people(graph, "review/1").await, ["ada", "bob"]);
    assert_eq!(people(graph, "review/1~1").await, ["ada"]);
    let nested = graph
        .create_branch(&branch("review/1/deep"), "review/1", "ann")
        .await
        .unwrap();
    assert!(nested.ordinal > made.ordinal);
    assert_eq!(
        people(&fixture.reopened().await, "review/1/deep").await,
        ["ada", "bob"]
    );
    let names: Vec<String> = graph
        .branches()
        .await
        .unwrap()
        .iter()
        .map(|b| b.name.to_string())
        .collect();
    assert_eq!(names, ["main", "review/1", "review/1/deep"]);
}

#[tokio::test]
async fn one_name_is_given_once_and_again_after_deletion() {
    let fixture = Fixture::in_memory().await;
    let (graph, other) = (&fixture.graph, fixture.reopened().await);
    let name = branch("b");
    let first = graph.create_branch(&name, "main", "a").await.unwrap();
    let again = other.create_branch(&name, "main", "a").await;
    assert!(matches!(
        again,
        Err(Error::AlreadyExists {
            kind: ObjectKind::Branch,
            ..
        })
    ));
    add_people(graph, "b", &["ada"]).await.unwrap();
    assert!(matches!(
        graph.delete_branch(&name, false, "a").await,
        Err(Error::Unmerged { .. })
    ));
    let mut open = begin(&other, "b").await;
    insert(&mut open, "person", &[&[None, Some("late"), None, None]])
        .await
        .unwrap();
    graph.delete_branch(&name, true, "a").await.unwrap();
    assert!(matches!(
        graph.snapshot("b").await,
        Err(Error::NotFound { .. })
    ));
    let second = graph.create_branch(&name, "main", "a").await.unwrap();
    assert_ne!(first.id, second.id);
    // A writer of the deleted branch never reaches the new one of the same name.
    assert!(matches!(
        commit(open).await,
        Err(Error::BranchDeleted { .. })
    ));
    assert!(people(&other, "b").await.is_empty());
}

#[tokio::test]
async fn an_untouched_branch_is_deleted_without_cascade_and_main_never() {
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    graph
        .create_branch(&branch("b"), "main", "a")
        .await
        .unwrap();
    graph.delete_branch(&branch("b"), false, "a").await.unwrap();
    assert!(matches!(
        graph.delete_branch(&branch("b"), false, "a").await,
        Err(Error::NotFound { .. })
    ));
    assert!(graph.delete_branch(&main(), true, "a").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_creators_of_one_name_have_one_winner() {
    let fixture = Fixture::on_disk().await;
    let mut tries = Vec::new();
    for _ in 0..16 {
        let graph = fixture.reopened().await;
        tries.push(tokio::spawn(async move {
            graph
                .create_branch(&branch("same"), "main", "a")
                .await
                .is_ok()
        }));
    }
    let mut winners = 0;
    for one in tries {
        winners += usize::from(one.await.unwrap());
    }
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn making_a_branch_costs_the_same_whatever_the_graph_holds() {
    let mut costs = Vec::new();
    for size in [10usize, 5_000] {
        let fixture = Fixture::in_memory().await;
        let graph = &fixture.graph;
        let mut transaction = begin(graph, "main").await;
        let person = transaction
            .snapshot()
            .schema()
            .table("person")
            .unwrap()
            .clone();
        let names: Vec<String> = (0..size).map(|number| format!("p{number}")).collect();
        let values: Vec<[Option<&str>; 4]> = names
            .iter()
            .map(|name| [None, Some(name.as_str()), None, None])
            .collect();
        let values: Vec<&[Option<&str>]> = values.iter().map(|row| row.as_slice()).collect();
        transaction
            .insert(person.id, rows(&person, &values))
            .await
            .unwrap();
        commit(transaction).await.unwrap();
        graph
            .create_branch(&branch("warm"), "main", "a")
            .await
            .unwrap();
        let before = fixture.store.counts();
        graph
            .create_branch(&branch("b"), "main", "a")
            .await
            .unwrap();
        costs.push(fixture.store.counts().since(&before).total());
    }
    assert_eq!(costs[0], costs[1]);
    assert!(costs[0] <= 8, "{} requests", costs[0]);
}

#[tokio::test]
async fn more_names_than_one_full_list_are_read_back() {
    let fixture = Fixture::in_memory().await;
    for number in 0..230 {
        let name = branch(&format!("b{number}"));
        fixture
            .graph
            .create_branch(&name, "main", "a")
            .await
            .unwrap();
        if number % 2 == 0 {
            fixture
                .graph
                .delete_branch(&name, false, "a")
                .await
                .unwrap();
        }
    }
    let names = fixture.reopened().await.branches().await.unwrap();
    assert_eq!(names.len(), 116);
}

#[tokio::test]
async fn a_lost_commit_is_unknown_by_its_id() {
    let fixture = Fixture::in_memory().await;
    let unknown = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    assert!(matches!(
        fixture.graph.snapshot(unknown).await,
        Err(Error::NotFound {
            kind: ObjectKind::Commit,
            ..
        })
    ));
    // A pointer that names an entry which does not list the commit proves nothing.
    let main = fixture.graph.branch(&main()).await.unwrap();
    let pointer = crate::format::CommitPointer {
        branch: main.id,
        seq: 0,
        restated: None,
    };
    let body = crate::format::encode(&pointer).unwrap();
    let id = crate::names::CommitId::parse(unknown).unwrap();
    fixture
        .store
        .write(&crate::storage::layout::commit(id), body)
        .await
        .unwrap();
    assert!(matches!(
        fixture.graph.snapshot(unknown).await,
        Err(Error::NotFound {
            kind: ObjectKind::Commit,
            ..
        })
    ));
}
