//! Rows of catalogs, written down one by one and then kept as Arrow columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, Int16Array, Int16Builder, Int32Array,
    Int64Array, ListBuilder, RecordBatch, RecordBatchOptions, StringArray, StringBuilder,
    TimestampMicrosecondArray, UInt32Array, UInt32Builder, new_null_array,
};
use arrow::datatypes::{DataType, TimeUnit};
use omnigraph_engine::{Error, Result};

use super::def::RelationDef;

/// One value of a catalog's row. The column decides how it is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Oid(u32),
    Text(String),
    /// Microseconds since 1970.
    Time(i64),
    Ints(Vec<i16>),
    Oids(Vec<u32>),
    Texts(Vec<String>),
}

macro_rules! from {
    ($($ty:ty => $make:expr;)*) => { $(impl From<$ty> for Value {
        fn from(value: $ty) -> Self { ($make)(value) }
    })* };
}

from! {
    bool => Value::Bool;
    i16 => |value| Value::Int(i64::from(value));
    i32 => |value| Value::Int(i64::from(value));
    i64 => Value::Int;
    f32 => |value| Value::Float(f64::from(value));
    f64 => Value::Float;
    u32 => Value::Oid;
    char => |value: char| Value::Text(if value == '\0' { String::new() } else { value.to_string() });
    &str => |value: &str| Value::Text(value.to_owned());
    &String => |value: &String| Value::Text(value.clone());
    String => Value::Text;
    Vec<i16> => Value::Ints;
    Vec<u32> => Value::Oids;
    Vec<String> => Value::Texts;
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// `row!["oid" => 16, "typname" => "bool"]`: what is not named is NULL, or the type's zero in
/// a column that has no NULLs.
macro_rules! row {
    ($($column:literal => $value:expr),* $(,)?) => {
        vec![$(($column, $crate::pg_catalog::Value::from($value))),*]
    };
}
pub(crate) use row;

pub type Row = Vec<(&'static str, Value)>;

/// Collects rows of one relation.
#[derive(Debug)]
pub struct Rows {
    def: &'static RelationDef,
    columns: Vec<Vec<Value>>,
    len: usize,
}

impl Rows {
    pub fn new(def: &'static RelationDef) -> Self {
        Rows {
            def,
            columns: vec![Vec::new(); def.columns.len()],
            len: 0,
        }
    }

    pub fn push(&mut self, row: Row) -> Result<()> {
        for (name, value) in row {
            let at = self.def.position(name).ok_or_else(|| {
                Error::internal(format!(
                    "{}.{} has no column {name}",
                    self.def.schema, self.def.name
                ))
            })?;
            let column = &mut self.columns[at];
            column.resize(self.len, Value::Null);
            column.push(value);
        }
        self.len += 1;
        Ok(())
    }

    pub fn finish(mut self) -> Result<RecordBatch> {
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (column, values) in self.def.columns.iter().zip(&mut self.columns) {
            values.resize(self.len, Value::Null);
            let array = array(&column.ty.arrow(), values, column.not_null).map_err(|error| {
                Error::internal(format!(
                    "{}.{}.{}: {error}",
                    self.def.schema, self.def.name, column.name
                ))
            })?;
            arrays.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.len));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.def.arrow),
            arrays,
            &options,
        )?)
    }
}

fn mismatch(value: &Value, wanted: &DataType) -> Error {
    Error::internal(format!("{value:?} is no {wanted}"))
}

fn int<T: TryFrom<i64> + Default>(
    value: &Value,
    wanted: &DataType,
    zero: bool,
) -> Result<Option<T>> {
    let number = match value {
        Value::Null => return Ok(zero.then(T::default)),
        Value::Int(number) => *number,
        Value::Oid(oid) => i64::from(*oid),
        other => return Err(mismatch(other, wanted)),
    };
    T::try_from(number)
        .map(Some)
        .map_err(|_| mismatch(value, wanted))
}

fn text<'a>(value: &'a Value, wanted: &DataType, zero: bool) -> Result<Option<&'a str>> {
    match value {
        Value::Null => Ok(zero.then_some("")),
        Value::Text(text) => Ok(Some(text)),
        other => Err(mismatch(other, wanted)),
    }
}

