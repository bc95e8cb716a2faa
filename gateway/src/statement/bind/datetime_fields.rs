//! Fields of dates, times and intervals: EXTRACT, `date_trunc`, `date_bin`.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Float64Array, PrimitiveArray};
use arrow::datatypes::{
    DataType, Decimal128Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
    TimestampMicrosecondType,
};
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{call_with, rows};
use omnigraph_udfs::{Error, Result};

use super::datetime::{
    DAY, SECOND, Side, interval_of, intervals, named_zone, out_of_range, side, stamps,
};
use super::text_io::carried;
use crate::text::Zone;
use crate::text::calendar::{Civil, date_to_timestamp, join_day, split_day, weekday};

/// `date_trunc(field, value [, zone])`.
pub(super) fn truncate(args: Vec<Expr>, ty: PgType, zone: &Zone) -> Expr {
    let zone = zone.clone();
    let zoned = ty.oid == PgType::TIMESTAMPTZ.oid;
    let identity = format!("{ty:?}{}", if zoned { zone.name() } else { "" });
    call_with("date_trunc", identity, ty.arrow(), args, move |arrays| {
        let fields = arrays[0].as_string::<i32>();
        let count = arrays[1].len();
        let null = |row: usize| arrays.iter().any(|array| array.is_null(row));
        let zone_of = |row: usize| -> Result<Zone> {
            match arrays.get(2) {
                Some(names) => named_zone(names.as_string::<i32>().value(row)),
                None => Ok(zone.clone()),
            }
        };
        match side(&arrays[1])? {
            Side::Stamp(values) => stamps(count, &null, zoned, |row| {
                let value = values.value(row);
                if value == i64::MAX || value == i64::MIN {
                    return Ok(value);
                }
                if !zoned {
                    return truncated(fields.value(row), value);
                }
                let zone = zone_of(row)?;
                let local = zone
                    .to_local(value)
                    .ok_or_else(|| out_of_range("timestamp"))?;
                zone.to_utc(truncated(fields.value(row), local)?)
                    .ok_or_else(|| out_of_range("timestamp"))
            }),
            Side::Interval(values) => intervals(count, &null, |row| {
                truncated_interval(fields.value(row), values.value(row))
            }),
            _ => Err(Error::value("XX000", "date_trunc over another type")),
        }
    })
}

/// `date_bin(stride, value, origin)`.
pub(super) fn bin(args: Vec<Expr>, ty: PgType) -> Expr {
    let zoned = ty.oid == PgType::TIMESTAMPTZ.oid;
    call_with(
        "date_bin",
        format!("{ty:?}"),
        ty.arrow(),
        args,
        move |arrays| {
            let strides = arrays[0].as_primitive::<IntervalMonthDayNanoType>();
            let values = arrays[1].as_primitive::<TimestampMicrosecondType>();
            let origins = arrays[2].as_primitive::<TimestampMicrosecondType>();
            let null = |row: usize| arrays.iter().any(|array| array.is_null(row));
            stamps(arrays[1].len(), &null, zoned, |row| {
                let stride = strides.value(row);
                if stride.months != 0 {
                    return Err(Error::value(
                        "0A000",
                        "timestamps cannot be binned into intervals containing months or years",
                    ));
                }
                let width = i64::from(stride.days) * 86_400 * SECOND + stride.nanoseconds / 1000;
                if width <= 0 {
                    return Err(Error::value("22008", "stride must be greater than zero"));
                }
                let (value, origin) = (values.value(row), origins.value(row));
                if value == i64::MAX || value == i64::MIN {
                    return Ok(value);
                }
                value
                    .checked_sub(origin)
                    .map(|since| origin + since.div_euclid(width) * width)
                    .ok_or_else(|| out_of_range("timestamp"))
            })
        },
    )
}

fn unknown_unit(field: &str, ty: &str) -> Error {
    Error::value(
        "22023",
        format!("unit \"{field}\" not recognized for type {ty}"),
    )
}

