//! From a pattern to the instructions of a program.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::pattern::parts::{
    between, conditions_of, edges_of, is_unbounded, looks_one_step_back, variables_of, walked,
};
use crate::pattern::program::{
    Candidate, Exists, Expand, Hints, Joined, Known, MAX_REPEATS, Op, Program, Reaching, Search,
    can_begin_at, is_plain,
};
use crate::pattern::{
    ConditionId, EdgePattern, Group, Mode, Nested, Part, PathId, PathPattern, Pattern, Reach,
    Selector, VariableId, VertexPattern,
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
    /// Conditions that hold from the start, or of the nodes that are known.
    decided: HashSet<ConditionId>,
    hints: &'a Hints,
    /// The edges outside of repetitions that are yet to be walked: the path of each, and its
    /// place there.
    ahead: Vec<(PathId, usize)>,
}

impl<'a> Compiler<'a> {
    /// From a vertex whose nodes fulfil the candidate's conditions.
    pub(super) fn new(pattern: &'a Arc<Pattern>, candidate: &Candidate, hints: &'a Hints) -> Self {
        let known = hints.known.iter().flat_map(|known| &known.conditions);
        Compiler {
            pattern,
            ops: Vec::new(),
            bound: vec![false; pattern.variables.len()],
            pending: pattern.filters.clone(),
            decided: candidate.conditions.iter().chain(known).copied().collect(),
            hints,
            ahead: edges_of(pattern, 0..pattern.paths.len()),
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
                self.each_end(path, part)?;
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
            hints: self.hints,
            ahead: edges_of(
                self.pattern,
                nested.first..nested.first + nested.paths.len(),
            ),
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

    /// Binds the other end of a path that is searched for, if few nodes can be there.
    fn each_end(&mut self, path: PathId, start: usize) -> Result<()> {
        let parts = &self.pattern.paths[path].parts;
        let end = if start > 0 {
            parts.first()
        } else {
            parts.last()
        };
        let (Part::Vertex(start), Some(Part::Vertex(end))) = (&parts[start], end) else {
            return Ok(());
        };
        let known = self.known(end.variable).is_some_and(|known| known.are_few);
        if !known || self.bound[end.variable] || start.variable == end.variable {
            return Ok(());
        }
        let (start, end) = (start.clone(), end.variable);
        // The search comes back to where it begins, so that has to be bound, too.
        if !self.bound[start.variable] {
            self.vertex(&start)?;
        }
        self.bound[end] = true;
        self.push(Op::Each(end))?;
        self.filter()?;
        self.push(Op::Goto(start.variable))
    }

    fn known(&self, variable: VariableId) -> Option<&'a Known> {
        let mut known = self.hints.known.iter();
        known.find(|known| known.variable == variable)
    }

    /// A path that goes on from what is bound; those that are chosen from come last, and among
    /// others the one that makes the fewest matches of one is first.
    fn next_path(&self, left: &[PathId]) -> Option<(PathId, usize)> {
        let paths = left
            .iter()
            .filter_map(|&id| Some((id, self.pattern.path(id)?)));
        let places = paths.flat_map(|(id, path)| {
            let parts = path.parts.iter().enumerate();
            parts.map(move |(at, part)| (id, path, at, part))
        });
        let mut best: Option<(bool, f64, PathId, usize)> = None;
        for (id, path, at, part) in places {
            let can_begin = match part {
                Part::Vertex(vertex) => self.bound[vertex.variable] && can_begin_at(path, at),
                Part::Edge(_) | Part::Group(_) | Part::Reach(_) => false,
            };
            if !can_begin {
                continue;
            }
            let statistics = &self.hints.statistics;
            let growth = statistics.growth(self.pattern, &path.parts, at, &self.bound);
            let last = !is_plain(path);
            if best.is_none_or(|(other, least, ..)| (last, growth) < (other, least)) {
                best = Some((last, growth, id, at));
            }
        }
        best.map(|(_, _, id, at)| (id, at))
    }

    /// All paths, from the vertex at `start` to both sides: first to the one that makes fewer
    /// matches of one.
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
        let growth = |parts: &[Part], start| {
            let statistics = &self.hints.statistics;
            statistics.growth(self.pattern, parts, start, &self.bound)
        };
        let has_sides = start > 0 && start + 1 < parts.len();
        let left_first = has_sides && growth(&parts[..=start], start) < growth(&parts[start..], 0);
        for (nth, backward) in [left_first, !left_first].into_iter().enumerate() {
            if let Part::Vertex(vertex) = &parts[start]
                && has_sides
                && nth > 0
            {
                self.push(Op::Goto(vertex.variable))?;
            }
            match backward {
                false => (start + 1..parts.len())
                    .try_for_each(|at| self.part_of(path, parts, at, false))?,
                true => (0..start)
                    .rev()
                    .try_for_each(|at| self.part_of(path, parts, at, true))?,
            }
        }
        Ok(())
    }

