//! Functions and operators over arrays. Arrays have one dimension and count from 1.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, StringBuilder, UInt32Array, make_comparator, new_empty_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{SortOptions, concat, take};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::{Expr, Volatility};
use datafusion::physical_expr::create_physical_expr;

use super::function::{PgFunction, call, call_with, rows};
use crate::error::{Error, Result};

/// How many elements a function may make for one row.
const MAX_ELEMENTS: i64 = 1 << 27;

/// The array operators, by the function behind them. `returns` is an array or bool.
pub fn operator(code: &str, returns: &DataType, args: Vec<Expr>) -> Expr {
    function(code, returns, args.clone()).unwrap_or_else(|| {
        let code = code.to_owned();
        call_with(&code.clone(), "", returns.clone(), args, move |_| {
            Err(Error::value("0A000", format!("{code} is not supported")))
        })
    })
}

pub fn is_implemented(name: &str, arity: usize) -> bool {
    body(name, arity).is_some()
}

/// An array function by name; elements of both sides have one type.
pub fn function(name: &str, returns: &DataType, args: Vec<Expr>) -> Option<Expr> {
    let (body, strict) = body(name, args.len())?;
    let function = PgFunction::new(
        name,
        returns.clone(),
        Volatility::Immutable,
        Arc::new(move |arrays, _| body(arrays)),
    );
    Some(if strict { function } else { function.lenient() }.over(args))
}

type Body = fn(&[ArrayRef]) -> Result<ArrayRef>;

/// The body, and whether NULL arguments make the result NULL.
fn body(name: &str, arity: usize) -> Option<(Body, bool)> {
    Some(match (name, arity) {
        ("array_append", 2) => (|a| append(a, false), false),
        ("array_prepend", 2) => (|a| append(a, true), false),
        ("array_cat", 2) => (cat, false),
        ("arraycontains", 2) => (|a| contains(&a[0], &a[1], true), true),
        ("arraycontained", 2) => (|a| contains(&a[1], &a[0], true), true),
        ("arrayoverlap", 2) => (|a| contains(&a[0], &a[1], false), true),
        ("array_length" | "array_upper", 2) => {
            (|a| bound(a, |length| (length > 0).then_some(length)), true)
        }
        ("array_lower", 2) => (|a| bound(a, |length| (length > 0).then_some(1)), true),
        ("array_ndims", 1) => (|a| lengths(a, |length| (length > 0).then_some(1)), true),
        ("cardinality", 1) => (|a| lengths(a, Some), true),
        ("array_dims", 1) => (dims, true),
        ("array_position", 2 | 3) => (position, false),
        ("array_positions", 2) => (positions, false),
        ("array_remove", 2) => (remove, false),
        ("array_replace", 3) => (replace, false),
        ("trim_array", 2) => (trim, true),
        ("string_to_array" | "string_to_table", 2 | 3) => (split, false),
        ("array_to_string", 2 | 3) => (join, false),
        ("unnest", 1) => (|a| Ok(Arc::clone(&a[0])), true),
        ("generate_subscripts", 2 | 3) => (subscripts, true),
        ("array_fill", 2) => (fill, false),
        _ => return None,
    })
}

/// `ARRAY[…]`.
pub fn construct(element: &DataType, args: Vec<Expr>) -> Expr {
    let field = Arc::new(Field::new("item", element.clone(), true));
    let returns = DataType::List(Arc::clone(&field));
    let width = args.len();
    let body = move |arrays: &[ArrayRef], count: usize| {
        if width == 0 {
            return Ok(Arc::new(ListArray::new(
                Arc::clone(&field),
                OffsetBuffer::from_lengths(std::iter::repeat_n(0, count)),
                new_empty_array(field.data_type()),
                None,
            )) as ArrayRef);
        }
        let parts: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        let values = concat(&parts)?;
        let indices = (0..count)
            .flat_map(|row| (0..width).map(move |column| (column * count + row) as u32))
            .collect();
        list(
            &field,
            &values,
            indices,
            std::iter::repeat_n(width, count),
            None,
        )
    };
    PgFunction::new("array", returns, Volatility::Immutable, Arc::new(body))
        .lenient()
        .over(args)
}

