//! `commits(ref text DEFAULT 'current', first_parent bool DEFAULT false)` → `id text, seq int8,
//! branch text, parents text[], actor text, created_at timestamptz, message text,
//! metadata jsonb, kind text, inserted int8, updated int8, deleted int8`
//!
//! The commits that led to what `ref` names, newest first and each before its parents: a
//! branch, tag, commit's id or timestamp, each possibly followed by `~n`, or `current`, which
//! is what the statement reads. `first_parent` follows only the first parent of each commit.
//! `seq` is the number of the branch's log entry that published the commit; the last three
//! columns count rows. `kind` is `data`, `schema`, `merge` or `revert`; entries that made no
//! commit stand between them as `maintain`, `forward` and `reset`, with the head that the
//! branch had after them as `id`. Rows are read as they are taken.
//!
//! Errors: 22023 for a reference that names nothing; 22004 for a NULL.
//!
//! ```sql
//! SELECT id, actor, created_at, message FROM commits() LIMIT 10;
//! ```

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::stream::TryStreamExt;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::CommitInfo;
use omnigraph_engine::commit::ancestry::Ancestors;
use omnigraph_engine::schema::Schema;

use crate::args::Args;
use crate::error::{Error, Result};
use crate::function::{Argument, CURRENT, Call, Column, TableFunction, arrow_schema};
use crate::{jsonb, rows};

#[derive(Debug)]
pub struct Commits {
    arguments: Vec<Argument>,
}

impl Commits {
    pub fn new() -> Self {
        Commits {
            arguments: vec![
                Argument::optional("ref", PgType::TEXT, ScalarValue::from(CURRENT)),
                Argument::optional(
                    "first_parent",
                    PgType::BOOL,
                    ScalarValue::Boolean(Some(false)),
                ),
            ],
        }
    }
}

impl Default for Commits {
    fn default() -> Self {
        Commits::new()
    }
}

impl TableFunction for Commits {
    fn name(&self) -> &'static str {
        "commits"
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
        "the commits that led to a branch or commit, newest first"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let which = if args.bool("first_parent")? {
            Ancestors::FirstParent
        } else {
            Ancestors::All
        };
        let reference = args.text("ref")?.to_owned();
        let context = call.context;
        let commits = futures::stream::once(async move {
            let snapshot = context.resolve(&reference).await?;
            Ok::<_, Error>(
                context
                    .access()?
                    .commits(&snapshot, which)
                    .await?
                    .map_err(Error::from),
            )
        })
        .try_flatten();
        Ok(rows::pages(
            arrow_schema(&columns()),
            commits,
            call.limit,
            batch,
        ))
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("id", PgType::TEXT),
        Column::new("seq", PgType::INT8),
        Column::new("branch", PgType::TEXT),
        Column::new("parents", PgType::TEXT_ARRAY),
        Column::new("actor", PgType::TEXT),
        Column::new("created_at", PgType::TIMESTAMPTZ),
        Column::new("message", PgType::TEXT),
        Column::new("metadata", PgType::JSONB),
        Column::new("kind", PgType::TEXT),
        Column::new("inserted", PgType::INT8),
        Column::new("updated", PgType::INT8),
        Column::new("deleted", PgType::INT8),
    ]
}

fn batch(schema: SchemaRef, commits: &[CommitInfo]) -> Result<RecordBatch> {
    let text = |of: fn(&CommitInfo) -> String| -> ArrayRef {
        Arc::new(
            commits
                .iter()
                .map(|commit| Some(of(commit)))
                .collect::<StringArray>(),
        )
    };
    let number = |of: fn(&CommitInfo) -> u64| -> ArrayRef {
        Arc::new(
            commits
                .iter()
                .map(|commit| i64::try_from(of(commit)).ok())
                .collect::<Int64Array>(),
        )
    };
    let mut parents = ListBuilder::new(StringBuilder::new());
    for commit in commits {
        parents.append_value(commit.parents.iter().map(|parent| Some(parent.to_string())));
    }
    let created: TimestampMicrosecondArray = commits
        .iter()
        .map(|commit| Some(commit.created_at))
        .collect();
    let message: StringArray = commits
        .iter()
        .map(|commit| commit.message.as_deref())
        .collect();
    let columns: Vec<ArrayRef> = vec![
        text(|commit| commit.id.to_string()),
        number(|commit| commit.seq),
        text(|commit| commit.branch.clone()),
        Arc::new(parents.finish()),
        text(|commit| commit.actor.clone()),
        Arc::new(created.with_timezone("UTC")),
        Arc::new(message),
        text(|commit| jsonb::object(&commit.metadata)),
        text(|commit| commit.kind.name().to_owned()),
        number(|commit| commit.inserted),
        number(|commit| commit.updated),
        number(|commit| commit.deleted),
    ];
    RecordBatch::try_new(schema, columns)
        .map_err(|error| omnigraph_engine::Error::from(error).into())
}
