//! Casts through text, under the settings of the session, and the names that reg* types print.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, PrimitiveArray, StringArray, StringBuilder,
};
use arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Field, Float32Type, Float64Type, Schema,
};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::{Expr, Volatility};
use datafusion::physical_expr::create_physical_expr;
use omnigraph_catalog::lookup::{CatalogLookup, SearchPath, parse_qualified_name};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{PgFunction, arithmetic, call, call_with};

use super::Binder;
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::text::numeric::Numeric;
use crate::text::write::Formatter;
use crate::text::{Input, ObjectNames, TextFormat, read};

/// The name under which [`map_elements`] shows an array's elements to its body.
pub(super) const ELEMENT: &str = "element";

/// Text to values and back, as one session does it.
#[derive(Clone)]
pub(super) struct TextIo {
    pub(super) format: Arc<TextFormat>,
    pub(super) names: Arc<dyn ObjectNames>,
    /// The settings as a word, so that calls under different settings differ.
    pub(super) identity: String,
}

impl TextIo {
    pub(super) fn new(
        format: TextFormat,
        catalog: Arc<dyn CatalogLookup>,
        path: SearchPath,
    ) -> Self {
        TextIo {
            identity: format!("{format:?}{:?}", path.schemas),
            format: Arc::new(format),
            names: Arc::new(CatalogNames { catalog, path }),
        }
    }

    pub(super) fn parse(&self, ty: PgType, text: &str) -> PgResult<ScalarValue> {
        self.parse_at(ty, text, 0)
    }

    fn parse_at(&self, ty: PgType, text: &str, now: i64) -> PgResult<ScalarValue> {
        read::parse(
            ty,
            text,
            &Input {
                format: &self.format,
                names: self.names.as_ref(),
                now,
            },
        )
    }

    pub(super) fn formatter(&self) -> Formatter {
        Formatter::new(Arc::clone(&self.format), Arc::clone(&self.names))
    }
}

/// An error inside a function body: it crosses DataFusion as what it is.
pub(super) fn carried(error: PgError) -> omnigraph_udfs::Error {
    omnigraph_udfs::Error::Value {
        code: error.code,
        message: error.message,
        hint: error.hint,
    }
}

/// The names behind reg* values, by the catalog and path of a statement.
pub struct CatalogNames {
    pub catalog: Arc<dyn CatalogLookup>,
    pub path: SearchPath,
}

impl ObjectNames for CatalogNames {
    fn name(&self, ty: PgType, oid: u32) -> Option<String> {
        if oid == 0 {
            return Some("-".to_owned());
        }
        Some(match ty.oid {
            2205 => self.catalog.class_text(oid, &self.path),
            2206 => self.catalog.format_type(oid, None, &self.path),
            24 => self.catalog.proc_text(oid, &self.path),
            2202 => self.catalog.procedure_text(oid, &self.path),
            4089 => omnigraph_catalog::lookup::quote_identifier(&self.catalog.namespace_name(oid)?),
            4096 => omnigraph_catalog::lookup::quote_identifier(&self.catalog.role_name(oid)?),
            2203 | 2204 => self.catalog.operator_by_oid(oid)?.name,
            _ => return None,
        })
    }

