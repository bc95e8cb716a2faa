//! Matches as rows: what each variable and each path came to be.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, RecordBatchOptions,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, SchemaRef};

use crate::error::{Error, Result};
use crate::pattern::context::{Context, Failure, found_path};
use crate::pattern::frame::{Element, Event, Frame, Held, Step};
use crate::pattern::matcher::Leaf;
use crate::pattern::{Part, PathId, Pattern, Property, PropertyKind, VariableId};
use crate::schema::Schema;

/// A column of the rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Output {
    /// Of a group's variable: the list of its elements' values.
    Property(Property),
    /// How many edges.
    PathLength(PathId),
    /// The ids of its nodes and of its edges.
    PathVertices(PathId),
    PathEdges(PathId),
    PathCost(PathId),
    /// Of a variable of [`Rows::Vertex`] or [`Rows::Step`]: its place in the path. Nodes have
    /// odd numbers, edges even ones.
    ElementNumber(VariableId),
}

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rows {
    Match,
    /// A node of the first path.
    Vertex(VariableId),
    /// An edge of the first path, with the nodes at its ends.
    Step {
        from: VariableId,
        edge: VariableId,
        to: VariableId,
    },
}

/// The Arrow type of an output.
pub fn output_type(pattern: &Pattern, schema: &Schema, output: &Output) -> DataType {
    let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
    match output {
        Output::Property(property) => {
            let item = property_type(pattern, schema, property);
            match pattern.variables[property.variable].is_group {
                true => list(item),
                false => item,
            }
        }
        Output::PathVertices(_) | Output::PathEdges(_) => list(DataType::Utf8),
        Output::PathLength(_) | Output::ElementNumber(_) => DataType::Int64,
        Output::PathCost(_) => DataType::Float64,
    }
}

/// Of one element. The first type that has the property says.
pub(super) fn property_type(pattern: &Pattern, schema: &Schema, property: &Property) -> DataType {
    match &property.kind {
        PropertyKind::ElementId => DataType::Utf8,
        PropertyKind::Column(name) => pattern.variables[property.variable]
            .types
            .iter()
            .filter_map(|id| schema.by_id(*id))
            .find_map(|def| def.column(name))
            .map_or(DataType::Null, |(_, column)| column.data_type.clone()),
    }
}

pub(super) async fn emit(
    context: &Context,
    leaf: &Leaf,
    outputs: &[Output],
    rows: &Rows,
    schema: &SchemaRef,
) -> Result<RecordBatch, Failure> {
    let mut matches = Matches::of(context, leaf, outputs, rows)?;
    let mut arrays: Vec<Option<ArrayRef>> = vec![None; outputs.len()];
    // The properties of one variable are fetched together.
    while let Some(first) = arrays.iter().position(Option::is_none) {
        let Output::Property(property) = &outputs[first] else {
            arrays[first] = Some(matches.column(context, &outputs[first]).await?);
            continue;
        };
        let variable = property.variable;
        let same = |at: &usize| matches!(&outputs[*at], Output::Property(property) if property.variable == variable);
        let places: Vec<usize> = (first..outputs.len()).filter(same).collect();
        let wanted: Vec<(&PropertyKind, DataType)> = places
            .iter()
            .filter_map(|&at| match (&outputs[at], schema.field(at).data_type()) {
                (Output::Property(property), DataType::List(item))
                    if context.pattern.variables[variable].is_group =>
                {
                    Some((&property.kind, item.data_type().clone()))
                }
                (Output::Property(property), data_type) => {
                    Some((&property.kind, data_type.clone()))
                }
                _ => None,
            })
            .collect();
        let values = matches.take(variable)?;
        let fetched = context
            .opened
            .elements
            .fetch(&values.elements, &wanted)
            .await?;
        for (at, array) in places.into_iter().zip(fetched) {
            arrays[at] = Some(match &values.offsets {
                None => array,
                Some(offsets) => listed(array, offsets.clone())?,
            });
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(matches.rows));
    let arrays = arrays.into_iter().flatten().collect();
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        arrays,
        &options,
    )?)
}

