//! Going back: a branch set to another state, and single commits taken back.

use arrow::array::UInt32Array;
use arrow::compute::concat_batches;
use futures::{FutureExt, TryStreamExt};

use crate::commit::{CommitInfo, history};
use crate::diff::{self, RowDiff, TypeDiff};
use crate::error::{Error, Result};
use crate::format::CommitKind;
use crate::graph::Graph;
use crate::index::same_row;
use crate::names::{BranchName, CommitId};
use crate::schema::TypeId;
use crate::snapshot::Snapshot;
use crate::write::transaction::{CommitMessage, TableRows, TransactionOptions};

impl Graph {
    /// Makes a branch show another state. What it showed before stays in its history.
    pub async fn reset_branch(
        &self,
        branch: &BranchName,
        to: &Snapshot,
        actor: &str,
    ) -> Result<Snapshot> {
        let (branch, _) = self.shared.resolve(branch, false).await?;
        branch.reset(to, actor).await.map(Snapshot::of)
    }

    /// A commit on `branch` that takes back what `commit` did, against its first parent. Rows
    /// that were changed since stay as they are: then nothing is done. `None`: there was
    /// nothing to take back.
    pub async fn revert(
        &self,
        branch: &BranchName,
        commit: CommitId,
        actor: &str,
    ) -> Result<Option<CommitInfo>> {
        let (after, before) = self.around(branch, commit).await?;
        let after = self.shared.since(&before, after).boxed().await?;
        let options = TransactionOptions {
            actor: actor.to_owned(),
            ..TransactionOptions::default()
        };
        let mut transaction = self.begin(branch, options).await?;
        let mut rows = Vec::new();
        for id in diff::types(&after, &before) {
            let mut pages = diff::diff(&after, &before, id);
            let mut undone: Option<TableRows> = None;
            while let Some(found) = pages.try_next().await? {
                check_untouched(&transaction.snapshot(), id, &found, commit).await?;
                undone = Some(with_undone(undone, id, &found)?);
            }
            rows.extend(undone);
        }
        transaction.apply_rows(rows).await?;
        let message = CommitMessage {
            message: Some(format!("revert {commit}")),
            kind: CommitKind::Revert,
            ..CommitMessage::default()
        };
        transaction.commit(message).await
    }

    /// The states after a commit and after its first parent.
    async fn around(&self, branch: &BranchName, commit: CommitId) -> Result<(Snapshot, Snapshot)> {
        let point = history::find(&self.shared, commit).await?;
        let line = history::commits_of(&point.entry)
            .iter()
            .find(|line| line.id == commit)
            .ok_or_else(|| Error::internal("a commit was found in an entry that lacks it"))?;
        let Some(parent) = line.parents.first().copied() else {
            return Err(refused(commit, "it has no parent"));
        };
        if line.schema.is_some() {
            return Err(refused(commit, "it changed the schema"));
        }
        let before = history::find(&self.shared, parent).await?;
        let after = self.shared.state_at(branch, &point).await?;
        let before = self.shared.state_at(branch, &before).await?;
        Ok((Snapshot::of(after), Snapshot::of(before)))
    }
}

fn refused(commit: CommitId, why: &str) -> Error {
    Error::Unsupported {
        message: format!("commit {commit} cannot be reverted: {why}"),
        hint: Some("branch_reset() leads a branch back to any state.".to_owned()),
    }
}

/// Every row that the commit changed must be as it left it.
async fn check_untouched(
    now: &Snapshot,
    id: TypeId,
    found: &TypeDiff,
    commit: CommitId,
) -> Result<()> {
    let def = &found.def;
    let Some(table) = now
        .table(id)
        .filter(|table| table.def().shape_digest() == def.shape_digest())
    else {
        return Err(refused(
            commit,
            &format!("\"{}\" has been given another definition since", def.table),
        ));
    };
    let ids: Vec<&str> = found.rows.iter().map(|row| row.id.as_str()).collect();
    let columns: Vec<usize> = (0..def.columns().len()).collect();
    let held = table.lookup(&ids, &columns).await?;
    for (row, at) in found.rows.iter().zip(&held.index) {
        let same = match (row.before, at) {
            (None, None) => true,
            (Some(left), Some(right)) => {
                same_row(&found.before, left as usize, &held.batch, *right as usize)?
            }
            _ => false,
        };
        if !same {
            return Err(changed_since(&def.table, row, commit));
        }
    }
    Ok(())
}

fn changed_since(table: &str, row: &RowDiff, commit: CommitId) -> Error {
    Error::Invalid {
        message: format!(
            "commit {commit} cannot be reverted: \"{table}\" row \"{}\" was changed since",
            row.id
        ),
        detail: None,
        hint: Some("Revert the later commits first, or change the rows by hand.".to_owned()),
    }
}

/// What the commit put goes, and what it took is there again.
fn with_undone(before: Option<TableRows>, table: TypeId, found: &TypeDiff) -> Result<TableRows> {
    let put: UInt32Array = found.rows.iter().filter_map(|row| row.after).collect();
    let gone = found.rows.iter().filter(|row| row.after.is_none());
    let mut rows = TableRows {
        table,
        put: arrow::compute::take_record_batch(&found.after, &put)?,
        delete: gone.map(|row| row.id.clone()).collect(),
    };
    if let Some(before) = before {
        rows.put = concat_batches(&before.put.schema(), [&before.put, &rows.put])?;
        rows.delete.extend(before.delete);
    }
    Ok(rows)
}
