//! From checked rows to one commit: through a transaction while they are few, straight into
//! files beyond.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::LoadMode;
use super::check::Found;
use crate::blob::as_cells;
use crate::clock;
use crate::commit::CommitInfo;
use crate::commit::proposal::{Payload, Proposal};
use crate::commit::rebase::table_of;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::names::BranchName;
use crate::ndjson::TypeBatch;
use crate::schema::{TypeId, TypeKind};
use crate::snapshot::Snapshot;
use crate::table::RowPosition;
use crate::write::bulk::BulkChange;
use crate::write::conditions::Conditions;
use crate::write::files::FileWriter;
use crate::write::transaction::{CommitMessage, TransactionOptions};

/// Rows up to which a load is a transaction like any other, rebased if others commit.
const SMALL: usize = 50_000;
/// Tries of a small load whose rows others changed.
const ATTEMPTS: usize = 10;

pub(super) struct Writer {
    graph: Graph,
    branch: BranchName,
    base: Snapshot,
    mode: LoadMode,
    held: Vec<TypeBatch>,
    held_rows: usize,
    files: Option<BTreeMap<TypeId, FileWriter>>,
    replaced: BTreeMap<TypeId, Vec<RowPosition>>,
    rows: u64,
}

impl Writer {
    pub fn new(graph: Graph, branch: BranchName, base: Snapshot, mode: LoadMode) -> Self {
        Writer {
            graph,
            branch,
            base,
            mode,
            held: Vec::new(),
            held_rows: 0,
            files: (mode == LoadMode::Overwrite).then(BTreeMap::new),
            replaced: BTreeMap::new(),
            rows: 0,
        }
    }

    pub async fn write(&mut self, rows: TypeBatch, found: Found) -> Result<()> {
        self.rows += rows.batch.num_rows() as u64;
        self.replaced
            .entry(rows.def.id)
            .or_default()
            .extend(found.replaced);
        if self.files.is_some() {
            return self.put_into_file(rows).await;
        }
        self.held_rows += rows.batch.num_rows();
        self.held.push(rows);
        if self.held_rows > SMALL {
            self.refuse_unchecked_cardinality()?;
            self.files = Some(BTreeMap::new());
            for rows in std::mem::take(&mut self.held) {
                self.put_into_file(rows).await?;
            }
        }
        Ok(())
    }

    /// `@card` counts edges of the file and of the graph together; for large loads into edges
    /// that exist already that is not done.
    fn refuse_unchecked_cardinality(&self) -> Result<()> {
        for edge in self.base.schema().edges() {
            let TypeKind::Edge { card, .. } = &edge.kind else {
                continue;
            };
            let limited = card.min > 0 || card.max.is_some();
            let held = self
                .base
                .table(edge.id)
                .map_or(0, |table| table.row_count());
            if limited && held > 0 {
                return Err(Error::Unsupported {
                    message: format!(
                        "more than {SMALL} rows cannot be loaded into a graph that has edges of \"{}\", which has @card",
                        edge.name
                    ),
                    hint: Some("Load with mode overwrite, or in smaller files.".to_owned()),
                });
            }
        }
        Ok(())
    }

    async fn put_into_file(&mut self, rows: TypeBatch) -> Result<()> {
        let Some(files) = &mut self.files else {
            return Err(Error::internal(
                "rows are written to files that were not opened",
            ));
        };
        let id = rows.def.id;
        let file = match files.entry(id) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                let version = table_of(&self.base.state, id)?.version().await?.clone();
                place.insert(FileWriter::begin(version, rows.def.arrow_schema()))
            }
        };
        file.write(as_cells(&rows.def, rows.batch)?).await
    }

    pub async fn publish(
        mut self,
        actor: String,
        message: CommitMessage,
    ) -> Result<Option<CommitInfo>> {
        match self.files.take() {
            None => self.publish_small(actor, message).await,
            Some(files) => self.publish_files(files, actor, message).await,
        }
    }

    async fn publish_small(
        self,
        actor: String,
        message: CommitMessage,
    ) -> Result<Option<CommitInfo>> {
        let mut attempt = 1;
        loop {
            match self.try_small(&actor, &message).await {
                Err(error) if error.is_retryable() && attempt < ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    async fn try_small(&self, actor: &str, message: &CommitMessage) -> Result<Option<CommitInfo>> {
        let options = TransactionOptions {
            actor: actor.to_owned(),
            ..TransactionOptions::default()
        };
        let mut transaction = self.graph.begin(&self.branch, options).await?;
        let (nodes, edges): (Vec<&TypeBatch>, Vec<&TypeBatch>) =
            self.held.iter().partition(|rows| !rows.def.is_edge());
        for rows in nodes.into_iter().chain(edges) {
            if self.mode == LoadMode::Merge {
                transaction.upsert(rows.def.id, rows.batch.clone()).await?;
            } else {
                transaction.insert(rows.def.id, rows.batch.clone()).await?;
            }
        }
        transaction.commit(message.clone()).await
    }

    async fn publish_files(
        mut self,
        files: BTreeMap<TypeId, FileWriter>,
        actor: String,
        message: CommitMessage,
    ) -> Result<Option<CommitInfo>> {
        let mut staged = BTreeMap::new();
        for (id, open) in files {
            staged.insert(id, open.finish().await?);
        }
        let state = &self.base.state;
        let overwrite = self.mode == LoadMode::Overwrite;
        let tables: Vec<TypeId> = state
            .tables
            .iter()
            .filter(|(id, table)| staged.contains_key(id) || overwrite && table.location().rows > 0)
            .map(|(id, _)| *id)
            .collect();
        if tables.is_empty() {
            return Ok(None);
        }
        let updated: u64 = self.replaced.values().map(|rows| rows.len() as u64).sum();
        let deleted = if overwrite {
            state
                .tables
                .values()
                .map(|table| table.location().rows)
                .sum()
        } else {
            0
        };
        let bulk = BulkChange {
            replaced: if overwrite {
                tables.iter().copied().collect()
            } else {
                BTreeSet::new()
            },
            tables: tables.clone(),
            deletions: std::mem::take(&mut self.replaced),
            written: BTreeMap::new(),
            counts: (self.rows - updated, updated, deleted),
        };
        let (branch, _) = self.graph.shared.resolve(&self.branch, true).await?;
        if branch.log.branch_id != state.branch_id {
            // The name stands for another branch by now.
            return Err(Error::BranchDeleted {
                name: self.branch.to_string(),
            });
        }
        let proposal = Proposal {
            id: clock::commit_id(&**self.graph.environment()),
            base: state.clone(),
            actor,
            conditions: Conditions {
                expected_head: message.expected_head,
                ..Conditions::default()
            },
            message,
            payload: Payload::Bulk(bulk),
            staged,
            put: BTreeMap::new(),
        };
        let info = branch.submit(proposal).await?;
        self.store_indexes(&tables).await;
        Ok(Some(info))
    }

    /// The load is done, whatever becomes of them.
    async fn store_indexes(&self, tables: &[TypeId]) {
        let stored = async {
            let snapshot = self.graph.snapshot(self.branch.as_str()).await?;
            for table in tables.iter().filter_map(|id| snapshot.table(*id)) {
                table.store_indexes().await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = stored.await {
            tracing::warn!(branch = %self.branch, %error, "indexes of loaded files were not stored");
        }
    }
}
