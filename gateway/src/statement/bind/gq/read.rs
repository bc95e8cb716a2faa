//! What a query matches and returns.

use std::collections::BTreeSet;
use std::rc::Rc;

use omnigraph_engine::pattern::{LabelExpression, Mode, ReachBy, Selector};
use omnigraph_engine::query::{Clause, Expr, Output, Read, Traverse, Variable, VariableId};
use omnigraph_engine::schema::{Schema, TypeId};
use sqlparser::ast;

use super::super::Binder;
use super::super::graph_table::Made;
use super::super::query::QueryRel;
use super::super::scope::Level;
use super::Call;
use super::search;
use super::value::{self, Names, ident, literal};
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::statement::parse;
use crate::statement::parse::graph_table::{
    Element, MATCH, Name, Part, PathPattern, Patterns, Quantifier,
};

impl Binder<'_> {
    pub(in crate::statement::bind) fn gq_read(
        &mut self,
        call: &Call,
        read: &Read,
    ) -> PgResult<QueryRel> {
        let around = std::mem::replace(&mut self.given, call.values.clone());
        self.graphs.push(call.graph.clone());
        self.guard = call.guard.clone();
        let rel = self
            .gq_select(call, read)
            .and_then(|query| self.query(&query, &Rc::new(Level::default()), None));
        self.guard = None;
        self.graphs.pop();
        self.given = around;
        rel
    }

    fn gq_select(&mut self, call: &Call, read: &Read) -> PgResult<ast::Query> {
        let variables = &read.variables;
        let patterns = self.gq_patterns(&call.graph.schema, variables, &read.clauses)?;
        let Some(patterns) = patterns else {
            return Err(PgError::new(
                sqlstate::SYNTAX_ERROR,
                format!("query {}: match binds no node", call.query.name),
            ));
        };
        let ties = ties(read);
        let columns = columns_of(read, &ties)
            .into_iter()
            .map(|(id, column)| ast::SelectItem::ExprWithAlias {
                expr: ast::Expr::CompoundIdentifier(vec![
                    ident(&value::variable_name(variables, id)),
                    ident(&column),
                ]),
                alias: ident(&value::column_name(variables, id, &column)),
            })
            .collect();
        self.made.push(Rc::new(Made { patterns, columns }));
        let ranks = search::ranks(read);
        let names = Names::Columns(variables, &ranks);
        let mut select = parse::template("SELECT 1", &[], 0)?;
        let ast::SetExpr::Select(body) = select.body.as_mut() else {
            return Err(PgError::new(
                sqlstate::INTERNAL_ERROR,
                "a SELECT that is none",
            ));
        };
        let matched = self.made_relation();
        body.from = vec![self.gq_ranked(variables, &ranks, matched)?];
        body.selection = search::ranked(read, &ranks);
        body.distinct = read.distinct.then_some(ast::Distinct::Distinct);
        body.projection = Vec::with_capacity(read.outputs.len());
        for Output { name, value } in &read.outputs {
            body.projection.push(ast::SelectItem::ExprWithAlias {
                expr: self.gq_value(value, names)?,
                alias: ident(name),
            });
        }
        let groups = groups(read).into_iter().cloned().collect::<Vec<_>>();
        let groups = self.gq_values(&groups, names)?;
        body.group_by = ast::GroupByExpr::Expressions(groups, Vec::new());
        let mut order = Vec::new();
        for sort in &read.order {
            // What is the same for all rows orders none.
            if sort.value.has_variable() || sort.value.has_aggregate() {
                let descending = sort.descending || search::is_best_first(&sort.value);
                order.push(ordered(self.gq_value(&sort.value, names)?, descending));
            }
        }
        for tie in &ties {
            order.push(ordered(self.gq_value(tie, names)?, false));
        }
        select.order_by = (!order.is_empty()).then_some(ast::OrderBy {
            kind: ast::OrderByKind::Expressions(order),
            interpolate: None,
        });
        let number = |count: u64| literal(ast::Value::Number(count.to_string(), false));
        if read.limit.is_some() || read.offset.is_some() {
            select.limit_clause = Some(ast::LimitClause::LimitOffset {
                limit: read.limit.map(number),
                offset: read.offset.map(|offset| ast::Offset {
                    value: number(offset),
                    rows: ast::OffsetRows::None,
                }),
                limit_by: Vec::new(),
            });
        }
        Ok(select)
    }

    /// The pattern that was made last, as a relation.
    fn made_relation(&self) -> ast::TableWithJoins {
        let number = self.made.len().saturating_sub(1).to_string();
        let number = literal(ast::Value::Number(number, false));
        ast::TableWithJoins {
            relation: ast::TableFactor::Function {
                lateral: false,
                name: value::object(MATCH),
                args: vec![ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(
                    number,
                ))],
                with_ordinality: false,
                alias: None,
            },
            joins: Vec::new(),
        }
    }

    /// `None` for clauses that are only conditions.
    fn gq_patterns(
        &mut self,
        schema: &Schema,
        variables: &[Variable],
        clauses: &[Clause],
    ) -> PgResult<Option<Patterns>> {
        let mut paths = Vec::new();
        for clause in clauses {
            match clause {
                Clause::Node(id) => paths.push(path(vec![vertex(schema, variables, *id)])),
                Clause::Traverse(traverse) => {
                    paths.push(path(traversal(schema, variables, traverse)));
                }
                Clause::Condition(_) | Clause::Not(_) => {}
            }
        }
        if paths.is_empty() {
            return Ok(None);
        }
        Ok(Some(Patterns {
            different_edges: false,
            paths,
            filter: self.gq_conditions(schema, variables, clauses)?,
        }))
    }

    fn gq_conditions(
        &mut self,
        schema: &Schema,
        variables: &[Variable],
        clauses: &[Clause],
    ) -> PgResult<Option<ast::Expr>> {
        let mut conditions = Vec::new();
        for clause in clauses {
            match clause {
                Clause::Node(_) | Clause::Traverse(_) => {}
                Clause::Condition(condition) => {
                    conditions.push(self.gq_value(condition, Names::Pattern(variables))?);
                }
                Clause::Not(inner) => match self.gq_patterns(schema, variables, inner)? {
                    Some(patterns) => {
                        let made = Made {
                            patterns,
                            columns: Vec::new(),
                        };
                        self.made.push(Rc::new(made));
                        let mut matches = parse::template("SELECT 1", &[], 0)?;
                        if let ast::SetExpr::Select(body) = matches.body.as_mut() {
                            body.from = vec![self.made_relation()];
                        }
                        conditions.push(ast::Expr::Exists {
                            subquery: Box::new(matches),
                            negated: true,
                        });
                    }
                    None => {
                        if let Some(inner) = self.gq_conditions(schema, variables, inner)? {
                            conditions.push(ast::Expr::IsNotTrue(Box::new(inner)));
                        }
                    }
                },
            }
        }
        Ok(value::all(conditions))
    }
}

