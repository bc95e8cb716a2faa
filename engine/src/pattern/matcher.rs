//! Runs a program over batches of partial matches, the newest first.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, SchemaRef};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, TryStreamExt};
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::pattern::emit::{Output, Rows, emit, property_type};
use crate::pattern::frame::{Element, Event, Frame, Meter, Step, Trace};
use crate::pattern::graph::{EdgeSource, Elements};
use crate::pattern::past::Past;
use crate::pattern::program::{Expand, Op, Program};
use crate::pattern::reach::Reached;
use crate::pattern::search::{FoundPath, Searching};
use crate::pattern::{
    ConditionId, Conditions, Direction, Memory, Mode, Part, Pattern, Property, PropertyKind,
    VariableId,
};
use crate::schema::TypeId;
use crate::snapshot::Snapshot;

/// A match failed here, or in what the caller brought: a condition, a start, memory.
#[derive(Debug)]
pub enum Failure {
    Engine(Error),
    Outside(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Engine(error) => error.fmt(f),
            Failure::Outside(error) => error.fmt(f),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Engine(error)
    }
}

impl From<arrow::error::ArrowError> for Failure {
    fn from(error: arrow::error::ArrowError) -> Self {
        Failure::Engine(error.into())
    }
}

/// Partial matches in one batch, about.
pub(super) const BATCH_ROWS: usize = 1024;
/// Edges looked at before others get the thread.
const SLICE_EDGES: usize = 1 << 16;

/// What a match is asked for.
#[derive(Debug)]
pub struct Matching {
    pub program: Program,
    pub conditions: Conditions,
    pub memory: Box<dyn Memory>,
    pub outputs: Vec<Output>,
    pub rows: Rows,
    /// One field for each output, of its [`output_type`](super::output_type).
    pub schema: SchemaRef,
}

/// Nodes of one type that matches begin with, by id.
pub type Starts = BoxStream<'static, Result<(TypeId, StringArray), Failure>>;

/// The matches of a pattern. Rows come in no particular order, but equal snapshots give them
/// in equal order. Nothing is done before the first poll, and dropping the stream ends it.
pub fn matches(
    snapshot: Snapshot,
    matching: Matching,
    starts: Starts,
) -> BoxStream<'static, Result<RecordBatch, Failure>> {
    futures::stream::once(Running::new(snapshot, matching, starts))
        .map_ok(|running| futures::stream::try_unfold(running, Running::next))
        .try_flatten()
        .boxed()
}

struct Running {
    context: Arc<Context>,
    machine: Machine,
    starts: Starts,
    outputs: Vec<Output>,
    rows: Rows,
    schema: SchemaRef,
}

impl Running {
    async fn new(snapshot: Snapshot, matching: Matching, starts: Starts) -> Result<Self, Failure> {
        let pattern = Arc::clone(&matching.program.pattern);
        let types = pattern.types();
        let mut reverse = HashSet::new();
        matching.program.walked_backwards(&mut reverse);
        let reverse: Vec<TypeId> = reverse.into_iter().collect();
        let elements = Elements::open(&snapshot, &types, &reverse).await?;
        let property_type =
            |property: &Property| property_type(&pattern, snapshot.schema(), property);
        let property_types = pattern
            .conditions
            .iter()
            .map(|uses| uses.iter().map(property_type).collect())
            .collect();
        let context = Arc::new(Context {
            elements,
            conditions: matching.conditions,
            property_types,
            meter: Meter::default(),
            memory: Mutex::new(matching.memory),
            pattern,
        });
        Ok(Running {
            machine: Machine::new(&context, Arc::new(matching.program)),
            context,
            starts,
            outputs: matching.outputs,
            rows: matching.rows,
            schema: matching.schema,
        })
    }

    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>, Failure> {
        loop {
            if let Some(leaf) = self.machine.next().await? {
                let batch = emit(
                    &self.context,
                    &leaf,
                    &self.outputs,
                    &self.rows,
                    &self.schema,
                )
                .await?;
                if batch.num_rows() == 0 {
                    continue;
                }
                return Ok(Some((batch, self)));
            }
            let Some((id, ids)) = self.starts.try_next().await? else {
                return Ok(None);
            };
            let nodes = self.context.elements.nodes(id, &ids)?;
            self.machine.begin(nodes);
        }
    }
}

