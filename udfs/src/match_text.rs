//! `match_text(type text, property text, words text, k int8 DEFAULT 10, analyzer text DEFAULT
//! NULL)` → the type's columns, `score float8`
//!
//! As `search`, for rows whose text has all of the words. `"…"` is a phrase: words that follow
//! each other; `word*` any word that begins so, and `-word` or `-"…"` what must not be there.
//! What has signs inside of it, as `x86-64`, is a phrase of its words. Where nothing has to be
//! there, there are no rows.
//!
//! ```sql
//! SELECT name FROM match_text('package', 'description', '"web server" light* -java', k => 5);
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
pub struct MatchText {
    arguments: Vec<Argument>,
}

impl MatchText {
    pub fn new() -> Self {
        MatchText {
            arguments: arguments(),
        }
    }
}

impl Default for MatchText {
    fn default() -> Self {
        MatchText::new()
    }
}

impl TableFunction for MatchText {
    fn name(&self) -> &'static str {
        "match_text"
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
        "the rows whose text has all of the words and phrases, the best first"
    }

    fn rows(&self) -> usize {
        10
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let words = args.text("words")?.to_owned();
        text_search::start(Arc::new(MatchText::new()), call, move |analyzer| {
            TextQuery::parse(analyzer, &words)
        })
    }
}