fn listed(items: ArrayRef, offsets: OffsetBuffer<i32>) -> Result<ArrayRef> {
    let field = Arc::new(Field::new("item", items.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(field, offsets, items, None)?))
}

/// One element for each row, or a list of them.
#[derive(Debug, Default)]
struct Values {
    elements: Vec<Element>,
    offsets: Option<OffsetBuffer<i32>>,
}

/// The elements of some matches.
struct Matches {
    rows: usize,
    variables: HashMap<VariableId, Values>,
    vertices: HashMap<PathId, Values>,
    edges: HashMap<PathId, Values>,
    costs: HashMap<PathId, Vec<f64>>,
    numbers: HashMap<VariableId, Vec<i64>>,
    lengths: HashMap<PathId, Vec<i64>>,
    _held: Held,
}

impl Matches {
    fn of(
        context: &Context,
        leaf: &Leaf,
        outputs: &[Output],
        rows: &Rows,
    ) -> Result<Self, Failure> {
        let mut reader = Reader::new(context, leaf);
        let mut matches = Matches {
            rows: leaf.frame.len(),
            variables: HashMap::new(),
            vertices: HashMap::new(),
            edges: HashMap::new(),
            costs: HashMap::new(),
            numbers: HashMap::new(),
            lengths: HashMap::new(),
            _held: context.meter.hold(0),
        };
        let unnested: &[VariableId] = match rows {
            Rows::Match => &[],
            Rows::Vertex(variable) => &[*variable],
            Rows::Step { from, edge, to } => &[*from, *edge, *to],
        };
        for output in outputs {
            match output {
                Output::Property(Property { variable, .. }) => {
                    if !unnested.contains(variable) && !matches.variables.contains_key(variable) {
                        matches
                            .variables
                            .insert(*variable, reader.variable(*variable)?);
                    }
                }
                Output::PathLength(path) => {
                    matches.lengths.insert(*path, reader.lengths(*path)?);
                }
                Output::PathVertices(path) | Output::PathEdges(path) => {
                    if !matches.edges.contains_key(path) {
                        let (vertices, edges) = reader.path(*path)?;
                        matches.vertices.insert(*path, vertices);
                        matches.edges.insert(*path, edges);
                    }
                }
                Output::PathCost(path) => {
                    matches.costs.insert(*path, reader.costs(*path)?);
                }
                Output::ElementNumber(_) => {}
            }
        }
        if !unnested.is_empty() {
            let (vertices, edges) = reader.path(0)?;
            matches.unnest(rows, &vertices, &edges)?;
        }
        matches._held = reader.held;
        Ok(matches)
    }

    fn take(&mut self, variable: VariableId) -> Result<Values> {
        self.variables
            .remove(&variable)
            .ok_or_else(|| Error::internal("a variable that no match has"))
    }

    async fn column(&self, context: &Context, output: &Output) -> Result<ArrayRef> {
        let missing = || Error::internal("a path that no match has");
        let ids = PropertyKind::Column("id".to_owned());
        Ok(match output {
            Output::PathLength(path) => {
                let lengths = self.lengths.get(path).ok_or_else(missing)?;
                Arc::new(Int64Array::from(lengths.clone()))
            }
            Output::PathVertices(path) | Output::PathEdges(path) => {
                let of_kind = match output {
                    Output::PathVertices(_) => &self.vertices,
                    _ => &self.edges,
                };
                let values = of_kind.get(path).ok_or_else(missing)?;
                let fetched = context
                    .opened
                    .elements
                    .fetch(&values.elements, &[(&ids, DataType::Utf8)])
                    .await?;
                let items = fetched.into_iter().next().ok_or_else(missing)?;
                listed(items, values.offsets.clone().ok_or_else(missing)?)?
            }
            Output::PathCost(path) => {
                let costs = self.costs.get(path).ok_or_else(missing)?;
                Arc::new(Float64Array::from(costs.clone()))
            }
            Output::ElementNumber(variable) => {
                let numbers = self.numbers.get(variable).ok_or_else(missing)?;
                Arc::new(Int64Array::from(numbers.clone()))
            }
            Output::Property(_) => return Err(missing()),
        })
    }

