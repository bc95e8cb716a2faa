//! A pattern as instructions, from the node that a match begins at.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::pattern::{
    ConditionId, Direction, EdgePattern, Group, Mode, Part, PathId, PathPattern, Pattern, Reach,
    Selector, VariableId, VertexPattern,
};
use crate::schema::TypeId;

/// Instructions that repetitions may be written out to.
pub const MAX_REPEATS: usize = 10_000;

/// A vertex that a match can begin at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    path: PathId,
    part: usize,
    pub variable: VariableId,
    /// What its nodes' types can be.
    pub types: Vec<TypeId>,
    /// Conditions that look at this node alone: whoever begins a match there gives it only
    /// nodes for which they hold.
    pub conditions: Vec<ConditionId>,
}

#[derive(Debug)]
pub struct Program {
    pub(super) pattern: Arc<Pattern>,
    pub(super) ops: Vec<Op>,
    pub start: VariableId,
}

#[derive(Debug, Clone)]
pub(super) enum Op {
    /// The match is at a node of these types; it is bound to the variable, or is what the
    /// variable is already.
    Vertex {
        variable: VariableId,
        types: Vec<TypeId>,
        same: bool,
    },
    Filter(ConditionId),
    Expand(Expand),
    Reach(Arc<Reaching>),
    /// Back to a node that was bound.
    Goto(VariableId),
    /// Goes on here and there.
    Split(usize),
    Jump(usize),
    Start(PathId),
    Search(Arc<Search>),
    /// What the found path binds is what the variable is already.
    Same(VariableId),
    Found(PathId),
    Done,
}

/// One step along edges.
#[derive(Debug, Clone)]
pub(super) struct Expand {
    pub variable: VariableId,
    pub types: Vec<TypeId>,
    /// As it is walked.
    pub direction: Direction,
    /// Is the path walked from its right to its left?
    pub backward: bool,
    /// The edge is what the variable is already.
    pub same: bool,
    pub path: PathId,
    pub mode: Mode,
    pub cost: Option<ConditionId>,
}

/// To the nodes that edges lead to.
#[derive(Debug)]
pub(super) struct Reaching {
    /// As it is walked.
    pub reach: Reach,
    /// Where it has to lead, when that is known.
    pub target: Option<VariableId>,
}

/// The paths of one path pattern that its selector keeps.
#[derive(Debug)]
pub(super) struct Search {
    pub path: PathId,
    pub selector: Selector,
    /// A program for the path alone, from the node that the search begins at.
    pub program: Program,
    pub backward: bool,
    /// Where the path has to end, when that is known.
    pub target: Option<VariableId>,
    /// Each condition looks at no more than one step, so that all ways to a node are alike.
    pub is_local: bool,
}

/// Where a pattern's matches can begin. The pattern is connected.
pub fn candidates(pattern: &Arc<Pattern>) -> Result<Vec<Candidate>> {
    let mut found = Vec::new();
    let mut refused = None;
    for (path_id, path) in pattern.paths.iter().enumerate() {
        for (at, part) in path.parts.iter().enumerate() {
            let Part::Vertex(vertex) = part else { continue };
            if !can_begin_at(path, at) {
                continue;
            }
            let candidate = Candidate {
                path: path_id,
                part: at,
                variable: vertex.variable,
                types: pattern.variables[vertex.variable].types.clone(),
                conditions: conditions_on(pattern, vertex.variable),
            };
            match Program::new(pattern, &candidate) {
                Ok(_) => found.push(candidate),
                Err(error) => {
                    refused.get_or_insert(error);
                }
            }
        }
    }
    match (found.is_empty(), refused) {
        (true, Some(error)) => Err(error),
        (true, None) => Err(Error::internal("a pattern without a vertex")),
        (false, _) => Ok(found),
    }
}

/// What chooses among paths, or looks back at them, walks them from one end to the other.
fn can_begin_at(path: &PathPattern, part: usize) -> bool {
    is_plain(path) || part == 0 || part + 1 == path.parts.len()
}

fn is_plain(path: &PathPattern) -> bool {
    path.selector == Selector::All && path.mode == Mode::Walk
}

