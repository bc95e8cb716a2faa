//! One of the states of a merge, read under the merged schema: whatever a state lacks of it, its
//! tables have the same columns as those of all others.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::schema::{Schema, TypeDef, TypeId};
use crate::snapshot::Snapshot;
use crate::table::{Table, ViewColumn};

pub(super) struct Side {
    /// The state as it is.
    pub own: Snapshot,
    schema: Arc<Schema>,
    tables: BTreeMap<TypeId, Table>,
}

impl Side {
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    pub fn table(&self, id: TypeId) -> Option<Table> {
        self.tables.get(&id).cloned()
    }

    /// The states under one schema. A type that a state lacks has no rows there.
    pub async fn all(states: Vec<Snapshot>, schema: &Arc<Schema>) -> Result<Vec<Side>> {
        let mut sides: Vec<Side> = states
            .into_iter()
            .map(|own| Side {
                own,
                schema: schema.clone(),
                tables: BTreeMap::new(),
            })
            .collect();
        for def in &schema.types {
            let mut found: Vec<Option<Table>> = Vec::with_capacity(sides.len());
            for side in &sides {
                found.push(view(&side.own, def)?);
            }
            if found.iter().any(Option::is_none) {
                let some = found.iter().flatten().next().cloned();
                let some = some.ok_or_else(|| Error::internal("a merged type has no table"))?;
                let empty = some.emptied().await?;
                for table in &mut found {
                    table.get_or_insert_with(|| empty.clone());
                }
            }
            for (side, table) in sides.iter_mut().zip(found.into_iter().flatten()) {
                side.tables.insert(def.id, table);
            }
        }
        Ok(sides)
    }
}

/// A state's table of a type, with the columns that the merged schema gives it.
fn view(state: &Snapshot, def: &Arc<TypeDef>) -> Result<Option<Table>> {
    let Some(table) = state.table(def.id) else {
        return Ok(None);
    };
    let own = table.def().clone();
    if own == *def {
        return Ok(Some(table));
    }
    let mut columns = Vec::with_capacity(def.columns().len());
    for column in def.columns() {
        let held = own
            .columns()
            .iter()
            .any(|held| held.physical == column.physical);
        columns.push(match column.property.map(|at| &def.properties[at]) {
            Some(property) if !held => ViewColumn::Constant(property.stored_default(1)?),
            _ => ViewColumn::Held(column.physical.clone()),
        });
    }
    // Rows that are there may break what is asked of rows newly.
    Ok(Some(table.viewed(Arc::new(def.unchecked()), columns)))
}
