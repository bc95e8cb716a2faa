//! `information_schema`: the SQL standard's view of the same metadata.
//!
//! Everybody sees what the graph's policy lets them see, so the views here show what
//! PostgreSQL shows to the owner of a schema. What has no counterpart (triggers, grants,
//! foreign servers, sequences) is empty.

mod columns;
mod constraints;
mod property_graphs;
mod routines;
mod tables;
mod types;

use omnigraph_engine::Result;

use crate::pg_catalog::{GraphFacts, Objects, RelationDef, Rows, System};

pub(crate) fn of_schema(
    def: &'static RelationDef,
    objects: &Objects,
    rows: &mut Rows,
) -> Result<()> {
    match def.name {
        "check_constraints" => constraints::checks(objects, rows),
        "columns" => columns::of_schema(objects, rows),
        "constraint_column_usage" => constraints::column_usage(objects, rows),
        "constraint_table_usage" => constraints::table_usage(objects, rows),
        "element_types" => types::of_schema(objects, rows),
        "key_column_usage" => constraints::key_columns(objects, rows),
        "pg_edge_table_components" => property_graphs::edge_components(objects, rows),
        "pg_element_table_key_columns" => property_graphs::key_columns(objects, rows),
        "pg_element_table_labels" => property_graphs::element_labels(objects, rows),
        "pg_element_table_properties" => property_graphs::element_properties(objects, rows),
        "pg_element_tables" => property_graphs::element_tables(objects, rows),
        "pg_label_properties" => property_graphs::label_properties(objects, rows),
        "pg_labels" => property_graphs::labels(objects, rows),
        "pg_property_data_types" => property_graphs::data_types(objects, rows),
        "pg_property_graph_privileges" => property_graphs::privileges(rows),
        "property_graphs" => property_graphs::graphs(rows),
        "referential_constraints" => constraints::referential(objects, rows),
        "table_constraints" => constraints::of_tables(objects, rows),
        "tables" => tables::of_schema(objects, rows),
        _ => Ok(()),
    }
}

pub(crate) fn of_system(def: &'static RelationDef, system: &System, rows: &mut Rows) -> Result<()> {
    match def.name {
        "collations" => tables::collations(rows),
        "columns" => columns::of_system(rows),
        "domains" => types::domains(rows),
        "element_types" => types::of_system(system, rows),
        "parameters" => routines::parameters(system, rows),
        "routines" => routines::routines(system, rows),
        "tables" => tables::of_system(rows),
        "views" => tables::views(rows),
        _ => Ok(()),
    }
}

pub(crate) fn of_stored(
    def: &'static RelationDef,
    queries: &System,
    rows: &mut Rows,
) -> Result<()> {
    match def.name {
        "parameters" => routines::parameters(queries, rows),
        "routines" => routines::routines(queries, rows),
        _ => Ok(()),
    }
}

pub(crate) fn of_graph(
    def: &'static RelationDef,
    graph: &GraphFacts,
    rows: &mut Rows,
) -> Result<()> {
    match def.name {
        "enabled_roles" => tables::enabled_roles(graph, rows),
        "information_schema_catalog_name" => tables::catalog_name(graph, rows),
        "schemata" => tables::schemata(graph, rows),
        "character_sets" => tables::character_sets(graph, rows),
        _ => Ok(()),
    }
}

/// The standard's answer.
fn yes_or_no(yes: bool) -> &'static str {
    if yes { "YES" } else { "NO" }
}