/// NULLs come first, and last when the greatest do.
fn ordered(expr: ast::Expr, descending: bool) -> ast::OrderByExpr {
    ast::OrderByExpr {
        expr,
        options: ast::OrderByOptions {
            asc: Some(!descending),
            nulls_first: Some(!descending),
        },
        with_fill: None,
    }
}

/// What rows are grouped by, where something is aggregated.
fn groups(read: &Read) -> Vec<&Expr> {
    if !read.has_aggregates() {
        return Vec::new();
    }
    let outputs = read.outputs.iter().map(|output| &output.value);
    outputs
        .filter(|value| value.has_variable() && !value.has_aggregate())
        .collect()
}

/// What rows are ordered by in the end, so that their order is total: the ids of what they
/// are matches of, or else all that is known of them.
fn ties(read: &Read) -> Vec<Expr> {
    if read.order.is_empty() && read.limit.is_none() && read.offset.is_none() {
        return Vec::new();
    }
    if read.has_aggregates() {
        return groups(read).into_iter().cloned().collect();
    }
    if read.distinct {
        let outputs = read.outputs.iter().map(|output| &output.value);
        return outputs
            .filter(|value| value.has_variable())
            .cloned()
            .collect();
    }
    let outer = read.variables.iter().enumerate();
    outer
        .filter(|(_, variable)| !variable.is_inner)
        .map(|(id, _)| Expr::Property(id, "id".to_owned()))
        .collect()
}

