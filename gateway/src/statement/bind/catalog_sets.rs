//! Set-returning functions of the catalogs, as lists for their columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, Volatility};
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::PgFunction;
use omnigraph_udfs::{Error, Result};

use super::typed::Typed;
use super::{Binder, acl_functions, snapshot_functions, unsupported};
use crate::error::PgResult;
use crate::text::read;

/// PostgreSQL 15's keywords: the word, its category, and whether it can be a bare label.
const KEYWORDS: &str = include_str!("catalog/keywords.tsv");

pub(super) fn is_implemented(name: &str) -> bool {
    matches!(
        name,
        "aclexplode"
            | "pg_get_keywords"
            | "pg_listening_channels"
            | "pg_options_to_table"
            | "pg_partition_ancestors"
            | "pg_snapshot_xip"
            | "pg_tablespace_databases"
            | "txid_snapshot_xip"
    )
}

impl Binder<'_> {
    pub(super) fn catalog_set(
        &mut self,
        name: &'static str,
        args: Vec<Typed>,
        at: Option<u32>,
    ) -> PgResult<Vec<(String, Typed)>> {
        let args: Vec<Expr> = args.into_iter().map(|arg| arg.expr).collect();
        let one = |typed: Typed| Ok(vec![(name.to_owned(), typed)]);
        match (name, args.as_slice()) {
            ("aclexplode", [items]) => Ok(acl_functions::explode(&self.lookup(), items)),
            ("pg_get_keywords", []) => keywords(),
            ("pg_listening_channels", []) => {
                let session = self.env.session();
                let body = move |_: &[ArrayRef], count: usize| {
                    let channels: Vec<_> = session.listening().into_iter().map(Some).collect();
                    Ok(text_lists(vec![Some(channels); count]))
                };
                let ty = PgType::TEXT_ARRAY;
                let function =
                    PgFunction::new(name, ty.arrow(), Volatility::Volatile, Arc::new(body));
                one(Typed::new(function.over(Vec::new()), ty))
            }
            ("pg_options_to_table", [options]) => Ok(vec![
                ("option_name".to_owned(), options_column(options, true)),
                ("option_value".to_owned(), options_column(options, false)),
            ]),
            // Nothing is partitioned, and there are no tablespaces to be in.
            ("pg_partition_ancestors", _) => {
                one(nothing(PgType::REGCLASS, PgType::REGCLASS_ARRAY)?)
            }
            ("pg_tablespace_databases", _) => one(nothing(PgType::OID, PgType::OID_ARRAY)?),
            ("pg_snapshot_xip" | "txid_snapshot_xip", _) => {
                let ty = match name {
                    "pg_snapshot_xip" => PgType::XID8_ARRAY,
                    _ => PgType::INT8_ARRAY,
                };
                let body = Arc::new(snapshot_functions::running);
                let function = PgFunction::new(name, ty.arrow(), Volatility::Immutable, body);
                one(Typed::new(function.over(args), ty))
            }
            _ => Err(unsupported(&format!("{name}()"), at)),
        }
    }
}

fn nothing(element: PgType, list: PgType) -> PgResult<Typed> {
    Ok(Typed::value(read::list(element, Vec::new())?, list))
}

fn keywords() -> PgResult<Vec<(String, Typed)>> {
    let mut columns: [Vec<ScalarValue>; 5] = Default::default();
    let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
    for line in KEYWORDS.lines() {
        let mut fields = line.split('\t');
        let mut field = || fields.next().unwrap_or_default();
        let (word, category, bare) = (field(), field(), field() == "1");
        let described = match category {
            "U" => "unreserved",
            "C" => "unreserved (cannot be function or type name)",
            "T" => "reserved (can be function or type name)",
            _ => "reserved",
        };
        let label = if bare {
            "can be bare label"
        } else {
            "requires AS"
        };
        columns[0].push(text(word));
        columns[1].push(text(category));
        columns[2].push(ScalarValue::Boolean(Some(bare)));
        columns[3].push(text(described));
        columns[4].push(text(label));
    }
    let types = [
        ("word", PgType::TEXT, PgType::TEXT_ARRAY),
        ("catcode", PgType::CHAR, PgType::CHAR_ARRAY),
        ("barelabel", PgType::BOOL, PgType::BOOL_ARRAY),
        ("catdesc", PgType::TEXT, PgType::TEXT_ARRAY),
        ("baredesc", PgType::TEXT, PgType::TEXT_ARRAY),
    ];
    types
        .into_iter()
        .zip(columns)
        .map(|((name, element, list), values)| {
            let list = Typed::value(read::list(element, values)?, list);
            Ok((name.to_owned(), list))
        })
        .collect()
}

/// One side of each `name=value`.
fn options_column(options: &Expr, names: bool) -> Typed {
    let body = move |arrays: &[ArrayRef], count: usize| -> Result<ArrayRef> {
        let lists = arrays[0].as_list::<i32>();
        let mut out = Vec::with_capacity(count);
        for row in 0..count {
            if lists.is_null(row) {
                out.push(None);
                continue;
            }
            let values = lists.value(row);
            let mut sides = Vec::with_capacity(values.len());
            for option in values.as_string::<i32>() {
                let option = option.ok_or_else(|| {
                    Error::value("22004", "null array element not allowed in this context")
                })?;
                sides.push(match option.split_once('=') {
                    Some((name, _)) if names => Some(name.to_owned()),
                    Some((_, value)) => Some(value.to_owned()),
                    None => names.then(|| option.to_owned()),
                });
            }
            out.push(Some(sides));
        }
        Ok(text_lists(out))
    };
    let name = if names { "option_name" } else { "option_value" };
    let ty = PgType::TEXT_ARRAY;
    let function = PgFunction::new(name, ty.arrow(), Volatility::Immutable, Arc::new(body));
    Typed::new(function.over(vec![options.clone()]), ty)
}

fn text_lists(rows: Vec<Option<Vec<Option<String>>>>) -> ArrayRef {
    let field = Field::new("item", DataType::Utf8, true);
    let mut out = ListBuilder::new(StringBuilder::new()).with_field(field);
    for row in rows {
        out.append_option(row);
    }
    Arc::new(out.finish())
}
