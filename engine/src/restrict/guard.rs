//! What a transaction may change: rows that it may see and change, into rows that it may
//! change.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;

use super::{Restriction, rows};
use crate::error::{Error, Result};
use crate::index::comparator;
use crate::schema::{Schema, TypeDef, TypeId};
use crate::snapshot::Snapshot;
use crate::write::changes::TableEffect;

/// The parts of its graph that a transaction may read and change; `None`: all of it.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    pub read: Option<Arc<Restriction>>,
    pub change: Option<Arc<Restriction>>,
}

impl Guard {
    /// Is it no guard at all?
    pub(crate) fn is_open(&self) -> bool {
        self.read.is_none() && self.change.is_none()
    }

    /// What is left of the schema for a reader.
    pub(crate) fn schema<'a>(&'a self, whole: &'a Arc<Schema>) -> &'a Arc<Schema> {
        self.read.as_ref().map_or(whole, |read| read.schema())
    }

    pub(crate) async fn shown(&self, snapshot: Snapshot) -> Result<Snapshot> {
        match &self.read {
            Some(read) => snapshot.restricted(read).await,
            None => Ok(snapshot),
        }
    }

    /// Rows are written whole, so who does not see all columns writes none.
    pub(crate) fn admits(&self, def: &TypeDef, actor: &str) -> Result<()> {
        match &self.read {
            Some(read)
                if read
                    .part(def.id)
                    .is_none_or(|part| part.properties.is_some()) =>
            {
                let on = format!(" rows into \"{}\", of which columns are hidden", def.table);
                Err(denied(actor, "write", on))
            }
            _ => Ok(()),
        }
    }

    /// May these rows go or be replaced? `view`: as they are.
    pub(crate) async fn check_before(
        &self,
        view: &Snapshot,
        effects: &[TableEffect],
        actor: &str,
    ) -> Result<()> {
        for restriction in [&self.read, &self.change].into_iter().flatten() {
            if let Some(table) = outside(view, restriction, effects, gone).await? {
                let on = format!(" such rows of \"{table}\"");
                return Err(denied(actor, "change", on));
            }
        }
        match &self.change {
            Some(change) => check_columns(change, view, effects, actor).await,
            None => Ok(()),
        }
    }

    /// May these rows be there now? `view`: with the effects in it.
    pub(crate) async fn check_after(
        &self,
        view: &Snapshot,
        effects: &[TableEffect],
        actor: &str,
    ) -> Result<()> {
        let Some(change) = &self.change else {
            return Ok(());
        };
        match outside(view, change, effects, put).await? {
            Some(table) => Err(denied(
                actor,
                "write",
                format!(" such rows into \"{table}\""),
            )),
            None => Ok(()),
        }
    }
}

/// The rows that an effect deletes or replaces.
fn gone(effect: &TableEffect) -> Vec<String> {
    let deleted = effect.deleted.iter().map(|(id, _)| id.clone());
    let replaced = put(effect).into_iter().zip(&effect.replaced);
    let replaced = replaced.filter_map(|(id, position)| position.map(|_| id));
    deleted.chain(replaced).collect()
}

/// The rows that an effect puts.
fn put(effect: &TableEffect) -> Vec<String> {
    let ids = effect.put.as_ref().map(|put| put.column(0));
    let ids = ids.into_iter().flat_map(|ids| ids.as_string::<i32>());
    ids.map(|id| id.unwrap_or_default().to_owned()).collect()
}

/// The first table of which a row is not in the part.
async fn outside(
    view: &Snapshot,
    restriction: &Arc<Restriction>,
    effects: &[TableEffect],
    ids: impl Fn(&TableEffect) -> Vec<String>,
) -> Result<Option<String>> {
    let asked: HashMap<TypeId, Vec<String>> = effects
        .iter()
        .map(|effect| (effect.table, ids(effect)))
        .filter(|(_, ids)| !ids.is_empty())
        .collect();
    let types: Vec<TypeId> = asked.keys().copied().collect();
    let part = Snapshot {
        shown: Some(Arc::new(rows::shown_of(view, restriction, &types).await?)),
        ..view.clone()
    };
    for (id, ids) in &asked {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let found = match part.table(*id) {
            Some(table) => table.find_ids(&ids).await?,
            None => vec![None],
        };
        if found.iter().any(Option::is_none) {
            let def = view.schema().by_id(*id);
            return Ok(Some(def.map_or_else(String::new, |def| def.table.clone())));
        }
    }
    Ok(None)
}

/// Hidden properties stay as they were, and of new rows as they are by default.
async fn check_columns(
    change: &Restriction,
    view: &Snapshot,
    effects: &[TableEffect],
    actor: &str,
) -> Result<()> {
    for effect in effects {
        let (Some(put), Some(table)) = (&effect.put, view.table(effect.table)) else {
            continue;
        };
        let def = table.def();
        let hidden = change.hidden_properties(def);
        if hidden.is_empty() {
            continue;
        }
        let columns: Vec<usize> = hidden.iter().map(|at| def.property_column(*at)).collect();
        let positions: Vec<_> = effect.replaced.iter().flatten().copied().collect();
        let old = table.rows(&positions, &columns).await?;
        for (number, (property, column)) in hidden.iter().zip(&columns).enumerate() {
            let property = &def.properties[*property];
            let before = comparator(put.column(*column), old.column(number))?;
            let default = comparator(put.column(*column), &property.default_array(1)?)?;
            let mut replaced = 0..;
            for (row, position) in effect.replaced.iter().enumerate() {
                let same = match position {
                    Some(_) => replaced.next().is_some_and(|at| before(row, at).is_eq()),
                    None => default(row, 0).is_eq(),
                };
                if !same {
                    let on = format!(" column \"{}\" of \"{}\"", property.column, def.table);
                    return Err(denied(actor, "change", on));
                }
            }
        }
    }
    Ok(())
}

fn denied(actor: &str, action: &str, on: String) -> Error {
    Error::Denied {
        actor: format!("\"{actor}\""),
        action: action.to_owned(),
        on,
    }
}
