//! How many partial matches a program is expected to make: what an order of steps is chosen by.
//!
//! Edges of a type are taken to be spread evenly over the nodes of the types that they join,
//! and conditions to be independent of each other.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::pattern::parts::walked;
use crate::pattern::program::{Expand, Op, Program, Reaching};
use crate::pattern::{Direction, Part, Pattern, Selector, VariableId};
use crate::schema::TypeId;
use crate::snapshot::Snapshot;

/// What is known of a snapshot without reading it.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    rows: HashMap<TypeId, f64>,
    ends: HashMap<TypeId, (TypeId, TypeId)>,
    /// The share of nodes that the conditions on a variable alone leave.
    shares: HashMap<VariableId, f64>,
}

/// What a program is expected to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Edges looked at and partial matches made.
    pub cost: f64,
    /// Matches.
    pub rows: f64,
    /// The partial matches behind each instruction.
    pub(super) frontiers: Vec<f64>,
}

/// A condition of which nothing is known holds for one in so many.
const CONDITION: f64 = 1.0 / 3.0;
/// Repetitions of an edge that has no bound that are counted.
const REPETITIONS: u32 = 4;

impl Statistics {
    /// Of the types that a pattern's elements can have.
    pub fn of(snapshot: &Snapshot, pattern: &Pattern) -> Self {
        let mut statistics = Statistics::default();
        for id in pattern.types() {
            let ends = snapshot.schema().by_id(id).and_then(|def| def.endpoints());
            if let Some((from, to)) = ends {
                statistics.ends.insert(id, (from, to));
            }
            for id in ends
                .into_iter()
                .flat_map(|(from, to)| [from, to])
                .chain([id])
            {
                if let Some(table) = snapshot.table(id) {
                    statistics.rows.insert(id, table.row_count() as f64);
                }
            }
        }
        statistics
    }

    /// So many of a variable's nodes are left by the conditions on it alone.
    pub fn expect(&mut self, variable: VariableId, types: &[TypeId], rows: f64) {
        let share = rows / self.total(types).max(1.0);
        self.shares.insert(variable, share.min(1.0));
    }

    /// All elements of some types.
    pub fn total(&self, types: &[TypeId]) -> f64 {
        types.iter().map(|id| self.rows(*id)).sum()
    }

    fn rows(&self, id: TypeId) -> f64 {
        self.rows.get(&id).copied().unwrap_or_default()
    }

    fn share(&self, variable: VariableId) -> f64 {
        self.shares.get(&variable).copied().unwrap_or(1.0)
    }

    /// How many matches one match becomes that goes on along a path from one of its vertices.
    pub(super) fn growth(
        &self,
        pattern: &Pattern,
        parts: &[Part],
        start: usize,
        bound: &[bool],
    ) -> f64 {
        let Some(Part::Vertex(vertex)) = parts.get(start) else {
            return 1.0;
        };
        let from = Flow::spread(1.0, &pattern.variables[vertex.variable].types, self);
        let mut right = from.clone();
        for part in &parts[start + 1..] {
            right = self.after(right, part, pattern, bound, false);
        }
        let mut left = from;
        for part in parts[..start].iter().rev() {
            left = self.after(left, part, pattern, bound, true);
        }
        right.total() * left.total()
    }

    fn after(
        &self,
        flow: Flow,
        part: &Part,
        pattern: &Pattern,
        bound: &[bool],
        backward: bool,
    ) -> Flow {
        match part {
            Part::Vertex(vertex) => {
                let here = flow.at(&pattern.variables[vertex.variable].types);
                match bound[vertex.variable] {
                    true => here.scaled(1.0 / self.total(&vertex.types).max(1.0)),
                    false => here.scaled(self.share(vertex.variable)),
                }
            }
            Part::Edge(edge) => flow
                .along(&edge.types, walked(edge.direction, backward), self)
                .scaled(CONDITION.powi(edge.conditions.len() as i32)),
            Part::Group(group) => {
                let mut all = flow;
                for _ in 0..group.min.max(1) {
                    let inside: Vec<&Part> = match backward {
                        false => group.parts.iter().collect(),
                        true => group.parts.iter().rev().collect(),
                    };
                    for part in inside {
                        all = self.after(all, part, pattern, bound, backward);
                    }
                }
                all
            }
            Part::Reach(reach) => {
                let hops = reach.max.unwrap_or(REPETITIONS).min(REPETITIONS);
                flow.reached(&reach.types, walked(reach.direction, backward), hops, self)
            }
        }
    }
}

