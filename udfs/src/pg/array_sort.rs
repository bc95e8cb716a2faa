//! Arrays whose elements are sorted.

use std::sync::Arc;

use arrow::array::{Array, AsArray, ListArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{SortOptions, sort_to_indices, take};
use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::Expr;

use super::function::call_with;

/// The array's elements, sorted.
pub fn sorted(element: &DataType, list: Expr, options: SortOptions) -> Expr {
    let field = Arc::new(Field::new("item", element.clone(), true));
    call_with(
        "array_sort",
        format!("{options:?}"),
        DataType::List(Arc::clone(&field)),
        vec![list],
        move |arrays| {
            let list = arrays[0].as_list::<i32>();
            let mut indices = Vec::with_capacity(list.values().len());
            let mut lengths = Vec::with_capacity(list.len());
            for (row, start) in list.value_offsets().iter().take(list.len()).enumerate() {
                let order = sort_to_indices(&list.value(row), Some(options), None)?;
                indices.extend(order.values().iter().map(|at| at + *start as u32));
                lengths.push(order.len());
            }
            let values = take(list.values(), &UInt32Array::from(indices), None)?;
            let offsets = OffsetBuffer::from_lengths(lengths);
            let field = Arc::clone(&field);
            let sorted = ListArray::try_new(field, offsets, values, list.nulls().cloned())?;
            Ok(Arc::new(sorted))
        },
    )
}