/// Conditions on one variable that are true of a match if and only if they are true of the
/// node it begins with: those at the ends of paths, and those in plain paths.
fn conditions_on(pattern: &Pattern, variable: VariableId) -> Vec<ConditionId> {
    let mut conditions: Vec<ConditionId> = pattern.filters.clone();
    for path in &pattern.paths {
        for (at, part) in path.parts.iter().enumerate() {
            if let Part::Vertex(vertex) = part
                && vertex.variable == variable
                && can_begin_at(path, at)
            {
                conditions.extend(&vertex.conditions);
            }
        }
    }
    conditions.retain(|&condition| {
        let uses = &pattern.conditions[condition];
        !uses.is_empty() && uses.iter().all(|property| property.variable == variable)
    });
    conditions
}

impl Program {
    pub fn new(pattern: &Arc<Pattern>, candidate: &Candidate) -> Result<Self> {
        let mut compiler = Compiler {
            pattern,
            ops: Vec::new(),
            bound: vec![false; pattern.variables.len()],
            pending: pattern.filters.clone(),
            decided: candidate.conditions.iter().copied().collect(),
        };
        compiler.pattern(candidate)?;
        Ok(Program {
            pattern: Arc::clone(pattern),
            ops: compiler.ops,
            start: candidate.variable,
        })
    }
}

struct Compiler<'a> {
    pattern: &'a Arc<Pattern>,
    ops: Vec<Op>,
    /// The variables that have one value where the program has come to.
    bound: Vec<bool>,
    /// Conditions that wait for their variables.
    pending: Vec<ConditionId>,
    /// Conditions that hold from the start.
    decided: HashSet<ConditionId>,
}

impl Compiler<'_> {
    fn pattern(&mut self, start: &Candidate) -> Result<()> {
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
            return Err(Error::Unsupported {
                message: "path patterns that have only inner vertices of a selected path in common are not supported"
                    .to_owned(),
                hint: Some("Let a path with a selector begin or end at a vertex that the others share.".to_owned()),
            });
        }
        self.settled()?;
        self.push(Op::Done)
    }

    /// A path that goes on from what is bound; those that are chosen from come last.
    fn next_path(&self, left: &[PathId]) -> Option<(PathId, usize)> {
        let places = left.iter().flat_map(|&path| {
            let parts = self.pattern.paths[path].parts.iter().enumerate();
            parts.map(move |(at, part)| (path, at, part))
        });
        places
            .filter(|(path, at, part)| match part {
                Part::Vertex(vertex) => {
                    self.bound[vertex.variable] && can_begin_at(&self.pattern.paths[*path], *at)
                }
                Part::Edge(_) | Part::Group(_) | Part::Reach(_) => false,
            })
            .min_by_key(|(path, _, _)| !is_plain(&self.pattern.paths[*path]))
            .map(|(path, at, _)| (path, at))
    }

    /// All paths, from the vertex at `start` to the right and then to the left.
    fn path(&mut self, path: PathId, start: usize) -> Result<()> {
        let pattern = Arc::clone(self.pattern);
        let PathPattern {
            parts, conditions, ..
        } = &pattern.paths[path];
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
            mode: self.pattern.paths[path].mode,
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
        } = &pattern.paths[path];
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

fn variables_of(parts: &[Part], found: &mut Vec<VariableId>) {
    for part in parts {
        match part {
            Part::Vertex(vertex) => found.push(vertex.variable),
            Part::Edge(edge) => found.push(edge.variable),
            Part::Group(group) => variables_of(&group.parts, found),
            Part::Reach(_) => {}
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

impl Program {
    /// The edge types that it walks against their direction.
    pub(super) fn walked_backwards(&self, found: &mut HashSet<TypeId>) {
        for op in &self.ops {
            match op {
                Op::Expand(expand) if expand.direction != Direction::Out => {
                    found.extend(&expand.types)
                }
                Op::Reach(reaching) if reaching.reach.direction != Direction::Out => {
                    found.extend(&reaching.reach.types)
                }
                Op::Search(search) => search.program.walked_backwards(found),
                _ => {}
            }
        }
    }
}
