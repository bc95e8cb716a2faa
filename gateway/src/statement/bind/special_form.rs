//! What looks like a function and is not one: `current_user`, COALESCE, GREATEST, ROW.

use datafusion::logical_expr::{Case, Expr, Operator};
use omnigraph_catalog::types::PgType;
use sqlparser::ast;

use super::Binder;
use super::coerce::Context;
use super::expr::{Ctx, binary};
use super::functions::undefined;
use super::typed::Typed;
use super::types::common_type;
use crate::error::{PgError, PgResult};
use crate::sqlstate;

impl Binder<'_> {
    pub(super) fn special_form(
        &mut self,
        ctx: &mut Ctx,
        function: &ast::Function,
        name: &str,
        at: Option<u32>,
    ) -> PgResult<Option<Typed>> {
        if let ast::FunctionArguments::Subquery(query) = &function.args {
            return match name {
                "array" => self.array_subquery(ctx, query, at).map(Some),
                _ => {
                    let value = self.scalar_subquery(ctx, query, at)?;
                    self.named_function(name, vec![value], at).map(Some)
                }
            };
        }
        let bare = matches!(function.args, ast::FunctionArguments::None);
        if bare && let Some(word) = self.bare_word(name) {
            return Ok(Some(word));
        }
        if matches!(name, "actor" | "actor_in")
            && let Some(value) = self.of_asker(ctx, function, name, at)?
        {
            return Ok(Some(value));
        }
        let now = |binder: &mut Self, ty: PgType| -> PgResult<Typed> {
            let now = Typed::new(binder.transaction_time(), PgType::TIMESTAMPTZ);
            if ty.oid == PgType::TIMESTAMPTZ.oid {
                Ok(now)
            } else {
                binder.coerce(now, ty, Context::Explicit)
            }
        };
        Ok(Some(match name {
            "current_date" if bare => now(self, PgType::DATE)?,
            "current_timestamp" => now(self, PgType::TIMESTAMPTZ)?,
            "localtimestamp" => now(self, PgType::TIMESTAMP)?,
            "localtime" => now(self, PgType::TIME)?,
            "row" => {
                let args = self.plain_arguments(ctx, function, name, at)?;
                self.row(
                    args.into_iter()
                        .enumerate()
                        .map(|(i, arg)| (format!("f{}", i + 1), arg))
                        .collect(),
                    at,
                )?
            }
            "coalesce" => {
                let args = self.plain_arguments(ctx, function, name, at)?;
                self.coalesce(args)?
            }
            "nullif" => {
                let args = self.plain_arguments(ctx, function, name, at)?;
                let [left, right] =
                    <[Typed; 2]>::try_from(args).map_err(|_| undefined(name, &[], at))?;
                // As the operator takes it, where the two have a type in common.
                let left = match common_type(&[left.clone(), right.clone()], "NULLIF") {
                    Ok(ty) => self.coerce(left, ty, Context::Implicit)?,
                    Err(_) => self.settle(left)?,
                };
                let equal = self.operator("=", left.clone(), right, at)?;
                let null = Expr::Literal(crate::text::read::null(left.ty)?, None);
                let expr = Expr::Case(Case {
                    expr: None,
                    when_then_expr: vec![(Box::new(equal.expr), Box::new(null))],
                    else_expr: Some(Box::new(left.expr)),
                });
                Typed::new(expr, left.ty)
            }
            "greatest" | "least" => {
                let args = self.plain_arguments(ctx, function, name, at)?;
                self.extreme(name, args, at)?
            }
            "normalize" => return self.normalize(ctx, function, at),
            "grouping" => {
                let args = self.plain_arguments(ctx, function, name, at)?;
                return self.grouping(ctx, &args, at).map(Some);
            }
            _ => return Ok(None),
        }))
    }

    /// `normalize(text, NFD)`: the form is a word, not a column.
    fn normalize(
        &mut self,
        ctx: &mut Ctx,
        function: &ast::Function,
        at: Option<u32>,
    ) -> PgResult<Option<Typed>> {
        let ast::FunctionArguments::List(list) = &function.args else {
            return Ok(None);
        };
        let [
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(text)),
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Identifier(form))),
        ] = list.args.as_slice()
        else {
            return Ok(None);
        };
        let word = form.value.to_ascii_uppercase();
        if !matches!(word.as_str(), "NFC" | "NFD" | "NFKC" | "NFKD") {
            return Ok(None);
        }
        let text = self.expr(ctx, text)?;
        let args = vec![text, Typed::literal(Some(word), at)];
        self.named_function("normalize", args, at).map(Some)
    }

    pub(super) fn coalesce(&mut self, args: Vec<Typed>) -> PgResult<Typed> {
        let ty = common_type(&args, "COALESCE")?;
        let mut whens = Vec::new();
        let mut last = None;
        for arg in args {
            let arg = self.coerce(arg, ty, Context::Implicit)?.expr;
            if let Some(before) = last.replace(arg) {
                whens.push((
                    Box::new(Expr::IsNotNull(Box::new(before.clone()))),
                    Box::new(before),
                ));
            }
        }
        let Some(last) = last else {
            return Err(PgError::new(
                sqlstate::SYNTAX_ERROR,
                "syntax error at or near \")\"",
            ));
        };
        if whens.is_empty() {
            return Ok(Typed::new(last, ty));
        }
        Ok(Typed::new(
            Expr::Case(Case {
                expr: None,
                when_then_expr: whens,
                else_expr: Some(Box::new(last)),
            }),
            ty,
        ))
    }

    /// GREATEST and LEAST ignore NULLs.
    fn extreme(&mut self, name: &str, args: Vec<Typed>, at: Option<u32>) -> PgResult<Typed> {
        let ty = common_type(
            &args,
            if name == "greatest" {
                "GREATEST"
            } else {
                "LEAST"
            },
        )?;
        let operator = if name == "greatest" { ">=" } else { "<=" };
        let mut best: Option<Typed> = None;
        for arg in args {
            let arg = self.coerce(arg, ty, Context::Implicit)?;
            best = Some(match best {
                None => arg,
                Some(so_far) => {
                    let keeps = self
                        .operator(operator, so_far.clone(), arg.clone(), at)?
                        .expr;
                    let keeps = binary(
                        Expr::IsNull(Box::new(arg.expr.clone())),
                        Operator::Or,
                        keeps,
                    );
                    let expr = Expr::Case(Case {
                        expr: None,
                        when_then_expr: vec![(Box::new(keeps), Box::new(so_far.expr))],
                        else_expr: Some(Box::new(arg.expr)),
                    });
                    Typed::new(expr, ty)
                }
            });
        }
        best.ok_or_else(|| undefined(name, &[], at))
    }
}
