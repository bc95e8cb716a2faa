//! `betweenness(edges text | text[], samples int4 DEFAULT NULL)` → `id text, type text, betweenness float8`
//!
//! On how many shortest paths between two other nodes each node lies; where several are equally short, each counts in
//! part. With `samples` only the paths from so many nodes are looked at, and the result is scaled up: the exact answer
//! takes as many searches as there are nodes.
//!
//! Errors: 22023 for fewer samples than 1.
//!
//! ```sql
//! SELECT id, betweenness FROM betweenness('knows', samples => 100) ORDER BY 2 DESC LIMIT 10;
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::Schema;

use crate::algorithm;
use crate::args::Args;
use crate::error::Result;
use crate::function::{Argument, Call, Column, TableFunction};

#[derive(Debug)]
pub struct Betweenness {
    arguments: Vec<Argument>,
}

impl Betweenness {
    pub fn new() -> Self {
        Betweenness {
            arguments: vec![
                algorithm::edges(),
                Argument::optional("samples", PgType::INT4, ScalarValue::Int32(None)),
            ],
        }
    }
}

impl Default for Betweenness {
    fn default() -> Self {
        Betweenness::new()
    }
}

impl TableFunction for Betweenness {
    fn name(&self) -> &'static str {
        "betweenness"
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
        "on how many shortest paths between others each node lies"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let samples = match args.optional_int("samples")? {
            None => None,
            Some(samples) => match usize::try_from(samples) {
                Ok(samples) if samples > 0 => Some(samples),
                _ => return Err(args.bad("samples", "must be positive")),
            },
        };
        Ok(algorithm::start(
            Arc::new(Betweenness::new()),
            &columns(),
            call,
            move |links, cancel| {
                let found = links.betweenness(samples, cancel)?;
                Ok(vec![Arc::new(Float64Array::from(found)) as ArrayRef])
            },
        ))
    }
}

fn columns() -> Vec<Column> {
    algorithm::columns(&[("betweenness", PgType::FLOAT8)])
}
