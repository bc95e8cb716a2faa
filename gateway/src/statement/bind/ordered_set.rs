//! The functions of an ordered array behind ordered-set aggregates.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, UInt32Array, make_comparator};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::Float64Type;
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{call_with, rows};
use omnigraph_udfs::{Error, Result};

/// percentile_cont, percentile_disc and mode of an ordered array.
pub(super) fn ordered_set(name: &str, list: Expr, fraction: Expr, element: PgType) -> Expr {
    let name = name.to_owned();
    let returns = element.arrow();
    call_with(
        "ordered_set",
        format!("{name}{element:?}"),
        returns,
        vec![list, fraction],
        move |arrays| {
            let lists = arrays[0].as_list::<i32>();
            let fractions = arrays[1].as_primitive::<Float64Type>();
            if name == "percentile_cont" {
                let values: Float64Array = rows(arrays, |row| {
                    let items = lists.value(row);
                    let items = items.as_primitive::<Float64Type>();
                    let fraction = checked(fractions.value(row))?;
                    if items.is_empty() {
                        return Ok(None);
                    }
                    let place = fraction * (items.len() - 1) as f64;
                    let (low, high) = (place.floor() as usize, place.ceil() as usize);
                    let (a, b) = (items.value(low), items.value(high));
                    Ok(Some(a + (b - a) * (place - low as f64)))
                })?;
                return Ok(Arc::new(values));
            }
            let mut places: Vec<Option<u32>> = Vec::with_capacity(lists.len());
            for row in 0..lists.len() {
                if lists.is_null(row) || lists.value_length(row) == 0 || fractions.is_null(row) {
                    places.push(None);
                    continue;
                }
                let (start, length) = (
                    lists.value_offsets()[row] as usize,
                    lists.value_length(row) as usize,
                );
                let at = if name == "mode" {
                    longest_run(lists.values(), start, length)?
                } else {
                    let rank = (checked(fractions.value(row))? * length as f64).ceil() as usize;
                    start + rank.max(1) - 1
                };
                places.push(Some(at as u32));
            }
            Ok(take(lists.values(), &UInt32Array::from(places), None)?)
        },
    )
}

fn checked(fraction: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&fraction) {
        Ok(fraction)
    } else {
        Err(Error::value(
            "22003",
            format!("percentile value {fraction} is not between 0 and 1"),
        ))
    }
}

/// Where the most frequent value of an ordered run begins.
fn longest_run(values: &ArrayRef, start: usize, length: usize) -> Result<usize> {
    let compare = make_comparator(values.as_ref(), values.as_ref(), SortOptions::default())?;
    let (mut best, mut best_length) = (start, 0);
    let mut run = start;
    for at in start..start + length {
        if !compare(run, at).is_eq() {
            run = at;
        }
        if at - run + 1 > best_length {
            (best, best_length) = (run, at - run + 1);
        }
    }
    Ok(best)
}
