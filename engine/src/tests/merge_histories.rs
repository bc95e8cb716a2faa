//! Random histories of branches, writes and merges against a model that keeps every state whole
//! and merges it row by row. The seed of a history that fails is printed.

use std::collections::{BTreeMap, BTreeSet};

use super::maintenance::compact_on;
use super::merges::{Rows, broken, contents};
use super::*;
use crate::diff;
use crate::error::Error;
use crate::merge::{Counts, MergeOptions, MergeOutcome, MergeSummary};

const HISTORIES: u64 = 24;
const STEPS: usize = 30;
const PEOPLE: [&str; 5] = ["a", "b", "c", "d", "e"];
const TEAMS: [&str; 4] = ["r", "s", "t", "u"];

/// Numbers that only the seed decides.
#[derive(Debug)]
pub(super) struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Every commit with its whole state, and the branches.
#[derive(Default)]
pub(super) struct Model {
    pub commits: Vec<(Vec<usize>, Rows)>,
    pub heads: BTreeMap<String, usize>,
}

/// What merging should do.
#[derive(Debug, PartialEq)]
pub(super) enum Expected {
    UpToDate,
    Forward,
    Merged(Rows),
    /// Rows that both sides changed: kind, table, id.
    Rows(BTreeSet<(String, String, String)>),
    /// Kinds of rules that the merged rows break.
    Rules(BTreeSet<String>),
}

impl Model {
    pub fn commit(&mut self, branch: &str, parents: Vec<usize>, rows: Rows) {
        self.commits.push((parents, rows));
        self.heads.insert(branch.to_owned(), self.commits.len() - 1);
    }

    pub fn rows(&self, branch: &str) -> &Rows {
        &self.commits[self.heads[branch]].1
    }

    pub fn ancestors(&self, of: usize) -> BTreeSet<usize> {
        let mut all = BTreeSet::from([of]);
        for parent in &self.commits[of].0 {
            all.extend(self.ancestors(*parent));
        }
        all
    }

    fn bases(&self, ours: usize, theirs: usize) -> Vec<usize> {
        let (ours, theirs) = (self.ancestors(ours), self.ancestors(theirs));
        let common: Vec<usize> = ours.intersection(&theirs).copied().collect();
        let below: BTreeSet<usize> = common
            .iter()
            .flat_map(|commit| &self.commits[*commit].0)
            .flat_map(|parent| self.ancestors(*parent))
            .collect();
        common
            .into_iter()
            .filter(|commit| !below.contains(commit))
            .collect()
    }

    pub fn merge(&self, source: &str, target: &str) -> Expected {
        let (ours, theirs) = (self.heads[target], self.heads[source]);
        let bases = self.bases(ours, theirs);
        if bases.contains(&theirs) {
            return Expected::UpToDate;
        }
        if bases.contains(&ours) {
            return Expected::Forward;
        }
        let states = bases.iter().map(|base| &self.commits[*base].1);
        let states: Vec<&Rows> = states.collect();
        let (ours, theirs) = (&self.commits[ours].1, &self.commits[theirs].1);
        let mut merged = Rows::new();
        let mut conflicts = BTreeSet::new();
        let keys: BTreeSet<&(String, String)> = states
            .iter()
            .flat_map(|state| state.keys())
            .chain(ours.keys())
            .chain(theirs.keys())
            .collect();
        for key in keys {
            let bases: Vec<_> = states.iter().map(|state| state.get(key)).collect();
            match three_way(&bases, ours.get(key), theirs.get(key)) {
                Ok(Some(row)) => {
                    merged.insert(key.clone(), row);
                }
                Ok(None) => {}
                Err(kind) => {
                    conflicts.insert((kind.to_owned(), key.0.clone(), key.1.clone()));
                }
            }
        }
        if !conflicts.is_empty() {
            return Expected::Rows(conflicts);
        }
        let rules = broken(&merged);
        if rules.is_empty() {
            Expected::Merged(merged)
        } else {
            Expected::Rules(rules)
        }
    }
}

type Row = Vec<Option<String>>;

fn three_way(
    bases: &[Option<&Row>],
    ours: Option<&Row>,
    theirs: Option<&Row>,
) -> Result<Option<Row>, &'static str> {
    if ours == theirs {
        return Ok(ours.cloned());
    }
    let agreed = bases.iter().all(|base| *base == bases[0]);
    if agreed && theirs == bases[0] {
        return Ok(ours.cloned());
    }
    if agreed && ours == bases[0] {
        return Ok(theirs.cloned());
    }
    let (Some(ours), Some(theirs)) = (ours, theirs) else {
        return Err("DeleteVsUpdate");
    };
    let mut row = Vec::new();
    for column in 0..ours.len() {
        let (mine, other) = (&ours[column], &theirs[column]);
        let cells: Vec<Option<&Option<String>>> = bases
            .iter()
            .map(|base| base.map(|row| &row[column]))
            .collect();
        let base = cells[0].filter(|first| cells.iter().all(|cell| *cell == Some(*first)));
        row.push(match base {
            _ if mine == other => mine.clone(),
            Some(base) if other == base => mine.clone(),
            Some(base) if mine == base => other.clone(),
            _ if bases.iter().all(Option::is_none) => return Err("DivergentInsert"),
            _ => return Err("DivergentUpdate"),
        });
    }
    Ok(Some(row))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_histories_agree_with_the_model() {
    let mut merges = BTreeMap::new();
    for seed in seeds(HISTORIES) {
        println!("seed {seed}");
        history(seed, &mut merges).await;
    }
    // The histories reach what they are meant to reach.
    for reached in ["UpToDate", "Forward", "Merged", "Rows", "Rules", "Listed"] {
        assert!(merges.contains_key(reached), "{merges:?}");
    }
}

