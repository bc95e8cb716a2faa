//! `strongly_connected_components(edges text | text[])` → `id text, type text, component int8`
//!
//! Nodes that reach each other along these edges have the same component. Components are numbered from 0, by
//! their first node in the order of tables.
//!
//! ```sql
//! SELECT component, array_agg(id) FROM strongly_connected_components('depends_on') GROUP BY 1 HAVING count(*) > 1;
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::Schema;

use crate::algorithm;
use crate::error::Result;
use crate::function::{Argument, Call, Column, TableFunction};

#[derive(Debug)]
pub struct StronglyConnectedComponents {
    arguments: Vec<Argument>,
}

impl StronglyConnectedComponents {
    pub fn new() -> Self {
        StronglyConnectedComponents {
            arguments: vec![algorithm::edges()],
        }
    }
}

impl Default for StronglyConnectedComponents {
    fn default() -> Self {
        StronglyConnectedComponents::new()
    }
}

impl TableFunction for StronglyConnectedComponents {
    fn name(&self) -> &'static str {
        "strongly_connected_components"
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
        "nodes that reach each other along edges"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        Ok(algorithm::start(
            Arc::new(StronglyConnectedComponents::new()),
            &columns(),
            call,
            |links, cancel| {
                let found = links.strongly_connected_components(cancel)?;
                Ok(vec![Arc::new(Int64Array::from(found)) as ArrayRef])
            },
        ))
    }
}

fn columns() -> Vec<Column> {
    algorithm::columns(&[("component", PgType::INT8)])
}
