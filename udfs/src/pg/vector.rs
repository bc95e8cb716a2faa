//! Functions and operators over vectors, as pgvector has them. A vector with a declared number
//! of dimensions is a list of fixed size, any other one a list.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, Float32Array, Float64Array,
    Int32Array, ListArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Int32Type};
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use omnigraph_engine::search::Metric;

use super::function::{call, call_with, rows};
use crate::error::{Error, Result};

/// The most dimensions a vector may have, as in pgvector.
pub const MAX_DIMENSIONS: usize = 16_000;

/// An element of a vector: a finite number.
pub fn check_element(value: f32) -> Result<f32> {
    if value.is_nan() {
        return Err(Error::value("22000", "NaN not allowed in vector"));
    }
    if value.is_infinite() {
        return Err(Error::value(
            "22000",
            "infinite value not allowed in vector",
        ));
    }
    Ok(value)
}

/// How many dimensions a vector has, which may be declared.
pub fn check_dimensions(dimensions: usize, declared: Option<usize>) -> Result<()> {
    if dimensions == 0 {
        return Err(Error::value(
            "22000",
            "vector must have at least 1 dimension",
        ));
    }
    if dimensions > MAX_DIMENSIONS {
        return Err(Error::value(
            "54000",
            format!("vector cannot have more than {MAX_DIMENSIONS} dimensions"),
        ));
    }
    match declared {
        Some(declared) if declared != dimensions => Err(Error::value(
            "22000",
            format!("expected {declared} dimensions, not {dimensions}"),
        )),
        _ => Ok(()),
    }
}

/// Is there a function of this name over these arguments? Operators are by the function
/// behind them.
pub fn is_implemented(name: &str) -> bool {
    distance(name).is_some()
        || matches!(
            name,
            "array_to_vector"
                | "vector"
                | "vector_to_float4"
                | "vector_dims"
                | "vector_norm"
                | "l2_normalize"
                | "subvector"
                | "vector_add"
                | "vector_sub"
                | "vector_mul"
                | "vector_concat"
                | "vector_cmp"
                | "vector_eq"
                | "vector_ne"
                | "vector_lt"
                | "vector_le"
                | "vector_gt"
                | "vector_ge"
        )
}

/// The call of a function that [`is_implemented`].
pub fn function(name: &str, args: Vec<Expr>) -> Option<Expr> {
    if let Some(distance) = distance(name) {
        return Some(distance.over(args));
    }
    let first = || args.first().cloned();
    Some(match name {
        "array_to_vector" => of_array(None, first()?),
        "vector" | "vector_to_float4" => sized(None, first()?),
        "vector_dims" => call(name, DataType::Int32, args, |arrays| {
            let vectors = Vectors::of(&arrays[0])?;
            let lengths: Int32Array = rows(arrays, |row| Ok(Some(vectors.get(row).len() as i32)))?;
            Ok(Arc::new(lengths))
        }),
        "vector_norm" => call(name, DataType::Float64, args, |arrays| {
            let vectors = Vectors::of(&arrays[0])?;
            let norms: Float64Array = rows(arrays, |row| Ok(Some(norm(vectors.get(row)))))?;
            Ok(Arc::new(norms))
        }),
        "l2_normalize" => call(name, any(), args, |arrays| {
            let vectors = Vectors::of(&arrays[0])?;
            collect(arrays, |row, out| {
                let vector = vectors.get(row);
                let norm = norm(vector);
                let scaled = vector.iter().map(|value| {
                    if norm > 0.0 {
                        (f64::from(*value) / norm) as f32
                    } else {
                        0.0
                    }
                });
                out.extend(scaled);
                Ok(())
            })
        }),
        "subvector" => call(name, any(), args, subvector),
        "vector_add" => call(name, any(), args, |arrays| pairwise(arrays, |a, b| a + b)),
        "vector_sub" => call(name, any(), args, |arrays| pairwise(arrays, |a, b| a - b)),
        "vector_mul" => call(name, any(), args, |arrays| pairwise(arrays, |a, b| a * b)),
        "vector_concat" => call(name, any(), args, |arrays| {
            let (a, b) = (Vectors::of(&arrays[0])?, Vectors::of(&arrays[1])?);
            collect(arrays, |row, out| {
                let (a, b) = (a.get(row), b.get(row));
                check_dimensions(a.len() + b.len(), None)?;
                out.extend_from_slice(a);
                out.extend_from_slice(b);
                Ok(())
            })
        }),
        "vector_cmp" => call(name, DataType::Int32, args, |arrays| {
            let (a, b) = (Vectors::of(&arrays[0])?, Vectors::of(&arrays[1])?);
            let signs: Int32Array =
                rows(arrays, |row| Ok(Some(order(a.get(row), b.get(row)) as i32)))?;
            Ok(Arc::new(signs))
        }),
        "vector_eq" => compare(name, args, std::cmp::Ordering::is_eq),
        "vector_ne" => compare(name, args, std::cmp::Ordering::is_ne),
        "vector_lt" => compare(name, args, std::cmp::Ordering::is_lt),
        "vector_le" => compare(name, args, std::cmp::Ordering::is_le),
        "vector_gt" => compare(name, args, std::cmp::Ordering::is_gt),
        "vector_ge" => compare(name, args, std::cmp::Ordering::is_ge),
        _ => return None,
    })
}

