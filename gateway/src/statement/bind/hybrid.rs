//! `hybrid(…)` in FROM: the query over `search` and `nearest` that says the same.

use std::rc::Rc;
use std::sync::Arc;

use omnigraph_engine::error::ObjectKind;
use omnigraph_udfs::TableFunction;
use omnigraph_udfs::hybrid::Hybrid;
use omnigraph_udfs::text_search::score_column;
use sqlparser::ast;

use super::coerce::positioned;
use super::expr::Ctx;
use super::from::Factor;
use super::lateral::has_columns;
use super::nearest::{constant_text, elsewhere};
use super::scope::Level;
use super::{Binder, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::{fold, template};

/// The values are the function's arguments, in order. Names with dots are nobody's.
const FUSED: &str = r#"
    WITH "hybrid.places" AS (
        SELECT id, row_number() OVER (ORDER BY "score" DESC, id) AS place
        FROM search($1, $2, $4, k => 100)
        UNION ALL
        SELECT id, row_number() OVER (ORDER BY distance, id)
        FROM nearest($1, $3, $5, k => 100, metric => $7)
    ), "hybrid.fused" AS (
        SELECT id, sum(1e0 / (60 + place)) AS "score" FROM "hybrid.places"
        GROUP BY id ORDER BY "score" DESC, id LIMIT $6
    )
    SELECT "table".*, "hybrid.fused"."score"
    FROM "hybrid.fused" JOIN "branch"."table" ON "table".id = "hybrid.fused".id
    ORDER BY "hybrid.fused"."score" DESC, "table".id"#;

impl Binder<'_> {
    pub(super) fn hybrid(
        &mut self,
        function: &Arc<dyn TableFunction>,
        args: &[ast::FunctionArg],
        alias: Option<&ast::TableAlias>,
        mut ctx: Ctx,
        at: Option<u32>,
    ) -> PgResult<Factor> {
        let values = self.table_arguments(function, args, &mut ctx, at)?;
        if !ctx.applies.is_empty() || values.iter().any(|value| has_columns(&value.expr)) {
            let what = "a column or a subquery as argument of hybrid()";
            return Err(unsupported(what, at));
        }
        let ty = match values.first().and_then(constant_text) {
            Some(Some(ty)) => ty,
            _ => {
                let error = PgError::new(
                    sqlstate::INVALID_PARAMETER_VALUE,
                    "hybrid(): argument \"type\" must be a constant",
                );
                return Err(positioned(error, at));
            }
        };
        let schema = self.env.graph_schema();
        let def = schema
            .as_ref()
            .and_then(|schema| schema.table(&ty).or_else(|| schema.by_name(&ty)))
            .ok_or_else(|| {
                let error = omnigraph_engine::Error::not_found(ObjectKind::Type, &ty);
                positioned(sqlstate::from_engine(&error), at)
            })?;
        let first = self.given.len();
        self.given.extend(values);
        let branch = self.path.branch.clone();
        let names = [
            ("branch", branch.as_str()),
            ("table", def.table.as_str()),
            ("score", score_column(def)),
        ];
        let rel = template(FUSED, &names, first)
            .and_then(|query| self.query(&query, &Rc::new(Level::default()), None));
        self.given.truncate(first);
        let rel = rel.map_err(|error| elsewhere(error, at))?;
        let name = alias.map_or_else(|| Hybrid::NAME.to_owned(), |alias| fold(&alias.name));
        self.aliased(rel, &name, alias).map(Factor::Item)
    }
}
