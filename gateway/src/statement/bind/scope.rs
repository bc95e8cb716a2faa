//! What names mean at one place of a query. A scope is of one query level; its parent is that
//! of the query around it. Columns have unique internal names, so a name that crosses a level
//! becomes a placeholder there, and the level knows what to put in.

use std::cell::RefCell;
use std::rc::Rc;

use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::logical_expr::Expr;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::blob::VALUE_TYPE;
use omnigraph_udfs::pg::blob;

use super::placeholder_of;
use super::typed::{Kind, Typed};

/// One query: the values it takes from the query around it.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) outer: RefCell<Vec<Outer>>,
}

/// A value from the query around: the placeholder for it, and what it is out there.
#[derive(Debug, Clone)]
pub(super) struct Outer {
    pub(super) id: String,
    pub(super) expr: Expr,
}

#[derive(Debug, Clone)]
pub(super) struct ScopeColumn {
    /// As users call it.
    pub(super) name: String,
    pub(super) expr: Expr,
    pub(super) ty: PgType,
    pub(super) origin: Option<(u32, i16)>,
    /// The fields of a row that a subquery gives, by name.
    pub(super) fields: Vec<(String, Expr, PgType)>,
}

/// A table, subquery or function in FROM, under its alias.
#[derive(Debug, Clone)]
pub(super) struct Rel {
    pub(super) alias: String,
    /// The schema, when the alias is the table's own name.
    pub(super) schema: Option<String>,
    /// 0 for what is no table.
    pub(super) oid: u32,
    pub(super) columns: Vec<ScopeColumn>,
    /// The columns that identify a row, for GROUP BY.
    pub(super) key: Vec<usize>,
}

/// An aggregate that a subquery left to the query around it.
#[derive(Debug)]
pub(super) struct Hoisted {
    pub(super) name: String,
    pub(super) expr: Expr,
    pub(super) at: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Scope {
    pub(super) rels: Vec<Rel>,
    /// The columns that an unqualified name may mean and that `*` is, in order.
    pub(super) visible: Vec<ScopeColumn>,
    pub(super) level: Rc<Level>,
    pub(super) parent: Option<Rc<Scope>>,
    /// `None` unless a subquery of one of the query's expressions is being bound.
    pub(super) hoisted: RefCell<Option<Vec<Hoisted>>>,
}

/// What a name was found to be.
pub(super) enum Found {
    Column(Typed),
    Ambiguous,
    /// The table is there and has no such column.
    NoColumn,
    Nothing,
}

impl Scope {
    pub(super) fn new(
        rels: Vec<Rel>,
        visible: Vec<ScopeColumn>,
        level: Rc<Level>,
        parent: Option<Rc<Scope>>,
    ) -> Rc<Scope> {
        Rc::new(Scope {
            rels,
            visible,
            level,
            parent,
            hoisted: RefCell::default(),
        })
    }

    /// An unqualified column.
    pub(super) fn column(&self, name: &str, fresh: &mut usize) -> Found {
        let mut found = self.visible.iter().filter(|column| column.name == name);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Found::Ambiguous,
            (Some(column), None) => Found::Column(column.typed()),
            _ => self.outside(fresh, |parent, fresh| parent.column(name, fresh)),
        }
    }

    /// `table.column`, `schema.table.column`.
    pub(super) fn qualified(
        &self,
        schema: Option<&str>,
        table: &str,
        name: &str,
        fresh: &mut usize,
    ) -> Found {
        let Some(rel) = self.rel(schema, table) else {
            return self.outside(fresh, |parent, fresh| {
                parent.qualified(schema, table, name, fresh)
            });
        };
        let mut found = rel.columns.iter().filter(|column| column.name == name);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Found::Ambiguous,
            (Some(column), None) => Found::Column(column.typed()),
            _ if name == "tableoid" && rel.oid != 0 => Found::Column(Typed::value(
                datafusion::common::ScalarValue::UInt32(Some(rel.oid)),
                PgType::OID,
            )),
            _ => Found::NoColumn,
        }
    }

    pub(super) fn rel(&self, schema: Option<&str>, table: &str) -> Option<&Rel> {
        self.rels.iter().find(|rel| {
            rel.alias == table && schema.is_none_or(|schema| rel.schema.as_deref() == Some(schema))
        })
    }

    /// A table's row, by the table's name.
    pub(super) fn row(&self, table: &str, fresh: &mut usize) -> Option<Vec<(String, Typed)>> {
        if let Some(rel) = self.rel(None, table) {
            return Some(
                rel.columns
                    .iter()
                    .map(|column| (column.name.clone(), column.typed()))
                    .collect(),
            );
        }
        let row = self.parent.as_ref()?.row(table, fresh)?;
        Some(
            row.into_iter()
                .map(|(name, value)| (name, self.cross(value, fresh)))
                .collect(),
        )
    }

    /// Looks in the query around, and makes what is found there a value from outside.
    fn outside(&self, fresh: &mut usize, look: impl FnOnce(&Scope, &mut usize) -> Found) -> Found {
        let Some(parent) = &self.parent else {
            return Found::Nothing;
        };
        match look(parent, fresh) {
            Found::Column(typed) => Found::Column(self.cross(typed, fresh)),
            other => other,
        }
    }

    fn cross(&self, typed: Typed, fresh: &mut usize) -> Typed {
        if matches!(typed.expr, Expr::Literal(..)) {
            return typed;
        }
        Typed {
            expr: self.cross_as(typed.expr, typed.ty.arrow(), fresh),
            kind: Kind::Plain,
            ..typed
        }
    }

    /// A value of the query around as one from outside.
    pub(super) fn cross_as(&self, expr: Expr, ty: DataType, fresh: &mut usize) -> Expr {
        let mut outer = self.level.outer.borrow_mut();
        let id = match outer.iter().find(|known| known.expr == expr) {
            Some(known) => known.id.clone(),
            None => {
                *fresh += 1;
                let id = format!("$o{fresh}");
                outer.push(Outer {
                    id: id.clone(),
                    expr,
                });
                id
            }
        };
        placeholder_of(&id, ty)
    }
}

impl ScopeColumn {
    pub(super) fn typed(&self) -> Typed {
        Typed {
            expr: self.expr.clone(),
            ty: self.ty,
            kind: match self.fields.is_empty() {
                true => Kind::Plain,
                false => Kind::Row(
                    self.fields
                        .iter()
                        .map(|(name, expr, ty)| (name.clone(), Typed::new(expr.clone(), *ty)))
                        .collect(),
                ),
            },
            at: None,
            origin: self.origin,
        }
    }
}

/// What a column of a table is to SQL: of blobs, the bytes.
pub(super) fn held_expr(column: Expr, held: &DataType) -> Expr {
    match *held == VALUE_TYPE {
        true => blob::bytes(column),
        false => column,
    }
}

/// A reference to an internal column.
pub(super) fn internal(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}
