//! Two schemas whose identities agree → the steps between them.

use super::{ChangeKind, SchemaChange};
use crate::schema::check::{Draft, DraftType};
use crate::schema::error::{Collector, Span};
use crate::schema::{
    Check, Index, Literal, Property, PropertyId, PropertyType, Schema, TypeDef, TypeId, TypeKind,
    Unique,
};

/// The steps. Types of `new` stand where they stand in `draft`.
pub(super) fn compare(
    old: &Schema,
    new: &Schema,
    draft: &Draft,
    errors: &mut Collector<'_>,
) -> Vec<SchemaChange> {
    let mut changes = Vec::new();
    for (ty, syntax) in new.types.iter().zip(&draft.types) {
        match old.by_id(ty.id) {
            None => changes.push(SchemaChange {
                type_id: ty.id,
                type_name: ty.name.clone(),
                kind: ChangeKind::AddType { edge: ty.is_edge() },
            }),
            Some(before) => {
                let mut steps = Vec::new();
                compare_type(before, ty, syntax, (old, new), &mut steps, errors);
                changes.extend(steps.into_iter().map(|kind| SchemaChange {
                    type_id: ty.id,
                    type_name: ty.name.clone(),
                    kind,
                }));
            }
        }
    }
    // Edge types first: a node type goes only when no edge type needs it.
    let (edges, nodes): (Vec<_>, Vec<_>) = old
        .types
        .iter()
        .filter(|ty| new.by_id(ty.id).is_none())
        .partition(|ty| ty.is_edge());
    changes.extend(edges.into_iter().chain(nodes).map(|ty| SchemaChange {
        type_id: ty.id,
        type_name: ty.name.clone(),
        kind: ChangeKind::DropType { edge: ty.is_edge() },
    }));
    changes
}

fn compare_type(
    old: &TypeDef,
    new: &TypeDef,
    syntax: &DraftType,
    schemas: (&Schema, &Schema),
    steps: &mut Vec<ChangeKind>,
    errors: &mut Collector<'_>,
) {
    let span = syntax.name.span;
    if old.name != new.name {
        steps.push(ChangeKind::RenameType {
            from: old.name.clone(),
        });
    } else if old.table != new.table {
        steps.push(ChangeKind::RenameTable {
            from: old.table.clone(),
            to: new.table.clone(),
        });
    }
    compare_kinds(old, new, span, schemas, steps, errors);
    if key_ids(old) != key_ids(new) {
        errors.push_hint(
            span,
            format!(
                "the key of \"{}\" cannot be changed from ({}) to ({})",
                new.name,
                key_names(old),
                key_names(new)
            ),
            "The ids of its nodes are made from the key. Add a new node type and load the nodes into it.",
        );
    }
    compare_properties(old, new, syntax, steps, errors);
    compare_rules(old, new, steps);
    if old.annotations != new.annotations || old.interfaces != new.interfaces {
        steps.push(ChangeKind::ChangeMetadata { property: None });
    }
}

fn key_ids(ty: &TypeDef) -> Vec<PropertyId> {
    ty.key.iter().map(|&at| ty.properties[at].id).collect()
}

fn key_names(ty: &TypeDef) -> String {
    if ty.key.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<&str> = ty
        .key
        .iter()
        .map(|&at| ty.properties[at].name.as_str())
        .collect();
    names.join(", ")
}

fn compare_kinds(
    old: &TypeDef,
    new: &TypeDef,
    span: Span,
    (before, after): (&Schema, &Schema),
    steps: &mut Vec<ChangeKind>,
    errors: &mut Collector<'_>,
) {
    match (&old.kind, &new.kind) {
        (TypeKind::Node, TypeKind::Node) => {}
        (
            TypeKind::Edge { from, to, card },
            TypeKind::Edge {
                from: new_from,
                to: new_to,
                card: new_card,
            },
        ) => {
            if (from, to) != (new_from, new_to) {
                let named = |schema: &Schema, id: &TypeId| {
                    schema
                        .by_id(*id)
                        .map_or_else(String::new, |ty| ty.name.clone())
                };
                errors.push_hint(
                    span,
                    format!(
                        "the endpoints of \"{}\" cannot be changed from {} -> {} to {} -> {}",
                        new.name,
                        named(before, from),
                        named(before, to),
                        named(after, new_from),
                        named(after, new_to)
                    ),
                    "Add a new edge type and load the edges into it.",
                );
            }
            if card != new_card {
                steps.push(ChangeKind::ChangeCardinality {
                    from: *card,
                    to: *new_card,
                });
            }
        }
        (TypeKind::Node, TypeKind::Edge { .. }) => {
            errors.push(
                span,
                format!("node type \"{}\" cannot become an edge type", new.name),
            );
        }
        (TypeKind::Edge { .. }, TypeKind::Node) => {
            errors.push(
                span,
                format!("edge type \"{}\" cannot become a node type", new.name),
            );
        }
    }
}

