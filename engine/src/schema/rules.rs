//! The constraints and indexes of one type: which properties they name, and whether these suit.

use super::check::{
    DraftCheck, DraftIndex, DraftTuple, DraftType, Member, listing, plain_annotation,
};
use super::error::{Collector, Span};
use super::parse::{AnnotationSyntax, Argument, Spanned};
use super::patterns::whole_value_regex;
use super::{CheckRule, Literal, PropertyType, Scalar};
use crate::search::Analyzer;

/// Resolves the rules written in the type's body and behind its properties into `draft`.
pub(crate) fn resolve(
    draft: &mut DraftType,
    type_rules: &[AnnotationSyntax],
    errors: &mut Collector<'_>,
) {
    let of_properties: Vec<(usize, AnnotationSyntax)> = draft
        .properties
        .iter()
        .enumerate()
        .flat_map(|(at, property)| property.rules.iter().map(move |rule| (at, rule.clone())))
        .collect();
    for (at, rule) in &of_properties {
        resolve_one(draft, rule, Some(*at), errors);
    }
    for rule in type_rules {
        resolve_one(draft, rule, None, errors);
    }
    check_embeddings(draft, errors);
}

fn resolve_one(
    draft: &mut DraftType,
    rule: &AnnotationSyntax,
    implied: Option<usize>,
    errors: &mut Collector<'_>,
) {
    let is_edge = draft.edge.is_some();
    if is_edge && matches!(rule.name.as_str(), "key" | "range" | "check") {
        return errors.push_hint(
            rule.span,
            format!("edge types cannot have @{}", rule.name),
            "The body of an edge type has properties, @unique and @index only.",
        );
    }
    match rule.name.as_str() {
        "key" => key(draft, rule, implied, errors),
        "unique" => unique(draft, rule, implied, errors),
        "index" => index(draft, rule, implied, errors),
        "range" => range(draft, rule, implied, errors),
        "check" => pattern(draft, rule, implied, errors),
        _ => {}
    }
}

/// The members a tuple constraint names: its positional arguments, or the property it stands
/// behind. `None` after an error.
fn members(
    draft: &DraftType,
    rule: &AnnotationSyntax,
    implied: Option<usize>,
    errors: &mut Collector<'_>,
) -> Option<Vec<Member>> {
    let mut found = Vec::new();
    let mut good = true;
    for argument in rule.arguments() {
        let member = match &argument.value {
            Argument::Named(..) if rule.name == "index" => continue,
            Argument::Endpoint(name) => endpoint(draft, name)
                .or_else(|| unknown(draft, &format!("@{name}"), argument.span, errors)),
            Argument::Value(literal) if literal.as_text().is_some() => {
                let name = literal.as_text().unwrap_or_default();
                property_named(draft, name)
                    .map(Member::Property)
                    .or_else(|| endpoint(draft, name))
                    .or_else(|| unknown(draft, name, argument.span, errors))
            }
            _ => {
                errors.push(
                    argument.span,
                    format!("@{} takes the names of properties", rule.name),
                );
                None
            }
        };
        match member {
            Some(member) if found.contains(&member) => {
                errors.push(
                    argument.span,
                    format!("@{} names one property twice", rule.name),
                );
                good = false;
            }
            Some(member) => found.push(member),
            None => good = false,
        }
    }
    if good && found.is_empty() {
        match implied {
            Some(at)
                if rule
                    .arguments
                    .as_ref()
                    .is_none_or(|arguments| !arguments.is_empty()) =>
            {
                found.push(Member::Property(at));
            }
            _ => {
                errors.push(rule.span, format!("@{} names no property", rule.name));
                good = false;
            }
        }
    }
    good.then_some(found)
}

fn endpoint(draft: &DraftType, name: &str) -> Option<Member> {
    match name {
        "src" if draft.edge.is_some() => Some(Member::Src),
        "dst" if draft.edge.is_some() => Some(Member::Dst),
        _ => None,
    }
}

