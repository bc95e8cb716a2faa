//! The rules between the lines of a file, and between the file and the graph, with the line
//! that breaks one. Memory does not grow with the file.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::row::{RowConverter, SortField};

use super::LoadMode;
use super::keys::{Key, KeySet, Sorted};
use crate::error::{Error, Result};
use crate::ndjson::{LineError, Mistakes, TypeBatch};
use crate::schema::{Schema, TypeDef, TypeId, TypeKind};
use crate::snapshot::Snapshot;
use crate::table::{RowPosition, Table};
use crate::write::constraint::{DST, SRC};

pub(super) struct Checks {
    base: Snapshot,
    mode: LoadMode,
    ids: BTreeMap<TypeId, KeySet>,
    /// By node type: ends of edges that the graph itself does not have. The key's line carries
    /// in its low byte which end of which edge type it is.
    ends: BTreeMap<TypeId, KeySet>,
    end_names: Vec<(Arc<TypeDef>, &'static str)>,
    uniques: BTreeMap<(TypeId, usize), KeySet>,
    sources: BTreeMap<TypeId, KeySet>,
    pub mistakes: Mistakes,
}

/// What the graph has of the rows of one batch.
#[derive(Default)]
pub(super) struct Found {
    pub replaced: Vec<RowPosition>,
}

impl Checks {
    pub fn new(base: Snapshot, mode: LoadMode) -> Self {
        Checks {
            base,
            mode,
            ids: BTreeMap::new(),
            ends: BTreeMap::new(),
            end_names: Vec::new(),
            uniques: BTreeMap::new(),
            sources: BTreeMap::new(),
            mistakes: Mistakes::default(),
        }
    }

    fn schema(&self) -> Arc<Schema> {
        self.base.schema().clone()
    }

    /// The table as it will be under the loaded rows: nothing where it is replaced.
    fn beneath(&self, id: TypeId) -> Option<Table> {
        if self.mode == LoadMode::Overwrite {
            return None;
        }
        self.base.table(id).filter(|table| table.row_count() > 0)
    }

    pub async fn add(&mut self, rows: &TypeBatch) -> Result<Found> {
        let found = self.add_ids(rows).await?;
        self.add_uniques(rows).await?;
        if let TypeKind::Edge { from, to, card } = &rows.def.kind {
            self.add_ends(rows, SRC, "from", *from).await?;
            self.add_ends(rows, DST, "to", *to).await?;
            if card.min > 0 || card.max.is_some() {
                self.add_sources(rows)?;
            }
        }
        Ok(found)
    }

    async fn add_ids(&mut self, rows: &TypeBatch) -> Result<Found> {
        let ids = rows.batch.column(0).as_string::<i32>();
        let set = self.ids.entry(rows.def.id).or_default();
        for (id, line) in ids.iter().flatten().zip(&rows.lines) {
            set.push(Key::of(id.as_bytes(), *line))?;
        }
        let mut found = Found::default();
        if let Some(table) = self.beneath(rows.def.id) {
            let wanted: Vec<&str> = ids.iter().flatten().collect();
            let positions = table.find_ids(&wanted).await?;
            for (row, position) in positions.iter().enumerate() {
                let Some(position) = position else { continue };
                if self.mode == LoadMode::Merge {
                    found.replaced.push(*position);
                    continue;
                }
                self.mistakes.add(LineError {
                    line: rows.lines[row],
                    type_name: Some(rows.def.name.clone()),
                    property: None,
                    reason: format!(
                        "id \"{}\" exists already; load with mode merge to replace it",
                        ids.value(row)
                    ),
                });
            }
        }
        Ok(found)
    }

