//! Merging one branch into another: three-way, by row and by column, in one commit.
//!
//! The base is where the two histories last met. A row that one side changed is taken from that
//! side; of a row that both changed, every column is. What cannot be reconciled is a conflict,
//! and nothing is published while there is one. What follows from the rows of both sides, that
//! edges end at nodes, that unique values are unique, that cardinalities hold, is checked on the
//! merged rows before anybody sees them. The cost follows what changed, not the tables.
//!
//! | file | what is in it |
//! |---|---|
//! | plan, table_plan | three states → rows to put and to delete |
//! | schemas, side, reshape | states with different schemas, read and written under one |
//! | dropped | rows of one side whose type or property the other dropped |
//! | rows, decide, three_way | the decision about a page of rows, and about one |
//! | ends, counts, unique | what holds for the rows of both sides together |
//! | claims, publish | past concurrent writers into the target's log |

mod claims;
mod conflict;
mod counts;
mod decide;
mod dropped;
mod ends;
mod plan;
pub(crate) mod publish;
mod reshape;
mod rows;
mod schemas;
mod side;
mod table_plan;
mod three_way;
mod unique;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;

pub use conflict::{ConflictKind, MergeConflict, OnConflict};

use self::plan::Plan;
use self::publish::MergeChange;
use crate::changed::{Pairs, count};
use crate::clock;
use crate::commit::common;
use crate::commit::proposal::{Payload, Proposal};
use crate::commit::publish::BranchShared;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::index::tuple_equality;
use crate::names::{BranchName, CommitId};
use crate::schema::{Schema, TypeId};
use crate::snapshot::{Snapshot, SnapshotState};
use crate::table::RowPosition;
use crate::write::conditions::Conditions;
use crate::write::transaction::CommitMessage;

/// How often a merge starts over because others changed what it decided on.
const ATTEMPTS: usize = 10;
/// Rows that are compared by value together.
const PAGE: usize = 2048;

#[derive(Debug, Clone, Default)]
pub struct MergeOptions {
    pub actor: String,
    /// Of the merge commit; a fast-forward makes none.
    pub message: CommitMessage,
    pub on_conflict: OnConflict,
    /// End the source branch, if nothing was committed to it meanwhile.
    pub delete_source: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeOutcome {
    /// The target has every commit of the source.
    UpToDate,
    /// The target had no commits of its own: it shows the source's commit now.
    FastForward,
    /// A commit with two parents.
    Merged,
}

impl MergeOutcome {
    pub fn name(self) -> &'static str {
        match self {
            MergeOutcome::UpToDate => "already up to date",
            MergeOutcome::FastForward => "fast-forward",
            MergeOutcome::Merged => "merged",
        }
    }
}

/// Rows of the target that a merge changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MergeSummary {
    pub outcome: MergeOutcome,
    /// What the target shows now.
    pub commit: CommitId,
    /// By SQL name: the tables that it changed.
    pub tables: BTreeMap<String, Counts>,
    /// `None`: it was not to be deleted. False: somebody committed to the source meanwhile, so
    /// it stays.
    pub source_deleted: Option<bool>,
}

impl Graph {
    /// Merges what `source` names, a branch or a commit, into a branch.
    ///
    /// Errors: [`Error::MergeConflicts`] if the two cannot be reconciled, then nothing was
    /// published; [`Error::Conflict`] if others kept changing what the merge decided on.
    pub async fn merge(
        &self,
        source: &str,
        target: &BranchName,
        options: MergeOptions,
    ) -> Result<MergeSummary> {
        self.shared.prove_writable().await?;
        let theirs = self.snapshot(source).await?;
        if options.delete_source {
            self.check_deletable(source, target)?;
        }
        let mut attempt = 1;
        let mut summary = loop {
            match self.try_merge(&theirs, target, &options).boxed().await {
                Err(error) if error.is_retryable() && attempt < ATTEMPTS => attempt += 1,
                outcome => break outcome?,
            }
        };
        if options.delete_source {
            let name = BranchName::parse(source)?;
            let deleted = self
                .end_branch_at(&name, &theirs.state, &options.actor)
                .await?;
            summary.source_deleted = Some(deleted);
        }
        Ok(summary)
    }

