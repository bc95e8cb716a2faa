//! A program as its reader sees it: where it begins, and which edges it takes from there.

use crate::pattern::program::{Op, Program};
use crate::pattern::{Direction, Estimate, Selector, VariableId};
use crate::schema::{Schema, TypeId};

/// A step of a program, and the partial matches that it is expected to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub text: String,
    pub rows: f64,
}

/// As many types of edges are named.
const NAMES: usize = 3;

impl Program {
    /// The steps that make partial matches, in their order.
    pub fn steps(&self, schema: &Schema, estimate: &Estimate) -> Vec<Step> {
        let places = self.step_places().into_iter();
        let steps = places.map(|at| Step {
            text: self.text(at, schema),
            rows: estimate.frontiers.get(at).copied().unwrap_or_default(),
        });
        steps.collect()
    }

    /// The instructions that are steps. A step along an edge ends where the node behind it is
    /// bound and everything that can be is asked of it.
    pub(super) fn step_places(&self) -> Vec<usize> {
        let is_step = |op: &Op| {
            matches!(
                op,
                Op::Expand(_) | Op::Reach(_) | Op::Search(_) | Op::Each(_) | Op::Exists(_)
            )
        };
        let first = self
            .ops
            .iter()
            .position(|op| matches!(op, Op::Vertex { .. } | Op::Search(_)));
        let first = first.filter(|at| matches!(self.ops[*at], Op::Vertex { .. }));
        let steps = (0..self.ops.len()).filter(|at| is_step(&self.ops[*at]));
        let starts: Vec<usize> = first.into_iter().chain(steps).collect();
        starts
            .into_iter()
            .map(|start| {
                let asked = self.ops[start + 1..]
                    .iter()
                    .take_while(|op| match op {
                        Op::Vertex { .. } | Op::Filter(_) | Op::Within(_) | Op::Same(_) => true,
                        Op::Found(_) => true,
                        _ => false,
                    })
                    .count();
                start + asked
            })
            .collect()
    }

    fn text(&self, last: usize, schema: &Schema) -> String {
        let begins = |op: &Op| {
            matches!(
                op,
                Op::Expand(_) | Op::Reach(_) | Op::Search(_) | Op::Each(_) | Op::Exists(_)
            )
        };
        let begin = (0..=last).rev().find(|at| begins(&self.ops[*at]));
        let Some(begin) = begin else {
            return self.name(self.start);
        };
        let end = self.ops[begin..=last].iter().find_map(|op| match op {
            Op::Vertex { variable, .. } => Some(*variable),
            _ => None,
        });
        let end = end.map(|variable| self.name(variable)).unwrap_or_default();
        match &self.ops[begin] {
            Op::Expand(expand) => {
                let how = match (&expand.target, expand.joined.is_empty()) {
                    (Some(_), _) => " joined",
                    (None, false) => " intersected",
                    (None, true) => "",
                };
                let along = along(&expand.types, expand.direction, "", schema);
                format!("{along}{end}{how}")
            }
            Op::Reach(reaching) => {
                let reach = &reaching.reach;
                let hops = match reach.max {
                    Some(max) if max == reach.min => format!("{{{max}}}"),
                    Some(max) => format!("{{{},{max}}}", reach.min),
                    None => format!("{{{},}}", reach.min),
                };
                let along = along(&reach.types, reach.direction, &hops, schema);
                format!("{along}{end} once")
            }
            Op::Search(search) => {
                let kept = match search.selector {
                    Selector::All => "all paths".to_owned(),
                    Selector::Shortest(1) => "a shortest path".to_owned(),
                    Selector::Shortest(count) => format!("{count} shortest paths"),
                    Selector::ShortestGroups(1) => "all shortest paths".to_owned(),
                    Selector::ShortestGroups(count) => format!("paths of {count} lengths"),
                    Selector::Cheapest => "a cheapest path".to_owned(),
                };
                let ends = match (search.target, &search.between) {
                    (Some(_), Some(_)) => " from both ends",
                    (Some(_), None) => " to its end",
                    (None, _) => "",
                };
                format!("{kept}{ends}")
            }
            Op::Each(variable) => format!("each {}", self.name(*variable)),
            Op::Exists(exists) if exists.negated => "not exists".to_owned(),
            _ => "exists".to_owned(),
        }
    }

    fn name(&self, variable: VariableId) -> String {
        let name = self.pattern.variables[variable].name.as_deref();
        format!("({})", name.unwrap_or_default())
    }
}

fn along(types: &[TypeId], direction: Direction, hops: &str, schema: &Schema) -> String {
    let mut names: Vec<&str> = types
        .iter()
        .filter_map(|id| schema.by_id(*id))
        .map(|def| def.table.as_str())
        .take(NAMES)
        .collect();
    if types.len() > NAMES {
        names.push("…");
    }
    let names = names.join("|");
    match direction {
        Direction::Out => format!("-[{names}]->{hops}"),
        Direction::In => format!("<-[{names}]-{hops}"),
        Direction::Both => format!("-[{names}]-{hops}"),
    }
}
