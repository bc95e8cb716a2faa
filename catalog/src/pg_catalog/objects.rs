//! The objects that a schema stands for in PostgreSQL's terms: tables, their columns, indexes,
//! constraints, defaults and types, each with its slot. Rows of all catalogs, the text of
//! definitions and the resolution of names are made from this one description.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use omnigraph_engine::schema::{
    Annotation, CheckRule, Literal, PropertyType, Schema, TypeDef, TypeId, TypeKind,
};

use super::data::{self, BTREE};
use super::expression::{self, CheckText};
use super::oid::{HNSW, IVFFLAT, Slots, place};
use super::property_graph::PropertyGraph;
use crate::provider::sql_columns;
use crate::types::PgType;

#[derive(Debug)]
pub struct Objects {
    pub tables: Vec<TableObject>,
    pub graph: PropertyGraph,
    /// How many slots lie in the overflow.
    pub overflow: u32,
    classes: HashMap<String, Object>,
    types: HashMap<String, Object>,
    slots: HashMap<u32, Object>,
}

/// What a slot or a name stands for: positions in [`Objects::tables`] and in the table's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    Table(usize),
    RowType(usize),
    ArrayType(usize),
    Index(usize, usize),
    Constraint(usize, usize),
    Default(usize, usize),
    Graph,
}

#[derive(Debug)]
pub struct TableObject {
    pub type_id: TypeId,
    pub name: String,
    pub is_edge: bool,
    /// Marked slots, here and below.
    pub class: u32,
    pub row_type: u32,
    pub array_type: u32,
    pub array_name: String,
    pub columns: Vec<ColumnObject>,
    pub indexes: Vec<IndexObject>,
    pub constraints: Vec<ConstraintObject>,
    pub description: Option<String>,
    /// Is it an end of some edge type?
    pub referenced: bool,
}

#[derive(Debug)]
pub struct ColumnObject {
    pub name: String,
    pub ty: PgType,
    pub not_null: bool,
    pub default: Option<DefaultObject>,
    pub description: Option<String>,
}

#[derive(Debug)]
pub struct DefaultObject {
    pub slot: u32,
    pub expression: String,
    /// `GENERATED ALWAYS AS (…) STORED`.
    pub generated: bool,
    /// `attnum`s of the columns that it is computed from.
    pub reads: Vec<i16>,
}

#[derive(Debug)]
pub struct IndexObject {
    pub slot: u32,
    pub name: String,
    pub method: u32,
    /// `attnum`s.
    pub columns: Vec<i16>,
    pub opclasses: Vec<u32>,
    pub unique: bool,
    pub primary: bool,
    /// Of the constraint that it serves: its position.
    pub constraint: Option<usize>,
}

#[derive(Debug)]
pub struct ConstraintObject {
    pub slot: u32,
    pub name: String,
    pub kind: ConstraintRule,
    /// `attnum`s.
    pub columns: Vec<i16>,
}

#[derive(Debug)]
pub enum ConstraintRule {
    /// With the position of its index.
    Primary {
        index: usize,
    },
    Unique {
        index: usize,
    },
    /// References `id` of the table at this position.
    Foreign {
        table: usize,
    },
    Check(CheckText),
}

impl ConstraintRule {
    /// `pg_constraint.contype`.
    pub fn letter(&self) -> char {
        match self {
            ConstraintRule::Primary { .. } => 'p',
            ConstraintRule::Unique { .. } => 'u',
            ConstraintRule::Foreign { .. } => 'f',
            ConstraintRule::Check(_) => 'c',
        }
    }
}

impl Objects {
    pub fn new(schema: &Schema) -> Self {
        let positions: HashMap<TypeId, usize> = schema
            .types
            .iter()
            .enumerate()
            .map(|(at, def)| (def.id, at))
            .collect();
        let mut referenced = HashSet::new();
        for def in &schema.types {
            if let TypeKind::Edge { from, to, .. } = def.kind {
                referenced.extend([from, to]);
            }
        }
        let mut taken: HashSet<String> = schema.types.iter().map(|def| def.table.clone()).collect();
        let mut slots = Slots::default();
        let tables: Vec<TableObject> = schema
            .types
            .iter()
            .map(|def| {
                let mut array_name = format!("_{}", def.table);
                while !taken.insert(array_name.clone()) {
                    array_name.insert(0, '_');
                }
                TableBuilder::new(def, &mut slots, array_name)
                    .build(&positions, referenced.contains(&def.id))
            })
            .collect();
        let graph = PropertyGraph::new(schema, &mut slots);
        Objects::indexed(tables, graph, slots.overflow())
    }

