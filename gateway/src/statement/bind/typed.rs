//! An expression and what PostgreSQL knows of it.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;

#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub(super) expr: Expr,
    /// `UNKNOWN` for a literal or parameter whose type the context has yet to say.
    pub(super) ty: PgType,
    pub(super) kind: Kind,
    /// Where it stands in the query, for errors.
    pub(super) at: Option<u32>,
    /// The table column it is, unchanged: table OID and attnum.
    pub(super) origin: Option<(u32, i16)>,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Plain,
    /// A string literal (`None`: NULL) without a type yet.
    Literal(Option<String>),
    /// A parameter without a type yet, numbered from 0.
    Param(usize),
    /// A row; `expr` is its text.
    Row(Vec<(String, Typed)>),
}

impl Typed {
    pub(super) fn new(expr: Expr, ty: PgType) -> Self {
        Typed {
            expr,
            ty,
            kind: Kind::Plain,
            at: None,
            origin: None,
        }
    }

    pub(super) fn at(mut self, at: Option<u32>) -> Self {
        self.at = at;
        self
    }

    pub(super) fn bool(expr: Expr) -> Self {
        Typed::new(expr, PgType::BOOL)
    }

    /// A string literal, or NULL.
    pub(super) fn literal(text: Option<String>, at: Option<u32>) -> Self {
        Typed {
            expr: Expr::Literal(ScalarValue::Utf8(text.clone()), None),
            ty: PgType::UNKNOWN,
            kind: Kind::Literal(text),
            at,
            origin: None,
        }
    }

    pub(super) fn value(value: ScalarValue, ty: PgType) -> Self {
        Typed::new(Expr::Literal(value, None), ty)
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.ty.oid == PgType::UNKNOWN.oid
    }

    pub(super) fn is_null_literal(&self) -> bool {
        matches!(self.kind, Kind::Literal(None))
            || matches!(&self.expr, Expr::Literal(value, _) if value.is_null())
    }

    /// The constant it is, if it is one.
    pub(super) fn constant(&self) -> Option<&ScalarValue> {
        match &self.expr {
            Expr::Literal(value, _) => Some(value),
            _ => None,
        }
    }
}
