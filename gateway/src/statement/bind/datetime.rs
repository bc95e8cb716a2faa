//! Dates, times and intervals: arithmetic, fields, truncation, zones. Values with a zone are
//! UTC; where calendar fields come in, the session's zone is an explicit part of the function.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Float64Array, Int32Array, IntervalMonthDayNanoArray,
    StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType,
};
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{call, call_with, rows};
use omnigraph_udfs::{Error, Result};

use super::Binder;
use super::text_io::carried;
use crate::text::Zone;
use crate::text::calendar::{
    Civil, date_from_days, date_to_timestamp, join_day, split_day, timestamp_to_date, weekday,
};

const DAY: i64 = 86_400_000_000;
const SECOND: i64 = 1_000_000;

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

fn timestamptz() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn interval() -> DataType {
    DataType::Interval(IntervalUnit::MonthDayNano)
}

pub(super) fn out_of_range(what: &str) -> Error {
    Error::value("22008", format!("{what} out of range"))
}

/// What stands on one side of an operator, as microseconds or whole.
enum Side<'a> {
    Int(&'a Int32Array),
    Float(&'a Float64Array),
    Date(&'a Date32Array),
    Time(&'a Time64MicrosecondArray),
    Stamp(&'a TimestampMicrosecondArray),
    Interval(&'a IntervalMonthDayNanoArray),
}

fn side(array: &ArrayRef) -> Result<Side<'_>> {
    Ok(match array.data_type() {
        DataType::Int32 => Side::Int(array.as_primitive()),
        DataType::Float64 => Side::Float(array.as_primitive()),
        DataType::Date32 => Side::Date(array.as_primitive()),
        DataType::Time64(TimeUnit::Microsecond) => Side::Time(array.as_primitive()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Side::Stamp(array.as_primitive()),
        DataType::Interval(IntervalUnit::MonthDayNano) => Side::Interval(array.as_primitive()),
        other => return Err(Error::value("XX000", format!("{other} is no date or time"))),
    })
}

/// What an operator's function answers, or `None` if there is no such operator here.
pub(super) fn operator(code: &str) -> Option<DataType> {
    Some(match code {
        "date_pli" | "date_mii" | "integer_pl_date" => DataType::Date32,
        "date_mi" => DataType::Int32,
        "date_pl_interval"
        | "date_mi_interval"
        | "interval_pl_date"
        | "timestamp_pl_interval"
        | "timestamp_mi_interval"
        | "interval_pl_timestamp"
        | "datetime_pl"
        | "timedate_pl" => timestamp(),
        "timestamptz_pl_interval" | "timestamptz_mi_interval" | "interval_pl_timestamptz" => {
            timestamptz()
        }
        "timestamp_mi" | "timestamptz_mi" | "interval_pl" | "interval_mi" | "interval_mul"
        | "mul_d_interval" | "interval_div" | "interval_um" | "time_mi_time" => interval(),
        "time_pl_interval" | "time_mi_interval" | "interval_pl_time" => {
            DataType::Time64(TimeUnit::Microsecond)
        }
        _ => return None,
    })
}

/// An operator over the arguments it was resolved to.
pub(super) fn build(code: &str, args: Vec<Expr>, zone: &Zone) -> Expr {
    let returns = operator(code).unwrap_or(DataType::Null);
    let (function, zone_name) = (code.to_owned(), zone.name().to_owned());
    let zone = zone.clone();
    let zoned = code.contains("timestamptz");
    let subtract = code.contains("_mi");
    call_with(
        code,
        if zoned { zone_name } else { String::new() },
        returns,
        args,
        move |arrays| {
            let count = arrays[0].len();
            let null = |row: usize| arrays.iter().any(|array| array.is_null(row));
            if function == "interval_um" {
                let values = arrays[0].as_primitive::<IntervalMonthDayNanoType>();
                let values: IntervalMonthDayNanoArray = values
                    .iter()
                    .map(|value| value.map(|value| scale(value, -1.0)).transpose())
                    .collect::<Result<_>>()?;
                return Ok(Arc::new(values));
            }
            // The interval or number comes second, whatever side it was written on.
            let swapped = matches!(
                function.as_str(),
                "integer_pl_date"
                    | "interval_pl_date"
                    | "interval_pl_timestamp"
                    | "interval_pl_timestamptz"
                    | "interval_pl_time"
                    | "mul_d_interval"
                    | "timedate_pl"
            );
            let (first, second) = if swapped {
                (&arrays[1], &arrays[0])
            } else {
                (&arrays[0], &arrays[1])
            };
            let sign = if subtract { -1 } else { 1 };
            Ok(match (side(first)?, side(second)?) {
                (Side::Date(dates), Side::Int(days)) => {
                    let values: Date32Array = (0..count)
                        .map(|row| {
                            if null(row) {
                                Ok(None)
                            } else {
                                date_from_days(
                                    i64::from(dates.value(row)) + sign * i64::from(days.value(row)),
                                )
                                .map(Some)
                                .ok_or_else(|| out_of_range("date"))
                            }
                        })
                        .collect::<Result<_>>()?;
                    Arc::new(values)
                }
                (Side::Date(a), Side::Date(b)) => {
                    let values: Int32Array = (0..count)
                        .map(|row| (!null(row)).then(|| a.value(row).wrapping_sub(b.value(row))))
                        .collect();
                    Arc::new(values)
                }
                (Side::Date(dates), Side::Time(times)) => stamps(count, &null, false, |row| {
                    date_to_timestamp(dates.value(row))
                        .map(|micros| micros + times.value(row))
                        .map_err(carried)
                })?,
                (Side::Date(dates), Side::Interval(by)) => stamps(count, &null, false, |row| {
                    add(
                        date_to_timestamp(dates.value(row)).map_err(carried)?,
                        by.value(row),
                        sign,
                    )
                })?,
                (Side::Stamp(stamps_), Side::Interval(by)) => stamps(count, &null, zoned, |row| {
                    if zoned {
                        add_zoned(stamps_.value(row), by.value(row), sign, &zone)
                    } else {
                        add(stamps_.value(row), by.value(row), sign)
                    }
                })?,
                (Side::Stamp(a), Side::Stamp(b)) => intervals(count, &null, |row| {
                    let micros = a
                        .value(row)
                        .checked_sub(b.value(row))
                        .ok_or_else(|| out_of_range("interval"))?;
                    interval_of(0, micros / DAY, micros % DAY)
                })?,
                (Side::Time(a), Side::Time(b)) => intervals(count, &null, |row| {
                    interval_of(0, 0, a.value(row) - b.value(row))
                })?,
                (Side::Time(times), Side::Interval(by)) => {
                    let values: Time64MicrosecondArray = (0..count)
                        .map(|row| {
                            (!null(row)).then(|| {
                                (times.value(row) + sign * (by.value(row).nanoseconds / 1000))
                                    .rem_euclid(DAY)
                            })
                        })
                        .collect();
                    Arc::new(values)
                }
                (Side::Interval(a), Side::Interval(b)) => intervals(count, &null, |row| {
                    let (a, b) = (a.value(row), b.value(row));
                    interval_of(
                        i64::from(a.months) + sign * i64::from(b.months),
                        i64::from(a.days) + sign * i64::from(b.days),
                        a.nanoseconds / 1000 + sign * (b.nanoseconds / 1000),
                    )
                })?,
                (Side::Interval(a), Side::Float(by)) => intervals(count, &null, |row| {
                    let by = by.value(row);
                    if function == "interval_div" {
                        if by == 0.0 {
                            return Err(Error::value("22012", "division by zero"));
                        }
                        return scale(a.value(row), 1.0 / by);
                    }
                    scale(a.value(row), by)
                })?,
                _ => {
                    return Err(Error::value(
                        "XX000",
                        format!("{function} over other types"),
                    ));
                }
            })
        },
    )
}

fn stamps(
    count: usize,
    null: &dyn Fn(usize) -> bool,
    zoned: bool,
    each: impl Fn(usize) -> Result<i64>,
) -> Result<ArrayRef> {
    let values: TimestampMicrosecondArray = (0..count)
        .map(|row| {
            if null(row) {
                Ok(None)
            } else {
                each(row).map(Some)
            }
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(if zoned {
        values.with_timezone("UTC")
    } else {
        values
    }))
}

fn intervals(
    count: usize,
    null: &dyn Fn(usize) -> bool,
    each: impl Fn(usize) -> Result<IntervalMonthDayNano>,
) -> Result<ArrayRef> {
    let values: IntervalMonthDayNanoArray = (0..count)
        .map(|row| {
            if null(row) {
                Ok(None)
            } else {
                each(row).map(Some)
            }
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(values))
}

fn interval_of(months: i64, days: i64, micros: i64) -> Result<IntervalMonthDayNano> {
    let error = || out_of_range("interval");
    Ok(IntervalMonthDayNano::new(
        i32::try_from(months).map_err(|_| error())?,
        i32::try_from(days).map_err(|_| error())?,
        micros.checked_mul(1000).ok_or_else(error)?,
    ))
}

/// Months first, by the calendar and cut at the month's end, then days, then time.
fn add(micros: i64, by: IntervalMonthDayNano, sign: i64) -> Result<i64> {
    let error = || out_of_range("timestamp");
    if micros == i64::MAX || micros == i64::MIN {
        return Ok(micros);
    }
    let (mut days, time) = split_day(micros);
    if by.months != 0 {
        let mut civil = Civil::from_days(days);
        let months = civil.year * 12 + i64::from(civil.month) - 1 + sign * i64::from(by.months);
        civil.year = months.div_euclid(12);
        civil.month = months.rem_euclid(12) as u32 + 1;
        civil.day = civil.day.min(Civil::days_in_month(civil.year, civil.month));
        days = civil.days();
    }
    days += sign * i64::from(by.days);
    join_day(days, time)
        .and_then(|micros| micros.checked_add(sign * (by.nanoseconds / 1000)))
        .ok_or_else(error)
}

/// As [`add`], with months and days on the zone's calendar.
fn add_zoned(micros: i64, by: IntervalMonthDayNano, sign: i64, zone: &Zone) -> Result<i64> {
    let error = || out_of_range("timestamp");
    let mut at = micros;
    if by.months != 0 || by.days != 0 {
        let local = zone.to_local(at).ok_or_else(error)?;
        let moved = add(
            local,
            IntervalMonthDayNano::new(by.months, by.days, 0),
            sign,
        )?;
        at = zone.to_utc(moved).ok_or_else(error)?;
    }
    at.checked_add(sign * (by.nanoseconds / 1000))
        .ok_or_else(error)
}

/// Fractions of months become days of 30, fractions of days time, as in PostgreSQL.
fn scale(value: IntervalMonthDayNano, by: f64) -> Result<IntervalMonthDayNano> {
    let months = f64::from(value.months) * by;
    let days = f64::from(value.days) * by;
    let whole_months = months.trunc();
    let month_days = (months - whole_months) * 30.0;
    let month_days = (month_days * 1e6).round() / 1e6;
    let whole_days = days.trunc() + month_days.trunc();
    let rest_days = (days - days.trunc()) + (month_days - month_days.trunc());
    let micros = (value.nanoseconds / 1000) as f64 * by + rest_days * DAY as f64;
    if !(whole_months.is_finite() && whole_days.is_finite() && micros.abs() < 9e18) {
        return Err(out_of_range("interval"));
    }
    interval_of(
        whole_months as i64,
        whole_days as i64,
        micros.round() as i64,
    )
}

/// An interval as one number, by which intervals compare: months of 30 days, days of 24 hours.
pub(super) fn interval_key(value: Expr) -> Expr {
    call(
        "interval_key",
        DataType::Decimal128(38, 0),
        vec![value],
        |arrays| {
            let values = arrays[0].as_primitive::<IntervalMonthDayNanoType>();
            let keys: arrow::array::Decimal128Array = values
                .iter()
                .map(|value| {
                    value.map(|value| {
                        (i128::from(value.months) * 30 + i128::from(value.days)) * i128::from(DAY)
                            + i128::from(value.nanoseconds / 1000)
                    })
                })
                .collect();
            let keys = keys
                .with_precision_and_scale(38, 0)
                .map_err(|error| Error::value("XX000", error.to_string()))?;
            Ok(Arc::new(keys))
        },
    )
}

impl Binder<'_> {
    /// Between date, time, timestamp, timestamptz and interval.
    pub(super) fn time_cast(&mut self, expr: Expr, from: PgType, to: PgType) -> Expr {
        let zone = self.text.format.zone.clone();
        let zoned = from.oid == PgType::TIMESTAMPTZ.oid || to.oid == PgType::TIMESTAMPTZ.oid;
        let identity = format!("{from:?}{to:?}{}", if zoned { zone.name() } else { "" });
        call_with(
            "time_cast",
            identity,
            to.arrow(),
            vec![expr],
            move |arrays| {
                let array = &arrays[0];
                let local = |micros: i64| {
                    if from.oid == 1184 {
                        zone.to_local(micros)
                            .ok_or_else(|| out_of_range("timestamp"))
                    } else {
                        Ok(micros)
                    }
                };
                let utc = |micros: i64| {
                    if to.oid == 1184 {
                        zone.to_utc(micros).ok_or_else(|| out_of_range("timestamp"))
                    } else {
                        Ok(micros)
                    }
                };
                let null = |row: usize| array.is_null(row);
                Ok(match (side(array)?, to.oid) {
                    (Side::Date(dates), 1114 | 1184) => {
                        stamps(array.len(), &null, to.oid == 1184, |row| {
                            utc(date_to_timestamp(dates.value(row)).map_err(carried)?)
                        })?
                    }
                    (Side::Stamp(values), 1114 | 1184) => {
                        stamps(array.len(), &null, to.oid == 1184, |row| {
                            let value = values.value(row);
                            let value = if from.oid == to.oid {
                                value
                            } else {
                                utc(local(value)?)?
                            };
                            Ok(crate::text::calendar::round_to_modifier(value, to))
                        })?
                    }
                    (Side::Stamp(values), 1082) => {
                        let values: Date32Array = rows(arrays, |row| {
                            local(values.value(row)).map(|micros| Some(timestamp_to_date(micros)))
                        })?;
                        Arc::new(values)
                    }
                    (Side::Stamp(values), 1083) => {
                        let values: Time64MicrosecondArray = rows(arrays, |row| {
                            local(values.value(row)).map(|micros| Some(micros.rem_euclid(DAY)))
                        })?;
                        Arc::new(values)
                    }
                    (Side::Time(values), 1186) => intervals(array.len(), &null, |row| {
                        interval_of(0, 0, values.value(row))
                    })?,
                    (Side::Interval(values), 1083) => {
                        let values: Time64MicrosecondArray = rows(arrays, |row| {
                            Ok(Some((values.value(row).nanoseconds / 1000).rem_euclid(DAY)))
                        })?;
                        Arc::new(values)
                    }
                    (Side::Time(_) | Side::Interval(_) | Side::Date(_), _) => Arc::clone(array),
                    _ => return Err(Error::value("XX000", "no such cast between times")),
                })
            },
        )
    }
}

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

pub(super) fn named_zone(name: &str) -> Result<Zone> {
    Zone::parse(name)
        .ok_or_else(|| Error::value("22023", format!("time zone \"{name}\" not recognized")))
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
                    "hour" | "minute" | "second" | "microsecond" | "millisecond" | "timezone" => {
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
            let values: arrow::array::PrimitiveArray<Decimal128Type> =
                millionths.into_iter().collect();
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

/// `timezone(zone, value)`: AT TIME ZONE.
pub(super) fn at_zone(zone: Expr, value: Expr, from: PgType) -> (Expr, PgType) {
    let to = if from.oid == PgType::TIMESTAMPTZ.oid {
        PgType::TIMESTAMP
    } else {
        PgType::TIMESTAMPTZ
    };
    let expr = call_with(
        "timezone",
        format!("{from:?}"),
        to.arrow(),
        vec![zone, value],
        move |arrays| {
            let values = arrays[1].as_primitive::<TimestampMicrosecondType>();
            let null = |row: usize| arrays.iter().any(|array| array.is_null(row));
            stamps(values.len(), &null, to.oid == 1184, |row| {
                let zone = match arrays[0].data_type() {
                    DataType::Utf8 => named_zone(arrays[0].as_string::<i32>().value(row))?,
                    _ => {
                        let by = arrays[0]
                            .as_primitive::<IntervalMonthDayNanoType>()
                            .value(row);
                        Zone::from_seconds((by.nanoseconds / 1_000_000_000) as i32)
                    }
                };
                let value = values.value(row);
                let moved = if to.oid == 1184 {
                    zone.to_utc(value)
                } else {
                    zone.to_local(value)
                };
                moved.ok_or_else(|| out_of_range("timestamp"))
            })
        },
    );
    (expr, to)
}

/// `age(later, earlier)`: years, months and days by the calendar.
pub(super) fn age(later: Expr, earlier: Expr, ty: PgType, zone: &Zone) -> Expr {
    let zone = zone.clone();
    let zoned = ty.oid == PgType::TIMESTAMPTZ.oid;
    let identity = format!("{ty:?}{}", if zoned { zone.name() } else { "" });
    call_with(
        "age",
        identity,
        interval(),
        vec![later, earlier],
        move |arrays| {
            let (a, b) = (
                arrays[0].as_primitive::<TimestampMicrosecondType>(),
                arrays[1].as_primitive::<TimestampMicrosecondType>(),
            );
            let null = |row: usize| a.is_null(row) || b.is_null(row);
            let local = |micros: i64| {
                if zoned {
                    zone.to_local(micros)
                        .ok_or_else(|| out_of_range("timestamp"))
                } else {
                    Ok(micros)
                }
            };
            intervals(a.len(), &null, |row| {
                let (a, b) = (local(a.value(row))?, local(b.value(row))?);
                if a >= b {
                    difference(a, b)
                } else {
                    difference(b, a).and_then(|value| scale(value, -1.0))
                }
            })
        },
    )
}

fn difference(later: i64, earlier: i64) -> Result<IntervalMonthDayNano> {
    let ((later_days, later_time), (earlier_days, earlier_time)) =
        (split_day(later), split_day(earlier));
    let (a, b) = (Civil::from_days(later_days), Civil::from_days(earlier_days));
    let mut time = later_time - earlier_time;
    let mut days = i64::from(a.day) - i64::from(b.day);
    let mut months = (a.year - b.year) * 12 + i64::from(a.month) - i64::from(b.month);
    if time < 0 {
        time += DAY;
        days -= 1;
    }
    if days < 0 {
        days += i64::from(Civil::days_in_month(b.year, b.month));
        months -= 1;
    }
    interval_of(months, days, time)
}

/// `to_timestamp(seconds)`.
pub(super) fn from_epoch(value: Expr) -> Expr {
    call("to_timestamp", timestamptz(), vec![value], |arrays| {
        let seconds = arrays[0].as_primitive::<Float64Type>();
        let null = |row: usize| seconds.is_null(row);
        stamps(seconds.len(), &null, true, |row| {
            let micros = seconds.value(row) * 1e6;
            if micros.is_nan() || micros.abs() > 9.2e18 {
                Err(out_of_range("timestamp"))
            } else {
                Ok(micros.round() as i64)
            }
        })
    })
}

/// `make_date`, `make_time`, `make_timestamp`, `make_timestamptz`, `make_interval`.
pub(super) fn make(name: &str, args: Vec<Expr>, zone: &Zone) -> Option<Expr> {
    let int = |arrays: &[ArrayRef], at: usize, row: usize| {
        i64::from(arrays[at].as_primitive::<Int32Type>().value(row))
    };
    let date = move |arrays: &[ArrayRef], row: usize| -> Result<i64> {
        let (year, month, day) = (
            int(arrays, 0, row),
            int(arrays, 1, row),
            int(arrays, 2, row),
        );
        let year = if year < 0 { year + 1 } else { year };
        let month = u32::try_from(month)
            .ok()
            .filter(|month| (1..=12).contains(month));
        match (month, u32::try_from(day)) {
            (Some(month), Ok(day)) if day >= 1 && day <= Civil::days_in_month(year, month) => {
                Ok(Civil { year, month, day }.days())
            }
            _ => Err(Error::value(
                "22008",
                format!(
                    "date field value out of range: {year}-{:02}-{day:02}",
                    month.unwrap_or(0)
                ),
            )),
        }
    };
    let time = move |arrays: &[ArrayRef], at: usize, row: usize| -> i64 {
        let seconds = arrays[at + 2].as_primitive::<Float64Type>().value(row);
        (int(arrays, at, row) * 3600 + int(arrays, at + 1, row) * 60) * SECOND
            + (seconds * 1e6).round() as i64
    };
    Some(match (name, args.len()) {
        ("make_date", 3) => call_with(name, "", DataType::Date32, args, move |arrays| {
            let values: Date32Array = rows(arrays, |row| {
                date_from_days(date(arrays, row)?)
                    .map(Some)
                    .ok_or_else(|| out_of_range("date"))
            })?;
            Ok(Arc::new(values))
        }),
        ("make_time", 3) => call_with(
            name,
            "",
            DataType::Time64(TimeUnit::Microsecond),
            args,
            move |arrays| {
                let values: Time64MicrosecondArray =
                    rows(arrays, |row| Ok(Some(time(arrays, 0, row))))?;
                Ok(Arc::new(values))
            },
        ),
        ("make_timestamp", 6) => call_with(name, "", timestamp(), args, move |arrays| {
            let null = |row: usize| arrays.iter().any(|array| array.is_null(row));
            stamps(arrays[0].len(), &null, false, |row| {
                join_day(date(arrays, row)?, time(arrays, 3, row))
                    .ok_or_else(|| out_of_range("timestamp"))
            })
        }),
        ("make_timestamptz", 6 | 7) => {
            let zone = zone.clone();
            call_with(
                name,
                zone.name().to_owned(),
                timestamptz(),
                args,
                move |arrays| {
                    let null = |row: usize| arrays.iter().any(|array| array.is_null(row));
                    stamps(arrays[0].len(), &null, true, |row| {
                        let local = join_day(date(arrays, row)?, time(arrays, 3, row))
                            .ok_or_else(|| out_of_range("timestamp"))?;
                        let zone = match arrays.get(6) {
                            Some(names) => named_zone(names.as_string::<i32>().value(row))?,
                            None => zone.clone(),
                        };
                        zone.to_utc(local).ok_or_else(|| out_of_range("timestamp"))
                    })
                },
            )
        }
        ("make_interval", 7) => call_with(name, "", interval(), args, move |arrays| {
            let null = |row: usize| arrays.iter().any(|array| array.is_null(row));
            intervals(arrays[0].len(), &null, |row| {
                interval_of(
                    int(arrays, 0, row) * 12 + int(arrays, 1, row),
                    int(arrays, 2, row) * 7 + int(arrays, 3, row),
                    time(arrays, 4, row),
                )
            })
        }),
        _ => return None,
    })
}

/// `generate_series(start, stop, step)` over timestamps.
pub(super) fn series(args: Vec<Expr>, ty: PgType, zone: &Zone) -> Expr {
    let zone = zone.clone();
    let zoned = ty.oid == PgType::TIMESTAMPTZ.oid;
    let identity = format!("{ty:?}{}", if zoned { zone.name() } else { "" });
    let field = Arc::new(arrow::datatypes::Field::new("item", ty.arrow(), true));
    call_with(
        "time_series",
        identity,
        DataType::List(Arc::clone(&field)),
        args,
        move |arrays| {
            const MAX_STEPS: usize = 10_000_000;
            let (start, stop) = (
                arrays[0].as_primitive::<TimestampMicrosecondType>(),
                arrays[1].as_primitive::<TimestampMicrosecondType>(),
            );
            let step = arrays[2].as_primitive::<IntervalMonthDayNanoType>();
            let (mut values, mut lengths) = (Vec::new(), Vec::new());
            for row in 0..start.len() {
                let before = values.len();
                if !arrays.iter().any(|array| array.is_null(row)) {
                    let by = step.value(row);
                    let weight = i128::from(by.months) * 30 * i128::from(DAY)
                        + i128::from(by.days) * i128::from(DAY)
                        + i128::from(by.nanoseconds / 1000);
                    if weight == 0 {
                        return Err(Error::value("22023", "step size cannot equal zero"));
                    }
                    let mut at = start.value(row);
                    while (weight > 0 && at <= stop.value(row))
                        || (weight < 0 && at >= stop.value(row))
                    {
                        values.push(at);
                        if values.len() - before > MAX_STEPS {
                            return Err(Error::value(
                                "54000",
                                format!("generate_series may make at most {MAX_STEPS} rows"),
                            ));
                        }
                        at = if zoned {
                            add_zoned(at, by, 1, &zone)?
                        } else {
                            add(at, by, 1)?
                        };
                    }
                }
                lengths.push(values.len() - before);
            }
            let values = TimestampMicrosecondArray::from(values);
            let values: ArrayRef = Arc::new(if zoned {
                values.with_timezone("UTC")
            } else {
                values
            });
            let list = arrow::array::ListArray::try_new(
                Arc::clone(&field),
                arrow::buffer::OffsetBuffer::from_lengths(lengths),
                values,
                None,
            )
            .map_err(|error| Error::value("XX000", error.to_string()))?;
            Ok(Arc::new(list))
        },
    )
}

/// `justify_days`, `justify_hours`, `justify_interval`.
pub(super) fn justify(name: &str, value: Expr) -> Expr {
    let (hours, days) = (name != "justify_days", name != "justify_hours");
    call_with(name, "", interval(), vec![value], move |arrays| {
        let values = arrays[0].as_primitive::<IntervalMonthDayNanoType>();
        let null = |row: usize| values.is_null(row);
        intervals(values.len(), &null, |row| {
            let value = values.value(row);
            let (mut m, mut d, mut t) = (
                i64::from(value.months),
                i64::from(value.days),
                value.nanoseconds / 1000,
            );
            if hours {
                d += t / DAY;
                t %= DAY;
            }
            if days {
                m += d / 30;
                d %= 30;
            }
            if days && m > 0 && (d < 0 || (d == 0 && t < 0)) {
                d += 30;
                m -= 1;
            } else if days && m < 0 && (d > 0 || (d == 0 && t > 0)) {
                d -= 30;
                m += 1;
            }
            if hours && d > 0 && t < 0 {
                t += DAY;
                d -= 1;
            } else if hours && d < 0 && t > 0 {
                t -= DAY;
                d += 1;
            }
            interval_of(m, d, t)
        })
    })
}

/// `isfinite`.
pub(super) fn is_finite(value: Expr) -> Expr {
    call("isfinite", DataType::Boolean, vec![value], |arrays| {
        let values: arrow::array::BooleanArray = match side(&arrays[0])? {
            Side::Date(values) => values
                .iter()
                .map(|value| value.map(|value| value != i32::MAX && value != i32::MIN))
                .collect(),
            Side::Stamp(values) => values
                .iter()
                .map(|value| value.map(|value| value != i64::MAX && value != i64::MIN))
                .collect(),
            _ => (0..arrays[0].len())
                .map(|row| (!arrays[0].is_null(row)).then_some(true))
                .collect(),
        };
        Ok(Arc::new(values))
    })
}

/// Texts of a column, for functions of this module and its neighbours.
pub(super) fn texts(values: Vec<Option<String>>) -> ArrayRef {
    Arc::new(StringArray::from(values))
}

/// A time of day as text needs the type.
pub(super) fn time_of_day(array: &ArrayRef, row: usize) -> i64 {
    array.as_primitive::<Time64MicrosecondType>().value(row)
}

/// Days since 1970 of a date column.
pub(super) fn days(array: &ArrayRef, row: usize) -> i32 {
    array.as_primitive::<Date32Type>().value(row)
}