async fn history(seed: u64, merges: &mut BTreeMap<String, usize>) {
    let mut random = Random(seed);
    let fixture = Fixture::in_memory().await;
    let graph = &fixture.graph;
    let mut model = Model::default();
    model.commit("main", Vec::new(), many(graph).await);
    for _ in 0..STEPS {
        let names: Vec<String> = model.heads.keys().cloned().collect();
        let on = names[random.below(names.len())].clone();
        match random.below(12) {
            10 | 11 => {
                compact_on(graph, &on).await;
            }
            0 if names.len() < 4 => {
                let name = format!("b{}", names.len());
                graph.create_branch(&branch(&name), &on, "a").await.unwrap();
                let head = model.heads[&on];
                model.heads.insert(name, head);
            }
            0..=5 => write(graph, &mut model, &on, &mut random).await,
            _ => {
                let source = names[random.below(names.len())].clone();
                let kind = merge(graph, &mut model, &source, &on).await;
                *merges.entry(kind).or_default() += 1;
            }
        }
    }
    let reopened = fixture.reopened().await;
    for name in model.heads.keys() {
        assert_eq!(&contents(&reopened, name).await, model.rows(name));
        for other in model.heads.keys() {
            let listed = compare(&reopened, &model, name, other).await;
            *merges.entry("Listed".to_owned()).or_default() += usize::from(listed);
        }
    }
    merges.retain(|_, times| *times > 0);
}

/// So many rows that those which only move to other files are most of them.
pub(super) async fn many(graph: &Graph) -> Rows {
    let mut transaction = begin(graph, "main").await;
    let names: Vec<String> = (0..60).map(|number| format!("z{number}")).collect();
    for (table, columns) in [("person", 4), ("team", 2), ("knows", 4)] {
        let def = transaction
            .snapshot()
            .schema()
            .table(table)
            .unwrap()
            .clone();
        let mut values: Vec<Vec<Option<&str>>> = Vec::new();
        for name in &names {
            let mut row = vec![Some(name.as_str()); 3.min(columns)];
            row[columns.min(3) - 1] = match table {
                "person" => Some("7"),
                _ => Some(name),
            };
            row.resize(columns, None);
            values.push(row);
        }
        let values: Vec<&[Option<&str>]> = values.iter().map(Vec::as_slice).collect();
        transaction
            .upsert(def.id, rows(&def, &values))
            .await
            .unwrap();
    }
    commit(transaction).await.unwrap();
    contents(graph, "main").await
}

/// A transaction of a few statements; those that break a rule are left out.
pub(super) async fn write(graph: &Graph, model: &mut Model, on: &str, random: &mut Random) {
    let mut transaction = begin(graph, on).await;
    statements(&mut transaction, random).await;
    if commit(transaction).await.unwrap().is_some() {
        let rows = contents(graph, on).await;
        assert_eq!(broken(&rows), BTreeSet::new());
        let parent = model.heads[on];
        model.commit(on, vec![parent], rows);
    }
}

/// A few statements that put or delete one row each, by id; of those that break no rule: which.
pub(super) async fn statements(
    transaction: &mut Transaction,
    random: &mut Random,
) -> Vec<(String, String)> {
    let mut written = Vec::new();
    for _ in 0..1 + random.below(3) {
        let number = |random: &mut Random| random.below(3).to_string();
        let id = format!("{}{}", random.of(&["x", "y"]), random.below(3));
        let (name, other) = (random.of(&PEOPLE), random.of(&PEOPLE));
        let (table, row) = match random.below(5) {
            0 | 1 => {
                let email = random.of(&["-", "-", "p", "q", "r"]);
                let age = number(random);
                (
                    "person",
                    vec![name.to_owned(), name.to_owned(), age, email.to_owned()],
                )
            }
            2 => {
                let team = random.of(&TEAMS);
                ("team", vec![team.to_owned(), team.to_owned()])
            }
            3 => {
                let since = number(random);
                ("knows", vec![id, name.to_owned(), other.to_owned(), since])
            }
            _ => (
                "leads",
                vec![id, name.to_owned(), random.of(&TEAMS).to_owned()],
            ),
        };
        let def = transaction
            .snapshot()
            .schema()
            .table(table)
            .unwrap()
            .clone();
        let outcome = if random.below(4) == 0 {
            transaction.delete(def.id, &row[..1]).await.map(|_| ())
        } else {
            let cells: Vec<Option<&str>> = row
                .iter()
                .map(|cell| (cell != "-").then_some(cell.as_str()))
                .collect();
            let batch = rows(&def, &[&cells]);
            transaction.upsert(def.id, batch).await.map(|_| ())
        };
        match outcome {
            Ok(()) => written.push((table.to_owned(), row[0].clone())),
            Err(error) => assert!(matches!(error, Error::Constraint(_)), "{error:?}"),
        }
    }
    written
}

