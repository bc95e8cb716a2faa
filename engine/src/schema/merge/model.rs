//! A schema as it is compared: every part by its identity, every definition as a value. Where a
//! declaration stands and how it is written does not matter.

use std::collections::{BTreeMap, BTreeSet};

use super::classes::Classes;
use crate::names::sql_name;
use crate::schema::error::Collector;
use crate::schema::parse::{AnnotationSyntax, Declaration, DeclarationKind, parse};
use crate::schema::properties::own_properties;
use crate::schema::{
    Annotation, Cardinality, CheckRule, DST_COLUMN, Literal, PropertyType, SRC_COLUMN, Schema,
    TypeDef, TypeKind,
};

/// Annotations as they are written, by name.
pub(super) type Annotations = BTreeMap<String, Vec<String>>;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Type {
    pub name: String,
    /// `@sql("…")`, where it is not what follows from the name.
    pub sql: Option<String>,
    pub edge: Option<Edge>,
    pub interfaces: BTreeSet<String>,
    pub annotations: Annotations,
    pub key: Vec<u64>,
    pub uniques: BTreeSet<Vec<Member>>,
    /// With their options.
    pub indexes: BTreeMap<Vec<Member>, Vec<String>>,
    pub properties: Properties,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edge {
    pub from: u64,
    pub to: u64,
    pub card: Cardinality,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Member {
    Src,
    Dst,
    Property(u64),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Property {
    pub name: String,
    pub sql: Option<String>,
    pub ty: PropertyType,
    pub nullable: bool,
    pub default: Option<Literal>,
    /// `@range` and `@check` among them; of an interface's property, every rule behind it.
    pub annotations: Annotations,
}

/// Properties in their order, which does not matter when they are compared.
#[derive(Debug, Clone, Default)]
pub(super) struct Properties(pub Vec<(u64, Property)>);

impl Properties {
    pub fn get(&self, class: u64) -> Option<&Property> {
        self.0
            .iter()
            .find(|(known, _)| *known == class)
            .map(|(_, property)| property)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, &Property)> {
        self.0.iter().map(|(class, property)| (*class, property))
    }
}

impl PartialEq for Properties {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self
                .iter()
                .all(|(class, property)| other.get(class) == Some(property))
    }
}

/// A declared interface; its properties are known by their names.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Interface {
    pub annotations: Annotations,
    pub properties: Vec<(String, Property)>,
}

impl Interface {
    pub fn get(&self, name: &str) -> Option<&Property> {
        self.properties
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, property)| property)
    }

    /// Of a schema, in their order.
    pub fn all(schema: &Schema) -> Vec<(String, Interface)> {
        let source = &schema.source;
        parse(source, &mut Collector::new(source))
            .iter()
            .filter_map(|declaration| {
                let interface = Interface::of(declaration, source)?;
                Some((declaration.name.value.clone(), interface))
            })
            .collect()
    }

    fn of(declaration: &Declaration, source: &str) -> Option<Interface> {
        if !matches!(declaration.kind, DeclarationKind::Interface) {
            return None;
        }
        let properties = own_properties(declaration, false, &mut Collector::new(source));
        let properties = properties.into_iter().map(|property| {
            let name = property.name.value.clone();
            let mut annotations = listed(&property.annotations);
            add_syntax(&mut annotations, &property.rules);
            let property = Property {
                sql: explicit(&name, &property.column),
                name: name.clone(),
                ty: property.ty,
                nullable: property.nullable,
                default: property.default,
                annotations,
            };
            (name, property)
        });
        let mut annotations = Annotations::new();
        add_syntax(&mut annotations, &declaration.annotations);
        Some(Interface {
            annotations,
            properties: properties.collect(),
        })
    }
}

