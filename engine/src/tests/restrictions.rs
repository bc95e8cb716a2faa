//! A part of a graph is a graph by itself: what it shows is what a graph would show from which
//! all else was deleted.

use std::collections::{BTreeSet, HashMap};

use arrow::array::BooleanArray;
use arrow::datatypes::Int64Type;
use futures::StreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::merges::{Rows, contents_of};
use super::*;
use crate::diff;
use crate::error::Error;
use crate::restrict::{Guard, Part, Restriction, RowPredicate};
use crate::schema::Schema;

/// Numbers of one column below a bound; a NULL is not.
#[derive(Debug)]
struct Below {
    columns: [usize; 1],
    bound: i64,
}

impl RowPredicate for Below {
    fn columns(&self) -> &[usize] {
        &self.columns
    }

    fn passes(&self, columns: &[ArrayRef], _: usize) -> Result<BooleanArray> {
        let values = columns[0].as_primitive::<Int64Type>();
        Ok(values
            .iter()
            .map(|value| value.map(|value| value < self.bound))
            .collect())
    }
}

fn below(schema: &Schema, table: &str, column: &str, bound: i64) -> Part {
    let def = schema.table(table).unwrap();
    let columns = [def.column(column).unwrap().0];
    Part {
        properties: None,
        rows: vec![Arc::new(Below { columns, bound })],
    }
}

fn properties(schema: &Schema, table: &str, names: &[&str]) -> BTreeSet<usize> {
    let def = schema.table(table).unwrap();
    let known = names.iter().map(|name| def.property(name).unwrap().0);
    known.collect()
}

/// People under 50 without their emails, whom of them they know since before 2000, and no team.
fn young(schema: &Schema) -> Arc<Restriction> {
    let id = |name: &str| schema.table(name).unwrap().id;
    let people = Part {
        properties: Some(properties(schema, "person", &["name", "age"])),
        ..below(schema, "person", "age", 50)
    };
    let parts = HashMap::from([
        (id("person"), people),
        (id("knows"), below(schema, "knows", "since", 2000)),
        (id("leads"), Part::default()),
    ]);
    Restriction::new("young", schema, parts)
}

/// What [`young`] is to show of these rows.
fn expected(rows: &Rows) -> Rows {
    let number = |cell: &Option<String>| cell.as_ref().and_then(|text| text.parse::<i64>().ok());
    let is_young = |id: &Option<String>| {
        let key = ("person".to_owned(), id.clone().unwrap_or_default());
        rows.get(&key)
            .is_some_and(|cells| number(&cells[1]).is_some_and(|age| age < 50))
    };
    rows.iter()
        .filter_map(|((table, id), cells)| {
            let left = match table.as_str() {
                "person" if is_young(&Some(id.clone())) => cells[..2].to_vec(),
                "knows" if is_young(&cells[0]) && is_young(&cells[1]) => {
                    number(&cells[2]).filter(|since| *since < 2000)?;
                    cells.clone()
                }
                _ => return None,
            };
            Some(((table.clone(), id.clone()), left))
        })
        .collect()
}

