//! One step along edges, from the rows of a frame.
//!
//! Where the node behind the edge is bound, only the edges between the two are looked at.
//! Where it has to be joined to other nodes that are bound, the lists of neighbours are
//! intersected, from the shortest one.

use std::sync::Arc;

use crate::error::Result;
use crate::pattern::context::{Context, Way};
use crate::pattern::frame::{Element, Event, Frame, Step, Trace};
use crate::pattern::matcher::BATCH_ROWS;
use crate::pattern::past::Past;
use crate::pattern::program::{Expand, Joined};
use crate::pattern::{Direction, Mode};
use crate::schema::TypeId;

/// Edges looked at before others get the thread.
const SLICE_EDGES: usize = 1 << 16;
/// Another list is worth beginning with if it is so many times shorter than the own one.
const SHORTER: usize = 4;

/// The ways on from the nodes of each table that was met.
#[derive(Default)]
pub(super) struct Ways<'a>(Vec<(u32, Vec<Way<'a>>)>);

/// Rows that a step has led to.
#[derive(Default)]
struct Taken {
    rows: Vec<u32>,
    edges: Vec<Element>,
    vertices: Vec<Element>,
}

/// Nodes that what is behind an edge has to be joined to.
struct Condition<'a> {
    joined: &'a Joined,
    /// For each row.
    bound: Vec<Element>,
    ways: Ways<'a>,
}

/// The rows that one step leads to, in frames of bounded size; `done` counts the rows that it
/// was taken from.
pub(super) fn expand(
    context: &Context,
    frame: &Arc<Frame>,
    trace: &Trace,
    done: &mut usize,
    expand: &Expand,
) -> Result<Vec<Arc<Frame>>> {
    let bound = |variable| context.bound(frame, trace, variable);
    let same = expand.same.then(|| bound(expand.variable)).transpose()?;
    let targets = expand.target.map(bound).transpose()?;
    let mut conditions = Vec::with_capacity(expand.joined.len());
    for joined in &expand.joined {
        conditions.push(Condition {
            joined,
            bound: bound(joined.bound)?,
            ways: Ways::default(),
        });
    }
    let different = context.opened.program.pattern.different_edges;
    let looks_back = expand.mode != Mode::Walk || different;
    let start = match looks_back {
        true => path_start(trace, expand.path),
        false => 0,
    };
    let mut taken = Taken::default();
    let mut past = Past::default();
    let mut all_ways = Ways::default();
    let (from, mut looked_at) = (*done, 0);
    while *done < frame.len() && taken.rows.len() < BATCH_ROWS && looked_at < SLICE_EDGES {
        let row = *done;
        *done += 1;
        looked_at += 1;
        let here = frame.vertices[row];
        let ways = all_ways.of(context, &expand.types, expand.direction, here);
        if looks_back {
            past.read(frame, row, start, different);
            if past.is_closed(expand.mode) {
                continue;
            }
        }
        let mut take = |way: &Way<'_>, neighbour: u32, position: u32| {
            let there = Element::new(way.leads_to, neighbour);
            let edge = Element::new(way.edge_table, position);
            if way.skip_loops && there == here
                || same.as_ref().is_some_and(|same| same[row] != edge)
                || looks_back && !past.allows(expand.mode, edge, there)
            {
                return;
            }
            taken.rows.push(row as u32);
            taken.edges.push(edge);
            taken.vertices.push(there);
        };
        if let Some(targets) = &targets {
            let there = targets[row];
            for way in ways.iter().filter(|way| way.leads_to == there.table()) {
                let (from, to) = (here.number(), there.number());
                let adjacency = &way.edges.adjacency;
                adjacency.visit_between(from, to, way.reverse, |position| {
                    looked_at += 1;
                    take(way, to, position);
                });
            }
            continue;
        }
        if conditions.is_empty() {
            for way in ways {
                let adjacency = &way.edges.adjacency;
                adjacency.visit(here.number(), way.reverse, |neighbour, position| {
                    looked_at += 1;
                    take(way, neighbour, position);
                });
            }
            continue;
        }
        let own = degree(ways, here);
        let mut shortest: Option<(usize, usize)> = None;
        for (nth, condition) in conditions.iter_mut().enumerate() {
            let other = condition.degree(context, row);
            if other.saturating_mul(SHORTER) < own
                && shortest.is_none_or(|(least, _)| other < least)
            {
                shortest = Some((other, nth));
            }
        }
        let joined = |there: Element, but: Option<usize>| {
            let mut others = conditions.iter().enumerate();
            others.all(|(nth, condition)| but == Some(nth) || condition.holds(row, there))
        };
        match shortest {
            None => {
                looked_at += own;
                for way in ways {
                    let adjacency = &way.edges.adjacency;
                    adjacency.visit(here.number(), way.reverse, |neighbour, position| {
                        if joined(Element::new(way.leads_to, neighbour), None) {
                            take(way, neighbour, position);
                        }
                    });
                }
            }
            Some((least, nth)) => {
                looked_at += least;
                let mut others = conditions[nth].neighbours(row);
                others.retain(|there| joined(*there, Some(nth)));
                // Edges come by their ways and positions, from whichever side they are found.
                let mut found: Vec<(usize, u32, u32)> = Vec::new();
                for there in others {
                    for (at, way) in ways.iter().enumerate() {
                        if way.leads_to == there.table() {
                            let (from, to) = (here.number(), there.number());
                            let adjacency = &way.edges.adjacency;
                            adjacency.visit_between(from, to, way.reverse, |position| {
                                found.push((at, position, to));
                            });
                        }
                    }
                }
                found.sort_unstable();
                for (at, position, neighbour) in found {
                    take(&ways[at], neighbour, position);
                }
            }
        }
    }
    let rows = *done - from;
    context.opened.progress.looked_at(looked_at - rows);
    Ok(taken.frames(context, frame))
}

