//! MERGE: the rows of the source, divided by what is done with them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int32Type;
use futures::TryStreamExt;
use omnigraph_engine::Transaction;
use omnigraph_engine::clock::Environment;
use omnigraph_engine::write::identity::fill_ids;

use super::change::{Run, default_of, engine_rows, refuse_key_change};
use super::{Effect, Target};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::bind::{BoundMerge, MergeAction};

impl Run<'_> {
    pub(super) async fn merge(
        &self,
        transaction: &mut Transaction,
        target: &Target,
        merge: &BoundMerge,
        environment: &dyn Environment,
    ) -> PgResult<Effect> {
        let width = target.def.columns().len();
        let mut effect = Effect::default();
        let mut touched = HashSet::new();
        let mut chunks = self.chunks(&merge.source).await?;
        while let Some(chunk) = chunks.try_next().await? {
            let chosen = chunk.column(width).as_primitive::<Int32Type>().clone();
            for (number, action) in merge.actions.iter().enumerate() {
                let mask: BooleanArray = chosen
                    .iter()
                    .map(|chosen| Some(chosen == Some(number as i32)))
                    .collect();
                if *action == MergeAction::Nothing || mask.true_count() == 0 {
                    continue;
                }
                let rows = Rows::of(&filter_record_batch(&chunk, &mask)?, width);
                if !matches!(action, MergeAction::Insert { .. }) {
                    rows.refuse_second(&mut touched)?;
                }
                effect.rows += rows.count as u64;
                rows.apply(transaction, target, action, environment).await?;
            }
        }
        Ok(effect)
    }
}

/// Rows of one action: what was, and the values that the action gives.
struct Rows {
    old: Vec<ArrayRef>,
    new: Vec<ArrayRef>,
    count: usize,
}

impl Rows {
    fn of(rows: &RecordBatch, width: usize) -> Self {
        Rows {
            old: rows.columns()[..width].to_vec(),
            new: rows.columns()[width + 1..].to_vec(),
            count: rows.num_rows(),
        }
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.old[0].as_string::<i32>().iter().flatten()
    }

    fn refuse_second(&self, touched: &mut HashSet<String>) -> PgResult<()> {
        for id in self.ids() {
            if !touched.insert(id.to_owned()) {
                return Err(PgError::new(
                    sqlstate::CARDINALITY_VIOLATION,
                    "MERGE command cannot affect row a second time",
                )
                .hint("Ensure that not more than one source row matches any one target row."));
            }
        }
        Ok(())
    }

    async fn apply(
        &self,
        transaction: &mut Transaction,
        target: &Target,
        action: &MergeAction,
        environment: &dyn Environment,
    ) -> PgResult<()> {
        let def = &target.def;
        match action {
            MergeAction::Nothing => {}
            MergeAction::Delete => {
                let ids: Vec<String> = self.ids().map(str::to_owned).collect();
                transaction.delete(def.id, &ids).await?;
            }
            MergeAction::Update { columns, defaults } => {
                let mut after = self.old.clone();
                for column in columns {
                    after[*column] = Arc::clone(&self.new[*column]);
                }
                for column in defaults {
                    after[*column] = default_of(def, *column, self.count)?;
                }
                let assigned = [columns.as_slice(), defaults].concat();
                refuse_key_change(def, &assigned, &self.old, &after)?;
                let rows = engine_rows(def, &after, self.count)?;
                transaction.update(def.id, rows).await?;
            }
            MergeAction::Insert { columns } => {
                let after = (0..self.new.len())
                    .map(|column| {
                        if columns.contains(&column) {
                            Ok(Arc::clone(&self.new[column]))
                        } else {
                            default_of(def, column, self.count)
                        }
                    })
                    .collect::<PgResult<Vec<_>>>()?;
                let rows = engine_rows(def, &after, self.count)?;
                let rows = fill_ids(def, &rows, environment)?;
                transaction.insert(def.id, rows).await?;
            }
        }
        Ok(())
    }
}
