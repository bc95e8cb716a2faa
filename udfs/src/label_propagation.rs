//! `label_propagation(edges text | text[], iterations int4 DEFAULT 20)` → `id text, type text, community int8`
//!
//! Communities: each node takes the label that most of its neighbours have, until none changes or for so many
//! iterations. Directions and parallel edges do not count. Communities are numbered from 0.
//!
//! Errors: 22023 for a negative number of iterations.
//!
//! ```sql
//! SELECT community, count(*) FROM label_propagation('knows') GROUP BY 1 ORDER BY 2 DESC;
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
pub struct LabelPropagation {
    arguments: Vec<Argument>,
}

impl LabelPropagation {
    pub fn new() -> Self {
        LabelPropagation {
            arguments: vec![
                algorithm::edges(),
                Argument::optional("iterations", PgType::INT4, ScalarValue::Int32(Some(20))),
            ],
        }
    }
}

impl Default for LabelPropagation {
    fn default() -> Self {
        LabelPropagation::new()
    }
}

impl TableFunction for LabelPropagation {
    fn name(&self) -> &'static str {
        "label_propagation"
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
        "communities by the labels of neighbours"
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let iterations = u32::try_from(args.int("iterations")?)
            .map_err(|_| args.bad("iterations", "must not be negative"))?;
        Ok(algorithm::start(
            Arc::new(LabelPropagation::new()),
            &columns(),
            call,
            move |links, cancel| {
                let found = links.label_propagation(iterations, cancel)?;
                Ok(vec![Arc::new(Int64Array::from(found)) as ArrayRef])
            },
        ))
    }
}

fn columns() -> Vec<Column> {
    algorithm::columns(&[("community", PgType::INT8)])
}
