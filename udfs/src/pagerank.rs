//! `pagerank(edges text | text[], damping float8 DEFAULT 0.85, iterations int4 DEFAULT 20, tolerance float8 DEFAULT 1e-6)`
//! → `id text, type text, rank float8`
//!
//! How likely somebody who follows edges at random is found at each node; the ranks add up to 1. What lies at nodes
//! without edges is spread over all. It ends after so many iterations, or when all ranks together change by less than
//! `tolerance`.
//!
//! Errors: 22023 for a damping outside of 0 to 1, or a negative number of iterations.
//!
//! ```sql
//! SELECT id, rank FROM pagerank('depends_on') ORDER BY rank DESC LIMIT 10;
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::algorithms::PageRank;
use omnigraph_engine::schema::Schema;

use crate::algorithm;
use crate::args::Args;
use crate::error::Result;
use crate::function::{Argument, Call, Column, TableFunction};

#[derive(Debug)]
pub struct Pagerank {
    arguments: Vec<Argument>,
}

impl Pagerank {
    pub fn new() -> Self {
        Pagerank {
            arguments: vec![
                algorithm::edges(),
                Argument::optional("damping", PgType::FLOAT8, ScalarValue::Float64(Some(0.85))),
                Argument::optional("iterations", PgType::INT4, ScalarValue::Int32(Some(20))),
                Argument::optional(
                    "tolerance",
                    PgType::FLOAT8,
                    ScalarValue::Float64(Some(1e-6)),
                ),
            ],
        }
    }
}

impl Default for Pagerank {
    fn default() -> Self {
        Pagerank::new()
    }
}

impl TableFunction for Pagerank {
    fn name(&self) -> &'static str {
        "pagerank"
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
        "how likely a random walk is found at each node"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let iterations = u32::try_from(args.int("iterations")?)
            .map_err(|_| args.bad("iterations", "must not be negative"))?;
        let damping = args.float("damping")?;
        if !(0.0..=1.0).contains(&damping) {
            return Err(args.bad("damping", "must be between 0 and 1"));
        }
        let options = PageRank {
            damping,
            iterations,
            tolerance: args.float("tolerance")?,
        };
        Ok(algorithm::start(
            Arc::new(Pagerank::new()),
            &columns(),
            call,
            move |links, cancel| {
                let found = links.pagerank(&options, cancel)?;
                Ok(vec![Arc::new(Float64Array::from(found)) as ArrayRef])
            },
        ))
    }
}

fn columns() -> Vec<Column> {
    algorithm::columns(&[("rank", PgType::FLOAT8)])
}
