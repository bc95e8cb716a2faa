//! `GRAPH_TABLE`: a graph pattern as a relation. The pattern is lowered to the engine's, each
//! connected part of it becomes a [`GraphMatch`], and what stands around it (subqueries,
//! aggregates over repeated elements, COLUMNS) is a plan like any other.

mod list_aggregate;
mod lower;
mod node;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder, Operator};
use omnigraph_catalog::provider::{GraphTable as NodeTable, sql_columns};
use omnigraph_catalog::types::PgType;
use omnigraph_engine::names::BranchName;
use omnigraph_engine::pattern::{self, Output, Pattern, Property, PropertyKind, Rows, Selector};
use omnigraph_engine::schema::{Schema, TypeId};
use sqlparser::ast;

use self::lower::{Asked, Lowered, Waiting};
pub(super) use self::node::GraphMatch;
use super::coerce::{Context, positioned};
use super::expr::{Ctx, binary};
use super::query::{QueryColumn, QueryRel};
use super::scope::{Found, Level, Rel, Scope, ScopeColumn, internal};
use super::subquery::{PendingApply, apply_all};
use super::typed::Typed;
use super::{Binder, naming, planned, unsupported};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;
use crate::statement::parse::graph_table::{
    self, GRAPH_TABLE, HIDDEN, MATCH, Name, Patterns, RowsPer,
};

