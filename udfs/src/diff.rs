//! `diff(from_ref text, to_ref text)` → `op text, kind text, type text, id text,
//! before jsonb, after jsonb`
//!
//! What differs between two states, row by row, over all types: `op` is `insert`, `update` or
//! `delete`, `kind` is `node` or `edge`, `type` the table, `before` and `after` the row in
//! each state as a JSON object of its columns, NULL where there is none. The references are
//! branches, commits, either followed by `~n`, or `current`, which is what the statement
//! reads, the transaction's own writes included. The cost follows what
//! changed; rows come by type, nodes first, and by id.
//!
//! Errors: 22023 for a reference that names nothing; 22004 for a NULL.
//!
//! ```sql
//! SELECT op, type, id FROM diff('main', 'review/1');
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, StringBuilder};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::Stream;
use futures::stream::{StreamExt, TryStreamExt};
use omnigraph_catalog::types::PgType;
use omnigraph_engine::diff::{self, TypeDiff};
use omnigraph_engine::schema::{Schema, TypeDef};
use omnigraph_engine::{Error as EngineError, Snapshot};

use crate::args::Args;
use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, FunctionContext, TableFunction, arrow_schema};
use crate::jsonb;
use crate::rows;

#[derive(Debug)]
pub struct Diff {
    arguments: Vec<Argument>,
}

impl Diff {
    pub fn new() -> Self {
        Diff {
            arguments: vec![
                Argument::required("from_ref", &[PgType::TEXT]),
                Argument::required("to_ref", &[PgType::TEXT]),
            ],
        }
    }
}

impl Default for Diff {
    fn default() -> Self {
        Diff::new()
    }
}

impl TableFunction for Diff {
    fn name(&self) -> &'static str {
        "diff"
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
        "the rows that differ between two branches or commits"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let (from, to) = (
            args.text("from_ref")?.to_owned(),
            args.text("to_ref")?.to_owned(),
        );
        let context = call.context;
        let found = futures::stream::once(async move {
            let (from, to) = (context.resolve(&from).await?, context.resolve(&to).await?);
            Ok::<_, Error>(between(context, from, to))
        })
        .try_flatten();
        Ok(rows::batches(arrow_schema(&columns()), found))
    }
}

pub(crate) fn columns() -> Vec<Column> {
    vec![
        Column::new("op", PgType::TEXT),
        Column::new("kind", PgType::TEXT),
        Column::new("type", PgType::TEXT),
        Column::new("id", PgType::TEXT),
        Column::new("before", PgType::JSONB),
        Column::new("after", PgType::JSONB),
    ]
}

/// The types one after another; a page of rows is in memory at a time.
pub(crate) fn between(
    context: Arc<dyn FunctionContext>,
    from: Snapshot,
    to: Snapshot,
) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    futures::stream::once(async move {
        let (from, to) = context.access()?.comparable(from, to).await?;
        let types = diff::types(&from, &to);
        let pages = futures::stream::iter(types)
            .map(move |id| Ok::<_, Error>(context.access()?.diff(&from, &to, id)?))
            .map_ok(|pages| pages.map_err(Error::from))
            .try_flatten();
        Ok::<_, Error>(pages)
    })
    .try_flatten()
    .map(|page| batch(&page?))
}

fn batch(found: &TypeDiff) -> Result<RecordBatch> {
    let rows = &found.rows;
    let (old, new) = (
        Columns::of(&found.old_def, &found.before),
        Columns::of(&found.def, &found.after),
    );
    let mut befores = StringBuilder::new();
    let mut afters = StringBuilder::new();
    for row in rows {
        befores.append_option(old.row(row.before)?);
        afters.append_option(new.row(row.after)?);
    }
    let repeated = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; rows.len()])) };
    let ops: StringArray = rows.iter().map(|row| Some(row.operation())).collect();
    let ids: StringArray = rows.iter().map(|row| Some(row.id.as_str())).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(ops),
        repeated(if found.def.is_edge() { "edge" } else { "node" }),
        repeated(&found.def.table),
        Arc::new(ids),
        Arc::new(befores.finish()),
        Arc::new(afters.finish()),
    ];
    Ok(RecordBatch::try_new(arrow_schema(&self::columns()), columns).map_err(EngineError::from)?)
}

/// The rows of one side, under the names that SQL has for their columns.
pub(crate) struct Columns<'a> {
    names: Vec<&'a str>,
    rows: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(def: &'a TypeDef, rows: &'a RecordBatch) -> Self {
        Columns {
            names: def
                .columns()
                .iter()
                .map(|column| column.name.as_str())
                .collect(),
            rows,
        }
    }

    pub(crate) fn row(&self, row: Option<u32>) -> Result<Option<String>> {
        row.map(|row| jsonb::row(&self.names, self.rows, row as usize))
            .transpose()
    }
}
