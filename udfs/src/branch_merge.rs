//! `branch_merge(source text, into text DEFAULT 'main', message text DEFAULT NULL,
//! delete_source bool DEFAULT false, on_conflict text DEFAULT 'fail')` → `outcome text,
//! commit text, inserted int8, updated int8, deleted int8, tables jsonb, source_deleted bool`
//!
//! Merges what `source` names, a branch or a commit, into a branch, in one commit. `outcome` is
//! `already up to date`, `fast-forward` or `merged`; `commit` is what the target shows now;
//! the counts are rows of the target, in all and by table. Of a row that both sides changed,
//! each column is taken from the side that changed it. Where they disagree nothing is
//! published, unless `on_conflict` is `ours`, which keeps the target's side, or `theirs`,
//! which takes the source's. `delete_source` ends the source branch; if somebody committed to
//! it meanwhile it stays, and `source_deleted` is false.
//!
//! Errors: MG001 with the conflicts as JSON in DETAIL; 3F000 for a target that does not exist;
//! 22023 for a reference that names nothing; 22004 for a NULL; 40001 if others kept changing
//! what the merge decided on.
//!
//! ```sql
//! SELECT outcome, commit FROM branch_merge('review/1', delete_source => true);
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::merge::{Counts, MergeOutcome, MergeSummary, OnConflict};
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::Schema;
use serde_json::{Map, json};

use crate::args::Args;
use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, Effect, TableFunction, arrow_schema};
use crate::{jsonb, rows};

#[derive(Debug)]
pub struct BranchMerge {
    arguments: Vec<Argument>,
}

impl BranchMerge {
    pub fn new() -> Self {
        BranchMerge {
            arguments: vec![
                Argument::required("source", &[PgType::TEXT]),
                Argument::optional("into", PgType::TEXT, ScalarValue::from(BranchName::MAIN)),
                Argument::optional("message", PgType::TEXT, ScalarValue::Utf8(None)),
                Argument::optional(
                    "delete_source",
                    PgType::BOOL,
                    ScalarValue::Boolean(Some(false)),
                ),
                Argument::optional("on_conflict", PgType::TEXT, ScalarValue::from("fail")),
            ],
        }
    }
}

impl Default for BranchMerge {
    fn default() -> Self {
        BranchMerge::new()
    }
}

impl TableFunction for BranchMerge {
    fn name(&self) -> &'static str {
        "branch_merge"
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn columns(
        &self,
        _constants: &[Option<ScalarValue>],
        _schema: Option<&Schema>,
    ) -> Result<Vec<Column>> {
        Ok(columns())
    }

    fn description(&self) -> &'static str {
        "merges a branch into another one"
    }

    fn effect(&self) -> Effect {
        Effect::Changes
    }

    fn rows(&self) -> usize {
        1
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let source = args.text("source")?.to_owned();
        let target = BranchName::parse(args.text("into")?)?;
        let message = args.optional_text("message")?.map(str::to_owned);
        let delete_source = args.bool("delete_source")?;
        let choices = [
            ("fail", OnConflict::Fail),
            ("ours", OnConflict::Ours),
            ("theirs", OnConflict::Theirs),
        ];
        let on_conflict = args.choice("on_conflict", &choices)?;
        let context = call.context;
        let merged = async move {
            let summary = context
                .access()?
                .merge(&source, &target, message, on_conflict, delete_source)
                .await?;
            if summary.outcome != MergeOutcome::UpToDate {
                context.committed(&target, summary.commit);
            }
            row(&summary)
        };
        Ok(rows::batches(
            arrow_schema(&columns()),
            futures::stream::once(merged),
        ))
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("outcome", PgType::TEXT),
        Column::new("commit", PgType::TEXT),
        Column::new("inserted", PgType::INT8),
        Column::new("updated", PgType::INT8),
        Column::new("deleted", PgType::INT8),
        Column::new("tables", PgType::JSONB),
        Column::new("source_deleted", PgType::BOOL),
    ]
}

fn row(summary: &MergeSummary) -> Result<RecordBatch> {
    let text = |value: String| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let total = |of: fn(&Counts) -> u64| -> ArrayRef {
        let sum: u64 = summary.tables.values().map(of).sum();
        Arc::new(Int64Array::from(vec![i64::try_from(sum).ok()]))
    };
    let tables: Map<_, _> = summary
        .tables
        .iter()
        .map(|(table, counts)| {
            let counts = json!({
                "inserted": counts.inserted, "updated": counts.updated, "deleted": counts.deleted,
            });
            (table.clone(), counts)
        })
        .collect();
    let columns = vec![
        text(summary.outcome.name().to_owned()),
        text(summary.commit.to_string()),
        total(|counts| counts.inserted),
        total(|counts| counts.updated),
        total(|counts| counts.deleted),
        text(jsonb::object(&tables)),
        Arc::new(BooleanArray::from(vec![
            summary.source_deleted.unwrap_or(false),
        ])),
    ];
    RecordBatch::try_new(arrow_schema(&self::columns()), columns)
        .map_err(|error| Error::from(omnigraph_engine::Error::from(error)))
}
