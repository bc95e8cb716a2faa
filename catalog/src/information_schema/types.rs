//! Types in the standard's terms, and the views about elements of arrays and domains.

use omnigraph_engine::Result;

use super::routines::specific_name;
use crate::pg_catalog::{
    Objects, Row, Rows, System, built_in_text, definitions, mark, row, type_row,
};
use crate::types::{PgType, numeric_modifier};

/// What the standard says of a type: numbers in their radix, lengths in characters and bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub data_type: String,
    pub schema: String,
    pub name: String,
    pub length: Option<i32>,
    pub octets: Option<i32>,
    pub precision: Option<i32>,
    pub radix: Option<i32>,
    pub scale: Option<i32>,
    pub datetime: Option<i32>,
}

/// The longest text in bytes, where no length is declared.
const MAX_OCTETS: i32 = 1 << 30;
const BYTES_PER_CHARACTER: i32 = 4;

/// Of a type that is no domain.
pub fn facts(ty: PgType) -> Facts {
    let row = type_row(ty.oid);
    let is_array = row.is_some_and(|row| row.element != 0 && row.len == -1);
    let schema = row.map_or("pg_catalog", |row| row.schema);
    let mut facts = Facts {
        data_type: if is_array {
            "ARRAY".to_owned()
        } else if schema == "pg_catalog" && row.is_some() {
            built_in_text(ty.oid).unwrap_or_default()
        } else {
            "USER-DEFINED".to_owned()
        },
        schema: schema.to_owned(),
        name: row.map_or("", |row| row.name).to_owned(),
        ..Facts::default()
    };
    let with_typmod = (ty.typmod >= 0).then_some(ty.typmod);
    match ty.oid {
        25 => facts.octets = Some(MAX_OCTETS),
        1042 | 1043 => {
            facts.length = with_typmod.map(|typmod| typmod - 4);
            facts.octets = Some(
                facts
                    .length
                    .map_or(MAX_OCTETS, |length| length * BYTES_PER_CHARACTER),
            );
        }
        21 => integer(&mut facts, 16),
        23 => integer(&mut facts, 32),
        20 => integer(&mut facts, 64),
        700 => (facts.precision, facts.radix) = (Some(24), Some(2)),
        701 => (facts.precision, facts.radix) = (Some(53), Some(2)),
        1700 => {
            facts.radix = Some(10);
            if let Some((precision, scale)) = numeric_modifier(ty.typmod) {
                (facts.precision, facts.scale) =
                    (Some(i32::from(precision)), Some(i32::from(scale)));
            }
        }
        1082 => facts.datetime = Some(0),
        1083 | 1114 | 1184 => facts.datetime = Some(with_typmod.unwrap_or(6)),
        1186 => facts.datetime = Some(with_typmod.map_or(6, |typmod| (typmod & 0xFFFF).min(6))),
        _ => {}
    }
    facts
}

fn integer(facts: &mut Facts, bits: i32) {
    (facts.precision, facts.radix, facts.scale) = (Some(bits), Some(2), Some(0));
}

fn element(
    schema: &str,
    object: &str,
    kind: &str,
    number: i32,
    ty: PgType,
    collation: u32,
) -> Option<Row> {
    let row = type_row(ty.oid).filter(|row| row.element != 0 && row.len == -1)?;
    let of = facts(PgType::new(row.element));
    let data_type = match type_row(row.element) {
        Some(_) if of.schema == "pg_catalog" => built_in_text(row.element).unwrap_or_default(),
        _ => "USER-DEFINED".to_owned(),
    };
    let collation = collation_name(collation);
    Some(row![
        "object_catalog" => mark::DATABASE,
        "object_schema" => schema,
        "object_name" => object,
        "object_type" => kind,
        "collection_type_identifier" => number.to_string(),
        "data_type" => data_type,
        "collation_catalog" => collation.map(|_| mark::DATABASE),
        "collation_schema" => collation.map(|_| "pg_catalog"),
        "collation_name" => collation,
        "udt_catalog" => mark::DATABASE,
        "udt_schema" => of.schema,
        "udt_name" => of.name,
        "dtd_identifier" => format!("a{number}"),
    ])
}

/// The standard names a collation only where it is not the default one.
pub fn collation_name(oid: u32) -> Option<&'static str> {
    match oid {
        950 => Some("C"),
        951 => Some("POSIX"),
        _ => None,
    }
}

pub fn of_schema(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        for (number, column) in (1i32..).zip(&table.columns) {
            let collation = type_row(column.ty.oid).map_or(0, |row| row.collation);
            if let Some(row) = element(
                mark::SCHEMA,
                &table.name,
                "TABLE",
                number,
                column.ty,
                collation,
            ) {
                rows.push(row)?;
            }
        }
    }
    Ok(())
}

pub fn of_system(system: &System, rows: &mut Rows) -> Result<()> {
    for def in &definitions().relations {
        for (number, column) in (1i32..).zip(&def.columns) {
            if let Some(row) = element(
                def.schema,
                def.name,
                "TABLE",
                number,
                column.declared,
                column.collation,
            ) {
                rows.push(row)?;
            }
        }
    }
    for proc in system.procs.values() {
        let name = specific_name(proc);
        let arguments = proc.all_arguments.as_ref().unwrap_or(&proc.arguments);
        let all = [proc.returns].into_iter().chain(arguments.iter().copied());
        for (number, ty) in (0i32..).zip(all) {
            let schema = super::routines::listed_schema(proc);
            if let Some(row) = element(schema, &name, "ROUTINE", number, PgType::new(ty), 0) {
                rows.push(row)?;
            }
        }
    }
    Ok(())
}

pub fn domains(rows: &mut Rows) -> Result<()> {
    for (oid, name) in [
        (13_221u32, "cardinal_number"),
        (13_224, "character_data"),
        (13_226, "sql_identifier"),
        (13_232, "time_stamp"),
        (13_234, "yes_or_no"),
    ] {
        let Some(row) = type_row(oid) else { continue };
        let of = facts(PgType::new(row.base).with_typmod(row.typmod));
        let collation = collation_name(row.collation);
        rows.push(row![
            "domain_catalog" => mark::DATABASE,
            "domain_schema" => "information_schema",
            "domain_name" => name,
            "data_type" => of.data_type,
            "character_maximum_length" => of.length,
            "character_octet_length" => of.octets,
            "collation_catalog" => collation.map(|_| mark::DATABASE),
            "collation_schema" => collation.map(|_| "pg_catalog"),
            "collation_name" => collation,
            "numeric_precision" => of.precision,
            "numeric_precision_radix" => of.radix,
            "numeric_scale" => of.scale,
            "datetime_precision" => of.datetime,
            "domain_default" => row.default,
            "udt_catalog" => mark::DATABASE,
            "udt_schema" => of.schema,
            "udt_name" => of.name,
            "dtd_identifier" => "1",
        ])?;
    }
    Ok(())
}
