//! PostgreSQL's types in a query: names to types, categories, and the type that several values
//! have in common (chapter 10.5 of its manual).

use omnigraph_catalog::types::{PgType, numeric_modifier};
use omnigraph_udfs::pg::vector::MAX_DIMENSIONS;
use sqlparser::ast::{ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, TimezoneInfo};

use super::Binder;
use super::typed::Typed;
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

pub(super) const ANYNONARRAY: u32 = 2776;
pub(super) const ANYCOMPATIBLE: u32 = 5077;
pub(super) const ANYCOMPATIBLEARRAY: u32 = 5078;
pub(super) const ANYCOMPATIBLENONARRAY: u32 = 5079;

/// `numeric` that says how it lies in Arrow. The modifier is for the representation alone:
/// PostgreSQL would call all of these plain `numeric`.
pub(super) fn numeric_of(precision: u8, scale: i8) -> PgType {
    omnigraph_catalog::types::numeric(precision.clamp(1, 76), scale.clamp(0, 75))
}

pub(super) fn category(oid: u32) -> char {
    match PgType::new(oid).info() {
        Some(info) => info.category,
        None => 'U',
    }
}

pub(super) fn is_preferred(oid: u32) -> bool {
    PgType::new(oid).info().is_some_and(|info| info.preferred)
}

pub(super) fn is_string(oid: u32) -> bool {
    category(oid) == 'S'
}

/// As `format_type` prints it.
pub fn type_name(ty: PgType) -> String {
    match ty.info() {
        Some(info) => info.sql_name.to_owned(),
        None => match ty.oid {
            ANYNONARRAY => "anynonarray".to_owned(),
            ANYCOMPATIBLE => "anycompatible".to_owned(),
            ANYCOMPATIBLEARRAY => "anycompatiblearray".to_owned(),
            ANYCOMPATIBLENONARRAY => "anycompatiblenonarray".to_owned(),
            oid => oid.to_string(),
        },
    }
}

/// The least numeric type that holds all values of both.
pub(super) fn wider_numeric(a: PgType, b: PgType) -> PgType {
    let (Some((ap, asc)), Some((bp, bsc))) =
        (numeric_modifier(a.typmod), numeric_modifier(b.typmod))
    else {
        return PgType::NUMERIC;
    };
    let scale = asc.max(bsc);
    let whole = (i32::from(ap) - i32::from(asc)).max(i32::from(bp) - i32::from(bsc));
    numeric_of((whole + i32::from(scale)).clamp(1, 76) as u8, scale)
}

/// The numeric type whose values an integer type's all are.
pub(super) fn numeric_for(oid: u32) -> PgType {
    match oid {
        21 => numeric_of(5, 0),
        23 => numeric_of(10, 0),
        20 => numeric_of(19, 0),
        _ => PgType::NUMERIC,
    }
}

/// The type that the branches of CASE, UNION, ARRAY, VALUES and their kind have in common;
/// `context` is the word for errors.
pub(super) fn common_type(values: &[Typed], context: &str) -> PgResult<PgType> {
    let mut best: Option<PgType> = None;
    for value in values.iter().filter(|value| !value.is_unknown()) {
        let ty = value.ty;
        let Some(so_far) = best else {
            best = Some(ty);
            continue;
        };
        if so_far.oid == ty.oid {
            if so_far.typmod != ty.typmod {
                best = Some(if ty.oid == PgType::NUMERIC.oid {
                    wider_numeric(so_far, ty)
                } else {
                    PgType::new(ty.oid)
                });
            }
            continue;
        }
        if category(so_far.oid) != category(ty.oid) {
            return Err(mismatch(so_far, ty, context, value.at));
        }
        let forward = super::coerce::implicit(so_far.oid, ty.oid);
        let back = super::coerce::implicit(ty.oid, so_far.oid);
        if !is_preferred(so_far.oid) && forward && !back {
            best = Some(merge_numeric(ty, so_far));
        } else if back || forward {
            best = Some(merge_numeric(so_far, ty));
        } else {
            return Err(mismatch(so_far, ty, context, value.at));
        }
    }
    Ok(best.unwrap_or(PgType::TEXT))
}

/// `winner`, wide enough for what `other` brings when the winner is numeric.
fn merge_numeric(winner: PgType, other: PgType) -> PgType {
    if winner.oid != PgType::NUMERIC.oid {
        return PgType::new(winner.oid);
    }
    let other = if other.oid == PgType::NUMERIC.oid {
        other
    } else {
        numeric_for(other.oid)
    };
    wider_numeric(winner, other)
}

