//! The paths that a selector keeps: of all paths of one pattern between each two ends, the
//! shortest, the cheapest, or so many of them.
//!
//! Where each condition looks at one step only, all ways to a node are alike: the search goes
//! level by level over pairs of a node and a place in the program, and remembers how it came
//! to each. Else every path is looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::pattern::context::{Context, Failure};
use crate::pattern::frame::{Element, Event, Frame, Step, Trace};
use crate::pattern::layers::Layers;
use crate::pattern::matcher::{BATCH_ROWS, Leaf, Machine};
use crate::pattern::program::Search;
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

/// Paths kept between two looks at memory.
const CHARGED_PATHS: usize = 64;
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
                let mut layers = Layers::new(self, from..self.next_row).await?;
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
        let mut machine = Machine::new(&self.context, Arc::clone(&self.search.program));
        machine.begin(vec![self.frame.vertices[row]]);
        let mut held = self.context.meter.hold(0);
        let mut bytes = 0;
        let mut best: BTreeMap<Element, Best> = BTreeMap::new();
        while let Some(leaf) = machine.next().await? {
            for (nth, path) in paths(&leaf, self.search.path).enumerate() {
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
                let best = best.entry(end).or_default();
                let before = best.bytes;
                best.add(Arc::new(path), self.search.selector);
                bytes = bytes + best.bytes - before;
                if nth % CHARGED_PATHS == 0 {
                    held.resize(bytes);
                    self.context.charge()?;
                }
            }
            held.resize(bytes);
            self.context.charge()?;
        }
        Ok(best
            .into_values()
            .flat_map(|best| best.paths)
            .map(|path| (row as u32, path))
            .collect())
    }
}

/// The paths kept between two nodes, the shortest first.
#[derive(Default)]
struct Best {
    paths: Vec<Arc<FoundPath>>,
    bytes: usize,
}

impl Best {
    fn add(&mut self, path: Arc<FoundPath>, selector: Selector) {
        let at = self.paths.partition_point(|known| {
            (known.edges.len(), &known.edges) <= (path.edges.len(), &path.edges)
        });
        self.bytes += path.bytes();
        self.paths.insert(at, path);
        let kept = match selector {
            Selector::Shortest(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Selector::ShortestGroups(count) => {
                let mut lengths = 0;
                let mut last = None;
                let paths = self.paths.iter();
                let kept = paths.take_while(|path| {
                    if last.replace(path.edges.len()) != Some(path.edges.len()) {
                        lengths += 1;
                    }
                    lengths <= count
                });
                kept.count()
            }
            Selector::All | Selector::Cheapest => usize::MAX,
        };
        let dropped = self.paths.drain(kept.min(self.paths.len())..);
        self.bytes -= dropped.map(|path| path.bytes()).sum::<usize>();
    }
}

/// The paths of a leaf, whose program is that of one path pattern.
fn paths(leaf: &Leaf, path: usize) -> impl Iterator<Item = FoundPath> + '_ {
    let route = Route::of(&leaf.trace, path);
    (0..leaf.frame.len()).map(move |row| {
        let found = route.path(&leaf.frame, row);
        match route.is_backward {
            true => found,
            false => found.reversed(),
        }
    })
}

/// The nodes that a path passes, as it is walked from one end.
struct Route {
    stops: Vec<Stop>,
    is_backward: bool,
}

struct Stop {
    level: u32,
    /// The edge that led here.
    edge: Option<VariableId>,
    variables: Arc<[VariableId]>,
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
                    variables: Arc::default(),
                }),
                Event::Edge {
                    variable, backward, ..
                } => {
                    route.is_backward |= backward;
                    route.stops.push(Stop {
                        level,
                        edge: Some(variable),
                        variables: Arc::default(),
                    });
                }
                Event::Vertex(variable) => {
                    if let Some(stop) = route.stops.last_mut() {
                        stop.variables = [&stop.variables, &[variable][..]].concat().into();
                    }
                }
                Event::Start { .. } | Event::Found { .. } => {}
            }
        }
        route
    }

    /// The path that a row of the last frame has walked, from its end.
    fn path(&self, last: &Arc<Frame>, row: usize) -> FoundPath {
        let mut found = FoundPath::default();
        let (mut frame, mut row) = (last, row);
        for (at, stop) in self.stops.iter().enumerate().rev() {
            while frame.level > stop.level {
                let Some(parent) = &frame.parent else { break };
                row = frame.rows[row] as usize;
                frame = parent;
            }
            found.vertices.push(frame.vertices[row]);
            found.vertex_variables.push(Arc::clone(&stop.variables));
            if let (Some(variable), Step::Edges(edges)) = (stop.edge, &frame.step)
                && at > 0
            {
                found.edges.push(edges[row]);
                found.edge_variables.push(variable);
            }
        }
        found
    }
}
