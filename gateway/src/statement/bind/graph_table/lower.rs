//! From the syntax of patterns to the engine's: variables are told apart, labels become types,
//! and conditions are taken out, to be bound when every variable is known.

use std::sync::Arc;

use omnigraph_engine::Error;
use omnigraph_engine::pattern::{self, LabelExpression, Mode, Pattern, ReachBy, Selector};
use omnigraph_engine::schema::{Schema, TypeId};
use sqlparser::ast;

use super::super::coerce::positioned;
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse::graph_table::{
    Element, Name, Part, PathPattern, Patterns, Quantifier,
};

/// A pattern whose conditions are still syntax. In the pattern they have their numbers.
#[derive(Clone)]
pub(super) struct Lowered {
    pub pattern: Pattern,
    pub conditions: Vec<Waiting>,
    /// The variables of paths, by the path's number.
    pub paths: Vec<Option<Name>>,
    /// For each variable, the repeated part that it is in.
    pub groups: Vec<Option<usize>>,
    graph: String,
    schema: Arc<Schema>,
    repeated: usize,
    /// The variables before it are of the pattern around the one that is lowered.
    inner: usize,
}

/// A condition that is not bound yet.
#[derive(Clone)]
pub(super) struct Waiting {
    pub what: Asked,
    /// The repeated part that it stands in.
    pub group: Option<usize>,
    /// Does it stand in a path that is chosen from?
    pub selected: bool,
}

#[derive(Clone)]
pub(super) enum Asked {
    Condition(ast::Expr),
    /// `{name: value}`.
    Equal(usize, Name, ast::Expr),
    Cost(ast::Expr),
}

impl Lowered {
    pub(super) fn new(graph: &str, schema: &Arc<Schema>, patterns: &Patterns) -> PgResult<Self> {
        let mut lowered = Lowered {
            pattern: Pattern {
                variables: Vec::new(),
                paths: Vec::new(),
                conditions: Vec::new(),
                filters: Vec::new(),
                nested: Vec::new(),
                different_edges: patterns.different_edges,
            },
            conditions: Vec::new(),
            paths: Vec::new(),
            groups: Vec::new(),
            graph: graph.to_owned(),
            schema: Arc::clone(schema),
            repeated: 0,
            inner: 0,
        };
        for path in &patterns.paths {
            let lowered_path = lowered.path(path)?;
            lowered.paths.push(path.variable.clone());
            lowered.pattern.paths.push(lowered_path);
        }
        Ok(lowered)
    }

    /// The paths of a pattern that goes on from this one's variables.
    pub(super) fn nested(
        &mut self,
        patterns: &Patterns,
        negated: bool,
    ) -> PgResult<pattern::Nested> {
        let around = std::mem::replace(&mut self.inner, self.pattern.variables.len());
        let paths = patterns.paths.iter().map(|path| self.path(path));
        let paths: PgResult<Vec<_>> = paths.collect();
        let inner = std::mem::replace(&mut self.inner, around);
        let mut nested = pattern::Nested {
            negated,
            first: 0,
            paths: paths?,
            inner,
            filters: Vec::new(),
            nested: Vec::new(),
        };
        for path in &mut nested.paths {
            ignore_walks(path, &self.pattern.variables);
        }
        Ok(nested)
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.pattern
            .variables
            .iter()
            .position(|variable| variable.name.as_deref() == Some(name))
    }

    /// A variable that no pattern has.
    pub(super) fn add(
        &mut self,
        name: &Name,
        is_edge: bool,
        types: Vec<TypeId>,
    ) -> PgResult<usize> {
        if self.find(&name.text).is_some() {
            let error = PgError::new(
                sqlstate::DUPLICATE_ALIAS,
                format!("variable \"{}\" is bound by the pattern already", name.text),
            );
            return Err(positioned(error, name.at));
        }
        Ok(self.new_variable(Some(name.text.clone()), is_edge, types, None))
    }

    /// For whoever cannot see by how many walks an element was come to: edges that nobody
    /// names and nothing is asked of lead to each node once.
    pub(super) fn ignore_repetition(&mut self) {
        let pattern = &mut self.pattern;
        if pattern.different_edges {
            return;
        }
        for (path, name) in pattern.paths.iter_mut().zip(&self.paths) {
            if name.is_none() {
                ignore_walks(path, &pattern.variables);
            }
        }
    }

