//! The searches themselves, over numbered nodes.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet, VecDeque};

use hashbrown::HashMap;

use super::Wanted;
use super::network::{Edge, Network};
use crate::error::Result;
use crate::pattern::{Failure, Memory};
use crate::traverse::cancel::Cancel;

/// A path by numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Route {
    /// One more than edges.
    pub nodes: Vec<u32>,
    pub edges: Vec<Edge>,
    pub costs: Vec<f64>,
}

/// What a node was come to by: the node before it, and the edge.
type Came = Option<(u32, Edge)>;

/// Bytes of what is kept of a node that was met, about.
const MET_BYTES: usize = 64;
/// Nodes between two looks at whether anybody waits.
const STRIDE: usize = 1 << 10;

/// The paths of one pair after the other.
pub(super) struct Search {
    wanted: Wanted,
    state: State,
    pair: [usize; 2],
    rank: u64,
}

enum State {
    Done,
    /// Nothing has been searched yet.
    Begun(u32, u32),
    All(Box<Enumeration>),
    Best(Box<Best>),
}

/// What a search asks while it goes on.
struct Watch<'a> {
    memory: &'a mut dyn Memory,
    cancel: &'a Cancel,
    /// Held by what outlives the search.
    base: usize,
    steps: usize,
}

impl Watch<'_> {
    /// `met` nodes are kept.
    fn step(&mut self, met: usize) -> Result<(), Failure> {
        self.steps += 1;
        if self.steps.is_multiple_of(STRIDE) {
            self.cancel.check()?;
            self.memory.resize(self.base + met * MET_BYTES)?;
        }
        Ok(())
    }
}

impl Search {
    pub(super) fn new(wanted: Wanted) -> Self {
        Search {
            wanted,
            state: State::Done,
            pair: [0, 0],
            rank: 0,
        }
    }

    pub(super) fn begin(&mut self, pair: [usize; 2], source: u32, target: u32) {
        self.state = State::Begun(source, target);
        self.pair = pair;
        self.rank = 0;
    }

    /// The next path of the pair.
    pub(super) fn next(
        &mut self,
        network: &Network,
        memory: &mut dyn Memory,
        cancel: &Cancel,
    ) -> Result<Option<([usize; 2], u64, Route)>, Failure> {
        let mut watch = Watch {
            memory,
            cancel,
            base: 0,
            steps: 0,
        };
        if let State::Begun(source, target) = self.state {
            self.state = match self.wanted {
                Wanted::AllShortest => {
                    let all = Enumeration::new(network, source, target, &mut watch)?;
                    State::All(Box::new(all))
                }
                Wanted::Shortest => State::Best(Box::new(Best::new(source, target, 1))),
                Wanted::Best(count) => State::Best(Box::new(Best::new(source, target, count))),
            };
        }
        let found = match &mut self.state {
            State::Done | State::Begun(..) => None,
            State::All(all) => all.next(network, &mut watch)?,
            State::Best(best) => best.next(network, &mut watch)?,
        };
        if found.is_none() {
            self.state = State::Done;
            watch.memory.resize(0)?;
        }
        self.rank += 1;
        Ok(found.map(|route| (self.pair, self.rank, route)))
    }
}

/// A shortest route that takes no banned node or edge.
fn shortest(
    network: &Network,
    source: u32,
    target: u32,
    banned: &Banned,
    watch: &mut Watch<'_>,
) -> Result<Option<Route>, Failure> {
    if source == target {
        return Ok(Some(Route {
            nodes: vec![source],
            edges: Vec::new(),
            costs: vec![0.0],
        }));
    }
    match network.is_weighted() {
        true => cheapest(network, source, target, banned, watch),
        false => from_both_ends(network, source, target, banned, watch),
    }
}

#[derive(Debug, Default)]
struct Banned {
    nodes: HashSet<u32>,
    edges: HashSet<Edge>,
}

/// One side of a search from both ends.
struct Side {
    back: bool,
    met: HashMap<u32, Came>,
    frontier: Vec<u32>,
}

impl Side {
    fn new(node: u32, back: bool) -> Self {
        Side {
            back,
            met: HashMap::from_iter([(node, None)]),
            frontier: vec![node],
        }
    }
}