    fn indexed(tables: Vec<TableObject>, graph: PropertyGraph, overflow: u32) -> Self {
        let mut classes = HashMap::new();
        let mut types = HashMap::new();
        let mut slots = HashMap::from([(graph.class, Object::Graph)]);
        for (at, table) in tables.iter().enumerate() {
            classes.insert(table.name.clone(), Object::Table(at));
            types.insert(table.name.clone(), Object::RowType(at));
            types.insert(table.array_name.clone(), Object::ArrayType(at));
            slots.insert(table.class, Object::Table(at));
            slots.insert(table.row_type, Object::RowType(at));
            slots.insert(table.array_type, Object::ArrayType(at));
            for (nth, constraint) in table.constraints.iter().enumerate() {
                slots.insert(constraint.slot, Object::Constraint(at, nth));
            }
            for (nth, column) in table.columns.iter().enumerate() {
                if let Some(default) = &column.default {
                    slots.insert(default.slot, Object::Default(at, nth));
                }
            }
        }
        for (at, table) in tables.iter().enumerate() {
            for (nth, index) in table.indexes.iter().enumerate() {
                classes
                    .entry(index.name.clone())
                    .or_insert(Object::Index(at, nth));
                slots.insert(index.slot, Object::Index(at, nth));
            }
        }
        Objects {
            tables,
            graph,
            overflow,
            classes,
            types,
            slots,
        }
    }

    /// By marked slot.
    pub fn at(&self, slot: u32) -> Option<Object> {
        self.slots.get(&slot).copied()
    }

    /// A table or an index.
    pub fn class(&self, name: &str) -> Option<u32> {
        match self.classes.get(name)? {
            Object::Index(table, index) => Some(self.tables[*table].indexes[*index].slot),
            Object::Table(table) => Some(self.tables[*table].class),
            _ => None,
        }
    }

    pub fn type_by_name(&self, name: &str) -> Option<u32> {
        match self.types.get(name)? {
            Object::RowType(table) => Some(self.tables[*table].row_type),
            Object::ArrayType(table) => Some(self.tables[*table].array_type),
            _ => None,
        }
    }
}

impl TableObject {
    pub fn checks(&self) -> usize {
        self.constraints
            .iter()
            .filter(|constraint| matches!(constraint.kind, ConstraintRule::Check(_)))
            .count()
    }

    /// Foreign keys have triggers in PostgreSQL, on both sides; `psql` looks for foreign keys
    /// only where it sees triggers.
    pub fn has_triggers(&self) -> bool {
        self.is_edge || self.referenced
    }

    /// Of `id`.
    pub fn primary(&self) -> Option<&IndexObject> {
        self.indexes.iter().find(|index| index.primary)
    }
}

/// Gives each object of one type its place.
struct TableBuilder<'a> {
    def: &'a Arc<TypeDef>,
    slots: &'a mut Slots,
    next: u32,
    last: u32,
    array_name: String,
    indexes: Vec<IndexObject>,
    constraints: Vec<ConstraintObject>,
}

impl<'a> TableBuilder<'a> {
    fn new(def: &'a Arc<TypeDef>, slots: &'a mut Slots, array_name: String) -> Self {
        TableBuilder {
            def,
            slots,
            next: place::FIRST_OTHER,
            last: place::LAST,
            array_name,
            indexes: Vec::new(),
            constraints: Vec::new(),
        }
    }

