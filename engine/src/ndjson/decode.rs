//! Lines → batches of rows, one per type, with every mistake told by its line.
//!
//! A row is added only when its whole line was good, so the batches hold exactly the good lines.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::cell::Cell;
use super::row::Work;
use crate::clock::Environment;
use crate::error::Result;
use crate::schema::{Literal, Schema, TypeDef, TypeKind, literal_value};
use crate::write::value::ValueChecker;

/// What is wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// From 1.
    pub line: u64,
    /// As declared.
    pub type_name: Option<String>,
    /// As declared; or the member of the line.
    pub property: Option<String>,
    pub reason: String,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match (&self.type_name, &self.property) {
            (Some(name), Some(property)) => write!(f, "{name}.{property}: ")?,
            (Some(name), None) => write!(f, "{name}: ")?,
            (None, Some(property)) => write!(f, "{property}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.reason)
    }
}

/// What is wrong with an input: each mistake is counted, and those of the first lines are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mistakes {
    pub told: Vec<LineError>,
    pub total: u64,
}

impl Mistakes {
    /// More than anybody corrects by hand, in little memory.
    pub const MAX_TOLD: usize = 1000;

    pub fn add(&mut self, error: LineError) {
        self.total += 1;
        self.told.push(error);
        if self.told.len() >= 2 * Self::MAX_TOLD {
            self.sort();
        }
    }

    /// Puts those of the first lines in order and forgets the others.
    pub fn sort(&mut self) {
        self.told.sort_by_key(|error| error.line);
        self.told.truncate(Self::MAX_TOLD);
    }

    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Those of another part of the same input.
    pub fn append(&mut self, others: Mistakes) {
        if others.is_empty() {
            return;
        }
        self.total += others.total;
        self.told.extend(others.told);
        self.sort();
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.total {
            1 => f.write_str("1 mistake"),
            total => write!(f, "{total} mistakes"),
        }
    }
}

/// The rows of one type.
#[derive(Debug, Clone)]
pub struct TypeBatch {
    pub def: Arc<TypeDef>,
    /// In the order and types of [`TypeDef::value_schema`].
    pub batch: RecordBatch,
    /// The line of each row.
    pub lines: Vec<u64>,
}

#[derive(Debug, Clone, Default)]
pub struct Decoded {
    /// Of the types that occur, in the order of the schema.
    pub batches: Vec<TypeBatch>,
    /// In the order of the lines.
    pub mistakes: Mistakes,
}

/// Reads lines against one schema. Shared between threads: each chunk is read on its own.
#[derive(Debug)]
pub struct Decoder {
    pub(super) plans: Vec<TypePlan>,
    pub(super) nodes: HashMap<String, usize>,
    pub(super) edges: HashMap<String, usize>,
    pub(super) environment: Arc<dyn Environment>,
}

/// What reading the rows of one type needs.
#[derive(Debug)]
pub(super) struct TypePlan {
    pub def: Arc<TypeDef>,
    pub checker: ValueChecker,
    pub properties: HashMap<String, usize>,
    /// Given to rows that do not mention the property, parallel to the properties.
    pub defaults: Vec<Option<Cell<'static>>>,
    /// The node types of the endpoints of an edge type.
    pub endpoints: Option<(Arc<TypeDef>, Arc<TypeDef>)>,
    /// Are there ranges or patterns? Everything else is seen to while a line is read.
    pub has_checks: bool,
}

impl Decoder {
    /// Rows without an id of their own get one from `environment`.
    pub fn new(schema: &Schema, environment: Arc<dyn Environment>) -> Self {
        let plans: Vec<TypePlan> = schema
            .types
            .iter()
            .map(|def| TypePlan::new(schema, def))
            .collect();
        let by_name = |edge: bool| {
            plans
                .iter()
                .enumerate()
                .filter(|(_, plan)| plan.def.is_edge() == edge)
                .map(|(at, plan)| (plan.def.name.clone(), at))
                .collect()
        };
        Decoder {
            nodes: by_name(false),
            edges: by_name(true),
            plans,
            environment,
        }
    }

    /// Reads whole lines, the first of which is line `first_line` of the input.
    pub fn decode_chunk(&self, bytes: &[u8], first_line: u64) -> Result<Decoded> {
        let mut work = Work::new(self, first_line);
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                text.split('\n').for_each(|line| work.line(line));
            }
            Err(_) => {
                for line in bytes.split(|&byte| byte == b'\n') {
                    match std::str::from_utf8(line) {
                        Ok(line) => work.line(line),
                        Err(_) => work.refuse_line(None, None, "not valid UTF-8".to_owned()),
                    }
                }
            }
        }
        work.finish()
    }
}

impl TypePlan {
    fn new(schema: &Schema, def: &Arc<TypeDef>) -> Self {
        let endpoint = |id| schema.by_id(id).map(Arc::clone);
        TypePlan {
            checker: ValueChecker::new(def),
            properties: def
                .properties
                .iter()
                .enumerate()
                .map(|(at, property)| (property.name.clone(), at))
                .collect(),
            defaults: def
                .properties
                .iter()
                .map(|property| match &property.default {
                    None | Some(Literal::Null) => None,
                    // Checked with the schema.
                    Some(literal) => literal_value(&property.ty, literal)
                        .ok()
                        .map(|value| Cell::of_default(&value)),
                })
                .collect(),
            endpoints: match def.kind {
                TypeKind::Edge { from, to, .. } => endpoint(from).zip(endpoint(to)),
                TypeKind::Node => None,
            },
            has_checks: !def.checks.is_empty(),
            def: Arc::clone(def),
        }
    }
}
