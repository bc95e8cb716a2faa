//! Random patterns over random graphs, against an executor that tries everything.

mod budget;
mod cycles;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Int32Type, Schema as ArrowSchema};
use futures::{StreamExt, TryStreamExt};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::dataset::{ResourceLimits, Resources};
use crate::graph::Graph;
use crate::names::BranchName;
use crate::schema::Schema;
use crate::snapshot::Snapshot;
use crate::storage::{Store, StoreOptions};
use crate::write::transaction::{CommitMessage, TransactionOptions};

const SCHEMA: &str = "
node Person { name: String @key  n: I32 }
node Team { name: String @key  n: I32 }
edge Knows: Person -> Person { n: I32 }
edge Member: Person -> Team { n: I32 }
";

/// An element's name, as `element_id` has it.
type Name = String;

#[derive(Debug, Clone, Default)]
struct Model {
    /// By name: `n`.
    nodes: BTreeMap<Name, i32>,
    /// Name, from, to, `n`.
    edges: Vec<(Name, Name, Name, i32)>,
}

/// The conditions that patterns here have.
#[derive(Debug, Clone, Copy)]
enum Test {
    /// `n` is not 0.
    Positive,
    /// The first property is not above the second.
    Ordered,
    /// As a cost: `n`.
    Cost,
}

impl Condition for Test {
    fn holds(&self, properties: &[ArrayRef], rows: usize) -> Result<BooleanArray, Failure> {
        let value = |at: usize, row: usize| properties[at].as_primitive::<Int32Type>().value(row);
        Ok((0..rows)
            .map(|row| Some(self.is_true(&[value(0, row), value(properties.len() - 1, row)])))
            .collect())
    }

    fn cost(&self, properties: &[ArrayRef], rows: usize) -> Result<Vec<f64>, Failure> {
        let values = properties[0].as_primitive::<Int32Type>();
        Ok((0..rows).map(|row| f64::from(values.value(row))).collect())
    }
}

impl Test {
    fn is_true(self, values: &[i32]) -> bool {
        match self {
            Test::Positive => values[0] != 0,
            Test::Ordered => values[0] <= values[1],
            Test::Cost => true,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Unlimited;

impl Memory for Unlimited {
    fn resize(&mut self, _bytes: usize) -> Result<(), Failure> {
        Ok(())
    }
}

async fn graph(random: &mut StdRng) -> (Snapshot, Model) {
    let store = Store::connect("memory:", &StoreOptions::default())
        .await
        .unwrap();
    let graph = Graph::create(
        store,
        SCHEMA,
        "test",
        Resources::new(&ResourceLimits::default()),
    )
    .await
    .unwrap();
    let mut model = Model::default();
    // Several commits, so that numbers and rows drift apart.
    for round in 0..3 {
        let branch = BranchName::parse("main").unwrap();
        let options = TransactionOptions {
            actor: "test".to_owned(),
            ..TransactionOptions::default()
        };
        let mut transaction = graph.begin(&branch, options).await.unwrap();
        let schema = Arc::clone(transaction.snapshot().schema());
        let table = |name: &str| schema.table(name).unwrap().clone();
        let mut nodes: BTreeMap<&str, Vec<(String, i32)>> = BTreeMap::new();
        for number in 0..2 {
            let n = random.random_range(0..3);
            let of = if random.random_bool(0.7) {
                "person"
            } else {
                "team"
            };
            nodes
                .entry(of)
                .or_default()
                .push((format!("{round}{number}"), n));
            model.nodes.insert(format!("{of}:{round}{number}"), n);
        }
        for (of, rows) in nodes {
            let ids: ArrayRef =
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.0)));
            let n: ArrayRef = Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.1)));
            let def = table(of);
            let batch =
                RecordBatch::try_new(def.arrow_schema(), vec![Arc::clone(&ids), ids, n]).unwrap();
            transaction.insert(def.id, batch).await.unwrap();
        }
        if round == 2 && !model.edges.is_empty() {
            let (name, ..) = model.edges.remove(0);
            let (of, id) = name.split_once(':').unwrap();
            transaction
                .delete(table(of).id, &[id.to_owned()])
                .await
                .unwrap();
        }
        let people: Vec<Name> = model
            .nodes
            .keys()
            .filter(|name| name.starts_with("person"))
            .cloned()
            .collect();
        for number in 0..3 {
            if people.is_empty() {
                continue;
            }
            let from = people[random.random_range(0..people.len())].clone();
            let all: Vec<&Name> = model.nodes.keys().collect();
            let to = all[random.random_range(0..all.len())].clone();
            let of = if to.starts_with("person") {
                "knows"
            } else {
                "member"
            };
            let n = random.random_range(0..3);
            let id = |name: &str| name.split_once(':').unwrap().1.to_owned();
            let text = |text: String| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
            let def = table(of);
            let columns = vec![
                text(format!("e{round}{number}")),
                text(id(&from)),
                text(id(&to)),
                Arc::new(Int32Array::from(vec![n])) as ArrayRef,
            ];
            let batch = RecordBatch::try_new(def.arrow_schema(), columns).unwrap();
            transaction.insert(def.id, batch).await.unwrap();
            model
                .edges
                .push((format!("{of}:e{round}{number}"), from, to, n));
        }
        transaction.commit(CommitMessage::default()).await.unwrap();
    }
    (graph.snapshot("main").await.unwrap(), model)
}

