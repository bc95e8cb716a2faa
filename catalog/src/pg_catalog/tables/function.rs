//! pg_proc and pg_aggregate, and what is said about built-in objects.

use omnigraph_engine::Result;

use crate::pg_catalog::oid::OWNER;
use crate::pg_catalog::system::{System, function_namespace};
use crate::pg_catalog::value::{Rows, row};

pub fn procs(system: &System, rows: &mut Rows) -> Result<()> {
    for proc in system.procs.values() {
        let small = |count: usize| i16::try_from(count).unwrap_or(i16::MAX);
        rows.push(row![
            "oid" => proc.oid,
            "proname" => &proc.name,
            "pronamespace" => function_namespace(&proc.schema),
            "proowner" => OWNER,
            "prolang" => proc.language,
            "procost" => proc.cost,
            "prorows" => proc.rows,
            "provariadic" => proc.variadic,
            "prosupport" => if system.procs.contains_key(&proc.support) { proc.support } else { 0 },
            "prokind" => proc.kind,
            "proleakproof" => proc.leakproof,
            "proisstrict" => proc.strict,
            "proretset" => proc.returns_set,
            "provolatile" => proc.volatility,
            "proparallel" => proc.parallel,
            "pronargs" => small(proc.arguments.len()),
            "pronargdefaults" => small(proc.defaults.len()),
            "prorettype" => proc.returns,
            "proargtypes" => proc.arguments.clone(),
            "proallargtypes" => proc.all_arguments.clone(),
            "proargmodes" => proc.modes.clone(),
            "proargnames" => proc.names.clone(),
            "proargdefaults" => (!proc.defaults.is_empty()).then(|| proc.defaults.join(", ")),
            "prosrc" => &proc.source,
        ])?;
    }
    Ok(())
}

pub fn aggregates(system: &System, rows: &mut Rows) -> Result<()> {
    for row in &system.aggregates {
        let [
            transition,
            last,
            combine,
            serialize,
            deserialize,
            moving,
            inverse,
            moving_last,
        ] = row.functions;
        rows.push(row![
            "aggfnoid" => row.function,
            "aggkind" => row.kind,
            "aggnumdirectargs" => row.direct_arguments,
            "aggtransfn" => transition,
            "aggfinalfn" => last,
            "aggcombinefn" => combine,
            "aggserialfn" => serialize,
            "aggdeserialfn" => deserialize,
            "aggmtransfn" => moving,
            "aggminvtransfn" => inverse,
            "aggmfinalfn" => moving_last,
            "aggfinalextra" => row.final_extra,
            "aggmfinalextra" => row.moving_final_extra,
            "aggfinalmodify" => row.final_modify,
            "aggmfinalmodify" => row.moving_final_modify,
            "aggsortop" => row.sort_operator,
            "aggtranstype" => row.transition_type,
            "aggtransspace" => row.transition_space,
            "aggmtranstype" => row.moving_transition_type,
            "aggmtransspace" => row.moving_transition_space,
            "agginitval" => row.initial,
            "aggminitval" => row.moving_initial,
        ])?;
    }
    Ok(())
}

/// The OID of a catalog that descriptions refer to.
pub fn catalog_oid(name: &str) -> Option<u32> {
    crate::pg_catalog::def::definitions()
        .relation("pg_catalog", name)
        .map(|def| def.oid)
}

pub fn descriptions(system: &System, rows: &mut Rows) -> Result<()> {
    for (oid, catalog, text) in system.descriptions() {
        rows.push(row![
            "objoid" => oid,
            "classoid" => catalog_oid(catalog).unwrap_or(0),
            "description" => text,
        ])?;
    }
    Ok(())
}
