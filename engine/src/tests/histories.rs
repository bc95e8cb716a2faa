//! Random histories of everything that happens to a graph: writes, branches, merges, reverts,
//! resets, tags, vacuums and restarts, against a model that keeps every state whole. The seed
//! of a history that fails is printed.

use std::collections::{BTreeMap, BTreeSet};

use super::merge_histories::{Model, Random, compare, merge, write};
use super::merges::{Rows, broken, contents};
use super::*;
use crate::error::Error;
use crate::names::CommitId;

const HISTORIES: u64 = 10;
const STEPS: usize = 45;

/// What a branch showed at a time.
struct Shown {
    branch: String,
    time: i64,
    commit: usize,
    /// How often the branch had moved by then.
    moves: usize,
    /// A vacuum may have given it up.
    forgotten: bool,
}

#[derive(Default)]
struct World {
    model: Model,
    /// Of the model's commits.
    ids: Vec<CommitId>,
    tags: BTreeMap<String, usize>,
    shown: Vec<Shown>,
    moves: BTreeMap<String, usize>,
    /// Commits that a vacuum may have given up.
    given_up: BTreeSet<usize>,
    names: usize,
    reached: BTreeMap<&'static str, usize>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_histories_of_everything_agree_with_the_model() {
    let mut reached: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in seeds(HISTORIES) {
        println!("seed {seed}");
        for (what, times) in history(seed).await {
            *reached.entry(what).or_default() += times;
        }
    }
    for what in [
        "written", "merged", "reverted", "touched", "reset", "tagged", "forked", "expired", "kept",
        "ended",
    ] {
        assert!(reached.contains_key(what), "{what}: {reached:?}");
    }
}

async fn history(seed: u64) -> BTreeMap<&'static str, usize> {
    let mut random = Random(seed);
    let fixture = Fixture::in_memory().await;
    let mut graph = fixture.reopened().await;
    let mut world = World::default();
    world.model.commit("main", Vec::new(), Rows::new());
    world
        .ids
        .push(graph.snapshot("main").await.unwrap().commit());
    for _ in 0..STEPS {
        let names: Vec<String> = world.model.heads.keys().cloned().collect();
        let on = names[random.below(names.len())].clone();
        let commit = random.below(world.ids.len());
        match random.below(20) {
            0 | 1 if names.len() < 4 => world.fork(&graph, commit).await,
            2 => world.reset(&graph, &on, commit).await,
            3 => world.tag(&graph, commit).await,
            4 | 5 => world.revert(&graph, &on, commit).await,
            6 => world.end(&graph, &on).await,
            7 => world.vacuum(&graph).await,
            8 => graph = fixture.reopened().await,
            9..=12 => {
                let source = names[random.below(names.len())].clone();
                world.merge(&graph, &source, &on).await;
            }
            _ => {
                write(&graph, &mut world.model, &on, &mut random).await;
                world.reached("written");
            }
        }
        world.note(&graph, &on).await;
        world.look(&graph, &mut random).await;
    }
    world.look_at_everything(&fixture.reopened().await).await;
    world.reached
}

impl World {
    fn reached(&mut self, what: &'static str) {
        *self.reached.entry(what).or_default() += 1;
    }

    /// Is it an error that the state is not kept? `None`: it is not that error.
    fn allows<T>(&mut self, outcome: Result<T>, commits: &[usize]) -> Option<Result<T>> {
        if let Err(Error::Expired { .. }) = &outcome {
            assert!(
                commits.iter().any(|commit| self.given_up.contains(commit)),
                "{commits:?} are kept"
            );
            self.reached("expired");
            return None;
        }
        Some(outcome)
    }

    /// What is kept for merges only can be read and not be given a name.
    fn may_name(&mut self, outcome: Result<()>) -> bool {
        if let Err(Error::Expired { .. }) = &outcome {
            assert!(!self.given_up.is_empty());
            self.reached("unnamed");
            return false;
        }
        outcome.unwrap();
        true
    }

