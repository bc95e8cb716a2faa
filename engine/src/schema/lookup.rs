//! Making a schema, and finding things in it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::assemble::{Identities, assemble};
use super::check::{Draft, check};
use super::error::{Collector, SchemaErrors};
use super::ids::IdSource;
use super::parse::parse;
use super::{
    Annotation, Cardinality, Column, Interface, Literal, Property, Schema, SchemaChange, TypeDef,
    TypeId, TypeKind, change, stored,
};
use crate::error::Result;

impl Schema {
    /// A new schema from `.pg` text, with new identities.
    pub fn parse(source: &str, ids: &mut dyn IdSource) -> Result<Schema, SchemaErrors> {
        let draft = Schema::draft(source)?;
        Ok(assemble(source, &draft, &Identities::fresh(&draft, ids)))
    }

    /// This schema, changed into what `source` declares, and the steps between. What is found
    /// again by its name (or by `@rename_from`) keeps its identity and number.
    pub fn evolve(
        &self,
        source: &str,
        ids: &mut dyn IdSource,
    ) -> Result<(Schema, Vec<SchemaChange>), SchemaErrors> {
        let draft = Schema::draft(source)?;
        change::evolve(self, source, &draft, ids)
    }

    pub(super) fn draft(source: &str) -> Result<Draft, SchemaErrors> {
        let mut errors = Collector::new(source);
        let declarations = parse(source, &mut errors);
        // Types that could not be read would be reported as missing.
        errors.finish()?;
        let draft = check(&declarations, &mut errors);
        errors.finish()?;
        Ok(draft)
    }

    pub fn encode(&self) -> Vec<u8> {
        stored::encode(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Schema> {
        stored::decode(bytes)
    }

    /// The SHA-256 of [`Schema::encode`], in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// By SQL name.
    pub fn table(&self, sql_name: &str) -> Option<&Arc<TypeDef>> {
        self.by_table.get(sql_name).map(|&at| &self.types[at])
    }

    /// By the name it was declared with.
    pub fn by_name(&self, declared: &str) -> Option<&Arc<TypeDef>> {
        self.by_name.get(declared).map(|&at| &self.types[at])
    }

    pub fn by_id(&self, id: TypeId) -> Option<&Arc<TypeDef>> {
        self.by_id.get(&id).map(|&at| &self.types[at])
    }

    /// The node types, in declaration order.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<TypeDef>> {
        self.types.iter().filter(|ty| !ty.is_edge())
    }

    /// The edge types, in declaration order.
    pub fn edges(&self) -> impl Iterator<Item = &Arc<TypeDef>> {
        self.types.iter().filter(|ty| ty.is_edge())
    }

    /// The edge types that begin or end at a node type.
    pub fn edges_of(&self, node: TypeId) -> impl Iterator<Item = &Arc<TypeDef>> {
        self.types.iter().filter(move |ty| {
            ty.endpoints()
                .is_some_and(|(from, to)| from == node || to == node)
        })
    }

    /// The identity that a type or property has here, of those that it has elsewhere.
    pub fn identity(&self, id: u64) -> u64 {
        self.aliases.get(&id).copied().unwrap_or(id)
    }

    /// By the name it was declared with.
    pub fn interface(&self, declared: &str) -> Option<&Interface> {
        self.interfaces
            .iter()
            .find(|interface| interface.name == declared)
    }

    /// The node types that implement an interface.
    pub fn implementers<'a>(
        &'a self,
        interface: &'a str,
    ) -> impl Iterator<Item = &'a Arc<TypeDef>> {
        self.types
            .iter()
            .filter(move |ty| ty.interfaces.iter().any(|name| name == interface))
    }
}

impl TypeDef {
    pub fn is_edge(&self) -> bool {
        matches!(self.kind, TypeKind::Edge { .. })
    }

    /// The node types an edge type connects: from, to.
    pub fn endpoints(&self) -> Option<(TypeId, TypeId)> {
        match self.kind {
            TypeKind::Edge { from, to, .. } => Some((from, to)),
            TypeKind::Node => None,
        }
    }

    /// Of an edge type: how many edges one source node may have.
    pub fn cardinality(&self) -> Option<Cardinality> {
        match self.kind {
            TypeKind::Edge { card, .. } => Some(card),
            TypeKind::Node => None,
        }
    }

    /// `id`, for an edge type `src` and `dst`, then the properties in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// By SQL name: its position in [`TypeDef::columns`] and the column.
    pub fn column(&self, sql_name: &str) -> Option<(usize, &Column)> {
        self.columns
            .iter()
            .enumerate()
            .find(|(_, column)| column.name == sql_name)
    }

    /// The position in [`TypeDef::columns`] of a property.
    pub fn property_column(&self, property: usize) -> usize {
        property + if self.is_edge() { 3 } else { 1 }
    }

    /// By the name it was declared with: its position in `properties` and the property.
    pub fn property(&self, declared: &str) -> Option<(usize, &Property)> {
        self.properties
            .iter()
            .enumerate()
            .find(|(_, property)| property.name == declared)
    }

    /// The columns in Arrow's terms, under their names in stored batches.
    pub fn arrow_schema(&self) -> SchemaRef {
        Arc::clone(&self.arrow)
    }

    /// As [`TypeDef::arrow_schema`] with every column nullable: for rows that nobody has checked
    /// yet. Arrow refuses a NULL in the other before we can say which constraint it breaks.
    pub fn row_schema(&self) -> SchemaRef {
        Arc::clone(&self.rows)
    }

    /// The same type for rows that may not keep its rules: every column may be NULL.
    pub(crate) fn unchecked(&self) -> TypeDef {
        TypeDef {
            arrow: self.row_schema(),
            ..self.clone()
        }
    }

    /// Equal exactly for types whose rows fit each other: identities and order, types,
    /// nullability and constraints. Names, indexes and descriptions do not matter.
    pub fn shape_digest(&self) -> u64 {
        self.shape
    }

    pub fn description(&self) -> Option<&str> {
        text_annotation(&self.annotations, "description")
    }
}

/// `@embed("source", model="…", on="write")` of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embedding<'a> {
    /// The property whose text is embedded, as declared.
    pub source: &'a str,
    pub model: Option<&'a str>,
    /// Embed when a row is written without the vector.
    pub on_write: bool,
}

impl Property {
    pub fn description(&self) -> Option<&str> {
        text_annotation(&self.annotations, "description")
    }

    pub fn embedding(&self) -> Option<Embedding<'_>> {
        let annotation = self
            .annotations
            .iter()
            .find(|annotation| annotation.name == "embed")?;
        let named = |wanted: &str| {
            annotation
                .named
                .iter()
                .find(|(name, _)| name == wanted)
                .and_then(|(_, value)| value.as_text())
        };
        Some(Embedding {
            source: annotation.args.first().and_then(Literal::as_text)?,
            model: named("model"),
            on_write: named("on") == Some("write"),
        })
    }
}

fn text_annotation<'a>(annotations: &'a [Annotation], name: &str) -> Option<&'a str> {
    annotations
        .iter()
        .find(|annotation| annotation.name == name)?
        .args
        .first()
        .and_then(Literal::as_text)
}
