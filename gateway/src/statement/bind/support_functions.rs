//! The functions behind operators and types, called by their own names: `int4pl(1, 2)`,
//! `date_in('today')`, `uuid_send(…)`. Catalogs refer to them, so `pg_proc` lists them.

use std::sync::Arc;

use arrow::array::{Array, BinaryBuilder};
use arrow::datatypes::DataType;
use omnigraph_catalog::types::{BUILT_IN, PgType, TypeInfo};
use omnigraph_udfs::pg::call_with;

use super::Binder;
use super::catalog::{OperatorRow, operators_of_function};
use super::coerce::Context;
use super::functions::undefined;
use super::resolve::{Choice, choose};
use super::text_io::carried;
use super::typed::Typed;
use crate::error::PgResult;
use crate::text::view::View;
use crate::wire::encode_binary;

/// What a type's function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Support {
    Input,
    Output,
    Send,
}

impl Binder<'_> {
    /// `None`: there is no operator or type that this function is of.
    pub(super) fn support_function(
        &mut self,
        name: &str,
        args: &[Typed],
        at: Option<u32>,
    ) -> PgResult<Option<Typed>> {
        if let Some(found) = self.operator_function(name, args, at)? {
            return Ok(Some(found));
        }
        let Some((support, info)) = of_type(name) else {
            return Ok(None);
        };
        let ty = PgType::new(info.oid);
        let Some(first) = args.first().cloned() else {
            return Err(undefined(name, args, at));
        };
        match support {
            // Behind the text come the element type and the modifier.
            Support::Input if args.len() <= 3 => {
                let text = self.coerce(first, PgType::CSTRING, Context::Implicit)?;
                let value = self.cast_from_text(text.expr, ty);
                Ok(Some(Typed::new(value, ty)))
            }
            Support::Output if args.len() == 1 => {
                let value = self.coerce(first, ty, Context::Implicit)?;
                let text = self.cast_to_text(value.expr, value.ty);
                Ok(Some(Typed::new(text, PgType::CSTRING)))
            }
            Support::Send if args.len() == 1 => {
                let value = self.coerce(first, ty, Context::Implicit)?;
                encode_binary::check(value.ty)?;
                Ok(Some(sent(value)))
            }
            _ => Err(undefined(name, args, at)),
        }
    }

    fn operator_function(
        &mut self,
        name: &str,
        args: &[Typed],
        at: Option<u32>,
    ) -> PgResult<Option<Typed>> {
        let rows: Vec<&OperatorRow> = operators_of_function(name)
            .filter(|row| args.len() == 2 - usize::from(row.left == 0))
            .collect();
        let declared: Vec<Vec<u32>> = rows
            .iter()
            .map(|row| match row.left {
                0 => vec![row.right],
                left => vec![left, row.right],
            })
            .collect();
        let actual: Vec<u32> = args.iter().map(|arg| arg.ty.oid).collect();
        let Choice::One(found) = choose(&declared, &actual) else {
            return Ok(None);
        };
        let row = rows[found];
        let mut operands = Vec::with_capacity(2);
        for (arg, declared) in args.iter().zip(&declared[found]) {
            // What any type may be stays what it is.
            let fixed = PgType::new(*declared)
                .info()
                .is_some_and(|info| info.category != 'P');
            operands.push(match fixed {
                true => self.coerce(arg.clone(), PgType::new(*declared), Context::Implicit)?,
                false => arg.clone(),
            });
        }
        let last = operands.pop();
        Ok(match (operands.pop(), last) {
            (Some(left), Some(right)) => Some(self.operator(row.name, left, right, at)?),
            (None, Some(value)) => Some(self.prefix_operator(row.name, value, at)?),
            _ => None,
        })
    }
}

/// `int4in`, `date_out`, `uuid_send`: types are joined to the word with or without a stroke.
fn of_type(name: &str) -> Option<(Support, &'static TypeInfo)> {
    let (stem, support) = [
        ("in", Support::Input),
        ("out", Support::Output),
        ("send", Support::Send),
    ]
    .into_iter()
    .find_map(|(word, support)| Some((name.strip_suffix(word)?, support)))?;
    let stem = stem.strip_suffix('_').unwrap_or(stem);
    let info = BUILT_IN.iter().find(|info| info.name == stem)?;
    (!matches!(info.category, 'A' | 'P' | 'X') || matches!(info.oid, 22 | 30))
        .then_some((support, info))
}

/// A value's binary form.
fn sent(value: Typed) -> Typed {
    let ty = value.ty;
    let expr = call_with(
        "send",
        format!("{ty:?}"),
        DataType::Binary,
        vec![value.expr],
        move |arrays| {
            let view = View::new(ty, &arrays[0]).map_err(carried)?;
            let mut out = BinaryBuilder::new();
            let mut bytes = Vec::new();
            for row in 0..arrays[0].len() {
                if view.is_null(row) {
                    out.append_null();
                    continue;
                }
                bytes.clear();
                encode_binary::put(&view, row, &mut bytes).map_err(carried)?;
                // The length stands before it.
                out.append_value(&bytes[4..]);
            }
            Ok(Arc::new(out.finish()))
        },
    );
    Typed::new(expr, PgType::BYTEA)
}