/// Level by level, from the smaller frontier: where the two sides meet first is on a shortest
/// path.
fn from_both_ends(
    network: &Network,
    source: u32,
    target: u32,
    banned: &Banned,
    watch: &mut Watch<'_>,
) -> Result<Option<Route>, Failure> {
    let mut sides = [Side::new(source, false), Side::new(target, true)];
    let meeting = 'search: loop {
        let smaller = usize::from(sides[1].frontier.len() < sides[0].frontier.len());
        let [left, right] = &mut sides;
        let (side, other) = if smaller == 0 {
            (left, right)
        } else {
            (right, left)
        };
        if side.frontier.is_empty() {
            return Ok(None);
        }
        let mut ahead = Vec::new();
        let mut meeting = None;
        for node in std::mem::take(&mut side.frontier) {
            watch.step(side.met.len() + other.met.len())?;
            let met = &mut side.met;
            network.visit(node, side.back, |neighbour, edge| {
                if banned.nodes.contains(&neighbour) || banned.edges.contains(&edge) {
                    return;
                }
                if let hashbrown::hash_map::Entry::Vacant(entry) = met.entry(neighbour) {
                    entry.insert(Some((node, edge)));
                    ahead.push(neighbour);
                    if meeting.is_none() && other.met.contains_key(&neighbour) {
                        meeting = Some(neighbour);
                    }
                }
            });
            if let Some(meeting) = meeting {
                break 'search meeting;
            }
        }
        side.frontier = ahead;
    };
    let mut route = walked(&sides[0].met, meeting);
    let mut at = meeting;
    while let Some(Some((next, edge))) = sides[1].met.get(&at) {
        route.nodes.push(*next);
        route.edges.push(*edge);
        route.costs.push(route.edges.len() as f64);
        at = *next;
    }
    Ok(Some(route))
}

/// The route by which a node was come to; each edge counts 1.
fn walked(met: &HashMap<u32, Came>, end: u32) -> Route {
    let mut route = Route {
        nodes: vec![end],
        edges: Vec::new(),
        costs: Vec::new(),
    };
    let mut at = end;
    while let Some(Some((before, edge))) = met.get(&at) {
        route.nodes.push(*before);
        route.edges.push(*edge);
        at = *before;
    }
    route.nodes.reverse();
    route.edges.reverse();
    route.costs = (0..route.nodes.len()).map(|step| step as f64).collect();
    route
}

/// A node that a search can go on from; the cheapest comes first, and among equals the one
/// that was met first.
#[derive(Debug, PartialEq)]
struct Open {
    cost: f64,
    order: usize,
    node: u32,
}

impl Eq for Open {}

