//! What a pattern has to keep to, whatever language it was written in.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::pattern::{
    Direction, EdgePattern, Mode, Nested, Part, PathPattern, Pattern, Reach, ReachBy, Selector,
};
use crate::schema::{Schema, TypeId};

/// Refuses paths with endless matches, and those whose repeated parts have no edge.
pub fn check_path(path: &PathPattern) -> Result<()> {
    check_parts(path, &path.parts, false)?;
    if path.selector == Selector::Cheapest && !every_edge_costs(&path.parts) {
        return Err(Error::Invalid {
            message: "an edge of a path chosen by ANY CHEAPEST has no COST".to_owned(),
            detail: None,
            hint: Some("Write COST and an expression into every edge of the path.".to_owned()),
        });
    }
    Ok(())
}

fn check_parts(path: &PathPattern, parts: &[Part], repeated: bool) -> Result<()> {
    for part in parts {
        if let Part::Reach(reach) = part {
            check_reach(path, reach, repeated)?;
        }
        let Part::Group(group) = part else { continue };
        if group.max.is_none() && path.selector == Selector::All && path.mode == Mode::Walk {
            return Err(Error::Invalid {
                message: "an unbounded quantifier has endless matches".to_owned(),
                detail: None,
                hint: Some(
                    "Give it an upper bound, or let the path begin with ANY, ANY SHORTEST, ALL SHORTEST, SHORTEST k, TRAIL, SIMPLE or ACYCLIC."
                        .to_owned(),
                ),
            });
        }
        if group.max.is_some_and(|max| max < group.min) {
            return Err(Error::invalid(format!(
                "the lower bound {} of a quantifier is above its upper bound {}",
                group.min,
                group.max.unwrap_or_default()
            )));
        }
        if group.max == Some(0) {
            return Err(Error::invalid(
                "the upper bound of a quantifier must not be 0",
            ));
        }
        if !group.parts.iter().any(|part| matches!(part, Part::Edge(_))) {
            return Err(Error::Invalid {
                message: "a quantified part of a pattern has no edge".to_owned(),
                detail: None,
                hint: Some(
                    "What is repeated must contain an edge that is not itself repeated.".to_owned(),
                ),
            });
        }
        if repeated && group.max.is_none() {
            return Err(Error::Unsupported {
                message: "an unbounded quantifier inside of a quantified part is not supported"
                    .to_owned(),
                hint: Some("Give the inner quantifier an upper bound.".to_owned()),
            });
        }
        check_parts(path, &group.parts, true)?;
    }
    Ok(())
}

fn check_reach(path: &PathPattern, reach: &Reach, repeated: bool) -> Result<()> {
    if repeated || path.selector != Selector::All || path.mode != Mode::Walk {
        return Err(Error::internal(
            "nodes are reached inside of a path that is looked at as a whole",
        ));
    }
    if reach.max.is_some_and(|max| max < reach.min) || reach.max == Some(0) {
        return Err(Error::invalid(
            "the upper bound of the hops is at least 1, and not below the lower bound",
        ));
    }
    if reach.by == ReachBy::Walk && reach.max.is_none() && reach.min > 1 {
        return Err(Error::internal("walks of any length from two on"));
    }
    Ok(())
}

fn every_edge_costs(parts: &[Part]) -> bool {
    parts.iter().all(|part| match part {
        Part::Vertex(_) | Part::Reach(_) => true,
        Part::Edge(edge) => edge.cost.is_some(),
        Part::Group(group) => every_edge_costs(&group.parts),
    })
}

