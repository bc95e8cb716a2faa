//! Syntax → a draft: every name resolved, every rule typed, but nothing has an identity yet.
//! The draft becomes a schema in assemble.rs, which knows where identities come from.

use std::collections::HashMap;

use super::error::{Collector, Span};
use super::parse::{AnnotationSyntax, Argument, Declaration, DeclarationKind, Spanned};
use super::properties::{check_columns, own_properties, with_interfaces};
use super::rules;
use super::{Annotation, Cardinality, CheckRule, Interface, Literal, PropertyType};
use crate::names::sql_name;

#[derive(Debug)]
pub(crate) struct Draft {
    pub types: Vec<DraftType>,
    pub interfaces: Vec<Interface>,
}

#[derive(Debug)]
pub(crate) struct DraftType {
    pub name: Spanned<String>,
    pub table: String,
    pub edge: Option<DraftEdge>,
    pub properties: Vec<DraftProperty>,
    pub key: Vec<usize>,
    pub uniques: Vec<DraftTuple>,
    pub checks: Vec<DraftCheck>,
    pub indexes: Vec<DraftIndex>,
    pub interfaces: Vec<String>,
    pub annotations: Vec<Annotation>,
    pub rename_from: Option<Spanned<String>>,
}

#[derive(Debug)]
pub(crate) struct DraftEdge {
    /// Positions in `Draft::types`.
    pub from: usize,
    pub to: usize,
    pub card: Cardinality,
}

#[derive(Debug, Clone)]
pub(crate) struct DraftProperty {
    pub name: Spanned<String>,
    pub column: String,
    pub ty: PropertyType,
    pub type_span: Span,
    pub nullable: bool,
    pub default: Option<Literal>,
    pub annotations: Vec<Annotation>,
    pub rename_from: Option<Spanned<String>>,
    /// `@key`, `@unique`, … written behind the property.
    pub rules: Vec<AnnotationSyntax>,
}

/// What a constraint or an index may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Member {
    Src,
    Dst,
    Property(usize),
}

#[derive(Debug)]
pub(crate) struct DraftTuple {
    pub members: Vec<Member>,
}

#[derive(Debug)]
pub(crate) struct DraftCheck {
    pub property: usize,
    pub rule: CheckRule,
}

#[derive(Debug)]
pub(crate) struct DraftIndex {
    pub members: Vec<Member>,
    pub annotation: Annotation,
}

/// PostgreSQL's limit, less the columns every table has.
const MAX_PROPERTIES: usize = 1_597;
/// As many as have object identifiers of their own.
pub(crate) const MAX_TYPES: usize = 1_023;
pub(crate) fn check(declarations: &[Declaration], errors: &mut Collector<'_>) -> Draft {
    let types: Vec<&Declaration> = declarations
        .iter()
        .filter(|declaration| !matches!(declaration.kind, DeclarationKind::Interface))
        .collect();
    if let Some(extra) = types.get(MAX_TYPES) {
        errors.push(
            extra.name.span,
            format!("a schema has at most {MAX_TYPES} types"),
        );
    }
    check_type_names(declarations, errors);

    let mut interfaces = HashMap::new();
    let mut listed = Vec::new();
    for declaration in declarations {
        if !matches!(declaration.kind, DeclarationKind::Interface) {
            continue;
        }
        for constraint in &declaration.constraints {
            errors.push_hint(
                constraint.span,
                format!("interface \"{}\" cannot have @{}", declaration.name.value, constraint.name),
                "An interface has properties only; write the constraint behind the property or in each node type.",
            );
        }
        let properties = own_properties(declaration, false, errors);
        listed.push(Interface {
            name: declaration.name.value.clone(),
            label: sql_name(&declaration.name.value),
            properties: properties
                .iter()
                .map(|property| property.name.value.clone())
                .collect(),
        });
        interfaces
            .entry(declaration.name.value.as_str())
            .or_insert(properties);
    }

    let positions: HashMap<&str, usize> = types
        .iter()
        .enumerate()
        .map(|(at, declaration)| (declaration.name.value.as_str(), at))
        .collect();
    let drafts = types
        .iter()
        .map(|declaration| draft_type(declaration, &types, &positions, &interfaces, errors))
        .collect();
    Draft {
        types: drafts,
        interfaces: listed,
    }
}

fn kind_name(declaration: &Declaration) -> &'static str {
    match declaration.kind {
        DeclarationKind::Interface => "interface",
        DeclarationKind::Node => "node type",
        DeclarationKind::Edge { .. } => "edge type",
    }
}

