//! `gq('query …', '{…}')`: a query of the `.gq` language as a relation, or as changes.
//!
//! The engine reads and checks the query. What it matches becomes the syntax of a graph
//! pattern, what it returns the syntax of a SELECT over it, and both are bound like any other,
//! so that every value has SQL's type and meaning.

mod change;
mod read;
mod search;
mod value;

use std::rc::Rc;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr as PlanExpr;
use omnigraph_catalog::provider::property_type;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::query::{self, BlobUris, Body, Kind, Query, QueryErrors};
use omnigraph_udfs::gq::{self, Gq, Parameters};
use omnigraph_udfs::pg::blob;
use sqlparser::ast;

pub use self::change::BoundChanges;
pub(crate) use self::value::GIVEN;
pub(super) use self::value::all;
use super::coerce::positioned;
use super::expr::Ctx;
use super::from::{Factor, FromItem};
use super::functions::is_function_schema;
use super::graph_table::GraphRef;
use super::lateral::has_columns;
use super::scope::{Level, Scope};
use super::typed::{Kind as TypedKind, Typed};
use super::{Binder, Bound, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;

/// A call of `gq`, read and checked.
pub(super) struct Call {
    pub(super) query: Arc<Query>,
    graph: GraphRef,
    /// One for each parameter.
    values: Vec<Typed>,
    /// The parameters come with the execution: an expression that fails if they do not suit.
    guard: Option<PlanExpr>,
    at: Option<u32>,
}

/// Does the call mean `gq`?
pub(super) fn is_gq(schema: Option<&str>, name: &str) -> bool {
    name == Gq::NAME && is_function_schema(schema)
}

impl Binder<'_> {
    /// `gq(…)` in FROM.
    pub(super) fn gq_factor(
        &mut self,
        args: &[ast::FunctionArg],
        alias: Option<&ast::TableAlias>,
        ctx: Ctx,
        at: Option<u32>,
    ) -> PgResult<Factor> {
        let call = self.gq_call(args, ctx, at)?;
        let Body::Read(read) = &call.query.body else {
            let error = unsupported(
                "gq() with a query that changes the graph in a larger query",
                at,
            );
            return Err(error.hint("Use SELECT * FROM gq(…) or CALL gq(…) by itself."));
        };
        let rel = self.gq_read(&call, read)?;
        let name = alias.map_or_else(|| Gq::NAME.to_owned(), |alias| fold(&alias.name));
        let item: FromItem = self.aliased(rel, &name, alias)?;
        Ok(Factor::Item(item))
    }

    /// The changes that a whole statement is, if it is `SELECT * FROM gq(…)` or a call of a
    /// stored query that makes changes.
    pub(super) fn called_changes(&mut self, statement: &ast::Query) -> PgResult<Option<Bound>> {
        let Some((name, args)) = only_call(statement) else {
            return Ok(None);
        };
        let at = self.at(name);
        let (schema, function) = self.function_name(name, at)?;
        if !is_gq(schema.as_deref(), &function) {
            return match self.stored_query(schema.as_deref(), &function) {
                Some(query) if query.changes => self.stored_changes(&query, args, at).map(Some),
                _ => Ok(None),
            };
        }
        let params = self.params.clone();
        let scope = Scope::new(Vec::new(), Vec::new(), Rc::new(Level::default()), None);
        let call = self.gq_call(args, Ctx::new(scope, "FROM"), at)?;
        match &call.query.body {
            Body::Changes(changes) => {
                let changes = self.changes(&call, changes)?;
                Ok(Some(Bound::Changes(Box::new(changes))))
            }
            Body::Read(_) => {
                // It is bound again, as what it is.
                self.params = params;
                Ok(None)
            }
        }
    }

    fn gq_call(
        &mut self,
        args: &[ast::FunctionArg],
        mut ctx: Ctx,
        at: Option<u32>,
    ) -> PgResult<Call> {
        let function = self.env.table_function(None, Gq::NAME).ok_or_else(|| {
            PgError::new(sqlstate::INTERNAL_ERROR, "gq() is not among the functions")
        })?;
        let values = self.table_arguments(&function, args, &mut ctx, at)?;
        let [source, json] = values.as_slice() else {
            return Err(PgError::new(
                sqlstate::INTERNAL_ERROR,
                "gq() without its arguments",
            ));
        };
        let text = match (&source.kind, source.constant()) {
            (TypedKind::Literal(Some(text)), _) => text.clone(),
            (_, Some(ScalarValue::Utf8(Some(text)))) => text.clone(),
            _ => {
                let error = unsupported("a query of gq() that is not a constant", source.at.or(at));
                return Err(error.hint(
                    "Write the query into the statement; what changes from call to call are its parameters.",
                ));
            }
        };
        if !ctx.applies.is_empty() || has_columns(&json.expr) {
            let error = unsupported(
                "a column or a subquery as the parameters of gq()",
                json.at.or(at),
            );
            return Err(error.hint("They can be a constant or a parameter of the statement."));
        }
        let Some((branch, schema)) = self.env.graph(None)? else {
            return Err(positioned(
                PgError::new(
                    sqlstate::INVALID_SCHEMA_NAME,
                    "no branch is selected to run gq() on",
                ),
                at,
            ));
        };
        let place = source.at.or(at);
        let mut queries = query::check(&text, &schema)
            .map_err(|errors| positioned(told(&errors.in_file("gq")), place))?;
        let query = match (queries.pop(), queries.is_empty()) {
            (Some(query), true) => query,
            (found, _) => {
                let many = if found.is_some() {
                    "several queries"
                } else {
                    "no query"
                };
                let message = format!("gq() runs one query; the text has {many}");
                return Err(positioned(
                    PgError::new(sqlstate::SYNTAX_ERROR, message),
                    place,
                ));
            }
        };
        let types = query.parameters.iter();
        let types: Vec<PgType> = types.map(|one| property_type(&one.ty)).collect();
        let parameters = Parameters {
            all: Arc::new(query.parameters.clone()),
            types: Arc::new(types),
            uris: match &query.body {
                Body::Changes(_) => BlobUris::Taken,
                Body::Read(_) => BlobUris::Refused,
            },
        };
        let graph = GraphRef {
            name: self.env.database(),
            branch,
            at: None,
            schema,
        };
        let mut call = Call {
            query: Arc::new(query),
            graph,
            values: Vec::with_capacity(parameters.all.len()),
            guard: None,
            at,
        };
        let constant = match (&json.kind, json.constant()) {
            (TypedKind::Literal(text), _) => Some(text.clone()),
            (_, Some(ScalarValue::Utf8(text))) => Some(text.clone()),
            _ => None,
        };
        if let Some(text) = constant {
            let text = text.unwrap_or_else(|| "{}".to_owned());
            let values = parameters
                .values(&text)
                .map_err(|error| positioned(sqlstate::from_function(&error), json.at.or(at)))?;
            for (value, ty) in values.iter().zip(parameters.types.iter()) {
                let value = super::planned(ScalarValue::try_from_array(value, 0))?;
                call.values.push(match value {
                    ScalarValue::LargeBinary(Some(_)) => {
                        Typed::new(blob::bytes(PlanExpr::Literal(value, None)), *ty)
                    }
                    ScalarValue::LargeBinary(None) => Typed::value(ScalarValue::Binary(None), *ty),
                    value => Typed::value(value, *ty),
                });
            }
            return Ok(call);
        }
        for (number, ty) in parameters.types.iter().enumerate() {
            let value = parameters.value(number, json.expr.clone());
            let value = match parameters.is_blob_value(number) {
                true => blob::bytes(value),
                false => value,
            };
            call.values.push(Typed::new(value, *ty));
        }
        call.guard = Some(parameters.check(json.expr.clone()));
        Ok(call)
    }
}

