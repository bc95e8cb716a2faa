//! A policy's condition, from its text to what decides over rows.

use std::sync::Arc;

use omnigraph_catalog::provider::RowFilter;
use omnigraph_catalog::stored::Asker;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::restrict::RowPredicate;
use omnigraph_engine::schema::{Schema, TypeDef};

use super::detached::Detached;
use crate::error::PgResult;
use crate::plan::{Functions, table_relation};
use crate::sqlstate::from_datafusion;
use crate::statement::bind::bind_condition;

pub(super) fn compiled(
    functions: &Arc<Functions>,
    schema: &Arc<Schema>,
    of: &Arc<TypeDef>,
    text: &str,
    asker: Asker<'_>,
) -> PgResult<Arc<dyn RowPredicate>> {
    let environment = Detached::new("", schema, functions)?.asked_by(asker);
    let relation = table_relation(&BranchName::main(), 0, of);
    let condition = bind_condition(&relation, text, &environment)?;
    let filter = RowFilter::new(of, &condition.columns, condition.expr);
    Ok(Arc::new(filter.map_err(|error| from_datafusion(&error))?))
}
