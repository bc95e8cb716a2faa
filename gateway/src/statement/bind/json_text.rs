//! Texts of JSON: ISO dates and times, and pieces put together.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_udfs::pg::{call_with, json};

use super::datetime::texts;
use super::text_io::carried;
use crate::text::write::Formatter;
use crate::text::{NoNames, TextFormat, Zone};

/// Dates and times as JSON has them: `2024-02-29T12:34:56.789+00:00`.
pub(super) fn iso_text(value: Expr, ty: PgType, zone: &Zone) -> Expr {
    let zone = zone.clone();
    let identity = format!("{ty:?}{}", zone.name());
    call_with(
        "iso_text",
        identity,
        DataType::Utf8,
        vec![value],
        move |arrays| {
            let format = TextFormat {
                zone: zone.clone(),
                ..TextFormat::default()
            };
            let formatter = Formatter::new(Arc::new(format), NoNames::shared());
            let mut out = Vec::with_capacity(arrays[0].len());
            for row in 0..arrays[0].len() {
                let text = formatter.text(ty, &arrays[0], row).map_err(carried)?;
                out.push(text.map(|text| {
                    let text = text.replacen(' ', "T", 1);
                    // The zone has minutes in JSON.
                    match ty.oid == PgType::TIMESTAMPTZ.oid
                        && text.len() > 3
                        && matches!(text.as_bytes()[text.len() - 3], b'+' | b'-')
                    {
                        true => format!("{text}:00"),
                        false => text,
                    }
                }));
            }
            Ok(texts(out))
        },
    )
}

/// What pieces of JSON are put together to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joined {
    /// Rows and arrays stand on lines of their own.
    Array { lines: bool },
    /// Each piece is an object of one member.
    Object,
}

/// Pieces of JSON collected into an array or an object; no rows at all is NULL.
pub(super) fn join_json(list: Expr, joined: Joined, binary: bool) -> Expr {
    call_with(
        "join_json",
        format!("{joined:?}{binary}"),
        DataType::Utf8,
        vec![list],
        move |arrays| {
            let lists = arrays[0].as_list::<i32>();
            let mut out = Vec::with_capacity(lists.len());
            for row in 0..lists.len() {
                if lists.is_null(row) {
                    out.push(None);
                    continue;
                }
                let items = lists.value(row);
                let pieces = items.as_string::<i32>().iter().flatten();
                let text = match joined {
                    Joined::Array { lines } => {
                        let between = if lines { ", \n " } else { ", " };
                        format!("[{}]", pieces.collect::<Vec<&str>>().join(between))
                    }
                    Joined::Object => {
                        let member = |piece: &'_ str| -> String {
                            let inner = piece.strip_prefix('{').unwrap_or(piece);
                            inner.strip_suffix('}').unwrap_or(inner).to_owned()
                        };
                        let members: Vec<String> = pieces.map(member).collect();
                        match members.is_empty() {
                            true => "{}".to_owned(),
                            false => format!("{{ {} }}", members.join(", ")),
                        }
                    }
                };
                out.push(Some(if binary {
                    json::normal(&json::parse(&text)?)
                } else {
                    text
                }));
            }
            Ok(texts(out))
        },
    )
}