    /// A part of a path, and what comes after it.
    fn part_of(&mut self, path: PathId, parts: &[Part], at: usize, backward: bool) -> Result<()> {
        let next = match backward {
            false => parts.get(at + 1),
            true => at.checked_sub(1).and_then(|next| parts.get(next)),
        };
        let next = match next {
            Some(Part::Vertex(vertex)) => Some(vertex.variable),
            _ => None,
        };
        let target = next.filter(|variable| self.bound[*variable]);
        match &parts[at] {
            Part::Reach(reach) => {
                let reach = Reach {
                    direction: walked(reach.direction, backward),
                    ..reach.clone()
                };
                self.push(Op::Reach(Arc::new(Reaching { reach, target })))
            }
            Part::Edge(edge) => {
                self.ahead.retain(|ahead| *ahead != (path, at));
                let joined = match (next, target) {
                    (Some(next), None) => self.joined(next),
                    _ => Vec::new(),
                };
                self.edge(path, edge, backward, target, joined)
            }
            part => self.part(path, part, backward),
        }
    }

    /// The edges that are yet to be walked between a vertex and those that are bound.
    fn joined(&self, vertex: VariableId) -> Vec<Joined> {
        let mut joined = Vec::new();
        for &(path, at) in &self.ahead {
            let Some(path) = self.pattern.path(path) else {
                continue;
            };
            let beside = (
                at.checked_sub(1).map(|left| &path.parts[left]),
                path.parts.get(at + 1),
            );
            let (Part::Edge(edge), (Some(Part::Vertex(left)), Some(Part::Vertex(right)))) =
                (&path.parts[at], beside)
            else {
                continue;
            };
            let (bound, backward) = match (left.variable == vertex, right.variable == vertex) {
                (false, true) => (left.variable, false),
                (true, false) => (right.variable, true),
                _ => continue,
            };
            if self.bound[bound] {
                joined.push(Joined {
                    edge: edge.variable,
                    bound,
                    types: edge.types.clone(),
                    direction: walked(edge.direction, backward),
                });
            }
        }
        joined
    }

    fn part(&mut self, path: PathId, part: &Part, backward: bool) -> Result<()> {
        match part {
            Part::Vertex(vertex) => self.vertex(vertex),
            Part::Edge(edge) => self.edge(path, edge, backward, None, Vec::new()),
            Part::Group(group) => self.group(path, group, backward),
            Part::Reach(_) => Err(Error::internal(
                "nodes that are reached within a repetition",
            )),
        }
    }

    fn vertex(&mut self, vertex: &VertexPattern) -> Result<()> {
        let same = std::mem::replace(&mut self.bound[vertex.variable], true);
        self.push(Op::Vertex {
            variable: vertex.variable,
            types: vertex.types.clone(),
            same,
        })?;
        if !same && self.known(vertex.variable).is_some() {
            self.push(Op::Within(vertex.variable))?;
        }
        self.filter()
    }

    fn edge(
        &mut self,
        path: PathId,
        edge: &EdgePattern,
        backward: bool,
        target: Option<VariableId>,
        joined: Vec<Joined>,
    ) -> Result<()> {
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
            target,
            joined,
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
        self.ahead.retain(|(other, _)| *other != path);
        let mut inner = Compiler {
            pattern: self.pattern,
            ops: Vec::new(),
            bound: vec![false; pattern.variables.len()],
            pending: Vec::new(),
            decided: self.decided.clone(),
            hints: self.hints,
            ahead: edges_of(&pattern, path..path + 1),
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
            program: Arc::new(Program {
                pattern: Arc::clone(self.pattern),
                ops: inner.ops,
                start,
            }),
            backward,
            target,
            is_local,
            between: between(parts, backward).filter(|_| is_local),
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
