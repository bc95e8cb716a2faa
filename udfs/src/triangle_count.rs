//! `triangle_count(edges text | text[])` → `id text, type text, triangles int8`
//!
//! In how many triangles each node is: sets of three nodes, each joined to both others by some edge. Directions,
//! parallel edges and loops do not count.
//!
//! ```sql
//! SELECT sum(triangles) / 3 FROM triangle_count('knows');
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
pub struct TriangleCount {
    arguments: Vec<Argument>,
}

impl TriangleCount {
    pub fn new() -> Self {
        TriangleCount {
            arguments: vec![algorithm::edges()],
        }
    }
}

impl Default for TriangleCount {
    fn default() -> Self {
        TriangleCount::new()
    }
}

impl TableFunction for TriangleCount {
    fn name(&self) -> &'static str {
        "triangle_count"
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
        "in how many triangles each node is"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        Ok(algorithm::start(
            Arc::new(TriangleCount::new()),
            &columns(),
            call,
            |links, cancel| {
                let found = links.triangles(cancel)?;
                Ok(vec![Arc::new(Int64Array::from(found)) as ArrayRef])
            },
        ))
    }
}

fn columns() -> Vec<Column> {
    algorithm::columns(&[("triangles", PgType::INT8)])
}