/// A vector as one of so many dimensions; `None`: of any number.
pub fn sized(dimensions: Option<usize>, vector: Expr) -> Expr {
    let returns = match dimensions {
        Some(dimensions) => fixed(dimensions),
        None => any(),
    };
    call_with(
        "vector",
        format!("{dimensions:?}"),
        returns,
        vec![vector],
        move |arrays| {
            let vectors = Vectors::of(&arrays[0])?;
            let Some(dimensions) = dimensions else {
                return collect(arrays, |row, out| {
                    out.extend_from_slice(vectors.get(row));
                    Ok(())
                });
            };
            fixed_of(&arrays[0], dimensions, |row, out| {
                let vector = vectors.get(row);
                check_dimensions(vector.len(), Some(dimensions))?;
                out.extend_from_slice(vector);
                Ok(())
            })
        },
    )
}

/// An array of numbers as a vector of so many dimensions; `None`: of any number.
pub fn of_array(dimensions: Option<usize>, array: Expr) -> Expr {
    let returns = match dimensions {
        Some(dimensions) => fixed(dimensions),
        None => any(),
    };
    call_with(
        "array_to_vector",
        format!("{dimensions:?}"),
        returns,
        vec![array],
        move |arrays| {
            let list = arrays[0].as_list::<i32>();
            let numbers = cast(list.values(), &DataType::Float32)?;
            let numbers = numbers.as_primitive::<Float32Type>();
            let offsets = list.value_offsets();
            let append = |row: usize, out: &mut Vec<f32>| {
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                check_dimensions(range.len(), dimensions)?;
                for at in range {
                    if numbers.is_null(at) {
                        return Err(Error::value("22004", "array must not contain nulls"));
                    }
                    out.push(check_element(numbers.value(at))?);
                }
                Ok(())
            };
            match dimensions {
                Some(dimensions) => fixed_of(&arrays[0], dimensions, append),
                None => collect(arrays, append),
            }
        },
    )
}

/// A vector's numbers as an array.
pub fn to_array(vector: Expr) -> Expr {
    sized(None, vector)
}

fn element() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, true))
}

fn any() -> DataType {
    DataType::List(element())
}

fn fixed(dimensions: usize) -> DataType {
    DataType::FixedSizeList(element(), dimensions as i32)
}

/// A column of vectors, whichever of its two representations it has.
struct Vectors<'a> {
    values: &'a [f32],
    bounds: Bounds<'a>,
}

enum Bounds<'a> {
    Fixed(usize),
    Offsets(&'a [i32]),
}

