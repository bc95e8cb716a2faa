//! The conditions of policies: one row's columns, and who asks.

use std::rc::Rc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use sqlparser::ast;

use super::coerce::Context;
use super::expr::Ctx;
use super::functions::undefined;
use super::placeholders::has_placeholder;
use super::scope::{Level, Scope};
use super::typed::Typed;
use super::{Binder, Environment, Relation, unsupported};
use crate::error::PgResult;
use crate::statement::parse;

/// A condition over the rows of a relation.
#[derive(Debug)]
pub struct RowCondition {
    /// What it calls the relation's columns, in their order.
    pub columns: Vec<String>,
    pub expr: Expr,
}

/// Binds a condition, which looks at one row by itself.
pub fn bind_condition(
    relation: &Relation,
    text: &str,
    environment: &dyn Environment,
) -> PgResult<RowCondition> {
    let (parsed, positions) = parse::parse_expression(text)?;
    let mut binder = Binder::new(environment, positions, text);
    let table = binder.scan(relation)?;
    let fields = table.plan.schema().fields().iter();
    let columns = fields.map(|field| field.name().clone()).collect();
    let scope = Scope::new(table.rels, table.visible, Rc::new(Level::default()), None);
    let mut ctx = Ctx::new(scope, "POLICY");
    let expr = binder.condition(&mut ctx, &parsed, "POLICY")?;
    if !ctx.applies.is_empty() || !ctx.inner_applies.is_empty() {
        return Err(unsupported("a subquery in a policy's condition", None));
    }
    if has_placeholder(&expr) {
        return Err(unsupported(
            "the time, or a parameter, in a policy's condition",
            None,
        ));
    }
    Ok(RowCondition { columns, expr })
}

impl Binder<'_> {
    /// `actor()` and `actor_in('group')`, which only policies know.
    pub(super) fn of_asker(
        &mut self,
        ctx: &mut Ctx,
        function: &ast::Function,
        name: &str,
        at: Option<u32>,
    ) -> PgResult<Option<Typed>> {
        let Some((actor, groups)) = self.env.asker() else {
            return Ok(None);
        };
        let args = self.plain_arguments(ctx, function, name, at)?;
        match (name, args.as_slice()) {
            ("actor", []) => {
                let actor = ScalarValue::Utf8(Some(actor));
                Ok(Some(Typed::value(actor, PgType::TEXT)))
            }
            ("actor_in", [group]) => {
                let group = self.coerce(group.clone(), PgType::TEXT, Context::Implicit)?;
                let Expr::Literal(ScalarValue::Utf8(Some(group)), _) = &group.expr else {
                    return Err(unsupported("actor_in() of anything but a constant", at));
                };
                let is_in = ScalarValue::Boolean(Some(groups.contains(group)));
                Ok(Some(Typed::value(is_in, PgType::BOOL)))
            }
            _ => Err(undefined(name, &args, at)),
        }
    }
}
