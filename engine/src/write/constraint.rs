//! The rules between rows: keys, unique values, endpoints, cardinality.
//!
//! One function checks one set of effects against one state. A statement is checked against
//! what its transaction sees; the loser of a race is checked again, whole, against the new
//! head. Both ask the same questions, so a rule holds whichever way rows arrive.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};

use super::changes::TableEffect;
use super::row_text::value_text;
use crate::error::{ConstraintKind, ConstraintViolation, Error, Result};
use crate::index::{tuple_equality, tuple_hashes};
use crate::schema::{Schema, TypeDef, TypeId, TypeKind};
use crate::snapshot::Snapshot;
use crate::table::RowPosition;

/// Positions of the endpoint columns of an edge table.
pub(crate) const SRC: usize = 1;
pub(crate) const DST: usize = 2;

/// When the check runs: some rules hold only for whole transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Statement,
    Commit,
}

/// Checks `effects`, which happen together, against `before`.
pub(crate) async fn check(
    before: &Snapshot,
    effects: &[TableEffect],
    moment: Moment,
) -> Result<()> {
    let checker = Checker::new(before, effects);
    for effect in effects {
        let def = checker.def(effect.table)?;
        if let Some(put) = &effect.put {
            checker.ids(def, effect, put).await?;
            checker.uniques(def, effect, put).await?;
        }
    }
    for effect in effects {
        let def = checker.def(effect.table)?;
        if let (TypeKind::Edge { from, to, .. }, Some(put)) = (&def.kind, &effect.put) {
            checker.endpoint(def, put, SRC, *from).await?;
            checker.endpoint(def, put, DST, *to).await?;
        }
        if def.kind == TypeKind::Node {
            checker.no_edge_left(def, effect).await?;
        }
    }
    checker.cardinality(moment).await
}

struct Checker<'a> {
    before: &'a Snapshot,
    schema: &'a Schema,
    by_table: HashMap<TypeId, &'a TableEffect>,
    /// Positions whose row is deleted or replaced.
    gone: HashMap<TypeId, HashSet<RowPosition>>,
}

impl<'a> Checker<'a> {
    fn new(before: &'a Snapshot, effects: &'a [TableEffect]) -> Self {
        let gone = effects
            .iter()
            .map(|effect| (effect.table, effect.positions().into_iter().collect()))
            .collect();
        Checker {
            before,
            schema: before.schema(),
            by_table: effects
                .iter()
                .map(|effect| (effect.table, effect))
                .collect(),
            gone,
        }
    }

