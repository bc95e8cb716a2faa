//! pg_namespace, and small catalogs that are the same everywhere: languages, collations,
//! extensions.
//!
//! Clients hide schemas whose names begin with `pg_` until they are asked for system objects,
//! and `psql`'s `\dn` has no other way to leave one out. So the schema of the functions, which
//! is `omnigraph` in SQL, has the name `pg_omnigraph` in its row here: `\dn` lists branches,
//! `\dnS` lists it too, and `\df` lists its functions. Both names are accepted where a schema
//! is written.

use omnigraph_engine::Result;

use crate::pg_catalog::graph::GraphFacts;
use crate::pg_catalog::oid::{OMNIGRAPH, OWNER, PG_CATALOG, VECTOR_EXTENSION};
use crate::pg_catalog::system::INFORMATION_SCHEMA;
use crate::pg_catalog::value::{Rows, row};

/// Built-in schemas as they are listed.
pub const BUILT_IN: &[(u32, &str)] = &[
    (PG_CATALOG, "pg_catalog"),
    (INFORMATION_SCHEMA, "information_schema"),
    (OMNIGRAPH, "pg_omnigraph"),
];

pub fn namespaces(graph: &GraphFacts, rows: &mut Rows) -> Result<()> {
    for (oid, name) in BUILT_IN {
        rows.push(row!["oid" => *oid, "nspname" => *name, "nspowner" => OWNER])?;
    }
    for branch in &graph.branches {
        rows.push(row!["oid" => branch.oid, "nspname" => &branch.name, "nspowner" => OWNER])?;
    }
    Ok(())
}

pub fn languages(rows: &mut Rows) -> Result<()> {
    for (oid, name, trusted) in [(12u32, "internal", false), (14, "sql", true)] {
        rows.push(row![
            "oid" => oid,
            "lanname" => name,
            "lanowner" => OWNER,
            "lanpltrusted" => trusted,
        ])?;
    }
    Ok(())
}

/// (OID, name, provider, encoding, locale): text is ordered by its bytes, under every name.
pub const COLLATIONS: &[(u32, &str, char, i32, Option<&str>)] = &[
    (100, "default", 'd', -1, None),
    (950, "C", 'c', -1, Some("C")),
    (951, "POSIX", 'c', -1, Some("POSIX")),
    (12_340, "ucs_basic", 'c', 6, Some("C")),
];

pub fn collations(rows: &mut Rows) -> Result<()> {
    for (oid, name, provider, encoding, locale) in COLLATIONS {
        rows.push(row![
            "oid" => *oid,
            "collname" => *name,
            "collnamespace" => PG_CATALOG,
            "collowner" => OWNER,
            "collprovider" => *provider,
            "collisdeterministic" => true,
            "collencoding" => *encoding,
            "collcollate" => *locale,
            "collctype" => *locale,
        ])?;
    }
    Ok(())
}

const VECTOR_VERSION: &str = "0.8.0";
const VECTOR_COMMENT: &str = "vector data type and similarity search";

pub fn extensions(rows: &mut Rows) -> Result<()> {
    rows.push(row![
        "oid" => VECTOR_EXTENSION,
        "extname" => "vector",
        "extowner" => OWNER,
        "extnamespace" => PG_CATALOG,
        "extversion" => VECTOR_VERSION,
    ])
}

pub fn available_extensions(rows: &mut Rows) -> Result<()> {
    rows.push(row![
        "name" => "vector",
        "default_version" => VECTOR_VERSION,
        "installed_version" => VECTOR_VERSION,
        "comment" => VECTOR_COMMENT,
    ])
}

pub fn available_extension_versions(rows: &mut Rows) -> Result<()> {
    rows.push(row![
        "name" => "vector",
        "version" => VECTOR_VERSION,
        "installed" => true,
        "superuser" => true,
        "trusted" => false,
        "relocatable" => false,
        "comment" => VECTOR_COMMENT,
    ])
}
