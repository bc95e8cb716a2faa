//! From a pattern to the instructions of a program.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::pattern::program::{
    Candidate, Exists, Expand, MAX_REPEATS, Op, Program, Reaching, Search, can_begin_at, is_plain,
};
use crate::pattern::{
    ConditionId, Direction, EdgePattern, Group, Mode, Nested, Part, PathId, PathPattern, Pattern,
    Reach, Selector, VariableId, VertexPattern,
};

fn disconnected() -> Error {
    Error::Unsupported {
        message: "path patterns that have only inner vertices of a selected path in common are not supported"
            .to_owned(),
        hint: Some("Let a path with a selector begin or end at a vertex that the others share.".to_owned()),
    }
}

pub(super) struct Compiler<'a> {
    pattern: &'a Arc<Pattern>,
    pub(super) ops: Vec<Op>,
    /// The variables that have one value where the program has come to.
    bound: Vec<bool>,
    /// Conditions that wait for their variables.
    pending: Vec<ConditionId>,
    /// Conditions that hold from the start.
    decided: HashSet<ConditionId>,
}

impl<'a> Compiler<'a> {
    /// From a vertex whose nodes fulfil the candidate's conditions.
    pub(super) fn new(pattern: &'a Arc<Pattern>, candidate: &Candidate) -> Self {
        Compiler {
            pattern,
            ops: Vec::new(),
            bound: vec![false; pattern.variables.len()],
            pending: pattern.filters.clone(),
            decided: candidate.conditions.iter().copied().collect(),
        }
    }

    pub(super) fn pattern(&mut self, start: &Candidate) -> Result<()> {
        let pattern = Arc::clone(self.pattern);
        let mut left: Vec<PathId> = (0..pattern.paths.len()).collect();
        let mut next = Some((start.path, start.part));
        let mut first = true;
        while let Some((path, part)) = next {
            left.retain(|other| *other != path);
            let parts = &pattern.paths[path].parts;
            if let (false, Part::Vertex(vertex)) = (first, &parts[part]) {
                self.push(Op::Goto(vertex.variable))?;
            }
            first = false;
            if pattern.paths[path].selector == Selector::All {
                self.path(path, part)?;
            } else {
                self.search(path, part)?;
            }
            next = self.next_path(&left);
        }
        if !left.is_empty() {
            return Err(disconnected());
        }
        self.settled()?;
        for nested in &pattern.nested {
            self.nested(nested, start.variable)?;
        }
        self.push(Op::Done)
    }

    /// What goes on from the variables that are bound.
    fn nested(&mut self, nested: &Nested, start: VariableId) -> Result<()> {
        let mut inner = Compiler {
            pattern: self.pattern,
            ops: Vec::new(),
            bound: self.bound.clone(),
            pending: nested.filters.clone(),
            decided: self.decided.clone(),
        };
        inner.filter()?;
        let mut left: Vec<PathId> = (nested.first..nested.first + nested.paths.len()).collect();
        while let Some((path, part)) = inner.next_path(&left) {
            left.retain(|other| *other != path);
            let whole = inner.path_pattern(path)?;
            if let Part::Vertex(vertex) = &whole.parts[part] {
                inner.push(Op::Goto(vertex.variable))?;
            }
            match whole.selector {
                Selector::All => inner.path(path, part)?,
                _ => inner.search(path, part)?,
            }
        }
        if !left.is_empty() {
            return Err(disconnected());
        }
        inner.settled()?;
        for deeper in &nested.nested {
            inner.nested(deeper, start)?;
        }
        inner.push(Op::Done)?;
        self.push(Op::Exists(Arc::new(Exists {
            program: Arc::new(Program {
                pattern: Arc::clone(self.pattern),
                ops: inner.ops,
                start,
            }),
            negated: nested.negated,
        })))
    }

    fn path_pattern(&self, path: PathId) -> Result<PathPattern> {
        let found = self.pattern.path(path).cloned();
        found.ok_or_else(|| Error::internal("a path that the pattern does not have"))
    }

    /// A path that goes on from what is bound; those that are chosen from come last.
    fn next_path(&self, left: &[PathId]) -> Option<(PathId, usize)> {
        let paths = left
            .iter()
            .filter_map(|&id| Some((id, self.pattern.path(id)?)));
        let places = paths.flat_map(|(id, path)| {
            let parts = path.parts.iter().enumerate();
            parts.map(move |(at, part)| (id, path, at, part))
        });
        places
            .filter(|(_, path, at, part)| match part {
                Part::Vertex(vertex) => self.bound[vertex.variable] && can_begin_at(path, *at),
                Part::Edge(_) | Part::Group(_) | Part::Reach(_) => false,
            })
            .min_by_key(|(_, path, _, _)| !is_plain(path))
            .map(|(id, _, at, _)| (id, at))
    }

