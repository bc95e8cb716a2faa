//! A pattern as instructions, from the node that a match begins at.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::pattern::compile::Compiler;
use crate::pattern::estimate::Statistics;
use crate::pattern::{
    ConditionId, Direction, Mode, Part, PathId, PathPattern, Pattern, Reach, Selector, VariableId,
};
use crate::schema::TypeId;

/// Instructions that repetitions may be written out to.
pub const MAX_REPEATS: usize = 10_000;

/// A vertex that a match can begin at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub(super) path: PathId,
    pub(super) part: usize,
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
    /// The match is at one of the nodes that the variable is known to be one of.
    Within(VariableId),
    /// Binds the variable to each of the nodes that it is known to be one of.
    Each(VariableId),
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
    /// Only matches that the nested paths go on from, or only those that they do not.
    Exists(Arc<Exists>),
    Done,
}

#[derive(Debug)]
pub(super) struct Exists {
    pub program: Arc<Program>,
    pub negated: bool,
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
    /// The node behind the edge, when that is known.
    pub target: Option<VariableId>,
    /// What the node behind the edge is joined to in every match: a node that is not is not
    /// worth going to.
    pub joined: Vec<Joined>,
}

/// An edge of the pattern, yet to be walked, between a node that is bound and another one.
#[derive(Debug, Clone)]
pub(super) struct Joined {
    pub edge: VariableId,
    pub bound: VariableId,
    pub types: Vec<TypeId>,
    /// As it is walked from the bound node.
    pub direction: Direction,
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
    pub program: Arc<Program>,
    pub backward: bool,
    /// Where the path has to end, when that is known.
    pub target: Option<VariableId>,
    /// Each condition looks at no more than one step, so that all ways to a node are alike.
    pub is_local: bool,
    /// Repeated edges between two nodes, any of which will do: the only thing that is between
    /// the ends of the path, which can then be sought from both.
    pub between: Option<Between>,
}

#[derive(Debug)]
pub(super) struct Between {
    pub types: Vec<TypeId>,
    /// As they are walked from where the search begins.
    pub direction: Direction,
    pub min: u32,
    pub max: Option<u32>,
}

/// A vertex whose nodes are sought before a match begins, because that costs less than looking
/// at the properties of each node that matches come to.
#[derive(Debug, Clone)]
pub struct Known {
    pub variable: VariableId,
    /// What is true of them, of the [conditions on that variable alone](conditions_on).
    pub conditions: Vec<ConditionId>,
    /// So few that a search is better begun for each of them than for none.
    pub are_few: bool,
}

/// What a program may rely on beside its pattern.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    pub known: Vec<Known>,
    pub statistics: Statistics,
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
            match Program::new(pattern, &candidate, &Hints::default()) {
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
pub(super) fn can_begin_at(path: &PathPattern, part: usize) -> bool {
    is_plain(path) || part == 0 || part + 1 == path.parts.len()
}

pub(super) fn is_plain(path: &PathPattern) -> bool {
    path.selector == Selector::All && path.mode == Mode::Walk
}

/// Conditions on one variable that are true of a match if and only if they are true of the
/// node it begins with: those at the ends of paths, and those in plain paths.
pub fn conditions_on(pattern: &Pattern, variable: VariableId) -> Vec<ConditionId> {
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
    pub fn new(pattern: &Arc<Pattern>, candidate: &Candidate, hints: &Hints) -> Result<Self> {
        let mut compiler = Compiler::new(pattern, candidate, hints);
        compiler.pattern(candidate)?;
        Ok(Program {
            pattern: Arc::clone(pattern),
            ops: compiler.ops,
            start: candidate.variable,
        })
    }
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
                Op::Search(search) => {
                    search.program.walked_backwards(found);
                    // From both ends is in both directions.
                    found.extend(search.between.iter().flat_map(|between| &between.types));
                }
                Op::Exists(exists) => exists.program.walked_backwards(found),
                _ => {}
            }
        }
    }

    /// The edge types of which it asks whether they join two nodes.
    pub(super) fn joins(&self, found: &mut HashSet<TypeId>) {
        for op in &self.ops {
            match op {
                Op::Expand(expand) => {
                    if expand.target.is_some() || !expand.joined.is_empty() {
                        found.extend(&expand.types);
                    }
                    found.extend(expand.joined.iter().flat_map(|joined| &joined.types));
                }
                Op::Reach(reaching) if reaching.is_one_edge_between() => {
                    found.extend(&reaching.reach.types)
                }
                Op::Search(search) => search.program.joins(found),
                Op::Exists(exists) => exists.program.joins(found),
                _ => {}
            }
        }
    }
}

impl Reaching {
    /// Is it only asked whether an edge leads to a node that is known?
    pub(super) fn is_one_edge_between(&self) -> bool {
        self.target.is_some() && (self.reach.min, self.reach.max) == (1, Some(1))
    }
}