fn truncated(field: &str, micros: i64) -> Result<i64> {
    let (days, time) = split_day(micros);
    let mut civil = Civil::from_days(days);
    let first = |year: i64, month: u32| {
        Civil {
            year,
            month,
            day: 1,
        }
        .days()
    };
    let whole = |days: i64| join_day(days, 0).ok_or_else(|| out_of_range("timestamp"));
    let within = |unit: i64| {
        join_day(days, time - time.rem_euclid(unit)).ok_or_else(|| out_of_range("timestamp"))
    };
    match singular(field).as_str() {
        "microsecond" => Ok(micros),
        "millisecond" => within(1000),
        "second" => within(SECOND),
        "minute" => within(60 * SECOND),
        "hour" => within(3600 * SECOND),
        "day" => whole(days),
        "week" => whole(days - (weekday(days) as i64 + 6) % 7),
        "month" => whole(first(civil.year, civil.month)),
        "quarter" => whole(first(civil.year, (civil.month - 1) / 3 * 3 + 1)),
        "year" => whole(first(civil.year, 1)),
        "decade" => whole(first(civil.year.div_euclid(10) * 10, 1)),
        "century" => {
            civil.year = (civil.year - 1).div_euclid(100) * 100 + 1;
            whole(first(civil.year, 1))
        }
        "millennium" => {
            civil.year = (civil.year - 1).div_euclid(1000) * 1000 + 1;
            whole(first(civil.year, 1))
        }
        _ => Err(unknown_unit(field, "timestamp without time zone")),
    }
}

fn truncated_interval(field: &str, value: IntervalMonthDayNano) -> Result<IntervalMonthDayNano> {
    let micros = value.nanoseconds / 1000;
    let years = |unit: i32| interval_of(i64::from(value.months / (12 * unit) * 12 * unit), 0, 0);
    let time = |unit: i64| {
        interval_of(
            i64::from(value.months),
            i64::from(value.days),
            micros / unit * unit,
        )
    };
    match singular(field).as_str() {
        "microsecond" => Ok(value),
        "millisecond" => time(1000),
        "second" => time(SECOND),
        "minute" => time(60 * SECOND),
        "hour" => time(3600 * SECOND),
        "day" => interval_of(i64::from(value.months), i64::from(value.days), 0),
        "month" => interval_of(i64::from(value.months), 0, 0),
        "quarter" => interval_of(i64::from(value.months / 3 * 3), 0, 0),
        "year" => years(1),
        "decade" => years(10),
        "century" => years(100),
        "millennium" => years(1000),
        _ => Err(unknown_unit(field, "interval")),
    }
}

/// `years` is `year`, in any case.
fn singular(field: &str) -> String {
    let field = field.trim().to_lowercase();
    match field.as_str() {
        "centuries" => "century".to_owned(),
        "millennia" | "millenniums" => "millennium".to_owned(),
        "msec" | "msecs" | "ms" => "millisecond".to_owned(),
        "usec" | "usecs" | "us" => "microsecond".to_owned(),
        "sec" | "secs" | "s" => "second".to_owned(),
        "min" | "mins" | "m" => "minute".to_owned(),
        "hr" | "hrs" | "h" => "hour".to_owned(),
        "mon" | "mons" => "month".to_owned(),
        "yr" | "yrs" | "y" => "year".to_owned(),
        "dow" | "doy" | "isodow" | "century" => field,
        _ => field.strip_suffix('s').unwrap_or(&field).to_owned(),
    }
}

/// A field of a date, time, timestamp or interval, in millionths: `extract` (numeric with six
/// digits) and `date_part` (float8).
pub(super) fn extract(args: Vec<Expr>, ty: PgType, zone: &Zone, as_float: bool) -> Expr {
    let zone = zone.clone();
    let zoned = ty.oid == PgType::TIMESTAMPTZ.oid;
    let returns = if as_float {
        DataType::Float64
    } else {
        DataType::Decimal128(38, 6)
    };
    let identity = format!("{ty:?}{as_float}{}", if zoned { zone.name() } else { "" });
    call_with("extract", identity, returns, args, move |arrays| {
        let fields = arrays[0].as_string::<i32>();
        let side = side(&arrays[1])?;
        let millionths: Vec<Option<i128>> = rows(arrays, |row| {
            let field = singular(fields.value(row));
            let found = match &side {
                Side::Date(values) => match field.as_str() {
                    "timezone" => None,
                    // `date_part` takes the day's first moment.
                    "hour" | "minute" | "second" | "microsecond" | "millisecond" if !as_float => {
                        None
                    }
                    _ => calendar_field(
                        &field,
                        date_to_timestamp(values.value(row)).map_err(carried)?,
                        0,
                    ),
                },
                Side::Stamp(values) if zoned => {
                    let utc = values.value(row);
                    let local = zone
                        .to_local(utc)
                        .ok_or_else(|| out_of_range("timestamp"))?;
                    match field.as_str() {
                        "epoch" => Some(i128::from(utc)),
                        _ => calendar_field(&field, local, zone.seconds_at(utc)),
                    }
                }
                Side::Stamp(values) => match field.as_str() {
                    "timezone" | "timezone_hour" | "timezone_minute" => None,
                    _ => calendar_field(&field, values.value(row), 0),
                },
                Side::Time(values) => match field.as_str() {
                    "hour" | "minute" | "second" | "microsecond" | "millisecond" | "epoch" => {
                        time_field(&field, values.value(row))
                    }
                    _ => None,
                },
                Side::Interval(values) => interval_field(&field, values.value(row)),
                _ => None,
            };
            match found {
                Some(value) => Ok(Some(value)),
                None => Err(unknown_unit(
                    fields.value(row),
                    super::types::type_name(ty).as_str(),
                )),
            }
        })?;
        Ok(if as_float {
            let values: Float64Array = millionths
                .iter()
                .map(|value| value.map(|value| value as f64 / 1e6))
                .collect();
            Arc::new(values)
        } else {
            let values: PrimitiveArray<Decimal128Type> = millionths.into_iter().collect();
            Arc::new(
                values
                    .with_precision_and_scale(38, 6)
                    .map_err(|error| Error::value("XX000", error.to_string()))?,
            )
        })
    })
}

