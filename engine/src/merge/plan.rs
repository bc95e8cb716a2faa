//! From three states to what a merge does: rows to put and rows to delete, table by table.
//!
//! What the source changed since the base is streamed, never the tables themselves: a row that
//! only the target changed needs no decision. Rows go to their files as they are decided. Nodes
//! come before edges, so that an edge is looked at when it is known which nodes remain; what
//! depends on whole tables is checked at the end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::claims::{Claims, Hashes};
use super::conflict::{Conflicts, OnConflict};
use super::counts::{each_text, is_counted};
use super::schemas::NewRules;
use super::side::{Side, Sides};
use super::table_plan::TablePlan;
use super::unique::Uniques;
use super::{dropped, reshape, schemas};
use crate::changed::{self, Located, Pairs};
use crate::dataset::{Staged, TableVersion};
use crate::error::{Error, Result};
use crate::graph::GraphShared;
use crate::schema::{Schema, TypeDef, TypeId};
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::write::constraint::SRC;

/// Rows that are decided together.
pub(super) const PAGE: usize = 2048;

/// What one merge does. [`Plan::make`] decides it; nothing is visible before it is published.
pub(super) struct Plan {
    pub bases: Vec<Side>,
    pub ours: Side,
    pub theirs: Side,
    /// Of the merged state.
    pub schema: Arc<Schema>,
    /// The versions that rows are put into, where those are not tables of ours as they are.
    pub made: BTreeMap<TypeId, TableVersion>,
    pub tables: BTreeMap<TypeId, TablePlan>,
    pub claims: Claims,
    pub conflicts: Conflicts,
    pub policy: OnConflict,
    /// A preview decides everything and writes nothing.
    pub writes: bool,
    /// By node type: ids that ours deleted.
    pub lost: HashMap<TypeId, Hashes>,
    /// Nodes that ours deleted and edges of theirs need.
    pub restored: BTreeMap<TypeId, BTreeSet<String>>,
}

/// A table's versions, as a merge looks at them.
pub(super) struct Versions {
    pub def: Arc<TypeDef>,
    pub bases: Vec<Table>,
    pub ours: Table,
    pub theirs: Table,
    /// Ours, by the places of its rows.
    pub ours_places: Located,
    /// The base, by the places of its rows.
    pub base_places: Located,
    /// Columns that theirs has dropped and the merged schema keeps: theirs has not touched
    /// their values. Empty: there are none.
    pub theirs_lacks: Vec<bool>,
}

