//! Level by level over pairs of a node and a place in the program: how each was come to, and
//! the paths that follow from it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::Array;

use crate::error::{Error, Result};
use crate::pattern::context::{Context, Failure};
use crate::pattern::corridor::Corridor;
use crate::pattern::frame::{Element, Held};
use crate::pattern::matcher::BATCH_ROWS;
use crate::pattern::program::{Expand, Op};
use crate::pattern::search::{FoundPath, Searching};
use crate::pattern::{Selector, VariableId};

/// What a search has come to, and how.
pub(super) struct Layers {
    selector: Selector,
    sources: Vec<(u32, Element)>,
    targets: Option<Vec<Element>>,
    /// Where each source's search may go.
    corridors: Vec<Corridor>,
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

/// Edges looked at before others get the thread.
const SLICE_EDGES: usize = 1 << 14;
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

    fn bytes(&self) -> usize {
        let row = 2 * size_of::<u32>() + 2 * size_of::<Element>() + size_of::<f64>();
        row * self.vertices.capacity()
    }
}

impl Layers {
    pub(super) async fn new(
        searching: &Searching,
        rows: std::ops::Range<usize>,
    ) -> Result<Self, Failure> {
        let sources: Vec<(u32, Element)> = rows
            .clone()
            .map(|row| (row as u32, searching.frame.vertices[row]))
            .collect();
        let search = &searching.search;
        let targets = searching.targets.as_ref();
        let targets = targets.map(|targets| targets[rows].to_vec());
        let mut corridors = Vec::with_capacity(sources.len());
        for (at, (_, source)) in sources.iter().enumerate() {
            corridors.push(match (&search.between, &targets) {
                (Some(between), Some(targets)) => {
                    let (context, selector) = (&searching.context, search.selector);
                    Corridor::find(context, between, selector, *source, targets[at]).await?
                }
                _ => Corridor::Everywhere,
            });
        }
        Ok(Layers {
            selector: search.selector,
            satisfied: corridors
                .iter()
                .map(|corridor| matches!(corridor, Corridor::Nowhere))
                .collect(),
            sources,
            targets,
            corridors,
            entries: Vec::new(),
            links: Vec::new(),
            bindings: Vec::new(),
            latest: HashMap::new(),
            accepted: Vec::new(),
            given: HashMap::new(),
            next_accepted: 0,
            path: Vec::new(),
            held: searching.context.meter.hold(0),
        })
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
    pub(super) async fn fill(&mut self, searching: &Searching) -> Result<(), Failure> {
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
    pub(super) async fn relax(&mut self, searching: &Searching) -> Result<(), Failure> {
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
            let mut done = 0;
            while done < entries.len() {
                let context = &searching.context;
                let mut steps = self.expand(context, expand, &entries, &mut done);
                steps.at = state as usize + 1;
                context.opened.progress.looked_at(steps.vertices.len());
                let _held = context.meter.hold(steps.bytes());
                context.charge()?;
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

    /// From some of the entries, as many as make about one batch; `done` counts them.
    fn expand(
        &self,
        context: &Context,
        expand: &Expand,
        entries: &[u32],
        done: &mut usize,
    ) -> Steps {
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
        let from = *done;
        for &before in &entries[from..] {
            if steps.vertices.len() >= SLICE_EDGES || *done - from >= BATCH_ROWS {
                break;
            }
            *done += 1;
            let entry = &self.entries[before as usize];
            if self.satisfied[entry.source as usize] {
                continue;
            }
            let here = entry.vertex;
            let ways = ways
                .entry(here.table())
                .or_insert_with(|| context.ways(&expand.types, expand.direction, here.table()));
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
                        .filter_map(|id| context.opened.elements.number(*id))
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
                Op::Within(variable) => {
                    let known = context.opened.known(*variable)?;
                    let vertices = steps.vertices.clone();
                    steps.select(|row| known.contains(vertices[row]));
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
                Op::Goto(_)
                | Op::Each(_)
                | Op::Search(_)
                | Op::Same(_)
                | Op::Found(_)
                | Op::Reach(_)
                | Op::Exists(_) => {
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
            if !self.corridors[source as usize].allows(vertex, depth) {
                continue;
            }
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
    pub(super) fn next_path(&mut self) -> Option<(u32, FoundPath)> {
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
