//! From three states to what a merge does: rows to put and rows to delete, table by table.
//!
//! What the source changed since the base is streamed, never the tables themselves: a row that
//! only the target changed needs no decision. Rows go to their files as they are decided. Nodes
//! come before edges, so that an edge is looked at when it is known which nodes remain; what
//! depends on whole tables is checked at the end.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::interleave;

use super::Counts;
use super::claims::{Claims, Hashes, TableClaims};
use super::conflict::{ConflictKind, Conflicts, MergeConflict, OnConflict};
use super::side::Side;
use super::three_way::{Decision, Page, Sheet};
use super::unique::{PutRow, Uniques};
use super::{reshape, schemas};
use crate::changed::{self, Located, Pair, Pairs, Places};
use crate::commit::rebase::LISTED_ROWS;
use crate::dataset::{Staged, TableVersion};
use crate::error::{Error, Result};
use crate::schema::{Schema, TypeDef, TypeId, TypeKind};
use crate::snapshot::Snapshot;
use crate::table::{RowPosition, Table};
use crate::write::constraint::{DST, SRC};
use crate::write::files::FileWriter;
use crate::write::value::ValueChecker;

/// Rows that are decided together.
const PAGE: usize = 2048;

/// What one merge does. [`Plan::make`] decides it; nothing is visible before it is published.
pub(super) struct Plan {
    pub bases: Vec<Side>,
    pub ours: Side,
    pub theirs: Side,
    /// Of the merged state.
    pub schema: Arc<Schema>,
    /// Tables of ours with the columns of the merged schema, where they had others.
    pub reshaped: BTreeMap<TypeId, TableVersion>,
    pub tables: BTreeMap<TypeId, TablePlan>,
    pub claims: Claims,
    pub conflicts: Conflicts,
    policy: OnConflict,
    /// A preview decides everything and writes nothing.
    writes: bool,
    /// By node type: ids that ours deleted.
    lost: HashMap<TypeId, Hashes>,
    /// Nodes that ours deleted and edges of theirs need.
    restored: BTreeMap<TypeId, BTreeSet<String>>,
}

/// What a merge does to one table.
#[derive(Default)]
pub(super) struct TablePlan {
    /// The source's version is taken as it is: the target has not changed the table.
    pub adopts: bool,
    pub counts: Counts,
    /// Rows of ours that are replaced or deleted.
    pub replaced: Places,
    /// Those of them that are deleted.
    pub deleted: Places,
    /// The ids put and deleted, while they are few enough to be listed.
    pub written: Option<Vec<String>>,
    /// Ids that ours deleted and the merge puts back.
    returned: HashSet<String>,
    writer: Option<FileWriter>,
    pub(super) uniques: Uniques,
    /// Of an edge type with `@card`: nodes whose edges ours changed.
    ours_sources: Hashes,
    /// Those of them whose edges theirs changed too, with how many edges are put there.
    counted: BTreeMap<String, i64>,
}

/// A table's versions, as a merge looks at them.
struct Versions {
    def: Arc<TypeDef>,
    bases: Vec<Table>,
    ours: Table,
    theirs: Table,
    /// Ours, by the places of its rows.
    ours_places: Located,
    /// The base, by the places of its rows.
    base_places: Located,
}

/// One row on its way into ours.
struct Put {
    row: usize,
    choice: Vec<bool>,
    replaces: Option<RowPosition>,
}

impl Put {
    /// Does it have values of both sides?
    fn is_mixed(&self) -> bool {
        self.choice.contains(&false)
    }
}

