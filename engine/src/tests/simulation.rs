//! Processes, a failing store and time, all on one thread and all from one seed: a history runs
//! the same way twice, request by request.
//!
//! Its graph has no tables, because what writes those has threads and names of its own. What is
//! simulated is the rest: logs and their slots, names, commits of schemas, resets, merges, turns
//! between processes, lost replies, and a store that is silent for a while.

use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::merge_histories::Random;
use super::merges::merge;
use super::*;
use crate::CommitOutcome;
use crate::clock::Environment;
use crate::error::Error;
use crate::names::CommitId;
use crate::storage::{Fault, Faults, Operation};

const HISTORIES: u64 = 15;
const PROCESSES: usize = 3;
const ACTIONS: usize = 25;
const NAMES: [&str; 4] = ["main", "b", "B", "b/c"];

/// All that comes from outside.
#[derive(Debug)]
struct World(Mutex<Outside>);

#[derive(Debug)]
struct Outside {
    random: Random,
    /// Microseconds since the beginning.
    time: i64,
    /// Requests that the store is going to fail, whoever sends them.
    silent: usize,
    raining: bool,
    requests: Vec<String>,
}

impl World {
    fn of(seed: u64) -> Arc<World> {
        Arc::new(World(Mutex::new(Outside {
            random: Random(seed),
            time: 0,
            silent: 0,
            raining: false,
            requests: Vec::new(),
        })))
    }
}

impl Environment for World {
    fn now(&self) -> i64 {
        let mut outside = self.0.lock();
        outside.time += 1;
        1_700_000_000_000_000 + outside.time
    }

    fn random(&self) -> u128 {
        let mut outside = self.0.lock();
        let mut half = || u128::from(outside.random.below(usize::MAX) as u64);
        half() << 64 | half()
    }

    fn stopwatch(&self) -> Duration {
        Duration::from_micros(self.0.lock().time as u64)
    }

    fn pause(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.0.lock().time += time.as_micros() as i64;
        tokio::task::yield_now().boxed()
    }

    fn tells_time(&self) -> bool {
        false
    }
}

/// The way from a process to the store.
#[derive(Debug)]
struct Weather {
    process: usize,
    world: Arc<World>,
}

#[async_trait]
impl Faults for Weather {
    async fn on(&self, operation: Operation, key: &str) -> Fault {
        let (others, fault) = {
            let mut outside = self.world.0.lock();
            let request = format!("{}: {operation:?} {key}", self.process);
            outside.requests.push(request);
            let others = outside.random.below(4);
            if outside.raining && outside.random.below(60) == 0 {
                outside.silent = outside.random.below(40);
            }
            let fails = outside.silent > 0;
            outside.silent = outside.silent.saturating_sub(1);
            let fault = match (fails, outside.random.below(3)) {
                (false, _) => Fault::None,
                (true, 0) => Fault::FailAfter("its reply was lost".to_owned()),
                (true, _) => Fault::FailBefore("it was lost".to_owned()),
            };
            (others, fault)
        };
        for _ in 0..others {
            tokio::task::yield_now().await;
        }
        fault
    }
}

/// What one history was for those who lived it.
#[derive(Debug, PartialEq)]
struct History {
    requests: Vec<String>,
    told: Vec<String>,
    /// Commits by what their writers know of them, with the schema that they brought.
    commits: Vec<(CommitId, CommitOutcome, String)>,
}

#[tokio::test]
async fn a_seed_is_a_history_and_nothing_acknowledged_is_lost_in_it() {
    let mut unknown = 0;
    for seed in seeds(HISTORIES) {
        println!("seed {seed}");
        let (history, again) = (history(seed).await, history(seed).await);
        for (request, other) in history.requests.iter().zip(&again.requests) {
            assert_eq!(request, other);
        }
        assert_eq!(history, again);
        let all = history.told.iter();
        unknown += all.filter(|told| told.contains("OutcomeUnknown")).count();
    }
    assert!(unknown > 0, "no outcome was ever unknown");
}

