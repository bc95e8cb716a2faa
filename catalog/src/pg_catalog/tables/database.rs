//! pg_database and pg_tablespace: the graphs of the server.

use omnigraph_engine::Result;

use super::function::catalog_oid;
use crate::pg_catalog::graph::GraphFacts;
use crate::pg_catalog::oid::OWNER;
use crate::pg_catalog::value::{Rows, row};

/// `pg_enc2name_tbl`'s number of UTF8.
const UTF8: i32 = 6;
const DEFAULT_TABLESPACE: u32 = 1663;
pub const TABLESPACES: &[(u32, &str)] = &[(DEFAULT_TABLESPACE, "pg_default"), (1664, "pg_global")];

pub fn databases(graph: &GraphFacts, rows: &mut Rows) -> Result<()> {
    for database in &graph.databases {
        rows.push(row![
            "oid" => database.oid,
            "datname" => &database.name,
            "datdba" => OWNER,
            "encoding" => UTF8,
            "datlocprovider" => 'c',
            "datallowconn" => true,
            "datconnlimit" => -1,
            "dattablespace" => DEFAULT_TABLESPACE,
            "datcollate" => "C",
            "datctype" => "C",
        ])?;
    }
    Ok(())
}

/// What is not counted here is 0, as in a PostgreSQL that has just started.
pub fn statistics(graph: &GraphFacts, rows: &mut Rows) -> Result<()> {
    for database in &graph.databases {
        rows.push(row![
            "datid" => database.oid,
            "datname" => &database.name,
            "numbackends" => 0,
            "xact_commit" => 0,
            "xact_rollback" => 0,
            "blks_read" => 0,
            "blks_hit" => 0,
            "tup_returned" => 0,
            "tup_fetched" => 0,
            "tup_inserted" => 0,
            "tup_updated" => 0,
            "tup_deleted" => 0,
            "conflicts" => 0,
            "temp_files" => 0,
            "temp_bytes" => 0,
            "deadlocks" => 0,
        ])?;
    }
    Ok(())
}

pub fn tablespaces(rows: &mut Rows) -> Result<()> {
    for (oid, name) in TABLESPACES {
        rows.push(row!["oid" => *oid, "spcname" => *name, "spcowner" => OWNER])?;
    }
    Ok(())
}

pub fn descriptions(graph: &GraphFacts, rows: &mut Rows) -> Result<()> {
    for database in &graph.databases {
        if let Some(description) = &database.description {
            rows.push(row![
                "objoid" => database.oid,
                "classoid" => catalog_oid("pg_database").unwrap_or(0),
                "description" => description,
            ])?;
        }
    }
    Ok(())
}
