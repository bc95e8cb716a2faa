//! Traversals over real tables, against a model that knows nothing of chunks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use futures::TryStreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::dataset::{ResourceLimits, Resources};
use crate::error::Error;
use crate::graph::Graph;
use crate::names::BranchName;
use crate::pattern::{Failure, Unlimited};
use crate::schema::TypeId;
use crate::snapshot::Snapshot;
use crate::storage::{Store, StoreOptions};
use crate::write::transaction::{CommitMessage, Transaction, TransactionOptions};

const SCHEMA: &str = "
node Person { name: String @key }
node Team { name: String @key }
edge Knows: Person -> Person
edge Member: Person -> Team
";

/// A row of [`traverse`].
type Row = (String, String, String, i32);

struct World {
    graph: Graph,
    person: TypeId,
    team: TypeId,
    knows: TypeId,
    member: TypeId,
}

/// What a snapshot should hold: node ids by table, edges by table and id.
#[derive(Debug, Clone, Default)]
struct Model {
    nodes: BTreeSet<(&'static str, String)>,
    edges: BTreeMap<(&'static str, String), (String, String)>,
}

impl World {
    async fn new(limits: ResourceLimits) -> World {
        let store = Store::connect("memory:", &StoreOptions::default())
            .await
            .unwrap();
        let graph = Graph::create(store, SCHEMA, "test", Resources::new(&limits))
            .await
            .unwrap();
        let snapshot = graph.snapshot("main").await.unwrap();
        let id = |name: &str| snapshot.schema().table(name).unwrap().id;
        World {
            person: id("person"),
            team: id("team"),
            knows: id("knows"),
            member: id("member"),
            graph,
        }
    }

    fn table(&self, name: &str) -> TypeId {
        match name {
            "person" => self.person,
            "team" => self.team,
            "knows" => self.knows,
            _ => self.member,
        }
    }

    async fn begin(&self, branch: &str) -> Transaction {
        let options = TransactionOptions {
            actor: "test".to_owned(),
            ..TransactionOptions::default()
        };
        let branch = BranchName::parse(branch).unwrap();
        self.graph.begin(&branch, options).await.unwrap()
    }

    /// One random change, done to the transaction and the model.
    async fn change(&self, transaction: &mut Transaction, model: &mut Model, random: &mut StdRng) {
        let people: Vec<String> = model
            .nodes
            .iter()
            .filter(|(ty, _)| *ty == "person")
            .map(|(_, id)| id.clone())
            .collect();
        let teams: Vec<String> = model
            .nodes
            .iter()
            .filter(|(ty, _)| *ty == "team")
            .map(|(_, id)| id.clone())
            .collect();
        let pick =
            |from: &[String], random: &mut StdRng| from[random.random_range(0..from.len())].clone();
        match random.random_range(0..10) {
            0..=1 => {
                // The two types share ids, which must not make them one.
                let (table, id) = if random.random_bool(0.7) {
                    ("person", format!("n{}", random.random_range(0..30)))
                } else {
                    ("team", format!("n{}", random.random_range(0..5)))
                };
                transaction
                    .upsert(
                        self.table(table),
                        nodes(transaction, self.table(table), &[&id]),
                    )
                    .await
                    .unwrap();
                model.nodes.insert((table, id));
            }
            2..=6 if !people.is_empty() => {
                let table = if teams.is_empty() || random.random_bool(0.7) {
                    "knows"
                } else {
                    "member"
                };
                let id = format!("e{}", random.random_range(0..60));
                let src = pick(&people, random);
                let dst = if table == "knows" {
                    pick(&people, random)
                } else {
                    pick(&teams, random)
                };
                let rows = edges(transaction, self.table(table), &[(&id, &src, &dst)]);
                transaction.upsert(self.table(table), rows).await.unwrap();
                model.edges.insert((table, id), (src, dst));
            }
            7..=8 if !model.edges.is_empty() => {
                let (table, id) = model
                    .edges
                    .keys()
                    .nth(random.random_range(0..model.edges.len()))
                    .unwrap()
                    .clone();
                transaction
                    .delete(self.table(table), std::slice::from_ref(&id))
                    .await
                    .unwrap();
                model.edges.remove(&(table, id));
            }
            9 if !model.nodes.is_empty() => {
                let (table, id) = model
                    .nodes
                    .iter()
                    .nth(random.random_range(0..model.nodes.len()))
                    .unwrap()
                    .clone();
                transaction
                    .delete(self.table(table), std::slice::from_ref(&id))
                    .await
                    .unwrap();
                model.edges.retain(|(edge, _), (src, dst)| {
                    let (from, to) = ("person", if *edge == "knows" { "person" } else { "team" });
                    !((table == from && *src == id) || (table == to && *dst == id))
                });
                model.nodes.remove(&(table, id));
            }
            _ => {}
        }
    }

    async fn check(&self, snapshot: &Snapshot, model: &Model) {
        let starts: Vec<String> = (0..31).map(|n| format!("n{n}")).collect();
        for direction in [Direction::Out, Direction::In, Direction::Both] {
            for hops in [
                Hops { min: 0, max: None },
                Hops {
                    min: 1,
                    max: Some(2),
                },
            ] {
                for edges in [&["knows"][..], &["member"], &["knows", "member"]] {
                    let request = TraverseRequest {
                        edges: edges.iter().map(|edge| self.table(edge)).collect(),
                        starts: starts.clone(),
                        direction,
                        hops,
                        limit: None,
                        wanted: None,
                        memory: Box::new(Unlimited),
                        batch_rows: 7,
                    };
                    let found = rows(snapshot, request).await.unwrap();
                    let once: BTreeSet<Row> = found.iter().cloned().collect();
                    assert_eq!(once.len(), found.len(), "each node once per start");
                    assert_eq!(
                        once,
                        model.reached(&starts, edges, direction, hops),
                        "{direction:?} {hops:?} {edges:?}"
                    );
                }
            }
        }
    }
}

impl Model {
    fn reached(
        &self,
        starts: &[String],
        types: &[&str],
        direction: Direction,
        hops: Hops,
    ) -> BTreeSet<Row> {
        type Node = (&'static str, String);
        let mut joins: Vec<(Node, Node)> = Vec::new();
        for ((edge, _), (src, dst)) in self
            .edges
            .iter()
            .filter(|((edge, _), _)| types.contains(edge))
        {
            let from = ("person", src.clone());
            let to = (
                if *edge == "knows" { "person" } else { "team" },
                dst.clone(),
            );
            if direction != Direction::In {
                joins.push((from.clone(), to.clone()));
            }
            if direction != Direction::Out {
                joins.push((to, from));
            }
        }
        let mut origins = BTreeSet::new();
        for edge in types {
            if direction != Direction::In {
                origins.insert("person");
            }
            if direction != Direction::Out {
                origins.insert(if *edge == "knows" { "person" } else { "team" });
            }
        }
        let mut rows = BTreeSet::new();
        for start in starts {
            for origin in &origins {
                let node: Node = (*origin, start.clone());
                if !self.nodes.contains(&node) {
                    continue;
                }
                let mut depths = BTreeMap::from([(node.clone(), 0)]);
                let mut level = vec![node];
                for depth in 1.. {
                    let mut next = Vec::new();
                    for (from, to) in joins.iter().filter(|(from, _)| level.contains(from)) {
                        assert!(depths.contains_key(from));
                        if !depths.contains_key(to) {
                            depths.insert(to.clone(), depth);
                            next.push(to.clone());
                        }
                    }
                    if next.is_empty() {
                        break;
                    }
                    level = next;
                }
                rows.extend(
                    depths
                        .into_iter()
                        .filter(|(_, depth)| {
                            *depth >= hops.min as i32
                                && hops.max.is_none_or(|max| *depth <= max as i32)
                        })
                        .map(|((ty, id), depth)| (start.clone(), id, ty.to_owned(), depth)),
                );
            }
        }
        rows
    }
}

fn batch(transaction: &Transaction, table: TypeId, columns: Vec<ArrayRef>) -> RecordBatch {
    let def = transaction.snapshot().table(table).unwrap().def().clone();
    RecordBatch::try_new(def.arrow_schema(), columns).unwrap()
}

fn nodes(transaction: &Transaction, table: TypeId, ids: &[&str]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(StringArray::from(ids.to_vec()));
    batch(transaction, table, vec![ids.clone(), ids])
}

fn edges(transaction: &Transaction, table: TypeId, edges: &[(&str, &str, &str)]) -> RecordBatch {
    let column = |of: fn(&(&str, &str, &str)) -> String| -> ArrayRef {
        Arc::new(
            edges
                .iter()
                .map(|edge| Some(of(edge)))
                .collect::<StringArray>(),
        )
    };
    batch(
        transaction,
        table,
        vec![
            column(|e| e.0.to_owned()),
            column(|e| e.1.to_owned()),
            column(|e| e.2.to_owned()),
        ],
    )
}

async fn rows(snapshot: &Snapshot, request: TraverseRequest) -> Result<Vec<Row>, Error> {
    let batches = traverse(snapshot.clone(), request).try_collect().await;
    let batches: Vec<RecordBatch> = batches.map_err(|failure| match failure {
        Failure::Engine(error) => error,
        Failure::Outside(error) => panic!("{error}"),
    })?;
    let mut rows = Vec::new();
    for batch in &batches {
        let text = |column: usize, row: usize| {
            batch
                .column(column)
                .as_string::<i32>()
                .value(row)
                .to_owned()
        };
        let depths = batch.column(3).as_primitive::<Int32Type>();
        rows.extend(
            (0..batch.num_rows())
                .map(|row| (text(0, row), text(1, row), text(2, row), depths.value(row))),
        );
    }
    Ok(rows)
}

async fn commit(transaction: Transaction) {
    transaction.commit(CommitMessage::default()).await.unwrap();
}

async fn random_history(seed: u64, limits: ResourceLimits) {
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::new(limits).await;
    let mut models = BTreeMap::from([("main", Model::default())]);
    let mut kept: Vec<(Snapshot, Model)> = Vec::new();
    for round in 0..12 {
        if round == 6 {
            let name = BranchName::parse("side").unwrap();
            world
                .graph
                .create_branch(&name, "main", "test")
                .await
                .unwrap();
            models.insert("side", models["main"].clone());
        }
        let branch = if models.len() > 1 && random.random_bool(0.5) {
            "side"
        } else {
            "main"
        };
        let mut model = models[branch].clone();
        let mut transaction = world.begin(branch).await;
        for _ in 0..random.random_range(1..12) {
            world
                .change(&mut transaction, &mut model, &mut random)
                .await;
        }
        world.check(&transaction.snapshot(), &model).await;
        if random.random_bool(0.2) {
            // Rolled back: nothing of it may be seen afterwards.
            drop(transaction);
        } else {
            commit(transaction).await;
            models.insert(branch, model);
        }
        let snapshot = world.graph.snapshot(branch).await.unwrap();
        world.check(&snapshot, &models[branch]).await;
        kept.push((snapshot, models[branch].clone()));
    }
    for (snapshot, model) in kept {
        world.check(&snapshot, &model).await;
    }
}

#[tokio::test]
async fn traversals_agree_with_a_model_through_commits_branches_and_transactions() {
    for seed in 0..4 {
        random_history(seed, ResourceLimits::default()).await;
    }
}

#[tokio::test]
async fn answers_do_not_depend_on_what_is_cached() {
    let limits = ResourceLimits {
        topology_bytes: 1,
        ..ResourceLimits::default()
    };
    random_history(99, limits).await;
}

/// `a → b → c → a`, and a lone `d`.
async fn ring() -> (World, Snapshot) {
    let world = World::new(ResourceLimits::default()).await;
    let mut transaction = world.begin("main").await;
    let people = nodes(&transaction, world.person, &["a", "b", "c", "d"]);
    transaction.insert(world.person, people).await.unwrap();
    let ring = edges(
        &transaction,
        world.knows,
        &[
            ("1", "a", "b"),
            ("2", "b", "c"),
            ("3", "c", "a"),
            ("4", "b", "b"),
        ],
    );
    transaction.insert(world.knows, ring).await.unwrap();
    commit(transaction).await;
    let snapshot = world.graph.snapshot("main").await.unwrap();
    (world, snapshot)
}

fn from(world: &World, starts: &[&str], min: u32, max: Option<u32>) -> TraverseRequest {
    TraverseRequest {
        edges: vec![world.knows],
        starts: starts.iter().map(|start| (*start).to_owned()).collect(),
        direction: Direction::Out,
        hops: Hops { min, max },
        limit: None,
        wanted: None,
        memory: Box::new(Unlimited),
        batch_rows: 100,
    }
}

fn row(start: &str, id: &str, depth: i32) -> Row {
    (start.to_owned(), id.to_owned(), "person".to_owned(), depth)
}

#[tokio::test]
async fn the_start_comes_only_with_no_hops() {
    let (world, snapshot) = ring().await;
    let found = rows(&snapshot, from(&world, &["a"], 1, None))
        .await
        .unwrap();
    assert_eq!(found, [row("a", "b", 1), row("a", "c", 2)]);
    let found = rows(&snapshot, from(&world, &["a"], 0, Some(1)))
        .await
        .unwrap();
    assert_eq!(found, [row("a", "a", 0), row("a", "b", 1)]);
}

#[tokio::test]
async fn starts_that_do_not_exist_have_no_rows_and_twice_is_once() {
    let (world, snapshot) = ring().await;
    let found = rows(&snapshot, from(&world, &["zz", "d", "c", "c"], 0, Some(1)))
        .await
        .unwrap();
    assert_eq!(
        found,
        [row("d", "d", 0), row("c", "c", 0), row("c", "a", 1)]
    );
}

#[tokio::test]
async fn a_limit_ends_the_walk() {
    let (world, snapshot) = ring().await;
    let request = TraverseRequest {
        limit: Some(3),
        ..from(&world, &["a", "b", "c"], 1, None)
    };
    let found = rows(&snapshot, request).await.unwrap();
    assert_eq!(
        found,
        [row("a", "b", 1), row("a", "c", 2), row("b", "c", 1)]
    );
}

#[tokio::test]
async fn node_types_cannot_be_followed() {
    let (world, snapshot) = ring().await;
    let request = TraverseRequest {
        edges: vec![world.person],
        ..from(&world, &["a"], 1, None)
    };
    let error = rows(&snapshot, request).await.unwrap_err();
    assert!(
        error.to_string().contains("\"person\" is not an edge type"),
        "{error}"
    );
}

#[tokio::test]
async fn versions_share_a_base() {
    let (world, snapshot) = ring().await;
    rows(&snapshot, from(&world, &["a"], 1, None))
        .await
        .unwrap();
    let topologies = Arc::clone(world.graph.resources().topologies());
    let before = topologies.bases();
    for n in 0..5 {
        let mut transaction = world.begin("main").await;
        let edge = edges(&transaction, world.knows, &[(&format!("x{n}"), "d", "a")]);
        transaction.insert(world.knows, edge).await.unwrap();
        commit(transaction).await;
        let snapshot = world.graph.snapshot("main").await.unwrap();
        let found = rows(&snapshot, from(&world, &["d"], 1, Some(1)))
            .await
            .unwrap();
        assert_eq!(found, [row("d", "a", 1)]);
    }
    assert_eq!(
        topologies.bases(),
        before,
        "small commits build nothing anew"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_needs_the_same_at_once_waits_for_one_build() {
    let (world, snapshot) = ring().await;
    let walks = (0..8).map(|_| {
        let (snapshot, request) = (snapshot.clone(), from(&world, &["a"], 1, None));
        tokio::spawn(async move { rows(&snapshot, request).await })
    });
    for walk in futures::future::join_all(walks).await {
        assert_eq!(walk.unwrap().unwrap(), [row("a", "b", 1), row("a", "c", 2)]);
    }
    assert_eq!(world.graph.resources().topologies().bases(), 1);
}

#[tokio::test]
async fn a_walk_is_refused_the_memory_it_may_not_have() {
    #[derive(Debug)]
    struct None;
    impl crate::pattern::Memory for None {
        fn resize(&mut self, bytes: usize) -> Result<(), Failure> {
            match bytes {
                0 => Ok(()),
                _ => Err(Failure::Engine(Error::internal("too much"))),
            }
        }
    }
    let (world, snapshot) = ring().await;
    let request = TraverseRequest {
        memory: Box::new(None),
        ..from(&world, &["a"], 1, Option::None)
    };
    let error = rows(&snapshot, request).await.unwrap_err();
    assert!(error.to_string().contains("too much"), "{error}");
}

#[tokio::test]
async fn only_wanted_columns_are_made() {
    let (world, snapshot) = ring().await;
    let request = TraverseRequest {
        wanted: Some(vec![1]),
        ..from(&world, &["a"], 1, None)
    };
    let batches = traverse(snapshot, request).try_collect().await;
    let batches: Vec<RecordBatch> = batches.unwrap_or_else(|failure| panic!("{failure}"));
    let nulls: Vec<usize> = batches[0]
        .columns()
        .iter()
        .map(|column| column.null_count())
        .collect();
    assert_eq!((batches[0].num_rows(), nulls), (2, vec![2, 0, 2, 2]));
}

#[tokio::test]
async fn neighbors_are_edges() {
    let (world, snapshot) = ring().await;
    let list = async |direction| {
        let request = NeighborsRequest {
            edges: vec![world.knows],
            nodes: vec!["b".to_owned(), "zz".to_owned()],
            direction,
            limit: None,
            batch_rows: 2,
        };
        let batches: Vec<RecordBatch> = neighbors(snapshot.clone(), request)
            .try_collect()
            .await
            .unwrap();
        let mut rows = Vec::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                let text = |column: usize| batch.column(column).as_string::<i32>().value(row);
                rows.push(format!(
                    "{} {} {} {} {} {}",
                    text(0),
                    text(1),
                    text(2),
                    text(3),
                    text(4),
                    text(5)
                ));
            }
        }
        rows
    };
    assert_eq!(
        list(Direction::Out).await,
        ["b knows 2 out c person", "b knows 4 out b person"]
    );
    assert_eq!(
        list(Direction::In).await,
        ["b knows 1 in a person", "b knows 4 in b person"]
    );
    assert_eq!(
        list(Direction::Both).await,
        [
            "b knows 2 out c person",
            "b knows 4 out b person",
            "b knows 1 in a person"
        ]
    );
}