/// `array[index]`; catalogs' vectors count from `base` 0.
pub fn subscript(array: Expr, index: Expr, element: &DataType, base: i32) -> Expr {
    call_with(
        "subscript",
        format!("{element}{base}"),
        element.clone(),
        vec![array, index],
        move |arrays| {
            let list = arrays[0].as_list::<i32>();
            let index = arrays[1].as_primitive::<Int32Type>();
            let at: UInt32Array = (0..list.len())
                .map(|row| {
                    if list.is_null(row) || index.is_null(row) {
                        return None;
                    }
                    let at = index.value(row).checked_sub(base)?;
                    (at >= 0 && at < list.value_length(row))
                        .then(|| (list.value_offsets()[row] + at) as u32)
                })
                .collect();
            Ok(take(list.values(), &at, None)?)
        },
    )
}

/// `array[low:high]`; an absent bound is NULL.
pub fn slice(array: Expr, low: Expr, high: Expr, returns: &DataType) -> Expr {
    PgFunction::new(
        "slice",
        returns.clone(),
        Volatility::Immutable,
        Arc::new(|arrays, _| {
            let list = arrays[0].as_list::<i32>();
            let (low, high) = (
                arrays[1].as_primitive::<Int32Type>(),
                arrays[2].as_primitive::<Int32Type>(),
            );
            pick(list, |row, length| {
                let from = if low.is_null(row) {
                    1
                } else {
                    low.value(row).max(1)
                };
                let to = if high.is_null(row) {
                    length
                } else {
                    high.value(row).min(length)
                };
                Ok((from - 1..to).collect())
            })
        }),
    )
    .lenient()
    .over(vec![array, low, high])
}

/// The columns that the body of [`quantified`] is over.
pub const LEFT: &str = "left";
pub const ELEMENT: &str = "element";

/// The names of `left = ANY (array)` and `left <> ALL (array)` over sides of one type: once the
/// array is known, they are lists that a scan understands.
pub const ANY_EQUAL: &str = "any_equal";
pub const ALL_DIFFER: &str = "all_differ";
/// The name of every other comparison with ANY or ALL.
pub const QUANTIFIED: &str = "quantified";

/// `left op ANY (array)` and `ALL`: `body` is the comparison of [`LEFT`] with [`ELEMENT`].
pub fn quantified(
    name: &'static str,
    left: Expr,
    left_type: &DataType,
    array: Expr,
    element: &DataType,
    body: Expr,
    all: bool,
) -> Expr {
    let source = Arc::new(Schema::new(vec![
        Field::new(LEFT, left_type.clone(), true),
        Field::new(ELEMENT, element.clone(), true),
    ]));
    let identity = format!("{all}{body:?}");
    let evaluate = move |arrays: &[ArrayRef], _: usize| -> Result<ArrayRef> {
        let list = arrays[1].as_list::<i32>();
        let (mut lefts, mut elements) = (Vec::new(), Vec::new());
        for row in (0..list.len()).filter(|row| !list.is_null(*row)) {
            for at in list.value_offsets()[row]..list.value_offsets()[row + 1] {
                lefts.push(row as u32);
                elements.push(at as u32);
            }
        }
        let columns = vec![
            take(&arrays[0], &UInt32Array::from(lefts), None)?,
            take(list.values(), &UInt32Array::from(elements), None)?,
        ];
        let batch = RecordBatch::try_new(Arc::clone(&source), columns)?;
        let schema = DFSchema::try_from(Arc::clone(&source)).map_err(foreign)?;
        let results = create_physical_expr(&body, &schema, &ExecutionProps::new())
            .and_then(|physical| physical.evaluate(&batch))
            .and_then(|value| value.into_array(batch.num_rows()))
            .map_err(foreign)?;
        let results = results.as_boolean();
        let mut at = 0;
        let values: BooleanArray = (0..list.len())
            .map(|row| {
                if list.is_null(row) {
                    return None;
                }
                let length = list.value_length(row) as usize;
                let (mut found, mut unknown) = (false, false);
                for position in at..at + length {
                    if results.is_null(position) {
                        unknown = true;
                    } else if results.value(position) != all {
                        found = true;
                    }
                }
                at += length;
                match (found, unknown) {
                    (true, _) => Some(!all),
                    (false, true) => None,
                    (false, false) => Some(all),
                }
            })
            .collect();
        Ok(Arc::new(values))
    };
    PgFunction::new(
        name,
        DataType::Boolean,
        Volatility::Immutable,
        Arc::new(evaluate),
    )
    .identity(identity)
    .lenient()
    .over(vec![left, array])
}