    fn path(&mut self, path: &PathPattern) -> PgResult<pattern::PathPattern> {
        let mut parts = Vec::new();
        let mut conditions = Vec::new();
        let selected = path.selector != Selector::All || path.mode != Mode::Walk;
        self.parts(&path.parts, &mut parts, &mut conditions, None, selected)?;
        if !matches!(parts.first(), Some(pattern::Part::Vertex(_))) {
            let vertex = self.anonymous_vertex();
            parts.insert(0, vertex);
        }
        if !matches!(parts.last(), Some(pattern::Part::Vertex(_))) {
            let vertex = self.anonymous_vertex();
            parts.push(vertex);
        }
        if let Some(name) = &path.variable
            && (self.find(&name.text).is_some()
                || self
                    .paths
                    .iter()
                    .flatten()
                    .any(|known| known.text == name.text))
        {
            let error = PgError::new(
                sqlstate::DUPLICATE_ALIAS,
                format!("variable \"{}\" is bound twice", name.text),
            );
            return Err(positioned(error, name.at));
        }
        // Without repeated edges there are no endless walks.
        let unbounded = parts
            .iter()
            .any(|part| matches!(part, pattern::Part::Group(group) if group.max.is_none()));
        let mode = match path.mode {
            Mode::Walk
                if self.pattern.different_edges
                    && (unbounded || path.selector != Selector::All) =>
            {
                Mode::Trail
            }
            mode => mode,
        };
        let lowered = pattern::PathPattern {
            selector: path.selector,
            mode,
            parts,
            conditions,
        };
        pattern::check_path(&lowered).map_err(|error| {
            let mut told = sqlstate::from_engine(&error);
            if matches!(error, Error::Invalid { .. }) {
                told.code = sqlstate::SYNTAX_ERROR;
            }
            positioned(told, path.at)
        })?;
        Ok(lowered)
    }

    fn parts(
        &mut self,
        from: &[Part],
        into: &mut Vec<pattern::Part>,
        conditions: &mut Vec<usize>,
        group: Option<usize>,
        selected: bool,
    ) -> PgResult<()> {
        for part in from {
            match part {
                Part::Vertex(element) => {
                    let (variable, types, conditions) =
                        self.element(element, false, group, selected)?;
                    into.push(pattern::Part::Vertex(pattern::VertexPattern {
                        variable,
                        types,
                        conditions,
                    }));
                }
                Part::Edge {
                    element,
                    direction,
                    quantifier,
                } => {
                    let inside = quantifier.map(|_| self.new_group()).or(group);
                    let (variable, types, conditions) =
                        self.element(element, true, inside, selected)?;
                    let cost = element
                        .cost
                        .clone()
                        .map(|cost| self.wait(Asked::Cost(cost), inside, selected));
                    let edge = pattern::Part::Edge(pattern::EdgePattern {
                        variable,
                        types,
                        direction: *direction,
                        conditions,
                        cost,
                    });
                    match quantifier {
                        None => into.push(edge),
                        Some(quantifier) => {
                            into.push(repeated(vec![edge], Vec::new(), *quantifier))
                        }
                    }
                }
                Part::Reach {
                    label,
                    direction,
                    quantifier,
                    by,
                } => into.push(pattern::Part::Reach(pattern::Reach {
                    types: self.types(Some(label), true, None)?,
                    direction: *direction,
                    min: quantifier.min,
                    max: quantifier.max,
                    by: *by,
                })),
                Part::Group {
                    parts,
                    filter,
                    quantifier,
                    ..
                } => {
                    let inside = quantifier.map(|_| self.new_group()).or(group);
                    let mut inner = Vec::new();
                    let mut own = Vec::new();
                    self.parts(parts, &mut inner, &mut own, inside, selected)?;
                    own.extend(
                        filter
                            .clone()
                            .map(|filter| self.wait(Asked::Condition(filter), inside, selected)),
                    );
                    match quantifier {
                        None => {
                            into.extend(inner);
                            conditions.extend(own);
                        }
                        Some(quantifier) => into.push(repeated(inner, own, *quantifier)),
                    }
                }
            }
        }
        Ok(())
    }

    fn new_group(&mut self) -> usize {
        self.repeated += 1;
        self.repeated
    }

    fn element(
        &mut self,
        element: &Element,
        is_edge: bool,
        group: Option<usize>,
        selected: bool,
    ) -> PgResult<(usize, Vec<TypeId>, Vec<usize>)> {
        let types = self.types(element.label.as_ref(), is_edge, element.at)?;
        let variable = self.variable(element.variable.as_ref(), is_edge, &types, group)?;
        let mut conditions = Vec::new();
        for (name, value) in &element.properties {
            let asked = Asked::Equal(variable, name.clone(), value.clone());
            conditions.push(self.wait(asked, group, selected));
        }
        if let Some(filter) = &element.filter {
            conditions.push(self.wait(Asked::Condition(filter.clone()), group, selected));
        }
        Ok((variable, types, conditions))
    }

    fn wait(&mut self, what: Asked, group: Option<usize>, selected: bool) -> usize {
        self.conditions.push(Waiting {
            what,
            group,
            selected,
        });
        self.pattern.conditions.len() + self.conditions.len() - 1
    }

