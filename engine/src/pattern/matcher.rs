//! Runs a program over batches of partial matches, the newest first.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};

use crate::error::{Error, Result};
use crate::pattern::context::{Context, Failure, found_path};
use crate::pattern::emit::{Output, Rows, emit};
use crate::pattern::expand::expand as expand_from;
use crate::pattern::frame::{Element, Event, Frame, Step, Trace};
use crate::pattern::open::Opened;
use crate::pattern::past::Past;
use crate::pattern::program::{Op, Program};
use crate::pattern::reach::Reached;
use crate::pattern::search::Searching;
use crate::pattern::{ConditionId, Conditions, Memory, VariableId};
use crate::schema::TypeId;

/// Partial matches in one batch, about.
pub(super) const BATCH_ROWS: usize = 1024;

/// What a match is asked for.
#[derive(Debug)]
pub struct Matching {
    pub conditions: Conditions,
    pub memory: Box<dyn Memory>,
    pub outputs: Vec<Output>,
    pub rows: Rows,
    /// One field for each output, of its [`output_type`](super::output_type).
    pub schema: SchemaRef,
}

/// Nodes of one type that matches begin with, by id.
pub type Starts = BoxStream<'static, Result<(TypeId, StringArray), Failure>>;

/// The matches that begin with some nodes. Rows come in no particular order, but equal
/// snapshots and starts give them in equal order. Nothing is done before the first poll, and
/// dropping the stream ends it. What was opened can be matched from several starts at a time.
pub fn matches(
    opened: Arc<Opened>,
    matching: Matching,
    starts: Starts,
) -> BoxStream<'static, Result<RecordBatch, Failure>> {
    let running = Running::new(opened, matching, starts);
    futures::stream::try_unfold(running, Running::next).boxed()
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
    fn new(opened: Arc<Opened>, matching: Matching, starts: Starts) -> Self {
        let program = Arc::clone(&opened.program);
        let context = Context::new(opened, matching.conditions, matching.memory);
        let context = Arc::new(context);
        Running {
            machine: Machine::counted(&context, program),
            context,
            starts,
            outputs: matching.outputs,
            rows: matching.rows,
            schema: matching.schema,
        }
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
            let nodes = self.context.opened.elements.nodes(id, &ids)?;
            self.machine.begin(nodes);
        }
    }
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
    /// Is it the program that was opened, whose partial matches are counted?
    is_counted: bool,
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
            is_counted: false,
        }
    }

    fn counted(context: &Arc<Context>, program: Arc<Program>) -> Self {
        Machine {
            is_counted: true,
            ..Machine::new(context, program)
        }
    }

    /// Goes on with matches that begin at these nodes.
    pub(super) fn begin(&mut self, nodes: Vec<Element>) {
        for nodes in nodes.chunks(BATCH_ROWS).rev() {
            let frame = Frame::start(nodes.to_vec(), &self.context.meter);
            self.push(0, frame, Trace::default());
        }
    }

    /// Goes on with what the instruction before this one has made.
    fn go_on(&mut self, at: usize, frame: Arc<Frame>, trace: Trace) {
        let frontiers = &self.context.opened.progress.frontiers;
        if self.is_counted
            && let Some(frontier) = at.checked_sub(1).and_then(|before| frontiers.get(before))
        {
            frontier.fetch_add(frame.len() as u64, Ordering::Relaxed);
        }
        self.push(at, frame, trace);
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
                    self.go_on(next, Arc::clone(&thread.frame), thread.trace.clone());
                    self.push(*to, thread.frame, thread.trace);
                }
                Op::Start(path) => {
                    let trace = thread
                        .trace
                        .with(Event::Start { path: *path }, thread.frame.level);
                    self.go_on(next, thread.frame, trace);
                }
                Op::Found(path) => {
                    let frame = self.different_from_past(&thread.frame);
                    thread.frame = frame;
                    let trace = thread
                        .trace
                        .with(Event::Found { path: *path }, thread.frame.level);
                    self.go_on(next, thread.frame, trace);
                }
                Op::Vertex {
                    variable,
                    types,
                    same,
                } => {
                    let frame = self.vertex(&thread, *variable, types, *same)?;
                    let trace = thread.trace.with(Event::Vertex(*variable), frame.level);
                    self.go_on(next, frame, trace);
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
                    self.go_on(next, frame, thread.trace);
                }
                Op::Within(variable) => {
                    let known = self.context.opened.known(*variable)?;
                    let frame = thread.frame.selected(
                        |row| known.contains(thread.frame.vertices[row]),
                        &self.context.meter,
                    );
                    self.go_on(next, frame, thread.trace);
                }
                Op::Each(variable) => {
                    let frame = self.each(&thread.frame, *variable)?;
                    let trace = thread.trace.with(Event::Vertex(*variable), frame.level);
                    self.go_on(next, frame, trace);
                    self.context.charge()?;
                }
                Op::Filter(condition) => {
                    let frame = self.filter(&thread, *condition).await?;
                    self.go_on(next, frame, thread.trace);
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
                    self.go_on(next, frame, thread.trace);
                }
                Op::Expand(expand) => {
                    let Thread {
                        frame, trace, done, ..
                    } = &mut thread;
                    let frames = expand_from(&self.context, frame, trace, done, expand)?;
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
                        self.go_on(next, frame, trace);
                    }
                    self.context.charge()?;
                    tokio::task::yield_now().await;
                }
                Op::Exists(exists) => {
                    let found = self.exists(&thread, &exists.program).await?;
                    let keep = |row: usize| found[row] != exists.negated;
                    let frame = thread.frame.selected(keep, &self.context.meter);
                    self.go_on(next, frame, thread.trace);
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
                        self.go_on(next, frame, trace);
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
                        self.go_on(next, frame, trace);
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

    /// Each row with each of the nodes that a variable can be.
    fn each(&self, frame: &Arc<Frame>, variable: VariableId) -> Result<Arc<Frame>> {
        let known = self.context.opened.known(variable)?;
        let (mut rows, mut vertices) = (Vec::new(), Vec::new());
        for row in 0..frame.len() as u32 {
            for node in &known.nodes {
                rows.push(row);
                vertices.push(*node);
            }
        }
        let meter = &self.context.meter;
        Ok(Frame::after(frame, rows, vertices, Step::None, meter))
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
            .filter_map(|id| self.context.opened.elements.number(*id))
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
}