    /// All paths, from the vertex at `start` to the right and then to the left.
    fn path(&mut self, path: PathId, start: usize) -> Result<()> {
        let PathPattern {
            parts, conditions, ..
        } = &self.path_pattern(path)?;
        self.wait_for(conditions);
        for part in parts {
            self.wait_for(conditions_of(part));
        }
        self.push(Op::Start(path))?;
        self.part(path, &parts[start], false)?;
        for at in start + 1..parts.len() {
            self.part_before(path, &parts[at], parts.get(at + 1), false)?;
        }
        if start > 0 {
            if let Part::Vertex(vertex) = &parts[start]
                && start + 1 < parts.len()
            {
                self.push(Op::Goto(vertex.variable))?;
            }
            for at in (0..start).rev() {
                let next = at.checked_sub(1).and_then(|next| parts.get(next));
                self.part_before(path, &parts[at], next, true)?;
            }
        }
        Ok(())
    }

    /// A part, and what comes after it.
    fn part_before(
        &mut self,
        path: PathId,
        part: &Part,
        next: Option<&Part>,
        backward: bool,
    ) -> Result<()> {
        let Part::Reach(reach) = part else {
            return self.part(path, part, backward);
        };
        let target = match next {
            Some(Part::Vertex(vertex)) if self.bound[vertex.variable] => Some(vertex.variable),
            _ => None,
        };
        let reach = Reach {
            direction: walked(reach.direction, backward),
            ..reach.clone()
        };
        self.push(Op::Reach(Arc::new(Reaching { reach, target })))
    }

    fn part(&mut self, path: PathId, part: &Part, backward: bool) -> Result<()> {
        match part {
            Part::Vertex(vertex) => self.vertex(vertex),
            Part::Edge(edge) => self.edge(path, edge, backward),
            Part::Group(group) => self.group(path, group, backward),
            Part::Reach(_) => self.part_before(path, part, None, backward),
        }
    }

    fn vertex(&mut self, vertex: &VertexPattern) -> Result<()> {
        let same = std::mem::replace(&mut self.bound[vertex.variable], true);
        self.push(Op::Vertex {
            variable: vertex.variable,
            types: vertex.types.clone(),
            same,
        })?;
        self.filter()
    }

    fn edge(&mut self, path: PathId, edge: &EdgePattern, backward: bool) -> Result<()> {
        let same = std::mem::replace(&mut self.bound[edge.variable], true);
        let direction = walked(edge.direction, backward);
        self.push(Op::Expand(Expand {
            variable: edge.variable,
            types: edge.types.clone(),
            direction,
            backward,
            same,
            path,
            mode: self.pattern.path(path).map_or(Mode::Walk, |path| path.mode),
            cost: edge.cost,
        }))?;
        self.filter()
    }

    fn group(&mut self, path: PathId, group: &Group, backward: bool) -> Result<()> {
        for _ in 0..group.min {
            self.repetition(path, group, backward)?;
        }
        match group.max {
            None => {
                let split = self.ops.len();
                self.push(Op::Split(0))?;
                self.repetition(path, group, backward)?;
                self.push(Op::Jump(split))?;
                self.ops[split] = Op::Split(self.ops.len());
            }
            Some(max) => {
                let mut splits = Vec::new();
                for _ in group.min..max {
                    splits.push(self.ops.len());
                    self.push(Op::Split(0))?;
                    self.repetition(path, group, backward)?;
                }
                let end = self.ops.len();
                for split in splits {
                    self.ops[split] = Op::Split(end);
                }
            }
        }
        Ok(())
    }

    fn repetition(&mut self, path: PathId, group: &Group, backward: bool) -> Result<()> {
        let mut inside = Vec::new();
        variables_of(&group.parts, &mut inside);
        for &variable in &inside {
            self.bound[variable] = false;
        }
        let outside = std::mem::take(&mut self.pending);
        self.wait_for(&group.conditions);
        for part in &group.parts {
            self.wait_for(conditions_of(part));
        }
        self.filter()?;
        match backward {
            false => group
                .parts
                .iter()
                .try_for_each(|part| self.part(path, part, false))?,
            true => group
                .parts
                .iter()
                .rev()
                .try_for_each(|part| self.part(path, part, true))?,
        }
        self.settled()?;
        self.pending = outside;
        for &variable in &inside {
            self.bound[variable] = false;
        }
        Ok(())
    }

