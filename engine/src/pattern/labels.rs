//! Label expressions. The labels of a node type are its table's name and the interfaces that
//! it implements, that of an edge type is its table's name.

use crate::schema::{Schema, TypeDef, TypeId};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LabelExpression {
    Name(String),
    /// `%`: any label.
    Any,
    Not(Box<LabelExpression>),
    And(Box<LabelExpression>, Box<LabelExpression>),
    Or(Box<LabelExpression>, Box<LabelExpression>),
}

impl LabelExpression {
    /// The node types or edge types that the expression is true for.
    pub fn types(&self, schema: &Schema, edges: bool) -> Vec<TypeId> {
        schema
            .types
            .iter()
            .filter(|def| def.is_edge() == edges && self.holds(schema, def))
            .map(|def| def.id)
            .collect()
    }

    /// The first label in it that the schema does not have.
    pub fn unknown<'a>(&'a self, schema: &Schema) -> Option<&'a str> {
        self.find(&|label| !is_node_label(schema, label) && !is_edge_label(schema, label))
    }

    /// The first label in it that only the other kind of element has.
    pub fn misplaced<'a>(&'a self, schema: &Schema, edges: bool) -> Option<&'a str> {
        self.find(&|label| match edges {
            true => !is_edge_label(schema, label),
            false => !is_node_label(schema, label),
        })
    }

    fn find<'a>(&'a self, wanted: &dyn Fn(&str) -> bool) -> Option<&'a str> {
        match self {
            LabelExpression::Name(label) => wanted(label).then_some(label.as_str()),
            LabelExpression::Any => None,
            LabelExpression::Not(inner) => inner.find(wanted),
            LabelExpression::And(left, right) | LabelExpression::Or(left, right) => {
                left.find(wanted).or_else(|| right.find(wanted))
            }
        }
    }

    fn holds(&self, schema: &Schema, def: &TypeDef) -> bool {
        match self {
            LabelExpression::Name(label) => has_label(schema, def, label),
            LabelExpression::Any => true,
            LabelExpression::Not(inner) => !inner.holds(schema, def),
            LabelExpression::And(left, right) => {
                left.holds(schema, def) && right.holds(schema, def)
            }
            LabelExpression::Or(left, right) => left.holds(schema, def) || right.holds(schema, def),
        }
    }
}

fn has_label(schema: &Schema, def: &TypeDef, label: &str) -> bool {
    def.table == label
        || schema
            .interfaces
            .iter()
            .any(|interface| interface.label == label && def.interfaces.contains(&interface.name))
}

fn is_node_label(schema: &Schema, label: &str) -> bool {
    schema
        .interfaces
        .iter()
        .any(|interface| interface.label == label)
        || schema.table(label).is_some_and(|def| !def.is_edge())
}

fn is_edge_label(schema: &Schema, label: &str) -> bool {
    schema.table(label).is_some_and(|def| def.is_edge())
}