    /// A row for each node or step of the first path, everything else repeated.
    fn unnest(&mut self, rows: &Rows, vertices: &Values, edges: &Values) -> Result<()> {
        let lists = |values: &Values| -> Vec<Vec<Element>> {
            let offsets = values.offsets.iter().flat_map(|offsets| offsets.windows(2));
            offsets
                .map(|ends| values.elements[ends[0] as usize..ends[1] as usize].to_vec())
                .collect()
        };
        let (vertices, edges) = (lists(vertices), lists(edges));
        let mut from_rows = Vec::new();
        let mut columns: HashMap<VariableId, (Vec<Element>, Vec<i64>)> = HashMap::new();
        let mut put = |variable: VariableId, element: Element, number: usize| {
            let column = columns.entry(variable).or_default();
            column.0.push(element);
            column.1.push(number as i64);
        };
        for (row, (vertices, edges)) in vertices.iter().zip(&edges).enumerate() {
            match rows {
                Rows::Match => {}
                Rows::Vertex(variable) => {
                    for (at, vertex) in vertices.iter().enumerate() {
                        from_rows.push(row);
                        put(*variable, *vertex, 2 * at + 1);
                    }
                }
                Rows::Step { from, edge, to } => {
                    for (at, step) in edges.iter().enumerate() {
                        from_rows.push(row);
                        put(*from, vertices[at], 2 * at + 1);
                        put(*edge, *step, 2 * at + 2);
                        put(*to, vertices[at + 1], 2 * at + 3);
                    }
                }
            }
        }
        for values in self
            .variables
            .values_mut()
            .chain(self.vertices.values_mut())
            .chain(self.edges.values_mut())
        {
            *values = values.repeated(&from_rows);
        }
        for costs in self.costs.values_mut() {
            *costs = from_rows.iter().map(|row| costs[*row]).collect();
        }
        for lengths in self.lengths.values_mut() {
            *lengths = from_rows.iter().map(|row| lengths[*row]).collect();
        }
        let unnested: Vec<VariableId> = match rows {
            Rows::Match => Vec::new(),
            Rows::Vertex(variable) => vec![*variable],
            Rows::Step { from, edge, to } => vec![*from, *edge, *to],
        };
        for variable in unnested {
            let (elements, numbers) = columns.remove(&variable).unwrap_or_default();
            self.variables.insert(
                variable,
                Values {
                    elements,
                    offsets: None,
                },
            );
            self.numbers.insert(variable, numbers);
        }
        self.rows = from_rows.len();
        Ok(())
    }
}

impl Values {
    fn of_lists(lists: Vec<Vec<Element>>) -> Values {
        let offsets = OffsetBuffer::from_lengths(lists.iter().map(Vec::len));
        Values {
            elements: lists.into_iter().flatten().collect(),
            offsets: Some(offsets),
        }
    }

    fn repeated(&self, rows: &[usize]) -> Values {
        match &self.offsets {
            None => Values {
                elements: rows.iter().map(|row| self.elements[*row]).collect(),
                offsets: None,
            },
            Some(offsets) => Values::of_lists(
                rows.iter()
                    .map(|&row| {
                        self.elements[offsets[row] as usize..offsets[row + 1] as usize].to_vec()
                    })
                    .collect(),
            ),
        }
    }
}

/// Reads a leaf's frames.
struct Reader<'a> {
    context: &'a Context,
    leaf: &'a Leaf,
    /// Oldest first.
    events: Vec<(Event, u32)>,
    /// The frames in which paths were found, by level, and the row of it that each row of the
    /// leaf continues.
    levels: HashMap<u32, (&'a Arc<Frame>, Vec<u32>)>,
    /// What lists take that were read.
    held: Held,
}

/// A node or an edge of a path that was walked edge by edge, and its place in it: the node
/// where the walk began is at 0, what lies to its left is below.
#[derive(Clone, Copy)]
struct Stop {
    place: i64,
    level: u32,
    is_edge: bool,
}

