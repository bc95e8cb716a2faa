//! Syntax → queries in which every name is resolved against the schema.

use std::collections::HashMap;

use super::error::{Kind, Mistakes, QueryErrors};
use super::expression::{Checked, Place};
use super::parse::parse;
use super::syntax::{
    BodySyntax, ChangeSyntax, ClauseSyntax, ExprKind, ExprSyntax, FieldSyntax, Operator,
    QuerySyntax, ReadSyntax, TraverseSyntax,
};
use super::{
    Body, Change, Clause, Direction, Expr, Output, Parameter, Query, Read, Search, Sort, Traverse,
    Variable, VariableId,
};
use crate::schema::{PropertyType, Scalar, Schema, Span, Spanned, TypeDef, TypeId};

/// The name that stands for any node.
const ANY: &str = "_";
/// Names that a hint lists.
const LISTED: usize = 20;

/// All queries of a source, checked against a schema.
pub fn check(source: &str, schema: &Schema) -> Result<Vec<Query>, QueryErrors> {
    let mut mistakes = Mistakes::new(source);
    let syntax = parse(source, &mut mistakes);
    // Queries that could not be read would make others look wrong.
    mistakes.finish()?;
    let mut queries: Vec<Query> = Vec::with_capacity(syntax.len());
    for query in &syntax {
        mistakes.of_query(&query.name.value);
        if queries.iter().any(|known| known.name == query.name.value) {
            mistakes.push(Kind::Meaning, query.name.span, "it is declared twice");
        }
        let checked = Checker::new(schema, &mut mistakes).query(query);
        queries.push(checked);
    }
    mistakes.finish()?;
    Ok(queries)
}

/// One query of a source, checked against a schema; the others only have to be readable.
/// `None`: there is none of that name.
pub fn check_one(source: &str, name: &str, schema: &Schema) -> Result<Option<Query>, QueryErrors> {
    let mut mistakes = Mistakes::new(source);
    let syntax = parse(source, &mut mistakes);
    mistakes.finish()?;
    let Some(query) = syntax.iter().find(|query| query.name.value == name) else {
        return Ok(None);
    };
    mistakes.of_query(name);
    let checked = Checker::new(schema, &mut mistakes).query(query);
    mistakes.finish()?;
    Ok(Some(checked))
}

pub(super) struct Checker<'c, 's> {
    pub(super) schema: &'c Schema,
    pub(super) mistakes: &'c mut Mistakes<'s>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) variables: Vec<Draft>,
    /// What names mean, the innermost block last.
    scopes: Vec<HashMap<String, VariableId>>,
    /// What `return` gives, for `order`.
    pub(super) outputs: Vec<(String, Checked)>,
    /// The type whose rows a change chooses among.
    row: Option<TypeId>,
}

/// A variable whose types are not all known yet.
pub(super) struct Draft {
    name: Option<String>,
    pub(super) is_edge: bool,
    pub(super) types: Option<Vec<TypeId>>,
    is_inner: bool,
}

impl<'c, 's> Checker<'c, 's> {
    fn new(schema: &'c Schema, mistakes: &'c mut Mistakes<'s>) -> Self {
        Checker {
            schema,
            mistakes,
            parameters: Vec::new(),
            variables: Vec::new(),
            scopes: Vec::new(),
            outputs: Vec::new(),
            row: None,
        }
    }