fn mismatch(a: PgType, b: PgType, context: &str, at: Option<u32>) -> PgError {
    let error = PgError::new(
        sqlstate::DATATYPE_MISMATCH,
        format!(
            "{context} types {} and {} cannot be matched",
            type_name(a),
            type_name(b)
        ),
    );
    match at {
        Some(at) => error.at(at),
        None => error,
    }
}

impl Binder<'_> {
    /// The type that a cast or declaration names.
    pub(super) fn type_of(&self, data_type: &DataType, at: Option<u32>) -> PgResult<PgType> {
        let known = |ty: PgType| Ok(ty);
        let length = |ty: PgType, length: &Option<CharacterLength>| match length {
            Some(CharacterLength::IntegerLength { length, .. }) => match i32::try_from(*length) {
                Ok(length) if length > 0 && length <= 10_485_760 => Ok(ty.with_typmod(length + 4)),
                _ => Err(PgError::new(
                    sqlstate::INVALID_PARAMETER_VALUE,
                    format!(
                        "length for type {} must be at least 1",
                        ty.info().map_or("", |info| info.name)
                    ),
                )),
            },
            _ => Ok(ty),
        };
        let precision = |ty: PgType, precision: &Option<u64>| match precision {
            Some(precision) => ty.with_typmod((*precision).min(6) as i32),
            None => ty,
        };
        match data_type {
            DataType::Boolean | DataType::Bool => known(PgType::BOOL),
            DataType::SmallInt(_) | DataType::Int2(_) => known(PgType::INT2),
            DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => known(PgType::INT4),
            DataType::BigInt(_) | DataType::Int8(_) => known(PgType::INT8),
            DataType::Real | DataType::Float4 => known(PgType::FLOAT4),
            DataType::Float(info) => match info {
                ExactNumberInfo::Precision(bits) if *bits <= 24 => known(PgType::FLOAT4),
                _ => known(PgType::FLOAT8),
            },
            DataType::DoublePrecision
            | DataType::Double(_)
            | DataType::Float8
            | DataType::Float64 => known(PgType::FLOAT8),
            DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => {
                numeric_type(info)
            }
            DataType::Text => known(PgType::TEXT),
            DataType::Varchar(n) | DataType::CharacterVarying(n) | DataType::CharVarying(n) => {
                length(PgType::VARCHAR, n)
            }
            DataType::Character(n) | DataType::Char(n) => {
                if n.is_none() {
                    known(PgType::BPCHAR.with_typmod(5))
                } else {
                    length(PgType::BPCHAR, n)
                }
            }
            DataType::Bytea => known(PgType::BYTEA),
            DataType::Date => known(PgType::DATE),
            DataType::Time(p, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
                known(precision(PgType::TIME, p))
            }
            DataType::Timestamp(p, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
                known(precision(PgType::TIMESTAMP, p))
            }
            DataType::Timestamp(p, _) => known(precision(PgType::TIMESTAMPTZ, p)),
            DataType::Interval { .. } => known(PgType::INTERVAL),
            DataType::JSON => known(PgType::JSON),
            DataType::JSONB => known(PgType::JSONB),
            DataType::Uuid => known(PgType::UUID),
            DataType::TsVector => known(PgType::TSVECTOR),
            DataType::TsQuery => known(PgType::TSQUERY),
            DataType::Bit(length) => {
                let length = i32::try_from(length.unwrap_or(1)).unwrap_or(i32::MAX);
                if !(1..=LONGEST_BITS).contains(&length) {
                    let message = match length {
                        0 => "length for type bit must be at least 1".to_owned(),
                        _ => format!("length for type bit cannot exceed {LONGEST_BITS}"),
                    };
                    return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
                }
                known(PgType::BIT.with_typmod(length))
            }
            DataType::Regclass => known(PgType::REGCLASS),
            DataType::Array(
                ArrayElemTypeDef::SquareBracket(element, _)
                | ArrayElemTypeDef::AngleBracket(element),
            ) => {
                let element = self.type_of(element, at)?;
                // Several dimensions are one array type.
                if element.is_array()
                    && element.oid != PgType::INT2VECTOR.oid
                    && element.oid != PgType::OIDVECTOR.oid
                {
                    return Ok(element);
                }
                element
                    .array()
                    .ok_or_else(|| unknown_type(&format!("{}[]", type_name(element)), at))
            }
            DataType::Custom(name, modifiers) => {
                let parts: Vec<String> = name
                    .0
                    .iter()
                    .filter_map(|part| part.as_ident())
                    .enumerate()
                    .map(|(i, ident)| {
                        // "char" is not char; every other built-in type may be quoted.
                        if ident.quote_style.is_some()
                            && ident.value == "char"
                            && i + 1 == name.0.len()
                        {
                            "\"char\"".to_owned()
                        } else {
                            fold(ident)
                        }
                    })
                    .collect();
                self.custom_type(&parts, modifiers, at)
            }
            other => Err(unknown_type(&other.to_string().to_lowercase(), at)),
        }
    }

    fn custom_type(
        &self,
        parts: &[String],
        modifiers: &[String],
        at: Option<u32>,
    ) -> PgResult<PgType> {
        let written = parts.join(".");
        let (schema, name) = match parts {
            [name] => (None, name.as_str()),
            [schema, name] => (Some(schema.as_str()), name.as_str()),
            _ => return Err(unknown_type(&written, at)),
        };
        if schema.is_none_or(|schema| schema == "pg_catalog") {
            let spelled = match name {
                "\"char\"" => Some(PgType::CHAR),
                "int" if schema.is_none() => Some(PgType::INT4),
                "vector" => Some(vector_type(modifiers)?),
                _ => omnigraph_catalog::types::BUILT_IN
                    .iter()
                    .find(|info| info.name == name && name != "char")
                    .map(|info| PgType::new(info.oid)),
            };
            if let Some(ty) = spelled {
                return Ok(
                    match (
                        ty.oid,
                        modifiers.first().and_then(|n| n.trim().parse::<i32>().ok()),
                    ) {
                        (1042 | 1043, Some(n)) => ty.with_typmod(n + 4),
                        (1700, Some(p)) => {
                            let scale = modifiers
                                .get(1)
                                .and_then(|n| n.trim().parse::<i8>().ok())
                                .unwrap_or(0);
                            numeric_of(p.clamp(1, 76) as u8, scale)
                        }
                        (1042, None) => ty,
                        _ => ty,
                    },
                );
            }
        }
        let text: Vec<String> = parts
            .iter()
            .map(|part| omnigraph_catalog::lookup::quote_identifier(part))
            .collect();
        // information_schema's domains have the representation of what they are over.
        if schema.is_none_or(|schema| schema == "information_schema") {
            match name {
                "sql_identifier" => return Ok(PgType::NAME),
                "character_data" | "yes_or_no" => return Ok(PgType::VARCHAR),
                "cardinal_number" => return Ok(PgType::INT4),
                _ => {}
            }
        }
        self.catalog
            .parse_type(&text.join("."), &self.path)
            .ok_or_else(|| unknown_type(&written, at))
    }
}

