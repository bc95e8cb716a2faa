//! Patterns that come back to where they began, on graphs in which some nodes have many edges.

use rand::SeedableRng;

use super::*;

/// Edges by id, with the numbers of the nodes at their ends.
type Edges = Vec<(String, usize, usize)>;

const NODES: usize = 24;

async fn crowded(random: &mut StdRng) -> (Snapshot, Edges) {
    let store = Store::connect("memory:", &StoreOptions::default())
        .await
        .unwrap();
    let schema = "node Person { name: String @key }\nedge Knows: Person -> Person";
    let resources = Resources::new(&ResourceLimits::default());
    let graph = Graph::create(store, schema, "test", resources)
        .await
        .unwrap();
    let mut edges = Edges::new();
    // The later commits are seen through the adjacency of the first one.
    for round in 0..3 {
        let branch = BranchName::parse("main").unwrap();
        let options = TransactionOptions {
            actor: "test".to_owned(),
            ..TransactionOptions::default()
        };
        let mut transaction = graph.begin(&branch, options).await.unwrap();
        let schema = Arc::clone(transaction.snapshot().schema());
        let (person, knows) = (
            schema.table("person").unwrap(),
            schema.table("knows").unwrap(),
        );
        let texts = |texts: Vec<String>| -> ArrayRef { Arc::new(StringArray::from(texts)) };
        if round == 0 {
            let ids = texts((0..NODES).map(|node| format!("p{node}")).collect());
            let columns = vec![Arc::clone(&ids), ids];
            let batch = RecordBatch::try_new(person.arrow_schema(), columns).unwrap();
            transaction.insert(person.id, batch).await.unwrap();
        } else {
            let gone = edges.remove(random.random_range(0..edges.len()));
            transaction.delete(knows.id, &[gone.0]).await.unwrap();
        }
        let count = [50, 5, 5][round];
        let fresh: Edges = (0..count)
            .map(|number| {
                // Half of them at three nodes.
                let mut end = || match random.random_bool(0.5) {
                    true => random.random_range(0..3),
                    false => random.random_range(0..NODES),
                };
                (format!("e{round}-{number}"), end(), end())
            })
            .collect();
        let columns = vec![
            texts(fresh.iter().map(|edge| edge.0.clone()).collect()),
            texts(fresh.iter().map(|edge| format!("p{}", edge.1)).collect()),
            texts(fresh.iter().map(|edge| format!("p{}", edge.2)).collect()),
        ];
        let batch = RecordBatch::try_new(knows.arrow_schema(), columns).unwrap();
        transaction.insert(knows.id, batch).await.unwrap();
        edges.extend(fresh);
        transaction.commit(CommitMessage::default()).await.unwrap();
        // So that there is something to be seen through.
        let snapshot = graph.snapshot("main").await.unwrap();
        let pattern = Arc::new(pattern(&schema, &[&[(0, Direction::Out, 1)]]));
        let at = &candidates(&pattern).unwrap()[0];
        run(&snapshot, &pattern, &[], at, &Hints::default(), Vec::new()).await;
    }
    (graph.snapshot("main").await.unwrap(), edges)
}

/// Paths of edges between numbered vertices.
fn pattern(schema: &Schema, paths: &[&[(usize, Direction, usize)]]) -> Pattern {
    let vertices = paths.iter().flat_map(|path| path.iter());
    let count = vertices
        .map(|(from, _, to)| from.max(to) + 1)
        .max()
        .unwrap();
    let (person, knows) = (
        schema.table("person").unwrap(),
        schema.table("knows").unwrap(),
    );
    let variable = |is_edge: bool| Variable {
        name: None,
        is_edge,
        types: vec![if is_edge { knows.id } else { person.id }],
        is_group: false,
    };
    let mut variables: Vec<Variable> = (0..count).map(|_| variable(false)).collect();
    let vertex = |variable: usize| {
        Part::Vertex(VertexPattern {
            variable,
            types: vec![person.id],
            conditions: Vec::new(),
        })
    };
    let mut all = Vec::new();
    for path in paths {
        let mut parts = vec![vertex(path[0].0)];
        for (_, direction, to) in *path {
            variables.push(variable(true));
            parts.push(Part::Edge(EdgePattern {
                variable: variables.len() - 1,
                types: vec![knows.id],
                direction: *direction,
                conditions: Vec::new(),
                cost: None,
            }));
            parts.push(vertex(*to));
        }
        all.push(PathPattern {
            selector: Selector::All,
            mode: Mode::Walk,
            parts,
            conditions: Vec::new(),
        });
    }
    Pattern {
        variables,
        paths: all,
        conditions: Vec::new(),
        filters: Vec::new(),
        nested: Vec::new(),
        different_edges: false,
    }
}

