//! Templates: `to_char`, `to_date` and `to_timestamp`.

mod moment;
mod number;
mod template;

use std::sync::Arc;

use arrow::array::{AsArray, Date32Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, IntervalMonthDayNanoType, TimestampMicrosecondType};
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{call_with, rows};

use self::moment::{interval_text, moment_text, read_moment};
use self::number::{number_of, number_text};
use super::datetime::{days, out_of_range, time_of_day};
use super::text_io::carried;
use super::typed::Typed;
use crate::text::Zone;
use crate::text::calendar::{date_to_timestamp, timestamp_to_date};

/// `to_char` and its inverses, or `None` for types that have none.
pub(super) fn build(name: &str, args: &[Typed], result: PgType, zone: &Zone) -> Option<Expr> {
    let exprs: Vec<Expr> = args.iter().map(|arg| arg.expr.clone()).collect();
    let ty = args.first()?.ty;
    let zone = zone.clone();
    let identity = format!("{ty:?}{}", zone.name());
    Some(match name {
        "to_char" => call_with(name, identity, DataType::Utf8, exprs, move |arrays| {
            let templates = arrays[1].as_string::<i32>();
            let values: StringArray = rows(arrays, |row| {
                let template = templates.value(row);
                Ok(Some(match arrays[0].data_type() {
                    DataType::Timestamp(_, _) => {
                        let value = arrays[0]
                            .as_primitive::<TimestampMicrosecondType>()
                            .value(row);
                        let (local, offset) = if ty.oid == PgType::TIMESTAMPTZ.oid {
                            (
                                zone.to_local(value)
                                    .ok_or_else(|| out_of_range("timestamp"))?,
                                Some(zone.at(value)),
                            )
                        } else {
                            (value, None)
                        };
                        let seconds = offset.as_ref().map_or(0, |_| zone.seconds_at(value));
                        moment_text(template, local, seconds, zone.name())
                    }
                    DataType::Date32 => moment_text(
                        template,
                        date_to_timestamp(days(&arrays[0], row)).map_err(carried)?,
                        0,
                        "",
                    ),
                    DataType::Time64(_) => {
                        moment_text(template, time_of_day(&arrays[0], row), 0, "")
                    }
                    DataType::Interval(_) => {
                        let value = arrays[0]
                            .as_primitive::<IntervalMonthDayNanoType>()
                            .value(row);
                        interval_text(template, value)
                    }
                    other => number_text(template, &number_of(&arrays[0], other, row)?),
                }))
            })?;
            Ok(Arc::new(values))
        }),
        "to_date" | "to_timestamp" => {
            let date = result.oid == PgType::DATE.oid;
            call_with(name, identity, result.arrow(), exprs, move |arrays| {
                let (texts, templates) =
                    (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
                if date {
                    let values: Date32Array = rows(arrays, |row| {
                        let micros = read_moment(texts.value(row), templates.value(row))?;
                        Ok(Some(timestamp_to_date(micros)))
                    })?;
                    return Ok(Arc::new(values));
                }
                let values: TimestampMicrosecondArray = rows(arrays, |row| {
                    let local = read_moment(texts.value(row), templates.value(row))?;
                    zone.to_utc(local)
                        .map(Some)
                        .ok_or_else(|| out_of_range("timestamp"))
                })?;
                Ok(Arc::new(values.with_timezone("UTC")))
            })
        }
        _ => return None,
    })
}
