//! Property types in Arrow's terms, and the columns of a type's table.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef, TimeUnit};

use super::{Property, PropertyId, PropertyType, Scalar};

/// One column of a table: `id`, for an edge type `src` and `dst`, then the properties.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its SQL name.
    pub name: String,
    /// Its name in stored batches.
    pub physical: String,
    pub data_type: DataType,
    pub nullable: bool,
    /// Position in `TypeDef::properties`; `None`: `id`, `src` or `dst`.
    pub property: Option<usize>,
}

impl Column {
    /// Is it of type Blob, so that its values may lie outside of the row?
    pub fn is_blob(&self) -> bool {
        self.data_type == DataType::Binary
    }
}

pub const ID_COLUMN: usize = 0;
/// Of an edge type.
pub const SRC_COLUMN: usize = 1;
/// Of an edge type.
pub const DST_COLUMN: usize = 2;

/// All type names a property can have, for messages.
pub(crate) const TYPE_NAMES: &str =
    "String, Blob, Bool, I32, I64, U32, U64, F32, F64, Date, DateTime, [T], enum(a, b), Vector(n)";

impl Scalar {
    pub fn name(self) -> &'static str {
        match self {
            Scalar::String => "String",
            Scalar::Blob => "Blob",
            Scalar::Bool => "Bool",
            Scalar::I32 => "I32",
            Scalar::I64 => "I64",
            Scalar::U32 => "U32",
            Scalar::U64 => "U64",
            Scalar::F32 => "F32",
            Scalar::F64 => "F64",
            Scalar::Date => "Date",
            Scalar::DateTime => "DateTime",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Scalar> {
        [
            Scalar::String,
            Scalar::Blob,
            Scalar::Bool,
            Scalar::I32,
            Scalar::I64,
            Scalar::U32,
            Scalar::U64,
            Scalar::F32,
            Scalar::F64,
            Scalar::Date,
            Scalar::DateTime,
        ]
        .into_iter()
        .find(|scalar| scalar.name() == name)
    }

    pub fn data_type(self) -> DataType {
        match self {
            Scalar::String => DataType::Utf8,
            Scalar::Blob => DataType::Binary,
            Scalar::Bool => DataType::Boolean,
            Scalar::I32 => DataType::Int32,
            Scalar::I64 => DataType::Int64,
            Scalar::U32 => DataType::UInt32,
            Scalar::U64 => DataType::UInt64,
            Scalar::F32 => DataType::Float32,
            Scalar::F64 => DataType::Float64,
            Scalar::Date => DataType::Date32,
            Scalar::DateTime => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    pub fn is_numeric(self) -> bool {
        self.is_integer() || matches!(self, Scalar::F32 | Scalar::F64)
    }

    pub fn is_integer(self) -> bool {
        matches!(self, Scalar::I32 | Scalar::I64 | Scalar::U32 | Scalar::U64)
    }
}

impl PropertyType {
    /// The Arrow type of the column.
    pub fn data_type(&self) -> DataType {
        let item = |data_type| Arc::new(Field::new("item", data_type, true));
        match self {
            PropertyType::Scalar(scalar) => scalar.data_type(),
            PropertyType::Enum(_) => DataType::Utf8,
            PropertyType::List(scalar) => DataType::List(item(scalar.data_type())),
            // The dimension was checked to be far below i32::MAX.
            PropertyType::Vector(n) => DataType::FixedSizeList(
                item(DataType::Float32),
                i32::try_from(*n).unwrap_or(i32::MAX),
            ),
        }
    }

    /// The one scalar of a scalar or enum type.
    pub fn scalar(&self) -> Option<Scalar> {
        match self {
            PropertyType::Scalar(scalar) => Some(*scalar),
            PropertyType::Enum(_) => Some(Scalar::String),
            PropertyType::List(_) | PropertyType::Vector(_) => None,
        }
    }
}

/// As it is written in a `.pg` file.
impl fmt::Display for PropertyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PropertyType::Scalar(scalar) => f.write_str(scalar.name()),
            PropertyType::List(scalar) => write!(f, "[{}]", scalar.name()),
            PropertyType::Enum(words) => write!(f, "enum({})", words.join(", ")),
            PropertyType::Vector(n) => write!(f, "Vector({n})"),
        }
    }
}

impl PropertyId {
    /// The name of the column in stored batches. It stays when the property is renamed.
    pub fn physical(self) -> String {
        format!("p{:016x}", self.0)
    }
}

pub(crate) fn columns_of(is_edge: bool, properties: &[Property]) -> Vec<Column> {
    let own = if is_edge {
        &["id", "src", "dst"][..]
    } else {
        &["id"][..]
    };
    own.iter()
        .map(|name| Column {
            name: (*name).to_owned(),
            physical: (*name).to_owned(),
            data_type: DataType::Utf8,
            nullable: false,
            property: None,
        })
        .chain(properties.iter().enumerate().map(|(at, property)| Column {
            name: property.column.clone(),
            physical: property.id.physical(),
            data_type: property.ty.data_type(),
            nullable: property.nullable,
            property: Some(at),
        }))
        .collect()
}

/// The columns as an Arrow schema, by their names in stored batches.
pub(crate) fn arrow_schema_of(columns: &[Column], unchecked: bool) -> SchemaRef {
    Arc::new(ArrowSchema::new(
        columns
            .iter()
            .map(|column| {
                Field::new(
                    &column.physical,
                    column.data_type.clone(),
                    unchecked || column.nullable,
                )
            })
            .collect::<Vec<_>>(),
    ))
}
