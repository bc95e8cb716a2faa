//! Edges and the nodes that they end at, across both sides of a merge.

use std::collections::HashSet;

use arrow::array::{ArrayRef, AsArray, RecordBatch};

use super::claims::Hashes;
use super::conflict::{ConflictKind, MergeConflict, OnConflict};
use super::plan::{PAGE, Plan, Versions, table_of};
use super::rows::{Put, sheet};
use super::schemas::NewRules;
use super::table_plan::{TablePlan, holds};
use super::three_way::{Page, Sheet};
use crate::changed::{self, Pairs};
use crate::error::Result;
use crate::schema::{TypeDef, TypeId, TypeKind};
use crate::table::RowPosition;
use crate::write::constraint::{DST, SRC};

impl Plan {
    /// The nodes that ours deleted, of the types that edges of `def` end at.
    pub(super) async fn find_lost(&mut self, def: &TypeDef) -> Result<()> {
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

    /// Both ends of every edge that is put are there once all is merged. Answers the edges
    /// that are left out.
    pub(super) async fn check_ends(
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

    /// Edges that ours added or re-pointed must not end at nodes that theirs deleted.
    pub(super) async fn check_edges_of_ours(&mut self) -> Result<()> {
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
    pub(super) async fn restore_nodes(&mut self) -> Result<()> {
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
                    table.new_to_theirs = self.new_to(&self.theirs, &def);
                    let (ours, theirs) = (NewRules::default(), table.new_to_theirs.clone());
                    table.uniques.require(&def, &ours, &theirs);
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
                let page = Page::new(theirs, absent.clone(), vec![absent], &[])?;
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

    /// Is the node there once all is merged?
    pub(super) async fn is_present(&self, node: TypeId, id: &str) -> Result<bool> {
        let plan = self.tables.get(&node);
        let restored = self
            .restored
            .get(&node)
            .is_some_and(|restored| restored.contains(id));
        if restored || plan.is_some_and(|plan| plan.returned.contains(id)) {
            return Ok(true);
        }
        let at = self.ours_node(node, id).await?;
        if let Some(at) = at {
            return Ok(!plan.is_some_and(|plan| holds(&plan.deleted, at)));
        }
        // Neither in ours nor in a base: theirs has added it, if it is there at all.
        for base in &self.bases {
            if table_of(base, node)?.find_ids(&[id]).await?[0].is_some() {
                return Ok(false);
            }
        }
        let added = table_of(&self.theirs, node)?.find_ids(&[id]).await?;
        Ok(added[0].is_some())
    }

    async fn ours_node(&self, node: TypeId, id: &str) -> Result<Option<RowPosition>> {
        let found = table_of(&self.ours, node)?.find_ids(&[id]).await?;
        Ok(found[0])
    }
}
