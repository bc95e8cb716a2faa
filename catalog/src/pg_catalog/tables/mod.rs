//! The rows of each catalog, one family in a file.
//!
//! Rows come from three sources: a schema's objects (shown by each branch that has it), the
//! system (PostgreSQL's relations and types, and what runs) and the graph (its branches,
//! databases and roles). A relation that none of them knows is empty.

mod attrdef;
mod attribute;
mod class;
mod constraint;
mod database;
mod depend;
mod function;
mod index;
mod namespace;
mod operator;
mod property_graph;
mod role;
mod types;
mod view;

use omnigraph_engine::Result;

use super::def::RelationDef;
use super::graph::GraphFacts;
use super::objects::Objects;
use super::system::System;
use super::text_search;
use super::value::Rows;
use crate::information_schema;

pub use class::{COUNTED, counted_rows};
pub use database::TABLESPACES;
pub use namespace::{BUILT_IN as BUILT_IN_NAMESPACES, COLLATIONS};
pub use operator::ACCESS_METHODS;

/// Rows for the objects of one schema.
pub fn of_schema(def: &'static RelationDef, objects: &Objects, rows: &mut Rows) -> Result<()> {
    if def.schema == "information_schema" {
        return information_schema::of_schema(def, objects, rows);
    }
    match def.name {
        "pg_attrdef" => attrdef::of_schema(objects, rows),
        "pg_attribute" => attribute::of_schema(objects, rows),
        "pg_class" => {
            class::of_schema(objects, rows)?;
            property_graph::class(objects, rows)
        }
        "pg_constraint" => constraint::of_schema(objects, rows),
        "pg_depend" => depend::of_schema(objects, rows),
        "pg_description" => attrdef::descriptions(objects, rows),
        "pg_index" => index::of_schema(objects, rows),
        "pg_indexes" => view::indexes(objects, rows),
        "pg_propgraph_element" => property_graph::elements(objects, rows),
        "pg_propgraph_element_label" => property_graph::element_labels(objects, rows),
        "pg_propgraph_label" => property_graph::labels(objects, rows),
        "pg_propgraph_label_property" => property_graph::label_properties(objects, rows),
        "pg_propgraph_property" => property_graph::properties(objects, rows),
        "pg_stat_all_indexes" | "pg_stat_user_indexes" => view::stat_indexes(objects, rows),
        "pg_stat_all_tables" | "pg_stat_user_tables" => view::stat_tables(objects, rows),
        "pg_statio_all_indexes" | "pg_statio_user_indexes" => view::statio_indexes(objects, rows),
        "pg_statio_all_tables" | "pg_statio_user_tables" => view::statio_tables(objects, rows),
        "pg_tables" => view::tables(objects, rows),
        "pg_type" => types::of_schema(objects, rows),
        _ => Ok(()),
    }
}

/// Rows that every graph has.
pub fn of_system(def: &'static RelationDef, system: &System, rows: &mut Rows) -> Result<()> {
    if def.schema == "information_schema" {
        return information_schema::of_system(def, system, rows);
    }
    match def.name {
        "pg_aggregate" => function::aggregates(system, rows),
        "pg_am" => operator::access_methods(rows),
        "pg_amop" => operator::amops(system, rows),
        "pg_attribute" => attribute::of_system(rows),
        "pg_available_extensions" => namespace::available_extensions(rows),
        "pg_available_extension_versions" => namespace::available_extension_versions(rows),
        "pg_cast" => operator::casts(system, rows),
        "pg_class" => class::of_system(rows),
        "pg_collation" => namespace::collations(rows),
        "pg_depend" => depend::of_system(rows),
        "pg_description" => function::descriptions(system, rows),
        "pg_extension" => namespace::extensions(rows),
        "pg_language" => namespace::languages(rows),
        "pg_opclass" => operator::opclasses(rows),
        "pg_operator" => operator::operators(system, rows),
        "pg_opfamily" => operator::opfamilies(rows),
        "pg_proc" => function::procs(system, rows),
        "pg_tables" => view::system_tables(rows),
        "pg_tablespace" => database::tablespaces(rows),
        "pg_ts_config" => text_search::configurations(rows),
        "pg_type" => types::of_system(rows),
        "pg_views" => view::system_views(rows),
        _ => Ok(()),
    }
}

/// Rows of a graph's stored queries.
pub fn of_stored(def: &'static RelationDef, queries: &System, rows: &mut Rows) -> Result<()> {
    match (def.schema, def.name) {
        ("pg_catalog", "pg_description") => function::descriptions(queries, rows),
        ("pg_catalog", "pg_proc") => function::procs(queries, rows),
        ("information_schema", _) => information_schema::of_stored(def, queries, rows),
        _ => Ok(()),
    }
}

/// Rows about the graph itself: its branches, the databases beside it, the roles.
pub fn of_graph(def: &'static RelationDef, graph: &GraphFacts, rows: &mut Rows) -> Result<()> {
    if def.schema == "information_schema" {
        return information_schema::of_graph(def, graph, rows);
    }
    match def.name {
        "pg_auth_members" => role::members(graph, rows),
        "pg_authid" => role::authid(graph, rows),
        "pg_database" => database::databases(graph, rows),
        "pg_group" => role::groups(graph, rows),
        "pg_namespace" => namespace::namespaces(graph, rows),
        "pg_roles" => role::roles(graph, rows),
        "pg_shadow" => role::shadow(graph, rows),
        "pg_stat_database" => database::statistics(graph, rows),
        "pg_shdescription" => database::descriptions(graph, rows),
        "pg_user" => role::users(graph, rows),
        _ => Ok(()),
    }
}