/// Makes patterns.
struct Maker<'a> {
    random: &'a mut StdRng,
    schema: &'a Schema,
    pattern: Pattern,
    tests: Vec<Test>,
}

impl Maker<'_> {
    fn condition(&mut self, test: Test, variables: &[VariableId]) -> ConditionId {
        self.tests.push(test);
        self.pattern.conditions.push(
            variables
                .iter()
                .map(|variable| Property {
                    variable: *variable,
                    kind: PropertyKind::Column("n".to_owned()),
                })
                .collect(),
        );
        self.tests.len() - 1
    }

    fn variable(&mut self, is_edge: bool, is_group: bool) -> (VariableId, Vec<TypeId>) {
        let all = LabelExpression::Any.types(self.schema, is_edge);
        let types = match self.random.random_range(0..3) {
            0 => vec![all[0]],
            _ => all,
        };
        self.pattern.variables.push(Variable {
            name: None,
            is_edge,
            types: types.clone(),
            is_group,
        });
        (self.pattern.variables.len() - 1, types)
    }

    fn vertex(&mut self, shared: Option<VariableId>, is_group: bool) -> Part {
        let (variable, types) = match shared {
            Some(variable) => (variable, self.pattern.variables[variable].types.clone()),
            None => self.variable(false, is_group),
        };
        let mut conditions = Vec::new();
        if self.random.random_bool(0.2) {
            conditions.push(self.condition(Test::Positive, &[variable]));
        }
        Part::Vertex(VertexPattern {
            variable,
            types,
            conditions,
        })
    }

    fn edge(&mut self, is_group: bool, costs: bool) -> Part {
        let (variable, types) = self.variable(true, is_group);
        let direction = [
            Direction::Out,
            Direction::Out,
            Direction::In,
            Direction::Both,
        ];
        let direction = direction[self.random.random_range(0..4)];
        let mut conditions = Vec::new();
        if self.random.random_bool(0.2) {
            conditions.push(self.condition(Test::Positive, &[variable]));
        }
        let cost = costs.then(|| self.condition(Test::Cost, &[variable]));
        Part::Edge(EdgePattern {
            variable,
            types,
            direction,
            conditions,
            cost,
        })
    }

    fn reach(&mut self) -> Part {
        let all = LabelExpression::Any.types(self.schema, true);
        let types = match self.random.random_range(0..3) {
            0 => all,
            _ => vec![all[0]],
        };
        let directions = [Direction::Out, Direction::In, Direction::Both];
        let by = [ReachBy::Walk, ReachBy::Distance][self.random.random_range(0..2)];
        let min = self.random.random_range(0..4);
        let max = min.max(1) + self.random.random_range(0..3);
        let endless = self.random.random_bool(0.3) && (by == ReachBy::Distance || min <= 1);
        Part::Reach(Reach {
            types,
            direction: directions[self.random.random_range(0..3)],
            min,
            max: (!endless).then_some(max),
            by,
        })
    }

    fn path(
        &mut self,
        selector: Selector,
        mode: Mode,
        begin: Option<VariableId>,
        end: Option<VariableId>,
    ) {
        let costs = selector == Selector::Cheapest;
        let least = [
            Selector::Shortest(1),
            Selector::ShortestGroups(1),
            Selector::Cheapest,
        ];
        let finite = mode != Mode::Walk || least.contains(&selector);
        let mut parts = vec![self.vertex(begin, false)];
        let is_plain = selector == Selector::All && mode == Mode::Walk;
        let is_cycle = is_plain && self.random.random_bool(0.25);
        let first = match &parts[0] {
            Part::Vertex(vertex) if is_cycle => Some(vertex.variable),
            _ => None,
        };
        let steps = self.random.random_range(1..4);
        for step in 0..steps {
            if is_plain && self.random.random_bool(0.3) {
                parts.push(self.reach());
            } else if self.random.random_bool(0.5) {
                parts.push(self.edge(false, costs));
            } else {
                let mut inside = vec![self.edge(true, costs)];
                let mut conditions = Vec::new();
                if self.random.random_bool(0.4) {
                    inside.insert(0, self.vertex(None, true));
                    inside.push(self.vertex(None, true));
                    if let (Part::Vertex(left), Part::Vertex(right)) =
                        (inside[0].clone(), inside[2].clone())
                        && self.random.random_bool(0.5)
                    {
                        conditions
                            .push(self.condition(Test::Ordered, &[left.variable, right.variable]));
                    }
                }
                if self.random.random_bool(0.15) && selector == Selector::All {
                    inside.push(self.edge(true, costs));
                }
                let min = self.random.random_range(0..3);
                let max = (!finite || self.random.random_bool(0.5))
                    .then(|| min.max(1) + self.random.random_range(0..2));
                parts.push(Part::Group(Group {
                    parts: inside,
                    min,
                    max,
                    conditions,
                }));
            }
            let shared = end.or(first).filter(|_| step + 1 == steps);
            parts.push(self.vertex(shared, false));
        }
        let mut conditions = Vec::new();
        let ends = (parts.first().cloned(), parts.last().cloned());
        if let (Some(Part::Vertex(first)), Some(Part::Vertex(last))) = ends
            && self.random.random_bool(0.2)
        {
            conditions.push(self.condition(Test::Ordered, &[first.variable, last.variable]));
        }
        self.pattern.paths.push(PathPattern {
            selector,
            mode,
            parts,
            conditions,
        });
    }
}

