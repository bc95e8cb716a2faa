//! Calls of stored queries: what was declared takes the place of the call, with its arguments
//! in it, so that a plan sees through it.

use std::rc::Rc;
use std::sync::Arc;

use omnigraph_catalog::stored::{Parameter, StoredQuery};
use omnigraph_engine::query::Body;
use sqlparser::ast;

use super::coerce::{Context, positioned};
use super::expr::Ctx;
use super::from::{Factor, FromItem};
use super::gq::{BoundChanges, told};
use super::graph_table::GraphRef;
use super::lateral::has_columns;
use super::query::QueryRel;
use super::scope::{Level, Scope};
use super::typed::Typed;
use super::{Binder, Bound, Environment, catalog, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::{self, Statement, fold};
use crate::stored::{GqProgram, Program, SqlProgram};

/// Binds what a stored query does, with its own parameters for arguments. Errors in SQL have
/// places in its text.
pub fn bind_stored(query: &StoredQuery, environment: &dyn Environment) -> PgResult<Bound> {
    let mut binder = Binder::new(environment, Arc::default(), "");
    binder.params = query.parameters.iter().map(|own| Some(own.ty)).collect();
    let own = query.parameters.iter().enumerate();
    let values = own.map(|(at, own)| binder.param(at, own.ty)).collect();
    if query.changes {
        return binder.stored_change(query, values, None);
    }
    // It runs inside of the query that calls it.
    binder.depth = 1;
    let rel = binder.stored_rel(query, values, None)?;
    binder.bound_query(rel).map(Bound::Query)
}

impl Binder<'_> {
    /// What a name calls, if it is a stored query. A name without a schema means PostgreSQL's
    /// function first, as the search path has it.
    pub(super) fn stored_query(
        &self,
        schema: Option<&str>,
        name: &str,
    ) -> Option<Arc<StoredQuery>> {
        if schema.is_none() && catalog::functions_named(name).next().is_some() {
            return None;
        }
        self.env.stored_query(schema, name)
    }

    /// A stored query in FROM.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one function in FROM"
    )]
    pub(super) fn stored_factor(
        &mut self,
        query: &Arc<StoredQuery>,
        args: &[ast::FunctionArg],
        alias: Option<&ast::TableAlias>,
        ordinality: bool,
        mut ctx: Ctx,
        left: Option<&FromItem>,
        at: Option<u32>,
    ) -> PgResult<Factor> {
        let name = &query.name;
        if ordinality {
            return Err(unsupported(&format!("WITH ORDINALITY on {name}()"), at));
        }
        if query.changes {
            let what = format!("{name}(), which changes the graph, in a larger query");
            let hint = format!("Use CALL {name}(…) or SELECT * FROM {name}(…) by itself.");
            return Err(unsupported(&what, at).hint(hint));
        }
        let values = self.stored_arguments(query, args, &mut ctx, at)?;
        let types: Vec<_> = values.iter().map(|value| value.ty).collect();
        let exprs = values.into_iter().map(|value| value.expr).collect();
        self.over_arguments(name, exprs, ctx.applies, left, at, |binder, exprs| {
            let values = exprs.into_iter().zip(types);
            let values = values.map(|(expr, ty)| Typed::new(expr, ty)).collect();
            let rel = binder
                .stored_rel(query, values, at)
                .map_err(|error| within(error, query, at))?;
            let shown = alias.map_or_else(|| name.clone(), |alias| fold(&alias.name));
            binder.aliased(rel, &shown, alias)
        })
    }

    /// The whole of a statement: a stored query that changes the graph.
    pub(super) fn stored_changes(
        &mut self,
        query: &Arc<StoredQuery>,
        args: &[ast::FunctionArg],
        at: Option<u32>,
    ) -> PgResult<Bound> {
        let scope = Scope::new(Vec::new(), Vec::new(), Rc::new(Level::default()), None);
        let mut ctx = Ctx::new(scope, "FROM");
        let values = self.stored_arguments(query, args, &mut ctx, at)?;
        if !ctx.applies.is_empty() || values.iter().any(|value| has_columns(&value.expr)) {
            let what = format!("a subquery as an argument of {}()", query.name);
            return Err(unsupported(&what, at));
        }
        self.stored_change(query, values, at)
            .map_err(|error| within(error, query, at))
    }

    fn stored_arguments(
        &mut self,
        query: &StoredQuery,
        args: &[ast::FunctionArg],
        ctx: &mut Ctx,
        at: Option<u32>,
    ) -> PgResult<Vec<Typed>> {
        let placed = self.placed(query, args, ctx, at)?;
        let mut values = Vec::with_capacity(query.parameters.len());
        for (given, own) in placed.in_places().zip(&query.parameters) {
            values.push(match (given, &own.default) {
                (Some(given), _) => self
                    .stored_argument(given.value(), own)
                    .ok_or_else(|| placed.of_type(&own.name, &[own.ty], given))??,
                (None, Some(default)) => self.default_value(default, own)?,
                (None, None) => return Err(placed.missing(&own.name)),
            });
        }
        Ok(values)
    }

    /// There is one query of a name, so a value may be given in any type that can be assigned.
    /// `None`: it cannot.
    fn stored_argument(&mut self, value: Typed, own: &Parameter) -> Option<PgResult<Typed>> {
        let context = match value.is_unknown() || super::coerce::implicit(value.ty.oid, own.ty.oid)
        {
            true => Context::Implicit,
            false => Context::Assignment,
        };
        match self.coerce(value, own.ty, context) {
            Err(error)
                if matches!(
                    error.code,
                    sqlstate::DATATYPE_MISMATCH | sqlstate::CANNOT_COERCE
                ) =>
            {
                None
            }
            coerced => Some(coerced),
        }
    }

    fn default_value(&mut self, text: &str, own: &Parameter) -> PgResult<Typed> {
        let (expr, _) = parse::parse_expression(text)?;
        let scope = Scope::new(Vec::new(), Vec::new(), Rc::new(Level::default()), None);
        let mut ctx = Ctx::new(scope, "DEFAULT");
        let value = self.expr(&mut ctx, &expr)?;
        self.coerce(value, own.ty, Context::Assignment)
    }

    fn stored_rel(
        &mut self,
        query: &StoredQuery,
        values: Vec<Typed>,
        at: Option<u32>,
    ) -> PgResult<QueryRel> {
        match Program::of(query)? {
            Program::Gq(program) => {
                let call = self.stored_call(program, values, at)?;
                match &call.query.body {
                    Body::Read(read) => self.gq_read(&call, read),
                    Body::Changes(_) => Err(unread(query)),
                }
            }
            Program::Sql(program) => self.inside(query, program, values, |binder| {
                let Statement::Query(body) = &program.statement.statement else {
                    return Err(unread(query));
                };
                let rel = binder.query(body, &Rc::new(Level::default()), None)?;
                binder.visible(rel)
            }),
        }
    }

    fn stored_change(
        &mut self,
        query: &StoredQuery,
        values: Vec<Typed>,
        at: Option<u32>,
    ) -> PgResult<Bound> {
        match Program::of(query)? {
            Program::Gq(program) => {
                let call = self.stored_call(program, values, at)?;
                match &call.query.body {
                    Body::Changes(changes) => {
                        let changes = self.changes(&call, changes)?;
                        Ok(Bound::Changes(Box::new(changes)))
                    }
                    Body::Read(_) => Err(unread(query)),
                }
            }
            Program::Sql(program) => self.inside(query, program, values, |binder| {
                // A query in it is not the whole of the statement.
                binder.depth = 1;
                let bound = match &program.statement.statement {
                    Statement::Insert(insert) => Bound::Insert(Box::new(binder.insert(insert)?)),
                    Statement::Update(update) => Bound::Update(Box::new(binder.update(update)?)),
                    Statement::Delete(delete) => Bound::Delete(Box::new(binder.delete(delete)?)),
                    Statement::Merge(merge) => Bound::Merge(Box::new(binder.merge(merge)?)),
                    Statement::With(with) => {
                        return Ok(Bound::With(Box::new(binder.writing_with(with)?)));
                    }
                    _ => return Err(unread(query)),
                };
                // Without rows of its own it answers with what was done.
                Ok(match bound.returning() {
                    Some(_) => bound,
                    None => Bound::Changes(Box::new(BoundChanges::of_step(bound))),
                })
            }),
        }
    }

    fn stored_call(
        &mut self,
        program: &GqProgram,
        values: Vec<Typed>,
        at: Option<u32>,
    ) -> PgResult<super::gq::Call> {
        let Some((branch, schema)) = self.env.graph(None)? else {
            let message = "no branch is selected to run a stored query on";
            return Err(PgError::new(sqlstate::INVALID_SCHEMA_NAME, message));
        };
        // The branch may have another schema than the one that the query was published for.
        let query = program.checked(&schema).map_err(|errors| told(&errors))?;
        let graph = GraphRef {
            name: self.env.database(),
            branch,
            at: None,
            schema,
        };
        self.gq_of(query, graph, values, at)
    }

    /// Binds in the text of a stored query: its names are its own, and its parameters are these.
    fn inside<T>(
        &mut self,
        query: &StoredQuery,
        program: &SqlProgram,
        values: Vec<Typed>,
        bind: impl FnOnce(&mut Self) -> PgResult<T>,
    ) -> PgResult<T> {
        if self.inlined.contains(&query.name) {
            let message = format!("the stored query {} calls itself", query.name);
            return Err(PgError::new(sqlstate::INVALID_RECURSION, message));
        }
        let names = query
            .parameters
            .iter()
            .map(|own| own.name.clone())
            .collect();
        let text = &program.statement;
        self.inlined.push(query.name.clone());
        let given = std::mem::replace(&mut self.given, values);
        let named = self.named.replace(names);
        let ctes = std::mem::take(&mut self.ctes);
        let positions = std::mem::replace(&mut self.positions, Arc::clone(&text.positions));
        let sql = std::mem::replace(&mut self.sql, text.text.clone());
        let bound = bind(self);
        self.sql = sql;
        self.positions = positions;
        self.ctes = ctes;
        self.named = named;
        self.given = given;
        self.inlined.pop();
        bound
    }

    /// `:name` in the text of a stored query.
    pub(super) fn named_value(&self, name: &str, at: Option<u32>) -> PgResult<Typed> {
        let own = name
            .strip_prefix(':')
            .map(omnigraph_engine::names::sql_name);
        let place = own.and_then(|own| self.named.as_ref()?.iter().position(|known| *known == own));
        let value = place.and_then(|place| self.given.get(place)).cloned();
        value.ok_or_else(|| {
            let message = format!("there is no parameter {name}");
            positioned(PgError::new(sqlstate::UNDEFINED_PARAMETER, message), at)
        })
    }
}

/// An error of another text than the statement's: it has no place there but the call.
fn within(error: PgError, query: &StoredQuery, at: Option<u32>) -> PgError {
    let context = format!("stored query \"{}\"", query.name);
    PgError {
        position: at,
        context: Some(match error.context {
            Some(inner) => format!("{inner}\n{context}"),
            None => context,
        }),
        ..error
    }
}

fn unread(query: &StoredQuery) -> PgError {
    let message = format!(
        "the stored query {} is not what it was declared",
        query.name
    );
    PgError::new(sqlstate::INTERNAL_ERROR, message)
}
