//! The paths that a selector keeps: of all paths of one pattern between each two ends, the
//! shortest, the cheapest, or so many of them.
//!
//! Where each condition looks at one step only, all ways to a node are alike: the search goes
//! level by level over pairs of a node and a place in the program, and remembers how it came
//! to each. Else every path is looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::pattern::frame::{Element, Event, Frame, Step, Trace};
use crate::pattern::layers::Layers;
use crate::pattern::matcher::{BATCH_ROWS, Context, Failure, Leaf, Machine};
use crate::pattern::program::{Program, Search};
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
    pub context: Arc<Context>,
    pub search: Arc<Search>,
    pub frame: Arc<Frame>,
    /// Where each row's path has to end, if that is known.
    pub targets: Option<Vec<Element>>,
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
