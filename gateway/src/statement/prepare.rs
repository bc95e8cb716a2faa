//! PREPARE, EXECUTE, DEALLOCATE: prepared statements by SQL.

use std::sync::Arc;

use sqlparser::ast;

use super::parse::Prepare;
use super::{bind, done};
use crate::error::{PgError, PgResult};
use crate::session::Session;
use crate::session::protocol::{Execution, Place};
use crate::sqlstate;

impl Session {
    pub(crate) async fn prepare_named(&mut self, prepare: &Prepare) -> PgResult<Execution> {
        self.statements.check_free(&prepare.name)?;
        if !prepare.statement.statement.is_bound() {
            return Err(PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "only queries and INSERT, UPDATE, DELETE, MERGE can be prepared",
            ));
        }
        let catalogs = self.catalogs(false).await?;
        let path = self.search_path().await?;
        let declared = prepare
            .types
            .iter()
            .map(|ty| declared_type(ty, &*catalogs.lookup(), &path))
            .collect::<PgResult<Vec<u32>>>()?;
        let statement =
            Box::pin(self.prepare_statement(Arc::new(prepare.statement.clone()), &declared))
                .await?;
        self.statements.insert(&prepare.name, statement)?;
        Ok(done("PREPARE"))
    }

    pub(crate) async fn execute_named(
        &mut self,
        name: &str,
        arguments: &[ast::Expr],
        place: Place,
    ) -> PgResult<Execution> {
        let statement = self.statements.find(name)?;
        let types = Arc::clone(&statement.described.params);
        if types.len() != arguments.len() {
            return Err(PgError::new(
                sqlstate::SYNTAX_ERROR,
                format!("wrong number of parameters for prepared statement \"{name}\""),
            )
            .detail(format!(
                "Expected {} parameters but got {}.",
                types.len(),
                arguments.len()
            )));
        }
        let values = if arguments.is_empty() {
            Vec::new()
        } else {
            let frozen = self.frozen(false).await?;
            bind::constants(arguments, &types, &frozen).await?
        };
        Box::pin(self.execute_statement(&statement, values, place)).await
    }

    pub(crate) fn deallocate(&mut self, name: Option<&str>) -> PgResult<Execution> {
        let Some(name) = name else {
            self.statements.clear();
            return Ok(done("DEALLOCATE ALL"));
        };
        // 26000 if there is none.
        self.statements.find(name)?;
        self.statements.remove(name);
        Ok(done("DEALLOCATE"))
    }
}

fn declared_type(
    ty: &ast::DataType,
    catalog: &dyn omnigraph_catalog::lookup::CatalogLookup,
    path: &omnigraph_catalog::lookup::SearchPath,
) -> PgResult<u32> {
    let text = ty.to_string();
    if text.eq_ignore_ascii_case("unknown") {
        return Ok(0);
    }
    catalog
        .parse_type(&text, path)
        .map(|ty| ty.oid)
        .ok_or_else(|| {
            PgError::new(
                sqlstate::UNDEFINED_OBJECT,
                format!("type \"{text}\" does not exist"),
            )
        })
}
