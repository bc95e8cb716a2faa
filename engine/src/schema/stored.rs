//! A schema as bytes: its source and the identities of what it declares. Everything else
//! follows from the source.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::assemble::{Identities, TypeIdentity, assemble};
use super::check::check;
use super::error::Collector;
use super::parse::parse;
use super::{PropertyId, Schema, TypeId};
use crate::error::{Error, Result};

const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct StoredSchema {
    format: u32,
    next_number: u32,
    types: Vec<StoredType>,
    source: String,
    /// By other identities.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    aliases: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredType {
    name: String,
    /// 16 hexadecimal digits: JSON readers elsewhere lose digits of large numbers.
    id: String,
    number: u32,
    /// Name and identity.
    properties: Vec<(String, String)>,
}

pub(crate) fn encode(schema: &Schema) -> Vec<u8> {
    let stored = StoredSchema {
        format: FORMAT,
        next_number: schema.next_number,
        types: schema
            .types
            .iter()
            .map(|ty| StoredType {
                name: ty.name.clone(),
                id: format!("{:016x}", ty.id.0),
                number: ty.number,
                properties: ty
                    .properties
                    .iter()
                    .map(|property| (property.name.clone(), format!("{:016x}", property.id.0)))
                    .collect(),
            })
            .collect(),
        source: schema.source.clone(),
        aliases: schema
            .aliases
            .iter()
            .map(|(alias, id)| (format!("{alias:016x}"), format!("{id:016x}")))
            .collect(),
    };
    serde_json::to_vec(&stored).expect("strings and numbers always have a JSON text")
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Schema> {
    let corrupt = |message: String| Error::Corrupt {
        object: "schema".to_owned(),
        message,
    };
    let stored: StoredSchema =
        serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
    if stored.format != FORMAT {
        return Err(Error::Unsupported {
            message: format!(
                "the schema has format {}, this program reads format {FORMAT}",
                stored.format
            ),
            hint: Some("A newer program wrote it; upgrade this one.".to_owned()),
        });
    }
    let mut errors = Collector::new(&stored.source);
    let declarations = parse(&stored.source, &mut errors);
    errors
        .finish()
        .map_err(|errors| corrupt(errors.to_string()))?;
    let draft = check(&declarations, &mut errors);
    errors
        .finish()
        .map_err(|errors| corrupt(errors.to_string()))?;

    let by_name: HashMap<&str, &StoredType> = stored
        .types
        .iter()
        .map(|ty| (ty.name.as_str(), ty))
        .collect();
    let id = |text: &str| {
        u64::from_str_radix(text, 16).map_err(|_| corrupt(format!("\"{text}\" is not an identity")))
    };
    let mut identities = Identities {
        types: Vec::new(),
        next_number: stored.next_number,
        aliases: stored
            .aliases
            .iter()
            .map(|(alias, known)| Ok((id(alias)?, id(known)?)))
            .collect::<Result<_>>()?,
    };
    for ty in &draft.types {
        let name = &ty.name.value;
        let known = by_name
            .get(name.as_str())
            .ok_or_else(|| corrupt(format!("type \"{name}\" has no identity")))?;
        let properties: HashMap<&str, &str> = known
            .properties
            .iter()
            .map(|(name, id)| (name.as_str(), id.as_str()))
            .collect();
        identities.types.push(TypeIdentity {
            id: TypeId(id(&known.id)?),
            number: known.number,
            properties: ty
                .properties
                .iter()
                .map(|property| {
                    let text = properties
                        .get(property.name.value.as_str())
                        .ok_or_else(|| {
                            corrupt(format!(
                                "property \"{name}.{}\" has no identity",
                                property.name.value
                            ))
                        })?;
                    Ok(PropertyId(id(text)?))
                })
                .collect::<Result<Vec<_>>>()?,
        });
    }
    Ok(assemble(&stored.source, &draft, &identities))
}
