//! Tables are looked after between any two actions of users, who see nothing of it: each
//! history is run with and without, and all answers are the same.

use std::collections::{BTreeMap, BTreeSet};

use super::merge_histories::{Random, differences, statements};
use super::merges::{contents, merge};
use super::*;
use crate::HistoryKind;
use crate::commit::ancestry::Ancestors;
use crate::commit::publish::BranchShared;
use crate::dataset::Fragment;
use crate::error::Error;
use crate::maintain::compact;
use crate::snapshot::SnapshotState;

const HISTORIES: u64 = 5;
const STEPS: usize = 30;
const NAMES: [&str; 3] = ["main", "b", "c"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_are_looked_after_answer_as_those_that_are_not() {
    let mut rewritten = 0;
    for seed in seeds(HISTORIES) {
        println!("seed {seed}");
        let alone = History::run(seed, false).await;
        let beside = History::run(seed, true).await;
        assert_eq!(alone.told.len(), beside.told.len());
        for (alone, beside) in alone.told.iter().zip(&beside.told) {
            assert_eq!(alone, beside);
        }
        rewritten += beside.rewritten;
    }
    assert!(rewritten > 50, "{rewritten}");
}

/// A graph, and what its users were told, without ids and times.
struct History {
    graph: Graph,
    /// Another process, which looks after tables.
    keeper: Option<Graph>,
    random: Random,
    /// What is looked after, and when, must not decide what users do.
    chance: Random,
    cursors: BTreeMap<String, String>,
    told: Vec<String>,
    rewritten: u64,
}

impl History {
    async fn run(seed: u64, looked_after: bool) -> History {
        let fixture = Fixture::in_memory().await;
        let keeper = match looked_after {
            true => Some(fixture.reopened().await),
            false => None,
        };
        let mut history = History {
            graph: fixture.graph.clone(),
            keeper,
            random: Random(seed),
            chance: Random(!seed),
            cursors: BTreeMap::new(),
            told: Vec::new(),
            rewritten: 0,
        };
        for step in 0..STEPS {
            let seen = history.seen().await;
            history.step(step).await;
            history.look_after(seen).await;
        }
        for name in NAMES {
            history.look(name).await;
        }
        history
    }

    fn tell(&mut self, step: usize, action: &str, told: String) {
        self.told.push(format!("{step}: {action}: {told}"));
    }

    async fn step(&mut self, step: usize) {
        let (on, other) = (self.random.of(&NAMES), self.random.of(&NAMES));
        if self.graph.snapshot(on).await.is_err() {
            self.graph
                .create_branch(&branch(on), "main", "a")
                .await
                .unwrap();
            return;
        }
        match self.random.below(10) {
            0 => {
                let outcome = self.graph.delete_branch(&branch(on), false, "a").await;
                self.cursors.remove(on);
                self.tell(step, "delete", told(outcome));
            }
            1 | 2 if self.graph.snapshot(other).await.is_ok() => {
                let outcome = merge(&self.graph, other, on).await;
                let outcome = outcome.map(|merged| (merged.outcome.name(), merged.tables));
                self.tell(step, "merge", told(outcome));
            }
            3 => {
                let before = format!("{on}~1");
                if let Ok(before) = self.graph.snapshot(&before).await {
                    let id = before.commit();
                    let outcome = self.graph.revert(&branch(on), id, "a").await;
                    self.tell(step, "revert", told(outcome.map(|made| made.is_some())));
                }
            }
            4 => self.look(on).await,
            _ => self.write(step, on).await,
        }
    }

    /// A transaction beside which tables are looked after, and which follows the commit that
    /// its user has seen.
    async fn write(&mut self, step: usize, on: &str) {
        let mut message = CommitMessage::default();
        if self.random.below(2) == 0 {
            message.expected_head = Some(self.graph.snapshot(on).await.unwrap().commit());
        }
        let seen = self.seen().await;
        self.look_after(seen).await;
        let seen = self.seen().await;
        let mut transaction = begin(&self.graph, on).await;
        statements(&mut transaction, &mut self.random).await;
        self.look_after(seen).await;
        let outcome = transaction.commit(message).await;
        let outcome =
            outcome.map(|made| made.map(|made| (made.inserted, made.updated, made.deleted)));
        self.tell(step, "write", told(outcome));
    }

    /// What a branch shows, where it was before, and what its feed says of the way.
    async fn look(&mut self, on: &str) {
        let Ok(snapshot) = self.graph.snapshot(on).await else {
            return;
        };
        let at = self.told.len();
        let rows = contents(&self.graph, on).await;
        self.tell(at, on, format!("{rows:?}"));
        if self.graph.snapshot(&format!("{on}~1")).await.is_ok() {
            let rows = contents(&self.graph, &format!("{on}~1")).await;
            self.tell(at, "before", format!("{rows:?}"));
        }
        let commits = self.graph.history(&snapshot, Ancestors::All).await.unwrap();
        let commits: Vec<CommitInfo> = commits.try_collect().await.unwrap();
        let kinds = commits.iter().map(|commit| commit.kind);
        let kinds: Vec<&str> = kinds
            .filter(|kind| *kind != HistoryKind::Maintain)
            .map(HistoryKind::name)
            .collect();
        self.tell(at, "history", format!("{kinds:?}"));
        let cursor = self.cursors.get(on).map(String::as_str);
        let mut steps = self.graph.changes(&snapshot, cursor).await.unwrap();
        while let Some(step) = steps.try_next().await.unwrap() {
            let changes = differences(&step.before, &step.after).await;
            self.tell(at, "feed", format!("{changes:?}"));
            self.cursors.insert(on.to_owned(), step.cursor.to_string());
        }
    }

    /// What the keeper may rewrite, now or later.
    async fn seen(&mut self) -> Vec<(Arc<BranchShared>, Arc<SnapshotState>)> {
        let mut seen = Vec::new();
        for name in NAMES {
            let Some(keeper) = &self.keeper else { break };
            if self.chance.below(3) > 0 {
                seen.extend(keeper.shared.resolve(&branch(name), false).await.ok());
            }
        }
        seen
    }

    /// Puts the files of each table together, or rewrites them one by one.
    async fn look_after(&mut self, seen: Vec<(Arc<BranchShared>, Arc<SnapshotState>)>) {
        for (branch, state) in seen {
            let apart = self.chance.below(2) == 0;
            let choose = |files: &[Fragment]| match apart {
                true => (0..files.len()).map(|at| vec![at]).collect(),
                false => vec![(0..files.len()).collect()],
            };
            match compact::rewrite(&branch, &state, choose, "keeper").await {
                Ok(tables) => self.rewritten += tables,
                Err(Error::BranchDeleted { .. }) => continue,
                Err(error) => panic!("{error:?}"),
            }
            for table in branch.head_state().await.unwrap().tables.values() {
                let files = table.version().await.unwrap().fragments();
                let ids: BTreeSet<u64> = files.iter().map(|file| file.id).collect();
                assert_eq!(ids.len(), files.len(), "each file has a number of its own");
            }
        }
    }
}

/// An answer without what differs from run to run.
fn told<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    match outcome {
        Ok(value) => format!("{value:?}"),
        Err(error) => {
            let text = format!("{error:?}");
            let kind = text.split(|end: char| !end.is_alphanumeric()).next();
            kind.unwrap_or_default().to_owned()
        }
    }
}
