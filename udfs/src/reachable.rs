//! `reachable(edges text | text[], start text | text[], direction text DEFAULT 'out',
//! max_hops int4 DEFAULT NULL)` → `start text, id text, type text, depth int4`
//!
//! All nodes that edges of the named types lead to from each start, however far, or within
//! `max_hops` edges: [`traverse`](super::traverse) without its bounds. The start itself is not
//! among them.
//!
//! Errors: as of `traverse`.
//!
//! ```sql
//! SELECT count(*) FROM reachable('depends_on', 'gnome');
//! ```

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::Schema;

use crate::error::Result;
use crate::function::{Argument, Call, Column, Comparison, TableFunction};
use crate::traverse::Traverse;

#[derive(Debug)]
pub struct Reachable {
    arguments: Vec<Argument>,
    traverse: Traverse,
}

impl Reachable {
    pub fn new() -> Self {
        Reachable {
            arguments: vec![
                Argument::required("edges", &[PgType::TEXT, PgType::TEXT_ARRAY]),
                Argument::required("start", &[PgType::TEXT, PgType::TEXT_ARRAY]),
                Argument::optional("direction", PgType::TEXT, ScalarValue::from("out")),
                Argument::optional("max_hops", PgType::INT4, ScalarValue::Int32(None)),
            ],
            traverse: Traverse::new(),
        }
    }
}

impl Default for Reachable {
    fn default() -> Self {
        Reachable::new()
    }
}

impl TableFunction for Reachable {
    fn name(&self) -> &'static str {
        "reachable"
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn columns(
        &self,
        constants: &[Option<ScalarValue>],
        schema: Option<&Schema>,
    ) -> Result<Vec<Column>> {
        self.traverse.columns(constants, schema)
    }

    fn description(&self) -> &'static str {
        "nodes that edges lead to from each start, however far"
    }

    fn takes_bound(&self, column: &str, comparison: Comparison) -> bool {
        self.traverse.takes_bound(column, comparison)
    }

    fn call(&self, mut call: Call) -> Result<SendableRecordBatchStream> {
        // Between the direction and the greatest number of hops stands the least.
        call.arguments.insert(3, ScalarValue::Int32(Some(1)));
        self.traverse.call(call)
    }
}