    fn search(&mut self, path: PathId, start: usize) -> Result<()> {
        let pattern = Arc::clone(self.pattern);
        let PathPattern {
            parts,
            selector,
            mode,
            ..
        } = &self.path_pattern(path)?;
        let backward = start > 0;
        let mut inner = Compiler {
            pattern: self.pattern,
            ops: Vec::new(),
            bound: vec![false; pattern.variables.len()],
            pending: Vec::new(),
            decided: self.decided.clone(),
        };
        inner.path(path, start)?;
        inner.settled()?;
        inner.push(Op::Done)?;
        let start = match &parts[start] {
            Part::Vertex(vertex) => vertex.variable,
            Part::Edge(_) | Part::Group(_) | Part::Reach(_) => {
                return Err(Error::internal("a path that begins with an edge"));
            }
        };
        let is_local = *mode == Mode::Walk && looks_one_step_back(&pattern, &inner.ops, start);
        if !is_local && *selector == Selector::Cheapest {
            return Err(Error::Unsupported {
                message: "ANY CHEAPEST is not supported for paths with a mode or with conditions on more than one step"
                    .to_owned(),
                hint: None,
            });
        }
        if !is_local && *mode == Mode::Walk && parts.iter().any(is_unbounded) {
            return Err(Error::Unsupported {
                message:
                    "a condition on more than one step of an unbounded quantifier is not supported"
                        .to_owned(),
                hint: Some("Give the quantifier an upper bound.".to_owned()),
            });
        }
        let single = inner.bound;
        let end = if backward {
            parts.first()
        } else {
            parts.last()
        };
        let target = match end {
            Some(Part::Vertex(vertex)) if self.bound[vertex.variable] => Some(vertex.variable),
            _ => None,
        };
        self.push(Op::Search(Arc::new(Search {
            path,
            selector: *selector,
            program: Program {
                pattern: Arc::clone(self.pattern),
                ops: inner.ops,
                start,
            },
            backward,
            target,
            is_local,
        })))?;
        for (variable, bound) in single.into_iter().enumerate() {
            if bound && std::mem::replace(&mut self.bound[variable], true) && variable != start {
                self.push(Op::Same(variable))?;
            }
        }
        self.push(Op::Found(path))?;
        self.filter()
    }

    fn wait_for(&mut self, conditions: &[ConditionId]) {
        let decided = &self.decided;
        self.pending.extend(
            conditions
                .iter()
                .filter(|condition| !decided.contains(*condition)),
        );
    }

    /// Asks what can be asked now.
    fn filter(&mut self) -> Result<()> {
        let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|&condition| {
                let mut uses = self.pattern.conditions[condition].iter();
                uses.all(|property| self.bound[property.variable])
            });
        self.pending = later;
        for condition in now {
            if !self.decided.contains(&condition) {
                self.push(Op::Filter(condition))?;
            }
        }
        Ok(())
    }

    fn settled(&mut self) -> Result<()> {
        self.filter()?;
        match self.pending.is_empty() {
            true => Ok(()),
            false => Err(Error::Unsupported {
                message:
                    "a condition inside of a path looks at a variable that is bound outside of it"
                        .to_owned(),
                hint: Some("Write it into the WHERE clause after all path patterns.".to_owned()),
            }),
        }
    }

    fn push(&mut self, op: Op) -> Result<()> {
        if self.ops.len() >= MAX_REPEATS {
            return Err(Error::LimitExceeded {
                what: "the length of a pattern with its repetitions written out".to_owned(),
                limit: MAX_REPEATS as u64,
                actual: self.ops.len() as u64 + 1,
            });
        }
        self.ops.push(op);
        Ok(())
    }
}

fn walked(direction: Direction, backward: bool) -> Direction {
    match (direction, backward) {
        (Direction::Out, true) => Direction::In,
        (Direction::In, true) => Direction::Out,
        (direction, _) => direction,
    }
}

fn conditions_of(part: &Part) -> &[ConditionId] {
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

fn is_unbounded(part: &Part) -> bool {
    match part {
        Part::Group(group) => group.max.is_none() || group.parts.iter().any(is_unbounded),
        Part::Vertex(_) | Part::Edge(_) | Part::Reach(_) => false,
    }
}

/// Does each condition look only at the node where the path begins, at the last edge, and at
/// the nodes at its two ends?
fn looks_one_step_back(pattern: &Pattern, ops: &[Op], start: VariableId) -> bool {
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