/// Partial matches by the type of the node that they are at.
#[derive(Debug, Clone, Default)]
struct Flow(BTreeMap<TypeId, f64>);

impl Flow {
    /// So many, spread over the nodes of some types.
    fn spread(count: f64, types: &[TypeId], statistics: &Statistics) -> Flow {
        let total = statistics.total(types).max(1.0);
        let shares = types
            .iter()
            .map(|id| (*id, count * statistics.rows(*id) / total));
        Flow(shares.collect())
    }

    fn total(&self) -> f64 {
        self.0.values().sum()
    }

    fn at(mut self, types: &[TypeId]) -> Flow {
        self.0.retain(|id, _| types.contains(id));
        self
    }

    fn scaled(mut self, factor: f64) -> Flow {
        self.0.values_mut().for_each(|count| *count *= factor);
        self
    }

    fn and(mut self, other: Flow) -> Flow {
        for (id, count) in other.0 {
            *self.0.entry(id).or_default() += count;
        }
        self
    }

    fn along(&self, types: &[TypeId], direction: Direction, statistics: &Statistics) -> Flow {
        let mut next = Flow::default();
        for id in types {
            let Some(&(from, to)) = statistics.ends.get(id) else {
                continue;
            };
            let edges = statistics.rows(*id);
            let mut walk = |here: TypeId, there: TypeId| {
                let count = self.0.get(&here).copied().unwrap_or_default();
                let each = edges / statistics.rows(here).max(1.0);
                *next.0.entry(there).or_default() += count * each;
            };
            if direction != Direction::In {
                walk(from, to);
            }
            if direction != Direction::Out {
                walk(to, from);
            }
        }
        next
    }

    /// What edges lead to within some hops, each node once for each match.
    fn reached(
        &self,
        types: &[TypeId],
        direction: Direction,
        hops: u32,
        statistics: &Statistics,
    ) -> Flow {
        let matches = self.total();
        let (mut all, mut last) = (Flow::default(), self.clone());
        for _ in 0..hops {
            last = last.along(types, direction, statistics);
            all = all.and(last.clone());
        }
        for (id, count) in &mut all.0 {
            *count = count.min(matches * statistics.rows(*id));
        }
        all
    }
}