/// 1, 2, 3, … for as many rows as the longest of the lists has: WITH ORDINALITY.
pub fn ordinality(lists: Vec<Expr>) -> Expr {
    let field = Arc::new(Field::new("item", DataType::Int64, true));
    PgFunction::new(
        "ordinality",
        DataType::List(Arc::clone(&field)),
        Volatility::Immutable,
        Arc::new(move |arrays, count| {
            let lengths: Vec<usize> = (0..count)
                .map(|row| {
                    arrays
                        .iter()
                        .map(|array| {
                            let list = array.as_list::<i32>();
                            if list.is_null(row) {
                                0
                            } else {
                                list.value_length(row) as usize
                            }
                        })
                        .max()
                        .unwrap_or(0)
                })
                .collect();
            let values: Int64Array = lengths
                .iter()
                .flat_map(|length| 1..=*length as i64)
                .map(Some)
                .collect();
            let list = ListArray::try_new(
                Arc::clone(&field),
                OffsetBuffer::from_lengths(lengths),
                Arc::new(values),
                None,
            )?;
            Ok(Arc::new(list))
        }),
    )
    .lenient()
    .over(lists)
}

fn foreign(error: datafusion::error::DataFusionError) -> Error {
    match error {
        datafusion::error::DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => Error::value("XX000", other.to_string()),
        },
        other => Error::value("XX000", other.to_string()),
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Error::value("XX000", error.to_string())
    }
}

fn list(
    field: &Arc<Field>,
    values: &ArrayRef,
    indices: Vec<u32>,
    lengths: impl IntoIterator<Item = usize>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let values = take(values, &UInt32Array::from(indices), None)?;
    Ok(Arc::new(ListArray::try_new(
        Arc::clone(field),
        OffsetBuffer::from_lengths(lengths),
        values,
        nulls,
    )?))
}

fn field_of(list: &ListArray) -> Arc<Field> {
    Arc::new(Field::new("item", list.value_type(), true))
}

/// For each row the elements (from 0) to keep, in order.
fn pick(list_array: &ListArray, keep: impl Fn(usize, i32) -> Result<Vec<i32>>) -> Result<ArrayRef> {
    let (mut indices, mut lengths) = (Vec::new(), Vec::with_capacity(list_array.len()));
    for row in 0..list_array.len() {
        let kept = if list_array.is_null(row) {
            Vec::new()
        } else {
            keep(row, list_array.value_length(row))?
        };
        lengths.push(kept.len());
        indices.extend(
            kept.into_iter()
                .map(|at| (list_array.value_offsets()[row] + at) as u32),
        );
    }
    list(
        &field_of(list_array),
        list_array.values(),
        indices,
        lengths,
        list_array.nulls().cloned(),
    )
}

