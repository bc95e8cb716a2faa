//! `all_shortest_paths(edges text | text[], source text | text[], target text | text[],
//! weight text DEFAULT NULL, direction text DEFAULT 'out')` →
//! `path int8, step int4, node text, edge text, cost float8, source text, target text`
//!
//! All shortest paths, a row for each node of each: as [`shortest_path`](super::shortest_path)
//! gives one. `path` numbers those between the same two nodes from 1. Parallel edges make
//! different paths; no path comes to a node twice.
//!
//! `edges` are tables of edge types, any of which may be taken at each step; `direction` is
//! `out`, `in` or `both`. `weight` names a numeric property that each of them has: a path costs
//! the sum of its edges' weights, and without it the number of its edges. `source` and `target`
//! can be arrays: then each source is joined to each target.
//!
//! Errors: as of `shortest_path`.
//!
//! ```sql
//! SELECT path, array_agg(node ORDER BY step) FROM all_shortest_paths('knows', 'ada', 'zoe') GROUP BY 1;
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
pub struct AllShortestPaths {
    arguments: Vec<Argument>,
}

impl AllShortestPaths {
    pub fn new() -> Self {
        AllShortestPaths {
            arguments: paths::arguments(Vec::new()),
        }
    }
}

impl Default for AllShortestPaths {
    fn default() -> Self {
        AllShortestPaths::new()
    }
}

impl TableFunction for AllShortestPaths {
    fn name(&self) -> &'static str {
        "all_shortest_paths"
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn columns(
        &self,
        _constants: &[Option<ScalarValue>],
        _schema: Option<&Schema>,
    ) -> Result<Vec<Column>> {
        Ok(paths::columns(true))
    }

    fn description(&self) -> &'static str {
        "all shortest paths between two nodes, node by node"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        paths::start(Arc::new(AllShortestPaths::new()), call, Wanted::AllShortest)
    }
}
