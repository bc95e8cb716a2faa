//! Expressions.

use std::rc::Rc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Case, Expr, Operator};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{array, regex};
use sqlparser::ast::{self, Spanned};

use super::coerce::{Context, positioned};
use super::resolve::{concrete, element_of};
use super::scope::{Found, Scope};
use super::subquery::{PendingApply, Quantifier};
use super::typed::{Kind, Typed};
use super::types::{common_type, type_name};
use super::{Binder, operators, unsupported};
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
    pub(super) named_windows: Vec<(String, ast::WindowSpec)>,
    /// Where each input column is used outside of aggregates first, for the error about it.
    pub(super) used: Vec<(Expr, Option<u32>, String)>,
    /// Output columns of GROUPING SETS are nullable; nothing else needs to know.
    pub(super) grouping: Vec<Expr>,
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
            E::IsTrue(inner) => {
                self.truth_test(ctx, inner, "IS TRUE", |e| Expr::IsTrue(Box::new(e)))
            }
            E::IsNotTrue(inner) => {
                self.truth_test(ctx, inner, "IS NOT TRUE", |e| Expr::IsNotTrue(Box::new(e)))
            }
            E::IsFalse(inner) => {
                self.truth_test(ctx, inner, "IS FALSE", |e| Expr::IsFalse(Box::new(e)))
            }
            E::IsNotFalse(inner) => self.truth_test(ctx, inner, "IS NOT FALSE", |e| {
                Expr::IsNotFalse(Box::new(e))
            }),
            E::IsUnknown(inner) => {
                self.truth_test(ctx, inner, "IS UNKNOWN", |e| Expr::IsUnknown(Box::new(e)))
            }
            E::IsNotUnknown(inner) => self.truth_test(ctx, inner, "IS NOT UNKNOWN", |e| {
                Expr::IsNotUnknown(Box::new(e))
            }),
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

    pub(super) fn value(&mut self, value: &ast::Value, at: Option<u32>) -> PgResult<Typed> {
        use ast::Value as V;
        Ok(match value {
            V::Number(text, _) => self.number(text, at)?,
            V::SingleQuotedString(text)
            | V::EscapedStringLiteral(text)
            | V::UnicodeStringLiteral(text)
            | V::NationalStringLiteral(text)
            | V::DoubleQuotedString(text) => Typed::literal(Some(text.clone()), at),
            V::DollarQuotedString(text) => Typed::literal(Some(text.value.clone()), at),
            V::Boolean(value) => {
                Typed::value(ScalarValue::Boolean(Some(*value)), PgType::BOOL).at(at)
            }
            V::Null => Typed::literal(None, at),
            V::Placeholder(name) => self.placeholder(name, at)?,
            other => return Err(unsupported(&format!("the literal {other}"), at)),
        })
    }

    fn number(&mut self, text: &str, at: Option<u32>) -> PgResult<Typed> {
        let plain = text.replace('_', "");
        if let Ok(value) = plain.parse::<i32>() {
            return Ok(Typed::value(ScalarValue::Int32(Some(value)), PgType::INT4).at(at));
        }
        if let Ok(value) = plain.parse::<i64>() {
            return Ok(Typed::value(ScalarValue::Int64(Some(value)), PgType::INT8).at(at));
        }
        let literal = Typed::literal(Some(plain), at);
        self.coerce(literal, PgType::NUMERIC, Context::Implicit)
    }

    fn placeholder(&mut self, name: &str, at: Option<u32>) -> PgResult<Typed> {
        let number = name
            .strip_prefix('$')
            .and_then(|number| number.parse::<usize>().ok())
            .filter(|number| *number >= 1 && *number <= 65_535);
        let Some(number) = number else {
            return Err(positioned(
                PgError::new(
                    sqlstate::UNDEFINED_PARAMETER,
                    format!("there is no parameter {name}"),
                ),
                at,
            ));
        };
        if self.params.len() < number {
            self.params.resize(number, None);
        }
        let number = number - 1;
        Ok(match self.params[number] {
            Some(ty) => self.param(number, ty).at(at),
            None => Typed {
                kind: Kind::Param(number),
                ..self.param(number, PgType::UNKNOWN).at(at)
            },
        })
    }

    /// A row; where one value is wanted it is its text.
    pub(super) fn row(&mut self, fields: Vec<(String, Typed)>, at: Option<u32>) -> PgResult<Typed> {
        let mut texts = Vec::with_capacity(fields.len());
        for (_, field) in &fields {
            let field = self.settle(field.clone())?;
            texts.push(self.cast_to_text(field.expr, field.ty));
        }
        Ok(Typed {
            expr: super::functions::row_text(texts),
            ty: PgType::RECORD,
            kind: Kind::Row(fields),
            at,
            origin: None,
        })
    }

    fn column(&mut self, ctx: &mut Ctx, parts: &[ast::Ident]) -> PgResult<Typed> {
        let at = parts
            .first()
            .and_then(|part| self.positions.of_span(part.span));
        if let [ident] = parts
            && ident.quote_style.is_none()
            && RESERVED
                .binary_search(&ident.value.to_lowercase().as_str())
                .is_ok()
        {
            return Err(positioned(
                PgError::new(
                    sqlstate::SYNTAX_ERROR,
                    format!("syntax error at or near \"{}\"", ident.value),
                ),
                at,
            ));
        }
        let names: Vec<String> = parts.iter().map(fold).collect();
        let scope = Rc::clone(&ctx.scope);
        let found = match names.as_slice() {
            [name] => scope.column(name, &mut self.fresh),
            [table, name] => scope.qualified(None, table, name, &mut self.fresh),
            [schema, table, name] => {
                scope.qualified(Some(self.path.schema(schema)), table, name, &mut self.fresh)
            }
            [_, schema, table, name] => {
                scope.qualified(Some(self.path.schema(schema)), table, name, &mut self.fresh)
            }
            _ => Found::Nothing,
        };
        let error = match found {
            Found::Column(typed) => {
                if !ctx.inside_aggregate {
                    ctx.used.push((typed.expr.clone(), at, names.join(".")));
                }
                return Ok(typed.at(at));
            }
            Found::Ambiguous => PgError::new(
                sqlstate::AMBIGUOUS_COLUMN,
                format!(
                    "column reference \"{}\" is ambiguous",
                    names.last().map_or("", String::as_str)
                ),
            ),
            Found::NoColumn => PgError::new(
                sqlstate::UNDEFINED_COLUMN,
                format!("column {} does not exist", names.join(".")),
            ),
            Found::Nothing => match names.as_slice() {
                [name] => {
                    if let Some(fields) = scope.row(name, &mut self.fresh) {
                        for (field, value) in &fields {
                            if !ctx.inside_aggregate {
                                ctx.used
                                    .push((value.expr.clone(), at, format!("{name}.{field}")));
                            }
                        }
                        return self.row(fields, at);
                    }
                    let error = PgError::new(
                        sqlstate::UNDEFINED_COLUMN,
                        format!("column \"{name}\" does not exist"),
                    );
                    match nearest_column(&scope, name) {
                        Some(hint) => error.hint(hint),
                        None => error,
                    }
                }
                _ => {
                    let table = &names[names.len() - 2];
                    let error = PgError::new(
                        sqlstate::UNDEFINED_TABLE,
                        format!("missing FROM-clause entry for table \"{table}\""),
                    );
                    return Err(positioned(error, at));
                }
            },
        };
        Err(positioned(error, at))
    }

    fn unary(
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
            other => return Err(unsupported(&format!("the operator {other}"), at)),
        };
        self.prefix_operator(name, value, at)
    }

    fn binary(
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

    fn null_test(&mut self, ctx: &mut Ctx, inner: &ast::Expr, negated: bool) -> PgResult<Typed> {
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

    fn truth_test(
        &mut self,
        ctx: &mut Ctx,
        inner: &ast::Expr,
        what: &str,
        test: fn(Expr) -> Expr,
    ) -> PgResult<Typed> {
        Ok(Typed::bool(test(self.condition(ctx, inner, what)?)))
    }

    fn distinct(
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

    fn in_list(
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
    fn like(
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

    fn quantified(
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
        Ok(Typed::bool(array::quantified(
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
        let simple = (name == "=" && !all) || (name == "<>" && all);
        if simple && value.ty.arrow() == element.arrow() && !matches!(element.oid, 1042 | 1186) {
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

    fn interval(
        &mut self,
        ctx: &mut Ctx,
        interval: &ast::Interval,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let value = self.expr(ctx, &interval.value)?;
        let Kind::Literal(Some(text)) = &value.kind else {
            return self.coerce(value, PgType::INTERVAL, Context::Explicit);
        };
        let text = match &interval.leading_field {
            // `interval '1' day`: the field is the unit of a bare number.
            Some(field) if text.trim().parse::<f64>().is_ok() => {
                format!("{text} {}", interval.last_field.as_ref().unwrap_or(field))
            }
            _ => text.clone(),
        };
        let literal = Typed::literal(Some(text), value.at.or(at));
        self.coerce(literal, PgType::INTERVAL, Context::Explicit)
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
        let mut exprs = Vec::with_capacity(values.len());
        for value in values {
            exprs.push(self.coerce(value, element, context)?.expr);
        }
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

    fn access(
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

pub(super) fn binary(left: Expr, operator: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right)))
}

/// `ESCAPE ''` switches escaping off.
fn escape_of(value: &ast::Value) -> Option<char> {
    match value {
        ast::Value::SingleQuotedString(text) | ast::Value::EscapedStringLiteral(text) => {
            text.chars().next()
        }
        _ => None,
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

fn nearest_column(scope: &Scope, name: &str) -> Option<String> {
    let mut best: Option<(usize, String)> = None;
    for rel in &scope.rels {
        for column in &rel.columns {
            let distance = edit_distance(name, &column.name);
            // As far off as PostgreSQL still suggests: less than half of the name.
            if distance * 2 <= name.len()
                && distance <= 3
                && best.as_ref().is_none_or(|(least, _)| distance < *least)
            {
                best = Some((distance, format!("{}.{}", rel.alias, column.name)));
            }
        }
    }
    best.map(|(_, name)| format!("Perhaps you meant to reference the column \"{name}\"."))
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The first words of a construct, for "is not supported".
fn describe(expr: &ast::Expr) -> String {
    let text = expr.to_string();
    let short: String = text.chars().take(40).collect();
    format!("the expression {short}")
}

/// Words that cannot be column names unless quoted, which the parser lets through. Sorted.
const RESERVED: &[&str] = &[
    "all",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "default",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "not",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "trailing",
    "union",
    "unique",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];
