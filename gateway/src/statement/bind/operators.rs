//! Operators: found by name and operand types, and what each becomes in a plan.

use arrow::datatypes::DataType;
use datafusion::logical_expr::{BinaryExpr, Expr, Like, Operator};
use omnigraph_catalog::types::{PgType, UNCONSTRAINED, numeric_modifier};
use omnigraph_udfs::pg::arithmetic::{self, Op};
use omnigraph_udfs::pg::{array, json, math, regex, string, text_search, vector};

use super::catalog::{OperatorRow, operators_named};
use super::coerce::{Context, positioned};
use super::resolve::{Choice, choose, concrete};
use super::typed::{Kind, Typed};
use super::types::{numeric_of, type_name};
use super::{Binder, datetime, numeric_functions};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// What an operator becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Implementation {
    Compare(Operator),
    Arithmetic(Op),
    Negate,
    Plus,
    Invert,
    Power,
    Math(&'static str),
    Like { negated: bool, folded: bool },
    Regex { negated: bool, folded: bool },
    StartsWith,
    Concat,
    Array(&'static str),
    Json(&'static str),
    Time(&'static str),
    Vector(&'static str),
    TextSearch(&'static str),
}

/// Does the operator run here?
pub(super) fn is_implemented(row: &OperatorRow) -> bool {
    implementation(row).is_some()
}

fn implementation(row: &OperatorRow) -> Option<Implementation> {
    use Implementation as I;
    let array_type = |oid: u32| matches!(oid, 2277 | 5078);
    let numeric = |oid: u32| matches!(oid, 0 | 20 | 21 | 23 | 700 | 701 | 1700);
    let integer = |oid: u32| matches!(oid, 0 | 20 | 21 | 23);
    let both = |test: &dyn Fn(u32) -> bool| test(row.left) && test(row.right);
    if [row.left, row.right]
        .iter()
        .any(|oid| matches!(oid, 27 | 29 | 1033 | 3220))
    {
        return None;
    }
    Some(match row.name {
        _ if row.left == PgType::VECTOR.oid => {
            if !vector::is_implemented(row.code) {
                return None;
            }
            I::Vector(row.code)
        }
        _ if text_search::is_implemented(row.code) => I::TextSearch(row.code),
        "=" | "<>" | "<" | "<=" | ">" | ">=" => {
            let operator = comparison(row.name)?;
            let ordered_badly = matches!(row.left, 3802 | 2249);
            if ordered_badly && !matches!(row.name, "=" | "<>") {
                return None;
            }
            I::Compare(operator)
        }
        "+" | "-" | "*" | "/" | "%" if both(&numeric) && row.left != 0 => {
            I::Arithmetic(match row.name {
                "+" => Op::Add,
                "-" => Op::Subtract,
                "*" => Op::Multiply,
                "/" => Op::Divide,
                _ => Op::Modulo,
            })
        }
        "-" if row.left == 0 && numeric(row.right) => I::Negate,
        "+" if row.left == 0 && numeric(row.right) => I::Plus,
        "+" | "-" | "*" | "/"
            if matches!(
                row.code.split('_').next(),
                Some(
                    "date"
                        | "timestamp"
                        | "timestamptz"
                        | "interval"
                        | "time"
                        | "integer"
                        | "datetime"
                        | "timedate"
                        | "mul"
                )
            ) =>
        {
            datetime::operator(row.code)?;
            I::Time(row.code)
        }
        "&" | "|" | "#" if both(&integer) && row.left != 0 => I::Arithmetic(match row.name {
            "&" => Op::And,
            "|" => Op::Or,
            _ => Op::Xor,
        }),
        "<<" | ">>" if integer(row.left) && row.right == 23 => I::Arithmetic(if row.name == "<<" {
            Op::ShiftLeft
        } else {
            Op::ShiftRight
        }),
        "~" if row.left == 0 && integer(row.right) => I::Invert,
        "^" => I::Power,
        "|/" => I::Math("sqrt"),
        "||/" => I::Math("cbrt"),
        "@" if numeric(row.right) && row.left == 0 => I::Math("abs"),
        "~~" | "!~~" | "~~*" | "!~~*" if row.left != 17 => I::Like {
            negated: row.name.starts_with('!'),
            folded: row.name.ends_with('*'),
        },
        "~" | "!~" | "~*" | "!~*" if row.left != 0 && row.right == 25 => I::Regex {
            negated: row.name.starts_with('!'),
            folded: row.name.ends_with('*'),
        },
        "^@" => I::StartsWith,
        "||" => match row.code {
            "textcat" | "textanycat" | "anytextcat" => I::Concat,
            "array_append" | "array_prepend" | "array_cat" => I::Array(row.code),
            "jsonb_concat" => I::Json(row.code),
            _ => return None,
        },
        "@>" | "<@" | "&&" if array_type(row.left) => I::Array(row.code),
        "->" | "->>" | "#>" | "#>>" | "?" | "?|" | "?&" | "@>" | "<@" | "-" | "#-" | "@?"
        | "@@"
            if json::is_implemented(row.code) =>
        {
            I::Json(row.code)
        }
        _ => return None,
    })
}

pub(super) fn comparison(name: &str) -> Option<Operator> {
    Some(match name {
        "=" => Operator::Eq,
        "<>" | "!=" => Operator::NotEq,
        "<" => Operator::Lt,
        "<=" => Operator::LtEq,
        ">" => Operator::Gt,
        ">=" => Operator::GtEq,
        _ => return None,
    })
}

impl Binder<'_> {
    /// `left name right`.
    pub(super) fn operator(
        &mut self,
        name: &str,
        left: Typed,
        right: Typed,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let name = if name == "!=" { "<>" } else { name };
        if let (Kind::Row(_), Kind::Row(_)) = (&left.kind, &right.kind) {
            return self.compare_rows(name, left, right, at);
        }
        let candidates: Vec<&OperatorRow> =
            operators_named(name).filter(|row| row.left != 0).collect();
        let row = self.choose_operator(&candidates, name, &[&left, &right], at)?;
        let args = [left, right];
        let (types, result) = concrete(&[row.left, row.right], row.result, &args)
            .ok_or_else(|| no_operator(name, &[&args[0], &args[1]], at))?;
        let [left, right] = args;
        let left = self.operand(left, types[0])?;
        let right = self.operand(right, types[1])?;
        Ok(self.build_binary(row, left, right, result)?.at(at))
    }

    /// `name value`.
    pub(super) fn prefix_operator(
        &mut self,
        name: &str,
        value: Typed,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let candidates: Vec<&OperatorRow> =
            operators_named(name).filter(|row| row.left == 0).collect();
        let declared: Vec<Vec<u32>> = candidates.iter().map(|row| vec![row.right]).collect();
        let row = match choose(&declared, &[value.ty.oid]) {
            Choice::One(found) => candidates[found],
            Choice::None => return Err(no_operator(name, &[&value], at)),
            Choice::Ambiguous => return Err(ambiguous(name, &[&value], at)),
        };
        let value = self.operand(value, PgType::new(row.right))?;
        let ty = value.ty;
        let arrow = ty.arrow();
        let implementation = implementation(row).ok_or_else(|| no_operator(name, &[&value], at))?;
        if let Implementation::TextSearch(code) = implementation {
            return self.text_search(code, vec![value], PgType::new(row.result), at);
        }
        let expr = match implementation {
            Implementation::Negate => arithmetic::negate(&arrow, value.expr),
            Implementation::Plus => value.expr,
            Implementation::Invert => arithmetic::invert(&arrow, value.expr),
            Implementation::Math("abs") => math::abs(&arrow, value.expr),
            Implementation::Math(function) => math::float(function, vec![value.expr]),
            Implementation::Time(code) => {
                datetime::build(code, vec![value.expr], &self.text.format.zone)
            }
            _ => return Err(no_operator(name, &[&value], at)),
        };
        let result = if row.result == ty.oid {
            ty
        } else {
            PgType::new(row.result)
        };
        Ok(Typed::new(expr, result).at(at))
    }

    fn choose_operator<'c>(
        &self,
        candidates: &[&'c OperatorRow],
        name: &str,
        args: &[&Typed],
        at: Option<u32>,
    ) -> PgResult<&'c OperatorRow> {
        let declared: Vec<Vec<u32>> = candidates
            .iter()
            .map(|row| vec![row.left, row.right])
            .collect();
        let actual: Vec<u32> = args.iter().map(|arg| arg.ty.oid).collect();
        match choose(&declared, &actual) {
            Choice::One(found) => Ok(candidates[found]),
            Choice::None => Err(no_operator(name, args, at)),
            Choice::Ambiguous => Err(ambiguous(name, args, at)),
        }
    }

    /// An operand as the operator's type; what it is already stays as it is, so that columns
    /// stay columns.
    fn operand(&mut self, value: Typed, to: PgType) -> PgResult<Typed> {
        if value.ty.oid == to.oid {
            return Ok(value);
        }
        self.coerce(value, to, Context::Implicit)
    }

    fn build_binary(
        &mut self,
        row: &OperatorRow,
        left: Typed,
        right: Typed,
        result: PgType,
    ) -> PgResult<Typed> {
        use Implementation as I;
        let implementation = implementation(row).ok_or_else(|| no_implementation(row))?;
        let expr = match implementation {
            I::Compare(operator) => self.compare(operator, left, right)?,
            I::Arithmetic(op) => return self.arithmetic(op, left, right, result),
            I::Power => return self.power(left, right),
            I::Like { negated, folded } => Expr::Like(Like::new(
                negated,
                Box::new(left.expr),
                Box::new(right.expr),
                None,
                folded,
            )),
            I::Regex { negated, folded } => regex::matches(left.expr, right.expr, negated, folded),
            I::StartsWith => string::call(
                "starts_with",
                DataType::Boolean,
                vec![left.expr, right.expr],
            ),
            I::Concat => {
                let left = self.as_text(left)?;
                let right = self.as_text(right)?;
                string::call("textcat", DataType::Utf8, vec![left, right])
            }
            I::Array(code) => array::operator(code, &result.arrow(), vec![left.expr, right.expr]),
            I::Json(code) => json::operator(code, &result.arrow(), vec![left.expr, right.expr]),
            I::Time(code) => {
                datetime::build(code, vec![left.expr, right.expr], &self.text.format.zone)
            }
            I::TextSearch(code) => {
                return self.text_search(code, vec![left, right], result, None);
            }
            I::Vector(code) => vector::function(code, vec![left.expr, right.expr])
                .ok_or_else(|| no_implementation(row))?,
            I::Negate | I::Plus | I::Invert | I::Math(_) => {
                return Err(PgError::new(
                    sqlstate::INTERNAL_ERROR,
                    "a prefix operator with two operands",
                ));
            }
        };
        Ok(Typed::new(expr, result))
    }

    /// `left operator right` over types that have the operator: both sides become one Arrow
    /// type and DataFusion compares.
    fn compare(&mut self, operator: Operator, left: Typed, right: Typed) -> PgResult<Expr> {
        let (left, right) = self.comparable(left, right)?;
        Ok(Expr::BinaryExpr(BinaryExpr::new(
            Box::new(left),
            operator,
            Box::new(right),
        )))
    }

    /// Two values in one representation in which equality and order are PostgreSQL's.
    pub(super) fn comparable(&mut self, left: Typed, right: Typed) -> PgResult<(Expr, Expr)> {
        let (l, r) = (left.ty, right.ty);
        if l.oid == PgType::NUMERIC.oid && r.oid == PgType::NUMERIC.oid {
            let (left, right) = self.align_numeric(left, right)?;
            return Ok((left.expr, right.expr));
        }
        if l.oid == PgType::INTERVAL.oid {
            return Ok((
                datetime::interval_key(left.expr),
                datetime::interval_key(right.expr),
            ));
        }
        if l.oid == PgType::BPCHAR.oid && r.oid == PgType::BPCHAR.oid {
            return Ok((
                super::text_io::trim_blanks(left.expr),
                super::text_io::trim_blanks(right.expr),
            ));
        }
        if l.arrow() == r.arrow() {
            return Ok((left.expr, right.expr));
        }
        // int4 = int8, date < timestamptz: the wider of the two.
        let wide = |oid: u32| match oid {
            21 => 1,
            23 => 2,
            20 => 3,
            700 => 4,
            701 => 5,
            1082 => 6,
            1114 => 7,
            1184 => 8,
            _ => 0,
        };
        if wide(l.oid) >= wide(r.oid) {
            let (right, _) = self.convert(right.expr, r, l, false)?;
            Ok((left.expr, right))
        } else {
            let (left, _) = self.convert(left.expr, l, r, false)?;
            Ok((left, right.expr))
        }
    }

    fn arithmetic(&mut self, op: Op, left: Typed, right: Typed, result: PgType) -> PgResult<Typed> {
        if result.oid == PgType::NUMERIC.oid {
            let ty = numeric_result(op, left.ty, right.ty);
            return Ok(Typed::new(
                arithmetic::decimal(op, &ty.arrow(), left.expr, right.expr),
                ty,
            ));
        }
        // Shifts have an int4 on the right whatever is on the left.
        let arrow = result.arrow();
        let (left, _) = self.convert(left.expr, left.ty, result, false)?;
        let (right, _) = self.convert(right.expr, right.ty, result, false)?;
        Ok(Typed::new(
            arithmetic::binary(op, &arrow, left, right),
            result,
        ))
    }

    fn power(&mut self, left: Typed, right: Typed) -> PgResult<Typed> {
        if left.ty.oid == PgType::NUMERIC.oid {
            return numeric_functions::irrational("power", vec![left, right]);
        }
        let left = self.coerce(left, PgType::FLOAT8, Context::Implicit)?;
        let right = self.coerce(right, PgType::FLOAT8, Context::Implicit)?;
        let power = math::float("power", vec![left.expr, right.expr]);
        Ok(Typed::new(power, PgType::FLOAT8))
    }

    pub(super) fn as_text(&mut self, value: Typed) -> PgResult<Expr> {
        Ok(self.coerce(value, PgType::TEXT, Context::Explicit)?.expr)
    }
}

fn no_implementation(row: &OperatorRow) -> PgError {
    PgError::new(
        sqlstate::INTERNAL_ERROR,
        format!("operator {} has no implementation", row.oid),
    )
}

/// PostgreSQL's scale of a result, and enough digits for it.
fn numeric_result(op: Op, left: PgType, right: PgType) -> PgType {
    let parts = |ty: PgType| numeric_modifier(ty.typmod).unwrap_or(UNCONSTRAINED);
    let ((lp, ls), (rp, rs)) = (parts(left), parts(right));
    let (lw, rw) = (i32::from(lp) - i32::from(ls), i32::from(rp) - i32::from(rs));
    let open = left.typmod == -1 || right.typmod == -1;
    let sized =
        |whole: i32, scale: i8| numeric_of((whole + i32::from(scale)).clamp(1, 76) as u8, scale);
    match op {
        Op::Add | Op::Subtract if open => PgType::NUMERIC,
        Op::Add | Op::Subtract => sized(lw.max(rw) + 1, ls.max(rs)),
        Op::Multiply if open => PgType::NUMERIC,
        Op::Multiply => sized(lw + rw, (i32::from(ls) + i32::from(rs)).min(38) as i8),
        Op::Modulo => sized(lw.max(rw), ls.max(rs)),
        _ => PgType::NUMERIC,
    }
}

pub(super) fn no_operator(name: &str, args: &[&Typed], at: Option<u32>) -> PgError {
    let error = PgError::new(
        sqlstate::UNDEFINED_FUNCTION,
        format!("operator does not exist: {}", signature(name, args)),
    )
    .hint(if args.len() == 2 {
        "No operator matches the given name and argument types. You might need to add explicit type casts."
    } else {
        "No operator matches the given name and argument type. You might need to add an explicit type cast."
    });
    positioned(error, at)
}

fn ambiguous(name: &str, args: &[&Typed], at: Option<u32>) -> PgError {
    let error = PgError::new(
        sqlstate::AMBIGUOUS_FUNCTION,
        format!("operator is not unique: {}", signature(name, args)),
    )
    .hint("Could not choose a best candidate operator. You might need to add explicit type casts.");
    positioned(error, at)
}

fn signature(name: &str, args: &[&Typed]) -> String {
    match args {
        [left, right] => format!("{} {name} {}", type_name(left.ty), type_name(right.ty)),
        [value] => format!("{name} {}", type_name(value.ty)),
        _ => name.to_owned(),
    }
}
