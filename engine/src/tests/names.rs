//! Names under three processes that make, delete, tag and write them at once, some of them cut
//! off half way: every answer is one that a single map of names could have given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::merge_histories::Random;
use super::*;
use crate::error::Error;
use crate::storage::{Fault, Faults, Operation};

const STEPS: u64 = 700;
const PROCESSES: usize = 3;
/// One within the other, and one that differs in case.
const NAMES: [&str; 3] = ["a", "a/b", "A"];
/// The branch that nobody deletes.
const KEPT: &str = "main";

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct World {
    branches: BTreeMap<String, Branch>,
    tags: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Branch {
    /// Which of the branches that had the name.
    incarnation: u64,
    rows: BTreeSet<String>,
}

/// What a process does to a name; the number makes rows and incarnations new ones.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Fork {
        name: String,
        from: String,
        number: u64,
    },
    Delete {
        name: String,
    },
    Tag {
        name: String,
        at: String,
    },
    Untag {
        name: String,
    },
    Write {
        name: String,
        row: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Done,
    Taken,
    Absent,
}

impl World {
    fn new() -> World {
        let main = Branch {
            incarnation: 0,
            rows: BTreeSet::new(),
        };
        World {
            branches: BTreeMap::from([(KEPT.to_owned(), main)]),
            tags: BTreeMap::new(),
        }
    }

    /// What a name shows, if it stands for anything.
    fn shows(&self, name: &str) -> Option<BTreeSet<String>> {
        let branch = self.branches.get(name).map(|branch| branch.rows.clone());
        branch.or_else(|| self.tags.get(name).cloned())
    }

    fn take(&mut self, step: &Step) -> Answer {
        match step {
            Step::Fork { name, from, number } => {
                let Some(rows) = self.shows(from) else {
                    return Answer::Absent;
                };
                if self.shows(name).is_some() {
                    return Answer::Taken;
                }
                let branch = Branch {
                    incarnation: *number,
                    rows,
                };
                self.branches.insert(name.clone(), branch);
            }
            Step::Tag { name, at } => {
                let Some(rows) = self.shows(at) else {
                    return Answer::Absent;
                };
                if self.shows(name).is_some() {
                    return Answer::Taken;
                }
                self.tags.insert(name.clone(), rows);
            }
            Step::Delete { name } => {
                if self.branches.remove(name).is_none() {
                    return Answer::Absent;
                }
            }
            Step::Untag { name } => {
                if self.tags.remove(name).is_none() {
                    return Answer::Absent;
                }
            }
            Step::Write { name, row } => match self.branches.get_mut(name) {
                Some(branch) => {
                    branch.rows.insert(row.clone());
                }
                None => return Answer::Absent,
            },
        }
        Answer::Done
    }

    /// The names and what they show, without what only the model knows.
    fn seen(&self) -> BTreeMap<String, BTreeSet<String>> {
        let names = self.branches.keys().chain(self.tags.keys());
        names
            .map(|name| (name.clone(), self.shows(name).unwrap_or_default()))
            .collect()
    }
}

async fn run(graph: &Graph, step: &Step) -> Result<()> {
    match step {
        Step::Fork { name, from, .. } => {
            graph.create_branch(&branch(name), from, "a").await?;
        }
        Step::Delete { name } => graph.delete_branch(&branch(name), true, "a").await?,
        Step::Tag { name, at } => {
            let at = graph.snapshot(at).await?;
            graph.create_tag(&branch(name), &at, None, "a").await?;
        }
        Step::Untag { name } => {
            graph.delete_tag(&branch(name), "a").await?;
        }
        Step::Write { name, row } => {
            let options = TransactionOptions::default();
            let mut transaction = graph.begin(&branch(name), options).await?;
            insert(&mut transaction, "team", &[&[None, Some(row)]]).await?;
            commit(transaction).await?;
        }
    }
    Ok(())
}

/// `None`: the process was cut off.
async fn answer(graph: &Graph, step: &Step) -> Option<Answer> {
    match run(graph, step).await {
        Ok(()) => Some(Answer::Done),
        Err(Error::AlreadyExists { .. }) => Some(Answer::Taken),
        Err(Error::NotFound { .. } | Error::BranchDeleted { .. }) => Some(Answer::Absent),
        Err(Error::Unavailable { .. } | Error::OutcomeUnknown { .. }) => None,
        Err(error) => panic!("{step:?}: {error}"),
    }
}

async fn seen(graph: &Graph) -> BTreeMap<String, BTreeSet<String>> {
    let mut names: Vec<String> = Vec::new();
    for branch in graph.branches().await.unwrap() {
        names.push(branch.name.to_string());
    }
    for tag in graph.tags().await.unwrap() {
        names.push(tag.name);
    }
    let mut seen = BTreeMap::new();
    for name in names {
        let snapshot = graph.snapshot(&name).await.unwrap();
        let rows = column(&snapshot, "team", "name").await;
        seen.insert(name, rows.into_iter().collect());
    }
    seen
}

/// After some more requests the process is cut off from its store.
#[derive(Debug)]
struct Cut {
    left: AtomicU64,
}

