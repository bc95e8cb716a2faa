//! Casts through text, under the settings of the session, and the names that reg* types print.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, PrimitiveArray, RecordBatch, StringArray, StringBuilder,
    UInt32Array,
};
use arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Field, Float32Type, Float64Type, Schema,
};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::{Expr, Volatility};
use datafusion::physical_expr::create_physical_expr;
use omnigraph_catalog::lookup::{CatalogLookup, SearchPath};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{PgFunction, arithmetic, call, call_with};

use super::Binder;
use super::object_names::CatalogNames;
use crate::error::{PgError, PgResult};
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
    let mut fields = vec![Field::new(ELEMENT, from.arrow(), true)];
    let mut args = vec![array];
    let body = open_values(body, &mut fields, &mut args);
    let source = Schema::new(fields);
    let identity = format!("{from:?}{to:?}{body:?}");
    let evaluate = move |arrays: &[ArrayRef], _: usize| -> omnigraph_udfs::Result<ArrayRef> {
        let foreign = |error: &datafusion::error::DataFusionError| {
            carried(crate::sqlstate::from_datafusion(error))
        };
        let schema = DFSchema::try_from(source.clone()).map_err(|error| foreign(&error))?;
        let physical = create_physical_expr(&body, &schema, &ExecutionProps::new())
            .map_err(|error| foreign(&error))?;
        let list = arrays[0].as_list::<i32>();
        let mut columns = vec![Arc::clone(list.values())];
        for outer in &arrays[1..] {
            columns.push(for_elements(list, outer)?);
        }
        let batch = RecordBatch::try_new(Arc::new(source.clone()), columns)
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
    .over(args)
}

/// What is open in the body until the statement runs (the time) becomes an argument.
fn open_values(body: Expr, fields: &mut Vec<Field>, args: &mut Vec<Expr>) -> Expr {
    let replaced = body.clone().transform_up(|expr| {
        let Expr::Placeholder(placeholder) = &expr else {
            return Ok(Transformed::no(expr));
        };
        let Some(field) = &placeholder.field else {
            return Ok(Transformed::no(expr));
        };
        let name = format!("outer{}", args.len());
        fields.push(Field::new(&name, field.data_type().clone(), true));
        args.push(expr);
        Ok(Transformed::yes(Expr::Column(Column::new_unqualified(
            name,
        ))))
    });
    replaced.map_or(body, |replaced| replaced.data)
}

/// A value of each row, once for each element of the row's list.
fn for_elements(list: &ListArray, outer: &ArrayRef) -> omnigraph_udfs::Result<ArrayRef> {
    let mut rows = vec![0_u32; list.values().len()];
    for (row, bounds) in list.value_offsets().windows(2).enumerate() {
        rows[bounds[0] as usize..bounds[1] as usize].fill(row as u32);
    }
    arrow::compute::take(outer, &UInt32Array::from(rows), None)
        .map_err(|error| omnigraph_udfs::Error::value("XX000", error.to_string()))
}