    fn query(mut self, syntax: &QuerySyntax) -> Query {
        for parameter in &syntax.parameters {
            let name = &parameter.name;
            if self.parameters.iter().any(|known| known.name == name.value) {
                let message = format!("the parameter ${} is declared twice", name.value);
                self.mistakes.push(Kind::Meaning, name.span, message);
            }
            // A type that there is not was reported.
            let ty = parameter.ty.clone();
            self.parameters.push(Parameter {
                name: name.value.clone(),
                ty: ty.unwrap_or(PropertyType::Scalar(Scalar::String)),
                nullable: parameter.nullable,
            });
        }
        let (mut description, mut instruction) = (None, None);
        for (name, text) in &syntax.annotations {
            match name.value.as_str() {
                "description" => description = Some(text.clone()),
                "instruction" => instruction = Some(text.clone()),
                other => {
                    let message = format!("queries have no annotation @{other}");
                    let hint = "There are @description and @instruction.";
                    self.mistakes
                        .push_hint(Kind::Syntax, name.span, message, hint);
                }
            }
        }
        let body = match &syntax.body {
            BodySyntax::Read(read) => Body::Read(self.read(read, syntax.name.span)),
            BodySyntax::Changes(changes) => Body::Changes(self.changes(changes)),
        };
        Query {
            name: syntax.name.value.clone(),
            description,
            instruction,
            parameters: self.parameters,
            body,
        }
    }

    fn read(&mut self, syntax: &ReadSyntax, query: Span) -> Read {
        let clauses = self.block(&syntax.clauses);
        let mut outputs = Vec::with_capacity(syntax.outputs.len());
        for output in &syntax.outputs {
            let value = self.expression(&output.value, Place::Return);
            let name = match &output.alias {
                Some(alias) => alias.value.clone(),
                None => column_name(&output.value),
            };
            if let Some(alias) = &output.alias
                && self.outputs.iter().any(|(known, _)| *known == alias.value)
            {
                let message = format!("two outputs are called {}", alias.value);
                self.mistakes.push(Kind::Meaning, alias.span, message);
            }
            self.outputs.push((name.clone(), value.clone()));
            outputs.push(Output {
                name,
                value: value.expr,
            });
        }
        if syntax.outputs.is_empty() {
            self.mistakes
                .push(Kind::Meaning, query, "its return gives nothing");
        }
        let mut order = Vec::with_capacity(syntax.order.len());
        for (value, descending) in &syntax.order {
            let checked = self.expression(value, Place::Order);
            order.push((
                Sort {
                    value: checked.expr,
                    descending: *descending,
                },
                value.span,
            ));
        }
        self.check_order(&outputs, &order, syntax);
        let variables = self
            .variables
            .iter()
            .map(|draft| Variable {
                name: draft.name.clone(),
                is_edge: draft.is_edge,
                types: draft.types.clone().unwrap_or_default(),
                is_inner: draft.is_inner,
            })
            .collect();
        Read {
            variables,
            clauses,
            distinct: syntax.distinct,
            outputs,
            order: order.into_iter().map(|(sort, _)| sort).collect(),
            limit: syntax.limit.as_ref().map(|limit| limit.value),
            offset: syntax.offset.as_ref().map(|offset| offset.value),
        }
    }

    fn check_order(&mut self, outputs: &[Output], order: &[(Sort, Span)], syntax: &ReadSyntax) {
        let grouped = outputs.iter().any(|output| output.value.has_aggregate())
            || order.iter().any(|(sort, _)| sort.value.has_aggregate());
        for (sort, span) in order {
            let is_output = outputs.iter().any(|output| output.value == sort.value);
            let is_bare = !sort.value.has_aggregate() && sort.value.has_variable();
            if (grouped || syntax.distinct) && is_bare && !is_output {
                let what = if grouped {
                    "aggregates"
                } else {
                    "distinct rows"
                };
                let message = format!("with {what}, rows are ordered by what return gives");
                self.mistakes.push(Kind::Meaning, *span, message);
            }
            let mut nearest = false;
            sort.value.walk(&mut |expr| {
                nearest |= matches!(
                    expr,
                    Expr::Search {
                        function: Search::Nearest,
                        ..
                    }
                );
            });
            if nearest && syntax.limit.is_none() {
                let message = "an order by nearest() needs a limit";
                self.mistakes.push(Kind::Meaning, *span, message);
            }
        }
    }