impl<'a> Reader<'a> {
    fn new(context: &'a Context, leaf: &'a Leaf) -> Self {
        let mut events: Vec<(Event, u32)> = leaf.trace.events().collect();
        events.reverse();
        let mut levels = HashMap::new();
        let found = events
            .iter()
            .filter(|(event, _)| matches!(event, Event::Found { .. }));
        let mut wanted: Vec<u32> = found.map(|(_, level)| *level).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut frame = &leaf.frame;
        let mut rows: Vec<u32> = (0..leaf.frame.len() as u32).collect();
        for level in wanted.into_iter().rev() {
            (frame, rows) = frame.ancestor(level, rows);
            levels.insert(level, (frame, rows.clone()));
        }
        Reader {
            context,
            leaf,
            events,
            levels,
            held: context.meter.hold(0),
        }
    }

    /// What `stops` are in each row, in the order of their places.
    fn lists(&mut self, mut stops: Vec<Stop>) -> Result<Vec<Vec<Element>>, Failure> {
        // By column, by row, and as one list.
        self.hold(3 * stops.len() * self.leaf.frame.len())?;
        stops.sort_by_key(|stop| stop.place);
        let mut newest_first: Vec<usize> = (0..stops.len()).collect();
        newest_first.sort_by_key(|at| Reverse(stops[*at].level));
        let mut columns: Vec<Vec<Element>> = vec![Vec::new(); stops.len()];
        let mut frame = &self.leaf.frame;
        let mut rows: Vec<u32> = (0..frame.len() as u32).collect();
        for at in newest_first {
            let Stop { level, is_edge, .. } = stops[at];
            (frame, rows) = frame.ancestor(level, rows);
            let here = match (&frame.step, is_edge) {
                (Step::Edges(edges), true) => edges,
                _ => &frame.vertices,
            };
            columns[at] = rows.iter().map(|row| here[*row as usize]).collect();
        }
        Ok((0..self.leaf.frame.len())
            .map(|row| columns.iter().map(|column| column[row]).collect())
            .collect())
    }

    fn hold(&mut self, elements: usize) -> Result<(), Failure> {
        self.held.grow(elements * size_of::<Element>());
        self.context.charge()
    }

    /// How many edges a path has in each row.
    fn lengths(&self, path: PathId) -> Result<Vec<i64>> {
        if let Some(level) = self.found(path) {
            return self.found_lists(level, |path| path.edges.len() as i64);
        }
        let stops = self.stops().into_iter();
        let edges = stops
            .filter(|(of, stop, _)| *of == path && stop.is_edge)
            .count();
        Ok(vec![edges as i64; self.leaf.frame.len()])
    }

    /// The level at which a path was found as a whole.
    fn found(&self, path: PathId) -> Option<u32> {
        self.events.iter().find_map(|(event, level)| match event {
            Event::Found { path: found } if *found == path => Some(*level),
            _ => None,
        })
    }

    fn found_lists<T>(
        &self,
        level: u32,
        read: impl Fn(&super::search::FoundPath) -> T,
    ) -> Result<Vec<T>> {
        let (frame, rows) = &self.levels[&level];
        rows.iter()
            .map(|&row| {
                let path = found_path(frame, row as usize);
                path.map(|path| read(path))
                    .ok_or_else(|| Error::internal("a path that was not found"))
            })
            .collect()
    }