impl<'a> Vectors<'a> {
    fn of(array: &'a ArrayRef) -> Result<Vectors<'a>> {
        let (values, bounds) = match array.data_type() {
            DataType::FixedSizeList(_, length) => {
                let list = array.as_fixed_size_list();
                (list.values(), Bounds::Fixed(*length as usize))
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                (list.values(), Bounds::Offsets(list.value_offsets()))
            }
            other => return Err(Error::value("XX000", format!("a vector came as {other}"))),
        };
        let values = values
            .as_primitive_opt::<Float32Type>()
            .ok_or_else(|| Error::value("XX000", "the elements of a vector are not float4"))?;
        Ok(Vectors {
            values: values.values(),
            bounds,
        })
    }

    /// The numbers of a row that is not NULL.
    fn get(&self, row: usize) -> &'a [f32] {
        let range = match self.bounds {
            Bounds::Fixed(length) => row * length..(row + 1) * length,
            Bounds::Offsets(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
        };
        &self.values[range]
    }
}

/// Vectors of any size from those that `append` adds for rows without a NULL.
fn collect(
    arrays: &[ArrayRef],
    append: impl Fn(usize, &mut Vec<f32>) -> Result<()>,
) -> Result<ArrayRef> {
    let count = arrays.first().map_or(0, |array| array.len());
    let mut values = Vec::new();
    let mut lengths = Vec::with_capacity(count);
    let mut valid = Vec::with_capacity(count);
    for row in 0..count {
        let before = values.len();
        valid.push(arrays.iter().all(|array| array.is_valid(row)));
        if valid[row] {
            append(row, &mut values)?;
            if values[before..].iter().any(|value| value.is_infinite()) {
                return Err(Error::value("22003", "value out of range: overflow"));
            }
        }
        lengths.push(values.len() - before);
    }
    Ok(Arc::new(ListArray::try_new(
        element(),
        OffsetBuffer::from_lengths(lengths),
        Arc::new(Float32Array::from(values)),
        Some(NullBuffer::from(valid)),
    )?))
}

/// Vectors of one size; `append` adds exactly so many numbers for a row that is not NULL.
fn fixed_of(
    array: &ArrayRef,
    dimensions: usize,
    append: impl Fn(usize, &mut Vec<f32>) -> Result<()>,
) -> Result<ArrayRef> {
    let mut values = Vec::with_capacity(array.len() * dimensions);
    for row in 0..array.len() {
        if array.is_valid(row) {
            append(row, &mut values)?;
        } else {
            values.resize(values.len() + dimensions, 0.0);
        }
    }
    Ok(Arc::new(FixedSizeListArray::try_new(
        element(),
        dimensions as i32,
        Arc::new(Float32Array::from(values)),
        array.nulls().cloned(),
    )?))
}

fn norm(vector: &[f32]) -> f64 {
    vector
        .iter()
        .map(|value| f64::from(*value) * f64::from(*value))
        .sum::<f64>()
        .sqrt()
}

fn same_dimensions(a: &[f32], b: &[f32]) -> Result<()> {
    if a.len() == b.len() {
        return Ok(());
    }
    Err(Error::value(
        "22000",
        format!("different vector dimensions {} and {}", a.len(), b.len()),
    ))
}

fn pairwise(arrays: &[ArrayRef], term: fn(f32, f32) -> f32) -> Result<ArrayRef> {
    let (a, b) = (Vectors::of(&arrays[0])?, Vectors::of(&arrays[1])?);
    collect(arrays, |row, out| {
        let (a, b) = (a.get(row), b.get(row));
        same_dimensions(a, b)?;
        out.extend(a.iter().zip(b).map(|(a, b)| term(*a, *b)));
        Ok(())
    })
}

/// `subvector(vector, start, count)`: what of the range is there, counted from 1.
fn subvector(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let vectors = Vectors::of(&arrays[0])?;
    let (start, count) = (
        arrays[1].as_primitive::<Int32Type>(),
        arrays[2].as_primitive::<Int32Type>(),
    );
    collect(arrays, |row, out| {
        let vector = vectors.get(row);
        let length = vector.len() as i64;
        let start = i64::from(start.value(row));
        let end = (start + i64::from(count.value(row))).clamp(1, length + 1);
        let range = start.clamp(1, length + 1) as usize - 1..end as usize - 1;
        let part = vector.get(range).unwrap_or_default();
        check_dimensions(part.len(), None)?;
        out.extend_from_slice(part);
        Ok(())
    })
}

/// By the first number that differs; what begins another vector is less than it.
fn order(a: &[f32], b: &[f32]) -> std::cmp::Ordering {
    a.iter()
        .zip(b)
        .map(|(a, b)| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.len().cmp(&b.len()))
}

fn compare(name: &str, args: Vec<Expr>, test: fn(std::cmp::Ordering) -> bool) -> Expr {
    call_with(name, "", DataType::Boolean, args, move |arrays| {
        let (a, b) = (Vectors::of(&arrays[0])?, Vectors::of(&arrays[1])?);
        let results: BooleanArray =
            rows(arrays, |row| Ok(Some(test(order(a.get(row), b.get(row))))))?;
        Ok(Arc::new(results))
    })
}

/// The distance functions. A constant vector on one side is not repeated for each row.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Distance {
    name: &'static str,
    metric: Metric,
    /// `inner_product` is its distance with the other sign.
    negated: bool,
    signature: Signature,
}