impl Type {
    pub fn of(def: &TypeDef, classes: &Classes) -> Type {
        let class_of = |at: usize| classes.of(def.properties[at].id.0);
        let members = |columns: &[usize]| -> Vec<Member> {
            let member = |column: &usize| match def.columns[*column].property {
                Some(at) => Member::Property(class_of(at)),
                None if *column == SRC_COLUMN => Member::Src,
                None => {
                    debug_assert_eq!(*column, DST_COLUMN);
                    Member::Dst
                }
            };
            columns.iter().map(member).collect()
        };
        let indexes = def.indexes.iter().map(|index| {
            let options = index.annotation.named.iter();
            let options = options.map(|(name, value)| format!("{name}={value}"));
            (members(&index.columns), options.collect())
        });
        let properties = def
            .properties
            .iter()
            .enumerate()
            .map(|(at, property)| (class_of(at), Property::of(def, at, property)));
        Type {
            name: def.name.clone(),
            sql: explicit(&def.name, &def.table),
            edge: match &def.kind {
                TypeKind::Node => None,
                TypeKind::Edge { from, to, card } => Some(Edge {
                    from: classes.of(from.0),
                    to: classes.of(to.0),
                    card: *card,
                }),
            },
            interfaces: def.interfaces.iter().cloned().collect(),
            annotations: listed(&def.annotations),
            key: def.key.iter().map(|at| class_of(*at)).collect(),
            uniques: def
                .uniques
                .iter()
                .map(|unique| members(&unique.columns))
                .collect(),
            indexes: indexes.collect(),
            properties: Properties(properties.collect()),
        }
    }
}

impl Property {
    pub fn of(def: &TypeDef, at: usize, property: &crate::schema::Property) -> Property {
        let mut annotations = listed(&property.annotations);
        for check in def.checks.iter().filter(|check| check.property == at) {
            let (name, text) = match &check.rule {
                CheckRule::Range { min, max } => {
                    let bound = |bound: &Option<Literal>| {
                        bound.as_ref().map_or_else(String::new, Literal::to_string)
                    };
                    ("range", format!("@range({}..{})", bound(min), bound(max)))
                }
                CheckRule::Regex(pattern) => {
                    let pattern = Literal::String(pattern.clone());
                    ("check", format!("@check({pattern})"))
                }
            };
            annotations.entry(name.to_owned()).or_default().push(text);
        }
        for rules in annotations.values_mut() {
            rules.sort();
        }
        Property {
            name: property.name.clone(),
            sql: explicit(&property.name, &property.column),
            ty: property.ty.clone(),
            nullable: property.nullable,
            default: property.default.clone(),
            annotations,
        }
    }
}

/// A schema's types by their classes, in their order.
#[derive(Debug)]
pub(super) struct Model(Vec<(u64, Type)>);

impl Model {
    pub fn of(schema: &Schema, classes: &Classes) -> Model {
        let types = schema.types.iter();
        Model(
            types
                .map(|def| (classes.of(def.id.0), Type::of(def, classes)))
                .collect(),
        )
    }

    pub fn get(&self, class: u64) -> Option<&Type> {
        self.iter()
            .find(|(known, _)| *known == class)
            .map(|(_, ty)| ty)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, &Type)> {
        self.0.iter().map(|(class, ty)| (*class, ty))
    }
}

fn explicit(declared: &str, sql: &str) -> Option<String> {
    (sql_name(declared) != sql).then(|| sql.to_owned())
}

fn listed(all: &[Annotation]) -> Annotations {
    let mut listed = Annotations::new();
    for annotation in all {
        let texts = listed.entry(annotation.name.clone()).or_default();
        texts.push(annotation.to_string());
    }
    listed
}

fn add_syntax(listed: &mut Annotations, all: &[AnnotationSyntax]) {
    let known = ["sql", "default", "rename_from"];
    for annotation in all {
        if !known.contains(&annotation.name.as_str()) {
            let texts = listed.entry(annotation.name.clone()).or_default();
            texts.push(annotation.to_string());
        }
    }
}
