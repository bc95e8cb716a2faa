//! Function calls in words: `EXTRACT(year FROM d)`, `d AT TIME ZONE z`, `s SIMILAR TO p`.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::regex;
use sqlparser::ast;

use super::coerce::Context;
use super::expr::Ctx;
use super::membership::escape_of;
use super::typed::Typed;
use super::{Binder, unsupported};
use crate::error::PgResult;

impl Binder<'_> {
    pub(super) fn call_in_words(
        &mut self,
        ctx: &mut Ctx,
        expr: &ast::Expr,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        use ast::Expr as E;
        match expr {
            E::IsNormalized {
                expr: inner,
                form,
                negated,
            } => {
                let mut args = vec![self.expr(ctx, inner)?];
                if let Some(form) = form {
                    args.push(Typed::literal(Some(form.to_string()), at));
                }
                let found = self.call("is_normalized", args, at)?;
                Ok(if *negated {
                    Typed::bool(Expr::Not(Box::new(found.expr)))
                } else {
                    found
                })
            }
            E::AtTimeZone {
                timestamp,
                time_zone,
            } => {
                let value = self.expr(ctx, timestamp)?;
                let zone = self.expr(ctx, time_zone)?;
                self.call("timezone", vec![zone, value], at)
            }
            E::Extract {
                field, expr: inner, ..
            } => {
                let value = self.expr(ctx, inner)?;
                let field = match field {
                    ast::DateTimeField::Custom(ident) => ident.value.clone(),
                    other => other.to_string(),
                };
                let field = field.trim_matches(['\'', '"']).to_lowercase();
                let field = Typed::literal(Some(field), at);
                let field = self.coerce(field, PgType::TEXT, Context::Implicit)?;
                self.call("extract", vec![field, value], at)
            }
            E::Ceil { expr: inner, .. } => {
                let value = self.expr(ctx, inner)?;
                self.call("ceil", vec![value], at)
            }
            E::Floor { expr: inner, .. } => {
                let value = self.expr(ctx, inner)?;
                self.call("floor", vec![value], at)
            }
            E::Position { expr: inner, r#in } => {
                let part = self.expr(ctx, inner)?;
                let text = self.expr(ctx, r#in)?;
                self.call("position", vec![text, part], at)
            }
            E::Substring {
                expr: inner,
                substring_from,
                substring_for,
                ..
            } => {
                let mut args = vec![self.expr(ctx, inner)?];
                match (substring_from, substring_for) {
                    (Some(from), None) => args.push(self.expr(ctx, from)?),
                    (from, Some(count)) => {
                        args.push(match from {
                            Some(from) => self.expr(ctx, from)?,
                            None => Typed::value(ScalarValue::Int32(Some(1)), PgType::INT4),
                        });
                        args.push(self.expr(ctx, count)?);
                    }
                    (None, None) => {}
                }
                self.call("substring", args, at)
            }
            E::Trim {
                trim_where,
                trim_what,
                expr: inner,
                trim_characters,
            } => {
                let name = match trim_where {
                    Some(ast::TrimWhereField::Leading) => "ltrim",
                    Some(ast::TrimWhereField::Trailing) => "rtrim",
                    _ => "btrim",
                };
                let mut args = vec![self.expr(ctx, inner)?];
                if let Some(what) = trim_what {
                    args.push(self.expr(ctx, what)?);
                }
                for characters in trim_characters.iter().flatten() {
                    args.push(self.expr(ctx, characters)?);
                }
                self.call(name, args, at)
            }
            E::Overlay {
                expr: inner,
                overlay_what,
                overlay_from,
                overlay_for,
            } => {
                let mut args = vec![
                    self.expr(ctx, inner)?,
                    self.expr(ctx, overlay_what)?,
                    self.expr(ctx, overlay_from)?,
                ];
                if let Some(count) = overlay_for {
                    args.push(self.expr(ctx, count)?);
                }
                self.call("overlay", args, at)
            }
            E::SimilarTo {
                negated,
                expr: inner,
                pattern,
                escape_char,
            } => {
                let value = self.expr(ctx, inner)?;
                let pattern = self.expr(ctx, pattern)?;
                let value = self.coerce(value, PgType::TEXT, Context::Implicit)?;
                let pattern = self.coerce(pattern, PgType::TEXT, Context::Implicit)?;
                let escape = match escape_char {
                    Some(value) => escape_of(&value.value),
                    None => Some('\\'),
                };
                Ok(Typed::bool(regex::similar(
                    value.expr,
                    pattern.expr,
                    escape,
                    *negated,
                )))
            }
            other => Err(unsupported(&format!("the expression {other}"), at)),
        }
    }
}