impl Binder<'_> {
    /// A query that was read and checked, with its arguments.
    pub(super) fn gq_of(
        &self,
        query: Arc<Query>,
        graph: GraphRef,
        values: Vec<Typed>,
        at: Option<u32>,
    ) -> PgResult<Call> {
        let mut open = Vec::new();
        for (parameter, value) in query.parameters.iter().zip(&values) {
            if parameter.nullable || value.constant().is_some_and(|value| !value.is_null()) {
                continue;
            }
            if value.is_null_literal() {
                let missing = gq::missing(&parameter.name);
                return Err(positioned(sqlstate::from_function(&missing), at));
            }
            open.push((parameter.name.clone(), value.expr.clone()));
        }
        let guard = (!open.is_empty()).then(|| gq::check_given(open));
        Ok(Call {
            query,
            graph,
            values,
            guard,
            at,
        })
    }
}

/// The call that is the whole of `SELECT * FROM f(…)`.
fn only_call(query: &ast::Query) -> Option<(&ast::ObjectName, &[ast::FunctionArg])> {
    let plain = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty();
    let ast::SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let star = matches!(select.projection.as_slice(), [ast::SelectItem::Wildcard(_)]);
    let unfiltered = select.selection.is_none()
        && select.having.is_none()
        && select.distinct.is_none()
        && matches!(&select.group_by, ast::GroupByExpr::Expressions(exprs, _) if exprs.is_empty());
    let [from] = select.from.as_slice() else {
        return None;
    };
    if !plain || !star || !unfiltered || !from.joins.is_empty() {
        return None;
    }
    match &from.relation {
        ast::TableFactor::Table {
            name,
            args: Some(args),
            with_ordinality: false,
            ..
        } => Some((name, &args.args)),
        ast::TableFactor::Function {
            name,
            args,
            with_ordinality: false,
            ..
        } => Some((name, args)),
        _ => None,
    }
}

/// What a client is told of a query with mistakes: the first, and all of them with carets.
pub(super) fn told(errors: &QueryErrors) -> PgError {
    let code = match errors.kind {
        Kind::Syntax | Kind::Meaning => sqlstate::SYNTAX_ERROR,
        Kind::Limit => sqlstate::STATEMENT_TOO_COMPLEX,
        Kind::UnknownType => sqlstate::UNDEFINED_TABLE,
        Kind::UnknownProperty | Kind::UnknownVariable => sqlstate::UNDEFINED_COLUMN,
        Kind::UnknownParameter => sqlstate::UNDEFINED_PARAMETER,
        Kind::Type => sqlstate::DATATYPE_MISMATCH,
        Kind::Missing => sqlstate::NOT_NULL_VIOLATION,
    };
    let first = errors.errors().errors().first();
    let message = first.map_or_else(String::new, |first| {
        format!("gq:{}:{}: {}", first.line, first.column, first.message)
    });
    PgError {
        hint: first.and_then(|first| first.hint.clone()),
        ..PgError::new(code, message).detail(errors.to_string())
    }
}
