//! What a graph declares: its node types, edge types and their properties.
//!
//! A [`Schema`] is immutable and shared. It is made from `.pg` text by [`Schema::parse`]
//! and carried forward by [`Schema::evolve`], which keeps the identities of what survives.
//!
//! | file | what is in it |
//! |---|---|
//! | parse | text → syntax with spans |
//! | check, properties, rules, patterns | syntax → a draft in which every name is resolved |
//! | assemble | a draft and identities → a schema |
//! | change | accepted schema → desired schema: the steps between, or why there are none |
//! | part | what is left of a schema when some of it is hidden |
//! | merge | two schemas and what they began from → one |
//! | key, text, literal | the canonical text of keys and values |

mod assemble;
mod change;
mod check;
mod columns;
mod constraint_names;
pub mod edit;
mod error;
mod ids;
pub mod key;
mod literal;
mod lookup;
pub(crate) mod merge;
mod parse;
mod part;
mod patterns;
mod properties;
mod rules;
mod stored;
pub(crate) mod syntax_error;
#[cfg(test)]
mod tests;
pub mod text;

pub use change::{ChangeKind, SchemaChange};
pub use columns::{Column, DST_COLUMN, ID_COLUMN, SRC_COLUMN};
pub(crate) use error::{Collector, Span};
pub use error::{SchemaError, SchemaErrors};
pub use ids::{IdSource, RandomIds, SeededIds};
pub(crate) use literal::{LiteralValue, literal_value, non_finite};
pub use lookup::Embedding;
pub(crate) use parse::{Spanned, skip_blank, unescape};

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

/// A random 64-bit number that stays with a type through renames. Never a counter: two
/// branches would give one number to two things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u64);

/// As [`TypeId`], for a property. The physical column is named after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PropertyId(pub u64);

/// One graph's declared types, in declaration order.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// The `.pg` text as the user wrote it.
    pub source: String,
    pub types: Vec<Arc<TypeDef>>,
    /// Every declared interface, also those that nothing implements.
    pub interfaces: Vec<Interface>,
    /// By SQL name, by declared name and by type identity: positions in `types`.
    pub(crate) by_table: HashMap<String, usize>,
    pub(crate) by_name: HashMap<String, usize>,
    pub(crate) by_id: HashMap<TypeId, usize>,
    /// The number of the next new type; no number is given twice in a lineage.
    pub(crate) next_number: u32,
    /// Identities that types and properties have on other branches, with those that they have
    /// here: of what both sides of a merge had added alike.
    pub(crate) aliases: BTreeMap<u64, u64>,
    pub(crate) digest: String,
}

/// A declared interface. Its properties were copied into the types that implement it.
#[derive(Debug, Clone, PartialEq)]
pub struct Interface {
    /// As declared.
    pub name: String,
    /// Its name in SQL graph patterns, where it is a label.
    pub label: String,
    /// Names of its properties, as declared.
    pub properties: Vec<String>,
}

/// A node type or an edge type: one table.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeDef {
    pub id: TypeId,
    /// A small number, stable through renames and unique within the schema's lineage;
    /// catalogs derive object identifiers from it.
    pub number: u32,
    /// As declared: `WorksAt`.
    pub name: String,
    /// Its SQL name: `works_at`.
    pub table: String,
    pub kind: TypeKind,
    pub properties: Vec<Property>,
    /// The ordered key of a node type: positions in `properties`. Empty: no key.
    pub key: Vec<usize>,
    /// Each `@unique`, as positions in `properties`, with its constraint name.
    pub uniques: Vec<Unique>,
    /// `@range` and `@check`, with their constraint names (enums are in the property's type).
    pub checks: Vec<Check>,
    /// Each `@index`.
    pub indexes: Vec<Index>,
    /// Names of the interfaces it implements, as declared.
    pub interfaces: Vec<String>,
    /// Everything else that was annotated: name → arguments, in order.
    pub annotations: Vec<Annotation>,
    /// Names of the constraints that follow from the kind and the key.
    pub constraints: ConstraintNames,
    pub(crate) columns: Vec<Column>,
    pub(crate) arrow: SchemaRef,
    pub(crate) rows: SchemaRef,
    pub(crate) patterns: patterns::Patterns,
    pub(crate) shape: u64,
}

/// Constraint names as PostgreSQL would choose them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConstraintNames {
    /// Of the primary key on `id`.
    pub primary: String,
    /// The unique constraint over the key's columns.
    pub key: Option<String>,
    /// The check that `id` is the key's text.
    pub id_is_key: Option<String>,
    /// The foreign keys of an edge type.
    pub src: Option<String>,
    pub dst: Option<String>,
    /// The check of `@card`, where it limits anything.
    pub card: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum TypeKind {
    Node,
    Edge {
        from: TypeId,
        to: TypeId,
        /// How many edges of this type one source node may have.
        card: Cardinality,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cardinality {
    pub min: u64,
    pub max: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    pub id: PropertyId,
    /// As declared.
    pub name: String,
    /// Its SQL name.
    pub column: String,
    pub ty: PropertyType,
    pub nullable: bool,
    /// `@default(literal)`: given to rows that exist when the property is added, and to
    /// rows inserted without it.
    pub default: Option<Literal>,
    pub annotations: Vec<Annotation>,
    /// The name of the check that an enum's value is one of its words.
    pub enum_constraint: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum PropertyType {
    Scalar(Scalar),
    List(Scalar),
    Enum(Vec<String>),
    Vector(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    String,
    Blob,
    Bool,
    I32,
    I64,
    U32,
    U64,
    F32,
    F64,
    Date,
    DateTime,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Unique {
    pub name: String,
    /// Positions in `TypeDef::columns`: the whole tuple, in order. An edge type's may have
    /// `src` and `dst`, which are no properties.
    pub columns: Vec<usize>,
    /// The properties among them.
    pub properties: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub name: String,
    pub property: usize,
    pub rule: CheckRule,
}

#[derive(Debug, Clone, PartialEq)]
pub enum CheckRule {
    /// Inclusive; either side may be open. The bounds are kept as written.
    Range {
        min: Option<Literal>,
        max: Option<Literal>,
    },
    /// The whole value must match.
    Regex(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    pub name: String,
    /// As in [`Unique`].
    pub columns: Vec<usize>,
    pub properties: Vec<usize>,
    pub annotation: Annotation,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    pub name: String,
    /// Positional arguments, then named ones.
    pub args: Vec<Literal>,
    pub named: Vec<(String, Literal)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    String(String),
    /// As written, so that no digit is lost.
    Number(String),
    Bool(bool),
    Null,
    Ident(String),
}
