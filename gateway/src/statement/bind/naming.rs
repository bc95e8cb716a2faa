//! What PostgreSQL calls a column that has no alias.

use sqlparser::ast;

use crate::statement::parse::fold;

const UNNAMED: &str = "?column?";

pub(super) fn column_name(expr: &ast::Expr) -> String {
    name(expr).map_or_else(|| UNNAMED.to_owned(), |(name, _)| name)
}

/// The name and how much it is worth: a cast keeps its operand's name unless that is weak.
fn name(expr: &ast::Expr) -> Option<(String, u8)> {
    use ast::Expr as E;
    let strong = |name: &str| Some((name.to_owned(), 2));
    match expr {
        E::Identifier(ident) => Some((fold(ident), 2)),
        E::CompoundIdentifier(parts) => parts.last().map(|part| (fold(part), 2)),
        E::Nested(inner) | E::Collate { expr: inner, .. } => name(inner),
        E::Function(function) => match &function.args {
            ast::FunctionArguments::Subquery(_) => strong("array"),
            _ => function
                .name
                .0
                .last()
                .and_then(|part| part.as_ident())
                .map(|ident| (fold(ident), 2)),
        },
        E::Cast {
            expr: inner,
            data_type,
            ..
        } => match name(inner) {
            Some(found) if found.1 >= 2 => Some(found),
            _ => Some((type_word(data_type), 1)),
        },
        E::TypedString(typed) => Some((type_word(&typed.data_type), 1)),
        E::Interval(_) => Some(("interval".to_owned(), 1)),
        E::Case { else_result, .. } => match else_result.as_deref().and_then(name) {
            Some(found) if found.1 >= 2 => Some(found),
            _ => Some(("case".to_owned(), 1)),
        },
        E::Exists { .. } => strong("exists"),
        E::Array(_) => strong("array"),
        E::Subquery(query) => subquery_name(query),
        E::Tuple(_) => Some(("row".to_owned(), 2)),
        E::Extract { .. } => strong("extract"),
        E::AtTimeZone { .. } => strong("timezone"),
        E::Ceil { .. } => strong("ceil"),
        E::Floor { .. } => strong("floor"),
        E::Position { .. } => strong("position"),
        E::Substring { shorthand, .. } => strong(if *shorthand { "substr" } else { "substring" }),
        E::Overlay { .. } => strong("overlay"),
        E::Trim { trim_where, .. } => strong(match trim_where {
            Some(ast::TrimWhereField::Leading) => "ltrim",
            Some(ast::TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        }),
        E::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|access| match access {
                ast::AccessExpr::Dot(E::Identifier(ident)) => Some(fold(ident)),
                _ => None,
            });
            match field {
                Some(field) => Some((field, 2)),
                None => name(root),
            }
        }
        _ => None,
    }
}

/// A scalar subquery is called as its only column is.
fn subquery_name(query: &ast::Query) -> Option<(String, u8)> {
    let mut body = query.body.as_ref();
    loop {
        match body {
            ast::SetExpr::Select(select) => {
                return match select.projection.first()? {
                    ast::SelectItem::UnnamedExpr(expr) => name(expr),
                    ast::SelectItem::ExprWithAlias { alias, .. } => Some((fold(alias), 2)),
                    _ => None,
                };
            }
            ast::SetExpr::Query(inner) => body = inner.body.as_ref(),
            ast::SetExpr::SetOperation { left, .. } => body = left.as_ref(),
            ast::SetExpr::Values(_) => return Some(("column1".to_owned(), 2)),
            _ => return None,
        }
    }
}

/// The catalog's name of a type: `int4` for `integer`.
fn type_word(data_type: &ast::DataType) -> String {
    use ast::DataType as D;
    match data_type {
        D::Boolean | D::Bool => "bool",
        D::SmallInt(_) | D::Int2(_) => "int2",
        D::Int(_) | D::Integer(_) | D::Int4(_) => "int4",
        D::BigInt(_) | D::Int8(_) => "int8",
        D::Real | D::Float4 => "float4",
        D::Float(_) | D::DoublePrecision | D::Double(_) | D::Float8 => "float8",
        D::Numeric(_) | D::Decimal(_) | D::Dec(_) => "numeric",
        D::Varchar(_) | D::CharacterVarying(_) | D::CharVarying(_) => "varchar",
        D::Character(_) | D::Char(_) => "bpchar",
        D::Timestamp(_, ast::TimezoneInfo::None | ast::TimezoneInfo::WithoutTimeZone) => {
            "timestamp"
        }
        D::Timestamp(..) => "timestamptz",
        D::Time(..) => "time",
        D::Interval { .. } => "interval",
        D::Array(
            ast::ArrayElemTypeDef::SquareBracket(element, _)
            | ast::ArrayElemTypeDef::AngleBracket(element),
        ) => return type_word(element),
        D::Custom(name, _) => {
            return name
                .0
                .last()
                .and_then(|part| part.as_ident())
                .map(fold)
                .unwrap_or_default();
        }
        other => return other.to_string().to_lowercase(),
    }
    .to_owned()
}