    fn oid(&self, ty: PgType, name: &str) -> PgResult<u32> {
        let missing = |code, what: String| Err(PgError::new(code, what));
        let parts = || {
            parse_qualified_name(name)
                .ok_or_else(|| PgError::new(sqlstate::INVALID_NAME, "invalid name syntax"))
        };
        match ty.oid {
            2205 => {
                let parts = parts()?;
                if let [schema, _] = parts.as_slice()
                    && self.catalog.namespace(self.path.schema(schema)).is_none()
                {
                    return missing(
                        sqlstate::INVALID_SCHEMA_NAME,
                        format!("schema \"{schema}\" does not exist"),
                    );
                }
                match self.catalog.resolve_class(&parts, &self.path) {
                    Some(oid) => Ok(oid),
                    None => missing(
                        sqlstate::UNDEFINED_TABLE,
                        format!("relation \"{}\" does not exist", parts.join(".")),
                    ),
                }
            }
            2206 => match self.catalog.parse_type(name, &self.path) {
                Some(ty) => Ok(ty.oid),
                None => missing(
                    sqlstate::UNDEFINED_OBJECT,
                    format!("type \"{}\" does not exist", name.trim()),
                ),
            },
            4089 => {
                let parts = parts()?;
                match self.catalog.namespace(&parts.join(".")) {
                    Some(oid) => Ok(oid),
                    None => missing(
                        sqlstate::INVALID_SCHEMA_NAME,
                        format!("schema \"{}\" does not exist", parts.join(".")),
                    ),
                }
            }
            4096 => {
                let parts = parts()?;
                match self.catalog.role(&parts.join(".")) {
                    Some(oid) => Ok(oid),
                    None => missing(
                        sqlstate::UNDEFINED_OBJECT,
                        format!("role \"{}\" does not exist", parts.join(".")),
                    ),
                }
            }
            24 => {
                let found = self.procs(&parts()?);
                match found.as_slice() {
                    [one] => Ok(one.oid),
                    [] => missing(
                        sqlstate::UNDEFINED_FUNCTION,
                        format!("function \"{name}\" does not exist"),
                    ),
                    _ => missing(
                        sqlstate::AMBIGUOUS_FUNCTION,
                        format!("more than one function named \"{name}\""),
                    ),
                }
            }
            2202 => {
                let undefined = || {
                    PgError::new(
                        sqlstate::UNDEFINED_FUNCTION,
                        format!("function \"{name}\" does not exist"),
                    )
                };
                let (base, arguments) = name
                    .trim()
                    .strip_suffix(')')
                    .and_then(|name| name.split_once('('))
                    .ok_or_else(undefined)?;
                let parts = parse_qualified_name(base).ok_or_else(undefined)?;
                let arguments: Option<Vec<u32>> = arguments
                    .split(',')
                    .filter(|argument| !argument.trim().is_empty())
                    .map(|argument| {
                        self.catalog
                            .parse_type(argument.trim(), &self.path)
                            .map(|ty| ty.oid)
                    })
                    .collect();
                let arguments = arguments.ok_or_else(undefined)?;
                self.procs(&parts)
                    .iter()
                    .find(|proc| {
                        proc.arguments
                            .iter()
                            .map(|ty| ty.oid)
                            .eq(arguments.iter().copied())
                    })
                    .map(|proc| proc.oid)
                    .ok_or_else(undefined)
            }
            _ => missing(
                sqlstate::UNDEFINED_OBJECT,
                format!(
                    "{} \"{name}\" does not exist",
                    ty.info().map_or("object", |info| info.sql_name)
                ),
            ),
        }
    }
}

impl CatalogNames {
    fn procs(&self, parts: &[String]) -> Vec<omnigraph_catalog::lookup::ProcRef> {
        match parts {
            [name] => self
                .path
                .schemas
                .iter()
                .flat_map(|schema| self.catalog.procs(schema, name))
                .collect(),
            [schema, name] => self.catalog.procs(self.path.schema(schema), name),
            _ => Vec::new(),
        }
    }
}

impl Binder<'_> {
    pub(super) fn cast_from_text(&mut self, expr: Expr, to: PgType) -> Expr {
        let io = self.text.clone();
        let body = move |texts: &StringArray, now: i64| -> omnigraph_udfs::Result<ArrayRef> {
            let null = read::null(to).map_err(carried)?;
            let values: Vec<ScalarValue> = texts
                .iter()
                .map(|text| match text {
                    None => Ok(null.clone()),
                    Some(text) => io.parse_at(to, text, now),
                })
                .collect::<PgResult<_>>()
                .map_err(carried)?;
            ScalarValue::iter_to_array(values)
                .map_err(|error| carried(crate::sqlstate::from_datafusion(&error)))
        };
        let identity = format!("{to:?}{}", self.text.identity);
        // Dates and times may say `now`.
        if matches!(to.oid, 1082 | 1083 | 1114 | 1184) {
            let now = self.transaction_time();
            return call_with(
                "from_text",
                identity,
                to.arrow(),
                vec![expr, now],
                move |arrays| {
                    let now =
                        arrays[1].as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
                    let now = if now.is_empty() || now.is_null(0) {
                        0
                    } else {
                        now.value(0)
                    };
                    body(arrays[0].as_string(), now)
                },
            );
        }
        call_with(
            "from_text",
            identity,
            to.arrow(),
            vec![expr],
            move |arrays| body(arrays[0].as_string(), 0),
        )
    }

    pub(super) fn cast_to_text(&mut self, expr: Expr, from: PgType) -> Expr {
        if from.arrow() == DataType::Utf8 {
            return expr;
        }
        let formatter = self.text.formatter();
        let identity = format!("{from:?}{}", self.text.identity);
        call_with(
            "to_text",
            identity,
            DataType::Utf8,
            vec![expr],
            move |arrays| {
                let mut out = StringBuilder::new();
                for row in 0..arrays[0].len() {
                    out.append_option(formatter.text(from, &arrays[0], row).map_err(carried)?);
                }
                Ok(Arc::new(out.finish()))
            },
        )
    }
}