fn check_type_names(declarations: &[Declaration], errors: &mut Collector<'_>) {
    let mut names: HashMap<&str, &Declaration> = HashMap::new();
    let mut edges: HashMap<String, &Declaration> = HashMap::new();
    let mut tables: HashMap<String, &Declaration> = HashMap::new();
    for declaration in declarations {
        let name = declaration.name.value.as_str();
        let span = declaration.name.span;
        if too_long(&declaration.name, errors) {
            continue;
        }
        if !name.starts_with(|c: char| c.is_ascii_uppercase()) {
            errors.push_hint(
                span,
                format!("\"{name}\" is not a type name"),
                "Type names begin with an upper-case letter.",
            );
        }
        if let Some(first) = names.get(name) {
            errors.push_hint(
                span,
                format!("{} \"{name}\" is declared twice", kind_name(declaration)),
                format!(
                    "There is already {} {} of this name.",
                    article(kind_name(first)),
                    kind_name(first)
                ),
            );
            continue;
        }
        names.insert(name, declaration);
        if matches!(declaration.kind, DeclarationKind::Edge { .. })
            && let Some(first) = edges.insert(name.to_ascii_lowercase(), declaration)
        {
            errors.push_hint(
                span,
                format!(
                    "edge types \"{}\" and \"{name}\" differ only in case",
                    first.name.value
                ),
                "Edge names are unique ignoring case; rename one of them.",
            );
            continue;
        }
        let table = table_name(declaration, errors);
        if let Some(first) = tables.get(&table) {
            errors.push_hint(
                span,
                format!(
                    "types \"{}\" and \"{name}\" have the same SQL name \"{table}\"",
                    first.name.value
                ),
                "Give one of them another SQL name with @sql(\"…\").",
            );
        } else {
            tables.insert(table, declaration);
        }
    }
}

/// Names of types are part of names in the store, which allow no more than 255 bytes.
const MAX_NAME: usize = 128;

