//! `changes_cursor()` → `changes_cursor text`
//!
//! Where [`changes`](crate::changes) goes on from what the statement reads of the session's
//! branch. In one REPEATABLE READ transaction with `COPY omnigraph.ndjson TO STDOUT` it makes
//! a baseline: the data, and the place from which to follow it.
//!
//! ```sql
//! SELECT changes_cursor();
//! ```

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::Schema;

use crate::error::Result;
use crate::function::{Argument, Call, Column, TableFunction};
use crate::rows;

#[derive(Debug, Default, Clone, Copy)]
pub struct ChangesCursor;

impl TableFunction for ChangesCursor {
    fn name(&self) -> &'static str {
        "changes_cursor"
    }

    fn arguments(&self) -> &[Argument] {
        &[]
    }

    fn columns(
        &self,
        _constants: &[Option<ScalarValue>],
        _schema: Option<&Schema>,
    ) -> Result<Vec<Column>> {
        Ok(vec![Column::new(self.name(), PgType::TEXT)])
    }

    fn description(&self) -> &'static str {
        "where the changes of the session's branch go on from what the statement reads"
    }

    fn rows(&self) -> usize {
        1
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let context = call.context;
        Ok(rows::answer(self.name(), async move {
            let snapshot = context.snapshot().await?;
            let cursor = context.access()?.cursor(&snapshot).await?;
            Ok(Some(cursor.to_string()))
        }))
    }
}
