//! IN, LIKE, ANY and ALL.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Expr, Operator};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{array, regex};
use sqlparser::ast;

use super::coerce::{Context, positioned};
use super::expr::{Ctx, binary};
use super::operation::operator_name;
use super::resolve::element_of;
use super::subquery::Quantifier;
use super::typed::{Kind, Typed};
use super::types::{common_type, type_name};
use super::{Binder, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

impl Binder<'_> {
    pub(super) fn in_list(
        &mut self,
        ctx: &mut Ctx,
        inner: &ast::Expr,
        list: &[ast::Expr],
        negated: bool,
    ) -> PgResult<Typed> {
        let at = self.at(inner);
        let value = self.expr(ctx, inner)?;
        let mut items = list
            .iter()
            .map(|item| self.expr(ctx, item))
            .collect::<PgResult<Vec<_>>>()?;
        if !matches!(value.kind, Kind::Row(_)) {
            let mut all = items.clone();
            all.push(value.clone());
            // What `=` would find for the column and the first item that has a type.
            if let Ok(common) = common_type(&all, "IN")
                && common.oid != PgType::INTERVAL.oid
                && common.oid != PgType::BPCHAR.oid
            {
                let value = self.coerce(value, common, Context::Implicit)?;
                let mut exprs = Vec::with_capacity(items.len());
                for item in items {
                    exprs.push(self.coerce(item, common, Context::Implicit)?.expr);
                }
                // A comparison that does not exist for the type is an error here too.
                self.equal_operands(value.clone(), value.clone(), at)?;
                return Ok(Typed::bool(Expr::InList(InList::new(
                    Box::new(value.expr),
                    exprs,
                    negated,
                ))));
            }
        }
        let mut test: Option<Expr> = None;
        for item in items.drain(..) {
            let one = self.operator("=", value.clone(), item, at)?.expr;
            test = Some(match test {
                None => one,
                Some(so_far) => binary(so_far, Operator::Or, one),
            });
        }
        let test = test.unwrap_or(Expr::Literal(ScalarValue::Boolean(Some(false)), None));
        Ok(Typed::bool(if negated {
            Expr::Not(Box::new(test))
        } else {
            test
        }))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one LIKE")]
    pub(super) fn like(
        &mut self,
        ctx: &mut Ctx,
        name: &str,
        any: bool,
        inner: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::ValueWithSpan>,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let value = self.expr(ctx, inner)?;
        let mut pattern = self.expr(ctx, pattern)?;
        if any {
            return self.quantified_array(name, value, pattern, Quantifier::Any, at);
        }
        if let Some(escape) = escape {
            let text = self.coerce(pattern, PgType::TEXT, Context::Implicit)?;
            pattern = Typed::new(
                regex::like_escape(text.expr, escape_of(&escape.value)),
                PgType::TEXT,
            );
        }
        self.operator(name, value, pattern, at)
    }

    pub(super) fn quantified(
        &mut self,
        ctx: &mut Ctx,
        left: &ast::Expr,
        op: &ast::BinaryOperator,
        right: &ast::Expr,
        quantifier: Quantifier,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let name =
            operator_name(op).ok_or_else(|| unsupported(&format!("the operator {op}"), at))?;
        let value = self.expr(ctx, left)?;
        let mut right = right;
        while let ast::Expr::Nested(inner) = right {
            right = inner;
        }
        if let ast::Expr::Subquery(query) = right {
            return self.quantified_subquery(ctx, value, &name, query, quantifier, at);
        }
        let array = self.expr(ctx, right)?;
        self.quantified_array(&name, value, array, quantifier, at)
    }

    /// `value op ANY (array)`.
    fn quantified_array(
        &mut self,
        name: &str,
        value: Typed,
        array: Typed,
        quantifier: Quantifier,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let all = quantifier == Quantifier::All;
        // An untyped array is an array of what stands on the left.
        let array = if array.is_unknown() {
            let element = if value.is_unknown() {
                PgType::TEXT
            } else {
                PgType::new(value.ty.oid)
            };
            let element = if element.oid == PgType::NAME.oid || element.oid == PgType::VARCHAR.oid {
                PgType::TEXT
            } else {
                element
            };
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
            self.coerce(array, ty, Context::Implicit)?
        } else {
            array
        };
        let Some(element) = element_of(array.ty) else {
            return Err(positioned(
                PgError::new(
                    sqlstate::WRONG_OBJECT_TYPE,
                    "op ANY/ALL (array) requires array on right side",
                ),
                array.at.or(at),
            ));
        };
        if let Some(elements) = array.constant().and_then(array::elements) {
            return self.quantified_constants(name, value, elements, element, all, at);
        }
        let value = if value.is_unknown() {
            self.coerce(value, element, Context::Implicit)?
        } else {
            value
        };
        let (left, right) = (
            Typed::new(super::scope::internal(array::LEFT), value.ty),
            Typed::new(super::scope::internal(array::ELEMENT), element),
        );
        let body = self.operator(name, left, right, at)?;
        let known = match list_test(name, value.ty, element, all) {
            Some(false) => array::ANY_EQUAL,
            Some(true) => array::ALL_DIFFER,
            None => array::QUANTIFIED,
        };
        Ok(Typed::bool(array::quantified(
            known,
            value.expr,
            &value.ty.arrow(),
            array.expr,
            &element.arrow(),
            body.expr,
            all,
        )))
    }

    /// Constants are compared one by one, which a scan understands.
    fn quantified_constants(
        &mut self,
        name: &str,
        value: Typed,
        elements: Vec<ScalarValue>,
        element: PgType,
        all: bool,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let value = if value.is_unknown() {
            self.coerce(value, element, Context::Implicit)?
        } else {
            value
        };
        if list_test(name, value.ty, element, all).is_some() {
            // The operator has to exist all the same.
            self.operator(
                "=",
                value.clone(),
                Typed::new(value.expr.clone(), element),
                at,
            )?;
            let list = elements
                .into_iter()
                .map(|element| Expr::Literal(element, None))
                .collect();
            return Ok(Typed::bool(Expr::InList(InList::new(
                Box::new(value.expr),
                list,
                all,
            ))));
        }
        let mut test: Option<Expr> = None;
        for item in elements {
            let one = self
                .operator(name, value.clone(), Typed::value(item, element), at)?
                .expr;
            test = Some(match test {
                None => one,
                Some(so_far) => binary(so_far, if all { Operator::And } else { Operator::Or }, one),
            });
        }
        Ok(Typed::bool(test.unwrap_or(Expr::Literal(
            ScalarValue::Boolean(Some(all)),
            None,
        ))))
    }
}

/// Is the comparison with ANY or ALL the same as IN a list, or (`true`) NOT IN one?
fn list_test(name: &str, value: PgType, element: PgType, all: bool) -> Option<bool> {
    let negated = match (name, all) {
        ("=", false) => false,
        ("<>", true) => true,
        _ => return None,
    };
    // Blanks and equal intervals have several representations.
    let plain = !matches!(element.oid, 1042 | 1186);
    (plain && value.arrow() == element.arrow()).then_some(negated)
}

/// `ESCAPE ''` switches escaping off.
pub(super) fn escape_of(value: &ast::Value) -> Option<char> {
    match value {
        ast::Value::SingleQuotedString(text) | ast::Value::EscapedStringLiteral(text) => {
            text.chars().next()
        }
        _ => None,
    }
}