fn property_named(draft: &DraftType, name: &str) -> Option<usize> {
    draft
        .properties
        .iter()
        .position(|property| property.name.value == name)
}

fn unknown<T>(draft: &DraftType, name: &str, span: Span, errors: &mut Collector<'_>) -> Option<T> {
    let names: Vec<&str> = draft
        .properties
        .iter()
        .map(|property| property.name.value.as_str())
        .collect();
    errors.push_hint(
        span,
        format!("\"{}\" has no property \"{name}\"", draft.name.value),
        listing("Its properties are", &names),
    );
    None
}

/// Refuses types that have no equality to be unique under.
fn comparable(
    draft: &DraftType,
    members: &[Member],
    rule: &AnnotationSyntax,
    errors: &mut Collector<'_>,
) -> bool {
    for member in members {
        let Member::Property(at) = member else {
            continue;
        };
        let property = &draft.properties[*at];
        let suits = match &property.ty {
            PropertyType::Scalar(scalar) => *scalar != Scalar::Blob,
            PropertyType::Enum(_) => true,
            PropertyType::List(_) | PropertyType::Vector(_) => false,
        };
        if !suits {
            errors.push_hint(
                rule.span,
                format!(
                    "@{} cannot name property \"{}\" of type {}",
                    rule.name, property.name.value, property.ty
                ),
                "It takes scalars other than Blob, and enums.",
            );
            return false;
        }
    }
    true
}

fn key(
    draft: &mut DraftType,
    rule: &AnnotationSyntax,
    implied: Option<usize>,
    errors: &mut Collector<'_>,
) {
    let Some(members) = members(draft, rule, implied, errors) else {
        return;
    };
    if !comparable(draft, &members, rule, errors) {
        return;
    }
    let key: Vec<usize> = members
        .iter()
        .filter_map(|member| match member {
            Member::Property(at) => Some(*at),
            Member::Src | Member::Dst => None,
        })
        .collect();
    if !draft.key.is_empty() && draft.key != key {
        return errors.push_hint(
            rule.span,
            format!("\"{}\" has two keys", draft.name.value),
            "A key of several properties is written @key(a, b) in the body.",
        );
    }
    for &at in &key {
        let property = &draft.properties[at];
        if property.nullable {
            errors.push_hint(
                rule.span,
                format!(
                    "property \"{}\" belongs to the key of \"{}\" and cannot be nullable",
                    property.name.value, draft.name.value
                ),
                "Remove the \"?\" behind its type.",
            );
        }
    }
    draft.key = key;
}

fn unique(
    draft: &mut DraftType,
    rule: &AnnotationSyntax,
    implied: Option<usize>,
    errors: &mut Collector<'_>,
) {
    let Some(members) = members(draft, rule, implied, errors) else {
        return;
    };
    // An exact repetition says nothing new.
    if comparable(draft, &members, rule, errors)
        && !draft.uniques.iter().any(|other| other.members == members)
    {
        draft.uniques.push(DraftTuple { members });
    }
}

fn index(
    draft: &mut DraftType,
    rule: &AnnotationSyntax,
    implied: Option<usize>,
    errors: &mut Collector<'_>,
) {
    let Some(members) = members(draft, rule, implied, errors) else {
        return;
    };
    for member in &members {
        let Member::Property(at) = member else {
            continue;
        };
        let property = &draft.properties[*at];
        match property.ty {
            PropertyType::Scalar(Scalar::Blob) => {
                return errors.push(
                    rule.span,
                    format!(
                        "property \"{}\" of type Blob cannot be indexed",
                        property.name.value
                    ),
                );
            }
            PropertyType::Vector(_) if members.len() > 1 => {
                return errors.push(rule.span, "a vector index has one property");
            }
            _ => {}
        }
    }
    let annotation = plain_annotation(rule);
    for (name, value) in &annotation.named {
        if let Err(allowed) = index_option(draft, &members, name, value) {
            errors.push_hint(
                rule.span,
                format!("@index cannot have {name}={value} here"),
                allowed,
            );
        }
    }
    if !draft.indexes.iter().any(|other| other.members == members) {
        draft.indexes.push(DraftIndex {
            members,
            annotation,
        });
    }
}

