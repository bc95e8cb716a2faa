//! `k_shortest_paths(edges text | text[], source text | text[], target text | text[], k int8,
//! weight text DEFAULT NULL, direction text DEFAULT 'out')` →
//! `path int8, step int4, node text, edge text, cost float8, source text, target text`
//!
//! The `k` best paths that come to no node twice, a row for each node of each: as
//! [`shortest_path`](super::shortest_path) gives one. `path` is a path's rank among those between
//! the same two nodes, from 1. Parallel edges make different paths.
//!
//! `edges` are tables of edge types, any of which may be taken at each step; `direction` is
//! `out`, `in` or `both`. `weight` names a numeric property that each of them has: a path costs
//! the sum of its edges' weights, and without it the number of its edges. `source` and `target`
//! can be arrays: then each source is joined to each target.
//!
//! Errors: as of `shortest_path`, and 22023 for a `k` below 1.
//!
//! ```sql
//! SELECT path, max(cost) FROM k_shortest_paths('road', 'rome', 'oslo', k => 3, weight => 'length') GROUP BY 1;
//! ```

use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::Schema;
use omnigraph_engine::traverse::Wanted;

use crate::args::Args;
use crate::error::Result;
use crate::function::{Argument, Call, Column, TableFunction};
use crate::paths;

#[derive(Debug)]
pub struct KShortestPaths {
    arguments: Vec<Argument>,
}

impl KShortestPaths {
    pub fn new() -> Self {
        KShortestPaths {
            arguments: paths::arguments(vec![Argument::required("k", &[PgType::INT8])]),
        }
    }
}

impl Default for KShortestPaths {
    fn default() -> Self {
        KShortestPaths::new()
    }
}

impl TableFunction for KShortestPaths {
    fn name(&self) -> &'static str {
        "k_shortest_paths"
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
        "the k best paths between two nodes, node by node"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let count = u64::try_from(args.int("k")?)
            .ok()
            .filter(|count| *count > 0);
        let count = count.ok_or_else(|| args.bad("k", "must be at least 1"))?;
        paths::start(Arc::new(KShortestPaths::new()), call, Wanted::Best(count))
    }
}