/// What all parts of a running match share.
pub(super) struct Context {
    pub elements: Elements,
    pub pattern: Arc<Pattern>,
    pub meter: Meter,
    conditions: Conditions,
    /// Of each condition's properties.
    property_types: Vec<Vec<DataType>>,
    memory: Mutex<Box<dyn Memory>>,
}

/// What a variable is, for each row that is looked at.
pub(super) type Lookup<'a> = &'a (dyn Fn(VariableId) -> Result<Vec<Element>> + Sync);

/// A way to go on from the nodes of a table.
pub(super) struct Way<'a> {
    pub edges: &'a EdgeSource,
    pub edge_table: u32,
    pub reverse: bool,
    pub leads_to: u32,
    /// Loops were met going forward.
    pub skip_loops: bool,
}

impl Context {
    pub(super) fn charge(&self) -> Result<(), Failure> {
        self.memory.lock().resize(self.meter.bytes())
    }

    /// The ways that lead on from the nodes of a table.
    pub(super) fn ways(&self, types: &[TypeId], direction: Direction, table: u32) -> Vec<Way<'_>> {
        let mut ways = Vec::new();
        for id in types {
            let Some((edge_table, edges)) = self
                .elements
                .number(*id)
                .and_then(|table| Some((table, self.elements.edges(table)?)))
            else {
                continue;
            };
            let both = direction == Direction::Both;
            if direction != Direction::In && edges.from == table {
                ways.push(Way {
                    edges,
                    edge_table,
                    reverse: false,
                    leads_to: edges.to,
                    skip_loops: false,
                });
            }
            if direction != Direction::Out && edges.to == table {
                ways.push(Way {
                    edges,
                    edge_table,
                    reverse: true,
                    leads_to: edges.from,
                    skip_loops: both && edges.from == edges.to,
                });
            }
        }
        ways
    }

    pub(super) fn uses(&self, condition: ConditionId) -> &[Property] {
        &self.pattern.conditions[condition]
    }

    /// The properties that a condition looks at; `elements` says what its variables are.
    async fn properties(
        &self,
        condition: ConditionId,
        elements: Lookup<'_>,
    ) -> Result<Vec<ArrayRef>> {
        let uses = self.uses(condition);
        let types = &self.property_types[condition];
        let mut arrays: Vec<Option<ArrayRef>> = vec![None; uses.len()];
        while let Some(first) = arrays.iter().position(Option::is_none) {
            let variable = uses[first].variable;
            let places: Vec<usize> = (first..uses.len())
                .filter(|&at| uses[at].variable == variable)
                .collect();
            let wanted: Vec<(&PropertyKind, DataType)> = places
                .iter()
                .map(|&at| (&uses[at].kind, types[at].clone()))
                .collect();
            let of_variable = elements(variable)?;
            let fetched = self.elements.fetch(&of_variable, &wanted).await?;
            for (at, array) in places.into_iter().zip(fetched) {
                arrays[at] = Some(array);
            }
        }
        Ok(arrays.into_iter().flatten().collect())
    }

    pub(super) async fn holds(
        &self,
        condition: ConditionId,
        rows: usize,
        elements: Lookup<'_>,
    ) -> Result<BooleanArray, Failure> {
        let properties = self.properties(condition, elements).await?;
        self.conditions[condition].holds(&properties, rows)
    }

    pub(super) async fn costs(
        &self,
        condition: ConditionId,
        rows: usize,
        elements: Lookup<'_>,
    ) -> Result<Vec<f64>, Failure> {
        let properties = self.properties(condition, elements).await?;
        self.conditions[condition].cost(&properties, rows)
    }

    /// What a variable is, for each row of a frame.
    pub(super) fn bound(
        &self,
        frame: &Arc<Frame>,
        trace: &Trace,
        variable: VariableId,
    ) -> Result<Vec<Element>> {
        let all = || (0..frame.len() as u32).collect::<Vec<u32>>();
        for (event, level) in trace.events() {
            let (frame, rows) = match event {
                Event::Vertex(bound) if bound == variable => frame.ancestor(level, all()),
                Event::Edge {
                    variable: bound, ..
                } if bound == variable => frame.ancestor(level, all()),
                Event::Found { path }
                    if self
                        .pattern
                        .path(path)
                        .is_some_and(|path| binds(&path.parts, variable)) =>
                {
                    frame.ancestor(level, all())
                }
                _ => continue,
            };
            return rows
                .into_iter()
                .map(|row| element_of(&event, frame, row as usize, variable))
                .collect();
        }
        Err(Error::internal("a variable was used before it was bound"))
    }
}

