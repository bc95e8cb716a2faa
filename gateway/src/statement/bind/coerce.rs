//! Casts: which exist in which context, and how each is done in a plan.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Cast, Expr, expr::Placeholder};
use omnigraph_catalog::types::{PgType, numeric_modifier};
use omnigraph_udfs::pg::{arithmetic, string, vector};

use super::text_io;
use super::typed::{Kind, Typed};
use super::types::{is_string, numeric_for, type_name, wider_numeric};
use super::{Binder, catalog};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::text::read;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum Context {
    Implicit,
    Assignment,
    Explicit,
}

/// Is there an implicit cast (or none needed)?
pub(super) fn implicit(from: u32, to: u32) -> bool {
    can_coerce(from, to, Context::Implicit)
}

pub(super) fn can_coerce(from: u32, to: u32, context: Context) -> bool {
    if from == to || from == PgType::UNKNOWN.oid {
        return true;
    }
    if let Some(row) = catalog::cast(from, to) {
        return match row.context {
            'i' => true,
            'a' => context >= Context::Assignment,
            _ => context == Context::Explicit,
        };
    }
    let (source, target) = (PgType::new(from), PgType::new(to));
    // The vectors that catalogs use are arrays in all but name.
    if from == PgType::INT2VECTOR.oid && to == PgType::INT2_ARRAY.oid
        || from == PgType::OIDVECTOR.oid && to == PgType::OID_ARRAY.oid
    {
        return true;
    }
    if let (Some(source), Some(target)) = (source.element(), target.element())
        && !matches!(to, 22 | 30)
    {
        return can_coerce(source.oid, target.oid, context);
    }
    // Every type has its text.
    if is_string(to) {
        return context >= Context::Assignment;
    }
    is_string(from) && context == Context::Explicit
}