async fn history(seed: u64) -> History {
    let world = World::of(seed);
    let store = Store::connect("memory:", &StoreOptions::default())
        .await
        .unwrap()
        .with_patience(Duration::from_millis(200));
    Graph::create_in(store.clone(), "", "t", resources(), world.clone())
        .await
        .unwrap();
    let mut processes = Vec::new();
    for process in 0..PROCESSES {
        let weather = Arc::new(Weather {
            process,
            world: world.clone(),
        });
        let store = store.with_faults(weather);
        let graph = Graph::open_in(store, resources(), world.clone());
        processes.push(graph.await.unwrap());
    }
    world.0.lock().raining = true;
    let users = processes.into_iter().enumerate().map(|(process, graph)| {
        let random = Random(seed.wrapping_mul(31).wrapping_add(process as u64));
        tokio::spawn(
            User {
                process,
                graph,
                random,
                told: Vec::new(),
                commits: Vec::new(),
            }
            .live(),
        )
    });
    let users: Vec<_> = users.collect();
    let (mut told, mut commits) = (Vec::new(), Vec::new());
    for user in users {
        let user = user.await.unwrap();
        told.extend(user.told);
        commits.extend(user.commits);
    }
    let requests = std::mem::take(&mut world.0.lock().requests);
    let graph = Graph::open_in(store, resources(), world.clone())
        .await
        .unwrap();
    whole(&graph, &commits).await;
    History {
        requests,
        told,
        commits,
    }
}

struct User {
    process: usize,
    graph: Graph,
    random: Random,
    told: Vec<String>,
    commits: Vec<(CommitId, CommitOutcome, String)>,
}

impl User {
    async fn live(mut self) -> User {
        for number in 0..ACTIONS {
            self.act(number).await;
        }
        self
    }

    async fn act(&mut self, number: usize) {
        let (on, other) = (self.random.of(&NAMES), self.random.of(&NAMES));
        let name = branch(on);
        let graph = &self.graph;
        let told = match self.random.below(10) {
            0 => told(graph.create_branch(&name, other, "t").await.map(drop)),
            1 if on != "main" => told(graph.delete_branch(&name, true, "t").await),
            2 => match graph.snapshot(other).await {
                Ok(to) => told(
                    graph
                        .create_tag(&branch("v"), &to, None, "t")
                        .await
                        .map(drop),
                ),
                Err(error) => told(Err(error)),
            },
            3 => told(graph.delete_tag(&branch("v"), "t").await.map(drop)),
            4 => match graph.snapshot(&format!("{other}~1")).await {
                Ok(to) => told(graph.reset_branch(&name, &to, "t").await.map(drop)),
                Err(error) => told(Err(error)),
            },
            5 => told(merge(graph, other, on).await.map(drop)),
            _ => self.write(&name, number).await,
        };
        self.told
            .push(format!("{} {number}: {on} {other}: {told}", self.process));
    }

    /// A commit, whose outcome is asked for until it is known.
    async fn write(&mut self, on: &crate::names::BranchName, number: usize) -> String {
        let source = format!("// {} {number}", self.process);
        let outcome = self.graph.migrate(on, &source, "t", None).await;
        match &outcome {
            Ok(migrated) => {
                let commit = migrated.commit.as_ref().unwrap().id;
                self.commits
                    .push((commit, CommitOutcome::Committed, source));
            }
            Err(Error::OutcomeUnknown { commit }) => {
                let id = CommitId::parse(commit).unwrap();
                let known = loop {
                    if let Ok(outcome) = self.graph.commit_outcome(id).await {
                        break outcome;
                    }
                };
                self.commits.push((id, known, source));
            }
            Err(_) => {}
        }
        told(outcome.map(drop))
    }
}

fn told(outcome: Result<()>) -> String {
    match outcome {
        Ok(()) => "done".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

/// Every branch is a log without gaps whose times rise; what was acknowledged is there, and
/// what was called aborted is not.
async fn whole(graph: &Graph, commits: &[(CommitId, CommitOutcome, String)]) {
    for info in graph.branches().await.unwrap() {
        let mut before = i64::MIN;
        for seq in 0..=info.head_seq {
            let entry = graph.shared.logs.existing(&info.id, seq).await.unwrap();
            assert!(entry.time > before);
            before = entry.time;
        }
    }
    for (id, outcome, source) in commits {
        match (graph.snapshot(&id.to_string()).await, outcome) {
            (Ok(found), CommitOutcome::Committed) => assert_eq!(found.schema().source, *source),
            (Err(Error::NotFound { .. }), CommitOutcome::Aborted) => {}
            (found, _) => panic!("{id} was {outcome:?}: {found:?}"),
        }
    }
}
