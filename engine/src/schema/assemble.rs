//! A draft and identities → a schema: names of constraints, columns, lookups, digests.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::check::{Draft, DraftType, Member};
use super::columns::{DST_COLUMN, SRC_COLUMN, arrow_schema_of, columns_of};
use super::constraint_names::ConstraintNamer;
use super::ids::IdSource;
use super::patterns::Patterns;
use super::{
    Check, CheckRule, ConstraintNames, Index, Property, PropertyId, PropertyType, Schema, TypeDef,
    TypeId, TypeKind, Unique, stored,
};

/// Who is who, parallel to the types of a draft and their properties.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    pub types: Vec<TypeIdentity>,
    /// The number that the next new type gets.
    pub next_number: u32,
    /// See [`Schema`].
    pub aliases: BTreeMap<u64, u64>,
}

#[derive(Debug)]
pub(crate) struct TypeIdentity {
    pub id: TypeId,
    pub number: u32,
    pub properties: Vec<PropertyId>,
}

/// Draws identities that are not in use yet.
pub(crate) struct Fresh<'a> {
    pub ids: &'a mut dyn IdSource,
    pub used: HashSet<u64>,
}

impl Fresh<'_> {
    pub fn draw(&mut self) -> u64 {
        let mut id = self.ids.next_id();
        // A clash is all but impossible; a poor source must still not give one number twice.
        while !self.used.insert(id) {
            id = id.wrapping_add(1);
        }
        id
    }
}

impl Identities {
    /// New ones for everything.
    pub fn fresh(draft: &Draft, ids: &mut dyn IdSource) -> Self {
        let mut fresh = Fresh {
            ids,
            used: HashSet::new(),
        };
        let mut identities = Identities::default();
        for ty in &draft.types {
            identities.types.push(TypeIdentity {
                id: TypeId(fresh.draw()),
                number: identities.next_number,
                properties: ty
                    .properties
                    .iter()
                    .map(|_| PropertyId(fresh.draw()))
                    .collect(),
            });
            identities.next_number += 1;
        }
        identities
    }
}

/// Puts a schema together. The draft and the identities were made for each other.
pub(crate) fn assemble(source: &str, draft: &Draft, identities: &Identities) -> Schema {
    let mut namer = ConstraintNamer::new(draft.types.iter().map(|ty| ty.table.clone()));
    let types: Vec<Arc<TypeDef>> = draft
        .types
        .iter()
        .zip(&identities.types)
        .map(|(ty, identity)| Arc::new(type_def(ty, identity, identities, &mut namer)))
        .collect();
    let position = |key: fn(&TypeDef) -> String| -> HashMap<String, usize> {
        types
            .iter()
            .enumerate()
            .map(|(at, ty)| (key(ty), at))
            .collect()
    };
    let mut schema = Schema {
        source: source.to_owned(),
        by_table: position(|ty| ty.table.clone()),
        by_name: position(|ty| ty.name.clone()),
        by_id: types
            .iter()
            .enumerate()
            .map(|(at, ty)| (ty.id, at))
            .collect(),
        interfaces: draft.interfaces.clone(),
        next_number: identities.next_number,
        aliases: identities.aliases.clone(),
        digest: String::new(),
        types,
    };
    schema.digest = hex(&Sha256::digest(stored::encode(&schema)));
    schema
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            // Writing to a string cannot fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
}

