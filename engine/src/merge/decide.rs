//! What becomes of the rows that the source changed, a page at a time.

use std::collections::HashSet;

use arrow::array::{AsArray, RecordBatch, UInt32Array, new_null_array};

use super::conflict::{ConflictKind, MergeConflict, OnConflict};
use super::counts::is_counted;
use super::plan::{PAGE, Plan, Versions};
use super::rows::{Put, cell, composed, rows_of_bases, rows_of_one_base, sheet};
use super::schemas::NewRules;
use super::table_plan::{TablePlan, holds};
use super::three_way::{Decision, Page, Sheet};
use super::unique::PutRow;
use crate::changed::{self, Pair, Pairs};
use crate::error::{ConstraintViolation, Result};
use crate::schema::{ID_COLUMN, TypeDef, TypeKind};
use crate::table::RowPosition;
use crate::write::constraint::{DST, SRC};
use crate::write::files::FileWriter;
use crate::write::value::ValueChecker;

impl Plan {
    /// Decides the rows of one page, of which some were among `earlier` pairs.
    pub(super) async fn decide(
        &mut self,
        versions: &Versions,
        table: &mut TablePlan,
        earlier: &[Pairs],
        pairs: &[Pair],
    ) -> Result<()> {
        let mut rows = if versions.bases.len() == 1 {
            rows_of_one_base(versions, pairs).await?
        } else {
            rows_of_bases(versions, earlier, pairs).await?
        };
        if !versions.theirs_lacks.is_empty() {
            // What theirs has not is ours: its rows are looked at.
            rows.as_base.fill(false);
        }
        let columns: Vec<usize> = (0..versions.def.columns().len()).collect();
        let theirs = sheet(&versions.theirs, rows.theirs.clone(), &columns).await?;
        // Who deletes a row that ours left alone need not know what was in it.
        let counts = is_counted(&versions.def);
        let matters = |row: usize| counts || rows.theirs[row].is_some() || !rows.as_base[row];
        let mut bases = Vec::with_capacity(versions.bases.len());
        for (base, mut places) in versions.bases.iter().zip(rows.bases) {
            for (row, place) in places.iter_mut().enumerate() {
                *place = place.filter(|_| matters(row));
            }
            bases.push(sheet(base, places, &columns).await?);
        }
        let looked_at = rows
            .ours
            .iter()
            .zip(&rows.as_base)
            .map(|(at, as_base)| at.filter(|_| !as_base))
            .collect();
        let ours = sheet(&versions.ours, looked_at, &columns).await?;
        let page = Page::new(theirs, ours, bases, &versions.theirs_lacks)?;
        let mut puts = Vec::new();
        for row in 0..rows.ids.len() {
            let id = &rows.ids[row];
            let decision = if rows.as_base[row] {
                match page.theirs.row(row) {
                    Some(_) if page.theirs_unchanged(row) => Decision::Keep,
                    Some(_) => Decision::Put(vec![true; columns.len()]),
                    None => Decision::Delete,
                }
            } else {
                let verdict = page.decide(row, self.policy);
                if let Some((kind, columns)) = verdict.conflict {
                    self.disagree(versions, &page, row, id, kind, &columns)?;
                }
                verdict.decision
            };
            let claims = self.claims.tables.entry(versions.def.id).or_default();
            if !table.adopts {
                claims.decided.push_id(id);
            }
            match decision {
                Decision::Keep => {}
                Decision::Delete => {
                    let Some(at) = rows.ours[row] else { continue };
                    if !versions.def.is_edge() {
                        claims.deleted.push_id(id);
                    }
                    table.count_source(versions, &page, row, claims);
                    table.delete(id, at);
                }
                Decision::Put(choice) => puts.push(Put {
                    row,
                    choice,
                    replaces: rows.ours[row],
                }),
            }
        }
        self.put(versions, table, &page, &rows.theirs, puts).await
    }