    async fn add_uniques(&mut self, rows: &TypeBatch) -> Result<()> {
        let def = rows.def.clone();
        for (number, unique) in def.uniques.iter().enumerate() {
            if !def.key.is_empty() && unique.properties == def.key {
                continue;
            }
            let columns = unique.columns.clone();
            let values: Vec<ArrayRef> = columns
                .iter()
                .map(|column| rows.batch.column(*column).clone())
                .collect();
            let fields = values
                .iter()
                .map(|value| SortField::new(value.data_type().clone()))
                .collect();
            let encoded = RowConverter::new(fields)?.convert_columns(&values)?;
            let set = self.uniques.entry((def.id, number)).or_default();
            for (row, line) in rows.lines.iter().enumerate() {
                if values.iter().all(|value| value.is_valid(row)) {
                    set.push(Key::of(encoded.row(row).as_ref(), *line))?;
                }
            }
            let Some(table) = self.beneath(def.id) else {
                continue;
            };
            let ids = rows.batch.column(0).as_string::<i32>();
            let held = table.find(&columns, &values).await?;
            for (row, positions) in held.iter().enumerate() {
                let owners = table.rows(positions, &[0]).await?;
                let owned = owners.column(0).as_string::<i32>();
                if owned.iter().flatten().any(|owner| owner != ids.value(row)) {
                    self.mistakes.add(LineError {
                        line: rows.lines[row],
                        type_name: Some(def.name.clone()),
                        property: None,
                        reason: format!("breaks unique constraint \"{}\": the graph has the same values in another row", unique.name),
                    });
                }
            }
        }
        Ok(())
    }

    async fn add_ends(
        &mut self,
        rows: &TypeBatch,
        column: usize,
        end: &'static str,
        node: TypeId,
    ) -> Result<()> {
        let known = self
            .end_names
            .iter()
            .position(|(def, name)| def.id == rows.def.id && *name == end);
        let tag = known.unwrap_or_else(|| {
            self.end_names.push((rows.def.clone(), end));
            self.end_names.len() - 1
        });
        if tag > 255 {
            return Err(Error::LimitExceeded {
                what: "the number of edge type ends in one load".to_owned(),
                limit: 256,
                actual: tag as u64 + 1,
            });
        }
        let ends = rows.batch.column(column).as_string::<i32>();
        let there = match self.beneath(node) {
            None => vec![None; ends.len()],
            Some(table) => {
                let wanted: Vec<&str> = ends.iter().map(Option::unwrap_or_default).collect();
                table.find_ids(&wanted).await?
            }
        };
        let set = self.ends.entry(node).or_default();
        for ((id, line), there) in ends.iter().zip(&rows.lines).zip(there) {
            if let (Some(id), None) = (id, there) {
                set.push(Key::of(id.as_bytes(), line << 8 | tag as u64))?;
            }
        }
        Ok(())
    }

    fn add_sources(&mut self, rows: &TypeBatch) -> Result<()> {
        let ends = rows.batch.column(SRC).as_string::<i32>();
        let set = self.sources.entry(rows.def.id).or_default();
        for (id, line) in ends.iter().flatten().zip(&rows.lines) {
            set.push(Key::of(id.as_bytes(), *line))?;
        }
        Ok(())
    }