pub(super) async fn merge(graph: &Graph, model: &mut Model, source: &str, target: &str) -> String {
    let expected = model.merge(source, target);
    let preview = graph.merge_conflicts(source, target).await.unwrap();
    let options = MergeOptions {
        actor: "tester".to_owned(),
        ..MergeOptions::default()
    };
    let outcome = graph.merge(source, &branch(target), options).await;
    let after = contents(graph, target).await;
    let before = model.rows(target).clone();
    let (ours, theirs) = (model.heads[target], model.heads[source]);
    let told = match outcome {
        Ok(MergeSummary {
            outcome, tables, ..
        }) => {
            assert!(preview.is_empty(), "{preview:?}");
            assert_eq!(tables, counted(&before, &after));
            match outcome {
                MergeOutcome::UpToDate => Expected::UpToDate,
                MergeOutcome::FastForward => Expected::Forward,
                MergeOutcome::Merged => Expected::Merged(after.clone()),
            }
        }
        Err(Error::MergeConflicts { conflicts, .. }) => {
            assert_eq!(conflicts.len(), preview.len());
            assert_eq!(after, before, "nothing was published");
            let of_rows = conflicts
                .iter()
                .filter(|conflict| {
                    ["DivergentInsert", "DivergentUpdate", "DeleteVsUpdate"]
                        .contains(&conflict.kind.name())
                })
                .map(|conflict| {
                    (
                        conflict.kind.name().to_owned(),
                        conflict.table.clone(),
                        conflict.id.clone(),
                    )
                })
                .collect::<BTreeSet<_>>();
            if of_rows.is_empty() {
                let kinds = conflicts
                    .iter()
                    .map(|conflict| conflict.kind.name().to_owned());
                Expected::Rules(kinds.collect())
            } else {
                Expected::Rows(of_rows)
            }
        }
        Err(error) => panic!("{error:?}"),
    };
    assert_eq!(told, expected, "{source} into {target}");
    match told {
        Expected::Forward => {
            assert_eq!(&after, &model.commits[theirs].1);
            model.heads.insert(target.to_owned(), theirs);
        }
        Expected::Merged(rows) => model.commit(target, vec![ours, theirs], rows),
        _ => {}
    }
    format!("{expected:?}")
        .split('(')
        .next()
        .unwrap()
        .to_owned()
}

fn counted(before: &Rows, after: &Rows) -> BTreeMap<String, Counts> {
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    for (op, table, _) in changes(before, after) {
        let counts = counts.entry(table).or_default();
        match op {
            "insert" => counts.inserted += 1,
            "update" => counts.updated += 1,
            _ => counts.deleted += 1,
        }
    }
    counts
}

pub(super) fn changes(before: &Rows, after: &Rows) -> BTreeSet<(&'static str, String, String)> {
    let keys: BTreeSet<&(String, String)> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .filter_map(|key| {
            let op = match (before.get(key), after.get(key)) {
                (None, _) => "insert",
                (_, None) => "delete",
                (old, new) if old != new => "update",
                _ => return None,
            };
            Some((op, key.0.clone(), key.1.clone()))
        })
        .collect()
}

/// `diff` tells exactly what differs, whatever branches lie between, by the files and by what
/// commits list; were there lists?
pub(super) async fn compare(graph: &Graph, model: &Model, from: &str, to: &str) -> bool {
    let (before, after) = (
        graph.snapshot(from).await.unwrap(),
        graph.snapshot(to).await.unwrap(),
    );
    let expected = changes(model.rows(from), model.rows(to));
    assert_eq!(
        differences(&before, &after).await,
        expected,
        "{from} to {to}"
    );
    let (before, after) = graph.comparable(before, after).await.unwrap();
    assert_eq!(
        differences(&before, &after).await,
        expected,
        "{from} to {to}"
    );
    let mut lists = before
        .written
        .values()
        .chain(after.written.values())
        .flat_map(|lists| lists.iter());
    lists.any(|list| !list.ids.is_empty())
}

/// What `diff` tells: operation, table, id.
pub(super) async fn differences(
    before: &Snapshot,
    after: &Snapshot,
) -> BTreeSet<(&'static str, String, String)> {
    let mut found = BTreeSet::new();
    for id in diff::types(before, after) {
        let pages: Vec<_> = diff::diff(before, after, id).try_collect().await.unwrap();
        for page in pages {
            for row in &page.rows {
                found.insert((row.operation(), page.def.table.clone(), row.id.clone()));
            }
        }
    }
    found
}
