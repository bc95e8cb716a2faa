//! `tag_create(name text, ref text DEFAULT 'current', message text DEFAULT NULL)` → `tag_create text`
//!
//! Puts a tag on what `ref` names, and answers its commit. A tag stays where it is and keeps
//! its state readable whatever VACUUM is told. Branches and tags share one name space.
//!
//! Errors: 42710 for a tag, 42P06 for a branch of that name; 22023 for a name that no tag may
//! have and for a reference that names nothing; 72000 for a state that is no longer kept.
//!
//! ```sql
//! SELECT tag_create('v1.0', message => 'as released');
//! ```

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::schema::Schema;

use crate::args::Args;
use crate::error::Result;
use crate::function::{Argument, CURRENT, Call, Column, Effect, TableFunction};
use crate::rows;

#[derive(Debug)]
pub struct TagCreate {
    arguments: Vec<Argument>,
}

impl TagCreate {
    pub fn new() -> Self {
        TagCreate {
            arguments: vec![
                Argument::required("name", &[PgType::TEXT]),
                Argument::optional("ref", PgType::TEXT, ScalarValue::from(CURRENT)),
                Argument::optional("message", PgType::TEXT, ScalarValue::Utf8(None)),
            ],
        }
    }
}

impl Default for TagCreate {
    fn default() -> Self {
        TagCreate::new()
    }
}

impl TableFunction for TagCreate {
    fn name(&self) -> &'static str {
        "tag_create"
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
        "puts a tag on a commit, and answers the commit"
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
        let reference = args.text("ref")?.to_owned();
        let message = args.optional_text("message")?.map(str::to_owned);
        let context = call.context;
        Ok(rows::answer(self.name(), async move {
            let at = context.resolve(&reference).await?;
            let tag = context.access()?.create_tag(&name, &at, message).await?;
            Ok(Some(tag.commit.to_string()))
        }))
    }
}
