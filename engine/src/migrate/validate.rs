//! Do the rows that exist keep the rules that are new?
//!
//! Memory does not grow with the tables: values are read a file at a time, keys go to sorted
//! runs. The first row that does not fit refuses the migration, in PostgreSQL's words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::row::{RowConverter, SortField};

use crate::error::{ConstraintKind, ConstraintViolation, Error, Result};
use crate::load::keys::{Key, KeySet, Sorted};
use crate::schema::{
    ChangeKind, ID_COLUMN, SRC_COLUMN, Schema, SchemaChange, TypeDef, TypeId, Unique,
};
use crate::snapshot::Snapshot;
use crate::table::{Chunk, RowPosition, Table};
use crate::write::constraint::card_violation;
use crate::write::row_text::value_text;
use crate::write::value::ValueChecker;

/// The rules that steps add, by type.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// Columns whose values are to be looked at one by one.
    values: BTreeMap<TypeId, BTreeSet<usize>>,
    uniques: BTreeMap<TypeId, Vec<Unique>>,
    /// Edge types whose edges are to be counted.
    counts: BTreeSet<TypeId>,
}

impl Rules {
    pub fn of(schema: &Schema, steps: &[SchemaChange]) -> Rules {
        let mut rules = Rules::default();
        for step in steps {
            let id = step.type_id;
            let Some(def) = schema.by_id(id) else {
                continue;
            };
            match &step.kind {
                ChangeKind::AddUnique { unique, .. } => {
                    rules.uniques.entry(id).or_default().push(unique.clone());
                }
                ChangeKind::AddCheck { check, .. } => {
                    let column = def.property_column(check.property);
                    rules.values.entry(id).or_default().insert(column);
                }
                ChangeKind::ChangeNullability {
                    property,
                    nullable: false,
                    ..
                } => {
                    let at = def.properties.iter().position(|held| held.id == *property);
                    rules
                        .values
                        .entry(id)
                        .or_default()
                        .extend(at.map(|at| def.property_column(at)));
                }
                ChangeKind::ChangeCardinality { .. } if step.validates() => {
                    rules.counts.insert(id);
                }
                ChangeKind::AddType { edge: true }
                    if def.cardinality().is_some_and(|card| card.min > 0) =>
                {
                    rules.counts.insert(id);
                }
                _ => {}
            }
        }
        rules
    }

    /// The tables whose rows decide.
    pub fn tables<'a>(&'a self, schema: &'a Schema) -> impl Iterator<Item = TypeId> + 'a {
        let counted = self.counts.iter().flat_map(|id| {
            let from = schema.by_id(*id).and_then(|def| def.endpoints());
            [Some(*id), from.map(|(from, _)| from)]
                .into_iter()
                .flatten()
        });
        let values = self.values.keys().copied();
        values.chain(self.uniques.keys().copied()).chain(counted)
    }
}

/// Checks every row of `after`, which has the new schema, against the new rules.
pub(super) async fn check(after: &Snapshot, rules: &Rules) -> Result<()> {
    for (&id, columns) in &rules.values {
        values(&table(after, id)?, columns).await?;
    }
    for (&id, uniques) in &rules.uniques {
        let table = table(after, id)?;
        for unique in uniques {
            is_unique(&table, unique).await?;
        }
    }
    for &id in &rules.counts {
        counts(after, &table(after, id)?).await?;
    }
    Ok(())
}

fn table(after: &Snapshot, id: TypeId) -> Result<Table> {
    after
        .table(id)
        .ok_or_else(|| Error::internal("a type of the schema has no table"))
}

/// NOT NULL, ranges and patterns.
async fn values(table: &Table, columns: &BTreeSet<usize>) -> Result<()> {
    let def = table.def();
    let checker = ValueChecker::of_columns(def, columns);
    for chunk in table.chunks().await?.iter() {
        let wanted: Vec<usize> = columns.iter().copied().collect();
        let held = table.chunk_columns(chunk, &wanted).await?;
        let arrays: Vec<ArrayRef> = def
            .columns()
            .iter()
            .enumerate()
            .map(|(at, column)| match wanted.binary_search(&at) {
                Ok(found) => Arc::clone(&held[found]),
                Err(_) => new_null_array(&column.data_type, chunk.rows as usize),
            })
            .collect();
        let rows = RecordBatch::try_new(def.row_schema(), arrays)?;
        let mut from = 0;
        // Rows that are gone break no rule.
        while let Err((row, violation)) =
            checker.check_values(&rows.slice(from, rows.num_rows() - from))
        {
            let at = from + row;
            if chunk.is_live(at as u32) {
                return Err(value_violation(table, chunk, at, violation).await?);
            }
            from = at + 1;
        }
    }
    Ok(())
}