    /// What would keep `source` from being merged into `target` now.
    pub async fn merge_conflicts(&self, source: &str, target: &str) -> Result<Vec<MergeConflict>> {
        let (theirs, ours) = (self.snapshot(source).await?, self.snapshot(target).await?);
        let bases = self.merge_bases(&ours, &theirs).await?;
        if bases.contains(&ours.commit()) || bases.contains(&theirs.commit()) {
            return Ok(Vec::new());
        }
        let bases = self.base_states(&bases, &ours, &theirs).await?;
        let (ours, theirs) = self.since_bases(&bases, ours, theirs).await?;
        let plan = Plan::make(&self.shared, bases, ours, theirs, OnConflict::Fail, false)
            .boxed()
            .await;
        match plan {
            Ok(plan) => Ok(plan.conflicts.found),
            // Under no schema there are no rows to compare.
            Err(Error::MergeConflicts { conflicts, .. }) => Ok(conflicts.to_vec()),
            Err(error) => Err(error),
        }
    }

    fn check_deletable(&self, source: &str, target: &BranchName) -> Result<()> {
        let refuse = |message: String| {
            Err(Error::Unsupported {
                message,
                hint: Some("Leave delete_source out.".to_owned()),
            })
        };
        match BranchName::parse(source) {
            Ok(name) if name.as_str() == BranchName::MAIN => {
                refuse("branch \"main\" cannot be deleted".to_owned())
            }
            Ok(name) if name == *target => refuse(format!("\"{source}\" is the target itself")),
            Ok(_) => Ok(()),
            Err(_) => refuse(format!("\"{source}\" is no branch that could be deleted")),
        }
    }

    async fn merge_bases(&self, ours: &Snapshot, theirs: &Snapshot) -> Result<Vec<CommitId>> {
        self.shared.check_kept(&theirs.state).await?;
        let ours = self.shared.point_of(&ours.state).await?;
        let theirs = self.shared.point_of(&theirs.state).await?;
        let bases = common::merge_bases(&self.shared, ours, theirs).await?;
        Ok(bases.iter().map(|base| base.commit).collect())
    }

    async fn base_states(
        &self,
        bases: &[CommitId],
        ours: &Snapshot,
        theirs: &Snapshot,
    ) -> Result<Vec<Snapshot>> {
        if bases.is_empty() {
            return Err(Error::Unsupported {
                message: format!(
                    "\"{}\" and \"{}\" have no commit in common",
                    ours.branch(),
                    theirs.branch()
                ),
                hint: None,
            });
        }
        let mut states = Vec::with_capacity(bases.len());
        for base in bases {
            states.push(self.snapshot(&base.to_string()).await?);
        }
        Ok(states)
    }

    /// Both sides, with what their commits list as written since the bases.
    async fn since_bases(
        &self,
        bases: &[Snapshot],
        mut ours: Snapshot,
        mut theirs: Snapshot,
    ) -> Result<(Snapshot, Snapshot)> {
        for base in bases {
            ours = self.shared.since(base, ours).boxed().await?;
            theirs = self.shared.since(base, theirs).boxed().await?;
        }
        Ok((ours, theirs))
    }

    async fn try_merge(
        &self,
        theirs: &Snapshot,
        target: &BranchName,
        options: &MergeOptions,
    ) -> Result<MergeSummary> {
        let (branch, state) = self.shared.resolve(target, false).await?;
        let ours = Snapshot::of(state);
        let bases = self.merge_bases(&ours, theirs).await?;
        if bases.contains(&theirs.commit()) {
            return Ok(MergeSummary {
                outcome: MergeOutcome::UpToDate,
                commit: ours.commit(),
                tables: BTreeMap::new(),
                source_deleted: None,
            });
        }
        if bases.contains(&ours.commit()) {
            let theirs = self.shared.since(&ours, theirs.clone()).await?;
            return fast_forward(&branch, &ours, &theirs, &options.actor).await;
        }
        let bases = self.base_states(&bases, &ours, theirs).await?;
        let (ours, theirs) = self.since_bases(&bases, ours, theirs.clone()).await?;
        let mut plan = Plan::make(
            &self.shared,
            bases,
            ours.clone(),
            theirs.clone(),
            options.on_conflict,
            true,
        )
        .boxed()
        .await?;
        if !plan.conflicts.found.is_empty() {
            return Err(Error::MergeConflicts {
                source_branch: theirs.branch().to_string(),
                target: target.to_string(),
                conflicts: plan.conflicts.found.into(),
            });
        }
        let staged = plan.staged().await?;
        let schema = plan.schema.clone();
        if schema.digest() != ours.schema().digest() {
            self.shared.write_schema(&schema).await?;
        }
        let change = MergeChange::of(plan)?;
        let tables = named(
            &schema,
            change.tables.iter().map(|(id, table)| (*id, table.counts)),
        );
        let proposal = Proposal {
            id: clock::commit_id(&**self.environment()),
            base: ours.state.clone(),
            actor: options.actor.clone(),
            message: options.message.clone(),
            payload: Payload::Merge(change),
            conditions: Conditions {
                expected_head: options.message.expected_head,
                ..Conditions::default()
            },
            staged,
            put: BTreeMap::new(),
        };
        let commit = branch.submit(proposal).await?;
        Ok(MergeSummary {
            outcome: MergeOutcome::Merged,
            commit: commit.id,
            tables,
            source_deleted: None,
        })
    }