pub(super) fn degree(ways: &[Way<'_>], node: Element) -> usize {
    let ways = ways.iter();
    ways.map(|way| way.edges.adjacency.degree(node.number(), way.reverse))
        .sum()
}

impl<'a> Ways<'a> {
    pub(super) fn of(
        &mut self,
        context: &'a Context,
        types: &[TypeId],
        direction: Direction,
        node: Element,
    ) -> &[Way<'a>] {
        let at = match self.position(node) {
            Some(at) => at,
            None => {
                let ways = context.ways(types, direction, node.table());
                self.0.push((node.table(), ways));
                self.0.len() - 1
            }
        };
        &self.0[at].1
    }

    fn known(&self, node: Element) -> &[Way<'a>] {
        self.position(node).map_or(&[], |at| &self.0[at].1)
    }

    fn position(&self, node: Element) -> Option<usize> {
        self.0.iter().position(|(table, _)| *table == node.table())
    }
}

impl<'a> Condition<'a> {
    fn degree(&mut self, context: &'a Context, row: usize) -> usize {
        let bound = self.bound[row];
        let Joined {
            types, direction, ..
        } = self.joined;
        degree(self.ways.of(context, types, *direction, bound), bound)
    }

    fn holds(&self, row: usize, there: Element) -> bool {
        let bound = self.bound[row];
        let mut ways = self.ways.known(bound).iter();
        ways.any(|way| {
            let adjacency = &way.edges.adjacency;
            way.leads_to == there.table()
                && adjacency.joins(bound.number(), there.number(), way.reverse)
        })
    }

    /// Of the node that is bound, each once.
    fn neighbours(&self, row: usize) -> Vec<Element> {
        let bound = self.bound[row];
        let mut neighbours = Vec::new();
        for way in self.ways.known(bound) {
            let adjacency = &way.edges.adjacency;
            adjacency.visit(bound.number(), way.reverse, |neighbour, _| {
                neighbours.push(Element::new(way.leads_to, neighbour));
            });
        }
        neighbours.sort_unstable();
        neighbours.dedup();
        neighbours
    }
}

impl Taken {
    fn frames(self, context: &Context, parent: &Arc<Frame>) -> Vec<Arc<Frame>> {
        let Taken {
            rows,
            edges,
            vertices,
        } = self;
        let meter = &context.meter;
        if rows.len() <= 2 * BATCH_ROWS {
            return vec![Frame::after(
                parent,
                rows,
                vertices,
                Step::Edges(edges),
                meter,
            )];
        }
        // A node with very many edges.
        let pieces = (0..rows.len()).step_by(BATCH_ROWS).map(|from| {
            let range = from..rows.len().min(from + BATCH_ROWS);
            let step = Step::Edges(edges[range.clone()].to_vec());
            let vertices = vertices[range.clone()].to_vec();
            Frame::after(parent, rows[range].to_vec(), vertices, step, meter)
        });
        pieces.collect()
    }
}

fn path_start(trace: &Trace, path: usize) -> u32 {
    trace
        .events()
        .find(|(event, _)| *event == Event::Start { path })
        .map_or(0, |(_, level)| level)
}
