//! pg_propgraph_element and its kind, and the graph's own row of pg_class.

use omnigraph_engine::Result;

use crate::pg_catalog::data::type_row;
use crate::pg_catalog::objects::Objects;
use crate::pg_catalog::oid::{NAMESPACE, OWNER};
use crate::pg_catalog::segment::mark;
use crate::pg_catalog::value::{Rows, row};

/// Of `text = text`, by which edges find the nodes at their ends.
const TEXT_EQUALS: u32 = 98;
/// The `attnum`s of `id`, `src` and `dst`.
const ID: i16 = 1;
const SRC: i16 = 2;
const DST: i16 = 3;

pub fn class(objects: &Objects, rows: &mut Rows) -> Result<()> {
    rows.push(row![
        "oid" => objects.graph.class,
        "relname" => mark::GRAPH,
        "relnamespace" => NAMESPACE,
        "relowner" => OWNER,
        "relpersistence" => 'p',
        "relkind" => 'g',
        "relispopulated" => true,
        "relreplident" => 'n',
    ])
}

pub fn elements(objects: &Objects, rows: &mut Rows) -> Result<()> {
    let graph = &objects.graph;
    for (element, table) in graph.elements.iter().zip(&objects.tables) {
        let mut entry = row![
            "oid" => element.slot,
            "pgepgid" => graph.class,
            "pgerelid" => table.class,
            "pgealias" => &table.name,
            "pgekind" => if table.is_edge { 'e' } else { 'v' },
            "pgekey" => vec![ID],
        ];
        if let Some((from, to)) = element.ends {
            entry.extend(row![
                "pgesrcvertexid" => graph.elements[from].slot,
                "pgedestvertexid" => graph.elements[to].slot,
                "pgesrckey" => vec![SRC],
                "pgesrcref" => vec![ID],
                "pgesrceqop" => vec![TEXT_EQUALS],
                "pgedestkey" => vec![DST],
                "pgedestref" => vec![ID],
                "pgedesteqop" => vec![TEXT_EQUALS],
            ]);
        }
        rows.push(entry)?;
    }
    Ok(())
}

pub fn labels(objects: &Objects, rows: &mut Rows) -> Result<()> {
    objects.graph.labels.iter().try_for_each(|label| {
        rows.push(row![
            "oid" => label.slot,
            "pglpgid" => objects.graph.class,
            "pgllabel" => &label.name,
        ])
    })
}

pub fn element_labels(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for element in &objects.graph.elements {
        for label in &element.labels {
            rows.push(row![
                "oid" => label.slot,
                "pgellabelid" => objects.graph.labels[label.label].slot,
                "pgelelid" => element.slot,
            ])?;
        }
    }
    Ok(())
}

pub fn properties(objects: &Objects, rows: &mut Rows) -> Result<()> {
    objects.graph.properties.iter().try_for_each(|property| {
        rows.push(row![
            "oid" => property.slot,
            "pgppgid" => objects.graph.class,
            "pgpname" => &property.name,
            "pgptypid" => property.ty.oid,
            "pgptypmod" => property.ty.typmod,
            "pgpcollation" => type_row(property.ty.oid).map_or(0, |row| row.collation),
        ])
    })
}

pub fn label_properties(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for label in objects
        .graph
        .elements
        .iter()
        .flat_map(|element| &element.labels)
    {
        for property in &label.properties {
            let of_graph = &objects.graph.properties[property.property];
            rows.push(row![
                "oid" => property.slot,
                "plppropid" => of_graph.slot,
                "plpellabelid" => label.slot,
                "plpexpr" => &of_graph.name,
            ])?;
        }
    }
    Ok(())
}
