//! `nearest(type text, property text, query vector, k int8 DEFAULT 10, metric text DEFAULT NULL,
//! filter text DEFAULT NULL)` → the type's columns, `distance float8`
//!
//! The `k` rows whose vectors are nearest to `query`, the nearest first, equal ones by id; rows
//! without a vector are not among them. `metric` is `l2`, `cosine`, `ip` (the inner product,
//! negated) or `l1`; by default that of the property's `@index`, else `cosine`. `filter` is a
//! condition in SQL over the type's columns: only rows for which it is true are looked at.
//! `type`, `property`, `metric` and `filter` are constants.
//!
//! Errors: 42P01 and 42703 for an unknown type or property; 22023 for a property that is not a
//! vector, or another metric; 22000 for a query of other dimensions.
//!
//! ```sql
//! SELECT id, distance FROM nearest('chunk', 'embedding', $1, k => 5, filter => 'lang = ''en''');
//! ```

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::Schema;

use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, TableFunction};

/// What `nearest` declares. Binding makes a query of it, so it is never called.
#[derive(Debug)]
pub struct Nearest {
    arguments: Vec<Argument>,
}

impl Nearest {
    pub const NAME: &'static str = "nearest";

    pub fn new() -> Self {
        Nearest {
            arguments: vec![
                Argument::required("type", &[PgType::TEXT]),
                Argument::required("property", &[PgType::TEXT]),
                Argument::required("query", &[PgType::VECTOR]),
                Argument::optional("k", PgType::INT8, ScalarValue::Int64(Some(10))),
                Argument::optional("metric", PgType::TEXT, ScalarValue::Utf8(None)),
                Argument::optional("filter", PgType::TEXT, ScalarValue::Utf8(None)),
            ],
        }
    }
}

impl Default for Nearest {
    fn default() -> Self {
        Nearest::new()
    }
}

impl TableFunction for Nearest {
    fn name(&self) -> &'static str {
        Nearest::NAME
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn columns(
        &self,
        _constants: &[Option<ScalarValue>],
        _schema: Option<&Schema>,
    ) -> Result<Vec<Column>> {
        Ok(Vec::new())
    }

    fn description(&self) -> &'static str {
        "the rows whose vectors are nearest to a vector"
    }

    fn call(&self, _call: Call) -> Result<SendableRecordBatchStream> {
        Err(Error::Engine(omnigraph_engine::Error::internal(
            "nearest() was called instead of being bound",
        )))
    }
}