/// It shows what it is to show, however one looks.
async fn check(snapshot: &Snapshot) -> Snapshot {
    let raw = contents_of(snapshot).await;
    let part = snapshot
        .restricted(&young(snapshot.schema()))
        .await
        .unwrap();
    let wanted = expected(&raw);
    assert_eq!(contents_of(&part).await, wanted);
    assert!(part.schema().table("team").is_none() && part.table_named("leads").is_none());
    for table in part.tables() {
        let name = table.def().table.clone();
        let count = wanted.keys().filter(|(of, _)| *of == name).count();
        assert_eq!(table.row_count(), count as u64);
        let ids: Vec<&str> = raw
            .keys()
            .filter(|(of, _)| *of == name)
            .map(|(_, id)| id.as_str())
            .collect();
        let found = table.find_ids(&ids).await.unwrap();
        for (id, position) in ids.iter().zip(found) {
            let is_shown = wanted.contains_key(&(name.clone(), (*id).to_owned()));
            assert_eq!(position.is_some(), is_shown, "{name} {id}");
        }
    }
    part
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_shows_what_is_left_of_every_state() {
    for seed in seeds(6) {
        let mut random = StdRng::seed_from_u64(seed);
        let fixture = Fixture::in_memory().await;
        let mut before: Option<Snapshot> = None;
        for _ in 0..6 {
            let mut transaction = begin(&fixture.graph, "main").await;
            for _ in 0..random.random_range(1..6) {
                change(&mut transaction, &mut random).await;
                check(&transaction.snapshot()).await;
            }
            commit(transaction).await.unwrap();
            if random.random_bool(0.3) {
                vacuum(&fixture.graph).await;
                // What was there before is not kept.
                before = None;
            }
            let now = check(&fixture.graph.snapshot("main").await.unwrap()).await;
            if let Some(before) = &before {
                differs(before, &now).await;
            }
            before = Some(now);
        }
    }
}

/// Something random, refused or not.
async fn change(transaction: &mut Transaction, random: &mut StdRng) {
    let name = |random: &mut StdRng| format!("p{}", random.random_range(0..12));
    let (one, other) = (name(random), name(random));
    let age = random.random_range(20..80).to_string();
    let id = |name: &str| table(&transaction.snapshot(), name);
    let (person, knows) = (id("person"), id("knows"));
    let def = transaction
        .snapshot()
        .schema()
        .by_id(person)
        .unwrap()
        .clone();
    // What a rule forbids leaves the transaction as it was.
    match random.random_range(0..6) {
        0..=2 => {
            let age = random.random_bool(0.9).then_some(age.as_str());
            let put = rows(&def, &[&[None, Some(&one), age, None]]);
            let _ = transaction.upsert(person, put).await;
        }
        3 => {
            let _ = transaction.delete(person, &[one]).await;
        }
        4 => {
            let edges = transaction.snapshot().table(knows).unwrap();
            let ids = column(&transaction.snapshot(), "knows", "id").await;
            if edges.row_count() > 0 {
                let _ = transaction.delete(knows, &ids[..1]).await;
            }
        }
        _ => {
            let since = random.random_range(1990..2010).to_string();
            let edge: &[Option<&str>] = &[None, Some(&one), Some(&other), Some(&since)];
            let _ = insert(transaction, "knows", &[edge]).await;
        }
    }
}

/// Between two parts lies what differs in what they show.
async fn differs(old: &Snapshot, new: &Snapshot) {
    let (left, right) = (contents_of(old).await, contents_of(new).await);
    let mut wanted: BTreeSet<(String, String)> = BTreeSet::new();
    for key in left.keys().chain(right.keys()) {
        if left.get(key) != right.get(key) {
            wanted.insert(key.clone());
        }
    }
    let mut found = BTreeSet::new();
    for id in diff::types(old, new) {
        let mut pages = diff::diff(old, new, id);
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            let ids = page.rows.iter().map(|row| row.id.clone());
            found.extend(ids.map(|id| (page.def.table.clone(), id)));
        }
    }
    assert_eq!(found, wanted);
}

/// A transaction by somebody who sees and changes people under 50, and whom they know.
async fn guarded(graph: &Graph) -> Transaction {
    let mut transaction = begin(graph, "main").await;
    let schema = Arc::clone(transaction.shown_schema());
    let id = |name: &str| schema.table(name).unwrap().id;
    let parts = HashMap::from([
        (id("person"), below(&schema, "person", "age", 50)),
        (id("knows"), Part::default()),
    ]);
    let part = Restriction::new("guarded", &schema, parts);
    transaction.guard(Guard {
        read: Some(Arc::clone(&part)),
        change: Some(part),
    });
    transaction
}

async fn people_of_two_ages() -> Fixture {
    let fixture = Fixture::in_memory().await;
    let mut transaction = begin(&fixture.graph, "main").await;
    let people: &[&[Option<&str>]] = &[
        &[None, Some("ann"), Some("30"), None],
        &[None, Some("bob"), Some("40"), None],
        &[None, Some("old"), Some("70"), None],
    ];
    insert(&mut transaction, "person", people).await.unwrap();
    insert(&mut transaction, "team", &[&[None, Some("t")]])
        .await
        .unwrap();
    let edges: &[&[Option<&str>]] = &[&[Some("e"), Some("bob"), Some("old"), None]];
    insert(&mut transaction, "knows", edges).await.unwrap();
    commit(transaction).await.unwrap();
    fixture
}