fn element_of(event: &Event, frame: &Frame, row: usize, variable: VariableId) -> Result<Element> {
    match (event, &frame.step) {
        (Event::Edge { .. }, Step::Edges(edges)) => Ok(edges[row]),
        (Event::Found { .. }, _) => found_path(frame, row)
            .and_then(|path| path.element(variable))
            .ok_or_else(|| Error::internal("a found path without its variable")),
        _ => Ok(frame.vertices[row]),
    }
}

/// The path by which a row came here, through frames that only chose among rows.
pub(super) fn found_path(frame: &Frame, row: usize) -> Option<&Arc<FoundPath>> {
    let (mut frame, mut row) = (frame, row);
    loop {
        match &frame.step {
            Step::Paths(paths) => return paths.get(row),
            Step::Edges(_) => return None,
            Step::None => {
                row = *frame.rows.get(row)? as usize;
                frame = frame.parent.as_deref()?;
            }
        }
    }
}

/// Does the path bind the variable to one element?
fn binds(parts: &[Part], variable: VariableId) -> bool {
    parts.iter().any(|part| match part {
        Part::Vertex(vertex) => vertex.variable == variable,
        Part::Edge(edge) => edge.variable == variable,
        Part::Group(_) | Part::Reach(_) => false,
    })
}

/// Complete matches.
#[derive(Debug)]
pub(super) struct Leaf {
    pub frame: Arc<Frame>,
    pub trace: Trace,
}

/// A program that runs.
pub(super) struct Machine {
    context: Arc<Context>,
    program: Arc<Program>,
    stack: Vec<Thread>,
}

struct Thread {
    at: usize,
    frame: Arc<Frame>,
    trace: Trace,
    /// How many of the frame's rows the instruction has done.
    done: usize,
    searching: Option<Box<Searching>>,
    reached: Option<Box<Reached>>,
}

impl Machine {
    pub(super) fn new(context: &Arc<Context>, program: Arc<Program>) -> Self {
        Machine {
            context: Arc::clone(context),
            program,
            stack: Vec::new(),
        }
    }

    /// Goes on with matches that begin at these nodes.
    pub(super) fn begin(&mut self, nodes: Vec<Element>) {
        for nodes in nodes.chunks(BATCH_ROWS).rev() {
            let frame = Frame::start(nodes.to_vec(), &self.context.meter);
            self.push(0, frame, Trace::default());
        }
    }

    fn push(&mut self, at: usize, frame: Arc<Frame>, trace: Trace) {
        if frame.len() > 0 {
            self.stack.push(Thread {
                at,
                frame,
                trace,
                done: 0,
                searching: None,
                reached: None,
            });
        }
    }

