//! pg_operator, pg_cast, and how indexes order types: pg_am, pg_opclass, pg_opfamily, pg_amop.

use omnigraph_engine::Result;

use crate::pg_catalog::data;
use crate::pg_catalog::oid::{HNSW, IVFFLAT, OWNER, PG_CATALOG};
use crate::pg_catalog::system::System;
use crate::pg_catalog::value::{Rows, row};

pub fn operators(system: &System, rows: &mut Rows) -> Result<()> {
    let listed = |oid: u32| {
        if system.operators.contains_key(&oid) {
            oid
        } else {
            0
        }
    };
    for operator in system.operators.values() {
        let row = operator.row;
        rows.push(row![
            "oid" => operator.oid,
            "oprname" => &operator.name,
            "oprnamespace" => PG_CATALOG,
            "oprowner" => OWNER,
            "oprkind" => if operator.left == 0 { 'l' } else { 'b' },
            "oprcanmerge" => row.is_some_and(|row| row.can_merge),
            "oprcanhash" => row.is_some_and(|row| row.can_hash),
            "oprleft" => operator.left,
            "oprright" => operator.right,
            "oprresult" => operator.result,
            "oprcom" => row.map_or(0, |row| listed(row.commutator)),
            "oprnegate" => row.map_or(0, |row| listed(row.negator)),
            "oprcode" => row.map_or(0, |row| row.code),
        ])?;
    }
    Ok(())
}

pub fn casts(system: &System, rows: &mut Rows) -> Result<()> {
    for cast in &system.casts {
        rows.push(row![
            "oid" => cast.oid,
            "castsource" => cast.source,
            "casttarget" => cast.target,
            "castfunc" => cast.function,
            "castcontext" => cast.context,
            "castmethod" => cast.method,
        ])?;
    }
    Ok(())
}

/// (OID, name, handler, type). The vector indexes have no handler function.
pub const ACCESS_METHODS: &[(u32, &str, u32, char)] = &[
    (data::HEAP, "heap", 3, 't'),
    (data::BTREE, "btree", 330, 'i'),
    (data::GIN, "gin", 333, 'i'),
    (HNSW, "hnsw", 0, 'i'),
    (IVFFLAT, "ivfflat", 0, 'i'),
];

pub fn access_methods(rows: &mut Rows) -> Result<()> {
    for (oid, name, handler, kind) in ACCESS_METHODS {
        rows.push(
            row!["oid" => *oid, "amname" => *name, "amhandler" => *handler, "amtype" => *kind],
        )?;
    }
    Ok(())
}

pub fn opclasses(rows: &mut Rows) -> Result<()> {
    for row in data::opclasses() {
        rows.push(row![
            "oid" => row.oid,
            "opcmethod" => row.method,
            "opcname" => row.name,
            "opcnamespace" => PG_CATALOG,
            "opcowner" => OWNER,
            "opcfamily" => row.family,
            "opcintype" => row.input,
            "opcdefault" => row.default,
            "opckeytype" => row.key,
        ])?;
    }
    Ok(())
}

pub fn opfamilies(rows: &mut Rows) -> Result<()> {
    for row in data::opfamilies() {
        rows.push(row![
            "oid" => row.oid,
            "opfmethod" => row.method,
            "opfname" => row.name,
            "opfnamespace" => PG_CATALOG,
            "opfowner" => OWNER,
        ])?;
    }
    Ok(())
}

pub fn amops(system: &System, rows: &mut Rows) -> Result<()> {
    for row in data::amops()
        .iter()
        .filter(|row| system.operators.contains_key(&row.operator))
    {
        rows.push(row![
            "oid" => row.oid,
            "amopfamily" => row.family,
            "amoplefttype" => row.left,
            "amoprighttype" => row.right,
            "amopstrategy" => row.strategy,
            "amoppurpose" => row.purpose,
            "amopopr" => row.operator,
            "amopmethod" => row.method,
            "amopsortfamily" => row.sort_family,
        ])?;
    }
    Ok(())
}
