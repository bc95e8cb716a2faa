//! Set-returning functions, as lists that are unrolled.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{array, json, regex};

use super::coerce::positioned;
use super::expr::{Ctx, SetCall};
use super::functions::{indeterminate, undefined};
use super::json_record::RecordFunction;
use super::scope::internal;
use super::typed::{Kind, Typed};
use super::types::type_name;
use super::{Binder, catalog_sets, series, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

impl Binder<'_> {
    /// A set-returning function in a SELECT list: its lists are unrolled below.
    pub(super) fn set_in_expression(
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
            "json_populate_recordset" | "jsonb_populate_recordset" => {
                match RecordFunction::named(name) {
                    Some(function) => self.record_lists(function, args, None, at),
                    None => Err(undefined(name, &args, at)),
                }
            }
            _ if catalog_sets::is_implemented(name) => {
                let (row, declared) = self.choose_function(name, &args, 'f', at)?;
                match self.arguments(&declared, row.result, args)? {
                    Some((args, _)) => self.catalog_set(row.name, args, at),
                    None => Err(undefined(name, &[], at)),
                }
            }
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
                    series::NAME => series::list(exprs, result, &zone),
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
