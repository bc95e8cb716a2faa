//! `generate_series`: its values one after the other, and the call that makes a list of them.
//! A series that stands alone is never a list: [`Series`](super::project_series::Series).

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, ListArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    DataType, Field, Int32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
    TimestampMicrosecondType,
};
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::call_with;
use omnigraph_udfs::{Error, Result};

use super::datetime::{DAY, add, add_zoned};
use crate::text::Zone;

pub(super) const NAME: &str = "generate_series";

/// Values that are held at once where a series is zipped with other sets.
const MAX_LISTED: usize = 10_000_000;

/// The series of each row as a list, for a call beside others in one SELECT list.
pub(super) fn list(args: Vec<Expr>, element: PgType, zone: &Zone) -> Expr {
    let zone = zone.clone();
    let element = element.arrow();
    let zoned = matches!(&element, DataType::Timestamp(_, Some(_)));
    let identity = if zoned { zone.name() } else { "" }.to_owned();
    let field = Arc::new(Field::new("item", element.clone(), true));
    let returns = DataType::List(Arc::clone(&field));
    call_with(NAME, identity, returns, args, move |bounds| {
        let (mut values, mut lengths) = (Vec::new(), Vec::new());
        for row in 0..bounds[0].len() {
            let before = values.len();
            if let Some(mut steps) = Steps::of(bounds, row)? {
                while let Some(value) = steps.next(&zone)? {
                    if values.len() == MAX_LISTED {
                        return Err(Error::value(
                            "54000",
                            format!(
                                "generate_series() beside another set-returning function \
                                 makes at most {MAX_LISTED} rows"
                            ),
                        ));
                    }
                    values.push(value);
                }
            }
            lengths.push(values.len() - before);
        }
        let list = ListArray::try_new(
            Arc::clone(&field),
            OffsetBuffer::from_lengths(lengths),
            array(values, &element),
            None,
        );
        match list {
            Ok(list) => Ok(Arc::new(list) as ArrayRef),
            Err(error) => Err(Error::value("XX000", error.to_string())),
        }
    })
}

/// Values of a series as an array of its element type.
pub(super) fn array(values: Vec<i64>, element: &DataType) -> ArrayRef {
    match element {
        // Within bounds that are int4.
        DataType::Int32 => Arc::new(Int32Array::from_iter_values(
            values.into_iter().map(|value| value as i32),
        )),
        DataType::Timestamp(_, zone) => {
            Arc::new(TimestampMicrosecondArray::from(values).with_timezone_opt(zone.clone()))
        }
        _ => Arc::new(Int64Array::from(values)),
    }
}

/// The values of one series that are still to come.
pub(super) struct Steps {
    next: Option<i64>,
    stop: i64,
    by: By,
    upwards: bool,
}

enum By {
    Number(i64),
    Time {
        interval: IntervalMonthDayNano,
        zoned: bool,
    },
}

impl Steps {
    /// The series of a row of (start, stop[, step]); `None` if one of them is NULL.
    pub(super) fn of(bounds: &[ArrayRef], row: usize) -> Result<Option<Steps>> {
        if bounds.iter().any(|bound| bound.is_null(row)) {
            return Ok(None);
        }
        let number = |at: usize| match bounds[at].data_type() {
            DataType::Int32 => i64::from(bounds[at].as_primitive::<Int32Type>().value(row)),
            DataType::Int64 => bounds[at].as_primitive::<Int64Type>().value(row),
            _ => bounds[at]
                .as_primitive::<TimestampMicrosecondType>()
                .value(row),
        };
        let (by, sign) = match bounds[0].data_type() {
            DataType::Timestamp(_, zone) => {
                let interval = bounds[2]
                    .as_primitive::<IntervalMonthDayNanoType>()
                    .value(row);
                let zoned = zone.is_some();
                (
                    By::Time { interval, zoned },
                    length(interval).signum() as i64,
                )
            }
            _ => {
                let step = if bounds.len() > 2 { number(2) } else { 1 };
                (By::Number(step), step.signum())
            }
        };
        if sign == 0 {
            return Err(Error::value("22023", "step size cannot equal zero"));
        }
        Ok(Some(Steps {
            next: Some(number(0)),
            stop: number(1),
            by,
            upwards: sign > 0,
        }))
    }

    pub(super) fn next(&mut self, zone: &Zone) -> Result<Option<i64>> {
        let within = |value: &i64| {
            if self.upwards {
                *value <= self.stop
            } else {
                *value >= self.stop
            }
        };
        let Some(value) = self.next.take().filter(within) else {
            return Ok(None);
        };
        self.next = match self.by {
            By::Number(step) => value.checked_add(step),
            By::Time { interval, zoned } if zoned => Some(add_zoned(value, interval, 1, zone)?),
            By::Time { interval, .. } => Some(add(value, interval, 1)?),
        };
        Ok(Some(value))
    }
}

/// Microseconds, with days of 24 hours and months of 30 days: which way an interval points.
fn length(by: IntervalMonthDayNano) -> i128 {
    i128::from(by.months) * 30 * i128::from(DAY)
        + i128::from(by.days) * i128::from(DAY)
        + i128::from(by.nanoseconds / 1000)
}
