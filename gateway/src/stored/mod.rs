//! Stored queries: from the files that declare them to what the binder puts in place of a call.
//!
//! A query is compiled by binding it with its own parameters, in the graph's schema and in
//! nobody's session. So what `omnigraph cluster validate` accepts is what a server serves.

mod condition;
mod detached;
mod program;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use omnigraph_catalog::cluster::address::Address;
use omnigraph_catalog::cluster::spec::File;
use omnigraph_catalog::diagnostic::{Diagnostic, Place};
use omnigraph_catalog::provider::property_type;
use omnigraph_catalog::stored::{
    Asker, Compiled, Compiler, Parameter, QUERY_LIMIT, SqlQuery, StoredQueries, StoredQuery,
    sql_query,
};
use omnigraph_engine::names::sql_name;
use omnigraph_engine::query::{self, Body, QueryErrors};
use omnigraph_engine::restrict::RowPredicate;
use omnigraph_engine::schema::{Schema, TypeDef};

use self::detached::Detached;
pub use self::program::{GqProgram, Program, SqlProgram};
use crate::error::PgError;
use crate::plan::Functions;
use crate::sqlstate;
use crate::statement::bind::{bind_stored, type_name};
use crate::statement::parse::{self, Statement};

/// Gives stored queries their meaning.
#[derive(Debug)]
pub struct QueryCompiler {
    functions: Arc<Functions>,
}

impl QueryCompiler {
    pub fn new() -> Self {
        QueryCompiler {
            functions: Arc::new(Functions::new(omnigraph_udfs::register())),
        }
    }
}

impl Default for QueryCompiler {
    fn default() -> Self {
        QueryCompiler::new()
    }
}

/// A query on its way: what it was declared as, and in which file from which line.
struct Declared<'f> {
    name: &'f str,
    file: &'f File,
    /// The first line of its SQL.
    line: usize,
    returns: Option<Vec<(String, String)>>,
    query: Arc<StoredQuery>,
}

const CODE: &str = "query_typecheck_failed";

impl Compiler for QueryCompiler {
    fn compile(
        &self,
        graph: &str,
        queries: &BTreeMap<String, File>,
        schema: &Arc<Schema>,
    ) -> Compiled {
        let mut compiled = Compiled::default();
        if queries.is_empty() {
            return compiled;
        }
        if queries.len() > QUERY_LIMIT {
            let message = format!("a graph has up to {QUERY_LIMIT} stored queries");
            let address = Address::Graph(graph.to_owned()).to_string();
            let found = Diagnostic::error("too_many_queries", message).about(address);
            compiled.found.push(found);
            return compiled;
        }
        let found = &mut compiled.found;
        let mut environment = match Detached::new(graph, schema, &self.functions) {
            Ok(environment) => environment,
            Err(error) => {
                found.push(Diagnostic::error(CODE, error.message));
                return compiled;
            }
        };
        let about = |name: &str, found: Diagnostic| {
            let (graph, name) = (graph.to_owned(), name.to_owned());
            found.about(Address::Query { graph, name }.to_string())
        };
        let mut declared: Vec<Declared<'_>> = Vec::with_capacity(queries.len());
        for (name, file) in queries {
            match self.declared(name, file, schema, &environment) {
                Err(mistakes) => found.extend(mistakes.into_iter().map(|one| about(name, one))),
                Ok(one) => match self.clash(&one, &declared) {
                    Some(clash) => found.push(about(name, clash)),
                    None => declared.push(one),
                },
            }
        }
        let known = declared.iter().map(|one| Arc::clone(&one.query));
        environment.stored = StoredQueries::new(known);
        let mut whole = Vec::with_capacity(declared.len());
        for one in &declared {
            match bound(one, &environment) {
                Ok(query) => whole.push(Arc::new(query)),
                Err(mistake) => found.push(about(one.name, mistake)),
            }
        }
        compiled.queries = StoredQueries::new(whole);
        compiled
    }

