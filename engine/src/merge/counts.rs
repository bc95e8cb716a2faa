//! How many edges nodes have once both sides are merged.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};

use super::claims::TableClaims;
use super::conflict::{ConflictKind, MergeConflict};
use super::plan::{PAGE, Plan, Versions, table_of};
use super::table_plan::{TablePlan, holds};
use super::three_way::Page;
use crate::changed::{self, Places};
use crate::error::Result;
use crate::schema::{ID_COLUMN, TypeDef, TypeKind};
use crate::table::Table;
use crate::write::constraint::SRC;

impl Plan {
    /// Nodes whose edges both sides changed have as many as `@card` allows.
    pub(super) async fn check_cardinality(&mut self) -> Result<()> {
        let schema = self.schema.clone();
        let mut conflicts = Vec::new();
        for (&id, plan) in &self.tables {
            let Some(TypeKind::Edge { from, card, .. }) = schema.by_id(id).map(|def| &def.kind)
            else {
                continue;
            };
            if plan.counted.is_empty() {
                continue;
            }
            let ours = table_of(&self.ours, id)?;
            let sources: Vec<&str> = plan.counted.keys().map(String::as_str).collect();
            let values: ArrayRef = Arc::new(arrow::array::StringArray::from(sources.clone()));
            let values = [values];
            let held = ours.find(&[SRC], &values).await?;
            for (row, (source, puts)) in plan.counted.iter().enumerate() {
                let remain = held[row]
                    .iter()
                    .filter(|at| !holds(&plan.replaced, **at))
                    .count() as i64;
                let count = remain + puts;
                let over = card.max.is_some_and(|max| count > max as i64);
                let under = count < card.min as i64 && self.is_present(*from, source).await?;
                if !over && !under {
                    continue;
                }
                let one = [values[0].slice(row, 1)];
                let number = |count: usize| -> Option<ArrayRef> {
                    Some(Arc::new(arrow::array::Int64Array::from(vec![count as i64])))
                };
                let mut counts = Vec::with_capacity(2);
                for state in [self.bases.first(), Some(&self.theirs)] {
                    counts.push(match state {
                        Some(state) => {
                            let found = table_of(state, id)?.find(&[SRC], &one).await?;
                            number(found[0].len())
                        }
                        None => None,
                    });
                }
                let theirs = counts.pop().flatten();
                let base = counts.pop().flatten();
                conflicts.push(MergeConflict {
                    kind: ConflictKind::CardinalityViolation,
                    table: ours.def().table.clone(),
                    id: (*source).clone(),
                    property: Some(ours.def().columns()[SRC].name.clone()),
                    base,
                    ours: number(held[row].len()),
                    theirs,
                });
            }
        }
        for conflict in conflicts {
            self.conflicts.push(conflict);
        }
        Ok(())
    }
}

impl Plan {
    /// The nodes that a side changed, or whose edges it changed, if `@card` is new to that side.
    pub(super) async fn count_for_new_rules(
        &mut self,
        versions: &Versions,
        table: &mut TablePlan,
        new_to_ours: bool,
    ) -> Result<()> {
        let TypeKind::Edge { from, card, .. } = versions.def.kind else {
            return Ok(());
        };
        let base = versions.bases.first();
        for (side, edges, is_new) in [
            (&self.ours, &versions.ours, new_to_ours),
            (&self.theirs, &versions.theirs, table.new_to_theirs.counts),
        ] {
            if !is_new {
                continue;
            }
            let claims = self.claims.tables.entry(versions.def.id).or_default();
            let mut count = |id: &str| {
                claims.sources.push_id(id);
                table.counted.entry(id.to_owned()).or_default();
            };
            let changed = changed::moved(Some(edges), base).await?;
            each_text(edges, &changed, SRC, &mut count).await?;
            if let Some(base) = base {
                let gone = changed::moved(Some(base), Some(edges)).await?;
                each_text(base, &gone, SRC, &mut count).await?;
            }
            if card.min > 0 {
                let nodes = table_of(side, from)?;
                let before = self.bases.first().and_then(|base| base.table(from));
                let changed = changed::moved(Some(&nodes), before.as_ref()).await?;
                each_text(&nodes, &changed, ID_COLUMN, &mut count).await?;
            }
        }
        Ok(())
    }
}

impl TablePlan {
    /// Notes that the edges of a replaced or deleted row's source are counted anew.
    pub(super) fn count_source(
        &mut self,
        versions: &Versions,
        page: &Page,
        row: usize,
        claims: &mut TableClaims,
    ) {
        if self.adopts || !is_counted(&versions.def) {
            return;
        }
        for sheet in page.bases.iter().chain([&page.ours]) {
            if let Some(at) = sheet.row(row) {
                let source = sheet.rows.column(SRC).as_string::<i32>().value(at);
                self.count(source, 0, claims);
            }
        }
    }

    /// Counts edges that are put.
    pub(super) fn count_puts(&mut self, batch: &RecordBatch, claims: &mut TableClaims) {
        for source in batch.column(SRC).as_string::<i32>().iter().flatten() {
            self.count(source, 1, claims);
        }
    }

    pub(super) fn count(&mut self, source: &str, puts: i64, claims: &mut TableClaims) {
        if self.adopts {
            return;
        }
        claims.sources.push_id(source);
        if self.new_to_theirs.counts
            || self.ours_sources.contains_id(source)
            || self.counted.contains_key(source)
        {
            *self.counted.entry(source.to_owned()).or_default() += puts;
        }
    }
}

/// Is it an edge type with `@card`?
pub(super) fn is_counted(def: &TypeDef) -> bool {
    matches!(&def.kind, TypeKind::Edge { card, .. } if card.min > 0 || card.max.is_some())
}

/// The texts of a column at some places of a table.
pub(super) async fn each_text(
    table: &Table,
    places: &Places,
    column: usize,
    with: &mut impl FnMut(&str),
) -> Result<()> {
    let chunks = table.chunks().await?;
    for (&chunk, offsets) in places {
        let offsets: Vec<u32> = offsets.iter().collect();
        for offsets in offsets.chunks(PAGE) {
            let columns = table
                .take_of(&chunks[chunk as usize], &[column], offsets)
                .await?;
            columns[0]
                .as_string::<i32>()
                .iter()
                .flatten()
                .for_each(&mut *with);
        }
    }
    Ok(())
}
