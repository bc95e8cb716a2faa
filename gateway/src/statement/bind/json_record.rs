//! JSON objects as rows: `json_to_record`, `json_populate_record` and their kind. The columns
//! come from a column definition list or from the row type of the first argument.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Case, Expr};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{array, json, json_record};

use super::Binder;
use super::coerce::{Context, positioned};
use super::functions::undefined;
use super::scope::internal;
use super::text_io::{ELEMENT, map_elements};
use super::typed::{Kind, Typed};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// One of these functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordFunction {
    name: &'static str,
    argument: PgType,
    /// The first argument is a row, whose fields are kept where the object has none.
    pub(super) has_base: bool,
    /// Its argument is an array of objects.
    pub(super) is_set: bool,
}

const FUNCTIONS: [RecordFunction; 8] = [
    RecordFunction::of("json_populate_record", PgType::JSON, true, false),
    RecordFunction::of("json_populate_recordset", PgType::JSON, true, true),
    RecordFunction::of("json_to_record", PgType::JSON, false, false),
    RecordFunction::of("json_to_recordset", PgType::JSON, false, true),
    RecordFunction::of("jsonb_populate_record", PgType::JSONB, true, false),
    RecordFunction::of("jsonb_populate_recordset", PgType::JSONB, true, true),
    RecordFunction::of("jsonb_to_record", PgType::JSONB, false, false),
    RecordFunction::of("jsonb_to_recordset", PgType::JSONB, false, true),
];

impl RecordFunction {
    const fn of(name: &'static str, argument: PgType, has_base: bool, is_set: bool) -> Self {
        RecordFunction {
            name,
            argument,
            has_base,
            is_set,
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        FUNCTIONS.into_iter().find(|function| function.name == name)
    }
}

impl Binder<'_> {
    /// A row that is filled from an object, in an expression.
    pub(super) fn populated_row(
        &mut self,
        function: RecordFunction,
        args: Vec<Typed>,
        at: Option<u32>,
    ) -> PgResult<Typed> {
        if !function.has_base {
            let error = PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "function returning record called in context that cannot accept type record",
            );
            return Err(positioned(error, at));
        }
        let (base, json) = self.record_arguments(function, args, at)?;
        let fields = self.record_fields(function, base, &json)?;
        self.row(fields, at)
    }

    /// As lists, one for each column. `columns` is the column definition list, if there is one.
    pub(super) fn record_lists(
        &mut self,
        function: RecordFunction,
        args: Vec<Typed>,
        columns: Option<Vec<(String, PgType)>>,
        at: Option<u32>,
    ) -> PgResult<Vec<(String, Typed)>> {
        let (base, json) = self.record_arguments(function, args, at)?;
        let base = match columns {
            None => base,
            Some(columns) => columns
                .into_iter()
                .map(|(name, ty)| {
                    let null = Typed::value(crate::text::read::null(ty)?, ty);
                    Ok((name, null))
                })
                .collect::<PgResult<Vec<_>>>()?,
        };
        if !function.is_set {
            let fields = self.record_fields(function, base, &json)?;
            let lists = fields.into_iter().map(|(name, field)| {
                let list = array::construct(&field.ty.arrow(), vec![field.expr]);
                (name, set_of(list, field.ty))
            });
            return Ok(lists.collect());
        }
        let texts = PgType::TEXT_ARRAY.arrow();
        let objects = json::operator("json_array_elements", &texts, vec![json]);
        let fields = self.record_fields(function, base, &internal(ELEMENT))?;
        let lists = fields.into_iter().map(|(name, field)| {
            let list = map_elements(objects.clone(), PgType::TEXT, field.ty, field.expr);
            (name, set_of(list, field.ty))
        });
        Ok(lists.collect())
    }

    /// The fields of the base, and the JSON.
    fn record_arguments(
        &mut self,
        function: RecordFunction,
        mut args: Vec<Typed>,
        at: Option<u32>,
    ) -> PgResult<(Vec<(String, Typed)>, Expr)> {
        let least = 1 + usize::from(function.has_base);
        // The third argument of the json variants means nothing any more.
        let most = least + usize::from(function.has_base && function.argument == PgType::JSON);
        if !(least..=most).contains(&args.len()) {
            return Err(undefined(function.name, &args, at));
        }
        let json = args.remove(least - 1);
        let json = self
            .coerce(json, function.argument, Context::Implicit)?
            .expr;
        if !function.has_base {
            return Ok((Vec::new(), json));
        }
        match args.remove(0).kind {
            Kind::Row(fields) => Ok((fields, json)),
            _ => Err(positioned(
                PgError::new(
                    sqlstate::DATATYPE_MISMATCH,
                    format!("first argument of {} must be a row type", function.name),
                ),
                at,
            )),
        }
    }

    fn record_fields(
        &mut self,
        function: RecordFunction,
        base: Vec<(String, Typed)>,
        json: &Expr,
    ) -> PgResult<Vec<(String, Typed)>> {
        let mut fields = Vec::with_capacity(base.len());
        for (name, kept) in base {
            let kept = self.settle(kept)?;
            let ty = kept.ty;
            let column = match ty.oid {
                114 | 3802 => json_record::Column::Json,
                _ if ty.is_array() => json_record::Column::Array,
                _ => json_record::Column::Plain,
            };
            let text = json_record::member(function.name, json.clone(), &name, column);
            let (value, ty) = self.convert(text, PgType::TEXT, ty, false)?;
            let value = if kept.is_null_literal() {
                value
            } else {
                keep_unless_named(json, &name, kept.expr, value)
            };
            fields.push((name, Typed::new(value, ty)));
        }
        Ok(fields)
    }
}

/// The object's member where it has one, if only null; else what was there.
fn keep_unless_named(json: &Expr, name: &str, kept: Expr, value: Expr) -> Expr {
    let key = Expr::Literal(ScalarValue::Utf8(Some(name.to_owned())), None);
    let has = json::operator(
        "jsonb_exists",
        &PgType::BOOL.arrow(),
        vec![json.clone(), key],
    );
    Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(Box::new(has), Box::new(value))],
        else_expr: Some(Box::new(kept)),
    })
}

/// A list whose elements are of this type, which may itself be an array.
fn set_of(list: Expr, element: PgType) -> Typed {
    Typed {
        kind: Kind::Row(Vec::new()),
        ..Typed::new(list, element)
    }
}
