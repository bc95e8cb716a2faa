//! The property graph that a schema is, as PostgreSQL 19 catalogs one: an element for each
//! table, labels for tables and interfaces, and properties for columns.

use std::collections::HashMap;

use omnigraph_engine::schema::{Interface, Schema, TypeDef, TypeId};

use super::oid::{Slots, place};
use crate::provider::{SqlColumn, sql_columns};
use crate::types::PgType;

#[derive(Debug)]
pub struct PropertyGraph {
    /// A marked slot, here and below.
    pub class: u32,
    /// Those of tables first, in the order of the tables.
    pub labels: Vec<Label>,
    pub properties: Vec<GraphProperty>,
    /// One for each table, in their order.
    pub elements: Vec<Element>,
}

#[derive(Debug)]
pub struct Label {
    pub slot: u32,
    pub name: String,
}

#[derive(Debug)]
pub struct GraphProperty {
    pub slot: u32,
    pub name: String,
    /// Of the first table that has it.
    pub ty: PgType,
}

#[derive(Debug)]
pub struct Element {
    pub slot: u32,
    /// Of an edge: the elements at its ends.
    pub ends: Option<(usize, usize)>,
    pub labels: Vec<ElementLabel>,
}

#[derive(Debug)]
pub struct ElementLabel {
    pub slot: u32,
    /// Its position in [`PropertyGraph::labels`].
    pub label: usize,
    pub properties: Vec<LabelProperty>,
}

#[derive(Debug)]
pub struct LabelProperty {
    pub slot: u32,
    /// Its position in [`PropertyGraph::properties`].
    pub property: usize,
}

impl PropertyGraph {
    pub fn new(schema: &Schema, slots: &mut Slots) -> Self {
        let positions: HashMap<TypeId, usize> = schema
            .types
            .iter()
            .enumerate()
            .map(|(at, def)| (def.id, at))
            .collect();
        let mut graph = PropertyGraph {
            class: Slots::GRAPH,
            labels: schema
                .types
                .iter()
                .map(|def| Label {
                    slot: slots.of(def.number, place::CLASS),
                    name: def.table.clone(),
                })
                .collect(),
            properties: Vec::new(),
            elements: Vec::new(),
        };
        for interface in &schema.interfaces {
            graph.labels.push(Label {
                slot: slots.overflowing(),
                name: interface.label.clone(),
            });
        }
        let mut known = HashMap::new();
        for (at, def) in schema.types.iter().enumerate() {
            let columns = sql_columns(def);
            let properties: Vec<usize> = columns
                .iter()
                .enumerate()
                .map(|(place, column)| graph.property(&mut known, slots, def, place, column))
                .collect();
            let mut labels = vec![own_label(slots, def, at, &properties)];
            for (nth, interface) in schema.interfaces.iter().enumerate() {
                if def.interfaces.contains(&interface.name) {
                    let inherited = inherited(def, interface, &properties);
                    labels.push(ElementLabel {
                        slot: slots.overflowing(),
                        label: schema.types.len() + nth,
                        properties: inherited
                            .map(|property| LabelProperty {
                                slot: slots.overflowing(),
                                property,
                            })
                            .collect(),
                    });
                }
            }
            let ends = def.endpoints();
            graph.elements.push(Element {
                slot: slots.of(def.number, place::CLASS),
                ends: ends
                    .and_then(|(from, to)| Some((*positions.get(&from)?, *positions.get(&to)?))),
                labels,
            });
        }
        graph
    }

    fn property(
        &mut self,
        known: &mut HashMap<String, usize>,
        slots: &mut Slots,
        def: &TypeDef,
        place: usize,
        column: &SqlColumn,
    ) -> usize {
        if let Some(&at) = known.get(&column.name) {
            return at;
        }
        self.properties.push(GraphProperty {
            slot: slots.of(def.number, place as u32),
            name: column.name.clone(),
            ty: column.ty,
        });
        known.insert(column.name.clone(), self.properties.len() - 1);
        self.properties.len() - 1
    }
}

fn own_label(slots: &mut Slots, def: &TypeDef, label: usize, properties: &[usize]) -> ElementLabel {
    ElementLabel {
        slot: slots.of(def.number, place::CLASS),
        label,
        properties: properties
            .iter()
            .enumerate()
            .map(|(place, property)| LabelProperty {
                slot: slots.of(def.number, place as u32),
                property: *property,
            })
            .collect(),
    }
}

/// The properties of an interface's label: `id` and those that it declares.
fn inherited<'a>(
    def: &'a TypeDef,
    interface: &'a Interface,
    properties: &'a [usize],
) -> impl Iterator<Item = usize> + 'a {
    let declared = interface.properties.iter().filter_map(|name| {
        let (at, _) = def.property(name)?;
        properties.get(def.property_column(at)).copied()
    });
    properties.first().copied().into_iter().chain(declared)
}