    /// The clauses of `match` or of one `not`. Names are known before any condition is read:
    /// the order of clauses means nothing.
    fn block(&mut self, clauses: &[ClauseSyntax]) -> Vec<Clause> {
        self.scopes.push(HashMap::new());
        let first = self.variables.len();
        let mut checked = Vec::with_capacity(clauses.len());
        for clause in clauses {
            match clause {
                ClauseSyntax::Bind { variable, ty, .. } => {
                    let types = self.node_types(ty);
                    if let Some(node) = self.node(variable, types, first) {
                        checked.push(Clause::Node(node));
                    }
                }
                ClauseSyntax::Traverse(traverse) if !self.is_condition(traverse) => {
                    checked.extend(self.traverse(traverse, first).map(Clause::Traverse));
                }
                ClauseSyntax::Traverse(_) | ClauseSyntax::Condition(_) | ClauseSyntax::Not(_) => {}
            }
        }
        for clause in clauses {
            match clause {
                ClauseSyntax::Bind {
                    variable, fields, ..
                } => {
                    for field in fields {
                        let condition = field_condition(variable, field);
                        let condition = self.condition(&condition, Place::Condition);
                        checked.push(Clause::Condition(condition));
                    }
                }
                ClauseSyntax::Traverse(traverse) if self.is_condition(traverse) => {
                    let condition = as_condition(traverse);
                    let condition = self.condition(&condition, Place::Condition);
                    checked.push(Clause::Condition(condition));
                }
                ClauseSyntax::Traverse(_) => {}
                ClauseSyntax::Condition(condition) => {
                    let condition = self.condition(condition, Place::Condition);
                    checked.push(Clause::Condition(condition));
                }
                ClauseSyntax::Not(clauses) => {
                    let inner = self.block(clauses);
                    checked.push(Clause::Not(inner));
                }
            }
        }
        // What `match` binds stays known to `return`.
        if self.scopes.len() > 1 {
            self.scopes.pop();
        }
        checked
    }

    pub(super) fn find(&self, name: &str) -> Option<VariableId> {
        let mut scopes = self.scopes.iter().rev();
        scopes.find_map(|scope| scope.get(name).copied())
    }

    /// `$list contains $value` has the form of a traversal.
    fn is_condition(&self, traverse: &TraverseSyntax) -> bool {
        let is_operator = Operator::read(&traverse.edge.value).is_some();
        let of_parameter = self
            .parameters
            .iter()
            .any(|parameter| parameter.name == traverse.from.value);
        is_operator
            && !traverse.undirected
            && (of_parameter || self.edge(&traverse.edge.value).is_none())
    }

