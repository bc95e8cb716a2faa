//! What a stored query was compiled to.

use std::sync::Arc;

use omnigraph_catalog::stored::StoredQuery;
use omnigraph_engine::query::{self, Query, QueryErrors};
use omnigraph_engine::schema::Schema;
use parking_lot::Mutex;

use crate::error::{PgError, PgResult};
use crate::plan::same_schema;
use crate::sqlstate;
use crate::statement::parse::ParsedStatement;

#[derive(Debug)]
pub enum Program {
    Gq(GqProgram),
    Sql(SqlProgram),
}

/// A query of the `.gq` language, checked once for each schema that branches show.
#[derive(Debug)]
pub struct GqProgram {
    source: String,
    name: String,
    checked: Mutex<Vec<(Arc<Schema>, Arc<Query>)>>,
}

#[derive(Debug)]
pub struct SqlProgram {
    pub body: String,
    pub statement: ParsedStatement,
}

/// Schemas for which a query is kept; the oldest goes.
const SCHEMAS: usize = 8;

impl Program {
    pub fn of(query: &StoredQuery) -> PgResult<&Program> {
        query.program.downcast_ref().ok_or_else(|| {
            let message = format!("the stored query {} was not compiled here", query.name);
            PgError::new(sqlstate::INTERNAL_ERROR, message)
        })
    }
}

impl GqProgram {
    pub fn new(source: &str, name: &str, schema: &Arc<Schema>, checked: Query) -> Self {
        GqProgram {
            source: source.to_owned(),
            name: name.to_owned(),
            checked: Mutex::new(vec![(Arc::clone(schema), Arc::new(checked))]),
        }
    }

    /// The query as it is meant under a schema.
    pub fn checked(&self, schema: &Arc<Schema>) -> Result<Arc<Query>, QueryErrors> {
        let mut checked = self.checked.lock();
        let known = checked.iter().find(|(known, _)| same_schema(known, schema));
        if let Some((_, query)) = known {
            return Ok(Arc::clone(query));
        }
        let query = query::check_one(&self.source, &self.name, schema)?;
        let Some(query) = query.map(Arc::new) else {
            unreachable!("the source was read when the query was declared, and has it");
        };
        if checked.len() >= SCHEMAS {
            checked.remove(0);
        }
        checked.push((Arc::clone(schema), Arc::clone(&query)));
        Ok(query)
    }
}
