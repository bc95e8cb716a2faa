//! `search(type text, property text, words text, k int8 DEFAULT 10, analyzer text DEFAULT NULL)`
//! → the type's columns, `score float8`
//!
//! The `k` rows whose text has any of the words and that fit them best; with `k => NULL` all
//! that have one. `analyzer` says what words are: `simple`, runs of letters and digits, whatever
//! their case; `english`, the stems of those, without the most frequent words; `keyword`, the
//! whole text. By default it is that of the property's `@index`, else `simple`. `score` is BM25
//! (k1 1.2, b 0.75) over the rows that the statement reads; the best come first, equal ones by
//! id. `type` is a constant, because the columns follow from it.
//!
//! Errors: 42P01 and 42703 for an unknown type or property; 22023 for a property that is not a
//! text, a negative `k` or another analyzer; 22004 for a NULL elsewhere.
//!
//! ```sql
//! SELECT name, score FROM search('package', 'description', 'web server');
//! ```

use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_engine::schema::Schema;
use omnigraph_engine::search::TextQuery;

use crate::args::Args;
use crate::error::Result;
use crate::function::{Argument, Call, Column, TableFunction};
use crate::text_search;

fn arguments() -> Vec<Argument> {
    let mut arguments = text_search::arguments();
    arguments.push(text_search::analyzer());
    arguments
}

#[derive(Debug)]
pub struct Search {
    arguments: Vec<Argument>,
}

impl Search {
    pub fn new() -> Self {
        Search {
            arguments: arguments(),
        }
    }
}

impl Default for Search {
    fn default() -> Self {
        Search::new()
    }
}

impl TableFunction for Search {
    fn name(&self) -> &'static str {
        "search"
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
        "the rows whose text has any of the words, the best first"
    }

    fn rows(&self) -> usize {
        10
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let words = args.text("words")?.to_owned();
        text_search::start(Arc::new(Search::new()), call, move |analyzer| {
            TextQuery::any(analyzer, &words)
        })
    }
}
