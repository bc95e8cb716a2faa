//! The views about property graphs: the graph of each branch, its elements, labels and
//! properties.

use std::collections::BTreeSet;

use omnigraph_engine::Result;

use crate::pg_catalog::{OWNER_NAME, Objects, Row, Rows, built_in_text, mark, row};

/// What all rows begin with.
fn of_graph() -> Row {
    row![
        "property_graph_catalog" => mark::DATABASE,
        "property_graph_schema" => mark::SCHEMA,
        "property_graph_name" => mark::GRAPH,
    ]
}

fn push(rows: &mut Rows, more: Row) -> Result<()> {
    let mut entry = of_graph();
    entry.extend(more);
    rows.push(entry)
}

pub fn graphs(rows: &mut Rows) -> Result<()> {
    rows.push(of_graph())
}

pub fn element_tables(objects: &Objects, rows: &mut Rows) -> Result<()> {
    objects.tables.iter().try_for_each(|table| {
        let more = row![
            "element_table_alias" => &table.name,
            "element_table_kind" => if table.is_edge { "EDGE" } else { "VERTEX" },
            "table_catalog" => mark::DATABASE,
            "table_schema" => mark::SCHEMA,
            "table_name" => &table.name,
        ];
        push(rows, more)
    })
}

pub fn key_columns(objects: &Objects, rows: &mut Rows) -> Result<()> {
    objects.tables.iter().try_for_each(|table| {
        let more = row![
            "element_table_alias" => &table.name,
            "column_name" => "id",
            "ordinal_position" => 1,
        ];
        push(rows, more)
    })
}

pub fn edge_components(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for (element, table) in objects.graph.elements.iter().zip(&objects.tables) {
        let Some((from, to)) = element.ends else {
            continue;
        };
        for (end, column, vertex) in [("SOURCE", "src", from), ("DESTINATION", "dst", to)] {
            let more = row![
                "edge_table_alias" => &table.name,
                "vertex_table_alias" => &objects.tables[vertex].name,
                "edge_end" => end,
                "edge_table_column_name" => column,
                "vertex_table_column_name" => "id",
                "ordinal_position" => 1,
            ];
            push(rows, more)?;
        }
    }
    Ok(())
}

pub fn element_labels(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for (element, table) in objects.graph.elements.iter().zip(&objects.tables) {
        for label in &element.labels {
            let more = row![
                "element_table_alias" => &table.name,
                "label_name" => &objects.graph.labels[label.label].name,
            ];
            push(rows, more)?;
        }
    }
    Ok(())
}

pub fn element_properties(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        for column in &table.columns {
            let more = row![
                "element_table_alias" => &table.name,
                "property_name" => &column.name,
                "property_expression" => &column.name,
            ];
            push(rows, more)?;
        }
    }
    Ok(())
}

pub fn labels(objects: &Objects, rows: &mut Rows) -> Result<()> {
    objects
        .graph
        .labels
        .iter()
        .try_for_each(|label| push(rows, row!["label_name" => &label.name]))
}

pub fn label_properties(objects: &Objects, rows: &mut Rows) -> Result<()> {
    // Several tables may have one label.
    let mut pairs = BTreeSet::new();
    for label in objects
        .graph
        .elements
        .iter()
        .flat_map(|element| &element.labels)
    {
        pairs.extend(label.properties.iter().map(|of| (label.label, of.property)));
    }
    pairs.into_iter().try_for_each(|(label, property)| {
        let more = row![
            "label_name" => &objects.graph.labels[label].name,
            "property_name" => &objects.graph.properties[property].name,
        ];
        push(rows, more)
    })
}

pub fn data_types(objects: &Objects, rows: &mut Rows) -> Result<()> {
    objects.graph.properties.iter().try_for_each(|property| {
        let is_array = property.ty.is_array();
        let more = row![
            "property_name" => &property.name,
            "data_type" => match is_array {
                true => "ARRAY".to_owned(),
                false => built_in_text(property.ty.oid).unwrap_or_default(),
            },
            "user_defined_type_catalog" => mark::DATABASE,
            "user_defined_type_schema" => "pg_catalog",
            "user_defined_type_name" => property.ty.info().map(|info| info.name),
            "dtd_identifier" => &property.name,
        ];
        push(rows, more)
    })
}

pub fn privileges(rows: &mut Rows) -> Result<()> {
    let more = row![
        "grantor" => OWNER_NAME,
        "grantee" => OWNER_NAME,
        "privilege_type" => "SELECT",
        "is_grantable" => "YES",
    ];
    push(rows, more)
}