/// `varchar(n)`, `char(n)`, `name` and `"char"`: cut where a cast is explicit or blanks are
/// lost, 22001 otherwise.
pub(super) fn limit_text(expr: Expr, to: PgType, explicit: bool, blank_padded: bool) -> Expr {
    if to.typmod < 4 && matches!(to.oid, 1042 | 1043) && !(blank_padded && to.oid == 1043) {
        return expr;
    }
    call_with(
        "limit_text",
        format!("{to:?}{explicit}{blank_padded}"),
        DataType::Utf8,
        vec![expr],
        move |arrays| {
            let mut out = StringBuilder::new();
            for text in arrays[0].as_string::<i32>() {
                let Some(text) = text else {
                    out.append_null();
                    continue;
                };
                let text = if blank_padded && to.oid != 1042 {
                    text.trim_end_matches(' ')
                } else {
                    text
                };
                match to.oid {
                    18 => {
                        out.append_value(text.chars().next().map(String::from).unwrap_or_default())
                    }
                    19 => out.append_value(crate::statement::parse::truncate_name(text.to_owned())),
                    _ if to.typmod < 4 => out.append_value(text),
                    _ => {
                        let limit = (to.typmod - 4) as usize;
                        let cut = text
                            .char_indices()
                            .nth(limit)
                            .map_or(text.len(), |(at, _)| at);
                        if cut < text.len()
                            && !explicit
                            && !text[cut..].bytes().all(|byte| byte == b' ')
                        {
                            let name = if to.oid == 1042 {
                                "character"
                            } else {
                                "character varying"
                            };
                            return Err(omnigraph_udfs::Error::value(
                                "22001",
                                format!("value too long for type {name}({limit})"),
                            ));
                        }
                        let kept = &text[..cut];
                        if to.oid == 1042 {
                            let missing = limit - kept.chars().count();
                            out.append_value(format!("{kept}{}", " ".repeat(missing)));
                        } else {
                            out.append_value(kept);
                        }
                    }
                }
            }
            Ok(Arc::new(out.finish()))
        },
    )
}

pub(super) fn trim_blanks(expr: Expr) -> Expr {
    call("trim_blanks", DataType::Utf8, vec![expr], |arrays| {
        let texts: StringArray = arrays[0]
            .as_string::<i32>()
            .iter()
            .map(|text| text.map(|text| text.trim_end_matches(' ')))
            .collect();
        Ok(Arc::new(texts))
    })
}

pub(super) fn bool_text(expr: Expr) -> Expr {
    call("bool_text", DataType::Utf8, vec![expr], |arrays| {
        let texts: StringArray = arrays[0]
            .as_boolean()
            .iter()
            .map(|value| value.map(|value| if value { "true" } else { "false" }))
            .collect();
        Ok(Arc::new(texts))
    })
}

