//! What the parts of paths, and the instructions made of them, say of themselves.

use std::ops::Range;

use crate::pattern::program::{Between, Expand, Op};
use crate::pattern::{ConditionId, Direction, Part, PathId, Pattern, VariableId};

/// The edges of some paths outside of repetitions.
pub(super) fn edges_of(pattern: &Pattern, paths: Range<PathId>) -> Vec<(PathId, usize)> {
    let paths = paths.filter_map(|id| Some((id, pattern.path(id)?)));
    let edges = paths.flat_map(|(id, path)| {
        let parts = path.parts.iter().enumerate();
        parts.filter_map(move |(at, part)| matches!(part, Part::Edge(_)).then_some((id, at)))
    });
    edges.collect()
}

/// What is between the ends of a path, if it is repeated edges that nothing is asked of.
pub(super) fn between(parts: &[Part], backward: bool) -> Option<Between> {
    let [Part::Vertex(_), Part::Group(group), Part::Vertex(_)] = parts else {
        return None;
    };
    let [Part::Edge(edge)] = group.parts.as_slice() else {
        return None;
    };
    let is_bare = group.conditions.is_empty() && edge.conditions.is_empty();
    is_bare.then(|| Between {
        types: edge.types.clone(),
        direction: walked(edge.direction, backward),
        min: group.min,
        max: group.max,
    })
}

pub(super) fn walked(direction: Direction, backward: bool) -> Direction {
    match (direction, backward) {
        (Direction::Out, true) => Direction::In,
        (Direction::In, true) => Direction::Out,
        (direction, _) => direction,
    }
}

pub(super) fn conditions_of(part: &Part) -> &[ConditionId] {
    match part {
        Part::Vertex(vertex) => &vertex.conditions,
        Part::Edge(edge) => &edge.conditions,
        Part::Group(_) | Part::Reach(_) => &[],
    }
}

pub(super) fn variables_of(parts: &[Part], found: &mut Vec<VariableId>) {
    for part in parts {
        match part {
            Part::Vertex(vertex) => found.push(vertex.variable),
            Part::Edge(edge) => found.push(edge.variable),
            Part::Group(group) => variables_of(&group.parts, found),
            Part::Reach(_) => {}
        }
    }
}

/// The conditions and costs that stand in some parts.
pub(super) fn conditions_in(parts: &[Part], found: &mut Vec<ConditionId>) {
    for part in parts {
        found.extend(conditions_of(part));
        match part {
            Part::Edge(edge) => found.extend(edge.cost),
            Part::Group(group) => {
                found.extend(&group.conditions);
                conditions_in(&group.parts, found);
            }
            Part::Vertex(_) | Part::Reach(_) => {}
        }
    }
}

pub(super) fn is_unbounded(part: &Part) -> bool {
    match part {
        Part::Group(group) => group.max.is_none() || group.parts.iter().any(is_unbounded),
        Part::Vertex(_) | Part::Edge(_) | Part::Reach(_) => false,
    }
}

/// Does each condition look only at the node where the path begins, at the last edge, and at
/// the nodes at its two ends?
pub(super) fn looks_one_step_back(pattern: &Pattern, ops: &[Op], start: VariableId) -> bool {
    ops.iter().enumerate().all(|(at, op)| {
        let condition = match op {
            Op::Filter(condition) => *condition,
            Op::Expand(Expand { same: true, .. }) => return false,
            Op::Expand(Expand {
                cost: Some(cost), ..
            }) => *cost,
            Op::Vertex {
                variable,
                same: true,
                ..
            } => return *variable == start,
            _ => return true,
        };
        // Written out, instructions stand in the order of the path.
        let mut near = vec![start];
        let mut edges = 0;
        let from = match op {
            Op::Expand(_) => at + 1,
            _ => at,
        };
        for op in ops[..from].iter().rev() {
            match op {
                Op::Vertex { variable, .. } => near.push(*variable),
                Op::Expand(expand) => {
                    edges += 1;
                    if edges == 2 {
                        break;
                    }
                    near.push(expand.variable);
                }
                _ => {}
            }
        }
        let mut uses = pattern.conditions[condition].iter();
        uses.all(|property| near.contains(&property.variable))
    })
}