/// The options that name how to index; `Err` says which there are. Unknown names are metadata.
fn index_option(
    draft: &DraftType,
    members: &[Member],
    name: &str,
    value: &Literal,
) -> Result<(), String> {
    let allowed: &[&str] = match name {
        "analyzer" => &Analyzer::ALL.map(Analyzer::name),
        "metric" => &["l2", "cosine", "ip", "l1"],
        "kind" => &["hnsw", "ivfflat"],
        _ => return Ok(()),
    };
    let ty = match members {
        [Member::Property(at)] => Some(&draft.properties[*at].ty),
        _ => None,
    };
    let suits = match name {
        "analyzer" => matches!(ty, Some(PropertyType::Scalar(Scalar::String))),
        _ => matches!(ty, Some(PropertyType::Vector(_))),
    };
    if !suits {
        let wanted = if name == "analyzer" {
            "String"
        } else {
            "Vector"
        };
        return Err(format!(
            "\"{name}\" is for an index on one {wanted} property."
        ));
    }
    match value.as_text() {
        Some(text) if allowed.contains(&text) => Ok(()),
        _ => Err(format!("\"{name}\" is one of {}.", allowed.join(", "))),
    }
}

/// The property that `@range` and `@check` speak of, and the argument that follows it.
fn subject<'a>(
    draft: &DraftType,
    rule: &'a AnnotationSyntax,
    implied: Option<usize>,
    errors: &mut Collector<'_>,
) -> Option<(usize, &'a Spanned<Argument>)> {
    let usage = if rule.name == "range" {
        "@range(property, 0..10)"
    } else {
        "@check(property, \"regex\")"
    };
    match (rule.arguments(), implied) {
        ([only], Some(at)) => Some((at, only)),
        (
            [
                Spanned {
                    value: Argument::Value(Literal::Ident(name)),
                    span,
                },
                argument,
            ],
            _,
        ) => match property_named(draft, name) {
            Some(at) => Some((at, argument)),
            None => unknown(draft, name, *span, errors),
        },
        _ => {
            errors.push_hint(
                rule.span,
                format!("@{} has the wrong arguments", rule.name),
                format!("Write {usage}."),
            );
            None
        }
    }
}

fn range(
    draft: &mut DraftType,
    rule: &AnnotationSyntax,
    implied: Option<usize>,
    errors: &mut Collector<'_>,
) {
    let Some((at, argument)) = subject(draft, rule, implied, errors) else {
        return;
    };
    let property = &draft.properties[at];
    let name = &property.name.value;
    let Argument::Range { min, max } = &argument.value else {
        return errors.push_hint(
            argument.span,
            "@range takes a range",
            "Write 0..10, 0.. or ..10.",
        );
    };
    let scalar = match property.ty {
        PropertyType::Scalar(scalar) if scalar.is_numeric() => scalar,
        _ => {
            return errors.push(
                rule.span,
                format!(
                    "@range needs a number; property \"{name}\" is of type {}",
                    property.ty
                ),
            );
        }
    };
    if min.is_none() && max.is_none() {
        return errors.push(argument.span, "the range has no bound");
    }
    for bound in [min, max].into_iter().flatten() {
        if !bound_fits(scalar, bound) {
            return errors.push(
                argument.span,
                format!(
                    "the bound {bound} is not a value of type {}, the type of property \"{name}\"",
                    property.ty
                ),
            );
        }
    }
    if let (Some(min), Some(max)) = (min, max)
        && !in_order(scalar, min, max)
    {
        return errors.push(
            argument.span,
            format!("no number is in the range {min}..{max}"),
        );
    }
    let literal = |bound: &Option<String>| bound.clone().map(Literal::Number);
    add_check(
        draft,
        at,
        CheckRule::Range {
            min: literal(min),
            max: literal(max),
        },
    );
}

