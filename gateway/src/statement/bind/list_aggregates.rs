//! Aggregates that are functions of the array of all values.

use datafusion::common::ScalarValue;
use datafusion::functions_aggregate as df;
use datafusion::logical_expr::{Case, Expr};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{array, json};

use super::aggregates::Call;
use super::coerce::Context;
use super::expr::Ctx;
use super::functions::undefined;
use super::typed::Typed;
use super::types::type_name;
use super::{Binder, unsupported};
use crate::error::PgResult;

impl Binder<'_> {
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
        let list = self.add(
            ctx,
            &df::array_agg::array_agg_udaf(),
            vec![value.expr],
            call,
            Some(present),
        );
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
        let list = self.add(
            ctx,
            &df::array_agg::array_agg_udaf(),
            vec![pieces],
            call,
            None,
        );
        Ok(Typed::new(
            super::to_char::join_json(list, name.ends_with("object_agg"), binary_form),
            ty,
        )
        .at(at))
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
        );
        let fraction = match args.pop() {
            Some(fraction) => {
                self.coerce(fraction, PgType::FLOAT8, Context::Implicit)?
                    .expr
            }
            None if name == "mode" => Expr::Literal(ScalarValue::Float64(Some(0.0)), None),
            None => return Err(undefined(name, &[], at)),
        };
        Ok(Typed::new(
            super::to_char::ordered_set(name, list, fraction, element),
            element,
        )
        .at(at))
    }
}
