//! A type's columns as SQL has them, and the two directions between their Arrow types and the
//! engine's. They differ for unsigned integers only: `U32` is int8, `U64` is numeric(20,0).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, UInt32Array, UInt64Array};
use arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type, Schema, SchemaRef, UInt64Type};
use omnigraph_engine::blob::VALUE_TYPE;
use omnigraph_engine::error::{ConstraintKind, ConstraintViolation};
use omnigraph_engine::schema::{PropertyType, Scalar, TypeDef, TypeKind};
use omnigraph_engine::{Error, Result};

use crate::types::{PgType, numeric};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlColumn {
    pub name: String,
    pub ty: PgType,
    pub nullable: bool,
}

/// In table order, which is the order of `attnum`: `id`, for edges `src` and `dst`, then the
/// properties as declared.
pub fn sql_columns(def: &TypeDef) -> Vec<SqlColumn> {
    let fixed = |name: &str| SqlColumn {
        name: name.to_owned(),
        ty: PgType::TEXT,
        nullable: false,
    };
    let mut columns = vec![fixed("id")];
    if matches!(def.kind, TypeKind::Edge { .. }) {
        columns.extend([fixed("src"), fixed("dst")]);
    }
    columns.extend(def.properties.iter().map(|property| SqlColumn {
        name: property.column.clone(),
        ty: property_type(&property.ty),
        nullable: property.nullable,
    }));
    columns
}

pub fn property_type(ty: &PropertyType) -> PgType {
    match ty {
        PropertyType::Scalar(scalar) => scalar_type(*scalar),
        PropertyType::List(scalar) => scalar_type(*scalar).array().unwrap_or(PgType::TEXT_ARRAY),
        PropertyType::Enum(_) => PgType::TEXT,
        PropertyType::Vector(dimensions) => {
            PgType::VECTOR.with_typmod(i32::try_from(*dimensions).unwrap_or(i32::MAX))
        }
    }
}

fn scalar_type(scalar: Scalar) -> PgType {
    match scalar {
        Scalar::String => PgType::TEXT,
        Scalar::Blob => PgType::BYTEA,
        Scalar::Bool => PgType::BOOL,
        Scalar::I32 => PgType::INT4,
        Scalar::I64 | Scalar::U32 => PgType::INT8,
        Scalar::U64 => numeric(20, 0),
        Scalar::F32 => PgType::FLOAT4,
        Scalar::F64 => PgType::FLOAT8,
        Scalar::Date => PgType::DATE,
        Scalar::DateTime => PgType::TIMESTAMPTZ,
    }
}

pub fn arrow_schema(def: &TypeDef) -> SchemaRef {
    Arc::new(Schema::new(
        sql_columns(def)
            .into_iter()
            .map(|column| Field::new(column.name, held_type(column.ty), column.nullable))
            .collect::<Vec<_>>(),
    ))
}

/// The Arrow type in which a table gives a column of a type. Blobs are values that may refer
/// to their bytes: the function called [`BLOB_BYTES`] makes bytes of them.
pub fn held_type(ty: PgType) -> DataType {
    match ty.oid == PgType::BYTEA.oid {
        true => VALUE_TYPE,
        false => ty.arrow(),
    }
}

/// What reads the bytes of a blob where a plan needs them. No scan evaluates it.
pub const BLOB_BYTES: &str = "blob_bytes";

/// An engine column as the type that SQL gives it.
pub fn to_sql(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    if array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    match (array.data_type(), wanted) {
        (DataType::UInt64, DataType::Decimal128(precision, scale)) => {
            let values: Decimal128Array = array
                .as_primitive::<UInt64Type>()
                .unary::<_, Decimal128Type>(i128::from);
            Ok(Arc::new(
                values.with_precision_and_scale(*precision, *scale)?,
            ))
        }
        _ => Ok(arrow::compute::cast(array, wanted)?),
    }
}