    fn def(&self, id: TypeId) -> Result<&'a TypeDef> {
        self.schema
            .by_id(id)
            .map(|def| &**def)
            .ok_or_else(|| Error::internal("a change names a type that the schema lacks"))
    }

    fn table(&self, id: TypeId) -> Result<crate::table::Table> {
        self.before
            .table(id)
            .ok_or_else(|| Error::internal("a type of the schema has no table"))
    }

    fn is_gone(&self, table: TypeId, position: &RowPosition) -> bool {
        self.gone
            .get(&table)
            .is_some_and(|gone| gone.contains(position))
    }

    /// A new row's id is nobody else's.
    async fn ids(&self, def: &TypeDef, effect: &TableEffect, put: &RecordBatch) -> Result<()> {
        let ids = put.column(0).as_string::<i32>();
        let mut seen = HashSet::with_capacity(ids.len());
        let mut asked = Vec::new();
        for (row, replaced) in effect.replaced.iter().enumerate() {
            let id = ids.value(row);
            if !seen.insert(id) {
                return Err(duplicate_id(def, put, row));
            }
            if replaced.is_none() {
                asked.push((row, id));
            }
        }
        let wanted: Vec<&str> = asked.iter().map(|(_, id)| *id).collect();
        let found = self.table(def.id)?.find_ids(&wanted).await?;
        for ((row, _), position) in asked.iter().zip(found) {
            if position.is_some_and(|position| !self.is_gone(def.id, &position)) {
                return Err(duplicate_id(def, put, *row));
            }
        }
        Ok(())
    }

    async fn uniques(&self, def: &TypeDef, effect: &TableEffect, put: &RecordBatch) -> Result<()> {
        for unique in &def.uniques {
            // A keyed node's id stands for its key: equal keys have equal ids.
            if !def.key.is_empty() && unique.properties == def.key {
                continue;
            }
            let columns = unique.columns.clone();
            let values: Vec<ArrayRef> = columns
                .iter()
                .map(|column| put.column(*column).clone())
                .collect();
            let violated = |row: usize| duplicate(def, &unique.name, &columns, put, row);
            let equal = tuple_equality(&values, &values)?;
            let mut by_hash: HashMap<u64, Vec<usize>> = HashMap::new();
            for (row, hash) in tuple_hashes(&values)?.into_iter().enumerate() {
                let Some(hash) = hash else { continue };
                let rows = by_hash.entry(hash).or_default();
                if rows.iter().any(|other| equal(*other, row)) {
                    return Err(violated(row));
                }
                rows.push(row);
            }
            let found = self.table(def.id)?.find(&columns, &values).await?;
            for (row, positions) in found.iter().enumerate() {
                let held = positions
                    .iter()
                    .any(|position| !self.is_gone(def.id, position));
                if held && effect.replaced.len() > row {
                    return Err(violated(row));
                }
            }
        }
        Ok(())
    }

    /// Both ends of every edge that is written exist.
    async fn endpoint(
        &self,
        def: &TypeDef,
        put: &RecordBatch,
        column: usize,
        node: TypeId,
    ) -> Result<()> {
        let ends = put.column(column).as_string::<i32>();
        let wanted: BTreeSet<&str> = ends.iter().flatten().collect();
        let wanted: Vec<&str> = wanted.into_iter().collect();
        let new: HashSet<&str> = match self.by_table.get(&node).and_then(|e| e.put.as_ref()) {
            Some(nodes) => nodes
                .column(0)
                .as_string::<i32>()
                .iter()
                .flatten()
                .collect(),
            None => HashSet::new(),
        };
        let found = self.table(node)?.find_ids(&wanted).await?;
        for (id, position) in wanted.iter().zip(found) {
            let there = position.is_some_and(|position| !self.is_gone(node, &position));
            if there || new.contains(id) {
                continue;
            }
            let node_def = self.def(node)?;
            let end = if column == SRC { "src" } else { "dst" };
            return Err(ConstraintViolation {
                kind: ConstraintKind::ForeignKey,
                table: def.table.clone(),
                column: None,
                constraint: Some(foreign_key(def, column).to_owned()),
                message: format!(
                    "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
                    def.table,
                    foreign_key(def, column)
                ),
                detail: Some(format!(
                    "Key ({end})=({id}) is not present in table \"{}\".",
                    node_def.table
                )),
            }
            .into());
        }
        Ok(())
    }

    /// A node that is deleted leaves no edge behind.
    async fn no_edge_left(&self, def: &TypeDef, effect: &TableEffect) -> Result<()> {
        if effect.deleted.is_empty() {
            return Ok(());
        }
        let put_again: HashSet<&str> = match &effect.put {
            Some(put) => put.column(0).as_string::<i32>().iter().flatten().collect(),
            None => HashSet::new(),
        };
        let ids: ArrayRef = std::sync::Arc::new(StringArray::from_iter_values(
            effect
                .deleted
                .iter()
                .map(|(id, _)| id.as_str())
                .filter(|id| !put_again.contains(id)),
        ));
        for edge in self.schema.edges() {
            let TypeKind::Edge { from, to, .. } = &edge.kind else {
                continue;
            };
            for (column, node) in [(SRC, from), (DST, to)] {
                if *node != def.id {
                    continue;
                }
                let found = self
                    .table(edge.id)?
                    .find(&[column], std::slice::from_ref(&ids))
                    .await?;
                for (row, positions) in found.iter().enumerate() {
                    if positions
                        .iter()
                        .all(|position| self.is_gone(edge.id, position))
                    {
                        continue;
                    }
                    let constraint = foreign_key(edge, column);
                    return Err(ConstraintViolation {
                        kind: ConstraintKind::ForeignKey,
                        table: edge.table.clone(),
                        column: None,
                        constraint: Some(constraint.to_owned()),
                        message: format!(
                            "update or delete on table \"{}\" violates foreign key constraint \"{constraint}\" on table \"{}\"",
                            def.table, edge.table
                        ),
                        detail: Some(format!(
                            "Key (id)=({}) is still referenced from table \"{}\".",
                            ids.as_string::<i32>().value(row),
                            edge.table
                        )),
                    }
                    .into());
                }
            }
        }
        Ok(())
    }

    /// `@card(min..max)`: how many edges of a type one node may have. The upper bound holds
    /// after every statement, the lower one when the transaction commits.
    async fn cardinality(&self, moment: Moment) -> Result<()> {
        for edge in self.schema.edges() {
            let TypeKind::Edge { from, card, .. } = &edge.kind else {
                continue;
            };
            if card.max.is_none() && (card.min == 0 || moment == Moment::Statement) {
                continue;
            }
            let mut delta: BTreeMap<String, i64> = BTreeMap::new();
            if let Some(effect) = self.by_table.get(&edge.id) {
                self.count_edges(edge, effect, &mut delta).await?;
            }
            if card.min > 0
                && let Some(nodes) = self.by_table.get(from)
                && let Some(put) = &nodes.put
            {
                for id in put.column(0).as_string::<i32>().iter().flatten() {
                    delta.entry(id.to_owned()).or_insert(0);
                }
            }
            if delta.is_empty() {
                continue;
            }
            let sources: ArrayRef =
                std::sync::Arc::new(StringArray::from_iter_values(delta.keys()));
            let held = self.table(edge.id)?.find(&[SRC], &[sources]).await?;
            let exists = self.sources_that_remain(*from, delta.keys()).await?;
            for (((source, change), positions), exists) in delta.iter().zip(held).zip(exists) {
                let count = positions.len() as i64 + change;
                let over = card.max.is_some_and(|max| count > max as i64);
                let under = moment == Moment::Commit && exists && count < card.min as i64;
                if over || under {
                    return Err(card_violation(edge, source, count));
                }
            }
        }
        Ok(())
    }

    async fn count_edges(
        &self,
        edge: &TypeDef,
        effect: &TableEffect,
        delta: &mut BTreeMap<String, i64>,
    ) -> Result<()> {
        if let Some(put) = &effect.put {
            for source in put.column(SRC).as_string::<i32>().iter().flatten() {
                *delta.entry(source.to_owned()).or_default() += 1;
            }
        }
        let gone: Vec<RowPosition> = self
            .gone
            .get(&edge.id)
            .map(|gone| gone.iter().copied().collect())
            .unwrap_or_default();
        let old = self.table(edge.id)?.rows(&gone, &[SRC]).await?;
        for source in old.column(0).as_string::<i32>().iter().flatten() {
            *delta.entry(source.to_owned()).or_default() -= 1;
        }
        Ok(())
    }

    /// Whether each node is there once the effects have happened.
    async fn sources_that_remain(
        &self,
        node: TypeId,
        ids: impl Iterator<Item = &String>,
    ) -> Result<Vec<bool>> {
        let ids: Vec<&str> = ids.map(String::as_str).collect();
        let put: HashSet<&str> = match self.by_table.get(&node).and_then(|e| e.put.as_ref()) {
            Some(nodes) => nodes
                .column(0)
                .as_string::<i32>()
                .iter()
                .flatten()
                .collect(),
            None => HashSet::new(),
        };
        let found = self.table(node)?.find_ids(&ids).await?;
        Ok(ids
            .iter()
            .zip(found)
            .map(|(id, position)| {
                put.contains(id) || position.is_some_and(|position| !self.is_gone(node, &position))
            })
            .collect())
    }
}

