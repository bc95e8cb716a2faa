//! `tags()` → `name text, commit text, actor text, created_at timestamptz, message text`
//!
//! The graph's tags by name: the commit that each is on, who made it, when, and why.
//!
//! ```sql
//! SELECT name, commit FROM tags();
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::stream::TryStreamExt;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::TagInfo;
use omnigraph_engine::schema::Schema;

use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, TableFunction, arrow_schema};
use crate::rows;

#[derive(Debug, Default, Clone, Copy)]
pub struct Tags;

impl TableFunction for Tags {
    fn name(&self) -> &'static str {
        "tags"
    }

    fn arguments(&self) -> &[Argument] {
        &[]
    }

    fn columns(
        &self,
        _constants: &[Option<ScalarValue>],
        _schema: Option<&Schema>,
    ) -> Result<Vec<Column>> {
        Ok(columns())
    }

    fn description(&self) -> &'static str {
        "the graph's tags"
    }

    fn rows(&self) -> usize {
        10
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let context = call.context;
        let tags = futures::stream::once(async move {
            let tags = context.access()?.tags().await?;
            Ok::<_, Error>(futures::stream::iter(tags.into_iter().map(Ok::<_, Error>)))
        })
        .try_flatten();
        Ok(rows::pages(
            arrow_schema(&columns()),
            tags,
            call.limit,
            batch,
        ))
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("name", PgType::TEXT),
        Column::new("commit", PgType::TEXT),
        Column::new("actor", PgType::TEXT),
        Column::new("created_at", PgType::TIMESTAMPTZ),
        Column::new("message", PgType::TEXT),
    ]
}

fn batch(schema: SchemaRef, tags: &[TagInfo]) -> Result<RecordBatch> {
    let text = |of: fn(&TagInfo) -> String| -> ArrayRef {
        Arc::new(
            tags.iter()
                .map(|tag| Some(of(tag)))
                .collect::<StringArray>(),
        )
    };
    let created: TimestampMicrosecondArray = tags.iter().map(|tag| Some(tag.created_at)).collect();
    let message: StringArray = tags.iter().map(|tag| tag.message.as_deref()).collect();
    let columns: Vec<ArrayRef> = vec![
        text(|tag| tag.name.clone()),
        text(|tag| tag.commit.to_string()),
        text(|tag| tag.created_by.clone()),
        Arc::new(created.with_timezone("UTC")),
        Arc::new(message),
    ];
    RecordBatch::try_new(schema, columns)
        .map_err(|error| omnigraph_engine::Error::from(error).into())
}