fn append(arrays: &[ArrayRef], front: bool) -> Result<ArrayRef> {
    let (lists, elements) = if front {
        (&arrays[1], &arrays[0])
    } else {
        (&arrays[0], &arrays[1])
    };
    let lists = lists.as_list::<i32>();
    let base = lists.values().len() as u32;
    let values = concat(&[lists.values().as_ref(), elements.as_ref()])?;
    let (mut indices, mut lengths) = (Vec::new(), Vec::new());
    for row in 0..lists.len() {
        let range = if lists.is_null(row) {
            0..0
        } else {
            lists.value_offsets()[row] as u32..lists.value_offsets()[row + 1] as u32
        };
        lengths.push(range.len() + 1);
        if front {
            indices.push(base + row as u32);
        }
        indices.extend(range);
        if !front {
            indices.push(base + row as u32);
        }
    }
    list(&field_of(lists), &values, indices, lengths, None)
}

fn cat(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (left, right) = (arrays[0].as_list::<i32>(), arrays[1].as_list::<i32>());
    let base = left.values().len() as u32;
    let values = concat(&[left.values().as_ref(), right.values().as_ref()])?;
    let (mut indices, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..left.len() {
        let before = indices.len();
        if !left.is_null(row) {
            indices.extend(left.value_offsets()[row] as u32..left.value_offsets()[row + 1] as u32);
        }
        if !right.is_null(row) {
            indices.extend(
                (right.value_offsets()[row]..right.value_offsets()[row + 1])
                    .map(|at| base + at as u32),
            );
        }
        lengths.push(indices.len() - before);
        valid.push(!(left.is_null(row) && right.is_null(row)));
    }
    list(
        &field_of(left),
        &values,
        indices,
        lengths,
        Some(NullBuffer::from(valid)),
    )
}

/// Every element of `right` in `left` (`all`), or any. NULL elements equal nothing.
fn contains(left: &ArrayRef, right: &ArrayRef, all: bool) -> Result<ArrayRef> {
    let (left, right) = (left.as_list::<i32>(), right.as_list::<i32>());
    let compare = make_comparator(
        left.values().as_ref(),
        right.values().as_ref(),
        SortOptions::default(),
    )?;
    let values: BooleanArray = (0..left.len())
        .map(|row| {
            if left.is_null(row) || right.is_null(row) {
                return None;
            }
            let range = |list: &ListArray| {
                list.value_offsets()[row] as usize..list.value_offsets()[row + 1] as usize
            };
            let found = |at: usize| {
                !right.values().is_null(at)
                    && range(left)
                        .any(|other| !left.values().is_null(other) && compare(other, at).is_eq())
            };
            Some(if all {
                range(right).all(found)
            } else {
                range(right).any(found)
            })
        })
        .collect();
    Ok(Arc::new(values))
}

fn lengths(arrays: &[ArrayRef], each: impl Fn(i32) -> Option<i32>) -> Result<ArrayRef> {
    let list = arrays[0].as_list::<i32>();
    let values: Int32Array = rows(arrays, |row| Ok(each(list.value_length(row))))?;
    Ok(Arc::new(values))
}

/// A property of the one dimension there is.
fn bound(arrays: &[ArrayRef], each: impl Fn(i32) -> Option<i32>) -> Result<ArrayRef> {
    let list = arrays[0].as_list::<i32>();
    let dimension = arrays[1].as_primitive::<Int32Type>();
    let values: Int32Array = rows(arrays, |row| {
        Ok(if dimension.value(row) == 1 {
            each(list.value_length(row))
        } else {
            None
        })
    })?;
    Ok(Arc::new(values))
}

fn dims(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let list = arrays[0].as_list::<i32>();
    let values: StringArray = rows(arrays, |row| {
        let length = list.value_length(row);
        Ok((length > 0).then(|| format!("[1:{length}]")))
    })?;
    Ok(Arc::new(values))
}

/// The places (from 0) of the element of `wanted[row]` in each list; NULL is found as NULL.
fn places(list: &ListArray, wanted: &ArrayRef) -> Result<impl Fn(usize) -> Vec<i32>> {
    let compare = make_comparator(
        list.values().as_ref(),
        wanted.as_ref(),
        SortOptions::default(),
    )?;
    let (list, wanted) = (list.clone(), Arc::clone(wanted));
    Ok(move |row: usize| {
        if list.is_null(row) {
            return Vec::new();
        }
        let start = list.value_offsets()[row];
        (0..list.value_length(row))
            .filter(|at| {
                let at = (start + at) as usize;
                match (list.values().is_null(at), wanted.is_null(row)) {
                    (true, true) => true,
                    (false, false) => compare(at, row).is_eq(),
                    _ => false,
                }
            })
            .collect()
    })
}

fn position(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let list = arrays[0].as_list::<i32>();
    let places = places(list, &arrays[1])?;
    let values: Int32Array = (0..list.len())
        .map(|row| {
            let start = arrays
                .get(2)
                .map_or(1, |start| start.as_primitive::<Int32Type>().value(row));
            places(row)
                .into_iter()
                .map(|at| at + 1)
                .find(|at| *at >= start)
        })
        .collect();
    Ok(Arc::new(values))
}

fn positions(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let list = arrays[0].as_list::<i32>();
    let places = places(list, &arrays[1])?;
    let found = (0..list.len()).map(|row| {
        (!list.is_null(row)).then(|| {
            places(row)
                .into_iter()
                .map(|at| Some(at + 1))
                .collect::<Vec<_>>()
        })
    });
    Ok(Arc::new(relabel(&ListArray::from_iter_primitive::<
        Int32Type,
        _,
        _,
    >(found))?))
}

fn relabel(list: &ListArray) -> Result<ListArray> {
    Ok(ListArray::try_new(
        field_of(list),
        list.offsets().clone(),
        Arc::clone(list.values()),
        list.nulls().cloned(),
    )?)
}

fn remove(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let list = arrays[0].as_list::<i32>();
    let places = places(list, &arrays[1])?;
    pick(list, |row, length| {
        let gone = places(row);
        Ok((0..length).filter(|at| !gone.contains(at)).collect())
    })
}

fn replace(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let lists = arrays[0].as_list::<i32>();
    let places = places(lists, &arrays[1])?;
    let base = lists.values().len() as u32;
    let values = concat(&[lists.values().as_ref(), arrays[2].as_ref()])?;
    let (mut indices, mut lengths) = (Vec::new(), Vec::new());
    for row in 0..lists.len() {
        let found = places(row);
        let length = if lists.is_null(row) {
            0
        } else {
            lists.value_length(row)
        };
        lengths.push(length as usize);
        for at in 0..length {
            indices.push(if found.contains(&at) {
                base + row as u32
            } else {
                (lists.value_offsets()[row] + at) as u32
            });
        }
    }
    list(
        &field_of(lists),
        &values,
        indices,
        lengths,
        lists.nulls().cloned(),
    )
}

fn trim(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let count = arrays[1].as_primitive::<Int32Type>();
    pick(arrays[0].as_list::<i32>(), |row, length| {
        let cut = count.value(row);
        if cut < 0 || cut > length {
            return Err(Error::value(
                "2202E",
                format!("number of elements to trim must be between 0 and {length}"),
            ));
        }
        Ok((0..length - cut).collect())
    })
}

fn split(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (texts, by) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
    let mut out = arrow::array::ListBuilder::new(StringBuilder::new())
        .with_field(Arc::new(Field::new("item", DataType::Utf8, true)));
    for row in 0..texts.len() {
        if texts.is_null(row) {
            out.append(false);
            continue;
        }
        let text = texts.value(row);
        let null = arrays.get(2).and_then(|null| {
            let null = null.as_string::<i32>();
            (!null.is_null(row)).then(|| null.value(row))
        });
        let parts: Vec<String> = if text.is_empty() {
            Vec::new()
        } else if by.is_null(row) {
            text.chars().map(String::from).collect()
        } else if by.value(row).is_empty() {
            vec![text.to_owned()]
        } else {
            text.split(by.value(row)).map(str::to_owned).collect()
        };
        for part in parts {
            if Some(part.as_str()) == null {
                out.values().append_null();
            } else {
                out.values().append_value(part);
            }
        }
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}

fn join(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (lists, by) = (arrays[0].as_list::<i32>(), arrays[1].as_string::<i32>());
    let values: StringArray = (0..lists.len())
        .map(|row| {
            if lists.is_null(row) || by.is_null(row) {
                return None;
            }
            let null = arrays.get(2).and_then(|null| {
                let null = null.as_string::<i32>();
                (!null.is_null(row)).then(|| null.value(row))
            });
            let elements = lists.value(row);
            let parts: Vec<&str> = elements
                .as_string::<i32>()
                .iter()
                .filter_map(|part| part.or(null))
                .collect();
            Some(parts.join(by.value(row)))
        })
        .collect();
    Ok(Arc::new(values))
}

/// `array_fill(value, ARRAY[length])`.
fn fill(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let lengths = arrays[1].as_list::<i32>();
    let (mut indices, mut counts) = (Vec::new(), Vec::with_capacity(lengths.len()));
    for row in 0..lengths.len() {
        if lengths.is_null(row) {
            return Err(Error::value(
                "22004",
                "dimension array or low bound array cannot be null",
            ));
        }
        let given = lengths.value(row);
        let given = given.as_primitive::<Int32Type>();
        let count = match given.len() {
            0 => 0,
            1 if given.is_null(0) => {
                return Err(Error::value("22004", "dimension values cannot be null"));
            }
            1 => given.value(0),
            _ => {
                return Err(Error::value(
                    "0A000",
                    "an array of more than one dimension is not supported",
                ));
            }
        };
        if i64::from(count) > MAX_ELEMENTS {
            return Err(Error::value(
                "54000",
                "array size exceeds the maximum allowed",
            ));
        }
        let count = usize::try_from(count).unwrap_or(0);
        indices.extend(std::iter::repeat_n(row as u32, count));
        counts.push(count);
    }
    let field = Arc::new(Field::new("item", arrays[0].data_type().clone(), true));
    list(&field, &arrays[0], indices, counts, None)
}

fn subscripts(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let list = arrays[0].as_list::<i32>();
    let dimension = arrays[1].as_primitive::<Int32Type>();
    let found = (0..list.len()).map(|row| {
        if list.is_null(row) || dimension.is_null(row) || dimension.value(row) != 1 {
            return Some(Vec::new());
        }
        let mut places: Vec<Option<i32>> = (1..=list.value_length(row)).map(Some).collect();
        if arrays
            .get(2)
            .is_some_and(|reverse| reverse.as_boolean().value(row))
        {
            places.reverse();
        }
        Some(places)
    });
    Ok(Arc::new(relabel(&ListArray::from_iter_primitive::<
        Int32Type,
        _,
        _,
    >(found))?))
}

/// The subscripts of a vector, which counts from 0.
pub fn vector_subscripts(args: Vec<Expr>) -> Expr {
    let returns = DataType::List(Arc::new(Field::new("item", DataType::Int32, true)));
    call("vector_subscripts", returns, args, |arrays| {
        let list = arrays[0].as_list::<i32>();
        let found = (0..list.len()).map(|row| {
            (!list.is_null(row)).then(|| (0..list.value_length(row)).map(Some).collect::<Vec<_>>())
        });
        Ok(Arc::new(relabel(&ListArray::from_iter_primitive::<
            Int32Type,
            _,
            _,
        >(found))?))
    })
}

/// The elements of a constant array.
pub fn elements(value: &ScalarValue) -> Option<Vec<ScalarValue>> {
    let ScalarValue::List(list) = value else {
        return None;
    };
    if list.is_null(0) {
        return None;
    }
    let values = list.value(0);
    (0..values.len())
        .map(|at| ScalarValue::try_from_array(&values, at).ok())
        .collect()
}