/// What a path came to: an edge or a node for each variable, lists in the order of the path.
#[derive(Debug, Clone, Default)]
struct Binding {
    values: BTreeMap<VariableId, Vec<Name>>,
    /// The latest element of each variable, for conditions inside of repetitions.
    latest: BTreeMap<VariableId, Name>,
    vertices: Vec<Name>,
    edges: Vec<Name>,
    cost: i64,
}

/// Tries everything, up to a length of paths.
struct Reference<'a> {
    model: &'a Model,
    schema: &'a Schema,
    pattern: &'a Pattern,
    tests: &'a [Test],
    longest: usize,
    /// How many more steps may be tried.
    left: Cell<usize>,
}

impl Reference<'_> {
    fn n(&self, name: &str) -> i32 {
        self.model.nodes.get(name).copied().unwrap_or_else(|| {
            let edge = self.model.edges.iter().find(|edge| edge.0 == name).unwrap();
            edge.3
        })
    }

    fn is_of(&self, name: &str, types: &[TypeId]) -> bool {
        let table = name.split_once(':').unwrap().0;
        types.contains(&self.schema.table(table).unwrap().id)
    }

    fn holds(&self, conditions: &[ConditionId], binding: &Binding) -> bool {
        conditions.iter().all(|condition| {
            let values: Vec<i32> = self.pattern.conditions[*condition]
                .iter()
                .map(|property| self.n(&binding.latest[&property.variable]))
                .collect();
            self.tests[*condition].is_true(&values)
        })
    }

    fn bind(binding: &mut Binding, variable: VariableId, name: &str, is_group: bool) -> bool {
        binding.latest.insert(variable, name.to_owned());
        let values = binding.values.entry(variable).or_default();
        if is_group || values.is_empty() {
            values.push(name.to_owned());
            return true;
        }
        values[0] == name
    }

    fn part(&self, part: &Part, mode: Mode, before: Vec<Binding>) -> Vec<Binding> {
        match part {
            Part::Vertex(vertex) => before
                .into_iter()
                .filter_map(|mut binding| {
                    let here = binding.vertices.last().unwrap().clone();
                    let group = self.pattern.variables[vertex.variable].is_group;
                    let fits = self.is_of(&here, &vertex.types)
                        && Self::bind(&mut binding, vertex.variable, &here, group)
                        && self.holds(&vertex.conditions, &binding);
                    fits.then_some(binding)
                })
                .collect(),
            Part::Edge(edge) => before
                .into_iter()
                .flat_map(|binding| self.edge(edge, mode, binding))
                .collect(),
            Part::Reach(reach) => before
                .into_iter()
                .flat_map(|binding| {
                    let here = binding.vertices.last().unwrap().clone();
                    let reached = self.reached(reach, &here).into_iter();
                    reached.map(move |there| {
                        let mut binding = binding.clone();
                        binding.vertices.push(there);
                        binding
                    })
                })
                .collect(),
            Part::Group(group) => {
                let mut all = Vec::new();
                let mut now = before;
                let mut count = 0;
                loop {
                    if count >= group.min {
                        all.extend(now.iter().cloned());
                    }
                    if now.is_empty() || group.max == Some(count) {
                        return all;
                    }
                    for part in &group.parts {
                        now = self.part(part, mode, now);
                    }
                    now.retain(|binding| self.holds(&group.conditions, binding));
                    count += 1;
                }
            }
        }
    }

    /// Level by level, each level a set of its own.
    fn reached(&self, reach: &Reach, start: &Name) -> BTreeSet<Name> {
        // Longer walks lead nowhere new: there are fewer nodes.
        let longest = reach.max.unwrap_or(self.model.nodes.len() as u32 + 1);
        let mut level = BTreeSet::from([start.clone()]);
        let mut met = level.clone();
        let mut found = BTreeSet::new();
        for length in 0..=longest {
            if length >= reach.min {
                found.extend(level.iter().cloned());
            }
            let mut ahead = BTreeSet::new();
            for (name, from, to, _) in &self.model.edges {
                if !self.is_of(name, &reach.types) {
                    continue;
                }
                if reach.direction != Direction::In && level.contains(from) {
                    ahead.insert(to.clone());
                }
                if reach.direction != Direction::Out && level.contains(to) {
                    ahead.insert(from.clone());
                }
            }
            if reach.by == ReachBy::Distance {
                ahead.retain(|node| met.insert(node.clone()));
            }
            level = ahead;
        }
        found
    }

    fn edge(&self, pattern: &EdgePattern, mode: Mode, binding: Binding) -> Vec<Binding> {
        let here = binding.vertices.last().unwrap().clone();
        let mut out = Vec::new();
        let closed =
            mode == Mode::Simple && binding.vertices.len() > 1 && binding.vertices[0] == here;
        self.left.set(self.left.get().saturating_sub(1));
        if binding.edges.len() >= self.longest || closed || self.left.get() == 0 {
            return out;
        }
        for (name, from, to, n) in self
            .model
            .edges
            .iter()
            .filter(|edge| self.is_of(&edge.0, &pattern.types))
        {
            let mut ends = Vec::new();
            if pattern.direction != Direction::In && *from == here {
                ends.push(to);
            }
            if pattern.direction != Direction::Out
                && *to == here
                && !(pattern.direction == Direction::Both && from == to)
            {
                ends.push(from);
            }
            for end in ends {
                let allowed = match mode {
                    Mode::Walk => true,
                    Mode::Trail => !binding.edges.contains(name),
                    Mode::Acyclic => !binding.vertices.contains(end),
                    Mode::Simple => !binding.vertices[1..].contains(end),
                };
                let mut next = binding.clone();
                next.edges.push(name.clone());
                next.vertices.push(end.clone());
                next.cost += i64::from(*n);
                let group = self.pattern.variables[pattern.variable].is_group;
                if allowed
                    && Self::bind(&mut next, pattern.variable, name, group)
                    && self.holds(&pattern.conditions, &next)
                {
                    out.push(next);
                }
            }
        }
        out
    }

    fn path(&self, path: &PathPattern) -> Vec<Binding> {
        let mut found: Vec<Binding> = self
            .model
            .nodes
            .keys()
            .map(|node| Binding {
                vertices: vec![node.clone()],
                ..Binding::default()
            })
            .collect();
        for part in &path.parts {
            found = self.part(part, path.mode, found);
        }
        found.retain(|binding| self.holds(&path.conditions, binding));
        found
    }
}