    fn types(
        &self,
        label: Option<&LabelExpression>,
        is_edge: bool,
        at: Option<u32>,
    ) -> PgResult<Vec<TypeId>> {
        let Some(label) = label else {
            return Ok(LabelExpression::Any.types(&self.schema, is_edge));
        };
        if let Some(unknown) = label.unknown(&self.schema) {
            let message = format!(
                "label \"{unknown}\" does not exist in property graph \"{}\"",
                self.graph
            );
            let error = PgError::new(sqlstate::UNDEFINED_OBJECT, message)
                .hint("Labels are the names of tables, and of interfaces for nodes.");
            return Err(positioned(error, at));
        }
        if let Some(label) = label.misplaced(&self.schema, is_edge) {
            let (wanted, other) = if is_edge {
                ("edge", "vertex")
            } else {
                ("vertex", "edge")
            };
            let message = format!(
                "label \"{label}\" is no {wanted} label in property graph \"{}\"",
                self.graph
            );
            let error = PgError::new(sqlstate::UNDEFINED_OBJECT, message)
                .hint(format!("It is the label of {other} elements."));
            return Err(positioned(error, at));
        }
        Ok(label.types(&self.schema, is_edge))
    }

    fn variable(
        &mut self,
        name: Option<&Name>,
        is_edge: bool,
        types: &[TypeId],
        group: Option<usize>,
    ) -> PgResult<usize> {
        let Some(name) = name else {
            return Ok(self.new_variable(None, is_edge, types.to_vec(), group));
        };
        let Some(known) = self.find(&name.text) else {
            return Ok(self.new_variable(Some(name.text.clone()), is_edge, types.to_vec(), group));
        };
        let refuse = |message: String, hint: &str| {
            Err(positioned(
                PgError::new(sqlstate::SYNTAX_ERROR, message).hint(hint),
                name.at,
            ))
        };
        if self.pattern.variables[known].is_edge != is_edge {
            return refuse(
                format!(
                    "variable \"{}\" cannot be both a vertex and an edge",
                    name.text
                ),
                "Use another name.",
            );
        }
        if self.groups[known] != group {
            return refuse(
                format!(
                    "variable \"{}\" stands inside and outside of a quantifier",
                    name.text
                ),
                "Inside it is a list of elements. Use another name.",
            );
        }
        if known >= self.inner {
            self.pattern.variables[known]
                .types
                .retain(|id| types.contains(id));
        }
        Ok(known)
    }

    fn new_variable(
        &mut self,
        name: Option<String>,
        is_edge: bool,
        types: Vec<TypeId>,
        group: Option<usize>,
    ) -> usize {
        self.pattern.variables.push(pattern::Variable {
            name,
            is_edge,
            types,
            is_group: group.is_some(),
        });
        self.groups.push(group);
        self.pattern.variables.len() - 1
    }

    fn anonymous_vertex(&mut self) -> pattern::Part {
        let types = LabelExpression::Any.types(&self.schema, false);
        let variable = self.new_variable(None, false, types.clone(), None);
        pattern::Part::Vertex(pattern::VertexPattern {
            variable,
            types,
            conditions: Vec::new(),
        })
    }
}

fn ignore_walks(path: &mut pattern::PathPattern, variables: &[pattern::Variable]) {
    if path.selector != Selector::All || path.mode != Mode::Walk {
        return;
    }
    for part in &mut path.parts {
        if let Some(reach) = as_reach(part, variables) {
            *part = pattern::Part::Reach(reach);
        }
    }
}

/// The part as what it leads to, if nothing else of it can be seen.
fn as_reach(part: &pattern::Part, variables: &[pattern::Variable]) -> Option<pattern::Reach> {
    let (edge, min, max) = match part {
        pattern::Part::Edge(edge) => (edge, 1, Some(1)),
        pattern::Part::Group(group) => match group.parts.as_slice() {
            [pattern::Part::Edge(edge)] if group.conditions.is_empty() => {
                (edge, group.min, group.max)
            }
            _ => return None,
        },
        _ => return None,
    };
    let is_bare = variables[edge.variable].name.is_none()
        && edge.conditions.is_empty()
        && edge.cost.is_none();
    (is_bare && (max.is_some() || min <= 1)).then(|| pattern::Reach {
        types: edge.types.clone(),
        direction: edge.direction,
        min,
        max,
        by: ReachBy::Walk,
    })
}

fn repeated(
    parts: Vec<pattern::Part>,
    conditions: Vec<usize>,
    quantifier: Quantifier,
) -> pattern::Part {
    pattern::Part::Group(pattern::Group {
        parts,
        min: quantifier.min,
        max: quantifier.max,
        conditions,
    })
}
