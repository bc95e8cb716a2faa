//! The nodes that edges lead to, each once: breadth first from every row of a frame, in slices.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::pattern::frame::{Element, Frame, Held, Step, Trace};
use crate::pattern::matcher::{BATCH_ROWS, Context, Way};
use crate::pattern::program::Reaching;
use crate::pattern::{Reach, ReachBy};
use crate::traverse::Bits;

/// Edges looked at before others get the thread.
const SLICE_EDGES: usize = 1 << 16;

/// The walks from the rows of a frame.
pub(super) struct Reached {
    context: Arc<Context>,
    reaching: Arc<Reaching>,
    frame: Arc<Frame>,
    /// Where each row has to lead, if that is known.
    targets: Option<Vec<Element>>,
    next_row: usize,
    walk: Option<Walk>,
    /// What the walk before this one came to: neighbouring rows often begin alike.
    last: Option<Walk>,
    /// How many of its nodes the next row has been given.
    given: usize,
    seen: Seen,
}

/// The walks from one row, level by level.
struct Walk {
    start: Element,
    depth: u32,
    level: Vec<Element>,
    /// How many nodes of the level were gone on from.
    done: usize,
    /// The next level.
    ahead: Vec<Element>,
    found: Vec<Element>,
    held: Held,
}

/// Which nodes a walk has met. A set for each of two questions.
struct Seen {
    sets: [HashMap<u32, Bits>; 2],
    met: [Vec<Element>; 2],
    held: Held,
}

/// The nodes that are not gone on from again.
const EXPANDED: usize = 0;
/// The nodes that were reported.
const REPORTED: usize = 1;

impl Reached {
    pub(super) fn new(
        context: &Arc<Context>,
        reaching: &Arc<Reaching>,
        frame: &Arc<Frame>,
        trace: &Trace,
    ) -> Result<Self> {
        let targets = reaching
            .target
            .map(|target| context.bound(frame, trace, target))
            .transpose()?;
        Ok(Reached {
            context: Arc::clone(context),
            reaching: Arc::clone(reaching),
            frame: Arc::clone(frame),
            targets,
            next_row: 0,
            walk: None,
            last: None,
            given: 0,
            seen: Seen {
                sets: [HashMap::new(), HashMap::new()],
                met: [Vec::new(), Vec::new()],
                held: context.meter.hold(0),
            },
        })
    }

    /// Some rows that are led to, and what is left to do.
    pub(super) fn next(mut self: Box<Self>) -> Result<(Option<Arc<Frame>>, Option<Box<Self>>)> {
        let (mut rows, mut vertices) = (Vec::new(), Vec::new());
        let mut budget = SLICE_EDGES;
        while budget > 0 && rows.len() < BATCH_ROWS {
            if self.walk.is_none() {
                let Some(&start) = self.frame.vertices.get(self.next_row) else {
                    break;
                };
                budget -= 1;
                if self.last.as_ref().is_none_or(|last| last.start != start) {
                    self.last = None;
                    self.walk = Some(self.begin(start)?);
                }
            }
            if let Some(walk) = self.walk.take() {
                match self.advance(walk, &mut budget)? {
                    (walk, false) => {
                        self.walk = Some(walk);
                        break;
                    }
                    (walk, true) => {
                        self.seen.forget();
                        self.last = Some(walk);
                    }
                }
            }
            let row = self.next_row;
            let found = self.last.as_ref().map_or(&[][..], |last| &last.found);
            let mut upto = found.len();
            match &self.targets {
                None => {
                    upto = upto.min(self.given + BATCH_ROWS - rows.len());
                    vertices.extend(&found[self.given..upto]);
                    rows.resize(vertices.len(), row as u32);
                }
                Some(targets) if found.contains(&targets[row]) => {
                    rows.push(row as u32);
                    vertices.push(targets[row]);
                }
                Some(_) => {}
            }
            self.given = upto;
            if upto == found.len() {
                self.next_row += 1;
                self.given = 0;
            }
        }
        let frame = (!rows.is_empty())
            .then(|| Frame::after(&self.frame, rows, vertices, Step::None, &self.context.meter));
        let more = self.walk.is_some() || self.next_row < self.frame.len();
        Ok((frame, more.then_some(self)))
    }