impl Program {
    /// What is to be expected of it if matches begin with so many nodes.
    pub fn estimate(&self, starts: f64, statistics: &Statistics) -> Estimate {
        let pattern = &self.pattern;
        let mut flow = Flow::spread(starts, &pattern.variables[self.start].types, statistics);
        let mut joining: HashMap<usize, Flow> = HashMap::new();
        // Edges that a step before theirs has made sure of.
        let mut sure: HashSet<VariableId> = HashSet::new();
        let mut estimate = Estimate {
            cost: starts,
            rows: 0.0,
            frontiers: Vec::with_capacity(self.ops.len()),
        };
        for (at, op) in self.ops.iter().enumerate() {
            if let Some(other) = joining.remove(&at) {
                flow = flow.and(other);
            }
            match op {
                Op::Vertex {
                    variable,
                    types,
                    same,
                } => {
                    flow = flow.at(types);
                    if !same && *variable != self.start {
                        flow = flow.scaled(statistics.share(*variable));
                    }
                }
                // Conditions on one variable are in its share.
                Op::Filter(condition) => {
                    let uses = &pattern.conditions[*condition];
                    let mut variables = uses.iter().map(|property| property.variable);
                    let first = variables.next();
                    let is_share = first.is_some_and(|first| {
                        variables.all(|other| other == first)
                            && statistics.shares.contains_key(&first)
                    });
                    if !is_share {
                        flow = flow.scaled(CONDITION);
                    }
                }
                Op::Expand(expand) => {
                    let (next, looked_at) = self.expanded(&flow, expand, &mut sure, statistics);
                    estimate.cost += looked_at;
                    flow = next;
                }
                Op::Reach(reaching) => {
                    let Reaching { reach, target } = reaching.as_ref();
                    let hops = reach.max.unwrap_or(REPETITIONS).min(REPETITIONS);
                    let next = flow.reached(&reach.types, reach.direction, hops, statistics);
                    estimate.cost += next.total();
                    flow = match target {
                        None => next,
                        Some(target) => {
                            let types = &pattern.variables[*target].types;
                            next.scaled(1.0 / statistics.total(types).max(1.0))
                        }
                    };
                }
                Op::Each(variable) => {
                    let types = &pattern.variables[*variable].types;
                    let each = statistics.total(types) * statistics.share(*variable);
                    flow = flow.scaled(each.max(1.0));
                }
                Op::Goto(variable) => {
                    let types = &pattern.variables[*variable].types;
                    flow = Flow::spread(flow.total(), types, statistics);
                }
                Op::Split(to) => {
                    let other = joining.remove(to).unwrap_or_default();
                    joining.insert(*to, other.and(flow.clone()));
                }
                // One repetition of those that have no bound is counted.
                Op::Jump(_) => flow = Flow::default(),
                Op::Search(search) => {
                    let edges: HashSet<TypeId> = search
                        .program
                        .ops
                        .iter()
                        .filter_map(|op| match op {
                            Op::Expand(expand) => Some(&expand.types),
                            _ => None,
                        })
                        .flatten()
                        .copied()
                        .collect();
                    let edges: f64 = edges.iter().map(|id| statistics.rows(*id)).sum();
                    let each = match (search.target, &search.between) {
                        // The two balls around the ends.
                        (Some(_), Some(_)) => edges.sqrt(),
                        _ => edges,
                    };
                    estimate.cost += flow.total() * each;
                    if search.target.is_none() {
                        let ends: Vec<TypeId> = match search.program.end() {
                            Some(end) => pattern.variables[end].types.clone(),
                            None => Vec::new(),
                        };
                        let paths = match search.selector {
                            Selector::Shortest(count) => count as f64,
                            _ => 1.0,
                        };
                        let each = search
                            .program
                            .end()
                            .map_or(1.0, |end| statistics.share(end));
                        let each = each * statistics.total(&ends) * paths;
                        flow = Flow::spread(flow.total() * each, &ends, statistics);
                    }
                }
                Op::Exists(_) => {
                    estimate.cost += flow.total();
                    flow = flow.scaled(0.5);
                }
                Op::Within(_) | Op::Start(_) | Op::Same(_) | Op::Found(_) | Op::Done => {}
            }
            estimate.cost += match op {
                Op::Filter(_) | Op::Vertex { .. } | Op::Expand(_) | Op::Reach(_) => flow.total(),
                _ => 0.0,
            };
            estimate.frontiers.push(flow.total());
        }
        estimate.rows = flow.total();
        estimate
    }

    /// The partial matches that come to a variable's node, before anything is asked of it.
    pub fn arrivals(
        &self,
        variable: VariableId,
        estimate: &Estimate,
        statistics: &Statistics,
    ) -> f64 {
        let places = self.ops.iter().zip(&estimate.frontiers).enumerate();
        let found = places.filter_map(|(at, (op, behind))| match op {
            Op::Vertex {
                variable: bound,
                same: false,
                ..
            } if *bound == variable => {
                let before = at.checked_sub(1);
                Some(before.map_or(*behind, |before| estimate.frontiers[before]))
            }
            Op::Search(search) if search.program.end() == Some(variable) => {
                Some(behind / statistics.share(variable).max(f64::MIN_POSITIVE))
            }
            _ => None,
        });
        found.fold(0.0, f64::max)
    }

    fn expanded(
        &self,
        flow: &Flow,
        expand: &Expand,
        sure: &mut HashSet<VariableId>,
        statistics: &Statistics,
    ) -> (Flow, f64) {
        let mut next = flow.along(&expand.types, expand.direction, statistics);
        let types_of = |variable: VariableId| &self.pattern.variables[variable].types;
        if let Some(target) = expand.target {
            let there = statistics.total(types_of(target)).max(1.0);
            let next = match sure.contains(&expand.variable) {
                true => Flow::spread(flow.total(), types_of(target), statistics),
                false => next.scaled(1.0 / there),
            };
            return (next, flow.total());
        }
        let looked_at = next.total();
        for joined in &expand.joined {
            sure.insert(joined.edge);
            let bound = Flow::spread(1.0, types_of(joined.bound), statistics);
            let neighbours = bound
                .along(&joined.types, joined.direction, statistics)
                .total();
            let there: f64 = next.0.keys().map(|id| statistics.rows(*id)).sum();
            next = next.scaled((neighbours / there.max(1.0)).min(1.0));
        }
        (next, looked_at)
    }

    /// The vertex that a program for one path comes to last.
    fn end(&self) -> Option<VariableId> {
        self.ops.iter().rev().find_map(|op| match op {
            Op::Vertex { variable, .. } => Some(*variable),
            _ => None,
        })
    }
}