/// Floats by their shortest text, as PostgreSQL does (15 digits for float8, 6 for float4).
pub(super) fn float_to_numeric(expr: Expr, to: PgType) -> Expr {
    let target = to.arrow();
    call_with(
        "float_to_numeric",
        format!("{to:?}"),
        target.clone(),
        vec![expr],
        move |arrays| {
            let number = |value: f64, digits: usize| -> omnigraph_udfs::Result<ScalarValue> {
                if !value.is_finite() {
                    return Err(omnigraph_udfs::Error::value(
                        "0A000",
                        "numeric has no NaN and no infinities here",
                    ));
                }
                let text = format!("{:.*e}", digits - 1, value);
                Numeric::parse(&text)
                    .and_then(|number| number.to_scalar(to))
                    .map_err(carried)
            };
            let null = ScalarValue::try_from(&target)
                .map_err(|error| carried(crate::sqlstate::from_datafusion(&error)))?;
            let values: Vec<ScalarValue> = match arrays[0].data_type() {
                DataType::Float32 => arrays[0]
                    .as_primitive::<Float32Type>()
                    .iter()
                    .map(|value| {
                        value.map_or(Ok(null.clone()), |value| number(f64::from(value), 6))
                    })
                    .collect::<Result<_, _>>()?,
                _ => arrays[0]
                    .as_primitive::<Float64Type>()
                    .iter()
                    .map(|value| value.map_or(Ok(null.clone()), |value| number(value, 15)))
                    .collect::<Result<_, _>>()?,
            };
            ScalarValue::iter_to_array(values)
                .map_err(|error| carried(crate::sqlstate::from_datafusion(&error)))
        },
    )
}

/// By way of the text, which is correctly rounded.
pub(super) fn numeric_to_float(expr: Expr, to: &DataType) -> Expr {
    let target = to.clone();
    call_with(
        "numeric_to_float",
        to.to_string(),
        to.clone(),
        vec![expr],
        move |arrays| {
            let (_, scale) = arithmetic::decimal_parts(arrays[0].data_type())?;
            let texts: Vec<Option<String>> = match arrays[0].data_type() {
                DataType::Decimal128(..) => arrays[0]
                    .as_primitive::<Decimal128Type>()
                    .iter()
                    .map(|v| v.map(|v| format!("{v}e-{scale}")))
                    .collect(),
                _ => arrays[0]
                    .as_primitive::<Decimal256Type>()
                    .iter()
                    .map(|v| v.map(|v| format!("{v}e-{scale}")))
                    .collect(),
            };
            Ok(match target {
                DataType::Float32 => {
                    let values: PrimitiveArray<Float32Type> = texts
                        .iter()
                        .map(|text| text.as_ref().and_then(|text| text.parse::<f32>().ok()))
                        .collect();
                    Arc::new(values)
                }
                _ => {
                    let values: PrimitiveArray<Float64Type> = texts
                        .iter()
                        .map(|text| text.as_ref().and_then(|text| text.parse::<f64>().ok()))
                        .collect();
                    Arc::new(values)
                }
            })
        },
    )
}

/// `body`, an expression over the column [`ELEMENT`], for each element of an array.
pub(super) fn map_elements(array: Expr, from: PgType, to: PgType, body: Expr) -> Expr {
    let element = Arc::new(Field::new("item", to.arrow(), true));
    let returns = DataType::List(Arc::clone(&element));
    let source = Schema::new(vec![Field::new(ELEMENT, from.arrow(), true)]);
    let identity = format!("{from:?}{to:?}{body:?}");
    let evaluate = move |arrays: &[ArrayRef], _: usize| -> omnigraph_udfs::Result<ArrayRef> {
        let foreign = |error: &datafusion::error::DataFusionError| {
            carried(crate::sqlstate::from_datafusion(error))
        };
        let schema = DFSchema::try_from(source.clone()).map_err(|error| foreign(&error))?;
        let physical = create_physical_expr(&body, &schema, &ExecutionProps::new())
            .map_err(|error| foreign(&error))?;
        let list = arrays[0].as_list::<i32>();
        let batch = arrow::array::RecordBatch::try_new(
            Arc::new(source.clone()),
            vec![Arc::clone(list.values())],
        )
        .map_err(|error| omnigraph_udfs::Error::value("XX000", error.to_string()))?;
        let values = physical
            .evaluate(&batch)
            .and_then(|value| value.into_array(batch.num_rows()))
            .map_err(|error| foreign(&error))?;
        let mapped = ListArray::try_new(
            Arc::clone(&element),
            list.offsets().clone(),
            values,
            list.nulls().cloned(),
        )
        .map_err(|error| omnigraph_udfs::Error::value("XX000", error.to_string()))?;
        Ok(Arc::new(mapped))
    };
    PgFunction::new(
        "map_elements",
        returns,
        Volatility::Immutable,
        Arc::new(evaluate),
    )
    .identity(identity)
    .over(vec![array])
}