/// The digits that `extract` shows of a field: seconds have six, the others none.
pub(super) fn extract_scale(field: &str) -> i8 {
    match singular(field).as_str() {
        "second" | "epoch" => 6,
        "millisecond" => 3,
        _ => 0,
    }
}

fn whole(value: i64) -> Option<i128> {
    Some(i128::from(value) * 1_000_000)
}

fn time_field(field: &str, time: i64) -> Option<i128> {
    match field {
        "hour" => whole(time / (3600 * SECOND)),
        "minute" => whole(time / (60 * SECOND) % 60),
        "second" => Some(i128::from(time % (60 * SECOND))),
        "millisecond" => Some(i128::from(time % (60 * SECOND)) * 1000),
        "microsecond" => whole(time % (60 * SECOND)),
        "epoch" => Some(i128::from(time)),
        _ => None,
    }
}

fn calendar_field(field: &str, local: i64, offset: i32) -> Option<i128> {
    let (days, time) = split_day(local);
    let civil = Civil::from_days(days);
    let year_day = days
        - Civil {
            year: civil.year,
            month: 1,
            day: 1,
        }
        .days();
    let iso_day = (weekday(days) as i64 + 6) % 7 + 1;
    // The ISO year is that of the week's Thursday.
    let thursday = days - iso_day + 4;
    let iso_year = Civil::from_days(thursday).year;
    let iso_week = (thursday
        - Civil {
            year: iso_year,
            month: 1,
            day: 1,
        }
        .days())
        / 7
        + 1;
    match field {
        "epoch" => Some(i128::from(local)),
        "day" => whole(i64::from(civil.day)),
        "month" => whole(i64::from(civil.month)),
        "quarter" => whole((i64::from(civil.month) - 1) / 3 + 1),
        "year" => whole(if civil.year > 0 {
            civil.year
        } else {
            civil.year - 1
        }),
        "decade" => whole(civil.year.div_euclid(10)),
        "century" => whole(if civil.year > 0 {
            (civil.year + 99) / 100
        } else {
            -((99 - (civil.year - 1)) / 100)
        }),
        "millennium" => whole(if civil.year > 0 {
            (civil.year + 999) / 1000
        } else {
            -((999 - (civil.year - 1)) / 1000)
        }),
        "dow" => whole(weekday(days) as i64),
        "isodow" => whole(iso_day),
        "doy" => whole(year_day + 1),
        "week" => whole(iso_week),
        "isoyear" => whole(iso_year),
        "julian" => Some(
            i128::from(days + 2_440_588) * 1_000_000
                + i128::from(time) * 1_000_000 / i128::from(DAY),
        ),
        "timezone" => whole(i64::from(offset)),
        "timezone_hour" => whole(i64::from(offset / 3600)),
        "timezone_minute" => whole(i64::from(offset / 60 % 60)),
        _ => time_field(field, time),
    }
}

fn interval_field(field: &str, value: IntervalMonthDayNano) -> Option<i128> {
    let micros = value.nanoseconds / 1000;
    let (years, months) = (value.months / 12, value.months % 12);
    match field {
        "hour" => whole(micros / (3600 * SECOND)),
        "day" => whole(i64::from(value.days)),
        "month" => whole(i64::from(months)),
        "quarter" => whole(i64::from(months / 3 + 1)),
        "year" => whole(i64::from(years)),
        "decade" => whole(i64::from(years / 10)),
        "century" => whole(i64::from(years / 100)),
        "millennium" => whole(i64::from(years / 1000)),
        "epoch" => Some(
            i128::from(years) * 31_557_600_000_000
                + i128::from(months) * 30 * i128::from(DAY)
                + i128::from(value.days) * i128::from(DAY)
                + i128::from(micros),
        ),
        _ => time_field(field, micros),
    }
}