impl Plan {
    pub async fn make(
        graph: &GraphShared,
        bases: Vec<Snapshot>,
        ours: Snapshot,
        theirs: Snapshot,
        policy: OnConflict,
        writes: bool,
    ) -> Result<Plan> {
        let schema = schemas::merged(&bases, &ours, &theirs, policy)?;
        let made = match writes {
            true => reshape::made(graph, &ours, &theirs, &schema, policy).await?,
            false => BTreeMap::new(),
        };
        let mut conflicts = Conflicts::default();
        if let Some(base) = bases.first() {
            dropped::find(base, &ours, &theirs, &schema, policy, &mut conflicts).await?;
        }
        let Sides {
            bases,
            ours,
            theirs,
        } = Sides::under(&schema, bases, ours, theirs).await?;
        let mut plan = Plan {
            bases,
            ours,
            theirs,
            schema: schema.clone(),
            made,
            tables: BTreeMap::new(),
            claims: Claims::default(),
            conflicts,
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

    pub(super) fn failing(&self) -> bool {
        self.policy == OnConflict::Fail && self.conflicts.is_full()
    }

    /// What a side has not asked of a type's rows, and the merged schema does.
    pub(super) fn new_to(&self, side: &Side, def: &TypeDef) -> NewRules {
        NewRules::of(&self.schema, def, side.own_def(def.id))
    }

    /// Decides what becomes of every row of one type that the source changed.
    async fn sweep(&mut self, def: &Arc<TypeDef>) -> Result<()> {
        let in_base = |base: &Side| base.own_def(def.id).is_some();
        if self.theirs.own_def(def.id).is_none() && self.bases.iter().any(in_base) {
            // Theirs dropped the type, and the side that has it was chosen.
            return Ok(());
        }
        let versions = self.versions(def).await?;
        let mut pairs: Vec<Pairs> = Vec::with_capacity(versions.bases.len());
        for base in &versions.bases {
            pairs.push(Pairs::between(Some(base.clone()), Some(versions.theirs.clone())).await?);
        }
        let new_to_ours = self.new_to(&self.ours, def);
        let new_to_theirs = self.new_to(&self.theirs, def);
        let as_bases = pairs
            .iter()
            .all(|pairs| pairs.places().iter().all(|places| places.is_empty()));
        if as_bases && new_to_ours.is_empty() && new_to_theirs.is_empty() {
            return Ok(());
        }
        let untouched = versions
            .bases
            .iter()
            .all(|base| base.key() == versions.ours.key() || base.same_rows(&versions.ours));
        let adopts = untouched
            && !new_to_ours.counts
            && schemas::fits(&self.schema, def, self.theirs.own_def(def.id))
            && self.policy == OnConflict::Fail;
        let mut table = TablePlan {
            adopts,
            written: (!adopts).then(Vec::new),
            new_to_theirs,
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
            let theirs = table.new_to_theirs.clone();
            table.uniques.require(def, &new_to_ours, &theirs);
            self.count_for_new_rules(&versions, &mut table, new_to_ours.counts)
                .await?;
        }
        self.find_lost(def).await?;
        for number in 0..pairs.len() {
            let (earlier, rest) = pairs.split_at_mut(number);
            let [pairs, ..] = rest else { break };
            while let Some(mut range) = pairs.next().await? {
                // In the order of the files, so that each is read about once.
                range.sort_unstable_by_key(|pair| (pair.new, pair.old));
                for page in range.chunks(PAGE) {
                    self.decide(&versions, &mut table, earlier, page).await?;
                    if self.failing() {
                        return Ok(());
                    }
                }
            }
        }
        self.check_values_of_ours(&versions, &table, &new_to_ours)
            .await?;
        self.tables.insert(def.id, table);
        Ok(())
    }

    pub(super) async fn versions(&self, def: &Arc<TypeDef>) -> Result<Versions> {
        let bases = self
            .bases
            .iter()
            .map(|base| table_of(base, def.id))
            .collect::<Result<Vec<_>>>()?;
        let ours = table_of(&self.ours, def.id)?;
        let lacks = schemas::lacks(
            &self.schema,
            def,
            self.theirs.own_def(def.id),
            self.bases.iter().filter_map(|base| base.own_def(def.id)),
        );
        Ok(Versions {
            theirs_lacks: lacks,
            def: def.clone(),
            ours_places: Located::of(Some(&ours)).await?,
            base_places: Located::of(bases.first()).await?,
            theirs: table_of(&self.theirs, def.id)?,
            bases,
            ours,
        })
    }

    /// What ours changed, as far as theirs could clash with it.
    pub(super) async fn look_at_ours(
        &self,
        versions: &Versions,
        table: &mut TablePlan,
    ) -> Result<()> {
        let ours = &versions.ours;
        let changed = changed::moved(Some(ours), versions.bases.first()).await?;
        table.uniques = Uniques::of(ours, &changed).await?;
        if is_counted(&versions.def) {
            for base in &versions.bases {
                let gone = changed::moved(Some(base), Some(ours)).await?;
                let mut add = |source: &str| table.ours_sources.push_id(source);
                each_text(base, &gone, SRC, &mut add).await?;
            }
            let mut add = |source: &str| table.ours_sources.push_id(source);
            each_text(ours, &changed, SRC, &mut add).await?;
            table.ours_sources.settle();
        }
        Ok(())
    }

    pub(super) async fn check_uniques(&mut self) -> Result<()> {
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
}

pub(super) fn table_of(state: &Side, id: TypeId) -> Result<Table> {
    state
        .table(id)
        .ok_or_else(|| Error::internal("a type of the schema has no table"))
}
