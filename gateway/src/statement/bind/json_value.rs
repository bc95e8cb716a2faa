//! Values as JSON, and functions whose arguments each keep their own type.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{json, string};

use super::Binder;
use super::coerce::Context;
use super::scope::internal;
use super::typed::{Kind, Typed};
use super::types::category;
use crate::error::PgResult;

impl Binder<'_> {
    /// `concat`, `format`, `json_build_object` and their kind: every argument by its own type.
    pub(super) fn variadic_any(
        &mut self,
        name: &str,
        args: Vec<Typed>,
        at: Option<u32>,
    ) -> PgResult<Typed> {
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
                super::json_text::iso_text(value.expr, value.ty, &self.text.format.zone)
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
        if value.ty == PgType::RECORD_ARRAY {
            let error = super::unsupported("JSON of an array of rows", at);
            return Err(error.hint("json_agg(row) makes an array of objects."));
        }
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
    pub(super) fn row_function(
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
}