/// The edges of each match, by trying all of them one after the other.
fn tried(edges: &Edges, steps: &[(usize, Direction, usize)]) -> Vec<Vec<String>> {
    let mut rows: Vec<(BTreeMap<usize, usize>, Vec<String>)> = vec![Default::default()];
    for (from, direction, to) in steps {
        let mut next = Vec::new();
        for (nodes, taken) in &rows {
            for (id, source, target) in edges {
                let mut ways = Vec::new();
                if *direction != Direction::In {
                    ways.push((source, target));
                }
                if *direction != Direction::Out && !(ways.len() == 1 && source == target) {
                    ways.push((target, source));
                }
                for (here, there) in ways {
                    let mut nodes = nodes.clone();
                    if nodes.entry(*from).or_insert(*here) == here
                        && nodes.entry(*to).or_insert(*there) == there
                    {
                        next.push((nodes, [taken.as_slice(), &[format!("knows:{id}")]].concat()));
                    }
                }
            }
        }
        rows = next;
    }
    let mut rows: Vec<Vec<String>> = rows.into_iter().map(|(_, taken)| taken).collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn cycles_are_found_from_each_of_their_nodes() {
    use Direction::{Both, In, Out};

    let mut random = StdRng::seed_from_u64(5);
    let (snapshot, edges) = crowded(&mut random).await;
    let schema = Arc::clone(snapshot.schema());
    let shapes: &[&[&[(usize, Direction, usize)]]] = &[
        &[&[(0, Out, 0)]],
        &[&[(0, Out, 1), (1, Out, 0)]],
        &[&[(0, Out, 1), (1, Out, 2), (2, Out, 0)]],
        &[&[(0, Out, 1), (1, In, 2), (2, Both, 0)]],
        &[&[(0, Out, 1)], &[(1, Out, 2)], &[(0, Out, 2)]],
        &[
            &[(0, Out, 1), (1, Out, 2)],
            &[(2, In, 3), (3, In, 0)],
            &[(0, Out, 2)],
        ],
    ];
    for shape in shapes {
        let pattern = Arc::new(pattern(&schema, shape));
        let vertices = pattern
            .variables
            .iter()
            .filter(|variable| !variable.is_edge)
            .count();
        let expected = tried(&edges, &shape.concat());
        assert!(!expected.is_empty(), "{shape:?}");
        for candidate in candidates(&pattern).unwrap() {
            let hints = Hints {
                known: Vec::new(),
                statistics: Statistics::of(&snapshot, &pattern),
            };
            let found = run(&snapshot, &pattern, &[], &candidate, &hints, Vec::new()).await;
            let mut found: Vec<Vec<String>> = found
                .into_iter()
                .map(|((values, _), _)| {
                    let edges = values.into_iter().skip(vertices);
                    edges.flat_map(|(_, names)| names).collect()
                })
                .collect();
            found.sort();
            assert_eq!(found, expected, "{shape:?} from {candidate:?}");
        }
    }
}

#[tokio::test]
async fn a_cycle_is_closed_without_looking_at_all_edges() {
    let mut random = StdRng::seed_from_u64(6);
    let (snapshot, edges) = crowded(&mut random).await;
    let schema = Arc::clone(snapshot.schema());
    let ring = [
        (0, Direction::Out, 1),
        (1, Direction::Out, 2),
        (2, Direction::Out, 0),
    ];
    let pattern = Arc::new(pattern(&schema, &[&ring]));
    let start = &candidates(&pattern).unwrap()[0];
    let program = Arc::new(Program::new(&pattern, start, &Hints::default()).unwrap());
    let opened = open(snapshot, program, Vec::new(), Box::new(Unlimited));
    let opened = Arc::new(opened.await.unwrap_or_else(|failure| panic!("{failure}")));
    let ids = (0..NODES).map(|node| format!("p{node}"));
    let ids = StringArray::from_iter_values(ids);
    let matching = Matching {
        conditions: Vec::new(),
        memory: Box::new(Unlimited),
        outputs: Vec::new(),
        rows: Rows::Match,
        schema: Arc::new(ArrowSchema::empty()),
    };
    let person = schema.table("person").unwrap().id;
    let starts = futures::stream::iter([Ok((person, ids))]).boxed();
    let matched = matches(Arc::clone(&opened), matching, starts);
    let batches: Vec<RecordBatch> = matched
        .try_collect()
        .await
        .unwrap_or_else(|failure| panic!("{failure}"));
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let triangles = tried(&edges, &ring).len();
    let walks = tried(&edges, &ring[..2]).len();
    assert_eq!(rows, triangles);
    let counts = opened.counts();
    // Where the second edge leads is looked at only if a third one closes the ring.
    assert!(
        counts.frontiers[2] < walks as u64,
        "{counts:?}, {walks} walks"
    );
    assert_eq!(counts.frontiers[3], triangles as u64);
}
