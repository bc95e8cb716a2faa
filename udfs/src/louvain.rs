//! `louvain(edges text | text[], resolution float8 DEFAULT 1)` → `id text, type text, community int8`
//!
//! Communities by the Louvain method: nodes move to the community of a neighbour while that
//! makes the modularity greater, then communities become nodes, until nothing moves. Directions
//! do not count, parallel edges count as often as they are. A greater `resolution` makes smaller
//! communities. They are numbered from 0; equal snapshots give equal communities.
//!
//! Errors: 22023 for a resolution that is not above 0.
//!
//! ```sql
//! SELECT community, count(*) FROM louvain('knows') GROUP BY 1 ORDER BY 2 DESC;
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::Schema;

use crate::algorithm;
use crate::args::Args;
use crate::error::Result;
use crate::function::{Argument, Call, Column, TableFunction};

#[derive(Debug)]
pub struct Louvain {
    arguments: Vec<Argument>,
}

impl Louvain {
    pub fn new() -> Self {
        let resolution = ScalarValue::Float64(Some(1.0));
        Louvain {
            arguments: vec![
                algorithm::edges(),
                Argument::optional("resolution", PgType::FLOAT8, resolution),
            ],
        }
    }
}

impl Default for Louvain {
    fn default() -> Self {
        Louvain::new()
    }
}

impl TableFunction for Louvain {
    fn name(&self) -> &'static str {
        "louvain"
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
        "communities by modularity"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let resolution = args.float("resolution")?;
        if !(resolution > 0.0 && resolution.is_finite()) {
            return Err(args.bad("resolution", "must be above 0"));
        }
        Ok(algorithm::start(
            Arc::new(Louvain::new()),
            &columns(),
            call,
            move |links, cancel| {
                let found = links.louvain(resolution, cancel)?;
                Ok(vec![Arc::new(Int64Array::from(found)) as ArrayRef])
            },
        ))
    }
}

fn columns() -> Vec<Column> {
    algorithm::columns(&[("community", PgType::INT8)])
}