fn array(wanted: &DataType, values: &[Value], zero: bool) -> Result<ArrayRef> {
    macro_rules! ints {
        ($array:ident) => {
            Arc::new(
                values
                    .iter()
                    .map(|value| int(value, wanted, zero))
                    .collect::<Result<$array>>()?,
            )
        };
    }
    let array: ArrayRef = match wanted {
        DataType::Boolean => Arc::new(
            values
                .iter()
                .map(|value| match value {
                    Value::Null => Ok(zero.then_some(false)),
                    Value::Bool(value) => Ok(Some(*value)),
                    other => Err(mismatch(other, wanted)),
                })
                .collect::<Result<BooleanArray>>()?,
        ),
        DataType::Int16 => ints!(Int16Array),
        DataType::Int32 => ints!(Int32Array),
        DataType::Int64 => ints!(Int64Array),
        DataType::UInt32 => ints!(UInt32Array),
        DataType::Float32 | DataType::Float64 => {
            let floats = values
                .iter()
                .map(|value| match value {
                    Value::Null => Ok(zero.then_some(0.0)),
                    Value::Float(value) => Ok(Some(*value)),
                    Value::Int(value) => Ok(Some(*value as f64)),
                    other => Err(mismatch(other, wanted)),
                })
                .collect::<Result<Vec<Option<f64>>>>()?;
            match wanted {
                DataType::Float32 => Arc::new(
                    floats
                        .iter()
                        .map(|value| value.map(|value| value as f32))
                        .collect::<Float32Array>(),
                ),
                _ => Arc::new(Float64Array::from(floats)),
            }
        }
        DataType::Utf8 => Arc::new(
            values
                .iter()
                .map(|value| text(value, wanted, zero))
                .collect::<Result<StringArray>>()?,
        ),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => Arc::new(
            values
                .iter()
                .map(|value| match value {
                    Value::Time(micros) => Ok(Some(*micros)),
                    other => int(other, wanted, zero),
                })
                .collect::<Result<TimestampMicrosecondArray>>()?
                .with_timezone_opt(zone.clone()),
        ),
        DataType::List(item) => list(item.data_type(), wanted, values, zero)?,
        _ if values.is_empty() || (!zero && values.iter().all(|value| *value == Value::Null)) => {
            new_null_array(wanted, values.len())
        }
        _ => {
            return Err(Error::internal(format!(
                "no rows are kept in columns of {wanted}"
            )));
        }
    };
    Ok(array)
}

fn list(item: &DataType, wanted: &DataType, values: &[Value], zero: bool) -> Result<ArrayRef> {
    if values.is_empty() || (!zero && values.iter().all(|value| *value == Value::Null)) {
        return Ok(new_null_array(wanted, values.len()));
    }
    macro_rules! lists {
        ($builder:expr, $variant:path, $append:expr) => {{
            let mut builder = ListBuilder::new($builder);
            for value in values {
                match value {
                    $variant(items) => {
                        for item in items {
                            $append(builder.values(), item);
                        }
                        builder.append(true);
                    }
                    Value::Null => builder.append(zero),
                    other => return Err(mismatch(other, wanted)),
                }
            }
            Ok(Arc::new(builder.finish()))
        }};
    }
    match item {
        DataType::Int16 => lists!(
            Int16Builder::new(),
            Value::Ints,
            |to: &mut Int16Builder, item: &i16| to.append_value(*item)
        ),
        DataType::UInt32 => lists!(
            UInt32Builder::new(),
            Value::Oids,
            |to: &mut UInt32Builder, item: &u32| to.append_value(*item)
        ),
        DataType::Utf8 => lists!(
            StringBuilder::new(),
            Value::Texts,
            |to: &mut StringBuilder, item: &String| to.append_value(item)
        ),
        _ => Err(Error::internal(format!(
            "no rows are kept in columns of {wanted}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;
    use crate::pg_catalog::def::definitions;

    #[test]
    fn what_is_not_named_is_null_or_zero() {
        let def = definitions()
            .relation("pg_catalog", "pg_class")
            .expect("is there");
        let mut rows = Rows::new(def);
        rows.push(row!["oid" => 7u32, "relname" => "a"])
            .expect("fits");
        rows.push(row!["relname" => "b"]).expect("fits");
        let batch = rows.finish().expect("fits");
        let column = |name| batch.column(def.position(name).expect("is there"));
        assert_eq!(
            column("oid")
                .as_primitive::<arrow::datatypes::UInt32Type>()
                .values(),
            &[7, 0]
        );
        assert_eq!(column("relacl").null_count(), 2);
        assert_eq!(column("relkind").as_string::<i32>().value(1), "");
    }

    #[test]
    fn a_wrong_type_or_column_is_an_error() {
        let def = definitions()
            .relation("pg_catalog", "pg_namespace")
            .expect("is there");
        let mut rows = Rows::new(def);
        assert!(rows.push(row!["nosuch" => 1i32]).is_err());
        let mut rows = Rows::new(def);
        rows.push(row!["nspname" => 5i32])
            .expect("is seen at the end");
        assert!(rows.finish().is_err());
    }
}