    /// What can only be said once every line is known.
    pub fn finish(mut self) -> Result<Mistakes> {
        let schema = self.schema();
        let mut mistakes = std::mem::take(&mut self.mistakes);
        for ((id, number), set) in std::mem::take(&mut self.uniques) {
            if let Some(def) = schema.by_id(id) {
                let name = &def.uniques[number].name;
                let reason =
                    format!("breaks unique constraint \"{name}\": the same values stand in line");
                find_twice(def, set.sorted()?, &reason, &mut mistakes, |_, _| Ok(()))?;
            }
        }
        let whole = self.mode == LoadMode::Overwrite;
        for def in schema.nodes() {
            let ids = self.ids.remove(&def.id).unwrap_or_default().sorted()?;
            let mut ends = self.ends.remove(&def.id).unwrap_or_default().sorted()?;
            let mut counted = Vec::new();
            for edge in schema.edges() {
                let TypeKind::Edge { from, card, .. } = &edge.kind else {
                    continue;
                };
                if *from == def.id && card.min > 0 && (whole || self.beneath(edge.id).is_none()) {
                    let sources = self.sources.remove(&edge.id).unwrap_or_default();
                    counted.push((edge.clone(), *card, sources.sorted()?));
                }
            }
            let names = &self.end_names;
            let missing = |end: &Key| {
                let (edge, name) = &names[(end.line & 0xff) as usize];
                LineError {
                    line: end.line >> 8,
                    type_name: Some(edge.name.clone()),
                    property: Some((*name).to_owned()),
                    reason: format!("names no {} of this file or the graph", def.name),
                }
            };
            find_twice(def, ids, SAME_ID, &mut mistakes, |key, mistakes| {
                for_unmatched(&mut ends, Some(key), |end| mistakes.add(missing(end)))?;
                for (edge, card, sources) in &mut counted {
                    let count = count_of(sources, key)?;
                    if count < card.min || card.max.is_some_and(|max| count > max) {
                        mistakes.add(card_error(edge, key.line, count));
                    }
                }
                Ok(())
            })?;
            for_unmatched(&mut ends, None, |end| mistakes.add(missing(end)))?;
        }
        for (id, set) in std::mem::take(&mut self.ids) {
            if let Some(def) = schema.by_id(id) {
                find_twice(def, set.sorted()?, SAME_ID, &mut mistakes, |_, _| Ok(()))?;
            }
        }
        for (id, set) in std::mem::take(&mut self.sources) {
            if let Some(def) = schema.by_id(id) {
                too_many(def, set.sorted()?, &mut mistakes)?;
            }
        }
        mistakes.sort();
        Ok(mistakes)
    }
}

const SAME_ID: &str = "the same id stands in line";

/// Reports keys that occur twice; shows each different key once to `each`.
fn find_twice(
    def: &TypeDef,
    mut keys: Sorted,
    reason: &str,
    mistakes: &mut Mistakes,
    mut each: impl FnMut(&Key, &mut Mistakes) -> Result<()>,
) -> Result<()> {
    let mut last: Option<Key> = None;
    while let Some(key) = keys.next()? {
        match &last {
            Some(first) if first.hash() == key.hash() => mistakes.add(LineError {
                line: key.line,
                type_name: Some(def.name.clone()),
                property: None,
                reason: format!("{reason} {}", first.line),
            }),
            _ => {
                each(&key, mistakes)?;
                last = Some(key);
            }
        }
    }
    Ok(())
}

fn too_many(def: &TypeDef, mut keys: Sorted, mistakes: &mut Mistakes) -> Result<()> {
    let TypeKind::Edge { card, .. } = &def.kind else {
        return Ok(());
    };
    let Some(max) = card.max else { return Ok(()) };
    while let Some(key) = keys.next()? {
        let mut count = 1;
        let mut line = key.line;
        while keys.peek().is_some_and(|next| next.hash() == key.hash()) {
            line = keys.next()?.map_or(line, |next| next.line);
            count += 1;
        }
        if count > max {
            mistakes.add(card_error(def, line, count));
        }
    }
    Ok(())
}

/// Takes the ends that no id matches, up to `key`.
fn for_unmatched(ends: &mut Sorted, key: Option<&Key>, mut each: impl FnMut(&Key)) -> Result<()> {
    while let Some(end) = ends.peek() {
        match key {
            Some(key) if end.hash() > key.hash() => break,
            Some(key) if end.hash() == key.hash() => {
                ends.next()?;
            }
            _ => {
                if let Some(end) = ends.next()? {
                    each(&end);
                }
            }
        }
    }
    Ok(())
}

fn count_of(sources: &mut Sorted, key: &Key) -> Result<u64> {
    let mut count = 0;
    while let Some(source) = sources.peek() {
        if source.hash() > key.hash() {
            break;
        }
        count += u64::from(source.hash() == key.hash());
        sources.next()?;
    }
    Ok(count)
}

fn card_error(edge: &TypeDef, line: u64, count: u64) -> LineError {
    let range = edge
        .cardinality()
        .map(|card| match card.max {
            Some(max) => format!("{}..{max}", card.min),
            None => format!("{}..", card.min),
        })
        .unwrap_or_default();
    LineError {
        line,
        type_name: Some(edge.name.clone()),
        property: None,
        reason: format!("the node has {count} edges of this type; @card allows {range}"),
    }
}
