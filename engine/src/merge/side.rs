//! The states of a merge, read under the merged schema: whatever a state lacks of it, its tables
//! have the same columns as those of all others.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::schema::{Schema, TypeDef, TypeId};
use crate::snapshot::Snapshot;
use crate::table::{Table, ViewColumn};

/// The states that are merged.
pub(super) struct Sides {
    pub bases: Vec<Side>,
    pub ours: Side,
    pub theirs: Side,
}

pub(super) struct Side {
    /// The state as it is.
    pub own: Snapshot,
    schema: Arc<Schema>,
    tables: BTreeMap<TypeId, Table>,
}

impl Side {
    fn new(own: Snapshot, schema: &Arc<Schema>) -> Side {
        Side {
            own,
            schema: schema.clone(),
            tables: BTreeMap::new(),
        }
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    pub fn table(&self, id: TypeId) -> Option<Table> {
        self.tables.get(&id).cloned()
    }

    /// A merged type as this state declares it.
    pub fn own_def(&self, id: TypeId) -> Option<&Arc<TypeDef>> {
        own_def(&self.own, &self.schema, id)
    }
}

impl Sides {
    /// The states under one schema. A type that a state lacks has no rows there; one that ours
    /// lacks has none in the bases either, so that it is taken as theirs has it.
    pub async fn under(
        schema: &Arc<Schema>,
        bases: Vec<Snapshot>,
        ours: Snapshot,
        theirs: Snapshot,
    ) -> Result<Sides> {
        let mut sides = Sides {
            bases: bases
                .into_iter()
                .map(|base| Side::new(base, schema))
                .collect(),
            ours: Side::new(ours, schema),
            theirs: Side::new(theirs, schema),
        };
        for def in &schema.types {
            let ours = view(&sides.ours, def)?;
            let theirs = view(&sides.theirs, def)?;
            let mut bases = Vec::with_capacity(sides.bases.len());
            for base in &sides.bases {
                bases.push(match ours {
                    Some(_) => view(base, def)?,
                    None => None,
                });
            }
            let mut tables = vec![theirs, ours];
            tables.extend(bases);
            if tables.iter().any(Option::is_none) {
                // Not of ours, if theirs has it too: what the base has in common with ours is
                // taken for unchanged.
                let some = tables.iter().flatten().next().cloned();
                let some = some.ok_or_else(|| Error::internal("a merged type has no table"))?;
                let empty = some.emptied().await?;
                for table in &mut tables {
                    table.get_or_insert_with(|| empty.clone());
                }
            }
            let all = [&mut sides.theirs, &mut sides.ours].into_iter();
            let all = all.chain(&mut sides.bases);
            for (side, table) in all.zip(tables.into_iter().flatten()) {
                side.tables.insert(def.id, table);
            }
        }
        Ok(sides)
    }
}

/// A type of the merged schema as a state declares it.
pub(super) fn own_def<'a>(
    state: &'a Snapshot,
    schema: &Schema,
    id: TypeId,
) -> Option<&'a Arc<TypeDef>> {
    let mut types = state.schema().types.iter();
    types.find(|own| schema.identity(own.id.0) == id.0)
}

/// A state's table of a type, with the columns that the merged schema gives it.
fn view(side: &Side, def: &Arc<TypeDef>) -> Result<Option<Table>> {
    let Some(own) = side.own_def(def.id).cloned() else {
        return Ok(None);
    };
    let Some(table) = side.own.table(own.id) else {
        return Ok(None);
    };
    if own == *def {
        return Ok(Some(table));
    }
    let mut columns = Vec::with_capacity(def.columns().len());
    for column in def.columns() {
        let Some(property) = column.property.map(|at| &def.properties[at]) else {
            columns.push(ViewColumn::Held(column.physical.clone()));
            continue;
        };
        let mut all = own.properties.iter();
        let held = all.find(|held| side.schema.identity(held.id.0) == property.id.0);
        columns.push(match held {
            Some(held) => ViewColumn::Held(held.id.physical()),
            None => ViewColumn::Constant(property.stored_default(1)?),
        });
    }
    // Rows that are there may break what is asked of rows newly.
    Ok(Some(table.viewed(Arc::new(def.unchecked()), columns)))
}