impl Plan {
    pub async fn make(
        bases: Vec<Snapshot>,
        ours: Snapshot,
        theirs: Snapshot,
        policy: OnConflict,
        writes: bool,
    ) -> Result<Plan> {
        let schema = schemas::merged(&bases, &ours, &theirs)?;
        let reshaped = match writes {
            true => reshape::reshaped(&ours, &schema).await?,
            false => BTreeMap::new(),
        };
        if policy != OnConflict::Fail {
            schemas::check_policy(&ours, &theirs, &schema)?;
        }
        let mut states = bases;
        states.extend([ours, theirs]);
        let mut sides = Side::all(states, &schema).await?;
        let (Some(theirs), Some(ours)) = (sides.pop(), sides.pop()) else {
            return Err(Error::internal("a merge has two sides"));
        };
        let mut plan = Plan {
            bases: sides,
            ours,
            theirs,
            schema: schema.clone(),
            reshaped,
            tables: BTreeMap::new(),
            claims: Claims::default(),
            conflicts: Conflicts::default(),
            policy,
            writes,
            lost: HashMap::new(),
            restored: BTreeMap::new(),
        };
        for def in schema.nodes().chain(schema.edges()) {
            if def.is_edge() {
                plan.claims.settle();
            }
            plan.sweep(def).await?;
        }
        plan.claims.settle();
        plan.check_edges_of_ours().await?;
        plan.restore_nodes().await?;
        plan.check_uniques().await?;
        plan.check_cardinality().await?;
        plan.claims.settle();
        Ok(plan)
    }

    /// Waits for the files of the rows that are put.
    pub async fn staged(&mut self) -> Result<BTreeMap<TypeId, Staged>> {
        let mut staged = BTreeMap::new();
        for (&id, table) in &mut self.tables {
            if let Some(writer) = table.writer.take() {
                staged.insert(id, writer.finish().await?);
            }
        }
        Ok(staged)
    }

    fn failing(&self) -> bool {
        self.policy == OnConflict::Fail && self.conflicts.is_full()
    }

    /// Decides what becomes of every row of one type that the source changed.
    async fn sweep(&mut self, def: &Arc<TypeDef>) -> Result<()> {
        let versions = self.versions(def).await?;
        let mut pairs: Vec<Pairs> = Vec::with_capacity(versions.bases.len());
        for base in &versions.bases {
            pairs.push(Pairs::between(Some(base.clone()), Some(versions.theirs.clone())).await?);
        }
        if pairs
            .iter()
            .all(|pairs| pairs.places().iter().all(|places| places.is_empty()))
        {
            return Ok(());
        }
        let untouched = versions
            .bases
            .iter()
            .all(|base| base.key() == versions.ours.key())
            && self.fits(def);
        let adopts = untouched && self.policy == OnConflict::Fail;
        let mut table = TablePlan {
            adopts,
            written: (!adopts).then(Vec::new),
            ..TablePlan::default()
        };
        if let (true, false, [pairs]) = (adopts, def.is_edge(), pairs.as_slice()) {
            let [gone, added] = pairs.places();
            if gone.is_empty() {
                // Nodes were only added: nobody else's row can mind.
                table.counts.inserted = changed::count(added);
                self.tables.insert(def.id, table);
                return Ok(());
            }
        }
        if !adopts {
            self.look_at_ours(&versions, &mut table).await?;
        }
        self.find_lost(def).await?;
        for (number, pairs) in pairs.iter_mut().enumerate() {
            while let Some(mut range) = pairs.next().await? {
                // In the order of the files, so that each is read about once.
                range.sort_unstable_by_key(|pair| (pair.new, pair.old));
                for page in range.chunks(PAGE) {
                    self.decide(&versions, &mut table, number, page).await?;
                    if self.failing() {
                        return Ok(());
                    }
                }
            }
        }
        self.tables.insert(def.id, table);
        Ok(())
    }

    /// Have the source's files the very columns of the merged schema?
    fn fits(&self, def: &TypeDef) -> bool {
        let own = self.theirs.own.schema().by_id(def.id);
        own.is_some_and(|own| {
            let columns = |def: &TypeDef| -> Vec<String> {
                let all = def.columns().iter();
                all.map(|column| column.physical.clone()).collect()
            };
            columns(own) == columns(def)
        })
    }

    async fn versions(&self, def: &Arc<TypeDef>) -> Result<Versions> {
        let bases = self
            .bases
            .iter()
            .map(|base| table_of(base, def.id))
            .collect::<Result<Vec<_>>>()?;
        let ours = table_of(&self.ours, def.id)?;
        Ok(Versions {
            def: def.clone(),
            ours_places: Located::of(Some(&ours)).await?,
            base_places: Located::of(bases.first()).await?,
            theirs: table_of(&self.theirs, def.id)?,
            bases,
            ours,
        })
    }