    fn begin(&mut self, start: Element) -> Result<Walk> {
        let Reach { min, by, .. } = self.reaching.reach;
        let mut walk = Walk {
            start,
            depth: 0,
            level: vec![start],
            done: 0,
            ahead: Vec::new(),
            found: Vec::new(),
            held: self.context.meter.hold(0),
        };
        if by == ReachBy::Distance {
            self.seen.insert(&self.context, EXPANDED, start)?;
        }
        if min == 0 {
            self.seen.insert(&self.context, REPORTED, start)?;
            walk.found.push(start);
        }
        Ok(walk)
    }

    /// Goes on until the walks are over (true) or the budget is spent.
    fn advance(&mut self, mut walk: Walk, budget: &mut usize) -> Result<(Walk, bool)> {
        let context = Arc::clone(&self.context);
        let reaching = Arc::clone(&self.reaching);
        let Reach {
            types,
            direction,
            min,
            max,
            by,
        } = &reaching.reach;
        // A longer walk to where a shorter one led says nothing new, unless the shorter one
        // was too short.
        let once = *by == ReachBy::Distance || *min <= 1;
        let mut ways: HashMap<u32, Vec<Way<'_>>> = HashMap::new();
        while !walk.level.is_empty() && max.is_none_or(|max| walk.depth < max) {
            let reports = walk.depth + 1 >= *min;
            while walk.done < walk.level.len() {
                if *budget == 0 {
                    walk.charge(&context);
                    return Ok((walk, false));
                }
                let here = walk.level[walk.done];
                walk.done += 1;
                let mut looked_at = 1;
                let mut failed = None;
                let ways = ways
                    .entry(here.table())
                    .or_insert_with(|| context.ways(types, *direction, here.table()));
                for way in ways.iter() {
                    way.edges
                        .adjacency
                        .visit(here.number(), way.reverse, |neighbour, _| {
                            looked_at += 1;
                            let there = Element::new(way.leads_to, neighbour);
                            let met =
                                self.seen
                                    .insert(&context, EXPANDED, there)
                                    .and_then(|fresh| {
                                        if fresh {
                                            walk.ahead.push(there);
                                        }
                                        Ok(reports
                                            && (fresh || *by == ReachBy::Walk)
                                            && self.seen.insert(&context, REPORTED, there)?)
                                    });
                            match met {
                                Ok(true) => walk.found.push(there),
                                Ok(false) => {}
                                Err(error) => failed = Some(error),
                            }
                        });
                }
                if let Some(error) = failed {
                    return Err(error);
                }
                *budget = budget.saturating_sub(looked_at);
            }
            walk.depth += 1;
            walk.done = 0;
            walk.level = std::mem::take(&mut walk.ahead);
            if !once {
                self.seen.clear(EXPANDED);
            }
        }
        walk.charge(&context);
        Ok((walk, true))
    }
}

impl Walk {
    fn charge(&mut self, context: &Context) {
        let nodes = self.level.capacity() + self.ahead.capacity() + self.found.capacity();
        self.held = context.meter.hold(size_of::<Element>() * nodes);
    }
}

impl Seen {
    /// Was it new?
    fn insert(&mut self, context: &Context, set: usize, node: Element) -> Result<bool> {
        let bits = match self.sets[set].entry(node.table()) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let nodes = context
                    .elements
                    .node_count(node.table())
                    .ok_or_else(|| Error::internal("an edge leads to what is no node"))?;
                let bits = entry.insert(Bits::new(nodes));
                self.held.grow(bits.bytes());
                bits
            }
        };
        let fresh = bits.insert(node.number());
        if fresh {
            self.met[set].push(node);
        }
        Ok(fresh)
    }

    fn clear(&mut self, set: usize) {
        for node in self.met[set].drain(..) {
            if let Some(bits) = self.sets[set].get_mut(&node.table()) {
                bits.remove(node.number());
            }
        }
    }

    fn forget(&mut self) {
        self.clear(EXPANDED);
        self.clear(REPORTED);
    }
}
