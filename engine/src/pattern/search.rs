//! The paths that a selector keeps: of all paths of one pattern between each two ends, the
//! shortest, the cheapest, or so many of them.
//!
//! Where each condition looks at one step only, all ways to a node are alike: the search goes
//! level by level over pairs of a node and a place in the program, and remembers how it came
//! to each. Else every path is looked at.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::Array;

use crate::error::{Error, Result};
use crate::pattern::frame::{Element, Event, Frame, Held, Step, Trace};
use crate::pattern::matcher::{BATCH_ROWS, Context, Failure, Leaf, Machine};
use crate::pattern::program::{Expand, Op, Program, Search};
use crate::pattern::{Selector, VariableId};

/// A path, from its left to its right.
#[derive(Debug, Clone, Default)]
pub(super) struct FoundPath {
    /// One more than edges.
    pub vertices: Vec<Element>,
    pub edges: Vec<Element>,
    /// The variables that each vertex and each edge is bound to.
    pub vertex_variables: Vec<Arc<[VariableId]>>,
    pub edge_variables: Vec<VariableId>,
    pub cost: f64,
}

impl FoundPath {
    pub(super) fn bytes(&self) -> usize {
        24 * self.vertices.len() + 16 * self.edges.len() + 120
    }

    /// What a variable outside of groups is bound to.
    pub(super) fn element(&self, variable: VariableId) -> Option<Element> {
        self.elements(variable).next()
    }

    /// What a variable is bound to, in the order of the path.
    pub(super) fn elements(&self, variable: VariableId) -> impl Iterator<Item = Element> + '_ {
        let vertices = self.vertices.iter().zip(&self.vertex_variables);
        let edges = self.edges.iter().zip(&self.edge_variables);
        let vertices = vertices.filter(move |(_, variables)| variables.contains(&variable));
        let edges = edges.filter(move |(_, bound)| **bound == variable);
        vertices
            .map(|(vertex, _)| *vertex)
            .chain(edges.map(|(edge, _)| *edge))
    }

    fn reversed(mut self) -> Self {
        self.vertices.reverse();
        self.edges.reverse();
        self.vertex_variables.reverse();
        self.edge_variables.reverse();
        self
    }
}

/// Searches from the rows of a frame.
pub(super) struct Searching {
    context: Arc<Context>,
    search: Arc<Search>,
    frame: Arc<Frame>,
    /// Where each row's path has to end, if that is known.
    targets: Option<Vec<Element>>,
    next_row: usize,
    found: Option<Found>,
}

/// What was found from some of the rows.
enum Found {
    Layers(Box<Layers>),
    Paths(std::vec::IntoIter<(u32, Arc<FoundPath>)>),
}

/// Rows that are searched from at the same time.
const SOURCES: usize = 16;

impl Searching {
    pub(super) fn new(
        context: &Arc<Context>,
        search: &Arc<Search>,
        frame: &Arc<Frame>,
        trace: &Trace,
    ) -> Result<Self> {
        let targets = search
            .target
            .map(|target| context.bound(frame, trace, target))
            .transpose()?;
        Ok(Searching {
            context: Arc::clone(context),
            search: Arc::clone(search),
            frame: Arc::clone(frame),
            targets,
            next_row: 0,
            found: None,
        })
    }

    /// The next paths, as continuations of the frame's rows.
    pub(super) async fn next(&mut self) -> Result<Option<Arc<Frame>>, Failure> {
        loop {
            let (mut rows, mut paths) = (Vec::new(), Vec::new());
            match &mut self.found {
                Some(Found::Layers(layers)) => {
                    while paths.len() < BATCH_ROWS
                        && let Some((row, path)) = layers.next_path()
                    {
                        rows.push(row);
                        let path = if self.search.backward {
                            path.reversed()
                        } else {
                            path
                        };
                        paths.push(Arc::new(path));
                    }
                }
                Some(Found::Paths(found)) => {
                    for (row, path) in found.by_ref().take(BATCH_ROWS) {
                        rows.push(row);
                        paths.push(path);
                    }
                }
                None => {}
            }
            if !rows.is_empty() {
                let ends = paths.iter().map(|path| {
                    let end = if self.search.backward {
                        path.vertices.first()
                    } else {
                        path.vertices.last()
                    };
                    end.copied()
                        .ok_or_else(|| Error::internal("a path without a node"))
                });
                let vertices = ends.collect::<Result<Vec<_>>>()?;
                let frame = Frame::after(
                    &self.frame,
                    rows,
                    vertices,
                    Step::Paths(paths),
                    &self.context.meter,
                );
                self.context.charge()?;
                tokio::task::yield_now().await;
                return Ok(Some(frame));
            }
            if self.next_row >= self.frame.len() {
                return Ok(None);
            }
            let from = self.next_row;
            self.found = Some(if self.search.is_local {
                self.next_row = self.frame.len().min(from + SOURCES);
                let mut layers = Layers::new(self, from..self.next_row);
                match self.search.selector {
                    Selector::Cheapest => layers.relax(self).await?,
                    _ => layers.fill(self).await?,
                }
                Found::Layers(Box::new(layers))
            } else {
                self.next_row += 1;
                Found::Paths(Box::pin(self.exhaust(from)).await?.into_iter())
            });
        }
    }

