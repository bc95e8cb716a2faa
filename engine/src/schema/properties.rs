//! The properties of one declaration: their types, names and defaults, and what interfaces add.

use std::collections::HashMap;

use super::check::{
    DraftProperty, listing, plain_annotation, renamed_in_sql, single_text, too_long,
};
use super::error::{Collector, Span};
use super::literal::literal_value;
use super::parse::{Argument, Declaration, PropertySyntax, Spanned, TypeSyntax};
use super::{Literal, PropertyType, Scalar, columns};
use crate::names::sql_name;

/// The largest vector the wire's vector type holds.
const MAX_DIMENSION: u32 = 16_000;

/// The properties written in a declaration itself.
pub(super) fn own_properties(
    declaration: &Declaration,
    is_edge: bool,
    errors: &mut Collector<'_>,
) -> Vec<DraftProperty> {
    let mut properties: Vec<DraftProperty> = Vec::with_capacity(declaration.properties.len());
    let mut seen: HashMap<&str, ()> = HashMap::new();
    for syntax in &declaration.properties {
        let name = syntax.name.value.as_str();
        if too_long(&syntax.name, errors) {
            continue;
        }
        if seen.insert(name, ()).is_some() {
            errors.push(
                syntax.name.span,
                format!(
                    "property \"{name}\" of \"{}\" is declared twice",
                    declaration.name.value
                ),
            );
            continue;
        }
        if name.starts_with(|c: char| c.is_ascii_uppercase()) {
            errors.push_hint(
                syntax.name.span,
                format!("\"{name}\" is not a property name"),
                "Property names begin with a lower-case letter or \"_\".",
            );
        }
        if name == "id" {
            reserved(syntax.name.span, name, is_edge, errors);
        }
        if let Some(property) = property(syntax, errors) {
            properties.push(property);
        }
    }
    properties
}

fn reserved(span: Span, name: &str, is_edge: bool, errors: &mut Collector<'_>) {
    let own = if is_edge {
        "\"id\", \"src\" and \"dst\""
    } else {
        "\"id\""
    };
    errors.push_hint(
        span,
        format!("\"{name}\" is a reserved property name"),
        format!("Every {} table has {own}, and names beginning with \"_row\" are the system's; choose another name.", if is_edge { "edge" } else { "node" }),
    );
}

fn property(syntax: &PropertySyntax, errors: &mut Collector<'_>) -> Option<DraftProperty> {
    let ty = property_type(&syntax.ty, errors);
    let column =
        renamed_in_sql(&syntax.annotations, errors).unwrap_or_else(|| sql_name(&syntax.name.value));
    let mut default = None;
    let mut rename_from = None;
    let mut annotations = Vec::new();
    let mut rules = Vec::new();
    for annotation in &syntax.annotations {
        match annotation.name.as_str() {
            "sql" => {}
            "rename_from" => {
                rename_from = single_text(annotation, errors).map(|value| Spanned {
                    value,
                    span: annotation.span,
                });
            }
            "default" => match annotation.arguments() {
                [
                    Spanned {
                        value: Argument::Value(literal),
                        ..
                    },
                ] => {
                    if let Some(ty) = &ty {
                        check_default(syntax, ty, literal, annotation.span, errors);
                    }
                    default = Some(literal.clone());
                }
                _ => errors.push(
                    annotation.span,
                    "@default takes one literal: @default(0), @default(\"…\")",
                ),
            },
            "key" | "unique" | "index" | "range" | "check" => rules.push(annotation.clone()),
            _ => annotations.push(plain_annotation(annotation)),
        }
    }
    Some(DraftProperty {
        name: syntax.name.clone(),
        column,
        ty: ty?,
        type_span: syntax.ty.span,
        nullable: syntax.nullable,
        default,
        annotations,
        rename_from,
        rules,
    })
}

fn check_default(
    syntax: &PropertySyntax,
    ty: &PropertyType,
    literal: &Literal,
    span: Span,
    errors: &mut Collector<'_>,
) {
    let name = &syntax.name.value;
    if *literal == Literal::Null {
        if !syntax.nullable {
            errors.push(
                span,
                format!("the default of property \"{name}\" is null, but the property is required"),
            );
        }
    } else if let Err(reason) = literal_value(ty, literal) {
        errors.push(span, format!("the default of property \"{name}\" {reason}"));
    }
}