fn bound_fits(scalar: Scalar, text: &str) -> bool {
    match scalar {
        Scalar::I32 => text.parse::<i32>().is_ok(),
        Scalar::I64 => text.parse::<i64>().is_ok(),
        Scalar::U32 => text.parse::<u32>().is_ok(),
        Scalar::U64 => text.parse::<u64>().is_ok(),
        Scalar::F32 => text.parse::<f32>().is_ok_and(f32::is_finite),
        _ => text.parse::<f64>().is_ok_and(f64::is_finite),
    }
}

fn in_order(scalar: Scalar, min: &str, max: &str) -> bool {
    if scalar.is_integer() {
        matches!((min.parse::<i128>(), max.parse::<i128>()), (Ok(min), Ok(max)) if min <= max)
    } else {
        matches!((min.parse::<f64>(), max.parse::<f64>()), (Ok(min), Ok(max)) if min <= max)
    }
}

fn pattern(
    draft: &mut DraftType,
    rule: &AnnotationSyntax,
    implied: Option<usize>,
    errors: &mut Collector<'_>,
) {
    let Some((at, argument)) = subject(draft, rule, implied, errors) else {
        return;
    };
    let property = &draft.properties[at];
    let Argument::Value(Literal::String(regex)) = &argument.value else {
        return errors.push_hint(
            argument.span,
            "@check takes a regular expression",
            "Write it as a string: \"^[a-z]+$\".",
        );
    };
    if property.ty != PropertyType::Scalar(Scalar::String) {
        return errors.push(
            rule.span,
            format!(
                "@check needs a String; property \"{}\" is of type {}",
                property.name.value, property.ty
            ),
        );
    }
    if let Err(reason) = whole_value_regex(regex) {
        return errors.push(
            argument.span,
            format!("the regular expression is not valid: {reason}"),
        );
    }
    add_check(draft, at, CheckRule::Regex(regex.clone()));
}

fn add_check(draft: &mut DraftType, property: usize, rule: CheckRule) {
    if !draft
        .checks
        .iter()
        .any(|other| other.property == property && other.rule == rule)
    {
        draft.checks.push(DraftCheck { property, rule });
    }
}

/// `@embed("prop", model="m")` stands on a vector and names a text of the same type.
fn check_embeddings(draft: &DraftType, errors: &mut Collector<'_>) {
    for property in &draft.properties {
        for annotation in property
            .annotations
            .iter()
            .filter(|annotation| annotation.name == "embed")
        {
            let span = property.name.span;
            if !matches!(property.ty, PropertyType::Vector(_)) {
                errors.push(
                    span,
                    format!(
                        "@embed needs a Vector; property \"{}\" is of type {}",
                        property.name.value, property.ty
                    ),
                );
                continue;
            }
            let Some(source) = annotation.args.first().and_then(Literal::as_text) else {
                errors.push_hint(
                    span,
                    "@embed names no property",
                    "Write @embed(\"text_property\").",
                );
                continue;
            };
            match property_named(draft, source) {
                None => {
                    unknown::<()>(draft, source, span, errors);
                }
                Some(at) if draft.properties[at].ty != PropertyType::Scalar(Scalar::String) => errors.push(
                    span,
                    format!("@embed takes its text from a String; property \"{source}\" is of type {}", draft.properties[at].ty),
                ),
                Some(_) => {}
            }
            for (name, value) in &annotation.named {
                let suits = match name.as_str() {
                    "model" => matches!(value, Literal::String(_)),
                    "on" => value.as_text() == Some("write"),
                    _ => true,
                };
                if !suits {
                    errors.push_hint(
                        span,
                        format!("@embed cannot have {name}={value}"),
                        "Write model=\"name\" or on=\"write\".",
                    );
                }
            }
        }
    }
}