    /// Looks at every path from one row.
    async fn exhaust(&self, row: usize) -> Result<Vec<(u32, Arc<FoundPath>)>, Failure> {
        let program = Program {
            pattern: Arc::clone(&self.search.program.pattern),
            ops: self.search.program.ops.clone(),
            start: self.search.program.start,
        };
        let mut machine = Machine::new(&self.context, Arc::new(program));
        machine.begin(vec![self.frame.vertices[row]]);
        let mut held = self.context.meter.hold(0);
        let mut best: BTreeMap<Element, Best> = BTreeMap::new();
        while let Some(leaf) = machine.next().await? {
            for path in paths(&leaf, self.search.path)? {
                let end = if self.search.backward {
                    path.vertices.first()
                } else {
                    path.vertices.last()
                };
                let Some(end) = end.copied() else { continue };
                if self
                    .targets
                    .as_ref()
                    .is_some_and(|targets| targets[row] != end)
                {
                    continue;
                }
                held.grow(path.bytes());
                best.entry(end)
                    .or_default()
                    .add(Arc::new(path), self.search.selector);
            }
            self.context.charge()?;
        }
        Ok(best
            .into_values()
            .flat_map(|best| best.0)
            .map(|path| (row as u32, path))
            .collect())
    }
}

/// The paths kept between two nodes, the shortest first.
#[derive(Default)]
struct Best(Vec<Arc<FoundPath>>);

impl Best {
    fn add(&mut self, path: Arc<FoundPath>, selector: Selector) {
        let key = |path: &FoundPath| (path.edges.len(), path.edges.clone());
        let at = self.0.partition_point(|known| key(known) <= key(&path));
        self.0.insert(at, path);
        match selector {
            Selector::Shortest(count) => self
                .0
                .truncate(usize::try_from(count).unwrap_or(usize::MAX)),
            Selector::ShortestGroups(count) => {
                let mut lengths = 0;
                let mut last = None;
                self.0.retain(|path| {
                    if last.replace(path.edges.len()) != Some(path.edges.len()) {
                        lengths += 1;
                    }
                    lengths <= count
                });
            }
            Selector::All | Selector::Cheapest => {}
        }
    }
}

/// What a search has come to, and how.
struct Layers {
    selector: Selector,
    sources: Vec<(u32, Element)>,
    targets: Option<Vec<Element>>,
    entries: Vec<Entry>,
    links: Vec<Link>,
    /// The variables that a link's node is bound to.
    bindings: Vec<Arc<[VariableId]>>,
    latest: HashMap<(u32, u32, Element), u32>,
    accepted: Vec<u32>,
    /// Sources whose only path is found already.
    satisfied: Vec<bool>,
    /// Paths given out, by source and end.
    given: HashMap<(u32, Element), u64>,
    next_accepted: usize,
    /// The links of the path given last, from its end to its beginning.
    path: Vec<u32>,
    held: Held,
}

/// A node at a place in the program, at one depth.
#[derive(Debug, Clone, Copy)]
struct Entry {
    source: u32,
    /// Of the instruction that goes on from here, or [`DONE`].
    state: u32,
    vertex: Element,
    depth: u32,
    /// How many depths this node and place were come to at, with this one.
    group: u32,
    first: u32,
    last: u32,
    cost: f64,
}

