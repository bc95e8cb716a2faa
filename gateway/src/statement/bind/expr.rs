//! Expressions.

use std::rc::Rc;

use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{BinaryExpr, Case, Expr, Operator};
use omnigraph_catalog::types::PgType;
use sqlparser::ast;
use sqlparser::ast::Spanned;

use super::coerce::{Context, positioned};
use super::resolve::{concrete, element_of};
use super::scope::Scope;
use super::subquery::{PendingApply, Quantifier};
use super::typed::{Kind, Typed};
use super::types::{common_type, type_name};
use super::{Binder, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

/// Where an expression stands, and what its evaluation needs beside it: aggregates, windows,
/// set-returning functions and subqueries are taken out, computed below, and stand in the
/// expression as columns.
pub(super) struct Ctx {
    pub(super) scope: Rc<Scope>,
    /// For errors: `WHERE`, `JOIN/ON`, ….
    pub(super) clause: &'static str,
    pub(super) allow_aggregates: bool,
    pub(super) allow_windows: bool,
    pub(super) allow_sets: bool,
    pub(super) aggregates: Vec<(String, Expr)>,
    pub(super) windows: Vec<(String, Expr)>,
    pub(super) sets: Vec<SetCall>,
    /// Subqueries evaluated below the aggregation, and above it.
    pub(super) inner_applies: Vec<PendingApply>,
    pub(super) applies: Vec<PendingApply>,
    pub(super) inside_aggregate: bool,
    /// How many queries out the aggregate belongs that is being made, and where it stands.
    pub(super) levels_out: usize,
    pub(super) aggregate_at: Option<u32>,
    /// The order in which the rows come that an aggregate is over.
    pub(super) input_order: Vec<Sort>,
    pub(super) named_windows: Vec<(String, ast::WindowSpec)>,
    /// Where each input column is used outside of aggregates first, for the error about it.
    pub(super) used: Vec<(Expr, Option<u32>, String)>,
    pub(super) grouping: Vec<Grouping>,
}

/// A call of GROUPING: the column that stands for it and the groups that it asks about.
#[derive(Debug, Clone)]
pub(super) struct Grouping {
    pub(super) name: String,
    pub(super) args: Vec<Expr>,
    pub(super) at: Option<u32>,
}

/// A set-returning function: one list for each of its columns.
#[derive(Debug, Clone)]
pub(super) struct SetCall {
    pub(super) columns: Vec<(String, Expr)>,
}

impl Ctx {
    pub(super) fn new(scope: Rc<Scope>, clause: &'static str) -> Self {
        Ctx {
            scope,
            clause,
            allow_aggregates: false,
            allow_windows: false,
            allow_sets: false,
            aggregates: Vec::new(),
            windows: Vec::new(),
            sets: Vec::new(),
            inner_applies: Vec::new(),
            applies: Vec::new(),
            inside_aggregate: false,
            levels_out: 0,
            aggregate_at: None,
            input_order: Vec::new(),
            named_windows: Vec::new(),
            used: Vec::new(),
            grouping: Vec::new(),
        }
    }
}

impl Binder<'_> {
    pub(super) fn at(&self, node: &impl Spanned) -> Option<u32> {
        self.positions.of_span(node.span())
    }

    /// Binds an expression of any type.
    pub(super) fn expr(&mut self, ctx: &mut Ctx, expr: &ast::Expr) -> PgResult<Typed> {
        // Long chains of operators nest deep on the left.
        stacker::maybe_grow(128 << 10, 4 << 20, || self.expr_inner(ctx, expr))
    }

    /// A condition.
    pub(super) fn condition(
        &mut self,
        ctx: &mut Ctx,
        expr: &ast::Expr,
        what: &str,
    ) -> PgResult<Expr> {
        let value = self.expr(ctx, expr)?;
        Ok(self.require(value, PgType::BOOL, what)?.expr)
    }

    fn expr_inner(&mut self, ctx: &mut Ctx, expr: &ast::Expr) -> PgResult<Typed> {
        use ast::Expr as E;
        let at = self.at(expr);
        match expr {
            E::Identifier(ident) => self.column(ctx, std::slice::from_ref(ident)),
            E::CompoundIdentifier(parts) => self.column(ctx, parts),
            E::Value(value) => self.value(&value.value, self.positions.of_span(value.span)),
            E::Nested(inner) => Ok(self.expr(ctx, inner)?.at(at)),
            E::Tuple(values) => {
                let values = values
                    .iter()
                    .map(|value| self.expr(ctx, value))
                    .collect::<PgResult<Vec<_>>>()?;
                self.row(
                    values
                        .into_iter()
                        .enumerate()
                        .map(|(i, value)| (format!("f{}", i + 1), value))
                        .collect(),
                    self.at(expr),
                )
            }
            E::UnaryOp { op, expr: inner } => self.unary(ctx, op, inner, at),
            E::BinaryOp { left, op, right } => self.binary(ctx, left, op, right),
            E::IsNull(inner) => self.null_test(ctx, inner, false),
            E::IsNotNull(inner) => self.null_test(ctx, inner, true),
            E::IsTrue(inner)
            | E::IsNotTrue(inner)
            | E::IsFalse(inner)
            | E::IsNotFalse(inner)
            | E::IsUnknown(inner)
            | E::IsNotUnknown(inner) => self.truth_test(ctx, expr, inner),
            E::IsDistinctFrom(left, right) => {
                self.distinct(ctx, left, right, Operator::IsDistinctFrom)
            }
            E::IsNotDistinctFrom(left, right) => {
                self.distinct(ctx, left, right, Operator::IsNotDistinctFrom)
            }
            E::InList {
                expr: inner,
                list,
                negated,
            } => self.in_list(ctx, inner, list, *negated),
            E::InSubquery {
                expr: inner,
                subquery,
                negated,
            } => {
                let value = self.expr(ctx, inner)?;
                let found =
                    self.quantified_subquery(ctx, value, "=", subquery, Quantifier::Any, at)?;
                Ok(if *negated {
                    Typed::bool(Expr::Not(Box::new(found.expr)))
                } else {
                    found
                })
            }
            E::Between {
                expr: inner,
                negated,
                low,
                high,
            } => {
                let value = self.expr(ctx, inner)?;
                let low = self.expr(ctx, low)?;
                let high = self.expr(ctx, high)?;
                let above = self.operator(">=", value.clone(), low, at)?;
                let below = self.operator("<=", value, high, at)?;
                let between = binary(above.expr, Operator::And, below.expr);
                Ok(Typed::bool(if *negated {
                    Expr::Not(Box::new(between))
                } else {
                    between
                }))
            }
            E::Like {
                negated,
                any,
                expr: inner,
                pattern,
                escape_char,
            } => self.like(
                ctx,
                if *negated { "!~~" } else { "~~" },
                *any,
                inner,
                pattern,
                escape_char.as_ref(),
                at,
            ),
            E::ILike {
                negated,
                any,
                expr: inner,
                pattern,
                escape_char,
            } => self.like(
                ctx,
                if *negated { "!~~*" } else { "~~*" },
                *any,
                inner,
                pattern,
                escape_char.as_ref(),
                at,
            ),
            E::AnyOp {
                left,
                compare_op,
                right,
                ..
            } => self.quantified(ctx, left, compare_op, right, Quantifier::Any, at),
            E::AllOp {
                left,
                compare_op,
                right,
            } => self.quantified(ctx, left, compare_op, right, Quantifier::All, at),
            E::Cast {
                kind,
                expr: inner,
                data_type,
                ..
            } => {
                if !matches!(kind, ast::CastKind::Cast | ast::CastKind::DoubleColon) {
                    return Err(unsupported("TRY_CAST", at));
                }
                self.cast(ctx, inner, data_type, at)
            }
            E::TypedString(typed) => {
                let to = self.type_of(&typed.data_type, at)?;
                let value =
                    self.value(&typed.value.value, self.positions.of_span(typed.value.span))?;
                self.coerce(value, to, Context::Explicit)
            }
            E::Interval(interval) => self.interval(ctx, interval, at),
            E::AtTimeZone { .. }
            | E::Ceil { .. }
            | E::Extract { .. }
            | E::Floor { .. }
            | E::IsNormalized { .. }
            | E::Overlay { .. }
            | E::Position { .. }
            | E::SimilarTo { .. }
            | E::Substring { .. }
            | E::Trim { .. } => self.call_in_words(ctx, expr, at),
            E::Collate {
                expr: inner,
                collation,
            } => self.collate(ctx, inner, collation, at),
            E::Function(function) => self.function(ctx, function, at),
            E::Case {
                operand,
                conditions,
                else_result,
                ..
            } => self.case(ctx, operand.as_deref(), conditions, else_result.as_deref()),
            E::Exists { subquery, negated } => {
                let found = self.exists(ctx, subquery)?;
                Ok(Typed::bool(if *negated {
                    Expr::Not(Box::new(found))
                } else {
                    found
                }))
            }
            E::Subquery(query) => self.scalar_subquery(ctx, query, at),
            E::Array(elements) => self.array(ctx, &elements.elem, None, at),
            E::CompoundFieldAccess { root, access_chain } => {
                self.access(ctx, root, access_chain, at)
            }
            other => Err(unsupported(&describe(other), at)),
        }
    }

    pub(super) fn cast(
        &mut self,
        ctx: &mut Ctx,
        inner: &ast::Expr,
        data_type: &ast::DataType,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let to = self.type_of(data_type, at)?;
        if let (ast::Expr::Array(elements), Some(element)) = (inner, element_of(to)) {
            return self.array(ctx, &elements.elem, Some(element), at);
        }
        let value = self.expr(ctx, inner)?;
        let position = value.at.or(at);
        self.coerce(value.at(position), to, Context::Explicit)
    }

    fn collate(
        &mut self,
        ctx: &mut Ctx,
        inner: &ast::Expr,
        collation: &ast::ObjectName,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let value = self.expr(ctx, inner)?;
        let name = collation
            .0
            .last()
            .and_then(|part| part.as_ident())
            .map(fold)
            .unwrap_or_default();
        if !matches!(
            name.as_str(),
            "C" | "default" | "POSIX" | "ucs_basic" | "c" | "C.UTF-8" | "C.utf8"
        ) {
            let error = PgError::new(
                sqlstate::UNDEFINED_OBJECT,
                format!("collation \"{name}\" for encoding \"UTF8\" does not exist"),
            )
            .hint(
                "Text is ordered by its bytes: COLLATE \"C\" and COLLATE \"default\" are accepted.",
            );
            return Err(positioned(error, at));
        }
        let value = self.settle(value)?;
        if !super::types::is_string(value.ty.oid) {
            let error = PgError::new(
                sqlstate::DATATYPE_MISMATCH,
                format!(
                    "collations are not supported by type {}",
                    type_name(value.ty)
                ),
            );
            return Err(positioned(error, at));
        }
        Ok(Typed {
            origin: None,
            ..value
        })
    }

    fn case(
        &mut self,
        ctx: &mut Ctx,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
    ) -> PgResult<Typed> {
        let operand = operand.map(|operand| self.expr(ctx, operand)).transpose()?;
        let operand = operand.map(|operand| self.settle(operand)).transpose()?;
        let mut tests = Vec::new();
        let mut results = Vec::new();
        for when in conditions {
            tests.push(match &operand {
                None => self.condition(ctx, &when.condition, "CASE/WHEN")?,
                Some(operand) => {
                    let value = self.expr(ctx, &when.condition)?;
                    let at = value.at;
                    self.operator("=", operand.clone(), value, at)?.expr
                }
            });
            results.push(self.expr(ctx, &when.result)?);
        }
        if let Some(otherwise) = otherwise {
            results.push(self.expr(ctx, otherwise)?);
        }
        let ty = common_type(&results, "CASE")?;
        let mut results = results
            .into_iter()
            .map(|result| Ok(Box::new(self.coerce(result, ty, Context::Implicit)?.expr)))
            .collect::<PgResult<Vec<_>>>()?;
        let otherwise = match otherwise {
            Some(_) => results.pop(),
            None => Some(Box::new(Expr::Literal(crate::text::read::null(ty)?, None))),
        };
        let when_then = tests.into_iter().map(Box::new).zip(results).collect();
        Ok(Typed::new(
            Expr::Case(Case {
                expr: None,
                when_then_expr: when_then,
                else_expr: otherwise,
            }),
            ty,
        ))
    }

    /// `call(name, args)`, for syntax that stands for a function.
    pub(super) fn call(
        &mut self,
        name: &str,
        args: Vec<Typed>,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        self.named_function(name, args, at)
    }

    /// Arguments as a function of these declared types wants them.
    pub(super) fn arguments(
        &mut self,
        declared: &[u32],
        result: u32,
        args: Vec<Typed>,
    ) -> PgResult<Option<(Vec<Typed>, PgType)>> {
        let Some((types, result)) = concrete(declared, result, &args) else {
            return Ok(None);
        };
        let mut cast = Vec::with_capacity(args.len());
        for (arg, ty) in args.into_iter().zip(types) {
            cast.push(
                if arg.ty.oid == ty.oid || matches!(arg.kind, Kind::Row(_)) {
                    arg
                } else {
                    self.coerce(arg, ty, Context::Implicit)?
                },
            );
        }
        Ok(Some((cast, result)))
    }
}

pub(super) fn binary(left: Expr, operator: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right)))
}

/// The first words of a construct, for "is not supported".
fn describe(expr: &ast::Expr) -> String {
    let text = expr.to_string();
    let short: String = text.chars().take(40).collect();
    format!("the expression {short}")
}