/// Says so if a name of a type or property is longer than it may be.
pub(super) fn too_long(name: &Spanned<String>, errors: &mut Collector<'_>) -> bool {
    let bytes = name.value.len();
    if bytes > MAX_NAME {
        errors.push(
            name.span,
            format!("a name has at most {MAX_NAME} bytes, this one has {bytes}"),
        );
    }
    bytes > MAX_NAME
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

fn table_name(declaration: &Declaration, errors: &mut Collector<'_>) -> String {
    renamed_in_sql(&declaration.annotations, errors)
        .unwrap_or_else(|| sql_name(&declaration.name.value))
}

/// The name given by `@sql("…")`.
pub(super) fn renamed_in_sql(
    annotations: &[AnnotationSyntax],
    errors: &mut Collector<'_>,
) -> Option<String> {
    let annotation = annotations
        .iter()
        .find(|annotation| annotation.name == "sql")?;
    let name = single_text(annotation, errors)?;
    if name.is_empty() || name.len() > 63 || name.chars().any(char::is_control) {
        errors.push(
            annotation.span,
            "an SQL name has 1 to 63 bytes and no control characters",
        );
        return None;
    }
    Some(name)
}

/// The one string an annotation takes.
pub(super) fn single_text(
    annotation: &AnnotationSyntax,
    errors: &mut Collector<'_>,
) -> Option<String> {
    if let [only] = annotation.arguments()
        && let Argument::Value(literal) = &only.value
        && let Some(text) = literal.as_text()
    {
        return Some(text.to_owned());
    }
    errors.push(
        annotation.span,
        format!(
            "@{} takes one string: @{}(\"…\")",
            annotation.name, annotation.name
        ),
    );
    None
}

fn draft_type(
    declaration: &Declaration,
    types: &[&Declaration],
    positions: &HashMap<&str, usize>,
    interfaces: &HashMap<&str, Vec<DraftProperty>>,
    errors: &mut Collector<'_>,
) -> DraftType {
    let is_edge = matches!(declaration.kind, DeclarationKind::Edge { .. });
    let own = own_properties(declaration, is_edge, errors);
    let properties = with_interfaces(declaration, own, interfaces, errors);
    if let Some(extra) = properties.get(MAX_PROPERTIES) {
        errors.push(
            extra.name.span,
            format!("a type has at most {MAX_PROPERTIES} properties"),
        );
    }
    check_columns(is_edge, &properties, errors);

    let mut endpoint = |name: &Spanned<String>| match positions.get(name.value.as_str()) {
        Some(&at) if matches!(types[at].kind, DeclarationKind::Node) => at,
        Some(_) => {
            errors.push(
                name.span,
                format!("\"{}\" is an edge type; edges connect nodes", name.value),
            );
            0
        }
        None => {
            let hint = if interfaces.contains_key(name.value.as_str()) {
                "An edge connects node types, not interfaces.".to_owned()
            } else {
                known_nodes(types)
            };
            errors.push_hint(
                name.span,
                format!("node type \"{}\" does not exist", name.value),
                hint,
            );
            0
        }
    };
    let edge = match &declaration.kind {
        DeclarationKind::Edge { from, to } => {
            let (from, to) = (endpoint(from), endpoint(to));
            Some(DraftEdge {
                from,
                to,
                card: cardinality(declaration, errors),
            })
        }
        _ => {
            for constraint in declaration.constraints.iter().filter(|c| c.name == "card") {
                errors.push(constraint.span, "only edge types have @card");
            }
            None
        }
    };

    let mut rename_from = None;
    let mut annotations = Vec::new();
    let mut type_rules = Vec::new();
    for annotation in &declaration.annotations {
        match annotation.name.as_str() {
            "sql" => {}
            "rename_from" => {
                rename_from = single_text(annotation, errors).map(|value| Spanned {
                    value,
                    span: annotation.span,
                });
            }
            "key" | "unique" | "index" | "range" | "check" => type_rules.push(annotation.clone()),
            _ => annotations.push(plain_annotation(annotation)),
        }
    }
    type_rules.extend(
        declaration
            .constraints
            .iter()
            .filter(|c| c.name != "card")
            .cloned(),
    );

    let mut draft = DraftType {
        name: declaration.name.clone(),
        table: renamed_in_sql(&declaration.annotations, errors)
            .unwrap_or_else(|| sql_name(&declaration.name.value)),
        edge,
        properties,
        key: Vec::new(),
        uniques: Vec::new(),
        checks: Vec::new(),
        indexes: Vec::new(),
        interfaces: declaration
            .implements
            .iter()
            .map(|name| name.value.clone())
            .collect(),
        annotations,
        rename_from,
    };
    rules::resolve(&mut draft, &type_rules, errors);
    draft
}

fn known_nodes(types: &[&Declaration]) -> String {
    let nodes: Vec<&str> = types
        .iter()
        .filter(|declaration| matches!(declaration.kind, DeclarationKind::Node))
        .map(|declaration| declaration.name.value.as_str())
        .collect();
    listing("The node types are", &nodes)
}

/// `The … are a, b, c`, cut where it gets long.
pub(crate) fn listing(begin: &str, names: &[&str]) -> String {
    const SHOWN: usize = 12;
    match names {
        [] => "There are none.".to_owned(),
        names if names.len() > SHOWN => {
            format!(
                "{begin} {} and {} more.",
                names[..SHOWN].join(", "),
                names.len() - SHOWN
            )
        }
        names => format!("{begin} {}.", names.join(", ")),
    }
}

fn cardinality(declaration: &Declaration, errors: &mut Collector<'_>) -> Cardinality {
    let mut card = None;
    for annotation in declaration.constraints.iter().filter(|c| c.name == "card") {
        if card.is_some() {
            errors.push(annotation.span, "@card is given twice");
            continue;
        }
        let bounds = match annotation.arguments() {
            [
                Spanned {
                    value: Argument::Range { min, max },
                    ..
                },
            ] => {
                let min = min
                    .as_deref()
                    .map_or(Some(0), |text| text.parse::<u64>().ok());
                let max = match max {
                    None => Some(None),
                    Some(text) => text.parse::<u64>().ok().map(Some),
                };
                min.zip(max)
            }
            _ => None,
        };
        match bounds {
            Some((min, max)) if max.is_none_or(|max| max >= min.max(1)) => {
                card = Some(Cardinality { min, max })
            }
            Some(_) => errors.push(
                annotation.span,
                "the maximum of @card must be at least 1 and not below the minimum",
            ),
            None => errors.push_hint(
                annotation.span,
                "@card takes a range of whole numbers",
                "Write @card(0..1), @card(1..) or @card(1..5).",
            ),
        }
    }
    card.unwrap_or(Cardinality { min: 0, max: None })
}

/// An annotation that only describes.
pub(crate) fn plain_annotation(syntax: &AnnotationSyntax) -> Annotation {
    let mut annotation = Annotation {
        name: syntax.name.clone(),
        args: Vec::new(),
        named: Vec::new(),
    };
    for argument in syntax.arguments() {
        match &argument.value {
            Argument::Value(literal) => annotation.args.push(literal.clone()),
            Argument::Endpoint(name) => annotation.args.push(Literal::Ident(name.clone())),
            Argument::Named(name, literal) => {
                annotation.named.push((name.clone(), literal.clone()))
            }
            Argument::Range { min, max } => annotation.args.push(Literal::Ident(format!(
                "{}..{}",
                min.as_deref().unwrap_or(""),
                max.as_deref().unwrap_or("")
            ))),
        }
    }
    annotation
}