/// A row: what each variable is, and the edges of the first path.
type Row = (BTreeMap<VariableId, Vec<Name>>, Vec<String>);

fn ends(path: &Binding) -> (Name, Name) {
    (
        path.vertices[0].clone(),
        path.vertices.last().unwrap().clone(),
    )
}

async fn run(
    snapshot: &Snapshot,
    pattern: &Arc<Pattern>,
    tests: &[Test],
    candidate: &Candidate,
    hints: &Hints,
    known: Vec<(VariableId, Starts)>,
) -> Vec<(Row, f64)> {
    let mut candidate = candidate.clone();
    candidate.conditions.clear();
    let program = Arc::new(Program::new(pattern, &candidate, hints).unwrap());
    let opened = open(snapshot.clone(), program, known, Box::new(Unlimited))
        .await
        .unwrap_or_else(|failure| panic!("{failure}"));
    let inner = pattern.nested.first().map(|nested| nested.inner);
    let used: Vec<VariableId> = (0..inner.unwrap_or(pattern.variables.len())).collect();
    let mut outputs: Vec<Output> = used
        .iter()
        .map(|variable| {
            Output::Property(Property {
                variable: *variable,
                kind: PropertyKind::ElementId,
            })
        })
        .collect();
    outputs.push(Output::PathEdges(0));
    if pattern.paths[0].selector == Selector::Cheapest {
        outputs.push(Output::PathCost(0));
    }
    let fields: Vec<Field> = outputs
        .iter()
        .enumerate()
        .map(|(at, output)| {
            Field::new(
                at.to_string(),
                output_type(pattern, snapshot.schema(), output),
                true,
            )
        })
        .collect();
    let mut starts = Vec::new();
    for id in &candidate.types {
        let request = crate::table::ScanRequest {
            columns: vec![0],
            partitions: 1,
            batch_rows: 2,
        };
        for scan in snapshot.table(*id).unwrap().scan(request).await.unwrap() {
            let batches: Vec<RecordBatch> = scan.try_collect().await.unwrap();
            starts.extend(
                batches
                    .iter()
                    .map(|batch| Ok((*id, batch.column(0).as_string::<i32>().clone()))),
            );
        }
    }
    let matching = Matching {
        conditions: tests
            .iter()
            .map(|test| Arc::new(*test) as Arc<dyn Condition>)
            .collect(),
        memory: Box::new(Unlimited),
        outputs,
        rows: Rows::Match,
        schema: Arc::new(ArrowSchema::new(fields)),
    };
    let batches: Vec<RecordBatch> = matches(
        Arc::new(opened),
        matching,
        futures::stream::iter(starts).boxed(),
    )
    .try_collect()
    .await
    .unwrap_or_else(|failure| panic!("{failure}"));
    let texts = |array: &ArrayRef, row: usize| -> Vec<String> {
        match array.as_string_opt::<i32>() {
            Some(texts) => vec![texts.value(row).to_owned()],
            None => {
                let list = array.as_list::<i32>().value(row);
                list.as_string::<i32>()
                    .iter()
                    .flatten()
                    .map(str::to_owned)
                    .collect()
            }
        }
    };
    let mut rows = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let values = used
                .iter()
                .map(|&variable| (variable, texts(batch.column(variable), row)))
                .filter(|(_, names)| !names.is_empty())
                .collect();
            let cost = match batch.num_columns() > used.len() + 1 {
                true => batch
                    .column(used.len() + 1)
                    .as_primitive::<arrow::datatypes::Float64Type>()
                    .value(row),
                false => 0.0,
            };
            rows.push(((values, texts(batch.column(used.len()), row)), cost));
        }
    }
    rows.sort_by(|left, right| left.0.cmp(&right.0));
    rows
}

