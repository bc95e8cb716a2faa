//! pg_depend: what would have to go with what. Dependencies on built-in objects are not
//! recorded, as in PostgreSQL.

use omnigraph_engine::Result;

use super::attrdef::CLASS;
use crate::pg_catalog::data;
use crate::pg_catalog::objects::{ConstraintRule, Objects, TableObject};
use crate::pg_catalog::oid::{HNSW, IVFFLAT, NAMESPACE, VECTOR_EXTENSION, VECTOR_OBJECTS};
use crate::pg_catalog::value::{Rows, row};
use crate::types::PgType;

const TYPE: u32 = 1247;
const PROC: u32 = 1255;
const ACCESS_METHOD: u32 = 2601;
const ATTRDEF: u32 = 2604;
const CAST: u32 = 2605;
const CONSTRAINT: u32 = 2606;
const SCHEMA: u32 = 2615;
const OPERATOR: u32 = 2617;
const EXTENSION: u32 = 3079;

/// (class, object, column)
type Address = (u32, u32, i16);

pub fn of_schema(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        let whole = (CLASS, table.class, 0);
        push(rows, whole, (SCHEMA, NAMESPACE, 0), 'n')?;
        push(rows, (TYPE, table.row_type, 0), whole, 'i')?;
        push(
            rows,
            (TYPE, table.array_type, 0),
            (TYPE, table.row_type, 0),
            'i',
        )?;
        defaults(table, rows)?;
        constraints(objects, table, rows)?;
        indexes(table, rows)?;
    }
    Ok(())
}

/// What belongs to the `vector` extension.
pub fn of_system(rows: &mut Rows) -> Result<()> {
    let extension = (EXTENSION, VECTOR_EXTENSION, 0);
    push(rows, (TYPE, PgType::VECTOR.oid, 0), extension, 'e')?;
    let procs = data::procs().iter().map(|row| (PROC, row.oid, 0));
    let operators = data::operators().iter().map(|row| (OPERATOR, row.oid, 0));
    let casts = data::casts().iter().map(|row| (CAST, row.oid, 0));
    for object in procs.chain(operators).chain(casts) {
        if VECTOR_OBJECTS.contains(&object.1) {
            push(rows, object, extension, 'e')?;
        }
    }
    for method in [HNSW, IVFFLAT] {
        push(rows, (ACCESS_METHOD, method, 0), extension, 'e')?;
    }
    Ok(())
}

fn defaults(table: &TableObject, rows: &mut Rows) -> Result<()> {
    for (attnum, column) in (1i16..).zip(&table.columns) {
        if let Some(default) = &column.default {
            let kind = if default.generated { 'i' } else { 'a' };
            let this = (ATTRDEF, default.slot, 0);
            push(rows, this, (CLASS, table.class, attnum), kind)?;
            for read in &default.reads {
                push(rows, this, (CLASS, table.class, *read), 'n')?;
            }
        }
    }
    Ok(())
}

fn constraints(objects: &Objects, table: &TableObject, rows: &mut Rows) -> Result<()> {
    for constraint in &table.constraints {
        let this = (CONSTRAINT, constraint.slot, 0);
        for attnum in &constraint.columns {
            push(rows, this, (CLASS, table.class, *attnum), 'a')?;
            // A check also depends on the column through its expression.
            if let ConstraintRule::Check(_) = constraint.kind {
                push(rows, this, (CLASS, table.class, *attnum), 'n')?;
            }
        }
        if let ConstraintRule::Foreign { table: referenced } = constraint.kind {
            let referenced = &objects.tables[referenced];
            push(rows, this, (CLASS, referenced.class, 1), 'n')?;
            if let Some(index) = referenced.primary() {
                push(rows, this, (CLASS, index.slot, 0), 'n')?;
            }
        }
    }
    Ok(())
}

fn indexes(table: &TableObject, rows: &mut Rows) -> Result<()> {
    for index in &table.indexes {
        let this = (CLASS, index.slot, 0);
        match index.constraint {
            Some(constraint) => push(
                rows,
                this,
                (CONSTRAINT, table.constraints[constraint].slot, 0),
                'i',
            )?,
            None => {
                for attnum in &index.columns {
                    push(rows, this, (CLASS, table.class, *attnum), 'a')?;
                }
            }
        }
    }
    Ok(())
}

fn push(rows: &mut Rows, what: Address, on: Address, kind: char) -> Result<()> {
    rows.push(row![
        "classid" => what.0,
        "objid" => what.1,
        "objsubid" => i32::from(what.2),
        "refclassid" => on.0,
        "refobjid" => on.1,
        "refobjsubid" => i32::from(on.2),
        "deptype" => kind,
    ])
}
