//! What a function that was found becomes in a plan.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::{PgType, UNCONSTRAINED, numeric_modifier};
use omnigraph_udfs::pg::{
    array, blob, json, math, regex, string, text_search, unicode, vector, words,
};

use super::catalog::FunctionRow;
use super::coerce::Context;
use super::functions::undefined;
use super::typed::Typed;
use super::types::numeric_of;
use super::{
    Binder, catalog_functions, datetime_fields, datetime_make, known, numeric_functions,
    session_functions, unsupported,
};
use crate::error::PgResult;
use crate::text::read::null;

impl Binder<'_> {
    pub(super) fn implement(
        &mut self,
        row: &'static FunctionRow,
        args: Vec<Typed>,
        result: PgType,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let name = row.name;
        let zone = self.text.format.zone.clone();
        let exprs = || -> Vec<Expr> { args.iter().map(|arg| arg.expr.clone()).collect() };
        let first = args.first().cloned();
        let returns = result.arrow();
        let expr = match name {
            "abs" => {
                let value = first.ok_or_else(|| undefined(name, &args, at))?;
                return Ok(Typed::new(
                    math::abs(&value.ty.arrow(), value.expr),
                    value.ty,
                ));
            }
            "mod" | "div" => {
                let [left, right] =
                    <[Typed; 2]>::try_from(args).map_err(|_| undefined(name, &[], at))?;
                if name == "mod" {
                    return self.operator("%", left, right, at);
                }
                let quotient = self.operator("/", left, right, at)?;
                return Ok(Typed::new(
                    math::decimal("trunc", &numeric_of(38, 0).arrow(), 0, quotient.expr),
                    numeric_of(38, 0),
                ));
            }
            "power" | "pow" => {
                let [left, right] =
                    <[Typed; 2]>::try_from(args).map_err(|_| undefined(name, &[], at))?;
                return self.operator("^", left, right, at);
            }
            "round" | "trunc" | "ceil" | "ceiling" | "floor" | "sign"
                if result.oid == PgType::NUMERIC.oid =>
            {
                return self.round_numeric(name, args, at);
            }
            "sqrt" | "exp" | "ln" | "log" | "log10" if result.oid == PgType::NUMERIC.oid => {
                return numeric_functions::irrational(name, args);
            }
            "blob_from_uri" => blob::bytes(blob::of_uri(args[0].expr.clone())),
            "blob_length" => blob::length(blob::stored(args[0].expr.clone())),
            "blob_uri" => blob::uri(blob::stored(args[0].expr.clone())),
            "blob_read" => {
                let [value, offset, length] =
                    <[Typed; 3]>::try_from(args).map_err(|_| undefined(name, &[], at))?;
                blob::part(blob::stored(value.expr), offset.expr, length.expr)
            }
            "length" if args[0].ty.oid == PgType::TSVECTOR.oid => text_search::length(exprs()),
            "get_current_ts_config" => self.current_configuration(at)?,
            "random" => session_functions::random(self.env.session()),
            "pi" => Expr::Literal(ScalarValue::Float64(Some(std::f64::consts::PI)), None),
            "factorial" => {
                let ty = numeric_of(76, 0);
                return Ok(Typed::new(math::factorial(&ty.arrow(), exprs()), ty));
            }
            "scale" => {
                let value = first.ok_or_else(|| undefined(name, &args, at))?;
                return Ok(numeric_functions::scale(value));
            }
            "trim_scale" => {
                let value = first.ok_or_else(|| undefined(name, &args, at))?;
                return Ok(numeric_functions::trim_scale(value));
            }
            "to_number" => return self.to_number(args, at),
            "overlaps" => return self.overlaps(args, at),
            "normalize" | "is_normalized" => {
                let mut values = exprs();
                if values.len() == 1 {
                    values.push(Expr::Literal(
                        ScalarValue::Utf8(Some("NFC".to_owned())),
                        None,
                    ));
                }
                if name == "normalize" {
                    unicode::normalize(values)
                } else {
                    unicode::is_normalized(values)
                }
            }
            "min_scale" => math::min_scale(exprs()),
            "gcd" | "lcm" => {
                math::integers(name, &returns, exprs()).ok_or_else(|| undefined(name, &args, at))?
            }
            "width_bucket" => math::width_bucket(exprs()),
            "now" | "transaction_timestamp" => self.transaction_time(),
            "statement_timestamp" => self.statement_time(),
            "clock_timestamp" => session_functions::clock(),
            "gen_random_uuid" => session_functions::random_uuid(),
            "date_bin" => datetime_fields::bin(exprs(), result),
            "date_trunc" => datetime_fields::truncate(exprs(), result, &zone),
            "date_part" | "extract" => return Ok(self.extract(name, &args)),
            "age" => {
                let mut values = args;
                if values.len() == 1 {
                    let today = Typed::new(self.transaction_time(), PgType::TIMESTAMPTZ);
                    let today = self.coerce(today, PgType::DATE, Context::Explicit)?;
                    let ty = values[0].ty;
                    values.insert(0, self.coerce(today, ty, Context::Explicit)?);
                }
                datetime_make::age(
                    values[0].expr.clone(),
                    values[1].expr.clone(),
                    values[0].ty,
                    &zone,
                )
            }
            "timezone" => {
                if args[1].ty.oid == PgType::TIME.oid {
                    return Err(unsupported("AT TIME ZONE over time", at));
                }
                let (expr, ty) =
                    datetime_make::at_zone(args[0].expr.clone(), args[1].expr.clone(), args[1].ty);
                return Ok(Typed::new(expr, ty));
            }
            "make_date" | "make_time" | "make_timestamp" | "make_timestamptz" | "make_interval" => {
                let mut values = args.clone();
                if name == "make_interval" {
                    while values.len() < 6 {
                        values.push(Typed::value(ScalarValue::Int32(Some(0)), PgType::INT4));
                    }
                    if values.len() < 7 {
                        values.push(Typed::value(
                            ScalarValue::Float64(Some(0.0)),
                            PgType::FLOAT8,
                        ));
                    }
                }
                datetime_make::make(
                    name,
                    values.into_iter().map(|value| value.expr).collect(),
                    &zone,
                )
                .ok_or_else(|| undefined(name, &args, at))?
            }
            "justify_days" | "justify_hours" | "justify_interval" => {
                datetime_make::justify(name, args[0].expr.clone())
            }
            "isfinite" => datetime_make::is_finite(args[0].expr.clone()),
            "to_timestamp" if args.len() == 1 => datetime_make::from_epoch(args[0].expr.clone()),
            "to_char" | "to_date" | "to_timestamp" => {
                super::to_char::build(name, &args, result, &zone)
                    .ok_or_else(|| undefined(name, &args, at))?
            }
            "version" => Expr::Literal(ScalarValue::Utf8(Some(self.version())), None),
            "current_database" => Expr::Literal(ScalarValue::Utf8(Some(self.env.database())), None),
            "current_schema" => {
                Expr::Literal(ScalarValue::Utf8(Some(self.path.branch.clone())), None)
            }
            "current_user" | "session_user" => {
                Expr::Literal(ScalarValue::Utf8(Some(self.env.user())), None)
            }
            "current_schemas" => catalog_functions::schemas(&self.path, args[0].expr.clone()),
            "pg_typeof" => {
                let oid = args[0].ty.oid;
                return Ok(Typed::value(
                    ScalarValue::UInt32(Some(oid)),
                    PgType::REGTYPE,
                ));
            }
            "quote_literal" | "quote_nullable" => {
                let value = args[0].clone();
                let text = self.as_text(value)?;
                let quoted = string::call("quote_literal", DataType::Utf8, vec![text]);
                if name == "quote_literal" {
                    quoted
                } else {
                    let null =
                        Typed::value(ScalarValue::Utf8(Some("NULL".to_owned())), PgType::TEXT);
                    return self.coalesce(vec![Typed::new(quoted, PgType::TEXT), null]);
                }
            }
            "array_to_string" => {
                let mut values = exprs();
                let array = self.coerce(args[0].clone(), PgType::TEXT_ARRAY, Context::Explicit)?;
                values[0] = array.expr;
                array::function(name, &returns, values).ok_or_else(|| undefined(name, &args, at))?
            }
            "to_json" | "to_jsonb" | "row_to_json" | "array_to_json" => {
                return self.to_json(args[0].clone(), name == "to_jsonb", at);
            }
            "substring" if args.len() == 2 && args[1].ty.oid == PgType::TEXT.oid => {
                regex::substring_pattern(exprs())
            }
            _ if string::is_implemented(name, args.len()) && !matches!(name, "length")
                || name == "length" =>
            {
                string::call(name, returns, exprs())
            }
            _ if math::is_float_function(name, args.len()) && result.oid == PgType::FLOAT8.oid => {
                math::float(name, exprs())
            }
            _ if name.starts_with("regexp_") => regex::function(name, &returns, exprs())
                .ok_or_else(|| undefined(name, &args, at))?,
            _ if array::is_implemented(name, args.len()) => {
                array::function(name, &returns, exprs())
                    .ok_or_else(|| undefined(name, &args, at))?
            }
            _ if json::is_implemented(name) => {
                json::function(name, &returns, exprs()).ok_or_else(|| undefined(name, &args, at))?
            }
            _ if vector::is_implemented(name) => {
                vector::function(name, exprs()).ok_or_else(|| undefined(name, &args, at))?
            }
            _ if words::is_implemented(name) => return self.word_condition(name, args, at),
            _ if text_search::is_implemented(name) => {
                return self.text_search(name, args, result, at);
            }
            _ => return self.catalog_function(name, args, result, at),
        };
        Ok(Typed::new(expr, result))
    }

    fn extract(&mut self, name: &str, args: &[Typed]) -> Typed {
        let zone = self.text.format.zone.clone();
        let exprs = args.iter().map(|arg| arg.expr.clone()).collect();
        let as_float = name == "date_part";
        let expr = datetime_fields::extract(exprs, args[1].ty, &zone, as_float);
        if as_float {
            return Typed::new(expr, PgType::FLOAT8);
        }
        let scale = match args[0].constant() {
            Some(ScalarValue::Utf8(Some(field))) => datetime_fields::extract_scale(field),
            _ => 6,
        };
        let shown = numeric_of(38, scale);
        Typed::new(
            math::decimal("round", &shown.arrow(), i32::from(scale), expr),
            shown,
        )
    }

    fn round_numeric(&mut self, name: &str, args: Vec<Typed>, at: Option<u32>) -> PgResult<Typed> {
        let value = args
            .first()
            .cloned()
            .ok_or_else(|| undefined(name, &args, at))?;
        let (precision, scale) = numeric_modifier(value.ty.typmod).unwrap_or(UNCONSTRAINED);
        let digits = match args.get(1) {
            None => 0,
            Some(digits) => match known(digits) {
                Some(ScalarValue::Int32(Some(digits))) => digits,
                Some(ScalarValue::Int32(None)) => {
                    return Ok(Typed::value(null(PgType::NUMERIC)?, PgType::NUMERIC));
                }
                // The scale of the result is in its type, so it has to be known.
                _ => {
                    return Err(unsupported(
                        &format!("{name}() to a number of digits that is not constant"),
                        at,
                    ));
                }
            },
        };
        let shown = digits.clamp(0, 37) as i8;
        let whole = i32::from(precision) - i32::from(scale) + 1;
        let ty = numeric_of((whole + i32::from(shown)).clamp(1, 76) as u8, shown);
        Ok(Typed::new(
            math::decimal(name, &ty.arrow(), digits, value.expr),
            ty,
        ))
    }

    fn version(&self) -> String {
        let server = self
            .env
            .session()
            .setting("server_version")
            .unwrap_or_else(|| "16.0".to_owned());
        format!(
            "PostgreSQL {server} (Omnigraph {})",
            env!("CARGO_PKG_VERSION")
        )
    }

    /// The start of the transaction, filled in when the statement runs.
    pub(super) fn transaction_time(&mut self) -> Expr {
        super::hidden("$now")
    }

    pub(super) fn statement_time(&mut self) -> Expr {
        super::hidden("$statement_time")
    }
}