    fn disagree(
        &mut self,
        versions: &Versions,
        page: &Page,
        row: usize,
        id: &str,
        kind: ConflictKind,
        columns: &[Option<usize>],
    ) -> Result<()> {
        if self.policy != OnConflict::Fail {
            return Ok(());
        }
        for &column in columns {
            let of = |sheet: &Sheet| match column {
                Some(column) => cell(sheet, row, column),
                None => Ok(None),
            };
            self.conflicts.push(MergeConflict {
                kind,
                table: versions.def.table.clone(),
                id: id.to_owned(),
                property: column.map(|at| versions.def.columns()[at].name.clone()),
                base: page.bases.first().map_or(Ok(None), of)?,
                ours: of(&page.ours)?,
                theirs: of(&page.theirs)?,
            });
        }
        Ok(())
    }

    /// Puts rows into ours, once each is known to break no rule.
    pub(super) async fn put(
        &mut self,
        versions: &Versions,
        table: &mut TablePlan,
        page: &Page,
        theirs_at: &[Option<RowPosition>],
        mut puts: Vec<Put>,
    ) -> Result<()> {
        if puts.is_empty() {
            return Ok(());
        }
        let mut batch = composed(versions, page, &puts)?;
        let broken = self.check_values(versions, table, page, &puts, &batch)?;
        let without_end = self.check_ends(versions, table, &puts, &batch).await?;
        if broken.len() + without_end.len() > 0 {
            let kept: Vec<u32> = (0..puts.len() as u32)
                .filter(|put| !broken.contains(put) && !without_end.contains(put))
                .collect();
            batch = arrow::compute::take_record_batch(&batch, &UInt32Array::from(kept.clone()))?;
            let mut number = 0;
            puts.retain(|_| {
                number += 1;
                kept.binary_search(&(number - 1)).is_ok()
            });
        }
        let claims = self.claims.tables.entry(versions.def.id).or_default();
        let ids = batch.column(0).as_string::<i32>();
        for (number, put) in puts.iter().enumerate() {
            table.count_source(versions, page, put.row, claims);
            match put.replaces {
                Some(at) => table.replace(at),
                None => {
                    table.counts.inserted += 1;
                    if page.bases.iter().any(|base| base.at[put.row].is_some()) {
                        table.returned.insert(ids.value(number).to_owned());
                    }
                }
            }
            table.list(ids.value(number));
        }
        if !table.adopts {
            let rows: Vec<PutRow> = puts
                .iter()
                .map(|put| PutRow {
                    row: put.row,
                    theirs: theirs_at[put.row],
                    replaces: put.replaces,
                    mixed: put.is_mixed(),
                })
                .collect();
            table
                .uniques
                .put(&versions.ours, page, &batch, &rows, claims)
                .await?;
        }
        if versions.def.is_edge() {
            if is_counted(&versions.def) {
                table.count_puts(&batch, claims);
            }
            let TypeKind::Edge { from, to, .. } = &versions.def.kind else {
                return Ok(());
            };
            for (column, node) in [(SRC, from), (DST, to)] {
                let ends = self.claims.ends.entry(*node).or_default();
                ends.extend_ids(batch.column(column));
            }
        }
        if table.adopts || !self.writes || batch.num_rows() == 0 {
            return Ok(());
        }
        let writer = match &mut table.writer {
            Some(writer) => writer,
            None => {
                let version = match self.made.get(&versions.def.id) {
                    Some(version) => version.clone(),
                    None => versions.ours.version().await?,
                };
                let schema = versions.def.arrow_schema();
                table.writer.insert(FileWriter::begin(version, schema))
            }
        };
        let columns = batch.columns().to_vec();
        writer
            .write(RecordBatch::try_new(versions.def.arrow_schema(), columns)?)
            .await
    }

