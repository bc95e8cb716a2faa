//! `degree(edges text | text[])` → `id text, type text, out_degree int8, in_degree int8`
//!
//! For each node of the types that these edges join: how many of the edges leave it, and how many enter it.
//!
//! ```sql
//! SELECT id, in_degree FROM degree('depends_on') ORDER BY in_degree DESC LIMIT 10;
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
pub struct Degree {
    arguments: Vec<Argument>,
}

impl Degree {
    pub fn new() -> Self {
        Degree {
            arguments: vec![algorithm::edges()],
        }
    }
}

impl Default for Degree {
    fn default() -> Self {
        Degree::new()
    }
}

impl TableFunction for Degree {
    fn name(&self) -> &'static str {
        "degree"
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
        "how many edges leave and enter each node"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        Ok(algorithm::start(
            Arc::new(Degree::new()),
            &columns(),
            call,
            |links, _| {
                let (out, entering) = links.degrees();
                let array = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
                Ok(vec![array(out), array(entering)])
            },
        ))
    }
}

fn columns() -> Vec<Column> {
    algorithm::columns(&[("out_degree", PgType::INT8), ("in_degree", PgType::INT8)])
}
