//! `GRAPH_TABLE`: a graph pattern as a relation. The pattern is lowered to the engine's, each
//! connected part of it becomes a [`GraphMatch`], and what stands around it (subqueries,
//! aggregates over repeated elements, COLUMNS) is a plan like any other.

mod condition;
mod exec;
mod exists;
mod list_aggregate;
mod lower;
mod node;
mod plan;
mod table;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use omnigraph_engine::names::BranchName;
use omnigraph_engine::pattern::{self, Pattern, Rows};
use omnigraph_engine::schema::{Schema, TypeId};
use sqlparser::ast;
use sqlparser::tokenizer::Location;

pub(crate) use self::exec::GraphMatchExec;
use self::lower::Lowered;
pub(super) use self::node::GraphMatch;
use self::table::Table;
use super::coerce::positioned;
use super::query::QueryRel;
use super::scope::{Level, Scope};
use super::{Binder, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::graph_table::{self, GRAPH_TABLE, MATCH, Name, Patterns, RowsPer};

/// A graph at a branch, for the patterns inside of its patterns.
#[derive(Debug, Clone)]
pub(super) struct GraphRef {
    pub name: String,
    pub branch: BranchName,
    /// The state of the branch that is read, if it is not the head.
    pub at: Option<Arc<str>>,
    pub schema: Arc<Schema>,
}

/// A pattern that was made of another language than SQL's, in the graph that it is read from.
#[derive(Debug)]
pub(super) struct Made {
    pub patterns: Patterns,
    /// None in `EXISTS`.
    pub columns: Vec<ast::SelectItem>,
}

/// What a call that stands for a pattern says.
enum Match<'a> {
    /// Its text, and where that begins.
    Text(&'a str, Location),
    Made(Rc<Made>),
}

fn missing() -> PgError {
    PgError::new(sqlstate::INTERNAL_ERROR, "a graph pattern without its text")
}

/// Is it a call that stands for a pattern?
pub(super) fn is_pattern(name: &ast::ObjectName) -> bool {
    is_called(name, GRAPH_TABLE) || is_called(name, MATCH)
}

fn is_called(name: &ast::ObjectName, wanted: &str) -> bool {
    let ident = name.0.last().and_then(|part| part.as_ident());
    ident.is_some_and(|ident| ident.value == wanted)
}

impl Binder<'_> {
    /// The relation that a folded pattern is, with values of `around` as its level says.
    ///
    /// The argument is the text of the pattern, or the number of one that was made.
    pub(super) fn graph_pattern(
        &mut self,
        name: &ast::ObjectName,
        args: &[ast::FunctionArg],
        level: &Rc<Level>,
        around: Rc<Scope>,
    ) -> PgResult<QueryRel> {
        let (text, start) = match self.match_of(args)? {
            Match::Text(text, start) => (text, start),
            Match::Made(made) => {
                let graph = self.graphs.last().cloned().ok_or_else(missing)?;
                let (rows, columns) = (&RowsPer::Match, Some(made.columns.as_slice()));
                return self.patterns(&graph, &made.patterns, rows, columns, level, around);
            }
        };
        let positions = Arc::clone(&self.positions);
        if is_called(name, MATCH)
            && let Some(graph) = self.graphs.last().cloned()
        {
            let patterns = graph_table::parse_match(text, start, &positions)?;
            return self.patterns(&graph, &patterns, &RowsPer::Match, Some(&[]), level, around);
        }
        let table = graph_table::parse_graph_table(text, start, &positions)?;
        let time = match &table.time {
            Some(time) => Some(self.point_in_time(time)?),
            None => None,
        };
        let graph = self.graph_named(table.schema.as_deref(), &table.graph, time)?;
        self.graphs.push(graph.clone());
        let rel = self.patterns(
            &graph,
            &table.patterns,
            &table.rows,
            table.columns.as_deref(),
            level,
            around,
        );
        self.graphs.pop();
        rel
    }

    /// What a folded pattern's only argument says.
    fn match_of<'a>(&self, args: &'a [ast::FunctionArg]) -> PgResult<Match<'a>> {
        let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Value(body)))] = args
        else {
            return Err(missing());
        };
        match &body.value {
            ast::Value::SingleQuotedString(text) => Ok(Match::Text(text, body.span.start)),
            ast::Value::Number(number, _) => {
                let made = number.parse().ok().and_then(|at: usize| self.made.get(at));
                made.cloned().map(Match::Made).ok_or_else(missing)
            }
            _ => Err(missing()),
        }
    }

    /// The graph of a name, as the reference in `time` shows it if there is one.
    fn graph_named(
        &mut self,
        schema: Option<&str>,
        name: &Name,
        time: Option<(String, Option<u32>)>,
    ) -> PgResult<GraphRef> {
        let database = self.env.database();
        // Where a table has the graph's name, the catalogs list the graph under another.
        let is_graph = name.text == database
            || name.text.strip_suffix("_graph") == Some(&database)
                && self.env.relation(schema, &database)?.is_some();
        if !is_graph {
            let is_table = self.env.relation(schema, &name.text)?.is_some();
            let error = match is_table {
                true => PgError::new(
                    sqlstate::WRONG_OBJECT_TYPE,
                    format!("\"{}\" is not a property graph", name.text),
                ),
                false => PgError::new(
                    sqlstate::UNDEFINED_TABLE,
                    format!("property graph \"{}\" does not exist", name.text),
                ),
            };
            let hint = format!("The graph is named like its database: \"{database}\".");
            return Err(positioned(error.hint(hint), name.at));
        }
        let (found, at) = match time {
            None => (self.env.graph(schema)?, None),
            Some((reference, when)) => {
                let found = self.env.graph_as_of(schema, &reference);
                let found = found.map_err(|error| positioned(error, when))?;
                (found, Some(reference.into()))
            }
        };
        match found {
            Some((branch, schema)) => Ok(GraphRef {
                name: name.text.clone(),
                branch,
                at,
                schema,
            }),
            None => {
                let written = schema.unwrap_or_default();
                let error = PgError::new(
                    sqlstate::INVALID_SCHEMA_NAME,
                    format!("schema \"{written}\" does not exist"),
                );
                Err(positioned(error, name.at))
            }
        }
    }

    fn patterns(
        &mut self,
        graph: &GraphRef,
        patterns: &Patterns,
        rows: &RowsPer,
        columns: Option<&[ast::SelectItem]>,
        level: &Rc<Level>,
        around: Rc<Scope>,
    ) -> PgResult<QueryRel> {
        let mut lowered = Lowered::new(&graph.name, &graph.schema, patterns)?;
        let only_whether = columns.is_some_and(<[ast::SelectItem]>::is_empty);
        let unseen = std::mem::take(&mut self.repetition_ignored) || only_whether;
        if unseen && matches!(rows, RowsPer::Match) {
            lowered.ignore_repetition();
        }
        let types = pattern::types_of(&lowered.pattern, &graph.schema);
        for (variable, types) in lowered.pattern.variables.iter_mut().zip(types) {
            variable.types = types;
        }
        let rows = self.rows_per(&mut lowered, rows, &graph.schema)?;
        let mut table = Table {
            prefix: self.name("g"),
            names: HashMap::new(),
            lowered,
            graph,
            level: Rc::clone(level),
            around,
            later: Vec::new(),
            exprs: Vec::new(),
            guard: self.guard.take(),
        };
        for id in table.used_types() {
            // It is read: the statement takes a snapshot of it.
            let Some(def) = graph.schema.by_id(id) else {
                continue;
            };
            let branch = Some(graph.branch.as_str());
            match &graph.at {
                None => drop(self.relation(branch, &def.table, None)?),
                Some(reference) => drop(self.relation_as_of(branch, &def.table, reference)?),
            }
        }
        table.bind_conditions(self)?;
        // A pattern inside of another goes on from its variables.
        if columns.is_some_and(<[ast::SelectItem]>::is_empty) {
            table.bind_correlations(self)?;
        }
        if let Some(filter) = &patterns.filter {
            table.bind_filter(self, filter)?;
        }
        table.plan(self, &rows, columns)
    }

    fn rows_per(
        &mut self,
        lowered: &mut Lowered,
        rows: &RowsPer,
        schema: &Schema,
    ) -> PgResult<Rows> {
        let names: Vec<&Name> = match rows {
            RowsPer::Match => return Ok(Rows::Match),
            RowsPer::Vertex(vertex) => vec![vertex],
            RowsPer::Step(from, edge, to) => vec![from, edge, to],
        };
        if lowered.pattern.paths.len() != 1 {
            return Err(unsupported(
                "ONE ROW PER VERTEX or STEP of several path patterns",
                names[0].at,
            ));
        }
        let mut variables = Vec::new();
        for (at, name) in names.into_iter().enumerate() {
            let is_edge = at == 1;
            variables.push(lowered.add(
                name,
                is_edge,
                path_types(&lowered.pattern, schema, is_edge),
            )?);
        }
        Ok(match variables.as_slice() {
            [from, edge, to] => Rows::Step {
                from: *from,
                edge: *edge,
                to: *to,
            },
            _ => Rows::Vertex(variables[0]),
        })
    }
}

/// The types of a path's nodes or edges.
fn path_types(pattern: &Pattern, schema: &Schema, is_edge: bool) -> Vec<TypeId> {
    let edges: HashSet<TypeId> = pattern
        .variables
        .iter()
        .filter(|variable| variable.is_edge)
        .flat_map(|variable| variable.types.iter().copied())
        .collect();
    let mut found = edges.clone();
    if !is_edge {
        let ends = edges.iter().filter_map(|id| schema.by_id(*id)?.endpoints());
        found = ends.flat_map(|(from, to)| [from, to]).collect();
        let vertices = pattern
            .variables
            .iter()
            .filter(|variable| !variable.is_edge && variable.name.is_some());
        if edges.is_empty() {
            found.extend(vertices.flat_map(|variable| variable.types.iter().copied()));
        }
    }
    schema
        .types
        .iter()
        .map(|def| def.id)
        .filter(|id| found.contains(id))
        .collect()
}