    fn build(mut self, positions: &HashMap<TypeId, usize>, referenced: bool) -> TableObject {
        let def = self.def;
        let columns = self.columns();
        let class = self.fixed(place::CLASS);
        let row_type = self.fixed(place::ROW_TYPE);
        let array_type = self.fixed(place::ARRAY_TYPE);
        let primary_index = self.fixed(place::PRIMARY_INDEX);
        let primary = self.fixed(place::PRIMARY_CONSTRAINT);
        self.unique(
            &columns,
            &def.constraints.primary,
            vec![1],
            primary_index,
            primary,
            true,
        );
        self.uniques(&columns);
        self.checks(&columns);
        self.foreign_keys(positions);
        self.plain_indexes(&columns);
        TableObject {
            type_id: def.id,
            name: def.table.clone(),
            is_edge: matches!(def.kind, TypeKind::Edge { .. }),
            class,
            row_type,
            array_type,
            array_name: self.array_name,
            columns,
            indexes: self.indexes,
            constraints: self.constraints,
            description: described(&def.annotations),
            referenced,
        }
    }

    fn fixed(&mut self, place: u32) -> u32 {
        self.slots.of(self.def.number, place)
    }

    /// The next place upwards.
    fn upward(&mut self) -> u32 {
        if self.next > self.last {
            return self.slots.overflowing();
        }
        self.next += 1;
        self.slots.of(self.def.number, self.next - 1)
    }

    /// The next place downwards.
    fn downward(&mut self) -> u32 {
        if self.next > self.last {
            return self.slots.overflowing();
        }
        self.last -= 1;
        self.slots.of(self.def.number, self.last + 1)
    }

    fn first_property(&self) -> usize {
        match self.def.kind {
            TypeKind::Node => 1,
            TypeKind::Edge { .. } => 3,
        }
    }

    fn columns(&mut self) -> Vec<ColumnObject> {
        let def = self.def;
        let first = self.first_property();
        let key: Vec<i16> = def.key.iter().map(|at| attnum(first + at)).collect();
        sql_columns(def)
            .into_iter()
            .enumerate()
            .map(|(at, column)| {
                let property = at.checked_sub(first).and_then(|at| def.properties.get(at));
                let expression = match property {
                    Some(property) => property
                        .default
                        .as_ref()
                        .and_then(|literal| {
                            expression::default_text(literal, &property.ty, column.ty)
                        })
                        .map(|text| (text, false)),
                    None if at > 0 => None,
                    None if def.key.is_empty() => Some(("ulid()".to_owned(), false)),
                    None => Some((expression::key_text(def), true)),
                };
                ColumnObject {
                    name: column.name,
                    ty: column.ty,
                    not_null: !column.nullable,
                    default: expression.map(|(expression, generated)| DefaultObject {
                        slot: self.downward(),
                        expression,
                        generated,
                        reads: if generated { key.clone() } else { Vec::new() },
                    }),
                    description: property.and_then(|property| described(&property.annotations)),
                }
            })
            .collect()
    }

    fn unique(
        &mut self,
        columns: &[ColumnObject],
        name: &str,
        over: Vec<i16>,
        index: u32,
        constraint: u32,
        primary: bool,
    ) {
        let at = self.indexes.len();
        self.indexes.push(IndexObject {
            slot: index,
            name: name.to_owned(),
            method: BTREE,
            opclasses: over
                .iter()
                .map(|attnum| data::btree_opclass(column(columns, *attnum).ty))
                .collect(),
            columns: over.clone(),
            unique: true,
            primary,
            constraint: Some(self.constraints.len()),
        });
        self.constraints.push(ConstraintObject {
            slot: constraint,
            name: name.to_owned(),
            kind: if primary {
                ConstraintRule::Primary { index: at }
            } else {
                ConstraintRule::Unique { index: at }
            },
            columns: over,
        });
    }

    fn uniques(&mut self, columns: &[ColumnObject]) {
        let def = self.def;
        let first = self.first_property();
        let key = def.constraints.key.iter().map(|name| {
            let over = def.key.iter().map(|at| attnum(first + at)).collect();
            (name, over)
        });
        let declared = def.uniques.iter().map(|unique| {
            let over = unique.columns.iter().map(|at| attnum(*at)).collect();
            (&unique.name, over)
        });
        for (name, over) in key.chain(declared).collect::<Vec<(&String, Vec<i16>)>>() {
            let index = self.upward();
            let constraint = self.upward();
            self.unique(columns, name, over, index, constraint, false);
        }
    }