/// A graph at a branch, for the patterns inside of its patterns.
#[derive(Debug, Clone)]
pub(super) struct GraphRef {
    name: String,
    branch: BranchName,
    schema: Arc<Schema>,
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
    pub(super) fn graph_pattern(
        &mut self,
        name: &ast::ObjectName,
        args: &[ast::FunctionArg],
        level: &Rc<Level>,
        around: Rc<Scope>,
    ) -> PgResult<QueryRel> {
        let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Value(body)))] = args
        else {
            return Err(PgError::new(
                sqlstate::INTERNAL_ERROR,
                "a graph pattern without its text",
            ));
        };
        let ast::Value::SingleQuotedString(text) = &body.value else {
            return Err(PgError::new(
                sqlstate::INTERNAL_ERROR,
                "a graph pattern without its text",
            ));
        };
        let start = body.span.start;
        let positions = Arc::clone(&self.positions);
        if is_called(name, MATCH)
            && let Some(graph) = self.graphs.last().cloned()
        {
            let patterns = graph_table::parse_match(text, start, &positions)?;
            return self.patterns(&graph, &patterns, &RowsPer::Match, Some(&[]), level, around);
        }
        let table = graph_table::parse_graph_table(text, start, &positions)?;
        if table.time.is_some() {
            return Err(
                unsupported("FOR SYSTEM_TIME in GRAPH_TABLE", table.graph.at)
                    .hint("Name a branch: GRAPH_TABLE (branch.graph MATCH …)."),
            );
        }
        let graph = self.graph_named(table.schema.as_deref(), &table.graph)?;
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

    fn graph_named(&mut self, schema: Option<&str>, name: &Name) -> PgResult<GraphRef> {
        if name.text != self.env.database() {
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
            let hint = format!(
                "The graph is named like its database: \"{}\".",
                self.env.database()
            );
            return Err(positioned(error.hint(hint), name.at));
        }
        match self.env.graph(schema)? {
            Some((branch, schema)) => Ok(GraphRef {
                name: name.text.clone(),
                branch,
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
        };
        for id in table.used_types() {
            // It is read: the statement takes a snapshot of it.
            if let Some(def) = graph.schema.by_id(id) {
                self.relation(Some(graph.branch.as_str()), &def.table, None)?;
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

/// A pattern that is being bound.
struct Table<'g> {
    /// Internal names of its columns begin with this.
    prefix: String,
    /// What the columns are, by internal name.
    names: HashMap<String, Column>,
    lowered: Lowered,
    graph: &'g GraphRef,
    level: Rc<Level>,
    around: Rc<Scope>,
    /// Conditions on whole matches that the engine does not evaluate.
    later: Vec<Later>,
    /// Bound conditions, by their numbers in the pattern; `None`: it became a later one.
    exprs: Vec<Option<Expr>>,
}

#[derive(Debug, Clone)]
struct Column {
    output: Output,
    /// Of one element, where the output is a list of them.
    ty: PgType,
}

#[derive(Default)]
struct Later {
    expr: Option<Expr>,
    applies: Vec<PendingApply>,
    aggregates: Vec<(String, Expr)>,
}

impl Table<'_> {
    fn used_types(&self) -> HashSet<TypeId> {
        let variables = self.lowered.pattern.variables.iter();
        variables
            .flat_map(|variable| variable.types.iter().copied())
            .collect()
    }

    fn column(&mut self, output: Output, suffix: &str, ty: PgType) -> Expr {
        let name = format!("{}{suffix}", self.prefix);
        self.names
            .entry(name.clone())
            .or_insert(Column { output, ty });
        internal(&name)
    }

    /// What a variable's properties are called and of which type; those that its types do not
    /// agree about are left out.
    fn properties(&self, variable: usize) -> Vec<(String, PgType)> {
        let defs = self.lowered.pattern.variables[variable]
            .types
            .iter()
            .filter_map(|id| self.graph.schema.by_id(*id));
        let mut found: Vec<(String, PgType)> = Vec::new();
        let mut torn: HashSet<String> = HashSet::new();
        for def in defs {
            for column in sql_columns(def) {
                match found.iter().find(|(name, _)| *name == column.name) {
                    None => found.push((column.name, column.ty)),
                    Some((_, ty)) if *ty == column.ty => {}
                    Some(_) => {
                        torn.insert(column.name);
                    }
                }
            }
        }
        found.retain(|(name, _)| !torn.contains(name));
        found
    }

    /// The variables as tables. With `group`, those of that repeated part are single elements.
    fn scope(&mut self) -> Rc<Scope> {
        let mut rels = Vec::new();
        for variable in 0..self.lowered.pattern.variables.len() {
            let Some(name) = self.lowered.pattern.variables[variable].name.clone() else {
                continue;
            };
            let mut columns = Vec::new();
            let mut of =
                |table: &mut Self, name: String, kind: PropertyKind, suffix: String, ty: PgType| {
                    let output = Output::Property(Property { variable, kind });
                    let expr = table.column(output, &suffix, ty);
                    columns.push(ScopeColumn {
                        name,
                        expr,
                        ty,
                        origin: None,
                        fields: Vec::new(),
                    });
                };
            for (at, (name, ty)) in self.properties(variable).into_iter().enumerate() {
                of(
                    self,
                    name.clone(),
                    PropertyKind::Column(name),
                    format!("v{variable}c{at}"),
                    ty,
                );
            }
            of(
                self,
                format!("{HIDDEN}element_id"),
                PropertyKind::ElementId,
                format!("v{variable}id"),
                PgType::TEXT,
            );
            let number = self.column(
                Output::ElementNumber(variable),
                &format!("v{variable}n"),
                PgType::INT8,
            );
            columns.push(ScopeColumn {
                name: format!("{HIDDEN}element_number"),
                expr: number,
                ty: PgType::INT8,
                origin: None,
                fields: Vec::new(),
            });
            rels.push(Rel {
                alias: name,
                schema: None,
                oid: 0,
                columns,
                key: Vec::new(),
            });
        }
        for path in 0..self.lowered.paths.len() {
            let Some(name) = self.lowered.paths[path].clone() else {
                continue;
            };
            let outputs = [
                ("path_length", Output::PathLength(path), PgType::INT8),
                (
                    "path_vertices",
                    Output::PathVertices(path),
                    PgType::TEXT_ARRAY,
                ),
                ("path_edges", Output::PathEdges(path), PgType::TEXT_ARRAY),
                ("path_cost", Output::PathCost(path), PgType::FLOAT8),
            ];
            let mut columns = Vec::new();
            for (function, output, ty) in outputs {
                let cheapest = self.lowered.pattern.paths[path].selector == Selector::Cheapest;
                if matches!(output, Output::PathCost(_)) && !cheapest {
                    continue;
                }
                let expr = self.column(output, &format!("p{path}{function}"), ty);
                let name = format!("{HIDDEN}{function}");
                columns.push(ScopeColumn {
                    name,
                    expr,
                    ty,
                    origin: None,
                    fields: Vec::new(),
                });
            }
            rels.push(Rel {
                alias: name.text,
                schema: None,
                oid: 0,
                columns,
                key: Vec::new(),
            });
        }
        Scope::new(
            rels,
            Vec::new(),
            Rc::clone(&self.level),
            Some(Rc::clone(&self.around)),
        )
    }

    /// What an expression looks at.
    fn columns_of(&self, expr: &Expr) -> Vec<(String, Column)> {
        let mut found: Vec<(String, Column)> = Vec::new();
        for column in expr.column_refs() {
            if let Some(known) = self.names.get(&column.name)
                && !found.iter().any(|(name, _)| *name == column.name)
            {
                found.push((column.name.clone(), known.clone()));
            }
        }
        found.sort_by(|(left, _), (right, _)| left.cmp(right));
        found
    }

    fn bind_conditions(&mut self, binder: &mut Binder<'_>) -> PgResult<()> {
        let scope = self.scope();
        for waiting in std::mem::take(&mut self.lowered.conditions) {
            let Waiting {
                what,
                group,
                selected,
            } = waiting;
            let mut ctx = Ctx::new(Rc::clone(&scope), "WHERE");
            let (expr, at) = match &what {
                Asked::Condition(condition) => {
                    let at = binder.at(condition);
                    (binder.condition(&mut ctx, condition, "WHERE")?, at)
                }
                Asked::Cost(cost) => {
                    let value = binder.expr(&mut ctx, cost)?;
                    let at = value.at;
                    (
                        binder
                            .coerce(value, PgType::FLOAT8, Context::Assignment)?
                            .expr,
                        at,
                    )
                }
                Asked::Equal(variable, name, value) => {
                    let found = self.lowered.pattern.variables[*variable].name.clone();
                    let property = self.property(binder, *variable, found.as_deref(), name)?;
                    let value = binder.expr(&mut ctx, value)?;
                    (
                        binder.operator("=", property, value, name.at)?.expr,
                        name.at,
                    )
                }
            };
            let columns = self.columns_of(&expr);
            if !ctx.applies.is_empty() {
                if group.is_some() || selected || matches!(what, Asked::Cost(_)) {
                    return Err(unsupported(
                        "a subquery inside of a repeated or selected path",
                        at,
                    )
                    .hint("Write the condition into the WHERE clause after all path patterns."));
                }
                self.later.push(Later {
                    expr: Some(expr),
                    applies: ctx.applies,
                    ..Later::default()
                });
                self.lowered.pattern.conditions.push(Vec::new());
                self.exprs.push(None);
                continue;
            }
            let properties = self.properties_of(&columns, group, at)?;
            self.lowered.pattern.conditions.push(properties);
            self.exprs.push(Some(expr));
        }
        Ok(())
    }

    fn property(
        &mut self,
        binder: &mut Binder<'_>,
        variable: usize,
        owner: Option<&str>,
        name: &Name,
    ) -> PgResult<Typed> {
        let known = self
            .properties(variable)
            .into_iter()
            .enumerate()
            .find(|(_, (known, _))| *known == name.text);
        let Some((at, (column, ty))) = known else {
            let message = format!(
                "column {}.{} does not exist",
                owner.unwrap_or("(element)"),
                name.text
            );
            return Err(positioned(
                PgError::new(sqlstate::UNDEFINED_COLUMN, message),
                name.at,
            ));
        };
        let _ = binder;
        let output = Output::Property(Property {
            variable,
            kind: PropertyKind::Column(column),
        });
        Ok(Typed::new(self.column(output, &format!("v{variable}c{at}"), ty), ty).at(name.at))
    }

    /// The properties that a condition inside of a pattern looks at.
    fn properties_of(
        &self,
        columns: &[(String, Column)],
        group: Option<usize>,
        at: Option<u32>,
    ) -> PgResult<Vec<Property>> {
        columns
            .iter()
            .map(|(_, column)| match &column.output {
                Output::Property(property) => {
                    let of = self.lowered.groups[property.variable];
                    if of.is_some() && of != group {
                        return Err(self.group_error(property.variable, at));
                    }
                    Ok(property.clone())
                }
                _ => Err(unsupported("a function of a path inside of that path", at)
                    .hint("Write the condition into the WHERE clause after all path patterns.")),
            })
            .collect()
    }

    fn group_error(&self, variable: usize, at: Option<u32>) -> PgError {
        let name = self.lowered.pattern.variables[variable]
            .name
            .clone()
            .unwrap_or_default();
        let message = format!("group variable \"{name}\" must be used in an aggregate function");
        let error = PgError::new(sqlstate::GROUPING_ERROR, message)
            .hint("Outside of its quantifier it is a list of elements.");
        positioned(error, at)
    }

    /// In a pattern inside of a pattern, a variable of the one around it is the same element.
    fn bind_correlations(&mut self, binder: &mut Binder<'_>) -> PgResult<()> {
        for variable in 0..self.lowered.pattern.variables.len() {
            let pattern::Variable {
                name: Some(name),
                is_edge: false,
                is_group: false,
                ..
            } = self.lowered.pattern.variables[variable].clone()
            else {
                continue;
            };
            let hidden = format!("{HIDDEN}element_id");
            // Crossed by a scope of this level, as every other name is.
            let probe = Scope::new(
                Vec::new(),
                Vec::new(),
                Rc::clone(&self.level),
                Some(Rc::clone(&self.around)),
            );
            let Found::Column(outer) = probe.qualified(None, &name, &hidden, &mut binder.fresh)
            else {
                continue;
            };
            let property = Property {
                variable,
                kind: PropertyKind::ElementId,
            };
            let own = self.column(
                Output::Property(property.clone()),
                &format!("v{variable}id"),
                PgType::TEXT,
            );
            self.lowered
                .pattern
                .filters
                .push(self.lowered.pattern.conditions.len());
            self.lowered.pattern.conditions.push(vec![property]);
            self.exprs.push(Some(binary(own, Operator::Eq, outer.expr)));
        }
        Ok(())
    }

    /// The condition on whole matches. What looks at single elements goes into the pattern,
    /// if the pattern chooses the same paths then.
    fn bind_filter(&mut self, binder: &mut Binder<'_>, filter: &ast::Expr) -> PgResult<()> {
        let scope = self.scope();
        let mut conjuncts = Vec::new();
        split(filter, &mut conjuncts);
        for conjunct in conjuncts {
            let mut ctx = Ctx::new(Rc::clone(&scope), "WHERE");
            ctx.allow_aggregates = true;
            let at = binder.at(conjunct);
            let expr = binder.condition(&mut ctx, conjunct, "WHERE")?;
            let columns = self.columns_of(&expr);
            if !ctx.inner_applies.is_empty() {
                return Err(unsupported(
                    "a subquery inside of an aggregate over a path",
                    at,
                ));
            }
            let properties: Option<Vec<Property>> = columns
                .iter()
                .map(|(_, column)| match &column.output {
                    Output::Property(property) if self.can_filter_early(property.variable) => {
                        Some(property.clone())
                    }
                    _ => None,
                })
                .collect();
            self.check_groups(&expr, at)?;
            match properties {
                Some(properties)
                    if self.are_connected(&properties)
                        && ctx.applies.is_empty()
                        && ctx.aggregates.is_empty() =>
                {
                    self.lowered
                        .pattern
                        .filters
                        .push(self.lowered.pattern.conditions.len());
                    self.lowered.pattern.conditions.push(properties);
                    self.exprs.push(Some(expr));
                }
                _ => self.later.push(Later {
                    expr: Some(expr),
                    applies: ctx.applies,
                    aggregates: ctx.aggregates,
                }),
            }
        }
        Ok(())
    }

    /// A variable that is an end of every path that is chosen from in which it occurs.
    fn can_filter_early(&self, variable: usize) -> bool {
        let unnested = !self
            .lowered
            .pattern
            .paths
            .iter()
            .any(|path| occurs(&path.parts, variable));
        let inside = self.lowered.pattern.paths.iter().any(|path| {
            let plain = path.selector == Selector::All;
            let ends = path.parts.len() - 1;
            !plain
                && path.parts.iter().enumerate().any(|(at, part)| {
                    at > 0 && at < ends && occurs(std::slice::from_ref(part), variable)
                })
        });
        self.lowered.groups[variable].is_none() && !inside && !unnested
    }

    /// Are they, and in one connected part of the pattern?
    fn are_connected(&self, properties: &[Property]) -> bool {
        self.connected().iter().any(|part| {
            !properties.is_empty()
                && properties.iter().all(|property| {
                    part.iter().any(|path| {
                        occurs(&self.lowered.pattern.paths[*path].parts, property.variable)
                    })
                })
        })
    }

    fn check_groups(&self, expr: &Expr, at: Option<u32>) -> PgResult<()> {
        for (_, column) in self.columns_of(expr) {
            if let Output::Property(property) = column.output
                && self.lowered.groups[property.variable].is_some()
            {
                return Err(self.group_error(property.variable, at));
            }
        }
        Ok(())
    }

    fn plan(
        mut self,
        binder: &mut Binder<'_>,
        rows: &Rows,
        columns: Option<&[ast::SelectItem]>,
    ) -> PgResult<QueryRel> {
        let scope = self.scope();
        let mut ctx = Ctx::new(Rc::clone(&scope), "COLUMNS");
        ctx.allow_aggregates = true;
        let mut targets: Vec<(String, Typed)> = Vec::new();
        match columns {
            // Only whether there are rows is asked.
            Some([]) => targets.push((
                String::new(),
                Typed::value(ScalarValue::Int32(Some(1)), PgType::INT4),
            )),
            Some(columns) => {
                for column in columns {
                    self.target(binder, &mut ctx, column, &mut targets)?;
                }
            }
            None => {
                for rel in &scope.rels {
                    if let Some(variable) = self.lowered.find(&rel.alias)
                        && self.lowered.groups[variable].is_none()
                    {
                        targets.extend(all_columns(rel));
                    }
                }
            }
        }
        if !ctx.inner_applies.is_empty() {
            return Err(unsupported(
                "a subquery inside of an aggregate over a path",
                None,
            ));
        }
        for (_, value) in &mut targets {
            *value = binder.settle(value.clone())?;
            self.check_numbers(&value.expr, rows, value.at)?;
            self.check_groups(&value.expr, value.at)?;
        }
        let aggregates: Vec<(String, Expr)> = ctx.aggregates;
        let mut needed: Vec<String> = Vec::new();
        let mut need = |table: &Self, expr: &Expr| {
            for (name, _) in table.columns_of(expr) {
                if !needed.contains(&name) {
                    needed.push(name);
                }
            }
        };
        for (_, value) in &targets {
            need(&self, &value.expr);
        }
        for later in &self.later {
            later.expr.iter().for_each(|expr| need(&self, expr));
            later
                .aggregates
                .iter()
                .for_each(|(_, expr)| need(&self, expr));
            let outer = later.applies.iter().flat_map(|apply| &apply.outer);
            outer.for_each(|outer| need(&self, &outer.expr));
            let needles = later.applies.iter().flat_map(|apply| &apply.needles);
            needles.for_each(|needle| need(&self, needle));
        }
        aggregates.iter().for_each(|(_, expr)| need(&self, expr));
        for apply in &ctx.applies {
            apply
                .outer
                .iter()
                .for_each(|outer| need(&self, &outer.expr));
            apply.needles.iter().for_each(|needle| need(&self, needle));
        }
        let mut plan = self.matches(rows, &needed)?;
        for later in std::mem::take(&mut self.later) {
            plan = apply_all(plan, later.applies)?;
            if let Some(condition) = later.expr {
                let condition = self.with_aggregates(condition, &later.aggregates)?;
                plan = planned(
                    LogicalPlanBuilder::from(plan)
                        .filter(condition)
                        .and_then(LogicalPlanBuilder::build),
                )?;
            }
        }
        plan = apply_all(plan, ctx.applies)?;
        let mut exprs = Vec::new();
        let mut output = Vec::new();
        for (name, value) in targets {
            let column = binder.name("c");
            let expr = self.with_aggregates(value.expr, &aggregates)?;
            exprs.push(expr.alias(&column));
            output.push(QueryColumn {
                name,
                column,
                ty: value.ty,
                origin: None,
                fields: Vec::new(),
            });
        }
        let plan = planned(
            LogicalPlanBuilder::from(plan)
                .project(exprs)
                .and_then(LogicalPlanBuilder::build),
        )?;
        Ok(QueryRel {
            plan,
            columns: output,
        })
    }

    fn target(
        &mut self,
        binder: &mut Binder<'_>,
        ctx: &mut Ctx,
        item: &ast::SelectItem,
        targets: &mut Vec<(String, Typed)>,
    ) -> PgResult<()> {
        match item {
            ast::SelectItem::UnnamedExpr(expr) => {
                let name = naming::column_name(expr);
                let name = name.trim_start_matches(HIDDEN).to_owned();
                targets.push((name, binder.expr(ctx, expr)?));
            }
            ast::SelectItem::ExprWithAlias { expr, alias } => {
                targets.push((fold(alias), binder.expr(ctx, expr)?))
            }
            ast::SelectItem::QualifiedWildcard(
                ast::SelectItemQualifiedWildcardKind::ObjectName(name),
                _,
            ) => {
                let variable = name
                    .0
                    .last()
                    .and_then(|part| part.as_ident())
                    .map(fold)
                    .unwrap_or_default();
                let at = binder.at(name);
                let Some(rel) = ctx.scope.rels.iter().find(|rel| rel.alias == variable) else {
                    let message = format!("missing FROM-clause entry for table \"{variable}\"");
                    return Err(positioned(
                        PgError::new(sqlstate::UNDEFINED_TABLE, message),
                        at,
                    ));
                };
                if let Some(number) = self.lowered.find(&variable)
                    && self.lowered.groups[number].is_some()
                {
                    return Err(self.group_error(number, at));
                }
                targets.extend(all_columns(rel));
            }
            other => return Err(unsupported(&format!("{other} in COLUMNS"), None)),
        }
        Ok(())
    }

    /// ELEMENT_NUMBER is of the variables of ONE ROW PER.
    fn check_numbers(&self, expr: &Expr, rows: &Rows, at: Option<u32>) -> PgResult<()> {
        for (_, column) in self.columns_of(expr) {
            if let Output::ElementNumber(variable) = column.output {
                let known = match rows {
                    Rows::Match => false,
                    Rows::Vertex(vertex) => *vertex == variable,
                    Rows::Step { from, edge, to } => [*from, *edge, *to].contains(&variable),
                };
                if !known {
                    let message =
                        "element_number() is of the variables of ONE ROW PER VERTEX or STEP";
                    return Err(positioned(
                        PgError::new(sqlstate::SYNTAX_ERROR, message),
                        at,
                    ));
                }
            }
        }
        Ok(())
    }

    /// The expression with aggregates over repeated elements in their places.
    fn with_aggregates(&self, expr: Expr, aggregates: &[(String, Expr)]) -> PgResult<Expr> {
        let mut failed = None;
        let replaced = planned(expr.transform(|node| {
            let Expr::Column(column) = &node else {
                return Ok(Transformed::no(node));
            };
            let Some((_, aggregate)) = aggregates.iter().find(|(name, _)| *name == column.name)
            else {
                return Ok(Transformed::no(node));
            };
            match self.list_aggregate(aggregate) {
                Ok(call) => Ok(Transformed::yes(call)),
                Err(error) => {
                    failed = Some(error);
                    Ok(Transformed::no(node))
                }
            }
        }))?;
        match failed {
            Some(error) => Err(error),
            None => Ok(replaced.data),
        }
    }

    fn list_aggregate(&self, aggregate: &Expr) -> PgResult<Expr> {
        let mut group = None;
        let mut columns = Vec::new();
        for (name, column) in self.columns_of(aggregate) {
            let of = match &column.output {
                Output::Property(property) => self.lowered.groups[property.variable],
                _ => None,
            };
            if let (Some(known), Some(of)) = (group, of)
                && known != of
            {
                return Err(unsupported(
                    "an aggregate over variables of two quantified parts",
                    None,
                ));
            }
            group = group.or(of);
            columns.push(list_aggregate::Column {
                name,
                ty: column.ty.arrow(),
                is_list: of.is_some(),
            });
        }
        if group.is_none() {
            return Err(PgError::new(
                sqlstate::GROUPING_ERROR,
                "an aggregate function in a graph pattern must be over a variable of a quantified part",
            ));
        }
        list_aggregate::call(aggregate, columns)
    }

    /// The matches of each connected part of the pattern, beside each other.
    fn matches(&self, rows: &Rows, needed: &[String]) -> PgResult<LogicalPlan> {
        let mut plan: Option<LogicalPlan> = None;
        for part in self.connected() {
            let node = self.node(&part, rows, needed)?;
            let node = LogicalPlan::Extension(Extension {
                node: Arc::new(node),
            });
            plan = Some(match plan {
                None => node,
                Some(plan) => planned(
                    LogicalPlanBuilder::from(plan)
                        .cross_join(node)
                        .and_then(LogicalPlanBuilder::build),
                )?,
            });
        }
        plan.ok_or_else(|| PgError::new(sqlstate::INTERNAL_ERROR, "a graph pattern without a path"))
    }

    /// The paths that share variables, together with conditions that do.
    fn connected(&self) -> Vec<Vec<usize>> {
        let pattern = &self.lowered.pattern;
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for path in 0..pattern.paths.len() {
            let shares = |other: &usize| {
                (0..pattern.variables.len()).any(|variable| {
                    occurs(&pattern.paths[path].parts, variable)
                        && occurs(&pattern.paths[*other].parts, variable)
                })
            };
            let (mut joined, rest): (Vec<_>, Vec<_>) =
                parts.into_iter().partition(|part| part.iter().any(shares));
            let mut part: Vec<usize> = joined.drain(..).flatten().collect();
            part.push(path);
            part.sort_unstable();
            parts = rest;
            parts.push(part);
        }
        parts.sort();
        parts
    }

    fn node(&self, paths: &[usize], rows: &Rows, needed: &[String]) -> PgResult<GraphMatch> {
        let whole = &self.lowered.pattern;
        let has = |variable: usize| {
            paths
                .iter()
                .any(|path| occurs(&whole.paths[*path].parts, variable))
        };
        let mut pattern = Pattern {
            paths: paths
                .iter()
                .map(|path| whole.paths[*path].clone())
                .collect(),
            ..whole.clone()
        };
        let unnested: Vec<usize> = match rows {
            Rows::Match => Vec::new(),
            Rows::Vertex(vertex) => vec![*vertex],
            Rows::Step { from, edge, to } => vec![*from, *edge, *to],
        };
        for (variable, known) in pattern.variables.iter_mut().enumerate() {
            if !has(variable) && !unnested.contains(&variable) {
                known.types.clear();
            }
        }
        let of_part = |filter: &&usize| {
            whole.conditions[**filter]
                .iter()
                .all(|property| has(property.variable))
        };
        pattern.filters = whole.filters.iter().filter(of_part).copied().collect();
        // Conditions that became later ones hold here.
        for path in &mut pattern.paths {
            forget(&mut path.parts, &self.exprs);
            path.conditions
                .retain(|condition| self.exprs[*condition].is_some());
        }
        let outputs = needed
            .iter()
            .filter_map(|name| Some((name, self.names.get(name)?)))
            .filter_map(|(name, column)| {
                let output = match &column.output {
                    Output::Property(property) if !has(property.variable) && !unnested.contains(&property.variable) => None,
                    Output::PathLength(path) => own(paths, *path).map(Output::PathLength),
                    Output::PathVertices(path) => own(paths, *path).map(Output::PathVertices),
                    Output::PathEdges(path) => own(paths, *path).map(Output::PathEdges),
                    Output::PathCost(path) => own(paths, *path).map(Output::PathCost),
                    other => Some(other.clone()),
                }?;
                let is_list = matches!(&output, Output::Property(property) if whole.variables[property.variable].is_group);
                let ty = if is_list { list_aggregate::list_of(column.ty.arrow()) } else { column.ty.arrow() };
                Some(node::OutputColumn { name: name.clone(), output, ty })
            })
            .collect();
        let conditions = self
            .exprs
            .iter()
            .enumerate()
            .map(|(at, expr)| match expr {
                Some(expr) => self.condition(expr, &whole.conditions[at]),
                None => Ok(node::Condition {
                    expr: Expr::Literal(ScalarValue::Boolean(Some(true)), None),
                    types: Vec::new(),
                }),
            })
            .collect::<PgResult<Vec<_>>>()?;
        let starts = whole
            .variables
            .iter()
            .filter(|variable| !variable.is_edge)
            .flat_map(|variable| &variable.types);
        let mut tables: HashMap<TypeId, Arc<NodeTable>> = HashMap::new();
        for id in starts {
            if let Some(def) = self.graph.schema.by_id(*id) {
                let table = || Arc::new(NodeTable::new(self.graph.branch.clone(), Arc::clone(def)));
                tables.entry(*id).or_insert_with(table);
            }
        }
        GraphMatch::new(
            self.graph.branch.clone(),
            Arc::clone(&self.graph.schema),
            pattern,
            conditions,
            outputs,
            *rows,
            tables,
        )
    }

    /// The condition with its properties as placeholders, which nothing but the node fills in.
    fn condition(&self, expr: &Expr, properties: &[Property]) -> PgResult<node::Condition> {
        let mut types = vec![PgType::TEXT.arrow(); properties.len()];
        let expr = planned(expr.clone().transform(|node| {
            let Expr::Column(column) = &node else {
                return Ok(Transformed::no(node));
            };
            let Some(Column {
                output: Output::Property(property),
                ty,
            }) = self.names.get(&column.name)
            else {
                return Ok(Transformed::no(node));
            };
            let Some(at) = properties.iter().position(|known| known == property) else {
                return Ok(Transformed::no(node));
            };
            types[at] = ty.arrow();
            Ok(Transformed::yes(node::hole(at, ty.arrow())))
        }))?;
        Ok(node::Condition {
            expr: expr.data,
            types,
        })
    }
}

/// The path's number among those of a connected part.
fn own(paths: &[usize], path: usize) -> Option<usize> {
    paths.iter().position(|known| *known == path)
}

fn forget(parts: &mut [pattern::Part], exprs: &[Option<Expr>]) {
    for part in parts {
        match part {
            pattern::Part::Vertex(vertex) => vertex
                .conditions
                .retain(|condition| exprs[*condition].is_some()),
            pattern::Part::Edge(edge) => edge
                .conditions
                .retain(|condition| exprs[*condition].is_some()),
            pattern::Part::Group(group) => forget(&mut group.parts, exprs),
        }
    }
}

fn occurs(parts: &[pattern::Part], variable: usize) -> bool {
    parts.iter().any(|part| match part {
        pattern::Part::Vertex(vertex) => vertex.variable == variable,
        pattern::Part::Edge(edge) => edge.variable == variable,
        pattern::Part::Group(group) => occurs(&group.parts, variable),
    })
}

fn all_columns(rel: &Rel) -> impl Iterator<Item = (String, Typed)> + '_ {
    let shown = rel
        .columns
        .iter()
        .filter(|column| !column.name.starts_with(HIDDEN));
    shown.map(|column| (column.name.clone(), column.typed()))
}

/// The parts that AND joins.
fn split<'e>(expr: &'e ast::Expr, into: &mut Vec<&'e ast::Expr>) {
    match expr {
        ast::Expr::BinaryOp {
            left,
            op: ast::BinaryOperator::And,
            right,
        } => {
            split(left, into);
            split(right, into);
        }
        ast::Expr::Nested(inner) => split(inner, into),
        other => into.push(other),
    }
}
