//! Patterns whose matches explode end at the memory that they may have.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const BUDGET: usize = 2 << 20;

/// Refuses what is beyond the budget, and remembers the most that it was told of.
#[derive(Debug, Clone, Default)]
struct Budget(Arc<AtomicUsize>);

impl Memory for Budget {
    fn resize(&mut self, bytes: usize) -> Result<(), Failure> {
        self.0.fetch_max(bytes, Ordering::Relaxed);
        match bytes <= BUDGET {
            true => Ok(()),
            false => Err(Failure::Outside("over the budget".into())),
        }
    }
}

/// Every node has an edge to every other one.
async fn complete(nodes: usize) -> Snapshot {
    let store = Store::connect("memory:", &StoreOptions::default())
        .await
        .unwrap();
    let resources = Resources::new(&ResourceLimits::default());
    let graph = Graph::create(store, SCHEMA, "test", resources)
        .await
        .unwrap();
    let branch = BranchName::parse("main").unwrap();
    let options = TransactionOptions {
        actor: "test".to_owned(),
        ..TransactionOptions::default()
    };
    let mut transaction = graph.begin(&branch, options).await.unwrap();
    let schema = Arc::clone(transaction.snapshot().schema());
    let texts = |texts: Vec<String>| -> ArrayRef { Arc::new(StringArray::from(texts)) };
    let ones = |rows: usize| -> ArrayRef { Arc::new(Int32Array::from(vec![1; rows])) };
    let ids = texts((0..nodes).map(|node| format!("p{node}")).collect());
    let person = schema.table("person").unwrap();
    let columns = vec![Arc::clone(&ids), ids, ones(nodes)];
    let batch = RecordBatch::try_new(person.arrow_schema(), columns).unwrap();
    transaction.insert(person.id, batch).await.unwrap();
    let pairs: Vec<(usize, usize)> = (0..nodes)
        .flat_map(|from| (0..nodes).map(move |to| (from, to)))
        .filter(|(from, to)| from != to)
        .collect();
    let knows = schema.table("knows").unwrap();
    let columns = vec![
        texts(
            pairs
                .iter()
                .map(|(from, to)| format!("e{from}-{to}"))
                .collect(),
        ),
        texts(pairs.iter().map(|(from, _)| format!("p{from}")).collect()),
        texts(pairs.iter().map(|(_, to)| format!("p{to}")).collect()),
        ones(pairs.len()),
    ];
    let batch = RecordBatch::try_new(knows.arrow_schema(), columns).unwrap();
    transaction.insert(knows.id, batch).await.unwrap();
    transaction.commit(CommitMessage::default()).await.unwrap();
    graph.snapshot("main").await.unwrap()
}

/// `(a)-[knows]->{1,}(b)`
fn repeated(schema: &Schema, selector: Selector, mode: Mode) -> Pattern {
    let (person, knows) = (
        schema.table("person").unwrap(),
        schema.table("knows").unwrap(),
    );
    let variable = |id: TypeId, is_edge: bool| Variable {
        name: None,
        is_edge,
        types: vec![id],
        is_group: is_edge,
    };
    let vertex = |variable: usize| {
        Part::Vertex(VertexPattern {
            variable,
            types: vec![person.id],
            conditions: Vec::new(),
        })
    };
    let edge = Part::Edge(EdgePattern {
        variable: 1,
        types: vec![knows.id],
        direction: Direction::Out,
        conditions: Vec::new(),
        cost: None,
    });
    let group = Part::Group(Group {
        parts: vec![edge],
        min: 1,
        max: None,
        conditions: Vec::new(),
    });
    Pattern {
        variables: vec![
            variable(person.id, false),
            variable(knows.id, true),
            variable(person.id, false),
        ],
        paths: vec![PathPattern {
            selector,
            mode,
            parts: vec![vertex(0), group, vertex(2)],
            conditions: Vec::new(),
        }],
        conditions: Vec::new(),
        filters: Vec::new(),
        nested: Vec::new(),
        different_edges: false,
    }
}

#[tokio::test]
async fn exploding_patterns_are_refused_at_their_budget() {
    let snapshot = complete(60).await;
    let schema = Arc::clone(snapshot.schema());
    for (selector, mode) in [
        (Selector::All, Mode::Trail),
        (Selector::Shortest(1_000_000), Mode::Walk),
        (Selector::ShortestGroups(1_000_000), Mode::Walk),
        (Selector::Shortest(1_000_000), Mode::Trail),
    ] {
        let pattern = Arc::new(repeated(&schema, selector, mode));
        let start = &candidates(&pattern).unwrap()[0];
        let program = Arc::new(Program::new(&pattern, start, &Hints::default()).unwrap());
        let opened = open(snapshot.clone(), program, Vec::new(), Box::new(Unlimited)).await;
        let opened = opened.unwrap_or_else(|failure| panic!("{failure}"));
        let asked = Budget::default();
        let matching = Matching {
            conditions: Vec::new(),
            memory: Box::new(asked.clone()),
            outputs: Vec::new(),
            rows: Rows::Match,
            schema: Arc::new(ArrowSchema::empty()),
        };
        let ids = StringArray::from(vec!["p0"]);
        let person = schema.table("person").unwrap().id;
        let starts = futures::stream::iter([Ok((person, ids))]).boxed();
        let mut matched = matches(Arc::new(opened), matching, starts);
        let failure = loop {
            match matched.try_next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{selector:?} {mode:?} ended"),
                Err(failure) => break failure,
            }
        };
        assert!(matches!(failure, Failure::Outside(_)), "{failure}");
        let most = asked.0.load(Ordering::Relaxed);
        assert!(
            most <= BUDGET + BUDGET / 10,
            "{selector:?} {mode:?} held {most} of {BUDGET} bytes"
        );
    }
}