fn distance(name: &str) -> Option<Distance> {
    let (name, metric, negated) = match name {
        "l2_distance" => ("l2_distance", Metric::L2, false),
        "cosine_distance" => ("cosine_distance", Metric::Cosine, false),
        "vector_negative_inner_product" => {
            ("vector_negative_inner_product", Metric::InnerProduct, false)
        }
        "inner_product" => ("inner_product", Metric::InnerProduct, true),
        "l1_distance" => ("l1_distance", Metric::L1, false),
        _ => return None,
    };
    Some(Distance {
        name,
        metric,
        negated,
        signature: Signature::any(2, Volatility::Immutable),
    })
}

/// The metric that a function computes the distance of two vectors by.
pub fn metric(function: &ScalarUDF) -> Option<Metric> {
    let distance = function.inner().downcast_ref::<Distance>()?;
    (!distance.negated).then_some(distance.metric)
}

impl Distance {
    fn over(self, args: Vec<Expr>) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(
            Arc::new(ScalarUDF::from(self)),
            args,
        ))
    }

    fn of(&self, a: &[f32], b: &[f32]) -> Result<f64> {
        same_dimensions(a, b)?;
        let distance = self.metric.distance(a, b);
        Ok(if self.negated { -distance } else { distance })
    }

    fn with_constant(&self, column: &ArrayRef, constant: &ArrayRef) -> Result<ArrayRef> {
        let (vectors, constant) = (Vectors::of(column)?, Vectors::of(constant)?.get(0));
        let distances: Float64Array = rows(std::slice::from_ref(column), |row| {
            self.of(vectors.get(row), constant).map(Some)
        })?;
        Ok(Arc::new(distances))
    }
}

impl ScalarUDFImpl for Distance {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let null = ColumnarValue::Scalar(ScalarValue::Float64(None));
        if args.args.iter().any(|arg| {
            matches!(arg, ColumnarValue::Scalar(value) if value.is_null())
                || arg.data_type() == DataType::Null
        }) {
            return Ok(null);
        }
        let distances = match args.args.as_slice() {
            [ColumnarValue::Scalar(a), ColumnarValue::Scalar(b)] => {
                let one = self.with_constant(&a.to_array()?, &b.to_array()?)?;
                return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?));
            }
            [
                ColumnarValue::Array(column),
                ColumnarValue::Scalar(constant),
            ]
            | [
                ColumnarValue::Scalar(constant),
                ColumnarValue::Array(column),
            ] => self.with_constant(column, &constant.to_array()?)?,
            [ColumnarValue::Array(a), ColumnarValue::Array(b)] => {
                let (left, right) = (Vectors::of(a)?, Vectors::of(b)?);
                let distances: Float64Array = rows(&[Arc::clone(a), Arc::clone(b)], |row| {
                    self.of(left.get(row), right.get(row)).map(Some)
                })?;
                Arc::new(distances)
            }
            _ => return Ok(null),
        };
        Ok(ColumnarValue::Array(distances))
    }
}
