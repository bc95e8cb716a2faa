//! Graph patterns: which paths of a snapshot look like this?
//!
//! A [`Pattern`] is what a query language lowers its patterns to: path patterns made of
//! vertices, edges and repeated groups of them, over variables that may be shared. Its
//! conditions are [`Condition`]s, which the language brings; a pattern only knows which
//! properties each of them looks at.
//!
//! A pattern is compiled to a [`Program`], which begins at one of its vertices, the
//! [`Candidate`] that the caller finds cheapest, and runs over batches of partial matches:
//! always the newest batch first, so that memory follows the length of paths and not the
//! number of matches.
//!
//! | file | what is in it |
//! |---|---|
//! | labels | label expressions, and the types that they mean |
//! | check | what a pattern has to keep to |
//! | program | a pattern as instructions, from a chosen start |
//! | compile | how it comes about |
//! | estimate | how many partial matches it is expected to make |
//! | graph | the tables, dictionaries and adjacencies behind element types |
//! | open | what all parts of a match read, opened once |
//! | nested | paths that have to, or must not, go on from a match |
//! | frame | batches of partial matches, each the continuation of another |
//! | parts | what the parts of paths say of themselves |
//! | context | what all parts of a running match share |
//! | matcher | runs a program |
//! | expand | one step along edges |
//! | past | what a match has passed |
//! | reach | the nodes that edges lead to, each once |
//! | search | the paths that a selector keeps, between each two ends |
//! | corridor | the nodes on the shortest ways between two nodes, found from both ends |
//! | layers | a search level by level |
//! | emit | matches as rows |
//! | steps | a program as its reader sees it |

mod check;
mod compile;
mod context;
mod corridor;
mod emit;
mod estimate;
mod expand;
mod frame;
mod graph;
mod labels;
mod layers;
mod matcher;
mod nested;
mod open;
mod parts;
mod past;
mod program;
mod reach;
mod search;
mod steps;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::Unlimited;

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};

use crate::schema::TypeId;
pub use crate::traverse::Direction;

pub use check::{check_path, types_of};
pub use context::Failure;
pub use emit::{Output, Rows, output_type};
pub use estimate::{Estimate, Statistics};
pub use labels::LabelExpression;
pub use matcher::{Matching, Starts, matches};
pub use nested::Nested;
pub use open::{Counts, Opened, open};
pub use program::{Candidate, Hints, Known, MAX_REPEATS, Program, candidates, conditions_on};
pub use steps::Step;

/// A variable's number in its pattern.
pub type VariableId = usize;
/// A condition's, cost's or path's number in its pattern.
pub type ConditionId = usize;
pub type PathId = usize;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    pub variables: Vec<Variable>,
    pub paths: Vec<PathPattern>,
    /// What each condition and cost looks at.
    pub conditions: Vec<Vec<Property>>,
    /// Conditions on the whole match, beside those that stand in its parts.
    pub filters: Vec<ConditionId>,
    pub nested: Vec<Nested>,
    /// No edge may be taken twice in a match.
    pub different_edges: bool,
}

impl Pattern {
    /// One of its paths, or of those nested in it.
    pub(crate) fn path(&self, id: PathId) -> Option<&PathPattern> {
        let nested = || self.nested.iter().find_map(|nested| nested.path(id));
        self.paths.get(id).or_else(nested)
    }

    /// All types whose elements can be in a match, or on a way in it.
    pub fn types(&self) -> Vec<TypeId> {
        let of_variables = self.variables.iter().map(|variable| &variable.types);
        let nested = self.nested.iter().flat_map(Nested::all_paths);
        let parts = self.paths.iter().chain(nested).flat_map(|path| &path.parts);
        let of_ways = parts.filter_map(|part| match part {
            Part::Reach(reach) => Some(&reach.types),
            Part::Vertex(_) | Part::Edge(_) | Part::Group(_) => None,
        });
        let mut types = Vec::new();
        for id in of_variables.chain(of_ways).flatten() {
            if !types.contains(id) {
                types.push(*id);
            }
        }
        types
    }
}

/// One node or edge of a match; in a repeated group, the list of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Variable {
    /// What messages call it; `None` for elements that nobody named.
    pub name: Option<String>,
    pub is_edge: bool,
    /// The types that its elements may have.
    pub types: Vec<TypeId>,
    pub is_group: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    pub selector: Selector,
    pub mode: Mode,
    /// Begins and ends with a vertex; between two edges there is at least one.
    pub parts: Vec<Part>,
    /// Conditions on the path, in effect before the selector chooses.
    pub conditions: Vec<ConditionId>,
}

/// Vertices that stand side by side are conditions on one node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    Vertex(VertexPattern),
    Edge(EdgePattern),
    Group(Group),
    Reach(Reach),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VertexPattern {
    pub variable: VariableId,
    pub types: Vec<TypeId>,
    pub conditions: Vec<ConditionId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EdgePattern {
    pub variable: VariableId,
    pub types: Vec<TypeId>,
    pub direction: Direction,
    pub conditions: Vec<ConditionId>,
    pub cost: Option<ConditionId>,
}

/// The nodes that edges lead to, each once whatever the number of ways.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reach {
    pub types: Vec<TypeId>,
    pub direction: Direction,
    pub min: u32,
    /// `None`: as far as it goes.
    pub max: Option<u32>,
    pub by: ReachBy,
}

/// What has to be of that length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReachBy {
    /// Some walk; without an upper bound, `min` is at most 1.
    Walk,
    /// The shortest walk: the node where it begins has distance 0.
    Distance,
}

/// Parts that are repeated.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Group {
    pub parts: Vec<Part>,
    pub min: u32,
    /// `None`: any number of times.
    pub max: Option<u32>,
    /// Conditions on each repetition.
    pub conditions: Vec<ConditionId>,
}

/// Which of the paths between the same two nodes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Selector {
    All,
    /// So many of the shortest; among equals, those whose edges come first in their tables.
    Shortest(u64),
    /// All of the so many least lengths.
    ShortestGroups(u64),
    /// One whose costs add up to the least.
    Cheapest,
}

/// What must not come twice in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    Walk,
    /// Edges.
    Trail,
    /// Nodes, but the last may be the first.
    Simple,
    /// Nodes.
    Acyclic,
}

/// A property of a variable's element.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Property {
    pub variable: VariableId,
    pub kind: PropertyKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PropertyKind {
    /// A column by its SQL name; NULL for elements whose type has none.
    Column(String),
    /// A text that is the element's own in the whole graph: its table, a colon, its id.
    ElementId,
}

/// A condition or a cost, as the query language evaluates it: over one array for each of its
/// properties.
pub trait Condition: fmt::Debug + Send + Sync {
    /// Which rows it is true for. The arrays have the engine's types.
    fn holds(&self, properties: &[ArrayRef], rows: usize) -> Result<BooleanArray, Failure>;

    /// What each row costs.
    fn cost(&self, properties: &[ArrayRef], rows: usize) -> Result<Vec<f64>, Failure>;
}

/// Told how much memory a match uses, which it may refuse.
pub trait Memory: fmt::Debug + Send {
    fn resize(&mut self, bytes: usize) -> Result<(), Failure>;
}

pub type Conditions = Vec<Arc<dyn Condition>>;