    /// A row that has values of both sides may break a rule that each side keeps, and theirs
    /// one that theirs has not asked of it.
    fn check_values(
        &mut self,
        versions: &Versions,
        table: &TablePlan,
        page: &Page,
        puts: &[Put],
        batch: &RecordBatch,
    ) -> Result<HashSet<u32>> {
        let mut broken = HashSet::new();
        let checker = ValueChecker::new(&versions.def);
        for (number, put) in puts.iter().enumerate() {
            if !put.is_mixed() && table.new_to_theirs.values.is_empty() {
                continue;
            }
            let Err((_, violation)) = checker.check_values(&batch.slice(number, 1)) else {
                continue;
            };
            let at = broken_column(&versions.def, &violation);
            let of = |sheet: &Sheet| at.map_or(Ok(None), |at| cell(sheet, put.row, at));
            self.conflicts.push(MergeConflict {
                kind: ConflictKind::ValueConstraintViolation,
                table: versions.def.table.clone(),
                id: batch.column(0).as_string::<i32>().value(number).to_owned(),
                property: at.map(|at| versions.def.columns()[at].name.clone()),
                base: page.bases.first().map_or(Ok(None), of)?,
                ours: of(&page.ours)?,
                theirs: of(&page.theirs)?,
            });
            broken.insert(number as u32);
        }
        Ok(broken)
    }

    /// Rows that only ours changed keep what theirs newly asks of them.
    pub(super) async fn check_values_of_ours(
        &mut self,
        versions: &Versions,
        table: &TablePlan,
        new_to_ours: &NewRules,
    ) -> Result<()> {
        if new_to_ours.values.is_empty() {
            return Ok(());
        }
        let (def, ours) = (&versions.def, &versions.ours);
        let checker = ValueChecker::of_columns(def, &new_to_ours.values);
        let mut wanted = vec![ID_COLUMN];
        wanted.extend(&new_to_ours.values);
        let chunks = ours.chunks().await?;
        for (chunk, offsets) in changed::moved(Some(ours), versions.bases.first()).await? {
            let offsets: Vec<u32> = offsets.iter().collect();
            for offsets in offsets.chunks(PAGE) {
                let held = ours
                    .take_of(&chunks[chunk as usize], &wanted, offsets)
                    .await?;
                let columns = def.columns().iter().enumerate();
                let columns = columns.map(|(at, column)| {
                    match wanted.iter().position(|wanted| *wanted == at) {
                        Some(found) => held[found].clone(),
                        None => new_null_array(&column.data_type, offsets.len()),
                    }
                });
                let rows = RecordBatch::try_new(def.row_schema(), columns.collect())?;
                for (row, violation) in checker.refused(&rows) {
                    let offset = offsets[row];
                    if holds(&table.replaced, RowPosition { chunk, offset }) {
                        continue;
                    }
                    let at = broken_column(def, &violation);
                    self.conflicts.push(MergeConflict {
                        kind: ConflictKind::ValueConstraintViolation,
                        table: def.table.clone(),
                        id: held[0].as_string::<i32>().value(row).to_owned(),
                        base: None,
                        property: at.map(|at| def.columns()[at].name.clone()),
                        ours: at.map(|at| rows.column(at).slice(row, 1)),
                        theirs: None,
                    });
                }
            }
        }
        Ok(())
    }
}

/// The column whose value breaks a rule.
fn broken_column(def: &TypeDef, violation: &ConstraintViolation) -> Option<usize> {
    let name = violation.constraint.as_ref();
    let check = def.checks.iter().find(|check| Some(&check.name) == name);
    let mut properties = def.properties.iter();
    let words = properties.position(|property| {
        property.enum_constraint.is_some() && property.enum_constraint.as_ref() == name
    });
    let property = check.map(|check| check.property).or(words);
    let column = violation
        .column
        .as_deref()
        .and_then(|name| def.column(name));
    let column = column.map(|(at, _)| at);
    column.or_else(|| property.map(|at| def.property_column(at)))
}
