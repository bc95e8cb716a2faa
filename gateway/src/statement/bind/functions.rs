//! Functions: found by name and argument types, and what each becomes in a plan.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Case, Expr, Operator, Volatility};
use omnigraph_catalog::types::{PgType, numeric_modifier};
use omnigraph_udfs::pg::{PgFunction, array, json, math, regex, string};
use sqlparser::ast;

use super::catalog::{FunctionRow, functions_named};
use super::coerce::{Context, positioned};
use super::expr::{Ctx, SetCall, binary};
use super::resolve::{Choice, choose};
use super::scope::internal;
use super::typed::{Kind, Typed};
use super::types::{category, common_type, numeric_of, type_name};
use super::{Binder, aggregates, catalog_functions, datetime, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

/// Functions of which this module builds every overload.
const HERE: &[&str] = &[
    "abs",
    "age",
    "array_to_json",
    "array_to_string",
    "clock_timestamp",
    "concat",
    "concat_ws",
    "current_database",
    "current_schema",
    "current_schemas",
    "current_user",
    "date_bin",
    "date_part",
    "date_trunc",
    "div",
    "extract",
    "format",
    "generate_series",
    "gen_random_uuid",
    "isfinite",
    "json_build_array",
    "json_build_object",
    "json_object_keys",
    "jsonb_build_array",
    "jsonb_build_object",
    "justify_days",
    "justify_hours",
    "justify_interval",
    "make_date",
    "make_interval",
    "make_time",
    "make_timestamp",
    "make_timestamptz",
    "mod",
    "now",
    "num_nonnulls",
    "num_nulls",
    "pg_typeof",
    "pi",
    "power",
    "pow",
    "quote_literal",
    "quote_nullable",
    "random",
    "round",
    "row_to_json",
    "session_user",
    "statement_timestamp",
    "substring",
    "timezone",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_timestamp",
    "transaction_timestamp",
    "trunc",
    "version",
    "width_bucket",
    "factorial",
    "min_scale",
    "ceil",
    "ceiling",
    "floor",
    "sign",
    "json_each",
    "jsonb_each",
    "json_each_text",
    "jsonb_each_text",
];

/// Functions of arguments of any type and number, each taken by its own type.
const EVERY_ARGUMENT: &[&str] = &[
    "format",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
];

/// Types whose names are functions too: `int4('1')`.
const TYPE_FUNCTIONS: &[(&str, PgType)] = &[
    ("bool", PgType::BOOL),
    ("bpchar", PgType::BPCHAR),
    ("date", PgType::DATE),
    ("float4", PgType::FLOAT4),
    ("float8", PgType::FLOAT8),
    ("int2", PgType::INT2),
    ("int4", PgType::INT4),
    ("int8", PgType::INT8),
    ("interval", PgType::INTERVAL),
    ("name", PgType::NAME),
    ("numeric", PgType::NUMERIC),
    ("oid", PgType::OID),
    ("regclass", PgType::REGCLASS),
    ("regtype", PgType::REGTYPE),
    ("text", PgType::TEXT),
    ("time", PgType::TIME),
    ("timestamp", PgType::TIMESTAMP),
    ("timestamptz", PgType::TIMESTAMPTZ),
    ("varchar", PgType::VARCHAR),
];

/// Does the function run here?
pub(super) fn is_implemented(row: &FunctionRow) -> bool {
    let arity = row.args.len();
    match row.kind {
        'a' => aggregates::is_implemented(row),
        'w' => true,
        _ if row.args.iter().any(|arg| matches!(arg, 1033 | 3220 | 27)) => false,
        // bytea has lengths, encodings and digests; what works on its characters does not.
        _ if row.args.first() == Some(&PgType::BYTEA.oid) => {
            matches!(
                row.name,
                "length" | "octet_length" | "encode" | "sha224" | "sha256" | "sha384" | "sha512"
            )
        }
        _ => match row.name {
            "log" if arity == 2 => false,
            "width_bucket" => row.args == [701, 701, 701, 23],
            "to_timestamp" => true,
            "generate_series" => !row.args.contains(&PgType::NUMERIC.oid),
            "regexp_replace"
            | "regexp_count"
            | "regexp_like"
            | "regexp_substr"
            | "regexp_instr"
            | "regexp_match"
            | "regexp_matches"
            | "regexp_split_to_array"
            | "regexp_split_to_table" => {
                regex::function(row.name, &DataType::Null, vec![Expr::default(); arity]).is_some()
            }
            "bit_length" => row.args == [25],
            _ if HERE.contains(&row.name) => true,
            name => {
                string::is_implemented(name, arity)
                    || math::is_float_function(name, arity) && row.result == PgType::FLOAT8.oid
                    || matches!(name, "gcd" | "lcm") && row.result != PgType::NUMERIC.oid
                    || array::is_implemented(name, arity)
                    || json::is_implemented(name)
                    || catalog_functions::is_implemented(name, arity)
            }
        },
    }
}

impl Binder<'_> {
    /// A call in the syntax tree: special forms, aggregates, windows, sets, plain functions.
    pub(super) fn function(
        &mut self,
        ctx: &mut Ctx,
        function: &ast::Function,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let (schema, name) = self.function_name(&function.name, at)?;
        if schema.is_none() || schema.as_deref() == Some("pg_catalog") {
            if let Some(found) = self.special_form(ctx, function, &name, at)? {
                return Ok(found);
            }
        }
        if self.env.table_function(schema.as_deref(), &name).is_some() {
            let error = unsupported(&format!("{name}() outside of FROM"), at);
            return Err(error.hint(format!("Use SELECT * FROM {name}(…).")));
        }
        if !matches!(
            schema.as_deref(),
            None | Some("pg_catalog" | "information_schema")
        ) {
            return Err(undefined(
                &format!("{}.{name}", schema.unwrap_or_default()),
                &[],
                at,
            ));
        }
        let rows: Vec<&FunctionRow> = functions_named(&name).collect();
        let windowed = function.over.is_some();
        if rows.iter().any(|row| row.kind == 'a')
            || rows.iter().any(|row| row.kind == 'w')
            || name == "string_agg"
        {
            return self.aggregate_or_window(ctx, function, &name, at);
        }
        if windowed {
            let error = PgError::new(
                sqlstate::WRONG_OBJECT_TYPE,
                format!(
                    "OVER specified, but {name} is not a window function nor an aggregate function"
                ),
            );
            return Err(positioned(error, at));
        }
        let args = self.plain_arguments(ctx, function, &name, at)?;
        if rows.iter().any(|row| row.set) || name == "_pg_expandarray" {
            return self.set_in_expression(ctx, &name, args, at);
        }
        self.named_function(&name, args, at)
    }

    pub(super) fn function_name(
        &self,
        name: &ast::ObjectName,
        at: Option<u32>,
    ) -> PgResult<(Option<String>, String)> {
        let mut parts: Vec<String> = name
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(fold)
            .collect();
        let name = parts
            .pop()
            .ok_or_else(|| unsupported("this function name", at))?;
        Ok((parts.pop(), name))
    }

    /// Positional arguments; named ones are put in their places where the names are known.
    pub(super) fn plain_arguments(
        &mut self,
        ctx: &mut Ctx,
        function: &ast::Function,
        name: &str,
        at: Option<u32>,
    ) -> PgResult<Vec<Typed>> {
        let ast::FunctionArguments::List(list) = &function.args else {
            return Ok(Vec::new());
        };
        let mut args = Vec::new();
        for arg in &list.args {
            match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => {
                    args.push(self.expr(ctx, expr)?)
                }
                ast::FunctionArg::Named {
                    name: arg_name,
                    arg: ast::FunctionArgExpr::Expr(expr),
                    ..
                } if name == "make_interval" => {
                    const NAMES: [&str; 7] =
                        ["years", "months", "weeks", "days", "hours", "mins", "secs"];
                    let place = NAMES.iter().position(|known| *known == fold(arg_name));
                    let place = place.ok_or_else(|| undefined(name, &[], at))?;
                    while args.len() <= place {
                        args.push(Typed::value(ScalarValue::Int32(Some(0)), PgType::INT4));
                    }
                    args[place] = self.expr(ctx, expr)?;
                }
                ast::FunctionArg::ExprNamed {
                    name: ast::Expr::Identifier(arg_name),
                    arg: ast::FunctionArgExpr::Expr(expr),
                    ..
                } if name == "make_interval" => {
                    const NAMES: [&str; 7] =
                        ["years", "months", "weeks", "days", "hours", "mins", "secs"];
                    let place = NAMES.iter().position(|known| *known == fold(arg_name));
                    let place = place.ok_or_else(|| undefined(name, &[], at))?;
                    while args.len() <= place {
                        args.push(Typed::value(ScalarValue::Int32(Some(0)), PgType::INT4));
                    }
                    args[place] = self.expr(ctx, expr)?;
                }
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::QualifiedWildcard(table)) => {
                    let table = table
                        .0
                        .last()
                        .and_then(|part| part.as_ident())
                        .map(fold)
                        .unwrap_or_default();
                    let scope = std::rc::Rc::clone(&ctx.scope);
                    let fields = scope.row(&table, &mut self.fresh).ok_or_else(|| {
                        positioned(
                            PgError::new(
                                sqlstate::UNDEFINED_TABLE,
                                format!("missing FROM-clause entry for table \"{table}\""),
                            ),
                            at,
                        )
                    })?;
                    args.push(self.row(fields, at)?);
                }
                _ => return Err(undefined(&format!("{name}(*)"), &[], at)),
            }
        }
        Ok(args)
    }

    /// What looks like a function and is not one.
    fn special_form(
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
        let now = |binder: &mut Self, ty: PgType| -> PgResult<Typed> {
            let now = Typed::new(binder.transaction_time(), PgType::TIMESTAMPTZ);
            if ty.oid == PgType::TIMESTAMPTZ.oid {
                Ok(now)
            } else {
                binder.coerce(now, ty, Context::Explicit)
            }
        };
        let text = |text: String, ty: PgType| Typed::value(ScalarValue::Utf8(Some(text)), ty);
        Ok(Some(match name {
            "current_user" | "user" | "current_role" | "session_user" if bare => {
                text(self.env.user(), PgType::NAME)
            }
            "current_catalog" if bare => text(self.env.database(), PgType::NAME),
            "current_schema" if bare => text(self.path.branch.clone(), PgType::NAME),
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
                let left = self.settle(left)?;
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
            "grouping" => {
                let args = self.plain_arguments(ctx, function, name, at)?;
                return self.grouping(ctx, &args, at).map(Some);
            }
            _ => return Ok(None),
        }))
    }

    fn coalesce(&mut self, args: Vec<Typed>) -> PgResult<Typed> {
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

    /// A function that is neither aggregate nor window nor set-returning, with its arguments bound.
    pub(super) fn named_function(
        &mut self,
        name: &str,
        mut args: Vec<Typed>,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        // Drivers pass the parameters of a call that are only given back as void.
        args.retain(|arg| {
            arg.ty.oid != PgType::VOID.oid || !matches!(arg.expr, Expr::Placeholder(_))
        });
        if let [one] = args.as_slice()
            && let Some((_, ty)) = TYPE_FUNCTIONS.iter().find(|(known, _)| *known == name)
            && (one.is_unknown()
                || super::coerce::can_coerce(one.ty.oid, ty.oid, Context::Explicit))
        {
            let value = args
                .into_iter()
                .next()
                .ok_or_else(|| undefined(name, &[], at))?;
            return self.coerce(value, *ty, Context::Explicit);
        }
        if name == "pg_typeof"
            && let [one] = args.as_slice()
            && one.is_unknown()
        {
            let oid = ScalarValue::UInt32(Some(PgType::UNKNOWN.oid));
            return Ok(Typed::value(oid, PgType::REGTYPE).at(at));
        }
        if let Some(found) = self.row_function(name, &args, at)? {
            return Ok(found);
        }
        let (row, declared) = self.choose_function(name, &args, 'f', at)?;
        let variadic_any = row.variadic == PgType::ANY.oid || EVERY_ARGUMENT.contains(&name);
        if variadic_any {
            return self.variadic_any(name, args, at);
        }
        let kept: Vec<Typed> = args.clone();
        let Some((mut args, result)) = self.arguments(&declared, row.result, args)? else {
            return Err(indeterminate(name, &kept, at));
        };
        // A variadic's own arguments become the array that the function takes.
        if row.variadic != 0 && declared.len() >= row.args.len() && declared != row.args {
            let extra = args.split_off(row.args.len() - 1);
            args.push(self.array_of(extra, PgType::new(row.variadic), Context::Implicit, at)?);
        }
        if row.volatility == 'v'
            && !matches!(name, "random" | "clock_timestamp" | "gen_random_uuid")
        {
            self.volatile = true;
        }
        self.implement(row, args, result, at)
            .map(|typed| typed.at(at))
    }

    /// Picks the overload; variadics and defaults are spread to the number of arguments.
    pub(super) fn choose_function(
        &self,
        name: &str,
        args: &[Typed],
        kind: char,
        at: Option<u32>,
    ) -> PgResult<(&'static FunctionRow, Vec<u32>)> {
        let mut candidates: Vec<(&'static FunctionRow, Vec<u32>)> = Vec::new();
        for row in functions_named(name).filter(|row| row.kind == kind) {
            let least = row.args.len() - usize::from(row.defaults);
            if row.variadic == 0 {
                if (least..=row.args.len()).contains(&args.len()) {
                    candidates.push((row, row.args[..args.len()].to_vec()));
                }
            } else if row.variadic == PgType::ANY.oid {
                // At least one argument is variadic; that none is given is another function.
                if args.len() < row.args.len() {
                    continue;
                }
                let mut declared = row.args[..row.args.len() - 1].to_vec();
                declared.resize(args.len(), PgType::ANY.oid);
                candidates.push((row, declared));
            } else {
                if args.len() >= row.args.len() {
                    let mut declared = row.args[..row.args.len() - 1].to_vec();
                    declared.resize(args.len(), row.variadic);
                    candidates.push((row, declared));
                }
                if args.len() == row.args.len() {
                    candidates.push((row, row.args.to_vec()));
                }
            }
        }
        let declared: Vec<Vec<u32>> = candidates
            .iter()
            .map(|(_, declared)| declared.clone())
            .collect();
        let actual: Vec<u32> = args.iter().map(|arg| arg.ty.oid).collect();
        match choose(&declared, &actual) {
            Choice::One(found) => Ok(candidates.swap_remove(found)),
            Choice::None => Err(undefined(name, args, at)),
            Choice::Ambiguous => {
                let error = PgError::new(
                    sqlstate::AMBIGUOUS_FUNCTION,
                    format!("function {} is not unique", signature(name, args)),
                )
                .hint("Could not choose a best candidate function. You might need to add explicit type casts.");
                Err(positioned(error, at))
            }
        }
    }

    fn implement(
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
                let value = first.ok_or_else(|| undefined(name, &args, at))?;
                let value = self.coerce(value, PgType::FLOAT8, Context::Implicit)?;
                let value = Typed::new(math::float(name, vec![value.expr]), PgType::FLOAT8);
                return self.coerce(value, PgType::NUMERIC, Context::Explicit);
            }
            "random" => math::random(),
            "pi" => Expr::Literal(ScalarValue::Float64(Some(std::f64::consts::PI)), None),
            "factorial" => {
                let ty = numeric_of(76, 0);
                return Ok(Typed::new(math::factorial(&ty.arrow(), exprs()), ty));
            }
            "min_scale" => math::min_scale(exprs()),
            "gcd" | "lcm" => {
                math::integers(name, &returns, exprs()).ok_or_else(|| undefined(name, &args, at))?
            }
            "width_bucket" => math::width_bucket(exprs()),
            "now" | "transaction_timestamp" => self.transaction_time(),
            "statement_timestamp" => self.statement_time(),
            "clock_timestamp" => catalog_functions::clock(),
            "gen_random_uuid" => catalog_functions::random_uuid(),
            "date_bin" => datetime::bin(exprs(), result),
            "date_trunc" => datetime::truncate(exprs(), result, &zone),
            "date_part" | "extract" => return Ok(self.extract(name, &args)),
            "age" => {
                let mut values = args;
                if values.len() == 1 {
                    let today = Typed::new(self.transaction_time(), PgType::TIMESTAMPTZ);
                    let today = self.coerce(today, PgType::DATE, Context::Explicit)?;
                    let ty = values[0].ty;
                    values.insert(0, self.coerce(today, ty, Context::Explicit)?);
                }
                datetime::age(
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
                    datetime::at_zone(args[0].expr.clone(), args[1].expr.clone(), args[1].ty);
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
                datetime::make(
                    name,
                    values.into_iter().map(|value| value.expr).collect(),
                    &zone,
                )
                .ok_or_else(|| undefined(name, &args, at))?
            }
            "justify_days" | "justify_hours" | "justify_interval" => {
                datetime::justify(name, args[0].expr.clone())
            }
            "isfinite" => datetime::is_finite(args[0].expr.clone()),
            "to_timestamp" if args.len() == 1 => datetime::from_epoch(args[0].expr.clone()),
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
            _ => return self.catalog_function(name, args, result, at),
        };
        Ok(Typed::new(expr, result))
    }

    fn extract(&mut self, name: &str, args: &[Typed]) -> Typed {
        let zone = self.text.format.zone.clone();
        let exprs = args.iter().map(|arg| arg.expr.clone()).collect();
        let as_float = name == "date_part";
        let expr = datetime::extract(exprs, args[1].ty, &zone, as_float);
        if as_float {
            return Typed::new(expr, PgType::FLOAT8);
        }
        let scale = match args[0].constant() {
            Some(ScalarValue::Utf8(Some(field))) => datetime::extract_scale(field),
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
        let (precision, scale) = numeric_modifier(value.ty.typmod).unwrap_or((38, 16));
        let digits = match args.get(1) {
            None => 0,
            Some(digits) => match digits.constant() {
                Some(ScalarValue::Int32(Some(digits))) => *digits,
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

    /// `concat`, `format`, `json_build_object` and their kind: every argument by its own type.
    fn variadic_any(&mut self, name: &str, args: Vec<Typed>, at: Option<u32>) -> PgResult<Typed> {
        match name {
            "concat" | "concat_ws" | "format" => {
                let mut texts = Vec::new();
                for arg in args {
                    let arg = self.settle(arg)?;
                    // These print values as the wire does: t and f, not true and false.
                    texts.push(if super::types::is_string(arg.ty.oid) {
                        self.as_text(arg)?
                    } else {
                        self.cast_to_text(arg.expr, arg.ty)
                    });
                }
                Ok(Typed::new(
                    match name {
                        "format" => string::format(texts),
                        _ => string::concat(texts, name == "concat_ws"),
                    },
                    PgType::TEXT,
                ))
            }
            "num_nulls" | "num_nonnulls" => {
                let mut total = Typed::value(ScalarValue::Int32(Some(0)), PgType::INT4);
                for arg in args {
                    let arg = Box::new(self.settle(arg)?.expr);
                    let test = if name == "num_nulls" {
                        Expr::IsNull(arg)
                    } else {
                        Expr::IsNotNull(arg)
                    };
                    let one = self.coerce(Typed::bool(test), PgType::INT4, Context::Explicit)?;
                    total = self.operator("+", total, one, at)?;
                }
                Ok(total)
            }
            _ => {
                let binary = name.starts_with("jsonb");
                let build = if name.ends_with("object") {
                    json::Build::Object {
                        binary,
                        compact: false,
                    }
                } else {
                    json::Build::Array { binary }
                };
                let mut forms = Vec::new();
                let mut texts = Vec::new();
                for (i, arg) in args.into_iter().enumerate() {
                    let key = name.ends_with("object") && i % 2 == 0;
                    let (form, text) = self.json_form(arg, at)?;
                    forms.push(if key { json::Form::Quoted } else { form });
                    texts.push(text);
                }
                Ok(Typed::new(
                    json::build(build, forms, texts),
                    if binary { PgType::JSONB } else { PgType::JSON },
                ))
            }
        }
    }

    /// A value as JSON text, and whether that text still has to be quoted.
    pub(super) fn json_form(
        &mut self,
        value: Typed,
        at: Option<u32>,
    ) -> PgResult<(json::Form, Expr)> {
        let value = self.settle(value)?;
        if let Kind::Row(_) = &value.kind {
            return Ok((json::Form::Plain, self.to_json(value, false, at)?.expr));
        }
        if value.ty.element().is_some() && !matches!(value.ty.oid, 22 | 30) {
            return Ok((json::Form::Plain, self.to_json(value, false, at)?.expr));
        }
        let form = match value.ty.oid {
            114 | 3802 | 16 => json::Form::Plain,
            _ if category(value.ty.oid) == 'N'
                && !matches!(value.ty.oid, 24 | 2202..=2206 | 4089 | 4096) =>
            {
                json::Form::Plain
            }
            _ => json::Form::Quoted,
        };
        let text = match value.ty.oid {
            1114 | 1184 | 1082 => {
                super::to_char::iso_text(value.expr, value.ty, &self.text.format.zone)
            }
            _ => self.as_text(value)?,
        };
        Ok((form, text))
    }

    pub(super) fn to_json(
        &mut self,
        value: Typed,
        binary: bool,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let ty = if binary { PgType::JSONB } else { PgType::JSON };
        if let Kind::Row(fields) = value.kind {
            let mut forms = Vec::new();
            let mut texts = Vec::new();
            for (name, field) in fields {
                forms.push(json::Form::Quoted);
                texts.push(Expr::Literal(ScalarValue::Utf8(Some(name)), None));
                let (form, text) = self.json_form(field, at)?;
                forms.push(form);
                texts.push(text);
            }
            return Ok(Typed::new(
                json::build(
                    json::Build::Object {
                        binary,
                        compact: true,
                    },
                    forms,
                    texts,
                ),
                ty,
            ));
        }
        let value = self.settle(value)?;
        if let Some(element) = value
            .ty
            .element()
            .filter(|_| !matches!(value.ty.oid, 22 | 30))
        {
            let probe = Typed::new(internal(super::text_io::ELEMENT), element);
            let (form, body) = self.json_form(probe, at)?;
            let texts = super::text_io::map_elements(value.expr, element, PgType::TEXT, body);
            return Ok(Typed::new(json::from_array(texts, form, binary), ty));
        }
        let (form, text) = self.json_form(value, at)?;
        Ok(Typed::new(
            json::build(json::Build::Scalar { binary }, vec![form], vec![text]),
            ty,
        ))
    }

    /// Functions over rows, which are no values here.
    fn row_function(
        &mut self,
        name: &str,
        args: &[Typed],
        at: Option<u32>,
    ) -> PgResult<Option<Typed>> {
        let Some(Kind::Row(_)) = args.first().map(|arg| &arg.kind) else {
            return Ok(None);
        };
        Ok(match name {
            "row_to_json" | "to_json" | "to_jsonb" => {
                Some(self.to_json(args[0].clone(), name == "to_jsonb", at)?)
            }
            _ => None,
        })
    }

    /// A set-returning function in a SELECT list: its lists are unrolled below.
    fn set_in_expression(
        &mut self,
        ctx: &mut Ctx,
        name: &str,
        args: Vec<Typed>,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        if !ctx.allow_sets {
            let error = PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!("set-returning functions are not allowed in {}", ctx.clause),
            );
            return Err(positioned(error, at));
        }
        let columns = self.set_function(name, args, at)?;
        let mut call = SetCall {
            columns: Vec::new(),
        };
        let mut fields = Vec::new();
        for (column, list) in columns {
            let unrolled = self.name("s");
            let element = element_type(&list)?;
            fields.push((column, Typed::new(internal(&unrolled), element)));
            call.columns.push((unrolled, list.expr));
        }
        ctx.sets.push(call);
        if fields.len() == 1 {
            return fields
                .pop()
                .map(|(_, typed)| typed.at(at))
                .ok_or_else(|| undefined(name, &[], at));
        }
        self.row(fields, at)
    }

    /// A set-returning function as lists, one for each column.
    pub(super) fn set_function(
        &mut self,
        name: &str,
        args: Vec<Typed>,
        at: Option<u32>,
    ) -> PgResult<Vec<(String, Typed)>> {
        let zone = self.text.format.zone.clone();
        let one = |typed: Typed| Ok(vec![(name.to_owned(), typed)]);
        match name {
            "unnest" => {
                let [array] =
                    <[Typed; 1]>::try_from(args).map_err(|args| undefined(name, &args, at))?;
                if array.ty.element().is_none() {
                    return Err(undefined(name, &[array], at));
                }
                one(array)
            }
            "_pg_expandarray" => {
                let [array] = <[Typed; 1]>::try_from(args)
                    .map_err(|args| undefined("information_schema._pg_expandarray", &args, at))?;
                if array.ty.element().is_none() {
                    return Err(undefined(
                        "information_schema._pg_expandarray",
                        &[array],
                        at,
                    ));
                }
                let numbers = array::operator(
                    "generate_subscripts",
                    &PgType::INT4_ARRAY.arrow(),
                    vec![
                        array.expr.clone(),
                        Expr::Literal(ScalarValue::Int32(Some(1)), None),
                    ],
                );
                Ok(vec![
                    ("x".to_owned(), array),
                    ("n".to_owned(), Typed::new(numbers, PgType::INT4_ARRAY)),
                ])
            }
            "json_each" | "jsonb_each" | "json_each_text" | "jsonb_each_text" => {
                let (row, declared) = self.choose_function(name, &args, 'f', at)?;
                let Some((args, _)) = self.arguments(&declared, row.result, args)? else {
                    return Err(undefined(name, &[], at));
                };
                let list = PgType::TEXT_ARRAY.arrow();
                let exprs: Vec<Expr> = args.into_iter().map(|arg| arg.expr).collect();
                let text = name.ends_with("text");
                let value = if text {
                    "json_each_text_value"
                } else {
                    "json_each_value"
                };
                let ty = match (text, name.starts_with("jsonb")) {
                    (true, _) => PgType::TEXT_ARRAY,
                    (false, true) => PgType::JSONB_ARRAY,
                    (false, false) => PgType::JSON_ARRAY,
                };
                Ok(vec![
                    (
                        "key".to_owned(),
                        Typed::new(
                            json::operator("json_object_keys", &list, exprs.clone()),
                            PgType::TEXT_ARRAY,
                        ),
                    ),
                    (
                        "value".to_owned(),
                        Typed::new(json::operator(value, &list, exprs), ty),
                    ),
                ])
            }
            "pg_get_keywords"
            | "pg_options_to_table"
            | "aclexplode"
            | "pg_show_all_settings"
            | "pg_listening_channels"
            | "pg_partition_ancestors"
            | "pg_tablespace_databases" => self.catalog_set(name, args, at),
            _ => {
                let (row, declared) = self.choose_function(name, &args, 'f', at)?;
                let kept = args.clone();
                let Some((args, result)) = self.arguments(&declared, row.result, args)? else {
                    return Err(indeterminate(name, &kept, at));
                };
                let element = if name == "regexp_matches" {
                    PgType::TEXT
                } else {
                    result
                };
                let ty = element
                    .array()
                    .ok_or_else(|| unsupported(&format!("a set of {}", type_name(result)), at))?;
                let exprs: Vec<Expr> = args.iter().map(|arg| arg.expr.clone()).collect();
                let expr = match name {
                    "generate_series" if matches!(result.oid, 1114 | 1184) => {
                        datetime::series(exprs, result, &zone)
                    }
                    "generate_series" => array::operator(name, &ty.arrow(), exprs),
                    // The catalogs' vectors count from 0.
                    "generate_subscripts" if matches!(kept[0].ty.oid, 22 | 30) => {
                        array::vector_subscripts(vec![exprs[0].clone()])
                    }
                    _ if name.starts_with("jsonb_path_query") => {
                        json::operator(name, &ty.arrow(), exprs)
                    }
                    "generate_subscripts" | "string_to_table" => {
                        array::operator(name, &ty.arrow(), exprs)
                    }
                    "regexp_split_to_table" => regex::function(name, &ty.arrow(), exprs)
                        .ok_or_else(|| undefined(name, &args, at))?,
                    "regexp_matches" => {
                        let inner = Arc::new(arrow::datatypes::Field::new(
                            "item",
                            PgType::TEXT_ARRAY.arrow(),
                            true,
                        ));
                        let expr = regex::function(name, &DataType::List(inner), exprs)
                            .ok_or_else(|| undefined(name, &args, at))?;
                        // A set of text[]: the only set of arrays there is.
                        return Ok(vec![(
                            name.to_owned(),
                            Typed {
                                kind: Kind::Row(Vec::new()),
                                ..Typed::new(expr, PgType::TEXT_ARRAY)
                            },
                        )]);
                    }
                    _ if json::is_implemented(name) => json::operator(name, &ty.arrow(), exprs),
                    _ => return Err(unsupported(&format!("{name}()"), at)),
                };
                one(Typed::new(expr, ty))
            }
        }
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

/// The element type of a list that [`Binder::set_function`] made.
pub(super) fn element_type(list: &Typed) -> PgResult<PgType> {
    // A set of arrays carries the array type itself.
    if let Kind::Row(_) = list.kind {
        return Ok(list.ty);
    }
    list.ty
        .element()
        .map(|element| PgType::new(element.oid))
        .ok_or_else(|| {
            PgError::new(
                sqlstate::INTERNAL_ERROR,
                "a set-returning function without a list",
            )
        })
}

/// A row's text from its fields' texts: `(1,"a b",)`.
pub(super) fn row_text(fields: Vec<Expr>) -> Expr {
    let width = fields.len();
    PgFunction::new(
        "row_text",
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(move |arrays: &[ArrayRef], count: usize| {
            let mut out = StringBuilder::new();
            for row in 0..count {
                let mut text = String::from("(");
                for (at, array) in arrays.iter().enumerate() {
                    if at > 0 {
                        text.push(',');
                    }
                    let column = array.as_string::<i32>();
                    if column.is_null(row) {
                        continue;
                    }
                    let value = column.value(row);
                    let quoted = value.is_empty()
                        || value.contains(['(', ')', ',', '"', '\\'])
                        || value.contains(char::is_whitespace);
                    if quoted {
                        text.push('"');
                        text.push_str(&value.replace('\\', "\\\\").replace('"', "\"\""));
                        text.push('"');
                    } else {
                        text.push_str(value);
                    }
                }
                text.push(')');
                out.append_value(text);
            }
            Ok(Arc::new(out.finish()) as ArrayRef)
        }),
    )
    .identity(width.to_string())
    .lenient()
    .over(fields)
}

pub(super) fn signature(name: &str, args: &[Typed]) -> String {
    let types: Vec<String> = args.iter().map(|arg| type_name(arg.ty)).collect();
    format!("{name}({})", types.join(", "))
}

pub(super) fn undefined(name: &str, args: &[Typed], at: Option<u32>) -> PgError {
    let error = PgError::new(
        sqlstate::UNDEFINED_FUNCTION,
        format!("function {} does not exist", signature(name, args)),
    )
    .hint("No function matches the given name and argument types. You might need to add explicit type casts.");
    positioned(error, at)
}

fn indeterminate(name: &str, args: &[Typed], at: Option<u32>) -> PgError {
    if args.iter().any(Typed::is_unknown) {
        let error = PgError::new(
            sqlstate::DATATYPE_MISMATCH,
            "could not determine polymorphic type because input has type unknown",
        );
        return positioned(error, at);
    }
    undefined(name, args, at)
}
