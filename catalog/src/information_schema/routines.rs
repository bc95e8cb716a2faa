//! information_schema.routines and parameters.

use omnigraph_engine::Result;

use super::types::facts;
use super::yes_or_no;
use crate::pg_catalog::{Proc, Rows, System, mark, row};
use crate::types::PgType;

/// Unique in its schema: `lower_870`.
pub fn specific_name(proc: &Proc) -> String {
    format!("{}_{}", proc.name, proc.oid)
}

/// The schema as pg_namespace lists it.
pub fn listed_schema(proc: &Proc) -> &str {
    if proc.schema == "omnigraph" {
        "pg_omnigraph"
    } else {
        &proc.schema
    }
}

pub fn routines(system: &System, rows: &mut Rows) -> Result<()> {
    for proc in system.procs.values() {
        let kind = match proc.kind {
            'f' => Some("FUNCTION"),
            'p' => Some("PROCEDURE"),
            _ => None,
        };
        let returns = (proc.kind != 'p').then(|| facts(PgType::new(proc.returns)));
        rows.push(row![
            "specific_catalog" => mark::DATABASE,
            "specific_schema" => listed_schema(proc),
            "specific_name" => specific_name(proc),
            "routine_catalog" => mark::DATABASE,
            "routine_schema" => listed_schema(proc),
            "routine_name" => &proc.name,
            "routine_type" => kind,
            "data_type" => returns.as_ref().map(|of| &*of.data_type),
            "type_udt_catalog" => returns.as_ref().map(|_| mark::DATABASE),
            "type_udt_schema" => returns.as_ref().map(|of| &*of.schema),
            "type_udt_name" => returns.as_ref().map(|of| &*of.name),
            "dtd_identifier" => (proc.kind != 'p').then_some("0"),
            "routine_body" => if proc.language == 14 { "SQL" } else { "EXTERNAL" },
            "routine_definition" => &proc.source,
            "external_language" => if proc.language == 14 { "SQL" } else { "INTERNAL" },
            "parameter_style" => "GENERAL",
            "is_deterministic" => yes_or_no(proc.volatility == 'i'),
            "sql_data_access" => "MODIFIES",
            "is_null_call" => (proc.kind != 'p').then(|| yes_or_no(proc.strict)),
            "schema_level_routine" => "YES",
            "max_dynamic_result_sets" => 0,
            "security_type" => "INVOKER",
            "as_locator" => "NO",
            "is_udt_dependent" => "NO",
        ])?;
    }
    Ok(())
}

pub fn parameters(system: &System, rows: &mut Rows) -> Result<()> {
    for proc in system.procs.values() {
        let types = proc.all_arguments.as_ref().unwrap_or(&proc.arguments);
        let first_default = proc.arguments.len().saturating_sub(proc.defaults.len());
        let mut inputs = 0usize;
        for (at, ty) in types.iter().enumerate() {
            let mode = proc
                .modes
                .as_ref()
                .and_then(|modes| modes.get(at))
                .map_or("i", String::as_str);
            let is_input = matches!(mode, "i" | "b" | "v");
            let default = is_input
                .then(|| inputs.checked_sub(first_default))
                .flatten()
                .and_then(|nth| proc.defaults.get(nth));
            inputs += usize::from(is_input);
            let name = proc
                .names
                .as_ref()
                .and_then(|names| names.get(at))
                .filter(|name| !name.is_empty());
            let of = facts(PgType::new(*ty));
            let number = i32::try_from(at + 1).unwrap_or(i32::MAX);
            rows.push(row![
                "specific_catalog" => mark::DATABASE,
                "specific_schema" => listed_schema(proc),
                "specific_name" => specific_name(proc),
                "ordinal_position" => number,
                "parameter_mode" => match mode {
                    "o" | "t" => "OUT",
                    "b" => "INOUT",
                    _ => "IN",
                },
                "is_result" => "NO",
                "as_locator" => "NO",
                "parameter_name" => name,
                "data_type" => of.data_type,
                "udt_catalog" => mark::DATABASE,
                "udt_schema" => of.schema,
                "udt_name" => of.name,
                "dtd_identifier" => number.to_string(),
                "parameter_default" => default,
            ])?;
        }
    }
    Ok(())
}