fn ids(edges: &[Name]) -> Vec<String> {
    edges
        .iter()
        .map(|name| name.split_once(':').unwrap().1.to_owned())
        .collect()
}

/// Does one of the paths agree with what is bound?
fn goes_on(values: &BTreeMap<VariableId, Vec<Name>>, paths: &[Binding]) -> bool {
    paths.iter().any(|path| {
        let mut shared = path.values.iter();
        shared.all(|(variable, names)| values.get(variable).is_none_or(|known| known == names))
    })
}

/// All rows of the paths joined on what they share.
fn joined(paths: &[Vec<Binding>]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (at, path) in paths.iter().enumerate() {
        if at == 0 {
            rows = path
                .iter()
                .map(|binding| (binding.values.clone(), ids(&binding.edges)))
                .collect();
            continue;
        }
        let mut next = Vec::new();
        for (values, edges) in &rows {
            for binding in path {
                let agrees = |(variable, names): (&VariableId, &Vec<Name>)| {
                    values.get(variable).is_none_or(|known| known == names)
                };
                if binding.values.iter().all(agrees) {
                    let mut all = values.clone();
                    all.extend(binding.values.clone());
                    next.push((all, edges.clone()));
                }
            }
        }
        rows = next;
    }
    rows.sort();
    rows
}

