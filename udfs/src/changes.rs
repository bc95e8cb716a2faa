//! `changes(since text DEFAULT NULL, limit int8 DEFAULT NULL)` → `cursor text, commit text,
//! seq int8, branch text, actor text, created_at timestamptz, op text, kind text, type text,
//! id text, before jsonb, after jsonb`
//!
//! The change feed of the session's branch: the rows that each of its steps changed, in the
//! order in which the branch showed them. A step is a commit, or the branch coming to show
//! another state. `cursor` is the same for all rows of a step: who has dealt with the last of
//! them goes on with `since => cursor`, after a restart of either side too, and sees each step
//! at least once. `since` may also be a commit that the branch has published; without it the
//! feed begins with everything that the branch began with. No further step is begun once there
//! are `limit` rows; a step is never cut. The other columns are as in `diff`.
//!
//! Errors: 22023 for a cursor of another graph, or of another branch than the session's, also
//! an earlier one of the same name; 72000 where VACUUM has removed what came after the cursor.
//!
//! ```sql
//! SELECT cursor, op, type, id, after FROM changes(since => '01JD…', "limit" => 1000);
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use omnigraph_catalog::types::PgType;
use omnigraph_engine::Error as EngineError;
use omnigraph_engine::feed::Step;
use omnigraph_engine::schema::Schema;

use crate::args::Args;
use crate::diff;
use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, FunctionContext, TableFunction, arrow_schema};
use crate::rows;

#[derive(Debug)]
pub struct Changes {
    arguments: Vec<Argument>,
}

impl Changes {
    pub fn new() -> Self {
        Changes {
            arguments: vec![
                Argument::optional("since", PgType::TEXT, ScalarValue::Utf8(None)),
                Argument::optional("limit", PgType::INT8, ScalarValue::Int64(None)),
            ],
        }
    }
}

impl Default for Changes {
    fn default() -> Self {
        Changes::new()
    }
}

impl TableFunction for Changes {
    fn name(&self) -> &'static str {
        "changes"
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
        "what each commit of the session's branch changed, in order, since a cursor"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let since = args.optional_text("since")?.map(str::to_owned);
        let wanted = match args.optional_int("limit")? {
            None => u64::MAX,
            Some(limit) => {
                u64::try_from(limit).map_err(|_| args.bad("limit", "must not be negative"))?
            }
        };
        let context = call.context;
        let found = futures::stream::once(async move {
            let snapshot = context.snapshot().await?;
            let steps = context
                .access()?
                .changes(&snapshot, since.as_deref())
                .await?;
            Ok::<_, Error>(batches(context, steps, wanted))
        })
        .try_flatten();
        Ok(rows::batches(arrow_schema(&columns()), found))
    }
}

fn columns() -> Vec<Column> {
    let mut columns = vec![
        Column::new("cursor", PgType::TEXT),
        Column::new("commit", PgType::TEXT),
        Column::new("seq", PgType::INT8),
        Column::new("branch", PgType::TEXT),
        Column::new("actor", PgType::TEXT),
        Column::new("created_at", PgType::TIMESTAMPTZ),
    ];
    columns.extend(diff::columns());
    columns
}

/// Steps, one after the other, until there are enough rows.
struct Reading {
    context: Arc<dyn FunctionContext>,
    steps: BoxStream<'static, omnigraph_engine::Result<Step>>,
    /// The step at hand, and its pages that were not given yet.
    step: Option<(Step, BoxStream<'static, Result<RecordBatch>>)>,
    wanted: u64,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some((step, pages)) = &mut self.step
                && let Some(page) = pages.try_next().await?
            {
                self.wanted = self.wanted.saturating_sub(page.num_rows() as u64);
                return batch(step, &page).map(Some);
            }
            if self.wanted == 0 {
                return Ok(None);
            }
            let Some(step) = self.steps.try_next().await? else {
                return Ok(None);
            };
            let (before, after) = (step.before.clone(), step.after.clone());
            let pages = diff::between(Arc::clone(&self.context), before, after).boxed();
            self.step = Some((step, pages));
        }
    }
}

fn batches(
    context: Arc<dyn FunctionContext>,
    steps: BoxStream<'static, omnigraph_engine::Result<Step>>,
    wanted: u64,
) -> BoxStream<'static, Result<RecordBatch>> {
    let reading = Reading {
        context,
        steps,
        step: None,
        wanted,
    };
    futures::stream::try_unfold(reading, |mut reading| async move {
        let page = reading.next().await?;
        Ok::<_, Error>(page.map(|page| (page, reading)))
    })
    .boxed()
}

/// A page of differences with the step that they belong to.
fn batch(step: &Step, page: &RecordBatch) -> Result<RecordBatch> {
    let rows = page.num_rows();
    let repeated = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; rows])) };
    let created = TimestampMicrosecondArray::from(vec![step.created_at; rows]);
    let seq = i64::try_from(step.seq).unwrap_or(i64::MAX);
    let mut columns: Vec<ArrayRef> = vec![
        repeated(&step.cursor.to_string()),
        repeated(&step.commit.to_string()),
        Arc::new(Int64Array::from(vec![seq; rows])),
        repeated(&step.branch),
        repeated(&step.actor),
        Arc::new(created.with_timezone("UTC")),
    ];
    columns.extend(page.columns().iter().cloned());
    Ok(RecordBatch::try_new(arrow_schema(&self::columns()), columns).map_err(EngineError::from)?)
}
