//! The nodes that edges lead to, each once: breadth first from every row of a frame, in slices.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::pattern::context::{Context, Way};
use crate::pattern::expand::Ways;
use crate::pattern::frame::{Element, Frame, Held, Step, Trace};
use crate::pattern::matcher::BATCH_ROWS;
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
    /// By table, where one was asked for.
    sets: [Vec<Option<Bits>>; 2],
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
                sets: [Vec::new(), Vec::new()],
                met: [Vec::new(), Vec::new()],
                held: context.meter.hold(0),
            },
        })
    }

    /// Some rows that are led to, and what is left to do.
    pub(super) fn next(mut self: Box<Self>) -> Result<(Option<Arc<Frame>>, Option<Box<Self>>)> {
        if self.reaching.is_one_edge_between() {
            return Ok((self.joined(), None));
        }
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

    /// The rows from which an edge leads where they have to lead.
    fn joined(&self) -> Option<Arc<Frame>> {
        let targets = self.targets.as_ref()?;
        let Reach {
            types,
            direction,
            by,
            ..
        } = &self.reaching.reach;
        let mut all_ways = Ways::default();
        let joins = |ways: &[Way<'_>], here: Element, there: Element| {
            ways.iter().any(|way| {
                let adjacency = &way.edges.adjacency;
                way.leads_to == there.table()
                    && adjacency.joins(here.number(), there.number(), way.reverse)
            })
        };
        let (mut rows, mut vertices) = (Vec::new(), Vec::new());
        for (row, (here, there)) in self.frame.vertices.iter().zip(targets).enumerate() {
            let ways = all_ways.of(&self.context, types, *direction, *here);
            // The node where a walk begins is at distance 0.
            if joins(ways, *here, *there) && (*by == ReachBy::Walk || here != there) {
                rows.push(row as u32);
                vertices.push(*there);
            }
        }
        self.context.opened.progress.looked_at(self.frame.len());
        let meter = &self.context.meter;
        (!rows.is_empty()).then(|| Frame::after(&self.frame, rows, vertices, Step::None, meter))
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
                let ways = ways
                    .entry(here.table())
                    .or_insert_with(|| context.ways(types, *direction, here.table()));
                for way in ways.iter() {
                    let table = way.leads_to;
                    let Seen { sets, met, .. } = self.seen.with(&context, table)?;
                    let [Some(expanded), Some(reported)] =
                        sets.each_mut().map(|sets| sets[table as usize].as_mut())
                    else {
                        return Err(Error::internal("nodes that nothing counts"));
                    };
                    let adjacency = &way.edges.adjacency;
                    adjacency.visit(here.number(), way.reverse, |neighbour, _| {
                        looked_at += 1;
                        let there = Element::new(table, neighbour);
                        let fresh = expanded.insert(neighbour);
                        if fresh {
                            met[EXPANDED].push(there);
                            walk.ahead.push(there);
                        }
                        // Where one meeting says all, later ones have nothing to report.
                        let is_asked = fresh || *by == ReachBy::Walk && !once;
                        if reports && is_asked && reported.insert(neighbour) {
                            met[REPORTED].push(there);
                            walk.found.push(there);
                        }
                    });
                }
                context.opened.progress.looked_at(looked_at - 1);
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
    /// With room for the nodes of a table.
    fn with(&mut self, context: &Context, table: u32) -> Result<&mut Self> {
        let at = table as usize;
        for sets in &mut self.sets {
            if sets.len() <= at {
                sets.resize_with(at + 1, || None);
            }
            if sets[at].is_none() {
                let nodes = context.opened.elements.node_count(table);
                let nodes =
                    nodes.ok_or_else(|| Error::internal("an edge leads to what is no node"))?;
                let bits = Bits::new(nodes);
                self.held.grow(bits.bytes());
                sets[at] = Some(bits);
            }
        }
        Ok(self)
    }

    fn insert(&mut self, context: &Context, set: usize, node: Element) -> Result<()> {
        let seen = self.with(context, node.table())?;
        if let Some(bits) = &mut seen.sets[set][node.table() as usize]
            && bits.insert(node.number())
        {
            seen.met[set].push(node);
        }
        Ok(())
    }

    fn clear(&mut self, set: usize) {
        for node in self.met[set].drain(..) {
            if let Some(bits) = &mut self.sets[set][node.table() as usize] {
                bits.remove(node.number());
            }
        }
    }

    fn forget(&mut self) {
        self.clear(EXPANDED);
        self.clear(REPORTED);
    }
}
