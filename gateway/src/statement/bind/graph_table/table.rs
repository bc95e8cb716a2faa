//! A pattern that is being bound: its variables as tables, and its conditions.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use datafusion::logical_expr::{Expr, Operator};
use omnigraph_catalog::provider::sql_columns;
use omnigraph_catalog::types::PgType;
use omnigraph_engine::pattern::{self, Output, Property, PropertyKind, Selector};
use omnigraph_engine::schema::TypeId;
use sqlparser::ast;

use super::super::coerce::{Context, positioned};
use super::super::expr::{Ctx, binary};
use super::super::scope::{Found, Level, Rel, Scope, ScopeColumn, internal};
use super::super::subquery::PendingApply;
use super::super::typed::Typed;
use super::super::{Binder, unsupported};
use super::GraphRef;
use super::lower::{Asked, Lowered, Waiting};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::graph_table::{HIDDEN, Name};

/// A pattern that is being bound.
pub(super) struct Table<'g> {
    /// Internal names of its columns begin with this.
    pub(super) prefix: String,
    /// What the columns are, by internal name.
    pub(super) names: HashMap<String, Column>,
    pub(super) lowered: Lowered,
    pub(super) graph: &'g GraphRef,
    pub(super) level: Rc<Level>,
    pub(super) around: Rc<Scope>,
    /// Conditions on whole matches that the engine does not evaluate.
    pub(super) later: Vec<Later>,
    /// Bound conditions, by their numbers in the pattern; `None`: it became a later one.
    pub(super) exprs: Vec<Option<Expr>>,
    /// Evaluated once before anything is matched, for the error it may be.
    pub(super) guard: Option<Expr>,
}

#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) output: Output,
    /// Of one element, where the output is a list of them.
    pub(super) ty: PgType,
}

#[derive(Default)]
pub(super) struct Later {
    pub(super) expr: Option<Expr>,
    pub(super) applies: Vec<PendingApply>,
    pub(super) aggregates: Vec<(String, Expr)>,
}

impl Table<'_> {
    pub(super) fn used_types(&self) -> Vec<TypeId> {
        self.lowered.pattern.types()
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
    pub(super) fn scope(&mut self) -> Rc<Scope> {
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
    pub(super) fn columns_of(&self, expr: &Expr) -> Vec<(String, Column)> {
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

    pub(super) fn bind_conditions(&mut self, binder: &mut Binder<'_>) -> PgResult<()> {
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

    pub(super) fn group_error(&self, variable: usize, at: Option<u32>) -> PgError {
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
    pub(super) fn bind_correlations(&mut self, binder: &mut Binder<'_>) -> PgResult<()> {
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
    pub(super) fn bind_filter(
        &mut self,
        binder: &mut Binder<'_>,
        filter: &ast::Expr,
    ) -> PgResult<()> {
        let scope = self.scope();
        let mut conjuncts = Vec::new();
        split(filter, &mut conjuncts);
        for conjunct in conjuncts {
            if self.bind_exists(binder, conjunct)? {
                continue;
            }
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

    pub(super) fn check_groups(&self, expr: &Expr, at: Option<u32>) -> PgResult<()> {
        for (_, column) in self.columns_of(expr) {
            if let Output::Property(property) = column.output
                && self.lowered.groups[property.variable].is_some()
            {
                return Err(self.group_error(property.variable, at));
            }
        }
        Ok(())
    }
}

/// Does a variable stand in these parts?
pub(super) fn occurs(parts: &[pattern::Part], variable: usize) -> bool {
    parts.iter().any(|part| match part {
        pattern::Part::Vertex(vertex) => vertex.variable == variable,
        pattern::Part::Edge(edge) => edge.variable == variable,
        pattern::Part::Group(group) => occurs(&group.parts, variable),
        pattern::Part::Reach(_) => false,
    })
}

/// The parts that AND joins.
pub(super) fn split<'e>(expr: &'e ast::Expr, into: &mut Vec<&'e ast::Expr>) {
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
