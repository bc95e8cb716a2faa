//! Finds what a draft declares in the accepted schema: by name, or by `@rename_from`.

use std::collections::HashSet;

use crate::schema::assemble::{Fresh, Identities, TypeIdentity};
use crate::schema::check::{Draft, DraftType, MAX_TYPES};
use crate::schema::error::Collector;
use crate::schema::ids::IdSource;
use crate::schema::{PropertyId, Schema, TypeDef, TypeId};

/// Finds each type and property of the draft in the accepted schema.
pub(super) fn identify(
    old: &Schema,
    draft: &Draft,
    ids: &mut dyn IdSource,
    errors: &mut Collector<'_>,
) -> Identities {
    let used = old
        .types
        .iter()
        .flat_map(|ty| {
            std::iter::once(ty.id.0).chain(ty.properties.iter().map(|property| property.id.0))
        })
        .collect();
    let mut fresh = Fresh { ids, used };
    let mut identities = Identities {
        types: Vec::new(),
        next_number: old.next_number,
        aliases: old.aliases.clone(),
    };
    let declared: HashSet<&str> = draft
        .types
        .iter()
        .map(|ty| ty.name.value.as_str())
        .collect();
    let mut renamed: HashSet<TypeId> = HashSet::new();
    for ty in &draft.types {
        let before = match (old.by_name(&ty.name.value), &ty.rename_from) {
            (Some(same), _) => Some(same),
            (None, None) => None,
            (None, Some(from)) => {
                let found = old.by_name(&from.value);
                match found {
                    None => errors.push_hint(
                        from.span,
                        format!(
                            "there is no type \"{}\" to rename to \"{}\"",
                            from.value, ty.name.value
                        ),
                        "Remove @rename_from to add a new type.",
                    ),
                    Some(_) if declared.contains(from.value.as_str()) => errors.push(
                        from.span,
                        format!(
                            "type \"{}\" cannot be renamed to \"{}\": it is still declared",
                            from.value, ty.name.value
                        ),
                    ),
                    Some(found) if !renamed.insert(found.id) => {
                        errors.push(
                            from.span,
                            format!("type \"{}\" is renamed twice", from.value),
                        );
                    }
                    Some(_) => {}
                }
                found
            }
        };
        let Some(before) = before else {
            if identities.next_number as usize >= MAX_TYPES {
                errors.push(
                    ty.name.span,
                    format!("type \"{}\" cannot be added: this graph has declared {MAX_TYPES} types in its history, the limit", ty.name.value),
                );
            }
            identities.types.push(TypeIdentity {
                id: TypeId(fresh.draw()),
                number: identities.next_number,
                properties: ty
                    .properties
                    .iter()
                    .map(|_| PropertyId(fresh.draw()))
                    .collect(),
            });
            identities.next_number = identities.next_number.saturating_add(1);
            continue;
        };
        let properties = identify_properties(before, ty, &mut fresh, errors);
        identities.types.push(TypeIdentity {
            id: before.id,
            number: before.number,
            properties,
        });
    }
    identities
}

fn identify_properties(
    old: &TypeDef,
    draft: &DraftType,
    fresh: &mut Fresh<'_>,
    errors: &mut Collector<'_>,
) -> Vec<PropertyId> {
    let declared: HashSet<&str> = draft
        .properties
        .iter()
        .map(|property| property.name.value.as_str())
        .collect();
    let mut renamed: HashSet<PropertyId> = HashSet::new();
    let ty = &draft.name.value;
    draft
        .properties
        .iter()
        .map(|property| {
            let name = &property.name.value;
            if let Some((_, same)) = old.property(name) {
                return same.id;
            }
            let Some(from) = &property.rename_from else {
                return PropertyId(fresh.draw());
            };
            match old.property(&from.value) {
                None => errors.push_hint(
                    from.span,
                    format!("there is no property \"{ty}.{}\" to rename to \"{name}\"", from.value),
                    "Remove @rename_from to add a new property.",
                ),
                Some(_) if declared.contains(from.value.as_str()) => errors.push(
                    from.span,
                    format!("property \"{ty}.{}\" cannot be renamed to \"{name}\": it is still declared", from.value),
                ),
                Some((_, found)) if !renamed.insert(found.id) => {
                    errors.push(from.span, format!("property \"{ty}.{}\" is renamed twice", from.value));
                }
                Some((_, found)) => return found.id,
            }
            PropertyId(fresh.draw())
        })
        .collect()
}