/// Some of the vertices, with the nodes that the conditions on each alone leave.
fn known(
    random: &mut StdRng,
    reference: &Reference<'_>,
    candidates: &[Candidate],
    start: &Candidate,
) -> (Vec<Known>, Vec<(VariableId, Starts)>) {
    let (mut known, mut nodes): (Vec<Known>, Vec<(VariableId, Starts)>) = Default::default();
    for Candidate {
        variable, types, ..
    } in candidates
    {
        let is_known = known.iter().any(|known| known.variable == *variable);
        if is_known || *variable == start.variable || random.random_bool(0.4) {
            continue;
        }
        let conditions = conditions_on(reference.pattern, *variable);
        let holds = |n: i32| {
            conditions.iter().all(|condition| {
                let uses = reference.pattern.conditions[*condition].len();
                reference.tests[*condition].is_true(&vec![n; uses])
            })
        };
        let ids: Vec<Result<(TypeId, StringArray), Failure>> = reference
            .model
            .nodes
            .iter()
            .filter(|(name, n)| reference.is_of(name, types) && holds(**n))
            .map(|(name, _)| {
                let (table, id) = name.split_once(':').unwrap();
                let id = StringArray::from(vec![id.to_owned()]);
                Ok((reference.schema.table(table).unwrap().id, id))
            })
            .collect();
        known.push(Known {
            variable: *variable,
            conditions,
            are_few: random.random_bool(0.6),
        });
        nodes.push((*variable, futures::stream::iter(ids).boxed()));
    }
    (known, nodes)
}

