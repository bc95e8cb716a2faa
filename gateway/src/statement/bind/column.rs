//! Column references, and what is said of those that are not there.

use std::rc::Rc;

use datafusion::common::ScalarValue;
use omnigraph_catalog::types::PgType;
use sqlparser::ast;

use super::Binder;
use super::coerce::positioned;
use super::expr::Ctx;
use super::scope::{Found, Scope};
use super::typed::{Kind, Typed};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

impl Binder<'_> {
    /// A row; where one value is wanted it is its text.
    pub(super) fn row(&mut self, fields: Vec<(String, Typed)>, at: Option<u32>) -> PgResult<Typed> {
        let mut texts = Vec::with_capacity(fields.len());
        for (_, field) in &fields {
            let field = self.settle(field.clone())?;
            texts.push(self.cast_to_text(field.expr, field.ty));
        }
        Ok(Typed {
            expr: super::functions::row_text(texts),
            ty: PgType::RECORD,
            kind: Kind::Row(fields),
            at,
            origin: None,
        })
    }

    /// Words that are values without parentheses.
    pub(super) fn bare_word(&mut self, word: &str) -> Option<Typed> {
        let text = match word {
            "current_schema" => self.path.branch.clone(),
            "current_role" | "current_user" | "session_user" | "user" => self.env.user(),
            "current_catalog" => self.env.database(),
            _ => return None,
        };
        Some(Typed::value(ScalarValue::Utf8(Some(text)), PgType::NAME))
    }

    pub(super) fn column(&mut self, ctx: &mut Ctx, parts: &[ast::Ident]) -> PgResult<Typed> {
        let at = parts
            .first()
            .and_then(|part| self.positions.of_span(part.span));
        if let [ident] = parts
            && ident.quote_style.is_none()
            && RESERVED
                .binary_search(&ident.value.to_lowercase().as_str())
                .is_ok()
        {
            return Err(positioned(
                PgError::new(
                    sqlstate::SYNTAX_ERROR,
                    format!("syntax error at or near \"{}\"", ident.value),
                ),
                at,
            ));
        }
        if let [ident] = parts
            && ident.quote_style.is_none()
            && let Some(value) = self.bare_word(&ident.value.to_lowercase())
        {
            return Ok(value.at(at));
        }
        let names: Vec<String> = parts.iter().map(fold).collect();
        let scope = Rc::clone(&ctx.scope);
        let found = match names.as_slice() {
            [name] => scope.column(name, &mut self.fresh),
            [table, name] => scope.qualified(None, table, name, &mut self.fresh),
            [schema, table, name] => {
                scope.qualified(Some(self.path.schema(schema)), table, name, &mut self.fresh)
            }
            [_, schema, table, name] => {
                scope.qualified(Some(self.path.schema(schema)), table, name, &mut self.fresh)
            }
            _ => Found::Nothing,
        };
        let error = match found {
            Found::Column(typed) => {
                if !ctx.inside_aggregate {
                    ctx.used.push((typed.expr.clone(), at, names.join(".")));
                }
                return Ok(typed.at(at));
            }
            Found::Ambiguous => PgError::new(
                sqlstate::AMBIGUOUS_COLUMN,
                format!(
                    "column reference \"{}\" is ambiguous",
                    names.last().map_or("", String::as_str)
                ),
            ),
            Found::NoColumn => PgError::new(
                sqlstate::UNDEFINED_COLUMN,
                format!("column {} does not exist", names.join(".")),
            ),
            Found::Nothing => match names.as_slice() {
                [name] => {
                    if let Some(fields) = scope.row(name, &mut self.fresh) {
                        for (field, value) in &fields {
                            if !ctx.inside_aggregate {
                                ctx.used
                                    .push((value.expr.clone(), at, format!("{name}.{field}")));
                            }
                        }
                        return self.row(fields, at);
                    }
                    let error = PgError::new(
                        sqlstate::UNDEFINED_COLUMN,
                        format!("column \"{name}\" does not exist"),
                    );
                    match nearest_column(&scope, name) {
                        Some(hint) => error.hint(hint),
                        None => error,
                    }
                }
                _ => {
                    let table = &names[names.len() - 2];
                    let error = PgError::new(
                        sqlstate::UNDEFINED_TABLE,
                        format!("missing FROM-clause entry for table \"{table}\""),
                    );
                    return Err(positioned(error, at));
                }
            },
        };
        Err(positioned(error, at))
    }
}

fn nearest_column(scope: &Scope, name: &str) -> Option<String> {
    let mut best: Option<(usize, String)> = None;
    for rel in &scope.rels {
        for column in &rel.columns {
            let distance = edit_distance(name, &column.name);
            // As far off as PostgreSQL still suggests: less than half of the name.
            if distance * 2 <= name.len()
                && distance <= 3
                && best.as_ref().is_none_or(|(least, _)| distance < *least)
            {
                best = Some((distance, format!("{}.{}", rel.alias, column.name)));
            }
        }
    }
    best.map(|(_, name)| format!("Perhaps you meant to reference the column \"{name}\"."))
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Words that cannot be column names unless quoted, which the parser lets through. Sorted.
const RESERVED: &[&str] = &[
    "all",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "default",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "not",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "trailing",
    "union",
    "unique",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];
