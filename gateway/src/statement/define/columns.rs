//! A column's declaration in SQL as a property's in a schema.

use omnigraph_engine::schema::edit::quoted;
use sqlparser::ast::{self, ColumnOption, DataType, TimezoneInfo};

use super::names::Declared;
use super::unsupported;
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

/// Longer values are checked by nobody's pattern.
const MAX_VARCHAR: u64 = 1000;

/// What a column says beside its name.
pub(super) struct Column<'a> {
    pub name: String,
    ty: String,
    /// The pattern that a `varchar(n)` keeps to.
    check: Option<String>,
    pub required: bool,
    pub primary: bool,
    unique: bool,
    default: Option<String>,
    pub references: Option<&'a ast::ForeignKeyConstraint>,
}

impl<'a> Column<'a> {
    pub fn of(def: &'a ast::ColumnDef) -> PgResult<Self> {
        let name = fold(&def.name);
        let (ty, check) = property_type(&def.data_type)?;
        let mut column = Column {
            name,
            ty,
            check,
            required: false,
            primary: false,
            unique: false,
            default: None,
            references: None,
        };
        for option in &def.options {
            match &option.option {
                ColumnOption::Null => {}
                ColumnOption::NotNull => column.required = true,
                ColumnOption::PrimaryKey(_) => column.primary = true,
                ColumnOption::Unique(_) => column.unique = true,
                ColumnOption::ForeignKey(key) => column.references = Some(key),
                ColumnOption::Default(value) => column.default = default(value)?,
                ColumnOption::Check(_) => return Err(check_unsupported()),
                ColumnOption::Generated { .. } | ColumnOption::Identity(_) => {
                    return Err(unsupported(
                        "a generated column",
                        "Leave ids out of INSERT: rows without one get one.",
                    ));
                }
                other => return Err(unsupported(&format!("\"{other}\" on a column"), COLUMN)),
            }
        }
        Ok(column)
    }

    pub fn is_text(&self) -> bool {
        self.ty == "String"
    }

    /// `name: Type? @default(…)`
    pub fn property(&self, declared: &Declared) -> String {
        let mut text = format!("{}: {}", declared.name, self.ty);
        if !self.required {
            text.push('?');
        }
        if self.primary {
            text.push_str(" @key");
        }
        if self.unique {
            text.push_str(" @unique");
        }
        if let Some(default) = &self.default {
            text.push_str(&format!(" @default({default})"));
        }
        if let Some(pattern) = &self.check {
            text.push_str(&format!(" @check({})", quoted(pattern)));
        }
        text.push_str(&declared.annotation());
        text
    }
}

const COLUMN: &str = "A column has a type, NOT NULL, DEFAULT, UNIQUE and PRIMARY KEY.";

pub(super) fn check_unsupported() -> PgError {
    unsupported(
        "CHECK",
        "Use schema_apply() with @range(column, 0..9) or @check(column, \"pattern\").",
    )
}

/// The type of a property, and the pattern of what it may hold.
fn property_type(ty: &DataType) -> PgResult<(String, Option<String>)> {
    let plain = |name: &str| Ok((name.to_owned(), None));
    match ty {
        DataType::Boolean | DataType::Bool => plain("Bool"),
        DataType::SmallInt(_)
        | DataType::Int2(_)
        | DataType::Int(_)
        | DataType::Integer(_)
        | DataType::Int4(_) => plain("I32"),
        DataType::BigInt(_) | DataType::Int8(_) => plain("I64"),
        DataType::Real | DataType::Float4 => plain("F32"),
        DataType::Float(_) | DataType::Float8 | DataType::Double(_) | DataType::DoublePrecision => {
            plain("F64")
        }
        DataType::Text => plain("String"),
        DataType::Varchar(length)
        | DataType::CharacterVarying(length)
        | DataType::CharVarying(length) => match length {
            None => plain("String"),
            Some(ast::CharacterLength::IntegerLength { length, .. }) if *length <= MAX_VARCHAR => {
                Ok(("String".to_owned(), Some(format!("(?s).{{0,{length}}}"))))
            }
            Some(_) => Err(unsupported(
                &format!("a varchar of more than {MAX_VARCHAR} characters"),
                "Use text.",
            )),
        },
        DataType::Bytea => plain("Blob"),
        DataType::Date => plain("Date"),
        DataType::Timestamp(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => plain("DateTime"),
        DataType::Timestamp(..) => Err(unsupported(
            "a column of type timestamp without time zone",
            "Use timestamp with time zone (timestamptz).",
        )),
        DataType::Array(
            ast::ArrayElemTypeDef::SquareBracket(element, _)
            | ast::ArrayElemTypeDef::AngleBracket(element),
        ) => match property_type(element)? {
            (element, None) if !element.contains(['[', '(']) => plain(&format!("[{element}]")),
            _ => Err(unsupported_type(ty)),
        },
        DataType::Custom(name, modifiers) => {
            let named = name.0.last().and_then(|part| part.as_ident()).map(fold);
            match (named.as_deref(), modifiers.as_slice()) {
                (Some("vector"), [dimensions]) => plain(&format!("Vector({dimensions})")),
                (Some("serial" | "bigserial" | "smallserial"), _) => Err(unsupported(
                    &format!("a column of type {ty}"),
                    "Leave ids out of INSERT: rows without one get one.",
                )),
                _ => Err(unsupported_type(ty)),
            }
        }
        other => Err(unsupported_type(other)),
    }
}

fn unsupported_type(ty: &DataType) -> PgError {
    unsupported(
        &format!("a column of type {}", ty.to_string().to_lowercase()),
        "Columns are boolean, integer, bigint, real, double precision, text, varchar(n), bytea, date, timestamptz, vector(n), and arrays of these.",
    )
}

/// A literal as a schema writes it; `None`: NULL.
pub(super) fn default(value: &ast::Expr) -> PgResult<Option<String>> {
    let refused = || {
        Err(unsupported(
            &format!("DEFAULT {value}"),
            "A default is a literal: a number, a text, true, false.",
        ))
    };
    match value {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Null => Ok(None),
            ast::Value::Boolean(value) => Ok(Some(value.to_string())),
            ast::Value::Number(number, _) => Ok(Some(number.clone())),
            ast::Value::SingleQuotedString(text) | ast::Value::EscapedStringLiteral(text)
                if !text.chars().any(char::is_control) =>
            {
                Ok(Some(quoted(text)))
            }
            _ => refused(),
        },
        ast::Expr::UnaryOp {
            op: ast::UnaryOperator::Minus,
            expr,
        } => match default(expr)? {
            Some(number) if number.starts_with(|c: char| c.is_ascii_digit()) => {
                Ok(Some(format!("-{number}")))
            }
            _ => refused(),
        },
        ast::Expr::Nested(inner) | ast::Expr::Cast { expr: inner, .. } => default(inner),
        _ => refused(),
    }
}

/// The columns that a key or a unique constraint names.
pub(super) fn named(columns: &[ast::IndexColumn]) -> PgResult<Vec<String>> {
    columns
        .iter()
        .map(|column| match &column.column.expr {
            ast::Expr::Identifier(name) => Ok(fold(name)),
            other => Err(PgError::new(
                sqlstate::SYNTAX_ERROR,
                format!("\"{other}\" is not a column"),
            )),
        })
        .collect()
}