fn compare_properties(
    old: &TypeDef,
    new: &TypeDef,
    syntax: &DraftType,
    steps: &mut Vec<ChangeKind>,
    errors: &mut Collector<'_>,
) {
    for (property, at) in new.properties.iter().zip(&syntax.properties) {
        let Some(before) = old
            .properties
            .iter()
            .find(|before| before.id == property.id)
        else {
            let has_default = property
                .default
                .as_ref()
                .is_some_and(|default| *default != Literal::Null);
            if !property.nullable && !has_default {
                errors.push_hint(
                    at.name.span,
                    format!("required property \"{}.{}\" cannot be added: rows that exist would have no value", new.name, property.name),
                    "Make it nullable with \"?\", or give it a @default(…).",
                );
            }
            steps.push(ChangeKind::AddProperty {
                property: property.id,
                name: property.name.clone(),
                ty: property.ty.clone(),
                nullable: property.nullable,
                default: property.default.clone(),
            });
            continue;
        };
        if before.name != property.name {
            steps.push(ChangeKind::RenameProperty {
                property: property.id,
                from: before.name.clone(),
                to: property.name.clone(),
            });
        } else if before.column != property.column {
            steps.push(ChangeKind::RenameColumn {
                property: property.id,
                name: property.name.clone(),
                from: before.column.clone(),
                to: property.column.clone(),
            });
        }
        compare_property_types(before, property, &new.name, at.type_span, steps, errors);
        if before.default != property.default {
            steps.push(ChangeKind::ChangeDefault {
                property: property.id,
                name: property.name.clone(),
                default: property.default.clone(),
            });
        }
        if before.annotations != property.annotations {
            steps.push(ChangeKind::ChangeMetadata {
                property: Some(property.name.clone()),
            });
        }
    }
    for gone in &old.properties {
        if !new.properties.iter().any(|property| property.id == gone.id) {
            steps.push(ChangeKind::DropProperty {
                property: gone.id,
                name: gone.name.clone(),
            });
        }
    }
}

fn compare_property_types(
    old: &Property,
    new: &Property,
    type_name: &str,
    span: Span,
    steps: &mut Vec<ChangeKind>,
    errors: &mut Collector<'_>,
) {
    let name = &new.name;
    match (&old.ty, &new.ty) {
        (PropertyType::Enum(before), PropertyType::Enum(after)) => {
            let missing: Vec<&str> = before.iter().filter(|word| !after.contains(word)).map(String::as_str).collect();
            let words: Vec<String> = after.iter().filter(|word| !before.contains(word)).cloned().collect();
            if !missing.is_empty() {
                errors.push_hint(
                    span,
                    format!("enum \"{type_name}.{name}\" cannot lose {}: rows may have it", missing.join(", ")),
                    "An enum can only be widened.",
                );
            } else if !words.is_empty() {
                steps.push(ChangeKind::WidenEnum { property: new.id, name: name.clone(), words });
            } else if before != after {
                steps.push(ChangeKind::ChangeMetadata { property: Some(name.clone()) });
            }
        }
        (before, after) if before != after => errors.push_hint(
            span,
            format!("the type of property \"{type_name}.{name}\" cannot be changed from {before} to {after}"),
            "Add a new property, copy the values into it, and drop the old one.",
        ),
        _ => {}
    }
    if old.nullable != new.nullable {
        steps.push(ChangeKind::ChangeNullability {
            property: new.id,
            name: name.clone(),
            nullable: new.nullable,
        });
    }
}

/// A column by what it is, not by where it stands.
#[derive(PartialEq)]
enum ColumnIdentity {
    Own(usize),
    Property(PropertyId),
}

fn identities_of(ty: &TypeDef, columns: &[usize]) -> Vec<ColumnIdentity> {
    columns
        .iter()
        .map(|&column| match ty.columns[column].property {
            Some(at) => ColumnIdentity::Property(ty.properties[at].id),
            None => ColumnIdentity::Own(column),
        })
        .collect()
}

fn names_of(ty: &TypeDef, columns: &[usize]) -> Vec<String> {
    columns
        .iter()
        .map(|&column| match ty.columns[column].property {
            Some(at) => ty.properties[at].name.clone(),
            None => ty.columns[column].name.clone(),
        })
        .collect()
}

fn compare_rules(old: &TypeDef, new: &TypeDef, steps: &mut Vec<ChangeKind>) {
    let same_unique = |before: &Unique, after: &Unique| {
        identities_of(old, &before.columns) == identities_of(new, &after.columns)
    };
    let same_check = |before: &Check, after: &Check| {
        old.properties[before.property].id == new.properties[after.property].id
            && before.rule == after.rule
    };
    let same_index = |before: &Index, after: &Index| {
        identities_of(old, &before.columns) == identities_of(new, &after.columns)
            && before.annotation.named == after.annotation.named
    };
    for unique in old
        .uniques
        .iter()
        .filter(|before| !new.uniques.iter().any(|after| same_unique(before, after)))
    {
        steps.push(ChangeKind::DropUnique {
            unique: unique.clone(),
            columns: names_of(old, &unique.columns),
        });
    }
    for check in old
        .checks
        .iter()
        .filter(|before| !new.checks.iter().any(|after| same_check(before, after)))
    {
        let property = old.properties[check.property].name.clone();
        steps.push(ChangeKind::DropCheck {
            check: check.clone(),
            property,
        });
    }
    for index in old
        .indexes
        .iter()
        .filter(|before| !new.indexes.iter().any(|after| same_index(before, after)))
    {
        steps.push(ChangeKind::DropIndex {
            index: index.clone(),
            columns: names_of(old, &index.columns),
        });
    }
    for unique in new
        .uniques
        .iter()
        .filter(|after| !old.uniques.iter().any(|before| same_unique(before, after)))
    {
        steps.push(ChangeKind::AddUnique {
            unique: unique.clone(),
            columns: names_of(new, &unique.columns),
        });
    }
    for check in new
        .checks
        .iter()
        .filter(|after| !old.checks.iter().any(|before| same_check(before, after)))
    {
        let property = new.properties[check.property].name.clone();
        steps.push(ChangeKind::AddCheck {
            check: check.clone(),
            property,
        });
    }
    for index in new
        .indexes
        .iter()
        .filter(|after| !old.indexes.iter().any(|before| same_index(before, after)))
    {
        steps.push(ChangeKind::AddIndex {
            index: index.clone(),
            columns: names_of(new, &index.columns),
        });
    }
}