    /// What ours changed, as far as theirs could clash with it.
    async fn look_at_ours(&self, versions: &Versions, table: &mut TablePlan) -> Result<()> {
        let ours = &versions.ours;
        let changed = changed::moved(Some(ours), versions.bases.first()).await?;
        table.uniques = Uniques::of(ours, &changed).await?;
        if is_counted(&versions.def) {
            for base in &versions.bases {
                let gone = changed::moved(Some(base), Some(ours)).await?;
                add_sources(&mut table.ours_sources, base, &gone).await?;
            }
            add_sources(&mut table.ours_sources, ours, &changed).await?;
            table.ours_sources.settle();
        }
        Ok(())
    }

    /// The nodes that ours deleted, of the types that edges of `def` end at.
    async fn find_lost(&mut self, def: &TypeDef) -> Result<()> {
        let TypeKind::Edge { from, to, .. } = &def.kind else {
            return Ok(());
        };
        for node in [*from, *to] {
            if self.lost.contains_key(&node) {
                continue;
            }
            let mut lost = Hashes::default();
            for base in &self.bases {
                let (base, ours) = (base.table(node), self.ours.table(node));
                if changed::moved(base.as_ref(), ours.as_ref())
                    .await?
                    .is_empty()
                {
                    continue;
                }
                let mut pairs = Pairs::between(base, ours).await?;
                while let Some(range) = pairs.next().await? {
                    for pair in range.iter().filter(|pair| pair.new.is_none()) {
                        lost.push_id(&pair.id);
                    }
                }
            }
            lost.settle();
            self.lost.insert(node, lost);
        }
        Ok(())
    }

