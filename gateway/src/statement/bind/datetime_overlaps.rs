//! OVERLAPS: do two periods have a moment in common?

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Time64MicrosecondType, TimestampMicrosecondType};
use datafusion::logical_expr::Volatility;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::PgFunction;

use super::Binder;
use super::typed::Typed;
use crate::error::PgResult;

impl Binder<'_> {
    /// Start and end of two periods; an end may be how long it takes.
    pub(super) fn overlaps(&mut self, args: Vec<Typed>, at: Option<u32>) -> PgResult<Typed> {
        let mut moments: Vec<Typed> = Vec::with_capacity(4);
        for arg in args {
            let moment = match moments.last() {
                Some(start) if arg.ty.oid == PgType::INTERVAL.oid => {
                    self.operator("+", start.clone(), arg, at)?
                }
                _ => arg,
            };
            moments.push(moment);
        }
        let moments = moments.into_iter().map(|moment| moment.expr).collect();
        let body = |arrays: &[ArrayRef], count: usize| {
            let at = |array: usize, row: usize| micros(&arrays[array], row);
            let found: BooleanArray = (0..count)
                .map(|row| meet((at(0, row), at(1, row)), (at(2, row), at(3, row))))
                .collect();
            Ok(Arc::new(found) as ArrayRef)
        };
        let function = PgFunction::new(
            "overlaps",
            DataType::Boolean,
            Volatility::Immutable,
            Arc::new(body),
        );
        Ok(Typed::bool(function.lenient().over(moments)))
    }
}

fn micros(array: &ArrayRef, row: usize) -> Option<i64> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Time64(_) => array.as_primitive::<Time64MicrosecondType>().value(row),
        _ => array.as_primitive::<TimestampMicrosecondType>().value(row),
    })
}

type Period = (Option<i64>, Option<i64>);

/// `None`: what is not known would decide.
fn meet(one: Period, other: Period) -> Option<bool> {
    let ((start, end), (other_start, other_end)) = (ordered(one)?, ordered(other)?);
    if start == other_start {
        // A moment at least, if both are periods at all.
        return end.and(other_end).map(|_| true);
    }
    let (first_end, second_start, second_end) = if start < other_start {
        (end, other_start, other_end)
    } else {
        (other_end, start, end)
    };
    if second_start < first_end? {
        return Some(true);
    }
    second_end.map(|_| false)
}

/// The earlier end first; an unknown one last.
fn ordered((start, end): Period) -> Option<(i64, Option<i64>)> {
    match (start, end) {
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => Some((one, None)),
        (Some(start), Some(end)) => Some((start.min(end), Some(start.max(end)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_half_open_and_moments_are_periods() {
        let period = |start, end| (Some(start), Some(end));
        assert_eq!(meet(period(1, 5), period(4, 9)), Some(true));
        assert_eq!(meet(period(1, 5), period(5, 9)), Some(false));
        assert_eq!(meet(period(5, 1), period(4, 4)), Some(true));
        assert_eq!(meet(period(4, 4), period(4, 9)), Some(true));
        assert_eq!(meet((Some(1), None), period(4, 9)), None);
        assert_eq!(meet(period(1, 5), (Some(2), None)), Some(true));
        assert_eq!(meet((None, None), period(4, 9)), None);
    }
}
