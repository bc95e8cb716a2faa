//! `merge_conflicts(source text, into text DEFAULT 'main')` → `kind text, type text, id text,
//! property text, base jsonb, ours jsonb, theirs jsonb`
//!
//! What would keep `source` from being merged into `into` now; no rows: it would merge. Both
//! are branches or commits. `base` is the value that both began from, `ours` the target's and
//! `theirs` the source's, each NULL where that side has no such row. `kind` is one of
//!
//! | | |
//! |---|---|
//! | `DivergentInsert` | both inserted the id, with different values |
//! | `DivergentUpdate` | both gave the property different values |
//! | `DeleteVsUpdate` | one side deleted the row of which the other changed the property |
//! | `OrphanEdge` | the edge ends (`src`, `dst`) at a node that the other side deleted |
//! | `UniqueViolation` | the rows with the ids in `ours` and `theirs` hold one unique value |
//! | `CardinalityViolation` | the node `id` would have a number of edges that `@card` forbids; the values are its numbers of edges |
//! | `ValueConstraintViolation` | the values of both sides together break a rule of the schema, or one side's a rule that the other has added |
//! | `DivergentSchema` | both sides changed a definition, differently: of the property, or of the type where `property` is NULL; `id` is NULL, and the values are definitions as a schema has them. No rows are compared while there is one |
//!
//! To resolve one, write to the source branch and merge again, or merge with `on_conflict`.
//! At most 10,000 are told.
//!
//! Errors: 22023 for a reference that names nothing; 22004 for a NULL.
//!
//! ```sql
//! SELECT * FROM merge_conflicts('review/1');
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::stream::TryStreamExt;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::merge::MergeConflict;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::Schema;
use serde_json::{Map, Value};

use crate::args::Args;
use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, TableFunction, arrow_schema};
use crate::{jsonb, rows};

#[derive(Debug)]
pub struct MergeConflicts {
    arguments: Vec<Argument>,
}

impl MergeConflicts {
    pub fn new() -> Self {
        MergeConflicts {
            arguments: vec![
                Argument::required("source", &[PgType::TEXT]),
                Argument::optional("into", PgType::TEXT, ScalarValue::from(BranchName::MAIN)),
            ],
        }
    }
}

impl Default for MergeConflicts {
    fn default() -> Self {
        MergeConflicts::new()
    }
}

impl TableFunction for MergeConflicts {
    fn name(&self) -> &'static str {
        "merge_conflicts"
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
        "what would keep a branch from being merged"
    }

    fn rows(&self) -> usize {
        10
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let source = args.text("source")?.to_owned();
        let target = args.text("into")?.to_owned();
        let context = call.context;
        let conflicts = futures::stream::once(async move {
            let found = context.access()?.merge_conflicts(&source, &target).await?;
            Ok::<_, Error>(futures::stream::iter(found.into_iter().map(Ok::<_, Error>)))
        })
        .try_flatten();
        Ok(rows::pages(
            arrow_schema(&columns()),
            conflicts,
            call.limit,
            batch,
        ))
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("kind", PgType::TEXT),
        Column::new("type", PgType::TEXT),
        Column::new("id", PgType::TEXT),
        Column::new("property", PgType::TEXT),
        Column::new("base", PgType::JSONB),
        Column::new("ours", PgType::JSONB),
        Column::new("theirs", PgType::JSONB),
    ]
}

fn batch(schema: SchemaRef, conflicts: &[MergeConflict]) -> Result<RecordBatch> {
    let text = |of: fn(&MergeConflict) -> Option<&str>| -> ArrayRef {
        Arc::new(conflicts.iter().map(of).collect::<StringArray>())
    };
    let value = |of: fn(&MergeConflict) -> &Option<ArrayRef>| -> Result<ArrayRef> {
        let values = conflicts.iter().map(|conflict| told(of(conflict)));
        Ok(Arc::new(values.collect::<Result<StringArray>>()?))
    };
    let columns = vec![
        text(|conflict| Some(conflict.kind.name())),
        text(|conflict| Some(&conflict.table)),
        text(|conflict| (!conflict.id.is_empty()).then_some(&*conflict.id)),
        text(|conflict| conflict.property.as_deref()),
        value(|conflict| &conflict.base)?,
        value(|conflict| &conflict.ours)?,
        value(|conflict| &conflict.theirs)?,
    ];
    Ok(RecordBatch::try_new(schema, columns).map_err(omnigraph_engine::Error::from)?)
}

/// A side's value as JSON.
fn told(value: &Option<ArrayRef>) -> Result<Option<String>> {
    value
        .as_ref()
        .map(|value| jsonb::value(value, 0))
        .transpose()
}

/// A conflict as a JSON object with the names of the columns.
pub fn json(conflict: &MergeConflict) -> Value {
    let value = |value: &Option<ArrayRef>| {
        let text = told(value).ok().flatten();
        text.and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or(Value::Null)
    };
    let mut members = Map::new();
    for (name, value) in [
        ("kind", Value::from(conflict.kind.name())),
        ("type", Value::from(conflict.table.as_str())),
        (
            "id",
            Value::from((!conflict.id.is_empty()).then_some(conflict.id.as_str())),
        ),
        ("property", Value::from(conflict.property.as_deref())),
        ("base", value(&conflict.base)),
        ("ours", value(&conflict.ours)),
        ("theirs", value(&conflict.theirs)),
    ] {
        members.insert(name.to_owned(), value);
    }
    Value::Object(members)
}
