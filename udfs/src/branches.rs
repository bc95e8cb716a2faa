//! `branches()` → `name text, head text, head_seq int8, created_at timestamptz,
//! created_from text, ahead int8, behind int8, protected bool`
//!
//! The graph's branches by name: the commit that each names now, the number of its newest log
//! entry, when and from which branch it was made, how many of its commits `main` does not
//! have (`ahead`) and how many of `main`'s it does not have (`behind`), and whether policy
//! protects it. Counting takes as long as there are commits to count.
//!
//! ```sql
//! SELECT name, ahead, behind FROM branches();
//! ```

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use omnigraph_catalog::access::GraphAccess;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::Schema;
use omnigraph_engine::{BranchInfo, Error};

use crate::error::Result;
use crate::function::{Argument, Call, Column, TableFunction, arrow_schema};
use crate::rows;

#[derive(Debug, Default, Clone, Copy)]
pub struct Branches;

impl TableFunction for Branches {
    fn name(&self) -> &'static str {
        "branches"
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
        "the graph's branches"
    }

    fn rows(&self) -> usize {
        10
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let access = call.context.access()?.clone();
        let rows = futures::stream::once(listed(access)).try_flatten();
        Ok(rows::pages(
            arrow_schema(&columns()),
            rows,
            call.limit,
            batch,
        ))
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("name", PgType::TEXT),
        Column::new("head", PgType::TEXT),
        Column::new("head_seq", PgType::INT8),
        Column::new("created_at", PgType::TIMESTAMPTZ),
        Column::new("created_from", PgType::TEXT),
        Column::new("ahead", PgType::INT8),
        Column::new("behind", PgType::INT8),
        Column::new("protected", PgType::BOOL),
    ]
}

#[derive(Debug)]
struct Row {
    branch: BranchInfo,
    ahead: u64,
    behind: u64,
    protected: bool,
}

/// The branches, each compared with `main` when its row is taken.
async fn listed(access: GraphAccess) -> Result<BoxStream<'static, Result<Row>>> {
    let branches = access.branches().await?;
    let main = access.snapshot(BranchName::MAIN).await?;
    let rows = futures::stream::iter(branches)
        .map(Ok::<_, crate::error::Error>)
        .try_filter_map(move |branch| {
            let (access, main) = (access.clone(), main.clone());
            async move {
                let head = match access.snapshot(branch.name.as_str()).await {
                    Ok(head) => head,
                    // It has just been deleted.
                    Err(Error::NotFound { .. }) => return Ok(None),
                    Err(error) => return Err(error.into()),
                };
                let (ahead, behind) = access.compare(&head, &main).await?;
                Ok::<_, crate::error::Error>(Some(Row {
                    protected: access.is_protected(&branch.name),
                    branch,
                    ahead,
                    behind,
                }))
            }
        });
    Ok(rows.boxed())
}

fn batch(schema: SchemaRef, rows: &[Row]) -> Result<RecordBatch> {
    let text = |of: fn(&Row) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    let number = |of: fn(&Row) -> Option<i64>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<Int64Array>())
    };
    let created: TimestampMicrosecondArray =
        rows.iter().map(|row| Some(row.branch.created_at)).collect();
    let protected: BooleanArray = rows.iter().map(|row| Some(row.protected)).collect();
    let columns: Vec<ArrayRef> = vec![
        text(|row| Some(row.branch.name.to_string())),
        text(|row| Some(row.branch.head.to_string())),
        number(|row| i64::try_from(row.branch.head_seq).ok()),
        Arc::new(created.with_timezone("UTC")),
        text(|row| row.branch.created_from.clone()),
        number(|row| i64::try_from(row.ahead).ok()),
        number(|row| i64::try_from(row.behind).ok()),
        Arc::new(protected),
    ];
    RecordBatch::try_new(schema, columns)
        .map_err(|error| omnigraph_engine::Error::from(error).into())
}