    fn edge(&self, name: &str) -> Option<&'c TypeDef> {
        let mut edges = self.schema.edges();
        edges
            .find(|def| def.name.eq_ignore_ascii_case(name))
            .map(|def| &**def)
    }

    fn node_types(&mut self, ty: &Spanned<String>) -> Vec<TypeId> {
        if let Some(def) = self.schema.by_name(&ty.value) {
            if !def.is_edge() {
                return vec![def.id];
            }
            let message = format!("{} is an edge type", ty.value);
            let mut first = ty.value.clone();
            if let Some(letter) = first.get_mut(..1) {
                letter.make_ascii_lowercase();
            }
            let hint = format!("Edges are followed: $a {first} $b.");
            self.mistakes
                .push_hint(Kind::UnknownType, ty.span, message, hint);
            return Vec::new();
        }
        if self.schema.interface(&ty.value).is_some() {
            let types = self.schema.implementers(&ty.value);
            return types.map(|def| def.id).collect();
        }
        let known = self.schema.nodes().map(|def| def.name.as_str());
        let hint = listed("The node types are", known);
        let message = format!("node type {} does not exist", ty.value);
        self.mistakes
            .push_hint(Kind::UnknownType, ty.span, message, hint);
        Vec::new()
    }

    /// The variable as a node of these types, declared if it is new. Those before `first` are
    /// of the blocks around, which this one does not narrow.
    fn node(
        &mut self,
        variable: &Spanned<String>,
        types: Vec<TypeId>,
        first: VariableId,
    ) -> Option<VariableId> {
        if self
            .parameters
            .iter()
            .any(|parameter| parameter.name == variable.value)
        {
            let message = format!("${} is a parameter, not a node", variable.value);
            self.mistakes.push(Kind::Meaning, variable.span, message);
            return None;
        }
        let Some(known) = self.find(&variable.value) else {
            return Some(self.declare(variable, false, Some(types)));
        };
        if self.variables[known].is_edge {
            let message = format!("${} is an edge, not a node", variable.value);
            self.mistakes.push(Kind::Type, variable.span, message);
            return None;
        }
        let before = self.variables[known].types.clone().unwrap_or_default();
        let both: Vec<TypeId> = before
            .iter()
            .copied()
            .filter(|id| types.contains(id))
            .collect();
        if both.is_empty() && !before.is_empty() && !types.is_empty() {
            let message = format!(
                "${} is {} and cannot be {} here",
                variable.value,
                self.names(&before),
                self.names(&types)
            );
            self.mistakes.push(Kind::Type, variable.span, message);
            return None;
        }
        if known >= first {
            self.variables[known].types = Some(both);
        }
        Some(known)
    }

    fn declare(
        &mut self,
        variable: &Spanned<String>,
        is_edge: bool,
        types: Option<Vec<TypeId>>,
    ) -> VariableId {
        let is_any = variable.value == ANY;
        self.variables.push(Draft {
            name: (!is_any).then(|| variable.value.clone()),
            is_edge,
            types,
            is_inner: self.scopes.len() > 1,
        });
        let id = self.variables.len() - 1;
        if let (false, Some(scope)) = (is_any, self.scopes.last_mut()) {
            scope.insert(variable.value.clone(), id);
        }
        id
    }

    fn traverse(&mut self, traverse: &TraverseSyntax, first: VariableId) -> Option<Traverse> {
        let Some(def) = self.edge(&traverse.edge.value) else {
            let known = self.schema.edges().map(|def| def.name.as_str());
            let hint = listed("The edge types are", known);
            let message = format!("edge type {} does not exist", traverse.edge.value);
            self.mistakes
                .push_hint(Kind::UnknownType, traverse.edge.span, message, hint);
            // Its ends are bound all the same: one mistake is enough.
            for end in [&traverse.from, &traverse.to] {
                if self.find(&end.value).is_none() {
                    self.declare(end, false, Some(Vec::new()));
                }
            }
            return None;
        };
        let (source, target) = def.endpoints()?;
        let from = self.node(&traverse.from, vec![source], first);
        let to = self.node(&traverse.to, vec![target], first);
        if traverse.undirected && source != target {
            let message = format!(
                "<{}> has no direction, but {} leads from {} to {}",
                traverse.edge.value,
                def.name,
                self.names(&[source]),
                self.names(&[target])
            );
            self.mistakes.push(Kind::Type, traverse.edge.span, message);
        }
        let (min, max) = traverse
            .hops
            .as_ref()
            .map_or((1, Some(1)), |hops| hops.value);
        if let Some(hops) = &traverse.hops {
            if max.is_some_and(|max| max < min) || max == Some(0) {
                let message = "the greatest number of hops is at least 1, and not below the least";
                self.mistakes.push(Kind::Meaning, hops.span, message);
            }
            if source != target && max != Some(1) {
                let message = format!(
                    "{} leads from {} to {}: it cannot be followed twice",
                    def.name,
                    self.names(&[source]),
                    self.names(&[target])
                );
                self.mistakes.push(Kind::Type, hops.span, message);
            }
        }
        let edge = match &traverse.variable {
            None => None,
            Some(variable) => {
                if (min, max) != (1, Some(1)) {
                    let message = format!("${} is one edge: it cannot have hops", variable.value);
                    self.mistakes.push(Kind::Meaning, variable.span, message);
                }
                if variable.value != ANY && self.find(&variable.value).is_some() {
                    let message = format!("${} is bound already", variable.value);
                    self.mistakes.push(Kind::Meaning, variable.span, message);
                    return None;
                }
                Some(self.declare(variable, true, Some(vec![def.id])))
            }
        };
        Some(Traverse {
            from: from?,
            to: to?,
            edge,
            ty: def.id,
            direction: match traverse.undirected {
                true => Direction::Both,
                false => Direction::Out,
            },
            min,
            max,
        })
    }

    pub(super) fn shown_types(&self, variable: VariableId) -> String {
        self.names(
            self.variables[variable]
                .types
                .as_deref()
                .unwrap_or_default(),
        )
    }

    fn names(&self, types: &[TypeId]) -> String {
        let names = types
            .iter()
            .filter_map(|id| Some(self.schema.by_id(*id)?.name.as_str()));
        names.collect::<Vec<_>>().join(" or ")
    }

    fn changes(&mut self, changes: &[ChangeSyntax]) -> Vec<Change> {
        let deletes = |change: &ChangeSyntax| matches!(change, ChangeSyntax::Delete { .. });
        if let Some(first) = changes.iter().find(|change| deletes(change))
            && !changes.iter().all(deletes)
        {
            let ChangeSyntax::Delete { ty, .. } = first else {
                return Vec::new();
            };
            let message = "a query that deletes cannot insert or update";
            let hint = "Make two queries of it.";
            self.mistakes
                .push_hint(Kind::Meaning, ty.span, message, hint);
        }
        changes
            .iter()
            .filter_map(|change| self.change(change))
            .collect()
    }

    fn change(&mut self, change: &ChangeSyntax) -> Option<Change> {
        let (ChangeSyntax::Insert { ty, .. }
        | ChangeSyntax::Update { ty, .. }
        | ChangeSyntax::Delete { ty, .. }) = change;
        let Some(def) = self.schema.by_name(&ty.value) else {
            let known = self.schema.types.iter().map(|def| def.name.as_str());
            let hint = listed("The types are", known);
            let message = format!("type {} does not exist", ty.value);
            self.mistakes
                .push_hint(Kind::UnknownType, ty.span, message, hint);
            return None;
        };
        self.row = Some(def.id);
        let ty_span = ty.span;
        let ty = def.id;
        Some(match change {
            ChangeSyntax::Insert { fields, .. } => {
                let values = self.values(def, fields, true);
                for (name, column) in required(def) {
                    if !values.iter().any(|(given, _)| *given == column) {
                        let message = format!("insert of {} needs \"{name}\"", def.name);
                        self.mistakes.push(Kind::Missing, ty_span, message);
                    }
                }
                Change::Insert { ty, values }
            }
            ChangeSyntax::Update {
                fields, condition, ..
            } => {
                let values = self.values(def, fields, false);
                let condition = self.condition(condition, Place::Where);
                Change::Update {
                    ty,
                    values,
                    condition,
                }
            }
            ChangeSyntax::Delete { condition, .. } => Change::Delete {
                ty,
                condition: self.condition(condition, Place::Where),
            },
        })
    }

    fn values(
        &mut self,
        def: &TypeDef,
        fields: &[FieldSyntax],
        inserts: bool,
    ) -> Vec<(String, Expr)> {
        let mut values: Vec<(String, Expr)> = Vec::with_capacity(fields.len());
        for field in fields {
            let name = &field.name;
            let (column, value) = match (row_column(def, &name.value), def.property(&name.value)) {
                (_, Some((at, property))) => {
                    if !inserts && def.key.contains(&at) {
                        let message = format!(
                            "\"{}\" is of the key of {}, which does not change",
                            name.value, def.name
                        );
                        self.mistakes.push(Kind::Meaning, name.span, message);
                    }
                    (
                        property.column.clone(),
                        self.assigned(property, &field.value),
                    )
                }
                (Some(column), None) if inserts || column != "id" => {
                    let value = self.expression(&field.value, Place::Value);
                    (column.to_owned(), value.expr)
                }
                _ => {
                    self.no_property(def, &name.value, name.span);
                    continue;
                }
            };
            if values.iter().any(|(given, _)| *given == column) {
                let message = format!("\"{}\" is given twice", name.value);
                self.mistakes.push(Kind::Meaning, name.span, message);
            }
            values.push((column, value));
        }
        values
    }

    /// A word in a change's condition.
    pub(super) fn row_property(&mut self, name: &str, span: Span) -> Checked {
        let Some(def) = self.row.and_then(|id| self.schema.by_id(id)) else {
            return Checked::unknown();
        };
        if let Some((_, property)) = def.property(name) {
            let expr = Expr::Property(0, property.column.clone());
            return Checked::of_type(expr, &property.ty, property.nullable);
        }
        match row_column(def, name) {
            Some(column) => Checked::of_type(
                Expr::Property(0, column.to_owned()),
                &PropertyType::Scalar(Scalar::String),
                false,
            ),
            None => {
                self.no_property(def, name, span);
                Checked::unknown()
            }
        }
    }

    fn no_property(&mut self, def: &TypeDef, name: &str, span: Span) {
        let message = format!("type {} has no property \"{name}\"", def.name);
        let known = def.properties.iter().map(|property| property.name.as_str());
        let hint = listed("Its properties are", known);
        self.mistakes
            .push_hint(Kind::UnknownProperty, span, message, hint);
    }
}