    fn condition(
        &self,
        schema: &Arc<Schema>,
        of: &Arc<TypeDef>,
        text: &str,
        asker: Asker<'_>,
    ) -> Result<Arc<dyn RowPredicate>, String> {
        condition::compiled(&self.functions, schema, of, text, asker).map_err(|error| {
            match error.hint {
                Some(hint) => format!("{} ({hint})", error.message),
                None => error.message,
            }
        })
    }
}

impl QueryCompiler {
    fn declared<'f>(
        &self,
        name: &'f str,
        file: &'f File,
        schema: &Arc<Schema>,
        environment: &Detached,
    ) -> Result<Declared<'f>, Vec<Diagnostic>> {
        if file.extension() == "gq" {
            let checked = query::check_one(&file.text, name, schema)
                .map_err(|errors| diagnostics(&errors, file))?;
            let Some(checked) = checked else {
                let message = format!("{} declares no query \"{name}\"", file.path);
                return Err(vec![Diagnostic::error("query_missing", message)]);
            };
            return Ok(gq(name, file, schema, checked));
        }
        sql(name, file, environment).map_err(|found| vec![found])
    }

    /// Another query or function of the name that SQL would call it by.
    fn clash(&self, one: &Declared<'_>, others: &[Declared<'_>]) -> Option<Diagnostic> {
        let name = &one.query.name;
        let place = Place {
            file: one.file.path.clone(),
            line: None,
            column: None,
        };
        if self.functions.find(None, name).is_some() {
            let message = format!("SQL has a function {name}() already");
            let found = Diagnostic::error("query_name_taken", message).at(place);
            return Some(found.hint("Give the query another name."));
        }
        let other = others.iter().find(|other| other.query.name == *name)?;
        let message = format!("SQL would call it {name}(), as query \"{}\"", other.name);
        Some(Diagnostic::error("query_name_taken", message).at(place))
    }
}

fn gq<'f>(
    name: &'f str,
    file: &'f File,
    schema: &Arc<Schema>,
    checked: query::Query,
) -> Declared<'f> {
    let parameters = checked.parameters.iter().map(|own| Parameter {
        name: sql_name(&own.name),
        ty: property_type(&own.ty),
        default: own.nullable.then(|| "NULL".to_owned()),
        nullable: own.nullable,
    });
    let query = StoredQuery {
        name: sql_name(name),
        description: checked
            .description
            .clone()
            .or_else(|| checked.instruction.clone()),
        parameters: parameters.collect(),
        columns: None,
        changes: matches!(checked.body, Body::Changes(_)),
        program: Arc::new(Program::Gq(GqProgram::new(
            &file.text, name, schema, checked,
        ))),
    };
    Declared {
        name,
        file,
        line: 1,
        returns: None,
        query: Arc::new(query),
    }
}

fn sql<'f>(
    name: &'f str,
    file: &'f File,
    environment: &Detached,
) -> Result<Declared<'f>, Diagnostic> {
    let wrong = |line: usize, message: String| {
        Diagnostic::error("query_invalid", message).at(Place {
            file: file.path.clone(),
            line: Some(line),
            column: None,
        })
    };
    let SqlQuery {
        parameters,
        returns,
        description,
        body,
        line,
    } = sql_query(&file.text, name).map_err(|(line, message)| wrong(line, message))?;
    let mut own: Vec<Parameter> = Vec::with_capacity(parameters.len());
    for parameter in parameters {
        let ty = environment
            .type_named(&parameter.ty)
            .ok_or_else(|| wrong(line, format!("type \"{}\" does not exist", parameter.ty)))?;
        let called = sql_name(&parameter.name);
        if own.iter().any(|known| known.name == called) {
            return Err(wrong(
                line,
                format!("the parameter {called} is declared twice"),
            ));
        }
        own.push(Parameter {
            name: called,
            ty,
            default: parameter.default,
            nullable: true,
        });
    }
    let statements = parse::parse(&body);
    let mut statements = statements.map_err(|error| mistake(&error, file, line, Some(&body)))?;
    let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
        return Err(wrong(line, "a query is one statement".to_owned()));
    };
    let changes = match &statement.statement {
        Statement::Query(_) => false,
        statement if statement.is_write() => true,
        _ => {
            let message = "a query is SELECT, INSERT, UPDATE, DELETE or MERGE";
            return Err(wrong(line, message.to_owned()));
        }
    };
    let query = StoredQuery {
        name: sql_name(name),
        description,
        parameters: own,
        columns: None,
        changes,
        program: Arc::new(Program::Sql(SqlProgram { body, statement })),
    };
    Ok(Declared {
        name,
        file,
        line,
        returns,
        query: Arc::new(query),
    })
}

