//! Which schema the merged state has, and what it asks of rows that a side has not asked of its
//! own.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};

use super::conflict::{ConflictKind, MergeConflict, OnConflict};
use crate::error::{Error, Result};
use crate::graph::FromEnvironment;
use crate::schema::merge::{Refused, SchemaConflict, Side, merge};
use crate::schema::{Cardinality, Schema, TypeDef};
use crate::snapshot::Snapshot;

pub(super) fn merged(
    bases: &[Snapshot],
    ours: &Snapshot,
    theirs: &Snapshot,
    policy: OnConflict,
) -> Result<Arc<Schema>> {
    let of_bases: Vec<&Schema> = bases.iter().map(|base| &**base.schema()).collect();
    let choose = match policy {
        OnConflict::Fail => None,
        OnConflict::Ours => Some(Side::Ours),
        OnConflict::Theirs => Some(Side::Theirs),
    };
    let mut ids = FromEnvironment(&*ours.state.environment);
    match merge(&of_bases, ours.schema(), theirs.schema(), choose, &mut ids) {
        Ok(schema) => Ok(Arc::new(schema)),
        Err(Refused::Conflicts(conflicts)) => Err(Error::MergeConflicts {
            source_branch: theirs.branch().to_string(),
            target: ours.branch().to_string(),
            conflicts: conflicts.into_iter().map(conflict).collect(),
        }),
        Err(Refused::Together(reason)) => Err(Error::Unsupported {
            message: format!(
                "the schemas of \"{}\" and \"{}\" do not fit together: {reason}",
                ours.branch(),
                theirs.branch()
            ),
            hint: Some("Change one of the two schemas, then merge again.".to_owned()),
        }),
    }
}

fn conflict(found: SchemaConflict) -> MergeConflict {
    let text = |definition: Option<String>| {
        definition.map(|text| Arc::new(StringArray::from(vec![text])) as ArrayRef)
    };
    MergeConflict {
        kind: ConflictKind::DivergentSchema,
        table: found.table,
        id: String::new(),
        property: found.property,
        base: text(found.base),
        ours: text(found.ours),
        theirs: text(found.theirs),
    }
}

/// What a type asks of rows, and one side has not asked of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct NewRules {
    /// Columns with ranges, patterns or NOT NULL that are new.
    pub values: BTreeSet<usize>,
    /// Unique constraints that are new, by their physical columns.
    pub uniques: BTreeSet<Vec<String>>,
    /// Is `@card` new, or narrower?
    pub counts: bool,
}

impl NewRules {
    /// `own`: the type as the side has it.
    pub fn of(schema: &Schema, def: &TypeDef, own: Option<&Arc<TypeDef>>) -> NewRules {
        let card = def.cardinality();
        let Some(own) = own else {
            // It has no rows of the type; nodes that must have some it may have.
            return NewRules {
                counts: card.is_some_and(|card| card.min > 0),
                ..NewRules::default()
            };
        };
        let mut rules = NewRules::default();
        for (at, property) in def.properties.iter().enumerate() {
            let mut held = own.properties.iter().enumerate();
            let held = held.find(|(_, held)| schema.identity(held.id.0) == property.id.0);
            let is_kept = |rule| {
                let mut checks = own.checks.iter();
                held.is_some_and(|(at, _)| {
                    checks.any(|check| check.property == at && check.rule == rule)
                })
            };
            let mut checks = def.checks.iter().filter(|check| check.property == at);
            let required = !property.nullable && held.is_none_or(|(_, held)| held.nullable);
            if required || checks.any(|check| !is_kept(check.rule.clone())) {
                rules.values.insert(def.property_column(at));
            }
        }
        let kept: BTreeSet<Vec<String>> = own
            .uniques
            .iter()
            .map(|unique| physical(schema, own, &unique.columns))
            .collect();
        let asked = def.uniques.iter();
        rules.uniques = asked
            .map(|unique| physical(schema, def, &unique.columns))
            .filter(|columns| !kept.contains(columns))
            .collect();
        rules.counts = match (own.cardinality(), card) {
            (Some(old), Some(new)) => is_narrower(old, new),
            _ => false,
        };
        rules
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.uniques.is_empty() && !self.counts
    }
}

/// Has a side's table the very columns of the merged type, and does it keep its rules?
pub(super) fn fits(schema: &Schema, def: &TypeDef, own: Option<&Arc<TypeDef>>) -> bool {
    own.is_some_and(|own| {
        let columns = |def: &TypeDef| -> Vec<String> {
            let all = def.columns().iter();
            all.map(|column| column.physical.clone()).collect()
        };
        own.id == def.id
            && columns(own) == columns(def)
            && NewRules::of(schema, def, Some(own)).is_empty()
    })
}

/// By column: is it none of a side's, although a base has it? Empty if none is.
pub(super) fn lacks<'a>(
    schema: &Schema,
    def: &TypeDef,
    own: Option<&Arc<TypeDef>>,
    mut bases: impl Iterator<Item = &'a Arc<TypeDef>>,
) -> Vec<bool> {
    let (Some(own), Some(base)) = (own, bases.next()) else {
        return Vec::new();
    };
    let columns = def.columns().iter();
    let lacks: Vec<bool> = columns
        .map(|column| {
            column.property.is_some_and(|at| {
                let is_held = |side: &TypeDef| {
                    let id = def.properties[at].id.0;
                    let mut held = side.properties.iter();
                    held.any(|held| schema.identity(held.id.0) == id)
                };
                is_held(base) && !is_held(own)
            })
        })
        .collect();
    match lacks.contains(&true) {
        true => lacks,
        false => Vec::new(),
    }
}

/// Columns by the names that the merged schema has for them in files.
pub(super) fn physical(schema: &Schema, def: &TypeDef, columns: &[usize]) -> Vec<String> {
    let all = def.columns();
    let name = |at: &usize| match all[*at].property {
        Some(property) => {
            let id = def.properties[property].id.0;
            crate::schema::PropertyId(schema.identity(id)).physical()
        }
        None => all[*at].physical.clone(),
    };
    columns.iter().map(name).collect()
}

fn is_narrower(old: Cardinality, new: Cardinality) -> bool {
    new.min > old.min || new.max.unwrap_or(u64::MAX) < old.max.unwrap_or(u64::MAX)
}