/// A way to an entry.
#[derive(Debug, Clone, Copy)]
struct Link {
    /// The entry before it; [`NONE`] for the node that the search begins at.
    before: u32,
    edge: Element,
    edge_variable: u32,
    bindings: u32,
    next: u32,
}

const NONE: u32 = u32::MAX;
const DONE: u32 = u32::MAX;

/// Steps whose conditions have yet to be asked.
#[derive(Debug, Clone)]
struct Steps {
    at: usize,
    edge_variable: VariableId,
    bound: Vec<VariableId>,
    source: Vec<u32>,
    before: Vec<u32>,
    edges: Vec<Element>,
    vertices: Vec<Element>,
    costs: Vec<f64>,
    has_edge: bool,
}

impl Steps {
    fn select(&mut self, keep: impl Fn(usize) -> bool) {
        let mut at = 0;
        let kept: Vec<bool> = (0..self.vertices.len()).map(keep).collect();
        fn retain<T>(values: &mut Vec<T>, kept: &[bool]) {
            let mut kept = kept.iter();
            values.retain(|_| kept.next().copied().unwrap_or(false));
        }
        at += kept.iter().filter(|kept| **kept).count();
        if at == kept.len() {
            return;
        }
        retain(&mut self.source, &kept);
        retain(&mut self.before, &kept);
        retain(&mut self.edges, &kept);
        retain(&mut self.vertices, &kept);
        retain(&mut self.costs, &kept);
    }

    fn is_empty(&self) -> bool {
        self.vertices.is_empty()
    }
}

impl Layers {
    fn new(searching: &Searching, rows: std::ops::Range<usize>) -> Self {
        let sources: Vec<(u32, Element)> = rows
            .clone()
            .map(|row| (row as u32, searching.frame.vertices[row]))
            .collect();
        Layers {
            selector: searching.search.selector,
            satisfied: vec![false; sources.len()],
            sources,
            targets: searching
                .targets
                .as_ref()
                .map(|targets| targets[rows].to_vec()),
            entries: Vec::new(),
            links: Vec::new(),
            bindings: Vec::new(),
            latest: HashMap::new(),
            accepted: Vec::new(),
            given: HashMap::new(),
            next_accepted: 0,
            path: Vec::new(),
            held: searching.context.meter.hold(0),
        }
    }

    fn start(&self) -> Steps {
        let count = self.sources.len();
        Steps {
            at: 0,
            edge_variable: 0,
            bound: Vec::new(),
            source: (0..count as u32).collect(),
            before: vec![NONE; count],
            edges: self.sources.iter().map(|(_, vertex)| *vertex).collect(),
            vertices: self.sources.iter().map(|(_, vertex)| *vertex).collect(),
            costs: vec![0.0; count],
            has_edge: false,
        }
    }

    /// Level by level.
    async fn fill(&mut self, searching: &Searching) -> Result<(), Failure> {
        let mut frontier = Vec::new();
        let start = self.start();
        self.settle(searching, start, 0, &mut frontier).await?;
        let mut depth = 0;
        while !frontier.is_empty() {
            depth += 1;
            let level = std::mem::take(&mut frontier);
            self.step(searching, level, depth, &mut frontier).await?;
            if self.satisfied.iter().all(|satisfied| *satisfied) {
                break;
            }
        }
        Ok(())
    }

    /// Again from every entry whose cost has become less, until none does.
    async fn relax(&mut self, searching: &Searching) -> Result<(), Failure> {
        let mut frontier = Vec::new();
        let start = self.start();
        self.settle(searching, start, 0, &mut frontier).await?;
        let mut round = 0;
        while !frontier.is_empty() {
            round += 1;
            let mut level = std::mem::take(&mut frontier);
            level.sort_unstable();
            level.dedup();
            self.step(searching, level, round, &mut frontier).await?;
        }
        Ok(())
    }

