//! Every pair of writers that meet: what the second one is told, and what is left.
//!
//! Both begin over one state. They meet in one log entry of one process, and in two processes,
//! of which one has lost its slot to the other. Either way the first is committed, the second
//! is told what the table of its world says, the rows are those of the first or of both, and
//! no rule between rows is broken.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use futures::FutureExt;

use super::hooks::Hold;
use super::meeting::{held_back, together};
use super::merges::{Rows, contents};
use super::*;
use crate::error::{ConstraintKind, Error};
use crate::load::{LoadMode, LoadOptions, load};
use crate::ndjson::Encoder;

/// What two writers may do to one graph, and what comes of it when they meet.
struct World {
    schema: &'static str,
    /// The rows that both find.
    base: &'static str,
    /// In the order of the table: the statements of a transaction, of which `$` is 1 for the
    /// first writer and 2 for the second.
    writers: [&'static str; 10],
    /// Rows: what the first one did. Columns: what the second is told that does the same things
    /// in the same order.
    told: &'static str,
}

/// The rule: edges end at nodes that are there. Everything meets at team `t`, or at team `x`.
const ENDPOINTS: World = World {
    schema: "
        node Person { name: String @key  age: I64? }
        node Team { name: String @key  size: I64? }
        edge Leads: Person -> Team { since: I64? }
    ",
    base: "add person - a 1; add person - b 2; add team - t 1; add team - u 2; \
        add leads l1 a t 1; add leads l2 a t 2; add leads m1 b u 1; add leads m2 b u 2",
    writers: [
        "add leads e$ a t 1",
        "set leads m$ b t 1",
        "delete team t",
        "delete leads l$",
        "add team - x 100",
        "put team - x $",
        "set team t t 1",
        "truncate team",
        "load person a a 1; team z z 1; leads z a z 1",
        "migrate size: I64? => size: I64? @range(0..9)",
    ],
    told: "
                    insert re-point delete delete insert upsert update truncate load   add
                    edge   edge     node   edge   node   node   node            over   rule
        insert edge ok     ok       40001  ok     ok     ok     ok     40001    40001  ok
        re-point    ok     ok       40001  ok     ok     ok     ok     40001    40001  ok
        delete node 40001  40001    40001  40001  ok     ok     40001  40001    40001  ok
        delete edge ok     ok       40001  ok     ok     ok     ok     40001    40001  ok
        insert node ok     ok       ok     ok     23505  40001  ok     40001    40001  23514
        upsert node ok     ok       ok     ok     23505  40001  ok     40001    40001  ok
        update node ok     ok       40001  ok     ok     ok     40001  40001    40001  ok
        truncate    40001  40001    40001  40001  ok     ok     40001  40001    40001  ok
        load over   40001  40001    40001  40001  ok     ok     40001  40001    40001  ok
        add rule    ok     ok       40001  ok     40001  40001  40001  40001    40001  ok
    ",
};

/// The rule: unique values are. Edges meet at the pair `a t`, nodes at the age 9.
const UNIQUE: World = World {
    schema: "
        node Person { name: String @key  age: I64? @unique }
        node Team { name: String @key  size: I64? }
        edge Leads: Person -> Team { since: I64?  @unique(src, dst) }
    ",
    base: "add person - a 1; add person - p1 2; add person - p2 3; add person - d 4; \
        add team - t 1; add team - u 2; add leads m1 p1 u 1; add leads m2 p2 u 2; \
        add leads l1 d t 3; add leads l2 d u 4",
    writers: [
        "add leads e$ a t 1",
        "set leads m$ a t 1",
        "delete person d",
        "delete leads l$",
        "add person - n$ 9",
        "put person - x 9",
        "set person p$ p$ 9",
        "truncate person",
        "load person a a 1; person z z 9; team t t 1; leads z a t 1",
        "migrate since: I64? => since: I64? @unique",
    ],
    told: "
                    insert re-point delete delete insert upsert update truncate load   add
                    edge   edge     node   edge   node   node   node            over   rule
        insert edge 23505  23505    ok     ok     ok     ok     ok     40001    40001  23505
        re-point    23505  23505    ok     ok     ok     ok     ok     40001    40001  ok
        delete node ok     ok       40001  40001  ok     ok     ok     40001    40001  ok
        delete edge ok     ok       40001  ok     ok     ok     ok     40001    40001  ok
        insert node ok     ok       ok     ok     23505  40001  23505  40001    40001  ok
        upsert node ok     ok       ok     ok     23505  40001  23505  40001    40001  ok
        update node ok     ok       ok     ok     23505  40001  23505  40001    40001  ok
        truncate    40001  40001    40001  40001  ok     ok     40001  40001    40001  ok
        load over   23505  40001    40001  40001  23505  40001  40001  40001    40001  ok
        add rule    40001  40001    40001  40001  ok     ok     ok     40001    40001  ok
    ",
};

/// The rule: a person leads three teams at the most. `a` leads two.
const AT_MOST: World = World {
    schema: "
        node Person { name: String @key  age: I64? }
        node Team { name: String @key  size: I64? }
        edge Leads: Person -> Team @card(0..3) { since: I64? }
    ",
    base: "add person - a 1; add person - b 2; add team - t 1; add team - u 2; \
        add leads l1 a t 1; add leads l2 a t 2; add leads m1 b u 1; add leads m2 b u 2",
    writers: [
        "add leads e$ a u 1",
        "set leads m$ a u 1",
        "delete team t",
        "delete leads l$",
        "add team - n$ 1",
        "put leads x a u 1",
        "set leads l$ a t 9",
        "truncate leads",
        "load person a a 1; team u u 1; leads z1 a u 1; leads z2 a u 2; leads z3 a u 3",
        "migrate @card(0..3) => @card(0..2)",
    ],
    told: "
                    insert re-point delete delete insert upsert update truncate load   add
                    edge   edge     node   edge   node   edge   edge            over   rule
        insert edge 40001  40001    ok     ok     ok     40001  ok     40001    40001  23514
        re-point    40001  40001    ok     ok     ok     40001  ok     40001    40001  23514
        delete node ok     ok       40001  40001  ok     ok     40001  40001    40001  ok
        delete edge ok     ok       40001  ok     ok     ok     ok     40001    40001  ok
        insert node ok     ok       ok     ok     ok     ok     ok     ok       40001  ok
        upsert edge 40001  40001    ok     ok     ok     40001  ok     40001    40001  23514
        update edge ok     ok       40001  ok     ok     ok     ok     40001    40001  ok
        truncate    ok     40001    40001  40001  ok     ok     40001  40001    40001  ok
        load over   40001  40001    40001  40001  ok     40001  40001  40001    40001  23514
        add rule    40001  40001    40001  40001  ok     40001  40001  40001    40001  ok
    ",
};

/// The rule: a person leads at least one team. `a` leads two.
const AT_LEAST: World = World {
    schema: "
        node Person { name: String @key  age: I64? }
        node Team { name: String @key  size: I64? }
        edge Leads: Person -> Team @card(1..) { since: I64? }
    ",
    base: "add person - a 1; add person - b 2; \
        add team - t1 1; add team - t2 2; add team - v 3; add team - w 4; \
        add leads l1 a t1 1; add leads l2 a t2 2; add leads m1 b v 3; add leads m2 b w 4",
    writers: [
        "add leads e$ a t1 1",
        "set leads l$ b v 1",
        "delete team t1",
        "delete leads l$",
        "add person - n$ 1; add leads k$ n$ v 1",
        "put leads x a t2 1",
        "set leads l$ a t$ 9",
        "truncate person",
        "load person a a 1; team v v 1; leads z a v 1",
        "migrate @card(1..) => @card(2..)",
    ],
    told: "
                    insert re-point delete delete insert upsert update truncate load   add
                    edge   edge     node   edge   node   edge   edge            over   rule
        insert edge ok     ok       40001  ok     ok     ok     ok     40001    40001  ok
        re-point    ok     40001    40001  40001  ok     ok     ok     40001    40001  23514
        delete node 40001  40001    40001  40001  ok     ok     ok     40001    40001  23514
        delete edge ok     40001    40001  40001  ok     ok     ok     40001    40001  23514
        insert node ok     ok       ok     ok     ok     ok     ok     40001    40001  23514
        upsert edge ok     ok       ok     ok     ok     40001  ok     40001    40001  ok
        update edge ok     ok       40001  ok     ok     ok     ok     40001    40001  ok
        truncate    40001  40001    40001  40001  ok     40001  40001  40001    40001  ok
        load over   40001  40001    40001  40001  ok     40001  40001  40001    40001  23514
        add rule    40001  40001    40001  40001  40001  40001  40001  40001    40001  ok
    ",
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pair_of_writers_around_the_ends_of_edges() {
    ENDPOINTS.hold().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pair_of_writers_around_unique_values() {
    UNIQUE.hold().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pair_of_writers_around_a_greatest_number_of_edges() {
    AT_MOST.hold().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pair_of_writers_around_a_least_number_of_edges() {
    AT_LEAST.hold().await;
}

/// The same with hashes of one bit: they may save a comparison, and decide nothing.
#[test]
fn hashes_that_are_equal_are_no_conflicts() {
    let again = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["tests::pairs::every_pair_of_writers", "tests::counters"])
        .env("ONE_BIT_HASHES", "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success(), "{told}");
    assert!(told.contains("6 passed"), "{told}");
}

/// Whoever breaks a rule alone is told so, however the branch has moved meanwhile.
#[tokio::test]
async fn a_rule_that_a_writer_breaks_alone_is_not_blamed_on_others() {
    let fixture = Fixture::of(AT_LEAST.schema).await;
    let graph = &fixture.graph;
    write(graph, "main", AT_LEAST.base).await.unwrap();
    let both = "delete leads l1; delete leads l2";
    for (number, (first, second, told)) in [
        ("set team v v 9", both, "23514"),
        ("delete leads m1", both, "23514"),
        ("delete leads l1", "delete leads l2", "40001"),
    ]
    .into_iter()
    .enumerate()
    {
        let on = format!("b{number}");
        let name = branch(&on);
        graph.create_branch(&name, "main", "a").await.unwrap();
        let writers = [first.to_owned(), second.to_owned()];
        assert_eq!(in_one_group(graph, &on, &writers).await, told, "{first}");
    }
}

/// A load that replaces all rows is about tables that had none, too, and about every rule.
#[tokio::test]
async fn a_load_over_everything_meets_whatever_else_is_done() {
    for first in [
        "add team - red 1",
        "add person - bob 1; add team - red 1; add leads l bob red 1",
        "migrate @card(0..3) => @card(1..3)",
    ] {
        let fixture = Fixture::of(AT_MOST.schema).await;
        let (other, hold) = held_back(&fixture).await;
        let writers = [
            first.to_owned(),
            "load person a a 1; person z z 1".to_owned(),
        ];
        let told = in_two(&fixture.graph, &other, &hold, "main", &writers).await;
        assert_eq!(told, "40001", "{}", writers[0]);
        assert_eq!(broken(&other, "main").await, BTreeSet::new());
    }
}

impl World {
    /// The rows of the table: who, and what the others are told.
    fn table(&self) -> Vec<(&str, Vec<&str>)> {
        let lines = self.told.lines().filter(|line| !line.trim().is_empty());
        let rows = lines.skip(2).map(|line| {
            let (who, told) = line.trim().split_at(11);
            (who.trim(), told.split_whitespace().collect())
        });
        rows.collect()
    }

    async fn hold(&self) {
        let fixture = Fixture::of(self.schema).await;
        let (other, hold) = held_back(&fixture).await;
        let graph = &fixture.graph;
        write(graph, "main", self.base).await.unwrap();
        let base = contents(graph, "main").await;
        let changes = self.changes_of_each(graph, &base).await;
        let mut wrong = Vec::new();
        for (first, (who, row)) in self.table().into_iter().enumerate() {
            for (second, expected) in row.into_iter().enumerate() {
                for meeting in [Meeting::Group, Meeting::Processes] {
                    let on = format!("{who}/{second}/{meeting:?}").replace(' ', "-");
                    let writers = [self.writer(first, 1), self.writer(second, 2)];
                    let name = branch(&on);
                    graph.create_branch(&name, "main", "a").await.unwrap();
                    let told = match meeting {
                        Meeting::Group => in_one_group(graph, &on, &writers).await,
                        Meeting::Processes => in_two(graph, &other, &hold, &on, &writers).await,
                    };
                    let after = contents(&other, &on).await;
                    let mut left = applied(base.clone(), &changes[&(first, 1)]);
                    if told == "ok" {
                        left = applied(left, &changes[&(second, 2)]);
                    }
                    assert_eq!(after, left, "{on}: {writers:?}");
                    assert_eq!(broken(&other, &on).await, BTreeSet::new(), "{on}");
                    if told != expected {
                        wrong.push(format!(
                            "{who}, then {}: {told} by {meeting:?}, not {expected}",
                            writers[1]
                        ));
                    }
                    self.run_again(&other, &on, &told, &writers[1]).await;
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Whoever was told 40001 is told on a second run what the rules say of its rows, or it is
    /// done: nobody is in its way any more.
    async fn run_again(&self, graph: &Graph, on: &str, told: &str, writer: &str) {
        if told != "40001" {
            return;
        }
        let again = match write(graph, on, writer).await {
            // The rows that it names are gone; a load tells all lines that break a rule.
            Err(Error::NotFound { .. } | Error::Invalid { .. } | Error::Lines(_)) => "refused",
            outcome => code(&outcome),
        };
        assert_ne!(again, "40001", "{on}: {writer}");
        assert_eq!(broken(graph, on).await, BTreeSet::new(), "{on}: {writer}");
    }

    fn writer(&self, number: usize, side: u8) -> String {
        self.writers[number].replace('$', &side.to_string())
    }

    /// What each writer does to the base when it is alone, for either side.
    async fn changes_of_each(&self, graph: &Graph, base: &Rows) -> BTreeMap<(usize, u8), Changes> {
        let mut all = BTreeMap::new();
        for number in 0..self.writers.len() {
            for side in [1, 2] {
                let on = format!("alone/{number}/{side}");
                let name = branch(&on);
                graph.create_branch(&name, "main", "a").await.unwrap();
                let writer = self.writer(number, side);
                write(graph, &on, &writer).await.unwrap();
                let after = contents(graph, &on).await;
                let keys: BTreeSet<_> = base.keys().chain(after.keys()).collect();
                let changes = keys
                    .into_iter()
                    .filter(|key| base.get(key) != after.get(key))
                    .map(|key| (key.clone(), after.get(key).cloned()));
                all.insert((number, side), changes.collect());
            }
        }
        all
    }
}

type Changes = BTreeMap<(String, String), Option<Vec<Option<String>>>>;

fn applied(mut rows: Rows, changes: &Changes) -> Rows {
    for (key, row) in changes {
        match row {
            Some(row) => rows.insert(key.clone(), row.clone()),
            None => rows.remove(key),
        };
    }
    rows
}

/// How two writers meet.
#[derive(Debug, Clone, Copy)]
enum Meeting {
    Group,
    Processes,
}

/// Both wait for one turn, the first before the second: they make one log entry.
async fn in_one_group(graph: &Graph, on: &str, writers: &[String; 2]) -> String {
    let before = graph.branch(&branch(on)).await.unwrap().head_seq;
    let both = writers.iter().map(|writer| {
        let (graph, on, writer) = (graph.clone(), on.to_owned(), writer.clone());
        async move { write(&graph, &on, &writer).await }.boxed()
    });
    let mut told = together(graph, on, both.collect()).await;
    let second = code(&told.pop().unwrap());
    told.pop().unwrap().unwrap();
    let entries = graph.branch(&branch(on)).await.unwrap().head_seq - before;
    assert!(entries == 1 || writers[1].starts_with("migrate"), "{on}");
    second.to_owned()
}

/// The second one has everything ready when the first takes the slot.
async fn in_two(
    first: &Graph,
    second: &Graph,
    hold: &Hold,
    on: &str,
    writers: &[String; 2],
) -> String {
    second.snapshot(on).await.unwrap();
    hold.arm();
    let late = tokio::spawn({
        let (graph, on, writer) = (second.clone(), on.to_owned(), writers[1].clone());
        async move { write(&graph, &on, &writer).await }
    });
    hold.reached().await;
    write(first, on, &writers[0]).await.unwrap();
    hold.let_go();
    code(&late.await.unwrap()).to_owned()
}

/// One commit: statements of a transaction, a load, or a migration.
pub(super) async fn write(graph: &Graph, on: &str, writer: &str) -> Result<()> {
    if let Some(lines) = writer.strip_prefix("load ") {
        let lines = ndjson(graph, on, lines).await;
        let options = LoadOptions::default();
        return load(graph, &branch(on), LoadMode::Overwrite, lines, options)
            .await
            .map(drop);
    }
    if let Some((from, to)) = writer
        .strip_prefix("migrate ")
        .and_then(|rule| rule.split_once(" => "))
    {
        let source = graph.snapshot("main").await?.schema().source.clone();
        let source = source.replacen(from, to, 1);
        let migrated = graph.migrate(&branch(on), &source, "tester", None).await;
        return migrated.map(drop);
    }
    let mut transaction = begin(graph, on).await;
    for statement in writer.split("; ") {
        let words: Vec<&str> = statement.split_whitespace().collect();
        let (verb, table, cells) = (words[0], words[1], &words[2..]);
        let def = transaction
            .snapshot()
            .schema()
            .table(table)
            .unwrap()
            .clone();
        let row = rows_of(&def, cells);
        match verb {
            "add" => transaction.insert(def.id, row).await.map(drop)?,
            "put" => transaction.upsert(def.id, row).await.map(drop)?,
            "set" => transaction.update(def.id, row).await.map(drop)?,
            "delete" => {
                let ids = [cells[0].to_owned()];
                transaction.delete(def.id, &ids).await.map(drop)?;
            }
            "truncate" => transaction.truncate(def.id, true).await.map(drop)?,
            other => panic!("{other}"),
        }
    }
    commit(transaction).await.map(drop)
}

/// One row of its cells, `-` for NULL; what is not given is NULL too.
fn rows_of(def: &TypeDef, cells: &[&str]) -> RecordBatch {
    let cells: Vec<Option<&str>> = cells
        .iter()
        .map(|cell| (*cell != "-").then_some(*cell))
        .collect();
    rows(def, &[&cells])
}

async fn ndjson(graph: &Graph, on: &str, lines: &str) -> Cursor<String> {
    let snapshot = graph.snapshot(on).await.unwrap();
    let mut text = String::new();
    for line in lines.split("; ") {
        let words: Vec<&str> = line.split_whitespace().collect();
        let def = snapshot.schema().table(words[0]).unwrap();
        let row = rows_of(def, &words[1..]);
        Encoder::new(def).encode(&row, &mut text).unwrap();
    }
    Cursor::new(text)
}

pub(super) fn code(outcome: &Result<()>) -> &'static str {
    match outcome {
        Ok(()) => "ok",
        Err(Error::Conflict { .. }) => "40001",
        Err(Error::Constraint(violation)) => match violation.kind {
            ConstraintKind::Unique => "23505",
            ConstraintKind::ForeignKey => "23503",
            ConstraintKind::Check => "23514",
            ConstraintKind::NotNull => "23502",
        },
        Err(error) => panic!("{error:?}"),
    }
}

/// The rules between rows that a branch breaks, looked at row by row.
async fn broken(graph: &Graph, on: &str) -> BTreeSet<String> {
    let snapshot = graph.snapshot(on).await.unwrap();
    let rows = contents(graph, on).await;
    let schema = snapshot.schema();
    let mut found = BTreeSet::new();
    let of = |table: &str| {
        let table = table.to_owned();
        rows.iter().filter(move |((held, _), _)| *held == table)
    };
    for def in &schema.types {
        for unique in &def.uniques {
            let mut held = BTreeSet::new();
            for ((_, id), cells) in of(&def.table) {
                let cell = |column: &usize| match column.checked_sub(1) {
                    None => Some(id.clone()),
                    Some(at) => cells[at].clone(),
                };
                let tuple: Option<Vec<String>> = unique.columns.iter().map(cell).collect();
                if tuple.is_some_and(|tuple| !held.insert(tuple)) {
                    found.insert(unique.name.clone());
                }
            }
        }
        let (Some((from, to)), Some(card)) = (def.endpoints(), def.cardinality()) else {
            continue;
        };
        let ids = |node: TypeId| -> BTreeSet<&String> {
            let node = schema.by_id(node).unwrap();
            of(&node.table).map(|((_, id), _)| id).collect()
        };
        let (from, to) = (ids(from), ids(to));
        let mut counts: BTreeMap<&String, u64> = from.iter().map(|id| (*id, 0)).collect();
        for (key, cells) in of(&def.table) {
            let ends = (cells[0].as_ref().unwrap(), cells[1].as_ref().unwrap());
            if !from.contains(ends.0) || !to.contains(ends.1) {
                found.insert(format!("{key:?} has no end"));
            }
            *counts.entry(ends.0).or_default() += 1;
        }
        let fits = |count: &u64| *count >= card.min && card.max.is_none_or(|max| *count <= max);
        if !counts.values().all(fits) {
            found.insert(format!("{} {counts:?}", def.table));
        }
    }
    found
}
