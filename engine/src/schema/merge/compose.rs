//! Merged definitions → the merged schema: its text, and who is who in it.

use std::collections::{BTreeSet, HashMap};

use super::classes::Classes;
use super::model::{Interface, Model, Property, Type};
use super::text::{self, Segment, segments};
use crate::names::sql_name;
use crate::schema::assemble::{Fresh, Identities, TypeIdentity, assemble};
use crate::schema::check::{Draft, MAX_TYPES};
use crate::schema::ids::IdSource;
use crate::schema::parse::DeclarationKind;
use crate::schema::{PropertyId, Schema, TypeId};

/// The SQL name of a type.
pub(super) fn table(ty: &Type) -> String {
    ty.sql.clone().unwrap_or_else(|| sql_name(&ty.name))
}

/// The SQL name of a property.
pub(super) fn column(property: &Property) -> String {
    let explicit = property.sql.clone();
    explicit.unwrap_or_else(|| sql_name(&property.name))
}

/// What the merged schema is made of.
pub(super) struct Parts<'a> {
    pub types: &'a [(u64, Type)],
    pub interfaces: &'a [(String, Interface)],
    pub classes: &'a Classes,
    /// Ours and theirs.
    pub sides: [(&'a Schema, &'a Model); 2],
}

/// A declaration of the merged schema.
struct Piece {
    text: String,
    /// Is it written as in ours?
    as_ours: bool,
}

/// A schema's own text.
struct Written<'a> {
    segments: Vec<Segment<'a>>,
    interfaces: Vec<(String, Interface)>,
}

impl Parts<'_> {
    /// `Err` says what is wrong with the parts together.
    pub fn composed(&self, ids: &mut dyn IdSource) -> Result<Schema, String> {
        let source = self.source();
        let draft = Schema::draft(&source).map_err(|errors| {
            let first = errors.errors().first();
            first.map_or_else(String::new, |error| error.message.clone())
        })?;
        let identities = self.identities(&draft, ids)?;
        Ok(assemble(&source, &draft, &identities))
    }

    /// In the order of ours, then what theirs adds.
    fn source(&self) -> String {
        let ours = &self.sides[0].0.source;
        let written = self.sides.map(|(schema, _)| Written {
            segments: segments(&schema.source).0,
            interfaces: Interface::all(schema),
        });
        let mut pieces = Vec::new();
        let (mut done, mut named) = (BTreeSet::new(), BTreeSet::new());
        for (side, (_, model)) in self.sides.iter().enumerate() {
            for segment in &written[side].segments {
                let name = segment.declaration.name.value.as_str();
                let class = model.iter().find(|(_, ty)| ty.name == name);
                match (&segment.declaration.kind, class) {
                    (DeclarationKind::Interface, _) if named.insert(name) => {
                        pieces.extend(self.interface(name, &written));
                    }
                    (DeclarationKind::Node | DeclarationKind::Edge { .. }, Some((class, _)))
                        if done.insert(class) =>
                    {
                        pieces.extend(self.declared(class, &written));
                    }
                    _ => {}
                }
            }
        }
        let unchanged = pieces.iter().all(|piece| piece.as_ours);
        if unchanged && pieces.len() == written[0].segments.len() {
            return ours.clone();
        }
        let mut texts: Vec<&str> = pieces.iter().map(|piece| piece.text.as_str()).collect();
        texts.extend(Some(segments(ours).1).filter(|rest| !rest.is_empty()));
        texts.join("\n\n") + "\n"
    }

    fn interface(&self, name: &str, written: &[Written<'_>; 2]) -> Option<Piece> {
        let find = |all: &[(String, Interface)]| {
            let found = all.iter().find(|(known, _)| known == name);
            found.map(|(_, interface)| interface.clone())
        };
        let merged = find(self.interfaces)?;
        let side = (0..2).find(|side| find(&written[*side].interfaces).as_ref() == Some(&merged));
        Some(piece(name, side, written, || {
            text::interface(name, &merged)
        }))
    }

    fn declared(&self, class: u64, written: &[Written<'_>; 2]) -> Option<Piece> {
        let find = |class: u64| {
            let found = self.types.iter().find(|(known, _)| *known == class);
            found.map(|(_, ty)| ty)
        };
        let name_of = |class: u64| find(class).map_or_else(String::new, |ty| ty.name.clone());
        let merged = find(class)?;
        let has_ends = |model: &Model| {
            merged.edge.is_none_or(|edge| {
                [edge.from, edge.to].into_iter().all(|end| {
                    let held = model.get(end);
                    held.is_some_and(|held| held.name == name_of(end))
                })
            })
        };
        let side = self
            .sides
            .iter()
            .position(|(_, model)| model.get(class) == Some(merged) && has_ends(model));
        Some(piece(&merged.name, side, written, || {
            text::declaration(merged, &name_of)
        }))
    }

    fn identities(&self, draft: &Draft, ids: &mut dyn IdSource) -> Result<Identities, String> {
        let [(ours, _), (theirs, _)] = self.sides;
        let mut fresh = Fresh {
            ids,
            used: self.classes.used(),
        };
        let mut next_number = ours.next_number.max(theirs.next_number);
        let mut types = Vec::with_capacity(draft.types.len());
        let mut held = Vec::new();
        for ty in &draft.types {
            let name = &ty.name.value;
            let merged = self.types.iter().find(|(_, merged)| merged.name == *name);
            let (class, merged) = merged.ok_or_else(|| format!("nobody declares \"{name}\""))?;
            held.push(*class);
            let id = TypeId(self.classes.identity(*class));
            let number = match (ours.by_id(id), theirs.by_id(id)) {
                (Some(def), _) => def.number,
                // A smaller one may be another type's in ours.
                (None, Some(def)) if def.number >= ours.next_number => def.number,
                _ => {
                    next_number += 1;
                    next_number - 1
                }
            };
            let by_name: HashMap<&str, u64> = merged
                .properties
                .iter()
                .map(|(class, property)| (property.name.as_str(), class))
                .collect();
            let mut properties = Vec::with_capacity(ty.properties.len());
            for property in &ty.properties {
                let name = &property.name.value;
                properties.push(PropertyId(match by_name.get(name.as_str()) {
                    Some(class) => {
                        held.push(*class);
                        self.classes.identity(*class)
                    }
                    // The type is one side's, and implements an interface to which the other
                    // has added the property.
                    None if property.nullable || property.default.is_some() => fresh.draw(),
                    None => {
                        return Err(format!(
                            "the rows of \"{}\" have no value for the property \"{name}\" that its interface requires",
                            merged.name
                        ));
                    }
                }));
            }
            types.push(TypeIdentity {
                id,
                number,
                properties,
            });
        }
        if next_number as usize > MAX_TYPES {
            return Err(format!(
                "it would have more than {MAX_TYPES} types in its history"
            ));
        }
        Ok(Identities {
            types,
            next_number,
            aliases: self.classes.aliases(held.into_iter()),
        })
    }
}

/// As a side has written it, or else anew.
fn piece(
    name: &str,
    side: Option<usize>,
    written: &[Written<'_>; 2],
    anew: impl FnOnce() -> String,
) -> Piece {
    let found = side.and_then(|side| {
        let mut segments = written[side].segments.iter();
        segments.find(|segment| segment.declaration.name.value == name)
    });
    Piece {
        text: found.map_or_else(anew, |segment| segment.text.to_owned()),
        as_ours: side == Some(0),
    }
}
