//! information_schema.tables, schemata, views and the graph's own facts.

use omnigraph_engine::Result;

use super::yes_or_no;
use crate::pg_catalog::{
    BUILT_IN_NAMESPACES, GraphFacts, OWNER_NAME, Objects, Row, Rows, definitions, mark, row,
};

pub fn of_schema(objects: &Objects, rows: &mut Rows) -> Result<()> {
    objects
        .tables
        .iter()
        .try_for_each(|table| rows.push(entry(mark::SCHEMA, &table.name, true)))
}

pub fn of_system(rows: &mut Rows) -> Result<()> {
    definitions()
        .relations
        .iter()
        .try_for_each(|def| rows.push(entry(def.schema, def.name, def.kind == 'r')))
}

fn entry(schema: &str, name: &str, is_table: bool) -> Row {
    row![
        "table_catalog" => mark::DATABASE,
        "table_schema" => schema,
        "table_name" => name,
        "table_type" => if is_table { "BASE TABLE" } else { "VIEW" },
        "is_insertable_into" => yes_or_no(is_table),
        "is_typed" => "NO",
    ]
}

/// The built-in ones; they are no queries, so they have no definition.
pub fn views(rows: &mut Rows) -> Result<()> {
    for def in definitions().relations.iter().filter(|def| def.kind == 'v') {
        rows.push(row![
            "table_catalog" => mark::DATABASE,
            "table_schema" => def.schema,
            "table_name" => def.name,
            "check_option" => "NONE",
            "is_updatable" => "NO",
            "is_insertable_into" => "NO",
            "is_trigger_updatable" => "NO",
            "is_trigger_deletable" => "NO",
            "is_trigger_insertable_into" => "NO",
        ])?;
    }
    Ok(())
}

pub fn schemata(graph: &GraphFacts, rows: &mut Rows) -> Result<()> {
    let built_in = BUILT_IN_NAMESPACES.iter().map(|(_, name)| *name);
    let branches = graph.branches.iter().map(|branch| branch.name.as_str());
    for name in built_in.chain(branches) {
        rows.push(row![
            "catalog_name" => &graph.database,
            "schema_name" => name,
            "schema_owner" => OWNER_NAME,
        ])?;
    }
    Ok(())
}

pub fn catalog_name(graph: &GraphFacts, rows: &mut Rows) -> Result<()> {
    rows.push(row!["catalog_name" => &graph.database])
}

pub fn enabled_roles(graph: &GraphFacts, rows: &mut Rows) -> Result<()> {
    graph
        .roles
        .iter()
        .try_for_each(|role| rows.push(row!["role_name" => &role.name]))
}

pub fn character_sets(graph: &GraphFacts, rows: &mut Rows) -> Result<()> {
    rows.push(row![
        "character_set_name" => "UTF8",
        "character_repertoire" => "UCS",
        "form_of_use" => "UTF8",
        "default_collate_catalog" => &graph.database,
        "default_collate_schema" => "pg_catalog",
        "default_collate_name" => "C",
    ])
}

pub fn collations(rows: &mut Rows) -> Result<()> {
    for name in ["default", "C", "POSIX", "ucs_basic"] {
        rows.push(row![
            "collation_catalog" => mark::DATABASE,
            "collation_schema" => "pg_catalog",
            "collation_name" => name,
            "pad_attribute" => "NO PAD",
        ])?;
    }
    Ok(())
}