fn type_def(
    ty: &DraftType,
    identity: &TypeIdentity,
    all: &Identities,
    namer: &mut ConstraintNamer,
) -> TypeDef {
    namer.begin_table();
    let table = ty.table.as_str();
    let is_edge = ty.edge.is_some();
    let own_columns = if is_edge { 3 } else { 1 };
    let column_of = |member: &Member| match member {
        Member::Src => SRC_COLUMN,
        Member::Dst => DST_COLUMN,
        Member::Property(at) => own_columns + at,
    };
    let name_of = |member: &Member| match member {
        Member::Src => "src",
        Member::Dst => "dst",
        Member::Property(at) => ty.properties[*at].column.as_str(),
    };
    let properties_of = |members: &[Member]| -> Vec<usize> {
        members
            .iter()
            .filter_map(|member| match member {
                Member::Property(at) => Some(*at),
                Member::Src | Member::Dst => None,
            })
            .collect()
    };

    let primary = namer.relation(table, &[], "pkey");
    let (key, id_is_key) = if ty.key.is_empty() {
        (None, None)
    } else {
        let columns: Vec<&str> = ty
            .key
            .iter()
            .map(|&at| ty.properties[at].column.as_str())
            .collect();
        (
            Some(namer.relation(table, &columns, "key")),
            Some(namer.constraint(table, &["id_is"], "key")),
        )
    };
    let uniques = ty
        .uniques
        .iter()
        .map(|unique| Unique {
            name: namer.relation(
                table,
                &unique.members.iter().map(name_of).collect::<Vec<_>>(),
                "key",
            ),
            properties: properties_of(&unique.members),
            columns: unique.members.iter().map(column_of).collect(),
        })
        .collect();
    let (src, dst, card) = match &ty.edge {
        Some(edge) => (
            Some(namer.constraint(table, &["src"], "fkey")),
            Some(namer.constraint(table, &["dst"], "fkey")),
            (edge.card.min > 0 || edge.card.max.is_some())
                .then(|| namer.constraint(table, &[], "card")),
        ),
        None => (None, None, None),
    };
    let properties: Vec<Property> = ty
        .properties
        .iter()
        .zip(&identity.properties)
        .map(|(property, id)| Property {
            id: *id,
            name: property.name.value.clone(),
            column: property.column.clone(),
            ty: property.ty.clone(),
            nullable: property.nullable,
            default: property.default.clone(),
            annotations: property.annotations.clone(),
            enum_constraint: matches!(property.ty, PropertyType::Enum(_))
                .then(|| namer.constraint(table, &[&property.column], "check")),
        })
        .collect();
    let checks = ty
        .checks
        .iter()
        .map(|check| Check {
            name: namer.constraint(table, &[&ty.properties[check.property].column], "check"),
            property: check.property,
            rule: check.rule.clone(),
        })
        .collect();
    let indexes = ty
        .indexes
        .iter()
        .map(|index| Index {
            name: namer.relation(
                table,
                &index.members.iter().map(name_of).collect::<Vec<_>>(),
                "idx",
            ),
            properties: properties_of(&index.members),
            columns: index.members.iter().map(column_of).collect(),
            annotation: index.annotation.clone(),
        })
        .collect();
    let kind = match &ty.edge {
        None => TypeKind::Node,
        Some(edge) => TypeKind::Edge {
            from: all.types[edge.from].id,
            to: all.types[edge.to].id,
            card: edge.card,
        },
    };
    let columns = columns_of(is_edge, &properties);
    let mut def = TypeDef {
        id: identity.id,
        number: identity.number,
        name: ty.name.value.clone(),
        table: ty.table.clone(),
        kind,
        properties,
        key: ty.key.clone(),
        uniques,
        checks,
        indexes,
        interfaces: ty.interfaces.clone(),
        annotations: ty.annotations.clone(),
        constraints: ConstraintNames {
            primary,
            key,
            id_is_key,
            src,
            dst,
            card,
        },
        arrow: arrow_schema_of(&columns, false),
        rows: arrow_schema_of(&columns, true),
        patterns: Patterns::default(),
        columns,
        shape: 0,
    };
    def.shape = shape(&def);
    def
}

/// A digest of what decides whether a row fits: identities, types, nullability, constraints.
pub(super) fn shape(ty: &TypeDef) -> u64 {
    let identity_of = |column: &usize| match ty.columns[*column].property {
        Some(at) => ty.properties[at].id.0,
        None => *column as u64,
    };
    let mut text = format!("{:016x}", ty.id.0);
    // Writing to a string cannot fail.
    let _ = match &ty.kind {
        TypeKind::Node => write!(text, " node"),
        TypeKind::Edge { from, to, card } => write!(
            text,
            " edge {:x} {:x} {} {:?}",
            from.0, to.0, card.min, card.max
        ),
    };
    // In their order: rows are handed around by position.
    for property in &ty.properties {
        let _ = write!(
            text,
            "\n{:x} {} {}",
            property.id.0, property.ty, property.nullable
        );
    }
    for &at in &ty.key {
        let _ = write!(text, "\nkey {:x}", ty.properties[at].id.0);
    }
    let mut rules: Vec<String> = ty
        .uniques
        .iter()
        .map(|unique| {
            format!(
                "unique {:x?}",
                unique.columns.iter().map(identity_of).collect::<Vec<_>>()
            )
        })
        .chain(ty.checks.iter().map(|check| {
            let id = ty.properties[check.property].id.0;
            match &check.rule {
                CheckRule::Range { min, max } => format!("range {id:x} {min:?} {max:?}"),
                CheckRule::Regex(pattern) => format!("regex {id:x} {pattern:?}"),
            }
        }))
        .collect();
    rules.sort();
    for rule in rules {
        text.push('\n');
        text.push_str(&rule);
    }
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}