/// The types that each variable can have, given what stands beside it: a neighbour of an
/// edge is of a type that the edge joins.
pub fn types_of(pattern: &Pattern, schema: &Schema) -> Vec<Vec<TypeId>> {
    let mut types: Vec<HashSet<TypeId>> = pattern
        .variables
        .iter()
        .map(|variable| variable.types.iter().copied().collect())
        .collect();
    // Each pass can only take types away, so this ends.
    loop {
        let before: usize = types.iter().map(HashSet::len).sum();
        for path in &pattern.paths {
            narrow(&path.parts, schema, &mut types);
        }
        if types.iter().map(HashSet::len).sum::<usize>() == before {
            break;
        }
    }
    for nested in &pattern.nested {
        narrow_nested(nested, schema, &mut types);
    }
    types
        .into_iter()
        .map(|types| {
            let declared = schema.types.iter().map(|def| def.id);
            declared.filter(|id| types.contains(id)).collect()
        })
        .collect()
}

/// What is nested says nothing about the types around it.
fn narrow_nested(nested: &Nested, schema: &Schema, types: &mut [HashSet<TypeId>]) {
    let mut inside = types.to_vec();
    loop {
        let before: usize = inside.iter().map(HashSet::len).sum();
        for path in &nested.paths {
            narrow(&path.parts, schema, &mut inside);
        }
        if inside.iter().map(HashSet::len).sum::<usize>() == before {
            break;
        }
    }
    for (types, inside) in types.iter_mut().zip(&inside).skip(nested.inner) {
        types.clone_from(inside);
    }
    for nested in &nested.nested {
        narrow_nested(nested, schema, types);
    }
}

fn narrow(parts: &[Part], schema: &Schema, types: &mut [HashSet<TypeId>]) {
    for part in parts {
        if let Part::Group(group) = part {
            narrow(&group.parts, schema, types);
        }
    }
    for beside in parts.windows(3) {
        let (left, edge, right) = match beside {
            [Part::Vertex(left), Part::Edge(edge), Part::Vertex(right)] => (left, edge, right),
            [Part::Vertex(left), Part::Reach(reach), Part::Vertex(right)] => {
                narrow_ends(reach, schema, &mut types[left.variable], true);
                narrow_ends(reach, schema, &mut types[right.variable], false);
                continue;
            }
            _ => continue,
        };
        let (mut lefts, mut rights, mut edges) = (HashSet::new(), HashSet::new(), HashSet::new());
        for (id, from, to) in steps(edge, schema, &types[edge.variable]) {
            if types[left.variable].contains(&from) && types[right.variable].contains(&to) {
                lefts.insert(from);
                rights.insert(to);
                edges.insert(id);
            }
        }
        types[edge.variable].retain(|id| edges.contains(id));
        types[left.variable].retain(|id| lefts.contains(id));
        types[right.variable].retain(|id| rights.contains(id));
    }
}

/// A node at an end of a walk is of a type that one of the edges begins or ends at there.
fn narrow_ends(reach: &Reach, schema: &Schema, types: &mut HashSet<TypeId>, is_left: bool) {
    if reach.min == 0 {
        return;
    }
    let ends: HashSet<TypeId> = reach
        .types
        .iter()
        .filter_map(|id| schema.by_id(*id)?.endpoints())
        .flat_map(|(from, to)| match (reach.direction, is_left) {
            (Direction::Both, _) => vec![from, to],
            (Direction::Out, true) | (Direction::In, false) => vec![from],
            (Direction::Out, false) | (Direction::In, true) => vec![to],
        })
        .collect();
    types.retain(|id| ends.contains(id));
}

/// An edge type and the types on its left and on its right, for each way it can be taken.
fn steps(
    edge: &EdgePattern,
    schema: &Schema,
    allowed: &HashSet<TypeId>,
) -> Vec<(TypeId, TypeId, TypeId)> {
    let mut steps = Vec::new();
    for &id in edge.types.iter().filter(|id| allowed.contains(id)) {
        let Some((from, to)) = schema.by_id(id).and_then(|def| def.endpoints()) else {
            continue;
        };
        if edge.direction != Direction::In {
            steps.push((id, from, to));
        }
        if edge.direction != Direction::Out {
            steps.push((id, to, from));
        }
    }
    steps
}
