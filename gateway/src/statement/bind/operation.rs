//! Operators as they are written: prefix, infix, tests.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use omnigraph_catalog::types::PgType;
use sqlparser::ast;
use sqlparser::ast::Spanned;

use super::coerce::positioned;
use super::expr::{Ctx, binary};
use super::subquery::Quantifier;
use super::typed::{Kind, Typed};
use super::{Binder, operators, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

impl Binder<'_> {
    pub(super) fn unary(
        &mut self,
        ctx: &mut Ctx,
        op: &ast::UnaryOperator,
        inner: &ast::Expr,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        use ast::UnaryOperator as U;
        if let (U::Minus, ast::Expr::Value(value)) = (op, inner)
            && let ast::Value::Number(text, _) = &value.value
        {
            return self.number(&format!("-{text}"), at);
        }
        let value = self.expr(ctx, inner)?;
        let name = match op {
            U::Not => {
                let value = self.require(value, PgType::BOOL, "NOT")?;
                return Ok(Typed::bool(Expr::Not(Box::new(value.expr))));
            }
            U::Minus => "-",
            U::Plus => "+",
            U::BitwiseNot => "~",
            U::PGAbs => "@",
            U::PGSquareRoot => "|/",
            U::PGCubeRoot => "||/",
            U::PGPrefixFactorial => "!!",
            other => return Err(unsupported(&format!("the operator {other}"), at)),
        };
        self.prefix_operator(name, value, at)
    }

    pub(super) fn binary(
        &mut self,
        ctx: &mut Ctx,
        left: &ast::Expr,
        op: &ast::BinaryOperator,
        right: &ast::Expr,
    ) -> PgResult<Typed> {
        use ast::BinaryOperator as B;
        let at = self.at(left);
        if let B::And | B::Or = op {
            let word = if matches!(op, B::And) { "AND" } else { "OR" };
            let left = self.condition(ctx, left, word)?;
            let right = self.condition(ctx, right, word)?;
            let op = if matches!(op, B::And) {
                Operator::And
            } else {
                Operator::Or
            };
            return Ok(Typed::bool(binary(left, op, right)));
        }
        if let B::Overlaps = op {
            return self.periods(ctx, left, right, at);
        }
        let name =
            operator_name(op).ok_or_else(|| unsupported(&format!("the operator {op}"), at))?;
        let left_value = self.expr(ctx, left)?;
        // `a = ANY(b)` arrives as a function call in some spellings; a subquery row is a row.
        if let ast::Expr::Subquery(query) = right
            && let Kind::Row(_) = &left_value.kind
        {
            return self.quantified_subquery(ctx, left_value, &name, query, Quantifier::Single, at);
        }
        let right_value = self.expr(ctx, right)?;
        let position = self.operator_position(left, right).or(at);
        self.operator(&name, left_value, right_value, position)
            .map(|typed| typed.at(at))
    }

    /// The place of an operator is between its operands: the tree does not keep it, the text does.
    fn operator_position(&self, left: &ast::Expr, right: &ast::Expr) -> Option<u32> {
        let end = self.positions.of(left.span().end)?;
        let start = self.positions.of_span(right.span())?;
        let between: Vec<char> = self
            .sql
            .chars()
            .skip(end as usize - 1)
            .take(start.checked_sub(end)? as usize)
            .collect();
        let offset = between
            .iter()
            .position(|c| !c.is_whitespace() && !matches!(c, ')' | '('))?;
        Some(end + offset as u32)
    }

    pub(super) fn null_test(
        &mut self,
        ctx: &mut Ctx,
        inner: &ast::Expr,
        negated: bool,
    ) -> PgResult<Typed> {
        let value = self.expr(ctx, inner)?;
        if let Kind::Row(fields) = &value.kind {
            let tests = fields.iter().map(|(_, field)| {
                let field = Box::new(field.expr.clone());
                if negated {
                    Expr::IsNotNull(field)
                } else {
                    Expr::IsNull(field)
                }
            });
            let test = tests.reduce(|a, b| binary(a, Operator::And, b));
            return Ok(Typed::bool(
                test.unwrap_or(Expr::Literal(ScalarValue::Boolean(Some(true)), None)),
            ));
        }
        let value = Box::new(self.settle(value)?.expr);
        Ok(Typed::bool(if negated {
            Expr::IsNotNull(value)
        } else {
            Expr::IsNull(value)
        }))
    }

    pub(super) fn truth_test(
        &mut self,
        ctx: &mut Ctx,
        test: &ast::Expr,
        inner: &ast::Expr,
    ) -> PgResult<Typed> {
        use ast::Expr as E;
        let (what, test): (&str, fn(Box<Expr>) -> Expr) = match test {
            E::IsTrue(_) => ("IS TRUE", Expr::IsTrue),
            E::IsNotTrue(_) => ("IS NOT TRUE", Expr::IsNotTrue),
            E::IsFalse(_) => ("IS FALSE", Expr::IsFalse),
            E::IsNotFalse(_) => ("IS NOT FALSE", Expr::IsNotFalse),
            E::IsUnknown(_) => ("IS UNKNOWN", Expr::IsUnknown),
            _ => ("IS NOT UNKNOWN", Expr::IsNotUnknown),
        };
        let value = self.condition(ctx, inner, what)?;
        Ok(Typed::bool(test(Box::new(value))))
    }

    /// `(start, end) OVERLAPS (start, end)`.
    fn periods(
        &mut self,
        ctx: &mut Ctx,
        left: &ast::Expr,
        right: &ast::Expr,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let mut args = Vec::with_capacity(4);
        for side in [left, right] {
            match self.expr(ctx, side)?.kind {
                Kind::Row(fields) if fields.len() == 2 => {
                    args.extend(fields.into_iter().map(|(_, field)| field));
                }
                _ => {
                    let error = PgError::new(
                        sqlstate::SYNTAX_ERROR,
                        "wrong number of parameters on a side of OVERLAPS expression",
                    );
                    return Err(positioned(error, at));
                }
            }
        }
        self.call("overlaps", args, at)
    }

    pub(super) fn distinct(
        &mut self,
        ctx: &mut Ctx,
        left: &ast::Expr,
        right: &ast::Expr,
        operator: Operator,
    ) -> PgResult<Typed> {
        let at = self.at(left);
        let left = self.expr(ctx, left)?;
        let right = self.expr(ctx, right)?;
        if let (Kind::Row(left), Kind::Row(right)) = (&left.kind, &right.kind) {
            let (word, not) = if operator == Operator::IsDistinctFrom {
                (Operator::Or, operator)
            } else {
                (Operator::And, operator)
            };
            let mut test = None;
            for ((_, left), (_, right)) in left.clone().into_iter().zip(right.clone()) {
                let (left, right) = self.equal_operands(left, right, at)?;
                let one = binary(left, not, right);
                test = Some(match test {
                    None => one,
                    Some(so_far) => binary(so_far, word, one),
                });
            }
            return Ok(Typed::bool(test.unwrap_or(Expr::Literal(
                ScalarValue::Boolean(Some(false)),
                None,
            ))));
        }
        let (left, right) = self.equal_operands(left, right, at)?;
        Ok(Typed::bool(binary(left, operator, right)))
    }

    /// Both sides of an equality, in one representation.
    pub(super) fn equal_operands(
        &mut self,
        left: Typed,
        right: Typed,
        at: Option<u32>,
    ) -> PgResult<(Expr, Expr)> {
        match self.operator("=", left, right, at)?.expr {
            Expr::BinaryExpr(BinaryExpr { left, right, .. }) => Ok((*left, *right)),
            _ => Err(unsupported("a comparison of these types", at)),
        }
    }

    /// Row comparison: equality field by field, order by the first that differs.
    pub(super) fn compare_rows(
        &mut self,
        name: &str,
        left: Typed,
        right: Typed,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let (Kind::Row(left), Kind::Row(right)) = (left.kind, right.kind) else {
            return Err(unsupported("a comparison of a row with something else", at));
        };
        if left.len() != right.len() {
            return Err(positioned(
                PgError::new(
                    sqlstate::SYNTAX_ERROR,
                    "unequal number of entries in row expressions",
                ),
                at,
            ));
        }
        let operator = operators::comparison(name).ok_or_else(|| {
            positioned(
                PgError::new(
                    sqlstate::FEATURE_NOT_SUPPORTED,
                    format!("could not determine interpretation of row comparison operator {name}"),
                ),
                at,
            )
        })?;
        let mut test: Option<Expr> = None;
        for ((_, left), (_, right)) in left.into_iter().zip(right).rev() {
            let (left, right) = self.equal_operands(left, right, at)?;
            test = Some(match (operator, test) {
                (Operator::Eq | Operator::NotEq, None) => binary(left, operator, right),
                (Operator::Eq, Some(rest)) => {
                    binary(binary(left, Operator::Eq, right), Operator::And, rest)
                }
                (Operator::NotEq, Some(rest)) => {
                    binary(binary(left, Operator::NotEq, right), Operator::Or, rest)
                }
                (_, None) => binary(left, operator, right),
                (_, Some(rest)) => {
                    let strict = match operator {
                        Operator::LtEq => Operator::Lt,
                        Operator::GtEq => Operator::Gt,
                        other => other,
                    };
                    let equal = binary(
                        binary(left.clone(), Operator::Eq, right.clone()),
                        Operator::And,
                        rest,
                    );
                    binary(binary(left, strict, right), Operator::Or, equal)
                }
            });
        }
        Ok(Typed::bool(test.unwrap_or(Expr::Literal(
            ScalarValue::Boolean(Some(true)),
            None,
        ))))
    }
}

/// The operator's name in PostgreSQL; a qualifier can only be pg_catalog.
pub(super) fn operator_name(op: &ast::BinaryOperator) -> Option<String> {
    use ast::BinaryOperator as B;
    Some(match op {
        B::PGCustomBinaryOperator(parts) => parts.last()?.clone(),
        B::And
        | B::Or
        | B::Xor
        | B::Overlaps
        | B::Match
        | B::Regexp
        | B::Assignment
        | B::Spaceship => return None,
        B::Custom(name) => name.clone(),
        B::NotEq => "<>".to_owned(),
        other => other.to_string(),
    })
}
