//! Aggregates that are functions of the array of all values.

use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::functions_aggregate as df;
use datafusion::logical_expr::{Case, Expr};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{array, array_sort, json};

use super::aggregates::Call;
use super::coerce::Context;
use super::expr::Ctx;
use super::functions::undefined;
use super::json_text::{Joined, join_json};
use super::typed::{Kind, Typed};
use super::types::type_name;
use super::{Binder, unsupported};
use crate::error::PgResult;

impl Binder<'_> {
    /// All values as one list: in the order that the call asks for, else as the rows come.
    pub(super) fn collect(
        &mut self,
        ctx: &mut Ctx,
        value: Expr,
        element: &DataType,
        call: &Call,
        more: Option<Expr>,
    ) -> PgResult<Expr> {
        let function = df::array_agg::array_agg_udaf();
        let mut call = call.clone();
        if call.window.is_some() {
            return self.add(ctx, &function, vec![value], &call, more);
        }
        if !call.distinct {
            if call.order.is_empty() && ctx.levels_out == 0 {
                call.order.clone_from(&ctx.input_order);
            }
            return self.add(ctx, &function, vec![value], &call, more);
        }
        // What is left of duplicates is sorted.
        let options = match call.order.first() {
            None => SortOptions::new(false, false),
            Some(sort) if sort.expr == value => SortOptions::new(!sort.asc, sort.nulls_first),
            Some(_) => return self.add(ctx, &function, vec![value], &call, more),
        };
        call.order.clear();
        let list = self.add(ctx, &function, vec![value], &call, more)?;
        Ok(array_sort::sorted(element, list, options))
    }

    pub(super) fn string_agg(
        &mut self,
        ctx: &mut Ctx,
        value: Typed,
        separator: Expr,
        call: &Call,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let separator = match separator {
            Expr::Literal(ScalarValue::Utf8(None), _) => {
                Expr::Literal(ScalarValue::Utf8(Some(String::new())), None)
            }
            constant @ (Expr::Literal(..) | Expr::Placeholder(_)) => constant,
            _ => {
                return Err(unsupported(
                    "string_agg() with a separator that is not constant",
                    at,
                ));
            }
        };
        let present = Expr::IsNotNull(Box::new(value.expr.clone()));
        let list = self.collect(ctx, value.expr, &DataType::Utf8, call, Some(present))?;
        let text = array::operator(
            "array_to_string",
            &PgType::TEXT.arrow(),
            vec![list, separator],
        );
        Ok(Typed::new(text, PgType::TEXT))
    }

    pub(super) fn json_aggregate(
        &mut self,
        ctx: &mut Ctx,
        name: &str,
        args: Vec<Typed>,
        call: &Call,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let binary_form = name.starts_with("jsonb");
        let ty = if binary_form {
            PgType::JSONB
        } else {
            PgType::JSON
        };
        let mut joined = Joined::Object;
        let pieces = if name.ends_with("object_agg") {
            let [key, value] =
                <[Typed; 2]>::try_from(args).map_err(|args| undefined(name, &args, at))?;
            let (_, key) = self.json_form(key, at)?;
            let (form, value) = self.json_form(value, at)?;
            json::build(
                json::Build::Object {
                    binary: false,
                    compact: false,
                },
                vec![json::Form::Quoted, form],
                vec![key, value],
            )
        } else {
            let [value] =
                <[Typed; 1]>::try_from(args).map_err(|args| undefined(name, &args, at))?;
            let array = value.ty.element().is_some() && !is_vector(value.ty);
            joined = Joined::Array {
                lines: array || matches!(value.kind, Kind::Row(_)),
            };
            let (form, value) = self.json_form(value, at)?;
            // Strings are quoted one by one, so that what is collected is JSON already.
            let quoted = json::build(
                json::Build::Scalar { binary: false },
                vec![form],
                vec![value],
            );
            let null = Typed::value(ScalarValue::Utf8(Some("null".to_owned())), PgType::TEXT);
            Expr::Case(Case {
                expr: None,
                when_then_expr: vec![(
                    Box::new(Expr::IsNull(Box::new(quoted.clone()))),
                    Box::new(null.expr),
                )],
                else_expr: Some(Box::new(quoted)),
            })
        };
        let list = self.collect(ctx, pieces, &DataType::Utf8, call, None)?;
        Ok(Typed::new(join_json(list, joined, binary_form), ty).at(at))
    }

    /// percentile_cont, percentile_disc, mode: functions of the ordered array.
    pub(super) fn ordered_set(
        &mut self,
        ctx: &mut Ctx,
        name: &str,
        mut args: Vec<Typed>,
        call: &Call,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let Some(value) = args.pop() else {
            return Err(undefined(name, &[], at));
        };
        let value = if name == "percentile_cont" {
            self.coerce(value, PgType::FLOAT8, Context::Implicit)?
        } else {
            value
        };
        let element = value.ty;
        if element.array().is_none() {
            return Err(unsupported(
                &format!("{name}() over {}", type_name(element)),
                at,
            ));
        }
        let present = Expr::IsNotNull(Box::new(value.expr.clone()));
        let list = self.add(
            ctx,
            &df::array_agg::array_agg_udaf(),
            vec![value.expr],
            call,
            Some(present),
        )?;
        let fraction = match args.pop() {
            Some(fraction) => {
                self.coerce(fraction, PgType::FLOAT8, Context::Implicit)?
                    .expr
            }
            None if name == "mode" => Expr::Literal(ScalarValue::Float64(Some(0.0)), None),
            None => return Err(undefined(name, &[], at)),
        };
        Ok(Typed::new(
            super::ordered_set::ordered_set(name, list, fraction, element),
            element,
        )
        .at(at))
    }
}

/// The catalogs' vectors are arrays that JSON takes for texts.
fn is_vector(ty: PgType) -> bool {
    matches!(ty, PgType::INT2VECTOR | PgType::OIDVECTOR)
}
