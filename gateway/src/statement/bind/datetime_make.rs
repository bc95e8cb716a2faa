//! Dates, times and intervals made of others: `make_*`, `age`, zones, `justify_*`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array, Time64MicrosecondArray};
use arrow::datatypes::{
    DataType, Float64Type, Int32Type, IntervalMonthDayNano, IntervalMonthDayNanoType, TimeUnit,
    TimestampMicrosecondType,
};
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{call, call_with, rows};
use omnigraph_udfs::{Error, Result};

use super::datetime::{
    DAY, SECOND, Side, infinite, interval, interval_of, intervals, is_infinite, named_zone,
    out_of_range, scale, side, stamps, timestamp, timestamptz,
};
use crate::text::Zone;
use crate::text::calendar::{Civil, date_from_days, join_day, split_day};

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
                let (a, b) = (a.value(row), b.value(row));
                if is_infinite(a) || is_infinite(b) {
                    return Err(infinite("timestamps"));
                }
                let (a, b) = (local(a)?, local(b)?);
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
        let values: BooleanArray = match side(&arrays[0])? {
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
