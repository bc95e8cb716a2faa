//! The changes of a `.gq` query: one after the other, all or nothing.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::access::{Action, Resource};
use omnigraph_engine::names::BranchName;

use super::{Effect, Target, change};
use crate::error::{PgError, PgResult};
use crate::plan::Work;
use crate::session::Session;
use crate::session::protocol::{Column, Place};
use crate::sqlstate;
use crate::statement::bind::{Bound, BoundChanges};

impl Session {
    pub(super) async fn changes_once(
        &mut self,
        work: &Work,
        changes: &BoundChanges,
        params: &[ScalarValue],
        place: Place,
    ) -> PgResult<Effect> {
        changes.check(&self.values(params).execution())?;
        let access = self.attached()?.access.clone();
        let environment = self.attached()?.shared.graph.environment().clone();
        let branches: Vec<BranchName> = work
            .branches
            .iter()
            .map(|(branch, _)| branch.clone())
            .collect();
        let mut before = None;
        let mut effect = Effect::default();
        for step in &changes.steps {
            let target = match step.targets().as_slice() {
                [target] => Target::of(target)?,
                _ => {
                    let message = "a change of no table";
                    return Err(PgError::new(sqlstate::INTERNAL_ERROR, message));
                }
            };
            let branch = &target.branch;
            if before.is_none() {
                access.check_part(Action::Change, Resource::Reference(branch.as_str()))?;
                let transaction = self.open().writer(&access, branch).await?;
                before = Some((branch.clone(), transaction.savepoint()));
            }
            // What the steps before this one did is there to be read.
            let snapshots = self.snapshots(&branches, place).await?;
            let run = change::Run {
                executor: self.common.shared.executor.clone(),
                reading: self.reading(snapshots, place).await?,
                times: self.values(params),
            };
            let transaction = self.open().writer(&access, branch).await?;
            let done = run.write(transaction, &target, step, &*environment).await;
            match done {
                Ok(done) => {
                    let rows = match target.def.is_edge() {
                        true => &mut effect.edges,
                        false => &mut effect.nodes,
                    };
                    *rows += done.rows;
                    effect.edges += done.cascaded;
                }
                Err(error) => {
                    let error = self.located(error, Some(branch));
                    if let Some((branch, savepoint)) = &before {
                        let transaction = self.open().writer(&access, branch).await?;
                        transaction.rollback_to(savepoint);
                    }
                    return Err(error);
                }
            }
        }
        Ok(effect)
    }
}

/// The row that says what was done; no commit inside of a transaction, which makes it later.
pub(super) fn summary(effect: &Effect, columns: &[Column]) -> PgResult<RecordBatch> {
    let number = |count: u64| -> ArrayRef {
        Arc::new(Int64Array::from(vec![
            i64::try_from(count).unwrap_or(i64::MAX),
        ]))
    };
    let commit = effect.commit.map(|commit| commit.to_string());
    let arrays = vec![
        number(effect.nodes),
        number(effect.edges),
        Arc::new(StringArray::from(vec![commit])),
    ];
    let fields = columns
        .iter()
        .map(|column| Field::new(&column.name, column.ty.arrow(), true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    Ok(RecordBatch::try_new(Arc::new(schema), arrays)?)
}

pub(super) fn are_changes(bound: &Bound) -> bool {
    matches!(bound, Bound::Changes(_))
}