/// The table already has a row with the id of row `row`. A keyed node is told by its key.
pub(crate) fn duplicate_id(def: &TypeDef, rows: &RecordBatch, row: usize) -> Error {
    let Some(key) = &def.constraints.key else {
        return duplicate(def, &def.constraints.primary, &[0], rows, row);
    };
    let columns: Vec<usize> = def
        .key
        .iter()
        .map(|property| def.property_column(*property))
        .collect();
    duplicate(def, key, &columns, rows, row)
}

/// The name of the foreign key of one end of an edge type.
fn foreign_key(edge: &TypeDef, column: usize) -> &str {
    let name = if column == SRC {
        &edge.constraints.src
    } else {
        &edge.constraints.dst
    };
    name.as_deref().unwrap_or_default()
}

fn duplicate(
    def: &TypeDef,
    constraint: &str,
    columns: &[usize],
    rows: &RecordBatch,
    row: usize,
) -> Error {
    let all = def.columns();
    let names: Vec<&str> = columns
        .iter()
        .map(|column| all[*column].name.as_str())
        .collect();
    let values: Vec<String> = columns
        .iter()
        .map(|column| value_text(rows.column(*column), row))
        .collect();
    ConstraintViolation {
        kind: ConstraintKind::Unique,
        table: def.table.clone(),
        column: None,
        constraint: Some(constraint.to_owned()),
        message: format!("duplicate key value violates unique constraint \"{constraint}\""),
        detail: Some(format!(
            "Key ({})=({}) already exists.",
            names.join(", "),
            values.join(", ")
        )),
    }
    .into()
}

pub(crate) fn card_violation(edge: &TypeDef, source: &str, count: i64) -> Error {
    let TypeKind::Edge { card, .. } = &edge.kind else {
        return Error::internal("a node type has no cardinality");
    };
    let range = match card.max {
        Some(max) => format!("{}..{max}", card.min),
        None => format!("{}..", card.min),
    };
    let constraint = edge.constraints.card.clone().unwrap_or_default();
    ConstraintViolation {
        kind: ConstraintKind::Check,
        table: edge.table.clone(),
        column: Some("src".to_owned()),
        constraint: Some(constraint.clone()),
        message: format!(
            "edges of \"{}\" violate cardinality constraint \"{constraint}\"",
            edge.table
        ),
        detail: Some(format!(
            "Node \"{source}\" would have {count} edges of \"{}\"; {range} are allowed.",
            edge.table
        )),
    }
    .into()
}
