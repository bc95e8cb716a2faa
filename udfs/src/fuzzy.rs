//! `fuzzy(type text, property text, words text, k int8 DEFAULT 10, edits int4 DEFAULT 1,
//! analyzer text DEFAULT NULL)` → the type's columns, `score float8`
//!
//! As `search`, for rows whose text has, for each of the words, one that at most `edits` (0 to
//! 2) insertions, deletions and replacements of letters make of it. All words that are so near
//! count as one word in the score.
//!
//! ```sql
//! SELECT name FROM fuzzy('package', 'description', 'postgrsql servr', edits => 2);
//! ```

use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::schema::Schema;
use omnigraph_engine::search::TextQuery;

use crate::args::Args;
use crate::error::Result;
use crate::function::{Argument, Call, Column, TableFunction};
use crate::pg::words::edits;
use crate::text_search;

#[derive(Debug)]
pub struct Fuzzy {
    arguments: Vec<Argument>,
}

impl Fuzzy {
    pub fn new() -> Self {
        let mut arguments = text_search::arguments();
        let default = ScalarValue::Int32(Some(1));
        arguments.push(Argument::optional("edits", PgType::INT4, default));
        arguments.push(text_search::analyzer());
        Fuzzy { arguments }
    }
}

impl Default for Fuzzy {
    fn default() -> Self {
        Fuzzy::new()
    }
}

impl TableFunction for Fuzzy {
    fn name(&self) -> &'static str {
        "fuzzy"
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn columns(
        &self,
        constants: &[Option<ScalarValue>],
        schema: Option<&Schema>,
    ) -> Result<Vec<Column>> {
        text_search::columns(self, constants, schema)
    }

    fn description(&self) -> &'static str {
        "the rows whose text has words like all of these, the best first"
    }

    fn rows(&self) -> usize {
        10
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let edits = edits(args.int("edits")?);
        let edits = edits.ok_or_else(|| args.bad("edits", "must be 0, 1 or 2"))?;
        let words = args.text("words")?.to_owned();
        text_search::start(Arc::new(Fuzzy::new()), call, move |analyzer| {
            TextQuery::near(analyzer, &words, edits)
        })
    }
}
