//! `shortest_path(edges text | text[], source text | text[], target text | text[],
//! weight text DEFAULT NULL, direction text DEFAULT 'out')` →
//! `step int4, node text, edge text, cost float8, source text, target text`
//!
//! A shortest path, a row for each of its nodes: step 0 is the source, `edge` is the id of the
//! edge that leads to the node, and `cost` is what the path has cost there.
//!
//! `edges` are tables of edge types, any of which may be taken at each step; `direction` is
//! `out`, `in` or `both`. `weight` names a numeric property that each of them has: a path costs
//! the sum of its edges' weights, and without it the number of its edges. `source` and `target`
//! can be arrays: then each source is joined to each target.
//!
//! What does not exist or cannot be reached has no rows. Among equal paths it is always the
//! same one that is given.
//!
//! Errors: 22023 for a table that is not an edge type, another direction, a weight that is not a
//! number, NULL or negative; 42703 for a weight that an edge type does not have.
//!
//! ```sql
//! SELECT node, cost FROM shortest_path('knows', 'ada', 'zoe') ORDER BY step;
//! ```

use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;

use omnigraph_engine::schema::Schema;
use omnigraph_engine::traverse::Wanted;

use crate::error::Result;
use crate::function::{Argument, Call, Column, TableFunction};
use crate::paths;

#[derive(Debug)]
pub struct ShortestPath {
    arguments: Vec<Argument>,
}

impl ShortestPath {
    pub fn new() -> Self {
        ShortestPath {
            arguments: paths::arguments(Vec::new()),
        }
    }
}

impl Default for ShortestPath {
    fn default() -> Self {
        ShortestPath::new()
    }
}

impl TableFunction for ShortestPath {
    fn name(&self) -> &'static str {
        "shortest_path"
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn columns(
        &self,
        _constants: &[Option<ScalarValue>],
        _schema: Option<&Schema>,
    ) -> Result<Vec<Column>> {
        Ok(paths::columns(false))
    }

    fn description(&self) -> &'static str {
        "a shortest path between two nodes, node by node"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        paths::start(Arc::new(ShortestPath::new()), call, Wanted::Shortest)
    }
}