#[tokio::test]
async fn rows_outside_of_the_part_are_neither_changed_nor_made() {
    let fixture = people_of_two_ages().await;
    let mut transaction = guarded(&fixture.graph).await;
    let schema = Arc::clone(fixture.graph.snapshot("main").await.unwrap().schema());
    let def = |name: &str| schema.table(name).unwrap().clone();
    let person = |name: &str, age: &str| {
        rows(
            &def("person"),
            &[&[Some(name), Some(name), Some(age), None]],
        )
    };
    let denied = |outcome: Result<u64>| {
        assert!(matches!(outcome, Err(Error::Denied { .. })), "{outcome:?}");
    };
    let (people, knows) = (def("person").id, def("knows").id);
    // Not seen before, or not afterwards.
    denied(transaction.update(people, person("old", "20")).await);
    denied(transaction.update(people, person("ann", "60")).await);
    denied(transaction.insert(people, person("new", "60")).await);
    denied(
        transaction
            .upsert(people, person("old", "20"))
            .await
            .map(|_| 0),
    );
    denied(
        transaction
            .delete(people, &["old".to_owned()])
            .await
            .map(|_| 0),
    );
    // A type that is not shown at all, and one with a hidden end.
    denied(insert(&mut transaction, "team", &[&[None, Some("u")]]).await);
    denied(
        insert(
            &mut transaction,
            "knows",
            &[&[None, Some("ann"), Some("old"), None]],
        )
        .await,
    );
    // Would take an edge along that nobody sees.
    denied(
        transaction
            .delete(people, &["bob".to_owned()])
            .await
            .map(|_| 0),
    );
    denied(
        transaction
            .delete(knows, &["e".to_owned()])
            .await
            .map(|_| 0),
    );
    assert!(transaction.truncate(people, true).await.is_err());
    assert!(transaction.is_empty(), "what was refused left nothing");
    // The rest goes as ever.
    transaction
        .update(people, person("ann", "31"))
        .await
        .unwrap();
    transaction
        .insert(people, person("new", "20"))
        .await
        .unwrap();
    insert(
        &mut transaction,
        "knows",
        &[&[None, Some("ann"), Some("new"), None]],
    )
    .await
    .unwrap();
    assert_eq!(
        column(&transaction.shown().await.unwrap(), "person", "name").await,
        ["ann", "bob", "new"]
    );
    commit(transaction).await.unwrap();
    let head = fixture.graph.snapshot("main").await.unwrap();
    assert_eq!(
        column(&head, "person", "age").await,
        ["20", "31", "40", "70"]
    );
}

#[tokio::test]
async fn only_the_columns_of_the_part_are_changed() {
    let fixture = people_of_two_ages().await;
    let mut transaction = begin(&fixture.graph, "main").await;
    let schema = Arc::clone(transaction.shown_schema());
    let def = schema.table("person").unwrap().clone();
    let part = Part {
        properties: Some(properties(&schema, "person", &["name", "age"])),
        rows: Vec::new(),
    };
    let change = Restriction::new("ages", &schema, HashMap::from([(def.id, part)]));
    transaction.guard(Guard {
        read: None,
        change: Some(Arc::clone(&change)),
    });
    let person = |age: &str, email| rows(&def, &[&[Some("ann"), Some("ann"), Some(age), email]]);
    transaction
        .update(def.id, person("31", None))
        .await
        .unwrap();
    let outcome = transaction.update(def.id, person("31", Some("a@b"))).await;
    assert!(matches!(outcome, Err(Error::Denied { .. })), "{outcome:?}");
    let fresh = rows(&def, &[&[None, Some("new"), None, Some("n@b")]]);
    let outcome = transaction.insert(def.id, fresh).await;
    assert!(matches!(outcome, Err(Error::Denied { .. })), "{outcome:?}");
    let fresh = rows(&def, &[&[None, Some("new"), None, None]]);
    transaction.insert(def.id, fresh).await.unwrap();

    // Who does not see all columns cannot write whole rows.
    let mut transaction = begin(&fixture.graph, "main").await;
    transaction.guard(Guard {
        read: Some(change),
        change: None,
    });
    let outcome = transaction.update(def.id, person("31", None)).await;
    assert!(matches!(outcome, Err(Error::Denied { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_condition_that_fails_shows_nothing() {
    #[derive(Debug)]
    struct Fails;
    impl RowPredicate for Fails {
        fn columns(&self) -> &[usize] {
            &[0]
        }

        fn passes(&self, _: &[ArrayRef], _: usize) -> Result<BooleanArray> {
            Err(Error::invalid("no number"))
        }
    }
    let fixture = people_of_two_ages().await;
    let head = fixture.graph.snapshot("main").await.unwrap();
    let part = Part {
        properties: None,
        rows: vec![Arc::new(Fails)],
    };
    let parts = HashMap::from([(table(&head, "person"), part)]);
    let restriction = Restriction::new("fails", head.schema(), parts);
    let outcome = head.restricted(&restriction).await.map(|_| ());
    assert!(matches!(outcome, Err(Error::Invalid { .. })), "{outcome:?}");
}