/// Patterns with more walks than this are left alone.
const STEPS: usize = 800;

/// How many patterns it checked.
async fn check_random(seed: u64) -> usize {
    let mut random = StdRng::seed_from_u64(seed);
    let (snapshot, model) = graph(&mut random).await;
    let schema = Arc::clone(snapshot.schema());
    let mut checked = 0;
    for round in 0..25 {
        let selectors = [
            Selector::All,
            Selector::All,
            Selector::Shortest(1),
            Selector::Shortest(3),
            Selector::ShortestGroups(1),
            Selector::ShortestGroups(2),
            Selector::Cheapest,
        ];
        let selector = selectors[random.random_range(0..selectors.len())];
        let modes = [
            Mode::Walk,
            Mode::Walk,
            Mode::Trail,
            Mode::Simple,
            Mode::Acyclic,
        ];
        let mode = match selector {
            Selector::Cheapest => Mode::Walk,
            _ => modes[random.random_range(0..modes.len())],
        };
        let mut maker = Maker {
            random: &mut random,
            schema: &schema,
            pattern: Pattern {
                variables: Vec::new(),
                paths: Vec::new(),
                conditions: Vec::new(),
                filters: Vec::new(),
                nested: Vec::new(),
                different_edges: false,
            },
            tests: Vec::new(),
        };
        maker.path(selector, mode, None, None);
        let second = maker.random.random_bool(0.4);
        if second {
            let parts = &maker.pattern.paths[0].parts;
            let ends = [parts.first().cloned(), parts.last().cloned()];
            let from = maker.random.random_range(0..2);
            let to = maker.random.random_bool(0.5).then_some(&ends[1 - from]);
            if let Some(Part::Vertex(begin)) = &ends[from] {
                let end = match to {
                    Some(Some(Part::Vertex(end))) => Some(end.variable),
                    _ => None,
                };
                maker.path(Selector::All, Mode::Walk, Some(begin.variable), end);
            }
        }
        if maker.random.random_bool(0.3) {
            let parts = &maker.pattern.paths[0].parts;
            let ends = [parts.first().cloned(), parts.last().cloned()];
            if let Some(Part::Vertex(end)) = &ends[maker.random.random_range(0..2)] {
                let inner = maker.pattern.variables.len();
                maker.path(Selector::All, Mode::Walk, Some(end.variable), None);
                maker
                    .pattern
                    .nested
                    .extend(maker.pattern.paths.pop().map(|path| Nested {
                        negated: maker.random.random_bool(0.5),
                        first: maker.pattern.paths.len(),
                        paths: vec![path],
                        inner,
                        filters: Vec::new(),
                        nested: Vec::new(),
                    }));
            }
        }
        let (pattern, tests) = (Arc::new(maker.pattern), maker.tests);
        let nested = pattern.nested.iter().flat_map(|nested| &nested.paths);
        if pattern
            .paths
            .iter()
            .chain(nested)
            .any(|path| check_path(path).is_err())
        {
            continue;
        }
        let reference = Reference {
            model: &model,
            schema: &schema,
            pattern: &pattern,
            tests: &tests,
            // Longer than the shortest path through every place of these patterns.
            longest: if selector == Selector::All { 24 } else { 10 },
            left: Cell::new(STEPS),
        };
        let mut paths: Vec<Vec<Binding>> = pattern
            .paths
            .iter()
            .map(|path| reference.path(path))
            .collect();
        let nested: Vec<(bool, Vec<Binding>)> = pattern
            .nested
            .iter()
            .map(|nested| (nested.negated, reference.path(&nested.paths[0])))
            .collect();
        if reference.left.get() == 0 || (!nested.is_empty() && selector != Selector::All) {
            continue;
        }
        checked += 1;
        let all_first = paths[0].clone();
        let Ok(candidates) = candidates(&pattern) else {
            continue;
        };
        let what = format!("seed {seed}, round {round}: {pattern:#?} {tests:?} over {model:#?}");
        let mut lengths: BTreeMap<(Name, Name), Vec<usize>> = BTreeMap::new();
        let mut costs: BTreeMap<(Name, Name), i64> = BTreeMap::new();
        for path in &all_first {
            lengths
                .entry(ends(path))
                .or_default()
                .push(path.edges.len());
            let least = costs.entry(ends(path)).or_insert(i64::MAX);
            *least = path.cost.min(*least);
        }
        lengths
            .values_mut()
            .for_each(|lengths| lengths.sort_unstable());
        if let Selector::ShortestGroups(count) = selector {
            paths[0].retain(|path| {
                let mut known = lengths[&ends(path)].clone();
                known.dedup();
                known
                    .iter()
                    .take(count as usize)
                    .any(|length| *length == path.edges.len())
            });
        }
        for (candidate, hinted) in candidates.iter().flat_map(|at| [(at, false), (at, true)]) {
            let (mut hints, mut nodes) = (Hints::default(), Vec::new());
            if hinted {
                hints.statistics = Statistics::of(&snapshot, &pattern);
                (hints.known, nodes) = known(&mut random, &reference, &candidates, candidate);
            }
            let found = run(&snapshot, &pattern, &tests, candidate, &hints, nodes).await;
            let what = format!("{what} with {hints:?}");
            match selector {
                Selector::All | Selector::ShortestGroups(_) => {
                    let found: Vec<Row> = found.into_iter().map(|(row, _)| row).collect();
                    let mut expected = joined(&paths);
                    for (negated, bindings) in &nested {
                        expected.retain(|(values, _)| goes_on(values, bindings) != *negated);
                    }
                    assert_eq!(found, expected, "{what} from {candidate:?}");
                }
                // Ties are free: as many and as long as they have to be, each of them a match.
                Selector::Shortest(_) | Selector::Cheapest if paths.len() == 1 => {
                    let rows = joined(&paths);
                    let mut chosen: BTreeMap<(Name, Name), Vec<usize>> = BTreeMap::new();
                    for (row, cost) in &found {
                        assert!(rows.contains(row), "{row:?} is no match of {what}");
                        let path = all_first
                            .iter()
                            .find(|path| (path.values.clone(), ids(&path.edges)) == *row)
                            .unwrap();
                        chosen.entry(ends(path)).or_default().push(path.edges.len());
                        if selector == Selector::Cheapest {
                            assert_eq!(
                                (*cost, path.cost),
                                (costs[&ends(path)] as f64, costs[&ends(path)]),
                                "{what}"
                            );
                        }
                    }
                    chosen
                        .values_mut()
                        .for_each(|lengths| lengths.sort_unstable());
                    let mut expected = lengths.clone();
                    match selector {
                        Selector::Shortest(count) => {
                            expected
                                .values_mut()
                                .for_each(|lengths| lengths.truncate(count as usize));
                            assert_eq!(chosen, expected, "{what} from {candidate:?}");
                        }
                        _ => assert!(
                            chosen.keys().eq(expected.keys()),
                            "{what} from {candidate:?}"
                        ),
                    }
                }
                Selector::Shortest(_) | Selector::Cheapest => {
                    let rows = joined(&paths);
                    assert!(found.iter().all(|(row, _)| rows.contains(row)), "{what}");
                    assert_eq!(found.is_empty(), rows.is_empty(), "{what}");
                }
            }
        }
    }
    checked
}

#[tokio::test]
async fn matches_agree_with_trying_everything_wherever_they_begin() {
    let mut checked = 0;
    for seed in 0..6 {
        checked += check_random(seed).await;
    }
    assert!(checked > 100, "{checked} patterns");
}