fn property_type(syntax: &Spanned<TypeSyntax>, errors: &mut Collector<'_>) -> Option<PropertyType> {
    let mut scalar = |name: &str| {
        let found = Scalar::from_name(name);
        if found.is_none() {
            let what = format!("type \"{name}\" does not exist");
            let same = Scalar::from_name(match name.to_ascii_lowercase().as_str() {
                "string" | "text" | "str" => "String",
                "blob" | "bytes" => "Blob",
                "bool" | "boolean" => "Bool",
                "i32" | "int" | "int32" | "integer" => "I32",
                "i64" | "long" | "int64" | "bigint" => "I64",
                "u32" | "uint32" => "U32",
                "u64" | "uint64" => "U64",
                "f32" | "float" | "float32" | "real" => "F32",
                "f64" | "double" | "float64" => "F64",
                "date" => "Date",
                "datetime" | "timestamp" => "DateTime",
                _ => "",
            });
            let hint = match same {
                Some(scalar) => format!("Did you mean {}?", scalar.name()),
                None => format!("The types are {}.", columns::TYPE_NAMES),
            };
            errors.push_hint(syntax.span, what, hint);
        }
        found
    };
    match &syntax.value {
        TypeSyntax::Name(name) => scalar(name).map(PropertyType::Scalar),
        TypeSyntax::List(name) => scalar(name).map(PropertyType::List),
        TypeSyntax::Vector(text) => match text.parse::<u32>() {
            Ok(n) if (1..=MAX_DIMENSION).contains(&n) => Some(PropertyType::Vector(n)),
            _ => {
                errors.push(
                    syntax.span,
                    format!("a vector has 1 to {MAX_DIMENSION} dimensions, not {text}"),
                );
                None
            }
        },
        TypeSyntax::Enum(words) => {
            let mut list: Vec<String> = Vec::with_capacity(words.len());
            for word in words {
                if list.contains(&word.value) {
                    errors.push(word.span, format!("the enum has \"{}\" twice", word.value));
                } else {
                    list.push(word.value.clone());
                }
            }
            Some(PropertyType::Enum(list))
        }
    }
}

/// The properties of the interfaces, in their order, then the type's own. What is declared in
/// both must agree.
pub(super) fn with_interfaces(
    declaration: &Declaration,
    own: Vec<DraftProperty>,
    interfaces: &HashMap<&str, Vec<DraftProperty>>,
    errors: &mut Collector<'_>,
) -> Vec<DraftProperty> {
    let mut merged: Vec<DraftProperty> = Vec::with_capacity(own.len());
    for name in &declaration.implements {
        let Some(properties) = interfaces.get(name.value.as_str()) else {
            let mut known: Vec<&str> = interfaces.keys().copied().collect();
            known.sort_unstable();
            errors.push_hint(
                name.span,
                format!("interface \"{}\" does not exist", name.value),
                listing("The interfaces are", &known),
            );
            continue;
        };
        for property in properties {
            match merged.iter().find(|other| other.name.value == property.name.value) {
                None => merged.push(property.clone()),
                Some(other) if agrees(other, property) => {}
                Some(other) => errors.push(
                    name.span,
                    format!(
                        "interface \"{}\" declares property \"{}\" as {}, another interface of \"{}\" as {}",
                        name.value,
                        property.name.value,
                        shown_type(property),
                        declaration.name.value,
                        shown_type(other),
                    ),
                ),
            }
        }
    }
    for property in own {
        let Some(inherited) = merged
            .iter_mut()
            .find(|other| other.name.value == property.name.value)
        else {
            merged.push(property);
            continue;
        };
        if !agrees(inherited, &property) {
            errors.push_hint(
                property.name.span,
                format!(
                    "property \"{}\" is {}, but an interface of \"{}\" declares it as {}",
                    property.name.value,
                    shown_type(&property),
                    declaration.name.value,
                    shown_type(inherited),
                ),
                "Leave the property out, or declare it as the interface does.",
            );
            continue;
        }
        let from_interface = std::mem::replace(inherited, property);
        inherited.default = inherited.default.take().or(from_interface.default);
        for annotation in from_interface.annotations {
            if !inherited
                .annotations
                .iter()
                .any(|own| own.name == annotation.name)
            {
                inherited.annotations.push(annotation);
            }
        }
        inherited.rules.extend(from_interface.rules);
    }
    merged
}

fn agrees(one: &DraftProperty, other: &DraftProperty) -> bool {
    one.ty == other.ty && one.nullable == other.nullable
}

fn shown_type(property: &DraftProperty) -> String {
    format!(
        "{}{}",
        property.ty,
        if property.nullable { "?" } else { "" }
    )
}

/// SQL names of columns: reserved ones, and two properties with one name.
pub(super) fn check_columns(
    is_edge: bool,
    properties: &[DraftProperty],
    errors: &mut Collector<'_>,
) {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for property in properties {
        let column = property.column.as_str();
        let taken = column == "id"
            || (is_edge && matches!(column, "src" | "dst"))
            || column.starts_with("_row");
        if taken {
            // The name `id` was already refused where it was declared.
            if property.name.value != "id" {
                reserved(property.name.span, column, is_edge, errors);
            }
        } else if let Some(first) = seen.insert(column, &property.name.value) {
            errors.push_hint(
                property.name.span,
                format!(
                    "properties \"{first}\" and \"{}\" have the same SQL name \"{column}\"",
                    property.name.value
                ),
                "Give one of them another SQL name with @sql(\"…\").",
            );
        }
    }
}