    /// Works until there are complete matches, or nothing is left to do.
    pub(super) async fn next(&mut self) -> Result<Option<Leaf>, Failure> {
        let program = Arc::clone(&self.program);
        while let Some(mut thread) = self.stack.pop() {
            let op = program
                .ops
                .get(thread.at)
                .ok_or_else(|| Error::internal("a match ran beyond its program"))?;
            let next = thread.at + 1;
            match op {
                Op::Done => {
                    return Ok(Some(Leaf {
                        frame: thread.frame,
                        trace: thread.trace,
                    }));
                }
                Op::Jump(to) => self.push(*to, thread.frame, thread.trace),
                Op::Split(to) => {
                    // The way out comes first: matches come early and their rows go early.
                    self.push(next, Arc::clone(&thread.frame), thread.trace.clone());
                    self.push(*to, thread.frame, thread.trace);
                }
                Op::Start(path) => {
                    let trace = thread
                        .trace
                        .with(Event::Start { path: *path }, thread.frame.level);
                    self.push(next, thread.frame, trace);
                }
                Op::Found(path) => {
                    let frame = self.different_from_past(&thread.frame);
                    thread.frame = frame;
                    let trace = thread
                        .trace
                        .with(Event::Found { path: *path }, thread.frame.level);
                    self.push(next, thread.frame, trace);
                }
                Op::Vertex {
                    variable,
                    types,
                    same,
                } => {
                    let frame = self.vertex(&thread, *variable, types, *same)?;
                    let trace = thread.trace.with(Event::Vertex(*variable), frame.level);
                    self.push(next, frame, trace);
                }
                Op::Same(variable) => {
                    let bound = self
                        .context
                        .bound(&thread.frame, &thread.trace, *variable)?;
                    let frame = thread.frame.selected(
                        |row| {
                            found_path(&thread.frame, row).and_then(|path| path.element(*variable))
                                == Some(bound[row])
                        },
                        &self.context.meter,
                    );
                    self.push(next, frame, thread.trace);
                }
                Op::Filter(condition) => {
                    let frame = self.filter(&thread, *condition).await?;
                    self.push(next, frame, thread.trace);
                }
                Op::Goto(variable) => {
                    let vertices = self
                        .context
                        .bound(&thread.frame, &thread.trace, *variable)?;
                    let rows = (0..thread.frame.len() as u32).collect();
                    let frame = Frame::after(
                        &thread.frame,
                        rows,
                        vertices,
                        Step::None,
                        &self.context.meter,
                    );
                    self.push(next, frame, thread.trace);
                }
                Op::Expand(expand) => {
                    let frames = self.expand(&mut thread, expand)?;
                    let trace = thread.trace.clone();
                    if thread.done < thread.frame.len() {
                        self.stack.push(thread);
                    }
                    for frame in frames.into_iter().rev() {
                        let event = Event::Edge {
                            variable: expand.variable,
                            path: expand.path,
                            backward: expand.backward,
                        };
                        let trace = trace.with(event, frame.level);
                        self.push(next, frame, trace);
                    }
                    self.context.charge()?;
                    tokio::task::yield_now().await;
                }
                Op::Exists(exists) => {
                    let found = self.exists(&thread, &exists.program).await?;
                    let keep = |row: usize| found[row] != exists.negated;
                    let frame = thread.frame.selected(keep, &self.context.meter);
                    self.push(next, frame, thread.trace);
                }
                Op::Reach(reaching) => {
                    let reached = match thread.reached.take() {
                        Some(reached) => reached,
                        None => Box::new(Reached::new(
                            &self.context,
                            reaching,
                            &thread.frame,
                            &thread.trace,
                        )?),
                    };
                    let (frame, rest) = reached.next()?;
                    let trace = thread.trace.clone();
                    if let Some(reached) = rest {
                        thread.reached = Some(reached);
                        self.stack.push(thread);
                    }
                    if let Some(frame) = frame {
                        self.push(next, frame, trace);
                    }
                    self.context.charge()?;
                    tokio::task::yield_now().await;
                }
                Op::Search(search) => {
                    let mut searching = match thread.searching.take() {
                        Some(searching) => searching,
                        None => Box::new(Searching::new(
                            &self.context,
                            search,
                            &thread.frame,
                            &thread.trace,
                        )?),
                    };
                    if let Some(frame) = searching.next().await? {
                        let trace = thread.trace.clone();
                        thread.searching = Some(searching);
                        self.stack.push(thread);
                        self.push(next, frame, trace);
                    }
                }
            }
        }
        Ok(None)
    }

