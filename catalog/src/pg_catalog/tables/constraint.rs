//! pg_constraint.

use omnigraph_engine::Result;

use crate::pg_catalog::objects::{ConstraintRule, Objects};
use crate::pg_catalog::oid::NAMESPACE;
use crate::pg_catalog::value::{Rows, row};

/// The OID of `text = text`, by which foreign keys compare.
const TEXT_EQUALS: u32 = 98;

pub fn of_schema(objects: &Objects, rows: &mut Rows) -> Result<()> {
    for table in &objects.tables {
        for constraint in &table.constraints {
            let mut entry = row![
                "oid" => constraint.slot,
                "conname" => &constraint.name,
                "connamespace" => NAMESPACE,
                "contype" => constraint.kind.letter(),
                "convalidated" => true,
                "conrelid" => table.class,
                "confupdtype" => ' ',
                "confdeltype" => ' ',
                "confmatchtype" => ' ',
                "conislocal" => true,
                "connoinherit" => !matches!(constraint.kind, ConstraintRule::Check(_)),
                "conkey" => constraint.columns.clone(),
            ];
            match &constraint.kind {
                ConstraintRule::Primary { index } | ConstraintRule::Unique { index } => {
                    entry.extend(row!["conindid" => table.indexes[*index].slot]);
                }
                ConstraintRule::Foreign { table: referenced } => {
                    let referenced = &objects.tables[*referenced];
                    entry.extend(row![
                        "conindid" => referenced.primary().map_or(0, |index| index.slot),
                        "confrelid" => referenced.class,
                        "confupdtype" => 'a',
                        "confdeltype" => 'c',
                        "confmatchtype" => 's',
                        "confkey" => vec![1i16],
                        "conpfeqop" => vec![TEXT_EQUALS],
                        "conppeqop" => vec![TEXT_EQUALS],
                        "conffeqop" => vec![TEXT_EQUALS],
                    ]);
                }
                ConstraintRule::Check(text) => entry.extend(row!["conbin" => &text.full]),
            }
            rows.push(entry)?;
        }
    }
    Ok(())
}
