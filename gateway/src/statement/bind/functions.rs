//! Functions, found by name and argument types. [`Binder::implement`] has what each becomes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, Volatility};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{
    PgFunction, array, json, math, regex, string, text_search, vector, words,
};
use sqlparser::ast;

use super::catalog::{FunctionRow, functions_named};
use super::coerce::{Context, positioned};
use super::expr::Ctx;
use super::json_record::RecordFunction;
use super::resolve::{Choice, choose};
use super::typed::Typed;
use super::types::type_name;
use super::{Binder, aggregates, catalog_functions, known, numeric_functions, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

/// Functions of which this module builds every overload.
const HERE: &[&str] = &[
    "blob_from_uri",
    "is_normalized",
    "normalize",
    "overlaps",
    "scale",
    "to_number",
    "trim_scale",
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
    "get_current_ts_config",
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
    ("char", PgType::CHAR),
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
    ("vector", PgType::VECTOR),
];

/// The schema of the product's own functions, stored queries among them.
pub const FUNCTIONS: &str = "omnigraph";

/// May table functions and stored queries be in this schema? `None`: none was written.
pub fn is_function_schema(schema: Option<&str>) -> bool {
    matches!(schema, None | Some(FUNCTIONS))
}

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
                "length"
                    | "octet_length"
                    | "encode"
                    | "sha224"
                    | "sha256"
                    | "sha384"
                    | "sha512"
                    | "blob_length"
                    | "blob_read"
                    | "blob_uri"
            )
        }
        _ => match row.name {
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
            name if RecordFunction::named(name).is_some() => true,
            name if row.result == PgType::NUMERIC.oid && numeric_functions::is_known(name) => true,
            name => {
                string::is_implemented(name, arity)
                    || math::is_float_function(name, arity) && row.result == PgType::FLOAT8.oid
                    || matches!(name, "gcd" | "lcm") && row.result != PgType::NUMERIC.oid
                    || array::is_implemented(name, arity)
                    || json::is_implemented(name)
                    || vector::is_implemented(name)
                    || words::is_implemented(name)
                    || text_search::is_implemented(name)
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
        if (schema.is_none() || schema.as_deref() == Some("pg_catalog"))
            && let Some(found) = self.special_form(ctx, function, &name, at)?
        {
            return Ok(found);
        }
        if self.env.table_function(schema.as_deref(), &name).is_some() {
            let error = unsupported(&format!("{name}() outside of FROM"), at);
            return Err(error.hint(format!("Use SELECT * FROM {name}(…).")));
        }
        let rows: Vec<&FunctionRow> = functions_named(&name).collect();
        let there = match schema.as_deref() {
            None | Some("pg_catalog" | "information_schema") => true,
            Some(FUNCTIONS) => rows.iter().any(|row| row.is_own()),
            Some(_) => false,
        };
        if !there {
            return Err(undefined(
                &format!("{}.{name}", schema.unwrap_or_default()),
                &[],
                at,
            ));
        }
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
        // The catalogs list the schema of the product's functions under another name.
        let schema = parts.pop().map(|schema| match self.path.schema(&schema) {
            FUNCTIONS => FUNCTIONS.to_owned(),
            _ => schema,
        });
        Ok((schema, name))
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
        self.check_notation(&list.args)?;
        let mut args = Vec::new();
        for arg in &list.args {
            if name == "make_interval"
                && let Some((field, expr)) = named_argument(arg)
            {
                const NAMES: [&str; 7] =
                    ["years", "months", "weeks", "days", "hours", "mins", "secs"];
                let place = NAMES.iter().position(|known| *known == field);
                let place = place.ok_or_else(|| undefined(name, &[], at))?;
                while args.len() <= place {
                    args.push(Typed::value(ScalarValue::Int32(Some(0)), PgType::INT4));
                }
                args[place] = self.expr(ctx, expr)?;
                continue;
            }
            match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => {
                    args.push(self.expr(ctx, expr)?)
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
        if let [value, modifier] | [value, modifier, _] = args.as_slice()
            && let Some((_, ty)) = TYPE_FUNCTIONS.iter().find(|(known, _)| *known == name)
            && (value.is_unknown() || value.ty.oid == ty.oid)
            && modifier.ty.oid == PgType::INT4.oid
        {
            // The modifier of a type is known when a statement is bound.
            let value = value.clone();
            return match known(modifier) {
                Some(ScalarValue::Int32(Some(modifier))) => {
                    self.coerce(value, ty.with_typmod(modifier), Context::Explicit)
                }
                _ => self.coerce(value, *ty, Context::Explicit),
            };
        }
        if name == "pg_typeof"
            && let [one] = args.as_slice()
            && one.is_unknown()
        {
            let oid = ScalarValue::UInt32(Some(PgType::UNKNOWN.oid));
            return Ok(Typed::value(oid, PgType::REGTYPE).at(at));
        }
        if let Some(function) = RecordFunction::named(name) {
            return self.populated_row(function, args, at);
        }
        if let Some(found) = self.row_function(name, &args, at)? {
            return Ok(found);
        }
        if functions_named(name).next().is_none()
            && let Some(found) = self.support_function(name, &args, at)?
        {
            return Ok(found.at(at));
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
        if is_size(name) {
            self.env.ask_for_sizes();
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
}

/// Does the function say how many bytes something takes?
fn is_size(name: &str) -> bool {
    matches!(
        name,
        "pg_relation_size"
            | "pg_table_size"
            | "pg_indexes_size"
            | "pg_total_relation_size"
            | "pg_database_size"
    )
}

/// The name and value of `name => value` or `name := value`.
pub(super) fn named_argument(arg: &ast::FunctionArg) -> Option<(String, &ast::Expr)> {
    match arg {
        ast::FunctionArg::Named {
            name,
            arg: ast::FunctionArgExpr::Expr(expr),
            ..
        }
        | ast::FunctionArg::ExprNamed {
            name: ast::Expr::Identifier(name),
            arg: ast::FunctionArgExpr::Expr(expr),
            ..
        } => Some((fold(name), expr)),
        _ => None,
    }
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

pub(super) fn indeterminate(name: &str, args: &[Typed], at: Option<u32>) -> PgError {
    if args.iter().any(Typed::is_unknown) {
        let error = PgError::new(
            sqlstate::DATATYPE_MISMATCH,
            "could not determine polymorphic type because input has type unknown",
        );
        return positioned(error, at);
    }
    undefined(name, args, at)
}
