//! Graphs that are made and dropped while servers run.

use futures::future::join_all;
use omnigraph_engine::error::Error as EngineError;

use super::*;
use crate::cluster::{APPROVAL_REQUIRED, NewGraph};

const OWN: &str = "version: 1\ngroups: { all: [ada] }\nrules:\n  - { id: all, allow: { actors: { group: all }, actions: [read, change] } }\n";

fn lab(policy: Option<&str>) -> NewGraph<'_> {
    NewGraph {
        id: "lab",
        schema: PEOPLE,
        policy,
    }
}

fn code(outcome: Result<(), Error>) -> String {
    match outcome {
        Ok(()) => "done".to_owned(),
        Err(Error::Refused(found)) => found.code.to_owned(),
        Err(Error::Engine(EngineError::AlreadyExists { .. })) => "exists".to_owned(),
        Err(Error::Engine(EngineError::NotFound { .. })) => "missing".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_graph_made_at_run_time_is_nobodys_but_its_makers_until_it_is_declared() {
    let fixture = Fixture::new().await.applied().await;
    let cluster = fixture.cluster();
    cluster.create_graph(lab(Some(OWN)), "ada").await.unwrap();
    assert_eq!(fixture.live_schema("lab").await, PEOPLE);
    assert_eq!(code(cluster.create_graph(lab(None), "ada").await), "exists");
    let upper = NewGraph {
        id: "LAB",
        ..lab(None)
    };
    assert_eq!(code(cluster.create_graph(upper, "ada").await), "exists");
    let bad = NewGraph {
        id: "bad",
        schema: "node x",
        policy: None,
    };
    assert!(cluster.create_graph(bad, "ada").await.is_err());
    assert!(cluster.graph("bad").await.is_err());
    assert!(
        fixture
            .ledger()
            .await
            .resource(&Address::Graph("bad".to_owned()))
            .is_none()
    );
    // The plan shows it, and nothing is to be done about it or its policy.
    let plan = cluster.plan(&fixture.spec(), None, false).await.unwrap();
    assert_eq!(
        (plan.unmanaged, plan.changes.len()),
        (vec!["lab".to_owned()], 0)
    );
    assert!(!fixture.apply().await.state_written);
    let served = cluster.serve(&BTreeMap::new(), &Unread).await.unwrap();
    let lab = &served.graphs["lab"];
    assert!(!lab.declared && lab.policy.is_some() && served.graphs["knowledge"].declared);
    // Declared, it is like every other.
    fixture.edit(
        "cluster.yaml",
        "graphs:\n",
        "graphs:\n  lab: { schema: people.pg }\n",
    );
    let outcome = fixture.apply().await;
    assert!(outcome.converged, "{:?}", shown(&outcome.changes));
    let ledger = fixture.ledger().await;
    assert!(
        ledger
            .resource(&Address::Graph("lab".to_owned()))
            .unwrap()
            .origin
            .is_none()
    );
    assert!(
        ledger
            .resource(&Address::Policy("lab.runtime".to_owned()))
            .is_none()
    );
    assert_eq!(
        code(cluster.drop_graph("lab", "ada").await),
        APPROVAL_REQUIRED
    );
}

#[tokio::test]
async fn what_was_made_is_dropped_and_what_is_declared_with_an_approval_only() {
    let fixture = Fixture::new().await.applied().await;
    let cluster = fixture.cluster();
    cluster.create_graph(lab(Some(OWN)), "ada").await.unwrap();
    assert_eq!(code(cluster.drop_graph("nowhere", "ada").await), "missing");
    cluster.drop_graph("lab", "ada").await.unwrap();
    assert!(cluster.graph("lab").await.is_err());
    let ledger = fixture.ledger().await;
    assert!(ledger.tombstones.contains_key("graph.lab"));
    assert!(
        ledger
            .resource(&Address::Policy("lab.runtime".to_owned()))
            .is_none()
    );
    assert_eq!(
        code(cluster.drop_graph("scratch", "ada").await),
        APPROVAL_REQUIRED
    );
    fixture.remove_scratch();
    let scratch = Address::Graph("scratch".to_owned());
    cluster
        .approve(&fixture.spec(), &scratch, "andrew")
        .await
        .unwrap();
    cluster.drop_graph("scratch", "ada").await.unwrap();
    assert!(cluster.graph("scratch").await.is_err());
    assert!(cluster.approvals().await.unwrap().is_empty(), "it was used");
    let outcome = fixture.apply().await;
    assert!(outcome.converged && outcome.changes.is_empty());
    // The name is free again.
    cluster.create_graph(lab(None), "ada").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_make_graphs_at_once_on_several_servers() {
    let fixture = Fixture::new().await.applied().await;
    let names: Vec<String> = (0..9).map(|at| format!("g{at}")).collect();
    let servers: Vec<Cluster> = (0..3).map(|_| fixture.cluster()).collect();
    let made = names.iter().enumerate().map(|(at, id)| {
        let new = NewGraph {
            id,
            schema: PEOPLE,
            policy: None,
        };
        servers[at % 3].create_graph(new, "ada")
    });
    for outcome in join_all(made).await {
        outcome.unwrap();
    }
    let plan = fixture.cluster().plan(&fixture.spec(), None, false).await;
    assert_eq!(plan.unwrap().unmanaged, names);
    assert!(lock::holder(&fixture.store).await.unwrap().is_none());
}

#[tokio::test]
async fn who_finds_the_lock_held_for_long_is_told_by_whom() {
    let fixture = Fixture::new().await.applied().await;
    let clock = crate::cluster::Clock(omnigraph_engine::clock::system());
    let held = lock::Lock::take(&fixture.store, "apply", Some("andrew"), &clock);
    let held = held.await.unwrap();
    let error = fixture
        .cluster()
        .create_graph(lab(None), "ada")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("by andrew"), "{error}");
    assert!(fixture.cluster().graph("lab").await.is_err());
    held.release().await.unwrap();
}

#[tokio::test]
async fn killed_anywhere_the_graph_is_there_or_it_is_not() {
    for after in [false, true] {
        let mut at = 0;
        let (mut made, mut left) = (0, 0);
        loop {
            let fixture = Fixture::new().await.applied().await;
            let stop = Arc::new(Stop {
                armed: AtomicBool::new(true),
                seen: AtomicU64::new(0),
                at,
                after,
            });
            let store = fixture
                .store
                .with_faults(stop.clone())
                .with_patience(std::time::Duration::from_millis(50));
            let killed = over(store).create_graph(lab(Some(OWN)), "ada").await;
            if stop.seen.load(Ordering::SeqCst) <= at {
                killed.unwrap();
                assert!(at > 5, "{at}");
                break;
            }
            if let Some(held) = lock::holder(&fixture.store).await.unwrap() {
                let id = &held.lock_id;
                lock::force_unlock(&fixture.store, id).await.unwrap();
            }
            assert!(fixture.apply().await.converged, "killed at {at} ({after})");
            let cluster = fixture.cluster();
            match fixture
                .ledger()
                .await
                .resource(&Address::Graph("lab".to_owned()))
            {
                Some(held) => {
                    assert_eq!(held.origin.as_deref(), Some("runtime"));
                    let served = cluster.serve(&BTreeMap::new(), &Unread).await.unwrap();
                    assert!(served.graphs["lab"].policy.is_some(), "killed at {at}");
                    made += 1;
                }
                None => {
                    cluster.create_graph(lab(None), "ada").await.unwrap();
                    left += 1;
                }
            }
            at += 1;
        }
        assert!(made > 0 && left > 0, "{made} {left}");
    }
}
