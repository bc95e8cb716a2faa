//! PostgreSQL's views for people: pg_tables, pg_views, pg_indexes, the statistics views.

use omnigraph_engine::Result;

use crate::pg_catalog::def::definitions;
use crate::pg_catalog::definition::index_text;
use crate::pg_catalog::graph::OWNER_NAME;
use crate::pg_catalog::objects::Objects;
use crate::pg_catalog::segment::mark;
use crate::pg_catalog::value::{Rows, row};

pub fn tables(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        rows.push(row![
            "schemaname" => mark::SCHEMA,
            "tablename" => &table.name,
            "tableowner" => OWNER_NAME,
            "hasindexes" => !table.indexes.is_empty(),
            "hasrules" => false,
            "hastriggers" => table.has_triggers(),
            "rowsecurity" => false,
        ])?;
    }
    Ok(())
}

pub fn system_tables(rows: &mut Rows) -> Result<()> {
    for def in definitions().relations.iter().filter(|def| def.kind == 'r') {
        rows.push(row![
            "schemaname" => def.schema,
            "tablename" => def.name,
            "tableowner" => OWNER_NAME,
            "tablespace" => def.shared.then_some("pg_global"),
            "hasindexes" => false,
            "hasrules" => false,
            "hastriggers" => false,
            "rowsecurity" => false,
        ])?;
    }
    Ok(())
}

/// They are no queries here, so they have no definition.
pub fn system_views(rows: &mut Rows) -> Result<()> {
    for def in definitions().relations.iter().filter(|def| def.kind == 'v') {
        rows.push(
            row!["schemaname" => def.schema, "viewname" => def.name, "viewowner" => OWNER_NAME],
        )?;
    }
    Ok(())
}

pub fn indexes(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        let qualified = format!(
            "{}.{}",
            mark::QUOTED,
            crate::lookup::quote_identifier(&table.name)
        );
        for index in &table.indexes {
            rows.push(row![
                "schemaname" => mark::SCHEMA,
                "tablename" => &table.name,
                "indexname" => &index.name,
                "indexdef" => index_text(table, index, &qualified),
            ])?;
        }
    }
    Ok(())
}

/// What is not counted here is 0, as in a PostgreSQL that has just started.
pub fn stat_tables(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        rows.push(row![
            "relid" => table.class,
            "schemaname" => mark::SCHEMA,
            "relname" => &table.name,
            "seq_scan" => 0,
            "seq_tup_read" => 0,
            "idx_scan" => 0,
            "idx_tup_fetch" => 0,
            "n_tup_ins" => 0,
            "n_tup_upd" => 0,
            "n_tup_del" => 0,
            "n_tup_hot_upd" => 0,
            "n_live_tup" => 0,
            "n_dead_tup" => 0,
            "n_mod_since_analyze" => 0,
            "n_ins_since_vacuum" => 0,
            "vacuum_count" => 0,
            "autovacuum_count" => 0,
            "analyze_count" => 0,
            "autoanalyze_count" => 0,
        ])?;
    }
    Ok(())
}

pub fn stat_indexes(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        for index in &table.indexes {
            rows.push(row![
                "relid" => table.class,
                "indexrelid" => index.slot,
                "schemaname" => mark::SCHEMA,
                "relname" => &table.name,
                "indexrelname" => &index.name,
                "idx_scan" => 0,
                "idx_tup_read" => 0,
                "idx_tup_fetch" => 0,
            ])?;
        }
    }
    Ok(())
}

pub fn statio_tables(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        rows.push(row![
            "relid" => table.class,
            "schemaname" => mark::SCHEMA,
            "relname" => &table.name,
            "heap_blks_read" => 0,
            "heap_blks_hit" => 0,
            "idx_blks_read" => 0,
            "idx_blks_hit" => 0,
        ])?;
    }
    Ok(())
}

pub fn statio_indexes(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        for index in &table.indexes {
            rows.push(row![
                "relid" => table.class,
                "indexrelid" => index.slot,
                "schemaname" => mark::SCHEMA,
                "relname" => &table.name,
                "indexrelname" => &index.name,
                "idx_blks_read" => 0,
                "idx_blks_hit" => 0,
            ])?;
        }
    }
    Ok(())
}
