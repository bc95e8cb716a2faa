//! A bound pattern as a plan: its matches, what is asked of them, and its columns.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder};
use omnigraph_catalog::provider::GraphTable as NodeTable;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::pattern::{self, Output, Pattern, Property, Rows};
use omnigraph_engine::schema::TypeId;
use sqlparser::ast;

use super::super::coerce::positioned;
use super::super::expr::Ctx;
use super::super::query::{QueryColumn, QueryRel};
use super::super::scope::Rel;
use super::super::subquery::apply_all;
use super::super::typed::Typed;
use super::super::{Binder, naming, planned, unsupported};
use super::table::{Column, Table, occurs};
use super::{GraphMatch, list_aggregate, node};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::fold;
use crate::statement::parse::graph_table::HIDDEN;

impl Table<'_> {
    pub(super) fn plan(
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
            let guard = self.guard.clone().filter(|_| plan.is_none());
            let node = self.node(&part, rows, needed)?.guarded(guard);
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
    pub(super) fn connected(&self) -> Vec<Vec<usize>> {
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
        let mut next = pattern.paths.len();
        pattern.nested = whole
            .nested
            .iter()
            .filter(|nested| self.part_of(nested).is_some_and(|part| part == paths))
            .map(|nested| nested.numbered(&mut next))
            .collect();
        let unnested: Vec<usize> = match rows {
            Rows::Match => Vec::new(),
            Rows::Vertex(vertex) => vec![*vertex],
            Rows::Step { from, edge, to } => vec![*from, *edge, *to],
        };
        let nested = pattern.nested.clone();
        for (variable, known) in pattern.variables.iter_mut().enumerate() {
            let is_inner = nested.iter().any(|nested| nested.has(variable));
            if !has(variable) && !unnested.contains(&variable) && !is_inner {
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
                let table = || {
                    let table = NodeTable::new(self.graph.branch.clone(), Arc::clone(def));
                    Arc::new(match &self.graph.at {
                        Some(reference) => table.at(Arc::clone(reference)),
                        None => table,
                    })
                };
                tables.entry(*id).or_insert_with(table);
            }
        }
        GraphMatch::new(
            self.graph.clone(),
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
            pattern::Part::Reach(_) => {}
        }
    }
}

fn all_columns(rel: &Rel) -> impl Iterator<Item = (String, Typed)> + '_ {
    let shown = rel
        .columns
        .iter()
        .filter(|column| !column.name.starts_with(HIDDEN));
    shown.map(|column| (column.name.clone(), column.typed()))
}
