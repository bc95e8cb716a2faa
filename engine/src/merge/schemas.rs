//! Which schema the merged state has.
//!
//! One side at most may have changed it since the base, and the merged state has that side's
//! schema: its new types and properties, names, words and defaults, under which the other
//! side's rows are read. What it takes away and what it newly asks of rows is merged as long as
//! the other side has not touched the table; the rows of both sides together have been looked
//! at by nobody.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::schema::{Cardinality, PropertyId, Schema, TypeDef, TypeId, TypeKind};
use crate::snapshot::Snapshot;

pub(super) fn merged(
    bases: &[Snapshot],
    ours: &Snapshot,
    theirs: &Snapshot,
) -> Result<Arc<Schema>> {
    let same =
        |left: &Snapshot, right: &Snapshot| left.schema().digest() == right.schema().digest();
    let as_base = |side: &Snapshot| bases.iter().all(|base| same(base, side));
    let (changed, other) = match (as_base(ours), as_base(theirs)) {
        (true, true) => return Ok(ours.schema().clone()),
        (false, true) => (ours, theirs),
        (true, false) => (theirs, ours),
        (false, false) if same(ours, theirs) => return Ok(ours.schema().clone()),
        (false, false) => {
            let message = format!(
                "\"{}\" and \"{}\" have both changed the schema",
                ours.branch(),
                theirs.branch()
            );
            return Err(refused(message));
        }
    };
    let touched = |id: TypeId| {
        bases
            .iter()
            .any(|base| match (base.table(id), other.table(id)) {
                (Some(base), Some(other)) => base.key() != other.key(),
                _ => false,
            })
    };
    for base in bases {
        for old in &base.schema().types {
            let reason = match changed.schema().by_id(old.id) {
                None => Some("drops it".to_owned()),
                Some(new) => stricter(old, new),
            };
            let nodes = old.endpoints().map(|(from, _)| from);
            let rows = touched(old.id) || nodes.is_some_and(touched) && counts(changed, old.id);
            if let Some(reason) = reason.filter(|_| rows) {
                let message = format!(
                    "\"{}\" changed rows of {}, and \"{}\" {reason}",
                    other.branch(),
                    old.name,
                    changed.branch()
                );
                return Err(refused(message));
            }
        }
    }
    for new in &changed.schema().types {
        let is_new = other.schema().by_id(new.id).is_none();
        let nodes = new.endpoints().map(|(from, _)| from);
        if is_new && counts(changed, new.id) && nodes.is_some_and(touched) {
            let message = format!(
                "\"{}\" changed nodes that must have edges of {}, which \"{}\" adds",
                other.branch(),
                new.name,
                changed.branch()
            );
            return Err(refused(message));
        }
    }
    Ok(changed.schema().clone())
}

/// Types that only the source has come as they are, which leaves no row to be decided about.
pub(super) fn check_policy(ours: &Snapshot, theirs: &Snapshot, schema: &Schema) -> Result<()> {
    for def in &schema.types {
        let comes = ours.table(def.id).is_none();
        if comes
            && theirs
                .table(def.id)
                .is_some_and(|table| table.row_count() > 0)
        {
            return Err(Error::Unsupported {
                message: format!(
                    "a side cannot be chosen while the merge adds {} with rows",
                    def.name
                ),
                hint: Some("Apply the schema to the target first, then merge again.".to_owned()),
            });
        }
    }
    Ok(())
}

fn refused(message: String) -> Error {
    Error::Unsupported {
        message,
        hint: Some("Apply the same schema to both branches, then merge again.".to_owned()),
    }
}

/// Must nodes have edges of this type?
fn counts(state: &Snapshot, id: TypeId) -> bool {
    let def = state.schema().by_id(id);
    def.and_then(|def| def.cardinality())
        .is_some_and(|card| card.min > 0)
}

/// What a type newly asks of rows, or no longer keeps of them.
fn stricter(old: &TypeDef, new: &TypeDef) -> Option<String> {
    let held = |id: PropertyId| old.properties.iter().find(|property| property.id == id);
    for property in &old.properties {
        if !new.properties.iter().any(|kept| kept.id == property.id) {
            return Some(format!("drops its property \"{}\"", property.name));
        }
    }
    for property in &new.properties {
        if !property.nullable && held(property.id).is_some_and(|held| held.nullable) {
            return Some(format!("requires its property \"{}\"", property.name));
        }
    }
    let check = new.checks.iter().find(|check| {
        let of = |def: &TypeDef, at: usize| def.properties[at].id;
        !old.checks.iter().any(|known| {
            known.rule == check.rule && of(old, known.property) == of(new, check.property)
        })
    });
    let unique = new.uniques.iter().find(|unique| {
        let columns = physical(new, &unique.columns);
        !old.uniques
            .iter()
            .any(|known| physical(old, &known.columns) == columns)
    });
    let constraint = check
        .map(|check| &check.name)
        .or(unique.map(|unique| &unique.name));
    if let Some(name) = constraint {
        return Some(format!("adds constraint \"{name}\" to it"));
    }
    match (&old.kind, &new.kind) {
        (TypeKind::Edge { card: old, .. }, TypeKind::Edge { card: new, .. })
            if is_narrower(*old, *new) =>
        {
            Some(format!("narrows it to @card({new})"))
        }
        _ => None,
    }
}

fn is_narrower(old: Cardinality, new: Cardinality) -> bool {
    new.min > old.min || new.max.unwrap_or(u64::MAX) < old.max.unwrap_or(u64::MAX)
}

fn physical<'a>(def: &'a TypeDef, columns: &[usize]) -> Vec<&'a str> {
    let all = def.columns();
    columns
        .iter()
        .map(|at| all[*at].physical.as_str())
        .collect()
}