impl Ord for Open {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_cost = other.cost.total_cmp(&self.cost);
        by_cost.then(other.order.cmp(&self.order))
    }
}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Dijkstra's algorithm: calls `settled` for each node with its cost, the cheapest first, until
/// it says that this is enough.
fn settle(
    network: &Network,
    source: u32,
    banned: &Banned,
    watch: &mut Watch<'_>,
    mut settled: impl FnMut(u32, f64) -> bool,
) -> Result<HashMap<u32, (f64, Came)>, Failure> {
    let mut best: HashMap<u32, (f64, Came)> = HashMap::from_iter([(source, (0.0, None))]);
    let mut open = BinaryHeap::from([Open {
        cost: 0.0,
        order: 0,
        node: source,
    }]);
    let mut order = 0;
    while let Some(Open { cost, node, .. }) = open.pop() {
        if best.get(&node).is_some_and(|(known, _)| *known < cost) {
            continue;
        }
        if settled(node, cost) {
            break;
        }
        watch.step(best.len() + open.len())?;
        let mut failed = None;
        network.visit(node, false, |neighbour, edge| {
            if failed.is_some() || banned.nodes.contains(&neighbour) || banned.edges.contains(&edge)
            {
                return;
            }
            let cost = match network.weight(edge) {
                Ok(weight) => cost + weight,
                Err(error) => {
                    failed = Some(error);
                    return;
                }
            };
            if best.get(&neighbour).is_none_or(|(known, _)| cost < *known) {
                best.insert(neighbour, (cost, Some((node, edge))));
                order += 1;
                open.push(Open {
                    cost,
                    order,
                    node: neighbour,
                });
            }
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
    Ok(best)
}

fn cheapest(
    network: &Network,
    source: u32,
    target: u32,
    banned: &Banned,
    watch: &mut Watch<'_>,
) -> Result<Option<Route>, Failure> {
    let best = settle(network, source, banned, watch, |node, _| node == target)?;
    let Some(&(cost, _)) = best.get(&target) else {
        return Ok(None);
    };
    let mut route = Route {
        nodes: vec![target],
        edges: Vec::new(),
        costs: vec![cost],
    };
    let mut at = target;
    while let Some((_, Some((before, edge)))) = best.get(&at) {
        route.nodes.push(*before);
        route.edges.push(*edge);
        route
            .costs
            .push(best.get(before).map_or(0.0, |(cost, _)| *cost));
        at = *before;
    }
    route.nodes.reverse();
    route.edges.reverse();
    route.costs.reverse();
    Ok(Some(route))
}

/// All shortest paths: from the target back to the source, over nodes that are nearer to it.
struct Enumeration {
    costs: HashMap<u32, f64>,
    source: u32,
    /// The nodes from the target on, each with the ways before it that were not taken yet.
    stack: Vec<(u32, VecDeque<(u32, Edge)>)>,
    edges: Vec<Edge>,
}

impl Enumeration {
    fn new(
        network: &Network,
        source: u32,
        target: u32,
        watch: &mut Watch<'_>,
    ) -> Result<Self, Failure> {
        let mut limit = f64::INFINITY;
        // Those as far as the target may be on a way to it, by edges that weigh nothing.
        let best = settle(network, source, &Banned::default(), watch, |node, cost| {
            if node == target {
                limit = cost;
            }
            cost > limit
        })?;
        let costs = best
            .into_iter()
            .map(|(node, (cost, _))| (node, cost))
            .filter(|(_, cost)| *cost <= limit)
            .collect();
        let mut all = Enumeration {
            costs,
            source,
            stack: Vec::new(),
            edges: Vec::new(),
        };
        if limit.is_finite() {
            all.enter(network, target)?;
        }
        Ok(all)
    }

    fn enter(&mut self, network: &Network, node: u32) -> Result<(), Failure> {
        let mut before = VecDeque::new();
        let mut failed = None;
        let cost = self.costs.get(&node).copied().unwrap_or(f64::INFINITY);
        if node != self.source {
            network.visit(node, true, |neighbour, edge| {
                let Some(known) = self.costs.get(&neighbour) else {
                    return;
                };
                let on_the_way = self.stack.iter().any(|(other, _)| *other == neighbour);
                match network.weight(edge) {
                    Ok(weight) if known + weight == cost && !on_the_way && neighbour != node => {
                        before.push_back((neighbour, edge));
                    }
                    Ok(_) => {}
                    Err(error) => failed = Some(error),
                }
            });
        }
        self.stack.push((node, before));
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn next(&mut self, network: &Network, watch: &mut Watch<'_>) -> Result<Option<Route>, Failure> {
        loop {
            watch.step(self.costs.len() + self.stack.len())?;
            let Some((node, ways)) = self.stack.last_mut() else {
                return Ok(None);
            };
            let is_complete = *node == self.source;
            let way = ways.pop_front();
            if let Some((before, edge)) = way {
                self.edges.push(edge);
                self.enter(network, before)?;
                continue;
            }
            let route = is_complete.then(|| self.route());
            self.stack.pop();
            self.edges.pop();
            if route.is_some() {
                return Ok(route);
            }
        }
    }

    fn route(&self) -> Route {
        let nodes: Vec<u32> = self.stack.iter().rev().map(|(node, _)| *node).collect();
        let costs = nodes.iter().map(|node| self.costs.get(node).copied());
        Route {
            costs: costs.map(Option::unwrap_or_default).collect(),
            edges: self.edges.iter().rev().copied().collect(),
            nodes,
        }
    }
}

/// The best paths without loops, by Yen's algorithm.
struct Best {
    source: u32,
    target: u32,
    count: u64,
    found: Vec<Route>,
    /// Paths that were met and are not the best that is left.
    candidates: Vec<Route>,
}

impl Best {
    fn new(source: u32, target: u32, count: u64) -> Self {
        Best {
            source,
            target,
            count,
            found: Vec::new(),
            candidates: Vec::new(),
        }
    }

    fn next(&mut self, network: &Network, watch: &mut Watch<'_>) -> Result<Option<Route>, Failure> {
        if self.found.len() as u64 >= self.count {
            return Ok(None);
        }
        let Some(last) = self.found.last().cloned() else {
            let none = Banned::default();
            let first = shortest(network, self.source, self.target, &none, watch)?;
            self.found.extend(first.clone());
            return Ok(first);
        };
        watch.base = self.bytes();
        watch.memory.resize(watch.base)?;
        for spur in 0..last.edges.len() {
            let root = &last.nodes[..=spur];
            let mut banned = Banned {
                nodes: root[..spur].iter().copied().collect(),
                edges: HashSet::new(),
            };
            // Paths that go on from the same root are known: another edge has to be taken.
            for known in &self.found {
                if known.edges.get(..spur) == Some(&last.edges[..spur]) {
                    banned.edges.extend(known.edges.get(spur));
                }
            }
            let rest = shortest(network, last.nodes[spur], self.target, &banned, watch)?;
            let Some(rest) = rest else { continue };
            let so_far = last.costs[spur];
            let route = Route {
                nodes: [&root[..spur], &rest.nodes].concat(),
                edges: [&last.edges[..spur], &rest.edges].concat(),
                costs: last.costs[..spur]
                    .iter()
                    .copied()
                    .chain(rest.costs.iter().map(|cost| so_far + cost))
                    .collect(),
            };
            let is_known = |other: &Route| other.edges == route.edges;
            if !self.candidates.iter().any(is_known) && !self.found.iter().any(is_known) {
                self.candidates.push(route);
            }
        }
        let key = |route: &Route| route.costs.last().copied().unwrap_or_default();
        let best = (0..self.candidates.len()).min_by(|left, right| {
            let (left, right) = (&self.candidates[*left], &self.candidates[*right]);
            let by_cost = key(left).total_cmp(&key(right));
            by_cost
                .then(left.edges.len().cmp(&right.edges.len()))
                .then_with(|| left.edges.cmp(&right.edges))
        });
        let next = best.map(|best| self.candidates.swap_remove(best));
        self.found.extend(next.clone());
        Ok(next)
    }

    fn bytes(&self) -> usize {
        let routes = self.found.iter().chain(&self.candidates);
        routes.map(|route| 24 * route.nodes.len() + 96).sum()
    }
}
