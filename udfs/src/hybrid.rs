//! `hybrid(type text, text text, vector text, query text, embedding vector, k int8 DEFAULT 10,
//! metric text DEFAULT NULL)` → the type's columns, `score float8`
//!
//! The rows that are among the first of two rankings: of property `text` by the words `query`,
//! as `search` has it, and of property `vector` by its distance from `embedding`, as `nearest`
//! has it. `score` is their reciprocal rank fusion: the sum of `1 / (60 + place)` over the
//! rankings in whose first 100 places a row is. The best come first, equal ones by id.
//! `type`, `text`, `vector` and `metric` are constants.
//!
//! Errors: those of `search` and `nearest`.
//!
//! ```sql
//! SELECT id, score FROM hybrid('chunk', text => 'text', vector => 'embedding', query => 'web server', embedding => $1);
//! ```

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::Schema;

use crate::error::{Error, Result};
use crate::function::{Argument, Call, Column, TableFunction};

/// What `hybrid` declares. Binding makes a query of it, so it is never called.
#[derive(Debug)]
pub struct Hybrid {
    arguments: Vec<Argument>,
}

impl Hybrid {
    pub const NAME: &'static str = "hybrid";

    pub fn new() -> Self {
        Hybrid {
            arguments: vec![
                Argument::required("type", &[PgType::TEXT]),
                Argument::required("text", &[PgType::TEXT]),
                Argument::required("vector", &[PgType::TEXT]),
                Argument::required("query", &[PgType::TEXT]),
                Argument::required("embedding", &[PgType::VECTOR]),
                Argument::optional("k", PgType::INT8, ScalarValue::Int64(Some(10))),
                Argument::optional("metric", PgType::TEXT, ScalarValue::Utf8(None)),
            ],
        }
    }
}

impl Default for Hybrid {
    fn default() -> Self {
        Hybrid::new()
    }
}

impl TableFunction for Hybrid {
    fn name(&self) -> &'static str {
        Hybrid::NAME
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
        "the rows that fit words and a vector best, both together"
    }

    fn call(&self, _call: Call) -> Result<SendableRecordBatchStream> {
        Err(Error::Engine(omnigraph_engine::Error::internal(
            "hybrid() was called instead of being bound",
        )))
    }
}
