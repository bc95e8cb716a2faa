//! Paths that have to, or must not, go on from a match.

use std::collections::BTreeSet;

use crate::pattern::parts::{conditions_in, variables_of};
use crate::pattern::program::can_begin_at;
use crate::pattern::{ConditionId, Part, PathId, PathPattern, Property, VariableId};

/// Paths that go on from a match: there has to be a match of them all, or there must be none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Nested {
    pub negated: bool,
    /// The number of its first path; those of the pattern come before all nested ones.
    pub first: PathId,
    pub paths: Vec<PathPattern>,
    /// The first of the variables that are its own.
    pub inner: VariableId,
    pub filters: Vec<ConditionId>,
    pub nested: Vec<Nested>,
}

impl Nested {
    /// The same with its paths numbered from `next` on.
    pub fn numbered(&self, next: &mut PathId) -> Nested {
        let first = *next;
        *next += self.paths.len();
        Nested {
            first,
            nested: self
                .nested
                .iter()
                .map(|nested| nested.numbered(next))
                .collect(),
            ..self.clone()
        }
    }

    /// Does the variable stand in its paths?
    pub fn has(&self, variable: VariableId) -> bool {
        let mut found = Vec::new();
        for path in self.all_paths() {
            variables_of(&path.parts, &mut found);
        }
        found.contains(&variable)
    }

    /// The variables of the pattern around it that it looks at. `conditions` are the
    /// pattern's.
    pub fn variables_around(&self, conditions: &[Vec<Property>]) -> BTreeSet<VariableId> {
        let mut variables = Vec::new();
        let mut asked = Vec::new();
        self.collect(&mut variables, &mut asked);
        let looked_at = asked.iter().flat_map(|condition| &conditions[*condition]);
        variables.extend(looked_at.map(|property| property.variable));
        variables.retain(|variable| *variable < self.inner);
        variables.into_iter().collect()
    }

    fn collect(&self, variables: &mut Vec<VariableId>, asked: &mut Vec<ConditionId>) {
        asked.extend(&self.filters);
        for path in &self.paths {
            asked.extend(&path.conditions);
            variables_of(&path.parts, variables);
            conditions_in(&path.parts, asked);
        }
        for nested in &self.nested {
            nested.collect(variables, asked);
        }
    }

    /// Does each of its paths go on from a variable that is bound when its turn comes?
    pub fn goes_on(&self) -> bool {
        let mut left: Vec<&PathPattern> = self.paths.iter().collect();
        let mut bound: BTreeSet<VariableId> = (0..self.inner).collect();
        loop {
            let before = left.len();
            left.retain(|path| {
                let begins = path.parts.iter().enumerate().any(|(at, part)| {
                    matches!(part, Part::Vertex(vertex) if bound.contains(&vertex.variable))
                        && can_begin_at(path, at)
                });
                if begins {
                    let mut own = Vec::new();
                    variables_of(&path.parts, &mut own);
                    bound.extend(own);
                }
                !begins
            });
            if left.is_empty() || left.len() == before {
                return left.is_empty();
            }
        }
    }

    pub(super) fn all_paths(&self) -> Vec<&PathPattern> {
        let inner = self.nested.iter().flat_map(Nested::all_paths);
        self.paths.iter().chain(inner).collect()
    }

    pub(super) fn path(&self, id: PathId) -> Option<&PathPattern> {
        let own = id.checked_sub(self.first).and_then(|at| self.paths.get(at));
        own.or_else(|| self.nested.iter().find_map(|nested| nested.path(id)))
    }
}