    fn checks(&mut self, columns: &[ColumnObject]) {
        let def = self.def;
        let first = self.first_property();
        let enums = def
            .properties
            .iter()
            .enumerate()
            .filter_map(|(at, property)| {
                let PropertyType::Enum(words) = &property.ty else {
                    return None;
                };
                let name = property.enum_constraint.as_ref()?;
                Some((name, at, expression::one_of(&property.column, words)))
            });
        let declared = def.checks.iter().filter_map(|check| {
            let column = column(columns, attnum(first + check.property));
            let text = match &check.rule {
                CheckRule::Range { min, max } => expression::range(
                    &column.name,
                    column.ty,
                    number(min.as_ref()),
                    number(max.as_ref()),
                )?,
                CheckRule::Regex(pattern) => expression::matches(&column.name, pattern),
            };
            Some((&check.name, check.property, text))
        });
        for (name, at, text) in enums.chain(declared).collect::<Vec<_>>() {
            let slot = self.upward();
            self.constraints.push(ConstraintObject {
                slot,
                name: name.clone(),
                kind: ConstraintRule::Check(text),
                columns: vec![attnum(first + at)],
            });
        }
    }

    fn foreign_keys(&mut self, positions: &HashMap<TypeId, usize>) {
        let def = self.def;
        let TypeKind::Edge { from, to, .. } = &def.kind else {
            return;
        };
        let ends = [
            (&def.constraints.src, from, 2),
            (&def.constraints.dst, to, 3),
        ];
        for (name, end, column) in ends {
            let (Some(name), Some(table)) = (name, positions.get(end)) else {
                continue;
            };
            let slot = self.upward();
            self.constraints.push(ConstraintObject {
                slot,
                name: name.clone(),
                kind: ConstraintRule::Foreign { table: *table },
                columns: vec![column],
            });
        }
    }

    fn plain_indexes(&mut self, columns: &[ColumnObject]) {
        let def = self.def;
        for index in &def.indexes {
            let over: Vec<i16> = index.columns.iter().map(|at| attnum(*at)).collect();
            let method = match over.as_slice() {
                [only] if column(columns, *only).ty.oid == PgType::VECTOR.oid => {
                    match named(&index.annotation, "kind") {
                        Some("ivfflat") => IVFFLAT,
                        _ => HNSW,
                    }
                }
                _ => BTREE,
            };
            let opclasses = over
                .iter()
                .map(|attnum| match method {
                    BTREE => data::btree_opclass(column(columns, *attnum).ty),
                    _ => data::vector_opclass(
                        method,
                        named(&index.annotation, "metric").unwrap_or("cosine"),
                    ),
                })
                .collect();
            let slot = self.upward();
            self.indexes.push(IndexObject {
                slot,
                name: index.name.clone(),
                method,
                columns: over,
                opclasses,
                unique: false,
                primary: false,
                constraint: None,
            });
        }
    }
}

/// From a position to PostgreSQL's column number. A type cannot have more columns than fit.
fn attnum(position: usize) -> i16 {
    i16::try_from(position + 1).unwrap_or(i16::MAX)
}

fn column(columns: &[ColumnObject], attnum: i16) -> &ColumnObject {
    // Attribute numbers here were made from positions in this list.
    let at = usize::try_from(attnum).unwrap_or(1).saturating_sub(1);
    &columns[at.min(columns.len() - 1)]
}

fn number(literal: Option<&Literal>) -> Option<&str> {
    match literal? {
        Literal::Number(text) => Some(text),
        _ => None,
    }
}

fn described(annotations: &[Annotation]) -> Option<String> {
    let annotation = annotations
        .iter()
        .find(|annotation| annotation.name == "description")?;
    match annotation.args.first()? {
        Literal::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn named<'a>(annotation: &'a Annotation, name: &str) -> Option<&'a str> {
    annotation
        .named
        .iter()
        .find(|(key, _)| key == name)
        .and_then(|(_, value)| match value {
            Literal::String(text) | Literal::Ident(text) => Some(text.as_str()),
            _ => None,
        })
}
