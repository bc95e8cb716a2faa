//! The nodes on the shortest ways between two nodes, found from both ends: always the side
//! whose frontier has fewer edges goes on, so little more is looked at than two small balls.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::pattern::context::{Context, Failure};
use crate::pattern::expand::{Ways, degree};
use crate::pattern::frame::{Element, Held};
use crate::pattern::program::Between;
use crate::pattern::{Direction, Selector};
use crate::schema::TypeId;

/// Where a search between two nodes may go.
#[derive(Debug)]
pub(super) enum Corridor {
    /// Nothing is known.
    Everywhere,
    /// They are not joined.
    Nowhere,
    Along(Along),
}

#[derive(Debug)]
pub(super) struct Along {
    /// Of the shortest ways.
    length: u32,
    /// From the source so many levels are whole, from the target all that are left.
    near: u32,
    from_source: HashMap<Element, u32>,
    from_target: HashMap<Element, u32>,
    _held: Held,
}

/// The nodes around one end.
struct Side {
    direction: Direction,
    depths: HashMap<Element, u32>,
    frontier: Vec<Element>,
    depth: u32,
}

/// Edges looked at before others get the thread.
const SLICE_EDGES: usize = 1 << 16;
/// Bytes of a node that was met, about.
const MET_BYTES: usize = 32;

impl Corridor {
    /// `between` is what joins the two, seen from the source.
    pub(super) async fn find(
        context: &Context,
        between: &Between,
        selector: Selector,
        source: Element,
        target: Element,
    ) -> Result<Corridor, Failure> {
        let least = [Selector::Shortest(1), Selector::ShortestGroups(1)].contains(&selector);
        if !least || between.min > 1 || between.min == 1 && source == target {
            return Ok(Corridor::Everywhere);
        }
        let back = match between.direction {
            Direction::Out => Direction::In,
            Direction::In => Direction::Out,
            Direction::Both => Direction::Both,
        };
        let mut sides = [
            Side::new(source, between.direction),
            Side::new(target, back),
        ];
        let mut held = context.meter.hold(0);
        let mut looked_at = 0;
        let mut is_met = source == target;
        while !is_met {
            let depth = sides[0].depth + sides[1].depth;
            if between.max.is_some_and(|max| depth >= max) {
                return Ok(Corridor::Nowhere);
            }
            let degrees = [0, 1].map(|at| sides[at].degree(context, &between.types));
            let smaller = usize::from(degrees[1] < degrees[0]);
            if sides[smaller].frontier.is_empty() {
                return Ok(Corridor::Nowhere);
            }
            for node in std::mem::take(&mut sides[smaller].frontier) {
                let [near, far] = &mut sides;
                let (side, other) = match smaller {
                    0 => (near, far),
                    _ => (far, near),
                };
                let before = side.depths.len();
                looked_at += side.go_on(context, &between.types, node, other, &mut is_met);
                held.grow(MET_BYTES * (side.depths.len() - before));
                if is_met {
                    break;
                }
                if looked_at >= SLICE_EDGES {
                    context
                        .opened
                        .progress
                        .looked_at(std::mem::take(&mut looked_at));
                    context.charge()?;
                    tokio::task::yield_now().await;
                }
            }
            if !is_met {
                sides[smaller].depth += 1;
            }
        }
        context.opened.progress.looked_at(looked_at);
        context.charge()?;
        let [near, far] = sides;
        Ok(Corridor::Along(Along {
            length: near.depth + far.depth + u32::from(source != target),
            near: near.depth,
            from_source: near.depths,
            from_target: far.depths,
            _held: held,
        }))
    }

    /// Can a shortest way be at a node after so many edges?
    pub(super) fn allows(&self, node: Element, depth: u32) -> bool {
        match self {
            Corridor::Everywhere => true,
            Corridor::Nowhere => false,
            Corridor::Along(along) if depth <= along.near => {
                along.from_source.get(&node) == Some(&depth)
            }
            // The side that met the other one may not have finished its last level, but then
            // the other one knows that level.
            Corridor::Along(along) => {
                let left = along.length.checked_sub(depth);
                left.is_some() && along.from_target.get(&node).copied() == left
            }
        }
    }
}

impl Side {
    fn new(node: Element, direction: Direction) -> Self {
        Side {
            direction,
            depths: HashMap::from_iter([(node, 0)]),
            frontier: vec![node],
            depth: 0,
        }
    }

    /// The edges of the frontier.
    fn degree(&self, context: &Context, types: &[TypeId]) -> usize {
        let mut ways = Ways::default();
        let degrees = self.frontier.iter().map(|node| {
            let ways = ways.of(context, types, self.direction, *node);
            degree(ways, *node)
        });
        degrees.sum()
    }

    /// Goes on from one node to those behind its edges; how many edges those are.
    fn go_on(
        &mut self,
        context: &Context,
        types: &[TypeId],
        node: Element,
        other: &Side,
        is_met: &mut bool,
    ) -> usize {
        let mut edges = 0;
        for way in context.ways(types, self.direction, node.table()) {
            let adjacency = &way.edges.adjacency;
            adjacency.visit(node.number(), way.reverse, |neighbour, _| {
                edges += 1;
                let there = Element::new(way.leads_to, neighbour);
                if let Entry::Vacant(entry) = self.depths.entry(there) {
                    entry.insert(self.depth + 1);
                    self.frontier.push(there);
                    *is_met |= other.depths.contains_key(&there);
                }
            });
        }
        edges
    }
}