#[async_trait]
impl Faults for Cut {
    async fn on(&self, _: Operation, key: &str) -> Fault {
        let left = self.left.load(Ordering::SeqCst);
        if left == 0 {
            return Fault::FailBefore(format!("cut off at {key}"));
        }
        self.left.store(left - 1, Ordering::SeqCst);
        Fault::None
    }
}

fn random_step(random: &mut Random, number: u64) -> Step {
    let name = random.of(&NAMES).to_owned();
    let any = random.of(&[NAMES[0], NAMES[1], NAMES[2], KEPT]).to_owned();
    match random.below(10) {
        0..=2 => Step::Fork {
            name,
            from: any,
            number,
        },
        3 | 4 => Step::Delete { name },
        5 => Step::Tag { name, at: any },
        6 => Step::Untag { name },
        _ => Step::Write {
            name: any,
            row: format!("r{number}"),
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_and_one_map_give_the_same_answers() {
    let mut reached: BTreeMap<&str, u64> = BTreeMap::new();
    let fixture = Fixture::in_memory().await;
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        processes.push(fixture.reopened().await);
    }
    let mut random = Random(7);
    let mut world = World::new();
    // A transaction that goes on while its branch may end, and which branch that was.
    let mut open: Option<(Transaction, String, u64, String)> = None;
    for number in 1..=STEPS * soak() {
        let one = random_step(&mut random, number * 2);
        let at = random.below(PROCESSES);
        match random.below(10) {
            0..=3 => {
                let expected = world.take(&one);
                assert_eq!(
                    answer(&processes[at], &one).await,
                    Some(expected),
                    "{one:?}"
                );
                *reached.entry("alone").or_default() += 1;
            }
            4..=6 => {
                let two = random_step(&mut random, number * 2 + 1);
                let other = (at + 1) % PROCESSES;
                let answers = tokio::join!(
                    answer(&processes[at], &one),
                    answer(&processes[other], &two)
                );
                let reader = &processes[(at + 2) % PROCESSES];
                world = in_either_order(world, &one, &two, answers, &seen(reader).await);
                *reached.entry("together").or_default() += 1;
            }
            7 => {
                let left = AtomicU64::new(random.below(14) as u64);
                let cut = fixture.store.with_faults(Arc::new(Cut { left }));
                let cut = cut.with_patience(Duration::from_millis(30));
                let told = match Graph::open(cut, resources()).await {
                    Ok(graph) => answer(&graph, &one).await,
                    Err(_) => None,
                };
                let mut after = world.clone();
                let expected = after.take(&one);
                let now = seen(&processes[at]).await;
                if told.is_some() {
                    assert_eq!(told, Some(expected), "{one:?}");
                }
                if told.is_some() || now != world.seen() {
                    world = after;
                }
                *reached.entry("cut off").or_default() += u64::from(told.is_none());
            }
            8 => {
                let name = random.of(&NAMES);
                if let (None, Some(held)) = (&open, world.branches.get(name)) {
                    let mut transaction = begin(&processes[at], name).await;
                    let row = format!("t{number}");
                    insert(&mut transaction, "team", &[&[None, Some(&row)]])
                        .await
                        .unwrap();
                    open = Some((transaction, name.to_owned(), held.incarnation, row));
                }
            }
            _ => {
                if let Some((transaction, name, incarnation, row)) = open.take() {
                    let lives = world
                        .branches
                        .get_mut(&name)
                        .filter(|held| held.incarnation == incarnation);
                    match (commit(transaction).await, lives) {
                        (Ok(_), Some(held)) => {
                            held.rows.insert(row);
                            *reached.entry("committed").or_default() += 1;
                        }
                        (Err(Error::BranchDeleted { .. }), None) => {
                            *reached.entry("too late").or_default() += 1;
                        }
                        (told, lives) => panic!("{name}: {told:?} for {lives:?}"),
                    }
                }
            }
        }
        let reader = &processes[random.below(PROCESSES)];
        assert_eq!(
            seen(reader).await,
            world.seen(),
            "after step {number}: {one:?}"
        );
    }
    assert_eq!(seen(&fixture.reopened().await).await, world.seen());
    for what in ["alone", "together", "cut off", "committed", "too late"] {
        assert!(reached.contains_key(what), "{what}: {reached:?}");
    }
}

/// The world after two steps at the same time, in the order that explains their answers.
fn in_either_order(
    before: World,
    one: &Step,
    two: &Step,
    answers: (Option<Answer>, Option<Answer>),
    seen: &BTreeMap<String, BTreeSet<String>>,
) -> World {
    let mut forth = before.clone();
    let forth_answers = {
        let first = forth.take(one);
        (Some(first), Some(forth.take(two)))
    };
    if forth_answers == answers && forth.seen() == *seen {
        return forth;
    }
    let mut back = before.clone();
    let back_answers = {
        let first = back.take(two);
        (Some(back.take(one)), Some(first))
    };
    if back_answers == answers && back.seen() == *seen {
        return back;
    }
    panic!(
        "{one:?} and {two:?} were answered {answers:?} and left {seen:?};\n\
         one after the other they give {forth_answers:?} and {back_answers:?}, from {before:?}"
    );
}