    /// Ends a branch if `state` is still its newest.
    async fn end_branch_at(
        &self,
        name: &BranchName,
        state: &SnapshotState,
        actor: &str,
    ) -> Result<bool> {
        let (branch, now) = self.shared.resolve(name, false).await?;
        if now.branch_id != state.branch_id || now.commit != state.commit {
            return Ok(false);
        }
        let ended = branch.end(now.place(), actor).await?;
        if ended {
            self.shared.names_for(name, actor).await?;
        }
        Ok(ended)
    }
}

/// The target shows the source's commit: nothing is written but one entry.
async fn fast_forward(
    branch: &Arc<BranchShared>,
    ours: &Snapshot,
    theirs: &Snapshot,
    actor: &str,
) -> Result<MergeSummary> {
    let mut counts = Vec::new();
    for id in crate::diff::types(ours, theirs) {
        let found = difference(ours, theirs, id).await?;
        if found != Counts::default() {
            counts.push((id, found));
        }
    }
    if branch.forward(&ours.state, &theirs.state, actor).await? {
        return Ok(MergeSummary {
            outcome: MergeOutcome::FastForward,
            commit: theirs.commit(),
            tables: named(theirs.schema(), counts.into_iter()),
            source_deleted: None,
        });
    }
    Err(Error::Conflict {
        table: String::new(),
        id: String::new(),
        branch: ours.branch().to_string(),
        expected: "the head as the merge saw it".to_owned(),
        actual: "another commit came first".to_owned(),
    })
}

/// How many rows of one type differ.
async fn difference(from: &Snapshot, to: &Snapshot, id: TypeId) -> Result<Counts> {
    let (old, new) = (from.table(id), to.table(id));
    let mut pairs = Pairs::between(old.clone(), new.clone()).await?;
    let mut counts = Counts::default();
    let [gone, added] = pairs.places();
    if gone.is_empty() || added.is_empty() {
        counts.deleted = count(gone);
        counts.inserted = count(added);
        return Ok(counts);
    }
    let (Some(old), Some(new)) = (old, new) else {
        return Ok(counts);
    };
    let (old_columns, new_columns) = (
        (0..old.def().columns().len()).collect::<Vec<_>>(),
        (0..new.def().columns().len()).collect::<Vec<_>>(),
    );
    while let Some(range) = pairs.next().await? {
        let mut both: Vec<(RowPosition, RowPosition)> = Vec::new();
        for pair in range {
            match (pair.old, pair.new) {
                (Some(from), Some(to)) => both.push((from, to)),
                (Some(_), None) => counts.deleted += 1,
                (None, _) => counts.inserted += 1,
            }
        }
        both.sort_unstable();
        for page in both.chunks(PAGE) {
            let (froms, tos): (Vec<_>, Vec<_>) = page.iter().copied().unzip();
            let olds = old.take(&froms, &old_columns).await?;
            let news = new.take(&tos, &new_columns).await?;
            if olds.schema() != news.schema() {
                counts.updated += page.len() as u64;
                continue;
            }
            let equal = tuple_equality(olds.columns(), news.columns())?;
            counts.updated += (0..page.len()).filter(|row| !equal(*row, *row)).count() as u64;
        }
    }
    Ok(counts)
}

fn named(
    schema: &Schema,
    counts: impl Iterator<Item = (TypeId, Counts)>,
) -> BTreeMap<String, Counts> {
    counts
        .filter_map(|(id, counts)| Some((schema.by_id(id)?.table.clone(), counts)))
        .collect()
}