    /// For which rows is there a match of a program that goes on from them?
    fn exists<'a>(
        &'a self,
        thread: &'a Thread,
        program: &'a Arc<Program>,
    ) -> BoxFuture<'a, Result<Vec<bool>, Failure>> {
        let search = async move {
            let mut found = vec![false; thread.frame.len()];
            let mut nested = Machine::new(&self.context, Arc::clone(program));
            nested.push(0, Arc::clone(&thread.frame), thread.trace.clone());
            while let Some(leaf) = nested.next().await? {
                let all = (0..leaf.frame.len() as u32).collect();
                let (_, rows) = leaf.frame.ancestor(thread.frame.level, all);
                for row in rows {
                    found[row as usize] = true;
                }
                if found.iter().all(|found| *found) {
                    break;
                }
            }
            Ok(found)
        };
        Box::pin(search)
    }

    fn vertex(
        &self,
        thread: &Thread,
        variable: VariableId,
        types: &[TypeId],
        same: bool,
    ) -> Result<Arc<Frame>> {
        let frame = &thread.frame;
        let tables: Vec<u32> = types
            .iter()
            .filter_map(|id| self.context.elements.number(*id))
            .collect();
        let bound = match same {
            true => Some(self.context.bound(frame, &thread.trace, variable)?),
            false => None,
        };
        let keep = |row: usize| {
            let here = frame.vertices[row];
            tables.contains(&here.table()) && bound.as_ref().is_none_or(|bound| bound[row] == here)
        };
        Ok(frame.selected(keep, &self.context.meter))
    }

    /// The rows whose found path has no edge of the match before it, if that matters.
    fn different_from_past(&self, frame: &Arc<Frame>) -> Arc<Frame> {
        if !self.context.pattern.different_edges {
            return Arc::clone(frame);
        }
        let all_differ = |row: usize| {
            let mut past = Past::default();
            past.read(frame, row, 0, true);
            let mut seen = HashSet::new();
            past.edges.iter().all(|edge| seen.insert(*edge))
        };
        frame.selected(all_differ, &self.context.meter)
    }

    async fn filter(&self, thread: &Thread, condition: ConditionId) -> Result<Arc<Frame>, Failure> {
        let (frame, trace) = (&thread.frame, &thread.trace);
        let context = &self.context;
        let elements = |variable| context.bound(frame, trace, variable);
        let holds = context.holds(condition, frame.len(), &elements).await?;
        Ok(frame.selected(
            |row| holds.is_valid(row) && holds.value(row),
            &context.meter,
        ))
    }

    /// The rows that one step leads to, in frames of bounded size.
    fn expand(&self, thread: &mut Thread, expand: &Expand) -> Result<Vec<Arc<Frame>>> {
        let context = &self.context;
        let frame = Arc::clone(&thread.frame);
        let bound = match expand.same {
            true => Some(context.bound(&frame, &thread.trace, expand.variable)?),
            false => None,
        };
        let looks_back = expand.mode != Mode::Walk || context.pattern.different_edges;
        let start = match looks_back {
            true => path_start(&thread.trace, expand.path),
            false => 0,
        };
        let (mut rows, mut edges, mut vertices) = (Vec::new(), Vec::new(), Vec::new());
        let mut looked_at = 0;
        let mut ways: Vec<(u32, Vec<Way<'_>>)> = Vec::new();
        let mut past = Past::default();
        while thread.done < frame.len() && rows.len() < BATCH_ROWS && looked_at < SLICE_EDGES {
            let row = thread.done;
            thread.done += 1;
            looked_at += 1;
            let here = frame.vertices[row];
            let known = match ways.iter().position(|(table, _)| *table == here.table()) {
                Some(known) => known,
                None => {
                    ways.push((
                        here.table(),
                        context.ways(&expand.types, expand.direction, here.table()),
                    ));
                    ways.len() - 1
                }
            };
            if looks_back {
                past.read(&frame, row, start, context.pattern.different_edges);
                if past.is_closed(expand.mode) {
                    continue;
                }
            }
            for way in &ways[known].1 {
                way.edges
                    .adjacency
                    .visit(here.number(), way.reverse, |neighbour, position| {
                        looked_at += 1;
                        let there = Element::new(way.leads_to, neighbour);
                        let edge = Element::new(way.edge_table, position);
                        if way.skip_loops && there == here
                            || bound.as_ref().is_some_and(|bound| bound[row] != edge)
                            || looks_back && !past.allows(expand.mode, edge, there)
                        {
                            return;
                        }
                        rows.push(row as u32);
                        edges.push(edge);
                        vertices.push(there);
                    });
            }
        }
        let meter = &context.meter;
        if rows.len() <= 2 * BATCH_ROWS {
            return Ok(vec![Frame::after(
                &frame,
                rows,
                vertices,
                Step::Edges(edges),
                meter,
            )]);
        }
        // A node with very many edges.
        Ok((0..rows.len())
            .step_by(BATCH_ROWS)
            .map(|from| {
                let range = from..rows.len().min(from + BATCH_ROWS);
                let (rows, vertices) = (
                    rows[range.clone()].to_vec(),
                    vertices[range.clone()].to_vec(),
                );
                Frame::after(
                    &frame,
                    rows,
                    vertices,
                    Step::Edges(edges[range].to_vec()),
                    meter,
                )
            })
            .collect())
    }
}

fn path_start(trace: &Trace, path: usize) -> u32 {
    trace
        .events()
        .find(|(event, _)| *event == Event::Start { path })
        .map_or(0, |(_, level)| level)
}
