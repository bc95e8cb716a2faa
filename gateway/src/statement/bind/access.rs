//! Arrays, and what is reached inside of arrays and rows.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::array;
use sqlparser::ast;

use super::coerce::{Context, positioned};
use super::expr::Ctx;
use super::resolve::element_of;
use super::typed::{Kind, Typed};
use super::types::{common_type, type_name};
use super::{Binder, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

impl Binder<'_> {
    pub(super) fn array(
        &mut self,
        ctx: &mut Ctx,
        elements: &[ast::Expr],
        element: Option<PgType>,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        if elements
            .iter()
            .any(|item| matches!(item, ast::Expr::Array(_)))
        {
            return Err(unsupported("an array of more than one dimension", at));
        }
        let values = elements
            .iter()
            .map(|item| self.expr(ctx, item))
            .collect::<PgResult<Vec<_>>>()?;
        let (element, context) = match element {
            Some(element) => (element, Context::Explicit),
            None if values.is_empty() => {
                let error = PgError::new(
                    sqlstate::INDETERMINATE_DATATYPE,
                    "cannot determine type of empty array",
                )
                .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[].");
                return Err(positioned(error, at));
            }
            None => (common_type(&values, "ARRAY")?, Context::Implicit),
        };
        self.array_of(values, element, context, at)
    }

    pub(super) fn array_of(
        &mut self,
        values: Vec<Typed>,
        element: PgType,
        context: Context,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let mut typed = Vec::with_capacity(values.len());
        for value in values {
            typed.push(self.coerce(value, element, context)?);
        }
        let (mut values, mut element) = (typed, element);
        if element == PgType::NUMERIC && !values.is_empty() {
            // Each of them keeps its digits; one column has room for all.
            element = common_type(&values, "ARRAY")?;
            for value in &mut values {
                *value = self.coerce(value.clone(), element, Context::Implicit)?;
            }
        }
        let Some(ty) = element.array() else {
            return Err(positioned(
                PgError::new(
                    sqlstate::UNDEFINED_OBJECT,
                    format!(
                        "could not find array type for data type {}",
                        type_name(element)
                    ),
                ),
                at,
            ));
        };
        let exprs: Vec<Expr> = values.into_iter().map(|value| value.expr).collect();
        let constants: Option<Vec<ScalarValue>> = exprs
            .iter()
            .map(|expr| match expr {
                Expr::Literal(value, _) if value.data_type() == element.arrow() => {
                    Some(value.clone())
                }
                _ => None,
            })
            .collect();
        if let Some(constants) = constants
            && let Ok(value) = crate::text::read::list(element, constants)
        {
            return Ok(Typed::value(value, ty).at(at));
        }
        Ok(Typed::new(array::construct(&element.arrow(), exprs), ty).at(at))
    }

    pub(super) fn access(
        &mut self,
        ctx: &mut Ctx,
        root: &ast::Expr,
        chain: &[ast::AccessExpr],
        at: Option<u32>,
    ) -> PgResult<Typed> {
        // `a.b[1]` arrives as `a` with `.b` and `[1]`.
        let mut chain = chain.iter().peekable();
        let mut names: Vec<ast::Ident> = match root {
            ast::Expr::Identifier(ident) => vec![ident.clone()],
            ast::Expr::CompoundIdentifier(parts) => parts.clone(),
            _ => Vec::new(),
        };
        let mut value = if names.is_empty() {
            self.expr(ctx, root)?
        } else {
            while let Some(ast::AccessExpr::Dot(ast::Expr::Identifier(ident))) = chain.peek() {
                names.push(ident.clone());
                chain.next();
            }
            self.column(ctx, &names)?
        };
        for access in chain {
            value = match access {
                ast::AccessExpr::Dot(ast::Expr::Identifier(ident)) => {
                    self.field(value, &fold(ident), at)?
                }
                ast::AccessExpr::Dot(other) => {
                    return Err(unsupported(&format!("the field {other}"), at));
                }
                ast::AccessExpr::Subscript(ast::Subscript::Index { index }) => {
                    let index = self.expr(ctx, index)?;
                    self.subscript(value, index, at)?
                }
                ast::AccessExpr::Subscript(ast::Subscript::Slice {
                    lower_bound,
                    upper_bound,
                    ..
                }) => {
                    let mut bound = |bound: &Option<ast::Expr>| -> PgResult<Expr> {
                        match bound {
                            None => Ok(Expr::Literal(ScalarValue::Int32(None), None)),
                            Some(bound) => {
                                let bound = self.expr(ctx, bound)?;
                                Ok(self.coerce(bound, PgType::INT4, Context::Assignment)?.expr)
                            }
                        }
                    };
                    let (low, high) = (bound(lower_bound)?, bound(upper_bound)?);
                    if element_of(value.ty).is_none() {
                        return Err(not_subscriptable(value.ty, at));
                    }
                    let ty = value.ty;
                    Typed::new(array::slice(value.expr, low, high, &ty.arrow()), ty).at(at)
                }
            };
        }
        Ok(value)
    }

    pub(super) fn field(&mut self, value: Typed, name: &str, at: Option<u32>) -> PgResult<Typed> {
        match value.kind {
            Kind::Row(fields) => match fields.into_iter().find(|(field, _)| field == name) {
                Some((_, field)) => Ok(field),
                None => Err(positioned(
                    PgError::new(
                        sqlstate::UNDEFINED_COLUMN,
                        format!("could not identify column \"{name}\" in record data type"),
                    ),
                    at,
                )),
            },
            _ => Err(positioned(
                PgError::new(
                    sqlstate::WRONG_OBJECT_TYPE,
                    format!(
                        "column notation .{name} applied to type {}, which is not a composite type",
                        type_name(value.ty)
                    ),
                ),
                at,
            )),
        }
    }

    fn subscript(&mut self, value: Typed, index: Typed, at: Option<u32>) -> PgResult<Typed> {
        if value.ty.oid == PgType::JSONB.oid {
            let name = "->";
            return self.operator(name, value, index, at);
        }
        let Some(element) = element_of(value.ty) else {
            return Err(not_subscriptable(value.ty, value.at.or(at)));
        };
        let index = self.coerce(index, PgType::INT4, Context::Assignment)?;
        let base = i32::from(!matches!(value.ty.oid, 22 | 30));
        Ok(Typed::new(
            array::subscript(value.expr, index.expr, &element.arrow(), base),
            element,
        )
        .at(at))
    }
}

fn not_subscriptable(ty: PgType, at: Option<u32>) -> PgError {
    positioned(
        PgError::new(
            sqlstate::DATATYPE_MISMATCH,
            format!(
                "cannot subscript type {} because it does not support subscripting",
                type_name(ty)
            ),
        ),
        at,
    )
}