impl Binder<'_> {
    /// The value as a type. Fails with 42846 (or the `what` that the caller words) if there is
    /// no cast in this context.
    pub(super) fn coerce(&mut self, value: Typed, to: PgType, context: Context) -> PgResult<Typed> {
        let at = value.at;
        match &value.kind {
            Kind::Literal(text) => return self.literal_as(text.clone(), to, context, at),
            Kind::Param(number) => return self.param_as(*number, to, context, at),
            _ => {}
        }
        if !can_coerce(value.ty.oid, to.oid, context) {
            let error = PgError::new(
                sqlstate::CANNOT_COERCE,
                format!(
                    "cannot cast type {} to {}",
                    type_name(value.ty),
                    type_name(to)
                ),
            );
            return Err(positioned(error, at));
        }
        let origin = value.origin.filter(|_| value.ty.oid == to.oid);
        let (expr, ty) = self.convert(value.expr, value.ty, to, context == Context::Explicit)?;
        Ok(Typed {
            expr,
            ty,
            kind: Kind::Plain,
            at,
            origin,
        })
    }

    /// As [`Self::coerce`], for a value that has to be of a type: 42804 with PostgreSQL's words
    /// (`argument of WHERE must be type boolean, not type integer`).
    pub(super) fn require(&mut self, value: Typed, to: PgType, what: &str) -> PgResult<Typed> {
        if !value.is_unknown() && !implicit(value.ty.oid, to.oid) {
            let error = PgError::new(
                sqlstate::DATATYPE_MISMATCH,
                format!(
                    "argument of {what} must be type {}, not type {}",
                    type_name(to),
                    type_name(value.ty)
                ),
            );
            return Err(positioned(error, value.at));
        }
        self.coerce(value, to, Context::Implicit)
    }

    /// What is still unknown becomes text.
    pub(super) fn settle(&mut self, value: Typed) -> PgResult<Typed> {
        if value.is_unknown() {
            self.coerce(value, PgType::TEXT, Context::Implicit)
        } else {
            Ok(value)
        }
    }

    fn literal_as(
        &mut self,
        text: Option<String>,
        to: PgType,
        context: Context,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        let Some(text) = text else {
            if to.oid == PgType::RECORD.oid {
                return Ok(Typed::value(ScalarValue::Utf8(None), to).at(at));
            }
            let null = Typed::value(read::null(to)?, to).at(at);
            return match self.row_type_fields(to)? {
                Some(fields) => Ok(Typed {
                    kind: Kind::Row(fields),
                    ..null
                }),
                None => Ok(null),
            };
        };
        let mut ty = to;
        if to.oid == PgType::NUMERIC.oid && to.typmod == -1 {
            // The literal says its own scale.
            let number = crate::text::numeric::Numeric::parse(&text)
                .map_err(|error| positioned(error, at))?;
            ty = super::types::numeric_of(
                number
                    .precision()
                    .max(usize::from(number.scale) + 1)
                    .min(76) as u8,
                number.scale as i8,
            );
        }
        if to.oid == PgType::VECTOR.oid && to.typmod == -1 {
            let values = read::parse_vector(&text).map_err(|error| positioned(error, at))?;
            ty = to.with_typmod(values.len() as i32);
        }
        // An explicit cast cuts where an assignment complains.
        let bare = if context == Context::Explicit && matches!(to.oid, 1042 | 1043) {
            PgType::new(to.oid)
        } else {
            ty
        };
        if self.reads_now(to, &text) {
            let expr = self.cast_from_text(Expr::Literal(ScalarValue::Utf8(Some(text)), None), ty);
            return Ok(Typed::new(expr, ty).at(at));
        }
        let value = self
            .text
            .parse(bare, &text)
            .map_err(|error| positioned(error, at))?;
        let mut typed = Typed::value(value, bare).at(at);
        if bare != ty {
            let (expr, ty) = self.convert(typed.expr, bare, ty, true)?;
            typed = Typed::new(expr, ty).at(at);
        }
        Ok(typed)
    }

    /// The fields of a table's row type, all NULL.
    fn row_type_fields(&self, ty: PgType) -> PgResult<Option<Vec<(String, Typed)>>> {
        if ty.info().is_some() {
            return Ok(None);
        }
        let Some((schema, name)) = self.catalog.type_by_oid(ty.oid) else {
            return Ok(None);
        };
        let Some(relation) = self.env.relation(Some(&schema), &name)? else {
            return Ok(None);
        };
        let fields = relation.columns.into_iter().map(|column| {
            let null = Typed::value(read::null(column.ty)?, column.ty);
            Ok((column.name, null))
        });
        fields.collect::<PgResult<Vec<_>>>().map(Some)
    }

    /// `'now'::timestamptz` and its kind depend on when the statement runs.
    fn reads_now(&self, ty: PgType, text: &str) -> bool {
        matches!(ty.oid, 1082 | 1083 | 1114 | 1184)
            && ["now", "today", "tomorrow", "yesterday"]
                .iter()
                .any(|word| text.trim().to_ascii_lowercase().starts_with(word))
    }

    fn param_as(
        &mut self,
        number: usize,
        to: PgType,
        context: Context,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        match self.params.get(number).copied().flatten() {
            None => {
                // The client sends plain values: a modifier is applied here, and a numeric
                // parameter has the widest representation.
                let ty = PgType::new(to.oid);
                self.params[number] = Some(ty);
                let typed = self.param(number, ty).at(at);
                if to.typmod == -1 {
                    Ok(typed)
                } else {
                    self.coerce(typed, to, context)
                }
            }
            Some(known) if known.oid == to.oid => {
                let typed = self.param(number, known).at(at);
                self.coerce(typed, to, context)
            }
            Some(known) => {
                let error = PgError::new(
                    sqlstate::AMBIGUOUS_PARAMETER,
                    format!("inconsistent types deduced for parameter ${}", number + 1),
                )
                .detail(format!("{} versus {}", type_name(known), type_name(to)));
                Err(positioned(error, at))
            }
        }
    }

    pub(super) fn param(&self, number: usize, ty: PgType) -> Typed {
        let field = arrow::datatypes::Field::new("", ty.arrow(), true);
        Typed::new(
            Expr::Placeholder(Placeholder::new_with_field(
                format!("${}", number + 1),
                Some(Arc::new(field)),
            )),
            ty,
        )
    }

    /// The conversion itself, which is known to exist. The type that comes back may say more
    /// than the one asked for: the scale of a numeric.
    pub(super) fn convert(
        &mut self,
        expr: Expr,
        from: PgType,
        to: PgType,
        explicit: bool,
    ) -> PgResult<(Expr, PgType)> {
        if from == to {
            return Ok((expr, to));
        }
        let to = if to.oid == PgType::NUMERIC.oid && to.typmod == -1 {
            if from.oid == PgType::NUMERIC.oid {
                from
            } else {
                numeric_for(from.oid)
            }
        } else {
            to
        };
        let (source, target) = (from.arrow(), to.arrow());
        let integer = |ty: &DataType| {
            matches!(
                ty,
                DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::UInt32
            )
        };
        let decimal =
            |ty: &DataType| matches!(ty, DataType::Decimal128(..) | DataType::Decimal256(..));
        let float = |ty: &DataType| matches!(ty, DataType::Float32 | DataType::Float64);
        let reg = |ty: PgType| ty.arrow() == DataType::UInt32 && !matches!(ty.oid, 26 | 28 | 29);
        let converted = if from.oid == to.oid && from.oid == PgType::NUMERIC.oid {
            if source == target {
                expr
            } else {
                arithmetic::decimal_cast(&target, expr)
            }
        } else if to.oid == PgType::VECTOR.oid && from.oid == PgType::VECTOR.oid {
            vector::sized(dimensions(to), expr)
        } else if to.oid == PgType::VECTOR.oid && from.is_array() {
            vector::of_array(dimensions(to), expr)
        } else if from.oid == PgType::VECTOR.oid && to.oid == PgType::FLOAT4_ARRAY.oid {
            vector::to_array(expr)
        } else if matches!(to.oid, 1042 | 1043 | 19 | 18) && source == DataType::Utf8 {
            text_io::limit_text(expr, to, explicit, from.oid == PgType::BPCHAR.oid)
        } else if from.oid == PgType::CHAR.oid && to.oid == PgType::INT4.oid {
            string::call("ascii", target, vec![expr])
        } else if from.oid == PgType::INT4.oid && to.oid == PgType::CHAR.oid {
            string::call("chr", target, vec![expr])
        } else if is_string(to.oid) {
            match from.oid {
                // Blanks at the end of char(n) are not part of it.
                1042 if to.oid != 1042 => text_io::trim_blanks(expr),
                25 | 1043 | 19 | 18 | 705 => expr,
                16 => text_io::bool_text(expr),
                _ if source == DataType::Utf8 => expr,
                _ => {
                    let text = self.cast_to_text(expr, from);
                    if matches!(to.oid, 1042 | 1043 | 19) && (to.typmod > 0 || to.oid == 19) {
                        text_io::limit_text(text, to, explicit, false)
                    } else {
                        text
                    }
                }
            }
        } else if is_string(from.oid) && from.oid != to.oid {
            self.cast_from_text(expr, to)
        } else if source == target && from.oid != to.oid {
            match (from.oid, to.oid) {
                (114, 3802) => self.cast_from_text(expr, to),
                _ => expr,
            }
        } else if integer(&source) && integer(&target) {
            let widening = matches!(
                (&source, &target),
                (DataType::Int16, DataType::Int32 | DataType::Int64)
                    | (DataType::Int32, DataType::Int64)
                    | (DataType::UInt32, DataType::Int64)
            );
            if widening {
                native(expr, target)
            } else {
                fold(expr, &target, |expr| {
                    arithmetic::to_integer(&source, &target, expr)
                })
            }
        } else if integer(&source) && (float(&target) || decimal(&target)) {
            if decimal(&target) {
                let own = numeric_for(from.oid);
                let plain = native(expr, own.arrow());
                if own.arrow() == target {
                    plain
                } else {
                    arithmetic::decimal_cast(&target, plain)
                }
            } else {
                native(expr, target)
            }
        } else if (float(&source) || decimal(&source)) && integer(&target) {
            arithmetic::to_integer(&source, &target, expr)
        } else if source == DataType::Float64 && target == DataType::Float32 {
            arithmetic::to_float4(expr)
        } else if float(&source) && decimal(&target) {
            text_io::float_to_numeric(expr, to)
        } else if decimal(&source) && float(&target) {
            text_io::numeric_to_float(expr, &target)
        } else if source == DataType::Boolean && target == DataType::Int32
            || source == DataType::Int32 && target == DataType::Boolean
        {
            native(expr, target)
        } else if (float(&source) && float(&target))
            || (source == DataType::Date32
                && target == DataType::Timestamp(TimeUnit::Microsecond, None))
        {
            if float(&source) {
                native(expr, target)
            } else {
                self.time_cast(expr, from, to)
            }
        } else if matches!(from.oid, 1082 | 1083 | 1114 | 1184 | 1186)
            && matches!(to.oid, 1082 | 1083 | 1114 | 1184 | 1186)
        {
            self.time_cast(expr, from, to)
        } else if let (Some(inner), Some(outer)) = (from.element(), to.element()) {
            let element = |array: Expr, binder: &mut Self| -> PgResult<Expr> {
                let placeholder = Expr::Column(datafusion::common::Column::new_unqualified(
                    text_io::ELEMENT,
                ));
                let (body, _) = binder.convert(placeholder, inner, outer, explicit)?;
                Ok(text_io::map_elements(array, inner, outer, body))
            };
            element(expr, self)?
        } else if reg(from) || reg(to) || from.oid == PgType::RECORD.oid {
            self.cast_from_text_via(expr, from, to)
        } else if from.oid == to.oid {
            expr
        } else {
            self.cast_from_text_via(expr, from, to)
        };
        Ok((converted, to))
    }

    fn cast_from_text_via(&mut self, expr: Expr, from: PgType, to: PgType) -> Expr {
        let text = self.cast_to_text(expr, from);
        self.cast_from_text(text, to)
    }

    /// Two values as the type that both can be, for comparison.
    pub(super) fn align_numeric(&mut self, left: Typed, right: Typed) -> PgResult<(Typed, Typed)> {
        let common = wider_numeric(left.ty, right.ty);
        if numeric_modifier(common.typmod).is_none()
            && (left.ty.typmod != -1 || right.ty.typmod != -1)
        {
            // One side has the digits of numeric without a modifier: both get them.
            let plain = PgType::NUMERIC.arrow();
            let cast = |value: Typed| {
                if value.ty.arrow() == plain {
                    value
                } else {
                    Typed {
                        expr: arithmetic::decimal_cast(&plain, value.expr.clone()),
                        ty: PgType::NUMERIC,
                        ..value
                    }
                }
            };
            return Ok((cast(left), cast(right)));
        }
        let mut cast = |value: Typed| -> PgResult<Typed> {
            let (expr, ty) = self.convert(value.expr.clone(), value.ty, common, false)?;
            Ok(Typed { expr, ty, ..value })
        };
        Ok((cast(left)?, cast(right)?))
    }
}

/// How many dimensions a vector type declares.
fn dimensions(ty: PgType) -> Option<usize> {
    usize::try_from(ty.typmod).ok().filter(|count| *count > 0)
}

/// A cast that cannot fail and that DataFusion can reason about.
fn native(expr: Expr, to: DataType) -> Expr {
    fold(expr, &to, |expr| {
        Expr::Cast(Cast::new(Box::new(expr), to.clone()))
    })
}

/// Constants are cast here and now, so that filters stay `column = constant`.
fn fold(expr: Expr, to: &DataType, cast: impl FnOnce(Expr) -> Expr) -> Expr {
    if let Expr::Literal(value, _) = &expr
        && !(matches!(value, ScalarValue::Int32(Some(v)) if *v < 0) && *to == DataType::UInt32)
        && let Ok(folded) = value.cast_to(to)
        && (folded.is_null() == value.is_null())
    {
        return Expr::Literal(folded, None);
    }
    cast(expr)
}

pub(super) fn positioned(error: PgError, at: Option<u32>) -> PgError {
    match at {
        Some(at) => error.at(at),
        None => error,
    }
}