    async fn note(&mut self, graph: &Graph, on: &str) {
        if self.model.commits.len() > self.ids.len() {
            let head = graph.snapshot(on).await.unwrap().commit();
            self.ids.push(head);
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        for (branch, commit) in &self.model.heads {
            let moved = self
                .shown
                .iter()
                .rev()
                .find(|shown| shown.branch == *branch)
                .is_none_or(|shown| shown.commit != *commit);
            let moves = self.moves.entry(branch.clone()).or_default();
            *moves += usize::from(moved);
            self.shown.push(Shown {
                branch: branch.clone(),
                time: graph.environment().now(),
                commit: *commit,
                moves: *moves,
                forgotten: false,
            });
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }

    /// The state that `commit` left behind is a head or has a name again.
    fn named(&mut self, commit: usize) {
        self.given_up.remove(&commit);
    }

    async fn fork(&mut self, graph: &Graph, commit: usize) {
        self.names += 1;
        let name = format!("b{}", self.names);
        let from = self.ids[commit].to_string();
        let from = graph.snapshot(&from).await;
        let Some(from) = self.allows(from, &[commit]) else {
            return;
        };
        let outcome = graph
            .create_branch_at(&branch(&name), &from.unwrap(), "a")
            .await;
        if self.may_name(outcome.map(|_| ())) {
            self.model.heads.insert(name, commit);
            self.named(commit);
            self.reached("forked");
        }
    }

    async fn reset(&mut self, graph: &Graph, on: &str, commit: usize) {
        let to = graph.snapshot(&self.ids[commit].to_string()).await;
        if let Some(to) = self.allows(to, &[commit]) {
            let outcome = graph.reset_branch(&branch(on), &to.unwrap(), "a").await;
            if !self.may_name(outcome.map(|_| ())) {
                return;
            }
            self.model.heads.insert(on.to_owned(), commit);
            // It shows the commit anew, whichever it showed before.
            *self.moves.entry(on.to_owned()).or_default() += 1;
            self.named(commit);
            self.reached("reset");
        }
    }

    async fn tag(&mut self, graph: &Graph, commit: usize) {
        if self.tags.len() >= 3 {
            let (name, _) = self.tags.pop_first().unwrap();
            graph.delete_tag(&branch(&name), "a").await.unwrap();
            return;
        }
        self.names += 1;
        let name = format!("t{}", self.names);
        let at = graph.snapshot(&self.ids[commit].to_string()).await;
        if let Some(at) = self.allows(at, &[commit]) {
            let at = at.unwrap();
            let outcome = graph.create_tag(&branch(&name), &at, None, "a").await;
            if !self.may_name(outcome.map(|_| ())) {
                return;
            }
            self.tags.insert(name, commit);
            self.named(commit);
            self.reached("tagged");
        }
    }

    async fn revert(&mut self, graph: &Graph, on: &str, commit: usize) {
        let outcome = graph.revert(&branch(on), self.ids[commit], "a").await;
        let Some(&parent) = self.model.commits[commit].0.first() else {
            assert!(
                matches!(outcome, Err(Error::Unsupported { .. })),
                "{outcome:?}"
            );
            return;
        };
        let Some(outcome) = self.allows(outcome, &[commit, parent]) else {
            return;
        };
        let (before, after) = (&self.model.commits[parent].1, &self.model.commits[commit].1);
        let mut rows = self.model.rows(on).clone();
        let changed: Vec<_> = before
            .keys()
            .chain(after.keys())
            .filter(|key| before.get(*key) != after.get(*key))
            .collect();
        let touched = changed.iter().any(|key| rows.get(*key) != after.get(*key));
        for key in &changed {
            match before.get(*key) {
                Some(row) => rows.insert((*key).clone(), row.clone()),
                None => rows.remove(*key),
            };
        }
        let nothing = changed.is_empty();
        match outcome {
            Err(Error::Invalid { .. }) => {
                assert!(touched);
                self.reached("touched");
            }
            Err(Error::Constraint(_)) => assert!(!touched && !broken(&rows).is_empty()),
            Ok(None) => assert!(nothing),
            Ok(Some(_)) => {
                assert!(!touched && !nothing);
                assert_eq!(contents(graph, on).await, rows);
                let head = self.model.heads[on];
                self.model.commit(on, vec![head], rows);
                self.reached("reverted");
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn end(&mut self, graph: &Graph, on: &str) {
        if on != "main" {
            graph.delete_branch(&branch(on), true, "a").await.unwrap();
            self.model.heads.remove(on);
            self.shown.retain(|shown| shown.branch != on);
            self.reached("ended");
        }
    }

    async fn merge(&mut self, graph: &Graph, source: &str, target: &str) {
        let preview = graph.merge_conflicts(source, target).await;
        let all: Vec<usize> = (0..self.ids.len()).collect();
        if self.allows(preview, &all).is_none() {
            let options = crate::merge::MergeOptions::default();
            let outcome = graph.merge(source, &branch(target), options).await;
            assert!(matches!(outcome, Err(Error::Expired { .. })), "{outcome:?}");
            return;
        }
        let before = self.model.heads[target];
        merge(graph, &mut self.model, source, target).await;
        if self.model.heads[target] != before {
            self.reached("merged");
        }
    }

    async fn vacuum(&mut self, graph: &Graph) {
        // Ages are told by a clock that has to go on.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        super::vacuum(graph).await;
        let named: BTreeSet<usize> = self
            .model
            .heads
            .values()
            .chain(self.tags.values())
            .copied()
            .collect();
        self.given_up = (0..self.ids.len())
            .filter(|commit| !named.contains(commit))
            .collect();
        for shown in &mut self.shown {
            shown.forgotten |= self.moves[&shown.branch] != shown.moves;
        }
    }

    /// One commit, one name and one time, wherever the history is.
    async fn look(&mut self, graph: &Graph, random: &mut Random) {
        let commit = random.below(self.ids.len());
        self.look_at(graph, commit).await;
        let shown = random.below(self.shown.len());
        self.look_back(graph, shown).await;
    }

    async fn look_at(&mut self, graph: &Graph, commit: usize) {
        let reference = self.ids[commit].to_string();
        let found = graph.snapshot(&reference).await;
        if let Some(found) = self.allows(found, &[commit]) {
            assert_eq!(found.unwrap().commit(), self.ids[commit]);
            assert_eq!(
                contents(graph, &reference).await,
                self.model.commits[commit].1
            );
            if self.given_up.contains(&commit) {
                self.reached("kept");
            }
        }
    }

    async fn look_back(&mut self, graph: &Graph, number: usize) {
        let shown = &self.shown[number];
        let reference = crate::Reference::at(shown.time).to_string();
        match graph.snapshot_on(&reference, &branch(&shown.branch)).await {
            Ok(snapshot) => assert_eq!(snapshot.commit(), self.ids[shown.commit]),
            Err(Error::Expired { .. }) => assert!(shown.forgotten, "{reference}"),
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn look_at_everything(&mut self, graph: &Graph) {
        for commit in 0..self.ids.len() {
            self.look_at(graph, commit).await;
        }
        for number in 0..self.shown.len() {
            self.look_back(graph, number).await;
        }
        for (tag, commit) in &self.tags {
            assert_eq!(contents(graph, tag).await, self.model.commits[*commit].1);
        }
        let names: Vec<&String> = self.model.heads.keys().collect();
        for name in &names {
            assert_eq!(&contents(graph, name).await, self.model.rows(name));
            for other in &names {
                compare(graph, &self.model, name, other).await;
                self.compare_counts(graph, name, other).await;
            }
        }
    }

    /// How far two branches are apart.
    async fn compare_counts(&self, graph: &Graph, left: &str, right: &str) {
        let ancestors = |name: &str| self.model.ancestors(self.model.heads[name]);
        let (ours, theirs) = (ancestors(left), ancestors(right));
        let only = (
            ours.difference(&theirs).count() as u64,
            theirs.difference(&ours).count() as u64,
        );
        let (left, right) = (
            graph.snapshot(left).await.unwrap(),
            graph.snapshot(right).await.unwrap(),
        );
        assert_eq!(graph.compare(&left, &right).await.unwrap(), only);
    }
}