/// As in PostgreSQL.
const LONGEST_BITS: i32 = 83_886_080;

/// `vector` and `vector(n)`.
fn vector_type(modifiers: &[String]) -> PgResult<PgType> {
    let invalid = |message: String| PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message);
    match modifiers {
        [] => Ok(PgType::VECTOR),
        [dimensions] => match dimensions.trim().parse::<i32>() {
            Ok(dimensions) if dimensions < 1 => Err(invalid(
                "dimensions for type vector must be at least 1".to_owned(),
            )),
            Ok(dimensions) if dimensions as usize <= MAX_DIMENSIONS => {
                Ok(PgType::VECTOR.with_typmod(dimensions))
            }
            Ok(_) => Err(invalid(format!(
                "dimensions for type vector cannot exceed {MAX_DIMENSIONS}"
            ))),
            Err(_) => Err(invalid("invalid type modifier".to_owned())),
        },
        _ => Err(invalid("invalid type modifier".to_owned())),
    }
}

fn numeric_type(info: &ExactNumberInfo) -> PgResult<PgType> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(PgType::NUMERIC),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    if precision == 0 || precision > 1000 {
        return Err(PgError::new(
            sqlstate::INVALID_PARAMETER_VALUE,
            format!("NUMERIC precision {precision} must be between 1 and 1000"),
        ));
    }
    if precision > 76 || scale < 0 || scale > precision as i64 {
        return Err(PgError::new(
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!("NUMERIC({precision},{scale}) is not supported"),
        )
        .hint("The precision is at most 76, and the scale between 0 and the precision."));
    }
    Ok(numeric_of(precision as u8, scale as i8))
}

pub(super) fn unknown_type(name: &str, at: Option<u32>) -> PgError {
    let error = PgError::new(
        sqlstate::UNDEFINED_OBJECT,
        format!("type \"{name}\" does not exist"),
    );
    match at {
        Some(at) => error.at(at),
        None => error,
    }
}
