//! Dates, times and intervals: arithmetic and casts. Values with a zone are UTC; where calendar
//! fields come in, the session's zone is an explicit part of the function.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Float64Array, Int32Array, IntervalMonthDayNanoArray,
    StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Date32Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    Time64MicrosecondType, TimeUnit,
};
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{call, call_with, rows};
use omnigraph_udfs::{Error, Result};

use super::Binder;
use super::text_io::carried;
use crate::text::Zone;
use crate::text::calendar::{
    Civil, DATE_INFINITY, DATE_MINUS_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY,
    date_from_days, date_to_timestamp, join_day, split_day, timestamp_to_date,
};

pub(super) const DAY: i64 = 86_400_000_000;
pub(super) const SECOND: i64 = 1_000_000;

pub(super) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

pub(super) fn timestamptz() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

pub(super) fn interval() -> DataType {
    DataType::Interval(IntervalUnit::MonthDayNano)
}

pub(super) fn out_of_range(what: &str) -> Error {
    Error::value("22008", format!("{what} out of range"))
}

/// What stands on one side of an operator, as microseconds or whole.
pub(super) enum Side<'a> {
    Int(&'a Int32Array),
    Float(&'a Float64Array),
    Date(&'a Date32Array),
    Time(&'a Time64MicrosecondArray),
    Stamp(&'a TimestampMicrosecondArray),
    Interval(&'a IntervalMonthDayNanoArray),
}

pub(super) fn side(array: &ArrayRef) -> Result<Side<'_>> {
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
                            } else if is_infinite_date(dates.value(row)) {
                                Ok(Some(dates.value(row)))
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
                        .map(|row| {
                            if null(row) {
                                return Ok(None);
                            }
                            let (a, b) = (a.value(row), b.value(row));
                            if is_infinite_date(a) || is_infinite_date(b) {
                                return Err(infinite("dates"));
                            }
                            Ok(Some(a.wrapping_sub(b)))
                        })
                        .collect::<Result<_>>()?;
                    Arc::new(values)
                }
                (Side::Date(dates), Side::Time(times)) => stamps(count, &null, false, |row| {
                    let micros = date_to_timestamp(dates.value(row)).map_err(carried)?;
                    Ok(match is_infinite(micros) {
                        true => micros,
                        false => micros + times.value(row),
                    })
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
                    let (a, b) = (a.value(row), b.value(row));
                    if is_infinite(a) || is_infinite(b) {
                        return Err(infinite("timestamps"));
                    }
                    let micros = a.checked_sub(b).ok_or_else(|| out_of_range("interval"))?;
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

pub(super) fn stamps(
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

pub(super) fn intervals(
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

pub(super) fn interval_of(months: i64, days: i64, micros: i64) -> Result<IntervalMonthDayNano> {
    let error = || out_of_range("interval");
    Ok(IntervalMonthDayNano::new(
        i32::try_from(months).map_err(|_| error())?,
        i32::try_from(days).map_err(|_| error())?,
        micros.checked_mul(1000).ok_or_else(error)?,
    ))
}

pub(super) fn is_infinite(micros: i64) -> bool {
    matches!(micros, TIMESTAMP_INFINITY | TIMESTAMP_MINUS_INFINITY)
}

fn is_infinite_date(days: i32) -> bool {
    matches!(days, DATE_INFINITY | DATE_MINUS_INFINITY)
}

pub(super) fn infinite(what: &str) -> Error {
    Error::value("22008", format!("cannot subtract infinite {what}"))
}

/// Months first, by the calendar and cut at the month's end, then days, then time.
pub(super) fn add(micros: i64, by: IntervalMonthDayNano, sign: i64) -> Result<i64> {
    let error = || out_of_range("timestamp");
    if is_infinite(micros) {
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
pub(super) fn add_zoned(
    micros: i64,
    by: IntervalMonthDayNano,
    sign: i64,
    zone: &Zone,
) -> Result<i64> {
    let error = || out_of_range("timestamp");
    if is_infinite(micros) {
        return Ok(micros);
    }
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
pub(super) fn scale(value: IntervalMonthDayNano, by: f64) -> Result<IntervalMonthDayNano> {
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

pub(super) fn named_zone(name: &str) -> Result<Zone> {
    Zone::parse(name)
        .ok_or_else(|| Error::value("22023", format!("time zone \"{name}\" not recognized")))
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