/// The column of a row that is no property.
fn row_column(def: &TypeDef, name: &str) -> Option<&'static str> {
    match name {
        "id" => Some("id"),
        "from" if def.is_edge() => Some("src"),
        "to" if def.is_edge() => Some("dst"),
        _ => None,
    }
}

/// What an insert has to give: the name and the column.
fn required(def: &TypeDef) -> Vec<(&str, &str)> {
    let ends: &[(&str, &str)] = match def.is_edge() {
        true => &[("from", "src"), ("to", "dst")],
        false => &[],
    };
    let properties = def
        .properties
        .iter()
        .filter(|property| !property.nullable && property.default.is_none());
    ends.iter()
        .copied()
        .chain(properties.map(|property| (property.name.as_str(), property.column.as_str())))
        .collect()
}

/// `{name: value}` behind a variable.
fn field_condition(variable: &Spanned<String>, field: &FieldSyntax) -> ExprSyntax {
    let name = ExprSyntax {
        span: field.name.span,
        kind: ExprKind::Property {
            variable: variable.clone(),
            name: field.name.clone(),
        },
    };
    ExprSyntax {
        span: Span {
            start: field.name.span.start,
            end: field.value.span.end,
        },
        kind: ExprKind::Binary(
            Operator::Equal,
            Box::new(name),
            Box::new(field.value.clone()),
        ),
    }
}

fn as_condition(traverse: &TraverseSyntax) -> ExprSyntax {
    let variable = |name: &Spanned<String>| {
        Box::new(ExprSyntax {
            span: name.span,
            kind: ExprKind::Variable(name.value.clone()),
        })
    };
    let operator = Operator::read(&traverse.edge.value).unwrap_or(Operator::Contains);
    ExprSyntax {
        span: Span {
            start: traverse.from.span.start,
            end: traverse.to.span.end,
        },
        kind: ExprKind::Binary(operator, variable(&traverse.from), variable(&traverse.to)),
    }
}

/// What a column without an alias is called.
fn column_name(value: &ExprSyntax) -> String {
    match &value.kind {
        ExprKind::Variable(name) => name.clone(),
        ExprKind::Property { variable, name } => format!("{}.{}", variable.value, name.value),
        ExprKind::Call { function, .. } => function.value.clone(),
        _ => "?column?".to_owned(),
    }
}

fn listed<'n>(what: &str, names: impl Iterator<Item = &'n str>) -> String {
    let mut names: Vec<&str> = names.collect();
    let more = names.len() > LISTED;
    names.truncate(LISTED);
    let tail = if more { ", …" } else { "" };
    format!("{what} {}{tail}.", names.join(", "))
}