    /// Decides the rows of one page. `number`: from which base they were found to differ.
    async fn decide(
        &mut self,
        versions: &Versions,
        table: &mut TablePlan,
        number: usize,
        pairs: &[Pair],
    ) -> Result<()> {
        let rows = if versions.bases.len() == 1 {
            rows_of_one_base(versions, pairs).await?
        } else {
            rows_of_bases(versions, number, pairs).await?
        };
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
        let page = Page::new(theirs, ours, bases)?;
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
    async fn put(
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
        let broken = self.check_values(versions, page, &puts, &batch)?;
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
                let version = match self.reshaped.get(&versions.def.id) {
                    Some(version) => version.clone(),
                    None => versions.ours.version().await?,
                };
                let schema = versions.def.arrow_schema();
                table.writer.insert(FileWriter::begin(version, schema))
            }
        };
        writer.write(batch).await
    }

    /// A row that has values of both sides may break a rule that each side keeps.
    fn check_values(
        &mut self,
        versions: &Versions,
        page: &Page,
        puts: &[Put],
        batch: &RecordBatch,
    ) -> Result<HashSet<u32>> {
        let mut broken = HashSet::new();
        let checker = ValueChecker::new(&versions.def);
        for (number, put) in puts.iter().enumerate() {
            if !put.is_mixed() {
                continue;
            }
            let Err((_, violation)) = checker.check_values(&batch.slice(number, 1)) else {
                continue;
            };
            let at = violation
                .column
                .as_deref()
                .and_then(|name| versions.def.column(name))
                .map(|(at, _)| at);
            let of = |sheet: &Sheet| at.map_or(Ok(None), |at| cell(sheet, put.row, at));
            self.conflicts.push(MergeConflict {
                kind: ConflictKind::ValueConstraintViolation,
                table: versions.def.table.clone(),
                id: batch.column(0).as_string::<i32>().value(number).to_owned(),
                property: violation.column,
                base: page.bases.first().map_or(Ok(None), of)?,
                ours: of(&page.ours)?,
                theirs: of(&page.theirs)?,
            });
            broken.insert(number as u32);
        }
        Ok(broken)
    }

    /// Both ends of every edge that is put are there once all is merged. Answers the edges
    /// that are left out.
    async fn check_ends(
        &mut self,
        versions: &Versions,
        table: &mut TablePlan,
        puts: &[Put],
        batch: &RecordBatch,
    ) -> Result<HashSet<u32>> {
        let mut left_out = HashSet::new();
        let TypeKind::Edge { from, to, .. } = versions.def.kind else {
            return Ok(left_out);
        };
        for (column, node) in [(SRC, from), (DST, to)] {
            let ends = batch.column(column).as_string::<i32>();
            for (number, put) in puts.iter().enumerate() {
                let end = ends.value(number);
                let lost = self
                    .lost
                    .get(&node)
                    .is_some_and(|lost| lost.contains_id(end));
                let deleted = self
                    .claims
                    .tables
                    .get(&node)
                    .is_some_and(|claims| claims.deleted.contains_id(end));
                if !(lost || deleted) || self.is_present(node, end).await? {
                    continue;
                }
                let by_ours = self.ours_node(node, end).await?.is_none();
                let id = batch.column(0).as_string::<i32>().value(number);
                match (self.policy, by_ours) {
                    (OnConflict::Fail, _) => {
                        let shown = Some(batch.column(column).slice(number, 1));
                        self.orphan(&versions.def, column, id, by_ours, shown);
                    }
                    (OnConflict::Theirs, true) => {
                        self.restored
                            .entry(node)
                            .or_default()
                            .insert(end.to_owned());
                    }
                    (OnConflict::Ours, false) => self.keep_node(node, end).await?,
                    // The edge goes with its node.
                    (OnConflict::Ours, true) => {
                        left_out.insert(number as u32);
                    }
                    (OnConflict::Theirs, false) => {
                        left_out.insert(number as u32);
                        if let Some(at) = put.replaces {
                            table.delete(id, at);
                        }
                    }
                }
            }
        }
        Ok(left_out)
    }

    /// An edge that ends at a node which the other side deleted.
    fn orphan(
        &mut self,
        def: &TypeDef,
        column: usize,
        id: &str,
        deleted_by_ours: bool,
        end: Option<ArrayRef>,
    ) {
        let (ours, theirs) = if deleted_by_ours {
            (None, end)
        } else {
            (end, None)
        };
        self.conflicts.push(MergeConflict {
            kind: ConflictKind::OrphanEdge,
            table: def.table.clone(),
            id: id.to_owned(),
            property: Some(def.columns()[column].name.clone()),
            base: None,
            ours,
            theirs,
        });
    }

    async fn ours_node(&self, node: TypeId, id: &str) -> Result<Option<RowPosition>> {
        let found = table_of(&self.ours, node)?.find_ids(&[id]).await?;
        Ok(found[0])
    }

    /// Is the node there once all is merged?
    async fn is_present(&self, node: TypeId, id: &str) -> Result<bool> {
        let plan = self.tables.get(&node);
        let restored = self
            .restored
            .get(&node)
            .is_some_and(|restored| restored.contains(id));
        if restored || plan.is_some_and(|plan| plan.returned.contains(id)) {
            return Ok(true);
        }
        let at = self.ours_node(node, id).await?;
        Ok(at.is_some_and(|at| !plan.is_some_and(|plan| holds(&plan.deleted, at))))
    }

    /// A node that theirs deleted stays all the same.
    async fn keep_node(&mut self, node: TypeId, id: &str) -> Result<()> {
        let Some(at) = self.ours_node(node, id).await? else {
            return Ok(());
        };
        if let Some(plan) = self.tables.get_mut(&node)
            && plan.keep(at)
        {
            plan.uniques.keep(at);
        }
        let minimal: Vec<TypeId> = self
            .ours
            .schema()
            .edges()
            .filter(|edge| matches!(&edge.kind, TypeKind::Edge { from, card, .. } if *from == node && card.min > 0))
            .map(|edge| edge.id)
            .collect();
        for edge in minimal {
            let plan = self.tables.entry(edge).or_default();
            plan.counted.entry(id.to_owned()).or_default();
        }
        Ok(())
    }

    /// Edges that ours added or re-pointed must not end at nodes that theirs deleted.
    async fn check_edges_of_ours(&mut self) -> Result<()> {
        let schema = self.schema.clone();
        for def in schema.edges() {
            let TypeKind::Edge { from, to, .. } = def.kind else {
                continue;
            };
            let deletes = |node: TypeId| {
                self.claims
                    .tables
                    .get(&node)
                    .is_some_and(|claims| !claims.deleted.is_empty())
            };
            if !deletes(from) && !deletes(to) {
                continue;
            }
            let ours = table_of(&self.ours, def.id)?;
            let base = self.bases.first().and_then(|base| base.table(def.id));
            let chunks = ours.chunks().await?;
            for (chunk, offsets) in changed::moved(Some(&ours), base.as_ref()).await? {
                let offsets: Vec<u32> = offsets.iter().collect();
                for offsets in offsets.chunks(PAGE) {
                    let columns = ours
                        .take_of(&chunks[chunk as usize], &[0, SRC, DST], offsets)
                        .await?;
                    for (column, node) in [(SRC, from), (DST, to)] {
                        for (row, &offset) in offsets.iter().enumerate() {
                            let end = columns[column].as_string::<i32>().value(row);
                            let deleted = self
                                .claims
                                .tables
                                .get(&node)
                                .is_some_and(|claims| claims.deleted.contains_id(end));
                            let at = RowPosition { chunk, offset };
                            let replaced = self
                                .tables
                                .get(&def.id)
                                .is_some_and(|plan| holds(&plan.replaced, at));
                            if !deleted || replaced || self.is_present(node, end).await? {
                                continue;
                            }
                            let id = columns[0].as_string::<i32>().value(row);
                            match self.policy {
                                OnConflict::Fail => {
                                    let shown = Some(columns[column].slice(row, 1));
                                    self.orphan(def, column, id, false, shown);
                                }
                                OnConflict::Ours => self.keep_node(node, end).await?,
                                OnConflict::Theirs => {
                                    let source = columns[SRC].as_string::<i32>().value(row);
                                    let plan = self.tables.entry(def.id).or_default();
                                    plan.delete(id, at);
                                    plan.counted.entry(source.to_owned()).or_default();
                                    let claims = self.claims.tables.entry(def.id).or_default();
                                    claims.decided.push_id(id);
                                    claims.sources.push_id(source);
                                }
                            }
                        }
                    }
                    if self.failing() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts back nodes that ours deleted, because edges of theirs were taken.
    async fn restore_nodes(&mut self) -> Result<()> {
        for (node, ids) in std::mem::take(&mut self.restored) {
            let Some(def) = self.schema.by_id(node).cloned() else {
                continue;
            };
            let versions = self.versions(&def).await?;
            let mut table = match self.tables.remove(&node) {
                Some(table) => table,
                None => {
                    let mut table = TablePlan {
                        written: Some(Vec::new()),
                        ..TablePlan::default()
                    };
                    self.look_at_ours(&versions, &mut table).await?;
                    table
                }
            };
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let columns: Vec<usize> = (0..def.columns().len()).collect();
            for ids in ids.chunks(PAGE) {
                let at = versions.theirs.find_ids(ids).await?;
                let theirs = sheet(&versions.theirs, at.clone(), &columns).await?;
                let absent = Sheet {
                    rows: RecordBatch::new_empty(theirs.rows.schema()),
                    at: vec![None; ids.len()],
                };
                let page = Page::new(theirs, absent.clone(), vec![absent])?;
                let puts = (0..ids.len())
                    .filter(|row| at[*row].is_some())
                    .map(|row| Put {
                        row,
                        choice: vec![true; columns.len()],
                        replaces: None,
                    })
                    .collect();
                let claims = self.claims.tables.entry(node).or_default();
                ids.iter().for_each(|id| claims.decided.push_id(id));
                self.put(&versions, &mut table, &page, &at, puts).await?;
                table.returned.extend(ids.iter().map(|id| (*id).to_owned()));
            }
            self.tables.insert(node, table);
        }
        Ok(())
    }

    async fn check_uniques(&mut self) -> Result<()> {
        for (&id, plan) in &self.tables {
            if plan.adopts {
                continue;
            }
            let (ours, theirs) = (table_of(&self.ours, id)?, table_of(&self.theirs, id)?);
            let found = plan
                .uniques
                .violations(&ours, &theirs, &plan.replaced)
                .await?;
            for conflict in found {
                self.conflicts.push(conflict);
            }
        }
        Ok(())
    }

    /// Nodes whose edges both sides changed have as many as `@card` allows.
    async fn check_cardinality(&mut self) -> Result<()> {
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

impl TablePlan {
    fn delete(&mut self, id: &str, at: RowPosition) {
        if insert(&mut self.replaced, at) {
            insert(&mut self.deleted, at);
            self.counts.deleted += 1;
            self.list(id);
        }
    }

    fn replace(&mut self, at: RowPosition) {
        if insert(&mut self.replaced, at) {
            self.counts.updated += 1;
        }
    }

    /// Takes a deletion back; false if there was none.
    fn keep(&mut self, at: RowPosition) -> bool {
        let remove = |places: &mut Places| {
            places
                .get_mut(&at.chunk)
                .is_some_and(|offsets| offsets.remove(at.offset))
        };
        if !remove(&mut self.deleted) {
            return false;
        }
        remove(&mut self.replaced);
        self.counts.deleted -= 1;
        true
    }

    fn list(&mut self, id: &str) {
        if let Some(written) = &mut self.written {
            if written.len() < LISTED_ROWS {
                written.push(id.to_owned());
            } else {
                self.written = None;
            }
        }
    }

    /// Notes that the edges of a replaced or deleted row's source are counted anew.
    fn count_source(
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
    fn count_puts(&mut self, batch: &RecordBatch, claims: &mut TableClaims) {
        for source in batch.column(SRC).as_string::<i32>().iter().flatten() {
            self.count(source, 1, claims);
        }
    }

    fn count(&mut self, source: &str, puts: i64, claims: &mut TableClaims) {
        if self.adopts {
            return;
        }
        claims.sources.push_id(source);
        if self.ours_sources.contains_id(source) {
            *self.counted.entry(source.to_owned()).or_default() += puts;
        }
    }
}

/// Is it an edge type with `@card`?
fn is_counted(def: &TypeDef) -> bool {
    matches!(&def.kind, TypeKind::Edge { card, .. } if card.min > 0 || card.max.is_some())
}

/// Where the rows of a page are in each version.
struct Rows {
    ids: Vec<String>,
    theirs: Vec<Option<RowPosition>>,
    bases: Vec<Vec<Option<RowPosition>>>,
    ours: Vec<Option<RowPosition>>,
    /// Ours is the very row of the only base.
    as_base: Vec<bool>,
}

async fn rows_of_one_base(versions: &Versions, pairs: &[Pair]) -> Result<Rows> {
    let base_chunks = versions.bases[0].chunks().await?;
    let mut ours: Vec<Option<RowPosition>> = pairs
        .iter()
        .map(|pair| {
            let old = pair.old?;
            versions
                .ours_places
                .row(&base_chunks[old.chunk as usize], old.offset)
        })
        .collect();
    let as_base: Vec<bool> = ours.iter().map(Option::is_some).collect();
    // What is not where the base has it can only be in a file that the base lacks.
    let elsewhere: Vec<usize> = (0..pairs.len()).filter(|row| !as_base[*row]).collect();
    let wanted: Vec<&str> = elsewhere
        .iter()
        .map(|row| pairs[*row].id.as_str())
        .collect();
    let found = versions
        .ours
        .find_ids_among(&wanted, |chunk| versions.base_places.chunk(chunk).is_none())
        .await?;
    for (row, at) in elsewhere.into_iter().zip(found) {
        ours[row] = at;
    }
    Ok(Rows {
        ids: pairs.iter().map(|pair| pair.id.clone()).collect(),
        theirs: pairs.iter().map(|pair| pair.new).collect(),
        bases: vec![pairs.iter().map(|pair| pair.old).collect()],
        ours,
        as_base,
    })
}

/// With several bases rows are looked up by id in all of them; those that an earlier base has
/// shown already are left out.
async fn rows_of_bases(versions: &Versions, number: usize, pairs: &[Pair]) -> Result<Rows> {
    let ids: Vec<&str> = pairs.iter().map(|pair| pair.id.as_str()).collect();
    let their_chunks = versions.theirs.chunks().await?;
    let mut shown = vec![false; pairs.len()];
    let mut bases = Vec::with_capacity(versions.bases.len());
    for (at, base) in versions.bases.iter().enumerate() {
        let found = base.find_ids(&ids).await?;
        if at < number {
            let places = Located::of(Some(base)).await?;
            for (row, pair) in pairs.iter().enumerate() {
                shown[row] |= match pair.new {
                    Some(new) => places
                        .row(&their_chunks[new.chunk as usize], new.offset)
                        .is_none(),
                    None => found[row].is_some(),
                };
            }
        }
        bases.push(found);
    }
    let ours = versions.ours.find_ids(&ids).await?;
    let rows: Vec<usize> = (0..pairs.len()).filter(|row| !shown[*row]).collect();
    let chosen = |from: &[Option<RowPosition>]| rows.iter().map(|row| from[*row]).collect();
    let theirs: Vec<Option<RowPosition>> = pairs.iter().map(|pair| pair.new).collect();
    Ok(Rows {
        ids: rows.iter().map(|row| pairs[*row].id.clone()).collect(),
        theirs: chosen(&theirs),
        bases: bases.iter().map(|base| chosen(base)).collect(),
        ours: chosen(&ours),
        as_base: vec![false; rows.len()],
    })
}

/// The rows at some places of a table.
async fn sheet(
    table: &Table,
    places: Vec<Option<RowPosition>>,
    columns: &[usize],
) -> Result<Sheet> {
    let found: Vec<RowPosition> = places.iter().copied().flatten().collect();
    let mut next = 0;
    let at = places
        .iter()
        .map(|place| {
            place.map(|_| {
                next += 1;
                next - 1
            })
        })
        .collect();
    Ok(Sheet {
        rows: table.take(&found, columns).await?,
        at,
    })
}

/// The rows to put, each column from the side that was chosen.
fn composed(versions: &Versions, page: &Page, puts: &[Put]) -> Result<RecordBatch> {
    let columns = (0..versions.def.columns().len())
        .map(|column| {
            let sides: [&dyn Array; 2] = [
                page.ours.rows.column(column),
                page.theirs.rows.column(column),
            ];
            let indices: Vec<(usize, usize)> = puts
                .iter()
                .map(|put| {
                    let sheet = if put.choice[column] {
                        &page.theirs
                    } else {
                        &page.ours
                    };
                    (
                        usize::from(put.choice[column]),
                        sheet.row(put.row).unwrap_or(0),
                    )
                })
                .collect();
            Ok(interleave(&sides, &indices)?)
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    Ok(RecordBatch::try_new(versions.def.arrow_schema(), columns)?)
}

/// One value, copied out of its page.
fn cell(sheet: &Sheet, row: usize, column: usize) -> Result<Option<ArrayRef>> {
    let Some(at) = sheet.at[row] else {
        return Ok(None);
    };
    let one = UInt32Array::from(vec![at]);
    Ok(Some(arrow::compute::take(
        sheet.rows.column(column),
        &one,
        None,
    )?))
}

async fn add_sources(sources: &mut Hashes, table: &Table, places: &Places) -> Result<()> {
    let chunks = table.chunks().await?;
    for (&chunk, offsets) in places {
        let offsets: Vec<u32> = offsets.iter().collect();
        let columns = table
            .take_of(&chunks[chunk as usize], &[SRC], &offsets)
            .await?;
        sources.extend_ids(&columns[0]);
    }
    Ok(())
}

pub(super) fn holds(places: &Places, at: RowPosition) -> bool {
    places
        .get(&at.chunk)
        .is_some_and(|offsets| offsets.contains(at.offset))
}

/// False if it was there.
pub(super) fn insert(places: &mut Places, at: RowPosition) -> bool {
    places.entry(at.chunk).or_default().insert(at.offset)
}

pub(super) fn table_of(state: &Side, id: TypeId) -> Result<Table> {
    state
        .table(id)
        .ok_or_else(|| Error::internal("a type of the schema has no table"))
}
