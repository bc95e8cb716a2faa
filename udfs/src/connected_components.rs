//! `connected_components(edges text | text[])` → `id text, type text, component int8`
//!
//! Nodes that hang together by these edges, in whichever direction, have the same component. Components are
//! numbered from 0, by their first node in the order of tables.
//!
//! ```sql
//! SELECT component, count(*) FROM connected_components('knows') GROUP BY 1 ORDER BY 2 DESC;
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
pub struct ConnectedComponents {
    arguments: Vec<Argument>,
}

impl ConnectedComponents {
    pub fn new() -> Self {
        ConnectedComponents {
            arguments: vec![algorithm::edges()],
        }
    }
}

impl Default for ConnectedComponents {
    fn default() -> Self {
        ConnectedComponents::new()
    }
}

impl TableFunction for ConnectedComponents {
    fn name(&self) -> &'static str {
        "connected_components"
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
        "nodes that hang together by edges in either direction"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        Ok(algorithm::start(
            Arc::new(ConnectedComponents::new()),
            &columns(),
            call,
            |links, cancel| {
                let found = links.connected_components(cancel)?;
                Ok(vec![Arc::new(Int64Array::from(found)) as ArrayRef])
            },
        ))
    }
}

fn columns() -> Vec<Column> {
    algorithm::columns(&[("component", PgType::INT8)])
}
