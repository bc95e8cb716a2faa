//! Values of `.gq` queries as the syntax of SQL's.

use datafusion::common::ScalarValue;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::query::{Aggregate, Expr, Operator, Variable, VariableId};
use omnigraph_engine::schema::text::{parse_date, parse_datetime};
use sqlparser::ast;

use super::super::Binder;
use super::super::typed::Typed;
use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// How an expression names the properties that it looks at.
#[derive(Clone, Copy)]
pub(super) enum Names<'a> {
    /// Inside of the pattern: columns of its variables.
    Pattern(&'a [Variable]),
    /// Over the pattern: its columns, and the ranks beside them.
    Columns(&'a [Variable], &'a [&'a Expr]),
    /// Columns of the table that is changed.
    Row,
}

/// What begins the name of a value that is bound already. No query can write it.
pub(crate) const GIVEN: &str = "$:";

/// What the pattern calls a variable.
pub(super) fn variable_name(variables: &[Variable], id: VariableId) -> String {
    let name = variables
        .get(id)
        .and_then(|variable| variable.name.as_deref());
    let is_first = name.is_some()
        && variables
            .iter()
            .position(|other| other.name.as_deref() == name)
            == Some(id);
    match name {
        Some(name) if is_first => name.to_owned(),
        // Dots are in no name.
        _ => format!("{}.{id}", name.unwrap_or_default()),
    }
}

/// What the pattern calls a property among its columns.
pub(super) fn column_name(variables: &[Variable], id: VariableId, property: &str) -> String {
    format!("{}.{property}", variable_name(variables, id))
}

pub(super) fn ident(name: &str) -> ast::Ident {
    ast::Ident::with_quote('"', name)
}

pub(super) fn object(name: &str) -> ast::ObjectName {
    ast::ObjectName(vec![ast::ObjectNamePart::Identifier(ident(name))])
}

/// The value at a place among those that are bound already.
pub(super) fn given(place: usize) -> ast::Expr {
    literal(ast::Value::Placeholder(format!("{GIVEN}{place}")))
}

pub(super) fn literal(value: ast::Value) -> ast::Expr {
    ast::Expr::Value(value.with_empty_span())
}

fn text(value: &str) -> ast::Expr {
    literal(ast::Value::SingleQuotedString(value.to_owned()))
}

/// Conditions joined by AND.
pub(in crate::statement::bind) fn all(mut conditions: Vec<ast::Expr>) -> Option<ast::Expr> {
    let first = (!conditions.is_empty()).then(|| conditions.remove(0))?;
    let and = |left, right| operation(left, ast::BinaryOperator::And, right);
    Some(conditions.into_iter().fold(first, and))
}

pub(super) fn operation(left: ast::Expr, op: ast::BinaryOperator, right: ast::Expr) -> ast::Expr {
    ast::Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    }
}

pub(super) fn call(name: &str, distinct: bool, args: Vec<ast::Expr>) -> ast::Expr {
    let args = args
        .into_iter()
        .map(|arg| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(arg)))
        .collect();
    ast::Expr::Function(ast::Function {
        name: object(name),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args: ast::FunctionArguments::List(ast::FunctionArgumentList {
            duplicate_treatment: distinct.then_some(ast::DuplicateTreatment::Distinct),
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

impl Binder<'_> {
    /// A value that has no syntax: the expression looks it up when it is bound.
    fn given(&mut self, value: Typed) -> ast::Expr {
        self.given.push(value);
        given(self.given.len() - 1)
    }

    pub(super) fn gq_value(&mut self, expr: &Expr, names: Names<'_>) -> PgResult<ast::Expr> {
        Ok(match expr {
            Expr::Element(id) => property(*id, "id", names),
            Expr::Property(id, column) => property(*id, column, names),
            Expr::Parameter(at) => given(*at),
            Expr::Null => literal(ast::Value::Null),
            Expr::Bool(value) => literal(ast::Value::Boolean(*value)),
            Expr::Text(value) | Expr::Vector(value) => text(value),
            Expr::Number(value) => literal(ast::Value::Number(value.clone(), false)),
            Expr::Date(value) => {
                let days = ScalarValue::Date32(parse_date(value));
                self.given(Typed::value(days, PgType::DATE))
            }
            Expr::DateTime(value) => {
                let micros = parse_datetime(value);
                let time = ScalarValue::TimestampMicrosecond(micros, Some("UTC".into()));
                self.given(Typed::value(time, PgType::TIMESTAMPTZ))
            }
            Expr::List(elements) if elements.is_empty() => text("{}"),
            Expr::List(elements) => ast::Expr::Array(ast::Array {
                elem: self.gq_values(elements, names)?,
                named: true,
            }),
            Expr::Now => call("now", false, Vec::new()),
            Expr::Negative(inner) => ast::Expr::UnaryOp {
                op: ast::UnaryOperator::Minus,
                expr: Box::new(self.gq_value(inner, names)?),
            },
            Expr::Not(inner) => ast::Expr::UnaryOp {
                op: ast::UnaryOperator::Not,
                expr: Box::new(self.gq_value(inner, names)?),
            },
            Expr::And(parts) => {
                let parts = self.gq_values(parts, names)?;
                all(parts).unwrap_or_else(|| literal(ast::Value::Boolean(true)))
            }
            Expr::Or(parts) => {
                let parts = self.gq_values(parts, names)?.into_iter();
                let or = |left, right| operation(left, ast::BinaryOperator::Or, right);
                parts
                    .reduce(or)
                    .unwrap_or_else(|| literal(ast::Value::Boolean(false)))
            }
            Expr::Binary(operator, left, right) => {
                let (left, right) = (self.gq_value(left, names)?, self.gq_value(right, names)?);
                binary(*operator, left, right)
            }
            Expr::Member {
                list,
                value,
                negated,
            } => self.gq_member(list, value, *negated, names)?,
            Expr::IsNull { value, negated } => {
                let value = Box::new(self.gq_value(value, names)?);
                match negated {
                    true => ast::Expr::IsNotNull(value),
                    false => ast::Expr::IsNull(value),
                }
            }
            Expr::Aggregate {
                function,
                distinct,
                argument,
            } => {
                let argument = self.gq_value(argument, names)?;
                aggregate(*function, *distinct, argument)
            }
            Expr::Search {
                function,
                arguments,
            } => self.gq_search(*function, arguments, expr, names)?,
        })
    }

    pub(super) fn gq_values(
        &mut self,
        exprs: &[Expr],
        names: Names<'_>,
    ) -> PgResult<Vec<ast::Expr>> {
        exprs
            .iter()
            .map(|expr| self.gq_value(expr, names))
            .collect()
    }

    fn gq_member(
        &mut self,
        list: &Expr,
        value: &Expr,
        negated: bool,
        names: Names<'_>,
    ) -> PgResult<ast::Expr> {
        let value = Box::new(self.gq_value(value, names)?);
        Ok(match list {
            Expr::List(elements) if elements.is_empty() => literal(ast::Value::Boolean(negated)),
            Expr::List(elements) => ast::Expr::InList {
                expr: value,
                list: self.gq_values(elements, names)?,
                negated,
            },
            list => {
                let right = Box::new(self.gq_value(list, names)?);
                match negated {
                    true => ast::Expr::AllOp {
                        left: value,
                        compare_op: ast::BinaryOperator::NotEq,
                        right,
                    },
                    false => ast::Expr::AnyOp {
                        left: value,
                        compare_op: ast::BinaryOperator::Eq,
                        right,
                        is_some: false,
                    },
                }
            }
        })
    }

    /// The value that a name made by [`Binder::given`] stands for.
    pub(in crate::statement::bind) fn given_value(&self, name: &str) -> PgResult<Typed> {
        let at = name.parse::<usize>().ok();
        let value = at.and_then(|at| self.given.get(at)).cloned();
        value.ok_or_else(|| {
            PgError::new(
                sqlstate::INTERNAL_ERROR,
                "a value of gq() that was not given",
            )
        })
    }
}

fn property(id: VariableId, column: &str, names: Names<'_>) -> ast::Expr {
    match names {
        Names::Pattern(variables) => {
            let variable = variable_name(variables, id);
            ast::Expr::CompoundIdentifier(vec![ident(&variable), ident(column)])
        }
        Names::Columns(variables, _) => {
            ast::Expr::Identifier(ident(&column_name(variables, id, column)))
        }
        Names::Row => ast::Expr::Identifier(ident(column)),
    }
}

fn binary(operator: Operator, left: ast::Expr, right: ast::Expr) -> ast::Expr {
    use ast::BinaryOperator as B;
    let op = match operator {
        Operator::Equal => B::Eq,
        Operator::NotEqual => B::NotEq,
        Operator::Less => B::Lt,
        Operator::LessOrEqual => B::LtEq,
        Operator::Greater => B::Gt,
        Operator::GreaterOrEqual => B::GtEq,
        Operator::Add => B::Plus,
        Operator::Subtract => B::Minus,
        Operator::Multiply => B::Multiply,
        Operator::Divide => B::Divide,
        Operator::Modulo => B::Modulo,
        Operator::Contains => {
            let zero = literal(ast::Value::Number("0".to_owned(), false));
            return operation(call("strpos", false, vec![left, right]), B::Gt, zero);
        }
        Operator::StartsWith => return call("starts_with", false, vec![left, right]),
    };
    operation(left, op, right)
}

fn aggregate(function: Aggregate, distinct: bool, argument: ast::Expr) -> ast::Expr {
    call(function.name(), distinct, vec![argument])
}