/// The query with its columns, which binding finds.
fn bound(one: &Declared<'_>, environment: &Detached) -> Result<StoredQuery, Diagnostic> {
    let query = &one.query;
    let program = Program::of(query).ok();
    let body = match program {
        Some(Program::Sql(program)) => Some(program.body.as_str()),
        _ => None,
    };
    let columns = match bind_stored(query, environment) {
        Ok(bound) => bound.returning().map(|columns| {
            let named = columns
                .iter()
                .map(|column| (column.name.clone(), column.ty));
            named.collect::<Vec<_>>()
        }),
        // It is sound, and this version cannot run it.
        Err(error) if body.is_none() && error.code == sqlstate::FEATURE_NOT_SUPPORTED => None,
        Err(error) => return Err(mistake(&error, one.file, one.line, body)),
    };
    if let Some(promised) = &one.returns {
        kept(
            promised,
            columns.as_deref().unwrap_or_default(),
            environment,
        )
        .map_err(|message| {
            Diagnostic::error(CODE, message).at(Place {
                file: one.file.path.clone(),
                line: Some(one.line),
                column: None,
            })
        })?;
    }
    Ok(StoredQuery {
        name: query.name.clone(),
        description: query.description.clone(),
        parameters: query.parameters.clone(),
        columns,
        changes: query.changes,
        program: Arc::clone(&query.program),
    })
}

/// Are the columns those that the head promises?
fn kept(
    promised: &[(String, String)],
    columns: &[(String, omnigraph_catalog::types::PgType)],
    environment: &Detached,
) -> Result<(), String> {
    if promised.len() != columns.len() {
        let (wanted, found) = (promised.len(), columns.len());
        return Err(format!(
            "it returns {found} columns, and its head says {wanted}"
        ));
    }
    for ((name, text), (found, ty)) in promised.iter().zip(columns) {
        let wanted = environment.type_named(text);
        if name.to_lowercase() != *found || wanted.map(|wanted| wanted.oid) != Some(ty.oid) {
            let ty = type_name(*ty);
            return Err(format!(
                "it returns {found} {ty}, and its head says {name} {text}"
            ));
        }
    }
    Ok(())
}

fn diagnostics(errors: &QueryErrors, file: &File) -> Vec<Diagnostic> {
    let each = errors.errors().errors().iter();
    each.map(|error| Diagnostic {
        hint: error.hint.clone(),
        ..Diagnostic::error(CODE, error.message.clone()).at(Place {
            file: file.path.clone(),
            line: Some(error.line),
            column: Some(error.column),
        })
    })
    .collect()
}

/// An error of the binder; with a place if it is one of the query's own text.
fn mistake(error: &PgError, file: &File, line: usize, body: Option<&str>) -> Diagnostic {
    let place = body.zip(error.position).map(|(body, position)| {
        let before = body.chars().take(position.saturating_sub(1) as usize);
        let (mut down, mut column) = (0, 1);
        for c in before {
            match c {
                '\n' => (down, column) = (down + 1, 1),
                _ => column += 1,
            }
        }
        (line + down, Some(column))
    });
    let (line, column) = place.unwrap_or((line, None));
    Diagnostic {
        hint: error.hint.clone(),
        ..Diagnostic::error(CODE, error.message.clone()).at(Place {
            file: file.path.clone(),
            line: Some(line),
            column,
        })
    }
}