/// A column of SQL's as the type that the engine stores, for a column of this name. Values
/// that the declared type cannot hold break its check, as `U32` says "int8 from 0 to 2^32-1".
pub fn to_engine(
    array: &ArrayRef,
    wanted: &DataType,
    table: &str,
    column: &str,
) -> Result<ArrayRef> {
    if array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    let out_of_range = |value: String, ty: &str| {
        Error::from(ConstraintViolation {
            kind: ConstraintKind::Check,
            table: table.to_owned(),
            column: Some(column.to_owned()),
            constraint: Some(format!("{table}_{column}_check")),
            message: format!(
                "new row for relation \"{table}\" violates check constraint \"{table}_{column}_check\""
            ),
            detail: Some(format!("{value} is outside the range of {ty}.")),
        })
    };
    match (array.data_type(), wanted) {
        (DataType::Int64, DataType::UInt32) => {
            let values = array
                .as_primitive::<Int64Type>()
                .iter()
                .map(|value| {
                    value
                        .map(|value| {
                            u32::try_from(value).map_err(|_| out_of_range(value.to_string(), "U32"))
                        })
                        .transpose()
                })
                .collect::<Result<UInt32Array>>()?;
            Ok(Arc::new(values))
        }
        (DataType::Decimal128(_, scale), DataType::UInt64) => {
            let unit = 10i128
                .checked_pow(u32::try_from(*scale).unwrap_or(0))
                .unwrap_or(i128::MAX);
            let values = array
                .as_primitive::<Decimal128Type>()
                .iter()
                .map(|value| {
                    value
                        .map(|value| {
                            u64::try_from(value / unit)
                                .map_err(|_| out_of_range((value / unit).to_string(), "U64"))
                        })
                        .transpose()
                })
                .collect::<Result<UInt64Array>>()?;
            Ok(Arc::new(values))
        }
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let values = to_engine(list.values(), item.data_type(), table, column)?;
            let list = arrow::array::ListArray::try_new(
                Arc::clone(item),
                list.offsets().clone(),
                values,
                list.nulls().cloned(),
            )?;
            Ok(Arc::new(list))
        }
        _ => Ok(arrow::compute::cast(array, wanted)?),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn unsigned_integers_go_there_and_back() {
        let small: ArrayRef = Arc::new(UInt32Array::from(vec![Some(0), None, Some(u32::MAX)]));
        let sql = to_sql(&small, &DataType::Int64).expect("int8");
        assert_eq!(
            sql.as_primitive::<Int64Type>().value(2),
            i64::from(u32::MAX)
        );
        assert_eq!(
            &to_engine(&sql, &DataType::UInt32, "t", "c").expect("back"),
            &small
        );

        let large: ArrayRef = Arc::new(UInt64Array::from(vec![Some(0), None, Some(u64::MAX)]));
        let sql = to_sql(
            &large,
            &property_type(&PropertyType::Scalar(Scalar::U64)).arrow(),
        )
        .expect("numeric");
        assert_eq!(
            sql.as_primitive::<Decimal128Type>().value(2),
            i128::from(u64::MAX)
        );
        assert_eq!(
            &to_engine(&sql, &DataType::UInt64, "t", "c").expect("back"),
            &large
        );
    }

    #[test]
    fn a_value_outside_the_declared_type_breaks_its_check() {
        let negative: ArrayRef = Arc::new(Int64Array::from(vec![-1]));
        let Err(Error::Constraint(violation)) = to_engine(&negative, &DataType::UInt32, "t", "c")
        else {
            panic!("a constraint");
        };
        assert_eq!(violation.kind, ConstraintKind::Check);
        assert_eq!(violation.column.as_deref(), Some("c"));
    }

    #[test]
    fn lists_are_converted_by_their_items() {
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
        ]));
        let wanted = DataType::List(Arc::new(Field::new("item", DataType::UInt32, true)));
        let engine = to_engine(&list, &wanted, "t", "c").expect("list");
        assert_eq!(engine.data_type(), &wanted);
        assert_eq!(&to_sql(&engine, list.data_type()).expect("back"), &list);
    }
}
