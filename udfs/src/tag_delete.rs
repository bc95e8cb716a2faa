//! `tag_delete(name text)` → `tag_delete text`
//!
//! Takes a tag away, and answers the commit it was on. VACUUM keeps that commit's state for as
//! long as it retains any other.
//!
//! Errors: 42704 for a tag that is not there.
//!
//! ```sql
//! SELECT tag_delete('v1.0');
//! ```

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::Schema;

use crate::args::Args;
use crate::error::Result;
use crate::function::{Argument, Call, Column, Effect, TableFunction};
use crate::rows;

#[derive(Debug)]
pub struct TagDelete {
    arguments: Vec<Argument>,
}

impl TagDelete {
    pub fn new() -> Self {
        TagDelete {
            arguments: vec![Argument::required("name", &[PgType::TEXT])],
        }
    }
}

impl Default for TagDelete {
    fn default() -> Self {
        TagDelete::new()
    }
}

impl TableFunction for TagDelete {
    fn name(&self) -> &'static str {
        "tag_delete"
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn columns(
        &self,
        _constants: &[Option<ScalarValue>],
        _schema: Option<&Schema>,
    ) -> Result<Vec<Column>> {
        Ok(vec![Column::new(self.name(), PgType::TEXT)])
    }

    fn description(&self) -> &'static str {
        "takes a tag away, and answers the commit it was on"
    }

    fn effect(&self) -> Effect {
        Effect::Changes
    }

    fn rows(&self) -> usize {
        1
    }

    fn call(&self, call: Call) -> Result<SendableRecordBatchStream> {
        let args = Args::new(self, &call.arguments);
        let name = BranchName::parse(args.text("name")?)?;
        let context = call.context;
        Ok(rows::answer(self.name(), async move {
            let tag = context.access()?.delete_tag(&name).await?;
            Ok(Some(tag.commit.to_string()))
        }))
    }
}
