//! What all parts of a running match share, and how it fails.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::DataType;
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::pattern::emit::property_type;
use crate::pattern::frame::{Element, Event, Frame, Meter, Step, Trace};
use crate::pattern::graph::EdgeSource;
use crate::pattern::open::Opened;
use crate::pattern::search::FoundPath;
use crate::pattern::{
    ConditionId, Conditions, Direction, Memory, Part, Pattern, Property, PropertyKind, VariableId,
};
use crate::schema::TypeId;

/// A match failed here, or in what the caller brought: a condition, a start, memory.
#[derive(Debug)]
pub enum Failure {
    Engine(Error),
    Outside(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Engine(error) => error.fmt(f),
            Failure::Outside(error) => error.fmt(f),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Engine(error)
    }
}

impl From<arrow::error::ArrowError> for Failure {
    fn from(error: arrow::error::ArrowError) -> Self {
        Failure::Engine(error.into())
    }
}

/// What all parts of a running match share.
pub(super) struct Context {
    pub opened: Arc<Opened>,
    pub pattern: Arc<Pattern>,
    pub meter: Meter,
    conditions: Conditions,
    /// Of each condition's properties.
    property_types: Vec<Vec<DataType>>,
    memory: Mutex<Box<dyn Memory>>,
}

/// What a variable is, for each row that is looked at.
pub(super) type Lookup<'a> = &'a (dyn Fn(VariableId) -> Result<Vec<Element>> + Sync);

/// A way to go on from the nodes of a table.
pub(super) struct Way<'a> {
    pub edges: &'a EdgeSource,
    pub edge_table: u32,
    pub reverse: bool,
    pub leads_to: u32,
    /// Loops were met going forward.
    pub skip_loops: bool,
}

impl Context {
    pub(super) fn new(
        opened: Arc<Opened>,
        conditions: Conditions,
        memory: Box<dyn Memory>,
    ) -> Self {
        let pattern = Arc::clone(&opened.program.pattern);
        let property_type =
            |property: &Property| property_type(&pattern, opened.snapshot.schema(), property);
        let property_types = pattern
            .conditions
            .iter()
            .map(|uses| uses.iter().map(property_type).collect())
            .collect();
        Context {
            opened,
            conditions,
            property_types,
            meter: Meter::default(),
            memory: Mutex::new(memory),
            pattern,
        }
    }

    pub(super) fn charge(&self) -> Result<(), Failure> {
        self.memory.lock().resize(self.meter.bytes())
    }

    /// The ways that lead on from the nodes of a table.
    pub(super) fn ways(&self, types: &[TypeId], direction: Direction, table: u32) -> Vec<Way<'_>> {
        let mut ways = Vec::new();
        for id in types {
            let elements = &self.opened.elements;
            let Some((edge_table, edges)) = elements
                .number(*id)
                .and_then(|table| Some((table, elements.edges(table)?)))
            else {
                continue;
            };
            let both = direction == Direction::Both;
            if direction != Direction::In && edges.from == table {
                ways.push(Way {
                    edges,
                    edge_table,
                    reverse: false,
                    leads_to: edges.to,
                    skip_loops: false,
                });
            }
            if direction != Direction::Out && edges.to == table {
                ways.push(Way {
                    edges,
                    edge_table,
                    reverse: true,
                    leads_to: edges.from,
                    skip_loops: both && edges.from == edges.to,
                });
            }
        }
        ways
    }

    pub(super) fn uses(&self, condition: ConditionId) -> &[Property] {
        &self.pattern.conditions[condition]
    }

    /// The properties that a condition looks at; `elements` says what its variables are.
    async fn properties(
        &self,
        condition: ConditionId,
        elements: Lookup<'_>,
    ) -> Result<Vec<ArrayRef>> {
        let uses = self.uses(condition);
        let types = &self.property_types[condition];
        let mut arrays: Vec<Option<ArrayRef>> = vec![None; uses.len()];
        while let Some(first) = arrays.iter().position(Option::is_none) {
            let variable = uses[first].variable;
            let places: Vec<usize> = (first..uses.len())
                .filter(|&at| uses[at].variable == variable)
                .collect();
            let wanted: Vec<(&PropertyKind, DataType)> = places
                .iter()
                .map(|&at| (&uses[at].kind, types[at].clone()))
                .collect();
            let of_variable = elements(variable)?;
            let fetched = self.opened.elements.fetch(&of_variable, &wanted).await?;
            for (at, array) in places.into_iter().zip(fetched) {
                arrays[at] = Some(array);
            }
        }
        Ok(arrays.into_iter().flatten().collect())
    }

    pub(super) async fn holds(
        &self,
        condition: ConditionId,
        rows: usize,
        elements: Lookup<'_>,
    ) -> Result<BooleanArray, Failure> {
        let properties = self.properties(condition, elements).await?;
        self.conditions[condition].holds(&properties, rows)
    }

    pub(super) async fn costs(
        &self,
        condition: ConditionId,
        rows: usize,
        elements: Lookup<'_>,
    ) -> Result<Vec<f64>, Failure> {
        let properties = self.properties(condition, elements).await?;
        self.conditions[condition].cost(&properties, rows)
    }

    /// What a variable is, for each row of a frame.
    pub(super) fn bound(
        &self,
        frame: &Arc<Frame>,
        trace: &Trace,
        variable: VariableId,
    ) -> Result<Vec<Element>> {
        let all = || (0..frame.len() as u32).collect::<Vec<u32>>();
        for (event, level) in trace.events() {
            let (frame, rows) = match event {
                Event::Vertex(bound) if bound == variable => frame.ancestor(level, all()),
                Event::Edge {
                    variable: bound, ..
                } if bound == variable => frame.ancestor(level, all()),
                Event::Found { path }
                    if self
                        .pattern
                        .path(path)
                        .is_some_and(|path| binds(&path.parts, variable)) =>
                {
                    frame.ancestor(level, all())
                }
                _ => continue,
            };
            return rows
                .into_iter()
                .map(|row| element_of(&event, frame, row as usize, variable))
                .collect();
        }
        Err(Error::internal("a variable was used before it was bound"))
    }
}

fn element_of(event: &Event, frame: &Frame, row: usize, variable: VariableId) -> Result<Element> {
    match (event, &frame.step) {
        (Event::Edge { .. }, Step::Edges(edges)) => Ok(edges[row]),
        (Event::Found { .. }, _) => found_path(frame, row)
            .and_then(|path| path.element(variable))
            .ok_or_else(|| Error::internal("a found path without its variable")),
        _ => Ok(frame.vertices[row]),
    }
}

/// The path by which a row came here, through frames that only chose among rows.
pub(super) fn found_path(frame: &Frame, row: usize) -> Option<&Arc<FoundPath>> {
    let (mut frame, mut row) = (frame, row);
    loop {
        match &frame.step {
            Step::Paths(paths) => return paths.get(row),
            Step::Edges(_) => return None,
            Step::None => {
                row = *frame.rows.get(row)? as usize;
                frame = frame.parent.as_deref()?;
            }
        }
    }
}

/// Does the path bind the variable to one element?
fn binds(parts: &[Part], variable: VariableId) -> bool {
    parts.iter().any(|part| match part {
        Part::Vertex(vertex) => vertex.variable == variable,
        Part::Edge(edge) => edge.variable == variable,
        Part::Group(_) | Part::Reach(_) => false,
    })
}