async fn value_violation(
    table: &Table,
    chunk: &Chunk,
    row: usize,
    violation: ConstraintViolation,
) -> Result<Error> {
    let name = &table.def().table;
    let ids = table.chunk_columns(chunk, &[ID_COLUMN]).await?;
    let message = match (&violation.constraint, &violation.column) {
        (Some(constraint), _) => {
            format!(
                "check constraint \"{constraint}\" of relation \"{name}\" is violated by some row"
            )
        }
        (None, Some(column)) => {
            format!("column \"{column}\" of relation \"{name}\" contains null values")
        }
        (None, None) => violation.message.clone(),
    };
    let detail = format!(
        "The first such row has the id {}.",
        value_text(&ids[0], row)
    );
    Ok(ConstraintViolation {
        message,
        detail: Some(detail),
        ..violation
    }
    .into())
}

async fn is_unique(table: &Table, unique: &Unique) -> Result<()> {
    let mut keys = KeySet::default();
    for (number, chunk) in table.chunks().await?.iter().enumerate() {
        let values = table.chunk_columns(chunk, &unique.columns).await?;
        let fields = values
            .iter()
            .map(|value| SortField::new(value.data_type().clone()))
            .collect();
        let encoded = RowConverter::new(fields)?.convert_columns(&values)?;
        for offset in (0..chunk.rows).filter(|offset| chunk.is_live(*offset)) {
            let row = offset as usize;
            // A NULL equals nothing.
            if values.iter().all(|value| value.is_valid(row)) {
                keys.push(Key::of(encoded.row(row).as_ref(), place(number, offset)))?;
            }
        }
    }
    let mut keys = sorted(keys).await?;
    while let Some(key) = keys.next()? {
        if keys.peek().is_some_and(|next| next.hash() == key.hash()) {
            let row = table.rows(&[position(key.line)], &unique.columns).await?;
            return Err(not_unique(table.def(), unique, &row));
        }
    }
    Ok(())
}

fn not_unique(def: &TypeDef, unique: &Unique, row: &RecordBatch) -> Error {
    let all = def.columns();
    let names: Vec<&str> = unique
        .columns
        .iter()
        .map(|column| all[*column].name.as_str())
        .collect();
    let values: Vec<String> = row
        .columns()
        .iter()
        .map(|column| value_text(column, 0))
        .collect();
    ConstraintViolation {
        kind: ConstraintKind::Unique,
        table: def.table.clone(),
        column: None,
        constraint: Some(unique.name.clone()),
        message: format!("could not create unique index \"{}\"", unique.name),
        detail: Some(format!(
            "Key ({})=({}) is duplicated.",
            names.join(", "),
            values.join(", ")
        )),
    }
    .into()
}

/// `@card` of an edge type, over all its edges and all nodes they may begin at.
async fn counts(after: &Snapshot, edges: &Table) -> Result<()> {
    let def = edges.def();
    let (Some(card), Some((from, _))) = (def.cardinality(), def.endpoints()) else {
        return Ok(());
    };
    let nodes = table(after, from)?;
    let mut sources = texts(edges, SRC_COLUMN).await?;
    let mut ids = texts(&nodes, ID_COLUMN).await?;
    // Every source is a node, so each edge is counted at its node.
    while let Some(node) = ids.next()? {
        let mut count = 0;
        while sources
            .peek()
            .is_some_and(|source| source.hash() <= node.hash())
        {
            sources.next()?;
            count += 1;
        }
        if count < card.min || card.max.is_some_and(|max| count > max) {
            let row = nodes.rows(&[position(node.line)], &[ID_COLUMN]).await?;
            let id = row.column(0).as_string::<i32>().value(0);
            return Err(card_violation(def, id, count as i64));
        }
    }
    Ok(())
}

/// The hashes of a text column's live values, in order.
async fn texts(table: &Table, column: usize) -> Result<Sorted> {
    let mut keys = KeySet::default();
    for (number, chunk) in table.chunks().await?.iter().enumerate() {
        let values = table.chunk_columns(chunk, &[column]).await?;
        let values = values[0].as_string::<i32>();
        for offset in (0..chunk.rows).filter(|offset| chunk.is_live(*offset)) {
            let text = values.value(offset as usize);
            keys.push(Key::of(text.as_bytes(), place(number, offset)))?;
        }
    }
    sorted(keys).await
}

async fn sorted(keys: KeySet) -> Result<Sorted> {
    tokio::task::spawn_blocking(move || keys.sorted())
        .await
        .map_err(Error::internal)?
}

/// A row's position in the number that a key carries.
fn place(chunk: usize, offset: u32) -> u64 {
    (chunk as u64) << 32 | u64::from(offset)
}

fn position(place: u64) -> RowPosition {
    RowPosition {
        chunk: (place >> 32) as u32,
        offset: place as u32,
    }
}