    async fn step(
        &mut self,
        searching: &Searching,
        level: Vec<u32>,
        depth: u32,
        frontier: &mut Vec<u32>,
    ) -> Result<(), Failure> {
        let ops = &searching.search.program.ops;
        let mut by_state: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for entry in level {
            by_state
                .entry(self.entries[entry as usize].state)
                .or_default()
                .push(entry);
        }
        for (state, entries) in by_state {
            let Some(Op::Expand(expand)) = ops.get(state as usize) else {
                return Err(Error::internal("a search went on from where nothing goes on").into());
            };
            for some in entries.chunks(BATCH_ROWS) {
                let mut steps = self.expand(&searching.context, expand, some);
                steps.at = state as usize + 1;
                if let Some(cost) = expand.cost.filter(|_| self.selector == Selector::Cheapest) {
                    self.add_costs(searching, cost, &mut steps).await?;
                }
                self.settle(searching, steps, depth, frontier).await?;
                searching.context.charge()?;
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    fn expand(&self, context: &Context, expand: &Expand, entries: &[u32]) -> Steps {
        let mut steps = Steps {
            at: 0,
            edge_variable: expand.variable,
            bound: Vec::new(),
            source: Vec::new(),
            before: Vec::new(),
            edges: Vec::new(),
            vertices: Vec::new(),
            costs: Vec::new(),
            has_edge: true,
        };
        let mut ways = HashMap::new();
        for &before in entries {
            let entry = &self.entries[before as usize];
            if self.satisfied[entry.source as usize] {
                continue;
            }
            let here = entry.vertex;
            let ways = ways
                .entry(here.table())
                .or_insert_with(|| context.ways(expand, here.table()));
            for way in ways.iter() {
                way.edges
                    .adjacency
                    .visit(here.number(), way.reverse, |neighbour, position| {
                        let there = Element::new(way.leads_to, neighbour);
                        if way.skip_loops && there == here {
                            return;
                        }
                        steps.source.push(entry.source);
                        steps.before.push(before);
                        steps.edges.push(Element::new(way.edge_table, position));
                        steps.vertices.push(there);
                        steps.costs.push(entry.cost);
                    });
            }
        }
        steps
    }

    async fn add_costs(
        &self,
        searching: &Searching,
        cost: usize,
        steps: &mut Steps,
    ) -> Result<(), Failure> {
        let rows = steps.vertices.len();
        let given: &Steps = steps;
        let elements = |variable| self.elements(searching, given, variable);
        let costs = searching.context.costs(cost, rows, &elements).await?;
        for (sum, cost) in steps.costs.iter_mut().zip(costs) {
            *sum += cost;
        }
        Ok(())
    }

    /// What a variable is at each of some steps: the node where the search began, the edge of
    /// the step, the node behind it, or else the one before it.
    fn elements(
        &self,
        searching: &Searching,
        steps: &Steps,
        variable: VariableId,
    ) -> Result<Vec<Element>> {
        if steps.bound.contains(&variable) {
            return Ok(steps.vertices.clone());
        }
        if variable == searching.search.program.start {
            let sources = steps.source.iter();
            return Ok(sources
                .map(|source| self.sources[*source as usize].1)
                .collect());
        }
        if !steps.has_edge {
            return Err(Error::internal(
                "a condition on an edge where there is none",
            ));
        }
        if variable == steps.edge_variable {
            return Ok(steps.edges.clone());
        }
        Ok(steps
            .before
            .iter()
            .map(|before| self.entries[*before as usize].vertex)
            .collect())
    }

    /// Follows the instructions after a step to those that go on.
    async fn settle(
        &mut self,
        searching: &Searching,
        steps: Steps,
        depth: u32,
        frontier: &mut Vec<u32>,
    ) -> Result<(), Failure> {
        let context = &searching.context;
        let search = &searching.search;
        let mut open = vec![steps];
        while let Some(mut steps) = open.pop() {
            if steps.is_empty() {
                continue;
            }
            let op = search.program.ops.get(steps.at);
            match op.ok_or_else(|| Error::internal("a search ran beyond its program"))? {
                Op::Start(_) => {
                    steps.at += 1;
                    open.push(steps);
                }
                Op::Jump(to) => {
                    steps.at = *to;
                    open.push(steps);
                }
                Op::Split(to) => {
                    let mut other = steps.clone();
                    other.at = *to;
                    steps.at += 1;
                    open.push(steps);
                    open.push(other);
                }
                Op::Vertex {
                    variable,
                    types,
                    same,
                } => {
                    let tables: Vec<u32> = types
                        .iter()
                        .filter_map(|id| context.elements.number(*id))
                        .collect();
                    let vertices = steps.vertices.clone();
                    let sources = steps.source.clone();
                    steps.select(|row| {
                        tables.contains(&vertices[row].table())
                            && (!same || vertices[row] == self.sources[sources[row] as usize].1)
                    });
                    steps.bound.push(*variable);
                    steps.at += 1;
                    open.push(steps);
                }
                Op::Filter(condition) => {
                    let elements = |variable| self.elements(searching, &steps, variable);
                    let holds = context
                        .holds(*condition, steps.vertices.len(), &elements)
                        .await?;
                    steps.select(|row| holds.is_valid(row) && holds.value(row));
                    steps.at += 1;
                    open.push(steps);
                }
                Op::Expand(_) => self.arrive(&steps, steps.at as u32, depth, frontier),
                Op::Done => self.arrive(&steps, DONE, depth, frontier),
                Op::Goto(_) | Op::Search(_) | Op::Same(_) | Op::Found(_) => {
                    return Err(Error::internal("a search inside of a search").into());
                }
            }
        }
        Ok(())
    }

    fn arrive(&mut self, steps: &Steps, state: u32, depth: u32, frontier: &mut Vec<u32>) {
        let bindings = self.bindings_of(&steps.bound);
        for row in 0..steps.vertices.len() {
            let (source, vertex) = (steps.source[row], steps.vertices[row]);
            if state == DONE
                && let Some(targets) = &self.targets
            {
                if targets[source as usize] != vertex {
                    continue;
                }
                // One way to the only end is all that is wanted.
                self.satisfied[source as usize] |= self.selector == Selector::Shortest(1);
            }
            let link = Link {
                before: steps.before[row],
                edge: steps.edges[row],
                edge_variable: steps.edge_variable as u32,
                bindings,
                next: NONE,
            };
            let entry = Entry {
                source,
                state,
                vertex,
                depth,
                group: 1,
                first: self.links.len() as u32,
                last: self.links.len() as u32,
                cost: steps.costs[row],
            };
            if let Some(fresh) = self.add(entry, link) {
                if state == DONE {
                    self.accepted.push(fresh);
                } else {
                    frontier.push(fresh);
                }
            }
        }
    }

    /// The entry, if it is to be gone on from.
    fn add(&mut self, mut entry: Entry, link: Link) -> Option<u32> {
        let key = (entry.source, entry.state, entry.vertex);
        if let Some(&known) = self.latest.get(&key) {
            let old = &mut self.entries[known as usize];
            if self.selector == Selector::Cheapest {
                if entry.cost >= old.cost {
                    return None;
                }
                // The way there is another one now; whoever went on from it goes on again.
                (old.first, old.last, old.cost) = (entry.first, entry.last, entry.cost);
                self.links.push(link);
                return (entry.state != DONE).then_some(known);
            }
            let (groups, several) = match self.selector {
                Selector::Shortest(count) => (count, count > 1),
                Selector::ShortestGroups(count) => (count, true),
                Selector::All | Selector::Cheapest => (1, false),
            };
            if old.depth == entry.depth {
                if several {
                    let at = self.links.len() as u32;
                    self.links[old.last as usize].next = at;
                    old.last = at;
                    self.links.push(link);
                    self.held.grow(size_of::<Link>());
                }
                return None;
            }
            if u64::from(old.group) >= groups {
                return None;
            }
            entry.group = old.group + 1;
        }
        let fresh = self.entries.len() as u32;
        self.links.push(link);
        self.entries.push(entry);
        self.latest.insert(key, fresh);
        self.held.grow(size_of::<Link>() + size_of::<Entry>() + 40);
        Some(fresh)
    }

    fn bindings_of(&mut self, bound: &[VariableId]) -> u32 {
        let known = self.bindings.iter().position(|known| **known == *bound);
        known.unwrap_or_else(|| {
            self.bindings.push(bound.into());
            self.bindings.len() - 1
        }) as u32
    }

    /// The next path, with the row that it begins at.
    fn next_path(&mut self) -> Option<(u32, FoundPath)> {
        loop {
            let accepted = *self.accepted.get(self.next_accepted)?;
            let entry = self.entries[accepted as usize];
            let limit = match self.selector {
                Selector::Shortest(count) => count,
                Selector::ShortestGroups(_) => u64::MAX,
                Selector::All | Selector::Cheapest => 1,
            };
            let given = self.given.entry((entry.source, entry.vertex)).or_default();
            if *given >= limit || !self.next_links(entry.first) {
                self.next_accepted += 1;
                self.path.clear();
                continue;
            }
            *self.given.entry((entry.source, entry.vertex)).or_default() += 1;
            return Some((self.sources[entry.source as usize].0, self.path_of(&entry)));
        }
    }

    /// The next choice of links from an end to the beginning; `first` is the end's first link.
    fn next_links(&mut self, first: u32) -> bool {
        let mut link = match self.path.is_empty() {
            true => first,
            false => loop {
                let Some(last) = self.path.pop() else {
                    return false;
                };
                let next = self.links[last as usize].next;
                if next != NONE {
                    break next;
                }
            },
        };
        loop {
            self.path.push(link);
            let before = self.links[link as usize].before;
            if before == NONE {
                return true;
            }
            link = self.entries[before as usize].first;
        }
    }

    fn path_of(&self, end: &Entry) -> FoundPath {
        let mut path = FoundPath {
            cost: end.cost,
            ..FoundPath::default()
        };
        for (at, link) in self.path.iter().rev().enumerate() {
            let link = &self.links[*link as usize];
            if at > 0 {
                path.edges.push(link.edge);
                path.edge_variables.push(link.edge_variable as usize);
                path.vertices
                    .push(self.entries[link.before as usize].vertex);
            }
            path.vertex_variables
                .push(Arc::clone(&self.bindings[link.bindings as usize]));
        }
        path.vertices.push(end.vertex);
        path
    }
}

/// The paths of a leaf, whose program is that of one path pattern.
pub(super) fn paths(leaf: &Leaf, path: usize) -> Result<Vec<FoundPath>> {
    let route = Route::of(&leaf.trace, path);
    let (frames, rows) = route.frames(leaf)?;
    Ok((0..leaf.frame.len())
        .map(|row| {
            let mut found = FoundPath::default();
            for (at, stop) in route.stops.iter().enumerate() {
                let (frame, row) = (&frames[at], rows[at][row] as usize);
                if let Some((variable, _)) = stop.edge
                    && at > 0
                    && let Step::Edges(edges) = &frame.step
                {
                    found.edges.push(edges[row]);
                    found.edge_variables.push(variable);
                }
                found.vertices.push(frame.vertices[row]);
                found
                    .vertex_variables
                    .push(stop.variables.as_slice().into());
            }
            found
        })
        .map(|found| match route.is_backward {
            true => found.reversed(),
            false => found,
        })
        .collect())
}

/// The nodes that a path passes, as it is walked from one end.
struct Route {
    stops: Vec<Stop>,
    is_backward: bool,
}

struct Stop {
    level: u32,
    /// The edge that led here.
    edge: Option<(VariableId, bool)>,
    variables: Vec<VariableId>,
}

impl Route {
    fn of(trace: &Trace, path: usize) -> Route {
        let mut route = Route {
            stops: Vec::new(),
            is_backward: false,
        };
        let mut events: Vec<(Event, u32)> = trace.events().collect();
        events.reverse();
        for (event, level) in events {
            match event {
                Event::Start { path: started } if started == path => route.stops.push(Stop {
                    level,
                    edge: None,
                    variables: Vec::new(),
                }),
                Event::Edge {
                    variable, backward, ..
                } => {
                    route.is_backward |= backward;
                    route.stops.push(Stop {
                        level,
                        edge: Some((variable, backward)),
                        variables: Vec::new(),
                    });
                }
                Event::Vertex(variable) => {
                    if let Some(stop) = route.stops.last_mut() {
                        stop.variables.push(variable);
                    }
                }
                Event::Start { .. } | Event::Found { .. } => {}
            }
        }
        route
    }

    /// The frame of each stop, and the rows of it that the leaf's rows continue.
    fn frames<'a>(&self, leaf: &'a Leaf) -> Result<(Vec<&'a Arc<Frame>>, Vec<Vec<u32>>)> {
        let mut frames = Vec::new();
        let mut all_rows = Vec::new();
        let mut frame = &leaf.frame;
        let mut rows: Vec<u32> = (0..leaf.frame.len() as u32).collect();
        for stop in self.stops.iter().rev() {
            (frame, rows) = frame.ancestor(stop.level, rows);
            frames.push(frame);
            all_rows.push(rows.clone());
        }
        frames.reverse();
        all_rows.reverse();
        Ok((frames, all_rows))
    }
}
