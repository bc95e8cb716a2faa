//! `neighbors(edges text | text[], node text | text[], direction text DEFAULT 'out')` →
//! `node text, edge text, edge_id text, direction text, id text, type text`
//!
//! The edges of the named types at each node, one row for each, parallel edges too, with the
//! node at the other end: `edge` is the edge's table and `edge_id` its id, `direction` is
//! `out` or `in` as seen from the node, `id` and `type` are the other node's id and table.
//! With `direction => 'both'` an edge from a node to itself comes once, as `out`.
//!
//! A node that does not exist, or NULL, has no rows; one that is given twice counts once.
//! Rows come by node, in the order given, then by edge type, direction and place in the
//! edge's table.
//!
//! Errors: 22023 for a table that is not an edge type or another direction; 22004 for a NULL
//! direction.
//!
//! ```sql
//! SELECT n.id, e.constraint FROM neighbors('depends_on', 'gnome') n JOIN depends_on e ON e.id = n.edge_id;
//! ```

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::stream::TryStreamExt;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::Schema;
use omnigraph_engine::traverse::{NeighborsRequest, neighbors};

use crate::args::Args;
use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, TableFunction, arrow_schema};
use crate::rows::{self, BATCH_ROWS};
use crate::traverse::{direction, edge_types};

#[derive(Debug)]
pub struct Neighbors {
    arguments: Vec<Argument>,
}

impl Neighbors {
    pub fn new() -> Self {
        Neighbors {
            arguments: vec![
                Argument::required("edges", &[PgType::TEXT, PgType::TEXT_ARRAY]),
                Argument::required("node", &[PgType::TEXT, PgType::TEXT_ARRAY]),
                Argument::optional("direction", PgType::TEXT, ScalarValue::from("out")),
            ],
        }
    }
}

impl Default for Neighbors {
    fn default() -> Self {
        Neighbors::new()
    }
}

impl TableFunction for Neighbors {
    fn name(&self) -> &'static str {
        "neighbors"
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
        "the edges at each node, with the node at the other end"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let mut request = NeighborsRequest {
            edges: Vec::new(),
            nodes: args.texts("node")?,
            direction: direction(&args)?,
            limit: call.limit,
            batch_rows: BATCH_ROWS,
        };
        let found = async move {
            let snapshot = call.context.snapshot().await?;
            request.edges = edge_types(
                &Args::new(&Neighbors::new(), &call.arguments),
                snapshot.schema(),
            )?;
            Ok::<_, Error>(neighbors(snapshot, request).map_err(Error::from))
        };
        Ok(rows::batches(
            arrow_schema(&columns()),
            futures::stream::once(found).try_flatten(),
        ))
    }
}

fn columns() -> Vec<Column> {
    ["node", "edge", "edge_id", "direction", "id", "type"]
        .map(|name| Column::new(name, PgType::TEXT))
        .into()
}