/// The properties that are asked of the pattern.
fn columns_of(read: &Read, ties: &[Expr]) -> BTreeSet<(VariableId, String)> {
    let mut columns = BTreeSet::new();
    let outputs = read.outputs.iter().map(|output| &output.value);
    let sorts = read.order.iter().map(|sort| &sort.value);
    for expr in outputs.chain(sorts).chain(ties) {
        expr.walk(&mut |expr| match expr {
            Expr::Element(id) => {
                columns.insert((*id, "id".to_owned()));
            }
            Expr::Property(id, column) => {
                columns.insert((*id, column.clone()));
            }
            // Scores are looked up by the node.
            Expr::Search { arguments, .. } => {
                if let Some(Expr::Property(id, _)) = arguments.first() {
                    columns.insert((*id, "id".to_owned()));
                }
            }
            _ => {}
        });
    }
    // Even a query that looks at nothing has as many rows as there are matches.
    if columns.is_empty()
        && let Some(id) = read
            .variables
            .iter()
            .position(|variable| !variable.is_inner)
    {
        columns.insert((id, "id".to_owned()));
    }
    columns
}

fn path(parts: Vec<Part>) -> PathPattern {
    PathPattern {
        variable: None,
        selector: Selector::All,
        mode: Mode::Walk,
        parts,
        at: None,
    }
}

fn vertex(schema: &Schema, variables: &[Variable], id: VariableId) -> Part {
    Part::Vertex(element(schema, variables, id))
}

fn element(schema: &Schema, variables: &[Variable], id: VariableId) -> Element {
    let types = variables.get(id).map(|variable| variable.types.as_slice());
    Element {
        variable: Some(Name {
            text: value::variable_name(variables, id),
            at: None,
        }),
        label: Some(label(schema, types.unwrap_or_default())),
        filter: None,
        properties: Vec::new(),
        cost: None,
        at: None,
    }
}

/// Any of some types.
fn label(schema: &Schema, types: &[TypeId]) -> LabelExpression {
    let names = types
        .iter()
        .filter_map(|id| Some(LabelExpression::Name(schema.by_id(*id)?.table.clone())));
    let either = |left, right| LabelExpression::Or(Box::new(left), Box::new(right));
    names
        .reduce(either)
        .unwrap_or_else(|| LabelExpression::Not(Box::new(LabelExpression::Any)))
}

fn traversal(schema: &Schema, variables: &[Variable], traverse: &Traverse) -> Vec<Part> {
    let middle = match traverse.edge {
        Some(edge) => Part::Edge {
            element: element(schema, variables, edge),
            direction: traverse.direction,
            quantifier: None,
        },
        None => Part::Reach {
            label: label(schema, &[traverse.ty]),
            direction: traverse.direction,
            quantifier: Quantifier {
                min: traverse.min,
                max: traverse.max,
            },
            // One hop leads back to where it began, if an edge does; several go on from each
            // node once, and that is where they began.
            by: match (traverse.min, traverse.max) {
                (1, Some(1)) => ReachBy::Walk,
                _ => ReachBy::Distance,
            },
        },
    };
    vec![
        vertex(schema, variables, traverse.from),
        middle,
        vertex(schema, variables, traverse.to),
    ]
}
