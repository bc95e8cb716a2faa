//! TABLESAMPLE. Rows are in the sample or not one by one; SYSTEM has blocks of one row.

use std::rc::Rc;

use datafusion::logical_expr::LogicalPlanBuilder;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::sample;
use sqlparser::ast;

use super::coerce::Context;
use super::expr::Ctx;
use super::from::FromItem;
use super::scope::{Level, Scope};
use super::{Binder, planned, unsupported};
use crate::error::PgResult;

impl Binder<'_> {
    pub(super) fn sampled(
        &mut self,
        item: FromItem,
        sample: &ast::TableSample,
        level: &Rc<Level>,
        parent: &Option<Rc<Scope>>,
    ) -> PgResult<FromItem> {
        let method = matches!(
            sample.name,
            Some(ast::TableSampleMethod::Bernoulli | ast::TableSampleMethod::System)
        );
        let quantity = match &sample.quantity {
            Some(quantity) if method && quantity.unit.is_none() && sample.bucket.is_none() => {
                quantity
            }
            _ => {
                return Err(unsupported("this form of TABLESAMPLE", None)
                    .hint("Use TABLESAMPLE BERNOULLI (percent)."));
            }
        };
        let scope = Scope::new(Vec::new(), Vec::new(), Rc::clone(level), parent.clone());
        let mut ctx = Ctx::new(scope, "TABLESAMPLE");
        let percent = self.expr(&mut ctx, &quantity.value)?;
        let percent = self.coerce(percent, PgType::FLOAT4, Context::Assignment)?;
        if !ctx.applies.is_empty() {
            return Err(unsupported("a subquery in TABLESAMPLE", percent.at));
        }
        let key = item
            .rels
            .first()
            .and_then(|rel| rel.columns.get(*rel.key.first()?));
        let condition = match &sample.seed {
            None => {
                self.volatile = true;
                sample::random(percent.expr)
            }
            Some(seed) => {
                let at = self.positions.of_span(seed.value.span);
                let Some(key) = key else {
                    return Err(unsupported(
                        "REPEATABLE over a relation whose rows have no identity",
                        at,
                    ));
                };
                let key = self.cast_to_text(key.expr.clone(), key.ty);
                let seed = self.value(&seed.value.value, at)?;
                let seed = self.coerce(seed, PgType::FLOAT8, Context::Assignment)?;
                sample::repeatable(percent.expr, seed.expr, key)
            }
        };
        let plan = planned(
            LogicalPlanBuilder::from(item.plan)
                .filter(condition)
                .and_then(LogicalPlanBuilder::build),
        )?;
        Ok(FromItem { plan, ..item })
    }
}