    /// The stops of all paths walked edge by edge, with the variables bound there.
    fn stops(&self) -> Vec<(PathId, Stop, Option<VariableId>)> {
        let mut stops = Vec::new();
        let mut place = 0;
        let mut current = None;
        for &(event, level) in &self.events {
            match event {
                Event::Start { path } => {
                    place = 0;
                    current = Some(path);
                    stops.push((
                        path,
                        Stop {
                            place,
                            level,
                            is_edge: false,
                        },
                        None,
                    ));
                }
                Event::Edge {
                    variable,
                    path,
                    backward,
                } => {
                    // The first edge of the second side.
                    if backward == (place > 0) {
                        place = 0;
                    }
                    let step = if backward { -1 } else { 1 };
                    current = Some(path);
                    stops.push((
                        path,
                        Stop {
                            place: place + step,
                            level,
                            is_edge: true,
                        },
                        Some(variable),
                    ));
                    place += 2 * step;
                    stops.push((
                        path,
                        Stop {
                            place,
                            level,
                            is_edge: false,
                        },
                        None,
                    ));
                }
                Event::Vertex(variable) => {
                    if let Some(path) = current {
                        stops.push((
                            path,
                            Stop {
                                place,
                                level,
                                is_edge: false,
                            },
                            Some(variable),
                        ));
                    }
                }
                Event::Found { .. } => current = None,
            }
        }
        stops
    }

    fn variable(&mut self, variable: VariableId) -> Result<Values, Failure> {
        let pattern = &self.context.pattern;
        if !pattern.variables[variable].is_group {
            return Ok(Values {
                elements: self
                    .context
                    .bound(&self.leaf.frame, &self.leaf.trace, variable)?,
                offsets: None,
            });
        }
        let path = pattern
            .paths
            .iter()
            .position(|path| has_variable(&path.parts, variable));
        if let Some(level) = path.and_then(|path| self.found(path)) {
            let lists = self.found_lists(level, |path| path.elements(variable).collect())?;
            return Ok(Values::of_lists(lists));
        }
        let stops = self.stops();
        let of_variable = stops
            .into_iter()
            .filter(|(_, _, bound)| *bound == Some(variable));
        let of_variable = of_variable.map(|(_, stop, _)| stop).collect();
        Ok(Values::of_lists(self.lists(of_variable)?))
    }

    /// A path's nodes and its edges.
    fn path(&mut self, path: PathId) -> Result<(Values, Values), Failure> {
        if let Some(level) = self.found(path) {
            let places = self.found_lists(level, |path| 2 * path.edges.len() + 1)?;
            self.hold(2 * places.into_iter().sum::<usize>())?;
            let vertices = self.found_lists(level, |path| path.vertices.clone())?;
            let edges = self.found_lists(level, |path| path.edges.clone())?;
            return Ok((Values::of_lists(vertices), Values::of_lists(edges)));
        }
        let stops = self.stops();
        let of_path: Vec<(Stop, Option<VariableId>)> = stops
            .into_iter()
            .filter(|(of, _, _)| *of == path)
            .map(|(_, stop, bound)| (stop, bound))
            .collect();
        let edges = of_path
            .iter()
            .filter(|(stop, _)| stop.is_edge)
            .map(|(stop, _)| *stop);
        let vertices = of_path
            .iter()
            .filter(|(stop, bound)| !stop.is_edge && bound.is_none());
        let (vertices, edges) = (vertices.map(|(stop, _)| *stop).collect(), edges.collect());
        Ok((
            Values::of_lists(self.lists(vertices)?),
            Values::of_lists(self.lists(edges)?),
        ))
    }

    fn costs(&self, path: PathId) -> Result<Vec<f64>> {
        let level = self
            .found(path)
            .ok_or_else(|| Error::internal("the cost of a path that was not searched for"))?;
        self.found_lists(level, |path| path.cost)
    }
}

fn has_variable(parts: &[Part], variable: VariableId) -> bool {
    parts.iter().any(|part| match part {
        Part::Vertex(vertex) => vertex.variable == variable,
        Part::Edge(edge) => edge.variable == variable,
        Part::Group(group) => has_variable(&group.parts, variable),
        Part::Reach(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_repeated_whole() {
        let element = |number| Element::new(0, number);
        let values = Values::of_lists(vec![
            vec![element(1), element(2)],
            Vec::new(),
            vec![element(3)],
        ]);
        let repeated = values.repeated(&[2, 0, 1]);
        assert_eq!(repeated.elements, [element(3), element(1), element(2)]);
        assert_eq!(repeated.offsets.expect("lists").to_vec(), [0, 1, 3, 3]);
        assert_eq!(values.elements.len(), 3);
    }
}
